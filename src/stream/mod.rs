//! Queries that do not end: their rows come out as events arrive.
//!
//! ```text
//! deliver() ── batches ──> StandingQuery::rows ──> rows ──> the sink
//!          └── barrier ──> (the sink has all rows before it) ──> the checkpoint is kept
//! ```
//!
//! A checkpoint is kept only when the sink has asked for more, and so has taken all rows that the
//! checkpoint covers. A process that dies in between repeats the rows of that epoch, and loses none.

mod checkpoint_file;

use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;

use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::execution::Execution;
use crate::pipeline::{Deliveries, Delivery, DeliveryRequest, End, Epochs, ProgressWatch, deliver};
use crate::query::StandingQuery;
use crate::source::Source;

pub use checkpoint_file::CheckpointFile;

/// The circumstances that a standing query runs in.
#[derive(Clone, Debug)]
pub struct Watch {
    /// Threads that decode.
    pub threads: usize,
    /// The execution that counts what is read, and can be stopped.
    pub execution: Arc<Execution>,
    /// The progress of the source, for those who look on.
    pub progress: ProgressWatch,
}

/// Starts a standing query over `source`.
///
/// Each checkpoint is handed to `keep` once the rows that it covers were taken from the stream and more
/// was asked for. The stream ends with the source, when the execution is stopped, and at the LIMIT.
///
/// Must be called within a tokio runtime.
pub fn watch(
    query: StandingQuery,
    source: Box<dyn Source>,
    watch: &Watch,
    keep: impl FnMut(Checkpoint) -> Result<()> + Send + 'static,
) -> SendableRecordBatchStream {
    let request = DeliveryRequest {
        threads: watch.threads,
        batches: query.request().clone(),
        dedup: false,
        epochs: Epochs {
            interval: EPOCH,
            bytes: EPOCH_BYTES,
        },
    };
    let schema = query.schema();
    let watching = Watching {
        deliveries: deliver(source, &request, &watch.execution),
        left: query.limit().unwrap_or(usize::MAX),
        progress: watch.progress.clone(),
        query,
        ready: Vec::new(),
        keep: Box::new(keep),
        has_ended: false,
    };
    let rows = futures::stream::unfold(watching, |mut watching| async {
        let next = watching.next().await.transpose()?;
        let next = next.map_err(|error| DataFusionError::External(Box::new(error)));
        Some((next, watching))
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, rows))
}

/// A standing query that is under way.
struct Watching {
    deliveries: Deliveries,
    progress: ProgressWatch,
    query: StandingQuery,
    /// Rows that are to be handed on, the last first.
    ready: Vec<RecordBatch>,
    /// Rows until the LIMIT.
    left: usize,
    keep: Box<dyn FnMut(Checkpoint) -> Result<()> + Send>,
    has_ended: bool,
}

impl Watching {
    /// Returns the next rows; `None` at the end.
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if self.left == 0 || (self.has_ended && self.ready.is_empty()) {
                return Ok(None);
            }
            if let Some(rows) = self.ready.pop() {
                let rows = rows.slice(0, rows.num_rows().min(self.left));
                self.left -= rows.num_rows();
                return Ok(Some(rows));
            }
            match self.deliveries.next_watched(&self.progress).await? {
                Some(Delivery::Batch(batch)) => {
                    self.ready = self.query.rows(batch).await?;
                    self.ready.reverse();
                }
                Some(Delivery::Barrier(barrier)) => {
                    (self.keep)(barrier.checkpoint)?;
                    match barrier.end {
                        None => {}
                        Some(End::Failed(error)) => {
                            self.has_ended = true;
                            return Err(error);
                        }
                        Some(End::Exhausted | End::Stopped) => self.has_ended = true,
                    }
                }
                None => return Err(Error::bug("events ended without a last checkpoint")),
            }
        }
    }
}

/// The longest time that an event waits for others before it is decoded.
const EPOCH: Duration = Duration::from_millis(250);
/// JSON bytes after which a checkpoint is due, whatever the time.
const EPOCH_BYTES: u64 = 64 << 20;
