//! `auroratrail query`

use std::process::ExitCode;
use std::sync::Arc;

use super::output::{self, Format};
use super::progress::Progress;
use super::{QueryArguments, report};
use crate::error::{Error, Result};
use crate::query::table::Input;
use crate::query::{Options, Session};

pub(super) async fn run(arguments: QueryArguments, threads: usize) -> Result<ExitCode> {
    let (sql, first_source) = match (&arguments.file, &arguments.sql) {
        (Some(path), first) => {
            let sql = std::fs::read_to_string(path).map_err(|error| {
                Error::config(format!(
                    "cannot read {}: {}",
                    path.display(),
                    report::why(&error)
                ))
            })?;
            (sql, first.as_ref())
        }
        (None, Some(sql)) => (sql.clone(), None),
        (None, None) => return Err(Error::config("give a query")),
    };
    let words = first_source.into_iter().chain(&arguments.sources);
    let opened = arguments.input.open(words)?;
    let stats = Arc::clone(&opened.stats);
    let input = Input {
        sources: opened.sources.clone(),
        locations: opened.locations.clone(),
        dedup: arguments.dedup,
        stats: Arc::clone(&stats),
    };
    let options = Options {
        threads,
        memory_bytes: (arguments.memory as usize).saturating_mul(1 << 20),
    };
    let session = Session::new(input, options)?;
    let plan = session.plan(&sql).await?;
    for note in plan.notes() {
        eprintln!("auroratrail: note: {note}");
    }
    if plan.reads_events() {
        arguments.input.begin(&opened).await?;
    }
    let path = arguments.output.as_deref();
    let format = arguments
        .format
        .or_else(|| path.and_then(Format::of_path))
        .unwrap_or(Format::Table);
    let width = match path {
        None => output::terminal_width(),
        Some(_) => None,
    };
    let options = output::Options {
        format,
        raw_csv: arguments.raw_csv,
        width,
        color: width.is_some() && std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty()),
    };
    let progress = Progress::start(&stats);
    let answer = plan.start().await?;
    let mut out = output::destination(path, format)?;
    if options.width.is_some() {
        out = progress.give_way(out);
    }
    let written = output::write(answer.rows, &answer.titles, &options, out).await;
    progress.finish();
    written?;
    report::summary(&stats);
    arguments.input.finish(&stats)
}
