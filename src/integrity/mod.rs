//! The integrity of a trail: are its log files those that CloudTrail delivered, and all of them?
//!
//! CloudTrail signs a digest file every hour, which names the log files of that hour with their hashes,
//! and the digest file before it:
//!
//! ```text
//! 12:00 digest ──previous──> 11:00 digest ──previous──> 10:00 digest ──null──  a gap
//!   │ signature in the object's metadata: time, name, hash of the digest, previous signature
//!   ├── log file, SHA-256 of its JSON
//!   └── log file ...
//! ```
//!
//! The checks are those of `aws cloudtrail validate-logs`, and more where it says so: see
//! <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-validation-digest-file-structure.html>
//! and "Custom implementations of CloudTrail log file integrity validation" beside it.
//!
//! | question | place |
//! | --- | --- |
//! | Which trail is a digest of, by its name? | [`key`] |
//! | What does a digest say? | [`digest`] |
//! | Is its signature CloudTrail's? | [`signature`] |
//! | Which digest comes next, and what is wrong with it? | [`chain`] |
//! | Is a log file the one that the digest names? | [`log_file`] |
//! | Which log files are in no digest? | [`extra`] |
//! | Where are the files? | [`store`], [`place`] |

pub mod chain;
pub mod digest;
pub mod extra;
pub mod find;
pub mod key;
pub mod log_file;
pub mod place;
pub mod report;
pub mod signature;
pub mod store;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Duration, Utc};
use futures::stream::{self, StreamExt, TryStreamExt};
use tokio::sync::Semaphore;

use crate::error::Result;
use chain::{Chain, Listed, Outcome};
use find::{Days, FileKind, find};
use key::{DigestKey, TrailId};
use report::Report;
use signature::KeyStore;
use store::Store;

/// The part of a trail that is verified, and how.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// The beginning of the time of delivery; `None` for the oldest digest file.
    pub from: Option<DateTime<Utc>>,
    /// The end of the time of delivery.
    pub until: DateTime<Utc>,
    /// Whether links are checked by hash too, and digest files must cover the time without a break.
    pub strict: bool,
}

impl Request {
    /// The days of delivery whose folders may have digest files of this time.
    pub fn days(&self) -> Days {
        let from = self.from.map(|from| from - Duration::minutes(1));
        Days::new(from, self.until + spill_over())
    }

    /// Returns whether a digest file that ends at `end` is listed for this time.
    fn lists(&self, end: DateTime<Utc>) -> bool {
        self.from.is_none_or(|from| end >= from) && end <= self.until + spill_over()
    }
}

/// The time after the end in which log files of the end are still put into a digest file.
fn spill_over() -> Duration {
    Duration::hours(1)
}

/// The places and keys that a verification works with.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The reader of the files.
    pub store: &'a dyn Store,
    /// The keys of CloudTrail.
    pub keys: &'a dyn KeyStore,
    /// The part that is verified.
    pub request: Request,
    /// A permit for each log file that is read at a time.
    pub log_files: &'a Semaphore,
}

/// Verifies all trails below the folders `places`, as the addresses of `store`.
///
/// # Errors
/// Those of listing, of services that do not answer and of keys that cannot be asked for. A file that
/// cannot be read is a finding.
pub async fn verify(
    store: &dyn Store,
    keys: &dyn KeyStore,
    places: &[String],
    request: Request,
) -> Result<Report> {
    let log_files = Semaphore::new(LOG_FILES_AT_ONCE);
    let context = Context {
        store,
        keys,
        request,
        log_files: &log_files,
    };
    let trails = trails(&context, places).await?;
    let mut report = Report::default();
    let mut outcomes = stream::iter(trails)
        .map(|(trail, listed)| Box::pin(Chain::new(context, trail, listed).walk()))
        .buffered(CHAINS_AT_ONCE);
    let mut all = Outcome::default();
    while let Some(outcome) = outcomes.try_next().await? {
        report.trails += 1;
        all.append(outcome);
    }
    report.append(std::mem::take(&mut all.report));
    extra::find_extra(&context, &all, &mut report).await?;
    Ok(report)
}

/// Lists the digest files of the time, by trail, oldest first.
async fn trails(
    context: &Context<'_>,
    places: &[String],
) -> Result<BTreeMap<TrailId, Vec<Listed>>> {
    let mut trails: BTreeMap<TrailId, BTreeSet<Listed>> = BTreeMap::new();
    for place in places {
        let days = context.request.days();
        for url in find(context.store, place, FileKind::Digest, &days).await? {
            if let Some(key) = DigestKey::parse(&url)
                && context.request.lists(key.end)
            {
                let listed = Listed { end: key.end, url };
                trails.entry(key.trail).or_default().insert(listed);
            }
        }
    }
    let sorted =
        |(trail, listed): (TrailId, BTreeSet<Listed>)| (trail, listed.into_iter().collect());
    Ok(trails.into_iter().map(sorted).collect())
}

/// Log files that are read at a time.
const LOG_FILES_AT_ONCE: usize = 8;
/// Chains that are walked at a time.
const CHAINS_AT_ONCE: usize = 4;
