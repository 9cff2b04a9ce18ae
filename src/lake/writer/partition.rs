//! The partitions of a batch's rows.

use std::collections::HashMap;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch, StringArray};

use crate::lake::layout::{self, Level, Partition, PartitionBy, UNKNOWN};

/// The values that a row's folders are named after; those of levels that are not asked for are alike.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct FolderKey<'a> {
    day: i32,
    account: &'a str,
    region: &'a str,
}

/// The columns that name folders.
struct FolderColumns<'a> {
    days: Vec<layout::Day>,
    recipients: Option<&'a StringArray>,
    callers: Option<&'a StringArray>,
    regions: Option<&'a StringArray>,
}

/// Returns the partitions of a batch, in the order of their first rows, each with its rows, those of `keep` if
/// that is given. `arrival` is a time in microseconds since 1970 UTC, for events that tell no time.
pub(super) fn partitions(
    batch: &RecordBatch,
    keep: Option<&BooleanArray>,
    by: &PartitionBy,
    arrival: i64,
) -> Vec<(Partition, Vec<u32>)> {
    let columns = FolderColumns::of_batch(batch, by, arrival);
    let mut numbers = HashMap::new();
    let mut groups: Vec<(FolderKey<'_>, Vec<u32>)> = Vec::new();
    let mut last = None;
    let is_kept = |row: &usize| keep.is_none_or(|keep| keep.value(*row));
    for row in (0..batch.num_rows()).filter(is_kept) {
        let key = columns.key(row);
        // Rows in a row mostly have the same folder.
        let number = match last {
            Some((last_key, number)) if last_key == key => number,
            _ => *numbers.entry(key).or_insert_with(|| {
                groups.push((key, Vec::new()));
                groups.len() - 1
            }),
        };
        groups[number].1.push(row as u32);
        last = Some((key, number));
    }
    let groups = groups.into_iter();
    groups
        .map(|(key, rows)| (key.partition(by), rows))
        .collect()
}

impl<'a> FolderColumns<'a> {
    fn of_batch(batch: &'a RecordBatch, by: &PartitionBy, arrival: i64) -> Self {
        let text = |level: Level, name: &str| {
            let values = batch.column_by_name(name)?.as_string_opt::<i32>();
            values.filter(|_| by.levels().contains(&level))
        };
        Self {
            days: layout::days(batch, arrival),
            recipients: text(Level::Account, "recipientaccountid"),
            callers: text(Level::Account, "useridentity_accountid"),
            regions: text(Level::Region, "awsregion"),
        }
    }

    fn key(&self, row: usize) -> FolderKey<'a> {
        let account = value(self.recipients, row).or_else(|| value(self.callers, row));
        FolderKey {
            day: self.days[row].number,
            account: account.unwrap_or(UNKNOWN),
            region: value(self.regions, row).unwrap_or(UNKNOWN),
        }
    }
}

impl FolderKey<'_> {
    fn partition(&self, by: &PartitionBy) -> Partition {
        let value = |level: Level| match level {
            Level::Day => layout::day_name(self.day),
            Level::Account => self.account.to_owned(),
            Level::Region => self.region.to_owned(),
        };
        let levels = by.levels().iter();
        levels
            .map(|&level| (level.name().to_owned(), value(level)))
            .collect()
    }
}

/// Returns the text of a row, unless it is NULL or empty, as a folder's name cannot be.
fn value(values: Option<&StringArray>, row: usize) -> Option<&str> {
    let values = values.filter(|it| it.is_valid(row))?;
    Some(values.value(row)).filter(|it| !it.is_empty())
}
