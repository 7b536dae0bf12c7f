//! Decisions of a request: made once, by the snapshot that it began with, and remembered.

use super::decision::{Decision, Packed, Reason, State};
use super::facts::Other;
use super::memo::Memo;
use super::published::{self, PINNED_FOR, Published};
use super::snapshot::Snapshot;
use super::subject::{Subject, Unit};
use super::{Explanation, Exposure, FlagsData, explain};
use crate::clock::{self, Scale};
use crate::facts::StoredFacts;
use crate::lane::slot::Slot;
use crate::lane::trylock::Guard;
use crate::profiler::Shared;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Decisions about others that a request remembers.
const MOST_OTHERS: usize = 64;

/// A request, as flags see it. The caller holds it, or finds out afterwards whether it was still
/// the one that was meant.
#[derive(Clone, Copy)]
pub(crate) struct InRequest {
    pub(crate) slot: &'static Slot,
    pub(crate) profiler: &'static Shared,
}

impl InRequest {
    /// What a flag is for the request's own subject.
    pub(crate) fn resolve(self, flag: u16) -> Packed {
        let before = self.slot.flags.ask(flag);
        before.unwrap_or_else(|| self.resolve_slowly(flag))
    }

    #[inline(never)]
    fn resolve_slowly(self, flag: u16) -> Packed {
        // Before the publication is read: what is published in between must be seen next time.
        let changes = published::changes();
        let published = self.profiler.flags.load();
        if flag == 0 {
            return Packed::off(0, Reason::NotFound);
        }
        let Some(mut facts) = self.facts() else {
            return published.snapshot.resolve(flag, &Subject::NOBODY);
        };
        let snapshot = self.pinned(&published, &mut facts);
        let memo = &self.slot.flags;
        if memo.sequence() == published.sequence {
            memo.set_checked(changes);
        }
        if let Some((decided, entry)) = memo.find(flag) {
            entry.count();
            return decided;
        }
        let decided = self.with_own(&facts, snapshot, flag, |who| snapshot.resolve(flag, who));
        match memo.find_open(flag) {
            Some((same, entry)) if same == decided => entry.count(),
            Some(_) => {
                memo.put_aside(|before| before.flag() == flag);
                self.remember(decided);
            }
            None => self.remember(decided),
        }
        decided
    }

