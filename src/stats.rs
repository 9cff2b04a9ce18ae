//! Counters: every piece of input ends in one of them.
//!
//! Counts never depend on the columns or rows that a query asks for: they are taken where records
//! are framed and classified, before anything is decoded.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::input_location::InputLocation;

/// Live counters of one scan, shared by everything that works on it.
#[derive(Default)]
pub struct Stats {
    /// Files or objects that the listing gave and that may hold a matching event.
    pub objects_listed: AtomicU64,
    /// Their bytes, as stored.
    pub bytes_listed: AtomicU64,
    /// Whether the listing has come to its end, so that the two above are totals.
    pub listing_done: std::sync::atomic::AtomicBool,
    /// Objects that the checkpoint covers from which the source was opened.
    pub objects_done_before: AtomicU64,
    /// Objects left alone because their key says that they cannot hold a matching event.
    pub objects_pruned: AtomicU64,
    /// Folders not even listed, for the same reason.
    pub folders_pruned: AtomicU64,
    /// Files and folders left out because their names begin with `.` or `_`.
    pub hidden_left_out: AtomicU64,
    /// Objects taken up for reading.
    pub objects_read: AtomicU64,
    /// Objects that were not read, as their rows are known.
    pub objects_cached: AtomicU64,
    /// Bytes read, as stored.
    pub bytes_read: AtomicU64,
    /// Bytes after decompression.
    pub bytes_inflated: AtomicU64,
    /// CloudTrail records of calls and service events, out of whole documents.
    pub events: AtomicU64,
    /// Insights events out of whole documents. Rows too.
    pub insights: AtomicU64,
    /// Aggregated events out of whole documents. Rows too.
    pub aggregated: AtomicU64,
    /// CloudTrail records that could still be framed in damaged documents. They are rows too.
    pub salvaged: AtomicU64,
    /// Events left out because the same event had been seen (only when asked for).
    pub duplicates: AtomicU64,
    /// Values hidden because they look like secrets (only when asked for).
    pub redacted: AtomicU64,
    /// Objects with damage in them, which also gave a reject for each damaged stretch.
    pub damaged_objects: AtomicU64,
    /// Objects without a byte in them, or without a value.
    pub empty_objects: AtomicU64,
    /// Attempts at a source that failed and were repeated.
    pub source_failures: AtomicU64,
    counts: Mutex<Counts>,
    /// What is being retried, by the part of the run that fails.
    retrying: Mutex<BTreeMap<u64, Failing>>,
    parts: AtomicU64,
}

/// A failure of a part of a run that is being retried.
struct Failing {
    message: String,
    since: Instant,
}

#[derive(Default)]
struct Counts {
    not_cloudtrail: BTreeMap<&'static str, u64>,
    rejects: BTreeMap<&'static str, u64>,
    event_sources: BTreeMap<Box<str>, u64>,
    event_times: Option<(i64, i64)>,
    type_mismatches: BTreeMap<&'static str, (u64, InputLocation)>,
}

impl Stats {
    /// Counts one piece of input that is fine but no CloudTrail event.
    pub fn not_cloudtrail(&self, kind: &'static str, count: u64) {
        *self.counts().not_cloudtrail.entry(kind).or_default() += count;
    }

    /// Counts a reject by its reason.
    pub fn count_reject(&self, reason: &'static str) {
        *self.counts().rejects.entry(reason).or_default() += 1;
    }

    /// Counts values that did not fit the type of their column and are NULL there, with the place of
    /// one of them.
    pub fn count_type_mismatches(&self, column: &'static str, count: u64, example: InputLocation) {
        let mut counts = self.counts();
        counts
            .type_mismatches
            .entry(column)
            .or_insert((0, example))
            .0 += count;
    }

    /// The values that did not fit the type of their column: column, count, place of one of them.
    pub fn type_mismatches(&self) -> Vec<(&'static str, u64, InputLocation)> {
        self.counts()
            .type_mismatches
            .iter()
            .map(|(column, (count, example))| (*column, *count, example.clone()))
            .collect()
    }

    /// Returns the number of a new part of the run: a source, or the lake. Each fails and succeeds by itself.
    pub fn add_part(&self) -> u64 {
        self.parts.fetch_add(1, Relaxed)
    }

    /// Forgets a part that has ended, perhaps in the midst of a failure.
    pub fn remove_part(&self, part: u64) {
        lock(&self.retrying).remove(&part);
    }

    /// Sets the failure of a part that is being retried, in words; `None` once it succeeds. The log is told
    /// of the first failure and of the success.
    pub fn set_retrying(&self, part: u64, message: Option<String>) {
        let Some(message) = message else {
            let failed = lock(&self.retrying).remove(&part);
            if let Some(failed) = failed {
                let seconds = failed.since.elapsed().as_secs_f64();
                tracing::warn!(seconds, failed = failed.message, "available again");
            }
            return;
        };
        let mut retrying = lock(&self.retrying);
        let (is_first, since) = match retrying.get(&part) {
            // Another partition answers again, this one still fails.
            Some(failing) if failing.message == message => return,
            Some(failing) => (false, failing.since),
            None => (true, Instant::now()),
        };
        self.source_failures.fetch_add(1, Relaxed);
        let failing = Failing {
            message: message.clone(),
            since,
        };
        retrying.insert(part, failing);
        drop(retrying);
        match is_first {
            true => tracing::warn!(error = message, "unavailable, and tried again"),
            false => tracing::debug!(error = message, "still unavailable"),
        }
    }

