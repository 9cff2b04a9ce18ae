//! The line on standard error that says how far it is, and the messages about what was wrong.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};
use tokio_util::task::AbortOnDropHandle;

use super::logs::{self, Level};
use super::monitor::Monitor;
use super::report::{bytes, count, counted, long_time};
use super::status::{self, Rate};
use crate::execution::Execution;
use crate::reject::{Reject, RejectSink};
use crate::stats::Stats;

/// Work that is done sooner shows no progress.
const QUIET: Duration = Duration::from_secs(1);

/// The time between two states of the line.
const TICK: Duration = Duration::from_millis(200);

/// The width that the line is kept within, if dropping rates is enough.
const COLUMNS: usize = 80 - ECHO_COLUMNS as usize;

/// Work of less time gives no good guess of the time to go.
const WARM_UP: Duration = Duration::from_secs(2);

/// The way to see all rejects, for a command that has the option.
pub(super) const KEEP_REJECTS: &str = "--rejects FILE keeps all of them";

/// Messages about rejects that are shown; the rest is counted, and kept if asked.
const TOLD_REJECTS: u64 = 10;

/// The progress line of one execution, and messages above it. Where standard error is not a terminal
/// there is no line, but messages still come out.
pub(super) struct Progress {
    line: ProgressBar,
    /// Set for a run that is more than the reading of objects.
    monitor: Arc<OnceLock<Arc<Monitor>>>,
    watch: Mutex<Option<AbortOnDropHandle<()>>>,
}

impl Progress {
    /// A line that is not shown yet.
    pub(super) fn new() -> Self {
        let line = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        let style = ProgressStyle::with_template("{msg}").expect("the template is well-formed");
        line.set_style(style);
        Self {
            line,
            monitor: Arc::default(),
            watch: Mutex::default(),
        }
    }

    /// Shows the state of `monitor` from now on.
    pub(super) fn show(&self, monitor: &Arc<Monitor>) {
        // A second one would be of the same run.
        let _ = self.monitor.set(Arc::clone(monitor));
    }

    /// Shows how far `execution` is, if it takes long enough.
    pub(super) fn watch(&self, execution: &Arc<Execution>) {
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        if std::io::stderr().is_terminal() && !is_dumb && !logs::is_json() {
            *lock(&SHOWN) = Some(self.line.clone());
            let monitor = Arc::clone(&self.monitor);
            let watch = watch(self.line.clone(), Arc::clone(execution), monitor);
            *lock(&self.watch) = Some(AbortOnDropHandle::new(tokio::spawn(watch)));
        }
    }

    /// A receiver of rejects that tells of the first ones, and with `advice` where to see the others.
    pub(super) fn messages(advice: &'static str) -> impl RejectSink + 'static {
        let told = AtomicU64::new(0);
        move |reject: &Reject<'_>| match told.fetch_add(1, Relaxed) {
            0..TOLD_REJECTS => tell(reject),
            TOLD_REJECTS => logs::say(
                Level::Warn,
                &format!("more rejects are counted and not shown ({advice})"),
            ),
            _ => {}
        }
    }

    /// A writer to the terminal that takes the line away before its first bytes.
    pub(super) fn clear_before<W: Write>(&self, out: W) -> ClearStatusLine<W> {
        ClearStatusLine {
            line: self.line.clone(),
            out,
        }
    }

    /// A writer to the terminal that writes above the line, all that was written up to a flush at a time.
    pub(super) fn above<W: Write>(&self, out: W) -> AboveStatusLine<W> {
        AboveStatusLine {
            line: self.line.clone(),
            written: Vec::new(),
            out,
        }
    }

    /// Takes the line away for good.
    pub(super) fn finish(&self) {
        self.line.finish_and_clear();
        *lock(&self.watch) = None;
    }
}

/// Tells what was noted while an execution went on.
pub(super) fn tell_notes(execution: &Execution) {
    for note in execution.take_notes() {
        eprintln!("auroratrail: note: {note}");
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

/// A writer to the terminal that the line is on.
pub(super) struct ClearStatusLine<W> {
    line: ProgressBar,
    out: W,
}

impl<W: Write> Write for ClearStatusLine<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if !self.line.is_finished() {
            self.line.finish_and_clear();
        }
        self.out.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

/// A writer to the terminal that the line stays on.
pub(super) struct AboveStatusLine<W> {
    line: ProgressBar,
    written: Vec<u8>,
    out: W,
}

impl<W: Write> Write for AboveStatusLine<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let Self { line, written, out } = self;
        let done = line.suspend(|| out.write_all(written).and_then(|()| out.flush()));
        written.clear();
        done
    }
}

