//! Formats for query results: turns a stream of record batches into text or columnar bytes.
//!
//! All formats share these rules:
//!
//! - A batch is written and flushed when it arrives. Exceptions: Parquet, whose index is at its
//!   end, and the first rows of a table, which decide its widths.
//! - A closed pipe (`| head`) ends the query and is not an error.
//! - Times are ISO 8601 in UTC with a `Z`, or with their offset in the zone of their type or else
//!   in the one that the user chose, and have a fraction only if it is not zero; lists, structs and maps are JSON text; bytes are hexadecimal.
//! - On a terminal, characters that it would interpret (escape sequences, direction overrides) are
//!   escaped.

mod cells;
mod columnar;
mod delimited;
mod destination;
mod json;
mod layout;
mod markdown;
mod pretty;
mod screen;
mod table;
mod target;
mod zone;

use std::io;
use std::path::Path;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use clap::ValueEnum;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use tokio::time::{Instant, timeout_at};

pub use destination::{
    Destination, SharedDestination, destination, is_standard_output, terminal_width,
};
pub use target::{Target, TemporaryFiles};
pub use zone::{Zone, parse_zone};

use super::report::why;
use crate::error::{Error, Result};
pub(super) use crate::query::names::unique;
use crate::query::translate_error;

/// The format of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Aligned columns for people, as wide as the terminal
    Table,
    /// Comma-separated values
    Csv,
    /// Tab-separated values, quoted where needed as CSV is
    Tsv,
    /// One JSON array of objects
    Json,
    /// One JSON object a line
    #[value(alias = "jsonl")]
    Ndjson,
    /// A GitHub table
    #[value(alias = "md")]
    Markdown,
    /// A Parquet file, compressed with zstd
    Parquet,
    /// An Arrow IPC stream (the form that can be piped, not the file with a footer)
    Arrow,
}

impl Format {
    /// Returns whether the format is unreadable on a terminal.
    pub fn is_binary(self) -> bool {
        matches!(self, Self::Parquet | Self::Arrow)
    }

    /// Returns the format for a file extension, or `None` for an extension of no format.
    pub fn of_path(path: &Path) -> Option<Self> {
        let ending = path.extension()?.to_str()?.to_ascii_lowercase();
        Some(match ending.as_str() {
            "txt" => Self::Table,
            "csv" => Self::Csv,
            "tsv" => Self::Tsv,
            "json" => Self::Json,
            "ndjson" | "jsonl" => Self::Ndjson,
            "md" | "markdown" => Self::Markdown,
            "parquet" => Self::Parquet,
            "arrow" | "arrows" => Self::Arrow,
            _ => return None,
        })
    }
}

impl Format {
    /// Returns the format that the name of an output file asks for; [`Format::Table`] for a name
    /// without an ending.
    ///
    /// # Errors
    /// Config, for the ending of another format, or of a compression.
    pub fn for_file(path: &Path) -> Result<Self> {
        if is_standard_output(path) || target::is_descriptor(path) {
            return Ok(Self::Table);
        }
        if let Some(format) = Self::of_path(path) {
            return Ok(format);
        }
        let shown = path.display();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let Some(ending) = path.extension().map(|it| it.to_string_lossy()) else {
            let name = name.trim_start_matches('.');
            let is_format = <Self as ValueEnum>::from_str(name, true).is_ok()
                || Self::of_path(Path::new(&format!("x.{name}"))).is_some();
            return match is_format {
                true => Err(Error::config(format!(
                    "`-o {shown}` names a file, not a format; expected --format {name}, or \
                     -o FILE.{name}"
                ))),
                false => Ok(Self::Table),
            };
        };
        if COMPRESSED.iter().any(|it| ending.eq_ignore_ascii_case(it)) {
            return Err(Error::config(format!(
                "`{shown}` would not be compressed; expected {ENDINGS}, or --format FORMAT for \
                 a name that ends otherwise; `| gzip > {shown}` in place of -o compresses"
            )));
        }
        Err(Error::config(format!(
            "`{shown}` ends as no format does; expected {ENDINGS}, or --format FORMAT for a name \
             that ends otherwise"
        )))
    }
}

/// Endings that have a format.
const ENDINGS: &str = ".csv, .tsv, .json, .ndjson, .md, .txt, .parquet or .arrow";

/// Endings of compressed files and archives.
const COMPRESSED: &[&str] = &[
    "7z", "br", "bz2", "gz", "gzip", "lz4", "lzma", "lzo", "snappy", "sz", "tar", "tgz", "xz", "z",
    "zip", "zlib", "zst", "zstd",
];

/// Settings of the output.
#[derive(Clone, Copy, Debug)]
pub struct OutputOptions {
    /// The format.
    pub format: Format,
    /// Whether CSV and TSV keep cells that a spreadsheet would run as formulas unescaped.
    pub raw_csv: bool,
    /// The terminal's width in columns; `None` for a pipe or a file, where cells are not cut.
    pub width: Option<usize>,
    /// Whether NULL may be dimmed with an escape sequence in a table.
    pub color: bool,
    /// The zone in which times are shown that are in UTC or in no zone; `None` for UTC. Parquet and
    /// Arrow keep their values.
    pub zone: Option<Zone>,
    /// The choice between columns and lists in a table.
    pub expanded: Expanded,
}

