//! Lists buckets: flat where all of it is wanted, folder by folder where a glob or the layout of a
//! trail lets whole folders be passed by.

use std::ffi::OsStr;
use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt};
use futures::stream::{self, BoxStream, StreamExt};
use object_store::path::Path;
use object_store::{ListResult, ObjectMeta, ObjectStore, ObjectStoreExt};
use tokio::sync::mpsc;

use tokio_util::task::AbortOnDropHandle;

use super::{Buckets, Operation, translate};
use crate::payload::ObjectVersion;
use crate::source::location::S3;
use crate::source::objects::key::{KeyFilter, TrailKey};
use crate::source::objects::listing::{Handle, Listed, Object, VisitedPaths};
use crate::source::objects::pattern::{Pattern, Progress};

/// Lists what is at `place`, in the order of the keys.
pub(in crate::source) fn list(
    buckets: Arc<Buckets>,
    place: S3,
    wanted: Arc<KeyFilter>,
    seen: Option<VisitedPaths>,
) -> BoxStream<'static, Listed> {
    let opened = async move {
        let store = match buckets.open(&place.bucket).await {
            Ok(store) => store,
            Err(error) => {
                let origin = Arc::clone(&place.typed);
                return stream::iter([Listed::Unreadable { origin, error }]).boxed();
            }
        };
        let of_pattern = move |pattern| {
            Arc::new(Tree {
                store: Arc::clone(&store),
                bucket: Arc::clone(&place.bucket),
                pattern,
                wanted: Arc::clone(&wanted),
                seen: seen.clone(),
            })
            .root()
        };
        stream::iter(place.patterns).flat_map(of_pattern).boxed()
    };
    stream::once(opened).flatten().boxed()
}

/// One pattern over one bucket.
struct Tree {
    store: Arc<dyn ObjectStore>,
    bucket: Arc<str>,
    pattern: Arc<Pattern>,
    wanted: Arc<KeyFilter>,
    seen: Option<VisitedPaths>,
}

/// A folder and what of it is taken.
#[derive(Clone)]
struct Folder {
    /// Its key, without a slash at the end; empty for the bucket.
    key: String,
    progress: Progress,
    /// Levels of folders to search for a trail's layout before listing flat.
    search: u32,
}

/// A way to list a folder.
enum ListStrategy {
    Pruned,
    Flat,
    /// Each folder in it by itself.
    Levels,
}

