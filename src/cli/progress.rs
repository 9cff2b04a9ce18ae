//! The line on standard error that says how far it is, and the messages about what was wrong.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::HumanBytes;

use super::output::Destination;
use super::report::count;
use crate::stats::{Reject, Stats};

/// Work that is done sooner shows no progress.
const QUIET: Duration = Duration::from_secs(1);

/// How often the line changes.
const TICK: Duration = Duration::from_millis(200);

/// Messages about rejects that are shown; the rest is counted, and kept if asked.
const TOLD_REJECTS: u64 = 10;

/// The progress line of one command. On no terminal there is none, but messages still come out.
pub(super) struct Progress {
    line: Arc<Line>,
    task: Option<tokio::task::JoinHandle<()>>,
}

impl Progress {
    /// Starts watching `stats`, and telling of its rejects.
    pub(super) fn start(stats: &Arc<Stats>) -> Self {
        let line = Arc::new(Line::default());
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let task = (std::io::stderr().is_terminal() && !is_dumb)
            .then(|| tokio::spawn(watch(Arc::clone(&line), Arc::clone(stats))));
        let told = AtomicU64::new(0);
        let speaker = Arc::clone(&line);
        stats.on_reject(move |reject| {
            tell(&speaker, reject, told.fetch_add(1, Relaxed));
        });
        Self { line, task }
    }

    /// Takes the line away when the first row is written to the terminal that it is on.
    pub(super) fn give_way(&self, out: Destination) -> Destination {
        let name = out.name().to_owned();
        let line = Arc::clone(&self.line);
        Destination::new(GiveWay { line, out }, name)
    }

    /// Takes the line away.
    pub(super) fn finish(&self) {
        self.line.finish();
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

struct GiveWay {
    line: Arc<Line>,
    out: Destination,
}

impl Write for GiveWay {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.line.finish();
        self.out.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

/// The last line of the terminal that standard error is, while it is ours.
///
/// The cursor stays behind the text, so that the `^C` that a terminal shows goes away with it.
#[derive(Default)]
struct Line(Mutex<State>);

#[derive(Default, PartialEq, Eq)]
enum State {
    #[default]
    Hidden,
    Shown,
    Finished,
}

impl Line {
    /// Shows `text`, or as much as there is room for. Does nothing once it is finished.
    fn show(&self, text: &str) {
        let mut state = self.state();
        if *state == State::Finished {
            return;
        }
        let size = terminal_size::terminal_size_of(std::io::stderr());
        let columns = size.map_or(80, |(width, _)| usize::from(width.0));
        let text: String = text.chars().take(columns.saturating_sub(1)).collect();
        write_error(&format!("{CLEAR}{text}"));
        *state = State::Shown;
    }

    /// Writes a line of its own, above ours if there is one.
    fn say(&self, message: &str) {
        let mut state = self.state();
        let clear = match *state {
            State::Shown => CLEAR,
            _ => "",
        };
        if *state == State::Shown {
            *state = State::Hidden;
        }
        write_error(&format!("{clear}auroratrail: {message}\n"));
    }

    /// Goes away for good.
    fn finish(&self) {
        let mut state = self.state();
        if *state == State::Shown {
            write_error(CLEAR);
        }
        *state = State::Finished;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// To the start of the line, and away with what is in it.
const CLEAR: &str = "\r\u{1b}[2K";

/// In one piece, so that nothing comes between. That nobody reads it is no fault.
fn write_error(text: &str) {
    let mut out = std::io::stderr().lock();
    let _ = out.write_all(text.as_bytes());
}

async fn watch(line: Arc<Line>, stats: Arc<Stats>) {
    let start = Instant::now();
    tokio::time::sleep(QUIET).await;
    loop {
        line.show(&how_far(&stats, start.elapsed()));
        tokio::time::sleep(TICK).await;
    }
}

/// `120 of 2,000 files, 35.00 MiB of 600.00 MiB, 180,000 events, 90,000/s`
fn how_far(stats: &Stats, elapsed: Duration) -> String {
    let load = |number: &AtomicU64| number.load(Relaxed);
    let (read, listed) = (load(&stats.objects_read), load(&stats.objects_listed));
    // While the listing goes on the totals are only what is known so far.
    let is_total = stats.listing_done.load(Relaxed);
    let more = if is_total { "" } else { "+" };
    let mut parts = Vec::new();
    if listed > 1 || !is_total {
        parts.push(format!("{} of {}{more} files", count(read), count(listed)));
    }
    let (bytes, of_bytes) = (load(&stats.bytes_read), load(&stats.bytes_listed));
    // A pipe does not say how much is to come.
    parts.push(match bytes <= of_bytes {
        true => format!("{} of {}{more}", HumanBytes(bytes), HumanBytes(of_bytes)),
        false => HumanBytes(bytes).to_string(),
    });
    let events = load(&stats.events) + load(&stats.salvaged);
    let rate = (events as f64 / elapsed.as_secs_f64().max(0.001)) as u64;
    parts.push(format!("{} events, {}/s", count(events), count(rate)));
    parts.join(", ")
}

fn tell(line: &Line, reject: &Reject<'_>, number: u64) {
    if number < TOLD_REJECTS {
        let Reject {
            location,
            reason,
            detail,
            ..
        } = reject;
        let place = match (&*location.origin, location.byte) {
            ("-", Some(byte)) => format!("standard input@{byte}"),
            ("-", None) => "standard input".to_owned(),
            _ => location.to_string(),
        };
        line.say(&format!("{place}: {reason}: {detail}"));
    } else if number == TOLD_REJECTS {
        line.say("more rejects are counted and not shown (--rejects FILE keeps all of them)");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_told_only_where_they_are_known() {
        let stats = Stats::default();
        stats.objects_listed.store(2000, Relaxed);
        stats.objects_read.store(120, Relaxed);
        stats.bytes_listed.store(600 << 20, Relaxed);
        stats.bytes_read.store(35 << 20, Relaxed);
        stats.events.store(180_000, Relaxed);
        let far = || how_far(&stats, Duration::from_secs(2));
        assert_eq!(
            far(),
            "120 of 2,000+ files, 35.00 MiB of 600.00 MiB+, 180,000 events, 90,000/s"
        );
        stats.listing_done.store(true, Relaxed);
        assert_eq!(
            far(),
            "120 of 2,000 files, 35.00 MiB of 600.00 MiB, 180,000 events, 90,000/s"
        );
        stats.objects_listed.store(1, Relaxed);
        stats.bytes_listed.store(0, Relaxed);
        assert_eq!(far(), "35.00 MiB, 180,000 events, 90,000/s");
    }
}
