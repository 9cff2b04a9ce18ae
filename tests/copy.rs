//! Exports: `COPY ... TO` files and buckets, by the binary and by sessions.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use auroratrail::query::table::Input;
use auroratrail::query::{Exports, Session, SessionOptions};
use auroratrail::source::Sources;
use auroratrail::source::aws::AwsSettings;
use futures::TryStreamExt;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use tempfile::TempDir;

use crate::moto_server::Moto;

const EVENTS: &str = "sample:?events=3000";

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_auroratrail"));
    command
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null());
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs a query that succeeds; returns its messages.
fn query(folder: &Path, sql: &str, source: &str) -> String {
    let output = command(folder, &["query", sql, source]).output().unwrap();
    assert!(output.status.success(), "{sql}: {}", stderr(&output));
    stderr(&output)
}

/// Runs a query that fails; returns its messages.
fn refused(folder: &Path, sql: &str, source: &str) -> String {
    let output = command(folder, &["query", sql, source]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{sql}: {}", stderr(&output));
    stderr(&output)
}

/// Lists everything below a folder but folders, as paths below it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => found.push(path.strip_prefix(folder).unwrap().to_owned()),
            }
        }
    }
    found.sort();
    found
}

fn parquet(path: &Path) -> (Vec<RecordBatch>, Compression) {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let compression = reader.metadata().row_group(0).column(0).compression();
    let batches = reader.build().unwrap().collect::<Result<_, _>>().unwrap();
    (batches, compression)
}

fn rows(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}

/// Asks a session about events; returns the only number of the answer.
async fn number(session: &Session, sql: &str) -> i64 {
    let rows = session.query(sql).await.unwrap().rows;
    let batches: Vec<RecordBatch> = rows.try_collect().await.unwrap();
    batches[0].column(0).as_primitive::<Int64Type>().value(0)
}

fn session(sources: &Sources, source: &str) -> Session {
    let options = SessionOptions {
        threads: 2,
        memory_bytes: 256 << 20,
        cache_bytes: 0,
    };
    let session = Session::new(options).unwrap();
    session
        .add_events(Input {
            locations: vec![sources.parse(source).unwrap()],
            sources: sources.clone(),
            lakes: Vec::new(),
            dedup: false,
        })
        .unwrap();
    session
}

fn exporting(sources: &Sources, source: &str) -> Session {
    session(sources, source).with_exports(Exports {
        sources: sources.clone(),
        make_folder: Arc::new(|parent| tempfile::tempdir_in(parent)),
        raw_csv: false,
    })
}

#[test]
fn parquet_has_the_names_and_times_that_others_read() {
    let place = TempDir::new().unwrap();
    let told = query(
        place.path(),
        "COPY (SELECT eventTime, userIdentity.userName, resources, date_trunc('hour', eventTime) AS Hour, \
         requestParameters.dBClusterIdentifier FROM events) TO 'new/a folder/x.parquet'",
        EVENTS,
    );
    assert!(
        told.contains("3,000 rows to new/a folder/x.parquet in 1 file\n"),
        "{told}"
    );
    assert_eq!(files(place.path()), [Path::new("new/a folder/x.parquet")]);
    let (batches, compression) = parquet(&place.path().join("new/a folder/x.parquet"));
    assert_eq!(rows(&batches), 3000);
    assert!(matches!(compression, Compression::ZSTD(_)));
    let schema = batches[0].schema();
    let names: Vec<&String> = schema.fields().iter().map(|field| field.name()).collect();
    assert_eq!(
        names,
        [
            "eventTime",
            "userIdentity.userName",
            "resources",
            "Hour",
            "requestParameters.dBClusterIdentifier"
        ]
    );
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    assert_eq!(schema.field(0).data_type(), &time);
    assert_eq!(schema.field(3).data_type(), &time);
}

