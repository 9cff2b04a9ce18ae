//! Values of a column, from the profile.

use std::ops::Range;

use super::context::{Compared, Fragment, compared};
use super::paths::{contains, starts_with};
use super::tokens::{Token, is_word_char};
use super::{Candidate, Request, Vocabulary, events, words};
use crate::events::columns::{ColumnType, catalog};

impl Vocabulary {
    /// Returns the values for the string that begins at `start`, after `before`.
    pub(super) fn complete_text(
        &self,
        request: &Request<'_>,
        start: usize,
        before: &[Token<'_>],
    ) -> Vec<Candidate> {
        let Some(compared) = compared(before) else {
            return Vec::new();
        };
        let typed = request.text[start + 1..request.cursor].replace("''", "'");
        let range = start..request.cursor + rest_of_text(&request.text[request.cursor..]);
        self.values(request, &compared, &typed, range)
    }

    /// Returns the values for a literal whose quote is not typed yet.
    pub(super) fn complete_value(
        &self,
        request: &Request<'_>,
        fragment: &Fragment,
        before: &[Token<'_>],
    ) -> Vec<Candidate> {
        let Some(compared) = compared(before) else {
            return Vec::new();
        };
        let column = Self::column(request, &compared.path);
        let is_boolean = column
            .is_some_and(|column| catalog().columns()[column].column_type == ColumnType::Boolean);
        match is_boolean {
            true => words::keywords(request, fragment, &["TRUE", "FALSE"]),
            false => self.values(
                request,
                &compared,
                &fragment.partial,
                request.range(fragment),
            ),
        }
    }

    /// Returns the column of the catalog that a path names, with or without a qualifier.
    fn column(request: &Request<'_>, path: &[String]) -> Option<usize> {
        let path = match path {
            [first, rest @ ..] if !rest.is_empty() && Self::relation(request, first).is_some() => {
                rest
            }
            path => path,
        };
        catalog().index_of(&path.join("_").to_ascii_lowercase())
    }

    fn values(
        &self,
        request: &Request<'_>,
        compared: &Compared,
        typed: &str,
        range: Range<usize>,
    ) -> Vec<Candidate> {
        let Some(column) = Self::column(request, &compared.path) else {
            return Vec::new();
        };
        let typed = match compared.is_pattern {
            true => typed.trim_matches('%'),
            false => typed,
        };
        let profile = self.profile();
        let values = profile.values(column);
        let (first, others): (Vec<_>, Vec<_>) = values
            .into_iter()
            .partition(|(value, _)| starts_with(value, typed));
        let inside = others
            .into_iter()
            .filter(|(value, _)| contains(value, typed));
        let matching = first.into_iter().chain(inside);
        let found = matching.map(|(value, count)| Candidate {
            range: range.clone(),
            text: format!("'{}'", value.replace('\'', "''")),
            kind: "value".to_owned(),
            about: events(count),
            append_space: !compared.in_list,
        });
        found.collect()
    }
}

/// Returns the length of the rest of a string after the cursor, with its quote, if it is but a word.
fn rest_of_text(after: &str) -> usize {
    let is_part = |c: char| is_word_char(c) || matches!(c, '.' | '-' | ':' | '/' | '@');
    let end = after.find(|c| !is_part(c)).unwrap_or(after.len());
    match after[end..].starts_with('\'') {
        true => end + 1,
        false => 0,
    }
}
