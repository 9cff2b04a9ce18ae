//! Writes JSON: one array of objects, or one object per line.
//!
//! Every row has every key. NULL is `null`, and so are NaN and infinity, which JSON does not have.
//! Decimals and 64-bit integers are numbers with all their digits.

use std::io::{self, Write};
use std::sync::{Arc, LazyLock};

use arrow::array::{Array, AsArray, MapArray, RecordBatch};
use arrow::datatypes::{DataType, Field, FieldRef};
use arrow::error::ArrowError;
use arrow::json::writer::{NullableEncoder, make_encoder};
use arrow::json::{Encoder, EncoderFactory, EncoderOptions};
use memchr::memchr;

use super::cells::{CellReader, Times, zone_of};
use super::screen::needs_escape;
use super::{BatchWriter, Destination, Zone, of_arrow, unique};

/// Writes rows as JSON objects keyed by column name.
pub(super) struct Json {
    out: Destination,
    /// `{"name":` for the first column, `,"name":` for the others.
    keys: Vec<Vec<u8>>,
    shape: Shape,
    encoding: EncoderOptions,
    rows: u64,
}

#[derive(PartialEq)]
enum Shape {
    Array,
    Lines,
}

impl Json {
    /// Creates a writer of one array with all rows.
    pub(super) fn array(column_names: &[String], zone: Option<Zone>, out: Destination) -> Self {
        Self::new(column_names, Shape::Array, zone, out)
    }

    /// Creates a writer of one object per line.
    pub(super) fn lines(column_names: &[String], zone: Option<Zone>, out: Destination) -> Self {
        Self::new(column_names, Shape::Lines, zone, out)
    }

    fn new(column_names: &[String], shape: Shape, zone: Option<Zone>, out: Destination) -> Self {
        let column_names = unique(column_names, str::to_owned);
        let key = |(index, name): (usize, &String)| {
            let mut key = vec![if index == 0 { b'{' } else { b',' }];
            push_string(name, &mut key);
            key.push(b':');
            key
        };
        Self {
            out,
            keys: column_names.iter().enumerate().map(key).collect(),
            shape,
            encoding: options(zone),
            rows: 0,
        }
    }
}

impl BatchWriter for Json {
    fn write(&mut self, batch: &RecordBatch) -> io::Result<()> {
        let columns = batch.columns().iter();
        let columns = columns.map(|array| encoder(array, &self.encoding));
        let mut columns: Vec<_> = columns.collect::<io::Result<_>>()?;
        let mut line = Vec::new();
        for row in 0..batch.num_rows() {
            line.clear();
            if columns.is_empty() {
                line.push(b'{');
            }
            for (key, column) in self.keys.iter().zip(&mut columns) {
                line.extend_from_slice(key);
                if column.is_null(row) {
                    line.extend_from_slice(b"null");
                } else {
                    column.encode(row, &mut line);
                }
            }
            line.push(b'}');
            match self.shape {
                Shape::Array if self.rows == 0 => self.out.write_all(b"[\n")?,
                Shape::Array => self.out.write_all(b",\n")?,
                Shape::Lines => {}
            }
            write_tamed(&line, &mut self.out)?;
            if self.shape == Shape::Lines {
                self.out.write_all(b"\n")?;
            }
            self.rows += 1;
        }
        self.out.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        if self.shape == Shape::Array {
            let end: &[u8] = if self.rows == 0 { b"[]\n" } else { b"\n]\n" };
            self.out.write_all(end)?;
        }
        self.out.flush()
    }

    /// Leaves an array open, so that a reader does not take it for the whole result.
    fn interrupt(&mut self) -> io::Result<()> {
        if self.shape == Shape::Array && self.rows > 0 {
            self.out.write_all(b"\n")?;
        }
        self.out.flush()
    }
}

/// Writes JSON, escaping as `\u` the characters that a terminal would interpret. JSON has them only
/// inside strings, where it allows such escapes.
fn write_tamed(json: &[u8], out: &mut Destination) -> io::Result<()> {
    if json.is_ascii() && memchr(DELETE, json).is_none() {
        return out.write_all(json);
    }
    let mut rest = std::str::from_utf8(json).expect("JSON of strings is UTF-8");
    while let Some(at) = rest.find(needs_escape) {
        let (before, after) = rest.split_at(at);
        let mut after = after.chars();
        let obeyed = after.next().map_or(0, u32::from);
        write!(out, "{before}\\u{obeyed:04x}")?;
        rest = after.as_str();
    }
    out.write_all(rest.as_bytes())
}