#[test]
fn a_table_is_copied_as_it_is_and_read_again() {
    let place = TempDir::new().unwrap();
    // Records as they were: this reads its own exports.
    for (stored_as, name) in [
        ("JSON", "json"),
        ("PARQUET", "parquet"),
        ("CSV", "csv"),
        ("ARROW", "arrow"),
    ] {
        let told = query(
            place.path(),
            &format!("COPY (SELECT record FROM events) TO '{name}/' STORED AS {stored_as}"),
            EVENTS,
        );
        let exported = files(&place.path().join(name));
        assert!(exported.iter().all(|it| it.extension().unwrap() == name));
        let count = format!("3,000 rows to {name}/ in {} file", exported.len());
        assert!(told.contains(&count), "{told}");
        let again = command(
            place.path(),
            &["query", "SELECT count(*) AS n FROM events", name],
        );
        let again = { again }.args(["--format", "csv"]).output().unwrap();
        assert_eq!(
            String::from_utf8_lossy(&again.stdout),
            "n\n3000\n",
            "{name}"
        );
    }
    query(place.path(), "copy Events to 'all.csv'", EVENTS);
    let mut reader = csv::Reader::from_path(place.path().join("all.csv")).unwrap();
    let header = reader.headers().unwrap().clone();
    let resources = header.iter().position(|it| it == "resources").unwrap();
    let time = header
        .iter()
        .position(|it| it.eq_ignore_ascii_case("eventTime"));
    let records: Vec<_> = reader.records().map(Result::unwrap).collect();
    assert_eq!(records.len(), 3000);
    assert!(records[0][time.unwrap()].ends_with('Z'), "{:?}", records[0]);
    let lists = records.iter().map(|it| &it[resources]);
    let lists: Vec<&str> = lists.filter(|it| !it.is_empty()).collect();
    assert!(!lists.is_empty());
    for list in lists {
        assert!(
            serde_json::from_str::<serde_json::Value>(list)
                .unwrap()
                .is_array()
        );
    }
}

