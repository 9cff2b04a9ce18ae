//! Keeping: all rows of a thread in the order in which they are read, with the ends of their objects.
//!
//! ```text
//! rows of a thread   |---- a ----|-- b --|--------- c ---------|
//! batches            |-------|-------|-------|-------|---------|
//! cuts               |                           |             |   a keeper is full: also in an object's midst
//! ```

use std::sync::Arc;

use arrow::record_batch::RecordBatch;

use super::decode::{BatchRequest, DecodeWorker};
use super::notes::{KeptReject, ObjectNotes};
use super::worker::Worker;
use crate::envelope::{Outcome, Record, Taken};
use crate::execution::Execution;
use crate::payload::{Known, ObjectVersion};
use crate::reject::Reject;

/// A keeper of a thread's rows.
pub trait RowKeeper: Send {
    /// Takes rows.
    fn take_rows(&mut self, rows: RecordBatch);

    /// Hears of an object, or of the next part of one: the rows after those of the call before are its. Some
    /// of them may be still to come.
    fn take_object(&mut self, object: KeptObject);

    /// Takes an object that was kept before.
    fn take_known(&mut self, known: &Known);

    /// Returns whether the rows so far are to be set apart.
    fn is_full(&self) -> bool;

    /// Sets the rows so far apart; those of all objects so far are among them. Returns whether more are
    /// wanted.
    fn cut(&mut self) -> bool;
}

/// An object of which rows were kept, or a part of one.
#[derive(Debug)]
pub struct KeptObject {
    /// Its name.
    pub origin: Arc<str>,
    /// Its version, where that is known.
    pub version: Option<ObjectVersion>,
    /// The number of the part, from 0.
    pub part: u32,
    /// Rows of the part.
    pub rows: u64,
    /// What else is told of the object; given with its last part.
    pub notes: Option<ObjectNotes>,
}

/// Hands all rows of a thread, decoded, to a keeper.
pub struct KeepWorker<F, K> {
    decoding: DecodeWorker<F>,
    batches: Batches,
    keeper: K,
    current: Option<Current>,
    wants_more: bool,
}

/// The object that is being read.
struct Current {
    origin: Arc<str>,
    version: Option<ObjectVersion>,
    part: u32,
    rows: u64,
    notes: ObjectNotes,
    reject_bytes: usize,
}

impl Current {
    /// Notes a reject. An object with too many is of no version that is known again.
    fn add_reject(&mut self, reject: &Reject<'_>) {
        if self.reject_bytes > MOST_REJECT_BYTES {
            return;
        }
        let reject = KeptReject::new(reject);
        self.reject_bytes += reject.bytes();
        self.notes.rejects.push(reject);
        if self.reject_bytes > MOST_REJECT_BYTES {
            self.version = None;
            self.notes.rejects = Vec::new();
        }
    }
}

/// Batches on their way from the decoder to the keeper.
type Batches = Arc<std::sync::Mutex<Vec<RecordBatch>>>;

/// Returns a worker for one thread. All rows are kept, so that `request` has no filter and no limit.
pub fn keep_worker<K: RowKeeper>(
    request: &BatchRequest,
    execution: Arc<Execution>,
    keeper: K,
) -> KeepWorker<impl FnMut(RecordBatch) -> bool + Send, K> {
    let batches = Batches::default();
    let decoded = Arc::clone(&batches);
    let decoding = DecodeWorker::new(request, None, execution, move |batch| {
        lock(&decoded).push(batch);
        true
    });
    KeepWorker {
        decoding: decoding.with_noted_mismatches(),
        batches,
        keeper,
        current: None,
        wants_more: true,
    }
}

impl<F: FnMut(RecordBatch) -> bool + Send, K: RowKeeper> KeepWorker<F, K> {
    fn hand_down(&mut self) {
        for batch in lock(&self.batches).drain(..) {
            self.keeper.take_rows(batch);
        }
    }

    /// Sets the rows apart, if they are enough; returns whether more are wanted.
    fn cut_if_full(&mut self) -> bool {
        self.hand_down();
        match self.keeper.is_full() {
            true => self.cut(),
            false => self.wants_more,
        }
    }

    fn cut(&mut self) -> bool {
        // What is still in the decoder belongs to the objects so far.
        self.decoding.flush();
        self.hand_down();
        if let Some(current) = self.current.as_mut().filter(|it| it.rows > 0) {
            self.keeper.take_object(KeptObject {
                origin: Arc::clone(&current.origin),
                version: current.version.clone(),
                part: current.part,
                rows: std::mem::take(&mut current.rows),
                notes: None,
            });
            current.part += 1;
        }
        self.wants_more &= self.keeper.cut();
        self.wants_more
    }
}

impl<F: FnMut(RecordBatch) -> bool + Send, K: RowKeeper> Worker for KeepWorker<F, K> {
    fn record(&mut self, record: &Record<'_>) -> Taken {
        let taken = self.decoding.record(record);
        if let (Taken::Row, Some(current)) = (&taken, &mut self.current) {
            current.rows += 1;
        }
        if lock(&self.batches).is_empty() {
            return taken;
        }
        match self.cut_if_full() {
            true => taken,
            false => Taken::Enough,
        }
    }

    fn flush(&mut self) -> bool {
        self.cut()
    }

    fn known(&mut self, known: &Known) -> bool {
        self.keeper.take_known(known);
        self.wants_more
    }

    fn begin_payload(&mut self, origin: &Arc<str>, version: Option<&ObjectVersion>) {
        self.current = Some(Current {
            origin: Arc::clone(origin),
            version: version.cloned(),
            part: 0,
            rows: 0,
            notes: ObjectNotes::default(),
            reject_bytes: 0,
        });
    }

    fn not_cloudtrail(&mut self, kind: &'static str, count: u64) {
        if let Some(current) = &mut self.current {
            current.notes.counts.add_not_cloudtrail(kind, count);
        }
    }

    fn rejected(&mut self, reject: &Reject<'_>) {
        if let Some(current) = &mut self.current {
            current.add_reject(reject);
        }
    }

    fn finish_payload(&mut self, _origin: &Arc<str>, outcome: &Outcome) {
        let mismatches = self.decoding.take_noted();
        let Some(mut current) = self.current.take() else {
            return;
        };
        current.notes.mismatches = mismatches;
        current.notes.counts.outcome = Outcome {
            // Nothing is decompressed when the rows are used.
            decompressed_bytes: 0,
            ..*outcome
        };
        self.keeper.take_object(KeptObject {
            origin: current.origin,
            version: current.version,
            part: current.part,
            rows: current.rows,
            notes: Some(current.notes),
        });
    }
}

fn lock(batches: &Batches) -> std::sync::MutexGuard<'_, Vec<RecordBatch>> {
    let locked = batches.lock();
    locked.unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The most bytes of rejects that are noted of an object.
const MOST_REJECT_BYTES: usize = 256 << 10;
