//! `\e`: a statement in the user's editor.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::shell::{Next, Shell};
use crate::cli::report::why;
use crate::cli::sql::Sql;
use crate::error::{Error, Result};

impl Shell {
    /// Opens the last statement, or a file, in the editor, and runs what is saved.
    pub(super) async fn edit(&mut self, path: Option<String>) -> Result<Next> {
        if !self.is_interactive {
            return Err(Error::query("\\e needs a terminal"));
        }
        let sql = match path {
            Some(path) => {
                open_editor(Path::new(&path)).await?;
                Sql::read(Path::new(&path))?.text
            }
            None => self.edit_last().await?,
        };
        if sql.trim().is_empty() {
            return Ok(Next::Go);
        }
        self.say(sql.trim_end());
        Box::pin(self.run_text(&sql, false)).await
    }

    async fn edit_last(&self) -> Result<String> {
        let cannot = |error: std::io::Error| {
            Error::io(format!(
                "cannot write a file for the editor: {}",
                why(&error)
            ))
        };
        let mut file = tempfile::Builder::new()
            .prefix("auroratrail-")
            .suffix(".sql")
            .tempfile()
            .map_err(cannot)?;
        let before = self.last_statement.as_deref().unwrap_or_default();
        let before = match before {
            "" => String::new(),
            sql => format!("{};\n", sql.trim_end_matches(';')),
        };
        file.write_all(before.as_bytes()).map_err(cannot)?;
        let path: PathBuf = file.path().to_owned();
        open_editor(&path).await?;
        // An editor may have put another file in its place: it is read by its name.
        let after = Sql::read(&path)?.text;
        Ok(match after == before {
            // Nothing was changed: nothing is run, as in psql.
            true => String::new(),
            false => after,
        })
    }
}

/// Runs `$VISUAL`, `$EDITOR` or `vi` on a file, and waits for it.
async fn open_editor(path: &Path) -> Result<()> {
    let set = |name| std::env::var(name).ok().filter(|it| !it.trim().is_empty());
    let editor = set("VISUAL").or_else(|| set("EDITOR"));
    let editor = editor.unwrap_or_else(|| "vi".to_owned());
    let mut command = tokio::process::Command::new("sh");
    // The setting may hold arguments: `code --wait`.
    command
        .arg("-c")
        .arg(format!("{editor} \"$1\""))
        .arg("sh")
        .arg(path);
    let status = command
        .status()
        .await
        .map_err(|error| Error::io(format!("cannot start the editor {editor}: {}", why(&error))))?;
    match status.success() {
        true => Ok(()),
        false => Err(Error::io(format!(
            "the editor {editor} ended with {status}; nothing is run (EDITOR names another one)"
        ))),
    }
}
