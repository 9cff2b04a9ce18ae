//! Between what reads ahead and the threads that decode.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit};

use crate::payload::Payload;

/// Payloads at hand, first in, first out. Its length is bounded by the permits in it.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    hungry: Notify,
}

#[derive(Default)]
struct State {
    ready: VecDeque<Ready>,
    /// Reads that were begun and have not arrived.
    coming: usize,
    /// Threads that wait.
    waiting: usize,
    closed: bool,
}

/// A payload and its place in the queue.
pub(super) struct Ready {
    pub(super) payload: Payload,
    /// The last payload of a read holds the read's place.
    pub(super) place: Option<OwnedSemaphorePermit>,
}

impl Queue {
    /// Waits for the next payload; `None` when there will be no more.
    pub(super) fn next_blocking(&self) -> Option<Payload> {
        let mut state = self.state();
        loop {
            if let Some(ready) = state.ready.pop_front() {
                drop(ready.place);
                return Some(ready.payload);
            }
            if state.closed {
                return None;
            }
            state.waiting += 1;
            if state.coming == 0 {
                self.hungry.notify_one();
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
    }

    /// Says that a read has begun, which [`Queue::arrive`] will end.
    pub(super) fn announce(&self) {
        self.state().coming += 1;
    }

    /// Ends a read with what it gave.
    pub(super) fn arrive(&self, payloads: impl IntoIterator<Item = Ready>) {
        let mut state = self.state();
        state.coming -= 1;
        state.ready.extend(payloads);
        let starves = state.is_starving();
        drop(state);
        self.changed.notify_all();
        if starves {
            self.hungry.notify_one();
        }
    }

    /// Comes back when somebody waits although nothing is coming.
    pub(super) async fn starving(&self) {
        loop {
            self.hungry.notified().await;
            if self.state().is_starving() {
                return;
            }
        }
    }

    /// Ends the queue: what is in it is still handed out.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change above is one step: the state is whole, whoever panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_starving(&self) -> bool {
        self.waiting > 0 && self.ready.is_empty() && self.coming == 0
    }
}
