//! The promise of a barrier: what a consumer keeps at barriers, over any number of runs that end in
//! any way, is every record once.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use arrow::array::{AsArray, RecordBatch};
use async_trait::async_trait;
use auroratrail::checkpoint::{Checkpoint, Mark, Position};
use auroratrail::error::Result;
use auroratrail::events::columns::catalog;
use auroratrail::execution::Execution;
use auroratrail::payload::{Body, Payload, Resume};
use auroratrail::pipeline::{
    BatchRequest, Deliveries, Delivery, DeliveryRequest, End, Epochs, deliver,
};
use auroratrail::source::aws::AwsSettings;
use auroratrail::source::{Boundedness, OpenContext, Progress, Source, Sources};
use proptest::prelude::*;
use tokio::runtime::Runtime;

use crate::partitioned::partitioned;

/// A consumer that makes rows and checkpoint durable in one step, as a lake does.
#[derive(Default)]
struct Store {
    ids: Vec<String>,
    checkpoint: Checkpoint,
    barriers: usize,
}

/// How a run ends, unless its source does.
#[derive(Clone, Copy, Debug)]
enum Ending {
    /// The process dies before it takes this delivery.
    Kill(usize),
    /// It is told to stop before it takes this delivery, and stops in order.
    Stop(usize),
    /// It goes on to the end of its source.
    Never,
}

#[derive(Clone, Debug)]
struct Run {
    threads: usize,
    epoch_micros: u64,
    epoch_bytes: u64,
    batch_rows: usize,
    ending: Ending,
}

impl Store {
    /// Reads on from the last barrier; returns whether the source has come to its end.
    fn run(&mut self, sources: &Sources, location: &str, run: &Run) -> bool {
        let runtime = Runtime::new().unwrap();
        let has_ended = runtime.block_on(self.consume(sources, location, run));
        runtime.shutdown_timeout(Duration::from_secs(10));
        has_ended
    }

    async fn consume(&mut self, sources: &Sources, location: &str, run: &Run) -> bool {
        // A checkpoint lies in a file between two processes.
        let stored = serde_json::to_string(&self.checkpoint).unwrap();
        let execution = Arc::new(Execution::default());
        let context = OpenContext {
            from: Some(serde_json::from_str(&stored).unwrap()),
            execution: Arc::clone(&execution),
            ..OpenContext::default()
        };
        let locations = [sources.parse(location).unwrap()];
        let source = sources.open(&locations, &context).unwrap();
        let mut deliveries: Deliveries = deliver(source, &request(run), &execution);
        let mut pending = Vec::new();
        for number in 0.. {
            match run.ending {
                Ending::Kill(at) if at == number => return false,
                Ending::Stop(at) if at == number => execution.stop().cancel(),
                _ => {}
            }
            match deliveries.next().await.unwrap() {
                Some(Delivery::Batch(batch)) => pending.extend(ids(&batch)),
                Some(Delivery::Barrier(barrier)) => {
                    self.ids.append(&mut pending);
                    self.checkpoint = barrier.checkpoint;
                    self.barriers += 1;
                    match barrier.end {
                        None => {}
                        Some(End::Exhausted) => return true,
                        Some(End::Stopped) => return false,
                        Some(End::Failed(error)) => panic!("{error}"),
                    }
                }
                None => panic!("the last barrier has no end"),
            }
        }
        unreachable!()
    }
}

fn request(run: &Run) -> DeliveryRequest {
    let event_id = catalog().index_of("eventid").unwrap();
    DeliveryRequest {
        threads: run.threads,
        batches: BatchRequest::all_rows(vec![event_id], run.batch_rows),
        dedup: false,
        epochs: Epochs {
            interval: Duration::from_micros(run.epoch_micros),
            bytes: run.epoch_bytes,
        },
    }
}

fn ids(batch: &RecordBatch) -> Vec<String> {
    let ids = batch.column(0).as_string::<i32>();
    ids.iter().map(|id| id.unwrap().to_owned()).collect()
}

fn runs() -> impl Strategy<Value = Vec<Run>> {
    let ending = prop_oneof![
        (0..12usize).prop_map(Ending::Kill),
        (0..12usize).prop_map(Ending::Stop),
        Just(Ending::Never),
    ];
    let epoch_bytes = prop_oneof![Just(u64::MAX), 1..20_000u64];
    let run = (1..5usize, 100..4000u64, epoch_bytes, 1..40usize, ending).prop_map(
        |(threads, epoch_micros, epoch_bytes, batch_rows, ending)| Run {
            threads,
            epoch_micros,
            epoch_bytes,
            batch_rows,
            ending,
        },
    );
    prop::collection::vec(run, 1..6)
}

/// A run that ends by itself.
const LAST: Run = Run {
    threads: 2,
    epoch_micros: 2000,
    epoch_bytes: u64::MAX,
    batch_rows: 100,
    ending: Ending::Never,
};

fn record(id: &str) -> String {
    format!(
        r#"{{"eventVersion":"1.08","eventSource":"rds.amazonaws.com","eventName":"StopDBCluster","eventID":"{id}"}}"#
    )
}

