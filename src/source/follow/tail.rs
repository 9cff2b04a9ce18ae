//! One file that grows.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use siphasher::sip::SipHasher13;

/// The number of a file and of its device: the same after it was renamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileId(u64, u64);

/// A file that is read as it grows.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) id: FileId,
    /// The name that users see.
    pub(super) name: Arc<str>,
    pub(super) path: PathBuf,
    file: File,
    /// The number of the file and the hash of its first line, once that is whole.
    fingerprint: Option<String>,
    /// Bytes handed out.
    offset: u64,
    /// Bytes at the beginning that are not handed out.
    skip_bytes: u64,
    /// Listings that it was not in any more.
    missed: u32,
}

/// Whole lines of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lines {
    pub(super) first_byte: u64,
    pub(super) bytes: Bytes,
}

impl Tail {
    /// Opens a file; `None` if it is not there, or not a regular file.
    pub(super) fn open(name: Arc<str>, path: &Path) -> io::Result<Option<Self>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Ok(None);
        }
        Ok(Some(Self {
            id: file_id(&metadata, path),
            name,
            path: path.to_owned(),
            file,
            fingerprint: None,
            offset: 0,
            skip_bytes: 0,
            missed: 0,
        }))
    }

    /// Leaves out what is in the file now.
    pub(super) fn skip_to_end(&mut self) {
        self.skip_bytes = self.file.metadata().map_or(0, |it| it.len());
    }

    /// Returns whether a file that is not listed any more is still to be read: what wrote it may not have
    /// let go of it yet.
    pub(super) fn keep_a_while(&mut self) -> bool {
        self.missed += 1;
        self.missed < KEPT_LISTINGS
    }

    /// The partition of the checkpoint. Only for a file of which lines were read.
    pub(super) fn partition(&self) -> Arc<str> {
        format!("{PARTITION}{}", self.fingerprint()).into()
    }

    /// The number of the file and the hash of its first line; empty before that is whole.
    pub(super) fn fingerprint(&self) -> &str {
        self.fingerprint.as_deref().unwrap_or_default()
    }

    /// Returns the next whole lines, about a chunk of them; `None` if there are none for now. Of a file that
    /// is known by its first line, the bytes in `offsets` are left out. `takes_all`: the last line needs no
    /// line break.
    pub(super) fn next(
        &mut self,
        offsets: &BTreeMap<String, u64>,
        takes_all: bool,
    ) -> io::Result<Option<Lines>> {
        if self.file.metadata()?.len() < self.offset {
            // It was emptied, and is written anew.
            self.fingerprint = None;
            self.offset = 0;
        }
        if self.fingerprint.is_none() && !self.begin(offsets, takes_all)? {
            return Ok(None);
        }
        let bytes = self.whole_lines(takes_all)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let first_byte = self.offset;
        self.offset += bytes.len() as u64;
        Ok(Some(Lines {
            first_byte,
            bytes: bytes.into(),
        }))
    }

    /// Finds out which file this is. Returns `false` while its first line is not whole.
    fn begin(&mut self, offsets: &BTreeMap<String, u64>, takes_all: bool) -> io::Result<bool> {
        let first = self.read_from(0, FIRST_BYTES)?;
        let line = match memchr::memchr(b'\n', &first) {
            Some(end) => &first[..end],
            None if first.len() == FIRST_BYTES || (takes_all && !first.is_empty()) => &first,
            None => return Ok(false),
        };
        let length = self.file.metadata()?.len();
        let (fingerprint, offset) = self.identity(line, length, offsets);
        self.fingerprint = Some(fingerprint);
        self.offset = offset;
        let skipped = std::mem::take(&mut self.skip_bytes).min(length);
        self.offset = self.offset.max(self.end_of_lines(skipped)?);
        Ok(true)
    }

    /// Returns the name of a file that begins with `line`, and how much of it was handed out.
    fn identity(&self, line: &[u8], length: u64, offsets: &BTreeMap<String, u64>) -> (String, u64) {
        // Positions are stored, so the keys never change.
        let hash = SipHasher13::new_with_keys(0, 0).hash(line);
        let first = format!("{:x}-{hash:016x}", self.id.1);
        // One that was emptied and begins alike is another file.
        let later = (2..).map(|number| format!("{first}-{number}"));
        let names = std::iter::once(first.clone()).chain(later);
        let offsets = names.map(|name| {
            let offset = offsets.get(&name).copied().unwrap_or(0);
            (name, offset)
        });
        let mut known = offsets.skip_while(|(_, offset)| *offset > length);
        known.next().expect("there is no end of names")
    }

    /// The bytes that were handed out, or left out as old.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the bytes that were written and not handed out.
    pub(super) fn waiting(&self) -> u64 {
        let written = self.file.metadata().map_or(0, |it| it.len());
        written.saturating_sub(self.offset.max(self.skip_bytes))
    }

    /// Returns the byte after the last line break of the first `length` bytes.
    fn end_of_lines(&mut self, length: u64) -> io::Result<u64> {
        let from = length.saturating_sub(CHUNK_BYTES as u64);
        let last = self.read_from(from, (length - from) as usize)?;
        let end = memchr::memrchr(b'\n', &last).map_or(0, |at| at + 1);
        Ok(from + end as u64)
    }

    fn whole_lines(&mut self, takes_all: bool) -> io::Result<Vec<u8>> {
        let mut size = CHUNK_BYTES;
        loop {
            let mut bytes = self.read_from(self.offset, size)?;
            let is_end = bytes.len() < size;
            if let Some(end) = memchr::memrchr(b'\n', &bytes) {
                if !(is_end && takes_all) {
                    bytes.truncate(end + 1);
                }
                return Ok(bytes);
            }
            if is_end {
                return Ok(if takes_all { bytes } else { Vec::new() });
            }
            if size >= LONGEST_LINE_BYTES {
                // Handed on as it is: it is told as a reject.
                return Ok(bytes);
            }
            size *= 4;
        }
    }

    fn read_from(&mut self, from: u64, size: usize) -> io::Result<Vec<u8>> {
        self.file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        (&self.file).take(size as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

#[cfg(unix)]
fn file_id(metadata: &std::fs::Metadata, _: &Path) -> FileId {
    use std::os::unix::fs::MetadataExt;
    FileId(metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
fn file_id(_: &std::fs::Metadata, path: &Path) -> FileId {
    let path = path.to_string_lossy();
    FileId(0, SipHasher13::new_with_keys(0, 0).hash(path.as_bytes()))
}

/// The beginning of the partitions of files that grow.
pub(super) const PARTITION: &str = "follow://";
/// Bytes that are read at a time.
pub(super) const CHUNK_BYTES: usize = 1 << 20;
/// The longest line that is read whole.
const LONGEST_LINE_BYTES: usize = 64 << 20;
/// Bytes of a first line that tell files apart. CloudTrail's event IDs are among them.
const FIRST_BYTES: usize = 8 << 10;
/// Listings, two seconds apart, after which a file that is not in them is let go of.
const KEPT_LISTINGS: u32 = 5;
