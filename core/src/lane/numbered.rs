//! Calls by number: for hosts that keep integers instead of values. Any integer is safe: a number
//! finds a record, and a generation tells whose it is.

use super::chunk::{Chunk, NO_SPAN, Record, SCOPE};
use super::explicit::{append, is_recording};
use super::late::{Change, apply, apply_short};
use super::open::code;
use super::process::{self, Process};
use super::slot::Slot;
use super::{Begun, Call, Key, Lane, context, site, unlisted};
use crate::category::CategoryId;
use crate::clock;
use crate::profile::Outcome;
use std::sync::atomic::Ordering;

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
    let call = || Call::new(category, NO_SPAN, detail, caller);
    // SAFETY: this puts words together.
    unsafe { try_begin(slot, generation, detail.len(), call) }
}

/// As [`try_begin_numbered`], of category and site as the integers that a host keeps.
#[inline(always)]
pub(crate) fn try_begin_by_bits(
    slot: u32,
    generation: u32,
    category: u32,
    detail: &[u8],
    site: u32,
) -> Option<Begun> {
    let call = || {
        let category = CategoryId::from_bits(category);
        Call::new(category, NO_SPAN, detail, site::of_number(site))
    };
    // SAFETY: this puts words together.
    unsafe { try_begin(slot, generation, detail.len(), call) }
}

/// First all that is to be asked, then the call: what is known of it stays in registers as it came,
/// for the other way.
///
/// # Safety
/// `call` records nothing, and its detail has this length.
#[inline(always)]
unsafe fn try_begin<'a>(
    slot: u32,
    generation: u32,
    length: usize,
    call: impl FnOnce() -> Call<'a>,
) -> Option<Begun> {
    let lane = process::existing()?.slot(slot)?.borrowed_lane(generation)?;
    if !lane.is_ready_for(length) {
        return None;
    }
    // SAFETY: a borrowed lane is held, and this one is ready.
    Some(unsafe { lane.begin_short(call()) })
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
    if !(unsafe { lane.holds(record) } && lane.is_ready_for(detail.len())) {
        return None;
    }
    let call = if record.about().has(SCOPE) {
        Call::new(category, parent.number(), detail, caller)
    } else {
        Call::inner(category, parent.number(), detail, caller)
    };
    // SAFETY: as above, and ready.
    Some(unsafe { lane.begin_short(call) })
}

/// As [`end_numbered`], where [`try_begin_numbered`] would have begun it.
#[inline(always)]
pub(crate) fn try_end_numbered(key: Key, outcome: Outcome) -> bool {
    if !clock::is_counter() {
        return false;
    }
    let tick = clock::counter();
    let found = open_here(key);
    if let Some((_, record)) = found {
        record.end.end_owned(code(outcome), tick);
    }
    found.is_some()
}

/// An open call of the lane that this thread has borrowed. It then holds the lane.
#[inline(always)]
fn open_here(key: Key) -> Option<(&'static Lane, &'static Record)> {
    let number = key.number();
    let chunk = process::existing()?.chunk(number >> 8)?;
    // SAFETY: null or a lane, and lanes live for ever.
    let lane = unsafe { chunk.lane.load(Ordering::Relaxed).as_ref() };
    let lane = lane.filter(|lane| lane.is_borrowed_here())?;
    // SAFETY: a borrowed lane is held.
    let record = unsafe { lane.record_in(chunk, number & 0xff)? };
    record
        .end
        .is_open(key.generation())
        .then_some((lane, record))
}

/// As [`change_numbered`], where [`try_begin_numbered`] would have begun it: `false` where the whole
/// way is needed, as for a long text.
#[inline(always)]
pub(crate) fn try_change_numbered(key: Key, change: Change<'_>) -> bool {
    // SAFETY: the lane is held, and the record is one of it.
    open_here(key).is_some_and(|(lane, record)| unsafe { apply_short(lane, record, change) })
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
    if is_recording(slot, generation) {
        append(slot, generation, call, detail.len() as u64, None)
    } else {
        None
    }
}

fn is_leaf(number: u32) -> bool {
    let scope = |(_, record): (&Chunk, &Record)| record.about().has(SCOPE);
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
    if context::with(|current| current.lane_that_holds(record).is_some()) {
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
