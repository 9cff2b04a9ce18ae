//! Writes a table for people: aligned columns below a rule, or a list per row if columns would be
//! cut to stubs. The user can ask for lists always, or for columns that are never cut.
//!
//! The widths are decided by the first rows: a thousand, or those of the first quarter of a second.
//! Later rows are written as they arrive, with the same widths. On a terminal, longer texts are cut
//! (in a list they wrap); numbers and times, and all cells in a pipe, push the rest of their line.

use std::io::{self, Write};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, FieldRef, SchemaRef};
use tokio::time::Instant;

use super::cells::{CellReader, CellStyle, is_number, unpacked};
use super::layout::{self, GAP, WidthRequest};
use super::pretty::object_lines;
use super::screen::{Cut, ELLIPSIS, Fitted, fit, fit_end, printable, split, width};
use super::{BatchWriter, Destination, Expanded, OutputOptions};

/// Writes rows as a table.
pub(super) struct Table {
    out: Destination,
    terminal: Option<usize>,
    color: bool,
    expanded: Expanded,
    style: CellStyle,
    columns: Vec<TableColumn>,
    state: State,
    rows: u64,
}

struct TableColumn {
    name: String,
    number: bool,
    request: WidthRequest,
}

enum State {
    /// Holds rows until the widths can be decided.
    Holding {
        batches: Vec<RecordBatch>,
        rows: usize,
        due: Option<Instant>,
    },
    /// Writes columns of these widths.
    Columns(Vec<usize>),
    /// Writes a list per row.
    Lists,
}

impl State {
    /// Returns the first state. Lists need no widths, so their rows are not held.
    fn of(expanded: Expanded) -> Self {
        match expanded {
            Expanded::On => Self::Lists,
            Expanded::Auto | Expanded::Off => Self::Holding {
                batches: Vec::new(),
                rows: 0,
                due: None,
            },
        }
    }
}

impl Table {
    /// Creates a table as wide as the terminal, or as wide as its cells if there is no terminal.
    pub(super) fn new(
        schema: &SchemaRef,
        column_names: &[String],
        options: &OutputOptions,
        out: Destination,
    ) -> Self {
        let mut scratch = String::new();
        let column = |(name, field): (&String, &FieldRef)| {
            let name = printable(name, &mut scratch).to_owned();
            let request = WidthRequest {
                name: width(&name),
                cells: 0,
                rigid: is_rigid(field.data_type()),
            };
            TableColumn {
                name,
                number: is_number(field.data_type()),
                request,
            }
        };
        Self {
            out,
            terminal: options.width,
            color: options.color,
            expanded: options.expanded,
            style: CellStyle::new(options.zone),
            columns: column_names
                .iter()
                .zip(schema.fields())
                .map(column)
                .collect(),
            state: State::of(options.expanded),
            rows: 0,
        }
    }

    /// Decides the widths and writes the rows held so far. `more` tells that other rows may come.
    fn begin(&mut self, more: bool) -> io::Result<()> {
        let State::Holding { batches, .. } = &mut self.state else {
            return Ok(());
        };
        let batches = std::mem::take(batches);
        for batch in &batches {
            measure(batch, &self.style, &mut self.columns)?;
        }
        let requests: Vec<WidthRequest> =
            self.columns.iter().map(|column| column.request).collect();
        let widths = match self.edge() {
            None => Some(requests.iter().map(|request| request.natural()).collect()),
            Some(terminal) => layout::widths(&requests, terminal),
        };
        self.state = match widths {
            None => State::Lists,
            Some(mut widths) => {
                if let Some(terminal) = self.edge().filter(|_| more) {
                    layout::widen(&mut widths, &requests, terminal);
                }
                self.header(&widths)?;
                State::Columns(widths)
            }
        };
        for batch in &batches {
            self.show(batch)?;
        }
        Ok(())
    }

    /// Returns the width that columns are cut to, if they are.
    fn edge(&self) -> Option<usize> {
        self.terminal.filter(|_| self.expanded != Expanded::Off)
    }

    fn header(&mut self, widths: &[usize]) -> io::Result<()> {
        let mut line = Line::default();
        for (column, &width) in self.columns.iter().zip(widths) {
            let fitted = fit_end(&column.name, self.edge().map_or(usize::MAX, |_| width));
            line.cell(&fitted, width, column.number);
        }
        line.write(&mut self.out)?;
        for &width in widths {
            line.push(&"─".repeat(width));
            line.blanks += GAP;
        }
        line.write(&mut self.out)
    }

