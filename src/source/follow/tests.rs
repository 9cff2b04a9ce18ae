//! Files that grow, are renamed and are emptied.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use super::*;
use crate::source::aws::AwsSettings;
use crate::source::{Boundedness, Sources};

fn open(folder: &Path, from: Option<Checkpoint>, reading: Reading) -> Box<dyn Source> {
    let sources = Sources::new(AwsSettings::default());
    let context = OpenContext {
        from,
        reading,
        follow: true,
        ..OpenContext::default()
    };
    let location = sources
        .parse(&format!("{}/*.log*", folder.display()))
        .unwrap();
    sources.open(&[location], &context).unwrap()
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// The lines that come until nothing has for a while.
async fn lines(source: &mut Box<dyn Source>) -> Vec<String> {
    let mut lines = Vec::new();
    let wait = Duration::from_millis(3_000);
    while let Ok(payload) = tokio::time::timeout(wait, source.next()).await {
        let Some(payload) = payload.unwrap() else {
            break;
        };
        let Body::Whole(bytes) = payload.body else {
            panic!("lines are in memory")
        };
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        lines.extend(text.lines().map(str::to_owned));
    }
    lines
}

#[tokio::test]
async fn lines_come_once_they_are_whole_and_through_rotation() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("app.log");
    append(&log, "1\n2\n3");
    let mut source = open(folder.path(), None, Reading::Follow);
    assert_eq!(source.boundedness(), Boundedness::Unbounded);
    assert_eq!(lines(&mut source).await, ["1", "2"]);
    let waiting = |source: &dyn Source| source.progress().behind.into_values().next();
    assert_eq!(waiting(&*source), Some(Lag::Bytes(1)));
    append(&log, "\n4\n");
    assert_eq!(lines(&mut source).await, ["3", "4"]);
    assert_eq!(waiting(&*source), Some(Lag::Bytes(0)));
    // The writer still has the old file for a moment.
    let old = folder.path().join("app.log.1");
    fs::rename(&log, &old).unwrap();
    append(&log, "a\nb\n");
    append(&old, "5\n");
    let mut both = lines(&mut source).await;
    both.sort();
    assert_eq!(both, ["5", "a", "b"]);
    // Emptied in place; what comes then begins as before.
    fs::write(&log, "").unwrap();
    assert!(lines(&mut source).await.is_empty());
    append(&log, "a\n");
    assert_eq!(lines(&mut source).await, ["a"]);
}

#[tokio::test]
async fn a_reading_goes_on_where_it_was_also_in_a_file_that_was_renamed() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("app.log");
    append(&log, "1\n2\n");
    let mut source = open(folder.path(), None, Reading::Follow);
    assert_eq!(lines(&mut source).await, ["1", "2"]);
    let checkpoint = source.checkpoint();
    drop(source);
    append(&log, "3\n");
    fs::rename(&log, folder.path().join("app.log.1")).unwrap();
    append(&log, "a\n");
    let mut source = open(folder.path(), Some(checkpoint), Reading::ToNow);
    let mut rest = lines(&mut source).await;
    rest.sort();
    assert_eq!(rest, ["3", "a"]);
}

#[tokio::test]
async fn who_watches_sees_what_is_written_from_now_on() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("app.log");
    append(&log, "1\n2\n");
    let mut source = open(folder.path(), None, Reading::Watch);
    assert!(lines(&mut source).await.is_empty());
    append(&log, "3\n");
    append(&folder.path().join("new.log"), "n\n");
    let mut news = lines(&mut source).await;
    news.sort();
    assert_eq!(news, ["3", "n"]);
}

#[tokio::test]
async fn long_lines_and_large_files_come_whole() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("app.log");
    let long = "x".repeat(3 << 20);
    append(&log, &format!("first\n{long}\n"));
    (0..100_000).for_each(|number| append_number(&log, number));
    let mut source = open(folder.path(), None, Reading::ToNow);
    let all = lines(&mut source).await;
    assert_eq!(all.len(), 100_002);
    assert_eq!(all[1].len(), long.len());
    assert_eq!(all.last().map(|it| &**it), Some("99999"));
}

fn append_number(log: &Path, number: u32) {
    if number.is_multiple_of(1000) {
        let text: String = (number..number + 1000)
            .map(|it| format!("{it}\n"))
            .collect();
        append(log, &text);
    }
}
