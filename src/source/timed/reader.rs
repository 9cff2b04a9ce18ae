//! One log, read from a time on, to now or for ever.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::look_back::LookBack;
use super::windows::Windows;
use super::{Api, Ask, Event, Fault, Known, Page, Range, Settings};
use crate::checkpoint::{Checkpoint, Position};
use crate::error::{Error, Result};
use crate::payload::{Body, Payload};
use crate::source::Lag;
use crate::source::live::{Attempts, Outlet, Room, Since};

/// A log that is read.
pub(in crate::source) struct Reader {
    api: Arc<dyn Api>,
    outlet: Outlet,
    attempts: Attempts,
    settings: Arc<Settings>,
    log: Log,
    windows: Windows,
    known: Known,
    look_back: Option<LookBack>,
    streams: HashMap<String, Stream>,
    /// Events that were stored before this time are left out, milliseconds since 1970 UTC.
    stored_from: Option<i64>,
    /// Whether the log has a position.
    has_begun: bool,
    /// Whether no range has been read whole yet.
    is_first_range: bool,
    /// Bytes of the last page.
    page_bytes: usize,
}

/// The names of a log.
#[derive(Clone, Debug)]
pub(in crate::source) struct Log {
    /// Its name in a question.
    pub(in crate::source) name: String,
    /// Its partition. It ends in a slash if the log has streams, whose names are added to it for theirs.
    pub(in crate::source) partition: Arc<str>,
}

/// A stream of a log.
struct Stream {
    partition: Arc<str>,
    /// Its position, milliseconds since 1970 UTC.
    through: i64,
    /// The latest time of an event that was handed out, milliseconds since 1970 UTC.
    newest: i64,
}

/// The way in which reading a log ended.
#[derive(Debug)]
pub(in crate::source) enum Ended {
    /// All of it up to now is read, and no more is wanted.
    CaughtUp,
    /// There is no such log, or no more.
    NoSuchLog {
        error: Error,
        /// The positions that it was read to, to go on from if there is one of its name again.
        left: Checkpoint,
    },
    /// Nobody takes the events any more.
    Unwanted,
}

/// The end of reading a range before it is read whole.
enum Stop {
    Ended(Ended),
    Failed(Error),
    /// It is a long range, with more in it than a page.
    Crowded,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Log {
    /// The partition of a stream. Names of logs may have slashes in them, so those of streams do not.
    fn stream(&self, name: &str) -> Arc<str> {
        let name = name.replace('%', "%25").replace('/', "%2F");
        format!("{}{name}", self.partition).into()
    }

    /// The position of the log in a checkpoint, milliseconds since 1970 UTC. Everything before it was
    /// handed out, in all streams.
    fn position(&self, checkpoint: &Checkpoint) -> Option<i64> {
        let millis = |position: &Position| match position {
            Position::Time { micros, .. } => Some(micros.div_euclid(1000)),
            _ => None,
        };
        let own = checkpoint.position(&self.partition).and_then(millis);
        let streams = self.streams(checkpoint).map(|(_, millis)| millis);
        own.or_else(|| streams.min())
    }

    /// The streams in a checkpoint, with their positions.
    pub(super) fn streams<'a>(
        &'a self,
        checkpoint: &'a Checkpoint,
    ) -> impl Iterator<Item = (String, i64)> + 'a {
        let has_streams = self.partition.ends_with('/');
        let partitions = checkpoint.partitions().filter(move |_| has_streams);
        partitions.filter_map(|(id, position)| {
            let name = id.strip_prefix(&*self.partition)?;
            let is_own = !name.is_empty() && !name.contains('/');
            let name = name.replace("%2F", "/").replace("%25", "%");
            match position {
                Position::Time { micros, .. } if is_own => Some((name, micros.div_euclid(1000))),
                _ => None,
            }
        })
    }
}

impl Reader {
    pub(in crate::source) fn new(
        api: Arc<dyn Api>,
        outlet: Outlet,
        log: Log,
        settings: Arc<Settings>,
    ) -> Self {
        Self {
            api,
            attempts: outlet.attempts(&log.partition),
            outlet,
            windows: Windows::begin(0, settings.overlap_millis, settings.first_range_millis),
            look_back: settings.look_back.map(|(_, every)| LookBack::new(every)),
            settings,
            log,
            known: Known::default(),
            streams: HashMap::new(),
            stored_from: None,
            has_begun: false,
            is_first_range: true,
            page_bytes: 0,
        }
    }

