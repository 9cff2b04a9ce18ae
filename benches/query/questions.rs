//! What is asked, in the words of each tool; and the tools.
//!
//! A trail file is one JSON object with an array of some hundred records, on one line. Each tool
//! gets the fastest of the ways to say "the records in it" that were tried and that give the same
//! answer (see the doc comment of the bench).

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use auroratrail::events::columns::catalog;

use super::trail::Trail;

/// A question, and how it is put to whom.
pub struct Question {
    pub name: &'static str,
    pub ours: String,
    /// `TRAIL` stands for the files.
    pub duckdb: Option<String>,
    pub clickhouse: Option<String>,
}

/// What runs a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    Ours,
    DuckDb,
    ClickHouse,
}

impl Tool {
    pub fn name(self) -> &'static str {
        match self {
            Tool::Ours => "auroratrail",
            Tool::DuckDb => "DuckDB",
            Tool::ClickHouse => "ClickHouse (chdb)",
        }
    }
}

/// All questions.
pub fn questions() -> Vec<Question> {
    vec![who(), everything(), rare()]
}

/// The README's first: one leaf of every record.
fn who() -> Question {
    Question {
        name: "events by user name (one column)",
        ours: "SELECT userIdentity.userName, count(*) FROM events GROUP BY 1 ORDER BY 2 DESC"
            .into(),
        duckdb: Some(duckdb(
            "r.userIdentity.userName, count(*)",
            r#"{"userIdentity": {"userName": "VARCHAR"}}"#,
            "GROUP BY 1",
        )),
        clickhouse: Some(
            "SELECT arrayJoin(Records.userIdentity.userName) AS name, count() FROM file('TRAIL', \
             JSONEachRow, 'Records Array(Tuple(userIdentity Tuple(userName Nullable(String))))') \
             GROUP BY name"
                .into(),
        ),
    }
}

/// Every column there is. No other tool knows them.
fn everything() -> Question {
    let counts: Vec<String> = catalog()
        .columns()
        .iter()
        .map(|column| format!("count({})", column.name))
        .collect();
    Question {
        name: "count of every column",
        ours: format!("SELECT {} FROM events", counts.join(", ")),
        duckdb: None,
        clickhouse: None,
    }
}

/// Some fields of the few events that somebody looks for.
fn rare() -> Question {
    Question {
        name: "who deleted clusters (selective filter)",
        ours: "SELECT userIdentity.arn, sourceIPAddress, count(*) FROM events \
               WHERE eventName = 'DeleteDBCluster' GROUP BY 1, 2"
            .into(),
        duckdb: Some(duckdb(
            "r.userIdentity.arn, r.sourceIPAddress, count(*)",
            r#"{"eventName": "VARCHAR", "sourceIPAddress": "VARCHAR", "userIdentity": {"arn": "VARCHAR"}}"#,
            "WHERE r.eventName = 'DeleteDBCluster' GROUP BY 1, 2",
        )),
        clickhouse: Some(
            "SELECT r.userIdentity.arn, r.sourceIPAddress, count() FROM (SELECT \
             arrayJoin(arrayFilter(r -> r.eventName = 'DeleteDBCluster', Records)) AS r \
             FROM file('TRAIL', JSONEachRow, 'Records Array(Tuple(eventName Nullable(String), \
             sourceIPAddress Nullable(String), userIdentity Tuple(arn Nullable(String))))')) \
             GROUP BY 1, 2"
                .into(),
        ),
    }
}

/// `read_json` with the same structure as its columns takes ten times as long.
fn duckdb(select: &str, structure: &str, rest: &str) -> String {
    format!(
        "SELECT {select} FROM (SELECT unnest(json_transform(json, \
         '{{\"Records\": [{structure}]}}').Records) AS r \
         FROM read_json_objects('TRAIL', format = 'unstructured')) {rest}"
    )
}

/// The Python that has DuckDB and chdb.
pub struct Python(PathBuf);

impl Python {
    /// Where it is looked for.
    pub fn folder() -> PathBuf {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(OsString::new));
        cache
            .unwrap_or_else(|| home().join(".cache"))
            .join("auroratrail/venv-bench")
    }

    /// The Python there, if it is there.
    pub fn find() -> Option<Self> {
        let python = Self::folder().join("bin/python");
        python.exists().then_some(Self(python))
    }

    /// The command that has `tool` answer `query`.
    pub fn command(&self, tool: Tool, threads: usize, query: &str) -> Command {
        let module = match tool {
            Tool::ClickHouse => "chdb",
            _ => "duckdb",
        };
        let mut command = Command::new(&self.0);
        command.args(["-c", include_str!("others.py"), module]);
        command.arg(threads.to_string()).arg(query);
        command
    }

    /// Name and version of `tool`, or why it cannot be used.
    pub fn version(&self, tool: Tool) -> Result<String, String> {
        let out = self.command(tool, 1, "check").output();
        let out = out.map_err(|error| format!("cannot run {}: {error}", self.0.display()))?;
        if !out.status.success() {
            let said = String::from_utf8_lossy(&out.stderr);
            return Err(said.lines().last().unwrap_or("it failed").to_owned());
        }
        Ok(String::from_utf8_lossy(&out.stdout)
            .trim()
            .replace(',', " "))
    }
}

/// The command that has our binary answer `sql`.
pub fn ours(sql: &str, trail: &Path, threads: usize) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_auroratrail"));
    command.args([
        "query",
        "--format",
        "csv",
        "--threads",
        &threads.to_string(),
        sql,
    ]);
    command.arg(trail);
    command
}

impl Question {
    /// The command that has `tool` answer, if it is asked.
    pub fn command(
        &self,
        tool: Tool,
        trail: &Trail,
        threads: usize,
        python: Option<&Python>,
    ) -> Option<Command> {
        let files = format!("{}/**/*.json.gz", trail.folder.display());
        let query = match tool {
            Tool::Ours => return Some(ours(&self.ours, &trail.folder, threads)),
            Tool::DuckDb => self.duckdb.as_ref()?,
            Tool::ClickHouse => self.clickhouse.as_ref()?,
        };
        Some(python?.command(tool, threads, &query.replace("TRAIL", &files)))
    }
}

/// The rows of CSV in an order of their own, without the title line if there is one.
pub fn rows(csv: &str, titled: bool) -> Vec<&str> {
    let mut rows: Vec<&str> = csv.lines().skip(titled.into()).collect();
    rows.sort_unstable();
    rows
}
