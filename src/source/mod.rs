//! Sources: where bytes come from, and how far they have been read.
//!
//! A source hands down payloads and knows nothing of what is in them: no JSON, no events. To add
//! one, write a file here with a type that implements [`Source`] and a function that opens it, and
//! name both in [`Sources::new`], under the scheme of its URLs. Nothing else has to know of it:
//! threads, epochs, stopping and retries are the pipeline's and [`Retrying`]'s.
//!
//! | scheme | source | file |
//! | --- | --- | --- |
//! | paths, globs, `s3://` | objects | `objects/` |
//! | paths, with `--follow` | files that grow | `follow/` |
//! | `-` | standard input | `stdin.rs` |
//! | `sample:` | made-up events | `sample.rs` |
//! | `kinesis://` | a Kinesis data stream | `kinesis/`, on `live/` |
//! | `logs://` | CloudWatch log groups | `logs/`, on `timed/` and `live/` |
//! | `cloudtrail://` | CloudTrail's event history | `history/`, on `timed/` and `live/` |

mod access;
pub mod aws;
mod combined;
mod folder;
mod follow;
mod glue;
mod history;
mod kinesis;
mod live;
mod location;
mod logs;
mod objects;
mod permissions;
mod public_keys;
mod read;
mod retry;
mod sample;
mod stdin;
mod timed;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;

use crate::checkpoint::{Checkpoint, PartitionId};
use crate::error::{Error, Result};
use crate::execution::Execution;
use crate::payload::Payload;
use aws::{Aws, AwsSettings};
use combined::Combined;
use objects::Buckets;

pub use crate::payload::{Known, ObjectVersion};
pub use access::AccessCheck;
pub use folder::{Access, Folder, bucket_error};
pub use glue::{GlueTable, Registered};
pub use live::parse_moment;
pub use location::{Local, Location, S3};
pub use objects::{KeyFilter, TrailKey};
pub use permissions::{Permission, lake_permissions, permissions};
pub use public_keys::PublicKey;
pub use retry::Retrying;

/// Something that bytes come from.
///
/// ```text
///           open(from) ──> next() ──> next() ──> ... ──> None, or never
///                            │          │
/// checkpoint() covers:       1          2    exactly the payloads handed out so far
/// ```
///
/// A source may read ahead as it likes; its checkpoint does not move with that.
#[async_trait]
pub trait Source: Send {
    /// Returns whether the source ends by itself.
    fn boundedness(&self) -> Boundedness;

    /// Returns the next payload; `None` at the end of a bounded source, and from then on.
    ///
    /// Cancel-safe: a payload is handed out when this returns it, and not before. A call is dropped
    /// and made again at every barrier, so a request that takes long belongs into a task of the
    /// source's own, which goes on meanwhile. Called within a tokio runtime, never twice at a time.
    ///
    /// # Errors
    /// `Unavailable` errors are retried, with growing pauses, by [`Retrying`]: the next call starts
    /// where this one failed. All others end the source. An object that cannot be read while others
    /// can is a reject, not an error.
    async fn next(&mut self) -> Result<Option<Payload>>;

    /// The checkpoint that covers exactly what [`Source::next`] has handed out, and what the
    /// checkpoint covers that the source was opened from.
    fn checkpoint(&self) -> Checkpoint;

    /// Returns the distance from the newest data, for people and metrics.
    fn progress(&self) -> Progress;
}

/// The answer to whether a source ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boundedness {
    /// It ends, as a folder or a pipe does.
    Bounded,
    /// It goes on until it is stopped, as a stream does.
    Unbounded,
}

/// The part of a live source that is read, and where that begins if no checkpoint tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reading {
    /// From the oldest data that is kept up to now, and then it ends: a question asked once.
    #[default]
    ToNow,
    /// From the oldest data that is kept, without an end: a lake.
    Follow,
    /// From now on, without an end: a person who watches.
    Watch,
}

impl Reading {
    /// Returns whether it ends by itself.
    pub fn boundedness(self) -> Boundedness {
        match self {
            Self::ToNow => Boundedness::Bounded,
            Self::Follow | Self::Watch => Boundedness::Unbounded,
        }
    }

    fn is_to_now(self) -> bool {
        self == Self::ToNow
    }
}

