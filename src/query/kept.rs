//! Objects that are kept on disk: read from there, and what is missing decoded and added first.
//!
//! ```text
//! locations ──list──> known? ──yes──> ranges of rows ──────────┐
//!                       └──no──> decoded, in all columns ──> segments ──> the scan of a lake
//! ```
//!
//! All of a question's objects come from the cache, or none: with more than it may hold the question is
//! answered as if there were no cache. Nothing is counted or told before that is known.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::common::{DataFusionError, Result};
use datafusion::physical_plan::ExecutionPlan;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use tokio::task::JoinSet;

use super::lake_table::{self, LakeReader, LakeScan};
use super::pushdown;
use super::table::Input;
use crate::error::{Error, ErrorKind, Result as OwnResult};
use crate::events::RowFilter;
use crate::events::columns::catalog;
use crate::execution::Execution;
use crate::lake::object_cache::{Filling, KeptRows, ObjectCache};
use crate::lake::{LakeFile, stored_columns};
use crate::pipeline::{BatchRequest, HeldRejects, Pipeline, Worker, keep_worker};
use crate::source::{KeyFilter, KnownObjects, OpenContext, Reading};

/// Marks the planning of a statement that is not carried out.
#[derive(Debug)]
pub(super) struct PlanOnly;

/// Returns the scan of the locations over what is kept of them; `None` if that cannot be.
pub(super) async fn scan(
    cache: &ObjectCache,
    input: &Input,
    filter: &RowFilter,
    scan: &LakeScan<'_>,
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let config = scan.state.config();
    let Some(execution) = config.get_extension::<Execution>() else {
        return Ok(None);
    };
    let is_kept = !input.dedup && input.locations.iter().all(|it| it.is_objects());
    if !is_kept || config.get_extension::<PlanOnly>().is_some() {
        return Ok(None);
    }
    let question = Question {
        cache,
        input,
        keys: pushdown::key_filter(filter),
        threads: config.target_partitions(),
        execution: &execution,
    };
    let columns = catalog().columns();
    let is_asked = |path: &str| {
        let mut asked = scan.projection.iter();
        asked.any(|column| columns[*column].path == path)
    };
    match question.answer(is_asked).await {
        Ok(Some(rows)) => {
            let lake = Arc::new(CachedRows::new(rows).map_err(external)?);
            lake_table::scan(&(lake as Arc<dyn LakeReader>), scan)
                .await
                .map(Some)
        }
        Ok(None) => {
            execution.note(TOO_SMALL);
            Ok(None)
        }
        Err(error) if is_stopped(&error) => Err(external(error)),
        Err(error) => {
            execution.note(format!("answered without the cache: {error}"));
            Ok(None)
        }
    }
}

/// The objects of one scan.
struct Question<'a> {
    cache: &'a ObjectCache,
    input: &'a Input,
    keys: KeyFilter,
    threads: usize,
    execution: &'a Arc<Execution>,
}

