//! Text in, JSON documents out: one after another, with or without newlines or other separators between
//! them, and in the lines of logs.

use std::ops::Range;

use super::classify::{has_record_mark, is_control_message};
use super::compression::BREAK;
use super::csv_rows::{self, Header};
use super::foreign::ForeignKind;
use super::lines::{Line, LoggedJson};
use super::magic::UTF8_MARK;
use super::salvage::BrokenDocument;
use super::search::nothing_found;
use super::text::{NOT_UTF8, decode_utf16, patch_utf8, skip_separators};
use super::wrapper::{VALIDATION, too_many_wrappers};
use super::{
    Chunk, DocumentContext, Extractor, Job, Level, MAX_WRAPPERS, ValueRef, WINDOW_BYTES, encoded,
    kpl,
};
use crate::json::{Parsed, SyntaxError, Tape, unescape};

/// The text of `aws-logs-write-test`, which an export puts beside its files.
const EXPORT_MARKER: &str = "Permission Check Successful";

const NOT_JSON: &str = "expected a JSON document, a log line, or a compressed one";

impl Extractor {
    /// Extracts from a whole payload after decompression.
    pub(super) fn extract_bytes(
        &mut self,
        job: &mut Job<'_>,
        bytes: &[u8],
        context: DocumentContext,
    ) {
        if self.columnar(job, bytes, context)
            || self.archive(job, bytes, context)
            || job.unread_format(bytes, context, "")
        {
            return;
        }
        if let Some(text) = decode_utf16(bytes) {
            return self.extract_text(job, &text, context);
        }
        if let Some(records) = kpl::records(bytes) {
            for record in &records {
                self.nested_bytes(job, record, context.nested());
            }
            return;
        }
        let bytes = bytes.strip_prefix(UTF8_MARK).unwrap_or(bytes);
        match std::str::from_utf8(bytes) {
            Ok(text) => self.extract_text(job, text, context),
            Err(_) => {
                let mut patched = bytes.to_vec();
                self.extract_text(job, patch_utf8(&mut patched, true), context);
            }
        }
    }

    fn extract_text(&mut self, job: &mut Job<'_>, text: &str, context: DocumentContext) {
        let start = skip_separators(text, 0);
        if start == text.len() {
            job.outcome.empty = true;
            return;
        }
        if self.foreign(job, text, context) {
            return;
        }
        if let Some(bytes) = encoded::decode(&text[start..]) {
            return self.nested_bytes(job, &bytes, context.at_offset(start).nested());
        }
        if is_prose(&text[start..]) {
            count_prose(job, text, context.at_offset(start));
        } else {
            self.documents(job, Chunk::whole(text, context));
        }
    }

    /// Takes text in a form other than JSON. Returns whether it was in one.
    fn foreign(&mut self, job: &mut Job<'_>, text: &str, context: DocumentContext) -> bool {
        let kind = match csv_rows::header(text) {
            _ if text.starts_with(VALIDATION) => ForeignKind::ValidationNotice,
            _ if text.trim_end() == EXPORT_MARKER => ForeignKind::ExportTest,
            Some(Header::QueryResults) => ForeignKind::QueryResultCsv,
            Some(kind) => {
                csv_rows::records(kind, text.as_bytes(), |json, byte| {
                    self.documents(job, Chunk::whole(json, context.csv_row(byte)));
                });
                return true;
            }
            None => return false,
        };
        job.not_cloudtrail(kind);
        true
    }

    /// Walks the documents of `chunk` and returns the number of bytes consumed. Text from there on has
    /// to be handed in again with more after it, unless the chunk is the last.
    pub(super) fn documents(&mut self, job: &mut Job<'_>, chunk: Chunk<'_>) -> usize {
        let Chunk { text, context, .. } = chunk;
        let mut level = std::mem::take(self.level(context.depth));
        let mut at = match job.damage {
            Some(damage) if context.depth == 0 => {
                self.resume_salvage(job, &mut level, chunk, damage)
            }
            _ => 0,
        };
        while !job.outcome.stopped {
            at = skip_separators(text, at);
            let broken = match level.tape.parse(text, at) {
                Parsed::Nothing => {
                    at = text.len();
                    break;
                }
                Parsed::Document { start, end } => match check_end(chunk, start..end) {
                    Ok(()) => {
                        self.whole_document(job, &level.tape, chunk, start..end);
                        at = end;
                        continue;
                    }
                    Err(error) => BrokenDocument { start, error },
                },
                Parsed::Broken { start, error } => BrokenDocument { start, error },
            };
            at = broken.start;
            if broken.error == SyntaxError::Incomplete && !chunk.is_last {
                self.split(job, &mut level.tape, chunk, at);
                break;
            }
            match self.broken(job, &mut level, chunk, broken) {
                Some(next) => at = next,
                None => break,
            }
        }
        *self.level(context.depth) = level;
        at
    }

