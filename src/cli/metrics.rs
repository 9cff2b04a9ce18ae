//! The metrics of a long run, in the text format of OpenMetrics, which Prometheus reads.
//!
//! Names are `auroratrail_<stage>_<noun>_<unit>`, and `_total` after those that only grow. Labels are
//! partitions, kinds and reasons: nothing of events.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, text::encode};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::monitor::{LakeState, Monitor};
use crate::source::{Lag, Progress};
use crate::stats::Stats;

/// The type of the text.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Returns all metrics as they are now.
///
/// # Errors
/// Only if a string cannot grow.
pub(super) fn text(monitor: &Arc<Monitor>) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("auroratrail");
    registry.register_collector(Box::new(Now(Arc::clone(monitor))));
    if monitor.lake().is_some() {
        registry.register(
            "lake_commit_duration_seconds",
            "Time from the end of an epoch to its version in the lake",
            monitor.commit_seconds().clone(),
        );
    }
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

/// The state of a run, as metrics.
#[derive(Debug)]
struct Now(Arc<Monitor>);

impl Collector for Now {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Self(monitor) = self;
        let mut metrics = Metrics(encoder);
        counts(&mut metrics, monitor.stats())?;
        source(&mut metrics, monitor.stats(), &monitor.progress())?;
        if let Some(lake) = monitor.lake() {
            lake_state(&mut metrics, &lake)?;
        }
        process(&mut metrics, monitor)
    }
}

/// A writer of metrics.
struct Metrics<'a>(DescriptorEncoder<'a>);

impl Metrics<'_> {
    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let mut metric = self
            .0
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, _, u64>(&value, None)
    }

    /// Writes counters that one label tells apart.
    fn counters<'v>(
        &mut self,
        (name, help): (&str, &str),
        label: &str,
        values: impl IntoIterator<Item = (&'v str, u64)>,
    ) -> fmt::Result {
        let mut metric = self
            .0
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        for (kind, value) in values {
            let labels = [(label, kind)];
            let mut one = metric.encode_family(&labels)?;
            one.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
        }
        Ok(())
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        let mut metric = self
            .0
            .encode_descriptor(name, help, None, MetricType::Gauge)?;
        metric.encode_gauge(&value)
    }

    /// Writes gauges that one label tells apart.
    fn gauges<'v>(
        &mut self,
        (name, help): (&str, &str),
        label: &str,
        values: impl IntoIterator<Item = (&'v str, f64)>,
    ) -> fmt::Result {
        let mut metric = self
            .0
            .encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (kind, value) in values {
            let labels = [(label, kind)];
            metric.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }
}

/// A counter of [`Stats`] as a metric.
struct Counter {
    name: &'static str,
    help: &'static str,
    of: fn(&Stats) -> &AtomicU64,
}

const fn counter(name: &'static str, help: &'static str, of: fn(&Stats) -> &AtomicU64) -> Counter {
    Counter { name, help, of }
}

/// Counters without a label.
const COUNTERS: &[Counter] = &[
    counter(
        "source_listed_objects",
        "Objects that were listed and may hold events.",
        |it| &it.objects_listed,
    ),
    counter(
        "source_listed_bytes",
        "Bytes of listed objects, as stored.",
        |it| &it.bytes_listed,
    ),
    counter(
        "source_read_objects",
        "Objects taken up for reading.",
        |it| &it.objects_read,
    ),
    counter(
        "source_done_objects",
        "Objects that earlier runs have read.",
        |it| &it.objects_done_before,
    ),
    counter(
        "source_cached_objects",
        "Objects not read, as their rows are known.",
        |it| &it.objects_cached,
    ),
    counter(
        "source_pruned_objects",
        "Objects left out by their keys.",
        |it| &it.objects_pruned,
    ),
    counter(
        "source_pruned_folders",
        "Folders left out by their keys.",
        |it| &it.folders_pruned,
    ),
    counter(
        "source_hidden_objects",
        "Files and folders left out by their names.",
        |it| &it.hidden_left_out,
    ),
    counter("source_read_bytes", "Bytes read, as stored.", |it| {
        &it.bytes_read
    }),
    counter(
        "source_failures",
        "Requests and reads that failed and were repeated.",
        |it| &it.source_failures,
    ),
    counter(
        "envelope_inflated_bytes",
        "Bytes after decompression.",
        |it| &it.bytes_inflated,
    ),
    counter(
        "envelope_damaged_objects",
        "Objects with damage in them.",
        |it| &it.damaged_objects,
    ),
    counter(
        "envelope_empty_objects",
        "Objects without a byte or a value in them.",
        |it| &it.empty_objects,
    ),
    counter(
        "events_duplicate_records",
        "Events left out while decoding, as they had been seen.",
        |it| &it.duplicates,
    ),
    counter(
        "events_hidden_values",
        "Values hidden because they look like secrets.",
        |it| &it.redacted,
    ),
];

fn counts(metrics: &mut Metrics<'_>, stats: &Stats) -> fmt::Result {
    for Counter { name, help, of } in COUNTERS {
        metrics.counter(name, help, of(stats).load(Relaxed))?;
    }
    let kinds = [
        ("event", &stats.events),
        ("insight", &stats.insights),
        ("aggregated", &stats.aggregated),
        ("salvaged", &stats.salvaged),
    ];
    metrics.counters(
        (
            "envelope_records",
            "CloudTrail records, those from damaged objects as salvaged.",
        ),
        "kind",
        kinds.map(|(kind, count)| (kind, count.load(Relaxed))),
    )?;
    metrics.counters(
        (
            "envelope_other_records",
            "Pieces of input that are fine and not CloudTrail.",
        ),
        "kind",
        stats.not_cloudtrail_by_kind(),
    )?;
    metrics.counters(
        (
            "envelope_rejects",
            "Pieces of input that should have been events.",
        ),
        "reason",
        stats.rejects_by_reason(),
    )?;
    let mismatches = stats.type_mismatches();
    metrics.counters(
        (
            "events_mismatched_values",
            "Values that did not fit the type of their column.",
        ),
        "column",
        mismatches
            .iter()
            .map(|(column, count, _)| (*column, *count)),
    )
}

