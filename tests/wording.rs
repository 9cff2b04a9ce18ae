//! No message has words of the engine.

use tokio::runtime::Runtime;

use crate::sql::{rows, session};

/// Statements of other engines, and mistakes.
#[rustfmt::skip]
const STATEMENTS: &[&str] = &[
    "SELECT eventName FROM events WHERE eventName RLIKE 'Delete.*'",
    "SELECT eventName FROM events WHERE eventName REGEXP 'Delete.*'",
    "SELECT eventName COLLATE nocase FROM events",
    "SELECT * FROM events PIVOT (count(*) FOR awsRegion IN ('a', 'b'))",
    "SELECT * FROM events ASOF JOIN events e MATCH_CONDITION (events.eventTime >= e.eventTime)",
    "SELECT TOP 3 eventName FROM events",
    "SELECT 1 FROM events WHERE eventName LIKE ANY ('a%', 'b%')",
    "SELECT r FROM events LATERAL VIEW explode(resources) t AS r",
    "SELECT requestParameters:engine FROM events",
    "SELECT requestParameters:tags[0].key FROM events",
    "SELECT requestParameters -> 'engine' FROM events",
    "SELECT requestParameters -> 'tags' -> 0 ->> 'key' FROM events",
    "SELECT requestParameters #>> '{tags,0,key}' FROM events",
    "SELECT record ->> eventName FROM events",
    "SELECT 1 FROM events WHERE requestParameters @> '{\"engine\": \"aurora\"}'",
    "SELECT 1 FROM events WHERE requestParameters <@ '{\"engine\": \"aurora\"}'",
    "SELECT 1 FROM events WHERE requestParameters ? 'engine'",
    "SELECT requestParameters.* FROM events",
    "SELECT nosuch.* FROM events",
    "SELECT * FROM events LIMIT 1 BY eventName",
    "SELECT 1 FROM events WHERE eventName IN (VALUES 'a', 'b')",
    "SELECT 1 FROM events WHERE eventName IN (VALUES ('a'), ('b'))",
    "SELECT 1 FROM events WHERE (eventName, awsRegion) IN (('a', 'b'))",
    "SELECT 1 FROM events WHERE (eventName, awsRegion) IN (SELECT eventName, awsRegion FROM events)",
    "SELECT 1 FROM events WHERE eventName = ANY ('a', 'b')",
    "SELECT 1 FROM events WHERE eventName = ALL (SELECT 'a')",
    "SELECT 1 FROM events WHERE eventTime LIKE '2026-07-14%'",
    "SELECT count(DISTINCT eventName, awsRegion) FROM events",
    "SELECT trim(eventName, 'a', 'b') FROM events",
    "SELECT json_value(record, '$.a') FROM events",
    "SELECT 1 FROM cloudtrail_logs",
    "SELECT eventName[1] FROM events",
    "SELECT events FROM events",
    "SELECT {d '2026-01-01'}",
    "SELECT {'a': 1}",
    "SELECT @x",
    "SELECT :x",
    "SELECT $1",
    "SELECT ?",
    "SELECT x'ff'",
    "SELECT N'x'",
    "SELECT eventTime + 1 FROM events",
    "SELECT eventTime - '1 day' FROM events",
    "SELECT -eventName FROM events",
    "SELECT eventName + 1 FROM events",
    "SELECT NOT eventName FROM events",
    "SELECT eventName AND readOnly FROM events",
    "SELECT sum(eventTime) FROM events",
    "SELECT avg(eventName) FROM events",
    "SELECT CAST(eventTime AS boolean) FROM events",
    "SELECT CAST(resources AS integer) FROM events",
    "SELECT CAST(eventTime AS json) FROM events",
    "SELECT CAST(eventTime AS nosuch) FROM events",
    "SELECT EXTRACT(century FROM eventTime) FROM events",
    "SELECT date_part('x', eventTime) FROM events",
    "SELECT date_trunc(eventTime, 'day') FROM events",
    "SELECT eventTime::time(3) FROM events",
    "SELECT substring(eventTime, 1, 3) FROM events",
    "SELECT CASE eventName WHEN 1 THEN readOnly ELSE eventTime END FROM events",
    "SELECT coalesce(eventTime, readOnly) FROM events",
    "SELECT array_has(eventName, 1) FROM events",
    "SELECT unnest(eventName) FROM events",
    "SELECT * FROM unnest(eventName)",
    "SELECT row_number() FROM events",
    "SELECT lag(eventName) FROM events",
    "SELECT eventName FROM events GROUP BY eventName HAVING x",
    "SELECT eventName, count(*) FROM events",
    "SELECT * FROM events WHERE row_number() OVER () = 1",
    "SELECT * FROM events ORDER BY 99",
    "SELECT * FROM events LIMIT 'x'",
    "SELECT * FROM events LIMIT -1",
    "SELECT eventName FROM events UNION SELECT eventName, awsRegion FROM events",
    "SELECT eventName FROM events UNION SELECT resources FROM events",
    "SELECT (SELECT eventName, awsRegion FROM events)",
    "SELECT * FROM events e, events e",
    "SELECT regexp_replace(eventName) FROM events",
    "SELECT x -> x + 1",
    "SELECT array_transform(make_array(1), x -> x + 1)",
    "SELECT GROUPING(eventName) FROM events",
    "SELECT 1 FROM events WHERE eventTime BETWEEN 1 AND 'x'",
    "SELECT 1 FROM events WHERE readOnly > 'x'",
    "SELECT 1 FROM events WHERE resources = 'x'",
    "SELECT 1 FROM events WHERE eventName ~ '('",
    "SELECT 1 FROM events WHERE eventName ~ 1",
    "SELECT 1 FROM events WHERE eventName ~* resources",
    "SELECT INTERVAL 'x'",
    "SELECT INTERVAL 1 fortnight",
    "SELECT eventName || resources FROM events",
    "SELECT 1 / 0",
    "SELECT 99999999999999999999999999999999999999999999",
    "SELECT struct(1) = 1",
    "SELECT max(resources) FROM events",
    "SELECT year(readOnly), max_by(eventName) FROM events",
    "SELECT date_add('day', 'x', eventTime) FROM events",
    "SELECT t.x FROM (VALUES (1)) AS t (y)",
    "SELECT * FROM (VALUES (1), (2, 3))",
    "SELECT * FROM events TABLESAMPLE BERNOULLI (10)",
    "SELECT * FROM events MATCH_RECOGNIZE (PATTERN (a) DEFINE a AS true)",
    "SELECT * FROM generate_series(1)",
    "SELECT * FROM events JOIN events e ON events.eventID",
    "SELECT * FROM events JOIN events e",
    "SELECT ARRAY[1, 'x']",
    "SELECT MAP {'a': 1}",
    "SELECT eventName FROM events QUALIFY eventName = 'x'",
    "SELECT percentile_cont(0.5) FROM events",
    "SELECT eventName IS JSON FROM events",
    "SELECT eventName NOT IN UNNEST(resources) FROM events",
    "SELECT DISTINCT ON (eventName) * FROM events ORDER BY awsRegion",
    "SELECT to_char(eventTime, '%Q') FROM events",
    "SELECT at_timezone(eventTime, 'UTC') FROM events",
    "SELECT CEIL(eventTime TO DAY) FROM events",
    "SELECT OVERLAY(1 PLACING 2 FROM 3)",
    "SELECT POSITION(1 IN 2)",
    "SELECT resources[1].nosuch FROM events",
    "SELECT eventName.* FROM events",
    "SELECT eventName FROM events FOR UPDATE",
    "SELECT 1 FROM events WHERE EXISTS",
    "SELECT count(*) OVER (ORDER BY eventTime RANGE BETWEEN 1 PRECEDING AND CURRENT ROW) FROM events",
];

