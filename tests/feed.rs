//! Feeds bytes to an extractor and keeps what comes out, with the checks that hold for any input.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};

use auroratrail::envelope::{Extractor, Outcome, Record, RecordKind, RecordSink, Taken};
use auroratrail::payload::{Body, Payload};
use auroratrail::reject::Reject;
use bytes::Bytes;
use serde::de::IgnoredAny;
use serde_json::Value;

/// What came out of a payload.
#[derive(Default, PartialEq)]
pub struct Fed {
    /// The records' texts.
    pub records: Vec<String>,
    /// The records in CloudTrail's spelling.
    pub spelled: Vec<Value>,
    pub kinds: Vec<RecordKind>,
    pub delivered: Vec<Option<i64>>,
    /// The rejects' reasons and details.
    pub rejects: Vec<String>,
    pub other: BTreeMap<&'static str, u64>,
    pub outcome: Outcome,
}

/// Without the records' texts, which would fill the screen.
impl fmt::Debug for Fed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fed")
            .field("records", &self.records.len())
            .field("rejects", &self.rejects)
            .field("other", &self.other)
            .field("outcome", &self.outcome)
            .finish()
    }
}

impl RecordSink for Fed {
    fn record(&mut self, record: &Record<'_>) -> Taken {
        let whole: Result<IgnoredAny, _> = serde_json::from_str(record.json());
        assert!(whole.is_ok(), "not JSON: {}", record.json());
        let as_it_came = record.original.is_none();
        for member in record.members.iter().filter(|_| as_it_came) {
            let end = member.value.raw(record.text);
            assert!(record.json().contains(end), "a member of another record");
        }
        self.records.push(record.json().to_owned());
        self.spelled.push(value(record.span.raw(record.text)));
        self.kinds.push(record.kind);
        self.delivered.push(record.delivered_micros);
        Taken::Row
    }

    fn not_cloudtrail(&mut self, kind: &'static str, count: u64) {
        *self.other.entry(kind).or_default() += count;
    }

    fn reject(&mut self, reject: &Reject<'_>) {
        self.rejects
            .push(format!("{}: {}", reject.reason, reject.detail));
    }
}

impl Fed {
    /// The records as values; a record that serde_json does not take as a string of its text.
    pub fn values(&self) -> Vec<Value> {
        self.records.iter().map(|text| value(text)).collect()
    }

    /// How many things are no CloudTrail.
    pub fn others(&self) -> u64 {
        self.other.values().sum()
    }
}

/// `text` as a value.
pub fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

/// Feeds `bytes` in one piece.
pub fn feed(bytes: impl Into<Bytes>) -> Fed {
    feed_body(&mut Extractor::default(), Body::Whole(bytes.into()))
}

/// Feeds `bytes` as a stream that gives them in pieces of these sizes, over and over.
pub fn feed_stream(bytes: &[u8], pieces: &[usize]) -> Fed {
    let trickle = Trickle {
        bytes: bytes.to_vec(),
        pieces: pieces.to_vec(),
        ..Trickle::default()
    };
    feed_body(&mut Extractor::default(), Body::Stream(Box::new(trickle)))
}

/// Feeds `body` and checks that the outcome adds up.
pub fn feed_body(extractor: &mut Extractor, body: Body) -> Fed {
    let mut fed = Fed::default();
    let outcome = extractor.extract(payload(body), &mut fed);
    // UTF-16 counts as it came or as UTF-8, whichever is at hand.
    fed.outcome = Outcome {
        decompressed_bytes: 0,
        ..outcome
    };
    check(&outcome, fed.records.len(), fed.rejects.len());
    let count = |kind| fed.kinds.iter().filter(|&&of| of == kind).count() as u64;
    if outcome.salvaged == 0 {
        assert_eq!(outcome.events, count(RecordKind::Event));
        assert_eq!(outcome.insights, count(RecordKind::Insight));
        assert_eq!(outcome.aggregated, count(RecordKind::Aggregated));
    }
    if fed.others() > 0 || !fed.records.is_empty() {
        assert!(!outcome.empty, "{outcome:?}");
    }
    fed
}

/// Checks what holds for every outcome.
pub fn check(outcome: &Outcome, records: usize, rejects: usize) {
    assert_eq!(
        outcome.events + outcome.insights + outcome.aggregated + outcome.salvaged,
        records as u64,
        "{outcome:?}"
    );
    assert_eq!(outcome.duplicates, 0);
    assert!(!outcome.stopped);
    assert!(outcome.damaged_stretches <= rejects as u64, "{outcome:?}");
    assert!(!outcome.damaged || rejects > 0, "{outcome:?}");
    assert!(outcome.salvaged == 0 || outcome.damaged, "{outcome:?}");
}

/// `body` as the object `made`.
pub fn payload(body: Body) -> Payload {
    Payload::new("made", body)
}

/// A reader that gives little at a time, is interrupted now and then, and may fail in the end.
#[derive(Default)]
pub struct Trickle {
    pub bytes: Vec<u8>,
    pub pieces: Vec<usize>,
    pub fails: bool,
    pub at: usize,
    pub calls: usize,
}

impl Read for Trickle {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.calls += 1;
        if self.calls % 97 == 5 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let left = &self.bytes[self.at..];
        if left.is_empty() && self.fails {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let piece = self.pieces[self.calls % self.pieces.len()];
        let count = piece.min(buffer.len()).min(left.len());
        buffer[..count].copy_from_slice(&left[..count]);
        self.at += count;
        Ok(count)
    }
}
