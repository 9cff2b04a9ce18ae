//! Readers of a lake's files that say which file failed, and that stop when the execution does.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::common::Result;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::parquet::arrow::arrow_reader::ArrowReaderOptions;
use datafusion::parquet::arrow::async_reader::AsyncFileReader;
use datafusion::parquet::errors::{ParquetError, Result as ParquetResult};
use datafusion::parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use super::{LakeReader, LakeScan};
use crate::error::Error;
use crate::execution::Execution;

/// Opens files of a lake; their footers are kept for the queries that follow.
#[derive(Debug)]
pub(super) struct LakeFileReaders {
    lake: Arc<dyn LakeReader>,
    readers: CachedParquetFileReaderFactory,
    execution: Arc<Execution>,
    has_conditions: bool,
}

impl LakeFileReaders {
    /// Readers over `lake` that keep footers in a cache and end with the execution of the query.
    pub(super) fn new(lake: &Arc<dyn LakeReader>, scan: &LakeScan<'_>) -> Self {
        let runtime = scan.state.runtime_env();
        let footers = runtime.cache_manager.get_file_metadata_cache();
        let execution = scan.state.config().get_extension::<Execution>();
        Self {
            lake: Arc::clone(lake),
            readers: CachedParquetFileReaderFactory::new(lake.store(), footers),
            execution: execution.unwrap_or_default(),
            has_conditions: !scan.filters.is_empty(),
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
            file: OpenFile {
                lake: Arc::clone(&self.lake),
                store: self.lake.store(),
                meta,
            },
            execution: Arc::clone(&self.execution),
            has_conditions: self.has_conditions,
        }))
    }
}

/// A reader of one file.
struct LakeFileReader {
    reader: Box<dyn AsyncFileReader + Send>,
    file: OpenFile,
    execution: Arc<Execution>,
    has_conditions: bool,
}

/// The file that a reader reads.
struct OpenFile {
    lake: Arc<dyn LakeReader>,
    store: Arc<dyn ObjectStore>,
    meta: ObjectMeta,
}

impl AsyncFileReader for LakeFileReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        let read = self.reader.get_bytes(range);
        watched(read, &self.file, &self.execution)
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        let read = self.reader.get_byte_ranges(ranges);
        watched(read, &self.file, &self.execution)
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        let mut options = options.cloned().unwrap_or_default();
        if self.has_conditions {
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
        let (lake, remedy) = (self.lake.name(), self.lake.remedy());
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
                None => format!("the file is damaged: {}; {remedy}", reason(&error)),
            },
        };
        let (root, path) = (lake.trim_end_matches('/'), &self.meta.location);
        Error::io(format!("{root}/{path}: {message}")).caused_by(error)
    }
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

/// Returns the words of the Parquet reader, without its headings.
fn reason(error: &ParquetError) -> String {
    let text = error.to_string();
    text.rsplit(": ").next().unwrap_or(&text).to_owned()
}
