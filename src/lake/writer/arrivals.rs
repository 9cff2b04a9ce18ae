//! A file whose rows are in the order in which they came.

use arrow::array::RecordBatch;

use super::encode::{Effort, RowOrder, encode};
use super::sparse::{SparseBatch, arrival_order};
use super::stats::file_stats;
use crate::error::Result;
use crate::lake::FileStats;

/// Rows on their way into a file.
#[derive(Debug, Default)]
pub(in crate::lake) struct Arrivals {
    batches: Vec<SparseBatch>,
    rows: usize,
    bytes: usize,
}

impl Arrivals {
    /// Adds rows.
    ///
    /// # Errors
    /// Bug, if a column is not a stored one.
    pub(in crate::lake) fn add(&mut self, rows: &RecordBatch) -> Result<()> {
        let batch = SparseBatch::of_batch(rows)?.shrink()?;
        self.rows += batch.rows();
        self.bytes += batch.bytes();
        self.batches.push(batch);
        Ok(())
    }

    /// The number of rows.
    pub(in crate::lake) fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of memory.
    pub(in crate::lake) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the file, of one row group, and facts about its rows.
    ///
    /// # Errors
    /// Bug, if the rows cannot be encoded.
    pub(in crate::lake) fn encode(self) -> Result<(Vec<u8>, FileStats)> {
        let order = arrival_order(&self.batches);
        let rows = SparseBatch::gather(self.batches, &order)?.to_batch()?;
        let bytes = encode(&rows, Effort::Quick, RowOrder::Arrival)?;
        Ok((bytes, file_stats(&rows)))
    }
}