/// Creates an encoder of a column's values as JSON, for every type.
pub(super) fn encoder<'a>(
    array: &'a dyn Array,
    options: &'a EncoderOptions,
) -> io::Result<NullableEncoder<'a>> {
    make_encoder(&FIELD, array, options).map_err(of_arrow)
}

/// Returns the options of an [`encoder`] that shows times in `zone`, or in UTC.
pub(super) fn options(zone: Option<Zone>) -> EncoderOptions {
    EncoderOptions::default()
        .with_explicit_nulls(true)
        .with_encoder_factory(Arc::new(OurTypes { zone }))
}

/// Encodes the types that Arrow's encoders omit or write in another form.
#[derive(Debug)]
struct OurTypes {
    zone: Option<Zone>,
}

impl EncoderFactory for OurTypes {
    fn make_default_encoder<'a>(
        &self,
        field: &'a FieldRef,
        array: &'a dyn Array,
        options: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        let encoder: Box<dyn Encoder + 'a> = match array.data_type() {
            DataType::Timestamp(unit, own) => Box::new(TimeEncoder {
                times: Times::new(array, *unit, zone_of(own.as_deref(), self.zone)),
                text: String::new(),
            }),
            // Arrow's encoder reads only the nulls of the keys.
            DataType::Dictionary(_, _) => Box::new(DictionaryEncoder {
                keys: array.as_any_dictionary().normalized_keys(),
                values: make_encoder(field, array.as_any_dictionary().values(), options)?,
            }),
            // Arrow's encoder rejects keys that are not strings.
            DataType::Map(_, _) => Box::new(MapEncoder {
                map: array.as_map(),
                keys: CellReader::try_new(array.as_map().keys(), self.zone, options)?,
                values: make_encoder(field, array.as_map().values(), options)?,
                text: String::new(),
            }),
            DataType::Union(_, _) => Box::new(TextEncoder {
                cells: CellReader::try_new(array, self.zone, options)?,
                text: String::new(),
            }),
            _ => return Ok(None),
        };
        Ok(Some(NullableEncoder::new(encoder, array.logical_nulls())))
    }
}

struct TimeEncoder<'a> {
    times: Times<'a>,
    text: String,
}

impl Encoder for TimeEncoder<'_> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        self.text.clear();
        self.times.push(row, &mut self.text);
        out.push(b'"');
        out.extend_from_slice(self.text.as_bytes());
        out.push(b'"');
    }
}

struct DictionaryEncoder<'a> {
    keys: Vec<usize>,
    values: NullableEncoder<'a>,
}

impl Encoder for DictionaryEncoder<'_> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        self.values.encode(self.keys[row], out);
    }
}

struct MapEncoder<'a> {
    map: &'a MapArray,
    keys: CellReader<'a>,
    values: NullableEncoder<'a>,
    text: String,
}

impl Encoder for MapEncoder<'_> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        let offsets = self.map.value_offsets();
        out.push(b'{');
        for (count, entry) in (offsets[row] as usize..offsets[row + 1] as usize).enumerate() {
            if count > 0 {
                out.push(b',');
            }
            push_string(self.keys.text(entry, &mut self.text), out);
            out.push(b':');
            if self.values.is_null(entry) {
                out.extend_from_slice(b"null");
            } else {
                self.values.encode(entry, out);
            }
        }
        out.push(b'}');
    }
}

struct TextEncoder<'a> {
    cells: CellReader<'a>,
    text: String,
}

impl Encoder for TextEncoder<'_> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        push_string(self.cells.text(row, &mut self.text), out);
    }
}

fn push_string(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("a Vec takes all");
}

/// A placeholder: the encoders take a field and do not read it.
static FIELD: LazyLock<FieldRef> = LazyLock::new(|| Arc::new(Field::new("", DataType::Null, true)));

/// DEL, the only ASCII control character that JSON allows unescaped.
const DELETE: u8 = 0x7f;
