//! The cache on disk: answers and counts are those without it, nothing is decoded twice, and it is bounded.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use auroratrail::execution::Execution;
use auroratrail::lake::object_cache::ObjectCache;
use auroratrail::query::Session;
use tempfile::TempDir;

use crate::cache::{
    QUERIES, ask, bytes_read, counts, session_over, settle, write_events, write_sample,
};
use crate::moto_server::Moto;

const ROOMY: u64 = 1 << 30;

/// A session over `location` with a cache in `cache`, or none.
fn session(location: &str, cache: Option<(&Path, u64)>) -> Session {
    let cache = cache.map(|(folder, limit)| ObjectCache::new(folder, limit));
    session_over(location, 0, cache, false)
}

/// Rows with records as JSON, as a record of the cache is put together again.
fn as_json(rows: Vec<String>) -> Vec<String> {
    let as_json = |row: String| match serde_json::from_str::<serde_json::Value>(&row) {
        Ok(record) => record.to_string(),
        Err(_) => row,
    };
    let mut rows: Vec<String> = rows.into_iter().map(as_json).collect();
    rows.sort();
    rows
}

fn path(folder: &TempDir) -> &str {
    folder.path().to_str().unwrap()
}

/// Files in the cache by the last part of their names.
fn files(cache: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for version in fs::read_dir(cache).into_iter().flatten() {
        for entry in fs::read_dir(version.unwrap().path()).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|it| it == extension) {
                found.push(path);
            }
        }
    }
    found
}

fn held_bytes(cache: &Path) -> u64 {
    let files = [files(cache, "parquet"), files(cache, "objects")].concat();
    files.iter().map(|it| fs::metadata(it).unwrap().len()).sum()
}

