//! Folders of a lake: which columns name them, and the folder of a row.

use std::fmt;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use chrono::{DateTime, Utc};

use crate::error::{Error, Result};
use crate::source::TrailKey;

/// A level of folders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// `dt=2026-11-29`: the day of the event, UTC.
    Day,
    /// `account=123456789012`: the account that the event was delivered to, else the caller's.
    Account,
    /// `region=eu-west-1`: the region of the call.
    Region,
}

/// The levels of folders, from the outermost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionBy(Vec<Level>);

/// The names and values of the folders of some rows, from the outermost.
pub type Partition = Vec<(String, String)>;

/// The value of a folder whose column is NULL. Not an empty partition value: readers disagree about
/// those.
pub const UNKNOWN: &str = "unknown";

impl Level {
    /// Returns the name of the folders' column.
    pub fn name(self) -> &'static str {
        match self {
            Self::Day => "dt",
            Self::Account => "account",
            Self::Region => "region",
        }
    }
}

impl Default for PartitionBy {
    fn default() -> Self {
        Self(vec![Level::Day])
    }
}

impl PartitionBy {
    /// Parses `dt` or `account,region,dt`.
    ///
    /// # Errors
    /// Config, for names that are unknown or repeated, and without `dt`: a lake that is not cut by
    /// time cannot be pruned, kept short or compacted in parts.
    pub fn parse(text: &str) -> Result<Self> {
        let expected = || {
            Error::config(format!(
                "folders cannot be by `{text}`; expected dt, account,region,dt or another order of these"
            ))
        };
        let mut levels = Vec::new();
        for name in text.split(',').map(str::trim) {
            let known = [Level::Day, Level::Account, Level::Region];
            let level = known.into_iter().find(|level| level.name() == name);
            let level = level.filter(|level| !levels.contains(level));
            levels.push(level.ok_or_else(expected)?);
        }
        match levels.contains(&Level::Day) {
            true => Ok(Self(levels)),
            false => Err(expected()),
        }
    }

    /// Returns the levels, from the outermost.
    pub fn levels(&self) -> &[Level] {
        &self.0
    }
}

impl fmt::Display for PartitionBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.iter().map(|level| level.name()).collect();
        f.write_str(&names.join(","))
    }
}

/// Returns the folder of a partition: `region=eu-west-1/dt=2026-11-29`. Bytes that are special in
/// paths or to Hive are escaped as Hive does it (`%2F`).
pub fn folder(partition: &[(String, String)]) -> String {
    let folders = partition.iter().map(|(name, value)| {
        let mut folder = format!("{name}=");
        for c in value.chars() {
            match c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') {
                true => folder.push(c),
                false => {
                    let mut bytes = [0; 4];
                    for byte in c.encode_utf8(&mut bytes).bytes() {
                        folder.push_str(&format!("%{byte:02X}"));
                    }
                }
            }
        }
        folder
    });
    folders.collect::<Vec<String>>().join("/")
}

/// The day that a row belongs to, and whether the event itself told it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day {
    /// Days since 1970 UTC.
    pub number: i32,
    /// Whether the event has a time; else it is the day of its object's key, or of its arrival.
    pub is_known: bool,
}

/// Returns the day of each row of a batch with the columns `eventtime` and `source_uri`. `arrival` is
/// a time in microseconds since 1970 UTC.
pub fn days(batch: &RecordBatch, arrival: i64) -> Vec<Day> {
    let times = batch.column_by_name("eventtime");
    let times = times.and_then(|it| it.as_primitive_opt::<TimestampMicrosecondType>());
    let origins = batch.column_by_name("source_uri");
    let origins = origins.and_then(|it| it.as_string_opt::<i32>());
    let unknown = |row: usize| {
        let origin = origins
            .filter(|it| it.is_valid(row))
            .map(|it| it.value(row));
        let key = origin.and_then(TrailKey::of_object);
        let told = key.and_then(|key| {
            key.delivered_micros
                .or_else(|| key.folder_micros.map(|it| it.0))
        });
        Day {
            number: day_number(told.unwrap_or(arrival)),
            is_known: false,
        }
    };
    let day = |row: usize| match times.filter(|it| it.is_valid(row)) {
        Some(times) => Day {
            number: day_number(times.value(row)),
            is_known: true,
        },
        None => unknown(row),
    };
    (0..batch.num_rows()).map(day).collect()
}

/// Returns a day as folders have it: `2026-11-29`.
pub fn day_name(number: i32) -> String {
    let time = DateTime::<Utc>::from_timestamp(i64::from(number) * 86_400, 0);
    time.map_or_else(
        || UNKNOWN.to_owned(),
        |time| time.format("%Y-%m-%d").to_string(),
    )
}

fn day_number(micros: i64) -> i32 {
    micros.div_euclid(86_400_000_000) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_by_day_at_least() {
        let parse = |text| PartitionBy::parse(text).map(|it| it.to_string());
        assert_eq!(parse("dt").unwrap(), "dt");
        assert_eq!(parse("account, region,dt").unwrap(), "account,region,dt");
        assert_eq!(PartitionBy::default().to_string(), "dt");
        for wrong in ["", "region", "dt,dt", "day"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn values_are_escaped_as_hive_does() {
        let partition = [("region", "a/b c=ü%"), ("dt", "2026-11-29")];
        let partition = partition.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(
            folder(&partition),
            "region=a%2Fb%20c%3D%C3%BC%25/dt=2026-11-29"
        );
    }

    #[test]
    fn days_are_those_of_utc() {
        assert_eq!(day_name(day_number(-1)), "1969-12-31");
        assert_eq!(day_name(day_number(86_400_000_000)), "1970-01-02");
    }
}
