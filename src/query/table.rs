//! Sources and lakes as the table `events`: what a query asks for is what is read and decoded.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::stream::{
    RecordBatchReceiverStreamBuilder, RecordBatchStreamAdapter,
};
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
    ReplaceChildrenOptions,
};
use futures::StreamExt;

use super::cache::{ColumnCache, ScanCache, ScanKey};
use super::lake_table::{LakeReader, LakeScan};
use super::{kept, lake_table, pushdown};
use crate::events::columns::catalog;
use crate::events::{Deduplicator, RowFilter};
use crate::execution::Execution;
use crate::lake::object_cache::ObjectCache;
use crate::pipeline::{BatchRequest, DecodeWorker, Pipeline};
use crate::source::{self, KeyFilter, KnownObjects, Location, OpenContext, Reading, Sources};

/// Columns in a batch beyond which it gets fewer rows, so that a query of everything stays small.
const WIDE_COLUMNS: usize = 64;

/// Rows of a batch that is not.
const NARROW_ROWS: usize = 8192;

/// Rows of a batch that is wide.
const WIDE_ROWS: usize = 4096;

/// The input of a table: sources and what is done about duplicates. It has no state: counts, rejects
/// and positions belong to the execution that reads it.
#[derive(Clone, Debug)]
pub struct Input {
    /// Connections and credentials.
    pub sources: Sources,
    /// Places to read, in this order.
    pub locations: Vec<Location>,
    /// Lakes to read after them.
    pub lakes: Vec<Arc<dyn LakeReader>>,
    /// Leaves out an event that was read before in the same scan of the locations. A lake holds no
    /// event twice, and is not compared: an event that two lakes have, or a lake and a location, is
    /// two rows.
    pub dedup: bool,
}

/// A table of events over files, objects and the like.
#[derive(Debug)]
pub struct EventsTable {
    input: Arc<Input>,
    cache: Option<Arc<ColumnCache>>,
    object_cache: Option<ObjectCache>,
}

impl EventsTable {
    /// A table over `input`.
    pub fn new(input: Input) -> Self {
        Self {
            input: Arc::new(input),
            cache: None,
            object_cache: None,
        }
    }

    /// Keeps files and objects on disk.
    #[must_use]
    pub(super) fn with_object_cache(self, object_cache: Option<ObjectCache>) -> Self {
        Self {
            object_cache,
            ..self
        }
    }

    /// Keeps decoded columns in `cache`. With duplicates left out nothing is kept: which of two equal
    /// events stays depends on the order in which threads come to them.
    #[must_use]
    pub(super) fn with_cache(self, cache: Option<Arc<ColumnCache>>) -> Self {
        let cache = cache.filter(|_| !self.input.dedup);
        Self { cache, ..self }
    }

    fn cache_use(&self, columns: &[usize], keys: &KeyFilter) -> Option<CacheUse> {
        let cache = Arc::clone(self.cache.as_ref()?);
        let scan = ScanKey::new(&self.input.locations, columns, keys);
        Some(CacheUse {
            fills: !cache.is_too_large(&scan),
            cache,
            scan,
        })
    }

    /// Returns the scan of the locations, of which there is at least one: over what is kept of them, or over
    /// themselves.
    async fn scan_kept_or_read(&self, scan: &LakeScan<'_>) -> Result<Arc<dyn ExecutionPlan>> {
        let filter = pushdown::row_filter(&scan.filters.iter().collect::<Vec<_>>());
        if let Some(cache) = &self.object_cache
            && let Some(scan) = kept::scan(cache, &self.input, &filter, scan).await?
        {
            return Ok(scan);
        }
        let request = BatchRequest {
            projection: scan.projection.to_vec(),
            filter,
            batch_rows: scan.batch_rows,
            limit: scan.limit,
            redact: false,
        };
        let partitions = scan.state.config().target_partitions();
        self.scan_locations(request, partitions)
    }

    fn scan_locations(
        &self,
        mut request: BatchRequest,
        partitions: usize,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = Arc::new(catalog().schema().project(&request.projection)?);
        let input = &self.input;
        let boundedness = match input.sources.boundedness(&input.locations) {
            Ok(source::Boundedness::Bounded) => Boundedness::Bounded,
            Ok(source::Boundedness::Unbounded) => Boundedness::Unbounded {
                requires_infinite_memory: false,
            },
            Err(error) => return Err(DataFusionError::External(Box::new(error))),
        };
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Incremental,
            boundedness,
        );
        let keys = pushdown::key_filter(&request.filter);
        let cache = self.cache_use(&request.projection, &keys);
        // What is kept is kept for other questions too, so that no row is left out.
        if cache.as_ref().is_some_and(|cache| cache.fills) {
            request.filter = RowFilter::default();
        }
        Ok(Arc::new(EventsExec {
            input: Arc::clone(&self.input),
            request,
            keys,
            cache,
            scan: Mutex::new(None),
            properties: Arc::new(properties),
        }))
    }

    /// The input.
    pub fn input(&self) -> &Arc<Input> {
        &self.input
    }
}

