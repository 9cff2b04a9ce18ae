//! Keeps a live source busy: payloads that are in memory, through decoding, to committed Parquet.
//!
//! ```text
//! cargo bench --bench live -- --seconds 60 --aim 50
//! ```
//!
//! The source hands out CloudWatch Logs subscription messages of 40 events each, as Kinesis delivers
//! them (inflated, as compressing them anew would cost more than all the rest), as fast as they are
//! taken. Event IDs are new in each message and times go on, a minute each second or so, so that
//! nothing is a duplicate. Before that the same threads read the same messages with serde_json for three
//! seconds and do nothing with them: the speed to compare with. Every ten seconds a line says how fast it was since the last, in MB of
//! CloudTrail JSON a second, and how much memory the process has; the last line is of all. Memory is to
//! stay flat however long it runs. It fails if it was slower than `--aim`, or if the lake does not have
//! each event.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use auroratrail::checkpoint::Checkpoint;
use auroratrail::error::Result;
use auroratrail::execution::Execution;
use auroratrail::lake::Lake;
use auroratrail::lake::ingest::{Ingest, IngestSettings, IngestSummary};
use auroratrail::lake::layout::PartitionBy;
use auroratrail::lake::writer::WriterSettings;
use auroratrail::payload::{Body, Payload};
use auroratrail::pipeline::Epochs;
use auroratrail::sample::Sample;
use auroratrail::source::aws::AwsSettings;
use auroratrail::source::{Boundedness, Progress, Reading, Source, Sources};
use clap::Parser;
use serde_json::{Value, json};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Keeps a live source busy
#[derive(Parser)]
struct Arguments {
    /// Seconds to run
    #[arg(long, default_value_t = 60)]
    seconds: u64,

    /// Seconds between two commits
    #[arg(long, default_value_t = 15)]
    commit_every: u64,

    /// MB of CloudTrail JSON a second that it should reach at least
    #[arg(long, default_value_t = 50.0)]
    aim: f64,

    /// Threads; by default one for each core
    #[arg(long)]
    threads: Option<usize>,

    /// Flag that cargo passes
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let cores = || std::thread::available_parallelism().map_or(2, usize::from);
    let threads = arguments.threads.unwrap_or_else(cores);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .expect("threads can be started");
    let folder = tempfile::tempdir().expect("there is a place for temporary files");
    match runtime.block_on(run(&arguments, threads, folder.path())) {
        Ok(rate) if rate >= arguments.aim => ExitCode::SUCCESS,
        Ok(rate) => {
            eprintln!("{rate:.0} MB/s are less than {} MB/s", arguments.aim);
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs for the time that was asked for. Returns MB of CloudTrail JSON a second.
async fn run(arguments: &Arguments, threads: usize, folder: &Path) -> Result<f64> {
    let messages: Arc<[Message]> = Message::all().into();
    let reading_alone = rate_of_reading(&messages, threads);
    println!("reading with serde_json alone: {reading_alone:.0} MB/s");
    let handed = Arc::new(Handed::default());
    let counted = Arc::clone(&handed);
    let sources = Sources::new(AwsSettings::default()).with_scheme("memory", move |_, _| {
        Ok(Box::new(Memory {
            messages: Arc::clone(&messages),
            next: 0,
            handed: Arc::clone(&counted),
        }))
    });
    let lake = Lake::open(&sources, &folder.join("lake").display().to_string()).await?;
    let settings = settings(arguments, threads);
    let execution = Arc::new(Execution::default());
    let ingest = Ingest::new(Arc::clone(lake.storage()), lake.log().clone(), &settings);
    let start = Instant::now();
    let watch = tokio::spawn(watch(
        Arc::clone(&handed),
        Arc::clone(&execution),
        Duration::from_secs(arguments.seconds),
    ));
    let mut last = IngestSummary::default();
    let locations = [sources.parse("memory:")?];
    let ended = ingest
        .run(&sources, &locations, &execution, &mut |end| {
            last = end.summary.clone();
        })
        .await;
    let time = start.elapsed().as_secs_f64();
    watch.abort();
    let events = handed.events.load(Relaxed);
    let rate = handed.bytes.load(Relaxed) as f64 / 1e6 / time;
    println!(
        "{rate:.0} MB/s ({:.2} of reading alone), {:.0} events/s over {time:.0} s in {threads} threads; \
         {} commits, {} files, {:.0} MB; {} MiB at the end",
        rate / reading_alone,
        events as f64 / time,
        last.commits,
        last.files,
        last.bytes as f64 / 1e6,
        memory_mib(),
    );
    assert!(
        ended.is_err_and(|error| error.to_string() == "interrupted"),
        "the run ends when it is stopped"
    );
    assert_eq!(last.rows, events, "the lake has each event");
    Ok(rate)
}

fn settings(arguments: &Arguments, threads: usize) -> IngestSettings {
    IngestSettings {
        threads,
        reading: Reading::Follow,
        follow: false,
        epochs: Epochs {
            interval: Duration::from_secs(arguments.commit_every),
            bytes: 1 << 30,
        },
        partition_by: None,
        // As the command line has them.
        writer: WriterSettings {
            partition_by: PartitionBy::default(),
            max_rows: 1_000_000,
            max_bytes: 24 << 20,
            buffer_bytes: 48 << 20,
            threads,
        },
        condition: None,
        redact: false,
        last_commit: Duration::from_secs(25),
    }
}

/// Returns MB of CloudTrail JSON a second that the threads read with serde_json.
fn rate_of_reading(messages: &[Message], threads: usize) -> f64 {
    let start = Instant::now();
    let read = || {
        let mut bytes = 0;
        for message in messages.iter().cycle() {
            if start.elapsed() > Duration::from_secs(3) {
                break;
            }
            let document: Value = serde_json::from_slice(&message.bytes).expect("it is JSON");
            let events = document["logEvents"].as_array().expect("it has events");
            for event in events {
                let text = event["message"].as_str().expect("events are text");
                let event: Value = serde_json::from_str(text).expect("they are JSON");
                std::hint::black_box(event);
            }
            bytes += message.event_bytes;
        }
        bytes
    };
    let bytes: u64 = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..threads).map(|_| scope.spawn(read)).collect();
        let readers = readers.into_iter();
        readers.map(|it| it.join().expect("it reads")).sum()
    });
    bytes as f64 / 1e6 / start.elapsed().as_secs_f64()
}