/// Words that only developers of the engine know.
const WORDS: &[&str] = &[
    "Ident",
    "ast node",
    "sqltorel",
    "Expr::",
    "Expr(",
    "physical expr",
    "LogicalPlan",
    "This feature is not implemented",
    "Arrow error",
    "type_coercion",
    "Utf8",
    "Int64",
    "Timestamp(",
    "List(",
    "Struct(",
    "Boolean",
    "Some(",
    "None",
    "Span",
    "coercion",
    "Internal error",
    "DataFusion",
    "user-defined",
    "LargeUtf8",
    "UserDefined",
    "Error during",
    "os error",
];

#[test]
fn no_message_has_words_of_the_engine() {
    let runtime = Runtime::new().unwrap();
    let session = session("tests/events", false);
    let mut wrong = Vec::new();
    for sql in STATEMENTS {
        let Err(error) = runtime.block_on(rows(&session, sql)) else {
            continue;
        };
        let message = error.to_string();
        // What was typed may come back.
        let has = |word: &&&str| message.contains(**word) && !sql.contains(**word);
        let has_brace = message.contains('{') && !sql.contains('{');
        let is_long = message.lines().count() > 2 || message.chars().count() > 300;
        if let Some(word) = WORDS.iter().find(has) {
            wrong.push(format!("{sql}\n    {word}: {message}"));
        } else if has_brace || is_long {
            wrong.push(format!("{sql}\n    {message}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
