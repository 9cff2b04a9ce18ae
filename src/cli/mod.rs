//! The command line: what was typed becomes a plan once, and nothing later reads a flag.
//!
//! Exit status: 0 done; 1 done, but something was rejected and `--strict` was given, or a trail is not whole;
//! 2 could not; 130 interrupted.

mod begin;
mod cache;
mod catalog;
mod exports;
mod iam;
mod identity;
mod ingest;
mod lake;
mod lakes;
mod logs;
mod metrics;
mod monitor;
pub mod output;
mod overwrite;
mod pager;
mod progress;
mod query;
mod repl;
mod report;
mod sample;
mod scan;
mod schedule;
mod serve;
mod sources;
mod sql;
mod status;
mod upkeep;
mod verify_trail;
mod watch;
mod words;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::error::{Error, ErrorKind, Result};
use crate::source::aws::AwsSettings;
use crate::source::{Location, Sources};
use lakes::Lakes;
use logs::Level;
use output::{Format, TemporaryFiles};

pub use logs::say_error;

/// Ask SQL of the CloudTrail events of Amazon Aurora
///
/// Reads trail files, folders of them, S3, standard input and most other forms that CloudTrail
/// events come in, and answers SQL over the table `events`. Nothing is loaded or set up first.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Query(QueryArguments),
    Repl(ReplArguments),
    Scan(ScanArguments),
    Watch(watch::WatchArguments),
    Ingest(ingest::IngestArguments),
    Lake(lake::LakeArguments),
    Compact(upkeep::CompactArguments),
    Expire(upkeep::ExpireArguments),
    Vacuum(upkeep::VacuumArguments),
    Catalog(catalog::CatalogArguments),
    Sources(sources::SourcesArguments),
    VerifyTrail(verify_trail::VerifyTrailArguments),
    Iam(iam::IamArguments),
    Sample(SampleArguments),
}

impl Command {
    /// Removes invisible characters from paths that are written or hold a query.
    fn clean_paths(&mut self) {
        match self {
            Self::Query(query) => {
                let rejects = &mut query.input.rejects;
                words::clean_paths(
                    [&mut query.file, &mut query.output, rejects]
                        .into_iter()
                        .flatten(),
                );
            }
            Self::Repl(_) => {}
            Self::Watch(watch) => {
                let rejects = &mut watch.input.rejects;
                let paths = [&mut watch.file, &mut watch.checkpoint, rejects];
                words::clean_paths(paths.into_iter().flatten());
            }
            Self::Scan(scan) => words::clean_paths(&mut scan.input.rejects),
            Self::Ingest(ingest) => words::clean_paths(&mut ingest.input.rejects),
            Self::VerifyTrail(verify) => words::clean_paths(verify.paths()),
            Self::Lake(_) | Self::Catalog(_) | Self::Sources(_) | Self::Iam(_) => {}
            Self::Compact(_) | Self::Expire(_) | Self::Vacuum(_) => {}
            Self::Sample(sample) => words::clean_paths([&mut sample.folder]),
        }
    }
}

/// Answer a SQL query over events
///
/// The table is `events`, one row a record; `aurora_events` has those of RDS, the Data API and
/// DSQL alone. Names need no quotes and no case: userIdentity.userName, or
/// requestParameters.dBInstanceIdentifier. `DESCRIBE events` lists all columns. COPY writes the rows of a
/// query to files, here or in S3.
#[derive(Debug, Args)]
#[command(after_long_help = QUERY_EXAMPLES)]
struct QueryArguments {
    /// The query; with -f there is none here, and all words are sources
    #[arg(value_name = "SQL", required_unless_present = "file")]
    sql: Option<String>,

    /// Where to read: files, folders, globs, s3://bucket/prefix, a lake, kinesis://stream, logs://group,
    /// cloudtrail:// (live ones up to now), - for standard input, sample:?events=N for made-up
    /// events. Without a source, made-up events are read
    #[arg(value_name = "SOURCE")]
    sources: Vec<String>,

    /// Read the query from a file, - for standard input; of several, separated by semicolons, each is answered in turn
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// How to write the rows; by default a table, or what the name given with -o ends in
    #[arg(long, value_enum)]
    format: Option<Format>,

