//! Logs that are asked for ranges of time: what CloudWatch Logs and the event history have in common.
//!
//! ```text
//! backfill    |-- range --|-- range --|- ... -|           each read whole, then the position moves
//! following                               |-- overlap --|---->      asked again and again
//!                                         ^ newest event seen, less the overlap
//! looking back   |------- 2 hours --------|               asked again each minute, a page at a time
//! ```
//!
//! - Events of a range come in any order, so a position moves once the range is read whole: it never
//!   passes an event that was not handed out.
//! - Events are stored later than they say, by up to the overlap. That much is read again each time,
//!   and what was handed out before is left out, by [`Known`].
//! - Those that are stored even later are found by looking back, in a log that is followed. It ends where
//!   this reading began, and where [`Known`] ends, which keeps some hundred thousand events.
//! - After a restart, the overlap before the position is read again, and handed out again: nothing is
//!   lost, and a lake knows its events.

mod known;
mod look_back;
mod pacer;
mod reader;
#[cfg(test)]
mod tests;
mod windows;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::live::Since;
use crate::error::{Error, Result};

pub(super) use known::Known;
pub(super) use pacer::Pacer;
pub(super) use reader::{Ended, Log, Reader};
pub(super) use windows::Range;

/// The call that answers with the events of a range of time.
#[async_trait]
pub(super) trait Api: Send + Sync {
    /// Returns the events of a log in a range of time, or the next of them, `most` at most if that is
    /// given. The order is the server's.
    async fn page(&self, log: &str, ask: &Ask<'_>) -> Result<Page, Fault>;

    /// The service's time, milliseconds since 1970 UTC.
    fn now_millis(&self) -> i64;
}

/// A question for events.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask<'a> {
    pub(super) range: Range,
    /// The token of the page before.
    pub(super) token: Option<&'a str>,
    /// The most events that are wanted; `None` for as many as a page has.
    pub(super) most: Option<i32>,
}

/// Events, and how it goes on.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) events: Vec<Event>,
    /// The token of the next page. A page may be empty and have one.
    pub(super) next: Option<String>,
}

/// An event of a log.
#[derive(Clone, Debug)]
pub(super) struct Event {
    /// The stream of the log that it is in; empty where a log has no streams.
    pub(super) stream: String,
    /// Its identifier, within the stream.
    pub(super) id: String,
    /// The origin that users see.
    pub(super) origin: String,
    /// Its time, milliseconds since 1970 UTC.
    pub(super) millis: i64,
    /// The time when it could be read, milliseconds since 1970 UTC.
    pub(super) stored_millis: Option<i64>,
    pub(super) text: Bytes,
}

/// The failure of a call for one log.
#[derive(Debug)]
pub(super) enum Fault {
    /// The service does not take its own token, as it is too old.
    BadToken,
    /// There is no such log, or no more.
    NoSuchLog(Error),
    /// Anything else.
    Other(Error),
}

/// The way in which logs of one service are read.
#[derive(Clone)]
pub(super) struct Settings {
    /// The place to begin at that no checkpoint tells.
    pub(super) since: Since,
    /// The last time that is asked for, milliseconds since 1970 UTC; `None` for no end.
    pub(super) until_millis: Option<i64>,
    /// The longest time by which events are stored later than they say.
    pub(super) overlap_millis: i64,
    /// The time before the newest event that is looked back to, and how often.
    pub(super) look_back: Option<(i64, Duration)>,
    /// The time that the service keeps events; `None` if it is not known.
    pub(super) kept_millis: Option<i64>,
    /// The first range of a backfill. Others are longer where events are few.
    pub(super) first_range_millis: i64,
    /// The pause between two questions for what is new.
    pub(super) poll: Duration,
    /// The limit of the service, for all logs together.
    pub(super) pacer: Arc<Pacer>,
    /// Whether a reading is asked for no checkpoint, so that it needs no ranges.
    pub(super) is_at_once: bool,
}

impl Settings {
    /// The settings for logs that were not there at the beginning: all that they hold is new.
    pub(super) fn of_later_logs(&self) -> Self {
        Self {
            since: Since::Oldest,
            ..self.clone()
        }
    }
}
