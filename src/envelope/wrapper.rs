//! Takes one wrapper off and goes on with its content.

use super::classify::{
    Content, ObjectClass, RecordKind, Wrapper, classify, has_record_mark, respelled_kind,
};
use super::compression::Stream;
use super::foreign::ForeignKind;
use super::text::skip_separators;
use super::{
    Chunk, DocumentContext, Extractor, Job, MAX_NESTED_BYTES, MAX_WRAPPERS, ValueRef, encoded, kpl,
    magic, spelling,
};
use crate::json::{Elements, Members, Parsed, Span, Tape, unescape_into};

/// The begin of the message that CloudTrail sends to a new topic.
pub(super) const VALIDATION: &str = "CloudTrail validation message";

/// Says in a reject's detail where the content was.
const IN_WRAPPER: &str = " (inside a wrapper)";

impl Extractor {
    /// Takes the elements of the first array on the tape.
    pub(super) fn elements(
        &mut self,
        job: &mut Job<'_>,
        text: &str,
        tape: &Tape,
        context: DocumentContext,
    ) {
        let Some(array) = tape.arrays.first() else {
            return;
        };
        for element in tape.elements_of(array) {
            if job.outcome.stopped {
                return;
            }
            let value = ValueRef {
                text,
                span: element.value,
                members: tape.members_of(element),
                tape: None,
            };
            self.value(job, value, context.at_offset(element.value.start as usize));
        }
    }

    /// Takes a value of any type.
    pub(super) fn value(
        &mut self,
        job: &mut Job<'_>,
        value: ValueRef<'_>,
        context: DocumentContext,
    ) {
        match value.span.first(value.text) {
            b'{' => self.object(job, value, context),
            b'[' => self.unknown_array(job, value, context),
            b'"' => self.string(job, value.text, value.span, context),
            _ => job.not_cloudtrail(context.fallback),
        }
    }

    /// Hands on the object if it is a record, goes on with its content if it is a wrapper, searches it if it
    /// is neither.
    pub(super) fn object(
        &mut self,
        job: &mut Job<'_>,
        value: ValueRef<'_>,
        context: DocumentContext,
    ) {
        match classify(value.text, value.members) {
            ObjectClass::Record(kind) => job.record(value, None, kind, context),
            ObjectClass::Respelled(kind) => self.respelled(job, value, kind, context),
            ObjectClass::Unknown => self.unknown_object(job, value, context),
            ObjectClass::Foreign(kind) => job.not_cloudtrail(kind),
            ObjectClass::Searched(kind) => {
                self.unknown_object(job, value, context.with_fallback(kind));
            }
            ObjectClass::Wrapper(_) if context.depth >= MAX_WRAPPERS => {
                too_many_wrappers(job, context);
            }
            ObjectClass::Wrapper(wrapper) => {
                let search = job.search.begin();
                self.wrapper(job, value, wrapper, context);
                if !job.search.has_found(&search) {
                    match respelled_kind(value.text, value.members) {
                        Some(kind) => self.respelled(job, value, kind, context),
                        None => self.search_beside(job, value, wrapper, (&search, context)),
                    }
                }
                job.end_search();
            }
        }
    }

    /// Hands on a record in another spelling.
    fn respelled(
        &mut self,
        job: &mut Job<'_>,
        value: ValueRef<'_>,
        kind: RecordKind,
        context: DocumentContext,
    ) {
        let text = spelling::respell(value.text, value.members);
        let mut tape = Tape::default();
        if let Parsed::Document { start, end } = tape.parse(&text, 0) {
            let record = ValueRef::document(&text, &tape, start..end);
            let original = value.span.raw(value.text);
            job.record(record, Some(original), kind, context);
        }
    }

    fn wrapper(
        &mut self,
        job: &mut Job<'_>,
        value: ValueRef<'_>,
        wrapper: Wrapper,
        context: DocumentContext,
    ) {
        let (text, content) = (value.text, wrapper.value);
        match wrapper.content {
            Content::Array => self.array(job, value, content, context),
            Content::Object(fallback) => {
                let context = context.with_fallback(fallback);
                self.nested_value(job, content.raw(text), context);
            }
            Content::Text(fallback) => {
                let context = context.with_fallback(fallback);
                self.string(job, text, content, context);
            }
            Content::LogMessage => {
                let millis = wrapper.delivered_millis;
                let millis = millis.and_then(|millis| millis.raw(text).parse::<i64>().ok());
                let micros = millis.and_then(|millis| millis.checked_mul(1000));
                let context = DocumentContext {
                    fallback: ForeignKind::LogMessage,
                    delivered_micros: micros.or(context.delivered_micros),
                    ..context
                };
                self.string(job, text, content, context);
            }
            Content::Base64 => self.base64(job, text, content, context),
            Content::InsightsRows => self.insights_rows(job, text, content, context),
        }
    }

    fn array(
        &mut self,
        job: &mut Job<'_>,
        value: ValueRef<'_>,
        span: Span,
        context: DocumentContext,
    ) {
        match value.tape {
            Some(tape) if tape.arrays.first().is_some_and(|a| a.start == span.start) => {
                self.elements(job, value.text, tape, context);
            }
            _ => self.nested_value(job, span.raw(value.text), context),
        }
    }