    /// Write the rows to a file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Leave CSV cells as they are, also those that a spreadsheet would run as a formula
    #[arg(long)]
    raw_csv: bool,

    /// Count the same event (event ID and content) once; holds some 30 bytes an event in memory
    #[arg(long)]
    dedup: bool,

    /// Memory for sorting, joining and grouping, in MiB; beyond it most use the disk
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(16..))]
    memory: u64,

    #[command(flatten)]
    cache: cache::CacheArguments,

    #[command(flatten)]
    input: InputArguments,
}

/// Ask at a prompt, one statement after another
///
/// Statements end with a semicolon. Tab completes names, paths and the values that occur in the data;
/// \\? lists the commands. If standard input is not a terminal, it is a script: it ends at the first
/// statement that fails, with exit status 2.
#[derive(Debug, Args)]
#[command(after_long_help = REPL_EXAMPLES)]
struct ReplArguments {
    /// Where to read, as in query; without a source, made-up events are read
    #[arg(value_name = "SOURCE")]
    sources: Vec<String>,

    /// In a script, go on after a statement that fails; the exit status is 2 in the end
    #[arg(long)]
    keep_going: bool,

    /// Count the same event (event ID and content) once
    #[arg(long)]
    dedup: bool,

    /// Memory for sorting, joining and grouping, in MiB; beyond it most use the disk
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(16..))]
    memory: u64,

    /// Memory for columns that were read, so that a second question about them reads nothing: 512M,
    /// 2G, 0 for none
    #[arg(long, value_name = "SIZE", default_value = "512M", value_parser = parse_size)]
    cache_memory: usize,

    #[command(flatten)]
    cache: cache::CacheArguments,

    /// Threads that read and decode; by default one for each core
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    threads: Option<u16>,
}

/// Parses a number of bytes with a binary unit: `512M`, `2GiB`, `1048576`.
fn parse_size(text: &str) -> Result<usize, String> {
    let lower = text.trim().to_ascii_lowercase();
    let unit = lower
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(lower.len());
    let (number, unit) = lower.split_at(unit);
    let shift = match unit.trim().trim_end_matches('b').trim_end_matches('i') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return Err("expected a size such as 512M or 2G".to_owned()),
    };
    let number: usize = number
        .parse()
        .map_err(|_| "expected a size such as 512M or 2G".to_owned())?;
    number
        .checked_mul(1 << shift)
        .ok_or_else(|| "this is more than the memory of any machine".to_owned())
}

/// Tell what is in files: events, duplicates, what is not CloudTrail, and what is damaged
#[derive(Debug, Args)]
struct ScanArguments {
    /// Where to read, as in query
    #[arg(value_name = "SOURCE")]
    sources: Vec<String>,

    /// How to write it
    #[arg(long, value_enum, default_value_t = ScanFormat::Text)]
    format: ScanFormat,

    #[command(flatten)]
    input: InputArguments,
}

/// Write made-up trail files, to try things on
///
/// The same events as the source sample:?events=N gives, compressed with gzip and under the keys that CloudTrail
/// uses. One night in them somebody takes a copy of a database; find out who.
#[derive(Debug, Args)]
struct SampleArguments {
    /// A new folder
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,

    /// How many events
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    events: u64,

    /// Another number makes other events; the same makes the same
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// Days that they are spread over, up to 31 October 2026
    #[arg(long, value_name = "N", default_value_t = 30)]
    days: u32,
}

/// A format of `scan`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum ScanFormat {
    /// For people
    Text,
    /// One JSON object
    Json,
}

#[derive(Debug, Args)]
struct InputArguments {
    /// Keep what could not be read as an event: a line of JSON each, with its content
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,

    /// Exit with 1 if anything was rejected
    #[arg(long)]
    strict: bool,

    /// Threads that read and decode; by default one for each core
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    threads: Option<u16>,
}

