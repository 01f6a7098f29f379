//! Making foreign words safe to stand in a report.
//!
//! # Contract
//! * **No word brings a line break, a control or, in an ASCII report, an octet over 127.**
//! * **No line is longer than 998 octets**; ours are much shorter.

use jiff::{Timestamp, tz::TimeZone};
use remuda_clock::Wall;

/// What the parts of a report that we write may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Charset {
    /// RFC 3464.
    Ascii,
    /// RFC 6533.
    Utf8,
}

/// Foreign words on one line: controls become spaces, what the charset lacks `?`, and what is over
/// [`WORDS_MAX`] characters is cut.
pub(super) fn words(value: &str, charset: Charset) -> String {
    let mut clean = String::with_capacity(value.len().min(WORDS_MAX));
    for (count, c) in value.trim().chars().enumerate() {
        if count == WORDS_MAX {
            clean.push_str("...");
            break;
        }
        clean.push(match c {
            c if c.is_control() || is_line_separator(c) => ' ',
            c if c.is_ascii() || charset == Charset::Utf8 => c,
            _ => '?',
        });
    }
    clean
}

/// Unicode has line breaks of its own; readers of UTF-8 may take them for such.
fn is_line_separator(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}')
}

/// A name for a field that takes one word: what is not printable ASCII is left out.
pub(super) fn token(value: &str) -> String {
    let clean: String = value
        .chars()
        .filter(|c| c.is_ascii_graphic() && !"<>;()\",\\".contains(*c))
        .take(TOKEN_MAX)
        .collect();
    if clean.is_empty() { "unknown".into() } else { clean }
}

/// An address of type utf-8 in an ASCII report (RFC 6533 §3, utf-8-addr-xtext).
pub(super) fn utf8_address(value: &str, charset: Charset) -> String {
    if charset == Charset::Utf8 {
        return words(value, charset);
    }
    let encoded: String = value
        .chars()
        .map(|c| match c {
            c if c.is_ascii_graphic() && !"\\+=".contains(c) => c.to_string(),
            c => format!("\\x{{{:02X}}}", u32::from(c)),
        })
        .collect();
    words(&encoded, charset)
}

/// Folds `value` behind `first` (a field name or a margin) at spaces, continuing with `margin`; a word
/// too long for a line is broken.
pub(super) fn fold(first: &str, value: &str, margin: &str) -> String {
    let mut out = String::from(first);
    let mut column = first.len();
    let mut at_start = true;
    for word in value.split(' ').filter(|word| !word.is_empty()).flat_map(pieces) {
        if !at_start && column + 1 + word.len() > LINE_WISHED {
            out.push_str("\r\n");
            out.push_str(margin);
            column = margin.len();
        } else if !at_start {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += word.len();
        at_start = false;
    }
    out.push_str("\r\n");
    out
}

/// A word in pieces that fit a line.
fn pieces(word: &str) -> impl Iterator<Item = &str> {
    let mut rest = word;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut end = rest.len().min(WORD_MAX);
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        let (piece, behind) = rest.split_at(end);
        rest = behind;
        Some(piece)
    })
}

/// RFC 5322 §3.3, in UTC. A time that no calendar has is the end of it.
pub(super) fn date(at: Wall) -> String {
    let zoned = Timestamp::from_millisecond(at.0)
        .unwrap_or(Timestamp::UNIX_EPOCH)
        .to_zoned(TimeZone::UTC);
    zoned.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

/// Characters of one server's words that are told.
pub(super) const WORDS_MAX: usize = 1000;
const TOKEN_MAX: usize = 255;
/// RFC 5322 §2.1.1: lines should not be longer.
const LINE_WISHED: usize = 78;
/// A word without a space, such as an address, may be longer than a line; but never near 998.
const WORD_MAX: usize = 400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_on_one_line() {
        assert_eq!(words("a\r\nb\0c\u{2028}d", Charset::Utf8), "a  b c d");
        assert_eq!(words("jürgen", Charset::Ascii), "j?rgen");
        let long = "x".repeat(5000);
        assert_eq!(words(&long, Charset::Ascii).len(), WORDS_MAX + 3);
    }

    #[test]
    fn folding_keeps_every_word_and_short_lines() {
        let value = "one two three ".repeat(40);
        let folded = fold("Field: ", &value, "    ");
        assert!(folded.lines().all(|line| line.len() <= 78), "{folded}");
        let unfolded: Vec<&str> = folded.trim_start_matches("Field: ").split_whitespace().collect();
        assert_eq!(unfolded, value.split_whitespace().collect::<Vec<_>>());
        let long = fold("", &"é".repeat(3000), " ");
        assert!(long.lines().all(|line| line.len() <= 998));
    }

    #[test]
    fn dates_are_those_of_mail() {
        assert_eq!(date(Wall(0)), "Thu, 01 Jan 1970 00:00:00 +0000");
        assert_eq!(date(Wall(1_795_000_000_000)), "Wed, 18 Nov 2026 11:06:40 +0000");
        assert_eq!(date(Wall::NEVER), "Thu, 01 Jan 1970 00:00:00 +0000");
    }

    #[test]
    fn international_addresses_have_an_ascii_form() {
        assert_eq!(
            utf8_address("jü+x@a.test", Charset::Ascii),
            "j\\x{FC}\\x{2B}x@a.test"
        );
        assert_eq!(utf8_address("jü@a.test", Charset::Utf8), "jü@a.test");
    }
}
