//! An event somewhere in any JSON is found once, and JSON without one gives none.

use auroratrail::envelope::MAX_WRAPPERS;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use super::run;
use crate::feed::feed;
use crate::made::{base64, bzip2, gzip, kpl, record, zstd};

/// A way to put a value into another.
#[derive(Clone, Debug)]
enum Layer {
    /// Into an object, under this key and among these members.
    Object(String, Map<String, Value>),
    /// Into an array, after and before these elements.
    Array(Vec<Value>, Vec<Value>),
    /// As JSON text.
    Text,
    /// As base64 of this.
    Base64(Packing),
    /// As an array of bytes.
    Bytes,
}

#[derive(Clone, Copy, Debug)]
enum Packing {
    Plain,
    Gzip,
    Zstd,
    Bzip2,
    Aggregated,
}

impl Layer {
    fn wrap(&self, value: Value) -> Value {
        match self {
            Self::Object(key, members) => {
                let mut object = members.clone();
                object.insert(key.clone(), value);
                object.into()
            }
            Self::Array(before, after) => {
                let mut array = before.clone();
                array.push(value);
                array.extend(after.iter().cloned());
                array.into()
            }
            Self::Text => value.to_string().into(),
            Self::Base64(packing) => {
                let text = value.to_string();
                base64(match packing {
                    Packing::Plain => text.into_bytes(),
                    Packing::Gzip => gzip(text),
                    Packing::Zstd => zstd(text),
                    Packing::Bzip2 => bzip2(text),
                    Packing::Aggregated => kpl(&[text.into_bytes()]),
                })
                .into()
            }
            Self::Bytes => gzip(value.to_string()).into(),
        }
    }
}

/// Keys of the known wrappers, and of records.
const KNOWN: &[&str] = &[
    "Records",
    "records",
    "Events",
    "events",
    "Messages",
    "logEvents",
    "messageType",
    "CloudTrailEvent",
    "detail",
    "detail-type",
    "awslogs",
    "kinesis",
    "Sns",
    "Message",
    "MessageId",
    "TopicArn",
    "Body",
    "body",
    "message",
    "timestamp",
    "id",
    "data",
    "Data",
    "results",
    "@message",
    "eventName",
    "eventID",
    "eventTime",
    "requestParameters",
    "value",
    "field",
    "Type",
    "record",
];

/// Keys of all sorts.
fn key() -> impl Strategy<Value = String> {
    let known = select(KNOWN);
    // An S3 notification has a name and `s3`, and what is in it is not looked at.
    let others = "\\PC{0,8}".prop_map(|key| match &*key {
        "s3" => "s4".to_owned(),
        _ => key,
    });
    prop_oneof![known.prop_map(|key| (*key).to_owned()), others]
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        "\\PC{0,30}".prop_map(Into::into),
        "[A-Za-z0-9+/]{0,60}".prop_map(Into::into),
        "[A-Za-z0-9+/]{40}".prop_map(|text| base64(text).into()),
        "\\{\\PC{0,30}".prop_map(|text| base64(text).into()),
        Just(json!("{\"a\":[1,\"b\"]}")),
        Just(json!("2026-01-31T10:11:12Z INFO [7] done {\"a\":{}}")),
    ]
}

/// JSON without an event in it.
fn other() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            object(inner).prop_map(Into::into),
        ]
    })
}

fn object(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::btree_map(key(), value, 0..5).prop_map(|map| map.into_iter().collect())
}

fn layer() -> impl Strategy<Value = Layer> {
    let packing = select(vec![
        Packing::Plain,
        Packing::Gzip,
        Packing::Zstd,
        Packing::Bzip2,
        Packing::Aggregated,
    ]);
    let some = || prop::collection::vec(other(), 0..3);
    prop_oneof![
        4 => (key(), object(other())).prop_map(|(key, members)| Layer::Object(key, members)),
        3 => (some(), some()).prop_map(|(before, after)| Layer::Array(before, after)),
        2 => Just(Layer::Text),
        1 => packing.prop_map(Layer::Base64),
        1 => Just(Layer::Bytes),
    ]
}

/// Wrappers of a leaf: base64, and the JSON text in it.
const BESIDE: usize = 2;

/// Layers that cost no more wrappers than may lie inside each other: base64 and what it holds, and the
/// objects that may be known wrappers. Others cost none. What lies beside the event may be wrapped too.
fn layers() -> impl Strategy<Value = Vec<Layer>> {
    prop::collection::vec(layer(), 0..12).prop_map(|mut layers| {
        let mut cost = 0;
        layers.retain(|layer| {
            let more = match layer {
                Layer::Array(..) => 0,
                Layer::Object(key, _) => usize::from(KNOWN.contains(&&**key)),
                Layer::Text => 1,
                Layer::Bytes => 2,
                Layer::Base64(_) => 3,
            };
            let fits = cost + more <= MAX_WRAPPERS - BESIDE;
            cost += if fits { more } else { 0 };
            fits
        });
        layers
    })
}

#[test]
fn an_event_anywhere_in_json_is_found_once() {
    let number = 0..50_usize;
    run((layers(), number), 150, 0.3, |(layers, number)| {
        let event = record(number);
        let value: Value = serde_json::from_str(&event).unwrap();
        let document = layers
            .iter()
            .rev()
            .fold(value.clone(), |value, layer| layer.wrap(value));
        let document = match document {
            Value::String(text) => text,
            other => other.to_string(),
        };
        let fed = feed(document.clone());
        prop_assert_eq!(fed.values(), [value], "{}\n{:?}", document, fed);
        prop_assert_eq!(&fed.rejects, &Vec::<String>::new());
        prop_assert_eq!(fed.outcome.events, 1);
        Ok(())
    });
}

#[test]
fn json_without_an_event_gives_none() {
    run(other(), 400, 0.2, |document| {
        let document = json!([document]);
        let fed = feed(document.to_string());
        prop_assert_eq!(fed.records.len(), 0);
        prop_assert_eq!(&fed.rejects, &Vec::<String>::new());
        Ok(())
    });
}
