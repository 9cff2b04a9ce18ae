//! Deflate with the headers and checksums of gzip and zlib.
//!
//! flate2's own readers lose the text they decompressed in the call that meets the damage, up to some
//! hundred kilobytes; this one keeps every byte.

use std::io::{BufRead, Error, ErrorKind, Read};

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::magic::GZIP_MEMBER;
use super::members::{MemberDecoder, SharedReader};

/// A decoder of one gzip member or zlib stream.
pub(super) struct Inflate<'r> {
    input: SharedReader<'r>,
    state: State,
    decompressor: Decompress,
    /// The checksum of a gzip member; `decompressor` checks zlib's.
    crc: Option<Crc>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before a member's header.
    Header,
    /// In a member's compressed data.
    Data,
    /// Before a member's checksum.
    Trailer,
    Done,
}

impl<'r> Inflate<'r> {
    pub(super) fn gzip(input: SharedReader<'r>) -> Self {
        Self {
            input,
            state: State::Header,
            decompressor: Decompress::new(false),
            crc: Some(Crc::new()),
        }
    }

    pub(super) fn zlib(input: SharedReader<'r>) -> Self {
        Self {
            input,
            state: State::Data,
            decompressor: Decompress::new(true),
            crc: None,
        }
    }

    /// Steps over a member's header (RFC 1952, 2.3).
    fn header(&mut self) -> std::io::Result<()> {
        const CHECKSUM: u8 = 2;
        const EXTRA: u8 = 4;
        const NAME: u8 = 8;
        const COMMENT: u8 = 16;
        const RESERVED: u8 = 32;
        let mut reader = self.input.reader.borrow_mut();
        let mut fixed = [0; 10];
        reader.read_exact(&mut fixed)?;
        let flags = fixed[3];
        if !fixed.starts_with(&GZIP_MEMBER) || flags >= RESERVED {
            return Err(Error::new(ErrorKind::InvalidData, "invalid gzip header"));
        }
        if flags & EXTRA != 0 {
            let mut length = [0; 2];
            reader.read_exact(&mut length)?;
            reader.skip(u16::from_le_bytes(length).into())?;
        }
        for text in [NAME, COMMENT] {
            if flags & text != 0 {
                reader.skip_text()?;
            }
        }
        if flags & CHECKSUM != 0 {
            reader.skip(2)?;
        }
        self.state = State::Data;
        Ok(())
    }

    /// Decompresses into `buffer`. Returns the number of bytes, which counts up to the damage if there
    /// is any.
    fn data(&mut self, buffer: &mut [u8]) -> (usize, std::io::Result<()>) {
        let mut reader = self.input.reader.borrow_mut();
        let input = match reader.fill_buf() {
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
        reader.consume(read as usize);
        if let Some(crc) = &mut self.crc {
            crc.update(&buffer[..written]);
        }
        let result = match status {
            Ok(Status::StreamEnd) => {
                self.state = match self.crc {
                    Some(_) => State::Trailer,
                    None => State::Done,
                };
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
        self.input.reader.borrow_mut().read_exact(&mut trailer)?;
        let [sum @ .., _, _, _, _] = trailer;
        let [_, _, _, _, size @ ..] = trailer;
        self.state = State::Done;
        let is_right = self.crc.as_ref().is_none_or(|crc| {
            u32::from_le_bytes(sum) == crc.sum() && u32::from_le_bytes(size) == crc.amount()
        });
        if is_right {
            return Ok(());
        }
        let error = "the checksum does not match";
        Err(Error::new(ErrorKind::InvalidData, error))
    }
}

impl MemberDecoder for Inflate<'_> {
    fn decode(&mut self, buffer: &mut [u8]) -> (usize, std::io::Result<bool>) {
        let (written, result) = match self.state {
            State::Header => (0, self.header()),
            State::Data => self.data(buffer),
            State::Trailer => (0, self.trailer()),
            State::Done => (0, Ok(())),
        };
        (written, result.map(|()| self.state == State::Done))
    }
}
