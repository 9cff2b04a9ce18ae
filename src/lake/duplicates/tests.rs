//! Lakes of made files, and what is read of them.

use std::collections::HashSet;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, Schema};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;
use proptest::prelude::*;

use super::*;
use crate::lake::tests::store::NotingStore;
use crate::lake::{ColumnStats, FileStats};

/// An event: ID, fingerprint, time.
type Event = (Option<String>, Option<i64>, Option<i64>);

/// The form of a made file.
#[derive(Clone, Copy, Debug)]
struct Form {
    group_rows: usize,
    has_filters: bool,
    has_fingerprints: bool,
    has_statistics: bool,
}

const FORM: Form = Form {
    group_rows: 2,
    has_filters: true,
    has_fingerprints: true,
    has_statistics: true,
};

fn event(id: &str, fingerprint: i64, time: i64) -> Event {
    (Some(id.to_owned()), Some(fingerprint), Some(time))
}

fn rows(events: &[Event]) -> RecordBatch {
    let ids: StringArray = events.iter().map(|it| it.0.as_deref()).collect();
    let fingerprints: Int64Array = events.iter().map(|it| it.1).collect();
    let times: TimestampMicrosecondArray = events.iter().map(|it| it.2).collect();
    let columns: [(&str, ArrayRef); 3] = [
        ("eventtime", Arc::new(times.with_timezone("UTC"))),
        ("eventid", Arc::new(ids)),
        ("fingerprint", Arc::new(fingerprints)),
    ];
    let fields = columns
        .iter()
        .map(|(name, column)| Field::new(*name, column.data_type().clone(), true));
    let schema = Schema::new(fields.collect::<Vec<Field>>());
    let columns = columns.into_iter().map(|(_, column)| column).collect();
    RecordBatch::try_new(Arc::new(schema), columns).unwrap()
}

/// Puts a file of these events, which are more columns wide than those that are compared.
async fn put_file(store: &NotingStore, path: &str, events: &[Event], form: Form) -> LakeFile {
    let mut batch = rows(events);
    if !form.has_fingerprints {
        batch = batch.project(&[0, 1]).unwrap();
    }
    let nested = Field::new(
        "nested",
        DataType::Struct([Arc::new(Field::new("eventid", DataType::Utf8, true))].into()),
        true,
    );
    let mut fields: Vec<_> = vec![Arc::new(nested)];
    fields.extend(batch.schema().fields().iter().cloned());
    let mut columns = vec![arrow::array::new_null_array(
        fields[0].data_type(),
        events.len(),
    )];
    columns.extend(batch.columns().iter().cloned());
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
    let statistics = match form.has_statistics {
        true => parquet::file::properties::EnabledStatistics::Page,
        false => parquet::file::properties::EnabledStatistics::None,
    };
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(form.group_rows))
        .set_statistics_enabled(statistics)
        .set_column_bloom_filter_enabled(ColumnPath::from("eventid"), form.has_filters)
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    let bytes = writer.into_inner().unwrap();
    let file = lake_file(path, bytes.len(), events);
    store
        .put(&Path::parse(path).unwrap(), bytes.into())
        .await
        .unwrap();
    file
}

fn lake_file(path: &str, bytes: usize, events: &[Event]) -> LakeFile {
    let times = || events.iter().filter_map(|it| it.2);
    let range = times().min().zip(times().max());
    let range = range.map(|(least, most)| (StatsValue::Micros(least), StatsValue::Micros(most)));
    let nulls = events.len() - times().count();
    let column = ColumnStats {
        nulls: nulls as u64,
        range,
    };
    let (folder, _) = path.split_once('/').unwrap();
    let (name, value) = folder.split_once('=').unwrap();
    LakeFile {
        path: path.to_owned(),
        size_bytes: bytes as u64,
        partition: vec![(name.to_owned(), value.to_owned())],
        stats: FileStats {
            rows: events.len() as u64,
            columns: [("eventtime".to_owned(), column)].into(),
        },
    }
}

