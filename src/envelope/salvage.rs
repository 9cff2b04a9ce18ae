//! What a damaged document still gives: the records that came whole before the damage, and those
//! that can be framed behind it. Each stretch in between is one reject.

use super::classify::{ObjectClass, classify};
use super::documents::begins_with_time;
use super::text::NOT_UTF8;
use super::windows::Damage;
use super::wrapper::Found;
use super::{Extractor, Job, Level, Place, WINDOW_BYTES};
use crate::json::{Element, Fault, Parsed, Span, Tape};

/// So many lines behind damage are looked at for one that stands alone.
const LINES: usize = 8;

/// A piece of a damaged document.
#[derive(Clone, Copy)]
struct Piece<'a> {
    text: &'a str,
    /// Where what is not yet accounted for starts.
    from: usize,
    /// Where the damage was found, for the first stretch.
    fault: Option<(usize, Fault)>,
    /// Whether nothing comes behind it.
    complete: bool,
}

impl Extractor {
    /// A document that starts at `start` and is damaged. Gives the offset to go on at.
    pub(super) fn damaged(
        &mut self,
        job: &mut Job<'_>,
        level: &mut Level,
        (text, start, fault): (&str, usize, Fault),
        place: Place,
        complete: bool,
    ) -> usize {
        let found_at = match fault {
            Fault::Invalid { at, .. } => at.min(text.len()),
            Fault::Incomplete => text.len(),
        };
        forget_dubious(&mut level.tape, text);
        let from = whole_until(&level.tape).unwrap_or(start);
        let line = memchr::memchr(b'\n', &text.as_bytes()[start..found_at]).is_none();
        let (end, ends) = match end_of_damage(text, from, &mut level.salvage) {
            Some(end) => (end, true),
            None => (text.len(), complete),
        };
        if place.depth == 0 {
            if let Some(split) = job.split.take() {
                job.salvage_since(split.before());
            }
            job.damage = (!ends).then_some(Damage { line });
        }
        let place = Place {
            damaged: true,
            ..place
        };
        self.whole_elements(job, &level.tape, (text, start), place);
        let piece = Piece {
            text: &text[..end],
            from,
            fault: Some((start, fault)),
            complete: ends,
        };
        let done = self.salvage(job, &mut level.salvage, piece, place);
        if ends { end } else { done }
    }

    /// Goes on with damage that began in an earlier window.
    pub(super) fn go_on_salvaging(
        &mut self,
        job: &mut Job<'_>,
        level: &mut Level,
        (text, damage): (&str, Damage),
        place: Place,
        complete: bool,
    ) -> usize {
        let end = match damage.line {
            true => end_of_damage(text, 0, &mut level.salvage),
            false => None,
        };
        let (end, ends) = match end {
            Some(end) => (end, true),
            None => (text.len(), complete),
        };
        let piece = Piece {
            text: &text[..end],
            from: 0,
            fault: None,
            complete: ends,
        };
        if ends {
            job.damage = None;
        }
        let place = Place {
            damaged: true,
            ..place
        };
        let done = self.salvage(job, &mut level.salvage, piece, place);
        if ends { end } else { done }
    }

    /// What is on the tape came whole.
    fn whole_elements(
        &mut self,
        job: &mut Job<'_>,
        tape: &Tape,
        (text, start): (&str, usize),
        place: Place,
    ) {
        let Some(array) = tape.arrays.first() else {
            return;
        };
        let found = Found {
            text,
            span: Span {
                start: start as u32,
                end: array.end,
                escaped: true,
            },
            members: &tape.root,
            tape: Some(tape),
        };
        self.open_document(job, found, place);
    }

