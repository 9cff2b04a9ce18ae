//! Parquet and Arrow: what the tool writes comes back as it was, what others wrote is read, and damage and
//! tables of something else are told.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, DictionaryArray, Int64Array, ListArray, MapBuilder, RecordBatch,
    StringArray, StringBuilder, StringViewArray, StructArray, TimestampMicrosecondArray,
    TimestampNanosecondArray,
};
use arrow::datatypes::{Field, Int32Type};
use arrow::ipc::CompressionType;
use arrow::ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use auroratrail::payload::Body;
use parquet::arrow::ArrowWriter;
use parquet::basic::{BrotliLevel, Compression, GzipLevel, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde_json::json;

use crate::feed::{Fed, feed, feed_stream};
use crate::large::ids;
use crate::made::{Random, aggregated, gzip, id, insight, record};

fn parquet(batch: &RecordBatch, compression: Compression, group_rows: usize) -> Vec<u8> {
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .set_max_row_group_row_count(Some(group_rows))
        .build();
    let mut out = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut out, batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    out
}

fn arrow_stream(batch: &RecordBatch, compression: Option<CompressionType>) -> Vec<u8> {
    let options = IpcWriteOptions::default().try_with_compression(compression);
    let mut out = Vec::new();
    let mut writer =
        StreamWriter::try_new_with_options(&mut out, &batch.schema(), options.unwrap()).unwrap();
    for start in (0..batch.num_rows()).step_by(7) {
        let slice = batch.slice(start, 7.min(batch.num_rows() - start));
        writer.write(&slice).unwrap();
    }
    writer.finish().unwrap();
    drop(writer);
    out
}

fn arrow_file(batch: &RecordBatch, compression: Option<CompressionType>) -> Vec<u8> {
    let options = IpcWriteOptions::default().try_with_compression(compression);
    let mut out = Vec::new();
    let mut writer =
        FileWriter::try_new_with_options(&mut out, &batch.schema(), options.unwrap()).unwrap();
    writer.write(batch).unwrap();
    writer.finish().unwrap();
    drop(writer);
    out
}

/// The batch in all formats.
fn files(batch: &RecordBatch) -> Vec<Vec<u8>> {
    vec![
        parquet(batch, Compression::SNAPPY, 10),
        parquet(batch, Compression::GZIP(GzipLevel::default()), 1_000),
        parquet(batch, Compression::ZSTD(ZstdLevel::default()), 1_000),
        parquet(batch, Compression::LZ4, 1_000),
        parquet(batch, Compression::LZ4_RAW, 1_000),
        arrow_stream(batch, None),
        arrow_stream(batch, Some(CompressionType::ZSTD)),
        arrow_file(batch, None),
        arrow_file(batch, Some(CompressionType::LZ4_FRAME)),
    ]
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true)))
        .unwrap()
}

