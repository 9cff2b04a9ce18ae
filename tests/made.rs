//! Generated records, and the encodings in which they arrive.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use md5::{Digest, Md5};

/// A small random number generator (splitmix64): the same numbers for the same seed.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// Returns a number below `limit`, which is not 0.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

/// Returns the event ID of record `number`.
pub fn id(number: usize) -> String {
    format!("0f0e0d0c-0000-4000-8000-{number:012}")
}

/// Returns record `number` in CloudTrail's format, on one line. Some records have policies with
/// JSON inside strings, braces and quotes in texts, escapes, non-ASCII text, and nulls.
pub fn record(number: usize) -> String {
    let id = id(number);
    let second = number % 60;
    let details = match number % 6 {
        0 => format!(
            r#""requestParameters":{{"dBClusterIdentifier":"orders-{number}","engine":"aurora-postgresql","port":5432,"enableIAMDatabaseAuthentication":true,"vpcSecurityGroupIds":["sg-0a","sg-0b"]}},"responseElements":{{"dBClusterIdentifier":"orders-{number}","status":"creating","allocatedStorage":1,"clusterCreateTime":"Apr 27, 2025, 10:39:19 AM"}}"#
        ),
        1 => r#""requestParameters":{"policyName":"p","policyDocument":"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":[\"rds:*\"],\"Resource\":\"*\"}]}"},"responseElements":null"#.to_owned(),
        2 => r#""errorCode":"AccessDenied","errorMessage":"User: \"x\" is not authorized {rds:Describe*} on [arn:aws:rds:*] \\ because, no","requestParameters":null,"responseElements":null"#.to_owned(),
        3 => r#""requestParameters":{"sql":"**********","parameters":[],"resourceArn":"arn:aws:rds:us-east-1:123456789012:cluster:a"},"responseElements":null,"additionalEventData":{"note":"caf\u00e9 — 数据库 \ud83d\ude00 \t tab","empty":{},"list":[[],[{}],""]}"#.to_owned(),
        4 => format!(
            r#""requestParameters":{{"filler":"{}"}},"responseElements":{{"_return":true}}"#,
            "lorem ipsum ".repeat(10 + number % 90)
        ),
        _ => r#""requestParameters":{},"responseElements":null,"resources":[{"ARN":"arn:aws:rds:us-east-1:123456789012:cluster:a","accountId":"123456789012","type":"AWS::RDS::DBCluster"}]"#.to_owned(),
    };
    format!(
        r#"{{"eventVersion":"1.08","userIdentity":{{"type":"AssumedRole","principalId":"AROAEXAMPLE:maria","arn":"arn:aws:sts::123456789012:assumed-role/dba/maria","accountId":"123456789012","sessionContext":{{"sessionIssuer":{{"type":"Role","userName":"dba"}},"attributes":{{"creationDate":"2026-01-22T22:05:56Z","mfaAuthenticated":"true"}}}}}},"eventTime":"2026-03-04T05:06:{second:02}Z","eventSource":"rds.amazonaws.com","eventName":"ModifyDBCluster","awsRegion":"us-east-1","sourceIPAddress":"192.0.2.7","userAgent":"aws-cli/2.15 md/Botocore#1.34 [x]",{details},"requestID":"r-{number}","eventID":"{id}","readOnly":false,"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"123456789012","eventCategory":"Management"}}"#
    )
}

/// Returns an Insights event.
pub fn insight(number: usize) -> String {
    format!(
        r#"{{"eventVersion":"1.07","eventTime":"2026-03-04T05:06:00Z","awsRegion":"us-east-1","eventID":"{}","eventType":"AwsCloudTrailInsight","recipientAccountId":"123456789012","sharedEventID":"s-{number}","insightDetails":{{"state":"Start","eventSource":"rds.amazonaws.com","eventName":"DescribeDBClusters","insightType":"ApiCallRateInsight","insightContext":{{"statistics":{{"baseline":{{"average":0.0017857143}},"insight":{{"average":4.5}},"insightDuration":5,"baselineDuration":10080}},"attributions":[{{"attribute":"errorCode","insight":[{{"value":"null","average":4.5}}],"baseline":[]}}]}}}},"eventCategory":"Insight"}}"#,
        id(number)
    )
}

/// Returns an aggregated event.
pub fn aggregated(number: usize) -> String {
    format!(
        r#"{{"eventVersion":"1.0","accountId":"123456789012","eventId":"{}","eventCategory":"Aggregated","eventType":"AwsAggregatedEvent","awsRegion":"us-east-1","eventSource":"rdsdataapi.amazonaws.com","timeWindow":{{"windowStart":"2026-03-04 05:05:00","windowEnd":"2026-03-04 05:10:00","windowSize":"PT5M"}},"summary":{{"primaryDimension":{{"dimension":"eventName","statistics":[{{"name":"ExecuteStatement","value":1200}}],"aggregationType":"Count"}},"details":[]}}}}"#,
        id(number)
    )
}

