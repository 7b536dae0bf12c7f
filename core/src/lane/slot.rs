//! A slot: what the threads of one request share. It is used again by later requests, and its
//! generation tells them apart.

use super::process::{self, Process};
use super::totals::Totals;
use super::trylock::{Guard, TryLock};
use super::word::Holders;
use super::{Lane, context};
use crate::clock;
use crate::facts::StoredFacts;
use crate::flags::Memo;
use crate::notes::NoteValue;
use crate::profile::{Limit, State};
use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};

const LIVE: u64 = 1;
const RECORDED: u64 = 2;
/// Somebody keeps its number instead of a handle, so it may be open without any.
const NUMBERED: u64 = 4;
const STATE_SHIFT: u32 = 8;
const GENERATION_SHIFT: u32 = 32;

/// A request has at most so many lanes: threads that record it at the same moment.
const MAX_LANES: u32 = 4_096;

pub(crate) struct Slot {
    pub(crate) number: u32,
    /// Generation, how the request ended, whether it lives, whether calls are recorded.
    state: AtomicU64,
    pub(crate) holders: Holders,
    first_lane: Lane,
    lanes: AtomicU32,
    /// Which profiler began it: an index into the profilers of the process.
    pub(crate) owner: AtomicU32,
    pub(crate) begun_at: AtomicU64,
    /// 0 until the answer's first byte, or the first snapshot.
    pub(crate) answered_at: AtomicU64,
    pub(crate) ended_at: AtomicU64,
    spans_left: AtomicU32,
    bytes_left: AtomicU32,
    max_memory: AtomicUsize,
    limit: AtomicU8,
    pub(crate) unlisted: AtomicU64,
    pub(crate) totals: Totals,
    facts: TryLock<StoredFacts>,
    /// What was decided about flags.
    pub(crate) flags: Memo,
    /// The answer's status plus one, once known.
    status: AtomicU32,
    bytes_out: AtomicU64,
    /// Requests of this slot that were finished; only whoever ends one adds to it.
    pub(crate) finished: AtomicU64,
    /// The next finished request of the collector's queue.
    pub(crate) next_finished: AtomicPtr<Slot>,
}

/// What a request may keep.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    pub(crate) spans: u32,
    pub(crate) bytes: u32,
    pub(crate) memory: usize,
}

impl Slot {
    pub(crate) fn new(number: u32, generation: u32) -> Self {
        Self {
            number,
            state: AtomicU64::new(u64::from(generation) << GENERATION_SHIFT),
            holders: Holders::idle(),
            first_lane: Lane::new(generation),
            lanes: AtomicU32::new(1),
            owner: AtomicU32::new(0),
            begun_at: AtomicU64::new(0),
            answered_at: AtomicU64::new(0),
            ended_at: AtomicU64::new(0),
            spans_left: AtomicU32::new(0),
            bytes_left: AtomicU32::new(0),
            max_memory: AtomicUsize::new(0),
            limit: AtomicU8::new(0),
            unlisted: AtomicU64::new(0),
            totals: Totals::new(),
            facts: TryLock::new(StoredFacts::default()),
            flags: Memo::new(),
            status: AtomicU32::new(0),
            bytes_out: AtomicU64::new(0),
            finished: AtomicU64::new(0),
            next_finished: AtomicPtr::default(),
        }
    }

    /// Starts a request in a slot that was just taken. It is held twice: by being open, and by the
    /// caller. Gives its generation.
    #[inline]
    pub(crate) fn begin(
        &'static self,
        owner: u32,
        allowance: Allowance,
        recorded: bool,
        facts: impl FnOnce(&mut StoredFacts),
    ) -> u32 {
        let generation = self.generation();
        self.owner.store(owner, Ordering::Relaxed);
        self.spans_left.store(allowance.spans, Ordering::Relaxed);
        self.bytes_left.store(allowance.bytes, Ordering::Relaxed);
        self.max_memory.store(allowance.memory, Ordering::Relaxed);
        // SAFETY: the slot was just taken and nobody holds it yet, so nobody has the lock, or can
        // try to get it: `facts` is asked only by who holds the request.
        facts(unsafe { self.facts.unshared() });
        self.begun_at.store(clock::ticks(), Ordering::Relaxed);
        let flags = LIVE | if recorded { RECORDED } else { 0 };
        self.state.store(
            (u64::from(generation) << GENERATION_SHIFT) | flags,
            Ordering::Release,
        );
        self.holders.begin(2);
        generation
    }

