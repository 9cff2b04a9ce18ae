//! Compression, told apart by magic bytes: at once for what fits, as a stream for the rest.
//!
//! A damaged gzip stream gives what came before the damage, and goes on with the next member if
//! there is one (Firehose writes many into a file); a [`BREAK`] line keeps the two sides apart.

use std::io::{Cursor, ErrorKind, Read};
use std::sync::{Arc, Mutex, PoisonError};

use super::MAX_INFLATED_BYTES;
use super::gzip::GzipMembers;
use super::magic::{self, Compression};
use super::text::Utf16;

/// What stands in the text where bytes were lost: no JSON text has this byte unescaped.
pub(super) const BREAK: &str = "\u{2}\n";

/// Compressed inside compressed inside ...: `.gz` files uploaded with `Content-Encoding: gzip` make two.
const MAX_LAYERS: usize = 4;

/// Inflates whole buffers.
pub(super) struct Inflater(libdeflater::Decompressor);

impl Default for Inflater {
    fn default() -> Self {
        Self(libdeflater::Decompressor::new())
    }
}

impl Inflater {
    /// Inflates `bytes` into `buffer`, or hands them back if they are not compressed. `None` if that
    /// cannot be done in one go: other formats, several members, damage, or more than `cap` bytes.
    pub(super) fn whole<'a>(
        &mut self,
        bytes: &'a [u8],
        buffer: &'a mut Vec<u8>,
        cap: usize,
    ) -> Option<&'a [u8]> {
        match magic::compression(bytes) {
            None => (bytes.len() <= cap).then_some(bytes),
            Some(Compression::Gzip) => self.gzip(bytes, buffer, cap),
            Some(_) => None,
        }
    }

    /// libdeflate stops after the first member and does not say where, so a second gzip header
    /// anywhere in the data (or what looks like one, in one file of two hundred) is left to the
    /// stream reader, which knows.
    fn gzip<'a>(&mut self, bytes: &[u8], buffer: &'a mut Vec<u8>, cap: usize) -> Option<&'a [u8]> {
        let trailer = bytes.last_chunk::<4>()?;
        let size = u32::from_le_bytes(*trailer) as usize;
        let header = memchr::memmem::find(&bytes[2..], &magic::GZIP_MEMBER);
        if size > cap || header.is_some() {
            return None;
        }
        if buffer.len() < size {
            // Never shrunk: zeroing it again for each file would cost a tenth of inflating it.
            buffer.resize(size, 0);
        }
        match self.0.gzip_decompress(bytes, &mut buffer[..size]) {
            Ok(written) if written == size => Some(&buffer[..size]),
            _ => None,
        }
    }
}

/// Damage to compressed data, or to the reading of it.
#[derive(Debug)]
pub(super) struct StreamFault {
    pub(super) reason: &'static str,
    pub(super) detail: String,
    /// Bytes that had been inflated by then.
    pub(super) byte: u64,
}

pub(super) type Faults = Arc<Mutex<Vec<StreamFault>>>;

/// The text of a payload, read piece by piece. Damage ends it early or leaves a [`BREAK`]; reading
/// never fails, [`Stream::faults`] tells.
pub(super) struct Stream<'r> {
    text: Box<dyn Read + 'r>,
    faults: Faults,
    read_bytes: u64,
}

impl<'r> Stream<'r> {
    pub(super) fn new(reader: impl Read + 'r) -> Self {
        let faults = Faults::default();
        Self {
            text: layer(Box::new(Patient(reader)), &faults, MAX_LAYERS),
            faults,
            read_bytes: 0,
        }
    }

    /// What went wrong so far.
    pub(super) fn faults(&self) -> Vec<StreamFault> {
        std::mem::take(&mut *self.faults.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Appends up to `count` bytes to `buffer`; tells whether that was the end.
    pub(super) fn fill(&mut self, buffer: &mut Vec<u8>, count: usize) -> bool {
        let result = (&mut self.text).take(count as u64).read_to_end(buffer);
        let read = match result {
            Ok(read) => read,
            Err(error) => {
                note(&self.faults, reason(None, &error), &error, self.read_bytes);
                0
            }
        };
        self.read_bytes += read as u64;
        if self.read_bytes > MAX_INFLATED_BYTES {
            let error = std::io::Error::other("the rest is not read; is it a decompression bomb?");
            note(
                &self.faults,
                "inflates to too much",
                &error,
                self.read_bytes,
            );
            return true;
        }
        read < count
    }
}

impl Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.text.read(buffer).unwrap_or_else(|error| {
            note(&self.faults, reason(None, &error), &error, self.read_bytes);
            0
        });
        self.read_bytes += read as u64;
        Ok(read)
    }
}

