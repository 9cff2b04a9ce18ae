//! The promise of a lake's upkeep: readers see the same events at every instant, whichever step fails,
//! wherever the process dies, and whoever else is at work; what nobody needs is deleted, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use arrow::array::AsArray;
use arrow::datatypes::TimestampMicrosecondType;
use auroratrail::lake::log::{AsOf, Committed, Log};
use auroratrail::lake::storage::{self, Storage};
use auroratrail::lake::upkeep::compact::{CompactSettings, CompactSummary, compact};
use auroratrail::lake::upkeep::expire::expire;
use auroratrail::lake::upkeep::plan::plan;
use auroratrail::lake::upkeep::vacuum::{VacuumSummary, vacuum};
use auroratrail::lake::verify::verify;
use auroratrail::lake::{Lake, LakeFile, checksum};
use auroratrail::source::Folder;
use chrono::Utc;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::lake::{Fate, Faulty, assert_whole, events, events_of, ingest, run, trail};
use crate::made;

/// Packs all that a test has to one file.
const ALL: CompactSettings = CompactSettings {
    target_bytes: 64 << 20,
    memory_bytes: 256 << 20,
    threads: 2,
};

fn local(lake: &Path) -> Arc<dyn Storage> {
    storage::open(Folder::Local(lake.to_owned()), "lake")
}

async fn packed(storage: Arc<dyn Storage>, settings: &CompactSettings) -> CompactSummary {
    let lake = Lake::in_storage(storage, "lake");
    let stop = CancellationToken::new();
    compact(&lake, settings, &stop, &mut |_| {}).await.unwrap()
}

fn pack(lake: &Path, settings: &CompactSettings) -> CompactSummary {
    Runtime::new()
        .unwrap()
        .block_on(packed(local(lake), settings))
}

fn files(lake: &Path) -> Vec<LakeFile> {
    let log = Log::new(local(lake), "lake");
    let version = Runtime::new()
        .unwrap()
        .block_on(log.version(AsOf::Latest))
        .unwrap();
    version.unwrap().files.to_vec()
}

fn cleaned(lake: &Path, retain: chrono::Duration) -> VacuumSummary {
    let lake = Lake::in_storage(local(lake), "lake");
    Runtime::new()
        .unwrap()
        .block_on(vacuum(&lake, retain, Utc::now(), false))
        .unwrap()
}

/// Makes a lake of many small files; returns the IDs of its events.
fn made_lake(folder: &Path, lake: &Path) -> BTreeSet<String> {
    let logs = folder.join("logs");
    std::fs::create_dir_all(&logs).unwrap();
    let ids = trail(&logs, 0);
    run(lake, logs.to_str().unwrap());
    assert!(files(lake).len() >= 5);
    ids
}

/// Adds copies of files to a lake, as a writer that does not look for duplicates would.
fn add_copies(lake: &Path, copied: &[LakeFile]) {
    let copies = copied.iter().enumerate().map(|(number, file)| {
        let path = format!("dt=2026-03-04/copy-{number}.parquet");
        std::fs::copy(lake.join(&file.path), lake.join(&path)).unwrap();
        LakeFile {
            path,
            ..file.clone()
        }
    });
    let copies: Vec<LakeFile> = copies.collect();
    Runtime::new().unwrap().block_on(async {
        let log = Log::new(local(lake), "lake");
        let version = log.version(AsOf::Latest).await.unwrap().unwrap();
        let number = version.checkpoint.unwrap();
        let done = log.commit(&version, &copies, number, &[]).await.unwrap();
        assert!(matches!(done, Committed::Version(_)));
    });
}

fn copy_lake(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-r").args([from, to]).status();
    assert!(status.unwrap().success());
}

