//! Gzip as a stream: members one after another, whatever lies between them, and past damage.
//!
//! flate2's own reader loses the text it decompressed in the call that meets the damage, up to some
//! hundred kilobytes; this one keeps every byte.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read};

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::compression::{BREAK, Faults, StreamFault, push_fault, reason, record_fault};
use super::magic::{Compression, GZIP_MEMBER, UTF8_MARK};
use super::text::is_separator;

/// The text of gzip members one after another.
pub(super) struct GzipMembers<'r> {
    reader: PeekReader<'r>,
    state: State,
    decompressor: Decompress,
    crc: Crc,
    faults: Faults,
    decompressed_bytes: u64,
    /// The part of a [`BREAK`], or of a newline between members, that is not yet handed out.
    pending: &'static [u8],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before a member's header.
    Header,
    /// In a member's compressed data.
    Data,
    /// Before a member's checksum.
    Trailer,
    /// After a member, whole or not.
    Between,
    Done,
}

impl<'r> GzipMembers<'r> {
    pub(super) fn new(reader: Box<dyn Read + 'r>, faults: Faults) -> Self {
        Self {
            reader: PeekReader::new(reader),
            state: State::Header,
            decompressor: Decompress::new(false),
            crc: Crc::new(),
            faults,
            decompressed_bytes: 0,
            pending: b"",
        }
    }

    /// Steps over a member's header (RFC 1952, 2.3).
    fn header(&mut self) -> std::io::Result<()> {
        const CHECKSUM: u8 = 2;
        const EXTRA: u8 = 4;
        const NAME: u8 = 8;
        const COMMENT: u8 = 16;
        const RESERVED: u8 = 32;
        let mut fixed = [0; 10];
        self.reader.read_exact(&mut fixed)?;
        let flags = fixed[3];
        if !fixed.starts_with(&GZIP_MEMBER) || flags >= RESERVED {
            return Err(Error::new(ErrorKind::InvalidData, "invalid gzip header"));
        }
        if flags & EXTRA != 0 {
            let mut length = [0; 2];
            self.reader.read_exact(&mut length)?;
            self.reader.skip(u16::from_le_bytes(length).into())?;
        }
        for text in [NAME, COMMENT] {
            if flags & text != 0 {
                self.reader.skip_text()?;
            }
        }
        if flags & CHECKSUM != 0 {
            self.reader.skip(2)?;
        }
        self.decompressor.reset(false);
        self.crc.reset();
        self.state = State::Data;
        Ok(())
    }

    /// Decompresses into `buffer`. Returns the number of bytes, which counts up to the damage if there
    /// is any.
    fn data(&mut self, buffer: &mut [u8]) -> (usize, std::io::Result<()>) {
        let input = match self.reader.fill_buf() {
            Ok(input) => input,
            Err(error) => return (0, Err(error)),
        };
        let ended = input.is_empty();
        let (read, written) = (self.decompressor.total_in(), self.decompressor.total_out());
        let status = self
            .decompressor
            .decompress(input, buffer, FlushDecompress::None);
        let read = self.decompressor.total_in() - read;
        let written = (self.decompressor.total_out() - written) as usize;
        self.reader.consume(read as usize);
        self.crc.update(&buffer[..written]);
        self.decompressed_bytes += written as u64;
        let result = match status {
            Ok(Status::StreamEnd) => {
                self.state = State::Trailer;
                Ok(())
            }
            Ok(_) if ended && written == 0 => Err(ErrorKind::UnexpectedEof.into()),
            Ok(_) if read > 0 || written > 0 => Ok(()),
            _ => Err(Error::new(ErrorKind::InvalidData, "corrupt deflate stream")),
        };
        (written, result)
    }

    fn trailer(&mut self) -> std::io::Result<()> {
        let mut trailer = [0; 8];
        self.reader.read_exact(&mut trailer)?;
        let [sum @ .., _, _, _, _] = trailer;
        let [_, _, _, _, size @ ..] = trailer;
        self.state = State::Between;
        if u32::from_le_bytes(sum) == self.crc.sum()
            && u32::from_le_bytes(size) == self.crc.amount()
        {
            return Ok(());
        }
        let error = "the checksum does not match";
        Err(Error::new(ErrorKind::InvalidData, error))
    }

    /// Passes over padding, separators and rubbish after a member, up to the next member or the end.
    fn next_member(&mut self) -> std::io::Result<()> {
        let (mut rubbish, mut newline) = (false, false);
        self.state = State::Done;
        loop {
            let length = match self.reader.peek(GZIP_MEMBER.len())? {
                [] => break,
                head if head == GZIP_MEMBER => {
                    self.state = State::Header;
                    break;
                }
                head if head == UTF8_MARK => UTF8_MARK.len(),
                // tar and tape pad with zeros; gzip(1) passes over them as well.
                [byte, ..] => {
                    newline |= *byte == b'\n';
                    let is_padding = *byte == 0 || is_separator((*byte).into());
                    rubbish |= !is_padding || !byte.is_ascii();
                    1
                }
            };
            self.reader.consume(length);
        }
        let damaged = !self.pending.is_empty();
        if rubbish && !damaged {
            // The checksums of the members around it hold.
            let fault = StreamFault {
                reason: "damaged gzip",
                detail: "bytes after the end that are not gzip".to_owned(),
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
        let reason = reason(Some(Compression::Gzip), error);
        record_fault(&self.faults, reason, error, self.decompressed_bytes);
        (self.state, self.pending) = match reason {
            "unreadable file" => (State::Done, b"".as_slice()),
            _ => (State::Between, BREAK.as_bytes()),
        };
    }
}

impl Read for GzipMembers<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let mut written = 0;
            let result = match self.state {
                // The bytes after damage come first: they may be rubbish of the same damage.
                State::Between => self.next_member(),
                _ if !self.pending.is_empty() => return self.pending.read(buffer),
                State::Header => self.header(),
                State::Trailer => self.trailer(),
                State::Done => return Ok(0),
                State::Data => {
                    let result;
                    (written, result) = self.data(buffer);
                    result
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

/// A buffered reader that can look some bytes ahead.
struct PeekReader<'r> {
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

    fn skip(&mut self, count: u64) -> std::io::Result<()> {
        let skipped = std::io::copy(&mut self.by_ref().take(count), &mut std::io::sink())?;
        if skipped < count {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    /// Steps over text that ends with a zero byte.
    fn skip_text(&mut self) -> std::io::Result<()> {
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
