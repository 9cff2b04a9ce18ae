//! Errors of decoding files of a lake. The engine does not say which file it was; so those that the query
//! has read are read again.

use std::sync::Arc;

use datafusion::arrow::error::ArrowError;
use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;

use crate::error::Error;
use crate::execution::Execution;

/// Returns the rows of a query; if a damaged file ends them, the error names it.
pub(super) fn named(
    rows: SendableRecordBatchStream,
    execution: &Arc<Execution>,
) -> SendableRecordBatchStream {
    let (schema, execution) = (rows.schema(), Arc::clone(execution));
    let named = rows.then(move |batch| {
        let execution = Arc::clone(&execution);
        async move {
            match batch {
                Err(error) if reason(&error).is_some() => {
                    let looked = execution.stop().run_until_cancelled(execution.find_fault());
                    let fault = looked.await.flatten();
                    Err(fault.map_or(error, |fault| DataFusionError::External(fault.into())))
                }
                batch => batch,
            }
        }
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, named))
}

/// Translates an error of decoding a file that has no name.
pub(super) fn translate(error: &DataFusionError) -> Option<Error> {
    let reason = reason(error)?;
    let reason = reason.rsplit(": ").next().unwrap_or(&reason);
    Some(Error::io(format!(
        "a file of a lake is damaged: {reason}; `auroratrail lake verify` names it"
    )))
}

/// Returns what the Parquet reader says.
fn reason(error: &DataFusionError) -> Option<String> {
    match error.find_root() {
        DataFusionError::ParquetError(error) => Some(error.to_string()),
        DataFusionError::ArrowError(error, _) => match &**error {
            ArrowError::ParquetError(reason) => Some(reason.clone()),
            _ => None,
        },
        _ => None,
    }
}
