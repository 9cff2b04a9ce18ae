//! S3's errors in words for people. Neither its XML nor anything signed gets out of here.

use std::error::Error as StdError;

use crate::error::Error;
use crate::source::aws::NoCredentials;

/// A request to S3, for messages about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::source) enum Operation {
    /// Listing what is below a prefix.
    List,
    /// Reading an object.
    Get,
    /// Writing or deleting an object.
    Put,
}

/// Translates an error about `url` into ours: words for people, and whether a retry can help.
pub(in crate::source) fn translate(
    error: object_store::Error,
    operation: Operation,
    url: &str,
) -> Error {
    let message = describe(&error, operation, url);
    match is_transient(&error) {
        true => Error::unavailable("S3", message),
        false => Error::io(message),
    }
    .caused_by(error)
}

/// Returns whether the same request may succeed later: throttling, 5xx, a dropped connection.
fn is_transient(error: &object_store::Error) -> bool {
    if !matches!(error, object_store::Error::Generic { .. }) {
        return false;
    }
    let mut said = String::new();
    for cause in causes(error) {
        if cause.is::<NoCredentials>() {
            return false;
        }
        said.push_str(&cause.to_string());
    }
    match between(&said, "<Code>", "</Code>") {
        Some(code) => matches!(
            code,
            "SlowDown" | "ServiceUnavailable" | "InternalError" | "RequestTimeout"
        ),
        None => !said.contains("400 Bad Request"),
    }
}

