//! Destinations of a result: a file or the standard output, under the name that errors show.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Format, Target, TemporaryFiles};
use crate::error::{Error, Result};

/// A writer and its name. [`destination`] adds a buffer.
pub struct Destination {
    out: Box<dyn Write + Send>,
    name: String,
}

impl Destination {
    /// Wraps any writer under the name that errors show.
    pub fn new(out: impl Write + Send + 'static, name: impl Into<String>) -> Self {
        Self {
            out: Box::new(out),
            name: name.into(),
        }
    }

    /// Returns the name that errors show.
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

/// A place that several results are written to, one after another.
pub struct SharedDestination {
    out: Arc<Mutex<Destination>>,
    name: String,
}

impl SharedDestination {
    /// Shares `out`.
    pub fn new(out: Destination) -> Self {
        Self {
            name: out.name().to_owned(),
            out: Arc::new(Mutex::new(out)),
        }
    }

    /// Returns a destination for the next result, in the same place.
    pub fn writer(&self) -> Destination {
        Destination::new(Shared(Arc::clone(&self.out)), self.name.clone())
    }
}

struct Shared(Arc<Mutex<Destination>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Destination> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lock().write(bytes)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.lock().write_all(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.lock().flush()
    }
}

/// Opens a target at `path`, to be committed after the last write; without a path, or for `-`, opens
/// the standard output.
///
/// # Errors
///
/// Fails if a binary format would go to a terminal, or if the file cannot be created.
pub fn destination(
    path: Option<&Path>,
    format: Format,
    temporary: &TemporaryFiles,
) -> Result<(Destination, Option<Target>)> {
    match path.filter(|path| !is_standard_output(path)) {
        Some(path) => {
            let (target, file) = Target::open(path, temporary)?;
            let out = BufWriter::with_capacity(BUFFER_BYTES, file);
            let name = path.display().to_string();
            Ok((Destination::new(out, name), Some(target)))
        }
        None => {
            let out = io::stdout();
            if format.is_binary() && out.is_terminal() {
                return Err(Error::config(format!(
                    "{format:?} is not readable on a terminal; write it to a file with -o FILE, or pipe it"
                )));
            }
            let out = BufWriter::with_capacity(BUFFER_BYTES, out);
            Ok((Destination::new(out, "standard output"), None))
        }
    }
}

/// Returns whether `path` is a name of the standard output.
pub fn is_standard_output(path: &Path) -> bool {
    ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"]
        .iter()
        .any(|name| path == Path::new(name))
}

/// Returns the width of the standard output in columns, or `None` if it is not a terminal.
pub fn terminal_width() -> Option<usize> {
    let out = io::stdout();
    if !out.is_terminal() {
        return None;
    }
    match terminal_size::terminal_size_of(out) {
        Some((width, _)) if width.0 > 0 => Some(usize::from(width.0)),
        // The width of terminals that report none, such as a serial line or a CI log.
        _ => Some(80),
    }
}

/// Bytes of the buffer: large enough for few system calls, small enough for `| head` to end the
/// query soon.
const BUFFER_BYTES: usize = 64 * 1024;
