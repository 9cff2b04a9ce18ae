//! The SQL function `json_get_path(text, path)`, which extracts one value from JSON text without
//! building a tree.
//!
//! Keys match in any case, with the exact spelling preferred; indexes count from 1. A string is
//! returned unescaped, a number or boolean as text, an object or array byte for byte. JSON null, a
//! missing value, and text that is not JSON give NULL.

use std::borrow::Cow;
use std::sync::Arc;

use crate::events::response::{is_result, wrapped_result};
use crate::json::{Elements, Members, Span, skip_space, skip_value, unescape};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, exec_err, plan_datafusion_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// The function's name in SQL.
pub const JSON_GET_PATH: &str = "json_get_path";

/// One step of a path into a JSON value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// A member of an object.
    Key(String),
    /// An element of an array, counted from 1.
    Index(u64),
    /// The result of an RDS operation in the root, whether the response wraps it or not, and whether the
    /// next step names it or not. Stands first.
    Result,
}

/// Encodes steps as the function's second argument: a JSON array of strings (keys) and numbers
/// (indexes), which can express any key, after a null for [`Step::Result`].
///
/// ```
/// use auroratrail::query::functions::json_path::{Step, encode};
///
/// let steps = [Step::Key("tags".into()), Step::Index(1), Step::Key("x-amz.acl".into())];
/// assert_eq!(encode(&steps), r#"["tags",1,"x-amz.acl"]"#);
/// ```
pub fn encode(steps: &[Step]) -> String {
    let values = steps.iter().map(|step| match step {
        Step::Key(key) => serde_json::Value::from(key.as_str()),
        Step::Index(index) => serde_json::Value::from(*index),
        Step::Result => serde_json::Value::Null,
    });
    serde_json::Value::Array(values.collect()).to_string()
}

/// Decodes the output of [`encode`]; returns `None` for any other text.
pub fn decode(path: &str) -> Option<Vec<Step>> {
    let serde_json::Value::Array(values) = serde_json::from_str(path).ok()? else {
        return None;
    };
    let step = |value| match value {
        serde_json::Value::String(key) => Some(Step::Key(key)),
        serde_json::Value::Number(index) => index.as_u64().map(Step::Index),
        serde_json::Value::Null => Some(Step::Result),
        _ => None,
    };
    values.into_iter().map(step).collect()
}

/// Returns the value at `steps` in the JSON `text`, as SQL text.
///
/// Returns `None` if the value is missing or null, or if `text` is not valid JSON as a whole.
pub fn find<'a>(text: &'a str, steps: &[Step]) -> Option<Cow<'a, str>> {
    unquoted(find_raw(text, steps)?)
}

/// Returns the value at `steps` in the JSON `text`, as JSON.
///
/// Returns `None` if the value is missing, or if `text` is not valid JSON as a whole.
pub(super) fn find_raw<'a>(text: &'a str, steps: &[Step]) -> Option<&'a str> {
    let start = skip_space(text.as_bytes(), 0);
    let end = skip_value(text.as_bytes(), start).ok()?;
    if skip_space(text.as_bytes(), end) != text.len() {
        return None;
    }
    let root = Span {
        start: start as u32,
        end: end as u32,
        escaped: true,
    };
    let span = match steps {
        [Step::Result, steps @ ..] => follow_result(text, root, steps)?,
        _ => follow(text, root, steps)?,
    };
    Some(span.raw(text))
}

/// Returns a JSON value as SQL text, `None` for null.
pub(super) fn unquoted(value: &str) -> Option<Cow<'_, str>> {
    match value.as_bytes().first()? {
        b'"' => Some(unescape(&value[1..value.len() - 1])),
        b'n' => None,
        _ => Some(Cow::Borrowed(value)),
    }
}

/// Returns the value at `steps` below `value`.
fn follow(text: &str, value: Span, steps: &[Step]) -> Option<Span> {
    steps.iter().try_fold(value, |value, step| {
        let at = value.start as usize;
        match step {
            Step::Key(key) => member(text, at, key),
            Step::Index(index) => element(text, at, *index),
            Step::Result => None,
        }
    })
}