    /// The slot at a place of a list of slots.
    pub(crate) fn at(place: *mut Self) -> Option<&'static Self> {
        // SAFETY: such lists hold null or slots, and slots live for ever. The type is private to
        // the crate, and no other pointer to one is ever made.
        unsafe { place.as_ref() }
    }

    #[inline(always)]
    pub(crate) fn generation(&self) -> u32 {
        (self.state.load(Ordering::Acquire) >> GENERATION_SHIFT) as u32
    }

    /// Whether this generation's request is still open.
    #[inline(always)]
    pub(crate) fn is_live(&self, generation: u32) -> bool {
        let state = self.state.load(Ordering::Acquire);
        (state >> GENERATION_SHIFT) as u32 == generation && state & LIVE != 0
    }

    /// Whether this generation's request is open and its calls are recorded.
    #[inline(always)]
    pub(crate) fn is_recording(&self, generation: u32) -> bool {
        let state = self.state.load(Ordering::Acquire);
        (state >> GENERATION_SHIFT) as u32 == generation
            && state & LIVE != 0
            && state & RECORDED != 0
    }

    pub(crate) fn was_recorded(&self) -> bool {
        self.state.load(Ordering::Acquire) & RECORDED != 0
    }

    pub(crate) fn ended(&self) -> State {
        match (self.state.load(Ordering::Acquire) >> STATE_SHIFT) as u8 {
            1 => State::Finished,
            2 => State::Aborted,
            3 => State::Abandoned,
            _ => State::Live,
        }
    }

    /// Ends the request. `true` for the one call that did; the caller then lets go of the hold that
    /// an open request has on itself.
    pub(crate) fn end(&self, generation: u32, how: State) -> bool {
        let code: u64 = match how {
            State::Live => return false,
            State::Finished => 1,
            State::Aborted => 2,
            State::Abandoned => 3,
        };
        let live = |state: u64| {
            let mine = (state >> GENERATION_SHIFT) as u32 == generation && state & LIVE != 0;
            mine.then_some((state & !LIVE) | (code << STATE_SHIFT))
        };
        // The tick first, so that nobody sees an ended request without one. A second end that
        // loses the race below has moved it by the length of that race.
        if !self.is_live(generation) {
            return false;
        }
        self.ended_at.store(clock::ticks(), Ordering::Relaxed);
        let ended = self
            .state
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, live)
            .is_ok();
        if ended && how == State::Finished {
            // One end a request, so nobody else adds now.
            let finished = self.finished.load(Ordering::Relaxed);
            self.finished.store(finished + 1, Ordering::Relaxed);
        }
        ended
    }

    /// What the answer was: before the end, by whoever ends it.
    pub(crate) fn set_answer(&self, status: Option<u16>, bytes_out: u64) {
        self.bytes_out.store(bytes_out, Ordering::Relaxed);
        if let Some(status) = status {
            self.status.store(u32::from(status) + 1, Ordering::Relaxed);
        }
    }

    pub(crate) fn set_status(&self, generation: u32, status: u16) {
        if self.is_live(generation) {
            self.status.store(u32::from(status) + 1, Ordering::Relaxed);
        }
    }

    pub(crate) fn status(&self) -> Option<u16> {
        self.status
            .load(Ordering::Relaxed)
            .checked_sub(1)?
            .try_into()
            .ok()
    }

    pub(crate) fn bytes_out(&self) -> Option<u64> {
        let ended = !matches!(self.ended(), State::Live | State::Abandoned);
        ended.then(|| self.bytes_out.load(Ordering::Relaxed))
    }

    /// Holds the request of this generation, for somebody who did not hold it.
    pub(crate) fn hold(&'static self, generation: u32, process: &Process) -> Option<Held> {
        if !self.holders.try_hold() {
            return None;
        }
        let held = Held {
            slot: self,
            process_generation: process.generation,
        };
        // Dropped, and so released, where it was another one.
        (self.generation() == generation).then_some(held)
    }

    pub(crate) fn set_numbered(&self, generation: u32) {
        let numbered = |state: u64| {
            ((state >> GENERATION_SHIFT) as u32 == generation).then_some(state | NUMBERED)
        };
        let _ = self
            .state
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, numbered);
    }

    /// Lets go; the last one puts the request away. An open request that only holds itself, and
    /// of which nobody keeps the number, was forgotten.
    pub(crate) fn release(&'static self, process: &'static Process) {
        // Looked at while the hold is still there: afterwards the slot may serve another request.
        let state = self.state.load(Ordering::Acquire);
        match self.holders.release() {
            1 if self.try_recycle(process) => {}
            1 => process.put_limbo(self),
            2 => {
                let generation = (state >> GENERATION_SHIFT) as u32;
                if state & LIVE != 0
                    && state & NUMBERED == 0
                    && let Some(forgotten) = process::forgotten()
                {
                    forgotten(self, generation);
                }
            }
            _ => {}
        }
    }

    /// Makes the slot ready for its next request, unless some lane is still checked out.
    pub(crate) fn try_recycle(&'static self, process: &'static Process) -> bool {
        context::with(|current| current.give_back_of(self));
        let generation = self.generation();
        let next = generation.wrapping_add(1).max(1);
        let advanced =
            |lane: &Lane| lane.word.is_of(next) || lane.word.try_advance(generation, next);
        if !self.each_lane().all(advanced) {
            return false;
        }
        for lane in self.each_lane() {
            // SAFETY: nobody holds the slot; every lane was free and is now of the next
            // generation, which nobody has a handle to yet.
            unsafe { lane.empty(process) };
        }
        super::unlisted::close_all(process, self);
        self.totals.clear();
        self.flags.clear();
        self.unlisted.store(0, Ordering::Relaxed);
        self.limit.store(0, Ordering::Relaxed);
        self.answered_at.store(0, Ordering::Relaxed);
        self.status.store(0, Ordering::Relaxed);
        self.holders.set_idle();
        self.state
            .store(u64::from(next) << GENERATION_SHIFT, Ordering::Release);
        process.put_slot(self);
        true
    }

    /// The facts. Held by another thread only while it copies a few strings; a caller that cannot
    /// get them after many tries goes without.
    pub(crate) fn facts(&self) -> Option<Guard<'_, StoredFacts>> {
        for attempt in 0..10_000_u32 {
            if let Some(facts) = self.facts.try_lock() {
                return Some(facts);
            }
            if attempt % 64 == 63 {
                std::thread::yield_now()
            } else {
                std::hint::spin_loop()
            }
        }
        None
    }

    /// Sets a note, if this generation's request is still open. The caller holds the request.
    #[inline]
    pub(crate) fn note(&self, generation: u32, name: &str, value: NoteValue<&str>) {
        let facts = self.facts.try_lock().or_else(|| self.facts());
        let taken = facts.is_some_and(|mut facts| {
            self.is_live(generation) && facts.notes.set(name, value).is_ok()
        });
        if !taken {
            count_lost_note();
        }
    }

    pub(crate) fn each_lane(&'static self) -> impl Iterator<Item = &'static Lane> {
        let next = |lane: &&'static Lane| {
            // SAFETY: null or a leaked lane.
            unsafe { lane.next.load(Ordering::Acquire).as_ref() }
        };
        std::iter::successors(Some(&self.first_lane), next)
    }

    /// The lane that this thread has borrowed, if it is the first one, of this generation's request,
    /// and that records.
    #[inline(always)]
    pub(crate) fn borrowed_lane(&'static self, generation: u32) -> Option<&'static Lane> {
        let here = self.first_lane.is_borrowed_here() && self.is_recording(generation);
        if here { Some(&self.first_lane) } else { None }
    }

    /// Checks a lane out, of the request of this generation.
    #[inline(always)]
    pub(crate) fn lock_lane(&'static self, generation: u32) -> Option<&'static Lane> {
        if self.first_lane.word.try_lock(generation) {
            return Some(&self.first_lane);
        }
        self.lock_further_lane(generation)
    }

    #[cold]
    #[inline(never)]
    fn lock_further_lane(&'static self, generation: u32) -> Option<&'static Lane> {
        let process = super::process::existing()?;
        // Held, so that the request is not put away while it gets another lane.
        let _held = self.hold(generation, process)?;
        if let Some(lane) = self.each_lane().find(|lane| lane.word.try_lock(generation)) {
            return Some(lane);
        }
        if self.lanes.fetch_add(1, Ordering::Relaxed) >= MAX_LANES {
            self.lanes.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let lane: &'static Lane = Box::leak(Box::new(Lane::new(generation)));
        lane.number
            .store(self.lanes.load(Ordering::Relaxed) - 1, Ordering::Relaxed);
        if !lane.word.try_lock(generation) {
            return None;
        }
        // Lanes stay with their slot, so this list only grows.
        let first = &self.first_lane.next;
        let pointer = std::ptr::from_ref(lane).cast_mut();
        let link = |second: *mut Lane| {
            lane.next.store(second, Ordering::Relaxed);
            Some(pointer)
        };
        let _ = first.fetch_update(Ordering::AcqRel, Ordering::Acquire, link);
        Some(lane)
    }

    /// Takes up to `most` spans from what the request may still list.
    pub(crate) fn lease_spans(&self, most: u32) -> u32 {
        take(&self.spans_left, most, 1)
    }

    /// Takes up to `most` bytes, but no fewer than `least`, from what it may still keep.
    pub(crate) fn lease_bytes(&self, most: u32, least: u32) -> u32 {
        take(&self.bytes_left, most, least)
    }

    pub(crate) fn max_memory(&self) -> usize {
        self.max_memory.load(Ordering::Relaxed)
    }

    pub(crate) fn note_limit(&self, limit: Limit) {
        let code = match limit {
            Limit::Spans => 1,
            Limit::DetailBytes => 2,
            Limit::Memory => 3,
        };
        let _ = self
            .limit
            .compare_exchange(0, code, Ordering::Relaxed, Ordering::Relaxed);
    }

    pub(crate) fn limit(&self) -> Option<Limit> {
        match self.limit.load(Ordering::Relaxed) {
            1 => Some(Limit::Spans),
            2 => Some(Limit::DetailBytes),
            3 => Some(Limit::Memory),
            _ => None,
        }
    }

    /// The answer's first byte leaves: later calls are "after answer".
    pub(crate) fn answer(&self, tick: u64) {
        let _ =
            self.answered_at
                .compare_exchange(0, tick.max(1), Ordering::Relaxed, Ordering::Relaxed);
    }
}

#[cold]
fn count_lost_note() {
    if let Some(process) = process::existing() {
        process.counters.lost_notes.fetch_add(1, Ordering::Relaxed);
    }
}

fn take(left: &AtomicU32, most: u32, least: u32) -> u32 {
    let mut taken = 0;
    let _ = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
        taken = left.min(most);
        if taken < least || taken == 0 {
            taken = 0;
            return None;
        }
        Some(left - taken)
    });
    taken
}

/// A hold on a request: while it lives, the request's records and bytes stay.
pub(crate) struct Held {
    pub(crate) slot: &'static Slot,
    process_generation: u32,
}

impl Held {
    /// Takes over a hold that was counted already.
    pub(crate) fn adopt(slot: &'static Slot, process_generation: u32) -> Self {
        Self {
            slot,
            process_generation,
        }
    }

    /// Leaves the hold counted, for somebody who will adopt it.
    pub(crate) fn into_slot(self) -> &'static Slot {
        let slot = self.slot;
        std::mem::forget(self);
        slot
    }
}

