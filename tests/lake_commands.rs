//! `ingest`, `lake show`, `lake verify` and queries over a lake, as their users type them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::{corpus, made};

fn command(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_auroratrail"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

/// Runs a command that succeeds; returns what it prints and what it says.
fn run(arguments: &[&str], folder: &Path) -> (String, String) {
    let output = command(arguments, folder);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{arguments:?}\n{said}");
    (String::from_utf8(output.stdout).unwrap(), said)
}

/// Runs a command that fails; returns what it says.
fn fault(arguments: &[&str], folder: &Path) -> String {
    let output = command(arguments, folder);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// Returns the rows of a query, each as its cells' text.
fn rows(sql: &str, sources: &[&str], folder: &Path) -> Vec<String> {
    let mut arguments = vec!["query", "--format", "tsv", sql];
    arguments.extend(sources);
    let (rows, _) = run(&arguments, folder);
    rows.lines().skip(1).map(str::to_owned).collect()
}

/// Returns the records that a query gives, each with its number; equal as JSON is equal here.
fn records(sources: &[&str], folder: &Path) -> BTreeMap<String, usize> {
    let mut arguments = vec![
        "query",
        "--dedup",
        "--format",
        "ndjson",
        "SELECT record FROM events",
    ];
    arguments.extend(sources);
    let output = command(&arguments, folder);
    let mut records = BTreeMap::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let record = match &row["record"] {
            Value::String(text) => serde_json::from_str(text).unwrap(),
            record => record.clone(),
        };
        *records.entry(sorted(&record)).or_default() += 1;
    }
    records
}

/// Returns JSON with its members in the order of their names.
fn sorted(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let members: BTreeMap<&String, String> = members
                .iter()
                .map(|(name, value)| (name, sorted(value)))
                .collect();
            format!("{members:?}")
        }
        Value::Array(elements) => {
            let elements: Vec<String> = elements.iter().map(sorted).collect();
            format!("{elements:?}")
        }
        value => value.to_string(),
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// Writes events in CloudTrail's form.
fn write(path: &Path, events: &[String]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, format!("{{\"Records\":[{}]}}", events.join(","))).unwrap();
}

#[test]
fn every_event_of_the_corpus_comes_back_equal() {
    let Some(corpus) = corpus::folder() else {
        return;
    };
    let folder = folder();
    let corpus = corpus.to_str().unwrap();
    let ingested = command(
        &["ingest", corpus, "--to", "lake", "--keep", "all"],
        folder.path(),
    );
    let said = String::from_utf8(ingested.stderr).unwrap();
    assert!(said.contains("events added"), "{said}");
    run(&["lake", "verify", "lake"], folder.path());
    let (original, kept) = (
        records(&[corpus], folder.path()),
        records(&["lake"], folder.path()),
    );
    assert!(original.len() > 1000, "{}", original.len());
    for (record, number) in &original {
        assert_eq!(kept.get(record), Some(number), "{record}");
    }
    assert_eq!(original.len(), kept.len());
}

#[test]
fn made_events_come_back_equal() {
    let folder = folder();
    let events: Vec<String> = (0..3000).map(made::record).collect();
    let odd = [
        made::insight(1),
        made::aggregated(2),
        r#"{"eventVersion":"1.08","eventSource":"rds.amazonaws.com","eventName":"X","eventTime":"never","eventID":"odd-1","readOnly":"perhaps","new":{"a":[1.50,null]},"userIdentity":null}"#.to_owned(),
        r#"{"eventVersion":"1.08","eventSource":"rds.amazonaws.com","eventName":"X","eventTime":"2011-01-01T00:00:00.123456Z","eventID":"odd-2"}"#.to_owned(),
        r#"{"eventVersion":"1.08","eventSource":"rds.amazonaws.com","eventName":"no ID","eventTime":"2030-01-01T00:00:00Z"}"#.to_owned(),
    ];
    write(&folder.path().join("logs/a.json"), &events);
    write(&folder.path().join("logs/b.json"), &odd);
    let (_, said) = run(
        &["ingest", "logs", "--to", "lake", "--keep", "all"],
        folder.path(),
    );
    assert!(said.contains("without a time"), "{said}");
    assert_eq!(
        records(&["lake"], folder.path()),
        records(&["logs"], folder.path())
    );
    run(&["lake", "verify", "lake"], folder.path());
    let range = "SELECT min(eventTime), max(eventTime), count(*) FROM events";
    assert_eq!(
        rows(range, &["lake"], folder.path()),
        rows(range, &["logs"], folder.path())
    );
}

