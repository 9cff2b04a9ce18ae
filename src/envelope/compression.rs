//! Decompression: in one go for objects that fit, as a stream for the rest.
//!
//! A damaged gzip stream yields the text before the damage, and goes on with the next member if
//! there is one (Firehose writes many into a file); a [`BREAK`] line keeps the two sides apart.

use std::io::{Cursor, ErrorKind, Read};
use std::sync::{Arc, Mutex, PoisonError};

use super::hadoop_snappy::HadoopSnappy;
use super::magic::{self, Compression};
use super::members::Members;
use super::text::Utf16;
use crate::reject::why;

/// A line that marks where bytes were lost; JSON never has its first byte unescaped.
pub(super) const BREAK: &str = "\u{2}\n";

/// Most compressions inside each other. `.gz` files uploaded with `Content-Encoding: gzip` make two.
pub(super) const MAX_LAYERS: usize = 4;

/// Decompresses whole buffers.
pub(super) struct Decompressor(libdeflater::Decompressor);

impl Default for Decompressor {
    fn default() -> Self {
        Self(libdeflater::Decompressor::new())
    }
}

impl Decompressor {
    /// Decompresses `bytes` into `buffer`, or hands them back if they are not compressed. Returns
    /// `None` if that takes a stream: other formats, several members, damage, or more than `cap`
    /// bytes.
    pub(super) fn decompress<'a>(
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

    /// Decompresses a single member. libdeflate stops after the first and does not say where, so data
    /// with a second gzip header in it (or three bytes like one, in one file of two hundred) is left to
    /// the stream.
    fn gzip<'a>(&mut self, bytes: &[u8], buffer: &'a mut Vec<u8>, cap: usize) -> Option<&'a [u8]> {
        let trailer = bytes.last_chunk::<4>()?;
        let size = u32::from_le_bytes(*trailer) as usize;
        let header = memchr::memmem::find(&bytes[2..], &magic::GZIP_MEMBER);
        if size > cap || header.is_some() {
            return None;
        }
        if buffer.len() < size {
            // Never shrunk: zeroing it again for each file would cost a tenth of decompressing it.
            buffer.resize(size, 0);
        }
        match self.0.gzip_decompress(bytes, &mut buffer[..size]) {
            Ok(written) if written == size => Some(&buffer[..size]),
            _ => None,
        }
    }
}

/// Damage to compressed data, or a failure to read it.
#[derive(Debug)]
pub(super) struct StreamFault {
    pub(super) reason: &'static str,
    pub(super) detail: String,
    /// Size of the text before the fault, bytes.
    pub(super) byte: u64,
    /// Whether text may be lost or wrong, so that its records are salvaged.
    pub(super) harms_text: bool,
}

pub(super) type Faults = Arc<Mutex<Vec<StreamFault>>>;

/// The text of a payload, read piece by piece. Reading never fails: damage ends the text early or
/// leaves a [`BREAK`], and is recorded for [`Stream::take_faults`].
pub(super) struct Stream<'r> {
    text: Box<dyn Read + 'r>,
    faults: Faults,
    read_bytes: u64,
    limit_bytes: u64,
}

impl<'r> Stream<'r> {
    /// Creates a stream that ends with a fault after `limit_bytes` of text.
    pub(super) fn new(reader: impl Read + 'r, limit_bytes: u64) -> Self {
        let faults = Faults::default();
        Self {
            text: layer(Box::new(RetryInterrupted(reader)), &faults, MAX_LAYERS),
            faults,
            read_bytes: 0,
            limit_bytes,
        }
    }

    /// Returns the list to which faults are added.
    pub(super) fn faults(&self) -> Faults {
        Arc::clone(&self.faults)
    }

    /// Takes the faults that were recorded so far.
    pub(super) fn take_faults(&self) -> Vec<StreamFault> {
        std::mem::take(&mut *self.faults.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Appends up to `count` bytes to `buffer`. Returns whether the stream is at its end.
    pub(super) fn fill(&mut self, buffer: &mut Vec<u8>, count: usize) -> bool {
        let result = (&mut self.text).take(count as u64).read_to_end(buffer);
        let read = result.unwrap_or_else(|error| self.end_at(&error));
        self.read_bytes += read as u64;
        if self.read_bytes > self.limit_bytes {
            self.end_at_limit();
            return true;
        }
        read < count
    }

    fn end_at_limit(&self) {
        let error = std::io::Error::other("the rest is not read; is it a decompression bomb?");
        record_fault(
            &self.faults,
            "inflates to too much",
            &error,
            self.read_bytes,
        );
    }

    /// Records a failed read, which ends the text. Returns the number of bytes read, none.
    fn end_at(&self, error: &std::io::Error) -> usize {
        record_fault(&self.faults, reason(None, error), error, self.read_bytes);
        0
    }
}

impl Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.read_bytes > self.limit_bytes {
            self.end_at_limit();
            // Says so once.
            self.limit_bytes = u64::MAX;
            self.text = Box::new(std::io::empty());
        }
        let result = self.text.read(buffer);
        let read = result.unwrap_or_else(|error| self.end_at(&error));
        self.read_bytes += read as u64;
        Ok(read)
    }
}

