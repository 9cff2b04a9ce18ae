//! The rows of several files in one: sorted by time, each event once.
//!
//! As long as the rows fit in half of the memory they are sorted there, as those of any new file are.
//! More of them are sorted by the engine, which writes what does not fit to temporary files, as the new file is
//! until it is whole. A row group of it ends early where it would take too much memory.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::{SortOptions, filter_record_batch};
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::SessionConfig;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStore;
use object_store::path::Path;
use parquet::arrow::async_reader::ParquetRecordBatchStreamBuilder;

use super::encode::{Effort, Encoder};
use super::job::{FileJob, new_path};
use super::sparse::SparseBatch;
use super::stats::file_stats;
use super::threads::in_thread;
use super::{FileStore, RowCheck};
use crate::decoding::{guarded_future, guarded_stream};
use crate::error::{Error, Result};
use crate::events::columns::catalog;
use crate::lake::checksum::{self, Checksum, Summing};
use crate::lake::data_file::{FileReader, as_decoded};
use crate::lake::layout::Partition;
use crate::lake::{FileStats, LakeFile};

/// Files of a partition that become one, and those who take part.
#[derive(Debug)]
pub(in crate::lake) struct Merge {
    /// The place of the files.
    pub(in crate::lake) objects: Arc<dyn ObjectStore>,
    /// The place of the new file.
    pub(in crate::lake) store: Arc<dyn FileStore>,
    /// Leaves out rows. It may be asked about parts of the rows, in the order of time.
    pub(in crate::lake) check: Arc<dyn RowCheck>,
    /// The partition of all files.
    pub(in crate::lake) partition: Partition,
    /// The files.
    pub(in crate::lake) files: Vec<LakeFile>,
    /// Bytes of memory for rows.
    pub(in crate::lake) memory_bytes: usize,
}

/// The outcome of a [`Merge`].
#[derive(Debug)]
pub(in crate::lake) struct Merged {
    /// The new file; `None` if no row stayed.
    pub(in crate::lake) file: Option<LakeFile>,
    /// Rows that the check left out.
    pub(in crate::lake) duplicates: u64,
}

impl Merge {
    /// Makes the file.
    ///
    /// # Errors
    /// Io, for a file that is damaged, gone, or not as the log says; those of the store and the check.
    pub(in crate::lake) async fn run(self) -> Result<Merged> {
        for file in &self.files {
            check(&*self.objects, file).await?;
        }
        let expected: u64 = self.files.iter().map(|file| file.stats.rows).sum();
        let (file, duplicates) = match self.read_all().await? {
            Some(batches) => {
                let job = FileJob {
                    store: Arc::clone(&self.store),
                    check: Some(Arc::clone(&self.check)),
                    partition: self.partition.clone(),
                    batches,
                    effort: Effort::Lasting,
                };
                let done = job.run().await?;
                (done.file, done.duplicates)
            }
            None => self.sort_and_write().await?,
        };
        let written = file.as_ref().map_or(0, |file| file.stats.rows);
        if written + duplicates != expected {
            return Err(Error::bug(format!(
                "{expected} rows became {written} and {duplicates} duplicates"
            )));
        }
        Ok(Merged { file, duplicates })
    }

    /// Reads all rows; `None` if they take more than half of the memory, as sorting doubles them.
    async fn read_all(&self) -> Result<Option<Vec<SparseBatch>>> {
        let mut batches = Vec::new();
        let mut bytes = 0;
        for file in &self.files {
            let mut rows = rows_of(Arc::clone(&self.objects), file.clone()).await?;
            while let Some(batch) = rows.try_next().await? {
                let batch = SparseBatch::of_batch(&batch)?.shrink()?;
                bytes += batch.bytes();
                if bytes > self.memory_bytes / 2 {
                    return Ok(None);
                }
                batches.push(batch);
            }
        }
        Ok(Some(batches))
    }

