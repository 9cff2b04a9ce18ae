//! `auroratrail scan`: counts of everything in the input, without a query.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::HumanBytes;
use serde_json::json;

use super::begin::{Begun, begin};
use super::report::{HIDDEN, count, type_mismatches};
use super::{Interruption, NOTHING_READ, ScanArguments, ScanFormat};
use crate::envelope::{Outcome, Record, Taken};
use crate::error::{Error, Result};
use crate::events::{Deduplicator, TypeChecker, time};
use crate::execution::Execution;
use crate::json::unescape;
use crate::pipeline::{Pipeline, Worker};
use crate::source::{KeyFilter, OpenContext};
use crate::stats::Stats;

/// Names of damaged and empty files that are kept to be listed.
const LISTED_FILES: usize = 1000;

pub(super) async fn run(
    arguments: ScanArguments,
    threads: usize,
    interruption: &Interruption,
) -> Result<ExitCode> {
    let opened = super::Opened::parse(&arguments.sources)?;
    let Begun {
        execution,
        progress,
        rejects,
    } = begin(&opened, &arguments.input, interruption, false).await?;
    let context = OpenContext {
        keys: KeyFilter {
            read_digests: true,
            ..KeyFilter::default()
        },
        execution: Arc::clone(&execution),
        ..OpenContext::default()
    };
    let source = opened.sources.open(&opened.locations, &context)?;
    let pipeline = Arc::new(Pipeline::new(source, Arc::clone(&execution)));
    let files = Arc::new(Files::default());
    let seen = Arc::new(Deduplicator::default());
    let workers: Vec<_> = (0..threads)
        .map(|_| {
            let pipeline = Arc::clone(&pipeline);
            let mut counter = Counter::new(&execution, &files, &seen);
            tokio::task::spawn_blocking(move || pipeline.run(&mut counter))
        })
        .collect();
    for worker in workers {
        worker
            .await
            .map_err(|error| Error::bug(format!("a scanning thread stopped: {error}")))??;
    }
    progress.finish();
    let stats = &execution.stats;
    match arguments.format {
        ScanFormat::Text => print_text(stats),
        ScanFormat::Json => print(&format!("{:#}\n", as_json(stats, &files))),
    }
    let code = arguments.input.finish(stats.rejects(), rejects)?;
    match stats.is_all_unreadable() {
        true => Err(Error::io(NOTHING_READ)),
        false => Ok(code),
    }
}

/// Files that are worth naming.
#[derive(Default)]
struct Files {
    damaged: Mutex<BTreeSet<String>>,
    empty: Mutex<BTreeSet<String>>,
}

/// Counts what one thread sees.
struct Counter {
    execution: Arc<Execution>,
    files: Arc<Files>,
    seen: Arc<Deduplicator>,
    checker: TypeChecker,
    sources: BTreeMap<Box<str>, u64>,
    times: Option<(i64, i64)>,
}

impl Counter {
    fn new(execution: &Arc<Execution>, files: &Arc<Files>, seen: &Arc<Deduplicator>) -> Self {
        Self {
            execution: Arc::clone(execution),
            files: Arc::clone(files),
            seen: Arc::clone(seen),
            checker: TypeChecker::default(),
            sources: BTreeMap::new(),
            times: None,
        }
    }
}

impl Worker for Counter {
    fn record(&mut self, record: &Record<'_>) -> Taken {
        if !self.seen.insert(record) {
            // Counted, and an event all the same: nothing is left out here.
            self.execution.stats.duplicates.fetch_add(1, Relaxed);
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
        self.checker.check(record);
        Taken::Row
    }

    fn flush(&mut self) -> bool {
        let sources = std::mem::take(&mut self.sources);
        let counts = sources.iter().map(|(source, n)| (&**source, *n));
        self.execution.stats.observe(counts, self.times.take());
        for mismatch in self.checker.take_type_mismatches() {
            let stats = &self.execution.stats;
            stats.count_type_mismatches(mismatch.column, mismatch.count, mismatch.example);
        }
        true
    }

    fn finish_payload(&mut self, origin: &Arc<str>, outcome: &Outcome) {
        for (list, is_one) in [
            (&self.files.damaged, outcome.damaged),
            (&self.files.empty, outcome.empty),
        ] {
            if !is_one {
                continue;
            }
            let mut list = list.lock().unwrap_or_else(PoisonError::into_inner);
            if list.len() < LISTED_FILES {
                list.insert(origin.to_string());
            }
        }
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
    if load(&stats.hidden_left_out) > 0 {
        add(
            "",
            format!("{} {HIDDEN}", count(load(&stats.hidden_left_out))),
        );
    }
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
    let mismatches = type_mismatches(stats);
    if !mismatches.is_empty() {
        add("do not fit", mismatches[0].clone());
        mismatches[1..].iter().for_each(|it| add("", it.clone()));
    }
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
        "hidden_left_out": load(&stats.hidden_left_out),
        "bytes_stored": load(&stats.bytes_read),
        "bytes_inflated": load(&stats.bytes_inflated),
        "events": load(&stats.events),
        "insights": load(&stats.insights),
        "aggregated": load(&stats.aggregated),
        "salvaged": load(&stats.salvaged),
        "duplicates": load(&stats.duplicates),
        "not_cloudtrail": kinds(stats.not_cloudtrail_by_kind()),
        "rejects": kinds(stats.rejects_by_reason()),
        "type_mismatches": stats
            .type_mismatches()
            .into_iter()
            .map(|(column, count, example)| {
                json!({"column": column, "count": count, "example": example.to_string()})
            })
            .collect::<Vec<_>>(),
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
