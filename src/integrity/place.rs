//! Buckets, and copies of buckets on this machine.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Component, Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use object_store::{Attribute, ObjectStoreExt, path};
use serde_json::Value;

use super::digest::ObjectName;
use super::key::split;
use super::store::{Chunks, Level, Store, StoredDigest};
use crate::error::{Error, Result};
use crate::reject::why;
use crate::source::{Access, Folder, Sources, bucket_error};

/// The place of a source: `s3://bucket/prefix`, or a folder that is a copy of a bucket.
///
/// In a copy, files are found by the part of their key from `AWSLogs/` on: it may lack the bucket's
/// prefix, or have others.
pub struct Place {
    sources: Sources,
    /// The name of the bucket that the files were copied from.
    bucket: Option<String>,
}

impl Place {
    /// A reader of buckets and folders. `bucket` is the one that copies are of.
    pub fn new(sources: Sources, bucket: Option<String>) -> Self {
        Self { sources, bucket }
    }

    async fn open(&self, url: &str) -> Result<Option<(Bucket, path::Path)>> {
        let Some(rest) = url.strip_prefix(S3) else {
            return Ok(None);
        };
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        let folder = self.sources.folder(&format!("{S3}{bucket}")).await?;
        let Folder::Bucket { store, .. } = folder else {
            return Err(Error::bug("a bucket was opened as a folder"));
        };
        let key = path::Path::parse(key)
            .map_err(|error| bucket_error(error.into(), Access::Read, url))?;
        Ok(Some((store, key)))
    }
}

type Bucket = std::sync::Arc<dyn object_store::ObjectStore>;

#[async_trait]
impl Store for Place {
    async fn level(&self, folder: &str) -> Result<Level> {
        let Some((store, prefix)) = self.open(folder).await? else {
            let folder = folder.to_owned();
            return blocking(move || local_level(&folder)).await;
        };
        let listed = store.list_with_delimiter(Some(&prefix)).await;
        let listed = listed.map_err(|error| bucket_error(error, Access::List, folder))?;
        let bucket = folder[S3.len()..].split('/').next().unwrap_or_default();
        let url = |key: &path::Path| format!("{S3}{bucket}/{key}");
        Ok(Level {
            folders: listed.common_prefixes.iter().map(url).collect(),
            files: listed.objects.iter().map(|it| url(&it.location)).collect(),
        })
    }

    async fn digest(&self, url: &str) -> Result<Option<StoredDigest>> {
        let Some((store, key)) = self.open(url).await? else {
            let url = url.to_owned();
            return blocking(move || local_digest(&url)).await;
        };
        let fault = |error| bucket_error(error, Access::Read, url);
        let got = match store.get(&key).await {
            Ok(got) => got,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(fault(error)),
        };
        let metadata = got.attributes.iter().filter_map(|(name, value)| {
            let Attribute::Metadata(name) = name else {
                return None;
            };
            Some((name.to_ascii_lowercase(), value.to_string()))
        });
        Ok(Some(StoredDigest {
            metadata: Some(metadata.collect()),
            bytes: got.bytes().await.map_err(fault)?,
        }))
    }

    async fn log(&self, url: &str) -> Result<Option<Chunks>> {
        let Some((store, key)) = self.open(url).await? else {
            let path = url.to_owned();
            return blocking(move || local_file(&path)).await;
        };
        let url = url.to_owned();
        match store.get(&key).await {
            Ok(got) => {
                let chunks = got.into_stream();
                let chunks = chunks.map_err(move |error| bucket_error(error, Access::Read, &url));
                Ok(Some(chunks.boxed()))
            }
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(bucket_error(error, Access::Read, &url)),
        }
    }

