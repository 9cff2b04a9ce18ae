//! The work of a file: its rows are sorted, checked, encoded and published.

use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use bytes::Bytes;
use uuid::Uuid;

use super::encode::{Effort, RowOrder, encode};
use super::sparse::{SparseBatch, time_order};
use super::stats::file_stats;
use super::threads::in_thread;
use super::{FileStore, RowCheck};
use crate::error::{Error, Result};
use crate::lake::checksum::Checksum;
use crate::lake::layout::{self, Partition};
use crate::lake::{FileStats, LakeFile};

/// The rows of a file that is to be made, and those who take part.
#[derive(Debug)]
pub(super) struct FileJob {
    pub(super) store: Arc<dyn FileStore>,
    pub(super) check: Option<Arc<dyn RowCheck>>,
    pub(super) partition: Partition,
    pub(super) batches: Vec<SparseBatch>,
    pub(super) effort: Effort,
}

/// The outcome of a [`FileJob`].
#[derive(Debug)]
pub(super) struct FinishedJob {
    /// The file; `None` if the check left out all rows.
    pub(super) file: Option<LakeFile>,
    /// Rows that the check left out.
    pub(super) duplicates: u64,
    /// The names of the file's columns.
    pub(super) columns: Vec<String>,
}

/// A file in memory.
struct EncodedFile {
    bytes: Bytes,
    checksum: Checksum,
    stats: FileStats,
    columns: Vec<String>,
}

impl FileJob {
    /// Makes the file.
    ///
    /// # Errors
    /// Those of the store and the check; Bug, if the rows cannot be encoded.
    pub(super) async fn run(self) -> Result<FinishedJob> {
        let batches = self.batches;
        let rows = in_thread(move || sorted(batches)).await?;
        let keep = match &self.check {
            Some(check) => check.keep(&self.partition, &rows).await?,
            None => None,
        };
        let before = rows.num_rows();
        let effort = self.effort;
        let encoded = in_thread(move || encode_kept(rows, keep.as_ref(), effort)).await?;
        let Some(EncodedFile {
            bytes,
            checksum,
            stats,
            columns,
        }) = encoded
        else {
            let duplicates = before as u64;
            return Ok(FinishedJob {
                file: None,
                duplicates,
                columns: Vec::new(),
            });
        };
        let duplicates = before as u64 - stats.rows;
        let file = LakeFile {
            path: new_path(&self.partition, checksum),
            size_bytes: bytes.len() as u64,
            partition: self.partition,
            stats,
        };
        self.store.publish(&file.path, bytes).await?;
        let file = Some(file);
        Ok(FinishedJob {
            file,
            duplicates,
            columns,
        })
    }
}

fn sorted(batches: Vec<SparseBatch>) -> Result<RecordBatch> {
    let order = time_order(&batches);
    SparseBatch::gather(batches, &order)?.to_batch()
}

/// Encodes the rows that stay; `None` if none does.
fn encode_kept(
    rows: RecordBatch,
    keep: Option<&BooleanArray>,
    effort: Effort,
) -> Result<Option<EncodedFile>> {
    let rows = match keep {
        Some(keep) => kept(&rows, keep)?,
        None => rows,
    };
    if rows.num_rows() == 0 {
        return Ok(None);
    }
    let schema = rows.schema();
    let names = schema.fields().iter();
    let bytes = encode(&rows, effort, RowOrder::Time)?;
    Ok(Some(EncodedFile {
        checksum: Checksum::of(&bytes),
        bytes: bytes.into(),
        stats: file_stats(&rows),
        columns: names.map(|field| field.name().clone()).collect(),
    }))
}

/// Returns the rows that stay, less the columns that are NULL in all of them.
fn kept(rows: &RecordBatch, keep: &BooleanArray) -> Result<RecordBatch> {
    let kept = filter_record_batch(rows, keep);
    let kept = kept.map_err(|error| Error::bug(format!("rows could not be left out: {error}")))?;
    SparseBatch::of_batch(&kept)?.to_batch()
}

/// Returns a path in a partition's folder that no other file has.
pub(super) fn new_path(partition: &Partition, checksum: Checksum) -> String {
    let folder = layout::folder(partition);
    format!("{folder}/{}", checksum.file_name(Uuid::new_v4()))
}
