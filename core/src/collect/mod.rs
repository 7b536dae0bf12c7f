//! The collector: takes finished requests off the page's hands.
//!
//! A page that ends decides whether anybody wants its profile; if so it pushes its slot on a list,
//! one atomic exchange, and wakes nobody. A thread of ours, started by the first request that ends
//! in this process, looks four times a second, builds what the sinks read, and reports once a minute
//! and kind what went wrong. In a child of a fork everything here is made anew.

pub mod sink;

mod report;

use crate::clock::{self, Scale};
use crate::flags::source::Looker;
use crate::fork::{self, Forever};
use crate::lane::process;
use crate::lane::slot::{Held, Slot};
use crate::profile::State;
use crate::profiler::Shared;
pub use report::LogEvent;
pub use sink::{Ended, Sink};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How often the thread looks.
const INTERVAL: Duration = Duration::from_millis(250);
/// More finished requests than this do not wait; what comes then is dropped and counted.
const MAX_QUEUED: u64 = 4_096;
/// What the thread gives all sinks together to send what they kept back, where somebody waits for
/// it.
const SEND_WITHIN: Duration = Duration::from_secs(1);

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
    sinks: Vec<SinkKind>,
    log: Option<Log>,
    threadless: bool,
    /// The thread also looks at the flags' files.
    looks: bool,
    here: Forever<Here>,
}

/// What belongs to one process: never shared with a child.
struct Here {
    generation: u32,
    /// Finished requests, the last one first.
    queue: AtomicPtr<Slot>,
    queued: AtomicU64,
    /// How many were pushed and drained so far, for flush.
    pushed: AtomicU64,
    drained: AtomicU64,
    dropped: AtomicU64,
    panics: AtomicU64,
    thread: AtomicU8,
    stopped: AtomicBool,
    hurry: AtomicBool,
    /// How many times somebody wanted everything sent, and how many of these are done.
    flushes_wanted: AtomicU64,
    flushes_done: AtomicU64,
    /// Whether all sinks had sent everything the last time.
    flushed_all: AtomicBool,
    work: parking_lot::Mutex<Work>,
}

struct Work {
    sinks: Vec<Box<dyn Sink>>,
    report: report::Report,
}

const NO_THREAD: u8 = 0;
const RUNNING: u8 = 1;
const ENDED: u8 = 2;

pub(crate) struct Counts {
    pub(crate) queued: u64,
    pub(crate) dropped: u64,
    pub(crate) panics: u64,
}

impl Collector {
    pub(crate) fn new(
        sinks: Vec<SinkKind>,
        log: Option<Log>,
        threadless: bool,
        looks: bool,
    ) -> Self {
        Self {
            sinks,
            log,
            threadless,
            looks,
            here: Forever::empty(),
        }
    }