#[test]
fn what_is_kept_is_a_choice() {
    let folder = folder();
    let sample = "sample:?events=3000&seed=5";
    let count = "SELECT count(*) FROM aurora_events";
    run(&["ingest", sample, "--to", "aurora"], folder.path());
    let counted = |source| rows("SELECT count(*) FROM events", &[source], folder.path());
    let arguments = ["query", "--dedup", "--format", "tsv", count, sample];
    let (family, _) = run(&arguments, folder.path());
    assert_eq!(counted("aurora"), [family.lines().nth(1).unwrap()]);
    let condition = "eventName = 'DeleteDBInstance' OR userIdentity.userName LIKE 'graf%'";
    run(
        &["ingest", sample, "--to", "some", "--where", condition],
        folder.path(),
    );
    let sql = format!("SELECT count(*) FROM events WHERE {condition}");
    let (some, _) = run(
        &["query", "--dedup", "--format", "tsv", &sql, sample],
        folder.path(),
    );
    assert_eq!(counted("some"), [some.lines().nth(1).unwrap()]);
    let said = fault(
        &["ingest", sample, "--to", "x", "--where", "eventNam = 'x'"],
        folder.path(),
    );
    assert!(said.contains("eventName"), "{said}");
    let said = fault(
        &["ingest", sample, "--to", "x", "--where", "count(*) > 1"],
        folder.path(),
    );
    assert!(
        !said.contains("Bug") && !folder.path().join("x").exists(),
        "{said}"
    );
}

#[test]
fn folders_are_by_account_and_region_if_asked() {
    let folder = folder();
    let by = ["--partition-by", "account,region,dt"];
    let ingest = [
        "ingest",
        "sample:?events=500&days=3",
        "--to",
        "lake",
        "--keep",
        "all",
    ];
    run(&[&ingest[..], &by].concat(), folder.path());
    let (shown, _) = run(&["lake", "show", "lake"], folder.path());
    assert!(
        shown.contains("account=") && shown.contains("/region="),
        "{shown}"
    );
    run(&["lake", "verify", "lake"], folder.path());
    let regions = "SELECT awsRegion, count(*) FROM events GROUP BY 1 ORDER BY 1";
    let (kept, all) = (
        rows(regions, &["lake"], folder.path()),
        run(
            &[
                "query",
                "--dedup",
                "--format",
                "tsv",
                regions,
                "sample:?events=500&days=3",
            ],
            folder.path(),
        ),
    );
    assert_eq!(kept, all.0.lines().skip(1).collect::<Vec<_>>());
    // The folders of a lake that is there need not be named again, and cannot be others.
    let (_, said) = run(&ingest, folder.path());
    assert!(said.contains("nothing new"), "{said}");
    let said = fault(
        &[&ingest[..], &["--partition-by", "dt"]].concat(),
        folder.path(),
    );
    assert!(
        said.contains("folders by account,region,dt, not by dt"),
        "{said}"
    );
}

#[test]
fn secrets_are_hidden_before_anything_is_stored() {
    let folder = folder();
    let event = r#"{"eventVersion":"1.08","eventSource":"rds.amazonaws.com","eventName":"CreateDBCluster","eventTime":"2026-01-01T00:00:00Z","eventID":"e-1","requestParameters":{"dBClusterIdentifier":"c","masterUserPassword":"hunter2"},"responseElements":{"presignedUrl":"https://x/?X-Amz-Signature=abcdef0123&X-Amz-Date=1"},"userAgent":"x"}"#;
    write(&folder.path().join("logs/a.json"), &[event.to_owned()]);
    let (_, said) = run(
        &["ingest", "logs", "--to", "lake", "--redact"],
        folder.path(),
    );
    assert!(said.contains("2 secrets hidden"), "{said}");
    for sql in [
        "SELECT * FROM events",
        "SELECT record, requestParameters.masterUserPassword, responseElements.presignedUrl FROM events",
    ] {
        let shown = rows(sql, &["lake"], folder.path()).join("\n");
        assert!(
            !shown.contains("hunter2") && !shown.contains("abcdef0123"),
            "{shown}"
        );
        assert!(shown.contains("***") || sql.contains("SELECT *"), "{shown}");
    }
    let id = "SELECT requestParameters.dBClusterIdentifier FROM events";
    assert_eq!(rows(id, &["lake"], folder.path()), ["c"]);
}

