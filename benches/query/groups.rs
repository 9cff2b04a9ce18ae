//! Tools that do the same, measured side by side.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::measure::{self, Run};
use super::tools::{Tool, rows};

/// The runs of one question.
pub struct Group {
    pub name: &'static str,
    pub lines: Vec<Line>,
}

/// A tool and its best measurement.
pub struct Line {
    pub tool: Tool,
    pub command: Command,
    /// Folder that the command makes, removed before each run.
    pub makes: Option<PathBuf>,
    pub best: Option<Run>,
}

impl Line {
    /// Returns a line that has not run.
    pub fn new(tool: Tool, command: Command) -> Self {
        Self {
            tool,
            command,
            makes: None,
            best: None,
        }
    }

    /// Removes what the command makes.
    pub fn clear(&self) -> Result<(), String> {
        let Some(folder) = self.makes.as_ref().filter(|folder| folder.exists()) else {
            return Ok(());
        };
        let failed = |error| format!("{}: {error}", folder.display());
        fs::remove_dir_all(folder).map_err(failed)
    }

    fn run(&mut self, complaints: &Path) -> Result<(), String> {
        self.clear()?;
        let run = measure::run(&mut self.command, complaints)?;
        self.best = Some(match &self.best {
            Some(best) => run.better(best),
            None => run,
        });
        Ok(())
    }
}

impl Group {
    /// Checks that all tools returned the same rows.
    pub fn check(&self) -> Result<(), String> {
        let answer = |line: &Line| {
            let csv = line.best.as_ref().map_or("", |run| &run.output);
            rows(csv, line.tool.is_ours()).join("\n")
        };
        let answers: Vec<String> = self.lines.iter().map(answer).collect();
        for (line, other) in self.lines.iter().zip(&answers).skip(1) {
            // The lake has each event once, and the files have some twice.
            if *other != answers[0] && line.tool != Tool::Lake {
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
}

/// Runs all lines a number of times. All run once before any runs again, so that a slow minute of
/// the machine affects all of them.
pub fn measure(groups: &mut [Group], runs: usize, complaints: &Path) -> Result<(), String> {
    for _ in 0..runs {
        for group in &mut *groups {
            for line in &mut group.lines {
                let run = line.run(complaints);
                run.map_err(|error| group.name.to_owned() + ": " + &error)?;
            }
        }
    }
    Ok(())
}
