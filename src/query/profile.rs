//! Facts about the data of a table, from a bounded sample of its events: the commonest values of some
//! columns, and the paths that occur in JSON.
//!
//! They are for completion and for descriptions of columns, and answer no query.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError, RwLock};

use datafusion::arrow::array::{Array, AsArray, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, TimestampMicrosecondType};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::TryStreamExt;
use hashbrown::HashMap;

use super::table::{EventsTable, Input};
use super::translate_error;
use crate::error::{Error, ErrorKind, Result};
use crate::events::columns::{ColumnClass, ColumnType, catalog};
use crate::events::response::{RESPONSE, wrapped_result};
use crate::execution::Execution;
use crate::json::{Members, Span};
use crate::pipeline::{BatchRequest, DecodeWorker, Pipeline};
use crate::source::{Boundedness, Location, OpenContext};

/// Paths of the columns whose values are counted.
const VALUE_COLUMNS: [&str; 16] = [
    "eventName",
    "eventSource",
    "awsRegion",
    "errorCode",
    "recipientAccountId",
    "actor",
    "userIdentity.type",
    "userIdentity.userName",
    "userIdentity.accountId",
    "sourceIPAddress",
    "userAgent",
    "eventType",
    "identity_kind",
    "db_identifier",
    "db_kind",
    "engine",
];

/// Path of the column with the time of an event.
const TIME: &str = "eventTime";
/// The most values of a column.
const MOST_VALUES: usize = 2_000;
/// The most bytes of a value.
const LONGEST_VALUE: usize = 200;
/// The most paths that no column has.
const MOST_PATHS: usize = 5_000;
/// The most names of a path below its column.
const DEEPEST: usize = 4;
/// The most bytes of a name in a path.
const LONGEST_NAME: usize = 100;

/// The most events that a profile is made of.
const PROFILE_EVENTS: usize = 300_000;
/// The most bytes of batches that a profile is made of.
const PROFILE_BYTES: usize = 256 << 20;
/// Rows that are added at a time: few, as readers of a profile wait meanwhile.
const PROFILE_ROWS: usize = 256;

/// The most events that samples of columns are taken from.
const SAMPLE_EVENTS: usize = 20_000;
/// The most bytes of batches that samples of columns are taken from.
const SAMPLE_BYTES: usize = 64 << 20;
/// Rows of a batch of which samples are taken.
const SAMPLE_ROWS: usize = 2_048;

/// The kind of a JSON value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// A string.
    Text,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// An object, with paths below it.
    Object,
    /// An array.
    Array,
}

/// A path that occurs in a JSON column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathFacts {
    /// The number of events with a value there that is not null.
    pub count: u64,
    /// The kind of the first of these values.
    pub kind: ValueKind,
    /// The column of the catalog with this path.
    pub column: Option<usize>,
}

/// Facts gathered from a sample of events.
#[derive(Clone, Debug)]
pub struct Profile {
    events: u64,
    times: Option<(i64, i64)>,
    /// Counts of values, by column of the catalog.
    values: BTreeMap<usize, HashMap<String, u64>>,
    /// Columns that hold JSON, and their paths.
    json_columns: Vec<(usize, &'static str)>,
    paths: BTreeMap<String, PathFacts>,
    unknown_paths: usize,
}

impl Default for Profile {
    fn default() -> Self {
        let values = VALUE_COLUMNS
            .iter()
            .map(|path| (index(path), HashMap::new()));
        let columns = catalog().columns().iter().enumerate();
        let json_columns = columns.filter(|(_, column)| {
            column.column_type == ColumnType::Json && column.class == ColumnClass::Record
        });
        Self {
            events: 0,
            times: None,
            values: values.collect(),
            json_columns: json_columns.map(|(at, it)| (at, &*it.path)).collect(),
            paths: BTreeMap::new(),
            unknown_paths: 0,
        }
    }
}

impl Profile {
    /// Returns the columns that a profile is made of, as indexes into the catalog.
    pub fn columns(&self) -> Vec<usize> {
        let json = self.json_columns.iter().map(|(column, _)| *column);
        let mut columns: Vec<usize> = self.values.keys().copied().chain(json).collect();
        columns.push(index(TIME));
        columns
    }

