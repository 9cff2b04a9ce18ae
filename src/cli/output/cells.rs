//! Renders one cell as text, for every Arrow type that a query can return.
//!
//! Strings are borrowed from their array; other values are written to a scratch buffer that the
//! caller reuses.

use std::fmt::Write;
use std::io;

use arrow::array::{
    Array, ArrayRef, AsArray, LargeStringArray, RecordBatch, StringArray, StringViewArray,
};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use arrow::json::EncoderOptions;
use arrow::json::writer::NullableEncoder;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::{DateTime, Offset, TimeZone, Utc};

use super::zone::{Zone, is_utc};
use super::{json, of_arrow};

/// Returns the columns of a batch, with dictionaries and runs unpacked.
pub(super) fn unpacked(batch: &RecordBatch) -> io::Result<Vec<ArrayRef>> {
    let unpack = |array: &ArrayRef| match array.data_type() {
        DataType::Dictionary(_, values) => cast(array, values).map_err(of_arrow),
        DataType::RunEndEncoded(_, values) => cast(array, values.data_type()).map_err(of_arrow),
        _ => Ok(ArrayRef::clone(array)),
    };
    batch.columns().iter().map(unpack).collect()
}

/// The form of cells that the user chose.
pub(super) struct CellStyle {
    zone: Option<Zone>,
    json: EncoderOptions,
}

impl CellStyle {
    /// Creates the style with times in `zone`, or in UTC.
    pub(super) fn new(zone: Option<Zone>) -> Self {
        Self {
            zone,
            json: json::options(zone),
        }
    }
}

/// Reads one column cell by cell.
pub(super) struct CellReader<'a> {
    format: CellFormat<'a>,
    nulls: Option<NullBuffer>,
}

enum CellFormat<'a> {
    Text(&'a StringArray),
    LargeText(&'a LargeStringArray),
    TextView(&'a StringViewArray),
    Time(Times<'a>),
    Nested(NullableEncoder<'a>),
    Other(ArrayFormatter<'a>),
}

impl<'a> CellReader<'a> {
    /// Returns a reader for each of the [`unpacked`] arrays.
    pub(super) fn all(arrays: &'a [ArrayRef], style: &'a CellStyle) -> io::Result<Vec<Self>> {
        let reader = |array: &'a ArrayRef| Self::try_new(array, style.zone, &style.json);
        arrays.iter().map(reader).collect()
    }

    /// Creates a reader for one column, with times in `zone` and nested values encoded by `json`,
    /// which has the same zone.
    ///
    /// # Errors
    ///
    /// Fails on types that Arrow cannot display.
    pub(super) fn try_new(
        array: &'a dyn Array,
        zone: Option<Zone>,
        json: &'a EncoderOptions,
    ) -> io::Result<Self> {
        let format = match array.data_type() {
            DataType::Utf8 => CellFormat::Text(array.as_string()),
            DataType::LargeUtf8 => CellFormat::LargeText(array.as_string()),
            DataType::Utf8View => CellFormat::TextView(array.as_string_view()),
            DataType::Timestamp(unit, own) => {
                CellFormat::Time(Times::new(array, *unit, zone_of(own.as_deref(), zone)))
            }
            nested if nested.is_nested() && !matches!(nested, DataType::Union(_, _)) => {
                CellFormat::Nested(json::encoder(array, json)?)
            }
            _ => CellFormat::Other(ArrayFormatter::try_new(array, &DISPLAY).map_err(of_arrow)?),
        };
        Ok(Self {
            format,
            nulls: array.logical_nulls(),
        })
    }

    /// Returns whether the cell is NULL.
    pub(super) fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    /// Returns the cell's text, empty for NULL.
    pub(super) fn text<'s>(&'s mut self, row: usize, scratch: &'s mut String) -> &'s str {
        if self.is_null(row) {
            return "";
        }
        scratch.clear();
        match &mut self.format {
            CellFormat::Text(array) => return array.value(row),
            CellFormat::LargeText(array) => return array.value(row),
            CellFormat::TextView(array) => return array.value(row),
            CellFormat::Time(times) => times.push(row, scratch),
            CellFormat::Nested(encoder) => {
                let mut bytes = std::mem::take(scratch).into_bytes();
                encoder.encode(row, &mut bytes);
                *scratch = String::from_utf8(bytes).expect("JSON of strings is UTF-8");
            }
            CellFormat::Other(formatter) => {
                write!(scratch, "{}", formatter.value(row)).expect("a String takes all");
            }
        }
        scratch
    }
}

/// A column of timestamps. The values count from 1970 in UTC, whatever their time zone.
pub(super) struct Times<'a> {
    values: &'a [i64],
    unit: TimeUnit,
    /// The zone in which they are shown; `None` for UTC.
    zone: Option<Zone>,
}

impl<'a> Times<'a> {
    /// Borrows the values of `array`, whose type is a timestamp of `unit`, to show them in `zone`.
    pub(super) fn new(array: &'a dyn Array, unit: TimeUnit, zone: Option<Zone>) -> Self {
        let values = match unit {
            TimeUnit::Second => array.as_primitive::<TimestampSecondType>().values(),
            TimeUnit::Millisecond => array.as_primitive::<TimestampMillisecondType>().values(),
            TimeUnit::Microsecond => array.as_primitive::<TimestampMicrosecondType>().values(),
            TimeUnit::Nanosecond => array.as_primitive::<TimestampNanosecondType>().values(),
        };
        Self { values, unit, zone }
    }

    /// Appends the time as ISO 8601, in UTC with a `Z` and in another zone with its offset, or as a
    /// number if it is out of the calendar's range.
    pub(super) fn push(&self, row: usize, out: &mut String) {
        let value = self.values[row];
        let time = match self.unit {
            TimeUnit::Second => DateTime::from_timestamp(value, 0),
            TimeUnit::Millisecond => DateTime::from_timestamp_millis(value),
            TimeUnit::Microsecond => DateTime::from_timestamp_micros(value),
            TimeUnit::Nanosecond => Some(DateTime::from_timestamp_nanos(value)),
        };
        // At the ends of the calendar an offset leads out of it.
        let local = |time: DateTime<Utc>| {
            let offset = self.zone?.offset_from_utc_datetime(&time.naive_utc()).fix();
            time.naive_utc().checked_add_offset(offset)?;
            Some(time.with_timezone(&offset))
        };
        match (time, time.and_then(local)) {
            (_, Some(time)) => write!(out, "{time:?}"),
            (Some(time), None) => write!(out, "{time:?}"),
            (None, None) => write!(out, "{value}"),
        }
        .expect("a String takes all");
    }
}

/// Returns the zone in which to show a column: its own, or else the chosen one; `None` for UTC.
pub(super) fn zone_of(own: Option<&str>, chosen: Option<Zone>) -> Option<Zone> {
    match own.filter(|zone| !is_utc(zone)) {
        Some(own) => own.parse().ok(),
        None => chosen.filter(|zone| !is_utc(&zone.to_string())),
    }
}

/// Returns whether a column holds numbers, which are aligned to the right and are not formulas.
pub(super) fn is_number(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => is_number(values),
        other => other.is_numeric(),
    }
}

const DISPLAY: FormatOptions<'static> = FormatOptions::new().with_display_error(true);
