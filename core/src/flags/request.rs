//! Flags of a request, and of the current one.

use super::dark::{self, DarkFuture, DarkResult};
use super::decision::{Decision, Packed};
use super::explain::Explanation;
use super::flag::AsFlag;
use super::in_request::InRequest;
use super::subject::Subject;
use super::{Flags, State};
use crate::lane::context;
use crate::profiler::Shared;
use crate::request::Request;
use std::sync::Arc;

impl Request {
    /// Whether a flag is on for this request's visitor and user. Not found is off.
    ///
    /// It is decided once: later calls in this request give the same, and count. Each flag that was
    /// asked for is in the profile, with its reason.
    #[inline]
    #[must_use]
    pub fn flag(&self, flag: impl AsFlag) -> bool {
        self.resolve(flag).state() == State::On
    }

    /// As [`Request::flag`]; `default` answers where the flag is not found or broken.
    #[inline]
    #[must_use]
    pub fn flag_or(&self, flag: impl AsFlag, default: bool) -> bool {
        self.decide(flag, default).is_on()
    }

    /// The variant that a flag is in: `on` or `off` where it has no others.
    #[must_use]
    pub fn variant(&self, flag: impl AsFlag) -> &'static str {
        self.decide(flag, false).variant()
    }

    /// State, variant and reason of a flag.
    #[inline]
    #[must_use]
    pub fn decide(&self, flag: impl AsFlag, default: bool) -> Decision {
        Decision::new(self.resolve(flag), default)
    }

    #[inline(always)]
    fn resolve(&self, flag: impl AsFlag) -> Packed {
        let slot = self.any_slot();
        let before = slot.and_then(|slot| slot.flags.ask_first(flag.known()));
        before.unwrap_or_else(|| self.resolve_slowly(flag.as_flag()))
    }

    #[inline(never)]
    fn resolve_slowly(&self, flag: u16) -> Packed {
        match self.in_request() {
            Some(place) => place.resolve(flag),
            None => outside(flag, &Subject::NOBODY),
        }
    }

    /// Whether a flag is on for somebody else: `request.flag_for("new_search", "5020244")`, or any
    /// [`Subject`]. Of the request itself only the snapshot counts.
    #[must_use]
    pub fn flag_for<'a>(&self, flag: impl AsFlag, who: impl Into<Subject<'a>>) -> bool {
        self.decide_for(flag, &who.into(), false).is_on()
    }

    /// State, variant and reason of a flag for somebody else.
    #[must_use]
    pub fn decide_for(&self, flag: impl AsFlag, who: &Subject<'_>, default: bool) -> Decision {
        let flag = flag.as_flag();
        let decided = match self.in_request() {
            Some(place) => place.resolve_for(flag, who),
            None => outside(flag, who),
        };
        Decision::new(decided, default)
    }

    /// The data that the file gives the variant which the flag is in, as JSON.
    #[must_use]
    pub fn flag_data(&self, flag: impl AsFlag) -> Option<Arc<str>> {
        let decided = self.resolve(flag);
        match self.in_request() {
            Some(place) => place.data(decided),
            None => outside_flags()?.data(Decision::new(decided, false)),
        }
    }

    /// The data of the variant that a flag is in for somebody else, as JSON.
    #[must_use]
    pub fn flag_data_for(&self, flag: impl AsFlag, who: &Subject<'_>) -> Option<Arc<str>> {
        let flag = flag.as_flag();
        match self.in_request() {
            Some(place) => place.data(place.resolve_for(flag, who)),
            None => outside_flags()?.data(Decision::new(outside(flag, who), false)),
        }
    }

    /// Runs the new code unseen, where the flag is dark: its result is dropped, an `Err` or a panic
    /// is swallowed and counted, its calls are marked, and its time is a row `dark:FLAG` of the
    /// profile. Says whether it ran.
    ///
    /// ```
    /// # let request = ioprofiler::Request::none();
    /// # let search_new = || Ok::<(), std::io::Error>(());
    /// request.dark("new_search", || search_new());
    /// ```
    pub fn dark<R: DarkResult>(&self, flag: impl AsFlag, work: impl FnOnce() -> R) -> bool {
        let decided = self.resolve(flag);
        if decided.state() != State::Dark {
            return false;
        }
        let profiler = self.in_request().map(|place| place.profiler);
        self.run(|| dark::run(profiler, decided.flag(), work));
        true
    }

    /// As [`Request::dark`], for a future; where the flag is not dark it is dropped unpolled.
    pub fn dark_future<F: Future>(&self, flag: impl AsFlag, work: F) -> DarkFuture<F>
    where
        F::Output: DarkResult,
    {
        let decided = self.resolve(flag);
        let profiler = self.in_request().map(|place| place.profiler);
        let work = (decided.state() == State::Dark).then_some(work);
        DarkFuture::new(self, profiler, decided.flag(), work)
    }

    /// Decides by the newest flags from now on, instead of those that the request began with: for
    /// jobs and websockets. Without it, a newer kill or shed reaches a request after a minute.
    pub fn refresh_flags(&self) {
        if let Some(place) = self.in_request() {
            place.refresh();
        }
    }

    /// Why a flag is what it is: each rule, and what it says. It is no exposure.
    #[must_use]
    pub fn explain(&self, flag: impl AsFlag) -> Explanation {
        let flag = flag.as_flag();
        match (self.in_request(), outside_flags()) {
            (Some(place), _) => place.explain(flag),
            (None, Some(flags)) => flags.explain(super::FlagId(flag), &Subject::NOBODY),
            (None, None) => {
                let nothing = super::Snapshot::default();
                super::explain::explain(&nothing, flag, &Subject::NOBODY)
            }
        }
    }

    /// One more thing that flags may be bucketed by, as text (see
    /// [`flags::number`](super::number())): at most 64, the last value of a name wins. Set before a
    /// flag is first asked for.
    pub fn set_attribute(&self, name: &str, value: &str) {
        self.set(crate::facts::Late::Attribute(name, value));
    }

    /// What the gate's flag says, after the handler has set user and groups: decided without
    /// overrides, and no exposure.
    #[must_use]
    pub fn gate_flag(&self, flag: impl AsFlag) -> bool {
        let flag = flag.as_flag();
        self.in_request()
            .is_some_and(|place| place.resolve_without_overrides(flag).state() == State::On)
    }
}

