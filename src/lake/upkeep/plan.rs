//! Which files become one.

use std::collections::BTreeMap;

use crate::lake::layout::Partition;
use crate::lake::{LakeFile, StatsValue};

/// Files of a partition that become one.
#[derive(Clone, Debug, PartialEq)]
pub struct Bin {
    /// The partition.
    pub partition: Partition,
    /// The files, at least two, by time.
    pub files: Vec<LakeFile>,
}

impl Bin {
    /// Returns the bytes of the files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size_bytes).sum()
    }
}

/// Packs the small files of each partition to about `target_bytes`; files of half of that and more stay
/// as they are, and so does a file that has no other to go with. No files that would be left after all
/// bins are packed gain anything, unless packing made them much smaller.
pub fn plan(files: &[LakeFile], target_bytes: u64) -> Vec<Bin> {
    let mut partitions: BTreeMap<&Partition, Vec<&LakeFile>> = BTreeMap::new();
    for file in files {
        if file.size_bytes < target_bytes.div_ceil(2) {
            partitions.entry(&file.partition).or_default().push(file);
        }
    }
    let bins = partitions.into_iter().flat_map(|(partition, mut files)| {
        // Neighbours in time: a file of a bin has the times that only it has.
        files.sort_by(|a, b| (first_time(a), &a.path).cmp(&(first_time(b), &b.path)));
        pack(&files, target_bytes)
            .into_iter()
            .filter(|files| files.len() > 1)
            .map(|files| Bin {
                partition: partition.clone(),
                files,
            })
            .collect::<Vec<_>>()
    });
    bins.collect()
}

fn pack(files: &[&LakeFile], target_bytes: u64) -> Vec<Vec<LakeFile>> {
    let mut bins: Vec<Vec<LakeFile>> = Vec::new();
    let mut bytes = 0;
    for &file in files {
        match bins.last_mut() {
            Some(bin) if bytes + file.size_bytes <= target_bytes => bin.push(file.clone()),
            _ => {
                bins.push(vec![file.clone()]);
                bytes = 0;
            }
        }
        bytes += file.size_bytes;
    }
    bins
}

/// Returns the time of the first event in microseconds since 1970 UTC; files without one come first.
fn first_time(file: &LakeFile) -> Option<i64> {
    match file.stats.columns.get("eventtime")?.range {
        Some((StatsValue::Micros(first), _)) => Some(first),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lake::{ColumnStats, FileStats};

    fn file(day: &str, at: i64, size_bytes: u64) -> LakeFile {
        let times = ColumnStats {
            nulls: 0,
            range: Some((StatsValue::Micros(at), StatsValue::Micros(at + 1))),
        };
        LakeFile {
            path: format!("dt={day}/{at}.parquet"),
            size_bytes,
            partition: vec![("dt".to_owned(), day.to_owned())],
            stats: FileStats {
                rows: 1,
                columns: BTreeMap::from([("eventtime".to_owned(), times)]),
            },
        }
    }

    fn names(bins: &[Bin]) -> Vec<Vec<&str>> {
        bins.iter()
            .map(|bin| bin.files.iter().map(|file| &*file.path).collect())
            .collect()
    }

    #[test]
    fn small_files_of_a_day_are_packed_by_time() {
        let files = [
            file("2", 5, 30),
            file("2", 1, 40),
            file("2", 9, 40),
            file("2", 3, 10),
            file("1", 4, 10),
            file("1", 2, 10),
        ];
        let bins = plan(&files, 100);
        assert_eq!(
            names(&bins),
            [
                vec!["dt=1/2.parquet", "dt=1/4.parquet"],
                vec!["dt=2/1.parquet", "dt=2/3.parquet", "dt=2/5.parquet"],
            ]
        );
        assert_eq!(bins[1].bytes(), 80);
    }

    #[test]
    fn what_gains_nothing_stays() {
        let large = file("1", 1, 50);
        let alone = file("1", 2, 10);
        assert_eq!(plan(&[large, alone], 100), []);
        assert_eq!(plan(&[file("1", 1, 10), file("2", 1, 10)], 100), []);
        assert_eq!(plan(&[], 100), []);
    }

    #[test]
    fn packing_ends() {
        let mut files: Vec<LakeFile> = (0..100).map(|at| file("1", at, 1 + at as u64)).collect();
        let mut rounds = 0;
        loop {
            let bins = plan(&files, 100);
            if bins.is_empty() {
                break;
            }
            for (number, bin) in bins.iter().enumerate() {
                assert!(bin.bytes() <= 100 && bin.files.len() > 1);
                files.retain(|file| !bin.files.contains(file));
                // The packed file is smaller than its parts.
                let at = 1000 * (rounds + 1) + number as i64;
                files.push(file("1", at, bin.bytes() * 2 / 3));
            }
            rounds += 1;
        }
        assert!(rounds < 10, "{rounds} rounds");
        assert!(files.iter().filter(|file| file.size_bytes < 50).count() <= 1);
    }
}
