//! SQL over batches: the session, its tables, and names as people write them.

pub mod json_path;
pub mod names;
mod pushdown;
pub mod table;

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::DataFusionError;
use datafusion::datasource::{MemTable, ViewTable};
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SendableRecordBatchStream, SessionStateBuilder};
use datafusion::logical_expr::{LogicalPlan, col, lit};
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};
use datafusion::sql::parser::{DFParser, Statement};
use datafusion::sql::sqlparser::ast::{ObjectName, Statement as SqlStatement};

use crate::error::{Error, Result};
use crate::events::columns::{Class, catalog};
use names::{Names, Titles};
use table::{EventsTable, Input};

/// Event sources of the Aurora family: the control plane, the two Data APIs, and Aurora DSQL.
pub const AURORA_SOURCES: [&str; 4] = [
    "rds.amazonaws.com",
    "rdsdata.amazonaws.com",
    "rdsdataapi.amazonaws.com",
    "dsql.amazonaws.com",
];

/// Engines that share the RDS API and are not Aurora's family.
pub const OTHER_ENGINES: [&str; 2] = ["neptune", "docdb"];

/// Settings of a session.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Threads that decode, and partitions of a query.
    pub threads: usize,
    /// Bytes that sorts, joins and aggregations may hold before they spill to disk, or fail.
    pub memory_bytes: usize,
}

/// SQL over one input.
pub struct Session {
    context: SessionContext,
    names: Names,
}

/// The answer to a query, still to come.
pub struct Answer {
    /// The rows.
    pub rows: SendableRecordBatchStream,
    /// What its columns are called, one each.
    pub titles: Vec<String>,
    /// Remarks for the one who asked.
    pub notes: Vec<String>,
}

