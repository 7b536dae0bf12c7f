//! Decisions made ahead, many in one look.
//!
//! For hosts in which it costs more to cross over to us than to decide (Node): they let all flags
//! that they know be decided in one go, keep the decisions on their own side, and tell afterwards
//! which of them were read. Only those are exposures.

use super::decision::{Decision, Packed, Reason};
use super::flag::FlagId;
use super::in_request::InRequest;
use crate::handle::RequestHandle;
use std::sync::atomic::Ordering;

/// A flag that was read more often is counted so many times.
const MOST_READS: u32 = 1_000_000;

impl Decision {
    /// An integer for a host to keep, good in this process: see [`RequestHandle::expose`].
    #[must_use]
    pub fn to_bits(self) -> u64 {
        self.packed().0
    }

    /// The decision that was such an integer.
    #[must_use]
    pub fn from_bits(bits: u64) -> Self {
        Self::new(Packed(bits & (u64::MAX >> 3)), false)
    }
}

impl RequestHandle {
    /// What each of these flags is for the request's own visitor and user, in order, with `false`
    /// for the default. It is no exposure: [`RequestHandle::expose`] those that are read. What is
    /// set about the request afterwards may change what was not exposed yet. `false`, with nothing
    /// decided, where the handle is stale (which is counted) or none, or the facts could not be had.
    ///
    /// ```
    /// use ioprofiler::flags::FlagId;
    /// use ioprofiler::handle::RequestHandle;
    /// # let request = RequestHandle::NONE;
    /// let mut decisions = Vec::new();
    /// let flags = ["new_search", "cart"].map(FlagId::intern);
    /// if request.decide_ahead(flags.into_iter(), |decision| decisions.push(decision)) {
    ///     request.expose(decisions[1], 1); // it was read
    /// }
    /// ```
    pub fn decide_ahead(
        self,
        flags: impl Iterator<Item = FlagId>,
        mut each: impl FnMut(Decision),
    ) -> bool {
        let request = self.request();
        request
            .in_request()
            .is_some_and(|place| place.look_ahead(flags, &mut each))
    }

    /// A decision that was made ahead was read so many times.
    pub fn expose(self, decision: Decision, times: u32) {
        if let Some(place) = self.request().in_request() {
            place.expose(decision.packed(), times.min(MOST_READS));
        }
    }
}

impl InRequest {
    fn look_ahead(
        self,
        flags: impl Iterator<Item = FlagId>,
        each: &mut impl FnMut(Decision),
    ) -> bool {
        let published = self.profiler.flags.load();
        let Some(mut facts) = self.facts() else {
            return false;
        };
        let snapshot = self.pinned(&published, &mut facts);
        let memo = &self.slot.flags;
        let who = facts.subject();
        for FlagId(flag) in flags {
            let mut decided = match memo.find(flag) {
                Some((decided, _)) => decided,
                None => snapshot.resolve(flag, &who),
            };
            // What goes by the request's id, which is not there before somebody wants it.
            if decided.reason() == Reason::NoUnit && snapshot.is_by_request(flag) {
                decided = self.with_own(&facts, snapshot, flag, |who| snapshot.resolve(flag, who));
            }
            each(Decision::new(decided, false));
        }
        true
    }

    fn expose(self, decided: Packed, times: u32) {
        let flag = decided.flag();
        if flag == 0 {
            return;
        }
        let Some(_facts) = self.facts() else { return };
        let memo = &self.slot.flags;
        let mut left = times;
        if memo.find(flag).is_none() && left != 0 {
            match memo.find_open(flag) {
                Some((same, _)) if same == decided => {}
                before => {
                    if before.is_some() {
                        memo.put_aside(|before| before.flag() == flag);
                    }
                    if !memo.insert(decided, decided.reason() == Reason::NoUnit) {
                        let counters = &self.profiler.flags.counters;
                        counters.unlisted.fetch_add(1, Ordering::Relaxed);
                    }
                    left -= 1;
                }
            }
        }
        if let Some((_, entry)) = memo.find(flag).or_else(|| memo.find_open(flag)) {
            (0..left).for_each(|_| entry.count());
        }
    }
}
