//! Trail files to Parquet, by each tool.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use auroratrail::events::columns::{Column, ColumnClass, ColumnType, catalog};
use serde_json::{Value, json};

use super::groups::{Group, Line};
use super::tools::{self, Tool};
use super::trail::Trail;
use super::{Bench, cells};

/// Returns the folder that a tool writes.
pub fn folder(trail: &Trail, name: &str) -> PathBuf {
    trail.folder.with_file_name(name)
}

/// Builds all commands; the first is the query that the others are compared with.
pub fn writings(bench: &Bench, trail: &Trail) -> Vec<Group> {
    let files = format!("{}/**/*.json.gz", trail.folder.display());
    let group = |name, line: Option<Line>| {
        let lines = line.into_iter().collect();
        Group { name, lines }
    };
    let other = |tool: Tool, name: &str, sql: &dyn Fn(&str, &str) -> String| {
        let to = folder(trail, name);
        let line = bench.other(tool, &sql(&files, &to.display().to_string()));
        line.map(|line| Line {
            makes: Some(to),
            ..line
        })
    };
    let fields = "record's fields as Parquet";
    vec![
        group("query of every column", Some(every_column(bench, trail))),
        group("lake of every column", Some(ingest(bench, trail))),
        group(fields, other(Tool::DuckDb, "duckdb-fields", &duckdb_fields)),
        group(
            fields,
            other(Tool::ClickHouse, "clickhouse", &clickhouse_fields),
        ),
        group(
            "fields and leaves as Parquet",
            other(Tool::DuckDb, "duckdb-leaves", &duckdb_leaves),
        ),
    ]
}

fn every_column(bench: &Bench, trail: &Trail) -> Line {
    let columns = catalog().columns().iter();
    let counts: Vec<String> = columns.map(|c| format!("count({})", c.name)).collect();
    let sql = format!("SELECT {} FROM events", counts.join(", "));
    let command = tools::query(&sql, &trail.folder, bench.threads);
    Line::new(Tool::Ours, command)
}

fn ingest(bench: &Bench, trail: &Trail) -> Line {
    let lake = folder(trail, "lake");
    let mut command = tools::ours("ingest", bench.threads);
    command.arg(&trail.folder).arg("--to").arg(&lake);
    command.args(["--keep", "all"]);
    Line {
        makes: Some(lake),
        ..Line::new(Tool::Ours, command)
    }
}

/// The record's own fields, which every tool can give; `resources` as JSON, and without the two that
/// hold what the others do not keep.
fn record_fields() -> impl Iterator<Item = &'static Column> {
    catalog().columns().iter().filter(|column| {
        let is_made = matches!(&*column.path, "nullFields" | "unmapped");
        column.class == ColumnClass::Record && !is_made
    })
}

/// DuckDB's name of a type in `json_transform`.
fn duckdb_type(column: &Column) -> Value {
    match column.column_type {
        ColumnType::Text | ColumnType::Time => "VARCHAR".into(),
        ColumnType::Json | ColumnType::Resources => "JSON".into(),
        ColumnType::Boolean => "BOOLEAN".into(),
        ColumnType::Integer => "BIGINT".into(),
        ColumnType::Double => "DOUBLE".into(),
        ColumnType::Texts => json!(["VARCHAR"]),
    }
}

/// DuckDB's value of a column at a path.
fn duckdb_value(column: &Column, path: &str) -> String {
    match column.column_type {
        ColumnType::Time => format!("TRY_CAST({path} AS TIMESTAMPTZ) AS {}", column.name),
        _ => format!("{path} AS {}", column.name),
    }
}

fn duckdb_fields(files: &str, to: &str) -> String {
    duckdb(&duckdb_records(files, &[]), to)
}

