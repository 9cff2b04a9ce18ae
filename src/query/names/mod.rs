//! Resolves names in CloudTrail's spelling: `userIdentity.userName` in any case, quoted or not.
//!
//! DataFusion finds only columns spelt as in the schema, and has no paths into JSON. The parsed
//! statement is therefore rewritten before it is planned:
//!
//! ```text
//! SELECT e.userIdentity.userName, resources[1].ARN, requestParameters.bucketName FROM Events e
//!   |  a column, by its path         a list of structs     a value inside a JSON column
//! SELECT "e"."useridentity_username", "resources"[1]['arn'],
//!        json_get_path("requestparameters", '["bucketName"]') FROM "events" AS e
//! ```
//!
//! The rewriter leaves unknown names (tables that were not added, table functions) to the planner.
//! It reports an error only for a name that cannot be valid.
//!
//! Statements are parsed in DataFusion's default dialect, `generic`: of the dialects with
//! double-quoted identifiers, as in Trino and Athena, only `generic` parses `UNNEST` as a relation,
//! `FILTER`, `* EXCLUDE`, `* EXCEPT`, `* REPLACE` and `FROM events SELECT ...`. (`postgresql` has
//! no `EXCLUDE` and parses `x NOTNULL`, `!` and `:=` differently; `duckdb` has lambdas but no
//! `UNNEST` relation.) Its one gap, lambdas, is filled by `lambda.rs`.

mod casts;
mod column_names;
mod columns;
mod compare;
mod exprs;
mod from;
mod lambda;
mod mentions;
mod path;
mod patterns;
mod projection;
mod scope;
mod suggest;
mod unnest;
mod walk;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::{Column as PlanColumn, SchemaError};
use datafusion::error::DataFusionError;
use datafusion::sql::parser::{CopyToSource, Statement};
use datafusion::sql::sqlparser::ast::{Query, Statement as SqlStatement};

use crate::error::Result;
use columns::{ColumnIndex, RelationColumn};
use mentions::Mentions;
use walk::{QueryContext, Rewriter};

pub use column_names::{ColumnNames, unique};

/// Keys of the field metadata that the rewriter reads: a column's path (by default its name), its
/// class ([`CLASS_RECORD`] by default, [`CLASS_FLATTENED`] or [`CLASS_DERIVED`]), and whether it
/// holds JSON text.
pub use crate::events::columns::{CLASS as CLASS_KEY, JSON as JSON_KEY, PATH as PATH_KEY};
/// The class of a field of the record, which `SELECT *` includes.
pub const CLASS_RECORD: &str = "record";
/// The class of a leaf of a record field, which `SELECT *` omits.
pub const CLASS_FLATTENED: &str = "flattened";
/// The class of a column computed from others, which `SELECT *` omits.
pub const CLASS_DERIVED: &str = "derived";

/// Catalog and schema of unqualified tables.
const DEFAULT_CATALOG: &str = "datafusion";
const DEFAULT_SCHEMA: &str = "public";

/// The tables in which names are resolved. Cheap to clone; each schema is indexed once.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Tables by lower-case name.
    tables: BTreeMap<String, Table>,
}

#[derive(Clone, Debug)]
struct Table {
    name: String,
    schema: SchemaRef,
    visible: Vec<String>,
    columns: Arc<ColumnIndex>,
}

impl Names {
    /// Creates an instance without tables.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds or replaces a table under its registered name.
    ///
    /// Does nothing if the table is known with this schema, so it is cheap to call before every
    /// query. Tables of the same schema share an index.
    pub fn add_table(&mut self, name: &str, schema: &SchemaRef) {
        self.add(name, schema, vec![]);
    }

    /// Adds the view or table of a `CREATE ... AS SELECT`. `column_names` are those of that
    /// statement, whose flattened columns `SELECT *` then includes.
    pub fn add_selected(&mut self, name: &str, schema: &SchemaRef, column_names: &ColumnNames) {
        self.add(name, schema, column_names.visible.clone());
    }

