//! `auroratrail ingest`: events into a lake.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use clap::Args;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::begin::{Begun, begin};
use super::lakes::warn_of_a_heedless_store;
use super::logs::{self, Level};
use super::monitor::{Monitor, MonitorArguments};
use super::report::{bytes, count, counted, elapsed, summary};
use super::schedule::Schedule;
use super::{InputArguments, Interruption, NOTHING_READ, Opened, parse_size, upkeep};
use crate::error::{Error, Result};
use crate::lake::Lake;
use crate::lake::ingest::{Ingest, IngestSettings, IngestSummary, RowCondition};
use crate::lake::layout::PartitionBy;
use crate::lake::writer::WriterSettings;
use crate::pipeline::Epochs;
use crate::query::Condition;
use crate::source::Reading;

/// Keep events in a lake: a folder of Parquet files that Athena, Spark and DuckDB read, too
///
/// Live sources are read until Ctrl-C, all others to their end. Run it again and only what is new is read; a
/// run that was stopped or killed goes on where its last commit was. The same event is kept once, whatever brought it. The lake is a Delta Lake table.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct IngestArguments {
    /// Where to read, as in query
    #[arg(value_name = "SOURCE", required = true)]
    sources: Vec<String>,

    /// The lake: a folder or s3://bucket/prefix; it is made if it is not there
    #[arg(long, value_name = "LAKE")]
    to: String,

    /// Events to keep
    #[arg(long, value_enum, default_value_t = Keep::Aurora)]
    keep: Keep,

    /// Keep the events that meet a condition of SQL, in place of --keep: "eventSource = 'iam.amazonaws.com'"
    #[arg(long = "where", value_name = "SQL", conflicts_with = "keep")]
    condition: Option<String>,

    /// Folders of a new lake, from the outermost: dt (default), or account, region and dt in any order
    #[arg(long, value_name = "NAMES")]
    partition_by: Option<String>,

    /// Read live sources up to now, and end; otherwise they are read until Ctrl-C
    #[arg(long)]
    until_now: bool,

    /// Follow local files as they grow: NDJSON, a line each; renamed and emptied files too
    #[arg(long)]
    follow: bool,

    /// Hide the values of keys that look like secrets (passwords, tokens, signatures in URLs)
    #[arg(long)]
    redact: bool,

    /// Seconds between two commits, at most
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    commit_every: u64,

    /// Most events of a file
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = parse_rows)]
    max_rows: usize,

    /// Most memory of a file's events before it is written; the file has a tenth of that or less
    #[arg(long, value_name = "SIZE", default_value = "56M", value_parser = parse_size)]
    max_bytes: usize,

    /// Most memory of all events that are not written yet; the whole takes some 350 MiB more on two cores
    #[arg(long, value_name = "SIZE", default_value = "64M", value_parser = parse_size)]
    memory: usize,

    /// Pack the lake's small files at the times of a cron pattern, as `compact --schedule` does
    #[arg(long, value_name = "CRON")]
    compact: Option<String>,

    /// Time zone of the pattern
    #[arg(long, value_name = "ZONE", default_value = "UTC", requires = "compact")]
    time_zone: String,

    #[command(flatten)]
    pub(super) monitor: MonitorArguments,

    #[command(flatten)]
    pub(super) input: InputArguments,
}

/// Events that are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Keep {
    /// Those of RDS, the Data API and DSQL, without Neptune and DocumentDB, as in aurora_events
    Aurora,
    /// Every CloudTrail record
    All,
}

fn parse_rows(text: &str) -> Result<usize, String> {
    let rows = text.parse().ok().filter(|rows| *rows > 0);
    rows.ok_or_else(|| "expected a number of events, at least 1".to_owned())
}

const EXAMPLES: &str = "\
Examples:
  auroratrail ingest logs/ 's3://bucket/AWSLogs/' --to ./lake
  auroratrail ingest logs/ --to s3://bucket/lake --keep all --redact
  auroratrail query \"SELECT actor, count(*) FROM events GROUP BY 1\" ./lake

Exit status: 0 done; 1 done, but --strict was given and something was rejected; 2 could not;
130 interrupted, after a last commit.";

pub(super) async fn run(
    arguments: IngestArguments,
    threads: usize,
    interruption: &Interruption,
) -> Result<ExitCode> {
    let settings = settings(&arguments, threads).await?;
    let schedule = arguments.compact.as_ref();
    let schedule = schedule.map(|it| Schedule::parse(it, &arguments.time_zone));
    let schedule = schedule.transpose()?;
    let mut opened = Opened::parse(&arguments.sources)?;
    opened.find_lakes().await?;
    check_apart(&opened, &arguments.to)?;
    let lake = Lake::open(&opened.sources, &arguments.to).await?;
    let Begun {
        execution,
        progress,
        rejects,
    } = begin(&opened, &arguments.input, interruption, true).await?;
    let started = Instant::now();
    let mut last = IngestSummary::default();
    let mut warning = None;
    let ingest = Ingest::new(Arc::clone(lake.storage()), lake.log().clone(), &settings);
    let monitor = Arc::new(Monitor::new(&execution, ingest.progress()).with_lake());
    progress.show(&monitor);
    let _served = arguments.monitor.serve(&monitor).await?;
    let _compaction = schedule.map(|schedule| compaction(schedule, &lake, execution.stop()));
    tracing::info!(
        lake = lake.name(),
        sources = opened.locations.len(),
        "begun"
    );
    let ran = ingest
        .run(&opened.sources, &opened.locations, &execution, &mut |end| {
            monitor.end_epoch(end);
            if end.is_committed && last.commits == 0 {
                let lake = lake.clone();
                warning = Some(tokio::spawn(async move {
                    warn_of_a_heedless_store(&lake).await;
                }));
            }
            last = end.summary.clone();
        })
        .await;
    if let Err(error) = &ran {
        monitor.fail(error);
    }
    if let Some(warning) = warning {
        // It has no result.
        let _ = warning.await;
    }
    progress.finish();
    let stats = &execution.stats;
    if let Some(summary) = summary(stats) {
        logs::say(Level::Info, &summary);
    }
    // Of a run that failed before its first commit, the error says all.
    if ran.is_ok() || last.commits > 0 {
        tell(
            lake.name(),
            &last,
            stats.redacted.load(Relaxed),
            started.elapsed(),
        );
    }
    // The file of rejects is kept of a run that was stopped, too: a live source ends in no other way.
    let code = arguments.input.finish(stats.rejects(), rejects);
    ran?;
    let code = code?;
    match stats.is_all_unreadable() {
        true => Err(Error::io(NOTHING_READ)),
        false => Ok(code),
    }
}

