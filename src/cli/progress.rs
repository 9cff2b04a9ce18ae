//! The line on standard error that says how far it is, and the messages about what was wrong.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

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
    bar: ProgressBar,
    done: Arc<AtomicBool>,
    task: Option<tokio::task::JoinHandle<()>>,
}

impl Progress {
    /// Starts watching `stats`, and telling of its rejects.
    pub(super) fn start(stats: &Arc<Stats>) -> Self {
        let bar = ProgressBar::hidden();
        let done = Arc::new(AtomicBool::new(false));
        let task = std::io::stderr().is_terminal().then(|| {
            let watch = watch(bar.clone(), Arc::clone(stats), Arc::clone(&done));
            tokio::spawn(watch)
        });
        let told = AtomicU64::new(0);
        let speaker = bar.clone();
        stats.on_reject(move |reject| {
            tell(&speaker, reject, told.fetch_add(1, Relaxed));
        });
        Self { bar, done, task }
    }

    /// Takes the line away when the first row is written to the terminal that it is on.
    pub(super) fn give_way(&self, out: Destination) -> Destination {
        let name = out.name().to_owned();
        let line = GiveWay {
            bar: self.bar.clone(),
            done: Arc::clone(&self.done),
            out,
        };
        Destination::new(line, name)
    }

    /// Takes the line away.
    pub(super) fn finish(&self) {
        self.done.store(true, Relaxed);
        if let Some(task) = &self.task {
            task.abort();
        }
        self.bar.finish_and_clear();
    }
}

struct GiveWay {
    bar: ProgressBar,
    done: Arc<AtomicBool>,
    out: Destination,
}

impl Write for GiveWay {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if !self.done.swap(true, Relaxed) {
            self.bar.finish_and_clear();
        }
        self.out.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

async fn watch(bar: ProgressBar, stats: Arc<Stats>, done: Arc<AtomicBool>) {
    let start = Instant::now();
    tokio::time::sleep(QUIET).await;
    let style = ProgressStyle::with_template("{spinner} {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar.set_draw_target(indicatif::ProgressDrawTarget::stderr());
    while !done.load(Relaxed) {
        bar.set_message(line(&stats, start.elapsed()));
        bar.tick();
        tokio::time::sleep(TICK).await;
    }
}

/// `120 of 2,000 files, 35 MiB of 600 MiB, 180,000 events, 90,000/s`
fn line(stats: &Stats, elapsed: Duration) -> String {
    let events = stats.events.load(Relaxed) + stats.salvaged.load(Relaxed);
    let rate = (events as f64 / elapsed.as_secs_f64().max(0.001)) as u64;
    // While the listing goes on the totals are only what is known so far.
    let more = if stats.listing_done.load(Relaxed) {
        ""
    } else {
        "+"
    };
    format!(
        "{} of {}{more} files, {} of {}{more}, {} events, {}/s",
        count(stats.objects_read.load(Relaxed)),
        count(stats.objects_listed.load(Relaxed)),
        HumanBytes(stats.bytes_read.load(Relaxed)),
        HumanBytes(stats.bytes_listed.load(Relaxed)),
        count(events),
        count(rate),
    )
}

fn tell(bar: &ProgressBar, reject: &Reject<'_>, number: u64) {
    if number < TOLD_REJECTS {
        say(
            bar,
            &format!("{}: {}: {}", reject.position, reject.reason, reject.detail),
        );
    } else if number == TOLD_REJECTS {
        say(
            bar,
            "more rejects are counted and not shown (--rejects FILE keeps all of them)",
        );
    }
}

fn say(bar: &ProgressBar, message: &str) {
    bar.suspend(|| eprintln!("auroratrail: {message}"));
}
