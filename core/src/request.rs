//! One unit of work under observation, from its begin to its one end.

mod notes;
mod profile;

pub use profile::Profile;

use crate::category::{AsCategory, CategoryId, Kind};
use crate::clock::{self, Scale};
use crate::facts::{Facts, Late};
use crate::flags::InRequest as FlagsOf;
use crate::lane::detail::Detail;
use crate::lane::slot::{self, Held, Slot};
use crate::lane::span::{self, Span};
use crate::lane::{Call, Past, ROOT, context, explicit, open, process, read, site};
use crate::profile::{FactsData, Outcome, ProfileData, State};
use crate::profiler::Shared;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context as Waker, Poll};
use std::time::Duration;

/// A request: a handle that can be cloned and sent to other threads.
///
/// It ends once, by [`Request::finish`] or [`Request::abort`]. When the last handle is dropped
/// before that, it is abandoned, and counted. A request that could not be had
/// ([`Request::none`]) accepts every call and does nothing.
#[derive(Clone, Debug, Default)]
#[must_use = "a request that is dropped unfinished counts as abandoned"]
pub struct Request {
    live: Option<Live>,
}

#[derive(Clone)]
struct Live {
    held: Held,
    generation: u32,
    fork: u32,
    profiler: &'static Shared,
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live")
            .field("slot", &self.held.slot.number)
            .finish_non_exhaustive()
    }
}

/// Asked of a request by bindings that keep numbers instead of handles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestNumber {
    /// Which slot.
    pub slot: u32,
    /// Which of the slot's requests.
    pub generation: u32,
    /// Whether its calls are recorded.
    pub recording: bool,
}

impl Request {
    /// The request that does nothing.
    pub const fn none() -> Self {
        Self { live: None }
    }

    pub(crate) fn begin(profiler: &'static Shared, facts: &Facts<'_>) -> Self {
        let live = profiler.take_slot().map(|(process, slot)| {
            let recorded = profiler.records(facts);
            let allowance = profiler.options.allowance;
            let generation = slot.begin(profiler.number, allowance, recorded, |stored| {
                stored.store(facts)
            });
            if profiler.page_may_look(process.generation) {
                profiler.look_on_page(slot, generation);
            }
            profiler.collector.watch(profiler, process.generation);
            slot.flags.begin(&profiler.flags);
            let held = Held::adopt(slot, process.generation);
            Live {
                held,
                generation,
                fork: process.generation,
                profiler,
            }
        });
        Self { live }
    }

    /// The request that this thread is in.
    pub(crate) fn current() -> Self {
        let now = context::with(context::ThreadContext::save);
        let live = now
            .slot
            .filter(|_| now.fork == crate::fork::generation())
            .and_then(|slot| {
                let process = process::existing()?;
                let held = slot.hold(now.generation, process)?;
                let profiler = Shared::of_slot(slot)?;
                Some(Live {
                    held,
                    generation: now.generation,
                    fork: now.fork,
                    profiler,
                })
            });
        Self { live }
    }

    /// The request of a number, if it is still open or held.
    pub fn from_number(slot: u32, generation: u32) -> Self {
        let live = process::existing().and_then(|process| {
            let held = process.slot(slot)?.hold(generation, process)?;
            let profiler = Shared::of_slot(held.slot)?;
            Some(Live {
                held,
                generation,
                fork: process.generation,
                profiler,
            })
        });
        Self { live }
    }

    /// Gives the handle up for a number. The request then stays open without any handle, until it
    /// is finished or `request_ttl` is over.
    pub fn into_number(self) -> Option<RequestNumber> {
        let live = self.mine()?;
        live.held.slot.set_numbered(live.generation);
        self.number()
    }

    pub(crate) fn number(&self) -> Option<RequestNumber> {
        let live = self.mine()?;
        Some(RequestNumber {
            slot: live.held.slot.number,
            generation: live.generation,
            recording: live.held.slot.is_recording(live.generation),
        })
    }

    /// What there is, unless a fork has left it to the parent.
    #[inline(always)]
    fn mine(&self) -> Option<&Live> {
        self.live
            .as_ref()
            .filter(|live| live.fork == crate::fork::generation())
    }

