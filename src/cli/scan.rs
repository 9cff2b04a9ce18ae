//! `auroratrail scan`: what is in there, without a query.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::HumanBytes;
use serde_json::json;

use super::progress::Progress;
use super::report::count;
use super::{ScanArguments, ScanFormat};
use crate::envelope::{Extractor, Record, RecordSink, Taken};
use crate::error::{Error, Result};
use crate::events::{Deduplicator, time};
use crate::json::unescape;
use crate::source::key::Wanted;
use crate::source::{Reads, Scan};
use crate::stats::{Reject, Stats};

/// Names of damaged and empty files that are kept to be listed.
const LISTED_FILES: usize = 1000;

pub(super) async fn run(arguments: ScanArguments, threads: usize) -> Result<ExitCode> {
    let opened = arguments.input.open(&arguments.sources)?;
    arguments.input.begin(&opened).await?;
    let stats = opened.stats;
    let progress = Progress::start(&stats);
    let scan = Scan {
        locations: opened.locations,
        wanted: Wanted {
            read_digests: true,
            ..Wanted::default()
        },
        stats: Arc::clone(&stats),
    };
    let reads = Reads::start(&opened.sources, scan, &tokio::runtime::Handle::current());
    let files = Arc::new(Files::default());
    let seen = Arc::new(Deduplicator::default());
    let workers: Vec<_> = (0..threads)
        .map(|_| {
            let (reads, stats) = (reads.clone(), Arc::clone(&stats));
            let (files, seen) = (Arc::clone(&files), Arc::clone(&seen));
            tokio::task::spawn_blocking(move || work(&reads, &stats, &files, &seen))
        })
        .collect();
    for worker in workers {
        worker
            .await
            .map_err(|error| Error::bug(format!("a scanning thread stopped: {error}")))?;
    }
    progress.finish();
    match arguments.format {
        ScanFormat::Text => print_text(&stats),
        ScanFormat::Json => print(&format!("{:#}\n", as_json(&stats, &files))),
    }
    arguments.input.finish(&stats)
}

/// Files that are worth naming.
#[derive(Default)]
struct Files {
    damaged: Mutex<BTreeSet<String>>,
    empty: Mutex<BTreeSet<String>>,
}

fn work(reads: &Reads, stats: &Stats, files: &Files, seen: &Deduplicator) {
    let mut extractor = Extractor::default();
    let mut counter = Counter {
        stats,
        seen,
        sources: BTreeMap::new(),
        times: None,
    };
    while let Some(payload) = reads.next_blocking() {
        let origin = Arc::clone(&payload.origin);
        let outcome = extractor.extract(payload, &mut counter);
        outcome.add_to(stats);
        for (list, is_one) in [
            (&files.damaged, outcome.damaged),
            (&files.empty, outcome.empty),
        ] {
            let mut list = list.lock().unwrap_or_else(PoisonError::into_inner);
            if is_one && list.len() < LISTED_FILES {
                list.insert(origin.to_string());
            }
        }
    }
    let sources = counter.sources.iter().map(|(source, n)| (&**source, *n));
    stats.observe(sources, counter.times);
}

/// Counts what one thread sees.
struct Counter<'a> {
    stats: &'a Stats,
    seen: &'a Deduplicator,
    sources: BTreeMap<Box<str>, u64>,
    times: Option<(i64, i64)>,
}

impl RecordSink for Counter<'_> {
    fn record(&mut self, record: &Record<'_>) -> Taken {
        if !self.seen.insert(record) {
            // Counted, and an event all the same: nothing is left out here.
            self.stats.duplicates.fetch_add(1, Relaxed);
        }
        for member in record.members {
            let value = member.value.raw(record.text).trim_matches('"');
            match member.key.raw(record.text) {
                "eventSource" => {
                    let source = unescape(value);
                    match self.sources.get_mut(&*source) {
                        Some(number) => *number += 1,
                        None => {
                            self.sources.insert(source.into(), 1);
                        }
                    }
                }
                "eventTime" => {
                    if let Some(time) = time::parse(value) {
                        let (first, last) = self.times.unwrap_or((time, time));
                        self.times = Some((first.min(time), last.max(time)));
                    }
                }
                _ => {}
            }
        }
        Taken::Row
    }

    fn not_cloudtrail(&mut self, kind: &'static str, count: u64) {
        self.stats.not_cloudtrail(kind, count);
    }

    fn reject(&mut self, reject: &Reject<'_>) {
        self.stats.reject(reject);
    }
}