    /// Reads for ever; in a bounded reading until now.
    ///
    /// # Errors
    /// Those that time does not mend.
    pub(in crate::source) async fn read(mut self, from: Checkpoint) -> Result<Ended> {
        let ended = self.read_on(&from).await;
        self.attempts.succeeded();
        self.outlet.behind(&self.log.partition, None);
        match ended {
            Stop::Ended(ended) => Ok(ended),
            Stop::Failed(error) => Err(error),
            Stop::Crowded => Err(Error::bug("a crowded range was not made shorter")),
        }
    }

    async fn read_on(&mut self, from: &Checkpoint) -> Stop {
        if let Err(stop) = self.begin(from).await {
            return stop;
        }
        loop {
            let range = self.next_range();
            if range.to.is_some_and(|to| to < range.from) {
                return Stop::Ended(Ended::CaughtUp);
            }
            let asked = Instant::now();
            match self.range(range).await {
                Err(Stop::Crowded) => {
                    self.windows.shorten();
                    continue;
                }
                Err(stop) => return stop,
                Ok(pages) if !self.settle(range, pages).await => {
                    return Stop::Ended(Ended::Unwanted);
                }
                Ok(_) => {}
            }
            if self.is_last(range) {
                return Stop::Ended(Ended::CaughtUp);
            }
            if range.to.is_none() {
                if let Err(stop) = self.look_back().await {
                    return stop;
                }
                // Half of the time is left to others that ask.
                sleep(self.settings.poll.max(asked.elapsed())).await;
            }
        }
    }

    /// Finds the place to begin at, and puts it into the checkpoint.
    async fn begin(&mut self, from: &Checkpoint) -> Result<(), Stop> {
        let overlap = self.settings.overlap_millis;
        let first_range = self.settings.first_range_millis;
        let now = self.api.now_millis();
        self.windows = match (self.log.position(from), self.settings.since) {
            (Some(through), _) => Windows::resume(through, overlap, first_range),
            (None, Since::Time(micros)) => {
                Windows::begin(micros.div_euclid(1000).max(0), overlap, first_range)
            }
            (None, Since::Latest) => {
                // The answer tells the service's time.
                self.probe(Range {
                    from: now,
                    to: None,
                })
                .await?;
                let now = self.api.now_millis();
                self.stored_from = Some(now);
                Windows::latest(now, overlap, first_range)
            }
            (None, Since::Oldest) => Windows::begin(self.oldest(now).await?, overlap, first_range),
        };
        for (name, through) in self.log.streams(from).collect::<Vec<_>>() {
            self.stream(&name).through = through;
        }
        self.has_begun = true;
        let position = position(self.windows.through());
        match self.outlet.advance(&self.log.partition, position).await {
            true => Ok(()),
            false => Err(Stop::Ended(Ended::Unwanted)),
        }
    }

    /// Finds a time that no event is before, and the oldest one is soon after.
    async fn oldest(&mut self, now: i64) -> Result<i64, Stop> {
        if let Some(kept) = self.settings.kept_millis {
            return Ok(now - kept);
        }
        if self.settings.is_at_once {
            return Ok(0);
        }
        let Some(mut found) = self.probe(Range { from: 0, to: None }).await? else {
            return Ok((now - EMPTY_FROM).max(0));
        };
        let mut step = self.settings.first_range_millis;
        loop {
            let before = found - step;
            if before <= 0 {
                return Ok(0);
            }
            let to = Some(before);
            match self.probe(Range { from: 0, to }).await? {
                None => return Ok(before),
                Some(older) => found = older.min(before),
            }
            step *= 2;
        }
    }

    /// Returns the time of an event in a range.
    async fn probe(&mut self, range: Range) -> Result<Option<i64>, Stop> {
        let mut token: Option<String> = None;
        loop {
            let ask = Ask {
                range,
                token: token.as_deref(),
                most: Some(1),
            };
            let Some(page) = self.ask(&ask).await? else {
                token = None;
                continue;
            };
            if let Some(event) = page.events.first() {
                return Ok(Some(event.millis));
            }
            match page.next.filter(|next| Some(next) != token.as_ref()) {
                Some(next) => token = Some(next),
                None => return Ok(None),
            }
        }
    }

