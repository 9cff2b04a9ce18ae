//! `auroratrail sources check`: what would be read, and may it be?

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::Opened;
use super::report::count;
use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::lake::Lake;
use crate::lake::log::AsOf;
use crate::source::{AccessCheck, Location};
use crate::stream::CheckpointFile;

/// Look at sources before they are read
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(super) struct SourcesArguments {
    #[command(subcommand)]
    command: SourcesCommand,
}

#[derive(Debug, Subcommand)]
enum SourcesCommand {
    Check(CheckArguments),
}

/// Tell what would be read, which permissions are missing, and how far behind a reader is
///
/// Tries the requests that reading needs; nothing is read on. Exit status: 0 if all can be read, 2 if
/// anything cannot.
#[derive(Debug, Args)]
struct CheckArguments {
    /// The sources, as in ingest
    #[arg(value_name = "SOURCE", required = true)]
    sources: Vec<String>,

    /// The lake that they are read into: how far is it behind?
    #[arg(long, value_name = "LAKE", conflicts_with = "checkpoint")]
    to: Option<String>,

    /// The checkpoint file of a watch: how far is it behind?
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
}

pub(super) async fn run(arguments: SourcesArguments) -> Result<ExitCode> {
    let SourcesCommand::Check(arguments) = arguments.command;
    let opened = Opened::parse(&arguments.sources)?;
    let from = checkpoint(&arguments, &opened).await?;
    let mut failures = 0;
    for location in &opened.locations {
        println!("{location}");
        let checks = match location {
            Location::S3(_) | Location::Url(_) => {
                opened.sources.check_access(location, &from).await?
            }
            Location::Local(_) => Vec::new(),
        };
        if checks.is_empty() {
            local(&opened, location).await?;
        }
        for check in &checks {
            println!("  {}", line(check));
            failures += u64::from(check.error().is_some());
        }
    }
    match failures {
        0 => Ok(ExitCode::SUCCESS),
        failures => Err(Error::config(format!(
            "{} of the requests failed; for permissions, `auroratrail iam SOURCE` prints those that are needed",
            count(failures)
        ))),
    }
}

/// Returns how far a reader has come, by its lake or its file.
async fn checkpoint(arguments: &CheckArguments, opened: &Opened) -> Result<Checkpoint> {
    if let Some(path) = &arguments.checkpoint {
        let file = CheckpointFile::open(path)?;
        return Ok(file.checkpoint().cloned().unwrap_or_default());
    }
    let Some(to) = &arguments.to else {
        return Ok(Checkpoint::default());
    };
    let lake = Lake::open(&opened.sources, to).await?;
    match lake.version(AsOf::Latest).await? {
        Some(version) => Ok(lake.ledger(&version).await?.checkpoint),
        None => Ok(Checkpoint::default()),
    }
}

/// Tells of what needs no request.
async fn local(opened: &Opened, location: &Location) -> Result<()> {
    opened.sources.check(std::slice::from_ref(location)).await?;
    println!("  ok    it is there, and needs no permission in AWS");
    Ok(())
}

fn line(check: &AccessCheck) -> String {
    let AccessCheck {
        action, resource, ..
    } = check;
    match &check.outcome {
        Ok(found) => format!("ok    {action}  {resource}: {found}"),
        Err(error) => format!("FAIL  {action}  {resource}: {error}"),
    }
}
