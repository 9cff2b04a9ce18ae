//! The built-in source `sample:`: made-up but faithful CloudTrail events of the Aurora family.
//!
//! The same seed gives the same bytes on every machine and in every version, unless CHANGELOG says
//! otherwise. All names, accounts and addresses are fictional.
//!
//! # The world
//!
//! Three accounts (`111122223333` production, `444455556666` staging, `222233334444` analytics) in
//! four regions, twelve Aurora clusters, one Neptune and one DocumentDB cluster, two instances of
//! plain RDS, a global database, a proxy, a DSQL cluster, and some forty people and programs. A
//! document is one account, one region and 5 to 15 minutes; the last ends before 1 November 2026.
//! Clusters named `...-clone-...` or `...-next-...` and instances named `...-reader-...` come and go.
//!
//! # The story
//!
//! In every sample of 1,000 events or more, one night at 02:17 UTC, in production's `us-east-1`:
//! the key of the user `svc-backup-legacy`, seen only from `203.0.113.7` before, comes from
//! `198.51.100.77`. Twelve calls are refused (`AccessDenied`); then it assumes the role
//! `dba-breakglass`, copies last night's snapshot of `orders-prod` to `orders-prod-qa-copy`, shares
//! the copy with the account `999988887777` (`ModifyDBClusterSnapshotAttribute`), stops the activity
//! streams of `orders-prod` and `payments-prod`, switches off the log export of `orders-prod`, is
//! refused `StopLogging`, and deletes the copy. The night is about two thirds of the way through.
//!
//! # Copies
//!
//! CloudTrail delivers some events twice, and the sample repeats about 0.2 % of its events: the
//! same bytes in the same file or in a later one of the same account and region. `duplicates=0`
//! turns that off.

mod actors;
mod clock;
mod event;
mod failures;
mod json;
mod others;
mod random;
mod reads;
mod shapes;
mod sql;
mod story;
mod trail;
mod world;
mod writes;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;

use self::clock::Rhythm;
use self::event::Event;
use self::json::{Json, push_base62};
use self::random::{Random, mix};
pub use self::trail::Written;
use self::world::{SCOPES, Scope};
use crate::error::{Error, Result};
use crate::payload::{Body, Payload};

/// Events per document; the last document may have fewer.
const PER_DOCUMENT: u64 = 500;
/// Events of the smallest sample with a story.
const STORY_FROM: u64 = 1000;
/// Events per copy.
const COPIES: u64 = 500;
/// Documents between a copy and its original, at most.
const MAX_DISTANCE: u64 = 24;
/// Position for a document's own random numbers; no event has it.
const OWN: u64 = u64::MAX;

/// A set of fictional events: their number, seed, period and copies.
///
/// ```
/// use auroratrail::sample::Sample;
///
/// let sample = Sample::parse("?events=1200&seed=7&days=10").unwrap();
/// assert_eq!(sample.documents(), 3);
/// assert!(sample.document(0).starts_with(br#"{"Records":[{"eventVersion":""#));
/// ```
#[derive(Clone, Debug)]
pub struct Sample {
    events: u64,
    seed: u64,
    copies: bool,
    rhythm: Arc<Rhythm>,
}

/// The scope and times of a document.
struct Outline {
    scope: &'static Scope,
    /// First second of the document, since 1970 UTC.
    start: i64,
    /// Length of the document in seconds.
    seconds: i64,
    /// Time of delivery, in seconds since 1970 UTC.
    delivered: i64,
    /// Seed of the end of its file name.
    id: u64,
}

