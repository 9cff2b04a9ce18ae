//! `auroratrail compact`, `expire` and `vacuum`: the upkeep of a lake.

use std::process::ExitCode;

use chrono::{DateTime, Utc};
use clap::Args;
use tokio_util::sync::CancellationToken;

use super::lake::open;
use super::lakes::warn_of_a_heedless_store;
use super::logs::{self, Level};
use super::report::{bytes, count, counted};
use super::schedule::Schedule;
use super::{Interruption, parse_size};
use crate::error::{Error, Result};
use crate::lake::layout::folder;
use crate::lake::upkeep::compact::{CompactSettings, CompactSummary, compact};
use crate::lake::upkeep::expire::{ExpireSummary, expire};
use crate::lake::upkeep::plan::{Bin, plan};
use crate::lake::upkeep::vacuum::{VacuumSummary, vacuum};
use crate::lake::{Lake, LakeFile};
use crate::source::parse_moment;

/// Pack the small files of a lake into few large ones, sorted by time, each event once
///
/// Readers see the same events before, during and after; an ingest may be at work, and so may another
/// compaction. The files that were packed stay until `vacuum` deletes them.
#[derive(Debug, Args)]
#[command(after_long_help = COMPACT_EXAMPLES)]
pub(super) struct CompactArguments {
    /// The lake
    #[arg(value_name = "LAKE")]
    lake: String,

    /// Size of a packed file, about; files of half of that and more stay as they are
    #[arg(long, value_name = "SIZE", default_value = "256MB", value_parser = parse_size)]
    target_size: usize,

    /// Memory for events that are sorted; what does not fit is sorted on disk. The process takes some
    /// 250 MiB more
    #[arg(long, value_name = "SIZE", default_value = "512M", value_parser = parse_size)]
    memory: usize,

    /// Files that are made at the same time; by default one for each core
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    threads: Option<u16>,

    /// Only tell what would be packed
    #[arg(long)]
    dry_run: bool,

    /// Do it at the times of a cron pattern (minute, hour, day of month, month, day of week) until stopped
    #[arg(long, value_name = "CRON", conflicts_with = "dry_run")]
    schedule: Option<String>,

    /// Time zone of the pattern
    #[arg(
        long,
        value_name = "ZONE",
        default_value = "UTC",
        requires = "schedule"
    )]
    time_zone: String,
}

/// Take the events of days that are too old out of a lake, in one commit
///
/// Whole days (UTC) go, those that end before the time given. Their files stay until `vacuum` deletes them.
#[derive(Debug, Args)]
pub(super) struct ExpireArguments {
    /// The lake
    #[arg(value_name = "LAKE")]
    lake: String,

    /// The age of events that go: a span before now (400d) or a time (2026-01-01)
    #[arg(long, value_name = "TIME")]
    older_than: String,

    /// Only tell what would go
    #[arg(long)]
    dry_run: bool,
}

/// Delete files of a lake that are in no version any more, or that a writer left that died
///
/// A reader of an earlier version, and a writer from the first file of a commit to the commit, need files
/// for a while: those younger than --retain stay. Files of other programs stay always.
#[derive(Debug, Args)]
pub(super) struct VacuumArguments {
    /// The lake
    #[arg(value_name = "LAKE")]
    lake: String,

    /// The time for which files are kept that were replaced or never committed; 30d at most
    #[arg(long, value_name = "SPAN", default_value = "24h")]
    retain: String,

    /// Only tell what would be deleted
    #[arg(long)]
    dry_run: bool,
}

const COMPACT_EXAMPLES: &str = "\
Examples:
  auroratrail compact ./lake --dry-run
  auroratrail compact s3://bucket/lake && auroratrail vacuum s3://bucket/lake --retain 24h
  auroratrail compact ./lake --schedule '15 3 * * *' --time-zone Europe/Berlin

Exit status: 0 done; 2 could not, or some files could not be packed; 130 interrupted, after a last commit.";

