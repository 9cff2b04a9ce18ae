//! Servers that speak Kinesis, installed once into the cache folder: kinesis-local (from npm), which is
//! faithful and slow, and roto (from PyPI), which is fast. And a writer, which remembers what it sent.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, Shard, StreamStatus};
use tokio::runtime::Runtime;

use crate::made::{self, Random};

/// A server that ends with this value.
pub struct Server {
    child: Child,
    pub endpoint: String,
}

impl Server {
    /// Starts kinesis-local: sequence numbers as AWS has them, iterators that expire, enhanced fan-out.
    pub fn kinesis_local() -> Self {
        let folder = cached("kinesis-local-0.6.2", |folder| {
            let mut npm = Command::new("npm");
            npm.args(["install", "--no-audit", "--no-fund", "--ignore-scripts"])
                .args(["--loglevel=error", "--prefix"])
                .arg(folder)
                .arg("kinesis-local@0.6.2");
            run(&mut npm, "node with npm, and npm's kinesis-local@0.6.2");
        });
        let folder = folder.join("node_modules/kinesis-local");
        let mut server = Command::new("node");
        // It reads its certificate from the working folder.
        server.arg("main.js").current_dir(folder);
        for name in ["CREATE_STREAM", "DELETE_STREAM", "SPLIT_SHARD"] {
            server.env(format!("{name}_DURATION"), "20ms");
        }
        for name in ["MERGE_SHARDS", "REGISTER_STREAM_CONSUMER"] {
            server.env(format!("{name}_DURATION"), "20ms");
        }
        let tls = free_port();
        server
            .env("KINESIS_MOCK_TLS_PORT", tls.to_string())
            .env("SHARD_LIMIT", "500")
            .env("LOG_LEVEL", "ERROR");
        Self::start(server, |server, port| {
            server.env("KINESIS_MOCK_PLAIN_PORT", port.to_string());
        })
    }

    /// Starts roto: sequence numbers of one digit, thousands of records a second.
    pub fn roto() -> Self {
        let folder = cached("roto-aws-0.10.1", |folder| {
            let needs = "python3 with venv, and PyPI's roto-aws==0.10.1";
            run(
                Command::new("python3").args(["-m", "venv"]).arg(folder),
                needs,
            );
            run(
                Command::new(folder.join("bin/pip")).args(["install", "-q", "roto-aws==0.10.1"]),
                needs,
            );
        });
        let mut server = Command::new(folder.join("bin/roto-server"));
        server.args(["--host", "127.0.0.1", "--ephemeral"]);
        Self::start(server, |server, port| {
            server.args(["--port", &port.to_string()]);
        })
    }

    fn start(mut server: Command, listen: impl Fn(&mut Command, u16)) -> Self {
        let port = free_port();
        listen(&mut server, port);
        let child = server
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{server:?} cannot run: {error}"));
        let mut started = Self {
            child,
            endpoint: format!("http://127.0.0.1:{port}"),
        };
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = started.child.try_wait().unwrap();
            assert!(ended.is_none(), "{server:?} ended: {ended:?}");
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "{server:?} does not answer"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        started
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Another process may take the port before the server does; nothing better is on offer.
fn free_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().port()
}

/// Returns a folder of the cache, which `install` fills if it is not there. Several processes may do so at
/// once: one of them gives the folder its name.
fn cached(name: &str, install: impl Fn(&Path)) -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .expect("XDG_CACHE_HOME or HOME is set")
        .join("auroratrail");
    let folder = cache.join(name);
    if !folder.exists() {
        std::fs::create_dir_all(&cache).unwrap();
        let temporary = tempfile::tempdir_in(&cache).unwrap();
        install(temporary.path());
        let renamed = std::fs::rename(temporary.path(), &folder);
        assert!(renamed.is_ok() || folder.exists(), "{renamed:?}");
    }
    folder
}

fn run(command: &mut Command, needs: &str) {
    match command.stdout(Stdio::null()).status() {
        Ok(status) => assert!(
            status.success(),
            "{command:?} failed: {status}; this test needs {needs}"
        ),
        Err(error) => panic!("{command:?} cannot run: {error}; this test needs {needs}"),
    }
}

