//! `auroratrail lake`: what is in a lake, and whether it is whole.

use std::collections::BTreeMap;
use std::process::ExitCode;

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use serde_json::json;

use super::ScanFormat;
use super::report::{bytes, count, counted};
use super::upkeep::{TARGET_BYTES, plan_line};
use crate::checkpoint::Position;
use crate::error::{Error, Result};
use crate::lake::layout::folder;
use crate::lake::ledger::Ledger;
use crate::lake::log::{AsOf, CommitSummary, Version};
use crate::lake::verify::verify;
use crate::lake::{Lake, LakeFile, StatsValue};
use crate::source::Sources;
use crate::source::aws::AwsSettings;

/// Look at a lake
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(super) struct LakeArguments {
    #[command(subcommand)]
    command: LakeCommand,
}

#[derive(Debug, Subcommand)]
enum LakeCommand {
    Show(LakeShowArguments),
    Verify(LakeVerifyArguments),
}

/// Tell what is in a lake: partitions, files, events, how far each source was read, last commits
#[derive(Debug, Args)]
struct LakeShowArguments {
    /// The lake
    #[arg(value_name = "LAKE")]
    lake: String,

    /// How to write it
    #[arg(long, value_enum, default_value_t = ScanFormat::Text)]
    format: ScanFormat,

    /// Most partitions that are listed, the last ones
    #[arg(long, value_name = "N", default_value_t = 20)]
    partitions: usize,

    /// Most commits that are listed, the last ones
    #[arg(long, value_name = "N", default_value_t = 5)]
    commits: usize,
}

/// Read every file of a lake and compare it with the log; look for events that are there twice
///
/// Exit status: 0 if all is well, 2 if anything is not.
#[derive(Debug, Args)]
struct LakeVerifyArguments {
    /// The lake
    #[arg(value_name = "LAKE")]
    lake: String,
}

pub(super) async fn run(arguments: LakeArguments) -> Result<ExitCode> {
    match arguments.command {
        LakeCommand::Show(arguments) => show(arguments).await,
        LakeCommand::Verify(arguments) => check(arguments).await,
    }
}

pub(super) async fn open(text: &str) -> Result<(Lake, Version)> {
    let sources = Sources::new(AwsSettings::from_env());
    let lake = Lake::open(&sources, text).await?;
    match lake.version(AsOf::Latest).await? {
        Some(version) => Ok((lake, version)),
        None => Err(Error::config(format!(
            "{text} is no lake; `auroratrail ingest SOURCE --to {text}` makes one"
        ))),
    }
}

async fn show(arguments: LakeShowArguments) -> Result<ExitCode> {
    let (lake, version) = open(&arguments.lake).await?;
    let ledger = lake.ledger(&version).await?;
    let history = lake.log().history(arguments.commits).await?;
    match arguments.format {
        ScanFormat::Text => print(&as_text(&arguments, &version, &ledger, &history)),
        ScanFormat::Json => print(&format!("{:#}\n", as_json(&version, &ledger, &history))),
    }
    Ok(ExitCode::SUCCESS)
}

async fn check(arguments: LakeVerifyArguments) -> Result<ExitCode> {
    let (lake, version) = open(&arguments.lake).await?;
    let outcome = verify(&**lake.storage(), &version).await?;
    for fault in &outcome.faults {
        eprintln!("auroratrail: {fault}");
    }
    let number = version.number;
    let what = format!(
        "{}: version {number}, {}, {}",
        lake.name(),
        counted(outcome.files, "file"),
        counted(outcome.rows, "event")
    );
    let orphans = match outcome.orphans {
        0 => String::new(),
        orphans => format!(
            "; {} in the folder and not in this version: replaced, or of writers that died or are at work",
            counted(orphans, "file")
        ),
    };
    let others = match outcome.without_checksum {
        0 => String::new(),
        others => format!(
            "; {} without a checksum, as of other programs",
            counted(others, "file")
        ),
    };
    match outcome.faults.len() {
        0 => {
            print(&format!("{what}, all as the log says{others}{orphans}\n"));
            Ok(ExitCode::SUCCESS)
        }
        faults => Err(Error::io(format!(
            "{what}, {}{others}{orphans}",
            counted(faults as u64, "fault")
        ))),
    }
}

fn print(text: &str) {
    use std::io::Write;
    // Nobody is there to be told that nobody reads it.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// Sums of some files.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    files: u64,
    bytes: u64,
    rows: u64,
    times: Option<(i64, i64)>,
}

impl Sums {
    fn of<'f>(files: impl IntoIterator<Item = &'f LakeFile>) -> Self {
        let mut sums = Self::default();
        for file in files {
            sums.add(file);
        }
        sums
    }

    fn add(&mut self, file: &LakeFile) {
        self.files += 1;
        self.bytes += file.size_bytes;
        self.rows += file.stats.rows;
        let range = file
            .stats
            .columns
            .get("eventtime")
            .and_then(|it| it.range.as_ref());
        if let Some((StatsValue::Micros(from), StatsValue::Micros(to))) = range {
            let (first, last) = self.times.unwrap_or((*from, *to));
            self.times = Some((first.min(*from), last.max(*to)));
        }
    }
}

