//! Reading as a whole, over local files; S3's part of it is in `s3/tests`.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::key::Wanted;
use super::{Location, Reads, S3Settings, Scan, Sources};
use crate::payload::{Body, Payload};
use crate::stats::Stats;

/// A runtime with a scan on it.
pub(super) struct Reading {
    pub(super) stats: Arc<Stats>,
    pub(super) reads: Option<Reads>,
    pub(super) runtime: Runtime,
}

impl Reading {
    pub(super) fn start(sources: &Sources, locations: &[&str], wanted: Wanted) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let stats = Arc::new(Stats::default());
        let scan = Scan {
            locations: parse(locations),
            wanted,
            stats: Arc::clone(&stats),
        };
        let reads = Some(Reads::start(sources, scan, runtime.handle()));
        Self {
            stats,
            reads,
            runtime,
        }
    }

    pub(super) fn next(&self) -> Option<Payload> {
        self.reads.as_ref().unwrap().next_blocking()
    }

    /// All there is: names and contents.
    pub(super) fn all(&self) -> Vec<(String, Vec<u8>)> {
        std::iter::from_fn(|| self.next()).map(contents).collect()
    }
}

pub(super) fn parse(locations: &[&str]) -> Vec<Location> {
    locations
        .iter()
        .map(|text| Location::parse(text).unwrap())
        .collect()
}

pub(super) fn contents(payload: Payload) -> (String, Vec<u8>) {
    let bytes = match payload.body {
        Body::Whole(bytes) => bytes.to_vec(),
        Body::Stream(mut stream) => {
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).unwrap();
            bytes
        }
    };
    (payload.origin.to_string(), bytes)
}

pub(super) fn names(read: &[(String, Vec<u8>)]) -> Vec<&str> {
    read.iter().map(|(name, _)| name.as_str()).collect()
}

fn local(locations: &[&str]) -> Reading {
    let sources = Sources::new(S3Settings::default());
    Reading::start(&sources, locations, Wanted::default())
}

fn check(locations: &[&str]) -> Result<(), String> {
    let sources = Sources::new(S3Settings::default());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let checked = runtime.block_on(sources.check(&parse(locations)));
    checked.map_err(|error| error.to_string())
}

fn folder(files: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        put(folder.path(), file, file.as_bytes());
    }
    folder
}

