//! Rows of an answer that are events, told by columns that ride along unseen.
//!
//! A statement whose rows are single events (no aggregation, no DISTINCT, one table of events) can
//! carry two columns more: the event's ID and the place that it was read from. With them a row of
//! the answer leads back to its record, although the statement did not name it.

use std::sync::Arc;

use datafusion::common::{Column, Result as PlanResult};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{Expr, LogicalPlan, Projection};

use super::table::EventsTable;

/// Columns that identify an event, as the hidden columns of an answer, in this order.
pub const IDENTITY: [&str; 2] = ["eventid", "source_uri"];

/// Returns the plan with the columns of [`IDENTITY`] after its own; `None` if its rows are not
/// single events.
pub(super) fn with_identity(plan: &LogicalPlan) -> Option<LogicalPlan> {
    extended(plan).ok().flatten()
}

fn extended(plan: &LogicalPlan) -> PlanResult<Option<LogicalPlan>> {
    match plan {
        LogicalPlan::Projection(projection) => {
            let Some(input) = extended_input(&projection.input)? else {
                return Ok(None);
            };
            let Some(columns) = identity_of(&input) else {
                return Ok(None);
            };
            let mut exprs = projection.expr.clone();
            for (index, column) in columns.into_iter().enumerate() {
                exprs.push(Expr::Column(column).alias(hidden_name(index)));
            }
            let projection = Projection::try_new(exprs, Arc::new(input))?;
            Ok(Some(LogicalPlan::Projection(projection)))
        }
        LogicalPlan::Sort(_) | LogicalPlan::Limit(_) => over_input(plan, extended),
        _ => Ok(None),
    }
}

/// Returns the input of a projection, extended where it is a projection itself.
fn extended_input(plan: &LogicalPlan) -> PlanResult<Option<LogicalPlan>> {
    match plan {
        LogicalPlan::Filter(_) | LogicalPlan::SubqueryAlias(_) | LogicalPlan::Window(_) => {
            over_input(plan, extended_input)
        }
        LogicalPlan::TableScan(scan) => Ok(source_as_provider(&scan.source)
            .is_ok_and(|table| {
                table.downcast_ref::<EventsTable>().is_some()
                    || table.get_logical_plan().is_some_and(|view| is_plain(&view))
            })
            .then(|| plan.clone())),
        LogicalPlan::Projection(_) | LogicalPlan::Sort(_) | LogicalPlan::Limit(_) => extended(plan),
        _ => Ok(None),
    }
}

/// Returns a plan of one input over its extended input.
fn over_input(
    plan: &LogicalPlan,
    extend: fn(&LogicalPlan) -> PlanResult<Option<LogicalPlan>>,
) -> PlanResult<Option<LogicalPlan>> {
    let inputs = plan.inputs();
    let [input] = inputs.as_slice() else {
        return Ok(None);
    };
    match extend(input)? {
        Some(input) => plan
            .with_new_exprs(plan.expressions(), vec![input])
            .map(Some),
        None => Ok(None),
    }
}

/// Returns whether each row of a view is one event with its own columns.
fn is_plain(view: &LogicalPlan) -> bool {
    match view {
        LogicalPlan::Filter(filter) => is_plain(&filter.input),
        LogicalPlan::TableScan(_) => true,
        _ => false,
    }
}

/// Finds the identifying columns in what a plan gives, its own or hidden ones.
fn identity_of(plan: &LogicalPlan) -> Option<Vec<Column>> {
    let schema = plan.schema();
    let find = |index: usize| {
        let names = [hidden_name(index), IDENTITY[index].to_owned()];
        names.iter().find_map(|name| {
            schema
                .iter()
                .find(|(_, field)| field.name() == name)
                .map(Column::from)
        })
    };
    (0..IDENTITY.len()).map(find).collect()
}

fn hidden_name(index: usize) -> String {
    format!("_row_{}", IDENTITY[index])
}
