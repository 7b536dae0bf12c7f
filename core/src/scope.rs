//! The current request: what calls that know no request belong to.
//!
//! A thread is in a request while an [`Entered`](crate::Entered) guard lives or a wrapped future is
//! polled. Without one, a call is unattributed: never "the last request seen".

use crate::category::{AsCategory, Kind};
use crate::lane::context;
use crate::lane::detail::Detail;
use crate::lane::span::{self, Span};
use crate::notes::NoteValue;
use crate::request::Request;
use std::panic::Location;

/// Begins a span in the current request: I/O, which contains nothing else. Outside a request it
/// does nothing.
///
/// A leaf begun inside a leaf on the same thread (an ORM over a driver) is one call: the inner
/// one's detail, the outer one's time.
///
/// ```
/// # let load = || {};
/// let mut call = ioprofiler::span("dbshard01", "SELECT * FROM listings WHERE id = 5773453");
/// load();
/// call.rows(1);
/// ```
#[track_caller]
#[inline(always)]
pub fn span(category: impl AsCategory, detail: impl Detail) -> Span {
    span::begin_current(&category, Kind::Leaf, &detail, Location::caller())
}

/// As [`span`], for what may contain other calls: a template, a function. Until it ends, this
/// thread's calls happen inside it.
#[track_caller]
#[inline(always)]
pub fn scope(category: impl AsCategory, detail: impl Detail) -> Span {
    span::begin_current(&category, Kind::Scope, &detail, Location::caller())
}

/// The request that this thread or future is in; [`Request::none`] if there is none.
pub fn current() -> Request {
    Request::current()
}

/// Sets a note on the current request: see [`Request::note`]. Outside a request it does nothing.
///
/// ```
/// ioprofiler::note("user_id", 5020244);
/// ```
#[inline]
pub fn note<'v>(name: &str, value: impl Into<NoteValue<&'v str>>) {
    context::with(|now| {
        // What entered the request holds it, so its slot serves no other one meanwhile.
        if let Some(slot) = now.slot.get()
            && now.fork.get() == crate::fork::generation()
        {
            slot.note(now.generation.get(), name, value.into());
        }
    });
}
