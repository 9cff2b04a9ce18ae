//! Payload in, CloudTrail records and rejects out. No I/O of its own, no Arrow, no clock.
//!
//! What a wrapper is, is decided by its content and never by a file's name; wrappers nest (a gzip
//! in a Firehose record in a gzip ...), down to [`MAX_WRAPPERS`]. Every form that CloudTrail events
//! travel in has its few lines in `classify` (how it is recognised) and `wrapper` (how it is taken
//! off); a new one goes there.
//!
//! ```text
//! bytes --compression--> text --documents--> JSON documents --classify--> records
//!             ^                                                   |
//!             +------- wrapper: base64, strings, arrays <---------+
//! ```
//!
//! Three things can become of anything in a payload: a record goes to [`RecordSink::record`], something
//! sound that is no CloudTrail event is counted by kind, and what should have been sound and is not
//! becomes a reject. A damaged document gives up the records that can still be framed, counted
//! apart as salvaged.

mod classify;
mod compression;
mod console_csv;
mod documents;
mod foreign;
mod gzip;
mod kpl;
mod magic;
mod salvage;
mod text;
mod windows;
mod wrapper;

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::input_location::InputLocation;
use crate::json::{Member, Span, Tape};
use crate::payload::{Body, Payload};
use crate::reject::Reject;
use crate::stats::Stats;

use foreign::ForeignKind;

pub use classify::RecordKind;

/// Wrappers may lie this deep inside each other. The deepest that AWS makes is five (SQS, SNS, S3
/// notice, gzip, log file).
pub const MAX_WRAPPERS: usize = 12;

/// What nested compression may inflate to, bytes. Kinesis carries 10 MiB in a record and Lambda 6 MiB
/// in an event, so more is a bomb.
pub const MAX_NESTED_BYTES: usize = 64 << 20;

/// What one object may inflate to, bytes. Larger objects are cut off there, with a reject that says so.
pub const MAX_INFLATED_BYTES: u64 = 64 << 30;

/// Inflated objects up to this size, bytes, are taken in one piece; larger ones in windows.
const WHOLE_BYTES: usize = 32 << 20;

/// Size of the window through which larger objects pass, bytes.
const WINDOW_BYTES: usize = 4 << 20;

/// One document that cannot be taken apart may have this size, bytes. A CloudTrail event has 256 KB
/// at most (1 MB in CloudTrail Lake).
const MAX_DOCUMENT_BYTES: usize = 64 << 20;

/// A CloudTrail record, still JSON.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The text that the spans point into; valid JSON where they point.
    pub text: &'a str,
    /// The record in it, an object.
    pub span: Span,
    /// The record's members.
    pub members: &'a [Member],
    /// What sort of record it is.
    pub kind: RecordKind,
    /// The object it came from.
    pub origin: &'a Arc<str>,
    /// Where in the object (after decompression) it, or the document that wraps it, starts.
    pub byte: u64,
    /// When AWS delivered it, microseconds since 1970 UTC, where that is known.
    pub delivered_micros: Option<i64>,
}

impl<'a> Record<'a> {
    /// The record's JSON text.
    pub fn json(&self) -> &'a str {
        self.span.raw(self.text)
    }
}

/// What a [`RecordSink`] made of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is (or would be, but for a filter) a row.
    Row,
    /// It was there before.
    Duplicate,
    /// It was handed down by an earlier run, and is not counted again.
    Skipped,
    /// Nothing more is wanted: stop.
    Enough,
}

