//! The threads that arrange and encode rows: as many as there are cores, and the same ones for every file.
//!
//! In the allocator, mimalloc, a thread has memory of its own, and takes back what others free of it when it
//! allocates again. The threads that tokio has for blocking work are as many as there were reads at the same
//! time, and any of them may get a piece of work. Had each made a file, each would hold the memory of one: half as
//! much again as an ingest takes.

use std::sync::LazyLock;
use std::thread::available_parallelism;

use tokio::runtime::{Builder, Runtime};

use crate::error::{Error, Result};

/// Runs work of the processor where it keeps no other task waiting.
pub(super) async fn in_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = match &*THREADS {
        Some(threads) => threads.spawn_blocking(work),
        None => tokio::task::spawn_blocking(work),
    };
    done.await
        .map_err(|error| Error::bug(format!("a thread that writes a file stopped: {error}")))?
}

/// A runtime for its blocking threads alone, which start when there is work and end after a while without.
/// `None` if the system gives no more of what it needs; then there are others.
static THREADS: LazyLock<Option<Runtime>> = LazyLock::new(|| {
    let cores = available_parallelism().map_or(2, usize::from);
    let mut builder = Builder::new_current_thread();
    let threads = builder.thread_name("files").max_blocking_threads(cores);
    threads.build().ok()
});
