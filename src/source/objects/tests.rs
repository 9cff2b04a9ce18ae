//! Reading as a whole, over local files; S3's part of it is in `s3/tests`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::KeyFilter;
use crate::checkpoint::{Checkpoint, Position};
use crate::error::Result;
use crate::execution::Execution;
use crate::payload::{Body, Payload};
use crate::reject::Reject;
use crate::source::aws::AwsSettings;
use crate::source::{Location, OpenContext, Source, Sources};

/// A runtime with an open source.
pub(super) struct Reading {
    pub(super) execution: Arc<Execution>,
    /// The rejects, as messages.
    pub(super) told: Arc<Mutex<Vec<String>>>,
    pub(super) source: Mutex<Box<dyn Source>>,
    pub(super) runtime: Runtime,
}

impl Reading {
    pub(super) fn start(sources: &Sources, locations: &[&str], keys: KeyFilter) -> Self {
        Self::open(sources, locations, keys, None)
    }

    pub(super) fn open(
        sources: &Sources,
        locations: &[&str],
        keys: KeyFilter,
        from: Option<Checkpoint>,
    ) -> Self {
        let context = OpenContext {
            from,
            keys,
            ..OpenContext::default()
        };
        Self::open_with(sources, locations, context)
    }

    fn open_with(sources: &Sources, locations: &[&str], context: OpenContext) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let told = Arc::new(Mutex::new(Vec::new()));
        let tell = Arc::clone(&told);
        let sink = move |reject: &Reject<'_>| {
            let message = format!("{}: {}", reject.location, reject.detail);
            tell.lock().unwrap().push(message);
        };
        let execution = Arc::new(Execution::default().with_reject_sink(sink));
        let context = OpenContext {
            execution: Arc::clone(&execution),
            ..context
        };
        let source = sources.open(&parse(locations), &context).unwrap();
        Self {
            execution,
            told,
            source: Mutex::new(source),
            runtime,
        }
    }

    pub(super) fn try_next(&self) -> Result<Option<Payload>> {
        let mut source = self.source.lock().unwrap();
        self.runtime.block_on(source.next())
    }

    pub(super) fn next(&self) -> Option<Payload> {
        self.try_next().unwrap()
    }

    pub(super) fn checkpoint(&self) -> Checkpoint {
        self.source.lock().unwrap().checkpoint()
    }

    /// All that is left: names and contents.
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
    let sources = Sources::new(AwsSettings::default());
    Reading::start(&sources, locations, KeyFilter::default())
}

fn check(locations: &[&str]) -> Result<(), String> {
    let sources = Sources::new(AwsSettings::default());
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
    let execution = {
        let reading = local(&[&at(&folder, "")]);
        assert_eq!(reading.all().len(), names.len());
        reading.execution
    };
    let stats = &execution.stats;
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
    let reading = local(&[&at(&folder, "")]);
    reading.all();
    let stats = &reading.execution.stats;
    assert_eq!(stats.hidden_left_out.load(Relaxed), 4, ".b, _c, _d, x/.y");
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
    assert_eq!(reading.execution.stats.objects_read.load(Relaxed), 3);
    assert_eq!(reading.execution.stats.rejects(), 0);
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
    assert_eq!(
        reading.execution.stats.rejects_by_reason(),
        [("unreadable file", 1)]
    );
}

