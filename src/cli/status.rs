//! The status line of a run over live sources:
//! `trail-stream: 12 s behind, 1,234 events/s, 56 commits, 1,234,567 rows`. Files that are followed are
//! behind by bytes.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use unicode_segmentation::UnicodeSegmentation;

use super::monitor::Monitor;
use super::progress::{Part, fit, how_far};
use super::report::{bytes, count, counted, long_time};
use crate::source::{Lag, Progress};
use crate::stats::Stats;

/// The distance of a source from its newest data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Behind {
    Bytes(u64),
    Time(Duration),
}

/// The rate of events over the last seconds: that of a whole month would never move.
#[derive(Debug, Default)]
pub(super) struct Rate {
    since: Option<(Instant, u64)>,
    per_second: u64,
}

impl Rate {
    /// Takes note of the events so far; returns those of a second.
    pub(super) fn update(&mut self, events: u64, now: Instant) -> u64 {
        let (begun, before) = *self.since.get_or_insert((now, events));
        let time = now.duration_since(begun);
        if time >= RATE_SPAN {
            let new = events.saturating_sub(before);
            self.per_second = (new as f64 / time.as_secs_f64()) as u64;
            self.since = Some((now, events));
        }
        self.per_second
    }
}

/// Returns the line for the run of `monitor`, which has gone on for so long.
pub(super) fn text(monitor: &Monitor, elapsed: Duration, rate: &mut Rate) -> String {
    let stats = monitor.stats();
    let events = stats.records();
    let per_second = rate.update(events, Instant::now());
    let behind = behind(&monitor.progress());
    let committed = monitor
        .lake()
        .map(|lake| (lake.summary.commits, lake.summary.rows));
    fit(parts(stats, &behind, elapsed, (per_second, committed)))
}

/// Returns the parts of the line; of a run over objects alone, those of [`how_far`] and its commits.
fn parts(
    stats: &Stats,
    behind: &[(String, Behind)],
    elapsed: Duration,
    (per_second, committed): (u64, Option<(u64, u64)>),
) -> Vec<Part> {
    let commits = |commits| counted(commits, "commit");
    if behind.is_empty() {
        let mut parts = how_far(stats, elapsed);
        let at = parts.len() - usize::from(stats.retrying().is_some());
        if let Some((number, _)) = committed {
            parts.insert(at, (1, commits(number)));
        }
        return parts;
    }
    let mut parts: Vec<Part> = sources(behind);
    parts.push((1, format!("{} events/s", count(per_second))));
    match committed {
        Some((number, rows)) => {
            parts.push((2, commits(number)));
            parts.push((0, counted(rows, "row")));
        }
        None => parts.push((0, counted(stats.events.load(Relaxed), "event"))),
    }
    parts.extend(stats.retrying().map(|text| (0, text)));
    parts
}

/// Returns `trail-stream: 12 s behind` for each source; those that are the least behind leave a full
/// line first.
fn sources(behind: &[(String, Behind)]) -> Vec<Part> {
    let mut by_lag: Vec<&(String, Behind)> = behind.iter().collect();
    by_lag.sort_by_key(|(_, lag)| std::cmp::Reverse(*lag));
    let parts = by_lag.iter().enumerate().map(|(rank, (name, lag))| {
        let priority = match rank {
            0 => 0,
            _ => u8::try_from(rank + 2).unwrap_or(u8::MAX),
        };
        let lag = match lag {
            Behind::Bytes(number) => bytes(*number),
            Behind::Time(lag) => long_time(lag.as_secs()),
        };
        (priority, format!("{}: {lag} behind", shortened(name)))
    });
    parts.collect()
}

/// Returns the greatest lag of each source, by its name.
fn behind(progress: &Progress) -> Vec<(String, Behind)> {
    let mut behind = BTreeMap::<&str, Behind>::new();
    for (partition, lag) in &progress.behind {
        let (name, lag) = match lag {
            Lag::Time(time) => (source_name(partition), Behind::Time(*time)),
            Lag::Bytes(number) => ("followed files", Behind::Bytes(*number)),
            Lag::Objects(_) | Lag::Payloads(_) => continue,
        };
        let greatest = behind.entry(name).or_insert(lag);
        *greatest = lag.max(*greatest);
    }
    let named = behind.into_iter();
    named.map(|(name, lag)| (name.to_owned(), lag)).collect()
}

