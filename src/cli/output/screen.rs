//! Text as a terminal shows it: what must not reach one, how wide the rest is, where to cut.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// `text` with every character that a terminal would obey written as an escape: line breaks and
/// tabs as `\n` and `\t`, other controls and direction overrides as `\u{1b}`.
///
/// A backslash stays single, so that JSON stays legible: `\n` may also be those two characters.
pub(super) fn printable<'a>(text: &'a str, scratch: &'a mut String) -> &'a str {
    let harmless = |byte: u8| (0x20..0x7f).contains(&byte);
    if text.bytes().all(harmless) || !text.contains(needs_escape) {
        return text;
    }
    scratch.clear();
    for c in text.chars() {
        if needs_escape(c) {
            scratch.extend(c.escape_default());
        } else {
            scratch.push(c);
        }
    }
    scratch
}

/// Whether a terminal would act on the character, break the line at it, or turn the text around.
pub(super) fn needs_escape(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
                | '\u{feff}'
        )
}

/// A text and the columns it takes.
#[derive(Debug, PartialEq)]
pub(super) struct Fitted<'a> {
    /// What is to be shown of the text.
    pub(super) text: &'a str,
    /// What was left out, to be shown as [`ELLIPSIS`].
    pub(super) cut: Cut,
    /// Columns, with that of [`ELLIPSIS`].
    pub(super) width: usize,
}

/// What of a text was left out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Cut {
    Nothing,
    Start,
    End,
}

/// The mark of a text that goes on, one column wide.
pub(super) const ELLIPSIS: &str = "…";

/// The columns that a [`printable`] text takes.
pub(super) fn width(text: &str) -> usize {
    if text.is_ascii() {
        text.len()
    } else {
        text.width()
    }
}

/// The start of a [`printable`] text that fits `limit` columns.
pub(super) fn fit(text: &str, limit: usize) -> Fitted<'_> {
    fit_with(text, limit, Cut::End, |room| split(text, room).0)
}

/// The start of a [`printable`] text that takes up to `room` columns, and the rest.
pub(super) fn split(text: &str, room: usize) -> (&str, &str) {
    let start = clusters(text).take_while(fitting(room));
    text.split_at(start.map(str::len).sum())
}

/// The end of a [`printable`] text that fits `limit` columns: of a path, the part that tells it
/// from its neighbours.
pub(super) fn fit_end(text: &str, limit: usize) -> Fitted<'_> {
    fit_with(text, limit, Cut::Start, |room| {
        let all: Vec<&str> = clusters(text).collect();
        let mut start = text.len();
        for cluster in all.into_iter().rev().take_while(fitting(room)) {
            start -= cluster.len();
        }
        &text[start..]
    })
}

fn fit_with<'a>(
    text: &'a str,
    limit: usize,
    cut: Cut,
    part: impl FnOnce(usize) -> &'a str,
) -> Fitted<'a> {
    let whole = width(text);
    if whole <= limit {
        return Fitted {
            text,
            cut: Cut::Nothing,
            width: whole,
        };
    }
    let part = part(limit.saturating_sub(1));
    Fitted {
        text: part,
        cut,
        width: width(part) + 1,
    }
}

/// True as long as what it has seen fits `room` columns.
fn fitting(room: usize) -> impl FnMut(&&str) -> bool {
    let mut used = 0;
    move |cluster| {
        used += width(cluster);
        used <= room
    }
}

/// The parts that a cut must not go through: a character with its accents, an emoji with all that
/// is joined to it, a flag. An approximation of Unicode's grapheme clusters, enough to cut by.
fn clusters(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (cluster, after) = rest.split_at(cluster_bytes(rest));
        rest = after;
        (!cluster.is_empty()).then_some(cluster)
    })
}

fn cluster_bytes(text: &str) -> usize {
    let mut chars = text.char_indices();
    let Some((_, first)) = chars.next() else {
        return 0;
    };
    let is_flag_letter = |c: char| ('\u{1f1e6}'..='\u{1f1ff}').contains(&c);
    let is_skin_tone = |c: char| ('\u{1f3fb}'..='\u{1f3ff}').contains(&c);
    let mut before = first;
    for (at, c) in chars {
        let second = at == first.len_utf8();
        let joined = c.width() == Some(0)
            || before == ZERO_WIDTH_JOINER
            || (is_skin_tone(c) && !first.is_ascii())
            || (second && is_flag_letter(first) && is_flag_letter(c));
        if !joined {
            return at;
        }
        before = c;
    }
    text.len()
}

const ZERO_WIDTH_JOINER: char = '\u{200d}';

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_shown_instead() {
        let mut scratch = String::new();
        assert_eq!(printable("plain é 表", &mut scratch), "plain é 表");
        assert_eq!(
            printable("\u{1b}[2J\r\n\tx\u{9b}1m\u{202e}\u{7f}\0", &mut scratch),
            r"\u{1b}[2J\r\n\tx\u{9b}1m\u{202e}\u{7f}\u{0}"
        );
    }

    #[test]
    fn a_cut_text_never_takes_more_than_its_limit() {
        for text in [
            "abcdef",
            "日本語テキスト",
            "👨‍👩‍👧👨‍👩‍👧x",
            "e\u{301}e\u{301}e\u{301}e",
            "🇩🇪🇫🇷🇯🇵",
            "👍🏽👍🏽",
        ] {
            for limit in 1..10 {
                for fitted in [fit(text, limit), fit_end(text, limit)] {
                    assert!(fitted.width <= limit, "{text} {limit} {fitted:?}");
                    let cut = fitted.cut != Cut::Nothing;
                    assert_eq!(width(fitted.text) + usize::from(cut), fitted.width);
                    assert_eq!(cut, fitted.text != text);
                }
            }
        }
    }

    #[test]
    fn a_cut_does_not_go_through_a_flag_an_accent_or_a_family() {
        assert_eq!(fit("🇩🇪🇫🇷", 3).text, "🇩🇪");
        assert_eq!(fit("🇩🇪🇫🇷", 2).text, "");
        assert_eq!(fit("e\u{301}abc", 2).text, "e\u{301}");
        assert_eq!(fit("👨‍👩‍👧👨‍👩‍👧", 3).text, "👨‍👩‍👧");
        assert_eq!(fit("日本語", 4).text, "日");
        assert_eq!(fit_end("a.b.日本語", 5).text, "本語");
    }
}
