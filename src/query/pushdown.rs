//! Pushdown: conditions of a WHERE clause that can be checked before a record is decoded, or even
//! read.
//!
//! Nothing here has to be exact: the query checks its conditions again. It must only never leave
//! out a row that the query would keep.

use std::collections::BTreeSet;

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

use crate::events::RowFilter;
use crate::events::family::AURORA_SOURCES;
use crate::source::KeyFilter;

/// Returns whether anything of `expr` can be used.
pub(super) fn is_useful(expr: &Expr) -> bool {
    !row_filter(&[expr]).is_empty()
}

/// Derives a row filter from a conjunction of predicates.
pub(super) fn row_filter(filters: &[&Expr]) -> RowFilter {
    let mut filter = RowFilter::default();
    for expr in filters {
        add(&mut filter, expr);
    }
    filter
}

/// Derives a filter of the objects that may hold such a row.
///
/// Regions count only if the services do, and all of these are known to be regional: events of
/// global services (IAM, sign-in, CloudFront ...) have `us-east-1` as their region and have been
/// delivered under others, see
/// <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-concepts.html>.
pub(super) fn key_filter(filter: &RowFilter) -> KeyFilter {
    let is_regional = |source: &String| AURORA_SOURCES.contains(&&**source);
    let sources = filter.event_sources.as_ref();
    KeyFilter {
        regions: filter
            .regions
            .clone()
            .filter(|_| sources.is_some_and(|sources| sources.iter().all(is_regional))),
        accounts: filter.accounts.clone(),
        from_micros: filter.from_micros,
        until_micros: filter.until_micros,
        read_digests: false,
    }
}

fn add(filter: &mut RowFilter, expr: &Expr) {
    if let Expr::BinaryExpr(BinaryExpr {
        left,
        op: Operator::And,
        right,
    }) = expr
    {
        add(filter, left);
        add(filter, right);
        return;
    }
    if let Some((column, values)) = texts(expr) {
        let slot = match column {
            "eventsource" => &mut filter.event_sources,
            "eventname" => &mut filter.event_names,
            "awsregion" => &mut filter.regions,
            "recipientaccountid" => &mut filter.accounts,
            _ => return,
        };
        *slot = Some(match slot.take() {
            Some(known) => known.intersection(&values).cloned().collect(),
            None => values,
        });
    } else if let Some(wanted) = read_only(expr) {
        filter.read_only.get_or_insert(wanted);
    } else {
        add_time(filter, expr);
    }
}

/// `column = 'a'`, `column IN ('a', 'b')`, and ORs of these about one column.
fn texts(expr: &Expr) -> Option<(&str, BTreeSet<String>)> {
    match expr {
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::Eq,
            right,
        }) => {
            let (column, value) = match (column(left), column(right)) {
                (Some(column), None) => (column, text(right)?),
                (None, Some(column)) => (column, text(left)?),
                _ => return None,
            };
            Some((column, BTreeSet::from([value])))
        }
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::Or,
            right,
        }) => {
            let (column, mut values) = texts(left)?;
            let (other, more) = texts(right)?;
            values.extend(more);
            (column == other).then_some((column, values))
        }
        Expr::InList(list) if !list.negated => {
            let values: Option<BTreeSet<String>> = list.list.iter().map(text).collect();
            Some((column(&list.expr)?, values?))
        }
        _ => None,
    }
}

/// `readOnly`, `NOT readOnly`, `readOnly = true`, `readOnly IS TRUE`.
fn read_only(expr: &Expr) -> Option<bool> {
    let is_it = |expr: &Expr| column(expr) == Some("readonly");
    match expr {
        Expr::Column(_) if is_it(expr) => Some(true),
        Expr::Not(inner) if is_it(inner) => Some(false),
        Expr::IsTrue(inner) if is_it(inner) => Some(true),
        Expr::IsFalse(inner) if is_it(inner) => Some(false),
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::Eq,
            right,
        }) => match (&**left, &**right) {
            (it, Expr::Literal(ScalarValue::Boolean(value), _))
            | (Expr::Literal(ScalarValue::Boolean(value), _), it)
                if is_it(it) =>
            {
                *value
            }
            _ => None,
        },
        _ => None,
    }
}

