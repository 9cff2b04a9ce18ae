//! The columns of a relation, indexed by every spelling.

use std::collections::{HashMap, HashSet};

use datafusion::arrow::datatypes::{DataType, FieldRef, Schema};

use super::{CLASS_KEY, JSON_KEY, PATH_KEY};

/// A column of a table, a CTE or a derived table.
#[derive(Clone, Debug)]
pub(super) struct RelationColumn {
    /// Name in the plan.
    pub name: String,
    /// Path in CloudTrail's spelling: `userIdentity.userName`.
    pub path: String,
    /// Name in the output of `SELECT *`.
    pub output_name: String,
    /// Whether `SELECT *` includes the column.
    pub visible: bool,
    /// Whether the column holds JSON text, from which paths can be extracted.
    pub json: bool,
    /// The column's type; `None` for an expression, whose type only the planner knows.
    pub data_type: Option<DataType>,
    /// Whether the last segment of the path also names the column.
    pub leaf: bool,
}

impl RelationColumn {
    /// Creates the column of an expression under a name.
    pub fn named(name: &str, output_name: &str) -> Self {
        Self {
            name: name.to_string(),
            path: output_name.to_string(),
            output_name: output_name.to_string(),
            visible: true,
            json: false,
            data_type: None,
            leaf: false,
        }
    }

    /// Copies the column under another name.
    pub fn renamed(&self, name: &str, output_name: &str) -> Self {
        Self {
            json: self.json,
            data_type: self.data_type.clone(),
            ..Self::named(name, output_name)
        }
    }
}

/// The columns of one relation, built once per schema and shared: a table has some 900.
#[derive(Debug)]
pub(super) struct ColumnIndex {
    all: Vec<RelationColumn>,
    /// Positions by lower-case name and path.
    keys: HashMap<String, usize>,
    /// Positions by exact name, for names that differ only in case.
    exact: HashMap<String, usize>,
    /// Positions by lower-case last segment; `None` if two columns share it.
    leaves: HashMap<String, Option<usize>>,
    /// Whether the relation has no other columns.
    complete: bool,
}

impl ColumnIndex {
    /// Indexes a table's columns. `also_visible` are flattened columns that `SELECT *` includes
    /// because the view or table was created by naming them.
    pub fn of_schema(schema: &Schema, also_visible: &[String]) -> Self {
        let also_visible: HashSet<&String> = also_visible.iter().collect();
        let column = |field: &FieldRef| {
            let metadata = field.metadata();
            let class = metadata.get(CLASS_KEY).map_or("record", String::as_str);
            RelationColumn {
                name: field.name().clone(),
                path: metadata
                    .get(PATH_KEY)
                    .map_or_else(|| field.name().clone(), Clone::clone),
                output_name: field.name().clone(),
                visible: class == "record" || also_visible.contains(field.name()),
                json: metadata.get(JSON_KEY).is_some_and(|json| json == "true"),
                data_type: Some(field.data_type().clone()),
                leaf: false,
            }
        };
        Self::new(schema.fields().iter().map(column).collect(), true)
    }

    /// Indexes the output of a query.
    pub fn new(all: Vec<RelationColumn>, complete: bool) -> Self {
        let mut columns = Self {
            keys: HashMap::with_capacity(2 * all.len()),
            exact: HashMap::new(),
            leaves: HashMap::new(),
            all,
            complete,
        };
        columns.index();
        columns
    }

    fn index(&mut self) {
        for (at, column) in self.all.iter().enumerate() {
            let other = *self.keys.entry(column.name.to_lowercase()).or_insert(at);
            if other != at {
                self.exact
                    .entry(self.all[other].name.clone())
                    .or_insert(other);
                self.exact.entry(column.name.clone()).or_insert(at);
            }
        }
        // Names are indexed before paths, so a path never hides another column's name.
        for (at, column) in self.all.iter().enumerate() {
            let path = column.path.to_lowercase();
            if column.leaf
                && let Some((_, leaf)) = path.rsplit_once('.')
            {
                self.leaves
                    .entry(leaf.to_string())
                    .and_modify(|leaf| *leaf = None)
                    .or_insert(Some(at));
            }
            self.keys.entry(path).or_insert(at);
        }
    }

    /// Finds a column by its name or path in any case, or by its leaf.
    pub fn find(&self, typed: &str) -> Option<&RelationColumn> {
        let key = typed.to_lowercase();
        let at = self.exact.get(typed).or_else(|| self.keys.get(&key));
        let leaf = || self.leaves.get(&key).and_then(Option::as_ref);
        at.or_else(leaf).map(|at| &self.all[*at])
    }

    /// Returns the column's position, for a stable order.
    pub fn position(&self, column: &RelationColumn) -> usize {
        *self
            .exact
            .get(&column.name)
            .or_else(|| self.keys.get(&column.name.to_lowercase()))
            .unwrap_or(&usize::MAX)
    }

    pub fn iter(&self) -> impl Iterator<Item = &RelationColumn> {
        self.all.iter()
    }

    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Renames the columns by a column list: `AS t(a, b)`.
    pub fn relabelled(&self, names: &[(String, String)]) -> Self {
        let mut all = self.all.clone();
        for (column, (name, output_name)) in all.iter_mut().zip(names) {
            *column = column.renamed(name, output_name);
        }
        Self::new(all, self.complete)
    }
}

/// Appends to repeated names the suffixes that the planner appends when a subquery gets its alias:
/// `x`, `x:1`.
pub(super) fn unique_names(columns: &mut [RelationColumn]) {
    let mut seen = HashSet::new();
    for column in columns {
        let mut name = column.name.clone();
        let mut count = 0;
        while !seen.insert(name.clone()) {
            count += 1;
            name = format!("{}:{count}", column.name);
        }
        column.name = name;
    }
}
