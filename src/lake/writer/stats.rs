//! Facts about the rows of a file.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::{max, max_string, min, min_string};
use arrow::datatypes::{DataType, TimestampMicrosecondType};

use crate::lake::{ColumnStats, FileStats, STATS_COLUMNS, StatsValue};

/// Returns the facts about some rows. A column that is not there is NULL in all of them.
pub(super) fn file_stats(rows: &RecordBatch) -> FileStats {
    let count = rows.num_rows() as u64;
    let absent = ColumnStats {
        nulls: count,
        range: None,
    };
    let column = |name: &str| match rows.column_by_name(name) {
        Some(values) => ColumnStats {
            nulls: values.null_count() as u64,
            range: range(values),
        },
        None => absent.clone(),
    };
    let columns = STATS_COLUMNS.iter();
    FileStats {
        rows: count,
        columns: columns
            .map(|&name| (name.to_owned(), column(name)))
            .collect(),
    }
}

fn range(values: &ArrayRef) -> Option<(StatsValue, StatsValue)> {
    match values.data_type() {
        DataType::Timestamp(..) => {
            let times = values.as_primitive::<TimestampMicrosecondType>();
            let (least, most) = min(times).zip(max(times))?;
            Some((StatsValue::Micros(least), StatsValue::Micros(most)))
        }
        DataType::Utf8 => {
            let texts = values.as_string::<i32>();
            let (least, most) = min_string(texts).zip(max_string(texts))?;
            let is_long = least.len().max(most.len()) > LONGEST_TEXT;
            let text = |it: &str| StatsValue::Text(it.to_owned());
            (!is_long).then(|| (text(least), text(most)))
        }
        _ => None,
    }
}

/// Bytes of the longest text that the log keeps.
const LONGEST_TEXT: usize = 256;
