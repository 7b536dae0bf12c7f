//! Calls that a host recorded on its own side, appended to a lane of their request.

use super::chunk::Record;
use super::detail::Words;
use super::explicit::lane_of;
use super::late::{Change, Count, Late, apply, set_count};
use super::numbered::{find, is_listed};
use super::open::code;
use super::slot::Held;
use super::{Begun, Call, context, process, unlisted};
use crate::profile::{Counts, Outcome};
use std::sync::atomic::Ordering;

/// A held request, into which this thread records.
pub(crate) struct Desk {
    held: Held,
    generation: u32,
}

/// A call whose begin, and perhaps end, were taken down elsewhere.
pub(crate) struct Handed<'a> {
    pub(crate) call: Call<'a>,
    /// The detail's whole length in bytes, where the host has cut it.
    pub(crate) cut_from: Option<u64>,
    pub(crate) target: &'a [u8],
    pub(crate) counts: Counts,
    pub(crate) start: u64,
    pub(crate) end: Option<(u64, Outcome)>,
}

impl Desk {
    /// `None` where the request is not this one any more, or its calls are not recorded.
    pub(crate) fn new(held: Held, generation: u32) -> Option<Self> {
        let recorded = held.slot.generation() == generation && held.slot.was_recorded();
        recorded.then_some(Self { held, generation })
    }

    /// Appends a call, by the request's limits: past them it is counted, and not listed.
    pub(crate) fn append(&self, handed: &Handed<'_>) -> Option<Begun> {
        let slot = self.held.slot;
        let call = handed.call;
        let whole = handed.cut_from.unwrap_or(call.detail.len() as u64);
        // Then it needs no reading of the clock. Past a limit it is counted at once, and what it brought
        // would not be.
        let past = handed
            .end
            .filter(|_| handed.counts == Counts::default())
            .map(|(tick, outcome)| (handed.start, tick, code(outcome)));
        // Asked for each call: in between the thread may have borrowed another request's.
        let lane = lane_of(slot, self.generation)?;
        // SAFETY: `lane_of` gives a lane of this slot that this thread holds.
        let begun = unsafe { lane.begin_any(slot, call, whole, past) }?;
        let record = begun.record;
        let scratch = begun.key.generation() & unlisted::SCRATCH != 0;
        if past.is_none() {
            record.start.store(handed.start, Ordering::Relaxed);
        }
        if !scratch && !handed.target.is_empty() {
            let words = Words::all(handed.target);
            apply(
                slot,
                self.generation,
                record,
                false,
                Change::Text(Late::Target, words),
            );
        }
        set_counts(record, handed.counts);
        if let (Some((tick, outcome)), None) = (handed.end, past) {
            if scratch {
                end_at(begun.key.number(), begun.key.generation(), outcome, tick);
            } else {
                record.end.end_owned(code(outcome), tick);
            }
        }
        Some(begun)
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        // An ended request must not wait for this thread to record something else.
        context::with(|current| current.give_back_of(self.held.slot));
    }
}

fn set_counts(record: &Record, counts: Counts) {
    let given = [
        (Count::Hits, counts.hits),
        (Count::Misses, counts.misses),
        (Count::Rows, counts.rows),
        (Count::Bytes, counts.bytes),
    ];
    for (count, value) in given {
        if let Some(value) = value {
            set_count(record, count, value);
        }
    }
}

/// Ends a call by its number, at a tick that was taken down elsewhere. `false` where it was ended
/// before or is stale.
pub(crate) fn end_at(number: u32, generation: u32, outcome: Outcome, tick: u64) -> bool {
    let Some(process) = process::existing() else {
        return false;
    };
    let Some((chunk, record)) = find(process, number) else {
        return false;
    };
    if generation & unlisted::SCRATCH != 0 {
        let index = number & 0xff;
        return unlisted::end(process, chunk, index, generation, code(outcome), tick);
    }
    is_listed(chunk, number, generation) && record.end.try_end(generation, code(outcome), tick)
}
