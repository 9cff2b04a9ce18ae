//! The rate of calls that a service allows.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Turns of calls, evenly spaced, for all tasks that call one service.
#[derive(Debug)]
pub(in crate::source) struct Pacer {
    every: Duration,
    next: Mutex<Instant>,
}

impl Pacer {
    /// Turns that are `every` apart.
    pub(in crate::source) fn new(every: Duration) -> Self {
        Self {
            every,
            next: Mutex::new(Instant::now()),
        }
    }

    /// Waits for a turn.
    pub(in crate::source) async fn turn(&self) {
        let at = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let at = (*next).max(Instant::now());
            *next = at + self.every;
            at
        };
        sleep_until(at).await;
    }
}