/// Returns the value at `steps` below the response `root`, in either spelling.
fn follow_result(text: &str, root: Span, steps: &[Step]) -> Option<Span> {
    let at = root.start as usize;
    let as_spelled = follow(text, root, steps);
    let wrapped = || follow(text, wrapped_result(text, at)?, steps);
    let direct = || match steps {
        [Step::Key(name), rest @ ..]
            if !rest.is_empty() && is_result(name) && member(text, at, name).is_none() =>
        {
            follow(text, root, rest)
        }
        _ => None,
    };
    as_spelled.or_else(wrapped).or_else(direct)
}

/// Returns the value of `key` in the object at `at`. The exact spelling wins over the first one in
/// another case.
fn member(text: &str, at: usize, key: &str) -> Option<Span> {
    let mut other_case = None;
    for (name, value) in Members::at(text, at) {
        let name = unescape(name.raw(text));
        if name == key {
            return Some(value);
        }
        if other_case.is_none() && name.eq_ignore_ascii_case(key) {
            other_case = Some(value);
        }
    }
    other_case
}

/// Returns the `index`th element of the array at `at`, from 1.
fn element(text: &str, at: usize, index: u64) -> Option<Span> {
    let index = usize::try_from(index.checked_sub(1)?).ok()?;
    Elements::at(text, at).nth(index)
}

