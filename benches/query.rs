//! Times whole processes: a query over trail files, compared with decompression alone, with DuckDB
//! and with ClickHouse.
//!
//! ```text
//! cargo bench --bench query -- --runs 10 --memory 100,500,2000
//! ```
//!
//! creates the files once, in the system's folder for temporary files; prints how to install the
//! other tools if they are missing and continues without them; fails if two tools return different
//! answers. Everything is in the page cache, every tool has as many threads as there are cores, and
//! times are of whole processes: the line "only starting" shows the share of Python and the module.
//! Results on two cores of an AMD EPYC, with DuckDB 2.0.0 and ClickHouse 26.9.2 (chdb 4.4.0), for
//! 274,214 events in 549 files of 59 MB, 499 MB decompressed. With other work on the machine single
//! runs took up to twice as long; CPU ratios moved by a tenth.
//!
//! | question                            | tool        | wall s | CPU s |  MB/s |   MiB | wall/infl | CPU/infl | wall/ours |
//! | ---                                 | ---         |    --: |   --: |   --: |   --: |        --: |      --: |       --: |
//! | only inflating                      | libdeflate  |  0.096 |  0.17 |  5223 |     5 |       1.00 |      1.0 |      1.00 |
//! | only starting: SELECT 1             | auroratrail |  0.008 |  0.00 | 66529 |    51 |       0.08 |      0.0 |      1.00 |
//! | only starting: SELECT 1             | DuckDB      |  0.091 |  0.08 |  5497 |    64 |       0.95 |      0.5 |     12.10 |
//! | only starting: SELECT 1             | ClickHouse  |  0.151 |  0.14 |  3302 |   226 |       1.58 |      0.8 |     20.15 |
//! | events by user name (one column)    | auroratrail |  0.232 |  0.44 |  2152 |   118 |       2.43 |      2.6 |      1.00 |
//! | events by user name (one column)    | DuckDB      |  0.721 |  1.32 |   692 |    91 |       7.55 |      7.8 |      3.11 |
//! | events by user name (one column)    | ClickHouse  |  0.401 |  0.63 |  1245 |   252 |       4.20 |      3.7 |      1.73 |
//! | who deleted clusters: a rare event  | auroratrail |  0.213 |  0.39 |  2341 |   119 |       2.23 |      2.3 |      1.00 |
//! | who deleted clusters: a rare event  | DuckDB      |  0.869 |  1.54 |   574 |   860 |       9.10 |      9.1 |      4.08 |
//! | who deleted clusters: a rare event  | ClickHouse  |  0.417 |  0.65 |  1196 |   257 |       4.37 |      3.8 |      1.96 |
//! | count of every leaf that is text    | auroratrail |  0.442 |  0.80 |  1130 |   162 |       4.62 |      4.7 |      1.00 |
//! | count of every leaf that is text    | DuckDB      |  1.298 |  2.41 |   384 |   130 |      13.59 |     14.2 |      2.94 |
//! | count of every column               | auroratrail |  0.928 |  1.68 |   538 |   216 |       9.71 |      9.9 |      1.00 |
//!
//! | peak MiB, by MB inflated            |             |   100 |   499 |  1998 |
//! | --- | --- | --: | --: | --: |
//! | events by user name (one column)    | auroratrail |    81 |   117 |   128 |
//! | events by user name (one column)    | DuckDB      |    90 |    91 |    94 |
//! | events by user name (one column)    | ClickHouse  |   241 |   240 |   245 |
//! | who deleted clusters: a rare event  | auroratrail |    79 |   118 |   133 |
//! | who deleted clusters: a rare event  | DuckDB      |   237 |   857 |  3029 |
//! | who deleted clusters: a rare event  | ClickHouse  |   242 |   241 |   242 |
//! | count of every leaf that is text    | auroratrail |   110 |   145 |   178 |
//! | count of every leaf that is text    | DuckDB      |   126 |   129 |   129 |
//! | count of every column               | auroratrail |   139 |   198 |   216 |
//!
//! Three more lines a question are ours: with `--cache` and nothing in it, with `--cache` after that, and over a
//! lake of the same events, each of them once. Of another run, on a machine whose inflating took 0.155 s:
//!
//! | question                            | tool        | wall s | CPU s |   MiB | wall/ours |
//! | ---                                 | ---         |    --: |   --: |   --: |       --: |
//! | events by user name (one column)    | auroratrail |  0.453 |  0.85 |   125 |      1.00 |
//! | events by user name (one column)    | first cache |  3.930 |  7.66 |   347 |      8.68 |
//! | events by user name (one column)    | from cache  |  0.064 |  0.07 |    93 |      0.14 |
//! | events by user name (one column)    | from lake   |  0.105 |  0.13 |   120 |      0.23 |
//! | who deleted clusters: a rare event  | from cache  |  0.072 |  0.08 |   103 |      0.19 |
//! | count of every leaf that is text    | from cache  |  0.705 |  1.19 |   183 |      0.88 |
//! | count of every column               | from cache  |  5.822 | 10.89 |   325 |      2.04 |
//!
//! The other tools run the fastest variant that was tried: DuckDB with `json_transform` (its
//! `read_json` with the same structure as columns took about ten times the CPU), ClickHouse with
//! `JSONExtract` out of a blob (`JSONEachRow` with a tuple took a fifth more).

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use clap::Parser;

