//! Reads real events collected by others: compares the counts with their collectors', and rebuilds
//! every event from its row. Without the corpus (`AURORATRAIL_CORPUS`) these tests print a notice
//! and pass.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use arrow::array::{Array, AsArray, RecordBatch};
use auroratrail::envelope::{Extractor, Outcome, Record, RecordSink, Redactor, Taken};
use auroratrail::events::columns::{ColumnClass, catalog};
use auroratrail::events::{Decoder, RowFilter, TypeChecker, TypeMismatch, rebuild};
use auroratrail::payload::{Body, Payload};
use auroratrail::reject::Reject;
use serde_json::Value;

/// Returns the corpus' folder, if it is set.
pub fn folder() -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os("AURORATRAIL_CORPUS")?);
    if folder.join("expected.json").exists() {
        return Some(folder);
    }
    eprintln!(
        "no corpus at {}: not tested against real data",
        folder.display()
    );
    None
}

/// Lists the data files below `folder`.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else if !path
            .file_name()
            .unwrap()
            .to_string_lossy()
            .starts_with("LICENSE")
        {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Keeps all records and rejects.
#[derive(Default)]
struct Keep {
    rds: u64,
    records: Vec<String>,
    rejects: Vec<String>,
    other: Vec<(&'static str, u64)>,
    batches: Vec<RecordBatch>,
    decoder: Option<Decoder>,
    checker: TypeChecker,
    redactor: Redactor,
    redacted: Vec<String>,
}

impl RecordSink for Keep {
    fn record(&mut self, record: &Record<'_>) -> Taken {
        let source = record
            .members
            .iter()
            .find(|member| member.key.raw(record.text) == "eventSource")
            .map(|member| member.value.raw(record.text));
        self.rds += u64::from(matches!(
            source,
            Some(
                "\"rds.amazonaws.com\""
                    | "\"rdsdata.amazonaws.com\""
                    | "\"rdsdataapi.amazonaws.com\""
            )
        ));
        self.records.push(record.json().to_owned());
        self.checker.check(record);
        let (redacted, _) = self.redactor.redact(record);
        self.redacted.push(redacted.json().to_owned());
        if let Some(decoder) = &mut self.decoder
            && decoder.push(record)
        {
            self.batches.extend(decoder.finish().unwrap());
        }
        Taken::Row
    }

    fn not_cloudtrail(&mut self, kind: &'static str, count: u64) {
        self.other.push((kind, count));
    }

    fn reject(&mut self, reject: &Reject<'_>) {
        self.rejects.push(format!(
            "{} {}: {}",
            reject.location, reject.reason, reject.detail
        ));
    }
}

fn payload(path: &Path) -> Payload {
    let bytes = std::fs::read(path).unwrap();
    Payload::new(path.to_string_lossy(), Body::Whole(bytes.into()))
}

#[test]
fn every_folder_has_the_events_its_collectors_counted() {
    let Some(corpus) = folder() else { return };
    let expected = std::fs::read(corpus.join("expected.json")).unwrap();
    let expected: serde_json::Map<String, Value> = serde_json::from_slice(&expected).unwrap();
    let mut extractor = Extractor::default();
    for (folder, expected) in &expected {
        let mut keep = Keep::default();
        let mut sum = Outcome::default();
        let (mut bad, mut empty) = (BTreeSet::new(), BTreeSet::new());
        let root = corpus.join(folder);
        for path in files(&root) {
            let name = path
                .strip_prefix(&root)
                .unwrap()
                .to_string_lossy()
                .into_owned();
            let outcome = extractor.extract(payload(&path), &mut keep);
            sum.events += outcome.events;
            sum.insights += outcome.insights;
            if outcome.damaged {
                bad.insert(name.clone());
            }
            if outcome.empty {
                empty.insert(name);
            }
        }
        let names = |key: &str| -> BTreeSet<String> {
            serde_json::from_value(expected[key].clone()).unwrap()
        };
        assert_eq!(
            sum.events, expected["events"],
            "events of {folder}: {:?}",
            keep.other
        );
        assert_eq!(sum.insights, expected["insights"], "insights of {folder}");
        assert_eq!(keep.rds, expected["rds_events"], "RDS events of {folder}");
        assert_eq!(
            bad,
            names("bad_files"),
            "bad files of {folder}: {:#?}",
            keep.rejects
        );
        assert_eq!(empty, names("empty_files"), "empty files of {folder}");
        assert_eq!(
            files(&root).len() as u64,
            expected["files"],
            "files of {folder}"
        );
    }
}

#[test]
fn every_record_can_be_rebuilt_from_its_row() {
    let Some(corpus) = folder() else { return };
    let columns = catalog().columns().iter().enumerate();
    let record: Vec<usize> = columns
        .filter(|(_, column)| column.class == ColumnClass::Record)
        .map(|(index, _)| index)
        .collect();
    let mut keep = Keep {
        decoder: Some(Decoder::new(&record, RowFilter::default(), 100)),
        ..Keep::default()
    };
    let mut extractor = Extractor::default();
    for path in files(&corpus) {
        extractor.extract(payload(&path), &mut keep);
    }
    keep.batches
        .extend(keep.decoder.as_mut().unwrap().finish().unwrap());
    let mut records = keep.records.iter();
    for batch in &keep.batches {
        for row in 0..batch.num_rows() {
            let original: Value = serde_json::from_str(records.next().unwrap()).unwrap();
            let rebuilt: Value = serde_json::from_str(&rebuild(batch, row)).unwrap();
            assert_eq!(rebuilt, original);
        }
    }
    assert!(keep.records.len() > 2800, "{}", keep.records.len());
    assert_eq!(records.next(), None);
}

#[test]
fn every_column_of_every_record_decodes() {
    let Some(corpus) = folder() else { return };
    let all: Vec<usize> = (0..catalog().columns().len()).collect();
    let mut keep = Keep {
        decoder: Some(Decoder::new(&all, RowFilter::default(), 1000)),
        ..Keep::default()
    };
    let mut extractor = Extractor::default();
    for path in files(&corpus) {
        extractor.extract(payload(&path), &mut keep);
    }
    let decoder = keep.decoder.as_mut().unwrap();
    let mismatches = decoder.take_type_mismatches();
    let by_column = |mut mismatches: Vec<TypeMismatch>| {
        mismatches.sort_by_key(|mismatch| mismatch.column);
        mismatches
    };
    assert_eq!(
        by_column(keep.checker.take_type_mismatches()),
        by_column(mismatches.clone())
    );
    assert!(mismatches.len() > 1);
    let mismatches: u64 = mismatches.iter().map(|mismatch| mismatch.count).sum();
    keep.batches.extend(decoder.finish().unwrap());
    let rows: usize = keep.batches.iter().map(RecordBatch::num_rows).sum();
    assert_eq!(rows, keep.records.len());
    let filled = |name: &str| -> usize {
        let index = catalog().index_of(name).unwrap();
        keep.batches
            .iter()
            .map(|batch| rows_with_value(batch.column(index).as_ref()))
            .sum()
    };
    assert_eq!(filled("record"), rows);
    assert_eq!(filled("is_error"), rows);
    assert!(filled("actor") > rows * 9 / 10, "{}", filled("actor"));
    assert!(filled("requestparameters_dbinstanceidentifier") > 5);
    assert!(
        filled("responseelements_instancecreatetime")
            + filled("responseelements_clustercreatetime")
            > 0
    );
    // What other services put under names that RDS has, at odds with RDS's types.
    assert!(mismatches < 2000, "{mismatches}");
    let ids = catalog().index_of("db_identifier").unwrap();
    let kinds = catalog().index_of("db_kind").unwrap();
    for batch in &keep.batches {
        let (ids, kinds) = (
            batch.column(ids).as_string::<i32>(),
            batch.column(kinds).as_string::<i32>(),
        );
        assert!((0..batch.num_rows()).all(|row| ids.is_null(row) == kinds.is_null(row)));
    }
}

#[test]
fn only_values_of_secret_keys_are_hidden() {
    let Some(corpus) = folder() else { return };
    let mut keep = Keep::default();
    let mut extractor = Extractor::default();
    for path in files(&corpus) {
        extractor.extract(payload(&path), &mut keep);
    }
    let mut hidden = BTreeSet::new();
    for (record, redacted) in keep.records.iter().zip(&keep.redacted) {
        let parse = |text: &str| -> Value { serde_json::from_str(text).unwrap() };
        add_differences("", &parse(record), &parse(redacted), &mut hidden);
    }
    let expected = [
        ".requestParameters.presignedUrl",
        ".responseElements.credentials.sessionToken",
        ".responseElements.readmeUrl",
    ];
    assert!(hidden.iter().eq(expected), "{hidden:#?}");
}

/// Adds the paths of the values that differ.
fn add_differences(path: &str, before: &Value, after: &Value, paths: &mut BTreeSet<String>) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            assert!(before.keys().eq(after.keys()), "{path}");
            for (key, value) in before {
                add_differences(&format!("{path}.{key}"), value, &after[key], paths);
            }
        }
        (Value::Array(before), Value::Array(after)) => {
            assert_eq!(before.len(), after.len(), "{path}");
            for (before, after) in before.iter().zip(after) {
                add_differences(&format!("{path}[]"), before, after, paths);
            }
        }
        _ if before != after => {
            paths.insert(path.to_owned());
        }
        _ => {}
    }
}

fn rows_with_value(array: &dyn Array) -> usize {
    array.len() - array.null_count()
}
