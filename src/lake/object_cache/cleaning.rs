//! Cleaning up a cache that nobody uses: unfinished files, segments beyond the bound, small segments.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::segment::{self, INDEX, ROWS, Segment, UNFINISHED};
use super::{LOCK, MARK, REMEMBERED};
use crate::error::{Error, Result};
use crate::lake::data_file::as_decoded;
use crate::lake::writer::Arrivals;

/// Removes what is of no use and what is beyond `limit_bytes`, and packs small segments together. Only to be
/// called by the one who has the cache to itself.
///
/// # Errors
/// Io, if the folder cannot be read or small segments cannot be packed.
pub(super) fn clean(folder: &Path, limit_bytes: u64) -> Result<()> {
    let failed = |error: io::Error| {
        let folder = folder.display();
        Error::io(format!("the cache {folder} cannot be cleaned up: {error}"))
    };
    remove_other_versions(folder);
    remove_halves(folder).map_err(failed)?;
    remove_beyond(folder, limit_bytes).map_err(failed)?;
    pack_small(folder)
}

/// Removes the caches of other versions of this program that were not used for long.
fn remove_other_versions(folder: &Path) {
    let beside = folder.parent().and_then(|it| fs::read_dir(it).ok());
    for entry in beside.into_iter().flatten().flatten() {
        let path = entry.path();
        let is_cache = entry.file_name().to_string_lossy().starts_with("objects-");
        if !is_cache || path == folder {
            continue;
        }
        let lock = File::options().write(true).open(path.join(LOCK));
        let is_unused = lock.is_ok_and(|lock| {
            let used = lock.metadata().and_then(|it| it.modified());
            used.is_ok_and(|used| is_older(used, REMEMBERED)) && lock.try_lock().is_ok()
        });
        if is_unused {
            // What stays is removed another time.
            let _ = fs::remove_dir_all(path);
        }
    }
}

/// Removes what processes that ended early have left, and marks that are too old.
fn remove_halves(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        let kind = path.extension().unwrap_or_default().to_string_lossy();
        let is_half = match &*kind {
            _ if name.starts_with(UNFINISHED) => true,
            ROWS => !path.with_extension(INDEX).exists(),
            INDEX => !path.with_extension(ROWS).exists(),
            MARK => is_older(entry.metadata()?.modified()?, REMEMBERED),
            _ => false,
        };
        if is_half {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

fn is_older(time: SystemTime, age: Duration) -> bool {
    time.elapsed().is_ok_and(|it| it >= age)
}

/// Removes the segments that were not used for longest, until the others have at most `limit_bytes`.
fn remove_beyond(folder: &Path, limit_bytes: u64) -> io::Result<()> {
    let mut held = 0;
    let mut segments: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
    for index in segment::index_paths(folder)? {
        let facts = fs::metadata(&index)?;
        let bytes = facts.len() + fs::metadata(index.with_extension(ROWS))?.len();
        held += bytes;
        segments.push((facts.modified()?, bytes, index));
    }
    segments.sort_unstable();
    for (_, bytes, index) in segments {
        if held <= limit_bytes {
            break;
        }
        fs::remove_file(&index)?;
        fs::remove_file(index.with_extension(ROWS))?;
        held -= bytes;
    }
    Ok(())
}

/// Packs small segments, as many questions about a few new objects leave them, if they are many.
fn pack_small(folder: &Path) -> Result<()> {
    let mut small = segment::index_paths(folder).unwrap_or_default();
    small.retain(|index| {
        fs::metadata(index.with_extension(ROWS)).is_ok_and(|it| it.len() < SMALL_BYTES)
    });
    if small.len() < MOST_SMALL {
        return Ok(());
    }
    let (mut rows, mut parts, mut packed) = (Arrivals::default(), Vec::new(), Vec::new());
    for segment in small.iter().filter_map(|index| segment::read(index)) {
        let before = rows.rows() as u64;
        if add_rows(&mut rows, folder, &segment).is_none() {
            // It is damaged: what it had is read again.
            segment::remove(folder, &segment.file.path);
            continue;
        }
        for mut part in segment.parts {
            part.rows = part.rows.start + before..part.rows.end + before;
            parts.push(part);
        }
        packed.push(segment.file.path);
        if rows.bytes() > super::filling::SEGMENT_BYTES {
            segment::write(
                folder,
                std::mem::take(&mut rows),
                std::mem::take(&mut parts),
            )?;
            remove_packed(folder, &mut packed);
        }
    }
    if !packed.is_empty() {
        segment::write(folder, rows, parts)?;
        remove_packed(folder, &mut packed);
    }
    Ok(())
}

fn remove_packed(folder: &Path, packed: &mut Vec<String>) {
    for path in packed.drain(..) {
        segment::remove(folder, &path);
    }
}

/// Adds the rows of a segment; `None` if they cannot be read.
fn add_rows(rows: &mut Arrivals, folder: &Path, segment: &Segment) -> Option<()> {
    if segment.file.stats.rows == 0 {
        return Some(());
    }
    let file = File::open(folder.join(&segment.file.path)).ok()?;
    let batches = ParquetRecordBatchReaderBuilder::try_new(file).ok()?;
    let batches = batches.build().ok()?;
    let batches: Vec<_> = batches.collect::<Result<_, _>>().ok()?;
    let found: usize = batches.iter().map(|batch| batch.num_rows()).sum();
    if found as u64 != segment.file.stats.rows {
        return None;
    }
    for batch in batches {
        rows.add(&as_decoded(&batch).ok()?).ok()?;
    }
    Some(())
}

/// Bytes of a small segment's rows, at most.
const SMALL_BYTES: u64 = 512 << 10;

/// Small segments that may be there.
const MOST_SMALL: usize = 32;
