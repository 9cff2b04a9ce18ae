//! Queries over a lake against the same queries over its source, and what they read.

mod lake;

use std::sync::Arc;

use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::StreamExt;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};
use serde_json::Value;

use super::LakeReader;
use crate::error::{Error, Result};
use crate::execution::Execution;
use crate::query::{Session, SessionOptions, translate_error};
use lake::{MemoryLake, input};

const SAMPLE: &str = "sample:?events=1200&seed=7&days=5";

fn session() -> Session {
    Session::new(SessionOptions {
        threads: 2,
        memory_bytes: 256 << 20,
        cache_bytes: 0,
    })
    .unwrap()
}

/// A session with the events of a lake as `events`, and those of [`SAMPLE`] as `origin`.
async fn over_lake(has_arrow_schema: bool) -> (Session, Arc<MemoryLake>) {
    let lake = Arc::new(MemoryLake::of("./lake", SAMPLE, has_arrow_schema).await);
    (over(&lake), lake)
}

fn over(lake: &Arc<MemoryLake>) -> Session {
    let session = session();
    let lake = Arc::clone(lake) as Arc<dyn LakeReader>;
    session.add_events(input(&[], vec![lake])).unwrap();
    session
        .add_table("origin", input(&[SAMPLE], vec![]))
        .unwrap();
    session
}

fn over_sample() -> Session {
    let session = session();
    session.add_events(input(&[SAMPLE], vec![])).unwrap();
    session
}

async fn rows(session: &Session, sql: &str) -> Result<Vec<Vec<String>>> {
    let mut result = session.query(sql).await?;
    let options = FormatOptions::new().with_null("NULL");
    let mut rows = Vec::new();
    while let Some(batch) = result.rows.next().await {
        let batch = batch.map_err(translate_error)?;
        let columns = batch.columns().iter();
        let columns = columns.map(|it| ArrayFormatter::try_new(it, &options).unwrap());
        let columns: Vec<ArrayFormatter<'_>> = columns.collect();
        for row in 0..batch.num_rows() {
            rows.push(columns.iter().map(|it| it.value(row).to_string()).collect());
        }
    }
    Ok(rows)
}

async fn plan(session: &Session, sql: &str) -> String {
    let lines = rows(session, &format!("EXPLAIN {sql}")).await.unwrap();
    let lines: Vec<String> = lines.into_iter().map(|cells| cells.join(" ")).collect();
    lines.join("\n")
}

