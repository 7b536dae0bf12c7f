//! Records → numbers: what is added up of a finished request, without a string or an allocation of
//! its own.
//!
//! The collector reads every request this way and builds texts only of those that somebody keeps.
//! A page whose request the full queue does not take reads its own.

use super::chunk::{HITS, INNER, MISSES, NO_SPAN, Record, SCOPE};
use super::open;
use super::slot::Held;
use super::span_number;
use super::word::End;
use crate::profile::Outcome;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;

/// One call of a finished request. Times are ticks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Brief {
    pub(crate) category: u16,
    pub(crate) is_scope: bool,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) outcome: Outcome,
    pub(crate) hits: u32,
    pub(crate) misses: u32,
    /// It is dark work, or was made by it. Known once [`mark_dark`] has run.
    pub(crate) dark: bool,
    number: u32,
    parent: u32,
    inner: bool,
}

impl Brief {
    fn of(record: &Record, number: u32, begun_at: u64, until: u64) -> Self {
        let (outcome, end) = match record.end.load() {
            End::Ended(code, tick) if tick <= until => (outcome(code), tick),
            _ => (Outcome::Open, until),
        };
        let about = record.about();
        let count = |bit, value: &std::sync::atomic::AtomicU32| {
            if about.counted(bit) {
                value.load(Ordering::Relaxed)
            } else {
                0
            }
        };
        let start = record.start.load(Ordering::Relaxed).max(begun_at);
        Self {
            category: about.category(),
            is_scope: about.has(SCOPE),
            start,
            end: end.max(start),
            outcome,
            hits: count(HITS, &record.hits),
            misses: count(MISSES, &record.misses),
            dark: false,
            number,
            parent: about.parent(),
            inner: about.has(INNER),
        }
    }
}

fn outcome(code: u8) -> Outcome {
    match code {
        open::ERROR => Outcome::Error,
        open::CANCELLED => Outcome::Cancelled,
        _ => Outcome::Ok,
    }
}

/// Visits the calls of a request up to a tick: lane by lane, each in order of begin. Calls that
/// are part of another one come too, see [`briefs`].
fn each(held: &Held, until: u64, mut visit: impl FnMut(Brief)) {
    let begun_at = held.slot.begun_at.load(Ordering::Relaxed);
    let generation = held.slot.generation();
    let lanes = held.slot.each_lane();
    for lane in lanes.filter(|lane| lane.word.is_of(generation)) {
        // SAFETY: null or a chunk, and chunks live for ever.
        let mut next = unsafe { lane.first.load(Ordering::Acquire).as_ref() };
        while let Some(chunk) = next {
            let (published, is_last) = chunk.readable();
            for index in 0..published {
                let Some(record) = chunk.record(index) else {
                    break;
                };
                if record.start.load(Ordering::Relaxed) <= until {
                    let number = span_number(chunk.number, index);
                    visit(Brief::of(record, number, begun_at, until));
                }
            }
            if is_last {
                break;
            }
            // SAFETY: as above.
            next = unsafe { chunk.next.load(Ordering::Acquire).as_ref() };
        }
    }
}

/// The listed calls of a request up to a tick, in order of start, into a list that is used again.
/// As in a profile, a leaf inside a leaf is one call: the outer one's time, and the inner one's
/// counts where the outer one has none.
pub(crate) fn briefs(held: &Held, until: u64, calls: &mut Vec<Brief>) {
    calls.clear();
    let mut any_inner = false;
    each(held, until, |brief| {
        any_inner |= brief.inner;
        calls.push(brief);
    });
    if any_inner {
        merge_inner(calls);
    }
    // Those of one lane are in order already.
    if !calls.is_sorted_by_key(|call| call.start) {
        calls.sort_by_key(|call| call.start);
    }
}

/// As [`briefs`], for a page that has no list to fill: without the counts of inner calls, and in
/// no order.
pub(crate) fn each_outer(held: &Held, until: u64, mut visit: impl FnMut(Brief)) {
    each(held, until, |brief| {
        if !brief.inner {
            visit(brief);
        }
    });
}

fn merge_inner(calls: &mut Vec<Brief>) {
    let places: HashMap<u32, usize> = calls
        .iter()
        .enumerate()
        .map(|(place, call)| (call.number, place))
        .collect();
    for at in 0..calls.len() {
        let Some(inner) = calls.get(at).copied().filter(|call| call.inner) else {
            continue;
        };
        let mut outer = inner.parent;
        // An inner call may lie in another one; parents form no cycle, but for corrupt memory.
        for _ in 0..calls.len() {
            let Some(found) = places.get(&outer).and_then(|&place| calls.get_mut(place)) else {
                break;
            };
            if found.inner {
                outer = found.parent;
                continue;
            }
            if found.hits == 0 && found.misses == 0 {
                (found.hits, found.misses) = (inner.hits, inner.misses);
            }
            break;
        }
    }
    calls.retain(|call| !call.inner);
}

/// Marks what happened inside calls of which `is_dark` says, by category, that they are dark work.
/// The calls are in order of start.
pub(crate) fn mark_dark(calls: &mut [Brief], is_dark: impl Fn(u16) -> bool) {
    let mut dark = HashSet::new();
    for call in calls {
        let inside = call.parent != NO_SPAN && dark.contains(&call.parent);
        call.dark = inside || (call.is_scope && is_dark(call.category));
        if call.dark {
            dark.insert(call.number);
        }
    }
}
