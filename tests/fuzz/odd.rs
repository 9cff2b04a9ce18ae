//! Made-up records with everything in the wrong place.

use std::collections::BTreeSet;

use arrow::array::{Array, AsArray};
use arrow::datatypes::TimestampMicrosecondType;
use auroratrail::events::RowFilter;
use auroratrail::events::columns::{ColumnClass, ColumnType, catalog};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;

use super::{Decoded, all, column, decode, rebuilds, run};

/// JSON whose every spelling is our choice: keys and scalars are the text between the separators.
#[derive(Clone, Debug)]
enum Json {
    Scalar(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
    /// That many arrays in each other.
    Deep(usize),
}

impl Json {
    fn write(&self, out: &mut String, space: &str) {
        match self {
            Json::Scalar(text) => out.push_str(text),
            Json::Array(values) => {
                out.push('[');
                for (index, value) in values.iter().enumerate() {
                    out.push_str(if index > 0 { "," } else { "" });
                    out.push_str(space);
                    value.write(out, space);
                }
                out.push_str(space);
                out.push(']');
            }
            Json::Object(members) => {
                out.push('{');
                for (index, (key, value)) in members.iter().enumerate() {
                    out.push_str(if index > 0 { "," } else { "" });
                    out.push_str(space);
                    out.push_str(key);
                    out.push_str(space);
                    out.push(':');
                    out.push_str(space);
                    value.write(out, space);
                }
                out.push_str(space);
                out.push('}');
            }
            Json::Deep(depth) => {
                out.push_str(&r#"{"a":["#.repeat(*depth));
                out.push_str(&"]}".repeat(*depth));
            }
        }
    }
}

/// Scalars as people, programs and enemies write them.
fn scalar() -> BoxedStrategy<Json> {
    const TEXTS: &[&str] = &[
        "null",
        "true",
        "false",
        "0",
        "-0",
        "-0.0",
        "1",
        "-1",
        "5432",
        "1.0",
        "1.5",
        "-2.25",
        "1e3",
        "1E+2",
        "1e400",
        "-1e999",
        "1e-400",
        "123456789012345678901234567890",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "18446744073709551615",
        "0.1",
        "100000000000000000000000",
        r#""""#,
        r#"" ""#,
        r#""true""#,
        r#""false""#,
        r#""TRUE""#,
        r#""True""#,
        r#""null""#,
        r#""0""#,
        r#""-0""#,
        r#""5432""#,
        r#""1.0""#,
        r#""1e3""#,
        r#""007""#,
        r#"" 12 ""#,
        r#""NaN""#,
        r#""inf""#,
        r#""2026-03-04T05:06:07Z""#,
        r#""2026-03-04T05:06:07.000Z""#,
        r#""2026-03-04T05:06:07.1234567Z""#,
        r#""2026-03-04T05:06:07+01:00""#,
        r#""2026-03-04T05:06Z""#,
        r#""1772600000""#,
        r#""2026-03-04 05:06:07""#,
        r#""20260304T050607Z""#,
        r#""2026-02-30T05:06:07Z""#,
        r#""2026-03-04T24:00:00Z""#,
        r#""2026-03-04T05:06:60Z""#,
        r#""0000-01-01T00:00:00Z""#,
        r#""9999-12-31T23:59:59Z""#,
        r#""-0001-01-01T00:00:00Z""#,
        r#""99999-01-01T00:00:00Z""#,
        r#""2026-03-04""#,
        r#""Apr 27, 2025, 10:39:19 AM""#,
        r#""Apr 27, 2025 10:39:19 AM""#,
        "\"Apr 27, 2025, 10:39:19\u{202f}AM\"",
        r#""Apr 27, 2025, 10:39:19\u202fPM""#,
        r#""Feb 30, 2025, 13:39:19 AM""#,
        "1772600000",
        "1772600000.5",
        "1772600000123",
        "1772600000123456",
        "1772600000123456789",
        "253402300799",
        "5.432e3",
        "1e18",
        "-1e18",
        r#""a\"b""#,
        r#""a\\b""#,
        r#""\/\b\f\n\r\t""#,
        r#""\u0000""#,
        r#""\u0041""#,
        r#""\ud83d\ude00""#,
        r#""\ud83d""#,
        r#""\ude00x""#,
        r#""\ud83d\u0041""#,
        "\"é — 数据库 😀\"",
        "\"\u{7f}\u{85}\u{2028}\"",
        r#""{\"a\":1}""#,
        r#""[1,2]""#,
        r#""rds.amazonaws.com""#,
        r#""aws:s3""#,
        r#""aws\u003as3""#,
        r#""ModifyDBCluster""#,
        r#""us-east-1""#,
        r#""123456789012""#,
        r#""arn:aws:rds:us-east-1:123456789012:cluster:orders""#,
        r#""arn:aws:sts::1:assumed-role/a/b""#,
        r#""AccessDenied""#,
        r#""Root""#,
        r#""IAMUser""#,
        r#""AssumedRole""#,
        r#""AWSService""#,
        r#""aurora-postgresql""#,
        r#""neptune""#,
        r#""**********""#,
    ];
    prop_oneof![
        400 => select(TEXTS).prop_map(|text| Json::Scalar(text.to_owned())),
        30 => any::<i64>().prop_map(|number| Json::Scalar(number.to_string())),
        30 => any::<String>().prop_map(|text| Json::Scalar(serde_json::to_string(&text).unwrap())),
        1 => (250_000..300_000_usize, select(vec!["x", "\\n", "é", "\\u00e9"])).prop_map(|(size, unit)| {
            Json::Scalar(format!("\"{}\"", unit.repeat(size / unit.len())))
        }),
    ]
    .boxed()
}

/// A key's text. Some keys are those of columns, some of them escaped or in another case.
fn key(names: &'static [&'static str]) -> BoxedStrategy<String> {
    const ODD: &[&str] = &[
        r#""""#,
        r#""a.b""#,
        r#""userIdentity.userName""#,
        r#""a\"b""#,
        r#""a\\""#,
        r#""\u0061""#,
        r#""a""#,
        r#""A""#,
        r#""é""#,
        r#""\u00e9""#,
        r#""\n""#,
        r#""unmapped""#,
        r#""nullFields""#,
        r#""nullfields""#,
        r#""record""#,
        r#""source_uri""#,
        r#""actor""#,
        r#""useridentity_username""#,
        r#""requestParameters.engine""#,
        r#""\ud800""#,
        r#""😀""#,
        r#""constructor""#,
        r#""detail""#,
        r#""message""#,
        r#""Records""#,
        r#""data""#,
        r#""body""#,
        r#""ſourceIPAddress""#,
        r#""eventKind""#,
        r#"" eventName""#,
    ];
    prop_oneof![
        12 => select(names).prop_map(|name| format!("\"{name}\"")),
        1 => (select(names), any::<u64>()).prop_map(|(name, bits)| {
            let cased: String = name.chars().enumerate().map(|(index, char)| match bits >> (index % 64) & 1 {
                0 => char.to_ascii_lowercase(),
                _ => char.to_ascii_uppercase(),
            }).collect();
            format!("\"{cased}\"")
        }),
        1 => (select(names), any::<usize>()).prop_map(|(name, at)| {
            let at = at % name.len();
            format!("\"{}\\u{:04x}{}\"", &name[..at], name.as_bytes()[at], &name[at + 1..])
        }),
        2 => select(ODD).prop_map(str::to_owned),
    ]
    .boxed()
}

/// The names that occur below the fixed objects and RDS's parameters.
const BELOW: &[&str] = &[
    "type",
    "userName",
    "principalId",
    "arn",
    "ARN",
    "accountId",
    "accessKeyId",
    "invokedBy",
    "sessionContext",
    "sessionIssuer",
    "attributes",
    "mfaAuthenticated",
    "creationDate",
    "webIdFederationData",
    "federatedProvider",
    "onBehalfOf",
    "inScopeOf",
    "sourceArn",
    "tlsVersion",
    "cipherSuite",
    "reason",
    "updatedFields",
    "engine",
    "port",
    "dBClusterIdentifier",
    "dBInstanceIdentifier",
    "dBSnapshotIdentifier",
    "dBInstanceArn",
    "dBClusterArn",
    "endpoint",
    "address",
    "dBSubnetGroup",
    "dBSubnetGroupName",
    "multiAZ",
    "allocatedStorage",
    "clusterCreateTime",
    "instanceCreateTime",
    "vpcSecurityGroupIds",
    "availabilityZones",
    "masterUsername",
    "resourceName",
    "resourceArn",
    "filters",
    "tags",
    "backupRetentionPeriod",
    "enableIAMDatabaseAuthentication",
    "statistics",
    "windowStart",
    "windowSize",
    "insightContext",
    "insightType",
    "state",
    "baseline",
    "average",
    "primaryDimension",
    "dimension",
];

/// The record's own fields.
const FIELDS: &[&str] = &[
    "eventVersion",
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
    "eventType",
    "apiVersion",
    "managementEvent",
    "readOnly",
    "resources",
    "recipientAccountId",
    "serviceEventDetails",
    "sharedEventID",
    "vpcEndpointId",
    "vpcEndpointAccountId",
    "eventCategory",
    "addendum",
    "sessionCredentialFromConsole",
    "eventContext",
    "edgeDeviceDetails",
    "tlsDetails",
    "annotation",
    "insightDetails",
    "accountId",
    "timeWindow",
    "summary",
    "eventId",
];

fn object(depth: u32) -> BoxedStrategy<Json> {
    vec((key(BELOW), value(depth)), 0..7)
        .prop_map(Json::Object)
        .boxed()
}

fn value(depth: u32) -> BoxedStrategy<Json> {
    if depth == 0 {
        return scalar();
    }
    prop_oneof![
        6 => scalar(),
        3 => object(depth - 1),
        2 => vec(value(depth - 1), 0..4).prop_map(Json::Array),
        1 => select(vec![1, 20, 55]).prop_map(Json::Deep),
    ]
    .boxed()
}

/// What a field usually holds.
fn usual(name: &'static str) -> BoxedStrategy<Json> {
    let text = |texts: &'static [&'static str]| {
        select(texts)
            .prop_map(|text| Json::Scalar(format!("\"{text}\"")))
            .boxed()
    };
    match name {
        "eventTime" => text(&[
            "2026-03-04T05:06:07Z",
            "2026-03-04T05:06:08Z",
            "2025-12-31T23:59:59Z",
        ]),
        "eventSource" => text(&[
            "rds.amazonaws.com",
            "rdsdataapi.amazonaws.com",
            "s3.amazonaws.com",
        ]),
        "eventName" => text(&["ModifyDBCluster", "CreateDBInstance", "DeleteDBCluster"]),
        "awsRegion" => text(&["us-east-1", "eu-west-1"]),
        "recipientAccountId" => text(&["123456789012", "000000000001"]),
        "readOnly" | "managementEvent" => select(vec!["true", "false"])
            .prop_map(|text| Json::Scalar(text.to_owned()))
            .boxed(),
        "resources" => {
            let names: &[&str] = &["ARN", "accountId", "type"];
            let resource = vec((key(names), scalar()), 0..4).prop_map(Json::Object);
            vec(resource, 0..3).prop_map(Json::Array).boxed()
        }
        "userIdentity"
        | "requestParameters"
        | "responseElements"
        | "tlsDetails"
        | "addendum"
        | "insightDetails"
        | "summary"
        | "timeWindow"
        | "additionalEventData" => object(3),
        _ => text(&["a", "b", "1.08", ""]),
    }
}