/// Where records go.
pub trait RecordSink {
    /// Takes a record.
    fn record(&mut self, record: &Record<'_>) -> Taken;
    /// Counts something that is fine but no CloudTrail event.
    fn not_cloudtrail(&mut self, kind: &'static str, count: u64);
    /// Takes something that is not usable.
    fn reject(&mut self, reject: &Reject<'_>);
}

/// What was in a payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// API calls and service events, out of whole documents.
    pub events: u64,
    /// Insights events, out of whole documents.
    pub insights: u64,
    /// Aggregated events, out of whole documents.
    pub aggregated: u64,
    /// Records of any kind out of damaged documents.
    pub salvaged: u64,
    /// Records that the sink had seen.
    pub duplicates: u64,
    /// Bytes after decompression.
    pub inflated_bytes: u64,
    /// Whether there was nothing in it.
    pub empty: bool,
    /// Whether anything in it was damaged.
    pub damaged: bool,
    /// Stretches of text that could not be framed.
    pub damaged_stretches: u64,
    /// Whether the sink had enough before the end.
    pub stopped: bool,
}

impl Outcome {
    /// Adds all that to the counts of the whole input.
    pub fn add_to(&self, stats: &Stats) {
        stats.events.fetch_add(self.events, Relaxed);
        stats.insights.fetch_add(self.insights, Relaxed);
        stats.aggregated.fetch_add(self.aggregated, Relaxed);
        stats.salvaged.fetch_add(self.salvaged, Relaxed);
        stats.duplicates.fetch_add(self.duplicates, Relaxed);
        stats.bytes_inflated.fetch_add(self.inflated_bytes, Relaxed);
        stats.empty_objects.fetch_add(self.empty.into(), Relaxed);
        stats
            .damaged_objects
            .fetch_add(self.damaged.into(), Relaxed);
    }
}

/// Takes wrappers off. Keeps its buffers from payload to payload; one for each thread.
#[derive(Default)]
pub struct Extractor {
    inflater: compression::Inflater,
    levels: Vec<Level>,
    whole: Vec<u8>,
    window: Vec<u8>,
}

/// The buffers of one level of nesting.
struct Level {
    tape: Tape,
    salvage: Tape,
    text: String,
    bytes: Vec<u8>,
}

impl Default for Level {
    fn default() -> Self {
        Self {
            tape: Tape::new(classify::LIST_KEYS),
            salvage: Tape::new(classify::LIST_KEYS),
            text: String::new(),
            bytes: Vec::new(),
        }
    }
}

/// The payload at hand.
struct Job<'s> {
    sink: &'s mut dyn RecordSink,
    location: InputLocation,
    outcome: Outcome,
    /// Damage that reaches beyond the window.
    damage: Option<windows::Damage>,
    /// A document larger than the window, taken apart between elements.
    split: Option<windows::Split>,
}

/// Where in a payload we are, and what is known about it.
#[derive(Clone, Copy)]
struct Place {
    /// Offset in the payload, after decompression, of the text's first byte (of the document around
    /// it, if it is nested).
    byte: u64,
    /// Wrappers taken off so far.
    depth: usize,
    /// Whether the text is part of something damaged.
    damaged: bool,
    /// When it was delivered, where the key or a wrapper says so.
    delivered_micros: Option<i64>,
    /// What to count it as if it turns out to be no CloudTrail.
    otherwise: ForeignKind,
}

impl Extractor {
    /// Hands every record of `payload` to `sink`.
    pub fn extract(&mut self, payload: Payload, sink: &mut dyn RecordSink) -> Outcome {
        let Payload {
            origin,
            body,
            delivered_micros,
            resume: _,
        } = payload;
        match body {
            Body::Whole(bytes) => {
                let mut job = Job::new(origin, sink);
                self.whole(&mut job, &bytes, Place::top(delivered_micros));
                job.outcome
            }
            Body::Stream(reader) => self.extract_stream(origin, delivered_micros, reader, sink),
        }
    }

    /// Hands every record of the object that `reader` reads to `sink`, reading as it goes.
    ///
    /// The reader may borrow and stay on its thread, unlike the one in a [`Payload`].
    pub fn extract_stream(
        &mut self,
        origin: Arc<str>,
        delivered_micros: Option<i64>,
        reader: impl Read,
        sink: &mut dyn RecordSink,
    ) -> Outcome {
        let mut job = Job::new(origin, sink);
        self.stream(&mut job, reader, Place::top(delivered_micros));
        job.outcome
    }

