//! Live sources through the whole command where something goes wrong for long: places that refuse what is
//! written to them, slow ones, kills, shards that are idle.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_cloudwatchlogs::types::InputLogEvent;
use chrono::Utc;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::fault_proxy::{Fault, Proxy};
use crate::kinesis::{Done, Place, Running, seed};
use crate::kinesis_servers::{Server, Writer};
use crate::made::{self, Random};
use crate::moto_server::Moto;

/// Waits until something is so.
#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The longest time until something has to be so.
const PATIENCE: Duration = Duration::from_secs(60);

/// A way in which an ingest ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// By a commit in the midst of the run.
    Commit,
    /// By SIGTERM, before any commit.
    Terminated,
}

/// A stream with records in it, and a proxy that counts how often it is read.
struct Stream {
    server: Server,
    writer: Writer,
    proxy: Proxy,
    reads: Arc<AtomicUsize>,
}

impl Stream {
    fn with_records(records: usize) -> Self {
        let server = Server::roto();
        let mut writer = Writer::create(&server.endpoint, "trail", 2);
        writer.put(records);
        let reads = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&reads);
        let proxy = Proxy::start(&server.endpoint, move |operation| {
            counted.fetch_add(usize::from(operation == "GetRecords"), SeqCst);
            Fault::None
        });
        Self {
            server,
            writer,
            proxy,
            reads,
        }
    }

    /// Ingests into a lake while its place refuses what is written; returns how that ended.
    ///
    /// `begun` is called once something is read, if no commit comes before.
    fn refused(&self, place: &Place, lake: &str, end: End, begun: impl Fn()) -> Done {
        self.reads.store(0, SeqCst);
        let seconds = match end {
            End::Commit => "1",
            End::Terminated => "3600",
        };
        let ingest = ["ingest", "kinesis://trail", "--to", lake, "--commit-every"];
        let running = place.start(&[&ingest[..], &[seconds]].concat());
        if end == End::Commit {
            begun();
            return running.wait();
        }
        // A shard is asked again once its page is handed on.
        wait_until("nothing is read", || self.reads.load(SeqCst) >= 8);
        begun();
        running.terminate()
    }

    /// Ingests what is new, now that nothing is wrong, and checks that the lake has each event once.
    #[track_caller]
    fn is_mended(&self, place: &Place, lake: &str) {
        let ingest = ["ingest", "kinesis://trail", "--to", lake, "--until-now"];
        place.succeeds(&ingest);
        place.holds(lake, &self.writer);
        place.succeeds(&["lake", "verify", lake]);
    }
}

#[track_caller]
fn is_told(done: &Done, words: &str) {
    assert_eq!(done.code, Some(2), "{}", done.said);
    assert!(done.said.contains(words), "{}", done.said);
    assert!(!done.said.contains("events added"), "{}", done.said);
}

/// Has `name` in a lake be a file where a folder must be; what was there is put aside.
fn obstruct(lake: &Path, name: &str) {
    let aside = lake.with_extension("aside");
    let _ = std::fs::rename(lake.join(name), aside);
    std::fs::write(lake.join(name), "").unwrap();
}

/// Undoes it.
fn clear(lake: &Path, name: &str) {
    std::fs::remove_file(lake.join(name)).unwrap();
    let _ = std::fs::rename(lake.with_extension("aside"), lake.join(name));
}

#[test]
fn a_folder_that_refuses_files_ends_the_ingest_and_nothing_is_taken_as_kept() {
    let stream = Stream::with_records(60);
    let empty = Writer::create(&stream.server.endpoint, "empty", 1);
    let place = Place::new(&stream.proxy.endpoint);
    // The day of all events that the writer makes.
    for (at, name) in ["dt=2026-03-04", "_delta_log"].into_iter().enumerate() {
        for end in [End::Commit, End::Terminated] {
            let lake = format!("lake-{at}-{end:?}");
            let folder = place.path().join(&lake);
            let source = format!("kinesis://{}", empty.stream);
            place.succeeds(&["ingest", &source, "--to", &lake, "--until-now"]);
            // A lake without a log is none: that goes once the lake is open.
            let is_at_once = name != "_delta_log";
            if is_at_once {
                obstruct(&folder, name);
            }
            let done = stream.refused(&place, &lake, end, || {
                if !is_at_once {
                    if end == End::Commit {
                        wait_until("nothing is read", || stream.reads.load(SeqCst) >= 1);
                    }
                    obstruct(&folder, name);
                }
            });
            is_told(&done, "cannot ");
            assert!(done.said.contains(&lake), "{}", done.said);
            clear(&folder, name);
            stream.is_mended(&place, &lake);
        }
    }
}

