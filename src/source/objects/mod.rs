//! Files and objects: listed, left out by their keys, read ahead, handed out in listing order, or day by day.
//!
//! ```text
//! listing ──> by day? ──> reads in flight, ≤ 8 files or 16 objects, ≤ 32 MiB ──> next()
//!    │                                                                             │
//!    └── what earlier runs left <── checkpoint: names and folders <────────────────┘
//! ```

mod access;
mod days;
mod fetch;
mod folders;
mod key;
mod listing;
mod local;
mod pattern;
mod s3;
#[cfg(test)]
mod tests;
mod tracker;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use async_trait::async_trait;
use futures::StreamExt;
use futures::future::OptionFuture;
use futures::stream::BoxStream;
use tokio::runtime;
use tokio::sync::mpsc::error::SendError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::task::AbortOnDropHandle;

use self::days::by_day;
use self::fetch::{Fetch, Fetched, WHOLE_BYTES};
use self::folders::{Compared, Comparison, Folders};
use self::listing::{Handle, Listed, Object, listing};
use self::tracker::Tracker;
use super::{Boundedness, Lag, Location, OpenContext, Progress, Source};
use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::execution::Execution;
use crate::input_location::InputLocation;
use crate::payload::Payload;
use crate::reject::Reject;

pub(super) use self::access::check;
pub use self::key::{KeyFilter, TrailKey};
pub(super) use self::listing::VisitedPaths;
pub(super) use self::pattern::{Pattern, is_escaped, is_glob};
pub(super) use self::s3::{Buckets, Operation, translate};

/// Opens files and objects.
///
/// Listing and reading begin with the first call of [`Source::next`]. An object that cannot be
/// listed or read becomes a reject with the reason `unreadable file`, a location without objects one
/// with the reason `no such file`; no checkpoint covers these, so that they are tried again.
pub(super) fn open(
    buckets: Arc<Buckets>,
    locations: Vec<Location>,
    visited: VisitedPaths,
    context: OpenContext,
) -> Box<dyn Source> {
    let folders = Folders::default();
    let tracker = context.from.clone();
    let tracker = tracker.map(|from| Tracker::new(from, folders.clone()));
    Box::new(Objects {
        request: Some(Request {
            buckets,
            locations,
            visited,
            folders,
            context: context.clone(),
        }),
        tracker,
        execution: context.execution,
        handed_out: 0,
        running: None,
        fetched: VecDeque::new(),
    })
}

/// Returns the reason that nothing can be read from a location; `None` if something can.
pub(super) async fn complaint(buckets: &Arc<Buckets>, location: &Location) -> Option<String> {
    let mut listed = listing(
        Arc::clone(buckets),
        vec![location.clone()],
        KeyFilter::default(),
        VisitedPaths::default(),
    );
    let mut complaint = None;
    while let Some((_, listed)) = listed.next().await {
        match listed {
            Listed::Unreadable { origin, error } => {
                complaint.get_or_insert_with(|| format!("{origin}: {error}"));
            }
            Listed::Hidden => {}
            Listed::Object(_) | Listed::Again | Listed::PrunedFolder => return None,
        }
    }
    Some(complaint.unwrap_or_else(|| format!("{location}: {}", nothing_at(location))))
}

/// Lists the local ones among `locations`, giving names and paths.
pub(super) fn local_files(
    buckets: &Arc<Buckets>,
    locations: &[Location],
) -> BoxStream<'static, (Arc<str>, PathBuf)> {
    let is_local = |location: &&Location| matches!(location, Location::Local(_));
    listing(
        Arc::clone(buckets),
        locations.iter().filter(is_local).cloned().collect(),
        KeyFilter::default(),
        VisitedPaths::default(),
    )
    .filter_map(async |(_, listed)| match listed {
        Listed::Object(Object { origin, handle, .. }) => match handle {
            Handle::File { path, .. } | Handle::Pipe(path) => Some((origin, path)),
            Handle::S3 { .. } => None,
        },
        Listed::Again | Listed::Hidden | Listed::PrunedFolder | Listed::Unreadable { .. } => None,
    })
    .boxed()
}

/// Files and objects as a source.
struct Objects {
    /// The work, until it is begun.
    request: Option<Request>,
    tracker: Option<Tracker>,
    execution: Arc<Execution>,
    handed_out: u64,
    running: Option<Running>,
    fetched: VecDeque<Fetched>,
}

