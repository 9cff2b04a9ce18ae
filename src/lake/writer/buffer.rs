//! Rows that wait for more of their partition.

use std::collections::HashMap;

use super::sparse::{SparseBatch, arrival_order};
use crate::error::Result;
use crate::lake::layout::Partition;

/// The open partitions: those with rows that no file has yet.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    partitions: HashMap<Partition, OpenPartition>,
    bytes: usize,
    /// Bytes that were ever added.
    added: usize,
}

/// The rows of a partition that no file has yet.
#[derive(Debug, Default)]
pub(super) struct OpenPartition {
    batches: Vec<SparseBatch>,
    /// Batches of a few rows, which weigh more than their values do, by how often they were merged.
    small: Vec<Vec<SparseBatch>>,
    rows: usize,
    bytes: usize,
    /// Bytes that were ever added to the buffer when rows were last added here.
    last_added: usize,
}

impl Buffer {
    /// Returns the bytes of all rows.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the number of rows of a partition, and their bytes.
    pub(super) fn size_of(&self, partition: &Partition) -> (usize, usize) {
        let open = self.partitions.get(partition);
        open.map_or((0, 0), |open| (open.rows, open.bytes))
    }

    /// Returns the partition that had better become a file now: the largest, or one that is not much smaller and
    /// that nothing was added to for a while. Where days come one after the other, that day is over.
    pub(super) fn ripest(&self) -> Option<Partition> {
        let is_quiet = |open: &OpenPartition| self.added - open.last_added >= self.bytes / 8;
        let largest = self.partitions.values().map(|open| open.bytes).max()?;
        let ripeness =
            |open: &OpenPartition| (is_quiet(open) && open.bytes >= largest / 4, open.bytes);
        let ripest = self
            .partitions
            .iter()
            .max_by_key(|(_, open)| ripeness(open));
        ripest.map(|(partition, _)| partition.clone())
    }

    /// Returns all partitions, in order.
    pub(super) fn partitions(&self) -> Vec<Partition> {
        let mut partitions: Vec<Partition> = self.partitions.keys().cloned().collect();
        partitions.sort_unstable();
        partitions
    }

    /// Adds rows to a partition.
    pub(super) fn add(&mut self, partition: &Partition, batch: SparseBatch) -> Result<()> {
        let open = match self.partitions.get_mut(partition) {
            Some(open) => open,
            None => self.partitions.entry(partition.clone()).or_default(),
        };
        self.added += batch.bytes();
        open.last_added = self.added;
        let before = open.bytes;
        open.add(batch)?;
        self.bytes = self.bytes + open.bytes - before;
        Ok(())
    }

    /// Takes all rows of a partition out of the buffer.
    pub(super) fn take(&mut self, partition: &Partition) -> Vec<SparseBatch> {
        let open = self.partitions.remove(partition).unwrap_or_default();
        self.bytes -= open.bytes;
        let (mut batches, small) = (open.batches, open.small);
        batches.extend(small.into_iter().flatten());
        batches
    }
}

impl OpenPartition {
    fn add(&mut self, batch: SparseBatch) -> Result<()> {
        self.rows += batch.rows();
        self.bytes += batch.bytes();
        self.push(batch, 0)
    }

    /// Keeps a batch that was merged `level` times, and merges it with others like it if they are
    /// enough.
    fn push(&mut self, batch: SparseBatch, level: usize) -> Result<()> {
        if batch.rows() >= SMALL_ROWS {
            self.batches.push(batch);
            return Ok(());
        }
        if self.small.len() <= level {
            self.small.resize_with(level + 1, Vec::new);
        }
        self.small[level].push(batch);
        if self.small[level].len() < MERGED_BATCHES {
            return Ok(());
        }
        let small = std::mem::take(&mut self.small[level]);
        let before: usize = small.iter().map(SparseBatch::bytes).sum();
        let order = arrival_order(&small);
        let merged = SparseBatch::gather(small, &order)?;
        self.bytes = self.bytes - before + merged.bytes();
        self.push(merged, level + 1)
    }
}

/// Rows from which on the weight of the arrays themselves, some 200 bytes a column, is small beside
/// that of their values.
const SMALL_ROWS: usize = 128;

/// Small batches that become one. So a row is copied three times more at most, until it is among
/// `SMALL_ROWS`.
const MERGED_BATCHES: usize = 8;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, RecordBatch, StringArray};

    use super::*;

    fn rows(count: usize) -> SparseBatch {
        let values: ArrayRef = Arc::new(StringArray::from(vec!["GetObject"; count]));
        let batch = RecordBatch::try_from_iter_with_nullable([("eventname", values, true)]);
        SparseBatch::of_batch(&batch.unwrap()).unwrap()
    }

    fn ripest(added: &[(&str, usize)]) -> String {
        let mut buffer = Buffer::default();
        for (day, count) in added {
            let partition = vec![("dt".to_owned(), (*day).to_owned())];
            buffer.add(&partition, rows(*count)).unwrap();
        }
        buffer.ripest().unwrap()[0].1.clone()
    }

    #[test]
    fn a_day_that_is_over_is_riper_than_a_larger_one_that_grows() {
        assert_eq!(ripest(&[("1", 9000), ("2", 6000), ("2", 6000)]), "1");
        // A few late events are no day.
        assert_eq!(ripest(&[("1", 900), ("2", 6000), ("2", 6000)]), "2");
        // Where all days grow, it is the largest.
        let mixed: Vec<(&str, usize)> = [("1", 300), ("2", 500), ("3", 400)].repeat(9);
        assert_eq!(ripest(&mixed), "2");
    }
}
