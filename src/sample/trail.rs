//! Writes the sample as the files of a trail.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::clock::{push_basic, push_folder};
use super::{Sample, push_base62};
use crate::error::{Error, Result};

/// Totals of [`Sample::write_trail`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Number of files.
    pub files: u64,
    /// Bytes of the files, compressed.
    pub stored_bytes: u64,
    /// Bytes of the documents, decompressed.
    pub bytes: u64,
}

impl Sample {
    /// Returns the key of document `index` in a trail's bucket, by its time of delivery:
    /// `AWSLogs/ACCOUNT/CloudTrail/REGION/YYYY/MM/DD/ACCOUNT_CloudTrail_REGION_STAMP_ID.json.gz`.
    pub fn file_name(&self, index: u64) -> String {
        let outline = self.outline(index);
        let (account, region) = (outline.scope.account, outline.scope.region);
        let mut name = format!("AWSLogs/{account}/CloudTrail/{region}/");
        push_folder(&mut name, outline.delivered);
        name.push_str(&format!("/{account}_CloudTrail_{region}_"));
        push_basic(
            &mut name,
            outline.delivered - outline.delivered.rem_euclid(300),
        );
        name.push('_');
        push_base62(&mut name, outline.id, 16);
        name.push_str(".json.gz");
        name
    }

    /// Writes all documents under `folder`, compressed and named in CloudTrail's way.
    ///
    /// # Errors
    ///
    /// Returns I/O errors, with the path.
    pub fn write_trail(&self, folder: &Path) -> Result<Written> {
        let mut written = Written::default();
        for index in 0..self.documents() {
            let path = folder.join(self.file_name(index));
            let document = self.document(index);
            let stored = store(&path, &document)
                .map_err(|error| Error::io(format!("cannot write {}: {error}", path.display())))?;
            written.files += 1;
            written.stored_bytes += stored;
            written.bytes += document.len() as u64;
        }
        Ok(written)
    }
}

/// Stores a document and returns the bytes of its file.
fn store(path: &Path, document: &[u8]) -> std::io::Result<u64> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut encoder = GzEncoder::new(Vec::with_capacity(document.len() / 8), Compression::new(6));
    encoder.write_all(document)?;
    let stored = encoder.finish()?;
    File::create(path)?.write_all(&stored)?;
    Ok(stored.len() as u64)
}
