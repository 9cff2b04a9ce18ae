//! Text that is too large for memory, in a window that slides over it. A document that is larger than
//! the window is taken apart between elements.

use std::io::Read;

use super::compression::Stream;
use super::csv_rows::{self, Header};
use super::foreign::ForeignKind;
use super::magic::UTF8_MARK;
use super::text::patch_utf8;
use super::{Chunk, DocumentContext, Extractor, Job, MAX_DOCUMENT_BYTES, Outcome, WINDOW_BYTES};
use crate::json::{Tape, skip_space};

/// A damaged document that goes on beyond the window.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenDamage {
    /// Whether the document is a line, so that the damage ends with it; else it ends with the payload.
    pub(super) is_line: bool,
}

/// A document that is larger than the window and is taken apart between elements.
#[derive(Debug)]
pub(super) struct SplitDocument {
    /// The document's text up to and with the `[` of the array that is open.
    head: String,
    /// Offset in the window after the comma after the last whole element; 0 if it was not split yet.
    resume: usize,
    /// The counts before the document.
    before: Outcome,
}

impl SplitDocument {
    /// Returns the counts before the document.
    pub(super) fn before(&self) -> &Outcome {
        &self.before
    }
}

impl Extractor {
    /// Extracts from a stream.
    pub(super) fn extract_windows(
        &mut self,
        job: &mut Job<'_>,
        stream: &mut Stream<'_>,
        context: DocumentContext,
    ) {
        let mut window = std::mem::take(&mut self.window);
        window.clear();
        let mut byte = 0_u64;
        let mut first = true;
        loop {
            let had = window.len();
            // Twice as much each time for a document that has no end yet: it is parsed again.
            let room = MAX_DOCUMENT_BYTES.saturating_sub(had);
            let last = stream.fill(&mut window, had.min(room).max(WINDOW_BYTES));
            job.count_text(window.len() - had);
            if first {
                if last {
                    self.extract_bytes(job, &window, context);
                    break;
                }
                window.drain(
                    ..window
                        .strip_prefix(UTF8_MARK)
                        .map_or(0, |_| UTF8_MARK.len()),
                );
                if self.large_foreign(job, &window, stream, context) {
                    break;
                }
                first = false;
            }
            let chunk = Chunk {
                text: patch_utf8(&mut window, last),
                is_last: last,
                context: DocumentContext { byte, ..context },
            };
            let consumed = self.documents(job, chunk);
            if last || job.outcome.stopped {
                break;
            }
            byte += job.slide(&mut window, consumed, byte);
        }
        self.window = window;
    }

    /// Takes a large file in a form other than JSON, of which `head` is the first window. Returns
    /// whether it was one.
    fn large_foreign(
        &mut self,
        job: &mut Job<'_>,
        head: &[u8],
        stream: &mut Stream<'_>,
        context: DocumentContext,
    ) -> bool {
        if self.large_columnar(job, head, &mut *stream, context)
            || self.large_archive(job, head, stream, context)
            || job.unread_format(head, context, "")
        {
            return true;
        }
        let valid = std::str::from_utf8(head).map_or_else(|error| error.valid_up_to(), str::len);
        let text = std::str::from_utf8(&head[..valid]);
        let kind = match text.ok().and_then(csv_rows::header) {
            Some(Header::QueryResults) => ForeignKind::QueryResultCsv,
            Some(kind) => {
                let bytes = csv_rows::records(kind, head.chain(stream), |json, byte| {
                    self.documents(job, Chunk::whole(json, context.csv_row(byte)));
                });
                job.count_text((bytes as usize).saturating_sub(head.len()));
                return true;
            }
            None => return false,
        };
        job.not_cloudtrail(kind);
        true
    }

    /// Hands on the whole elements of a document that has no end in this window, and notes where to
    /// go on: with the document's head put before the rest, as if it began there.
    pub(super) fn split(
        &mut self,
        job: &mut Job<'_>,
        tape: &mut Tape,
        chunk: Chunk<'_>,
        start: usize,
    ) {
        let before = match job.split.take() {
            Some(split) => split.before,
            None => job.outcome,
        };
        // Stays so until an element is whole, which may be in the next window.
        job.split = Some(SplitDocument {
            head: String::new(),
            resume: 0,
            before,
        });
        let text = chunk.text;
        if text.len() - start < WINDOW_BYTES {
            return;
        }
        let Some((open, resume)) = split_point(tape, text) else {
            return;
        };
        self.framed_elements(job, tape, chunk);
        job.split = Some(SplitDocument {
            head: text[start..=open].to_owned(),
            resume,
            before,
        });
    }
}

/// Returns the offset of the `[` of the only array on the tape, and the offset after the comma after
/// its last element that is whole for certain, unless the array is at its end.
fn split_point(tape: &mut Tape, text: &str) -> Option<(usize, usize)> {
    let [array] = tape.arrays[..] else {
        return None;
    };
    // A number at the very end may go on in the next window.
    if skip_space(text.as_bytes(), array.end as usize) == text.len() {
        tape.forget_last_element();
    }
    let array = tape.arrays[0];
    if tape.elements_of(&array).is_empty() || tape.is_closed(&array) {
        return None;
    }
    let comma = skip_space(text.as_bytes(), array.end as usize);
    let is_comma = text.as_bytes().get(comma) == Some(&b',');
    is_comma.then_some((array.start as usize, comma + 1))
}

impl Job<'_> {
    /// Drops the text that was consumed from the window, which is at `byte` of the payload. Returns the
    /// number of bytes by which the window moved.
    fn slide(&mut self, window: &mut Vec<u8>, consumed: usize, byte: u64) -> u64 {
        if let Some(split) = &self.split
            && split.resume > 0
        {
            let head = split.head.len();
            window.splice(..split.resume, split.head.bytes());
            return (split.resume - head) as u64;
        }
        window.drain(..consumed);
        if window.len() > MAX_DOCUMENT_BYTES {
            let location = self.location.at_byte(byte + consumed as u64);
            let detail = format!(
                "one JSON value of more than {MAX_DOCUMENT_BYTES} bytes that cannot be taken apart"
            );
            self.reject(location, "document too large", detail, b"");
            self.damage = Some(OpenDamage { is_line: false });
            if let Some(split) = self.split.take() {
                self.outcome.salvage_since(split.before());
            }
        }
        consumed as u64
    }
}
