//! Splits SQL, finished or not, into tokens.

/// The kind of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// A name or keyword.
    Word,
    /// A name in double quotes.
    Name,
    /// A string in single quotes.
    Text,
    /// A number.
    Number,
    /// Any other character, or an operator of several.
    Symbol,
    /// A comment.
    Comment,
}

/// A piece of SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    /// Its kind.
    pub(super) kind: TokenKind,
    /// Its text, with quotes.
    pub(super) text: &'a str,
    /// Offset of its first byte.
    pub(super) start: usize,
    /// Whether its end is missing: the quote or `*/`, or the line's end of a `--` comment.
    pub(super) is_open: bool,
}

impl Token<'_> {
    /// Returns the offset after its last byte.
    pub(super) fn end(&self) -> usize {
        self.start + self.text.len()
    }

    /// Returns whether it is this word, in any case.
    pub(super) fn is_word(&self, word: &str) -> bool {
        self.kind == TokenKind::Word && self.text.eq_ignore_ascii_case(word)
    }

    /// Returns whether it is one of these words, in any case.
    pub(super) fn is_any(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.is_word(word))
    }

    /// Returns whether it is this symbol.
    pub(super) fn is(&self, symbol: &str) -> bool {
        self.kind == TokenKind::Symbol && self.text == symbol
    }

    /// Returns whether it is a name, quoted or not, or a keyword.
    pub(super) fn is_name(&self) -> bool {
        matches!(self.kind, TokenKind::Word | TokenKind::Name)
    }

    /// Returns the name without quotes.
    pub(super) fn name(&self) -> String {
        match self.kind {
            TokenKind::Name => self.text.trim_matches('"').replace("\"\"", "\""),
            _ => self.text.to_owned(),
        }
    }
}

/// Returns whether a character may be part of a name.
pub(super) fn is_word_char(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

/// Splits `text` into tokens whose offsets begin at `start`.
pub(super) fn tokens(text: &str, start: usize) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        if c.is_whitespace() {
            at += c.len_utf8();
            continue;
        }
        let (kind, length, is_open) = first(&text[at..], c);
        tokens.push(Token {
            kind,
            text: &text[at..at + length],
            start: start + at,
            is_open,
        });
        at += length;
    }
    tokens
}

/// Returns kind and length of the first token, and whether its end is missing.
fn first(rest: &str, c: char) -> (TokenKind, usize, bool) {
    let until = |end: &str, from: usize| match rest[from..].find(end) {
        Some(at) => (from + at + end.len(), false),
        None => (rest.len(), true),
    };
    let (kind, (length, is_open)) = match c {
        '\'' => (TokenKind::Text, quoted(rest, '\'')),
        '"' => (TokenKind::Name, quoted(rest, '"')),
        _ if rest.starts_with("--") => (TokenKind::Comment, until("\n", 2)),
        _ if rest.starts_with("/*") => (TokenKind::Comment, until("*/", 2)),
        '0'..='9' => {
            let is_part = |c: char| is_word_char(c) || c == '.';
            (TokenKind::Number, (span(rest, is_part), false))
        }
        c if is_word_char(c) => (TokenKind::Word, (span(rest, is_word_char), false)),
        c => {
            let pair = rest.get(..2).filter(|pair| OPERATORS.contains(pair));
            (
                TokenKind::Symbol,
                (pair.map_or_else(|| c.len_utf8(), str::len), false),
            )
        }
    };
    (kind, length, is_open)
}

const OPERATORS: [&str; 7] = ["<>", "!=", "<=", ">=", "==", "||", "::"];

fn span(rest: &str, is_part: impl Fn(char) -> bool) -> usize {
    rest.find(|c| !is_part(c)).unwrap_or(rest.len())
}

/// Returns the length of a quoted text, in which the quote is doubled, and whether its end is missing.
fn quoted(rest: &str, quote: char) -> (usize, bool) {
    let mut at = 1;
    while let Some(found) = rest[at..].find(quote) {
        at += found + 1;
        if !rest[at..].starts_with(quote) {
            return (at, false);
        }
        at += 1;
    }
    (rest.len(), true)
}

/// Returns the range of the statement around the cursor: from the semicolon before it to that after.
pub(super) fn statement(text: &str, cursor: usize) -> std::ops::Range<usize> {
    let before = tokens(&text[..cursor], 0);
    let start = before.iter().rfind(|token| token.is(";"));
    let after = tokens(&text[cursor..], cursor);
    let end = after.iter().find(|token| token.is(";"));
    start.map_or(0, Token::end)..end.map_or(text.len(), |token| token.start)
}
