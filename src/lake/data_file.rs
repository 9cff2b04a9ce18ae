//! Reading of a data file's rows, as they were when they were decoded; and the place of new data files.

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::cast;
use arrow::error::ArrowError;
use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, TryFutureExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

use super::LakeFile;
use super::storage::Storage;
use super::writer::FileStore;
use crate::events::columns::catalog;

/// Size of the first read of a footer, bytes; a larger one takes a second read.
const FOOTER_BYTES: usize = 64 << 10;

/// Reads ranges of a data file.
pub(super) struct FileReader {
    store: Arc<dyn ObjectStore>,
    path: Path,
    size_bytes: u64,
}

impl FileReader {
    /// A reader of `file`, which is in `store`.
    ///
    /// # Errors
    /// External, if its path is none.
    pub(super) fn new(store: Arc<dyn ObjectStore>, file: &LakeFile) -> Result<Self> {
        let path = Path::parse(&file.path);
        Ok(Self {
            store,
            path: path.map_err(|error| ParquetError::External(error.into()))?,
            size_bytes: file.size_bytes,
        })
    }
}

impl AsyncFileReader for FileReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>> {
        let bytes = self.store.get_range(&self.path, range);
        bytes.map_err(external).boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, Result<Vec<Bytes>>> {
        async move {
            let bytes = self.store.get_ranges(&self.path, &ranges);
            bytes.await.map_err(external)
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>>> {
        async move {
            let size_bytes = self.size_bytes;
            let metadata = ParquetMetaDataReader::new()
                .with_arrow_reader_options(options)
                .with_prefetch_hint(Some(FOOTER_BYTES))
                .load_and_finish(self, size_bytes);
            Ok(Arc::new(metadata.await?))
        }
        .boxed()
    }
}

fn external(error: object_store::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

/// Returns rows of a file with the types that decoded ones have. Parquet calls the elements of lists
/// otherwise than Arrow.
pub(super) fn as_decoded(rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let schema = rows.schema();
    let columns = schema.fields().iter().zip(rows.columns());
    let columns = columns.map(|(field, column)| {
        let known = catalog().index_of(field.name());
        let data_type = known.map(|index| catalog().columns()[index].column_type.data_type());
        let column = cast(
            column,
            &data_type.unwrap_or_else(|| field.data_type().clone()),
        )?;
        Ok((field.name().clone(), column, true))
    });
    RecordBatch::try_from_iter_with_nullable(columns.collect::<Result<Vec<_>, ArrowError>>()?)
}

/// The storage, for data files.
#[derive(Debug)]
pub(super) struct DataFiles(pub(super) Arc<dyn Storage>);

#[async_trait]
impl FileStore for DataFiles {
    async fn publish(&self, path: &str, bytes: Bytes) -> crate::error::Result<()> {
        self.0.put(path, bytes).await
    }

    async fn publish_file(&self, path: &str, file: File) -> crate::error::Result<()> {
        self.0.put_file(path, file).await
    }
}