    /// Whether it does nothing.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.mine().is_none()
    }

    /// Whether its calls are recorded: it is open, and `record` wanted it.
    #[must_use]
    pub fn is_recording(&self) -> bool {
        self.mine()
            .is_some_and(|live| live.held.slot.is_recording(live.generation))
    }

    /// The request's id: the host's, else made up (32 hex digits). Empty for no request.
    #[must_use]
    pub fn id(&self) -> String {
        self.mine().map(Live::id).unwrap_or_default()
    }

    /// Makes this the current request of this thread, until the guard is dropped.
    ///
    /// Do not hold the guard over an `.await`: use [`Request::wrap`].
    #[must_use = "the thread leaves the request when the guard is dropped"]
    pub fn enter(&self) -> Entered<'_> {
        let saved = self
            .mine()
            .map(|live| slot::enter(live.held.slot, live.generation, live.fork));
        Entered {
            saved,
            _request: PhantomData,
            _not_send: PhantomData,
        }
    }

    /// Runs a closure in this request.
    pub fn run<R>(&self, f: impl FnOnce() -> R) -> R {
        let _entered = self.enter();
        f()
    }

    /// Runs a future in this request, wherever it is polled.
    pub fn wrap<F: Future>(&self, future: F) -> InRequest<F> {
        InRequest {
            request: self.clone(),
            scope: ROOT,
            future,
        }
    }

    /// Begins a span in this request, from any thread, current or not.
    #[track_caller]
    #[inline]
    pub fn span(&self, category: impl AsCategory, detail: impl Detail) -> Span {
        self.begin_span(
            category.as_category(Kind::Leaf),
            &detail,
            Location::caller(),
        )
    }

    /// As [`Request::span`], of a category that may contain others. It does not become the parent
    /// of other explicit spans; the current thread's spans know their scope by themselves.
    #[track_caller]
    #[inline]
    pub fn scope(&self, category: impl AsCategory, detail: impl Detail) -> Span {
        self.begin_span(
            category.as_category(Kind::Scope),
            &detail,
            Location::caller(),
        )
    }

    #[inline]
    fn begin_span(
        &self,
        category: CategoryId,
        detail: &impl Detail,
        at: &'static Location<'static>,
    ) -> Span {
        let Some(live) = self.mine() else {
            return Span::none();
        };
        span::begin_explicit(live.held.slot, live.generation, category, detail, at)
    }

    /// Records a call that is over: it ended `ended_ago` before now and took `duration`.
    #[track_caller]
    pub fn add_span(
        &self,
        category: impl AsCategory,
        detail: impl Detail,
        ended_ago: Duration,
        duration: Duration,
    ) {
        let Some(live) = self.mine() else { return };
        if !explicit::is_recording(live.held.slot, live.generation) {
            return;
        }
        let category = category.as_category(Kind::Leaf);
        let caller = site::of(Location::caller());
        let parent = context::with(|now| {
            if now.is_in(live.held.slot, live.generation) {
                now.scope.get()
            } else {
                ROOT
            }
        });
        detail.lend(|words| {
            let call = Call::new(category, parent, words.bytes, caller);
            let (slot, generation) = (live.held.slot, live.generation);
            let past = past(ended_ago, duration, Outcome::Ok);
            explicit::append(slot, generation, call, words.whole, past);
        });
    }

    /// The request as its flags see it.
    #[inline(always)]
    pub(crate) fn in_request(&self) -> Option<FlagsOf> {
        self.mine().map(Live::flags)
    }

    /// Its slot, also where a fork has left it to the parent: only to read what was decided before.
    #[inline(always)]
    pub(crate) fn any_slot(&self) -> Option<&'static Slot> {
        self.live.as_ref().map(|live| live.held.slot)
    }

    pub(crate) fn set(&self, late: Late<'_>) {
        let Some(live) = self.mine() else { return };
        match live.held.slot.facts() {
            Some(mut facts) if live.held.slot.is_live(live.generation) => facts.set(late),
            _ => live.profiler.count_lost_fact(),
        }
    }

    /// The route's template: `/listing/{id}`, never the raw path.
    pub fn set_route(&self, route: &str) {
        self.set(Late::Route(route));
    }

    /// The user's id.
    pub fn set_user(&self, user: &str) {
        self.set(Late::User(user));
    }

    /// The browser's id.
    pub fn set_visitor(&self, visitor: &str) {
        self.set(Late::Visitor(visitor));
    }

    /// One more group of the user; at most 64.
    pub fn add_group(&self, group: &str) {
        self.set(Late::Group(group));
    }

    /// Who looks at this profile.
    pub fn set_viewer(&self, viewer: &str) {
        self.set(Late::Viewer(viewer));
    }

    /// What went wrong.
    pub fn set_error(&self, error: &str) {
        self.set(Late::Error(error));
    }

    /// The answer's status, where it is known before the end, for snapshots.
    pub fn set_status(&self, status: u16) {
        if let Some(live) = self.mine() {
            live.held.slot.set_status(live.generation, status);
        }
    }

    /// The answer's first byte leaves: later calls are marked *after answer*. The first time
    /// counts.
    pub fn first_byte(&self) {
        if let Some(live) = self.mine() {
            live.held.slot.answer(clock::ticks());
        }
    }

    /// What the request has done so far. Any number of times, while other threads record.
    pub fn snapshot(&self) -> Profile {
        let Some(live) = self.mine() else {
            return Profile::default();
        };
        let scale = Scale::now();
        live.held.slot.answer(scale.ticks());
        Profile::ready(build(
            &live.held,
            live.profiler,
            &scale,
            scale.ticks(),
            What::All,
        ))
    }

    /// Whether somebody would read the details of the request's calls, were it to end now: see
    /// [`Request::wanted`].
    #[must_use]
    pub fn is_wanted(&self, how: State, status: Option<u16>) -> bool {
        self.wanted(how, status) == crate::collect::Wanted::Details
    }

    pub(crate) fn with_profiler<R>(
        &self,
        f: impl FnOnce(&Held, &'static Shared) -> R,
    ) -> Option<R> {
        self.mine().map(|live| f(&live.held, live.profiler))
    }

    /// Ends the request, once: the body has ended. Later calls change nothing, and give what the
    /// first one ended.
    pub fn finish(&self, status: u16, bytes_out: u64) -> Profile {
        self.end(State::Finished, Some(status), bytes_out)
    }

    /// Ends the request: the client left before the body had ended.
    pub fn abort(&self, status: Option<u16>, bytes_out: u64) -> Profile {
        self.end(State::Aborted, status, bytes_out)
    }

    fn end(&self, how: State, status: Option<u16>, bytes_out: u64) -> Profile {
        let Some(live) = self.mine() else {
            return Profile::default();
        };
        let slot = live.held.slot;
        if slot.is_live(live.generation) {
            slot.set_answer(status, bytes_out);
        }
        // The profile takes over the hold that the open request had on itself.
        let open = if slot.end(live.generation, how) {
            live.profiler.ended(&live.held, how)
        } else {
            Some(live.held.clone())
        };
        open.map_or_else(Profile::default, |held| {
            Profile::finished(held, live.profiler)
        })
    }

    /// Begins a job that knows this request as its parent, and outlives it.
    pub fn detach(&self, name: &str) -> Self {
        let Some(live) = self.mine() else {
            return Self::none();
        };
        let id = live.id();
        let asked = live.held.slot.was_recorded();
        Self::begin(live.profiler, &Facts::job(name).parent(&id).asked(asked))
    }
}

