//! Aggregates that stand for others.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::functions_aggregate::first_last::first_value_udaf;
use datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams, Sort};
use datafusion::logical_expr::{AggregateUDF, Expr, lit, when};

use super::{ExpandAggregate, Shorthand};

pub(super) const AGGREGATES: &[Shorthand<ExpandAggregate>] = &[
    Shorthand {
        name: "count_if",
        usage: "count_if(condition)",
        about: "Counts the rows for which the condition is true.",
        arguments: 1..=1,
        returns: |types| match types {
            [DataType::Boolean | DataType::Null] => Ok(DataType::Int64),
            _ => plan_err!("count_if expects a condition"),
        },
        expand: count_if,
    },
    Shorthand {
        name: "max_by",
        usage: "max_by(x, y)",
        about: "Returns the x of the row with the greatest y.",
        arguments: 2..=2,
        returns: |types| Ok(types[0].clone()),
        expand: |params| by(params, "max_by", false),
    },
    Shorthand {
        name: "min_by",
        usage: "min_by(x, y)",
        about: "Returns the x of the row with the least y.",
        arguments: 2..=2,
        returns: |types| Ok(types[0].clone()),
        expand: |params| by(params, "min_by", true),
    },
];

fn count_if(mut params: AggregateFunctionParams) -> Result<AggregateFunction> {
    let [condition] = take(&mut params)?;
    params.args = vec![when(condition, lit(true)).otherwise(lit(ScalarValue::Boolean(None)))?];
    Ok(of(count_udaf(), params))
}

fn by(
    mut params: AggregateFunctionParams,
    name: &str,
    ascending: bool,
) -> Result<AggregateFunction> {
    if !params.order_by.is_empty() {
        return plan_err!("ORDER BY in {name} is not supported; leave it out");
    }
    let [value, key] = take(&mut params)?;
    // A row without a key takes no part.
    let is_known = key.clone().is_not_null();
    let filter = match params.filter.take() {
        Some(filter) => filter.and(is_known),
        None => is_known,
    };
    params.args = vec![value];
    params.filter = Some(Box::new(filter));
    params.order_by = vec![Sort::new(key, ascending, false)];
    params.distinct = false;
    Ok(of(first_value_udaf(), params))
}

fn take<const N: usize>(params: &mut AggregateFunctionParams) -> Result<[Expr; N]> {
    match std::mem::take(&mut params.args).try_into() {
        Ok(args) => Ok(args),
        Err(_) => plan_err!("expected {N} arguments"),
    }
}

fn of(func: Arc<AggregateUDF>, params: AggregateFunctionParams) -> AggregateFunction {
    AggregateFunction { func, params }
}
