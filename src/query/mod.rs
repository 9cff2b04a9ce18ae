//! SQL over batches: sessions, their tables and functions, and names as people write them.

mod as_of;
mod cache;
mod catalog;
mod clauses;
mod condition;
mod copy;
mod corrections;
mod damage;
pub mod functions;
mod identify;
mod kept;
pub mod lake_table;
mod messages;
pub mod names;
mod plan;
pub mod profile;
mod pushdown;
mod standing;
pub mod table;
mod times;
mod views;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use datafusion::catalog::TableProvider;
use datafusion::common::{DataFusionError, TableReference};
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
use crate::events::family::{AURORA_SOURCES, OTHER_ENGINES};
use crate::lake::object_cache::ObjectCache;
use cache::ColumnCache;
use messages::user_message;
use names::Names;
use table::{EventsTable, Input};

pub use cache::CacheUsage;
pub use catalog::{TableEntry, TableKind};
pub use condition::Condition;
pub use copy::{Export, Exported, Exports, MakeFolder, is_export, is_formula};
pub use functions::FunctionEntry;
pub use lake_table::{LakeReader, OpenLake};
pub use messages::translate_error;
pub use plan::{Plan, QueryResult};
pub use standing::StandingQuery;
pub use views::Step;

/// Rows of the batches that operators make; those that are decoded have more.
const BATCH_ROWS: usize = 1024;

/// Settings of a session.
#[derive(Clone, Copy, Debug)]
pub struct SessionOptions {
    /// Threads that decode, and partitions of a query.
    pub threads: usize,
    /// Bytes that sorts, joins and aggregations may hold before they spill to disk, or fail.
    pub memory_bytes: usize,
    /// Bytes of decoded columns that are kept for the queries that follow; 0 keeps none.
    pub cache_bytes: usize,
}

/// SQL over any number of tables.
///
/// Tables may be added while queries run; queries may run one after another or at the same time.
/// What they count and reject belongs to the [`Execution`](crate::execution::Execution) that each is started with.
pub struct Session {
    context: SessionContext,
    names: RwLock<Names>,
    tables: RwLock<Vec<TableEntry>>,
    /// The inputs of tables, by name.
    inputs: RwLock<HashMap<String, Input>>,
    cache: Option<Arc<ColumnCache>>,
    /// Objects that are kept on disk; none unless it is given.
    object_cache: Option<ObjectCache>,
    /// Permission to write files; none unless it is given.
    exports: Option<Exports>,
}

