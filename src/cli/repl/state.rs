//! Files of the prompt's user: the history and the statements that are kept.

use std::fs;
use std::io;
use std::path::PathBuf;

use crate::cli::report::why;
use crate::error::{Error, Result};
use crate::private_folder::make_private;

/// Returns the folder of the history and of kept statements, made if it is not there; readable by its
/// user alone, as statements name people and resources. It is `$XDG_STATE_HOME/auroratrail`, by
/// default `~/.local/state/auroratrail` (XDG Base Directory Specification).
///
/// # Errors
/// Io, if there is no home, or if the folder cannot be made.
pub(super) fn folder() -> Result<PathBuf> {
    let set = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let base = set.filter(|path| path.is_absolute()).or_else(|| {
        let home = std::env::home_dir().filter(|home| home.is_absolute());
        home.map(|home| home.join(".local/state"))
    });
    let folder = base
        .ok_or_else(|| {
            Error::io("there is no home folder to keep the history in; set XDG_STATE_HOME")
        })?
        .join("auroratrail");
    make_private(&folder).map_err(|error| {
        let folder = folder.display();
        Error::io(format!("cannot make {folder}: {}", why(&error)))
    })?;
    Ok(folder)
}

/// Returns the file of the history, made if it is not there.
///
/// # Errors
/// Io, as of [`folder`].
pub(super) fn history_file() -> Result<PathBuf> {
    let path = folder()?.join("history");
    let mut options = fs::OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(&path).map_err(|error| {
        let path = path.display();
        Error::io(format!("cannot write {path}: {}", why(&error)))
    })?;
    Ok(path)
}

/// Keeps a statement under a name; returns the file.
///
/// # Errors
/// Query, for a name that is no plain word; Io, if it cannot be written.
pub(super) fn save_query(name: &str, sql: &str) -> Result<PathBuf> {
    let path = query_file(name)?;
    let text = format!("{};\n", sql.trim_end().trim_end_matches(';'));
    fs::write(&path, text).map_err(|error| {
        let path = path.display();
        Error::io(format!("cannot write {path}: {}", why(&error)))
    })?;
    Ok(path)
}

/// Reads a statement that was kept.
///
/// # Errors
/// Query, if there is none of this name.
pub(super) fn saved_query(name: &str) -> Result<String> {
    let path = query_file(name)?;
    fs::read_to_string(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::query(format!(
            "no statement is saved as {name}; \\queries lists them"
        )),
        _ => Error::io(format!("cannot read {name}: {}", why(&error))),
    })
}

/// Reads all statements that were kept, each with its name, by name.
///
/// # Errors
/// Io, if the folder cannot be read.
pub(super) fn saved_queries() -> Result<Vec<(String, String)>> {
    let folder = queries()?;
    let entries = fs::read_dir(&folder).map_err(|error| {
        let folder = folder.display();
        Error::io(format!("cannot read {folder}: {}", why(&error)))
    })?;
    let mut queries: Vec<(String, String)> = entries
        .flatten()
        .filter_map(|entry| {
            let path = entry.path();
            let name = path.file_name()?.to_str()?.strip_suffix(".sql")?;
            let text = fs::read_to_string(&path).ok()?;
            let line: Vec<&str> = text.split_whitespace().collect();
            Some((name.to_owned(), line.join(" ")))
        })
        .collect();
    queries.sort();
    Ok(queries)
}

fn query_file(name: &str) -> Result<PathBuf> {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.starts_with('.') || !name.chars().all(is_plain) {
        return Err(Error::query(format!(
            "expected a name of letters, digits, - and _, found {name}"
        )));
    }
    Ok(queries()?.join(format!("{name}.sql")))
}

fn queries() -> Result<PathBuf> {
    let folder = folder()?.join("queries");
    make_private(&folder).map_err(|error| {
        let folder = folder.display();
        Error::io(format!("cannot make {folder}: {}", why(&error)))
    })?;
    Ok(folder)
}
