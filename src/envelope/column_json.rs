//! Rows of Arrow batches as JSON text. NULLs are left out, times are written as CloudTrail writes them,
//! and bytes are text if they are UTF-8, as old engines store text, else base64.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, FieldRef, Int64Type, TimeUnit};
use arrow::error::ArrowError;
use arrow::json::writer::{NullableEncoder, make_encoder};
use arrow::json::{Encoder, EncoderFactory, EncoderOptions};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat};

use super::columnar::guarded;
use super::spelling::NULL_FIELDS;

/// The column with the text of whole records.
const RECORD: &str = "record";

/// Calls `each` with the JSON text of every row, until it returns false. The text of a row with a record
/// in its column `record` is that record.
///
/// # Errors
///
/// Fails if a column cannot be read, before any call.
pub(super) fn each_row(
    batch: &RecordBatch,
    mut each: impl FnMut(&str) -> bool,
) -> Result<(), ArrowError> {
    let options = EncoderOptions::default().with_encoder_factory(Arc::new(Factory));
    let schema = batch.schema();
    let columns = || schema.fields().iter().zip(batch.columns());
    let records = columns()
        .find(|(field, _)| field.name().eq_ignore_ascii_case(RECORD))
        .and_then(|(_, array)| text_of(array));
    let mut keyed = Vec::new();
    for (field, array) in columns() {
        let key = format!("{}:", serde_json::Value::from(field.name().as_str()));
        let is_marker = field.name().eq_ignore_ascii_case(NULL_FIELDS);
        let encoder = guarded(|| make_encoder(field, array, &options))?;
        keyed.push((key, is_marker, encoder));
    }
    let mut row = Vec::new();
    for index in 0..batch.num_rows() {
        let record = records
            .as_ref()
            .filter(|records| records.is_valid(index))
            .map(|records| records.as_string::<i64>().value(index))
            .filter(|text| text.trim_start().starts_with('{'));
        if let Some(record) = record {
            if each(record) {
                continue;
            }
            break;
        }
        row.clear();
        row.push(b'{');
        for (key, is_marker, encoder) in &mut keyed {
            let is_null = encoder.is_null(index);
            // The column tells rows of `SELECT *` apart.
            if is_null && !*is_marker {
                continue;
            }
            if row.len() > 1 {
                row.push(b',');
            }
            row.extend_from_slice(key.as_bytes());
            match is_null {
                true => row.extend_from_slice(b"null"),
                false => guarded(|| {
                    encoder.encode(index, &mut row);
                    Ok(())
                })?,
            }
        }
        row.push(b'}');
        let text = std::str::from_utf8(&row)
            .map_err(|_| ArrowError::JsonError("a row that is not UTF-8".to_owned()))?;
        if !each(text) {
            break;
        }
    }
    Ok(())
}

/// Returns the texts of a column that has texts, or bytes that are.
fn text_of(array: &ArrayRef) -> Option<ArrayRef> {
    let values = match array.data_type() {
        DataType::Dictionary(_, values) => values,
        other => other,
    };
    let is_text = matches!(
        values,
        DataType::Utf8
            | DataType::LargeUtf8
            | DataType::Utf8View
            | DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
    );
    is_text
        .then(|| cast(array, &DataType::LargeUtf8).ok())
        .flatten()
}

/// Makes the encoders of the types that JSON lacks.
#[derive(Debug)]
struct Factory;

impl EncoderFactory for Factory {
    fn make_default_encoder<'a>(
        &self,
        _: &'a FieldRef,
        array: &'a dyn Array,
        _: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        let encoder: Box<dyn Encoder + 'a> = match array.data_type() {
            DataType::Timestamp(unit, _) => Box::new(Times {
                values: cast(array, &DataType::Int64)?
                    .as_primitive::<Int64Type>()
                    .clone(),
                per_second: match unit {
                    TimeUnit::Second => 1,
                    TimeUnit::Millisecond => 1_000,
                    TimeUnit::Microsecond => 1_000_000,
                    TimeUnit::Nanosecond => 1_000_000_000,
                },
            }),
            DataType::Binary => Box::new(Blobs(|index| array.as_binary::<i32>().value(index))),
            DataType::LargeBinary => Box::new(Blobs(|index| array.as_binary::<i64>().value(index))),
            DataType::BinaryView => Box::new(Blobs(|index| array.as_binary_view().value(index))),
            DataType::FixedSizeBinary(_) => {
                Box::new(Blobs(|index| array.as_fixed_size_binary().value(index)))
            }
            DataType::Map(_, _) if has_text_keys(array) => return Ok(None),
            DataType::Map(_, _) | DataType::Union(_, _) | DataType::Interval(_) => {
                let options = FormatOptions::new().with_display_error(true);
                Box::new(Shown(ArrayFormatter::try_new(array, &options.clone())?))
            }
            _ => return Ok(None),
        };
        Ok(Some(NullableEncoder::new(encoder, array.logical_nulls())))
    }
}

fn has_text_keys(array: &dyn Array) -> bool {
    let keys = array.as_map().keys();
    let is_text = matches!(
        keys.data_type(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
    );
    is_text && keys.null_count() == 0 && array.as_map().entries().null_count() == 0
}

fn push_text(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(serde_json::Value::from(text).to_string().as_bytes());
}

/// Times; those without a zone are UTC, as all that stores CloudTrail has it.
struct Times {
    values: Int64Array,
    per_second: i64,
}

impl Encoder for Times {
    fn encode(&mut self, index: usize, out: &mut Vec<u8>) {
        let value = self.values.value(index);
        let rest = value.rem_euclid(self.per_second);
        let nanos = rest * (1_000_000_000 / self.per_second);
        let time = u32::try_from(nanos)
            .ok()
            .and_then(|nanos| DateTime::from_timestamp(value.div_euclid(self.per_second), nanos));
        match time {
            Some(time) => push_text(&time.to_rfc3339_opts(SecondsFormat::AutoSi, true), out),
            None => out.extend_from_slice(b"null"),
        }
    }
}

/// Bytes.
struct Blobs<F>(F);

impl<'a, F: Fn(usize) -> &'a [u8]> Encoder for Blobs<F> {
    fn encode(&mut self, index: usize, out: &mut Vec<u8>) {
        let bytes = (self.0)(index);
        match std::str::from_utf8(bytes) {
            Ok(text) => push_text(text, out),
            Err(_) => push_text(&STANDARD.encode(bytes), out),
        }
    }
}

/// Values as people see them.
struct Shown<'a>(ArrayFormatter<'a>);

impl Encoder for Shown<'_> {
    fn encode(&mut self, index: usize, out: &mut Vec<u8>) {
        push_text(&self.0.value(index).to_string(), out);
    }
}
