//! The sample is the same everywhere, and true to what AWS writes.

use std::collections::{HashMap, HashSet};
use std::io::Read;

use serde_json::Value;

use super::*;

fn sample(query: &str) -> Sample {
    Sample::parse(query).unwrap()
}

fn records(sample: &Sample) -> Vec<Value> {
    let mut all = Vec::new();
    for index in 0..sample.documents() {
        let document: Value = serde_json::from_slice(&sample.document(index)).unwrap();
        all.extend(document["Records"].as_array().unwrap().iter().cloned());
    }
    all
}

/// FNV-1a, as no hash of the standard library promises to stay.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[test]
fn the_default_sample_never_changes() {
    let document = sample("").document(0);
    assert_eq!(format!("{:016x}", hash(&document)), "4594deb794d52fae");
    assert_eq!(sample("").document(0), document);
    assert_ne!(sample("?seed=2").document(0), document);
}

#[test]
fn documents_hold_five_hundred_events_and_the_last_one_the_rest() {
    let sample = sample("?events=1234&seed=3");
    let counts: Vec<usize> = (0..sample.documents())
        .map(|index| {
            let document: Value = serde_json::from_slice(&sample.document(index)).unwrap();
            document["Records"].as_array().unwrap().len()
        })
        .collect();
    assert_eq!(counts, [500, 500, 234]);
}

#[test]
fn an_event_is_about_1900_bytes() {
    let sample = sample("?events=20000");
    let bytes: usize = (0..sample.documents())
        .map(|index| sample.document(index).len())
        .sum();
    let mean = bytes as u64 / sample.events();
    assert!((1600..2200).contains(&mean), "{mean}");
}

#[test]
fn only_copies_share_an_event_id_and_they_are_the_same_bytes() {
    let all = records(&sample("?events=20000"));
    let mut seen: HashMap<&str, &Value> = HashMap::new();
    let mut twice = HashSet::new();
    for record in &all {
        let id = record["eventID"].as_str().unwrap();
        if let Some(first) = seen.insert(id, record) {
            assert_eq!(first, record);
            assert!(twice.insert(id), "{id} is there three times");
        }
    }
    assert!((20..80).contains(&twice.len()), "{}", twice.len());

    let all = records(&sample("?events=20000&duplicates=0"));
    let ids = |key| {
        all.iter()
            .filter_map(|one| one[key].as_str())
            .collect::<Vec<_>>()
    };
    for key in ["eventID", "requestID"] {
        let unique: HashSet<&str> = ids(key).into_iter().collect();
        assert_eq!(unique.len(), ids(key).len(), "{key}");
    }
    assert_eq!(ids("eventID").len(), 20_000);
}

#[test]
fn some_copies_come_in_a_later_document() {
    let sample = sample("?events=20000");
    let mut home = HashMap::new();
    let mut later = 0;
    for index in 0..sample.documents() {
        let document: Value = serde_json::from_slice(&sample.document(index)).unwrap();
        for record in document["Records"].as_array().unwrap() {
            let id = record["eventID"].as_str().unwrap().to_owned();
            let first = *home.entry(id).or_insert(index);
            later += u32::from(first != index);
        }
    }
    assert!(later > 3, "{later}");
}