/// Retries reads that a signal interrupted, as not every decoder does.
pub(super) struct RetryInterrupted<R>(pub(super) R);

impl<R: Read> Read for RetryInterrupted<R> {
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
    if let Err(error) = (&mut reader)
        .take(magic::HEAD_BYTES as u64)
        .read_to_end(&mut head)
    {
        record_fault(faults, reason(None, &error), &error, 0);
    }
    let format = magic::compression(&head);
    let order = magic::byte_order(&head);
    let first_byte = head.first().copied().unwrap_or_default();
    let reader: Box<dyn Read + 'r> = Box::new(Cursor::new(head).chain(reader));
    let Some(format) = format.filter(|_| left > 0) else {
        return match order {
            Some(order) => Box::new(Utf16::new(reader, order)),
            None => reader,
        };
    };
    let faults = Arc::clone(faults);
    let inner: Box<dyn Read + 'r> = match format {
        Compression::Gzip
        | Compression::Zlib
        | Compression::Xz
        | Compression::Lzma
        | Compression::Lz4 => {
            let faults = Arc::clone(&faults);
            Box::new(Members::new(reader, format, first_byte, faults))
        }
        Compression::Snappy => Box::new(EndAtFault::new(
            snap::read::FrameDecoder::new(reader),
            format,
            Arc::clone(&faults),
        )),
        Compression::HadoopSnappy => Box::new(EndAtFault::new(
            HadoopSnappy::new(reader),
            format,
            Arc::clone(&faults),
        )),
        Compression::Bzip2 => Box::new(EndAtFault::new(
            bzip2::read::MultiBzDecoder::new(reader),
            format,
            Arc::clone(&faults),
        )),
        Compression::Zstd => match zstd::stream::read::Decoder::new(reader) {
            Ok(mut decoder) => {
                // 128 MiB of window is what `zstd --long` writes and still bounded.
                let _ = decoder.window_log_max(27);
                Box::new(EndAtFault::new(decoder, format, Arc::clone(&faults)))
            }
            Err(error) => {
                record_fault(&faults, "damaged zstd", &error, 0);
                Box::new(std::io::empty())
            }
        },
    };
    layer(inner, &faults, left - 1)
}

/// Records a fault of the text.
pub(super) fn record_fault(
    faults: &Faults,
    reason: &'static str,
    error: &std::io::Error,
    byte: u64,
) {
    let fault = StreamFault {
        reason,
        detail: why(error),
        byte,
        harms_text: true,
    };
    push_fault(faults, fault);
}

/// Records a fault.
pub(super) fn push_fault(faults: &Faults, fault: StreamFault) {
    faults
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(fault);
}

/// Returns the reason for the reject: damaged data, or a failure to read them.
pub(super) fn reason(format: Option<Compression>, error: &std::io::Error) -> &'static str {
    let Some(format) = format else {
        return "unreadable file";
    };
    let [damaged, truncated] = format.reasons();
    match (format, error.kind()) {
        (_, ErrorKind::UnexpectedEof) => truncated,
        (_, ErrorKind::InvalidData | ErrorKind::InvalidInput) => damaged,
        (Compression::Gzip | Compression::Zlib | Compression::Bzip2, _) => "unreadable file",
        (_, ErrorKind::ConnectionReset | ErrorKind::TimedOut) => "unreadable file",
        // The other decoders report damage as `Other`, as reading may; a file that fails to read is rarer.
        _ => damaged,
    }
}

/// Turns a decoding error into end of stream and records it in `faults`.
struct EndAtFault<R> {
    decoder: R,
    format: Compression,
    faults: Faults,
    read_bytes: u64,
    done: bool,
}

impl<R: Read> EndAtFault<R> {
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

impl<R: Read> Read for EndAtFault<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.done {
            return Ok(0);
        }
        let read = self.decoder.read(buffer).unwrap_or_else(|error| {
            self.done = true;
            let reason = reason(Some(self.format), &error);
            record_fault(&self.faults, reason, &error, self.read_bytes);
            0
        });
        self.read_bytes += read as u64;
        Ok(read)
    }
}
