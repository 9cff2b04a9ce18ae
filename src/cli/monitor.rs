//! A long run as it is seen from outside: on the status line, in logs, by a monitoring system.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use clap::Args;
use prometheus_client::metrics::histogram::Histogram;

use super::logs::LogArguments;
use super::serve::{self, Address, Served};
use crate::error::{Error, Result};
use crate::execution::Execution;
use crate::lake::ingest::{EpochEnd, IngestSummary};
use crate::pipeline::ProgressWatch;
use crate::source::Progress;
use crate::stats::Stats;

/// The options of a long run for those who look after it.
#[derive(Debug, Args)]
pub(super) struct MonitorArguments {
    /// Serve /metrics (Prometheus), /health and /ready over HTTP, to all who reach the address:
    /// 127.0.0.1:9464; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<Address>,

    #[command(flatten)]
    pub(super) log: LogArguments,
}

/// The state of a run, read at any time from any thread.
#[derive(Debug)]
pub(super) struct Monitor {
    execution: Arc<Execution>,
    source: ProgressWatch,
    started: SystemTime,
    /// `None` for a run that keeps nothing.
    lake: Mutex<Option<LakeState>>,
    commit_seconds: Histogram,
    failure: Mutex<Option<String>>,
}

/// The commits of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct LakeState {
    /// The counts up to the last end of an epoch.
    pub(super) summary: IngestSummary,
    /// The time of the last commit.
    pub(super) committed: Option<Instant>,
}

impl MonitorArguments {
    /// Serves the state of `monitor`, if that is asked for, until the value is dropped.
    ///
    /// # Errors
    /// Config, if nobody can listen at the address.
    pub(super) async fn serve(&self, monitor: &Arc<Monitor>) -> Result<Option<Served>> {
        match &self.metrics {
            Some(address) => serve::serve(address, monitor).await.map(Some),
            None => Ok(None),
        }
    }
}

impl Monitor {
    /// The monitor of a run that counts in `execution`, with the progress of its source.
    pub(super) fn new(execution: &Arc<Execution>, source: ProgressWatch) -> Self {
        Self {
            execution: Arc::clone(execution),
            source,
            started: SystemTime::now(),
            lake: Mutex::default(),
            commit_seconds: Histogram::new(COMMIT_SECONDS),
            failure: Mutex::default(),
        }
    }

    /// Adds a lake that the run commits to.
    pub(super) fn with_lake(self) -> Self {
        *lock(&self.lake) = Some(LakeState::default());
        self
    }

    /// Notes the end of an epoch, and writes it to the log.
    pub(super) fn end_epoch(&self, end: &EpochEnd) {
        let before = {
            let mut lake = lock(&self.lake);
            let lake = lake.get_or_insert_default();
            if end.is_committed {
                lake.committed = Some(Instant::now());
                self.commit_seconds.observe(end.latency.as_secs_f64());
            }
            std::mem::replace(&mut lake.summary, end.summary.clone())
        };
        log_epoch(&before, end);
    }

    /// Notes the error that ended the run.
    pub(super) fn fail(&self, error: &Error) {
        *lock(&self.failure) = Some(error.to_string());
    }

    /// Returns the error that ended the run, in words.
    pub(super) fn failure(&self) -> Option<String> {
        lock(&self.failure).clone()
    }

    /// Returns the reason that the run is not in order, if there is one.
    pub(super) fn unready(&self) -> Option<String> {
        self.unready_at(Instant::now())
    }

    fn unready_at(&self, now: Instant) -> Option<String> {
        if let Some(failure) = self.failure() {
            return Some(failure);
        }
        let since = self.stats().retrying_since();
        let failing_for = since.map(|since| now.saturating_duration_since(since));
        if let Some(time) = failing_for.filter(|it| *it > PATIENCE) {
            let failure = self.stats().retrying().unwrap_or_default();
            return Some(format!("it has failed for {} s: {failure}", time.as_secs()));
        }
        (!self.has_read()).then(|| "nothing has been read yet".to_owned())
    }

    fn has_read(&self) -> bool {
        let stats = self.stats();
        let counters = [
            &stats.bytes_read,
            &stats.objects_read,
            &stats.objects_cached,
        ];
        let commits = self.lake().map_or(0, |lake| lake.summary.commits);
        // A stream on which nothing happens is read, too.
        counters.iter().any(|counter| counter.load(Relaxed) > 0)
            || commits > 0
            || !self.source.get().behind.is_empty()
    }