/// Standard error, a little narrower than it is.
///
/// The bar fills its line. With the cursor at the very end, the `^C` that a terminal echoes would
/// begin another line, and the bar be left behind when that one is cleared.
#[derive(Debug)]
struct NarrowTerminal;

/// Columns for an echoed `^C`, and the one that the cursor is in.
const ECHO_COLUMNS: u16 = 3;

impl NarrowTerminal {
    fn write(text: &str) -> std::io::Result<()> {
        std::io::stderr().lock().write_all(text.as_bytes())
    }

    fn move_cursor(count: usize, direction: char) -> std::io::Result<()> {
        match count {
            0 => Ok(()),
            count => Self::write(&format!("\u{1b}[{count}{direction}")),
        }
    }
}

impl TermLike for NarrowTerminal {
    fn width(&self) -> u16 {
        let size = terminal_size::terminal_size_of(std::io::stderr());
        let columns = size.map_or(80, |(width, _)| width.0);
        columns.saturating_sub(ECHO_COLUMNS)
    }

    fn move_cursor_up(&self, count: usize) -> std::io::Result<()> {
        Self::move_cursor(count, 'A')
    }

    fn move_cursor_down(&self, count: usize) -> std::io::Result<()> {
        Self::move_cursor(count, 'B')
    }

    fn move_cursor_right(&self, count: usize) -> std::io::Result<()> {
        Self::move_cursor(count, 'C')
    }

    fn move_cursor_left(&self, count: usize) -> std::io::Result<()> {
        Self::move_cursor(count, 'D')
    }

    fn write_line(&self, text: &str) -> std::io::Result<()> {
        Self::write(&format!("{text}\n"))
    }

    fn write_str(&self, text: &str) -> std::io::Result<()> {
        Self::write(text)
    }

    fn clear_line(&self) -> std::io::Result<()> {
        Self::write("\r\u{1b}[2K")
    }

    fn flush(&self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}

async fn watch(line: ProgressBar, execution: Arc<Execution>, monitor: Arc<OnceLock<Arc<Monitor>>>) {
    let (start, mut rate) = (Instant::now(), Rate::default());
    tokio::time::sleep(QUIET).await;
    line.set_draw_target(ProgressDrawTarget::term_like(Box::new(NarrowTerminal)));
    while !line.is_finished() {
        line.set_message(match monitor.get() {
            Some(monitor) => status::text(monitor, start.elapsed(), &mut rate),
            None => {
                let ahead = execution.ahead();
                let shown = ahead.as_ref().unwrap_or(&execution);
                fit(how_far(&shown.stats, start.elapsed()))
            }
        });
        line.tick();
        tokio::time::sleep(TICK).await;
    }
}

/// A part of the line, and how soon it is dropped from a line that is too long: the greatest first,
/// zero never.
pub(super) type Part = (u8, String);

/// Joins parts; fewer of them if they are longer than [`COLUMNS`].
pub(super) fn fit(mut parts: Vec<Part>) -> String {
    let columns = |parts: &[Part]| parts.iter().map(|(_, text)| text.len() + 2).sum::<usize>();
    while columns(&parts) > COLUMNS + 2 {
        let priority = |at: &usize| parts[*at].0;
        let worst = (0..parts.len()).max_by_key(priority);
        match worst.filter(|at| parts[*at].0 > 0) {
            Some(at) => drop(parts.remove(at)),
            None => break,
        }
    }
    let texts: Vec<String> = parts.into_iter().map(|(_, text)| text).collect();
    texts.join(", ")
}

/// `120 of 2,000 files, 35 of 600 MiB, 17 MiB/s, 180,000 events, 90,000/s, 33 s to go`, in parts.
pub(super) fn how_far(stats: &Stats, elapsed: Duration) -> Vec<Part> {
    let load = |number: &AtomicU64| number.load(Relaxed);
    let (read, listed) = (load(&stats.objects_read), load(&stats.objects_listed));
    // While the listing goes on the totals are only what is known so far.
    let is_total = stats.listing_done.load(Relaxed);
    let more = if is_total { "" } else { "+" };
    let mut parts = Vec::new();
    if listed > 1 || !is_total {
        let files = format!("{} of {}{more} files", count(read), count(listed));
        parts.push((0, files));
    }
    let (done, all) = (load(&stats.bytes_read), load(&stats.bytes_listed));
    // A pipe does not say how much is to come.
    parts.push(match done <= all {
        true => (0, format!("{}{more}", bytes_of(done, all))),
        false => (0, bytes(done)),
    });
    let events = load(&stats.events) + load(&stats.salvaged);
    let rate = |number: u64| (number as f64 / elapsed.as_secs_f64().max(0.001)) as u64;
    parts.push((2, format!("{}/s", bytes(rate(done)))));
    parts.push((0, counted(events, "event")));
    parts.push((3, format!("{}/s", count(rate(events)))));
    if is_total && elapsed > WARM_UP {
        parts.extend(time_to_go(done, all, elapsed).map(|text| (0, text)));
    }
    parts.extend(stats.retrying().map(|text| (0, text)));
    parts
}

/// `35 of 600 MiB`, or with both units if they differ.
fn bytes_of(done: u64, all: u64) -> String {
    let (done, all) = (bytes(done), bytes(all));
    match (done.split_once(' '), all.split_once(' ')) {
        (Some((number, unit)), Some((_, same))) if unit == same => format!("{number} of {all}"),
        _ => format!("{done} of {all}"),
    }
}

/// `1 min 20 s to go`, if the rest of the bytes takes as long as those before.
fn time_to_go(done: u64, all: u64, elapsed: Duration) -> Option<String> {
    let rest = all.checked_sub(done).filter(|rest| *rest > 0)?;
    let seconds = elapsed.as_secs_f64() * rest as f64 / done as f64;
    let seconds = Some(seconds).filter(|seconds| seconds.is_finite())?;
    Some(format!("{} to go", long_time(seconds.ceil() as u64)))
}

fn tell(reject: &Reject<'_>) {
    let location = &reject.location;
    let place = match (&*location.origin, location.byte) {
        ("-", Some(byte)) => format!("standard input@{byte}"),
        ("-", None) => "standard input".to_owned(),
        _ => location.to_string(),
    };
    logs::say_reject(&place, reject);
}

/// Writes a message of its own line, above the progress line if that is shown.
pub(super) fn write_above_line(message: &str) {
    // In one piece, so that nothing comes between. That nobody reads it is no fault.
    let _ = AboveLine.write_all(format!("auroratrail: {message}\n").as_bytes());
}

/// Standard error, above the progress line if that is shown. Each write is a whole line.
pub(super) struct AboveLine;

impl Write for AboveLine {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        let write = || std::io::stderr().lock().write_all(line);
        let shown = lock(&SHOWN).clone();
        match shown {
            Some(shown) => shown.suspend(write),
            None => write(),
        }
        .map(|()| line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}

/// The line that was shown last. There is one terminal.
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Locks, also after a panic elsewhere: each change is one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::report::tests::partly_read;

