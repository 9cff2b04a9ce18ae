//! The files of a lake: written whole and durably, on this machine or in a bucket.

use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::buffered::BufWriter;
use object_store::local::LocalFileSystem;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use tokio::io::AsyncWriteExt;
use tokio::sync::OnceCell;

use crate::error::{Error, Result};
use crate::source::{Access, Folder, bucket_error};

/// A file of a lake, as listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The path below the root.
    pub path: String,
    /// Bytes of the file.
    pub size_bytes: u64,
    /// The time of its last change, in milliseconds since 1970 UTC.
    pub modified_millis: i64,
}

/// The outcome of creating a file that must not be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// It holds the bytes, put by this call or by an earlier attempt of it.
    Ours,
    /// Somebody else's file is there.
    Theirs,
}

/// The place where the files of a lake are. Paths are below its root, with `/`.
///
/// Each file appears whole, or not at all, and is on the disk or in the bucket when a call returns.
#[async_trait]
pub trait Storage: Send + Sync + std::fmt::Debug {
    /// Writes a file of a name that no other writer uses.
    async fn put(&self, path: &str, bytes: Bytes) -> Result<()>;

    /// Writes what is in `file`, from its beginning, as [`Storage::put`] does: it need not fit in memory.
    async fn put_file(&self, path: &str, mut file: File) -> Result<()> {
        let bytes = blocking(move || {
            let mut bytes = Vec::new();
            let read = file.rewind().and_then(|()| file.read_to_end(&mut bytes));
            read.map_err(|error| temporary_error(&error))?;
            Ok(bytes)
        });
        self.put(path, bytes.await?.into()).await
    }

    /// Creates a file, unless there is one.
    async fn create(&self, path: &str, bytes: Bytes) -> Result<Created>;

    /// Returns whether [`Storage::create`] leaves alone a file that another process makes at the same time. Where
    /// it does not, a lake must have one writer at a time.
    ///
    /// # Errors
    /// Those of writing.
    async fn creates_once(&self) -> Result<bool> {
        Ok(true)
    }

    /// Reads a file; `None` if there is none.
    async fn read(&self, path: &str) -> Result<Option<Bytes>>;

    /// Deletes a file, if it is there.
    async fn delete(&self, path: &str) -> Result<()>;

    /// Lists the files in a folder and below it, in no order.
    async fn list(&self, folder: &str) -> Result<Vec<Entry>>;

    /// Returns a reader of the files, with the same paths.
    fn objects(&self) -> Arc<dyn ObjectStore>;
}

/// Opens the storage of `folder`, which messages call `name`. Nothing is read or made yet.
pub fn open(folder: Folder, name: &str) -> Arc<dyn Storage> {
    match folder {
        Folder::Local(root) => {
            let absolute = std::path::absolute(&root).unwrap_or_else(|_| root.clone());
            let prefix = object_store::path::Path::from_absolute_path(absolute);
            Arc::new(LocalStorage {
                // The client wants a folder that is there, other than of the root.
                objects: Arc::new(PrefixStore::new(
                    LocalFileSystem::new(),
                    prefix.unwrap_or_default(),
                )),
                root,
                attempts: AtomicU64::new(0),
            })
        }
        Folder::Bucket { store, prefix } => Arc::new(BucketStorage {
            objects: Arc::new(PrefixStore::new(store, prefix)),
            name: name.trim_end_matches('/').to_owned(),
            creates_once: OnceCell::new(),
        }),
    }
}

/// A folder on this machine.
#[derive(Debug)]
struct LocalStorage {
    root: PathBuf,
    objects: Arc<PrefixStore<LocalFileSystem>>,
    /// Number of temporary files so far, for their names.
    attempts: AtomicU64,
}

impl LocalStorage {
    /// Writes a file under a temporary name and has `publish` give it its own.
    async fn write<T: Send + 'static>(
        &self,
        path: &str,
        fill: impl FnOnce(&mut File) -> io::Result<()> + Send + 'static,
        publish: impl FnOnce(&Path, &Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let target = self.root.join(path);
        let attempt = self.attempts.fetch_add(1, Relaxed);
        // Readers of the folder pass over names that begin with `_`.
        let temporary = format!("_writing-{}-{attempt}", std::process::id());
        let temporary = target.with_file_name(temporary);
        blocking(move || {
            let written = write_durably(&temporary, &target, fill, publish);
            if written.is_err() {
                let _ = fs::remove_file(&temporary);
            }
            written.map_err(|error| io_error("cannot write", &target, &error))
        })
        .await
    }
}

