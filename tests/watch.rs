//! `auroratrail watch` through the whole command, over a file that grows.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A watch of a file that grows, with a static table and a checkpoint.
const ARGUMENTS: [&str; 9] = [
    SQL,
    "events.ndjson",
    "--follow",
    "--table",
    "teams=teams.csv",
    "--format",
    "ndjson",
    "--checkpoint",
    "watch.json",
];

/// A watch that is under way.
struct Watching {
    child: Child,
    lines: Receiver<String>,
}

const SQL: &str = "SELECT eventID, eventName, team FROM aurora_events LEFT JOIN teams ON who = actor WHERE NOT readOnly";

impl Watching {
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_auroratrail"))
            .arg("watch")
            .args(arguments)
            .current_dir(folder)
            .env("HOME", folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self { child, lines }
    }

    /// Waits for so many lines.
    #[track_caller]
    fn lines(&self, count: usize) -> Vec<String> {
        let lines = (0..count).map(|_| self.lines.recv_timeout(Duration::from_secs(20)));
        lines.collect::<Result<_, _>>().expect("the rows come")
    }

    /// Stops it as a service manager does; returns its exit status and what came after all.
    fn stop(mut self) -> (Option<i32>, Vec<String>, String) {
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        let start = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "it does not stop"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        let mut said = String::new();
        let errors = self.child.stderr.take();
        errors.unwrap().read_to_string(&mut said).unwrap();
        let code = self.child.wait().unwrap().code();
        (code, self.lines.iter().collect(), said)
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn event(id: u32, read_only: bool) -> String {
    format!(
        r#"{{"eventVersion":"1.11","userIdentity":{{"type":"IAMUser","userName":"anna"}},"eventTime":"2026-11-01T10:00:00Z","eventSource":"rds.amazonaws.com","eventName":"ModifyDBCluster","awsRegion":"eu-west-1","readOnly":{read_only},"eventID":"{id:08}","eventType":"AwsApiCall"}}"#
    ) + "\n"
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn place() -> TempDir {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("teams.csv"), "Who,Team\nanna,blue\n").unwrap();
    folder
}

fn ids(lines: &[String]) -> Vec<u32> {
    let id = |line: &String| line[line.find(':').unwrap() + 2..][..8].parse().unwrap();
    let mut ids: Vec<u32> = lines.iter().map(id).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn rows_come_out_as_events_arrive_and_a_checkpoint_neither_skips_nor_repeats() {
    let folder = place();
    let log = folder.path().join("events.ndjson");
    append(&log, &event(0, false));
    let watching = Watching::start(folder.path(), &ARGUMENTS);
    // What was there before is no news.
    std::thread::sleep(Duration::from_secs(2));
    let mut seen = Vec::new();
    for id in 1..=10 {
        append(&log, &event(2 * id, false));
        append(&log, &event(2 * id + 1, true));
        let line = watching.lines(1).remove(0);
        assert!(
            line.contains("ModifyDBCluster") && line.contains("\"team\":\"blue\""),
            "{line}"
        );
        seen.push(line);
    }
    let (code, more, said) = watching.stop();
    assert_eq!((code, more.len()), (Some(130), 0), "{said}");
    assert_eq!(ids(&seen), (1..=10).map(|id| 2 * id).collect::<Vec<_>>());

    // Written while nobody watches, and the file is renamed meanwhile.
    append(&log, &event(50, false));
    std::fs::rename(&log, folder.path().join("events.ndjson.1")).unwrap();
    append(&log, &event(60, false));
    let both = ["events.ndjson", "events.ndjson.1"];
    let again: Vec<&str> = [&[SQL][..], &both, &ARGUMENTS[2..]].concat();
    let watching = Watching::start(folder.path(), &again);
    assert_eq!(ids(&watching.lines(2)), [50, 60]);
    let (_, more, _) = watching.stop();
    assert_eq!(more.len(), 0);
}

#[test]
fn kills_at_any_moment_lose_no_row_and_those_that_come_again_are_few() {
    let folder = place();
    let log = folder.path().join("events.ndjson");
    append(&log, "");
    // The first run begins at the end of what is there, which is nothing.
    let first = Watching::start(folder.path(), &ARGUMENTS);
    std::thread::sleep(Duration::from_secs(2));
    append(&log, &event(1, false));
    let mut seen = ids(&first.lines(1));
    drop(first);
    let mut sent = 1;
    for round in 0..10_u64 {
        let mut watching = Watching::start(folder.path(), &ARGUMENTS);
        for _ in 0..20 {
            sent += 1;
            append(&log, &event(sent, false));
            std::thread::sleep(Duration::from_millis(10 + round * 7 % 30));
        }
        watching.child.kill().unwrap();
        watching.child.wait().unwrap();
        seen.extend(ids(&watching.lines.iter().collect::<Vec<_>>()));
    }
    let watching = Watching::start(folder.path(), &ARGUMENTS);
    std::thread::sleep(Duration::from_secs(3));
    let (_, rest, _) = watching.stop();
    seen.extend(ids(&rest));
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, (1..=sent).collect::<Vec<_>>());
}

#[test]
fn a_limit_ends_it_and_files_that_do_not_grow_end_too() {
    let folder = place();
    let events: String = (0..100).map(|id| event(id, false)).collect();
    append(&folder.path().join("events.ndjson"), &events);
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_auroratrail"))
            .arg("watch")
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    };
    let (code, rows, said) = run(&[
        "SELECT eventID FROM events LIMIT 7",
        "events.ndjson",
        "--format",
        "csv",
    ]);
    assert_eq!((code, rows.lines().count()), (Some(0), 8), "{said}");
    let (code, rows, _) = run(&[
        "SELECT eventID FROM events",
        "events.ndjson",
        "--format",
        "csv",
    ]);
    assert_eq!((code, rows.lines().count()), (Some(0), 101));
    let (code, _, said) = run(&["SELECT count(*) FROM events", "events.ndjson"]);
    assert_eq!(code, Some(2));
    assert!(
        said.contains("cannot be watched") && said.contains("auroratrail query"),
        "{said}"
    );
    let (code, _, said) = run(&[
        "SELECT eventID FROM events",
        "events.ndjson",
        "--checkpoint",
        "c",
        "--format",
        "parquet",
    ]);
    assert_eq!(code, Some(2));
    assert!(said.contains("no checkpoint can cover them"), "{said}");
}

#[test]
fn lines_down_a_pipe_come_out_while_it_stays_open() {
    let folder = place();
    let mut child = Command::new(env!("CARGO_BIN_EXE_auroratrail"))
        .args([
            "watch",
            "SELECT eventID FROM events",
            "-",
            "--format",
            "csv",
        ])
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let mut rows = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || rows.next().unwrap().unwrap();
    for id in 0..3 {
        pipe.write_all(event(id, false).as_bytes()).unwrap();
        if id == 0 {
            assert_eq!(next(), "eventID");
        }
        assert_eq!(next(), format!("{id:08}"));
    }
    drop(pipe);
    assert!(rows.next().is_none());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
