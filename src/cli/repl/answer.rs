//! Statements and their answers: run, shown, kept as the table `_`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;
use tokio_util::sync::CancellationToken;

use super::settings::{Opening, Route};
use super::shell::Shell;
use crate::cli::exports::finish_export;
use crate::cli::output::{self, Destination};
use crate::cli::progress::{Progress, tell_notes};
use crate::cli::sql::Sql;
use crate::cli::{GRACE, report};
use crate::error::{Error, ErrorKind, Result};
use crate::execution::Execution;
use crate::query::{Plan, Step, is_export};

/// The rows of the last answer that are kept.
#[derive(Default)]
pub(super) struct LastAnswer {
    /// The rows as shown, in order.
    batches: Vec<RecordBatch>,
    /// Columns at the end of each batch that tell which event a row is.
    identity_columns: usize,
    /// The names of the columns before those.
    column_names: Vec<String>,
}

/// The event that a row of an answer is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RowIdentity {
    /// The event's ID.
    pub(super) event_id: String,
    /// The file or stream that it was read from, if the answer knows.
    pub(super) source_uri: Option<String>,
}

/// The name of the table that holds the last answer.
pub(super) const LAST_ANSWER: &str = "_";

/// The way to see all rejects of the sources.
const SCAN_TELLS: &str = "auroratrail scan --rejects FILE keeps all of them";

/// Bytes of an answer that are kept.
const KEPT_BYTES: usize = 64 << 20;

/// Rows on their way to the screen, kept as they pass.
#[derive(Default)]
struct Kept {
    batches: Vec<RecordBatch>,
    bytes: usize,
    rows: u64,
}

impl Shell {
    /// Runs a statement and shows its answer.
    ///
    /// # Errors
    /// Query errors, and those of reading and writing. A statement that was ended by Ctrl-C is no
    /// error where a person sits.
    pub(super) async fn ask(&mut self, sql: String, route: &Route) -> Result<()> {
        let interrupts = Arc::clone(&self.interrupts);
        let work = interrupts.begin();
        self.ask_until(&sql, route, &work.stop).await
    }

    /// Runs the last statement again and again until Ctrl-C.
    pub(super) async fn watch(&mut self, pause: Duration) -> Result<()> {
        let sql = self.statement()?;
        let route = self.settings.route();
        let interrupts = Arc::clone(&self.interrupts);
        let work = interrupts.begin();
        loop {
            let now = chrono::Utc::now().format("%Y-%m-%d %H:%M:%SZ");
            self.say(&format!("{now} (every {})", report::elapsed(pause)));
            self.ask_until(&sql, &route, &work.stop).await?;
            tokio::select! {
                () = work.stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(pause) => {}
            }
            if work.stop.is_cancelled() {
                return Ok(());
            }
        }
    }

