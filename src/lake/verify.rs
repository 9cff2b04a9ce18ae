//! The check of a lake: each file against what the log says of it.

use std::collections::{BTreeMap, HashMap, HashSet};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;

use super::checksum::{self, Checksum};
use super::file::{LakeFile, StatsValue};
use super::layout;
use super::log::Version;
use super::storage::Storage;
use crate::decoding::guarded;
use crate::error::{Error, Result};

/// The outcome of a check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// Files that were read.
    pub files: u64,
    /// Rows in them.
    pub rows: u64,
    /// Faults, in words: the file, and what is wrong with it.
    pub faults: Vec<String>,
    /// Files that are in the folder and not in the newest version: replaced, or of writers that died or are
    /// at work.
    pub orphans: u64,
    /// Files that were read and whose names have no checksum: those of other programs. Of these a changed value
    /// is seen only where it makes the file unreadable or contradicts the log.
    pub without_checksum: u64,
}

/// Reads all files of a version and compares them with the log. Events are told apart within their
/// partition, as copies of one are in the same; that takes some 40 bytes an event of the largest
/// partition.
///
/// # Errors
/// Those of listing and of a storage that does not answer. What is wrong with the lake is no error.
pub async fn verify(storage: &dyn Storage, version: &Version) -> Result<Verification> {
    let listed = storage.list("").await?;
    let listed: HashMap<&str, u64> = listed
        .iter()
        .filter(|entry| !entry.path.starts_with('_') && !entry.path.contains("/_"))
        .map(|entry| (&*entry.path, entry.size_bytes))
        .collect();
    let named: HashSet<&str> = version.files.iter().map(|file| &*file.path).collect();
    let mut outcome = Verification {
        orphans: listed.keys().filter(|path| !named.contains(*path)).count() as u64,
        ..Verification::default()
    };
    if named.len() < version.files.len() {
        outcome.faults.push("a file is in the log twice".to_owned());
    }
    let mut by_partition: BTreeMap<_, Vec<&LakeFile>> = BTreeMap::new();
    for file in &*version.files {
        by_partition.entry(&file.partition).or_default().push(file);
    }
    for files in by_partition.into_values() {
        let mut events = HashSet::new();
        for file in files {
            match listed.get(&*file.path) {
                None => outcome.fault(file, "is in the log and not in the folder"),
                Some(size) if *size != file.size_bytes => {
                    let expected = file.size_bytes;
                    outcome.fault(
                        file,
                        &format!("has {size} bytes, and by the log {expected}"),
                    );
                }
                Some(_) => outcome.check(storage, file, &mut events).await?,
            }
        }
    }
    Ok(outcome)
}

impl Verification {
    fn fault(&mut self, file: &LakeFile, what: &str) {
        self.faults.push(format!("{} {what}", file.path));
    }

    async fn check(
        &mut self,
        storage: &dyn Storage,
        file: &LakeFile,
        events: &mut HashSet<(String, i64)>,
    ) -> Result<()> {
        let Some(bytes) = storage.read(&file.path).await? else {
            self.fault(file, "is gone");
            return Ok(());
        };
        let expected = Checksum::of_path(&file.path);
        let read = move || {
            let checksum = Checksum::of(&bytes);
            let batches = guarded(|| read(bytes)).unwrap_or_else(|panic| Err(panic.into()));
            (checksum, batches)
        };
        let (checksum, batches) = match tokio::task::spawn_blocking(read).await {
            Ok((checksum, Ok(batches))) => (checksum, batches),
            Ok((_, Err(error))) => {
                self.fault(file, &format!("cannot be read: {error}"));
                return Ok(());
            }
            Err(error) => return Err(Error::bug(format!("a thread that reads stopped: {error}"))),
        };
        self.files += 1;
        self.without_checksum += u64::from(expected.is_none());
        let faults = self.faults.len();
        self.compare(file, &batches, events);
        // Other faults say more.
        if self.faults.len() == faults && expected.is_some_and(|it| it != checksum) {
            self.fault(file, checksum::FAULT);
        }
        Ok(())
    }

