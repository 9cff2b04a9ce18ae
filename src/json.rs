//! JSON text in place: a validating scanner, and a shallow table of where the members of a document
//! are.
//!
//! Text that passed the scanner is JSON to its last byte (RFC 8259), so later stages can step through
//! it without checks, and no document counts or fails depending on which of its members are read. The
//! scanner is fast because it steps over strings sixteen bytes at a time, and because it unescapes,
//! copies and allocates nothing per value. A lone surrogate escape (`\ud800`) is grammatical and
//! passes; it reads as U+FFFD.
//!
//! `benches/decode.rs` compares it with other parsers.

mod string;
mod tape;

pub use string::{unescape, unescape_into};
pub use tape::{Array, Element, Member, Parsed, Tape};

use string::skip_string;

/// Most containers inside each other. Documents of real use stay below 20; the limit bounds the work
/// that hostile input makes.
pub const MAX_DEPTH: u32 = 127;

/// The reason why text is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyntaxError {
    /// The text ended inside a value.
    Incomplete,
    /// This byte cannot stand here.
    Invalid {
        /// Offset of the byte.
        at: usize,
        /// The rule that the byte breaks, as a message.
        why: &'static str,
    },
}

/// The result of scanning functions: the offset after the value.
type Scan = Result<usize, SyntaxError>;

fn invalid(at: usize, why: &'static str) -> SyntaxError {
    SyntaxError::Invalid { at, why }
}

/// Returns the offset of the first byte at or after `at` that is not white space.
#[inline(always)]
pub fn skip_space(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = text.get(at) {
        at += 1;
    }
    at
}

/// Validates the value that starts at `at` and returns the offset after it.
///
/// # Errors
/// Returns the first error if the value is not JSON. A number needs no terminator, so one that the
/// text ends in is a value and not incomplete.
pub fn skip_value(text: &[u8], at: usize) -> Result<usize, SyntaxError> {
    match text.get(at) {
        Some(b'"') => Ok(skip_string(text, at)?.0),
        Some(b'{' | b'[') => skip_container(text, at, 0),
        Some(_) => skip_scalar(text, at),
        None => Err(SyntaxError::Incomplete),
    }
}

/// Validates the object or array that starts at `at`, itself `depth` containers deep.
///
/// The open containers are one bit each, so there is no recursion and no stack to allocate.
fn skip_container(text: &[u8], mut at: usize, depth: u32) -> Scan {
    let mut open = OpenContainers {
        bits: 0,
        depth,
        floor: depth,
    };
    'value: loop {
        // A value has to start at `at`.
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
            None => return Err(SyntaxError::Incomplete),
        }
        // A value ended; the container around it decides what may follow.
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
                (None, _) => return Err(SyntaxError::Incomplete),
            }
        }
        return Ok(at);
    }
}

/// The containers that are open, innermost in the lowest bit: 1 is an object.
struct OpenContainers {
    bits: u128,
    depth: u32,
    floor: u32,
}

impl OpenContainers {
    #[inline(always)]
    fn push(&mut self, object: bool, at: usize) -> Result<(), SyntaxError> {
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

/// Steps over `"key" :` and the space after it.
#[inline(always)]
fn skip_key(text: &[u8], at: usize) -> Scan {
    match text.get(at) {
        Some(b'"') => skip_colon(text, skip_string(text, at)?.0),
        Some(_) => Err(invalid(at, "expected a key in quotes")),
        None => Err(SyntaxError::Incomplete),
    }
}

#[inline(always)]
fn skip_colon(text: &[u8], at: usize) -> Scan {
    let at = skip_space(text, at);
    match text.get(at) {
        Some(b':') => Ok(skip_space(text, at + 1)),
        Some(_) => Err(invalid(at, "expected ':'")),
        None => Err(SyntaxError::Incomplete),
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
        Err(SyntaxError::Incomplete)
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
        None => return Err(SyntaxError::Incomplete),
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
        None => Err(SyntaxError::Incomplete),
    }
}

fn skip_digits(text: &[u8], mut at: usize) -> usize {
    while let Some(b'0'..=b'9') = text.get(at) {
        at += 1;
    }
    at
}

/// Iterator over the members of an object, in text that is known to be JSON.
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
    /// Offset of its first byte: of a string the quote, of a key the byte after the quote.
    pub start: u32,
    /// Offset after its last byte.
    pub end: u32,
    /// Whether it is a string with a backslash in it.
    pub escaped: bool,
}

impl Span {
    /// Returns the text as it stands there.
    #[inline(always)]
    pub fn raw<'a>(&self, text: &'a str) -> &'a str {
        &text[self.start as usize..self.end as usize]
    }

    /// Returns the first byte, which tells the type of a value.
    #[inline(always)]
    pub fn first(&self, text: &str) -> u8 {
        text.as_bytes()[self.start as usize]
    }
}

impl<'a> Members<'a> {
    /// Starts at the object that `text` is. Text that is not an object has no members.
    pub fn new(text: &'a str) -> Self {
        Self::at(text, 0)
    }

    /// Starts at the object at byte `at` of `text`. Any other value has no members.
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
    fn step(&mut self) -> Result<(Span, Span), SyntaxError> {
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

impl Members<'_> {
    /// Returns the next key and where its value begins, for those who go through the value themselves and
    /// then say where it [ended](Self::value_ended): no byte of it is looked at twice.
    #[inline(always)]
    pub fn next_key(&mut self) -> Option<(Span, usize)> {
        if self.text.get(self.at) != Some(&b'"') {
            return None;
        }
        let (end, escaped) = skip_string(self.text, self.at).ok()?;
        let key = Span {
            start: self.at as u32 + 1,
            end: end as u32 - 1,
            escaped,
        };
        Some((key, skip_colon(self.text, end).ok()?))
    }

    /// Goes on after the value of the last key.
    #[inline(always)]
    pub fn value_ended(&mut self, end: usize) {
        self.at = after_comma(self.text, end);
    }

    /// Returns the offset after the object, once there is no member left.
    pub fn end(&self) -> usize {
        self.at + 1
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

/// Iterator over the elements of an array, in text that is known to be JSON.
pub struct Elements<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Elements<'a> {
    /// Starts at the array at byte `at` of `text`. Any other value has no elements.
    pub fn at(text: &'a str, at: usize) -> Self {
        let text = text.as_bytes();
        let at = match text.get(at) {
            Some(b'[') => skip_space(text, at + 1),
            _ => text.len(),
        };
        Self { text, at }
    }

    /// Returns where the next element begins, as [`Members::next_key`] does.
    #[inline(always)]
    pub fn next_start(&mut self) -> Option<usize> {
        match self.text.get(self.at) {
            None | Some(b']') => None,
            Some(_) => Some(self.at),
        }
    }

    /// Goes on after the last element.
    #[inline(always)]
    pub fn element_ended(&mut self, end: usize) {
        self.at = after_comma(self.text, end);
    }

    /// Returns the offset after the array, once there is no element left.
    pub fn end(&self) -> usize {
        self.at + 1
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

/// Returns the value that begins at byte `at` of text that is known to be JSON.
#[inline(always)]
pub fn value_at(text: &str, at: usize) -> Option<Span> {
    value_span(text.as_bytes(), at).ok()
}

#[inline(always)]
fn value_span(text: &[u8], start: usize) -> Result<Span, SyntaxError> {
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

/// Returns the offset of the next member or element, or of the bracket that ends the container.
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
