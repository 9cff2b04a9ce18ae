//! Attempts at one request of a live source.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use super::Outlet;
use crate::error::{Error, Result};
use crate::source::{Boundedness, Retry};

/// Retries of what is unavailable for now, with pauses that grow and vary.
///
/// A reading without an end retries for ever. A bounded one gives up after [`ATTEMPTS`] failures in a
/// row, about two minutes.
///
/// ```text
/// loop { match request().await {
///     Ok(answer) => { attempts.succeeded(); break answer }
///     Err(error) => attempts.failed(error).await?,      // waits, or ends it
/// } }
/// ```
pub(in crate::source) struct Attempts {
    outlet: Outlet,
    partition: String,
    failing: Option<(u32, ExponentialBackoff)>,
}

impl Attempts {
    pub(super) fn new(outlet: Outlet, partition: String) -> Self {
        Self {
            outlet,
            partition,
            failing: None,
        }
    }

    /// Notes that a request was answered.
    pub(in crate::source) fn succeeded(&mut self) {
        if self.failing.take().is_some() {
            self.outlet.retrying(&self.partition, None);
        }
    }

    /// Waits before the next attempt.
    ///
    /// # Errors
    /// The error itself, if time does not mend it or a bounded reading has waited long enough.
    pub(in crate::source) async fn failed(&mut self, error: Error) -> Result<()> {
        if !error.is_retryable() {
            return Err(error);
        }
        let (attempts, pauses) = self.failing.get_or_insert_with(|| (0, pauses()));
        *attempts += 1;
        let is_bounded = self.outlet.reading().boundedness() == Boundedness::Bounded;
        if is_bounded && *attempts >= ATTEMPTS {
            // Not to be taken for one that may be retried.
            return Err(Error::io(format!(
                "gave up after {ATTEMPTS} attempts: {error}"
            )));
        }
        let pause = pauses.next().unwrap_or(LONGEST_PAUSE);
        let retry = Retry {
            attempts: *attempts,
            message: error.to_string(),
        };
        self.outlet.retrying(&self.partition, Some(retry));
        tokio::time::sleep(pause).await;
        Ok(())
    }
}

fn pauses() -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(FIRST_PAUSE)
        .with_max_delay(LONGEST_PAUSE)
        .with_jitter()
        .without_max_times()
        .build()
}

/// Failures in a row that end a bounded reading.
const ATTEMPTS: u32 = 12;
const FIRST_PAUSE: Duration = Duration::from_millis(if cfg!(test) { 2 } else { 200 });
const LONGEST_PAUSE: Duration = Duration::from_secs(20);
