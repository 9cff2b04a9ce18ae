//! Text that is too large for memory, through a window that slides over it: a document that is
//! larger than the window is taken apart between elements.

use std::io::Read;

use super::compression::Stream;
use super::console_csv::{self, Header};
use super::foreign::ForeignKind;
use super::magic::{self, UTF8_MARK};
use super::text::patch;
use super::wrapper::Found;
use super::{Extractor, Job, Level, MAX_DOCUMENT_BYTES, Outcome, Place, WINDOW_BYTES};
use crate::json::{Span, skip_space};

/// A damaged document that goes on beyond the window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Damage {
    /// It is a line, so it ends with the line; else it ends with the payload.
    pub(super) line: bool,
}

/// A document that is larger than the window and is taken apart between elements.
#[derive(Debug)]
pub(super) struct Split {
    /// Its text up to and with the `[` of the array that is open.
    head: String,
    /// Offset in the window behind the comma behind the last whole element.
    resume: usize,
    /// The counts before it.
    before: Outcome,
}

impl Split {
    /// The counts before the document.
    pub(super) fn before(&self) -> &Outcome {
        &self.before
    }
}

impl Extractor {
    /// Text that comes through a window.
    pub(super) fn windows(&mut self, job: &mut Job<'_>, stream: &mut Stream<'_>, place: Place) {
        let mut window = std::mem::take(&mut self.window);
        window.clear();
        let mut byte = 0_u64;
        let mut first = true;
        loop {
            let had = window.len();
            // Twice as much each time for a document that has no end yet: it is parsed again.
            let room = MAX_DOCUMENT_BYTES.saturating_sub(had);
            let last = stream.fill(&mut window, had.min(room).max(WINDOW_BYTES));
            job.outcome.inflated_bytes += (window.len() - had) as u64;
            if first {
                if last {
                    self.top(job, &window, place);
                    break;
                }
                window.drain(
                    ..window
                        .strip_prefix(UTF8_MARK)
                        .map_or(0, |_| UTF8_MARK.len()),
                );
                if self.large_foreign(job, &window, stream, place) {
                    break;
                }
                first = false;
            }
            let end = patch(&mut window, last);
            let text = std::str::from_utf8(&window[..end]).unwrap_or_default();
            let here = Place { byte, ..place };
            let used = self.documents(job, text, here, last);
            if last || job.outcome.stopped {
                break;
            }
            byte = self.slide(job, &mut window, used, byte);
        }
        self.window = window;
    }

    /// Large files of forms that are no JSON, of which `head` is the first window. Tells whether this
    /// was one.
    fn large_foreign(
        &mut self,
        job: &mut Job<'_>,
        head: &[u8],
        stream: &mut Stream<'_>,
        place: Place,
    ) -> bool {
        let line = head.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let header = std::str::from_utf8(line).ok().and_then(console_csv::header);
        let kind = match (unread_file(head), header) {
            (Some(kind), _) => kind,
            (None, Some(Header::QueryResults)) => ForeignKind::QueryResultCsv,
            (None, Some(Header::EventHistory)) => {
                let place = place.inside(place.otherwise);
                let bytes = console_csv::records(head.chain(stream), |json| {
                    self.documents(job, json, place, true);
                });
                job.outcome.inflated_bytes += bytes.saturating_sub(head.len() as u64);
                return true;
            }
            (None, None) => return false,
        };
        job.not_cloudtrail(kind);
        true
    }

    /// Drops what is done with from the window; gives the offset of what is left.
    fn slide(&self, job: &mut Job<'_>, window: &mut Vec<u8>, used: usize, byte: u64) -> u64 {
        if let Some(split) = &job.split
            && split.resume > 0
        {
            let head = split.head.len();
            window.splice(..split.resume, split.head.bytes());
            return byte + (split.resume - head) as u64;
        }
        window.drain(..used);
        if window.len() > MAX_DOCUMENT_BYTES {
            let location = job.location.at_byte(byte + used as u64);
            let detail = format!(
                "one JSON value of more than {MAX_DOCUMENT_BYTES} bytes that cannot be taken apart"
            );
            job.reject(location, "document too large", detail, b"");
            job.damage = Some(Damage { line: false });
            if let Some(split) = job.split.take() {
                job.salvage_since(split.before());
            }
        }
        byte + used as u64
    }

    /// Hands on the whole elements of a document that has no end in this window, and leaves word of
    /// where to go on: with the document's head put before the rest, as if it began there.
    pub(super) fn split(
        &mut self,
        job: &mut Job<'_>,
        level: &mut Level,
        (text, start): (&str, usize),
        place: Place,
    ) {
        let before = match job.split.take() {
            Some(split) => split.before,
            None => job.outcome,
        };
        // Until it is taken apart further, which may be in the next window.
        job.split = Some(Split {
            head: String::new(),
            resume: 0,
            before,
        });
        let [array] = level.tape.arrays[..] else {
            return;
        };
        if text.len() - start < WINDOW_BYTES {
            return;
        }
        // A number at the very end may go on in the next window.
        if skip_space(text.as_bytes(), array.end as usize) == text.len() {
            level.tape.forget_last_element();
        }
        let array = level.tape.arrays[0];
        if array.elements.0 == array.elements.1 || level.tape.is_closed(&array) {
            return;
        }
        let behind = skip_space(text.as_bytes(), array.end as usize);
        if text.as_bytes().get(behind) != Some(&b',') {
            return;
        }
        let found = Found {
            text,
            span: Span {
                start: start as u32,
                end: array.end,
                escaped: true,
            },
            members: &level.tape.root,
            tape: Some(&level.tape),
        };
        self.open_document(job, found, place);
        job.split = Some(Split {
            head: text[start..=array.start as usize].to_owned(),
            resume: behind + 1,
            before,
        });
    }
}

/// Recognises large files that are not read.
fn unread_file(head: &[u8]) -> Option<ForeignKind> {
    let compressed = || magic::compression(head).map(|_| ForeignKind::CompressedTooOften);
    magic::unread_file(head).or_else(compressed)
}
