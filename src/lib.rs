//! SQL over the CloudTrail events of Amazon Aurora.
//!
//! Bytes become rows in stages. Each knows the one above it only by the type that it hands down:
//!
//! ```text
//! source     where bytes come from          files, folders, s3://, -, sample:
//!   |  Payload { origin, body }
//! envelope   takes wrappers off             gzip, {"Records"}, CloudWatch, EventBridge, KPL, SQS ...
//!   |  Record { text, members }, or a reject with a reason
//! events     one pass into columns          only those that somebody asked for
//!   |  RecordBatch
//! query      DataFusion over batches        names as people write them
//!   |  rows
//! cli        what was typed, what is shown
//! ```
//!
//! # Where to find what
//!
//! | question | place |
//! | --- | --- |
//! | Where do bytes come from, and what need not be read? | [`source`], [`source::key`] |
//! | What is this blob, and where are the events in it? | [`envelope`] |
//! | What counts as an event? | `envelope/classify.rs` |
//! | What becomes of damage? | `envelope/salvage.rs` |
//! | How is JSON read so fast, and validated all the same? | [`json`] |
//! | What columns are there? | [`events::columns`] |
//! | What does `actor` mean exactly? | `events/derived.rs` |
//! | What belongs to the Aurora family? | [`events::family`] |
//! | How does a row become its record again? | [`events::rebuild`] |
//! | What does WHERE save? | `query/pushdown.rs` |
//! | How does `userIdentity.userName` find its column? | [`query::names`] |
//! | What is counted, and where do rejects go? | [`stats`] |
//! | Who can fix this error? | [`error`] |
//!
//! # Two decisions
//!
//! **Framing validates.** The envelope's scanner checks every byte against the JSON grammar while it
//! looks for the ends of records, and notes where each record's members are. So whether a record
//! counts never depends on the columns that a query names, and the decoder goes straight to the
//! members it wants, in text that it can trust. Members that nobody asked for are never looked at again.
//!
//! **The schema is data and it is fixed.** Nothing is inferred: no pass over the input decides a
//! type, and no folder changes the meaning of a query. What a column cannot hold exactly is kept in
//! `unmapped` or `nullfields`, so that a record can always be rebuilt from its row.
//!
//! # A query, from code
//!
//! ```
//! use std::sync::Arc;
//! use auroratrail::query::{Options, Session, table::Input};
//! use auroratrail::sample::Sample;
//! use auroratrail::source::{Location, S3Settings, Sources};
//! use futures::TryStreamExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let sources = Sources::new(S3Settings::default())
//!     .with_sample(|query| Ok(Sample::parse(query)?.payloads()));
//! let input = Input {
//!     sources,
//!     locations: vec![Location::parse("sample:?events=1000")?],
//!     dedup: false,
//!     stats: Arc::default(),
//! };
//! let session = Session::new(input, Options { threads: 1, memory_bytes: 64 << 20 })?;
//! let answer = session.query("SELECT count(*) AS calls FROM events WHERE is_denied").await?;
//! assert_eq!(answer.titles, ["calls"]);
//! let batches: Vec<_> = answer.rows.try_collect().await?;
//! assert_eq!(batches[0].num_rows(), 1);
//! # Ok(())
//! # }
//! ```

pub mod checkpoint;
pub mod cli;
pub mod envelope;
pub mod error;
pub mod events;
pub mod execution;
pub mod input_location;
pub mod json;
pub mod payload;
pub mod pipeline;
pub mod query;
pub mod reject;
pub mod sample;
pub mod source;
pub mod stats;
