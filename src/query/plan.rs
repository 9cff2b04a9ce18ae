//! Statements that are planned, and their results.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, RecordBatch, StringBuilder};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::DataFusionError;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::{MemTable, source_as_provider};
use datafusion::execution::{SendableRecordBatchStream, SessionState};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::StreamExt;

use super::copy::{CopyPlan, Export};
use super::kept::PlanOnly;
use super::names::ColumnNames;
use super::table::{EventsExec, EventsTable};
use super::{Session, damage, identify, translate_error};
use crate::error::{Error, Result};
use crate::execution::Execution;

/// A planned statement that is not begun.
pub struct Plan<'a> {
    session: &'a Session,
    work: Work,
    column_names: ColumnNames,
    identity_columns: usize,
}

enum Work {
    /// The answer is known.
    Rows(RecordBatch),
    Query(Box<LogicalPlan>),
    /// Files are written.
    Copy(Box<CopyPlan>),
}

/// The result of a query, still to come.
pub struct QueryResult {
    /// The rows.
    pub rows: SendableRecordBatchStream,
    /// The names of its columns, one each, without those of an identity.
    pub column_names: Vec<String>,
    /// Columns at the end that tell which event a row is: none, or those of
    /// [`Plan::identify_rows`].
    pub identity_columns: usize,
}

impl<'a> Plan<'a> {
    pub(super) fn of_rows(session: &'a Session, rows: RecordBatch) -> Self {
        Self {
            session,
            work: Work::Rows(rows),
            column_names: ColumnNames::default(),
            identity_columns: 0,
        }
    }

    pub(super) fn of_query(
        session: &'a Session,
        plan: LogicalPlan,
        column_names: ColumnNames,
    ) -> Self {
        Self {
            session,
            work: Work::Query(Box::new(plan)),
            column_names,
            identity_columns: 0,
        }
    }

    pub(super) fn of_copy(session: &'a Session, plan: CopyPlan, names: ColumnNames) -> Self {
        Self {
            session,
            work: Work::Copy(Box::new(plan)),
            column_names: names.without_items(),
            identity_columns: 0,
        }
    }

    /// Adds columns after those of the statement that tell which event a row is, if each row is one
    /// event: `eventID` and `source_uri`. They are counted in [`QueryResult::identity_columns`].
    #[must_use]
    pub fn identify_rows(mut self) -> Self {
        if let Work::Query(plan) = &mut self.work
            && let Some(identified) = identify::with_identity(plan)
        {
            **plan = identified;
            self.identity_columns = identify::IDENTITY.len();
        }
        self
    }

    /// Returns the plan with its types and rewrites settled, as it would be optimized.
    ///
    /// # Errors
    /// Query errors, of types that do not fit.
    pub(super) fn analyzed(self) -> Result<LogicalPlan> {
        let Work::Query(plan) = self.work else {
            return Err(Error::query("expected a query"));
        };
        let state = self.session.context.state();
        let analyzer = state.analyzer();
        analyzer
            .execute_and_check(*plan, state.config_options(), |_, _| {})
            .map_err(|error| self.session.explain(error))
    }

    /// Returns the plan, with the names of its columns; `None` if the answer is known.
    pub(super) fn into_query(self) -> Option<(LogicalPlan, ColumnNames)> {
        match self.work {
            Work::Rows(_) | Work::Copy(_) => None,
            Work::Query(plan) => Some((*plan, self.column_names)),
        }
    }

    /// Remarks for the one who asked.
    pub fn notes(&self) -> &[String] {
        self.column_names.notes()
    }

    /// Returns whether the answer takes reading the input: `SELECT 1`, `DESCRIBE` and `EXPLAIN` do not.
    pub fn reads_events(&self) -> bool {
        match &self.work {
            Work::Rows(_) => false,
            Work::Query(plan) if matches!(**plan, LogicalPlan::Explain(_)) => false,
            Work::Query(plan) => scans_events(plan),
            Work::Copy(plan) => scans_events(plan.input()),
        }
    }

    /// Returns the place that a COPY writes to, as it was typed; `None` for statements with an answer.
    pub fn export_target(&self) -> Option<&str> {
        match &self.work {
            Work::Copy(plan) => Some(plan.target()),
            Work::Rows(_) | Work::Query(_) => None,
        }
    }

    /// Writes the files of a COPY, as a part of `execution`. They appear at [`Export::commit`].
    ///
    /// # Errors
    /// As of [`Plan::start`], and those of writing, after which nothing is left behind.
    pub async fn export(self, execution: &Arc<Execution>) -> Result<Export> {
        match self.work {
            Work::Copy(plan) => self.session.export(*plan, execution).await,
            Work::Rows(_) | Work::Query(_) => Err(Error::query("expected COPY ... TO")),
        }
    }