/// Returns the event times of a file in microseconds, in its order.
fn times(lake: &Path, file: &LakeFile) -> Vec<i64> {
    let bytes = std::fs::File::open(lake.join(&file.path)).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
    let batches = reader.build().unwrap().map(Result::unwrap);
    let times = batches.flat_map(|batch| {
        let times = batch.column_by_name("eventtime").unwrap();
        let times = times.as_primitive::<TimestampMicrosecondType>();
        times.values().to_vec()
    });
    times.collect()
}

fn auroratrail(arguments: &[&str], folder: &Path) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_auroratrail"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// Runs a command that succeeds; returns what it prints.
#[track_caller]
fn prints(arguments: &[&str], folder: &Path) -> String {
    let (code, printed, said) = auroratrail(arguments, folder);
    assert_eq!(code, Some(0), "{arguments:?}\n{said}");
    printed
}

#[test]
fn files_are_packed_sorted_and_each_event_once() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    let ids = made_lake(folder.path(), &lake);
    let sql = "SELECT record FROM events ORDER BY eventID";
    let query = ["query", "--format", "ndjson", sql, "lake"];
    let before = prints(&query, folder.path());
    let first = files(&lake);
    let copies = &first[..3];
    let twice: u64 = copies.iter().map(|file| file.stats.rows).sum();
    add_copies(&lake, copies);

    let done = pack(&lake, &ALL);
    assert_eq!(done.files_before as usize, first.len() + copies.len());
    assert_eq!((done.files_after, done.duplicates), (1, twice), "{done:?}");
    assert_eq!(done.faults, Vec::<String>::new());
    assert!(done.bytes_after < done.bytes_before);
    assert_whole(&lake, &ids, "packed");
    let file = &files(&lake)[0];
    assert_eq!(file.stats.rows as usize, ids.len());
    assert!(times(&lake, file).is_sorted());
    assert_eq!(prints(&query, folder.path()), before);
    // The log says of the file what one that was written at once would have.
    let verified = prints(&["lake", "verify", "lake"], folder.path());
    assert!(verified.contains("all as the log says"), "{verified}");

    let again = pack(&lake, &ALL);
    assert_eq!((again.commits, again.files_before), (0, 0), "{again:?}");
}

#[test]
fn rows_that_do_not_fit_in_memory_are_sorted_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    // More than twice the half of the memory that rows may take.
    let source = "sample:?events=20000&days=1&duplicates=0";
    let rows = ["--keep", "all", "--max-rows", "1000"];
    prints(
        &[&["ingest", source, "--to", "lake"], &rows[..]].concat(),
        folder.path(),
    );
    let sql = "SELECT md5(string_agg(record, '' ORDER BY eventID)) FROM events";
    let query = ["query", "--format", "csv", sql, "lake"];
    let before = prints(&query, folder.path());
    let memory = ["--memory", "32M", "--threads", "1"];
    let done = prints(&[&["compact", "lake"], &memory[..]].concat(), folder.path());
    assert!(done.contains("are 1 file"), "{done}");
    assert_eq!(prints(&query, folder.path()), before);
    let file = &files(&lake)[0];
    assert_eq!(file.stats.rows, 20_000);
    assert!(times(&lake, file).is_sorted());
    prints(&["lake", "verify", "lake"], folder.path());
}

#[test]
fn an_event_of_two_groups_of_files_is_kept_once() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    let ids = made_lake(folder.path(), &lake);
    add_copies(&lake, &files(&lake));
    let all = files(&lake);
    let largest = all.iter().map(|file| file.size_bytes).max().unwrap();
    let settings = CompactSettings {
        target_bytes: 2 * largest + 2,
        ..ALL
    };
    let bins = plan(&all, settings.target_bytes);
    assert!(bins.len() > 2, "{} bins", bins.len());
    let done = pack(&lake, &settings);
    assert_eq!(done.duplicates as usize, ids.len(), "{done:?}");
    assert_whole(&lake, &ids, "packed");
    assert_eq!(plan(&files(&lake), settings.target_bytes), []);
}

