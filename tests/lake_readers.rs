//! A lake in the eyes of other tools: DuckDB and pyarrow over its Parquet files, delta-rs over its log.
//! They are installed once, into a virtual environment in the cache folder. Spark, where there is Java, over the
//! table that the printed DDL makes.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use auroratrail::events::columns::{ColumnType, catalog};
use auroratrail::lake::stored_columns;
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::moto_server::python::environment;

/// Queries that mean the same in every tool, over the physical names.
const QUESTIONS: &[&str] = &[
    "SELECT count(*) AS n FROM events",
    "SELECT count(DISTINCT eventid) AS n FROM events",
    "SELECT min(eventtime) AS a, max(eventtime) AS b FROM events",
    "SELECT eventsource, count(*) AS n FROM events GROUP BY eventsource",
    "SELECT useridentity_username, count(*) AS n FROM events GROUP BY useridentity_username",
    "SELECT awsregion, recipientaccountid, count(*) AS n FROM events GROUP BY awsregion, recipientaccountid",
    "SELECT eventname, count(*) AS n FROM events WHERE errorcode IS NOT NULL GROUP BY eventname",
    "SELECT errorcode, min(errormessage) AS m FROM events GROUP BY errorcode",
    "SELECT readonly, managementevent, count(*) AS n FROM events GROUP BY readonly, managementevent",
    "SELECT actor, count(*) AS n FROM events GROUP BY actor HAVING count(*) > 20",
    "SELECT eventtime, eventid, eventname, actor FROM events ORDER BY eventtime DESC, eventid LIMIT 20",
    "SELECT eventid, resources FROM events WHERE resources IS NOT NULL ORDER BY eventid LIMIT 20",
    "SELECT eventid, nullfields FROM events WHERE nullfields IS NOT NULL ORDER BY eventid LIMIT 20",
    "SELECT eventid, requestparameters, useridentity FROM events ORDER BY eventid LIMIT 50",
    "SELECT eventid, responseelements FROM events WHERE responseelements IS NOT NULL ORDER BY eventid LIMIT 20",
    "SELECT useridentity_sessioncontext_attributes_creationdate AS t, count(*) AS n FROM events \
     GROUP BY useridentity_sessioncontext_attributes_creationdate ORDER BY n DESC, t LIMIT 10",
    "SELECT db_identifier, is_denied, count(*) AS n FROM events GROUP BY db_identifier, is_denied",
    "SELECT count(*) AS n FROM events \
     WHERE eventtime >= TIMESTAMP '2026-10-15 00:00:00' AND eventtime < TIMESTAMP '2026-10-25 00:00:00'",
    "SELECT count(*) AS n, count(useragent) AS u, count(requestid) AS r, count(unmapped) AS x FROM events",
    "SELECT requestparameters_dbclusteridentifier AS c, count(*) AS n FROM events \
     WHERE eventsource = 'rds.amazonaws.com' GROUP BY requestparameters_dbclusteridentifier",
    "SELECT eventname, count(*) AS n FROM events WHERE sourceipaddress LIKE '%.amazonaws.com' GROUP BY eventname",
    "SELECT CAST(sum(requestparameters_allocatedstorage) AS BIGINT) AS s, \
     max(requestparameters_backupretentionperiod) AS b FROM events",
];

/// The findings of another tool.
#[derive(Deserialize)]
struct Findings {
    reader: String,
    /// By name, the types of the columns.
    types: BTreeMap<String, Value>,
    /// By question, the rows.
    answers: Vec<Vec<Value>>,
}

#[test]
fn duckdb_pyarrow_and_delta_rs_read_what_we_read() {
    let folder = TempDir::new().unwrap();
    let lake = folder.path().join("lake");
    let mut ingest = ours("ingest");
    ingest
        .args(["sample:?events=3000", "--keep", "all", "--to"])
        .arg(&lake);
    output(&mut ingest);
    all_read(&lake);
}

#[test]
fn they_read_a_lake_of_several_ingests_that_was_compacted_expired_and_vacuumed() {
    let folder = TempDir::new().unwrap();
    let lake = folder.path().join("lake");
    for seed in 1..=3 {
        let source = format!("sample:?events=3000&seed={seed}");
        let mut ingest = ours("ingest");
        ingest.args([&source, "--keep", "all", "--to"]).arg(&lake);
        output(&mut ingest);
    }
    let before = answer(&lake, QUESTIONS[0]);
    output(ours("compact").arg(&lake));
    assert_eq!(answer(&lake, QUESTIONS[0]), before);
    let first = "SELECT min(eventtime)::date AS d FROM events";
    let first = answer(&lake, first)[0][0].as_str().unwrap().to_owned();
    let day = chrono::NaiveDate::parse_from_str(&first, "%Y-%m-%d").unwrap();
    let kept = (day + chrono::Days::new(3)).to_string();
    output(ours("expire").arg(&lake).args(["--older-than", &kept]));
    output(ours("vacuum").arg(&lake).args(["--retain", "0h"]));
    assert_ne!(answer(&lake, QUESTIONS[0]), before);
    output(ours("lake").arg("verify").arg(&lake));
    all_read(&lake);
    spark_reads(folder.path(), &lake);
}

