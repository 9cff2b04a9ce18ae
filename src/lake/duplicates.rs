//! Duplicates: events of a new file that the lake has already, and events that come twice before they
//! are committed.
//!
//! Two rows are the same event if they have the same event ID and the same fingerprint. Equal events have
//! equal times, so the files and row groups whose times do not reach a row's are not looked at, and of
//! the others only those whose bloom filter may have the event ID. A look-up reads of a file
//!
//! 1. its footer and the bloom filters of event IDs, once, as long as the memory for them lasts;
//! 2. two columns of a row group, only if it may have one of the events.
//!
//! A file without bloom filters is looked up by its columns. A file without a column `fingerprint`, made
//! by other software, has no duplicates: the same event ID alone may be a correction.

mod epoch;
mod facts;

use std::sync::{Arc, PoisonError, RwLock};

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use hashbrown::HashMap;
use object_store::ObjectStore;
use parquet::errors::ParquetError;

use super::file::{LakeFile, StatsValue};
use super::storage::read_error;
use crate::decoding::guarded_future;
use crate::error::{Error, Result};
use facts::{FileFacts, TimeRange};

pub use epoch::EpochEvents;

/// Names of the columns that tell events apart.
const EVENT_ID: &str = "eventid";
const FINGERPRINT: &str = "fingerprint";
const EVENT_TIME: &str = "eventtime";

/// Files of a look-up that are looked at at the same time.
const FILES_AT_ONCE: usize = 4;

/// The events of a lake, shared by all who make files for it.
#[derive(Debug)]
pub struct KnownEvents {
    facts: FileFacts,
    files: RwLock<Arc<FilesByPartition>>,
}

/// The files of a version by their folders, so that a look-up costs nothing for those of other days.
#[derive(Debug, Default)]
struct FilesByPartition {
    files: Arc<[LakeFile]>,
    partitions: HashMap<Vec<(String, String)>, Vec<usize>>,
}

impl KnownEvents {
    /// Creates the look-up in a lake that has no files yet. `store` is rooted at the lake.
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self {
            facts: FileFacts::new(store),
            files: RwLock::default(),
        }
    }

    /// Takes the files of the version that is compared with.
    pub fn set_files(&self, files: Arc<[LakeFile]>) {
        let files = Arc::new(FilesByPartition::new(files));
        *self.files.write().unwrap_or_else(PoisonError::into_inner) = files;
    }

    /// Returns for each row whether the partition has its event already; `None` if it has none of them.
    ///
    /// `rows` has the columns `eventid`, `fingerprint` and `eventtime`. A row whose event ID or fingerprint
    /// is NULL is never a duplicate. A row without a time is looked for in all files of the partition.
    ///
    /// # Errors
    /// Io, with the file's name, if a file cannot be read.
    pub async fn find(
        &self,
        partition: &[(String, String)],
        rows: &RecordBatch,
    ) -> Result<Option<BooleanArray>> {
        let files = Arc::clone(&self.files.read().unwrap_or_else(PoisonError::into_inner));
        self.search(files.of(partition), &NewRows::new(rows)?).await
    }

    /// Returns for each row whether one of `files` has its event, as [`KnownEvents::find`] does.
    ///
    /// # Errors
    /// As of [`KnownEvents::find`].
    pub async fn find_in(
        &self,
        files: &[LakeFile],
        rows: &RecordBatch,
    ) -> Result<Option<BooleanArray>> {
        self.search(files.iter(), &NewRows::new(rows)?).await
    }

    async fn search<'a>(
        &self,
        files: impl Iterator<Item = &'a LakeFile>,
        rows: &NewRows,
    ) -> Result<Option<BooleanArray>> {
        let searches: Vec<BoxFuture<'_, Result<Vec<usize>>>> = files
            .filter(|file| rows.may_be_in(file))
            .map(|file| self.search_file(file, rows).boxed())
            .collect();
        let mut hits = stream::iter(searches).buffer_unordered(FILES_AT_ONCE);
        let mut is_known = vec![false; rows.ids.len()];
        while let Some(hits) = hits.try_next().await? {
            hits.into_iter().for_each(|row| is_known[row] = true);
        }
        let has_any = is_known.contains(&true);
        Ok(has_any.then(|| BooleanArray::from(is_known)))
    }

    /// Returns the rows whose events the file has.
    async fn search_file(&self, file: &LakeFile, rows: &NewRows) -> Result<Vec<usize>> {
        let found = guarded_future(self.matching_rows(file, rows)).await;
        let found = found.unwrap_or_else(|panic| Err(panic.into()));
        found.map_err(|error| {
            let path = &file.path;
            let message =
                format!("the lake's file {path} cannot be searched for duplicates: {error}");
            read_error(message, error)
        })
    }

    async fn matching_rows(
        &self,
        file: &LakeFile,
        rows: &NewRows,
    ) -> Result<Vec<usize>, ParquetError> {
        let in_file = rows.within(rows.identified(), times_of(file));
        let Some(footer) = self.facts.footer(file).await? else {
            return Ok(Vec::new());
        };
        let mut found = Vec::new();
        for group in 0..footer.groups() {
            let mut in_group = rows.within(in_file.iter().copied(), footer.times(group));
            if in_group.is_empty() {
                continue;
            }
            if let Some(filter) = self.facts.bloom_filter(file, &footer, group).await? {
                in_group.retain(|&row| filter.check(rows.ids.value(row)));
            }
            if !in_group.is_empty() {
                let mut events = self.facts.events(file, &footer, group)?;
                let wanted = rows.by_fingerprint(&in_group);
                while let Some(batch) = events.try_next().await? {
                    add_matches(&batch, rows, &wanted, &mut found)?;
                }
            }
        }
        Ok(found)
    }
}

