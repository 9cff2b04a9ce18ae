//! The state of the prompt, and the way of one piece of input through it.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;

use super::answer::LastAnswer;
use super::commands::{self, Command};
use super::interrupts::Interrupts;
use super::settings::{Route, Settings};
use super::source::Inputs;
use super::state;
use super::statements::{Typed, split};
use super::survey::Survey;
use crate::cli::exports::exports;
use crate::cli::output::{Expanded, TemporaryFiles};
use crate::cli::pager::Paged;
use crate::cli::sql::Sql;
use crate::cli::{Opened, ReplArguments};
use crate::error::{Error, Result};
use crate::query::{Session, SessionOptions};

/// A session with its settings, and what was asked last.
pub(super) struct Shell {
    pub(super) session: Session,
    pub(super) inputs: Inputs,
    pub(super) settings: Settings,
    pub(super) interrupts: Arc<Interrupts>,
    pub(super) temporary: TemporaryFiles,
    /// The last statement, which `\g`, `\watch`, `\e` and `\save` are about.
    pub(super) last_statement: Option<String>,
    pub(super) last_answer: LastAnswer,
    /// Whether a person is at the other end.
    pub(super) is_interactive: bool,
    /// Whether a statement has read the sources, so that their rejects have been told.
    pub(super) has_read: bool,
    /// The last summary of an input, told once.
    pub(super) told: Option<String>,
    /// Facts about the data, for completion and the greeting; none in a script.
    pub(super) survey: Option<Survey>,
    /// A statement that a command interrupted, which the next input goes on with.
    unfinished: Option<String>,
    /// Files of statements that are being run, one within the other.
    including: Vec<PathBuf>,
}

/// What follows a piece of input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// More input.
    Go,
    /// The end of the prompt.
    Quit,
}

impl Shell {
    /// Sets up a session over what was given on the command line. Nothing is read yet.
    pub(super) fn new(
        arguments: &ReplArguments,
        threads: usize,
        opened: Opened,
        interrupts: Arc<Interrupts>,
        temporary: TemporaryFiles,
    ) -> Result<Self> {
        let session = Session::new(SessionOptions {
            threads,
            memory_bytes: (arguments.memory as usize).saturating_mul(1 << 20),
            cache_bytes: match arguments.dedup {
                // A copy that is left out would have to be left out of what is kept, too.
                true => 0,
                false => arguments.cache_memory,
            },
        })?
        .with_exports(exports(&opened, &temporary, false))
        .with_object_cache(arguments.cache.find()?);
        let inputs = Inputs::new(opened, arguments.dedup);
        let shell = Self {
            session,
            inputs,
            settings: Settings::default(),
            interrupts,
            temporary,
            last_statement: None,
            last_answer: LastAnswer::default(),
            is_interactive: std::io::stdin().is_terminal(),
            has_read: false,
            told: None,
            survey: None,
            unfinished: None,
            including: Vec::new(),
        };
        shell.add_events()?;
        Ok(shell)
    }

    /// Carries out all of `text`. After a fault of one piece the others go on, if a person has typed
    /// them; in a script the fault is returned.
    ///
    /// # Errors
    /// The fault of a piece.
    pub(super) async fn run_text(&mut self, text: &str, keep_going: bool) -> Result<Next> {
        let ran = self.run_pieces(text, keep_going).await;
        self.renew_vocabulary();
        ran
    }

    async fn run_pieces(&mut self, text: &str, keep_going: bool) -> Result<Next> {
        for piece in split(text) {
            match Box::pin(self.run(piece)).await {
                Ok(Next::Quit) => return Ok(Next::Quit),
                Ok(Next::Go) => {}
                Err(error) if keep_going => complain(&error),
                Err(error) => return Err(error),
            }
        }
        Ok(Next::Go)
    }

    /// Carries out one piece of input.
    ///
    /// # Errors
    /// Its fault, in words for the one who typed it.
    pub(super) async fn run(&mut self, typed: Typed) -> Result<Next> {
        match typed {
            Typed::Statement(sql) => {
                let sql = self.go_on_with(sql);
                let route = self.settings.route();
                self.ask(sql, &route).await?;
                Ok(Next::Go)
            }
            Typed::Command(line) => self.command(Command::parse(&line)?).await,
            Typed::Both(sql, line) => {
                let sql = self.go_on_with(sql);
                let command = Command::parse(&line);
                match &command {
                    Ok(command) if command.is_about_statement() => self.last_statement = Some(sql),
                    _ => self.unfinished = Some(sql),
                }
                self.command(command?).await
            }
        }
    }

    /// Returns a statement with what was typed of it before a command.
    fn go_on_with(&mut self, sql: String) -> String {
        match self.unfinished.take() {
            Some(begun) => format!("{begun}\n{sql}"),
            None => sql,
        }
    }

    /// Takes a statement that a command interrupted, to go on with it.
    pub(super) fn take_unfinished(&mut self) -> Option<String> {
        self.unfinished.take()
    }

    /// Runs a statement that a command interrupted, at the end of what can go on with it.
    ///
    /// # Errors
    /// Its fault.
    pub(super) async fn run_unfinished(&mut self) -> Result<Next> {
        match self.take_unfinished() {
            Some(sql) => self.run(Typed::Statement(sql)).await,
            None => Ok(Next::Go),
        }
    }

    /// Returns whether a statement that a command interrupted is to be gone on with.
    pub(super) fn is_unfinished(&self) -> bool {
        self.unfinished.is_some()
    }

