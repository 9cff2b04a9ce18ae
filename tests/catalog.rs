//! `catalog`: other engines run the DDL that it prints, and Glue takes the table. DuckDB, Spark and moto are
//! installed once, into virtual environments in the cache folder.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::moto_server::Moto;
use crate::moto_server::python::environment;

fn command(arguments: &[&str], folder: &Path) -> Command {
    let mut ours = Command::new(env!("CARGO_BIN_EXE_auroratrail"));
    ours.args(arguments).current_dir(folder);
    ours
}

/// Returns the standard output of a command that succeeds.
fn run(arguments: &[&str], folder: &Path) -> String {
    let output = command(arguments, folder).output().unwrap();
    String::from_utf8(succeeded(output).stdout).unwrap()
}

fn succeeded(output: Output) -> Output {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    output
}

/// Makes a lake in a new folder, at `lake`.
fn lake(source: &str, folders: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    let arguments = [
        "ingest",
        source,
        "--keep",
        "all",
        "--partition-by",
        folders,
        "--to",
        "lake",
    ];
    run(&arguments, folder.path());
    folder
}

/// Returns the counts of a lake: events, its last day, event IDs.
fn expected(folder: &Path) -> Value {
    let sql =
        "SELECT count(*) AS n, max(eventTime) AS last, count(DISTINCT eventID) AS ids FROM events";
    let row = run(&["query", "--format", "ndjson", sql, "lake"], folder);
    let row: Value = serde_json::from_str(&row).unwrap();
    json!([row["n"], row["last"].as_str().unwrap()[..10], row["ids"]])
}

/// Runs printed DDL in another engine; returns what it finds.
fn found(venv: &Path, what: &str, ddl: &str, folder: &Path) -> Value {
    let file = folder.join(format!("{what}.sql"));
    std::fs::write(&file, ddl).unwrap();
    let mut python = Command::new(venv.join("bin/python"));
    python.args(["-c", include_str!("catalog_readers.py"), what]);
    python.arg(&file).arg(folder.join("records.ndjson"));
    let output = succeeded(python.current_dir(folder).output().unwrap());
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn duckdb_counts_each_event_once_in_the_delta_table() {
    let folder = lake("sample:?events=2000", "region,dt");
    let folder = folder.path();
    let ddl = run(&["catalog", "lake", "--for", "duckdb"], folder);
    let counts = expected(folder);
    let before = found(&duckdb(), "duckdb", &ddl, folder);
    assert_eq!(before["events"], counts);
    assert_eq!(before["events_parquet"], counts);
    assert_eq!(before["events_types"]["dt"], "DATE");
    assert_eq!(before["events_parquet_types"]["dt"], "DATE");
    assert_eq!(before["events_parquet_types"]["region"], "VARCHAR");
    // A file that is in the folder and not in the log, as a replaced one is.
    let file = data_file(&folder.join("lake"));
    std::fs::copy(&file, file.with_file_name("part-replaced.zstd.parquet")).unwrap();
    let after = found(&duckdb(), "duckdb", &ddl, folder);
    assert_eq!(after["events"], counts);
    assert!(after["events_parquet"][0].as_u64() > counts[0].as_u64());
    assert!(ddl.contains("TWICE"), "{ddl}");
}

fn data_file(folder: &Path) -> PathBuf {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|it| it.unwrap().path()).collect();
    paths.sort();
    let is_level = |it: &&PathBuf| it.file_name().unwrap().to_str().unwrap().contains('=');
    match paths.iter().find(is_level) {
        Some(level) => data_file(level),
        None => paths[0].clone(),
    }
}

