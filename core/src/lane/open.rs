//! A call that was begun and must be ended, and what the thread that is in it knows of it: which
//! scope and which leaf are open.

use super::chunk::{INNER, NO_SPAN, Record, SCOPE};
use super::context::{self, ThreadContext};
use super::numbered::find;
use super::word::End;
use super::{Begun, Call, Key, Lane, process, site, unlisted};
use crate::category::{CategoryId, Kind};
use crate::clock;
use crate::profile::Outcome;
use std::cell::Cell;
use std::panic::Location;
use std::sync::atomic::Ordering;

pub(crate) const OK: u8 = 0;
pub(crate) const ERROR: u8 = 1;
pub(crate) const CANCELLED: u8 = 2;

#[inline(always)]
pub(crate) fn code(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Error => ERROR,
        Outcome::Cancelled => CANCELLED,
        _ => OK,
    }
}

impl ThreadContext {
    /// A call that this thread makes now: inside its open scope, or part of its open leaf.
    #[inline(always)]
    pub(super) fn call<'a>(
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
    pub(super) fn step_in(&self, kind: Kind, begun: Begun) {
        if kind == Kind::Leaf {
            self.leaf.set(begun.key.number());
        } else if self.leaf.get() == NO_SPAN {
            self.scope.set(begun.key.number());
        }
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
    pub(super) fn place(&self, record: &Record) -> &Cell<u32> {
        if record.about().has(SCOPE) {
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

    /// The lane of this thread's that fills the chunk of this record: nobody puts the record to
    /// another use before the lane is given back.
    #[inline(always)]
    pub(super) fn lane_that_holds(&self, record: &Record) -> Option<&'static Lane> {
        // SAFETY: this thread's context holds both lanes.
        let here = |lane: &&'static Lane| unsafe { lane.holds(record) };
        let current = self.lane.get().filter(here);
        current.or_else(|| self.borrowed.get().filter(here))
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
        let inner = about.has(INNER);
        let scope = about.has(SCOPE);
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

/// Ends a call. Not inlined, as it would push everything in the caller out of registers, and
/// without a frame.
#[inline(never)]
fn end_in(current: &ThreadContext, record: &'static Record, key: Key, outcome: u8) {
    let call = Begun { record, key };
    if !clock::is_counter() {
        return call.end_elsewhere(outcome, None);
    }
    // Before anything else: the rest is not the call's time.
    let tick = clock::counter();
    if current.lane_that_holds(record).is_some() && record.end.is_open(key.generation()) {
        record.end.end_owned(outcome, tick);
        current.step_out(record, key.number());
    } else {
        call.end_elsewhere(outcome, Some(tick));
    }
}

impl Begun {
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
}
