//! Runs the files `slt/*.slt`, over the events in `events/`.
//!
//! A row of a result is one line, its cells separated by ` | `; NULL is `NULL`, an empty text
//! `(empty)`. The letters after `query` are the columns' types: T text, I integer, R real, B
//! boolean, P point in time, L list, S struct, N null, `?` anything else. `-- titles` above a
//! statement prints the column names instead of the rows.
//!
//! `AURORATRAIL_SLT=complete cargo test sql` writes the results into the files; review the
//! difference before committing.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use auroratrail::error::Error;
use auroratrail::query::table::Input;
use auroratrail::query::{Session, SessionOptions, translate_error};
use auroratrail::source::aws::AwsSettings;
use auroratrail::source::{Location, Sources};
use futures::StreamExt;
use sqllogictest::{ColumnType, DBOutput, Normalizer, Runner};
use tokio::runtime::Runtime;

/// Trims the end of a line, which editors change.
const AS_IT_IS: Normalizer = |line| line.trim_end().to_owned();

#[test]
fn every_statement_gives_what_the_files_say() {
    let complete = std::env::var_os("AURORATRAIL_SLT").is_some_and(|it| it == "complete");
    for path in files() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let dedup = name == "dedup.slt";
        let mut runner = Runner::new(move || async move { Database::open("tests/events", dedup) });
        runner.with_normalizer(AS_IT_IS);
        runner.with_validator(same_lines);
        runner.with_column_validator(sqllogictest::strict_column_validator);
        if complete {
            futures::executor::block_on(runner.update_test_file(
                &path,
                " | ",
                same_lines,
                AS_IT_IS,
                sqllogictest::strict_column_validator,
            ))
            .unwrap();
        } else if let Err(error) = runner.run_file(&path) {
            panic!("{}", error.display(false));
        }
    }
}