#[test]
fn a_bucket_that_refuses_files_ends_the_ingest_and_nothing_is_taken_as_kept() {
    let stream = Stream::with_records(60);
    let moto = Moto::start();
    moto.put("/lakes", "");
    for (at, refused) in [".parquet", "/_delta_log/"].into_iter().enumerate() {
        for end in [End::Commit, End::Terminated] {
            let refuses = Arc::new(AtomicBool::new(true));
            let is_refusing = Arc::clone(&refuses);
            let s3 = Proxy::start(&moto.endpoint, move |operation| {
                let is_first = operation.contains("00000000000000000000.json");
                let is_it = operation.starts_with("PUT ") && operation.contains(refused);
                match is_it && !is_first && is_refusing.load(SeqCst) {
                    true => Fault::of(403, "AccessDenied"),
                    false => Fault::None,
                }
            });
            let place = Place::new(&stream.proxy.endpoint).with_s3(&s3.endpoint);
            let lake = format!("s3://lakes/{at}-{end:?}");
            let done = stream.refused(&place, &lake, end, || {});
            is_told(&done, "s3:PutObject");
            assert!(s3.faults() > 0);
            refuses.store(false, SeqCst);
            stream.is_mended(&place, &lake);
        }
    }
}

#[test]
fn a_refusal_after_some_commits_keeps_these_and_the_rest_comes_later() {
    let mut stream = Stream::with_records(30);
    let moto = Moto::start();
    moto.put("/lakes", "");
    let refuses = Arc::new(AtomicBool::new(false));
    let is_refusing = Arc::clone(&refuses);
    let s3 = Proxy::start(&moto.endpoint, move |operation| {
        match operation.starts_with("PUT ") && is_refusing.load(SeqCst) {
            true => Fault::of(403, "AccessDenied"),
            false => Fault::None,
        }
    });
    let place = Place::new(&stream.proxy.endpoint).with_s3(&s3.endpoint);
    let lake = "s3://lakes/lake";
    let ingest = ["ingest", "kinesis://trail", "--to", lake];
    let running = place.start(&[&ingest[..], &["--commit-every", "1"]].concat());
    place.wait_for(lake, stream.writer.sent.len());
    place.holds(lake, &stream.writer);
    refuses.store(true, SeqCst);
    stream.writer.put(30);
    let done = running.wait();
    assert_eq!(done.code, Some(2), "{}", done.said);
    assert!(done.said.contains("s3:PutObject"), "{}", done.said);
    refuses.store(false, SeqCst);
    stream.is_mended(&place, lake);
}

/// A writer of a log group, which remembers what it put.
struct LogWriter {
    runtime: Runtime,
    client: Client,
    sent: Vec<String>,
}

impl LogWriter {
    /// Creates a group with streams.
    fn create(endpoint: &str) -> Self {
        let config = aws_sdk_cloudwatchlogs::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(endpoint)
            .credentials_provider(Credentials::new("AKIATEST", "secret", None, None, "tests"))
            .http_client(aws_smithy_http_client::Builder::new().build_http());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let writer = Self {
            runtime,
            client: Client::from_conf(config.build()),
            sent: Vec::new(),
        };
        let group = writer.client.create_log_group().log_group_name(GROUP);
        writer.runtime.block_on(group.send()).unwrap();
        for name in LOG_STREAMS {
            let stream = writer.client.create_log_stream().log_group_name(GROUP);
            let stream = stream.log_stream_name(name).send();
            writer.runtime.block_on(stream).unwrap();
        }
        writer
    }

    /// Puts events into one of the streams that happened so many milliseconds ago.
    fn put(&mut self, stream: &str, ages: impl Iterator<Item = i64>) {
        let now = Utc::now().timestamp_millis();
        let first = self.sent.len();
        let mut made: Vec<InputLogEvent> = ages
            .enumerate()
            .map(|(at, age)| {
                let event = InputLogEvent::builder().timestamp(now - age);
                event.message(made::record(first + at)).build().unwrap()
            })
            .collect();
        made.sort_by_key(InputLogEvent::timestamp);
        let events = made.len();
        let put = self.client.put_log_events().log_group_name(GROUP);
        let put = put.log_stream_name(stream).set_log_events(Some(made));
        self.runtime.block_on(put.send()).unwrap();
        self.sent.extend((first..first + events).map(made::id));
    }

