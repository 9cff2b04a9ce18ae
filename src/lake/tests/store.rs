//! A store for tests of what is read of a lake.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
};

/// A store in memory that notes the names of files that are read, once a request, and how many of these
/// there are at the same time.
#[derive(Debug, Default)]
pub struct NotingStore {
    inner: InMemory,
    reads: Mutex<Vec<String>>,
    reading: AtomicUsize,
    most_at_once: AtomicUsize,
    conditions: Mutex<Conditions>,
}

/// What a store makes of a request to create an object that must not be there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Conditions {
    #[default]
    Heeded,
    /// The object is replaced.
    PassedOver,
    /// It looks first and writes then, and others may do so in between.
    LookedAtFirst,
}

impl NotingStore {
    pub fn take_reads(&self) -> Vec<String> {
        std::mem::take(&mut self.reads.lock().unwrap())
    }

    pub fn set_conditions(&self, conditions: Conditions) {
        *self.conditions.lock().unwrap() = conditions;
    }

    /// Returns the most requests that there were at the same time.
    pub fn most_at_once(&self) -> usize {
        self.most_at_once.load(Relaxed)
    }
}

impl std::fmt::Display for NotingStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a store for tests")
    }
}

type StoreResult<T> = object_store::Result<T>;

#[async_trait]
impl ObjectStore for NotingStore {
    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        mut options: PutOptions,
    ) -> StoreResult<PutResult> {
        let conditions = *self.conditions.lock().unwrap();
        if conditions == Conditions::LookedAtFirst && options.mode == PutMode::Create {
            if self.inner.head(path).await.is_ok() {
                return self.inner.put_opts(path, payload, options).await;
            }
            tokio::task::yield_now().await;
        }
        if conditions != Conditions::Heeded {
            options.mode = PutMode::Overwrite;
        }
        self.inner.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> StoreResult<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> StoreResult<GetResult> {
        self.reads.lock().unwrap().push(path.to_string());
        let reading = self.reading.fetch_add(1, Relaxed) + 1;
        self.most_at_once.fetch_max(reading, Relaxed);
        // All who would read at the same time get to it.
        tokio::task::yield_now().await;
        let result = self.inner.get_opts(path, options).await;
        self.reading.fetch_sub(1, Relaxed);
        result
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> StoreResult<Vec<Bytes>> {
        self.reads.lock().unwrap().push(path.to_string());
        self.inner.get_ranges(path, ranges).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, StoreResult<Path>>,
    ) -> BoxStream<'static, StoreResult<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, StoreResult<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> StoreResult<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> StoreResult<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
