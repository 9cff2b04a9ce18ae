//! Reads what is listed, ahead of the threads that decode it.
//!
//! ```text
//! listing ──> reads in flight, ≤ 8 files or 16 objects, ≤ 32 MiB ──> queue ──> next_blocking
//!             (listing order is kept)
//! ```

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use futures::StreamExt;
use tokio::runtime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::fetch::{self, Fetch, WHOLE_BYTES, held, unreadable};
use super::key::Wanted;
use super::listing::{Found, Handle, Object, listing};
use super::location::Location;
use super::queue::{Queue, Ready};
use super::s3::{Buckets, S3Settings};
use super::task::Task;
use crate::error::{Error, Result};
use crate::input_location::InputLocation;
use crate::payload::{Body, Payload};
use crate::stats::{Reject, Stats};

/// Made-up events for the query of a `sample:` location.
type MakeSample = dyn Fn(&str) -> Result<Box<dyn Iterator<Item = Payload> + Send>> + Send + Sync;

/// What reading needs besides the locations, kept from one query to the next: connections,
/// credentials, and where samples come from.
#[derive(Clone)]
pub struct Sources {
    buckets: Arc<Buckets>,
    make_sample: Option<Arc<MakeSample>>,
}

impl Sources {
    /// Sources with these settings of S3. Nothing is connected to or looked up yet.
    pub fn new(s3: S3Settings) -> Self {
        Self {
            buckets: Arc::new(Buckets::new(s3)),
            make_sample: None,
        }
    }

    /// Has `sample:` locations answered by `make`, which is given what follows `sample:?`.
    #[must_use]
    pub fn with_sample<I>(
        mut self,
        make: impl Fn(&str) -> Result<I> + Send + Sync + 'static,
    ) -> Self
    where
        I: Iterator<Item = Payload> + Send + 'static,
    {
        self.make_sample = Some(Arc::new(move |query| {
            make(query).map(|payloads| Box::new(payloads) as _)
        }));
        self
    }

    /// Looks whether there is anything to read at all.
    ///
    /// # Errors
    /// Config, if no location has an object that can be listed: what is wrong with each of them.
    /// Query errors of `sample:` come as they are.
    pub async fn check(&self, locations: &[Location]) -> Result<()> {
        let mut complaints = Vec::new();
        for location in locations {
            if let Location::Sample(query) = location {
                drop(self.sample(query)?);
            }
            match self.complaint(location).await {
                Some(complaint) => complaints.push(complaint),
                None => return Ok(()),
            }
        }
        Err(Error::config(match complaints.as_slice() {
            [] => "nothing to read: no location is given".to_owned(),
            complaints => format!("nothing to read: {}", complaints.join("; ")),
        }))
    }

    /// Why nothing can be read from a location, `None` if something can.
    async fn complaint(&self, location: &Location) -> Option<String> {
        let (buckets, alone) = (Arc::clone(&self.buckets), vec![location.clone()]);
        let mut found = listing(buckets, alone, Wanted::default());
        let mut complaint = None;
        while let Some((_, found)) = found.next().await {
            match found {
                Found::Unreadable { origin, detail } => {
                    complaint.get_or_insert_with(|| format!("{origin}: {detail}"));
                }
                Found::Object(_) | Found::Again | Found::PrunedFolder => return None,
            }
        }
        Some(complaint.unwrap_or_else(|| format!("{location}: {}", nothing_at(location))))
    }

    #[cfg(test)]
    pub(super) fn buckets(&self) -> &Buckets {
        &self.buckets
    }

    fn sample(&self, query: &str) -> Result<Box<dyn Iterator<Item = Payload> + Send>> {
        match &self.make_sample {
            Some(make) => make(query),
            None => Err(Error::config("there are no sample events here")),
        }
    }
}

impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sources").finish_non_exhaustive()
    }
}

/// What to read.
#[derive(Debug)]
pub struct Scan {
    /// Where, in this order.
    pub locations: Vec<Location>,
    /// What can be left out by its key.
    pub wanted: Wanted,
    /// Where it is counted: objects, bytes, and what could not be read.
    pub stats: Arc<Stats>,
}

/// The payloads of a scan, for any number of threads at once.
///
/// They come in the order of the listing. Dropping the last clone stops all reading.
#[derive(Clone)]
pub struct Reads(Arc<Inner>);

struct Inner {
    queue: Arc<Queue>,
    _task: Task<()>,
}

impl Reads {
    /// Starts to list and to read ahead, on the runtime of `handle`.
    ///
    /// Nothing fails here: what cannot be listed or read becomes a reject with the reason
    /// `unreadable file`, a location without objects one with the reason `no such file`.
    pub fn start(sources: &Sources, scan: Scan, handle: &runtime::Handle) -> Self {
        let queue = Arc::new(Queue::default());
        let work = run(sources.clone(), scan, Arc::clone(&queue), handle.clone());
        Self(Arc::new(Inner {
            _task: Task::spawn_on(handle, work),
            queue,
        }))
    }

