//! Readers of a lake's files that say which file failed, and that stop when the execution does.
//!
//! A file that can be fetched and not be decoded fails elsewhere: the execution knows which files were read
//! last, and can have them looked at.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use datafusion::common::Result;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::parquet::arrow::arrow_reader::{
    ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use datafusion::parquet::arrow::async_reader::AsyncFileReader;
use datafusion::parquet::errors::{ParquetError, Result as ParquetResult};
use datafusion::parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use super::{LakeReader, LakeScan};
use crate::decoding::guarded;
use crate::error::Error;
use crate::execution::{Execution, Suspect};
use crate::lake::checksum::{self, Checksum};
use crate::query::damage::without_headings;

/// Opens files of a lake; their footers are kept for the queries that follow.
#[derive(Debug)]
pub(super) struct LakeFileReaders {
    lake: Arc<dyn LakeReader>,
    readers: CachedParquetFileReaderFactory,
    execution: Arc<Execution>,
    wants_page_index: bool,
}

impl LakeFileReaders {
    /// Readers over `lake` that keep footers, with the facts of pages or without, in a cache, and end with the
    /// execution of the query.
    pub(super) fn new(
        lake: &Arc<dyn LakeReader>,
        scan: &LakeScan<'_>,
        wants_page_index: bool,
    ) -> Self {
        let runtime = scan.state.runtime_env();
        let footers = runtime.cache_manager.get_file_metadata_cache();
        let execution = scan.state.config().get_extension::<Execution>();
        Self {
            lake: Arc::clone(lake),
            readers: CachedParquetFileReaderFactory::new(lake.store(), footers),
            execution: execution.unwrap_or_default(),
            wants_page_index,
        }
    }
}

impl ParquetFileReaderFactory for LakeFileReaders {
    fn create_reader(
        &self,
        partition: usize,
        file: PartitionedFile,
        footer_bytes: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        let meta = file.object_meta.clone();
        let readers = &self.readers;
        Ok(Box::new(LakeFileReader {
            reader: readers.create_reader(partition, file, footer_bytes, metrics)?,
            file: Arc::new(OpenFile {
                lake: Arc::clone(&self.lake),
                store: self.lake.store(),
                meta,
            }),
            is_suspect: false,
            execution: Arc::clone(&self.execution),
            wants_page_index: self.wants_page_index,
        }))
    }
}

/// A reader of one file.
struct LakeFileReader {
    reader: Box<dyn AsyncFileReader + Send>,
    file: Arc<OpenFile>,
    /// The execution knows of it.
    is_suspect: bool,
    execution: Arc<Execution>,
    wants_page_index: bool,
}

/// The file that a reader reads.
struct OpenFile {
    lake: Arc<dyn LakeReader>,
    store: Arc<dyn ObjectStore>,
    meta: ObjectMeta,
}

impl LakeFileReader {
    fn note(&mut self) {
        if !self.is_suspect {
            self.is_suspect = true;
            self.execution.suspect(Arc::clone(&self.file) as _);
        }
    }
}

impl AsyncFileReader for LakeFileReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        self.note();
        let read = self.reader.get_bytes(range);
        watched(read, &self.file, &self.execution)
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        self.note();
        let read = self.reader.get_byte_ranges(ranges);
        watched(read, &self.file, &self.execution)
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        let mut options = options.cloned().unwrap_or_default();
        if self.wants_page_index {
            // The engine would ask for it later, past the cache and once a query.
            options = options.with_page_index_policy(PageIndexPolicy::Optional);
        }
        let reader = &mut self.reader;
        let read = async move { reader.get_metadata(Some(&options)).await };
        watched(read.boxed(), &self.file, &self.execution)
    }
}

/// Runs a read until the execution stops, and says of an error which file has it.
fn watched<'a, T: Send + 'a>(
    read: BoxFuture<'a, ParquetResult<T>>,
    file: &'a OpenFile,
    execution: &'a Execution,
) -> BoxFuture<'a, ParquetResult<T>> {
    async move {
        match execution.stop().run_until_cancelled(read).await {
            Some(Ok(read)) => Ok(read),
            Some(Err(error)) => Err(external(file.explain(error).await)),
            None => Err(external(Error::stopped())),
        }
    }
    .boxed()
}

fn external(error: Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

impl OpenFile {
    /// Translates an error of reading, after a look at what is there.
    async fn explain(&self, error: ParquetError) -> Error {
        let remedy = self.lake.remedy();
        let message = match self.store.head(&self.meta.location).await {
            Err(object_store::Error::NotFound { .. }) => format!(
                "the file is gone, and the lake's log has it; run the query again, and if that does \
                 not help, {remedy}"
            ),
            Err(error) => unreachable(&error),
            Ok(found) if found.size != self.meta.size => format!(
                "the file is damaged: expected {} bytes as in the lake's log, found {}; {remedy}",
                self.meta.size, found.size
            ),
            Ok(_) => match store_error(&error) {
                Some(error) => unreachable(error),
                None => {
                    let reason = without_headings(&error.to_string());
                    format!("the file is damaged: {reason}; {remedy}")
                }
            },
        };
        self.error(&message).caused_by(error)
    }

    fn error(&self, message: &str) -> Error {
        let (root, path) = (self.lake.name().trim_end_matches('/'), &self.meta.location);
        Error::io(format!("{root}/{path}: {message}"))
    }
}

#[async_trait]
impl Suspect for OpenFile {
    async fn fault(&self) -> Option<Error> {
        let content = self.store.get(&self.meta.location).await;
        let bytes = match async { content?.bytes().await }.await {
            Ok(bytes) => bytes,
            Err(error) => return Some(self.explain(external_store(error)).await),
        };
        let path = self.meta.location.to_string();
        let looked = tokio::task::spawn_blocking(move || {
            let expected = Checksum::of_path(&path);
            let is_changed = expected.is_some_and(|it| it != Checksum::of(&bytes));
            let decoded = guarded(|| decode(bytes));
            (
                is_changed,
                decoded.unwrap_or_else(|panic| Err(panic.into())),
            )
        });
        let remedy = self.lake.remedy();
        match looked.await {
            Ok((_, Err(error))) => Some(self.explain(error).await),
            Ok((true, Ok(()))) => {
                Some(self.error(&format!("the file {}; {remedy}", checksum::FAULT)))
            }
            _ => None,
        }
    }
}

/// Reads all rows of a file.
fn decode(bytes: Bytes) -> ParquetResult<()> {
    let mut rows = ParquetRecordBatchReaderBuilder::try_new(bytes)?.build()?;
    rows.try_for_each(|batch| batch.map(drop))?;
    Ok(())
}

fn external_store(error: object_store::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

fn store_error(error: &ParquetError) -> Option<&object_store::Error> {
    match error {
        ParquetError::External(error) => error.downcast_ref(),
        _ => None,
    }
}

fn unreachable(error: &object_store::Error) -> String {
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |it| it.source());
    let innermost = causes.last().map(ToString::to_string);
    format!(
        "the file cannot be read: {}; check access and network, and run the query again",
        innermost.unwrap_or_default()
    )
}
