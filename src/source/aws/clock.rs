//! The time as a service sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use aws_sdk_kinesis::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_kinesis::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_kinesis::error::BoxError;
use chrono::{DateTime, Utc};

/// The clock of a service, by the `Date` of its answers: a position in a stream that was a time of this
/// machine would skip records where its clock runs ahead.
#[derive(Clone, Debug, Default)]
pub(in crate::source) struct ServerClock {
    /// The service's time less ours, in microseconds, when its last answer came.
    ahead_micros: Arc<AtomicI64>,
}

impl ServerClock {
    /// The service's time, to a second or two and never later than it is there; this machine's before the
    /// first answer.
    pub(in crate::source) fn now(&self) -> DateTime<Utc> {
        let ahead = chrono::Duration::microseconds(self.ahead_micros.load(Relaxed));
        Utc::now() + ahead
    }
}

impl Intercept for ServerClock {
    fn name(&self) -> &'static str {
        "ServerClock"
    }

    fn read_after_transmit(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        if let Some(date) = date.and_then(|date| DateTime::parse_from_rfc2822(date).ok()) {
            let ahead = date.to_utc() - Utc::now();
            self.ahead_micros
                .store(ahead.num_microseconds().unwrap_or(0), Relaxed);
        }
        Ok(())
    }
}