    /// Sorts rows that do not fit in memory; returns the file and the number of duplicates.
    async fn sort_and_write(&self) -> Result<(Option<LakeFile>, u64)> {
        let schema = self.schema().await?;
        let mut sorted = self.sorted(Arc::clone(&schema))?;
        let rows: u64 = self.files.iter().map(|file| file.stats.rows).sum();
        let out = tempfile::tempfile();
        let out =
            out.map_err(|error| Error::io(format!("cannot make a temporary file: {error}")))?;
        let out = Summing::new(out);
        let mut encoder = Encoder::new(out, schema, rows as usize, Effort::Lasting)?;
        let group_bytes = self.memory_bytes / 4;
        let (mut stats, mut duplicates) = (FileStats::default(), 0);
        while let Some(batch) = sorted
            .try_next()
            .await
            .map_err(|error| sort_error(&error))?
        {
            let kept = match self.check.keep(&self.partition, &batch).await? {
                Some(keep) => filter_record_batch(&batch, &keep)
                    .map_err(|error| Error::bug(format!("rows cannot be left out: {error}")))?,
                None => batch.clone(),
            };
            duplicates += (batch.num_rows() - kept.num_rows()) as u64;
            if kept.num_rows() > 0 {
                encoder = in_thread(move || {
                    encoder.write(&kept)?;
                    encoder.shrink_to(group_bytes)?;
                    Ok((encoder, file_stats(&kept)))
                })
                .await
                .map(|(encoder, more)| {
                    stats.add(more);
                    encoder
                })?;
            }
        }
        if stats.rows == 0 {
            return Ok((None, duplicates));
        }
        let (content, checksum, size_bytes) = in_thread(move || {
            let (content, checksum) = encoder.finish()?.finish();
            let facts = content.metadata();
            let facts =
                facts.map_err(|error| Error::io(format!("a temporary file is gone: {error}")))?;
            Ok((content, checksum, facts.len()))
        })
        .await?;
        let file = LakeFile {
            path: new_path(&self.partition, checksum),
            size_bytes,
            partition: self.partition.clone(),
            stats,
        };
        self.store.publish_file(&file.path, content).await?;
        Ok((Some(file), duplicates))
    }

    /// Returns the columns that occur in the files.
    async fn schema(&self) -> Result<SchemaRef> {
        let mut occurs = std::collections::BTreeSet::new();
        for file in &self.files {
            let builder = open(Arc::clone(&self.objects), file).await?;
            for field in builder.schema().fields() {
                let index = catalog().index_of(field.name());
                occurs.insert(index.ok_or_else(|| foreign(file, field.name()))?);
            }
        }
        let columns = occurs.into_iter().map(|index| &catalog().columns()[index]);
        let fields =
            columns.map(|it| Field::new(it.name.clone(), it.column_type.data_type(), true));
        Ok(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
    }

    /// Returns the rows of all files, sorted.
    fn sorted(&self, schema: SchemaRef) -> Result<SendableRecordBatchStream> {
        let failed = |error| sort_error(&error);
        let order = ["eventtime", "eventsource"];
        let order = order.iter().filter_map(|name| {
            let index = schema.index_of(name).ok()?;
            let options = SortOptions {
                descending: false,
                nulls_first: false,
            };
            let column = Arc::new(Column::new(name, index));
            Some(PhysicalSortExpr::new(column, options))
        });
        let order = LexOrdering::new(order.collect::<Vec<_>>());
        let rows = Arc::new(FileRows {
            objects: Arc::clone(&self.objects),
            files: self.files.clone(),
            schema: Arc::clone(&schema),
        });
        let scan = StreamingTableExec::try_new(schema, vec![rows], None, None, false, None);
        let scan: Arc<dyn ExecutionPlan> = Arc::new(scan.map_err(failed)?);
        let plan = match order {
            Some(order) => Arc::new(SortExec::new(order, scan)),
            None => scan,
        };
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new(self.memory_bytes / 2)))
            .build_arc();
        // The merge of what was written to disk has this much for itself. What is sorted leaves room for the
        // row group that is being encoded.
        let config = SessionConfig::new()
            .with_batch_size(BATCH_ROWS)
            .with_sort_spill_reservation_bytes(self.memory_bytes / 8);
        let context = TaskContext::default()
            .with_runtime(runtime.map_err(failed)?)
            .with_session_config(config);
        execute_stream(plan, Arc::new(context)).map_err(failed)
    }
}