/// Has Spark answer the questions by the DDL that is printed for it, on Hive's metastore.
fn spark_reads(folder: &Path, lake: &Path) {
    if Command::new("java").arg("-version").output().is_err() {
        eprintln!("left out: Spark needs Java 17, and there is no `java` here");
        return;
    }
    let mut catalog = ours("catalog");
    catalog
        .arg(lake)
        .args(["--for", "spark", "--only", "parquet"]);
    let ddl = folder.join("spark.sql");
    std::fs::write(&ddl, output(&mut catalog)).unwrap();
    let venv = environment("spark-venv", &["pyspark==4.3.0"]);
    let mut python = Command::new(venv.join("bin/python"));
    python.args(["-c", include_str!("catalog_readers.py"), "answers"]);
    python.arg(&ddl).arg(json!(QUESTIONS).to_string());
    let found: Findings = serde_json::from_str(&output(&mut python)).unwrap();
    let expected: Vec<Vec<Value>> = QUESTIONS.iter().map(|sql| answer(lake, sql)).collect();
    found.check(&expected);
}

/// Has every reader answer the questions, and compares their answers with ours.
fn all_read(lake: &Path) {
    let expected: Vec<Vec<Value>> = QUESTIONS.iter().map(|sql| answer(lake, sql)).collect();
    assert!(expected.iter().all(|rows| !rows.is_empty()), "{expected:?}");

    let mut python = Command::new(environment("readers-venv", &PACKAGES).join("bin/python"));
    python.args(["-c", include_str!("lake_readers.py")]);
    python.arg(lake).arg(json!(QUESTIONS).to_string());
    let found = output(&mut python);
    let found = found
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let found: Vec<Findings> = found.collect();
    let readers: Vec<&str> = found.iter().map(|findings| &*findings.reader).collect();
    assert_eq!(readers, ["DuckDB", "pyarrow", "delta-rs"]);
    for findings in found {
        findings.check(&expected);
    }
}

impl Findings {
    fn check(self, expected: &[Vec<Value>]) {
        let reader = self.reader;
        let known: BTreeMap<&str, ColumnType> = stored_columns()
            .iter()
            .map(|&index| &catalog().columns()[index])
            .map(|column| (&*column.name, column.column_type))
            .collect();
        for (name, found) in self.types.iter().filter(|(name, _)| *name != "dt") {
            assert_eq!(*found, kind(known[&**name]), "{reader}: {name}");
        }
        assert_eq!(self.answers.len(), expected.len(), "{reader}");
        for ((sql, rows), expected) in QUESTIONS.iter().zip(self.answers).zip(expected) {
            assert_eq!(sorted(rows), *expected, "{reader}: {sql}");
        }
    }
}

/// Returns the type of a column as the readers name it.
fn kind(column_type: ColumnType) -> Value {
    match column_type {
        ColumnType::Text | ColumnType::Json => json!("text"),
        ColumnType::Boolean => json!("bool"),
        ColumnType::Integer => json!("int64"),
        ColumnType::Double => json!("double"),
        ColumnType::Time => json!("timestamp[us, tz=UTC]"),
        ColumnType::Texts => json!(["text"]),
        ColumnType::Resources => json!([{"arn": "text", "accountid": "text", "type": "text"}]),
    }
}

/// Returns our rows, each as an array.
fn answer(lake: &Path, sql: &str) -> Vec<Value> {
    let mut query = ours("query");
    query.args(["--format", "ndjson", sql]).arg(lake);
    let rows = output(&mut query);
    let cells = |row: &str| {
        let row: serde_json::Map<String, Value> = serde_json::from_str(row).unwrap();
        // The names of the columns are in the order of the alphabet here, so they are looked up.
        names(sql)
            .iter()
            .map(|name| row[&**name].clone())
            .collect::<Value>()
    };
    sorted(rows.lines().map(cells).collect())
}

/// Returns the names that a question gives its columns, in order.
fn names(sql: &str) -> Vec<String> {
    let list = sql.strip_prefix("SELECT ").unwrap();
    let list = list.split(" FROM ").next().unwrap();
    let name = |item: &str| item.rsplit(' ').next().unwrap().to_owned();
    list.split(", ").map(name).collect()
}

fn sorted(mut rows: Vec<Value>) -> Vec<Value> {
    rows.sort_by_cached_key(Value::to_string);
    rows
}

fn ours(command: &str) -> Command {
    let mut ours = Command::new(env!("CARGO_BIN_EXE_auroratrail"));
    ours.arg(command);
    ours
}

/// Runs a command that succeeds, and returns its output.
fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

const PACKAGES: [&str; 3] = ["duckdb==2.0.0", "pyarrow==26.0.1", "deltalake==1.6.6"];