    /// Takes a value that is known to be JSON but is not on a tape.
    fn nested_value(&mut self, job: &mut Job<'_>, text: &str, context: DocumentContext) {
        self.nested_text(job, text, context.nested());
    }

    /// Takes the content of a string.
    pub(super) fn string(
        &mut self,
        job: &mut Job<'_>,
        text: &str,
        span: Span,
        context: DocumentContext,
    ) {
        let context = context.nested();
        let raw = &text[span.start as usize + 1..span.end as usize - 1];
        if !span.escaped {
            return self.nested_text(job, raw, context);
        }
        let mut inner = std::mem::take(&mut self.level(context.depth).text);
        inner.clear();
        unescape_into(raw, &mut inner);
        self.nested_text(job, &inner, context);
        self.level(context.depth).text = inner;
    }

    fn nested_text(&mut self, job: &mut Job<'_>, text: &str, context: DocumentContext) {
        let first = text.as_bytes().get(skip_separators(text, 0));
        // A log message may have its event after other text.
        let may_have_records = || has_record_mark(text);
        match first {
            Some(b'C') if text.starts_with(VALIDATION) => {
                job.not_cloudtrail(ForeignKind::ValidationNotice);
            }
            Some(first) if matches!(first, b'{' | b'[' | b'"') || may_have_records() => {
                if context.depth > MAX_WRAPPERS {
                    return too_many_wrappers(job, context);
                }
                self.documents(job, Chunk::whole(text, context));
            }
            Some(_) if let Some(bytes) = encoded::decode(text) => {
                // The string around the base64 was counted.
                self.nested_bytes(job, &bytes, context);
            }
            _ => job.not_cloudtrail(context.fallback),
        }
    }

    fn base64(&mut self, job: &mut Job<'_>, text: &str, span: Span, context: DocumentContext) {
        let context = context.nested().with_fallback(ForeignKind::Payload);
        let mut bytes = std::mem::take(&mut self.level(context.depth).bytes);
        let raw = &text[span.start as usize + 1..span.end as usize - 1];
        // JSON may write the alphabet's slash as `\/`.
        let raw = crate::json::unescape(raw);
        match encoded::decode_into(&raw, &mut bytes) {
            true => self.nested_bytes(job, &bytes, context),
            false => self.nested_text(job, &raw, context),
        }
        self.level(context.depth).bytes = bytes;
    }

    /// Takes bytes out of a wrapper: aggregated, compressed, or text.
    pub(super) fn nested_bytes(
        &mut self,
        job: &mut Job<'_>,
        bytes: &[u8],
        context: DocumentContext,
    ) {
        if context.depth > MAX_WRAPPERS {
            too_many_wrappers(job, context);
        } else if let Some(records) = kpl::records(bytes) {
            for record in &records {
                self.nested_bytes(job, record, context.nested());
            }
        } else if magic::compression(bytes).is_some() {
            self.nested_compressed(job, bytes, context.nested());
        } else if job.unread_format(bytes, context, IN_WRAPPER) {
        } else if let Ok(text) = std::str::from_utf8(bytes) {
            self.nested_text(job, text, context);
        } else if !self.columnar(job, bytes, context) {
            job.not_cloudtrail(context.fallback);
        }
    }

    fn nested_compressed(&mut self, job: &mut Job<'_>, bytes: &[u8], context: DocumentContext) {
        let mut stream = Stream::new(bytes, MAX_NESTED_BYTES as u64);
        let mut text = Vec::new();
        let whole = stream.fill(&mut text, MAX_NESTED_BYTES);
        let faults = stream.take_faults();
        let location = job.location.at_byte(context.byte);
        for fault in &faults {
            let detail = format!("{}{IN_WRAPPER}", fault.detail);
            job.reject(location.clone(), fault.reason, detail, b"");
        }
        if !whole {
            let detail = format!("the rest of what is over {MAX_NESTED_BYTES} bytes is not read");
            job.reject(location, "inflates to too much", detail, b"");
        }
        let context = DocumentContext {
            damaged: context.damaged || !whole || faults.iter().any(|fault| fault.harms_text),
            ..context
        };
        if job.unread_format(&text, context, IN_WRAPPER) {
            return;
        }
        match std::str::from_utf8(&text) {
            Ok(text) => self.nested_text(job, text, context),
            Err(_) => job.not_cloudtrail(context.fallback),
        }
    }

    /// Takes the rows of `aws logs get-query-results`, in which only `@message` has the event.
    fn insights_rows(
        &mut self,
        job: &mut Job<'_>,
        text: &str,
        rows: Span,
        context: DocumentContext,
    ) {
        let context = context.with_fallback(ForeignKind::LogMessage);
        for row in Elements::at(text, rows.start as usize) {
            let message = Elements::at(text, row.start as usize)
                .filter_map(|cell| cell_value(text, cell, "@message"))
                .next();
            match message {
                Some(message) => self.string(job, text, message, context),
                None => job.not_cloudtrail(ForeignKind::InsightsRow),
            }
        }
    }
}

pub(super) fn too_many_wrappers(job: &mut Job<'_>, context: DocumentContext) {
    let location = job.location.at_byte(context.byte);
    let detail = format!("more than {MAX_WRAPPERS} wrappers inside each other");
    job.reject(location, "too many wrappers", detail, b"");
}

/// Returns the value of the `{"field": ..., "value": ...}` that `cell` is, if it is the field `name`.
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
