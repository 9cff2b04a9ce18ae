//! `record` over a lake: rebuilt from the record's columns.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray};
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::ProjectionExec;

use super::LakeScan;
use crate::events::columns::{ColumnClass, catalog};
use crate::events::rebuild;

/// The name of the column that is not stored.
const RECORD: &str = "record";

/// Returns the stored columns that a projection takes: its own and, with `record`, those of the
/// record.
pub(super) fn stored(projection: &[usize]) -> Vec<usize> {
    let is_record = |column: &usize| catalog().columns()[*column].path == RECORD;
    let mut columns: Vec<usize> = projection.to_vec();
    columns.retain(|column| !is_record(column));
    if columns.len() < projection.len() {
        let more = record_columns().filter(|column| !projection.contains(column));
        columns.extend(more);
    }
    columns
}

/// Adds `record` to a scan of [`stored`] columns, if it is asked for.
pub(super) fn rebuilt(
    scan: Arc<dyn ExecutionPlan>,
    asked: &LakeScan<'_>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = scan.schema();
    let columns = catalog().columns();
    if asked
        .projection
        .iter()
        .all(|&it| columns[it].path != RECORD)
    {
        return Ok(scan);
    }
    let column = |index: usize| -> Result<Arc<dyn PhysicalExpr>> {
        let column = Column::new_with_schema(&columns[index].name, &schema)?;
        Ok(Arc::new(column))
    };
    let mut exprs = Vec::new();
    for &index in asked.projection {
        let name = columns[index].name.clone();
        if name != RECORD {
            exprs.push((column(index)?, name));
            continue;
        }
        let rebuilt = ScalarFunctionExpr::new(
            NAME,
            Arc::new(ScalarUDF::new_from_impl(RebuildRecord {
                signature: Signature::variadic_any(Volatility::Immutable),
            })),
            record_columns().map(column).collect::<Result<_>>()?,
            Arc::new(catalog().schema().field(index).clone()),
            Arc::clone(asked.state.config().options()),
        );
        exprs.push((Arc::new(rebuilt), name));
    }
    Ok(Arc::new(ProjectionExec::try_new(exprs, scan)?))
}

/// Returns the columns that make up the record.
fn record_columns() -> impl Iterator<Item = usize> {
    let columns = catalog().columns().iter().enumerate();
    let own = columns.filter(|(_, column)| column.class == ColumnClass::Record);
    own.map(|(index, _)| index)
}

const NAME: &str = "rebuild_record";

/// The function that makes a record of its columns, all of them and in the catalog's order.
#[derive(Debug, PartialEq, Eq, Hash)]
struct RebuildRecord {
    signature: Signature,
}

impl ScalarUDFImpl for RebuildRecord {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let columns = args.args.iter().map(|column| column.to_array(rows));
        let columns: Vec<ArrayRef> = columns.collect::<Result<_>>()?;
        let indexes: Vec<usize> = record_columns().collect();
        let schema: SchemaRef = Arc::new(catalog().schema().project(&indexes)?);
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(schema, columns, &options)?;
        let records = (0..rows).map(|row| rebuild(&batch, row));
        Ok(ColumnarValue::Array(Arc::new(
            StringArray::from_iter_values(records),
        )))
    }
}
