//! SQL over the CloudTrail events of Amazon Aurora.
//!
//! Bytes become rows in stages. Each knows the one above it only by the type that it hands down:
//!
//! ```text
//! source     where bytes come from          files, s3://, kinesis://, logs://, -, sample: ...
//!   |  Payload { origin, body }                                  ^ from a Checkpoint
//! envelope   takes wrappers off             gzip, {"Records"}, CloudWatch, EventBridge, KPL, SQS ...
//!   |  Record { text, members }, or a Reject with a reason
//! events     one pass into columns          only those that somebody asked for
//!   |  RecordBatch
//! pipeline   drives the three above         threads, back-pressure, epochs, stopping
//!   |  batches, then a Barrier with a Checkpoint
//!   +-- lake     a Delta table of Parquet   files, commits, duplicates, checkpoints
//!   |     |  data files
//!   +-- query    DataFusion over batches    tables, functions, names as people write them
//!   |     |  rows
//!   +-- stream   queries that do not end    rows as events arrive, a checkpoint after them
//!   |     |  rows
//!   +-- cli      commands, formats, messages
//! ```
//!
//! Beside them, [`integrity`] checks the files of a trail by CloudTrail's signatures, without a look at
//! the events in them.
//!
//! The loop from source to batch exists once, in [`pipeline`]: a query's table and `scan` are two
//! consumers of it. What belongs to one run over an input (counters, receivers of rejects, the stop
//! token) is an [`execution::Execution`]; tables and sessions outlive it and have no such state.
//!
//! # Finding things
//!
//! | question | place |
//! | --- | --- |
//! | Where do bytes come from, and what need not be read? | [`source`], [`source::KeyFilter`] |
//! | How far has a source come, and how does a run go on? | [`checkpoint`] |
//! | In which order is a trail read, and what if something comes late to an old day? | `source/objects/days.rs`, `source/objects/folders.rs` |
//! | Why is each record counted once, though the process died? | [`pipeline`], `tests/pipeline.rs` |
//! | What is this blob, and where are the events in it? | [`envelope`] |
//! | What counts as an event? | `envelope/classify.rs` |
//! | What becomes of damage? | `envelope/salvage.rs`; where decoders panic on it, `decoding.rs` |
//! | How is JSON read so fast, and validated all the same? | [`json`] |
//! | What columns are there? | [`events::columns`] |
//! | What does `actor` mean exactly? | `events/derived.rs` |
//! | What belongs to the Aurora family? | [`events::family`] |
//! | When are two records the same event? | [`events::fingerprint`](events::fingerprint()) |
//! | How does a row become its record again? | [`events::rebuild`](events::rebuild()) |
//! | What do all live sources share? | `source/live/` |
//! | How are the shards of a stream followed? | `source/kinesis/shards.rs`, `source/kinesis/shard.rs` |
//! | Which queries may be watched? | `query/standing/check.rs` |
//! | When is a row of a watch covered by its checkpoint? | [`stream`] |
//! | What does WHERE save? | `query/pushdown.rs` |
//! | Why is a second question about the same columns answered at once? | `query/cache.rs` |
//! | Why is each event in a lake once? | `lake/ingest.rs`, `lake/duplicates.rs`, `tests/lake.rs` |
//! | What is in the folder of a lake? | [`lake`] |
//! | How do other engines find a lake? | [`lake::catalog`], `source/glue.rs` |
//! | Which files of a lake does a query read? | `query/lake_table/` |
//! | How does `userIdentity.userName` find its column? | [`query::names`] |
//! | Which clauses of SQL are refused? | `query/clauses/` |
//! | How does a second question read nothing? | `query/cache.rs`, `pipeline/recording.rs` |
//! | What completes at the cursor? | `cli/repl/completion/`, [`query::profile`] |
//! | How does `\record` find its record? | `query/identify.rs`, `cli/repl/record.rs` |
//! | How is a file kept that is read and written? | `cli/overwrite.rs` |
//! | What is counted, and where do rejects go? | [`stats`], [`reject`] |
//! | Why does an export appear at once or never? | `query/copy/target.rs`, `query/copy/uploads.rs` |
//! | What does `--cache` keep, and when does it go? | [`lake::object_cache`], `query/kept.rs` |
//! | Is a trail whole? | [`integrity`] |
//! | Who can fix this error? | [`error`] |
//!
//! # Adding things
//!
//! | to add | write | and name it in |
//! | --- | --- | --- |
//! | a source | a file in `source/` with a type that implements [`source::Source`] and a function that opens it, or for a live one a `Feed` of `source/live/`; `tests/partitioned.rs` is an example of 78 lines | [`source::Sources::new`], by its scheme; the table in `source/mod.rs` and the README |
//! | an envelope | its rule in the table of `envelope/classify.rs`, the way to take it off in `envelope/wrapper.rs`; without a rule, `envelope/search.rs` finds its events (a file of its own if it is not JSON, as `kpl.rs`; magic bytes go to `magic.rs`), a test in `tests/envelopes.rs` | README |
//! | a column of an API call | a line in `events/api_columns.tsv` | |
//! | a derived column | a row in the table of `events/derived.rs` | README |
//! | a function of SQL | a file in `query/functions/` with a UDF that has a `Documentation` | `ours` in `query/functions/mod.rs`; `SHOW FUNCTIONS` lists it |
//! | an output format | a file in `cli/output/` with a type that implements `BatchWriter` | `Format` and `batch_writer` in `cli/output/mod.rs`; README |
//! | a command of the prompt | a row in the table of `cli/repl/commands.rs`, a variant of its `Command`, a function of `Shell` | README |
//! | an engine that reads a lake | a file in `lake/catalog/` with a method of `Table` | `Engine` in `cli/catalog.rs`; README |
//! | a command | a file in `cli/`, its arguments in `cli/mod.rs` | README |
//!
//! `tests/layering.rs` has the table of which module may use which.
//!
//! # Two decisions
//!
//! **Framing validates.** The envelope's scanner checks every byte against the JSON grammar while it
//! looks for the ends of records, and notes where each record's members are. So whether a record
//! counts never depends on the columns that a query names, and the decoder goes straight to the
//! members it wants, in text that it can trust. Members that nobody asked for are never looked at again.
//!
//! **The schema is data and it is fixed.** Nothing is inferred: no pass over the input decides a
//! type, and no folder changes the meaning of a query. Values that a column cannot hold exactly are
//! kept in `unmapped` or `nullfields`, so that a record can always be rebuilt from its row.
//!
//! # A query, from code
//!
//! ```
//! use auroratrail::query::{SessionOptions, Session, table::Input};
//! use auroratrail::source::{Sources, aws::AwsSettings};
//! use futures::TryStreamExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let sources = Sources::new(AwsSettings::from_env());
//! let locations = vec![sources.parse("sample:?events=1000")?];
//! let session = Session::new(SessionOptions { threads: 1, memory_bytes: 64 << 20, cache_bytes: 0 })?;
//! session.add_events(Input { sources, locations, lakes: Vec::new(), dedup: false })?;
//! let result = session.query("SELECT count(*) AS calls FROM events WHERE is_denied").await?;
//! assert_eq!(result.column_names, ["calls"]);
//! let batches: Vec<_> = result.rows.try_collect().await?;
//! assert_eq!(batches[0].num_rows(), 1);
//! # Ok(())
//! # }
//! ```

pub mod checkpoint;
pub mod cli;
mod decoding;
pub mod envelope;
pub mod error;
pub mod events;
pub mod execution;
pub mod input_location;
pub mod integrity;
pub mod json;
pub mod lake;
pub mod payload;
pub mod pipeline;
mod private_folder;
pub mod query;
pub mod reject;
pub mod sample;
pub mod source;
pub mod stats;
pub mod stream;