    /// Waits for the next payload; `None` at the end. Not for async code: it blocks the thread.
    ///
    /// About 32 MiB of payloads exist at a time. A thread that keeps them and asks for more gets
    /// them all the same, beyond that bound.
    pub fn next_blocking(&self) -> Option<Payload> {
        self.0.queue.next_blocking()
    }
}

impl std::fmt::Debug for Reads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reads").finish_non_exhaustive()
    }
}

/// Whoever waits must hear of the end, even of one by panic.
struct CloseAtEnd(Arc<Queue>);

impl Drop for CloseAtEnd {
    fn drop(&mut self) {
        self.0.close();
    }
}

async fn run(sources: Sources, scan: Scan, queue: Arc<Queue>, handle: runtime::Handle) {
    let _close = CloseAtEnd(Arc::clone(&queue));
    let (listed, objects) = mpsc::channel(LISTED_AHEAD);
    let (begun, arriving) = mpsc::channel(PLACES);
    let buckets = Arc::clone(&sources.buckets);
    let scan_stats = Arc::clone(&scan.stats);
    let reading = Reading {
        sources,
        stats: Arc::clone(&scan.stats),
        queue: Arc::clone(&queue),
        runtime: handle,
        begun,
        places: Arc::new(Semaphore::new(PLACES)),
        room: Arc::new(Semaphore::new(ROOM_KIB as usize)),
        files: Arc::new(Semaphore::new(FILES_AT_ONCE)),
        objects: Arc::new(Semaphore::new(OBJECTS_AT_ONCE)),
    };
    tokio::join!(
        // Boxed for its size, as it is polled in place.
        Box::pin(list(buckets, scan, listed)),
        Box::pin(reading.all(objects)),
        Box::pin(deliver(arriving, queue, scan_stats)),
    );
}

/// Lists, counts and leaves out.
async fn list(buckets: Arc<Buckets>, scan: Scan, listed: mpsc::Sender<Object>) {
    let (stats, wanted) = (&scan.stats, &scan.wanted);
    let mut has_some = vec![false; scan.locations.len()];
    let mut found = listing(buckets, scan.locations.clone(), wanted.clone());
    while let Some((at, found)) = found.next().await {
        has_some[at] = true;
        match found {
            Found::Object(object) => {
                if is_left_out(&object, wanted, stats) {
                    continue;
                }
                stats.objects_listed.fetch_add(1, Relaxed);
                stats.bytes_listed.fetch_add(object.size_bytes, Relaxed);
                if listed.send(object).await.is_err() {
                    return;
                }
            }
            Found::Unreadable { origin, detail } => unreadable(stats, &origin, detail),
            Found::PrunedFolder => {
                stats.folders_pruned.fetch_add(1, Relaxed);
            }
            Found::Again => {}
        }
    }
    for (location, _) in scan
        .locations
        .iter()
        .zip(has_some)
        .filter(|(_, some)| !some)
    {
        stats.reject(&Reject {
            location: InputLocation::new(location.to_string()),
            reason: "no such file",
            detail: nothing_at(location).to_owned(),
            bytes: b"",
        });
    }
    stats.listing_done.store(true, Relaxed);
}