/// Conditions that are evaluated before a record is decoded, each with an equivalent that only the
/// engine evaluates.
#[rustfmt::skip]
const CONDITIONS: &[(&str, &str)] = &[
    ("eventName = 'CreateDBCluster'",                              "(eventName || '') = 'CreateDBCluster'"),
    ("'CreateDBCluster' = eventName",                              "(eventName || '') = 'CreateDBCluster'"),
    ("eventName IN ('CreateDBCluster', 'Decrypt', 'No')",          "(eventName || '') IN ('CreateDBCluster', 'Decrypt', 'No')"),
    ("eventName = 'Decrypt' OR eventName = 'GetObject'",           "(eventName || '') ~ '^(Decrypt|GetObject)$'"),
    ("eventSource = 'rds.amazonaws.com'",                          "(eventSource || '') = 'rds.amazonaws.com'"),
    ("eventSource LIKE 'rds.amazonaws.com'",                       "(eventSource || '') = 'rds.amazonaws.com'"),
    ("awsRegion = 'us-east-1'",                                    "(awsRegion || 'x') = 'us-east-1x'"),
    ("awsRegion IN ('us-east-1', 'eu-west-1')",                    "(awsRegion || 'x') IN ('us-east-1x', 'eu-west-1x')"),
    ("recipientAccountId = '111122223333'",                        "(recipientAccountId || 'x') = '111122223333x'"),
    ("recipientAccountId = 12345",                                 "(recipientAccountId || 'x') = '12345x'"),
    ("readOnly",                                                   "(CAST(readOnly AS varchar) || '') = 'true'"),
    ("NOT readOnly",                                               "(CAST(readOnly AS varchar) || '') = 'false'"),
    ("readOnly = false",                                           "(CAST(readOnly AS varchar) || '') = 'false'"),
    ("readOnly IS TRUE",                                           "(CAST(readOnly AS varchar) || '') = 'true'"),
    ("readOnly IS FALSE",                                          "(CAST(readOnly AS varchar) || '') = 'false'"),
    ("readOnly IS NOT TRUE",                                       "coalesce((CAST(readOnly AS varchar) || ''), '') <> 'true'"),
    ("readOnly <> true",                                           "(CAST(readOnly AS varchar) || '') = 'false'"),
    ("eventTime > '2026-05-03 10:00:00'",                          "to_unixtime(eventTime) > 1777802400"),
    ("eventTime >= '2026-05-03T10:00:00Z'",                        "to_unixtime(eventTime) >= 1777802400"),
    ("eventTime < '2026-05-03 10:00:00'",                          "to_unixtime(eventTime) < 1777802400"),
    ("eventTime <= '2026-05-03 10:00:00'",                         "to_unixtime(eventTime) <= 1777802400"),
    ("eventTime = '2026-05-03 10:00:00'",                          "to_unixtime(eventTime) = 1777802400"),
    ("eventTime = '2026-06-01 00:00:01.25'",                       "to_unixtime(eventTime) = 1780272001 AND eventTime <> date_trunc('second', eventTime)"),
    ("eventTime BETWEEN '2026-05-03' AND '2026-05-04'",            "to_unixtime(eventTime) BETWEEN 1777766400 AND 1777852800"),
    ("timestamp '2026-05-03 10:00:00' < eventTime",                "to_unixtime(eventTime) > 1777802400"),
    ("eventTime >= date '2026-05-03' AND eventTime < date '2026-05-04'", "date_trunc('day', eventTime) = '2026-05-03'"),
    ("eventTime > '2026-05-03' AND readOnly AND eventName = 'Decrypt' AND awsRegion = 'us-east-1'",
                                                                   "to_unixtime(eventTime) > 1777766400 AND (CAST(readOnly AS varchar) || '') = 'true' AND (eventName || '') = 'Decrypt' AND (awsRegion || '') = 'us-east-1'"),
    ("eventName = 'Decrypt' AND eventName = 'GetObject'",          "(eventName || '') = 'none'"),
    ("NOT (eventName = 'CreateDBCluster')",                        "(eventName || '') <> 'CreateDBCluster'"),
    ("eventName = 'CreateDBCluster' OR readOnly",                  "(eventName || '') = 'CreateDBCluster' OR (CAST(readOnly AS varchar) || '') = 'true'"),
];

#[test]
fn a_filter_that_is_pushed_down_leaves_out_what_the_query_would_and_nothing_else() {
    let runtime = Runtime::new().unwrap();
    for sources in ["tests/events", "sample:?events=3000"] {
        let session = session(sources, false);
        for (pushed, plain) in CONDITIONS {
            let ids = |condition: &str| {
                let sql = format!(
                    "SELECT count(*), string_agg(eventID, ' ' ORDER BY eventID) FROM events WHERE {condition}"
                );
                runtime.block_on(rows(&session, &sql)).unwrap()
            };
            assert_eq!(ids(pushed), ids(plain), "{pushed} over {sources}");
            let plan = runtime
                .block_on(rows(
                    &session,
                    &format!("EXPLAIN SELECT * FROM events WHERE {plain}"),
                ))
                .unwrap();
            let plan = format!("{plan:?}");
            assert!(!plan.contains("while_decoding"), "{plain}: {plan}");
        }
    }
}

#[test]
fn a_question_about_no_table_reads_nothing() {
    let runtime = Runtime::new().unwrap();
    let session = session("tests/events", false);
    let plan = |sql: &str| runtime.block_on(session.plan(sql)).unwrap();
    for sql in [
        "SELECT 1",
        "DESCRIBE events",
        "SHOW TABLES",
        "EXPLAIN SELECT * FROM events",
        "SELECT table_name FROM information_schema.tables",
        "VALUES (1), (2)",
    ] {
        assert!(!plan(sql).reads_events(), "{sql}");
    }
    for sql in [
        "SELECT 1 FROM events",
        "SELECT (SELECT count(*) FROM aurora_events)",
        "SELECT 1 WHERE EXISTS (SELECT 1 FROM events)",
        "EXPLAIN ANALYZE SELECT * FROM events",
        "WITH e AS (SELECT * FROM events) SELECT count(*) FROM e JOIN e f USING (eventid)",
    ] {
        assert!(plan(sql).reads_events(), "{sql}");
    }
}

