//! `auroratrail repl`: the prompt.
//!
//! ```text
//! keys ── line_editor ─┐                        ┌─ describe, record, timeline, source
//! lines of a terminal ─┼─> statements ──> shell ─┤
//! lines of a script ───┘    commands             └─ answer ──> output, pager
//! ```
//!
//! [`Shell`] carries out one piece of input at a time, wherever it comes from. Ctrl-C ends what it is
//! at, through [`Interrupts`], and leaves the prompt.

mod answer;
mod commands;
mod completion;
mod describe;
mod editor;
mod highlight;
mod interrupts;
mod line_editor;
mod lines;
mod record;
mod settings;
mod shell;
mod source;
mod state;
mod statements;
mod survey;
mod timeline;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;

use tokio_util::task::AbortOnDropHandle;

use super::output::TemporaryFiles;
use super::{Opened, ReplArguments};
use crate::error::{Error, Result};
use crate::source::Location;
use interrupts::Interrupts;
use shell::Shell;

/// Runs the prompt, or the script on standard input, to its end.
pub(super) async fn run(arguments: ReplArguments, threads: usize) -> Result<ExitCode> {
    let mut opened = Opened::parse(&arguments.sources)?;
    opened.find_lakes().await?;
    if opened.locations.iter().any(Location::is_stdin) {
        return Err(Error::config(
            "standard input cannot be both the statements and a source; save the events to a file first",
        ));
    }
    let temporary = TemporaryFiles::default();
    let is_interactive = std::io::stdin().is_terminal();
    let interrupts = Arc::new(Interrupts::new(is_interactive, temporary.clone()));
    let obeyed = Arc::clone(&interrupts);
    let _signals = AbortOnDropHandle::new(tokio::spawn(async move { obeyed.obey().await }));
    let mut shell = Shell::new(&arguments, threads, opened, interrupts, temporary)?;
    let code = match is_interactive {
        true => lines::interact(&mut shell).await?,
        false => lines::run_script(&mut shell, arguments.keep_going).await?,
    };
    shell.finish()?;
    Ok(code)
}
