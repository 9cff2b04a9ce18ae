//! `auroratrail watch`: a query that does not end.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::Mutex;

use clap::Args;

use super::begin::{Begun, begin};
use super::logs::{self, Level};
use super::monitor::{Monitor, MonitorArguments};
use super::output::{self, Destination, Format, SharedDestination};
use super::sql::Sql;
use super::{InputArguments, Interruption, NOTHING_READ, Opened, report, words};
use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::pipeline::ProgressWatch;
use crate::query::{Session, SessionOptions, StandingQuery};
use crate::source::{OpenContext, Reading};
use crate::stream::{CheckpointFile, Watch, watch};

/// Print events that match as they arrive, until Ctrl-C
///
/// The query names columns, conditions and joins with static tables; grouping and sorting have no answer
/// before the last event. Live sources are read from now on, or from where the checkpoint says.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct WatchArguments {
    /// The query; with -f there is none here, and all words are sources
    #[arg(value_name = "SQL", required_unless_present = "file")]
    sql: Option<String>,

    /// Where to read: kinesis://stream and the like; files and s3:// are read to their end
    #[arg(value_name = "SOURCE")]
    sources: Vec<String>,

    /// Read the query from a file
    #[arg(short, long, value_name = "FILE")]
    pub(super) file: Option<PathBuf>,

    /// How to write the rows
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,

    /// Leave CSV cells as they are, also those that a spreadsheet would run as a formula
    #[arg(long)]
    raw_csv: bool,

    /// A small file to join with, in memory: owners=owners.csv (also .tsv, .ndjson, .parquet)
    #[arg(long = "table", value_name = "NAME=FILE", value_parser = parse_table)]
    tables: Vec<StaticTable>,

    /// Follow local files as they grow: NDJSON, a line each; renamed and emptied files too
    #[arg(long)]
    follow: bool,

    /// Keep in this file how far the rows were written, and go on there the next time
    #[arg(long, value_name = "FILE")]
    pub(super) checkpoint: Option<PathBuf>,

    #[command(flatten)]
    pub(super) input: InputArguments,

    #[command(flatten)]
    pub(super) monitor: MonitorArguments,
}

/// A static table, as it was named.
#[derive(Clone, Debug)]
pub(super) struct StaticTable {
    name: String,
    path: PathBuf,
}

/// Parses `NAME=FILE`.
pub(super) fn parse_table(text: &str) -> Result<StaticTable, String> {
    match text.split_once('=') {
        Some((name, path)) if !name.is_empty() && !path.is_empty() => Ok(StaticTable {
            name: name.to_owned(),
            path: path.into(),
        }),
        _ => Err("expected NAME=FILE, as in owners=owners.csv".to_owned()),
    }
}

/// Adds static tables to a session.
///
/// # Errors
/// As of [`Session::add_static_table`].
pub(super) async fn add_tables(session: &Session, tables: &[StaticTable]) -> Result<()> {
    for StaticTable { name, path } in tables {
        session.add_static_table(name, path).await?;
    }
    Ok(())
}

const EXAMPLES: &str = "\
Examples:
  auroratrail watch \"SELECT eventTime, actor, eventName, db_identifier FROM aurora_events
                     WHERE is_denied\" kinesis://trail-stream
  auroratrail watch \"SELECT e.eventTime, e.eventName, o.team FROM aurora_events e
                     LEFT JOIN owners o ON o.db = e.db_identifier WHERE NOT e.readOnly\" \\
                     kinesis://trail-stream --table owners=owners.csv --format ndjson \\
                     --checkpoint watch.json

Exit status: 0 done; 1 done, but --strict was given and something was rejected; 2 could not;
130 interrupted.";

