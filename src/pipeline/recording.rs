//! Recording: the rows of whole objects, as they are decoded, for a consumer that keeps them.
//!
//! ```text
//! batches    |-------------|---------------|----------|
//! objects    |-- a --|----- b -----|-- c --|---- d ---|
//! chunks     |-- a --|- b -|- b ---|-- c --|---- d ---|     copies, of at most CHUNK_ROWS rows
//! ```

use std::any::Any;
use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::compute::concat;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;

use crate::envelope::Outcome;
use crate::events::TypeMismatch;
use crate::execution::Execution;
use crate::payload::ObjectVersion;

/// Rows of a chunk; the last one of an object has fewer.
pub const CHUNK_ROWS: usize = 4096;

/// A keeper of the rows of objects.
pub trait ObjectRecorder: Send + Sync {
    /// Sets `bytes` more aside for an object that is being decoded. Returns `false` if it keeps nothing
    /// more.
    fn reserve(&self, bytes: usize) -> bool;

    /// Takes the rows of a whole object, with the columns in the order of the projection. The bytes of
    /// its columns have been set aside.
    fn record(&self, origin: &Arc<str>, version: &ObjectVersion, object: DecodedObject);
}

/// All rows of an object, in some columns.
#[derive(Clone, Debug, Default)]
pub struct DecodedObject {
    /// The number of rows.
    pub rows: usize,
    /// The columns, in the order of a projection.
    pub columns: Vec<DecodedColumn>,
    /// The counts, which do not depend on the columns.
    pub counts: ObjectCounts,
}

/// All rows of an object in one column.
#[derive(Clone, Debug, Default)]
pub struct DecodedColumn {
    /// Arrays of [`CHUNK_ROWS`] rows, and one of the rest. `None` is a chunk of NULLs.
    pub chunks: Arc<[Option<ArrayRef>]>,
    /// Bytes of the arrays.
    pub bytes: usize,
    /// Values that did not fit the column's type.
    pub mismatch: Option<TypeMismatch>,
}

/// The counts of a sound object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectCounts {
    pub(super) outcome: Outcome,
    pub(super) not_cloudtrail: Vec<(&'static str, u64)>,
}

impl ObjectCounts {
    /// Notes sound input that is no event.
    pub(super) fn add_not_cloudtrail(&mut self, kind: &'static str, count: u64) {
        let known = &mut self.not_cloudtrail;
        match known.iter_mut().find(|(name, _)| *name == kind) {
            Some((_, sum)) => *sum += count,
            None => known.push((kind, count)),
        }
    }

    /// Counts the object as if it had been read.
    pub(super) fn count(&self, execution: &Execution) {
        self.outcome.add_to(&execution.stats);
        for (kind, count) in &self.not_cloudtrail {
            execution.stats.not_cloudtrail(kind, *count);
        }
    }
}

impl DecodedObject {
    /// Returns the object that a [`crate::payload::Known`] holds.
    pub(super) fn of_known(known: &(dyn Any + Send + Sync)) -> &Self {
        known
            .downcast_ref()
            .expect("a consumer hands out what was recorded for it")
    }

    /// Returns the number of its chunks.
    pub(super) fn chunks(&self) -> usize {
        self.rows.div_ceil(CHUNK_ROWS)
    }

    /// Counts it as if it had been read.
    pub(super) fn count(&self, execution: &Execution) {
        self.counts.count(execution);
        for mismatch in self.columns.iter().flat_map(|column| &column.mismatch) {
            count_mismatch(execution, mismatch.clone());
        }
    }
}

/// Counts values that did not fit their column's type.
pub(super) fn count_mismatch(execution: &Execution, mismatch: TypeMismatch) {
    let stats = &execution.stats;
    stats.count_type_mismatches(mismatch.column, mismatch.count, mismatch.example);
}

/// The objects of one thread that are not recorded yet.
pub(super) struct Recording {
    recorder: Arc<dyn ObjectRecorder>,
    /// The paths of the columns.
    paths: Vec<&'static str>,
    /// Objects with rows in the decoder's batch, in their order; the last may be unfinished.
    pending: VecDeque<Pending>,
    /// Whether the recorder keeps nothing more.
    is_over: bool,
}

/// An object that is not recorded yet.
struct Pending {
    origin: Arc<str>,
    /// The version; `None` if the object is not to be recorded.
    version: Option<ObjectVersion>,
    rows_in_batch: usize,
    rows: usize,
    /// Slices of batches, not copied yet, and their rows.
    slices: Vec<RecordBatch>,
    slice_rows: usize,
    chunks: Vec<Chunk>,
    mismatches: Vec<TypeMismatch>,
    counts: ObjectCounts,
    is_finished: bool,
}

/// The rows of a chunk, by column.
type Chunk = Vec<Option<ArrayRef>>;

impl Recording {
    pub(super) fn new(recorder: Arc<dyn ObjectRecorder>, paths: Vec<&'static str>) -> Self {
        Self {
            recorder,
            paths,
            pending: VecDeque::new(),
            is_over: false,
        }
    }

    /// Begins an object.
    pub(super) fn begin(&mut self, origin: &Arc<str>, version: Option<&ObjectVersion>) {
        self.pending.push_back(Pending {
            origin: Arc::clone(origin),
            version: version.filter(|_| !self.is_over).cloned(),
            rows_in_batch: 0,
            rows: 0,
            slices: Vec::new(),
            slice_rows: 0,
            chunks: Vec::new(),
            mismatches: Vec::new(),
            counts: ObjectCounts::default(),
            is_finished: false,
        });
    }