    /// This process's part, made at first use.
    fn here(&self) -> Option<&'static Here> {
        let generation = process::process()?.generation;
        if let Some(here) = self.here.get()
            && here.generation == generation
        {
            return Some(here);
        }
        // Two threads that come here at once make two, and the later one stays: what the first
        // request of a process may lose is its place in a queue.
        let sinks = catch_unwind(AssertUnwindSafe(|| {
            self.sinks.iter().map(|kind| (kind.make)()).collect()
        }));
        let here: &'static Here = Box::leak(Box::new(Here {
            generation,
            queue: AtomicPtr::default(),
            queued: AtomicU64::new(0),
            pushed: AtomicU64::new(0),
            drained: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            panics: AtomicU64::new(u64::from(sinks.is_err())),
            thread: AtomicU8::new(NO_THREAD),
            stopped: AtomicBool::new(false),
            hurry: AtomicBool::new(false),
            flushes_wanted: AtomicU64::new(0),
            flushes_done: AtomicU64::new(0),
            flushed_all: AtomicBool::new(true),
            work: parking_lot::Mutex::new(Work {
                sinks: sinks.unwrap_or_default(),
                report: report::Report::default(),
            }),
        }));
        self.here.replace(here);
        Some(here)
    }

    /// A request has ended.
    pub(crate) fn offer(&'static self, shared: &'static Shared, open: &Held, how: State) {
        if self.sinks.is_empty() {
            if self.log.is_some() || self.looks {
                self.wake_later(shared);
            }
            return;
        }
        // The keep-decision: what nobody wants is put away at once, by dropping the hold.
        if !self.any_wants(&ended(open, how)) {
            return;
        }
        let Some(here) = self.here() else { return };
        if here.stopped.load(Ordering::Relaxed)
            || here.queued.fetch_add(1, Ordering::Relaxed) >= MAX_QUEUED
        {
            if !here.stopped.load(Ordering::Relaxed) {
                here.queued.fetch_sub(1, Ordering::Relaxed);
            }
            here.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        here.push(open.clone());
        self.wake_later(shared);
    }

    fn any_wants(&self, ended: &Ended) -> bool {
        self.sinks.iter().any(|kind| kind.wants(ended))
    }

    /// Whether a request's calls would be read, were it to end now.
    pub(crate) fn is_wanted(&self, open: &Held, how: State, status: Option<u16>) -> bool {
        if self.sinks.is_empty() {
            return false;
        }
        let begun_at = open.slot.begun_at.load(Ordering::Relaxed);
        let ended = Ended {
            status: status.or(open.slot.status()),
            page_ns: Scale::rough(begun_at, clock::ticks()),
            ..ended(open, how)
        };
        let reads = |kind: &SinkKind| kind.reads_calls && kind.wants(&ended);
        self.sinks.iter().any(reads)
    }

    /// Makes sure that somebody will look, without waking anybody.
    #[inline]
    pub(crate) fn wake_later(&'static self, shared: &'static Shared) {
        if self.threadless || (self.sinks.is_empty() && self.log.is_none() && !self.looks) {
            return;
        }
        let Some(here) = self.here() else { return };
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
        let spawned = fork::spawn_quietly(move || {
            while !here.stopped.load(Ordering::Acquire) {
                self.tick(shared, here);
                let until = Instant::now() + INTERVAL;
                while Instant::now() < until
                    && !here.stopped.load(Ordering::Acquire)
                    && !here.hurry.swap(false, Ordering::AcqRel)
                {
                    std::thread::sleep(INTERVAL / 10);
                }
            }
            self.tick(shared, here);
            if let Some(source) = &shared.source {
                source.set_thread(0);
            }
            if let Some(mut work) = here.work.try_lock() {
                // Ends what the sinks have of their own.
                work.sinks.clear();
            }
            here.thread.store(ENDED, Ordering::Release);
        });
        if !spawned {
            if let Some(source) = &shared.source {
                source.set_thread(0);
            }
            // The next finished request tries again.
            here.thread.store(NO_THREAD, Ordering::Release);
        }
    }

    /// One look: at the flags' files, then drains, sweeps, reports.
    fn tick(&self, shared: &'static Shared, here: &'static Here) {
        shared.look_at_flags(Looker::Thread);
        let Some(mut work) = here.work.try_lock() else {
            return;
        };
        if let Some(source) = &shared.source {
            source.set_busy();
        }
        let wanted = here.flushes_wanted.load(Ordering::Acquire);
        self.drain(shared, here, &mut work, None);
        if wanted != here.flushes_done.load(Ordering::Relaxed) {
            let all = here.flush_sinks(&mut work, Instant::now() + SEND_WITHIN);
            here.flushed_all.store(all, Ordering::Relaxed);
            here.flushes_done.store(wanted, Ordering::Release);
        }
        if let Some(process) = process::existing() {
            shared.sweep(process);
        }
        if let Some(log) = &self.log {
            for event in work.report.due(shared) {
                self.say(log, here, &event);
            }
        }
        if let Some(source) = &shared.source {
            source.set_thread(here.generation);
        }
    }

    pub(crate) fn count_panic(&self) {
        if let Some(here) = self.here() {
            here.panics.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn say(&self, log: &Log, here: &Here, event: &LogEvent) {
        if catch_unwind(AssertUnwindSafe(|| log(event))).is_err() {
            here.panics.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn drain(
        &self,
        shared: &'static Shared,
        here: &'static Here,
        work: &mut Work,
        deadline: Option<Instant>,
    ) -> bool {
        let finished = here.take_all();
        let mut left = finished.into_iter();
        for held in left.by_ref() {
            let profile = shared.profile(held);
            for sink in &mut work.sinks {
                if catch_unwind(AssertUnwindSafe(|| sink.take(&profile))).is_err() {
                    here.panics.fetch_add(1, Ordering::Relaxed);
                }
            }
            here.queued.fetch_sub(1, Ordering::Relaxed);
            here.drained.fetch_add(1, Ordering::Release);
            if deadline.is_some_and(|deadline| Instant::now() > deadline) {
                break;
            }
        }
        // Past the deadline: the rest goes back, and keeps its order.
        let rest: Vec<Held> = left.collect();
        let all = rest.is_empty();
        for held in rest {
            here.push_back(held);
        }
        all
    }

    /// Says something now: at start, before any thread.
    pub(crate) fn log(&self, event: LogEvent) {
        if let (Some(log), Some(here)) = (&self.log, self.here()) {
            self.say(log, here, &event);
        }
    }

    pub(crate) fn flush(&'static self, shared: &'static Shared, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        if self.sinks.is_empty() && self.log.is_none() {
            return true;
        }
        let Some(here) = self.here() else {
            return false;
        };
        if here.thread.load(Ordering::Acquire) == RUNNING {
            return here.wait_for_thread(deadline);
        }
        shared.look_at_flags(Looker::Thread);
        let Some(mut work) = here.work.try_lock_until(deadline) else {
            return false;
        };
        if let Some(process) = process::existing() {
            shared.sweep(process);
        }
        let drained = self.drain(shared, here, &mut work, Some(deadline));
        let flushed = here.flush_sinks(&mut work, deadline);
        if let Some(log) = &self.log {
            for event in work.report.due(shared) {
                self.say(log, here, &event);
            }
        }
        drained && flushed
    }

    pub(crate) fn shutdown(&'static self, shared: &'static Shared, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        let flushed = self.flush(shared, within);
        let Some(here) = self.here() else {
            return false;
        };
        here.stopped.store(true, Ordering::Release);
        if here.thread.load(Ordering::Acquire) == NO_THREAD
            && let Some(mut work) = here.work.try_lock()
        {
            work.sinks.clear();
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
        let here = self
            .here
            .get()
            .filter(|here| here.generation == fork::generation());
        here.map_or(
            Counts {
                queued: 0,
                dropped: 0,
                panics: 0,
            },
            |here| Counts {
                queued: count(&here.queued),
                dropped: count(&here.dropped),
                panics: count(&here.panics),
            },
        )
    }
}

impl Here {
    /// Treiber's stack: many push, and the one drainer takes all at once, so that nothing is ever
    /// popped that could have come back.
    fn push(&self, held: Held) {
        self.push_back(held);
        self.pushed.fetch_add(1, Ordering::Release);
    }

    fn push_back(&self, held: Held) {
        let slot = held.into_slot();
        let pointer = std::ptr::from_ref(slot).cast_mut();
        let _ = self
            .queue
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |next| {
                slot.next_finished.store(next, Ordering::Relaxed);
                Some(pointer)
            });
    }

    /// All that wait, in the order in which they ended.
    fn take_all(&self) -> Vec<Held> {
        let mut finished = Vec::new();
        let mut next = self.queue.swap(std::ptr::null_mut(), Ordering::AcqRel);
        while let Some(slot) = Slot::at(next) {
            next = slot.next_finished.load(Ordering::Relaxed);
            finished.push(Held::adopt(slot, self.generation));
        }
        finished.reverse();
        finished
    }

    /// Lets the sinks send what they kept back.
    fn flush_sinks(&self, work: &mut Work, deadline: Instant) -> bool {
        let mut flushed = true;
        for sink in &mut work.sinks {
            let left = deadline.saturating_duration_since(Instant::now());
            let sent = catch_unwind(AssertUnwindSafe(|| sink.flush(left)));
            if sent.is_err() {
                self.panics.fetch_add(1, Ordering::Relaxed);
            }
            flushed &= sent.unwrap_or(false);
        }
        flushed
    }

    fn wait_for_thread(&self, deadline: Instant) -> bool {
        let finished = self.pushed.load(Ordering::Acquire);
        let wanted = self.flushes_wanted.fetch_add(1, Ordering::AcqRel) + 1;
        loop {
            if self.drained.load(Ordering::Acquire) >= finished
                && self.flushes_done.load(Ordering::Acquire) >= wanted
            {
                return self.flushed_all.load(Ordering::Relaxed);
            }
            if Instant::now() > deadline || self.thread.load(Ordering::Acquire) != RUNNING {
                return false;
            }
            self.hurry.store(true, Ordering::Release);
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

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
