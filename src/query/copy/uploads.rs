//! Objects of a bucket that are sent whole and appear later, all of them or none.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    UploadPart,
};

/// An upload, until it is completed or aborted.
type Open = Arc<Mutex<Option<Box<dyn MultipartUpload>>>>;

/// A store whose objects appear at [`Uploads::complete`]: until then they are uploads in parts that
/// nobody has completed.
#[derive(Debug)]
pub(super) struct Uploads {
    store: Arc<dyn ObjectStore>,
    root: Path,
    /// Whether there is one object, the root.
    is_file: bool,
    begun: Mutex<Vec<(Path, Open)>>,
}

impl Uploads {
    /// Objects below `root`, or one object there.
    pub(super) fn new(store: Arc<dyn ObjectStore>, root: Path, is_file: bool) -> Self {
        Self {
            store,
            root,
            is_file,
            begun: Mutex::default(),
        }
    }

    /// Has all objects appear, and returns their number. If one cannot, those before it are deleted.
    pub(super) async fn complete(&self) -> Result<u64> {
        let begun = std::mem::take(&mut *lock(&self.begun));
        let mut done = Vec::new();
        let mut failed = None;
        for (key, upload) in begun {
            // Out of its lock, which is not held while the bucket answers.
            let upload = lock(&upload).take();
            match (upload, &failed) {
                (Some(mut upload), None) => match upload.complete().await {
                    Ok(_) => done.push(key),
                    Err(error) => failed = Some(error),
                },
                (Some(mut upload), Some(_)) => {
                    let _ = upload.abort().await;
                }
                (None, _) => {}
            }
        }
        let Some(error) = failed else {
            return Ok(done.len() as u64);
        };
        for key in &done {
            let _ = self.store.delete(key).await;
        }
        Err(error)
    }

    /// Gives all objects up. What the bucket does not take back stays unseen.
    pub(super) async fn abort(&self) {
        let begun = std::mem::take(&mut *lock(&self.begun));
        for (_, upload) in begun {
            let upload = lock(&upload).take();
            if let Some(mut upload) = upload {
                let _ = upload.abort().await;
            }
        }
    }

    fn key(&self, location: &Path) -> Path {
        match self.is_file {
            true => self.root.clone(),
            false => self.root.parts().chain(location.parts()).collect(),
        }
    }
}

impl std::fmt::Display for Uploads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Uploads({})", self.store)
    }
}

#[async_trait]
impl ObjectStore for Uploads {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        _: PutOptions,
    ) -> Result<PutResult> {
        let mut upload = self
            .put_multipart_opts(location, PutMultipartOptions::default())
            .await?;
        if payload.content_length() > 0 {
            upload.put_part(payload).await?;
        }
        upload.complete().await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let key = self.key(location);
        let upload = self.store.put_multipart_opts(&key, options).await?;
        let open = Arc::new(Mutex::new(Some(upload)));
        lock(&self.begun).push((key, Arc::clone(&open)));
        Ok(Box::new(Upload(open)))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.store.get_opts(&self.key(location), options).await
    }

    fn delete_stream(
        &self,
        _: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        futures::stream::once(async { Err(unsupported("delete")) }).boxed()
    }

    fn list(&self, _: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        futures::stream::once(async { Err(unsupported("list")) }).boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        Err(unsupported("list"))
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(unsupported("copy"))
    }
}

/// An upload that its writer takes for completed when all parts are sent.
#[derive(Debug)]
struct Upload(Open);

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        match &mut *lock(&self.0) {
            Some(upload) => upload.put_part(data),
            None => async { Err(unsupported("write after the end")) }.boxed(),
        }
    }

    async fn complete(&mut self) -> Result<PutResult> {
        Ok(PutResult {
            e_tag: None,
            version: None,
        })
    }

    async fn abort(&mut self) -> Result<()> {
        let upload = lock(&self.0).take();
        match upload {
            Some(mut upload) => upload.abort().await,
            None => Ok(()),
        }
    }
}

fn unsupported(operation: &str) -> Error {
    Error::NotSupported {
        source: format!("an export does not {operation}").into(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;
    use object_store::memory::InMemory;

    use super::*;

    async fn keys(store: &InMemory) -> Vec<String> {
        let listed: Vec<ObjectMeta> = store.list(None).try_collect().await.unwrap();
        let mut keys: Vec<_> = listed.iter().map(|it| it.location.to_string()).collect();
        keys.sort();
        keys
    }

    async fn written(store: &Arc<InMemory>) -> Uploads {
        let uploads = Uploads::new(Arc::clone(store) as _, Path::from("a/b"), false);
        for name in ["x=1/1.csv", "2.csv"] {
            uploads.put(&Path::from(name), "text".into()).await.unwrap();
        }
        uploads
    }

    #[tokio::test]
    async fn objects_appear_at_the_end_or_never() {
        let store = Arc::new(InMemory::new());
        written(&store).await.abort().await;
        assert!(keys(&store).await.is_empty());
        let uploads = written(&store).await;
        assert!(keys(&store).await.is_empty());
        assert_eq!(uploads.complete().await.unwrap(), 2);
        assert_eq!(keys(&store).await, ["a/b/2.csv", "a/b/x=1/1.csv"]);
    }

    #[tokio::test]
    async fn one_object_has_the_name_of_the_target() {
        let store = Arc::new(InMemory::new());
        let uploads = Uploads::new(Arc::clone(&store) as _, Path::from("a/x.csv"), true);
        uploads
            .put(&Path::from("file"), "text".into())
            .await
            .unwrap();
        assert_eq!(uploads.complete().await.unwrap(), 1);
        assert_eq!(keys(&store).await, ["a/x.csv"]);
    }
}