#[async_trait]
impl TableProvider for EventsTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(catalog().schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        // Any filter may tell that a file of a lake has no such row.
        let has_lakes = !self.input.lakes.is_empty();
        let support = |filter: &&Expr| match has_lakes || pushdown::is_useful(filter) {
            true => TableProviderFilterPushDown::Inexact,
            false => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(support).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let projection = match projection {
            Some(columns) => columns.clone(),
            None => (0..catalog().columns().len()).collect(),
        };
        let batch_rows = match projection.len() {
            ..=WIDE_COLUMNS => NARROW_ROWS,
            _ => WIDE_ROWS,
        };
        let mut scans = Vec::new();
        let scan = LakeScan {
            state,
            projection: &projection,
            filters,
            batch_rows,
            limit,
        };
        if !self.input.locations.is_empty() {
            scans.push(self.scan_kept_or_read(&scan).await?);
        }
        for lake in &self.input.lakes {
            scans.push(lake_table::scan(lake, &scan).await?);
        }
        if scans.len() > 1 {
            return UnionExec::try_new(scans);
        }
        match scans.pop() {
            Some(scan) => Ok(scan),
            None => {
                let schema = catalog().schema().project(&projection)?;
                Ok(Arc::new(EmptyExec::new(Arc::new(schema))))
            }
        }
    }
}

/// Reads and decodes, in as many threads as there are partitions; they take objects from one
/// source, so none is left with the large ones.
pub(super) struct EventsExec {
    input: Arc<Input>,
    request: BatchRequest,
    /// The objects that may hold a matching row.
    keys: KeyFilter,
    cache: Option<CacheUse>,
    scan: Mutex<Option<Arc<Scan>>>,
    properties: Arc<PlanProperties>,
}

/// The cache of a table, for one scan.
#[derive(Clone)]
struct CacheUse {
    cache: Arc<ColumnCache>,
    scan: ScanKey,
    /// Whether columns that are decoded are kept.
    fills: bool,
}

/// The parts that the partitions of one execution have in common.
struct Scan {
    pipeline: Pipeline,
    execution: Arc<Execution>,
    dedup: Option<Arc<Deduplicator>>,
    cache: Option<Arc<ScanCache>>,
    /// Streams that are not dropped. When all are, nothing is read any more.
    streams: AtomicUsize,
    rows: AtomicU64,
}

impl fmt::Debug for EventsExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_as(DisplayFormatType::Default, f)
    }
}

impl DisplayAs for EventsExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let locations: Vec<String> = self
            .input
            .locations
            .iter()
            .map(ToString::to_string)
            .collect();
        let columns: Vec<&str> = self
            .request
            .projection
            .iter()
            .map(|&column| &*catalog().columns()[column].name)
            .collect();
        write!(f, "EventsExec: sources=[{}]", locations.join(", "))?;
        write!(f, ", columns=[{}]", columns.join(", "))?;
        if !self.request.filter.is_empty() {
            write!(f, ", while_decoding={}", self.request.filter)?;
        }
        if self.keys.can_prune() {
            write!(f, ", objects_by_key={}", self.keys)?;
        }
        match &self.cache {
            Some(cache) if cache.fills => write!(f, ", cache=read and filled")?,
            Some(_) => write!(f, ", cache=read")?,
            None => {}
        }
        if let Some(limit) = self.request.limit {
            write!(f, ", limit={limit}")?;
        }
        Ok(())
    }
}

impl EventsExec {
    /// Returns whether it reads standard input.
    pub(super) fn reads_stdin(&self) -> bool {
        self.input.locations.iter().any(Location::is_stdin)
    }

