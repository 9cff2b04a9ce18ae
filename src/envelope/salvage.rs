//! The sound parts of a damaged document: the records before the damage, and those after it that can
//! be framed. Each stretch in between is one reject.

use std::ops::Range;

use super::classify::{ObjectClass, classify};
use super::documents::begins_with_time;
use super::text::{NOT_UTF8, is_separator, skip_separators};
use super::windows::OpenDamage;
use super::{Chunk, DocumentContext, Extractor, Job, Level, ValueRef, WINDOW_BYTES};
use crate::json::{Element, Parsed, SyntaxError, Tape};

/// Lines to scan after damage for one that parses on its own.
const LINES: usize = 8;

/// A document with a syntax error in it.
#[derive(Clone, Copy)]
pub(super) struct BrokenDocument {
    /// Offset of the first byte in the text.
    pub(super) start: usize,
    pub(super) error: SyntaxError,
}

/// Damaged text that is searched for records.
struct DamagedText<'a> {
    chunk: Chunk<'a>,
    /// Offset of the text that is neither handed on nor rejected yet.
    from: usize,
    /// The document, to explain the first reject.
    broken: Option<BrokenDocument>,
}

impl Extractor {
    /// Extracts from a damaged document. Returns the number of bytes of the text consumed.
    pub(super) fn salvage_document(
        &mut self,
        job: &mut Job<'_>,
        level: &mut Level,
        chunk: Chunk<'_>,
        broken: BrokenDocument,
    ) -> usize {
        let text = chunk.text;
        let error_at = match broken.error {
            SyntaxError::Invalid { at, .. } => at,
            SyntaxError::Incomplete => text.len(),
        };
        forget_dubious(&mut level.tape, text);
        let from = end_of_elements(&level.tape).unwrap_or(broken.start);
        let end = end_of_damage(text, from, &mut level.salvage);
        let chunk = damaged_chunk(chunk, end);
        if chunk.context.depth == 0 {
            if let Some(split) = job.split.take() {
                job.outcome.salvage_since(split.before());
            }
            let newline = memchr::memchr(b'\n', &text.as_bytes()[broken.start..error_at]);
            job.damage = (!chunk.is_last).then_some(OpenDamage {
                is_line: newline.is_none(),
            });
        }
        self.framed_elements(job, &level.tape, Chunk { text, ..chunk });
        let damaged = DamagedText {
            chunk,
            from,
            broken: Some(broken),
        };
        self.salvage(job, &mut level.salvage, damaged)
    }

    /// Goes on with damage that began in an earlier window. Returns the number of bytes consumed.
    pub(super) fn resume_salvage(
        &mut self,
        job: &mut Job<'_>,
        level: &mut Level,
        chunk: Chunk<'_>,
        damage: OpenDamage,
    ) -> usize {
        let end = match damage.is_line {
            true => end_of_damage(chunk.text, 0, &mut level.salvage),
            false => None,
        };
        let chunk = damaged_chunk(chunk, end);
        if chunk.is_last {
            job.damage = None;
        }
        let damaged = DamagedText {
            chunk,
            from: 0,
            broken: None,
        };
        self.salvage(job, &mut level.salvage, damaged)
    }

    /// Tries every `{` for a record or a wrapper that is whole. Returns the number of bytes consumed,
    /// which is the length of the text if the chunk is the last.
    ///
    /// A text is scanned at most as often as objects lie inside each other in it, which the scanner
    /// limits; whole objects that are not records are passed over.
    fn salvage(
        &mut self,
        job: &mut Job<'_>,
        tape: &mut Tape,
        mut damaged: DamagedText<'_>,
    ) -> usize {
        let Chunk {
            text,
            is_last,
            context,
        } = damaged.chunk;
        let rejects = job.outcome.damaged_stretches;
        let mut at = match damaged.broken {
            Some(broken) if broken.start == damaged.from => broken.start + 1,
            _ => damaged.from,
        };
        while !job.outcome.stopped
            && let Some(open) = text
                .as_bytes()
                .get(at..)
                .and_then(|rest| memchr::memchr(b'{', rest))
        {
            let open = at + open;
            match tape.parse(text, open) {
                Parsed::Document { end, .. } => {
                    if let ObjectClass::Record(_)
                    | ObjectClass::Respelled(_)
                    | ObjectClass::Wrapper(_) = classify(text, &tape.root)
                    {
                        reject_stretch(job, &mut damaged, open);
                        let object = ValueRef::document(text, tape, open..end);
                        self.object(job, object, context.at_offset(open));
                        damaged.from = end;
                    }
                    at = end;
                }
                Parsed::Broken {
                    error: SyntaxError::Incomplete,
                    ..
                } if !is_last && text.len() - open < WINDOW_BYTES => {
                    reject_stretch(job, &mut damaged, open);
                    return open;
                }
                _ => at = open + 1,
            }
        }
        reject_stretch(job, &mut damaged, text.len());
        if let Some(broken) = damaged
            .broken
            .filter(|_| job.outcome.damaged_stretches == rejects)
        {
            // Only punctuation is missing, say the brackets at the end.
            let range = broken.start..text.len();
            reject(job, damaged.chunk, range, Some(broken.error));
        }
        text.len()
    }
}