#[test]
fn a_lake_is_asked_as_it_was() {
    let folder = folder();
    let events = |numbers: std::ops::Range<usize>| numbers.map(made::record).collect::<Vec<_>>();
    write(&folder.path().join("logs/a.json"), &events(0..10));
    run(&["ingest", "logs", "--to", "lake"], folder.path());
    let between = chrono::Utc::now();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    write(&folder.path().join("logs/b.json"), &events(10..30));
    let (_, said) = run(&["ingest", "logs", "--to", "lake"], folder.path());
    assert!(said.contains("20 events added"), "{said}");
    let count = |table: &str| {
        rows(
            &format!("SELECT count(*) FROM {table}"),
            &["lake"],
            folder.path(),
        )
    };
    assert_eq!(count("events"), ["30"]);
    assert_eq!(count("events AS OF VERSION 1"), ["10"]);
    assert_eq!(count("aurora_events FOR VERSION AS OF 1"), ["10"]);
    let time = between.format("%Y-%m-%d %H:%M:%S%.3f");
    assert_eq!(count(&format!("events AS OF TIMESTAMP '{time}'")), ["10"]);
    let both = "SELECT count(*) FROM events JOIN events AS OF VERSION 1 AS old ON events.eventID = old.eventID";
    assert_eq!(rows(both, &["lake"], folder.path()), ["10"]);
    let said = fault(
        &["query", "SELECT 1 FROM events AS OF VERSION 9", "lake"],
        folder.path(),
    );
    assert!(
        said.contains("no version 9") && said.contains("lake show"),
        "{said}"
    );
    let said = fault(
        &["query", "SELECT 1 FROM events AS OF VERSION 1", "logs"],
        folder.path(),
    );
    assert!(said.contains("has no versions"), "{said}");
}

#[test]
fn a_lake_and_files_are_asked_together() {
    let folder = folder();
    let event = |number| made::record(number);
    write(&folder.path().join("logs/a.json"), &[event(1), event(2)]);
    write(&folder.path().join("more/b.json"), &[event(3)]);
    run(&["ingest", "logs", "--to", "lake"], folder.path());
    let sql = "SELECT eventID FROM events ORDER BY 1";
    assert_eq!(
        rows(sql, &["lake", "more"], folder.path()),
        [made::id(1), made::id(2), made::id(3)]
    );
    assert_eq!(
        rows(
            "SELECT count(*) FROM events",
            &["more", "lake"],
            folder.path()
        ),
        ["3"]
    );
}

#[test]
fn corrections_take_the_place_of_what_they_correct() {
    let folder = folder();
    let event = |id: &str, more: &str| {
        format!(
            r#"{{"eventVersion":"1.08","eventSource":"rds.amazonaws.com","eventName":"X","eventTime":"2026-01-01T00:00:00Z","eventID":"{id}"{more}}}"#
        )
    };
    let correction = |original: &str| {
        format!(
            r#","addendum":{{"reason":"UPDATED_DATA","updatedFields":"errorCode","originalEventID":"{original}"}}"#
        )
    };
    let delay = r#","addendum":{"reason":"DELIVERY_DELAY"}"#;
    let events = [
        event("a", ""),
        event("b", ""),
        event("b1", &correction("b")),
        event("b2", &correction("b")),
        event("c", delay),
    ];
    write(&folder.path().join("logs/a.json"), &events);
    run(&["ingest", "logs", "--to", "lake"], folder.path());
    for source in ["logs", "lake"] {
        let ids = |table| {
            let sql = format!("SELECT eventID FROM {table} ORDER BY 1");
            rows(&sql, &[source], folder.path())
        };
        assert_eq!(ids("events"), ["a", "b", "b1", "b2", "c"]);
        assert_eq!(ids("events_current"), ["a", "b2", "c"]);
    }
}

