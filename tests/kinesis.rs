//! `kinesis://` through the whole command, against servers that speak Kinesis.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chrono::{TimeDelta, Utc};
use serde_json::Value;
use tempfile::TempDir;

use crate::fault_proxy::{Fault, Proxy, at_random};
use crate::kinesis_servers::{Server, Writer};
use crate::made::Random;
use crate::moto_server::Moto;

/// A folder in which the command runs, with nothing of this machine's settings.
pub struct Place {
    folder: TempDir,
    endpoint: String,
    /// The endpoint of S3.
    s3_endpoint: String,
}

/// The end of a command.
#[derive(Debug)]
pub struct Done {
    pub code: Option<i32>,
    pub printed: String,
    pub said: String,
}

impl Place {
    pub fn new(endpoint: &str) -> Self {
        Self {
            folder: TempDir::new().unwrap(),
            endpoint: endpoint.to_owned(),
            s3_endpoint: endpoint.to_owned(),
        }
    }

    /// Reaches S3 at another endpoint.
    pub fn with_s3(mut self, endpoint: &str) -> Self {
        self.s3_endpoint = endpoint.to_owned();
        self
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_auroratrail"));
        command
            .args(arguments)
            .current_dir(self.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path())
            .env("AWS_ENDPOINT_URL", &self.endpoint)
            .env("AWS_ENDPOINT_URL_S3", &self.s3_endpoint)
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "AKIATEST")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Done {
        let output = self.command(arguments).output().unwrap();
        Done {
            code: output.status.code(),
            printed: String::from_utf8(output.stdout).unwrap(),
            said: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs a command that succeeds; returns what it prints and says.
    #[track_caller]
    pub fn succeeds(&self, arguments: &[&str]) -> (String, String) {
        let done = self.run(arguments);
        assert_eq!(done.code, Some(0), "{arguments:?}\n{}", done.said);
        (done.printed, done.said)
    }

    /// Starts a command that goes on.
    pub fn start(&self, arguments: &[&str]) -> Running {
        let child = self.command(arguments).spawn().unwrap();
        Running(child)
    }

    /// Returns the event IDs of a lake or stream, in order; each as often as it is there.
    #[track_caller]
    pub fn ids(&self, source: &str) -> Vec<String> {
        let sql = "SELECT eventID FROM events ORDER BY eventID";
        let (rows, _) = self.succeeds(&["query", sql, source, "--format", "csv"]);
        rows.lines().skip(1).map(str::to_owned).collect()
    }

    /// Checks that `source` has each event that was sent, once.
    #[track_caller]
    pub fn holds(&self, source: &str, writer: &Writer) {
        self.holds_ids(source, &writer.sent);
    }

    /// Checks that `source` has each of these events, once.
    #[track_caller]
    pub fn holds_ids(&self, source: &str, sent: &[String]) {
        let mut balance: BTreeMap<String, i64> = BTreeMap::new();
        for id in sent {
            *balance.entry(id.clone()).or_default() -= 1;
        }
        for id in self.ids(source) {
            *balance.entry(id).or_default() += 1;
        }
        balance.retain(|_, balance| *balance != 0);
        let wrong: Vec<_> = balance.iter().take(10).collect();
        let (sent, count) = (sent.len(), balance.len());
        assert!(
            wrong.is_empty(),
            "{count} of {sent} events are not there once (less than 0: missing): {wrong:?}"
        );
    }

    /// Waits until the lake has so many events.
    #[track_caller]
    pub fn wait_for(&self, lake: &str, events: usize) {
        let start = Instant::now();
        loop {
            let sql = "SELECT count(*) AS n FROM events";
            let done = self.run(&["query", sql, lake, "--format", "csv"]);
            let rows = done.printed.lines().nth(1).and_then(|n| n.parse().ok());
            if rows >= Some(events) {
                return;
            }
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "the lake has {rows:?} events of {events}; {}",
                done.said
            );
            std::thread::sleep(Duration::from_millis(300));
        }
    }
}

/// A command that goes on; it is killed if nobody stops it.
pub struct Running(pub Child);

impl Running {
    /// Sends SIGTERM, and waits for the end.
    pub fn terminate(self) -> Done {
        let pid = self.0.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(sent.unwrap().success());
        self.wait()
    }

