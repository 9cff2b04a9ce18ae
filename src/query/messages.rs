//! The query engine's messages in words for those who typed the query: without its headings, its
//! internal types and its invitations to report bugs, and with what to write instead where that is
//! known.

use datafusion::common::DataFusionError;
use datafusion::sql::sqlparser::parser::ParserError;

use crate::events::columns::catalog;

/// Messages are cut here: longer ones are lists of hundreds of columns.
const LONGEST: usize = 400;

/// The error's message, for people.
pub fn short(error: &DataFusionError) -> String {
    let root = error.find_root();
    if let DataFusionError::SQL(error, _) = root {
        return parsing(error);
    }
    let text = root.strip_backtrace();
    let text = without_headings(&text);
    let text = match text.split_once("\nThis issue was likely caused by a bug in DataFusion") {
        // What follows is what the function would take.
        Some((_, rest)) => rest.split_once("issues. ").map_or(text, |(_, rest)| rest),
        None => text,
    };
    plain(&known(text).unwrap_or_else(|| text.to_owned()))
}

/// `Expected: ), found: FROM at Line: 1, Column: 16`
fn parsing(error: &ParserError) -> String {
    let text = match error {
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => text,
        ParserError::RecursionLimitExceeded => "it is nested too deeply",
    };
    let text = text
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

/// Messages that people meet often, said better.
fn known(text: &str) -> Option<String> {
    ungrouped(text)
        .or_else(|| no_function(text))
        .or_else(|| no_signature(text))
        .or_else(|| uncomputable(text))
        .or_else(|| unreadable(text))
        .or_else(|| ambiguous(text))
        .or_else(|| memory(text))
        .or_else(|| {
            FIXED
                .iter()
                .find_map(|(start, said)| text.starts_with(start).then(|| (*said).to_owned()))
        })
}

/// Messages by their beginning.
const FIXED: [(&str, &str); 3] = [
    (
        "Too many columns!",
        "a subquery may give only one column here",
    ),
    (
        "Aggregate function calls cannot be nested",
        "an aggregate cannot be inside another: use a subquery",
    ),
    (
        "Aggregate functions are not allowed in the WHERE clause",
        "aggregates cannot be in WHERE: use HAVING",
    ),
];

/// A column beside an aggregate.
fn ungrouped(text: &str) -> Option<String> {
    let column = between(text, "column \"", "\" must appear in the GROUP BY clause")?;
    let column = path_of(column);
    Some(format!(
        "{column} must be in GROUP BY, or inside an aggregate such as max({column})"
    ))
}

/// Functions of other engines, and what is written here instead.
const INSTEAD: [(&str, &str); 4] = [
    (
        "json_extract_scalar",
        "write the path: requestParameters.engine",
    ),
    ("json_extract", "write the path: requestParameters.tags"),
    (
        "get_json_object",
        "write the path: requestParameters.engine",
    ),
    ("json_value", "write the path: requestParameters.engine"),
];

/// `Invalid function 'foo'.\nDid you mean 'cot'?`, with the nearest there is however far it is.
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

/// `No function matches the given name and argument types 'sum(Utf8)'. You might need to add
/// explicit type casts.\n\tCandidate functions:\n\tsum(Decimal)`
fn no_signature(text: &str) -> Option<String> {
    let call = between(text, "name and argument types '", "'. You might")?;
    if call.starts_with("map_extract(") {
        return Some(
            "element_at takes a map, and not JSON; write the path: requestParameters.engine"
                .to_owned(),
        );
    }
    let (_, others) = text.split_once("Candidate functions:")?;
    let mut others: Vec<String> = others
        .lines()
        .map(|line| sql_types(line.trim()).to_lowercase())
        .filter(|line| !line.is_empty() && !line.contains("userdefined"))
        .filter(|line| !line.contains("any)") && !line.contains("coercion"))
        .collect();
    others.dedup();
    let message = format!("there is no {}", sql_types(call));
    Some(match others.len() {
        1..=6 => format!("{message}, only {}", others.join(", ")),
        _ => format!("{message}; CAST(... AS ...) makes other types"),
    })
}

/// Operators between types that do not go together.
fn uncomputable(text: &str) -> Option<String> {
    if let Some(rest) =
        text.strip_prefix("Cannot infer common argument type for comparison operation ")
    {
        return Some(format!("cannot compare {}", sql_types(rest)));
    }
    let operation = between(
        text,
        "Cannot coerce arithmetic expression ",
        " to valid types",
    )?;
    let operation = sql_types(operation);
    let advice = match operation.starts_with("timestamp") {
        true => "; a span of time is written INTERVAL '1 day'",
        false => "",
    };
    Some(format!("cannot compute {operation}{advice}"))
}

/// Texts that are not of the type that they are read as.
fn unreadable(text: &str) -> Option<String> {
    if let Some(value) = between(text, "Error parsing timestamp from '", "': ") {
        return Some(format!(
            "'{value}' is no time; one is written '2026-01-31' or '2026-01-31 13:00:00'"
        ));
    }
    if let Some(value) = between(text, "Invalid input syntax for type interval: \"", "\"") {
        return Some(format!(
            "'{value}' is no span of time; one is written INTERVAL '1 day'"
        ));
    }
    let (value, kind) = text
        .strip_prefix("Cannot cast string '")?
        .strip_suffix(" type")?
        .rsplit_once("' to value of ")?;
    Some(format!(
        "'{value}' is no {}; TRY_CAST gives NULL for such values",
        sql_types(kind)
    ))
}

fn ambiguous(text: &str) -> Option<String> {
    let column = text.strip_prefix("Ambiguous reference to unqualified field ")?;
    let column = path_of(column.trim_matches('"'));
    Some(format!(
        "{column} is in more than one of these tables: write the table's name or alias before it"
    ))
}

fn memory(text: &str) -> Option<String> {
    text.starts_with("Resources exhausted").then(|| {
        "the memory for sorting, joining and grouping is used up: give more with --memory, or ask \
         for fewer columns or rows"
            .to_owned()
    })
}

/// `events.eventname` as people write it: `eventName`.
fn path_of(column: &str) -> &str {
    let name = column.rsplit('.').next().unwrap_or(column);
    match catalog().index_of(name) {
        Some(index) => &catalog().columns()[index].path,
        None => column,
    }
}

/// The types in a message as SQL calls them.
fn sql_types(text: &str) -> String {
    const TYPES: [(&str, &str); 14] = [
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
    TYPES.iter().fold(text.to_owned(), |text, (arrow, sql)| {
        text.replace(arrow, sql)
    })
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    Some(rest.split_once(after)?.0)
}

/// In lower case, without a full stop, and of a length that can be read.
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
    if let Some((cut, _)) = plain.char_indices().nth(LONGEST) {
        plain.truncate(cut);
        plain.push('…');
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(text: &str) -> String {
        short(&DataFusionError::Plan(text.to_owned()))
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
            "there is no sum(varchar), only sum(decimal), sum(bigint)"
        );
        assert_eq!(
            planned("Arrow error: Divide by zero error."),
            "divide by zero error"
        );
        assert_eq!(planned("UNION queries differ"), "UNION queries differ");
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
    }
}
