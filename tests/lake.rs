//! The promise of the lake: every event once, whichever step of a write or a commit fails, or however
//! the process dies there, and no reader ever sees a half.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use async_trait::async_trait;
use auroratrail::error::{Error, Result};
use auroratrail::execution::Execution;
use auroratrail::lake::ingest::{Ingest, IngestSettings, IngestSummary};
use auroratrail::lake::layout::PartitionBy;
use auroratrail::lake::log::{AsOf, Log};
use auroratrail::lake::storage;
use auroratrail::lake::storage::{Created, Entry, Storage};
use auroratrail::lake::verify::verify;
use auroratrail::lake::writer::WriterSettings;
use auroratrail::pipeline::Epochs;
use auroratrail::source::aws::AwsSettings;
use auroratrail::source::{Folder, Reading, Sources};
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::made;
use crate::moto_server::Moto;

/// The fate of one call of the storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It fails, and nothing was done.
    Fails,
    /// It is done, and fails all the same, as when the answer is lost.
    LosesAnswer,
    /// The store does not answer it, and neither the next one.
    Unavailable,
    /// It is done, and the store's answer does not come.
    UnavailableAfter,
    /// The answer never comes.
    Hangs,
    /// The process is killed before it.
    KilledBefore,
    /// The process is killed after it.
    KilledAfter,
}

/// A storage of which one call meets its fate.
#[derive(Debug)]
pub struct Faulty {
    inner: Arc<dyn Storage>,
    at: usize,
    fate: Fate,
    calls: AtomicUsize,
}

impl Faulty {
    /// The local lake `lake`, of which call `at` meets `fate`.
    pub fn local(lake: &Path, at: usize, fate: Fate) -> Self {
        Self {
            inner: storage::open(Folder::Local(lake.to_owned()), "lake"),
            at,
            fate,
            calls: AtomicUsize::new(0),
        }
    }

    async fn before(&self) -> Result<bool> {
        let call = self.calls.fetch_add(1, Relaxed);
        let meets = match self.fate {
            Fate::Unavailable => self.at..self.at + 2,
            _ => self.at..self.at + 1,
        };
        if !meets.contains(&call) {
            return Ok(false);
        }
        match self.fate {
            Fate::Fails => Err(Error::io("no space left on device")),
            Fate::Unavailable => Err(Error::unavailable("S3", "slow down")),
            Fate::Hangs => std::future::pending().await,
            Fate::KilledBefore => die(),
            Fate::LosesAnswer | Fate::UnavailableAfter | Fate::KilledAfter => Ok(true),
        }
    }

    fn after<T>(&self, is_met: bool, done: Result<T>) -> Result<T> {
        match (is_met, self.fate) {
            (true, Fate::LosesAnswer) => Err(Error::io("the connection was reset")),
            (true, Fate::UnavailableAfter) => Err(Error::unavailable("S3", "reset")),
            (true, Fate::KilledAfter) => die(),
            _ => done,
        }
    }
}

/// Ends this process as SIGKILL does.
fn die() -> ! {
    let id = std::process::id().to_string();
    let _ = Command::new("kill").args(["-9", &id]).status();
    loop {
        std::thread::sleep(Duration::from_secs(1));
    }
}

#[async_trait]
impl Storage for Faulty {
    async fn put(&self, path: &str, bytes: Bytes) -> Result<()> {
        let is_met = self.before().await?;
        self.after(is_met, self.inner.put(path, bytes).await)
    }

    async fn create(&self, path: &str, bytes: Bytes) -> Result<Created> {
        let is_met = self.before().await?;
        self.after(is_met, self.inner.create(path, bytes).await)
    }

    async fn read(&self, path: &str) -> Result<Option<Bytes>> {
        let is_met = self.before().await?;
        self.after(is_met, self.inner.read(path).await)
    }

    async fn delete(&self, path: &str) -> Result<()> {
        let is_met = self.before().await?;
        self.after(is_met, self.inner.delete(path).await)
    }

    async fn list(&self, folder: &str) -> Result<Vec<Entry>> {
        let is_met = self.before().await?;
        self.after(is_met, self.inner.list(folder).await)
    }

    fn objects(&self) -> Arc<dyn ObjectStore> {
        self.inner.objects()
    }
}

