//! Classes of JSON objects: CloudTrail records, wrappers around them, and anything else, recognised by
//! members that only they have.
//!
//! Every key that does so stands in this file; a new form is one line in [`RULES`].
//! Keys are compared as AWS spells them, and only what is nothing then as a record in another spelling:
//! a `LookupEvents` entry has an `EventName` as a record has an `eventName`, and is not a record.

use std::borrow::Cow;

use super::foreign::ForeignKind;
use crate::json::{Member, Span};

/// A sort of CloudTrail record; `eventCategory` has it in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// An API call, a sign-in, or something that a service did.
    Event,
    /// `insightDetails`: an unusual rate of calls or errors.
    Insight,
    /// Data events added up over five minutes; no event time, no identity.
    Aggregated,
}

/// The class of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ObjectClass {
    /// A CloudTrail record.
    Record(RecordKind),
    /// A CloudTrail record in another spelling: keys in another case, objects as text, paths as keys.
    Respelled(RecordKind),
    /// Something around records.
    Wrapper(Wrapper),
    /// Something that is known and has no records in it.
    Foreign(ForeignKind),
    /// Something that is known and may have records in it.
    Searched(ForeignKind),
    /// None of these. The wrapper around it decides the kind to count.
    Unknown,
}

/// A wrapper and where its content is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wrapper {
    /// The form of the content.
    pub(super) content: Content,
    /// The content, a value in the wrapper's text.
    pub(super) value: Span,
    /// The time of delivery, milliseconds since 1970 UTC, if the wrapper has it.
    pub(super) delivered_millis: Option<Span>,
}

/// The form of a wrapper's content, with the kind to count unknown content as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// An array of records or wrappers.
    Array,
    /// An object.
    Object(ForeignKind),
    /// A string with JSON in it.
    Text(ForeignKind),
    /// A string that a log event carries, JSON or not, with the time of delivery beside it.
    LogMessage,
    /// A string with base64 in it.
    Base64,
    /// Logs Insights: an array of rows, each an array of `{"field", "value"}`.
    InsightsRows,
}

/// Keys of arrays that hold records or wrappers, in a log file and in the answers of APIs. The JSON
/// tape indexes these arrays by element.
pub(super) const LIST_KEYS: &[&str] = &[
    "Records",
    "records",
    "Events",
    "events",
    "Messages",
    "logEvents",
];

/// A key that nearly every record has. Damaged JSON that contains it is taken for damaged records.
const RECORD_MARK: &[u8] = b"eventVersion";

/// A field of records.
#[derive(Clone, Copy)]
pub(super) struct RecordField {
    /// The name in CloudTrail's spelling.
    pub(super) name: &'static str,
    /// Whether its values are objects or arrays.
    pub(super) is_container: bool,
    /// Whether its values are `true` or `false`.
    pub(super) is_flag: bool,
}

impl RecordField {
    /// Returns whether the key is the field's name, in any case.
    pub(super) fn is_named(&self, key: &str) -> bool {
        self.name.eq_ignore_ascii_case(key)
    }
}

const fn scalar(name: &'static str) -> RecordField {
    RecordField {
        name,
        is_container: false,
        is_flag: false,
    }
}

const fn container(name: &'static str) -> RecordField {
    RecordField {
        name,
        is_container: true,
        is_flag: false,
    }
}

const fn flag(name: &'static str) -> RecordField {
    RecordField {
        name,
        is_container: false,
        is_flag: true,
    }
}

/// The fields of records.
#[rustfmt::skip]
pub(super) const RECORD_FIELDS: &[RecordField] = &[
    scalar("eventVersion"), container("userIdentity"), scalar("eventTime"), scalar("eventSource"),
    scalar("eventName"), scalar("awsRegion"), scalar("sourceIPAddress"), scalar("userAgent"),
    scalar("errorCode"), scalar("errorMessage"), container("requestParameters"),
    container("responseElements"), container("additionalEventData"), scalar("requestID"),
    scalar("eventID"), scalar("eventType"), scalar("apiVersion"), flag("managementEvent"),
    flag("readOnly"), container("resources"), scalar("recipientAccountId"),
    container("serviceEventDetails"), scalar("sharedEventID"), scalar("vpcEndpointId"),
    scalar("vpcEndpointAccountId"), scalar("eventCategory"), container("addendum"),
    flag("sessionCredentialFromConsole"), container("eventContext"), container("edgeDeviceDetails"),
    container("tlsDetails"), container("annotation"), container("insightDetails"), scalar("accountId"),
    container("timeWindow"), container("summary"),
];

