//! One shard, read from a place to its end or for ever.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::client::{Api, Fault, Page, Place, Record, Shard};
use crate::checkpoint::Position;
use crate::error::{Error, Result};
use crate::input_location::InputLocation;
use crate::payload::{Body, Payload};
use crate::reject::Reject;
use crate::source::live::{Attempts, Outlet, READ_AHEAD_BYTES, Room};
use crate::source::{Lag, Reading};

/// A shard that is being read.
pub(super) struct Reader {
    api: Arc<dyn Api>,
    outlet: Outlet,
    attempts: Attempts,
    shard: String,
    partition: Arc<str>,
    /// The place to go on from when there is no iterator.
    place: Place,
    /// The last record that was handed on, to be found again at `place`.
    expected: Option<String>,
    /// Bytes of the last page.
    page_bytes: usize,
    pace: Pace,
    /// For enhanced fan-out, the shards that are known to be closed.
    fan_out: Option<ClosedShards>,
    /// Whether the last page had a record in it that was not handed on before.
    has_new: bool,
}

/// The shards that a listing shows to be closed, as others follow them.
#[derive(Clone, Debug, Default)]
pub(super) struct ClosedShards(Arc<Mutex<BTreeSet<String>>>);

impl ClosedShards {
    /// Notes the shards that are closed.
    pub(super) fn set(&self, closed: BTreeSet<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = closed;
    }

    fn contains(&self, shard: &str) -> bool {
        let closed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        closed.contains(shard)
    }
}

/// The times between two calls of a shard.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Between two calls where there is more.
    pub(super) busy: Duration,
    /// After a call where there was nothing.
    pub(super) idle: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            busy: BUSY,
            idle: IDLE,
        }
    }
}

/// The way in which reading a shard ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The shard is closed and read; these follow it, as far as the server says.
    Closed(Vec<Shard>),
    /// All of it up to now is read, and no more is wanted.
    CaughtUp,
    /// Nobody takes the records any more.
    Unwanted,
}

impl Reader {
    pub(super) fn new(
        api: Arc<dyn Api>,
        outlet: Outlet,
        partition: Arc<str>,
        place: Place,
    ) -> Self {
        let shard = partition.rsplit('/').next().unwrap_or_default().to_owned();
        let expected = match &place {
            Place::At(sequence) => Some(sequence.clone()),
            Place::Oldest | Place::Time(_) | Place::After(_) => None,
        };
        Self {
            api,
            attempts: outlet.attempts(&partition),
            outlet,
            shard,
            partition,
            page_bytes: match &place {
                Place::Time(_) => 0,
                _ => READ_AHEAD_BYTES / 3,
            },
            place,
            expected,
            pace: Pace::default(),
            fan_out: None,
            has_new: false,
        }
    }

    /// Reads at another pace, or with enhanced fan-out.
    #[must_use]
    pub(super) fn with(mut self, pace: Pace, fan_out: Option<ClosedShards>) -> Self {
        self.pace = pace;
        self.fan_out = fan_out;
        self
    }

    /// Reads until the shard's end; in a bounded reading until now.
    ///
    /// # Errors
    /// Those that time does not mend.
    pub(super) async fn read(mut self) -> Result<Ended> {
        let ended = match self.fan_out.take() {
            Some(closed) => self.subscribe(&closed).await,
            None => self.poll().await,
        };
        self.attempts.succeeded();
        self.outlet.behind(&self.partition, None);
        if matches!(ended, Ok(Ended::Closed(_)))
            && !self.outlet.advance(&self.partition, Position::End).await
        {
            return Ok(Ended::Unwanted);
        }
        ended
    }