    /// Goes on in a thread until `stop`.
    fn go_on(mut self, stop: &Arc<AtomicBool>) -> JoinHandle<Self> {
        let stop = Arc::clone(stop);
        std::thread::spawn(move || {
            let mut times = 0;
            while !stop.load(SeqCst) {
                // Some are a while late.
                let late = (0..1 + times as i64 % 9).map(|it| it * 4_000);
                self.put(LOG_STREAMS[times % 2], late);
                times += 1;
                std::thread::sleep(Duration::from_millis(60));
            }
            self
        })
    }
}

const GROUP: &str = "/aws/cloudtrail/org";
const LOG_STREAMS: [&str; 2] = ["one", "two/three"];

/// Starts an ingest again and again, and kills it each time after `least` to `most` milliseconds.
fn kills(place: &Place, ingest: &[&str], times: usize, (least, most): (usize, usize)) {
    let mut random = Random(seed());
    for _ in 0..times {
        let running = place.start(ingest);
        let pause = least + random.below(most - least);
        std::thread::sleep(Duration::from_millis(pause as u64));
        running.kill();
    }
}

#[test]
fn kills_while_a_log_group_is_written_lose_nothing_and_repeat_nothing() {
    let moto = Moto::start();
    let place = Place::new(&moto.endpoint);
    let mut writer = LogWriter::create(&moto.endpoint);
    // Of three days, a few minutes apart: ranges of time from before to the overlap.
    for day in 0..3 {
        let ages = (0..200).map(|it| 300_000 + day * 86_400_000 + it * 400_000);
        writer.put(LOG_STREAMS[day as usize % 2], ages);
    }
    let stop = Arc::<AtomicBool>::default();
    let going = writer.go_on(&stop);
    let source = format!("logs://{GROUP}?overlap=1m");
    let ingest = ["ingest", &source, "--to", "lake", "--commit-every", "1"];
    kills(&place, &ingest, 10, (300, 3000));
    stop.store(true, SeqCst);
    let writer = going.join().unwrap();
    let before = place.ids("lake").len();
    assert!(before > 0, "no run has committed anything before its end");
    place.succeeds(&[&ingest[..], &["--until-now"]].concat());
    place.holds_ids("lake", &writer.sent);
    place.succeeds(&["lake", "verify", "lake"]);
    println!("{} events, {before} before the last run", writer.sent.len());
    // Nothing is new, and nothing is read as if it were.
    place.succeeds(&[&ingest[..], &["--until-now"]].concat());
    place.holds_ids("lake", &writer.sent);
}

#[test]
fn one_thread_with_small_buffers_gets_everything_into_a_slow_bucket() {
    let mut stream = Stream::with_records(100);
    let moto = Moto::start();
    moto.put("/lakes", "");
    let s3 = Proxy::start(&moto.endpoint, |_| Fault::Delay(Duration::from_millis(120)));
    let place = Place::new(&stream.proxy.endpoint).with_s3(&s3.endpoint);
    let lake = "s3://lakes/slow";
    let running = place.start(&[
        "ingest",
        "kinesis://trail",
        "--threads",
        "1",
        "--to",
        lake,
        "--commit-every",
        "1",
        "--memory",
        "64K",
        "--max-bytes",
        "32K",
        "--max-rows",
        "40",
    ]);
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(700));
        stream.writer.put(20);
    }
    let fast = Place::new(&stream.proxy.endpoint).with_s3(&moto.endpoint);
    fast.wait_for(lake, stream.writer.sent.len());
    let done = running.terminate();
    assert_eq!(done.code, Some(130), "{}", done.said);
    fast.holds(lake, &stream.writer);
}

/// A watch whose rows are taken by a thread of the test.
struct Watching {
    running: Running,
    rows: Arc<Mutex<Vec<String>>>,
    reader: JoinHandle<()>,
}

