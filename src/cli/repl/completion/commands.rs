//! Commands of the prompt, their arguments, and names of files.

use std::ops::Range;
use std::path::PathBuf;

use super::paths::starts_with;
use super::{Candidate, Vocabulary};
use crate::cli::repl::state;

/// Commands whose argument is a file.
const OF_FILES: [&str; 6] = ["\\i", "\\ir", "\\o", "\\g", "\\gx", "\\source"];

/// Commands whose arguments are a table and a column.
const OF_TABLES: [&str; 2] = ["\\d", "\\d+"];

/// The most files that are looked at in a folder.
const MOST_FILES: usize = 2_000;

impl Vocabulary {
    /// Completes the command whose backslash is at `start`.
    pub(super) fn complete_command(
        &self,
        text: &str,
        start: usize,
        cursor: usize,
    ) -> Vec<Candidate> {
        let typed = &text[start..cursor];
        let Some(name_end) = typed.find(char::is_whitespace) else {
            let rest = text[cursor..].find(char::is_whitespace);
            let rest = rest.unwrap_or(text.len() - cursor);
            return self.commands_like(typed, start..cursor + rest);
        };
        let (name, arguments) = typed.split_at(name_end);
        let word = arguments.rfind(char::is_whitespace).map_or(0, |at| {
            at + arguments[at..].chars().next().map_or(1, char::len_utf8)
        });
        let begun = &arguments[word..];
        let range = cursor - begun.len()..cursor;
        let is_first = arguments[..word].trim().is_empty();
        if OF_FILES.contains(&name) {
            return files(arguments.trim_start(), cursor);
        }
        if name == "\\queries" {
            return saved(arguments.trim_start(), cursor);
        }
        match (OF_TABLES.contains(&name), is_first) {
            (true, true) => self.tables_like(begun, &range),
            (true, false) => self.columns_like(arguments[..word].trim(), begun, &range),
            (false, true) => self.choices(name, begun, &range),
            (false, false) => Vec::new(),
        }
    }

    /// Returns the commands whose names begin with `typed`.
    pub(super) fn commands_like(&self, typed: &str, range: Range<usize>) -> Vec<Candidate> {
        let matching = self.commands.iter().filter(|it| it.name.starts_with(typed));
        let found = matching.map(|command| Candidate {
            range: range.clone(),
            text: command.name.clone(),
            kind: "command".to_owned(),
            about: format!("{}  {}", command.arguments, command.about)
                .trim()
                .to_owned(),
            append_space: !command.arguments.is_empty(),
        });
        found.collect()
    }

    fn tables_like(&self, typed: &str, range: &Range<usize>) -> Vec<Candidate> {
        let tables = self.tables.iter().map(|(table, _)| table);
        let matching = tables.filter(|table| starts_with(&table.name, typed));
        let found = matching.map(|table| candidate(range, &table.name, "table", &table.about));
        found.collect()
    }

    fn columns_like(&self, table: &str, typed: &str, range: &Range<usize>) -> Vec<Candidate> {
        let mut names: Vec<&str> = typed.split('.').collect();
        let partial = names.pop().unwrap_or_default();
        let parent = |name: &str| super::context::Parent {
            name: name.to_owned(),
            index: String::new(),
        };
        let parents: Vec<_> = names.into_iter().map(parent).collect();
        let table = super::RelationColumns::Table(table.to_owned());
        let matches = self.matches_in(&table, &parents, partial).into_iter();
        let found = matches.map(|it| Candidate {
            append_space: !it.has_parts,
            ..candidate(range, &it.path, &it.kind, &it.about)
        });
        found.collect()
    }

    /// Returns the words that a command takes: those in lower case in its arguments.
    fn choices(&self, name: &str, typed: &str, range: &Range<usize>) -> Vec<Candidate> {
        let command = self.commands.iter().find(|it| it.name == name);
        let arguments = command.map_or("", |it| &it.arguments);
        let is_part = |c: char| c.is_ascii_lowercase() || c == '-' || c == '_';
        let words = arguments.split(['|', '[', ']', ' ']);
        let words = words.filter(|word| !word.is_empty() && word.chars().all(is_part));
        let matching = words.filter(|word| starts_with(word, typed));
        matching
            .map(|word| candidate(range, word, "choice", ""))
            .collect()
    }
}

/// Returns the statements that are kept under names that begin with `typed`.
fn saved(typed: &str, cursor: usize) -> Vec<Candidate> {
    let range = cursor - typed.len()..cursor;
    let kept = state::saved_queries().unwrap_or_default();
    let matching = kept.iter().filter(|(name, _)| starts_with(name, typed));
    matching
        .map(|(name, sql)| candidate(&range, name, "statement", sql))
        .collect()
}

fn candidate(range: &Range<usize>, text: &str, kind: &str, about: &str) -> Candidate {
    Candidate {
        range: range.clone(),
        text: text.to_owned(),
        kind: kind.to_owned(),
        about: about.to_owned(),
        append_space: true,
    }
}

/// Returns the files and folders whose paths begin with `typed`, which ends at the cursor.
fn files(typed: &str, cursor: usize) -> Vec<Candidate> {
    let (folder, name) = match typed.rfind('/') {
        Some(slash) => typed.split_at(slash + 1),
        None => ("", typed),
    };
    let Ok(entries) = std::fs::read_dir(place(folder)) else {
        return Vec::new();
    };
    let range = cursor - name.len()..cursor;
    let mut found: Vec<Candidate> = entries
        .take(MOST_FILES)
        .flatten()
        .filter_map(|entry| {
            let is_folder = entry.path().is_dir();
            let file = entry.file_name().into_string().ok()?;
            let is_shown = !file.starts_with('.') || name.starts_with('.');
            let (kind, end) = if is_folder {
                ("folder", "/")
            } else {
                ("file", "")
            };
            (is_shown && file.starts_with(name)).then(|| Candidate {
                append_space: !is_folder,
                ..candidate(&range, &format!("{file}{end}"), kind, "")
            })
        })
        .collect();
    found.sort_by(|a, b| a.text.cmp(&b.text));
    found
}

/// Returns the folder that is meant, with the home folder for `~/`.
fn place(folder: &str) -> PathBuf {
    match (folder, folder.strip_prefix("~/"), std::env::var_os("HOME")) {
        ("", ..) => PathBuf::from("."),
        (_, Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => PathBuf::from(folder),
    }
}
