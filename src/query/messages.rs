//! Rewrites the query engine's messages for users: removes its headings, internal types and calls
//! for bug reports, and adds advice if there is any.

use std::error::Error as StdError;

use datafusion::common::DataFusionError;
use datafusion::sql::sqlparser::parser::ParserError;
use unicode_segmentation::UnicodeSegmentation;

use super::damage;
use crate::error::Error;
use crate::events::columns::catalog;

/// Most graphemes of a message: longer ones list hundreds of columns.
const LONGEST: usize = 400;

/// Converts an error of the engine into an [`Error`].
///
/// An [`Error`] of our own tables keeps its kind and location, however the engine has wrapped it.
/// Every other error becomes a query error.
pub fn translate_error(error: DataFusionError) -> Error {
    let error = match error {
        DataFusionError::External(inner) => match inner.downcast::<Error>() {
            Ok(ours) => return *ours,
            Err(inner) => DataFusionError::External(inner),
        },
        error => error,
    };
    let causes =
        std::iter::successors(Some(&error as &(dyn StdError + 'static)), |&it| it.source());
    let ours = causes.filter_map(|it| it.downcast_ref::<Error>()).next();
    ours.map_or_else(
        || damage::translate(&error).unwrap_or_else(|| Error::query(user_message(&error))),
        copy,
    )
}

/// Copies an error that the engine shares among partitions.
fn copy(error: &Error) -> Error {
    let copy = Error::from(error.kind().clone());
    match error.location() {
        Some(location) => copy.at(location),
        None => copy,
    }
}

/// Returns the engine's message, reworded for the author of the query.
pub(super) fn user_message(error: &DataFusionError) -> String {
    let root = error.find_root();
    if let DataFusionError::SQL(error, _) = root {
        return parsing(error);
    }
    let text = root.strip_backtrace();
    let text = without_headings(&text);
    let text = match text.split_once("\nThis issue was likely caused by a bug in DataFusion") {
        // The rest lists the signatures of the function.
        Some((before, rest)) => rest.split_once("issues. ").map_or(before, |(_, rest)| rest),
        None => text,
    };
    plain(&known(text).unwrap_or_else(|| sql_types(&without_debug(text))))
}

/// Rewrites `Expected: ), found: FROM at Line: 1, Column: 16`.
fn parsing(error: &ParserError) -> String {
    let text = match error {
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => text,
        ParserError::RecursionLimitExceeded => "it is nested too deeply",
    };
    if let Some(word) = between(
        text,
        "No infix parser for token Word(Word { value: \"",
        "\"",
    ) {
        let place = text
            .rsplit_once(" at Line: ")
            .map_or("", |(_, place)| place);
        let place = place.replace(", Column: ", ", column ");
        return format!("unexpected {word} at line {place}");
    }
    let text = without_debug(text)
        .replace("Expected: ", "expected ")
        .replace(", found: EOF", ", found the end")
        .replace(", found: ", ", found ")
        .replace(" at Line: ", " at line ")
        .replace(", Column: ", ", column ");
    plain(&text)
}

fn without_headings(text: &str) -> &str {
    const HEADINGS: [&str; 14] = [
        "Arrow error: ",
        "Cast error: ",
        "Compute error: ",
        "Error during planning: ",
        "Execution error: ",
        "External error: ",
        "Internal error: ",
        "Invalid argument error: ",
        "Optimizer rule 'simplify_expressions' failed",
        "Parser error: ",
        "SQL error: ",
        "Schema error: ",
        "This feature is not implemented: ",
        "caused by\n",
    ];
    let mut text = text.trim();
    while let Some(rest) = HEADINGS.iter().find_map(|it| text.strip_prefix(it)) {
        text = rest.trim();
    }
    text
}

/// Rewrites messages that are common enough for a text of their own.
fn known(text: &str) -> Option<String> {
    ungrouped(text)
        .or_else(|| no_function(text))
        .or_else(|| no_signature(text))
        .or_else(|| uncomputable(text))
        .or_else(|| unreadable(text))
        .or_else(|| ambiguous(text))
        .or_else(|| wrong_pattern(text))
        .or_else(|| no_table_before_star(text))
        .or_else(|| memory(text))
        .or_else(|| {
            FIXED
                .iter()
                .find(|(start, _)| {
                    let typed = text.get(..start.len());
                    typed.is_some_and(|typed| typed.eq_ignore_ascii_case(start))
                })
                .map(|(_, said)| (*said).to_owned())
        })
}

/// Messages by their first words, and their replacements.
const FIXED: &[(&str, &str)] = &[
    (
        "Unsupported Value '",
        "this kind of literal is not supported; write it in single quotes",
    ),
    (
        "Unsupported ast node in sqltorel",
        "this expression is not supported",
    ),
    (
        "Physical plan does not support logical expression Exists",
        "EXISTS is only supported as a condition: after WHERE, with AND and NOT",
    ),
    (
        "Projections require unique expression names",
        "two columns have the same name; name one of them with AS",
    ),
    (
        "Physical plan does not support logical expression WindowFunction",
        "window functions are not allowed in WHERE; use QUALIFY",
    ),
    (
        "Single expression required",
        "IN expects a list of values: IN ('a', 'b')",
    ),
    (
        "Schema contains duplicate qualified field name",
        "two tables have the same name; give one of them an alias",
    ),
    ("variable [", "variables are not supported; write the value"),
    (
        "Placeholder '",
        "parameters are not supported; write the value",
    ),
    (
        "Uncomparable values",
        "lists have no order; select one element, as in resources[1].arn",
    ),
    (
        "COUNT DISTINCT with multiple arguments",
        "count(DISTINCT ...) expects one value; write count(DISTINCT (a || ' ' || b))",
    ),
    ("Too many columns!", "expected a subquery with one column"),
    (
        "Aggregate function calls cannot be nested",
        "aggregate functions cannot be nested; use a subquery",
    ),
    (
        "Aggregate functions are not allowed in the WHERE clause",
        "aggregate functions are not allowed in WHERE; use HAVING",
    ),
];

/// Rewrites Rust's debug output in a message: `Utf8("x")` becomes `'x'`, `Int64(1)` becomes `1`,
/// and text from the first `Name { field: .. }` on is dropped.
fn without_debug(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find(['(', '{']) {
        let (before, after) = rest.split_at(open);
        let before_name = before
            .trim_end_matches(' ')
            .trim_end_matches(|c: char| c.is_ascii_alphanumeric());
        let name = before[before_name.len()..].trim_end();
        let is_type = name.starts_with(|c: char| c.is_ascii_uppercase());
        if is_type && after.starts_with("{ ") {
            plain.push_str(before_name);
            return plain.trim_end_matches([' ', ':', '(']).to_owned();
        }
        let value = match is_type && !before.ends_with(' ') {
            true => debug_value(&after[1..]),
            false => None,
        };
        match value {
            Some((value, end)) => {
                plain.push_str(before_name);
                plain.push_str(&value);
                rest = end;
            }
            None => {
                plain.push_str(&rest[..=open]);
                rest = &after[1..];
            }
        }
    }
    plain.push_str(rest);
    plain
}

/// Reads `"x")` or `1)`, and returns the value as SQL has it, and the text after it.
fn debug_value(text: &str) -> Option<(String, &str)> {
    if let Some(quoted) = text.strip_prefix('"') {
        let (value, rest) = quoted.split_once("\")")?;
        return Some((format!("'{value}'"), rest));
    }
    let (value, rest) = text.split_once(')')?;
    let is_number = value.parse::<f64>().is_ok();
    (is_number || matches!(value, "NULL" | "true" | "false")).then(|| (value.to_owned(), rest))
}

/// Rewrites the message for a column beside an aggregate.
fn ungrouped(text: &str) -> Option<String> {
    let column = between(text, "column \"", "\" must appear in the GROUP BY clause")?;
    let column = path_of(column);
    Some(format!(
        "{column} must be in GROUP BY, or inside an aggregate such as max({column})"
    ))
}

/// Functions of other engines, and their replacements here.
const INSTEAD: &[(&str, &str)] = &[
    ("approx_percentile", "write approx_percentile_cont(x, 0.5)"),
    ("at_timezone", "write eventTime AT TIME ZONE 'Europe/Paris'"),
    ("date_parse", "write to_timestamp(text, '%Y-%m-%d')"),
    ("datediff", "write date_diff('day', from, to)"),
    ("dateadd", "write date_add('day', 1, time)"),
    ("dense_rank", OVER),
    ("format_datetime", "write to_char(time, '%Y-%m-%d')"),
    ("group_concat", "write string_agg(x, ', ')"),
    ("if", "write CASE WHEN condition THEN x ELSE y END"),
    ("iff", "write CASE WHEN condition THEN x ELSE y END"),
    (
        "json_parse",
        "JSON is text here: write the path, as in requestParameters.engine",
    ),
    ("json_format", "JSON is text here: leave it out"),
    ("lag", OVER),
    ("lead", OVER),
    ("listagg", "write string_agg(x, ', ')"),
    (
        "parse_json",
        "JSON is text here: write the path, as in requestParameters.engine",
    ),
    ("rank", OVER),
    ("row_number", OVER),
    ("split", "write string_to_array(text, ',')"),
    ("strftime", "write to_char(time, '%Y-%m-%d')"),
    ("try", "write TRY_CAST(x AS type)"),
    ("typeof", "write arrow_typeof(x)"),
];

/// The replacement of a window function without a window.
const OVER: &str = "a window function needs OVER (ORDER BY ...) after it";

/// Rewrites `Invalid function 'foo'.\nDid you mean 'cot'?`, whose suggestion may be far from the
/// name.
fn no_function(text: &str) -> Option<String> {
    if let Some(name) = between(text, "table function '", "' not found") {
        return Some(format!("no table function {name}"));
    }
    let name = between(text, "Invalid function '", "'.")?;
    if let Some((_, instead)) = INSTEAD.iter().find(|(other, _)| *other == name) {
        return Some(format!("no function {name}; {instead}"));
    }
    let near = between(text, "Did you mean '", "'?")
        .filter(|near| strsim::osa_distance(near, name) <= name.len().div_ceil(4));
    Some(match near {
        Some(near) => format!("no function {name}; did you mean {near}?"),
        None => format!("no function {name}"),
    })
}

/// Rewrites `No function matches the given name and argument types 'sum(Utf8)'. You might need to
/// add explicit type casts.\n\tCandidate functions:\n\tsum(Decimal)`.
fn no_signature(text: &str) -> Option<String> {
    let call = between(text, "name and argument types '", "'. You might")?;
    let (_, others) = text.split_once("Candidate functions:")?;
    let mut others: Vec<String> = others
        .lines()
        .map(|line| sql_types(line.trim()).to_lowercase())
        .filter(|line| !line.is_empty() && !line.contains("userdefined"))
        .filter(|line| !line.contains("any)") && !line.contains("coercion"))
        .collect();
    others.dedup();
    let message = format!("no function {}", sql_types(call));
    Some(match others.len() {
        1..=6 => format!("{message}; expected {}", others.join(", ")),
        _ => format!("{message}; convert the arguments with CAST(... AS ...)"),
    })
}

/// First words of the message for a comparison of incompatible types.
const UNCOMPARABLE: &str = "Cannot infer common argument type for ";

/// Rewrites messages for operators between incompatible types.
fn uncomputable(text: &str) -> Option<String> {
    let comparison = ["comparison", "regex", "string"]
        .iter()
        .find_map(|kind| text.strip_prefix(&format!("{UNCOMPARABLE}{kind} operation ")));
    if let Some(rest) = comparison {
        return Some(format!("cannot compare {}", sql_types(rest)));
    }
    if let Some(types) = between(
        text,
        "isn't a common type to coerce ",
        " in LIKE expression",
    ) {
        let (value, _) = types.split_once(" and ")?;
        if value.starts_with("Timestamp") || value.starts_with("Date") {
            return Some(
                "a time is compared by its bounds: eventTime >= '2026-07-14' AND eventTime < \
                 '2026-07-15'; or write CAST(eventTime AS varchar)"
                    .to_owned(),
            );
        }
        return Some(format!(
            "LIKE expects text, found {}; write CAST(... AS varchar)",
            sql_types(value)
        ));
    }
    let operation = between(
        text,
        "Cannot coerce arithmetic expression ",
        " to valid types",
    )?;
    let operation = sql_types(operation);
    let advice = match operation.starts_with("timestamp") {
        true => "; an interval is written INTERVAL '1 day'",
        false => "",
    };
    Some(format!("cannot compute {operation}{advice}"))
}

/// Rewrites messages for texts that do not parse as a type.
fn unreadable(text: &str) -> Option<String> {
    if let Some(value) = between(text, "Error parsing timestamp from '", "': ") {
        return Some(format!(
            "'{value}' is not a timestamp; expected '2026-01-31' or '2026-01-31 13:00:00'"
        ));
    }
    if let Some(value) = between(text, "Invalid input syntax for type interval: \"", "\"") {
        return Some(format!(
            "'{value}' is not an interval; expected INTERVAL '1 day'"
        ));
    }
    let (value, kind) = text
        .strip_prefix("Cannot cast string '")?
        .strip_suffix(" type")?
        .rsplit_once("' to value of ")?;
    let kind = sql_types(kind);
    let article = match kind.starts_with(['a', 'e', 'i', 'o', 'u']) {
        true => "an",
        false => "a",
    };
    Some(format!(
        "'{value}' is not {article} {kind}; TRY_CAST gives NULL for such values"
    ))
}

fn ambiguous(text: &str) -> Option<String> {
    let column = text.strip_prefix("Ambiguous reference to unqualified field ")?;
    let column = path_of(column.trim_matches('"'));
    Some(format!(
        "{column} is ambiguous; write the table's name or alias before it"
    ))
}

/// Rewrites the lines about a regular expression, of which the last says what is wrong.
fn wrong_pattern(text: &str) -> Option<String> {
    let (_, lines) = text.split_once("regex parse error:")?;
    let reason = lines
        .trim_end()
        .lines()
        .last()?
        .trim_start_matches("error: ");
    Some(format!("not a regular expression: {reason}"))
}

/// Rewrites the message for `requestParameters.*`.
fn no_table_before_star(text: &str) -> Option<String> {
    let name = path_of(text.strip_prefix("Invalid qualifier ")?);
    Some(format!(
        "{name} is not a table, which .* expects; name the columns, as in requestParameters.engine"
    ))
}

fn memory(text: &str) -> Option<String> {
    text.starts_with("Resources exhausted").then(|| {
        "sorting, joining and grouping need more memory than allowed; raise --memory, or select \
         fewer columns or rows"
            .to_owned()
    })
}

/// Returns `events.eventname` as CloudTrail spells it: `eventName`.
fn path_of(column: &str) -> &str {
    let name = column.rsplit('.').next().unwrap_or(column);
    match catalog().index_of(name) {
        Some(index) => &catalog().columns()[index].path,
        None => column,
    }
}

/// Replaces Arrow's type names in a message by SQL's.
fn sql_types(text: &str) -> String {
    const TYPES: &[(&str, &str)] = &[
        ("Timestamp(µs)", "timestamp"),
        ("Timestamp(µs, \"UTC\")", "timestamp"),
        ("Timestamp(ns, \"UTC\")", "timestamp"),
        ("Timestamp(ns)", "timestamp"),
        ("Interval(MonthDayNano)", "interval"),
        ("Utf8View", "varchar"),
        ("LargeUtf8", "varchar"),
        ("Utf8", "varchar"),
        ("String", "varchar"),
        ("Boolean", "boolean"),
        ("Float64", "double"),
        ("UInt64", "bigint"),
        ("Int64", "bigint"),
        ("Int32", "integer"),
        ("Date32", "date"),
    ];
    TYPES
        .iter()
        .fold(without_fields(text), |text, (arrow, sql)| {
            text.replace(arrow, sql)
        })
}

/// Replaces `List(Struct(...))` in a message by `list`, and `Struct(...)` by `struct`.
fn without_fields(text: &str) -> String {
    let mut plain = text.to_owned();
    for (start, word) in [("List(", "list"), ("Struct(", "struct")] {
        while let Some(at) = plain.find(start) {
            let mut depth = 0;
            let end = plain[at..].find(|c| {
                depth += i32::from(c == '(') - i32::from(c == ')');
                c == ')' && depth == 0
            });
            let end = end.map_or(plain.len(), |end| at + end + 1);
            plain.replace_range(at..end, word);
        }
    }
    plain
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    Some(rest.split_once(after)?.0)
}

/// Lower-cases the first letter, drops the full stop, and cuts long messages.
fn plain(text: &str) -> String {
    let text = text.trim().trim_end_matches('.');
    let mut chars = text.chars();
    let mut plain = String::with_capacity(text.len());
    if let Some(first) = chars.next() {
        // `UNION ...` stays as it is.
        match chars
            .as_str()
            .starts_with(|c: char| c.is_lowercase() || c == ' ')
        {
            true => plain.extend(first.to_lowercase()),
            false => plain.push(first),
        }
    }
    plain.push_str(chars.as_str());
    if let Some((cut, _)) = plain.grapheme_indices(true).nth(LONGEST) {
        plain.truncate(cut);
        plain.push('…');
    }
    plain
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::error::ArrowError;
    use datafusion::common::Diagnostic;

    use super::*;
    use crate::error::ErrorKind;
    use crate::input_location::InputLocation;

    fn planned(text: &str) -> String {
        user_message(&DataFusionError::Plan(text.to_owned()))
    }

    #[test]
    fn headings_bug_reports_and_full_stops_go() {
        assert_eq!(
            planned(
                "Internal error: Function 'sum' failed to match any signature, errors: ..\nThis issue \
                 was likely caused by a bug in DataFusion's code. Please help us to resolve this by \
                 filing a bug report in our issue tracker: https://github.com/apache/datafusion/issues. \
                 No function matches the given name and argument types 'sum(Utf8)'. You might need to \
                 add explicit type casts.\n\tCandidate functions:\n\tsum(Decimal)\n\tsum(UInt64)\n\tsum(Int64)"
            ),
            "no function sum(varchar); expected sum(decimal), sum(bigint)"
        );
        assert_eq!(
            planned("Arrow error: Divide by zero error."),
            "divide by zero error"
        );
        assert_eq!(planned("UNION queries differ"), "UNION queries differ");
    }

    #[test]
    fn debug_output_becomes_sql() {
        for (text, expected) in [
            (
                "Argument Utf8(\"x\") and Int64(-1) of f(Boolean(NULL))",
                "argument 'x' and -1 of f(NULL)",
            ),
            (
                "Unsupported operator: Custom(Ident { value: \"x\", span: Span(1) })",
                "unsupported operator: Custom",
            ),
            ("Invalid name Ident { value: \"x\" }", "invalid name"),
            (
                "regex {2} (a) is kept (Timestamp(ns))",
                "regex {2} (a) is kept (timestamp)",
            ),
        ] {
            assert_eq!(planned(text), expected);
        }
    }

    #[test]
    fn only_a_near_function_is_suggested() {
        assert_eq!(
            planned("Invalid function 'date_trunk'.\nDid you mean 'date_trunc'?"),
            "no function date_trunk; did you mean date_trunc?"
        );
        assert_eq!(
            planned("Invalid function 'foo'.\nDid you mean 'cot'?"),
            "no function foo"
        );
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let cut = planned(&"é".repeat(1000));
        assert_eq!(cut.chars().count(), LONGEST + 1);
        let cut = planned(&"🇩🇪".repeat(1000));
        assert_eq!(cut, "🇩🇪".repeat(LONGEST) + "…");
    }

    #[test]
    fn our_own_error_keeps_its_kind_and_place_however_it_is_wrapped() {
        let wrap_in: [fn(DataFusionError) -> DataFusionError; 6] = [
            |error| DataFusionError::External(Box::new(error)),
            |error| ArrowError::ExternalError(Box::new(error)).into(),
            |error| DataFusionError::Shared(Arc::new(error)),
            |error| error.context("while reading"),
            |error| error.with_diagnostic(Diagnostic::new_error("here", None)),
            |error| DataFusionError::Collection(vec![error]),
        ];
        let location = InputLocation::new("s3://trail/a.json");
        for first in wrap_in {
            for second in wrap_in {
                for kind in [Error::config, Error::io, Error::query, Error::bug] {
                    let ours = kind("no access").at(&location);
                    let expected = format!("{ours:?}");
                    let wrapped = second(first(DataFusionError::External(Box::new(ours))));
                    let shared = Arc::new(wrapped);
                    let copy = DataFusionError::Shared(Arc::clone(&shared));
                    assert_eq!(format!("{:?}", translate_error(copy)), expected);
                }
            }
        }
        let ours = Error::from(ErrorKind::Unavailable {
            service: "S3",
            message: "slow down".to_owned(),
        });
        let arrow = ArrowError::ExternalError(Box::new(ours));
        let error = translate_error(arrow.into());
        assert!(matches!(error.kind(), ErrorKind::Unavailable { .. }));
        let engine = translate_error(DataFusionError::Plan("Nothing.".to_owned()));
        assert!(matches!(engine.kind(), ErrorKind::Query(_)));
        assert_eq!(engine.to_string(), "nothing");
    }
}