pub(super) async fn run(
    arguments: WatchArguments,
    threads: usize,
    interruption: &Interruption,
) -> Result<ExitCode> {
    let (sql, opened) = understand(&arguments)?;
    let file = arguments.checkpoint.as_deref();
    let file = file.map(CheckpointFile::open).transpose()?;
    let session = Session::new(SessionOptions {
        threads: 1,
        memory_bytes: MEMORY_BYTES,
        cache_bytes: 0,
    })?;
    session.add_feed()?;
    add_tables(&session, &arguments.tables).await?;
    let query = session.standing(&sql.text).await;
    let query = query.map_err(|error| sql.explain(error))?;
    for note in sql.note.iter().chain(query.notes()) {
        logs::say(Level::Info, &format!("note: {note}"));
    }
    let (out, _) = output::destination(None, arguments.format, &interruption.temporary)?;
    let begun = begin(&opened, &arguments.input, interruption, true).await?;
    let watch = Watch {
        threads,
        execution: Arc::clone(&begun.execution),
        progress: ProgressWatch::default(),
    };
    let monitor = Arc::new(Monitor::new(&begun.execution, watch.progress.clone()));
    begun.progress.show(&monitor);
    let _served = arguments.monitor.serve(&monitor).await?;
    let watched = Watched {
        opened,
        watch,
        file,
    };
    let written = write(&arguments, &begun, query, watched, out).await;
    if let Err(error) = &written {
        monitor.fail(error);
    }
    begun.progress.finish();
    let stats = &begun.execution.stats;
    if let Some(summary) = report::summary(stats) {
        logs::say(Level::Info, &summary);
    }
    let code = arguments.input.finish(stats.rejects(), begun.rejects);
    written?;
    let code = code?;
    match (
        stats.is_all_unreadable(),
        begun.execution.stop().is_cancelled(),
    ) {
        (_, true) => Err(Error::stopped()),
        (true, _) => Err(Error::io(NOTHING_READ)),
        _ => Ok(code),
    }
}

/// The input of a watch, and how far it was read.
struct Watched {
    opened: Opened,
    watch: Watch,
    file: Option<CheckpointFile>,
}

async fn write(
    arguments: &WatchArguments,
    begun: &Begun,
    query: StandingQuery,
    watched: Watched,
    out: Destination,
) -> Result<u64> {
    let Watched {
        opened,
        watch: circumstances,
        file,
    } = watched;
    let context = OpenContext {
        from: file
            .as_ref()
            .map(|file| file.checkpoint().cloned().unwrap_or_default()),
        reading: Reading::Watch,
        follow: arguments.follow,
        execution: Arc::clone(&begun.execution),
        ..OpenContext::default()
    };
    let source = opened.sources.open(&opened.locations, &context)?;
    let width = output::terminal_width();
    let options = output::OutputOptions {
        format: arguments.format,
        raw_csv: arguments.raw_csv,
        width,
        color: width.is_some() && super::may_color(),
        zone: None,
        expanded: output::Expanded::Auto,
    };
    let column_names = query.column_names().to_vec();
    let file = Mutex::new(file);
    let keep = move |checkpoint: Checkpoint| {
        let mut file = file
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        file.as_mut().map_or(Ok(()), |file| file.keep(checkpoint))
    };
    let rows = watch(query, source, &circumstances, keep);
    let out = SharedDestination::new(out);
    let mut writer = out.writer();
    if width.is_some() {
        let name = writer.name().to_owned();
        writer = Destination::new(begun.progress.above(writer), name);
    }
    output::write(rows, &column_names, &options, writer).await
}

fn understand(arguments: &WatchArguments) -> Result<(Sql, Opened)> {
    if arguments.checkpoint.is_some() && arguments.format == Format::Parquet {
        return Err(Error::config(
            "Parquet has its rows only once it is whole, so no checkpoint can cover them; choose another --format",
        ));
    }
    let (first, sources) = (arguments.sql.as_ref(), &arguments.sources);
    match &arguments.file {
        Some(path) => {
            let opened = Opened::parse(first.into_iter().chain(sources))?;
            Ok((Sql::read(path)?, opened))
        }
        None => {
            let sql = first.ok_or_else(|| Error::config("give a query"))?;
            words::check_query(sql, sources)?;
            Ok((Sql::new(sql), Opened::parse(sources)?))
        }
    }
}

/// Memory for joins with static tables.
const MEMORY_BYTES: usize = 256 << 20;