fn put(folder: &Path, file: &str, bytes: &[u8]) {
    let path = folder.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn at(folder: &TempDir, path: &str) -> String {
    format!("{}/{path}", folder.path().display())
}

/// The names read, without the folder.
fn read_below(folder: &TempDir, paths: &[&str]) -> Vec<String> {
    let typed: Vec<String> = paths.iter().map(|path| at(folder, path)).collect();
    let typed: Vec<&str> = typed.iter().map(String::as_str).collect();
    let read = local(&typed).all();
    let start = format!("{}/", folder.path().display());
    for (name, bytes) in &read {
        let name = name.strip_prefix(&start).unwrap();
        assert_eq!(name.as_bytes(), bytes, "the contents are another file's");
    }
    read.iter()
        .map(|(name, _)| name[start.len()..].to_owned())
        .collect()
}

#[test]
fn a_folder_is_read_to_its_depths_in_the_order_of_names() {
    let names = [
        "a b.json",
        "a%20b.json",
        "a/b/c.json",
        "a/z.json",
        "a0.json",
        "b[1].json",
        "b{x}.json",
        "üñí-Ελ-日本.json",
        "quote'\".json",
    ];
    let folder = folder(&names);
    let mut sorted = names.map(str::to_owned).to_vec();
    sorted.sort();
    let stats = {
        let reading = local(&[&at(&folder, "")]);
        assert_eq!(reading.all().len(), names.len());
        reading.stats
    };
    assert_eq!(read_below(&folder, &[""]), sorted);
    assert_eq!(stats.objects_listed.load(Relaxed), names.len() as u64);
    assert_eq!(stats.objects_read.load(Relaxed), names.len() as u64);
    let bytes = names.iter().map(|name| name.len() as u64).sum::<u64>();
    assert_eq!(stats.bytes_listed.load(Relaxed), bytes);
    assert_eq!(stats.bytes_read.load(Relaxed), bytes);
    assert!(stats.listing_done.load(Relaxed));
    assert_eq!(stats.rejects(), 0);
}

#[test]
fn names_with_brackets_are_themselves_where_they_exist() {
    let folder = folder(&["b[1].json", "b1.json", "x[2]/a.json", "x2/a.json"]);
    assert_eq!(read_below(&folder, &["b[1].json"]), ["b[1].json"]);
    assert_eq!(read_below(&folder, &["b[12].json"]), ["b1.json"]);
    assert_eq!(read_below(&folder, &[r"b\[1\].json"]), ["b[1].json"]);
    assert_eq!(read_below(&folder, &["x[2]"]), ["x[2]/a.json"]);
    assert_eq!(read_below(&folder, &["x*/"]), ["x2/a.json", "x[2]/a.json"]);
    assert_eq!(read_below(&folder, &["**/*.json"]).len(), 4);
    assert_eq!(
        read_below(&folder, &["{x2,b1.json}"]),
        ["x2/a.json", "b1.json"]
    );
}

#[test]
fn origins_are_as_typed() {
    let folder = folder(&["sub/a.json"]);
    let typed = at(&folder, "./sub/..//sub");
    let read = local(&[&typed]).all();
    assert_eq!(names(&read), [format!("{typed}/a.json")]);
}

#[test]
fn hidden_and_unfinished_files_are_left_out_unless_named() {
    let folder = folder(&["a", ".b", "_c", "_d/e", "x/.y/z"]);
    assert_eq!(read_below(&folder, &[""]), ["a"]);
    assert_eq!(read_below(&folder, &["*"]), ["a"]);
    assert_eq!(read_below(&folder, &["_d"]), ["_d/e"]);
    assert_eq!(read_below(&folder, &[".b", "_*"]), [".b", "_c", "_d/e"]);
}

#[test]
fn what_two_locations_name_is_read_once() {
    let folder = folder(&["x/a", "x/b", "y/c"]);
    symlink(folder.path().join("x"), folder.path().join("current")).unwrap();
    symlink(folder.path().join("y/c"), folder.path().join("latest")).unwrap();
    let paths = ["x/b", "x", "x/../x/a", "y/*", "", "current"];
    let typed = paths.map(|path| at(&folder, path));
    let reading = local(&typed.each_ref().map(String::as_str));
    let contents: BTreeSet<Vec<u8>> = reading.all().into_iter().map(|(_, bytes)| bytes).collect();
    assert_eq!(contents.len(), 3);
    assert_eq!(reading.stats.objects_read.load(Relaxed), 3);
    assert_eq!(reading.stats.rejects(), 0);
}

#[test]
fn loops_of_links_end() {
    let folder = folder(&["x/y/a"]);
    symlink(folder.path(), folder.path().join("x/y/up")).unwrap();
    symlink("loop", folder.path().join("x/loop")).unwrap();
    for path in ["", "**/a"] {
        let reading = local(&[&at(&folder, path)]);
        assert_eq!(reading.all().len(), 1, "{path}");
    }
    let reading = local(&[&at(&folder, "")]);
    reading.all();
    assert_eq!(reading.stats.rejects_by_reason(), [("unreadable file", 1)]);
}

#[test]
fn what_cannot_be_read_is_a_reject_and_the_rest_goes_on() {
    let folder = folder(&["a", "z"]);
    symlink("nowhere", folder.path().join("b")).unwrap();
    let told = Arc::new(std::sync::Mutex::new(Vec::new()));
    let reading = local(&[&at(&folder, ""), "/proc/self/mem", &at(&folder, "none/*")]);
    let tell = Arc::clone(&told);
    reading.stats.on_reject(move |reject| {
        tell.lock()
            .unwrap()
            .push(format!("{}: {}", reject.location, reject.detail));
    });
    assert_eq!(reading.all().len(), 2);
    assert_eq!(
        reading.stats.rejects_by_reason(),
        [("no such file", 1), ("unreadable file", 2)]
    );
    assert_eq!(reading.stats.objects_read.load(Relaxed), 4);
}

#[test]
fn check_says_what_is_wrong_before_anything_is_read() {
    let folder = folder(&["a", "empty/.hidden"]);
    assert_eq!(check(&[&at(&folder, "none"), &at(&folder, "a")]), Ok(()));
    assert_eq!(check(&["-"]), Ok(()));
    let nothing = check(&[&at(&folder, "none"), &at(&folder, "empty")]).unwrap_err();
    assert!(nothing.contains("none: it does not exist"), "{nothing}");
    assert!(nothing.contains("empty: no file is there"), "{nothing}");
    assert!(check(&[]).unwrap_err().contains("no location"));
    assert!(check(&["sample:"]).unwrap_err().contains("no sample"));
    let file_as_folder = check(&[&at(&folder, "a/b")]).unwrap_err();
    assert!(
        file_as_folder.contains("it does not exist"),
        "{file_as_folder}"
    );
    assert!(check(&[&at(&folder, "a/")]).is_err());
}

#[test]
fn a_thousand_small_files_go_to_many_threads_once_each() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..1000 {
        put(
            folder.path(),
            &format!("{}/{number}", number % 7),
            &[b'x'; 300],
        );
    }
    let reading = local(&[&at(&folder, "")]);
    let seen = std::sync::Mutex::new(BTreeSet::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(payload) = reading.next() {
                    let (name, bytes) = contents(payload);
                    assert_eq!(bytes.len(), 300);
                    assert!(seen.lock().unwrap().insert(name));
                }
            });
        }
    });
    assert_eq!(seen.lock().unwrap().len(), 1000);
    assert_eq!(reading.stats.bytes_read.load(Relaxed), 300_000);
}

