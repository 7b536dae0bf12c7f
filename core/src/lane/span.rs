//! Spans: one timed call, from its begin to its end.

use super::chunk::{BYTES, Chunk, HITS, MISSES, ROWS, Record, Text};
use super::context::{self, ThreadContext};
use super::process::{self, Process};
use super::slot::Slot;
use super::{Begun, Call, NO_SPAN, Past, site, unlisted};
use crate::category::{AsCategory, CategoryId, Kind};
use crate::clock;
use crate::profile::Outcome;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context as Waker, Poll};

pub(crate) const OK: u8 = 0;
pub(crate) const ERROR: u8 = 1;
pub(crate) const CANCELLED: u8 = 2;

pub(crate) fn code(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Error => ERROR,
        Outcome::Cancelled => CANCELLED,
        _ => OK,
    }
}

/// One timed call of a request. It ends when it is dropped: with [`Outcome::Ok`], or with
/// [`Outcome::Error`] while its thread panics.
///
/// Outside a request it is empty and does nothing. It belongs to its thread; for futures there is
/// [`Span::wrap`].
#[must_use = "a span ends when it is dropped: bind it to a name, `let _call = …`"]
#[derive(Debug)]
pub struct Span {
    call: Option<OpenCall>,
    _not_send: PhantomData<*const ()>,
}

/// A call that was begun and must be ended, from whichever thread.
#[derive(Clone, Copy)]
struct OpenCall {
    record: &'static Record,
    slot: &'static Slot,
    number: u32,
    /// Which generation may end it.
    generation: u32,
    /// What was its thread's open scope or leaf before this call.
    before: u32,
    kind: Kind,
    /// It is its thread's open scope or leaf.
    is_current: bool,
}

impl std::fmt::Debug for OpenCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenCall")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

/// Begins a span in the current request.
#[inline(always)]
pub(crate) fn begin_current(
    category: &impl AsCategory,
    kind: Kind,
    detail: &[u8],
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
        let category = category.as_category(kind);
        Span {
            call: begin_recording(current, category, detail, location),
            _not_send: PhantomData,
        }
    })
}

/// Not inlined: it would push everything in the caller out of registers, and the call hides behind
/// the reading of the clock.
#[inline(never)]
fn begin_recording(
    current: &ThreadContext,
    category: CategoryId,
    detail: &[u8],
    location: &'static Location<'static>,
) -> Option<OpenCall> {
    let (lane, slot) = (current.lane.get()?, current.slot.get()?);
    if current.fork.get() != crate::fork::generation() {
        // In the child of a fork that fell into a request: the request is the parent's.
        current.set(context::Context::NONE);
        return None;
    }
    let leaf = current.leaf.get();
    let inner = leaf != NO_SPAN;
    let parent = if inner { leaf } else { current.scope.get() };
    let call = Call {
        category,
        detail,
        caller: site::of(location),
        parent,
        inner,
    };
    // SAFETY: this thread's context holds the lane, which is one of this slot's.
    let begun = unsafe { lane.begin(slot, call, None) }?;
    let open = if category.kind == Kind::Scope {
        &current.scope
    } else {
        &current.leaf
    };
    Some(OpenCall {
        record: begun.record,
        slot,
        number: begun.number,
        generation: begun.generation,
        before: open.replace(begun.number),
        kind: category.kind,
        is_current: true,
    })
}

/// Begins a span in a request that need not be the current one.
#[inline]
pub(crate) fn begin_explicit(slot: &'static Slot, generation: u32, call: Call<'_>) -> Span {
    let kind = call.category.kind;
    let call = append(slot, generation, call, None).map(|begun| OpenCall {
        record: begun.record,
        slot,
        number: begun.number,
        generation: begun.generation,
        before: NO_SPAN,
        kind,
        is_current: false,
    });
    Span {
        call,
        _not_send: PhantomData,
    }
}

/// Records into a request that need not be the current one.
#[inline(always)]
pub(crate) fn append(
    slot: &'static Slot,
    generation: u32,
    call: Call<'_>,
    past: Past,
) -> Option<Begun> {
    if !slot.is_recording(generation) {
        if !slot.is_live(generation) {
            count_late();
        }
        return None;
    }
    with_lane(slot, generation, |lane| {
        // SAFETY: `with_lane` gives a lane of this slot that this thread holds.
        unsafe { lane.begin(slot, call, past) }
    })?
}

