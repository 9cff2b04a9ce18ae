//! Arguments of functions: their types, and their values by row.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, DocSection, Documentation, ScalarFunctionArgs};

use super::json_path::is_text;

/// Evaluates a function over arrays, and returns a scalar if all of its arguments are.
pub(super) fn by_row<const N: usize>(
    args: &ScalarFunctionArgs,
    usage: &str,
    evaluate: impl FnOnce([ArrayRef; N]) -> Result<ArrayRef>,
) -> Result<ColumnarValue> {
    let arrays = ColumnarValue::values_to_arrays(&args.args)?;
    let Ok(arrays) = <[ArrayRef; N]>::try_from(arrays) else {
        return exec_err!("expected {usage}");
    };
    let found = evaluate(arrays)?;
    let is_scalar = |it: &ColumnarValue| matches!(it, ColumnarValue::Scalar(_));
    Ok(match args.args.iter().all(is_scalar) {
        true => ColumnarValue::Scalar(ScalarValue::try_from_array(&found, 0)?),
        false => ColumnarValue::Array(found),
    })
}

/// Returns an array as one of strings.
pub(super) fn strings(array: &ArrayRef) -> Result<StringArray> {
    let texts = cast(array, &DataType::Utf8)?;
    Ok(texts.to_data().into())
}

/// Checks that an argument is a text.
pub(super) fn expect_text(name: &str, data_type: &DataType) -> Result<()> {
    match data_type {
        text if is_text(text) || text.is_null() => Ok(()),
        other => plan_err!("{name} expects text, found {other}"),
    }
}

/// Documents a function that has Trino's name and meaning.
pub(super) fn documentation(about: &str, usage: &str) -> Documentation {
    let section = DocSection {
        include: true,
        label: "Trino's functions",
        description: None,
    };
    Documentation::builder(section, about, usage).build()
}

/// Returns whether a value of the type is a time, or may be read as one.
pub(super) fn is_time(data_type: &DataType) -> bool {
    use DataType::*;
    matches!(data_type, Timestamp(_, _) | Date32 | Date64 | Null) || is_text(data_type)
}

/// Returns the type of `eventTime`.
pub(super) fn utc() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC")))
}
