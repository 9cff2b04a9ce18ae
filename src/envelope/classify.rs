//! What a JSON object is: a CloudTrail record, a wrapper around some, or something else, told by
//! members that only it has.
//!
//! Keys are compared as AWS spells them: a `LookupEvents` entry has an `EventName` as a record has
//! an `eventName`, and is none.

use crate::json::{Member, Span};

/// The sorts of CloudTrail records; the table tells them apart by `eventCategory`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// An API call, a sign-in, or something that a service did.
    Event,
    /// `insightDetails`: an unusual rate of calls or errors.
    Insight,
    /// Data events added up over five minutes; no event time, no identity.
    Aggregated,
}

/// What is around records. Each says in which members to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrapper {
    /// An array of more, at the document's root: `{"Records": [...]}` and its kin.
    Array(Span),
    /// `{"messageType": "DATA_MESSAGE", "logEvents": [{"id", "timestamp", "message"}]}`.
    LogEvents(Span),
    /// A string with JSON in it: `{"CloudTrailEvent": "{...}"}`, `{"Body": "{...}"}`. Text that is not
    /// JSON counts under the second field.
    Text(Span, &'static str),
    /// As `Text`, with the time of delivery in milliseconds beside it.
    Message(Span, Option<Span>),
    /// A string with base64 in it: Kinesis, Firehose, Lambda.
    Base64(Span),
    /// An object inside: EventBridge's `detail`.
    Object(Span, &'static str),
    /// Logs Insights: an array of rows, each an array of `{"field", "value"}`.
    Rows(Span),
}

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Record(RecordKind),
    Wrapper(Wrapper),
    NotCloudTrail(&'static str),
}

/// Tells what the object with these members is.
pub(super) fn classify(text: &str, members: &[Member]) -> Class {
    let record = record_keys(text, members);
    if let Some(kind) = record.kind(text) {
        return Class::Record(kind);
    }
    let object = Object { text, members };
    wrapper(&object)
        .map(Class::Wrapper)
        .unwrap_or_else(|| Class::NotCloudTrail(other(&object)))
}

/// The members that make a record.
#[derive(Default)]
struct RecordKeys {
    name: Option<Span>,
    source: Option<Span>,
    category: Option<Span>,
    insight: Option<Span>,
    identified: bool,
    lookup: bool,
}

/// Runs for every record: the length of the key decides first.
fn record_keys(text: &str, members: &[Member]) -> RecordKeys {
    let bytes = text.as_bytes();
    let mut keys = RecordKeys::default();
    for member in members {
        let key = &bytes[member.key.start as usize..member.key.end as usize];
        match key.len() {
            7 if key == b"eventID" => keys.identified = true,
            9 if key == b"eventName" => keys.name = Some(member.value),
            9 if key == b"eventTime" => keys.identified = true,
            11 if key == b"eventSource" => keys.source = Some(member.value),
            12 if key == b"eventVersion" => keys.identified = true,
            13 if key == b"eventCategory" => keys.category = Some(member.value),
            14 if key == b"insightDetails" => keys.insight = Some(member.value),
            15 if key == b"CloudTrailEvent" => keys.lookup = true,
            _ => {}
        }
    }
    keys
}

impl RecordKeys {
    fn kind(&self, text: &str) -> Option<RecordKind> {
        if self.lookup {
            return None;
        }
        if self
            .insight
            .is_some_and(|details| details.first(text) == b'{')
        {
            return Some(RecordKind::Insight);
        }
        let is_string = |span: &Option<Span>| span.is_some_and(|span| span.first(text) == b'"');
        if self
            .category
            .is_some_and(|c| c.raw(text) == "\"Aggregated\"")
        {
            return Some(RecordKind::Aggregated);
        }
        let source = self.source.filter(|_| is_string(&self.source))?;
        let ours = is_string(&self.name) && !source.raw(text).starts_with("\"aws:");
        (ours && self.identified).then_some(RecordKind::Event)
    }
}

/// Members by name.
struct Object<'a> {
    text: &'a str,
    members: &'a [Member],
}

impl Object<'_> {
    fn get(&self, key: &str) -> Option<Span> {
        let found = |member: &&Member| member.key.raw(self.text) == key;
        self.members.iter().find(found).map(|member| member.value)
    }

    fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// The member if its value starts with `first`: `"`, `{` or `[`.
    fn typed(&self, key: &str, first: u8) -> Option<Span> {
        self.get(key)
            .filter(|value| value.first(self.text) == first)
    }

    fn string(&self, key: &str) -> Option<Span> {
        self.typed(key, b'"')
    }

    /// Whether the member is just this string.
    fn is(&self, key: &str, value: &str) -> bool {
        self.string(key).is_some_and(|span| {
            let raw = span.raw(self.text);
            &raw[1..raw.len() - 1] == value
        })
    }
}