/// Quotes `text` as a JSON string.
pub fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

/// Formats the JSON `text` on many lines.
pub fn pretty(text: &str) -> String {
    let (mut out, mut depth, mut chars) = (String::new(), 0, text.chars().peekable());
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    while let Some(char) = chars.next() {
        match char {
            '"' => {
                out.push('"');
                while let Some(char) = chars.next() {
                    out.push(char);
                    match char {
                        '\\' => out.extend(chars.next()),
                        '"' => break,
                        _ => {}
                    }
                }
            }
            '{' | '[' => {
                out.push(char);
                if matches!(chars.peek(), Some('}' | ']')) {
                    out.extend(chars.next());
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth -= 1;
                line(&mut out, depth);
                out.push(char);
            }
            ',' => {
                out.push(',');
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            _ => out.push(char),
        }
    }
    out
}

pub fn gzip(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(bytes.as_ref()).unwrap();
    encoder.finish().unwrap()
}

pub fn zstd(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    zstd::encode_all(bytes.as_ref(), 3).unwrap()
}

pub fn bzip2(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(bytes.as_ref()).unwrap();
    encoder.finish().unwrap()
}

pub fn zlib(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(bytes.as_ref()).unwrap();
    encoder.finish().unwrap()
}

pub fn xz(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let options = lzma_rust2::XzOptions::with_preset(1);
    let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
    encoder.write_all(bytes.as_ref()).unwrap();
    encoder.finish().unwrap()
}

pub fn lzma(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let options = lzma_rust2::LzmaOptions::with_preset(1);
    let size = Some(bytes.as_ref().len() as u64);
    let mut encoder = lzma_rust2::LzmaWriter::new_use_header(Vec::new(), &options, size).unwrap();
    encoder.write_all(bytes.as_ref()).unwrap();
    encoder.finish().unwrap()
}

pub fn lz4(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
    encoder.write_all(bytes.as_ref()).unwrap();
    encoder.finish().unwrap()
}

/// Compresses in snappy's framing format.
pub fn snappy(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = snap::write::FrameEncoder::new(Vec::new());
    encoder.write_all(bytes.as_ref()).unwrap();
    encoder.into_inner().unwrap()
}

/// Compresses as Hadoop does, in blocks of 4 KiB.
pub fn hadoop_snappy(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    for block in bytes.as_ref().chunks(4096) {
        let piece = snap::raw::Encoder::new().compress_vec(block).unwrap();
        out.extend((block.len() as u32).to_be_bytes());
        out.extend((piece.len() as u32).to_be_bytes());
        out.extend(piece);
    }
    out
}

/// Packs files into a zip archive.
pub fn zip(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in files {
        let options = zip::write::SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Deflated);
        writer.start_file(*name, options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// Packs files into a tar archive.
pub fn tar(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, &bytes[..]).unwrap();
    }
    builder.into_inner().unwrap()
}

pub fn base64(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes)
}

pub fn utf16le(text: &str) -> Vec<u8> {
    let units = std::iter::once(0xfeff).chain(text.encode_utf16());
    units.flat_map(u16::to_le_bytes).collect()
}

/// Builds the document of a CloudWatch Logs subscription with these messages, and returns the
/// offsets of its log events.
pub fn subscription(messages: &[String]) -> (String, Vec<std::ops::Range<usize>>) {
    let mut text = r#"{"messageType":"DATA_MESSAGE","owner":"123456789012","logGroup":"aws-cloudtrail-logs","logStream":"123456789012_CloudTrail_us-east-1_2","subscriptionFilters":["all"],"logEvents":["#.to_owned();
    let mut places = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        let start = text.len();
        text.push_str(&format!(
            r#"{{"id":"3744{index:052}","timestamp":{},"message":{}}}"#,
            1_772_600_000_000_u64 + index as u64,
            quoted(message)
        ));
        places.push(start..text.len());
    }
    text.push_str("]}");
    (text, places)
}

/// Builds a KPL aggregated record of these user records: magic, protobuf, MD5.
pub fn kpl(records: &[Vec<u8>]) -> Vec<u8> {
    let mut message = Vec::new();
    bytes_field(&mut message, 1, b"partition-key");
    bytes_field(&mut message, 2, b"123456789");
    for data in records {
        let mut record = vec![1 << 3, 0];
        record.extend([2 << 3, 0]);
        bytes_field(&mut record, 3, data);
        bytes_field(&mut message, 3, &record);
    }
    let mut out = vec![0xf3, 0x89, 0x9a, 0xc2];
    out.extend(&message);
    out.extend(Md5::digest(&message));
    out
}

fn bytes_field(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push(number << 3 | 2);
    let mut length = bytes.len();
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend(bytes);
}
