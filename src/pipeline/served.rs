//! Batches of rows that are known: small objects together, large ones chunk by chunk.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::concat;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;

use super::recording::{CHUNK_ROWS, DecodedObject};

/// Bytes of arrays at which a batch is full, however few rows it has.
const BATCH_BYTES: usize = 6 << 20;

/// Chunks on their way into a batch.
pub(super) struct Served {
    schema: SchemaRef,
    batch_rows: usize,
    chunks: Vec<Chunk>,
    rows: usize,
    bytes: usize,
}

struct Chunk {
    rows: usize,
    columns: Vec<Option<ArrayRef>>,
}

impl Served {
    /// A batch of at most about `batch_rows` rows.
    pub(super) fn new(schema: SchemaRef, batch_rows: usize) -> Self {
        Self {
            schema,
            batch_rows,
            chunks: Vec::new(),
            rows: 0,
            bytes: 0,
        }
    }

    /// Returns the number of rows since the last batch.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Appends a chunk of an object. Returns `true` if the batch is full.
    pub(super) fn push(&mut self, object: &DecodedObject, at: usize) -> bool {
        let columns = object.columns.iter();
        let chunk = Chunk {
            rows: CHUNK_ROWS.min(object.rows - at * CHUNK_ROWS),
            columns: columns.map(|column| column.chunks[at].clone()).collect(),
        };
        let arrays = chunk.columns.iter().flatten();
        self.bytes += arrays
            .map(|array| array.get_array_memory_size())
            .sum::<usize>();
        self.rows += chunk.rows;
        self.chunks.push(chunk);
        // Rather fewer rows than a copy of a large chunk.
        self.rows >= self.batch_rows.min(CHUNK_ROWS) || self.bytes > BATCH_BYTES
    }

    /// Completes the batch; returns `None` if there are no rows.
    pub(super) fn finish(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        let rows = std::mem::take(&mut self.rows);
        let chunks = std::mem::take(&mut self.chunks);
        self.bytes = 0;
        if rows == 0 {
            return Ok(None);
        }
        let mut nulls = Vec::new();
        let fields = self.schema.fields().iter().enumerate();
        let columns = fields
            .map(|(at, field)| joined(&chunks, at, field.data_type(), &mut nulls))
            .collect::<Result<_, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options).map(Some)
    }
}

/// Joins the chunks of a column. `nulls` are arrays of NULLs, which columns share.
fn joined(
    chunks: &[Chunk],
    at: usize,
    data_type: &DataType,
    nulls: &mut Vec<ArrayRef>,
) -> Result<ArrayRef, ArrowError> {
    if chunks.iter().all(|chunk| chunk.columns[at].is_none()) {
        let rows = chunks.iter().map(|chunk| chunk.rows).sum();
        return Ok(null_array(nulls, data_type, rows));
    }
    let mut arrays = Vec::with_capacity(chunks.len());
    for chunk in chunks {
        arrays.push(match &chunk.columns[at] {
            Some(array) => Arc::clone(array),
            None => null_array(nulls, data_type, chunk.rows),
        });
    }
    match arrays.as_slice() {
        [array] => Ok(Arc::clone(array)),
        arrays => concat(
            &arrays
                .iter()
                .map(|array| &**array)
                .collect::<Vec<&dyn Array>>(),
        ),
    }
}

fn null_array(known: &mut Vec<ArrayRef>, data_type: &DataType, rows: usize) -> ArrayRef {
    let fits = |array: &&ArrayRef| array.data_type() == data_type && array.len() >= rows;
    if let Some(array) = known.iter().find(fits) {
        return array.slice(0, rows);
    }
    let array = new_null_array(data_type, rows);
    known.push(Arc::clone(&array));
    array
}
