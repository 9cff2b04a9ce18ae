//! A lake as rows of the table `events`: the files that may match, read by the engine's own Parquet
//! scan.
//!
//! ```text
//! files of the log ──facts──> those that may match ──> groups, one a thread ──> DataSourceExec
//!                                                                                 |  (record asked for)
//!                                                                                 v
//!                                                                             ProjectionExec: record
//! ```
//!
//! The scan knows only the columns that a query needs. A file that lacks one has NULLs there.
//! `record` is not stored: it is rebuilt from the record's columns.
//!
//! No order is declared. The rows of a file that another writer made may be in any order; and where
//! the first or last rows by time are asked for, the engine goes through the files in that order by
//! their facts and stops where no better row can come.

mod facts;
mod open;
mod reader;
mod record;
#[cfg(test)]
mod tests;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::{DataFusionError, Result, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::{ParquetAccessPlan, RowGroupAccess};
use datafusion::datasource::physical_plan::{
    FileGroup, FileScanConfigBuilder, FileSource, ParquetSource,
};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::Expr;
use datafusion::parquet::arrow::arrow_reader::RowSelection;
use datafusion::physical_expr_adapter::{
    DefaultPhysicalExprAdapterFactory, PhysicalExprAdapter, PhysicalExprAdapterFactory,
};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::metrics::MetricBuilder;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};

use crate::error::Error;
use crate::events::columns::catalog;
use crate::lake::log::AsOf;
use crate::lake::{self, LakeFile};
use reader::LakeFileReaders;

pub use open::OpenLake;

/// A lake that can be read: gives its data files, as one version of it.
#[async_trait]
pub trait LakeReader: Send + Sync + std::fmt::Debug {
    /// Returns the name that messages and plans show: `./lake`, `s3://bucket/lake`.
    fn name(&self) -> &str;

    /// Returns the store, rooted at the lake: paths of files are below it.
    fn store(&self) -> Arc<dyn ObjectStore>;

    /// Returns the files of the version to read. Called once a scan.
    ///
    /// # Errors
    /// If the log cannot be read.
    async fn files(&self) -> crate::error::Result<Arc<[LakeFile]>>;

    /// Returns the rows of a file that are meant, in their order, if they are not all. Such a file has one row
    /// group.
    fn rows(&self, _file: &LakeFile) -> Option<&[Range<u64>]> {
        None
    }

    /// Returns what to do about a file that is gone or damaged.
    fn remedy(&self) -> String {
        format!("bring it back from a copy of {}", self.name())
    }

    /// Returns a reader of a version; `None` if there is but one.
    fn at(&self, _at: AsOf) -> Option<Arc<dyn LakeReader>> {
        None
    }
}

/// The part of a lake that a query asks for.
#[derive(Clone, Copy)]
pub(super) struct LakeScan<'a> {
    /// The session that plans it.
    pub state: &'a dyn Session,
    /// Columns, as indexes into the [catalog].
    pub projection: &'a [usize],
    /// Conditions that the query checks again.
    pub filters: &'a [Expr],
    /// Rows of a batch.
    pub batch_rows: usize,
    /// The rows after which the query has enough.
    pub limit: Option<usize>,
}

/// Columns times files beyond which the engine gets no facts about single files: it holds some 300
/// bytes for each.
const MOST_FACTS: usize = 200_000;

/// Returns the scan of a lake.
///
/// # Errors
/// If the log cannot be read.
pub(super) async fn scan(
    lake: &Arc<dyn LakeReader>,
    scan: &LakeScan<'_>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let files = lake.files().await.map_err(external)?;
    let asked = Arc::new(catalog().schema().project(scan.projection)?);
    let kept = facts::matching(&files, &asked, scan);
    if kept.is_empty() {
        return Ok(Arc::new(EmptyExec::new(asked)));
    }
    let columns = record::stored(scan.projection);
    let schema: SchemaRef = Arc::new(catalog().schema().project(&columns)?);
    let key = key(lake.name());
    let url = ObjectStoreUrl::parse(format!("auroratrail-lake://{key:016x}/"))?;
    let runtime = scan.state.runtime_env();
    runtime.register_object_store(url.as_ref(), lake.store());
    let is_part = kept.iter().any(|file| lake.rows(file).is_some());
    let statistics = match is_part {
        true => Statistics::new_unknown(&schema),
        false => facts::statistics(&kept, &schema),
    };
    let config = FileScanConfigBuilder::new(url, source(lake, &kept, &schema, scan))
        .with_statistics(statistics)
        .with_file_groups(groups(lake, &kept, &schema, scan))
        .with_batch_size(Some(scan.batch_rows))
        .with_limit(scan.limit)
        .with_expr_adapter(Some(Arc::new(StoredFields)))
        .build();
    let metrics = config.file_source().metrics();
    let pruned = MetricBuilder::new(metrics).global_counter("lake_files_pruned");
    pruned.add(files.len() - kept.len());
    record::rebuilt(DataSourceExec::from_data_source(config), scan)
}

