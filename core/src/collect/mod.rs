//! The collector: takes finished requests off the page's hands.
//!
//! A page that ends pushes its slot on a list, if anybody wants its request: one atomic exchange, and
//! nobody is woken, but once a turn where the list is half full. A thread of ours, started by the
//! first request that ends in this process, looks four times a second: it adds requests up
//! ([`series`]), keeps the slow and the failed ones ([`Keep`]), builds profiles for the sinks that
//! read them, hands reports to those that send them, and says once a minute and kind what went
//! wrong. What the list does not take is added up where it ended, so that no sum is ever lost. In a
//! child of a fork everything here is made anew.
#![cfg_attr(
    not(feature = "graphite"),
    allow(
        dead_code,
        unused_imports,
        reason = "what sinks are made of, without a sink"
    )
)]

pub mod series;
pub mod sink;
pub mod state;

mod aggregate;
mod api;
pub(crate) mod config;
mod events;
mod flushing;
mod gauges;
mod here;
mod kept;
mod metric_name;
mod metrics;
pub(crate) mod options;
mod outlets;
pub mod own;
mod report;
mod spill;
mod stuck;
mod tell;
mod work;

use crate::clock::{self, Scale};
use crate::flags::source::Looker;
use crate::fork::{self, Forever};
use crate::lane::process;
use crate::lane::slot::Held;
use crate::profile::State;
use crate::profiler::Shared;
use crate::stats::SinkStats;
pub use events::{Event, EventKind, events_since, last_deploy, record};
use here::{ENDED, Here, NO_THREAD, RUNNING};
pub use kept::{Keep, Kept, KeptFor};
pub use metric_name::MetricName;
use metrics::Metrics;
use options::CollectorOptions;
pub use report::LogEvent;
pub use sink::{Ended, Sink};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};
pub use tell::Told;
use work::Work;

/// How often the thread looks.
const INTERVAL: Duration = Duration::from_millis(250);

pub(crate) type SinkFactory = Box<dyn Fn() -> Box<dyn Sink> + Send + Sync>;
/// How to make a sink in a process, and which requests its kind wants.
pub(crate) struct SinkKind {
    pub(crate) make: SinkFactory,
    pub(crate) wants: fn(&Ended) -> bool,
    /// Whether it looks at a request's calls at all.
    pub(crate) reads_calls: bool,
}
impl SinkKind {
    fn wants(&self, ended: &Ended) -> bool {
        let wants = self.wants;
        catch_unwind(|| wants(ended)).unwrap_or(false)
    }
}

pub(crate) type Log = Arc<dyn Fn(&LogEvent) + Send + Sync>;

pub(crate) struct Collector {
    pub(crate) options: CollectorOptions,
    here: Forever<Here>,
    /// The process in which it was seen to that somebody looks at requests that hang.
    watched_in: AtomicU32,
}

pub(crate) struct Counts {
    pub(crate) queued: u64,
    pub(crate) dropped: u64,
    pub(crate) panics: u64,
    pub(crate) lost_metrics: u64,
    pub(crate) lost_events: u64,
    pub(crate) sinks: Vec<SinkStats>,
}

/// What will be read of a request that ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Wanted {
    /// Nothing.
    Nothing,
    /// How many calls there were and how long they took.
    Times,
    /// All of them, with their details.
    Details,
}

impl Collector {
    pub(crate) fn new(options: CollectorOptions) -> Self {
        Self {
            options,
            here: Forever::empty(),
            watched_in: AtomicU32::new(0),
        }
    }

    /// A request begins: should it hang, that is to be seen, even if it is the first of its process.
    #[inline(always)]
    pub(crate) fn watch(&'static self, shared: &'static Shared, generation: u32) {
        if self.watched_in.load(Ordering::Relaxed) != generation {
            self.watch_in(shared, generation);
        }
    }

    #[cold]
    #[inline(never)]
    fn watch_in(&'static self, shared: &'static Shared, generation: u32) {
        self.watched_in.store(generation, Ordering::Relaxed);
        if self.counts_requests() {
            self.wake_later(shared);
        }
    }

    fn sink_kinds(&self) -> &[SinkKind] {
        &self.options.sinks
    }

    fn counts_requests(&self) -> bool {
        self.options.metrics.is_wanted()
    }

    /// Whether finished requests are of no interest to anybody.
    fn takes_none(&self) -> bool {
        self.options.sinks.is_empty() && !self.counts_requests()
    }

