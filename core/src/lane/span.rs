//! Spans: what users see of a call. Those that futures carry are in [`super::future`].

use super::chunk::Record;
use super::context::{self, ThreadContext};
use super::detail::{Detail, Words};
use super::explicit::{append, is_recording};
use super::late::{Count, Late};
use super::open::{ERROR, OK, code};
use super::slot::Slot;
use super::{Begun, Call, Key, ROOT, site};
use crate::category::{AsCategory, CategoryId, Kind};
use crate::profile::Outcome;
use std::marker::PhantomData;
use std::panic::Location;

/// One timed call of a request. It ends when it is dropped: with [`Outcome::Ok`], or with
/// [`Outcome::Error`] while its thread panics.
///
/// Outside a request it is empty and does nothing. It belongs to its thread; for futures there is
/// [`Span::wrap`].
#[must_use = "a span ends when it is dropped: bind it to a name, `let _call = …`"]
pub struct Span {
    // Two words, so that a span is returned in registers.
    record: Option<&'static Record>,
    key: Key,
    _not_send: PhantomData<*const ()>,
}

impl std::fmt::Debug for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let number = self.call().map(|call| call.key.number());
        f.debug_struct("Span")
            .field("number", &number)
            .finish_non_exhaustive()
    }
}

/// Begins a span in the current request.
#[inline(always)]
pub(crate) fn begin_current(
    category: &impl AsCategory,
    kind: Kind,
    detail: &impl Detail,
    location: &'static Location<'static>,
) -> Span {
    context::with(|current| {
        // Only this is in the caller's code: the way out when there is nothing to record.
        if current.lane.get().is_none() {
            if current.slot.get().is_none() {
                current.count_outside();
            }
            return Span::none();
        }
        detail.lend(|words| {
            let category = category.as_category(kind);
            if words.is_all() {
                begin_recording(current, category, words.bytes, location)
            } else {
                begin_recording_any(current, category, words, location)
            }
        })
    })
}

/// Begins a span in a request that need not be the current one.
#[inline(always)]
pub(crate) fn begin_explicit(
    slot: &'static Slot,
    generation: u32,
    category: CategoryId,
    detail: &impl Detail,
    location: &'static Location<'static>,
) -> Span {
    if !is_recording(slot, generation) {
        return Span::none();
    }
    detail.lend(|words| {
        let call = Call::new(category, ROOT, words.bytes, site::of(location));
        append(slot, generation, call, words.whole, None).map_or(Span::none(), Span::of)
    })
}

/// Not inlined: it would push everything in the caller out of registers. It has six words of
/// arguments and two of result, so nothing goes through memory.
///
/// Whether a fork has left the request to the parent is asked where a chunk is taken, not here: the
/// child writes into its own copy of a chunk that nobody will read.
#[inline(never)]
fn begin_recording(
    current: &ThreadContext,
    category: CategoryId,
    detail: &[u8],
    location: &'static Location<'static>,
) -> Span {
    match current.lane.get() {
        Some(lane) if lane.is_ready_for(detail.len()) => {
            let call = current.call(category, detail, location);
            // SAFETY: this thread's context holds the lane, which is ready.
            let begun = unsafe { lane.begin_short(call) };
            begun.into_open(current, category.kind)
        }
        _ => begin_recording_any(current, category, Words::all(detail), location),
    }
}

#[inline(never)]
fn begin_recording_any(
    current: &ThreadContext,
    category: CategoryId,
    detail: Words<'_>,
    location: &'static Location<'static>,
) -> Span {
    let (Some(lane), Some(slot)) = (current.lane.get(), current.slot.get()) else {
        return Span::none();
    };
    if current.fork.get() != crate::fork::generation() {
        // In the child of a fork that fell into a request: the request is the parent's.
        current.set(context::Context::NONE);
        return Span::none();
    }
    let call = current.call(category, detail.bytes, location);
    // SAFETY: this thread's context holds the lane, which is one of this slot's.
    match unsafe { lane.begin_any(slot, call, detail.whole, None) } {
        Some(begun) => begun.into_open(current, category.kind),
        None => Span::none(),
    }
}

