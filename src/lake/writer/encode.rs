//! Rows as a Parquet file.

use std::io::{self, Write};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use hashbrown::HashSet;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{
    BloomFilterProperties, EnabledStatistics, WriterProperties, WriterPropertiesBuilder,
    WriterVersion,
};
use parquet::schema::types::ColumnPath;

use crate::error::{Error, Result};
use crate::events::columns::{ColumnType, catalog};

/// The effort that goes into the size of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lake) enum Effort {
    /// A file that is soon packed with others: zstd level 1.
    Quick,
    /// A file that stays: zstd level 3.
    Lasting,
}

/// The order of a file's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lake) enum RowOrder {
    /// By `eventtime` and then `eventsource`.
    Time,
    /// In which they came.
    Arrival,
}

/// Encodes rows, which are in this order.
///
/// The file is what every reader reads: data pages of version 1, times as INT64 microseconds UTC,
/// lists as the Parquet specification names their parts, and no Arrow schema beside Parquet's own
/// (of some hundred columns it would be a large part of the footer).
pub(super) fn encode(rows: &RecordBatch, effort: Effort, order: RowOrder) -> Result<Vec<u8>> {
    let mut properties = properties(&rows.schema(), rows.num_rows(), effort, order);
    for (field, values) in rows.schema_ref().fields().iter().zip(rows.columns()) {
        if encoded_bytes(field.name(), values).is_some_and(|bytes| bytes <= SMALL_BYTES) {
            let path = ColumnPath::from(field.name().as_str());
            properties = properties.set_column_compression(path, Compression::UNCOMPRESSED);
        }
    }
    let properties = properties.build();
    let mut encoder = Encoder::with_properties(Vec::new(), rows.schema(), properties)?;
    encoder.write(rows)?;
    encoder.finish()
}

/// A Parquet file under way, in memory or on the disk.
pub(super) struct Encoder<W: Write + Send>(ArrowWriter<W>);

impl<W: Write + Send> Encoder<W> {
    /// An encoder to `out` of some `rows` rows, which are sorted by time.
    pub(super) fn new(out: W, schema: SchemaRef, rows: usize, effort: Effort) -> Result<Self> {
        let properties = properties(&schema, rows, effort, RowOrder::Time).build();
        Self::with_properties(out, schema, properties)
    }

    fn with_properties(out: W, schema: SchemaRef, properties: WriterProperties) -> Result<Self> {
        let options = ArrowWriterOptions::new()
            .with_properties(properties)
            .with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(out, schema, options);
        writer.map(Self).map_err(|error| failed(&error))
    }

    /// Adds rows.
    pub(super) fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        self.0.write(rows).map_err(|error| failed(&error))
    }

    /// Ends the row group if it takes more than `bytes` of memory.
    pub(super) fn shrink_to(&mut self, bytes: usize) -> Result<()> {
        match self.0.memory_size() > bytes {
            true => self.0.flush().map_err(|error| failed(&error)),
            false => Ok(()),
        }
    }

    /// Ends the file.
    pub(super) fn finish(self) -> Result<W> {
        self.0.into_inner().map_err(|error| failed(&error))
    }
}

fn failed(error: &ParquetError) -> Error {
    match error {
        ParquetError::External(error) if error.is::<io::Error>() => {
            Error::io(format!("cannot write a temporary file: {error}"))
        }
        _ => Error::bug(format!("rows could not be encoded as Parquet: {error}")),
    }
}

/// Returns the way that a file of `rows` rows is written.
fn properties(
    schema: &Schema,
    rows: usize,
    effort: Effort,
    order: RowOrder,
) -> WriterPropertiesBuilder {
    let level = match effort {
        Effort::Quick => 1,
        Effort::Lasting => 3,
    };
    let mut builder = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_created_by(CREATED_BY.to_owned())
        .set_coerce_types(true)
        .set_compression(Compression::ZSTD(
            ZstdLevel::try_new(level).expect("it is a level of zstd"),
        ))
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_data_page_size_limit(PAGE_BYTES)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_statistics_truncate_length(Some(STATISTICS_BYTES))
        .set_column_index_truncate_length(Some(STATISTICS_BYTES))
        .set_sorting_columns(match order {
            RowOrder::Time => Some(sorting_columns(schema)),
            RowOrder::Arrival => None,
        });
    for field in schema.fields() {
        builder = with_column(builder, field.name(), rows);
    }
    builder
}

/// Returns about how many bytes a column takes before it is compressed; `None` for lists.
fn encoded_bytes(name: &str, values: &ArrayRef) -> Option<usize> {
    let present = values.len() - values.null_count();
    let bytes = match values.data_type() {
        DataType::Utf8 => text_bytes(values.as_string(), present, has_dictionary(name)),
        DataType::Boolean => present / 8,
        other => other.primitive_width()? * present,
    };
    // Which rows are NULL: bits, or the lengths of runs.
    let runs = present.min(values.null_count());
    Some(bytes + (values.len() / 8).min(8 * runs))
}