    /// Reads a range. Returns the number of its pages that are not empty.
    async fn range(&mut self, range: Range) -> Result<usize, Stop> {
        let behind = range.to.map(|_| self.api.now_millis() - range.from);
        if let Some(behind) = behind {
            self.behind(behind);
        }
        let (mut token, mut pages): (Option<String>, usize) = (None, 0);
        let mut restarts = 0;
        loop {
            let mut room = self.outlet.room(self.expected_bytes()).await;
            let ask = Ask {
                range,
                token: token.as_deref(),
                most: None,
            };
            let Some(page) = self.ask(&ask).await? else {
                (token, pages) = (None, 0);
                restarts += 1;
                if restarts > MOST_RESTARTS {
                    return Err(
                        Error::io("the service refuses its own tokens of next pages").into(),
                    );
                }
                continue;
            };
            pages += usize::from(!page.events.is_empty());
            // Some servers return the same token at the end.
            let next = page.next.filter(|next| Some(next) != token.as_ref());
            let is_crowded = pages == 1 && next.is_some() && !page.events.is_empty();
            if is_crowded && self.windows.is_long(range) && !self.settings.is_at_once {
                return Err(Stop::Crowded);
            }
            self.take(page.events, range, &mut room).await?;
            match next {
                Some(next) => token = Some(next),
                None => return Ok(pages),
            }
        }
    }

    /// Looks back, by a page, if it is time.
    async fn look_back(&mut self) -> Result<(), Stop> {
        let from = self.look_back_from().max(self.known.whole_from());
        let range = self.windows.before_overlap(from);
        let turn = self.look_back.as_mut().and_then(|it| it.turn(range));
        let Some((range, token)) = turn else {
            return Ok(());
        };
        let mut room = self.outlet.room(self.expected_bytes()).await;
        let ask = Ask {
            range,
            token: token.as_deref(),
            most: None,
        };
        let next = match self.ask(&ask).await? {
            Some(page) => {
                // A look takes long in a crowded log, and what was handed out is forgotten meanwhile.
                let known = Range {
                    from: range.from.max(self.known.whole_from()),
                    ..range
                };
                self.take(page.events, known, &mut room).await?;
                let next = page.next.filter(|next| Some(next) != token.as_ref());
                next.map(Some)
            }
            // From the beginning, as the token is worth nothing.
            None => Some(None),
        };
        if let (Some(look_back), Some(token)) = (&mut self.look_back, next) {
            look_back.goes_on(range, token);
        }
        Ok(())
    }

    fn look_back_from(&self) -> i64 {
        let span = self.settings.look_back.map_or(0, |(span, _)| span);
        self.windows.look_back_from(span)
    }

    /// Asks until there is an answer; `None` if the token is worth nothing any more.
    async fn ask(&mut self, ask: &Ask<'_>) -> Result<Option<Page>, Stop> {
        loop {
            self.settings.pacer.turn().await;
            let error = match self.api.page(&self.log.name, ask).await {
                Ok(page) => {
                    self.attempts.succeeded();
                    return Ok(Some(page));
                }
                Err(Fault::NoSuchLog(error)) => {
                    let left = self.positions()?;
                    return Err(Stop::Ended(Ended::NoSuchLog { error, left }));
                }
                Err(Fault::BadToken) => {
                    let said = "the service did not take its own token of the next page";
                    self.attempts
                        .failed(Error::unavailable("the service", said))
                        .await?;
                    return Ok(None);
                }
                Err(Fault::Other(error)) => error,
            };
            self.attempts.failed(error).await?;
        }
    }

    /// Hands on the events of a page that are new.
    async fn take(
        &mut self,
        events: Vec<Event>,
        range: Range,
        room: &mut Room,
    ) -> Result<(), Stop> {
        let bytes: usize = events.iter().map(|event| event.text.len()).sum();
        self.page_bytes = bytes.max(self.page_bytes / 2);
        let now = self.api.now_millis();
        for event in events {
            if !range.contains(event.millis) {
                continue;
            }
            self.windows.found(event.millis, now);
            let is_new = self.known.insert((&event.stream, &event.id), event.millis);
            if is_new && self.is_wanted(&event) && !self.hand(event, now, room).await {
                return Err(Stop::Ended(Ended::Unwanted));
            }
        }
        let needed = self.windows.known_from();
        self.known.tidy(needed.min(self.look_back_from()), needed);
        Ok(())
    }