fn print_text(stats: &Stats) {
    let mut lines = Vec::new();
    let mut add = |title: &str, value: String| lines.push(format!("{title:<16}{value}"));
    let load = |number: &std::sync::atomic::AtomicU64| number.load(Relaxed);
    add(
        "files",
        format!(
            "{}, {} empty, {} damaged",
            count(load(&stats.objects_read)),
            count(load(&stats.empty_objects)),
            count(load(&stats.damaged_objects)),
        ),
    );
    add(
        "bytes",
        format!(
            "{} stored, {} inflated",
            HumanBytes(load(&stats.bytes_read)),
            HumanBytes(load(&stats.bytes_inflated)),
        ),
    );
    for (title, number) in [
        ("events", &stats.events),
        ("insights", &stats.insights),
        ("aggregated", &stats.aggregated),
        ("salvaged", &stats.salvaged),
    ] {
        add(title, count(load(number)));
    }
    add(
        "duplicates",
        format!("{} of all these", count(load(&stats.duplicates))),
    );
    if let Some((first, last)) = stats.event_times() {
        add("first event", time::canonical(first));
        add("last event", time::canonical(last));
    }
    let sum = |kinds: &[(&str, u64)]| kinds.iter().map(|(_, number)| number).sum();
    let other = stats.not_cloudtrail_by_kind();
    let rejects = stats.rejects_by_reason();
    let mut sources = stats.events_by_source();
    sources.sort_by_key(|(name, number)| (std::cmp::Reverse(*number), name.clone()));
    add("not CloudTrail", count(sum(&other)));
    other
        .iter()
        .for_each(|(kind, n)| add("", format!("{:>9}  {kind}", count(*n))));
    add("rejects", count(sum(&rejects)));
    rejects
        .iter()
        .for_each(|(kind, n)| add("", format!("{:>9}  {kind}", count(*n))));
    add("event sources", count(sources.len() as u64));
    sources
        .iter()
        .for_each(|(name, n)| add("", format!("{:>9}  {name}", count(*n))));
    lines.push(String::new());
    print(&lines.join("\n"));
}

fn as_json(stats: &Stats, files: &Files) -> serde_json::Value {
    let load = |number: &std::sync::atomic::AtomicU64| number.load(Relaxed);
    let names = |list: &Mutex<BTreeSet<String>>| {
        list.lock().unwrap_or_else(PoisonError::into_inner).clone()
    };
    let kinds = |kinds: Vec<(&'static str, u64)>| kinds.into_iter().collect::<BTreeMap<_, _>>();
    let times = stats.event_times();
    json!({
        "files": load(&stats.objects_read),
        "empty_files": names(&files.empty),
        "damaged_files": names(&files.damaged),
        "bytes_stored": load(&stats.bytes_read),
        "bytes_inflated": load(&stats.bytes_inflated),
        "events": load(&stats.events),
        "insights": load(&stats.insights),
        "aggregated": load(&stats.aggregated),
        "salvaged": load(&stats.salvaged),
        "duplicates": load(&stats.duplicates),
        "not_cloudtrail": kinds(stats.not_cloudtrail_by_kind()),
        "rejects": kinds(stats.rejects_by_reason()),
        "first_event": times.map(|(first, _)| time::canonical(first)),
        "last_event": times.map(|(_, last)| time::canonical(last)),
        "event_sources": stats.events_by_source().into_iter().collect::<BTreeMap<_, _>>(),
    })
}

/// Writes to standard output; a reader that went away is no fault.
fn print(text: &str) {
    use std::io::Write;
    let _ = std::io::stdout().write_all(text.as_bytes());
}