    /// Counts a row of the current object.
    pub(super) fn add_row(&mut self) {
        if let Some(object) = self.pending.back_mut() {
            object.rows_in_batch += 1;
        }
    }

    /// Notes sound input that is no event.
    pub(super) fn add_not_cloudtrail(&mut self, kind: &'static str, count: u64) {
        if let Some(object) = self.pending.back_mut() {
            object.counts.add_not_cloudtrail(kind, count);
        }
    }

    /// Notes values of the current object that did not fit their columns.
    pub(super) fn add_mismatch(&mut self, mismatch: &TypeMismatch) {
        let Some(object) = self.pending.back_mut() else {
            return;
        };
        let mut known = object.mismatches.iter_mut();
        match known.find(|known| known.column == mismatch.column) {
            Some(known) => known.count += mismatch.count,
            None => object.mismatches.push(mismatch.clone()),
        }
    }

    /// Gives up the current object, which is not sound or not whole.
    pub(super) fn spoil(&mut self) {
        if let Some(object) = self.pending.back_mut() {
            object.spoil();
        }
    }

    /// Ends the current object.
    pub(super) fn finish(&mut self, outcome: &Outcome) {
        let Some(object) = self.pending.back_mut() else {
            return;
        };
        if outcome.stopped || outcome.damaged || outcome.salvaged > 0 {
            object.spoil();
        }
        object.is_finished = true;
        object.counts.outcome = Outcome {
            // Nothing is decompressed when the rows are used.
            decompressed_bytes: 0,
            ..*outcome
        };
        self.file_finished();
    }

    /// Takes the rows of a batch, which belong to the objects in their order.
    pub(super) fn take_batch(&mut self, batch: &RecordBatch) {
        let mut at = 0;
        for object in &mut self.pending {
            let rows = std::mem::take(&mut object.rows_in_batch);
            object.take(batch.slice(at, rows), &*self.recorder);
            at += rows;
        }
        self.file_finished();
    }

    /// Records the objects of which no row is in the decoder.
    fn file_finished(&mut self) {
        while let Some(object) = self.pending.front()
            && object.is_finished
            && object.rows_in_batch == 0
            && let Some(object) = self.pending.pop_front()
        {
            self.is_over |= object.file(&self.paths, &*self.recorder).is_none();
        }
    }
}

impl Pending {
    fn spoil(&mut self) {
        self.version = None;
        self.slices.clear();
        self.chunks.clear();
    }

    /// Appends rows, copying them once a chunk is full.
    fn take(&mut self, slice: RecordBatch, recorder: &dyn ObjectRecorder) {
        if self.version.is_none() || slice.num_rows() == 0 {
            return;
        }
        self.rows += slice.num_rows();
        self.slice_rows += slice.num_rows();
        self.slices.push(slice);
        while self.slice_rows >= CHUNK_ROWS {
            if self.cut(CHUNK_ROWS, recorder).is_none() {
                return self.spoil();
            }
        }
    }

    /// Copies the first rows into a chunk; `None` if the recorder has no room for it.
    fn cut(&mut self, rows: usize, recorder: &dyn ObjectRecorder) -> Option<()> {
        let (mut parts, mut rest) = (Vec::new(), Vec::new());
        let mut left = rows;
        for slice in self.slices.drain(..) {
            let count = left.min(slice.num_rows());
            parts.push(slice.slice(0, count));
            if count < slice.num_rows() {
                rest.push(slice.slice(count, slice.num_rows() - count));
            }
            left -= count;
        }
        parts.retain(|part| part.num_rows() > 0);
        self.slices = rest;
        self.slice_rows -= rows;
        let chunk = copy(&parts).ok()?;
        let bytes = chunk.iter().map(array_bytes).sum();
        self.chunks.push(chunk);
        recorder.reserve(bytes).then_some(())
    }

    /// Hands the object to the recorder; `None` if that has no room for it.
    fn file(mut self, paths: &[&'static str], recorder: &dyn ObjectRecorder) -> Option<()> {
        let Some(version) = self.version.take() else {
            return Some(());
        };
        if self.slice_rows > 0 {
            self.cut(self.slice_rows, recorder)?;
        }
        let column = |(at, path): (usize, &&'static str)| {
            let chunks: Arc<[_]> = self.chunks.iter().map(|chunk| chunk[at].clone()).collect();
            let mismatches = &self.mismatches;
            DecodedColumn {
                bytes: chunks.iter().map(array_bytes).sum(),
                chunks,
                mismatch: mismatches.iter().find(|it| it.column == *path).cloned(),
            }
        };
        let object = DecodedObject {
            rows: self.rows,
            columns: paths.iter().enumerate().map(column).collect(),
            counts: self.counts,
        };
        recorder.record(&self.origin, &version, object);
        Some(())
    }
}

fn array_bytes(array: &Option<ArrayRef>) -> usize {
    array
        .as_ref()
        .map_or(0, |array| array.get_array_memory_size())
}

/// Copies rows out of the buffers of their batches, which would be held otherwise.
fn copy(parts: &[RecordBatch]) -> Result<Chunk, ArrowError> {
    let columns = parts.first().map_or(0, RecordBatch::num_columns);
    let copied = |column| {
        let mut arrays: Vec<ArrayRef> = parts
            .iter()
            .map(|part| Arc::clone(part.column(column)))
            .collect();
        if arrays.iter().all(|array| array.null_count() == array.len()) {
            return Ok(None);
        }
        // Of a single array, `concat` would make a slice.
        arrays.push(arrays[0].slice(0, 0));
        let arrays: Vec<&dyn Array> = arrays.iter().map(|array| &**array).collect();
        concat(&arrays).map(Some)
    };
    (0..columns).map(copied).collect()
}