pub(super) async fn run_compact(
    arguments: CompactArguments,
    interruption: &Interruption,
) -> Result<ExitCode> {
    let (lake, version) = open(&arguments.lake).await?;
    let settings = settings(&arguments);
    if arguments.dry_run {
        let bins = plan(&version.files, settings.target_bytes);
        print(&planned(&bins));
        return Ok(ExitCode::SUCCESS);
    }
    let stop = &interruption.stop;
    match &arguments.schedule {
        Some(pattern) => {
            let schedule = Schedule::parse(pattern, &arguments.time_zone)?;
            run_at(&schedule, &lake, &settings, stop).await?;
        }
        None => run_once(&lake, &settings, stop).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Packs a lake at the times of a schedule until `stop`, once at a time. A failure is told, and the next
/// time is waited for.
///
/// # Errors
/// Stopped, when it is.
pub(super) async fn run_at(
    schedule: &Schedule,
    lake: &Lake,
    settings: &CompactSettings,
    stop: &CancellationToken,
) -> Result<()> {
    loop {
        schedule.next_run(stop).await?;
        if let Err(error) = run_once(lake, settings, stop).await {
            if stop.is_cancelled() {
                return Err(error);
            }
            logs::say(Level::Error, &error.to_string());
        }
    }
}

/// The settings of a compaction beside an ingest, which has the machine for itself otherwise.
pub(super) fn beside_an_ingest() -> CompactSettings {
    CompactSettings {
        target_bytes: TARGET_BYTES,
        memory_bytes: 256 << 20,
        threads: 1,
    }
}

fn settings(arguments: &CompactArguments) -> CompactSettings {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    CompactSettings {
        target_bytes: arguments.target_size as u64,
        memory_bytes: arguments.memory,
        threads: arguments.threads.map_or_else(cores, usize::from),
    }
}

/// Packs a lake once, and tells of it.
async fn run_once(lake: &Lake, settings: &CompactSettings, stop: &CancellationToken) -> Result<()> {
    let mut observe = |so_far: &CompactSummary| {
        let (from, to) = (count(so_far.files_before), count(so_far.files_after));
        let message = format!(
            "{}: version {}, {from} files are {to}",
            lake.name(),
            so_far.version
        );
        logs::say(Level::Info, &message);
    };
    let done = compact(lake, settings, stop, &mut observe).await?;
    if done.commits > 0 {
        warn_of_a_heedless_store(lake).await;
    }
    for fault in &done.faults {
        logs::say(Level::Error, &format!("left as they were: {fault}"));
    }
    print(&packed(lake.name(), &done));
    match done.faults.len() {
        _ if done.is_stopped => Err(Error::stopped()),
        0 => Ok(()),
        faults => Err(Error::io(format!(
            "{} of files could not be packed",
            counted(faults as u64, "group")
        ))),
    }
}

pub(super) async fn run_expire(arguments: ExpireArguments) -> Result<ExitCode> {
    let (lake, _) = open(&arguments.lake).await?;
    let day = first_day(&arguments.older_than, Utc::now())?;
    let done = expire(&lake, &day, arguments.dry_run).await?;
    print(&expired(lake.name(), &day, &done, arguments.dry_run));
    if !done.days.is_empty() && !arguments.dry_run {
        warn_of_a_heedless_store(&lake).await;
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the first day that stays.
fn first_day(older_than: &str, now: DateTime<Utc>) -> Result<String> {
    let time = parse_moment(older_than, now)?;
    Ok(time.format("%Y-%m-%d").to_string())
}

pub(super) async fn run_vacuum(arguments: VacuumArguments) -> Result<ExitCode> {
    let (lake, _) = open(&arguments.lake).await?;
    let now = Utc::now();
    let retain = now - parse_moment(&arguments.retain, now)?;
    if retain < chrono::Duration::zero() {
        return Err(Error::config(format!(
            "--retain {} is in the future; expected a span such as 24h",
            arguments.retain
        )));
    }
    if retain < chrono::Duration::hours(1) && !arguments.dry_run {
        logs::say(
            Level::Warn,
            "--retain is under an hour: a commit that is being written, or a query that is running, may lose files",
        );
    }
    let done = vacuum(&lake, retain, now, arguments.dry_run).await?;
    print(&vacuumed(lake.name(), &done, arguments.dry_run));
    Ok(ExitCode::SUCCESS)
}

fn print(text: &str) {
    use std::io::Write;
    // Nobody is there to be told that nobody reads it.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// Returns a number of files, with their size.
fn files(number: u64, size: u64) -> String {
    format!("{} ({})", counted(number, "file"), bytes(size))
}

/// Returns what compaction would do, a line for all of it.
pub(super) fn plan_line(files_of_lake: &[LakeFile], target_bytes: u64) -> String {
    let bins = plan(files_of_lake, target_bytes);
    if bins.is_empty() {
        return "nothing to pack".to_owned();
    }
    let number = bins.iter().map(|bin| bin.files.len() as u64).sum();
    let size = bins.iter().map(Bin::bytes).sum();
    format!(
        "compact would pack {} into {}",
        files(number, size),
        count(bins.len() as u64)
    )
}

fn planned(bins: &[Bin]) -> String {
    if bins.is_empty() {
        return "nothing to pack\n".to_owned();
    }
    let mut text = String::new();
    for bin in bins {
        text += &format!(
            "  {:<32}{:>24} into 1\n",
            folder(&bin.partition),
            files(bin.files.len() as u64, bin.bytes())
        );
    }
    let number = bins.iter().map(|bin| bin.files.len() as u64).sum();
    let size = bins.iter().map(Bin::bytes).sum();
    text += &format!(
        "{} would be packed into {}; nothing is done with --dry-run\n",
        files(number, size),
        count(bins.len() as u64)
    );
    text
}

fn packed(name: &str, done: &CompactSummary) -> String {
    let given_up = match done.given_up {
        0 => String::new(),
        number => format!(
            "; {} of files left to another process",
            counted(number, "group")
        ),
    };
    if done.commits == 0 {
        return format!("{name}: nothing to pack{given_up}\n");
    }
    let duplicates = match done.duplicates {
        0 => String::new(),
        number => format!(", {} that were there twice left out", count(number)),
    };
    let before = files(done.files_before, done.bytes_before);
    let after = files(done.files_after, done.bytes_after);
    format!(
        "{name}: version {}, {before} are {after}: {}{duplicates}{given_up}\n",
        done.version,
        counted(done.rows, "event"),
    )
}

fn expired(name: &str, day: &str, done: &ExpireSummary, is_dry_run: bool) -> String {
    let (Some(first), Some(last)) = (done.days.first(), done.days.last()) else {
        return format!("{name}: no events of days before {day}\n");
    };
    let what = format!(
        "{} of {}, {first} to {last}, in {}",
        counted(done.rows, "event"),
        counted(done.days.len() as u64, "day"),
        files(done.files, done.bytes)
    );
    match is_dry_run {
        true => format!("{name}: {what} would go; nothing is done with --dry-run\n"),
        false => format!("{name}: version {}, {what} are gone\n", done.version),
    }
}

fn vacuumed(name: &str, done: &VacuumSummary, is_dry_run: bool) -> String {
    let mut text = String::new();
    if is_dry_run {
        for path in &done.paths {
            text += &format!("  {path}\n");
        }
    }
    let number = done.replaced + done.orphans;
    let kept = match done.kept {
        0 => String::new(),
        kept => format!("; {} are younger and stay", count(kept)),
    };
    let deleted = if is_dry_run {
        "would be deleted"
    } else {
        "deleted"
    };
    text += &match number {
        0 => format!("{name}: nothing to delete{kept}\n"),
        _ => format!(
            "{name}: {} {deleted}, {} replaced and {} never committed{kept}\n",
            files(number, done.bytes),
            count(done.replaced),
            count(done.orphans)
        ),
    };
    text
}

/// Bytes of a packed file unless told otherwise.
pub(super) const TARGET_BYTES: u64 = 256 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_day_that_stays_is_that_of_the_time() {
        let now = DateTime::parse_from_rfc3339("2026-11-29T10:00:00Z").unwrap();
        let day = |text: &str| first_day(text, now.to_utc()).unwrap();
        assert_eq!(day("1d"), "2026-11-28");
        assert_eq!(day("400d"), "2025-10-25");
        assert_eq!(day("2026-01-01"), "2026-01-01");
        assert!(first_day("soon", now.to_utc()).is_err());
    }
}
