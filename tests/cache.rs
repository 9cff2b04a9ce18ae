//! The cache of decoded columns: answers are those without it, and nothing is read twice.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use arrow::util::display::{ArrayFormatter, FormatOptions};
use auroratrail::execution::Execution;
use auroratrail::lake::object_cache::ObjectCache;
use auroratrail::query::table::Input;
use auroratrail::query::{Session, SessionOptions};
use auroratrail::sample::Sample;
use auroratrail::source::Sources;
use auroratrail::source::aws::AwsSettings;
use futures::TryStreamExt;
use proptest::prelude::*;
use tempfile::TempDir;

/// More than all that the tests decode.
const ROOMY: usize = 256 << 20;

fn session(folder: &Path, cache_bytes: usize, dedup: bool) -> Session {
    session_over(folder.to_str().unwrap(), cache_bytes, None, dedup)
}

/// A session over a location, with a cache in memory and one on disk.
pub(crate) fn session_over(
    location: &str,
    cache_bytes: usize,
    objects: Option<ObjectCache>,
    dedup: bool,
) -> Session {
    let session = Session::new(SessionOptions {
        threads: 2,
        memory_bytes: 256 << 20,
        cache_bytes,
    })
    .unwrap()
    .with_object_cache(objects);
    let sources = Sources::new(AwsSettings::default());
    let locations = vec![sources.parse(location).unwrap()];
    let input = Input {
        sources,
        locations,
        lakes: Vec::new(),
        dedup,
    };
    session.add_events(input).unwrap();
    session
}

/// The answer to a query, its rows sorted, and what was counted.
pub(crate) async fn ask(session: &Session, sql: &str) -> (Vec<String>, Arc<Execution>) {
    let execution = Arc::new(Execution::default());
    let plan = session.plan(sql).await.unwrap();
    let result = plan.start(&execution).await.unwrap();
    let batches: Vec<_> = result.rows.try_collect().await.unwrap();
    let options = FormatOptions::default().with_null("NULL");
    let mut rows = Vec::new();
    for batch in &batches {
        let columns: Vec<_> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column, &options).unwrap())
            .collect();
        for row in 0..batch.num_rows() {
            let cells: Vec<_> = columns.iter().map(|it| it.value(row).to_string()).collect();
            rows.push(cells.join("|"));
        }
    }
    rows.sort();
    (rows, execution)
}

pub(crate) fn bytes_read(execution: &Execution) -> u64 {
    execution.stats.bytes_read.load(Relaxed)
}

/// The counts that a summary tells.
pub(crate) fn counts(execution: &Execution) -> impl PartialEq + std::fmt::Debug + use<> {
    let stats = &execution.stats;
    let mismatches: Vec<_> = stats
        .type_mismatches()
        .into_iter()
        .map(|(column, count, _)| (column, count))
        .collect();
    (
        [
            &stats.events,
            &stats.insights,
            &stats.aggregated,
            &stats.salvaged,
        ]
        .map(|count| count.load(Relaxed)),
        [
            &stats.damaged_objects,
            &stats.empty_objects,
            &stats.objects_listed,
        ]
        .map(|count| count.load(Relaxed)),
        stats.not_cloudtrail_by_kind(),
        stats.rejects_by_reason(),
        mismatches,
    )
}

/// Writes sample documents, as files `0.json`, `1.json` ...
pub(crate) fn write_sample(folder: &Path, events: u64) {
    let sample = Sample::parse(&format!("?events={events}")).unwrap();
    for (at, payload) in sample.payloads().enumerate() {
        let auroratrail::payload::Body::Whole(bytes) = payload.body else {
            panic!("the sample is at hand");
        };
        fs::write(folder.join(format!("{at}.json.gz")), bytes).unwrap();
    }
    settle();
}

/// A log file with one event for each name.
pub(crate) fn write_events(path: &Path, names: &[&str]) {
    let mut file = fs::File::create(path).unwrap();
    for name in names {
        let line = format!(
            r#"{{"eventVersion":"1.08","eventTime":"2026-01-01T00:00:00Z","eventSource":"rds.amazonaws.com","eventName":"{name}","awsRegion":"eu-west-1","eventID":"{name}"}}"#
        );
        writeln!(file, "{line}").unwrap();
    }
}

/// Waits until the times of files tell later changes.
pub(crate) fn settle() {
    std::thread::sleep(Duration::from_millis(70));
}