/// Files of several sizes and forms; returns the event IDs in them, sorted.
fn write_files(folder: &Path, sizes: &[usize]) -> Vec<String> {
    let mut all = Vec::new();
    for (file, &size) in sizes.iter().enumerate() {
        let ids: Vec<String> = (0..size).map(|number| format!("{file}-{number}")).collect();
        let records: Vec<String> = ids.iter().map(|id| record(id)).collect();
        all.extend(ids);
        let path = folder.join(format!("{}/{file:02}", file % 3));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match file % 4 {
            0 => fs::write(path, records.join("\n")),
            1 => fs::write(path, format!(r#"{{"Records":[{}]}}"#, records.join(","))),
            // Rejects and other things are items too.
            2 => fs::write(path, records.join("\n{\"Type\":\"x\"}\nno JSON\n")),
            _ => {
                let out = fs::File::create(path).unwrap();
                let mut gzip = flate2::write::GzEncoder::new(out, flate2::Compression::fast());
                gzip.write_all(records.join("\n").as_bytes())
            }
        }
        .unwrap();
    }
    all.sort();
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn every_record_of_files_is_kept_once_however_runs_end(
        sizes in prop::collection::vec(0..300usize, 1..12),
        runs in runs(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let expected = write_files(folder.path(), &sizes);
        let sources = Sources::new(AwsSettings::default());
        let location = folder.path().to_str().unwrap();
        let mut store = Store::default();
        for run in &runs {
            store.run(&sources, location, run);
        }
        prop_assert!(store.run(&sources, location, &LAST));
        store.ids.sort();
        prop_assert_eq!(store.ids, expected);
    }

    #[test]
    fn every_record_of_an_endless_source_is_kept_once_however_runs_end(runs in runs()) {
        let sources = Sources::new(AwsSettings::default()).with_scheme("partitioned", partitioned);
        let mut store = Store::default();
        for run in &runs {
            let ending = match run.ending {
                Ending::Never => Ending::Stop(20),
                ending => ending,
            };
            let run = Run { ending, ..run.clone() };
            prop_assert!(!store.run(&sources, "partitioned://", &run));
        }
        let mut kept: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for id in &store.ids {
            let (partition, number) = id.split_once('-').unwrap();
            let numbers = kept.entry(format!("partitioned://{partition}")).or_default();
            numbers.push(number.parse().unwrap());
        }
        for (partition, position) in store.checkpoint.partitions() {
            let Position::Sequence(digits) = position else {
                panic!("{position:?}");
            };
            let mut numbers = kept.remove(partition).unwrap_or_default();
            numbers.sort_unstable();
            let expected: Vec<u64> = (0..digits.parse().unwrap()).collect();
            prop_assert_eq!(numbers, expected, "{}", partition);
        }
        prop_assert!(kept.is_empty());
    }
}

/// Streams of which the first reads fail in their midst, at another place each time.
struct Failing {
    streams: Vec<Arc<Vec<u8>>>,
    checkpoint: Checkpoint,
    next: usize,
    failures: Arc<AtomicUsize>,
}

#[async_trait]
impl Source for Failing {
    fn boundedness(&self) -> Boundedness {
        Boundedness::Bounded
    }

    async fn next(&mut self) -> Result<Option<Payload>> {
        while self.next < self.streams.len() {
            let name = self.next.to_string();
            self.next += 1;
            let unfinished = self.checkpoint.remove_unfinished(&name);
            let folder = self.checkpoint.objects_mut("failing://")?;
            if folder.contains(&name, Mark::new(0, None)) && unfinished.is_none() {
                continue;
            }
            folder.insert(&*name, Mark::new(0, None));
            let bytes = Arc::clone(&self.streams[self.next - 1]);
            let failure = self.failures.fetch_add(1, Relaxed);
            let good = match failure % 3 {
                2 => bytes.len(),
                _ => bytes.len() * (failure % 7) / 7,
            };
            let mut at = 0;
            let reader = FnReader(move |out: &mut [u8]| {
                if at == good && good < bytes.len() {
                    return Err(std::io::Error::other("connection reset"));
                }
                let count = out.len().min(97).min(good - at);
                out[..count].copy_from_slice(&bytes[at..at + count]);
                at += count;
                Ok(count)
            });
            return Ok(Some(Payload {
                resume: Some(Resume {
                    key: name.clone(),
                    skip_items: unfinished.unwrap_or(0),
                }),
                ..Payload::new(name, Body::Stream(Box::new(reader)))
            }));
        }
        Ok(None)
    }

    fn checkpoint(&self) -> Checkpoint {
        self.checkpoint.clone()
    }

    fn progress(&self) -> Progress {
        Progress::default()
    }
}

struct FnReader<F>(F);

impl<F: FnMut(&mut [u8]) -> std::io::Result<usize>> Read for FnReader<F> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        (self.0)(out)
    }
}

#[test]
fn a_stream_that_fails_in_its_midst_is_read_on_by_the_next_run() {
    let lines = |stream: usize| {
        let records: Vec<String> = (0..200)
            .map(|n| record(&format!("{stream}-{n:03}")))
            .collect();
        Arc::new(records.join("\n").into_bytes())
    };
    let streams: Vec<_> = (0..4).map(lines).collect();
    let failures = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&failures);
    let sources = Sources::new(AwsSettings::default()).with_scheme("failing", move |_, context| {
        Ok(Box::new(Failing {
            streams: streams.clone(),
            checkpoint: context.from.clone().unwrap_or_default(),
            next: 0,
            failures: Arc::clone(&counter),
        }))
    });
    let mut store = Store::default();
    for _ in 0..12 {
        store.run(&sources, "failing://", &LAST);
    }
    assert!(failures.load(Relaxed) > 4, "streams were read again");
    store.ids.sort();
    let expected = (0..4).flat_map(|stream| (0..200).map(move |n| format!("{stream}-{n:03}")));
    assert_eq!(store.ids, expected.collect::<Vec<_>>());
}