/// The wrappers, most telling member first.
fn wrapper(object: &Object<'_>) -> Option<Wrapper> {
    if let Some(event) = object.string("CloudTrailEvent") {
        return Some(Wrapper::Text(event, "lookup entry without an event"));
    }
    if let (Some(events), true) = (object.typed("logEvents", b'['), object.has("messageType")) {
        let control = object.is("messageType", "CONTROL_MESSAGE");
        return (!control).then_some(Wrapper::LogEvents(events));
    }
    if let (Some(detail), true) = (object.typed("detail", b'{'), object.has("detail-type")) {
        return Some(Wrapper::Object(detail, "EventBridge event of another kind"));
    }
    for key in ["awslogs", "kinesis", "Sns"] {
        if let Some(inner) = object.typed(key, b'{') {
            return Some(Wrapper::Object(inner, "payload that is not CloudTrail"));
        }
    }
    if object.has("Message") && (object.has("TopicArn") || object.has("MessageId")) {
        let confirmation = object.is("Type", "SubscriptionConfirmation");
        let message = object.string("Message").filter(|_| !confirmation)?;
        return Some(Wrapper::Text(message, "SNS message that is not CloudTrail"));
    }
    for key in ["Body", "body"] {
        if let Some(body) = object.string(key) {
            return Some(Wrapper::Text(body, "SQS message that is not CloudTrail"));
        }
    }
    if let Some(message) = object.string("message")
        && [
            "timestamp",
            "ingestionTime",
            "id",
            "eventId",
            "logStreamName",
        ]
        .iter()
        .any(|key| object.has(key))
    {
        let delivered = object
            .get("ingestionTime")
            .or_else(|| object.get("timestamp"));
        return Some(Wrapper::Message(message, delivered));
    }
    for key in ["data", "Data"] {
        if let Some(data) = object.string(key) {
            return Some(Wrapper::Base64(data));
        }
    }
    if let Some(rows) = object.typed("results", b'[') {
        return Some(Wrapper::Rows(rows));
    }
    [
        "Records",
        "records",
        "Events",
        "events",
        "Messages",
        "logEvents",
    ]
    .iter()
    .find_map(|key| object.typed(key, b'['))
    .map(Wrapper::Array)
}

/// Names for what is none of ours: DESIGN's "not CloudTrail (by kind)".
fn other(object: &Object<'_>) -> &'static str {
    let source_is = |source: &str| object.is("eventSource", source);
    if object.has("s3") && (source_is("aws:s3") || object.has("eventName")) {
        "S3 notification"
    } else if object.is("Event", "s3:TestEvent") {
        "S3 test notification"
    } else if object.has("s3Bucket") && object.has("s3ObjectKey") {
        "SNS notice of new log files"
    } else if object.has("digestS3Bucket") || object.has("digestStartTime") {
        "digest file"
    } else if object.is("messageType", "CONTROL_MESSAGE") {
        "CloudWatch control message"
    } else if object.is("type", "DatabaseActivityMonitoringRecords") {
        "database activity stream record (encrypted, not CloudTrail)"
    } else if object.has("QueryResultRows") || object.has("queryResultSignature") {
        "CloudTrail Lake query result (query the original events instead)"
    } else if object.has("class_uid") && object.has("metadata") {
        "Security Lake record (OCSF, not read yet)"
    } else if object.is("Type", "SubscriptionConfirmation") {
        "SNS subscription confirmation"
    } else if object.has("bucket") && object.has("object") {
        "S3 notification"
    } else {
        "other JSON"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Tape;

    fn class(text: &str) -> Class {
        let mut tape = Tape::default();
        tape.parse(text, 0);
        classify(text, &tape.root)
    }

    #[test]
    fn an_s3_notification_is_no_record_however_alike() {
        let notice = r#"{"eventVersion":"2.1","eventSource":"aws:s3","eventName":"ObjectCreated:Put","eventTime":"2026-01-01T00:00:00Z","s3":{"bucket":{"name":"b"}}}"#;
        assert_eq!(class(notice), Class::NotCloudTrail("S3 notification"));
    }

    #[test]
    fn a_record_needs_a_name_a_source_and_one_more() {
        let event = Class::Record(RecordKind::Event);
        assert_eq!(
            class(r#"{"eventName":"a","eventSource":"b","eventID":"c"}"#),
            event
        );
        assert_eq!(
            class(r#"{"eventName":"a","eventSource":"b","eventTime":null}"#),
            event
        );
        assert_ne!(class(r#"{"eventName":"a","eventSource":"b"}"#), event);
        assert_ne!(
            class(r#"{"eventName":null,"eventSource":"b","eventID":"c"}"#),
            event
        );
        assert_ne!(
            class(r#"{"EventName":"a","EventSource":"b","EventID":"c"}"#),
            event
        );
    }

    #[test]
    fn insights_and_aggregated_events_are_records() {
        assert_eq!(
            class(r#"{"insightDetails":{}}"#),
            Class::Record(RecordKind::Insight)
        );
        assert_eq!(
            class(r#"{"eventCategory":"Aggregated","eventId":"x"}"#),
            Class::Record(RecordKind::Aggregated)
        );
    }
}
