//! Times what packing small files costs, and what questions cost before and after.
//!
//! ```text
//! cargo bench --bench upkeep -- --events 2000000 --days 365 --rows 228
//! ```
//!
//! makes a lake of made-up events in files of `--rows` events (by default a year of files of an hour each),
//! asks five questions, packs the files, deletes those that were packed, and asks again. All numbers are of
//! whole processes, questions are the best of `--runs`; everything is in the page cache. The last column is
//! the time after as a part of the time before. It fails if an answer differs, if the packed lake is not
//! whole, or if compaction took more memory than `--most-memory`.
//!
//! On two cores of an Intel Xeon, with nothing else at work, `--memory 256M`: 8,924 files (1.1 GiB) became 365 (303 MiB)
//! in 52 s, 94 s of CPU.
//!
//! | question | before, s | MiB | after, s | MiB | after / before |
//! | --- | --: | --: | --: | --: | --: |
//! | count | 0.283 | 132 | 0.150 | 109 | 0.53 |
//! | calls by name | 3.278 | 319 | 0.380 | 171 | 0.12 |
//! | denied calls by actor | 5.376 | 361 | 0.409 | 193 | 0.08 |
//! | one event | 5.202 | 353 | 0.376 | 169 | 0.07 |
//! | the last twenty | 0.431 | 238 | 0.155 | 118 | 0.36 |
//!
//! `--days 1` makes one day of all events, which do not fit in memory and are sorted on disk.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::Parser;

#[path = "query/measure.rs"]
mod measure;

use measure::Run;

/// Times packing of small files, and questions before and after
#[derive(Parser)]
struct Arguments {
    /// Events of the lake
    #[arg(long, default_value_t = 2_000_000)]
    events: u64,

    /// Days over which they are spread
    #[arg(long, default_value_t = 365)]
    days: u32,

    /// Most events of a file before packing
    #[arg(long, default_value_t = 228)]
    rows: u64,

    /// Memory that compaction may use for events
    #[arg(long, default_value = "256M")]
    memory: String,

    /// Size of a packed file
    #[arg(long, default_value = "256MB")]
    target_size: String,

    /// Most MiB that the process may take in all
    #[arg(long, default_value_t = 1024)]
    most_memory: u64,

    /// Runs of each question, of which the best counts
    #[arg(long, default_value_t = 3)]
    runs: usize,

    /// Flag that cargo passes
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

const QUESTIONS: [(&str, &str); 5] = [
    ("count", "SELECT count(*) FROM events"),
    (
        "calls by name",
        "SELECT eventName, count(*) FROM events GROUP BY 1 ORDER BY 2 DESC, 1",
    ),
    (
        "denied calls by actor",
        "SELECT actor, count(*) FROM events WHERE is_denied GROUP BY 1 ORDER BY 2 DESC, 1",
    ),
    (
        "one event",
        "SELECT eventName, eventTime FROM events WHERE eventID = 'ID'",
    ),
    (
        "the last twenty",
        "SELECT eventTime, eventID FROM events ORDER BY eventTime DESC, eventID LIMIT 20",
    ),
];

fn run(arguments: &Arguments) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let bench = Bench {
        lake: folder.path().join("lake"),
        complaints: folder.path().join("stderr.txt"),
        runs: arguments.runs.max(1),
    };
    let made = bench.make(arguments)?;
    let files = bench.files();
    println!(
        "{} events, {files} files, made in {:.0} s\n",
        arguments.events,
        made.wall.as_secs_f64()
    );
    let middle = "SELECT eventID FROM events ORDER BY eventTime, eventID LIMIT 1 OFFSET 1000";
    let id = bench.ask(middle)?.output;
    let id = id.lines().nth(1).ok_or("the lake is empty")?.to_owned();
    let before = bench.ask_all(&id)?;
    let size = ["--target-size", &arguments.target_size];
    let memory = ["--memory", &arguments.memory];
    let packed = bench.command("compact", &[size, memory].concat())?;
    let vacuum = bench.command("vacuum", &["--retain", "0h"])?;
    let verified = bench.output(&["lake", "verify", &bench.lake.to_string_lossy()])?;
    println!("{}{}{}", packed.output, vacuum.output, verified.output);
    println!(
        "compact: {:.1} s, {:.1} s of CPU, {} MiB at most; {} files are {}\n",
        packed.wall.as_secs_f64(),
        packed.cpu.as_secs_f64(),
        packed.peak_bytes >> 20,
        files,
        bench.files()
    );
    bench.report(&before, &bench.ask_all(&id)?)?;
    match packed.peak_bytes >> 20 {
        peak if peak > arguments.most_memory => Err(format!("compaction took {peak} MiB")),
        _ => Ok(()),
    }
}

struct Bench {
    lake: PathBuf,
    complaints: PathBuf,
    runs: usize,
}

impl Bench {
    fn make(&self, arguments: &Arguments) -> Result<Run, String> {
        let source = format!(
            "sample:?events={}&days={}&duplicates=0",
            arguments.events, arguments.days
        );
        let rows = arguments.rows.to_string();
        let flags = ["--keep", "all", "--max-rows", &rows, "--memory", "256M"];
        let lake = self.lake.to_string_lossy();
        let ingest = ["ingest", &source, "--to", &lake];
        self.output(&[&ingest[..], &flags].concat())
    }

    fn command(&self, name: &str, flags: &[&str]) -> Result<Run, String> {
        let lake = self.lake.to_string_lossy();
        self.output(&[&[name, &lake], flags].concat())
    }

    fn ask(&self, sql: &str) -> Result<Run, String> {
        let lake = self.lake.to_string_lossy();
        self.output(&["query", "--format", "csv", sql, &lake])
    }

    fn ask_all(&self, id: &str) -> Result<Vec<Run>, String> {
        let best = |sql: &str| -> Result<Run, String> {
            let sql = sql.replace("ID'", &format!("{id}'"));
            let mut best = self.ask(&sql)?;
            for _ in 1..self.runs {
                best = self.ask(&sql)?.better(&best);
            }
            Ok(best)
        };
        QUESTIONS.iter().map(|(_, sql)| best(sql)).collect()
    }

    fn output(&self, arguments: &[&str]) -> Result<Run, String> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_auroratrail"));
        measure::run(command.args(arguments), &self.complaints)
    }

    /// Returns the number of data files in the folder.
    fn files(&self) -> usize {
        let folders = entries(&self.lake).into_iter();
        let days = folders.filter(|it| it.to_string_lossy().contains("dt="));
        days.map(|day| entries(&day).len()).sum()
    }

    fn report(&self, before: &[Run], after: &[Run]) -> Result<(), String> {
        println!("| question | before, s | MiB | after, s | MiB | after / before |");
        println!("| --- | --: | --: | --: | --: | --: |");
        for ((name, _), (before, after)) in QUESTIONS.iter().zip(before.iter().zip(after)) {
            let (was, is) = (before.wall.as_secs_f64(), after.wall.as_secs_f64());
            println!(
                "| {name} | {was:.3} | {} | {is:.3} | {} | {:.2} |",
                before.peak_bytes >> 20,
                after.peak_bytes >> 20,
                is / was
            );
            if before.output != after.output {
                return Err(format!("{name} has another answer after packing"));
            }
        }
        Ok(())
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|it| Some(it.ok()?.path())).collect()
}
