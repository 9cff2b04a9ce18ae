//! `auroratrail query`

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::begin::Rejects;
use super::exports::{check_exports, exports, finish_export};
use super::output::{self, Destination, Format, SharedDestination};
use super::overwrite::{NamedFiles, Output};
use super::progress::{KEEP_REJECTS, Progress, tell_notes};
use super::sql::{Sql, is_standard_input};
use super::{Interruption, NOTHING_READ, Opened, QueryArguments, report, words};
use crate::error::{Error, Result};
use crate::execution::Execution;
use crate::query::{Plan, QueryResult, Session, SessionOptions};
use crate::reject::RejectWriter;
use crate::source::Location;

pub(super) async fn run(
    arguments: QueryArguments,
    threads: usize,
    interruption: &Interruption,
) -> Result<ExitCode> {
    let options = output_options(&arguments)?;
    let (sql, mut opened) = understand(&arguments)?;
    let session = Session::new(SessionOptions {
        threads,
        memory_bytes: (arguments.memory as usize).saturating_mul(1 << 20),
        cache_bytes: 0,
    })?
    .with_exports(exports(&opened, &interruption.temporary, arguments.raw_csv));
    opened.find_lakes().await?;
    let Opened {
        sources, locations, ..
    } = &opened;
    let others = opened.lakes.others(locations);
    arguments.cache.check(&others)?;
    let session = session.with_object_cache(arguments.cache.find()?);
    session.add_events(opened.lakes.input(sources, locations, arguments.dedup))?;
    let plans = session.plan_all(&sql.text).await;
    let plans = plans.map_err(|error| sql.explain(error))?;
    for note in sql.note.iter().chain(plans.iter().flat_map(Plan::notes)) {
        eprintln!("auroratrail: note: {note}");
    }
    check_answers(&plans, &arguments, options.format)?;
    let reading = plans.iter().filter(|plan| plan.reads_events()).count();
    if reading > 1 && opened.locations.iter().any(|location| location.is_stdin()) {
        return Err(Error::query(format!(
            "standard input can be read only once, and {reading} statements read it; save it to a \
             file first"
        )));
    }
    let path = arguments.output.as_deref();
    let files = NamedFiles {
        opened: &opened,
        query: arguments.file.as_deref(),
        output: match path.filter(|path| !output::is_standard_output(path)) {
            Some(path) => Output::File(path),
            None => Output::Streamed,
        },
        rejects: arguments.input.rejects.as_deref(),
    };
    let Interruption { stop, temporary } = interruption;
    let temporary = files.check(temporary).await?;
    check_exports(&plans, &files)?;
    let rejects = match reading {
        0 => None,
        _ => {
            let rejects = Rejects::Replaced(&temporary);
            arguments.input.begin(&opened, rejects).await?
        }
    };
    let (out, target) = output::destination(path, options.format, &temporary)?;
    let mut answers = Answers {
        options,
        out: SharedDestination::new(out),
        rejects: rejects.as_ref().map(|file| Arc::clone(&file.writer)),
        rejected: 0,
        has_read: false,
        is_all_unreadable: false,
        told: None,
        has_answered: false,
    };
    for plan in plans {
        if plan.export_target().is_none() && std::mem::replace(&mut answers.has_answered, true) {
            answers.separate()?;
        }
        answers.carry_out(plan, stop).await?;
    }
    let is_all_unreadable = answers.is_all_unreadable;
    let rejected = answers.finish()?;
    // An answer about nothing is none: it does not take the place of an earlier one.
    if let Some(target) = target.filter(|_| !is_all_unreadable) {
        target.commit()?;
    }
    let code = arguments.input.finish(rejected, rejects)?;
    match is_all_unreadable {
        true => Err(Error::io(NOTHING_READ)),
        false => Ok(code),
    }
}

