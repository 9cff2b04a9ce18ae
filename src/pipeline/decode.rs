//! The worker that makes batches of records.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;

use super::worker::Worker;
use crate::envelope::{Record, Taken};
use crate::events::{Decoder, Deduplicator, RowFilter};
use crate::execution::Execution;

/// The columns and rows that a consumer wants.
#[derive(Clone, Debug)]
pub struct BatchRequest {
    /// Columns, as indexes into the [catalog](crate::events::columns::catalog).
    pub projection: Vec<usize>,
    /// Rows that may be left out before they are decoded.
    pub filter: RowFilter,
    /// The most rows of a batch.
    pub batch_rows: usize,
    /// The rows after which a thread has enough.
    pub limit: Option<usize>,
}

/// Decodes records into batches and hands these to a function, which returns whether more is wanted.
pub struct DecodeWorker<F> {
    decoder: Decoder,
    dedup: Option<Arc<Deduplicator>>,
    execution: Arc<Execution>,
    left_rows: usize,
    deliver: F,
}

impl<F: FnMut(RecordBatch) -> bool + Send> DecodeWorker<F> {
    /// A worker for one thread. Threads that share `dedup` leave out what any of them has seen.
    pub fn new(
        request: &BatchRequest,
        dedup: Option<Arc<Deduplicator>>,
        execution: Arc<Execution>,
        deliver: F,
    ) -> Self {
        let filter = request.filter.clone();
        Self {
            decoder: Decoder::new(&request.projection, filter, request.batch_rows),
            dedup,
            execution,
            left_rows: request.limit.unwrap_or(usize::MAX),
            deliver,
        }
    }
}

impl<F: FnMut(RecordBatch) -> bool + Send> Worker for DecodeWorker<F> {
    fn record(&mut self, record: &Record<'_>) -> Taken {
        if self.dedup.as_ref().is_some_and(|seen| !seen.insert(record)) {
            return Taken::Duplicate;
        }
        let is_due = self.decoder.push(record) || self.decoder.rows() >= self.left_rows;
        match is_due && !self.flush() {
            true => Taken::Enough,
            false => Taken::Row,
        }
    }

    fn flush(&mut self) -> bool {
        for mismatch in self.decoder.take_type_mismatches() {
            let stats = &self.execution.stats;
            stats.count_type_mismatches(mismatch.column, mismatch.count, mismatch.example);
        }
        let batch = self
            .decoder
            .finish()
            .expect("the columns are built for the schema");
        let Some(batch) = batch else {
            return self.left_rows > 0;
        };
        self.left_rows = self.left_rows.saturating_sub(batch.num_rows());
        (self.deliver)(batch) && self.left_rows > 0
    }
}
