//! Columns of several batches as one, in a given order of the rows.
//!
//! Of the some 280 columns that occur in a file most have a value in few rows. Of these only the values are looked
//! at: they are put in order, and the rows between them are filled in.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, BooleanBufferBuilder, ListArray, StringArray,
    new_null_array,
};
use arrow::buffer::{BooleanBuffer, NullBuffer, OffsetBuffer};
use arrow::compute::interleave;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

/// The place of a row: the index of its batch, and its index there.
pub(super) type RowPlace = (usize, usize);

/// An order of rows, for one column after the other.
pub(super) struct Gathering<'a> {
    order: &'a [RowPlace],
    /// Where each row of each batch goes; `ABSENT` for those that are left out.
    targets: Vec<Vec<u32>>,
    /// Scratch: the place of the row that goes to an index.
    sources: Vec<RowPlace>,
}

impl<'a> Gathering<'a> {
    /// An order of rows of batches with so many rows.
    pub(super) fn new(order: &'a [RowPlace], rows: impl Iterator<Item = usize>) -> Self {
        let mut targets: Vec<Vec<u32>> = rows.map(|rows| vec![ABSENT; rows]).collect();
        for (target, &(batch, row)) in order.iter().enumerate() {
            targets[batch][row] = target as u32;
        }
        Self {
            order,
            targets,
            sources: vec![(0, 0); order.len()],
        }
    }

    /// Returns the column whose values in each batch are these; `None` for batches that have none.
    ///
    /// # Errors
    /// Those of Arrow, if the text of a column is 2 GiB or more.
    pub(super) fn column(
        &mut self,
        data_type: &DataType,
        batches: &[Option<ArrayRef>],
    ) -> Result<ArrayRef, ArrowError> {
        if *data_type == DataType::Boolean {
            return Ok(self.booleans(batches));
        }
        let arrays = batches.iter().flatten();
        let values: usize = arrays.map(|it| it.len() - it.null_count()).sum();
        let can_spread = matches!(data_type, DataType::Utf8 | DataType::List(_));
        match can_spread && values < self.order.len() / 2 {
            true => self.few(data_type, batches),
            false => self.many(data_type, batches),
        }
    }

    fn many(
        &self,
        data_type: &DataType,
        batches: &[Option<ArrayRef>],
    ) -> Result<ArrayRef, ArrowError> {
        let arrays: Vec<&dyn Array> = batches.iter().flatten().map(|it| &**it).collect();
        if arrays.len() == batches.len() {
            return interleave(&arrays, self.order);
        }
        // One NULL stands for all rows of the batches without the column.
        let absent = new_null_array(data_type, 1);
        let with_absent: Vec<&dyn Array> = batches
            .iter()
            .map(|values| values.as_ref().map_or(&*absent, |it| &**it))
            .collect();
        let place = |&(batch, row): &RowPlace| match batches[batch] {
            Some(_) => (batch, row),
            None => (batch, 0),
        };
        let places: Vec<RowPlace> = self.order.iter().map(place).collect();
        interleave(&with_absent, &places)
    }

    fn few(
        &mut self,
        data_type: &DataType,
        batches: &[Option<ArrayRef>],
    ) -> Result<ArrayRef, ArrowError> {
        let mut arrays: Vec<&dyn Array> = Vec::new();
        let mut is_present = unset(self.order.len());
        for (values, targets) in present(batches, &self.targets) {
            for row in rows_with_values(values) {
                let target = targets[row];
                if target != ABSENT {
                    self.sources[target as usize] = (arrays.len(), row);
                    is_present.set_bit(target as usize, true);
                }
            }
            arrays.push(values);
        }
        let is_present = is_present.finish();
        let places = is_present.set_indices().map(|target| self.sources[target]);
        let places: Vec<RowPlace> = places.collect();
        if places.is_empty() {
            return Ok(new_null_array(data_type, self.order.len()));
        }
        spread(&interleave(&arrays, &places)?, is_present)
    }

    /// Arrow has none but its general way for bits, which is slow.
    fn booleans(&self, batches: &[Option<ArrayRef>]) -> ArrayRef {
        let mut is_present = unset(self.order.len());
        let mut is_true = unset(self.order.len());
        for (values, targets) in present(batches, &self.targets) {
            let booleans = values.as_boolean().values();
            for row in rows_with_values(values) {
                let target = targets[row];
                if target != ABSENT {
                    is_present.set_bit(target as usize, true);
                    if booleans.value(row) {
                        is_true.set_bit(target as usize, true);
                    }
                }
            }
        }
        let nulls = NullBuffer::new(is_present.finish());
        Arc::new(BooleanArray::new(is_true.finish(), Some(nulls)))
    }
}

/// Returns the columns that batches have, with where their rows go.
fn present<'a>(
    batches: &'a [Option<ArrayRef>],
    targets: &'a [Vec<u32>],
) -> impl Iterator<Item = (&'a dyn Array, &'a Vec<u32>)> {
    let batches = batches.iter().zip(targets);
    batches.filter_map(|(values, targets)| Some((&**values.as_ref()?, targets)))
}

/// Returns the rows that are not NULL.
fn rows_with_values(values: &dyn Array) -> impl Iterator<Item = usize> {
    let nulls = values.nulls();
    let all = 0..nulls.map_or_else(|| values.len(), |_| 0);
    all.chain(nulls.into_iter().flat_map(NullBuffer::valid_indices))
}

