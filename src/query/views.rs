//! Views and rows that a session keeps: `CREATE VIEW`, `DROP VIEW`, and answers as tables.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::TableReference;
use datafusion::datasource::{MemTable, ViewTable};
use datafusion::logical_expr::{DdlStatement, LogicalPlan};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{ObjectName, ObjectType, Statement as SqlStatement};

use super::names::ColumnNames;
use super::{
    Plan, Session, TableEntry, TableKind, clauses, is_query, only_queries, parse, read,
    translate_error, write,
};
use crate::error::{Error, Result};

/// The outcome of preparing a statement of a session.
#[derive(Debug)]
pub enum Step<'a> {
    /// A query that is planned and not begun.
    Query(Plan<'a>),
    /// A change of the session that is done, in words: `view x created`.
    Done(String),
}

impl Session {
    /// Plans one statement as [`Session::plan`] does, or carries it out if it creates or drops a view.
    /// A view lasts as long as the session.
    ///
    /// # Errors
    /// Query errors, as of [`Session::query`].
    pub async fn step(&self, sql: &str) -> Result<Step<'_>> {
        let mut statements = parse(&self.with_versions(sql)?)?;
        let (Some(statement), true) = (statements.pop(), statements.is_empty()) else {
            let found = statements.len() + 1;
            return Err(Error::query(format!(
                "expected one SQL statement, found {found}"
            )));
        };
        if is_query(&statement) {
            return Ok(Step::Query(self.plan_statement(statement).await?));
        }
        let Statement::Statement(inner) = &statement else {
            return Err(only_queries());
        };
        match &**inner {
            SqlStatement::CreateView(view) => {
                let name = self.view_name(&view.name)?;
                let replaces = view.or_replace || view.or_alter;
                self.create_view(name, replaces, statement).await
            }
            SqlStatement::Drop {
                object_type: ObjectType::View | ObjectType::Table,
                if_exists,
                names,
                ..
            } => self.drop_views(names, *if_exists),
            _ => Err(only_queries()),
        }
    }

    async fn create_view(
        &self,
        name: String,
        replaces: bool,
        mut statement: Statement,
    ) -> Result<Step<'_>> {
        let existing = self.entry(&name);
        match existing.as_ref().map(|it| it.kind) {
            Some(TableKind::Events) => {
                return Err(Error::query(format!(
                    "{name} is a table of events; choose another name for the view"
                )));
            }
            Some(TableKind::View) if !replaces => {
                return Err(Error::query(format!(
                    "there is a view {name}; CREATE OR REPLACE VIEW {name} replaces it"
                )));
            }
            _ => {}
        }
        let state = self.context.state();
        clauses::check(&statement, &state)?;
        let about = statement.to_string();
        let column_names = read(&self.names).rewrite(&mut statement)?;
        let plan = state
            .statement_to_plan(statement)
            .await
            .map_err(|error| self.explain(error))?;
        let LogicalPlan::Ddl(DdlStatement::CreateView(created)) = plan else {
            return Err(Error::bug("CREATE VIEW was planned as something else"));
        };
        let view = ViewTable::new(Arc::unwrap_or_clone(created.input), created.definition);
        let schema = datafusion::catalog::TableProvider::schema(&view);
        self.replace(&name, Arc::new(view))?;
        write(&self.names).add_selected(&name, &schema, &column_names);
        self.list(TableEntry {
            name: name.clone(),
            about,
            kind: TableKind::View,
            schema,
        });
        Ok(Step::Done(format!("view {name} created")))
    }

    fn drop_views(&self, names: &[ObjectName], if_exists: bool) -> Result<Step<'_>> {
        let mut dropped = Vec::new();
        for name in names {
            let name = self.view_name(name)?;
            match self.entry(&name).map(|it| it.kind) {
                Some(TableKind::Events) => {
                    return Err(Error::query(format!(
                        "{name} is a table of events, not a view"
                    )));
                }
                None if !if_exists => return Err(Error::query(format!("no view {name}"))),
                None => {}
                Some(_) => {
                    self.remove_table(&name)?;
                    dropped.push(name);
                }
            }
        }
        Ok(Step::Done(match dropped.as_slice() {
            [] => "no view was there to drop".to_owned(),
            [name] => format!("view {name} dropped"),
            names => format!("views {} dropped", names.join(", ")),
        }))
    }

    /// Adds rows in memory as a table; one of that name is replaced. The columns are called as
    /// `schema` calls them, in any case.
    ///
    /// # Errors
    /// Bug, if the batches do not have this schema.
    pub fn add_rows(
        &self,
        name: &str,
        about: &str,
        schema: &SchemaRef,
        rows: Vec<RecordBatch>,
    ) -> Result<()> {
        let name = name.to_lowercase();
        let table = MemTable::try_new(Arc::clone(schema), vec![rows]).map_err(translate_error)?;
        self.replace(&name, Arc::new(table))?;
        write(&self.names).add_selected(&name, schema, &ColumnNames::default());
        self.list(TableEntry {
            name,
            about: about.to_owned(),
            kind: TableKind::Rows,
            schema: Arc::clone(schema),
        });
        Ok(())
    }

    /// Removes a table or view, if there is one of that name. Views over it keep what they were
    /// created with.
    ///
    /// # Errors
    /// Bug, if the session refuses.
    pub fn remove_table(&self, name: &str) -> Result<()> {
        let name = name.to_lowercase();
        self.context
            .deregister_table(TableReference::bare(&*name))
            .map_err(translate_error)?;
        write(&self.names).remove_table(&name);
        write(&self.tables).retain(|table| table.name != name);
        Ok(())
    }

    fn entry(&self, name: &str) -> Option<TableEntry> {
        let tables = read(&self.tables);
        tables.iter().find(|table| table.name == name).cloned()
    }

    fn view_name(&self, name: &ObjectName) -> Result<String> {
        match name.0.as_slice() {
            [part] => match part.as_ident() {
                Some(ident) => Ok(ident.value.to_lowercase()),
                None => Err(Error::query(format!("{name} is not the name of a view"))),
            },
            _ => Err(Error::query(format!(
                "a view has a plain name; expected one word, found {name}"
            ))),
        }
    }
}
