//! Lines of logs: JSON after a time stamp, a level in brackets, the name of a stream, and the like.

use std::ops::Range;

use super::classify::{ObjectClass, classify, has_record_mark};
use super::salvage::BrokenDocument;
use super::text::NOT_UTF8;
use super::{Chunk, Extractor, Job};
use crate::json::{Parsed, SyntaxError, Tape};

/// Longest text before the JSON of a line, bytes.
const MAX_PREFIX_BYTES: usize = 4096;

/// The outcome of looking for JSON in a line.
pub(super) enum LoggedJson<T> {
    /// There is some.
    Found(T),
    /// The text ends inside the line or its document, and more is to come.
    Incomplete,
    /// There is none that is sound; the last document that is broken, if there is one.
    Missing(Option<BrokenDocument>),
}

/// A line that does not begin with a sound document.
pub(super) struct Line {
    pub(super) range: Range<usize>,
    /// Whether it begins with a time stamp, after which JSON may begin anywhere.
    pub(super) is_timed: bool,
    /// The document that the line begins with, if it looks like one.
    pub(super) broken: Option<BrokenDocument>,
}

impl Extractor {
    /// Takes the JSON document of a log line, which may go on over several lines. The text around it
    /// counts for nothing. Finds the offset after it.
    pub(super) fn logged_json(
        &mut self,
        job: &mut Job<'_>,
        tape: &mut Tape,
        chunk: Chunk<'_>,
        line: &Line,
    ) -> LoggedJson<usize> {
        let text = chunk.text;
        let document = match line.document(tape, chunk) {
            LoggedJson::Found(document) => document,
            LoggedJson::Incomplete => return LoggedJson::Incomplete,
            LoggedJson::Missing(broken) => return LoggedJson::Missing(broken),
        };
        let end = match memchr::memchr(b'\n', &text.as_bytes()[document.end..]) {
            _ if chunk.context.depth > 0 => text.len(),
            Some(length) => document.end + length,
            None if chunk.is_last => text.len(),
            None => return LoggedJson::Incomplete,
        };
        let rest = &text[document.end..end];
        let has_more = !is_log_text(rest) || has_record_mark(rest);
        let next = if has_more { document.end } else { end };
        self.whole_document(job, tape, chunk, document);
        LoggedJson::Found(next)
    }
}

impl Line {
    /// Finds the first document with records in it, or else the first object, and puts it on the tape.
    fn document(&self, tape: &mut Tape, chunk: Chunk<'_>) -> LoggedJson<Range<usize>> {
        let Chunk { text, is_last, .. } = chunk;
        let mut broken = self.broken;
        let mut object = None;
        let mut prefix = LogText::default();
        let mut at = self.range.start;
        let limit = self.range.start + MAX_PREFIX_BYTES;
        while at < self.range.end.min(limit) {
            let is_candidate = self.may_begin_at(text, at) && prefix.is_closed();
            if !is_candidate {
                if !prefix.take(text.as_bytes(), at) {
                    break;
                }
                at += 1;
                continue;
            }
            match tape.parse(text, at) {
                Parsed::Document { end, .. } => {
                    if has_records(text, tape, at..end) {
                        return LoggedJson::Found(at..end);
                    }
                    if object.is_none() && text.as_bytes()[at] == b'{' {
                        object = Some(at);
                    }
                    at = end;
                    continue;
                }
                Parsed::Broken {
                    error: SyntaxError::Incomplete,
                    ..
                } if !is_last => return LoggedJson::Incomplete,
                Parsed::Broken { start, error } => broken = Some(BrokenDocument { start, error }),
                Parsed::Nothing => break,
            }
            prefix.take(text.as_bytes(), at);
            at += 1;
        }
        if at >= text.len() && at < limit && !is_last {
            return LoggedJson::Incomplete;
        }
        match object.map(|at| (at, tape.parse(text, at))) {
            Some((at, Parsed::Document { end, .. })) => LoggedJson::Found(at..end),
            _ => LoggedJson::Missing(broken),
        }
    }

    /// Returns whether a document may begin at byte `at`: at a bracket after a time stamp or a separator, or
    /// at a string that begins with one. The begin of the line was tried before.
    fn may_begin_at(&self, text: &str, at: usize) -> bool {
        let bytes = text.as_bytes();
        let is_begin = matches!(
            &bytes[at..],
            [b'{' | b'[', ..] | [b'"', b'{', b'\\', ..] | [b'"', b'[', b'{', b'\\', ..]
        );
        at > self.range.start
            && is_begin
            && (self.is_timed || matches!(bytes[at - 1], b' ' | b'\t' | b':' | b'=' | b'|' | b'>'))
    }
}

/// Returns whether the document at `range`, which is on the tape, is a record or a wrapper, an array with
/// one, or a string with the text of one.
fn has_records(text: &str, tape: &Tape, range: Range<usize>) -> bool {
    let is_one = |class| {
        matches!(
            class,
            ObjectClass::Record(_) | ObjectClass::Respelled(_) | ObjectClass::Wrapper(_)
        )
    };
    match text.as_bytes()[range.start] {
        b'{' => return is_one(classify(text, &tape.root)),
        b'"' => return has_record_mark(&text[range]),
        _ => {}
    }
    let elements = tape.arrays.first().map(|array| tape.elements_of(array));
    let mut elements = elements.unwrap_or_default().iter();
    elements.any(|element| is_one(classify(text, tape.members_of(element))))
}

/// Returns whether `text` is what logs have around JSON, and not a piece of damaged JSON.
fn is_log_text(text: &str) -> bool {
    let mut log_text = LogText::default();
    let bytes = text.as_bytes();
    (0..bytes.len()).all(|at| log_text.take(bytes, at)) && log_text.is_closed()
}

/// The brackets that are open in text around JSON.
#[derive(Default)]
struct LogText {
    braces: usize,
    brackets: usize,
}

impl LogText {
    fn is_closed(&self) -> bool {
        self.braces == 0 && self.brackets == 0
    }

    /// Takes the byte at `at`. Returns `false` if it shows a piece of damaged JSON: the end of a string
    /// that is a key or is in a container, the end of a container that did not begin, or a byte that is
    /// not text.
    fn take(&mut self, bytes: &[u8], at: usize) -> bool {
        const ESCAPE: u8 = 0x1b;
        let open = match bytes[at] {
            // Escape sequences colour the output of tools.
            b'[' if at > 0 && bytes[at - 1] == ESCAPE => return true,
            b'{' | b'}' => &mut self.braces,
            b'[' | b']' => &mut self.brackets,
            b'"' => {
                let mut after = bytes[at + 1..].iter().filter(|byte| **byte != b' ');
                return !matches!(after.next(), Some(b':' | b',' | b'}' | b']'));
            }
            b'\t' | b'\n' | b'\r' | ESCAPE => return true,
            byte => return byte >= b' ' && byte != NOT_UTF8,
        };
        let after = match bytes[at] {
            b'{' | b'[' => Some(*open + 1),
            _ => open.checked_sub(1),
        };
        *open = after.unwrap_or_default();
        after.is_some()
    }
}
