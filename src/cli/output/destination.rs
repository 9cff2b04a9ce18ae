//! Where a result goes: a file or the standard output, under the name that errors show.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::Path;

use super::{Format, why};
use crate::error::{Error, Result};

/// A place to write to, with a name. Writes are buffered where [`destination`] made it.
pub struct Destination {
    out: Box<dyn Write + Send>,
    name: String,
}

impl Destination {
    /// Any writer, under the name that errors shall show.
    pub fn new(out: impl Write + Send + 'static, name: impl Into<String>) -> Self {
        Self {
            out: Box::new(out),
            name: name.into(),
        }
    }

    /// What errors call it.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Write for Destination {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Opens the file at `path`, emptying it if it exists; the standard output without one or for `-`.
///
/// Ask for it when the query is known to be good and before it runs: what was in the file is gone
/// afterwards.
///
/// # Errors
///
/// A binary format and a terminal do not go together; a file may not be to be created.
pub fn destination(path: Option<&Path>, format: Format) -> Result<Destination> {
    match path {
        Some(path) if path.as_os_str() != "-" => {
            let name = path.display().to_string();
            let file = File::create(path)
                .map_err(|error| Error::io(format!("cannot create {name}: {}", why(&error))))?;
            Ok(Destination::new(
                BufWriter::with_capacity(BUFFER_BYTES, file),
                name,
            ))
        }
        _ => {
            let out = io::stdout();
            if format.is_binary() && out.is_terminal() {
                return Err(Error::config(format!(
                    "{format:?} is not for a terminal: write it to a file with -o FILE, or pipe it on"
                )));
            }
            Ok(Destination::new(
                BufWriter::with_capacity(BUFFER_BYTES, out),
                "standard output",
            ))
        }
    }
}

/// The columns of the terminal that standard output is; `None` if it is a pipe or a file.
pub fn terminal_width() -> Option<usize> {
    let out = io::stdout();
    if !out.is_terminal() {
        return None;
    }
    match terminal_size::terminal_size_of(out) {
        Some((width, _)) if width.0 > 0 => Some(usize::from(width.0)),
        // A terminal that does not tell, such as a serial line or a CI log.
        _ => Some(80),
    }
}

/// Large enough for few system calls, small enough that `| head` soon ends the query.
const BUFFER_BYTES: usize = 64 * 1024;
