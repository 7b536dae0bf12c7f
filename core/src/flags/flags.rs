//! A profiler's flags, outside of any request: what they are now, and how they are replaced.

use super::decision::Decision;
use super::explain::{self, Explanation};
use super::flag::AsFlag;
use super::snapshot::Snapshot;
use super::subject::Subject;
use crate::clock;
use crate::profiler::Shared;
use std::sync::Arc;

/// A profiler's flags: [`Profiler::flags`](crate::Profiler::flags). Any thread may use it.
#[derive(Clone, Copy)]
pub struct Flags {
    pub(crate) profiler: &'static Shared,
}

impl Flags {
    /// What decides now. Requests that began before it was set go on with theirs for a minute.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.profiler.flags.load().snapshot)
    }

    /// Replaces what decides, for requests that begin from now on; gives what it was, so that the
    /// two can be [compared](Snapshot::changes). What is switched by it is an event each, for all who
    /// are sent events; the first flags of a profiler are none. Where several processes that share a
    /// `state_dir` set the same, it is one event.
    pub fn set(&self, snapshot: Snapshot) -> Arc<Snapshot> {
        self.set_by(snapshot, "", "")
    }

    /// As [`Flags::set`], by somebody and for a reason, which the events say; empty texts are none.
    pub fn set_by(&self, snapshot: Snapshot, who: &str, why: &str) -> Arc<Snapshot> {
        let is_switch = self.is_used();
        let snapshot = Arc::new(snapshot);
        let before = self.profiler.flags.publish(Arc::clone(&snapshot));
        if is_switch {
            let switched = || before.document().switched(snapshot.document());
            self.profiler.tell_switched(switched, who, why);
        }
        before
    }

    /// Says that the source was looked at just now and had nothing newer: profiles show how old
    /// their flags may be.
    pub fn looked(&self) {
        self.profiler.flags.looked();
    }

    /// Whether flags were ever set.
    #[must_use]
    pub fn is_used(&self) -> bool {
        self.profiler.flags.is_used()
    }

    /// When the source was last looked at: nanoseconds since the Unix epoch; `None` where nobody
    /// looks.
    #[must_use]
    pub fn looked_at(&self) -> Option<u64> {
        self.profiler.flags.looked_at()
    }

    /// When the flags last changed: nanoseconds since the Unix epoch; `None` where there were
    /// never any.
    #[must_use]
    pub fn changed_at(&self) -> Option<u64> {
        let published = self.profiler.flags.load();
        (published.sequence != 0).then_some(published.changed_at)
    }

    /// How long ago the source was last looked at, or, where nobody looks, the flags were set.
    /// Nanoseconds; 0 where there were never any.
    #[must_use]
    pub fn age_ns(&self) -> u64 {
        let since = self.looked_at().or(self.changed_at());
        since.map_or(0, |since| clock::wall().saturating_sub(since))
    }

    /// Decides about a subject, now. No exposure: it is of no request.
    #[must_use]
    pub fn decide(&self, flag: impl AsFlag, who: &Subject<'_>, default: bool) -> Decision {
        let published = self.profiler.flags.load();
        published.snapshot.decide(flag, who, default)
    }

    /// Each step of that decision.
    #[must_use]
    pub fn explain(&self, flag: impl AsFlag, who: &Subject<'_>) -> Explanation {
        let published = self.profiler.flags.load();
        explain::explain(&published.snapshot, flag.as_flag(), who)
    }

    /// The data of the variant that was decided, as JSON.
    #[must_use]
    pub fn data(&self, decision: Decision) -> Option<Arc<str>> {
        let published = self.profiler.flags.load();
        published.snapshot.data(decision.packed())
    }
}

impl std::fmt::Debug for Flags {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let snapshot = self.snapshot();
        f.debug_struct("Flags")
            .field("version", &snapshot.version_text())
            .field("flags", &snapshot.document().flags.len())
            .finish_non_exhaustive()
    }
}
