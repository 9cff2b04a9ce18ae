//! Finds its way in JSON text without taking it apart: a validating scanner, and a shallow table
//! of where the members of a document are.
//!
//! Everything downstream rests on one promise: text that went through here is JSON to its last
//! byte (RFC 8259), so whether a record counts never depends on which of its columns somebody asks
//! for. What makes that affordable is that strings, most of an event's bytes, are stepped over
//! sixteen bytes at a time, and that nothing is unescaped, copied or allocated per value. A lone
//! surrogate escape (`\ud800`) is grammatical and passes; it reads as U+FFFD.
//!
//! Measured against the parsers that were in the running in `benches/decode.rs`.

mod string;
mod tape;

pub use string::{unescape, unescape_into};
pub use tape::{Array, Element, Member, Parsed, Tape};

use string::skip_string;

/// Containers may lie this deep inside each other. CloudTrail's own records stay below 20; the
/// limit keeps hostile input from being work, not from being readable.
pub const MAX_DEPTH: u32 = 127;

/// Why text is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The text ended inside a value.
    Incomplete,
    /// This byte cannot stand here.
    Invalid {
        /// Offset of the byte.
        at: usize,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// Shorthand for scanning functions: an offset, or why there is none.
type Scan = Result<usize, Fault>;

fn invalid(at: usize, why: &'static str) -> Fault {
    Fault::Invalid { at, why }
}

/// The offset of the first byte at or after `at` that is no white space.
#[inline(always)]
pub fn skip_space(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = text.get(at) {
        at += 1;
    }
    at
}

/// Validates the value that starts at `at` and gives the offset behind it.
///
/// # Errors
/// Where and why it is not JSON. [`Fault::Incomplete`] also when the text ends right behind a
/// number at depth 0 would be legal: a number needs no terminator, so that case is a value.
pub fn skip_value(text: &[u8], at: usize) -> Result<usize, Fault> {
    match text.get(at) {
        Some(b'"') => Ok(skip_string(text, at)?.0),
        Some(b'{' | b'[') => skip_container(text, at, 0),
        Some(_) => skip_scalar(text, at),
        None => Err(Fault::Incomplete),
    }
}

/// Validates the object or array that starts at `at`, itself `depth` containers deep.
///
/// The open containers are one bit each, so there is no recursion and no stack to allocate.
fn skip_container(text: &[u8], mut at: usize, depth: u32) -> Scan {
    let mut open = Open {
        bits: 0,
        depth,
        floor: depth,
    };
    'value: loop {
        // `at` is where a value has to start.
        match text.get(at) {
            Some(b'"') => at = skip_string(text, at)?.0,
            Some(b'{') => {
                open.push(true, at)?;
                at = skip_space(text, at + 1);
                if text.get(at) == Some(&b'}') {
                    at += 1;
                    open.pop();
                } else {
                    at = skip_key(text, at)?;
                    continue 'value;
                }
            }
            Some(b'[') => {
                open.push(false, at)?;
                at = skip_space(text, at + 1);
                if text.get(at) == Some(&b']') {
                    at += 1;
                    open.pop();
                } else {
                    continue 'value;
                }
            }
            Some(_) => at = skip_scalar(text, at)?,
            None => return Err(Fault::Incomplete),
        }
        // A value ended; what may follow depends on what it is in.
        while open.depth > open.floor {
            at = skip_space(text, at);
            match (text.get(at), open.in_object()) {
                (Some(b','), true) => {
                    at = skip_key(text, skip_space(text, at + 1))?;
                    continue 'value;
                }
                (Some(b','), false) => {
                    at = skip_space(text, at + 1);
                    continue 'value;
                }
                (Some(b'}'), true) | (Some(b']'), false) => {
                    at += 1;
                    open.pop();
                }
                (Some(_), true) => return Err(invalid(at, "expected ',' or '}'")),
                (Some(_), false) => return Err(invalid(at, "expected ',' or ']'")),
                (None, _) => return Err(Fault::Incomplete),
            }
        }
        return Ok(at);
    }
}

/// The containers that are open, innermost in the lowest bit: 1 is an object.
struct Open {
    bits: u128,
    depth: u32,
    floor: u32,
}

impl Open {
    #[inline(always)]
    fn push(&mut self, object: bool, at: usize) -> Result<(), Fault> {
        if self.depth >= MAX_DEPTH {
            return Err(invalid(at, "nested too deep"));
        }
        self.bits = (self.bits << 1) | u128::from(object);
        self.depth += 1;
        Ok(())
    }

    #[inline(always)]
    fn pop(&mut self) {
        self.bits >>= 1;
        self.depth -= 1;
    }

    #[inline(always)]
    fn in_object(&self) -> bool {
        self.bits & 1 == 1
    }
}

/// Steps over `"key" :` and the space behind it.
#[inline(always)]
fn skip_key(text: &[u8], at: usize) -> Scan {
    match text.get(at) {
        Some(b'"') => skip_colon(text, skip_string(text, at)?.0),
        Some(_) => Err(invalid(at, "expected a key in quotes")),
        None => Err(Fault::Incomplete),
    }
}

#[inline(always)]
fn skip_colon(text: &[u8], at: usize) -> Scan {
    let at = skip_space(text, at);
    match text.get(at) {
        Some(b':') => Ok(skip_space(text, at + 1)),
        Some(_) => Err(invalid(at, "expected ':'")),
        None => Err(Fault::Incomplete),
    }
}

/// Steps over a number, `true`, `false` or `null`.
fn skip_scalar(text: &[u8], at: usize) -> Scan {
    match text[at] {
        b't' => skip_word(text, at, b"true"),
        b'f' => skip_word(text, at, b"false"),
        b'n' => skip_word(text, at, b"null"),
        b'-' | b'0'..=b'9' => skip_number(text, at),
        _ => Err(invalid(at, "expected a value")),
    }
}

