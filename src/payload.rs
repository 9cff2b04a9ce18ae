//! What sources hand down and envelopes take apart: bytes, and where they came from.

use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;

/// One object's bytes as they are stored, perhaps compressed.
pub struct Payload {
    /// The path or URL that users see as `source_uri` and in messages.
    pub origin: Arc<str>,
    /// The bytes.
    pub body: Body,
    /// When AWS delivered it, microseconds since 1970 UTC, where the key or the store says so.
    pub delivered_micros: Option<i64>,
}

/// A payload's bytes: at hand, or too many for that.
pub enum Body {
    /// All of it, in memory.
    Whole(Bytes),
    /// To be read piece by piece; reads block.
    Stream(Box<dyn Read + Send>),
}
