//! Fields of a record that derived columns read, captured while its other fields become cells.

use std::borrow::Cow;

use super::value::Value;
use crate::envelope::Record;
use crate::json::Span;

/// Declares [`Field`] and the path of each of its variants.
macro_rules! fields {
    ($($field:ident => $path:literal,)*) => {
        /// A field that derived columns read. Its number is its slot in [`Captures`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Field {
            $(#[doc = concat!("`", $path, "`.")] $field,)*
        }

        impl Field {
            /// The paths of all fields, by their numbers.
            const PATHS: &[&str] = &[$($path,)*];
        }
    };
}

fields! {
    EventSource => "eventSource",
    EventName => "eventName",
    EventTime => "eventTime",
    ErrorCode => "errorCode",
    ErrorMessage => "errorMessage",
    Resources => "resources",
    UserName => "userIdentity.userName",
    IssuerUserName => "userIdentity.sessionContext.sessionIssuer.userName",
    UserArn => "userIdentity.arn",
    PrincipalId => "userIdentity.principalId",
    InvokedBy => "userIdentity.invokedBy",
    IdentityType => "userIdentity.type",
    OnBehalfOfUserId => "userIdentity.onBehalfOf.userId",
    UserAccountId => "userIdentity.accountId",
    RequestEngine => "requestParameters.engine",
    ResponseEngine => "responseElements.engine",
    RequestParameterGroupFamily => "requestParameters.dBParameterGroupFamily",
    ResponseParameterGroupFamily => "responseElements.dBParameterGroupFamily",
    RequestEngineName => "requestParameters.engineName",
    ResponseEngineName => "responseElements.engineName",
    RequestResourceArn => "requestParameters.resourceArn",
    RequestResourceName => "requestParameters.resourceName",
    RequestSourceArn => "requestParameters.sourceArn",
    RequestIdentifier => "requestParameters.identifier",
    ResponseIdentifier => "responseElements.identifier",
    RequestClusterIdentifier => "requestParameters.clusterIdentifier",
}

impl Field {
    /// Number of fields; slots from here on belong to identifiers.
    pub(super) const COUNT: usize = Self::PATHS.len();

    pub(super) fn path(self) -> &'static str {
        Self::PATHS[self as usize]
    }
}

/// Spans of the captured fields of one record, by slot.
#[derive(Default)]
pub(super) struct Captures {
    spans: Vec<Option<Span>>,
    /// Slots that are captured for this projection.
    requested: Vec<usize>,
}

impl Captures {
    /// Adds `slot` to those that are captured. Returns `false` if it was there before.
    pub(super) fn request(&mut self, slot: usize) -> bool {
        if self.requested.contains(&slot) {
            return false;
        }
        self.requested.push(slot);
        let count = self.spans.len().max(slot + 1);
        self.spans.resize(count, None);
        true
    }

    /// Keeps the first span of each slot.
    #[inline]
    pub(super) fn capture(&mut self, slot: usize, span: Span) {
        self.spans[slot].get_or_insert(span);
    }

    /// Forgets the record's spans.
    pub(super) fn clear(&mut self) {
        for &slot in &self.requested {
            self.spans[slot] = None;
        }
    }
}

/// The captured fields of a record, as values.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a, 'c> {
    pub(super) record: &'c Record<'a>,
    pub(super) captures: &'c Captures,
}

impl<'a> Fields<'a, '_> {
    /// Returns the field's value unless it is absent or null.
    pub(super) fn value(&self, field: Field) -> Option<Value<'a>> {
        self.value_at(field as usize)
    }

    /// Returns the field's text unless it is empty.
    pub(super) fn text(&self, field: Field) -> Option<Cow<'a, str>> {
        self.text_at(field as usize)
    }

    /// Returns the text in `slot` unless it is empty.
    pub(super) fn text_at(&self, slot: usize) -> Option<Cow<'a, str>> {
        let text = self.value_at(slot)?.as_text();
        text.filter(|text| !text.is_empty())
    }

    fn value_at(&self, slot: usize) -> Option<Value<'a>> {
        debug_assert!(
            self.captures.requested.contains(&slot),
            "slot {slot} is read by a derived column whose row does not name it"
        );
        let span = self.captures.spans[slot]?;
        let text = self.record.text;
        Some(Value { text, span }).filter(|value| !value.is_null())
    }
}
