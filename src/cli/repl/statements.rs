//! Splits what is typed into statements and commands.
//!
//! A statement ends at a semicolon outside of quotes and comments, and may go over many lines. A
//! command begins with a backslash and ends with its line. A command may also end a statement, in
//! place of the semicolon: `SELECT 1 \g answer.csv`.

use crate::cli::sql::Part;

/// A piece of what was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// A statement, without its semicolon.
    Statement(String),
    /// A command with its arguments, without the backslash.
    Command(String),
    /// A statement and the command after it.
    Both(String, String),
}

/// Takes the first piece off the front of `text`; returns it and the bytes that it took. `None`
/// if more has to come. `is_last` tells that no more comes: what is left then is a piece.
pub(super) fn take(text: &str, is_last: bool) -> Option<(Typed, usize)> {
    let start = text.len() - text.trim_start().len();
    let rest = &text[start..];
    if rest.is_empty() {
        return None;
    }
    if let Some(line) = rest.strip_prefix('\\') {
        let (command, taken) = first_line(line);
        return Some((Typed::Command(command.to_owned()), start + 1 + taken));
    }
    let (line, taken) = first_line(rest);
    if let Some(command) = as_word(line) {
        return Some((Typed::Command(command.to_owned()), start + taken));
    }
    let end = end(rest);
    match end {
        End::Semicolon(at) => Some((Typed::Statement(rest[..at].to_owned()), start + at + 1)),
        End::Command(at) => {
            let (command, taken) = first_line(&rest[at + 1..]);
            let both = Typed::Both(rest[..at].trim_end().to_owned(), command.to_owned());
            Some((both, start + at + 1 + taken))
        }
        End::None { has_code: true } if is_last => {
            Some((Typed::Statement(rest.trim_end().to_owned()), text.len()))
        }
        End::None { .. } => None,
    }
}

/// Splits `text` into its pieces, taking the last one as whole.
pub(super) fn split(text: &str) -> Vec<Typed> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((piece, taken)) = take(rest, true) {
        rest = &rest[taken..];
        pieces.push(piece);
    }
    pieces
}

/// Returns whether Enter ends the input: it is blank, or its last piece is whole.
pub(super) fn is_complete(text: &str) -> bool {
    let mut rest = text;
    while let Some((_, taken)) = take(rest, false) {
        rest = &rest[taken..];
    }
    match end(rest) {
        End::None { has_code } => !has_code && !is_in_comment(rest),
        _ => true,
    }
}

/// The end of a statement.
enum End {
    Semicolon(usize),
    /// A command begins here.
    Command(usize),
    None {
        /// Whether there is anything but comments and white space.
        has_code: bool,
    },
}

fn end(text: &str) -> End {
    let mut has_code = false;
    for (at, c, part) in parts(text) {
        if part != Part::Code {
            has_code |= matches!(part, Part::Quoted(_));
            continue;
        }
        let rest = &text[at..];
        match c {
            ';' => return End::Semicolon(at),
            '\\' => return End::Command(at),
            _ if rest.starts_with("--") || rest.starts_with("/*") => {}
            _ => has_code |= !c.is_whitespace(),
        }
    }
    End::None { has_code }
}

fn is_in_comment(text: &str) -> bool {
    let open = parts(text).last();
    open.is_some_and(|(_, c, part)| match part {
        Part::BlockComment => !text.ends_with("*/"),
        Part::Code => c == '*' && text.ends_with("/*"),
        _ => false,
    })
}

/// Returns the characters of `text` with the part that each is in; a quote that begins a text is
/// code, the one that ends it is not.
pub(super) fn parts(text: &str) -> impl Iterator<Item = (usize, char, Part)> {
    let mut part = Part::Code;
    let mut before = '\0';
    text.char_indices().map(move |(at, c)| {
        let here = part;
        part = part.after(before, &text[at..]);
        before = c;
        (at, c, here)
    })
}

/// Returns the first line without blanks at its ends, and the bytes up to the next one.
fn first_line(text: &str) -> (&str, usize) {
    match text.find('\n') {
        Some(at) => (text[..at].trim(), at + 1),
        None => (text.trim(), text.len()),
    }
}

/// Returns the command that a line of one word means, as other prompts have it.
fn as_word(line: &str) -> Option<&'static str> {
    let word = line.trim_end_matches(';').trim();
    WORDS
        .iter()
        .find(|(name, _)| word.eq_ignore_ascii_case(name))
        .map(|(_, command)| *command)
}

/// Words without a backslash that are commands when they are alone on their line.
const WORDS: [(&str, &str); 3] = [("help", "?"), ("exit", "q"), ("quit", "q")];

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(text: &str) -> Typed {
        Typed::Statement(text.to_owned())
    }

    fn command(text: &str) -> Typed {
        Typed::Command(text.to_owned())
    }

    #[test]
    fn statements_end_at_semicolons_and_commands_with_their_line() {
        let text = "SELECT 1;\n\\x on\n\\d events db\nSELECT ';' -- ;\n, 2 /* ; */;help;\n  EXIT \nSELECT 3";
        assert_eq!(
            split(text),
            [
                statement("SELECT 1"),
                command("x on"),
                command("d events db"),
                statement("SELECT ';' -- ;\n, 2 /* ; */"),
                command("?"),
                command("q"),
                statement("SELECT 3"),
            ]
        );
    }

    #[test]
    fn a_command_may_end_a_statement() {
        let both = Typed::Both("SELECT '\\' AS a".to_owned(), "g out.csv".to_owned());
        assert_eq!(
            split("SELECT '\\' AS a \\g out.csv\nSELECT 2;"),
            [both, statement("SELECT 2")]
        );
    }

    #[test]
    fn input_goes_on_until_it_is_whole() {
        for text in [
            "SELECT 1;",
            "SELECT 1; -- done",
            "SELECT 1 \\g",
            "\\d",
            "  \\x",
            "",
            " \n ",
            "-- nothing",
            "/* nothing */",
            "help",
            "Quit;",
            "SELECT ';';",
            "SELECT 1; SELECT 2;",
        ] {
            assert!(is_complete(text), "{text}");
        }
        for text in [
            "SELECT 1",
            "SELECT ';",
            "SELECT 1 -- ;",
            "SELECT 1 /* ;",
            "SELECT 1; SELECT",
            "/* begun",
            "/*",
            "helper",
            "SELECT \"a;\n",
        ] {
            assert!(!is_complete(text), "{text}");
        }
    }

    #[test]
    fn a_comment_alone_is_no_statement() {
        assert_eq!(split("-- a\n/* b */\n"), []);
        assert_eq!(split("-- a\n;"), [statement("-- a\n")]);
    }
}
