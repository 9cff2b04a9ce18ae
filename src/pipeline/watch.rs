//! The progress of a source, for those who look at a run from outside.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{Deliveries, Delivery};
use crate::error::Result;
use crate::source::Progress;

/// The newest progress of a run's source, shared by the run and all who look at it. It outlives the
/// source: a run that opens its source again goes on with the same watch.
#[derive(Clone, Debug, Default)]
pub struct ProgressWatch(Arc<Mutex<Progress>>);

impl ProgressWatch {
    /// Returns the progress as it was last set, about a second ago while the source is waited for.
    pub fn get(&self) -> Progress {
        let progress = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        progress.clone()
    }

    fn set(&self, progress: Progress) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = progress;
    }
}

impl Deliveries {
    /// Waits for the next piece as [`Deliveries::next`] does, and keeps `watch` up to date meanwhile.
    ///
    /// # Errors
    /// As of [`Deliveries::next`].
    pub async fn next_watched(&mut self, watch: &ProgressWatch) -> Result<Option<Delivery>> {
        loop {
            watch.set(self.progress());
            if let Ok(delivery) = tokio::time::timeout(UPDATE_EVERY, self.next()).await {
                return delivery;
            }
        }
    }
}

/// The time between two updates while nothing is delivered.
const UPDATE_EVERY: Duration = Duration::from_secs(1);