fn describe(error: &object_store::Error, operation: Operation, url: &str) -> String {
    let causes: Vec<&(dyn StdError + 'static)> = causes(error).collect();
    if let Some(missing) = causes
        .iter()
        .find_map(|e| e.downcast_ref::<NoCredentials>())
    {
        return missing.to_string();
    }
    let said: Vec<String> = causes.iter().map(ToString::to_string).collect();
    let said = said.join(" ");
    let bucket = bucket(url);
    let code = between(&said, "<Code>", "</Code>");
    if let Some(meaning) = code.and_then(|code| by_code(code, &said, operation, bucket)) {
        return meaning;
    }
    match (error, code) {
        (object_store::Error::NotFound { .. }, _) => missing(operation, bucket),
        (object_store::Error::PermissionDenied { .. }, _) => denied(&said, operation, bucket),
        (object_store::Error::Unauthenticated { .. }, _) => {
            "S3 wants credentials; set AWS_PROFILE or AWS_ACCESS_KEY_ID".to_owned()
        }
        (object_store::Error::Precondition { .. }, _) => {
            "the object was replaced while it was read; run the query again".to_owned()
        }
        (object_store::Error::InvalidPath { .. }, _) => {
            "S3 has a key here with `//`, `.`, `..` or a control character in it, which cannot be \
             read; name the folders beside it"
                .to_owned()
        }
        (_, Some(code)) => format!("S3 answered {code}; try again later"),
        (_, None) => by_transport(&said, bucket),
    }
}

fn by_code(code: &str, said: &str, operation: Operation, bucket: &str) -> Option<String> {
    Some(match code {
        "NoSuchBucket" => format!("there is no bucket `{bucket}`"),
        "NoSuchKey" => missing(Operation::Get, bucket),
        "AccessDenied" | "AllAccessDisabled" | "AccountProblem" | "Forbidden" => {
            denied(said, operation, bucket)
        }
        "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" | "RequestExpired" => {
            "the AWS session has expired; log in again, for instance with `aws sso login`"
                .to_owned()
        }
        "InvalidAccessKeyId"
        | "InvalidToken"
        | "SignatureDoesNotMatch"
        | "InvalidClientTokenId" => {
            "S3 does not accept the AWS credentials; check them with `aws sts get-caller-identity`"
                .to_owned()
        }
        "RequestTimeTooSkewed" => "this machine's clock is wrong; set it".to_owned(),
        "PermanentRedirect"
        | "TemporaryRedirect"
        | "AuthorizationHeaderMalformed"
        | "IllegalLocationConstraintException" => elsewhere(bucket, said),
        "InvalidObjectState" => {
            "the object is in an archive (Glacier); restore it before it can be read".to_owned()
        }
        "SlowDown" | "ServiceUnavailable" | "InternalError" | "RequestTimeout" => {
            format!("S3 is busy ({code}) and stayed so; try again later")
        }
        _ => return None,
    })
}

fn by_transport(said: &str, bucket: &str) -> String {
    let said = said.to_lowercase();
    let is = |needles: &[&str]| needles.iter().any(|needle| said.contains(needle));
    if is(&["redirect"]) {
        elsewhere(bucket, "")
    } else if is(&["400 bad request"]) {
        // The answer to a HEAD has no body to tell more.
        "S3 rejects the request: the AWS session may have expired, or the bucket be in another region"
            .to_owned()
    } else if is(&["dns", "lookup", "resolve"]) {
        "the host of S3 is not known here; check the network and AWS_ENDPOINT_URL".to_owned()
    } else if is(&["connect", "refused", "unreachable"]) {
        "S3 cannot be reached; check the network and AWS_ENDPOINT_URL".to_owned()
    } else if is(&["certificate", "tls"]) {
        "the server's certificate is not accepted; check AWS_ENDPOINT_URL".to_owned()
    } else if is(&["timed out", "timeout"]) {
        "S3 did not answer in time; try again later".to_owned()
    } else if is(&["invalid list response", "xml"]) {
        "the answer is not S3's; check AWS_ENDPOINT_URL".to_owned()
    } else {
        "S3 broke off; try again later".to_owned()
    }
}

fn denied(said: &str, operation: Operation, bucket: &str) -> String {
    let (action, resource) = match operation {
        _ if said.contains("kms:Decrypt") => ("kms:Decrypt", "the trail's key".to_owned()),
        _ if said.contains("kms:GenerateDataKey") => {
            ("kms:GenerateDataKey", "the bucket's key".to_owned())
        }
        Operation::List => ("s3:ListBucket", format!("arn:aws:s3:::{bucket}")),
        Operation::Get => ("s3:GetObject", format!("arn:aws:s3:::{bucket}/*")),
        Operation::Put => ("s3:PutObject", format!("arn:aws:s3:::{bucket}/*")),
    };
    format!("access denied; these credentials need {action} on {resource}")
}

fn missing(operation: Operation, bucket: &str) -> String {
    match operation {
        Operation::List | Operation::Put => format!("there is no bucket `{bucket}`"),
        Operation::Get => "the object is gone: deleted since it was listed".to_owned(),
    }
}

fn elsewhere(bucket: &str, said: &str) -> String {
    match between(said, "<Region>", "</Region>") {
        Some(region) => format!("the bucket `{bucket}` is in {region}; set AWS_REGION={region}"),
        None => format!("the bucket `{bucket}` is in another region; set AWS_REGION to it"),
    }
}

fn bucket(url: &str) -> &str {
    let rest = url.strip_prefix("s3://").unwrap_or(url);
    rest.split('/').next().unwrap_or(rest)
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(start)?;
    let (inner, _) = rest.split_once(end)?;
    // A server of one's own may answer anything: only what looks like a name is repeated.
    let is_name = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
    (inner.len() <= 64 && inner.bytes().all(is_name)).then_some(inner)
}

fn causes(error: &object_store::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    std::iter::successors(Some(error as &(dyn StdError + 'static)), |error| {
        let error: &(dyn StdError + 'static) = *error;
        error.source()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(body: &str, operation: Operation) -> String {
        let error = object_store::Error::Generic {
            store: "S3",
            source: body.to_owned().into(),
        };
        describe(&error, operation, "s3://trails/AWSLogs/")
    }

    #[test]
    fn each_refusal_says_what_to_do_and_shows_no_xml() {
        let xml = |code: &str| {
            format!(
                "Server returned non-2xx status code: 403: <Error><Code>{code}</Code><Message>AKIASECRET</Message></Error>"
            )
        };
        for (code, operation, expected) in [
            (
                "AccessDenied",
                Operation::List,
                "s3:ListBucket on arn:aws:s3:::trails",
            ),
            (
                "AccessDenied",
                Operation::Get,
                "s3:GetObject on arn:aws:s3:::trails/*",
            ),
            ("NoSuchBucket", Operation::List, "no bucket `trails`"),
            ("ExpiredToken", Operation::Get, "expired"),
            ("InvalidAccessKeyId", Operation::List, "get-caller-identity"),
            ("PermanentRedirect", Operation::List, "AWS_REGION"),
            ("InvalidObjectState", Operation::Get, "Glacier"),
            ("SomethingNew", Operation::Get, "SomethingNew"),
        ] {
            let said = said(&xml(code), operation);
            assert!(said.contains(expected), "{code}: {said}");
            assert!(
                !said.contains("AKIA") && !said.contains('<'),
                "{code}: {said}"
            );
        }
        let kms = said(
            "<Code>AccessDenied</Code> not authorized to perform: kms:Decrypt",
            Operation::Get,
        );
        assert!(kms.contains("kms:Decrypt"), "{kms}");
        let malformed = "<Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region>";
        assert!(said(malformed, Operation::List).contains("AWS_REGION=eu-west-1"));
        assert!(
            said("error trying to connect: refused", Operation::List).contains("AWS_ENDPOINT_URL")
        );
    }
}