    #[test]
    fn totals_are_told_only_where_they_are_known() {
        let stats = partly_read();
        let far = |seconds| fit(how_far(&stats, Duration::from_secs(seconds)));
        assert_eq!(
            far(2),
            "120 of 2,000+ files, 35 of 600 MiB+, 18 MiB/s, 180,000 events, 90,000/s"
        );
        stats.listing_done.store(true, Relaxed);
        assert_eq!(
            far(2),
            "120 of 2,000 files, 35 of 600 MiB, 18 MiB/s, 180,000 events, 90,000/s"
        );
        stats.objects_listed.store(1, Relaxed);
        stats.bytes_listed.store(0, Relaxed);
        assert_eq!(far(5), "35 MiB, 7.0 MiB/s, 180,000 events, 36,000/s");
    }

    #[test]
    fn the_time_to_go_is_told_once_it_can_be_guessed_and_takes_the_place_of_a_rate() {
        let stats = partly_read();
        stats.bytes_read.store(60 << 20, Relaxed);
        let far = |millis| fit(how_far(&stats, Duration::from_millis(millis)));
        assert!(!far(9_000).contains("to go"), "the listing goes on");
        stats.listing_done.store(true, Relaxed);
        assert!(!far(2_000).contains("to go"), "too early");
        assert_eq!(
            far(6_000),
            "120 of 2,000 files, 60 of 600 MiB, 10 MiB/s, 180,000 events, 54 s to go"
        );
        stats.events.store(123_456_789, Relaxed);
        assert_eq!(
            far(9_000),
            "120 of 2,000 files, 60 of 600 MiB, 123,456,789 events, 1 min 21 s to go"
        );
        stats.bytes_read.store(0, Relaxed);
        assert!(!far(9_000).contains("to go"), "the rate is not known");
        stats.bytes_read.store(600 << 20, Relaxed);
        assert!(!far(9_000).contains("to go"), "all has been read");
        stats.bytes_read.store(700 << 20, Relaxed);
        assert!(!far(9_000).contains("to go"), "a pipe");
    }
}
