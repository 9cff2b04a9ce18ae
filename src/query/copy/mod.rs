//! `COPY ... TO`: the rows of a query as files, written by the engine's own writers.
//!
//! ```text
//! COPY (SELECT ...) TO 'x/' STORED AS PARQUET PARTITIONED BY (dt)
//!   |  planned as any query
//! columns    named as people see them, of types that the format's readers know
//!   |  the engine's writers
//! target     a hidden folder beside `x/`, or uploads that are not complete yet
//!   |  commit
//! x/         all files at once
//! ```
//!
//! A session refuses COPY unless it was given [`Exports`]: a query of somebody else's must not write.

mod columns;
mod format;
mod formula;
mod json_text;
mod target;
mod uploads;

use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, RecordBatch, UInt64Array};
use datafusion::arrow::datatypes::UInt64Type;
use datafusion::common::DataFusionError;
use datafusion::execution::object_store::{DefaultObjectStoreRegistry, ObjectStoreRegistry};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::dml::CopyTo;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::parser::{CopyToSource, CopyToStatement, ExplainStatement, Statement};
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;
use futures::TryStreamExt;
use object_store::ObjectStore;
use tempfile::TempDir;
use url::Url;

use self::format::ExportFormat;
pub use self::formula::is_formula;
use self::target::{Destination, Target};
use super::{Plan, Session, parse, read, translate_error};
use crate::error::{Error, Result};
use crate::execution::Execution;
use crate::source::{Access, Sources, bucket_error};

/// Makes a hidden folder in a folder; it is removed when dropped.
pub type MakeFolder = Arc<dyn Fn(&Path) -> std::io::Result<TempDir> + Send + Sync>;

/// Permission for a session to write files by COPY, and the means to.
#[derive(Clone)]
pub struct Exports {
    /// Connections and credentials for buckets.
    pub sources: Sources,
    /// Maker of the folders that files are written in before they take their place.
    pub make_folder: MakeFolder,
    /// Whether CSV keeps cells that a spreadsheet would run as formulas; else they get a leading `'`.
    pub raw_csv: bool,
}

impl std::fmt::Debug for Exports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exports").finish_non_exhaustive()
    }
}

/// A COPY that is planned and not begun.
pub(super) struct CopyPlan {
    copy: CopyTo,
    target: Target,
}

impl CopyPlan {
    /// Returns the query whose rows are written.
    pub(super) fn input(&self) -> &LogicalPlan {
        &self.copy.input
    }

    /// Returns the target as it was typed.
    pub(super) fn target(&self) -> &str {
        self.target.typed()
    }
}

/// An export whose files are all written, and are not in their place yet.
#[derive(Debug)]
pub struct Export {
    destination: Destination,
    rows: u64,
    target: String,
}

/// An export that is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// Rows that were written.
    pub rows: u64,
    /// Files that they are in.
    pub files: u64,
    /// The target, as it was typed.
    pub target: String,
}

/// Returns whether `sql` is one COPY statement, which names the place of its rows itself.
pub fn is_export(sql: &str) -> bool {
    match parse(sql).as_deref() {
        Ok([statement]) => matches!(statement, Statement::CopyTo(_)),
        _ => false,
    }
}

/// Returns whether the statement is a COPY, or an EXPLAIN of one.
pub(super) fn is_copy(statement: &Statement) -> bool {
    match statement {
        Statement::CopyTo(_) => true,
        Statement::Explain(explain) => is_copy(&explain.statement),
        _ => false,
    }
}

