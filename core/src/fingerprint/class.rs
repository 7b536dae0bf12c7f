//! What each byte of SQL may begin: one table, so that words are read at a byte a nanosecond.

/// What a byte may begin.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Space,
    Letter,
    Digit,
    Quote,
    Sign,
    Control,
    /// Bytes of characters beyond ASCII.
    Wide,
}

const fn classify(byte: u8) -> Class {
    match byte {
        b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => Class::Space,
        b'a'..=b'z' | b'A'..=b'Z' | b'_' => Class::Letter,
        b'0'..=b'9' => Class::Digit,
        b'\'' | b'"' | b'`' => Class::Quote,
        0..=0x1f | 0x7f => Class::Control,
        0x80.. => Class::Wide,
        _ => Class::Sign,
    }
}

#[expect(
    clippy::indexing_slicing,
    reason = "in a constant, where it cannot compile out of bounds"
)]
const CLASSES: [Class; 256] = {
    let mut classes = [Class::Control; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = classify(byte as u8);
        byte += 1;
    }
    classes
};

#[inline]
/// What `byte` may begin.
pub(super) fn class(byte: u8) -> Class {
    CLASSES
        .get(usize::from(byte))
        .copied()
        .unwrap_or(Class::Control)
}
