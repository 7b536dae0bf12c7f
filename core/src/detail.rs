//! How an application words a call: text that is there already, or `format_args!(…)`, which is
//! written down only where somebody keeps it.

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::sync::Arc;

/// The text of a call: its detail, or its target.
///
/// Strings and bytes of any kind, which need not be UTF-8, and `format_args!(…)`: the way to put a
/// text together. It is formatted only where the call is recorded, into memory that is there
/// already, so neither a request that records nothing nor one that does pays for a `String`.
///
/// ```
/// let (key, keys) = ("listing:5773453", ["a", "b"]);
/// let mut call = ioprofiler::span("memcache_get", format_args!("Cache GET, keys: {key}"));
/// call.detail(format_args!("Cache HIT, keys: {}", keys.join(", "))); // `join` allocates …
///
/// struct List<'a>(&'a [&'a str]);
///
/// impl std::fmt::Display for List<'_> {
///     fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
///         for (place, item) in self.0.iter().enumerate() {
///             out.write_str(if place == 0 { "" } else { ", " })?;
///             out.write_str(item)?;
///         }
///         Ok(())
///     }
/// }
/// call.detail(format_args!("Cache HIT, keys: {}", List(&keys))); // … and this does not
/// ```
///
/// What formats should do no more than write. A text is cut at 8 KiB; its whole length is kept.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no text of a call",
    note = "a call's text is a string, bytes, or `format_args!(…)`"
)]
pub trait Detail: Lend {}

/// Not to be named outside: how the text is had.
pub trait Lend {
    /// Lends the text for as long as `keep` runs.
    fn lend<R>(&self, keep: impl FnOnce(Words<'_>) -> R) -> R;
}

/// The bytes of a text, or the beginning of one that is longer than anybody keeps.
#[derive(Clone, Copy, Debug)]
pub struct Words<'a> {
    pub(crate) bytes: &'a [u8],
    /// How long the text is.
    pub(crate) whole: u64,
}

impl<'a> Words<'a> {
    #[inline(always)]
    pub(crate) const fn all(bytes: &'a [u8]) -> Self {
        let whole = bytes.len() as u64;
        Self { bytes, whole }
    }

    #[inline(always)]
    pub(crate) const fn is_all(self) -> bool {
        self.bytes.len() as u64 == self.whole
    }
}

impl<T: Detail + ?Sized> Detail for &T {}

impl<T: Lend + ?Sized> Lend for &T {
    #[inline(always)]
    fn lend<R>(&self, keep: impl FnOnce(Words<'_>) -> R) -> R {
        (**self).lend(keep)
    }
}

macro_rules! plain {
    ($($type:ty),*) => {$(
        impl Detail for $type {}

        impl Lend for $type {
            #[inline(always)]
            fn lend<R>(&self, keep: impl FnOnce(Words<'_>) -> R) -> R {
                keep(Words::all(self.as_ref()))
            }
        }
    )*};
}

plain!(str, String, [u8], Vec<u8>, Cow<'_, [u8]>);

macro_rules! pointers {
    ($($type:ty),*) => {$(
        impl Detail for $type {}

        impl Lend for $type {
            #[inline(always)]
            fn lend<R>(&self, keep: impl FnOnce(Words<'_>) -> R) -> R {
                (**self).lend(keep)
            }
        }
    )*};
}

pointers!(Box<str>, Arc<str>, Cow<'_, str>);

impl<const LENGTH: usize> Detail for [u8; LENGTH] {}

impl<const LENGTH: usize> Lend for [u8; LENGTH] {
    #[inline(always)]
    fn lend<R>(&self, keep: impl FnOnce(Words<'_>) -> R) -> R {
        keep(Words::all(self))
    }
}

impl Detail for fmt::Arguments<'_> {}

impl Lend for fmt::Arguments<'_> {
    #[inline]
    fn lend<R>(&self, keep: impl FnOnce(Words<'_>) -> R) -> R {
        let mut paper = Paper::new();
        paper.write(*self);
        keep(paper.words())
    }
}

/// Most texts fit on this much of the stack.
const SHEET: usize = 512;
/// Nobody keeps more of a text; one byte more shows whether it would be cut within a character.
const MOST: usize = crate::lane::MAX_DETAIL + 1;

/// Where a text is put together: on the stack, and in memory of its own where it is long.
struct Paper {
    sheet: [u8; SHEET],
    /// Of the sheet, as long as `more` is empty.
    written: usize,
    /// All of it, once it did not fit on the sheet.
    more: Vec<u8>,
    whole: u64,
}

impl Paper {
    fn new() -> Self {
        Self {
            sheet: [0; SHEET],
            written: 0,
            more: Vec::new(),
            whole: 0,
        }
    }

    /// Not inlined: formatting is no one's hot path, and would push everything in the caller out of
    /// its registers.
    #[inline(never)]
    fn write(&mut self, text: fmt::Arguments<'_>) {
        // A `Display` that fails leaves what it has written. That is the host's, and no reason to
        // fail here.
        let _ = self.write_fmt(text);
    }

    fn words(&self) -> Words<'_> {
        let on_sheet = self.sheet.get(..self.written).unwrap_or_default();
        let bytes = if self.more.is_empty() {
            on_sheet
        } else {
            &self.more
        };
        Words {
            bytes,
            whole: self.whole,
        }
    }

    #[cold]
    fn write_more(&mut self, piece: &[u8]) {
        if self.more.is_empty() {
            if self.more.try_reserve_exact(MOST).is_err() {
                return;
            }
            let before = self.sheet.get(..self.written).unwrap_or_default();
            self.more.extend_from_slice(before);
        }
        let room = MOST - self.more.len();
        let kept = piece.get(..room).unwrap_or(piece);
        self.more.extend_from_slice(kept);
    }
}

impl Write for Paper {
    #[inline]
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        let piece = piece.as_bytes();
        // Behind something that was lost nothing is written: a text has no gaps.
        let is_on_sheet = self.whole == self.written as u64;
        self.whole += piece.len() as u64;
        let rest = self.sheet.get_mut(self.written..).unwrap_or_default();
        match rest.get_mut(..piece.len()) {
            Some(place) if is_on_sheet => {
                place.copy_from_slice(piece);
                self.written += piece.len();
            }
            _ if is_on_sheet || !self.more.is_empty() => self.write_more(piece),
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Lend, MOST, SHEET};

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
