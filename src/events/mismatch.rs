//! Values that do not fit their column's type, counted by column.

use std::sync::Arc;

use super::cells::fits;
use super::columns::{Column, ColumnClass, ColumnType, catalog};
use super::projection::{Node, Target};
use super::value::Value;
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

/// Checks the values of records against the types of all columns, without building any: what a
/// [`Decoder`](super::Decoder) of every column would count.
pub struct TypeChecker {
    tree: Node,
    columns: Vec<&'static Column>,
    type_mismatches: TypeMismatches,
}

impl Default for TypeChecker {
    fn default() -> Self {
        let mut checker = Self {
            tree: Node::default(),
            columns: Vec::new(),
            type_mismatches: TypeMismatches::default(),
        };
        for column in catalog().columns() {
            // JSON takes every value, and derived columns have none of their own.
            let is_checked =
                column.class != ColumnClass::Derived && column.column_type != ColumnType::Json;
            if is_checked {
                let target = Target::Cell(checker.columns.len());
                checker.tree.add(&column.path, target);
                checker.columns.push(column);
            }
        }
        checker
    }
}

impl TypeChecker {
    /// Checks the values of a record.
    pub fn check(&mut self, record: &Record<'_>) {
        let Self {
            tree,
            columns,
            type_mismatches,
        } = self;
        let mut each = |node: &Node, text, start, end, escaped| {
            let value = Value::at(text, start, end, escaped);
            for target in node.targets() {
                let Target::Cell(index) = *target else {
                    continue;
                };
                let column = columns[index];
                let is_parent = node.has_children() && value.first() == b'{';
                if !is_parent && !fits(column.column_type, value) {
                    type_mismatches.count(index, &column.path, record);
                }
            }
        };
        tree.walk_record(record.text, record.members, &mut each);
    }

    /// Removes and returns the mismatches since the last call, by column.
    pub fn take_type_mismatches(&mut self) -> Vec<TypeMismatch> {
        self.type_mismatches.take()
    }
}