/// A writer of one stream.
pub struct Writer {
    runtime: Runtime,
    client: Client,
    pub stream: String,
    random: Random,
    /// Records of the stream that were made.
    made: usize,
    /// The event IDs of all events that the server took, in the order of their making.
    pub sent: Vec<String>,
    /// Records that the server took and nobody can read.
    pub poisoned: u64,
}

impl Writer {
    /// Creates a stream.
    pub fn create(endpoint: &str, stream: &str, shards: i32) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let config = aws_sdk_kinesis::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(endpoint)
            .credentials_provider(Credentials::new("AKIATEST", "secret", None, None, "tests"))
            .http_client(aws_smithy_http_client::Builder::new().build_http());
        let writer = Self {
            client: Client::from_conf(config.build()),
            runtime,
            stream: stream.to_owned(),
            random: Random(7),
            made: 0,
            sent: Vec::new(),
            poisoned: 0,
        };
        let create = writer.client.create_stream();
        let create = create.stream_name(stream).shard_count(shards);
        writer.runtime.block_on(create.send()).unwrap();
        writer.wait_active();
        writer
    }

    /// Puts so many records of the stream, with 0 to 5 events each.
    pub fn put(&mut self, records: usize) {
        let made: Vec<Made> = (0..records).map(|_| self.make()).collect();
        for batch in made.chunks(50) {
            let mut left: Vec<&Made> = batch.iter().collect();
            while !left.is_empty() {
                let failed = self.put_once(&left);
                let (taken, rest): (Vec<_>, Vec<_>) =
                    left.iter().enumerate().partition(|(at, _)| !failed[*at]);
                for (_, made) in &taken {
                    self.sent.extend(made.events.iter().cloned());
                    self.poisoned += u64::from(made.is_poisoned);
                }
                left = rest.into_iter().map(|(_, made)| *made).collect();
            }
        }
    }

    /// Puts a record of other events than those that are made here.
    pub fn put_data(&self, data: Vec<u8>) {
        let put = self.client.put_record().stream_name(&self.stream);
        let put = put.partition_key("k").data(Blob::new(data));
        self.runtime.block_on(put.send()).unwrap();
    }

    /// Returns which of the records were not taken.
    fn put_once(&mut self, records: &[&Made]) -> Vec<bool> {
        let entries = records.iter().map(|made| {
            PutRecordsRequestEntry::builder()
                .data(Blob::new(made.data.clone()))
                .partition_key(self.random.next().to_string())
                .build()
                .unwrap()
        });
        let put = self.client.put_records().stream_name(&self.stream);
        let put = put.set_records(Some(entries.collect()));
        let answer = self.runtime.block_on(put.send()).unwrap();
        let results = answer.records().iter();
        results.map(|it| it.error_code().is_some()).collect()
    }

    /// Makes the next record, in the forms that occur.
    fn make(&mut self) -> Made {
        let number = self.made * MOST_EVENTS;
        self.made += 1;
        let events =
            |count: usize| -> Vec<String> { (number..number + count).map(made::record).collect() };
        let (events, data): (Vec<String>, Vec<u8>) = match self.made % 8 {
            0 => (Vec::new(), made::gzip(CONTROL)),
            1 | 5 => {
                let events = events(MOST_EVENTS);
                let message = made::subscription(&events).0;
                (events, made::gzip(message))
            }
            2 => {
                let events = events(1);
                let bridge = event_bridge(&events[0]);
                (events, bridge.into())
            }
            3 => {
                let events = events(MOST_EVENTS);
                let message = made::gzip(made::subscription(&events[1..4]).0);
                let bridge = event_bridge(&events[4]).into();
                let plain = events[0].clone().into();
                (events, made::kpl(&[plain, message, bridge]))
            }
            4 if self.made.is_multiple_of(5) => (Vec::new(), self.poison()),
            _ => {
                let events = events(1);
                let plain = events[0].clone();
                (events, plain.into())
            }
        };
        Made {
            is_poisoned: events.is_empty() && !self.made.is_multiple_of(8),
            events: (number..number + events.len()).map(made::id).collect(),
            data,
        }
    }

    /// Returns a record that gives one reject.
    fn poison(&mut self) -> Vec<u8> {
        let record = made::record(0);
        match self.random.below(3) {
            0 => record.as_bytes()[..60].to_vec(),
            1 => b"this is no event at all".to_vec(),
            _ => {
                let mut damaged = made::gzip("this is no event at all");
                let checksum = damaged.len() - 8;
                damaged[checksum] ^= 0xff;
                damaged
            }
        }
    }

    /// Splits the widest shard.
    pub fn split(&self) {
        let open = self.open_shards();
        let widest = open
            .iter()
            .max_by_key(|shard| range(shard).1 - range(shard).0)
            .unwrap();
        let (first, last) = range(widest);
        let split = self
            .client
            .split_shard()
            .stream_name(&self.stream)
            .shard_to_split(widest.shard_id())
            .new_starting_hash_key((first + (last - first) / 2).to_string());
        self.runtime.block_on(split.send()).unwrap();
        self.wait_active();
    }

    /// Merges two neighbouring shards.
    pub fn merge(&self) {
        let mut open = self.open_shards();
        open.sort_by_key(range);
        let merge = self
            .client
            .merge_shards()
            .stream_name(&self.stream)
            .shard_to_merge(open[0].shard_id())
            .adjacent_shard_to_merge(open[1].shard_id());
        self.runtime.block_on(merge.send()).unwrap();
        self.wait_active();
    }

    /// Deletes the stream.
    pub fn delete(&self) {
        let delete = self.client.delete_stream().stream_name(&self.stream);
        self.runtime.block_on(delete.send()).unwrap();
    }

    fn open_shards(&self) -> Vec<Shard> {
        let list = self.client.list_shards().stream_name(&self.stream);
        let shards = self.runtime.block_on(list.send()).unwrap().shards;
        let is_open = |shard: &Shard| {
            let numbers = shard.sequence_number_range();
            numbers.is_some_and(|it| it.ending_sequence_number().is_none())
        };
        shards.unwrap().into_iter().filter(is_open).collect()
    }

    fn wait_active(&self) {
        for _ in 0..600 {
            let describe = self.client.describe_stream_summary();
            let describe = describe.stream_name(&self.stream).send();
            let answer = self.runtime.block_on(describe).unwrap();
            let summary = answer.stream_description_summary().unwrap();
            if *summary.stream_status() == StreamStatus::Active {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("the stream {} does not become active", self.stream);
    }

    /// Goes on writing in a thread, `records` at a time, and reshards after each `reshard_after` times.
    pub fn go_on(mut self, records: usize, pause: Duration, reshard_after: usize) -> Going {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut times = 0;
            while !stopped.load(Ordering::Relaxed) {
                self.put(records);
                times += 1;
                match times % (3 * reshard_after) {
                    0 => self.merge(),
                    at if at % reshard_after == 0 => self.split(),
                    _ => {}
                }
                std::thread::sleep(pause);
            }
            self
        });
        Going { stop, thread }
    }
}