fn write_durably<T>(
    temporary: &Path,
    target: &Path,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
    publish: impl FnOnce(&Path, &Path) -> io::Result<T>,
) -> io::Result<T> {
    let folder = target.parent().unwrap_or(target);
    let is_new = !folder.exists();
    fs::create_dir_all(folder)?;
    let mut file = File::create(temporary)?;
    fill(&mut file)?;
    file.sync_all()?;
    let published = publish(temporary, target)?;
    // The name is in the folder, and a new folder is a name in the one above.
    sync_folder(folder)?;
    if is_new {
        folder.parent().map_or(Ok(()), sync_folder)?;
    }
    Ok(published)
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

#[async_trait]
impl Storage for LocalStorage {
    async fn put(&self, path: &str, bytes: Bytes) -> Result<()> {
        let fill = move |file: &mut File| file.write_all(&bytes);
        self.write(path, fill, |temporary, target| {
            fs::rename(temporary, target)
        })
        .await
    }

    async fn put_file(&self, path: &str, mut content: File) -> Result<()> {
        let fill = move |file: &mut File| {
            content.rewind()?;
            io::copy(&mut content, file).map(drop)
        };
        self.write(path, fill, |temporary, target| {
            fs::rename(temporary, target)
        })
        .await
    }

    async fn create(&self, path: &str, bytes: Bytes) -> Result<Created> {
        let fill = move |file: &mut File| file.write_all(&bytes);
        self.write(path, fill, |temporary, target| {
            // A second name fails if there is one, other than renaming, which replaces.
            let linked = fs::hard_link(temporary, target);
            fs::remove_file(temporary)?;
            match linked {
                Ok(()) => Ok(Created::Ours),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Created::Theirs),
                Err(error) => Err(error),
            }
        })
        .await
    }

    async fn read(&self, path: &str) -> Result<Option<Bytes>> {
        let path = self.root.join(path);
        blocking(move || match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error("cannot read", &path, &error)),
        })
        .await
    }

    async fn delete(&self, path: &str) -> Result<()> {
        let path = self.root.join(path);
        blocking(move || match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(io_error("cannot delete", &path, &error))
            }
            _ => Ok(()),
        })
        .await
    }

    async fn list(&self, folder: &str) -> Result<Vec<Entry>> {
        let place = self.root.join(folder);
        blocking(move || match place.is_file() {
            // The client takes it for an empty folder.
            true => Err(Error::io(format!(
                "{} is a file, where a lake has a folder",
                place.display()
            ))),
            false => Ok(()),
        })
        .await?;
        list(&*self.objects, folder).await.map_err(|error| {
            let folder = self.root.join(folder);
            Error::io(format!("cannot list {}", folder.display())).caused_by(error)
        })
    }

    fn objects(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.objects) as _
    }
}

/// The objects below a prefix of a bucket.
#[derive(Debug)]
struct BucketStorage {
    objects: Arc<PrefixStore<Arc<dyn ObjectStore>>>,
    /// The URL of the root.
    name: String,
    /// Whether the store heeds `If-None-Match`, once that is known.
    creates_once: OnceCell<bool>,
}

impl BucketStorage {
    fn error(&self, error: object_store::Error, access: Access, path: &str) -> Error {
        let url = format!("{}/{path}", self.name);
        let translated = bucket_error(error, access, &url);
        let message = format!("{url}: {translated}");
        match translated.is_retryable() {
            true => Error::unavailable("S3", message),
            false => Error::io(message),
        }
        .caused_by(translated)
    }

    fn writer(&self, path: &str) -> Result<BufWriter> {
        let location = location(path).map_err(|error| self.error(error, Access::Write, path))?;
        let objects = Arc::clone(&self.objects) as _;
        Ok(BufWriter::with_capacity(objects, location, PART))
    }

    fn put_error(&self, error: io::Error, path: &str) -> Error {
        let error = match error.downcast::<object_store::Error>() {
            Ok(error) => error,
            Err(error) => object_store::Error::Generic {
                store: "S3",
                source: error.into(),
            },
        };
        self.error(error, Access::Write, path)
    }