/// Checks that no two of `plans` write to the same place.
pub(super) fn check_distinct(plans: &[Plan<'_>]) -> Result<()> {
    let targets: Vec<&str> = plans.iter().filter_map(Plan::export_target).collect();
    for (at, target) in targets.iter().enumerate() {
        let is_same = |other: &&&str| other.trim_end_matches('/') == target.trim_end_matches('/');
        if targets[at + 1..].iter().any(|other| is_same(&other)) {
            return Err(Error::query(format!(
                "two statements write to '{target}'; give each its own target"
            )));
        }
    }
    Ok(())
}

impl Session {
    /// Allows COPY, which writes files with the rights of this process. For sessions whose statements
    /// come from the user of this machine alone.
    #[must_use]
    pub fn with_exports(mut self, exports: Exports) -> Self {
        self.exports = Some(exports);
        self
    }

    /// Plans a COPY, or an EXPLAIN of one.
    ///
    /// # Errors
    /// Query errors, also for a target that cannot be written, or that is read.
    pub(super) async fn plan_copy(&self, statement: Statement) -> Result<Plan<'_>> {
        let exports = self.exports.as_ref().ok_or_else(not_allowed)?;
        let (statement, explain) = match statement {
            Statement::CopyTo(copy) => (copy, None),
            Statement::Explain(ExplainStatement { options, statement }) => match *statement {
                Statement::CopyTo(copy) if !options.analyze => (copy, Some(options.verbose)),
                _ => return Err(no_analyze()),
            },
            _ => return Err(Error::bug("COPY was parsed as something else")),
        };
        let planned = self.plan_query(query_of(&statement.source)?).await?;
        let (plan, names) = planned
            .into_query()
            .ok_or_else(|| Error::query("COPY expects a SELECT"))?;
        let format = ExportFormat::find(statement.stored_as.as_deref(), &statement.target)?;
        let target = Target::parse(&statement.target, !statement.partitioned_by.is_empty())?;
        self.check_unread(&target)?;
        let column_names = names.apply(plan.schema().as_arrow());
        let columns = columns::Columns::new(&column_names, &statement.partitioned_by)?;
        let input = columns.project(plan, format, exports.raw_csv)?;
        let copy = self.copy_to(input, columns.partition_by(), format, &statement)?;
        if let Some(verbose) = explain {
            let explained = LogicalPlanBuilder::from(LogicalPlan::Copy(copy))
                .explain(verbose, false)
                .and_then(LogicalPlanBuilder::build)
                .map_err(translate_error)?;
            return Ok(Plan::of_query(self, explained, names.without_items()));
        }
        target.check(exports).await?;
        Ok(Plan::of_copy(self, CopyPlan { copy, target }, names))
    }

    fn copy_to(
        &self,
        input: LogicalPlan,
        partition_by: Vec<String>,
        format: ExportFormat,
        statement: &CopyToStatement,
    ) -> Result<CopyTo> {
        let options = format.options(&statement.options)?;
        Ok(CopyTo::new(
            Arc::new(input),
            statement.target.clone(),
            partition_by,
            format.file_type(&self.context.state())?,
            options,
        ))
    }

    /// Checks that no table of the session would read what is written.
    fn check_unread(&self, target: &Target) -> Result<()> {
        let inputs = read(&self.inputs);
        for input in inputs.values() {
            let lakes = input.lakes.iter().map(|lake| lake.name());
            let lakes = lakes.filter_map(|name| input.sources.parse(name).ok());
            let mut read = input.locations.iter().cloned().chain(lakes);
            if let Some(source) = read.find(|source| source.would_read(target.path())) {
                return Err(Error::query(format!(
                    "'{}' is in `{source}`, which is a source; export to a place that is not read",
                    target.typed()
                )));
            }
        }
        Ok(())
    }

    /// Writes the files of a COPY, as a part of `execution`, to be put in place by
    /// [`Export::commit`].
    ///
    /// # Errors
    /// As of [`Plan::start`], and those of writing. Then nothing is left behind.
    pub(super) async fn export(
        &self,
        plan: CopyPlan,
        execution: &Arc<Execution>,
    ) -> Result<Export> {
        let CopyPlan { mut copy, target } = plan;
        let exports = self.exports.as_ref().ok_or_else(not_allowed)?;
        let destination = target.open(exports).await?;
        copy.output_url = target.url_in_store();
        let written = match self.state_over(destination.store()) {
            Ok(state) => self.write_files(state, copy, &target, execution).await,
            Err(error) => Err(error),
        };
        match written {
            Ok(rows) => Ok(Export {
                destination,
                rows,
                target: target.typed().to_owned(),
            }),
            Err(error) => {
                destination.abort().await;
                Err(error)
            }
        }
    }

    async fn write_files(
        &self,
        state: SessionState,
        copy: CopyTo,
        target: &Target,
        execution: &Arc<Execution>,
    ) -> Result<u64> {
        let counts = self.execute_in(state, LogicalPlan::Copy(copy), execution);
        let counts = counts.await?.try_collect::<Vec<_>>().await;
        let counts = counts.map_err(|error| write_error(error, target.typed()))?;
        // A source that was told to stop ends early, and what is written is a part.
        if execution.stop().is_cancelled() {
            return Err(Error::stopped());
        }
        let rows = |batch: &RecordBatch| match batch.columns() {
            [counts] => counts
                .as_primitive_opt::<UInt64Type>()
                .map(|counts| counts.values().iter().sum()),
            _ => None,
        };
        let rows: Option<Vec<u64>> = counts.iter().map(rows).collect();
        let rows = rows.ok_or_else(|| Error::bug("COPY does not tell its number of rows"))?;
        Ok(rows.iter().sum())
    }

    /// Returns the session's state, in which [`target::STORE`] is `store` and no other is known.
    fn state_over(&self, store: Arc<dyn ObjectStore>) -> Result<SessionState> {
        let url = Url::parse(target::STORE).map_err(|error| Error::bug(error.to_string()))?;
        let stores = DefaultObjectStoreRegistry::new();
        stores.register_store(&url, store);
        let runtime: &RuntimeEnv = &self.context.runtime_env();
        let runtime = RuntimeEnvBuilder::from_runtime_env(runtime)
            .with_object_store_registry(Arc::new(stores))
            .build_arc()
            .map_err(translate_error)?;
        let state = SessionStateBuilder::new_from_existing(self.context.state());
        Ok(state.with_runtime_env(runtime).build())
    }
}