fn day(value: &str) -> Vec<(String, String)> {
    vec![("dt".to_owned(), value.to_owned())]
}

/// Returns the numbers of the rows that are known.
fn known(found: Result<Option<BooleanArray>>) -> Vec<usize> {
    let found = found.unwrap();
    let found = found.iter().flatten().map(Option::unwrap);
    found
        .enumerate()
        .filter(|(_, is_known)| *is_known)
        .map(|(row, _)| row)
        .collect()
}

/// Returns a look-up over two files of a day and one of another.
async fn lake(form: Form) -> (Arc<NotingStore>, KnownEvents) {
    let store = Arc::new(NotingStore::default());
    let early = [
        event("a", 1, 100),
        event("b", 2, 110),
        event("c", 3, 200),
        event("d", 4, 210),
    ];
    let late = [event("e", 5, 5000), event("f", 6, 5010)];
    let files = [
        put_file(&store, "dt=1/early%2F.parquet", &early, form).await,
        put_file(&store, "dt=1/late.parquet", &late, form).await,
        put_file(&store, "dt=2/other.parquet", &[event("g", 7, 100)], form).await,
    ];
    let events = KnownEvents::new(Arc::clone(&store) as Arc<dyn ObjectStore>);
    events.set_files(files.into());
    (store, events)
}

#[tokio::test]
async fn duplicates_are_found_across_files_and_row_groups() {
    let new = rows(&[
        event("a", 1, 100),
        event("x", 1, 100),
        event("d", 4, 210),
        // The same event ID with other content.
        event("b", 3, 110),
        event("f", 6, 5010),
        event("a", 1, 100),
        // In another partition.
        event("g", 7, 100),
        (None, Some(1), Some(100)),
        (Some("a".to_owned()), None, Some(100)),
        (Some("c".to_owned()), Some(3), None),
    ]);
    for has_filters in [true, false] {
        for has_statistics in [true, false] {
            let form = Form {
                has_filters,
                has_statistics,
                ..FORM
            };
            let (_, events) = lake(form).await;
            let found = known(events.find(&day("1"), &new).await);
            assert_eq!(found, [0, 2, 4, 5, 9], "{form:?}");
            assert_eq!(known(events.find(&day("2"), &new).await), [6], "{form:?}");
            assert_eq!(events.find(&day("3"), &new).await.unwrap(), None);
        }
    }
}

#[tokio::test]
async fn other_software_s_files_have_no_duplicates() {
    let (store, events) = lake(Form {
        has_fingerprints: false,
        ..FORM
    })
    .await;
    let new = rows(&[event("a", 1, 100)]);
    assert_eq!(events.find(&day("1"), &new).await.unwrap(), None);
    assert_eq!(store.take_reads(), ["dt=1/early%2F.parquet"]);
    assert_eq!(events.find(&day("1"), &new).await.unwrap(), None);
    assert_eq!(store.take_reads().len(), 0);
}

#[tokio::test]
async fn files_are_read_no_more_than_needed() {
    let (store, events) = lake(FORM).await;
    let find = async |new: &[Event]| {
        let found = known(events.find(&day("1"), &rows(new)).await);
        (found, store.take_reads().len())
    };
    // A time beside all files; between two row groups; no event ID.
    assert_eq!(find(&[event("a", 1, 3000)]).await, (vec![], 0));
    assert_eq!(find(&[(None, Some(1), Some(100))]).await, (vec![], 0));
    assert_eq!(find(&[event("a", 1, 150)]).await, (vec![], 1));
    // The bloom filter of a row group, then nothing, then the columns.
    assert_eq!(find(&[event("x", 1, 100)]).await, (vec![], 1));
    assert_eq!(find(&[event("y", 1, 100)]).await, (vec![], 0));
    assert_eq!(find(&[event("a", 1, 100)]).await, (vec![0], 1));
    assert_eq!(
        find(&[event("a", 1, 100), event("b", 2, 110)]).await,
        (vec![0, 1], 1)
    );
    // The other file: its footer, its bloom filter, its columns.
    assert_eq!(find(&[event("e", 5, 5000)]).await, (vec![0], 3));
}