#[test]
fn a_file_that_is_damaged_or_foreign_is_left_alone_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    made_lake(folder.path(), &lake);
    let damaged = files(&lake)[0].clone();
    let length = damaged.size_bytes as usize;
    std::fs::write(lake.join(&damaged.path), vec![b'x'; length]).unwrap();
    let (code, printed, said) = auroratrail(&["compact", "lake"], folder.path());
    assert_eq!(code, Some(2), "{printed}{said}");
    assert!(said.contains(&damaged.path), "{said}");
    assert!(said.contains("left as they were"), "{said}");
}

#[test]
fn a_byte_that_changes_is_found_wherever_it_is_and_not_packed() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    made_lake(folder.path(), &lake);
    let damaged = files(&lake)[0].clone();
    let path = lake.join(&damaged.path);
    let whole = std::fs::read(&path).unwrap();
    // A byte whose change only the checksum tells.
    let mut silent = None;
    for at in (0..whole.len()).step_by(whole.len() / 80) {
        let mut changed = whole.clone();
        changed[at] ^= 0x10;
        std::fs::write(&path, changed).unwrap();
        let faults = faults(&lake);
        assert!(
            faults.iter().all(|it| it.starts_with(&damaged.path)),
            "{at}: {faults:?}"
        );
        assert!(!faults.is_empty(), "byte {at}");
        if faults[0] == format!("{} {}", damaged.path, checksum::FAULT) {
            silent = Some(at);
        }
        if at % 4 == 0 {
            assert_query_tells(folder.path(), &damaged.path, at);
        }
    }
    let mut changed = whole.clone();
    changed[silent.expect("some values have no facts in the log")] ^= 0x10;
    std::fs::write(&path, changed).unwrap();
    let done = pack(&lake, &ALL);
    assert_eq!(
        done.faults,
        [format!("{} {}", damaged.path, checksum::FAULT)]
    );
    assert!(files(&lake).contains(&damaged));
    std::fs::write(&path, whole).unwrap();
    assert_eq!(faults(&lake), [""; 0]);
}

/// Asserts that a query over a lake with a changed byte does not panic, as decoders do on some, and that if it
/// fails it says which file is damaged.
fn assert_query_tells(folder: &Path, path: &str, at: usize) {
    let (code, _, said) = auroratrail(&["query", "SELECT * FROM events", "lake"], folder);
    let named = format!("lake/{path}: the file ");
    assert!(
        code == Some(0) || said.contains(&named),
        "byte {at}: {said}"
    );
    assert!(!said.contains("panicked"), "byte {at}: {said}");
}

/// Returns the faults of a lake.
fn faults(lake: &Path) -> Vec<String> {
    let storage = local(lake);
    Runtime::new().unwrap().block_on(async {
        let log = Log::new(Arc::clone(&storage), "lake");
        let version = log.version(AsOf::Latest).await.unwrap().unwrap();
        verify(&*storage, &version).await.unwrap().faults
    })
}

#[test]
fn the_events_stay_the_same_whichever_call_fails() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("base");
    let ids = made_lake(folder.path(), &base);
    for fate in [Fate::Fails, Fate::LosesAnswer] {
        for at in 0.. {
            let lake = folder.path().join(format!("{fate:?}-{at}"));
            copy_lake(&base, &lake);
            let has_failed = pack_with(&lake, at, fate);
            assert_whole(&lake, &ids, &format!("{fate:?} at {at}"));
            pack(&lake, &ALL);
            assert_whole(&lake, &ids, &format!("{fate:?} at {at}, again"));
            assert_eq!(files(&lake).len(), 1);
            if !has_failed {
                assert!(at > 2, "expected a run of more calls than {at}");
                break;
            }
        }
    }
}

