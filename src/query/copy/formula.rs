//! Cells of CSV that a spreadsheet would run: text of callers, such as `=1+cmd|...`.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// Creates the function that puts a `'` before text that is a formula; plans alone call it.
pub(super) fn csv_guard() -> ScalarUDF {
    ScalarUDF::new_from_impl(CsvGuard {
        signature: Signature::exact(vec![DataType::Utf8], Volatility::Immutable),
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct CsvGuard {
    signature: Signature,
}

impl ScalarUDFImpl for CsvGuard {
    fn name(&self) -> &str {
        "csv_guard"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(value) = args.args.into_iter().next() else {
            return exec_err!("csv_guard expects an argument");
        };
        let texts = value.into_array(args.number_rows)?;
        Ok(ColumnarValue::Array(guarded(texts)))
    }
}

fn guarded(texts: ArrayRef) -> ArrayRef {
    let cells = texts.as_string::<i32>();
    if !cells.iter().flatten().any(is_formula) {
        return texts;
    }
    let mut safe = StringBuilder::with_capacity(cells.len(), cells.values().len());
    for cell in cells {
        match cell {
            Some(cell) if is_formula(cell) => safe.append_value(format!("'{cell}")),
            cell => safe.append_option(cell),
        }
    }
    Arc::new(safe.finish())
}

/// Returns whether a spreadsheet might run the cell as a formula: by its first character, from
/// OWASP's list and its full-width forms, which Excel folds. Numbers are not formulas, nor is a dash
/// alone, which AWS writes for a missing value.
pub fn is_formula(text: &str) -> bool {
    text != "-"
        && text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'])
        && !is_plain_number(text.as_bytes())
}

/// Returns whether the cell is a number, such as `-5` or `+3.2e4`: a sign, digits with at most one
/// point, and an exponent.
fn is_plain_number(text: &[u8]) -> bool {
    let mut parts = unsigned(text).splitn(2, |byte| matches!(byte, b'e' | b'E'));
    let mantissa = parts.next().unwrap_or_default();
    let digits = mantissa.iter().filter(|byte| byte.is_ascii_digit()).count();
    let points = mantissa.iter().filter(|&&byte| byte == b'.').count();
    let exponent = parts.next().is_none_or(|exponent| {
        let exponent = unsigned(exponent);
        !exponent.is_empty() && exponent.iter().all(u8::is_ascii_digit)
    });
    digits > 0 && points <= 1 && digits + points == mantissa.len() && exponent
}

fn unsigned(text: &[u8]) -> &[u8] {
    match text {
        [b'+' | b'-', rest @ ..] => rest,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formula_is_told_from_a_number() {
        for text in [
            "=1+1", "+cmd", "-1+1", "@sum(a1)", "\tx", "\rx", "\nx", "＝1", "＋1", "－1", "＠x",
            "+", "-.", "-1e", "-1e5x", "-1.2.3", "-inf", "+e4", "--1",
        ] {
            assert!(is_formula(text), "{text:?}");
        }
        for text in [
            "",
            "-",
            "a=1",
            "-5",
            "+3.2e4",
            "-.5",
            "-1.",
            "-2E-10",
            "+15551234",
            " =1",
            "'=1",
            "é",
        ] {
            assert!(!is_formula(text), "{text:?}");
        }
    }
}
