//! Retries of what is unavailable for now.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::time::{Instant, sleep_until};

use super::{Boundedness, Progress, Retry, Source};
use crate::checkpoint::Checkpoint;
use crate::error::Result;
use crate::execution::Execution;
use crate::payload::Payload;

/// A source whose `Unavailable` errors are retried, with pauses that grow and vary.
///
/// One without an end is retried for ever: a stream is expected to come back. A bounded one gives
/// up with its last error after twelve failures in a row, about two minutes.
pub struct Retrying<S> {
    source: S,
    execution: Arc<Execution>,
    pauses: ExponentialBuilder,
    failing: Option<Failing>,
    /// Its number in the run.
    part: u64,
}

/// A run of failures.
struct Failing {
    retry: Retry,
    pauses: ExponentialBackoff,
    /// The end of the pause; kept here so that a call that is dropped does not shorten it.
    resume_at: Instant,
}

/// Failures in a row that end a bounded source.
const ATTEMPTS: u32 = 12;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

impl<S> Retrying<S> {
    /// Retries `source`, and tells of it in the counters of `execution`.
    pub fn new(source: S, execution: Arc<Execution>) -> Self {
        Self {
            source,
            part: execution.stats.add_part(),
            execution,
            pauses: ExponentialBuilder::new()
                .with_min_delay(FIRST_PAUSE)
                .with_max_delay(LONGEST_PAUSE)
                .with_jitter()
                .without_max_times(),
            failing: None,
        }
    }
}

impl<S> Drop for Retrying<S> {
    fn drop(&mut self) {
        self.execution.stats.remove_part(self.part);
    }
}

#[async_trait]
impl Source for Retrying<Box<dyn Source>> {
    fn boundedness(&self) -> Boundedness {
        self.source.boundedness()
    }

    async fn next(&mut self) -> Result<Option<Payload>> {
        loop {
            if let Some(failing) = &self.failing {
                sleep_until(failing.resume_at).await;
            }
            let error = match self.source.next().await {
                Err(error) if error.is_retryable() => error,
                outcome => {
                    if self.failing.take().is_some() {
                        self.execution.stats.set_retrying(self.part, None);
                    }
                    return outcome;
                }
            };
            let failing = self
                .failing
                .get_or_insert_with(|| Failing::new(self.pauses));
            failing.retry.attempts += 1;
            failing.retry.message = error.to_string();
            let told = format!("{error}, attempt {} failed", failing.retry.attempts);
            self.execution.stats.set_retrying(self.part, Some(told));
            let is_bounded = self.source.boundedness() == Boundedness::Bounded;
            if is_bounded && failing.retry.attempts >= ATTEMPTS {
                return Err(error);
            }
            failing.resume_at = Instant::now() + failing.pauses.next().unwrap_or(LONGEST_PAUSE);
        }
    }

    fn checkpoint(&self) -> Checkpoint {
        self.source.checkpoint()
    }

    fn progress(&self) -> Progress {
        let progress = self.source.progress();
        let retry = self.failing.as_ref().map(|failing| failing.retry.clone());
        Progress {
            // A live source retries by itself, too.
            retrying: retry.or(progress.retrying),
            behind: progress.behind,
        }
    }
}

impl Failing {
    fn new(pauses: ExponentialBuilder) -> Self {
        Self {
            retry: Retry {
                attempts: 0,
                message: String::new(),
            },
            pauses: pauses.build(),
            resume_at: Instant::now(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    /// Fails a number of times, then ends.
    struct Flaky {
        failures: u32,
        kind: fn() -> Error,
        boundedness: Boundedness,
    }

    #[async_trait]
    impl Source for Flaky {
        fn boundedness(&self) -> Boundedness {
            self.boundedness
        }

        async fn next(&mut self) -> Result<Option<Payload>> {
            match self.failures.checked_sub(1) {
                Some(left) => {
                    self.failures = left;
                    Err((self.kind)())
                }
                None => Ok(None),
            }
        }

        fn checkpoint(&self) -> Checkpoint {
            Checkpoint::default()
        }

        fn progress(&self) -> Progress {
            Progress::default()
        }
    }

    fn flaky(
        failures: u32,
        kind: fn() -> Error,
        boundedness: Boundedness,
    ) -> Retrying<Box<dyn Source>> {
        let source: Box<dyn Source> = Box::new(Flaky {
            failures,
            kind,
            boundedness,
        });
        let mut retrying = Retrying::new(source, Arc::default());
        retrying.pauses = retrying
            .pauses
            .with_min_delay(PAUSE)
            .with_max_delay(8 * PAUSE);
        retrying
    }

    const PAUSE: Duration = Duration::from_millis(2);

    fn throttled() -> Error {
        Error::unavailable("Kinesis", "the rate is exceeded")
    }

    #[tokio::test]
    async fn only_what_is_unavailable_is_retried_and_pauses_grow() {
        let start = Instant::now();
        let mut source = flaky(6, throttled, Boundedness::Bounded);
        assert!(source.next().await.unwrap().is_none());
        let waited = start.elapsed();
        assert!(waited >= PAUSE * (1 + 2 + 4 + 8 + 8 + 8), "{waited:?}");
        assert_eq!(source.progress().retrying, None);

        let mut source = flaky(1, || Error::config("no such stream"), Boundedness::Bounded);
        assert!(source.next().await.is_err());
    }

    #[tokio::test]
    async fn a_bounded_source_gives_up_and_one_without_an_end_does_not() {
        let mut source = flaky(100, throttled, Boundedness::Bounded);
        assert!(source.next().await.is_err());
        let retrying = source.progress().retrying.unwrap();
        assert_eq!(retrying.attempts, ATTEMPTS);
        assert!(retrying.message.contains("the rate is exceeded"));
        let told = source.execution.stats.retrying().unwrap();
        assert_eq!(
            told,
            format!("the rate is exceeded, attempt {ATTEMPTS} failed")
        );

        let mut source = flaky(20, throttled, Boundedness::Unbounded);
        assert!(source.next().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_call_that_is_dropped_does_not_shorten_the_pause() {
        let mut source = flaky(1, throttled, Boundedness::Bounded);
        let start = Instant::now();
        while tokio::time::timeout(PAUSE / 4, source.next())
            .await
            .is_err()
        {}
        assert!(start.elapsed() >= PAUSE);
    }

    #[tokio::test]
    async fn a_source_that_ends_amid_a_failure_fails_no_more() {
        let mut source = flaky(1000, throttled, Boundedness::Unbounded);
        let execution = Arc::clone(&source.execution);
        let waited = tokio::time::timeout(Duration::from_millis(50), source.next()).await;
        assert!(waited.is_err() && execution.stats.retrying().is_some());
        drop(source);
        assert_eq!(execution.stats.retrying(), None);
        assert_eq!(execution.stats.retrying_since(), None);
    }
}
