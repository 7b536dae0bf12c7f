//! Spans: one timed call, from its begin to its end. Those that futures carry are in [`super::future`].

use super::chunk::{About, BYTES, Chunk, HITS, MISSES, ROWS, Record, Text};
use super::context::{self, ThreadContext};
use super::process::{self, Process};
use super::slot::Slot;
use super::word::End;
use super::{Begun, Call, Key, Lane, NO_SPAN, Past, site, unlisted};
use crate::category::{AsCategory, CategoryId, Kind};
use crate::clock;
use crate::profile::Outcome;
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::atomic::{AtomicU32, Ordering};

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
pub struct Span {
    // Two words, so that a span is returned in registers.
    record: Option<&'static Record>,
    key: Key,
    _not_send: PhantomData<*const ()>,
}

/// A call that was begun and must be ended, from whichever thread.
pub(super) type OpenCall = Begun;

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
        begin_recording(current, category.as_category(kind), detail, location)
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
    let Some(lane) = current.lane.get() else {
        return Span::none();
    };
    let call = current.call(category, detail, location);
    // SAFETY: this thread's context holds the lane.
    match unsafe { lane.begin_short(call) } {
        Some(begun) => current.begun(category.kind, begun),
        None => begin_recording_any(current, category, detail, location),
    }
}

#[inline(never)]
fn begin_recording_any(
    current: &ThreadContext,
    category: CategoryId,
    detail: &[u8],
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
    let call = current.call(category, detail, location);
    // SAFETY: this thread's context holds the lane, which is one of this slot's.
    match unsafe { lane.begin_any(slot, call, None) } {
        Some(begun) => current.begun(category.kind, begun),
        None => Span::none(),
    }
}

impl ThreadContext {
    #[inline(always)]
    fn call<'a>(
        &self,
        category: CategoryId,
        detail: &'a [u8],
        location: &'static Location<'static>,
    ) -> Call<'a> {
        let (leaf, caller) = (self.leaf.get(), site::of(location));
        if leaf != NO_SPAN {
            return Call::inner(category, leaf, detail, caller);
        }
        Call::new(category, self.scope.get(), detail, caller)
    }

    /// The call is this thread's open scope or leaf from now on. A scope inside a leaf is not: the
    /// leaf has all that happens in it.
    #[inline(always)]
    fn begun(&self, kind: Kind, begun: Begun) -> Span {
        if kind == Kind::Leaf {
            self.leaf.set(begun.key.number());
        } else if self.leaf.get() == NO_SPAN {
            self.scope.set(begun.key.number());
        }
        Span::of(begun)
    }

    /// The call is not this thread's open scope or leaf any more: what it was begun in is, or what
    /// that was begun in, if it has ended meanwhile.
    #[inline(always)]
    pub(super) fn step_out(&self, record: &Record, number: u32) {
        if !record.about().is_plain() {
            self.step_out_of_nested(record, number);
        } else if self.leaf.get() == number {
            self.leaf.set(NO_SPAN);
        }
    }

    #[inline(never)]
    fn step_out_of_nested(&self, record: &Record, number: u32) {
        let open = self.place(record);
        if open.get() == number {
            open.set(enclosing(record));
        }
    }

    /// Where it is noted that this call is the open one of its kind.
    #[inline(always)]
    pub(super) fn place(&self, record: &Record) -> &std::cell::Cell<u32> {
        if record.about().has(super::chunk::SCOPE) {
            &self.scope
        } else {
            &self.leaf
        }
    }

    /// Whether this call is of the request that this thread is in and records, and still open. Then
    /// it cannot be put to another use before the thread leaves.
    #[inline(always)]
    pub(super) fn owns(&self, record: &Record, key: Key) -> bool {
        // SAFETY: this thread's context holds the lane.
        let here = |lane: &Lane| unsafe { lane.holds(record) };
        self.lane.get().is_some_and(here) && record.end.is_open(key.generation())
    }

    /// Whether a lane that this thread holds has this record in its chunk, so that nobody puts the
    /// record to another use before the lane is given back.
    #[inline(always)]
    fn keeps(&self, record: &Record) -> bool {
        // SAFETY: this thread's context holds both lanes.
        let here = |lane: &Lane| unsafe { lane.holds(record) };
        self.lane.get().is_some_and(here) || self.borrowed.get().is_some_and(here)
    }
}

