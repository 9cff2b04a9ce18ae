//! The document in a digest file.

use std::io::Read;

use chrono::{DateTime, Utc};
use flate2::bufread::GzDecoder;
use serde_json::{Map, Value};

/// An object as a digest names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectName {
    /// The bucket.
    pub bucket: String,
    /// The key in it.
    pub key: String,
}

/// The document of a digest file, as far as it is checked.
#[derive(Clone, Debug)]
pub struct Digest {
    /// The fingerprint of the key that it is signed with.
    pub fingerprint: String,
    /// The digest file's own name.
    pub object: ObjectName,
    /// The digest file before this one; `None` for the first of a chain.
    pub previous: Option<ObjectName>,
    /// The signature of the digest file before this one, in hex.
    pub previous_signature: Option<String>,
    /// The hash of the digest file before this one, in hex.
    pub previous_hash: Option<String>,
    /// The start of the time that it covers.
    pub start: DateTime<Utc>,
    /// The end of the time that it covers.
    pub end: DateTime<Utc>,
    /// The end as it is written, which is what is signed.
    pub end_text: String,
    /// The log files that were delivered in that time.
    pub log_files: Vec<LogFile>,
    /// SHA-256 of this document, in hex.
    pub hash: String,
}

/// A log file as a digest names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// Its name.
    pub object: ObjectName,
    /// SHA-256 of its JSON, in hex.
    pub hash: String,
}

/// A reason why a file is no digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DigestFault {
    /// It cannot be decompressed.
    NotGzip,
    /// There is more after the end of the gzip stream.
    TrailingBytes,
    /// It is not a JSON object.
    NotJson,
    /// A member is missing, or of another type than it should be.
    Field(&'static str),
}

impl std::fmt::Display for DigestFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotGzip => f.write_str("it is no whole gzip file"),
            Self::TrailingBytes => f.write_str("there are bytes after the end of the gzip stream"),
            Self::NotJson => f.write_str("it is not JSON"),
            Self::Field(name) => write!(f, "`{name}` is missing or malformed"),
        }
    }
}

impl Digest {
    /// Decompresses and parses a digest file.
    ///
    /// # Errors
    /// The reason why it is none.
    pub fn parse(stored: &[u8]) -> Result<Self, DigestFault> {
        let text = inflate(stored)?;
        let Ok(Value::Object(members)) = serde_json::from_slice(&text) else {
            return Err(DigestFault::NotJson);
        };
        let text_of = |name| required(&members, name);
        let end_text = text_of("digestEndTime")?;
        Ok(Self {
            fingerprint: text_of("digestPublicKeyFingerprint")?,
            object: ObjectName {
                bucket: text_of("digestS3Bucket")?,
                key: text_of("digestS3Object")?,
            },
            previous: previous(&members)?,
            previous_signature: match members.get("previousDigestSignature") {
                Some(Value::Null) => None,
                _ => Some(text_of("previousDigestSignature")?),
            },
            previous_hash: optional(&members, "previousDigestHashValue")?,
            start: time(&text_of("digestStartTime")?, "digestStartTime")?,
            end: time(&end_text, "digestEndTime")?,
            end_text,
            log_files: log_files(members.get("logFiles"))?,
            hash: sha256_hex(&text),
        })
    }
}

/// Returns SHA-256 in lower-case hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref())
}

/// Returns bytes in lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn inflate(stored: &[u8]) -> Result<Vec<u8>, DigestFault> {
    let mut rest = stored;
    let mut text = Vec::new();
    let decoder = GzDecoder::new(&mut rest);
    let read = decoder.take(MOST_BYTES + 1).read_to_end(&mut text);
    if read.is_err() || text.len() as u64 > MOST_BYTES {
        return Err(DigestFault::NotGzip);
    }
    match rest {
        [] => Ok(text),
        _ => Err(DigestFault::TrailingBytes),
    }
}

fn required(members: &Map<String, Value>, name: &'static str) -> Result<String, DigestFault> {
    let text = members.get(name).and_then(Value::as_str);
    text.map(str::to_owned).ok_or(DigestFault::Field(name))
}

/// Returns a text; `None` if it is null or not there.
fn optional(
    members: &Map<String, Value>,
    name: &'static str,
) -> Result<Option<String>, DigestFault> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(_) => required(members, name).map(Some),
    }
}

fn previous(members: &Map<String, Value>) -> Result<Option<ObjectName>, DigestFault> {
    let bucket = optional(members, "previousDigestS3Bucket")?;
    let key = optional(members, "previousDigestS3Object")?;
    let names = bucket.zip(key);
    Ok(names.map(|(bucket, key)| ObjectName { bucket, key }))
}

fn time(text: &str, name: &'static str) -> Result<DateTime<Utc>, DigestFault> {
    let time = DateTime::parse_from_rfc3339(text).map_err(|_| DigestFault::Field(name))?;
    Ok(time.to_utc())
}

fn log_files(value: Option<&Value>) -> Result<Vec<LogFile>, DigestFault> {
    let fault = DigestFault::Field("logFiles");
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(files)) => files.iter().map(log_file).collect(),
        Some(_) => Err(fault),
    }
}

fn log_file(value: &Value) -> Result<LogFile, DigestFault> {
    let Value::Object(members) = value else {
        return Err(DigestFault::Field("logFiles"));
    };
    Ok(LogFile {
        object: ObjectName {
            bucket: required(members, "s3Bucket")?,
            key: required(members, "s3Object")?,
        },
        hash: required(members, "hashValue")?,
    })
}

/// The most bytes of a document. One with a hundred thousand log files has some 50 MB.
const MOST_BYTES: u64 = 256 << 20;

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use serde_json::json;

    use super::*;

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    fn document() -> Value {
        json!({
            "digestPublicKeyFingerprint": "f", "digestS3Bucket": "b", "digestS3Object": "k",
            "digestStartTime": "2026-11-05T09:00:00Z", "digestEndTime": "2026-11-05T10:00:00Z",
            "previousDigestSignature": null, "previousDigestS3Bucket": null,
            "logFiles": [{"s3Bucket": "b", "s3Object": "l", "hashValue": "aa", "more": 1}]
        })
    }

    #[test]
    fn a_document_is_parsed_and_hashed() {
        let text = document().to_string();
        let digest = Digest::parse(&gzip(&text)).unwrap();
        assert_eq!(digest.end_text, "2026-11-05T10:00:00Z");
        assert_eq!(digest.log_files[0].hash, "aa");
        assert_eq!((digest.previous, digest.previous_signature), (None, None));
        assert_eq!(digest.hash, sha256_hex(text.as_bytes()));
    }

    #[test]
    fn every_fault_is_told() {
        let fault = |stored: &[u8]| Digest::parse(stored).unwrap_err();
        assert_eq!(fault(b"{}"), DigestFault::NotGzip);
        let whole = gzip(&document().to_string());
        assert_eq!(fault(&whole[..whole.len() - 1]), DigestFault::NotGzip);
        let more = [&whole[..], b"x"].concat();
        assert_eq!(fault(&more), DigestFault::TrailingBytes);
        assert_eq!(fault(&gzip("[]")), DigestFault::NotJson);
        for name in [
            "digestPublicKeyFingerprint",
            "digestS3Bucket",
            "digestS3Object",
            "previousDigestSignature",
            "digestStartTime",
            "digestEndTime",
        ] {
            let mut document = document();
            document.as_object_mut().unwrap().remove(name);
            assert_eq!(
                fault(&gzip(&document.to_string())),
                DigestFault::Field(name)
            );
        }
    }
}
