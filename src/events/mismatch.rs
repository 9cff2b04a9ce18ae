//! Values that do not fit their column's type, counted by column.

use std::sync::Arc;

use crate::envelope::Record;
use crate::input_location::InputLocation;

/// A column that was given values of another type; they are NULL in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeMismatch {
    /// The column's path, as in the [catalog](super::columns::catalog).
    pub column: &'static str,
    /// Values that did not fit.
    pub count: u64,
    /// The record of the first of these values.
    pub example: InputLocation,
}

/// The mismatches since they were last taken.
#[derive(Default)]
pub(super) struct TypeMismatches {
    /// By the column's builder; as long as the highest builder with a mismatch requires.
    by_builder: Vec<Option<TypeMismatch>>,
    any: bool,
}

impl TypeMismatches {
    /// Counts a value of `record` that does not fit `column`, whose builder is `builder`.
    #[cold]
    pub(super) fn count(&mut self, builder: usize, column: &'static str, record: &Record<'_>) {
        if builder >= self.by_builder.len() {
            self.by_builder.resize(builder + 1, None);
        }
        self.any = true;
        self.by_builder[builder]
            .get_or_insert_with(|| TypeMismatch {
                column,
                count: 0,
                example: InputLocation::new(Arc::clone(record.origin)).at_byte(record.byte),
            })
            .count += 1;
    }

    /// Removes and returns the mismatches, in the order in which the columns were projected.
    pub(super) fn take(&mut self) -> Vec<TypeMismatch> {
        match std::mem::take(&mut self.any) {
            true => self
                .by_builder
                .iter_mut()
                .filter_map(Option::take)
                .collect(),
            false => Vec::new(),
        }
    }
}
