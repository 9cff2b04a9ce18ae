//! The hash of a log file's JSON, taken while it is decompressed, in bounded memory.

use std::io::{self, Write};

use flate2::write::GzDecoder;

use super::digest::hex;

/// The finding about a log file's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogContent {
    /// SHA-256 of what is in it, in hex.
    Hash(String),
    /// It cannot be decompressed.
    NotGzip,
    /// There is more after the end of the gzip stream.
    TrailingBytes,
}

/// A hash under way.
pub struct LogHasher {
    decoder: GzDecoder<Hashing>,
    fault: Option<LogContent>,
}

impl Default for LogHasher {
    fn default() -> Self {
        let hashing = Hashing(ring::digest::Context::new(&ring::digest::SHA256));
        Self {
            decoder: GzDecoder::new(hashing),
            fault: None,
        }
    }
}

impl LogHasher {
    /// Takes the next bytes of the file.
    pub fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.fault.is_none() {
            match self.decoder.write(bytes) {
                // The decoder takes nothing beyond the end of its stream.
                Ok(0) => self.fault = Some(LogContent::TrailingBytes),
                Ok(taken) => bytes = &bytes[taken..],
                Err(_) => self.fault = Some(LogContent::NotGzip),
            }
        }
    }

    /// Ends the file.
    pub fn finish(self) -> LogContent {
        if let Some(fault) = self.fault {
            return fault;
        }
        match self.decoder.finish() {
            Ok(Hashing(context)) => LogContent::Hash(hex(context.finish().as_ref())),
            Err(_) => LogContent::NotGzip,
        }
    }
}

struct Hashing(ring::digest::Context);

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::super::digest::sha256_hex;
    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn content(stored: &[u8], chunk: usize) -> LogContent {
        let mut hasher = LogHasher::default();
        stored.chunks(chunk).for_each(|chunk| hasher.push(chunk));
        hasher.finish()
    }

    #[test]
    fn every_cut_gives_the_same_finding() {
        let text = "{\"Records\": []}\n".repeat(500);
        let stored = gzip(text.as_bytes());
        let hash = LogContent::Hash(sha256_hex(text.as_bytes()));
        let member = [stored.clone(), stored.clone()].concat();
        let mut damaged = stored.clone();
        let crc = damaged.len() - 8;
        damaged[crc] ^= 1;
        for chunk in (1..40).chain([stored.len(), usize::MAX]) {
            assert_eq!(content(&stored, chunk), hash);
            assert_eq!(content(&member, chunk), LogContent::TrailingBytes);
            let more = [&stored[..], b"\0"].concat();
            assert_eq!(content(&more, chunk), LogContent::TrailingBytes);
            assert_eq!(content(&damaged, chunk), LogContent::NotGzip);
            let cut = &stored[..stored.len() - 1];
            assert_eq!(content(cut, chunk), LogContent::NotGzip);
            assert_eq!(content(text.as_bytes(), chunk), LogContent::NotGzip);
            assert_eq!(content(b"", chunk), LogContent::NotGzip);
        }
    }
}
