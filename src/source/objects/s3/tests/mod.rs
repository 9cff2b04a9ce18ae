//! S3 in memory, with its requests counted and its failures made; and a server that speaks S3.

mod moto;

use std::collections::BTreeSet;
use std::io::Read;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use crate::payload::Body;

use crate::source::aws::AwsSettings;
use crate::source::objects::tests::{Reading, contents, names, parse};
use crate::source::{KeyFilter, Sources, TrailKey};

/// Counts what is asked, and fails when told to.
#[derive(Debug, Default)]
struct Fake {
    inner: InMemory,
    lists: AtomicU32,
    levels: AtomicU32,
    gets: AtomicU32,
    /// How many of the next requests for ranges fail.
    drops: AtomicU32,
    denied: Option<&'static str>,
}

impl std::fmt::Display for Fake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("fake")
    }
}

fn denied(path: &Path) -> object_store::Error {
    object_store::Error::PermissionDenied {
        path: path.to_string(),
        source: "<Error><Code>AccessDenied</Code></Error>".into(),
    }
}

#[async_trait]
impl ObjectStore for Fake {
    async fn put_opts(&self, at: &Path, what: PutPayload, how: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(at, what, how).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        how: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, how).await
    }

    async fn get_opts(&self, at: &Path, how: GetOptions) -> Result<GetResult> {
        self.gets.fetch_add(1, Relaxed);
        if self.denied.is_some_and(|name| at.as_ref().contains(name)) {
            return Err(denied(at));
        }
        let drops = |left: u32| left.checked_sub(1);
        if how.range.is_some() && self.drops.fetch_update(Relaxed, Relaxed, drops).is_ok() {
            return Err(object_store::Error::Generic {
                store: "S3",
                source: "connection reset".into(),
            });
        }
        self.inner.get_opts(at, how).await
    }

    async fn get_ranges(&self, at: &Path, ranges: &[Range<u64>]) -> Result<Vec<bytes::Bytes>> {
        self.inner.get_ranges(at, ranges).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.lists.fetch_add(1, Relaxed);
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.levels.fetch_add(1, Relaxed);
        match prefix {
            Some(prefix) if self.denied == Some(prefix.as_ref()) => Err(denied(prefix)),
            _ => self.inner.list_with_delimiter(prefix).await,
        }
    }

    async fn copy_opts(&self, from: &Path, to: &Path, how: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, how).await
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

impl Fake {
    fn with(keys: &[&str]) -> Arc<Self> {
        Self::default().and(keys)
    }

    fn and(self, keys: &[&str]) -> Arc<Self> {
        block_on(async {
            for key in keys {
                let payload = PutPayload::from(key.as_bytes().to_vec());
                let path = Path::parse(key).unwrap();
                self.inner.put(&path, payload).await.unwrap();
            }
        });
        Arc::new(self)
    }

    fn sources(self: &Arc<Self>) -> Sources {
        let sources = Sources::new(AwsSettings::default());
        let store = Arc::clone(self);
        block_on(sources.buckets.put("b", store));
        sources
    }

    fn reading(self: &Arc<Self>, locations: &[&str], wanted: KeyFilter) -> Reading {
        Reading::start(&self.sources(), locations, wanted)
    }

    /// The keys that are read.
    fn read(self: &Arc<Self>, locations: &[&str], wanted: KeyFilter) -> Vec<String> {
        let read = self.reading(locations, wanted).all();
        for (name, bytes) in &read {
            assert_eq!(name.strip_prefix("s3://b/").unwrap().as_bytes(), bytes);
        }
        read.into_iter()
            .map(|(name, _)| name["s3://b/".len()..].to_owned())
            .collect()
    }

    /// Flat listings and levels asked for since the last time.
    fn listings(&self) -> (u32, u32) {
        (self.lists.swap(0, Relaxed), self.levels.swap(0, Relaxed))
    }
}

fn everything() -> KeyFilter {
    KeyFilter::default()
}

fn trail_keys(accounts: &[&str], regions: &[&str], days: Range<u32>) -> Vec<String> {
    let mut keys = Vec::new();
    for account in accounts {
        for region in regions {
            for month in 1..4 {
                for day in days.clone() {
                    keys.push(format!(
                        "AWSLogs/{account}/CloudTrail/{region}/2025/{month:02}/{day:02}/\
                         {account}_CloudTrail_{region}_2025{month:02}{day:02}T0905Z_u.json.gz"
                    ));
                }
            }
        }
    }
    keys.sort();
    keys
}

fn set(values: &[&str]) -> Option<BTreeSet<String>> {
    Some(values.iter().map(|value| (*value).to_owned()).collect())
}

