//! Tests of the writer, over made-up events and files in memory.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, Mutex, mpsc};

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, UInt32Array, new_null_array,
};
use arrow::compute::{SortColumn, is_not_null};
use arrow::compute::{cast, concat, concat_batches, lexsort_to_indices, take_record_batch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};

use super::*;
use crate::events::columns::catalog;
use crate::execution::Execution;
use crate::lake::{STATS_COLUMNS, StatsValue, stored_columns};
use crate::pipeline::{BatchRequest, DecodeWorker, Pipeline};
use crate::source::aws::AwsSettings;
use crate::source::{OpenContext, Sources};

/// Files in memory. Publishes so many, then fails.
#[derive(Debug)]
struct MemoryStore {
    files: Mutex<BTreeMap<String, Bytes>>,
    most: usize,
}

#[async_trait]
impl FileStore for MemoryStore {
    async fn publish(&self, path: &str, bytes: Bytes) -> Result<()> {
        let mut files = self.files.lock().unwrap();
        if files.len() >= self.most {
            return Err(Error::unavailable("S3", "slow down"));
        }
        assert!(files.insert(path.to_owned(), bytes).is_none(), "{path}");
        Ok(())
    }
}

impl MemoryStore {
    fn new(most: usize) -> Arc<Self> {
        let files = Mutex::default();
        Arc::new(Self { files, most })
    }

    fn bytes(&self, path: &str) -> Bytes {
        self.files.lock().unwrap()[path].clone()
    }

    fn reader(&self, path: &str) -> ParquetRecordBatchReaderBuilder<Bytes> {
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
        ParquetRecordBatchReaderBuilder::try_new_with_options(self.bytes(path), options).unwrap()
    }

    fn metadata(&self, path: &str) -> Arc<ParquetMetaData> {
        Arc::clone(self.reader(path).metadata())
    }

    fn rows(&self, path: &str) -> RecordBatch {
        let reader = self.reader(path);
        let schema = Arc::clone(reader.schema());
        let batches: Vec<RecordBatch> = reader.build().unwrap().map(|it| it.unwrap()).collect();
        concat_batches(&schema, &batches).unwrap()
    }
}

/// Leaves out every event of a set.
#[derive(Debug)]
struct KnownEvents(HashSet<String>);

#[async_trait]
impl RowCheck for KnownEvents {
    async fn keep(
        &self,
        partition: &[(String, String)],
        rows: &RecordBatch,
    ) -> Result<Option<BooleanArray>> {
        assert_eq!(partition[0].0, "dt");
        let times = times(rows);
        assert!(times.is_sorted(), "the rows of {partition:?}");
        let ids = text(rows, "eventid");
        let keep = ids.iter().map(|id| !self.0.contains(id.unwrap()));
        Ok(Some(keep.collect::<Vec<bool>>().into()))
    }
}

fn settings(folders: &str) -> WriterSettings {
    WriterSettings {
        partition_by: PartitionBy::parse(folders).unwrap(),
        max_rows: 1_000_000,
        max_bytes: 64 << 20,
        buffer_bytes: 64 << 20,
        threads: 2,
    }
}

fn text<'a>(rows: &'a RecordBatch, name: &str) -> &'a StringArray {
    rows.column_by_name(name).unwrap().as_string()
}

/// Returns the times of events; those without one are after all others.
fn times(rows: &RecordBatch) -> Vec<i64> {
    let Some(times) = rows.column_by_name("eventtime") else {
        return vec![i64::MAX; rows.num_rows()];
    };
    let times = times.as_primitive::<TimestampMicrosecondType>();
    times.iter().map(|it| it.unwrap_or(i64::MAX)).collect()
}

/// Decodes made-up events with all stored columns.
fn sample(location: &str) -> Vec<RecordBatch> {
    let sources = Sources::new(AwsSettings::default());
    let execution = Arc::new(Execution::default());
    let context = OpenContext {
        execution: Arc::clone(&execution),
        ..OpenContext::default()
    };
    let location = sources.parse(location).unwrap();
    let source = sources.open(&[location], &context).unwrap();
    let pipeline = Pipeline::new(source, Arc::clone(&execution));
    let request = BatchRequest::all_rows(stored_columns().to_vec(), 512);
    let (sender, batches) = mpsc::channel();
    let mut worker = DecodeWorker::new(&request, None, execution, move |batch| {
        sender.send(batch).is_ok()
    });
    tokio::task::block_in_place(|| pipeline.run(&mut worker)).unwrap();
    drop(worker);
    batches.into_iter().collect()
}