/// Settings with small epochs and files, so that there is much to fail.
fn settings() -> IngestSettings {
    IngestSettings {
        threads: 2,
        reading: Reading::ToNow,
        follow: false,
        epochs: Epochs {
            interval: Duration::from_secs(3600),
            bytes: 60_000,
        },
        partition_by: None,
        writer: WriterSettings {
            partition_by: PartitionBy::default(),
            max_rows: 100,
            max_bytes: 64 << 20,
            buffer_bytes: 64 << 20,
            threads: 2,
        },
        condition: None,
        redact: false,
        last_commit: Duration::from_millis(200),
    }
}

pub async fn ingest(storage: Arc<dyn Storage>, source: &str) -> Result<IngestSummary> {
    ingest_until_stopped(storage, source, Execution::default()).await
}

async fn ingest_until_stopped(
    storage: Arc<dyn Storage>,
    source: &str,
    execution: Execution,
) -> Result<IngestSummary> {
    let sources = Sources::new(AwsSettings::default());
    let locations = vec![sources.parse(source)?];
    let settings = settings();
    let log = Log::new(Arc::clone(&storage), "lake");
    let ingest = Ingest::new(storage, log, &settings);
    let execution = Arc::new(execution);
    ingest
        .run(&sources, &locations, &execution, &mut |_| {})
        .await
}

/// Runs with a fault until the first error; returns whether there was one.
fn run_with(lake: &Path, source: &str, at: usize, fate: Fate) -> bool {
    let runtime = Runtime::new().unwrap();
    let faulty = Arc::new(Faulty::local(lake, at, fate));
    let ran = runtime.block_on(ingest(faulty, source));
    runtime.shutdown_timeout(Duration::from_secs(10));
    ran.is_err()
}

pub fn run(lake: &Path, source: &str) -> IngestSummary {
    let runtime = Runtime::new().unwrap();
    let storage = storage::open(Folder::Local(lake.to_owned()), "lake");
    let ran = runtime.block_on(ingest(storage, source));
    runtime.shutdown_timeout(Duration::from_secs(10));
    ran.unwrap()
}

/// Returns the event IDs of the newest version, each with its number; checks the lake.
pub fn events(lake: &Path) -> BTreeMap<String, usize> {
    let storage = storage::open(Folder::Local(lake.to_owned()), "lake");
    Runtime::new().unwrap().block_on(events_of(storage))
}

pub async fn events_of(storage: Arc<dyn Storage>) -> BTreeMap<String, usize> {
    let log = Log::new(Arc::clone(&storage), "lake");
    let Some(version) = log.version(AsOf::Latest).await.unwrap() else {
        return BTreeMap::new();
    };
    let outcome = verify(&*storage, &version).await.unwrap();
    assert_eq!(outcome.faults, Vec::<String>::new());
    assert_eq!(outcome.files as usize, version.files.len());
    let mut ids = BTreeMap::new();
    for file in &*version.files {
        let bytes = storage.read(&file.path).await.unwrap().unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
        for batch in reader.build().unwrap() {
            let batch = batch.unwrap();
            let column = batch.column_by_name("eventid").unwrap();
            let column = arrow::array::AsArray::as_string::<i32>(column);
            for id in column.iter().flatten() {
                *ids.entry(id.to_owned()).or_default() += 1;
            }
        }
    }
    ids
}

pub const FILES: usize = 12;
pub const RECORDS: usize = 40;

/// Writes a folder of trail files; returns the IDs of their events.
pub fn trail(folder: &Path, first: usize) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for file in 0..FILES {
        let numbers = first + file * RECORDS..first + (file + 1) * RECORDS;
        let records: Vec<String> = numbers.clone().map(made::record).collect();
        ids.extend(numbers.map(made::id));
        let text = format!("{{\"Records\":[{}]}}", records.join(","));
        let path = folder.join(format!("{file:03}.json.gz"));
        std::fs::write(path, made::gzip(text)).unwrap();
    }
    ids
}

/// Asserts that the lake has each of `ids` once.
pub fn assert_whole(lake: &Path, ids: &BTreeSet<String>, context: &str) {
    let found = events(lake);
    let twice: Vec<_> = found.iter().filter(|(_, number)| **number != 1).collect();
    assert!(twice.is_empty(), "{context}: {twice:?}");
    assert!(
        found.keys().eq(ids.iter()),
        "{context}: {} of {}",
        found.len(),
        ids.len()
    );
}