    /// Takes the document at `range`, which is on `tape`.
    pub(super) fn whole_document(
        &mut self,
        job: &mut Job<'_>,
        tape: &Tape,
        chunk: Chunk<'_>,
        range: Range<usize>,
    ) {
        let Chunk { text, context, .. } = chunk;
        if context.depth == 0 {
            job.split = None;
        }
        let start = range.start;
        let document = ValueRef::document(text, tape, range);
        if text.as_bytes()[start] == b'[' {
            return match encoded::byte_array(text, document.span) {
                Some(bytes) => self.nested_bytes(job, &bytes, context.at_offset(start).nested()),
                None => self.elements(job, text, tape, context),
            };
        }
        self.value(job, document, context.at_offset(start));
    }

    /// Takes the elements that are on the tape of a document without an end.
    pub(super) fn framed_elements(&mut self, job: &mut Job<'_>, tape: &Tape, chunk: Chunk<'_>) {
        if !is_control_message(chunk.text, &tape.root) {
            self.elements(job, chunk.text, tape, chunk.context);
        }
    }

    /// Takes text that is not a JSON document. Returns the offset after it, or `None` if more text
    /// is needed to tell.
    fn broken(
        &mut self,
        job: &mut Job<'_>,
        level: &mut Level,
        chunk: Chunk<'_>,
        broken: BrokenDocument,
    ) -> Option<usize> {
        let Chunk { text, context, .. } = chunk;
        // A string alone on a line is JSON of no interest; one that is not alone is a piece of something.
        let looks_like_json = matches!(text.as_bytes()[broken.start], b'{' | b'[');
        if context.depth == 0 && !looks_like_json {
            return self.line(job, level, chunk, broken.start);
        }
        if is_escaped(&text[broken.start..]) {
            return self.escaped_line(job, chunk, broken.start);
        }
        if context.depth > 0 && !has_record_mark(text) {
            job.not_cloudtrail(context.fallback);
            return Some(text.len());
        }
        let line = Line {
            range: broken.start..end_of_line(text, broken.start).unwrap_or(text.len()),
            is_timed: begins_with_time(&text[broken.start..]),
            broken: looks_like_json.then_some(broken),
        };
        // The tape keeps the parts of the broken document.
        match self.logged_json(job, &mut level.salvage, chunk, &line) {
            LoggedJson::Found(next) => Some(next),
            LoggedJson::Incomplete => None,
            LoggedJson::Missing(_) if looks_like_json => {
                Some(self.salvage_document(job, level, chunk, broken))
            }
            LoggedJson::Missing(_) => {
                nothing_found(job, text, context);
                Some(text.len())
            }
        }
    }

    /// Takes a line with the content of a JSON string that lost its quotes. Returns as [`Self::broken`]
    /// does.
    fn escaped_line(&mut self, job: &mut Job<'_>, chunk: Chunk<'_>, start: usize) -> Option<usize> {
        let text = chunk.text;
        let end = match end_of_line(text, start) {
            None if !chunk.is_last && text.len() - start <= WINDOW_BYTES => return None,
            end => end.unwrap_or(text.len()),
        };
        let context = chunk.context.at_offset(start).nested();
        if context.depth > MAX_WRAPPERS {
            too_many_wrappers(job, context);
        } else {
            let inner = unescape(&text[start..end]);
            self.documents(job, Chunk::whole(&inner, context));
        }
        Some(end)
    }

    /// Takes a line that does not begin as JSON does. Returns as [`Self::broken`] does.
    fn line(
        &mut self,
        job: &mut Job<'_>,
        level: &mut Level,
        chunk: Chunk<'_>,
        start: usize,
    ) -> Option<usize> {
        let text = chunk.text;
        if text[start..].starts_with(BREAK) {
            return Some(start + BREAK.len());
        }
        let end = match end_of_line(text, start) {
            Some(end) => end,
            None if chunk.is_last || text.len() - start > WINDOW_BYTES => text.len(),
            None => return None,
        };
        let is_timed = begins_with_time(&text[start..end]);
        let line = Line {
            range: start..end,
            is_timed,
            broken: None,
        };
        let broken = match self.logged_json(job, &mut level.tape, chunk, &line) {
            LoggedJson::Found(next) => return Some(next),
            LoggedJson::Incomplete => return None,
            LoggedJson::Missing(broken) => broken.filter(|_| is_timed),
        };
        let line = &text[start..end];
        if let Some(bytes) = encoded::decode(line) {
            self.nested_bytes(job, &bytes, chunk.context.at_offset(start).nested());
            return Some(end);
        }
        let may_have_records = match is_timed {
            true => has_record_mark(line),
            // The rest of a document whose begin is lost may have whole records.
            false => line.contains('{'),
        };
        if may_have_records {
            level.tape.clear();
            let broken = broken.unwrap_or(BrokenDocument {
                start,
                error: SyntaxError::Invalid {
                    at: start,
                    why: NOT_JSON,
                },
            });
            return Some(self.salvage_document(job, level, chunk, broken));
        }
        if is_timed {
            job.not_cloudtrail(ForeignKind::LogLine);
            return Some(end);
        }
        Some(reject_lines(job, chunk, start..end))
    }
}

