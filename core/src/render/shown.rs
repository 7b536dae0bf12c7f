//! Text as a reader may see it, and numbers and times as we write them.

use std::fmt::Write as _;

const NS_PER_US: u64 = 1_000;
const NS_PER_MS: u64 = 1_000_000;
const NS_PER_S: u64 = 1_000_000_000;
const SECONDS_PER_DAY: u64 = 86_400;

/// Appends `text` as one line that hides nothing: white space with a line's end in it becomes one
/// space, at the ends none; other controls, and what reorders or cannot be seen, become escapes
/// (`\t`, `\x1b`, `\u{202e}`).
///
/// ```
/// use ioprofiler::render::shown::push_line;
///
/// let mut line = String::new();
/// push_line(&mut line, "SELECT 1\n   FROM t WHERE a = '\u{1b}[31m'\n");
/// assert_eq!(line, r"SELECT 1 FROM t WHERE a = '\x1b[31m'");
/// ```
pub fn push_line(line: &mut String, text: &str) {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        line.push_str(text);
        return;
    }
    let text = trim_line_ends(text);
    line.reserve(text.len());
    let mut clean_from = 0;
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        if is_blank(character) {
            let mut end = at + character.len_utf8();
            let mut folds = is_line_end(character);
            while let Some((next_at, next)) = characters.next_if(|(_, next)| is_blank(*next)) {
                end = next_at + next.len_utf8();
                folds |= is_line_end(next);
            }
            line.push_str(text.get(clean_from..at).unwrap_or(""));
            if folds {
                line.push(' ');
            } else {
                push_blanks(line, text.get(at..end).unwrap_or(""));
            }
            clean_from = end;
        } else if is_unsafe_to_show(character) {
            line.push_str(text.get(clean_from..at).unwrap_or(""));
            push_escape(line, character);
            clean_from = at + character.len_utf8();
        }
    }
    line.push_str(text.get(clean_from..).unwrap_or(""));
}

/// Characters that could change what a reader sees around them: controls, and those that reorder
/// or cannot be seen.
#[must_use]
pub fn is_unsafe_to_show(character: char) -> bool {
    // The Arabic letter mark reorders like U+200E and U+200F.
    crate::text::is_unsafe_to_show(character) || character == '\u{61c}'
}

fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r')
}

fn is_line_end(character: char) -> bool {
    matches!(character, '\n' | '\r')
}

/// `text` without blanks at its ends, where they hold a line's end.
fn trim_line_ends(text: &str) -> &str {
    let trimmed = text.trim_start_matches(is_blank);
    let blanks = text.len() - trimmed.len();
    let folds = text
        .get(..blanks)
        .is_some_and(|blanks| blanks.contains(is_line_end));
    let text = if folds { trimmed } else { text };
    let trimmed = text.trim_end_matches(is_blank);
    let folds = text
        .get(trimmed.len()..)
        .is_some_and(|blanks| blanks.contains(is_line_end));
    if folds { trimmed } else { text }
}

/// Blanks within a line stay as they are; a tab is shown.
fn push_blanks(line: &mut String, blanks: &str) {
    for blank in blanks.chars() {
        match blank {
            '\t' => line.push_str("\\t"),
            other => line.push(other),
        }
    }
}

/// Appends the escape of one character.
pub fn push_escape(line: &mut String, character: char) {
    let code = u32::from(character);
    // Writing to a String cannot fail.
    let _ = match code {
        0x09 => line.write_str("\\t"),
        0x00..=0x7f => write!(line, "\\x{code:02x}"),
        _ => write!(line, "\\u{{{code:x}}}"),
    };
}

/// Appends nanoseconds as milliseconds with three decimals, rounded: `0.902`.
pub fn push_ms(out: &mut String, ns: u64) {
    let us = ns / NS_PER_US + u64::from(ns % NS_PER_US >= NS_PER_US / 2);
    let mut digits = [b'0'; 24];
    let mut rest = us;
    let mut at = digits.len();
    // At least one digit before the point and three after it: a u64 has at most 20.
    for place in 0..21 {
        if place == 3 {
            at -= 1;
            digits
                .get_mut(at)
                .into_iter()
                .for_each(|digit| *digit = b'.');
        }
        if place > 3 && rest == 0 {
            break;
        }
        at -= 1;
        // The rest of a division by ten fits a byte.
        let value = b'0' + (rest % 10) as u8;
        digits
            .get_mut(at)
            .into_iter()
            .for_each(|digit| *digit = value);
        rest /= 10;
    }
    let digits = digits.get(at..).unwrap_or(&[]);
    out.push_str(std::str::from_utf8(digits).unwrap_or(""));
}

/// Nanoseconds as milliseconds with three decimals.
#[must_use]
pub fn ms(ns: u64) -> String {
    let mut out = String::with_capacity(12);
    push_ms(&mut out, ns);
    out
}

/// A count with its thousands marked: `5,020`.
#[must_use]
pub fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Nanoseconds since the Unix epoch as `2026-11-23T03:12:07.120Z`.
#[must_use]
pub fn utc(epoch_ns: u64) -> String {
    let seconds = epoch_ns / NS_PER_S;
    let (year, month, day) = civil(seconds / SECONDS_PER_DAY);
    let of_day = seconds % SECONDS_PER_DAY;
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    let milli = epoch_ns % NS_PER_S / NS_PER_MS;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

/// Year, month and day of the Gregorian calendar, so many days after 1970-01-01.
///
/// Years are counted from 1 March, so that the leap day is a year's last; 400 of them have
/// 146,097 days.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // from 0000-03-01 to 1970-01-01
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> String {
        let mut out = String::new();
        push_line(&mut out, text);
        out
    }

    #[test]
    fn lines_hide_nothing_and_stay_one() {
        for (text, shown) in [
            ("", ""),
            ("  two  spaces  ", "  two  spaces  "),
            ("\n  a\r\n\t b \n", "a b"),
            ("a\tb", "a\\tb"),
            ("a \t b", "a \\t b"),
            ("\0\u{1b}\u{7f}", r"\x00\x1b\x7f"),
            ("\u{85}\u{9b}", r"\u{85}\u{9b}"),
            ("\u{202e}abc\u{2066}", r"\u{202e}abc\u{2066}"),
            ("a\u{2028}b\u{2029}c", r"a\u{2028}b\u{2029}c"),
            ("Grüße 🦀\n", "Grüße 🦀"),
            ("\\x1b stays", "\\x1b stays"),
            (" é ", " é "),
            ("\n", ""),
        ] {
            assert_eq!(line(text), shown, "{text:?}");
        }
    }

    #[test]
    fn milliseconds_round_to_the_microsecond() {
        for (ns, shown) in [
            (0, "0.000"),
            (499, "0.000"),
            (500, "0.001"),
            (902_000, "0.902"),
            (999_999_500, "1000.000"),
            (236_312_000, "236.312"),
            (u64::MAX, "18446744073709.552"),
        ] {
            assert_eq!(ms(ns), shown);
        }
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        for (seconds, shown) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199, "2024-02-29T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(utc(seconds * NS_PER_S), shown);
        }
        assert_eq!(utc(1_795_403_527_120_000_000), "2026-11-23T03:12:07.120Z");
    }

    #[test]
    fn thousands_are_marked() {
        for (count, shown) in [
            (0, "0"),
            (999, "999"),
            (5_020, "5,020"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(thousands(count), shown);
        }
    }
}