    /// The failure that is being retried for longest.
    pub fn retrying(&self) -> Option<String> {
        let retrying = lock(&self.retrying);
        let longest = retrying.values().min_by_key(|failing| failing.since);
        longest.map(|failing| failing.message.clone())
    }

    /// Returns the time at which that failure began.
    pub fn retrying_since(&self) -> Option<Instant> {
        let retrying = lock(&self.retrying);
        retrying.values().map(|failing| failing.since).min()
    }

    /// Adds what one worker saw of the events' sources and times (microseconds since 1970, UTC).
    pub fn observe<'a>(
        &self,
        sources: impl IntoIterator<Item = (&'a str, u64)>,
        times: Option<(i64, i64)>,
    ) {
        let mut counts = self.counts();
        for (source, count) in sources {
            match counts.event_sources.get_mut(source) {
                Some(known) => *known += count,
                None => {
                    counts.event_sources.insert(source.into(), count);
                }
            }
        }
        counts.event_times = match (counts.event_times, times) {
            (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
            (known, seen) => known.or(seen),
        };
    }

    /// Returns whether there was something to read and not a byte of it could be.
    pub fn is_all_unreadable(&self) -> bool {
        let load = |counter: &AtomicU64| counter.load(Relaxed);
        let read = load(&self.bytes_read) + load(&self.empty_objects);
        let left_out = load(&self.objects_pruned) + load(&self.folders_pruned);
        let known = load(&self.objects_cached);
        read == 0 && left_out == 0 && known == 0 && self.rejects() > 0
    }

    /// Records that were framed, of all kinds, without duplicates that were left out.
    pub fn records(&self) -> u64 {
        [
            &self.events,
            &self.insights,
            &self.aggregated,
            &self.salvaged,
        ]
        .iter()
        .map(|counter| counter.load(Relaxed))
        .sum()
    }

    /// The counts by kind of what is not CloudTrail, by name.
    pub fn not_cloudtrail_by_kind(&self) -> Vec<(&'static str, u64)> {
        self.counts()
            .not_cloudtrail
            .iter()
            .map(|(k, v)| (*k, *v))
            .collect()
    }

    /// The counts of rejects by reason.
    pub fn rejects_by_reason(&self) -> Vec<(&'static str, u64)> {
        self.counts()
            .rejects
            .iter()
            .map(|(k, v)| (*k, *v))
            .collect()
    }

    /// Events by `eventSource`, as far as [`Stats::observe`] was told.
    pub fn events_by_source(&self) -> Vec<(String, u64)> {
        self.counts()
            .event_sources
            .iter()
            .map(|(k, v)| (k.to_string(), *v))
            .collect()
    }

    /// First and last event time, microseconds since 1970 UTC.
    pub fn event_times(&self) -> Option<(i64, i64)> {
        self.counts().event_times
    }

    /// Adds the counters of another scan, less its rejects, and of its type mismatches those of the
    /// columns that `is_asked` accepts.
    pub fn absorb(&self, other: &Self, is_asked: impl Fn(&str) -> bool) {
        for (counter, more) in self.counters().into_iter().zip(other.counters()) {
            counter.fetch_add(more.load(Relaxed), Relaxed);
        }
        let is_listed = other.listing_done.load(Relaxed);
        self.listing_done.fetch_or(is_listed, Relaxed);
        for (kind, count) in other.not_cloudtrail_by_kind() {
            self.not_cloudtrail(kind, count);
        }
        for (column, count, example) in other.type_mismatches() {
            if is_asked(column) {
                self.count_type_mismatches(column, count, example);
            }
        }
    }

    fn counters(&self) -> [&AtomicU64; 19] {
        [
            &self.objects_listed,
            &self.bytes_listed,
            &self.objects_done_before,
            &self.objects_pruned,
            &self.folders_pruned,
            &self.hidden_left_out,
            &self.objects_read,
            &self.objects_cached,
            &self.bytes_read,
            &self.bytes_inflated,
            &self.events,
            &self.insights,
            &self.aggregated,
            &self.salvaged,
            &self.duplicates,
            &self.redacted,
            &self.damaged_objects,
            &self.empty_objects,
            &self.source_failures,
        ]
    }

    /// Returns the number of rejects, for any reason.
    pub fn rejects(&self) -> u64 {
        self.counts().rejects.values().sum()
    }

    fn counts(&self) -> std::sync::MutexGuard<'_, Counts> {
        lock(&self.counts)
    }
}

impl std::fmt::Debug for Stats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stats")
            .field("events", &self.events.load(Relaxed))
            .finish_non_exhaustive()
    }
}

/// Counters stay usable after a panic elsewhere: they are sums, never half-changed.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
