//! The gate between a source and the threads: hands out payloads, closes epochs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt;
use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::{Barrier, End};
use crate::error::{Error, Result};
use crate::execution::Execution;
use crate::payload::Payload;
use crate::source::{Boundedness, Progress, Source};

/// Takes a barrier to the consumer; `false` if there is none any more.
pub(super) type DeliverBarrier = Box<dyn FnMut(Barrier) -> bool + Send>;

/// The gate of one run.
pub(super) struct Gate {
    execution: Arc<Execution>,
    feed: Mutex<Feed>,
    /// The source's progress, to about a second while a thread waits for the source.
    progress: Mutex<Progress>,
    /// Set while threads are to come to the barrier, and from a stop on.
    raised: AtomicBool,
    /// Wakes the thread that waits for the source.
    wake: Notify,
    /// Set when no thread's batches are wanted any more.
    closed: AtomicBool,
    epochs: Option<Epochs>,
}

/// The source, held by the thread that waits for its next payload.
struct Feed {
    source: Box<dyn Source>,
    end: Option<End>,
    /// The time at which the source's progress is due to be asked for.
    progress_at: Instant,
}

struct Epochs {
    state: Mutex<Epoch>,
    /// Signals that a barrier was passed.
    passed: Condvar,
    /// Bytes of records handed down in this epoch.
    bytes: AtomicU64,
    limit_bytes: u64,
}

/// The epoch that is open.
struct Epoch {
    number: u64,
    threads: usize,
    arrived: usize,
    /// Of these, the threads that wait in the midst of a payload.
    in_midst: usize,
    /// Payloads in whose midst threads wait, with the items handed down.
    partial: BTreeMap<String, u64>,
    /// Payloads whose reading failed in their midst: to be read again by a later run.
    failed: BTreeMap<String, u64>,
    is_over: bool,
    /// Dropped at the end: the consumer's channel closes with the last sender.
    deliver: Option<DeliverBarrier>,
}