#[test]
fn a_plain_prefix_is_one_flat_listing_in_the_order_of_keys() {
    let keys = ["a/1", "a/b/2", "a/b c/3%20ü", "a/_x", "a.json", "ab/4"];
    let fake = Fake::with(&keys);
    assert_eq!(
        fake.read(&["s3://b/a/"], everything()),
        ["a/1", "a/_x", "a/b c/3%20ü", "a/b/2"]
    );
    assert_eq!(fake.listings(), (1, 0));
    assert_eq!(fake.read(&["s3://b"], everything()).len(), keys.len());
    assert_eq!(fake.listings(), (1, 0));
}

#[test]
fn a_name_without_a_slash_is_an_object_or_else_a_folder() {
    let fake = Fake::with(&["a/1", "a.json", "x", "x/2"]);
    assert_eq!(fake.read(&["s3://b/a.json"], everything()), ["a.json"]);
    assert_eq!(fake.read(&["s3://b/a"], everything()), ["a/1"]);
    assert_eq!(fake.read(&["s3://b/x"], everything()), ["x"]);
    assert_eq!(fake.read(&["s3://b/x/"], everything()), ["x/2"]);
    let reading = fake.reading(&["s3://b/none", "s3://b/none/*", "s3://b/a/"], everything());
    assert_eq!(reading.all().len(), 1);
    assert_eq!(
        reading.execution.stats.rejects_by_reason(),
        [("no such file", 2)]
    );
    let check = |locations| block_on(fake.sources().check(&parse(locations)));
    assert!(check(&["s3://b/none", "s3://b/a"]).is_ok());
    let error = check(&["s3://b/none"]).unwrap_err().to_string();
    assert!(error.contains("s3://b/none: no object"), "{error}");
}

#[test]
fn globs_ask_only_for_the_folders_that_they_lead_to() {
    let fake = Fake::with(&[
        "logs/AWSLogs/1/CloudTrail/x/a.gz",
        "logs/AWSLogs/1/Config/x/b.gz",
        "logs/AWSLogs/2/CloudTrail/x/c.gz",
        "logs/other/3/CloudTrail/x/d.gz",
        "logs/top.gz",
    ]);
    assert_eq!(
        fake.read(&["s3://b/logs/AWSLogs/*/CloudTrail/"], everything()),
        [
            "logs/AWSLogs/1/CloudTrail/x/a.gz",
            "logs/AWSLogs/2/CloudTrail/x/c.gz"
        ]
    );
    assert_eq!(fake.listings(), (2, 1));
    assert_eq!(
        fake.read(&["s3://b/logs/*.gz"], everything()),
        ["logs/top.gz"]
    );
    assert_eq!(fake.listings(), (0, 1));
    let choices = "s3://b/logs/{AWSLogs/1,other/3}/C*/x/[a-c].gz";
    assert_eq!(
        fake.read(&[choices], everything()),
        [
            "logs/AWSLogs/1/CloudTrail/x/a.gz",
            "logs/AWSLogs/1/Config/x/b.gz"
        ]
    );
    fake.listings();
    assert_eq!(
        fake.read(&["s3://b/logs/**/CloudTrail/**/*.gz"], everything())
            .len(),
        3
    );
    assert_eq!(fake.listings(), (1, 0));
}

#[test]
fn the_same_object_under_two_locations_is_read_once() {
    let fake = Fake::with(&["a/1", "a/2"]);
    let read = fake.read(&["s3://b/a/2", "s3://b/a/", "s3://b/*/1"], everything());
    assert_eq!(read, ["a/2", "a/1"]);
}

#[test]
fn a_trail_is_listed_only_where_wanted_events_can_be() {
    let accounts = ["111111111111", "222222222222", "333333333333"];
    let regions = ["eu-west-1", "us-east-1", "us-west-2"];
    let keys = trail_keys(&accounts, &regions, 1..29);
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let fake = Fake::with(&keys);
    let wanted = KeyFilter {
        regions: set(&["us-east-1"]),
        accounts: set(&["222222222222", "333333333333"]),
        from_micros: Some(1_741_651_200_000_000), // 2025-03-11
        until_micros: None,
        read_digests: false,
    };
    let expected: Vec<&str> = keys
        .iter()
        .copied()
        .filter(|key| wanted.may_hold(&TrailKey::of_object(key).unwrap()))
        .collect();
    assert_eq!(expected.len(), 2 * 18);
    for location in ["s3://b/AWSLogs/", "s3://b", "s3://b/AWSLogs/**/*.json.gz"] {
        assert_eq!(fake.read(&[location], wanted.clone()), expected);
        let (lists, levels) = fake.listings();
        assert_eq!(
            lists,
            2 * 19,
            "{location}: each wanted day, and that of the hour before"
        );
        // The bucket, AWSLogs, and for each account its kinds, regions, years, months and days.
        assert!(levels <= 2 + 2 * 5, "{location}: {levels}");
    }
    let reading = fake.reading(&["s3://b/AWSLogs/"], wanted);
    assert_eq!(reading.all().len(), expected.len());
    // An account, the others' regions, months, and days.
    let pruned = 1 + 2 * 2 + 2 * 2 + 2 * 9;
    assert_eq!(reading.execution.stats.folders_pruned.load(Relaxed), pruned);
    assert_eq!(reading.execution.stats.objects_listed.load(Relaxed), 36);
}

