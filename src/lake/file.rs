//! Data files as the log has them.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value};

use crate::events::time;

/// Columns whose smallest and largest values and NULLs the log keeps of each file. They are few, as
/// readers hold them of all files, and those that tell files apart.
pub const STATS_COLUMNS: &[&str] = &[
    "eventtime",
    "eventsource",
    "eventname",
    "awsregion",
    "errorcode",
    "recipientaccountid",
    "useridentity_accountid",
    "useridentity_username",
    "db_identifier",
];

/// A data file of a lake.
#[derive(Clone, Debug, PartialEq)]
pub struct LakeFile {
    /// The path below the lake's root: `dt=2026-11-29/part-….parquet`.
    pub path: String,
    /// Bytes of the file.
    pub size_bytes: u64,
    /// Names and values of the folders, from the outermost.
    pub partition: Vec<(String, String)>,
    /// Facts about the rows.
    pub stats: FileStats,
}

/// Facts about the rows of a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FileStats {
    /// The number of rows.
    pub rows: u64,
    /// By name, facts about those of [`STATS_COLUMNS`] that are known.
    pub columns: BTreeMap<String, ColumnStats>,
}

/// Facts about a column of a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ColumnStats {
    /// The number of NULLs.
    pub nulls: u64,
    /// The smallest and the largest value, exactly; `None` if there is no value, or a long one.
    pub range: Option<(StatsValue, StatsValue)>,
}

/// A value in the facts about a column.
#[derive(Clone, Debug, PartialEq, PartialOrd)]
pub enum StatsValue {
    /// Text, ordered by its bytes.
    Text(String),
    /// A time in microseconds since 1970 UTC.
    Micros(i64),
}

impl FileStats {
    /// Returns the facts as the log has them
    /// (<https://github.com/delta-io/delta/blob/master/PROTOCOL.md#per-file-statistics>).
    pub fn to_json(&self) -> String {
        let mut nulls = Map::new();
        let (mut least, mut most) = (Map::new(), Map::new());
        for (name, column) in &self.columns {
            nulls.insert(name.clone(), column.nulls.into());
            if let Some((min, max)) = &column.range {
                least.insert(name.clone(), min.to_json());
                most.insert(name.clone(), max.to_json());
            }
        }
        let facts = [
            ("numRecords", Value::from(self.rows)),
            ("minValues", least.into()),
            ("maxValues", most.into()),
            ("nullCount", nulls.into()),
        ];
        let facts = facts.map(|(name, value)| (name.to_owned(), value));
        Value::Object(facts.into_iter().collect()).to_string()
    }

    /// Reads the facts of a log; `None` if the number of rows is not among them.
    pub fn of_json(text: &str) -> Option<Self> {
        let facts: Value = serde_json::from_str(text).ok()?;
        let rows = facts.get("numRecords")?.as_u64()?;
        let mut columns = BTreeMap::new();
        for &name in STATS_COLUMNS {
            let of = |facts_of: &str| facts.get(facts_of).and_then(|it| it.get(name));
            let Some(nulls) = of("nullCount").and_then(Value::as_u64) else {
                continue;
            };
            let value = |facts_of| of(facts_of).and_then(|it| StatsValue::of_json(name, it));
            let range = value("minValues").zip(value("maxValues"));
            columns.insert(name.to_owned(), ColumnStats { nulls, range });
        }
        Some(Self { rows, columns })
    }
}

impl FileStats {
    /// Adds the facts about further rows of the same file, which are about the same columns.
    pub(super) fn add(&mut self, more: Self) {
        let rows = (self.rows, more.rows);
        self.rows += more.rows;
        if rows.0 == 0 {
            self.columns = more.columns;
            return;
        }
        for (name, column) in &mut self.columns {
            let absent = ColumnStats {
                nulls: rows.1,
                range: None,
            };
            column.add(rows, more.columns.get(name).unwrap_or(&absent));
        }
    }
}

impl ColumnStats {
    /// Adds the facts about further rows; `rows` are the numbers of rows of both.
    fn add(&mut self, rows: (u64, u64), more: &Self) {
        let is_known = |column: &Self, rows| column.range.is_some() || column.nulls == rows;
        let are_known = is_known(self, rows.0) && is_known(more, rows.1);
        self.nulls += more.nulls;
        self.range = match (self.range.take(), more.range.clone()) {
            _ if !are_known => None,
            (Some((least, most)), Some((min, max))) => {
                let least = if min < least { min } else { least };
                let most = if max > most { max } else { most };
                Some((least, most))
            }
            (range, None) | (None, range) => range,
        };
    }
}

impl StatsValue {
    fn to_json(&self) -> Value {
        match self {
            Self::Text(text) => text.as_str().into(),
            Self::Micros(micros) => {
                // All digits: a time that is cut off would no longer be the largest.
                let time = DateTime::<Utc>::from_timestamp_micros(*micros).unwrap_or_default();
                time.to_rfc3339_opts(SecondsFormat::AutoSi, true).into()
            }
        }
    }

    fn of_json(column: &str, value: &Value) -> Option<Self> {
        let text = value.as_str()?;
        match column {
            "eventtime" => time::parse(text).map(Self::Micros),
            _ => Some(Self::Text(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_come_back_from_the_log() {
        let text = |text: &str| StatsValue::Text(text.to_owned());
        let time = |micros| StatsValue::Micros(micros);
        let column = |nulls, range| ColumnStats { nulls, range };
        let stats = FileStats {
            rows: 7,
            columns: [
                (
                    "eventtime",
                    column(0, Some((time(1), time(1_700_000_000_000_000)))),
                ),
                ("eventname", column(1, Some((text("A"), text("é\"b"))))),
                ("errorcode", column(7, None)),
            ]
            .map(|(name, facts)| (name.to_owned(), facts))
            .into(),
        };
        assert_eq!(FileStats::of_json(&stats.to_json()), Some(stats));
        assert_eq!(FileStats::of_json("{}"), None);
    }

    #[test]
    fn facts_about_parts_are_those_of_the_whole() {
        let text = |it: &str| StatsValue::Text(it.to_owned());
        let part = |rows, nulls, range: Option<(&str, &str)>| FileStats {
            rows,
            columns: BTreeMap::from([(
                "eventname".to_owned(),
                ColumnStats {
                    nulls,
                    range: range.map(|(least, most)| (text(least), text(most))),
                },
            )]),
        };
        let sum = |parts: Vec<FileStats>| {
            let mut sum = FileStats::default();
            parts.into_iter().for_each(|part| sum.add(part));
            sum
        };
        let none = || part(2, 2, None);
        let some = || part(3, 1, Some(("b", "d")));
        // It has a value that is too long for the log.
        let long = || part(1, 0, None);
        assert_eq!(
            sum(vec![none(), some(), part(1, 0, Some(("a", "c"))), none()]),
            part(8, 5, Some(("a", "d")))
        );
        for parts in [
            vec![some(), long(), some()],
            vec![long(), some(), some()],
            vec![some(), some(), long()],
        ] {
            assert_eq!(sum(parts), part(7, 2, None));
        }
    }
}
