//! A small lake of made-up events in memory, over a store that counts what is read.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use async_trait::async_trait;
use datafusion::arrow::array::{Array, AsArray, RecordBatch, UInt32Array};
use datafusion::arrow::compute::{
    SortOptions, concat_batches, max, max_string, min, min_string, sort_to_indices,
    take_record_batch,
};
use datafusion::arrow::datatypes::TimestampMicrosecondType;
use datafusion::catalog::TableProvider;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::arrow::arrow_writer::ArrowWriterOptions;
use datafusion::parquet::file::properties::WriterProperties;
use datafusion::parquet::schema::types::ColumnPath;
use datafusion::physical_plan::collect;
use datafusion::prelude::SessionContext;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::super::LakeReader;
use crate::lake::layout::{day_name, days};
use crate::lake::{ColumnStats, FileStats, LakeFile, STATS_COLUMNS, StatsValue, stored_columns};
use crate::query::table::{EventsTable, Input};
use crate::source::{Sources, aws::AwsSettings};

/// A lake in memory.
#[derive(Debug)]
pub struct MemoryLake {
    pub name: String,
    pub files: Arc<[LakeFile]>,
    pub store: Arc<CountingStore>,
}

#[async_trait]
impl LakeReader for MemoryLake {
    fn name(&self) -> &str {
        &self.name
    }

    fn store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.store) as _
    }

    async fn files(&self) -> crate::error::Result<Arc<[LakeFile]>> {
        Ok(Arc::clone(&self.files))
    }
}

impl MemoryLake {
    /// Writes the events of `source` by day. The footers have Arrow's schema or not.
    pub async fn of(name: &str, source: &str, has_arrow_schema: bool) -> Self {
        let store = Arc::new(CountingStore::default());
        let mut files = Vec::new();
        for (day, batch) in by_day(&events(source).await) {
            let path = format!("dt={day}/part-0.parquet");
            let bytes = parquet(&batch, has_arrow_schema);
            files.push(LakeFile {
                path: path.clone(),
                size_bytes: bytes.len() as u64,
                partition: vec![("dt".to_owned(), day)],
                stats: stats(&batch),
            });
            store.put(&Path::from(path), bytes.into()).await.unwrap();
        }
        Self {
            name: name.to_owned(),
            files: files.into(),
            store,
        }
    }
}

pub fn input(locations: &[&str], lakes: Vec<Arc<dyn LakeReader>>) -> Input {
    let sources = Sources::new(AwsSettings::default());
    let locations = locations.iter().map(|it| sources.parse(it).unwrap());
    Input {
        locations: locations.collect(),
        sources,
        lakes,
        dedup: false,
    }
}

/// Returns all events of a source, in their stored columns.
async fn events(source: &str) -> RecordBatch {
    let context = SessionContext::new();
    let table = EventsTable::new(input(&[source], Vec::new()));
    let columns = stored_columns().to_vec();
    let state = context.state();
    let scan = table.scan(&state, Some(&columns), &[], None).await.unwrap();
    let schema = scan.schema();
    let batches = collect(scan, context.task_ctx()).await.unwrap();
    concat_batches(&schema, &batches).unwrap()
}

/// Cuts events by day, each day in the order of time.
fn by_day(events: &RecordBatch) -> BTreeMap<String, RecordBatch> {
    let mut rows: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for (row, day) in days(events, 0).into_iter().enumerate() {
        rows.entry(day_name(day.number))
            .or_default()
            .push(row as u32);
    }
    let batch = |rows: Vec<u32>| {
        let day = take_record_batch(events, &UInt32Array::from(rows)).unwrap();
        let times = day.column_by_name("eventtime").unwrap();
        let order = sort_to_indices(times, Some(SortOptions::new(false, false)), None);
        let day = take_record_batch(&day, &order.unwrap()).unwrap();
        without_empty_columns(&day)
    };
    let days = rows.into_iter().map(|(day, rows)| (day, batch(rows)));
    days.collect()
}

fn without_empty_columns(batch: &RecordBatch) -> RecordBatch {
    let columns = batch.columns().iter().enumerate();
    let valued = columns.filter(|(_, column)| column.null_count() < column.len());
    let valued: Vec<usize> = valued.map(|(index, _)| index).collect();
    batch.project(&valued).unwrap()
}

fn parquet(batch: &RecordBatch, has_arrow_schema: bool) -> Vec<u8> {
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(100))
        .set_data_page_row_count_limit(20)
        .set_write_batch_size(20)
        .set_column_bloom_filter_enabled(ColumnPath::from("eventid"), true)
        .set_column_bloom_filter_max_ndv(ColumnPath::from("eventid"), 100)
        .build();
    let options = ArrowWriterOptions::new()
        .with_properties(properties)
        .with_skip_arrow_metadata(!has_arrow_schema);
    let mut bytes = Vec::new();
    let mut writer =
        ArrowWriter::try_new_with_options(&mut bytes, batch.schema(), options).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn stats(batch: &RecordBatch) -> FileStats {
    let mut columns = BTreeMap::new();
    for &name in STATS_COLUMNS {
        let Some(column) = batch.column_by_name(name) else {
            continue;
        };
        let range = match column.as_string_opt::<i32>() {
            Some(texts) => min_string(texts)
                .zip(max_string(texts))
                .map(|(least, most)| {
                    let text = |text: &str| StatsValue::Text(text.to_owned());
                    (text(least), text(most))
                }),
            None => {
                let times = column.as_primitive::<TimestampMicrosecondType>();
                let (least, most) = (min(times), max(times));
                least
                    .map(StatsValue::Micros)
                    .zip(most.map(StatsValue::Micros))
            }
        };
        let nulls = column.null_count() as u64;
        columns.insert(name.to_owned(), ColumnStats { nulls, range });
    }
    FileStats {
        rows: batch.num_rows() as u64,
        columns,
    }
}

/// A store in memory that counts what is read.
#[derive(Debug, Default)]
pub struct CountingStore {
    pub inner: InMemory,
    bytes: AtomicU64,
}

impl CountingStore {
    /// Returns the bytes that were read since the last call.
    pub fn bytes_read(&self) -> u64 {
        self.bytes.swap(0, Relaxed)
    }
}

impl fmt::Display for CountingStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for CountingStore {
    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.inner.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let result = self.inner.get_opts(path, options).await?;
        let length = result.range.end - result.range.start;
        self.bytes.fetch_add(length, Relaxed);
        Ok(result)
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
