//! Streams put into a temporary file, for formats that are not read from begin to end.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek};

/// Copies what `reader` reads into a file without a name, which is gone when it is closed. Returns the file,
/// at its begin, and its size, bytes.
///
/// # Errors
///
/// Fails with [`ErrorKind::FileTooLarge`] for more than `cap` bytes, and if the disk is full.
pub(super) fn spool(reader: impl Read, cap: u64) -> io::Result<(File, u64)> {
    let mut file = tempfile::tempfile()?;
    let copied = io::copy(&mut reader.take(cap.saturating_add(1)), &mut file)?;
    if copied > cap {
        let why = "the rest is not read; is it a decompression bomb?";
        return Err(io::Error::new(ErrorKind::FileTooLarge, why));
    }
    file.rewind()?;
    Ok((file, copied))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spooled_is_all_there_or_an_error() {
        let (mut file, size) = spool(&b"abc"[..], 3).unwrap();
        let mut text = String::new();
        assert_eq!(size, 3);
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "abc");
        let error = spool(&b"abcd"[..], 3).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FileTooLarge);
    }
}
