//! The pager: answers that are larger than the screen are shown by a program such as `less`.
//!
//! ```text
//! Holding ── more than a screenful ──> Paging   the pager gets what was held, and all that follows
//!    |                                   |
//!    |                                   +── it cannot be started ──> Plain
//!    +── PATIENCE has passed, or the end ──> Plain   standard output gets it
//! ```
//!
//! # Ctrl-C
//!
//! The terminal sends SIGINT to the pager and to this process alike, and the pager acts on it (`less`
//! ends a search). So while a pager runs, this process must survive SIGINT: a handler has to be
//! installed, as `tokio::signal` does, that at most cancels the query.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use unicode_width::UnicodeWidthStr;

/// Time after which rows that do not fill the screen are shown.
const PATIENCE: Duration = Duration::from_secs(2);

/// Lines of the screen that the prompt after an answer takes.
const PROMPT_LINES: usize = 2;

/// Bytes to keep for a pager that may not exist: more than a pipe and a buffer hold, so a pager that
/// was sent more has read some.
const UNCONFIRMED_BYTES: usize = 256 * 1024;

/// Exit statuses of a shell that cannot run a command: it is not executable, or not found.
const NOT_STARTED: [i32; 2] = [126, 127];

/// Options of `less` where the user has not set any: quit if one screen is enough, escape sequences
/// for colors, lines that are not folded, and the text left on the screen.
const LESS: &str = "FRSX";

/// A command that shows text screen by screen.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Pager {
    /// `less`, with options that suit tables.
    Less,
    /// A command for the shell, out of `PAGER`.
    Shell(String),
}

impl Pager {
    /// Returns the pager that the environment asks for; `None` for an empty `PAGER` and for `cat`.
    pub(super) fn from_env() -> Option<Self> {
        Self::of_variable(std::env::var("PAGER").ok().as_deref())
    }

    fn of_variable(pager: Option<&str>) -> Option<Self> {
        match pager.map(str::trim) {
            None => Some(Self::Less),
            Some("" | "cat") => None,
            Some(command) => Some(Self::Shell(command.to_owned())),
        }
    }

    fn command(&self) -> Command {
        let mut command = match self {
            Self::Less => {
                let mut less = Command::new("less");
                less.arg("-RS");
                less
            }
            Self::Shell(line) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", line]);
                shell
            }
        };
        if std::env::var_os("LESS").is_none() {
            command.env("LESS", LESS);
        }
        command
    }

    fn start(&self) -> io::Result<RunningPager> {
        let mut child = self.command().stdin(Stdio::piped()).spawn()?;
        let input = child.stdin.take().expect("the input is a pipe");
        Ok(RunningPager {
            child,
            input: Some(BufWriter::new(input)),
            unconfirmed: Some(Vec::new()),
        })
    }
}

/// The size of the terminal, in characters.
#[derive(Clone, Copy, Debug)]
pub(super) struct ScreenSize {
    /// Characters in a line.
    pub(super) columns: usize,
    /// Lines.
    pub(super) rows: usize,
}

impl ScreenSize {
    /// Returns the size of the terminal that standard output is; `None` if it is none.
    pub(super) fn of_stdout() -> Option<Self> {
        let out = io::stdout();
        if !out.is_terminal() {
            return None;
        }
        let (columns, rows) = terminal_size::terminal_size_of(out)?;
        let (columns, rows) = (usize::from(columns.0), usize::from(rows.0));
        (columns > 0 && rows > 0).then_some(Self { columns, rows })
    }
}

/// A writer of one answer, which starts the pager if the answer is larger than the screen.
///
/// A pager that the user quits is a broken pipe to the writer. Dropping this value waits for the
/// pager's end, as [`Paged::finish`] does; both block their thread.
pub(super) struct Paged {
    shared: Arc<Shared>,
}

struct Shared {
    inner: Mutex<Inner>,
    /// Notified when rows are no longer held.
    decided: Condvar,
}

struct Inner {
    state: State,
    pager: Option<Pager>,
    plain: Box<dyn Write + Send>,
}

