//! The three words that threads agree through, alone in a file so that a model checker can run
//! every interleaving of them (`RUSTFLAGS="--cfg loom" cargo test --release --test words`).

#[cfg(not(loom))]
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

#[cfg(loom)]
use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Who holds a lane: a generation and a lock bit.
///
/// Taking it checks the generation and locks in one step, so that a stale handle can never lock a
/// lane that already records another request.
#[derive(Debug)]
pub(crate) struct LockWord(AtomicU64);

const LOCKED: u64 = 1;

impl LockWord {
    #[cfg(not(loom))]
    pub(crate) const fn new(generation: u32) -> Self {
        Self(AtomicU64::new((generation as u64) << 32))
    }

    #[cfg(loom)]
    pub(crate) fn new(generation: u32) -> Self {
        Self(AtomicU64::new(u64::from(generation) << 32))
    }

    /// Locks, if free and of this generation.
    #[inline(always)]
    pub(crate) fn try_lock(&self, generation: u32) -> bool {
        let free = u64::from(generation) << 32;
        self.0
            .compare_exchange(free, free | LOCKED, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    /// Unlocks. Only the holder may.
    #[inline(always)]
    pub(crate) fn unlock(&self, generation: u32) {
        self.0.store(u64::from(generation) << 32, Ordering::Release);
    }

    /// Ends this generation, if nobody holds the lane: from here on only the next one can lock.
    #[inline]
    pub(crate) fn try_advance(&self, from: u32, to: u32) -> bool {
        self.0
            .compare_exchange(
                u64::from(from) << 32,
                u64::from(to) << 32,
                Ordering::AcqRel,
                Ordering::Relaxed,
            )
            .is_ok()
    }

    /// Whether the lane is of this generation, held or not.
    pub(crate) fn is_of(&self, generation: u32) -> bool {
        (self.0.load(Ordering::Acquire) >> 32) as u32 == generation
    }
}

/// The end of a record: while open, a mark and the generation that may end it; then the outcome
/// and the tick. It changes from open to ended exactly once.
#[derive(Debug)]
pub(crate) struct EndWord(AtomicU64);

const OPEN: u64 = 1 << 63;
const OUTCOME_SHIFT: u32 = 61;
const TICKS: u64 = (1 << OUTCOME_SHIFT) - 1;

/// What an [`EndWord`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Open,
    /// Outcome 0 … 3 and tick.
    Ended(u8, u64),
}

impl EndWord {
    /// The word of an open record of this generation.
    #[inline(always)]
    pub(crate) const fn open(generation: u32) -> u64 {
        OPEN | generation as u64
    }

    #[cfg(loom)]
    #[allow(
        dead_code,
        reason = "only the models make one; records are zeroed memory"
    )]
    pub(crate) fn new(generation: u32) -> Self {
        Self(AtomicU64::new(Self::open(generation)))
    }

    /// The word of a record that ended.
    #[inline(always)]
    pub(crate) const fn ended(outcome: u8, tick: u64) -> u64 {
        ((outcome as u64 & 3) << OUTCOME_SHIFT) | (tick & TICKS)
    }

    /// Opens, or ends what was added after the fact: the record is not published yet, so nobody
    /// else looks.
    #[inline(always)]
    pub(crate) fn set(&self, word: u64) {
        self.0.store(word, Ordering::Relaxed);
    }

    /// Ends, without a check: for the one owner of a span in a request that it keeps alive.
    #[inline(always)]
    pub(crate) fn end_owned(&self, outcome: u8, tick: u64) {
        self.0.store(Self::ended(outcome, tick), Ordering::Release);
    }

    /// Ends, if still open and of this generation.
    #[inline(always)]
    pub(crate) fn try_end(&self, generation: u32, outcome: u8, tick: u64) -> bool {
        self.0
            .compare_exchange(
                Self::open(generation),
                Self::ended(outcome, tick),
                Ordering::AcqRel,
                Ordering::Relaxed,
            )
            .is_ok()
    }

    #[inline(always)]
    pub(crate) fn is_open(&self, generation: u32) -> bool {
        self.0.load(Ordering::Acquire) == Self::open(generation)
    }

    pub(crate) fn load(&self) -> End {
        let word = self.0.load(Ordering::Acquire);
        if word & OPEN != 0 {
            End::Open
        } else {
            End::Ended((word >> OUTCOME_SHIFT) as u8 & 3, word & TICKS)
        }
    }
}

/// How many hold a request: it may be used again only when nobody does, and whoever looks at it
/// from outside must get hold of it first.
#[derive(Debug)]
pub(crate) struct Holders(AtomicU32);

/// Set while a request is between two lives.
const IDLE: u32 = 1 << 31;

impl Holders {
    #[cfg(not(loom))]
    pub(crate) const fn idle() -> Self {
        Self(AtomicU32::new(IDLE))
    }

    #[cfg(loom)]
    pub(crate) fn idle() -> Self {
        Self(AtomicU32::new(IDLE))
    }

    /// Begins a life with so many holders. Only whoever took the idle request may.
    #[inline]
    pub(crate) fn begin(&self, holders: u32) {
        self.0.store(holders, Ordering::Release);
    }

    /// One more, by somebody who already holds it.
    #[inline]
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// One more, by somebody who does not: fails when nobody does.
    #[inline]
    pub(crate) fn try_hold(&self) -> bool {
        let mut now = self.0.load(Ordering::Relaxed);
        loop {
            if now == 0 || now & IDLE != 0 {
                return false;
            }
            match self
                .0
                .compare_exchange_weak(now, now + 1, Ordering::Acquire, Ordering::Relaxed)
            {
                Ok(_) => return true,
                Err(seen) => now = seen,
            }
        }
    }

    /// One less. Gives how many there were: 1 is the last, who must put the request away.
    #[inline]
    #[must_use]
    pub(crate) fn release(&self) -> u32 {
        self.0.fetch_sub(1, Ordering::AcqRel)
    }

    /// Marks the request idle, after the last holder left.
    #[inline]
    pub(crate) fn set_idle(&self) {
        self.0.store(IDLE, Ordering::Release);
    }
}
