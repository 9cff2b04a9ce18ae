//! First bytes that tell formats apart: compression, archives, encodings of text, and files that are not
//! text.

use super::hadoop_snappy;
use super::text::ByteOrder;

/// A gzip member with deflate in it, the only method there is (RFC 1952, 2.3.1).
pub(super) const GZIP_MEMBER: [u8; 3] = [0x1f, 0x8b, 8];

/// Records that the Kinesis Producer Library packed.
pub(super) const KPL: [u8; 4] = [0xf3, 0x89, 0x9a, 0xc2];

/// The byte order mark that some tools put before UTF-8.
pub(super) const UTF8_MARK: &[u8] = "\u{feff}".as_bytes();

/// The older form of lz4, as `lz4 -l` and the Linux kernel write it.
pub(super) const LZ4_LEGACY: [u8; 4] = [0x02, 0x21, 0x4c, 0x18];

/// Bytes that are enough for all that is recognised here: zlib takes the longest, up to its first text.
pub(super) const HEAD_BYTES: usize = 1024;

/// A format of compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    Gzip,
    Zlib,
    Zstd,
    Bzip2,
    Xz,
    Lzma,
    Lz4,
    /// Snappy's framing format.
    Snappy,
    /// Blocks of snappy behind their lengths, as Hadoop and Firehose write them.
    HadoopSnappy,
}

impl Compression {
    /// Returns the name that users know the format by.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zlib => "zlib",
            Self::Zstd => "zstd",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
            Self::Lzma => "lzma",
            Self::Lz4 => "lz4",
            Self::Snappy | Self::HadoopSnappy => "snappy",
        }
    }

    /// Returns the reasons for rejects: damage, and an end before the end.
    pub(super) fn reasons(self) -> [&'static str; 2] {
        match self {
            Self::Gzip => ["damaged gzip", "truncated gzip"],
            Self::Zlib => ["damaged zlib", "truncated zlib"],
            Self::Zstd => ["damaged zstd", "truncated zstd"],
            Self::Bzip2 => ["damaged bzip2", "truncated bzip2"],
            Self::Xz => ["damaged xz", "truncated xz"],
            Self::Lzma => ["damaged lzma", "truncated lzma"],
            Self::Lz4 => ["damaged lz4", "truncated lz4"],
            Self::Snappy | Self::HadoopSnappy => ["damaged snappy", "truncated snappy"],
        }
    }
}

/// Recognises compression.
pub(super) fn compression(bytes: &[u8]) -> Option<Compression> {
    match bytes {
        [0x1f, 0x8b, ..] => Some(Compression::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Compression::Zstd),
        [b'B', b'Z', b'h', b'1'..=b'9', 0x31 | 0x17, ..] => Some(Compression::Bzip2),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Compression::Xz),
        [0x04, 0x22, 0x4d, 0x18, ..] => Some(Compression::Lz4),
        _ if bytes.starts_with(&LZ4_LEGACY) => Some(Compression::Lz4),
        _ if bytes.starts_with(b"\xff\x06\0\0sNaPpY") => Some(Compression::Snappy),
        [b'x', 0x01 | 0x5e | 0x9c | 0xda, ..] if is_zlib(bytes) => Some(Compression::Zlib),
        [0x5d, 0, 0, ..] if is_lzma(bytes) => Some(Compression::Lzma),
        [0..=3, ..] if hadoop_snappy::begins(bytes) => Some(Compression::HadoopSnappy),
        _ => None,
    }
}

/// Returns whether `bytes`, which begin as zlib does, inflate to something that may be read: ordinary text
/// may begin with `x^`.
fn is_zlib(bytes: &[u8]) -> bool {
    let mut text = [0; 64];
    let mut decompressor = flate2::Decompress::new(true);
    let head = &bytes[..bytes.len().min(HEAD_BYTES)];
    let status = decompressor.decompress(head, &mut text, flate2::FlushDecompress::None);
    let text = &text[..decompressor.total_out() as usize];
    let is_empty = text.is_empty() && matches!(status, Ok(flate2::Status::StreamEnd));
    let is_text = || match std::str::from_utf8(text) {
        Ok(text) => is_printable(text),
        // The end may cut a character.
        Err(error) if error.error_len().is_none() => is_printable(&String::from_utf8_lossy(text)),
        Err(_) => false,
    };
    is_empty
        || !text.is_empty()
            && (is_text()
                || compression(text).is_some()
                || byte_order(text).is_some()
                || text.starts_with(&KPL)
                || archive(text).is_some())
}