/// A writer that goes on.
pub struct Going {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Writer>,
}

impl Going {
    /// Ends the writing.
    pub fn stop(self) -> Writer {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

struct Made {
    data: Vec<u8>,
    events: Vec<String>,
    is_poisoned: bool,
}

fn range(shard: &Shard) -> (u128, u128) {
    let range = shard.hash_key_range().unwrap();
    let number = |text: &str| text.parse().unwrap();
    (
        number(range.starting_hash_key()),
        number(range.ending_hash_key()),
    )
}

fn event_bridge(event: &str) -> String {
    format!(
        r#"{{"version":"0","id":"6f87d04b-9f74-4f04-a780-7acf4b0a9b38","detail-type":"AWS API Call via CloudTrail","source":"aws.rds","account":"123456789012","time":"2026-03-04T05:06:07Z","region":"us-east-1","resources":[],"detail":{event}}}"#
    )
}

const CONTROL: &str = r#"{"messageType":"CONTROL_MESSAGE","owner":"CloudwatchLogs","logGroup":"","logStream":"","subscriptionFilters":[],"logEvents":[{"id":"","timestamp":1772600000000,"message":"CWL CONTROL MESSAGE: Checking health of destination Kinesis stream."}]}"#;

/// Events that a record has at most.
const MOST_EVENTS: usize = 5;
