//! Where quoted forms and comments end. Pure functions of bytes; each looks at a byte once or
//! twice, whatever the text is.

use super::Unreadable;

/// What a backslash does inside quotes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Backslash {
    /// Nothing: standard SQL.
    Plain,
    /// It takes the next byte's meaning away: MySQL, PostgreSQL's `E'…'`.
    Escapes,
    /// Servers disagree. Where it would matter (before a quote) the text cannot be read.
    Unknown,
}

/// The end (after the closing quote) of the form that `quote` opens at `at`; `None` if it is never
/// closed. The quote doubled stands for itself.
pub(super) fn quoted_end(
    bytes: &[u8],
    at: usize,
    quote: u8,
    backslash: Backslash,
) -> Result<Option<usize>, Unreadable> {
    let mut i = at + 1;
    while let Some(&byte) = bytes.get(i) {
        if byte == quote {
            if bytes.get(i + 1) != Some(&quote) {
                return Ok(Some(i + 1));
            }
            i += 2;
        } else if byte == b'\\' && backslash != Backslash::Plain {
            if backslash == Backslash::Unknown && bytes.get(i + 1) == Some(&quote) {
                return Err(Unreadable);
            }
            i += 2;
        } else {
            i += 1;
        }
    }
    Ok(None)
}

/// The end of a form of three quotes (BigQuery, Spark), opened at `at`.
pub(super) fn triple_quoted_end(bytes: &[u8], at: usize, quote: u8) -> Option<usize> {
    let body = bytes.get(at + 3..)?;
    let length = body
        .windows(3)
        .position(|three| three.iter().all(|byte| *byte == quote))?;
    Some(at + 3 + length + 3)
}

/// The end of the opening `$tag$` at `at`, if that is what stands there.
pub(super) fn dollar_tag_end(bytes: &[u8], at: usize) -> Option<usize> {
    let tag = bytes.get(at + 1..)?;
    let length = tag.iter().take_while(|byte| is_tag(**byte)).count();
    let starts_with_digit = tag.first().is_some_and(u8::is_ascii_digit);
    let closed = tag.get(length) == Some(&b'$');
    (closed && !starts_with_digit).then_some(at + 1 + length + 1)
}

fn is_tag(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// The end of the body and the closing tag, when the opening tag is `bytes[at..body]`.
///
/// Linear: a tag has dollars only at its ends, so a comparison stops at the next dollar.
pub(super) fn dollar_quoted_end(bytes: &[u8], at: usize, body: usize) -> Option<usize> {
    let tag = bytes.get(at..body)?;
    let mut i = body;
    loop {
        i += bytes.get(i..)?.iter().position(|byte| *byte == b'$')?;
        if bytes.get(i..i + tag.len()) == Some(tag) {
            return Some(i + tag.len());
        }
        i += 1;
    }
}

/// How deep comments of the form `/* … */` go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Nesting {
    /// The first `*/` ends the comment.
    Flat,
    /// Each `/*` wants its own `*/`: PostgreSQL.
    Nested,
    /// Servers disagree: a `/*` inside cannot be read.
    Unknown,
}

/// The end of the comment that `/*` opens at `at`; `None` if it is never closed.
pub(super) fn block_comment_end(
    bytes: &[u8],
    at: usize,
    nesting: Nesting,
) -> Result<Option<usize>, Unreadable> {
    let mut depth = 1_usize;
    let mut i = at + 2;
    while let Some(&byte) = bytes.get(i) {
        let next = bytes.get(i + 1).copied();
        if byte == b'*' && next == Some(b'/') {
            depth -= 1;
            i += 2;
            if depth == 0 {
                return Ok(Some(i));
            }
        } else if byte == b'/' && next == Some(b'*') && nesting != Nesting::Flat {
            if nesting == Nesting::Unknown {
                return Err(Unreadable);
            }
            depth += 1;
            i += 2;
        } else {
            i += 1;
        }
    }
    Ok(None)
}

/// Whether any byte of `bytes` is a quote.
pub(super) fn has_quote(bytes: &[u8]) -> bool {
    bytes.iter().any(|byte| matches!(byte, b'\'' | b'"' | b'`'))
}
