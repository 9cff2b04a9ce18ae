//! The cache of objects that were decoded before.

use std::path::PathBuf;

use clap::Args;

use super::parse_size;
use crate::error::{Error, Result};
use crate::lake::object_cache::ObjectCache;
use crate::source::Location;

/// The options of commands that can keep what they decode.
#[derive(Debug, Args)]
pub(super) struct CacheArguments {
    /// Keep what is decoded on disk: another question about the same files or objects is then as quick as over a
    /// lake, and the first one takes longer
    #[arg(long = "cache", conflicts_with = "dedup")]
    is_wanted: bool,

    /// Where it is kept; it may be deleted at any time [default: auroratrail in ~/.cache]
    #[arg(
        long = "cache-folder",
        value_name = "FOLDER",
        env = "AURORATRAIL_CACHE_FOLDER",
        hide_env_values = true
    )]
    folder: Option<PathBuf>,

    /// The most that is kept; what was not used for longest goes first
    #[arg(long = "cache-size", value_name = "SIZE", default_value = "10G", value_parser = parse_size)]
    size: usize,
}

impl CacheArguments {
    /// Returns the cache, if there is to be one.
    ///
    /// # Errors
    /// Config, if there is no place for it.
    pub(super) fn find(&self) -> Result<Option<ObjectCache>> {
        if !self.is_wanted {
            return Ok(None);
        }
        let folder = match &self.folder {
            Some(folder) => folder.clone(),
            None => default_folder()?,
        };
        Ok(Some(ObjectCache::new(&folder, self.size as u64)))
    }

    /// Checks that the sources can be kept.
    ///
    /// # Errors
    /// Config, if one is neither a file nor an object.
    pub(super) fn check(&self, locations: &[Location]) -> Result<()> {
        let other = locations.iter().find(|it| !it.is_objects());
        match other.filter(|_| self.is_wanted) {
            Some(other) => Err(Error::config(format!(
                "--cache keeps files and objects of S3, and {other} is neither; leave out --cache, or ask \
                 about {other} by itself"
            ))),
            None => Ok(()),
        }
    }
}

/// Returns `$XDG_CACHE_HOME/auroratrail`, by default `~/.cache/auroratrail` (XDG Base Directory
/// Specification).
fn default_folder() -> Result<PathBuf> {
    let set = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let base = set.filter(|path| path.is_absolute()).or_else(|| {
        let home = std::env::home_dir().filter(|home| home.is_absolute());
        home.map(|home| home.join(".cache"))
    });
    let base = base.ok_or_else(|| {
        Error::config("there is no home folder to keep the cache in; give --cache-folder")
    })?;
    Ok(base.join("auroratrail"))
}