impl FilesByPartition {
    fn new(files: Arc<[LakeFile]>) -> Self {
        let mut partitions: HashMap<_, Vec<usize>> = HashMap::new();
        for (index, file) in files.iter().enumerate() {
            match partitions.get_mut(&file.partition) {
                Some(same) => same.push(index),
                None => drop(partitions.insert(file.partition.clone(), vec![index])),
            }
        }
        Self { files, partitions }
    }

    fn of(&self, partition: &[(String, String)]) -> impl Iterator<Item = &LakeFile> {
        let same = self.partitions.get(partition).into_iter().flatten();
        same.map(|&index| &self.files[index])
    }
}

/// Rows by fingerprint.
type Wanted = HashMap<i64, Vec<usize>>;

/// Adds the wanted rows whose events are in a batch of a file.
fn add_matches(
    batch: &RecordBatch,
    rows: &NewRows,
    wanted: &Wanted,
    found: &mut Vec<usize>,
) -> Result<(), ParquetError> {
    let column = |name, as_type| -> Result<ArrayRef, ParquetError> {
        let column = batch.column_by_name(name);
        let column = column.ok_or_else(|| ParquetError::General(format!("no column {name}")))?;
        Ok(arrow::compute::cast(column, as_type)?)
    };
    let ids = column(EVENT_ID, &arrow::datatypes::DataType::Utf8)?;
    let fingerprints = column(FINGERPRINT, &arrow::datatypes::DataType::Int64)?;
    let (ids, fingerprints) = (
        ids.as_string::<i32>(),
        fingerprints.as_primitive::<Int64Type>(),
    );
    for at in 0..batch.num_rows() {
        if ids.is_null(at) || fingerprints.is_null(at) {
            continue;
        }
        let same = wanted.get(&fingerprints.value(at)).into_iter().flatten();
        found.extend(same.filter(|&&row| rows.ids.value(row) == ids.value(at)));
    }
    Ok(())
}

