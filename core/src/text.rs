//! Small rules about text that several modules share.

/// The longest prefix of at most `most` bytes that ends at a character's border.
#[must_use]
#[inline]
pub(crate) fn cut_str(text: &str, most: usize) -> &str {
    if text.len() <= most {
        return text;
    }
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or("")
}

/// As [`cut_str`], for bytes that may be UTF-8: steps back over a cut character's first bytes.
#[must_use]
pub(crate) fn cut_bytes(bytes: &[u8], most: usize) -> &[u8] {
    if bytes.len() <= most {
        return bytes;
    }
    let mut end = most;
    for _ in 0..3 {
        let continues = bytes
            .get(end)
            .is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000);
        if !continues || end == 0 {
            break;
        }
        end -= 1;
    }
    bytes.get(..end).unwrap_or(&[])
}

/// Characters that could change what a reader sees around them: controls and those that reorder.
#[must_use]
pub(crate) fn is_unsafe_to_show(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{061c}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{2069}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}