/// The members of a record: mostly one that is a row, with more members of any kind before, between
/// and behind them.
fn record() -> impl Strategy<Value = Json> {
    let needed = |name: &'static str| {
        prop_oneof![14 => usual(name), 1 => value(1)]
            .prop_map(move |value| (format!("\"{name}\""), value))
    };
    let row = (
        needed("eventName"),
        needed("eventSource"),
        needed("eventTime"),
        needed("eventID"),
    )
        .prop_map(|(name, source, time, id)| vec![name, source, time, id]);
    let field = select(FIELDS)
        .prop_flat_map(|name| usual(name).prop_map(move |value| (format!("\"{name}\""), value)));
    let other = (key(FIELDS), value(3));
    let more = vec(prop_oneof![2 => field, 1 => other], 0..20);
    (row, more, any::<u8>())
        .prop_map(|(row, more, drop)| {
            let mut members = row;
            if drop < 40 {
                members.remove(usize::from(drop) % 4);
            }
            members.extend(more);
            members
        })
        .prop_shuffle()
        .prop_map(Json::Object)
}

/// Lines of such records.
fn lines() -> impl Strategy<Value = String> {
    (vec(record(), 1..8), select(vec!["", "", " ", "\t"])).prop_map(|(records, space)| {
        let mut text = String::new();
        for record in &records {
            record.write(&mut text, space);
            text.push('\n');
        }
        text
    })
}