enum State {
    /// Collects what is written, up to a screenful.
    Holding(Held),
    /// Passes everything to the pager.
    Paging(RunningPager),
    /// Passes everything to the plain output.
    Plain,
}

impl Paged {
    /// Creates a writer to the terminal that standard output is, with the pager that the environment
    /// asks for.
    pub(super) fn on_stdout() -> Self {
        let out = BufWriter::new(io::stdout());
        Self::new(Pager::from_env(), ScreenSize::of_stdout(), out)
    }

    /// Creates a writer that starts `pager` for more than a screenful, and else writes to `plain`;
    /// always to `plain` without a pager or a screen.
    pub(super) fn new(
        pager: Option<Pager>,
        screen: Option<ScreenSize>,
        plain: impl Write + Send + 'static,
    ) -> Self {
        let state = match screen.filter(|_| pager.is_some()) {
            Some(screen) => State::Holding(Held::new(screen)),
            None => State::Plain,
        };
        let inner = Inner {
            state,
            pager,
            plain: Box::new(plain),
        };
        let shared = Arc::new(Shared {
            inner: Mutex::new(inner),
            decided: Condvar::new(),
        });
        Self { shared }
    }

    /// Shows the rest of the answer, and waits until the user leaves the pager.
    ///
    /// # Errors
    ///
    /// Returns the error of a write, except that the pager has been left.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        let mut inner = self.shared.lock();
        let done = inner.finish();
        self.shared.decided.notify_all();
        done
    }
}

impl Write for Paged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut inner = self.shared.lock();
        let is_first = matches!(&inner.state, State::Holding(held) if held.bytes.is_empty());
        inner.write(bytes)?;
        match inner.state {
            State::Holding(_) if is_first && !bytes.is_empty() => {
                let shared = Arc::clone(&self.shared);
                std::thread::spawn(move || shared.end_patience());
            }
            State::Holding(_) => {}
            _ => self.shared.decided.notify_all(),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.shared.lock().flush()
    }
}

impl Drop for Paged {
    fn drop(&mut self) {
        // Nobody is left to tell of an error.
        let _ = self.finish();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows what is held if it is still held after a while.
    fn end_patience(&self) {
        let is_held = |inner: &mut Inner| matches!(inner.state, State::Holding(_));
        let waited = self
            .decided
            .wait_timeout_while(self.lock(), PATIENCE, is_held);
        let (mut inner, _) = waited.unwrap_or_else(PoisonError::into_inner);
        // The next write meets an error again.
        let _ = inner.show_held();
    }
}

impl Inner {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = match &mut self.state {
            State::Plain => return self.plain.write_all(bytes),
            State::Paging(pager) => pager.write(bytes),
            State::Holding(held) => {
                held.push(bytes);
                if held.fits() {
                    return Ok(());
                }
                self.start()
            }
        };
        self.recover(written)
    }

    /// Starts the pager and passes to it what is held. Without it, shows all that plainly.
    fn start(&mut self) -> io::Result<()> {
        let State::Holding(held) = &self.state else {
            return Ok(());
        };
        let started = self.pager.as_ref().map(|pager| pager.start());
        let Some(Ok(mut pager)) = started else {
            return self.show_held();
        };
        let written = pager.write(&held.bytes);
        self.state = State::Paging(pager);
        written
    }

    /// Writes what is held to the plain output, and what follows too.
    fn show_held(&mut self) -> io::Result<()> {
        let State::Holding(held) = &mut self.state else {
            return Ok(());
        };
        let held = std::mem::take(&mut held.bytes);
        self.state = State::Plain;
        self.plain.write_all(&held)?;
        self.plain.flush()
    }