fn source(metrics: &mut Metrics<'_>, stats: &Stats, progress: &Progress) -> fmt::Result {
    let is_retrying = stats.retrying().is_some();
    metrics.gauge(
        "source_retrying",
        "1 while a failure of a source or of the lake is being retried, else 0.",
        f64::from(u8::from(is_retrying)),
    )?;
    let retry = progress.retrying.as_ref().filter(|_| is_retrying);
    metrics.gauge(
        "source_retry_attempts",
        "Attempts that have failed since the last success.",
        retry.map_or(0.0, |retry| f64::from(retry.attempts)),
    )?;
    type Measure = fn(&Lag) -> Option<f64>;
    let lags: [(&str, &str, Measure); 4] = [
        (
            "source_lag_seconds",
            "Age of what is read next.",
            |lag| match lag {
                Lag::Time(time) => Some(time.as_secs_f64()),
                _ => None,
            },
        ),
        (
            "source_waiting_objects",
            "Objects listed and not handed on.",
            |lag| match lag {
                Lag::Objects(count) => Some(*count as f64),
                _ => None,
            },
        ),
        (
            "source_waiting_payloads",
            "Payloads made and not handed on.",
            |lag| match lag {
                Lag::Payloads(count) => Some(*count as f64),
                _ => None,
            },
        ),
        (
            "source_waiting_bytes",
            "Bytes written to files that are followed, and not handed on.",
            |lag| match lag {
                Lag::Bytes(count) => Some(*count as f64),
                _ => None,
            },
        ),
    ];
    for (name, help, measure) in lags {
        let partitions = progress.behind.iter();
        let values = partitions.filter_map(|(name, lag)| Some((&**name, measure(lag)?)));
        metrics.gauges((name, help), "partition", values)?;
    }
    Ok(())
}

fn lake_state(metrics: &mut Metrics<'_>, lake: &LakeState) -> fmt::Result {
    let it = &lake.summary;
    let counters = [
        ("lake_commits", "Versions made.", it.commits),
        ("lake_committed_rows", "Rows committed.", it.rows),
        ("lake_committed_files", "Data files committed.", it.files),
        (
            "lake_committed_bytes",
            "Bytes of data files committed.",
            it.bytes,
        ),
        (
            "lake_duplicate_rows",
            "Rows left out, as the lake or this run had the event.",
            it.duplicates,
        ),
        (
            "lake_unwanted_rows",
            "Rows left out by the condition.",
            it.left_out,
        ),
        (
            "lake_untimed_rows",
            "Rows committed without a time of their own.",
            it.without_time,
        ),
        (
            "lake_dropped_epochs",
            "Epochs given up, as another writer had read the same.",
            it.given_up,
        ),
    ];
    for (name, help, value) in counters {
        metrics.counter(name, help, value)?;
    }
    let version = "The version last made or found.";
    metrics.gauge("lake_version", version, it.version as f64)?;
    match lake.committed {
        Some(time) => metrics.gauge(
            "lake_last_commit_age_seconds",
            "Time since the last commit of this run.",
            time.elapsed().as_secs_f64(),
        ),
        None => Ok(()),
    }
}

fn process(metrics: &mut Metrics<'_>, monitor: &Monitor) -> fmt::Result {
    if let Some(bytes) = resident_bytes() {
        let help = "Memory that is held.";
        metrics.gauge("process_resident_memory_bytes", help, bytes as f64)?;
    }
    let started = monitor.started().duration_since(UNIX_EPOCH);
    metrics.gauge(
        "process_start_time_seconds",
        "Start of the run, since 1970 UTC.",
        started.unwrap_or(Duration::ZERO).as_secs_f64(),
    )?;
    let build = ("build_info", "The version of the program.");
    metrics.gauges(build, "version", [(env!("CARGO_PKG_VERSION"), 1.0)])
}

/// Returns the memory of this process that is held, where the system tells.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|it| it.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execution::Execution;
    use crate::pipeline::ProgressWatch;

    #[test]
    fn counts_are_read_as_the_text_is_asked_for() {
        let execution = Arc::new(Execution::default());
        let monitor = Monitor::new(&execution, ProgressWatch::default());
        let monitor = Arc::new(monitor.with_lake());
        execution.stats.events.store(42, Relaxed);
        execution.stats.count_reject("truncated gzip");
        let text = text(&monitor).unwrap();
        for line in [
            "auroratrail_envelope_records_total{kind=\"event\"} 42",
            "auroratrail_envelope_rejects_total{reason=\"truncated gzip\"} 1",
            "auroratrail_lake_commits_total 0",
            "auroratrail_lake_commit_duration_seconds_count 0",
            "auroratrail_source_retrying 0.0",
            "# TYPE auroratrail_source_lag_seconds gauge",
            "# EOF",
        ] {
            assert!(text.lines().any(|it| it == line), "{line}\n{text}");
        }
        execution.stats.events.store(43, Relaxed);
        let later = super::text(&monitor).unwrap();
        assert!(later.contains("kind=\"event\"} 43\n"), "{later}");
    }
}
