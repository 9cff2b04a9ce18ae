//! Records in, record batches of the table `events` out.
//!
//! The schema is fixed: [`columns`]. A [`Decoder`] builds only the projected columns: it visits only the
//! members that hold them, and unescapes nothing else.
//!
//! [`rebuild`] turns a row back into its record.

mod captures;
mod cells;
pub mod columns;
mod decimal;
mod dedup;
mod derived;
pub mod family;
mod filter;
mod fingerprint;
mod keys;
mod mismatch;
mod projection;
mod rebuild;
pub mod response;
pub mod time;
mod unmapped;
mod value;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;

use crate::envelope::Record;
use cells::{CellBuilder, Fit};
use columns::{Column, ColumnClass, catalog};
use derived::Derivation;
use mismatch::TypeMismatches;
use projection::{Node, Target};
use unmapped::UnmappedFields;
use value::Value;

pub use dedup::Deduplicator;
pub use filter::RowFilter;
pub use fingerprint::fingerprint;
pub use mismatch::{TypeChecker, TypeMismatch};
pub use rebuild::rebuild;

/// Bytes of text at which a batch is full, however few rows it has.
const BATCH_BYTES: usize = 6 << 20;

/// A builder of record batches of the projected columns.
pub struct Decoder {
    schema: SchemaRef,
    filter: RowFilter,
    tree: Node,
    /// The builders of the distinct columns, in the order in which the projection first names them.
    cells: Vec<CellBuilder>,
    /// For each projected column, the index of its builder.
    positions: Vec<usize>,
    derivation: Derivation,
    unmapped_columns: Option<UnmappedColumns>,
    /// Arrays of NULLs, by type.
    nulls: HashMap<DataType, ArrayRef>,
    rows: usize,
    batch_rows: usize,
    /// By builder, the paths of the columns.
    paths: Vec<&'static str>,
    type_mismatches: TypeMismatches,
}

/// The builders of `unmapped` and `nullFields`, as far as these are projected.
#[derive(Default)]
struct UnmappedColumns {
    fields: UnmappedFields,
    unmapped: Option<usize>,
    null_fields: Option<usize>,
}

impl Decoder {
    /// Creates a decoder of the columns in `projection` (indexes into the [`columns::catalog`])
    /// and the rows that may pass `filter`, in batches of at most `batch_rows` rows. A column may be
    /// projected any number of times; it is built once.
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
            unmapped_columns: None,
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
                decoder.add(position, &catalog.columns()[column]);
            }
            decoder.positions.push(position);
        }
        decoder
    }

    fn add(&mut self, builder: usize, column: &'static Column) {
        self.paths.push(&column.path);
        self.cells.push(CellBuilder::new(column.column_type));
        match (column.class, &*column.path) {
            (ColumnClass::Record, "unmapped") => {
                self.unmapped_columns.get_or_insert_default().unmapped = Some(builder);
            }
            (ColumnClass::Record, "nullFields") => {
                self.unmapped_columns.get_or_insert_default().null_fields = Some(builder);
            }
            (ColumnClass::Derived, name) => self.derivation.add(name, builder, &mut self.tree),
            (_, path) => self.tree.add(path, Target::Cell(builder)),
        }
    }

    /// Returns the schema of the batches.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Returns the number of rows since the last batch.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Returns the columns that were given values of another type since the last call. A value counts once,
    /// even if its column is projected several times.
    pub fn take_type_mismatches(&mut self) -> Vec<TypeMismatch> {
        self.type_mismatches.take()
    }

    /// Appends a row for the record, unless the filter drops it. Returns `true` if the batch is full.
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
                let value = Value::at(text, start, end, escaped);
                for target in node.targets() {
                    match *target {
                        Target::Capture(slot) => derivation.capture(slot, value.span),
                        Target::Cell(builder) => {
                            let fit = cells[builder].set(row, value);
                            // An object is expected where there are columns below this one.
                            let is_mismatch = fit == Fit::Mismatch
                                && !(node.has_children() && value.first() == b'{');
                            if is_mismatch {
                                type_mismatches.count(builder, paths[builder], record);
                            }
                        }
                    }
                }
            };
            tree.walk_record(text, record.members, &mut each);
        }
        if !self.derivation.is_empty() {
            self.derivation.push(record, &mut self.cells, self.rows);
        }
        self.push_unmapped(record);
        self.rows += 1;
        self.rows >= self.batch_rows || (self.rows & 31 == 0 && self.text_bytes() > BATCH_BYTES)
    }

    fn push_unmapped(&mut self, record: &Record<'_>) {
        let Some(columns) = &mut self.unmapped_columns else {
            return;
        };
        columns.fields.collect(record);
        if let Some(builder) = columns.unmapped
            && !columns.fields.unmapped.is_empty()
        {
            self.cells[builder]
                .text_cells()
                .set_text(self.rows, &columns.fields.unmapped);
        }
        if let Some(builder) = columns.null_fields
            && !columns.fields.nulls.is_empty()
        {
            self.cells[builder]
                .list_cells()
                .set_texts(self.rows, columns.fields.nulls.iter().copied());
        }
    }

    fn text_bytes(&self) -> usize {
        self.cells.iter().map(CellBuilder::bytes).sum()
    }

    /// Completes the batch of the rows since the last one; returns `None` if there are none.
    ///
    /// # Errors
    /// If arrow finds that the columns do not match the schema, which is a bug.
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

/// Returns a column of NULLs. All columns of a type that have no value in a batch share one array: of
/// the hundreds in a wide query, most.
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
mod tests;