    async fn create_once(&self, path: &str, bytes: &Bytes) -> object_store::Result<bool> {
        let options = PutOptions::from(PutMode::Create);
        let location = location(path)?;
        let put = self
            .objects
            .put_opts(&location, bytes.clone().into(), options);
        match put.await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Tries to create an object that is there. Some stores that speak the API of S3 pass over the condition,
    /// and replace it.
    async fn heeds_conditions(&self) -> Result<bool> {
        let text = Bytes::from_static(PROBE_TEXT);
        // The first answer may be of the process that made it.
        for _ in 0..2 {
            let created = self.create_once(PROBE, &text).await;
            if !created.map_err(|error| self.error(error, Access::Write, PROBE))? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[async_trait]
impl Storage for BucketStorage {
    async fn put(&self, path: &str, bytes: Bytes) -> Result<()> {
        let mut writer = self.writer(path)?;
        let written = async {
            writer.write_all(&bytes).await?;
            writer.shutdown().await
        };
        written.await.map_err(|error| self.put_error(error, path))
    }

    async fn put_file(&self, path: &str, mut file: File) -> Result<()> {
        let mut writer = self.writer(path)?;
        let rewound = file.rewind();
        rewound.map_err(|error| temporary_error(&error))?;
        loop {
            let mut part = Vec::new();
            (file, part) = blocking(move || {
                let read = Read::take(&mut file, PART as u64).read_to_end(&mut part);
                read.map_err(|error| temporary_error(&error))?;
                Ok((file, part))
            })
            .await?;
            let written = match part.is_empty() {
                true => writer.shutdown().await,
                false => writer.write_all(&part).await,
            };
            written.map_err(|error| self.put_error(error, path))?;
            if part.is_empty() {
                return Ok(());
            }
        }
    }

    /// No answer proves anything, so the object itself is looked at. One that it exists: the
    /// acknowledgement of an earlier attempt may have been lost, and S3 answers 409, which is read the same, to
    /// two requests at a time of which neither may have succeeded. One that it was created: some stores
    /// look first and write then, so that of two writers at a time both are told so, and the later one is right.
    async fn create(&self, path: &str, bytes: Bytes) -> Result<Created> {
        if !self.creates_once().await? && self.read(path).await?.is_some() {
            return Ok(Created::Theirs);
        }
        for _ in 0..CREATE_ATTEMPTS {
            let created = self.create_once(path, &bytes).await;
            created.map_err(|error| self.error(error, Access::Write, path))?;
            match self.read(path).await? {
                Some(there) if there == bytes => return Ok(Created::Ours),
                Some(_) => return Ok(Created::Theirs),
                None => tokio::time::sleep(CREATE_PAUSE).await,
            }
        }
        Err(Error::unavailable(
            "S3",
            format!(
                "{}/{path}: S3 answers that the object exists, and that it does not",
                self.name
            ),
        ))
    }

    async fn creates_once(&self) -> Result<bool> {
        let known = self
            .creates_once
            .get_or_try_init(|| self.heeds_conditions());
        known.await.copied()
    }

    async fn read(&self, path: &str) -> Result<Option<Bytes>> {
        let read = async { self.objects.get(&location(path)?).await?.bytes().await };
        match read.await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.error(error, Access::Read, path)),
        }
    }

    async fn delete(&self, path: &str) -> Result<()> {
        let deleted = async { self.objects.delete(&location(path)?).await };
        match deleted.await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.error(error, Access::Write, path)),
        }
    }

    async fn list(&self, folder: &str) -> Result<Vec<Entry>> {
        list(&*self.objects, folder)
            .await
            .map_err(|error| self.error(error, Access::List, folder))
    }

    fn objects(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.objects) as _
    }
}

/// Returns a path as the store's client has it. Its characters stay as they are: those that need
/// an escape have it.
pub fn location(path: &str) -> object_store::Result<object_store::path::Path> {
    Ok(object_store::path::Path::parse(path)?)
}

async fn list(objects: &dyn ObjectStore, folder: &str) -> object_store::Result<Vec<Entry>> {
    let folder = location(folder)?;
    let listed = objects.list(Some(&folder)).map_ok(|meta| Entry {
        path: meta.location.to_string(),
        size_bytes: meta.size,
        modified_millis: meta.last_modified.timestamp_millis(),
    });
    listed.try_collect().await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::bug(format!("a thread that writes files stopped: {error}")))?
}

/// Returns an error of reading a lake past its [`Storage`]: one that time may fix, if the store did not answer.
/// Other crates hide the store's error in theirs, and show it by its words alone.
pub(super) fn read_error(
    message: String,
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    let translated = match message.contains("Generic S3 error") {
        true => Error::unavailable("S3", message),
        false => Error::io(message),
    };
    translated.caused_by(error)
}

/// Translates an error of a file that is on its way to its place.
fn temporary_error(error: &io::Error) -> Error {
    Error::io(format!("a temporary file cannot be read: {error}"))
}

fn io_error(what: &str, path: &Path, error: &io::Error) -> Error {
    Error::io(format!("{what} {}: {error}", path.display()))
}

/// Bytes of an object that are sent in one request; more are sent in parts.
const PART: usize = 8 << 20;

/// Attempts to create an object, while S3 contradicts itself.
const CREATE_ATTEMPTS: usize = 8;

/// An object of each lake in a bucket, which is created again to see whether that fails.
const PROBE: &str = "_auroratrail/created-once";

/// What it says to people.
const PROBE_TEXT: &[u8] =
    b"auroratrail creates this object again to learn whether the store heeds If-None-Match.\n";