    fn locate(&self, base: &str, object: &ObjectName) -> String {
        let ObjectName { bucket, key } = object;
        let Some(here) = base.strip_prefix(S3) else {
            let below = split(key).map(|(_, below)| format!("AWSLogs/{below}"));
            return format!("{base}{}{}", slash(base), below.as_ref().unwrap_or(key));
        };
        // A bucket that is a copy of another one holds its objects.
        let here = here.split('/').next().unwrap_or(here);
        let is_copied = self.bucket.as_ref().is_some_and(|copied| copied == bucket);
        format!("{S3}{}/{key}", if is_copied { here } else { bucket })
    }

    fn is_original(&self, url: &str, object: &ObjectName) -> bool {
        let ObjectName { bucket, key } = object;
        let copied = self.bucket.as_deref();
        match url.strip_prefix(S3).and_then(|rest| rest.split_once('/')) {
            Some((here, found)) => found == key && (bucket == here || copied == Some(bucket)),
            None => {
                let below = |path| split(path).map(|(_, below)| below);
                below(url).is_some()
                    && below(url) == below(key)
                    && copied.is_none_or(|copied| copied == bucket)
            }
        }
    }
}

/// Returns the folder to search for a source: in a copy, one whose path shows where in the layout it is.
///
/// # Errors
/// Config, for wildcards and other sources, and for folders that are not there.
pub async fn start(sources: &Sources, text: &str) -> Result<String> {
    let path = match sources.folder(text).await? {
        Folder::Bucket { .. } => return Ok(text.to_owned()),
        Folder::Local(path) => path,
    };
    let whole = fs::canonicalize(&path)
        .map_err(|error| Error::config(format!("{text}: {}", why(&error))).caused_by(error))?;
    let whole = whole.to_string_lossy().into_owned();
    // Without slashes that are doubled, so that addresses are equal if they name the same file.
    let typed: PathBuf = path.components().collect();
    let typed = typed.to_string_lossy().into_owned();
    let says_it = split(&typed).is_some() || split(&whole).is_none();
    Ok(if says_it { typed } else { whole })
}

fn slash(base: &str) -> &'static str {
    if base.is_empty() { "" } else { "/" }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Error::bug(format!("a read was not ended: {error}"))))
}

/// Returns the path of an address; `None` if it leads out of its folder, as no key of CloudTrail's does.
fn local_path(url: &str) -> Option<PathBuf> {
    let below = split(url).map_or("", |(_, below)| below);
    let is_name = |part| matches!(part, Component::Normal(_));
    let path = if url.is_empty() { "." } else { url };
    Path::new(below)
        .components()
        .all(is_name)
        .then(|| PathBuf::from(path))
}

fn local_level(folder: &str) -> Result<Level> {
    let fault = |error: io::Error| Error::io(format!("{folder}: {}", why(&error))).caused_by(error);
    let path = local_path(folder).unwrap_or_default();
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(Level::default()),
        Err(error) => return Err(fault(error)),
    };
    let mut level = Level::default();
    for entry in entries {
        let entry = entry.map_err(fault)?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let url = format!("{folder}{}{name}", slash(folder));
        // Links are followed; one to nothing is neither.
        match fs::metadata(entry.path()) {
            Ok(metadata) if metadata.is_dir() => level.folders.push(url),
            Ok(_) => level.files.push(url),
            Err(_) => {}
        }
    }
    Ok(level)
}

fn local_digest(url: &str) -> Result<Option<StoredDigest>> {
    let Some(bytes) = local_bytes(url)? else {
        return Ok(None);
    };
    let mut metadata = None;
    for ending in SIDE_CARS {
        if let Some(text) = local_bytes(&format!("{url}{ending}"))? {
            metadata = Some(side_car(&text));
            break;
        }
    }
    let bytes = bytes.into();
    Ok(Some(StoredDigest { bytes, metadata }))
}

fn local_bytes(url: &str) -> Result<Option<Vec<u8>>> {
    let Some(path) = local_path(url) else {
        return Ok(None);
    };
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(Error::io(why(&error)).caused_by(error)),
    }
}

