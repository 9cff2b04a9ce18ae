//! Tasks that end with whoever waits for them.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// A running task, stopped when this is dropped. Waiting for it gives `None` if it panicked.
#[derive(Debug)]
pub(super) struct Task<T>(JoinHandle<T>);

impl<T: Send + 'static> Task<T> {
    /// Runs `future` on the current runtime.
    pub(super) fn spawn(future: impl Future<Output = T> + Send + 'static) -> Self {
        Self(tokio::spawn(future))
    }

    /// Runs `future` on the runtime of `handle`.
    pub(super) fn spawn_on(
        handle: &Handle,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Self {
        Self(handle.spawn(future))
    }

    /// Runs `work`, which blocks, on the current runtime; once begun it runs to its end.
    pub(super) fn spawn_blocking(work: impl FnOnce() -> T + Send + 'static) -> Self {
        Self(tokio::task::spawn_blocking(work))
    }
}

impl<T> Future for Task<T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        Pin::new(&mut self.0).poll(context).map(Result::ok)
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
