//! Measures the throughput of each stage on one core, and of other JSON parsers in its place.
//!
//! Measured with `cargo bench --bench decode` (release, one core of two on a shared machine; MB/s of JSON,
//! and how many times as fast as inflating with libdeflate; expect a fifth more or less):
//!
//! | stage | MB/s | of inflating |
//! | --- | --: | --: |
//! | inflate: libdeflate, buffer kept / new | 2,849 / 2,736 | 1.00 / 0.96 |
//! | inflate: flate2 (zlib-rs), buffer kept | 2,106 | 0.74 |
//! | UTF-8 check | 60,345 | 21 |
//! | `json::Tape`: validates, frames, notes members | 3,361 | 1.18 |
//! | envelope: the same, and tells what each record is | 2,815 | 0.99 |
//! | envelope and decoder, 1 column / 5 columns | 2,220 / 2,109 | 0.78 / 0.74 |
//! | the same, a filter that leaves 1 % of the rows | 2,602 | 0.91 |
//! | envelope and decoder, all 906 columns | 426 | 0.15 |
//! | all 906 columns, 1 % of the rows | 2,428 | 0.85 |
//! | inflate, envelope and 1 column | 1,154 | 0.41 |
//!
//! | one leaf of each record | MB/s | | every leaf into cells | MB/s |
//! | --- | --: | --- | --- | --: |
//! | sonic-rs `Value` | 2,136 | | serde_json visitor | 675 |
//! | **ours** | 2,129 | | simd-json tape | 626 |
//! | serde_json, borrowed struct | 1,865 | | sonic-rs visitor | 625 |
//! | sonic-rs, borrowed struct | 1,668 | | sonic-rs `Value` | 586 |
//! | simd-json tape | 1,458 | | **ours** (typed columns of the fixed schema) | 489 |
//! | arrow-json, fixed schema | 1,197 | | serde_json `Value` | 272 |
//! | sonic-rs, lazy get | 1,032 | | | |
//! | simd-json borrowed `Value` | 828 | | | |
//! | serde_json `Value` | 498 | | | |
//!
//! In two other runs sonic-rs's `Value` was a quarter to a third ahead of ours on one leaf, so
//! sonic-rs is the faster. Ours has other advantages: of the parsers near it on few columns, the
//! common case, only ours needs no `unsafe`, builds no tree, validates all bytes it skips
//! (sonic-rs's lazy ways do not), and returns the byte spans from which the JSON columns and
//! `record` are cut. On every leaf at once a serde visitor is a third faster, because our scanner
//! visits a nested object twice: to frame it, and to decode it.

use std::hint::black_box;
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::AsArray;
use auroratrail::envelope::{Extractor, Record, RecordSink, Taken};
use auroratrail::events::columns::{ColumnClass, ColumnType, catalog};
use auroratrail::events::{Decoder, RowFilter};
use auroratrail::json::{Parsed, Tape};
use auroratrail::payload::{Body, Payload};
use auroratrail::reject::Reject;
use auroratrail::sample::Sample;
use bytes::Bytes;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use serde::de::IgnoredAny;

#[path = "decode/cells.rs"]
mod cells;
#[path = "decode/leaf.rs"]
mod leaf;

/// The binary's allocator; with the system's, the parsers that allocate would be slower still.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const LEAF: &str = "useridentity_username";

/// Columns of a typical investigation.
const FIVE: [&str; 5] = [
    "eventtime",
    "eventname",
    "useridentity_arn",
    "sourceipaddress",
    "requestparameters_dbclusteridentifier",
];

/// Documents, compressed and decompressed.
struct Input {
    stored: Vec<Bytes>,
    documents: Vec<Bytes>,
    bytes: u64,
}

impl Input {
    /// Generates about 8 MB, more than the second-level cache holds, like a folder of files.
    fn new() -> Self {
        let sample = Sample::parse("?events=4000&seed=7").expect("it is a sample");
        let documents: Vec<Bytes> = (0..sample.documents())
            .map(|index| sample.document(index).into())
            .collect();
        let stored = documents.iter().map(|document| gzip(document)).collect();
        let bytes = documents.iter().map(|document| document.len() as u64).sum();
        Self {
            stored,
            documents,
            bytes,
        }
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        let text = |document| std::str::from_utf8(document).expect("the sample is UTF-8");
        self.documents.iter().map(move |document| text(document))
    }
}

fn gzip(document: &[u8]) -> Bytes {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    encoder.write_all(document).expect("writing to memory");
    encoder.finish().expect("writing to memory").into()
}

/// Counts records without reading them.
#[derive(Default)]
struct Count(usize);

impl RecordSink for Count {
    fn record(&mut self, _: &Record<'_>) -> Taken {
        self.0 += 1;
        Taken::Row
    }

