//! Messages on standard error: for people, or as structured logs.
//!
//! | `--log` | messages | events of a long run: start, commits, retries |
//! | --- | --- | --- |
//! | `text` | `auroratrail: ...` | the same, from `--log-level debug` on |
//! | `json` | a JSON object a line | the same |
//!
//! Events are written with `tracing`, here and in other modules. Those of other crates are left out,
//! whatever their level: they quote requests with their headers, and lines of configuration files. No
//! event of this crate has content of records in it.

use std::fmt;
use std::sync::OnceLock;

use clap::Args;
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use super::progress;
use crate::error::Error;
use crate::reject::Reject;

/// The options of messages and logs.
#[derive(Debug, Args)]
pub(super) struct LogArguments {
    /// How to write messages on standard error
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = LogFormat::Text)]
    log: LogFormat,

    /// The least important messages that are written; commits and retries are among them from debug on,
    /// in JSON from info on
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t = Level::Info)]
    log_level: Level,
}

/// A format of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum LogFormat {
    /// For people, with a line of progress on a terminal
    Text,
    /// For machines: a JSON object a line
    Json,
}

/// The importance of a message, from the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(super) enum Level {
    /// The error that ends the command
    Error,
    /// Something that needs a look: a reject, a source that fails
    Warn,
    /// The course of the command: its start, its stop, its summary
    Info,
    /// The same in more detail
    Debug,
    /// Everything
    Trace,
}

impl LogArguments {
    /// Begins to write messages as asked, for the rest of the process.
    pub(super) fn begin(&self) {
        if SETTINGS.set((self.log, self.log_level)).is_err() {
            return;
        }
        let ours = Targets::new().with_target("auroratrail", self.log_level.filter());
        let registry = tracing_subscriber::registry().with(ours);
        let lines = tracing_subscriber::fmt::layer();
        // It fails only where a subscriber is set already.
        let _ = match self.log {
            LogFormat::Json => {
                silence_panics();
                let lines = lines.json().flatten_event(true).with_current_span(false);
                let lines = lines.with_span_list(false).with_writer(std::io::stderr);
                registry.with(lines).try_init()
            }
            LogFormat::Text if self.log_level >= Level::Debug => {
                let lines = lines.with_ansi(false).event_format(ForPeople);
                let lines = lines.with_writer(|| progress::AboveLine);
                registry.with(lines).try_init()
            }
            LogFormat::Text => Ok(()),
        };
    }
}

impl Level {
    fn filter(self) -> LevelFilter {
        match self {
            Self::Error => LevelFilter::ERROR,
            Self::Warn => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
            Self::Trace => LevelFilter::TRACE,
        }
    }
}

/// Returns whether messages are JSON: nothing else may be written to standard error then.
pub(super) fn is_json() -> bool {
    format() == LogFormat::Json
}

/// Writes a message.
pub(super) fn say(level: Level, message: &str) {
    match (format(), level) {
        (LogFormat::Json, Level::Error) => tracing::error!("{message}"),
        (LogFormat::Json, Level::Warn) => tracing::warn!("{message}"),
        (LogFormat::Json, _) => tracing::info!("{message}"),
        (LogFormat::Text, _) if is_wanted(level) => progress::write_above_line(message),
        (LogFormat::Text, _) => {}
    }
}

/// Writes a message about a reject. `place` is the place as people know it.
pub(super) fn say_reject(place: &str, reject: &Reject<'_>) {
    match format() {
        // The detail may quote what was found.
        LogFormat::Json => tracing::warn!(
            origin = &*reject.location.origin,
            byte = reject.location.byte,
            reason = reject.reason,
            "rejected"
        ),
        LogFormat::Text => say(
            Level::Warn,
            &format!("{place}: {}: {}", reject.reason, reject.detail),
        ),
    }
}

/// Writes the error that ends the command.
pub fn say_error(error: &Error) {
    say(Level::Error, &error.to_string());
}

fn format() -> LogFormat {
    SETTINGS
        .get()
        .map_or(LogFormat::Text, |(format, _)| *format)
}

fn is_wanted(level: Level) -> bool {
    SETTINGS.get().is_none_or(|(_, least)| level <= *least)
}

/// Tells of a panic without its message, which may quote the text that was worked on.
fn silence_panics() {
    std::panic::set_hook(Box::new(|panic| {
        if crate::decoding::is_told_later(panic) {
            return;
        }
        let place = panic.location().map(ToString::to_string);
        let place = place.unwrap_or_default();
        tracing::error!(
            place,
            "a thread panicked; this is a bug in auroratrail, please report it"
        );
    }));
}

/// The format of events for people: `auroratrail: committed version=3 rows=120`.
struct ForPeople;

impl<S, N> FormatEvent<S, N> for ForPeople
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        write!(writer, "auroratrail: ")?;
        context.format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

/// The format and the least important level, once they are known. There is one standard error.
static SETTINGS: OnceLock<(LogFormat, Level)> = OnceLock::new();
