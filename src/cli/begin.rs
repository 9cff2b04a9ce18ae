//! The beginning of a command that reads all of its sources once.

use std::sync::Arc;

use super::overwrite::{NamedFiles, Output};
use super::progress::{KEEP_REJECTS, Progress};
use super::{InputArguments, Interruption, Opened, RejectFile};
use crate::error::Result;
use crate::execution::Execution;

/// An execution with its messages.
pub(super) struct Begun {
    pub(super) execution: Arc<Execution>,
    pub(super) progress: Progress,
    pub(super) rejects: Option<RejectFile>,
}

/// Checks that there is something to read and that no file of it is written, and begins.
///
/// # Errors
/// Config, if there is not, or if a file is.
pub(super) async fn begin(
    opened: &Opened,
    input: &InputArguments,
    interruption: &Interruption,
) -> Result<Begun> {
    let files = NamedFiles {
        opened,
        query: None,
        output: Output::AtTheEnd,
        rejects: input.rejects.as_deref(),
    };
    let Interruption { stop, temporary } = interruption;
    let temporary = files.check(temporary).await?;
    let rejects = input.begin(opened, &temporary).await?;
    let progress = Progress::new();
    let mut execution =
        Execution::new(stop.clone()).with_reject_sink(Progress::messages(KEEP_REJECTS));
    if let Some(file) = &rejects {
        execution = execution.with_reject_sink(Arc::clone(&file.writer));
    }
    let execution = Arc::new(execution);
    progress.watch(&execution);
    Ok(Begun {
        execution,
        progress,
        rejects,
    })
}
