//! Sources that tasks of their own read, a partition each: what all live sources share.
//!
//! ```text
//! Feed::run ── a task a partition ──> Outlet ──┐  bounded by bytes
//!           ── a task a partition ──> Outlet ──┼──> next() ──> pipeline
//!           ── ...                             │      └ the checkpoint moves here, and not before
//!                                              └──> lag and retries, for people and metrics
//! ```
//!
//! A feed reads ahead until [`READ_AHEAD_BYTES`] wait to be handed out. So a consumer that is slow
//! slows the reading, and a checkpoint never covers what still waits.

mod address;
mod attempts;
mod since;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::runtime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::task::AbortOnDropHandle;

use super::{Boundedness, Lag, OpenContext, Progress, Reading, Retry, Source};
use crate::checkpoint::{Checkpoint, PartitionId, Position};
use crate::error::{Error, Result};
use crate::execution::Execution;
use crate::payload::{Body, Payload};

pub(super) use address::Address;
pub(super) use attempts::Attempts;
pub(super) use since::Since;
pub use since::parse_moment;

/// The reading side of a live source.
#[async_trait]
pub(super) trait Feed: Send {
    /// Reads until the end of a bounded reading, for ever otherwise, and hands all of it to `outlet`.
    ///
    /// # Errors
    /// The error that ends the source. `Unavailable` ones have been retried, by [`Attempts`].
    async fn run(self: Box<Self>, outlet: Outlet) -> Result<()>;
}

/// A feed as a source.
pub(super) struct Live {
    feed: Option<Box<dyn Feed>>,
    outlet: Option<Outlet>,
    shared: Arc<Shared>,
    handed: mpsc::Receiver<Handed>,
    work: Option<AbortOnDropHandle<Result<()>>>,
    checkpoint: Checkpoint,
}

/// The state that tasks and the source share.
struct Shared {
    reading: Reading,
    execution: Arc<Execution>,
    read_ahead: Arc<Semaphore>,
    /// The number of the source in the run.
    part: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    behind: BTreeMap<PartitionId, Lag>,
    retrying: BTreeMap<PartitionId, Retry>,
}

/// A piece of a partition on its way to the pipeline.
struct Handed {
    /// The partition and the place in it where the piece ends; `None` of what cannot be read again.
    place: Option<(Arc<str>, Position)>,
    /// `None` where the position alone has moved.
    payload: Option<Payload>,
    /// Held until it is handed out.
    _room: Option<OwnedSemaphorePermit>,
}

/// The way of a task's data to the pipeline.
#[derive(Clone)]
pub(super) struct Outlet {
    shared: Arc<Shared>,
    hand: mpsc::Sender<Handed>,
}

/// Bytes that a task may read before they are there to be counted.
pub(super) struct Room {
    left: OwnedSemaphorePermit,
}

impl Live {
    /// A source of what `feed` reads. Nothing runs before the first call of [`Source::next`].
    pub(super) fn new(feed: Box<dyn Feed>, context: &OpenContext) -> Self {
        let (hand, handed) = mpsc::channel(HANDED_AHEAD);
        let shared = Arc::new(Shared {
            reading: context.reading,
            execution: Arc::clone(&context.execution),
            read_ahead: Arc::new(Semaphore::new(READ_AHEAD_BYTES / UNIT_BYTES)),
            part: context.execution.stats.add_part(),
            state: Mutex::default(),
        });
        Self {
            feed: Some(feed),
            outlet: Some(Outlet {
                shared: Arc::clone(&shared),
                hand,
            }),
            shared,
            handed,
            work: None,
            checkpoint: context.from.clone().unwrap_or_default(),
        }
    }
}

#[async_trait]
impl Source for Live {
    fn boundedness(&self) -> Boundedness {
        self.shared.reading.boundedness()
    }

    async fn next(&mut self) -> Result<Option<Payload>> {
        if let (Some(feed), Some(outlet)) = (self.feed.take(), self.outlet.take()) {
            let work = runtime::Handle::current().spawn(feed.run(outlet));
            self.work = Some(AbortOnDropHandle::new(work));
            // There is no total; the line of progress is not to wait for one.
            let stats = &self.shared.execution.stats;
            stats
                .listing_done
                .store(true, std::sync::atomic::Ordering::Relaxed);
        }
        while let Some(handed) = self.handed.recv().await {
            if let Some((partition, position)) = handed.place {
                self.checkpoint.advance(&partition, position)?;
            }
            if let Some(payload) = handed.payload {
                return Ok(Some(payload));
            }
        }
        // Everything was handed out, and all tasks have ended. Kept until then: this call may be
        // dropped while it waits.
        let Some(work) = &mut self.work else {
            return Ok(None);
        };
        let ended = work.await;
        self.work = None;
        match ended {
            Ok(ended) => ended.map(|()| None),
            Err(error) => Err(Error::bug(format!("a task that reads stopped: {error}"))),
        }
    }