fn skip_word(text: &[u8], at: usize, word: &'static [u8]) -> Scan {
    let rest = &text[at..];
    if rest.starts_with(word) {
        Ok(at + word.len())
    } else if word.starts_with(rest) {
        Err(Fault::Incomplete)
    } else {
        Err(invalid(at, "expected true, false or null"))
    }
}

fn skip_number(text: &[u8], mut at: usize) -> Scan {
    if text[at] == b'-' {
        at += 1;
    }
    match text.get(at) {
        Some(b'0') => at += 1,
        Some(b'1'..=b'9') => at = skip_digits(text, at),
        Some(_) => return Err(invalid(at, "expected a digit")),
        None => return Err(Fault::Incomplete),
    }
    if text.get(at) == Some(&b'.') {
        at = skip_some_digits(text, at + 1)?;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        at += 1;
        if let Some(b'+' | b'-') = text.get(at) {
            at += 1;
        }
        at = skip_some_digits(text, at)?;
    }
    Ok(at)
}

fn skip_some_digits(text: &[u8], at: usize) -> Scan {
    match text.get(at) {
        Some(b'0'..=b'9') => Ok(skip_digits(text, at)),
        Some(_) => Err(invalid(at, "expected a digit")),
        None => Err(Fault::Incomplete),
    }
}

fn skip_digits(text: &[u8], mut at: usize) -> usize {
    while let Some(b'0'..=b'9') = text.get(at) {
        at += 1;
    }
    at
}

/// The members of an object, one after another, in text that is known to be JSON.
///
/// ```
/// use auroratrail::json::Members;
///
/// let text = r#"{"a": {"b": 1}, "c": "d"}"#;
/// let keys: Vec<_> = Members::new(text).map(|(key, value)| (key.raw(text), value.raw(text))).collect();
/// assert_eq!(keys, [("a", r#"{"b": 1}"#), ("c", "\"d\"")]);
/// ```
pub struct Members<'a> {
    text: &'a [u8],
    at: usize,
}

/// A value in some text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Its first byte; of a string that is the quote, of a key the byte behind the quote.
    pub start: u32,
    /// Behind its last byte.
    pub end: u32,
    /// Whether it is a string with a backslash in it.
    pub escaped: bool,
}

impl Span {
    /// The text as it stands there.
    #[inline(always)]
    pub fn raw<'a>(&self, text: &'a str) -> &'a str {
        &text[self.start as usize..self.end as usize]
    }

    /// The first byte, which tells the kind of a value.
    #[inline(always)]
    pub fn first(&self, text: &str) -> u8 {
        text.as_bytes()[self.start as usize]
    }
}

impl<'a> Members<'a> {
    /// Starts at the object that `text` is; nothing comes of text that is no object.
    pub fn new(text: &'a str) -> Self {
        Self::at(text, 0)
    }

    /// Starts at the object at byte `at` of `text`.
    pub fn at(text: &'a str, at: usize) -> Self {
        let text = text.as_bytes();
        let at = match text.get(at) {
            Some(b'{') => skip_space(text, at + 1),
            _ => text.len(),
        };
        Self { text, at }
    }

    // Inlined, as its result would otherwise go through memory, written and read in pieces of different
    // sizes, which the processor waits for: a tenth of the time of a query of every column.
    #[inline(always)]
    fn step(&mut self) -> Result<(Span, Span), Fault> {
        let (end, escaped) = skip_string(self.text, self.at)?;
        let key = Span {
            start: self.at as u32 + 1,
            end: end as u32 - 1,
            escaped,
        };
        let start = skip_colon(self.text, end)?;
        let value = value_span(self.text, start)?;
        self.at = after_comma(self.text, value.end as usize);
        Ok((key, value))
    }
}

impl Iterator for Members<'_> {
    type Item = (Span, Span);

    #[inline(always)]
    fn next(&mut self) -> Option<(Span, Span)> {
        match self.text.get(self.at) {
            Some(b'"') => self.step().ok(),
            _ => None,
        }
    }
}

/// The elements of an array, one after another, in text that is known to be JSON.
pub struct Elements<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Elements<'a> {
    /// Starts at the array at byte `at` of `text`; nothing comes of text that is no array there.
    pub fn at(text: &'a str, at: usize) -> Self {
        let text = text.as_bytes();
        let at = match text.get(at) {
            Some(b'[') => skip_space(text, at + 1),
            _ => text.len(),
        };
        Self { text, at }
    }
}

impl Iterator for Elements<'_> {
    type Item = Span;

    fn next(&mut self) -> Option<Span> {
        if let None | Some(b']') = self.text.get(self.at) {
            return None;
        }
        let value = value_span(self.text, self.at).ok()?;
        self.at = after_comma(self.text, value.end as usize);
        Some(value)
    }
}

#[inline(always)]
fn value_span(text: &[u8], start: usize) -> Result<Span, Fault> {
    let (end, escaped) = match text.get(start) {
        Some(b'"') => skip_string(text, start)?,
        _ => (skip_value(text, start)?, false),
    };
    Ok(Span {
        start: start as u32,
        end: end as u32,
        escaped,
    })
}

/// Where the next member or element starts, or the bracket that ends the container stands.
#[inline(always)]
fn after_comma(text: &[u8], at: usize) -> usize {
    let at = skip_space(text, at);
    match text.get(at) {
        Some(b',') => skip_space(text, at + 1),
        _ => at,
    }
}

#[cfg(test)]
mod tests;