/// The distance of a source from the newest data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// By partition, as far as it is known.
    pub behind: BTreeMap<PartitionId, Lag>,
    /// The failure that is being retried, if there is one.
    pub retrying: Option<Retry>,
}

/// The distance of a partition from its newest data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lag {
    /// The age of what is handed out next.
    Time(Duration),
    /// Objects that are listed and not handed out.
    Objects(u64),
    /// Payloads that are made and not handed out.
    Payloads(u64),
    /// Bytes that were written and not handed out, those of a line that is not whole yet included.
    Bytes(u64),
}

/// A failure that is being retried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Attempts that have failed since the last success.
    pub attempts: u32,
    /// The last failure, in words.
    pub message: String,
}

/// The circumstances that a source is opened in.
#[derive(Clone, Debug, Default)]
pub struct OpenContext {
    /// The checkpoint to go on from. `None`: from the start, and no checkpoint will be asked for,
    /// so that nothing has to be remembered for one.
    pub from: Option<Checkpoint>,
    /// The part of live sources that is read. Files, objects and pipes always end.
    pub reading: Reading,
    /// Whether local files grow and are read line by line, as NDJSON: they are live sources then.
    pub follow: bool,
    /// Objects that may be left out by their keys.
    pub keys: KeyFilter,
    /// Whether a trail's objects are handed out day by day, as far as that many are listed, and not in the
    /// order of their names: for a consumer that keeps the days apart.
    pub by_day: bool,
    /// The execution that counts what is read and hears of what cannot be.
    pub execution: Arc<Execution>,
    /// The consumer's objects that need not be read again.
    pub known: Option<Arc<dyn KnownObjects>>,
}

/// A consumer that keeps the rows of objects.
pub trait KnownObjects: std::fmt::Debug + Send + Sync {
    /// Returns the rows of this version of an object if they are known. The object is not read then:
    /// its payload hands the rows back, in its turn.
    fn find(&self, origin: &Arc<str>, version: &ObjectVersion) -> Option<Known>;
}

/// A function that opens the source of a URL. It connects to nothing: [`Source::next`] does.
type Open = dyn Fn(&str, &OpenContext) -> Result<Box<dyn Source>> + Send + Sync;

/// The kinds of sources that there are, with the connections and credentials that they share.
#[derive(Clone)]
pub struct Sources {
    aws: Arc<Aws>,
    buckets: Arc<Buckets>,
    schemes: BTreeMap<&'static str, Arc<Open>>,
}

impl Sources {
    /// All sources of this crate. Nothing is connected to or looked up yet.
    pub fn new(settings: AwsSettings) -> Self {
        let aws = Arc::new(Aws::new(settings));
        let [for_kinesis, for_logs, for_history] = std::array::from_fn(|_| Arc::clone(&aws));
        Self {
            buckets: Arc::new(Buckets::new(Arc::clone(&aws))),
            aws,
            schemes: BTreeMap::new(),
        }
        .with_scheme("kinesis", move |url, context| {
            kinesis::open(&for_kinesis, url, context)
        })
        .with_scheme("logs", move |url, context| {
            logs::open(&for_logs, url, context)
        })
        .with_scheme("cloudtrail", move |url, context| {
            history::open(&for_history, url, context)
        })
        .with_scheme("-", stdin::open)
        .with_scheme("sample", sample::open)
    }

    /// Adds a kind of source, under the scheme of its URLs. `open` is given the URL as typed.
    #[must_use]
    pub fn with_scheme(
        mut self,
        scheme: &'static str,
        open: impl Fn(&str, &OpenContext) -> Result<Box<dyn Source>> + Send + Sync + 'static,
    ) -> Self {
        self.schemes.insert(scheme, Arc::new(open));
        self
    }

    /// Parses a path or URL that names something to read.
    ///
    /// # Errors
    /// Config, for schemes that are unknown and patterns that do not parse.
    pub fn parse(&self, text: &str) -> Result<Location> {
        Location::parse_with(text, |scheme| self.schemes.contains_key(scheme))
    }