/// The arguments of a listing.
struct Request {
    buckets: Arc<Buckets>,
    locations: Vec<Location>,
    visited: VisitedPaths,
    folders: Folders,
    context: OpenContext,
}

/// Listing and reading under way.
struct Running {
    reads: mpsc::Receiver<FetchTask>,
    /// The read that is waited for: a call of `next` that is dropped leaves it here.
    current: Option<FetchTask>,
    _work: AbortOnDropHandle<()>,
}

/// A read in flight, resolving to its payloads in listing order.
type FetchTask = AbortOnDropHandle<Vec<Fetched>>;

#[async_trait]
impl Source for Objects {
    fn boundedness(&self) -> Boundedness {
        Boundedness::Bounded
    }

    async fn next(&mut self) -> Result<Option<Payload>> {
        if let Some(request) = self.request.take() {
            self.running = Some(start(request, &runtime::Handle::current()));
        }
        loop {
            while let Some((object, payload)) = self.fetched.pop_front() {
                self.handed_out += 1;
                let resume = match &mut self.tracker {
                    Some(tracker) => tracker.track(&object, payload.is_ok())?,
                    None => None,
                };
                match payload {
                    Ok(payload) => return Ok(Some(Payload { resume, ..payload })),
                    Err(error) => unreadable(&self.execution, &object.origin, &error),
                }
            }
            let Some(running) = &mut self.running else {
                return Ok(None);
            };
            if let Some(read) = &mut running.current {
                let fetched = read.await;
                running.current = None;
                self.fetched.extend(fetched.map_err(|error| {
                    Error::bug(format!("a thread that reads files stopped: {error}"))
                })?);
            } else if let Some(read) = running.reads.recv().await {
                running.current = Some(read);
            } else {
                self.running = None;
            }
        }
    }

    fn checkpoint(&self) -> Checkpoint {
        match &self.tracker {
            Some(tracker) => tracker.checkpoint().clone(),
            None => Checkpoint::default(),
        }
    }

    fn progress(&self) -> Progress {
        let listed = self.execution.stats.objects_listed.load(Relaxed);
        let left = Lag::Objects(listed.saturating_sub(self.handed_out));
        Progress {
            behind: [("objects".to_owned(), left)].into(),
            retrying: None,
        }
    }
}

/// Starts to list and to read ahead, on the runtime of `handle`.
fn start(request: Request, handle: &runtime::Handle) -> Running {
    let (begun, reads) = mpsc::channel(READS_AHEAD);
    let (listed, objects) = mpsc::channel(LISTED_AHEAD);
    let (objects, by_day) = match request.context.by_day {
        true => {
            let (taken, by_days) = mpsc::channel(FILES_A_READ);
            (by_days, Some(Box::pin(by_day(objects, taken))))
        }
        false => (objects, None),
    };
    let reading = Reading {
        execution: Arc::clone(&request.context.execution),
        runtime: handle.clone(),
        begun,
        memory_kib: Arc::new(Semaphore::new(MEMORY_KIB as usize)),
        files: Arc::new(Semaphore::new(FILES_AT_ONCE)),
        objects: Arc::new(Semaphore::new(OBJECTS_AT_ONCE)),
    };
    let work = async move {
        tokio::join!(
            // Boxed for their size, as they are polled in place.
            Box::pin(list(request, listed)),
            OptionFuture::from(by_day),
            Box::pin(reading.all(objects)),
        );
    };
    Running {
        reads,
        current: None,
        _work: AbortOnDropHandle::new(handle.spawn(work)),
    }
}

