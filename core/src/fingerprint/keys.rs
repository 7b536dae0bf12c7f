//! Keys of a cache: `user:5020244:name` reads `user:?:name`.

use super::quote::{self, Backslash};
use super::{Unreadable, word};

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

const fn is_separator(byte: u8) -> bool {
    matches!(byte, b':' | b'/' | b'|' | b',' | b';')
}

/// What was written of the key before, and of the one being written: neighbours that read the
/// same are written once, so that a fetch of 38 keys reads like one of 40.
struct Keys {
    before: Option<(usize, usize)>,
    start: Option<usize>,
}

impl Keys {
    fn end(&mut self, out: &mut String) {
        let Some(start) = self.start.take() else {
            return;
        };
        let key = out.get(start..).unwrap_or_default();
        if let Some((from, to)) = self.before
            && key.contains('?')
            && out.get(from..to) == Some(key)
        {
            out.truncate(to);
            return;
        }
        self.before = Some((start, out.len()));
    }
}

/// Appends the fingerprint of `text` to `out`.
pub(super) fn read(out: &mut String, text: &str, cut: bool) -> Result<(), Unreadable> {
    let base = out.len();
    let bytes = text.as_bytes();
    let mut keys = Keys {
        before: None,
        start: None,
    };
    let mut space = false;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if is_space(byte) {
            keys.end(out);
            space = true;
            at += 1;
            continue;
        }
        if matches!(byte, b',' | b';') {
            keys.end(out);
        }
        let end = if is_separator(byte) {
            at + 1
        } else {
            chunk_end(bytes, at, cut)?
        };
        if !is_separator(byte) && cut && end >= bytes.len() {
            break;
        }
        if space && out.len() > base {
            out.push(' ');
        }
        space = false;
        if keys.start.is_none() && !matches!(byte, b',' | b';') {
            keys.start = Some(out.len());
        }
        let chunk = text.get(at..end).unwrap_or_default();
        if is_separator(byte) {
            out.push_str(chunk);
        } else {
            write_chunk(out, chunk);
        }
        at = end;
    }
    keys.end(out);
    Ok(())
}

/// The end of what stands between two separators. A quoted form is read whole, with whatever
/// separators it holds.
fn chunk_end(bytes: &[u8], start: usize, cut: bool) -> Result<usize, Unreadable> {
    let mut at = start;
    while let Some(&byte) = bytes.get(at) {
        if matches!(byte, b'\'' | b'"' | b'`') {
            match quote::quoted_end(bytes, at, byte, Backslash::Unknown)? {
                Some(end) => at = end,
                None if cut => return Ok(bytes.len()),
                None => return Err(Unreadable),
            }
        } else if is_space(byte) || is_separator(byte) {
            break;
        } else {
            at += 1;
        }
    }
    Ok(at)
}

fn write_chunk(out: &mut String, chunk: &str) {
    let bytes = chunk.as_bytes();
    if bytes
        .iter()
        .any(|byte| matches!(byte, b'@' | b'\'' | b'"' | b'`' | b'='))
    {
        out.push('?');
        return;
    }
    let is_joint = |byte: &u8| matches!(byte, b'.' | b'-' | b'_');
    let mut at = 0;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let length = rest.iter().position(is_joint).unwrap_or(rest.len());
        let uuid = word::uuid_end(bytes, at).filter(|end| bytes.get(*end).is_none_or(&is_joint));
        let end = uuid.unwrap_or(at + length);
        let segment = chunk.get(at..end).unwrap_or_default();
        if uuid.is_none() && (segment.is_empty() || word::is_plain(segment.as_bytes(), 0)) {
            out.push_str(segment);
        } else {
            out.push('?');
        }
        let Some(joint) = chunk.get(end..end + 1) else {
            return;
        };
        out.push_str(joint);
        at = end + 1;
    }
}
