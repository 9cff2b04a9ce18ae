//! The decoder, record by record.

use arrow::array::AsArray;
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};

use super::*;
use crate::envelope::RecordKind;
use crate::input_location::InputLocation;
use crate::json::Tape;

/// Calls `each` for the records of `{"Records": [...]}`, which start at bytes 100, 101, ... of `made`.
pub(super) fn each_record(text: &str, mut each: impl FnMut(&Record<'_>)) {
    let mut tape = Tape::new(&["Records"]);
    tape.parse(text, 0);
    for (index, element) in tape.elements_of(&tape.arrays[0]).iter().enumerate() {
        each(&Record {
            text,
            span: element.value,
            members: tape.members_of(element),
            original: None,
            kind: RecordKind::Event,
            origin: &Arc::from("made"),
            byte: 100 + index as u64,
            delivered_micros: None,
        });
    }
}

fn push_all(decoder: &mut Decoder, text: &str) {
    each_record(text, |record| {
        decoder.push(record);
    });
}

#[test]
fn type_mismatches_are_counted_by_column_with_an_example() {
    let index = |name| catalog().index_of(name).unwrap();
    let (read_only, port) = (index("readonly"), index("requestparameters_port"));
    let projection = [port, index("eventname"), read_only, read_only];
    let mut decoder = Decoder::new(&projection, RowFilter::default(), 10);
    assert_eq!(decoder.take_type_mismatches(), []);
    let text = r#"{"Records":[
        {"eventName":"a","readOnly":true},
        {"eventName":"b","readOnly":"perhaps"},
        {"eventName":"c","readOnly":[],"requestParameters":{"port":"none"}},
        {"eventName":"d","readOnly":null,"requestParameters":"port"}
    ]}"#;
    push_all(&mut decoder, text);
    let mismatch = |column, count, byte| TypeMismatch {
        column,
        count,
        example: InputLocation::new("made").at_byte(byte),
    };
    assert_eq!(
        decoder.take_type_mismatches(),
        [
            mismatch("requestParameters.port", 1, 102),
            mismatch("readOnly", 2, 101),
        ]
    );
    assert_eq!(decoder.take_type_mismatches(), []);
    push_all(&mut decoder, r#"{"Records":[{"readOnly":"no"}]}"#);
    assert_eq!(
        decoder.take_type_mismatches(),
        [mismatch("readOnly", 1, 100)]
    );
}

#[test]
fn an_odd_number_or_time_costs_no_more_than_its_cell() {
    let index = |name| catalog().index_of(name).unwrap();
    let projection = [index("requestparameters_port"), index("eventtime")];
    let mut decoder = Decoder::new(&projection, RowFilter::default(), 10);
    let text = r#"{"Records":[
        {"eventTime":"2026-07-14T08:15Z","requestParameters":{"port":5432.0}},
        {"eventTime":1784016930123456,"requestParameters":{"port":"5.432e3"}},
        {"eventTime":"9999-12-31T23:59:59Z","requestParameters":{"port":5432.5}}
    ]}"#;
    push_all(&mut decoder, text);
    let mismatches: Vec<_> = decoder
        .take_type_mismatches()
        .into_iter()
        .map(|mismatch| (mismatch.column, mismatch.count))
        .collect();
    assert_eq!(
        mismatches,
        [("requestParameters.port", 1), ("eventTime", 1)]
    );
    let batch = decoder.finish().unwrap().unwrap();
    let ports = batch.column(0).as_primitive::<Int64Type>();
    assert_eq!(
        ports.iter().collect::<Vec<_>>(),
        [Some(5432), Some(5432), None]
    );
    let times = batch.column(1).as_primitive::<TimestampMicrosecondType>();
    let minute = 1_784_016_900_000_000;
    assert_eq!(
        times.iter().collect::<Vec<_>>(),
        [Some(minute), Some(minute + 30_123_456), None]
    );
}

#[test]
fn a_wrapped_result_fills_the_columns_of_a_direct_one() {
    let names = [
        "responseelements_dbproxyname",
        "responseelements_dbsubnetgroupname",
        "responseelements_dbsubnetgroup_dbsubnetgroupname",
        "responseelements_engine",
        "engine",
    ];
    let projection = names.map(|name| catalog().index_of(name).unwrap());
    let mut decoder = Decoder::new(&projection, RowFilter::default(), 10);
    let text = r#"{"Records":[
        {"responseElements":{"dBProxyName":"p"}},
        {"responseElements":{"dBProxy":{"dBProxyName":"p"}}},
        {"responseElements":{ "DBPROXY" : {"dbproxyname":"p"} }},
        {"responseElements":{"dBCluster":{"engine":"aurora-mysql"}}},
        {"responseElements":{"dBSubnetGroup":{"dBSubnetGroupName":"g"}}},
        {"responseElements":{"dBSubnetGroup":{"dBSubnetGroupName":"g"},"engine":"mysql"}},
        {"responseElements":{"dBProxy":{"dBProxyName":"p"},"status":"x"}},
        {"responseElements":{"other":{"dBProxyName":"p"}}},
        {"requestParameters":{"dBProxy":{"dBProxyName":"p"}}}
    ]}"#;
    push_all(&mut decoder, text);
    assert_eq!(decoder.take_type_mismatches(), []);
    let batch = decoder.finish().unwrap().unwrap();
    let column = |index: usize| {
        let texts = batch.column(index).as_string::<i32>();
        texts
            .iter()
            .map(|text| text.unwrap_or("-"))
            .collect::<Vec<_>>()
    };
    assert_eq!(column(0), ["p", "p", "p", "-", "-", "-", "-", "-", "-"]);
    assert_eq!(column(1), ["-", "-", "-", "-", "g", "-", "-", "-", "-"]);
    assert_eq!(column(2), ["-", "-", "-", "-", "g", "g", "-", "-", "-"]);
    let engines = ["-", "-", "-", "aurora-mysql", "-", "mysql", "-", "-", "-"];
    assert_eq!(column(3), engines);
    assert_eq!(column(4), engines);
}
