//! What this thread is in: the request, its checked-out lane, the open scope and leaf.
//!
//! One value, saved and put back whole by whoever changes it. It has no destructor, so it can be
//! used at any time in a thread's life.
//!
//! A thread that records into a request that it is *not* in (by a handle, as C does) **borrows** a
//! lane, and keeps it for the next call: until it records into another request, enters this one,
//! puts it away, or ends. That is what makes a call by handle as cheap as any other. A request that
//! ends on one thread while an idle one still has its lane waits to be put away, and no more than
//! one request a thread can.

use super::chunk::NO_SPAN;
use super::slot::Slot;
use super::{Key, Lane, process, thread};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A saved or current context.
#[derive(Clone, Copy)]
pub(crate) struct Context {
    /// The lane this thread holds; `None` outside a request and in one that is not recorded.
    pub(crate) lane: Option<&'static Lane>,
    pub(crate) slot: Option<&'static Slot>,
    /// The slot's generation while it holds this request.
    pub(crate) generation: u32,
    /// The process's generation in which this was entered.
    pub(crate) fork: u32,
    /// The open scope that new spans happen in.
    pub(crate) scope: u32,
    /// The open leaf of this thread: what begins inside is part of it.
    pub(crate) leaf: u32,
}

impl Context {
    pub(crate) const NONE: Self = Self {
        lane: None,
        slot: None,
        generation: 0,
        fork: 0,
        scope: NO_SPAN,
        leaf: NO_SPAN,
    };
}

pub(crate) struct ThreadContext {
    pub(crate) lane: Cell<Option<&'static Lane>>,
    pub(crate) slot: Cell<Option<&'static Slot>>,
    pub(crate) generation: Cell<u32>,
    pub(crate) fork: Cell<u32>,
    pub(crate) scope: Cell<u32>,
    pub(crate) leaf: Cell<u32>,
    /// A lane of `borrowed_slot`, held although this thread is not in its request.
    pub(crate) borrowed: Cell<Option<&'static Lane>>,
    borrowed_slot: Cell<Option<&'static Slot>>,
    /// The slot's number and its generation.
    borrowed_request: Cell<Key>,
    outside: Cell<u32>,
    shard: Cell<usize>,
}

/// Gives the borrowed lane back when its thread ends.
struct AtThreadEnd;

impl Drop for AtThreadEnd {
    fn drop(&mut self) {
        with(ThreadContext::give_back);
    }
}

thread_local! {
    static AT_THREAD_END: AtThreadEnd = const { AtThreadEnd };
    static CONTEXT: ThreadContext = const {
        ThreadContext {
            lane: Cell::new(None),
            slot: Cell::new(None),
            generation: Cell::new(0),
            fork: Cell::new(0),
            scope: Cell::new(NO_SPAN),
            leaf: Cell::new(NO_SPAN),
            borrowed: Cell::new(None),
            borrowed_slot: Cell::new(None),
            borrowed_request: Cell::new(Key::NONE),
            outside: Cell::new(0),
            shard: Cell::new(usize::MAX),
        }
    };
}

/// Calls outside any request are counted by threads and added up in batches of this size.
const OUTSIDE_BATCH: u32 = 32;

#[inline(always)]
pub(crate) fn with<R>(f: impl FnOnce(&ThreadContext) -> R) -> R {
    // SAFETY: it is shared only with a closure that ends before this function does.
    f(unsafe { here() })
}

/// This thread's context. A function of its own, because `LocalKey::with` and closures of any size
/// are not inlined, and what they capture goes through memory.
///
/// # Safety
/// The reference stays in the calling function, and on this thread.
#[inline(always)]
pub(crate) unsafe fn here() -> &'static ThreadContext {
    // Constant and without a destructor, so it is there from a thread's first to its last
    // instruction, and this cannot fail.
    let context = CONTEXT.with(std::ptr::from_ref);
    // SAFETY: this thread's own value, which lives as long as the thread.
    unsafe { &*context }
}

