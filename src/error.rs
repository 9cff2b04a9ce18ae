//! Errors of a whole execution, told apart by who can do something about them.
//!
//! A bad *record* or *file* is not an error: it is counted and kept as a reject
//! ([`crate::reject`]), and the rest goes on.

use crate::input_location::InputLocation;

/// The result of anything that can fail for the whole command.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error with the place it came from, one pointer wide.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    location: Option<InputLocation>,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The kinds of errors, by who can fix them.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A fault of the command: a flag, a path, a credential. Its author can fix it.
    #[error("{0}")]
    Config(String),
    /// A fault of the SQL. Its author can fix it.
    #[error("{0}")]
    Query(String),
    /// A service that does not answer for now: throttling, a dropped connection, 5xx. Time fixes it;
    /// the only kind that is retried.
    #[error("{message}")]
    Unavailable {
        /// The service as its users call it: `S3`.
        service: &'static str,
        /// Its answer, in words.
        message: String,
    },
    /// Data that cannot be read, or a place that cannot be written to. The owner can fix it.
    #[error("{0}")]
    Io(String),
    /// An execution that ended early because it was told to.
    #[error("interrupted")]
    Stopped,
    /// A broken invariant of this program.
    #[error("{0}; this is a bug in auroratrail, please report it")]
    Bug(String),
}

impl Error {
    /// A setting, path or credential that cannot work.
    pub fn config(message: impl Into<String>) -> Self {
        ErrorKind::Config(message.into()).into()
    }

    /// SQL that cannot be answered.
    pub fn query(message: impl Into<String>) -> Self {
        ErrorKind::Query(message.into()).into()
    }

    /// A service that does not answer for now; the request may be repeated.
    pub fn unavailable(service: &'static str, message: impl Into<String>) -> Self {
        ErrorKind::Unavailable {
            service,
            message: message.into(),
        }
        .into()
    }

    /// The end of an execution that was told to stop.
    pub fn stopped() -> Self {
        ErrorKind::Stopped.into()
    }

    /// Something that could not be read or written.
    pub fn io(message: impl Into<String>) -> Self {
        ErrorKind::Io(message.into()).into()
    }

    /// A broken invariant of this program.
    pub fn bug(message: impl Into<String>) -> Self {
        ErrorKind::Bug(message.into()).into()
    }

    /// Adds the place, unless one nearer to the fault is known already.
    #[must_use]
    pub fn at(mut self, location: &InputLocation) -> Self {
        self.0.location.get_or_insert_with(|| location.clone());
        self
    }

    /// Keeps the error that led to this one, for [`std::error::Error::source`]. Its text is not part
    /// of the message: that says all that people need.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// Returns whether the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Unavailable { .. })
    }

    /// The kind: who can fix it.
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// The place in the input where it happened, if it did in one.
    pub fn location(&self) -> Option<&InputLocation> {
        self.0.location.as_ref()
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self(Box::new(Inner {
            kind,
            location: None,
            cause: None,
        }))
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(location) = &self.0.location {
            write!(f, "{location}: ")?;
        }
        self.0.kind.fmt(f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let cause = self.0.cause.as_deref()?;
        Some(cause)
    }
}