    /// Repeats plainly what a pager was sent that could not be started. Passes on other outcomes.
    fn recover(&mut self, written: io::Result<()>) -> io::Result<()> {
        let State::Paging(pager) = &mut self.state else {
            return written;
        };
        if !is_broken_pipe(&written) {
            return written;
        }
        let lost = pager.wait();
        let Some(lost) = lost else {
            return written;
        };
        self.state = State::Plain;
        self.plain.write_all(&lost)?;
        self.plain.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.state {
            State::Holding(_) => Ok(()),
            State::Plain => self.plain.flush(),
            State::Paging(pager) => {
                let flushed = pager.flush();
                self.recover(flushed)
            }
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        self.show_held()?;
        let flushed = self.flush();
        if let State::Paging(mut pager) = std::mem::replace(&mut self.state, State::Plain) {
            let lost = pager.wait();
            self.plain.write_all(&lost.unwrap_or_default())?;
        }
        match flushed {
            flushed if is_broken_pipe(&flushed) => Ok(()),
            flushed => flushed.and_then(|()| self.plain.flush()),
        }
    }
}

fn is_broken_pipe(outcome: &io::Result<()>) -> bool {
    matches!(outcome, Err(error) if error.kind() == io::ErrorKind::BrokenPipe)
}

/// The beginning of an answer.
struct Held {
    screen: ScreenSize,
    bytes: Vec<u8>,
    /// Whole lines in `bytes`.
    lines: usize,
    /// The byte at which the last line begins, which may not be whole.
    last: usize,
    /// Whether a line is wider than the screen.
    is_wide: bool,
}

impl Held {
    fn new(screen: ScreenSize) -> Self {
        Self {
            screen,
            bytes: Vec::new(),
            lines: 0,
            last: 0,
            is_wide: false,
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        let mut from = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        while let Some(end) = memchr::memchr(b'\n', &self.bytes[from..]) {
            let end = from + end;
            self.measure(end);
            self.lines += 1;
            self.last = end + 1;
            from = self.last;
        }
        self.measure(self.bytes.len());
    }

    fn measure(&mut self, end: usize) {
        let line = &self.bytes[self.last..end];
        // A character takes at most as many columns as bytes, but for tabs.
        if line.len() > self.screen.columns || line.contains(&b'\t') {
            self.is_wide |= columns(&String::from_utf8_lossy(line)) > self.screen.columns;
        }
    }

    fn fits(&self) -> bool {
        let rows = self.screen.rows.saturating_sub(PROMPT_LINES).max(1);
        self.lines <= rows && !self.is_wide
    }
}

/// Returns the width of a line on a terminal: colors take no room, and tabs reach to the next
/// multiple of eight.
fn columns(line: &str) -> usize {
    let mut columns = 0;
    for (at, part) in line.split('\t').enumerate() {
        if at > 0 {
            columns += 8 - columns % 8;
        }
        for (at, part) in part.split("\u{1b}[").enumerate() {
            let text = match part.split_once('m') {
                Some((_, text)) if at > 0 => text,
                _ => part,
            };
            columns += text.width();
        }
    }
    columns
}

/// A pager that has been started, with its input.
struct RunningPager {
    child: Child,
    /// The pipe to it, until its end.
    input: Option<BufWriter<ChildStdin>>,
    /// All that it was sent, while it is not known to run; a shell starts even for a command that
    /// does not exist.
    unconfirmed: Option<Vec<u8>>,
}

impl RunningPager {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(sent) = &mut self.unconfirmed {
            sent.extend_from_slice(bytes);
        }
        match &mut self.input {
            Some(input) => input.write_all(bytes)?,
            None => return Err(io::ErrorKind::BrokenPipe.into()),
        }
        self.unconfirmed
            .take_if(|sent| sent.len() > UNCONFIRMED_BYTES);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.input.as_mut().map_or(Ok(()), Write::flush)
    }

    /// Ends the input and waits for the pager's end. Returns what it was sent if it could not be
    /// started.
    fn wait(&mut self) -> Option<Vec<u8>> {
        self.input = None;
        let status = self.child.wait().ok()?;
        let is_lost = status
            .code()
            .is_some_and(|code| NOT_STARTED.contains(&code));
        self.unconfirmed.take().filter(|_| is_lost)
    }
}

#[cfg(test)]
mod tests;
