//! Strings over the edge: pointer and length in, the caller's buffer out.

use crate::guard::count_invalid;
use std::borrow::Cow;
use std::ffi::c_char;

/// A text that the host keeps: `length` bytes of UTF-8 at `data`, with no NUL at the end. NULL is
/// an absent text. Invalid UTF-8 is repaired, never rejected. See `ioprof_text_of`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ioprof_text {
    /// First byte, or NULL.
    pub data: *const c_char,
    /// Bytes.
    pub length: usize,
}

impl ioprof_text {
    /// # Safety
    /// As [`bytes`].
    pub(crate) unsafe fn bytes<'a>(self) -> Option<&'a [u8]> {
        // SAFETY: the caller's promise.
        (!self.data.is_null()).then(|| unsafe { bytes(self.data, self.length) })
    }

    /// # Safety
    /// As [`bytes`].
    pub(crate) unsafe fn text<'a>(self) -> Option<Cow<'a, str>> {
        // SAFETY: the caller's promise.
        unsafe { self.bytes() }.map(repair)
    }
}

/// The core cuts facts at 8 KiB; what is behind is not even looked at.
const LOOKED_AT: usize = 8_192 + 4;

/// What the host passed. NULL is empty whatever the length; a length beyond memory is empty, and
/// counted.
///
/// # Safety
/// `data` is NULL, or good for `length` bytes for as long as the call takes.
#[inline(always)]
pub(crate) unsafe fn bytes<'a>(data: *const c_char, length: usize) -> &'a [u8] {
    if data.is_null() {
        return &[];
    }
    if length > isize::MAX as usize {
        count_invalid();
        return &[];
    }
    // SAFETY: not NULL, not too long, and good for reading by the caller's promise.
    unsafe { std::slice::from_raw_parts(data.cast(), length) }
}

/// # Safety
/// As [`bytes`].
pub(crate) unsafe fn text<'a>(data: *const c_char, length: usize) -> Cow<'a, str> {
    // SAFETY: the caller's promise.
    repair(unsafe { bytes(data, length) })
}

fn repair(bytes: &[u8]) -> Cow<'_, str> {
    let bytes = bytes.get(..LOOKED_AT).unwrap_or(bytes);
    // Asked first, because that looks at many bytes at once, and nearly all texts are such.
    if bytes.is_ascii() {
        // SAFETY: ASCII is UTF-8.
        return Cow::Borrowed(unsafe { std::str::from_utf8_unchecked(bytes) });
    }
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// Writes as much of `text` as fits, and a NUL where there is room for one; gives the length that
/// the whole needs, without the NUL.
///
/// # Safety
/// `buffer` is NULL, or good for `capacity` bytes.
pub(crate) unsafe fn write_out(text: &str, buffer: *mut c_char, capacity: usize) -> usize {
    if buffer.is_null() || capacity == 0 {
        return text.len();
    }
    if capacity > isize::MAX as usize {
        count_invalid();
        return text.len();
    }
    let mut fits = text.len().min(capacity - 1);
    while !text.is_char_boundary(fits) {
        fits -= 1;
    }
    // SAFETY: `fits` is below `capacity` and at most the text's length; a host's buffer does not
    // overlap our text.
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr(), buffer.cast(), fits);
        *buffer.add(fits) = 0;
    }
    text.len()
}

/// Writes all of `bytes` where they fit, else nothing.
///
/// # Safety
/// As [`write_out`].
pub(crate) unsafe fn write_bytes(bytes: &[u8], buffer: *mut c_char, capacity: usize) {
    if buffer.is_null() || capacity < bytes.len() {
        return;
    }
    // SAFETY: within the buffer, which does not overlap our bytes.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), buffer.cast(), bytes.len()) };
}
