//! `auroratrail catalog`: a lake as a table of other engines.

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::logs::{Level, say};
use super::report::count;
use crate::error::{Error, Result};
use crate::lake::Lake;
use crate::lake::catalog::{Form, Table, table_input};
use crate::lake::log::AsOf;
use crate::source::aws::AwsSettings;
use crate::source::{GlueTable, Location, Registered, Sources};

/// Print the DDL that makes a lake a table of Athena, Glue, Spark, Trino, DuckDB, Snowflake or ClickHouse
///
/// There are two tables: the Delta table, which has each event once; and one over all Parquet files
/// (with _parquet at the end of its name), for readers that know no Delta. That one sees events of replaced files twice until
/// a vacuum removes these.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct CatalogArguments {
    /// The lake
    #[arg(value_name = "LAKE")]
    lake: String,

    /// The engine
    #[arg(long = "for", value_enum, value_name = "ENGINE")]
    engine: Engine,

    /// The database or schema; auroratrail for Athena, Glue, Spark and Trino, otherwise the current one
    #[arg(long, value_name = "NAME")]
    database: Option<String>,

    /// The table
    #[arg(long, value_name = "NAME", default_value = "events")]
    table: String,

    /// Where the engine finds the lake, if not under the name given here
    #[arg(long, value_name = "URL")]
    location: Option<String>,

    /// Only the Delta table, or only the one over plain Parquet files; by default both, for glue the Delta table
    #[arg(long, value_enum, value_name = "FORM")]
    only: Option<OnlyForm>,

    /// A view cloudtrail_logs too, with the columns of AWS's own table for CloudTrail (Athena, Trino)
    #[arg(long)]
    view: bool,

    /// Register the table in Glue: make it and its database, or add to it what it lacks
    #[arg(long)]
    apply: bool,
}

/// An engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Engine {
    Athena,
    /// The AWS Glue Data Catalog: the table input, as JSON
    Glue,
    Spark,
    Trino,
    #[value(name = "duckdb")]
    DuckDb,
    Snowflake,
    #[value(name = "clickhouse")]
    ClickHouse,
}

/// A choice of tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OnlyForm {
    /// The files that the log names
    Delta,
    /// All Parquet files
    Parquet,
}

const EXAMPLES: &str = "\
Examples:
  auroratrail catalog s3://bucket/lake --for athena --database audit --view > lake.sql
  auroratrail catalog s3://bucket/lake --for glue --database audit --apply
  auroratrail catalog s3://bucket/lake --for glue --only parquet > table.json
  aws glue create-table --database-name audit --table-input file://table.json
  auroratrail catalog ./lake --for duckdb | duckdb lake.duckdb
  auroratrail catalog ./lake --for spark --location s3://bucket/lake

Glue needs glue:GetTable, glue:CreateTable, glue:UpdateTable and glue:CreateDatabase; see
`auroratrail iam --help`.";

pub(super) async fn run(arguments: CatalogArguments) -> Result<ExitCode> {
    arguments.check()?;
    let sources = Sources::new(AwsSettings::from_env());
    let table = arguments.described(&sources).await?;
    let forms = arguments.forms();
    if arguments.apply {
        let glue = table.glue(forms[0])?;
        let done = Box::pin(sources.register_in_glue(&glue)).await?;
        tell(&glue, &done);
        return Ok(ExitCode::SUCCESS);
    }
    let text = match arguments.engine {
        Engine::Athena => table.athena(&forms, arguments.view)?,
        Engine::Glue => format!("{:#}\n", table_input(&table.glue(forms[0])?)),
        Engine::Spark => table.spark(&forms),
        Engine::Trino => table.trino(&forms, arguments.view),
        Engine::DuckDb => table.duckdb(&forms),
        Engine::Snowflake => table.snowflake(&forms)?,
        Engine::ClickHouse => table.clickhouse(&forms),
    };
    // Nobody is there to be told that nobody reads it.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    Ok(ExitCode::SUCCESS)
}

impl CatalogArguments {
    /// Checks that the flags go together.
    fn check(&self) -> Result<()> {
        if self.apply && self.engine != Engine::Glue {
            return Err(Error::config(
                "--apply registers a table in Glue; expected --for glue with it (Athena finds that table too), or \
                 no --apply to print the DDL",
            ));
        }
        if self.view && !matches!(self.engine, Engine::Athena | Engine::Trino) {
            return Err(Error::config(
                "--view makes a view for Athena or Trino; expected --for athena or --for trino with it",
            ));
        }
        Ok(())
    }

    /// Returns the forms to describe; at least one.
    fn forms(&self) -> Vec<Form> {
        match (self.only, self.engine) {
            (Some(OnlyForm::Delta), _) | (None, Engine::Glue) => vec![Form::Delta],
            (Some(OnlyForm::Parquet), _) => vec![Form::Parquet],
            (None, _) => vec![Form::Delta, Form::Parquet],
        }
    }

    /// Returns the lake's newest version as a table.
    async fn described(&self, sources: &Sources) -> Result<Table> {
        let lake = Lake::open(sources, &self.lake).await?;
        let Some(version) = lake.version(AsOf::Latest).await? else {
            return Err(Error::config(format!(
                "{0} is no lake; `auroratrail ingest SOURCE --to {0}` makes one",
                self.lake
            )));
        };
        let location = match &self.location {
            Some(location) => location.clone(),
            None => location(sources, &self.lake)?,
        };
        Table::new(&version, &location, self.database.as_deref(), &self.table)
    }
}

/// Returns the URL of a lake in a bucket, or the whole path of one on a disk.
fn location(sources: &Sources, lake: &str) -> Result<String> {
    match sources.parse(lake)? {
        Location::Local(_) => {
            let path = std::path::absolute(lake);
            let path = path.and_then(std::fs::canonicalize).map_err(|error| {
                Error::io(format!("{lake} cannot be found: {error}")).caused_by(error)
            })?;
            Ok(path.to_string_lossy().into_owned())
        }
        s3 => Ok(s3.to_string()),
    }
}

fn tell(table: &GlueTable, done: &Registered) {
    let name = format!("{}.{}", table.database, table.name);
    if done.made_database {
        say(
            Level::Info,
            &format!("made the database {}", table.database),
        );
    }
    let what = match (done.added_columns.as_slice(), &done.changed_parameters) {
        _ if done.made_table => format!(
            "made the table {name} with {} columns",
            count(table.columns.len() as u64)
        ),
        ([], changed) if changed.is_empty() => {
            format!("the table {name} is as it should be; nothing was changed")
        }
        (added, changed) => format!(
            "added to the table {name}: columns {}; parameters {}",
            or_none(added),
            or_none(changed)
        ),
    };
    say(Level::Info, &what);
    for column in &done.other_types {
        say(
            Level::Warn,
            &format!("{name}: the type of a column was left as it is: {column}"),
        );
    }
}

fn or_none(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        names => names.join(", "),
    }
}
