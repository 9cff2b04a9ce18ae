//! One execution over an input: its counters, its receivers of rejects, its stop token.
//!
//! A query, a scan and a run of an ingest are an execution each. A table or a session outlives its
//! executions and shares none of this between them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use tokio_util::sync::CancellationToken;

use crate::reject::{Reject, RejectSink};
use crate::stats::Stats;

/// The state of one execution, shared by everything that works on it.
#[derive(Default)]
pub struct Execution {
    /// Counters of what was read.
    pub stats: Stats,
    stop: CancellationToken,
    reject_sinks: Vec<Box<dyn RejectSink>>,
    has_scanned: AtomicBool,
}

impl Execution {
    /// An execution that stops when `stop` is cancelled.
    pub fn new(stop: CancellationToken) -> Self {
        Self {
            stop,
            ..Self::default()
        }
    }

    /// Adds a receiver of rejects.
    #[must_use]
    pub fn with_reject_sink(mut self, sink: impl RejectSink + 'static) -> Self {
        self.reject_sinks.push(Box::new(sink));
        self
    }

    /// The token that stops it: sources hand out nothing more, what is in flight is finished.
    pub fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Counts a reject and hands it to the receivers.
    pub fn reject(&self, reject: &Reject<'_>) {
        self.stats.count_reject(reject.reason);
        for sink in &self.reject_sinks {
            sink.reject(reject);
        }
    }

    /// Returns this execution for the first scan of it, and for each further one an execution whose
    /// counts are its own: a query that scans a table twice still counts and reports once.
    #[must_use]
    pub fn for_scan(self: &Arc<Self>) -> Arc<Self> {
        match self.has_scanned.swap(true, Relaxed) {
            false => Arc::clone(self),
            true => Arc::new(Self::new(self.stop.clone())),
        }
    }
}

impl std::fmt::Debug for Execution {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Execution")
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}
