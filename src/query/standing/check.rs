//! The plans that may stand: each row comes from one event.

use datafusion::common::JoinType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{Expr, Join, LogicalPlan};

use super::feed::FeedTable;
use crate::error::{Error, Result};
use crate::query::translate_error;

/// Checks that each row of a plan, which is optimized, comes from one event.
///
/// | node over events | |
/// | --- | --- |
/// | projection, filter, UNNEST, UNION ALL | accepted |
/// | join with a static table, that keeps or drops rows by the event's side | accepted |
/// | aggregation, DISTINCT, window function | refused: its answer would never be final |
/// | ORDER BY, LIMIT in a subquery | refused |
/// | events joined with events, also by `IN (SELECT ...)` | refused |
///
/// # Errors
/// Query, with what to write instead.
pub(super) fn check(plan: &LogicalPlan) -> Result<()> {
    if matches!(plan, LogicalPlan::Explain(_) | LogicalPlan::Analyze(_)) {
        return Err(nothing_to_watch());
    }
    match is_over_events(plan)? {
        true => Ok(()),
        false => Err(nothing_to_watch()),
    }
}

/// The error of a statement that has nothing to do with events.
pub(super) fn nothing_to_watch() -> Error {
    Error::query(
        "there is nothing to watch, as the statement reads no events; ask it once: auroratrail query",
    )
}

/// Returns whether the rows of a plan come from events.
fn is_over_events(plan: &LogicalPlan) -> Result<bool> {
    if let LogicalPlan::TableScan(scan) = plan {
        let table = source_as_provider(&scan.source).map_err(translate_error)?;
        return Ok(table.downcast_ref::<FeedTable>().is_some());
    }
    check_subqueries(plan)?;
    let inputs = plan.inputs();
    let mut over_events = Vec::with_capacity(inputs.len());
    for input in inputs {
        over_events.push(is_over_events(input)?);
    }
    if !over_events.contains(&true) {
        return Ok(false);
    }
    match plan {
        LogicalPlan::Join(join) => check_join(join, &over_events)?,
        LogicalPlan::Union(_) if over_events.contains(&false) => {
            return Err(refused(
                "the rows of a table that is not events would come again with each event",
                "leave them out of the UNION",
            ));
        }
        LogicalPlan::Aggregate(_) | LogicalPlan::Distinct(_) | LogicalPlan::Window(_) => {
            return Err(refused(
                "counting, grouping, DISTINCT and window functions have no answer before the last event, \
                 and windows of time are not there yet",
                "select events and their columns, or ask once: auroratrail query",
            ));
        }
        LogicalPlan::Sort(_) => {
            return Err(refused(
                "ORDER BY has no answer before the last event",
                "leave it out: rows come out as events arrive",
            ));
        }
        LogicalPlan::Limit(_) => {
            return Err(refused(
                "LIMIT in a subquery would begin anew with each batch of events",
                "put it at the end of the statement",
            ));
        }
        LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Unnest(_)
        | LogicalPlan::Repartition(_)
        | LogicalPlan::Union(_) => {}
        other => {
            return Err(refused(
                &format!("{} has no answer before the last event", other.display()),
                "ask once: auroratrail query",
            ));
        }
    }
    Ok(true)
}

/// Checks a join of which at least one side is of events.
fn check_join(join: &Join, over_events: &[bool]) -> Result<()> {
    let keeps_left = matches!(
        join.join_type,
        JoinType::Inner
            | JoinType::Left
            | JoinType::LeftSemi
            | JoinType::LeftAnti
            | JoinType::LeftMark
    );
    let keeps_right = matches!(
        join.join_type,
        JoinType::Inner
            | JoinType::Right
            | JoinType::RightSemi
            | JoinType::RightAnti
            | JoinType::RightMark
    );
    match over_events {
        [true, true] => Err(refused(
            "an event would have to be joined with events that are still to come",
            "join with a static table (--table NAME=FILE), or ask once: auroratrail query",
        )),
        [true, _] if keeps_left => Ok(()),
        [_, true] if keeps_right => Ok(()),
        _ => Err(refused(
            &format!(
                "a {} join would give the rows of the static table that no event has matched so far",
                join.join_type
            ),
            "join from the events: FROM events LEFT JOIN ...",
        )),
    }
}

/// Checks that no expression asks events of other batches.
fn check_subqueries(plan: &LogicalPlan) -> Result<()> {
    let mut found = Ok(false);
    let looked = plan.apply_expressions(|expr| {
        expr.apply(|expr| {
            let subquery = match expr {
                Expr::ScalarSubquery(subquery) => &subquery.subquery,
                Expr::InSubquery(it) => &it.subquery.subquery,
                Expr::Exists(it) => &it.subquery.subquery,
                _ => return Ok(TreeNodeRecursion::Continue),
            };
            found = is_over_events(subquery);
            Ok(match found {
                Ok(false) => TreeNodeRecursion::Continue,
                _ => TreeNodeRecursion::Stop,
            })
        })
    });
    looked.map_err(translate_error)?;
    match found? {
        false => Ok(()),
        true => Err(refused(
            "a subquery over events has no answer before the last event",
            "ask once: auroratrail query",
        )),
    }
}

fn refused(why: &str, instead: &str) -> Error {
    Error::query(format!("this query cannot be watched: {why}; {instead}"))
}