#[test]
fn pipes_and_devices_are_streams_where_they_are_named() {
    let folder = folder(&["a"]);
    let pipe = folder.path().join("pipe");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    // In a folder it is passed by: opening it would wait forever.
    assert_eq!(read_below(&folder, &[""]), ["a"]);

    let reading = local(&[pipe.to_str().unwrap(), "/dev/null"]);
    let writer = std::thread::spawn(move || {
        let mut pipe = fs::OpenOptions::new().write(true).open(pipe).unwrap();
        pipe.write_all(b"through the pipe").unwrap();
    });
    let payload = reading.next().unwrap();
    assert!(matches!(payload.body, Body::Stream(_)));
    assert_eq!(contents(payload).1, b"through the pipe");
    writer.join().unwrap();
    assert_eq!(reading.all(), [("/dev/null".to_owned(), Vec::new())]);
    assert_eq!(reading.stats.bytes_read.load(Relaxed), 16);
    assert_eq!(check(&[&at(&folder, "pipe")]), Ok(()));
}

#[test]
fn large_files_are_streams_and_counted_as_they_are_read() {
    let folder = folder(&["a"]);
    let large = vec![b'l'; (9 << 20) + 1];
    put(folder.path(), "b", &large);
    let reading = local(&[&at(&folder, "")]);
    assert!(matches!(reading.next().unwrap().body, Body::Whole(_)));
    let payload = reading.next().unwrap();
    assert_eq!(reading.stats.bytes_read.load(Relaxed), 1);
    assert!(matches!(payload.body, Body::Stream(_)));
    assert!(contents(payload).1 == large);
    let bytes = 1 + large.len() as u64;
    assert_eq!(reading.stats.bytes_read.load(Relaxed), bytes);
}

fn six_megabytes_times(count: usize) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..count {
        put(folder.path(), &format!("{number:02}"), &vec![0; 6 << 20]);
    }
    folder
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn reading_ahead_is_bounded_by_bytes() {
    let folder = six_megabytes_times(12);
    let reading = local(&[&at(&folder, "")]);
    let read = || reading.stats.bytes_read.load(Relaxed);
    wait_until("five fit", || read() >= 30 << 20);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(read(), 30 << 20);
    assert!(reading.stats.listing_done.load(Relaxed));
    drop(reading.next());
    wait_until("there is room for one more", || read() == 36 << 20);
}

#[test]
fn a_consumer_who_keeps_everything_still_gets_everything() {
    let folder = six_megabytes_times(12);
    let reading = local(&[&at(&folder, "")]);
    let kept: Vec<Payload> = std::iter::from_fn(|| reading.next()).collect();
    assert_eq!(kept.len(), 12);
}

#[test]
fn dropping_the_last_reads_stops_the_work() {
    let folder = six_megabytes_times(12);
    for taken in [0, 1, 3] {
        let mut reading = local(&[&at(&folder, "")]);
        let clone = reading.reads.clone();
        for _ in 0..taken {
            reading.next();
        }
        reading.reads = None;
        drop(clone);
        wait_until("nothing holds the counters any more", || {
            Arc::strong_count(&reading.stats) == 1
        });
        assert!(reading.stats.bytes_read.load(Relaxed) < 12 * (6 << 20));
        drop(reading.runtime);
    }
}