    /// Adds the events of a batch, which may lack columns.
    pub fn add(&mut self, batch: &RecordBatch) {
        self.events += batch.num_rows() as u64;
        self.add_times(batch);
        for (&column, values) in &mut self.values {
            if let Some(texts) = texts(batch, column) {
                count_values(values, texts);
            }
        }
        for (column, root) in self.json_columns.clone() {
            let texts = texts(batch, column).into_iter().flatten();
            for text in texts.flatten() {
                self.add_document(root, text);
            }
        }
    }

    fn add_times(&mut self, batch: &RecordBatch) {
        let Some(times) = batch.column_by_name(&catalog().columns()[index(TIME)].name) else {
            return;
        };
        let Some(times) = times.as_primitive_opt::<TimestampMicrosecondType>() else {
            return;
        };
        for time in times.iter().flatten() {
            let (first, last) = self.times.unwrap_or((time, time));
            self.times = Some((first.min(time), last.max(time)));
        }
    }

    fn add_document(&mut self, root: &str, text: &str) {
        let result = (root == RESPONSE)
            .then(|| wrapped_result(text, 0))
            .flatten();
        let start = result.map_or(0, |result| result.start as usize);
        self.add_members(&mut root.to_owned(), text, start, 1);
    }

    /// Adds the members of the object at byte `at` of `text`, whose path is `path`.
    fn add_members(&mut self, path: &mut String, text: &str, at: usize, depth: usize) {
        let length = path.len();
        for (key, value) in Members::at(text, at) {
            let (key, Some(kind)) = (key.raw(text), kind(value, text)) else {
                continue;
            };
            if push_name(path, key) && self.add_path(path, kind) && depth < DEEPEST {
                self.add_members(path, text, value.start as usize, depth + 1);
            }
            path.truncate(length);
        }
    }

    /// Counts a path; returns whether it is known now.
    fn add_path(&mut self, path: &str, kind: ValueKind) -> bool {
        if let Some(facts) = self.paths.get_mut(path) {
            facts.count += 1;
            return true;
        }
        let column = column_of(path);
        if column.is_none() {
            if self.unknown_paths == MOST_PATHS {
                return false;
            }
            self.unknown_paths += 1;
        }
        let facts = PathFacts {
            count: 1,
            kind,
            column,
        };
        self.paths.insert(path.to_owned(), facts);
        true
    }

    /// Returns the number of events seen.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Returns the times of the first and the last event, in microseconds since 1970 UTC.
    pub fn event_times(&self) -> Option<(i64, i64)> {
        self.times
    }

    /// Returns the values of a column of the catalog with their counts, the commonest first. There
    /// are none of a column whose values are not counted.
    pub fn values(&self, column: usize) -> Vec<(&str, u64)> {
        let values = self.values.get(&column).into_iter().flatten();
        let mut values: Vec<(&str, u64)> = values.map(|(text, &count)| (&**text, count)).collect();
        values.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        values.truncate(MOST_VALUES);
        values
    }

    /// Returns the paths that occur in JSON, in order of their names; those of columns too.
    pub fn paths(&self) -> impl Iterator<Item = (&str, &PathFacts)> {
        self.paths.iter().map(|(path, facts)| (&**path, facts))
    }

