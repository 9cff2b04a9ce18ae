//! The questions in each tool's syntax.
//!
//! A trail file is one JSON object with an array of some hundred records, on one line. Each tool
//! reads the records in the fastest way that was tried and that gives the same answer (see the doc
//! comment of the bench).

use std::process::Command;

use auroratrail::events::columns::{Column, ColumnClass, ColumnType, catalog};
use serde_json::json;

use super::tools::{self, Python, Tool};
use super::trail::Trail;

/// A question and its form for each tool.
pub struct Question {
    pub name: &'static str,
    pub ours: String,
    /// Query by tool, with `TRAIL` for the files.
    pub duckdb: Option<String>,
    pub clickhouse: Option<String>,
}

/// All questions.
pub fn questions() -> Vec<Question> {
    vec![start(), who(), rare(), leaves(), everything()]
}

/// The start of a process. (The other tools are Python modules.)
fn start() -> Question {
    let query = String::from("SELECT 1");
    Question {
        name: "only starting: SELECT 1",
        ours: query.clone(),
        duckdb: Some(query.clone()),
        clickhouse: Some(query),
    }
}

/// The README's first query: one leaf of every record.
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
        clickhouse: Some(clickhouse(
            "r.userIdentity.userName, count()",
            "userIdentity Tuple(userName Nullable(String))",
            "GROUP BY 1",
        )),
    }
}

/// Every column: objects as JSON, leaves of all types, and derived columns. No other tool has
/// these.
fn everything() -> Question {
    let columns = catalog().columns().iter();
    let counts: Vec<String> = columns.map(|c| format!("count({})", c.name)).collect();
    Question {
        name: "count of every column",
        ours: format!("SELECT {} FROM events", counts.join(", ")),
        duckdb: None,
        clickhouse: None,
    }
}

/// Every text leaf, which DuckDB supports too. (ClickHouse did not answer within minutes, with
/// tuples or with a JSON type.)
fn leaves() -> Question {
    let columns = catalog().columns();
    let is_leaf = |path: &str| {
        let inside = |column: &Column| column.path.strip_prefix(path)?.strip_prefix('.').map(drop);
        columns.iter().filter_map(inside).next().is_none()
    };
    let texts = columns.iter().filter(|column| {
        let (class, kind) = (column.class, column.column_type);
        let is_text = class == ColumnClass::Flattened && kind == ColumnType::Text;
        // The events have `kmsKeyId`, which is the same column here and another key there.
        is_text && is_leaf(&column.path) && !column.path.ends_with("kMSKeyId")
    });
    let (mut ours, mut theirs, mut structure) = (Vec::new(), Vec::new(), json!({}));
    for column in texts {
        ours.push(format!("count({})", column.name));
        theirs.push(format!("count(r.{})", column.path));
        let mut place = &mut structure;
        for key in column.path.split('.') {
            place = &mut place[key];
        }
        *place = "VARCHAR".into();
    }
    Question {
        name: "count of every leaf that is text",
        ours: format!("SELECT {} FROM events", ours.join(", ")),
        duckdb: Some(duckdb(&theirs.join(", "), &structure.to_string(), "")),
        clickhouse: None,
    }
}

/// Some fields of a few events.
fn rare() -> Question {
    Question {
        name: "who deleted clusters: a rare event",
        ours: "SELECT userIdentity.arn, sourceIPAddress, count(*) FROM events \
               WHERE eventName = 'DeleteDBCluster' GROUP BY 1, 2"
            .into(),
        duckdb: Some(duckdb(
            "r.userIdentity.arn, r.sourceIPAddress, count(*)",
            r#"{"eventName": "VARCHAR", "sourceIPAddress": "VARCHAR", "userIdentity": {"arn": "VARCHAR"}}"#,
            "WHERE r.eventName = 'DeleteDBCluster' GROUP BY 1, 2",
        )),
        clickhouse: Some(clickhouse(
            "r.userIdentity.arn, r.sourceIPAddress, count()",
            "eventName Nullable(String), sourceIPAddress Nullable(String), \
             userIdentity Tuple(arn Nullable(String))",
            "WHERE r.eventName = 'DeleteDBCluster' GROUP BY 1, 2",
        )),
    }
}

/// DuckDB's query. `read_json` with the same structure as its columns takes ten times as long.
fn duckdb(select: &str, structure: &str, rest: &str) -> String {
    format!(
        "SELECT {select} FROM (SELECT unnest(json_transform(json, \
         '{{\"Records\": [{structure}]}}').Records) AS r \
         FROM read_json_objects('TRAIL', format = 'unstructured')) {rest}"
    )
}

/// ClickHouse's query. `JSONEachRow` with `Records` as its column takes a fifth longer.
fn clickhouse(select: &str, fields: &str, rest: &str) -> String {
    format!(
        "SELECT {select} FROM (SELECT arrayJoin(JSONExtract(raw_blob, 'Records', \
         'Array(Tuple({fields}))')) AS r FROM file('TRAIL', RawBLOB, 'raw_blob String')) {rest}"
    )
}

impl Question {
    /// Builds the command that answers the question with `tool`, if there is a query for it.
    pub fn command(
        &self,
        tool: Tool,
        trail: &Trail,
        threads: usize,
        python: Option<&Python>,
    ) -> Option<Command> {
        let files = format!("{}/**/*.json.gz", trail.folder.display());
        let query = match tool {
            Tool::Inflate => return None,
            Tool::Ours => return Some(tools::query(&self.ours, &trail.folder, threads)),
            Tool::Lake => return Some(tools::query(&self.ours, &trail.lake(), threads)),
            Tool::FirstCached | Tool::Cached => {
                let mut command = tools::query(&self.ours, &trail.folder, threads);
                command.args(["--cache", "--cache-folder"]);
                command.arg(trail.cache(tool == Tool::FirstCached));
                return Some(command);
            }
            Tool::DuckDb => self.duckdb.as_ref()?,
            Tool::ClickHouse => self.clickhouse.as_ref()?,
        };
        Some(python?.command(tool, threads, &query.replace("TRAIL", &files)))
    }
}
