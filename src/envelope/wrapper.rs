//! Takes one wrapper off and goes on with what is in it.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::classify::{Content, ObjectClass, Wrapper, classify};
use super::compression::Stream;
use super::foreign::ForeignKind;
use super::{Extractor, Job, MAX_NESTED_BYTES, MAX_WRAPPERS, Place, kpl, magic};
use crate::json::{Elements, Member, Members, Span, Tape, skip_space, unescape_into};

/// Standard alphabet, padded or not: the AWS tools pad, some archivers strip it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What CloudTrail says when it is given a topic, and nothing else.
pub(super) const VALIDATION: &str = "CloudTrail validation message";

/// A value in some text, and the tape its parts are on if it is a document of its own.
#[derive(Clone, Copy)]
pub(super) struct Found<'a> {
    pub(super) text: &'a str,
    pub(super) span: Span,
    pub(super) members: &'a [Member],
    pub(super) tape: Option<&'a Tape>,
}

impl Extractor {
    /// A whole document.
    pub(super) fn document(&mut self, job: &mut Job<'_>, found: Found<'_>, place: Place) {
        match (found.span.first(found.text), found.tape) {
            (b'[', Some(tape)) => self.elements(job, found.text, tape, place),
            _ => self.value(job, found, place),
        }
    }

    /// The elements of the first array on the tape.
    pub(super) fn elements(&mut self, job: &mut Job<'_>, text: &str, tape: &Tape, place: Place) {
        let Some(array) = tape.arrays.first() else {
            return;
        };
        for element in tape.elements_of(array) {
            if job.outcome.stopped {
                return;
            }
            let found = Found {
                text,
                span: element.value,
                members: tape.members_of(element),
                tape: None,
            };
            self.value(job, found, place.ahead(element.value.start as usize));
        }
    }

    /// Any value: an object by what it is, text by what is in it.
    pub(super) fn value(&mut self, job: &mut Job<'_>, found: Found<'_>, place: Place) {
        match found.span.first(found.text) {
            b'{' => self.object(job, found, place),
            b'[' => self.nested_value(job, found.span.raw(found.text), place),
            b'"' => self.string(job, found.text, found.span, place),
            _ => job.not_cloudtrail(place.otherwise),
        }
    }

    pub(super) fn object(&mut self, job: &mut Job<'_>, found: Found<'_>, place: Place) {
        match classify(found.text, found.members) {
            ObjectClass::Record(kind) => {
                job.record((found.text, found.span), found.members, kind, place);
            }
            ObjectClass::Unknown => job.not_cloudtrail(place.otherwise),
            ObjectClass::Foreign(kind) => job.not_cloudtrail(kind),
            ObjectClass::Wrapper(_) if place.depth >= MAX_WRAPPERS => {
                too_many_wrappers(job, place);
            }
            ObjectClass::Wrapper(wrapper) => self.wrapper(job, found, wrapper, place),
        }
    }

    fn wrapper(&mut self, job: &mut Job<'_>, found: Found<'_>, wrapper: Wrapper, place: Place) {
        let (text, value) = (found.text, wrapper.value);
        match wrapper.content {
            Content::Array => self.array(job, found, value, place),
            Content::Object(otherwise) => {
                let place = Place { otherwise, ..place };
                self.nested_value(job, value.raw(text), place);
            }
            Content::Text(otherwise) => {
                self.string(job, text, value, Place { otherwise, ..place });
            }
            Content::LogMessage => {
                let millis = wrapper.delivered_millis;
                let millis = millis.and_then(|millis| millis.raw(text).parse::<i64>().ok());
                let micros = millis.and_then(|millis| millis.checked_mul(1000));
                let place = Place {
                    otherwise: ForeignKind::LogMessage,
                    delivered_micros: micros.or(place.delivered_micros),
                    ..place
                };
                self.string(job, text, value, place);
            }
            Content::Base64 => self.base64(job, text, value, place),
            Content::InsightsRows => self.insights_rows(job, text, value, place),
        }
    }

    fn array(&mut self, job: &mut Job<'_>, found: Found<'_>, span: Span, place: Place) {
        match found.tape {
            Some(tape) if tape.arrays.first().is_some_and(|a| a.start == span.start) => {
                self.elements(job, found.text, tape, place);
            }
            _ => self.nested_value(job, span.raw(found.text), place),
        }
    }

    /// A value that is known to be JSON but is on no tape.
    fn nested_value(&mut self, job: &mut Job<'_>, text: &str, place: Place) {
        self.nested_text(job, text, place.inside(place.otherwise));
    }

