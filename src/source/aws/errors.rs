//! Errors of AWS's APIs, in words and by who can mend them.

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};

use super::credentials::advice;
use crate::error::Error;

/// A request, as an error tells of it.
#[derive(Clone, Copy, Debug)]
pub(in crate::source) struct Request<'a> {
    /// The service as its users call it: `Kinesis`.
    pub(in crate::source) service: &'static str,
    /// The permission that it needs: `kinesis:GetRecords`.
    pub(in crate::source) action: &'static str,
    /// The thing that the permission is for: `stream trail-stream`.
    pub(in crate::source) resource: &'a str,
}

impl Request<'_> {
    /// Returns the error of a request that failed. Its text has nothing of what was asked or answered
    /// but the service's message.
    ///
    /// See <https://docs.aws.amazon.com/kinesis/latest/APIReference/CommonErrors.html>.
    pub(in crate::source) fn failed<E>(&self, error: SdkError<E>) -> Error
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let status = error.raw_response().map(|raw| raw.status().as_u16());
        let code = error.code().unwrap_or_default().to_owned();
        let said = said(&code, error.message().unwrap_or_default(), status);
        match &error {
            SdkError::ServiceError(_) => self.answered(&code, &said, status),
            SdkError::ConstructionFailure(_) | SdkError::DispatchFailure(_) => {
                let why = innermost(&error);
                match credentials_error(&error) {
                    Some(error) => Error::config(advice(error)),
                    None if why.contains("missing") && why.contains("region") => Error::config(format!(
                        "no AWS region is set to ask {} in; add region=eu-west-1 (or yours) to the URL, or \
                         set AWS_REGION",
                        self.service
                    )),
                    None => self.unavailable(&why),
                }
            }
            SdkError::TimeoutError(_) => self.unavailable("no answer in time"),
            // Cut off, or not what the service sends.
            _ => self.unavailable(&innermost(&error)),
        }
        .caused_by(error)
    }

    /// Returns the error of an answer that ended before its time.
    pub(in crate::source) fn interrupted(
        &self,
        error: &(dyn std::error::Error + 'static),
    ) -> Error {
        self.unavailable(&innermost(error))
    }

    fn answered(&self, code: &str, said: &str, status: Option<u16>) -> Error {
        let Self {
            service,
            action,
            resource,
        } = self;
        let short = code.trim_end_matches("Exception");
        if is_denied(short) {
            return Error::config(format!(
                "{service} does not allow {action} on {resource}: {}; \
                 `auroratrail iam` prints the policy that is needed",
                or(said, short)
            ));
        }
        let is_passing = is_throttled(short)
            || status.is_some_and(|status| status >= 500)
            || matches!(short, "InternalFailure" | "ServiceUnavailable" | "RequestTimeout" | "ResourceInUse")
            // Looked up anew for the next attempt.
            || matches!(short, "ExpiredToken" | "RequestExpired" | "RequestTimeTooSkewed")
            // The client sets its clock by the answer.
            || (short == "InvalidSignature" && said.contains("expired"));
        if is_passing {
            return self.unavailable(&or(said, short));
        }
        if short == "ResourceNotFound" {
            return Error::config(format!("{service} has no {resource}: {}", or(said, short)));
        }
        let code = if short.is_empty() { "an error" } else { short };
        Error::config(format!(
            "{service} refused {action} on {resource}: {code}: {said}"
        ))
    }

    fn unavailable(&self, said: &str) -> Error {
        Error::unavailable(
            self.service,
            format!("{} ({}): {said}", self.service, self.action),
        )
    }
}

/// Returns whether an error's code, without `Exception`, means a missing permission or identity.
fn is_denied(code: &str) -> bool {
    matches!(
        code,
        "AccessDenied"
            | "UnrecognizedClient"
            | "NotAuthorized"
            | "UnauthorizedOperation"
            | "InvalidClientTokenId"
            | "MissingAuthenticationToken"
            | "KMSAccessDenied"
    )
}

/// Returns whether an error's code, without `Exception`, means that less is to be asked.
pub(in crate::source) fn is_throttled(code: &str) -> bool {
    code.contains("Throttl")
        || matches!(
            code,
            "ProvisionedThroughputExceeded"
                | "LimitExceeded"
                | "TooManyRequests"
                | "RequestLimitExceeded"
                | "SlowDown"
                | "KMSThrottling"
        )
}

/// Returns what an answer says. Of a proxy, or a server that has no such call, that may be the status alone.
fn said(code: &str, message: &str, status: Option<u16>) -> String {
    match status {
        Some(status) if code.is_empty() && message.is_empty() => {
            format!("HTTP {status} without a reason")
        }
        _ => message.to_owned(),
    }
}

fn or(said: &str, code: &str) -> String {
    let text = if said.is_empty() { code } else { said };
    text.trim_end_matches('.').to_owned()
}

fn credentials_error<'e>(
    error: &'e (dyn std::error::Error + 'static),
) -> Option<&'e CredentialsError> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

/// The text of the error that led to all others: `connection refused`.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(cause) = error.source() {
        error = cause;
    }
    let text = error.to_string();
    let text = text
        .split_once(" (os error")
        .map_or(&*text, |(text, _)| text);
    text.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_without_a_reason_is_told_by_its_status() {
        let request = Request {
            service: "CloudTrail",
            action: "cloudtrail:LookupEvents",
            resource: "the event history",
        };
        let failed = |status| {
            let said = said("", "", Some(status));
            request.answered("", &said, Some(status)).to_string()
        };
        insta::assert_snapshot!(failed(500), @"CloudTrail (cloudtrail:LookupEvents): HTTP 500 without a reason");
        insta::assert_snapshot!(failed(418), @"CloudTrail refused cloudtrail:LookupEvents on the event history: an error: HTTP 418 without a reason");
        assert_eq!(said("SlowDown", "", Some(503)), "");
        assert_eq!(said("SlowDown", "less, please", Some(503)), "less, please");
    }
}
