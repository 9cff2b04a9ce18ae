//! The SQL function `date_add(unit, count, time)`, as Trino has it.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, IntervalMonthDayNanoArray};
use datafusion::arrow::compute::kernels::numeric::add;
use datafusion::arrow::datatypes::{DataType, Int64Type, IntervalMonthDayNano};
use datafusion::common::{Result, exec_datafusion_err, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use super::arguments::{by_row, documentation, expect_text, is_time, strings, utc};

const NAME: &str = "date_add";
const USAGE: &str = "date_add('day', count, time)";

/// The function, for registration.
pub(super) fn date_add() -> ScalarUDF {
    let about = "Adds a count of units to a time: millisecond, second, minute, hour, day, week, month, quarter or year.";
    ScalarUDF::new_from_impl(DateAdd {
        signature: Signature::user_defined(Volatility::Immutable),
        documentation: documentation(about, USAGE),
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct DateAdd {
    signature: Signature,
    documentation: Documentation,
}

impl ScalarUDFImpl for DateAdd {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let [unit, count, time] = types else {
            return Ok(types.to_vec());
        };
        let count = match count.is_integer() || count.is_null() {
            true => DataType::Int64,
            false => count.clone(),
        };
        let time = match time {
            DataType::Date64 => DataType::Date32,
            time @ (DataType::Timestamp(_, _) | DataType::Date32) => time.clone(),
            text if is_time(text) => utc(),
            other => other.clone(),
        };
        Ok(vec![unit.clone(), count, time])
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [unit, DataType::Int64, time] if is_time(time) => {
                expect_text(NAME, unit).map(|()| time.clone())
            }
            _ => plan_err!("expected {USAGE}, or time + INTERVAL '1 day'"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        by_row(&args, USAGE, |[units, counts, times]| {
            added(&units, &counts, &times)
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}

fn added(units: &ArrayRef, counts: &ArrayRef, times: &ArrayRef) -> Result<ArrayRef> {
    let units = strings(units)?;
    let is_date = *times.data_type() == DataType::Date32;
    let mut intervals = Vec::with_capacity(times.len());
    for (unit, count) in units.iter().zip(counts.as_primitive::<Int64Type>()) {
        let (Some(unit), Some(count)) = (unit, count) else {
            intervals.push(None);
            continue;
        };
        let interval = interval(unit, count)?;
        if is_date && interval.nanoseconds != 0 {
            return exec_err!(
                "'{unit}' cannot be added to a date; expected day, week, month, quarter or year"
            );
        }
        intervals.push(Some(interval));
    }
    let intervals = IntervalMonthDayNanoArray::from(intervals);
    Ok(add(times, &intervals)?)
}

fn interval(unit: &str, count: i64) -> Result<IntervalMonthDayNano> {
    const SECOND: i64 = 1_000_000_000;
    let (months, days, nanos): (i32, i32, i64) = match unit.to_ascii_lowercase().as_str() {
        "millisecond" => (0, 0, SECOND / 1000),
        "second" => (0, 0, SECOND),
        "minute" => (0, 0, 60 * SECOND),
        "hour" => (0, 0, 3600 * SECOND),
        "day" => (0, 1, 0),
        "week" => (0, 7, 0),
        "month" => (1, 0, 0),
        "quarter" => (3, 0, 0),
        "year" => (12, 0, 0),
        _ => {
            return exec_err!(
                "'{unit}' is not a unit; expected millisecond, second, minute, hour, day, week, \
                 month, quarter or year"
            );
        }
    };
    let times = |one: i32| i32::try_from(i64::from(one).checked_mul(count)?).ok();
    let interval = || {
        let nanos = nanos.checked_mul(count)?;
        Some(IntervalMonthDayNano::new(
            times(months)?,
            times(days)?,
            nanos,
        ))
    };
    interval().ok_or_else(|| exec_datafusion_err!("{count} is too many for {NAME}('{unit}', ...)"))
}
