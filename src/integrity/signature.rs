//! Signatures of digest files: RSASSA-PKCS1-v1_5 with SHA-256, and the keys to check them with.

use async_trait::async_trait;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, Utc};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::Value;

use super::digest::Digest;
use crate::error::{Error, Result};
use crate::source::{PublicKey, Sources};

/// A list of CloudTrail's public keys.
#[async_trait]
pub trait KeyStore: Send + Sync {
    /// Returns the keys of a region that were valid at any time of a range.
    ///
    /// # Errors
    /// Those of the service that is asked.
    async fn keys(
        &self,
        region: &str,
        from: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Vec<PublicKey>>;
}

#[async_trait]
impl KeyStore for Sources {
    async fn keys(
        &self,
        region: &str,
        from: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Vec<PublicKey>> {
        self.public_keys(region, from, until).await
    }
}

/// The keys of a file, as `aws cloudtrail list-public-keys` prints them. A file does not say which
/// regions its keys are of.
#[derive(Clone, Debug)]
pub struct KeyFile(Vec<(PublicKey, Validity)>);

/// The time in which a key signs, where it is known.
#[derive(Clone, Copy, Debug, Default)]
struct Validity {
    start: Option<DateTime<Utc>>,
    end: Option<DateTime<Utc>>,
}

impl KeyFile {
    /// Parses a list of keys.
    ///
    /// # Errors
    /// Config, for anything else.
    pub fn parse(text: &[u8]) -> Result<Self> {
        let fault = |what: &str| {
            Error::config(format!(
                "{what}; expected what `aws cloudtrail list-public-keys` prints"
            ))
        };
        let list: Value =
            serde_json::from_slice(text).map_err(|_| fault("the public keys are not JSON"))?;
        let Some(Value::Array(list)) = list.get("PublicKeyList") else {
            return Err(fault("the public keys have no `PublicKeyList`"));
        };
        let keys: Option<Vec<_>> = list.iter().map(key).collect();
        keys.map(Self)
            .ok_or_else(|| fault("a public key has no `Fingerprint`, or no `Value` in base64"))
    }
}

#[async_trait]
impl KeyStore for KeyFile {
    async fn keys(
        &self,
        _region: &str,
        from: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Vec<PublicKey>> {
        let overlaps = |validity: &Validity| {
            validity.start.is_none_or(|start| start <= until)
                && validity.end.is_none_or(|end| end >= from)
        };
        let keys = self.0.iter().filter(|(_, validity)| overlaps(validity));
        Ok(keys.map(|(key, _)| key.clone()).collect())
    }
}

fn key(value: &Value) -> Option<(PublicKey, Validity)> {
    let validity = Validity {
        start: value.get("ValidityStartTime").and_then(time),
        end: value.get("ValidityEndTime").and_then(time),
    };
    let text = |name| value.get(name).and_then(Value::as_str);
    let key = PublicKey {
        fingerprint: text("Fingerprint")?.to_owned(),
        der: BASE64_STANDARD.decode(text("Value")?).ok()?,
    };
    Some((key, validity))
}

/// Parses a time, which is a number of seconds or a text, by the version of the AWS CLI.
fn time(value: &Value) -> Option<DateTime<Utc>> {
    match value {
        Value::Number(seconds) => DateTime::from_timestamp(seconds.as_f64()? as i64, 0),
        Value::String(text) => Some(DateTime::parse_from_rfc3339(text).ok()?.to_utc()),
        _ => None,
    }
}

/// Returns the text that CloudTrail signs.
pub fn string_to_sign(digest: &Digest) -> String {
    let Digest {
        end_text,
        object,
        hash,
        ..
    } = digest;
    let previous = digest.previous_signature.as_deref().unwrap_or("null");
    format!(
        "{end_text}\n{}/{}\n{hash}\n{previous}",
        object.bucket, object.key
    )
}

/// Returns whether `signature`, in hex, is one of `digest` by the key.
pub fn is_signed(digest: &Digest, signature: &str, key: &PublicKey) -> bool {
    let Some(signature) = unhex(signature) else {
        return false;
    };
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &key.der)
        .verify(string_to_sign(digest).as_bytes(), &signature)
        .is_ok()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|c| c.to_digit(16).map(|digit| digit as u8))
        .collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    let bytes = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]);
    Some(bytes.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().to_utc()
    }

    #[tokio::test]
    async fn keys_of_a_file_are_those_of_the_time() {
        let file = br#"{"PublicKeyList": [
            {"Value": "AQI=", "Fingerprint": "a", "ValidityStartTime": 1767225600.0,
             "ValidityEndTime": 1769904000},
            {"Value": "AwQ=", "Fingerprint": "b", "ValidityStartTime": "2026-02-01T00:00:00+00:00",
             "ValidityEndTime": "2026-03-01T00:00:00.500000+00:00"},
            {"Value": "BQY=", "Fingerprint": "c"}]}"#;
        let keys = KeyFile::parse(file).unwrap();
        let names = async |from: &str, until: &str| {
            let keys = keys.keys("eu-west-1", at(from), at(until)).await.unwrap();
            let names: Vec<String> = keys.into_iter().map(|key| key.fingerprint).collect();
            names.join(" ")
        };
        let january = names("2026-01-10T00:00:00Z", "2026-01-20T00:00:00Z").await;
        assert_eq!(january, "a c");
        let february = names("2026-02-10T00:00:00Z", "2026-04-20T00:00:00Z").await;
        assert_eq!(february, "b c");
        let both = names("2026-01-10T00:00:00Z", "2026-02-10T00:00:00Z").await;
        assert_eq!(both, "a b c");
    }

    #[test]
    fn what_is_no_list_of_keys_is_refused() {
        for text in [
            "x",
            "{}",
            "[]",
            r#"{"PublicKeyList": [{"Value": "AQI="}]}"#,
            r#"{"PublicKeyList": [{"Fingerprint": "a", "Value": "?"}]}"#,
        ] {
            let said = KeyFile::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(said.contains("list-public-keys"), "{text}: {said}");
        }
    }

    #[test]
    fn hex_is_bytes_or_nothing() {
        assert_eq!(unhex("00fFa1"), Some(vec![0, 255, 161]));
        for wrong in ["0", "0x", "zz", "é1"] {
            assert_eq!(unhex(wrong), None);
        }
    }
}
