//! Payload in, CloudTrail records and rejects out. No clock, and no I/O of its own but a temporary file
//! for what is not read from begin to end. Rows of Parquet and Arrow files become JSON text at once, so that
//! there is one way of an event.
//!
//! Wrappers are recognised by content, never by a file's name, and nest (a gzip in a Firehose record
//! in a gzip ...) down to [`MAX_WRAPPERS`]. A new form of JSON is a line in the table of `classify`;
//! a new kind of content has its few lines in `wrapper`, a new compression in `magic` and
//! `compression`.
//!
//! ```text
//! bytes --compression--> text --documents--> JSON documents --classify--> records
//!             ^                                                   |
//!             +------- wrapper: base64, strings, arrays <---------+
//!             +------- search: any value of the unknown <---------+
//! ```
//!
//! Known wrappers are the fast way. JSON that is none is searched, value by value, before it is called
//! something else. A record in another spelling, say that of a database, is put into CloudTrail's.
//!
//! Each part of a payload has one of three outcomes: a record goes to [`RecordSink::record`], sound
//! input that is not a CloudTrail event is counted by kind, and damage becomes a reject. The records
//! of a damaged document that can still be framed count apart, as salvaged.

mod archive;
mod classify;
mod column_json;
mod columnar;
mod compression;
mod csv_rows;
mod documents;
mod encoded;
mod foreign;
mod gzip;
mod hadoop_snappy;
mod kpl;
mod lines;
mod magic;
mod members;
mod redact;
mod salvage;
mod search;
mod spelling;
mod spool;
mod text;
mod windows;
mod wrapper;

use std::io::Read;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::input_location::InputLocation;
use crate::json::{Member, Span, Tape};
use crate::payload::{Body, Payload};
use crate::reject::Reject;
use crate::stats::Stats;

use foreign::ForeignKind;

pub use classify::RecordKind;
pub use redact::{HIDDEN, Redactor};

/// Most wrappers inside each other. The deepest that AWS makes is five (SQS, SNS, S3 notice, gzip,
/// log file).
pub const MAX_WRAPPERS: usize = 12;

/// Largest size of compressed content of a wrapper once it is decompressed, bytes. Kinesis carries
/// 10 MiB in a record and Lambda 6 MiB in an event, so more is a bomb.
pub const MAX_NESTED_BYTES: usize = 64 << 20;

/// Largest size of an object once it is decompressed, bytes. Larger ones are cut off there, with a
/// reject that says so.
pub const MAX_DECOMPRESSED_BYTES: u64 = 64 << 30;

/// Largest size of a decompressed object that is taken in one piece, bytes; larger ones pass through
/// a window.
const WHOLE_BYTES: usize = 32 << 20;

/// Size of the window through which larger objects pass, bytes.
const WINDOW_BYTES: usize = 4 << 20;

/// Largest size of a document that cannot be taken apart, bytes. A CloudTrail event has 256 KB at
/// most (1 MB in CloudTrail Lake).
const MAX_DOCUMENT_BYTES: usize = 64 << 20;

/// The reason for rejects of content in a format that is known and not read.
const UNREAD_FORMAT: &str = "unread format";

/// A CloudTrail record, still JSON.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The text that the spans point into; valid JSON where they point.
    pub text: &'a str,
    /// The record's span, an object.
    pub span: Span,
    /// The record's members.
    pub members: &'a [Member],
    /// The record as it came, if `span` is CloudTrail's spelling of it.
    pub original: Option<&'a str>,
    /// The sort of record.
    pub kind: RecordKind,
    /// The path or URL of the object with the record.
    pub origin: &'a Arc<str>,
    /// Offset of the record, or of the document that wraps it, in the decompressed object, bytes.
    pub byte: u64,
    /// The time of delivery, microseconds since 1970 UTC, if it is known.
    pub delivered_micros: Option<i64>,
}