    /// The facts, for which only threads of this very request contend, each for less than a
    /// microsecond, unless it is put to sleep meanwhile. Going without them would be another
    /// decision, so this waits longer than other facts are worth: some milliseconds.
    pub(super) fn facts(&self) -> Option<Guard<'_, StoredFacts>> {
        for _ in 0..64 {
            if let Some(facts) = self.slot.facts() {
                return Some(facts);
            }
            std::thread::yield_now();
        }
        self.profiler.count_lost_fact();
        None
    }

    /// One that only lacked a unit is made again when it is next asked for: by then the visitor may
    /// be known.
    fn remember(self, decided: Packed) {
        let open = decided.reason() == Reason::NoUnit;
        if !self.slot.flags.insert(decided, open) {
            let counters = &self.profiler.flags.counters;
            counters.unlisted.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Runs something about the request's own subject, with the request's id where the flag wants
    /// one.
    pub(super) fn with_own<R>(
        self,
        facts: &StoredFacts,
        snapshot: &Snapshot,
        flag: u16,
        f: impl FnOnce(&Subject<'_>) -> R,
    ) -> R {
        let who = facts.subject();
        if !snapshot.is_by_request(flag) {
            return f(&who);
        }
        let id = facts
            .id()
            .unwrap_or_else(|| crate::request::made_up_id(self.slot, self.profiler));
        f(&Subject {
            request: Unit::of(&id),
            ..who
        })
    }

    /// The snapshot that the request began with; after a minute, or where it is gone, the newest.
    pub(super) fn pinned<'p>(
        self,
        published: &'p Published,
        facts: &mut StoredFacts,
    ) -> &'p Snapshot {
        let memo = &self.slot.flags;
        let sequence = memo.sequence();
        if sequence != published.sequence && (self.is_old() || published.of(sequence).is_none()) {
            take_over(memo, &mut facts.flags.others, published);
        }
        published.of(memo.sequence()).unwrap_or(&published.snapshot)
    }

    fn is_old(self) -> bool {
        let scale = Scale::now();
        let begun_at = self.slot.begun_at.load(Ordering::Relaxed);
        scale.between(begun_at, scale.ticks()) > PINNED_FOR
    }

    /// What a flag is without overrides, for the gate. It is no exposure.
    pub(crate) fn resolve_without_overrides(self, flag: u16) -> Packed {
        let published = self.profiler.flags.load();
        let Some(mut facts) = self.facts() else {
            return Packed::off(flag, Reason::Error);
        };
        let snapshot = self.pinned(&published, &mut facts);
        self.with_own(&facts, snapshot, flag, |who| {
            let who = Subject {
                overrides: &[],
                ..*who
            };
            snapshot.resolve(flag, &who)
        })
    }

    /// What a flag is for somebody else.
    pub(crate) fn resolve_for(self, flag: u16, who: &Subject<'_>) -> Packed {
        let published = self.profiler.flags.load();
        let Some(mut facts) = self.facts() else {
            return published.snapshot.resolve(flag, who);
        };
        let snapshot = self.pinned(&published, &mut facts);
        let subject = who.key();
        let others = &mut facts.flags.others;
        let known = |other: &&mut Other| other.subject == subject && other.decided.flag() == flag;
        if let Some(other) = others.iter_mut().find(known) {
            other.count = other.count.saturating_add(1);
            return other.decided;
        }
        let decided = snapshot.resolve(flag, who);
        if others.len() < MOST_OTHERS {
            others.push(Other {
                subject,
                decided,
                count: 1,
            });
        } else {
            let counters = &self.profiler.flags.counters;
            counters.unlisted.fetch_add(1, Ordering::Relaxed);
        }
        decided
    }

    /// The data of the variant that was decided.
    pub(crate) fn data(self, decided: Packed) -> Option<Arc<str>> {
        let published = self.profiler.flags.load();
        let snapshot = published.of(self.slot.flags.sequence());
        snapshot.unwrap_or(&published.snapshot).data(decided)
    }

    /// Decides by the newest snapshot from now on.
    pub(crate) fn refresh(self) {
        let published = self.profiler.flags.load();
        let Some(mut facts) = self.facts() else {
            return;
        };
        let memo = &self.slot.flags;
        if memo.sequence() != published.sequence {
            memo.put_aside(|_| true);
            facts.flags.others.clear();
            memo.set_sequence(published.sequence);
        }
    }

    /// Each step of the decision as it would be made now, and the one that the request goes by.
    pub(crate) fn explain(self, flag: u16) -> Explanation {
        let published = self.profiler.flags.load();
        let Some(mut facts) = self.facts() else {
            return explain::explain(&published.snapshot, flag, &Subject::NOBODY);
        };
        let snapshot = self.pinned(&published, &mut facts);
        let mut explanation = self.with_own(&facts, snapshot, flag, |who| {
            explain::explain(snapshot, flag, who)
        });
        let before = self.slot.flags.find(flag);
        explanation.set_before(before.map(|(decided, _)| Decision::new(decided, false)));
        explanation
    }

    /// What the profile tells of flags; `None` where the profiler never had any.
    pub(crate) fn profile(self, facts: &StoredFacts) -> Option<FlagsData> {
        let store = &self.profiler.flags;
        let published = store.load();
        if published.sequence == 0 {
            return None;
        }
        let snapshot = published.of(self.slot.flags.sequence());
        let snapshot = snapshot.unwrap_or(&published.snapshot);
        let since = store.looked_at().unwrap_or(published.changed_at);
        Some(FlagsData {
            version: snapshot.version_text(),
            age_ns: clock::wall().saturating_sub(since),
            shed_from: snapshot.shed().map(|shed| shed.from),
            exposures: self.exposures(facts, &published),
        })
    }

    fn exposures(self, facts: &StoredFacts, published: &Published) -> Vec<Exposure> {
        let snapshot = published.of(self.slot.flags.sequence());
        let snapshot = snapshot.unwrap_or(&published.snapshot);
        let seen = self.slot.flags.seen();
        let own = seen
            .into_iter()
            .map(|seen| Exposure::of(snapshot, seen.decided, seen.count, seen.past, false));
        let others = facts.flags.others.iter();
        let others =
            others.map(|other| Exposure::of(snapshot, other.decided, other.count, false, true));
        own.chain(others).collect()
    }
}

/// Goes over to the newest snapshot. What is decided stays so, but what it kills or sheds; and what
/// was killed or shed before is decided anew.
fn take_over(memo: &Memo, others: &mut Vec<Other>, published: &Published) {
    let newest = &published.snapshot;
    let is_switch = |decided: Packed| matches!(decided.reason(), Reason::Killed | Reason::Shed);
    let is_switched = |decided: Packed| {
        let locked = newest.rule(decided.flag()).and_then(|rule| rule.locked);
        let dark_is_shed = decided.state() == State::Dark && newest.shed().is_some();
        is_switch(decided) || locked.is_some_and(is_switch) || dark_is_shed
    };
    memo.put_aside(is_switched);
    others.retain(|other| !is_switched(other.decided));
    memo.set_sequence(published.sequence);
}