#[test]
fn formulas_are_made_safe_in_csv_alone() {
    let place = TempDir::new().unwrap();
    let copy = |name: &str| format!("COPY (SELECT '=1+cmd' AS a, '-5' AS b, -5 AS c) TO '{name}'");
    let read = |name: &str| fs::read_to_string(place.path().join(name)).unwrap();
    query(place.path(), &copy("safe.csv"), EVENTS);
    assert_eq!(read("safe.csv"), "a,b,c\n'=1+cmd,-5,-5\n");
    let arguments = ["query", &copy("raw.csv"), EVENTS, "--raw-csv"];
    assert!(
        command(place.path(), &arguments)
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(read("raw.csv"), "a,b,c\n=1+cmd,-5,-5\n");
    query(place.path(), &copy("x.json"), EVENTS);
    assert_eq!(read("x.json"), "{\"a\":\"=1+cmd\",\"b\":\"-5\",\"c\":-5}\n");
}

#[test]
fn arrow_and_json_keep_lists_as_lists() {
    let place = TempDir::new().unwrap();
    let sql = |file: &str| {
        format!(
            "COPY (SELECT eventID, resources, userIdentity.type AS kind FROM events \
             WHERE cardinality(resources) > 0 ORDER BY eventTime LIMIT 20) TO '{file}'"
        )
    };
    query(place.path(), &sql("x.arrow"), EVENTS);
    let file = File::open(place.path().join("x.arrow")).unwrap();
    let reader = arrow::ipc::reader::FileReader::try_new(file, None).unwrap();
    let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
    assert_eq!(rows(&batches), 20);
    let ids = batches[0].column_by_name("eventID").unwrap();
    let first = ids.as_string::<i32>().value(0).to_owned();
    assert!(matches!(
        batches[0].column_by_name("resources").unwrap().data_type(),
        DataType::List(_)
    ));
    query(place.path(), &sql("x.ndjson"), EVENTS);
    let text = fs::read_to_string(place.path().join("x.ndjson")).unwrap();
    assert_eq!(text.lines().count(), 20);
    let line: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(line["eventID"], *first);
    assert!(line["resources"].is_array() && line["kind"].is_string());
}

#[test]
fn partitions_are_folders_and_a_missing_value_has_one() {
    let place = TempDir::new().unwrap();
    fs::create_dir(place.path().join("x")).unwrap();
    query(
        place.path(),
        "COPY (SELECT eventID, awsRegion, CASE WHEN readOnly THEN date '2026-10-01' END AS dt, 'a/b' AS P \
         FROM events) TO 'x' STORED AS PARQUET PARTITIONED BY (DT, p)",
        EVENTS,
    );
    let x = place.path().join("x");
    let exported = files(&x);
    let folders: Vec<_> = exported.iter().map(|it| it.parent().unwrap()).collect();
    assert_eq!(
        folders,
        [
            Path::new("dt=2026-10-01/P=a%2Fb"),
            Path::new("dt=__HIVE_DEFAULT_PARTITION__/P=a%2Fb")
        ]
    );
    let both: Vec<_> = exported.iter().map(|it| parquet(&x.join(it)).0).collect();
    assert_eq!(rows(&both[0]) + rows(&both[1]), 3000);
    assert_eq!(both[0][0].num_columns(), 2);
    // Nothing hidden is left beside it.
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
}

#[cfg(unix)]
#[test]
fn a_folder_may_be_read_as_others_that_are_made() {
    use std::os::unix::fs::PermissionsExt;
    let place = TempDir::new().unwrap();
    query(
        place.path(),
        "COPY (SELECT 1 AS a) TO 'x' STORED AS CSV",
        EVENTS,
    );
    fs::create_dir(place.path().join("y")).unwrap();
    let mode = |name: &str| {
        let metadata = fs::metadata(place.path().join(name)).unwrap();
        metadata.permissions().mode()
    };
    assert_eq!(mode("x"), mode("y"));
}

#[test]
fn what_is_there_or_is_read_is_not_written() {
    let place = TempDir::new().unwrap();
    let sample = command(place.path(), &["sample", "logs", "--events", "500"]).output();
    assert!(sample.unwrap().status.success());
    fs::write(place.path().join("x.csv"), "mine").unwrap();
    fs::create_dir(place.path().join("full")).unwrap();
    fs::write(place.path().join("full/x"), "mine").unwrap();
    let before = files(place.path());
    let copy = |rest: &str| format!("COPY (SELECT eventID AS id FROM events) TO {rest}");
    for (sql, message) in [
        (
            copy("'x.csv'"),
            "'x.csv' is there already, a file; COPY overwrites nothing",
        ),
        (copy("'full/' STORED AS CSV"), "a folder with files in it"),
        (copy("'x.csv/' STORED AS CSV"), "is there already, a file"),
        (
            copy("'logs/new/' STORED AS CSV"),
            "is in `logs`, which is a source",
        ),
        (
            copy("'logs/../logs/x.json'"),
            "is in `logs`, which is a source",
        ),
        (copy("'new/'"), "does not tell its format"),
        (copy("'new.csv.gz'"), "would not be compressed"),
        (
            copy("'new/' STORED AS AVRO"),
            "expected PARQUET, CSV, JSON or ARROW",
        ),
        (copy("'gs://b/x.csv'"), "expected a path such as"),
        (
            copy("'new/' STORED AS CSV PARTITIONED BY (dt)"),
            "PARTITIONED BY has dt, which is not among the columns of the query, which are id",
        ),
        (
            copy("'new.csv' PARTITIONED BY (id)"),
            "write 'new.csv/' for a folder",
        ),
        (
            copy("'new/' STORED AS CSV PARTITIONED BY (id)"),
            "all columns",
        ),
        (
            format!("{}; {}", copy("'new.csv'"), copy("'new.csv'")),
            "two statements write to 'new.csv'",
        ),
        (
            format!("EXPLAIN ANALYZE {}", copy("'new.csv'")),
            "EXPLAIN COPY",
        ),
        (
            "COPY (SELECT nosuch FROM events) TO 'new.csv'".to_owned(),
            "nosuch",
        ),
    ] {
        let told = refused(place.path(), &sql, "logs");
        assert!(told.contains(message), "{sql}: {told}");
        assert_eq!(files(place.path()), before, "{sql}");
    }
    assert_eq!(
        fs::read_to_string(place.path().join("x.csv")).unwrap(),
        "mine"
    );
}

#[test]
fn options_of_answers_are_about_answers() {
    let place = TempDir::new().unwrap();
    let copy = "COPY (SELECT count(*) AS n FROM events) TO 'x.csv'";
    for option in ["--format=csv", "--output=y.csv"] {
        let output = command(place.path(), &["query", copy, EVENTS, option]).output();
        let told = stderr(&output.unwrap());
        assert!(
            told.contains("COPY names its own file and format"),
            "{told}"
        );
    }
    for option in ["--output=x.csv", "--rejects=x.csv"] {
        let sql = format!("{copy}; SELECT 1 AS one");
        let output = command(place.path(), &["query", &sql, EVENTS, option]).output();
        let told = stderr(&output.unwrap());
        assert!(told.contains("is the target of COPY as well"), "{told}");
    }
    assert!(files(place.path()).is_empty());
    let sql = format!("SELECT 1 AS one; {copy}; SELECT 2 AS two");
    let arguments = ["query", &sql, EVENTS, "--format", "csv"];
    let output = command(place.path(), &arguments).output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "one\n1\n\ntwo\n2\n"
    );
    assert!(stderr(&output).contains("1 row to x.csv in 1 file"));
    assert_eq!(
        fs::read_to_string(place.path().join("x.csv")).unwrap(),
        "n\n3000\n"
    );
}