/// Records a call that is over.
pub(crate) fn add(
    slot: &'static slot::Slot,
    generation: u32,
    call: Call<'_>,
    ended_ago: Duration,
    duration: Duration,
    outcome: Outcome,
) {
    if explicit::is_recording(slot, generation) {
        let past = past(ended_ago, duration, outcome);
        explicit::append(slot, generation, call, call.detail.len() as u64, past);
    }
}

/// When a call began and ended, by how long ago that was.
fn past(ended_ago: Duration, duration: Duration, outcome: Outcome) -> Past {
    let scale = Scale::now();
    let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let end = scale
        .ticks()
        .saturating_sub(scale.ticks_of(nanoseconds(ended_ago)));
    let start = end.saturating_sub(scale.ticks_of(nanoseconds(duration)));
    Some((start, end, open::code(outcome)))
}

impl Live {
    #[inline(always)]
    fn flags(&self) -> FlagsOf {
        FlagsOf {
            slot: self.held.slot,
            profiler: self.profiler,
        }
    }

    fn id(&self) -> String {
        let given = self.held.slot.facts().and_then(|facts| facts.id());
        given.unwrap_or_else(|| made_up_id(self.held.slot, self.profiler))
    }
}

/// The same each time it is asked for: nothing has to be kept.
pub(crate) fn made_up_id(slot: &slot::Slot, profiler: &Shared) -> String {
    let begun = slot.begun_at.load(Ordering::Relaxed);
    let which = (slot.number, slot.generation(), begun, std::process::id());
    format!(
        "{:016x}{:016x}",
        profiler.random(&(0, which)),
        profiler.random(&(1, which))
    )
}

