//! Sessions: any number of tables, queries one after another and at the same time.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use auroratrail::execution::Execution;
use auroratrail::query::table::Input;
use auroratrail::query::{Session, SessionOptions};
use auroratrail::source::Sources;
use auroratrail::source::aws::AwsSettings;
use futures::TryStreamExt;
use futures::future::join_all;

use crate::partitioned::partitioned;

fn session() -> Session {
    Session::new(SessionOptions {
        threads: 2,
        memory_bytes: 64 << 20,
        cache_bytes: 0,
    })
    .unwrap()
}

fn input(location: &str, dedup: bool) -> Input {
    let sources = Sources::new(AwsSettings::default());
    Input {
        locations: vec![sources.parse(location).unwrap()],
        sources,
        lakes: Vec::new(),
        dedup,
    }
}

/// Runs a query of one number.
async fn number(session: &Session, sql: &str, execution: &Arc<Execution>) -> i64 {
    let plan = session.plan(sql).await.unwrap();
    let result = plan.start(execution).await.unwrap();
    let batches: Vec<_> = result.rows.try_collect().await.unwrap();
    batches[0].column(0).as_primitive::<Int64Type>().value(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_added_at_any_time_and_joined() {
    let session = session();
    session
        .add_events(input("sample:?events=1000", false))
        .unwrap();
    let execution = Arc::default();
    let sql = "SELECT count(*) FROM aurora_events";
    assert!(number(&session, sql, &execution).await > 100);
    let missing = session
        .plan("SELECT count(*) FROM Older")
        .await
        .unwrap_err();
    assert!(missing.to_string().contains("older"), "{missing}");

    session
        .add_table("Older", input("sample:?events=600&seed=7", false))
        .unwrap();
    let sql = "SELECT count(*) FROM older o WHERE o.userIdentity.type IS NOT NULL";
    assert_eq!(number(&session, sql, &Arc::default()).await, 600);
    let sql =
        "SELECT count(*) FROM (SELECT eventID FROM events UNION ALL SELECT eventID FROM OLDER)";
    assert_eq!(number(&session, sql, &Arc::default()).await, 1600);

    // One of the same name takes its place; a plan keeps the table that it was made for.
    let sql = "SELECT count(*) FROM older";
    let planned = session.plan(sql).await.unwrap();
    session
        .add_table("OLDER", input("sample:?events=700", false))
        .unwrap();
    assert_eq!(number(&session, sql, &Arc::default()).await, 700);
    let result = planned.start(&Arc::default()).await.unwrap();
    let batches: Vec<_> = result.rows.try_collect().await.unwrap();
    assert_eq!(
        batches[0].column(0).as_primitive::<Int64Type>().value(0),
        600
    );
    let listed = session.query("SHOW TABLES").await.unwrap();
    let listed: Vec<_> = listed.rows.try_collect().await.unwrap();
    assert_eq!(listed[0].num_rows(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_source_gives_rows_and_is_refused_where_it_would_have_to_end() {
    let sources = Sources::new(AwsSettings::default()).with_scheme("partitioned", partitioned);
    let session = session();
    let locations = vec![sources.parse("partitioned://").unwrap()];
    let dedup = false;
    session
        .add_events(Input {
            sources,
            locations,
            lakes: Vec::new(),
            dedup,
        })
        .unwrap();
    let result = session
        .query("SELECT eventID FROM events LIMIT 500")
        .await
        .unwrap();
    let rows: Vec<_> = result.rows.try_collect().await.unwrap();
    assert_eq!(
        rows.iter().map(|batch| batch.num_rows()).sum::<usize>(),
        500
    );
    let refused = session
        .query("SELECT eventName, count(*) FROM events GROUP BY 1")
        .await;
    assert!(refused.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_and_duplicates_belong_to_one_execution() {
    let session = session();
    session.add_events(input("tests/events", true)).unwrap();
    let mut rows = Vec::new();
    for _ in 0..3 {
        let execution = Arc::new(Execution::default());
        rows.push(number(&session, "SELECT count(*) FROM events", &execution).await);
        let stats = &execution.stats;
        assert_eq!(stats.records(), u64::try_from(rows[0]).unwrap());
        assert!(
            stats.duplicates.load(Relaxed) > 0,
            "the folder has duplicates"
        );
    }
    assert!(
        rows.iter().all(|&count| count == rows[0] && count > 0),
        "{rows:?}"
    );
    // A query that reads a table twice counts and reports once.
    let execution = Arc::new(Execution::default());
    let twice =
        "SELECT count(*) FROM (SELECT eventID FROM events UNION ALL SELECT eventID FROM events)";
    assert_eq!(number(&session, twice, &execution).await, 2 * rows[0]);
    assert_eq!(execution.stats.records(), u64::try_from(rows[0]).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_at_the_same_time_do_not_disturb_each_other() {
    let session = session();
    session
        .add_events(input("sample:?events=3000", false))
        .unwrap();
    let executions: Vec<Arc<Execution>> = (0..6).map(|_| Arc::default()).collect();
    // One is stopped, one is dropped with most of its rows left: the others do not notice.
    executions[0].stop().cancel();
    let stopped = session.plan("SELECT count(*) FROM events").await.unwrap();
    let stopped = stopped.start(&executions[0]).await.unwrap();
    let dropped = session.query("SELECT * FROM events").await.unwrap();
    drop(dropped);
    let sql = "SELECT count(*) FROM events";
    let counts = executions[1..]
        .iter()
        .map(|execution| number(&session, sql, execution));
    assert_eq!(join_all(counts).await, [3000; 5]);
    for execution in &executions[1..] {
        assert_eq!(execution.stats.records(), 3000);
    }
    let error = stopped.rows.try_collect::<Vec<_>>().await.unwrap_err();
    let error = auroratrail::query::translate_error(error);
    assert_eq!(error.to_string(), "interrupted");
    assert!(!error.is_retryable());
}