/// Parses the answer of `head-object`, or its `Metadata` alone. Anything else has no metadata.
fn side_car(text: &[u8]) -> BTreeMap<String, String> {
    let value: Value = serde_json::from_slice(text).unwrap_or_default();
    let members = value.get("Metadata").unwrap_or(&value).as_object();
    let members = members.into_iter().flatten();
    members
        .filter_map(|(name, value)| {
            let value = value.as_str()?.to_owned();
            Some((name.to_ascii_lowercase(), value))
        })
        .collect()
}

fn local_file(url: &str) -> Result<Option<Chunks>> {
    let fault = |error: io::Error| Error::io(why(&error)).caused_by(error);
    let Some(path) = local_path(url) else {
        return Ok(None);
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(fault(error)),
    };
    let chunks = stream::try_unfold(file, move |mut file| {
        blocking(move || {
            let mut chunk = vec![0; CHUNK_BYTES];
            let length = file.read(&mut chunk).map_err(fault)?;
            chunk.truncate(length);
            Ok((length > 0).then(|| (Bytes::from(chunk), file)))
        })
    });
    Ok(Some(chunks.boxed()))
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

const S3: &str = "s3://";
/// The endings of the files beside a digest file that keep the metadata of its object.
const SIDE_CARS: [&str; 2] = [".head.json", ".metadata.json"];
/// Bytes of a file that are read at a time.
const CHUNK_BYTES: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::aws::AwsSettings;

    fn name(bucket: &str, key: &str) -> ObjectName {
        ObjectName {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
        }
    }

    fn place(bucket: Option<&str>) -> Place {
        let sources = Sources::new(AwsSettings::default());
        Place::new(sources, bucket.map(str::to_owned))
    }

    #[test]
    fn an_object_of_a_bucket_is_found_by_its_whole_key() {
        let key = "p/AWSLogs/111122223333/x";
        let original = place(None);
        let url = original.locate("s3://b/p", &name("other", key));
        assert_eq!(url, format!("s3://other/{key}"));
        assert!(original.is_original(&url, &name("other", key)));
        assert!(!original.is_original(&url, &name("b", key)));
        assert!(!original.is_original(&url, &name("other", &key[2..])));
        let copy = place(Some("b"));
        let url = copy.locate("s3://replica/p", &name("b", key));
        assert_eq!(url, format!("s3://replica/{key}"));
        assert!(copy.is_original(&url, &name("b", key)));
    }

    #[test]
    fn in_a_copy_it_is_found_from_awslogs_on() {
        let object = name("b", "p/AWSLogs/111122223333/x");
        for (base, url) in [
            ("", "AWSLogs/111122223333/x"),
            ("copy/p", "copy/p/AWSLogs/111122223333/x"),
        ] {
            assert_eq!(place(None).locate(base, &object), url);
            assert!(place(None).is_original(url, &object));
            assert!(place(Some("b")).is_original(url, &object));
            assert!(!place(Some("c")).is_original(url, &object));
        }
        assert!(!place(None).is_original("AWSLogs/111122223333/y", &object));
    }

    #[test]
    fn no_name_leads_out_of_a_copy() {
        let object = name("b", "AWSLogs/111122223333/../../../etc/passwd");
        let url = place(None).locate("copy", &object);
        assert_eq!(local_path(&url), None);
        assert!(local_path("../copy/AWSLogs/111122223333/x").is_some());
    }

    #[test]
    fn a_side_car_is_an_answer_or_its_metadata() {
        let metadata = r#"{"Signature": "ab", "signature-algorithm": "SHA256withRSA"}"#;
        let answer = format!(r#"{{"ETag": "x", "Metadata": {metadata}}}"#);
        for text in [metadata, &answer] {
            let parsed = side_car(text.as_bytes());
            assert_eq!(parsed["signature"], "ab");
            assert_eq!(parsed["signature-algorithm"], "SHA256withRSA");
        }
        assert!(side_car(b"x").is_empty());
    }
}