fn texts(values: impl IntoIterator<Item = String>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

fn records(count: usize) -> RecordBatch {
    batch(vec![("record", texts((0..count).map(record)))])
}

fn clean(fed: &Fed) {
    assert!(fed.rejects.is_empty() && fed.others() == 0, "{fed:?}");
    assert_eq!(fed.outcome.salvaged, 0, "{fed:?}");
}

/// Runs the command in `folder` and returns its standard output.
fn run(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_auroratrail"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_is_written_is_read_back_row_by_row() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut lines: Vec<String> = (0..60).map(record).collect();
    lines.extend([insight(60), aggregated(61)]);
    lines.push(r#"{"eventVersion":"1.08","eventTime":"2026-07-14T08:00:00.25Z","eventID":"x","eventName":"a","eventSource":"b","apiVersion":20140101,"new":{"a":[1.50]},"readOnly":"true","responseElements":null}"#.to_owned());
    std::fs::write(folder.join("made.json"), lines.join("\n")).unwrap();
    let sources = ["made.json", "sample:?events=300"];
    let ask = |sql: &str, from: &[&str], more: &[&str]| {
        run(folder, &[&["query", sql], from, more].concat())
    };
    let all = "SELECT * FROM events ORDER BY eventID, eventTime, requestID";
    let expected = ask(all, &sources, &["--format", "ndjson"]);
    let count: usize = expected.lines().count();
    assert!(count > 100, "{count}");
    for select in ["SELECT * FROM events", "SELECT record FROM events"] {
        for file in ["x.parquet", "x.arrow"] {
            ask(select, &sources, &["-o", file]);
            let read = ask(all, &[file], &["--format", "ndjson", "--strict"]);
            for (line, (read, expected)) in read.lines().zip(expected.lines()).enumerate() {
                assert_eq!(read, expected, "{select} as {file}: row {line}");
            }
            assert_eq!(read.lines().count(), count, "{select} as {file}");
            let both = [&sources[..], &[file]].concat();
            let counted = "SELECT count(*) AS n FROM events";
            let deduplicated = ask(counted, &both, &["--dedup", "--format", "tsv"]);
            let alone = ask(counted, &sources, &["--dedup", "--format", "tsv"]);
            assert_eq!(deduplicated, alone, "{select} as {file}");
        }
    }
    ask(
        "SELECT * FROM events WHERE false",
        &sources,
        &["-o", "none.parquet"],
    );
    assert_eq!(
        ask(all, &["none.parquet"], &["--format", "ndjson", "--strict"]),
        ""
    );
}

#[test]
fn every_format_gives_the_records_byte_for_byte() {
    let expected: Vec<String> = (0..25).map(record).collect();
    for bytes in files(&records(25)) {
        for fed in [
            feed(bytes.clone()),
            feed(gzip(&bytes)),
            feed_stream(&bytes, &[1, 5, 1000, 7]),
        ] {
            clean(&fed);
            assert_eq!(fed.records, expected);
        }
    }
}

fn user_identity() -> ArrayRef {
    let field =
        |name: &str, array: &ArrayRef| Arc::new(Field::new(name, array.data_type().clone(), true));
    let date: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![
        1_780_000_000_500_000_000,
    ]));
    let attributes: ArrayRef = Arc::new(StructArray::from(vec![(
        field("creationdate", &date),
        date,
    )]));
    let kind = texts(["IAMUser".to_owned()]);
    let nothing: ArrayRef = Arc::new(StringArray::from(vec![None::<&str>]));
    Arc::new(StructArray::from(vec![
        (field("type", &kind), kind),
        (field("username", &nothing), nothing),
        (field("attributes", &attributes), attributes),
    ]))
}