    async fn command(&mut self, command: Command) -> Result<Next> {
        match command {
            Command::Quit => return Ok(Next::Quit),
            Command::Help => self.print_paged(&commands::help())?,
            Command::Describe { table: None, .. } => self.list_tables().await?,
            Command::Describe {
                table: Some(table),
                pattern,
            } => self.describe(&table, pattern.as_deref()).await?,
            Command::Functions { pattern } => self.list_functions(pattern.as_deref()).await?,
            Command::Record(row) => self.show_record(row).await?,
            Command::Timeline(identifier) => self.show_timeline(&identifier).await?,
            Command::Source(words) => self.change_sources(&words).await?,
            Command::Go { to, expanded } => self.go(to, expanded).await?,
            Command::Watch(pause) => self.watch(pause).await?,
            Command::Explain(sql) => self.explain(sql).await?,
            Command::Edit(path) => return self.edit(path).await,
            Command::Include(path) => return self.include(&path).await,
            Command::Save(name) => self.save(&name)?,
            Command::Queries(name) => return self.queries(name).await,
            Command::Expanded(word) => self.set_expanded(word.as_deref())?,
            Command::Format(word) => self.set_format(word.as_deref())?,
            Command::Output(path) => self.set_output(path).await?,
            Command::Zone(name) => self.set_zone(name)?,
            Command::Timing(timing) => self.set_timing(timing),
        }
        Ok(Next::Go)
    }

    async fn go(&mut self, to: Option<String>, expanded: bool) -> Result<()> {
        let sql = self.statement()?;
        let route = match to {
            Some(path) => Route::Once(path.into()),
            None => self.settings.route(),
        };
        if !expanded {
            return self.ask(sql, &route).await;
        }
        let before = std::mem::replace(&mut self.settings.expanded, Expanded::On);
        let asked = self.ask(sql, &route).await;
        self.settings.expanded = before;
        asked
    }

    async fn explain(&mut self, sql: Option<String>) -> Result<()> {
        let sql = match sql {
            Some(sql) => sql,
            None => self.statement()?,
        };
        let kept = self.last_statement.take();
        let route = self.settings.route();
        let asked = self.ask(format!("EXPLAIN {sql}"), &route).await;
        self.last_statement = kept.or(Some(sql));
        asked
    }

    /// Runs the statements of a file.
    async fn include(&mut self, path: &str) -> Result<Next> {
        let path = PathBuf::from(path);
        if self.including.len() >= MOST_INCLUDED {
            return Err(Error::query(format!(
                "{} is run by a file that it runs itself",
                path.display()
            )));
        }
        let sql = Sql::read(&path)?;
        self.including.push(path.clone());
        let mut ran = Box::pin(self.run_text(&sql.text, false)).await;
        if matches!(ran, Ok(Next::Go)) {
            ran = Box::pin(self.run_unfinished()).await;
        }
        self.including.pop();
        ran.map_err(|error| Error::query(format!("{}: {error}", path.display())))
    }

    /// Keeps the last statement under a name.
    fn save(&mut self, name: &str) -> Result<()> {
        let sql = self.statement()?;
        let path = state::save_query(name, &sql)?;
        self.say(&format!(
            "saved as {}; \\queries {name} runs it",
            path.display()
        ));
        Ok(())
    }

    /// Lists the statements that are kept, or runs one.
    async fn queries(&mut self, name: Option<String>) -> Result<Next> {
        match name {
            Some(name) => {
                let sql = state::saved_query(&name)?;
                self.say(&sql);
                Box::pin(self.run_text(&sql, false)).await
            }
            None => {
                let queries = state::saved_queries()?;
                if queries.is_empty() {
                    self.say("no statement is saved yet; \\save NAME keeps the last one");
                } else {
                    let (names, texts) = queries.into_iter().unzip();
                    self.show(vec![("name", names), ("statement", texts)])
                        .await?;
                }
                Ok(Next::Go)
            }
        }
    }

    /// Returns the last statement.
    ///
    /// # Errors
    /// Query, if there is none.
    pub(super) fn statement(&self) -> Result<String> {
        let last = self.last_statement.clone();
        last.ok_or_else(|| Error::query("there is no statement yet; type one before the command"))
    }

    /// Tells a person something that is no part of an answer.
    pub(super) fn say(&self, message: &str) {
        if self.is_interactive {
            eprintln!("{message}");
        }
    }

    /// Writes text to the screen.
    pub(super) fn print(&self, text: &str) -> Result<()> {
        written_to_screen(std::io::stdout().lock().write_all(text.as_bytes()))
    }

    /// Writes text to the screen, through the pager if it is long.
    pub(super) fn print_paged(&self, text: &str) -> Result<()> {
        if !self.is_interactive {
            return self.print(text);
        }
        let mut out = Paged::on_stdout();
        let written = out.write_all(text.as_bytes()).and_then(|()| out.finish());
        written_to_screen(written)
    }

    /// Puts files in place that answers were written to.
    ///
    /// # Errors
    /// Io, if that fails.
    pub(super) fn finish(mut self) -> Result<()> {
        self.close_output()
    }
}

/// Returns the fault of writing to the screen; that nobody reads it is none.
fn written_to_screen(written: std::io::Result<()>) -> Result<()> {
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Error::io(format!(
            "cannot write: {}",
            crate::cli::report::why(&error)
        ))),
        _ => Ok(()),
    }
}

/// Tells the fault of a statement.
pub(super) fn complain(error: &Error) {
    eprintln!("auroratrail: {error}");
}

/// Most files of statements that run each other.
const MOST_INCLUDED: usize = 16;
