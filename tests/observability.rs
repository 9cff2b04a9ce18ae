//! A long run as it is seen from outside: metrics, health, logs; and that no secret is in any of them.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// A secret that is in settings, or in events; each has an end of its own.
const SECRET: &str = "Geheim4711";

/// An ingest that goes on until it is told to stop, with what it says.
struct Run {
    child: Child,
    lines: Receiver<String>,
    said: Vec<String>,
}

impl Run {
    /// Starts an ingest with secrets in all settings, and its server at a free port.
    fn start(arguments: &[&str], folder: &Path) -> Self {
        let mut child = auroratrail(folder)
            .args(["ingest", "--to", "lake", "--commit-every", "1"])
            .args(["--metrics", "127.0.0.1:0"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in said.lines() {
                let _ = sender.send(line.unwrap());
            }
        });
        Self {
            child,
            lines,
            said: Vec::new(),
        }
    }

    /// Waits for the address of the server.
    fn address(&mut self) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|_| panic!("no address in {:#?}", self.said));
            self.said.push(line.clone());
            if let Some((_, rest)) = line.split_once("metrics at http://") {
                return rest.split_once('/').unwrap().0.to_owned();
            }
        }
    }

    /// Stops it in order; returns how it ended and what it said.
    fn stop(mut self) -> (ExitStatus, Vec<String>) {
        let id = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &id]).status().unwrap();
        let status = self.child.wait().unwrap();
        let mut said = std::mem::take(&mut self.said);
        said.extend(self.lines.iter());
        (status, said)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn auroratrail(folder: &Path) -> Command {
    let url = |end: &str| format!("http://user:{SECRET}{end}@127.0.0.1:1/");
    let mut command = Command::new(env!("CARGO_BIN_EXE_auroratrail"));
    command
        .current_dir(folder)
        .env("HOME", folder)
        .env("AWS_REGION", "eu-west-1")
        .env("AWS_ACCESS_KEY_ID", format!("{SECRET}Id"))
        .env("AWS_SECRET_ACCESS_KEY", format!("{SECRET}Key"))
        .env("AWS_SESSION_TOKEN", format!("{SECRET}Token"))
        .env("AWS_ENDPOINT_URL", url("Endpoint"))
        .env("HTTP_PROXY", url("Proxy"))
        .env("HTTPS_PROXY", url("Proxy"))
        .env("http_proxy", url("Proxy"))
        .env("https_proxy", url("Proxy"));
    command
}

/// Runs an ingest that ends by itself.
fn ingest(arguments: &[&str], folder: &Path) -> Output {
    let mut command = auroratrail(folder);
    command.args(["ingest", "--to", "lake"]).args(arguments);
    command.output().unwrap()
}

/// Returns the status and the body of an answer.
fn get(address: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap();
    (status.parse().unwrap(), body.to_owned())
}