/// The innermost open call of the same kind that a call was begun in.
fn enclosing(record: &Record) -> u32 {
    let Some(process) = process::existing() else {
        return NO_SPAN;
    };
    let mut about = record.about();
    // As deep as a request can be; memory that the host corrupted could form a circle.
    for _ in 0..10_000 {
        let inner = about.has(super::chunk::INNER);
        let scope = about.has(super::chunk::SCOPE);
        let parent = about.parent();
        if inner == scope || parent == NO_SPAN {
            return NO_SPAN;
        }
        let Some((_, record)) = find(process, parent) else {
            return NO_SPAN;
        };
        if record.end.load() == End::Open {
            return parent;
        }
        about = record.about();
    }
    NO_SPAN
}

/// Begins a span in a request that need not be the current one.
#[inline]
pub(crate) fn begin_explicit(slot: &'static Slot, generation: u32, call: Call<'_>) -> Span {
    append(slot, generation, call, None).map_or(Span::none(), Span::of)
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
    let lane = lane_of(slot, generation)?;
    if past.is_none() {
        // SAFETY: `lane_of` gives a lane of this slot that this thread holds.
        let begun = unsafe { begin_in(lane, call.about, call.detail, call.caller) };
        if begun.is_some() {
            return begun;
        }
    }
    // SAFETY: as above.
    unsafe { lane.begin_any(slot, call, past) }
}

/// Not inlined, as [`begin_recording`].
///
/// # Safety
/// The caller holds this lane.
#[inline(never)]
unsafe fn begin_in(
    lane: &'static Lane,
    about: About,
    detail: &[u8],
    caller: usize,
) -> Option<Begun> {
    let call = Call {
        about,
        detail,
        caller,
    };
    // SAFETY: passed on.
    unsafe { lane.begin_short(call) }
}

#[cold]
fn count_late() {
    if let Some(process) = process::existing() {
        process.counters.late_spans.fetch_add(1, Ordering::Relaxed);
    }
}