#[test]
fn explain_writes_nothing() {
    let place = TempDir::new().unwrap();
    let sql = "EXPLAIN COPY (SELECT eventID FROM events) TO 'new/x/' STORED AS PARQUET";
    let output = command(place.path(), &["query", sql, EVENTS])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let plan = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(plan.contains("CopyTo") && plan.contains("new/x/"), "{plan}");
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
}

#[test]
fn a_failure_midway_leaves_nothing() {
    let place = TempDir::new().unwrap();
    // A division by zero, late in the events.
    for target in [
        "new/x.parquet'",
        "x/' STORED AS CSV",
        "x/' STORED AS ARROW PARTITIONED BY (r)",
    ] {
        let sql = format!(
            "COPY (SELECT eventID, awsRegion AS r, 1 / (row_number() OVER () - 2500) AS n FROM events) \
             TO '{target}"
        );
        let told = refused(place.path(), &sql, EVENTS);
        assert!(told.to_lowercase().contains("divide by zero"), "{told}");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0, "{target}");
    }
    fs::write(place.path().join("no.json"), "no events here").unwrap();
    let told = refused(place.path(), "COPY events TO 'x.csv'", "absent.json");
    assert!(told.contains("absent.json"), "{told}");
    assert_eq!(files(place.path()), [Path::new("no.json")]);
}

