//! Words of the command line that are in the wrong place, or that hold what cannot be seen.

use std::path::{Path, PathBuf};

use super::logs::{self, Level};
use crate::error::{Error, Result};

/// Checks that the first word is a query, where it is to be one.
///
/// # Errors
/// Config, if it names a source, or if a query comes later.
pub(super) fn check_query(word: &str, sources: &[String]) -> Result<()> {
    check_dash(word)?;
    if looks_like_sql(word) {
        return Ok(());
    }
    if let Some(query) = sources.iter().find(|word| looks_like_sql(word)) {
        return Err(Error::config(format!(
            "the query comes before the sources; expected `auroratrail query \"{}\" {word}`",
            shortened(query)
        )));
    }
    if !names_source(word) {
        return Ok(());
    }
    let advice = match Path::new(word).extension() {
        _ if word == "-" => "-f - reads one from standard input".to_owned(),
        Some(ending) if ending.eq_ignore_ascii_case("sql") => {
            format!("-f {word} reads one from it")
        }
        _ => format!("expected `auroratrail query \"SELECT ...\" {word}`"),
    };
    Err(Error::config(format!(
        "`{word}` is a source, not a query; {advice}"
    )))
}

/// Checks that a word may name a source.
///
/// # Errors
/// Config, if it is a query or was meant as an option.
pub(super) fn check_source(word: &str) -> Result<()> {
    check_dash(word)?;
    if looks_like_sql(word) {
        return Err(Error::config(format!(
            "`{}` is a query, not a source; `auroratrail query` takes one query, as its first word \
             or with -f",
            shortened(word)
        )));
    }
    Ok(())
}

/// Checks that a word does not begin as an option that a word processor has changed.
fn check_dash(word: &str) -> Result<()> {
    let name = word.trim_start_matches([
        '\u{2010}', '\u{2011}', '\u{2012}', '\u{2013}', '\u{2014}', '\u{2015}', '\u{2212}',
    ]);
    let is_option = name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.len() < word.len();
    let Some(dash) = word.chars().next().filter(|_| is_option && !exists(word)) else {
        return Ok(());
    };
    let code = u32::from(dash);
    Err(Error::config(format!(
        "`{word}` begins with {dash} (U+{code:04X}), not with -; expected {}{name}",
        if name.len() == 1 { "-" } else { "--" }
    )))
}

/// Returns whether a word begins as a statement does, and is not the name of a file.
pub(super) fn looks_like_sql(word: &str) -> bool {
    let statement = without_comments(word);
    let end = statement.find(|c: char| !c.is_ascii_alphabetic());
    let (first, rest) = statement.split_at(end.unwrap_or(statement.len()));
    let is_open = rest.starts_with(|c: char| c.is_whitespace() || "(*\"'`".contains(c))
        || rest.starts_with("--")
        || (rest.starts_with("/*") && rest.contains("*/"));
    let is_statement = STATEMENTS.iter().any(|it| first.eq_ignore_ascii_case(it));
    is_statement && is_open && !exists(word)
}

/// Removes invisible characters and a carriage return at the end, unless a file has that name.
pub(super) fn without_invisible(word: &str) -> String {
    let is_seen = |c: &char| !is_invisible(*c) || is_joiner(*c);
    let seen: String = word
        .trim_end_matches('\r')
        .chars()
        .filter(is_seen)
        .collect();
    if seen == word || exists(word) {
        return word.to_owned();
    }
    let note = format!("note: `{seen}` was given with invisible characters, which are left out");
    logs::say(Level::Info, &note);
    seen
}

/// Removes invisible characters from paths, unless a file has that name.
pub(super) fn clean_paths<'a>(paths: impl IntoIterator<Item = &'a mut PathBuf>) {
    for path in paths {
        if let Some(word) = path.to_str() {
            *path = without_invisible(word).into();
        }
    }
}

/// Returns whether a character takes no room: format characters, direction and byte order marks.
pub(super) fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// Returns whether an invisible character changes how those beside it look, as in emoji.
pub(super) fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

/// Returns the first characters of a query, in one line.
pub(super) fn shortened(query: &str) -> String {
    let line = query.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

fn exists(word: &str) -> bool {
    std::fs::symlink_metadata(word).is_ok()
}

/// Returns whether a word that begins no statement names a source.
fn names_source(word: &str) -> bool {
    let is_path = || word.contains('/') && !word.contains(char::is_whitespace);
    word == "-"
        || exists(word)
        || (!without_comments(word).is_empty() && (word.starts_with("sample:") || is_path()))
}

/// Returns a statement from its first word on.
fn without_comments(sql: &str) -> &str {
    let rest = sql.trim_start_matches(|c: char| c.is_whitespace() || is_invisible(c) || c == '(');
    let after = match rest.get(..2) {
        Some("--") => rest.split_once('\n'),
        Some("/*") => rest.split_once("*/"),
        _ => return rest,
    };
    after.map_or("", |(_, after)| without_comments(after))
}

/// First words of statements, also of those that are refused later.
const STATEMENTS: &[&str] = &[
    "ALTER", "COPY", "CREATE", "DELETE", "DESC", "DESCRIBE", "DROP", "EXPLAIN", "FROM", "INSERT",
    "SELECT", "SET", "SHOW", "TABLE", "UPDATE", "USE", "VALUES", "WITH",
];

/// Characters of a query that a message shows.
const SHOWN: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_told_from_a_path() {
        for sql in [
            "SELECT 1",
            "select*from events",
            " (SELECT 1)",
            "-- first\n\tWITH a AS (SELECT 1) FROM a",
            "/* first */ VALUES(1)",
            "SELECT/* */1",
            "\u{feff}SHOW TABLES",
            "from events",
        ] {
            assert!(looks_like_sql(sql), "{sql}");
            assert!(check_query(sql, &[]).is_ok(), "{sql}");
        }
        for path in [
            "select.json",
            "from/x",
            "show-2026",
            "logs",
            "",
            "SELECT",
            "select/*.gz",
        ] {
            assert!(!looks_like_sql(path), "{path}");
        }
    }

    #[test]
    fn joined_characters_stay_together() {
        assert_eq!(without_invisible("a\u{200b}b\u{feff}\r"), "ab");
        assert_eq!(without_invisible("👨\u{200d}👩.csv"), "👨\u{200d}👩.csv");
    }
}
