//! Calls past a limit: counted exactly, not listed.
//!
//! Such a call is timed in a scratch record of the process, which is free again once it ends: what
//! they cost depends on how many are open at once, not on how many there were. Its generation is
//! drawn from a counter of the process, so a handle that is used twice never ends another call.

use super::call::fill;
use super::chunk::{BYTES, Chunk, HITS, INNER, MISSES, ROWS, Record, Text};
use super::process::Process;
use super::slot::Slot;
use super::word::{End, EndWord};
use super::{Begun, Call, Key, Past, context, open, span_number, totals};
use crate::clock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Generations of scratch records have this bit, those of chunks do not.
pub(crate) const SCRATCH: u32 = 1 << 31;
/// 63 records: as many as the head's bits can mark.
const CLASS: u32 = 1;
const RECORDS: u32 = 63;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Counts a call, and starts its time.
pub(crate) fn begin(
    process: &Process,
    slot: &'static Slot,
    call: Call<'_>,
    past: Past,
) -> Option<Begun> {
    if call.about.has(INNER) {
        return None;
    }
    slot.unlisted.fetch_add(1, Ordering::Relaxed);
    process.counters.unlisted.fetch_add(1, Ordering::Relaxed);
    let sums = slot.totals.of(call.about.category())?;
    sums.calls.fetch_add(1, Ordering::Relaxed);
    if let Some((start, end, outcome)) = past {
        sums.ticks
            .fetch_add(end.saturating_sub(start), Ordering::Relaxed);
        count_outcome(sums, outcome);
        return None;
    }
    let Some((chunk, index)) = take_record(process) else {
        // Never ends, so it does not count as open either.
        sums.ended.fetch_add(1, Ordering::Relaxed);
        process.counters.untimed.fetch_add(1, Ordering::Relaxed);
        return None;
    };
    let record = chunk.record(index)?;
    let generation = NEXT.fetch_add(1, Ordering::Relaxed) | SCRATCH;
    fill(record, call, Text::EMPTY);
    // It needs no caller and no target: these say whose it is.
    record.caller.store(slot.number as usize, Ordering::Relaxed);
    record
        .target
        .store(u64::from(slot.generation()), Ordering::Relaxed);
    record.start.store(clock::ticks(), Ordering::Relaxed);
    record.end.set(EndWord::open(generation));
    Some(Begun {
        record,
        key: Key::new(span_number(chunk.number, index), generation),
    })
}

/// The slot of an unlisted call, and the generation of its request.
pub(crate) fn owner(process: &Process, record: &Record) -> Option<(&'static Slot, u32)> {
    let slot = process.slot(record.caller.load(Ordering::Relaxed) as u32)?;
    Some((slot, record.target.load(Ordering::Relaxed) as u32))
}

/// Ends a call that `begin` started. `false` where the handle is stale or was used before.
pub(crate) fn end(
    process: &Process,
    chunk: &'static Chunk,
    index: u32,
    generation: u32,
    outcome: u8,
    tick: u64,
) -> bool {
    let Some(record) = chunk.record(index) else {
        return false;
    };
    // Held while its totals change. Should the record be another call's by now, the generation
    // differs, and the end fails.
    let Some(held) = owner(process, record).and_then(|(slot, of)| slot.hold(of, process)) else {
        return false;
    };
    let ended = record.end.try_end(generation, outcome, tick);
    if ended {
        add(held.slot, record, outcome, tick);
        chunk.taken.fetch_and(!(1 << index), Ordering::Release);
    }
    ended
}

fn add(slot: &Slot, record: &Record, outcome: u8, tick: u64) {
    let Some(sums) = slot.totals.of(record.about().category()) else {
        return;
    };
    let ticks = tick.saturating_sub(record.start.load(Ordering::Relaxed));
    sums.ticks.fetch_add(ticks, Ordering::Relaxed);
    count_outcome(sums, outcome);
    let about = record.about();
    let counts = [
        (HITS, &record.hits, &sums.hits),
        (MISSES, &record.misses, &sums.misses),
        (ROWS, &record.rows, &sums.rows),
        (BYTES, &record.bytes, &sums.bytes),
    ];
    for (bit, from, to) in counts {
        if about.counted(bit) {
            to.fetch_add(u64::from(from.load(Ordering::Relaxed)), Ordering::Relaxed);
        }
    }
}

fn count_outcome(sums: &totals::Sums, outcome: u8) {
    sums.ended.fetch_add(1, Ordering::Relaxed);
    match outcome {
        open::ERROR => sums.errors.fetch_add(1, Ordering::Relaxed),
        open::CANCELLED => sums.cancelled.fetch_add(1, Ordering::Relaxed),
        _ => 0,
    };
}

fn take_record(process: &Process) -> Option<(&'static Chunk, u32)> {
    let free = |taken: u64| {
        let index = (!taken).trailing_zeros();
        (index < RECORDS).then(|| taken | (1 << index))
    };
    let count = process.scratch.len();
    // Threads begin at different places, so that they seldom meet.
    let first = context::shard() % 8;
    for offset in 0..count {
        let place = process.scratch.get((first + offset) % count)?;
        let chunk = match place.get() {
            Some(chunk) => chunk,
            None => {
                // Beyond `max_memory` if need be: at most 1 MiB a process.
                let new = process.take_chunk(CLASS, usize::MAX)?;
                match place.set(new) {
                    Ok(()) => new,
                    Err(first) => {
                        process.put_chunk(new);
                        first
                    }
                }
            }
        };
        if let Ok(before) = chunk
            .taken
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, free)
        {
            return Some((chunk, (!before).trailing_zeros()));
        }
    }
    None
}

/// The open unlisted calls of a request, with the marks of their places.
fn each_of(
    process: &'static Process,
    slot: &'static Slot,
) -> impl Iterator<Item = (&'static Chunk, u32, &'static Record)> {
    let generation = slot.generation();
    process
        .scratch
        .iter()
        .filter_map(crate::fork::Forever::get)
        .flat_map(move |chunk| {
            let taken = chunk.taken.load(Ordering::Acquire);
            (0..RECORDS)
                .filter(move |index| taken & (1 << index) != 0)
                .filter_map(move |index| {
                    let record = chunk.record(index)?;
                    let mine = owner(process, record)
                        .is_some_and(|(of, which)| std::ptr::eq(of, slot) && which == generation);
                    (mine && record.end.load() == End::Open).then_some((chunk, index, record))
                })
        })
}

/// The open unlisted calls: category and start.
pub(crate) fn each_open(
    process: &'static Process,
    slot: &'static Slot,
) -> impl Iterator<Item = (u16, u64)> {
    each_of(process, slot).map(|(_, _, record)| {
        (
            record.about().category(),
            record.start.load(Ordering::Relaxed),
        )
    })
}

/// Makes every handle to an unlisted call of this request stale. Only when nobody holds it.
pub(crate) fn close_all(process: &'static Process, slot: &'static Slot) {
    if slot.unlisted.load(Ordering::Relaxed) == 0 {
        return;
    }
    for (chunk, index, record) in each_of(process, slot) {
        record.end.set(EndWord::ended(0, 0));
        chunk.taken.fetch_and(!(1 << index), Ordering::Release);
    }
}
