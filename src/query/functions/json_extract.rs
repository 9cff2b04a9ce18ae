//! The SQL functions `json_extract_scalar`, `json_extract` and `get_json_object`, as Trino and Hive
//! have them: JSON text, and a path such as `$.tags[0].key` whose indexes count from 0.
//!
//! Keys match in any case, with the exact spelling preferred, as in all paths here.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, StringBuilder};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, exec_datafusion_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use super::arguments::{by_row, documentation, expect_text, strings};
use super::json_path::{Step, find_raw, unquoted};

/// The functions, for registration.
pub(super) fn functions() -> impl Iterator<Item = ScalarUDF> {
    let functions = [
        (
            "json_extract_scalar",
            Returned::Scalar,
            "Returns the text, number or boolean at a path such as '$.tags[0].key' of JSON text, as text.",
        ),
        (
            "json_extract",
            Returned::Json,
            "Returns the value at a path such as '$.tags[0]' of JSON text, as JSON text.",
        ),
        (
            "get_json_object",
            Returned::Either,
            "Returns the value at a path such as '$.tags[0].key' of JSON text: objects and lists as JSON, others as text.",
        ),
    ];
    functions.into_iter().map(|(name, returned, about)| {
        ScalarUDF::new_from_impl(JsonExtract {
            name,
            returned,
            signature: Signature::user_defined(Volatility::Immutable),
            documentation: documentation(about, &format!("{name}(json, path)")),
        })
    })
}

/// The form of what is returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Returned {
    /// The text of a value that is no object and no array; NULL for others.
    Scalar,
    /// Any value as JSON.
    Json,
    /// An object or array as JSON, any other value as text.
    Either,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct JsonExtract {
    name: &'static str,
    returned: Returned,
    signature: Signature,
    documentation: Documentation,
}

impl ScalarUDFImpl for JsonExtract {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(types.to_vec())
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let [text, path] = types else {
            return plan_err!("expected {}(json, '$.path')", self.name);
        };
        if text.is_nested() {
            return plan_err!(
                "{} expects JSON text, found a list; write the path, as in resources[1].arn",
                self.name
            );
        }
        expect_text(self.name, text)?;
        expect_text(self.name, path)?;
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let usage = "json_extract_scalar(json, '$.path')";
        by_row(&args, usage, |[texts, paths]| {
            extract(&texts, &paths, self.returned)
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}

fn extract(texts: &ArrayRef, paths: &ArrayRef, returned: Returned) -> Result<ArrayRef> {
    let (texts, paths) = (strings(texts)?, strings(paths)?);
    let mut found = StringBuilder::with_capacity(texts.len(), texts.len() * 8);
    // Nearly always all rows have one path.
    let mut last: Option<(&str, Vec<Step>)> = None;
    for (text, path) in texts.iter().zip(&paths) {
        let (Some(text), Some(path)) = (text, path) else {
            found.append_null();
            continue;
        };
        let steps = match &last {
            Some((same, steps)) if *same == path => steps,
            _ => {
                let steps = parse(path).ok_or_else(|| {
                    exec_datafusion_err!(
                        "'{path}' is not a JSON path; expected one such as '$.tags[0].key'"
                    )
                })?;
                &last.insert((path, steps)).1
            }
        };
        let value = find_raw(text, steps);
        let is_container = value.is_some_and(|value| value.starts_with(['{', '[']));
        match (returned, value) {
            (Returned::Scalar, Some(_)) if is_container => found.append_null(),
            (Returned::Scalar | Returned::Either, Some(value)) => {
                found.append_option(unquoted(value));
            }
            (Returned::Json, value) => found.append_option(value),
            (_, None) => found.append_null(),
        }
    }
    Ok(Arc::new(found.finish()))
}

/// Reads `$.tags[0]["a key"]`; returns `None` for any other text.
pub(in crate::query) fn parse(path: &str) -> Option<Vec<Step>> {
    let mut rest = path.trim().strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('.') {
            if let Some(quoted) = after.strip_prefix('"') {
                let (key, after) = quoted.split_once('"')?;
                steps.push(Step::Key(key.to_owned()));
                rest = after;
                continue;
            }
            let end = after.find(['.', '[']).unwrap_or(after.len());
            let (key, after) = after.split_at(end);
            if key.is_empty() || key.contains(['*', ']', '"', '\'', ' ']) {
                return None;
            }
            steps.push(Step::Key(key.to_owned()));
            rest = after;
            continue;
        }
        let inside = rest.strip_prefix('[')?;
        let quote = inside.chars().next()?;
        if matches!(quote, '"' | '\'') {
            let (key, after) = inside[1..].split_once(quote)?;
            steps.push(Step::Key(key.to_owned()));
            rest = after.strip_prefix(']')?;
        } else {
            let (index, after) = inside.split_once(']')?;
            let index: u64 = index.trim().parse().ok()?;
            steps.push(Step::Index(index.checked_add(1)?));
            rest = after;
        }
    }
    Some(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_as_trino_reads_it() {
        let key = |key: &str| Step::Key(key.to_owned());
        for (path, steps) in [
            ("$", vec![]),
            ("$.a", vec![key("a")]),
            ("$.a.b-c[0]", vec![key("a"), key("b-c"), Step::Index(1)]),
            (
                "$.a[12][\"c d\"]['e.f']",
                vec![key("a"), Step::Index(13), key("c d"), key("e.f")],
            ),
        ] {
            assert_eq!(parse(path), Some(steps), "{path}");
        }
        for path in [
            "",
            "a",
            "$a",
            "$.",
            "$..a",
            "$.*",
            "$.a[*]",
            "$.a[",
            "$.a[]",
            "$.a[-1]",
            "$[\"a]",
            "$.a[1]b",
            "$[18446744073709551615]",
            "$['é",
        ] {
            assert_eq!(parse(path), None, "{path}");
        }
    }
}