    /// Returns the facts of a path in the spelling of the data.
    pub fn path(&self, path: &str) -> Option<&PathFacts> {
        self.paths.get(path)
    }
}

/// Returns the column of the catalog with a path that it has.
fn index(path: &str) -> usize {
    let columns = catalog().columns();
    let at = columns.iter().position(|column| column.path == path);
    at.expect("the catalog has the columns named here")
}

/// Returns the column of the catalog with a path in any case.
fn column_of(path: &str) -> Option<usize> {
    let column = catalog().index_of(&path.to_ascii_lowercase().replace('.', "_"))?;
    let same = catalog().columns()[column].path.eq_ignore_ascii_case(path);
    same.then_some(column)
}

fn texts(batch: &RecordBatch, column: usize) -> Option<&StringArray> {
    let array = batch.column_by_name(&catalog().columns()[column].name)?;
    (*array.data_type() == DataType::Utf8).then(|| array.as_string::<i32>())
}

fn count_values(values: &mut HashMap<String, u64>, texts: &StringArray) {
    for text in texts.iter().flatten() {
        if let Some(count) = values.get_mut(text) {
            *count += 1;
        } else if text.len() <= LONGEST_VALUE {
            if values.len() == 2 * MOST_VALUES {
                keep_commonest(values);
            }
            values.insert(text.to_owned(), 1);
        }
    }
}

/// Leaves the half of the values that occurred most; a value that comes late is counted from there.
fn keep_commonest(values: &mut HashMap<String, u64>) {
    let mut counts: Vec<u64> = values.values().copied().collect();
    let (_, &mut least, _) = counts.select_nth_unstable_by(MOST_VALUES, |a, b| b.cmp(a));
    let above = values.values().filter(|&&count| count > least).count();
    let mut room = MOST_VALUES - above;
    values.retain(|_, count| {
        let stays = *count > least || (*count == least && room > 0);
        room -= usize::from(stays && *count == least);
        stays
    });
}

/// Returns the kind of a value that is not null.
fn kind(value: Span, text: &str) -> Option<ValueKind> {
    match value.first(text) {
        b'"' => Some(ValueKind::Text),
        b't' | b'f' => Some(ValueKind::Boolean),
        b'{' => Some(ValueKind::Object),
        b'[' => Some(ValueKind::Array),
        b'n' => None,
        _ => Some(ValueKind::Number),
    }
}

/// Appends a name to a path, in quotes if SQL needs them; returns whether it is one that can be kept.
fn push_name(path: &mut String, name: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    // An escape would have to be decoded; such names are of maps, and tell little.
    if name.is_empty() || name.len() > LONGEST_NAME || name.contains(['\\', '"']) {
        return false;
    }
    path.push('.');
    match name.bytes().all(is_word) && !name.as_bytes()[0].is_ascii_digit() {
        true => path.push_str(name),
        false => path.extend(["\"", name, "\""]),
    }
    true
}

/// Fills a profile from the events of `input`, in one thread, until it has seen enough or `execution`
/// is stopped, which it is too when this future is dropped. Input that can be read only once, or has no end, is not read.
///
/// # Errors
/// The error that ended the source; the profile has the events before it.
pub async fn gather(
    input: &Input,
    shared: Arc<RwLock<Profile>>,
    execution: Arc<Execution>,
) -> Result<()> {
    let columns = Profile::default().columns();
    let mut budget = Budget::new(PROFILE_EVENTS, PROFILE_BYTES);
    let request = BatchRequest::all_rows(columns, PROFILE_ROWS);
    let add = move |batch: RecordBatch| {
        let mut profile = shared.write().unwrap_or_else(PoisonError::into_inner);
        profile.add(&batch);
        budget.spend(&batch)
    };
    match sample(input, request, execution, add).await {
        Err(error) if matches!(error.kind(), ErrorKind::Stopped) => Ok(()),
        done => done,
    }
}

/// Facts about a column, from a sample of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnSample {
    /// The column, as an index into the catalog.
    pub column: usize,
    /// The number of events in the sample.
    pub rows: u64,
    /// The number of these that have a value.
    pub present: u64,
    /// One of the values, as text.
    pub example: Option<String>,
}

