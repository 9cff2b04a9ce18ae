//! The writer of a lake's data files.
//!
//! ```text
//! batch ──> rows by partition ──> buffer: dt=2026-11-28  ▒▒▒▒▒
//!                                         dt=2026-11-29  ▒▒▒▒▒▒▒▒▒▒▒▒▒  a file's rows, or the
//!                                                              │        ripest of a full buffer
//!            sort by time, leave out what the lake has, encode, publish (a few at a time)
//!                                                              │
//!                                         dt=2026-11-29/part-….zstd.parquet
//! ```
//!
//! **Memory.** Rows wait in the buffer, which never holds more than
//! [`buffer_bytes`](WriterSettings::buffer_bytes) (unless a single batch does), over however many
//! days: when it is full, large partitions become files, small ones if they must. Each of the
//! [`threads`](WriterSettings::threads) that make files holds the rows of one, a column of them twice while
//! it sorts, and the encoded file, which is a fraction of that. So the writer holds at most about
//! `buffer_bytes + threads × min(max_bytes, buffer_bytes)`, a fraction of the latter for encoded files, and the
//! batch that is being added: [`LakeWriter::write`] waits while all threads are busy.

mod arrivals;
mod buffer;
mod encode;
mod gather;
mod job;
mod merge;
mod partition;
mod sparse;
mod stats;
#[cfg(test)]
mod tests;
mod threads;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Seek};
use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use async_trait::async_trait;
use bytes::Bytes;
use chrono::Utc;
use tokio::task::{JoinError, JoinSet};

use super::LakeFile;
use super::layout::{Partition, PartitionBy};
use crate::error::{Error, ErrorKind, Result};
use buffer::Buffer;
use encode::Effort;
use job::{FileJob, FinishedJob};
use partition::partitions;
use sparse::SparseBatch;

pub(super) use arrivals::Arrivals;
pub use encode::PAGE_ROWS;
pub(super) use merge::{Merge, Merged};

/// The place of finished files.
#[async_trait]
pub trait FileStore: Send + Sync + std::fmt::Debug {
    /// Publishes a whole file under a path below the lake's root; it is there whole or not at all.
    async fn publish(&self, path: &str, bytes: Bytes) -> Result<()>;

    /// Publishes what is in `file`, which need not fit in memory, in the same way.
    async fn publish_file(&self, path: &str, mut file: File) -> Result<()> {
        let mut bytes = Vec::new();
        let read = file.rewind().and_then(|()| file.read_to_end(&mut bytes));
        read.map_err(|error| Error::io(format!("a temporary file cannot be read: {error}")))?;
        self.publish(path, bytes.into()).await
    }
}

/// Leaves out rows before they are written, as the lake has their events already.
#[async_trait]
pub trait RowCheck: Send + Sync + std::fmt::Debug {
    /// Returns which rows stay, or `None` if all do. `rows` are all rows of a file, sorted by event
    /// time, with the columns that occur in them. Files of a partition may be checked at once.
    async fn keep(
        &self,
        partition: &[(String, String)],
        rows: &RecordBatch,
    ) -> Result<Option<BooleanArray>>;
}

/// Sizes and folders of the files that a [`LakeWriter`] makes.
#[derive(Clone, Debug)]
pub struct WriterSettings {
    /// The folders.
    pub partition_by: PartitionBy,
    /// The most rows of a file.
    pub max_rows: usize,
    /// The most bytes of a file's rows in memory; at most 1 GiB counts.
    pub max_bytes: usize,
    /// The most bytes of the rows that wait, over all partitions.
    pub buffer_bytes: usize,
    /// Files that are made at the same time.
    pub threads: usize,
}

/// The files that were made and the rows in them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Written {
    /// The files, by path.
    pub files: Vec<LakeFile>,
    /// Rows of the files.
    pub rows: u64,
    /// Rows that the check left out.
    pub duplicates: u64,
    /// Rows of the files whose event has no time.
    pub without_time: u64,
    /// The names of all columns that occur in a file.
    pub columns: BTreeSet<String>,
}

/// Writes batches of events to files, each with the rows of one partition, sorted by time.
///
/// After an error the writer is of no more use: it gives the same error for every call. Files that it
/// published are then nobody's, as no [`Written`] names them. The same holds for a writer whose
/// [`write`](Self::write) or [`finish`](Self::finish) was dropped before it was done.
#[derive(Debug)]
pub struct LakeWriter {
    store: Arc<dyn FileStore>,
    check: Option<Arc<dyn RowCheck>>,
    settings: WriterSettings,
    buffer: Buffer,
    peak_bytes: usize,
    /// Files that are being made; they are given up when the writer is dropped.
    jobs: JoinSet<Result<FinishedJob>>,
    written: Written,
    failed: Option<ErrorKind>,
}

impl LakeWriter {
    /// A writer of files to `store`, less the rows that `check` leaves out.
    pub fn new(
        store: Arc<dyn FileStore>,
        check: Option<Arc<dyn RowCheck>>,
        settings: WriterSettings,
    ) -> Self {
        let settings = WriterSettings {
            max_rows: settings.max_rows.max(1),
            max_bytes: settings.max_bytes.min(MOST_FILE_BYTES),
            threads: settings.threads.max(1),
            ..settings
        };
        Self {
            store,
            check,
            settings,
            buffer: Buffer::default(),
            peak_bytes: 0,
            jobs: JoinSet::new(),
            written: Written::default(),
            failed: None,
        }
    }