#[cold]
fn count_late() {
    if let Some(process) = process::existing() {
        process.counters.late_spans.fetch_add(1, Ordering::Relaxed);
    }
}

/// Does something with a lane of the request: this thread's, or one that is free.
#[inline(always)]
fn with_lane<R>(
    slot: &'static Slot,
    generation: u32,
    f: impl FnOnce(&'static super::Lane) -> R,
) -> Option<R> {
    let mine = context::with(|current| {
        let mine =
            current.is_in(slot, generation) && current.fork.get() == crate::fork::generation();
        if mine { current.lane.get() } else { None }
    });
    if let Some(lane) = mine {
        return Some(f(lane));
    }
    let lane = slot.lock_lane(generation)?;
    let result = f(lane);
    lane.word.unlock(generation);
    Some(result)
}

/// Begins a call for a host that keeps only numbers. The parent is a span's number, or
/// [`NO_SPAN`].
#[inline(always)]
pub(crate) fn begin_numbered(
    slot: &'static Slot,
    generation: u32,
    category: CategoryId,
    detail: &[u8],
    parent: u32,
    caller: usize,
) -> Option<Begun> {
    let inner = parent != NO_SPAN && is_leaf(parent);
    append(
        slot,
        generation,
        Call {
            category,
            detail,
            caller,
            parent,
            inner,
        },
        None,
    )
}

fn is_leaf(number: u32) -> bool {
    let scope = |(_, record): (&Chunk, &Record)| record.about().has(super::chunk::SCOPE);
    process::existing()
        .and_then(|process| find(process, number))
        .is_some_and(|found| !scope(found))
}

#[inline(always)]
fn find(process: &Process, number: u32) -> Option<(&'static Chunk, &'static Record)> {
    let chunk = process.chunk(number >> 8)?;
    Some((chunk, chunk.record(number & 0xff)?))
}

/// Ends a call by its number. `false` where it was ended before or is stale.
#[inline(always)]
pub(crate) fn end_numbered(number: u32, generation: u32, outcome: Outcome) -> bool {
    let Some(process) = process::existing() else {
        return false;
    };
    let Some((chunk, record)) = find(process, number) else {
        return false;
    };
    if !record.end.is_open(generation) {
        return false;
    }
    let tick = clock::ticks();
    if generation & unlisted::SCRATCH != 0 {
        return unlisted::end(
            process,
            chunk,
            number & 0xff,
            generation,
            code(outcome),
            tick,
        );
    }
    chunk.generation.load(Ordering::Acquire) == generation
        && record.end.try_end(generation, code(outcome), tick)
}

/// Which count of a call is set.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Count {
    Hits,
    Misses,
    Rows,
    Bytes,
}

impl Count {
    fn place(self, record: &Record) -> (&AtomicU32, u8) {
        match self {
            Self::Hits => (&record.hits, HITS),
            Self::Misses => (&record.misses, MISSES),
            Self::Rows => (&record.rows, ROWS),
            Self::Bytes => (&record.bytes, BYTES),
        }
    }
}

fn set_count(record: &Record, count: Count, value: u32) {
    let (place, bit) = count.place(record);
    place.store(value, Ordering::Relaxed);
    // Only whoever owns the span says so, so nobody else changes it now.
    record
        .about
        .store(record.about().with_counted(bit).0, Ordering::Relaxed);
}

/// Which text of a call is set after its begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Late {
    Detail,
    Target,
}

fn set_text(slot: &'static Slot, generation: u32, record: &Record, late: Late, bytes: &[u8]) {
    let kept = with_lane(slot, generation, |lane| {
        // SAFETY: `with_lane` gives a lane of this slot that this thread holds.
        unsafe { lane.keep(slot, bytes) }
    });
    if let Some(Some(Text(text))) = kept {
        let place = if late == Late::Detail {
            &record.detail
        } else {
            &record.target
        };
        place.store(text, Ordering::Release);
    }
}

