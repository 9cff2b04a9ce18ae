//! Rejects: input that should have been an event and is not usable.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use crate::input_location::InputLocation;

/// A stretch of input that should have been an event and is not usable.
#[derive(Debug)]
pub struct Reject<'a> {
    /// The place where it starts.
    pub location: InputLocation,
    /// A short, stable reason to count by: `truncated gzip`.
    pub reason: &'static str,
    /// The fault in words and, if there is any, advice.
    pub detail: String,
    /// The offending bytes, as far as they are known. Content: kept on request, never logged.
    pub bytes: &'a [u8],
}

/// Returns an I/O error's message for people: `no such file or directory`, without its number.
pub fn why(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text
        .split_once(" (os error")
        .map_or(&*text, |(text, _)| text);
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}

/// A receiver of rejects, called from every thread that reads or decodes.
pub trait RejectSink: Send + Sync {
    /// Takes one reject. Must not fail: counting has been done by the caller.
    fn reject(&self, reject: &Reject<'_>);
}

impl<F: Fn(&Reject<'_>) + Send + Sync> RejectSink for F {
    fn reject(&self, reject: &Reject<'_>) {
        self(reject);
    }
}

impl<S: RejectSink + ?Sized> RejectSink for std::sync::Arc<S> {
    fn reject(&self, reject: &Reject<'_>) {
        (**self).reject(reject);
    }
}

/// Writes each reject as a line of JSON: `origin`, `byte`, `reason`, `detail`, `content`.
pub struct RejectWriter(Mutex<State>);

struct State {
    out: Box<dyn Write + Send>,
    failure: Option<io::Error>,
}

impl RejectWriter {
    /// A writer of lines to `out`, which should be buffered.
    pub fn new(out: impl Write + Send + 'static) -> Self {
        Self(Mutex::new(State {
            out: Box::new(out),
            failure: None,
        }))
    }

    /// Flushes the lines.
    ///
    /// # Errors
    /// The first error that a write or this flush met: from there on lines are missing.
    pub fn finish(&self) -> io::Result<()> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match state.failure.take() {
            Some(error) => Err(error),
            None => state.out.flush(),
        }
    }
}

impl RejectSink for RejectWriter {
    fn reject(&self, reject: &Reject<'_>) {
        let line = serde_json::json!({
            "origin": &*reject.location.origin,
            "byte": reject.location.byte,
            "reason": reject.reason,
            "detail": reject.detail,
            "content": String::from_utf8_lossy(reject.bytes),
        });
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A full disk does not stop the run: it is told when the writer is finished.
        if state.failure.is_none()
            && let Err(error) = writeln!(state.out, "{line}")
        {
            state.failure = Some(error);
        }
    }
}

impl std::fmt::Debug for RejectWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RejectWriter").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Full;

    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::from(io::ErrorKind::StorageFull))
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_write_that_failed_is_told_at_the_end() {
        let writer = RejectWriter::new(Full);
        writer.reject(&Reject {
            location: InputLocation::new("a"),
            reason: "not JSON",
            detail: String::new(),
            bytes: b"{",
        });
        let error = writer.finish().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
