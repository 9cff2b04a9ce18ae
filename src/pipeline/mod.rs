//! The road from a source to its consumer: threads, back-pressure, epochs, stopping.
//!
//! ```text
//! Source ──next()──> thread: envelope ──> Worker ──┐
//!            │       thread: envelope ──> Worker ──┼──> batches, batches, Barrier { checkpoint }, batches ...
//!            └─────> thread: envelope ──> Worker ──┘
//! ```
//!
//! Threads take payloads from the source themselves, one at a time, so that nothing lies between
//! what the source has handed out and what a thread is at. When an **epoch** is due (time, bytes, a
//! stop, the end of the input) every thread hands down what it holds and waits; the last one to do
//! so asks the source for its checkpoint and hands that down as a [`Barrier`]. So the checkpoint
//! covers exactly the batches that came before it, whichever thread decoded what.
//!
//! A thread does not have to reach the end of its payload for that. In the midst of a payload that
//! can be resumed it waits between two records, and the checkpoint says how many items of the
//! payload were handed down. An epoch is as short over one file of 60 GB, or a pipe that never
//! ends, as over many small ones. (The alternative, cutting epochs at the ends of payloads only,
//! would make a commit as large as the largest object.)
//!
//! There are two ways to use it:
//!
//! - [`Pipeline`]: threads come when somebody asks for their batches, there are no epochs. The
//!   table of a query, and `scan`.
//! - [`deliver`]: a fixed number of threads, batches and barriers through one channel. Everything
//!   that makes data durable.
//!
//! **Stopping** is cancelling the execution's token. Sources hand out nothing more, each thread
//! ends between two records, the last epoch is closed like any other.

mod decode;
mod gate;
mod keeping;
mod notes;
mod recording;
mod served;
#[cfg(test)]
mod tests;
mod watch;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use arrow::record_batch::RecordBatch;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::events::{Deduplicator, RowFilter};
use crate::execution::Execution;
use crate::source::{Progress, Source};
use gate::Gate;

pub use decode::{BatchRequest, DecodeWorker};
pub use keeping::{KeepWorker, KeptObject, RowKeeper, keep_worker};
pub use notes::{HeldRejects, ObjectNotes};
pub use recording::{CHUNK_ROWS, DecodedColumn, DecodedObject, ObjectCounts, ObjectRecorder};
pub use watch::ProgressWatch;
pub use worker::Worker;

/// A source with threads over it that come and go, without epochs.
pub struct Pipeline {
    gate: Arc<Gate>,
    _watch: AbortOnDropHandle<()>,
}

impl Pipeline {
    /// A pipeline over `source`, which is asked for nothing before a thread runs. Must be called
    /// within a tokio runtime.
    pub fn new(source: Box<dyn Source>, execution: Arc<Execution>) -> Self {
        let gate = Arc::new(Gate::new(source, execution));
        let watched = Arc::clone(&gate);
        let watch = tokio::spawn(async move {
            watched.execution().stop().cancelled().await;
            watched.raise();
        });
        Self {
            gate,
            _watch: AbortOnDropHandle::new(watch),
        }
    }

    /// Hands records to `worker` until the source ends or the worker has enough. Blocks: to be called
    /// in a thread of [`tokio::task::spawn_blocking`].
    ///
    /// # Errors
    /// The error that ended the source, in one of the threads; `Stopped` if the execution was
    /// stopped, after what was decoded has been handed down.
    pub fn run(&self, worker: &mut impl Worker) -> Result<()> {
        worker::run(&self.gate, worker)
    }

    /// Returns the source's progress when it last handed out something, to about a second.
    pub fn progress(&self) -> Progress {
        self.gate.progress()
    }

    /// Ends all threads, as nobody takes their batches any more.
    pub fn close(&self) {
        self.gate.close();
    }
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pipeline").finish_non_exhaustive()
    }
}

/// The work of [`deliver`].
#[derive(Clone, Debug)]
pub struct DeliveryRequest {
    /// Threads that decode; at least one.
    pub threads: usize,
    /// Columns and rows of the batches.
    pub batches: BatchRequest,
    /// Leaves out events that were delivered before in this run.
    pub dedup: bool,
    /// The end of an epoch.
    pub epochs: Epochs,
}