    /// The scan, begun by the first partition that asks.
    fn scan(&self, context: &TaskContext) -> Result<Arc<Scan>> {
        let mut scan = self.scan.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(scan) = &*scan {
            return Ok(Arc::clone(scan));
        }
        let execution = match context.session_config().get_extension::<Execution>() {
            Some(execution) => execution.for_scan(),
            None => Arc::default(),
        };
        let cache = self.cache.as_ref().map(|it| {
            let columns = self.request.projection.clone();
            Arc::new(ScanCache::new(
                Arc::clone(&it.cache),
                it.scan.clone(),
                columns,
            ))
        });
        let open = OpenContext {
            from: None,
            reading: Reading::ToNow,
            follow: false,
            keys: self.keys.clone(),
            by_day: false,
            execution: Arc::clone(&execution),
            known: cache.clone().map(|cache| cache as Arc<dyn KnownObjects>),
        };
        let input = &self.input;
        let source = input.sources.open(&input.locations, &open);
        let source = source.map_err(|error| DataFusionError::External(Box::new(error)))?;
        let begun = Arc::new(Scan {
            pipeline: Pipeline::new(source, Arc::clone(&execution)),
            execution,
            dedup: input.dedup.then(Arc::default),
            cache,
            streams: AtomicUsize::new(0),
            rows: AtomicU64::new(0),
        });
        *scan = Some(Arc::clone(&begun));
        Ok(begun)
    }
}

impl ExecutionPlan for EventsExec {
    fn name(&self) -> &'static str {
        "EventsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![]
    }

    fn replace_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn reset_state(self: Arc<Self>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self {
            input: Arc::clone(&self.input),
            request: self.request.clone(),
            keys: self.keys.clone(),
            cache: self.cache.clone(),
            scan: Mutex::new(None),
            properties: Arc::clone(&self.properties),
        }))
    }

    fn execute(&self, _: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let scan = self.scan(&context)?;
        let mut builder = RecordBatchReceiverStreamBuilder::new(self.schema(), 2);
        let (batches, counted) = (builder.tx(), Arc::clone(&scan));
        let mut worker = DecodeWorker::new(
            &self.request,
            scan.dedup.clone(),
            Arc::clone(&scan.execution),
            move |batch| {
                counted.rows.fetch_add(batch.num_rows() as u64, Relaxed);
                batches.blocking_send(Ok(batch)).is_ok()
            },
        );
        let fills = self.cache.as_ref().is_some_and(|cache| cache.fills);
        if let Some(cache) = scan.cache.as_ref().filter(|_| fills) {
            worker = worker.with_recorder(&self.request, Arc::clone(cache) as _);
        }
        let open = OpenStream::new(scan);
        let running = Arc::clone(&open.0);
        builder.spawn_blocking(move || {
            let done = running.pipeline.run(&mut worker);
            done.map_err(|error| DataFusionError::External(Box::new(error)))
        });
        let stream = builder.build().inspect(move |_| {
            let _until_dropped = &open;
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            self.schema(),
            stream,
        )))
    }

    /// The scan's own figures, for `EXPLAIN ANALYZE`.
    fn metrics(&self) -> Option<MetricsSet> {
        let scan = self.scan.lock().unwrap_or_else(PoisonError::into_inner);
        let scan = scan.as_ref()?;
        let stats = &scan.execution.stats;
        let (records, rows) = (stats.records(), scan.rows.load(Relaxed));
        let metrics = ExecutionPlanMetricsSet::new();
        let add = |name: &'static str, value: u64| {
            let counter = MetricBuilder::new(&metrics).global_counter(name);
            counter.add(value as usize);
        };
        MetricBuilder::new(&metrics)
            .output_rows(0)
            .add(rows as usize);
        add("objects_read", stats.objects_read.load(Relaxed));
        add("objects_cached", stats.objects_cached.load(Relaxed));
        add("objects_pruned", stats.objects_pruned.load(Relaxed));
        add("folders_pruned", stats.folders_pruned.load(Relaxed));
        add("bytes_read", stats.bytes_read.load(Relaxed));
        add("bytes_inflated", stats.bytes_inflated.load(Relaxed));
        add("records", records);
        add("rows_left_out_while_decoding", records.saturating_sub(rows));
        add("duplicates", stats.duplicates.load(Relaxed));
        add("rejects", stats.rejects());
        Some(metrics.clone_inner())
    }
}

/// A stream of a scan that is not dropped.
struct OpenStream(Arc<Scan>);

impl OpenStream {
    fn new(scan: Arc<Scan>) -> Self {
        scan.streams.fetch_add(1, Relaxed);
        Self(scan)
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        if self.0.streams.fetch_sub(1, Relaxed) == 1 {
            self.0.pipeline.close();
        }
    }
}
