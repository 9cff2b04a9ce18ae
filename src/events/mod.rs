//! Records in, record batches of the table `events` out.
//!
//! The schema is [`columns`], fixed and in one place. The [`Decoder`] is told which columns somebody
//! wants and builds those and no others: it looks only into the members that hold them, and what
//! it does not want it does not even unescape.
//!
//! Every row can be turned back into its record: [`rebuild`].

mod captures;
mod cells;
pub mod columns;
mod dedup;
mod derived;
pub mod family;
mod filter;
mod keys;
mod leftover;
mod mismatch;
mod projection;
mod rebuild;
pub mod time;
mod value;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;

use crate::envelope::Record;
use crate::json::Span;
use cells::{CellBuilder, Fit};
use columns::{Column, ColumnClass, catalog};
use derived::Derivation;
use leftover::Leftovers;
use mismatch::TypeMismatches;
use projection::{Node, Target};
use value::Value;

pub use dedup::Deduplicator;
pub use filter::RowFilter;
pub use mismatch::TypeMismatch;
pub use rebuild::rebuild;

/// A batch is handed on when its texts have this many bytes, however few rows it has.
const BATCH_BYTES: usize = 6 << 20;

/// Turns records into batches of the columns that are wanted.
pub struct Decoder {
    schema: SchemaRef,
    filter: RowFilter,
    tree: Node,
    /// The builders of the distinct columns, in the order in which the projection first names them.
    cells: Vec<CellBuilder>,
    /// For each projected column, the index of its builder.
    positions: Vec<usize>,
    derivation: Derivation,
    leftovers: Option<Wanted>,
    nulls: HashMap<DataType, ArrayRef>,
    rows: usize,
    batch_rows: usize,
    /// By builder, the paths of the columns.
    paths: Vec<&'static str>,
    type_mismatches: TypeMismatches,
}

/// The columns that leftovers go to.
#[derive(Default)]
struct Wanted {
    leftovers: Leftovers,
    unmapped: Option<usize>,
    null_fields: Option<usize>,
}

impl Decoder {
    /// Builds `projection` (indexes into the [catalog](columns::catalog)) of the rows that may pass
    /// `filter`, in batches of at most `batch_rows` rows. A column may be projected any number of
    /// times; it is built once.
    pub fn new(projection: &[usize], filter: RowFilter, batch_rows: usize) -> Self {
        let catalog = catalog();
        let mut decoder = Self {
            schema: Arc::new(
                catalog
                    .schema()
                    .project(projection)
                    .expect("the caller projects the catalog's schema"),
            ),
            filter,
            tree: Node::default(),
            cells: Vec::new(),
            positions: Vec::with_capacity(projection.len()),
            derivation: Derivation::default(),
            leftovers: None,
            nulls: HashMap::new(),
            rows: 0,
            batch_rows: batch_rows.max(1),
            paths: Vec::new(),
            type_mismatches: TypeMismatches::default(),
        };
        let mut known = HashMap::new();
        for &column in projection {
            let next = decoder.cells.len();
            let position = *known.entry(column).or_insert(next);
            if position == next {
                decoder.want(position, &catalog.columns()[column]);
            }
            decoder.positions.push(position);
        }
        decoder
    }

    fn want(&mut self, index: usize, column: &'static Column) {
        self.paths.push(&column.path);
        self.cells.push(CellBuilder::new(column.column_type));
        match (column.class, &*column.path) {
            (ColumnClass::Record, "unmapped") => {
                self.leftovers.get_or_insert_default().unmapped = Some(index);
            }
            (ColumnClass::Record, "nullFields") => {
                self.leftovers.get_or_insert_default().null_fields = Some(index);
            }
            (ColumnClass::Derived, name) => self.derivation.add(name, index, &mut self.tree),
            (_, path) => self.tree.add(path, Target::Column(index)),
        }
    }

    /// The schema of the batches.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Rows since the last batch.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Returns the columns that were given values of another type since the last call.
    pub fn take_type_mismatches(&mut self) -> Vec<TypeMismatch> {
        self.type_mismatches.take()
    }

    /// Adds a row for the record, unless the filter leaves it out. Tells whether the batch is full.
    pub fn push(&mut self, record: &Record<'_>) -> bool {
        let text = record.text;
        if !self.filter.is_empty() && !self.filter.passes(text, record.members) {
            return false;
        }
        let row = self.rows;
        let Self {
            tree,
            cells,
            derivation,
            paths,
            type_mismatches,
            ..
        } = self;
        if !tree.is_empty() {
            let mut each = |node: &Node, text, start, end, escaped| {
                let span = Span {
                    start,
                    end,
                    escaped,
                };
                let value = Value { text, span };
                for target in node.targets() {
                    match *target {
                        Target::Capture(slot) => derivation.capture(slot, value.span),
                        Target::Column(column) => {
                            let fit = cells[column].set(row, value);
                            // An object is expected where there are columns below this one.
                            let is_mismatch = fit == Fit::Mismatch
                                && !(node.has_children() && value.first() == b'{');
                            if is_mismatch {
                                type_mismatches.count(column, paths[column], record);
                            }
                        }
                    }
                }
            };
            for member in record.members {
                if let Some((_, node)) = tree.find(text, member.key) {
                    let span = member.value;
                    node.walk(Value { text, span }, &mut each);
                }
            }
        }
        if !self.derivation.is_empty() {
            self.derivation.push(record, &mut self.cells, self.rows);
        }
        if self.leftovers.is_some() {
            self.push_leftovers(record);
        }
        self.rows += 1;
        self.rows >= self.batch_rows || (self.rows & 31 == 0 && self.text_bytes() > BATCH_BYTES)
    }

