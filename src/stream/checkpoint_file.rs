//! The checkpoint of a standing query, in a file of its own.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};

/// A file with the checkpoint of the rows that were written so far.
#[derive(Debug)]
pub struct CheckpointFile {
    path: PathBuf,
    kept: Option<Checkpoint>,
}

/// The content of the file.
#[derive(Serialize, Deserialize)]
struct Content {
    /// The version of this form.
    auroratrail_checkpoint: u32,
    checkpoint: Checkpoint,
}

impl CheckpointFile {
    /// Reads the file, if it is there.
    ///
    /// # Errors
    /// Config, if it cannot be read or is none of ours.
    pub fn open(path: &Path) -> Result<Self> {
        let kept = match std::fs::read(path) {
            Ok(bytes) => Some(parse(path, &bytes)?),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(fault(path, "read", &error)),
        };
        Ok(Self {
            path: path.to_owned(),
            kept,
        })
    }

    /// The checkpoint that is in the file, `None` if there is no file.
    pub fn checkpoint(&self) -> Option<&Checkpoint> {
        self.kept.as_ref()
    }

    /// Puts a checkpoint into the file, in one step, if it is not there already.
    ///
    /// # Errors
    /// Config, if the file cannot be written.
    pub fn keep(&mut self, checkpoint: Checkpoint) -> Result<()> {
        if self.kept.as_ref() == Some(&checkpoint) {
            return Ok(());
        }
        self.write(&checkpoint)
            .map_err(|error| fault(&self.path, "write", &error))?;
        self.kept = Some(checkpoint);
        Ok(())
    }

    fn write(&self, checkpoint: &Checkpoint) -> std::io::Result<()> {
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer(
            &mut file,
            &Content {
                auroratrail_checkpoint: VERSION,
                checkpoint: checkpoint.clone(),
            },
        )?;
        file.write_all(b"\n")?;
        // On the disk before it takes the place of the one before, and its name after that.
        file.as_file().sync_all()?;
        file.persist(&self.path)?;
        File::open(folder)?.sync_all()
    }
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Checkpoint> {
    let content: Content = serde_json::from_slice(bytes).map_err(|error| {
        Error::config(format!(
            "{} is not a checkpoint of auroratrail: {error}; name another file, or remove it to begin anew",
            path.display()
        ))
    })?;
    match content.auroratrail_checkpoint {
        VERSION => Ok(content.checkpoint),
        version => Err(Error::config(format!(
            "{} is a checkpoint of version {version}; expected {VERSION}",
            path.display()
        ))),
    }
}

fn fault(path: &Path, what: &str, error: &std::io::Error) -> Error {
    Error::config(format!(
        "cannot {what} the checkpoint {}: {}",
        path.display(),
        crate::reject::why(error)
    ))
}

/// The version of the file's form.
const VERSION: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Position;

    #[test]
    fn a_checkpoint_is_kept_and_found_again_and_a_file_of_others_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.json");
        let mut file = CheckpointFile::open(&path).unwrap();
        assert_eq!(file.checkpoint(), None);
        let mut checkpoint = Checkpoint::default();
        for sequence in ["1", "2", "10"] {
            let position = Position::Sequence(sequence.to_owned());
            checkpoint.advance("kinesis://s/0", position).unwrap();
            file.keep(checkpoint.clone()).unwrap();
        }
        assert_eq!(
            CheckpointFile::open(&path).unwrap().checkpoint(),
            Some(&checkpoint)
        );
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        std::fs::write(&path, "{\"a\": 1}").unwrap();
        let error = CheckpointFile::open(&path).unwrap_err().to_string();
        assert!(error.contains("is not a checkpoint"), "{error}");
    }
}
