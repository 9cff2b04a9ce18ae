//! Keeps a command from writing to what it reads.

use std::path::Path;

use futures::StreamExt;

use super::Opened;
use super::identity::{FileIdentity, as_file};
use super::output::TemporaryFiles;
use super::sql::is_standard_input;
use crate::error::{Error, Result};
use crate::source::Location;

/// The files that a command names, to be compared before any of them is written.
pub(super) struct NamedFiles<'a> {
    pub(super) opened: &'a Opened,
    pub(super) query: Option<&'a Path>,
    pub(super) output: Output<'a>,
    pub(super) rejects: Option<&'a Path>,
}

/// The place that results go to.
pub(super) enum Output<'a> {
    /// A file or device.
    File(&'a Path),
    /// Standard output, written while the sources are read.
    Streamed,
    /// Standard output, written after all sources have been read.
    AtTheEnd,
}

/// A file to write.
struct Written {
    /// Its option and its name, for messages.
    title: String,
    identity: FileIdentity,
}

impl NamedFiles<'_> {
    /// Checks that no file is both read and written, or written twice, under whatever names.
    ///
    /// Returns `temporary` with names that the sources leave out.
    ///
    /// # Errors
    /// Config, naming both files.
    pub(super) async fn check(&self, temporary: &TemporaryFiles) -> Result<TemporaryFiles> {
        let written = self.written();
        for (at, file) in written.iter().enumerate() {
            if let Some(other) = written[at + 1..].iter().find(|it| it.is_same(file)) {
                let (title, other) = (&file.title, &other.title);
                return Err(clash(&format!("{title} and {other} are the same file")));
            }
            self.check_singly_read(file)?;
        }
        self.check_listed(&written).await?;
        self.hidden(temporary)
    }

    /// Checks that no file of the command is at `path`, which an export goes to.
    ///
    /// # Errors
    /// Config, naming both.
    pub(super) fn check_unwritten(&self, path: &Path, target: &str) -> Result<()> {
        match self.written().iter().find(|file| file.is_at(path)) {
            Some(file) => Err(clash(&format!(
                "{} is the target of COPY as well, '{target}'",
                file.title
            ))),
            None => Ok(()),
        }
    }

    fn hidden(&self, temporary: &TemporaryFiles) -> Result<TemporaryFiles> {
        let is_needed = matches!(self.output, Output::File(_)) || self.rejects.is_some();
        let locations = self.opened.locations.iter().filter(|_| is_needed);
        let naming = |prefix| locations.clone().find(|it| it.names_hidden(prefix));
        match (naming('.'), naming('_')) {
            (None, _) => Ok(temporary.clone()),
            (_, None) => Ok(temporary.underscored()),
            (Some(source), Some(_)) => Err(Error::config(format!(
                "files that are being written have names that begin with `.` or `_`, and \
                 `{source}` would read them; leave one of these out of the sources"
            ))),
        }
    }

    fn written(&self) -> Vec<Written> {
        let named = |option: &str, path: &Path| {
            Some(Written {
                title: format!("`{option} {}`", path.display()),
                identity: FileIdentity::of_path(path)?,
            })
        };
        let output = match self.output {
            Output::File(path) => named("-o", path),
            Output::Streamed => appended_output(),
            Output::AtTheEnd => None,
        };
        let rejects = self.rejects.and_then(|path| named("--rejects", path));
        output.into_iter().chain(rejects).collect()
    }

    /// Compares `file` with the query's file, standard input, and sources that do not exist yet.
    fn check_singly_read(&self, file: &Written) -> Result<()> {
        let title = &file.title;
        let locations = &self.opened.locations;
        let query = self.query.filter(|path| !is_standard_input(path));
        if let Some(path) = query.filter(|path| file.is_at(path)) {
            let path = path.display();
            return Err(clash(&format!("{title} is the file of the query, {path}")));
        }
        let reads_stdin = locations.iter().any(Location::is_stdin) || self.query != query;
        let stdin = as_file(std::io::stdin()).and_then(|file| FileIdentity::of_open(&file));
        if reads_stdin && stdin.is_some_and(|stdin| stdin.is_same(&file.identity)) {
            return Err(clash(&format!("{title} is what standard input reads")));
        }
        let named = locations
            .iter()
            .filter(|location| matches!(location, Location::Local(_)))
            .find(|location| file.is_at(Path::new(&location.to_string())));
        match named {
            Some(source) => Err(clash(&format!("{title} is a source as well, {source}"))),
            None => Ok(()),
        }
    }

    /// Compares existing files with everything that the sources list.
    async fn check_listed(&self, written: &[Written]) -> Result<()> {
        let existing = written.iter().filter(|file| file.identity.exists());
        if existing.clone().next().is_none() {
            return Ok(());
        }
        let Opened {
            sources, locations, ..
        } = self.opened;
        let mut files = sources.local_files(locations);
        while let Some((name, path)) = files.next().await {
            if let Some(file) = existing.clone().find(|file| file.identity.is_at(&path)) {
                let title = &file.title;
                return Err(clash(&format!("{title} is read as a source, {name}")));
            }
        }
        Ok(())
    }
}

impl Written {
    fn is_same(&self, other: &Self) -> bool {
        self.identity.is_same(&other.identity)
    }

    fn is_at(&self, path: &Path) -> bool {
        FileIdentity::of_path(path).is_some_and(|it| it.is_same(&self.identity))
    }
}

/// Returns the standard output if it is a file with content, which is then appended to. An empty
/// one, as `> file` makes it, has nothing to lose and nothing to read.
fn appended_output() -> Option<Written> {
    let file = as_file(std::io::stdout())?;
    let is_empty = file.metadata().is_ok_and(|metadata| metadata.len() == 0);
    Some(Written {
        title: "the file of standard output".to_owned(),
        identity: FileIdentity::of_open(&file).filter(|_| !is_empty)?,
    })
}

fn clash(fault: &str) -> Error {
    Error::config(format!("{fault}; write to another file"))
}
