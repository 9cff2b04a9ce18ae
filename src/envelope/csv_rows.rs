//! CSV files about CloudTrail events: the console's event history, rows with the fields of events or with
//! JSON in a cell, which become records; and query results, which have too little in them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Read;

use super::classify::{RECORD_FIELDS, has_record_mark};
use super::spelling::NULL_FIELDS;

/// The kind of a CSV file, told by its first lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// The event history page's "Download as CSV".
    EventHistory,
    /// Rows whose columns are the fields of events, as `SELECT *` writes them, or whose cells hold JSON
    /// with events, as Logs Insights and others write it.
    Rows,
    /// The results of a query, by Athena or CloudTrail Lake, with objects in a form of their own.
    QueryResults,
}

/// Bytes of a file that are looked at for a cell with an event.
const HEAD_BYTES: usize = 1 << 20;

/// Recognises the file by its first lines.
pub(super) fn header(text: &str) -> Option<Header> {
    // A trail file is JSON, one line of a megabyte, and not to be searched for its end.
    if text.starts_with(['{', '[']) {
        return None;
    }
    let line = text.lines().next()?;
    // JSON text in quotes is no line of titles.
    let titles = if line.contains(['{', '\\']) { "" } else { line };
    let names: Vec<String> = titles.split(',').map(fold).collect();
    let has = |name: &str| names.iter().any(|n| n == name);
    let is_event = has("eventname") && has("eventsource");
    if line.contains(' ') && is_event && has("eventtime") {
        return Some(Header::EventHistory);
    }
    if is_event && (has("eventversion") || has("eventid")) && has_json_identity(text) {
        return Some(Header::Rows);
    }
    if has_json_cells(text) {
        return Some(Header::Rows);
    }
    // Athena's and CloudTrail Lake's columns are as the query chose them.
    let known = COLUMNS.iter().filter(|name| has(name)).count();
    (known >= 2).then_some(Header::QueryResults)
}

/// Columns, of which query results on CloudTrail events have at least two.
const COLUMNS: &[&str] = &[
    "eventid",
    "eventjson",
    "eventname",
    "eventsource",
    "eventtime",
    "eventversion",
    "useridentity",
];

/// Returns whether the identity in the first row is JSON, or not there. Athena writes
/// `{type=IAMUser, username=maria}`, which cannot be taken apart for certain.
fn has_json_identity(text: &str) -> bool {
    let mut row = csv::StringRecord::new();
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .from_reader(text.as_bytes());
    let Ok(names) = reader.headers().cloned() else {
        return false;
    };
    let identity = names.iter().position(|name| fold(name) == "useridentity");
    match (identity, reader.read_record(&mut row)) {
        (Some(index), Ok(true)) => row.get(index).is_none_or(|cell| {
            let inside = cell.trim_start_matches('{').trim_start();
            !cell.starts_with('{') || inside.starts_with(['"', '}'])
        }),
        _ => true,
    }
}

/// Returns whether cells hold JSON with events, whose quotes CSV doubles.
fn has_json_cells(text: &str) -> bool {
    let head = &text.as_bytes()[..text.len().min(HEAD_BYTES)];
    let has = |mark: &str| memchr::memmem::find(head, mark.as_bytes()).is_some();
    has("\"\"eventVersion\"\":") || has("\"\"eventversion\"\":")
}

/// Makes JSON of each row: a record of the event history page's columns, under the names that records have;
/// or an object of the row's cells. `each` takes it with the row's offset, bytes. Returns the number of bytes
/// read.
pub(super) fn records(kind: Header, csv: impl Read, mut each: impl FnMut(&str, u64)) -> u64 {
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .has_headers(false)
        .from_reader(csv);
    let mut row = csv::ByteRecord::new();
    let mut names: Vec<String> = Vec::new();
    while let Ok(true) = reader.read_byte_record(&mut row) {
        let values: Vec<Cow<'_, str>> = row.iter().map(text).collect();
        if names.is_empty() {
            let is_data = values.iter().any(|cell| has_record_mark(cell));
            names = match kind {
                Header::EventHistory => values.iter().map(|name| fold(name)).collect(),
                // A file without a header begins with its first row.
                _ if is_data => (1..=values.len())
                    .map(|column| column.to_string())
                    .collect(),
                _ => values.iter().map(|name| name.to_string()).collect(),
            };
            if kind == Header::EventHistory || !is_data {
                continue;
            }
        }
        let cells = names
            .iter()
            .map(String::as_str)
            .zip(values.iter().map(|value| &**value));
        let json = match kind {
            Header::EventHistory => record(
                &cells
                    .filter(|(_, cell)| !cell.is_empty() && *cell != "-")
                    .collect(),
            ),
            _ => object(cells),
        };
        let byte = row.position().map_or(0, csv::Position::byte);
        each(&json.to_string(), byte);
    }
    reader.position().byte()
}

/// Makes an object of the cells of a row. Cells with nothing in them are no members, but for the column
/// that tells a row of `SELECT *`.
fn object<'a>(cells: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> serde_json::Value {
    let is_own = cells
        .clone()
        .any(|(name, _)| name.eq_ignore_ascii_case(NULL_FIELDS));
    let member = |(name, cell): (&str, &str)| {
        let is_flag = RECORD_FIELDS
            .iter()
            .any(|field| field.is_flag && field.is_named(name));
        let value = match cell {
            "" if name.eq_ignore_ascii_case(NULL_FIELDS) => serde_json::Value::Null,
            "" => return None,
            "true" | "false" if is_flag => (cell == "true").into(),
            // What spreadsheets would run as a formula is written after a quote.
            _ if is_own => cell.strip_prefix('\'').unwrap_or(cell).into(),
            _ => cell.into(),
        };
        Some((name.to_owned(), value))
    };
    serde_json::Value::Object(cells.filter_map(member).collect())
}

fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// Reduces a column title to its letters: the page has changed its spacing and case over the years.
fn fold(name: &str) -> String {
    name.chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|char| char.to_ascii_lowercase())
        .collect()
}

fn record(cells: &HashMap<&str, &str>) -> serde_json::Value {
    let mut record = serde_json::Map::new();
    for (title, key) in [
        ("eventtime", "eventTime"),
        ("eventsource", "eventSource"),
        ("eventname", "eventName"),
        ("awsregion", "awsRegion"),
        ("sourceipaddress", "sourceIPAddress"),
        ("useragent", "userAgent"),
        ("errorcode", "errorCode"),
        ("errormessage", "errorMessage"),
        ("requestid", "requestID"),
        ("eventid", "eventID"),
        ("eventtype", "eventType"),
        ("recipientaccountid", "recipientAccountId"),
    ] {
        if let Some(cell) = cells.get(title) {
            record.insert(key.to_owned(), (*cell).into());
        }
    }
    if let Some(cell) = cells.get("readonly") {
        record.insert(
            "readOnly".to_owned(),
            cell.eq_ignore_ascii_case("true").into(),
        );
    }
    let mut identity = serde_json::Map::new();
    for (title, key) in [("username", "userName"), ("awsaccesskey", "accessKeyId")] {
        if let Some(cell) = cells.get(title) {
            identity.insert(key.to_owned(), (*cell).into());
        }
    }
    record.insert("userIdentity".to_owned(), identity.into());
    record.into()
}