/// The fields, and of those that are JSON all leaves of the catalog, by a second pass over each.
fn duckdb_leaves(files: &str, to: &str) -> String {
    let columns = catalog().columns();
    let has_children = |path: &str| {
        let child = |column: &Column| column.path.strip_prefix(path)?.strip_prefix('.').map(drop);
        columns.iter().any(|column| child(column).is_some())
    };
    let mut structures: BTreeMap<&str, Value> = BTreeMap::new();
    let mut values = Vec::new();
    for column in columns {
        let is_leaf = column.class == ColumnClass::Flattened && !has_children(&column.path);
        let Some((root, below)) = column.path.split_once('.').filter(|_| is_leaf) else {
            continue;
        };
        let mut place = structures.entry(root).or_insert_with(|| json!({}));
        for key in below.split('.') {
            place = &mut place[key];
        }
        *place = duckdb_type(column);
        let quoted: Vec<String> = below.split('.').map(|key| format!("\"{key}\"")).collect();
        let path = format!("leaves_{root}.{}", quoted.join("."));
        values.push(duckdb_value(column, &path));
    }
    let transform = |(root, structure): (&&str, &Value)| {
        format!("json_transform({root}, '{structure}') AS leaves_{root}")
    };
    let transforms: Vec<String> = structures.iter().map(transform).collect();
    let fields: Vec<&str> = record_fields().map(|field| &*field.name).collect();
    duckdb(
        &format!(
            "SELECT {}, dt, {} FROM ({})",
            fields.join(", "),
            values.join(", "),
            duckdb_records(files, &transforms),
        ),
        to,
    )
}

/// The records of trail files with their fields and day, and more values.
fn duckdb_records(files: &str, more: &[String]) -> String {
    let fields = record_fields().map(|field| (field.path.clone(), duckdb_type(field)));
    let structure = Value::Object(fields.collect());
    let values = record_fields().map(|field| duckdb_value(field, &format!("r.{}", field.path)));
    let day = "r.eventTime[:10] AS dt".to_owned();
    let values: Vec<String> = values.chain([day]).chain(more.iter().cloned()).collect();
    format!(
        "SELECT {} FROM (SELECT unnest(json_transform(json, '{{\"Records\": [{structure}]}}').Records) \
         AS r FROM read_json_objects('{files}', format = 'unstructured'))",
        values.join(", ")
    )
}

fn duckdb(select: &str, to: &str) -> String {
    format!(
        "COPY ({select}) TO '{to}' (FORMAT parquet, PARTITION_BY (dt), COMPRESSION zstd, \
         COMPRESSION_LEVEL 1)"
    )
}

fn clickhouse_fields(files: &str, to: &str) -> String {
    let typed = |field: &Column| match field.column_type {
        ColumnType::Boolean => format!("{} Nullable(Bool)", field.path),
        _ => format!("{} Nullable(String)", field.path),
    };
    let value = |field: &Column| match field.column_type {
        ColumnType::Time => format!(
            "parseDateTime64BestEffortOrNull(r.{}, 6, 'UTC') AS {}",
            field.path, field.name
        ),
        _ => format!("r.{} AS {}", field.path, field.name),
    };
    let types: Vec<String> = record_fields().map(typed).collect();
    let values: Vec<String> = record_fields().map(value).collect();
    format!(
        "INSERT INTO FUNCTION file('{to}/dt={{_partition_id}}/part.parquet', Parquet) \
         PARTITION BY dt SELECT {}, substring(r.eventTime, 1, 10) AS dt FROM (SELECT \
         arrayJoin(JSONExtract(raw_blob, 'Records', 'Array(Tuple({}))')) AS r \
         FROM file('{files}', RawBLOB, 'raw_blob String')) \
         SETTINGS output_format_parquet_compression_method = 'zstd', output_format_compression_level = 1",
        values.join(", "),
        types.join(", "),
    )
}