    fn is_wanted(&self, event: &Event) -> bool {
        match (self.stored_from, event.stored_millis) {
            (Some(from), Some(stored)) => stored >= from,
            (Some(_), None) => !self.is_first_range,
            (None, _) => true,
        }
    }

    /// Hands on an event. Returns `false` once nobody takes it any more.
    async fn hand(&mut self, event: Event, now: i64, room: &mut Room) -> bool {
        // Others of the range may be older, so it does not move the position.
        let through = self.windows.through();
        let stream = self.stream(&event.stream);
        stream.through = stream.through.max(through);
        stream.newest = stream.newest.max(event.millis.min(now));
        let (partition, position) = (Arc::clone(&stream.partition), position(stream.through));
        let payload = Payload {
            delivered_micros: event.stored_millis.map(|millis| millis * 1000),
            ..Payload::new(event.origin, Body::Whole(event.text))
        };
        self.outlet
            .payload(&partition, position, payload, room)
            .await
    }

    /// Moves the positions on, as a range is read whole. Returns `false` once nobody reads on.
    async fn settle(&mut self, range: Range, pages: usize) -> bool {
        let now = self.api.now_millis();
        let through = self.windows.done(range, now, pages);
        self.is_first_range = false;
        for stream in self.streams.values_mut() {
            if stream.newest > stream.through {
                stream.through = stream.newest;
                let position = position(stream.through);
                if !self.outlet.advance(&stream.partition, position).await {
                    return false;
                }
            }
        }
        self.behind(range.to.map_or(0, |to| now - to));
        self.outlet
            .advance(&self.log.partition, position(through))
            .await
    }

    /// Returns the positions as they are.
    fn positions(&self) -> Result<Checkpoint> {
        let mut positions = Checkpoint::default();
        if self.has_begun {
            positions.advance(&self.log.partition, position(self.windows.through()))?;
        }
        for stream in self.streams.values() {
            positions.advance(&stream.partition, position(stream.through))?;
        }
        Ok(positions)
    }

    fn next_range(&self) -> Range {
        let now = self.api.now_millis();
        let next = self.windows.next(now);
        let to = match self.settings.is_at_once {
            true => None,
            false => next.to,
        };
        let until = self.settings.until_millis;
        Range {
            to: to.map_or(until, |to| Some(until.map_or(to, |until| to.min(until)))),
            ..next
        }
    }

    fn is_last(&self, range: Range) -> bool {
        let is_over = match (range.to, self.settings.until_millis) {
            (Some(to), Some(until)) => to >= until,
            (to, _) => to.is_none(),
        };
        is_over && (self.outlet.reading().is_to_now() || range.to.is_some())
    }

    fn stream(&mut self, name: &str) -> &mut Stream {
        if !self.streams.contains_key(name) {
            let new = Stream {
                partition: self.log.stream(name),
                through: i64::MIN,
                newest: i64::MIN,
            };
            self.streams.insert(name.to_owned(), new);
        }
        self.streams.get_mut(name).expect("it was just put there")
    }

    fn behind(&self, millis: i64) {
        let lag = Duration::from_millis(millis.try_into().unwrap_or(0));
        self.outlet
            .behind(&self.log.partition, Some(Lag::Time(lag)));
    }

    fn expected_bytes(&self) -> usize {
        (self.page_bytes + self.page_bytes / 2).max(LEAST_ROOM)
    }
}

fn position(through_millis: i64) -> Position {
    Position::Time {
        micros: through_millis.saturating_mul(1000),
        ids: std::collections::BTreeSet::new(),
    }
}

/// Room for a page of which nothing is known.
const LEAST_ROOM: usize = 256 << 10;
/// The most times that a range is begun again.
const MOST_RESTARTS: u32 = 20;
/// The time before now that reading an empty log begins at.
const EMPTY_FROM: i64 = 24 * 3600 * 1000;
