//! What pages add up themselves when the queue does not take their requests: sums are never lost.
//!
//! One set of atomics a process. The collector takes them as it takes the queue, and counts them
//! under no route of their own.

use super::aggregate::Ending;
use super::sink::Ended;
use crate::clock::Scale;
use crate::lane::brief::{Brief, each_outer};
use crate::lane::slot::Held;
use crate::lane::totals::{Sums, Totals};
use crate::profile::{Outcome, State};
use std::sync::atomic::{AtomicU64, Ordering};

/// How requests can have ended: ok, with an error, aborted, abandoned.
const ENDINGS: usize = 4;

pub(super) struct Spill {
    requests: [AtomicU64; ENDINGS],
    time_ns: [AtomicU64; ENDINGS],
    calls: Totals,
}

/// What one category came to.
#[derive(Debug, Default)]
pub(super) struct SpilledCalls {
    pub(super) category: u16,
    pub(super) calls: u64,
    pub(super) time_ns: u64,
    pub(super) errors: u64,
    pub(super) cancelled: u64,
    pub(super) hits: u64,
    pub(super) misses: u64,
}

/// What was added up since it was last taken.
#[derive(Debug, Default)]
pub(super) struct Spilled {
    requests: [(u64, u64); ENDINGS],
    pub(super) calls: Vec<SpilledCalls>,
}

impl Spill {
    pub(super) fn new() -> Self {
        Self {
            requests: Default::default(),
            time_ns: Default::default(),
            calls: Totals::new(),
        }
    }

    /// Adds a request up, on its page's thread: some nanoseconds a call.
    #[cold]
    pub(super) fn add(&self, held: &Held, ended: &Ended) {
        let which = ending(ended.state, is_error(ended));
        if let (Some(requests), Some(time_ns)) = (self.requests.get(which), self.time_ns.get(which))
        {
            requests.fetch_add(1, Ordering::Relaxed);
            time_ns.fetch_add(ended.page_ns, Ordering::Relaxed);
        }
        let until = held.slot.ended_at.load(Ordering::Relaxed);
        each_outer(held, until, |call| self.add_call(&call));
        for (category, unlisted) in held.slot.totals.iter() {
            if let Some(sums) = self.calls.of(category) {
                add_sums(sums, unlisted);
            }
        }
    }

    fn add_call(&self, call: &Brief) {
        let Some(sums) = self.calls.of(call.category) else {
            return;
        };
        let add = |sum: &AtomicU64, more: u64| {
            if more != 0 {
                sum.fetch_add(more, Ordering::Relaxed);
            }
        };
        add(&sums.calls, 1);
        add(&sums.ticks, call.end.saturating_sub(call.start));
        add(&sums.errors, u64::from(call.outcome == Outcome::Error));
        add(
            &sums.cancelled,
            u64::from(call.outcome == Outcome::Cancelled),
        );
        add(&sums.hits, u64::from(call.hits));
        add(&sums.misses, u64::from(call.misses));
    }

    /// Takes what there is.
    pub(super) fn take(&self, scale: &Scale) -> Option<Spilled> {
        let take = |sum: &AtomicU64| sum.swap(0, Ordering::Relaxed);
        let mut spilled = Spilled::default();
        let sums = self.requests.iter().zip(&self.time_ns);
        for (to, (requests, time_ns)) in spilled.requests.iter_mut().zip(sums) {
            *to = (take(requests), take(time_ns));
        }
        spilled.calls = self
            .calls
            .iter()
            .map(|(category, sums): (u16, &Sums)| SpilledCalls {
                category,
                calls: take(&sums.calls),
                time_ns: scale.nanoseconds(take(&sums.ticks)),
                errors: take(&sums.errors),
                cancelled: take(&sums.cancelled),
                hits: take(&sums.hits),
                misses: take(&sums.misses),
            })
            // A page may be in the middle of adding one: what is missing comes next time.
            .filter(|calls| calls.calls != 0 || calls.time_ns != 0)
            .collect();
        let any = spilled.requests.iter().any(|(count, _)| *count != 0);
        (any || !spilled.calls.is_empty()).then_some(spilled)
    }
}

impl Spilled {
    /// How many requests, and how many of them failed.
    pub(super) fn counts(&self) -> (u64, u64) {
        let sums = self.requests().map(|(_, count, _)| count);
        let [_, (errors, _), _, (abandoned, _)] = self.requests;
        (sums.sum(), errors + abandoned)
    }

    /// How requests ended, how many, and their time.
    pub(super) fn requests(&self) -> impl Iterator<Item = (Ending, u64, u64)> {
        const STATES: [(State, bool); ENDINGS] = [
            (State::Finished, false),
            (State::Finished, true),
            (State::Aborted, false),
            (State::Abandoned, false),
        ];
        let sums = self.requests.iter().zip(STATES);
        sums.filter(|((count, _), _)| *count != 0)
            .map(|((count, time_ns), (state, error))| {
                (Ending::unknown(state, error), *count, *time_ns)
            })
    }
}

fn add_sums(to: &Sums, from: &Sums) {
    for (to, from) in [
        (&to.calls, &from.calls),
        (&to.ticks, &from.ticks),
        (&to.errors, &from.errors),
        (&to.cancelled, &from.cancelled),
        (&to.hits, &from.hits),
        (&to.misses, &from.misses),
    ] {
        to.fetch_add(from.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

fn ending(state: State, error: bool) -> usize {
    match state {
        State::Live | State::Finished => usize::from(error),
        State::Aborted => 2,
        State::Abandoned => 3,
    }
}

fn is_error(ended: &Ended) -> bool {
    ended.error || ended.status.is_some_and(|status| status >= 500)
}