const QUERY_EXAMPLES: &str = "\
Examples:
  auroratrail query \"SELECT eventName, count(*) FROM events GROUP BY 1 ORDER BY 2 DESC\" logs/
  auroratrail query \"SELECT eventTime, actor, eventName, db_identifier FROM aurora_events
                     WHERE NOT readOnly ORDER BY eventTime\" 's3://bucket/AWSLogs/*/CloudTrail/'
  zcat x.json.gz | auroratrail query -f question.sql - --format ndjson
  auroratrail query \"COPY (SELECT *, eventTime::date AS dt FROM aurora_events) TO 'export/'
                     STORED AS PARQUET PARTITIONED BY (dt)\" logs/

Exit status: 0 done; 1 done, but --strict was given and something was rejected; 2 could not;
130 interrupted.";

const REPL_EXAMPLES: &str = "\
Examples:
  auroratrail repl logs/ 's3://bucket/AWSLogs/'
  auroratrail repl logs/ < script.sql

Exit status: 0 done; 2 a statement of a script failed; 130 interrupted.";

/// Message of a command that could read none of its sources.
const NOTHING_READ: &str = "nothing could be read: see the messages above";

/// Exit status after Ctrl-C or SIGTERM.
const INTERRUPTED: u8 = 130;

/// The longest time that the work may take to stop.
const GRACE: Duration = Duration::from_secs(1);

/// The longest time that a last commit may take. An ingest gives it less, and says so.
const COMMIT_GRACE: Duration = Duration::from_secs(30);

/// Keeps panics silent that a reject will tell of.
fn say_no_panics_of_decoders() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !crate::decoding::is_told_later(panic) {
            hook(panic);
        }
    }));
}

/// Runs the command; returns the exit status.
///
/// # Errors
/// The fault that kept the command from its end. A command that was stopped ends with a status.
pub fn run(mut arguments: Arguments) -> Result<ExitCode> {
    say_no_panics_of_decoders();
    match &arguments.command {
        Command::Ingest(ingest) => ingest.monitor.log.begin(),
        Command::Watch(watch) => watch.monitor.log.begin(),
        _ => {}
    }
    arguments.command.clean_paths();
    let threads = match &arguments.command {
        Command::Query(query) => query.input.threads,
        Command::Repl(repl) => repl.threads,
        Command::Scan(scan) => scan.input.threads,
        Command::Watch(watch) => watch.input.threads,
        Command::Ingest(ingest) => ingest.input.threads,
        Command::Lake(_) | Command::Sources(_) | Command::VerifyTrail(_) => None,
        Command::Compact(_) | Command::Expire(_) | Command::Vacuum(_) => None,
        Command::Catalog(_) | Command::Iam(_) | Command::Sample(_) => Some(1),
    };
    let threads = threads.map_or_else(
        || std::thread::available_parallelism().map_or(2, usize::from),
        usize::from,
    );
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .map_err(|error| Error::io(format!("cannot start threads: {}", report::why(&error))))?;
    let done = runtime.block_on(async {
        let interruption = Interruption::default();
        let command = match arguments.command {
            // The prompt has its own way with signals.
            Command::Repl(repl) => return Box::pin(repl::run(repl, threads)).await,
            command => command,
        };
        let grace = match command {
            // The events that were read are worth a last commit, which may go over a slow line.
            Command::Ingest(_) => Grace::ForCommit,
            _ => Grace::Short,
        };
        let signals = obey_signals(interruption.clone(), grace);
        let _signals = AbortOnDropHandle::new(tokio::spawn(signals));
        match command {
            Command::Repl(_) => unreachable!("returned above"),
            Command::Query(query) => Box::pin(query::run(query, threads, &interruption)).await,
            Command::Scan(scan) => scan::run(scan, threads, &interruption).await,
            Command::Watch(watch) => Box::pin(watch::run(watch, threads, &interruption)).await,
            Command::Ingest(ingest) => Box::pin(ingest::run(ingest, threads, &interruption)).await,
            Command::Lake(lake) => Box::pin(lake::run(lake)).await,
            Command::Compact(compact) => {
                Box::pin(upkeep::run_compact(compact, &interruption)).await
            }
            Command::Expire(expire) => Box::pin(upkeep::run_expire(expire)).await,
            Command::Vacuum(vacuum) => Box::pin(upkeep::run_vacuum(vacuum)).await,
            Command::Catalog(catalog) => Box::pin(catalog::run(catalog)).await,
            Command::Sources(sources) => Box::pin(sources::run(sources)).await,
            Command::VerifyTrail(verify) => {
                Box::pin(verify_trail::run(verify, &interruption)).await
            }
            Command::Iam(iam) => iam::run(&iam),
            Command::Sample(sample) => sample::run(&sample),
        }
    });
    // A thread may hang in a read that nobody waits for any more, of a terminal say.
    runtime.shutdown_background();
    match done {
        Err(error) if matches!(error.kind(), ErrorKind::Stopped) => Ok(ExitCode::from(INTERRUPTED)),
        done => done,
    }
}

