//! Where input comes from: the line editor, a plain terminal, or a script.

use std::io::{BufRead, IsTerminal, Write};
use std::process::ExitCode;

use reedline::ExternalPrinter;

use super::line_editor::{Line, LineEditor};
use super::shell::{Next, Shell, complain};
use super::statements::{is_complete, take};
use super::survey::Survey;
use crate::cli::INTERRUPTED;
use crate::cli::report::why;
use crate::error::{Error, ErrorKind, Result};

/// Converses with a person until they leave.
///
/// # Errors
/// Io, if the terminal cannot be read.
pub(super) async fn interact(shell: &mut Shell) -> Result<ExitCode> {
    match LineEditor::is_possible() {
        true => converse(shell).await,
        false => converse_plainly(shell).await,
    }
}

/// Converses through the line editor.
async fn converse(shell: &mut Shell) -> Result<ExitCode> {
    let printer = ExternalPrinter::default();
    let (survey, completer) = Survey::new(shell, Some(printer.sender()));
    shell.survey = Some(survey);
    shell.renew_survey();
    shell.greet().await;
    let mut editor = LineEditor::new(shell.interrupts.leaving(), printer, completer);
    loop {
        match tokio::task::block_in_place(|| editor.read())? {
            Line::Text(text) => {
                if shell.run_text(&text, true).await? == Next::Quit {
                    return Ok(ExitCode::SUCCESS);
                }
                if let Some(begun) = shell.take_unfinished() {
                    editor.begin_with(&begun);
                }
            }
            Line::Cleared => {}
            Line::End => return Ok(ExitCode::SUCCESS),
            Line::Terminated => return Ok(ExitCode::from(INTERRUPTED)),
        }
    }
}

/// Converses line by line, on a terminal that can do no more.
async fn converse_plainly(shell: &mut Shell) -> Result<ExitCode> {
    let (survey, _) = Survey::new(shell, None);
    shell.survey = Some(survey);
    shell.renew_survey();
    shell.greet().await;
    let mut text = String::new();
    loop {
        let prompt = if text.is_empty() {
            PROMPT
        } else {
            CONTINUATION
        };
        print!("{prompt}");
        let _ = std::io::stdout().flush();
        let Some(line) = read_line()? else {
            println!();
            return Ok(ExitCode::SUCCESS);
        };
        if shell.interrupts.take_pressed() {
            text.clear();
        }
        text.push_str(&line);
        if !is_complete(&text) {
            continue;
        }
        let typed = std::mem::take(&mut text);
        if shell.run_text(&typed, true).await? == Next::Quit {
            return Ok(ExitCode::SUCCESS);
        }
        if let Some(begun) = shell.take_unfinished() {
            text = format!("{begun}\n");
        }
    }
}

/// Carries out a script from standard input; ends at its first fault, unless it is to keep going.
///
/// # Errors
/// The first fault, with its line.
pub(super) async fn run_script(shell: &mut Shell, keep_going: bool) -> Result<ExitCode> {
    let mut text = String::new();
    let (mut line_number, mut first_line) = (0, 1);
    let mut has_failed = false;
    loop {
        let line = read_line()?;
        let is_last = line.is_none();
        line_number += usize::from(!is_last);
        if text.trim().is_empty() {
            text.clear();
            first_line = line_number;
        }
        text.push_str(line.as_deref().unwrap_or_default());
        loop {
            let ran = match take(&text, is_last) {
                Some((piece, taken)) => {
                    text.drain(..taken);
                    shell.run(piece).await
                }
                None if is_last && shell.is_unfinished() => shell.run_unfinished().await,
                None => break,
            };
            match ran {
                Ok(Next::Quit) => return Ok(exit_code(has_failed)),
                Ok(Next::Go) => {}
                Err(error) if matches!(error.kind(), ErrorKind::Stopped) => return Err(error),
                Err(error) => {
                    let error = at_line(first_line, error);
                    if !keep_going {
                        return Err(error);
                    }
                    complain(&error);
                    has_failed = true;
                }
            }
            first_line = line_number;
        }
        if is_last {
            return Ok(exit_code(has_failed));
        }
    }
}

fn exit_code(has_failed: bool) -> ExitCode {
    match has_failed {
        true => ExitCode::from(2),
        false => ExitCode::SUCCESS,
    }
}

fn at_line(line: usize, error: Error) -> Error {
    let message = format!("line {line}: {error}");
    match error.kind() {
        ErrorKind::Query(_) => Error::query(message),
        _ => Error::io(message).caused_by(error),
    }
}

/// Reads a line with its end; `None` at the end of the input.
fn read_line() -> Result<Option<String>> {
    let mut line = Vec::new();
    let read = tokio::task::block_in_place(|| std::io::stdin().lock().read_until(b'\n', &mut line));
    match read {
        Ok(0) => Ok(None),
        Ok(_) => match String::from_utf8(line) {
            Ok(line) => Ok(Some(line.replace("\r\n", "\n"))),
            Err(_) => Err(Error::config(
                "a line of the statements is not UTF-8; save them as UTF-8",
            )),
        },
        Err(error) => {
            let name = match std::io::stdin().is_terminal() {
                true => "the terminal",
                false => "standard input",
            };
            Err(Error::io(format!("cannot read {name}: {}", why(&error))).caused_by(error))
        }
    }
}

/// The text before a statement's first line, and before its others.
pub(super) const PROMPT: &str = "auroratrail> ";
pub(super) const CONTINUATION: &str = "        ...> ";