/// The rows to look for.
struct NewRows {
    ids: StringArray,
    fingerprints: Int64Array,
    times: TimestampMicrosecondArray,
    /// The times of those rows that can be in a file, ascending: most files of a lake have other times,
    /// and are not to cost a look at every row.
    ascending: Vec<i64>,
    /// Whether one of those rows has no time.
    has_untimed: bool,
}

impl NewRows {
    fn new(rows: &RecordBatch) -> Result<Self> {
        let (ids, fingerprints) = identities(rows)?;
        let times = match rows.column_by_name(EVENT_TIME) {
            None => TimestampMicrosecondArray::new_null(rows.num_rows()),
            Some(times) => {
                let times = times.as_primitive_opt::<TimestampMicrosecondType>();
                times.ok_or_else(|| unexpected(EVENT_TIME))?.clone()
            }
        };
        let mut rows = Self {
            ids,
            fingerprints,
            times,
            ascending: Vec::new(),
            has_untimed: false,
        };
        let (timed, untimed): (Vec<usize>, Vec<usize>) =
            rows.identified().partition(|&row| rows.times.is_valid(row));
        rows.has_untimed = !untimed.is_empty();
        rows.ascending = timed.iter().map(|&row| rows.times.value(row)).collect();
        rows.ascending.sort_unstable();
        Ok(rows)
    }

    /// Returns the rows that have an event ID and a fingerprint.
    fn identified(&self) -> impl Iterator<Item = usize> {
        let rows = 0..self.ids.len();
        rows.filter(|&row| self.ids.is_valid(row) && self.fingerprints.is_valid(row))
    }

    fn may_be_in(&self, file: &LakeFile) -> bool {
        let Some((least, most)) = times_of(file).filter(|_| !self.has_untimed) else {
            return self.has_untimed || !self.ascending.is_empty();
        };
        let first = self.ascending.partition_point(|&time| time < least);
        self.ascending.get(first).is_some_and(|&time| time <= most)
    }

    /// Returns those of `rows` whose events may be among events of these times.
    fn within(&self, rows: impl Iterator<Item = usize>, times: Option<TimeRange>) -> Vec<usize> {
        rows.filter(|&row| self.is_within(row, times)).collect()
    }

    fn is_within(&self, row: usize, times: Option<TimeRange>) -> bool {
        let Some((least, most)) = times.filter(|_| self.times.is_valid(row)) else {
            return true;
        };
        (least..=most).contains(&self.times.value(row))
    }

    fn by_fingerprint(&self, rows: &[usize]) -> Wanted {
        let mut wanted = Wanted::new();
        for &row in rows {
            let same = wanted.entry(self.fingerprints.value(row));
            same.or_default().push(row);
        }
        wanted
    }
}

/// Returns the columns that tell events apart. One that is not there is NULL in all rows.
fn identities(rows: &RecordBatch) -> Result<(StringArray, Int64Array)> {
    let ids = match rows.column_by_name(EVENT_ID) {
        None => StringArray::new_null(rows.num_rows()),
        Some(ids) => {
            let ids = ids.as_string_opt::<i32>();
            ids.ok_or_else(|| unexpected(EVENT_ID))?.clone()
        }
    };
    let fingerprints = match rows.column_by_name(FINGERPRINT) {
        None => Int64Array::new_null(rows.num_rows()),
        Some(fingerprints) => {
            let fingerprints = fingerprints.as_primitive_opt::<Int64Type>();
            fingerprints.ok_or_else(|| unexpected(FINGERPRINT))?.clone()
        }
    };
    Ok((ids, fingerprints))
}

fn unexpected(column: &str) -> Error {
    Error::bug(format!(
        "rows to compare have no column {column} of its type"
    ))
}

/// Returns the times of the events in a file; `None` if they are not known. Some writers cut them to
/// milliseconds, so the last is taken as late as it may be.
fn times_of(file: &LakeFile) -> Option<TimeRange> {
    match file.stats.columns.get(EVENT_TIME)?.range {
        Some((StatsValue::Micros(least), StatsValue::Micros(most))) => {
            Some((least, most.saturating_add(999)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