fn files() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir("tests/slt")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "slt"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

pub fn session(source: &str, dedup: bool) -> Session {
    let sources = Sources::new(AwsSettings::default());
    let input = Input {
        sources,
        locations: vec![Location::parse(source).unwrap()],
        lakes: Vec::new(),
        dedup,
    };
    let options = SessionOptions {
        threads: 2,
        memory_bytes: 256 << 20,
        cache_bytes: 0,
    };
    let session = Session::new(options).unwrap();
    session.add_events(input).unwrap();
    session
}

/// Returns the cells of the result, one vector per row.
pub async fn rows(session: &Session, sql: &str) -> Result<(Vec<Type>, Vec<Vec<String>>), Error> {
    let mut answer = session.query(sql).await?;
    let fields = answer.rows.schema().fields().clone();
    let types = fields.iter().map(|it| Type::of(it.data_type())).collect();
    if sql.trim_start().starts_with("-- titles") {
        return Ok((vec![Type('T'); fields.len()], vec![answer.column_names]));
    }
    let options = FormatOptions::new()
        .with_null("NULL")
        .with_timestamp_format(Some("%FT%T%.f"));
    let mut lines = Vec::new();
    while let Some(batch) = answer.rows.next().await {
        let batch = batch.map_err(translate_error)?;
        let columns: Vec<ArrayFormatter<'_>> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column, &options).unwrap())
            .collect();
        for row in 0..batch.num_rows() {
            let cells = columns.iter().map(|column| cell(column, row));
            lines.push(cells.collect());
        }
    }
    Ok((types, lines))
}

fn cell(column: &ArrayFormatter<'_>, row: usize) -> String {
    let text = column.value(row).to_string();
    if text.is_empty() {
        return "(empty)".to_owned();
    }
    let mut line = String::new();
    for c in text.chars() {
        match c.is_control() {
            true => write!(line, "{}", c.escape_default()).unwrap(),
            false => line.push(c),
        }
    }
    line
}

fn same_lines(normalize: Normalizer, actual: &[Vec<String>], expected: &[String]) -> bool {
    let lines = actual.iter().map(|cells| normalize(&cells.join(" | ")));
    lines.eq(expected.iter().map(normalize))
}

/// A session behind the runner's interface.
struct Database {
    session: Session,
    runtime: Runtime,
}

impl Database {
    #[expect(clippy::unnecessary_wraps, reason = "what the runner takes")]
    fn open(source: &str, dedup: bool) -> Result<Self, Error> {
        assert!(Path::new(source).exists());
        Ok(Self {
            session: session(source, dedup),
            runtime: Runtime::new().unwrap(),
        })
    }
}

impl sqllogictest::DB for Database {
    type Error = Error;
    type ColumnType = Type;

    fn run(&mut self, sql: &str) -> Result<DBOutput<Type>, Error> {
        let (types, rows) = self.runtime.block_on(rows(&self.session, sql))?;
        Ok(DBOutput::Rows { types, rows })
    }
}

/// A column's type, as a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Type(char);

impl Type {
    fn of(data_type: &DataType) -> Self {
        Self(match data_type {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => 'T',
            DataType::Boolean => 'B',
            DataType::Timestamp(_, _) => 'P',
            DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(_, _) => 'L',
            DataType::Struct(_) => 'S',
            DataType::Null => 'N',
            number if number.is_integer() => 'I',
            number if number.is_floating() => 'R',
            _ => '?',
        })
    }
}

impl ColumnType for Type {
    fn from_char(letter: char) -> Option<Self> {
        Some(Self(letter))
    }

    fn to_char(&self) -> char {
        self.0
    }
}