/// Returns `trail-stream` of `kinesis://trail-stream/shardId-0`.
fn source_name(partition: &str) -> &str {
    let name = partition.split_once("://").map_or(partition, |(_, it)| it);
    name.rsplit_once('/').map_or(name, |(source, _)| source)
}

fn shortened(name: &str) -> String {
    let mut characters = name.graphemes(true);
    let start: String = characters.by_ref().take(LONGEST_NAME).collect();
    match characters.next() {
        Some(_) => format!("{start}..."),
        None => start,
    }
}

/// The time that a rate is taken over.
const RATE_SPAN: Duration = Duration::from_secs(2);

/// Characters of a source's name that are shown.
const LONGEST_NAME: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::report::tests::partly_read;

    fn line(partitions: &[(&str, u64)], committed: Option<(u64, u64)>) -> String {
        let lags = partitions.iter().map(|(name, seconds)| {
            let lag = Lag::Time(Duration::from_secs(*seconds));
            ((*name).to_owned(), lag)
        });
        let progress = Progress {
            behind: lags.collect(),
            retrying: None,
        };
        let numbers = (1234, committed);
        let elapsed = Duration::from_secs(60);
        fit(parts(&partly_read(), &behind(&progress), elapsed, numbers))
    }

    #[test]
    fn a_live_source_is_as_far_behind_as_its_slowest_partition() {
        let shards = [
            ("kinesis://trail-stream/shardId-0", 2),
            ("kinesis://trail-stream/shardId-1", 12),
        ];
        assert_eq!(
            line(&shards, Some((56, 1_234_567))),
            "trail-stream: 12 s behind, 1,234 events/s, 56 commits, 1,234,567 rows"
        );
        assert_eq!(
            line(&shards, None),
            "trail-stream: 12 s behind, 1,234 events/s, 180,000 events"
        );
    }

    #[test]
    fn of_many_sources_those_furthest_behind_are_shown() {
        let many = [
            ("kinesis://first/shardId-0", 5),
            ("kinesis://second/shardId-0", 4_000),
            ("logs://a-group-with-a-rather-long-name/stream", 60),
        ];
        let text = line(&many, Some((1, 1)));
        assert_eq!(
            text,
            "second: 1 h 6 min behind, 1,234 events/s, 1 commit, 1 row"
        );
        assert_eq!(
            line(&many[..2], Some((1, 1))),
            "second: 1 h 6 min behind, first: 5 s behind, 1,234 events/s, 1 commit, 1 row"
        );
    }

    #[test]
    fn followed_files_are_behind_by_bytes() {
        let behind = behind(&Progress {
            behind: [("follow://".to_owned(), Lag::Bytes(3 << 20))].into(),
            retrying: None,
        });
        let numbers = (1234, Some((56, 1_234_567)));
        assert_eq!(
            fit(parts(
                &partly_read(),
                &behind,
                Duration::from_secs(60),
                numbers
            )),
            "followed files: 3.0 MiB behind, 1,234 events/s, 56 commits, 1,234,567 rows"
        );
    }

    #[test]
    fn of_objects_the_files_are_shown_and_the_commits() {
        assert_eq!(
            line(&[], Some((3, 100))),
            "120 of 2,000+ files, 35 of 600 MiB+, 597 KiB/s, 180,000 events, 3 commits"
        );
    }

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let (mut rate, start) = (Rate::default(), Instant::now());
        assert_eq!(rate.update(1_000, start), 0);
        assert_eq!(rate.update(1_500, start + Duration::from_secs(1)), 0);
        assert_eq!(rate.update(3_000, start + Duration::from_secs(2)), 1_000);
        assert_eq!(rate.update(3_000, start + Duration::from_secs(5)), 0);
    }
}