/// The rows of files, one file after the other.
#[derive(Debug)]
struct FileRows {
    objects: Arc<dyn ObjectStore>,
    files: Vec<LakeFile>,
    schema: SchemaRef,
}

impl PartitionStream for FileRows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (objects, schema) = (Arc::clone(&self.objects), Arc::clone(&self.schema));
        let files = stream::iter(self.files.clone());
        let rows = files.then(move |file| rows_of(Arc::clone(&objects), file));
        let rows = rows.try_flatten().map(move |batch| {
            let batch = batch.map_err(|error| DataFusionError::External(error.into()))?;
            with_all_columns(&batch, &schema)
        });
        Box::pin(RecordBatchStreamAdapter::new(
            Arc::clone(&self.schema),
            rows,
        ))
    }
}

fn with_all_columns(
    batch: &RecordBatch,
    schema: &SchemaRef,
) -> Result<RecordBatch, DataFusionError> {
    let rows = batch.num_rows();
    let column = |field: &Arc<Field>| -> ArrayRef {
        match batch.column_by_name(field.name()) {
            Some(column) => Arc::clone(column),
            None => new_null_array(field.data_type(), rows),
        }
    };
    let columns = schema.fields().iter().map(column).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(
        Arc::clone(schema),
        columns,
        &options,
    )?)
}

/// Checks that a file's bytes are those that were written: damage would be copied, and no longer be seen.
async fn check(objects: &dyn ObjectStore, file: &LakeFile) -> Result<()> {
    let Some(expected) = Checksum::of_path(&file.path) else {
        return Ok(());
    };
    let path = Path::parse(&file.path).map_err(|error| unreadable(file, &error))?;
    let found = Checksum::of_object(objects, &path).await;
    match found.map_err(|error| unreadable(file, &error))? == expected {
        true => Ok(()),
        false => Err(Error::io(format!("{} {}", file.path, checksum::FAULT))),
    }
}

type Builder = ParquetRecordBatchStreamBuilder<FileReader>;

async fn open(objects: Arc<dyn ObjectStore>, file: &LakeFile) -> Result<Builder> {
    let opened = match FileReader::new(objects, file) {
        Ok(reader) => ParquetRecordBatchStreamBuilder::new(reader).await,
        Err(error) => Err(error),
    };
    let builder = opened.map_err(|error| unreadable(file, &error))?;
    let (found, expected) = (
        builder.metadata().file_metadata().num_rows(),
        file.stats.rows,
    );
    match found as u64 == expected {
        true => Ok(builder),
        false => Err(Error::io(format!(
            "{} has {found} rows, and by the log {expected}",
            file.path
        ))),
    }
}

/// Returns the rows of a file as they were decoded.
async fn rows_of(
    objects: Arc<dyn ObjectStore>,
    file: LakeFile,
) -> Result<impl futures::Stream<Item = Result<RecordBatch>>> {
    let builder = guarded_future(open(objects, &file)).await;
    let builder = builder.map_err(|panic| unreadable(&file, &panic))??;
    for field in builder.schema().fields() {
        catalog()
            .index_of(field.name())
            .ok_or_else(|| foreign(&file, field.name()))?;
    }
    let rows = builder.with_batch_size(BATCH_ROWS).build();
    let rows = rows.map_err(|error| unreadable(&file, &error))?;
    Ok(guarded_stream(rows).map(move |batch| {
        let batch = batch.map_err(|panic| unreadable(&file, &panic))?;
        let batch = batch.map_err(|error| unreadable(&file, &error))?;
        as_decoded(&batch).map_err(|error| unreadable(&file, &error))
    }))
}

fn unreadable(file: &LakeFile, error: &dyn std::fmt::Display) -> Error {
    Error::io(format!("{} cannot be read: {error}", file.path))
}

fn foreign(file: &LakeFile, column: &str) -> Error {
    Error::io(format!(
        "{} has a column {column} of another program's",
        file.path
    ))
}

fn sort_error(error: &DataFusionError) -> Error {
    let message = format!("rows cannot be sorted: {error}");
    match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => {
            Error::config(format!("{message}; --memory gives more"))
        }
        _ => Error::io(message),
    }
}

/// Rows of a batch that is read.
const BATCH_ROWS: usize = 1024;