/// Whether the record is a row, where the specification leaves no doubt: no key of interest stands
/// there twice, or in another case, or escaped.
fn is_row(text: &str) -> Option<bool> {
    let Ok(Value::Object(members)) = serde_json::from_str(text) else {
        return None;
    };
    let keys = [
        "eventname",
        "eventsource",
        "eventversion",
        "eventid",
        "eventtime",
    ];
    let mut folded = BTreeSet::new();
    for key in members.keys() {
        let lower = key.to_lowercase();
        let known = keys.contains(&&*lower);
        let once = text.matches(&format!("\"{key}\"")).count() == 1;
        if known && !(once && folded.insert(lower)) {
            return None;
        }
        if ["eventCategory", "insightDetails", "eventType", "eventId"].contains(&&**key) {
            return None;
        }
    }
    if text.contains("\\u00") {
        return None;
    }
    let text = |key: &str| members.get(key).and_then(Value::as_str);
    let dated = ["eventVersion", "eventID", "eventTime"]
        .iter()
        .filter_map(|key| members.get(*key))
        .collect::<Vec<_>>();
    if !dated.is_empty() && !dated.iter().any(|value| value.is_string()) {
        return None;
    }
    let is_record = text("eventName").is_some()
        && text("eventSource").is_some_and(|source| !source.starts_with("aws:"))
        && !dated.is_empty();
    // In another case, other keys count.
    let exact = [
        "eventName",
        "eventSource",
        "eventVersion",
        "eventID",
        "eventTime",
    ];
    let is_respelled = |key: &String| {
        let known =
            keys.contains(&&*key.to_lowercase()) || key.eq_ignore_ascii_case("insightDetails");
        known && !exact.contains(&&**key)
    };
    if !is_record && members.keys().any(is_respelled) {
        return None;
    }
    Some(is_record)
}

