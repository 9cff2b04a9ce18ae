//! Standing queries against the same SQL as one query.

use std::io::Write;

use datafusion::arrow::util::pretty::pretty_format_batches;

use super::*;
use crate::events::columns::catalog;
use crate::pipeline::DecodeWorker;
use crate::query::SessionOptions;
use crate::query::table::Input;
use crate::source::{Sources, aws::AwsSettings};

fn session() -> Session {
    let session = Session::new(SessionOptions {
        threads: 1,
        memory_bytes: 64 << 20,
        cache_bytes: 0,
    });
    session.unwrap()
}

async fn feed() -> Session {
    let session = session();
    session.add_feed().unwrap();
    let mut file = tempfile::Builder::new().suffix(".csv").tempfile().unwrap();
    write!(file, "Name,Team\nProduct,7\nnobody,8\n").unwrap();
    session
        .add_static_table("Owners", file.path())
        .await
        .unwrap();
    session
}

/// Decodes sample events as a query wants them, in batches of `rows`.
fn batches(query: &StandingQuery, rows: usize) -> Vec<RecordBatch> {
    let request = BatchRequest {
        batch_rows: rows,
        ..query.request().clone()
    };
    let execution = Arc::default();
    let sample = crate::sample::Sample::parse("?events=500").unwrap();
    let mut batches = Vec::new();
    for payload in sample.payloads_from(0) {
        let mut extractor = crate::envelope::Extractor::default();
        let mut worker = DecodeWorker::new(&request, None, Arc::clone(&execution), |batch| {
            batches.push(batch);
            true
        });
        extractor.extract(payload, &mut Records(&mut worker));
        crate::pipeline::Worker::flush(&mut worker);
    }
    batches
}

struct Records<'a, W>(&'a mut W);

impl<W: crate::pipeline::Worker> crate::envelope::RecordSink for Records<'_, W> {
    fn record(&mut self, record: &crate::envelope::Record<'_>) -> crate::envelope::Taken {
        self.0.record(record)
    }
    fn not_cloudtrail(&mut self, _: &'static str, _: u64) {}
    fn reject(&mut self, reject: &crate::reject::Reject<'_>) {
        panic!("{reject:?}")
    }
}

fn lines(rows: &[RecordBatch]) -> Vec<String> {
    let text = pretty_format_batches(rows).unwrap().to_string();
    let mut lines: Vec<String> = text.lines().map(|line| line.replace(' ', "")).collect();
    lines.retain(|line| line.starts_with('|'));
    lines.sort();
    lines
}

/// The answer of the same SQL as one query over all events.
async fn at_once(sql: &str) -> Vec<String> {
    let session = session();
    let sources = Sources::new(AwsSettings::default());
    let locations = vec![sources.parse("sample:?events=500").unwrap()];
    session
        .add_events(Input {
            sources,
            locations,
            lakes: Vec::new(),
            dedup: false,
        })
        .unwrap();
    let mut file = tempfile::Builder::new().suffix(".csv").tempfile().unwrap();
    write!(file, "Name,Team\nProduct,7\nnobody,8\n").unwrap();
    session
        .add_static_table("Owners", file.path())
        .await
        .unwrap();
    let rows = session.query(sql).await.unwrap().rows;
    let rows: Vec<RecordBatch> = futures::TryStreamExt::try_collect(rows).await.unwrap();
    lines(&rows)
}

#[tokio::test]
async fn rows_of_all_batches_are_those_of_one_query() {
    for sql in [
        "SELECT eventTime, actor, eventName, db_identifier FROM aurora_events WHERE NOT readOnly",
        "SELECT eventID FROM events WHERE is_denied OR requestParameters.engine LIKE 'aurora%'",
        "SELECT 1 AS one FROM events WHERE eventSource = 'rds.amazonaws.com'",
        "SELECT e.eventID, o.team FROM events e LEFT JOIN owners o ON o.name = e.actor",
        "SELECT e.eventID, o.team FROM owners o JOIN events e ON o.name <> e.actor AND e.readOnly",
        "SELECT eventID FROM events WHERE actor NOT IN (SELECT name FROM owners)",
        "SELECT eventID FROM events WHERE (SELECT count(*) FROM owners) = 2 AND NOT readOnly",
        "SELECT eventID, 'a' AS x FROM events WHERE readOnly UNION ALL SELECT actor, 'b' FROM events WHERE NOT readOnly",
        "WITH w AS (SELECT actor, eventName FROM events WHERE NOT readOnly) SELECT upper(actor) FROM w WHERE eventName LIKE 'C%'",
    ] {
        let expected = at_once(sql).await;
        assert!(expected.len() > 2, "{sql}");
        for batch_rows in [1, 7, 4096] {
            let session = feed().await;
            let mut query = session.standing(sql).await.unwrap();
            let mut rows = Vec::new();
            for batch in batches(&query, batch_rows) {
                rows.extend(query.rows(batch).await.unwrap());
            }
            assert_eq!(lines(&rows), expected, "{sql}, {batch_rows} rows");
        }
    }
}