#[test]
fn a_wide_bucket_is_not_searched_for_trails_folder_by_folder() {
    let keys: Vec<String> = (0..100).map(|number| format!("f{number:03}/x/1")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let fake = Fake::with(&keys);
    let wanted = KeyFilter {
        regions: set(&["us-east-1"]),
        ..everything()
    };
    assert_eq!(fake.read(&["s3://b/"], wanted), keys);
    assert_eq!(fake.listings(), (1, 1));
}

#[test]
fn empty_objects_and_folders_of_the_console_are_not_asked_for() {
    let fake = Fake::with(&["a/1"]);
    block_on(async {
        for marker in ["a", "a/empty"] {
            let path = Path::parse(marker).unwrap();
            fake.inner.put(&path, PutPayload::new()).await.unwrap();
        }
    });
    let read = fake.reading(&["s3://b/a/"], everything()).all();
    assert_eq!(names(&read), ["s3://b/a/1", "s3://b/a/empty"]);
    assert_eq!(fake.gets.load(Relaxed), 1);
}

#[test]
fn a_refused_folder_or_object_is_a_reject_and_the_rest_goes_on() {
    let denied = |what| Fake {
        denied: Some(what),
        ..Fake::default()
    };
    let fake = denied("a/2").and(&["a/1/x", "a/2/x", "a/3/x"]);
    for location in ["s3://b/a/*/x*", "s3://b/a/"] {
        let reading = fake.reading(&[location], everything());
        assert_eq!(reading.all().len(), 2, "{location}");
        assert_eq!(
            reading.execution.stats.rejects_by_reason(),
            [("unreadable file", 1)]
        );
    }
    let one = fake.reading(&["s3://b/a/2/x"], everything());
    assert!(one.next().is_none());
    assert_eq!(
        one.execution.stats.rejects_by_reason(),
        [("unreadable file", 1)]
    );
    let check = block_on(fake.sources().check(&parse(&["s3://b/a/2/x"])));
    let error = check.unwrap_err().to_string();
    assert!(error.contains("s3:GetObject"), "{error}");
    assert!(!error.contains('<'), "{error}");
}

fn large() -> Vec<u8> {
    (0..(9u32 << 20) + 17).map(|at| (at % 251) as u8).collect()
}

fn put_large(fake: &Fake, bytes: Vec<u8>) {
    let path = Path::parse("large").unwrap();
    block_on(fake.inner.put(&path, bytes.into())).unwrap();
}

#[test]
fn a_large_object_is_a_stream_that_survives_dropped_connections() {
    let fake = Fake::with(&[]);
    put_large(&fake, large());
    fake.drops.store(2, Relaxed);
    let reading = fake.reading(&["s3://b/large"], everything());
    let payload = reading.next().unwrap();
    assert!(matches!(payload.body, Body::Stream(_)));
    assert!(contents(payload).1 == large());
    assert_eq!(
        reading.execution.stats.bytes_read.load(Relaxed),
        large().len() as u64
    );
}

#[test]
fn a_large_object_that_is_replaced_meanwhile_is_an_error_of_its_stream() {
    let fake = Fake::with(&[]);
    put_large(&fake, large());
    let reading = fake.reading(&["s3://b/large"], everything());
    let payload = reading.next().unwrap();
    put_large(&fake, vec![0; large().len()]);
    let Body::Stream(mut stream) = payload.body else {
        panic!("not a stream");
    };
    let error = stream.read_to_end(&mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("replaced"), "{error}");
}

#[test]
fn a_stream_that_keeps_failing_gives_up() {
    let fake = Fake::with(&[]);
    put_large(&fake, large());
    fake.drops.store(100, Relaxed);
    let reading = fake.reading(&["s3://b/large"], everything());
    let Body::Stream(mut stream) = reading.next().unwrap().body else {
        panic!("not a stream");
    };
    assert!(stream.read_to_end(&mut Vec::new()).is_err());
    assert_eq!(fake.drops.load(Relaxed), 97);
}
