//! Times in queries: those without seconds are completed, unknown time zones refused.

use std::sync::Arc;

use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::compute::kernels::cast_utils::string_to_datetime;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Cast, Expr, LogicalPlan, TryCast};
use datafusion::optimizer::AnalyzerRule;

use crate::error::Error;

/// Functions that read a time from text.
const READING: [&str; 5] = [
    "to_timestamp",
    "to_timestamp_micros",
    "to_timestamp_millis",
    "to_timestamp_nanos",
    "to_timestamp_seconds",
];

/// Functions that take a type as text.
const CASTING: [&str; 2] = ["arrow_cast", "arrow_try_cast"];

/// The rule over every cast to a timestamp, those that comparisons imply too.
#[derive(Debug)]
pub(super) struct Times;

impl AnalyzerRule for Times {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let completed = plan.transform_up_with_subqueries(|node| {
            let names = NamePreserver::new(&node);
            node.map_expressions(|expr| {
                let name = names.save(&expr);
                let completed = expr.transform_up(complete)?;
                Ok(completed.update_data(|expr| name.restore(expr)))
            })
        })?;
        Ok(completed.data)
    }

    fn name(&self) -> &'static str {
        "times"
    }
}

fn complete(expr: Expr) -> Result<Transformed<Expr>> {
    match expr {
        Expr::Cast(Cast { mut expr, field }) if is_timestamp(field.data_type())? => {
            let is_changed = complete_literal(&mut expr);
            let cast = Expr::Cast(Cast { expr, field });
            Ok(Transformed::new_transformed(cast, is_changed))
        }
        Expr::TryCast(TryCast { mut expr, field }) if is_timestamp(field.data_type())? => {
            let is_changed = complete_literal(&mut expr);
            let cast = Expr::TryCast(TryCast { expr, field });
            Ok(Transformed::new_transformed(cast, is_changed))
        }
        Expr::ScalarFunction(mut call) if READING.contains(&call.func.name()) => {
            let is_changed = call.args.first_mut().is_some_and(complete_literal);
            let call = Expr::ScalarFunction(call);
            Ok(Transformed::new_transformed(call, is_changed))
        }
        Expr::ScalarFunction(call) if CASTING.contains(&call.func.name()) => {
            check_type(&call)?;
            Ok(Transformed::no(Expr::ScalarFunction(call)))
        }
        expr => Ok(Transformed::no(expr)),
    }
}

/// Returns whether the type is a timestamp.
///
/// # Errors
/// If its time zone is unknown.
fn is_timestamp(data_type: &DataType) -> Result<bool> {
    let DataType::Timestamp(_, zone) = data_type else {
        return Ok(false);
    };
    match zone {
        Some(zone) if zone.parse::<Tz>().is_err() => {
            let message =
                format!("'{zone}' is not a time zone; expected 'Europe/Paris' or '+02:00'");
            Err(DataFusionError::External(Box::new(Error::query(message))))
        }
        _ => Ok(true),
    }
}

/// Checks the type that is the second argument of a call, as text.
fn check_type(call: &ScalarFunction) -> Result<()> {
    if let Some(Expr::Literal(typed, _)) = call.args.get(1)
        && let Some(Some(typed)) = typed.try_as_str()
        && let Ok(data_type) = typed.parse::<DataType>()
    {
        is_timestamp(&data_type)?;
    }
    Ok(())
}

/// Adds the seconds to a literal such as `2026-01-31 13:00`, and returns whether it is one.
fn complete_literal(expr: &mut Expr) -> bool {
    let Expr::Literal(
        ScalarValue::Utf8(Some(text))
        | ScalarValue::Utf8View(Some(text))
        | ScalarValue::LargeUtf8(Some(text)),
        _,
    ) = expr
    else {
        return false;
    };
    match with_seconds(text) {
        Some(completed) => {
            *text = completed;
            true
        }
        None => false,
    }
}

/// Returns `2026-01-31 13:00` and `2026-01-31T13:00+02:00` with their seconds.
fn with_seconds(text: &str) -> Option<String> {
    const FORM: &[u8] = b"0000-00-00 00:00";
    let (minutes, zone) = text.trim().split_at_checked(FORM.len())?;
    let fits = minutes.bytes().zip(FORM).all(|(c, form)| match form {
        b'0' => c.is_ascii_digit(),
        b' ' => matches!(c, b' ' | b'T' | b't'),
        form => c == *form,
    });
    let is_zone =
        matches!(zone.trim_start(), "" | "Z" | "z") || zone.trim_start().starts_with(['+', '-']);
    if !fits || !is_zone {
        return None;
    }
    let completed = format!("{minutes}:00{zone}");
    // What is no time stays as it was typed, for the message.
    let utc: Tz = "UTC".parse().ok()?;
    string_to_datetime(&utc, &completed).ok()?;
    Some(completed)
}

/// Returns the rule, for a session.
pub(super) fn rule() -> Arc<dyn AnalyzerRule + Send + Sync> {
    Arc::new(Times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_get_their_seconds() {
        for (text, expected) in [
            ("2026-05-03 10:00", Some("2026-05-03 10:00:00")),
            ("2026-05-03T10:00Z", Some("2026-05-03T10:00:00Z")),
            (
                "2026-05-03 10:00 +02:00",
                Some("2026-05-03 10:00:00 +02:00"),
            ),
            ("2026-05-03 10:00:00", None),
            ("2026-05-03 10", None),
            ("2026-05-03 10:00 Paris", None),
            ("2026-05-03", None),
            ("2026-05-03 25:00", None),
            ("2026-13-03 10:00", None),
            ("é026-05-03 10:0", None),
        ] {
            assert_eq!(with_seconds(text).as_deref(), expected, "{text}");
        }
    }
}
