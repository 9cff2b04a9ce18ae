//! Settings of the prompt: how answers look and where they go.

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::shell::Shell;
use crate::cli::output::{
    self, Destination, Expanded, Format, OutputOptions, SharedDestination, Target, parse_zone,
};
use crate::cli::overwrite::{NamedFiles, Output};
use crate::cli::pager::Paged;
use crate::error::{Error, Result};

/// The look and the place of answers.
pub(super) struct Settings {
    /// The format, if one was chosen.
    pub(super) format: Option<Format>,
    /// Lists in place of columns.
    pub(super) expanded: Expanded,
    /// Whether each statement tells the time that it took.
    pub(super) timing: bool,
    /// The zone that times are shown in, with its name; UTC if there is none.
    pub(super) zone: Option<(String, output::Zone)>,
    /// The file that answers go to.
    file: Option<OutputFile>,
}

/// A file that answers are appended to.
struct OutputFile {
    path: PathBuf,
    format: Format,
    out: SharedDestination,
    target: Target,
    answers: usize,
}

/// The place of one answer.
pub(super) enum Route {
    /// The screen, or what standard output is.
    Screen,
    /// The file of `\o`.
    File,
    /// A file of its own.
    Once(PathBuf),
}

/// An answer's place, opened.
pub(super) struct Opening {
    pub(super) options: OutputOptions,
    pub(super) out: Destination,
    /// The file to put in place when the answer is whole.
    pub(super) target: Option<Target>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            format: None,
            expanded: Expanded::Auto,
            timing: false,
            zone: None,
            file: None,
        }
    }
}

impl Settings {
    /// Returns the place that answers go to when a statement names none.
    pub(super) fn route(&self) -> Route {
        match self.file {
            Some(_) => Route::File,
            None => Route::Screen,
        }
    }

    fn options(&self, format: Format, width: Option<usize>) -> OutputOptions {
        OutputOptions {
            format,
            raw_csv: false,
            width,
            color: width.is_some() && crate::cli::may_color(),
            zone: self.zone.as_ref().map(|(_, zone)| *zone),
            expanded: self.expanded,
        }
    }
}

impl Shell {
    /// Opens the place of an answer.
    ///
    /// # Errors
    /// Config, if the file is one that is read, or if its name asks for no format; I/O errors.
    pub(super) async fn open(&mut self, route: &Route) -> Result<Opening> {
        let settings = &mut self.settings;
        match route {
            Route::Screen => {
                let format = settings.format.unwrap_or(Format::Table);
                let width = output::terminal_width();
                let out = match width {
                    Some(_) if self.is_interactive => {
                        Destination::new(Paged::on_stdout(), "standard output")
                    }
                    _ => output::destination(None, format, &self.temporary)?.0,
                };
                Ok(Opening {
                    options: settings.options(format, width),
                    out,
                    target: None,
                })
            }
            Route::File => {
                let file = settings.file.as_mut().expect("the route is of the setting");
                let mut out = file.out.writer();
                if file.answers > 0 && !matches!(file.format, Format::Ndjson | Format::Json) {
                    use std::io::Write;
                    out.write_all(b"\n")
                        .map_err(|error| cannot_write(&file.path, &error))?;
                }
                file.answers += 1;
                let format = file.format;
                Ok(Opening {
                    options: settings.options(format, None),
                    out,
                    target: None,
                })
            }
            Route::Once(path) => {
                let (out, target, format) = self.create(path).await?;
                Ok(Opening {
                    options: self.settings.options(format, None),
                    out,
                    target,
                })
            }
        }
    }

    /// Creates a file for answers, in the format that its name or the setting asks for.
    async fn create(&self, path: &Path) -> Result<(Destination, Option<Target>, Format)> {
        if path.to_string_lossy().starts_with('|') {
            return Err(Error::query(
                "answers go to files, not into commands; expected \\g FILE",
            ));
        }
        let format = match (Format::of_path(path), self.settings.format) {
            (Some(format), _) => format,
            (None, Some(format)) => format,
            (None, None) => Format::for_file(path)?,
        };
        let opened = self.inputs.opened();
        let files = NamedFiles {
            opened: &opened,
            query: None,
            output: Output::File(path),
            rejects: None,
        };
        let temporary = files.check(&self.temporary).await?;
        let (out, target) = output::destination(Some(path), format, &temporary)?;
        Ok((out, target, format))
    }

