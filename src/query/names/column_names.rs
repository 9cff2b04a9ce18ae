//! What the columns of a result are called.

use datafusion::arrow::datatypes::Schema;

/// The result of a rewrite: titles for the output, and remarks for the one who typed the query.
///
/// The titles are not SQL aliases, because `SELECT a.x, b.x` may well have two columns `x`.
#[derive(Clone, Debug, Default)]
pub struct ColumnNames {
    pub(super) items: Vec<OutputName>,
    pub(super) notes: Vec<String>,
    pub(super) visible: Vec<String>,
}

#[derive(Clone, Debug)]
pub(super) enum OutputName {
    /// One column, called this.
    Text(String),
    /// As many columns as it takes, called what the planner calls them.
    Rest,
}

impl ColumnNames {
    /// A title for each field of the query's output schema: the projection item as it was typed,
    /// or its alias; the column's name for what came out of a wildcard.
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

    /// Remarks, such as paths that look misspelt but may be right.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// For `CREATE VIEW` and `CREATE TABLE AS`: the columns that `SELECT *` from the new relation
    /// gives, see [`super::Names::add_selected`].
    pub fn visible(&self) -> &[String] {
        &self.visible
    }
}