    /// This process's part, if it was made.
    #[inline]
    fn existing(&self) -> Option<&'static Here> {
        self.here
            .get()
            .filter(|here| here.generation == fork::generation())
    }

    /// This process's part, made at first use.
    #[inline]
    fn here(&self, shared: &'static Shared) -> Option<&'static Here> {
        self.existing().or_else(|| self.make(shared))
    }

    #[cold]
    #[inline(never)]
    fn make(&self, shared: &'static Shared) -> Option<&'static Here> {
        let generation = process::process()?.generation;
        let before = self.here.get();
        if let Some(here) = before
            && here.generation == generation
        {
            return Some(here);
        }
        let sinks = catch_unwind(AssertUnwindSafe(|| {
            self.options
                .sinks
                .iter()
                .map(|kind| (kind.make)())
                .collect()
        }));
        let panics = u64::from(sinks.is_err());
        let metrics = self
            .counts_requests()
            .then(|| Metrics::new(&self.options.metrics, shared, self.options.threadless));
        let fates = metrics.as_ref().map(Metrics::fates).unwrap_or_default();
        let work = Work::new(sinks.unwrap_or_default(), metrics);
        let here = Here::new(generation, work, fates, panics);
        let new: &'static Here = Box::leak(Box::new(here));
        // Of two threads that come here at once, the first one's stays.
        Some(self.here.replace_if(before, new).err().unwrap_or(new))
    }

    /// A request has ended.
    pub(crate) fn offer(&'static self, shared: &'static Shared, open: &Held, how: State) {
        if self.takes_none() {
            if self.options.log.is_some() || self.options.looks {
                self.wake_later(shared);
            }
            return;
        }
        // The keep-decision: what nobody wants is put away at once, by dropping the hold.
        if !self.counts_requests() && !self.any_wants(&ended(open, how)) {
            return;
        }
        let Some(here) = self.here(shared) else {
            return;
        };
        if here.enqueue(open) {
            self.wake_later(shared);
            return;
        }
        here.dropped.fetch_add(1, Ordering::Relaxed);
        if self.counts_requests() && !here.stopped.load(Ordering::Relaxed) {
            here.spill.add(open, &ended(open, how));
        }
    }

    fn any_wants(&self, ended: &Ended) -> bool {
        self.options.sinks.iter().any(|kind| kind.wants(ended))
    }

    /// What would be read of a request, were it to end now.
    pub(crate) fn wanted(
        &self,
        shared: &'static Shared,
        open: &Held,
        how: State,
        status: Option<u16>,
    ) -> Wanted {
        if self.takes_none() {
            return Wanted::Nothing;
        }
        let begun_at = open.slot.begun_at.load(Ordering::Relaxed);
        let ended = Ended {
            status: status.or(open.slot.status()),
            page_ns: Scale::rough(begun_at, clock::ticks()),
            ..ended(open, how)
        };
        let reads = |kind: &SinkKind| kind.reads_calls && kind.wants(&ended);
        if self.options.sinks.iter().any(reads) || self.would_keep(shared, open, &ended) {
            return Wanted::Details;
        }
        if self.counts_requests() {
            Wanted::Times
        } else {
            Wanted::Nothing
        }
    }

    fn would_keep(&self, shared: &'static Shared, open: &Held, ended: &Ended) -> bool {
        if self.options.metrics.keep().is_none() {
            return false;
        }
        let failed = kept::has_failed(ended.state, ended.status, ended.error);
        let is_slow = |here: &Here| {
            let facts = open.slot.facts();
            let threshold = |route: &str| here.thresholds.of(ended.kind, route);
            facts.is_none_or(|facts| ended.page_ns >= threshold(facts.route_label()))
        };
        failed || self.here(shared).is_none_or(is_slow)
    }

    /// Makes sure that somebody will look, without waking anybody.
    #[inline]
    pub(crate) fn wake_later(&'static self, shared: &'static Shared) {
        let options = &self.options;
        let idle = self.takes_none() && options.log.is_none() && !options.looks;
        if options.threadless || idle {
            return;
        }
        let Some(here) = self.here(shared) else {
            return;
        };
        if here.thread.load(Ordering::Relaxed) == NO_THREAD {
            self.start(shared, here);
        }
    }

    #[cold]
    fn start(&'static self, shared: &'static Shared, here: &'static Here) {
        let started = &here.thread;
        if here.stopped.load(Ordering::Relaxed)
            || started
                .compare_exchange(NO_THREAD, RUNNING, Ordering::AcqRel, Ordering::Acquire)
                .is_err()
        {
            return;
        }
        // Before the thread is there: it may say otherwise as soon as it runs.
        if let Some(source) = &shared.source {
            source.set_thread(here.generation);
        }
        if !fork::spawn_quietly(move || self.run(shared, here)) {
            if let Some(source) = &shared.source {
                source.set_thread(0);
            }
            // The next finished request tries again.
            here.thread.store(NO_THREAD, Ordering::Release);
        }
    }

    /// The thread.
    fn run(&'static self, shared: &'static Shared, here: &'static Here) {
        let _ = here.handle.set(std::thread::current());
        while !here.stopped.load(Ordering::Acquire) {
            self.tick(shared, here);
            if here.flushing.pending().is_none() {
                here.wait(INTERVAL);
            }
        }
        self.tick(shared, here);
        if let Some(source) = &shared.source {
            source.set_thread(0);
        }
        if let Some(mut work) = here.work.try_lock() {
            work.end();
        }
        here.thread.store(ENDED, Ordering::Release);
    }

    /// One look: at the flags' files, then drains, counts, sends, sweeps, reports.
    fn tick(&self, shared: &'static Shared, here: &'static Here) {
        shared.look_at_flags(Looker::Thread);
        let Some(mut work) = here.work.try_lock() else {
            return;
        };
        if let Some(source) = &shared.source {
            source.set_busy();
        }
        let wanted = here.flushing.pending();
        let is_new = wanted.is_some_and(|wanted| work.begin_flush(wanted));
        work.drain(self, shared, here, None);
        work.turn(self, shared, here, is_new);
        if let Some(wanted) = wanted {
            let all = work.flush(here, wanted.deadline());
            here.flushing.tried(wanted, all);
        }
        self.sweep_and_say(shared, here, &mut work);
        if let Some(source) = &shared.source {
            source.set_thread(here.generation);
        }
    }

    fn sweep_and_say(&self, shared: &'static Shared, here: &Here, work: &mut Work) {
        if let Some(process) = process::existing() {
            shared.sweep(process);
        }
        if self.options.log.is_some() || self.options.metrics.wants_notices() {
            for event in work.report.due(shared) {
                self.say(here, &event);
            }
        }
    }

    pub(crate) fn count_panic(&self, shared: &'static Shared) {
        if let Some(here) = self.here(shared) {
            here.panics.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn say(&self, here: &Here, event: &LogEvent) {
        if self.options.metrics.wants_notices() {
            here.put_notice(event);
        }
        let Some(log) = &self.options.log else { return };
        if catch_unwind(AssertUnwindSafe(|| log(event))).is_err() {
            here.panics.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Says something now: at start, before any thread.
    pub(crate) fn log(&self, shared: &'static Shared, event: LogEvent) {
        if (self.options.log.is_some() || self.options.metrics.wants_notices())
            && let Some(here) = self.here(shared)
        {
            self.say(here, &event);
        }
    }

    pub(crate) fn flush(&'static self, shared: &'static Shared, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        if self.takes_none() && self.options.log.is_none() {
            return true;
        }
        let Some(here) = self.here(shared) else {
            return false;
        };
        if here.thread.load(Ordering::Acquire) == RUNNING {
            return here.wait_for_thread(deadline);
        }
        shared.look_at_flags(Looker::Thread);
        let Some(mut work) = here.lock_work(deadline) else {
            return false;
        };
        let drained = work.drain(self, shared, here, Some(deadline));
        // Without threads, flushes come with each request: what is not due yet waits then.
        work.turn(self, shared, here, !self.options.threadless);
        let flushed = work.flush(here, deadline);
        self.sweep_and_say(shared, here, &mut work);
        drained && flushed
    }

    pub(crate) fn shutdown(&'static self, shared: &'static Shared, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        let flushed = self.flush(shared, within);
        let Some(here) = self.here(shared) else {
            return false;
        };
        here.stopped.store(true, Ordering::Release);
        here.wake();
        if here.thread.load(Ordering::Acquire) == NO_THREAD
            && let Some(mut work) = here.work.try_lock()
        {
            work.turn(self, shared, here, true);
            work.end();
        }
        while here.thread.load(Ordering::Acquire) == RUNNING {
            if Instant::now() > deadline {
                // A sink hangs: its thread is left behind, and ends with the process.
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        flushed
    }

    pub(crate) fn counts(&self) -> Counts {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let here = self.existing();
        let of = |counter: fn(&Here) -> &AtomicU64| here.map_or(0, |here| count(counter(here)));
        Counts {
            queued: of(|here| &here.queued),
            dropped: of(|here| &here.dropped),
            panics: of(|here| &here.panics),
            lost_metrics: here.and_then(Here::existing_own).map_or(0, own::Own::lost),
            lost_events: of(|here| &here.events_lost),
            sinks: here.map_or_else(Vec::new, |here| {
                here.fates
                    .iter()
                    .map(|(name, fate)| fate.stats(name))
                    .collect()
            }),
        }
    }
}

/// What is known of a request that ends.
fn ended(open: &Held, how: State) -> Ended {
    let slot = open.slot;
    let begun_at = slot.begun_at.load(Ordering::Relaxed);
    let (kind, error) = slot
        .facts()
        .map_or_else(Default::default, |facts| facts.ending());
    Ended {
        kind,
        state: how,
        status: slot.status(),
        error,
        page_ns: Scale::rough(begun_at, slot.ended_at.load(Ordering::Relaxed)),
    }
}