fn add_time(filter: &mut RowFilter, expr: &Expr) {
    let mut from = |micros: i64| {
        filter.from_micros = Some(filter.from_micros.map_or(micros, |known| known.max(micros)));
    };
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let (op, micros) = match (is_time(left), is_time(right)) {
                (true, false) => (*op, micros(right)),
                (false, true) => (op.swap().unwrap_or(*op), micros(left)),
                _ => return,
            };
            let Some(micros) = micros else { return };
            if matches!(op, Operator::Gt | Operator::GtEq | Operator::Eq) {
                from(micros);
            }
            if matches!(op, Operator::Lt | Operator::LtEq | Operator::Eq) {
                until(filter, micros);
            }
        }
        Expr::Between(between) if !between.negated && is_time(&between.expr) => {
            if let Some(low) = micros(&between.low) {
                from(low);
            }
            if let Some(high) = micros(&between.high) {
                until(filter, high);
            }
        }
        _ => {}
    }
}

fn until(filter: &mut RowFilter, micros: i64) {
    // A fraction of a microsecond more, as literals may be finer than the column.
    let micros = micros.saturating_add(1);
    filter.until_micros = Some(
        filter
            .until_micros
            .map_or(micros, |known| known.min(micros)),
    );
}

fn column(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Column(column) => Some(&column.name),
        _ => None,
    }
}

/// The event's time, also where the planner made another unit of it; a date would be coarser.
fn is_time(expr: &Expr) -> bool {
    match expr {
        Expr::Cast(cast) if matches!(cast.field.data_type(), DataType::Timestamp(unit, _) if *unit >= TimeUnit::Microsecond) => {
            is_time(&cast.expr)
        }
        _ => column(expr) == Some("eventtime"),
    }
}

fn text(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Literal(value, _) => value.try_as_str().flatten().map(str::to_owned),
        _ => None,
    }
}

/// Microseconds since 1970 UTC, rounded down.
fn micros(expr: &Expr) -> Option<i64> {
    let Expr::Literal(value, _) = expr else {
        return None;
    };
    match value {
        ScalarValue::TimestampSecond(Some(n), _) => n.checked_mul(1_000_000),
        ScalarValue::TimestampMillisecond(Some(n), _) => n.checked_mul(1000),
        ScalarValue::TimestampMicrosecond(Some(n), _) => Some(*n),
        ScalarValue::TimestampNanosecond(Some(n), _) => Some(n.div_euclid(1000)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::{col, lit};

    use super::*;

    fn set(values: &[&str]) -> Option<BTreeSet<String>> {
        Some(values.iter().map(|value| (*value).to_owned()).collect())
    }

    #[test]
    fn equalities_on_one_column_are_a_set_and_conditions_narrow_it() {
        let either = col("eventname")
            .eq(lit("a"))
            .or(lit("b").eq(col("eventname")));
        let list = col("eventname").in_list(vec![lit("b"), lit("c")], false);
        assert_eq!(row_filter(&[&either]).event_names, set(&["a", "b"]));
        assert_eq!(row_filter(&[&either, &list]).event_names, set(&["b"]));
        let mixed = col("eventname")
            .eq(lit("a"))
            .or(col("awsregion").eq(lit("b")));
        assert!(!is_useful(&mixed));
        assert!(!is_useful(&col("eventname").in_list(vec![lit("b")], true)));
    }

    #[test]
    fn times_narrow_from_both_sides() {
        let time = |micros| {
            lit(ScalarValue::TimestampMicrosecond(
                Some(micros),
                Some("UTC".into()),
            ))
        };
        let after = col("eventtime")
            .gt_eq(time(10))
            .and(col("eventtime").gt(time(20)));
        let before = time(90).gt(col("eventtime"));
        let filter = row_filter(&[&after, &before]);
        assert_eq!(
            (filter.from_micros, filter.until_micros),
            (Some(20), Some(91))
        );
    }

    #[test]
    fn read_only_is_understood_as_people_write_it() {
        assert_eq!(read_only(&col("readonly")), Some(true));
        assert_eq!(read_only(&!col("readonly")), Some(false));
        assert_eq!(read_only(&col("readonly").eq(lit(false))), Some(false));
        assert_eq!(read_only(&col("managementevent")), None);
    }
}