impl Watching {
    /// Starts a watch of the stream `trail` that writes a line an event, of which `bytes` at a time are taken.
    fn start(place: &Place, arguments: &[&str], bytes: usize, pause: Duration) -> Self {
        let mut running = place.start(arguments);
        let mut out = running.0.stdout.take().unwrap();
        let rows = Arc::<Mutex<Vec<String>>>::default();
        let taken = Arc::clone(&rows);
        let reader = std::thread::spawn(move || {
            let (mut piece, mut line) = (vec![0; bytes], Vec::new());
            loop {
                let length = out.read(&mut piece).unwrap();
                if length == 0 {
                    return;
                }
                for byte in &piece[..length] {
                    match byte {
                        b'\n' => {
                            let text = String::from_utf8(std::mem::take(&mut line)).unwrap();
                            taken.lock().unwrap().push(text);
                        }
                        byte => line.push(*byte),
                    }
                }
                std::thread::sleep(pause);
            }
        });
        Self {
            running,
            rows,
            reader,
        }
    }

    /// Returns the event IDs up to now, in order.
    fn ids(&self) -> Vec<String> {
        ids_of(&self.rows.lock().unwrap())
    }

    #[track_caller]
    fn wait_for(&self, events: usize) {
        let start = Instant::now();
        while self.rows.lock().unwrap().len() < events {
            let rows = self.rows.lock().unwrap().len();
            assert!(!self.reader.is_finished(), "it ended: {rows} rows");
            assert!(start.elapsed() < PATIENCE, "{rows} rows of {events}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Stops it; returns all event IDs, in order.
    fn stop(self) -> Vec<String> {
        let Self {
            mut running,
            rows,
            reader,
        } = self;
        let pid = running.0.id().to_string();
        let kill = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(kill.unwrap().success());
        wait_until("it does not end", || {
            running.0.try_wait().unwrap().is_some()
        });
        assert_eq!(running.0.wait().unwrap().code(), Some(130));
        reader.join().unwrap();
        let rows = rows.lock().unwrap();
        ids_of(&rows)
    }
}

fn ids_of(rows: &[String]) -> Vec<String> {
    let ids = rows.iter().map(|row| {
        let row: Value = serde_json::from_str(row).unwrap_or_else(|_| panic!("{row}"));
        row["eventID"].as_str().unwrap().to_owned()
    });
    let mut ids: Vec<String> = ids.collect();
    ids.sort();
    ids
}

fn sorted(ids: &[String]) -> Vec<String> {
    let mut ids = ids.to_vec();
    ids.sort();
    ids
}

#[test]
fn a_watch_with_one_thread_down_a_slow_pipe_gets_everything_and_goes_on() {
    let mut stream = Stream::with_records(400);
    let place = Place::new(&stream.proxy.endpoint);
    let watch = [
        "watch",
        "--threads",
        "1",
        "SELECT eventID, record, record AS again FROM events",
        "kinesis://trail?from=trim_horizon",
        "--format",
        "ndjson",
        "--checkpoint",
        "watch.json",
    ];
    // Many times what a pipe holds.
    let watching = Watching::start(&place, &watch, 32 << 10, Duration::from_millis(25));
    watching.wait_for(stream.writer.sent.len());
    stream.writer.put(50);
    watching.wait_for(stream.writer.sent.len());
    assert_eq!(watching.stop(), sorted(&stream.writer.sent));
}

#[test]
fn iterators_of_idle_shards_expire_and_nothing_is_skipped_or_read_again() {
    let server = Server::kinesis_local();
    for from in ["", "?from=trim_horizon"] {
        let name = format!("trail-{}", from.len());
        let mut writer = Writer::create(&server.endpoint, &name, 3);
        // As if each iterator that is there were older than five minutes.
        let expired = Arc::<AtomicBool>::default();
        let (expires, refused) = (Arc::clone(&expired), Arc::<AtomicUsize>::default());
        let counted = Arc::clone(&refused);
        let proxy = Proxy::start(&server.endpoint, move |operation| {
            match operation == "GetRecords" && expires.load(SeqCst) {
                true => {
                    counted.fetch_add(1, SeqCst);
                    Fault::of(400, "ExpiredIteratorException")
                }
                false => Fault::None,
            }
        });
        let place = Place::new(&proxy.endpoint);
        let source = format!("kinesis://{name}{from}");
        let sql = "SELECT eventID FROM events";
        let watch = ["watch", sql, &source, "--format", "ndjson"];
        let watching = Watching::start(&place, &watch, 32 << 10, Duration::ZERO);
        let lake = ["ingest", &source, "--to", "lake", "--commit-every", "1"];
        let ingesting = place.start(&lake);
        std::thread::sleep(Duration::from_secs(3));
        let mut reads = 0;
        // At first nothing was ever read.
        for (before, meanwhile) in [(0, 6), (10, 20)] {
            writer.put(before);
            watching.wait_for(writer.sent.len());
            expired.store(true, SeqCst);
            // Each shard of both, more than once.
            reads += 15;
            wait_until("no iterator expires", || refused.load(SeqCst) >= reads);
            writer.put(meanwhile);
            std::thread::sleep(Duration::from_millis(300));
            expired.store(false, SeqCst);
            reads = refused.load(SeqCst);
        }
        watching.wait_for(writer.sent.len());
        place.wait_for("lake", writer.sent.len());
        // What is read again would come by now.
        std::thread::sleep(Duration::from_secs(2));
        assert_eq!(watching.ids(), sorted(&writer.sent), "{source}");
        assert_eq!(watching.stop(), sorted(&writer.sent), "{source}");
        let done = ingesting.terminate();
        assert_eq!(done.code, Some(130), "{}", done.said);
        assert!(!done.said.contains("were there already"), "{}", done.said);
        place.holds("lake", &writer);
    }
}

/// A server that answers LookupEvents: newest first, in pages of 50, and throttled now and then.
struct History {
    address: SocketAddr,
    shared: Arc<HistoryShared>,
}

#[derive(Default)]
struct HistoryShared {
    is_over: AtomicBool,
    calls: AtomicUsize,
    /// Seconds since 1970, of each event by its number.
    times: Mutex<Vec<i64>>,
}

impl History {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::<HistoryShared>::default();
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if serving.is_over.load(SeqCst) {
                    return;
                }
                // A client that is killed is none of the server's business.
                let _ = client.and_then(|client| serving.serve(client));
            }
        });
        Self { address, shared }
    }

    fn put(&self, ago_seconds: i64) {
        let at = Utc::now().timestamp() - ago_seconds;
        self.shared.times.lock().unwrap().push(at);
    }

    fn ids(&self) -> Vec<String> {
        let events = self.shared.times.lock().unwrap().len();
        (0..events).map(made::id).collect()
    }
}

