//! Refuses clauses that the parser accepts and the planner would ignore.
//!
//! A query with such a clause would be answered as if the clause were not there. Syntax nodes are
//! therefore taken apart without `..`: a field that a later version of the parser adds does not
//! compile until this module says whether it is carried out. Fields that are carried out, or that
//! cannot change an answer, are bound to `_`.

mod exprs;
mod json;
mod query;
mod relations;

use std::ops::ControlFlow;

use datafusion::execution::SessionState;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Expr, Query, Select, ShowStatementOptions, Statement as SqlStatement, TableFactor, Visit,
    Visitor,
};

use crate::error::{Error, Result};

/// Checks that every clause of a statement is carried out.
///
/// # Errors
/// A query error that names the first clause that is not, and its replacement if there is one.
pub(super) fn check(statement: &Statement, functions: &SessionState) -> Result<()> {
    match statement {
        Statement::Statement(statement) => {
            check_statement(statement)?;
            match statement.visit(&mut Checker { functions }) {
                ControlFlow::Continue(()) => Ok(()),
                ControlFlow::Break(error) => Err(error),
            }
        }
        Statement::Explain(explain) => check(&explain.statement, functions),
        Statement::CreateExternalTable(_) | Statement::CopyTo(_) | Statement::Reset(_) => Ok(()),
    }
}

fn check_statement(statement: &SqlStatement) -> Result<()> {
    match statement {
        SqlStatement::Explain {
            describe_alias: _,
            analyze: _,
            verbose: _,
            query_plan,
            estimate,
            statement: _,
            format: _,
            options,
        } => {
            refuse_if(*query_plan, "EXPLAIN QUERY PLAN", "write EXPLAIN")?;
            refuse_if(*estimate, "EXPLAIN ESTIMATE", "write EXPLAIN")?;
            refuse_if(options.is_some(), "EXPLAIN (...)", "write EXPLAIN ANALYZE")
        }
        SqlStatement::ExplainTable {
            describe_alias: _,
            hive_format,
            has_table_keyword: _,
            table_name,
        } => refuse_if(
            hive_format.is_some(),
            "a word after DESCRIBE",
            &format!("write DESCRIBE {table_name}"),
        ),
        SqlStatement::ShowTables {
            terse,
            history,
            extended,
            full,
            external,
            show_options,
        } => {
            let is_changed = *terse || *history || *extended || *full || *external;
            refuse_if(is_changed, "a word between SHOW and TABLES", "leave it out")?;
            check_show(show_options)
        }
        SqlStatement::ShowColumns {
            extended,
            full,
            show_options,
        } => {
            let is_changed = *extended || *full;
            refuse_if(
                is_changed,
                "a word between SHOW and COLUMNS",
                "leave it out",
            )?;
            check_show(show_options)
        }
        _ => Ok(()),
    }
}

fn check_show(options: &ShowStatementOptions) -> Result<()> {
    let ShowStatementOptions {
        show_in: _,
        starts_with,
        limit,
        limit_from,
        filter_position: _,
    } = options;
    refuse_if(starts_with.is_some(), "STARTS WITH after SHOW", "")?;
    let is_limited = limit.is_some() || limit_from.is_some();
    refuse_if(is_limited, "LIMIT after SHOW", "")
}

/// Checks the nodes of a statement one by one.
struct Checker<'a> {
    /// The functions, by whose kind a call may have OVER, FILTER and the like.
    functions: &'a SessionState,
}

impl Visitor for Checker<'_> {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Error> {
        flow(query::check_query(query))
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Error> {
        flow(query::check_select(select))
    }

    fn pre_visit_table_factor(&mut self, relation: &TableFactor) -> ControlFlow<Error> {
        flow(relations::check_relation(relation))
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Error> {
        flow(self.check_expr(expr))
    }
}

fn flow(result: Result<()>) -> ControlFlow<Error> {
    match result {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => ControlFlow::Break(error),
    }
}

/// Returns the error for a clause; `advice` may be empty.
fn refuse(clause: &str, advice: &str) -> Result<()> {
    let separator = match advice {
        "" => "",
        _ => "; ",
    };
    Err(Error::query(format!(
        "{clause} is not supported{separator}{advice}"
    )))
}

fn refuse_if(is_set: bool, clause: &str, advice: &str) -> Result<()> {
    match is_set {
        true => refuse(clause, advice),
        false => Ok(()),
    }
}

/// Returns the expressions as a list with commas.
fn listed(exprs: &[Expr]) -> String {
    let texts: Vec<String> = exprs.iter().map(Expr::to_string).collect();
    texts.join(", ")
}