#[test]
fn what_cannot_be_read_is_a_reject_and_the_rest_goes_on() {
    let folder = folder(&["a", "z"]);
    symlink("nowhere", folder.path().join("b")).unwrap();
    let reading = local(&[&at(&folder, ""), "/proc/self/mem", &at(&folder, "none/*")]);
    assert_eq!(reading.all().len(), 2);
    let told = reading.told.lock().unwrap().join("\n");
    assert!(
        told.contains("b: it is gone, or a link to nothing"),
        "{told}"
    );
    assert_eq!(
        reading.execution.stats.rejects_by_reason(),
        [("no such file", 1), ("unreadable file", 2)]
    );
    assert_eq!(reading.execution.stats.objects_read.load(Relaxed), 4);
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
    assert!(check(&["sample:?x=1"]).is_err());
    assert_eq!(check(&["sample:"]), Ok(()));
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
    let seen = Mutex::new(BTreeSet::new());
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
    assert_eq!(reading.execution.stats.bytes_read.load(Relaxed), 300_000);
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
    assert_eq!(reading.execution.stats.bytes_read.load(Relaxed), 16);
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
    assert_eq!(reading.execution.stats.bytes_read.load(Relaxed), 1);
    assert!(matches!(payload.body, Body::Stream(_)));
    assert!(contents(payload).1 == large);
    let bytes = 1 + large.len() as u64;
    assert_eq!(reading.execution.stats.bytes_read.load(Relaxed), bytes);
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
    let read = || reading.execution.stats.bytes_read.load(Relaxed);
    let first = reading.next();
    wait_until("five fit", || read() >= 30 << 20);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(read(), 30 << 20);
    assert!(reading.execution.stats.listing_done.load(Relaxed));
    drop(first);
    wait_until("there is room for one more", || read() == 36 << 20);
}