impl Session {
    /// Opens `input` as the table `events`, with the view `aurora_events` of the Aurora family.
    ///
    /// # Errors
    /// If the session cannot be set up; a bug.
    pub fn new(input: Input, options: Options) -> Result<Self> {
        let pool = FairSpillPool::new(options.memory_bytes);
        let top = std::num::NonZeroUsize::MIN.saturating_add(2);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(TrackConsumersPool::new(pool, top)))
            .build_arc()
            .map_err(plan_error)?;
        let config = SessionConfig::new()
            .with_information_schema(true)
            .with_target_partitions(options.threads)
            // Counts of tables that are files are not known before, so nothing is gained by asking.
            .set_bool("datafusion.execution.collect_statistics", false)
            .set_str("datafusion.execution.time_zone", "UTC");
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime)
            .with_default_features()
            .build();
        let context = SessionContext::new_with_state(state);
        context.register_udf(json_path::json_get_path());
        let mut session = Self {
            context,
            names: Names::new(),
        };
        session.add_tables(input).map_err(plan_error)?;
        Ok(session)
    }

    fn add_tables(&mut self, input: Input) -> Result<(), DataFusionError> {
        let schema = Arc::clone(catalog().schema());
        let events = Arc::new(EventsTable::new(input));
        self.context.register_table("events", events)?;
        let sources = AURORA_SOURCES.map(lit).to_vec();
        let others = OTHER_ENGINES.map(lit).to_vec();
        let engine = col("engine");
        let aurora = col("eventsource")
            .in_list(sources, false)
            .and(engine.clone().is_null().or(engine.in_list(others, true)));
        let plan = futures::executor::block_on(self.context.table("events"))?
            .filter(aurora)?
            .into_unoptimized_plan();
        let view = ViewTable::new(plan, None);
        self.context
            .register_table("aurora_events", Arc::new(view))?;
        self.names.add_table("events", &schema);
        self.names.add_table("aurora_events", &schema);
        Ok(())
    }

    /// Plans `sql` and starts it.
    ///
    /// # Errors
    /// Query errors: what is wrong with the statement, and where that is known, what to write instead.
    pub async fn query(&self, sql: &str) -> Result<Answer> {
        let mut statement = parse(sql)?;
        if let Some(table) = described(&statement)
            && let Some(batch) = self.describe(table).map_err(plan_error)?
        {
            return self.answer_with(batch).await;
        }
        let titles = self.names.rewrite(&mut statement)?;
        let plan = self.plan(statement).await?;
        self.execute(plan, &titles).await
    }

    async fn plan(&self, statement: Statement) -> Result<LogicalPlan> {
        let plan = self
            .context
            .state()
            .statement_to_plan(statement)
            .await
            .map_err(|error| self.explain(&error))?;
        // Reading is all that a query may do: no files written, no tables made of files or URLs.
        SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false)
            .verify_plan(&plan)
            .map_err(|_| {
                Error::query(
                    "only queries can be asked here: SELECT, WITH, EXPLAIN, DESCRIBE, SHOW",
                )
            })?;
        Ok(plan)
    }

    async fn execute(&self, plan: LogicalPlan, titles: &Titles) -> Result<Answer> {
        let frame = self
            .context
            .execute_logical_plan(plan)
            .await
            .map_err(|error| self.explain(&error))?;
        let rows = frame
            .execute_stream()
            .await
            .map_err(|error| self.explain(&error))?;
        Ok(Answer {
            titles: titles.apply(&rows.schema()),
            notes: titles.notes().to_vec(),
            rows,
        })
    }

    async fn answer_with(&self, batch: RecordBatch) -> Result<Answer> {
        let schema = batch.schema();
        let table = MemTable::try_new(schema, vec![vec![batch]]).map_err(plan_error)?;
        let frame = self
            .context
            .read_table(Arc::new(table))
            .map_err(plan_error)?;
        let rows = frame.execute_stream().await.map_err(plan_error)?;
        let titles = Titles::default();
        Ok(Answer {
            titles: titles.apply(&rows.schema()),
            notes: vec![],
            rows,
        })
    }

    /// `DESCRIBE events`: every column with its path, type and meaning. `None` for other tables.
    fn describe(&self, table: &ObjectName) -> Result<Option<RecordBatch>, DataFusionError> {
        let name = table.to_string().replace('"', "").to_lowercase();
        let name = name.rsplit('.').next().unwrap_or_default();
        if !matches!(name, "events" | "aurora_events") {
            return Ok(None);
        }
        let columns = catalog().columns();
        let class = |class| match class {
            Class::Record => "record",
            Class::Flattened => "flattened",
            Class::Derived => "derived",
        };
        let texts = |titles: Vec<String>| Arc::new(StringArray::from(titles)) as ArrayRef;
        let arrays = vec![
            texts(columns.iter().map(|c| c.path.clone()).collect()),
            texts(
                columns
                    .iter()
                    .map(|c| c.kind.sql_name().to_owned())
                    .collect(),
            ),
            texts(columns.iter().map(|c| class(c.class).to_owned()).collect()),
            texts(columns.iter().map(|c| c.about.clone()).collect()),
        ];
        let fields: Vec<Field> = ["column", "type", "class", "meaning"]
            .into_iter()
            .map(|name| Field::new(name, DataType::Utf8, false))
            .collect();
        Ok(Some(RecordBatch::try_new(
            Arc::new(Schema::new(fields)),
            arrays,
        )?))
    }

    /// The error that the one who asked can use.
    fn explain(&self, error: &DataFusionError) -> Error {
        match self.names.explain_plan_error(error) {
            Some(message) => Error::query(message),
            None => Error::query(short(error)),
        }
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

fn parse(sql: &str) -> Result<Statement> {
    let statements = DFParser::parse_sql(sql)
        .map_err(|error| Error::query(format!("cannot read the SQL: {}", short(&error))))?;
    let count = statements.len();
    let mut statements = statements.into_iter();
    match (statements.next(), count) {
        (Some(statement), 1) => Ok(statement),
        (None, _) => Err(Error::query("there is no statement in the SQL")),
        (Some(_), _) => Err(Error::query(format!(
            "one statement at a time: here are {count}"
        ))),
    }
}

/// The table of a DESCRIBE.
fn described(statement: &Statement) -> Option<&ObjectName> {
    match statement {
        Statement::Statement(statement) => match &**statement {
            SqlStatement::ExplainTable { table_name, .. } => Some(table_name),
            _ => None,
        },
        _ => None,
    }
}

fn plan_error(error: DataFusionError) -> Error {
    Error::query(short(&error))
}

/// The error's message without the engine's own headings.
pub fn short(error: &DataFusionError) -> String {
    let root = error.find_root();
    let text = root.strip_backtrace();
    let headings = [
        "Error during planning: ",
        "SQL error: ",
        "Schema error: ",
        "Arrow error: ",
        "Execution error: ",
        "Optimizer rule 'simplify_expressions' failed",
        "External error: ",
    ];
    let mut text = text.trim();
    while let Some(rest) = headings
        .iter()
        .find_map(|heading| text.strip_prefix(heading))
    {
        text = rest.trim();
    }
    text.trim_start_matches("ParserError(\"")
        .trim_end_matches("\")")
        .to_owned()
}
