//! Ctrl-C and SIGTERM at the prompt.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::cli::output::TemporaryFiles;
use crate::cli::{GRACE, INTERRUPTED, SignalKind, Signals};

/// The signals of the process, and the work that Ctrl-C ends.
///
/// At a terminal, SIGINT ends the statement that runs, if one does; in a script it ends the whole.
/// SIGTERM ends the process in both, after the line editor has given the terminal back.
pub(super) struct Interrupts {
    is_interactive: bool,
    temporary: TemporaryFiles,
    current: Mutex<Option<CancellationToken>>,
    /// Whether Ctrl-C was pressed while nothing ran.
    pressed: AtomicBool,
    /// Set when the line editor has to give up.
    leaving: Arc<AtomicBool>,
}

/// Work that Ctrl-C ends, until this is dropped.
pub(super) struct Interruptible<'a> {
    interrupts: &'a Interrupts,
    /// Cancelled by Ctrl-C.
    pub(super) stop: CancellationToken,
}

impl Interrupts {
    /// Interrupts of a process that has made `temporary` files.
    pub(super) fn new(is_interactive: bool, temporary: TemporaryFiles) -> Self {
        Self {
            is_interactive,
            temporary,
            current: Mutex::default(),
            pressed: AtomicBool::default(),
            leaving: Arc::default(),
        }
    }

    /// Begins work that Ctrl-C ends.
    pub(super) fn begin(&self) -> Interruptible<'_> {
        let stop = CancellationToken::new();
        *self.current() = Some(stop.clone());
        Interruptible {
            interrupts: self,
            stop,
        }
    }

    /// Returns the flag that tells the line editor to give up.
    pub(super) fn leaving(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.leaving)
    }

    /// Returns whether Ctrl-C was pressed while nothing ran, since this was last asked.
    pub(super) fn take_pressed(&self) -> bool {
        self.pressed.swap(false, Relaxed)
    }

    /// Obeys signals for as long as the process runs.
    pub(super) async fn obey(&self) {
        let Some(mut signals) = Signals::new() else {
            return;
        };
        loop {
            let kind = signals.next().await;
            let stop = self.current().clone();
            match &stop {
                Some(stop) => stop.cancel(),
                None => self.pressed.store(true, Relaxed),
            }
            match (kind, self.is_interactive) {
                (SignalKind::Interrupt, true) => {}
                (SignalKind::Interrupt, false) => break,
                (SignalKind::Terminate, _) => {
                    self.leaving.store(true, Relaxed);
                    break;
                }
            }
        }
        let _ = tokio::time::timeout(GRACE, signals.next()).await;
        self.temporary.remove();
        std::process::exit(INTERRUPTED.into());
    }

    fn current(&self) -> std::sync::MutexGuard<'_, Option<CancellationToken>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Interruptible<'_> {
    fn drop(&mut self) {
        *self.interrupts.current() = None;
    }
}