#[test]
fn faults_of_a_lake_are_named() {
    let folder = folder();
    let said = fault(&["lake", "show", "nothing"], folder.path());
    assert!(
        said.contains("nothing is no lake") && said.contains("ingest"),
        "{said}"
    );
    write(&folder.path().join("logs/a.json"), &[made::record(1)]);
    run(&["ingest", "logs", "--to", "lake"], folder.path());
    let day = folder.path().join("lake/dt=2026-03-04");
    let file = std::fs::read_dir(&day)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let whole = std::fs::read(&file).unwrap();
    let mut damaged = whole.clone();
    damaged[40] ^= 0xff;
    std::fs::write(&file, damaged).unwrap();
    let said = fault(&["lake", "verify", "lake"], folder.path());
    assert!(said.contains("part-") && said.contains("1 fault"), "{said}");
    std::fs::write(&file, &whole).unwrap();
    std::fs::copy(&file, day.join("part-copy.parquet")).unwrap();
    let (shown, _) = run(&["lake", "verify", "lake"], folder.path());
    assert!(
        shown.contains("1 file in the folder and not in this version"),
        "{shown}"
    );
    std::fs::remove_file(&file).unwrap();
    let said = fault(&["lake", "verify", "lake"], folder.path());
    assert!(
        said.contains("is in the log and not in the folder"),
        "{said}"
    );
    let said = fault(
        &["query", "SELECT eventName FROM events", "lake"],
        folder.path(),
    );
    assert!(said.contains("part-"), "{said}");
}

#[test]
fn a_lake_is_not_read_by_its_own_ingest() {
    let folder = folder();
    write(&folder.path().join("logs/a.json"), &[made::record(1)]);
    let said = fault(&["ingest", "logs", "--to", "logs/lake"], folder.path());
    assert!(said.contains("the lake logs/lake lies in logs"), "{said}");
    run(&["ingest", "logs", "--to", "lake"], folder.path());
    let said = fault(&["ingest", "lake", "--to", "other"], folder.path());
    assert!(said.contains("one of the sources is a lake"), "{said}");
    run(&["ingest", "logs", "--to", "logs-lake"], folder.path());
}

#[cfg(unix)]
#[test]
fn a_run_that_is_stopped_commits_what_it_has_read() {
    let folder = folder();
    let ingest = [
        "ingest",
        "sample:?events=2000000",
        "--to",
        "lake",
        "--commit-every",
        "1",
    ];
    let mut child = Command::new(env!("CARGO_BIN_EXE_auroratrail"))
        .args(ingest)
        .current_dir(folder.path())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let first = folder
        .path()
        .join("lake/_delta_log/00000000000000000001.json");
    while !first.exists() {
        assert!(child.try_wait().unwrap().is_none(), "it ended");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let id = child.id().to_string();
    Command::new("kill").args(["-TERM", &id]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(
        said.contains("after a last commit") && said.contains("events added"),
        "{said}"
    );
    run(&["lake", "verify", "lake"], folder.path());
}

#[test]
fn the_prompt_knows_the_values_of_a_lake() {
    let folder = folder();
    run(
        &["ingest", "sample:?events=300", "--to", "lake"],
        folder.path(),
    );
    let mut child = Command::new(env!("CARGO_BIN_EXE_auroratrail"))
        .args(["repl", "lake"])
        .current_dir(folder.path())
        .env("HOME", folder.path())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let script = "\\format csv\n\\d events eventName\nSELECT count(*) AS n FROM events;\n";
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), script.as_bytes()).unwrap();
    let shown = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    assert!(shown.contains("eventName,varchar,100 %,"), "{shown}");
    let count = rows("SELECT count(*) FROM events", &["lake"], folder.path());
    assert!(shown.ends_with(&format!("n\n{}\n", count[0])), "{shown}");
}