fn by_partition(version: &Version) -> BTreeMap<String, Sums> {
    let mut sums: BTreeMap<String, Sums> = BTreeMap::new();
    for file in &*version.files {
        sums.entry(folder(&file.partition)).or_default().add(file);
    }
    sums
}

fn as_text(
    arguments: &LakeShowArguments,
    version: &Version,
    ledger: &Ledger,
    history: &[CommitSummary],
) -> String {
    let all = Sums::of(&*version.files);
    let mut text = format!(
        "version    {}\nfolders    by {}\nevents     {}\nfiles      {}, {}\n",
        version.number,
        version.partition_by,
        count(all.rows),
        count(all.files),
        bytes(all.bytes)
    );
    if let Some((first, last)) = all.times {
        text += &format!("times      {} to {}\n", time(first), time(last));
    }
    text += "\npartitions\n";
    let partitions = by_partition(version);
    let left_out = partitions.len().saturating_sub(arguments.partitions);
    if left_out > 0 {
        text += &format!(
            "  {} earlier ones; --partitions N shows more\n",
            count(left_out as u64)
        );
    }
    for (folder, sums) in partitions.iter().skip(left_out) {
        text += &format!(
            "  {folder:<24}{:>12} events{:>6} files{:>10}\n",
            count(sums.rows),
            count(sums.files),
            bytes(sums.bytes)
        );
    }
    text += "\nread so far\n";
    for (place, state) in places(ledger) {
        text += &format!("  {place}  {state}\n");
    }
    text += "\nlast commits\n";
    for commit in history {
        text += &format!(
            "  {:>6}  {}  {}{}\n",
            commit.version.map_or_else(String::new, |it| it.to_string()),
            commit.millis.map_or_else(String::new, |it| time(it * 1000)),
            commit.operation,
            commit.files.map_or_else(String::new, |(out, new)| format!(
                "  {} out, {} in",
                counted(out, "file"),
                count(new)
            ))
        );
    }
    text += &format!("\nupkeep\n  {}\n", plan_line(&version.files, TARGET_BYTES));
    text
}

fn as_json(version: &Version, ledger: &Ledger, history: &[CommitSummary]) -> serde_json::Value {
    let sums = |sums: &Sums| {
        json!({
            "files": sums.files, "bytes": sums.bytes, "events": sums.rows,
            "first": sums.times.map(|it| time(it.0)), "last": sums.times.map(|it| time(it.1)),
        })
    };
    let partitions: serde_json::Map<String, serde_json::Value> = by_partition(version)
        .iter()
        .map(|(folder, it)| (folder.clone(), sums(it)))
        .collect();
    let places: serde_json::Map<String, serde_json::Value> = places(ledger)
        .into_iter()
        .map(|(place, state)| (place, state.into()))
        .collect();
    let commits = history.iter().map(|it| {
        json!({
            "version": it.version, "time": it.millis.map(|it| time(it * 1000)),
            "operation": it.operation, "engine": it.engine,
            "files_out": it.files.map(|it| it.0), "files_in": it.files.map(|it| it.1),
        })
    });
    json!({
        "version": version.number,
        "partition_by": version.partition_by.to_string(),
        "all": sums(&Sums::of(&*version.files)),
        "partitions": partitions,
        "read": places,
        "commits": commits.collect::<Vec<_>>(),
    })
}

/// Returns how far each source was read. Folders of objects are told together by their first parts,
/// as a trail has one for each day.
fn places(ledger: &Ledger) -> Vec<(String, String)> {
    let mut objects: BTreeMap<String, usize> = BTreeMap::new();
    let mut places = Vec::new();
    for (id, position) in ledger.checkpoint.partitions() {
        match position {
            Position::Objects(_) => {
                let parts: Vec<&str> = id.split_inclusive('/').take(TOLD_PARTS).collect();
                *objects.entry(parts.concat()).or_default() += 1;
            }
            Position::Sequence(number) => places.push((id.to_owned(), format!("to {number}"))),
            Position::Time { micros, .. } => {
                places.push((id.to_owned(), format!("to {}", time(*micros))))
            }
            Position::End => places.push((id.to_owned(), "to its end".to_owned())),
        }
    }
    let folders = objects.into_iter().map(|(place, number)| {
        let noun = if number == 1 { "folder" } else { "folders" };
        (place, format!("{} {noun} of files", count(number as u64)))
    });
    folders.chain(places).collect()
}

fn time(micros: i64) -> String {
    let time = DateTime::<Utc>::from_timestamp_micros(micros);
    time.map_or_else(String::new, |time| {
        time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
    })
}

/// Parts of a folder's URL that it is told by: scheme, bucket, `AWSLogs`, account and trail.
const TOLD_PARTS: usize = 7;