#[path = "query/groups.rs"]
mod groups;
#[path = "query/measure.rs"]
mod measure;
#[path = "query/questions.rs"]
mod questions;
#[path = "query/tools.rs"]
mod tools;
#[path = "query/trail.rs"]
mod trail;

use groups::{Group, Line};
use measure::Run;
use questions::{Question, questions};
use tools::{Python, Tool};
use trail::Trail;

/// Times queries over trail files as whole processes
#[derive(Parser)]
struct Arguments {
    /// Size of the queried files, MB when decompressed
    #[arg(long, default_value_t = 500)]
    size: u64,

    /// Sizes at which memory is measured, MB when decompressed; 2000 is worth it
    #[arg(long, value_delimiter = ',', default_value = "100,500")]
    memory: Vec<u64>,

    /// Runs, of which the best counts
    #[arg(long, default_value_t = 5)]
    runs: usize,

    /// Threads of every tool; by default one for each core
    #[arg(long)]
    threads: Option<usize>,

    /// Only decompress the files of this folder (the bench runs itself with this flag)
    #[arg(long, hide = true)]
    inflate: Option<PathBuf>,

    /// Flag that cargo passes
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let threads = arguments
        .threads
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(2, usize::from));
    if let Some(folder) = &arguments.inflate {
        println!("{}", trail::inflate(folder, threads));
        return ExitCode::SUCCESS;
    }
    match Bench::new(arguments.runs, threads).all(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

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
            runs: runs.max(1),
            threads,
            tools: tools::installed(python.as_ref()),
            python,
            complaints: std::env::temp_dir().join("auroratrail-bench-stderr.txt"),
        }
    }

    fn all(&self, arguments: &Arguments) -> Result<(), String> {
        let trail = Trail::of(arguments.size)?;
        println!(
            "\n{} events in {} files of {:.1} MB, {:.1} MB inflated, in the page cache; \
             {} threads; best of {}\n",
            trail.events,
            trail.files,
            megabytes(trail.stored_bytes),
            megabytes(trail.bytes),
            self.threads,
            self.runs,
        );
        trail.make_lake(self.threads)?;
        self.speed(&trail)?;
        let sizes = arguments.memory.iter();
        let trails: Result<Vec<Trail>, String> = sizes.map(|&size| Trail::of(size)).collect();
        self.memory(&trails?)
    }

    /// Prints the table of times.
    fn speed(&self, trail: &Trail) -> Result<(), String> {
        let mut groups = vec![Group {
            name: "only inflating",
            lines: vec![Line::new(Tool::Inflate, self.inflating(trail))],
        }];
        groups.extend(
            questions()
                .iter()
                .map(|question| self.group(question, trail)),
        );
        groups::measure(&mut groups, self.runs, &self.complaints)?;
        println!("{HEAD}");
        let inflate = groups[0].lines[0].best.clone().unwrap_or_default();
        for group in &groups {
            group.check()?;
            print(group, trail, &inflate);
        }
        Ok(())
    }

    fn inflating(&self, trail: &Trail) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap_or_default());
        command.arg("--inflate").arg(&trail.folder);
        command.args(["--threads", &self.threads.to_string()]);
        command
    }

    fn group(&self, question: &Question, trail: &Trail) -> Group {
        let line = |&tool: &Tool| {
            let command = question.command(tool, trail, self.threads, self.python.as_ref())?;
            let mut line = Line::new(tool, command);
            line.makes = (tool == Tool::FirstCached).then(|| trail.cache(true));
            Some(line)
        };
        Group {
            name: question.name,
            lines: self.tools.iter().filter_map(line).collect(),
        }
    }

    /// Prints the table of memory peaks, with a column for each size.
    fn memory(&self, trails: &[Trail]) -> Result<(), String> {
        if trails.is_empty() {
            return Ok(());
        }
        print!("\n| {:<35} | {:<11} |", "peak MiB, by MB inflated", "");
        for trail in trails {
            print!(" {:>5.0} |", megabytes(trail.bytes));
        }
        println!("\n| --- | --- |{}", " --: |".repeat(trails.len()));
        let mut rows: Vec<(&str, Tool, String)> = Vec::new();
        for trail in trails {
            for group in questions()
                .iter()
                .map(|question| self.group(question, trail))
            {
                let lines = group.lines.into_iter();
                for mut line in lines.filter(|line| line.tool != Tool::Lake) {
                    line.clear()?;
                    let run = measure::run(&mut line.command, &self.complaints)?;
                    let peak = format!(" {:>5} |", run.peak_bytes >> 20);
                    let same =
                        |row: &&mut (&str, Tool, String)| (row.0, row.1) == (group.name, line.tool);
                    match rows.iter_mut().find(same) {
                        Some(row) => row.2.push_str(&peak),
                        None => rows.push((group.name, line.tool, peak)),
                    }
                }
            }
        }
        for (name, tool, peaks) in rows {
            println!("| {name:<35} | {:<11} |{peaks}", tool.name());
        }
        Ok(())
    }
}