impl ThreadContext {
    pub(crate) fn save(&self) -> Context {
        Context {
            lane: self.lane.get(),
            slot: self.slot.get(),
            generation: self.generation.get(),
            fork: self.fork.get(),
            scope: self.scope.get(),
            leaf: self.leaf.get(),
        }
    }

    pub(crate) fn set(&self, context: Context) {
        self.lane.set(context.lane);
        self.slot.set(context.slot);
        self.generation.set(context.generation);
        self.fork.set(context.fork);
        self.scope.set(context.scope);
        self.leaf.set(context.leaf);
    }

    /// Whether this thread is in that request, entered in this very process.
    #[inline(always)]
    pub(crate) fn is_in(&self, slot: &'static Slot, generation: u32) -> bool {
        self.generation.get() == generation
            && self
                .slot
                .get()
                .is_some_and(|current| std::ptr::eq(current, slot))
    }

    /// A lane of a request that this thread is not in: the one it borrowed before, or another.
    #[inline(always)]
    pub(crate) fn borrow_lane(
        &self,
        slot: &'static Slot,
        generation: u32,
    ) -> Option<&'static Lane> {
        if self.borrowed_request.get() == Key::new(slot.number, generation)
            && self.has_borrowed_of(slot)
        {
            return self.borrowed.get();
        }
        self.borrow_another(slot, generation)
    }

    fn has_borrowed_of(&self, slot: &Slot) -> bool {
        self.borrowed_slot
            .get()
            .is_some_and(|borrowed| std::ptr::eq(borrowed, slot))
    }

    #[inline(never)]
    fn borrow_another(&self, slot: &'static Slot, generation: u32) -> Option<&'static Lane> {
        self.give_back();
        if AT_THREAD_END.try_with(|_| ()).is_err() {
            // Nobody would give it back.
            if let Some(process) = process::existing() {
                process.counters.late_spans.fetch_add(1, Ordering::Relaxed);
            }
            return None;
        }
        let lane = slot.lock_lane(generation)?;
        lane.borrower
            .store(thread::this_thread(), Ordering::Relaxed);
        self.borrowed.set(Some(lane));
        self.borrowed_slot.set(Some(slot));
        self.borrowed_request.set(Key::new(slot.number, generation));
        Some(lane)
    }

    /// Gives the borrowed lane back, if there is one.
    pub(crate) fn give_back(&self) {
        self.borrowed_slot.set(None);
        if let Some(lane) = self.borrowed.take() {
            // In the child of a fork this is a copy that nobody looks at.
            lane.borrower.store(0, Ordering::Relaxed);
            let request = self.borrowed_request.replace(Key::NONE);
            lane.word.unlock(request.generation());
        }
    }

    /// Gives the borrowed lane back if it is this slot's.
    pub(crate) fn give_back_of(&self, slot: &Slot) {
        if self.has_borrowed_of(slot) {
            self.give_back();
        }
    }

    #[inline(always)]
    pub(crate) fn count_outside(&self) {
        let outside = self.outside.get() + 1;
        self.outside.set(outside);
        if outside >= OUTSIDE_BATCH {
            self.flush_outside();
        }
    }

    /// Adds what this thread has counted to the process's counter.
    #[cold]
    #[inline(never)]
    pub(crate) fn flush_outside(&self) {
        let outside = self.outside.replace(0);
        if let Some(process) = process::existing() {
            process
                .counters
                .outside
                .fetch_add(u64::from(outside), Ordering::Relaxed);
        }
    }
}

/// Which of several equal piles this thread tries first.
#[inline]
pub(crate) fn shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    with(|context| {
        let shard = context.shard.get();
        if shard != usize::MAX {
            return shard;
        }
        let shard = NEXT.fetch_add(1, Ordering::Relaxed) & 0xff;
        context.shard.set(shard);
        shard
    })
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("in_request", &self.slot.is_some())
            .finish_non_exhaustive()
    }
}