#[tokio::test]
async fn only_what_is_needed_is_decoded() {
    let session = feed().await;
    let query = session
        .standing("SELECT eventName FROM aurora_events")
        .await
        .unwrap();
    let columns = query.request().projection.iter();
    let columns: Vec<&str> = columns.map(|&at| &*catalog().columns()[at].name).collect();
    assert_eq!(columns, ["eventsource", "eventname", "engine"]);
    assert!(!query.request().filter.is_empty());
    assert_eq!(query.column_names(), ["eventName"]);
    let query = session
        .standing("SELECT eventName FROM events LIMIT 3")
        .await
        .unwrap();
    assert_eq!(query.limit(), Some(3));
}

#[tokio::test]
async fn a_query_without_an_answer_before_the_last_event_is_refused_with_advice() {
    let session = feed().await;
    for (sql, said) in [
        ("SELECT count(*) FROM events", "counting, grouping"),
        (
            "SELECT actor, count(*) FROM aurora_events GROUP BY actor",
            "auroratrail query",
        ),
        ("SELECT DISTINCT actor FROM events", "DISTINCT"),
        (
            "SELECT eventID, row_number() OVER (ORDER BY eventTime) FROM events",
            "window functions",
        ),
        ("SELECT eventID FROM events ORDER BY eventTime", "ORDER BY"),
        (
            "SELECT * FROM (SELECT eventID FROM events LIMIT 3) WHERE eventID > 'a'",
            "LIMIT in a subquery",
        ),
        ("SELECT eventID FROM events LIMIT 3 OFFSET 1", "no OFFSET"),
        (
            "SELECT a.eventID FROM events a JOIN events b USING (eventID)",
            "still to come",
        ),
        (
            "SELECT eventID FROM events WHERE actor IN (SELECT actor FROM events WHERE is_denied)",
            "still to come",
        ),
        (
            "SELECT eventID FROM events WHERE eventTime = (SELECT max(eventTime) FROM events)",
            "before the last event",
        ),
        (
            "SELECT o.team FROM owners o LEFT JOIN events e ON e.actor = o.name",
            "FROM events LEFT JOIN",
        ),
        (
            "SELECT eventID FROM events_current",
            "before the last event",
        ),
        (
            "SELECT eventID FROM events UNION ALL SELECT name FROM owners",
            "UNION",
        ),
        (
            "SELECT eventID FROM events UNION SELECT actor FROM events",
            "DISTINCT",
        ),
        ("SELECT name FROM owners", "nothing to watch"),
        ("SELECT 1", "nothing to watch"),
        ("DESCRIBE events", "nothing to watch"),
        ("EXPLAIN SELECT eventID FROM events", "nothing to watch"),
        ("SELECT eventNam FROM events", "eventName"),
        (
            "SELECT 1 FROM events; SELECT 2 FROM events",
            "expected one SQL statement",
        ),
    ] {
        let error = session.standing(sql).await.unwrap_err().to_string();
        assert!(error.contains(said), "{sql}: {error}");
    }
}

#[tokio::test]
async fn a_static_table_has_a_name_of_its_own_and_a_known_ending() {
    let session = feed().await;
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("x.csv");
    std::fs::write(&csv, "a,b\n1,2\n").unwrap();
    let odd = folder.path().join("x.xlsx");
    std::fs::write(&odd, "").unwrap();
    for (name, path, said) in [
        ("events", &csv, "there is a table events already"),
        ("a b", &csv, "expected letters"),
        ("x", &odd, "ends in .csv"),
        ("x", &folder.path().join("none.csv"), "not a file"),
    ] {
        let error = session
            .add_static_table(name, path)
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains(said), "{error}");
    }
    let ndjson = folder.path().join("y.ndjson");
    std::fs::write(&ndjson, "{\"Account\": \"1\", \"n\": 2}\n").unwrap();
    session.add_static_table("accounts", &ndjson).await.unwrap();
    let sql =
        "SELECT eventID, ACCOUNTS.N FROM events JOIN accounts ON account = recipientAccountId";
    session.standing(sql).await.unwrap();
}