    fn not_cloudtrail(&mut self, _: &'static str, _: u64) {}

    fn reject(&mut self, _: &Reject<'_>) {}
}

/// Builds batches and drops them.
struct Batches {
    decoder: Decoder,
    rows: usize,
    cells: usize,
    tally: leaf::Tally,
}

impl Batches {
    fn of(projection: &[usize], filter: RowFilter) -> Self {
        // The table's rule: batches of many columns have fewer rows.
        let rows = if projection.len() > 64 { 1024 } else { 8192 };
        Self {
            decoder: Decoder::new(projection, filter, rows),
            rows: 0,
            cells: 0,
            tally: leaf::Tally::default(),
        }
    }

    fn flush(&mut self) {
        let batch = self.decoder.finish().expect("the columns fit the schema");
        if let Some(batch) = black_box(batch) {
            let cells = |column: &arrow::array::ArrayRef| column.len() - column.null_count();
            self.rows += batch.num_rows();
            self.cells += batch.columns().iter().map(cells).sum::<usize>();
            if let [column] = batch.columns()
                && let Some(column) = column.as_string_opt()
            {
                self.tally.add(column);
            }
        }
    }
}

impl RecordSink for Batches {
    fn record(&mut self, record: &Record<'_>) -> Taken {
        if self.decoder.push(record) {
            self.flush();
        }
        Taken::Row
    }

    fn not_cloudtrail(&mut self, _: &'static str, _: u64) {}

    fn reject(&mut self, _: &Reject<'_>) {}
}

fn unwrap(extractor: &mut Extractor, payloads: &[Bytes], sink: &mut dyn RecordSink) {
    let origin: Arc<str> = "bench".into();
    for bytes in payloads {
        let payload = Payload::new(Arc::clone(&origin), Body::Whole(bytes.clone()));
        black_box(extractor.extract(payload, sink));
    }
}

fn columns(names: &[&str]) -> Vec<usize> {
    let index = |name: &&str| catalog().index_of(name).expect("there is such a column");
    names.iter().map(index).collect()
}

/// Returns the columns that hold a leaf of the record: no objects, no derived columns.
fn leaves() -> Vec<usize> {
    let columns = catalog().columns();
    let is_leaf = |index: &usize| match columns[*index].class {
        ColumnClass::Record => {
            columns[*index].column_type != ColumnType::Json && columns[*index].name != "nullfields"
        }
        ColumnClass::Flattened => true,
        ColumnClass::Derived => false,
    };
    (0..columns.len()).filter(is_leaf).collect()
}

/// Returns a filter on the most frequent event name that has less than one percent of the events.
fn one_in_a_hundred(input: &Input) -> RowFilter {
    let mut names = std::collections::BTreeMap::new();
    for text in input.texts() {
        let file: serde_json::Value = serde_json::from_str(text).expect("the sample is JSON");
        for event in file["Records"].as_array().expect("it has records") {
            let name = event["eventName"].as_str().expect("events have names");
            *names.entry(name.to_owned()).or_insert(0) += 1;
        }
    }
    let events: i32 = names.values().sum();
    let below = names.into_iter().filter(|(_, count)| count * 100 <= events);
    let (name, _) = below
        .max_by_key(|(_, count)| *count)
        .expect("some are rare");
    RowFilter {
        event_names: Some([name].into()),
        ..RowFilter::default()
    }
}

fn group<'c>(c: &'c mut Criterion, name: &str, input: &Input) -> BenchmarkGroup<'c, WallTime> {
    let mut group = c.benchmark_group(name);
    group
        .throughput(Throughput::Bytes(input.bytes))
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    group
}

fn inflating(c: &mut Criterion) {
    let input = Input::new();
    let mut group = group(c, "inflate", &input);
    let most = input.documents.iter().map(Bytes::len).max().unwrap_or(0);
    group.bench_function("libdeflate, buffer kept", |b| {
        let mut inflater = libdeflater::Decompressor::new();
        let mut buffer = vec![0; most];
        b.iter(|| {
            for stored in &input.stored {
                let size = inflater.gzip_decompress(stored, &mut buffer);
                black_box(size.expect("it was compressed here"));
            }
        });
    });
    group.bench_function("libdeflate, buffer new", |b| {
        let mut inflater = libdeflater::Decompressor::new();
        b.iter(|| {
            for (stored, document) in input.stored.iter().zip(&input.documents) {
                let mut buffer = vec![0; document.len()];
                let size = inflater.gzip_decompress(stored, &mut buffer);
                black_box(size.expect("it was compressed here"));
            }
        });
    });
    group.bench_function("flate2, buffer kept", |b| {
        let mut buffer = Vec::with_capacity(most);
        b.iter(|| {
            for stored in &input.stored {
                buffer.clear();
                let mut decoder = flate2::read::GzDecoder::new(&stored[..]);
                black_box(decoder.read_to_end(&mut buffer).expect("compressed here"));
            }
        });
    });
    group.finish();
}

fn scanning(c: &mut Criterion) {
    let input = Input::new();
    let mut group = group(c, "scan", &input);
    group.bench_function("UTF-8 check", |b| {
        b.iter(|| {
            for document in &input.documents {
                black_box(std::str::from_utf8(document).expect("the sample is UTF-8"));
            }
        });
    });
    group.bench_function("json::Tape", |b| {
        let mut tape = Tape::new(&["Records"]);
        b.iter(|| {
            for text in input.texts() {
                let parsed = tape.parse(text, 0);
                assert!(matches!(black_box(parsed), Parsed::Document { .. }));
            }
        });
    });
    group.bench_function("envelope", |b| {
        let mut extractor = Extractor::default();
        b.iter(|| unwrap(&mut extractor, &input.documents, &mut Count::default()));
    });
    group.bench_function("serde_json, validates only", |b| {
        b.iter(|| {
            for text in input.texts() {
                let valid = serde_json::from_str::<IgnoredAny>(text);
                black_box(valid.expect("the sample is JSON"));
            }
        });
    });
    group.finish();
}

fn decoding(c: &mut Criterion) {
    let input = Input::new();
    let mut group = group(c, "decode", &input);
    let every: Vec<usize> = (0..catalog().columns().len()).collect();
    let rare = one_in_a_hundred(&input);
    let cases = [
        ("1 column", columns(&[LEAF]), RowFilter::default()),
        ("5 columns", columns(&FIVE), RowFilter::default()),
        ("all columns", every.clone(), RowFilter::default()),
        ("5 columns, 1 % of rows", columns(&FIVE), rare.clone()),
        ("all columns, 1 % of rows", every, rare),
    ];
    for (name, projection, filter) in cases {
        group.bench_function(name, |b| {
            let mut extractor = Extractor::default();
            let mut batches = Batches::of(&projection, filter.clone());
            b.iter(|| {
                unwrap(&mut extractor, &input.documents, &mut batches);
                batches.flush();
            });
        });
    }
    group.bench_function("inflate and 1 column", |b| {
        let mut extractor = Extractor::default();
        let mut batches = Batches::of(&columns(&[LEAF]), RowFilter::default());
        b.iter(|| {
            unwrap(&mut extractor, &input.stored, &mut batches);
            batches.flush();
        });
    });
    group.finish();
}

fn one_leaf(c: &mut Criterion) {
    let input = Input::new();
    let mut group = group(c, "one leaf", &input);
    let mut ours = Batches::of(&columns(&[LEAF]), RowFilter::default());
    let mut extractor = Extractor::default();
    unwrap(&mut extractor, &input.documents, &mut ours);
    ours.flush();
    let wanted = ours.tally;
    group.bench_function("ours", |b| {
        b.iter(|| {
            unwrap(&mut extractor, &input.documents, &mut ours);
            ours.flush();
        });
    });
    for (name, mut rival) in leaf::rivals() {
        let mut once = leaf::Tally::default();
        input.texts().for_each(|text| rival.column(text, &mut once));
        assert_eq!(once, wanted, "{name} and ours differ");
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut tally = leaf::Tally::default();
                input
                    .texts()
                    .for_each(|text| rival.column(text, &mut tally));
                black_box(tally)
            });
        });
    }
    group.finish();
}

