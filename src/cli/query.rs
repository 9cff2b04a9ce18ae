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
    let (sql, words) = match &arguments.file {
        Some(path) => {
            let sql = std::fs::read_to_string(path)
                .map_err(|error| Error::config(format!("reading {}: {error}", path.display())))?;
            (sql, &arguments.words[..])
        }
        None => match arguments.words.split_first() {
            Some((sql, words)) => (sql.clone(), words),
            None => return Err(Error::config("give a query")),
        },
    };
    let opened = arguments.input.open(words).await?;
    let stats = Arc::clone(&opened.stats);
    let input = Input {
        sources: opened.sources,
        locations: opened.locations,
        dedup: arguments.dedup,
        stats: Arc::clone(&stats),
    };
    let options = Options {
        threads,
        memory_bytes: (arguments.memory as usize).saturating_mul(1 << 20),
    };
    let session = Session::new(input, options)?;
    let progress = Progress::start(&stats);
    let answer = session.query(&sql).await?;
    for note in &answer.notes {
        progress.say(&format!("note: {note}"));
    }
    let path = arguments.output.as_deref();
    let format = arguments
        .format
        .or_else(|| path.and_then(Format::of_path))
        .unwrap_or(Format::Table);
    let options = output::Options {
        format,
        raw_csv: arguments.raw_csv,
        width: match path {
            None => output::terminal_width(),
            Some(_) => None,
        },
    };
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
