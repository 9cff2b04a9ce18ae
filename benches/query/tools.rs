//! The tools that are compared: this one, and DuckDB and ClickHouse as Python modules.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A tool that answers questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// No tool: decompression, which every tool must do at least.
    Inflate,
    Ours,
    /// Ours with `--cache`, and nothing in it.
    FirstCached,
    /// Ours with `--cache`, after the first time.
    Cached,
    /// Ours over a lake of the same events.
    Lake,
    DuckDb,
    ClickHouse,
}

impl Tool {
    /// Returns whether it is a way to ask this tool.
    pub fn is_ours(self) -> bool {
        matches!(
            self,
            Tool::Ours | Tool::FirstCached | Tool::Cached | Tool::Lake
        )
    }

    pub fn name(self) -> &'static str {
        match self {
            Tool::Inflate => "libdeflate",
            Tool::Ours => "auroratrail",
            Tool::FirstCached => "first cache",
            Tool::Cached => "from cache",
            Tool::Lake => "from lake",
            Tool::DuckDb => "DuckDB",
            Tool::ClickHouse => "ClickHouse",
        }
    }
}

/// The Python that has DuckDB and chdb.
pub struct Python(PathBuf);

impl Python {
    /// Folder of that Python by default.
    pub fn folder() -> PathBuf {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
        cache
            .unwrap_or_else(|| home().join(".cache"))
            .join("auroratrail/venv-bench")
    }

    /// Finds the Python that has the tools.
    pub fn find() -> Option<Self> {
        let python = Self::folder().join("bin/python");
        python.exists().then_some(Self(python))
    }

    /// Builds the command that runs `query` in `tool`.
    pub fn command(&self, tool: Tool, threads: usize, query: &str) -> Command {
        let module = match tool {
            Tool::ClickHouse => "chdb",
            _ => "duckdb",
        };
        let mut command = Command::new(&self.0);
        command.args(["-c", include_str!("others.py"), module]);
        command.arg(threads.to_string()).arg(query);
        command
    }

    /// Returns the name and version of `tool`, or the reason that it is missing.
    pub fn version(&self, tool: Tool) -> Result<String, String> {
        let out = self.command(tool, 1, "check").output();
        let out = out.map_err(|error| format!("cannot run {}: {error}", self.0.display()))?;
        if !out.status.success() {
            let said = String::from_utf8_lossy(&out.stderr);
            return Err(said.lines().last().unwrap_or("it failed").to_owned());
        }
        Ok(String::from_utf8_lossy(&out.stdout)
            .trim()
            .replace(',', " "))
    }
}

/// Finds the installed tools, and prints how to install those that are missing.
pub fn installed(python: Option<&Python>) -> Vec<Tool> {
    let mut tools = vec![Tool::Ours, Tool::FirstCached, Tool::Cached, Tool::Lake];
    for tool in [Tool::DuckDb, Tool::ClickHouse] {
        let missing = || Err("there is no Python for it".to_owned());
        match python.map_or_else(missing, |python| python.version(tool)) {
            Ok(version) => {
                println!("with {version}");
                tools.push(tool);
            }
            Err(why) => println!("without {}: {why}", tool.name()),
        }
    }
    if tools.len() < 6 {
        let folder = Python::folder();
        let folder = folder.display();
        println!(
            "to compare with all: python3 -m venv {folder} && \
             {folder}/bin/pip install duckdb==2.0.0 chdb==4.4.0"
        );
    }
    tools
}

/// Builds the command that asks this tool `sql` over `source`.
pub fn query(sql: &str, source: &Path, threads: usize) -> Command {
    let mut command = ours("query", threads);
    command.args(["--format", "csv"]).arg(sql).arg(source);
    command
}

/// Builds a command of this tool, without its arguments.
pub fn ours(name: &str, threads: usize) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_auroratrail"));
    command.args([name, "--threads", &threads.to_string()]);
    command
}

/// Sorts the rows of CSV, without the header line if there is one.
pub fn rows(csv: &str, titled: bool) -> Vec<&str> {
    let mut rows: Vec<&str> = csv.lines().skip(titled.into()).collect();
    rows.sort_unstable();
    rows
}