#[test]
fn a_second_run_reads_what_is_new() {
    let folder = tempfile::tempdir().unwrap();
    let (logs, lake) = (folder.path().join("logs"), folder.path().join("lake"));
    std::fs::create_dir(&logs).unwrap();
    let mut ids = trail(&logs, 0);
    let first = run(&lake, logs.to_str().unwrap());
    assert_eq!(first.rows as usize, ids.len());
    assert!(first.commits > 1, "{first:?}");
    assert_whole(&lake, &ids, "once");
    let again = run(&lake, logs.to_str().unwrap());
    assert_eq!((again.rows, again.commits), (0, 0), "{again:?}");
    // The same events in another file, and new ones.
    std::fs::copy(logs.join("003.json.gz"), logs.join("copy.json.gz")).unwrap();
    std::fs::create_dir(logs.join("more")).unwrap();
    ids.extend(trail(&logs.join("more"), 10_000));
    let more = run(&lake, logs.to_str().unwrap());
    assert_eq!(more.rows as usize, FILES * RECORDS, "{more:?}");
    assert_eq!(more.duplicates as usize, RECORDS);
    assert_whole(&lake, &ids, "more");
}

#[test]
fn an_object_that_changed_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let (logs, lake) = (folder.path().join("logs"), folder.path().join("lake"));
    std::fs::create_dir(&logs).unwrap();
    let mut ids = trail(&logs, 0);
    run(&lake, logs.to_str().unwrap());
    let numbers = 0..RECORDS + 3;
    let records: Vec<String> = numbers.clone().map(made::record).collect();
    std::fs::write(logs.join("000.json.gz"), made::gzip(records.join("\n"))).unwrap();
    ids.extend(numbers.map(made::id));
    let again = run(&lake, logs.to_str().unwrap());
    // The first file has three events more, which the second has too.
    assert_eq!(
        (again.rows, again.duplicates as usize),
        (0, RECORDS + 3),
        "{again:?}"
    );
    assert_whole(&lake, &ids, "changed");
}

#[test]
fn every_event_is_there_once_whichever_call_fails() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    std::fs::create_dir(&logs).unwrap();
    let ids = trail(&logs, 0);
    let logs = logs.to_str().unwrap();
    for fate in [Fate::Fails, Fate::LosesAnswer] {
        let mut has_failed = true;
        for at in 0.. {
            if !has_failed {
                assert!(at > 15, "expected a run of more calls than {at}");
                break;
            }
            let lake = folder.path().join(format!("lake-{fate:?}-{at}"));
            has_failed = run_with(&lake, logs, at, fate);
            let found = events(&lake);
            assert!(
                found.values().all(|number| *number == 1),
                "{fate:?} at {at}"
            );
            run(&lake, logs);
            assert_whole(&lake, &ids, &format!("{fate:?} at {at}"));
        }
    }
}

#[test]
fn a_lake_that_does_not_answer_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    std::fs::create_dir(&logs).unwrap();
    let ids = trail(&logs, 0);
    let runtime = Runtime::new().unwrap();
    for fate in [Fate::Unavailable, Fate::UnavailableAfter] {
        for at in 0.. {
            let lake = folder.path().join(format!("lake-{fate:?}-{at}"));
            let faulty = Arc::new(Faulty::local(&lake, at, fate));
            let calls = Arc::clone(&faulty);
            let summary = runtime.block_on(ingest(faulty, logs.to_str().unwrap()));
            let Ok(summary) = summary else {
                // A lake that has not answered yet is not tried again: the first calls open it.
                assert!(at < 6, "{fate:?} at {at}: {summary:?}");
                run(&lake, logs.to_str().unwrap());
                assert_whole(&lake, &ids, &format!("{fate:?} at {at}"));
                continue;
            };
            // Rows of a commit whose answer was lost are not counted.
            assert!(summary.rows as usize <= ids.len(), "{fate:?} at {at}");
            assert_whole(&lake, &ids, &format!("{fate:?} at {at}"));
            if calls.calls.load(Relaxed) <= at {
                assert!(at > 15, "expected a run of more calls than {at}");
                break;
            }
        }
    }
}