fn rows_of(decoded: &Decoded) -> Result<(), TestCaseError> {
    prop_assert_eq!(decoded.rows.num_rows(), decoded.texts.len());
    let records = column(&decoded.rows, "record").as_string::<i32>();
    for (row, text) in decoded.texts.iter().enumerate() {
        prop_assert_eq!(records.value(row), text);
    }
    Ok(())
}

#[test]
fn an_odd_record_is_rebuilt_in_batches_of_any_size() {
    run(lines(), 60, 0.3, |text| {
        let whole = decode(text.as_bytes(), &all(), RowFilter::default(), 1000);
        rows_of(&whole)?;
        rebuilds(&whole)?;
        prop_assert_eq!(whole.outcome.salvaged, 0);
        prop_assert_eq!(whole.outcome.damaged_stretches, 0);
        for rows in [1, 3] {
            let parts = decode(text.as_bytes(), &all(), RowFilter::default(), rows);
            prop_assert_eq!(&parts.rows, &whole.rows);
            prop_assert!(parts.batches >= whole.texts.len().div_ceil(rows));
        }
        Ok(())
    });
}

#[test]
fn an_odd_record_counts_as_the_table_says() {
    run(lines(), 100, 0.1, |text| {
        let found = decode(text.as_bytes(), &[], RowFilter::default(), 10).texts;
        for line in text.lines() {
            let line = line.trim();
            if let Some(expected) = is_row(line) {
                let is = found.iter().any(|record| record == line);
                prop_assert_eq!(is, expected, "{}", line);
            }
        }
        Ok(())
    });
}