    /// Adds the rows of a batch, and starts files for those that have enough. Its columns are any of
    /// the [stored ones](super::stored_columns), by name; columns that are not there are NULL. Must be
    /// called within a tokio runtime.
    ///
    /// # Errors
    /// Those of the store and the check, for any file since the last call; Bug, if a column is not a
    /// stored one.
    pub async fn write(&mut self, batch: RecordBatch) -> Result<()> {
        self.check_usable()?;
        let added = self.add(&batch, None).await;
        self.remember(added)
    }

    /// Adds the rows of a batch that `keep` has, as [`write`](Self::write) does all of them. They are copied once at
    /// most, to their partition, and not to be with each other before.
    ///
    /// # Errors
    /// Those of [`write`](Self::write).
    pub async fn write_some(&mut self, batch: RecordBatch, keep: &BooleanArray) -> Result<()> {
        self.check_usable()?;
        let added = self.add(&batch, Some(keep)).await;
        self.remember(added)
    }

    /// Writes all rows that wait, and returns the files since the last call.
    ///
    /// # Errors
    /// Those of [`write`](Self::write). There is no [`Written`] then, not of other files either.
    pub async fn finish(&mut self) -> Result<Written> {
        self.check_usable()?;
        let finished = self.drain().await;
        self.remember(finished)?;
        let mut written = std::mem::take(&mut self.written);
        written.files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(written)
    }

    /// Returns the bytes of the rows that wait, in memory.
    pub fn buffered_bytes(&self) -> usize {
        self.buffer.bytes()
    }

    /// Returns the most bytes that rows have had while they waited, in memory.
    pub fn peak_buffered_bytes(&self) -> usize {
        self.peak_bytes
    }

    async fn add(&mut self, batch: &RecordBatch, keep: Option<&BooleanArray>) -> Result<()> {
        // An error is told as soon as it is known.
        while let Some(finished) = self.jobs.try_join_next() {
            self.count(finished)?;
        }
        let rows = SparseBatch::of_batch(batch)?;
        let by = &self.settings.partition_by;
        for (partition, places) in partitions(batch, keep, by, Utc::now().timestamp_micros()) {
            let mut left = &places[..];
            while !left.is_empty() {
                let room = self.settings.max_rows - self.buffer.size_of(&partition).0;
                let (now, later) = left.split_at(room.min(left.len()));
                self.add_part(&partition, rows.select(now)?).await?;
                left = later;
            }
        }
        Ok(())
    }

    /// Adds rows to a partition, which has room for as many.
    async fn add_part(&mut self, partition: &Partition, part: SparseBatch) -> Result<()> {
        let bytes = part.bytes();
        if self.buffer.size_of(partition).1 + bytes > self.settings.max_bytes {
            self.roll(partition).await?;
        }
        while self.buffer.bytes() + bytes > self.settings.buffer_bytes {
            let Some(ripest) = self.buffer.ripest() else {
                break;
            };
            self.roll(&ripest).await?;
        }
        self.buffer.add(partition, part)?;
        self.peak_bytes = self.peak_bytes.max(self.buffer.bytes());
        let (rows, bytes) = self.buffer.size_of(partition);
        if rows >= self.settings.max_rows || bytes >= self.settings.max_bytes {
            self.roll(partition).await?;
        }
        Ok(())
    }

    /// Starts the file of a partition's rows, once a thread is free.
    async fn roll(&mut self, partition: &Partition) -> Result<()> {
        if self.buffer.size_of(partition).0 == 0 {
            return Ok(());
        }
        while self.jobs.len() >= self.settings.threads {
            self.take_finished().await?;
        }
        let job = FileJob {
            store: Arc::clone(&self.store),
            check: self.check.clone(),
            partition: partition.clone(),
            batches: self.buffer.take(partition),
            effort: Effort::Quick,
        };
        self.jobs.spawn(job.run());
        Ok(())
    }

    async fn drain(&mut self) -> Result<()> {
        for partition in self.buffer.partitions() {
            self.roll(&partition).await?;
        }
        while !self.jobs.is_empty() {
            self.take_finished().await?;
        }
        Ok(())
    }

    /// Waits for a file, if one is being made, and counts it.
    async fn take_finished(&mut self) -> Result<()> {
        match self.jobs.join_next().await {
            Some(finished) => self.count(finished),
            None => Ok(()),
        }
    }

    fn count(&mut self, finished: Result<Result<FinishedJob>, JoinError>) -> Result<()> {
        let stopped = |error| Error::bug(format!("the task that writes a file stopped: {error}"));
        self.written.add(finished.map_err(stopped)??);
        Ok(())
    }

    fn check_usable(&self) -> Result<()> {
        match &self.failed {
            Some(kind) => Err(kind.clone().into()),
            None => Ok(()),
        }
    }

    /// Gives up everything after an error.
    fn remember(&mut self, result: Result<()>) -> Result<()> {
        if let Err(error) = &result {
            self.failed = Some(error.kind().clone());
            self.jobs.abort_all();
            self.buffer = Buffer::default();
            self.written = Written::default();
        }
        result
    }
}

impl Written {
    fn add(&mut self, finished: FinishedJob) {
        self.duplicates += finished.duplicates;
        self.columns.extend(finished.columns);
        if let Some(file) = finished.file {
            let times = file.stats.columns.get("eventtime");
            self.without_time += times.map_or(0, |it| it.nulls);
            self.rows += file.stats.rows;
            self.files.push(file);
        }
    }
}

/// The most bytes of a file's rows, whatever the settings: Arrow's text columns end at 2 GiB.
const MOST_FILE_BYTES: usize = 1 << 30;
