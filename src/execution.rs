//! One execution over an input: its counters, its receivers of rejects, its stop token.
//!
//! A query, a scan and a run of an ingest are an execution each. A table or a session outlives its
//! executions and shares none of this between them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::error::Error;
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
    ahead: Mutex<Option<Arc<Self>>>,
    notes: Mutex<Vec<String>>,
    suspects: Mutex<VecDeque<Arc<dyn Suspect>>>,
}

/// Something that was read and may be the cause of a failure that does not name it.
#[async_trait]
pub trait Suspect: Send + Sync {
    /// Looks at it again; returns what is wrong with it, if anything.
    async fn fault(&self) -> Option<Error>;
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

    /// Begins work that comes before this one and stops with it, with counts and rejects of its own. Those who
    /// show how far this execution is show that one until [`Execution::end_ahead`].
    pub fn begin_ahead(&self, rejects: impl RejectSink + 'static) -> Arc<Self> {
        let ahead = Arc::new(Self::new(self.stop.clone()).with_reject_sink(rejects));
        *lock(&self.ahead) = Some(Arc::clone(&ahead));
        ahead
    }

    /// Ends the work that came before this one.
    pub fn end_ahead(&self) {
        *lock(&self.ahead) = None;
    }

    /// Returns the work that is done before this one, now.
    pub fn ahead(&self) -> Option<Arc<Self>> {
        lock(&self.ahead).clone()
    }

    /// Notes something for the one who asked.
    pub fn note(&self, note: impl Into<String>) {
        let (note, mut notes) = (note.into(), lock(&self.notes));
        if !notes.contains(&note) {
            notes.push(note);
        }
    }

    /// Removes and returns the notes.
    pub fn take_notes(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.notes))
    }

    /// Remembers something that is read now, in place of the oldest of many.
    pub fn suspect(&self, suspect: Arc<dyn Suspect>) {
        let mut suspects = lock(&self.suspects);
        if suspects.len() == MOST_SUSPECTS {
            suspects.pop_front();
        }
        suspects.push_back(suspect);
    }

    /// Looks, from the newest, for what is wrong with something that was read; forgets all of it.
    pub async fn find_fault(&self) -> Option<Error> {
        let suspects = std::mem::take(&mut *lock(&self.suspects));
        for suspect in suspects.into_iter().rev() {
            if let Some(fault) = suspect.fault().await {
                return Some(fault);
            }
        }
        None
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

/// The most that is remembered as read: more than some hundred threads read at a time.
const MOST_SUSPECTS: usize = 256;

/// Locks, also after a panic elsewhere: each change is one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Execution {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Execution")
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}
