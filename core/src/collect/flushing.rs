//! Who waits until everything is sent, and until when: the thread goes on with all else meanwhile.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The thread tries for so long; then it looks at what else there is to do.
const TURN: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct Flushing {
    since: Instant,
    /// How many times somebody wanted everything sent, and how many of these are done with.
    wanted: AtomicU64,
    done: AtomicU64,
    /// Until when the most patient of them waits, in nanoseconds.
    until: AtomicU64,
    /// Whether everything was sent the last time.
    all: AtomicBool,
}

/// What the thread is to do for those who wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    number: u64,
    until: Instant,
}

impl Flushing {
    pub(super) fn new() -> Self {
        Self {
            since: Instant::now(),
            wanted: AtomicU64::new(0),
            done: AtomicU64::new(0),
            until: AtomicU64::new(0),
            all: AtomicBool::new(true),
        }
    }

    /// Somebody wants it, and waits so long.
    pub(super) fn want(&self, deadline: Instant) -> u64 {
        let until = deadline.saturating_duration_since(self.since).as_nanos();
        let until = u64::try_from(until).unwrap_or(u64::MAX);
        self.until.fetch_max(until, Ordering::AcqRel);
        self.wanted.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Whether that is done with, and if so whether everything was sent.
    pub(super) fn is_done(&self, number: u64) -> Option<bool> {
        let done = self.done.load(Ordering::Acquire) >= number;
        done.then(|| self.all.load(Ordering::Relaxed))
    }

    /// What the thread is to do.
    pub(super) fn pending(&self) -> Option<Wanted> {
        let number = self.wanted.load(Ordering::Acquire);
        let until = Duration::from_nanos(self.until.load(Ordering::Acquire));
        let is_new = number != self.done.load(Ordering::Relaxed);
        is_new.then(|| Wanted {
            number,
            until: self.since.checked_add(until).unwrap_or(self.since),
        })
    }

    /// The thread has tried: it goes on trying while somebody waits.
    pub(super) fn tried(&self, wanted: Wanted, all: bool) {
        if all || Instant::now() >= wanted.until {
            self.all.store(all, Ordering::Relaxed);
            self.done.store(wanted.number, Ordering::Release);
        }
    }
}

impl Wanted {
    /// Another one where more have come.
    pub(super) fn number(self) -> u64 {
        self.number
    }

    /// Until when the thread tries this time.
    pub(super) fn deadline(self) -> Instant {
        self.until.min(Instant::now() + TURN)
    }
}