/// The request that this thread or future is in.
fn current() -> Option<InRequest> {
    let now = context::with(|now| {
        (now.fork.get() == crate::fork::generation()).then_some(now.slot.get())
    });
    let slot = now.flatten()?;
    let profiler = Shared::of_slot(slot)?;
    Some(InRequest { slot, profiler })
}

/// Outside a request the flags of the first profiler that has any decide, about nobody: what is
/// killed, shed or on for all is so there too, and percentages are `no_unit`.
#[cold]
#[inline(never)]
fn outside(flag: u16, who: &Subject<'_>) -> Packed {
    match outside_flags() {
        Some(flags) => flags.profiler.flags.load().snapshot.resolve(flag, who),
        None => Packed::off(flag, super::Reason::NotFound),
    }
}

fn outside_flags() -> Option<Flags> {
    let mut profilers = crate::profiler::each();
    let profiler = profilers.find(|profiler| profiler.flags.is_used())?;
    Some(Flags { profiler })
}

#[inline(always)]
fn resolve_current(flag: impl AsFlag) -> Packed {
    // Also one that a fork has left to the parent: whoever entered it holds it.
    let slot = context::with(|now| now.slot.get());
    let before = slot.and_then(|slot| slot.flags.ask_first(flag.known()));
    before.unwrap_or_else(|| resolve_current_slowly(flag.as_flag()))
}

#[inline(never)]
fn resolve_current_slowly(flag: u16) -> Packed {
    match current() {
        Some(place) => place.resolve(flag),
        None => outside(flag, &Subject::NOBODY),
    }
}

/// Whether a flag is on in the current request: see [`Request::flag`]. Outside a request, what is
/// killed, shed or on for all is so too, and a percentage is off (`no_unit`); the first profiler
/// that has flags decides.
#[inline]
#[must_use]
pub fn flag(flag: impl AsFlag) -> bool {
    resolve_current(flag).state() == State::On
}

/// As [`flag()`]; `default` answers where the flag is not found or broken.
#[inline]
#[must_use]
pub fn flag_or(flag: impl AsFlag, default: bool) -> bool {
    decide(flag, default).is_on()
}

/// The variant that a flag is in, in the current request: see [`Request::variant`].
#[must_use]
pub fn variant(flag: impl AsFlag) -> &'static str {
    decide(flag, false).variant()
}

/// State, variant and reason of a flag in the current request: see [`Request::decide`].
#[inline]
#[must_use]
pub fn decide(flag: impl AsFlag, default: bool) -> Decision {
    Decision::new(resolve_current(flag), default)
}

/// As [`decide()`], for somebody else.
#[must_use]
pub fn decide_for(flag: impl AsFlag, who: &Subject<'_>, default: bool) -> Decision {
    let flag = flag.as_flag();
    let decided = match current() {
        Some(place) => place.resolve_for(flag, who),
        None => outside(flag, who),
    };
    Decision::new(decided, default)
}

/// The data of the variant that a flag is in, as JSON: see [`Request::flag_data`].
#[must_use]
pub fn flag_data(flag: impl AsFlag) -> Option<Arc<str>> {
    Request::current().flag_data(flag)
}

/// Runs new code unseen in the current request, where the flag is dark: see [`Request::dark`].
pub fn dark<R: DarkResult>(flag: impl AsFlag, work: impl FnOnce() -> R) -> bool {
    Request::current().dark(flag, work)
}
