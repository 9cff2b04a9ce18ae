//! Colours of what is typed.

use datafusion::sql::sqlparser::keywords::{ALL_KEYWORDS, RESERVED_FOR_COLUMN_ALIAS};
use reedline::{Color, Highlighter, StyledText};

use super::statements::parts;
use crate::cli::sql::Part;

/// Colours keywords, texts, numbers, comments and commands.
pub(super) struct SqlHighlighter;

/// The sort of a stretch of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stretch {
    Plain,
    Keyword,
    Text,
    Number,
    Comment,
    Command,
}

impl Highlighter for SqlHighlighter {
    fn highlight(&self, text: &str, _: usize) -> StyledText {
        let mut styled = StyledText::new();
        for (stretch, text) in stretches(text) {
            let style = match stretch {
                Stretch::Plain => Color::Default.normal(),
                Stretch::Keyword => Color::Blue.bold(),
                Stretch::Text => Color::Green.normal(),
                Stretch::Number => Color::Purple.normal(),
                Stretch::Comment => Color::DarkGray.normal(),
                Stretch::Command => Color::Cyan.normal(),
            };
            styled.push((style, text.to_owned()));
        }
        styled
    }
}

/// Splits text into stretches, which together are the text.
fn stretches(text: &str) -> Vec<(Stretch, &str)> {
    if text.trim_start().starts_with('\\') {
        return vec![(Stretch::Command, text)];
    }
    let mut found = Vec::new();
    let mut begun: Option<(usize, Class)> = None;
    for (at, c, part) in parts(text) {
        let class = Class::of(c, part, &text[at..]);
        let goes_on = begun.is_some_and(|(_, before)| before == class);
        if !goes_on {
            if let Some((start, class)) = begun {
                found.push((class.stretch(&text[start..at]), &text[start..at]));
            }
            begun = Some((at, class));
        }
    }
    if let Some((start, class)) = begun {
        found.push((class.stretch(&text[start..]), &text[start..]));
    }
    found
}

/// The class of a character; those of one class side by side are a stretch.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Word,
    Quoted,
    Comment,
    Other,
}

impl Class {
    fn of(c: char, part: Part, rest: &str) -> Self {
        match (part, c) {
            (Part::Quoted('\''), _) | (Part::Code, '\'') => Self::Quoted,
            (Part::LineComment | Part::BlockComment, _) => Self::Comment,
            (Part::Code, '-') if rest.starts_with("--") => Self::Comment,
            (Part::Code, '/') if rest.starts_with("/*") => Self::Comment,
            (Part::Code, _) if c.is_alphanumeric() || matches!(c, '_' | '.') => Self::Word,
            _ => Self::Other,
        }
    }

    fn stretch(self, text: &str) -> Stretch {
        match self {
            Self::Quoted => Stretch::Text,
            Self::Comment => Stretch::Comment,
            Self::Other => Stretch::Plain,
            Self::Word if text.starts_with(|c: char| c.is_ascii_digit()) => Stretch::Number,
            Self::Word if is_keyword(text) => Stretch::Keyword,
            Self::Word => Stretch::Plain,
        }
    }
}

/// Returns whether a word is one of SQL's, and not rather the name of a column or function.
fn is_keyword(word: &str) -> bool {
    let word = word.to_ascii_uppercase();
    let is_reserved = || {
        let known = ALL_KEYWORDS.binary_search(&&*word);
        known.is_ok_and(|index| {
            let keyword = datafusion::sql::sqlparser::keywords::ALL_KEYWORDS_INDEX[index];
            RESERVED_FOR_COLUMN_ALIAS.contains(&keyword)
        })
    };
    COMMON.contains(&&*word) || is_reserved()
}

/// Keywords that may be names as well, and hardly are.
const COMMON: &[&str] = &[
    "ALL",
    "AND",
    "AS",
    "ASC",
    "BETWEEN",
    "BY",
    "CASE",
    "CAST",
    "CREATE",
    "CROSS",
    "DESC",
    "DESCRIBE",
    "DISTINCT",
    "DROP",
    "ELSE",
    "EXISTS",
    "EXPLAIN",
    "FALSE",
    "FILTER",
    "ILIKE",
    "IN",
    "INNER",
    "INTERVAL",
    "IS",
    "JOIN",
    "LEFT",
    "LIKE",
    "NOT",
    "NULL",
    "ON",
    "OR",
    "OUTER",
    "OVER",
    "PARTITION",
    "REPLACE",
    "RIGHT",
    "SHOW",
    "SIMILAR",
    "TABLES",
    "THEN",
    "TRUE",
    "UNNEST",
    "USING",
    "VALUES",
    "VIEW",
    "WHEN",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_are_the_whole_text() {
        let text =
            "SELECT 'it''s' AS \"a\", e.eventName -- note\nFROM events e WHERE x > 12 /* ; */";
        let found = stretches(text);
        let whole: String = found.iter().map(|(_, text)| *text).collect();
        assert_eq!(whole, text);
        let of = |stretch| -> Vec<&str> {
            let same = found.iter().filter(|(it, _)| *it == stretch);
            same.map(|(_, text)| *text).collect()
        };
        assert_eq!(of(Stretch::Keyword), ["SELECT", "AS", "FROM", "WHERE"]);
        assert_eq!(of(Stretch::Text), ["'it''s'"]);
        assert_eq!(of(Stretch::Number), ["12"]);
        assert_eq!(of(Stretch::Comment), ["-- note\n", "/* ; */"]);
        assert_eq!(stretches("\\d x"), [(Stretch::Command, "\\d x")]);
    }
}