impl Tree {
    fn root(self: Arc<Self>) -> BoxStream<'static, Listed> {
        let base = self.pattern.base.as_str();
        let top = Folder {
            key: base.trim_start_matches('/').to_owned(),
            progress: self.pattern.start(),
            search: SEARCH_LEVELS,
        };
        let is_key = self.pattern.is_literal() && !self.pattern.is_folder() && !base.is_empty();
        if !is_key {
            return self.folder(top);
        }
        stream::once(async move {
            match self.head(&top.key).await {
                Ok(Some(found)) => stream::iter([found]).boxed(),
                Ok(None) => self.folder(top),
                // The answer to one who may read but not list, for what is not there.
                Err(denied) => self.folder_or(top, denied),
            }
        })
        .flatten()
        .boxed()
    }

    /// The object with just this key, if there is one.
    async fn head(&self, key: &str) -> Result<Option<Listed>, Listed> {
        let unreadable = |error| self.unreadable(key, Operation::Get, error);
        let path = Path::parse(key).map_err(|source| unreadable(source.into()))?;
        match self.store.head(&path).await {
            Ok(meta) => Ok(Some(match self.object(meta) {
                Listed::Object(object) => Listed::Object(Object {
                    is_named: true,
                    is_folder_whole: false,
                    ..object
                }),
                other => other,
            })),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(unreadable(error)),
        }
    }

    /// Lists the folder; `otherwise` if it is empty.
    fn folder_or(self: Arc<Self>, folder: Folder, otherwise: Listed) -> BoxStream<'static, Listed> {
        let listed = self.folder(folder);
        stream::once(async move {
            let mut listed = listed.peekable();
            let is_object = |found: &Listed| !matches!(found, Listed::Unreadable { .. });
            match std::pin::Pin::new(&mut listed).peek().await {
                Some(found) if is_object(found) => listed.boxed(),
                _ => stream::iter([otherwise]).boxed(),
            }
        })
        .flatten()
        .boxed()
    }

    fn folder(self: Arc<Self>, folder: Folder) -> BoxStream<'static, Listed> {
        let folder = self.named(folder);
        match self.way(&folder) {
            ListStrategy::Pruned => stream::iter([Listed::PrunedFolder]).boxed(),
            ListStrategy::Flat => self.flat(&folder),
            ListStrategy::Levels => {
                let listing = self.list_level(&folder.key);
                self.level(folder, listing)
            }
        }
    }

    /// Goes down as long as the pattern names the folders to go to.
    fn named(&self, mut folder: Folder) -> Folder {
        while let Some(name) = self.pattern.only_folder(folder.progress) {
            folder = self.below(&folder, name);
        }
        folder
    }

    fn below(&self, folder: &Folder, name: &str) -> Folder {
        let key = match folder.key.as_str() {
            "" => name.to_owned(),
            key => format!("{key}/{name}"),
        };
        Folder {
            key,
            progress: self.pattern.enter(folder.progress, OsStr::new(name)),
            search: folder.search.saturating_sub(1),
        }
    }

    fn way(&self, folder: &Folder) -> ListStrategy {
        let key = TrailKey::of_folder(&folder.key);
        if key.as_ref().is_some_and(|key| !self.wanted.reaches(key)) {
            return ListStrategy::Pruned;
        }
        if !self.pattern.is_deep(folder.progress) {
            return ListStrategy::Levels;
        }
        let can_prune = match &key {
            Some(key) => self.wanted.can_prune_below(key),
            None => self.wanted.can_prune() && folder.search > 0,
        };
        if can_prune {
            ListStrategy::Levels
        } else {
            ListStrategy::Flat
        }
    }

    fn flat(self: Arc<Self>, folder: &Folder) -> BoxStream<'static, Listed> {
        let prefix = match parsed(&folder.key) {
            Ok(prefix) => prefix,
            Err(error) => return stream::iter([self.failed(&folder.key, error)]).boxed(),
        };
        let (key, progress) = (folder.key.clone(), folder.progress);
        let listed = self.store.list(prefix.as_ref());
        listed
            .filter_map(move |listed| {
                let found = match listed {
                    Ok(meta) => self.takes(&key, progress, &meta).then(|| self.object(meta)),
                    Err(error) => Some(self.failed(&key, error)),
                };
                std::future::ready(found)
            })
            .boxed()
    }

    /// Returns whether an object somewhere below `folder` is taken.
    fn takes(&self, folder: &str, mut progress: Progress, meta: &ObjectMeta) -> bool {
        let key = meta.location.as_ref();
        let below = match folder {
            "" => Some(key),
            folder => key.strip_prefix(folder).and_then(|k| k.strip_prefix('/')),
        };
        // The console puts an empty object for the folder itself.
        let Some(below) = below else {
            return false;
        };
        let mut names = below.split('/');
        let file = names.next_back().unwrap_or_default();
        for name in names {
            progress = self.pattern.enter(progress, OsStr::new(name));
        }
        self.pattern.takes_file(progress, OsStr::new(file))
    }

    /// One request for a folder's own objects and folders, made at once, whoever waits for it.
    fn list_level(&self, key: &str) -> BoxFuture<'static, object_store::Result<ListResult>> {
        let store = Arc::clone(&self.store);
        let prefix = parsed(key);
        let task = AbortOnDropHandle::new(tokio::spawn(async move {
            store.list_with_delimiter(prefix?.as_ref()).await
        }));
        async move {
            match task.await {
                Ok(listed) => listed,
                Err(source) => Err(object_store::Error::JoinError { source }),
            }
        }
        .boxed()
    }

    fn level(
        self: Arc<Self>,
        folder: Folder,
        listing: BoxFuture<'static, object_store::Result<ListResult>>,
    ) -> BoxStream<'static, Listed> {
        stream::once(async move {
            match listing.await {
                Ok(listed) => self.listed(&folder, listed),
                Err(error) => stream::iter([self.failed(&folder.key, error)]).boxed(),
            }
        })
        .flatten()
        .boxed()
    }

    fn listed(self: Arc<Self>, folder: &Folder, listed: ListResult) -> BoxStream<'static, Listed> {
        let folders = &listed.common_prefixes;
        let is_trail = folders.iter().any(|key| key.filename() == Some("AWSLogs"));
        let searching = TrailKey::of_folder(&folder.key).is_none()
            && self.pattern.is_deep(folder.progress)
            && !is_trail;
        if searching && folders.len() > SEARCH_FOLDERS {
            return self.flat(folder);
        }
        let mut entries: Vec<(String, Option<ObjectMeta>)> = Vec::new();
        for key in &listed.common_prefixes {
            entries.push((format!("{key}/"), None));
        }
        for meta in listed.objects {
            entries.push((meta.location.to_string(), Some(meta)));
        }
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        let folder = folder.clone();
        // What lies ahead is asked for while this is read, one level down and no further.
        stream::iter(entries)
            .map(move |(key, meta)| {
                let tree = Arc::clone(&self);
                match meta {
                    Some(meta) => {
                        let taken = tree.takes(&folder.key, folder.progress, &meta);
                        let found = taken.then(|| tree.object(meta));
                        std::future::ready(stream::iter(found).boxed()).boxed()
                    }
                    None => tree.ahead(&folder, &key),
                }
            })
            .buffered(AHEAD_FOLDERS)
            .flatten()
            .boxed()
    }

    /// Starts on a folder before its turn.
    fn ahead(
        self: Arc<Self>,
        folder: &Folder,
        key: &str,
    ) -> BoxFuture<'static, BoxStream<'static, Listed>> {
        let name = key.trim_end_matches('/');
        let name = name.rsplit('/').next().unwrap_or(name);
        let below = self.below(folder, name);
        if below.progress.is_empty() {
            return std::future::ready(stream::empty().boxed()).boxed();
        }
        let below = self.named(below);
        match self.way(&below) {
            ListStrategy::Pruned => {
                std::future::ready(stream::iter([Listed::PrunedFolder]).boxed()).boxed()
            }
            ListStrategy::Flat => async move { pumped(self.flat(&below)) }.boxed(),
            ListStrategy::Levels => async move {
                let listing = self.list_level(&below.key);
                self.level(below, listing)
            }
            .boxed(),
        }
    }

    fn object(&self, meta: ObjectMeta) -> Listed {
        let origin = format!("s3://{}/{}", self.bucket, meta.location);
        if let Some(seen) = &self.seen
            && !seen.insert(OBJECT, &origin)
        {
            return Listed::Again;
        }
        let tag = match &meta.e_tag {
            Some(e_tag) => e_tag.clone(),
            None => meta.last_modified.to_rfc3339(),
        };
        Listed::Object(Object {
            version: Some(ObjectVersion {
                size_bytes: meta.size,
                tag: tag.into(),
            }),
            known: None,
            key: TrailKey::of_object(meta.location.as_ref()),
            origin: origin.into(),
            size_bytes: meta.size,
            is_named: false,
            is_folder_whole: self.pattern.is_literal(),
            handle: Handle::S3 {
                store: Arc::clone(&self.store),
                path: meta.location,
                e_tag: meta.e_tag,
            },
        })
    }

    fn failed(&self, key: &str, error: object_store::Error) -> Listed {
        self.unreadable(key, Operation::List, error)
    }

    fn unreadable(&self, key: &str, operation: Operation, error: object_store::Error) -> Listed {
        let url = format!("s3://{}/{key}", self.bucket);
        Listed::Unreadable {
            error: translate(error, operation, &url),
            origin: url.into(),
        }
    }
}

fn parsed(key: &str) -> object_store::Result<Option<Path>> {
    match key {
        "" => Ok(None),
        key => Ok(Some(Path::parse(key)?)),
    }
}

/// The same stream, run by a task of its own that is a page ahead.
fn pumped(mut found: BoxStream<'static, Listed>) -> BoxStream<'static, Listed> {
    let (sender, mut receiver) = mpsc::channel(PAGE);
    let task = AbortOnDropHandle::new(tokio::spawn(async move {
        while let Some(found) = found.next().await {
            if sender.send(found).await.is_err() {
                break;
            }
        }
    }));
    stream::poll_fn(move |context| {
        let _running = &task;
        receiver.poll_recv(context)
    })
    .boxed()
}

/// Folders of one level that are listed at a time.
const AHEAD_FOLDERS: usize = 8;
/// Objects in a page of S3's.
const PAGE: usize = 1000;
/// Levels below a prefix at which `AWSLogs` may be.
const SEARCH_LEVELS: u32 = 2;
/// More folders than this are no prefix of trails.
const SEARCH_FOLDERS: usize = 32;
/// The kind of what was seen.
const OBJECT: u8 = 3;
