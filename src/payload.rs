//! Payloads: the bytes of an object and their origin, on the way from a source to the envelope.

use std::any::Any;
use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;

/// Bytes of one object or record as they are stored, perhaps compressed.
pub struct Payload {
    /// The path or URL that users see as `source_uri` and in messages.
    pub origin: Arc<str>,
    /// The bytes.
    pub body: Body,
    /// The time of delivery, microseconds since 1970 UTC, where the key or the store tells it.
    pub delivered_micros: Option<i64>,
    /// The way to hand out the rest later, if the payload can be cut off in its midst.
    pub resume: Option<Resume>,
    /// The version of the object, where the listing tells it.
    pub version: Option<ObjectVersion>,
    /// The rows that a consumer keeps of this object; `body` is empty then.
    pub known: Option<Known>,
}

/// The rows of an object that was decoded before, in the form of the consumer that keeps them.
pub type Known = Arc<dyn Any + Send + Sync>;

/// A version of an object: two of one name that are equal have the same content.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ObjectVersion {
    /// Bytes as stored.
    pub size_bytes: u64,
    /// The ETag of an object, or the number and times of a file.
    pub tag: Box<str>,
}

/// The way to go on with a payload that was cut off.
///
/// The source hands out the same bytes again, and the pipeline leaves out the first items.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resume {
    /// The name of the payload in a checkpoint, the same in every process.
    pub key: String,
    /// Items (records, rejects and counts of other things) at its start that were handed down
    /// before.
    pub skip_items: u64,
}

/// The bytes of a payload: at hand, or too many for that.
pub enum Body {
    /// All bytes, in memory.
    Whole(Bytes),
    /// Bytes to be read piece by piece. A read blocks, or fails with `WouldBlock` where nothing is
    /// there for now: then it is repeated, after a pause that the reader has made.
    Stream(Box<dyn Read + Send>),
}

impl Payload {
    /// A payload of unknown delivery, which cannot be cut off.
    pub fn new(origin: impl Into<Arc<str>>, body: Body) -> Self {
        Self {
            origin: origin.into(),
            body,
            delivered_micros: None,
            resume: None,
            version: None,
            known: None,
        }
    }
}
