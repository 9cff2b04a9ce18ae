//! Batches of the few columns, of some 900, that occur in their rows.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, StringArray, UInt32Array,
    new_null_array,
};
use arrow::compute::{interleave, take};
use arrow::datatypes::{Field, FieldRef, Schema, TimestampMicrosecondType};
use arrow::error::ArrowError;

use crate::error::{Error, Result};
use crate::events::columns::catalog;

/// Rows with those of the catalog's columns that are not NULL in all of them.
#[derive(Clone, Debug)]
pub(super) struct SparseBatch {
    /// Indexes into the catalog, ascending, with their values.
    columns: Vec<(usize, ArrayRef)>,
    rows: usize,
}

/// The place of a row: the index of its batch, and its index there.
pub(super) type RowPlace = (usize, usize);

impl SparseBatch {
    /// Returns the rows of a batch whose columns are the catalog's, in any order.
    ///
    /// # Errors
    /// Bug, if a column is not one of the catalog, or has another type there.
    pub(super) fn of_batch(batch: &RecordBatch) -> Result<Self> {
        let mut columns = Vec::new();
        for (field, values) in batch.schema_ref().fields().iter().zip(batch.columns()) {
            if values.null_count() < values.len() {
                columns.push((checked_index(field)?, Arc::clone(values)));
            }
        }
        columns.sort_unstable_by_key(|(index, _)| *index);
        let rows = batch.num_rows();
        Ok(Self { columns, rows })
    }

    /// Returns the number of rows.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Returns the bytes of memory that the batch holds on to.
    pub(super) fn bytes(&self) -> usize {
        let arrays = self.columns.iter();
        arrays.map(|(_, it)| it.get_array_memory_size()).sum()
    }

    /// Returns a copy of some rows, less the columns that are NULL in all of them.
    pub(super) fn take(&self, rows: &UInt32Array) -> Result<Self> {
        let mut columns = Vec::new();
        for (index, values) in &self.columns {
            let taken = take(values, rows, None).map_err(|error| failed(&error))?;
            if taken.null_count() < taken.len() {
                columns.push((*index, taken));
            }
        }
        let rows = rows.len();
        Ok(Self { columns, rows })
    }

    /// Copies columns that hold on to much more memory than they need, as slices of others do.
    pub(super) fn shrink(mut self) -> Result<Self> {
        let mut all = None;
        for (_, values) in &mut self.columns {
            let needed = values.to_data().get_slice_memory_size();
            let needed = needed.map_err(|error| failed(&error))?;
            if values.get_array_memory_size() > 2 * needed + SPARE_BYTES {
                let all = all.get_or_insert_with(|| UInt32Array::from_iter(0..self.rows as u32));
                *values = take(values, all, None).map_err(|error| failed(&error))?;
            }
        }
        Ok(self)
    }

    /// Returns the rows of `batches` in the given order, with the columns that any of them has.
    ///
    /// # Errors
    /// Bug, if the text of a column is 2 GiB or more: files are cut before.
    pub(super) fn gather(batches: &[Self], order: &[RowPlace]) -> Result<Self> {
        let indexes = batches.iter().flat_map(|batch| &batch.columns);
        let indexes: BTreeSet<usize> = indexes.map(|(index, _)| *index).collect();
        let mut columns = Vec::with_capacity(indexes.len());
        for index in indexes {
            columns.push((index, gather_column(batches, index, order)?));
        }
        let rows = order.len();
        Ok(Self { columns, rows })
    }

    /// Returns the batch with the columns in the catalog's order, without the catalog's metadata.
    pub(super) fn to_batch(&self) -> Result<RecordBatch> {
        let fields = self.columns.iter().map(|(index, _)| &FIELDS[*index]);
        let schema = Schema::new(fields.cloned().collect::<Vec<FieldRef>>());
        let values = self.columns.iter().map(|(_, it)| Arc::clone(it)).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        RecordBatch::try_new_with_options(Arc::new(schema), values, &options)
            .map_err(|error| failed(&error))
    }