    /// The counters of what is read.
    pub(super) fn stats(&self) -> &Stats {
        &self.execution.stats
    }

    /// Returns the progress of the source.
    pub(super) fn progress(&self) -> Progress {
        self.source.get()
    }

    /// Returns the state of the lake, if there is one.
    pub(super) fn lake(&self) -> Option<LakeState> {
        lock(&self.lake).clone()
    }

    /// The times that commits took.
    pub(super) fn commit_seconds(&self) -> &Histogram {
        &self.commit_seconds
    }

    /// The time at which the run began.
    pub(super) fn started(&self) -> SystemTime {
        self.started
    }
}

fn log_epoch(before: &IngestSummary, end: &EpochEnd) {
    let IngestSummary {
        version,
        rows,
        files,
        duplicates,
        given_up,
        ..
    } = end.summary;
    if given_up > before.given_up {
        tracing::warn!(
            "another writer has read the same; its rows stand, those of this run are dropped"
        );
    }
    if !end.is_committed {
        tracing::debug!("nothing new to commit");
        return;
    }
    tracing::info!(
        version,
        rows = rows - before.rows,
        files = files - before.files,
        duplicates = duplicates - before.duplicates,
        seconds = end.latency.as_secs_f64(),
        "committed"
    );
}

/// Locks, also after a panic elsewhere: each change is one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The longest failure of a source that needs no look.
const PATIENCE: Duration = Duration::from_secs(60);

/// Upper ends of the ranges that times of commits are counted in, in seconds.
const COMMIT_SECONDS: [f64; 11] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::ProgressWatch;

    fn monitor() -> Monitor {
        Monitor::new(&Arc::default(), ProgressWatch::default()).with_lake()
    }

    fn end(commits: u64, rows: u64, is_committed: bool) -> EpochEnd {
        EpochEnd {
            summary: IngestSummary {
                commits,
                rows,
                ..IngestSummary::default()
            },
            is_committed,
            latency: Duration::from_millis(70),
        }
    }

    #[test]
    fn a_run_is_ready_once_something_was_read_and_until_it_fails() {
        let monitor = monitor();
        assert_eq!(monitor.unready().unwrap(), "nothing has been read yet");
        monitor.end_epoch(&end(0, 0, false));
        assert!(monitor.unready().is_some(), "an empty epoch is no success");
        monitor.end_epoch(&end(1, 5, true));
        assert_eq!(monitor.unready(), None);
        let failing = Some("throttled, attempt 1 failed".to_owned());
        monitor.stats().set_retrying(0, failing);
        assert_eq!(monitor.unready(), None, "it has not failed for long");
        monitor.fail(&Error::io("the disk is full"));
        assert_eq!(monitor.unready().unwrap(), "the disk is full");
    }

    #[test]
    fn a_source_that_fails_for_a_minute_is_not_ready_until_it_answers() {
        let monitor = monitor();
        monitor.stats().bytes_read.store(1, Relaxed);
        let fails = |attempt: u32| {
            let said = format!("Kinesis cannot be reached, attempt {attempt} failed");
            monitor.stats().set_retrying(0, Some(said));
        };
        fails(1);
        let begun = monitor.stats().retrying_since().unwrap();
        let after = |seconds: u64| monitor.unready_at(begun + Duration::from_secs(seconds));
        assert_eq!(after(60), None);
        assert_eq!(
            after(61).unwrap(),
            "it has failed for 61 s: Kinesis cannot be reached, attempt 1 failed"
        );
        // Further attempts are of the same failure.
        fails(2);
        assert_eq!(after(60), None);
        assert!(after(75).unwrap().ends_with("attempt 2 failed"));
        monitor.stats().set_retrying(0, None);
        assert_eq!(after(75), None);
        // Another failure has its own minute.
        fails(1);
        let begun = monitor.stats().retrying_since().unwrap();
        assert_eq!(monitor.unready_at(begun + Duration::from_secs(60)), None);
        assert!(
            monitor
                .unready_at(begun + Duration::from_secs(61))
                .is_some()
        );
    }

    #[test]
    fn reading_is_enough_to_be_ready() {
        let monitor = monitor();
        monitor.stats().bytes_read.store(1, Relaxed);
        assert_eq!(monitor.unready(), None);
    }
}
