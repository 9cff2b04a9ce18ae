//! The queried files, created once in the system's folder for temporary files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use auroratrail::sample::Sample;

/// A trail's folder.
#[derive(Clone, Debug)]
pub struct Trail {
    /// Folder of the trail files.
    pub folder: PathBuf,
    pub files: u64,
    pub events: u64,
    /// Size of the files in bytes.
    pub stored_bytes: u64,
    /// Size in bytes, decompressed.
    pub bytes: u64,
}

impl Trail {
    /// Finds or creates about `megabytes` of events, decompressed.
    pub fn of(megabytes: u64) -> Result<Self, String> {
        let home = std::env::temp_dir().join(format!("auroratrail-bench-{megabytes}"));
        let (folder, note) = (home.join("trail"), home.join("written.txt"));
        if let Some(trail) = fs::read_to_string(&note)
            .ok()
            .and_then(|n| read(&folder, &n))
        {
            return Ok(trail);
        }
        eprintln!(
            "writing {megabytes} MB of events to {}, once",
            home.display()
        );
        let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", home.display());
        if home.exists() {
            fs::remove_dir_all(&home).map_err(|error| failed(&error))?;
        }
        let sample = sample(megabytes)?;
        let written = sample
            .write_trail(&folder)
            .map_err(|error| failed(&error))?;
        let numbers = [
            written.files,
            sample.events(),
            written.stored_bytes,
            written.bytes,
        ];
        // Written last, so that an incomplete folder is created again.
        fs::write(&note, numbers.map(|number| number.to_string()).join(" "))
            .map_err(|error| failed(&error))?;
        Self::of(megabytes)
    }
}

impl Trail {
    /// The lake of the same events; see [`Trail::make_lake`].
    pub fn lake(&self) -> PathBuf {
        self.folder.with_file_name("lake")
    }

    /// The folder of a cache: one that is filled by each run, or one that only the first run fills.
    pub fn cache(&self, is_filled_each_time: bool) -> PathBuf {
        self.folder.with_file_name(match is_filled_each_time {
            true => "first-cache",
            false => "cache",
        })
    }

    /// Makes the lake, if it is not there.
    pub fn make_lake(&self, threads: usize) -> Result<(), String> {
        let lake = self.lake();
        if lake.join("_delta_log").exists() {
            return Ok(());
        }
        let mut command = super::tools::ours("ingest", threads);
        command.args(["--keep", "all", "--to"]).arg(&lake);
        let made = command.arg(&self.folder).output();
        match made.map(|it| it.status) {
            Ok(status) if status.success() => Ok(()),
            made => Err(format!("{}: {made:?}", lake.display())),
        }
    }
}

fn read(folder: &Path, note: &str) -> Option<Trail> {
    let numbers: Result<Vec<u64>, _> = note.split_whitespace().map(str::parse).collect();
    let [files, events, stored_bytes, bytes] = numbers.ok()?[..] else {
        return None;
    };
    Some(Trail {
        folder: folder.to_owned(),
        files,
        events,
        stored_bytes,
        bytes,
    })
}

fn sample(megabytes: u64) -> Result<Sample, String> {
    let sample = |events: u64| {
        Sample::parse(&format!("?events={events}&seed=7")).map_err(|error| error.to_string())
    };
    let few = sample(10_000)?;
    let bytes: usize = (0..few.documents())
        .map(|index| few.document(index).len())
        .sum();
    sample(megabytes * 1_000_000 * few.events() / bytes as u64)
}

/// Decompresses the files below `folder` with a number of threads, each with its own reused
/// buffers, the lower bound for any tool that reads these files. Returns the bytes.
pub fn inflate(folder: &Path, threads: usize) -> u64 {
    let mut files = Vec::new();
    list(folder, &mut files);
    let next = AtomicUsize::new(0);
    let work = || {
        let mut inflater = libdeflater::Decompressor::new();
        let (mut stored, mut buffer, mut total) = (Vec::new(), Vec::new(), 0);
        while let Some(path) = files.get(next.fetch_add(1, Relaxed)) {
            stored.clear();
            let mut file = fs::File::open(path).expect("it was listed");
            std::io::Read::read_to_end(&mut file, &mut stored).expect("it can be read");
            let size = stored.last_chunk::<4>().expect("gzip ends with the size");
            let size = u32::from_le_bytes(*size) as usize;
            if buffer.len() < size {
                buffer.resize(size, 0);
            }
            let inflated = inflater.gzip_decompress(&stored, &mut buffer[..size]);
            total += inflated.expect("it is gzip");
        }
        total as u64
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .sum()
    })
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder was written") {
        let path = entry.expect("it can be listed").path();
        match path.is_dir() {
            true => list(&path, files),
            false => files.push(path),
        }
    }
}