impl Begun {
    /// This thread's open scope or leaf from now on.
    #[inline(always)]
    fn into_open(self, current: &ThreadContext, kind: Kind) -> Span {
        current.step_in(kind, self);
        Span::of(self)
    }
}

impl Span {
    /// A span of no request, which does nothing.
    #[inline(always)]
    pub const fn none() -> Self {
        Self {
            record: None,
            key: Key::NONE,
            _not_send: PhantomData,
        }
    }

    #[inline(always)]
    pub(super) fn of(begun: Begun) -> Self {
        Self {
            record: Some(begun.record),
            key: begun.key,
            _not_send: PhantomData,
        }
    }

    #[inline(always)]
    pub(super) fn call(&self) -> Option<Begun> {
        let key = self.key;
        self.record.map(|record| Begun { record, key })
    }

    /// Whether it does nothing, because there is no request or its calls are not recorded.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.record.is_none()
    }

    /// Says which server or file the call goes to, where that is more than the category says.
    /// Keeps at most 8 KiB; needs not be UTF-8.
    #[inline]
    pub fn target(self, target: impl Detail) -> Self {
        self.say_worded(Late::Target, &target);
        self
    }

    /// Replaces the detail, by what is known only afterwards: `Cache HIT, keys: …`.
    #[inline]
    pub fn detail(&mut self, detail: impl Detail) -> &mut Self {
        self.say_worded(Late::Detail, &detail);
        self
    }

    /// How many keys were found.
    #[inline]
    pub fn hits(&mut self, hits: u32) -> &mut Self {
        self.count(Count::Hits, hits)
    }

    /// How many keys were not found.
    #[inline]
    pub fn misses(&mut self, misses: u32) -> &mut Self {
        self.count(Count::Misses, misses)
    }

    /// How many rows were returned or changed.
    #[inline]
    pub fn rows(&mut self, rows: u32) -> &mut Self {
        self.count(Count::Rows, rows)
    }

    /// How many bytes were read or written.
    #[inline]
    pub fn bytes(&mut self, bytes: u32) -> &mut Self {
        self.count(Count::Bytes, bytes)
    }

    #[inline]
    fn count(&mut self, count: Count, value: u32) -> &mut Self {
        if let Some(call) = self.call() {
            call.set_count(count, value);
        }
        self
    }

    /// A text is put together only where there is a call that keeps it.
    #[inline]
    fn say_worded(&self, late: Late, text: &impl Detail) {
        if !self.is_none() {
            text.lend(|words| self.say(late, words));
        }
    }

    #[inline]
    fn say(&self, late: Late, words: Words<'_>) {
        if let Some(call) = self.call() {
            call.set_text(late, words);
        }
    }

    /// Ends it with an outcome. [`Outcome::Open`] counts as ok.
    #[inline(always)]
    pub fn end(self, outcome: Outcome) {
        if let Some(call) = self.call() {
            call.end(code(outcome));
        }
        std::mem::forget(self);
    }

    /// Ends it as failed.
    pub fn error(self) {
        self.end(Outcome::Error);
    }

    /// Runs a closure as this call.
    #[inline]
    pub fn run<R>(self, f: impl FnOnce() -> R) -> R {
        let _ended_on_drop = self;
        f()
    }

    /// Runs a closure as this call; `Err` is [`Outcome::Error`].
    #[inline]
    pub fn run_result<T, E>(self, f: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let result = f();
        self.end(if result.is_ok() {
            Outcome::Ok
        } else {
            Outcome::Error
        });
        result
    }
}

impl Drop for Span {
    #[inline(always)]
    fn drop(&mut self) {
        if let Some(call) = self.call() {
            call.end(if std::thread::panicking() { ERROR } else { OK });
        }
    }
}