/// Returns facts about columns of the catalog, each from the same sample of events. The sample has no
/// events if the input can be read only once, or has no end.
///
/// # Errors
/// The error that ended the source.
pub async fn column_samples(input: &Input, columns: &[usize]) -> Result<Vec<ColumnSample>> {
    let empty = |&column: &usize| ColumnSample {
        column,
        rows: 0,
        present: 0,
        example: None,
    };
    let samples: Vec<ColumnSample> = columns.iter().map(empty).collect();
    let shared = Arc::new(RwLock::new(samples));
    let filled = Arc::clone(&shared);
    let mut budget = Budget::new(SAMPLE_EVENTS, SAMPLE_BYTES);
    let request = BatchRequest::all_rows(columns.to_vec(), SAMPLE_ROWS);
    let add = move |batch: RecordBatch| {
        let mut samples = filled.write().unwrap_or_else(PoisonError::into_inner);
        for (sample, array) in samples.iter_mut().zip(batch.columns()) {
            sample.add(array);
        }
        budget.spend(&batch)
    };
    sample(input, request, Arc::default(), add).await?;
    let samples = shared.read().unwrap_or_else(PoisonError::into_inner);
    Ok(samples.clone())
}

impl ColumnSample {
    fn add(&mut self, array: &dyn Array) {
        self.rows += array.len() as u64;
        self.present += (array.len() - array.null_count()) as u64;
        let first = (0..array.len()).find(|&row| array.is_valid(row));
        if let (None, Some(row)) = (&self.example, first) {
            let format = ArrayFormatter::try_new(array, &FormatOptions::default());
            self.example = format.ok().map(|format| format.value(row).to_string());
        }
    }
}

/// Events and bytes that may still be read.
struct Budget {
    events: usize,
    bytes: usize,
}

impl Budget {
    fn new(events: usize, bytes: usize) -> Self {
        Self { events, bytes }
    }

    /// Takes a batch off; returns whether anything is left.
    fn spend(&mut self, batch: &RecordBatch) -> bool {
        self.events = self.events.saturating_sub(batch.num_rows());
        self.bytes = self.bytes.saturating_sub(batch.get_array_memory_size());
        self.events > 0 && self.bytes > 0
    }
}

/// Hands batches of `input` to `add`, in one thread, until that returns false.
async fn sample(
    input: &Input,
    request: BatchRequest,
    execution: Arc<Execution>,
    mut add: impl FnMut(RecordBatch) -> bool + Send + 'static,
) -> Result<()> {
    if !sample_lakes(input, &request, &execution, &mut add).await? {
        return Ok(());
    }
    if input.locations.is_empty() {
        // All that there is was seen.
        execution.stats.listing_done.store(true, Relaxed);
        return Ok(());
    }
    let is_bounded = matches!(
        input.sources.boundedness(&input.locations)?,
        Boundedness::Bounded
    );
    if !is_bounded || input.locations.iter().any(Location::is_stdin) {
        return Ok(());
    }
    // Nobody waits for the thread if this future is dropped.
    let _stop_on_drop = execution.stop().clone().drop_guard();
    let open = OpenContext {
        execution: Arc::clone(&execution),
        ..OpenContext::default()
    };
    let source = input.sources.open(&input.locations, &open)?;
    let pipeline = Pipeline::new(source, Arc::clone(&execution));
    let dedup = input.dedup.then(Arc::default);
    let mut worker = DecodeWorker::new(&request, dedup, execution, add);
    tokio::task::spawn_blocking(move || pipeline.run(&mut worker))
        .await
        .map_err(|error| Error::bug(format!("the thread that samples events stopped: {error}")))?
}

