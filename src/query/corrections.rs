//! Records that correct earlier ones, and the view without what they correct.
//!
//! CloudTrail delivers a record again if it knows more of the event later: `addendum.reason` is
//! `UPDATED_DATA`, and `addendum.originalEventID` names the record that it takes the place of
//! (<https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html>).

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::{DataFusionError, JoinType};
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::{Expr, ExprFunctionExt, LogicalPlan, LogicalPlanBuilder, col, lit};

/// The ID of the event that a record corrects.
const ORIGINAL: &str = "addendum_originaleventid";

/// Returns the rows of `events` that no later record takes the place of. Of several corrections of
/// one event, the one that was delivered last stays.
pub(super) fn current_view(events: Arc<dyn TableProvider>) -> Result<ViewTable, DataFusionError> {
    let replaced = replaced(Arc::clone(&events))?;
    let plan = LogicalPlanBuilder::scan("events", provider_as_source(events), None)?
        .join(
            replaced,
            JoinType::LeftAnti,
            (vec!["events.eventid"], vec!["replaced.id"]),
            None,
        )?
        .build()?;
    Ok(ViewTable::new(plan, None))
}

/// Returns the IDs of records that another one takes the place of.
fn replaced(events: Arc<dyn TableProvider>) -> Result<LogicalPlan, DataFusionError> {
    let place = row_number()
        .partition_by(vec![col(ORIGINAL)])
        .order_by(vec![
            col("delivery_lag").sort(false, false),
            col("eventid").sort(false, false),
        ])
        .build()?
        .alias("place");
    let corrections = LogicalPlanBuilder::scan("corrections", provider_as_source(events), None)?
        .filter(
            col("addendum_reason")
                .eq(lit("UPDATED_DATA"))
                .and(col(ORIGINAL).is_not_null()),
        )?
        .project(vec![col("eventid"), col(ORIGINAL), col("delivery_lag")])?;
    let originals = corrections
        .clone()
        .project(vec![col(ORIGINAL).alias("id")])?;
    let earlier = corrections
        .window(vec![place])?
        .filter(col("place").gt(lit(1)))?
        .project(vec![col("eventid").alias("id")])?;
    let ids: Vec<Expr> = vec![col("id")];
    originals
        .union(earlier.build()?)?
        .project(ids)?
        .alias("replaced")?
        .build()
}