/// Lists, counts and leaves out.
async fn list(request: Request, listed: mpsc::Sender<Object>) {
    let Request {
        buckets,
        locations,
        visited,
        folders,
        mut context,
    } = request;
    let from = context.from.take();
    let mut comparison = from.map(|from| Comparison::new(from, folders));
    let execution = &context.execution;
    let stats = &execution.stats;
    let mut has_some = vec![false; locations.len()];
    let knows_folders = !context.keys.can_prune();
    let mut outcomes = listing(buckets, locations.clone(), context.keys.clone(), visited);
    while let Some((at, outcome)) = outcomes.next().await {
        has_some[at] |= !matches!(outcome, Listed::Hidden);
        match outcome {
            Listed::Object(object) => {
                if is_left_out(&object, &context) {
                    continue;
                }
                let knows_folder = knows_folders && object.is_folder_whole;
                let compared = match &mut comparison {
                    Some(comparison) => comparison.add(object, knows_folder),
                    None => Compared::unknown(object),
                };
                if pass_on(compared, &context, &listed).await.is_err() {
                    return;
                }
            }
            Listed::Unreadable { origin, error } => {
                comparison.iter_mut().for_each(Comparison::fail);
                unreadable(execution, &origin, &error);
            }
            Listed::PrunedFolder => {
                stats.folders_pruned.fetch_add(1, Relaxed);
            }
            Listed::Hidden => {
                stats.hidden_left_out.fetch_add(1, Relaxed);
            }
            Listed::Again => {}
        }
    }
    if let Some(mut comparison) = comparison
        && pass_on(comparison.end(), &context, &listed).await.is_err()
    {
        return;
    }
    for (location, has_some) in locations.iter().zip(has_some) {
        if !has_some {
            execution.reject(&Reject {
                location: InputLocation::new(location.to_string()),
                reason: "no such file",
                detail: nothing_at(location).to_owned(),
                bytes: b"",
            });
        }
    }
    stats.listing_done.store(true, Relaxed);
}

/// Counts what is listed and hands on what is to be read.
///
/// # Errors
/// If nobody reads any more.
async fn pass_on(
    compared: Compared,
    context: &OpenContext,
    listed: &mpsc::Sender<Object>,
) -> Result<(), SendError<Object>> {
    let stats = &context.execution.stats;
    let done_before = &stats.objects_done_before;
    done_before.fetch_add(compared.done_before, Relaxed);
    for mut object in compared.to_read {
        find_known(&mut object, context);
        count_listed(&object, context);
        listed.send(object).await?;
    }
    Ok(())
}

/// Returns whether an object's key says that it holds nothing that is wanted.
fn is_left_out(object: &Object, context: &OpenContext) -> bool {
    let stats = &context.execution.stats;
    if let Some(key) = object.key.as_ref().filter(|_| !object.is_named) {
        if !context.keys.reaches(key) {
            stats.objects_pruned.fetch_add(1, Relaxed);
            return true;
        }
        if context.keys.is_unread_digest(key) {
            stats.not_cloudtrail("digest file (by its key)", 1);
            return true;
        }
    }
    false
}

/// Asks the consumer for the object's rows.
fn find_known(object: &mut Object, context: &OpenContext) {
    if let (Some(known), Some(version)) = (&context.known, &object.version) {
        object.known = known.find(&object.origin, version);
    }
}

fn count_listed(object: &Object, context: &OpenContext) {
    let stats = &context.execution.stats;
    stats.objects_listed.fetch_add(1, Relaxed);
    match object.known {
        // Its bytes are not among those that are still to be read.
        Some(_) => stats.objects_cached.fetch_add(1, Relaxed),
        None => stats.bytes_listed.fetch_add(object.size_bytes, Relaxed),
    };
}

fn nothing_at(location: &Location) -> &'static str {
    match location {
        Location::S3(_) => {
            "no object has such a key or is below it; `aws s3 ls` shows what is there"
        }
        Location::Local(local) if local.is_absent() => "it does not exist",
        _ => "no file is there; hidden ones (.x, _x) are read only when named",
    }
}

/// Counts an object that could not be read.
fn unreadable(execution: &Execution, origin: &Arc<str>, error: &Error) {
    execution.reject(&Reject {
        location: InputLocation::new(Arc::clone(origin)),
        reason: "unreadable file",
        detail: error.to_string(),
        bytes: b"",
    });
}

/// Begins reads, as many as memory and the limits of the storage allow.
struct Reading {
    execution: Arc<Execution>,
    runtime: runtime::Handle,
    begun: mpsc::Sender<FetchTask>,
    memory_kib: Arc<Semaphore>,
    files: Arc<Semaphore>,
    objects: Arc<Semaphore>,
}