/// The form of the rows of a table: columns, or a list per row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expanded {
    /// Columns, or lists if columns would be cut to stubs.
    #[default]
    Auto,
    /// A list per row.
    On,
    /// Columns as wide as their cells, over the edge of the terminal if need be.
    Off,
}

/// Writes all of `stream` to `out` and returns the number of rows in the batches that it wrote.
///
/// `column_names` has one name per field. Names may repeat; formats that need unique names (JSON's
/// keys, the columns of Parquet and Arrow) append `_2`, `_3` ... to the later ones.
///
/// Must run in a tokio runtime with a timer. Blocks its thread while it writes.
///
/// # Errors
///
/// Returns the stream's error, after writing the rows before it, or an I/O error that names the
/// destination. A closed pipe ends the stream early and counts as success.
pub async fn write(
    mut stream: SendableRecordBatchStream,
    column_names: &[String],
    options: &OutputOptions,
    out: Destination,
) -> Result<u64> {
    let schema = stream.schema();
    if column_names.len() != schema.fields().len() {
        let (names, fields) = (column_names.len(), schema.fields().len());
        return Err(Error::bug(format!(
            "expected {fields} column names for the output, found {names}"
        )));
    }
    let name = out.name().to_owned();
    let mut rows = 0;
    let outcome = match batch_writer(&schema, column_names, options, out) {
        Ok(mut writer) => pump(&mut stream, writer.as_mut(), &mut rows).await,
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(()) => Ok(rows),
        Err(Stop::Reading(error)) => Err(translate_error(error)),
        Err(Stop::Writing(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(rows),
        Err(Stop::Writing(error)) => Err(Error::io(format!(
            "cannot write to {name}: {}",
            why(&error)
        ))),
    }
}

/// Writes batches in one format. Returns I/O errors, which tell a closed pipe from other failures.
trait BatchWriter: Send {
    /// Writes a batch and flushes it, or holds it until [`BatchWriter::deadline`].
    fn write(&mut self, batch: &RecordBatch) -> io::Result<()>;

    /// Returns the time at which to call [`BatchWriter::flush_held`] if no other batch has arrived.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// Writes the batches held so far.
    fn flush_held(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Ends the output and flushes it.
    fn finish(&mut self) -> io::Result<()>;

    /// Ends the output after an error: writes the batches held, and the end of a line that was
    /// begun.
    fn interrupt(&mut self) -> io::Result<()> {
        self.flush_held()
    }
}

fn batch_writer(
    schema: &SchemaRef,
    names: &[String],
    options: &OutputOptions,
    out: Destination,
) -> io::Result<Box<dyn BatchWriter>> {
    Ok(match options.format {
        Format::Table => Box::new(table::Table::new(schema, names, options, out)),
        Format::Csv => Box::new(delimited::Delimited::try_new(b',', names, options, out)?),
        Format::Tsv => Box::new(delimited::Delimited::try_new(b'\t', names, options, out)?),
        Format::Json => Box::new(json::Json::array(names, options.zone, out)),
        Format::Ndjson => Box::new(json::Json::lines(names, options.zone, out)),
        Format::Markdown => Box::new(markdown::Markdown::try_new(
            schema,
            names,
            options.zone,
            out,
        )?),
        Format::Parquet => Box::new(columnar::Parquet::try_new(schema, names, out)?),
        Format::Arrow => Box::new(columnar::Ipc::try_new(schema, names, out)?),
    })
}

/// The reason for an early end of the output.
enum Stop {
    Reading(DataFusionError),
    Writing(io::Error),
}

impl From<DataFusionError> for Stop {
    fn from(error: DataFusionError) -> Self {
        Self::Reading(error)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Writing(error)
    }
}

async fn pump(
    stream: &mut SendableRecordBatchStream,
    writer: &mut dyn BatchWriter,
    rows: &mut u64,
) -> Result<(), Stop> {
    loop {
        let next = match writer.deadline() {
            None => stream.next().await,
            Some(due) => match timeout_at(due, stream.next()).await {
                Ok(next) => next,
                Err(_) => {
                    writer.flush_held()?;
                    continue;
                }
            },
        };
        match next {
            None => return Ok(writer.finish()?),
            Some(Ok(batch)) => {
                writer.write(&batch)?;
                *rows += batch.num_rows() as u64;
                // A stream that is always ready would starve the task that handles interrupts.
                tokio::task::yield_now().await;
            }
            Some(Err(error)) => {
                writer.interrupt()?;
                return Err(error.into());
            }
        }
    }
}

/// Extracts the I/O error of an Arrow error, preserving its kind.
fn of_arrow(error: ArrowError) -> io::Error {
    match error {
        ArrowError::IoError(_, error) => error,
        other => io::Error::other(other),
    }
}

#[cfg(test)]
mod tests;
