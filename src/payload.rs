//! Payloads: the bytes of an object and their origin, on the way from a source to the envelope.

use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;

/// One object's bytes as they are stored, perhaps compressed.
pub struct Payload {
    /// The path or URL that users see as `source_uri` and in messages.
    pub origin: Arc<str>,
    /// The bytes.
    pub body: Body,
    /// The time of delivery, microseconds since 1970 UTC, if the key or the store has it.
    pub delivered_micros: Option<i64>,
}

/// The bytes of a payload, in memory or too many for that.
pub enum Body {
    /// All bytes, in memory.
    Whole(Bytes),
    /// A reader that gives the bytes piece by piece; its reads block.
    Stream(Box<dyn Read + Send>),
}