#[test]
fn the_view_has_the_values_of_awss_table() {
    let folder = lake("sample:?events=2000", "dt");
    let folder = folder.path();
    let records = run(
        &[
            "query",
            "--format",
            "tsv",
            "SELECT count(*) FROM events",
            "lake",
        ],
        folder,
    );
    let count: u64 = records.lines().nth(1).unwrap().parse().unwrap();
    let records = run(
        &[
            "query",
            "--format",
            "ndjson",
            "SELECT record FROM events",
            "lake",
        ],
        folder,
    );
    let record = |line: &str| {
        let row: Value = serde_json::from_str(line).unwrap();
        match &row["record"] {
            Value::String(text) => text.clone() + "\n",
            record => format!("{record}\n"),
        }
    };
    let records: String = records.lines().map(record).collect();
    std::fs::write(folder.join("records.ndjson"), records).unwrap();
    let arguments = [
        "catalog",
        "lake",
        "--for",
        "athena",
        "--view",
        "--only",
        "delta",
        "--location",
        "s3://bucket/lake",
    ];
    let athena = run(&arguments, folder);
    let (_, view) = athena.split_once("CREATE OR REPLACE VIEW").unwrap();
    let table = "\"auroratrail\".\"events\"";
    assert!(view.contains(table), "{view}");
    let view = view.replace("\"auroratrail\".\"cloudtrail_logs\"", "cloudtrail_logs");
    let duckdb_ddl = run(
        &["catalog", "lake", "--for", "duckdb", "--only", "delta"],
        folder,
    );
    let ddl = format!(
        "{duckdb_ddl}CREATE OR REPLACE VIEW{}",
        view.replace(table, "events")
    );
    let found = found(&duckdb(), "view", &ddl, folder);
    assert_eq!(found["faults"], json!([]));
    assert_eq!(found["rows"], count);
    assert!(found["asked"].as_u64() > Some(0), "{found}");
}

#[test]
fn spark_runs_the_hive_ddl_of_spark_and_of_athena() {
    if Command::new("java").arg("-version").output().is_err() {
        eprintln!("left out: Spark needs Java 17, and there is no `java` here");
        return;
    }
    let folder = lake("sample:?events=1000", "region,dt");
    let folder = folder.path();
    let ddl = run(
        &["catalog", "lake", "--for", "spark", "--only", "parquet"],
        folder,
    );
    let seen = found(&spark(), "spark", &ddl, folder);
    assert_eq!(seen["events_parquet"], expected(folder));
    assert_eq!(seen["types"]["dt"], "date");
    let first = run(
        &[
            "query",
            "--format",
            "tsv",
            "SELECT min(eventTime) FROM events",
            "lake",
        ],
        folder,
    );
    assert_eq!(seen["first"].as_str(), first.lines().nth(1));
    for (name, kind) in [
        ("eventtime", "timestamp"),
        ("readonly", "boolean"),
        ("delivery_lag", "bigint"),
        ("nullfields", "array<string>"),
        (
            "resources",
            "array<struct<arn:string,accountid:string,type:string>>",
        ),
    ] {
        assert_eq!(seen["types"][name], kind, "{name}");
    }
    for name in ["resources", "eventtime", "readonly", "actor"] {
        assert!(seen["counts"][name].as_u64() > Some(0), "{name}: {seen}");
    }
    let arguments = [
        "catalog",
        "lake",
        "--for",
        "athena",
        "--only",
        "parquet",
        "--location",
        "s3://bucket/lake",
    ];
    let athena = run(&arguments, folder);
    let place = format!("file://{}", folder.join("lake").display());
    let athena = athena.replace("s3://bucket/lake", &place)
        + "MSCK REPAIR TABLE auroratrail.events_parquet;\n";
    let as_athena = found(&spark(), "spark", &athena, folder);
    assert_eq!(as_athena["counts"], seen["counts"]);
    assert_eq!(as_athena["types"]["dt"], "string");
}

/// Asks moto's Glue.
fn glue(moto: &Moto, action: &str, body: &Value) -> Value {
    let address = moto.endpoint.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    let body = body.to_string();
    write!(
        stream,
        "POST / HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\nX-Amz-Target: AWSGlue.{action}\r\n\
         Content-Type: application/x-amz-json-1.1\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential=AKIATEST/20250101/eu-west-1/glue/aws4_request\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{action}: {answer}");
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap_or_default()
}

/// Registers the lake; returns what is said.
fn apply(moto: &Moto, form: &str, folder: &Path) -> String {
    let arguments = [
        "catalog",
        "lake",
        "--for",
        "glue",
        "--apply",
        "--database",
        "audit",
        "--only",
        form,
        "--location",
        "s3://bucket/lake",
    ];
    let mut ours = command(&arguments, folder);
    ours.env("AWS_ENDPOINT_URL", &moto.endpoint)
        .env("AWS_REGION", "eu-west-1")
        .env("AWS_ACCESS_KEY_ID", "AKIATEST")
        .env("AWS_SECRET_ACCESS_KEY", "verysecret");
    String::from_utf8(succeeded(ours.output().unwrap()).stderr).unwrap()
}