    /// Starts reading, as a part of `execution`: that counts what is read and can be stopped. A COPY is
    /// carried out, and answered by the numbers of its rows and files.
    ///
    /// # Errors
    /// Query errors: faults that are only seen when a plan is made ready to run.
    pub async fn start(self, execution: &Arc<Execution>) -> Result<QueryResult> {
        let Self {
            session,
            work,
            column_names,
            identity_columns,
        } = self;
        let rows = match work {
            Work::Rows(rows) => session.rows_of(rows).await,
            Work::Query(plan) => {
                let is_plan = matches!(*plan, LogicalPlan::Explain(_) | LogicalPlan::Analyze(_));
                let rows = session.execute(*plan, execution).await?;
                match is_plan {
                    true => session.line_by_line(rows).await,
                    false => Ok(rows),
                }
            }
            Work::Copy(plan) => {
                let exported = session.export(*plan, execution).await?.commit().await?;
                session.rows_of(exported.as_rows()?).await
            }
        };
        let rows = rows.map_err(translate_error)?;
        let schema = rows.schema();
        let visible: Vec<usize> = (0..schema.fields().len() - identity_columns).collect();
        let schema = schema
            .project(&visible)
            .map_err(|error| translate_error(error.into()))?;
        Ok(QueryResult {
            column_names: column_names.apply(&schema),
            rows,
            identity_columns,
        })
    }
}

impl std::fmt::Debug for Plan<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan").finish_non_exhaustive()
    }
}

impl Session {
    async fn execute(
        &self,
        plan: LogicalPlan,
        execution: &Arc<Execution>,
    ) -> Result<SendableRecordBatchStream> {
        self.execute_in(self.context.state(), plan, execution).await
    }

    /// Runs a plan in a state of this session.
    pub(super) async fn execute_in(
        &self,
        mut state: SessionState,
        plan: LogicalPlan,
        execution: &Arc<Execution>,
    ) -> Result<SendableRecordBatchStream> {
        state.config_mut().set_extension(Arc::clone(execution));
        if matches!(plan, LogicalPlan::Explain(_)) {
            state.config_mut().set_extension(Arc::new(PlanOnly));
        }
        let context = state.task_ctx();
        let explain = |error| self.explain(error);
        let plan = state.create_physical_plan(&plan).await.map_err(explain)?;
        if scans_of_stdin(&plan) > 1 {
            return Err(Error::query(
                "standard input can be read only once, and this query reads it several times; \
                 save it to a file first",
            ));
        }
        let rows = execute_stream(plan, context).map_err(explain)?;
        Ok(damage::named(rows, execution))
    }

    async fn rows_of(
        &self,
        rows: RecordBatch,
    ) -> Result<SendableRecordBatchStream, DataFusionError> {
        let table = MemTable::try_new(rows.schema(), vec![vec![rows]])?;
        let frame = self.context.read_table(Arc::new(table))?;
        frame.execute_stream().await
    }

    /// The output of EXPLAIN with a row for each line: one with all of them reads badly wherever
    /// line breaks in cells are escaped.
    async fn line_by_line(
        &self,
        mut stream: SendableRecordBatchStream,
    ) -> Result<SendableRecordBatchStream, DataFusionError> {
        let schema = stream.schema();
        let mut columns: Vec<StringBuilder> = Vec::new();
        columns.resize_with(schema.fields().len(), StringBuilder::new);
        while let Some(batch) = stream.next().await {
            let batch = batch?;
            for row in 0..batch.num_rows() {
                let cells: Vec<&str> = batch
                    .columns()
                    .iter()
                    .map(|column| match column.data_type() {
                        DataType::Utf8 => column.as_string::<i32>().value(row).trim_end(),
                        _ => "",
                    })
                    .collect();
                let lines = cells.iter().map(|cell| cell.lines().count()).max();
                for line in 0..lines.unwrap_or_default() {
                    for (cell, column) in cells.iter().zip(&mut columns) {
                        column.append_value(cell.lines().nth(line).unwrap_or_default());
                    }
                }
            }
        }
        let columns = columns
            .iter_mut()
            .map(|column| Arc::new(column.finish()) as ArrayRef)
            .collect();
        self.rows_of(RecordBatch::try_new(schema, columns)?).await
    }
}

/// The scans of standard input in a plan.
fn scans_of_stdin(plan: &Arc<dyn ExecutionPlan>) -> usize {
    let here = plan
        .downcast_ref::<EventsExec>()
        .is_some_and(EventsExec::reads_stdin);
    let below = plan.children().into_iter().map(scans_of_stdin);
    usize::from(here) + below.sum::<usize>()
}

fn scans_events(plan: &LogicalPlan) -> bool {
    let mut found = false;
    let looked = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Ok(table) = source_as_provider(&scan.source)
        {
            // A view's own plan is not part of this one yet.
            found |= table.downcast_ref::<EventsTable>().is_some()
                || table
                    .get_logical_plan()
                    .is_some_and(|view| scans_events(&view));
        }
        Ok(match found {
            true => TreeNodeRecursion::Stop,
            false => TreeNodeRecursion::Continue,
        })
    });
    // Rather looked at in vain than not at all.
    found || looked.is_err()
}
