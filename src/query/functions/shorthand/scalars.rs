//! Functions of a row's values that stand for others.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, plan_err};
use datafusion::functions::expr_fn::date_part;
use datafusion::functions_nested::expr_fn::{array_element, map_extract};
use datafusion::logical_expr::{Expr, cast, lit};

use super::{ExpandScalar, Shorthand};
use crate::query::functions::arguments::{is_time, utc};
use crate::query::functions::json_path::is_text;

/// A function that returns a part of a time as an integer.
const fn part(
    name: &'static str,
    usage: &'static str,
    about: &'static str,
    expand: ExpandScalar,
) -> Shorthand<ExpandScalar> {
    Shorthand {
        name,
        usage,
        about,
        arguments: 1..=1,
        returns: |types| match &types[0] {
            time if is_time(time) => Ok(DataType::Int32),
            other => plan_err!("expected a time, found {other}"),
        },
        expand,
    }
}

#[rustfmt::skip]
pub(super) const SCALARS: &[Shorthand<ExpandScalar>] = &[
    part("year", "year(time)", "Returns the year.", |args, _| part_of("year", args)),
    part("quarter", "quarter(time)", "Returns the quarter, from 1 to 4.", |args, _| part_of("quarter", args)),
    part("month", "month(time)", "Returns the month, from 1 to 12.", |args, _| part_of("month", args)),
    part("week", "week(time)", "Returns the week of the ISO year, from 1 to 53.", |args, _| part_of("week", args)),
    part("day", "day(time)", "Returns the day of the month.", |args, _| part_of("day", args)),
    part("day_of_month", "day_of_month(time)", "Returns the day of the month.", |args, _| part_of("day", args)),
    part("day_of_week", "day_of_week(time)", "Returns the day of the week, from 1 (Monday) to 7.", |args, _| part_of("isodow", args)),
    part("day_of_year", "day_of_year(time)", "Returns the day of the year, from 1 to 366.", |args, _| part_of("doy", args)),
    part("hour", "hour(time)", "Returns the hour, from 0 to 23.", |args, _| part_of("hour", args)),
    part("minute", "minute(time)", "Returns the minute of the hour.", |args, _| part_of("minute", args)),
    part("second", "second(time)", "Returns the second of the minute.", |args, _| part_of("second", args)),
    Shorthand {
        name: "date",
        usage: "date(time)",
        about: "Returns the day of a time, as CAST(time AS date) does.",
        arguments: 1..=1,
        returns: |types| match &types[0] {
            time if is_time(time) => Ok(DataType::Date32),
            other => plan_err!("expected a time, found {other}"),
        },
        expand: |args, _| Ok(cast(only(args)?, DataType::Date32)),
    },
    Shorthand {
        name: "from_iso8601_timestamp",
        usage: "from_iso8601_timestamp(text)",
        about: "Returns the time that a text such as '2026-01-31T13:00:00Z' says, in UTC without an offset.",
        arguments: 1..=1,
        returns: |types| match &types[0] {
            text if is_text(text) || text.is_null() => Ok(utc()),
            other => plan_err!("expected text, found {other}"),
        },
        expand: |args, _| Ok(cast(only(args)?, utc())),
    },
    Shorthand {
        name: "from_iso8601_date",
        usage: "from_iso8601_date(text)",
        about: "Returns the day that a text such as '2026-01-31' says.",
        arguments: 1..=1,
        returns: |types| match &types[0] {
            text if is_text(text) || text.is_null() => Ok(DataType::Date32),
            other => plan_err!("expected text, found {other}"),
        },
        expand: |args, _| Ok(cast(only(args)?, DataType::Date32)),
    },
    Shorthand {
        name: "element_at",
        usage: "element_at(list, index)",
        about: "Returns an element of a list, from 1 and from the end if negative, or the value of a map's key.",
        arguments: 2..=2,
        returns: |types| match &types[0] {
            DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _)
                if types[1].is_integer() || types[1].is_null() => Ok(item.data_type().clone()),
            DataType::Map(entries, _) => match entries.data_type() {
                DataType::Struct(fields) if fields.len() == 2 => Ok(fields[1].data_type().clone()),
                other => plan_err!("expected a map, found {other}"),
            },
            text if is_text(text) => plan_err!(
                "element_at expects a list or a map, found JSON; write the path, as in requestParameters.engine"
            ),
            other => plan_err!("element_at expects a list and an index, found {other}"),
        },
        expand: element_at,
    },
];

fn part_of(part: &str, args: Vec<Expr>) -> Result<Expr> {
    Ok(date_part(lit(part), only(args)?))
}

fn only(args: Vec<Expr>) -> Result<Expr> {
    match <[Expr; 1]>::try_from(args) {
        Ok([arg]) => Ok(arg),
        Err(_) => plan_err!("expected one argument"),
    }
}

fn element_at(args: Vec<Expr>, types: &[DataType]) -> Result<Expr> {
    let Ok([values, key]) = <[Expr; 2]>::try_from(args) else {
        return plan_err!("expected element_at(list, index)");
    };
    Ok(match types[0] {
        DataType::Map(_, _) => array_element(map_extract(values, key), lit(1)),
        _ => array_element(values, key),
    })
}
