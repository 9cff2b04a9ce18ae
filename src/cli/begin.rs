//! The beginning of a command that reads its sources, and the file of what it rejects.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;

use super::logs::{self, Level};
use super::output::{Target, TemporaryFiles};
use super::overwrite::{NamedFiles, Output};
use super::progress::{KEEP_REJECTS, Progress};
use super::{InputArguments, Interruption, Opened, report};
use crate::error::{Error, Result};
use crate::execution::Execution;
use crate::reject::RejectWriter;
use crate::sample::Sample;
use crate::source::Location;

/// An execution with its messages.
pub(super) struct Begun {
    pub(super) execution: Arc<Execution>,
    pub(super) progress: Progress,
    pub(super) rejects: Option<RejectFile>,
}

/// Checks that there is something to read and that no file of it is written, and begins. `goes_on` tells of a
/// command that takes up where an earlier run of it ended.
///
/// # Errors
/// Config, if there is not, or if a file is.
pub(super) async fn begin(
    opened: &Opened,
    input: &InputArguments,
    interruption: &Interruption,
    goes_on: bool,
) -> Result<Begun> {
    let files = NamedFiles {
        opened,
        query: None,
        output: Output::AtTheEnd,
        rejects: input.rejects.as_deref(),
    };
    let Interruption { stop, temporary } = interruption;
    let temporary = files.check(temporary).await?;
    let rejects = match goes_on {
        true => Rejects::Added,
        false => Rejects::Replaced(&temporary),
    };
    let rejects = input.begin(opened, rejects).await?;
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

/// The way that the file of rejects is written.
#[derive(Clone, Copy)]
pub(super) enum Rejects<'t> {
    /// As a whole at the end, in the place of a former one, by way of a temporary file.
    Replaced(&'t TemporaryFiles),
    /// Line by line after those of former runs: a run that goes on for long may be killed, and what it has
    /// committed is not read again.
    Added,
}

/// The file of rejects.
pub(super) struct RejectFile {
    pub(super) writer: Arc<RejectWriter>,
    pub(super) target: Target,
}

impl InputArguments {
    /// Checks that there is anything to read, and begins the file of rejects.
    pub(super) async fn begin(
        &self,
        opened: &Opened,
        rejects: Rejects<'_>,
    ) -> Result<Option<RejectFile>> {
        opened.check().await?;
        if opened.by_default {
            let events = Sample::parse("")?.events();
            // What is piped in is easily thought to be read.
            let hint = match std::io::stdin().is_terminal() {
                true => "",
                false => "; give - to read standard input",
            };
            let events = report::count(events);
            logs::say(
                Level::Info,
                &format!(
                    "no source given, so this is about {events} made-up events (sample:){hint}"
                ),
            );
        }
        if opened.locations.iter().any(Location::is_stdin) && std::io::stdin().is_terminal() {
            let message = "reading what is typed or pasted here, up to Ctrl-D";
            logs::say(Level::Info, message);
        }
        let Some(path) = &self.rejects else {
            return Ok(None);
        };
        let (target, writer) = match rejects {
            Rejects::Replaced(temporary) => {
                let (target, file) = Target::open(path, temporary)?;
                let out = std::io::BufWriter::new(file);
                (target, RejectWriter::new(out))
            }
            Rejects::Added => {
                let (target, file) = Target::append(path)?;
                (target, RejectWriter::new(file))
            }
        };
        Ok(Some(RejectFile {
            writer: Arc::new(writer),
            target,
        }))
    }

    /// Ends the file of rejects; returns the exit status of a command that was done.
    pub(super) fn finish(&self, rejects: u64, file: Option<RejectFile>) -> Result<ExitCode> {
        if let Some(RejectFile { writer, target }) = file {
            writer.finish().map_err(|error| {
                Error::io(format!("cannot write the rejects: {}", report::why(&error)))
                    .caused_by(error)
            })?;
            drop(writer);
            target.commit()?;
        }
        let strict = self.strict && rejects > 0;
        Ok(ExitCode::from(u8::from(strict)))
    }
}
