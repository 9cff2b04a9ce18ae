//! Folders that are written to: on this machine, or below a prefix of a bucket.

use std::path::PathBuf;
use std::sync::Arc;

use object_store::ObjectStore;

use super::objects::{Operation, translate};
use super::{Location, Sources};
use crate::error::{Error, Result};

/// A folder to read and write.
#[derive(Clone, Debug)]
pub enum Folder {
    /// A folder on this machine; it need not exist.
    Local(PathBuf),
    /// The objects below a prefix of a bucket.
    Bucket {
        /// The client of the bucket.
        store: Arc<dyn ObjectStore>,
        /// The prefix, without slashes at its ends.
        prefix: String,
    },
}

/// The use that was made of an object when a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading it.
    Read,
    /// Writing or deleting it.
    Write,
    /// Listing what is below it.
    List,
}

impl Sources {
    /// Opens the folder that `text` names: a path, or `s3://bucket/prefix`. Of S3, the bucket's region
    /// is asked for; nothing is read.
    ///
    /// # Errors
    /// Config, for wildcards and other URLs; those of opening a bucket.
    pub async fn folder(&self, text: &str) -> Result<Folder> {
        let location = Location::parse(text)?;
        match location {
            Location::Local(_) => Ok(Folder::Local(PathBuf::from(text))),
            Location::S3(s3) => {
                let (_, prefix) = text["s3://".len()..].split_once('/').unwrap_or_default();
                if prefix.contains(['*', '?', '[', '{', '\\']) {
                    return Err(Error::config(format!(
                        "`{text}` is a pattern; expected one folder: s3://bucket/prefix"
                    )));
                }
                Ok(Folder::Bucket {
                    store: self.buckets.open(&s3.bucket).await?,
                    prefix: prefix.trim_matches('/').to_owned(),
                })
            }
            Location::Url(_) => Err(Error::config(format!(
                "`{text}` is no folder; expected a path or s3://bucket/prefix"
            ))),
        }
    }
}

/// Translates an error of a bucket's client about `url` into ours: words for people, and whether a
/// retry can help.
pub fn bucket_error(error: object_store::Error, access: Access, url: &str) -> Error {
    let operation = match access {
        Access::Read => Operation::Get,
        Access::Write => Operation::Put,
        Access::List => Operation::List,
    };
    translate(error, operation, url)
}
