//! Segments: rows of objects in a Parquet file, and whose they are.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use serde_json::{Value, json};
use tempfile::NamedTempFile;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::lake::writer::Arrivals;
use crate::lake::{FileStats, LakeFile};
use crate::pipeline::ObjectNotes;
use crate::source::ObjectVersion;

/// A segment.
#[derive(Debug)]
pub(super) struct Segment {
    /// The file; without a byte if there are no rows.
    pub(super) file: LakeFile,
    /// The objects and parts of objects in it.
    pub(super) parts: Vec<KeptPart>,
}

/// An object in a segment, or a part of one.
#[derive(Clone, Debug)]
pub(super) struct KeptPart {
    pub(super) origin: Arc<str>,
    pub(super) version: ObjectVersion,
    /// Its rows.
    pub(super) rows: Range<u64>,
    /// Its number, from 0.
    pub(super) number: u32,
    /// A number that the parts of one object have in common, of one reading of it.
    pub(super) reading: u64,
    /// What else is told of the object; the last part has it.
    pub(super) notes: Option<ObjectNotes>,
}

/// Writes a segment; returns it with the bytes of its files.
///
/// # Errors
/// Io, if it cannot be written: then nothing is left of it.
pub(super) fn write(folder: &Path, rows: Arrivals, parts: Vec<KeptPart>) -> Result<(Segment, u64)> {
    let micros = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let micros = micros.unwrap_or_default().as_micros();
    let name = format!("{micros:017}-{}", Uuid::new_v4());
    let (bytes, stats) = match rows.rows() {
        0 => (Vec::new(), FileStats::default()),
        _ => rows.encode()?,
    };
    let segment = Segment {
        file: LakeFile {
            path: format!("{name}.{ROWS}"),
            size_bytes: bytes.len() as u64,
            partition: Vec::new(),
            stats,
        },
        parts,
    };
    let index = index_path(folder, &segment.file.path);
    let written = publish(&folder.join(&segment.file.path), &bytes)
        .and_then(|()| publish(&index, &segment.to_bytes()?))
        .and_then(|()| fs::metadata(&index));
    match written {
        Ok(index) => {
            let size_bytes = segment.file.size_bytes + index.len();
            Ok((segment, size_bytes))
        }
        Err(error) => {
            remove(folder, &segment.file.path);
            let folder = folder.display();
            Err(Error::io(format!("cannot write to {folder}: {error}")))
        }
    }
}

/// Reads the indexes of all segments, the oldest first. Those that are not whole are left out.
///
/// # Errors
/// If the folder cannot be read.
pub(super) fn read_all(folder: &Path) -> io::Result<Vec<Segment>> {
    let paths = index_paths(folder)?.into_iter();
    Ok(paths.filter_map(|path| read(&path)).collect())
}

/// Returns the paths of the indexes in a folder, the oldest first.
pub(super) fn index_paths(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|it| it == INDEX) {
            paths.push(path);
        }
    }
    paths.sort_unstable();
    Ok(paths)
}

/// Reads a segment; `None` if it is gone or not whole.
pub(super) fn read(index: &Path) -> Option<Segment> {
    let lines = zstd::Decoder::new(File::open(index).ok()?).ok()?;
    let mut lines = BufReader::new(lines).lines();
    let head: Value = serde_json::from_str(&lines.next()?.ok()?).ok()?;
    let file = LakeFile {
        path: index.with_extension(ROWS).file_name()?.to_str()?.to_owned(),
        size_bytes: head["bytes"].as_u64()?,
        partition: Vec::new(),
        stats: FileStats::of_json(head["stats"].as_str()?)?,
    };
    let found = fs::metadata(index.with_extension(ROWS)).map(|it| it.len());
    let count = head["objects"].as_u64()? as usize;
    let parts = lines.map(|line| KeptPart::parse(&line.ok()?));
    let parts: Vec<KeptPart> = parts.collect::<Option<_>>()?;
    let is_whole = found.is_ok_and(|found| found == file.size_bytes) && parts.len() == count;
    is_whole.then_some(Segment { file, parts })
}

/// Removes what there is of a segment. Its index is first, so that nobody finds a half.
pub(super) fn remove(folder: &Path, path: &str) {
    // What stays is removed another time.
    let _ = fs::remove_file(index_path(folder, path));
    let _ = fs::remove_file(folder.join(path));
}

/// Notes that a segment was used now.
pub(super) fn touch(folder: &Path, path: &str) {
    let file = File::options().append(true).open(index_path(folder, path));
    // At worst it goes sooner.
    let _ = file.and_then(|file| file.set_modified(SystemTime::now()));
}

fn index_path(folder: &Path, path: &str) -> PathBuf {
    folder.join(path).with_extension(INDEX)
}

/// Writes a file that is there whole or not at all, readable by its user alone.
fn publish(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let mut file = NamedTempFile::with_prefix_in(UNFINISHED, folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_data()?;
    file.persist(path)?;
    Ok(())
}

impl Segment {
    fn to_bytes(&self) -> io::Result<Vec<u8>> {
        let mut out = BufWriter::new(zstd::Encoder::new(Vec::new(), 1)?);
        let head = json!({
            "bytes": self.file.size_bytes,
            "stats": self.file.stats.to_json(),
            "objects": self.parts.len(),
        });
        writeln!(out, "{head}")?;
        for part in &self.parts {
            writeln!(out, "{}", part.to_json())?;
        }
        out.into_inner().map_err(io::Error::from)?.finish()
    }
}

impl KeptPart {
    fn to_json(&self) -> Value {
        let Self { version, rows, .. } = self;
        json!([
            &*self.origin,
            version.size_bytes,
            &*version.tag,
            rows.start,
            rows.end,
            self.number,
            self.reading,
            self.notes.as_ref().map(ObjectNotes::to_json),
        ])
    }

    fn parse(line: &str) -> Option<Self> {
        type Line<'l> = (Cow<'l, str>, u64, Cow<'l, str>, u64, u64, u32, u64, Value);
        let (origin, size_bytes, tag, start, end, number, reading, notes): Line<'_> =
            serde_json::from_str(line).ok()?;
        let notes = match notes {
            Value::Null => None,
            notes => Some(ObjectNotes::of_json(&notes)?),
        };
        Some(Self {
            origin: origin.into(),
            version: ObjectVersion {
                size_bytes,
                tag: tag.into(),
            },
            rows: start..end,
            number,
            reading,
            notes,
        })
    }
}

/// The last part of the names of files with rows.
pub(super) const ROWS: &str = "parquet";

/// The last part of the names of indexes.
pub(super) const INDEX: &str = "objects";

/// The first part of the names of files that are not whole.
pub(super) const UNFINISHED: &str = "_";