/// Checks that no event is missing in what was written, and prints the table.
pub fn report(bench: &Bench, trail: &Trail, groups: &[Group]) -> Result<(), String> {
    let query = groups.first().and_then(|group| group.lines.first());
    let query = query.and_then(|line| line.best.clone()).unwrap_or_default();
    println!("{HEAD}");
    for (name, line) in lines(groups) {
        let Some(run) = &line.best else { continue };
        let mut stored = String::new();
        if let Some(folder) = &line.makes {
            check(bench, trail, line.tool, folder)?;
            stored = format!("{:.1}", bytes_below(folder).unwrap_or(0) as f64 / 1e6);
        }
        println!(
            "| {name:<35} | {:<11} | {} | {:>6.0} | {stored:>7} | {:>9.2} |",
            line.tool.name(),
            cells(run),
            trail.bytes as f64 / 1e6 / run.wall.as_secs_f64(),
            run.cpu.as_secs_f64() / query.cpu.as_secs_f64(),
        );
    }
    println!();
    Ok(())
}

fn lines(groups: &[Group]) -> impl Iterator<Item = (&'static str, &Line)> {
    let groups = groups.iter();
    groups.flat_map(|group| group.lines.iter().map(move |line| (group.name, line)))
}

/// Checks what a tool wrote: ours event by event, of the others the number.
fn check(bench: &Bench, trail: &Trail, tool: Tool, folder: &Path) -> Result<(), String> {
    let files = format!("{}/dt=*/*.parquet", folder.display());
    let other = |table: &str| {
        let line = bench.other(tool, &format!("SELECT count(*) FROM {table}"));
        let line = line.ok_or("the tool is not installed")?;
        let found = bench.output(line)?.trim().to_owned();
        Ok::<_, String>((found, trail.events.to_string()))
    };
    let (found, expected) = match tool {
        Tool::DuckDb => other(&format!("read_parquet('{files}')"))?,
        Tool::ClickHouse => other(&format!("file('{files}', Parquet)"))?,
        _ => {
            // Each event is there once.
            let mut command = tools::query(SUMS, &trail.folder, bench.threads);
            command.arg("--dedup");
            let expected = bench.output(Line::new(Tool::Ours, command))?;
            (brought_back(bench, folder)?, expected)
        }
    };
    match found == expected {
        true => Ok(()),
        false => Err(format!(
            "{}: {} wrote events {found}, expected {expected}",
            folder.display(),
            tool.name()
        )),
    }
}

/// Brings all records back out of a lake, as JSON, and reads these as the trail is read.
fn brought_back(bench: &Bench, lake: &Path) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("the way back from the lake: {error}");
    let mut records = tools::ours("query", bench.threads);
    records.args(["--format", "ndjson", "SELECT record FROM events"]);
    records.arg(lake).stdout(Stdio::piped());
    let mut records = records.spawn().map_err(failed)?;
    let pipe = records.stdout.take().expect("it is piped");
    let mut sums = tools::query(SUMS, Path::new("-"), bench.threads);
    let sums = sums.stdin(pipe).output().map_err(failed)?;
    let are_done = records.wait().map_err(failed)?.success() && sums.status.success();
    match are_done {
        true => Ok(String::from_utf8_lossy(&sums.stdout).into_owned()),
        false => Err(format!(
            "the way back from the lake: {}",
            String::from_utf8_lossy(&sums.stderr)
        )),
    }
}

/// Sums that two sets of events share if each event of one is in the other, as many times. A fingerprint is that
/// of the JSON value.
const SUMS: &str = "SELECT count(*), count(DISTINCT eventID), bit_xor(fingerprint), \
                    sum(fingerprint % 1000003) FROM events";

fn bytes_below(folder: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        bytes += match entry.file_type()?.is_dir() {
            true => bytes_below(&entry.path())?,
            false => entry.metadata()?.len(),
        };
    }
    Ok(bytes)
}

/// Removes what was written, but for the folder `kept`.
pub fn clear(groups: &[Group], kept: &Path) -> Result<(), String> {
    let made = lines(groups).filter_map(|(_, line)| line.makes.as_ref());
    for folder in made.filter(|folder| *folder != kept && folder.exists()) {
        fs::remove_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    Ok(())
}

const HEAD: &str = "\
| written from the trail files        | tool        |  wall s |  CPU s |   MiB |   MB/s |  MB now | CPU/query |
| ---                                 | ---         |     --: |    --: |   --: |    --: |     --: |       --: |";