    /// Tries every `{` for a record or a wrapper that is whole.
    ///
    /// A text is looked at as often as objects lie inside each other in it at most, which the
    /// scanner limits; objects that are whole and no records are passed over.
    fn salvage(
        &mut self,
        job: &mut Job<'_>,
        tape: &mut Tape,
        mut piece: Piece<'_>,
        place: Place,
    ) -> usize {
        let text = piece.text;
        let rejects = job.outcome.damaged_stretches;
        let mut at = match piece.fault {
            Some((start, _)) if start == piece.from => start + 1,
            _ => piece.from,
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
                    let class = classify(text, &tape.root);
                    if let ObjectClass::Record(_) | ObjectClass::Wrapper(_) = class {
                        stretch(job, &mut piece, open, place);
                        let found = Found {
                            text,
                            span: Span {
                                start: open as u32,
                                end: end as u32,
                                escaped: true,
                            },
                            members: &tape.root,
                            tape: Some(tape),
                        };
                        self.object(job, found, place.ahead(open));
                        piece.from = end;
                    }
                    at = end;
                }
                Parsed::Broken {
                    fault: Fault::Incomplete,
                    ..
                } if !piece.complete && text.len() - open < WINDOW_BYTES => {
                    stretch(job, &mut piece, open, place);
                    return open;
                }
                _ => at = open + 1,
            }
        }
        stretch(job, &mut piece, text.len(), place);
        if let Some((start, fault)) = piece
            .fault
            .filter(|_| job.outcome.damaged_stretches == rejects)
        {
            // Only punctuation is missing, say the brackets at the end.
            reject(
                job,
                text,
                (start, text.len().max(start)),
                Some(fault),
                place,
            );
        }
        text.len()
    }
}

/// A string or scalar right before the damage may be part of it: a stray quote makes a string of the
/// begin of the next record.
fn forget_dubious(tape: &mut Tape, text: &str) {
    let dubious = |element: &Element| !matches!(element.value.first(text), b'{' | b'[');
    if tape.last_element().is_some_and(dubious) {
        tape.forget_last_element();
    }
}

/// The offset behind the elements on the tape, if there are any.
fn whole_until(tape: &Tape) -> Option<usize> {
    let array = tape.arrays.first()?;
    (array.elements.0 < array.elements.1).then_some(array.end as usize)
}

/// Where the damage ends for certain: before a line that stands alone, be it one document or a log
/// line, if one of the next few does. Else there is no telling.
fn end_of_damage(text: &str, from: usize, tape: &mut Tape) -> Option<usize> {
    memchr::memchr_iter(b'\n', &text.as_bytes()[from..])
        .take(LINES)
        .map(|newline| from + newline)
        .find(|newline| stands_alone(text, newline + 1, tape))
}

/// Whether the line at `start` is one JSON document or begins as the lines of log tools do.
fn stands_alone(text: &str, start: usize, tape: &mut Tape) -> bool {
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

/// Rejects what lies between the last sound thing and `to`, unless that is only punctuation.
fn stretch(job: &mut Job<'_>, piece: &mut Piece<'_>, to: usize, place: Place) {
    let bytes = &piece.text.as_bytes()[piece.from..to];
    let punctuation = |byte: &u8| b" \t\r\n,:[]}\x02".contains(byte);
    let Some(first) = bytes.iter().position(|byte| !punctuation(byte)) else {
        return;
    };
    let last = bytes
        .iter()
        .rposition(|byte| !punctuation(byte))
        .unwrap_or(first);
    let span = (piece.from + first, piece.from + last + 1);
    let fault = piece.fault.take().map(|(_, fault)| fault);
    reject(job, piece.text, span, fault, place);
}

fn reject(
    job: &mut Job<'_>,
    text: &str,
    (start, end): (usize, usize),
    fault: Option<Fault>,
    place: Place,
) {
    let bytes = &text.as_bytes()[start.min(text.len())..end.min(text.len())];
    let (reason, detail) = match fault {
        _ if bytes.contains(&NOT_UTF8) => ("invalid UTF-8", "bytes that are no text".to_owned()),
        Some(Fault::Incomplete) => (
            "cut-off JSON",
            "the text ends inside a document; is the file complete?".to_owned(),
        ),
        Some(Fault::Invalid { at, why }) => {
            let byte = place.ahead(at).byte;
            ("broken JSON", format!("{why} at byte {byte}"))
        }
        None => ("broken JSON", "cannot be framed as a record".to_owned()),
    };
    let location = job.location.at_byte(place.ahead(start).byte);
    job.outcome.damaged_stretches += 1;
    job.reject(location, reason, detail, bytes);
}
