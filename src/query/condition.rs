//! A condition of SQL over the rows of `events`, checked batch by batch outside of a query.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use datafusion::arrow::compute::prep_null_mask_filter;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::DFSchema;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};

use super::table::Input;
use super::{Session, SessionOptions, pushdown, translate_error};
use crate::error::{Error, Result};
use crate::events::RowFilter;
use crate::events::columns::catalog;
use crate::events::family::{AURORA_SOURCES, OTHER_ENGINES};
use crate::lake::ingest::RowCondition;
use crate::lake::stored_columns;
use crate::source::{Sources, aws::AwsSettings};

/// A condition that was parsed and planned.
#[derive(Debug)]
pub struct Condition {
    check: Arc<dyn PhysicalExpr>,
    filter: RowFilter,
    schema: SchemaRef,
}

impl Condition {
    /// Parses a condition as it stands after WHERE, with names as in queries. It sees all columns but
    /// `record`.
    ///
    /// # Errors
    /// Query errors, as of [`Session::query`]; also for subqueries and aggregates, which are about
    /// more than one row.
    pub async fn parse(sql: &str) -> Result<Self> {
        let session = Session::new(SessionOptions {
            threads: 1,
            memory_bytes: 16 << 20,
            cache_bytes: 0,
        })?;
        session.add_events(Input {
            sources: Sources::new(AwsSettings::default()),
            locations: Vec::new(),
            lakes: Vec::new(),
            dedup: false,
        })?;
        let plan = session
            .plan(&format!("SELECT 1 FROM events WHERE (\n{sql}\n)"))
            .await?;
        let predicate = predicate(plan.analyzed()?).ok_or_else(|| {
            Error::query(format!(
                "`{sql}` is no condition on a row; expected what may stand after WHERE, without \
                 subqueries: eventSource = 'rds.amazonaws.com'"
            ))
        })?;
        let schema = catalog().schema().project(stored_columns());
        let schema = Arc::new(schema.expect("the catalog has the columns that are stored"));
        Ok(Self {
            filter: pushdown::row_filter(&[&predicate]),
            check: physical(&predicate, &schema)?,
            schema,
        })
    }

    /// The condition of `aurora_events`: the Aurora family, less what is known to be another engine.
    ///
    /// # Errors
    /// None but bugs.
    pub async fn aurora() -> Result<Self> {
        let list = |values: &[&str]| format!("'{}'", values.join("', '"));
        let (sources, others) = (list(&AURORA_SOURCES), list(&OTHER_ENGINES));
        Self::parse(&format!(
            "eventsource IN ({sources}) AND (engine IS NULL OR engine NOT IN ({others}))"
        ))
        .await
    }
}

impl RowCondition for Condition {
    fn filter(&self) -> RowFilter {
        self.filter.clone()
    }

    fn keep(&self, rows: &RecordBatch) -> Result<BooleanArray> {
        debug_assert_eq!(rows.num_columns(), self.schema.fields().len());
        let checked = self.check.evaluate(rows).map_err(translate_error)?;
        let checked = checked
            .into_array(rows.num_rows())
            .map_err(translate_error)?;
        let checked = checked.as_boolean();
        // NULL keeps no row, as in WHERE.
        Ok(match checked.null_count() {
            0 => checked.clone(),
            _ => prep_null_mask_filter(checked),
        })
    }
}

/// Takes the predicate out of `SELECT 1 FROM events WHERE predicate`.
fn predicate(plan: LogicalPlan) -> Option<Expr> {
    let LogicalPlan::Projection(projection) = plan else {
        return None;
    };
    match Arc::unwrap_or_clone(projection.input) {
        LogicalPlan::Filter(filter) if matches!(*filter.input, LogicalPlan::TableScan(_)) => {
            Some(filter.predicate)
        }
        _ => None,
    }
}

fn physical(predicate: &Expr, schema: &Schema) -> Result<Arc<dyn PhysicalExpr>> {
    let named = DFSchema::try_from_qualified_schema("events", schema).map_err(translate_error)?;
    create_physical_expr(predicate, &named, &Default::default(), &Default::default()).map_err(
        |error| match predicate
            .column_refs()
            .iter()
            .any(|column| column.name == "record")
        {
            true => {
                Error::query("the column record cannot be used here; name fields of it instead")
            }
            false => translate_error(error),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn fault(sql: &str) -> String {
        Condition::parse(sql).await.unwrap_err().to_string()
    }

    #[tokio::test]
    async fn conditions_are_about_one_row() {
        for sql in [
            "userIdentity.userName = 'anna' OR requestParameters.bucketName LIKE 'x%'",
            "eventTime > '2026-01-01' AND NOT readOnly",
            "is_denied -- denied",
        ] {
            Condition::parse(sql).await.unwrap();
        }
        assert!(fault("eventNam = 'x'").await.contains("eventName"));
        fault("count(*) > 1").await;
        assert!(
            fault("record LIKE '%x%'")
                .await
                .contains("record cannot be used")
        );
        for sql in [
            "true) UNION ALL SELECT 1 FROM events WHERE (true",
            "eventID IN (SELECT eventID FROM events)",
        ] {
            fault(sql).await;
        }
        assert!(!Condition::aurora().await.unwrap().filter().is_empty());
    }
}
