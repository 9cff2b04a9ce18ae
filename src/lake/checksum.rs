//! Checksums of data files, as parts of their names.
//!
//! A byte that changes within a compressed page is often read as another value, without an error. The
//! page checksums of Parquet would tell, but the writer makes none and the engine checks none; and a
//! name is kept by every program that rewrites the log.

use std::io::{self, Write};

use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt};
use ring::digest::{Context, SHA256};

/// The checksum of a data file: the first 64 bits of its SHA-256. It tells accidents, not forgery: who can
/// change a file of a lake can change its log too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checksum(u64);

impl Checksum {
    /// Returns the checksum of a file's bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(bytes);
        Self::of_context(context)
    }

    /// Returns the checksum in the path of a file; `None` if there is none, as in those of other programs.
    pub fn of_path(path: &str) -> Option<Self> {
        let name = path.rsplit('/').next()?;
        let name = name.strip_prefix("part-")?;
        let digits = name.strip_suffix(ENDING)?.rsplit('-').next()?;
        let is_checksum = digits.len() == DIGITS && digits.bytes().all(|it| it.is_ascii_hexdigit());
        let number = is_checksum.then(|| u64::from_str_radix(digits, 16));
        number?.ok().map(Self)
    }

    /// Reads a file to its end, in pieces, and returns its checksum.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn of_object(
        store: &dyn ObjectStore,
        path: &object_store::path::Path,
    ) -> object_store::Result<Self> {
        let mut pieces = store.get(path).await?.into_stream();
        let mut context = Context::new(&SHA256);
        while let Some(piece) = pieces.try_next().await? {
            context.update(&piece);
        }
        Ok(Self::of_context(context))
    }

    /// Returns the name of a file that has this checksum; it is made unique by `id`.
    pub(super) fn file_name(self, id: uuid::Uuid) -> String {
        format!("part-{id}-{:0DIGITS$x}{ENDING}", self.0)
    }

    fn of_context(context: Context) -> Self {
        let digest = context.finish();
        let first = digest.as_ref().iter().take(DIGITS / 2);
        Self(first.fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }
}

/// Takes the checksum of what is written.
pub(super) struct Summing<W> {
    out: W,
    context: Context,
}

impl<W: Write> Summing<W> {
    /// Writes to `out`.
    pub(super) fn new(out: W) -> Self {
        let context = Context::new(&SHA256);
        Self { out, context }
    }

    /// Returns the place that was written to, and the checksum of what was written.
    pub(super) fn finish(self) -> (W, Checksum) {
        (self.out, Checksum::of_context(self.context))
    }
}

impl<W: Write> Write for Summing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.context.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// What is wrong with a file whose checksum is another.
pub const FAULT: &str = "is damaged: its bytes are not those that were written";

/// Hexadecimal digits of a checksum in a name: with a file's identifier they are 53 letters.
const DIGITS: usize = 16;

/// The end of a data file's name.
const ENDING: &str = ".zstd.parquet";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_the_checksum_of_the_bytes() {
        // The first digits of NIST's example, https://www.di-mgt.com.au/sha_testvectors.html.
        let sum = Checksum::of(b"abc");
        let name = sum.file_name(uuid::Uuid::nil());
        let expected = "part-00000000-0000-0000-0000-000000000000-ba7816bf8f01cfea.zstd.parquet";
        assert_eq!(name, expected);
        assert_eq!(
            Checksum::of_path(&format!("dt=2026-11-29/{name}")),
            Some(sum)
        );
        let mut summing = Summing::new(Vec::new());
        summing.write_all(b"a").unwrap();
        summing.write_all(b"bc").unwrap();
        assert_eq!(summing.finish(), (b"abc".to_vec(), sum));
        let small = Checksum(7);
        let path = small.file_name(uuid::Uuid::nil());
        assert_eq!(Checksum::of_path(&path), Some(small));
        for other in [
            "part-00000000-0000-0000-0000-000000000000.zstd.parquet",
            "part-00000-ba7816bf8f01cfea-c000.snappy.parquet",
            "dt=2026-11-29/part-1-ba7816bf8f01cfeg.zstd.parquet",
            "dt=2026-11-29/part-1-+a7816bf8f01cfea.zstd.parquet",
            "dt=2026-11-29/file-1-ba7816bf8f01cfea.zstd.parquet",
            "",
        ] {
            assert_eq!(Checksum::of_path(other), None, "{other}");
        }
    }
}
