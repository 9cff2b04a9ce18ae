//! Compressed streams one after another ("members"), whatever lies between them, and past damage.

use std::cell::{Cell, RefCell};
use std::io::{BufRead, BufReader, Error, ErrorKind, Read};
use std::rc::Rc;

use super::compression::{BREAK, Faults, StreamFault, push_fault, reason, record_fault};
use super::gzip::Inflate;
use super::magic::{self, Compression, GZIP_MEMBER, LZ4_LEGACY, UTF8_MARK};
use super::text::is_separator;

/// Most memory for the dictionary of xz and lzma, KiB: 128 MiB of window, as with zstd.
const LZMA_MEMORY_KIB: u32 = 132 << 10;

/// Size of the reads from decoders that lose what they decoded in the call that meets damage, bytes.
const SMALL_READ_BYTES: usize = 256;

/// A decoder of one member.
pub(super) trait MemberDecoder {
    /// Decompresses into `buffer`. Returns the number of bytes, which counts up to the damage if there is
    /// any, and whether the member is at its end.
    fn decode(&mut self, buffer: &mut [u8]) -> (usize, std::io::Result<bool>);
}

/// The text of members one after another.
pub(super) struct Members<'r> {
    reader: SharedReader<'r>,
    format: Compression,
    /// The first byte of every member.
    first_byte: u8,
    state: State<'r>,
    faults: Faults,
    decompressed_bytes: u64,
    /// The part of a [`BREAK`], or of a newline between members, that is not yet handed out.
    pending: &'static [u8],
}

enum State<'r> {
    /// Before a member.
    Header,
    /// In a member.
    Data(Box<dyn MemberDecoder + 'r>),
    /// After a member, whole or not.
    Between,
    Done,
}

impl<'r> Members<'r> {
    /// Creates a reader of members of `format`, the first of which begins with `first_byte`.
    pub(super) fn new(
        reader: Box<dyn Read + 'r>,
        format: Compression,
        first_byte: u8,
        faults: Faults,
    ) -> Self {
        Self {
            reader: SharedReader::new(reader),
            format,
            first_byte,
            state: State::Header,
            faults,
            decompressed_bytes: 0,
            pending: b"",
        }
    }

    /// Opens the member that begins here.
    fn open(&self) -> std::io::Result<Box<dyn MemberDecoder + 'r>> {
        let reader = self.reader.clone();
        Ok(match self.format {
            Compression::Xz => {
                let xz = lzma_rust2::XzReader::new_mem_limit(reader, false, LZMA_MEMORY_KIB);
                self.decoder(xz)
            }
            Compression::Lzma => {
                let memory = LZMA_MEMORY_KIB;
                self.decoder(lzma_rust2::LzmaReader::new_mem_limit(reader, memory, None)?)
            }
            Compression::Lz4 => self.decoder(lz4_flex::frame::FrameDecoder::new(reader)),
            Compression::Zlib => Box::new(Inflate::zlib(reader)),
            _ => Box::new(Inflate::gzip(reader)),
        })
    }

    fn decoder(&self, reader: impl Read + 'r) -> Box<dyn MemberDecoder + 'r> {
        Box::new(ReadDecoder {
            reader,
            input: self.reader.clone(),
            // A legacy frame of lz4 has no mark at its end; the decoder of lzma reads ahead.
            ends_with_input: self.format == Compression::Lzma || self.first_byte == LZ4_LEGACY[0],
        })
    }

    /// Returns whether a member begins here.
    fn begins(&self, reader: &mut PeekReader<'_>) -> std::io::Result<bool> {
        if self.format == Compression::Gzip {
            return Ok(reader.peek(GZIP_MEMBER.len())? == GZIP_MEMBER);
        }
        let begins = reader.peek(1)?.first() == Some(&self.first_byte)
            && magic::compression(reader.peek(magic::HEAD_BYTES)?) == Some(self.format);
        Ok(begins)
    }

    /// Passes over padding, separators and rubbish after a member, up to the next member or the end.
    fn next_member(&mut self) -> std::io::Result<()> {
        let (mut rubbish, mut newline) = (false, false);
        self.state = State::Done;
        let shared = self.reader.clone();
        let mut reader = shared.reader.borrow_mut();
        loop {
            if self.begins(&mut reader)? {
                self.state = State::Header;
                break;
            }
            let length = match reader.peek(UTF8_MARK.len())? {
                [] => break,
                head if head == UTF8_MARK => UTF8_MARK.len(),
                // tar and tape pad with zeros; gzip(1) passes over them as well.
                [byte, ..] => {
                    newline |= *byte == b'\n';
                    let is_padding = *byte == 0 || is_separator((*byte).into());
                    rubbish |= !is_padding || !byte.is_ascii();
                    1
                }
            };
            reader.consume(length);
        }
        let damaged = !self.pending.is_empty();
        if rubbish && !damaged {
            // The checksums of the members around it hold.
            let [reason, _] = self.format.reasons();
            let fault = StreamFault {
                reason,
                detail: format!("bytes after the end that are not {}", self.format.name()),
                byte: self.decompressed_bytes,
                harms_text: false,
            };
            push_fault(&self.faults, fault);
        }
        self.pending = match self.state {
            State::Header if rubbish || damaged => BREAK.as_bytes(),
            State::Header if newline => b"\n",
            _ => b"",
        };
        Ok(())
    }

    /// Records the damage, and goes on after it unless no more can be read.
    fn damaged(&mut self, error: &Error) {
        let reason = reason(Some(self.format), error);
        record_fault(&self.faults, reason, error, self.decompressed_bytes);
        (self.state, self.pending) = match reason {
            "unreadable file" => (State::Done, b"".as_slice()),
            _ => (State::Between, BREAK.as_bytes()),
        };
    }
}

