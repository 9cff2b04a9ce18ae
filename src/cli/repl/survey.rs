//! The greeting, and facts about the data that are gathered while the prompt is up.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use chrono::DateTime;
use tokio_util::task::AbortOnDropHandle;

use super::commands;
use super::completion::{SqlCompleter, Vocabulary};
use super::shell::Shell;
use super::source::EVENTS;
use crate::cli::report::{bytes, count, counted};
use crate::execution::Execution;
use crate::query::profile::{Profile, gather};

/// Facts about the table `events`, gathered in the background.
pub(super) struct Survey {
    vocabulary: Arc<RwLock<Vocabulary>>,
    profile: Arc<RwLock<Profile>>,
    execution: Arc<Execution>,
    /// Writes lines above the prompt.
    printer: Option<SyncSender<String>>,
    _work: Option<AbortOnDropHandle<()>>,
}

impl Survey {
    /// A survey that is not begun, and the completer that knows what it finds. Its result is sent to
    /// `printer`.
    pub(super) fn new(shell: &Shell, printer: Option<SyncSender<String>>) -> (Self, SqlCompleter) {
        let profile: Arc<RwLock<Profile>> = Arc::default();
        let vocabulary = Vocabulary::new(
            shell.session.tables(),
            shell.session.functions(),
            commands::words(),
            Arc::clone(&profile),
        );
        let vocabulary = Arc::new(RwLock::new(vocabulary));
        let completer = SqlCompleter {
            vocabulary: Arc::clone(&vocabulary),
        };
        let survey = Self {
            vocabulary,
            profile,
            execution: Arc::default(),
            printer,
            _work: None,
        };
        (survey, completer)
    }
}

impl Shell {
    /// Begins the survey anew, of the sources that there are now.
    pub(super) fn renew_survey(&mut self) {
        let Some(input) = self.inputs.input(EVENTS) else {
            return;
        };
        let Some(survey) = &mut self.survey else {
            return;
        };
        let profile: Arc<RwLock<Profile>> = Arc::default();
        let execution: Arc<Execution> = Arc::default();
        let (filled, stopped) = (Arc::clone(&profile), Arc::clone(&execution));
        let printer = survey.printer.clone();
        let work = async move {
            let gathered = gather(&input, Arc::clone(&filled), Arc::clone(&stopped)).await;
            // The statement that meets a fault of the input tells it.
            if let (Ok(()), Some(printer)) = (gathered, printer)
                && let Some(found) = found(&filled, &stopped)
            {
                // A prompt that has ended reads no more messages.
                let _ = printer.try_send(found);
            }
        };
        survey.profile = profile;
        survey.execution = execution;
        survey._work = Some(AbortOnDropHandle::new(tokio::spawn(work)));
        self.renew_vocabulary();
    }

    /// Tells completion of the tables that there are now.
    pub(super) fn renew_vocabulary(&self) {
        let Some(survey) = &self.survey else {
            return;
        };
        survey
            .vocabulary
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .renew(self.session.tables(), Arc::clone(&survey.profile));
    }

    /// Says what is read and what may be asked.
    pub(super) async fn greet(&self) {
        let places: Vec<String> = self
            .inputs
            .tables
            .iter()
            .flat_map(|(_, places)| places.iter().map(ToString::to_string))
            .collect();
        let places = match self.inputs.by_default {
            true => "made-up events (\\source PLACE reads yours)".to_owned(),
            false => places.join(", "),
        };
        let files = match &self.survey {
            Some(survey) => files_so_far(&survey.execution).await,
            None => String::new(),
        };
        eprintln!(
            "auroratrail {} reads {places}{files}.",
            env!("CARGO_PKG_VERSION")
        );
        let kept = match self.session.cache_usage().limit_bytes {
            0 => String::new(),
            limit => format!(
                " Columns that were read are kept, up to {} (--cache-memory).",
                bytes(limit as u64)
            ),
        };
        eprintln!("Tab completes, \\? lists commands, \\q leaves.{kept}");
        eprintln!("{EXAMPLES}");
    }
}

/// Returns the number of files that are listed within a moment; nothing for what are no files.
async fn files_so_far(execution: &Execution) -> String {
    let stats = &execution.stats;
    let begun = Instant::now();
    while begun.elapsed() < MOMENT && !stats.listing_done.load(Relaxed) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let more = match stats.listing_done.load(Relaxed) {
        true => "",
        false => " so far",
    };
    match stats.objects_listed.load(Relaxed) {
        0 => String::new(),
        files => format!(" ({}{more})", counted(files, "file")),
    }
}

/// Returns a line about the events of a survey that has ended.
fn found(profile: &RwLock<Profile>, execution: &Execution) -> Option<String> {
    let profile = profile.read().unwrap_or_else(PoisonError::into_inner);
    let day = |micros| {
        let time = DateTime::from_timestamp_micros(micros)?;
        Some(time.format("%Y-%m-%d %H:%M").to_string())
    };
    let (first, last) = profile.event_times()?;
    let (first, last) = (day(first)?, day(last)?);
    let stats = &execution.stats;
    let is_whole = stats.listing_done.load(Relaxed)
        && stats.objects_read.load(Relaxed) >= stats.objects_listed.load(Relaxed)
        && profile.events() >= stats.records();
    let events = count(profile.events());
    Some(match is_whole {
        true => format!("{events} events from {first} to {last} UTC"),
        false => format!("the first {events} events are from {first} to {last} UTC"),
    })
}

/// Three things to try.
const EXAMPLES: &str = "\
Try  SELECT eventName, count(*) FROM events GROUP BY 1 ORDER BY 2 DESC;
     SELECT eventTime, actor, eventName, db_identifier FROM aurora_events WHERE NOT readOnly;
     \\timeline CLUSTER-OR-INSTANCE";

/// The time that the greeting waits for the listing.
const MOMENT: Duration = Duration::from_millis(10);