fn source(
    lake: &Arc<dyn LakeReader>,
    files: &[&LakeFile],
    schema: &SchemaRef,
    scan: &LakeScan<'_>,
) -> Arc<dyn FileSource> {
    // Where each column of a file is one page, the facts of pages are those of the column, and for some
    // hundred columns they take as long to read as the rest of a footer.
    let has_pages = files
        .iter()
        .any(|file| file.stats.rows > lake::PAGE_ROWS as u64);
    let mut options = scan.state.default_table_options().parquet;
    options.global.enable_page_index &= has_pages;
    let readers = LakeFileReaders::new(lake, scan, has_pages && !scan.filters.is_empty());
    let source = ParquetSource::new(Arc::clone(schema))
        .with_table_parquet_options(options)
        .with_parquet_file_reader_factory(Arc::new(readers));
    Arc::new(source)
}

/// Returns a number that stands for the name of a lake.
fn key(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}

/// Cuts files, by the times of their events, into groups of about equal bytes.
fn groups(
    lake: &Arc<dyn LakeReader>,
    files: &[&LakeFile],
    schema: &Schema,
    scan: &LakeScan<'_>,
) -> Vec<FileGroup> {
    let key = key(lake.name());
    let mut files = files.to_vec();
    files.sort_by_cached_key(|file| (facts::first_time(file), file.path.clone()));
    let bytes: u64 = files.iter().map(|file| file.size_bytes).sum();
    let partitions = scan.state.config().target_partitions().max(1) as u64;
    let share = bytes.div_ceil(partitions).max(1);
    let mut groups: Vec<FileGroup> = Vec::new();
    let mut taken = 0;
    let with_facts = files.len() * schema.fields().len() <= MOST_FACTS;
    for file in files {
        // A file belongs where its middle is, so that none is alone because of a few bytes.
        let group = ((taken + file.size_bytes / 2) / share).min(partitions - 1) as usize;
        taken += file.size_bytes;
        let mut part = PartitionedFile::new_from_meta(meta(file, key));
        if let Some(rows) = lake.rows(file) {
            part = part.with_extension(access_plan(file, rows));
        } else if with_facts {
            part = part.with_statistics(Arc::new(facts::statistics(&[file], schema)));
        }
        groups.resize_with(groups.len().max(group + 1), FileGroup::default);
        groups[group].push(part);
    }
    groups.retain(|group| !group.is_empty());
    groups
}

/// Returns the plan to read some rows of a file of one row group.
fn access_plan(file: &LakeFile, rows: &[Range<u64>]) -> ParquetAccessPlan {
    let rows = rows.iter().map(|it| it.start as usize..it.end as usize);
    let total = file.stats.rows as usize;
    let selection = RowSelection::from_consecutive_ranges(rows, total);
    ParquetAccessPlan::new(vec![RowGroupAccess::Selection(selection)])
}

/// Returns the file as the engine knows it. Its time, which files of a lake do not need as they never
/// change, tells lakes apart in the cache of footers: that knows a file by path, size and time.
fn meta(file: &LakeFile, key: u64) -> ObjectMeta {
    let seconds = i64::from(key as u32);
    ObjectMeta {
        // As it is: `%2F` in the name of a folder is three letters.
        location: Path::parse(&file.path).unwrap_or_else(|_| Path::from(&*file.path)),
        last_modified: DateTime::<Utc>::from_timestamp(seconds, 0).unwrap_or_default(),
        size: file.size_bytes,
        e_tag: None,
        version: None,
    }
}

/// Adapts expressions to a file's columns.
///
/// Metadata of fields, which writers keep or not, makes no difference: else each column of a file
/// without it would be converted to its own type, and conditions on it would prune nothing.
#[derive(Debug)]
struct StoredFields;

impl PhysicalExprAdapterFactory for StoredFields {
    fn create(&self, table: SchemaRef, file: SchemaRef) -> Result<Arc<dyn PhysicalExprAdapter>> {
        let fields = file
            .fields()
            .iter()
            .map(|field| match table.field_with_name(field.name()) {
                Ok(known) if known.data_type() == field.data_type() => Arc::new(known.clone()),
                _ => Arc::clone(field),
            });
        let file = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        DefaultPhysicalExprAdapterFactory.create(table, file)
    }
}

fn external(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