async fn counted(session: &Session, sql: &str, metric: &str) -> u64 {
    let lines = rows(session, &format!("EXPLAIN ANALYZE {sql}")).await;
    let text = lines.unwrap().concat().concat();
    let (_, rest) = text.split_once(&format!("{metric}=")).expect(&text);
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

/// Statements whose answers over a lake and over its source are equal. Those without ORDER BY are
/// compared in any order.
const STATEMENTS: &[&str] = &[
    "SELECT * FROM events",
    "SELECT eventID, actor, identity_kind, db_identifier, db_kind, is_denied FROM events",
    "SELECT count(*) FROM events",
    "SELECT count(*) FROM aurora_events",
    "SELECT count(*), count(errorCode), min(eventTime), max(eventTime) FROM events",
    "SELECT min(eventName), max(eventName), min(awsRegion), count(eventTime) FROM events",
    "SELECT EVENTNAME, count(*) FROM Events GROUP BY 1 ORDER BY 2 DESC, 1",
    "SELECT eventTime, eventID FROM events ORDER BY eventTime DESC, eventID LIMIT 20",
    "SELECT eventTime, eventID FROM events ORDER BY eventTime, eventID LIMIT 20",
    "SELECT eventTime FROM events ORDER BY eventTime DESC LIMIT 20",
    "SELECT eventTime, eventID FROM events ORDER BY eventTime, eventID",
    "SELECT eventID FROM events WHERE eventName = 'ModifyDBCluster'",
    "SELECT eventID FROM events WHERE eventName IN ('ModifyDBCluster', 'CreateDBCluster') AND awsRegion <> 'x'",
    "SELECT eventID FROM events WHERE eventTime >= (SELECT max(eventTime) - INTERVAL '1 day' FROM events)",
    "SELECT eventID, errorCode FROM events WHERE errorCode IS NOT NULL",
    "SELECT count(*) FROM events WHERE errorCode IS NULL AND readOnly",
    "SELECT eventID FROM events WHERE NOT readOnly AND managementEvent",
    "SELECT eventID, userIdentity.userName FROM events WHERE userIdentity.userName LIKE '%a%'",
    "SELECT eventID FROM events WHERE eventName LIKE 'Create%' OR eventName LIKE '%cluster%'",
    "SELECT eventID, requestParameters.dBClusterIdentifier FROM events WHERE requestParameters.dBClusterIdentifier IS NOT NULL",
    "SELECT eventID, requestParameters FROM events WHERE requestParameters LIKE '%postgres%'",
    "SELECT eventID, json_extract_scalar(requestParameters, '$.engine') FROM events",
    "SELECT eventID, r.arn FROM events, UNNEST(resources) AS t(r)",
    "SELECT eventID, resources FROM events WHERE resources IS NOT NULL",
    "SELECT eventID, resources[1].arn FROM events WHERE resources[1].arn LIKE 'arn:%'",
    // Columns that no file has: the first of any events, the second of some days.
    "SELECT count(*) FROM events WHERE edgeDeviceDetails IS NULL",
    "SELECT eventID, edgeDeviceDetails, insightDetails.state FROM events WHERE edgeDeviceDetails = 'x' OR insightDetails.state IS NULL",
    "SELECT count(*) FROM events WHERE eventContext = 'x'",
    "SELECT count(edgeDeviceDetails), max(timeWindow.windowStart) FROM events",
    "SELECT eventID, source_uri FROM events WHERE actor LIKE '%a%' ORDER BY eventID LIMIT 50",
    "SELECT a.eventID FROM events a JOIN events b ON a.requestID = b.requestID WHERE a.eventName = b.eventName",
    "SELECT date_trunc('day', eventTime), count(DISTINCT actor) FROM events GROUP BY 1 ORDER BY 1",
    "SELECT eventID FROM (SELECT * FROM events WHERE awsRegion = 'eu-west-1') WHERE eventSource = 'rds.amazonaws.com'",
    "SELECT eventID, row_number() OVER (PARTITION BY eventName ORDER BY eventTime, eventID) FROM events",
    "SELECT count(*) FROM events WHERE record LIKE '%ModifyDBCluster%'",
    "SELECT count(*) FROM events WHERE eventTime >= '2100-01-01'",
    "SELECT responseElements.dBClusterArn, nullFields, unmapped FROM events",
];

async fn assert_equal_answers(has_arrow_schema: bool) {
    let (lake, sample) = (over_lake(has_arrow_schema).await.0, over_sample());
    let step = if has_arrow_schema { 1 } else { 4 };
    for sql in STATEMENTS.iter().step_by(step) {
        let mut answers = Vec::new();
        for session in [&lake, &sample] {
            let rows = rows(session, sql).await;
            let mut rows = rows.unwrap_or_else(|error| panic!("{sql}: {error}"));
            if !sql.contains("ORDER BY") || sql.contains("OVER") {
                rows.sort();
            }
            answers.push(rows);
        }
        let (ours, theirs) = (&answers[0], &answers[1]);
        assert_eq!(ours.len(), theirs.len(), "{sql}");
        for (ours, theirs) in ours.iter().zip(theirs) {
            assert_eq!(ours, theirs, "{sql}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lake_answers_as_its_source_does() {
    assert_equal_answers(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lake_without_the_schema_of_arrow_answers_as_its_source_does() {
    assert_equal_answers(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_rebuilt_with_and_without_other_columns() {
    let (lake, _) = over_lake(true).await;
    let sample = over_sample();
    for columns in [
        "eventID, record",
        "record, eventID, eventTime, record AS again, unmapped",
    ] {
        let sql = format!("SELECT {columns} FROM events ORDER BY eventID");
        let (ours, theirs) = (rows(&lake, &sql).await, rows(&sample, &sql).await);
        let (ours, theirs) = (ours.unwrap(), theirs.unwrap());
        assert_eq!((ours.len(), theirs.len()), (1200, 1200));
        let json = |cell: &String| {
            serde_json::from_str::<Value>(cell).unwrap_or_else(|_| Value::from(&**cell))
        };
        for (ours, theirs) in ours.iter().zip(&theirs) {
            let (ours, theirs) = (ours.iter().map(json), theirs.iter().map(json));
            assert!(ours.eq(theirs));
        }
    }
    let sql = "SELECT count(*) FROM events WHERE eventName = 'ModifyDBCluster' AND \
               json_extract_scalar(record, '$.eventName') <> eventName";
    assert_eq!(rows(&lake, sql).await.unwrap(), [["0"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_lakes_and_files_are_joined_and_added_up() {
    let (session, lake) = over_lake(true).await;
    let sql = "SELECT count(*) FROM events e JOIN origin o ON e.eventID = o.eventID AND e.eventTime = o.eventTime";
    let distinct = "SELECT count(*) FROM origin a JOIN origin b ON a.eventID = b.eventID AND a.eventTime = b.eventTime";
    let (joined, expected) = (rows(&session, sql).await, rows(&session, distinct).await);
    assert_eq!(joined.unwrap(), expected.unwrap());

    let other = MemoryLake::of("./other", "sample:?events=500&seed=9&days=2", true).await;
    let lakes: Vec<Arc<dyn LakeReader>> = vec![lake, Arc::new(other)];
    let both = input(&["sample:?events=200&seed=11"], lakes);
    session.add_table("everything", both).unwrap();
    for (sql, expected) in [
        ("SELECT count(*) FROM everything", "1900"),
        (
            "SELECT count(eventID) FROM everything WHERE eventTime IS NOT NULL",
            "1900",
        ),
        ("SELECT count(record) FROM everything", "1900"),
        (
            "SELECT count(*) FROM (SELECT eventID FROM everything ORDER BY eventTime DESC LIMIT 1800)",
            "1800",
        ),
    ] {
        assert_eq!(rows(&session, sql).await.unwrap(), [[expected]], "{sql}");
    }
    let sql = "SELECT count(*) FROM everything WHERE actor LIKE '%a%'";
    let parts = "SELECT sum(n) FROM (SELECT count(*) AS n FROM everything WHERE actor LIKE '%a%' GROUP BY source_uri)";
    let (whole, parts) = (rows(&session, sql).await, rows(&session, parts).await);
    assert_eq!(whole.unwrap(), parts.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_and_ranges_are_answered_by_the_log() {
    let (session, lake) = over_lake(true).await;
    lake.store.bytes_read();
    for sql in [
        "SELECT count(*) FROM events",
        "SELECT min(eventTime), max(eventTime) FROM events",
        "SELECT count(*), min(eventTime), max(eventName), count(eventTime) FROM events",
    ] {
        rows(&session, sql).await.unwrap();
        let plan = plan(&session, sql).await;
        assert!(
            plan.contains("PlaceholderRowExec") && !plan.contains("DataSourceExec"),
            "{plan}"
        );
    }
    let other = MemoryLake::of("./other", "sample:?events=500&seed=9&days=2", true).await;
    let lakes: Vec<Arc<dyn LakeReader>> = vec![Arc::clone(&lake) as _, Arc::new(other)];
    session.add_table("both", input(&[], lakes)).unwrap();
    let sql = "SELECT count(*) FROM both";
    assert_eq!(rows(&session, sql).await.unwrap(), [["1700"]]);
    let plan = plan(&session, sql).await;
    assert!(!plan.contains("DataSourceExec"), "{plan}");
    assert_eq!(lake.store.bytes_read(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_on_a_day_reads_its_file() {
    let (session, lake) = over_lake(true).await;
    let file = &lake.files[2];
    let (_, day) = &file.partition[0];
    let sql = format!(
        "SELECT count(eventID) FROM events WHERE eventTime >= '{day}' \
         AND eventTime < CAST('{day}' AS timestamp) + INTERVAL '1 day'"
    );
    assert_eq!(
        rows(&session, &sql).await.unwrap(),
        [[file.stats.rows.to_string()]]
    );
    let plan = plan(&session, &sql).await;
    for other in &*lake.files {
        assert_eq!(plan.contains(&other.path), other == file, "{plan}");
    }
    let pruned = counted(&session, &sql, "lake_files_pruned").await;
    assert_eq!(pruned as usize, lake.files.len() - 1);

    let nothing = "SELECT eventID FROM events WHERE eventName = 'aaa' OR eventTime < '2001-01-01'";
    lake.store.bytes_read();
    assert!(rows(&session, nothing).await.unwrap().is_empty());
    assert_eq!(lake.store.bytes_read(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_found_by_its_id_with_few_bytes() {
    for has_arrow_schema in [true, false] {
        let (session, lake) = over_lake(has_arrow_schema).await;
        let sql = "SELECT eventID FROM events ORDER BY eventTime DESC, eventID LIMIT 1 OFFSET 300";
        let id = rows(&session, sql).await.unwrap().remove(0).remove(0);
        // The footers are known from here on.
        let sql = format!("SELECT * FROM events WHERE eventID = '{id}'");
        assert_eq!(rows(&session, &sql).await.unwrap().len(), 1);
        lake.store.bytes_read();
        assert_eq!(rows(&session, &sql).await.unwrap().len(), 1);
        let (read, all) = (lake.store.bytes_read(), total(&lake));
        assert!(read > 0 && read < all / 20, "{read} of {all}");

        let sql = "SELECT * FROM events WHERE eventID = '80000000-0000-4000-8000-000000000000'";
        let pruned = counted(&session, sql, "row_groups_pruned_bloom_filter").await;
        assert!(pruned > 0, "{pruned}");
    }
}

fn total(lake: &MemoryLake) -> u64 {
    lake.files.iter().map(|file| file.size_bytes).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_events_are_read_from_the_last_files() {
    let (session, lake) = over_lake(true).await;
    let sql = "SELECT eventTime, eventID, userAgent FROM events ORDER BY eventTime DESC LIMIT 20";
    let all = "SELECT eventTime, eventID, userAgent FROM events";
    for sql in [sql, all] {
        rows(&session, sql).await.unwrap();
    }
    lake.store.bytes_read();
    rows(&session, sql).await.unwrap();
    let few = lake.store.bytes_read();
    rows(&session, all).await.unwrap();
    let every = lake.store.bytes_read();
    assert!(few < every * 2 / 3, "{few} of {every}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_lake_are_identified() {
    let (session, _) = over_lake(true).await;
    let plan = session.plan("SELECT eventName FROM events LIMIT 3").await;
    let plan = plan.unwrap().identify_rows();
    let mut result = plan.start(&Arc::default()).await.unwrap();
    assert_eq!(result.identity_columns, 2);
    let batch = result.rows.next().await.unwrap().unwrap();
    assert_eq!(batch.num_columns(), 3);
    assert_eq!(
        batch.column(1).null_count() + batch.column(2).null_count(),
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_input_of_nothing_is_empty() {
    let session = session();
    session.add_events(input(&[], vec![])).unwrap();
    assert_eq!(
        rows(&session, "SELECT count(*) FROM events").await.unwrap(),
        [["0"]]
    );
    assert!(
        rows(&session, "SELECT * FROM events")
            .await
            .unwrap()
            .is_empty()
    );
}

async fn failure(lake: &Arc<MemoryLake>) -> Error {
    let session = over(lake);
    rows(&session, "SELECT eventID FROM events")
        .await
        .unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_gone_or_damaged_is_named() {
    let (_, lake) = over_lake(true).await;
    let path = Path::from(&*lake.files[1].path);
    let whole = lake.store.get(&path).await.unwrap().bytes().await.unwrap();
    let length = whole.len();
    let put = async |bytes: Vec<u8>| {
        let payload = PutPayload::from(bytes);
        lake.store.put(&path, payload).await.unwrap();
        failure(&lake)
            .await
            .to_string()
            .replace(&*lake.files[1].path, "FILE")
    };
    assert_eq!(
        put(whole[..length - 9].to_vec()).await,
        format!(
            "./lake/FILE: the file is damaged: expected {length} bytes as in the lake's log, found {}; \
             bring it back from a copy of ./lake",
            length - 9
        )
    );
    let mut damaged = whole.to_vec();
    damaged[length - 4..].fill(b'x');
    insta::assert_snapshot!(put(damaged).await, @"./lake/FILE: the file is damaged: Invalid Parquet file. Corrupt footer; bring it back from a copy of ./lake");
    // A page in the midst of it.
    let mut damaged = whole.to_vec();
    damaged[4..length / 2].fill(0xff);
    insta::assert_snapshot!(put(damaged).await, @"./lake/FILE: the file is damaged: Unexpected struct field type 15; bring it back from a copy of ./lake");
    lake.store.delete(&path).await.unwrap();
    let gone = failure(&lake)
        .await
        .to_string()
        .replace(&*lake.files[1].path, "FILE");
    insta::assert_snapshot!(gone, @"./lake/FILE: the file is gone, and the lake's log has it; run the query again, and if that does not help, bring it back from a copy of ./lake");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_execution_ends_the_scan() {
    let (session, lake) = over_lake(true).await;
    let execution = Arc::<Execution>::default();
    let plan = session.plan("SELECT eventID FROM events").await.unwrap();
    let mut result = plan.start(&execution).await.unwrap();
    execution.stop().cancel();
    lake.store.bytes_read();
    let error = loop {
        match result.rows.next().await.expect("an error before the end") {
            Ok(_) => {}
            Err(error) => break translate_error(error),
        }
    };
    assert_eq!(error.to_string(), "interrupted");
}
