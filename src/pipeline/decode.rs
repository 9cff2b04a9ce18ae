//! The worker that makes batches of records.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use arrow::record_batch::RecordBatch;

use super::recording::{DecodedObject, ObjectRecorder, Recording, count_mismatch};
use super::served::Served;
use super::worker::Worker;
use crate::envelope::{Outcome, Record, Redactor, Taken};
use crate::events::columns::catalog;
use crate::events::{Decoder, Deduplicator, RowFilter, TypeMismatch};
use crate::execution::Execution;
use crate::payload::{Known, ObjectVersion};
use crate::reject::Reject;

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
    /// Whether secrets are hidden before anything else sees a record. Rows that were decoded earlier come
    /// as they were, so it goes with no recorder.
    pub redact: bool,
}

/// Decodes records into batches and hands these to a function, which returns whether more is wanted.
pub struct DecodeWorker<F> {
    decoder: Decoder,
    dedup: Option<Arc<Deduplicator>>,
    redactor: Option<Redactor>,
    execution: Arc<Execution>,
    left_rows: usize,
    in_payload: bool,
    /// The last batch before the limit. Who has it may end the execution, so it waits until its payload is
    /// counted.
    last: Option<RecordBatch>,
    served: Served,
    recording: Option<Recording>,
    /// Mismatches that were counted, for a consumer that takes note of them.
    noted: Option<Vec<TypeMismatch>>,
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
        let decoder = Decoder::new(&request.projection, filter, request.batch_rows);
        Self {
            served: Served::new(Arc::clone(decoder.schema()), request.batch_rows),
            recording: None,
            noted: None,
            decoder,
            dedup,
            redactor: request.redact.then(Redactor::default),
            execution,
            left_rows: request.limit.unwrap_or(usize::MAX),
            in_payload: false,
            last: None,
            deliver,
        }
    }

    /// Hands all rows of sound objects to `recorder` too. To be called if the request has no filter, as
    /// what is recorded would not be whole, and nothing is left out as a duplicate.
    #[must_use]
    pub fn with_recorder(
        mut self,
        request: &BatchRequest,
        recorder: Arc<dyn ObjectRecorder>,
    ) -> Self {
        let columns = catalog().columns();
        let paths = request.projection.iter().map(|&at| &*columns[at].path);
        self.recording = Some(Recording::new(recorder, paths.collect()));
        self
    }

    /// Notes the mismatches from now on, for [`DecodeWorker::take_noted`].
    #[must_use]
    pub(super) fn with_noted_mismatches(mut self) -> Self {
        self.noted = Some(Vec::new());
        self
    }

    /// Counts the mismatches of the current payload, and returns those that were noted.
    pub(super) fn take_noted(&mut self) -> Vec<TypeMismatch> {
        self.count_mismatches();
        self.noted.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Counts the mismatches of the current payload.
    fn count_mismatches(&mut self) {
        for mismatch in self.decoder.take_type_mismatches() {
            if let Some(recording) = &mut self.recording {
                recording.add_mismatch(&mismatch);
            }
            if let Some(noted) = &mut self.noted {
                noted.push(mismatch.clone());
            }
            count_mismatch(&self.execution, mismatch);
        }
    }

    /// Hands a batch down; returns whether more is wanted.
    fn deliver(&mut self, batch: Option<RecordBatch>) -> bool {
        let Some(batch) = batch else {
            return self.left_rows > 0;
        };
        self.left_rows = self.left_rows.saturating_sub(batch.num_rows());
        if self.left_rows == 0 && self.in_payload {
            self.last.get_or_insert(batch);
            return false;
        }
        (self.deliver)(batch) && self.left_rows > 0
    }

    /// Takes a record whose secrets are hidden, if they are to be.
    fn take(&mut self, record: &Record<'_>) -> Taken {
        if self.dedup.as_ref().is_some_and(|seen| !seen.insert(record)) {
            return Taken::Duplicate;
        }
        if let Some(recording) = &mut self.recording {
            recording.add_row();
        }
        let is_due = self.decoder.push(record) || self.decoder.rows() >= self.left_rows;
        match is_due && !self.flush() {
            true => Taken::Enough,
            false => Taken::Row,
        }
    }

    fn flush_known(&mut self) -> bool {
        let batch = self.served.finish();
        self.deliver(batch.expect("the columns were decoded for the schema"))
    }
}

impl<F: FnMut(RecordBatch) -> bool + Send> Worker for DecodeWorker<F> {
    fn record(&mut self, record: &Record<'_>) -> Taken {
        let Some(mut redactor) = self.redactor.take() else {
            return self.take(record);
        };
        let (record, count) = redactor.redact(record);
        self.execution.stats.redacted.fetch_add(count, Relaxed);
        let taken = self.take(&record);
        self.redactor = Some(redactor);
        taken
    }

    fn flush(&mut self) -> bool {
        self.count_mismatches();
        let batch = self
            .decoder
            .finish()
            .expect("the columns are built for the schema");
        if let (Some(recording), Some(batch)) = (&mut self.recording, &batch) {
            recording.take_batch(batch);
        }
        self.deliver(batch) && self.flush_known()
    }

    fn known(&mut self, rows: &Known) -> bool {
        let object = DecodedObject::of_known(&**rows);
        object.count(&self.execution);
        for chunk in 0..object.chunks() {
            let is_due = self.served.push(object, chunk) || self.served.rows() >= self.left_rows;
            if is_due && !self.flush_known() {
                return false;
            }
        }
        true
    }

    fn begin_payload(&mut self, origin: &Arc<str>, version: Option<&ObjectVersion>) {
        self.in_payload = true;
        if let Some(recording) = &mut self.recording {
            recording.begin(origin, version);
        }
    }

    fn not_cloudtrail(&mut self, kind: &'static str, count: u64) {
        if let Some(recording) = &mut self.recording {
            recording.add_not_cloudtrail(kind, count);
        }
    }

    fn rejected(&mut self, _reject: &Reject<'_>) {
        if let Some(recording) = &mut self.recording {
            recording.spoil();
        }
    }

    fn finish_payload(&mut self, _origin: &Arc<str>, outcome: &Outcome) {
        if self.recording.is_some() {
            self.count_mismatches();
        }
        if let Some(recording) = &mut self.recording {
            recording.finish(outcome);
        }
        self.in_payload = false;
        if let Some(last) = self.last.take() {
            (self.deliver)(last);
        }
    }
}