fn all_leaves(c: &mut Criterion) {
    let input = Input::new();
    let mut group = group(c, "all leaves", &input);
    let mut ours = Batches::of(&leaves(), RowFilter::default());
    let mut extractor = Extractor::default();
    unwrap(&mut extractor, &input.documents, &mut ours);
    ours.flush();
    let per_event = |(rows, cells): (usize, usize)| cells as f64 / rows as f64;
    let cells = per_event((ours.rows, ours.cells));
    eprintln!("ours: {cells:.1} cells an event");
    group.bench_function("ours", |b| {
        b.iter(|| {
            unwrap(&mut extractor, &input.documents, &mut ours);
            ours.flush();
        });
    });
    let mut wanted = None;
    for (name, mut rival) in cells::rivals() {
        let mut columns = cells::Columns::default();
        input
            .texts()
            .for_each(|text| rival.cells(text, &mut columns));
        let once = columns.finish();
        assert_eq!(once, *wanted.get_or_insert(once), "{name} differs");
        group.bench_function(name, |b| {
            b.iter(|| {
                for text in input.texts() {
                    rival.cells(text, &mut columns);
                    black_box(columns.finish());
                }
            });
        });
    }
    let cells = wanted.map_or(0.0, per_event);
    eprintln!("the others: {cells:.1} cells an event");
    group.finish();
}

criterion_group!(benches, inflating, scanning, decoding, one_leaf, all_leaves);
criterion_main!(benches);
