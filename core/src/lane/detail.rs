//! How an application words a call: text that is there already, or `format_args!(…)`, which is
//! written down only where somebody keeps it.

use super::paper::Paper;
use std::borrow::Cow;
use std::fmt;
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
