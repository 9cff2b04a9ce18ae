//! The `auroratrail` command: everything is in the library, this is its door.

use std::process::ExitCode;

use clap::Parser;

/// Rows are many small allocations in several threads, which the system's allocator is slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = auroratrail::cli::Arguments::parse();
    match auroratrail::cli::run(arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("auroratrail: {error}");
            ExitCode::from(2)
        }
    }
}
