//! What belongs to one process: the queue of finished requests, and who works on it. Never shared
//! with a child.

use super::LogEvent;
use super::events::Event;
use super::flushing::Flushing;
use super::kept::Thresholds;
use super::own::Own;
use super::sink::outbox::Fate;
use super::spill::Spill;
use super::work::Work;
use crate::fork::Forever;
use crate::lane::slot::{Held, Slot};
use crate::lane::trylock::{Guard, TryLock};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// More finished requests than this do not wait: what they come to is added up where they ended, and
/// nothing else is kept of them.
pub(super) const MAX_QUEUED: u64 = 8_192;

/// Events that wait for the collector.
const MAX_EVENTS: usize = 1_000;
/// What was said to the operator, and waits to be sent to sinks; what is too much was said all the
/// same.
const MAX_NOTICES: usize = 64;

pub(super) const NO_THREAD: u8 = 0;
pub(super) const RUNNING: u8 = 1;
pub(super) const ENDED: u8 = 2;

pub(super) struct Here {
    pub(super) generation: u32,
    /// Finished requests, the last one first.
    queue: AtomicPtr<Slot>,
    pub(super) queued: AtomicU64,
    /// How many were pushed and drained so far, for flush.
    pub(super) pushed: AtomicU64,
    pub(super) drained: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) panics: AtomicU64,
    pub(super) thread: AtomicU8,
    /// To be woken by.
    pub(super) handle: OnceLock<Thread>,
    pub(super) stopped: AtomicBool,
    /// Scrapes that are being worked on.
    #[cfg(feature = "prometheus")]
    pub(super) scrapes: std::sync::atomic::AtomicU32,
    /// The thread was told not to wait for its next turn.
    hurry: AtomicBool,
    pub(super) flushing: Flushing,
    pub(super) spill: Spill,
    pub(super) thresholds: Thresholds,
    own: Forever<Own>,
    events: TryLock<Vec<Event>>,
    pub(super) events_lost: AtomicU64,
    notices: TryLock<Vec<LogEvent>>,
    /// What became of what the metric sinks were given.
    pub(super) fates: Vec<(&'static str, Arc<Fate>)>,
    pub(super) work: parking_lot::Mutex<Work>,
}

impl Here {
    pub(super) fn new(
        generation: u32,
        work: Work,
        fates: Vec<(&'static str, Arc<Fate>)>,
        panics: u64,
    ) -> Self {
        Self {
            generation,
            queue: AtomicPtr::default(),
            queued: AtomicU64::new(0),
            pushed: AtomicU64::new(0),
            drained: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            panics: AtomicU64::new(panics),
            thread: AtomicU8::new(NO_THREAD),
            handle: OnceLock::new(),
            stopped: AtomicBool::new(false),
            #[cfg(feature = "prometheus")]
            scrapes: std::sync::atomic::AtomicU32::new(0),
            hurry: AtomicBool::new(false),
            flushing: Flushing::new(),
            spill: Spill::new(),
            thresholds: Thresholds::new(),
            own: Forever::empty(),
            events: TryLock::new(Vec::new()),
            events_lost: AtomicU64::new(0),
            notices: TryLock::new(Vec::new()),
            fates,
            work: parking_lot::Mutex::new(work),
        }
    }

    /// What the application counts, made at first use.
    #[inline]
    pub(super) fn own(&self) -> &'static Own {
        match self.own.get() {
            Some(own) => own,
            None => self.make_own(),
        }
    }

