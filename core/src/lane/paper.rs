//! Where a text is put together before it goes to a lane: on the stack, and in memory of its own
//! where it is long.
//!
//! Not in the lane itself: what formats is the host's code, and may make calls of its own.

use super::MAX_DETAIL;
use super::chunk::{self, SHORT};
use super::detail::Words;
use std::fmt::{self, Write};
use std::mem::MaybeUninit;

/// Most texts fit on this much of the stack.
const SHEET: usize = 512;
/// Nobody keeps more of a text; one byte more shows whether it would be cut within a character.
const MOST: usize = MAX_DETAIL + 1;

pub(super) struct Paper {
    sheet: MaybeUninit<[u8; SHEET]>,
    /// So much of the sheet may still be written on: nothing, once a piece did not fit.
    left: usize,
    long: Option<Long>,
}

/// A text that did not fit on the sheet.
struct Long {
    /// Its beginning; nothing, where there is no memory for it.
    bytes: Vec<u8>,
    whole: u64,
    /// So much of it is on the sheet.
    on_sheet: usize,
}

impl Paper {
    // No field is zero: the compiler would clear the sheet along with it.
    #[inline(always)]
    pub(super) fn new() -> Self {
        Self {
            sheet: MaybeUninit::uninit(),
            left: SHEET,
            long: None,
        }
    }

    /// Not inlined: it would push everything in the caller out of registers.
    #[inline(never)]
    pub(super) fn write(&mut self, text: fmt::Arguments<'_>) {
        // A `Display` that fails leaves what it has written. That is the host's, and no reason to
        // fail here.
        let _ = self.write_fmt(text);
    }

    #[inline(always)]
    pub(super) fn words(&self) -> Words<'_> {
        match &self.long {
            None => Words::all(self.sheet(SHEET - self.left)),
            Some(long) => Words {
                bytes: if long.bytes.is_empty() {
                    self.sheet(long.on_sheet)
                } else {
                    &long.bytes
                },
                whole: long.whole,
            },
        }
    }

    /// What was written on the sheet: so much.
    #[inline(always)]
    fn sheet(&self, written: usize) -> &[u8] {
        // SAFETY: so many bytes were written, and never more than there are.
        unsafe { std::slice::from_raw_parts(self.sheet.as_ptr().cast(), written) }
    }

    #[cold]
    #[inline(never)]
    fn write_long(&mut self, piece: &[u8]) {
        let on_sheet = SHEET - std::mem::take(&mut self.left);
        let long = self.long.take();
        let mut long = long.unwrap_or_else(|| Long::of(self.sheet(on_sheet)));
        long.whole += piece.len() as u64;
        let room = long.bytes.capacity().min(MOST) - long.bytes.len();
        let kept = piece.get(..room).unwrap_or(piece);
        long.bytes.extend_from_slice(kept);
        self.long = Some(long);
    }
}

impl Long {
    fn of(sheet: &[u8]) -> Self {
        let mut bytes = Vec::new();
        if bytes.try_reserve_exact(MOST).is_ok() {
            bytes.extend_from_slice(sheet);
        }
        Self {
            bytes,
            whole: sheet.len() as u64,
            on_sheet: sheet.len(),
        }
    }
}

impl Write for Paper {
    #[inline]
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        let piece = piece.as_bytes();
        if piece.len() > self.left {
            self.write_long(piece);
            return Ok(());
        }
        // SAFETY: so much room is left, as was just asked.
        unsafe {
            let sheet = self.sheet.as_mut_ptr().cast::<u8>();
            let place = sheet.add(SHEET - self.left);
            if piece.len() <= SHORT {
                chunk::copy_short(place, piece);
            } else {
                chunk::copy(place, piece);
            }
        }
        self.left -= piece.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::detail::Lend;
    use super::{MOST, SHEET};

    fn lent(text: impl Lend) -> (Vec<u8>, u64) {
        text.lend(|words| (words.bytes.to_owned(), words.whole))
    }

    #[test]
    fn what_is_formatted_is_the_text() {
        for length in [0, 1, SHEET - 1, SHEET, SHEET + 1, MOST - 1, MOST] {
            let text = "x".repeat(length);
            let whole = length as u64 + 2;
            let (bytes, counted) = lent(format_args!("<{text}>"));
            assert_eq!(counted, whole);
            let all = format!("<{text}>").into_bytes();
            assert_eq!(bytes, all[..all.len().min(MOST)], "of {length}");
        }
    }

    #[test]
    fn a_text_that_grows_piece_by_piece_has_no_gaps() {
        struct Pieces(usize);
        impl std::fmt::Display for Pieces {
            fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                (0..self.0).try_for_each(|piece| write!(out, "{piece},"))
            }
        }
        let all: String = (0..3_000).map(|piece| format!("{piece},")).collect();
        let (bytes, whole) = lent(format_args!("{}", Pieces(3_000)));
        assert_eq!(whole, all.len() as u64);
        assert_eq!(bytes, all.as_bytes()[..MOST]);
    }

    #[test]
    fn a_display_that_fails_leaves_what_it_wrote() {
        struct Fails;
        impl std::fmt::Display for Fails {
            fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("half")?;
                Err(std::fmt::Error)
            }
        }
        assert_eq!(lent(format_args!("a {Fails} b")), (b"a half".to_vec(), 6));
    }
}