#[cfg(unix)]
#[test]
fn an_interrupted_export_leaves_nothing() {
    let place = TempDir::new().unwrap();
    let sql = "COPY (SELECT * FROM events) TO 'x/' STORED AS PARQUET";
    let child = command(place.path(), &["query", sql, "sample:?events=100000000"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Until it has begun to write.
    while fs::read_dir(place.path()).unwrap().count() == 0 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let id = child.id().to_string();
    let killed = Command::new("kill").args(["-INT", &id]).status().unwrap();
    assert!(killed.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(!stderr(&output).contains("rows to"));
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
}

#[test]
fn strict_keeps_the_files_and_fails() {
    let place = TempDir::new().unwrap();
    let event = r#"{"eventVersion":"1.11","eventTime":"2026-05-03T09:00:00Z","eventSource":"rds.amazonaws.com","eventName":"StopDBCluster","eventID":"a1"}"#;
    fs::write(
        place.path().join("in.ndjson"),
        format!("{event}\n{{\"eventVersion\": broken\n{event}\n"),
    )
    .unwrap();
    let sql = "COPY (SELECT eventID FROM events) TO 'x.csv'";
    let arguments = ["query", sql, "in.ndjson", "--strict"];
    let output = command(place.path(), &arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(
        fs::read_to_string(place.path().join("x.csv")).unwrap(),
        "eventID\na1\na1\n"
    );
}

#[test]
fn the_prompt_exports_too() {
    let place = TempDir::new().unwrap();
    let script = "CREATE VIEW v AS SELECT eventID, awsRegion FROM events;\n\
                  COPY (SELECT awsRegion FROM v) TO 'x.csv';\nCOPY v TO 'y.json';\n";
    fs::write(place.path().join("script.sql"), script).unwrap();
    let output = command(place.path(), &["repl", EVENTS])
        .stdin(File::open(place.path().join("script.sql")).unwrap())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("3,000 rows to y.json in 1 file"));
    let text = fs::read_to_string(place.path().join("x.csv")).unwrap();
    assert!(text.starts_with("awsRegion\n"));
    assert_eq!(text.lines().count(), 3001);
}

#[tokio::test]
async fn a_session_refuses_unless_it_was_allowed() {
    let place = TempDir::new().unwrap();
    let target = place.path().join("x.csv");
    let sql = format!(
        "COPY (SELECT eventID FROM events) TO '{}'",
        target.display()
    );
    let sources = Sources::new(AwsSettings::default());
    let reading = session(&sources, EVENTS);
    for sql in [sql.clone(), format!("EXPLAIN {sql}")] {
        let error = reading.query(&sql).await.err().unwrap().to_string();
        assert!(error.contains("COPY writes files"), "{error}");
        assert!(reading.step(&sql).await.is_err());
        assert!(reading.standing(&sql).await.is_err());
    }
    assert!(!target.exists());
    let exporting = exporting(&sources, EVENTS);
    let rows = exporting.query(&sql).await.unwrap().rows;
    let answer: Vec<RecordBatch> = rows.try_collect().await.unwrap();
    assert_eq!(answer[0].schema().field(0).name(), "rows");
    assert!(target.exists());
    // Files are not in place before the commit.
    let other = place.path().join("y.csv");
    let sql = format!("COPY (SELECT eventID FROM events) TO '{}'", other.display());
    let plan = exporting.plan(&sql).await.unwrap();
    assert_eq!(plan.export_target(), Some(other.to_str().unwrap()));
    let export = plan.export(&Arc::default()).await.unwrap();
    assert!(!other.exists());
    fs::write(&other, "mine").unwrap();
    let error = export.commit().await.unwrap_err().to_string();
    assert!(error.contains("is there already"), "{error}");
    assert_eq!(fs::read_to_string(&other).unwrap(), "mine");
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 2);
}

#[test]
fn a_bucket_has_all_objects_or_none() {
    let moto = Moto::start();
    moto.put("/exports", "");
    let sources = Sources::new(AwsSettings {
        endpoint: Some(moto.endpoint.clone()),
        region: Some("eu-west-1".to_owned()),
        credentials: Some(("AKIATEST".to_owned(), "verysecret".to_owned())),
        ..AwsSettings::default()
    });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let session = exporting(&sources, EVENTS);
        let copy = |select: &str, rest: &str| {
            format!("COPY (SELECT {select} FROM events) TO 's3://exports/{rest}")
        };
        for (select, rest) in [
            (
                "record, awsRegion AS r",
                "a b=%/' STORED AS JSON PARTITIONED BY (R)",
            ),
            ("record", "one/x.parquet'"),
        ] {
            session.query(&copy(select, rest)).await.unwrap();
            let again = session.query(&copy(select, rest)).await.err().unwrap();
            assert!(again.to_string().contains("is there already"), "{again}");
            let place = rest.split('\'').next().unwrap();
            let back = self::session(&sources, &format!("s3://exports/{place}"));
            let read = number(&back, "SELECT count(*) FROM events").await;
            assert_eq!(read, 3000, "{place}");
        }
        let failing = "awsRegion AS r, eventID, 1 / (row_number() OVER () - 2500) AS n";
        let sql = copy(failing, "bad/' STORED AS CSV PARTITIONED BY (r)");
        session.query(&sql).await.err().unwrap();
        // Nothing is in the way of another try.
        session
            .query(&copy("eventID", "bad/' STORED AS CSV"))
            .await
            .unwrap();
        let inside = exporting(&sources, "s3://exports/one/");
        let sql = copy("eventID", "one/more/' STORED AS CSV");
        let error = inside.query(&sql).await.err().unwrap().to_string();
        assert!(error.contains("which is a source"), "{error}");
    });
}