    async fn ask_until(
        &mut self,
        typed: &str,
        route: &Route,
        stop: &CancellationToken,
    ) -> Result<()> {
        let begun = Instant::now();
        let sql = Sql::new(typed);
        self.last_statement = Some(typed.trim().to_owned());
        if let Some(note) = &sql.note {
            eprintln!("auroratrail: note: {note}");
        }
        let opening = match (is_export(&sql.text), route) {
            (false, _) => Some(self.open(route).await?),
            (true, Route::Once(_)) => return Err(names_its_own_file()),
            (true, Route::Screen | Route::File) => None,
        };
        let step = self.session.step(&sql.text).await;
        let answered = match step.map_err(|error| sql.explain(error))? {
            Step::Done(message) => {
                self.say(&message);
                Ok(None)
            }
            Step::Query(plan) => {
                let reader = Reader {
                    is_first: !self.has_read,
                    told: self.told.clone(),
                    is_interactive: self.is_interactive,
                };
                match opening {
                    Some(opening) => reader.answer(plan, opening, stop).await.map(Some),
                    None => reader.export(plan, stop).await.map(|()| None),
                }
            }
        };
        if self.settings.timing {
            eprintln!("{}", report::elapsed(begun.elapsed()));
        }
        match answered {
            Ok(Some(answer)) => self.keep(answer),
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Keeps an answer as the table `_` and for `\record`.
    fn keep(&mut self, answer: Answer) -> Result<()> {
        self.has_read |= answer.has_read;
        if answer.summary.is_some() {
            self.told = answer.summary;
        }
        let Some(batches) = answer.batches else {
            self.last_answer = LastAnswer::default();
            return self.session.remove_table(LAST_ANSWER);
        };
        let schema = named_schema(&answer.schema, &answer.column_names);
        let rows: Result<Vec<RecordBatch>, _> = batches
            .iter()
            .map(|batch| {
                let columns = batch.columns()[..schema.fields().len()].to_vec();
                let options =
                    arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
                RecordBatch::try_new_with_options(Arc::clone(&schema), columns, &options)
            })
            .collect();
        let rows = rows.map_err(|error| Error::bug(format!("keeping an answer: {error}")))?;
        self.session
            .add_rows(LAST_ANSWER, "the last answer", &schema, rows)?;
        self.last_answer = LastAnswer {
            batches,
            identity_columns: answer.identity_columns,
            column_names: answer.column_names,
        };
        Ok(())
    }
}

/// One reading of the sources for an answer.
struct Reader {
    is_first: bool,
    told: Option<String>,
    is_interactive: bool,
}

/// An answer that was shown.
struct Answer {
    schema: SchemaRef,
    column_names: Vec<String>,
    identity_columns: usize,
    /// The rows; `None` if they are too many to be kept.
    batches: Option<Vec<RecordBatch>>,
    has_read: bool,
    summary: Option<String>,
}

impl Reader {
    /// Carries out a COPY.
    async fn export(self, plan: Plan<'_>, stop: &CancellationToken) -> Result<()> {
        for note in plan.notes() {
            eprintln!("auroratrail: note: {note}");
        }
        let (begun, progress) = (Instant::now(), Progress::new());
        let execution = self.execution(plan.reads_events(), stop);
        progress.watch(&execution);
        let written = tokio::select! {
            written = plan.export(&execution) => written,
            () = given_up(stop) => Err(Error::stopped()),
        };
        progress.finish();
        tell_notes(&execution);
        let summary = report::summary(&execution.stats);
        if summary.is_some() && summary != self.told {
            eprintln!("auroratrail: {}", summary.as_deref().unwrap_or_default());
        }
        match written {
            Ok(export) => finish_export(export, execution.stats.is_all_unreadable()).await,
            Err(error) if matches!(error.kind(), ErrorKind::Stopped) && self.is_interactive => {
                eprintln!("{}", report::partial(&execution.stats, 0, begun.elapsed()));
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Begins an execution, which tells its rejects if it is the first.
    fn execution(&self, has_read: bool, stop: &CancellationToken) -> Arc<Execution> {
        let mut execution = Execution::new(stop.clone());
        if has_read && self.is_first {
            execution = execution.with_reject_sink(Progress::messages(SCAN_TELLS));
        }
        Arc::new(execution)
    }

    async fn answer(
        self,
        plan: Plan<'_>,
        opening: Opening,
        stop: &CancellationToken,
    ) -> Result<Answer> {
        for note in plan.notes() {
            eprintln!("auroratrail: note: {note}");
        }
        let begun = Instant::now();
        let has_read = plan.reads_events();
        let progress = Progress::new();
        let execution = self.execution(has_read, stop);
        progress.watch(&execution);
        let result = plan.identify_rows().start(&execution).await?;
        let kept = Arc::new(Mutex::new(Kept::default()));
        let identity_columns = result.identity_columns;
        let column_names = result.column_names;
        let rows = passing(result.rows, identity_columns, Arc::clone(&kept));
        let schema = rows.schema();
        let Opening {
            options,
            mut out,
            target,
        } = opening;
        if options.width.is_some() {
            let name = out.name().to_owned();
            out = Destination::new(progress.clear_before(out), name);
        }
        let writing = output::write(rows, &column_names, &options, out);
        let written = tokio::select! {
            written = writing => written,
            () = given_up(stop) => Err(Error::stopped()),
        };
        progress.finish();
        tell_notes(&execution);
        let summary = report::summary(&execution.stats);
        if summary.is_some() && summary != self.told {
            eprintln!("auroratrail: {}", summary.as_deref().unwrap_or_default());
        }
        let kept = std::mem::take(&mut *kept.lock().unwrap_or_else(PoisonError::into_inner));
        match written {
            Ok(_) => {
                if let Some(target) = target {
                    target.commit()?;
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::Stopped) && self.is_interactive => {
                let partial = report::partial(&execution.stats, kept.rows, begun.elapsed());
                eprintln!("{partial}");
            }
            Err(error) => return Err(error),
        }
        Ok(Answer {
            schema,
            column_names,
            identity_columns,
            batches: (kept.bytes <= KEPT_BYTES).then_some(kept.batches),
            has_read,
            summary,
        })
    }
}

fn names_its_own_file() -> Error {
    Error::query("COPY names its own file and format; end it with a semicolon, without \\g FILE")
}

/// Waits until Ctrl-C was pressed and the work had the time to stop by itself.
async fn given_up(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(GRACE).await;
}

/// Returns the stream without the columns that identify rows, and keeps all of it as it passes.
fn passing(
    rows: SendableRecordBatchStream,
    identity_columns: usize,
    kept: Arc<Mutex<Kept>>,
) -> SendableRecordBatchStream {
    let schema = rows.schema();
    let visible: Vec<usize> = (0..schema.fields().len() - identity_columns).collect();
    let schema = Arc::new(
        schema
            .project(&visible)
            .expect("the columns are of this schema"),
    );
    let rows = rows.map(move |batch| {
        let batch = batch?;
        kept.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(&batch);
        Ok(batch.project(&visible)?)
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, rows))
}

impl Kept {
    fn push(&mut self, batch: &RecordBatch) {
        self.rows += batch.num_rows() as u64;
        self.bytes = self.bytes.saturating_add(batch.get_array_memory_size());
        match self.bytes <= KEPT_BYTES {
            true => self.batches.push(batch.clone()),
            false => self.batches.clear(),
        }
    }
}

/// Returns the schema of an answer under the names that it was shown with.
fn named_schema(schema: &SchemaRef, column_names: &[String]) -> SchemaRef {
    let names = output::unique(column_names, |name| name.to_lowercase());
    let fields: Vec<Field> = names
        .into_iter()
        .zip(schema.fields())
        .map(|(name, field)| {
            let mut metadata = field.metadata().clone();
            metadata.retain(|key, _| key == crate::query::names::JSON_KEY);
            Field::new(name, field.data_type().clone(), true).with_metadata(metadata)
        })
        .collect();
    Arc::new(Schema::new(fields))
}

impl LastAnswer {
    /// Returns the event that a row is, counted from 1.
    ///
    /// # Errors
    /// Query, if there is no such row, or if the rows are no events.
    pub(super) fn identity(&self, row: usize) -> Result<RowIdentity> {
        let rows: usize = self.batches.iter().map(RecordBatch::num_rows).sum();
        if rows == 0 {
            return Err(Error::query(
                "there is no answer to take a row from, or it was too large to keep; ask again with a LIMIT",
            ));
        }
        let Some((batch, at)) = self.find(row) else {
            return Err(Error::query(format!(
                "expected a row from 1 to {rows}, found {row}"
            )));
        };
        let shown = batch.num_columns() - self.identity_columns;
        let column = |name: &str| {
            let named = self
                .column_names
                .iter()
                .position(|it| it.eq_ignore_ascii_case(name));
            named.map(|index| batch.column(index))
        };
        let (ids, uris) = match self.identity_columns {
            0 => (column("eventID"), column("source_uri")),
            _ => (Some(batch.column(shown)), Some(batch.column(shown + 1))),
        };
        let text = |column: &ArrayRef| cell(column, at);
        match ids.and_then(text) {
            Some(event_id) => Ok(RowIdentity {
                event_id,
                source_uri: uris.and_then(text),
            }),
            None => Err(Error::query(
                "the rows of the last answer are not single events with an ID; \\record follows a SELECT \
                 without GROUP BY, or one that names eventID",
            )),
        }
    }

    fn find(&self, row: usize) -> Option<(&RecordBatch, usize)> {
        let mut at = row.checked_sub(1)?;
        for batch in &self.batches {
            if at < batch.num_rows() {
                return Some((batch, at));
            }
            at -= batch.num_rows();
        }
        None
    }
}

/// Returns a cell as text; `None` for NULL and what is no text.
pub(super) fn cell(column: &ArrayRef, row: usize) -> Option<String> {
    let texts = cast(column, &DataType::Utf8).ok()?;
    let texts: &StringArray = texts.as_string();
    arrow::array::Array::is_valid(texts, row).then(|| texts.value(row).to_owned())
}