#[tokio::test]
async fn a_damaged_file_is_named() {
    let store = Arc::new(NotingStore::default());
    let path = Path::parse("dt=1/bad.parquet").unwrap();
    store.put(&path, vec![7; 100].into()).await.unwrap();
    let events = KnownEvents::new(Arc::clone(&store) as Arc<dyn ObjectStore>);
    let new = [event("a", 1, 100)];
    let error = async |file: LakeFile| {
        let found = events.find_in(&[file], &rows(&new)).await;
        found.unwrap_err().to_string()
    };
    let damaged = error(lake_file("dt=1/bad.parquet", 100, &new)).await;
    insta::assert_snapshot!(damaged, @"the lake's file dt=1/bad.parquet cannot be searched for duplicates: Parquet error: Invalid Parquet file. Corrupt footer");
    let gone = error(lake_file("dt=1/gone.parquet", 100, &new)).await;
    let expected = "the lake's file dt=1/gone.parquet cannot be searched for duplicates: ";
    assert!(gone.starts_with(expected), "{gone}");
}

#[test]
fn an_epoch_has_each_event_once() {
    let mut events = EpochEvents::default();
    let new = rows(&[
        event("a", 1, 100),
        event("a", 2, 100),
        event("b", 1, 100),
        event("a", 1, 200),
        (None, Some(1), None),
        (None, Some(1), None),
        (Some("a".to_owned()), None, None),
    ]);
    let is_new = |events: &mut EpochEvents| -> Vec<bool> {
        events
            .insert(&new)
            .unwrap()
            .iter()
            .map(Option::unwrap)
            .collect()
    };
    assert_eq!(
        is_new(&mut events),
        [true, true, true, false, true, true, true]
    );
    assert_eq!(events.len(), 3);
    assert_eq!(
        is_new(&mut events),
        [false, false, false, false, true, true, true]
    );
    events.clear();
    assert_eq!(
        is_new(&mut events),
        [true, true, true, false, true, true, true]
    );
}

/// Returns events of which many are alike; equal ones have equal times.
fn made_events() -> impl Strategy<Value = Vec<Event>> {
    let event = (0..6u8, 0..3i64, 0..10u8).prop_map(|(id, fingerprint, nulls)| {
        let time = i64::from(id) * 1000 + fingerprint * 100;
        let id = (nulls != 0).then(|| format!("event-{id}"));
        (
            id,
            (nulls != 1).then_some(fingerprint),
            (time % 700 != 0).then_some(time),
        )
    });
    prop::collection::vec(event, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_same_rows_are_found_as_by_a_set(
        files in prop::collection::vec(
            (made_events(), 1..5usize, any::<bool>(), any::<bool>()), 0..4),
        new in made_events(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let store = Arc::new(NotingStore::default());
        let mut put = Vec::new();
        let mut seen = HashSet::new();
        for (number, (events, group_rows, has_filters, has_statistics)) in files.iter().enumerate() {
            let form = Form {
                group_rows: *group_rows,
                has_filters: *has_filters,
                has_statistics: *has_statistics,
                ..FORM
            };
            let path = format!("dt=1/{number}.parquet");
            put.push(runtime.block_on(put_file(&store, &path, events, form)));
            seen.extend(events.iter().filter_map(|it| it.0.clone().zip(it.1)));
        }
        let events = KnownEvents::new(store);
        let found = known(runtime.block_on(events.find_in(&put, &rows(&new))));
        let is_seen = |it: &Event| it.0.clone().zip(it.1).is_some_and(|it| seen.contains(&it));
        let expected: Vec<usize> = (0..new.len()).filter(|&row| is_seen(&new[row])).collect();
        prop_assert_eq!(found, expected);
    }
}