    /// Bytes that are at hand: inflated at once where that is possible, else as a stream.
    fn whole(&mut self, job: &mut Job<'_>, bytes: &[u8], place: Place) {
        let mut buffer = std::mem::take(&mut self.whole);
        match self.inflater.whole(bytes, &mut buffer, WHOLE_BYTES) {
            Some(text) if magic::compression(text).is_none() => {
                job.outcome.inflated_bytes += text.len() as u64;
                self.top(job, text, place);
            }
            _ => self.stream(job, bytes, place),
        }
        self.whole = buffer;
    }

    fn stream<'r>(&mut self, job: &mut Job<'_>, reader: impl Read + 'r, place: Place) {
        let mut stream = compression::Stream::new(reader);
        self.windows(job, &mut stream, place);
        let faults = stream.faults();
        if !faults.is_empty() {
            job.all_is_salvage();
        }
        for fault in faults {
            let location = job.location.at_byte(fault.byte);
            job.reject(location, fault.reason, fault.detail, b"");
        }
    }

    fn take_level(&mut self, depth: usize) -> Level {
        if self.levels.len() <= depth {
            self.levels.resize_with(depth + 1, Level::default);
        }
        std::mem::take(&mut self.levels[depth])
    }

    fn put_level(&mut self, depth: usize, level: Level) {
        self.levels[depth] = level;
    }
}

impl Place {
    /// The start of a payload.
    fn top(delivered_micros: Option<i64>) -> Self {
        Self {
            byte: 0,
            depth: 0,
            damaged: false,
            delivered_micros,
            otherwise: ForeignKind::OtherJson,
        }
    }

    /// One wrapper further in, at the same byte.
    fn inside(self, otherwise: ForeignKind) -> Self {
        Self {
            depth: self.depth + 1,
            otherwise,
            ..self
        }
    }

    /// The same, `offset` bytes on; what is nested keeps the place of the document around it.
    fn ahead(self, offset: usize) -> Self {
        let offset = if self.depth == 0 { offset as u64 } else { 0 };
        Self {
            byte: self.byte + offset,
            ..self
        }
    }
}

impl<'s> Job<'s> {
    fn new(origin: Arc<str>, sink: &'s mut dyn RecordSink) -> Self {
        Self {
            sink,
            location: InputLocation::new(origin),
            outcome: Outcome::default(),
            damage: None,
            split: None,
        }
    }
}

impl Job<'_> {
    fn record(
        &mut self,
        (text, span): (&str, Span),
        members: &[Member],
        kind: RecordKind,
        place: Place,
    ) {
        if self.outcome.stopped {
            return;
        }
        let taken = self.sink.record(&Record {
            text,
            span,
            members,
            kind,
            origin: &self.location.origin,
            byte: place.byte,
            delivered_micros: place.delivered_micros,
        });
        let outcome = &mut self.outcome;
        match taken {
            Taken::Duplicate => outcome.duplicates += 1,
            Taken::Skipped => {}
            Taken::Enough => outcome.stopped = true,
            Taken::Row if place.damaged => outcome.salvaged += 1,
            Taken::Row => match kind {
                RecordKind::Event => outcome.events += 1,
                RecordKind::Insight => outcome.insights += 1,
                RecordKind::Aggregated => outcome.aggregated += 1,
            },
        }
    }

    /// Counts something sound that is not CloudTrail.
    fn not_cloudtrail(&mut self, kind: ForeignKind) {
        self.sink.not_cloudtrail(kind.label(), 1);
    }

    fn reject(&mut self, at: InputLocation, reason: &'static str, detail: String, bytes: &[u8]) {
        self.outcome.damaged = true;
        self.sink.reject(&Reject {
            location: at,
            reason,
            detail,
            bytes,
        });
    }

    /// The object as a whole turned out damaged: its records are salvage.
    fn all_is_salvage(&mut self) {
        self.salvage_since(&Outcome::default());
    }

    /// What came since `before` was part of something damaged.
    fn salvage_since(&mut self, before: &Outcome) {
        let outcome = &mut self.outcome;
        for (now, before) in [
            (&mut outcome.events, before.events),
            (&mut outcome.insights, before.insights),
            (&mut outcome.aggregated, before.aggregated),
        ] {
            outcome.salvaged += *now - before;
            *now = before;
        }
    }
}
