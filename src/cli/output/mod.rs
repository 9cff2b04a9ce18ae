//! Query results on their way out: a stream of record batches in, text or columnar bytes out.
//!
//! What holds for every format:
//!
//! - A batch is written and flushed as it comes (Parquet, which has its index at the end, and a
//!   table's first rows, which decide its widths, are the exceptions).
//! - A reader who goes away (`| head`) ends the query, and is no failure.
//! - Times are ISO 8601 in UTC with a `Z`, with a fraction only where there is one; lists, structs
//!   and maps are JSON text; bytes are hexadecimal.
//! - What a terminal would obey instead of showing (escape sequences, direction overrides) is
//!   escaped wherever it is a terminal that we write to.

mod cells;
mod columnar;
mod delimited;
mod destination;
mod json;
mod layout;
mod markdown;
mod screen;
mod table;

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use tokio::time::{Instant, timeout_at};

pub use destination::{Destination, destination, terminal_width};

use super::report::why;
use crate::error::{Error, Result};
use crate::query::short;

/// How a result is written.
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
    /// Whether its bytes are not for a terminal.
    pub fn is_binary(self) -> bool {
        matches!(self, Self::Parquet | Self::Arrow)
    }

    /// The format that a file's name asks for, if its ending is one that we know.
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

/// What there is to choose about the writing.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The format.
    pub format: Format,
    /// Leaves cells of CSV and TSV that a spreadsheet would run as formulas as they are.
    pub raw_csv: bool,
    /// Columns of the terminal that is written to; `None` where it is none: nothing is cut then.
    pub width: Option<usize>,
    /// Whether NULL may be dimmed with an escape sequence in a table.
    pub color: bool,
}

/// Writes all of `stream` to `out`, and returns the number of rows in the batches that were
/// written.
///
/// `titles` are the column names to show, one per field. They may repeat; where a name must be
/// unique (JSON's keys, Parquet's and Arrow's columns) the second `a` is `a_2`, the next `a_3`.
///
/// Must run in a tokio runtime with a timer. Writing blocks the thread it runs on.
///
/// # Errors
///
/// The stream's own error, after the rows that came before it have been shown; or an I/O error
/// that names the destination. When the other end of a pipe is closed the rest of the stream is
/// not asked for, and that is success.
pub async fn write(
    mut stream: SendableRecordBatchStream,
    titles: &[String],
    options: &Options,
    out: Destination,
) -> Result<u64> {
    let schema = stream.schema();
    if titles.len() != schema.fields().len() {
        let (titles, fields) = (titles.len(), schema.fields().len());
        return Err(Error::bug(format!(
            "{titles} titles for {fields} columns of output"
        )));
    }
    let name = out.name().to_owned();
    let mut rows = 0;
    let outcome = match sink(&schema, titles, options, out) {
        Ok(mut sink) => pump(&mut stream, sink.as_mut(), &mut rows).await,
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(()) => Ok(rows),
        Err(Stop::Reading(error)) => Err(of_query(error)),
        Err(Stop::Writing(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(rows),
        Err(Stop::Writing(error)) => Err(Error::io(format!(
            "cannot write to {name}: {}",
            why(&error)
        ))),
    }
}

/// A format at work. Its errors are I/O errors, so that a closed pipe can be told from the rest.
trait Sink: Send {
    /// Writes a batch and flushes, or holds it until [`Sink::due`].
    fn write(&mut self, batch: &RecordBatch) -> io::Result<()>;

    /// When what is held must be shown, even if nothing more has come.
    fn due(&self) -> Option<Instant> {
        None
    }

    /// Shows what is held.
    fn settle(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Ends the output and flushes it.
    fn finish(&mut self) -> io::Result<()>;
}

fn sink(
    schema: &SchemaRef,
    titles: &[String],
    options: &Options,
    out: Destination,
) -> io::Result<Box<dyn Sink>> {
    Ok(match options.format {
        Format::Table => Box::new(table::Table::new(schema, titles, options, out)),
        Format::Csv => Box::new(delimited::Delimited::try_new(b',', titles, options, out)?),
        Format::Tsv => Box::new(delimited::Delimited::try_new(b'\t', titles, options, out)?),
        Format::Json => Box::new(json::Json::array(titles, out)),
        Format::Ndjson => Box::new(json::Json::lines(titles, out)),
        Format::Markdown => Box::new(markdown::Markdown::try_new(schema, titles, out)?),
        Format::Parquet => Box::new(columnar::Parquet::try_new(schema, titles, out)?),
        Format::Arrow => Box::new(columnar::Ipc::try_new(schema, titles, out)?),
    })
}

/// Why no more rows are written.
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
    sink: &mut dyn Sink,
    rows: &mut u64,
) -> Result<(), Stop> {
    loop {
        let next = match sink.due() {
            None => stream.next().await,
            Some(due) => match timeout_at(due, stream.next()).await {
                Ok(next) => next,
                Err(_) => {
                    sink.settle()?;
                    continue;
                }
            },
        };
        match next {
            None => return Ok(sink.finish()?),
            Some(Ok(batch)) => {
                sink.write(&batch)?;
                *rows += batch.num_rows() as u64;
                // A stream that always has more would never let anyone hear of an interrupt.
                tokio::task::yield_now().await;
            }
            Some(Err(error)) => {
                sink.settle()?;
                return Err(error.into());
            }
        }
    }
}

/// Our own error, if a table of ours failed in the midst of the query; else the engine's.
fn of_query(error: DataFusionError) -> Error {
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => {
            of_query(*inner)
        }
        DataFusionError::External(inner) => match inner.downcast::<Error>() {
            Ok(ours) => *ours,
            Err(other) => Error::query(other.to_string()),
        },
        other => Error::query(short(&other)),
    }
}

/// The I/O error in an Arrow error, with its kind.
fn of_arrow(error: ArrowError) -> io::Error {
    match error {
        ArrowError::IoError(_, error) => error,
        other => io::Error::other(other),
    }
}

/// The titles with `_2`, `_3` ... after those that an earlier column has.
///
/// `fold` says what makes two of them the same: their text, or their text whatever its case.
fn unique(titles: &[String], fold: fn(&str) -> String) -> Vec<String> {
    let mut taken: HashSet<String> = titles.iter().map(|title| fold(title)).collect();
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut distinct = |title: &String| {
        let copies = seen.entry(fold(title)).or_default();
        *copies += 1;
        if *copies == 1 {
            return title.clone();
        }
        loop {
            let candidate = format!("{title}_{copies}");
            if taken.insert(fold(&candidate)) {
                return candidate;
            }
            *copies += 1;
        }
    };
    titles.iter().map(&mut distinct).collect()
}

#[cfg(test)]
mod tests;