/// Returns about how many bytes texts take, or more: of many values it is not looked at how many differ.
fn text_bytes(texts: &StringArray, present: usize, has_dictionary: bool) -> usize {
    const LENGTH: usize = size_of::<u32>();
    let mut values = texts.iter().flatten();
    match has_dictionary {
        true if present <= COUNTED_VALUES => {
            let distinct: HashSet<&str> = values.collect();
            let index_bits = distinct.len().next_power_of_two().ilog2() as usize;
            let dictionary = distinct.iter().map(|text| LENGTH + text.len());
            dictionary.sum::<usize>() + present * index_bits / 8
        }
        true => {
            let first = values.next().unwrap_or_default();
            match values.all(|text| text == first) {
                true => first.len(),
                false => texts.value_data().len(),
            }
        }
        false => texts.value_data().len() + LENGTH * present,
    }
}

fn with_column(
    builder: WriterPropertiesBuilder,
    name: &str,
    rows: usize,
) -> WriterPropertiesBuilder {
    let path = || ColumnPath::from(name);
    let mut builder = builder;
    if is_json(name) {
        // The least and the largest JSON text tell nothing, and are long.
        builder = builder.set_column_statistics_enabled(path(), EnabledStatistics::None);
    }
    if !has_dictionary(name) {
        builder = builder.set_column_dictionary_enabled(path(), false);
    }
    if LOOKED_UP.contains(&name) {
        // The writer folds it to the values that there are.
        let bloom = BloomFilterProperties::builder()
            .with_fpp(BLOOM_ERRORS)
            .with_max_ndv(rows.clamp(1, GROUP_ROWS) as u64)
            .build();
        builder = builder.set_column_bloom_filter_properties(path(), bloom);
    }
    builder
}

/// Returns the order of the rows, by the numbers of the leaves.
fn sorting_columns(schema: &Schema) -> Vec<SortingColumn> {
    let is_leaf = |data_type: &DataType| !data_type.is_nested();
    // A leaf's number is its column's as long as the columns before are leaves themselves.
    let leaves = schema
        .fields()
        .iter()
        .take_while(|it| is_leaf(it.data_type()));
    let leaves: Vec<&str> = leaves.map(|field| field.name().as_str()).collect();
    let number = |name: &&str| leaves.iter().position(|leaf| leaf == name);
    let order = ["eventtime", "eventsource"];
    let numbers = order.iter().map_while(number);
    numbers
        .map(|number| SortingColumn {
            column_idx: number as i32,
            descending: false,
            nulls_first: false,
        })
        .collect()
}

fn has_dictionary(name: &str) -> bool {
    !UNIQUE.contains(&name) && (!is_json(name) || REPEATED_JSON.contains(&name))
}

fn is_json(name: &str) -> bool {
    let index = catalog().index_of(name);
    index.is_some_and(|index| catalog().columns()[index].column_type == ColumnType::Json)
}

/// Columns that take fewer bytes are not compressed. Of the some 300 columns of a file most are so small, and to
/// begin compressing takes longer than all that they have. Files are less than 1 % larger for it.
const SMALL_BYTES: usize = 512;

/// The most values of a column that are looked at for how many of them differ: more take longer than compressing.
const COUNTED_VALUES: usize = 1024;

/// The program that made the file, in the form that readers parse.
const CREATED_BY: &str = concat!("auroratrail version ", env!("CARGO_PKG_VERSION"));

/// The most rows of a row group, the unit that readers share out among threads.
const GROUP_ROWS: usize = 128 * 1024;

/// The most rows of a page, the unit that readers skip within a row group.
pub const PAGE_ROWS: usize = 20_000;

/// Bytes of a page, about.
const PAGE_BYTES: usize = 1 << 20;

/// The most bytes of a smallest or largest text; longer ones are cut, and bound the values still.
const STATISTICS_BYTES: usize = 64;

/// The share of values that are not there and that a bloom filter takes for present.
const BLOOM_ERRORS: f64 = 0.01;

/// Columns by which single events are looked up: they have bloom filters.
const LOOKED_UP: &[&str] = &[
    "eventid",
    "requestid",
    "sharedeventid",
    "sourceipaddress",
    "actor",
    "db_identifier",
    "useridentity_accesskeyid",
    "useridentity_username",
    "useridentity_principalid",
    "useridentity_arn",
];

/// Columns whose values differ in nearly all rows: a dictionary would be as large as they are.
const UNIQUE: &[&str] = &["eventid", "requestid", "sharedeventid", "fingerprint"];

/// Columns of JSON that are alike in many rows. A dictionary holds these, not any other JSON.
const REPEATED_JSON: &[&str] = &["useridentity", "tlsdetails"];