/// A source that breaks.
struct Broken;

#[async_trait]
impl Source for Broken {
    fn boundedness(&self) -> Boundedness {
        Boundedness::Bounded
    }

    async fn next(&mut self) -> Result<Option<Payload>> {
        panic!("broken on purpose");
    }

    fn checkpoint(&self) -> Checkpoint {
        Checkpoint::default()
    }

    fn progress(&self) -> Progress {
        Progress::default()
    }
}

#[test]
fn a_thread_that_panics_ends_the_run_without_a_barrier() {
    let runtime = Runtime::new().unwrap();
    let ended = runtime.block_on(async {
        let mut deliveries = deliver(Box::new(Broken), &request(&LAST), &Arc::default());
        let to_the_end = async {
            // On a busy machine an epoch may end before a thread has asked the source for anything.
            loop {
                match deliveries.next().await {
                    Ok(Some(Delivery::Barrier(barrier))) if barrier.end.is_none() => {}
                    other => return other,
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(120), to_the_end).await
    });
    let error = ended.expect("it does not hang").unwrap_err();
    assert!(error.to_string().contains("please report"), "{error}");
}

/// One stream that cannot be resumed, slow enough for many barriers in its midst.
struct Slow(Option<Vec<u8>>);

#[async_trait]
impl Source for Slow {
    fn boundedness(&self) -> Boundedness {
        Boundedness::Bounded
    }

    async fn next(&mut self) -> Result<Option<Payload>> {
        let Some(bytes) = self.0.take() else {
            return Ok(None);
        };
        let mut at = 0;
        let reader = FnReader(move |out: &mut [u8]| {
            std::thread::sleep(Duration::from_micros(200));
            let count = out.len().min(997).min(bytes.len() - at);
            out[..count].copy_from_slice(&bytes[at..at + count]);
            at += count;
            Ok(count)
        });
        Ok(Some(Payload::new("slow", Body::Stream(Box::new(reader)))))
    }

    fn checkpoint(&self) -> Checkpoint {
        Checkpoint::default()
    }

    fn progress(&self) -> Progress {
        Progress::default()
    }
}

#[test]
fn the_end_of_the_source_is_not_the_end_of_a_stream_that_it_handed_out() {
    let records: Vec<String> = (0..500).map(|n| record(&n.to_string())).collect();
    let bytes = Some(records.join("\n").into_bytes());
    let runtime = Runtime::new().unwrap();
    let (rows, barriers) = runtime.block_on(async {
        let mut deliveries = deliver(Box::new(Slow(bytes)), &request(&LAST), &Arc::default());
        let (mut rows, mut barriers) = (0, 0);
        loop {
            match deliveries.next().await.unwrap() {
                Some(Delivery::Batch(batch)) => rows += batch.num_rows(),
                Some(Delivery::Barrier(barrier)) => {
                    barriers += 1;
                    if barrier.end.is_some() {
                        return (rows, barriers);
                    }
                }
                None => panic!("the last barrier has no end"),
            }
        }
    });
    assert_eq!(rows, 500);
    assert!(barriers > 3, "{barriers}");
}

/// Cases of a property; more where somebody has the time.
fn cases() -> u32 {
    let seconds = std::env::var("AURORATRAIL_FUZZ_SECONDS").ok();
    let seconds = seconds.and_then(|seconds| seconds.parse::<u32>().ok());
    seconds.map_or(24, |seconds| seconds.max(24))
}

#[test]
fn an_epoch_ends_in_the_midst_of_a_large_file() {
    let folder = tempfile::tempdir().unwrap();
    let expected = write_files(folder.path(), &[60_000]);
    let sources = Sources::new(AwsSettings::default());
    let location = folder.path().to_str().unwrap();
    let run = |ending| Run {
        threads: 1,
        epoch_micros: 60_000_000,
        epoch_bytes: 200_000,
        batch_rows: 500,
        ending,
    };
    let mut store = Store::default();
    let mut kept = 0;
    while !store.run(&sources, location, &run(Ending::Kill(40))) {
        assert!(store.ids.len() > kept, "each run gets further");
        kept = store.ids.len();
    }
    assert!(store.barriers >= 5, "{}", store.barriers);
    store.ids.sort();
    assert_eq!(store.ids, expected);
}