pub(crate) const QUERIES: &[&str] = &[
    "SELECT count(*) FROM events",
    "SELECT eventName, eventTime FROM events",
    "SELECT eventName, count(*) FROM events WHERE eventSource = 'rds.amazonaws.com' GROUP BY 1",
    "SELECT actor, is_denied, db_identifier FROM events WHERE NOT readOnly",
    "SELECT source_uri, count(*), min(eventTime) FROM events GROUP BY 1",
    "SELECT a.eventID FROM events a JOIN events b ON a.eventID = b.eventID WHERE b.readOnly",
    "SELECT count(*) FROM (SELECT eventID FROM events LIMIT 10)",
    "SELECT record FROM events WHERE eventTime > TIMESTAMP '2026-01-01 00:00:00'",
    "SELECT * FROM events WHERE errorCode IS NOT NULL",
    "SELECT *, eventName FROM events",
    "SELECT eventName FROM aurora_events",
];

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_the_same_and_are_not_read_twice() {
    let folder = TempDir::new().unwrap();
    write_sample(folder.path(), 700);
    let plain = session(folder.path(), 0, false);
    let cached = session(folder.path(), ROOMY, false);
    let mut first = Vec::new();
    for sql in QUERIES {
        let (expected, _) = ask(&plain, sql).await;
        let (answer, execution) = ask(&cached, sql).await;
        assert_eq!(answer, expected, "{sql}");
        first.push((expected, counts(&execution)));
    }
    for (sql, (expected, counted)) in QUERIES.iter().zip(&first).rev() {
        let (answer, execution) = ask(&cached, sql).await;
        assert_eq!(&answer, expected, "{sql}");
        assert_eq!(bytes_read(&execution), 0, "{sql}");
        assert!(execution.stats.objects_cached.load(Relaxed) > 0, "{sql}");
        // A scan with a limit ends anywhere.
        assert!(
            sql.contains("LIMIT") || counts(&execution) == *counted,
            "{sql}"
        );
    }
    assert!(cached.cache_usage().objects > 1);
    assert_eq!(
        plain.cache_usage(),
        auroratrail::query::CacheUsage::default()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_files_are_seen() {
    let folder = TempDir::new().unwrap();
    let (one, two) = (folder.path().join("1.json"), folder.path().join("2.json"));
    write_events(&one, &["A", "B"]);
    write_events(&two, &["C"]);
    settle();
    let session = session(folder.path(), ROOMY, false);
    let names = async |expected: &[&str]| {
        for _ in 0..2 {
            let (answer, _) = ask(&session, "SELECT eventName FROM events").await;
            assert_eq!(answer, expected);
        }
    };
    names(&["A", "B", "C"]).await;
    // Of the same size, with the times that the file had.
    let modified = fs::metadata(&two).unwrap().modified().unwrap();
    write_events(&two, &["D"]);
    let file = fs::File::options().write(true).open(&two).unwrap();
    file.set_modified(modified).unwrap();
    settle();
    names(&["A", "B", "D"]).await;
    // At once, before its times can be relied on.
    write_events(&two, &["E"]);
    names(&["A", "B", "E"]).await;
    write_events(&one, &["A", "B", "F"]);
    settle();
    names(&["A", "B", "E", "F"]).await;
    write_events(&folder.path().join("3.json"), &["G"]);
    fs::remove_file(&two).unwrap();
    names(&["A", "B", "F", "G"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_is_kept_in_chunks() {
    let folder = TempDir::new().unwrap();
    let names: Vec<String> = (0..20_000).map(|at| format!("Name{at}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    write_events(&folder.path().join("1.json"), &names);
    write_events(&folder.path().join("2.json"), &names[..4096]);
    settle();
    let (plain, cached) = (
        session(folder.path(), 0, false),
        session(folder.path(), ROOMY, false),
    );
    let sql = "SELECT eventName, record, errorCode, source_uri FROM events";
    let (expected, _) = ask(&plain, sql).await;
    for is_first in [true, false] {
        let (answer, execution) = ask(&cached, sql).await;
        assert!(answer == expected);
        assert_eq!(bytes_read(&execution) > 0, is_first);
    }
    let (_, execution) = ask(
        &cached,
        "SELECT errorCode FROM events WHERE eventName = 'Name7'",
    )
    .await;
    assert_eq!(bytes_read(&execution), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_is_too_small_is_kept_to_and_remembered() {
    let folder = TempDir::new().unwrap();
    write_sample(folder.path(), 700);
    let limit = 64 << 10;
    let plain = session(folder.path(), 0, false);
    let cached = session(folder.path(), limit, false);
    for sql in QUERIES.iter().chain(QUERIES) {
        let (expected, _) = ask(&plain, sql).await;
        let (answer, _) = ask(&cached, sql).await;
        assert_eq!(answer, expected, "{sql}");
        let usage = cached.cache_usage();
        assert!(usage.held_bytes <= limit, "{sql}: {usage:?}");
    }
    let explain = |sql: &str| format!("EXPLAIN {sql}");
    let (plan, _) = ask(
        &cached,
        &explain("SELECT record, eventTime FROM events WHERE eventName = 'A'"),
    )
    .await;
    let plan = plan.join("\n");
    assert!(
        plan.contains("cache=read") && !plan.contains("filled"),
        "{plan}"
    );
    assert!(plan.contains("while_decoding"), "{plan}");
    let (plan, _) = ask(&cached, &explain("SELECT readOnly FROM events")).await;
    assert!(
        plan.join("\n").contains("cache=read and filled"),
        "{plan:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_that_were_not_used_for_longest_make_room() {
    let folder = TempDir::new().unwrap();
    write_sample(folder.path(), 700);
    let whole = session(folder.path(), ROOMY, false);
    let queries =
        ["eventName", "eventID", "requestID"].map(|it| format!("SELECT {it} FROM events"));
    ask(&whole, &queries[1]).await;
    // Room for one of the columns, and some.
    let limit = whole.cache_usage().held_bytes * 3 / 2;
    let cached = session(folder.path(), limit, false);
    for sql in queries.iter().chain(&queries) {
        let (answer, execution) = ask(&cached, sql).await;
        assert_eq!(answer, ask(&whole, sql).await.0);
        assert!(bytes_read(&execution) > 0, "{sql}");
        let (_, execution) = ask(&cached, sql).await;
        assert_eq!(bytes_read(&execution), 0, "{sql}");
        assert!(cached.cache_usage().held_bytes <= limit);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_counted_every_time() {
    let folder = TempDir::new().unwrap();
    write_events(&folder.path().join("1.json"), &["A", "B"]);
    let broken = r#"{"Records":[{"eventVersion":"1.08","eventTime":"2026-01-01T00:00:00Z","eventSource":"rds.amazonaws.com","eventName":"C"},{"eventVer"#;
    fs::write(folder.path().join("2.json"), broken).unwrap();
    fs::write(folder.path().join("3.json"), r#"{"a": 1}"#).unwrap();
    fs::write(folder.path().join("4.json"), "").unwrap();
    let misfit = r#"{"eventVersion":"1.08","eventTime":"2026-01-01T00:00:00Z","eventSource":"rds.amazonaws.com","eventName":"D","readOnly":"perhaps"}"#;
    fs::write(folder.path().join("5.json"), misfit).unwrap();
    settle();
    let (plain, cached) = (
        session(folder.path(), 0, false),
        session(folder.path(), ROOMY, false),
    );
    for sql in [
        "SELECT eventName, readOnly FROM events",
        "SELECT count(*) FROM events",
        "SELECT readOnly FROM events",
    ] {
        let (expected, read) = ask(&plain, sql).await;
        assert!(read.stats.rejects() > 0);
        for _ in 0..2 {
            let (answer, execution) = ask(&cached, sql).await;
            assert_eq!(answer, expected, "{sql}");
            assert_eq!(counts(&execution), counts(&read), "{sql}");
        }
        let (_, execution) = ask(&cached, sql).await;
        assert_eq!(bytes_read(&execution), broken.len() as u64, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_is_stopped_leaves_right_answers() {
    let folder = TempDir::new().unwrap();
    write_sample(folder.path(), 3000);
    let (plain, cached) = (
        session(folder.path(), 0, false),
        session(folder.path(), ROOMY, false),
    );
    let sql = "SELECT * FROM events";
    let (expected, _) = ask(&plain, sql).await;
    for stops in [true, false] {
        let execution = Arc::new(Execution::default());
        let plan = cached.plan(sql).await.unwrap();
        let mut result = plan.start(&execution).await.unwrap();
        let first = result.rows.try_next().await.unwrap();
        assert!(first.is_some());
        if stops {
            execution.stop().cancel();
        }
        drop(result);
    }
    assert!(ask(&cached, sql).await.0 == expected);
    let (answer, execution) = ask(&cached, sql).await;
    assert!(answer == expected);
    assert_eq!(bytes_read(&execution), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_kept_where_duplicates_are_left_out() {
    let folder = TempDir::new().unwrap();
    write_events(&folder.path().join("1.json"), &["A", "A"]);
    settle();
    let session = session(folder.path(), ROOMY, true);
    for _ in 0..2 {
        let (answer, execution) = ask(&session, "SELECT eventName FROM events").await;
        assert_eq!(answer, ["A"]);
        assert!(bytes_read(&execution) > 0);
    }
    assert_eq!(session.cache_usage().objects, 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn any_sequence_of_changes_and_queries_gives_the_answers_of_no_cache(
        steps in prop::collection::vec((0..3usize, 0..6usize, any::<bool>()), 1..14),
        limit in prop::sample::select(vec![2000, 20_000, ROOMY]),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let folder = TempDir::new().unwrap();
        let (plain, cached) = (session(folder.path(), 0, false), session(folder.path(), limit, false));
        let queries = [
            "SELECT count(*) FROM events",
            "SELECT eventName, source_uri FROM events",
            "SELECT eventName, eventID FROM events WHERE eventName = 'A'",
            "SELECT record, eventID FROM events",
        ];
        for (file, content, settles) in steps {
            let path = folder.path().join(format!("{file}.json"));
            match content {
                0 => drop(fs::remove_file(&path)),
                1 => write_events(&path, &["A"]),
                2 => write_events(&path, &["B"]),
                3 => write_events(&path, &["A", "B", "C"]),
                _ => {}
            }
            if settles {
                settle();
            }
            let sql = queries[content % queries.len()];
            let expected = runtime.block_on(ask(&plain, sql)).0;
            prop_assert_eq!(runtime.block_on(ask(&cached, sql)).0, expected);
            prop_assert!(cached.cache_usage().held_bytes <= limit);
        }
    }
}
