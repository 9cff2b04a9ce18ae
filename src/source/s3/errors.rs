//! What S3's errors mean to people. Neither its XML nor anything signed gets out of here.

use std::error::Error;

use super::credentials::NoCredentials;

/// What was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::source) enum Doing {
    /// Listing what is below a prefix.
    List,
    /// Reading an object.
    Get,
}

/// What went wrong with `url`, and what to do about it.
pub(in crate::source) fn describe(error: &object_store::Error, doing: Doing, url: &str) -> String {
    let causes: Vec<&(dyn Error + 'static)> = causes(error).collect();
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
    if let Some(meaning) = code.and_then(|code| by_code(code, &said, doing, bucket)) {
        return meaning;
    }
    match (error, code) {
        (object_store::Error::NotFound { .. }, _) => missing(doing, bucket),
        (object_store::Error::PermissionDenied { .. }, _) => denied(&said, doing, bucket),
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

fn by_code(code: &str, said: &str, doing: Doing, bucket: &str) -> Option<String> {
    Some(match code {
        "NoSuchBucket" => format!("there is no bucket `{bucket}`"),
        "NoSuchKey" => missing(Doing::Get, bucket),
        "AccessDenied" | "AllAccessDisabled" | "AccountProblem" | "Forbidden" => {
            denied(said, doing, bucket)
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

fn denied(said: &str, doing: Doing, bucket: &str) -> String {
    let (action, resource) = match doing {
        _ if said.contains("kms:Decrypt") => ("kms:Decrypt", "the trail's key".to_owned()),
        Doing::List => ("s3:ListBucket", format!("arn:aws:s3:::{bucket}")),
        Doing::Get => ("s3:GetObject", format!("arn:aws:s3:::{bucket}/*")),
    };
    format!("access denied; these credentials need {action} on {resource}")
}

fn missing(doing: Doing, bucket: &str) -> String {
    match doing {
        Doing::List => format!("there is no bucket `{bucket}`"),
        Doing::Get => "the object is gone: deleted since it was listed".to_owned(),
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

fn causes(error: &object_store::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(Some(error as &(dyn Error + 'static)), |error| {
        let error: &(dyn Error + 'static) = *error;
        error.source()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(body: &str, doing: Doing) -> String {
        let error = object_store::Error::Generic {
            store: "S3",
            source: body.to_owned().into(),
        };
        describe(&error, doing, "s3://trails/AWSLogs/")
    }

    #[test]
    fn each_refusal_says_what_to_do_and_shows_no_xml() {
        let xml = |code: &str| {
            format!(
                "Server returned non-2xx status code: 403: <Error><Code>{code}</Code><Message>AKIASECRET</Message></Error>"
            )
        };
        for (code, doing, expected) in [
            (
                "AccessDenied",
                Doing::List,
                "s3:ListBucket on arn:aws:s3:::trails",
            ),
            (
                "AccessDenied",
                Doing::Get,
                "s3:GetObject on arn:aws:s3:::trails/*",
            ),
            ("NoSuchBucket", Doing::List, "no bucket `trails`"),
            ("ExpiredToken", Doing::Get, "expired"),
            ("InvalidAccessKeyId", Doing::List, "get-caller-identity"),
            ("PermanentRedirect", Doing::List, "AWS_REGION"),
            ("InvalidObjectState", Doing::Get, "Glacier"),
            ("SomethingNew", Doing::Get, "SomethingNew"),
        ] {
            let said = said(&xml(code), doing);
            assert!(said.contains(expected), "{code}: {said}");
            assert!(
                !said.contains("AKIA") && !said.contains('<'),
                "{code}: {said}"
            );
        }
        let kms = said(
            "<Code>AccessDenied</Code> not authorized to perform: kms:Decrypt",
            Doing::Get,
        );
        assert!(kms.contains("kms:Decrypt"), "{kms}");
        let malformed = "<Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region>";
        assert!(said(malformed, Doing::List).contains("AWS_REGION=eu-west-1"));
        assert!(said("error trying to connect: refused", Doing::List).contains("AWS_ENDPOINT_URL"));
    }
}
