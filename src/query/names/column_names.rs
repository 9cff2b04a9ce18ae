//! The column names of a query's result.

use std::collections::{HashMap, HashSet};

use datafusion::arrow::datatypes::Schema;

/// The column names of a rewritten query, and notes for its author.
///
/// The names are not SQL aliases, because `SELECT a.x, b.x` may have two columns `x`.
#[derive(Clone, Debug, Default)]
pub struct ColumnNames {
    pub(super) items: Vec<OutputName>,
    pub(super) notes: Vec<String>,
    pub(super) visible: Vec<String>,
}

#[derive(Clone, Debug)]
pub(super) enum OutputName {
    /// One column of this name.
    Text(String),
    /// Any number of columns, named by the planner.
    Rest,
}

impl ColumnNames {
    /// Returns a name for each field of the query's output schema: the item as typed, or its alias;
    /// for columns of a wildcard, the field's name.
    pub fn apply(&self, schema: &Schema) -> Vec<String> {
        let mut column_names: Vec<String> =
            schema.fields().iter().map(|f| f.name().clone()).collect();
        let is_rest = |output_name: &OutputName| matches!(output_name, OutputName::Rest);
        let rests = self
            .items
            .iter()
            .filter(|output_name| is_rest(output_name))
            .count();
        let texts = self.items.len() - rests;
        if column_names.len() < texts || (rests == 0 && column_names.len() != texts) {
            return column_names;
        }
        for (output_name, item) in column_names.iter_mut().zip(&self.items) {
            match item {
                OutputName::Text(text) => text.clone_into(output_name),
                OutputName::Rest => break,
            }
        }
        if rests > 0 {
            for (output_name, item) in column_names.iter_mut().rev().zip(self.items.iter().rev()) {
                match item {
                    OutputName::Text(text) => text.clone_into(output_name),
                    OutputName::Rest => break,
                }
            }
        }
        column_names
    }

    /// Drops the names, for a statement whose output is not that of its query.
    #[must_use]
    pub fn without_items(self) -> Self {
        Self {
            items: vec![],
            ..self
        }
    }

    /// Returns notes, such as paths that look misspelt but may be right.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Returns the columns that `SELECT *` from the view or table created by this query includes,
    /// see [`super::Names::add_selected`].
    pub fn visible(&self) -> &[String] {
        &self.visible
    }
}

/// Appends `_2`, `_3` ... to names that repeat an earlier one.
///
/// Two names are equal if `fold` maps them to the same string.
pub fn unique(column_names: &[String], fold: fn(&str) -> String) -> Vec<String> {
    let mut taken: HashSet<String> = column_names.iter().map(|name| fold(name)).collect();
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut distinct = |name: &String| {
        let copies = seen.entry(fold(name)).or_default();
        *copies += 1;
        if *copies == 1 {
            return name.clone();
        }
        loop {
            let candidate = format!("{name}_{copies}");
            if taken.insert(fold(&candidate)) {
                return candidate;
            }
            *copies += 1;
        }
    };
    column_names.iter().map(&mut distinct).collect()
}
