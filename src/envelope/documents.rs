//! Text in, JSON documents out: one after another, with or without newlines between them, and behind
//! the time stamps that log tools write.

use super::classify::{RECORD_MARK, is_control_message};
use super::compression::BREAK;
use super::console_csv::{self, Header};
use super::foreign::ForeignKind;
use super::magic::{self, UTF8_MARK};
use super::text::{NOT_UTF8, patch, utf16};
use super::wrapper::{Found, VALIDATION};
use super::{Extractor, Job, Level, Place, WINDOW_BYTES, kpl};
use crate::json::{Fault, Parsed, Span, skip_space};

/// What `aws-logs-write-test` holds, which an export puts beside its files.
const EXPORT_MARKER: &str = "Permission Check Successful";

const NOT_JSON: &str = "expected a JSON document, a log line, or a compressed one";

impl Extractor {
    /// Text that is all there.
    pub(super) fn top(&mut self, job: &mut Job<'_>, bytes: &[u8], place: Place) {
        if let Some(text) = utf16(bytes) {
            return self.top_text(job, &text, place);
        }
        if let Some(records) = kpl::records(bytes) {
            for record in &records {
                self.nested_bytes(job, record, place.inside(place.otherwise));
            }
            return;
        }
        let bytes = bytes.strip_prefix(UTF8_MARK).unwrap_or(bytes);
        match std::str::from_utf8(bytes) {
            Ok(text) => self.top_text(job, text, place),
            Err(_) => {
                let mut patched = bytes.to_vec();
                let end = patch(&mut patched, true);
                let text = std::str::from_utf8(&patched[..end]).unwrap_or_default();
                self.top_text(job, text, place);
            }
        }
    }

    fn top_text(&mut self, job: &mut Job<'_>, text: &str, place: Place) {
        let start = skip_space(text.as_bytes(), 0);
        if start == text.len() {
            job.outcome.empty = true;
            return;
        }
        if self.foreign(job, text, place) {
            return;
        }
        if is_prose(&text[start..]) {
            prose(job, text, place.ahead(start));
        } else {
            self.documents(job, text, place, true);
        }
    }

    /// Forms that are no JSON, known by how they begin. Tells whether this was one.
    fn foreign(&mut self, job: &mut Job<'_>, text: &str, place: Place) -> bool {
        let kind = match (
            magic::unread_file(text.as_bytes()),
            console_csv::header(text),
        ) {
            (Some(kind), _) => kind,
            _ if text.starts_with(VALIDATION) => ForeignKind::ValidationNotice,
            _ if text.trim_end() == EXPORT_MARKER => ForeignKind::ExportTest,
            (None, Some(Header::QueryResults)) => ForeignKind::QueryResultCsv,
            (None, Some(Header::EventHistory)) => {
                console_csv::records(text.as_bytes(), |json| {
                    self.documents(job, json, place.inside(place.otherwise), true);
                });
                return true;
            }
            (None, None) => return false,
        };
        job.not_cloudtrail(kind);
        true
    }

    /// Walks the documents of `text`; gives the offset up to which it is done with. That is all of
    /// it if `complete`; else what is left has to be handed in again with more behind it.
    pub(super) fn documents(
        &mut self,
        job: &mut Job<'_>,
        text: &str,
        place: Place,
        complete: bool,
    ) -> usize {
        let mut level = self.take_level(place.depth);
        let mut at = match job.damage {
            Some(damage) if place.depth == 0 => {
                self.go_on_salvaging(job, &mut level, (text, damage), place, complete)
            }
            _ => 0,
        };
        while !job.outcome.stopped {
            let (start, fault) = match level.tape.parse(text, at) {
                Parsed::Nothing => {
                    at = text.len();
                    break;
                }
                Parsed::Document { start, end } => match after(text, start, end, complete) {
                    None => {
                        self.whole_document(job, &level, (text, start, end), place);
                        at = end;
                        continue;
                    }
                    Some(fault) => (start, fault),
                },
                Parsed::Broken { start, fault } => (start, fault),
            };
            at = start;
            if fault == Fault::Incomplete && !complete {
                self.split(job, &mut level, (text, start), place);
                break;
            }
            match self.broken(job, &mut level, (text, start, fault), place, complete) {
                Some(next) => at = next,
                None => break,
            }
        }
        self.put_level(place.depth, level);
        at
    }

    fn whole_document(
        &mut self,
        job: &mut Job<'_>,
        level: &Level,
        (text, start, end): (&str, usize, usize),
        place: Place,
    ) {
        if place.depth == 0 {
            job.split = None;
        }
        let found = Found {
            text,
            span: Span {
                start: start as u32,
                end: end as u32,
                escaped: true,
            },
            members: &level.tape.root,
            tape: Some(&level.tape),
        };
        let place = if found.span.first(text) == b'[' {
            place
        } else {
            place.ahead(start)
        };
        self.document(job, found, place);
    }

    /// The elements that are on the tape of a document without an end.
    pub(super) fn open_document(&mut self, job: &mut Job<'_>, found: Found<'_>, place: Place) {
        let is_control = is_control_message(found.text, found.members);
        if let (Some(tape), false) = (found.tape, is_control) {
            self.elements(job, found.text, tape, place);
        }
    }

