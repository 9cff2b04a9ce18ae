//! SQL over batches: the session, its tables, and names as people write them.

mod catalog;
pub mod json_path;
mod messages;
pub mod names;
mod plan;
mod pushdown;
pub mod table;

use std::sync::Arc;

use datafusion::common::DataFusionError;
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::memory_pool::{GreedyMemoryPool, TrackConsumersPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::logical_expr::{LogicalPlanBuilder, col, lit};
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};
use datafusion::sql::parser::{DFParser, Statement};
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;

use crate::error::{Error, Result};
use crate::events::columns;
use messages::user_message;
use names::Names;
use table::{EventsTable, Input};

pub use messages::translate_error;
pub use plan::{Answer, Plan};

/// Event sources of the Aurora family: the control plane, the two Data APIs, and Aurora DSQL.
pub const AURORA_SOURCES: [&str; 4] = [
    "rds.amazonaws.com",
    "rdsdata.amazonaws.com",
    "rdsdataapi.amazonaws.com",
    "dsql.amazonaws.com",
];

/// Engines that share the RDS API and are not Aurora's family.
pub const OTHER_ENGINES: [&str; 2] = ["neptune", "docdb"];

/// Rows of the batches that operators make; those that are decoded have more.
const BATCH_ROWS: usize = 1024;

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

impl Session {
    /// Opens `input` as the table `events`, with the view `aurora_events` of the Aurora family.
    ///
    /// # Errors
    /// If the session cannot be set up; a bug.
    pub fn new(input: Input, options: Options) -> Result<Self> {
        let pool = GreedyMemoryPool::new(options.memory_bytes);
        let top = std::num::NonZeroUsize::MIN.saturating_add(2);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(TrackConsumersPool::new(pool, top)))
            .build_arc()
            .map_err(translate_error)?;
        let config = SessionConfig::new()
            .with_information_schema(true)
            .with_target_partitions(options.threads)
            // Counts of tables that are files are not known before, so nothing is gained by asking.
            .set_bool("datafusion.execution.collect_statistics", false)
            // A sort holds a batch of each of its runs: of rows of 2 KB, larger ones would not fit.
            .with_batch_size(BATCH_ROWS)
            // A second pass finds next to nothing, and planning is what a small query waits for.
            .set_usize("datafusion.optimizer.max_passes", 1)
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
        session.add_tables(input).map_err(translate_error)?;
        Ok(session)
    }

    fn add_tables(&mut self, input: Input) -> Result<(), DataFusionError> {
        let schema = Arc::clone(columns::catalog().schema());
        let events = Arc::new(EventsTable::new(input));
        let source = provider_as_source(Arc::clone(&events) as _);
        self.context.register_table("events", events)?;
        let sources = AURORA_SOURCES.map(lit).to_vec();
        let others = OTHER_ENGINES.map(lit).to_vec();
        let engine = col("engine");
        let aurora = col("eventsource")
            .in_list(sources, false)
            .and(engine.clone().is_null().or(engine.in_list(others, true)));
        let plan = LogicalPlanBuilder::scan("events", source, None)?
            .filter(aurora)?
            .build()?;
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
        self.plan(sql).await?.start().await
    }

    /// Understands `sql`, and reads nothing yet.
    ///
    /// # Errors
    /// Query errors, as of [`Session::query`].
    pub async fn plan(&self, sql: &str) -> Result<Plan<'_>> {
        let mut statement = parse(sql)?;
        if let Some(rows) = catalog::answer(&statement)? {
            return Ok(Plan::of_rows(self, rows));
        }
        let column_names = self.names.rewrite(&mut statement)?;
        let plan = self
            .context
            .state()
            .statement_to_plan(statement)
            .await
            .map_err(|error| self.explain(error))?;
        // Reading is all that a query may do: no files written, no tables made of files or URLs.
        SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false)
            .verify_plan(&plan)
            .map_err(|_| only_queries())?;
        Ok(Plan::of_query(self, plan, column_names))
    }

    /// The error that the one who asked can use.
    fn explain(&self, error: DataFusionError) -> Error {
        match self.names.explain_plan_error(&error) {
            Some(message) => Error::query(message),
            None => translate_error(error),
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
        .map_err(|error| Error::query(format!("cannot read the SQL: {}", user_message(&error))))?;
    let count = statements.len();
    let mut statements = statements.into_iter();
    match (statements.next(), count) {
        (Some(statement), 1) if is_query(&statement) => Ok(statement),
        (Some(_), 1) => Err(only_queries()),
        (None, _) => Err(Error::query("there is no statement in the SQL")),
        (Some(_), _) => Err(Error::query(format!(
            "one statement at a time: here are {count}"
        ))),
    }
}

/// Whether the statement asks something, so that it is worth planning.
fn is_query(statement: &Statement) -> bool {
    match statement {
        Statement::Statement(statement) => matches!(
            &**statement,
            SqlStatement::Query(_)
                | SqlStatement::Explain { .. }
                | SqlStatement::ExplainTable { .. }
                | SqlStatement::ShowTables { .. }
                | SqlStatement::ShowColumns { .. }
                | SqlStatement::ShowFunctions { .. }
                | SqlStatement::ShowVariable { .. }
        ),
        Statement::Explain(explain) => is_query(&explain.statement),
        _ => false,
    }
}

fn only_queries() -> Error {
    Error::query(
        "only queries can be asked here: SELECT, WITH, VALUES, EXPLAIN, DESCRIBE events, SHOW TABLES",
    )
}
