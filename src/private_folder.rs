//! Folders of this program that its user alone can read.

use std::fs;
use std::io;
use std::path::Path;

/// Makes a folder and those above it, if they are not there, readable by their user alone.
///
/// # Errors
/// If it cannot be made.
pub fn make_private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