fn columns(table: &Value) -> BTreeSet<String> {
    let columns = table["StorageDescriptor"]["Columns"].as_array().unwrap();
    columns
        .iter()
        .map(|it| it["Name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn glue_keeps_what_others_added_and_gets_what_is_new() {
    let moto = Moto::start();
    let folder = lake("sample:?events=30", "region,dt");
    let folder = folder.path();
    let said = apply(&moto, "parquet", folder);
    assert!(said.contains("made the database audit"), "{said}");
    assert!(
        said.contains("made the table audit.events_parquet"),
        "{said}"
    );
    assert!(apply(&moto, "parquet", folder).contains("nothing was changed"));
    assert!(apply(&moto, "delta", folder).contains("made the table audit.events with"));
    assert!(apply(&moto, "delta", folder).contains("nothing was changed"));

    let name = json!({"DatabaseName": "audit", "Name": "events_parquet"});
    let table = || glue(&moto, "GetTable", &name)["Table"].clone();
    let first = table();
    let mut theirs = json!({});
    for key in [
        "Name",
        "TableType",
        "Parameters",
        "PartitionKeys",
        "StorageDescriptor",
    ] {
        theirs[key] = first[key].clone();
    }
    let added = theirs["StorageDescriptor"]["Columns"]
        .as_array_mut()
        .unwrap();
    added.push(json!({"Name": "theirs", "Type": "string", "Comment": "kept"}));
    theirs["Parameters"]["team"] = "security".into();
    theirs["Parameters"]["projection.region.values"] = "ap-south-1".into();
    glue(
        &moto,
        "UpdateTable",
        &json!({"DatabaseName": "audit", "TableInput": theirs}),
    );

    run(
        &[
            "ingest",
            "sample:?events=3000&seed=2",
            "--keep",
            "all",
            "--to",
            "lake",
        ],
        folder,
    );
    let said = apply(&moto, "parquet", folder);
    assert!(
        said.contains("added to the table audit.events_parquet: columns "),
        "{said}"
    );
    let second = table();
    let (before, after) = (columns(&first), columns(&second));
    assert!(
        after.is_superset(&before) && after.len() > before.len() + 1,
        "{after:?}"
    );
    assert!(after.contains("theirs"));
    assert_eq!(second["Parameters"]["team"], "security");
    let regions = second["Parameters"]["projection.region.values"]
        .as_str()
        .unwrap();
    assert!(
        regions.starts_with("ap-south-1,") && regions.contains("eu-west-1"),
        "{regions}"
    );
    assert!(apply(&moto, "parquet", folder).contains("nothing was changed"));
    assert_eq!(table()["StorageDescriptor"], second["StorageDescriptor"]);
}

#[test]
fn what_cannot_be_described_is_told() {
    let folder = lake("sample:?events=30", "dt");
    for (arguments, expected) in [
        (
            &["lake", "--for", "athena"][..],
            "--location s3://bucket/prefix",
        ),
        (&["lake", "--for", "glue"], "--location s3://bucket/prefix"),
        (
            &["lake", "--for", "spark", "--apply"],
            "expected --for glue",
        ),
        (
            &["lake", "--for", "spark", "--view"],
            "expected --for athena",
        ),
        (
            &["lake", "--for", "spark", "--table", "a`b"],
            "cannot name a table",
        ),
        (&[".", "--for", "spark"], "is no lake"),
    ] {
        let arguments = [&["catalog"], arguments].concat();
        let output = command(&arguments, folder.path()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
}

/// DuckDB with its Delta extension.
fn duckdb() -> PathBuf {
    environment(
        "catalog-venv",
        &["duckdb==1.4.4", "duckdb-ext-delta==1.4.4.20260205"],
    )
}

/// Spark, which brings Hive's DDL and a metastore.
fn spark() -> PathBuf {
    environment("spark-venv", &["pyspark==4.3.0"])
}