    fn push_leftovers(&mut self, record: &Record<'_>) {
        let Some(wanted) = &mut self.leftovers else {
            return;
        };
        wanted.leftovers.collect(record.text, record.members);
        if let Some(column) = wanted.unmapped
            && !wanted.leftovers.unmapped.is_empty()
        {
            self.cells[column]
                .text_cells()
                .set_text(self.rows, &wanted.leftovers.unmapped);
        }
        if let Some(column) = wanted.null_fields
            && !wanted.leftovers.nulls.is_empty()
        {
            self.cells[column]
                .list_cells()
                .set_texts(self.rows, wanted.leftovers.nulls.iter().copied());
        }
    }

    fn text_bytes(&self) -> usize {
        self.cells.iter().map(CellBuilder::bytes).sum()
    }

    /// The rows since the last batch, if there are any.
    ///
    /// # Errors
    /// Never, as the columns are built for this schema; arrow checks it all the same.
    pub fn finish(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        let rows = std::mem::take(&mut self.rows);
        if rows == 0 {
            return Ok(None);
        }
        let mut built: Vec<ArrayRef> = Vec::with_capacity(self.cells.len());
        let mut columns = Vec::with_capacity(self.positions.len());
        for (field, &position) in self.schema.fields().iter().zip(&self.positions) {
            if position == built.len() {
                let cells = &mut self.cells[position];
                built.push(match cells.is_empty() {
                    true => null_array(&mut self.nulls, field.data_type(), rows),
                    false => cells.finish(rows),
                });
            }
            columns.push(Arc::clone(&built[position]));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options).map(Some)
    }
}

/// A column of nulls. One array serves all columns of a type that have no value in a batch: of the
/// hundreds that a wide query names, that is most.
fn null_array(
    known: &mut HashMap<DataType, ArrayRef>,
    data_type: &DataType,
    rows: usize,
) -> ArrayRef {
    match known.get(data_type) {
        Some(array) if array.len() == rows => Arc::clone(array),
        Some(array) if array.len() > rows => array.slice(0, rows),
        _ => {
            let array = new_null_array(data_type, rows);
            known.insert(data_type.clone(), Arc::clone(&array));
            array
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::RecordKind;
    use crate::input_location::InputLocation;
    use crate::json::Tape;

    /// Pushes the records of `{"Records": [...]}`, of which the first starts at byte 100 of `made`.
    fn push_all(decoder: &mut Decoder, text: &str) {
        let mut tape = Tape::default();
        tape.parse(text, 0);
        for (index, element) in tape.elements_of(&tape.arrays[0]).iter().enumerate() {
            decoder.push(&Record {
                text,
                span: element.value,
                members: tape.members_of(element),
                kind: RecordKind::Event,
                origin: &Arc::from("made"),
                byte: 100 + index as u64,
                delivered_micros: None,
            });
        }
    }

    #[test]
    fn type_mismatches_are_counted_by_column_with_an_example() {
        let index = |name| catalog().index_of(name).unwrap();
        let (read_only, port) = (index("readonly"), index("requestparameters_port"));
        let projection = [port, index("eventname"), read_only, read_only];
        let mut decoder = Decoder::new(&projection, RowFilter::default(), 10);
        assert_eq!(decoder.take_type_mismatches(), []);
        let text = r#"{"Records":[
            {"eventName":"a","readOnly":true},
            {"eventName":"b","readOnly":"perhaps"},
            {"eventName":"c","readOnly":[],"requestParameters":{"port":"none"}},
            {"eventName":"d","readOnly":null,"requestParameters":"port"}
        ]}"#;
        push_all(&mut decoder, text);
        let mismatch = |column, count, byte| TypeMismatch {
            column,
            count,
            example: InputLocation::new("made").at_byte(byte),
        };
        assert_eq!(
            decoder.take_type_mismatches(),
            [
                mismatch("requestParameters.port", 1, 102),
                mismatch("readOnly", 2, 101),
            ]
        );
        assert_eq!(decoder.take_type_mismatches(), []);
        push_all(&mut decoder, r#"{"Records":[{"readOnly":"no"}]}"#);
        assert_eq!(
            decoder.take_type_mismatches(),
            [mismatch("readOnly", 1, 100)]
        );
    }
}
