//! `auroratrail sample`: made-up trail files to try things on.

use std::path::Path;
use std::process::ExitCode;

use indicatif::HumanBytes;

use super::SampleArguments;
use super::report::counted;
use crate::error::{Error, Result};
use crate::sample::Sample;

pub(super) fn run(arguments: &SampleArguments) -> Result<ExitCode> {
    let sample = Sample::parse(&format!(
        "?events={}&seed={}&days={}",
        arguments.events, arguments.seed, arguments.days
    ))?;
    if has_files(&arguments.folder) {
        return Err(Error::config(format!(
            "{} is not empty: name a new folder",
            arguments.folder.display()
        )));
    }
    let written = sample.write_trail(&arguments.folder)?;
    eprintln!(
        "auroratrail: {} in {}, {} ({} inflated), below {}",
        counted(sample.events(), "made-up event"),
        counted(written.files, "file"),
        HumanBytes(written.stored_bytes),
        HumanBytes(written.bytes),
        arguments.folder.display(),
    );
    Ok(ExitCode::SUCCESS)
}

fn has_files(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some())
}