impl Session {
    /// A session without tables.
    ///
    /// # Errors
    /// If the session cannot be set up; a bug.
    pub fn new(options: SessionOptions) -> Result<Self> {
        let pool = GreedyMemoryPool::new(options.memory_bytes);
        let top = std::num::NonZeroUsize::MIN.saturating_add(2);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(TrackConsumersPool::new(pool, top)))
            .build_arc()
            .map_err(translate_error)?;
        let config = SessionConfig::new()
            .with_information_schema(true)
            .with_target_partitions(options.threads)
            // The sources have no counts before they are read, and the lakes' log brings its own.
            .set_bool("datafusion.execution.collect_statistics", false)
            // A sort holds a batch of each of its runs: of rows of 2 KB, larger ones would not fit.
            .with_batch_size(BATCH_ROWS)
            // A second pass finds next to nothing, and planning is what a small query waits for.
            .set_usize("datafusion.optimizer.max_passes", 1)
            // Conditions are checked while a lake's files are decoded, the cheap ones first, and rows
            // that fail are not decoded in the other columns.
            .set_bool("datafusion.execution.parquet.pushdown_filters", true)
            .set_bool("datafusion.execution.parquet.reorder_filters", true)
            .set_bool("datafusion.execution.parquet.bloom_filter_on_read", true)
            .set_bool("datafusion.execution.parquet.enable_page_index", true)
            .set_str("datafusion.execution.time_zone", "UTC");
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime)
            .with_default_features()
            .with_analyzer_rule(times::rule())
            .build();
        let context = SessionContext::new_with_state(state);
        functions::register(&context).map_err(translate_error)?;
        Ok(Self {
            context,
            names: RwLock::new(Names::new()),
            tables: RwLock::default(),
            inputs: RwLock::default(),
            cache: (options.cache_bytes > 0)
                .then(|| Arc::new(ColumnCache::new(options.cache_bytes))),
            object_cache: None,
            exports: None,
        })
    }

    /// Keeps the files and objects that tables read in a cache on disk, from now on. Tables that leave out
    /// duplicates, or have other sources too, read without it.
    #[must_use]
    pub fn with_object_cache(self, cache: Option<ObjectCache>) -> Self {
        Self {
            object_cache: cache,
            ..self
        }
    }

    /// Adds `input` as the table `events`, with the view `aurora_events` of the Aurora family.
    ///
    /// # Errors
    /// As of [`Session::add_table`].
    pub fn add_events(&self, input: Input) -> Result<()> {
        write(&self.inputs).insert("events".to_owned(), input.clone());
        let events: Arc<dyn TableProvider> = Arc::new(self.events_table(input));
        let view = aurora_view(Arc::clone(&events)).map_err(translate_error)?;
        let current = corrections::current_view(Arc::clone(&events)).map_err(translate_error)?;
        self.register("events", EVERY_RECORD, events)?;
        self.register("aurora_events", AURORA, Arc::new(view))?;
        self.register("events_current", CURRENT, Arc::new(current))
    }

    /// Adds a table of events under a name, in any case; one of that name is replaced. Queries that
    /// were planned before keep the table that they were planned with.
    ///
    /// # Errors
    /// A query error if the name is reserved.
    pub fn add_table(&self, name: &str, input: Input) -> Result<()> {
        write(&self.inputs).insert(name.to_lowercase(), input.clone());
        let table = Arc::new(self.events_table(input));
        self.register(&name.to_lowercase(), EVERY_RECORD, table)
    }

    /// Returns the use that is made of the cache of decoded columns.
    pub fn cache_usage(&self) -> CacheUsage {
        let cache = self.cache.as_ref();
        cache.map(|cache| cache.usage()).unwrap_or_default()
    }

    fn events_table(&self, input: Input) -> EventsTable {
        EventsTable::new(input)
            .with_cache(self.cache.clone())
            .with_object_cache(self.object_cache.clone())
    }

    fn register(&self, name: &str, about: &str, table: Arc<dyn TableProvider>) -> Result<()> {
        self.replace(name, table)?;
        write(&self.names).add_table(name, columns::catalog().schema());
        self.list(TableEntry {
            name: name.to_owned(),
            about: about.to_owned(),
            kind: TableKind::Events,
            schema: Arc::clone(columns::catalog().schema()),
        });
        Ok(())
    }

    /// Adds a table that no list shows.
    fn register_hidden(&self, name: &str, table: Arc<dyn TableProvider>) -> Result<()> {
        self.replace(name, table)?;
        write(&self.names).add_table(name, columns::catalog().schema());
        Ok(())
    }

    fn replace(&self, name: &str, table: Arc<dyn TableProvider>) -> Result<()> {
        let reference = TableReference::bare(name);
        self.context
            .deregister_table(reference.clone())
            .and_then(|_| self.context.register_table(reference, table))
            .map_err(translate_error)?;
        Ok(())
    }

    fn list(&self, entry: TableEntry) {
        let mut tables = write(&self.tables);
        tables.retain(|table| table.name != entry.name);
        tables.push(entry);
    }

    /// Returns the tables and views, in the order in which they were added.
    pub fn tables(&self) -> Vec<TableEntry> {
        read(&self.tables).clone()
    }

    /// Returns the functions, as `SHOW FUNCTIONS` lists them.
    pub fn functions(&self) -> Vec<FunctionEntry> {
        functions::entries(&self.context.state())
    }

    /// Plans `sql`, one statement, and starts it in an execution of its own.
    ///
    /// # Errors
    /// Query errors: the fault of the statement and, where that is known, what to write instead.
    pub async fn query(&self, sql: &str) -> Result<QueryResult> {
        self.plan(sql).await?.start(&Arc::default()).await
    }

    /// Plans `sql`, one statement, and reads nothing yet.
    ///
    /// # Errors
    /// Query errors, as of [`Session::query`].
    pub async fn plan(&self, sql: &str) -> Result<Plan<'_>> {
        let mut plans = self.plan_all(sql).await?;
        match (plans.pop(), plans.len()) {
            (Some(plan), 0) => Ok(plan),
            (_, others) => Err(Error::query(format!(
                "expected one SQL statement, found {}",
                others + 1
            ))),
        }
    }

    /// Plans every statement of `sql`, separated by semicolons, and reads nothing yet.
    ///
    /// # Errors
    /// Query errors, as of [`Session::query`], of the first statement that has one. At least one
    /// statement is expected.
    pub async fn plan_all(&self, sql: &str) -> Result<Vec<Plan<'_>>> {
        let mut plans = Vec::new();
        let statements = parse(&self.with_versions(sql)?)?;
        if !statements.iter().all(is_query) {
            return Err(only_queries());
        }
        for statement in statements {
            plans.push(self.plan_statement(statement).await?);
        }
        copy::check_distinct(&plans)?;
        Ok(plans)
    }

    async fn plan_statement(&self, statement: Statement) -> Result<Plan<'_>> {
        match copy::is_copy(&statement) {
            true => Box::pin(self.plan_copy(statement)).await,
            false => self.plan_query(statement).await,
        }
    }

    async fn plan_query(&self, mut statement: Statement) -> Result<Plan<'_>> {
        let state = self.context.state();
        clauses::check(&statement, &state)?;
        let functions = || functions::entries(&state);
        if let Some(rows) = catalog::answer(&statement, &read(&self.tables), functions)? {
            return Ok(Plan::of_rows(self, rows));
        }
        let column_names = read(&self.names).rewrite(&mut statement)?;
        let plan = state
            .statement_to_plan(statement)
            .await
            .map_err(|error| self.explain(error))?;
        // Reading is all that a query may do: no files written but by COPY, no tables made of files or URLs.
        SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false)
            .verify_plan(&plan)
            .map_err(|_| only_queries())?;
        Ok(Plan::of_query(self, plan, column_names))
    }

    /// Translates an error of planning, with the names that the user typed.
    fn explain(&self, error: DataFusionError) -> Error {
        match read(&self.names).explain_plan_error(&error) {
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

/// The meaning of the rows of a table of events.
const EVERY_RECORD: &str = "every CloudTrail record, Insights and aggregated ones too";
const AURORA: &str = "those of RDS, the Data API and DSQL, without Neptune and DocumentDB";
const CURRENT: &str = "the latest state of each: without those that a later record corrects";

/// The rows of `events` that belong to the Aurora family.
fn aurora_view(events: Arc<dyn TableProvider>) -> Result<ViewTable, DataFusionError> {
    let sources = AURORA_SOURCES.map(lit).to_vec();
    let others = OTHER_ENGINES.map(lit).to_vec();
    let engine = col("engine");
    let aurora = col("eventsource")
        .in_list(sources, false)
        .and(engine.clone().is_null().or(engine.in_list(others, true)));
    let plan = LogicalPlanBuilder::scan("events", provider_as_source(events), None)?
        .filter(aurora)?
        .build()?;
    Ok(ViewTable::new(plan, None))
}

fn parse(sql: &str) -> Result<Vec<Statement>> {
    let statements = DFParser::parse_sql(sql)
        .map_err(|error| Error::query(format!("cannot read the SQL: {}", user_message(&error))))?;
    if statements.is_empty() {
        return Err(Error::query("expected a SQL statement, found none"));
    }
    Ok(statements.into())
}

/// Locks, also after a panic elsewhere: each change is one step.
fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

/// Returns whether the statement asks something or exports it, so that it is worth planning.
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
        Statement::CopyTo(_) => true,
        _ => false,
    }
}

fn only_queries() -> Error {
    Error::query(
        "only queries can be asked here: SELECT, WITH, VALUES, EXPLAIN, DESCRIBE events, SHOW TABLES",
    )
}
