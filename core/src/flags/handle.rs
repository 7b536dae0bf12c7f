//! Flags for hosts that keep numbers: flags by number in, small integers out.

use super::dark::{self, DarkEnd};
use super::decision::{Decision, State};
use super::flag::FlagId;
use super::subject::Subject;
use crate::handle::{RequestHandle, Site, SpanHandle};
use crate::profile::Outcome;
use crate::profiler::Shared;

impl RequestHandle {
    /// State, variant and reason of a flag for the request's own visitor and user: see
    /// [`Request::decide`](crate::Request::decide). Where the handle is stale (which is counted) or
    /// none, as outside a request.
    #[inline]
    #[must_use]
    pub fn decide(self, flag: FlagId, default: bool) -> Decision {
        match self.try_decide(flag, default) {
            Some(decision) => decision,
            None => self.decide_held(flag, default),
        }
    }

    /// As [`RequestHandle::decide`], where it was decided before in this request; `None` where the
    /// whole way is needed. It calls nothing of the system: no memory, no lock, and errno stays.
    #[inline(always)]
    #[must_use]
    pub fn try_decide(self, flag: FlagId, default: bool) -> Option<Decision> {
        let slot = self.same_slot()?;
        let (decided, entry) = slot.flags.remembered(flag.0)?;
        // Nobody holds the request here: what was read is its own only if it is still there.
        if slot.generation() != self.generation() {
            return None;
        }
        entry.count();
        Some(Decision::new(decided, default))
    }

    #[inline(never)]
    fn decide_held(self, flag: FlagId, default: bool) -> Decision {
        self.request().decide(flag, default)
    }

    /// State, variant and reason of a flag for somebody else.
    #[must_use]
    pub fn decide_for(self, flag: FlagId, who: &Subject<'_>, default: bool) -> Decision {
        self.request().decide_for(flag, who, default)
    }

    /// Begins dark work, for hosts that run it themselves: `None` where the flag is not dark, and
    /// the work is not to be run. The span is none where calls are not recorded.
    #[must_use]
    pub fn dark_begin(self, flag: FlagId, parent: SpanHandle, site: Site) -> Option<SpanHandle> {
        let is_dark = self.decide(flag, false).state() == State::Dark;
        is_dark.then(|| self.span(dark::category(flag.0), &[], parent, site))
    }

    /// Ends it, and counts how it ended. Whatever it gave or threw is the host's to swallow.
    pub fn dark_end(self, span: SpanHandle, end: DarkEnd) {
        let failed = end != DarkEnd::Ok;
        span.end(if failed { Outcome::Error } else { Outcome::Ok });
        let profiler = self.same_slot().and_then(Shared::of_slot);
        dark::count(profiler, end);
    }
}
