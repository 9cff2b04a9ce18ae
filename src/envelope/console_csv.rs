//! CSV files about CloudTrail events: the console's event history, which becomes records, and query
//! results, which have too little in them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Read;

/// The kind of a CSV file, told by its first line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// The event history page's "Download as CSV".
    EventHistory,
    /// The results of a query, by Athena or CloudTrail Lake.
    QueryResults,
}

/// Recognises the file by its first line.
pub(super) fn header(text: &str) -> Option<Header> {
    // A trail file is JSON, one line of a megabyte, and not to be searched for its end.
    if text.starts_with(['{', '[']) {
        return None;
    }
    let line = text.lines().next()?;
    if !line.contains(',') {
        return None;
    }
    let names: Vec<String> = line
        .split(',')
        .map(|name| fold(name.trim_matches(['"', '\r', ' '])))
        .collect();
    let has = |name: &str| names.iter().any(|n| n == name);
    if line.contains(' ') && has("eventname") && has("eventtime") && has("eventsource") {
        return Some(Header::EventHistory);
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

/// Makes a record of each row: the page's columns, under the names that records have. Returns the
/// number of bytes read.
pub(super) fn records(csv: impl Read, mut each: impl FnMut(&str)) -> u64 {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(csv);
    let mut row = csv::ByteRecord::new();
    let names: Vec<String> = match reader.byte_headers() {
        Ok(headers) => headers.iter().map(|name| fold(&text(name))).collect(),
        Err(_) => return 0,
    };
    while let Ok(true) = reader.read_byte_record(&mut row) {
        let values: Vec<Cow<'_, str>> = row.iter().map(text).collect();
        let cells: HashMap<&str, &str> = names
            .iter()
            .map(String::as_str)
            .zip(values.iter().map(|value| &**value))
            .filter(|(_, cell)| !cell.is_empty() && *cell != "-")
            .collect();
        each(&record(&cells).to_string());
    }
    reader.position().byte()
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