    fn values(&self, index: usize) -> Option<&ArrayRef> {
        let at = self
            .columns
            .binary_search_by_key(&index, |(index, _)| *index);
        Some(&self.columns[at.ok()?].1)
    }
}

/// Returns the rows of all batches one after the other.
pub(super) fn arrival_order(batches: &[SparseBatch]) -> Vec<RowPlace> {
    let batches = batches.iter().enumerate();
    batches
        .flat_map(|(batch, it)| (0..it.rows).map(move |row| (batch, row)))
        .collect()
}

/// Returns the rows of all batches by event time, then event source, then arrival; NULLs are last.
pub(super) fn time_order(batches: &[SparseBatch]) -> Vec<RowPlace> {
    let mut keys = Vec::with_capacity(batches.iter().map(SparseBatch::rows).sum());
    for (number, batch) in batches.iter().enumerate() {
        let times = batch.values(INDEXES["eventtime"]);
        let times = times.map(|it| it.as_primitive::<TimestampMicrosecondType>());
        let sources = batch.values(INDEXES["eventsource"]);
        let sources: Option<&StringArray> = sources.map(|it| it.as_string());
        for row in 0..batch.rows {
            let time = times.filter(|it| it.is_valid(row)).map(|it| it.value(row));
            let source = sources.filter(|it| it.is_valid(row));
            let source = source.map(|it| it.value(row));
            // `false` is less than `true`: a NULL comes after every value.
            let by_value = (time.is_none(), time, source.is_none(), source);
            keys.push((by_value, (number, row)));
        }
    }
    keys.sort_unstable();
    keys.into_iter().map(|(_, place)| place).collect()
}

fn gather_column(batches: &[SparseBatch], index: usize, order: &[RowPlace]) -> Result<ArrayRef> {
    // One NULL stands for all rows of the batches without the column.
    let absent = new_null_array(FIELDS[index].data_type(), 1);
    let mut arrays: Vec<&dyn Array> = vec![&absent];
    let slots: Vec<usize> = batches
        .iter()
        .map(|batch| match batch.values(index) {
            Some(values) => {
                arrays.push(values);
                arrays.len() - 1
            }
            None => 0,
        })
        .collect();
    let place = |&(batch, row): &RowPlace| match slots[batch] {
        0 => (0, 0),
        slot => (slot, row),
    };
    let places: Vec<RowPlace> = order.iter().map(place).collect();
    interleave(&arrays, &places).map_err(|error| failed(&error))
}

/// Returns the index of a field's column in the catalog, if it has the catalog's type.
fn checked_index(field: &Field) -> Result<usize> {
    let index = INDEXES.get(field.name().as_str()).copied();
    let index = index.filter(|index| FIELDS[*index].data_type() == field.data_type());
    index.ok_or_else(|| {
        let (name, found) = (field.name(), field.data_type());
        Error::bug(format!(
            "column `{name}` ({found}) is not one that a lake stores"
        ))
    })
}

fn failed(error: &ArrowError) -> Error {
    Error::bug(format!("the rows of a file could not be arranged: {error}"))
}

/// The catalog's fields without metadata, by index.
static FIELDS: LazyLock<Vec<FieldRef>> = LazyLock::new(|| {
    let fields = catalog().schema().fields().iter();
    let plain = fields.map(|field| Field::new(field.name(), field.data_type().clone(), true));
    plain.map(Arc::new).collect()
});

/// The indexes of the stored columns in the catalog, by name.
static INDEXES: LazyLock<HashMap<&'static str, usize>> = LazyLock::new(|| {
    let stored = crate::lake::stored_columns().iter();
    stored
        .map(|&index| (&*catalog().columns()[index].name, index))
        .collect()
});

/// Bytes that a column may hold beyond twice what it needs, as small ones do.
const SPARE_BYTES: usize = 1024;