    fn checkpoint(&self) -> Checkpoint {
        self.checkpoint.clone()
    }

    fn progress(&self) -> Progress {
        let state = self.shared.state();
        Progress {
            behind: state.behind.clone(),
            retrying: state.retrying.values().next().cloned(),
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.execution.stats.remove_part(self.part);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outlet {
    /// Waits until about so many bytes may be read. What is read may turn out to be more: the room is
    /// for keeping memory bounded, not for counting it.
    pub(super) async fn room(&self, bytes: usize) -> Room {
        let units = bytes.clamp(UNIT_BYTES, READ_AHEAD_BYTES) / UNIT_BYTES;
        let units = u32::try_from(units).expect("the most is some thousands");
        let permits = Arc::clone(&self.shared.read_ahead).acquire_many_owned(units);
        Room {
            left: permits.await.expect("the semaphore is never closed"),
        }
    }

    /// Hands on a payload that ends at `position`. Returns `false` once nobody takes it any more.
    pub(super) async fn payload(
        &self,
        partition: &Arc<str>,
        position: Position,
        payload: Payload,
        room: &mut Room,
    ) -> bool {
        let place = Some((Arc::clone(partition), position));
        self.hand_payload(place, payload, room).await
    }

    /// Hands on a payload that cannot be read again. Returns `false` once nobody takes it any more.
    pub(super) async fn passing(&self, payload: Payload, room: &mut Room) -> bool {
        self.hand_payload(None, payload, room).await
    }

    async fn hand_payload(
        &self,
        place: Option<(Arc<str>, Position)>,
        payload: Payload,
        room: &mut Room,
    ) -> bool {
        let bytes = match &payload.body {
            Body::Whole(bytes) => bytes.len(),
            Body::Stream(_) => 0,
        };
        let stats = &self.shared.execution.stats;
        stats
            .bytes_read
            .fetch_add(bytes as u64, std::sync::atomic::Ordering::Relaxed);
        let units = (bytes / UNIT_BYTES).min(room.left.num_permits());
        self.hand(Handed {
            place,
            payload: Some(payload),
            _room: room.left.split(units),
        })
        .await
    }

    /// Moves a partition on without a payload. Returns `false` once nobody takes it any more.
    pub(super) async fn advance(&self, partition: &Arc<str>, position: Position) -> bool {
        self.hand(Handed {
            place: Some((Arc::clone(partition), position)),
            payload: None,
            _room: None,
        })
        .await
    }

    async fn hand(&self, handed: Handed) -> bool {
        self.hand.send(handed).await.is_ok()
    }

    /// Tells how far a partition is behind; `None` once it is read to its end.
    pub(super) fn behind(&self, partition: &str, lag: Option<Lag>) {
        let mut state = self.shared.state();
        match lag {
            Some(lag) => state.behind.insert(partition.to_owned(), lag),
            None => state.behind.remove(partition),
        };
    }

    /// The attempts at something of a partition.
    pub(super) fn attempts(&self, partition: &str) -> Attempts {
        Attempts::new(self.clone(), partition.to_owned())
    }

    /// Returns whether anybody takes what is handed on.
    pub(super) fn is_wanted(&self) -> bool {
        !self.hand.is_closed()
    }

    pub(super) fn execution(&self) -> &Arc<Execution> {
        &self.shared.execution
    }

    pub(super) fn reading(&self) -> Reading {
        self.shared.reading
    }

    /// Tells of a failure that is being retried; `None` once it succeeds.
    fn retrying(&self, partition: &str, retry: Option<Retry>) {
        let mut state = self.shared.state();
        match retry {
            Some(retry) => state.retrying.insert(partition.to_owned(), retry),
            None => state.retrying.remove(partition),
        };
        let first = state.retrying.values().next();
        let told = first.map(|it| format!("{}, attempt {} failed", it.message, it.attempts));
        let shared = &self.shared;
        shared.execution.stats.set_retrying(shared.part, told);
    }
}

/// Bytes as they came that may wait to be handed out.
pub(super) const READ_AHEAD_BYTES: usize = 32 << 20;
/// The unit that they are counted in.
const UNIT_BYTES: usize = 1024;
/// Pieces that may wait to be handed out.
const HANDED_AHEAD: usize = 1024;