/// Pause between them.
const CREATE_PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lake::tests::store::{Conditions, NotingStore};

    async fn behaves(storage: &dyn Storage) {
        let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
        storage
            .put("region=a%2Fb%20c/a b.parquet", bytes("1"))
            .await
            .unwrap();
        storage
            .put("region=a%2Fb%20c/a b.parquet", bytes("22"))
            .await
            .unwrap();
        assert_eq!(
            storage.create("_log/0", bytes("x")).await.unwrap(),
            Created::Ours
        );
        assert_eq!(
            storage.create("_log/0", bytes("y")).await.unwrap(),
            Created::Theirs
        );
        assert_eq!(storage.read("_log/0").await.unwrap(), Some(bytes("x")));
        assert_eq!(storage.read("_log/1").await.unwrap(), None);
        let mut listed = storage.list("region=a%2Fb%20c").await.unwrap();
        let entry = listed.pop().unwrap();
        assert_eq!(
            (entry.path.as_str(), entry.size_bytes),
            ("region=a%2Fb%20c/a b.parquet", 2)
        );
        assert!(listed.is_empty(), "no temporary file is left: {listed:?}");
        let read = storage
            .objects()
            .get(&location(&entry.path).unwrap())
            .await
            .unwrap();
        assert_eq!(read.bytes().await.unwrap(), bytes("22"));
        storage.delete("_log/0").await.unwrap();
        storage.delete("_log/0").await.unwrap();
        assert_eq!(storage.list("_log").await.unwrap(), []);
        for length in [0, 10, 2 * PART, 2 * PART + 1] {
            let content: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&content).unwrap();
            storage.put_file("large", file).await.unwrap();
            let read = storage.read("large").await.unwrap();
            assert!(read.is_some_and(|read| read == content), "{length}");
        }
    }

    #[tokio::test]
    async fn files_appear_whole_and_are_created_once() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("new/läke 1");
        behaves(&*open(Folder::Local(root), "lake")).await;
        let store: Arc<dyn ObjectStore> = Arc::new(object_store::memory::InMemory::new());
        let prefix = "some/where".to_owned();
        behaves(&*open(
            Folder::Bucket { store, prefix },
            "s3://b/some/where",
        ))
        .await;
    }

    #[tokio::test]
    async fn a_store_that_replaces_what_is_there_is_told_apart() {
        for conditions in [Conditions::Heeded, Conditions::PassedOver] {
            let store = NotingStore::default();
            store.set_conditions(conditions);
            let store = Arc::new(store);
            for process in 0..2 {
                let objects = Arc::clone(&store) as Arc<dyn ObjectStore>;
                let prefix = "some/where".to_owned();
                let folder = Folder::Bucket {
                    store: objects,
                    prefix,
                };
                let storage = open(folder, "s3://b/some/where");
                let creates_once = conditions == Conditions::Heeded;
                assert_eq!(storage.creates_once().await.unwrap(), creates_once);
                let bytes = Bytes::from(vec![process]);
                let created = storage.create("_delta_log/0.json", bytes).await;
                let expected = [Created::Ours, Created::Theirs][usize::from(process)];
                assert_eq!(created.unwrap(), expected, "{conditions:?}");
            }
        }
    }

    #[tokio::test]
    async fn of_two_writers_that_a_store_tells_both_yes_one_has_created_the_file() {
        let store = NotingStore::default();
        store.set_conditions(Conditions::LookedAtFirst);
        let store: Arc<dyn ObjectStore> = Arc::new(store);
        let open = || {
            let store = Arc::clone(&store);
            let prefix = "some/where".to_owned();
            open(Folder::Bucket { store, prefix }, "s3://b/some/where")
        };
        let (first, second) = (open(), open());
        assert!(first.creates_once().await.unwrap());
        assert!(second.creates_once().await.unwrap());
        for number in 0..10 {
            let path = format!("_delta_log/{number}.json");
            let (one, two) = (Bytes::from_static(b"one"), Bytes::from_static(b"two"));
            let created = tokio::try_join!(
                first.create(&path, one.clone()),
                second.create(&path, two.clone())
            )
            .unwrap();
            let there = first.read(&path).await.unwrap().unwrap();
            let expected = match there == one {
                true => (Created::Ours, Created::Theirs),
                false => (Created::Theirs, Created::Ours),
            };
            assert_eq!(created, expected, "{there:?}");
        }
    }

    #[tokio::test]
    async fn a_file_in_the_place_of_a_folder_is_told() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("_delta_log"), "").unwrap();
        let storage = open(Folder::Local(folder.path().to_owned()), "lake");
        let error = storage.list("_delta_log").await.unwrap_err().to_string();
        let told = error.strip_prefix(folder.path().to_str().unwrap());
        assert_eq!(
            told,
            Some("/_delta_log is a file, where a lake has a folder")
        );
    }
}