impl Reading {
    async fn all(self, mut objects: mpsc::Receiver<Object>) {
        let mut listed = Vec::with_capacity(FILES_A_READ);
        while objects.recv_many(&mut listed, FILES_A_READ).await > 0 {
            let mut files = Vec::new();
            for object in listed.drain(..) {
                // Small files are read together: a thread's wake-up costs more than one of them.
                let is_small = object.size_bytes <= TOGETHER_BYTES;
                let is_file = matches!(object.handle, Handle::File { .. });
                if object.known.is_some() || (is_file && is_small) {
                    files.push(object);
                    continue;
                }
                self.read_files(std::mem::take(&mut files)).await;
                self.read(object).await;
            }
            self.read_files(files).await;
        }
    }

    async fn read(&self, object: Object) {
        if let Some(payload) = fetch::stream(&object, &self.execution, &self.runtime) {
            let fetched = vec![(object, Ok(payload))];
            let read = self.runtime.spawn(std::future::ready(fetched));
            return self.begin(AbortOnDropHandle::new(read)).await;
        }
        match &object.handle {
            Handle::S3 { .. } => self.read_s3(object).await,
            _ => self.read_files(vec![object]).await,
        }
    }

    async fn read_files(&self, objects: Vec<Object>) {
        if objects.is_empty() {
            return;
        }
        if objects.iter().all(|object| object.known.is_some()) {
            return self.pass_on(objects).await;
        }
        let at_once = permit(&self.files, 1).await;
        let mut memory = self.memory(objects.iter().map(object_kib).sum()).await;
        let fetches: Vec<Fetch> = objects
            .into_iter()
            .map(|object| {
                let kib = object_kib(&object) as usize;
                let memory = memory.as_mut().and_then(|memory| memory.split(kib));
                Fetch { object, memory }
            })
            .collect();
        let execution = Arc::clone(&self.execution);
        let read = self.runtime.spawn_blocking(move || {
            let _at_once = at_once;
            fetches
                .into_iter()
                .filter_map(|fetch| fetch.read_file(&execution))
                .collect()
        });
        self.begin(AbortOnDropHandle::new(read)).await;
    }

    /// Hands on objects of which nothing is read.
    async fn pass_on(&self, objects: Vec<Object>) {
        let execution = &self.execution;
        let known = objects.into_iter().filter_map(|object| {
            let memory = None;
            Fetch { object, memory }.read_file(execution)
        });
        let known = std::future::ready(known.collect());
        let read = self.runtime.spawn(known);
        self.begin(AbortOnDropHandle::new(read)).await;
    }

    async fn read_s3(&self, object: Object) {
        let at_once = permit(&self.objects, 1).await;
        let memory = self.memory(in_memory_kib(object.size_bytes)).await;
        let execution = Arc::clone(&self.execution);
        let read = self.runtime.spawn(async move {
            let _at_once = at_once;
            let fetched = Fetch { object, memory }.read_s3(&execution).await;
            fetched.into_iter().collect()
        });
        self.begin(AbortOnDropHandle::new(read)).await;
    }

    async fn begin(&self, read: FetchTask) {
        // Without a receiver the source is gone, and this task with it.
        let _ = self.begun.send(read).await;
    }

    /// Waits until the payloads in memory leave room for another.
    async fn memory(&self, kib: u32) -> Option<OwnedSemaphorePermit> {
        permit(&self.memory_kib, kib.min(MEMORY_KIB)).await
    }
}

async fn permit(semaphore: &Arc<Semaphore>, count: u32) -> Option<OwnedSemaphorePermit> {
    // An error would mean that it was closed, and nothing closes it.
    Arc::clone(semaphore).acquire_many_owned(count).await.ok()
}

fn object_kib(object: &Object) -> u32 {
    match object.known {
        Some(_) => 0,
        None => in_memory_kib(object.size_bytes),
    }
}

/// The size of an object in memory, and a little for each payload itself.
fn in_memory_kib(size_bytes: u64) -> u32 {
    if size_bytes > WHOLE_BYTES {
        return 1;
    }
    (size_bytes / 1024) as u32 + 1
}

/// Objects that the listing may be ahead of reading, so that totals are known early.
const LISTED_AHEAD: usize = 8192;
/// Reads that were begun and not waited for.
const READS_AHEAD: usize = 32;
const MEMORY_KIB: u32 = 32 * 1024;
const FILES_AT_ONCE: usize = 8;
const OBJECTS_AT_ONCE: usize = 16;
/// Small files in one read.
const FILES_A_READ: usize = 16;
/// The size, in bytes, up to which a file is small.
const TOGETHER_BYTES: u64 = 128 * 1024;
