//! The `auroratrail` command: everything is in the library, this is its door.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

/// Rows are many small allocations in several threads, which the system's allocator is slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let is_text = |word: &OsString| word.to_str().is_some();
    if let Some(word) = std::env::args_os().find(|word| !is_text(word)) {
        let shown = word.to_string_lossy();
        let pattern = shown.replace(char::REPLACEMENT_CHARACTER, "?");
        eprintln!(
            "auroratrail: {shown} is no UTF-8; files with such names are read by their folder or by a \
             pattern: '{pattern}'"
        );
        return ExitCode::from(2);
    }
    let arguments = auroratrail::cli::Arguments::parse();
    match auroratrail::cli::run(arguments) {
        Ok(code) => code,
        Err(error) => {
            auroratrail::cli::say_error(&error);
            ExitCode::from(2)
        }
    }
}