/// Returns whether the user has nothing against colour (<https://no-color.org>).
fn may_color() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty())
}

/// The early end of a command.
#[derive(Clone, Default)]
struct Interruption {
    /// Cancelled when the work is to stop.
    stop: CancellationToken,
    /// Files to remove if the work does not end by itself.
    temporary: TemporaryFiles,
}

/// The time that the work has to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grace {
    /// A moment: a thread may be stuck in a write to a pipe that nobody reads.
    Short,
    /// The time of a last commit.
    ForCommit,
}

/// Cancels the work at the first Ctrl-C or SIGTERM. Ends the process at the second, or when the work
/// takes too long to stop.
async fn obey_signals(interruption: Interruption, grace: Grace) {
    let Some(mut signals) = Signals::new() else {
        return;
    };
    signals.next().await;
    interruption.stop.cancel();
    let grace = match grace {
        Grace::Short => GRACE,
        Grace::ForCommit => {
            let message = "stopping after a last commit; a second Ctrl-C ends at once";
            logs::say(Level::Info, message);
            COMMIT_GRACE
        }
    };
    let _ = tokio::time::timeout(grace, signals.next()).await;
    interruption.temporary.remove();
    std::process::exit(INTERRUPTED.into());
}

/// A signal that ends something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SignalKind {
    /// Ctrl-C, SIGINT.
    Interrupt,
    /// SIGTERM.
    Terminate,
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> Option<Self> {
        use tokio::signal::unix::{SignalKind as Number, signal};
        Some(Self {
            interrupt: signal(Number::interrupt()).ok()?,
            terminate: signal(Number::terminate()).ok()?,
        })
    }

    async fn next(&mut self) -> SignalKind {
        tokio::select! {
            _ = self.interrupt.recv() => SignalKind::Interrupt,
            _ = self.terminate.recv() => SignalKind::Terminate,
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> Option<Self> {
        Some(Self)
    }

    async fn next(&mut self) -> SignalKind {
        let _ = tokio::signal::ctrl_c().await;
        SignalKind::Interrupt
    }
}

/// The input of a command.
struct Opened {
    sources: Sources,
    locations: Vec<Location>,
    /// The lakes among the locations, once they are looked for.
    lakes: Lakes,
    /// Whether no source was given.
    by_default: bool,
}

impl Opened {
    /// Parses the words that name sources. Nothing is looked for yet.
    fn parse<'a>(words: impl IntoIterator<Item = &'a String>) -> Result<Self> {
        let sources = Sources::new(AwsSettings::from_env());
        let mut locations = Vec::new();
        for word in words {
            words::check_source(word)?;
            locations.push(sources.parse(&words::without_invisible(word))?);
        }
        let by_default = locations.is_empty();
        if by_default {
            locations.push(sources.parse("sample:")?);
        }
        Ok(Self {
            sources,
            locations,
            lakes: Lakes::default(),
            by_default,
        })
    }

    /// Finds the lakes among the locations.
    async fn find_lakes(&mut self) -> Result<()> {
        self.lakes.find(&self.sources, &self.locations).await
    }

    /// Checks that there is anything to read at all.
    async fn check(&self) -> Result<()> {
        match self.lakes.others(&self.locations).as_slice() {
            [] => Ok(()),
            others => self.sources.check(others).await,
        }
    }
}