    async fn poll(&mut self) -> Result<Ended> {
        loop {
            let mut iterator = match self.api.iterator(&self.shard, &self.place).await {
                Ok(iterator) => iterator,
                Err(fault) => match self.failed(fault).await? {
                    Some(ended) => return Ok(ended),
                    None => continue,
                },
            };
            loop {
                let called = Instant::now();
                let mut room = self.outlet.room(self.expected_bytes()).await;
                let page = match self.api.records(&iterator, PAGE_RECORDS).await {
                    Ok(page) => page,
                    Err(Fault::Expired) => {
                        self.pause_before_iterator(called).await;
                        break;
                    }
                    Err(fault) => match self.failed(fault).await? {
                        Some(ended) => return Ok(ended),
                        None => continue,
                    },
                };
                self.attempts.succeeded();
                let is_behind = !page.behind.is_zero();
                let (next, ended) = self.take(page, &mut room).await;
                if let Some(ended) = ended {
                    return Ok(ended);
                }
                drop(room);
                iterator = next.expect("a shard without a next iterator has ended");
                let pause = match !self.has_new && !is_behind {
                    true => self.pace.idle,
                    false => self.pace.busy,
                };
                tokio::time::sleep_until(called + pause).await;
            }
        }
    }

    async fn subscribe(&mut self, closed: &ClosedShards) -> Result<Ended> {
        loop {
            let mut pages = match self.api.subscribe(&self.shard, &self.place).await {
                Ok(pages) => pages,
                Err(Fault::InUse) => {
                    tokio::time::sleep(BETWEEN_SUBSCRIPTIONS).await;
                    continue;
                }
                Err(fault) => match self.failed(fault).await? {
                    Some(ended) => return Ok(ended),
                    None => continue,
                },
            };
            loop {
                let mut room = self.outlet.room(self.expected_bytes()).await;
                let page = tokio::time::timeout(QUIET, pages.recv()).await;
                let is_quiet = !matches!(&page, Ok(Some(Ok(page))) if !page.records.is_empty());
                if is_quiet && closed.contains(&self.shard) && self.is_at_end().await? {
                    return Ok(Ended::Closed(Vec::new()));
                }
                let Ok(page) = page else {
                    continue;
                };
                match page {
                    Some(Ok(page)) => {
                        self.attempts.succeeded();
                        let next = page.next.clone();
                        if let (_, Some(ended)) = self.take(page, &mut room).await {
                            return Ok(ended);
                        }
                        if let Some(next) = next.filter(|_| self.expected.is_none()) {
                            self.place = Place::After(next);
                        }
                    }
                    Some(Err(fault)) => {
                        if let Some(ended) = self.failed(fault).await? {
                            return Ok(ended);
                        }
                        break;
                    }
                    // Five minutes are over.
                    None => break,
                }
            }
        }
    }

    /// Returns whether a closed shard has nothing more. Some servers go on with its subscription for ever.
    async fn is_at_end(&mut self) -> Result<bool> {
        let looked = async {
            let iterator = self.api.iterator(&self.shard, &self.place).await?;
            self.api.records(&iterator, PAGE_RECORDS).await
        };
        match looked.await {
            Ok(page) => {
                let last = page.records.last().map(|record| &record.sequence);
                let is_known = match (&self.place, last) {
                    (_, None) => true,
                    (Place::At(sequence), Some(last)) => last == sequence,
                    _ => false,
                };
                Ok(page.next.is_none() && is_known)
            }
            Err(fault) => {
                self.failed(fault).await?;
                Ok(false)
            }
        }
    }

    /// Hands on a page. Returns the next iterator, and how the shard ended if it did.
    async fn take(&mut self, page: Page, room: &mut Room) -> (Option<String>, Option<Ended>) {
        self.has_new = false;
        let bytes: usize = page.records.iter().map(|record| record.data.len()).sum();
        self.page_bytes = bytes.max(self.page_bytes / 2);
        let lag = Some(Lag::Time(page.behind)).filter(|_| page.next.is_some());
        self.outlet.behind(&self.partition, lag);
        for record in page.records {
            if !self.hand(record, room).await {
                return (None, Some(Ended::Unwanted));
            }
        }
        let is_to_now = self.outlet.reading() == Reading::ToNow;
        let ended = match &page.next {
            None => Some(Ended::Closed(page.children)),
            // Some servers know no lag, so a page with news in it is never the last.
            Some(_) if is_to_now && !self.has_new && page.behind.is_zero() => Some(Ended::CaughtUp),
            Some(_) => None,
        };
        (page.next, ended)
    }

