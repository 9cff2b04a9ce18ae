//! The table of a standing query: one batch of events, and then the next.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
    ReplaceChildrenOptions,
};

use crate::events::RowFilter;
use crate::events::columns::catalog;
use crate::query::pushdown;

/// A batch of events on its way into a plan.
#[derive(Debug, Default)]
pub(super) struct Feed {
    batch: Mutex<Option<RecordBatch>>,
    /// The columns of the batches, as indexes into the catalog.
    columns: OnceLock<Vec<usize>>,
}

impl Feed {
    /// Makes `batch` the rows of the table.
    pub(super) fn set(&self, batch: RecordBatch) {
        *self.batch.lock().unwrap_or_else(PoisonError::into_inner) = Some(batch);
    }

    /// Notes the columns that all batches have.
    pub(super) fn set_columns(&self, columns: Vec<usize>) {
        // A query is planned once.
        let _ = self.columns.set(columns);
    }

    fn project(&self, wanted: &[usize]) -> Result<Option<RecordBatch>> {
        let batch = self.batch.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(batch) = &*batch else {
            return Ok(None);
        };
        let have = self.columns.get().map(Vec::as_slice).unwrap_or_default();
        let place = |column: &usize| {
            have.binary_search(column).map_err(|_| {
                DataFusionError::Internal("a column of events is not in the batch".to_owned())
            })
        };
        let places = wanted.iter().map(place).collect::<Result<Vec<_>>>()?;
        Ok(Some(batch.project(&places)?))
    }
}

/// The table `events` of standing queries.
#[derive(Debug, Default)]
pub(super) struct FeedTable {
    feed: Arc<Feed>,
}

#[async_trait]
impl TableProvider for FeedTable {
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
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let columns = match projection {
            Some(columns) => columns.clone(),
            None => (0..catalog().columns().len()).collect(),
        };
        let schema = Arc::new(catalog().schema().project(&columns)?);
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Ok(Arc::new(FeedExec {
            feed: Arc::clone(&self.feed),
            columns,
            filter: pushdown::row_filter(&filters.iter().collect::<Vec<_>>()),
            properties: Arc::new(properties),
        }))
    }
}

/// The batch that is in the feed.
#[derive(Debug)]
pub(super) struct FeedExec {
    feed: Arc<Feed>,
    columns: Vec<usize>,
    filter: RowFilter,
    properties: Arc<PlanProperties>,
}

impl FeedExec {
    /// The columns that this scan needs, as indexes into the catalog.
    pub(super) fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// The rows that this scan needs.
    pub(super) fn filter(&self) -> &RowFilter {
        &self.filter
    }
}

/// Calls `each` for the scans of events in a plan.
pub(super) fn visit(plan: &Arc<dyn ExecutionPlan>, each: &mut dyn FnMut(&FeedExec)) {
    if let Some(scan) = plan.downcast_ref::<FeedExec>() {
        each(scan);
    }
    for child in plan.children() {
        visit(child, each);
    }
}

/// Returns the feed of a plan, `None` if it reads no events.
pub(super) fn feed_of(plan: &Arc<dyn ExecutionPlan>) -> Option<Arc<Feed>> {
    let mut found = None;
    visit(plan, &mut |scan| found = Some(Arc::clone(&scan.feed)));
    found
}

impl DisplayAs for FeedExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FeedExec")
    }
}

impl ExecutionPlan for FeedExec {
    fn name(&self) -> &'static str {
        "FeedExec"
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
        // Its state is the feed's, which is set for each run.
        Ok(self)
    }

    fn execute(&self, _: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let batch = self.feed.project(&self.columns)?;
        let stream = futures::stream::iter(batch.map(Ok));
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            self.schema(),
            stream,
        )))
    }
}
