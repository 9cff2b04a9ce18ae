//! Whole processes: a query over trail files, beside only inflating them, and beside DuckDB and
//! ClickHouse.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use clap::Parser;

#[path = "query/measure.rs"]
mod measure;
#[path = "query/questions.rs"]
mod questions;
#[path = "query/trail.rs"]
mod trail;

use measure::Run;
use questions::{Python, Question, Tool, questions, rows};
use trail::Trail;

/// Times queries over trail files as whole processes
#[derive(Parser)]
struct Arguments {
    /// Size of what is queried, MB when inflated
    #[arg(long, default_value_t = 500)]
    size: u64,

    /// Sizes at which memory is looked at, MB when inflated; 2000 is worth it
    #[arg(long, value_delimiter = ',', default_value = "100,500")]
    memory: Vec<u64>,

    /// Runs, of which the best counts
    #[arg(long, default_value_t = 5)]
    runs: usize,

    /// Threads of every tool; by default one for each core
    #[arg(long)]
    threads: Option<usize>,

    /// Only inflate what is in this folder (the bench runs itself so)
    #[arg(long, hide = true)]
    inflate: Option<PathBuf>,

    /// What cargo passes
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
    match Bench::new(arguments.runs, threads).and_then(|bench| bench.all(&arguments)) {
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

/// One line of the table: what is run, how, and what it took.
struct Line {
    what: String,
    tool: Option<Tool>,
    command: Command,
    best: Option<Run>,
}

impl Bench {
    /// Looks which tools are there.
    fn new(runs: usize, threads: usize) -> Result<Self, String> {
        let mut bench = Self {
            runs: runs.max(1),
            threads,
            python: Python::find(),
            tools: vec![Tool::Ours],
            complaints: std::env::temp_dir().join("auroratrail-bench-stderr.txt"),
        };
        for tool in [Tool::DuckDb, Tool::ClickHouse] {
            let version = match &bench.python {
                Some(python) => python.version(tool),
                None => Err("there is no Python for it".to_owned()),
            };
            match version {
                Ok(version) => {
                    println!("with {version}");
                    bench.tools.push(tool);
                }
                Err(why) => println!("without {}: {why}", tool.name()),
            }
        }
        if bench.tools.len() < 3 {
            let folder = Python::folder();
            let folder = folder.display();
            println!(
                "to compare with all: python3 -m venv {folder} && \
                 {folder}/bin/pip install duckdb==2.0.0 chdb==4.4.0"
            );
        }
        Ok(bench)
    }

    fn all(&self, arguments: &Arguments) -> Result<(), String> {
        let trail = Trail::of(arguments.size)?;
        println!(
            "\n{} events in {} files of {:.1} MB, {:.1} MB inflated; {} threads; \
             best of {}, files in the page cache\n",
            trail.events,
            trail.files,
            megabytes(trail.stored_bytes),
            megabytes(trail.bytes),
            self.threads,
            self.runs,
        );
        self.speed(&trail)?;
        let sizes = arguments.memory.iter();
        let trails: Result<Vec<Trail>, String> = sizes.map(|&size| Trail::of(size)).collect();
        self.memory(&trails?)
    }

    /// The table of times. All lines are run once before any is run again, so that a bad minute of
    /// the machine is everybody's.
    fn speed(&self, trail: &Trail) -> Result<(), String> {
        let mut groups = vec![("", self.floor(trail))];
        for question in &questions() {
            groups.push((question.name, self.lines(question, trail)));
        }
        for _ in 0..self.runs {
            for line in groups.iter_mut().flat_map(|(_, lines)| lines) {
                let run = measure::run(&mut line.command, &self.complaints)
                    .map_err(|error| format!("{}: {error}", line.what))?;
                line.best = Some(match &line.best {
                    Some(best) => run.better(best),
                    None => run,
                });
            }
        }
        println!(
            "| {:<42} | {:>6} | {:>6} | {:>6} | {:>6} | {:>8} | {:>8} |",
            "", "wall s", "CPU s", "MB/s", "MiB", "/inflate", "/ours"
        );
        println!("| --- | --: | --: | --: | --: | --: | --: |");
        let inflate = groups[0].1[0].best.clone().unwrap_or_default();
        for (question, lines) in &groups {
            same_answers(question, lines)?;
            for line in lines {
                print_line(line, lines, trail, &inflate);
            }
        }
        Ok(())
    }

    /// What nothing can be faster than, and how long a process takes that has nothing to do.
    fn floor(&self, trail: &Trail) -> Vec<Line> {
        let nothing = questions::ours("SELECT 1", "sample:?events=1".as_ref(), self.threads);
        vec![
            Line {
                what: "only inflating (libdeflate)".to_owned(),
                tool: None,
                command: self.inflating(trail),
                best: None,
            },
            Line {
                what: "only starting (SELECT 1)".to_owned(),
                tool: None,
                command: nothing,
                best: None,
            },
        ]
    }

    fn inflating(&self, trail: &Trail) -> Command {
        let this = std::env::current_exe().unwrap_or_default();
        let mut command = Command::new(this);
        command.arg("--inflate").arg(&trail.folder);
        command.args(["--threads", &self.threads.to_string()]);
        command
    }

    fn lines(&self, question: &Question, trail: &Trail) -> Vec<Line> {
        let line = |&tool: &Tool| {
            let python = self.python.as_ref();
            Some(Line {
                what: format!("{}, {}", question.name, tool.name()),
                tool: Some(tool),
                command: question.command(tool, trail, self.threads, python)?,
                best: None,
            })
        };
        self.tools.iter().filter_map(line).collect()
    }

    /// The table of peaks: a column for each size, of all of which the largest run counts.
    fn memory(&self, trails: &[Trail]) -> Result<(), String> {
        if trails.is_empty() {
            return Ok(());
        }
        print!("\n| {:<42} |", "peak MiB at MB inflated");
        trails
            .iter()
            .for_each(|trail| print!(" {:>6.0} |", megabytes(trail.bytes)));
        println!("\n| --- |{}", " --: |".repeat(trails.len()));
        for question in &questions() {
            for &tool in &self.tools {
                let mut peaks = Vec::new();
                for trail in trails {
                    let python = self.python.as_ref();
                    let Some(mut command) = question.command(tool, trail, self.threads, python)
                    else {
                        continue;
                    };
                    let run = measure::run(&mut command, &self.complaints)?;
                    peaks.push(format!(" {:>6} |", run.peak_bytes >> 20));
                }
                if !peaks.is_empty() {
                    let what = format!("{}, {}", question.name, tool.name());
                    println!("| {what:<42} |{}", peaks.concat());
                }
            }
        }
        Ok(())
    }
}

fn same_answers(question: &str, lines: &[Line]) -> Result<(), String> {
    let answer = |line: &Line| {
        let csv = line.best.as_ref().map_or("", |run| &run.output).to_owned();
        let titled = line.tool == Some(Tool::Ours);
        rows(&csv, titled).join("\n")
    };
    let asked: Vec<&Line> = lines.iter().filter(|line| line.tool.is_some()).collect();
    match asked.split_first() {
        Some((first, others)) => {
            let wanted = answer(first);
            match others.iter().find(|other| answer(other) != wanted) {
                Some(other) => Err(format!(
                    "{question}: the answers differ\n{}:\n{wanted}\n{}:\n{}",
                    first.what,
                    other.what,
                    answer(other)
                )),
                None => Ok(()),
            }
        }
        None => Ok(()),
    }
}

fn print_line(line: &Line, group: &[Line], trail: &Trail, inflate: &Run) {
    let Some(run) = &line.best else { return };
    let ratio = |to: &Run| format!("{:.2}", run.wall.as_secs_f64() / to.wall.as_secs_f64());
    let ours = group.iter().find(|line| line.tool == Some(Tool::Ours));
    let ours = ours.and_then(|line| line.best.as_ref());
    println!(
        "| {:<42} | {:>6.3} | {:>6.2} | {:>6.0} | {:>6} | {:>8} | {:>8} |",
        line.what,
        run.wall.as_secs_f64(),
        run.cpu.as_secs_f64(),
        megabytes(trail.bytes) / run.wall.as_secs_f64(),
        run.peak_bytes >> 20,
        ratio(inflate),
        ours.map_or_else(String::new, ratio),
    );
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
