//! Events in JSON of unknown form, and in spellings other than CloudTrail's; and what is like an event
//! and is none.

use serde_json::{Value, json};

use crate::feed::{Fed, feed, feed_stream};
use crate::made::{base64, gzip, pretty, quoted, record};

/// Returns the records of `text`, after a check that nothing else was in it.
fn read(text: &str) -> Vec<Value> {
    let fed = feed(text.to_owned());
    assert!(
        fed.rejects.is_empty() && fed.others() == 0,
        "{text}: {fed:?}"
    );
    assert_eq!(fed.outcome.salvaged, 0, "{text}");
    fed.values()
}

fn one_reject(text: &str) -> Fed {
    let fed = feed(text.to_owned());
    assert_eq!(
        (fed.records.len(), fed.rejects.len()),
        (0, 1),
        "{text}: {fed:?}"
    );
    fed
}

fn none(text: &str) -> Fed {
    let fed = feed(text.to_owned());
    assert!(
        fed.records.is_empty() && fed.rejects.is_empty(),
        "{text}: {fed:?}"
    );
    assert_eq!(fed.others(), 1, "{text}: {fed:?}");
    fed
}

#[test]
fn events_are_found_in_forms_that_no_list_has() {
    let event = record(3);
    let value: Value = serde_json::from_str(&event).unwrap();
    let text = quoted(&event);
    let encoded = base64(gzip(&event));
    let plain = base64(&event);
    let wrapped: String = plain
        .as_bytes()
        .chunks(76)
        .map(|line| format!("{}\\r\\n", std::str::from_utf8(line).unwrap()))
        .collect();
    let bytes = format!("{:?}", gzip(&event));
    for form in [
        format!(r#"{{"entry":{{"payload":{event}}}}}"#),
        format!(r#"{{"hits":{{"total":1,"hits":[{{"_id":"x","_source":{event}}}]}}}}"#),
        format!(r#"{{"log":{text},"stream":"stdout"}}"#),
        format!(r#"{{"RECORDS":[{event}]}}"#),
        format!(r#"{{"Records":{event}}}"#),
        format!(
            r#"{{"logEvents":{{"id":"1","timestamp":5,"message":{text}}},"messageType":"DATA_MESSAGE"}}"#
        ),
        format!(r#"{{"message":"a word","timestamp":5,"parsed":{event}}}"#),
        format!(r#"{{"Body":"a word","event":{text}}}"#),
        format!(r#"{{"data":{{"x":[1,[2,{{"y":{text}}}]]}}}}"#),
        format!(r#"{{"results":[{{"@message":{text},"@ptr":"x"}}]}}"#),
        format!(r#"[[{{"field":"@ptr","value":"p"}},{{"field":"@message","value":{text}}}]]"#),
        format!(r#"{{"QueryResultRows":[[{{"eventJson":{text}}}]]}}"#),
        format!(r#"{{"value":"{encoded}"}}"#),
        format!(r#"{{"value":"{plain}"}}"#),
        format!(r#"{{"value":"{wrapped}"}}"#),
        format!(r#"{{"value":{}}}"#, quoted(&quoted(&event))),
        format!(r#"{{"type":"Buffer","data":{bytes}}}"#),
        // Shippers keep the text beside what they made of it.
        format!(r#"{{"original":{text},"parsed":{event},"list":[{event}]}}"#),
        format!(r#"{{"note":{}}}"#, quoted(&format!("see {event}"))),
        bytes,
        encoded.clone(),
        format!("{encoded}\n{encoded}")
            .lines()
            .next()
            .unwrap()
            .to_owned(),
        plain
            .as_bytes()
            .chunks(76)
            .map(|line| format!("{}\n", std::str::from_utf8(line).unwrap()))
            .collect(),
        text.trim_matches('"').to_owned(),
        format!("{text} and a note"),
        format!("ts=5 level=info msg={text} n=1"),
    ] {
        let fed = feed(form.clone());
        assert_eq!(
            fed.values(),
            std::slice::from_ref(&value),
            "{form}: {fed:?}"
        );
        assert!(
            fed.rejects.len() <= usize::from(form.ends_with("a note")),
            "{form}: {fed:?}"
        );
        assert_eq!(fed.others(), 0, "{form}: {fed:?}");
    }
}

#[test]
fn events_one_after_another_are_all_found() {
    let events: Vec<String> = (0..3).map(record).collect();
    let values: Vec<Value> = events
        .iter()
        .map(|event| serde_json::from_str(event).unwrap())
        .collect();
    let each = |form: fn(&str) -> String| -> Vec<String> {
        events.iter().map(|event| form(event)).collect()
    };
    let hits = each(|event| format!(r#"{{"_source":{event}}}"#));
    for text in [
        each(|event| base64(gzip(event))).join("\n"),
        each(quoted).concat(),
        each(quoted).join("\n"),
        hits.join("\n"),
        format!("[{}]", hits.join(",")),
        format!(r#"{{"hits":[{}]}}"#, hits.join(",")),
        format!(
            r#"{{"pages":[[{}],[{}]]}}"#,
            events[..2].join(","),
            events[2]
        ),
        // The same event in several elements is several events, as in a log file.
    ] {
        assert_eq!(read(&text), values, "{text}");
    }
    let same = format!(r#"{{"pages":[{0},{0}]}}"#, events[0]);
    assert_eq!(read(&same).len(), 2);
}

#[test]
fn what_resembles_an_event_is_none() {
    let event = record(0);
    let text = quoted(&event);
    for other in [
        r#"{"x":{"Records":[{"eventVersion":"2.1","eventSource":"aws:s3","eventName":"ObjectCreated:Put","eventTime":"2026-01-01T00:00:00Z","s3":{"bucket":{"name":"b"}}}]}}"#.to_owned(),
        r#"{"Records":[{"eventVersion":"1.0","eventSource":"aws:ses","ses":{}}]}"#.to_owned(),
        r#"{"eventSource":["rds.amazonaws.com"],"eventName":["CreateDBCluster"],"eventVersion":["1.08"]}"#.to_owned(),
        r#"{"properties":{"eventVersion":{"type":"string"},"eventSource":{"type":"string"}}}"#.to_owned(),
        r#"{"event_name":"a","event_source":"b","event_version":"1"}"#.to_owned(),
        r#"{"EventId":"x","EventName":"a","EventTime":"t","EventSource":"rds.amazonaws.com","Username":"u"}"#.to_owned(),
        format!(r#"{{"wrap":{{"class_uid":6003,"metadata":{{}},"raw_data":{text}}}}}"#),
        format!(r#"{{"wrap":{{"type":"DatabaseActivityMonitoringRecord","databaseActivityEventList":[{{"commandText":{text}}}]}}}}"#),
        format!(r#"{{"wrap":{{"digestStartTime":"t","previous":{event}}}}}"#),
    ] {
        none(&other);
    }
    let quotes = event
        .replace(
            r#""requestParameters":{"#,
            &format!(r#""requestParameters":{{"policy":{text},"event":{event},"#),
        )
        .replace(
            r#""eventVersion":"1.08","#,
            &format!(r#""eventVersion":"1.08","errorMessage":{text},"#),
        );
    assert_ne!(quotes, event);
    for form in [
        quotes.clone(),
        format!(r#"{{"a":{quotes}}}"#),
        format!(r#"{{"a":{}}}"#, quoted(&quotes)),
    ] {
        assert_eq!(read(&form).len(), 1, "{form}");
    }
}

#[test]
fn what_has_the_keys_of_an_event_and_gives_none_is_a_reject() {
    let event = record(0);
    let cut = &event[..event.len() - 20];
    for text in [
        r#"{"eventVersion":"1.08","eventSource":"rds.amazonaws.com","eventID":"x"}"#.to_owned(),
        r#"{"a":[{"EVENTVERSION":"1.08","eventsource":"rds.amazonaws.com"}]}"#.to_owned(),
        format!(r#"{{"log":{}}}"#, quoted(cut)),
        format!(
            r#"{{"log":{}}}"#,
            quoted(
                &event
                    .replace('"', "'")
                    .replace("'eventVersion'", "\"eventVersion\"")
            )
        ),
        format!(r#"{{"log":{}}}"#, quoted(&quoted(cut))),
    ] {
        let fed = one_reject(&text);
        assert!(fed.outcome.damaged, "{fed:?}");
    }
}

#[test]
fn a_search_ends_however_deep_its_input_is() {
    let event = record(0);
    let nest = |text: String, depth: usize| {
        format!("{}{text}{}", r#"{"a":["#.repeat(depth), "]}".repeat(depth))
    };
    assert_eq!(read(&nest(event.clone(), 60)).len(), 1);
    let mut text = event;
    for _ in 0..9 {
        text = format!(r#"{{"a":{}}}"#, quoted(&base64(gzip(nest(text, 50)))));
    }
    let fed = feed(text);
    assert_eq!((fed.records.len(), fed.rejects.len()), (0, 1), "{fed:?}");
    assert!(fed.rejects[0].starts_with("too many wrappers"), "{fed:?}");
}

#[test]
fn a_record_is_a_record_in_any_spelling() {
    let event: Value = serde_json::from_str(&record(5)).unwrap();
    let members = event.as_object().unwrap();
    let spelled = |key: &dyn Fn(&str) -> String, strings: bool| -> String {
        let members = members.iter().map(|(name, value)| {
            let value = match value.is_object() && strings {
                true => json!(value.to_string()),
                false => value.clone(),
            };
            (key(name), value)
        });
        Value::Object(members.collect()).to_string()
    };
    let lower = spelled(&|key| key.to_lowercase(), false);
    let pascal = spelled(&|key| key[..1].to_uppercase() + &key[1..], false);
    for text in [
        lower.clone(),
        spelled(&|key| key.to_uppercase(), true),
        spelled(&|key| key.to_lowercase(), true),
        spelled(&str::to_owned, true),
        pascal,
        lower.replacen("eventname", r"event\u006eame", 1),
        format!(r#"{{"Records":[{lower}]}}"#),
        format!(r#"{{"a":{}}}"#, quoted(&lower)),
        format!("2026-01-31T10:11:12Z {lower}"),
    ] {
        let fed = feed(text.clone());
        assert_eq!(
            (fed.outcome.events, fed.rejects.len(), fed.others()),
            (1, 0, 0),
            "{text}: {fed:?}"
        );
        assert!(
            text.contains(&fed.records[0]) || text.contains(&quoted(&fed.records[0])),
            "{text}"
        );
        assert_eq!(fed.spelled[0], event, "{text}");
    }
}

#[test]
fn csv_is_read_where_its_cells_hold_events() {
    let events: Vec<String> = (0..3).map(record).collect();
    let values: Vec<Value> = events
        .iter()
        .map(|event| serde_json::from_str(event).unwrap())
        .collect();
    let cell = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let rows = |row: &dyn Fn(&str) -> String| -> String {
        events.iter().map(|event| row(event) + "\n").collect()
    };
    let time = "2026-03-04 05:06:07.000";
    for csv in [
        format!(
            "@timestamp,@message\n{}",
            rows(&|event| format!("{time},{}", cell(event)))
        ),
        format!("@message\n{}", rows(&cell)),
        format!("record\n{}", rows(&cell)),
        format!(
            "\u{feff}@message,@logStream\n{}",
            rows(&|event| format!("{},x", cell(event)))
        ),
        format!(
            "id,eventjson,x\n{}",
            rows(&|event| format!("1,{},", cell(event)))
        ),
        rows(&|event| format!("1,{}", cell(event))),
        format!(
            "a,b\n{}",
            rows(&|event| format!("{},", cell(&pretty(event))))
        ),
    ] {
        for bytes in [
            csv.clone(),
            csv.replace('\n', "\r\n"),
            csv.trim_end().to_owned(),
        ] {
            let fed = feed(bytes.clone());
            assert_eq!(fed.spelled, values, "{csv}: {fed:?}");
            assert_eq!(
                (fed.rejects.len(), fed.others(), fed.outcome.salvaged),
                (0, 0, 0),
                "{fed:?}"
            );
            let streamed = feed_stream(bytes.as_bytes(), &[1, 7, 4096]);
            assert_eq!(streamed, fed);
        }
    }
    let text = format!(
        "x,@message\n1,{}\n2,none\n3,{}\n",
        cell(&events[0]),
        cell(&events[1][..500])
    );
    let fed = feed(text);
    assert_eq!(
        (fed.records.len(), fed.others(), fed.rejects.len()),
        (1, 1, 1),
        "{fed:?}"
    );
}

#[test]
fn a_row_of_fields_is_its_record() {
    let csv = "eventversion,useridentity,eventtime,eventsource,eventname,readonly,resources,errormessage,nullfields,unmapped\n\
        1.08,\"{\"\"userName\"\":\"\"m\"\"}\",2026-03-04T05:06:07Z,rds.amazonaws.com,ModifyDBCluster,true,\"[{\"\"arn\"\":\"\"a\"\"}]\",'=x,\"[\"\"responseElements\"\"]\",\"{\"\"new\"\":5}\"\n\
        1.08,,2026-03-04T05:06:07Z,rds.amazonaws.com,DeleteDBCluster,false,,,,\n";
    let fed = feed(csv);
    assert_eq!(
        fed.spelled,
        [
            json!({
                "eventVersion": "1.08", "userIdentity": {"userName": "m"}, "eventTime": "2026-03-04T05:06:07Z",
                "eventSource": "rds.amazonaws.com", "eventName": "ModifyDBCluster", "readOnly": true,
                "resources": [{"ARN": "a"}], "errorMessage": "=x", "responseElements": null, "new": 5,
            }),
            json!({
                "eventVersion": "1.08", "eventTime": "2026-03-04T05:06:07Z", "eventSource": "rds.amazonaws.com",
                "eventName": "DeleteDBCluster", "readOnly": false,
            }),
        ]
    );
}