    #[cold]
    fn make_own(&self) -> &'static Own {
        let new: &'static Own = Box::leak(Box::new(Own::new()));
        self.own.set(new).err().unwrap_or(new)
    }

    pub(super) fn existing_own(&self) -> Option<&'static Own> {
        self.own.get()
    }

    /// Takes an event, for the collector.
    pub(super) fn put_event(&self, event: Event) {
        match lock(&self.events) {
            Some(mut events) if events.len() < MAX_EVENTS => events.push(event),
            _ => drop(self.events_lost.fetch_add(1, Ordering::Relaxed)),
        }
    }

    pub(super) fn take_events(&self) -> Vec<Event> {
        take(&self.events)
    }

    /// Takes what was said to the operator, for those sinks that are told it.
    pub(super) fn put_notice(&self, notice: &LogEvent) {
        if let Some(mut notices) = lock(&self.notices)
            && notices.len() < MAX_NOTICES
        {
            notices.push(notice.clone());
        }
    }

    pub(super) fn take_notices(&self) -> Vec<LogEvent> {
        take(&self.notices)
    }

    /// Takes a finished request. `false` where the queue is full, or nobody works on it any more.
    #[inline]
    pub(super) fn enqueue(&self, held: &Held) -> bool {
        if self.stopped.load(Ordering::Relaxed) {
            return false;
        }
        let before = self.queued.fetch_add(1, Ordering::Relaxed);
        if before >= MAX_QUEUED {
            self.queued.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        self.push(held.clone());
        if before >= MAX_QUEUED / 2 {
            // Once a turn: the others see that it was done.
            self.wake();
        }
        true
    }

    /// Treiber's stack: many push, and the one drainer takes all at once, so that nothing is ever
    /// popped that could have come back.
    fn push(&self, held: Held) {
        self.push_back(held);
        self.pushed.fetch_add(1, Ordering::Release);
    }

    pub(super) fn push_back(&self, held: Held) {
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
    pub(super) fn take_all(&self) -> Vec<Held> {
        let mut finished = Vec::new();
        let mut next = self.queue.swap(std::ptr::null_mut(), Ordering::AcqRel);
        while let Some(slot) = Slot::at(next) {
            next = slot.next_finished.load(Ordering::Relaxed);
            finished.push(Held::adopt(slot, self.generation));
        }
        finished.reverse();
        finished
    }

    /// The right to work, for somebody who is not the thread. Asked for again and again instead of
    /// waited for: in a child of a fork, threads that wait for such a lock may never be woken.
    pub(super) fn lock_work(&self, deadline: Instant) -> Option<parking_lot::MutexGuard<'_, Work>> {
        loop {
            if let Some(work) = self.work.try_lock() {
                return Some(work);
            }
            if Instant::now() >= deadline {
                return None;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Has the thread look now. Wakes it once, until it has looked.
    pub(super) fn wake(&self) {
        if !self.hurry.load(Ordering::Relaxed)
            && !self.hurry.swap(true, Ordering::AcqRel)
            && let Some(thread) = self.handle.get()
        {
            thread.unpark();
        }
    }

    /// The thread waits for its next turn.
    pub(super) fn wait(&self, turn: Duration) {
        let until = Instant::now() + turn;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let stopped = self.stopped.load(Ordering::Acquire);
            if left.is_zero() || stopped || self.hurry.swap(false, Ordering::AcqRel) {
                return;
            }
            std::thread::park_timeout(left);
        }
    }

    /// `false` when the time is over before everything that was finished until now has been sent.
    pub(super) fn wait_for_thread(&self, deadline: Instant) -> bool {
        let finished = self.pushed.load(Ordering::Acquire);
        let wanted = self.flushing.want(deadline);
        loop {
            if self.drained.load(Ordering::Acquire) >= finished
                && let Some(all) = self.flushing.is_done(wanted)
            {
                return all;
            }
            if Instant::now() > deadline || self.thread.load(Ordering::Acquire) != RUNNING {
                return false;
            }
            self.wake();
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn take<T>(list: &TryLock<Vec<T>>) -> Vec<T> {
    lock(list).map_or_else(Vec::new, |mut list| std::mem::take(&mut *list))
}

/// Held by others only while they move a thing in or out.
fn lock<T>(list: &TryLock<Vec<T>>) -> Option<Guard<'_, Vec<T>>> {
    (0..1_000).find_map(|attempt| {
        if attempt > 10 {
            std::thread::yield_now();
        }
        list.try_lock()
    })
}