    fn show(&mut self, batch: &RecordBatch) -> io::Result<()> {
        match &self.state {
            State::Columns(widths) => {
                let widths = widths.clone();
                self.show_rows(batch, &widths)?;
            }
            _ => self.show_lists(batch)?,
        }
        self.out.flush()
    }

    fn show_rows(&mut self, batch: &RecordBatch, widths: &[usize]) -> io::Result<()> {
        let arrays = unpacked(batch)?;
        let mut cells = CellReader::all(&arrays, &self.style)?;
        let (mut scratch, mut screen) = (String::new(), String::new());
        let mut line = Line::new(self.color);
        for row in 0..batch.num_rows() {
            for (index, cells) in cells.iter_mut().enumerate() {
                let limit = self.limit(index, widths[index], line.columns());
                if cells.is_null(row) {
                    line.null(limit, widths[index], self.columns[index].number);
                    continue;
                }
                let text = printable(cells.text(row, &mut scratch), &mut screen);
                line.cell(&fit(text, limit), widths[index], self.columns[index].number);
            }
            line.write(&mut self.out)?;
        }
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// Returns the width limit of a cell that starts after `before` columns. Cells in a pipe and
    /// cells that would mislead are not cut; the last cell may reach the terminal's edge.
    fn limit(&self, index: usize, width: usize, before: usize) -> usize {
        match self.edge() {
            None => usize::MAX,
            Some(_) if self.columns[index].request.rigid => usize::MAX,
            Some(terminal) if index + 1 == self.columns.len() => {
                terminal.saturating_sub(before).max(1)
            }
            Some(_) => width,
        }
    }

    fn show_lists(&mut self, batch: &RecordBatch) -> io::Result<()> {
        let arrays = unpacked(batch)?;
        let mut cells = CellReader::all(&arrays, &self.style)?;
        let terminal = self.terminal.unwrap_or(usize::MAX);
        let widest = self.columns.iter().map(|column| column.request.name).max();
        let names = widest.unwrap_or_default().min(terminal / 2);
        let values = terminal.saturating_sub(names + GAP).max(1);
        let (mut scratch, mut screen) = (String::new(), String::new());
        let mut line = Line::new(self.color);
        for row in 0..batch.num_rows() {
            self.rows += 1;
            let heading = format!("─[ row {} ]", self.rows);
            let rest = LIST_RULE.min(terminal).saturating_sub(width(&heading));
            line.push(&heading);
            line.push(&"─".repeat(rest));
            line.write(&mut self.out)?;
            for (column, cells) in self.columns.iter().zip(&mut cells) {
                line.cell(&fit_end(&column.name, names), names, false);
                if cells.is_null(row) {
                    line.null(values, 0, false);
                    line.write(&mut self.out)?;
                    continue;
                }
                let text = cells.text(row, &mut scratch);
                let object = match self.terminal.is_some() && width(text) > WIDE_JSON {
                    true => object_lines(text, LIST_LINES),
                    false => None,
                };
                match object {
                    Some(lines) => line.write_object(lines, terminal, &mut self.out)?,
                    None => {
                        let text = printable(text, &mut screen);
                        line.write_wrapped(text, values, &mut self.out)?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl BatchWriter for Table {
    fn write(&mut self, batch: &RecordBatch) -> io::Result<()> {
        let State::Holding { batches, rows, due } = &mut self.state else {
            return self.show(batch);
        };
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let due = *due.get_or_insert_with(|| Instant::now() + PATIENCE);
        batches.push(batch.clone());
        *rows += batch.num_rows();
        if *rows >= ROWS_TO_MEASURE || due <= Instant::now() {
            self.begin(true)?;
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Holding { due, .. } => *due,
            _ => None,
        }
    }

    fn flush_held(&mut self) -> io::Result<()> {
        match self.deadline() {
            Some(_) => self.begin(true),
            None => Ok(()),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        self.begin(false)?;
        if self.terminal.is_some() {
            let plural = if self.rows == 1 { "" } else { "s" };
            writeln!(self.out, "({} row{plural})", self.rows)?;
        }
        self.out.flush()
    }
}

fn measure(batch: &RecordBatch, style: &CellStyle, columns: &mut [TableColumn]) -> io::Result<()> {
    let arrays = unpacked(batch)?;
    let (mut scratch, mut screen) = (String::new(), String::new());
    for (mut cells, column) in CellReader::all(&arrays, style)?.into_iter().zip(columns) {
        for row in 0..batch.num_rows() {
            let cell = match cells.is_null(row) {
                true => NULL,
                false => printable(cells.text(row, &mut scratch), &mut screen),
            };
            column.request.cells = column.request.cells.max(width(cell));
        }
    }
    Ok(())
}

fn is_rigid(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => is_rigid(values),
        other => other.is_numeric() || other.is_temporal() || *other == DataType::Boolean,
    }
}

/// A line under construction. Blanks are written only before text, so no line ends in blanks.
#[derive(Default)]
struct Line {
    text: String,
    /// Width of the text in columns.
    width: usize,
    /// Blanks to write before the next text.
    blanks: usize,
    /// Whether NULL is dimmed.
    color: bool,
}

impl Line {
    fn new(color: bool) -> Self {
        Self {
            color,
            ..Self::default()
        }
    }

    /// Appends a NULL cell, which differs from an empty text.
    fn null(&mut self, limit: usize, width: usize, right: bool) {
        let start = self.text.len();
        self.cell(&fit(NULL, limit), width, right);
        if self.color {
            let blanks = self.text[start..].len() - self.text[start..].trim_start().len();
            self.text.insert_str(start + blanks, DIM);
            self.text.push_str(NOT_DIM);
        }
    }

    fn cell(&mut self, fitted: &Fitted<'_>, width: usize, right: bool) {
        let padding = width.saturating_sub(fitted.width);
        if right {
            self.blanks += padding;
        }
        if fitted.cut == Cut::Start {
            self.push(ELLIPSIS);
        }
        self.push(fitted.text);
        if fitted.cut == Cut::End {
            self.push(ELLIPSIS);
        }
        if !right {
            self.blanks += padding;
        }
        self.blanks += GAP;
    }

    fn push(&mut self, text: &str) {
        if !text.is_empty() {
            self.text.extend(std::iter::repeat_n(' ', self.blanks));
            self.text.push_str(text);
            self.width += self.blanks + width(text);
            self.blanks = 0;
        }
    }

    /// Returns the column at which the next text starts.
    fn columns(&self) -> usize {
        self.width + self.blanks
    }

    /// Appends a text that wraps onto further lines, below its beginning, and writes them.
    fn write_wrapped(&mut self, text: &str, room: usize, out: &mut Destination) -> io::Result<()> {
        let indent = self.columns();
        let mut rest = text;
        for _ in 1..LIST_LINES {
            let (start, end) = split(rest, room);
            if start.is_empty() || end.is_empty() {
                break;
            }
            self.cell(&fit(start, room), 0, false);
            self.write(out)?;
            self.blanks = indent;
            rest = end;
        }
        self.cell(&fit(rest, room), 0, false);
        self.write(out)
    }

    /// Writes the line, which has a name, and the lines of an object below it.
    fn write_object(
        &mut self,
        mut lines: Vec<String>,
        terminal: usize,
        out: &mut Destination,
    ) -> io::Result<()> {
        self.write(out)?;
        if lines.len() > LIST_LINES {
            lines.truncate(LIST_LINES - 1);
            lines.push(ELLIPSIS.to_owned());
        }
        let room = terminal.saturating_sub(GAP).max(1);
        let mut screen = String::new();
        for text in lines {
            self.blanks = GAP;
            self.cell(&fit(printable(&text, &mut screen), room), 0, false);
            self.write(out)?;
        }
        Ok(())
    }

    fn write(&mut self, out: &mut Destination) -> io::Result<()> {
        self.text.push('\n');
        let outcome = out.write_all(self.text.as_bytes());
        self.text.clear();
        self.width = 0;
        self.blanks = 0;
        outcome
    }
}

/// Columns beyond which a JSON object in a list is broken into lines.
const WIDE_JSON: usize = 60;

/// Most lines of a value in a list.
const LIST_LINES: usize = 20;

/// The text of NULL. In a list of groups, an empty cell would look like a mistake.
const NULL: &str = "NULL";

/// Escape sequences that dim the text after them, and that end it.
const DIM: &str = "\u{1b}[2m";
const NOT_DIM: &str = "\u{1b}[22m";

/// Most rows to measure for the widths.
const ROWS_TO_MEASURE: usize = 1_000;

/// Longest time to hold the first row.
const PATIENCE: Duration = Duration::from_millis(250);

/// Width of the rule above a list, in columns.
const LIST_RULE: usize = 40;