#[test]
fn a_column_alone_holds_what_it_holds_among_all() {
    let count = catalog().columns().len();
    let strategy = (lines(), vec(0..count, 1..12));
    run(strategy, 40, 0.3, |(text, columns)| {
        let whole = decode(text.as_bytes(), &all(), RowFilter::default(), 1000);
        for &column in &columns {
            let alone = decode(text.as_bytes(), &[column], RowFilter::default(), 2);
            prop_assert_eq!(&alone.texts, &whole.texts);
            prop_assert_eq!(
                alone.rows.column(0),
                whole.rows.column(column),
                "column {}",
                &catalog().columns()[column].name
            );
        }
        // And some together, in any order.
        let some = decode(text.as_bytes(), &columns, RowFilter::default(), 1000);
        for (index, &column) in columns.iter().enumerate() {
            prop_assert_eq!(some.rows.column(index), whole.rows.column(column));
        }
        Ok(())
    });
}

#[test]
fn a_column_projected_several_times_holds_the_same_each_time() {
    let text = r#"{"eventName":"ModifyDBCluster","eventSource":"rds.amazonaws.com","eventID":"a","awsRegion":true,"errorCode":null,"requestParameters":{"dBClusterIdentifier":"b"}}"#;
    let whole = decode(text.as_bytes(), &all(), RowFilter::default(), 1000);
    for column in all() {
        let thrice = decode(
            text.as_bytes(),
            &[column, column, 0, column],
            RowFilter::default(),
            1,
        );
        for index in [0, 1, 3] {
            assert_eq!(
                thrice.rows.column(index),
                whole.rows.column(column),
                "column {}, projected at {index}",
                catalog().columns()[column].name
            );
        }
    }
}

#[test]
fn every_column_alone_holds_what_it_holds_among_all() {
    let text: String = (0..24)
        .map(|number| crate::made::record(number) + "\n")
        .collect();
    let whole = decode(text.as_bytes(), &all(), RowFilter::default(), 1000);
    for column in all() {
        let alone = decode(text.as_bytes(), &[column], RowFilter::default(), 7);
        assert_eq!(alone.rows.column(0), whole.rows.column(column));
    }
}

#[test]
fn a_time_that_its_column_cannot_give_back_is_rebuilt() {
    for time in [
        "2026-03-04T05:06:60Z",
        "2016-12-31T23:59:60Z",
        "2026-03-04T05:06:07.0Z",
        "0000-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "2026-03-04T05:06Z",
    ] {
        let text = format!(r#"{{"eventName":"a","eventSource":"b","eventTime":"{time}"}}"#);
        rebuilds(&decode(text.as_bytes(), &all(), RowFilter::default(), 1)).unwrap();
    }
}

fn some_of(texts: &'static [&'static str]) -> impl Strategy<Value = Option<BTreeSet<String>>> {
    let set = proptest::collection::btree_set(select(texts).prop_map(str::to_owned), 0..3);
    proptest::option::of(set)
}

fn filter() -> impl Strategy<Value = RowFilter> {
    (
        some_of(&["rds.amazonaws.com", "s3.amazonaws.com", "1", "true", ""]),
        some_of(&["ModifyDBCluster", "CreateDBInstance", "a\"b"]),
        some_of(&["us-east-1", "eu-west-1", "0", "1.0", "a"]),
        some_of(&["123456789012", "000000000001", "1", ""]),
        proptest::option::of(any::<bool>()),
        proptest::option::of(select(vec![
            0,
            1_772_600_767_000_000,
            1_772_600_768_000_000,
            1 << 60,
        ])),
        proptest::option::of(select(vec![
            0,
            1_772_600_767_000_000,
            1_772_600_768_000_000,
        ])),
    )
        .prop_map(
            |(
                event_sources,
                event_names,
                regions,
                accounts,
                read_only,
                from_micros,
                until_micros,
            )| {
                RowFilter {
                    event_sources,
                    event_names,
                    regions,
                    accounts,
                    read_only,
                    from_micros,
                    until_micros,
                }
            },
        )
}