#[test]
fn a_stop_does_not_wait_for_a_lake_that_never_answers() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    std::fs::create_dir(&logs).unwrap();
    let ids = trail(&logs, 0);
    let lake = folder.path().join("lake");
    // One of a commit, after those that open the lake.
    let faulty = Arc::new(Faulty::local(&lake, 10, Fate::Hangs));
    let calls = Arc::clone(&faulty);
    let ended = Runtime::new().unwrap().block_on(async {
        let stop = CancellationToken::new();
        let hanging = async {
            while calls.calls.load(Relaxed) <= 10 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            stop.cancel();
        };
        let execution = Execution::new(stop.clone());
        let ingest = ingest_until_stopped(faulty, logs.to_str().unwrap(), execution);
        tokio::join!(ingest, hanging).0
    });
    let error = ended.unwrap_err().to_string();
    assert!(
        error.contains("reads again what it would have had"),
        "{error}"
    );
    run(&lake, logs.to_str().unwrap());
    assert_whole(&lake, &ids, "the run after it");
}

/// Run by the test after it, in a process that dies.
#[test]
#[ignore = "dies on purpose; run by the test of killed processes"]
fn killed() {
    let variable = |name: &str| std::env::var(name).unwrap();
    let at = variable("LAKE_TEST_AT").parse().unwrap();
    let fate = match &*variable("LAKE_TEST_FATE") {
        "before" => Fate::KilledBefore,
        _ => Fate::KilledAfter,
    };
    let lake = variable("LAKE_TEST_LAKE");
    run_with(Path::new(&lake), &variable("LAKE_TEST_LOGS"), at, fate);
}

#[test]
fn every_event_is_there_once_wherever_the_process_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    std::fs::create_dir(&logs).unwrap();
    let ids = trail(&logs, 0);
    for fate in ["before", "after"] {
        for at in 0.. {
            let lake = folder.path().join(format!("lake-{fate}-{at}"));
            let status = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "lake::killed", "--ignored"])
                .env("LAKE_TEST_AT", at.to_string())
                .env("LAKE_TEST_FATE", fate)
                .env("LAKE_TEST_LAKE", &lake)
                .env("LAKE_TEST_LOGS", &logs)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .unwrap();
            let found = events(&lake);
            assert!(found.values().all(|number| *number == 1), "{fate} {at}");
            if status.success() {
                assert!(at > 15, "expected a run of more calls than {at}");
                assert_whole(&lake, &ids, &format!("{fate} {at}"));
                break;
            }
            run(&lake, logs.to_str().unwrap());
            assert_whole(&lake, &ids, &format!("{fate} {at}"));
        }
    }
}

/// Writes three folders, two of which have the same events; returns the folders to read at the same
/// time, one of them twice, and the IDs.
fn overlapping_trails(folder: &Path) -> (Vec<String>, BTreeSet<String>) {
    let mut ids = BTreeSet::new();
    let mut places = Vec::new();
    for (name, first) in [("a", 0), ("b", 0), ("c", 50_000)] {
        let logs = folder.join(name);
        std::fs::create_dir(&logs).unwrap();
        ids.extend(trail(&logs, first));
        places.push(logs.to_str().unwrap().to_owned());
    }
    places.push(places[0].clone());
    (places, ids)
}

/// Has each of `places` read by a writer of its own, all at the same time; asserts that the lake has
/// each of `ids` once.
async fn race(storage: Arc<dyn Storage>, places: &[String], ids: &BTreeSet<String>) {
    let before = events_of(Arc::clone(&storage)).await.len();
    let runs = places.iter().map(|place| {
        let (storage, place) = (Arc::clone(&storage), place.clone());
        tokio::spawn(async move { ingest(storage, &place).await.unwrap() })
    });
    let runs: Vec<_> = runs.collect();
    let mut summaries = Vec::new();
    for run in runs {
        summaries.push(run.await.unwrap());
    }
    let rows: u64 = summaries.iter().map(|summary| summary.rows).sum();
    assert_eq!(before + rows as usize, ids.len(), "{summaries:?}");
    let found = events_of(storage).await;
    assert!(found.values().all(|number| *number == 1), "{summaries:?}");
    assert!(found.keys().eq(ids.iter()), "{summaries:?}");
}