/// The place of a thread that comes to the barrier.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    /// Between two payloads.
    Between,
    /// In the midst of a payload; if that can be resumed, its key and the items of it that were
    /// handed down.
    Midst(Option<(&'a str, u64)>),
}

/// The next thing for a thread to do.
pub(super) enum Next {
    Payload(Payload),
    /// Hand down everything and come to [`Gate::arrive`].
    Barrier,
    /// The run is over for all threads, with the error for one of them.
    End(Option<Error>),
}

impl Gate {
    pub(super) fn new(source: Box<dyn Source>, execution: Arc<Execution>) -> Self {
        Self {
            execution,
            feed: Mutex::new(Feed {
                source,
                end: None,
                progress_at: Instant::now(),
            }),
            progress: Mutex::default(),
            raised: AtomicBool::new(false),
            wake: Notify::new(),
            closed: AtomicBool::new(false),
            epochs: None,
        }
    }

    /// Adds epochs that `threads` threads close together.
    pub(super) fn with_epochs(
        mut self,
        threads: usize,
        limit_bytes: u64,
        deliver: DeliverBarrier,
    ) -> Self {
        self.epochs = Some(Epochs {
            state: Mutex::new(Epoch {
                number: 0,
                threads,
                arrived: 0,
                in_midst: 0,
                partial: BTreeMap::new(),
                failed: BTreeMap::new(),
                is_over: false,
                deliver: Some(deliver),
            }),
            passed: Condvar::new(),
            bytes: AtomicU64::new(0),
            limit_bytes,
        });
        self
    }

    pub(super) fn execution(&self) -> &Arc<Execution> {
        &self.execution
    }

    pub(super) fn has_epochs(&self) -> bool {
        self.epochs.is_some()
    }

    /// Calls the threads to the barrier; without epochs, to their end.
    pub(super) fn raise(&self) {
        self.raised.store(true, Relaxed);
        // Kept for the next one to wait, if none does now.
        self.wake.notify_one();
    }

    /// Ends a run whose batches are not wanted any more.
    pub(super) fn close(&self) {
        self.closed.store(true, Relaxed);
        self.raise();
    }

    /// Returns whether threads are to come to the barrier. Cheap enough for every record.
    #[inline]
    pub(super) fn is_raised(&self) -> bool {
        self.raised.load(Relaxed)
    }

    /// Counts bytes of records handed down, which end an epoch when they are enough.
    pub(super) fn count_bytes(&self, count: u64) {
        if let Some(epochs) = &self.epochs
            && epochs.bytes.fetch_add(count, Relaxed) + count >= epochs.limit_bytes
        {
            self.raise();
        }
    }

    /// Waits for something to do.
    pub(super) fn next(&self) -> Next {
        let mut feed = lock(&self.feed);
        loop {
            if self.is_raised() {
                return match self.has_epochs() {
                    true => Next::Barrier,
                    false if self.closed.load(Relaxed) => Next::End(None),
                    false => Next::End(Some(Error::stopped())),
                };
            }
            match feed.end.take() {
                Some(end) if self.has_epochs() => {
                    // Not raised: the others first come to the ends of their payloads.
                    feed.end = Some(end);
                    return Next::Barrier;
                }
                Some(End::Failed(error)) => {
                    feed.end = Some(End::Exhausted);
                    return Next::End(Some(error));
                }
                Some(end) => {
                    feed.end = Some(end);
                    return Next::End(None);
                }
                None => {}
            }
            // Mostly it is there already: no need to put the thread to sleep.
            let outcome = match feed.source.next().now_or_never() {
                Some(outcome) => Some(outcome),
                None => Handle::current().block_on(self.wait(&mut feed)),
            };
            self.ask_progress(&mut feed);
            match outcome {
                Some(Ok(Some(payload))) => return Next::Payload(payload),
                Some(Ok(None)) => feed.end = Some(End::Exhausted),
                Some(Err(error)) => feed.end = Some(End::Failed(error)),
                None => {}
            }
        }
    }

    /// Waits for the source; `None` if the thread is called away, or progress is due to be asked for.
    /// Only a source without an end keeps a thread waiting for so long that somebody asks.
    async fn wait(&self, feed: &mut Feed) -> Option<Result<Option<Payload>>> {
        let is_endless = feed.source.boundedness() == Boundedness::Unbounded;
        let due = feed.progress_at.max(Instant::now() + SHORTEST_WAIT);
        tokio::select! {
            biased;
            () = self.wake.notified() => None,
            outcome = feed.source.next() => Some(outcome),
            () = tokio::time::sleep_until(due.into()), if is_endless => None,
        }
    }

    fn ask_progress(&self, feed: &mut Feed) {
        let now = Instant::now();
        if now < feed.progress_at {
            return;
        }
        feed.progress_at = now + PROGRESS_EVERY;
        *lock(&self.progress) = feed.source.progress();
    }

    /// Returns the source's progress, to about a second while it is waited for.
    pub(super) fn progress(&self) -> Progress {
        lock(&self.progress).clone()
    }

    /// Notes that the reading of a payload failed after so many items: no checkpoint of this run
    /// covers the rest of it.
    pub(super) fn fail_payload(&self, key: &str, items: u64) {
        if let Some(epochs) = &self.epochs {
            lock(&epochs.state).failed.insert(key.to_owned(), items);
        }
    }

    /// Waits at the barrier, having handed down everything, until all threads have come.
    /// Returns whether the run goes on.
    pub(super) fn arrive(&self, place: Place<'_>) -> bool {
        let Some(epochs) = &self.epochs else {
            return false;
        };
        let mut epoch = lock(&epochs.state);
        if epoch.is_over {
            return false;
        }
        if let Place::Midst(payload) = place {
            epoch.in_midst += 1;
            epoch
                .partial
                .extend(payload.map(|(key, items)| (key.to_owned(), items)));
        }
        epoch.arrived += 1;
        if epoch.arrived == epoch.threads {
            self.close_epoch(epochs, &mut epoch);
        } else {
            let number = epoch.number;
            while epoch.number == number && !epoch.is_over {
                epoch = epochs
                    .passed
                    .wait(epoch)
                    .unwrap_or_else(PoisonError::into_inner);
            }
        }
        !epoch.is_over
    }

    /// Takes a thread out, however it ends.
    pub(super) fn leave(&self) {
        let Some(epochs) = &self.epochs else {
            return;
        };
        let mut epoch = lock(&epochs.state);
        if !epoch.is_over {
            // The thread panicked, or its consumer is gone. What it held is lost, so no checkpoint
            // may cover it.
            self.end(epochs, &mut epoch);
        }
    }

    /// Closes the epoch: the checkpoint of the source, to the consumer.
    fn close_epoch(&self, epochs: &Epochs, epoch: &mut Epoch) {
        // Free at once: all threads are here.
        let mut feed = lock(&self.feed);
        let mut checkpoint = feed.source.checkpoint();
        for (key, items) in epoch.failed.iter().chain(&epoch.partial) {
            checkpoint.set_unfinished(key, *items);
        }
        epoch.partial.clear();
        let in_midst = std::mem::take(&mut epoch.in_midst);
        epoch.arrived = 0;
        let end = match self.execution.stop().is_cancelled() {
            // Even if the source is at its end, a thread is not.
            false if in_midst > 0 => None,
            true if in_midst > 0 => Some(End::Stopped),
            is_stopped => feed.end.take().or(is_stopped.then_some(End::Stopped)),
        };
        drop(feed);
        let is_last = end.is_some();
        let deliver = epoch.deliver.as_mut();
        let is_taken = deliver.is_some_and(|deliver| deliver(Barrier { checkpoint, end }));
        if is_last || !is_taken {
            return self.end(epochs, epoch);
        }
        epochs.bytes.store(0, Relaxed);
        self.raised.store(false, Relaxed);
        // A stop between the two lines above and its own raising must not be lost.
        if self.execution.stop().is_cancelled() {
            self.raise();
        }
        epoch.number += 1;
        epochs.passed.notify_all();
    }

    /// Ends the run for all threads.
    fn end(&self, epochs: &Epochs, epoch: &mut Epoch) {
        epoch.is_over = true;
        epoch.deliver = None;
        self.raise();
        epochs.passed.notify_all();
    }
}

/// The time after which a source's progress is asked for again.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// The shortest wait for the source before its progress is asked for again.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);

/// Locks, also after a panic elsewhere: each change is one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