impl Read for Members<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let mut written = 0;
            let result = match &mut self.state {
                // The bytes after damage come first: they may be rubbish of the same damage.
                State::Between => self.next_member(),
                _ if !self.pending.is_empty() => return self.pending.read(buffer),
                State::Header => self.open().map(|decoder| self.state = State::Data(decoder)),
                State::Done => return Ok(0),
                State::Data(decoder) => {
                    let ended;
                    (written, ended) = decoder.decode(buffer);
                    self.decompressed_bytes += written as u64;
                    ended.map(|ended| {
                        if ended {
                            self.state = State::Between;
                        }
                    })
                }
            };
            if let Err(error) = result {
                self.damaged(&error);
            }
            if written > 0 {
                return Ok(written);
            }
        }
    }
}

/// A decoder that is a reader.
struct ReadDecoder<'r, R> {
    reader: R,
    /// The reader from which `reader` reads.
    input: SharedReader<'r>,
    /// Whether the end of the input is a proper end.
    ends_with_input: bool,
}

impl<R: Read> MemberDecoder for ReadDecoder<'_, R> {
    fn decode(&mut self, buffer: &mut [u8]) -> (usize, std::io::Result<bool>) {
        let count = buffer.len().min(SMALL_READ_BYTES);
        match self.reader.read(&mut buffer[..count]) {
            // Some decoders take the end of the input for the end of the member.
            Ok(0) if self.input.ended.get() && !self.ends_with_input => {
                (0, Err(ErrorKind::UnexpectedEof.into()))
            }
            Ok(count) => (count, Ok(count == 0)),
            Err(error) => (0, Err(error)),
        }
    }
}

/// A [`PeekReader`] that decoders and [`Members`] share.
#[derive(Clone)]
pub(super) struct SharedReader<'r> {
    pub(super) reader: Rc<RefCell<PeekReader<'r>>>,
    /// Whether a read met the end.
    ended: Rc<Cell<bool>>,
}

impl<'r> SharedReader<'r> {
    fn new(reader: Box<dyn Read + 'r>) -> Self {
        Self {
            reader: Rc::new(RefCell::new(PeekReader::new(reader))),
            ended: Rc::default(),
        }
    }
}

impl Read for SharedReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.reader.borrow_mut().read(buffer)?;
        if count == 0 && !buffer.is_empty() {
            self.ended.set(true);
        }
        Ok(count)
    }
}

/// A buffered reader that can look some bytes ahead.
pub(super) struct PeekReader<'r> {
    reader: BufReader<Box<dyn Read + 'r>>,
    ahead: Vec<u8>,
    at: usize,
}

impl<'r> PeekReader<'r> {
    fn new(reader: Box<dyn Read + 'r>) -> Self {
        Self {
            reader: BufReader::with_capacity(64 << 10, reader),
            ahead: Vec::new(),
            at: 0,
        }
    }

    /// Returns the next `count` bytes, fewer only at the end.
    fn peek(&mut self, count: usize) -> std::io::Result<&[u8]> {
        let have = self.ahead.len() - self.at;
        if have < count {
            self.ahead.drain(..self.at);
            self.at = 0;
            (&mut self.reader)
                .take((count - have) as u64)
                .read_to_end(&mut self.ahead)?;
        }
        let end = self.ahead.len().min(self.at + count);
        Ok(&self.ahead[self.at..end])
    }

    pub(super) fn skip(&mut self, count: u64) -> std::io::Result<()> {
        let skipped = std::io::copy(&mut self.by_ref().take(count), &mut std::io::sink())?;
        if skipped < count {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    /// Steps over text that ends with a zero byte.
    pub(super) fn skip_text(&mut self) -> std::io::Result<()> {
        loop {
            let bytes = self.fill_buf()?;
            if bytes.is_empty() {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let (count, found) = match memchr::memchr(0, bytes) {
                Some(at) => (at + 1, true),
                None => (bytes.len(), false),
            };
            self.consume(count);
            if found {
                return Ok(());
            }
        }
    }
}

impl Read for PeekReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for PeekReader<'_> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        match self.ahead.len() - self.at {
            0 => self.reader.fill_buf(),
            _ => Ok(&self.ahead[self.at..]),
        }
    }

    fn consume(&mut self, count: usize) {
        match self.ahead.len() - self.at {
            0 => self.reader.consume(count),
            _ => self.at += count,
        }
    }
}
