//! One question's use of a cache: objects are found, or decoded and added.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::RecordBatch;
use uuid::Uuid;

use super::segment::{self, KeptPart, Segment};
use super::{CachedObject, OpenCache, hash};
use crate::error::{Error, Result};
use crate::execution::Execution;
use crate::lake::LakeFile;
use crate::lake::writer::Arrivals;
use crate::pipeline::{KeptObject, RowKeeper};
use crate::source::{Known, KnownObjects, ObjectVersion};

/// The objects of one question, as they are found or added.
#[derive(Debug)]
pub struct Filling {
    cache: Arc<OpenCache>,
    /// Bytes of the segments that were used or written.
    used_bytes: AtomicU64,
    is_over: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Rows that were found, by segment.
    found: BTreeMap<usize, Vec<Range<u64>>>,
    written: Vec<Segment>,
    failure: Option<Error>,
}

/// The rows of a question, in the cache. The cache stays in use until this is dropped.
#[derive(Debug)]
pub struct KeptRows {
    /// The files with rows.
    pub files: Arc<[LakeFile]>,
    /// The rows of the files of which not all are wanted, by path.
    pub ranges: HashMap<String, Vec<Range<u64>>>,
    cache: Arc<OpenCache>,
}

impl KeptRows {
    /// The folder of the files.
    pub fn folder(&self) -> &Path {
        &self.cache.folder
    }
}

impl Filling {
    /// Begins a question.
    pub fn new(cache: Arc<OpenCache>) -> Arc<Self> {
        Arc::new(Self {
            cache,
            used_bytes: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            state: Mutex::default(),
        })
    }

    /// Returns a keeper of the rows of one thread; objects that are known are told to `execution`.
    pub fn keeper(self: &Arc<Self>, execution: &Arc<Execution>) -> SegmentKeeper {
        SegmentKeeper {
            filling: Arc::clone(self),
            execution: Arc::clone(execution),
            rows: Arrivals::default(),
            parts: Vec::new(),
            next_row: 0,
            name: Uuid::new_v4(),
            readings: 0,
            failure: None,
        }
    }

    /// Ends the question; `None` if the cache is too small for it, and then nothing is added.
    ///
    /// # Errors
    /// The first failure to write, and then nothing is added.
    pub fn finish(&self) -> Result<Option<KeptRows>> {
        let mut state = self.state();
        let failure = state.failure.take();
        if failure.is_some() || self.is_over.load(Relaxed) {
            for segment in state.written.drain(..) {
                segment::remove(self.folder(), &segment.file.path);
            }
            return failure.map_or(Ok(None), Err);
        }
        let mut files = Vec::new();
        let mut ranges = HashMap::new();
        for (number, found) in std::mem::take(&mut state.found) {
            let file = &self.cache.segments[number].file;
            segment::touch(self.folder(), &file.path);
            let found = joined(found);
            match found.as_slice() {
                [] => continue,
                [all] if *all == (0..file.stats.rows) => {}
                _ => drop(ranges.insert(file.path.clone(), found)),
            }
            files.push(file.clone());
        }
        let written = state.written.drain(..).map(|segment| segment.file);
        files.extend(written.filter(|file| file.stats.rows > 0));
        Ok(Some(KeptRows {
            files: files.into(),
            ranges,
            cache: Arc::clone(&self.cache),
        }))
    }

    fn folder(&self) -> &PathBuf {
        &self.cache.folder
    }

    fn find(&self, object: &CachedObject) {
        let mut state = self.state();
        for (segment, rows) in &object.places {
            let found = state.found.entry(*segment).or_insert_with(|| {
                let bytes = self.cache.segments[*segment].file.size_bytes;
                self.used_bytes.fetch_add(bytes, Relaxed);
                Vec::new()
            });
            if !rows.is_empty() {
                found.push(rows.clone());
            }
        }
    }

    /// Adds a segment; returns whether there is room for more.
    fn add(&self, rows: Arrivals, parts: Vec<KeptPart>) -> bool {
        if self.is_over.load(Relaxed) {
            return false;
        }
        let written = segment::write(self.folder(), rows, parts);
        let mut state = self.state();
        match written {
            Ok((segment, bytes)) => {
                state.written.push(segment);
                let used = self.used_bytes.fetch_add(bytes, Relaxed) + bytes;
                if used > self.cache.limit_bytes {
                    self.is_over.store(true, Relaxed);
                }
            }
            Err(error) => {
                state.failure.get_or_insert(error);
                self.is_over.store(true, Relaxed);
            }
        }
        !self.is_over.load(Relaxed)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Usable after a panic elsewhere: the question ends with an error then.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KnownObjects for Filling {
    fn find(&self, origin: &Arc<str>, version: &ObjectVersion) -> Option<Known> {
        let object = self.cache.find(origin, version)?;
        Some(Arc::clone(object) as Known)
    }
}

/// Makes segments of the rows of one thread.
#[derive(Debug)]
pub struct SegmentKeeper {
    filling: Arc<Filling>,
    execution: Arc<Execution>,
    rows: Arrivals,
    parts: Vec<KeptPart>,
    /// The first row of the next object in the segment.
    next_row: u64,
    /// A name that no other keeper has.
    name: Uuid,
    /// Objects that were read.
    readings: u64,
    failure: Option<Error>,
}

impl RowKeeper for SegmentKeeper {
    fn take_rows(&mut self, rows: RecordBatch) {
        if let Err(error) = self.rows.add(&rows) {
            self.failure.get_or_insert(error);
        }
    }

    fn take_object(&mut self, object: KeptObject) {
        let rows = self.next_row..self.next_row + object.rows;
        self.next_row = rows.end;
        let reading = hash(&(self.name, self.readings));
        let is_last = object.notes.is_some();
        self.readings += u64::from(is_last);
        let notes = object.notes.as_ref();
        let is_told_again = notes.is_none_or(|notes| !notes.is_unfinished());
        // Rows of an object that is not known again are used this once.
        if let Some(version) = object.version.filter(|_| is_told_again) {
            self.parts.push(KeptPart {
                origin: object.origin,
                version,
                rows,
                number: object.part,
                reading,
                notes: object.notes,
            });
        }
    }

    fn take_known(&mut self, known: &Known) {
        if let Some(object) = known.downcast_ref::<CachedObject>() {
            object.notes.tell(&self.execution);
            self.filling.find(object);
        }
    }

    fn is_full(&self) -> bool {
        self.rows.bytes() >= SEGMENT_BYTES || self.rows.rows() >= SEGMENT_ROWS
    }

    fn cut(&mut self) -> bool {
        self.next_row = 0;
        let (rows, parts) = (
            std::mem::take(&mut self.rows),
            std::mem::take(&mut self.parts),
        );
        if let Some(error) = self.failure.take() {
            self.filling.state().failure.get_or_insert(error);
            self.filling.is_over.store(true, Relaxed);
        }
        match rows.rows() == 0 && parts.is_empty() {
            true => !self.filling.is_over.load(Relaxed),
            false => self.filling.add(rows, parts),
        }
    }
}

/// Returns ranges in their order, those that touch as one.
fn joined(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.sort_unstable_by_key(|range| range.start);
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => joined.push(range),
        }
    }
    joined
}

/// Bytes of memory of a segment's rows; it is cut as soon as it has as many. Each thread takes three times as
/// much while it makes the file.
pub(super) const SEGMENT_BYTES: usize = 32 << 20;

/// Rows of a segment, fewer than a row group may have.
const SEGMENT_ROWS: usize = 100_000;