/// Packs with a fault; returns whether it failed.
fn pack_with(lake: &Path, at: usize, fate: Fate) -> bool {
    let runtime = Runtime::new().unwrap();
    let lake = Lake::in_storage(Arc::new(Faulty::local(lake, at, fate)), "lake");
    let stop = CancellationToken::new();
    let ran = runtime.block_on(compact(&lake, &ALL, &stop, &mut |_| {}));
    runtime.shutdown_timeout(Duration::from_secs(10));
    ran.is_err() || !ran.unwrap().faults.is_empty()
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
    let path = variable("LAKE_TEST_LAKE");
    let lake = Lake::in_storage(Arc::new(Faulty::local(Path::new(&path), at, fate)), "lake");
    let stop = CancellationToken::new();
    let zero = chrono::Duration::zero();
    Runtime::new().unwrap().block_on(async {
        match &*variable("LAKE_TEST_TASK") {
            "compact" => drop(compact(&lake, &ALL, &stop, &mut |_| {}).await.unwrap()),
            "expire" => drop(expire(&lake, "2026-03-05", false).await.unwrap()),
            _ => drop(vacuum(&lake, zero, Utc::now(), false).await.unwrap()),
        }
    });
}

/// Has a process do a task and die at one call after the other; `check` looks at each lake. Returns the
/// number of calls.
fn kill_at_each_call(base: &Path, task: &str, check: &dyn Fn(&Path, &str)) -> usize {
    let mut calls = 0;
    for fate in ["before", "after"] {
        for at in 0.. {
            let lake = base.with_file_name(format!("{task}-{fate}-{at}"));
            copy_lake(base, &lake);
            let status = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "upkeep::killed", "--ignored"])
                .env("LAKE_TEST_AT", at.to_string())
                .env("LAKE_TEST_FATE", fate)
                .env("LAKE_TEST_TASK", task)
                .env("LAKE_TEST_LAKE", &lake)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .unwrap();
            check(&lake, &format!("{task} killed {fate} {at}"));
            if status.success() {
                calls = at;
                break;
            }
        }
    }
    calls
}

#[test]
fn the_events_stay_the_same_wherever_the_process_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("base");
    let ids = made_lake(folder.path(), &base);
    let calls = kill_at_each_call(&base, "compact", &|lake, context| {
        assert_whole(lake, &ids, context);
        pack(lake, &ALL);
        assert_whole(lake, &ids, context);
        // What was left behind goes, and nothing that is in the lake.
        cleaned(lake, chrono::Duration::zero());
        assert_whole(lake, &ids, context);
        assert_eq!(data_files(lake).len(), 1, "{context}");
    });
    assert!(calls > 2, "{calls} calls");
    pack(&base, &ALL);
    let calls = kill_at_each_call(&base, "vacuum", &|lake, context| {
        assert_whole(lake, &ids, context);
        cleaned(lake, chrono::Duration::zero());
        assert_whole(lake, &ids, context);
        assert_eq!(data_files(lake).len(), 1, "{context}");
    });
    assert!(calls > 5, "{calls} calls");
    let calls = kill_at_each_call(&base, "expire", &|lake, context| {
        let left = events(lake).len();
        assert!(left == 0 || left == ids.len(), "{context}: {left}");
    });
    assert!(calls > 0, "{calls} calls");
}

/// Returns the files in the folders of days.
fn data_files(lake: &Path) -> Vec<String> {
    let runtime = Runtime::new().unwrap();
    let listed = runtime.block_on(local(lake).list("")).unwrap();
    let paths = listed.into_iter().map(|entry| entry.path);
    paths.filter(|path| path.starts_with("dt=")).collect()
}

