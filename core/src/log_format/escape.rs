//! How text gets into a line, and out of it again.
//!
//! Two alphabets. **Apache's**: what `ap_escape_logitem` of Apache 2.4 does, byte for byte. **That of
//! notes**: only characters that Apache, nginx, HAProxy, gunicorn and morgan all write as they are;
//! everything else as `%XX`. A lone `-` is escaped, because it means absent, and so is a lone `~`,
//! which marks a cut note; an empty text is absent. A `;` stands as it is, so that an application
//! can note a list of its own; in an item of a list that is ready made it is escaped.

use std::borrow::Cow;

/// For each byte, in which alphabets it stands as it is.
static PLAIN: [u8; 256] = plain();
const APACHE: u8 = 1;
const NOTE: u8 = 2;
/// Of items of a list, and what they are made of.
const ITEM: u8 = 4;

const fn plain() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        let mut plain = 0;
        if byte >= 0x20 && byte < 0x7f && byte != b'"' && byte != b'\\' {
            plain |= APACHE;
        }
        let is_mark = matches!(
            byte,
            b'.' | b'_' | b'~' | b',' | b'/' | b'@' | b'+' | b'=' | b'-'
        );
        if byte.is_ascii_alphanumeric() || is_mark {
            plain |= NOTE | ITEM;
        }
        if byte == b':' || byte == b';' {
            plain |= NOTE;
        }
        // A const fn has no iterators, and `byte` is below 128.
        #[expect(clippy::indexing_slicing, reason = "the table has 256 places")]
        {
            table[byte as usize] = plain;
        }
        byte += 1;
    }
    table
}

#[inline]
fn is_plain(byte: u8, alphabet: u8) -> bool {
    PLAIN
        .get(usize::from(byte))
        .is_some_and(|plain| plain & alphabet != 0)
}

/// Appends text as Apache would.
pub fn escape_apache(text: &[u8], line: &mut Vec<u8>) {
    escape(text, APACHE, line, |byte, line| {
        line.push(b'\\');
        match byte {
            0x08 => line.push(b'b'),
            b'\n' => line.push(b'n'),
            b'\r' => line.push(b'r'),
            b'\t' => line.push(b't'),
            0x0b => line.push(b'v'),
            b'\\' | b'"' => line.push(byte),
            byte => {
                line.push(b'x');
                push_hex(byte, b"0123456789abcdef", line);
            }
        }
    });
}

/// Appends the value of a note in the alphabet of notes; `-` where it is empty.
pub fn escape_note(text: &[u8], line: &mut Vec<u8>) {
    match text {
        [] => line.push(b'-'),
        [lone @ (b'-' | b'~')] => push_percent(*lone, line),
        text => escape(text, NOTE, line, push_percent),
    }
}

/// Appends a part of an item of a list: as a note, and without `;` and `:`.
pub(super) fn escape_item(text: &[u8], line: &mut Vec<u8>) {
    escape(text, ITEM, line, push_percent);
}

fn push_percent(byte: u8, line: &mut Vec<u8>) {
    line.push(b'%');
    push_hex(byte, b"0123456789ABCDEF", line);
}

#[inline]
fn escape(text: &[u8], alphabet: u8, line: &mut Vec<u8>, each: impl Fn(u8, &mut Vec<u8>)) {
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| !is_plain(*byte, alphabet)) {
        let (plain, from) = rest.split_at_checked(at).unwrap_or((rest, &[]));
        line.extend_from_slice(plain);
        let Some((byte, after)) = from.split_first() else {
            return;
        };
        each(*byte, line);
        rest = after;
    }
    line.extend_from_slice(rest);
}

fn push_hex(byte: u8, digits: &[u8; 16], line: &mut Vec<u8>) {
    for nibble in [byte >> 4, byte & 15] {
        line.extend(digits.get(usize::from(nibble)));
    }
}

/// What [`escape_apache`] wrote. A backslash before anything else stands for itself.
#[must_use]
pub fn unescape_apache(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'\\') {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        let (read, left) = match (byte, after) {
            (b'\\', [b'x', high, low, left @ ..]) => match hex(*high, *low) {
                Some(read) => (read, left),
                None => (byte, after),
            },
            (b'\\', [b'b', left @ ..]) => (0x08, left),
            (b'\\', [b'n', left @ ..]) => (b'\n', left),
            (b'\\', [b'r', left @ ..]) => (b'\r', left),
            (b'\\', [b't', left @ ..]) => (b'\t', left),
            (b'\\', [b'v', left @ ..]) => (0x0b, left),
            (b'\\', [quoted @ (b'\\' | b'"'), left @ ..]) => (*quoted, left),
            _ => (byte, after),
        };
        out.push(read);
        rest = left;
    }
    Cow::Owned(out)
}

/// What [`escape_note`] wrote; nothing where the note is absent. A `%` that no two hex digits
/// follow stands for itself.
#[must_use]
pub fn unescape_note(text: &[u8]) -> Option<Cow<'_, [u8]>> {
    if matches!(text, b"" | b"-") {
        return None;
    }
    Some(unescape_percent(text))
}

pub(crate) fn unescape_percent(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'%') {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        match (byte, after) {
            (b'%', [high, low, left @ ..]) if hex(*high, *low).is_some() => {
                out.extend(hex(*high, *low));
                rest = left;
            }
            _ => {
                out.push(byte);
                rest = after;
            }
        }
    }
    Cow::Owned(out)
}

fn hex(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn apache(text: &[u8]) -> String {
        let mut line = Vec::new();
        escape_apache(text, &mut line);
        String::from_utf8(line).unwrap()
    }

    fn note(text: &[u8]) -> String {
        let mut line = Vec::new();
        escape_note(text, &mut line);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn each_alphabet() {
        assert_eq!(
            apache(b"a \"b\\\r\n\t\x08\x0b\x0c\x1b\x7f\xff\0"),
            r#"a \"b\\\r\n\t\b\v\x0c\x1b\x7f\xff\x00"#
        );
        assert_eq!(apache("é".as_bytes()), r"\xc3\xa9");
        assert_eq!(note(b"a b;c%d\"\xff\0-~"), "a%20b;c%25d%22%FF%00-~");
        assert_eq!(
            (note(b""), note(b"-"), note(b"~"), note(b"--")),
            ("-".into(), "%2D".into(), "%7E".into(), "--".into())
        );
        let mut item = Vec::new();
        escape_item(b"a;b:c-", &mut item);
        assert_eq!(item, b"a%3Bb%3Ac-");
        assert_eq!(note(b"A-Z.a_z~0:9,/@+=-"), "A-Z.a_z~0:9,/@+=-");
    }

    #[test]
    fn what_nobody_wrote_stands_for_itself() {
        assert_eq!(&*unescape_apache(br"\q\x0\xzz\"), br"\q\x0\xzz\");
        assert_eq!(
            unescape_note(b"%%4%zz%").as_deref(),
            Some(b"%%4%zz%".as_slice())
        );
        assert_eq!(unescape_note(b"-"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_come_back(text in prop::collection::vec(any::<u8>(), 0..200)) {
            let escaped = apache(&text);
            prop_assert!(escaped.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '));
            prop_assert_eq!(&*unescape_apache(escaped.as_bytes()), text.as_slice());
            let escaped = note(&text);
            prop_assert!(escaped.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(&byte)));
            let read = unescape_note(escaped.as_bytes()).unwrap_or_default();
            prop_assert_eq!(&*read, text.as_slice());
        }

        #[test]
        fn nothing_is_too_strange_to_read(text in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = (unescape_apache(&text), unescape_note(&text));
        }
    }
}