#[test]
fn writers_at_the_same_time_leave_each_event_once() {
    let folder = tempfile::tempdir().unwrap();
    let (places, ids) = overlapping_trails(folder.path());
    for round in 0..3 {
        let lake = folder.path().join(format!("lake-{round}"));
        let storage = storage::open(Folder::Local(lake), "lake");
        Runtime::new()
            .unwrap()
            .block_on(race(storage, &places, &ids));
    }
}

/// A bucket that says of some objects that they exist, which they do not; and of some that were put
/// just now, as if the answer to a first attempt had been lost.
#[derive(Debug, Default)]
struct Lying {
    inner: InMemory,
    creations: AtomicUsize,
}

impl std::fmt::Display for Lying {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lying")
    }
}

#[async_trait]
impl ObjectStore for Lying {
    async fn put_opts(
        &self,
        path: &ObjectPath,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        let exists = || object_store::Error::AlreadyExists {
            path: path.to_string(),
            source: "409 Conflict".into(),
        };
        if !matches!(options.mode, PutMode::Create) {
            return self.inner.put_opts(path, payload, options).await;
        }
        match self.creations.fetch_add(1, Relaxed) % 4 {
            0 => Err(exists()),
            1 => {
                self.inner.put_opts(path, payload, options).await?;
                Err(exists())
            }
            _ => self.inner.put_opts(path, payload, options).await,
        }
    }

    async fn put_multipart_opts(
        &self,
        path: &ObjectPath,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(
        &self,
        path: &ObjectPath,
        options: GetOptions,
    ) -> object_store::Result<GetResult> {
        self.inner.get_opts(path, options).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, object_store::Result<ObjectPath>>,
    ) -> BoxStream<'static, object_store::Result<ObjectPath>> {
        self.inner.delete_stream(paths)
    }

    fn list(
        &self,
        prefix: Option<&ObjectPath>,
    ) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(
        &self,
        prefix: Option<&ObjectPath>,
    ) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(
        &self,
        from: &ObjectPath,
        to: &ObjectPath,
        options: CopyOptions,
    ) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

#[test]
fn a_bucket_that_lies_about_what_exists_gets_each_event_once() {
    let folder = tempfile::tempdir().unwrap();
    let (places, ids) = overlapping_trails(folder.path());
    Runtime::new().unwrap().block_on(async {
        let bucket = Folder::Bucket {
            store: Arc::new(Lying::default()),
            prefix: "some/lake".to_owned(),
        };
        race(storage::open(bucket, "s3://b/some/lake"), &places, &ids).await;
    });
}

/// Reads `places` one after the other; asserts that the lake has each of `ids` once. Not at the same
/// time: this server looks for an object and puts it in two steps, so that two can create it.
async fn in_turn(storage: Arc<dyn Storage>, places: &[String], ids: &BTreeSet<String>) {
    for place in places {
        ingest(Arc::clone(&storage), place).await.unwrap();
    }
    let found = events_of(storage).await;
    assert!(found.values().all(|number| *number == 1));
    assert!(found.keys().eq(ids.iter()));
}

#[test]
fn a_bucket_has_each_event_once_whichever_call_fails() {
    let moto = Moto::start();
    moto.put("/lakes", "");
    let folder = tempfile::tempdir().unwrap();
    let (places, ids) = overlapping_trails(folder.path());
    let sources = Sources::new(AwsSettings {
        endpoint: Some(moto.endpoint.clone()),
        region: Some("eu-west-1".to_owned()),
        credentials: Some(("AKIATEST".to_owned(), "verysecret".to_owned())),
        ..AwsSettings::default()
    });
    Runtime::new().unwrap().block_on(async {
        let name = "s3://lakes/a folder=%/x";
        let storage = storage::open(sources.folder(name).await.unwrap(), name);
        in_turn(storage, &places, &ids).await;
        for at in [3, 6] {
            for fate in [Fate::Fails, Fate::LosesAnswer] {
                let name = format!("s3://lakes/{fate:?}-{at}/");
                let inner = storage::open(sources.folder(&name).await.unwrap(), &name);
                let faulty = Faulty {
                    inner: Arc::clone(&inner),
                    at,
                    fate,
                    calls: AtomicUsize::new(0),
                };
                ingest(Arc::new(faulty), &places[0]).await.unwrap_err();
                let found = events_of(Arc::clone(&inner)).await;
                assert!(found.values().all(|number| *number == 1), "{name}");
                in_turn(inner, &places, &ids).await;
            }
        }
    });
}