    /// Looks at a location without reading it on: tries the requests that reading needs, and finds how far a
    /// reader with the checkpoint `from` is behind. Empty for what is on this machine.
    ///
    /// # Errors
    /// Config, for URLs that their source does not understand.
    pub async fn check_access(
        &self,
        location: &Location,
        from: &Checkpoint,
    ) -> Result<Vec<AccessCheck>> {
        match location.scheme() {
            "kinesis" => kinesis::check(&self.aws, &location.to_string(), from).await,
            "logs" => logs::check(&self.aws, &location.to_string(), from).await,
            "cloudtrail" => history::check(&self.aws, &location.to_string(), from).await,
            "s3" => Ok(objects::check(&self.buckets, location).await),
            _ => Ok(Vec::new()),
        }
    }

    /// Checks that there is anything to read at all.
    ///
    /// # Errors
    /// Config, if no location has an object that can be listed: the fault of each of them. Errors
    /// of opening other sources come as they are.
    pub async fn check(&self, locations: &[Location]) -> Result<()> {
        let (objects, urls): (Vec<&Location>, Vec<&Location>) =
            locations.iter().partition(|location| location.is_objects());
        for url in &urls {
            drop(self.open_url(url, &OpenContext::default())?);
        }
        let mut complaints = Vec::new();
        for location in objects.iter().take_while(|_| urls.is_empty()) {
            match objects::complaint(&self.buckets, location).await {
                Some(complaint) => complaints.push(complaint),
                None => return Ok(()),
            }
        }
        match (urls.as_slice(), complaints.as_slice()) {
            ([_, ..], _) => Ok(()),
            ([], []) => Err(Error::config("nothing to read: no location is given")),
            ([], complaints) => Err(Error::config(format!(
                "nothing to read: {}",
                complaints.join("; ")
            ))),
        }
    }

    /// Opens all of `locations` as one source: the bounded ones in their order, then those without
    /// an end, side by side. What two locations name is read once.
    ///
    /// # Errors
    /// Config, for URLs that their source does not understand.
    pub fn open(&self, locations: &[Location], context: &OpenContext) -> Result<Box<dyn Source>> {
        let mut sources: Vec<Box<dyn Source>> = Vec::new();
        let visited = objects::VisitedPaths::default();
        let mut urls = BTreeSet::new();
        let same = |a: &Location, b: &Location| a.is_objects() && b.is_objects();
        let (followed, locations): (Vec<Location>, Vec<Location>) = locations
            .iter()
            .cloned()
            .partition(|it| context.follow && matches!(it, Location::Local(_)));
        if !followed.is_empty() {
            sources.push(follow::open(&self.buckets, followed, context));
        }
        for run in locations.chunk_by(same) {
            match run {
                [location] if !location.is_objects() => {
                    if !urls.insert(location.to_string()) {
                        continue;
                    }
                    let source = self.open_url(location, context)?;
                    sources.push(Box::new(Retrying::new(
                        source,
                        Arc::clone(&context.execution),
                    )));
                }
                objects => sources.push(objects::open(
                    Arc::clone(&self.buckets),
                    objects.to_vec(),
                    visited.clone(),
                    context.clone(),
                )),
            }
        }
        Ok(match sources.len() {
            1 => sources.remove(0),
            _ => Box::new(Combined::new(sources)),
        })
    }

    /// Lists the files of this machine that reading `locations` may read: the names that messages
    /// show, and the paths. Each is listed once. Runs within a tokio runtime.
    pub fn local_files(&self, locations: &[Location]) -> BoxStream<'static, (Arc<str>, PathBuf)> {
        objects::local_files(&self.buckets, locations)
    }

    /// Returns whether all of `locations` end by themselves. Opens them, which connects to nothing.
    ///
    /// # Errors
    /// As of [`Sources::open`].
    pub fn boundedness(&self, locations: &[Location]) -> Result<Boundedness> {
        for location in locations.iter().filter(|location| !location.is_objects()) {
            let source = self.open_url(location, &OpenContext::default())?;
            if source.boundedness() == Boundedness::Unbounded {
                return Ok(Boundedness::Unbounded);
            }
        }
        Ok(Boundedness::Bounded)
    }

    fn open_url(&self, location: &Location, context: &OpenContext) -> Result<Box<dyn Source>> {
        match self.schemes.get(location.scheme()) {
            Some(open) => open(&location.to_string(), context),
            None => Err(Error::config(format!(
                "`{location}` cannot be read: nothing here opens `{}:`",
                location.scheme()
            ))),
        }
    }
}

impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sources").finish_non_exhaustive()
    }
}
