//! Standing queries: SQL that is asked of each batch of events as it comes, for ever.
//!
//! ```text
//! batch ──> the table `events` ──> filters, projections, joins with static tables ──> rows
//! batch ──> the table `events` ──> ...                                            ──> rows
//! ```
//!
//! The plan is made once and run for each batch. That gives what one run over all of them would give
//! for plans whose rows come from one event each, and only such plans are accepted: see [`check`].

mod check;
mod feed;
mod static_table;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{FetchType, LogicalPlan, SkipType};
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::{ExecutionPlan, collect};

use self::feed::{Feed, FeedTable};
use super::names::ColumnNames;
use super::{Session, aurora_view, corrections, translate_error};
use crate::error::{Error, Result};
use crate::events::RowFilter;
use crate::pipeline::BatchRequest;

/// A query that is asked of each batch of events.
pub struct StandingQuery {
    plan: Arc<dyn ExecutionPlan>,
    feed: Arc<Feed>,
    context: Arc<TaskContext>,
    request: BatchRequest,
    column_names: Vec<String>,
    limit: Option<usize>,
    notes: Vec<String>,
}

impl Session {
    /// Adds the tables `events` and `aurora_events` for standing queries: their rows are the batch that a
    /// query is asked of.
    ///
    /// # Errors
    /// As of [`Session::add_table`].
    pub fn add_feed(&self) -> Result<()> {
        let events: Arc<dyn TableProvider> = Arc::new(FeedTable::default());
        let aurora = aurora_view(Arc::clone(&events)).map_err(translate_error)?;
        let current = corrections::current_view(Arc::clone(&events)).map_err(translate_error)?;
        self.register("events", super::EVERY_RECORD, events)?;
        self.register("aurora_events", super::AURORA, Arc::new(aurora))?;
        self.register("events_current", super::CURRENT, Arc::new(current))
    }

    /// Plans `sql`, one statement, as a standing query over the tables of [`Session::add_feed`].
    ///
    /// # Errors
    /// Query errors, as of [`Session::query`]; also for what has no answer before the end of all events:
    /// grouping, sorting, joins of events with events.
    pub async fn standing(&self, sql: &str) -> Result<StandingQuery> {
        let planned = self.plan(sql).await?;
        let notes = planned.notes().to_vec();
        let (plan, names) = planned.into_query().ok_or_else(check::nothing_to_watch)?;
        let (plan, limit) = without_limit(plan)?;
        let state = self.context.state();
        let explain = |error| self.explain(error);
        check::check(&state.optimize(&plan).map_err(explain)?)?;
        let plan = state.create_physical_plan(&plan).await.map_err(explain)?;
        let feed = feed::feed_of(&plan).ok_or_else(check::nothing_to_watch)?;
        Ok(StandingQuery {
            request: request(&plan, &feed),
            column_names: column_names(&names, &plan.schema()),
            context: state.task_ctx(),
            plan,
            feed,
            limit,
            notes,
        })
    }
}

impl StandingQuery {
    /// The columns and rows of the batches that it is to be asked of.
    pub fn request(&self) -> &BatchRequest {
        &self.request
    }

    /// The columns of its rows.
    pub fn schema(&self) -> SchemaRef {
        self.plan.schema()
    }

    /// The names of these columns, as they were typed.
    pub fn column_names(&self) -> &[String] {
        &self.column_names
    }

    /// The rows after which nothing more is wanted.
    pub fn limit(&self) -> Option<usize> {
        self.limit
    }

    /// Remarks for the one who asked.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Returns the rows that match in a batch of [`StandingQuery::request`].
    ///
    /// # Errors
    /// Query errors, of values that a function cannot take.
    pub async fn rows(&mut self, batch: RecordBatch) -> Result<Vec<RecordBatch>> {
        self.feed.set(batch);
        let plan = reset_plan_states(Arc::clone(&self.plan)).map_err(translate_error)?;
        let rows = collect(plan, Arc::clone(&self.context)).await;
        let rows = rows.map_err(translate_error)?;
        Ok(rows.into_iter().filter(|it| it.num_rows() > 0).collect())
    }
}

impl std::fmt::Debug for StandingQuery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StandingQuery").finish_non_exhaustive()
    }
}

/// Takes the LIMIT off a statement, as it is about all batches together.
fn without_limit(plan: LogicalPlan) -> Result<(LogicalPlan, Option<usize>)> {
    let LogicalPlan::Limit(limit) = plan else {
        return Ok((plan, None));
    };
    let skip = limit.get_skip_type().map_err(translate_error)?;
    let fetch = limit.get_fetch_type().map_err(translate_error)?;
    match (skip, fetch) {
        (SkipType::Literal(0), FetchType::Literal(fetch)) => {
            Ok((Arc::unwrap_or_clone(limit.input), fetch))
        }
        _ => Err(Error::query(
            "a query that does not end takes LIMIT with a number, and no OFFSET",
        )),
    }
}

/// Returns what the scans of a plan need together.
fn request(plan: &Arc<dyn ExecutionPlan>, feed: &Feed) -> BatchRequest {
    let mut projection: Vec<usize> = Vec::new();
    let mut filters = Vec::new();
    feed::visit(plan, &mut |scan| {
        projection.extend(scan.columns());
        filters.push(scan.filter().clone());
    });
    projection.sort_unstable();
    projection.dedup();
    feed.set_columns(projection.clone());
    let filter = match filters.len() {
        // Rows that one scan does not want, another may.
        1 => filters.remove(0),
        _ => RowFilter::default(),
    };
    BatchRequest {
        projection,
        filter,
        batch_rows: BATCH_ROWS,
        limit: None,
        redact: false,
    }
}

fn column_names(names: &ColumnNames, schema: &SchemaRef) -> Vec<String> {
    names.apply(schema)
}

/// Rows of a batch, at most. Those of a stream mostly have far fewer.
const BATCH_ROWS: usize = 4096;