/// Prints a group's lines of the table.
fn print(group: &Group, trail: &Trail, inflate: &Run) {
    let ours = group.lines.first().and_then(|line| line.best.as_ref());
    for line in &group.lines {
        let Some(run) = &line.best else { continue };
        let wall = |to: &Run| run.wall.as_secs_f64() / to.wall.as_secs_f64();
        let cpu = |to: &Run| run.cpu.as_secs_f64() / to.cpu.as_secs_f64();
        println!(
            "| {:<35} | {:<11} | {:>6.3} | {:>5.2} | {:>5.0} | {:>5} | {:>9.2} | {:>8.1} | {:>9.2} |",
            group.name,
            line.tool.name(),
            run.wall.as_secs_f64(),
            run.cpu.as_secs_f64(),
            megabytes(trail.bytes) / run.wall.as_secs_f64(),
            run.peak_bytes >> 20,
            wall(inflate),
            cpu(inflate),
            ours.map_or(1.0, wall),
        );
    }
}

/// Formats a measurement as multiples of decompression alone and of our time. CPU time has steps of
/// 10 ms, but other work on the machine hardly affects its ratio.
const HEAD: &str = "\
| question                            | tool        | wall s | CPU s |  MB/s |   MiB | wall/infl | CPU/infl | wall/ours |
| ---                                 | ---         |    --: |   --: |   --: |   --: |       --: |      --: |       --: |";

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
