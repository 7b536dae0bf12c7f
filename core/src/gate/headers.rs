//! What an open gate does to headers, the same in every host.
//!
//! An answer that carries a profile must not be kept by anyone: not by the browser, a proxy, a
//! CDN or a search engine. This holds whether or not the panel could be put in.

/// A change to an answer's headers. Names are lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderEdit {
    /// Replace whatever is there under this name, or add it.
    Set(&'static str, &'static str),
    /// Take out every header of this name.
    Remove(&'static str),
    /// Add another header of this name, or a member to the list that is there.
    Append(&'static str, &'static str),
}

/// The edits to the answer of a request whose gate is open, in order.
#[must_use]
pub const fn open_headers() -> &'static [HeaderEdit] {
    use HeaderEdit::{Append, Remove, Set};
    &[
        Set("cache-control", "private, no-store"),
        Set("cdn-cache-control", "no-store"),
        Set("surrogate-control", "no-store"),
        Remove("etag"),
        Remove("last-modified"),
        Remove("expires"),
        Remove("age"),
        Append("vary", "Cookie, X-Ioprofiler, X-Ioprofiler-Token"),
        Set("x-robots-tag", "noindex"),
        Set("referrer-policy", "no-referrer"),
    ]
}

/// Headers to take off a request whose gate is open at begin, before the handler sees it, so that
/// it answers whole and afresh. Only for GET and HEAD: elsewhere they guard a change (`If-Match`
/// on PUT) and stay.
#[must_use]
pub fn conditional_headers(method: &str) -> &'static [&'static str] {
    if matches!(method, "GET" | "HEAD") {
        &[
            "if-none-match",
            "if-modified-since",
            "if-match",
            "if-unmodified-since",
            "if-range",
            "range",
        ]
    } else {
        &[]
    }
}