impl<'a> Record<'a> {
    /// Returns the record's JSON text, byte for byte as it came.
    pub fn json(&self) -> &'a str {
        self.original.unwrap_or_else(|| self.span.raw(self.text))
    }
}

/// A [`RecordSink`]'s answer to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The record is (or would be, but for a filter) a row.
    Row,
    /// The record was there before.
    Duplicate,
    /// The record was handed down by an earlier run, and is not counted again.
    Skipped,
    /// The record is a row, and no more records are wanted.
    Enough,
    /// The record was not taken, and no more records are wanted.
    Refused,
}

/// A receiver of records.
pub trait RecordSink {
    /// Takes a record.
    fn record(&mut self, record: &Record<'_>) -> Taken;
    /// Counts sound input that is not a CloudTrail event.
    fn not_cloudtrail(&mut self, kind: &'static str, count: u64);
    /// Takes input that is damaged.
    fn reject(&mut self, reject: &Reject<'_>);
}

/// Counts of one payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// API calls and service events in sound documents.
    pub events: u64,
    /// Insights events in sound documents.
    pub insights: u64,
    /// Aggregated events in sound documents.
    pub aggregated: u64,
    /// Records of any kind in damaged documents.
    pub salvaged: u64,
    /// Records that the sink had before.
    pub duplicates: u64,
    /// Size after decompression, bytes.
    pub decompressed_bytes: u64,
    /// Whether the payload was empty or white space.
    pub empty: bool,
    /// Whether any part of the payload was damaged.
    pub damaged: bool,
    /// Stretches of text that could not be framed.
    pub damaged_stretches: u64,
    /// Whether the sink had enough before the end.
    pub stopped: bool,
}

impl Outcome {
    /// Adds the counts to those of the whole input.
    pub fn add_to(&self, stats: &Stats) {
        stats.events.fetch_add(self.events, Relaxed);
        stats.insights.fetch_add(self.insights, Relaxed);
        stats.aggregated.fetch_add(self.aggregated, Relaxed);
        stats.salvaged.fetch_add(self.salvaged, Relaxed);
        stats.duplicates.fetch_add(self.duplicates, Relaxed);
        stats
            .bytes_inflated
            .fetch_add(self.decompressed_bytes, Relaxed);
        stats.empty_objects.fetch_add(self.empty.into(), Relaxed);
        stats
            .damaged_objects
            .fetch_add(self.damaged.into(), Relaxed);
    }

    /// Counts what came after `before` as salvaged: it was part of something damaged.
    fn salvage_since(&mut self, before: &Outcome) {
        for (now, before) in [
            (&mut self.events, before.events),
            (&mut self.insights, before.insights),
            (&mut self.aggregated, before.aggregated),
        ] {
            self.salvaged += *now - before;
            *now = before;
        }
    }
}

/// Takes wrappers off. Keeps its buffers from payload to payload; each thread has its own.
#[derive(Default)]
pub struct Extractor {
    decompressor: compression::Decompressor,
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

/// The extraction of one payload.
struct Job<'s> {
    sink: &'s mut dyn RecordSink,
    location: InputLocation,
    outcome: Outcome,
    /// Damage that reaches beyond the window.
    damage: Option<windows::OpenDamage>,
    /// A document larger than the window, taken apart between elements.
    split: Option<windows::SplitDocument>,
    /// What the search of unknown JSON has found so far.
    search: search::State,
    /// Text of all streams and archives so far, bytes.
    text_bytes: u64,
    /// The path in the archive of the file that is read.
    entry: Option<String>,
    /// Archives around the content that is read.
    archives: usize,
    /// The faults of the stream that is read.
    faults: compression::Faults,
    /// Rejects so far.
    rejects: u64,
}

/// The facts about a document that come from around it.
#[derive(Clone, Copy)]
struct DocumentContext {
    /// Offset in the decompressed payload of the text's first byte, or of the outermost document
    /// around nested text.
    byte: u64,
    /// Wrappers taken off so far.
    depth: usize,
    /// Whether the text is part of something damaged.
    damaged: bool,
    /// Containers of unknown JSON around the text, in all the texts around it.
    containers: u32,
    /// The time of delivery, microseconds since 1970 UTC, if the key or a wrapper has it.
    delivered_micros: Option<i64>,
    /// The kind to count a document as that turns out to be unknown.
    fallback: ForeignKind,
}

/// A piece of text that holds JSON documents.
#[derive(Clone, Copy)]
struct Chunk<'a> {
    text: &'a str,
    /// Whether no more text follows.
    is_last: bool,
    context: DocumentContext,
}

/// A value in some text, with its members if it is an object.
#[derive(Clone, Copy)]
struct ValueRef<'a> {
    text: &'a str,
    span: Span,
    members: &'a [Member],
    /// The tape on which the value is the root.
    tape: Option<&'a Tape>,
}

