//! Writes CSV and TSV. Both quote cells that hold a delimiter, a quote or a line break;
//! spreadsheets and `csv` libraries read that in TSV too, `cut` does not.
//!
//! The callers in a log choose the names of users, sessions and resources, and a spreadsheet runs a
//! cell that looks like a formula. Such cells get a leading `'`, unless the user asks for raw
//! cells. Numbers are not changed.

use std::io;
use std::sync::Arc;

use arrow::array::RecordBatch;

use super::cells::{CellReader, CellStyle, is_number, unpacked};
use super::screen::printable;
use super::{BatchWriter, Destination, OutputOptions};
use crate::query::is_formula;

/// Writes rows as delimited text below a header.
pub(super) struct Delimited {
    csv: csv::Writer<Destination>,
    raw: bool,
    terminal: bool,
    style: Arc<CellStyle>,
    scratch: Scratch,
}

#[derive(Default)]
struct Scratch {
    cell: String,
    screen: String,
    guarded: String,
}

impl Delimited {
    /// Writes the header.
    pub(super) fn try_new(
        delimiter: u8,
        column_names: &[String],
        options: &OutputOptions,
        out: Destination,
    ) -> io::Result<Self> {
        let mut this = Self {
            csv: csv::WriterBuilder::new()
                .delimiter(delimiter)
                .from_writer(out),
            raw: options.raw_csv,
            terminal: options.width.is_some(),
            style: Arc::new(CellStyle::new(options.zone)),
            scratch: Scratch::default(),
        };
        for name in column_names {
            this.field(name, false)?;
        }
        this.end_row()?;
        this.csv.flush()?;
        Ok(this)
    }

    fn field(&mut self, text: &str, number: bool) -> io::Result<()> {
        let Scratch {
            screen, guarded, ..
        } = &mut self.scratch;
        let text = if self.terminal {
            printable(text, screen)
        } else {
            text
        };
        let text = if !self.raw && !number && is_formula(text) {
            guarded.clear();
            guarded.push('\'');
            guarded.push_str(text);
            guarded
        } else {
            text
        };
        self.csv.write_field(text).map_err(of_csv)
    }

    fn end_row(&mut self) -> io::Result<()> {
        self.csv.write_record(None::<&[u8]>).map_err(of_csv)
    }
}

impl BatchWriter for Delimited {
    fn write(&mut self, batch: &RecordBatch) -> io::Result<()> {
        let arrays = unpacked(batch)?;
        let style = Arc::clone(&self.style);
        let mut columns = CellReader::all(&arrays, &style)?;
        let mut cell = std::mem::take(&mut self.scratch.cell);
        for row in 0..batch.num_rows() {
            for (array, column) in arrays.iter().zip(&mut columns) {
                let number = is_number(array.data_type());
                self.field(column.text(row, &mut cell), number)?;
            }
            self.end_row()?;
        }
        self.scratch.cell = cell;
        self.csv.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.csv.flush()
    }
}

fn of_csv(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}
