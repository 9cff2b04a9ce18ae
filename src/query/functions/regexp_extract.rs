//! The SQL function `regexp_extract(text, pattern[, group])`, as Trino has it.
//!
//! The engine's `regexp_match` leaves out groups that took no part in a match, so that the number
//! of a group says little there.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result, exec_datafusion_err, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use regex::Regex;

use super::arguments::{by_row, documentation, expect_text, strings};

const NAME: &str = "regexp_extract";
const USAGE: &str = "regexp_extract(text, pattern[, group])";

/// The function, for registration.
pub(super) fn regexp_extract() -> ScalarUDF {
    let about = "Returns the first match of a regular expression, or one group of it; NULL if there is none.";
    ScalarUDF::new_from_impl(RegexpExtract {
        signature: Signature::user_defined(Volatility::Immutable),
        documentation: documentation(about, USAGE),
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct RegexpExtract {
    signature: Signature,
    documentation: Documentation,
}

impl ScalarUDFImpl for RegexpExtract {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(types.to_vec())
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let (text, pattern) = match types {
            [text, pattern] => (text, pattern),
            [text, pattern, group] if group.is_integer() || group.is_null() => (text, pattern),
            _ => return plan_err!("expected {USAGE}"),
        };
        expect_text(NAME, text)?;
        expect_text(NAME, pattern)?;
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.len() {
            2 => by_row(&args, USAGE, |[texts, patterns]| {
                extract(&texts, &patterns, None)
            }),
            _ => by_row(&args, USAGE, |[texts, patterns, groups]| {
                extract(&texts, &patterns, Some(&groups))
            }),
        }
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}

fn extract(texts: &ArrayRef, patterns: &ArrayRef, groups: Option<&ArrayRef>) -> Result<ArrayRef> {
    let (texts, patterns) = (strings(texts)?, strings(patterns)?);
    let groups = match groups {
        Some(groups) => Some(cast(groups, &DataType::Int64)?),
        None => None,
    };
    let groups = groups
        .as_ref()
        .map(|groups| groups.as_primitive::<Int64Type>());
    let group = |row: usize| match groups {
        Some(groups) => (!groups.is_null(row)).then(|| groups.value(row)),
        None => Some(0),
    };
    let mut found = StringBuilder::with_capacity(texts.len(), texts.len() * 8);
    // Nearly always all rows have one pattern.
    let mut last: Option<(&str, Regex)> = None;
    for (row, (text, pattern)) in texts.iter().zip(&patterns).enumerate() {
        let (Some(text), Some(pattern), Some(group)) = (text, pattern, group(row)) else {
            found.append_null();
            continue;
        };
        let regex = match &last {
            Some((same, regex)) if *same == pattern => regex,
            _ => &last.insert((pattern, compile(pattern)?)).1,
        };
        let Some(group) = usize::try_from(group)
            .ok()
            .filter(|it| *it < regex.captures_len())
        else {
            let groups = regex.captures_len() - 1;
            return exec_err!("'{pattern}' has no group {group}; it has {groups}");
        };
        let captures = regex.captures(text);
        found.append_option(captures.and_then(|it| Some(it.get(group)?.as_str())));
    }
    Ok(Arc::new(found.finish()))
}

fn compile(pattern: &str) -> Result<Regex> {
    Regex::new(pattern).map_err(|error| {
        // The last line says what is wrong, those before it show where.
        let text = error.to_string();
        let reason = text.lines().last().unwrap_or_default();
        let reason = reason.trim_start_matches("error: ");
        exec_datafusion_err!("'{pattern}' is not a regular expression: {reason}")
    })
}