#[test]
fn dropping_the_source_stops_the_work() {
    let folder = six_megabytes_times(12);
    for taken in [0, 1, 3] {
        let Reading {
            execution,
            source,
            runtime,
            ..
        } = local(&[&at(&folder, "")]);
        let mut source = source.into_inner().unwrap();
        for _ in 0..taken {
            runtime.block_on(source.next()).unwrap();
        }
        drop(source);
        wait_until("nothing holds the counters any more", || {
            Arc::strong_count(&execution) == 1
        });
        assert!(execution.stats.bytes_read.load(Relaxed) < 12 * (6 << 20));
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
    let wanted = KeyFilter {
        regions: Some(BTreeSet::from(["us-east-1".to_owned()])),
        from_micros: Some(1_735_862_400_000_000), // 2025-01-03
        ..KeyFilter::default()
    };
    let sources = Sources::new(AwsSettings::default());
    let reading = Reading::start(&sources, &[&at(&folder, "")], wanted);
    // Its name alone leaves nothing out.
    assert!(reading.next().unwrap().origin.ends_with(stray));
    let late_payload = reading.next().unwrap();
    assert!(late_payload.origin.ends_with(&late));
    assert_eq!(late_payload.delivered_micros, Some(1_735_905_600_000_000));
    let rest = reading.all();
    assert_eq!(rest.len(), 1);
    assert!(rest[0].0.ends_with("note"));
    let stats = &reading.execution.stats;
    assert_eq!(stats.objects_listed.load(Relaxed), 3);
    // The digest, which is of the day before but not of its last hour.
    assert_eq!(stats.objects_pruned.load(Relaxed), 1);
    assert_eq!(stats.folders_pruned.load(Relaxed), 2);
    assert_eq!(stats.rejects(), 0);

    let all = local(&[&at(&folder, "")]);
    assert_eq!(all.all().len(), 5);
    let counted = all.execution.stats.not_cloudtrail_by_kind();
    assert_eq!(counted, [("digest file (by its key)", 1)]);
    let wanted = KeyFilter {
        read_digests: true,
        ..KeyFilter::default()
    };
    let digests = Reading::start(&sources, &[&at(&folder, "")], wanted);
    assert_eq!(digests.all().len(), 6);
}

#[test]
fn a_location_that_is_left_out_whole_is_no_missing_file() {
    let folder = folder(&["AWSLogs/111122223333/CloudTrail/us-east-1/x"]);
    let wanted = KeyFilter {
        regions: Some(BTreeSet::from(["eu-west-1".to_owned()])),
        ..KeyFilter::default()
    };
    let sources = Sources::new(AwsSettings::default());
    let reading = Reading::start(&sources, &[&at(&folder, "AWSLogs")], wanted);
    assert!(reading.next().is_none());
    assert_eq!(reading.execution.stats.rejects(), 0);
}

#[test]
fn samples_are_read_in_their_turn_and_go_on_where_they_were() {
    let folder = folder(&["a", "b"]);
    let (first, last) = (at(&folder, "a"), at(&folder, "b"));
    let sources = Sources::new(AwsSettings::default());
    let locations = [&*first, "sample:?events=1200", &*last];
    let everything = KeyFilter::default();
    let open = |from| Reading::open(&sources, &locations, everything.clone(), from);
    let reading = open(Some(Checkpoint::default()));
    let whole: Vec<String> = reading.all().into_iter().map(|(name, _)| name).collect();
    let samples = ["sample:00000", "sample:00001", "sample:00002"];
    assert_eq!(whole[1..4], samples);
    for taken in 0..=whole.len() {
        let reading = open(Some(Checkpoint::default()));
        let mut read: Vec<String> = (0..taken)
            .map(|_| contents(reading.next().unwrap()).0)
            .collect();
        let rest = open(Some(reading.checkpoint())).all();
        read.extend(rest.into_iter().map(|(name, _)| name));
        assert_eq!(read, whole, "after {taken}");
    }
}

#[test]
fn a_checkpoint_covers_just_the_objects_handed_out() {
    let folder = folder(&["a", "x/b", "x/c", "y/d"]);
    let (sources, root) = (Sources::new(AwsSettings::default()), at(&folder, ""));
    let link = folder.path().with_extension("link");
    symlink(folder.path(), &link).unwrap();
    let elsewhere = format!("{}/", link.display());
    let open =
        |root: &str, from| Reading::open(&sources, &[root], KeyFilter::default(), Some(from));
    let reading = open(&root, Checkpoint::default());
    for _ in 0..2 {
        reading.next().unwrap();
    }
    // It means the same under another name of the folder.
    let rest = open(&elsewhere, reading.checkpoint());
    assert_eq!(rest.all().len(), 2);
    assert_eq!(rest.execution.stats.objects_done_before.load(Relaxed), 2);
    // New objects are read wherever they sort, and one of another size is another object.
    put(folder.path(), "x/aa", b"new");
    put(folder.path(), "a", b"longer");
    let again = open(&root, rest.checkpoint());
    let names: Vec<Vec<u8>> = again.all().into_iter().map(|(_, bytes)| bytes).collect();
    assert_eq!(names, [b"longer".to_vec(), b"new".to_vec()]);
    fs::remove_file(link).unwrap();
}

#[test]
fn an_object_that_cannot_be_read_is_tried_again_by_the_next_run() {
    let folder = folder(&["a", "c"]);
    symlink("nowhere", folder.path().join("b")).unwrap();
    let (sources, root) = (Sources::new(AwsSettings::default()), at(&folder, ""));
    let open = |from| Reading::open(&sources, &[&root], KeyFilter::default(), Some(from));
    let first = open(Checkpoint::default());
    assert_eq!(first.all().len(), 2);
    assert_eq!(first.execution.stats.rejects(), 1);
    fs::remove_file(folder.path().join("b")).unwrap();
    put(folder.path(), "b", b"here now");
    let read = open(first.checkpoint()).all();
    assert_eq!(read.len(), 1);
    assert_eq!(read[0].1, b"here now");
}

#[test]
fn a_trail_of_many_objects_is_remembered_in_a_few_names() {
    let folder = tempfile::tempdir().unwrap();
    let day = |day: u32, minute: u32| {
        format!(
            "AWSLogs/111122223333/CloudTrail/us-east-1/2026/05/{day:02}/111122223333_CloudTrail_us-east-1_\
             202605{day:02}T{:02}{:02}Z_u.json",
            minute / 60,
            minute % 60
        )
    };
    for at in 0..1000 {
        put(folder.path(), &day(1, at), b"x");
        put(folder.path(), &day(9, at), b"x");
    }
    let (sources, root) = (Sources::new(AwsSettings::default()), at_root(&folder));
    let open =
        |root: &str, from| Reading::open(&sources, &[root], KeyFilter::default(), Some(from));
    let first = open(&root, Checkpoint::default());
    first.all();
    // The newer day may still get objects in its midst, so each of its names is kept.
    let all = first.checkpoint();
    assert_eq!(names_kept(&all), 1 + 1000);
    assert!(open(&root, all.clone()).all().is_empty());
    put(folder.path(), &day(9, 1001), b"x");
    assert_eq!(open(&root, all).all().len(), 1);
    // A glob sees a part of a folder, so nothing is folded for it.
    let glob = format!("{root}**/*Z_u.json");
    let globbed = open(&glob, Checkpoint::default());
    globbed.all();
    assert_eq!(names_kept(&globbed.checkpoint()), 2001);
}

/// A trail of two accounts and two regions, three files on each of some days, and a file beside it.
fn trail_of_days(days: std::ops::RangeInclusive<u32>) -> TempDir {
    let folder = folder(&["notes.json"]);
    for account in ["111122223333", "444455556666"] {
        for region in ["eu-west-1", "us-east-1"] {
            for (day, hour) in days
                .clone()
                .flat_map(|day| (0..3).map(move |hour| (day, hour)))
            {
                let below = format!("AWSLogs/{account}/CloudTrail/{region}/2026/05/{day:02}");
                let name =
                    format!("{account}_CloudTrail_{region}_202605{day:02}T{hour:02}00Z_u.json");
                put(folder.path(), &format!("{below}/{name}"), b"x");
            }
        }
    }
    folder
}

fn open_by_day(folder: &TempDir, from: Checkpoint) -> Reading {
    let context = OpenContext {
        from: Some(from),
        by_day: true,
        ..OpenContext::default()
    };
    let sources = Sources::new(AwsSettings::default());
    Reading::open_with(&sources, &[&at_root(folder)], context)
}

#[test]
fn a_trail_can_be_read_day_by_day() {
    let folder = trail_of_days(1..=4);
    let read = open_by_day(&folder, Checkpoint::default()).all();
    let names: Vec<&str> = names(&read);
    assert!(names[0].ends_with("/notes.json"), "{}", names[0]);
    let days: Vec<&str> = names[1..]
        .iter()
        .map(|name| {
            name.split("/2026/05/")
                .nth(1)
                .unwrap()
                .split('/')
                .next()
                .unwrap()
        })
        .collect();
    assert_eq!(days.len(), 4 * 3 * 4);
    assert!(days.is_sorted(), "{days:?}");
    // Each folder is in the order of its names.
    let mut folders: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for name in names {
        let (folder, name) = name.rsplit_once('/').unwrap();
        folders.entry(folder).or_default().push(name);
    }
    assert!(folders.values().all(|names| names.is_sorted()));
}

#[test]
fn a_trail_that_is_read_day_by_day_goes_on_wherever_it_ended() {
    let folder = trail_of_days(1..=9);
    let whole = open_by_day(&folder, Checkpoint::default()).all().len();
    assert_eq!(whole, 1 + 9 * 3 * 4);
    for ends in 0..whole {
        let first = open_by_day(&folder, Checkpoint::default());
        let mut read: BTreeSet<String> = (0..ends)
            .map(|_| contents(first.next().unwrap()).0)
            .collect();
        assert_eq!(read.len(), ends);
        let second = open_by_day(&folder, first.checkpoint());
        for (name, _) in second.all() {
            assert!(read.insert(name), "twice, after {ends}");
        }
        assert_eq!(read.len(), whole, "after {ends}");
        assert!(open_by_day(&folder, second.checkpoint()).all().is_empty());
    }
}

fn put_in_trail(folder: &TempDir, day: u32, hour: u32, bytes: &[u8]) -> String {
    let name = format!("111122223333_CloudTrail_eu-west-1_202605{day:02}T{hour:02}00Z_u.json");
    let below = format!("AWSLogs/111122223333/CloudTrail/eu-west-1/2026/05/{day:02}/{name}");
    put(folder.path(), &below, bytes);
    name
}

/// Reads what is new since a checkpoint; returns the names without folders, and the checkpoint after them.
fn go_on(folder: &TempDir, from: Checkpoint) -> (BTreeSet<String>, Checkpoint) {
    let reading = open_by_day(folder, from);
    let read = reading.all().into_iter();
    let name = |name: String| name.rsplit('/').next().unwrap().to_owned();
    let read = read.map(|(path, _)| name(path)).collect();
    (read, reading.checkpoint())
}

#[test]
fn what_comes_late_to_a_day_that_is_long_over_is_read() {
    let folder = trail_of_days(1..=9);
    let (_, checkpoint) = go_on(&folder, Checkpoint::default());
    // The names of that day are forgotten, so all of its objects are read again with it.
    let late = put_in_trail(&folder, 2, 1, b"another one");
    let other = put_in_trail(&folder, 2, 0, b"x");
    put_in_trail(&folder, 2, 7, b"after all of them");
    let cut = open_by_day(&folder, checkpoint.clone());
    cut.next().unwrap();
    let (read, after_cut) = go_on(&folder, cut.checkpoint());
    assert!(read.len() >= 3, "{read:?}");
    let (read, after) = go_on(&folder, checkpoint);
    assert_eq!(read.len(), 4, "{read:?}");
    assert!(read.contains(&late) && read.contains(&other), "{read:?}");
    for checkpoint in [after, after_cut] {
        let (read, same) = go_on(&folder, checkpoint);
        assert!(read.is_empty(), "{read:?}");
        // Some are deleted, and later there is another.
        let gone = format!(
            "{}AWSLogs/111122223333/CloudTrail/eu-west-1/2026/05/03",
            at_root(&folder)
        );
        fs::remove_dir_all(gone).unwrap();
        put_in_trail(&folder, 3, 2, b"x");
        put_in_trail(&folder, 9, 5, b"new");
        let (read, fewer) = go_on(&folder, same);
        assert_eq!(read.len(), 1, "{read:?}");
        let late = put_in_trail(&folder, 3, 0, b"x");
        let (read, _) = go_on(&folder, fewer);
        assert!(read.contains(&late), "{read:?}");
        let new = format!(
            "{}AWSLogs/111122223333/CloudTrail/eu-west-1/2026/05/09/",
            at_root(&folder)
        );
        fs::remove_file(format!(
            "{new}111122223333_CloudTrail_eu-west-1_20260509T0500Z_u.json"
        ))
        .unwrap();
    }
}

#[test]
fn a_link_among_the_files_of_a_day_changes_nothing_for_its_folder() {
    let folder = trail_of_days(1..=9);
    let elsewhere = tempfile::tempdir().unwrap();
    put(elsewhere.path(), "a.json", b"x");
    let day = "AWSLogs/111122223333/CloudTrail/eu-west-1/2026/05/02";
    let link = "111122223333_CloudTrail_eu-west-1_20260502T0030Z_u.json";
    symlink(
        elsewhere.path().join("a.json"),
        folder.path().join(day).join(link),
    )
    .unwrap();
    let (read, mut checkpoint) = go_on(&folder, Checkpoint::default());
    // Files of the same name count once here.
    assert!(read.contains(link), "{read:?}");
    for hour in 5..8 {
        let new = put_in_trail(&folder, 9, hour, b"x");
        let (read, next) = go_on(&folder, checkpoint);
        assert_eq!(read, BTreeSet::from([new]));
        checkpoint = next;
    }
}

#[test]
fn names_that_an_earlier_run_kept_are_forgotten_when_their_day_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let mut checkpoint = Checkpoint::default();
    for day in 1..=20 {
        for hour in 0..12 {
            put_in_trail(&folder, day, hour, b"x");
            let (read, next) = go_on(&folder, checkpoint);
            assert_eq!(read.len(), 1);
            checkpoint = next;
        }
    }
    let kept = names_kept(&checkpoint);
    assert!(kept <= 17 + 3 * 12, "{kept} of 240 names");
}

fn names_kept(checkpoint: &Checkpoint) -> usize {
    let names = |(_, position): (_, &Position)| match position {
        Position::Objects(objects) => objects.names(),
        _ => 0,
    };
    checkpoint.partitions().map(names).sum()
}

fn at_root(folder: &TempDir) -> String {
    format!("{}/", folder.path().display())
}
