//! Looks at a source before it is read: is it there, may it be read, how far behind is a reader?

use std::time::Duration;

use crate::error::{Error, Result};

/// A request that was tried, and what came of it.
#[derive(Debug)]
pub struct AccessCheck {
    /// The permission that the request needs: `kinesis:ListShards`.
    pub action: &'static str,
    /// The thing that it is about: `stream trail`, `shardId-000000000000`.
    pub resource: String,
    /// The finding in words, or the reason that there is none.
    pub outcome: Result<String>,
}

impl AccessCheck {
    /// A request that was answered, or not.
    pub(super) fn new(
        action: &'static str,
        resource: impl Into<String>,
        outcome: Result<String>,
    ) -> Self {
        Self {
            action,
            resource: resource.into(),
            outcome,
        }
    }

    /// Returns the error, if the request failed.
    pub fn error(&self) -> Option<&Error> {
        self.outcome.as_ref().err()
    }
}

/// Returns a lag in words: `3 min 20 s behind`.
pub(super) fn behind(lag: Duration) -> String {
    let seconds = lag.as_secs();
    let parts = [
        (seconds / 86_400, "d"),
        (seconds / 3600 % 24, "h"),
        (seconds / 60 % 60, "min"),
        (seconds % 60, "s"),
    ];
    let first = parts.iter().position(|(number, _)| *number > 0);
    match first {
        None => "up to date".to_owned(),
        Some(first) => {
            let shown = parts[first..]
                .iter()
                .take(2)
                .filter(|(number, _)| *number > 0);
            let shown: Vec<String> = shown
                .map(|(number, unit)| format!("{number} {unit}"))
                .collect();
            format!("{} behind", shown.join(" "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lags_have_two_units_at_most() {
        for (seconds, expected) in [
            (0, "up to date"),
            (59, "59 s behind"),
            (200, "3 min 20 s behind"),
            (3600, "1 h behind"),
            (90_061, "1 d 1 h behind"),
        ] {
            assert_eq!(behind(Duration::from_secs(seconds)), expected);
        }
    }
}