/// Returns the offset of the newline after `start`, if there is one.
fn end_of_line(text: &str, start: usize) -> Option<usize> {
    memchr::memchr(b'\n', &text.as_bytes()[start..]).map(|length| start + length)
}

/// Rejects the line at `range` and those after it that cannot be JSON either, as one. Returns the
/// offset of their end.
fn reject_lines(job: &mut Job<'_>, chunk: Chunk<'_>, range: Range<usize>) -> usize {
    let text = chunk.text;
    let mut end = range.end;
    while let Some(next) = text.get(end + 1..) {
        let line = &next[..memchr::memchr(b'\n', next.as_bytes()).unwrap_or(next.len())];
        if next.is_empty()
            || line.contains('{')
            || line.trim_start().starts_with('[')
            || line.starts_with(BREAK.trim_end())
            || begins_with_time(line)
        {
            break;
        }
        end += 1 + line.len();
    }
    let context = chunk.context.at_offset(range.start);
    reject_text(job, &text[range.start..end], context);
    end
}

/// Returns whether the text begins as JSON with escapes in place of its quotes does.
fn is_escaped(text: &str) -> bool {
    text.trim_start_matches(['{', '[']).starts_with("\\\"")
}

/// Returns whether no part of the text can be JSON, so that it is one file and not a document a line.
fn is_prose(text: &str) -> bool {
    let has = |part: &str| memchr::memmem::find(text.as_bytes(), part.as_bytes()).is_some();
    let is_encoded = || text.lines().next().and_then(encoded::decode).is_some();
    !text.starts_with(['{', '[', '"'])
        && !begins_with_time(text)
        && !has("{\"")
        && !has("\"event")
        && !is_encoded()
}

/// Counts text that lies beside log files by custom; rejects any other, as it may have been one.
fn count_prose(job: &mut Job<'_>, text: &str, context: DocumentContext) {
    let name = job
        .entry
        .as_deref()
        .unwrap_or(&job.location.origin)
        .rsplit(['/', '\\'])
        .next()
        .unwrap_or_default();
    let beside = ["LICENSE", "README", "NOTICE", "aws-logs-write-test"]
        .iter()
        .any(|known| name.starts_with(known));
    if beside || name.ends_with(".md") {
        job.not_cloudtrail(ForeignKind::TextBeside);
    } else {
        reject_text(job, text, context);
    }
}

fn reject_text(job: &mut Job<'_>, text: &str, context: DocumentContext) {
    let bytes = text.as_bytes();
    let (reason, detail) = if bytes.contains(&NOT_UTF8) || bytes.contains(&0) {
        (
            "not text",
            "these bytes are neither text nor a known compression",
        )
    } else {
        ("not JSON", NOT_JSON)
    };
    let location = job.location.at_byte(context.byte);
    job.reject(location, reason, detail.to_owned(), bytes);
}

/// Checks what follows the document at `range`: containers end by themselves, anything else ends
/// with its line.
fn check_end(chunk: Chunk<'_>, range: Range<usize>) -> Result<(), SyntaxError> {
    let bytes = chunk.text.as_bytes();
    // Strings with records in them are written back to back by some streams.
    let ends_itself = match bytes[range.start] {
        b'{' | b'[' => true,
        b'"' => {
            let string = &chunk.text[range.clone()];
            string[1..].starts_with(['{', '[']) && has_record_mark(string)
        }
        _ => false,
    };
    if ends_itself {
        return Ok(());
    }
    let is_blank = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\r');
    let next = range.end + bytes[range.end..].iter().take_while(is_blank).count();
    match bytes.get(next) {
        Some(b'\n') => Ok(()),
        None if chunk.is_last => Ok(()),
        None => Err(SyntaxError::Incomplete),
        Some(_) => Err(SyntaxError::Invalid {
            at: next,
            why: "expected a new line after a value that stands alone",
        }),
    }
}

/// Returns whether a line begins as those of the log tools of AWS do: `2026-01-31T01:02`, or with a
/// space for the `T`.
pub(super) fn begins_with_time(line: &str) -> bool {
    let shape = b"0000-00-00T00:00";
    line.len() > shape.len()
        && line.bytes().zip(shape).all(|(byte, shape)| match shape {
            b'0' => byte.is_ascii_digit(),
            b'T' => byte == b'T' || byte == b' ',
            other => byte == *other,
        })
}
