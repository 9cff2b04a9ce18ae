//! Measures, cuts and escapes text for a terminal, in whole graphemes.

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// Escapes every character that a terminal would interpret: line breaks and tabs as `\n` and `\t`,
/// other controls and direction overrides as `\u{1b}`.
///
/// Backslashes are not doubled, which keeps JSON legible: `\n` may also be those two characters.
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

/// Returns whether a terminal would act on the character, break the line at it, or reverse the
/// text.
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

/// A text that fits a width, possibly cut.
#[derive(Debug, PartialEq)]
pub(super) struct Fitted<'a> {
    /// The part of the text to show.
    pub(super) text: &'a str,
    /// The omitted end, shown as [`ELLIPSIS`].
    pub(super) cut: Cut,
    /// Width in columns, including [`ELLIPSIS`].
    pub(super) width: usize,
}

/// The omitted end of a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Cut {
    Nothing,
    Start,
    End,
}

/// The mark of a cut, one column wide.
pub(super) const ELLIPSIS: &str = "…";

/// Returns the width of a [`printable`] text in columns.
pub(super) fn width(text: &str) -> usize {
    if text.is_ascii() {
        text.len()
    } else {
        text.width()
    }
}

/// Cuts the end of a [`printable`] text that is wider than `limit` columns.
pub(super) fn fit(text: &str, limit: usize) -> Fitted<'_> {
    fit_with(text, limit, Cut::End, |room| split(text, room).0)
}

/// Splits a [`printable`] text after the last grapheme that fits `room` columns.
pub(super) fn split(text: &str, room: usize) -> (&str, &str) {
    let start = text.graphemes(true).take_while(fitting(room));
    text.split_at(start.map(str::len).sum())
}

/// Cuts the start of a [`printable`] text that is wider than `limit` columns; the end of a path
/// tells it from its neighbours.
pub(super) fn fit_end(text: &str, limit: usize) -> Fitted<'_> {
    fit_with(text, limit, Cut::Start, |room| {
        let end = text.graphemes(true).rev().take_while(fitting(room));
        &text[text.len() - end.map(str::len).sum::<usize>()..]
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

/// Returns a predicate that holds until the graphemes it has seen exceed `room` columns.
fn fitting(room: usize) -> impl FnMut(&&str) -> bool {
    let mut used = 0;
    move |grapheme| {
        used += width(grapheme);
        used <= room
    }
}

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
            "한\u{1112}\u{1161}\u{11ab}글",
            "1\u{fe0f}\u{20e3}2\u{fe0f}\u{20e3}",
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
        assert_eq!(fit_end("🇩🇪🇫🇷", 3).text, "🇫🇷");
        assert_eq!(fit_end("🇩🇪🇫🇷", 2).text, "");
        assert_eq!(fit_end("abce\u{301}", 2).text, "e\u{301}");
        assert_eq!(fit_end("👨‍👩‍👧👨‍👩‍👧", 3).text, "👨‍👩‍👧");
        assert_eq!(fit_end("👍🏽👍🏽", 3).text, "👍🏽");
        assert_eq!(split("🇩🇪🇫🇷🇯🇵", 5), ("🇩🇪🇫🇷", "🇯🇵"));
        assert_eq!(split("한글", 3), ("한", "글"));
        // Conjoining jamo and a conjunct of Devanagari are one grapheme each.
        assert_eq!(split("\u{1112}\u{1161}\u{11ab}x", 2).1, "x");
        assert!(matches!(split("क्षx", 1).0, "" | "क्ष"));
    }
}