fn is_printable(text: &str) -> bool {
    text.chars()
        .all(|char| !char.is_control() || super::text::is_separator(char))
}

/// Returns whether `bytes` begin as `lzma` writes: the usual properties, a dictionary of some 64 KiB to
/// 1 GiB, and the size or that it is unknown.
fn is_lzma(bytes: &[u8]) -> bool {
    let Some([_, 0, 0, low, high, size @ ..]) = bytes.first_chunk::<13>() else {
        return false;
    };
    let dictionary = u16::from_le_bytes([*low, *high]);
    let size = u64::from_le_bytes(*size);
    dictionary > 0 && dictionary < 0x4000 && (size == u64::MAX || size < 1 << 48)
}

/// A format of archives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Archive {
    Zip,
    Tar,
}

/// Recognises archives.
pub(super) fn archive(bytes: &[u8]) -> Option<Archive> {
    match bytes {
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] | [b'P', b'K', 7, 8, b'P', b'K', ..] => {
            Some(Archive::Zip)
        }
        _ if bytes.get(257..262) == Some(b"ustar") => Some(Archive::Tar),
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

/// Recognises files that are not read. Returns the name of the format and the way to go on.
pub(super) fn unread_format(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    let known = UNREAD.iter().find(|(magic, ..)| bytes.starts_with(magic));
    let (_, name, advice) = known
        .filter(|(magic, ..)| !is_text(magic) || !is_text(&bytes[..bytes.len().min(64)]))
        .or_else(|| PDF.iter().find(|(magic, ..)| bytes.starts_with(magic)))?;
    Some((name, advice))
}

/// Returns whether all bytes may be ASCII text.
fn is_text(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace())
}

/// A magic number, the name of the format, and the way to go on.
type Unread = (&'static [u8], &'static str, &'static str);

const NO_LOGS: &str = "there are no CloudTrail events in such files";

/// Formats that are recognised and not read. A magic number that is text counts only before binary data.
const UNREAD: &[Unread] = &[
    (
        b"7z\xbc\xaf\x27\x1c",
        "7z archive",
        "unpack it and read the files (7z x -so FILE | auroratrail query SQL -)",
    ),
    (
        b"Rar!\x1a\x07",
        "rar archive",
        "unpack it and read the files (unrar p -inul FILE | auroratrail query SQL -)",
    ),
    (
        b"\x1f\x9d",
        "compress (.Z) file",
        "decompress it (uncompress -c FILE | auroratrail query SQL -)",
    ),
    (
        b"LZIP",
        "lzip file",
        "decompress it (lzip -dc FILE | auroratrail query SQL -)",
    ),
    (
        b"\x89LZO\0\r\n\x1a\n",
        "lzop file",
        "decompress it (lzop -dc FILE | auroratrail query SQL -)",
    ),
    (b"MSCF", "cabinet archive", "unpack it and read the files"),
    (b"ORC", "ORC file", "convert it to JSON lines"),
    (
        b"Obj\x01",
        "Avro file",
        "convert it to JSON lines (avro-tools tojson FILE)",
    ),
    (
        b"SQLite format 3\0",
        "SQLite database",
        "export the events as JSON lines",
    ),
    (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "Office document",
        "save the events as text",
    ),
    (b"ElfFile\0", "Windows event log", NO_LOGS),
    (b"\x7fELF", "ELF program", NO_LOGS),
    (b"MZ", "Windows program", NO_LOGS),
    (b"\xcf\xfa\xed\xfe", "macOS program", NO_LOGS),
    (b"\xca\xfe\xba\xbe", "Java class or macOS program", NO_LOGS),
    (b"\x89PNG\r\n\x1a\n", "PNG image", NO_LOGS),
    (b"\xff\xd8\xff", "JPEG image", NO_LOGS),
    (b"GIF8", "GIF image", NO_LOGS),
];

/// Formats whose begin is text.
const PDF: &[Unread] = &[(b"%PDF-", "PDF document", "save the events as text")];

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
