//! What the columns of a result are called.

use datafusion::arrow::datatypes::Schema;

/// The result of a rewrite: titles for the output, and remarks for the one who typed the query.
///
/// The titles are not SQL aliases, because `SELECT a.x, b.x` may well have two columns `x`.
#[derive(Clone, Debug, Default)]
pub struct Titles {
    pub(super) items: Vec<Title>,
    pub(super) notes: Vec<String>,
    pub(super) shown: Vec<String>,
}

#[derive(Clone, Debug)]
pub(super) enum Title {
    /// One column, called this.
    Text(String),
    /// As many columns as it takes, called what the planner calls them.
    Rest,
}

impl Titles {
    /// A title for each field of the query's output schema: the projection item as it was typed,
    /// or its alias; the column's name for what came out of a wildcard.
    pub fn apply(&self, schema: &Schema) -> Vec<String> {
        let mut titles: Vec<String> = schema.fields().iter().map(|f| f.name().clone()).collect();
        let is_rest = |title: &Title| matches!(title, Title::Rest);
        let rests = self.items.iter().filter(|title| is_rest(title)).count();
        let texts = self.items.len() - rests;
        if titles.len() < texts || (rests == 0 && titles.len() != texts) {
            return titles;
        }
        for (title, item) in titles.iter_mut().zip(&self.items) {
            match item {
                Title::Text(text) => text.clone_into(title),
                Title::Rest => break,
            }
        }
        if rests > 0 {
            for (title, item) in titles.iter_mut().rev().zip(self.items.iter().rev()) {
                match item {
                    Title::Text(text) => text.clone_into(title),
                    Title::Rest => break,
                }
            }
        }
        titles
    }

    /// Remarks, such as paths that look misspelt but may be right.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// For `CREATE VIEW` and `CREATE TABLE AS`: the columns that `SELECT *` from the new relation
    /// gives, see [`super::Names::add_selected`].
    pub fn shown(&self) -> &[String] {
        &self.shown
    }
}