impl Extractor {
    /// Hands every record of `payload` to `sink`.
    pub fn extract(&mut self, payload: Payload, sink: &mut dyn RecordSink) -> Outcome {
        let Payload {
            origin,
            body,
            delivered_micros,
            ..
        } = payload;
        match body {
            Body::Whole(bytes) => {
                let mut job = Job::new(origin, sink);
                self.extract_whole(&mut job, &bytes, DocumentContext::root(delivered_micros));
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
        self.extract_reader(&mut job, reader, DocumentContext::root(delivered_micros));
        job.outcome
    }

    /// Extracts from bytes at hand: at once if they decompress in one go, else as a stream.
    fn extract_whole(&mut self, job: &mut Job<'_>, bytes: &[u8], context: DocumentContext) {
        if magic::archive(bytes).is_some() {
            job.count_text(bytes.len());
            return self.extract_bytes(job, bytes, context);
        }
        let mut buffer = std::mem::take(&mut self.whole);
        let decompressed = self
            .decompressor
            .decompress(bytes, &mut buffer, WHOLE_BYTES);
        match decompressed {
            Some(text) if magic::compression(text).is_none() => {
                job.count_text(text.len());
                self.extract_bytes(job, text, context);
            }
            _ => self.extract_reader(job, bytes, context),
        }
        self.whole = buffer;
    }

    fn extract_reader(&mut self, job: &mut Job<'_>, reader: impl Read, context: DocumentContext) {
        let before = job.outcome;
        let limit = MAX_DECOMPRESSED_BYTES.saturating_sub(job.text_bytes);
        let mut stream = compression::Stream::new(reader, limit);
        let outer = std::mem::replace(&mut job.faults, stream.faults());
        self.extract_windows(job, &mut stream, context);
        job.faults = outer;
        let faults = stream.take_faults();
        if faults.iter().any(|fault| fault.harms_text) {
            job.outcome.salvage_since(&before);
            // What could not be read was not empty.
            job.outcome.empty = before.empty;
        }
        for fault in faults {
            let location = job.location.at_byte(fault.byte);
            job.reject(location, fault.reason, fault.detail, b"");
        }
    }

    fn level(&mut self, depth: usize) -> &mut Level {
        if self.levels.len() <= depth {
            self.levels.resize_with(depth + 1, Level::default);
        }
        &mut self.levels[depth]
    }
}

impl DocumentContext {
    /// Creates the context of a whole payload.
    fn root(delivered_micros: Option<i64>) -> Self {
        Self {
            byte: 0,
            depth: 0,
            damaged: false,
            containers: 0,
            delivered_micros,
            fallback: ForeignKind::OtherJson,
        }
    }

    /// Returns the context one wrapper further in.
    fn nested(self) -> Self {
        Self {
            depth: self.depth + 1,
            ..self
        }
    }

    /// Returns the context of content that counts as `fallback` if it turns out to be unknown.
    fn with_fallback(self, fallback: ForeignKind) -> Self {
        Self { fallback, ..self }
    }

    /// Returns the context of the JSON made of the CSV row `byte` bytes on.
    fn csv_row(self, byte: u64) -> Self {
        let row = self.with_fallback(ForeignKind::CsvRow);
        Self {
            byte: self.byte + byte,
            ..row.nested()
        }
    }

    /// Returns the context of text `offset` bytes on. Nested text keeps the offset of the document
    /// around it.
    fn at_offset(self, offset: usize) -> Self {
        let offset = if self.depth == 0 { offset as u64 } else { 0 };
        Self {
            byte: self.byte + offset,
            ..self
        }
    }
}

impl<'a> Chunk<'a> {
    /// Creates a chunk of text that is all there.
    fn whole(text: &'a str, context: DocumentContext) -> Self {
        Self {
            text,
            is_last: true,
            context,
        }
    }
}

impl<'a> ValueRef<'a> {
    /// Refers to the document at `range`, whose parts are on `tape`.
    fn document(text: &'a str, tape: &'a Tape, range: Range<usize>) -> Self {
        let span = Span {
            start: range.start as u32,
            end: range.end as u32,
            // Unless it is a string, this has no meaning.
            escaped: true,
        };
        Self {
            text,
            span,
            members: &tape.root,
            tape: Some(tape),
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
            search: search::State::default(),
            text_bytes: 0,
            entry: None,
            archives: 0,
            faults: compression::Faults::default(),
            rejects: 0,
        }
    }

    fn record(
        &mut self,
        value: ValueRef<'_>,
        original: Option<&str>,
        kind: RecordKind,
        context: DocumentContext,
    ) {
        self.search.found();
        if self.outcome.stopped || self.search.has_copy(value) {
            return;
        }
        let taken = self.sink.record(&Record {
            text: value.text,
            span: value.span,
            members: value.members,
            original,
            kind,
            origin: &self.location.origin,
            byte: context.byte,
            delivered_micros: context.delivered_micros,
        });
        let outcome = &mut self.outcome;
        outcome.stopped = matches!(taken, Taken::Enough | Taken::Refused);
        match taken {
            Taken::Duplicate => outcome.duplicates += 1,
            Taken::Skipped | Taken::Refused => {}
            Taken::Row | Taken::Enough if context.damaged => outcome.salvaged += 1,
            Taken::Row | Taken::Enough => match kind {
                RecordKind::Event => outcome.events += 1,
                RecordKind::Insight => outcome.insights += 1,
                RecordKind::Aggregated => outcome.aggregated += 1,
            },
        }
    }

    /// Counts sound input that is not CloudTrail, at once or when the search around it has ended.
    fn not_cloudtrail(&mut self, kind: ForeignKind) {
        if self.search.holds(kind) {
            return;
        }
        self.sink.not_cloudtrail(kind.label(), 1);
    }

    /// Counts text that was read.
    fn count_text(&mut self, bytes: usize) {
        self.outcome.decompressed_bytes += bytes as u64;
        self.text_bytes += bytes as u64;
    }

    /// Rejects content in a format that is known and not read, with `place` after the advice. Returns
    /// whether it was.
    fn unread_format(&mut self, bytes: &[u8], context: DocumentContext, place: &str) -> bool {
        let detail = if magic::compression(bytes).is_some() {
            format!("compressed more than four times over: decompress it first{place}")
        } else if let Some((name, advice)) = magic::unread_format(bytes) {
            format!("{name}: {advice}{place}")
        } else if context.depth > 0 && magic::archive(bytes).is_some() {
            format!("archive: unpack it and read the files{place}")
        } else {
            return false;
        };
        let location = self.location.at_byte(context.byte);
        self.reject(location, UNREAD_FORMAT, detail, b"");
        true
    }

    fn reject(&mut self, at: InputLocation, reason: &'static str, detail: String, bytes: &[u8]) {
        self.outcome.damaged = true;
        self.search.found();
        self.rejects += 1;
        let detail = match &self.entry {
            Some(entry) => format!("{entry}: {detail}"),
            None => detail,
        };
        self.sink.reject(&Reject {
            location: at,
            reason,
            detail,
            bytes,
        });
    }
}