/// Makes events of the given times, with numbers from `first` as their identifiers.
fn events(first: usize, times: &[Option<i64>]) -> RecordBatch {
    let numbers = first..first + times.len();
    let same = |value: &str| Arc::new(StringArray::from(vec![value; times.len()])) as ArrayRef;
    let ids = numbers.clone().map(|number| format!("event-{number}"));
    let json = numbers.clone().map(|number| format!("{{\"n\":{number}}}"));
    let time = TimestampMicrosecondArray::from(times.to_vec()).with_timezone("UTC");
    let prints = Int64Array::from_iter_values(numbers.map(|number| number as i64));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("eventid", Arc::new(StringArray::from_iter_values(ids))),
        ("eventtime", Arc::new(time)),
        ("eventsource", same("rds.amazonaws.com")),
        ("fingerprint", Arc::new(prints)),
        ("source_uri", same("file.json")),
        ("recipientaccountid", same("111111111111")),
        ("useridentity_accountid", same("222222222222")),
        ("awsregion", same("eu-west-1")),
        (
            "requestparameters",
            Arc::new(StringArray::from_iter_values(json)),
        ),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, it)| (n, it, true)))
        .unwrap()
}

fn with_column(batch: &RecordBatch, name: &str, values: ArrayRef) -> RecordBatch {
    let mut columns = batch.columns().to_vec();
    columns[batch.schema().index_of(name).unwrap()] = values;
    RecordBatch::try_new(batch.schema(), columns).unwrap()
}

fn day(number: i64) -> i64 {
    number * 86_400_000_000
}

fn micros(text: &str) -> Option<i64> {
    Some(text.parse::<DateTime<Utc>>().unwrap().timestamp_micros())
}