    /// What is in a string.
    fn string(&mut self, job: &mut Job<'_>, text: &str, span: Span, place: Place) {
        let place = place.inside(place.otherwise);
        let raw = &text[span.start as usize + 1..span.end as usize - 1];
        if !span.escaped {
            return self.nested_text(job, raw, place);
        }
        let mut level = self.take_level(place.depth);
        let mut inner = std::mem::take(&mut level.text);
        self.put_level(place.depth, level);
        inner.clear();
        unescape_into(raw, &mut inner);
        self.nested_text(job, &inner, place);
        self.levels[place.depth].text = inner;
    }

    fn nested_text(&mut self, job: &mut Job<'_>, text: &str, place: Place) {
        let start = skip_space(text.as_bytes(), 0);
        match text.as_bytes().get(start) {
            Some(b'{' | b'[') if place.depth > MAX_WRAPPERS => too_many_wrappers(job, place),
            Some(b'{' | b'[') => {
                self.documents(job, text, place, true);
            }
            Some(b'C') if text.starts_with(VALIDATION) => {
                job.not_cloudtrail(ForeignKind::ValidationNotice);
            }
            _ => job.not_cloudtrail(place.otherwise),
        }
    }

    fn base64(&mut self, job: &mut Job<'_>, text: &str, span: Span, place: Place) {
        let place = place.inside(ForeignKind::Payload);
        let mut level = self.take_level(place.depth);
        let mut bytes = std::mem::take(&mut level.bytes);
        self.put_level(place.depth, level);
        bytes.clear();
        let raw = &text[span.start as usize + 1..span.end as usize - 1];
        // JSON may write the alphabet's slash as `\/`.
        let raw = crate::json::unescape(raw);
        match BASE64.decode_vec(raw.as_bytes(), &mut bytes) {
            Ok(()) => self.nested_bytes(job, &bytes, place),
            Err(_) => job.not_cloudtrail(place.otherwise),
        }
        self.levels[place.depth].bytes = bytes;
    }

    /// Bytes out of a wrapper: aggregated, compressed, or text.
    pub(super) fn nested_bytes(&mut self, job: &mut Job<'_>, bytes: &[u8], place: Place) {
        if place.depth > MAX_WRAPPERS {
            too_many_wrappers(job, place);
        } else if let Some(records) = kpl::records(bytes) {
            for record in &records {
                self.nested_bytes(job, record, place.inside(place.otherwise));
            }
        } else if magic::compression(bytes).is_some() {
            self.nested_compressed(job, bytes, place.inside(place.otherwise));
        } else if let Ok(text) = std::str::from_utf8(bytes) {
            self.nested_text(job, text, place);
        } else {
            job.not_cloudtrail(place.otherwise);
        }
    }

    fn nested_compressed(&mut self, job: &mut Job<'_>, bytes: &[u8], place: Place) {
        let mut stream = Stream::new(bytes);
        let mut text = Vec::new();
        let whole = stream.fill(&mut text, MAX_NESTED_BYTES);
        let faults = stream.faults();
        let location = job.location.at_byte(place.byte);
        for fault in &faults {
            let detail = format!("{} (inside a wrapper)", fault.detail);
            job.reject(location.clone(), fault.reason, detail, b"");
        }
        if !whole {
            let detail = format!("the rest of what is over {MAX_NESTED_BYTES} bytes is not read");
            job.reject(location, "inflates to too much", detail, b"");
        }
        let place = Place {
            damaged: place.damaged || !whole || !faults.is_empty(),
            ..place
        };
        match std::str::from_utf8(&text) {
            Ok(text) => self.nested_text(job, text, place),
            Err(_) => job.not_cloudtrail(place.otherwise),
        }
    }

    /// `aws logs get-query-results`: only `@message` has the event.
    fn insights_rows(&mut self, job: &mut Job<'_>, text: &str, rows: Span, place: Place) {
        let place = Place {
            otherwise: ForeignKind::LogMessage,
            ..place
        };
        for row in Elements::at(text, rows.start as usize) {
            let message = Elements::at(text, row.start as usize)
                .filter_map(|cell| cell_value(text, cell, "@message"))
                .next();
            match message {
                Some(message) => self.string(job, text, message, place),
                None => job.not_cloudtrail(ForeignKind::InsightsRow),
            }
        }
    }
}

fn too_many_wrappers(job: &mut Job<'_>, place: Place) {
    let location = job.location.at_byte(place.byte);
    let detail = format!("more than {MAX_WRAPPERS} wrappers inside each other");
    job.reject(location, "too many wrappers", detail, b"");
}

/// The value of the `{"field": ..., "value": ...}` that `cell` is, if it is the field `name`.
fn cell_value(text: &str, cell: Span, name: &str) -> Option<Span> {
    let mut value = None;
    let mut named = false;
    for (key, member) in Members::at(text, cell.start as usize) {
        match key.raw(text) {
            "field" => named = member.raw(text).trim_matches('"') == name,
            "value" if member.first(text) == b'"' => value = Some(member),
            _ => {}
        }
    }
    value.filter(|_| named)
}
