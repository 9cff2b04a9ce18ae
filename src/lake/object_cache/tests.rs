//! Segments and their objects, without sources: parts, packing, locks.

use std::fs;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use tempfile::TempDir;

use super::*;
use crate::execution::Execution;
use crate::pipeline::{KeptObject, RowKeeper};
use crate::source::KnownObjects;

fn version(tag: &str) -> ObjectVersion {
    ObjectVersion {
        size_bytes: 1,
        tag: tag.into(),
    }
}

fn rows(count: usize) -> RecordBatch {
    let ids = (0..count).map(|at| format!("id {at}"));
    let ids: ArrayRef = Arc::new(StringArray::from_iter_values(ids));
    RecordBatch::try_from_iter_with_nullable([("eventid", ids, true)]).unwrap()
}

fn object(origin: &str, part: u32, rows: u64, is_last: bool) -> KeptObject {
    KeptObject {
        origin: origin.into(),
        version: Some(version("1")),
        part,
        rows,
        notes: is_last.then(ObjectNotes::default),
    }
}

/// Keeps `a` of 3 rows, `b` of 5 rows in two segments, and the first part of `c`.
fn fill(cache: &ObjectCache) -> KeptRows {
    let filling = Filling::new(cache.open().unwrap());
    let mut keeper = filling.keeper(&Arc::new(Execution::default()));
    keeper.take_rows(rows(5));
    keeper.take_object(object("a", 0, 3, true));
    keeper.take_object(object("b", 0, 2, false));
    assert!(keeper.cut());
    keeper.take_object(object("b", 1, 3, true));
    keeper.take_object(object("c", 0, 1, false));
    keeper.take_rows(rows(4));
    assert!(keeper.cut());
    filling.finish().unwrap().unwrap()
}

/// A file's number of rows, and the first and last of those that are meant, if not all are.
type Found = (u64, Option<Vec<(u64, u64)>>);

/// Finds the rows of some objects.
fn find(cache: &ObjectCache, origins: &[&str]) -> Option<Vec<Found>> {
    let filling = Filling::new(cache.open().unwrap());
    let mut keeper = filling.keeper(&Arc::new(Execution::default()));
    for origin in origins {
        let known = KnownObjects::find(&*filling, &Arc::from(*origin), &version("1"))?;
        keeper.take_known(&known);
    }
    let kept = filling.finish().unwrap().unwrap();
    let ranges = |file: &crate::lake::LakeFile| {
        let ranges = kept.ranges.get(&file.path)?.iter();
        Some(ranges.map(|it| (it.start, it.end)).collect())
    };
    let files = kept.files.iter();
    Some(files.map(|file| (file.stats.rows, ranges(file))).collect())
}

#[test]
fn an_object_in_two_segments_is_whole_or_unknown() {
    let folder = TempDir::new().unwrap();
    let cache = ObjectCache::new(folder.path(), 1 << 30);
    let first = fill(&cache);
    assert_eq!(first.files.len(), 2);
    assert!(first.ranges.is_empty());
    drop(first);
    let all = Some(vec![(5, None), (4, Some(vec![(0, 3)]))]);
    assert_eq!(find(&cache, &["a", "b"]), all);
    assert_eq!(find(&cache, &["b", "a"]), all);
    assert_eq!(find(&cache, &["a"]), Some(vec![(5, Some(vec![(0, 3)]))]));
    assert_eq!(find(&cache, &["c"]), None);
    assert_eq!(find(&cache, &["d"]), None);
    // Another reading of the same objects takes the place of the first, whole.
    drop(fill(&cache));
    assert_eq!(find(&cache, &["a", "b"]), all);
    let newest = segment::index_paths(cache.folder()).unwrap().pop().unwrap();
    fs::remove_file(newest.with_extension("parquet")).unwrap();
    assert_eq!(
        find(&cache, &["b"]),
        Some(vec![(5, Some(vec![(3, 5)])), (4, Some(vec![(0, 3)]))])
    );
}

#[test]
fn small_segments_are_packed_with_all_their_objects() {
    let folder = TempDir::new().unwrap();
    let cache = ObjectCache::new(folder.path(), 1 << 30);
    for _ in 0..20 {
        drop(fill(&cache));
    }
    drop(cache.open().unwrap());
    assert!(segment::index_paths(cache.folder()).unwrap().len() < 32);
    let found = find(&cache, &["a", "b"]).unwrap();
    let count = |(rows, ranges): &Found| match ranges {
        Some(ranges) => ranges.iter().map(|it| it.1 - it.0).sum(),
        None => *rows,
    };
    assert_eq!(found.iter().map(count).sum::<u64>(), 8);
    assert_eq!(find(&cache, &["c"]), None);
}

#[test]
fn nothing_is_removed_while_somebody_uses_it() {
    let folder = TempDir::new().unwrap();
    let cache = ObjectCache::new(folder.path(), 1);
    let roomy = ObjectCache::new(folder.path(), 1 << 30);
    let used = fill(&roomy);
    drop(cache.open().unwrap());
    assert!(
        used.files
            .iter()
            .all(|file| used.folder().join(&file.path).exists())
    );
    drop(used);
    drop(cache.open().unwrap());
    assert!(segment::index_paths(cache.folder()).unwrap().is_empty());
    assert_eq!(
        Filling::new(cache.open().unwrap())
            .finish()
            .unwrap()
            .unwrap()
            .files
            .len(),
        0
    );
    // One that is too small keeps nothing.
    let filling = Filling::new(cache.open().unwrap());
    let mut keeper = filling.keeper(&Arc::new(Execution::default()));
    keeper.take_rows(rows(2));
    keeper.take_object(object("a", 0, 2, true));
    assert!(!keeper.cut());
    assert!(filling.finish().unwrap().is_none());
    assert_eq!(fs::read_dir(cache.folder()).unwrap().count(), 1);
}