    /// Something that is no JSON document at `start`: gives the offset to go on at, or `None` if
    /// more text is needed to tell.
    fn broken(
        &mut self,
        job: &mut Job<'_>,
        level: &mut Level,
        (text, start, fault): (&str, usize, Fault),
        place: Place,
        complete: bool,
    ) -> Option<usize> {
        // A string alone on a line is JSON, but nobody's; one that is not alone is a piece of something.
        let looks_like_json = matches!(text.as_bytes()[start], b'{' | b'[');
        if place.depth > 0 {
            let ours = memchr::memmem::find(text.as_bytes(), RECORD_MARK).is_some();
            if looks_like_json && ours {
                return Some(self.damaged(job, level, (text, start, fault), place, complete));
            }
            job.not_cloudtrail(place.otherwise);
            return Some(text.len());
        }
        if looks_like_json {
            return Some(self.damaged(job, level, (text, start, fault), place, complete));
        }
        self.line(job, level, (text, start), place, complete)
    }

    /// A line that does not begin as JSON does.
    fn line(
        &mut self,
        job: &mut Job<'_>,
        level: &mut Level,
        (text, start): (&str, usize),
        place: Place,
        complete: bool,
    ) -> Option<usize> {
        if text[start..].starts_with(BREAK) {
            return Some(start + BREAK.len());
        }
        let end = match memchr::memchr(b'\n', &text.as_bytes()[start..]) {
            Some(length) => start + length,
            None if complete || text.len() - start > WINDOW_BYTES => text.len(),
            None => return None,
        };
        let line = &text[start..end];
        if !begins_with_time(line) {
            if line.contains('{') {
                // The rest of a document whose begin is lost may have whole records.
                let why = NOT_JSON;
                let fault = Fault::Invalid { at: start, why };
                level.tape.clear();
                return Some(self.damaged(job, level, (text, start, fault), place, complete));
            }
            return Some(self.not_json(job, (text, start, end), place));
        }
        let Some(json) = memchr::memchr2(b'{', b'[', line.as_bytes()).map(|at| start + at) else {
            job.not_cloudtrail(ForeignKind::LogLine);
            return Some(end);
        };
        // Live tail may print the JSON over several lines, so the document ends where it ends.
        match level.tape.parse(text, json) {
            Parsed::Document { end, .. } => {
                self.whole_document(job, level, (text, json, end), place);
                Some(end)
            }
            Parsed::Broken {
                fault: Fault::Incomplete,
                ..
            } if !complete => None,
            _ if memchr::memmem::find(line.as_bytes(), RECORD_MARK).is_none() => {
                job.not_cloudtrail(ForeignKind::LogLine);
                Some(end)
            }
            Parsed::Broken { start, fault } => {
                Some(self.damaged(job, level, (text, start, fault), place, complete))
            }
            Parsed::Nothing => Some(end),
        }
    }

    /// Lines up to the next that could be JSON: one reject for all of them.
    fn not_json(
        &mut self,
        job: &mut Job<'_>,
        (text, start, mut end): (&str, usize, usize),
        place: Place,
    ) -> usize {
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
        reject_text(job, &text[start..end], place.ahead(start));
        end
    }
}

/// Whether there is nothing in the text that could be JSON: then it is one thing, not a thing a line.
fn is_prose(text: &str) -> bool {
    let has = |part: &str| memchr::memmem::find(text.as_bytes(), part.as_bytes()).is_some();
    !text.starts_with(['{', '[', '"']) && !begins_with_time(text) && !has("{\"") && !has("\"event")
}

/// Texts that lie beside log files by custom are nobody's loss; any other might have been one.
fn prose(job: &mut Job<'_>, text: &str, place: Place) {
    let name = job
        .location
        .origin
        .rsplit(['/', '\\'])
        .next()
        .unwrap_or_default();
    let beside = ["LICENSE", "README", "NOTICE", "aws-logs-write-test"]
        .iter()
        .any(|known| name.starts_with(known));
    if beside || name.ends_with(".md") {
        job.not_cloudtrail(ForeignKind::TextBeside);
    } else {
        reject_text(job, text, place);
    }
}

fn reject_text(job: &mut Job<'_>, text: &str, place: Place) {
    let bytes = text.as_bytes();
    let (reason, detail) = if bytes.contains(&NOT_UTF8) || bytes.contains(&0) {
        (
            "not text",
            "these bytes are neither text nor a known compression",
        )
    } else {
        ("not JSON", NOT_JSON)
    };
    let location = job.location.at_byte(place.byte);
    job.reject(location, reason, detail.to_owned(), bytes);
}

/// What is wrong with how a document ends: containers end by themselves, anything else with its line.
fn after(text: &str, start: usize, end: usize, complete: bool) -> Option<Fault> {
    if let b'{' | b'[' = text.as_bytes()[start] {
        return None;
    }
    let next = end
        + text[end..]
            .bytes()
            .take_while(|b| matches!(b, b' ' | b'\t' | b'\r'))
            .count();
    match text.as_bytes().get(next) {
        Some(b'\n') => None,
        None if complete => None,
        None => Some(Fault::Incomplete),
        Some(_) => Some(Fault::Invalid {
            at: next,
            why: "expected a new line behind a value that stands alone",
        }),
    }
}

/// `2026-01-31T01:02` or with a space for the `T`, as the log tools of AWS begin their lines.
pub(super) fn begins_with_time(line: &str) -> bool {
    let shape = b"0000-00-00T00:00";
    line.len() > shape.len()
        && line.bytes().zip(shape).all(|(byte, shape)| match shape {
            b'0' => byte.is_ascii_digit(),
            b'T' => byte == b'T' || byte == b' ',
            other => byte == *other,
        })
}
