//! A statement that is understood, and its answer.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, RecordBatch, StringBuilder};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, TableReference};
use datafusion::datasource::MemTable;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::DataFrame;
use futures::StreamExt;

use super::names::ColumnNames;
use super::{Session, translate_error};
use crate::error::Result;

/// A statement that is understood and not begun.
pub struct Plan<'a> {
    session: &'a Session,
    work: Work,
    column_names: ColumnNames,
}

enum Work {
    /// The answer is known.
    Rows(RecordBatch),
    Query(Box<LogicalPlan>),
}

/// The answer to a query, still to come.
pub struct Answer {
    /// The rows.
    pub rows: SendableRecordBatchStream,
    /// What its columns are called, one each.
    pub titles: Vec<String>,
}

impl<'a> Plan<'a> {
    pub(super) fn of_rows(session: &'a Session, rows: RecordBatch) -> Self {
        Self {
            session,
            work: Work::Rows(rows),
            column_names: ColumnNames::default(),
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
        }
    }

    /// Remarks for the one who asked.
    pub fn notes(&self) -> &[String] {
        self.column_names.notes()
    }

    /// Whether the answer takes reading the input: `SELECT 1`, `DESCRIBE` and `EXPLAIN` do not.
    pub fn reads_events(&self) -> bool {
        match &self.work {
            Work::Rows(_) => false,
            Work::Query(plan) if matches!(**plan, LogicalPlan::Explain(_)) => false,
            Work::Query(plan) => scans_events(plan),
        }
    }

    /// Starts reading.
    ///
    /// # Errors
    /// Query errors: what is only seen when a plan is made ready to run.
    pub async fn start(self) -> Result<Answer> {
        let Self {
            session,
            work,
            column_names,
        } = self;
        let frame = match work {
            Work::Rows(rows) => session.frame_of(rows).map_err(translate_error)?,
            Work::Query(plan) => {
                let is_plan = matches!(*plan, LogicalPlan::Explain(_) | LogicalPlan::Analyze(_));
                let frame = session.context.execute_logical_plan(*plan).await;
                let frame = frame.map_err(|error| session.explain(error))?;
                match is_plan {
                    true => session.line_by_line(frame).await.map_err(translate_error)?,
                    false => frame,
                }
            }
        };
        let rows = frame.execute_stream().await;
        let rows = rows.map_err(|error| session.explain(error))?;
        Ok(Answer {
            titles: column_names.apply(&rows.schema()),
            rows,
        })
    }
}

impl std::fmt::Debug for Plan<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan").finish_non_exhaustive()
    }
}

impl Session {
    fn frame_of(&self, rows: RecordBatch) -> Result<DataFrame, DataFusionError> {
        let table = MemTable::try_new(rows.schema(), vec![vec![rows]])?;
        self.context.read_table(Arc::new(table))
    }

    /// The output of EXPLAIN with a row for each line: one with all of them reads badly wherever
    /// line breaks in cells are escaped.
    async fn line_by_line(&self, frame: DataFrame) -> Result<DataFrame, DataFusionError> {
        let mut stream = frame.execute_stream().await?;
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
        self.frame_of(RecordBatch::try_new(schema, columns)?)
    }
}

fn scans_events(plan: &LogicalPlan) -> bool {
    let mut found = false;
    let looked = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            found |= is_ours(&scan.table_name);
        }
        Ok(match found {
            true => TreeNodeRecursion::Stop,
            false => TreeNodeRecursion::Continue,
        })
    });
    // Rather looked at in vain than not at all.
    found || looked.is_err()
}

fn is_ours(table: &TableReference) -> bool {
    matches!(table.table(), "events" | "aurora_events")
        && table.schema().is_none_or(|schema| schema == "public")
}