/// Reads again when a signal interrupted it: not every decoder does.
struct Patient<R>(R);

impl<R: Read> Read for Patient<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            match self.0.read(buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}

/// Takes compression off, layer by layer.
fn layer<'r>(mut reader: Box<dyn Read + 'r>, faults: &Faults, left: usize) -> Box<dyn Read + 'r> {
    let mut head = Vec::new();
    if let Err(error) = (&mut reader).take(magic::HEAD_BYTES).read_to_end(&mut head) {
        note(faults, reason(None, &error), &error, 0);
    }
    let format = magic::compression(&head);
    let order = magic::byte_order(&head);
    let reader: Box<dyn Read + 'r> = Box::new(Cursor::new(head).chain(reader));
    let Some(format) = format.filter(|_| left > 0) else {
        return match order {
            Some(order) => Box::new(Utf16::new(reader, order)),
            None => reader,
        };
    };
    let faults = Arc::clone(faults);
    let inner: Box<dyn Read + 'r> = match format {
        Compression::Gzip => Box::new(GzipMembers::new(reader, Arc::clone(&faults))),
        Compression::Bzip2 => Box::new(Tolerant::new(
            bzip2::read::MultiBzDecoder::new(reader),
            format,
            Arc::clone(&faults),
        )),
        Compression::Zstd => match zstd::stream::read::Decoder::new(reader) {
            Ok(mut decoder) => {
                // 128 MiB of window is what `zstd --long` writes and still bounded.
                let _ = decoder.window_log_max(27);
                Box::new(Tolerant::new(decoder, format, Arc::clone(&faults)))
            }
            Err(error) => {
                note(&faults, "damaged zstd", &error, 0);
                Box::new(std::io::empty())
            }
        },
    };
    layer(inner, &faults, left - 1)
}

/// Leaves word of a fault.
pub(super) fn note(faults: &Faults, reason: &'static str, error: &std::io::Error, byte: u64) {
    let fault = StreamFault {
        reason,
        detail: error.to_string(),
        byte,
    };
    faults
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(fault);
}

/// Whether the data or the reading of it is at fault.
pub(super) fn reason(format: Option<Compression>, error: &std::io::Error) -> &'static str {
    match (format, error.kind()) {
        (Some(Compression::Gzip), ErrorKind::UnexpectedEof) => "truncated gzip",
        (Some(Compression::Gzip), ErrorKind::InvalidData | ErrorKind::InvalidInput) => {
            "damaged gzip"
        }
        (Some(Compression::Bzip2), ErrorKind::UnexpectedEof) => "truncated bzip2",
        (Some(Compression::Bzip2), ErrorKind::InvalidData | ErrorKind::InvalidInput) => {
            "damaged bzip2"
        }
        (Some(Compression::Zstd), ErrorKind::UnexpectedEof) => "truncated zstd",
        // zstd reports damage as `Other`, as reading may; a file that fails to read is rarer.
        (Some(Compression::Zstd), _) => "damaged zstd",
        _ => "unreadable file",
    }
}

/// A decoder that ends where it fails, and leaves word of it.
struct Tolerant<R> {
    decoder: R,
    format: Compression,
    faults: Faults,
    read_bytes: u64,
    done: bool,
}

impl<R: Read> Tolerant<R> {
    fn new(decoder: R, format: Compression, faults: Faults) -> Self {
        Self {
            decoder,
            format,
            faults,
            read_bytes: 0,
            done: false,
        }
    }
}

impl<R: Read> Read for Tolerant<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.done {
            return Ok(0);
        }
        match self.decoder.read(buffer) {
            Err(error) if error.kind() != ErrorKind::Interrupted => {
                self.done = true;
                note(
                    &self.faults,
                    reason(Some(self.format), &error),
                    &error,
                    self.read_bytes,
                );
                Ok(0)
            }
            result => {
                self.read_bytes += *result.as_ref().unwrap_or(&0) as u64;
                result
            }
        }
    }
}