fn is_left_out(object: &Object, wanted: &Wanted, stats: &Stats) -> bool {
    let Some(key) = &object.key else {
        return false;
    };
    if !wanted.reaches(key) {
        stats.objects_pruned.fetch_add(1, Relaxed);
        return true;
    }
    if wanted.is_unread_digest(key) {
        stats.not_cloudtrail("digest file (by its key)", 1);
        return true;
    }
    false
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

/// What a read gives, in time.
type Arriving = Task<Vec<Ready>>;

/// Hands on what was read, in the order in which it was begun.
async fn deliver(mut arriving: mpsc::Receiver<Arriving>, queue: Arc<Queue>, stats: Arc<Stats>) {
    while let Some(read) = arriving.recv().await {
        let ready = read.await.unwrap_or_else(|| {
            let bug = Error::bug("reading stopped for files that are not known any more");
            unreadable(&stats, &"?".into(), bug.to_string());
            Vec::new()
        });
        queue.arrive(ready);
    }
}

/// Begins reads, as many as there is room for.
struct Reading {
    sources: Sources,
    stats: Arc<Stats>,
    queue: Arc<Queue>,
    runtime: runtime::Handle,
    begun: mpsc::Sender<Arriving>,
    /// Reads in flight and in the queue.
    places: Arc<Semaphore>,
    /// Memory for payloads, in KiB.
    room: Arc<Semaphore>,
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
                if matches!(object.handle, Handle::File(_)) && is_small {
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
        if let Some(payload) = fetch::stream(&object, &self.stats, &self.runtime) {
            return self.hand_on(payload, None).await;
        }
        match &object.handle {
            Handle::Sample(query) => {
                let query = query.clone();
                Box::pin(self.read_sample(&query)).await;
            }
            Handle::S3 { .. } => self.read_s3(object).await,
            _ => self.read_files(vec![object]).await,
        }
    }

    async fn read_files(&self, objects: Vec<Object>) {
        if objects.is_empty() {
            return;
        }
        let place = permit(&self.places).await;
        let at_once = permit(&self.files).await;
        let sizes = objects
            .iter()
            .map(|object| in_memory_kib(object.size_bytes));
        let mut room = self.room(sizes.sum()).await;
        let fetches: Vec<Fetch> = objects
            .into_iter()
            .map(|object| {
                let kib = in_memory_kib(object.size_bytes) as usize;
                let room = room.as_mut().and_then(|room| room.split(kib));
                Fetch { object, room }
            })
            .collect();
        let stats = Arc::clone(&self.stats);
        self.begin(Task::spawn_blocking(move || {
            let read = fetches
                .into_iter()
                .filter_map(|fetch| fetch.read_file(&stats));
            let read = placed(read.collect(), place);
            drop(at_once);
            read
        }))
        .await;
    }

    async fn read_s3(&self, object: Object) {
        let place = permit(&self.places).await;
        let at_once = permit(&self.objects).await;
        let room = self.room(in_memory_kib(object.size_bytes)).await;
        let stats = Arc::clone(&self.stats);
        self.begin(Task::spawn(async move {
            let read = Fetch { object, room }.read_s3(&stats).await;
            drop(at_once);
            placed(read.into_iter().collect(), place)
        }))
        .await;
    }

    async fn read_sample(&self, query: &str) {
        let payloads = match self.sources.sample(query) {
            Ok(payloads) => payloads,
            Err(error) => return unreadable(&self.stats, &"sample:".into(), error.to_string()),
        };
        self.stats.objects_read.fetch_add(1, Relaxed);
        let (made, mut ready) = mpsc::channel(SAMPLES_AHEAD);
        let _maker = Task::spawn_blocking(move || {
            for payload in payloads {
                if made.blocking_send(payload).is_err() {
                    break;
                }
            }
        });
        while let Some(mut payload) = ready.recv().await {
            let mut room = None;
            if let Body::Whole(bytes) = &mut payload.body {
                let size_bytes = bytes.len() as u64;
                self.stats.bytes_read.fetch_add(size_bytes, Relaxed);
                room = Some(in_memory_kib(size_bytes));
            }
            self.hand_on(payload, room).await;
        }
    }

    /// Puts a payload that needs no reading into its place.
    async fn hand_on(&self, mut payload: Payload, kib: Option<u32>) {
        let place = permit(&self.places).await;
        let room = match kib {
            Some(kib) => self.room(kib).await,
            None => None,
        };
        if let Body::Whole(bytes) = &mut payload.body {
            *bytes = held(std::mem::replace(bytes, Bytes::new()), room);
        }
        self.begin(Task::spawn(std::future::ready(placed(
            vec![payload],
            place,
        ))))
        .await;
    }

    async fn begin(&self, read: Arriving) {
        self.queue.announce();
        // It has a place, so there is room for it in the channel; and deliver() outlives this.
        let _ = self.begun.send(read).await;
    }

    /// Waits for memory, but not for somebody who keeps it and asks for more.
    async fn room(&self, kib: u32) -> Option<OwnedSemaphorePermit> {
        let kib = kib.min(ROOM_KIB);
        tokio::select! {
            biased;
            room = Arc::clone(&self.room).acquire_many_owned(kib) => room.ok(),
            () = self.queue.starving() => None,
        }
    }
}

async fn permit(semaphore: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    // An error would mean that it was closed, which nobody does.
    Arc::clone(semaphore).acquire_owned().await.ok()
}

/// The payloads of one read; the place is free again when the last of them is taken.
fn placed(payloads: Vec<Payload>, place: Option<OwnedSemaphorePermit>) -> Vec<Ready> {
    let mut ready: Vec<Ready> = payloads
        .into_iter()
        .map(|payload| Ready {
            payload,
            place: None,
        })
        .collect();
    if let Some(last) = ready.last_mut() {
        last.place = place;
    }
    ready
}

/// What an object takes when it is read, and a little for each payload itself.
fn in_memory_kib(size_bytes: u64) -> u32 {
    if size_bytes > WHOLE_BYTES {
        return 1;
    }
    (size_bytes / 1024) as u32 + 1
}

/// Objects that the listing may be ahead of reading, so that totals are known early.
const LISTED_AHEAD: usize = 8192;
/// Reads in flight and in the queue.
const PLACES: usize = 32;
const ROOM_KIB: u32 = 32 * 1024;
const FILES_AT_ONCE: usize = 8;
const OBJECTS_AT_ONCE: usize = 16;
/// Small files in one read, and how small.
const FILES_A_READ: usize = 16;
const TOGETHER_BYTES: u64 = 128 * 1024;
const SAMPLES_AHEAD: usize = 2;
