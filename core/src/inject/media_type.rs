//! Header values that say what a body is: media types, charsets, codings, dispositions.

/// A `Content-Type`, as far as it matters to who puts a panel into the body.
pub(super) struct MediaType<'a> {
    /// `type/subtype`, as written.
    pub(super) essence: &'a [u8],
    pub(super) charset: Charset,
}

/// What the parameter `charset` says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Charset {
    /// Nothing.
    Absent,
    /// UTF-8.
    Utf8,
    /// Another one in which an ASCII byte `<` is always the character `<`.
    OtherAscii,
    /// One in which that is not so, or one that we do not know.
    Refused,
}

/// Charsets by exact name, besides the families below, in which `<` is always `<`.
const ASCII_CHARSETS: [&str; 24] = [
    "us-ascii",
    "ascii",
    "latin1",
    "latin2",
    "latin3",
    "latin4",
    "latin5",
    "latin6",
    "latin9",
    "windows-874",
    "dos-874",
    "tis-620",
    "macintosh",
    "x-mac-roman",
    "x-mac-cyrillic",
    "ibm866",
    "cp866",
    "gb2312",
    "gbk",
    "gb18030",
    "shift_jis",
    "shift-jis",
    "sjis",
    "windows-31j",
];

/// Families of charsets in which `<` is always `<`: the second bytes of the multi-byte ones begin
/// at 0x40, those of GB 18030 besides at 0x30 … 0x39; `<` is 0x3c.
const ASCII_FAMILIES: [&str; 9] = [
    "iso-8859-",
    "iso8859-",
    "iso_8859-",
    "windows-125",
    "cp125",
    "x-cp125",
    "koi8-",
    "euc-",
    "big5",
];

/// Reads a media type and its parameters, quoted ones too.
pub(super) fn parse(value: &[u8]) -> MediaType<'_> {
    let (essence, mut rest) = split_at_byte(value, b';');
    let mut charset = Charset::Absent;
    while let Some(parameters) = rest {
        let (name, value, behind) = parameter(parameters);
        rest = behind;
        if name.eq_ignore_ascii_case(b"charset") && !value.is_empty() {
            charset = both(charset, charset_of(value));
        }
    }
    MediaType {
        essence: essence.trim_ascii(),
        charset,
    }
}

/// Two charsets in one header: browsers and proxies differ in which one they believe.
fn both(first: Charset, second: Charset) -> Charset {
    if first == Charset::Absent || first == second {
        second
    } else {
        Charset::Refused
    }
}

/// The next parameter: its name, its value without quotes, and what stands behind its `;`.
fn parameter(text: &[u8]) -> (&[u8], &[u8], Option<&[u8]>) {
    let end = text
        .iter()
        .position(|&b| b == b';' || b == b'=')
        .unwrap_or(text.len());
    let (name, behind) = text.split_at_checked(end).unwrap_or((text, &[]));
    match behind.split_first() {
        Some((b'=', value)) => match value.strip_prefix(b"\"") {
            Some(quoted) => {
                let (inside, after) = split_at_byte(quoted, b'"');
                (
                    name.trim_ascii(),
                    inside,
                    after.and_then(|a| split_at_byte(a, b';').1),
                )
            }
            None => {
                let (value, after) = split_at_byte(value, b';');
                (name.trim_ascii(), value.trim_ascii(), after)
            }
        },
        Some((_, after)) => (name.trim_ascii(), &[], Some(after)),
        None => (name.trim_ascii(), &[], None),
    }
}

fn charset_of(label: &[u8]) -> Charset {
    let is = |known: &&str| label.eq_ignore_ascii_case(known.as_bytes());
    let begins = |family: &&str| {
        label
            .split_at_checked(family.len())
            .is_some_and(|(head, _)| head.eq_ignore_ascii_case(family.as_bytes()))
    };
    if is(&"utf-8") || is(&"utf8") {
        Charset::Utf8
    } else if ASCII_CHARSETS.iter().any(is) || ASCII_FAMILIES.iter().any(begins) {
        Charset::OtherAscii
    } else {
        Charset::Refused
    }
}

/// Whether a comma-separated list has a name that is none of `harmless`.
pub(super) fn names_other_than(list: &[u8], harmless: &[&str]) -> bool {
    list.split(|&b| b == b',')
        .map(<[u8]>::trim_ascii)
        .any(|name| {
            !name.is_empty()
                && !harmless
                    .iter()
                    .any(|h| name.eq_ignore_ascii_case(h.as_bytes()))
        })
}

/// Whether a `Content-Disposition` makes the browser save the answer: every disposition but
/// `inline`, unknown ones too (RFC 6266, 4.2).
pub(super) fn is_attachment(value: &[u8]) -> bool {
    let disposition = split_at_byte(value, b';').0.trim_ascii();
    !disposition.is_empty() && !disposition.eq_ignore_ascii_case(b"inline")
}

/// What stands before the first `byte`, and what behind it where there is one.
fn split_at_byte(text: &[u8], byte: u8) -> (&[u8], Option<&[u8]>) {
    match text
        .iter()
        .position(|&b| b == byte)
        .and_then(|at| text.split_at_checked(at))
    {
        Some((before, behind)) => (before, behind.get(1..)),
        None => (text, None),
    }
}