#[test]
fn compactions_and_ingests_at_once_leave_each_event_once_at_every_instant() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    let mut all = made_lake(folder.path(), &lake);
    let first = all.clone();
    let mut places = Vec::new();
    for (name, from) in [("b", 20_000), ("c", 40_000)] {
        let logs = folder.path().join(name);
        std::fs::create_dir(&logs).unwrap();
        all.extend(trail(&logs, from));
        places.push(logs.to_str().unwrap().to_owned());
    }
    let storage = local(&lake);
    Runtime::new().unwrap().block_on(async {
        let is_done = Arc::new(AtomicBool::new(false));
        let readers = (0..2).map(|_| {
            let (storage, first) = (Arc::clone(&storage), first.clone());
            let is_done = Arc::clone(&is_done);
            tokio::spawn(async move {
                let mut looks = 0;
                while !is_done.load(Relaxed) {
                    let found: BTreeMap<String, usize> = events_of(Arc::clone(&storage)).await;
                    assert!(found.values().all(|number| *number == 1));
                    assert!(first.iter().all(|id| found.contains_key(id)));
                    looks += 1;
                }
                looks
            })
        });
        let readers: Vec<_> = readers.collect();
        let ingests = places.into_iter().map(|place| {
            let storage = Arc::clone(&storage);
            tokio::spawn(async move {
                ingest(storage, &place).await.map(|_| ()).unwrap();
            })
        });
        let ingests: Vec<_> = ingests.collect();
        let compactions = (0..2).map(|_| {
            let storage = Arc::clone(&storage);
            tokio::spawn(async move {
                for _ in 0..4 {
                    let done = packed(Arc::clone(&storage), &ALL).await;
                    assert_eq!(done.faults, Vec::<String>::new());
                }
            })
        });
        for task in ingests.into_iter().chain(compactions) {
            task.await.unwrap();
        }
        is_done.store(true, Relaxed);
        for reader in readers {
            assert!(reader.await.unwrap() > 0);
        }
    });
    pack(&lake, &ALL);
    assert_whole(&lake, &all, "at the end");
    assert_eq!(files(&lake).len(), 1);
}

#[test]
fn a_compaction_that_is_stopped_leaves_what_it_has_committed() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    let ids = made_lake(folder.path(), &lake);
    let stop = CancellationToken::new();
    stop.cancel();
    let opened = Lake::in_storage(local(&lake), "lake");
    let done = Runtime::new()
        .unwrap()
        .block_on(compact(&opened, &ALL, &stop, &mut |_| {}))
        .unwrap();
    assert!(done.is_stopped);
    assert_whole(&lake, &ids, "stopped");
}

