//! The search of JSON that is neither a record nor a known wrapper: every value in it, and what strings
//! encode, for records.
//!
//! A record is handed on whole, so that what its parameters or messages quote is no record of its own;
//! nor is there a search in what is known and not CloudTrail. A document that gives nothing counts as
//! one of its kind; if it has the keys of a record, it is a reject.

use std::collections::HashSet;
use std::rc::Rc;

use super::classify::{Content, Wrapper, has_record_keys, has_record_mark, is_event_id};
use super::foreign::ForeignKind;
use super::wrapper::too_many_wrappers;
use super::{DocumentContext, Extractor, Job, ValueRef, encoded};
use crate::json::{Elements, MAX_DEPTH, Member, Members, Span};

/// Fewest bytes of a value with a record in it.
const MIN_BYTES: u32 = 20;

/// The state of the searches in one payload.
#[derive(Default)]
pub(super) struct State {
    /// Records and rejects so far.
    findings: u64,
    /// Searches that are open, inside each other.
    depth: usize,
    /// Kinds that count only if the searches around them find nothing.
    held: Vec<ForeignKind>,
    /// The `eventID`s, in quotes, of the records in the object that is searched.
    event_ids: Vec<Rc<str>>,
    /// The same, to look them up.
    known_ids: HashSet<Rc<str>>,
    /// Whether an unknown object is searched, in which the same event may be given twice: as it came
    /// and parsed.
    in_object: bool,
}

/// The begin of a search.
pub(super) struct Search {
    findings: u64,
    held: usize,
}

impl State {
    /// Begins a search, in which counts are held back.
    pub(super) fn begin(&mut self) -> Search {
        self.depth += 1;
        Search {
            findings: self.findings,
            held: self.held.len(),
        }
    }

    /// Notes a record or a reject.
    pub(super) fn found(&mut self) {
        self.findings += 1;
    }

    /// Holds a count back if a search is open. Returns whether it does.
    pub(super) fn holds(&mut self, kind: ForeignKind) -> bool {
        let is_open = self.depth > 0;
        if is_open {
            self.held.push(kind);
        }
        is_open
    }

    /// Returns whether the search found a record, a reject, or something recognised.
    pub(super) fn has_found(&self, search: &Search) -> bool {
        let held = &self.held[search.held..];
        self.findings > search.findings || held.iter().any(|kind| kind.is_recognised())
    }

    /// Returns whether the search found a record or a reject.
    pub(super) fn has_new_findings(&self, search: &Search) -> bool {
        self.findings > search.findings
    }

    /// Drops all counts of the search. Returns the label of the first that was recognised.
    pub(super) fn forget(&mut self, search: &Search) -> Option<&'static str> {
        let mut dropped = self.held.drain(search.held..);
        dropped
            .find(|kind| kind.is_recognised())
            .map(ForeignKind::label)
    }

    /// Drops the counts of the search that stand for nothing recognised.
    fn forget_unknown(&mut self, search: &Search) {
        let mut kept = search.held;
        for at in search.held..self.held.len() {
            if self.held[at].is_recognised() {
                self.held[kept] = self.held[at];
                kept += 1;
            }
        }
        self.held.truncate(kept);
    }

    /// Returns whether the object that is searched had the same event before.
    pub(super) fn has_copy(&mut self, record: ValueRef<'_>) -> bool {
        if !self.in_object {
            return false;
        }
        let text = record.text;
        let mut members = record.members.iter();
        let Some(id) = members.find(|member| is_event_id(text, member)) else {
            return false;
        };
        let id = id.value.raw(text);
        let is_copy = self.known_ids.contains(id);
        if !is_copy {
            let id: Rc<str> = id.into();
            self.known_ids.insert(Rc::clone(&id));
            self.event_ids.push(id);
        }
        is_copy
    }

    /// Forgets all but the first `count` of the `eventID`s.
    fn forget_ids(&mut self, count: usize) {
        for id in self.event_ids.drain(count..) {
            self.known_ids.remove(&id);
        }
    }
}

impl Job<'_> {
    /// Ends a search; the last one that is open counts what was held back.
    pub(super) fn end_search(&mut self) {
        self.search.depth -= 1;
        if self.search.depth == 0 {
            for kind in std::mem::take(&mut self.search.held) {
                self.sink.not_cloudtrail(kind.label(), 1);
            }
        }
    }
}