/// Checks that the options about answers are about some, and that their format can hold them.
fn check_answers(plans: &[Plan<'_>], arguments: &QueryArguments, format: Format) -> Result<()> {
    let answers = plans.iter().filter(|it| it.export_target().is_none());
    let answers = answers.count();
    let given = [
        (arguments.output.is_some(), "-o"),
        (arguments.format.is_some(), "--format"),
    ];
    let given = given.iter().find(|(is_given, _)| *is_given);
    if let (0, Some((_, option))) = (answers, given) {
        return Err(Error::config(format!(
            "COPY names its own file and format (TO 'x/' STORED AS PARQUET); leave out {option}, or give \
             a SELECT, whose answer it is about"
        )));
    }
    if answers > 1 && format.is_binary() {
        return Err(Error::config(format!(
            "{format:?} holds one result, and here are {answers} statements; choose another --format"
        )));
    }
    Ok(())
}

/// Reads the SQL, and parses the words that name the input.
fn understand(arguments: &QueryArguments) -> Result<(Sql, Opened)> {
    let (first, sources) = (arguments.sql.as_ref(), &arguments.sources);
    let Some(path) = &arguments.file else {
        let sql = first.ok_or_else(|| Error::config("give a query"))?;
        words::check_query(sql, sources)?;
        return Ok((Sql::new(sql), Opened::parse(sources)?));
    };
    let opened = Opened::parse(first.into_iter().chain(sources))?;
    let is_stdin = |location: &Location| is_standard_input(Path::new(&location.to_string()));
    if is_standard_input(path) && opened.locations.iter().any(is_stdin) {
        return Err(Error::config(
            "standard input cannot be both the query and a source; save one of them to a file first",
        ));
    }
    Ok((Sql::read(path)?, opened))
}

fn output_options(arguments: &QueryArguments) -> Result<output::OutputOptions> {
    let path = arguments.output.as_deref();
    let format = match (arguments.format, path) {
        (Some(format), _) => format,
        (None, Some(path)) => Format::for_file(path)?,
        (None, None) => Format::Table,
    };
    let width = match path {
        None => output::terminal_width(),
        Some(_) => None,
    };
    Ok(output::OutputOptions {
        format,
        raw_csv: arguments.raw_csv,
        width,
        color: width.is_some() && super::may_color(),
        zone: None,
        expanded: output::Expanded::Auto,
    })
}

/// The answers to the statements of one command, one after another.
struct Answers {
    options: output::OutputOptions,
    out: SharedDestination,
    rejects: Option<Arc<RejectWriter>>,
    /// Rejects of the statement that had most.
    rejected: u64,
    /// Whether a statement has read the input, so that its rejects are told and kept.
    has_read: bool,
    /// Whether a statement found its input and could read none of it.
    is_all_unreadable: bool,
    /// The last summary told.
    told: Option<String>,
    /// Whether a statement was answered by rows.
    has_answered: bool,
}

impl Answers {
    /// Sets two answers apart, where the format does not do so itself.
    fn separate(&mut self) -> Result<()> {
        use std::io::Write;
        if matches!(self.options.format, Format::Ndjson | Format::Json) {
            return Ok(());
        }
        self.out
            .writer()
            .write_all(b"\n")
            .or_else(|error| match error.kind() {
                std::io::ErrorKind::BrokenPipe => Ok(()),
                _ => Err(Error::io(format!("cannot write: {}", report::why(&error)))),
            })
    }

    /// Closes the output; returns the number of rejects.
    fn finish(self) -> Result<u64> {
        use std::io::Write;
        match self.out.writer().flush() {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(Error::io(format!("cannot write: {}", report::why(&error))))
            }
            _ => Ok(self.rejected),
        }
    }

    /// Carries out a statement: shows its answer, or puts its files in place.
    async fn carry_out(&mut self, plan: Plan<'_>, stop: &CancellationToken) -> Result<()> {
        let progress = Progress::new();
        let mut execution = Execution::new(stop.clone());
        // Statements about the same input meet the same rejects: once is enough.
        if plan.reads_events() && !std::mem::replace(&mut self.has_read, true) {
            execution = execution.with_reject_sink(Progress::messages(KEEP_REJECTS));
            if let Some(writer) = &self.rejects {
                execution = execution.with_reject_sink(Arc::clone(writer));
            }
        }
        let execution = Arc::new(execution);
        progress.watch(&execution);
        let done = match plan.export_target() {
            Some(_) => plan.export(&execution).await.map(Some),
            None => {
                let result = plan.start(&execution).await?;
                self.answer(result, &progress).await.map(|()| None)
            }
        };
        progress.finish();
        tell_notes(&execution);
        // What was read is told also of a query that failed or was stopped.
        let summary = report::summary(&execution.stats);
        if summary.is_some() && summary != self.told {
            eprintln!("auroratrail: {}", summary.as_deref().unwrap_or_default());
            self.told = summary;
        }
        self.rejected = self.rejected.max(execution.stats.rejects());
        let is_all_unreadable = execution.stats.is_all_unreadable();
        self.is_all_unreadable |= is_all_unreadable;
        match done? {
            Some(export) => finish_export(export, is_all_unreadable).await,
            None => Ok(()),
        }
    }

    async fn answer(&self, result: QueryResult, progress: &Progress) -> Result<()> {
        let mut out = self.out.writer();
        if self.options.width.is_some() {
            let name = out.name().to_owned();
            out = Destination::new(progress.clear_before(out), name);
        }
        let column_names = &result.column_names;
        let written = output::write(result.rows, column_names, &self.options, out).await;
        written.map(|_| ())
    }
}
