//! The sample as the files of a trail.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::clock::{push_basic, push_folder};
use super::{Sample, push_base62};
use crate::error::{Error, Result};

/// What [`Sample::write_trail`] wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// How many files.
    pub files: u64,
    /// Their bytes as stored, compressed.
    pub stored_bytes: u64,
    /// Their bytes when inflated.
    pub bytes: u64,
}

impl Sample {
    /// The key that document `index` has in a trail's bucket:
    /// `AWSLogs/ACCOUNT/CloudTrail/REGION/YYYY/MM/DD/ACCOUNT_CloudTrail_REGION_STAMP_ID.json.gz`,
    /// by the time of its delivery.
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

    /// Writes all documents under `folder`, compressed and named as CloudTrail does.
    ///
    /// # Errors
    ///
    /// What the file system refuses, with the path.
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

/// Returns how many bytes the file has.
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
