//! Calls of a request that need not be the current one: the thread borrows a lane for them, and
//! keeps it for the next.

use super::chunk::About;
use super::slot::Slot;
use super::{Begun, Call, Lane, Past, context, process};
use std::sync::atomic::Ordering;

/// Whether the calls of a request are recorded now. Those of one that has ended are counted.
#[inline(always)]
pub(crate) fn is_recording(slot: &Slot, generation: u32) -> bool {
    let recording = slot.is_recording(generation);
    if !recording && !slot.is_live(generation) {
        count_late();
    }
    recording
}

/// Records into a request that is recorded a call whose whole detail is `whole` bytes long.
#[inline(always)]
pub(crate) fn append(
    slot: &'static Slot,
    generation: u32,
    call: Call<'_>,
    whole: u64,
    past: Past,
) -> Option<Begun> {
    let lane = lane_of(slot, generation)?;
    let length = call.detail.len();
    if past.is_none() && length as u64 == whole && lane.is_ready_for(length) {
        // SAFETY: `lane_of` gives a lane of this slot that this thread holds, and it is ready.
        return Some(unsafe { begin_in(lane, call.about, call.detail, call.caller) });
    }
    // SAFETY: as above.
    unsafe { lane.begin_any(slot, call, whole, past) }
}

/// Not inlined, as [`super::span::begin_recording`].
///
/// # Safety
/// As [`Lane::begin_short`].
#[inline(never)]
unsafe fn begin_in(lane: &'static Lane, about: About, detail: &[u8], caller: usize) -> Begun {
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