/// Whether the query that `filter` comes from would take row `row`; SQL's NULL is no.
fn takes(filter: &RowFilter, decoded: &Decoded, row: usize) -> bool {
    let text = |name: &str, wanted: &Option<BTreeSet<String>>| {
        let values = column(&decoded.rows, name).as_string::<i32>();
        wanted
            .as_ref()
            .is_none_or(|wanted| values.is_valid(row) && wanted.contains(values.value(row)))
    };
    let times = column(&decoded.rows, "eventtime").as_primitive::<TimestampMicrosecondType>();
    let read_only = column(&decoded.rows, "readonly").as_boolean();
    let time = times.is_valid(row).then(|| times.value(row));
    text("eventsource", &filter.event_sources)
        && text("eventname", &filter.event_names)
        && text("awsregion", &filter.regions)
        && text("recipientaccountid", &filter.accounts)
        && filter
            .read_only
            .is_none_or(|wanted| read_only.is_valid(row) && read_only.value(row) == wanted)
        && filter
            .from_micros
            .is_none_or(|from| time.is_some_and(|time| time >= from))
        && filter
            .until_micros
            .is_none_or(|until| time.is_some_and(|time| time <= until))
}

#[test]
fn a_filter_leaves_out_only_what_the_query_would() {
    run((lines(), filter()), 100, 0.15, |(text, filter)| {
        let record: Vec<usize> = (0..catalog().columns().len())
            .filter(|&index| catalog().columns()[index].class == ColumnClass::Record)
            .chain(catalog().index_of("record"))
            .collect();
        let whole = decode(text.as_bytes(), &record, RowFilter::default(), 1000);
        let some = decode(text.as_bytes(), &record, filter.clone(), 1000);
        prop_assert_eq!(&some.texts, &whole.texts);
        let kept = column(&some.rows, "record").as_string::<i32>();
        let mut next = 0;
        for (row, text) in whole.texts.iter().enumerate() {
            let is_there = next < kept.len() && kept.value(next) == text;
            if takes(&filter, &whole, row) {
                prop_assert!(is_there, "{:?} drops {}", filter, text);
            }
            next += usize::from(is_there);
        }
        prop_assert_eq!(next, kept.len());
        Ok(())
    });
}

#[test]
fn texts_are_what_serde_json_says() {
    run(lines(), 40, 0.05, |text| {
        let whole = decode(text.as_bytes(), &all(), RowFilter::default(), 1000);
        for (row, text) in whole.spelled.iter().enumerate() {
            let Ok(Value::Object(members)) = serde_json::from_str(text) else {
                continue;
            };
            for known in catalog().columns() {
                let same = |key: &&String| key.eq_ignore_ascii_case(&known.path);
                let typed =
                    known.class == ColumnClass::Record && known.column_type == ColumnType::Text;
                let once = text
                    .to_lowercase()
                    .matches(&format!("\"{}\"", known.name))
                    .count()
                    == 1;
                if !typed
                    || !once
                    || text.contains("\\u00")
                    || members.keys().filter(same).count() != 1
                {
                    continue;
                }
                let values = column(&whole.rows, &known.name).as_string::<i32>();
                match members
                    .iter()
                    .find(|(key, _)| same(key))
                    .map(|(_, value)| value)
                {
                    Some(Value::String(text)) => prop_assert_eq!(values.value(row), text),
                    Some(Value::Null) => prop_assert!(values.is_null(row)),
                    _ => {}
                }
            }
        }
        Ok(())
    });
}
