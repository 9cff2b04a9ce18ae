//! Times the lake: what it costs to keep trail files as Parquet, and to ask over them, compared with
//! DuckDB and with ClickHouse.
//!
//! ```text
//! cargo bench --bench lake -- --runs 5 --size 500
//! ```
//!
//! uses the files of the bench `query` (created once, in the system's folder for temporary files),
//! writes what each tool makes of them beside them, and removes it at the end, but for the lake. It
//! prints how to install the other tools if they are missing and continues without them; it fails if
//! events are missing in what a tool wrote, if a record that comes back from the lake is not equal to the
//! original as JSON, or if two tools return different answers (`--size 2000` has a million events). Everything is in
//! the page cache, every tool has as many threads as there are cores, and all numbers are of whole
//! processes, as in the bench `query`.
//!
//! The first table is of writing:
//!
//! - `query of every column` reads and decodes all that is stored and writes nothing. `CPU/query` is the
//!   CPU time of each line as a multiple of it; that of the lake should be at most 2.5.
//! - `lake of every column` is `auroratrail ingest --keep all`: duplicates are left out, the record's
//!   fields, their leaves and the derived columns are stored with bloom filters, and it is committed.
//! - `record's fields as Parquet` is the most that DuckDB and ClickHouse both write in one statement of
//!   a sensible length: fields as text, time, boolean or JSON, in a folder for each day, zstd level 1.
//! - `fields and leaves as Parquet`: DuckDB can take the leaves out of these fields too. ClickHouse takes a field apart
//!   again for each of its some 800 leaves, 400 s for 500 MB, so it has no such line.
//!
//! The second table is of questions about the lake; the others read its Parquet files, DuckDB with
//! `union_by_name`, as a file has only the columns that occur in it, ClickHouse with the types of the
//! columns that it needs. `less start` is without the time that the tool takes for `SELECT 1`, most of
//! which is Python's. The last two columns are our time as a multiple of that of the faster of the
//! others, with and without the start; they should be at most 1. Starts vary by some milliseconds, so
//! the last counts less than five as five, and needs several runs on a quiet machine.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

#[path = "lake/asking.rs"]
mod asking;
#[path = "query/groups.rs"]
mod groups;
#[path = "query/measure.rs"]
mod measure;
#[path = "query/tools.rs"]
#[expect(dead_code, reason = "only the bench `query` inflates")]
mod tools;
#[path = "query/trail.rs"]
#[expect(dead_code, reason = "only the bench `query` inflates")]
mod trail;
#[path = "lake/writing.rs"]
mod writing;

use asking::{LakeFacts, questions};
use groups::{Group, Line};
use measure::Run;
use tools::{Python, Tool};
use trail::Trail;
use writing::writings;

/// Times writing a lake and queries over it as whole processes
#[derive(Parser)]
struct Arguments {
    /// Size of the files, MB when decompressed
    #[arg(long, default_value_t = 500)]
    size: u64,

    /// Runs, of which the best counts
    #[arg(long, default_value_t = 5)]
    runs: usize,

    /// Threads of every tool; by default one for each core
    #[arg(long)]
    threads: Option<usize>,

    /// Flag that cargo passes
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let cores = || std::thread::available_parallelism().map_or(2, usize::from);
    let bench = Bench::new(
        arguments.runs.max(1),
        arguments.threads.unwrap_or_else(cores),
    );
    match bench.all(arguments.size) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// What all measurements have in common.
struct Bench {
    runs: usize,
    threads: usize,
    python: Option<Python>,
    tools: Vec<Tool>,
    complaints: PathBuf,
}

impl Bench {
    /// Finds the installed tools.
    fn new(runs: usize, threads: usize) -> Self {
        let python = Python::find();
        Self {
            runs,
            threads,
            tools: tools::installed(python.as_ref()),
            python,
            complaints: std::env::temp_dir().join("auroratrail-bench-lake-stderr.txt"),
        }
    }

    fn all(&self, size: u64) -> Result<(), String> {
        let trail = Trail::of(size)?;
        println!(
            "\n{} events in {} files of {:.1} MB, {:.1} MB inflated, in the page cache; \
             {} threads; best of {}\n",
            trail.events,
            trail.files,
            trail.stored_bytes as f64 / 1e6,
            trail.bytes as f64 / 1e6,
            self.threads,
            self.runs,
        );
        let mut writings = writings(self, &trail);
        let written = groups::measure(&mut writings, self.runs, &self.complaints)
            .and_then(|()| writing::report(self, &trail, &writings));
        let lake = writing::folder(&trail, "lake");
        let asked = written.and_then(|()| self.ask(&lake));
        writing::clear(&writings, &lake).and(asked)
    }

    fn ask(&self, lake: &Path) -> Result<(), String> {
        let facts = LakeFacts::of(self, lake)?;
        let of = |question| asking::group(self, lake, question);
        let mut groups: Vec<Group> = questions(&facts).iter().map(of).collect();
        groups::measure(&mut groups, self.runs, &self.complaints)?;
        asking::report(&groups)
    }

    /// Runs a command that is not measured, and returns its output.
    fn output(&self, mut line: Line) -> Result<String, String> {
        Ok(measure::run(&mut line.command, &self.complaints)?.output)
    }

    /// Returns the line of another tool, if it is installed.
    fn other(&self, tool: Tool, sql: &str) -> Option<Line> {
        let python = self.python.as_ref().filter(|_| self.tools.contains(&tool));
        let command = python?.command(tool, self.threads, sql);
        Some(Line::new(tool, command))
    }
}

/// Returns wall time, CPU time and peak memory as cells.
fn cells(run: &Run) -> String {
    format!(
        "{:>7.3} | {:>6.2} | {:>5}",
        run.wall.as_secs_f64(),
        run.cpu.as_secs_f64(),
        run.peak_bytes >> 20
    )
}