    /// Removes a table.
    pub fn remove_table(&mut self, name: &str) {
        self.tables.remove(&name.to_lowercase());
    }

    fn add(&mut self, name: &str, schema: &SchemaRef, visible: Vec<String>) {
        let same = |table: &&Table| {
            table.visible == visible
                && (Arc::ptr_eq(&table.schema, schema) || table.schema == *schema)
        };
        let key = name.to_lowercase();
        if self.tables.get(&key).filter(same).is_some() {
            return;
        }
        let twin = self.tables.values().find(same);
        let columns = twin.map_or_else(
            || Arc::new(ColumnIndex::of_schema(schema, &visible)),
            |twin| Arc::clone(&twin.columns),
        );
        let table = Table {
            name: name.to_string(),
            schema: Arc::clone(schema),
            visible,
            columns,
        };
        self.tables.insert(key, table);
    }

    /// Finds a table by its name, whose parts are in lower case.
    fn table(&self, name: &[String]) -> Option<(&str, Arc<ColumnIndex>)> {
        let table = match name {
            [table] => table,
            [schema, table] if schema == DEFAULT_SCHEMA => table,
            [catalog, schema, table] if catalog == DEFAULT_CATALOG && schema == DEFAULT_SCHEMA => {
                table
            }
            _ => return None,
        };
        let table = self.tables.get(table)?;
        Some((&table.name, Arc::clone(&table.columns)))
    }

    /// Rewrites the names in a statement in place, and returns the names of its output columns.
    ///
    /// # Errors
    ///
    /// Returns a query error for a name that cannot be valid, with suggestions.
    pub fn rewrite(&self, statement: &mut Statement) -> Result<ColumnNames> {
        match statement {
            Statement::Statement(statement) => self.rewrite_sql(statement),
            Statement::Explain(explain) => {
                let column_names = self.rewrite(&mut explain.statement)?;
                Ok(column_names.without_items())
            }
            Statement::CopyTo(copy) => match &mut copy.source {
                CopyToSource::Query(query) => {
                    // A file has the plan's column names, so expressions get readable ones.
                    let context = QueryContext {
                        needs_aliases: true,
                        ..QueryContext::default()
                    };
                    Ok(self.rewrite_query(query, context, false)?.without_items())
                }
                CopyToSource::Relation(name) => {
                    Rewriter::new(self, Mentions::default()).table(name);
                    Ok(ColumnNames::default())
                }
            },
            Statement::CreateExternalTable(_) | Statement::Reset(_) => Ok(ColumnNames::default()),
        }
    }

    fn rewrite_sql(&self, statement: &mut SqlStatement) -> Result<ColumnNames> {
        let named = QueryContext {
            needs_aliases: true,
            ..QueryContext::default()
        };
        match statement {
            SqlStatement::Query(query) => {
                let context = QueryContext {
                    sets_column_names: true,
                    ..QueryContext::default()
                };
                self.rewrite_query(query, context, false)
            }
            SqlStatement::Prepare { statement, .. } => self.rewrite_sql(statement),
            SqlStatement::Explain { statement, .. } => {
                Ok(self.rewrite_sql(statement)?.without_items())
            }
            // A view has all columns of its table, so that paths can be asked of it as well.
            SqlStatement::CreateView(view) => self.rewrite_query(&mut view.query, named, true),
            SqlStatement::CreateTable(table) => match &mut table.query {
                Some(query) => self.rewrite_query(query, named, false),
                None => Ok(ColumnNames::default()),
            },
            SqlStatement::Insert(insert) => match &mut insert.source {
                Some(query) => Ok(self
                    .rewrite_query(query, QueryContext::default(), false)?
                    .without_items()),
                None => Ok(ColumnNames::default()),
            },
            _ => Ok(ColumnNames::default()),
        }
    }

