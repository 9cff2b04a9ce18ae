//! Snappy as Hadoop writes it: each block is its size as text, then pieces with their compressed size
//! before them until that much text is there. All sizes are big-endian; there is no magic number.

use std::io::{Error, ErrorKind, Read};

use snap::raw::{Decoder, decompress_len, max_compress_len};

/// Largest size of a block's text, bytes. Hadoop writes 256 KiB, Firehose no more than it buffers.
const MAX_BLOCK_BYTES: usize = 64 << 20;

/// Returns whether `bytes` begin as a block does: both sizes, and the size that snappy itself puts before
/// the piece, fit each other.
pub(super) fn begins(bytes: &[u8]) -> bool {
    let Some(([block, piece], rest)) = sizes(bytes) else {
        return false;
    };
    let text = decompress_len(rest).unwrap_or(0);
    (1..=MAX_BLOCK_BYTES).contains(&block)
        && (1..=block).contains(&text)
        && (2..=max_compress_len(text)).contains(&piece)
        && first_tag(rest).is_some_and(|tag| tag & 3 == 0)
}

/// Splits the two sizes off.
fn sizes(bytes: &[u8]) -> Option<([usize; 2], &[u8])> {
    let (block, rest) = bytes.split_first_chunk::<4>()?;
    let (piece, rest) = rest.split_first_chunk::<4>()?;
    let size = |bytes: &[u8; 4]| u32::from_be_bytes(*bytes) as usize;
    Some(([size(block), size(piece)], rest))
}

/// Returns the tag of the first element, after the size of the text. It is a literal always.
fn first_tag(piece: &[u8]) -> Option<u8> {
    let size = piece.iter().position(|byte| byte & 0x80 == 0)?;
    piece.get(size + 1).copied()
}

/// A reader of the text of such blocks.
pub(super) struct HadoopSnappy<R> {
    reader: R,
    /// Bytes of the block's text that are still to come.
    left_in_block: usize,
    compressed: Vec<u8>,
    text: Vec<u8>,
    given: usize,
}

impl<R: Read> HadoopSnappy<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader,
            left_in_block: 0,
            compressed: Vec::new(),
            text: Vec::new(),
            given: 0,
        }
    }

    /// Reads a size. Returns `None` at the end.
    fn size(&mut self) -> std::io::Result<Option<usize>> {
        let mut bytes = Vec::new();
        (&mut self.reader).take(4).read_to_end(&mut bytes)?;
        match *bytes {
            [] => Ok(None),
            [a, b, c, d] => Ok(Some(u32::from_be_bytes([a, b, c, d]) as usize)),
            _ => Err(ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Decompresses the next piece. Returns whether there was one.
    fn next_piece(&mut self) -> std::io::Result<bool> {
        let damaged = |detail: &'static str| Err(Error::new(ErrorKind::InvalidData, detail));
        while self.left_in_block == 0 {
            match self.size()? {
                None => return Ok(false),
                Some(size) if size > MAX_BLOCK_BYTES => return damaged("a block is too large"),
                Some(size) => self.left_in_block = size,
            }
        }
        let size = self.size()?.ok_or(ErrorKind::UnexpectedEof)?;
        if size > max_compress_len(self.left_in_block) {
            return damaged("a piece is larger than its block");
        }
        self.compressed.clear();
        (&mut self.reader)
            .take(size as u64)
            .read_to_end(&mut self.compressed)?;
        if self.compressed.len() < size {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let text_size = decompress_len(&self.compressed)?;
        if text_size == 0 || text_size > self.left_in_block {
            return damaged("the sizes of a block do not fit");
        }
        self.text.resize(text_size, 0);
        self.given = text_size;
        Decoder::new().decompress(&self.compressed, &mut self.text)?;
        self.given = 0;
        self.left_in_block -= text_size;
        Ok(true)
    }
}

impl<R: Read> Read for HadoopSnappy<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.given == self.text.len() && !self.next_piece()? {
            return Ok(0);
        }
        let count = (&self.text[self.given..]).read(buffer)?;
        self.given += count;
        Ok(count)
    }
}
