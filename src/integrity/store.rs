//! The reader of files that a verification needs.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use super::digest::ObjectName;
use crate::error::Result;

/// A place that a trail was delivered to, or a copy of it. Files have an address, which ends in their
/// key.
#[async_trait]
pub trait Store: Send + Sync {
    /// Lists the folders and files right in a folder.
    ///
    /// # Errors
    /// Those of a folder that cannot be listed. One that is not there is empty.
    async fn level(&self, folder: &str) -> Result<Level>;

    /// Reads a digest file with its metadata; `None` if it is not there.
    ///
    /// # Errors
    /// Those of a file that cannot be read.
    async fn digest(&self, url: &str) -> Result<Option<StoredDigest>>;

    /// Opens a log file; `None` if it is not there.
    ///
    /// # Errors
    /// Those of a file that cannot be read.
    async fn log(&self, url: &str) -> Result<Option<Chunks>>;

    /// Returns the address of the object that a digest names; `base` is the beginning of the digest's.
    fn locate(&self, base: &str, object: &ObjectName) -> String;

    /// Returns whether an object is found at an address that fits its name.
    fn is_original(&self, url: &str, object: &ObjectName) -> bool;
}

/// The bytes of a file, in pieces.
pub type Chunks = BoxStream<'static, Result<Bytes>>;

/// The entries of a folder: whole addresses, those of folders without a slash at the end.
#[derive(Clone, Debug, Default)]
pub struct Level {
    /// The folders in it.
    pub folders: Vec<String>,
    /// The files in it.
    pub files: Vec<String>,
}

/// A digest file as it is stored.
#[derive(Clone, Debug)]
pub struct StoredDigest {
    /// Its bytes.
    pub bytes: Bytes,
    /// The metadata of the object, by names in lower case; `None` for a copy without them.
    pub metadata: Option<BTreeMap<String, String>>,
}