impl Drop for History {
    fn drop(&mut self) {
        self.shared.is_over.store(true, SeqCst);
        // Wakes the listener.
        let _ = TcpStream::connect(self.address);
    }
}

impl HistoryShared {
    /// Serves one request; the connection ends with it.
    fn serve(&self, mut client: TcpStream) -> std::io::Result<()> {
        client.set_read_timeout(Some(PATIENCE))?;
        let mut reader = BufReader::new(client.try_clone()?);
        let (mut length, mut line) = (0, String::new());
        while reader.read_line(&mut line)? > 2 {
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            line.clear();
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let Ok(question) = serde_json::from_slice(&body) else {
            return Ok(());
        };
        let is_throttled = self.calls.fetch_add(1, SeqCst) % 7 == 6;
        let (status, answer) = match is_throttled {
            true => (400, json!({"__type": "ThrottlingException"})),
            false => (200, self.answer(&question)),
        };
        let answer = answer.to_string();
        write!(
            client,
            "HTTP/1.1 {status} X\r\nContent-Type: application/x-amz-json-1.1\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{answer}",
            answer.len()
        )
    }

    fn answer(&self, question: &Value) -> Value {
        let from = question["StartTime"].as_f64().unwrap_or(0.0);
        let to = question["EndTime"].as_f64().unwrap_or(f64::MAX);
        let times = self.times.lock().unwrap();
        let mut found: Vec<(usize, i64)> = times
            .iter()
            .copied()
            .enumerate()
            .filter(|(_, at)| (from..=to).contains(&(*at as f64)))
            .collect();
        found.sort_by_key(|(number, at)| (-at, *number));
        let token = question["NextToken"].as_str();
        // A token names the last event of the page, so that new ones do not move the next.
        let after: usize = token.map_or(0, |token| {
            let last: usize = token.parse().unwrap();
            let at = found.iter().position(|(number, _)| *number == last);
            at.unwrap() + 1
        });
        let most = question["MaxResults"].as_u64().unwrap_or(50) as usize;
        let page = &found[after..(after + most).min(found.len())];
        let events: Vec<Value> = page
            .iter()
            .map(|(number, at)| {
                json!({
                    "EventId": made::id(*number),
                    "EventTime": at,
                    "EventSource": "rds.amazonaws.com",
                    "CloudTrailEvent": made::record(*number),
                })
            })
            .collect();
        let mut answer = json!({"Events": events});
        if let Some((last, _)) = page.last().filter(|_| after + most < found.len()) {
            answer["NextToken"] = json!(last.to_string());
        }
        answer
    }
}

#[test]
fn kills_while_the_event_history_is_read_lose_nothing_and_repeat_nothing() {
    let history = History::start();
    for number in 0..400 {
        // Some of a second together, and of three days.
        history.put(60 + number / 3 * 2_000);
    }
    let place = Place::new(&format!("http://{}", history.address));
    let source = "cloudtrail://?since=4d&eventSource=*";
    let ingest = ["ingest", source, "--to", "lake", "--commit-every", "1"];
    let mut random = Random(seed());
    let mut committed = 0;
    for round in 0..6 {
        let running = place.start(&ingest);
        let pause = 500 + random.below(6000) as u64;
        std::thread::sleep(Duration::from_millis(pause));
        running.kill();
        // New ones, and late ones.
        for ago in [0, 1, 1, 200, 500 + round] {
            history.put(ago);
        }
        if place.path().join("lake/_delta_log").exists() {
            committed = place.ids("lake").len();
        }
    }
    assert!(
        committed > 0,
        "no run has committed anything before its end"
    );
    place.succeeds(&[&ingest[..], &["--until-now"]].concat());
    place.holds_ids("lake", &history.ids());
    place.succeeds(&["lake", "verify", "lake"]);
    println!("{committed} events before the last run");
}

/// Returns the status and the body of an answer.
fn get(address: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = "Connection: close\r\n\r\n";
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\n{head}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap();
    (status.parse().unwrap(), body.to_owned())
}

#[test]
fn a_run_is_ready_once_its_source_answers() {
    let server = Server::roto();
    let mut writer = Writer::create(&server.endpoint, "trail", 1);
    writer.put(10);
    let fails = Arc::new(AtomicBool::new(true));
    let is_failing = Arc::clone(&fails);
    let proxy = Proxy::start(&server.endpoint, move |_| match is_failing.load(SeqCst) {
        true => Fault::of(503, "ServiceUnavailable"),
        false => Fault::None,
    });
    let place = Place::new(&proxy.endpoint);
    let ingest = ["ingest", "kinesis://trail", "--to", "lake"];
    let metrics = ["--metrics", "127.0.0.1:0", "--commit-every", "1"];
    let mut running = place.start(&[&ingest[..], &metrics].concat());
    let mut said = BufReader::new(running.0.stderr.take().unwrap());
    let mut line = String::new();
    let address = loop {
        line.clear();
        assert!(said.read_line(&mut line).unwrap() > 0, "no address is told");
        if let Some((_, rest)) = line.split_once("metrics at http://") {
            break rest.split_once('/').unwrap().0.to_owned();
        }
    };
    wait_until("no attempt fails", || {
        get(&address, "/metrics")
            .1
            .contains("auroratrail_source_retrying 1")
    });
    let (status, body) = get(&address, "/ready");
    assert_eq!(status, 503, "{body}");
    assert!(body.contains("nothing has been read yet"), "{body}");
    assert_eq!(get(&address, "/health").0, 200);
    fails.store(false, SeqCst);
    wait_until("it is not ready", || get(&address, "/ready").0 == 200);
    place.wait_for("lake", writer.sent.len());
    // It fails again, for a moment: that needs no look.
    fails.store(true, SeqCst);
    wait_until("no attempt fails", || {
        get(&address, "/metrics")
            .1
            .contains("auroratrail_source_retrying 1")
    });
    assert_eq!(get(&address, "/ready").0, 200);
    fails.store(false, SeqCst);
    writer.put(10);
    place.wait_for("lake", writer.sent.len());
    assert_eq!(get(&address, "/ready").0, 200);
    running.kill();
}

/// Returns events that were too large, so that CloudTrail left out parts of them; and the parts' markers by
/// the members that they are in.
fn with_omitted_parts() -> Vec<(Value, Value)> {
    let marker = json!({"omitted": true, "originalSize": 110_000, "reason": "more than 100 KB"});
    let short = json!({"omitted": true});
    let kept = json!({"dBClusterIdentifier": "a", "tags": short});
    let session = json!({"type": "AssumedRole", "sessionContext": short});
    let markers = [
        json!({"requestParameters": marker, "responseElements": kept}),
        json!({"responseElements": marker, "additionalEventData": short}),
        json!({"userIdentity": session, "tlsDetails": short}),
        // Members of other types than objects, and one that CloudTrail does not document.
        json!({"resources": short, "userAgent": marker, "readOnly": short, "omitted": true}),
    ];
    let events = markers.into_iter().enumerate().map(|(number, markers)| {
        let mut event: Value = serde_json::from_str(&made::record(number)).unwrap();
        for (name, marker) in markers.as_object().unwrap() {
            event[name] = marker.clone();
        }
        (event, markers)
    });
    events.collect()
}

#[test]
fn parts_that_cloudtrail_left_out_stay_marked_through_a_stream_and_a_lake() {
    let server = Server::roto();
    let writer = Writer::create(&server.endpoint, "trail", 1);
    let place = Place::new(&server.endpoint);
    let events = with_omitted_parts();
    let texts: Vec<String> = events.iter().map(|(event, _)| event.to_string()).collect();
    let message = made::subscription(&texts[..2]).0;
    writer.put_data(made::gzip(message));
    for text in &texts[2..] {
        writer.put_data(text.clone().into());
    }
    place.succeeds(&["ingest", "kinesis://trail", "--to", "lake", "--until-now"]);
    let columns = "requestParameters, responseElements, additionalEventData, userIdentity, tlsDetails, \
                   resources, userAgent, readOnly, unmapped";
    let scalar = "json_extract_scalar(requestParameters, '$.omitted')";
    let sql = format!(
        "SELECT record, {columns}, requestParameters.omitted AS dotted, {scalar} AS scalar, \
         responseElements.tags.omitted AS nested FROM events ORDER BY eventID"
    );
    for source in ["kinesis://trail", "lake"] {
        let (rows, _) = place.succeeds(&["query", &sql, source, "--format", "ndjson"]);
        let rows: Vec<Value> = rows
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(rows.len(), events.len(), "{source}");
        let parsed = |row: &Value, name: &str| -> Value {
            let text = row[name].as_str().unwrap_or("null");
            serde_json::from_str(text).unwrap()
        };
        for (row, (event, markers)) in rows.iter().zip(&events) {
            assert_eq!(parsed(row, "record"), *event, "{source}");
            let unmapped = parsed(row, "unmapped");
            for (name, marker) in markers.as_object().unwrap() {
                let in_column = parsed(row, name);
                // What does not fit its column is in the column of all such values.
                let found = match in_column.is_null() {
                    true => &unmapped[name],
                    false => &in_column,
                };
                assert_eq!(found, marker, "{source}: {row}");
            }
        }
        assert_eq!(rows[0]["dotted"], "true", "{source}");
        assert_eq!(rows[0]["scalar"], "true", "{source}");
        assert_eq!(rows[0]["nested"], "true", "{source}");
        assert_eq!(rows[1]["dotted"], Value::Null, "{source}");
    }
}

#[test]
fn what_was_rejected_before_a_kill_is_kept() {
    let place = Place::new("http://127.0.0.1:9");
    let log = place.path().join("app.ndjson");
    std::fs::write(&log, format!("{}\nno JSON\n", made::record(1))).unwrap();
    let ingest = [
        "ingest",
        "app.ndjson",
        "--follow",
        "--keep",
        "all",
        "--to",
        "lake",
    ];
    let ingest = [
        &ingest[..],
        &["--commit-every", "1", "--rejects", "rejects.ndjson"],
    ]
    .concat();
    let rejected = || {
        let text = std::fs::read_to_string(place.path().join("rejects.ndjson")).unwrap();
        let lines = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let contents = lines.map(|it| it["content"].as_str().unwrap().trim().to_owned());
        contents.collect::<Vec<_>>()
    };
    let running = place.start(&ingest);
    place.wait_for("lake", 1);
    running.kill();
    assert_eq!(rejected(), ["no JSON"]);
    let mut file = std::fs::File::options().append(true).open(&log).unwrap();
    file.write_all(format!("nor this\n{}\n", made::record(2)).as_bytes())
        .unwrap();
    let running = place.start(&ingest);
    place.wait_for("lake", 2);
    running.kill();
    assert_eq!(rejected(), ["no JSON", "nor this"]);
}
