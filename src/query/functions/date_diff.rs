//! The SQL function `date_diff(unit, from, to)`, which counts the whole units between two times as
//! Trino does: negative if the second is earlier.

use std::sync::Arc;

use chrono::{DateTime, Months, NaiveDateTime, TimeZone};
use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::array::{ArrayRef, AsArray, Int64Builder};
use datafusion::arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{Result, exec_datafusion_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use super::arguments::{by_row, documentation, expect_text, is_time, strings};

const NAME: &str = "date_diff";
const USAGE: &str = "date_diff('hour', from, to)";

/// The function, for registration.
pub(super) fn date_diff() -> ScalarUDF {
    let about = "Counts the whole units from one time to another: millisecond, second, minute, hour, day, week, month, quarter or year.";
    ScalarUDF::new_from_impl(DateDiff {
        signature: Signature::user_defined(Volatility::Immutable),
        documentation: documentation(about, USAGE),
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct DateDiff {
    signature: Signature,
    documentation: Documentation,
}

impl ScalarUDFImpl for DateDiff {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let [unit, from, to] = types else {
            return Ok(types.to_vec());
        };
        if !(is_time(from) && is_time(to)) {
            return Ok(types.to_vec());
        }
        // Days begin where the first time says that it is.
        let zone = match (from, to) {
            (DataType::Timestamp(_, Some(zone)), _) | (_, DataType::Timestamp(_, Some(zone))) => {
                Arc::clone(zone)
            }
            _ => Arc::from("UTC"),
        };
        let time = DataType::Timestamp(TimeUnit::Microsecond, Some(zone));
        Ok(vec![unit.clone(), time.clone(), time])
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [unit, from, to] if is_time(from) && is_time(to) => {
                expect_text(NAME, unit).map(|()| DataType::Int64)
            }
            _ => plan_err!("expected {USAGE}"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        by_row(&args, USAGE, |[units, from, to]| count(&units, &from, &to))
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}

/// A unit of time.
#[derive(Clone, Copy)]
enum Unit {
    /// Microseconds of time that passed.
    Passed(i64),
    /// Days on the calendar.
    Days(i64),
    /// Months on the calendar.
    Months(i64),
}

impl Unit {
    fn parse(name: &str) -> Result<Self> {
        Ok(match name.to_ascii_lowercase().as_str() {
            "millisecond" => Self::Passed(1_000),
            "second" => Self::Passed(SECOND),
            "minute" => Self::Passed(60 * SECOND),
            "hour" => Self::Passed(3_600 * SECOND),
            "day" => Self::Days(1),
            "week" => Self::Days(7),
            "month" => Self::Months(1),
            "quarter" => Self::Months(3),
            "year" => Self::Months(12),
            _ => {
                return Err(exec_datafusion_err!(
                    "'{name}' is not a unit; expected millisecond, second, minute, hour, day, \
                     week, month, quarter or year"
                ));
            }
        })
    }
}

const SECOND: i64 = 1_000_000;

fn count(units: &ArrayRef, from: &ArrayRef, to: &ArrayRef) -> Result<ArrayRef> {
    let units = strings(units)?;
    let zone: Option<Tz> = match from.data_type() {
        DataType::Timestamp(_, Some(zone)) if &**zone != "UTC" => Some(zone.parse()?),
        _ => None,
    };
    let from = from.as_primitive::<TimestampMicrosecondType>();
    let to = to.as_primitive::<TimestampMicrosecondType>();
    let mut counts = Int64Builder::with_capacity(from.len());
    for ((unit, from), to) in units.iter().zip(from).zip(to) {
        let (Some(unit), Some(from), Some(to)) = (unit, from, to) else {
            counts.append_null();
            continue;
        };
        counts.append_option(between(Unit::parse(unit)?, from, to, zone));
    }
    Ok(Arc::new(counts.finish()))
}

/// Counts the units between two times in microseconds; `None` beyond the calendar.
fn between(unit: Unit, from: i64, to: i64, zone: Option<Tz>) -> Option<i64> {
    let local = |micros: i64| -> Option<NaiveDateTime> {
        let time = DateTime::from_timestamp_micros(micros)?.naive_utc();
        Some(match zone {
            Some(zone) => zone.from_utc_datetime(&time).naive_local(),
            None => time,
        })
    };
    match unit {
        Unit::Passed(micros) => Some(to.checked_sub(from)? / micros),
        Unit::Days(days) => {
            let passed = local(to)? - local(from)?;
            Some(passed.num_days() / days)
        }
        Unit::Months(months) => {
            let (from, to) = (local(from)?, local(to)?);
            let passed = match from <= to {
                true => whole_months(from, to)?,
                false => -whole_months(to, from)?,
            };
            Some(passed / months)
        }
    }
}

/// Counts the months from a time to a later one. From the 31st to the 30th is a month if the month
/// has no 31st.
fn whole_months(from: NaiveDateTime, to: NaiveDateTime) -> Option<i64> {
    use chrono::Datelike;
    let months = |time: NaiveDateTime| i64::from(time.year()) * 12 + i64::from(time.month0());
    let count = months(to) - months(from);
    let reached = from.checked_add_months(Months::new(u32::try_from(count).ok()?))?;
    Some(match reached <= to {
        true => count,
        false => count - 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diff(unit: &str, from: &str, to: &str) -> i64 {
        let micros = |text: &str| {
            let time = DateTime::parse_from_rfc3339(text).unwrap();
            time.timestamp_micros()
        };
        between(Unit::parse(unit).unwrap(), micros(from), micros(to), None).unwrap()
    }

    #[test]
    fn only_whole_units_count() {
        let from = "2026-01-31T12:00:00Z";
        for (unit, to, expected) in [
            ("hour", "2026-01-31T13:59:59Z", 1),
            ("day", "2026-02-01T11:59:59Z", 0),
            ("week", "2026-02-14T12:00:00Z", 2),
            ("month", "2026-02-28T12:00:00Z", 1),
            ("month", "2026-02-28T11:00:00Z", 0),
            ("quarter", "2026-07-31T12:00:00Z", 2),
            ("year", "2027-01-31T11:59:59Z", 0),
            ("YEAR", "2027-01-31T12:00:00Z", 1),
        ] {
            assert_eq!(diff(unit, from, to), expected, "{unit} {to}");
            assert_eq!(diff(unit, to, from), -expected, "{unit} {to}");
        }
        assert!(Unit::parse("fortnight").is_err());
        assert_eq!(between(Unit::Passed(1), i64::MIN, i64::MAX, None), None);
        assert_eq!(between(Unit::Months(1), i64::MIN, 0, None), None);
    }

    #[test]
    fn days_are_those_of_the_zone() {
        let (from, to) = (1_774_737_000 * SECOND, 1_774_819_800 * SECOND);
        // 23 hours over the night in which the clocks of Paris go forward.
        assert_eq!(between(Unit::Days(1), from, to, None), Some(0));
        let paris = "Europe/Paris".parse().ok();
        assert_eq!(between(Unit::Days(1), from, to, paris), Some(1));
    }
}