/// The conditions that end an epoch; the first that holds does.
#[derive(Clone, Copy, Debug)]
pub struct Epochs {
    /// The time since the last barrier.
    pub interval: Duration,
    /// Bytes of JSON records handed down since the last barrier, about.
    pub bytes: u64,
}

/// A piece of what [`deliver`] hands down.
#[derive(Debug)]
pub enum Delivery {
    /// Rows.
    Batch(RecordBatch),
    /// The end of an epoch.
    Barrier(Barrier),
}

/// The end of an epoch: what came before it belongs together with this checkpoint.
#[derive(Debug)]
pub struct Barrier {
    /// Covers exactly the batches handed down before, in this run and those before it.
    pub checkpoint: Checkpoint,
    /// The reason that no further epoch follows, if none does.
    pub end: Option<End>,
}

/// The reason that a run ends.
#[derive(Debug)]
pub enum End {
    /// The source has come to its end.
    Exhausted,
    /// The execution was stopped.
    Stopped,
    /// The source failed. What it had handed out before is covered by the barrier.
    Failed(Error),
}

/// Batches and barriers on their way to a consumer. Dropping it ends the run at once.
pub struct Deliveries {
    gate: Arc<Gate>,
    deliveries: mpsc::Receiver<Delivery>,
    has_ended: bool,
    _watch: AbortOnDropHandle<()>,
}

impl std::fmt::Debug for Deliveries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deliveries").finish_non_exhaustive()
    }
}

impl Deliveries {
    /// Returns the source's progress, to about a second while it is waited for.
    pub fn progress(&self) -> Progress {
        self.gate.progress()
    }

    /// Waits for the next piece; `None` after the barrier that has an end.
    ///
    /// # Errors
    /// Bug, if a thread panicked. There is no barrier then: the next run goes on from the last one.
    pub async fn next(&mut self) -> Result<Option<Delivery>> {
        let delivery = self.deliveries.recv().await;
        match &delivery {
            Some(Delivery::Barrier(barrier)) => self.has_ended = barrier.end.is_some(),
            Some(Delivery::Batch(_)) => {}
            None if self.has_ended => {}
            None => return Err(Error::bug("a thread that decodes events stopped")),
        }
        Ok(delivery)
    }
}

/// Decodes all that `source` hands out, in threads of its own, and delivers batches and barriers.
///
/// The channel is bounded: a consumer that is slow makes the threads and with them the source wait.
/// Must be called within a tokio runtime.
pub fn deliver(
    source: Box<dyn Source>,
    request: &DeliveryRequest,
    execution: &Arc<Execution>,
) -> Deliveries {
    let (sender, deliveries) = mpsc::channel(DELIVERIES_AHEAD);
    let barriers = sender.clone();
    let threads = request.threads.max(1);
    let gate = Gate::new(source, Arc::clone(execution)).with_epochs(
        threads,
        request.epochs.bytes,
        Box::new(move |barrier| barriers.blocking_send(Delivery::Barrier(barrier)).is_ok()),
    );
    let gate = Arc::new(gate);
    let dedup = request.dedup.then(|| Arc::new(Deduplicator::default()));
    for _ in 0..threads {
        let batches = sender.clone();
        let mut worker = DecodeWorker::new(
            &request.batches,
            dedup.clone(),
            Arc::clone(execution),
            move |batch| batches.blocking_send(Delivery::Batch(batch)).is_ok(),
        );
        let gate = Arc::clone(&gate);
        Handle::current().spawn_blocking(move || worker::run(&gate, &mut worker));
    }
    let shown = Arc::clone(&gate);
    let interval = request.epochs.interval;
    let watch = tokio::spawn(async move {
        loop {
            tokio::select! {
                () = gate.execution().stop().cancelled() => return gate.raise(),
                () = tokio::time::sleep(interval) => gate.raise(),
            }
        }
    });
    Deliveries {
        gate: shown,
        deliveries,
        has_ended: false,
        _watch: AbortOnDropHandle::new(watch),
    }
}

impl BatchRequest {
    /// All columns of `projection` (indexes into the catalog), all rows.
    pub fn all_rows(projection: Vec<usize>, batch_rows: usize) -> Self {
        Self {
            projection,
            filter: RowFilter::default(),
            batch_rows,
            limit: None,
            redact: false,
        }
    }
}

/// Batches and barriers that may wait for their consumer.
const DELIVERIES_AHEAD: usize = 2;
