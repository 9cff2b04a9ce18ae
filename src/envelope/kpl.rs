//! Unpacks the records that the Kinesis Producer Library aggregated into one.
//!
//! Format: four magic bytes, a protobuf message, the MD5 of that message
//! (<https://github.com/awslabs/amazon-kinesis-producer/blob/master/aggregation-format.md>).

use md5::{Digest, Md5};
use prost::Message;

use super::magic;

const MD5_BYTES: usize = 16;

/// Returns the aggregated records, or `None` if this is an ordinary record. By the rules of the format
/// it is one if the checksum is wrong, whatever the first bytes say.
pub(super) fn records(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let rest = bytes.strip_prefix(&magic::KPL)?;
    let (message, checksum) = rest.split_at_checked(rest.len().checked_sub(MD5_BYTES)?)?;
    if Md5::digest(message).as_slice() != checksum {
        return None;
    }
    let pack = AggregatedRecord::decode(message).ok()?;
    Some(pack.records.into_iter().map(|record| record.data).collect())
}

/// The message without its keys, which are passed over.
#[derive(Clone, PartialEq, Message)]
struct AggregatedRecord {
    #[prost(message, repeated, tag = "3")]
    records: Vec<UserRecord>,
}

#[derive(Clone, PartialEq, Message)]
struct UserRecord {
    #[prost(bytes = "vec", required, tag = "3")]
    data: Vec<u8>,
}

#[cfg(test)]
pub(super) fn pack(records: &[&[u8]]) -> Vec<u8> {
    let records = records
        .iter()
        .map(|data| UserRecord {
            data: data.to_vec(),
        })
        .collect();
    let message = AggregatedRecord { records }.encode_to_vec();
    let checksum = Md5::digest(&message);
    [magic::KPL.as_slice(), message.as_slice(), &checksum[..]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_checksum_makes_it_an_ordinary_record() {
        let mut bytes = pack(&[b"one", b"two"]);
        assert_eq!(
            records(&bytes),
            Some(vec![b"one".to_vec(), b"two".to_vec()])
        );
        *bytes.last_mut().unwrap() ^= 1;
        assert_eq!(records(&bytes), None);
        assert_eq!(records(&magic::KPL), None);
    }
}