impl Question<'_> {
    /// Finds or adds all objects, and counts them; `None` if the cache is too small.
    async fn answer(&self, is_asked: impl Fn(&str) -> bool) -> OwnResult<Option<KeptRows>> {
        let key = self.key();
        if self.cache.is_too_small(&key) {
            return Ok(None);
        }
        let rejects = HeldRejects::default();
        let ahead = self.execution.begin_ahead(rejects.clone());
        let filled = self.fill(&ahead).await;
        self.execution.end_ahead();
        let is_whole = !matches!(filled, Ok(None)) && !rejects.are_too_many();
        let is_told = is_whole && filled.as_ref().err().is_none_or(is_stopped);
        if is_told {
            let counted = self.execution.for_scan();
            counted.stats.absorb(&ahead.stats, is_asked);
            rejects.tell(&counted);
        }
        if matches!(filled, Ok(None)) {
            self.cache.set_too_small(&key);
        }
        Ok(filled?.filter(|_| is_whole))
    }

    /// Finds all objects, and decodes and adds those that are not kept.
    async fn fill(&self, ahead: &Arc<Execution>) -> OwnResult<Option<KeptRows>> {
        let cache = self.cache.clone();
        let opened = tokio::task::spawn_blocking(move || cache.open()).await;
        let filling = Filling::new(opened.map_err(|error| panicked(&error))??);
        let open = OpenContext {
            from: None,
            reading: Reading::ToNow,
            follow: false,
            keys: self.keys.clone(),
            by_day: false,
            execution: Arc::clone(ahead),
            known: Some(Arc::clone(&filling) as Arc<dyn KnownObjects>),
        };
        let source = self.input.sources.open(&self.input.locations, &open)?;
        let pipeline = Arc::new(Pipeline::new(source, Arc::clone(ahead)));
        // Nobody waits for threads that are at work when this is dropped.
        let _close = CloseOnDrop(Arc::clone(&pipeline));
        let mut threads = JoinSet::new();
        for _ in 0..self.threads.max(1) {
            let pipeline = Arc::clone(&pipeline);
            let request = BatchRequest::all_rows(stored_columns().to_vec(), BATCH_ROWS);
            let keeper = filling.keeper(ahead);
            let ahead = Arc::clone(ahead);
            threads.spawn_blocking(move || {
                let mut worker = keep_worker(&request, ahead, keeper);
                let done = pipeline.run(&mut worker);
                // A worker that has enough is not asked for the rest, and neither need the others go on.
                if !worker.flush() {
                    pipeline.close();
                }
                done
            });
        }
        let mut done = Ok(());
        while let Some(ended) = threads.join_next().await {
            let ended = ended.unwrap_or_else(|error| Err(panicked(&error)));
            if ended.is_err() {
                pipeline.close();
            }
            done = done.and(ended);
        }
        // What was added stays, however the reading ended: the next question goes on from there.
        let kept = tokio::task::spawn_blocking(move || filling.finish()).await;
        let kept = kept.map_err(|error| panicked(&error))?;
        done.and(kept)
    }

    /// Returns a text that stands for the objects.
    fn key(&self) -> String {
        let folder = std::env::current_dir().unwrap_or_default();
        let locations = self.input.locations.iter().map(ToString::to_string);
        let locations: Vec<String> = locations.collect();
        format!(
            "{}\n{}\n{}",
            folder.display(),
            locations.join("\n"),
            self.keys
        )
    }
}

/// Ends the threads of a pipeline.
struct CloseOnDrop(Arc<Pipeline>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

fn is_stopped(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Stopped)
}

fn panicked(error: &tokio::task::JoinError) -> Error {
    Error::bug(format!("a thread that decodes events stopped: {error}"))
}

/// Rows in the cache, read as a lake is.
#[derive(Debug)]
struct CachedRows {
    name: String,
    store: Arc<dyn ObjectStore>,
    rows: KeptRows,
}

impl CachedRows {
    fn new(rows: KeptRows) -> OwnResult<Self> {
        let name = rows.folder().display().to_string();
        let store = LocalFileSystem::new_with_prefix(rows.folder());
        let store = store.map_err(|error| Error::io(format!("{name} cannot be read: {error}")))?;
        Ok(Self {
            name,
            store: Arc::new(store),
            rows,
        })
    }
}

#[async_trait]
impl LakeReader for CachedRows {
    fn name(&self) -> &str {
        &self.name
    }

    fn store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.store)
    }

    async fn files(&self) -> OwnResult<Arc<[LakeFile]>> {
        Ok(Arc::clone(&self.rows.files))
    }

    fn rows(&self, file: &LakeFile) -> Option<&[Range<u64>]> {
        let ranges: &HashMap<_, _> = &self.rows.ranges;
        ranges.get(&file.path).map(Vec::as_slice)
    }

    fn remedy(&self) -> String {
        format!("delete {}, which is made anew", self.name)
    }
}

fn external(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

const TOO_SMALL: &str =
    "the cache is too small for these files, and was not used; --cache-size gives it more room";

/// Rows of a batch that is decoded.
const BATCH_ROWS: usize = 4096;