/// A condition on a member of an object.
#[derive(Clone, Copy)]
enum Condition {
    /// The member is a string.
    Text(&'static str),
    /// The member is an array.
    Array(&'static str),
    /// One of these members is an array.
    AnyArray(&'static [&'static str]),
    /// The member is an object.
    Object(&'static str),
    /// The member has any value.
    Has(&'static str),
    /// One of these members has any value.
    HasAny(&'static [&'static str]),
    /// The member is this string.
    Is(&'static str, &'static str),
}

/// The class of the objects that meet a rule's conditions.
#[derive(Clone, Copy)]
enum Verdict {
    /// A wrapper with its content in the member of the first condition.
    Wraps(Content),
    /// Known, and without records.
    Foreign(ForeignKind),
    /// Known, and searched as unknown objects are.
    Searched(ForeignKind),
}

/// Conditions that all have to hold, and the verdict if they do.
type Rule = (&'static [Condition], Verdict);

use Condition::{AnyArray, Array, Has, HasAny, Is, Object, Text};
use ForeignKind as Kind;
use Verdict::{Foreign, Searched, Wraps};

/// Members of SNS notifications; copies that people store may lack one.
const SNS: Condition = HasAny(&["TopicArn", "MessageId"]);

/// Members of CloudWatch's log events beside the message, depending on the API.
const LOG_EVENT: Condition = HasAny(&[
    "timestamp",
    "ingestionTime",
    "id",
    "eventId",
    "logStreamName",
]);

/// The forms that are not records, most telling members first; the first rule that holds decides.
#[rustfmt::skip]
const RULES: &[Rule] = &[
    // `aws cloudtrail lookup-events`.
    (&[Text("CloudTrailEvent")], Wraps(Content::Text(Kind::LookupEntry))),
    // A CloudWatch Logs subscription.
    (&[Array("logEvents"), Is("messageType", "CONTROL_MESSAGE")], Foreign(Kind::ControlMessage)),
    (&[Array("logEvents"), Has("messageType")], Wraps(Content::Array)),
    // EventBridge.
    (&[Object("detail"), Has("detail-type")], Wraps(Content::Object(Kind::EventBridgeEvent))),
    // Lambda, called by CloudWatch Logs, Kinesis, SNS.
    (&[Object("awslogs")], Wraps(Content::Object(Kind::Payload))),
    (&[Object("kinesis")], Wraps(Content::Object(Kind::Payload))),
    (&[Object("Sns")], Wraps(Content::Object(Kind::Payload))),
    // SNS.
    (&[Text("Message"), SNS, Is("Type", "SubscriptionConfirmation")], Foreign(Kind::SubscriptionConfirmation)),
    (&[Text("Message"), SNS], Wraps(Content::Text(Kind::SnsMessage))),
    // SQS, from its API and as Lambda gets it.
    (&[Text("Body")], Wraps(Content::Text(Kind::SqsMessage))),
    (&[Text("body")], Wraps(Content::Text(Kind::SqsMessage))),
    // A log event: of a subscription, `aws logs get-log-events`, `aws logs filter-log-events`.
    (&[Text("message"), LOG_EVENT], Wraps(Content::LogMessage)),
    // Firehose, Kinesis.
    (&[Text("data")], Wraps(Content::Base64)),
    (&[Text("Data")], Wraps(Content::Base64)),
    // A row of the column `record`.
    (&[Text("record")], Wraps(Content::Text(Kind::OtherJson))),
    // `aws logs get-query-results`.
    (&[Array("results")], Wraps(Content::InsightsRows)),
    // A log file, and the answers of APIs.
    (&[AnyArray(LIST_KEYS)], Wraps(Content::Array)),
    // Known, and without records.
    (&[Has("s3"), Is("eventSource", "aws:s3")], Foreign(Kind::S3Notification)),
    (&[Has("s3"), Text("eventName")], Foreign(Kind::S3Notification)),
    (&[Is("Event", "s3:TestEvent")], Foreign(Kind::S3TestNotification)),
    (&[Has("s3Bucket"), Has("s3ObjectKey")], Foreign(Kind::LogFileNotice)),
    (&[HasAny(&["digestS3Bucket", "digestStartTime"])], Foreign(Kind::DigestFile)),
    (&[Is("messageType", "CONTROL_MESSAGE")], Foreign(Kind::ControlMessage)),
    (&[Text("databaseActivityEvents")], Foreign(Kind::EncryptedDatabaseActivity)),
    (&[Is("type", "DatabaseActivityMonitoringRecords")], Foreign(Kind::DatabaseActivity)),
    (&[Is("type", "DatabaseActivityMonitoringRecord")], Foreign(Kind::DatabaseActivity)),
    (&[Array("databaseActivityEventList")], Foreign(Kind::DatabaseActivity)),
    (&[HasAny(&["QueryResultRows", "queryResultSignature"])], Searched(Kind::LakeQueryResult)),
    (&[Has("class_uid"), Has("metadata")], Foreign(Kind::SecurityLakeRecord)),
    (&[Is("Type", "SubscriptionConfirmation")], Foreign(Kind::SubscriptionConfirmation)),
    (&[Has("bucket"), Has("object")], Foreign(Kind::S3Notification)),
];

/// Returns the class of the object with these members.
pub(super) fn classify(text: &str, members: &[Member]) -> ObjectClass {
    let keys = RecordKeys::of(text, members);
    match keys.kind(text) {
        Some(kind) if keys.respelled => return ObjectClass::Respelled(kind),
        Some(kind) => return ObjectClass::Record(kind),
        None => {}
    }
    let object = ObjectView::new(text, members);
    for (conditions, verdict) in RULES {
        if let Some(value) = object.meets(conditions) {
            return match *verdict {
                Foreign(kind) => ObjectClass::Foreign(kind),
                Searched(kind) => ObjectClass::Searched(kind),
                Wraps(content) => ObjectClass::Wrapper(Wrapper {
                    content,
                    value,
                    delivered_millis: object.delivered_millis(content),
                }),
            };
        }
    }
    match respelled_kind(text, members) {
        Some(kind) => ObjectClass::Respelled(kind),
        None => ObjectClass::Unknown,
    }
}

/// Returns the sort of record that the object with these members is, with its keys in any case.
pub(super) fn respelled_kind(text: &str, members: &[Member]) -> Option<RecordKind> {
    RecordKeys::in_any_case(text, members).kind(text)
}

/// Returns whether the object has keys of records, without being one: a part of a record is missing.
pub(super) fn has_record_keys(text: &str, members: &[Member]) -> bool {
    let keys = RecordKeys::in_any_case(text, members);
    let is_text = |value: Option<Span>| value.is_some_and(|value| value.first(text) == b'"');
    is_text(keys.version) && is_text(keys.source) && !keys.is_notification(text)
}

/// Returns whether the text has the key that nearly every record has, escaped or not.
pub(super) fn has_record_mark(text: &str) -> bool {
    let bytes = text.as_bytes();
    memchr::memmem::find_iter(bytes, RECORD_MARK).any(|at| {
        let after = bytes.get(at + RECORD_MARK.len());
        matches!(after, Some(b'"' | b'\\'))
    })
}

/// Returns whether the member is a record's `eventID`, in any case.
pub(super) fn is_event_id(text: &str, member: &Member) -> bool {
    let key = member.key.raw(text);
    key.eq_ignore_ascii_case("eventID") && member.value.first(text) == b'"'
}

/// Returns whether the document with these members is a control message of CloudWatch Logs.
pub(super) fn is_control_message(text: &str, members: &[Member]) -> bool {
    let is_control = Is("messageType", "CONTROL_MESSAGE");
    ObjectView::new(text, members).value(is_control).is_some()
}

/// The members that make a record.
#[derive(Default)]
struct RecordKeys {
    name: Option<Span>,
    source: Option<Span>,
    category: Option<Span>,
    insight: Option<Span>,
    version: Option<Span>,
    identified: bool,
    lookup: bool,
    /// Whether an object is written as text, or a path as a key.
    respelled: bool,
}

impl RecordKeys {
    /// Finds the members. This runs for every record, so the length of the key decides first.
    fn of(text: &str, members: &[Member]) -> Self {
        let bytes = text.as_bytes();
        let mut keys = Self::default();
        for member in members {
            let key = &bytes[member.key.start as usize..member.key.end as usize];
            match key.len() {
                7 if key == b"eventID" => keys.identified = true,
                9 if key == b"eventName" => keys.name = Some(member.value),
                9 if key == b"eventTime" => keys.identified = true,
                9 if key == b"resources" => {
                    keys.respelled |= is_text_of(b"[{", bytes, member.value)
                }
                11 if key == b"eventSource" => keys.source = Some(member.value),
                12 if key == b"eventVersion" => keys.identified = true,
                13 if key == b"eventCategory" => keys.category = Some(member.value),
                14 if key == b"insightDetails" => keys.insight = Some(member.value),
                15 if key == b"CloudTrailEvent" => keys.lookup = true,
                // The lengths of the fields that hold objects.
                10 | 12 | 16 | 17 | 19 => {
                    keys.respelled |= is_text_of(b"{", bytes, member.value);
                }
                _ => {}
            }
            keys.respelled |= key.len() > 13 && is_path(key);
        }
        keys
    }

    /// Finds the members in any case, with their escapes resolved.
    fn in_any_case(text: &str, members: &[Member]) -> Self {
        let mut keys = Self::default();
        for member in members {
            let key = member.key.raw(text);
            let key = match member.key.escaped {
                true => crate::json::unescape(key),
                false => Cow::Borrowed(key),
            };
            // An entry of `LookupEvents` has these in capitals, and is not the event itself.
            let is_entry = key.starts_with("Event");
            let is = |name: &str| key.eq_ignore_ascii_case(name);
            match key.len() {
                7 if is("eventID") => keys.identified |= !is_entry,
                9 if is("eventTime") => keys.identified |= !is_entry,
                9 if is("eventName") => keys.name = Some(member.value),
                11 if is("eventSource") => keys.source = Some(member.value),
                12 if is("eventVersion") => {
                    keys.version = Some(member.value);
                    keys.identified = true;
                }
                13 if is("eventCategory") => keys.category = Some(member.value),
                14 if is("insightDetails") => keys.insight = Some(member.value),
                15 if is("CloudTrailEvent") => keys.lookup = true,
                _ => {}
            }
        }
        keys
    }

    /// Returns the sort of record, or `None` if it is not a record.
    fn kind(&self, text: &str) -> Option<RecordKind> {
        if self.lookup {
            return None;
        }
        let starts_with = |value: Option<Span>, first| value.filter(|v| v.first(text) == first);
        if self.insight.is_some_and(|insight| {
            insight.first(text) == b'{' || is_text_of(b"{", text.as_bytes(), insight)
        }) {
            return Some(RecordKind::Insight);
        }
        if self
            .category
            .is_some_and(|c| c.raw(text) == "\"Aggregated\"")
        {
            return Some(RecordKind::Aggregated);
        }
        starts_with(self.source, b'"')?;
        starts_with(self.name, b'"')?;
        (self.identified && !self.is_notification(text)).then_some(RecordKind::Event)
    }

    /// Returns whether the source is that of a notification: `aws:s3`, where a record has
    /// `s3.amazonaws.com`.
    fn is_notification(&self, text: &str) -> bool {
        self.source
            .is_some_and(|source| source.raw(text).starts_with("\"aws:"))
    }
}

/// Returns whether the value is a string that begins with `begin`.
fn is_text_of(begin: &[u8], text: &[u8], value: Span) -> bool {
    let string = &text[value.start as usize..value.end as usize];
    string
        .strip_prefix(b"\"")
        .is_some_and(|content| content.starts_with(begin))
}

/// Returns whether the key is a path: `userIdentity.x`, `responseElements.x`, `requestParameters.x`.
fn is_path(key: &[u8]) -> bool {
    let has_dot = |at: usize| key.get(at) == Some(&b'.');
    has_dot(12) || has_dot(16) || has_dot(17)
}

/// An object's members by name.
struct ObjectView<'a> {
    text: &'a str,
    members: &'a [Member],
    /// The lengths of the keys, one bit each (modulo 64): most lookups find none and end here.
    key_lengths: u64,
}

impl<'a> ObjectView<'a> {
    fn new(text: &'a str, members: &'a [Member]) -> Self {
        let bit = |member: &Member| length_bit((member.key.end - member.key.start) as usize);
        Self {
            text,
            members,
            key_lengths: members.iter().fold(0, |bits, member| bits | bit(member)),
        }
    }

    fn get(&self, key: &str) -> Option<Span> {
        if self.key_lengths & length_bit(key.len()) == 0 {
            return None;
        }
        let found = |member: &&Member| member.key.raw(self.text) == key;
        self.members.iter().find(found).map(|member| member.value)
    }

    /// Returns the member if its value starts with `first`: `"`, `{` or `[`.
    fn get_typed(&self, key: &str, first: u8) -> Option<Span> {
        self.get(key)
            .filter(|value| value.first(self.text) == first)
    }

    /// Returns the value of the first condition's member if all conditions hold.
    fn meets(&self, conditions: &[Condition]) -> Option<Span> {
        let [first, rest @ ..] = conditions else {
            return None;
        };
        let value = self.value(*first)?;
        rest.iter()
            .all(|condition| self.value(*condition).is_some())
            .then_some(value)
    }

    /// Returns the value of the member that meets `condition`.
    fn value(&self, condition: Condition) -> Option<Span> {
        match condition {
            Text(key) => self.get_typed(key, b'"'),
            Array(key) => self.get_typed(key, b'['),
            AnyArray(keys) => keys.iter().find_map(|key| self.get_typed(key, b'[')),
            Object(key) => self.get_typed(key, b'{'),
            Has(key) => self.get(key),
            HasAny(keys) => keys.iter().find_map(|key| self.get(key)),
            Is(key, expected) => self.get_typed(key, b'"').filter(|value| {
                let raw = value.raw(self.text);
                &raw[1..raw.len() - 1] == expected
            }),
        }
    }

    fn delivered_millis(&self, content: Content) -> Option<Span> {
        match content {
            Content::LogMessage => self.get("ingestionTime").or_else(|| self.get("timestamp")),
            _ => None,
        }
    }
}

fn length_bit(length: usize) -> u64 {
    1 << (length % 64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Tape;

    fn class(text: &str) -> ObjectClass {
        let mut tape = Tape::default();
        tape.parse(text, 0);
        classify(text, &tape.root)
    }

    #[test]
    fn an_s3_notification_is_no_record_however_alike() {
        let notice = r#"{"eventVersion":"2.1","eventSource":"aws:s3","eventName":"ObjectCreated:Put","eventTime":"2026-01-01T00:00:00Z","s3":{"bucket":{"name":"b"}}}"#;
        assert_eq!(class(notice), ObjectClass::Foreign(Kind::S3Notification));
    }

    #[test]
    fn a_record_needs_a_name_a_source_and_one_more() {
        let event = ObjectClass::Record(RecordKind::Event);
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
            ObjectClass::Record(RecordKind::Insight)
        );
        assert_eq!(
            class(r#"{"eventCategory":"Aggregated","eventId":"x"}"#),
            ObjectClass::Record(RecordKind::Aggregated)
        );
    }

    #[test]
    fn keys_longer_than_the_bits_of_a_word_are_found() {
        let key = "k".repeat(64 + "Body".len());
        let text = format!(r#"{{"{key}":1,"Body":"x"}}"#);
        let is_wrapper = |class| matches!(class, ObjectClass::Wrapper(_));
        assert!(is_wrapper(class(&text)));
        assert!(!is_wrapper(class(&text.replace("Body", "Bodi"))));
    }
}