    fn rewrite_query(
        &self,
        query: &mut Query,
        context: QueryContext,
        keep_wildcards: bool,
    ) -> Result<ColumnNames> {
        let mut rewriter = Rewriter::new(self, Mentions::of(query));
        rewriter.keep_wildcards = keep_wildcards;
        let output = rewriter.query(query, context)?;
        let visible = output.columns.into_iter().filter(|column| column.visible);
        Ok(ColumnNames {
            items: rewriter.column_names,
            notes: rewriter.notes,
            visible: visible.map(|column| column.name).collect(),
        })
    }

    /// Shortens the planner's message for an unknown column or table. Returns `None` for other
    /// errors.
    pub fn explain_plan_error(&self, error: &DataFusionError) -> Option<String> {
        match error {
            DataFusionError::SchemaError(error, _) => match error.as_ref() {
                SchemaError::FieldNotFound {
                    field,
                    valid_fields,
                } => Some(self.explain_column(field, valid_fields)),
                _ => None,
            },
            DataFusionError::Plan(message) => {
                let (_, rest) = message.split_once("table '")?;
                let (name, _) = rest.split_once("' not found")?;
                Some(self.explain_table(name))
            }
            DataFusionError::Context(_, error) | DataFusionError::Diagnostic(_, error) => {
                self.explain_plan_error(error)
            }
            DataFusionError::Shared(error) => self.explain_plan_error(error),
            DataFusionError::Collection(errors) => {
                errors.iter().find_map(|it| self.explain_plan_error(it))
            }
            _ => None,
        }
    }

    fn explain_column(&self, field: &PlanColumn, valid: &[PlanColumn]) -> String {
        let mut labels: Vec<&str> = vec![];
        let mut columns = vec![];
        for column in valid {
            let label = column.relation.as_ref().map(|relation| relation.table());
            if let Some(label) = label
                && !labels.contains(&label)
            {
                labels.push(label);
            }
            let table = label.and_then(|label| self.tables.get(&label.to_lowercase()));
            let known = table.and_then(|table| table.columns.find(&column.name));
            let known = known.cloned();
            columns
                .push(known.unwrap_or_else(|| RelationColumn::named(&column.name, &column.name)));
        }
        let place = match labels.as_slice() {
            [] if valid.is_empty() => " here: there is no table in FROM".to_string(),
            [] => String::new(),
            labels => format!(" in {}", labels.join(", ")),
        };
        let start = format!("no column {}{place}", field.flat_name());
        let near = suggest::nearest(&field.name, columns.iter());
        let near: Vec<&str> = near.iter().map(|column| column.path.as_str()).collect();
        if let Some(question) = suggest::did_you_mean(&near) {
            return format!("{start}; {question}");
        }
        match labels.iter().find(|it| self.tables.contains_key(**it)) {
            Some(table) => format!("{start}; DESCRIBE {table} lists the columns"),
            None => start,
        }
    }

    fn explain_table(&self, name: &str) -> String {
        let home = format!("{DEFAULT_CATALOG}.{DEFAULT_SCHEMA}.");
        let catalog = format!("{DEFAULT_CATALOG}.");
        let name = name.strip_prefix(&home).unwrap_or(name);
        let name = name.strip_prefix(&catalog).unwrap_or(name);
        let tables: Vec<RelationColumn> = self
            .tables
            .values()
            .map(|table| RelationColumn::named(&table.name, &table.name))
            .collect();
        let near = suggest::nearest(name, tables.iter());
        let near: Vec<&str> = near.iter().map(|table| table.name.as_str()).collect();
        let question = suggest::did_you_mean(&near);
        let is_trail = name.contains("trail") && self.tables.contains_key("events");
        let question = match question {
            Some(question) => format!("; {question}"),
            None if is_trail => "; the events are in the table events".to_owned(),
            None => String::new(),
        };
        let all: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
        match all.as_slice() {
            [] => format!("no table {name}; there are no tables"),
            all => format!(
                "no table {name}{question} (the tables are {})",
                all.join(", ")
            ),
        }
    }
}