/// Hands rows of the lakes to `add`; returns whether it wants more.
async fn sample_lakes(
    input: &Input,
    request: &BatchRequest,
    execution: &Execution,
    add: &mut (impl FnMut(RecordBatch) -> bool + Send),
) -> Result<bool> {
    if input.lakes.is_empty() {
        return Ok(true);
    }
    let lakes = Input {
        locations: Vec::new(),
        ..input.clone()
    };
    let mut rows = rows_of_lakes(lakes, request)
        .await
        .map_err(translate_error)?;
    while let Some(batch) = rows.try_next().await.map_err(translate_error)? {
        if execution.stop().is_cancelled() || !add(batch) {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn rows_of_lakes(
    lakes: Input,
    request: &BatchRequest,
) -> Result<SendableRecordBatchStream, DataFusionError> {
    let config = SessionConfig::new()
        .with_target_partitions(1)
        .with_batch_size(request.batch_rows);
    let columns = request.projection.iter();
    let columns: Vec<&str> = columns.map(|&at| &*catalog().columns()[at].name).collect();
    let table =
        SessionContext::new_with_config(config).read_table(Arc::new(EventsTable::new(lakes)))?;
    table.select_columns(&columns)?.execute_stream().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{Sources, aws::AwsSettings};
    use datafusion::arrow::datatypes::{Field, Schema};

    fn input(location: &str) -> Input {
        let sources = Sources::new(AwsSettings::from_env());
        let locations = vec![sources.parse(location).unwrap()];
        Input {
            sources,
            locations,
            lakes: Vec::new(),
            dedup: false,
        }
    }

    fn batch(columns: &[(&str, Vec<Option<&str>>)]) -> RecordBatch {
        let field = |(name, _): &(&str, _)| Field::new(*name, DataType::Utf8, true);
        let schema = Schema::new(columns.iter().map(field).collect::<Vec<_>>());
        let array = |(_, texts): &(_, Vec<Option<&str>>)| {
            Arc::new(StringArray::from(texts.clone())) as Arc<dyn Array>
        };
        RecordBatch::try_new(Arc::new(schema), columns.iter().map(array).collect()).unwrap()
    }

    #[test]
    fn values_are_counted_and_the_commonest_come_first() {
        let mut profile = Profile::default();
        let long = "x".repeat(LONGEST_VALUE + 1);
        let texts = [Some("b"), None, Some("a"), Some("b"), Some(&*long)];
        profile.add(&batch(&[("eventname", texts.to_vec())]));
        profile.add(&batch(&[("eventname", vec![Some("c")])]));
        let expected = [("b", 2), ("a", 1), ("c", 1)];
        assert_eq!(profile.values(index("eventName")), expected);
        assert_eq!(profile.events(), 6);
        assert_eq!(profile.values(index("eventID")), []);
    }

    #[test]
    fn values_and_paths_are_bounded() {
        let mut profile = Profile::default();
        let names: Vec<String> = (0..MOST_PATHS + 10).map(|n| format!("n{n}")).collect();
        let documents: Vec<String> = names.iter().map(|n| format!(r#"{{"{n}":1}}"#)).collect();
        profile.add(&batch(&[
            ("eventname", names.iter().map(|it| Some(&**it)).collect()),
            (
                "requestparameters",
                documents.iter().map(|it| Some(&**it)).collect(),
            ),
        ]));
        assert_eq!(profile.values(index("eventName")).len(), MOST_VALUES);
        assert_eq!(profile.paths().count(), MOST_PATHS);
    }

    #[test]
    fn the_commonest_values_stay() {
        let mut profile = Profile::default();
        let rare: Vec<String> = (0..5 * MOST_VALUES).map(|n| format!("n{n}")).collect();
        for names in rare.chunks(100) {
            let mut names: Vec<_> = names.iter().map(|it| Some(&**it)).collect();
            names.push(Some("often"));
            profile.add(&batch(&[("eventname", names)]));
        }
        let values = profile.values(index("eventName"));
        assert_eq!(values.len(), MOST_VALUES);
        assert_eq!(values[0], ("often", 5 * MOST_VALUES as u64 / 100));
    }

    #[test]
    fn paths_are_those_of_the_data() {
        let mut profile = Profile::default();
        let request = r#"{"a":{"b":{"c":{"d":{"e":1}}}},"x-y":[{"z":1}],"none":null,"dbclusteridentifier":"c"}"#;
        let response = r#"{"dBCluster":{"dBClusterIdentifier":"c","fresh":true}}"#;
        profile.add(&batch(&[
            (
                "requestparameters",
                vec![Some(request), Some(r#"{"a":"t"}"#)],
            ),
            ("responseelements", vec![Some(response), None]),
        ]));
        let known = |path| column_of(path);
        let paths: Vec<_> = profile
            .paths()
            .map(|(path, it)| (path, it.count, it.kind, it.column))
            .collect();
        use ValueKind::{Array, Boolean, Object, Text};
        let cluster = "responseElements.dBClusterIdentifier";
        let expected = [
            ("requestParameters.\"x-y\"", 1, Array, None),
            ("requestParameters.a", 2, Object, None),
            ("requestParameters.a.b", 1, Object, None),
            ("requestParameters.a.b.c", 1, Object, None),
            ("requestParameters.a.b.c.d", 1, Object, None),
            (
                "requestParameters.dbclusteridentifier",
                1,
                Text,
                known("requestParameters.dBClusterIdentifier"),
            ),
            (cluster, 1, Text, known(cluster)),
            ("responseElements.fresh", 1, Boolean, None),
        ];
        assert_eq!(paths, expected);
        assert!(known(cluster).is_some());
    }

    #[tokio::test]
    async fn the_sample_has_a_profile() {
        let shared = Arc::new(RwLock::new(Profile::default()));
        let stop: Arc<Execution> = Arc::default();
        let sample = input("sample:?events=2000");
        gather(&sample, Arc::clone(&shared), stop).await.unwrap();
        let profile = shared.read().unwrap();
        assert_eq!(profile.events(), 2000);
        let (first, last) = profile.event_times().unwrap();
        assert!(first < last);
        let names = profile.values(index("eventName"));
        assert!(names.len() > 10 && names.is_sorted_by_key(|it| std::cmp::Reverse(it.1)));
        let total: u64 = names.iter().map(|it| it.1).sum();
        assert_eq!(total, 2000);
        let cluster = "requestParameters.dBClusterIdentifier";
        assert!(profile.path(cluster).unwrap().column.is_some());
        let context = "userIdentity.sessionContext";
        assert_eq!(profile.path(context).unwrap().kind, ValueKind::Object);
    }

    #[tokio::test]
    async fn standard_input_is_not_read_and_a_stop_is_no_error() {
        let shared = Arc::new(RwLock::new(Profile::default()));
        let stop: Arc<Execution> = Arc::default();
        let (stdin, made_up) = (input("-"), input("sample:"));
        let gathered = gather(&stdin, Arc::clone(&shared), Arc::clone(&stop));
        gathered.await.unwrap();
        stop.stop().cancel();
        let gathered = gather(&made_up, Arc::clone(&shared), stop);
        gathered.await.unwrap();
        assert_eq!(shared.read().unwrap().events(), 0);
        let samples = column_samples(&stdin, &[0]).await.unwrap();
        assert_eq!(samples[0].rows, 0);
    }

    #[tokio::test]
    async fn samples_of_columns_have_counts_and_an_example() {
        let columns = [
            index("eventName"),
            index("errorCode"),
            index(TIME),
            index("annotation"),
        ];
        let sample = input("sample:?events=500");
        let samples = column_samples(&sample, &columns).await.unwrap();
        assert!(samples.iter().all(|it| it.rows == 500));
        let present: Vec<u64> = samples.iter().map(|it| it.present).collect();
        assert!(present[0] == 500 && present[1] > 0 && present[1] < 500 && present[3] == 0);
        assert!(samples[1].example.is_some() && samples[3].example.is_none());
        let time = samples[2].example.as_deref().unwrap();
        assert!(time.starts_with("20"), "{time}");
    }
}