impl Sample {
    /// Parses the part after `sample:`, which is empty or
    /// `?events=1000000&seed=7&days=30&duplicates=0`, with any of the keys in any order. The
    /// defaults are 10,000 events, seed 1, 30 days, with copies.
    ///
    /// # Errors
    ///
    /// Returns [`crate::error::ErrorKind::Config`] for an unknown key or a value out of range.
    pub fn parse(query: &str) -> Result<Self> {
        let (mut events, mut seed, mut days, mut copies) = (10_000, 1, 30, true);
        let query = query.strip_prefix('?').unwrap_or(query);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            match key {
                "events" => events = number(pair, value, 1, 1_000_000_000_000)?,
                "seed" => seed = number(pair, value, 0, u64::MAX)?,
                "days" => days = number(pair, value, 1, 366)?,
                "duplicates" => copies = number(pair, value, 0, 1)? == 1,
                _ => return Err(unknown(key)),
            }
        }
        let days = u32::try_from(days).expect("at most 366");
        Ok(Self {
            events,
            seed,
            copies,
            rhythm: Arc::new(Rhythm::of(days)),
        })
    }

    /// Returns the number of events, copies included.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Returns the number of documents (trail files).
    pub fn documents(&self) -> u64 {
        self.events.div_ceil(PER_DOCUMENT)
    }

    /// Generates the document `index`, from 0: `{"Records":[...]}` of one account and region, over
    /// some minutes. Documents can be generated in any order.
    ///
    /// # Panics
    ///
    /// Panics if `index` is not below [`Sample::documents`].
    pub fn document(&self, index: u64) -> Vec<u8> {
        let mut json = Json(String::with_capacity(1_100_000));
        json.0.push_str(r#"{"Records":["#);
        let outline = self.outline(index);
        for position in 0..self.events_of(index) {
            match self.original(index, position) {
                Some((other, position)) if other != index => {
                    self.event(&mut json, (other, position), &self.outline(other));
                }
                Some(own) => self.event(&mut json, own, &outline),
                None => self.event(&mut json, (index, position), &outline),
            }
        }
        json.0.push_str("]}");
        json.0.into_bytes()
    }

    /// Generates all documents in the order of their indexes, as a source's payloads.
    pub fn payloads(&self) -> impl Iterator<Item = Payload> + Send + 'static + use<> {
        self.payloads_from(0)
    }

    /// Returns the documents from `first` on, without making those before it.
    pub fn payloads_from(&self, first: u64) -> impl Iterator<Item = Payload> + Send + use<> {
        let sample = self.clone();
        (first..self.documents()).map(move |index| Payload {
            delivered_micros: Some(sample.outline(index).delivered * 1_000_000),
            ..Payload::new(
                format!("sample:{index:05}"),
                Body::Whole(Bytes::from(sample.document(index))),
            )
        })
    }

    fn events_of(&self, index: u64) -> u64 {
        assert!(
            index < self.documents(),
            "no document {index} in the sample"
        );
        (self.events - index * PER_DOCUMENT).min(PER_DOCUMENT)
    }

    /// Returns the document of the story, which is never the last and therefore full.
    fn story(&self) -> Option<u64> {
        (self.events >= STORY_FROM).then(|| (self.documents() - 1) * 2 / 3)
    }

    fn outline(&self, index: u64) -> Outline {
        // Each document gets an equal part of the load, and starts somewhere in that part.
        const PARTS: u128 = 1024;
        let mut random = Random::new(self.seed, index, OWN);
        let scope = random.weighted(&SCOPES, |scope| scope.weight);
        let part = u128::from(index) * PARTS + u128::from(random.below(1024));
        let start = self.rhythm.at(part, u128::from(self.documents()) * PARTS);
        let seconds = 300 + i64::try_from(random.below(600)).expect("below 600");
        let late = 120 + i64::try_from(random.below(480)).expect("below 480");
        let id = random.draw();
        let start = start.min(clock::END - seconds);
        let (scope, start, seconds) = if self.story() == Some(index) {
            let night = self.rhythm.day_of(start) + story::BEGINS;
            (&SCOPES[0], night, story::LASTS)
        } else {
            (scope, start, seconds)
        };
        Outline {
            scope,
            start,
            seconds,
            delivered: start + seconds + late,
            id,
        }
    }

    /// Returns the document and position of the original, if the event is a copy.
    ///
    /// The original is the event before this position, in the same document or in the nearest
    /// earlier one of the same account and region. No event has two copies.
    fn original(&self, index: u64, position: u64) -> Option<(u64, u64)> {
        if !self.is_copy(index, position) {
            return None;
        }
        let before = position - 1;
        let scope = self.outline(index).scope;
        let earlier = (index.saturating_sub(MAX_DISTANCE)..index)
            .rev()
            .find(|&other| std::ptr::eq(self.outline(other).scope, scope));
        let fits = |other: &u64| {
            self.story() != Some(*other)
                && !self.is_copy(*other, position)
                && !self.is_copy(*other, before)
        };
        let coin = mix(self.seed ^ index << 10 ^ position) & 1 == 1;
        match earlier.filter(fits) {
            Some(other) if coin => Some((other, before)),
            _ => Some((index, before)),
        }
    }

    fn is_copy(&self, index: u64, position: u64) -> bool {
        let drawn = |position| {
            let place = mix(index.wrapping_add(0x636f_7079)) ^ position;
            mix(mix(self.seed) ^ place).is_multiple_of(COPIES)
        };
        self.copies
            && position > 0
            && self.story() != Some(index)
            && drawn(position)
            && !drawn(position - 1)
    }

    /// Writes the event at (document, position).
    fn event(&self, json: &mut Json, (index, position): (u64, u64), outline: &Outline) {
        let mut random = Random::new(self.seed, index, position);
        let span = outline.seconds.unsigned_abs();
        // Nearly in order: hosts deliver with up to half a minute of skew.
        let even = span * position / self.events_of(index);
        let offset = (even + random.below(30)).min(span - 1);
        let time = outline.start + i64::try_from(offset).expect("some minutes");
        let mut event = Event::new(json, random, outline.scope, time);
        let told = self.story() == Some(index) && position.is_multiple_of(story::EVERY);
        match position / story::EVERY {
            step if told && step < story::STEPS => story::write(&mut event, step, outline.start),
            _ => write_ordinary(&mut event),
        }
    }
}

/// Writes an event that is not part of the story.
fn write_ordinary(event: &mut Event<'_>) {
    match event.random.below(1000) {
        0..120 if sql::write_data_api(event) => {}
        120..160 if event.scope.is_home() => sql::write_dsql(event),
        160..190 => others::write_service_event(event),
        190..230 => failures::write(event),
        230..330 => others::write(event),
        330..530 => writes::write(event),
        _ => reads::write(event),
    }
}

const EXAMPLE: &str = "sample:?events=100000&seed=7&days=30&duplicates=0";

fn number(pair: &str, value: &str, least: u64, most: u64) -> Result<u64> {
    let number = value.parse().ok();
    number
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| {
            Error::config(format!(
                "sample: expected a whole number from {least} to {most}, found `{pair}`; an example is `{EXAMPLE}`"
            ))
        })
}

fn unknown(key: &str) -> Error {
    Error::config(format!(
        "sample: expected events, seed, days or duplicates, found `{key}`; an example is `{EXAMPLE}`"
    ))
}