impl Export {
    /// Puts the files in their place.
    ///
    /// # Errors
    /// Io, if something has come to that place since, or if it cannot be written.
    pub async fn commit(self) -> Result<Exported> {
        Ok(Exported {
            rows: self.rows,
            files: self.destination.commit().await?,
            target: self.target,
        })
    }

    /// Removes what was written.
    pub async fn abandon(self) {
        self.destination.abort().await;
    }
}

impl Exported {
    /// Returns the numbers as a row.
    pub(super) fn as_rows(&self) -> Result<RecordBatch> {
        let column = |number| Arc::new(UInt64Array::from(vec![number])) as ArrayRef;
        RecordBatch::try_from_iter([("rows", column(self.rows)), ("files", column(self.files))])
            .map_err(|error| Error::bug(error.to_string()))
    }
}

/// Returns the query whose rows are copied.
fn query_of(source: &CopyToSource) -> Result<Statement> {
    match source {
        CopyToSource::Query(query) => Ok(Statement::Statement(Box::new(SqlStatement::Query(
            query.clone(),
        )))),
        CopyToSource::Relation(table) => {
            let mut statements = parse(&format!("SELECT * FROM {table}"))?;
            statements
                .pop()
                .ok_or_else(|| Error::bug("a SELECT was parsed as nothing"))
        }
    }
}

/// Translates an error of writing to `target`.
fn write_error(error: DataFusionError, target: &str) -> Error {
    let of_store = |error: object_store::Error| match target.starts_with("s3://") {
        true => bucket_error(error, Access::Write, target),
        false => Error::io(format!("cannot write to {target}: {error}")),
    };
    match error {
        DataFusionError::ObjectStore(error) => of_store(*error),
        DataFusionError::IoError(error) => match error.downcast::<object_store::Error>() {
            Ok(error) => of_store(error),
            Err(error) => Error::io(format!("cannot write to {target}: {error}")),
        },
        DataFusionError::Context(_, error) => write_error(*error, target),
        error => translate_error(error),
    }
}

fn not_allowed() -> Error {
    Error::query("COPY writes files, which is not allowed here; only queries can be asked")
}

fn no_analyze() -> Error {
    Error::query(
        "EXPLAIN ANALYZE would carry out the COPY; write EXPLAIN COPY, or EXPLAIN ANALYZE SELECT",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_told_from_other_statements() {
        assert!(is_export("copy events to 'x.csv'"));
        assert!(is_export(
            "-- all\nCOPY (SELECT 1) TO 'x/' STORED AS PARQUET"
        ));
        for sql in ["SELECT 1", "EXPLAIN COPY events TO 'x.csv'", "COPY", ""] {
            assert!(!is_export(sql), "{sql}");
        }
    }
}
