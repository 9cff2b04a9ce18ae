//! Feeds generated and mutated input to the decoder: it never panics or hangs, all JSON can be
//! rebuilt, and a column's values do not depend on the other columns.
//!
//! Takes a few seconds in `cargo test`; with `AURORATRAIL_FUZZ_SECONDS=600` that long, with new
//! seeds.

mod bombs;
mod mutants;
mod nested;
mod odd;

use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::concat_batches;
use auroratrail::envelope::{Extractor, Outcome, Record, RecordSink, Taken};
use auroratrail::events::columns::catalog;
use auroratrail::events::{Decoder, RowFilter, rebuild};
use auroratrail::payload::Body;
use auroratrail::reject::Reject;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use serde_json::Value;

use crate::feed::{check, payload};
use crate::made::Random;

/// Decodes the records of an extractor.
struct Decode {
    decoder: Decoder,
    batches: Vec<RecordBatch>,
    texts: Vec<String>,
    spelled: Vec<String>,
    rejects: usize,
}

impl RecordSink for Decode {
    fn record(&mut self, record: &Record<'_>) -> Taken {
        self.texts.push(record.json().to_owned());
        self.spelled.push(record.span.raw(record.text).to_owned());
        if self.decoder.push(record) {
            self.batches.extend(self.decoder.finish().unwrap());
        }
        Taken::Row
    }

    fn not_cloudtrail(&mut self, _: &'static str, _: u64) {}

    fn reject(&mut self, _: &Reject<'_>) {
        self.rejects += 1;
    }
}

/// The output of [`decode`].
struct Decoded {
    /// The records before decoding.
    texts: Vec<String>,
    /// The records in CloudTrail's spelling.
    spelled: Vec<String>,
    /// The rows: one per record that the filter keeps.
    rows: RecordBatch,
    batches: usize,
    outcome: Outcome,
}

/// Extracts the records of `bytes` and decodes them into `columns`.
fn decode(bytes: &[u8], columns: &[usize], filter: RowFilter, batch_rows: usize) -> Decoded {
    let mut sink = Decode {
        decoder: Decoder::new(columns, filter, batch_rows),
        batches: Vec::new(),
        texts: Vec::new(),
        spelled: Vec::new(),
        rejects: 0,
    };
    let body = Body::Whole(bytes.to_vec().into());
    let outcome = Extractor::default().extract(payload(body), &mut sink);
    check(&outcome, sink.texts.len(), sink.rejects);
    let last = sink.decoder.finish().unwrap();
    assert_eq!(sink.decoder.finish().unwrap(), None);
    sink.batches.extend(last);
    for batch in &sink.batches {
        assert!(batch.num_rows() <= batch_rows);
        assert_eq!(&batch.schema(), sink.decoder.schema());
    }
    let rows = concat_batches(sink.decoder.schema(), &sink.batches).unwrap();
    Decoded {
        texts: sink.texts,
        spelled: sink.spelled,
        rows,
        batches: sink.batches.len(),
        outcome,
    }
}

/// Returns the indexes of all columns.
fn all() -> Vec<usize> {
    (0..catalog().columns().len()).collect()
}

fn column<'a>(rows: &'a RecordBatch, name: &str) -> &'a ArrayRef {
    rows.column_by_name(name).unwrap()
}

/// Checks that every record can be rebuilt from its row, as far as serde_json reads the record.
fn rebuilds(decoded: &Decoded) -> Result<(), TestCaseError> {
    for (row, (text, spelled)) in decoded.texts.iter().zip(&decoded.spelled).enumerate() {
        let rebuilt = rebuild(&decoded.rows, row);
        let Ok(original) = serde_json::from_str::<Value>(text) else {
            continue;
        };
        let rebuilt: Value = serde_json::from_str(&rebuilt)
            .map_err(|error| TestCaseError::fail(format!("{error}: {rebuilt}")))?;
        let is_spelled = || serde_json::from_str(spelled).ok().as_ref() == Some(&rebuilt);
        if rebuilt != original && !is_spelled() {
            return Err(TestCaseError::fail(format!(
                "rebuilt {rebuilt}\n from {original}"
            )));
        }
    }
    Ok(())
}

/// Returns the duration of the long form, if it was requested.
fn long_run() -> Option<Duration> {
    let seconds = std::env::var("AURORATRAIL_FUZZ_SECONDS").ok()?;
    Some(Duration::from_secs(seconds.parse().unwrap()))
}

/// Runs `test` on `cases` values; or, in the long form, on new ones for `share` of the time. The seed
/// that a failure tells is run again with `AURORATRAIL_FUZZ_SEED='[1, 2, ...]'`.
fn run<S: Strategy>(
    strategy: S,
    cases: u32,
    share: f64,
    test: impl Fn(S::Value) -> Result<(), TestCaseError>,
) {
    let config = || Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 2000,
        ..Config::default()
    };
    let end = long_run().map(|duration| Instant::now() + duration.mul_f64(share));
    let mut seeds = Random(match end {
        None => 7,
        Some(_) => std::process::id().into(),
    });
    loop {
        let seed: Vec<u8> = match std::env::var("AURORATRAIL_FUZZ_SEED") {
            Ok(seed) => serde_json::from_str(&seed).expect("the seed that a failure has told"),
            Err(_) => (0..4).flat_map(|_| seeds.next().to_le_bytes()).collect(),
        };
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
        if let Err(error) = TestRunner::new_with_rng(config(), rng).run(&strategy, &test) {
            panic!("{error}\nseed {seed:?}");
        }
        if end.is_none_or(|end| Instant::now() > end) {
            return;
        }
    }
}

/// Runs `test` with `cases` seeds; or, in the long form, with new ones for `share` of the time.
fn run_seeds(cases: u64, share: f64, mut test: impl FnMut(&mut Random)) {
    let end = long_run().map(|duration| Instant::now() + duration.mul_f64(share));
    let first = end.map_or(0, |_| u64::from(std::process::id()) << 32);
    for seed in first.. {
        if end.map_or(seed >= cases, |end| Instant::now() > end) {
            return;
        }
        let started = Instant::now();
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            test(&mut Random(seed));
        }));
        assert!(result.is_ok(), "failed with seed {seed}");
        let took = started.elapsed();
        assert!(took.as_secs() < 20, "took {took:?} with seed {seed}");
    }
}