impl Extractor {
    /// Searches an object that is neither a record nor a wrapper.
    pub(super) fn unknown_object(
        &mut self,
        job: &mut Job<'_>,
        value: ValueRef<'_>,
        context: DocumentContext,
    ) {
        let search = job.search.begin();
        self.search_members(job, value, None, context);
        if !job.search.has_found(&search) && has_record_keys(value.text, value.members) {
            reject_keys(job, value.span.raw(value.text), context);
        }
        close(job, &search, context);
    }

    /// Searches an array outside of wrappers.
    pub(super) fn unknown_array(
        &mut self,
        job: &mut Job<'_>,
        value: ValueRef<'_>,
        context: DocumentContext,
    ) {
        let search = job.search.begin();
        self.search_elements(job, value.text, value.span, context);
        close(job, &search, context);
    }

    /// Searches what is beside the content of a wrapper in which `search` found nothing. That counts for
    /// nothing unless something is found.
    pub(super) fn search_beside(
        &mut self,
        job: &mut Job<'_>,
        value: ValueRef<'_>,
        wrapper: Wrapper,
        (search, context): (&Search, DocumentContext),
    ) {
        let counted = job.search.held.len();
        // Of the rows of Logs Insights only some forms are known.
        let is_searched = wrapper.content == Content::InsightsRows;
        let except = (!is_searched).then_some(wrapper.value);
        match encoded::byte_array(value.text, wrapper.value) {
            Some(bytes) => self.nested_bytes(job, &bytes, context.nested()),
            None => self.search_members(job, value, except, context),
        }
        match job.search.has_found(search) {
            true => job.search.forget_unknown(search),
            false => job.search.held.truncate(counted),
        }
    }

    /// Searches the members of an object, except for the value at `except`.
    fn search_members(
        &mut self,
        job: &mut Job<'_>,
        value: ValueRef<'_>,
        except: Option<Span>,
        context: DocumentContext,
    ) {
        let context = DocumentContext {
            containers: context.containers + 1,
            ..context
        };
        let is_outermost = !std::mem::replace(&mut job.search.in_object, true);
        for member in value.members {
            if except.is_none_or(|except| except.start != member.value.start) {
                self.search_value(job, value.text, member.value, context);
            }
        }
        if is_outermost {
            job.search.in_object = false;
            job.search.forget_ids(0);
        }
    }

    fn search_elements(
        &mut self,
        job: &mut Job<'_>,
        text: &str,
        array: Span,
        context: DocumentContext,
    ) {
        if let Some(bytes) = encoded::byte_array(text, array) {
            return self.nested_bytes(job, &bytes, context.nested());
        }
        let context = DocumentContext {
            containers: context.containers + 1,
            ..context
        };
        // Elements are no copies of each other.
        let known = job.search.event_ids.len();
        for element in Elements::at(text, array.start as usize) {
            self.search_value(job, text, element, context);
            job.search.forget_ids(known);
        }
    }

    fn search_value(
        &mut self,
        job: &mut Job<'_>,
        text: &str,
        span: Span,
        context: DocumentContext,
    ) {
        if job.outcome.stopped || span.end - span.start < MIN_BYTES {
            return;
        }
        match span.first(text) {
            b'{' | b'[' if context.containers > MAX_DEPTH => too_many_wrappers(job, context),
            b'{' => {
                let members: Vec<Member> = Members::at(text, span.start as usize)
                    .map(|(key, value)| Member { key, value })
                    .collect();
                let value = ValueRef {
                    text,
                    span,
                    members: &members,
                    tape: None,
                };
                self.object(job, value, context);
            }
            b'[' => self.search_elements(job, text, span, context),
            b'"' => self.string(job, text, span, context),
            _ => {}
        }
    }
}

/// Ends the search of something unknown, which counts as one unless something was found in it.
fn close(job: &mut Job<'_>, search: &Search, context: DocumentContext) {
    let has_found = job.search.has_found(search);
    job.search.forget_unknown(search);
    if !has_found {
        job.search.held.push(context.fallback);
    }
    job.end_search();
}

/// Rejects text that has the keys of a record and is none.
pub(super) fn reject_keys(job: &mut Job<'_>, text: &str, context: DocumentContext) {
    let location = job.location.at_byte(context.byte);
    let detail = "has the keys of a CloudTrail record, and cannot be read as one";
    job.reject(
        location,
        "unreadable record",
        detail.to_owned(),
        text.as_bytes(),
    );
}

/// Rejects text that holds nothing if it has the keys of a record, else counts it.
pub(super) fn nothing_found(job: &mut Job<'_>, text: &str, context: DocumentContext) {
    match has_record_mark(text) {
        true => reject_keys(job, text, context),
        false => job.not_cloudtrail(context.fallback),
    }
}