/// Returns the metrics by name and labels, without the prefix.
fn metrics(address: &str) -> BTreeMap<String, f64> {
    let (status, text) = get(address, "/metrics");
    assert_eq!(status, 200, "{text}");
    assert!(text.ends_with("# EOF\n"), "{text}");
    no_secret(&text);
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let name = name.strip_prefix("auroratrail_").unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

/// Waits until the metrics are as they should be; returns them.
fn metrics_when(
    address: &str,
    is_right: impl Fn(&BTreeMap<String, f64>) -> bool,
) -> BTreeMap<String, f64> {
    let start = Instant::now();
    loop {
        let metrics = metrics(address);
        if is_right(&metrics) {
            return metrics;
        }
        assert!(start.elapsed() < PATIENCE, "{metrics:#?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Checks that each line is an object of the log; returns them.
fn logged(lines: &[String]) -> Vec<Value> {
    let objects = lines.iter().map(|line| {
        no_secret(line);
        let object: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        for name in ["timestamp", "level", "message"] {
            assert!(object[name].is_string(), "no {name}: {line}");
        }
        let target = object["target"].as_str().unwrap();
        assert!(target.starts_with("auroratrail"), "{line}");
        object
    });
    objects.collect()
}

fn with_message<'a>(log: &'a [Value], message: &str) -> Vec<&'a Value> {
    let is_it = |line: &&Value| line["message"] == message;
    log.iter().filter(is_it).collect()
}

fn no_secret(text: &str) {
    let lower = text.to_lowercase();
    assert!(!lower.contains(&SECRET.to_lowercase()), "{text}");
}

fn event(number: u32) -> Value {
    json!({
        "eventVersion": "1.08",
        "eventTime": "2026-05-01T10:00:00Z",
        "eventSource": "rds.amazonaws.com",
        "eventName": "CreateDBInstance",
        "awsRegion": "eu-west-1",
        "sourceIPAddress": "192.0.2.1",
        "userAgent": format!("agent {SECRET}"),
        "requestParameters": {"masterUserPassword": format!("{SECRET}Event"), "port": SECRET},
        "eventID": format!("00000000-0000-0000-0000-{number:012}"),
        "eventType": "AwsApiCall",
        "recipientAccountId": "123456789012",
    })
}

/// Writes events, each with a secret, and two lines that are damaged.
fn write_events(folder: &Path, count: u32) {
    std::fs::create_dir(folder.join("events")).unwrap();
    let mut text: String = (0..count).map(|it| format!("{}\n", event(it))).collect();
    // The same event again, and a piece of one.
    text += &format!("{}\n{{\"eventVersion\":\"{SECRET}\",\n", event(0));
    text += &format!("{{\"Records\":[{{\"eventID\":\"{SECRET}\",}}]}}\n");
    std::fs::write(folder.join("events/a.ndjson"), text).unwrap();
}

#[test]
fn a_run_is_seen_by_metrics_health_and_logs_and_no_secret_is() {
    let folder = tempfile::tempdir().unwrap();
    write_events(folder.path(), 300);
    let arguments = ["sample:?events=500", "events/", "--follow", "--keep", "all"];
    let log = ["--log", "json", "--log-level", "trace"];
    let mut run = Run::start(&[&arguments[..], &log].concat(), folder.path());
    let address = run.address();
    let seen = metrics_when(&address, |it| it["lake_committed_rows_total"] >= 800.0);
    assert_eq!(
        get(&address, "/health"),
        (200, "{\"healthy\":true}\n".to_owned())
    );
    assert_eq!(
        get(&address, "/ready"),
        (200, "{\"ready\":true}\n".to_owned())
    );
    assert_eq!(get(&address, "/").0, 404);
    assert!(seen["process_resident_memory_bytes"] > 1e6);
    let commits = seen["lake_commit_duration_seconds_count"];
    assert_eq!(commits, seen["lake_commits_total"]);

    let (status, said) = run.stop();
    assert_eq!(status.code(), Some(130), "{said:#?}");
    let log = logged(&said);
    let summary = log
        .iter()
        .find(|line| line["redacted"].is_number())
        .unwrap();
    for (name, metric) in [
        ("rows", "lake_committed_rows_total"),
        ("files", "lake_committed_files_total"),
        ("bytes", "lake_committed_bytes_total"),
        ("duplicates", "lake_duplicate_rows_total"),
        ("commits", "lake_commits_total"),
        ("version", "lake_version"),
    ] {
        assert_eq!(summary[name].as_f64(), Some(seen[metric]), "{name}");
    }
    let sum = |name: &str| -> f64 {
        let commits = with_message(&log, "committed");
        commits.iter().filter_map(|it| it[name].as_f64()).sum()
    };
    assert_eq!(sum("rows"), seen["lake_committed_rows_total"]);
    assert_eq!(sum("files"), seen["lake_committed_files_total"]);
    assert_eq!(with_message(&log, "begun").len(), 1);
    let rejects = with_message(&log, "rejected");
    let counted: f64 = seen
        .iter()
        .filter(|(name, _)| name.starts_with("envelope_rejects_total"))
        .map(|(_, count)| count)
        .sum();
    assert!(!rejects.is_empty());
    assert_eq!(rejects.len() as f64, counted);
    assert!(
        rejects
            .iter()
            .all(|it| it["reason"].is_string() && it["level"] == "WARN")
    );
}

#[test]
fn a_source_that_fails_is_seen_and_its_credentials_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let log = ["--log", "json", "--log-level", "trace"];
    let mut run = Run::start(
        &[&["kinesis://trail-stream"], &log[..]].concat(),
        folder.path(),
    );
    let address = run.address();
    let seen = metrics_when(&address, |it| it["source_retry_attempts"] >= 1.0);
    assert_eq!(seen["source_retrying"], 1.0);
    assert!(seen["source_failures_total"] >= 1.0);
    assert_eq!(get(&address, "/health").0, 200);
    let (status, body) = get(&address, "/ready");
    assert_eq!(status, 503, "{body}");
    assert!(body.contains("nothing has been read yet"), "{body}");
    let (status, said) = run.stop();
    assert_eq!(status.code(), Some(130), "{said:#?}");
    let log = logged(&said);
    let failing = with_message(&log, "unavailable, and tried again");
    assert_eq!(failing.len(), 1, "{said:#?}");
    assert_eq!(failing[0]["level"], "WARN");
}

#[test]
fn a_command_that_cannot_says_so_in_json() {
    let folder = tempfile::tempdir().unwrap();
    let output = ingest(&["nowhere/", "--log", "json"], folder.path());
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<String> = said.lines().map(str::to_owned).collect();
    let log = logged(&lines);
    assert_eq!(log.last().unwrap()["level"], "ERROR", "{said}");
    assert!(said.contains("nowhere"), "{said}");
}

#[test]
fn a_port_that_is_taken_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = ingest(&["sample:?events=10", "--metrics", &address], folder.path());
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        format!(
            "auroratrail: cannot serve metrics at {address}: address already in use; port 0 picks a \
             free one\n"
        )
    );
    let output = ingest(&["sample:", "--metrics", "9464"], folder.path());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("expected an address with a port, as in 127.0.0.1:9464"),
        "{said}"
    );
}

#[test]
fn text_tells_as_much_as_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    write_events(folder.path(), 3);
    let say = |level: &str| {
        let _ = std::fs::remove_dir_all(folder.path().join("lake"));
        let output = ingest(&["events/", "--log-level", level], folder.path());
        assert_eq!(output.status.code(), Some(0));
        String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(say("error"), "");
    let (warn, info, debug) = (say("warn"), say("info"), say("debug"));
    assert!(
        warn.contains("events/a.ndjson") && !warn.contains("lake: 3 events"),
        "{warn}"
    );
    assert!(
        info.contains("lake: 3 events added") && !info.contains("committed"),
        "{info}"
    );
    assert!(
        debug.contains("\nauroratrail: committed version=1 rows=3"),
        "{debug}"
    );
    for line in debug.lines() {
        assert!(line.starts_with("auroratrail: "), "{debug}");
    }
}

/// The longest time until something has to be seen.
const PATIENCE: Duration = Duration::from_secs(60);