impl Clone for Held {
    fn clone(&self) -> Self {
        self.slot.holders.add();
        Self {
            slot: self.slot,
            process_generation: self.process_generation,
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // In the child of a fork the request belongs to the parent: nothing to put away.
        let Some(process) = super::process::existing() else {
            return;
        };
        if process.generation == self.process_generation {
            self.slot.release(process);
        }
    }
}

/// This thread is in a request, with a lane checked out to it if calls are recorded.
pub(crate) fn enter(slot: &'static Slot, generation: u32, fork: u32) -> context::Context {
    context::with(|current| {
        let saved = current.save();
        if current.is_in(slot, generation) && current.fork.get() == fork {
            // Already in it: the lane is this thread's.
            return saved;
        }
        current.give_back_of(slot);
        let lane = if slot.is_recording(generation) {
            slot.lock_lane(generation)
        } else {
            None
        };
        current.set(context::Context {
            lane,
            slot: Some(slot),
            generation,
            fork,
            ..context::Context::NONE
        });
        saved
    })
}

/// Puts back what `enter` saved.
pub(crate) fn leave(saved: context::Context) {
    context::with(|current| {
        let now = current.save();
        current.set(saved);
        let Some(lane) = now.lane else { return };
        let same = saved.lane.is_some_and(|saved| std::ptr::eq(saved, lane));
        if !same && now.fork == crate::fork::generation() {
            lane.word.unlock(now.generation);
        }
    });
}