/// A folder with events and with all that is told of files beside events.
fn mixed_folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write_sample(folder.path(), 700);
    write_events(&folder.path().join("a.json"), &["A", "B"]);
    let head = r#"{"eventVersion":"1.08","eventTime":"2026-01-01T00:00:00Z","eventSource":"rds.amazonaws.com","eventName":"#;
    write(
        "b.json",
        &format!(r#"{{"Records":[{head}"C"}},{{"eventVer"#),
    );
    write("c.json", r#"{"a": 1}"#);
    write("d.json", "");
    write("e.json", &format!(r#"{head}"D","readOnly":"perhaps"}}"#));
    write(
        "f.json",
        r#"{"Records":[{"s3":{"bucket":{"name":"b"},"object":{"key":"k"}},"eventSource":"aws:s3","eventVersion":"2.1","eventTime":"2026-01-01T00:00:00Z","eventName":"ObjectCreated:Put"}]}"#,
    );
    settle();
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_and_counts_are_those_without_it() {
    let (folder, cache) = (mixed_folder(), TempDir::new().unwrap());
    let plain = session(path(&folder), None);
    for (at, sql) in QUERIES.iter().chain(QUERIES).enumerate() {
        let (expected, read) = ask(&plain, sql).await;
        // Another session each time, as another process would have.
        let kept = session(path(&folder), Some((cache.path(), ROOMY)));
        let (answer, execution) = ask(&kept, sql).await;
        assert!(as_json(answer) == as_json(expected), "{sql}");
        assert_eq!(bytes_read(&execution) > 0, at == 0, "{sql}");
        // A scan with a limit ends anywhere, and a row that is left out while decoding misfits nowhere.
        assert!(
            sql.contains("LIMIT") || sql.contains("WHERE") || counts(&execution) == counts(&read),
            "{sql}: {:?} {:?}",
            counts(&execution),
            counts(&read)
        );
        assert_eq!(execution.take_notes(), [""; 0]);
    }
    assert!(!files(cache.path(), "parquet").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_files_are_seen_and_only_they_are_read() {
    let (folder, cache) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let file = |name: &str| folder.path().join(name);
    write_events(&file("1.json"), &["A", "B"]);
    write_events(&file("2.json"), &["C"]);
    settle();
    let session = session(path(&folder), Some((cache.path(), ROOMY)));
    let names = async |expected: &[&str], read: u64| {
        let (answer, execution) = ask(&session, "SELECT eventName FROM events").await;
        assert_eq!(answer, expected);
        assert_eq!(bytes_read(&execution), read);
        let (answer, execution) = ask(&session, "SELECT count(*) FROM events").await;
        assert_eq!(answer, [expected.len().to_string()]);
        assert_eq!(bytes_read(&execution), 0);
    };
    let size = |name: &str| fs::metadata(file(name)).unwrap().len();
    names(&["A", "B", "C"], size("1.json") + size("2.json")).await;
    // Of the same size, with the times that the file had.
    let modified = fs::metadata(file("2.json")).unwrap().modified().unwrap();
    write_events(&file("2.json"), &["D"]);
    let changed = fs::File::options()
        .write(true)
        .open(file("2.json"))
        .unwrap();
    changed.set_modified(modified).unwrap();
    settle();
    names(&["A", "B", "D"], size("2.json")).await;
    write_events(&file("3.json"), &["E"]);
    fs::remove_file(file("1.json")).unwrap();
    settle();
    names(&["D", "E"], size("3.json")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_what_is_kept_is_read_by_itself() {
    let (folder, cache) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    for (at, part) in ["x", "y", "z"].iter().enumerate() {
        fs::create_dir(folder.path().join(part)).unwrap();
        write_sample(&folder.path().join(part), 300 * (at as u64 + 1));
    }
    let whole = session(path(&folder), Some((cache.path(), ROOMY)));
    ask(&whole, "SELECT count(*) FROM events").await;
    for location in ["x", "y", "z", "x/0.json.gz", "[xz]/*"] {
        let location = format!("{}/{location}", path(&folder));
        let plain = session(&location, None);
        let kept = session(&location, Some((cache.path(), ROOMY)));
        for sql in QUERIES {
            let (expected, _) = ask(&plain, sql).await;
            let (answer, execution) = ask(&kept, sql).await;
            assert!(as_json(answer) == as_json(expected), "{location}: {sql}");
            assert_eq!(bytes_read(&execution), 0, "{location}: {sql}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_that_is_too_small_is_not_used_and_that_is_remembered() {
    let (folder, cache) = (mixed_folder(), TempDir::new().unwrap());
    let plain = session(path(&folder), None);
    let sql = "SELECT eventName, source_uri FROM events";
    let (expected, read) = ask(&plain, sql).await;
    let kept = session(path(&folder), Some((cache.path(), 10_000)));
    for _ in 0..3 {
        let (answer, execution) = ask(&kept, sql).await;
        assert_eq!(answer, expected);
        assert_eq!(counts(&execution), counts(&read));
        let [note] = execution.take_notes().try_into().unwrap();
        assert!(note.contains("--cache-size"), "{note}");
        assert_eq!(held_bytes(cache.path()), 0);
    }
    assert_eq!(files(cache.path(), "too-small").len(), 1);
    let kept = session(path(&folder), Some((cache.path(), ROOMY)));
    let (answer, execution) = ask(&kept, sql).await;
    assert_eq!((answer, execution.take_notes().len()), (expected, 0));
    assert!(held_bytes(cache.path()) > 10_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_used_for_longest_goes() {
    let cache = TempDir::new().unwrap();
    let folders: Vec<TempDir> = (0..3).map(|_| TempDir::new().unwrap()).collect();
    for folder in &folders {
        write_sample(folder.path(), 400);
    }
    let read = async |at: usize, limit: u64| {
        let session = session(path(&folders[at]), Some((cache.path(), limit)));
        let (answer, execution) = ask(&session, "SELECT count(*) FROM events").await;
        assert_eq!(answer, ["400"]);
        settle();
        bytes_read(&execution) > 0
    };
    assert!(read(0, ROOMY).await);
    let limit = held_bytes(cache.path()) * 5 / 2;
    assert!(read(1, limit).await && !read(0, limit).await);
    assert!(read(2, limit).await);
    assert!(held_bytes(cache.path()) <= limit);
    assert!(!read(0, limit).await && !read(2, limit).await);
    assert!(read(1, limit).await);
    assert!(held_bytes(cache.path()) <= limit);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_questions_about_a_folder_that_grows_leave_few_files() {
    let (folder, cache) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let session = session(path(&folder), Some((cache.path(), ROOMY)));
    let sql = "SELECT eventName, readOnly FROM events";
    let mut expected = Vec::new();
    for at in 0..90 {
        let name = format!("Name{at:02}");
        write_events(
            &folder.path().join(format!("{at:02}.json")),
            &[&name, &name],
        );
        settle();
        expected.extend([format!("{name}|NULL"), format!("{name}|NULL")]);
        let (answer, execution) = ask(&session, sql).await;
        assert_eq!(answer, expected);
        assert_eq!(execution.stats.objects_cached.load(Relaxed), at);
    }
    assert!(files(cache.path(), "parquet").len() < 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_in_the_cache_is_not_served() {
    let (folder, cache) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    write_sample(folder.path(), 300);
    let plain = session(path(&folder), None);
    let sql = "SELECT eventID, actor FROM events";
    let (expected, _) = ask(&plain, sql).await;
    let kept = || session(path(&folder), Some((cache.path(), ROOMY)));
    assert_eq!(ask(&kept(), sql).await.0, expected);
    // Cut off, gone, without an index, with half of one; and what a writer that was killed leaves.
    for kind in ["parquet", "objects"] {
        for is_gone in [true, false] {
            for file in files(cache.path(), kind) {
                match is_gone {
                    true => fs::remove_file(&file).unwrap(),
                    false => fs::write(&file, &fs::read(&file).unwrap()[..50]).unwrap(),
                }
                fs::write(file.with_file_name("_half"), "x").unwrap();
            }
            let (answer, execution) = ask(&kept(), sql).await;
            assert_eq!(answer, expected, "{kind} {is_gone}");
            assert!(bytes_read(&execution) > 0);
            assert_eq!(ask(&kept(), sql).await.0, expected);
        }
    }
    let folder_of = files(cache.path(), "parquet")[0]
        .parent()
        .unwrap()
        .to_owned();
    assert!(!folder_of.join("_half").exists());
    fs::remove_dir_all(cache.path()).unwrap();
    assert_eq!(ask(&kept(), sql).await.0, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_is_stopped_leaves_right_answers() {
    let (folder, cache) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    write_sample(folder.path(), 3000);
    let plain = session(path(&folder), None);
    let sql = "SELECT * FROM events";
    let (expected, _) = ask(&plain, sql).await;
    for millis in [0, 1, 20, 60] {
        let kept = session(path(&folder), Some((cache.path(), ROOMY)));
        let execution = Arc::new(Execution::default());
        let stop = execution.stop().clone();
        let stopped = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            stop.cancel();
        });
        let started = kept.plan(sql).await.unwrap().start(&execution).await;
        drop(started);
        stopped.await.unwrap();
    }
    let kept = session(path(&folder), Some((cache.path(), ROOMY)));
    assert!(ask(&kept, sql).await.0 == expected);
    let (answer, execution) = ask(&kept, sql).await;
    assert!(answer == expected);
    assert_eq!(bytes_read(&execution), 0);
}

fn auroratrail(cache: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_auroratrail"));
    command
        .env("AURORATRAIL_CACHE_FOLDER", cache)
        .args(arguments)
        .stdin(Stdio::null());
    command
}

fn text(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

const BY_NAME: &str =
    "SELECT eventName, count(*), min(eventTime), max(source_uri) FROM events GROUP BY 1 ORDER BY 1";

#[test]
fn processes_that_are_killed_or_read_at_once_keep_it_right() {
    let (folder, cache) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    write_sample(folder.path(), 3000);
    let query = ["query", "--format", "csv", BY_NAME, path(&folder)];
    let plain = auroratrail(cache.path(), &query).output().unwrap();
    let cached = [&query[..], &["--cache"]].concat();
    for at in 0..12 {
        let mut killed = auroratrail(cache.path(), &cached)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(40 * at));
        killed.kill().unwrap();
        killed.wait().unwrap();
    }
    for round in 0..2 {
        let running: Vec<_> = (0..3)
            .map(|_| {
                let mut command = auroratrail(cache.path(), &cached);
                let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
                command.spawn().unwrap()
            })
            .collect();
        for running in running {
            let output = running.wait_with_output().unwrap();
            assert_eq!(text(&output), text(&plain), "{round}");
        }
    }
}

#[test]
fn a_plan_is_shown_without_reading_and_other_sources_are_refused() {
    let (folder, cache) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    write_sample(folder.path(), 100);
    let run = |arguments: &[&str]| {
        let output = auroratrail(cache.path(), arguments).output().unwrap();
        (output.status.code().unwrap(), text(&output))
    };
    let explain = format!("EXPLAIN {BY_NAME}");
    let (code, (plan, _)) = run(&["query", &explain, path(&folder), "--cache"]);
    assert!(code == 0 && plan.contains("EventsExec"), "{plan}");
    assert_eq!(held_bytes(cache.path()), 0);
    let (code, (_, error)) = run(&["query", BY_NAME, "sample:?events=3", "--cache"]);
    assert_eq!(code, 2);
    assert!(error.contains("leave out --cache"), "{error}");
    let (code, (_, error)) = run(&["query", BY_NAME, path(&folder), "--cache", "--dedup"]);
    assert_eq!(code, 2);
    assert!(error.contains("cannot be used with"), "{error}");
    let (code, _) = run(&["query", BY_NAME, path(&folder), "--cache"]);
    assert!(code == 0 && held_bytes(cache.path()) > 0);
    let analyze = format!("EXPLAIN ANALYZE {BY_NAME}");
    let (_, (plan, _)) = run(&["query", &analyze, path(&folder), "--cache"]);
    assert!(
        plan.contains("DataSourceExec") && !plan.contains("EventsExec"),
        "{plan}"
    );
}

#[test]
fn a_cache_that_cannot_be_written_is_told_and_the_answer_comes() {
    let (folder, cache) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    write_sample(folder.path(), 100);
    let file = cache.path().join("file");
    fs::write(&file, "x").unwrap();
    let query = [
        "query",
        "SELECT count(*) AS n FROM events",
        path(&folder),
        "--cache",
    ];
    let output = auroratrail(&file, &query).output().unwrap();
    let (answer, told) = text(&output);
    assert!(
        output.status.success() && answer.contains("100"),
        "{answer}"
    );
    assert!(told.contains("note: answered without the cache"), "{told}");
}

#[test]
fn objects_of_s3_are_kept_by_their_etag() {
    let (moto, cache) = (Moto::start(), TempDir::new().unwrap());
    moto.put("/bucket", "");
    let record = |name: &str| {
        format!(
            r#"{{"Records":[{{"eventVersion":"1.08","eventTime":"2026-01-01T00:00:00Z","eventSource":"rds.amazonaws.com","eventName":"{name}","eventID":"{name}"}}]}}"#
        )
    };
    moto.put("/bucket/1.json", &record("A"));
    moto.put("/bucket/2.json", &record("B"));
    let names = |expected: &str| {
        let sql = "SELECT string_agg(eventName, ' ' ORDER BY eventName) AS names FROM events";
        let mut command = auroratrail(
            cache.path(),
            &["query", "--format", "csv", sql, "s3://bucket/", "--cache"],
        );
        let output = command
            .env("AWS_ENDPOINT_URL", &moto.endpoint)
            .env("AWS_ACCESS_KEY_ID", "AKIATEST")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .env("AWS_REGION", "us-east-1")
            .output()
            .unwrap();
        let (answer, told) = text(&output);
        assert_eq!(answer, format!("names\n{expected}\n"), "{told}");
        assert_eq!(told, "");
    };
    names("A B");
    let first = files(cache.path(), "parquet").len();
    names("A B");
    assert_eq!(files(cache.path(), "parquet").len(), first);
    // Of the same size.
    moto.put("/bucket/2.json", &record("C"));
    names("A C");
    assert!(files(cache.path(), "parquet").len() > first);
    names("A C");
}