/// A lane of the request that this thread holds, or borrows from now on.
#[inline(always)]
pub(crate) fn lane_of(slot: &'static Slot, generation: u32) -> Option<&'static Lane> {
    context::with(|current| {
        if current.is_in(slot, generation) {
            current.lane.get()
        } else {
            current.borrow_lane(slot, generation)
        }
    })
}

/// As [`begin_numbered`], where this thread recorded into the request just before: then it needs no
/// memory, no lock, and not even its context. Without a parent.
#[inline(always)]
pub(crate) fn try_begin_numbered(
    slot: u32,
    generation: u32,
    category: CategoryId,
    detail: &[u8],
    caller: usize,
) -> Option<Begun> {
    let lane = process::existing()?.slot(slot)?.borrowed_lane(generation)?;
    // SAFETY: a borrowed lane is held.
    unsafe { lane.begin_short(Call::new(category, NO_SPAN, detail, caller)) }
}

/// As [`try_begin_numbered`], with a parent of the same lane and chunk.
#[inline(never)]
pub(crate) fn try_begin_inside(
    slot: u32,
    generation: u32,
    category: CategoryId,
    detail: &[u8],
    caller: usize,
    parent: Key,
) -> Option<Begun> {
    let process = process::existing()?;
    let lane = process.slot(slot)?.borrowed_lane(generation)?;
    let (_, record) = find(process, parent.number())?;
    // SAFETY: a borrowed lane is held.
    if !unsafe { lane.holds(record) } {
        return None;
    }
    let call = if record.about().has(super::chunk::SCOPE) {
        Call::new(category, parent.number(), detail, caller)
    } else {
        Call::inner(category, parent.number(), detail, caller)
    };
    // SAFETY: as above.
    unsafe { lane.begin_short(call) }
}

/// As [`end_numbered`], where [`try_begin_numbered`] would have begun it.
#[inline(always)]
pub(crate) fn try_end_numbered(key: Key, outcome: Outcome) -> bool {
    if !clock::is_counter() {
        return false;
    }
    let tick = clock::counter();
    let found = process::existing().and_then(|process| find(process, key.number()));
    let Some((chunk, record)) = found else {
        return false;
    };
    // SAFETY: null or a lane, and lanes live for ever.
    let lane = unsafe { chunk.lane.load(Ordering::Relaxed).as_ref() };
    let Some(lane) = lane.filter(|lane| lane.is_borrowed_here()) else {
        return false;
    };
    // SAFETY: a borrowed lane is held.
    let open = unsafe { lane.holds(record) } && record.end.is_open(key.generation());
    if open {
        record.end.end_owned(code(outcome), tick);
    }
    open
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
    let call = if parent != NO_SPAN && is_leaf(parent) {
        Call::inner(category, parent, detail, caller)
    } else {
        Call::new(category, parent, detail, caller)
    };
    append(slot, generation, call, None)
}

fn is_leaf(number: u32) -> bool {
    let scope = |(_, record): (&Chunk, &Record)| record.about().has(super::chunk::SCOPE);
    process::existing()
        .and_then(|process| find(process, number))
        .is_some_and(|found| !scope(found))
}

/// The record of a number, whoever's it is by now.
#[inline(always)]
pub(super) fn find(process: &Process, number: u32) -> Option<(&'static Chunk, &'static Record)> {
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
    if context::with(|current| current.keeps(record)) {
        record.end.end_owned(code(outcome), tick);
        return true;
    }
    is_listed(chunk, number, generation) && record.end.try_end(generation, code(outcome), tick)
}

/// Whether a number is that of a published record of this generation's, so that one that was made
/// up never takes a detail for a record.
pub(super) fn is_listed(chunk: &'static Chunk, number: u32, generation: u32) -> bool {
    chunk.generation.load(Ordering::Acquire) == generation && (number & 0xff) < chunk.readable().0
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

pub(crate) fn set_count(record: &Record, count: Count, value: u32) {
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
    let kept = lane_of(slot, generation).and_then(|lane| {
        // SAFETY: `lane_of` gives a lane of this slot that this thread holds.
        unsafe { lane.keep(slot, bytes) }
    });
    if let Some(Text(text)) = kept {
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
    let listed = is_listed(chunk, number, generation);
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

/// Not inlined, as [`begin_recording`], and without a frame.
#[inline(never)]
fn end_in(current: &ThreadContext, record: &'static Record, key: Key, outcome: u8) {
    let call = OpenCall { record, key };
    if !clock::is_counter() {
        return call.end_elsewhere(outcome, None);
    }
    // Before anything else: the rest is not the call's time.
    let tick = clock::counter();
    if current.keeps(record) && record.end.is_open(key.generation()) {
        record.end.end_owned(outcome, tick);
        current.step_out(record, key.number());
    } else {
        call.end_elsewhere(outcome, Some(tick));
    }
}

impl OpenCall {
    #[inline(always)]
    pub(super) fn end(self, outcome: u8) {
        // The context is looked up in the caller's code, which has it from the begin already.
        context::with(|current| end_in(current, self.record, self.key, outcome));
    }

    /// Ends a call of another lane or chunk, of a request that may have ended, or under a clock that
    /// is not the counter.
    #[cold]
    #[inline(never)]
    fn end_elsewhere(self, outcome: u8, tick: Option<u64>) {
        let tick = tick.unwrap_or_else(clock::ticks);
        let Some(process) = process::existing() else {
            return;
        };
        context::with(|current| {
            let (number, generation) = (self.key.number(), self.key.generation());
            // Read before the end: afterwards the record may be another call's.
            let open = current.place(self.record);
            let enclosing = (open.get() == number).then(|| enclosing(self.record));
            let ended = if generation & unlisted::SCRATCH != 0 {
                find(process, number).is_some_and(|(chunk, _)| {
                    unlisted::end(process, chunk, number & 0xff, generation, outcome, tick)
                })
            } else {
                self.record.end.try_end(generation, outcome, tick)
            };
            if !ended {
                process.counters.late_spans.fetch_add(1, Ordering::Relaxed);
            } else if let Some(enclosing) = enclosing {
                open.set(enclosing);
            }
        });
    }

    fn change(self, change: Change<'_>) {
        let mine = context::with(|current| {
            let mine = current.owns(self.record, self.key);
            let slot = current.slot.get().filter(|_| mine);
            slot.map(|slot| (slot, current.generation.get()))
        });
        match mine {
            Some((slot, generation)) => apply(slot, generation, self.record, false, change),
            None => drop(change_numbered(
                self.key.number(),
                self.key.generation(),
                change,
            )),
        }
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
    pub(super) fn call(&self) -> Option<OpenCall> {
        let key = self.key;
        self.record.map(|record| OpenCall { record, key })
    }

    /// Whether it does nothing, because there is no request or its calls are not recorded.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.record.is_none()
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
        if let Some(call) = self.call() {
            call.change(change);
        }
        self
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