/// Starts packing the lake at the times of a schedule, until the handle is dropped.
fn compaction(
    schedule: Schedule,
    lake: &Lake,
    stop: &CancellationToken,
) -> AbortOnDropHandle<Result<()>> {
    let (lake, stop) = (lake.clone(), stop.clone());
    AbortOnDropHandle::new(tokio::spawn(async move {
        upkeep::run_at(&schedule, &lake, &upkeep::beside_an_ingest(), &stop).await
    }))
}

/// Checks that the lake is not among what is read, so that no run reads what an earlier one wrote.
fn check_apart(opened: &Opened, lake: &str) -> Result<()> {
    let place = |text: &str| match text.contains("://") {
        true => PathBuf::from(text.trim_end_matches('/')),
        false => {
            let path = Path::new(text);
            let full = path.canonicalize().or_else(|_| std::path::absolute(path));
            full.unwrap_or_else(|_| path.to_owned())
        }
    };
    let others = opened.lakes.others(&opened.locations);
    if others.len() < opened.locations.len() {
        return Err(Error::config(
            "one of the sources is a lake; ingest reads events as CloudTrail delivers them",
        ));
    }
    let lake_place = place(lake);
    let holder = others
        .iter()
        .find(|source| lake_place.starts_with(place(&source.to_string())));
    match holder {
        Some(source) => Err(Error::config(format!(
            "the lake {lake} lies in {source}, which is read; give it a place of its own"
        ))),
        None => Ok(()),
    }
}

async fn settings(arguments: &IngestArguments, threads: usize) -> Result<IngestSettings> {
    let condition = match (&arguments.condition, arguments.keep) {
        (Some(sql), _) => Some(Condition::parse(sql).await?),
        (None, Keep::Aurora) => Some(Condition::aurora().await?),
        (None, Keep::All) => None,
    };
    let partition_by = arguments.partition_by.as_deref().map(PartitionBy::parse);
    let reading = match arguments.until_now {
        true => Reading::ToNow,
        false => Reading::Follow,
    };
    Ok(IngestSettings {
        threads,
        reading,
        follow: arguments.follow,
        epochs: Epochs {
            interval: Duration::from_secs(arguments.commit_every),
            bytes: EPOCH_BYTES,
        },
        partition_by: partition_by.transpose()?,
        writer: WriterSettings {
            partition_by: PartitionBy::default(),
            max_rows: arguments.max_rows,
            max_bytes: arguments.max_bytes,
            buffer_bytes: arguments.memory,
            threads,
        },
        condition: condition.map(|it| Arc::new(it) as Arc<dyn RowCondition>),
        redact: arguments.redact,
        last_commit: LAST_COMMIT,
    })
}

/// Says what was added.
fn tell(lake: &str, summary: &IngestSummary, redacted: u64, time: Duration) {
    let mut text = match summary.commits {
        0 => format!("{lake}: nothing new"),
        commits => format!(
            "{lake}: {} added in {}, {}, {}; it is at version {}",
            counted(summary.rows, "event"),
            counted(summary.files, "file"),
            bytes(summary.bytes),
            counted(commits, "commit"),
            summary.version,
        ),
    };
    if summary.duplicates > 0 {
        text += &format!("; {} were there already", count(summary.duplicates));
    }
    if summary.left_out > 0 {
        text += &format!("; {} not kept by the condition", count(summary.left_out));
    }
    if summary.without_time > 0 {
        text += &format!(
            "; {} without a time, in the day of their file or of today",
            count(summary.without_time)
        );
    }
    if redacted > 0 {
        text += &format!("; {} hidden", counted(redacted, "secret"));
    }
    text += &format!(" ({})", elapsed(time));
    match logs::is_json() {
        true => log(&text, summary, redacted, time),
        false => logs::say(Level::Info, &text),
    }
}

/// Writes the summary with its numbers.
fn log(text: &str, summary: &IngestSummary, redacted: u64, time: Duration) {
    tracing::info!(
        version = summary.version,
        commits = summary.commits,
        rows = summary.rows,
        files = summary.files,
        bytes = summary.bytes,
        duplicates = summary.duplicates,
        left_out = summary.left_out,
        without_time = summary.without_time,
        given_up = summary.given_up,
        redacted,
        seconds = time.as_secs_f64(),
        "{text}"
    );
}

/// JSON bytes of an epoch: of a large backfill, a commit comes each few hundred thousand events.
const EPOCH_BYTES: u64 = 1 << 30;

/// The time of a last commit after Ctrl-C or SIGTERM: Kubernetes kills a process 30 seconds after it told it
/// to end, unless it is told otherwise.
const LAST_COMMIT: Duration = Duration::from_secs(25);
