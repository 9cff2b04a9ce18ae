//! A table of the parts of a document: the members of its root, and the elements of the arrays that the
//! caller names, with the members of each.

use super::string::skip_string;
use super::{Span, SyntaxError, invalid, skip_colon, skip_container, skip_space, value_span};

/// One member of an object.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// The key, without its quotes.
    pub key: Span,
    /// The value.
    pub value: Span,
}

/// An array in the root, or the root itself, whose elements are on the tape.
#[derive(Clone, Copy, Debug)]
pub struct Array {
    /// Offset of the `[`.
    pub start: u32,
    /// Offset after the `]`, or after the last whole element if the array has no end.
    pub end: u32,
    /// Range of the array's elements on the tape.
    pub elements: (u32, u32),
}

/// An element of an [`Array`].
#[derive(Clone, Copy, Debug)]
pub struct Element {
    /// The element itself.
    pub value: Span,
    /// Range of the element's members on the tape; empty unless it is an object.
    pub members: (u32, u32),
}

/// The result of [`Tape::parse`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A whole document, now on the tape.
    Document {
        /// Offset of its first byte.
        start: usize,
        /// Offset after its last byte.
        end: usize,
    },
    /// Only white space was left.
    Nothing,
    /// A document with an error. The parts before the error are on the tape.
    Broken {
        /// Offset of its first byte.
        start: usize,
        /// The error.
        error: SyntaxError,
    },
}

/// The parts of one document at a time; parsing the next reuses the memory.
#[derive(Default)]
pub struct Tape {
    /// Keys of root members whose arrays are indexed by element.
    list_keys: &'static [&'static str],
    /// The root's members, if it is an object.
    pub root: Vec<Member>,
    /// The arrays that are indexed by element.
    pub arrays: Vec<Array>,
    /// The elements of these arrays.
    pub elements: Vec<Element>,
    /// The members of these elements.
    pub members: Vec<Member>,
}

/// Most members, and most elements, of a document: some hundred megabytes, and three times as many as
/// dense documents of 32 MB have.
const MAX_PARTS: usize = 4 << 20;

impl Tape {
    /// Creates a tape that indexes, element by element, a root that is an array and the arrays that
    /// are root members with these keys. To look into other arrays, parse them.
    pub fn new(list_keys: &'static [&'static str]) -> Self {
        Self {
            list_keys,
            ..Self::default()
        }
    }

    /// Validates the next document of `text` from byte `at` on, and indexes its parts.
    pub fn parse(&mut self, text: &str, at: usize) -> Parsed {
        let text = text.as_bytes();
        self.clear();
        let start = skip_space(text, at);
        let end = match text.get(start) {
            None => return Parsed::Nothing,
            Some(b'{') => self.root_object(text, start),
            Some(b'[') => self.array(text, start),
            Some(_) => value_span(text, start).map(|value| value.end as usize),
        };
        match end {
            Ok(end) => Parsed::Document { start, end },
            Err(error) => Parsed::Broken { start, error },
        }
    }

    fn root_object(&mut self, text: &[u8], start: usize) -> Result<usize, SyntaxError> {
        let mut at = skip_space(text, start + 1);
        while let Some(b'"') = text.get(at) {
            let (key, start) = key_span(text, at)?;
            let is_list = text.get(start) == Some(&b'[') && {
                let key = &text[key.start as usize..key.end as usize];
                self.list_keys.iter().any(|name| name.as_bytes() == key)
            };
            let value = if is_list {
                let end = self.array(text, start)?;
                Span {
                    start: start as u32,
                    end: end as u32,
                    escaped: false,
                }
            } else {
                member_value(text, start, 1)?
            };
            push(&mut self.root, Member { key, value }, start)?;
            at = next_member(text, value.end as usize)?;
        }
        end_of_object(text, at, self.root.is_empty())
    }

    fn array(&mut self, text: &[u8], start: usize) -> Result<usize, SyntaxError> {
        let first = self.elements.len() as u32;
        let index = self.arrays.len();
        self.arrays.push(Array {
            start: start as u32,
            end: start as u32 + 1,
            elements: (first, first),
        });
        let mut at = skip_space(text, start + 1);
        if text.get(at) == Some(&b']') {
            self.arrays[index].end = at as u32 + 1;
            return Ok(at + 1);
        }
        loop {
            let value = self.element(text, at)?;
            let array = &mut self.arrays[index];
            array.elements.1 += 1;
            array.end = value.end;
            at = skip_space(text, value.end as usize);
            match text.get(at) {
                Some(b',') => at = skip_space(text, at + 1),
                Some(b']') => {
                    array.end = at as u32 + 1;
                    return Ok(at + 1);
                }
                Some(_) => return Err(invalid(at, "expected ',' or ']'")),
                None => return Err(SyntaxError::Incomplete),
            }
        }
    }

    fn element(&mut self, text: &[u8], start: usize) -> Result<Span, SyntaxError> {
        let first = self.members.len();
        let value = match text.get(start) {
            Some(b'{') => {
                let end = self.object(text, start);
                if end.is_err() {
                    self.members.truncate(first);
                }
                Span {
                    start: start as u32,
                    end: end? as u32,
                    escaped: false,
                }
            }
            _ => member_value(text, start, 2)?,
        };
        let element = Element {
            value,
            members: (first as u32, self.members.len() as u32),
        };
        push(&mut self.elements, element, start)?;
        Ok(value)
    }

    fn object(&mut self, text: &[u8], start: usize) -> Result<usize, SyntaxError> {
        let first = self.members.len();
        let mut at = skip_space(text, start + 1);
        while let Some(b'"') = text.get(at) {
            let (key, start) = key_span(text, at)?;
            let value = member_value(text, start, 3)?;
            push(&mut self.members, Member { key, value }, start)?;
            at = next_member(text, value.end as usize)?;
        }
        end_of_object(text, at, self.members.len() == first)
    }

    /// Takes everything off the tape.
    pub fn clear(&mut self) {
        self.root.clear();
        self.arrays.clear();
        self.elements.clear();
        self.members.clear();
    }

    /// Returns the last element of the last array.
    pub fn last_element(&self) -> Option<&Element> {
        self.elements_of(self.arrays.last()?).last()
    }

    /// Takes the last element of the last array off, as if the array ended after the one before it.
    pub fn forget_last_element(&mut self) {
        let Some(array) = self.arrays.last_mut() else {
            return;
        };
        let first = array.elements.0 as usize;
        if self.elements.len() > first {
            self.elements.pop();
        }
        array.elements.1 = self.elements.len() as u32;
        array.end = match &self.elements[first..] {
            [.., last] => last.value.end,
            [] => array.start + 1,
        };
    }

    /// Returns whether `array` has its `]`.
    pub fn is_closed(&self, array: &Array) -> bool {
        let reached = match self.elements_of(array) {
            [.., last] => last.value.end,
            [] => array.start + 1,
        };
        array.end > reached
    }

    /// Returns the elements of `array`.
    pub fn elements_of(&self, array: &Array) -> &[Element] {
        &self.elements[array.elements.0 as usize..array.elements.1 as usize]
    }

    /// Returns the members of `element`.
    pub fn members_of(&self, element: &Element) -> &[Member] {
        &self.members[element.members.0 as usize..element.members.1 as usize]
    }
}