/// Marks the chunk as damaged and cuts it off at `end`, the end of the damage if there is one in it.
fn damaged_chunk(chunk: Chunk<'_>, end: Option<usize>) -> Chunk<'_> {
    let context = DocumentContext {
        damaged: true,
        ..chunk.context
    };
    match end {
        Some(end) => Chunk::whole(&chunk.text[..end], context),
        None => Chunk { context, ..chunk },
    }
}

/// Takes a string or scalar right before the damage off the tape, as it may be part of the damage: a
/// stray quote makes a string of the begin of the next record.
fn forget_dubious(tape: &mut Tape, text: &str) {
    let dubious = |element: &Element| !matches!(element.value.first(text), b'{' | b'[');
    if tape.last_element().is_some_and(dubious) {
        tape.forget_last_element();
    }
}

/// Returns the offset after the elements on the tape, if there are any.
fn end_of_elements(tape: &Tape) -> Option<usize> {
    let array = tape.arrays.first()?;
    (array.elements.0 < array.elements.1).then_some(array.end as usize)
}

/// Returns the offset of the end of the damage: before one of the next few lines that parses on its
/// own, be it a document or a log line. `None` if no such line shows it.
fn end_of_damage(text: &str, from: usize, tape: &mut Tape) -> Option<usize> {
    memchr::memchr_iter(b'\n', &text.as_bytes()[from..])
        .take(LINES)
        .map(|newline| from + newline)
        .find(|newline| parses_alone(text, newline + 1, tape))
}

/// Returns whether the line at `start` is one JSON document or begins as the lines of log tools do.
fn parses_alone(text: &str, start: usize, tape: &mut Tape) -> bool {
    let start = skip_separators(text, start);
    match text.as_bytes().get(start) {
        Some(b'{' | b'[') => {}
        _ => return begins_with_time(&text[start..]),
    }
    match tape.parse(text, start) {
        Parsed::Document { end, .. } => {
            let one_line = memchr::memchr(b'\n', &text.as_bytes()[start..end]).is_none();
            let rest = text[end..].trim_start_matches(['\r', ' ']);
            one_line && (rest.is_empty() || rest.starts_with('\n'))
        }
        _ => false,
    }
}

/// Rejects what lies between the last sound part and `to`, unless that is only punctuation.
fn reject_stretch(job: &mut Job<'_>, damaged: &mut DamagedText<'_>, to: usize) {
    let is_punctuation = |char| is_separator(char) || ",:[]}\x02".contains(char);
    let stretch = &damaged.chunk.text[damaged.from..to];
    let length = stretch.trim_end_matches(is_punctuation).len();
    let stretch = stretch.trim_start_matches(is_punctuation);
    if stretch.is_empty() {
        return;
    }
    let range = to - stretch.len()..damaged.from + length;
    let error = damaged.broken.take().map(|broken| broken.error);
    reject(job, damaged.chunk, range, error);
}

fn reject(job: &mut Job<'_>, chunk: Chunk<'_>, range: Range<usize>, error: Option<SyntaxError>) {
    let start = range.start;
    let bytes = &chunk.text.as_bytes()[range];
    let (reason, detail) = match error {
        _ if bytes.contains(&NOT_UTF8) => ("invalid UTF-8", "bytes that are no text".to_owned()),
        Some(SyntaxError::Incomplete) => (
            "cut-off JSON",
            "the text ends inside a document; is the file complete?".to_owned(),
        ),
        Some(SyntaxError::Invalid { at, why }) => {
            let byte = chunk.context.at_offset(at).byte;
            ("broken JSON", format!("{why} at byte {byte}"))
        }
        None => ("broken JSON", "cannot be framed as a record".to_owned()),
    };
    let location = job.location.at_byte(chunk.context.at_offset(start).byte);
    job.outcome.damaged_stretches += 1;
    job.reject(location, reason, detail, bytes);
}
