//! The location of a byte in some input.

use std::sync::Arc;

/// An input and, if it is known, a byte in it.
///
/// ```
/// use auroratrail::input_location::InputLocation;
///
/// let location = InputLocation::new("logs/a.json.gz").at_byte(8112);
/// assert_eq!(location.to_string(), "logs/a.json.gz@8112");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InputLocation {
    /// The path of a file, the URL of an object, `-` for standard input.
    pub origin: Arc<str>,
    /// Offset in the decompressed input, bytes.
    pub byte: Option<u64>,
}

impl InputLocation {
    /// Refers to the input as a whole.
    pub fn new(origin: impl Into<Arc<str>>) -> Self {
        Self {
            origin: origin.into(),
            byte: None,
        }
    }

    /// Returns the location of `byte` in the same input.
    #[must_use]
    pub fn at_byte(&self, byte: u64) -> Self {
        Self {
            origin: Arc::clone(&self.origin),
            byte: Some(byte),
        }
    }
}

impl std::fmt::Display for InputLocation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.byte {
            Some(byte) => write!(f, "{}@{byte}", self.origin),
            None => f.write_str(&self.origin),
        }
    }
}