#[test]
fn the_commands_say_what_they_would_do_and_do() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    let ids = made_lake(folder.path(), &lake);
    let count = "SELECT count(*) AS n FROM events";
    let query = |sql: &str| prints(&["query", "--format", "csv", sql, "lake"], folder.path());
    let all = format!("n\n{}\n", ids.len());
    let before = files(&lake);
    let shown = prints(&["lake", "show", "lake"], folder.path());
    assert!(shown.contains("compact would pack"), "{shown}");
    let dry = prints(&["compact", "lake", "--dry-run"], folder.path());
    assert!(dry.contains("dt=2026-03-04"), "{dry}");
    assert!(dry.contains("nothing is done"), "{dry}");
    assert_eq!(files(&lake), before);

    let done = prints(&["compact", "lake"], folder.path());
    assert!(done.contains("are 1 file"), "{done}");
    assert_eq!(
        prints(&["compact", "lake"], folder.path()),
        "lake: nothing to pack\n"
    );
    let shown = prints(&["lake", "show", "lake"], folder.path());
    assert!(shown.contains("OPTIMIZE"), "{shown}");
    assert!(
        shown.contains(&format!("{} files out, 1 in", before.len())),
        "{shown}"
    );
    assert!(shown.contains("nothing to pack"), "{shown}");

    // Nothing that a reader of an hour ago needs goes, nor what is of others.
    std::fs::write(lake.join("dt=2026-03-04/notes.txt"), "mine").unwrap();
    let kept = prints(&["vacuum", "lake"], folder.path());
    assert!(kept.contains("nothing to delete"), "{kept}");
    assert_eq!(data_files(&lake).len(), before.len() + 2);
    let (_, at_first, _) = auroratrail(
        &[
            "query",
            "--format",
            "csv",
            &format!("{count} AS OF VERSION 1"),
            "lake",
        ],
        folder.path(),
    );
    assert!(at_first.starts_with("n\n"), "{at_first}");
    let dry = prints(
        &["vacuum", "lake", "--retain", "0h", "--dry-run"],
        folder.path(),
    );
    assert!(dry.contains(&before[0].path), "{dry}");
    let gone = prints(&["vacuum", "lake", "--retain", "0h"], folder.path());
    assert!(
        gone.contains(&format!("{} replaced", before.len())),
        "{gone}"
    );
    assert_eq!(data_files(&lake).len(), 2);
    assert_eq!(query(count), all);
    let verified = prints(&["lake", "verify", "lake"], folder.path());
    assert!(verified.contains("all as the log says"), "{verified}");

    // Days go whole, and the log keeps what was there.
    let dry = prints(
        &["expire", "lake", "--older-than", "2026-03-05", "--dry-run"],
        folder.path(),
    );
    assert!(dry.contains("would go"), "{dry}");
    assert_eq!(query(count), all);
    let same = prints(
        &["expire", "lake", "--older-than", "2026-03-04"],
        folder.path(),
    );
    assert!(
        same.contains("no events of days before 2026-03-04"),
        "{same}"
    );
    let done = prints(
        &["expire", "lake", "--older-than", "2026-03-05"],
        folder.path(),
    );
    assert!(done.contains("1 day, 2026-03-04 to 2026-03-04"), "{done}");
    assert_eq!(query(count), "n\n0\n");

    let (code, _, said) = auroratrail(&["vacuum", "lake", "--retain", "60d"], folder.path());
    assert_eq!(code, Some(2));
    assert!(said.contains("remembers for 720 hours"), "{said}");
    let (code, _, said) = auroratrail(&["compact", "nothing"], folder.path());
    assert_eq!(code, Some(2));
    assert!(said.contains("is no lake"), "{said}");
}

#[test]
fn an_ingest_goes_on_after_its_files_were_packed_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    let mut ids = made_lake(folder.path(), &lake);
    pack(&lake, &ALL);
    cleaned(&lake, chrono::Duration::zero());
    // The positions of the sources and the events are known as before.
    let logs = folder.path().join("logs");
    let again = run(&lake, logs.to_str().unwrap());
    assert_eq!((again.rows, again.commits), (0, 0), "{again:?}");
    let record = made::record(7);
    std::fs::write(
        logs.join("new.json"),
        format!("{record}\n{}", made::record(90_001)),
    )
    .unwrap();
    ids.insert(made::id(90_001));
    let more = run(&lake, logs.to_str().unwrap());
    assert_eq!((more.rows, more.duplicates), (1, 1), "{more:?}");
    assert_whole(&lake, &ids, "more");
}

#[test]
fn a_schedule_packs_at_its_times_until_it_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    let ids = made_lake(folder.path(), &lake);
    let mut compact = Command::new(env!("CARGO_BIN_EXE_auroratrail"));
    compact.args(["compact", "lake", "--schedule", "* * * * *"]);
    compact.args(["--time-zone", "Asia/Tokyo"]);
    let compact = compact
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let running = crate::kinesis::Running(compact.spawn().unwrap());
    let begun = std::time::Instant::now();
    let is_packed = || plan(&files(&lake), 256 << 20).is_empty();
    while !is_packed() {
        assert!(begun.elapsed() < Duration::from_secs(120));
        std::thread::sleep(Duration::from_millis(200));
    }
    // The commit comes before the summary, and that before the next time is told.
    std::thread::sleep(Duration::from_secs(2));
    let done = running.terminate();
    assert_eq!(done.code, Some(130), "{}", done.said);
    let told = done.said.matches("next compaction at").count();
    assert_eq!(told, 2, "{}", done.said);
    assert!(done.said.contains("JST"), "{}", done.said);
    assert!(done.printed.contains("files"), "{}", done.printed);
    assert_whole(&lake, &ids, "scheduled");
}