    /// Waits for the end.
    pub fn wait(mut self) -> Done {
        let start = Instant::now();
        while self.0.try_wait().unwrap().is_none() {
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "the command does not end"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        let (mut printed, mut said) = (String::new(), String::new());
        let (stdout, stderr) = (self.0.stdout.take(), self.0.stderr.take());
        stdout.unwrap().read_to_string(&mut printed).unwrap();
        stderr.unwrap().read_to_string(&mut said).unwrap();
        Done {
            code: self.0.wait().unwrap().code(),
            printed,
            said,
        }
    }

    /// Kills the command as a machine does that loses its power.
    pub fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Returns a seed, and prints it.
pub fn seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = now.as_nanos() as u64;
    println!("the seed is {seed}");
    seed
}

/// Queries a stream as a whole and from places.
fn is_queried(endpoint: &str) {
    let mut writer = Writer::create(endpoint, "trail", 2);
    let place = Place::new(endpoint);
    writer.put(60);
    place.holds("kinesis://trail", &writer);
    let before = writer.sent.len();
    // Servers differ in how they round times.
    std::thread::sleep(Duration::from_millis(2100));
    let now = Utc::now().format("%Y-%m-%dT%H:%M:%SZ");
    writer.put(20);
    let stream = |from: &str| format!("kinesis://trail?from={from}");
    let mut new = writer.sent[before..].to_vec();
    new.sort();
    assert_eq!(place.ids(&stream(&now.to_string())), new);
    for from in ["-1h", "trim_horizon", "2026-01-01"] {
        place.holds(&stream(from), &writer);
    }
    // A server tells its time in whole seconds.
    std::thread::sleep(Duration::from_millis(2100));
    assert_eq!(place.ids(&stream("latest")), [""; 0]);
}

#[test]
fn a_stream_is_queried_from_the_places_that_are_asked_for() {
    is_queried(&Server::kinesis_local().endpoint);
}

#[test]
fn a_stream_is_queried_on_a_server_with_short_sequence_numbers() {
    is_queried(&Server::roto().endpoint);
}

#[test]
fn a_stream_is_queried_on_a_server_without_a_lag() {
    is_queried(&Moto::start().endpoint);
}

const RESHARDING: &[fn(&Writer)] = &[Writer::split, Writer::merge, Writer::split, Writer::split];

/// Ingests `url` while its stream is written and resharded, and again when nothing is new.
fn is_ingested(endpoint: &str, url: &str, changes: &[fn(&Writer)]) {
    let mut writer = Writer::create(endpoint, "trail", 1);
    let place = Place::new(endpoint);
    writer.put(40);
    let ingest = ["ingest", url, "--to", "lake", "--commit-every", "1"];
    let following = [&ingest[..], &["--rejects", "rejects.ndjson"]].concat();
    let running = place.start(&following);
    for reshard in changes {
        writer.put(25);
        reshard(&writer);
        writer.put(25);
        std::thread::sleep(Duration::from_millis(500));
    }
    place.wait_for("lake", writer.sent.len());
    let done = running.terminate();
    assert_eq!(done.code, Some(130), "{}", done.said);
    place.holds("lake", &writer);

    let rejects = std::fs::read_to_string(place.path().join("rejects.ndjson")).unwrap();
    let rejects: Vec<Value> = rejects
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    // A damaged record may give two: its checksum, and what is in it.
    let origins: BTreeSet<String> = rejects.iter().map(|it| it["origin"].to_string()).collect();
    assert_eq!(origins.len() as u64, writer.poisoned, "{rejects:?}");
    assert!(writer.poisoned > 0);
    for reject in rejects {
        let origin = reject["origin"].as_str().unwrap();
        let number = origin
            .strip_prefix("kinesis://trail/shardId-")
            .and_then(|rest| rest.split_once('/'));
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        assert!(
            number.is_some_and(|(shard, number)| is_number(shard) && is_number(number)),
            "{origin}"
        );
    }

    let (_, said) = place.succeeds(&[&ingest[..], &["--until-now"]].concat());
    assert!(
        said.contains("nothing new") || said.contains("0 events added"),
        "{said}"
    );
    place.holds("lake", &writer);
    place.succeeds(&["lake", "verify", "lake"]);
}

#[test]
fn a_stream_that_is_resharded_is_ingested_and_each_event_is_kept_once() {
    is_ingested(
        &Server::kinesis_local().endpoint,
        "kinesis://trail",
        RESHARDING,
    );
}

#[test]
fn a_stream_that_is_resharded_is_ingested_from_a_server_that_names_no_children() {
    is_ingested(&Server::roto().endpoint, "kinesis://trail", RESHARDING);
}

#[test]
fn a_stream_is_ingested_with_enhanced_fan_out() {
    let server = Server::kinesis_local();
    let url = "kinesis://trail?mode=efo&consumer=tests";
    is_ingested(
        &server.endpoint,
        url,
        // A subscription to a shard that was split never ends on this server.
        &[Writer::split, |_| {}, Writer::merge, |_| {}],
    );
    let place = Place::new(&server.endpoint);
    let all = place.ids("kinesis://trail");
    assert_eq!(place.ids("kinesis://trail?mode=efo"), all);
}

#[test]
fn a_command_that_is_stopped_commits_what_it_has_read() {
    let server = Server::kinesis_local();
    let mut writer = Writer::create(&server.endpoint, "trail", 2);
    writer.put(40);
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let proxy = Proxy::start(&server.endpoint, move |operation| {
        let is_read = operation == "GetRecords";
        counted.fetch_add(usize::from(is_read), Ordering::Relaxed);
        Fault::None
    });
    let place = Place::new(&proxy.endpoint);
    let arguments = ["ingest", "kinesis://trail", "--to", "lake"];
    let running = place.start(&[&arguments[..], &["--commit-every", "3600"]].concat());
    let start = Instant::now();
    // A shard is asked again once its page is handed on.
    while calls.load(Ordering::Relaxed) < 8 {
        assert!(start.elapsed() < Duration::from_secs(60), "nothing is read");
        std::thread::sleep(Duration::from_millis(20));
    }
    let done = running.terminate();
    assert_eq!(done.code, Some(130), "{}", done.said);
    place.holds("lake", &writer);
}

#[test]
fn fifty_kills_while_a_stream_is_written_and_resharded_lose_nothing_and_repeat_nothing() {
    let mut random = Random(seed());
    let server = Server::kinesis_local();
    let writer = Writer::create(&server.endpoint, "trail", 2);
    let place = Place::new(&server.endpoint);
    let going = writer.go_on(10, Duration::from_millis(100), 25);
    let ingest = ["ingest", "kinesis://trail", "--to", "lake"];
    let ingest = [&ingest[..], &["--commit-every", "1"]].concat();
    for _ in 0..50 {
        let running = place.start(&ingest);
        // From before the first request to after some commits.
        std::thread::sleep(Duration::from_millis(50 + random.below(2400) as u64));
        running.kill();
    }
    let writer = going.stop();
    let before = place.ids("lake").len();
    assert!(
        before > 0,
        "no run has committed anything before it was killed"
    );
    place.succeeds(&[&ingest[..], &["--until-now"]].concat());
    place.holds("lake", &writer);
    place.succeeds(&["lake", "verify", "lake"]);
    println!("{} events, {before} before the last run", writer.sent.len());
}

#[test]
fn faults_on_the_way_lose_nothing_and_repeat_nothing() {
    let seed = seed();
    let server = Server::kinesis_local();
    let mut writer = Writer::create(&server.endpoint, "trail", 2);
    let proxy = Proxy::start(&server.endpoint, at_random(seed, 4));
    let place = Place::new(&proxy.endpoint);
    writer.put(40);
    place.holds("kinesis://trail", &writer);

    let ingest = ["ingest", "kinesis://trail", "--to", "lake"];
    let ingest = [&ingest[..], &["--commit-every", "1"]].concat();
    let running = place.start(&ingest);
    let writer = {
        let going = writer.go_on(10, Duration::from_millis(100), 20);
        std::thread::sleep(Duration::from_secs(12));
        going.stop()
    };
    let done = running.terminate();
    assert_eq!(done.code, Some(130), "{}", done.said);
    place.succeeds(&[&ingest[..], &["--until-now"]].concat());
    place.holds("lake", &writer);
    assert!(proxy.faults() > 20, "{} faults", proxy.faults());
}

#[test]
fn iterators_that_expire_at_once_are_made_again_and_nothing_is_skipped() {
    let server = Server::kinesis_local();
    let mut writer = Writer::create(&server.endpoint, "trail", 2);
    let mut calls = 0;
    let proxy = Proxy::start(&server.endpoint, move |operation| {
        calls += usize::from(operation == "GetRecords");
        match operation {
            "GetRecords" if calls % 3 == 1 => Fault::of(400, "ExpiredIteratorException"),
            _ => Fault::None,
        }
    });
    let place = Place::new(&proxy.endpoint);
    writer.put(60);
    writer.split();
    writer.put(40);
    place.holds("kinesis://trail", &writer);
    assert!(proxy.faults() > 2);
}

#[test]
fn a_clock_that_is_an_hour_behind_the_servers_does_not_keep_it_from_reading() {
    let server = Server::kinesis_local();
    let mut writer = Writer::create(&server.endpoint, "trail", 2);
    writer.put(40);
    for hours in [1, -1] {
        let proxy = Proxy::start_at(&server.endpoint, TimeDelta::hours(hours), |_| Fault::None);
        let place = Place::new(&proxy.endpoint);
        place.holds("kinesis://trail", &writer);
        let refused = proxy.faults();
        assert!(refused > 0, "no signature was too old");
        place.succeeds(&["ingest", "kinesis://trail", "--to", "lake", "--until-now"]);
        place.holds("lake", &writer);
    }
}

#[test]
fn streams_that_are_empty_or_not_there_are_told_apart() {
    let server = Server::kinesis_local();
    let _empty = Writer::create(&server.endpoint, "empty", 3);
    let place = Place::new(&server.endpoint);
    let count = "SELECT count(*) AS n FROM events";
    let (rows, _) = place.succeeds(&["query", count, "kinesis://empty", "--format", "csv"]);
    assert_eq!(rows, "n\n0\n");
    let (_, said) = place.succeeds(&["ingest", "kinesis://empty", "--to", "lake", "--until-now"]);
    assert!(said.contains("0 events"), "{said}");

    for arguments in [
        &["query", count, "kinesis://nowhere"][..],
        &["ingest", "kinesis://nowhere", "--to", "lake"],
    ] {
        let done = place.run(arguments);
        assert_eq!(done.code, Some(2), "{}", done.said);
        assert!(
            done.said.contains("Kinesis has no stream nowhere"),
            "{}",
            done.said
        );
    }
}

#[test]
fn a_stream_that_is_deleted_ends_the_ingest_and_what_was_read_is_kept() {
    let server = Server::kinesis_local();
    let mut writer = Writer::create(&server.endpoint, "trail", 2);
    writer.put(40);
    let place = Place::new(&server.endpoint);
    let ingest = ["ingest", "kinesis://trail", "--to", "lake"];
    let running = place.start(&[&ingest[..], &["--commit-every", "1"]].concat());
    place.wait_for("lake", writer.sent.len());
    writer.delete();
    let done = running.wait();
    assert_eq!(done.code, Some(2), "{}", done.said);
    assert!(
        done.said.contains("Kinesis has no stream trail"),
        "{}",
        done.said
    );
    place.holds("lake", &writer);
}

#[test]
fn a_permission_that_is_missing_is_named_with_its_resource() {
    let server = Server::kinesis_local();
    let mut writer = Writer::create(&server.endpoint, "trail", 1);
    writer.put(10);
    for denied in ["ListShards", "GetShardIterator", "GetRecords"] {
        let proxy = Proxy::start(&server.endpoint, move |operation| match operation {
            operation if operation == denied => Fault::of(400, "AccessDeniedException"),
            _ => Fault::None,
        });
        let place = Place::new(&proxy.endpoint);
        for arguments in [
            &["query", "SELECT 1 FROM events", "kinesis://trail"][..],
            &["ingest", "kinesis://trail", "--to", "lake"],
        ] {
            let done = place.run(arguments);
            assert_eq!(done.code, Some(2), "{}", done.said);
            let expected = format!("does not allow kinesis:{denied} on stream trail");
            assert!(done.said.contains(&expected), "{}", done.said);
            assert!(!done.said.contains("secret"), "{}", done.said);
        }
    }
}

#[test]
fn a_check_tells_what_is_there_how_far_behind_a_lake_is_and_what_is_missing() {
    let server = Server::kinesis_local();
    let mut writer = Writer::create(&server.endpoint, "trail", 2);
    writer.put(10);
    let place = Place::new(&server.endpoint);
    let check = ["sources", "check", "kinesis://trail"];
    let (found, _) = place.succeeds(&check);
    assert!(found.contains("2 shards, 2 of them to be read"), "{found}");
    assert_eq!(found.matches("kinesis:GetRecords").count(), 2, "{found}");
    place.succeeds(&["ingest", "kinesis://trail", "--to", "lake", "--until-now"]);
    let (found, _) = place.succeeds(&[&check[..], &["--to", "lake"]].concat());
    assert_eq!(found.matches("up to date").count(), 2, "{found}");

    let proxy = Proxy::start(&server.endpoint, |operation| match operation {
        "GetRecords" => Fault::of(400, "AccessDeniedException"),
        _ => Fault::None,
    });
    let denied = Place::new(&proxy.endpoint).run(&check);
    assert_eq!(denied.code, Some(2));
    assert!(
        denied.printed.contains("ok    kinesis:ListShards"),
        "{}",
        denied.printed
    );
    assert!(
        denied.printed.contains("FAIL  kinesis:GetRecords"),
        "{}",
        denied.printed
    );
    assert!(denied.said.contains("auroratrail iam"), "{}", denied.said);
}

#[test]
fn a_watch_begins_now_and_goes_on_at_its_checkpoint() {
    let server = Server::kinesis_local();
    let mut writer = Writer::create(&server.endpoint, "trail", 2);
    writer.put(20);
    let place = Place::new(&server.endpoint);
    // A server tells its time in whole seconds.
    std::thread::sleep(Duration::from_millis(2100));
    let old = writer.sent.len();
    let watch = [
        "watch",
        "SELECT eventID FROM events",
        "kinesis://trail",
        "--format",
        "csv",
        "--checkpoint",
        "watch.json",
    ];
    let first = place.start(&watch);
    std::thread::sleep(Duration::from_secs(3));
    writer.put(20);
    std::thread::sleep(Duration::from_secs(4));
    let done = first.terminate();
    assert_eq!(done.code, Some(130), "{}", done.said);
    let mut seen: Vec<String> = done.printed.lines().skip(1).map(str::to_owned).collect();
    // Written while nobody watches.
    writer.split();
    writer.put(20);
    let second = place.start(&watch);
    std::thread::sleep(Duration::from_secs(6));
    let done = second.terminate();
    seen.extend(done.printed.lines().skip(1).map(str::to_owned));
    seen.sort();
    let mut sent = writer.sent[old..].to_vec();
    sent.sort();
    assert_eq!(seen, sent);
}

#[test]
fn a_region_that_is_not_set_is_told_at_once() {
    let place = Place::new("");
    for source in ["kinesis://trail", "logs:///aws/trail", "cloudtrail://"] {
        let mut command = place.command(&["query", "SELECT 1 FROM events", source]);
        let output = command
            .env_remove("AWS_REGION")
            .env_remove("AWS_ENDPOINT_URL")
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("no AWS region is set"), "{said}");
    }
}