/// How much of a request is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    All,
    /// All but its calls.
    About,
    /// Of its calls those that are open, and no totals.
    Open,
}

/// What a request has done, up to a tick.
pub(crate) fn build(
    held: &Held,
    profiler: &'static Shared,
    scale: &Scale,
    until: u64,
    what: What,
) -> ProfileData {
    let slot = held.slot;
    let begun_at = slot.begun_at.load(Ordering::Relaxed);
    let answered_at = slot.answered_at.load(Ordering::Relaxed);
    let (spans, totals) = match what {
        What::All => read::calls(held, scale, until),
        What::About => Default::default(),
        What::Open => (read::open_calls(held, scale, until), Vec::new()),
    };
    let calls: u64 = totals.iter().map(|total| total.calls).sum();
    let about = slot.facts().map(|facts| {
        let flags = FlagsOf { slot, profiler }.profile(&facts);
        (
            facts.id(),
            facts.parent_id(),
            facts.data(),
            facts.notes.data(),
            flags,
        )
    });
    let (id, parent_id, facts, notes, flags) = about.unwrap_or_default();
    let facts = FactsData {
        status: slot.status(),
        bytes_out: slot.bytes_out(),
        ..facts
    };
    ProfileData {
        id: id.unwrap_or_else(|| made_up_id(slot, profiler)),
        parent_id,
        facts,
        state: slot.ended(),
        host: profiler.host.clone(),
        pid: profiler.pid(),
        build: profiler.options.build_id.clone(),
        started_at: scale.wall_at(begun_at),
        page_ns: scale.between(begun_at, until),
        app_ns: scale.between(
            begun_at,
            if answered_at == 0 {
                until
            } else {
                answered_at.min(until)
            },
        ),
        spans,
        totals,
        unlisted: slot.unlisted.load(Ordering::Relaxed),
        limit: slot.limit(),
        recorded: slot.was_recorded(),
        clock_suspect: scale.suspect_since(begun_at),
        own_cost_ns: clock::span_cost().saturating_mul(calls),
        notes,
        hooks: profiler.hooks(),
        calls_outside: profiler.calls_outside(),
        flags,
    }
}

/// The current thread is in a request until this is dropped.
#[derive(Debug)]
pub struct Entered<'a> {
    saved: Option<context::Context>,
    _request: PhantomData<&'a Request>,
    _not_send: PhantomData<*const ()>,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        if let Some(saved) = self.saved.take() {
            slot::leave(saved);
        }
    }
}

pin_project_lite::pin_project! {
    /// A future that is polled in a request. Made by [`Request::wrap`].
    #[must_use = "futures do nothing unless polled"]
    #[derive(Debug)]
    pub struct InRequest<F> {
        request: Request,
        scope: u32,
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for InRequest<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, waker: &mut Waker<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _entered = this.request.enter();
        this.future.poll(waker)
    }
}
