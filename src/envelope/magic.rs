//! First bytes that tell formats apart: compression, encodings of text, and files that are not text.

use super::foreign::ForeignKind;
use super::text::ByteOrder;

/// A gzip member with deflate in it, the only method there is (RFC 1952, 2.3.1).
pub(super) const GZIP_MEMBER: [u8; 3] = [0x1f, 0x8b, 8];

/// Records that the Kinesis Producer Library packed.
pub(super) const KPL: [u8; 4] = [0xf3, 0x89, 0x9a, 0xc2];

/// The byte order mark that some tools put before UTF-8.
pub(super) const UTF8_MARK: &[u8] = "\u{feff}".as_bytes();

/// Bytes that are enough for [`compression`] and [`byte_order`].
pub(super) const HEAD_BYTES: u64 = 8;

/// A format of compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    Gzip,
    Zstd,
    Bzip2,
}

/// Recognises compression.
pub(super) fn compression(bytes: &[u8]) -> Option<Compression> {
    match bytes {
        [0x1f, 0x8b, ..] => Some(Compression::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Compression::Zstd),
        [b'B', b'Z', b'h', b'1'..=b'9', 0x31 | 0x17, ..] => Some(Compression::Bzip2),
        _ => None,
    }
}

/// Recognises UTF-16 by its byte order mark.
pub(super) fn byte_order(bytes: &[u8]) -> Option<ByteOrder> {
    match bytes {
        [0xff, 0xfe, ..] => Some(ByteOrder::Little),
        [0xfe, 0xff, ..] => Some(ByteOrder::Big),
        _ => None,
    }
}

/// Recognises binary files that are known and not read.
pub(super) fn unread_file(bytes: &[u8]) -> Option<ForeignKind> {
    match bytes {
        [b'P', b'K', 3, 4, ..] => Some(ForeignKind::Zip),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => Some(ForeignKind::Xz),
        _ => None,
    }
}

/// A format of columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Columnar {
    Parquet,
    EncryptedParquet,
    ArrowFile,
    ArrowStream,
}

impl Columnar {
    /// Recognises Parquet and Arrow. A stream begins with the size of its schema, which is small.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [b'P', b'A', b'R', b'1', ..] => Some(Self::Parquet),
            [b'P', b'A', b'R', b'E', ..] => Some(Self::EncryptedParquet),
            [b'A', b'R', b'R', b'O', b'W', b'1', 0, 0, ..] => Some(Self::ArrowFile),
            [0xff, 0xff, 0xff, 0xff, _, _, _, 0, ..] => Some(Self::ArrowStream),
            _ => None,
        }
    }

    /// Returns the format's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Parquet | Self::EncryptedParquet => "Parquet",
            Self::ArrowFile | Self::ArrowStream => "Arrow",
        }
    }
}
