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

/// What is run for one question.
struct Group {
    name: &'static str,
    lines: Vec<Line>,
}

/// One of the tools, and what it took at best.
struct Line {
    tool: Tool,
    command: Command,
    best: Option<Run>,
}

impl Bench {
    /// Looks which tools are there.
    fn new(runs: usize, threads: usize) -> Self {
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
        bench
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
        self.speed(&trail)?;
        let sizes = arguments.memory.iter();
        let trails: Result<Vec<Trail>, String> = sizes.map(|&size| Trail::of(size)).collect();
        self.memory(&trails?)
    }

    /// The table of times. All lines are run once before any is run again, so that a bad minute of
    /// the machine is everybody's.
    fn speed(&self, trail: &Trail) -> Result<(), String> {
        let mut groups = vec![Group {
            name: "only inflating",
            lines: vec![Line {
                tool: Tool::Inflate,
                command: self.inflating(trail),
                best: None,
            }],
        }];
        groups.extend(
            questions()
                .iter()
                .map(|question| self.group(question, trail)),
        );
        for _ in 0..self.runs {
            for group in &mut groups {
                for line in &mut group.lines {
                    let run = measure::run(&mut line.command, &self.complaints);
                    let run = run.map_err(|error| group.name.to_owned() + ": " + &error)?;
                    line.best = Some(match &line.best {
                        Some(best) => run.better(best),
                        None => run,
                    });
                }
            }
        }
        println!("{HEAD}");
        let inflate = groups[0].lines[0].best.clone().unwrap_or_default();
        for group in &groups {
            group.check()?;
            group.print(trail, &inflate);
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
            Some(Line {
                tool,
                command: question.command(tool, trail, self.threads, self.python.as_ref())?,
                best: None,
            })
        };
        Group {
            name: question.name,
            lines: self.tools.iter().filter_map(line).collect(),
        }
    }

    /// The table of peaks: a column for each size.
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
                for mut line in group.lines {
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

impl Group {
    /// Whether all tools gave the same rows.
    fn check(&self) -> Result<(), String> {
        let answer = |line: &Line| {
            let csv = line.best.as_ref().map_or("", |run| &run.output);
            rows(csv, line.tool == Tool::Ours).join("\n")
        };
        let answers: Vec<String> = self.lines.iter().map(answer).collect();
        for (line, other) in self.lines.iter().zip(&answers).skip(1) {
            if *other != answers[0] {
                let (name, tool) = (self.name, line.tool.name());
                let far = other.bytes().zip(answers[0].bytes());
                let same = far.take_while(|(one, other)| one == other).count();
                return Err(format!(
                    "{name}: {tool} answers otherwise than {} from byte {same} on",
                    Tool::Ours.name(),
                ));
            }
        }
        Ok(())
    }

    fn print(&self, trail: &Trail, inflate: &Run) {
        let ours = self.lines.first().and_then(|line| line.best.as_ref());
        for line in &self.lines {
            let Some(run) = &line.best else { continue };
            let ratio = |to: &Run| format!("{:.2}", run.wall.as_secs_f64() / to.wall.as_secs_f64());
            println!(
                "| {:<35} | {:<11} | {:>6.3} | {:>5.2} | {:>5.0} | {:>5} | {:>8} | {:>6} |",
                self.name,
                line.tool.name(),
                run.wall.as_secs_f64(),
                run.cpu.as_secs_f64(),
                megabytes(trail.bytes) / run.wall.as_secs_f64(),
                run.peak_bytes >> 20,
                ratio(inflate),
                ours.map_or_else(String::new, ratio),
            );
        }
    }
}

/// `/inflate` and `/ours`: how many times as long as only inflating, and as our answer.
const HEAD: &str = "\
| question                            | tool        | wall s | CPU s |  MB/s |   MiB | /inflate |  /ours |
| ---                                 | ---         |    --: |   --: |   --: |   --: |      --: |    --: |";

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
