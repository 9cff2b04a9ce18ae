//! Questions about the lake in each tool's syntax.

use std::path::Path;

use super::groups::{Group, Line};
use super::measure::Run;
use super::tools::{self, Tool, rows};
use super::{Bench, cells};

/// A question and its form for each tool, with `LAKE` for the files.
pub struct Question {
    name: &'static str,
    ours: String,
    duckdb: String,
    clickhouse: String,
}

/// An event from the middle of the lake.
pub struct LakeFacts {
    event_id: String,
    day: String,
}

impl LakeFacts {
    /// Asks the lake for its event.
    pub fn of(bench: &Bench, lake: &Path) -> Result<Self, String> {
        let count: u64 = ask(bench, lake, "SELECT count(*) FROM events")?
            .parse()
            .map_err(|error| format!("the lake's count is no number: {error}"))?;
        let middle = format!(
            "SELECT eventID, eventTime FROM events ORDER BY eventTime, eventID LIMIT 1 OFFSET {}",
            count / 2
        );
        let event = ask(bench, lake, &middle)?;
        let (event_id, time) = event.split_once(',').ok_or("the lake has no event")?;
        let day = time.get(..10).ok_or("an event of the lake has no time")?;
        Ok(Self {
            event_id: event_id.to_owned(),
            day: day.to_owned(),
        })
    }
}

/// Returns the only row of an answer of ours.
pub fn ask(bench: &Bench, source: &Path, sql: &str) -> Result<String, String> {
    let command = tools::query(sql, source, bench.threads);
    let csv = bench.output(Line::new(Tool::Ours, command))?;
    let row = rows(&csv, true).first().map(|row| (*row).to_owned());
    row.ok_or_else(|| format!("no answer to {sql}"))
}

/// All questions; the first only starts the tools.
pub fn questions(facts: &LakeFacts) -> Vec<Question> {
    vec![
        start(),
        count(),
        who(),
        identifier(&facts.event_id),
        day(&facts.day),
        latest(),
    ]
}

/// The start of a process. (The other tools are Python modules.)
fn start() -> Question {
    let query = "SELECT 1";
    Question {
        name: "only starting: SELECT 1",
        ours: query.to_owned(),
        duckdb: query.to_owned(),
        clickhouse: query.to_owned(),
    }
}

/// What the log of the lake and the files' footers know.
fn count() -> Question {
    Question {
        name: "count of all events",
        ours: "SELECT count(*) FROM events".to_owned(),
        duckdb: format!("SELECT count(*) FROM {DUCKDB}"),
        clickhouse: format!("SELECT count() FROM {}", clickhouse(&["eventid"])),
    }
}

/// One column of every row.
fn who() -> Question {
    let column = "useridentity_username";
    Question {
        name: "events by user name (one column)",
        ours: "SELECT userIdentity.userName, count(*) FROM events GROUP BY 1".to_owned(),
        duckdb: format!("SELECT {column}, count(*) FROM {DUCKDB} GROUP BY 1"),
        clickhouse: format!(
            "SELECT {column}, count() FROM {} GROUP BY 1",
            clickhouse(&[column])
        ),
    }
}

/// A row that bloom filters find.
fn identifier(event_id: &str) -> Question {
    let columns = ["eventname", "useridentity_arn", "awsregion", "eventid"];
    let select = columns.join(", ");
    let condition = format!("WHERE eventid = '{event_id}'");
    Question {
        name: "an event by its ID",
        ours: format!(
            "SELECT eventName, userIdentity.arn, awsRegion, eventID FROM events {condition}"
        ),
        duckdb: format!("SELECT {select} FROM {DUCKDB} {condition}"),
        clickhouse: format!("SELECT {select} FROM {} {condition}", clickhouse(&columns)),
    }
}

/// The rows of one folder.
fn day(day: &str) -> Question {
    let select = "SELECT eventname, awsregion, count(*)";
    Question {
        name: "calls of a day",
        ours: format!(
            "SELECT eventName, awsRegion, count(*) FROM events WHERE eventTime BETWEEN \
             TIMESTAMP '{day} 00:00:00' AND TIMESTAMP '{day} 23:59:59.999999' GROUP BY 1, 2"
        ),
        duckdb: format!("{select} FROM {DUCKDB} WHERE dt = DATE '{day}' GROUP BY 1, 2"),
        clickhouse: format!(
            "{select} FROM {} WHERE dt = '{day}' GROUP BY 1, 2",
            clickhouse(&["eventname", "awsregion"])
        ),
    }
}

