//! What flag files consist of, read in one pass: thousands of flags in milliseconds.
//!
//! Only what is plain: texts without escapes, numbers without signs and exponents, nothing twice.
//! Of anything else, and of anything wrong, nothing is said here: the parsers that know all of
//! TOML and JSON read such a file from its beginning. Tests compare the two.

mod json;
#[cfg(test)]
mod tests;
mod toml;

use super::node::{Entry, Table, Value};
pub(super) use json::read as json;
use std::collections::HashSet;
pub(super) use toml::read as toml;

/// Tables in tables in a value; deeper ones are not plain.
const MAX_DEPTH: usize = 6;
/// Tables of so many entries and less are looked through for each of them.
const FEW: usize = 16;

/// A place in a text.
struct Cursor<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Cursor<'t> {
    /// `None` where the text has control characters that no plain one has.
    fn of(text: &'t str) -> Option<Self> {
        // Looks at all of them, whatever it finds, because the processor then takes many at once.
        let odd = text.bytes().fold(false, |odd, byte| {
            odd | (byte < b' ' && !matches!(byte, b'\n' | b'\t' | b'\r')) | (byte == 0x7f)
        });
        (!odd).then_some(Self { text, at: 0 })
    }

    fn is_at_end(&self) -> bool {
        self.at >= self.text.len()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, wanted: u8) -> Option<()> {
        (self.peek() == Some(wanted)).then(|| self.at += 1)
    }

    fn skip(&mut self, blank: impl Fn(u8) -> bool) {
        while self.peek().is_some_and(&blank) {
            self.at += 1;
        }
    }

    fn rest(&self) -> &'t [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    /// Moves past so many bytes, and gives them.
    fn advance(&mut self, length: usize) -> Option<&'t str> {
        let taken = self.text.get(self.at..self.at + length)?;
        self.at += length;
        Some(taken)
    }

    /// A text in these quotes, on one line, that stands there as it is meant.
    fn quoted(&mut self, quote: u8) -> Option<&'t str> {
        self.take(quote)?;
        let ends = |byte: &u8| *byte == quote || *byte < b' ' || *byte == b'\\';
        let length = self.rest().iter().position(ends)?;
        let text = self.advance(length)?;
        self.take(quote)?;
        Some(text)
    }

    /// A bare word: what stands before a blank, a bracket, a comma or the end.
    fn word(&mut self) -> Option<&'t str> {
        let ends = |byte: &u8| {
            matches!(
                byte,
                b' ' | b'\t' | b'\n' | b'\r' | b',' | b'}' | b']' | b'#'
            )
        };
        let rest = self.rest();
        let length = rest.iter().position(ends).unwrap_or(rest.len());
        self.advance(length)
    }
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn number(word: &str) -> Option<Value<'_>> {
    let (whole, part) = match word.split_once('.') {
        Some((whole, part)) => (whole, Some(part)),
        None => (word, None),
    };
    let plain = digits(whole) && whole.len() <= 18 && (whole == "0" || !whole.starts_with('0'));
    match part {
        _ if !plain => None,
        None => whole.parse().ok().map(Value::Whole),
        Some(part) => digits(part).then(|| Value::Real(word.into())),
    }
}

/// Whether no key stands twice, here and in the tables within.
fn is_unique(table: &Table<'_>, depth: usize) -> bool {
    let entries = &table.entries;
    let twice = if entries.len() <= FEW {
        let same = |(at, entry): (usize, &Entry<'_>)| {
            entries
                .iter()
                .take(at)
                .any(|before| before.key == entry.key)
        };
        entries.iter().enumerate().any(same)
    } else {
        let mut seen = HashSet::with_capacity(entries.len());
        !entries.iter().all(|entry| seen.insert(&*entry.key))
    };
    !twice
        && entries
            .iter()
            .all(|entry| is_unique_in(&entry.node.value, depth))
}

/// As deep as it was read.
fn is_unique_in(value: &Value<'_>, depth: usize) -> bool {
    let Some(depth) = depth.checked_sub(1) else {
        return true;
    };
    match value {
        Value::Table(table) => is_unique(table, depth),
        Value::List(list) => list.iter().all(|item| is_unique_in(&item.value, depth)),
        _ => true,
    }
}