/// Returns bits that are to be set one by one.
fn unset(length: usize) -> BooleanBufferBuilder {
    let mut bits = BooleanBufferBuilder::new(length);
    bits.append_n(length, false);
    bits
}

/// Puts values into the rows that are present, in order, and NULLs into the others.
fn spread(values: &ArrayRef, is_present: BooleanBuffer) -> Result<ArrayRef, ArrowError> {
    let offsets_of = |offsets: &[i32]| {
        let mut spread = Vec::with_capacity(is_present.len() + 1);
        for (row, offset) in is_present.set_indices().zip(offsets) {
            // The rows before it end where it begins.
            spread.resize(row + 1, *offset);
        }
        spread.resize(is_present.len() + 1, offsets.last().copied().unwrap_or(0));
        OffsetBuffer::new(spread.into())
    };
    if let Some(texts) = values.as_string_opt::<i32>() {
        let offsets = offsets_of(texts.value_offsets());
        let nulls = NullBuffer::new(is_present);
        let texts = StringArray::try_new(offsets, texts.values().clone(), Some(nulls))?;
        return Ok(Arc::new(texts));
    }
    let lists = values.as_list::<i32>();
    let offsets = offsets_of(lists.value_offsets());
    let DataType::List(field) = lists.data_type() else {
        return Err(ArrowError::SchemaError("a list is no list".to_owned()));
    };
    let (field, items) = (Arc::clone(field), Arc::clone(lists.values()));
    let nulls = NullBuffer::new(is_present);
    Ok(Arc::new(ListArray::try_new(
        field,
        offsets,
        items,
        Some(nulls),
    )?))
}

/// The target of a row that is left out.
const ABSENT: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, ListBuilder, StringBuilder, UInt64Array};
    use arrow::compute::{concat, take};

    use super::*;

    /// A column of rows of which each `every`-th has a value.
    fn texts(rows: usize, every: usize) -> ArrayRef {
        let text = |row| (row % every == every - 1).then(|| format!("{rows} {row}"));
        Arc::new((0..rows).map(text).collect::<StringArray>())
    }

    fn booleans(rows: usize, every: usize) -> ArrayRef {
        let value = |row| (row % every == every - 1).then_some(row % 3 == 1);
        Arc::new((0..rows).map(value).collect::<BooleanArray>())
    }

    fn numbers(rows: usize, every: usize) -> ArrayRef {
        let value = |row| (row % every == every - 1).then_some(row as i64);
        Arc::new((0..rows).map(value).collect::<Int64Array>())
    }

    fn lists(rows: usize, every: usize) -> ArrayRef {
        let mut lists = ListBuilder::new(StringBuilder::new());
        for row in 0..rows {
            // Some are empty, which is not NULL.
            let items = (0..row % 3).map(|item| Some(format!("{rows} {row} {item}")));
            match row % every == every - 1 {
                true => lists.append_value(items),
                false => lists.append_null(),
            }
        }
        Arc::new(lists.finish())
    }

    /// Checks a column against one that is put together row by row.
    fn check(make: impl Fn(usize, usize) -> ArrayRef, batches: &[(usize, Option<usize>)]) {
        let columns: Vec<Option<ArrayRef>> = batches
            .iter()
            .map(|(rows, every)| every.map(|every| make(*rows, every)))
            .collect();
        let data_type = make(1, 1).data_type().clone();
        let whole: Vec<ArrayRef> = columns
            .iter()
            .zip(batches)
            .map(|(column, (rows, _))| match column {
                Some(column) => Arc::clone(column),
                None => new_null_array(&data_type, *rows),
            })
            .collect();
        let whole: Vec<&dyn Array> = whole.iter().map(|it| &**it).collect();
        let whole = concat(&whole).unwrap();
        // Every row but each seventh, from both ends.
        let mut order = Vec::new();
        let mut at = Vec::new();
        let mut start = 0;
        for (batch, (rows, _)) in batches.iter().enumerate() {
            for row in (0..*rows).filter(|row| row % 7 != 5) {
                order.push((batch, row));
                at.push((start + row) as u64);
            }
            start += rows;
            order.reverse();
            at.reverse();
        }
        let expected = take(&whole, &UInt64Array::from(at), None).unwrap();
        let mut gathering = Gathering::new(&order, batches.iter().map(|(rows, _)| *rows));
        // An order serves one column after the other.
        for _ in 0..2 {
            let gathered = gathering.column(&data_type, &columns).unwrap();
            assert_eq!(&gathered, &expected, "{batches:?}");
            gathered.to_data().validate_full().unwrap();
        }
    }

    #[test]
    fn columns_are_gathered_row_by_row_however_few_values_they_have() {
        for every in [1, 2, 3, 20, 99] {
            for batches in [
                vec![(100, Some(every))],
                vec![(100, Some(every)), (30, None), (64, Some(2)), (1, Some(1))],
                vec![(40, None), (100, Some(every)), (7, None)],
                // No row with a value stays.
                vec![(6, Some(6)), (40, None)],
            ] {
                check(texts, &batches);
                check(booleans, &batches);
                check(numbers, &batches);
                check(lists, &batches);
            }
        }
    }
}