/// The latest rows. The others write times as we do.
fn latest() -> Question {
    let columns = ["eventid", "eventname", "actor"];
    let list = columns.join(", ");
    let rest = "ORDER BY eventtime DESC, eventid LIMIT 20";
    Question {
        name: "the latest 20 events",
        ours: "SELECT eventTime, eventID, eventName, actor FROM events \
               ORDER BY eventTime DESC, eventID LIMIT 20"
            .to_owned(),
        duckdb: format!(
            "SELECT strftime(make_timestamp(epoch_us(eventtime)), '%Y-%m-%dT%H:%M:%SZ'), {list} \
             FROM (SELECT eventtime, {list} FROM {DUCKDB} {rest})"
        ),
        clickhouse: format!(
            "SELECT formatDateTime(eventtime, '%Y-%m-%dT%H:%i:%SZ'), {list} FROM {} {rest}",
            clickhouse(&["eventtime", "eventid", "eventname", "actor"])
        ),
    }
}

const DUCKDB: &str = "read_parquet('LAKE', hive_partitioning = true, union_by_name = true)";

/// ClickHouse's table: without a type for each column it knows those of the first file only.
fn clickhouse(columns: &[&str]) -> String {
    let typed = |column: &&str| match *column {
        "eventtime" => "eventtime Nullable(DateTime64(6, \\'UTC\\'))".to_owned(),
        text => format!("{text} Nullable(String)"),
    };
    let columns: Vec<String> = columns.iter().map(typed).collect();
    format!("file('LAKE', Parquet, '{}')", columns.join(", "))
}

/// Builds the commands of a question.
pub fn group(bench: &Bench, lake: &Path, question: &Question) -> Group {
    let files = format!("{}/dt=*/*.parquet", lake.display());
    let ours = tools::query(&question.ours, lake, bench.threads);
    let others = [
        (Tool::DuckDb, &question.duckdb),
        (Tool::ClickHouse, &question.clickhouse),
    ];
    let other = |(tool, sql): (Tool, &String)| bench.other(tool, &sql.replace("LAKE", &files));
    let ours = Some(Line::new(Tool::Ours, ours));
    Group {
        name: question.name,
        lines: ours
            .into_iter()
            .chain(others.into_iter().filter_map(other))
            .collect(),
    }
}

/// Checks the answers and prints the table.
pub fn report(groups: &[Group]) -> Result<(), String> {
    println!("{HEAD}");
    for group in groups {
        group.check()?;
        for line in &group.lines {
            let Some(run) = &line.best else { continue };
            let ratios = match line.tool {
                Tool::Ours => ratios(groups, group),
                _ => format!("{:>10} | {:>10}", "", ""),
            };
            println!(
                "| {:<35} | {:<11} | {} | {:>10.3} | {ratios} |",
                group.name,
                line.tool.name(),
                cells(run),
                less_start(groups, line.tool, run),
            );
        }
    }
    Ok(())
}

/// Returns our time by that of the faster of the others, with and without the start.
fn ratios(groups: &[Group], group: &Group) -> String {
    let least = |is_ours: bool, seconds: &dyn Fn(Tool, &Run) -> f64| {
        let lines = group.lines.iter();
        let lines = lines.filter(|line| (line.tool == Tool::Ours) == is_ours);
        let times = lines.filter_map(|line| Some(seconds(line.tool, line.best.as_ref()?)));
        times.reduce(f64::min)
    };
    let ratio = |seconds: &dyn Fn(Tool, &Run) -> f64| {
        let (ours, other) = (least(true, seconds)?, least(false, seconds)?);
        Some(format!("{:.2}", ours / other))
    };
    let wall = ratio(&|_, run| run.wall.as_secs_f64()).unwrap_or_default();
    let bare =
        ratio(&|tool, run| less_start(groups, tool, run).max(STARTS_VARY)).unwrap_or_default();
    format!("{wall:>10} | {bare:>10}")
}

/// Returns the seconds of a run without those of the tool's start.
fn less_start(groups: &[Group], tool: Tool, run: &Run) -> f64 {
    let lines = groups.first().map_or(&[][..], |start| &start.lines);
    let start = lines.iter().find(|line| line.tool == tool);
    let start = start.and_then(|line| line.best.as_ref());
    let start = start.map_or(0.0, |run| run.wall.as_secs_f64());
    (run.wall.as_secs_f64() - start).max(0.0)
}

/// Seconds by which starts vary, so that less is not told from more.
const STARTS_VARY: f64 = 0.005;

const HEAD: &str = "\
| question about the lake             | tool        |  wall s |  CPU s |   MiB | less start | to fastest | less start |
| ---                                 | ---         |     --: |    --: |   --: |        --: |        --: |        --: |";