#[test]
fn keys_leave_out_files_and_folders() {
    let trail = "AWSLogs/111122223333/CloudTrail/us-east-1/2025";
    let file = |day: &str| {
        format!("{trail}/01/{day}/111122223333_CloudTrail_us-east-1_202501{day}T1200Z_u.json")
    };
    let digest = "AWSLogs/111122223333/CloudTrail-Digest/us-east-1/2025/01/02/\
        111122223333_CloudTrail-Digest_us-east-1_t_us-east-1_20250102T120000Z.json";
    let stray = "111122223333_CloudTrail_us-east-1_20240102T1200Z_u.json";
    let other = "AWSLogs/111122223333/CloudTrail/eu-west-1/2025/01/02/x.json";
    let (early, late) = (file("01"), file("03"));
    let folder = folder(&[&early, &late, digest, stray, other, "note"]);
    let wanted = Wanted {
        regions: Some(BTreeSet::from(["us-east-1".to_owned()])),
        from_micros: Some(1_735_862_400_000_000), // 2025-01-03
        ..Wanted::default()
    };
    let sources = Sources::new(S3Settings::default());
    let reading = Reading::start(&sources, &[&at(&folder, "")], wanted);
    let late_payload = reading.next().unwrap();
    assert!(late_payload.origin.ends_with(&late));
    assert_eq!(late_payload.delivered_micros, Some(1_735_905_600_000_000));
    let rest = reading.all();
    assert_eq!(rest.len(), 1);
    assert!(rest[0].0.ends_with("note"));
    let stats = &reading.stats;
    assert_eq!(stats.objects_listed.load(Relaxed), 2);
    // The stray file, and the digest, which is of the day before but not of its last hour.
    assert_eq!(stats.objects_pruned.load(Relaxed), 2);
    assert_eq!(stats.folders_pruned.load(Relaxed), 2);
    assert_eq!(stats.rejects(), 0);

    let all = local(&[&at(&folder, "")]);
    assert_eq!(all.all().len(), 5);
    let counted = all.stats.not_cloudtrail_by_kind();
    assert_eq!(counted, [("digest file (by its key)", 1)]);
    let wanted = Wanted {
        read_digests: true,
        ..Wanted::default()
    };
    let digests = Reading::start(&sources, &[&at(&folder, "")], wanted);
    assert_eq!(digests.all().len(), 6);
}

#[test]
fn a_location_that_is_left_out_whole_is_no_missing_file() {
    let folder = folder(&["AWSLogs/111122223333/CloudTrail/us-east-1/x"]);
    let wanted = Wanted {
        regions: Some(BTreeSet::from(["eu-west-1".to_owned()])),
        ..Wanted::default()
    };
    let sources = Sources::new(S3Settings::default());
    let reading = Reading::start(&sources, &[&at(&folder, "AWSLogs")], wanted);
    assert!(reading.next().is_none());
    assert_eq!(reading.stats.rejects(), 0);
}

#[test]
fn samples_come_through_the_same_door() {
    let made = Arc::new(AtomicU64::new(0));
    let stopped = Arc::new(AtomicBool::new(false));
    struct Stops(Arc<AtomicBool>);
    impl Drop for Stops {
        fn drop(&mut self) {
            self.0.store(true, Relaxed);
        }
    }
    let (count, stops) = (Arc::clone(&made), Arc::clone(&stopped));
    let sources = Sources::new(S3Settings::default()).with_sample(move |query: &str| {
        assert_eq!(query, "events=1000");
        let (count, stops) = (Arc::clone(&count), Stops(Arc::clone(&stops)));
        Ok((0..1000u32).map(move |number| {
            let _alive = &stops;
            count.fetch_add(1, Relaxed);
            Payload {
                origin: format!("sample:{number}").into(),
                body: Body::Whole(Bytes::from(vec![0; 1 << 20])),
                delivered_micros: None,
            }
        }))
    });
    let mut reading = Reading::start(&sources, &["sample:?events=1000"], Wanted::default());
    for number in 0..50 {
        assert_eq!(*reading.next().unwrap().origin, *format!("sample:{number}"));
    }
    reading.reads = None;
    wait_until("the maker stops", || stopped.load(Relaxed));
    assert!(made.load(Relaxed) < 100);
}
