//! What can go wrong for the whole command, told apart by who can do something about it.
//!
//! A bad *record* or *file* is no error: it is counted and kept as a reject
//! ([`crate::stats`]), and the rest goes on.

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
}

/// Who can fix it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The one who typed the command: a flag, a path, a credential.
    #[error("{0}")]
    Config(String),
    /// The one who wrote the SQL.
    #[error("{0}")]
    Query(String),
    /// Nobody, just wait: throttling, a dropped connection. The only kind that is tried again.
    #[error("{service} is unavailable: {message}")]
    Unavailable {
        /// The service as its users call it: `S3`.
        service: &'static str,
        /// What it answered.
        message: String,
    },
    /// The owner of the data or of the place it is written to.
    #[error("{0}")]
    Io(String),
    /// Us.
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

    /// Who can fix it.
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// Where it happened, when that is a place in some input.
    pub fn location(&self) -> Option<&InputLocation> {
        self.0.location.as_ref()
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self(Box::new(Inner {
            kind,
            location: None,
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

impl std::error::Error for Error {}