/// Prints a line every ten seconds, and stops the run at its time.
async fn watch(handed: Arc<Handed>, execution: Arc<Execution>, time: Duration) {
    let start = Instant::now();
    let (mut before, mut at) = (0, start);
    while start.elapsed() < time {
        let rest = time.saturating_sub(start.elapsed());
        tokio::time::sleep(rest.min(Duration::from_secs(10))).await;
        let bytes = handed.bytes.load(Relaxed);
        let rate = (bytes - before) as f64 / 1e6 / at.elapsed().as_secs_f64();
        (before, at) = (bytes, Instant::now());
        let seconds = start.elapsed().as_secs();
        println!("{seconds:>4} s  {rate:>4.0} MB/s  {:>4} MiB", memory_mib());
    }
    execution.stop().cancel();
}

/// What was handed out.
#[derive(Default)]
struct Handed {
    events: AtomicU64,
    bytes: AtomicU64,
}

/// A source that always has more.
struct Memory {
    messages: Arc<[Message]>,
    next: u64,
    handed: Arc<Handed>,
}

#[async_trait]
impl Source for Memory {
    fn boundedness(&self) -> Boundedness {
        Boundedness::Unbounded
    }

    async fn next(&mut self) -> Result<Option<Payload>> {
        let message = &self.messages[(self.next % self.messages.len() as u64) as usize];
        let bytes = message.anew(self.next);
        self.next += 1;
        self.handed.events.fetch_add(EVENTS as u64, Relaxed);
        self.handed.bytes.fetch_add(message.event_bytes, Relaxed);
        let origin = format!("memory://shard-0/{}", self.next);
        Ok(Some(Payload::new(origin, Body::Whole(bytes.into()))))
    }

    fn checkpoint(&self) -> Checkpoint {
        Checkpoint::default()
    }

    fn progress(&self) -> Progress {
        Progress::default()
    }
}

/// A subscription message, and the places in it that are to be new each time.
struct Message {
    bytes: Vec<u8>,
    ids: Vec<usize>,
    times: Vec<usize>,
    /// Bytes of its events, without the message around them.
    event_bytes: u64,
}

impl Message {
    /// Makes different messages of made-up events.
    fn all() -> Vec<Self> {
        let sample = Sample::parse("?events=20000").expect("it is well-formed");
        let mut events = Vec::new();
        for payload in sample.payloads_from(0) {
            let Body::Whole(bytes) = payload.body else {
                continue;
            };
            let document: Value = serde_json::from_slice(&bytes).expect("samples are JSON");
            let records = document["Records"].as_array().expect("it has records");
            events.extend(records.iter().cloned());
        }
        events.chunks_exact(EVENTS).map(Self::of).collect()
    }

    fn of(events: &[Value]) -> Self {
        let mut event_bytes = 0;
        let events = events.iter().enumerate().map(|(number, event)| {
            let mut event = event.clone();
            event["eventID"] = ID.into();
            event["eventTime"] = TIME.into();
            let text = event.to_string();
            event_bytes += text.len() as u64;
            json!({"id": number.to_string(), "timestamp": 0, "message": text})
        });
        let events: Vec<Value> = events.collect();
        let message = json!({
            "messageType": "DATA_MESSAGE",
            "owner": "123456789012",
            "logGroup": "trail",
            "logStream": "123456789012_CloudTrail_eu-west-1",
            "subscriptionFilters": ["all"],
            "logEvents": events,
        });
        let bytes = message.to_string().into_bytes();
        let places = |text: &str| memchr::memmem::find_iter(&bytes, text).collect::<Vec<_>>();
        let (ids, times) = (places(ID), places(TIME));
        assert_eq!(ids.len(), EVENTS, "each event has one ID");
        Self {
            ids,
            times,
            event_bytes,
            bytes,
        }
    }

    /// Returns the message with new IDs and times.
    fn anew(&self, number: u64) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        for (event, at) in self.ids.iter().enumerate() {
            let id = format!("{number:08x}-{event:04x}");
            bytes[*at..*at + id.len()].copy_from_slice(id.as_bytes());
        }
        let time = FIRST_SECOND + (number / 16) as i64;
        let time = chrono::DateTime::from_timestamp(time, 0).expect("it is a time of this era");
        let time = time.format("%Y-%m-%dT%H:%M:%SZ").to_string();
        for at in &self.times {
            bytes[*at..*at + time.len()].copy_from_slice(time.as_bytes());
        }
        bytes
    }
}

/// Returns the memory of this process; 0 where the system does not tell.
fn memory_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

/// Events of a message, as CloudWatch Logs puts together in a busy account.
const EVENTS: usize = 40;
const ID: &str = "ffffffff-ffff-4fff-8fff-ffffffffffff";
const TIME: &str = "2026-10-31T00:00:00Z";
/// 2026-10-31, seconds since 1970 UTC.
const FIRST_SECOND: i64 = 1_793_404_800;