    /// Hands on a record. Returns `false` once nobody takes it any more.
    async fn hand(&mut self, record: Record, room: &mut Room) -> bool {
        if let Some(expected) = &self.expected {
            let order = (record.sequence.len(), &record.sequence).cmp(&(expected.len(), expected));
            if order.is_le() {
                // It was handed on before.
                if order.is_eq() {
                    self.expected = None;
                }
                return true;
            }
            self.gap(Some(&record));
        }
        self.has_new = true;
        self.place = Place::At(record.sequence.clone());
        let position = Position::Sequence(record.sequence.clone());
        let payload = Payload {
            delivered_micros: record.arrived_micros,
            ..Payload::new(
                format!("{}/{}", self.partition, record.sequence),
                Body::Whole(record.data),
            )
        };
        self.outlet
            .payload(&self.partition, position, payload, room)
            .await
    }

    /// Takes note of a failure, and waits. Returns the end of the shard if there is no more of it.
    async fn failed(&mut self, fault: Fault) -> Result<Option<Ended>> {
        let error = match fault {
            Fault::NoSuchRecord => {
                self.gap(None);
                self.place = Place::Oldest;
                return Ok(None);
            }
            Fault::NoSuchShard => {
                self.gap(None);
                return Ok(Some(Ended::Closed(Vec::new())));
            }
            Fault::Expired => Error::unavailable("Kinesis", "the iterator has expired"),
            Fault::InUse => Error::unavailable("Kinesis", "another reader uses the consumer"),
            Fault::Other(error) => error,
        };
        self.attempts.failed(error).await?;
        Ok(None)
    }

    /// Tells that records may be lost, as the last one that was read is not there any more.
    fn gap(&mut self, found: Option<&Record>) {
        let Some(expected) = self.expected.take() else {
            return;
        };
        let oldest = match found {
            Some(record) => format!("; the oldest now is {}", record.sequence),
            None => String::new(),
        };
        self.outlet.execution().reject(&Reject {
            location: InputLocation::new(format!("{}/{expected}", self.partition)),
            reason: "gap",
            detail: format!(
                "the stream does not keep the last record that was read any more{oldest}; \
                 what came between may be lost: read the trail's bucket for that time"
            ),
            bytes: b"",
        });
    }

    /// Makes the next iterator one that is found by the last record.
    async fn pause_before_iterator(&mut self, called: Instant) {
        if let Place::At(sequence) = &self.place {
            self.expected = Some(sequence.clone());
        }
        tokio::time::sleep_until(called + self.pace.busy).await;
    }

    fn expected_bytes(&self) -> usize {
        (self.page_bytes + self.page_bytes / 2).max(LEAST_ROOM)
    }
}

/// Five calls a second for a shard are allowed, of all its readers together:
/// <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetRecords.html>.
const BUSY: Duration = Duration::from_millis(200);
/// The pause where there is nothing new, which leaves four calls a second to other readers.
const IDLE: Duration = Duration::from_secs(1);
/// A consumer may subscribe to a shard once in five seconds.
const BETWEEN_SUBSCRIPTIONS: Duration = Duration::from_secs(5);
/// The time without a page after which a closed shard is looked at.
const QUIET: Duration = Duration::from_secs(5);
/// The most that a call may ask for.
const PAGE_RECORDS: i32 = 10_000;
/// Room for a page of which nothing is known.
const LEAST_ROOM: usize = 64 << 10;