/// Changes an open call by its number. `false` where it is stale.
pub(crate) fn change_numbered(number: u32, generation: u32, change: Change<'_>) -> bool {
    let Some(process) = process::existing() else {
        return false;
    };
    let Some((chunk, record)) = find(process, number) else {
        return false;
    };
    let scratch = generation & unlisted::SCRATCH != 0;
    let owner = if scratch {
        unlisted::owner(process, record)
    } else {
        // SAFETY: null or a slot, and slots live for ever.
        unsafe { chunk.slot.load(Ordering::Acquire).as_ref() }.map(|slot| (slot, slot.generation()))
    };
    // Held, so that the record stays this call's, if it is.
    let Some((of, held)) = owner.and_then(|(slot, of)| Some((of, slot.hold(of, process)?))) else {
        return false;
    };
    // A call that never ended still looks open in a chunk that was put away, or that another
    // request has taken since.
    let listed = chunk.generation.load(Ordering::Acquire) == generation
        && (number & 0xff) < chunk.published.load(Ordering::Acquire);
    if !(scratch || listed) || !record.end.is_open(generation) {
        return false;
    }
    apply(held.slot, of, record, scratch, change);
    true
}

/// What can be said of a call after its begin.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change<'a> {
    Count(Count, u32),
    Text(Late, &'a [u8]),
}

fn apply(
    slot: &'static Slot,
    generation: u32,
    record: &Record,
    unlisted: bool,
    change: Change<'_>,
) {
    match change {
        Change::Count(count, value) => set_count(record, count, value),
        // An unlisted call has no text that anybody could read.
        Change::Text(..) if unlisted => {}
        Change::Text(late, bytes) => set_text(slot, generation, record, late, bytes),
    }
}

impl OpenCall {
    #[inline(always)]
    fn is_unlisted(&self) -> bool {
        self.generation & unlisted::SCRATCH != 0
    }

    #[inline(never)]
    fn end(&self, outcome: u8) {
        context::with(|current| {
            // A thread that is in a request keeps all of its records from being used again; and
            // while this one is open, and of its generation, it is this call's.
            let in_slot = current
                .slot
                .get()
                .is_some_and(|slot| std::ptr::eq(slot, self.slot));
            if in_slot && !self.is_unlisted() && self.record.end.is_open(self.generation) {
                self.record.end.end_owned(outcome, clock::ticks());
            } else {
                self.end_from_outside(outcome);
            }
            if self.is_current {
                let open = if self.kind == Kind::Scope {
                    &current.scope
                } else {
                    &current.leaf
                };
                if open.get() == self.number {
                    open.set(self.before);
                }
            }
        });
    }