    /// Carries out `\o`: all further answers go to a file, or to the screen again.
    pub(super) async fn set_output(&mut self, path: Option<String>) -> Result<()> {
        self.close_output()?;
        let Some(path) = path.map(PathBuf::from) else {
            return Ok(());
        };
        let (out, target, format) = self.create(&path).await?;
        if format.is_binary() {
            return Err(Error::config(format!(
                "{format:?} holds one result; write each with \\g {}",
                path.display()
            )));
        }
        self.settings.file = target.map(|target| OutputFile {
            path,
            format,
            out: SharedDestination::new(out),
            target,
            answers: 0,
        });
        Ok(())
    }

    /// Puts the file of `\o` in place, if there is one.
    pub(super) fn close_output(&mut self) -> Result<()> {
        use std::io::Write;
        let Some(file) = self.settings.file.take() else {
            return Ok(());
        };
        let OutputFile {
            path,
            out,
            target,
            answers,
            ..
        } = file;
        out.writer()
            .flush()
            .map_err(|error| cannot_write(&path, &error))?;
        drop(out);
        target.commit()?;
        let plural = if answers == 1 { "" } else { "s" };
        self.say(&format!("{answers} answer{plural} in {}", path.display()));
        Ok(())
    }

    /// Carries out `\format`.
    pub(super) fn set_format(&mut self, word: Option<&str>) -> Result<()> {
        if let Some(word) = word {
            let format = Format::from_str(word, true).map_err(|_| {
                Error::query(format!(
                    "no format {word}; expected table, csv, tsv, json, ndjson or markdown"
                ))
            })?;
            if format.is_binary() {
                return Err(Error::query(format!(
                    "{format:?} is not readable on a screen; \\g FILE.{} writes one answer",
                    word.to_lowercase()
                )));
            }
            self.settings.format = Some(format);
        }
        let format = self.settings.format.unwrap_or(Format::Table);
        self.say(&format!(
            "answers are written as {}",
            format!("{format:?}").to_lowercase()
        ));
        Ok(())
    }

    /// Carries out `\x`.
    pub(super) fn set_expanded(&mut self, word: Option<&str>) -> Result<()> {
        let expanded = match (
            word.map(str::to_lowercase).as_deref(),
            self.settings.expanded,
        ) {
            (Some("on"), _) | (None, Expanded::Auto | Expanded::Off) => Expanded::On,
            (Some("off"), _) => Expanded::Off,
            (Some("auto"), _) | (None, Expanded::On) => Expanded::Auto,
            (Some(word), _) => {
                return Err(Error::query(format!(
                    "expected \\x on, off or auto, found {word}"
                )));
            }
        };
        self.settings.expanded = expanded;
        self.say(match expanded {
            Expanded::On => "each row is a list",
            Expanded::Off => "each row is a line",
            Expanded::Auto => "each row is a list if the columns do not fit",
        });
        Ok(())
    }

    /// Carries out `\tz`.
    pub(super) fn set_zone(&mut self, name: Option<String>) -> Result<()> {
        if let Some(name) = name {
            let is_utc = ["utc", "z", "none"].contains(&&*name.to_lowercase());
            self.settings.zone = match is_utc {
                true => None,
                false => {
                    let zone = parse_zone(&name)?;
                    Some((name, zone))
                }
            };
        }
        let zone = self.settings.zone.as_ref().map_or("UTC", |(name, _)| name);
        self.say(&format!(
            "times are shown in {zone}; in a statement a time without an offset is UTC"
        ));
        Ok(())
    }

    /// Carries out `\timing`.
    pub(super) fn set_timing(&mut self, timing: Option<bool>) {
        self.settings.timing = timing.unwrap_or(!self.settings.timing);
        let word = if self.settings.timing { "on" } else { "off" };
        self.say(&format!("timing is {word}"));
    }
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Error {
    let path = path.display();
    Error::io(format!(
        "cannot write to {path}: {}",
        crate::cli::report::why(error)
    ))
}