/// Creates the function, for registration in a session.
pub fn json_get_path() -> ScalarUDF {
    ScalarUDF::new_from_impl(JsonGetPath {
        signature: Signature::any(2, Volatility::Immutable),
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct JsonGetPath {
    signature: Signature,
}

impl ScalarUDFImpl for JsonGetPath {
    fn name(&self) -> &str {
        JSON_GET_PATH
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        for argument in arguments {
            if !is_text(argument) && *argument != DataType::Null {
                return Err(plan_datafusion_err!(
                    "{JSON_GET_PATH} expects JSON text and a path, found {argument}"
                ));
            }
        }
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [text, path] = args.args.as_slice() else {
            return exec_err!("{JSON_GET_PATH} expects two arguments");
        };
        let steps = match path {
            ColumnarValue::Scalar(scalar) => scalar.try_as_str().flatten(),
            ColumnarValue::Array(_) => {
                return exec_err!("{JSON_GET_PATH} expects a constant path");
            }
        };
        let Some(steps) = steps else {
            return Ok(ColumnarValue::Scalar(ScalarValue::Utf8(None)));
        };
        let Some(steps) = decode(steps) else {
            return exec_err!(
                "{JSON_GET_PATH} expects a path such as [\"tags\",1,\"key\"], found {steps}"
            );
        };
        match text {
            ColumnarValue::Scalar(scalar) => {
                let found = scalar.try_as_str().flatten();
                let found = found.and_then(|text| find(text, &steps).map(Cow::into_owned));
                Ok(ColumnarValue::Scalar(ScalarValue::Utf8(found)))
            }
            ColumnarValue::Array(array) => Ok(ColumnarValue::Array(find_all(array, &steps))),
        }
    }
}

/// Returns whether the type is one of Arrow's string types.
pub(in crate::query) fn is_text(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
    )
}

fn find_all(texts: &ArrayRef, steps: &[Step]) -> ArrayRef {
    let mut found = StringBuilder::with_capacity(texts.len(), texts.len() * 8);
    let mut push = |text: Option<&str>| {
        found.append_option(text.and_then(|text| find(text, steps)));
    };
    match texts.data_type() {
        DataType::Utf8 => texts.as_string::<i32>().iter().for_each(&mut push),
        DataType::LargeUtf8 => texts.as_string::<i64>().iter().for_each(&mut push),
        DataType::Utf8View => texts.as_string_view().iter().for_each(&mut push),
        _ => (0..texts.len()).for_each(|_| push(None)),
    }
    Arc::new(found.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(key: &str) -> Step {
        Step::Key(key.to_string())
    }

    const TEXT: &str = r#" {"a": {"B": [10, {"c d": "x\n\u00e9\ud83d\ude00\ud83d"}, -1.5e3]},
        "n": null, "t": true, "T": false, "e": {}, "k\u0065y": 1} "#;

    #[test]
    fn a_value_is_found_by_keys_and_by_indexes_from_one() {
        assert_eq!(
            find(TEXT, &[key("a"), key("b"), Step::Index(1)]).unwrap(),
            "10"
        );
        let path = [key("A"), key("b"), Step::Index(2), key("C D")];
        assert_eq!(find(TEXT, &path).unwrap(), "x\né😀\u{fffd}");
        assert_eq!(
            find(TEXT, &[key("a"), key("B"), Step::Index(3)]).unwrap(),
            "-1.5e3"
        );
        assert_eq!(find(TEXT, &[key("key")]).unwrap(), "1");
    }

    #[test]
    fn the_exact_spelling_wins_over_an_earlier_other_one() {
        assert_eq!(find(TEXT, &[key("T")]).unwrap(), "false");
        assert_eq!(find(TEXT, &[key("t")]).unwrap(), "true");
    }

    #[test]
    fn objects_and_arrays_come_back_byte_for_byte() {
        let found = find(TEXT, &[key("a"), key("B"), Step::Index(2)]).unwrap();
        assert_eq!(found, r#"{"c d": "x\n\u00e9\ud83d\ude00\ud83d"}"#);
        assert_eq!(find(TEXT, &[key("e")]).unwrap(), "{}");
        assert_eq!(find(TEXT, &[]).unwrap(), TEXT.trim());
    }

    #[test]
    fn nothing_there_and_null_are_null() {
        for path in [
            vec![key("n")],
            vec![key("missing")],
            vec![key("e"), key("x")],
            vec![key("t"), key("x")],
            vec![key("a"), key("B"), Step::Index(0)],
            vec![key("a"), key("B"), Step::Index(4)],
            vec![key("a"), Step::Index(1)],
        ] {
            assert_eq!(find(TEXT, &path), None, "{path:?}");
        }
    }

    #[test]
    fn text_that_is_not_json_is_null_wherever_the_fault_is() {
        for text in [
            "",
            "{",
            r#"{"a":1"#,
            r#"{"a":1}x"#,
            r#"{"a":1,}"#,
            r#"{"a":1,"b":[1,]}"#,
            r#"{"a":1,"b":"\x"}"#,
            r#"{"a":1,"b":01}"#,
            "{\"a\":1,\"b\":\"\n\"}",
            r#"{"a":1 "b":2}"#,
        ] {
            assert_eq!(find(text, &[key("a")]), None, "{text}");
        }
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert_eq!(find(&deep, &[Step::Index(1)]), None);
    }

    #[test]
    fn a_result_is_found_wrapped_or_not() {
        let wrapped = r#"{"dBProxy":{"a":{"b":1},"dBProxyName":"p"}}"#;
        let direct = r#"{"a":{"b":1},"dBProxyName":"p"}"#;
        for text in [wrapped, direct] {
            for path in [
                vec![Step::Result, key("a"), key("b")],
                vec![Step::Result, key("dbproxy"), key("a"), key("b")],
            ] {
                assert_eq!(find(text, &path).unwrap(), "1", "{text} {path:?}");
            }
            assert_eq!(find(text, &[Step::Result, key("x"), key("a")]), None);
        }
        assert_eq!(find(wrapped, &[key("a")]), None);
        assert_eq!(find(direct, &[key("dBProxy"), key("a")]), None);
        // Another member, or a result in a result, is not a wrapper.
        let instance = r#"{"a":1,"dBSubnetGroup":{"b":2}}"#;
        let group = key("dBSubnetGroup");
        assert_eq!(
            find(instance, &[Step::Result, group.clone(), key("a")]),
            None
        );
        assert_eq!(find(instance, &[Step::Result, key("b")]), None);
        assert_eq!(
            find(instance, &[Step::Result, group, key("b")]).unwrap(),
            "2"
        );
    }

    #[test]
    fn a_path_survives_its_encoding() {
        let path = vec![
            Step::Result,
            key("it's"),
            Step::Index(3),
            key("a\"b.c[1]"),
            key(""),
        ];
        assert_eq!(decode(&encode(&path)), Some(path));
        assert_eq!(decode(".a.b"), None);
        assert_eq!(decode("[-1]"), None);
    }
}