#[test]
fn tables_of_other_engines_are_read() {
    let kinds: DictionaryArray<Int32Type> = vec![Some("rds.amazonaws.com")].into_iter().collect();
    let times = TimestampMicrosecondArray::from(vec![1_784_016_000_000_000]);
    let mut tags = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    tags.keys().append_value("k");
    tags.values().append_value("v");
    tags.append(true).unwrap();
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1), None])]);
    let table = batch(vec![
        ("eventversion", texts(["1.08".to_owned()])),
        ("useridentity", user_identity()),
        ("eventtime", Arc::new(times)),
        ("eventsource", Arc::new(kinds)),
        (
            "eventname",
            Arc::new(StringViewArray::from(vec!["DeleteDBCluster"])),
        ),
        (
            "requestparameters",
            Arc::new(BinaryArray::from(vec![&br#"{"skip":true}"#[..]])),
        ),
        ("eventid", texts([id(1)])),
        ("errorcode", Arc::new(StringArray::from(vec![None::<&str>]))),
        ("tags", Arc::new(tags.finish())),
        ("list", Arc::new(list)),
        ("blob", Arc::new(BinaryArray::from(vec![&[0xff_u8, 0][..]]))),
    ]);
    let expected = json!({
        "eventVersion": "1.08",
        "userIdentity": {"type": "IAMUser", "attributes": {"creationDate": "2026-05-28T20:26:40.500Z"}},
        "eventTime": "2026-07-14T08:00:00Z", "eventSource": "rds.amazonaws.com",
        "eventName": "DeleteDBCluster", "requestParameters": {"skip": true}, "eventID": id(1),
        "tags": {"k": "v"}, "list": [1, null], "blob": "/wA=",
    });
    for bytes in files(&table) {
        let fed = feed(bytes);
        clean(&fed);
        assert_eq!(fed.spelled, std::slice::from_ref(&expected));
    }
    // A column of JSON text by any name, as text or bytes.
    let text: ArrayRef = Arc::new(BinaryArray::from_iter_values((0..3).map(record)));
    for column in [texts((0..3).map(record)), text] {
        for name in ["eventjson", "record", "Message"] {
            let fed = feed(parquet(
                &batch(vec![
                    ("n", Arc::new(Int64Array::from(vec![1, 2, 3]))),
                    (name, Arc::clone(&column)),
                ]),
                Compression::SNAPPY,
                9,
            ));
            clean(&fed);
            assert_eq!(
                fed.records,
                (0..3).map(record).collect::<Vec<_>>(),
                "{name}"
            );
        }
    }
}

#[test]
fn a_table_of_something_else_is_one_reject() {
    let numbers = |count| Arc::new(Int64Array::from_iter_values(0..count)) as ArrayRef;
    let other = batch(vec![("year", numbers(5_000)), ("price", numbers(5_000))]);
    for bytes in files(&other) {
        let fed = feed(bytes);
        assert_eq!((fed.records.len(), fed.others()), (0, 0), "{fed:?}");
        let [reject] = &fed.rejects[..] else {
            panic!("{fed:?}")
        };
        assert!(reject.starts_with("unread format: "), "{reject}");
        assert!(reject.contains("columns: year, price."), "{reject}");
    }
    let empty = feed(parquet(&other.slice(0, 0), Compression::SNAPPY, 9));
    clean(&empty);
    assert!(empty.outcome.empty);
    let mut encrypted = parquet(&records(1), Compression::SNAPPY, 9);
    let end = encrypted.len() - 1;
    (encrypted[3], encrypted[end]) = (b'E', b'E');
    let fed = feed(encrypted);
    assert_eq!(
        fed.rejects,
        ["unread format: encrypted Parquet; decrypt it first"]
    );
    let brotli = feed(parquet(
        &records(3),
        Compression::BROTLI(BrotliLevel::default()),
        9,
    ));
    assert_eq!(
        brotli.records.len() + brotli.rejects.len() * 3,
        3,
        "{brotli:?}"
    );
}

#[test]
fn a_file_that_is_cut_gives_what_is_before() {
    let whole = parquet(&records(40), Compression::SNAPPY, 10);
    let fed = feed(whole[..whole.len() - 9].to_vec());
    assert!(fed.rejects[0].starts_with("truncated Parquet: "), "{fed:?}");
    let expected: Vec<String> = (0..40).map(record).collect();
    for (bytes, is_file) in [
        (arrow_stream(&records(40), None), false),
        (arrow_file(&records(40), None), true),
    ] {
        for end in (8..bytes.len()).step_by(997).chain([bytes.len() - 1]) {
            let fed = feed(bytes[..end].to_vec());
            assert!(expected.starts_with(&fed.records), "{end}: {fed:?}");
            assert!(fed.rejects.len() <= 1, "{end}: {fed:?}");
            assert!(
                !is_file || fed.rejects[0].starts_with("truncated Arrow: "),
                "{end}: {fed:?}"
            );
        }
        let fed = feed(bytes[..bytes.len() - 1].to_vec());
        assert_eq!(fed.outcome.salvaged, 40, "{fed:?}");
    }
}

#[test]
fn damage_is_a_reject_and_spares_other_row_groups() {
    let mut bytes = parquet(&records(40), Compression::SNAPPY, 10);
    bytes[40..200].fill(0xa5);
    let fed = feed(bytes);
    assert!(fed.rejects[0].starts_with("damaged Parquet: "), "{fed:?}");
    assert_eq!(
        (fed.rejects.len(), fed.outcome.salvaged),
        (1, 30),
        "{fed:?}"
    );
}

#[test]
fn flipped_bits_never_stop_the_run() {
    let mut random = Random(11);
    for bytes in files(&records(12)) {
        for _ in 0..150 {
            let mut bytes = bytes.clone();
            for _ in 0..=random.below(3) {
                let at = 8 + random.below(bytes.len() - 8);
                bytes[at] ^= 1 << random.below(8);
            }
            feed(bytes);
        }
    }
}

#[test]
fn a_large_file_is_read_from_a_temporary_copy() {
    // Larger than what is taken in one piece.
    let count = 6_000;
    let long =
        |number| record(number).replacen('{', &format!(r#"{{"x":"{}","#, "y".repeat(6_000)), 1);
    let table = batch(vec![("record", texts((0..count).map(long)))]);
    for bytes in [
        parquet(&table, Compression::UNCOMPRESSED, 1_000),
        arrow_file(&table, None),
    ] {
        assert!(bytes.len() > 32 << 20);
        let (found, outcome) = ids(Body::Whole(bytes.clone().into()));
        let expected = (0..count).map(id);
        assert!(
            found.ids.iter().cloned().eq(expected),
            "{outcome:?} {:?}",
            found.rejects
        );
        assert_eq!(
            (found.rejects.len(), outcome.decompressed_bytes),
            (0, bytes.len() as u64)
        );
    }
}