    #[cold]
    #[inline(never)]
    fn end_from_outside(&self, outcome: u8) {
        let Some(process) = process::existing() else {
            return;
        };
        let tick = clock::ticks();
        let ended = if self.is_unlisted() {
            find(process, self.number).is_some_and(|(chunk, _)| {
                unlisted::end(
                    process,
                    chunk,
                    self.number & 0xff,
                    self.generation,
                    outcome,
                    tick,
                )
            })
        } else {
            self.record.end.try_end(self.generation, outcome, tick)
        };
        if !ended {
            process.counters.late_spans.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn change(&self, change: Change<'_>) {
        let generation = context::with(|current| {
            let in_slot = current
                .slot
                .get()
                .is_some_and(|slot| std::ptr::eq(slot, self.slot));
            let mine = in_slot && self.record.end.is_open(self.generation);
            mine.then(|| current.generation.get())
        });
        match generation {
            Some(generation) => {
                apply(
                    self.slot,
                    generation,
                    self.record,
                    self.is_unlisted(),
                    change,
                );
            }
            None => drop(change_numbered(self.number, self.generation, change)),
        }
    }
}

impl Span {
    /// A span of no request, which does nothing.
    #[inline(always)]
    pub const fn none() -> Self {
        Self {
            call: None,
            _not_send: PhantomData,
        }
    }

    /// Whether it does nothing, because there is no request or its calls are not recorded.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.call.is_none()
    }

    /// Says which server or file the call goes to, where that is more than the category says.
    /// Keeps at most 8 KiB; needs not be UTF-8.
    #[inline]
    pub fn target(mut self, target: impl AsRef<[u8]>) -> Self {
        self.change(Change::Text(Late::Target, target.as_ref()));
        self
    }

    /// Replaces the detail, by what is known only afterwards: `Cache HIT, keys: …`.
    #[inline]
    pub fn detail(&mut self, detail: impl AsRef<[u8]>) -> &mut Self {
        self.change(Change::Text(Late::Detail, detail.as_ref()))
    }

    /// How many keys were found.
    #[inline]
    pub fn hits(&mut self, hits: u32) -> &mut Self {
        self.change(Change::Count(Count::Hits, hits))
    }

    /// How many keys were not found.
    #[inline]
    pub fn misses(&mut self, misses: u32) -> &mut Self {
        self.change(Change::Count(Count::Misses, misses))
    }

    /// How many rows were returned or changed.
    #[inline]
    pub fn rows(&mut self, rows: u32) -> &mut Self {
        self.change(Change::Count(Count::Rows, rows))
    }

    /// How many bytes were read or written.
    #[inline]
    pub fn bytes(&mut self, bytes: u32) -> &mut Self {
        self.change(Change::Count(Count::Bytes, bytes))
    }

    #[inline]
    fn change(&mut self, change: Change<'_>) -> &mut Self {
        if let Some(call) = &self.call {
            call.change(change);
        }
        self
    }

    /// Ends it with an outcome. [`Outcome::Open`] counts as ok.
    #[inline(always)]
    pub fn end(self, outcome: Outcome) {
        if let Some(call) = &self.call {
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
        if let Some(call) = &self.call {
            call.end(if std::thread::panicking() { ERROR } else { OK });
        }
    }
}

impl Span {
    /// Runs a future as this call: it ends when the future is ready, and is
    /// [`Outcome::Cancelled`] when the future is dropped before.
    ///
    /// While the future is polled, what it begins happens inside this call. The future may move
    /// between threads.
    pub fn wrap<F: Future>(mut self, future: F) -> SpanFuture<F> {
        let call = self.call.take().inspect(OpenCall::step_out);
        SpanFuture {
            call: Ending(call),
            outcome: |_| OK,
            future,
        }
    }

    /// As [`Span::wrap`]; `Err` is [`Outcome::Error`].
    pub fn wrap_result<T, E, F>(mut self, future: F) -> SpanFuture<F>
    where
        F: Future<Output = Result<T, E>>,
    {
        let call = self.call.take().inspect(OpenCall::step_out);
        SpanFuture {
            call: Ending(call),
            outcome: |r| if r.is_ok() { OK } else { ERROR },
            future,
        }
    }
}

impl OpenCall {
    /// Stops being its thread's open scope or leaf, without ending.
    fn step_out(&self) {
        context::with(|current| {
            let open = if self.kind == Kind::Scope {
                &current.scope
            } else {
                &current.leaf
            };
            if self.is_current && open.get() == self.number {
                open.set(self.before);
            }
        });
    }

    /// Is its thread's open scope or leaf while `f` runs.
    fn inside<R>(&self, f: impl FnOnce() -> R) -> R {
        let restore = context::with(|current| {
            let mine = current
                .slot
                .get()
                .is_some_and(|slot| std::ptr::eq(slot, self.slot))
                && !self.is_unlisted()
                && self.record.end.is_open(self.generation);
            let open = if self.kind == Kind::Scope {
                &current.scope
            } else {
                &current.leaf
            };
            mine.then(|| Restore {
                kind: self.kind,
                before: open.replace(self.number),
            })
        });
        let result = f();
        drop(restore);
        result
    }
}

/// Puts a scope or leaf back, also when a poll panics.
struct Restore {
    kind: Kind,
    before: u32,
}

impl Drop for Restore {
    fn drop(&mut self) {
        context::with(|current| {
            let open = if self.kind == Kind::Scope {
                &current.scope
            } else {
                &current.leaf
            };
            open.set(self.before);
        });
    }
}

/// A call that a future carries: dropped before its end, it is cancelled.
struct Ending(Option<OpenCall>);

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(call) = self.0.take() {
            call.end(if std::thread::panicking() {
                ERROR
            } else {
                CANCELLED
            });
        }
    }
}

pin_project_lite::pin_project! {
    /// A future that is one call. Made by [`Span::wrap`].
    #[must_use = "futures do nothing unless polled"]
    pub struct SpanFuture<F: Future> {
        call: Ending,
        outcome: fn(&F::Output) -> u8,
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for SpanFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, waker: &mut Waker<'_>) -> Poll<F::Output> {
        let this = self.project();
        let polled = match &this.call.0 {
            Some(call) => call.inside(|| this.future.poll(waker)),
            None => this.future.poll(waker),
        };
        if let Poll::Ready(output) = &polled
            && let Some(call) = this.call.0.take()
        {
            call.end((this.outcome)(output));
        }
        polled
    }
}