/// Returns all stored columns of some batches, in the order of the events' identifiers.
fn whole(batches: &[RecordBatch]) -> Vec<ArrayRef> {
    let column = |index: usize| {
        let field = catalog().schema().field(index);
        let of = |batch: &RecordBatch| match batch.column_by_name(field.name()) {
            // Parquet calls the values of a list `element`, Arrow calls them `item`.
            Some(values) => cast(values, field.data_type()).unwrap(),
            None => new_null_array(field.data_type(), batch.num_rows()),
        };
        let arrays: Vec<ArrayRef> = batches.iter().map(of).collect();
        concat(&arrays.iter().map(|it| &**it).collect::<Vec<&dyn Array>>()).unwrap()
    };
    let columns: Vec<ArrayRef> = stored_columns().iter().map(|&it| column(it)).collect();
    let key = |name: &str| SortColumn {
        values: Arc::clone(&columns[catalog().index_of(name).unwrap()]),
        options: None,
    };
    let order = lexsort_to_indices(&[key("eventid"), key("fingerprint")], None).unwrap();
    let sorted = columns
        .iter()
        .map(|it| arrow::compute::take(it, &order, None));
    sorted.map(|it| it.unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_come_back_as_they_were() {
    let batches = sample("sample:?events=3000&days=4&seed=3");
    let total: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let store = MemoryStore::new(usize::MAX);
    let mut settings = settings("region,dt");
    settings.max_rows = 300;
    let mut writer = LakeWriter::new(store.clone(), None, settings);
    for batch in &batches {
        writer.write(batch.clone()).await.unwrap();
    }
    let written = writer.finish().await.unwrap();

    assert_eq!((written.rows, written.duplicates), (total as u64, 0));
    let files: Vec<RecordBatch> = written
        .files
        .iter()
        .map(|it| store.rows(&it.path))
        .collect();
    let (before, after) = (whole(&batches), whole(&files));
    for ((before, after), &index) in before.iter().zip(&after).zip(stored_columns()) {
        assert_eq!(before, after, "{}", catalog().columns()[index].name);
    }
    assert!(
        files
            .iter()
            .any(|it| it.column_by_name("resources").is_some())
    );
    for (file, rows) in written.files.iter().zip(&files) {
        check_file(file, rows, store.bytes(&file.path).len());
    }
    // All are told once.
    assert_eq!(writer.finish().await.unwrap(), Written::default());
}

/// Compares a file's facts with its rows.
fn check_file(file: &LakeFile, rows: &RecordBatch, bytes: usize) {
    assert_eq!(file.size_bytes, bytes as u64);
    assert_eq!(file.stats.rows, rows.num_rows() as u64);
    assert!(rows.num_rows() <= 300);
    assert!(times(rows).is_sorted());
    let folder = crate::lake::layout::folder(&file.partition);
    assert!(
        file.path.starts_with(&format!("{folder}/part-")),
        "{}",
        file.path
    );
    assert!(file.path.ends_with(".zstd.parquet"), "{}", file.path);
    let [(_, region), (_, dt)] = &file.partition[..] else {
        panic!("{:?}", file.partition);
    };
    for (row, time) in times(rows).into_iter().enumerate() {
        let time = DateTime::<Utc>::from_timestamp_micros(time).unwrap();
        assert_eq!(&time.format("%Y-%m-%d").to_string(), dt);
        assert_eq!(text(rows, "awsregion").value(row), region);
    }
    for (field, values) in rows.schema().fields().iter().zip(rows.columns()) {
        let any = is_not_null(values).unwrap().true_count() > 0;
        assert!(any, "{} is NULL in all rows", field.name());
    }
    check_stats(file, rows);
}

fn check_stats(file: &LakeFile, rows: &RecordBatch) {
    for &name in STATS_COLUMNS {
        let facts = &file.stats.columns[name];
        let values: Vec<StatsValue> = match rows.column_by_name(name) {
            None => Vec::new(),
            Some(values) if name == "eventtime" => {
                let values = values.as_primitive::<TimestampMicrosecondType>();
                values.iter().flatten().map(StatsValue::Micros).collect()
            }
            Some(values) => {
                let values = values.as_string::<i32>().iter().flatten();
                values.map(|it| StatsValue::Text(it.to_owned())).collect()
            }
        };
        assert_eq!(
            facts.nulls as usize,
            rows.num_rows() - values.len(),
            "{name}"
        );
        let by_value = |a: &&StatsValue, b: &&StatsValue| a.partial_cmp(b).unwrap();
        let least = values.iter().min_by(by_value).cloned();
        let most = values.iter().max_by(by_value).cloned();
        assert_eq!(facts.range, least.zip(most), "{name}");
    }
}

#[tokio::test]
async fn an_event_goes_to_the_day_that_it_belongs_to() {
    let key = "s3://b/AWSLogs/111111111111/CloudTrail/eu-west-1/2024/02/29/\
               111111111111_CloudTrail_eu-west-1_20240229T2355Z_abcdefghijklmnop.json.gz";
    let old = micros("2016-12-31T23:59:59.999Z");
    let future = micros("2093-01-01T00:00:00Z");
    let batch = events(0, &[None, old, None, future]);
    let origins = StringArray::from(vec![key, key, "-", key]);
    let batch = with_column(&batch, "source_uri", Arc::new(origins));
    let store = MemoryStore::new(usize::MAX);
    let mut writer = LakeWriter::new(store.clone(), None, settings("dt"));
    let before = Utc::now();
    writer.write(batch).await.unwrap();
    let after = Utc::now();
    let written = writer.finish().await.unwrap();

    let file_of = |id: &str| {
        let has = |file: &&LakeFile| text(&store.rows(&file.path), "eventid").value(0) == id;
        let file = written.files.iter().find(has).unwrap();
        assert_eq!(file.stats.rows, 1);
        file.partition[0].1.clone()
    };
    assert_eq!(file_of("event-0"), "2024-02-29");
    assert_eq!(file_of("event-1"), "2016-12-31");
    assert_eq!(file_of("event-3"), "2093-01-01");
    let arrival = [before, after].map(|it| it.format("%Y-%m-%d").to_string());
    assert!(arrival.contains(&file_of("event-2")));
    assert_eq!((written.rows, written.without_time), (4, 2));
}

#[tokio::test]
async fn accounts_and_regions_that_are_not_known_have_a_folder_too() {
    let batch = events(0, &[Some(0); 4]);
    let recipients = StringArray::from(vec![Some("1"), None, None, Some("")]);
    let callers = StringArray::from(vec![Some("9"), Some("2"), None, None]);
    let regions = StringArray::from(vec![Some("a/b"), None, Some(""), Some("c")]);
    let batch = with_column(&batch, "recipientaccountid", Arc::new(recipients));
    let batch = with_column(&batch, "useridentity_accountid", Arc::new(callers));
    let batch = with_column(&batch, "awsregion", Arc::new(regions));
    let store = MemoryStore::new(usize::MAX);
    let mut writer = LakeWriter::new(store, None, settings("account,region,dt"));
    writer.write(batch).await.unwrap();
    let written = writer.finish().await.unwrap();
    let folders = written
        .files
        .iter()
        .map(|it| it.path.rsplit_once('/').unwrap().0);
    let folders: BTreeSet<&str> = folders.collect();
    let expected = [
        "account=1/region=a%2Fb/dt=1970-01-01",
        "account=2/region=unknown/dt=1970-01-01",
        "account=unknown/region=c/dt=1970-01-01",
        "account=unknown/region=unknown/dt=1970-01-01",
    ];
    assert_eq!(folders, BTreeSet::from(expected));
}

#[tokio::test]
async fn rows_are_by_time_then_source_then_arrival_and_those_without_time_last() {
    let batch = events(0, &[None, Some(7), Some(3), Some(7), Some(7), Some(7)]);
    let sources = StringArray::from(vec![None, None, Some("z"), Some("b"), Some("a"), Some("b")]);
    let batch = with_column(&batch, "eventsource", Arc::new(sources));
    let origin = "s3://b/AWSLogs/111111111111/CloudTrail/eu-west-1/1970/01/01/\
                  111111111111_CloudTrail_eu-west-1_19700101T0005Z_abcdefghijklmnop.json.gz";
    let origins = StringArray::from(vec![origin; 6]);
    let batch = with_column(&batch, "source_uri", Arc::new(origins));
    let store = MemoryStore::new(usize::MAX);
    let mut writer = LakeWriter::new(store.clone(), None, settings("dt"));
    // The last rows come in a batch of their own.
    writer.write(batch.slice(0, 4)).await.unwrap();
    writer.write(batch.slice(4, 2)).await.unwrap();
    let written = writer.finish().await.unwrap();
    let rows = store.rows(&written.files[0].path);
    let ids: Vec<&str> = text(&rows, "eventid").iter().flatten().collect();
    let order = [
        "event-2", "event-4", "event-3", "event-5", "event-1", "event-0",
    ];
    assert_eq!(ids, order);
}

#[tokio::test]
async fn a_file_tells_readers_what_they_need_not_read() {
    let rows = 50_000;
    let times: Vec<Option<i64>> = (0..rows).map(|row| Some(row as i64 * 1_000_000)).collect();
    let store = MemoryStore::new(usize::MAX);
    let mut writer = LakeWriter::new(store.clone(), None, settings("dt"));
    writer.write(events(0, &times)).await.unwrap();
    let written = writer.finish().await.unwrap();
    let metadata = store.metadata(&written.files[0].path);

    let file = metadata.file_metadata();
    assert!(
        file.created_by()
            .unwrap()
            .starts_with("auroratrail version ")
    );
    let keys = file.key_value_metadata().into_iter().flatten();
    assert_eq!(keys.filter(|it| it.key == "ARROW:schema").count(), 0);
    let group = metadata.row_group(0);
    let leaf = |name: &str| {
        let columns = group.columns().iter();
        columns
            .map(|it| it.column_path().string())
            .position(|it| it == name)
            .unwrap()
    };
    let sorting = group
        .sorting_columns()
        .unwrap()
        .iter()
        .map(|it| it.column_idx as usize);
    assert_eq!(
        sorting.collect::<Vec<_>>(),
        [leaf("eventtime"), leaf("eventsource")]
    );
    // Pages of 20,000 rows, each with its range of times.
    let pages = &metadata.offset_index().unwrap()[0][leaf("eventtime")];
    let starts = pages.page_locations().iter().map(|it| it.first_row_index);
    assert_eq!(starts.collect::<Vec<_>>().len(), 3);
    let index = &metadata.column_index().unwrap()[0];
    assert!(index[leaf("eventtime")].is_sorted());
    assert!(index[leaf("eventid")].null_count(0) == Some(0));
    assert!(group.column(leaf("eventid")).statistics().is_some());
    assert!(
        group
            .column(leaf("requestparameters"))
            .statistics()
            .is_none()
    );
    check_bloom(&store, &written.files[0].path, leaf("eventid"));
}

fn check_bloom(store: &MemoryStore, path: &str, column: usize) {
    let reader = store.reader(path);
    let bloom = reader
        .get_row_group_column_bloom_filter(0, column)
        .unwrap()
        .unwrap();
    assert!((0..50_000).all(|number| bloom.check(&format!("event-{number}")[..])));
    let absent = (50_000..60_000).filter(|number| bloom.check(&format!("event-{number}")[..]));
    let errors = absent.count();
    assert!(errors < 300, "{errors} of 10,000");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_named_as_parquet_names_them() {
    let batches = sample("sample:?events=400&seed=5");
    let store = MemoryStore::new(usize::MAX);
    let mut writer = LakeWriter::new(store.clone(), None, settings("dt"));
    for batch in batches {
        writer.write(batch).await.unwrap();
    }
    let written = writer.finish().await.unwrap();
    let mut leaves = BTreeSet::new();
    for file in &written.files {
        let metadata = store.metadata(&file.path);
        let columns = metadata.file_metadata().schema_descr().columns().to_vec();
        leaves.extend(columns.iter().map(|it| it.path().string()));
    }
    assert!(leaves.contains("resources.list.element.arn"), "{leaves:?}");
    assert!(leaves.iter().all(|it| *it == it.to_lowercase()));
    assert!(!leaves.contains("record"));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_open_days_stay_within_the_buffer() {
    let mut settings = settings("dt");
    settings.buffer_bytes = 1 << 21;
    let store = MemoryStore::new(usize::MAX);
    let mut writer = LakeWriter::new(store.clone(), None, settings);
    for number in 0..16 {
        let times: Vec<Option<i64>> = (0..800).map(|row| Some(day(row % 400) + number)).collect();
        writer
            .write(events(number as usize * 800, &times))
            .await
            .unwrap();
        assert!(writer.buffered_bytes() <= 1 << 21);
    }
    let peak = writer.peak_buffered_bytes();
    assert!((1 << 20..=1 << 21).contains(&peak), "{peak}");
    let written = writer.finish().await.unwrap();
    assert_eq!(written.rows, 12_800);
    assert_eq!(writer.buffered_bytes(), 0);
    let mut ids = BTreeSet::new();
    for file in &written.files {
        let rows = store.rows(&file.path);
        ids.extend(text(&rows, "eventid").iter().flatten().map(str::to_owned));
    }
    assert_eq!(ids.len(), 12_800);
    // The small pieces of a day become one file while they fit.
    assert!(written.files.len() < 1_600, "{}", written.files.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_ends_at_its_limits() {
    let sizes = async |limits: WriterSettings, batches: &[usize]| {
        let store = MemoryStore::new(usize::MAX);
        let mut writer = LakeWriter::new(store, None, limits);
        for &rows in batches {
            writer.write(events(0, &vec![Some(0); rows])).await.unwrap();
        }
        let written = writer.finish().await.unwrap();
        let mut rows: Vec<u64> = written.files.iter().map(|it| it.stats.rows).collect();
        rows.sort_unstable();
        rows
    };
    let mut by_rows = settings("dt");
    by_rows.max_rows = 1_000;
    assert_eq!(
        sizes(by_rows, &[700, 700, 2_100]).await,
        [500, 1_000, 1_000, 1_000]
    );
    let one = SparseBatch::of_batch(&events(0, &[Some(0); 500])).unwrap();
    let mut by_bytes = settings("dt");
    by_bytes.max_bytes = one.bytes() * 5 / 2;
    assert_eq!(sizes(by_bytes, &[500; 5]).await, [500, 1_000, 1_000]);
}

#[tokio::test]
async fn rows_that_the_check_knows_are_left_out() {
    let known = ["event-1", "event-3", "event-4", "event-5"];
    let check = KnownEvents(known.map(str::to_owned).into());
    let times = [9, 8, 7, day(1), day(1) + 1, day(1) + 2].map(Some);
    let mut batch = events(0, &times);
    // Only a row that is left out has a region.
    let regions = StringArray::from(vec![None, Some("r"), None, None, None, None]);
    batch = with_column(&batch, "awsregion", Arc::new(regions));
    let store = MemoryStore::new(usize::MAX);
    let mut writer = LakeWriter::new(store.clone(), Some(Arc::new(check)), settings("dt"));
    writer.write(batch).await.unwrap();
    let written = writer.finish().await.unwrap();
    assert_eq!((written.rows, written.duplicates), (2, 4));
    // Nothing is left of the second day.
    let [file] = &written.files[..] else {
        panic!("{:?}", written.files);
    };
    let rows = store.rows(&file.path);
    let ids: Vec<&str> = text(&rows, "eventid").iter().flatten().collect();
    assert_eq!(ids, ["event-2", "event-0"]);
    assert!(rows.column_by_name("awsregion").is_none());
    assert_eq!(file.stats.columns["awsregion"].nulls, 2);
    let prints = rows.column_by_name("fingerprint").unwrap();
    assert_eq!(prints.as_primitive::<Int64Type>().values(), &[2, 0]);
    assert_eq!(store.files.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_store_that_fails_is_told_and_nothing_counts_as_written() {
    for published in 0..4 {
        let store = MemoryStore::new(published);
        let mut limits = settings("dt");
        limits.max_rows = 10;
        let mut writer = LakeWriter::new(store.clone(), None, limits);
        let mut told = None;
        for number in 0..5 {
            let added = writer.write(events(number * 10, &[Some(0); 10])).await;
            told = told.or_else(|| added.err());
        }
        let finished = writer.finish().await.unwrap_err();
        assert_eq!(told.unwrap_or(finished).to_string(), "slow down");
        assert!(writer.finish().await.unwrap_err().is_retryable());
        assert!(writer.write(events(0, &[Some(0)])).await.is_err());
        assert!(store.files.lock().unwrap().len() <= published);
    }
}

#[tokio::test]
async fn a_column_that_no_lake_stores_is_refused() {
    let refused = async |name: &str| {
        let values: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
        let batch = RecordBatch::try_from_iter([(name, values)]).unwrap();
        let mut writer = LakeWriter::new(MemoryStore::new(1), None, settings("dt"));
        writer.write(batch).await.is_err()
    };
    assert!(refused("record").await);
    assert!(refused("no_such_column").await);
    assert!(refused("fingerprint").await, "text is no integer");
    assert!(!refused("eventid").await);
}

#[test]
fn long_texts_have_no_range() {
    let batch = events(0, &[Some(1), Some(2)]);
    let range = |longest: usize| {
        let names: ArrayRef = Arc::new(StringArray::from(vec!["a".repeat(longest), "b".into()]));
        let batch = with_column(&batch, "eventsource", names);
        stats::file_stats(&batch).columns["eventsource"]
            .range
            .is_some()
    };
    assert!(range(256));
    assert!(!range(257));
}

#[test]
fn a_slice_does_not_hold_on_to_the_batch_that_it_is_of() {
    let times = vec![Some(0); 20_000];
    let batch = events(0, &times);
    let all = SparseBatch::of_batch(&batch).unwrap();
    let slice = SparseBatch::of_batch(&batch.slice(500, 20)).unwrap();
    assert!(slice.bytes() > all.bytes() / 2);
    let shrunk = slice.shrink().unwrap();
    assert!(shrunk.bytes() < 20_000, "{}", shrunk.bytes());
    let expected = take_record_batch(&batch, &UInt32Array::from_iter(500..520)).unwrap();
    let expected = SparseBatch::of_batch(&expected)
        .unwrap()
        .to_batch()
        .unwrap();
    assert_eq!(shrunk.to_batch().unwrap(), expected);
}