#[inline(always)]
fn push<T>(parts: &mut Vec<T>, part: T, at: usize) -> Result<(), SyntaxError> {
    if parts.len() >= MAX_PARTS {
        return Err(invalid(at, "too many members or elements"));
    }
    parts.push(part);
    Ok(())
}

/// Returns the key whose quote is at `at`, and the offset of its value.
#[inline(always)]
fn key_span(text: &[u8], at: usize) -> Result<(Span, usize), SyntaxError> {
    let (end, escaped) = skip_string(text, at)?;
    let key = Span {
        start: at as u32 + 1,
        end: end as u32 - 1,
        escaped,
    };
    Ok((key, skip_colon(text, end)?))
}

#[inline(always)]
fn member_value(text: &[u8], start: usize, depth: u32) -> Result<Span, SyntaxError> {
    match text.get(start) {
        Some(b'{' | b'[') => Ok(Span {
            start: start as u32,
            end: skip_container(text, start, depth)? as u32,
            escaped: false,
        }),
        _ => value_span(text, start),
    }
}

/// Returns the offset of the next key or of the `}`.
#[inline(always)]
fn next_member(text: &[u8], at: usize) -> Result<usize, SyntaxError> {
    let comma = skip_space(text, at);
    match text.get(comma) {
        Some(b',') => {
            let at = skip_space(text, comma + 1);
            match text.get(at) {
                Some(b'"') => Ok(at),
                Some(_) => Err(invalid(at, "expected a key in quotes")),
                None => Err(SyntaxError::Incomplete),
            }
        }
        Some(b'}') => Ok(comma),
        Some(_) => Err(invalid(comma, "expected ',' or '}'")),
        None => Err(SyntaxError::Incomplete),
    }
}

fn end_of_object(text: &[u8], at: usize, empty: bool) -> Result<usize, SyntaxError> {
    match text.get(at) {
        Some(b'}') => Ok(at + 1),
        Some(_) if empty => Err(invalid(at, "expected a key in quotes or '}'")),
        Some(_) => Err(invalid(at, "expected ',' or '}'")),
        None => Err(SyntaxError::Incomplete),
    }
}
