//! Writes Parquet and the Arrow IPC stream, for other programs.
//!
//! Types specific to Arrow are stored as common ones (views and dictionaries as plain values), for
//! readers of any engine. Column names are made unique regardless of case, because Athena and
//! DuckDB do not tell `A` from `a`.

use std::io;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use super::{BatchWriter, Destination, of_arrow, unique};

/// Writes a Parquet file, compressed with zstd, in row groups bounded by bytes. Stores nanoseconds
/// as microseconds, which all engines read, and intervals as text.
pub(super) struct Parquet {
    writer: ArrowWriter<Destination>,
    schema: SchemaRef,
}

impl Parquet {
    /// Starts the file.
    pub(super) fn try_new(
        schema: &SchemaRef,
        column_names: &[String],
        out: Destination,
    ) -> io::Result<Self> {
        let schema = stored_schema(schema, column_names, Medium::Parquet)?;
        let level = ZstdLevel::try_new(3).map_err(of_parquet)?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(level))
            .set_created_by(concat!("auroratrail ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let writer = ArrowWriter::try_new(out, Arc::clone(&schema), Some(properties));
        Ok(Self {
            writer: writer.map_err(of_parquet)?,
            schema,
        })
    }
}

impl BatchWriter for Parquet {
    fn write(&mut self, batch: &RecordBatch) -> io::Result<()> {
        let batch = stored(batch, &self.schema)?;
        // A row group can only end between two writes, so a large batch is written in slices.
        for start in (0..batch.num_rows()).step_by(SLICE_ROWS) {
            let length = SLICE_ROWS.min(batch.num_rows() - start);
            let slice = batch.slice(start, length);
            self.writer.write(&slice).map_err(of_parquet)?;
            if self.writer.memory_size() >= ROW_GROUP_BYTES {
                self.writer.flush().map_err(of_parquet)?;
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.writer.finish().map_err(of_parquet)?;
        io::Write::flush(self.writer.inner_mut())
    }
}

/// Writes an Arrow IPC stream, which can be piped and read while it is being written; the file form
/// (`.feather`) cannot.
pub(super) struct Ipc {
    writer: StreamWriter<Destination>,
    schema: SchemaRef,
}

impl Ipc {
    /// Writes the schema.
    pub(super) fn try_new(
        schema: &SchemaRef,
        column_names: &[String],
        out: Destination,
    ) -> io::Result<Self> {
        let schema = stored_schema(schema, column_names, Medium::Ipc)?;
        let writer = StreamWriter::try_new(out, &schema).map_err(of_arrow)?;
        Ok(Self { writer, schema })
    }
}

impl BatchWriter for Ipc {
    fn write(&mut self, batch: &RecordBatch) -> io::Result<()> {
        let batch = stored(batch, &self.schema)?;
        self.writer.write(&batch).map_err(of_arrow)?;
        self.writer.flush().map_err(of_arrow)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.writer.finish().map_err(of_arrow)?;
        self.writer.flush().map_err(of_arrow)
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Medium {
    Parquet,
    Ipc,
}

fn stored_schema(
    schema: &SchemaRef,
    column_names: &[String],
    medium: Medium,
) -> io::Result<SchemaRef> {
    let column_names = unique(column_names, str::to_lowercase);
    let field = |(name, field): (String, &FieldRef)| {
        let Some(data_type) = stored_type(field.data_type(), medium) else {
            let given = field.data_type();
            return Err(io::Error::other(format!(
                "column {name} has the type {given}, which Parquet lacks; cast it to text"
            )));
        };
        Ok(Field::new(name, data_type, true))
    };
    let fields: Vec<Field> = column_names
        .into_iter()
        .zip(schema.fields())
        .map(field)
        .collect::<io::Result<_>>()?;
    Ok(Arc::new(Schema::new(fields)))
}

/// Returns the type that a column is stored as, or `None` if the medium has no such type.
fn stored_type(data_type: &DataType, medium: Medium) -> Option<DataType> {
    let inner = |field: &FieldRef| -> Option<FieldRef> {
        let data_type = stored_type(field.data_type(), medium)?;
        Some(Arc::new(field.as_ref().clone().with_data_type(data_type)))
    };
    let parquet = medium == Medium::Parquet;
    Some(match data_type {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::Dictionary(_, values) => stored_type(values, medium)?,
        DataType::RunEndEncoded(_, values) => stored_type(values.data_type(), medium)?,
        DataType::Timestamp(TimeUnit::Nanosecond, zone) if parquet => {
            DataType::Timestamp(TimeUnit::Microsecond, zone.clone())
        }
        DataType::Interval(_) if parquet => DataType::Utf8,
        DataType::Union(_, _) if parquet => return None,
        DataType::List(field) | DataType::ListView(field) => DataType::List(inner(field)?),
        DataType::LargeList(field) | DataType::LargeListView(field) => {
            DataType::LargeList(inner(field)?)
        }
        DataType::FixedSizeList(field, length) => DataType::FixedSizeList(inner(field)?, *length),
        DataType::Struct(fields) => {
            DataType::Struct(fields.iter().map(inner).collect::<Option<_>>()?)
        }
        DataType::Map(field, sorted) => DataType::Map(inner(field)?, *sorted),
        other => other.clone(),
    })
}

fn stored(batch: &RecordBatch, schema: &SchemaRef) -> io::Result<RecordBatch> {
    let convert = |(array, field): (&ArrayRef, &FieldRef)| {
        if array.data_type() == field.data_type() {
            Ok(Arc::clone(array))
        } else {
            cast(array, field.data_type())
        }
    };
    let columns = batch.columns().iter().zip(schema.fields()).map(convert);
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    columns
        .collect::<Result<Vec<_>, ArrowError>>()
        .and_then(|columns| {
            RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
        })
        .map_err(of_arrow)
}

fn of_parquet(error: ParquetError) -> io::Error {
    let ParquetError::External(inner) = error else {
        return io::Error::other(error);
    };
    match inner.downcast::<io::Error>() {
        Ok(error) => *error,
        Err(inner) => match inner.downcast::<ArrowError>() {
            Ok(error) => of_arrow(*error),
            Err(inner) => io::Error::other(inner),
        },
    }
}

/// Bytes held in memory before a row group is written.
const ROW_GROUP_BYTES: usize = 48 * 1024 * 1024;

/// Rows between two checks of the memory in use: with 800 columns, some megabytes.
const SLICE_ROWS: usize = 1_024;
