//! Sources as the table `events`: what a query asks for is what is read and decoded.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, plan_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
    ReplaceChildrenOptions,
};
use tokio::runtime::Handle;
use tokio::sync::mpsc::Sender;

use super::pushdown;
use crate::envelope::{Extractor, Record, RecordSink, Taken};
use crate::events::columns::catalog;
use crate::events::{Decoder, Deduplicator, RowFilter};
use crate::source::{Location, Reads, Scan, Sources};
use crate::stats::{Reject, Stats};

/// Columns in a batch beyond which it gets fewer rows, so that a query of everything stays small.
const WIDE_COLUMNS: usize = 64;

/// Rows of a batch that is not.
const NARROW_ROWS: usize = 8192;

/// Rows of a batch that is wide.
const WIDE_ROWS: usize = 4096;

/// Where the rows of `events` come from.
#[derive(Debug)]
pub struct Input {
    /// Connections and credentials.
    pub sources: Sources,
    /// What to read.
    pub locations: Vec<Location>,
    /// Count the same event once.
    pub dedup: bool,
    /// Counts of the first scan; a query that reads the table twice counts once.
    pub stats: Arc<Stats>,
}

/// The table `events` over files, objects and the like.
#[derive(Debug)]
pub struct EventsTable {
    input: Arc<Input>,
    scans: AtomicUsize,
}

impl EventsTable {
    /// A table over `input`.
    pub fn new(input: Input) -> Self {
        Self {
            input: Arc::new(input),
            scans: AtomicUsize::new(0),
        }
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
        let support = |filter: &&Expr| match pushdown::is_useful(filter) {
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
        let first = self.scans.fetch_add(1, Relaxed) == 0;
        let stdin = |location: &Location| matches!(location, Location::Stdin);
        if !first && self.input.locations.iter().any(stdin) {
            return plan_err!(
                "standard input can be read only once, and this query reads events several times; \
                 save it to a file first"
            );
        }
        let columns = match projection {
            Some(columns) => columns.clone(),
            None => (0..catalog().columns().len()).collect(),
        };
        let schema = Arc::new(catalog().schema().project(&columns)?);
        let config = state.config();
        let rows = match columns.len() {
            ..=WIDE_COLUMNS => NARROW_ROWS,
            _ => WIDE_ROWS,
        };
        let filters: Vec<&Expr> = filters.iter().collect();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(config.target_partitions()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Ok(Arc::new(EventsExec {
            stats: match first {
                true => Arc::clone(&self.input.stats),
                false => Arc::default(),
            },
            input: Arc::clone(&self.input),
            columns,
            filter: pushdown::row_filter(&filters),
            rows,
            limit,
            shared: OnceLock::new(),
            properties: Arc::new(properties),
        }))
    }
}

/// Reads and decodes, in as many threads as there are partitions; they take objects from one queue,
/// so none is left with the large ones.
struct EventsExec {
    input: Arc<Input>,
    stats: Arc<Stats>,
    columns: Vec<usize>,
    filter: RowFilter,
    rows: usize,
    limit: Option<usize>,
    shared: OnceLock<Shared>,
    properties: Arc<PlanProperties>,
}

/// What the partitions of one execution have in common.
struct Shared {
    reads: Reads,
    seen: Option<Arc<Deduplicator>>,
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
            .columns
            .iter()
            .map(|&column| &*catalog().columns()[column].name)
            .collect();
        write!(f, "EventsExec: sources=[{}]", locations.join(", "))?;
        write!(f, ", columns=[{}]", columns.join(", "))?;
        if !self.filter.is_empty() {
            write!(f, ", while_decoding={}", self.filter)?;
        }
        if let Some(limit) = self.limit {
            write!(f, ", limit={limit}")?;
        }
        Ok(())
    }
}

impl EventsExec {
    fn start(&self) -> Shared {
        let scan = Scan {
            locations: self.input.locations.clone(),
            wanted: pushdown::wanted(&self.filter),
            stats: Arc::clone(&self.stats),
        };
        Shared {
            reads: Reads::start(&self.input.sources, scan, &Handle::current()),
            seen: self.input.dedup.then(Arc::default),
        }
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
            stats: Arc::default(),
            columns: self.columns.clone(),
            filter: self.filter.clone(),
            rows: self.rows,
            limit: self.limit,
            shared: OnceLock::new(),
            properties: Arc::clone(&self.properties),
        }))
    }

    fn execute(&self, _: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let shared = self.shared.get_or_init(|| self.start());
        let reads = shared.reads.clone();
        let mut builder = RecordBatchReceiverStreamBuilder::new(self.schema(), 2);
        let rows = Rows {
            decoder: Decoder::new(&self.columns, self.filter.clone(), self.rows),
            seen: shared.seen.clone(),
            stats: Arc::clone(&self.stats),
            batches: builder.tx(),
            limit: self.limit.unwrap_or(usize::MAX),
        };
        builder.spawn_blocking(move || rows.read(&reads));
        Ok(builder.build())
    }
}

/// Records in, batches to whoever executes the partition.
struct Rows {
    decoder: Decoder,
    seen: Option<Arc<Deduplicator>>,
    stats: Arc<Stats>,
    batches: Sender<Result<RecordBatch>>,
    limit: usize,
}

impl Rows {
    fn read(mut self, reads: &Reads) -> Result<()> {
        let mut extractor = Extractor::default();
        while let Some(payload) = reads.next_blocking() {
            let outcome = extractor.extract(payload, &mut self);
            outcome.add_to(&self.stats);
            if outcome.stopped {
                return Ok(());
            }
        }
        self.flush();
        let mismatches = self.decoder.take_type_mismatches();
        let count = mismatches.iter().map(|mismatch| mismatch.count).sum();
        self.stats.type_mismatches.fetch_add(count, Relaxed);
        Ok(())
    }

    /// Hands on what is decoded; tells whether more is wanted.
    fn flush(&mut self) -> Taken {
        let batch = match self.decoder.finish() {
            Ok(Some(batch)) => Ok(batch),
            Ok(None) => return Taken::Row,
            Err(error) => Err(error.into()),
        };
        let rows = batch.as_ref().map_or(0, RecordBatch::num_rows);
        self.limit = self.limit.saturating_sub(rows);
        match self.batches.blocking_send(batch) {
            Ok(()) if self.limit > 0 => Taken::Row,
            _ => Taken::Enough,
        }
    }
}

impl RecordSink for Rows {
    fn record(&mut self, record: &Record<'_>) -> Taken {
        if self.seen.as_ref().is_some_and(|seen| !seen.insert(record)) {
            return Taken::Duplicate;
        }
        match self.decoder.push(record) || self.decoder.rows() >= self.limit {
            true => self.flush(),
            false => Taken::Row,
        }
    }

    fn not_cloudtrail(&mut self, kind: &'static str, count: u64) {
        self.stats.not_cloudtrail(kind, count);
    }

    fn reject(&mut self, reject: &Reject<'_>) {
        self.stats.reject(reject);
    }
}
