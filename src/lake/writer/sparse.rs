//! Batches of the few columns, of some 900, that occur in their rows.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, StringArray, UInt32Array,
};
use arrow::compute::take;
use arrow::datatypes::{Field, FieldRef, Schema, TimestampMicrosecondType};
use arrow::error::ArrowError;

use super::gather::{Gathering, RowPlace};
use crate::error::{Error, Result};
use crate::events::columns::catalog;

/// Rows with those of the catalog's columns that are not NULL in all of them.
#[derive(Clone, Debug)]
pub(super) struct SparseBatch {
    /// Indexes into the catalog, ascending, with their values.
    columns: Vec<(usize, ArrayRef)>,
    /// Rows of the columns.
    length: usize,
    /// The rows that it has of these; `None` for all.
    selected: Option<Vec<u32>>,
}

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
        Ok(Self::whole(columns, batch.num_rows()))
    }

    fn whole(columns: Vec<(usize, ArrayRef)>, length: usize) -> Self {
        Self {
            columns,
            length,
            selected: None,
        }
    }

    /// Returns the number of rows.
    pub(super) fn rows(&self) -> usize {
        let selected = self.selected.as_ref();
        selected.map_or(self.length, Vec::len)
    }

    /// Returns the bytes of memory that the batch holds on to.
    pub(super) fn bytes(&self) -> usize {
        let arrays = self.columns.iter();
        arrays.map(|(_, it)| it.get_array_memory_size()).sum()
    }

    /// Returns some rows of a batch that has all of its rows. Of most of them the values are shared, which is not
    /// worth the memory for a few: these are copied, less the columns that are NULL in all of them.
    pub(super) fn select(&self, rows: &[u32]) -> Result<Self> {
        if 2 * rows.len() > self.length {
            let is_some = rows.len() < self.length;
            return Self {
                selected: is_some.then(|| rows.to_vec()),
                ..self.clone()
            }
            .shrink();
        }
        let rows = UInt32Array::from(rows.to_vec());
        let mut columns = Vec::new();
        for (index, values) in &self.columns {
            let taken = take(values, &rows, None).map_err(|error| failed(&error))?;
            if taken.null_count() < taken.len() {
                columns.push((*index, taken));
            }
        }
        Ok(Self::whole(columns, rows.len()))
    }

    /// Copies columns that hold on to much more memory than they need, as slices of others do.
    pub(super) fn shrink(mut self) -> Result<Self> {
        let mut all = None;
        for (_, values) in &mut self.columns {
            let needed = values.to_data().get_slice_memory_size();
            let needed = needed.map_err(|error| failed(&error))?;
            if values.get_array_memory_size() > 2 * needed + SPARE_BYTES {
                let all = all.get_or_insert_with(|| UInt32Array::from_iter(0..self.length as u32));
                *values = take(values, all, None).map_err(|error| failed(&error))?;
            }
        }
        Ok(self)
    }

    /// Returns the rows of `batches` in the given order, with the columns that have a value in any of them. Each column
    /// of the batches is given up once it is gathered, so that not all rows are there twice.
    ///
    /// # Errors
    /// Bug, if the text of a column is 2 GiB or more: files are cut before.
    pub(super) fn gather(mut batches: Vec<Self>, order: &[RowPlace]) -> Result<Self> {
        let mut columns = Vec::new();
        let mut gathering = Gathering::new(order, batches.iter().map(|it| it.length));
        let last = |batch: &Self| batch.columns.last().map(|(index, _)| *index);
        while let Some(index) = batches.iter().filter_map(last).max() {
            let values = batches.iter_mut().map(|batch| {
                let column = batch.columns.pop_if(|(last, _)| *last == index);
                column.map(|(_, values)| values)
            });
            let values: Vec<Option<ArrayRef>> = values.collect();
            let gathered = gathering.column(FIELDS[index].data_type(), &values);
            let gathered = gathered.map_err(|error| failed(&error))?;
            if gathered.null_count() < gathered.len() {
                columns.push((index, gathered));
            }
        }
        columns.reverse();
        Ok(Self::whole(columns, order.len()))
    }

    /// Returns the batch, which has all of its rows, with the columns in the catalog's order, without the catalog's
    /// metadata.
    pub(super) fn to_batch(&self) -> Result<RecordBatch> {
        let fields = self.columns.iter().map(|(index, _)| &FIELDS[*index]);
        let schema = Schema::new(fields.cloned().collect::<Vec<FieldRef>>());
        let values = self.columns.iter().map(|(_, it)| Arc::clone(it)).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.length));
        RecordBatch::try_new_with_options(Arc::new(schema), values, &options)
            .map_err(|error| failed(&error))
    }

    /// Returns the indexes of its rows in the columns.
    fn places(&self) -> impl Iterator<Item = usize> {
        let all = 0..if self.selected.is_some() {
            0
        } else {
            self.length
        };
        let selected = self.selected.iter().flatten();
        all.chain(selected.map(|&row| row as usize))
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
        .flat_map(|(batch, it)| it.places().map(move |row| (batch, row)))
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
        for row in batch.places() {
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