/// The type of every field, by event source, field and path.
fn api_columns() -> HashMap<(&'static str, String), &'static str> {
    let mut columns = HashMap::new();
    for line in include_str!("../events/api_columns.tsv").lines().skip(1) {
        let cells: Vec<&str> = line.split('\t').collect();
        let service = cells[3].split('.').next().unwrap();
        columns.insert((service, format!("{}.{}", cells[0], cells[1])), cells[2]);
    }
    columns
}

fn unlisted(
    columns: &HashMap<(&'static str, String), &'static str>,
    service: &'static str,
    path: &str,
    value: &Value,
    into: &mut HashSet<String>,
) {
    let kind = columns.get(&(service, path.to_owned())).copied();
    let fits = match value {
        Value::Null => true,
        Value::Object(members) => {
            if kind != Some("json") {
                for (key, value) in members {
                    unlisted(columns, service, &format!("{path}.{key}"), value, into);
                }
            }
            true
        }
        Value::Array(_) => kind.is_some_and(|kind| kind == "json" || kind.starts_with("array")),
        Value::Bool(_) => kind == Some("boolean"),
        Value::Number(_) => matches!(kind, Some("bigint" | "double" | "string")),
        Value::String(_) => matches!(kind, Some("string" | "timestamp")),
    };
    if !fits {
        into.insert(format!("{service} {path}: {kind:?}"));
    }
}

#[test]
fn requests_and_answers_have_the_fields_of_the_api() {
    let columns = api_columns();
    let mut wrong = HashSet::new();
    for record in records(&sample("?events=20000")) {
        let service = match record["eventSource"].as_str().unwrap() {
            "rds.amazonaws.com" => "rds",
            "rdsdata.amazonaws.com" | "rdsdataapi.amazonaws.com" => "rdsdata",
            "dsql.amazonaws.com" => "dsql",
            _ => continue,
        };
        for field in ["requestParameters", "responseElements"] {
            unlisted(&columns, service, field, &record[field], &mut wrong);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The keys of a record in the order that CloudTrail writes them.
const ORDER: [&str; 25] = [
    "userIdentity",
    "eventTime",
    "eventSource",
    "eventName",
    "awsRegion",
    "sourceIPAddress",
    "userAgent",
    "errorCode",
    "errorMessage",
    "requestParameters",
    "responseElements",
    "additionalEventData",
    "requestID",
    "eventID",
    "readOnly",
    "resources",
    "eventType",
    "apiVersion",
    "managementEvent",
    "recipientAccountId",
    "serviceEventDetails",
    "sharedEventID",
    "eventCategory",
    "tlsDetails",
    "sessionCredentialFromConsole",
];

#[test]
fn keys_stand_in_the_order_of_cloudtrail() {
    let document = sample("?events=500&seed=4").document(0);
    let text = std::str::from_utf8(&document).unwrap();
    let mut seen = HashSet::new();
    // What comes before the first `eventVersion` is the document's own start.
    for record in text.split(r#"{"eventVersion":"#).skip(1) {
        let places = ORDER.map(|key| (record.find(&format!(r#""{key}":"#)), key));
        let known: Vec<_> = places.iter().filter(|(place, _)| place.is_some()).collect();
        assert!(known.is_sorted_by_key(|(place, _)| *place), "{record}");
        seen.extend(known.iter().map(|(_, key)| *key));
    }
    assert_eq!(seen.len(), ORDER.len(), "{seen:?}");
    for record in records(&sample("?events=500&seed=4")) {
        for key in record.as_object().unwrap().keys() {
            assert!(
                key == "eventVersion" || ORDER.contains(&key.as_str()),
                "{key}"
            );
        }
    }
}

#[test]
fn events_lie_within_the_period_and_their_document() {
    let sample = sample("?events=6000&days=3&seed=9&duplicates=0");
    for index in 0..sample.documents() {
        let outline = sample.outline(index);
        assert!(outline.delivered > outline.start + outline.seconds);
        assert!((300..=900).contains(&outline.seconds));
        let document: Value = serde_json::from_slice(&sample.document(index)).unwrap();
        for record in document["Records"].as_array().unwrap() {
            let time = record["eventTime"].as_str().unwrap();
            assert!(("2026-10-29T00:00:00Z"..="2026-10-31T23:59:59Z").contains(&time));
            let time = chrono::DateTime::parse_from_rfc3339(time)
                .unwrap()
                .timestamp();
            assert!((outline.start..outline.start + outline.seconds).contains(&time));
            assert_eq!(record["awsRegion"], outline.scope.region);
            assert_eq!(record["recipientAccountId"], outline.scope.account);
        }
    }
}

#[test]
fn the_story_is_told_once_in_every_sample_from_1000_events() {
    for query in [
        "?events=1000",
        "?events=1001&days=1&seed=5",
        "?events=30000&days=60&seed=8",
    ] {
        let all = records(&sample(query));
        let stranger: Vec<&Value> = all
            .iter()
            .filter(|one| one["sourceIPAddress"] == "198.51.100.77")
            .collect();
        assert_eq!(stranger.len() as u64, story::STEPS, "{query}");
        let names: Vec<&str> = stranger
            .iter()
            .map(|one| one["eventName"].as_str().unwrap())
            .collect();
        let denied = stranger
            .iter()
            .filter(|one| one["errorCode"] == "AccessDenied")
            .count();
        assert_eq!(denied, 13, "{query}");
        assert_eq!(
            names
                .iter()
                .filter(|name| **name == "StopActivityStream")
                .count(),
            2
        );
        let shared = stranger
            .iter()
            .find(|one| one["requestParameters"]["valuesToAdd"][0] == "999988887777");
        assert_eq!(
            shared.unwrap()["requestParameters"]["dBClusterSnapshotIdentifier"],
            "orders-prod-qa-copy"
        );
        let assumed = stranger
            .iter()
            .find(|one| one["eventName"] == "AssumeRole")
            .unwrap();
        assert_eq!(
            assumed["responseElements"]["credentials"]["accessKeyId"],
            shared.unwrap()["userIdentity"]["accessKeyId"]
        );
        assert_eq!(names.last(), Some(&"DeleteDBClusterSnapshot"));
    }
    let small = records(&sample("?events=999"));
    assert!(
        small
            .iter()
            .all(|one| one["sourceIPAddress"] != "198.51.100.77")
    );
}

#[test]
fn the_mix_has_what_a_trail_of_aurora_has() {
    let all = records(&sample("?events=20000"));
    let share = |fits: &dyn Fn(&Value) -> bool| {
        all.iter().filter(|one| fits(one)).count() * 1000 / all.len()
    };
    let source = |name: &'static str| move |one: &Value| one["eventSource"] == name;
    assert!((550..900).contains(&share(&source("rds.amazonaws.com"))));
    assert!((60..160).contains(&share(&source("rdsdataapi.amazonaws.com"))));
    assert!(share(&source("rdsdata.amazonaws.com")) > 3);
    assert!(share(&source("dsql.amazonaws.com")) > 5);
    assert!((5..60).contains(&share(&|one| one["errorCode"] == "AccessDenied")));
    assert!(share(&|one| one["readOnly"] == true) > 500);
    assert!(share(&|one| one["userIdentity"]["type"] == "Root") < 10);
    for kind in ["Root", "IAMUser", "AssumedRole", "AWSService", "AWSAccount"] {
        assert!(
            all.iter().any(|one| one["userIdentity"]["type"] == kind),
            "{kind}"
        );
    }
    for engine in [
        "neptune",
        "docdb",
        "postgres",
        "mysql",
        "aurora-mysql",
        "aurora-postgresql",
    ] {
        assert!(
            all.iter()
                .any(|one| one["responseElements"]["engine"] == engine),
            "{engine}"
        );
    }
    let names: HashSet<&str> = all
        .iter()
        .map(|one| one["eventName"].as_str().unwrap())
        .collect();
    assert!(names.len() > 75, "{}", names.len());
}

#[test]
fn trail_files_inflate_to_the_documents() {
    let folder = tempfile::tempdir().unwrap();
    let sample = sample("?events=1100&seed=11");
    let written = sample.write_trail(folder.path()).unwrap();
    assert_eq!(written.files, 3);
    let (mut stored, mut bytes) = (0, 0);
    for index in 0..3 {
        let name = sample.file_name(index);
        let file = std::fs::read(folder.path().join(&name)).unwrap();
        let mut document = Vec::new();
        flate2::read::GzDecoder::new(&file[..])
            .read_to_end(&mut document)
            .unwrap();
        assert_eq!(document, sample.document(index));
        stored += file.len() as u64;
        bytes += document.len() as u64;
    }
    assert_eq!((written.stored_bytes, written.bytes), (stored, bytes));
}

#[test]
fn file_names_say_account_region_and_time_of_delivery() {
    let sample = sample("?events=3000");
    for index in 0..sample.documents() {
        let outline = sample.outline(index);
        let name = sample.file_name(index);
        let parts: Vec<&str> = name.split('/').collect();
        assert_eq!(parts.len(), 8, "{name}");
        assert_eq!(parts[1], outline.scope.account);
        assert_eq!(parts[3], outline.scope.region);
        let start = format!("{}_CloudTrail_{}_2026", parts[1], parts[3]);
        assert!(parts[7].starts_with(&start), "{name}");
        assert!(parts[7].ends_with(".json.gz"), "{name}");
    }
}

#[test]
fn payloads_are_the_documents_with_their_delivery() {
    let sample = sample("?events=1500");
    let all: Vec<Payload> = sample.payloads().collect();
    assert_eq!(all.len(), 3);
    for (index, payload) in (0..).zip(all) {
        assert_eq!(*payload.origin, *format!("sample:{index:05}"));
        assert_eq!(
            payload.delivered_micros,
            Some(sample.outline(index).delivered * 1_000_000)
        );
        match payload.body {
            Body::Whole(bytes) => assert_eq!(bytes, sample.document(index)),
            Body::Stream(_) => panic!("documents are whole"),
        }
    }
}

#[test]
fn what_cannot_be_is_refused_with_an_example() {
    for (query, about) in [
        ("?events=0", "`events=0`"),
        ("?events=many", "`events=many`"),
        ("?seed=-1", "`seed=-1`"),
        ("?days", "`days`"),
        ("?days=400", "`days=400`"),
        ("?duplicates=2", "`duplicates=2`"),
        ("?colour=red", "`colour`"),
    ] {
        let error = Sample::parse(query).unwrap_err().to_string();
        assert!(error.contains(about), "{error}");
        assert!(error.contains("sample:?events="), "{error}");
    }
}

#[test]
fn keys_may_stand_in_any_order() {
    let one = sample("?seed=7&days=2&events=600");
    let other = sample("events=600&days=2&seed=7");
    assert_eq!(one.document(1), other.document(1));
}
