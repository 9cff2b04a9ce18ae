//! Errors of decoding files of a lake, and panics of the decoder. The engine does not say which file it was; so
//! those that the query has read are read again.

use std::any::Any;
use std::sync::Arc;

use datafusion::arrow::error::ArrowError;
use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;
use futures::stream::unfold;

use crate::decoding::caught;
use crate::error::Error;
use crate::execution::Execution;

/// Returns the rows of a query; if a damaged file ends them, the error names it.
pub(super) fn named(
    rows: SendableRecordBatchStream,
    execution: &Arc<Execution>,
) -> SendableRecordBatchStream {
    let (schema, execution) = (rows.schema(), Arc::clone(execution));
    let named = unfold((Some(rows), execution), async |(rows, execution)| {
        let mut rows = rows?;
        let error = match caught(rows.next()).await {
            Ok(Some(Err(error))) if reason(&error).is_some() => error,
            Ok(batch) => return batch.map(|batch| (batch, (Some(rows), execution))),
            Err(panic) => DataFusionError::External(panicked(&*panic).into()),
        };
        let looked = execution.stop().run_until_cancelled(execution.find_fault());
        let fault = looked.await.flatten();
        let error = fault.map_or(error, |fault| DataFusionError::External(fault.into()));
        Some((Err(error), (None, execution)))
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, named))
}

/// Returns the error of a thread of the query that panicked, for a reason other than a damaged file.
fn panicked(panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    Error::bug(format!(
        "a thread of the query panicked: {}",
        text.unwrap_or("without a reason")
    ))
}

/// Translates an error of decoding a file that has no name.
pub(super) fn translate(error: &DataFusionError) -> Option<Error> {
    let reason = reason(error)?;
    let reason = without_headings(&reason);
    Some(Error::io(format!(
        "a file of a lake is damaged: {reason}; `auroratrail lake verify` names it"
    )))
}

/// Returns what the Parquet reader says, without its headings, and no more than a line of it.
pub(super) fn without_headings(text: &str) -> String {
    let after = |heading: &&str| Some(text.rfind(heading)? + heading.len());
    let text = &text[HEADINGS.iter().filter_map(after).max().unwrap_or(0)..];
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

const HEADINGS: &[&str] = &[
    "Parquet error: ",
    "Parquet argument error: ",
    "ParquetError: ",
    "Arrow error: ",
    "Arrow: ",
    "External: ",
    "EOF: ",
    "NYI: ",
];

/// The most characters of a reason: some have whole schemas in them.
const LONGEST: usize = 200;

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