    /// Compares the rows of a file with the log.
    fn compare(
        &mut self,
        file: &LakeFile,
        batches: &[RecordBatch],
        events: &mut HashSet<(String, i64)>,
    ) {
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        self.rows += rows as u64;
        if rows as u64 != file.stats.rows {
            self.fault(
                file,
                &format!("has {rows} rows, and by the log {}", file.stats.rows),
            );
        }
        for fault in wrong_facts(file, batches) {
            self.fault(file, &fault);
        }
        let day = file.partition.iter().find(|(name, _)| name == "dt");
        let mut duplicates = 0;
        for batch in batches {
            duplicates += count_duplicates(batch, events);
            let days = layout::days(batch, 0)
                .into_iter()
                .filter(|day| day.is_known);
            let strange =
                days.filter(|it| day.is_none_or(|(_, dt)| layout::day_name(it.number) != *dt));
            match strange.count() {
                0 => {}
                strange => self.fault(file, &format!("has {strange} events of other days")),
            }
        }
        if duplicates > 0 {
            self.fault(
                file,
                &format!("has {duplicates} events that are in the lake already"),
            );
        }
    }
}

fn read(bytes: Bytes) -> Result<Vec<RecordBatch>, ParquetError> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)?.build()?;
    reader.map(|batch| batch.map_err(Into::into)).collect()
}

/// Compares the log's facts about columns with the rows.
fn wrong_facts(file: &LakeFile, batches: &[RecordBatch]) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, facts) in &file.stats.columns {
        let arrays = batches.iter().map(|batch| batch.column_by_name(name));
        let rows = batches.iter().map(RecordBatch::num_rows);
        let nulls = arrays.clone().zip(rows);
        let nulls: usize = nulls
            .map(|(array, rows)| array.map_or(rows, |it| it.null_count()))
            .sum();
        if nulls as u64 != facts.nulls {
            faults.push(format!(
                "has {nulls} NULLs in {name}, and by the log {}",
                facts.nulls
            ));
        }
        let Some((least, most)) = &facts.range else {
            continue;
        };
        let values: Vec<(StatsValue, StatsValue)> =
            arrays.flatten().filter_map(|it| range(it)).collect();
        let is_least =
            values.iter().all(|(min, _)| min >= least) && values.iter().any(|it| it.0 == *least);
        let is_most =
            values.iter().all(|(_, max)| max <= most) && values.iter().any(|it| it.1 == *most);
        if !(is_least && is_most) {
            faults.push(format!("has other values in {name} than by the log"));
        }
    }
    faults
}

fn range(array: &dyn Array) -> Option<(StatsValue, StatsValue)> {
    if let Some(times) = array.as_primitive_opt::<TimestampMicrosecondType>() {
        let (least, most) = (arrow::compute::min(times)?, arrow::compute::max(times)?);
        return Some((StatsValue::Micros(least), StatsValue::Micros(most)));
    }
    let texts = array.as_string_opt::<i32>()?;
    let text = |it: &str| StatsValue::Text(it.to_owned());
    let (least, most) = (texts.iter().flatten().min()?, texts.iter().flatten().max()?);
    Some((text(least), text(most)))
}

/// Counts events that are among `events`, and adds the others.
fn count_duplicates(batch: &RecordBatch, events: &mut HashSet<(String, i64)>) -> u64 {
    let ids = batch
        .column_by_name("eventid")
        .and_then(|it| it.as_string_opt::<i32>());
    let prints = batch.column_by_name("fingerprint");
    let prints = prints.and_then(|it| it.as_primitive_opt::<Int64Type>());
    let (Some(ids), Some(prints)) = (ids, prints) else {
        return 0;
    };
    let pairs = ids.iter().zip(prints.iter());
    let pairs = pairs.filter_map(|(id, print)| Some((id?.to_owned(), print?)));
    pairs.filter(|pair| !events.insert(pair.clone())).count() as u64
}
