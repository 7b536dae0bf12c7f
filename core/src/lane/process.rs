//! What a process has one of: its slots, its chunks, how much of both is in use, what went wrong.
//!
//! All of it hangs behind the generation of `fork.rs`: a child builds its own and never looks back,
//! but for the slots' generations, which it goes on from, so that no handle of the parent means
//! anything in the child.

use super::chunk::{CLASSES, Chunk, SMALLEST};
use super::slot::Slot;
use super::trylock::TryLock;
use crate::fork::{Forever, PerProcess};
use crate::profile::State;
use std::alloc::{Layout, alloc_zeroed};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

static PROCESS: PerProcess<Process> = PerProcess::new();

/// Of 63 calls each: more unlisted calls open at once are counted, but not timed.
pub(crate) const SCRATCH_CHUNKS: usize = 256;

/// Slots that a process can number.
pub(crate) const MAX_SLOTS: usize = 1 << 16;
/// Chunks that a process can number: 22 bits of a span's handle leave room for more.
const MAX_CHUNKS: usize = 1 << 18;

/// What to do with an open request that nobody holds any more. Said by the layer above, which
/// knows where finished requests go.
static FORGOTTEN: Forever<fn(&'static Slot, u32)> = Forever::empty();

pub(crate) fn on_forgotten(hook: &'static fn(&'static Slot, u32)) {
    FORGOTTEN.replace(hook);
}

pub(crate) fn forgotten() -> Option<fn(&'static Slot, u32)> {
    FORGOTTEN.get().copied()
}

pub(crate) struct Process {
    pub(crate) generation: u32,
    /// The first generation of this process's slots and chunks.
    base: u32,
    slots: Table<Slot, MAX_SLOTS>,
    chunks: Table<Chunk, MAX_CHUNKS>,
    free_slots: Pool<&'static Slot, 1, 4>,
    free_chunks: Pool<&'static Chunk, CLASSES, 4>,
    /// Finished requests in which some thread still has a lane checked out. In one shard, so that
    /// those that are ready are not hidden by those that are not.
    limbo: Pool<&'static Slot, 1, 1>,
    /// Where unlisted calls are timed while they are open.
    pub(crate) scratch: [Forever<Chunk>; SCRATCH_CHUNKS],
    pub(crate) counters: Counters,
}

/// What happened to this process's calls and requests so far.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) aborted: AtomicU64,
    pub(crate) abandoned: AtomicU64,
    pub(crate) refused_live: AtomicU64,
    pub(crate) refused_memory: AtomicU64,
    pub(crate) unlisted: AtomicU64,
    pub(crate) stale_handles: AtomicU64,
    pub(crate) late_spans: AtomicU64,
    pub(crate) lost_notes: AtomicU64,
    pub(crate) busy: AtomicU64,
    pub(crate) untimed: AtomicU64,
    pub(crate) outside: AtomicU64,
}

/// This process's state; `None` while another thread builds it.
#[inline(always)]
pub(crate) fn process() -> Option<&'static Process> {
    PROCESS.get_or_build(Process::build)
}

/// This process's state, if it has begun to record at all.
#[inline(always)]
pub(crate) fn existing() -> Option<&'static Process> {
    PROCESS.get()
}

/// This process's state, if the slot is one of it, and not its parent's.
pub(crate) fn of(slot: &'static Slot) -> Option<&'static Process> {
    let process = existing()?;
    let own = process.slot(slot.number)?;
    std::ptr::eq(own, slot).then_some(process)
}

impl Process {
    #[cold]
    fn build(inherited: Option<&'static Self>, generation: u32) -> Option<&'static Self> {
        // Above every generation that the parent can have handed out.
        let base = inherited.map_or(0, |parent| {
            let highest = |slot: &Slot| slot.generation();
            parent
                .slots
                .iter()
                .map(highest)
                .max()
                .unwrap_or(0)
                .max(parent.base)
        });
        Some(Box::leak(Box::new(Self {
            generation,
            base: base.wrapping_add(1).max(1),
            slots: Table::new()?,
            chunks: Table::new()?,
            free_slots: Pool::new(),
            free_chunks: Pool::new(),
            limbo: Pool::new(),
            scratch: [const { Forever::empty() }; SCRATCH_CHUNKS],
            counters: Counters::default(),
        })))
    }

    /// A slot for a new request, which lives from now on.
    pub(crate) fn take_slot(&'static self) -> Option<&'static Slot> {
        if let Some(slot) = self.free_slots.take(0, 1) {
            return Some(slot);
        }
        self.retry_limbo();
        if let Some(slot) = self.free_slots.take(0, 1) {
            return Some(slot);
        }
        let slot = self
            .slots
            .add(|number| Some(Box::leak(Box::new(Slot::new(number, self.base)))))?;
        self.free_slots.count(1);
        Some(slot)
    }

    pub(crate) fn put_slot(&self, slot: &'static Slot) {
        self.free_slots.put(0, 1, slot);
    }

    pub(crate) fn put_limbo(&self, slot: &'static Slot) {
        self.limbo.put(0, 0, slot);
    }

    /// Tries again to put away requests whose last lane may have come back: the oldest first, and
    /// behind the others again where it has not.
    pub(crate) fn retry_limbo(&'static self) {
        let mut still_held = 0;
        while still_held < 8 {
            let Some(slot) = self.limbo.take_oldest() else {
                return;
            };
            if !slot.try_recycle(self) {
                still_held += 1;
                self.put_limbo(slot);
            }
        }
    }

    /// Counts a request's end.
    pub(crate) fn count_end(&self, how: State) {
        match how {
            // Finished ones are counted by their slots, without an exchange.
            State::Live | State::Finished => {}
            State::Aborted => drop(self.counters.aborted.fetch_add(1, Ordering::Relaxed)),
            State::Abandoned => drop(self.counters.abandoned.fetch_add(1, Ordering::Relaxed)),
        }
    }

    /// Requests that live, or have ended and are held still: by the collector's queue, a profile.
    #[inline]
    pub(crate) fn in_use(&self) -> usize {
        self.free_slots.sum()
    }

    /// Requests that live.
    pub(crate) fn live(&self) -> usize {
        let is_live = |slot: &&Slot| slot.is_live(slot.generation());
        self.slots.iter().filter(is_live).count()
    }

    /// Bytes that requests keep: chunks and slots.
    pub(crate) fn memory(&self) -> usize {
        self.free_chunks.sum() + self.in_use() * size_of::<Slot>()
    }

    /// Requests that were finished so far.
    pub(crate) fn finished(&self) -> u64 {
        self.slots
            .iter()
            .map(|slot| slot.finished.load(Ordering::Relaxed))
            .sum()
    }

    #[inline(always)]
    pub(crate) fn slot(&self, number: u32) -> Option<&'static Slot> {
        self.slots.get(number)
    }

    pub(crate) fn each_slot(&self) -> impl Iterator<Item = &'static Slot> {
        self.slots.iter()
    }

    #[inline(always)]
    pub(crate) fn chunk(&self, number: u32) -> Option<&'static Chunk> {
        self.chunks.get(number)
    }

    /// A chunk of a class, if the process may use that much more. Threads that take one at the same
    /// moment may go past the bound by one chunk each.
    pub(crate) fn take_chunk(&self, class: u32, most: usize) -> Option<&'static Chunk> {
        let size = (SMALLEST as usize) << class;
        if self.memory().saturating_add(size) > most {
            return None;
        }
        let pooled = self.free_chunks.take(class as usize, size);
        pooled.or_else(|| {
            let new = self
                .chunks
                .add(|number| Chunk::allocate(number, class, self.base))?;
            self.free_chunks.count(size);
            Some(new)
        })
    }

    pub(crate) fn put_chunk(&self, chunk: &'static Chunk) {
        // Handles to its records go stale here.
        let next =
            chunk.generation.load(Ordering::Relaxed).wrapping_add(1) & !super::unlisted::SCRATCH;
        chunk.generation.store(next, Ordering::Relaxed);
        chunk.published.store(0, Ordering::Release);
        chunk.lane.store(std::ptr::null_mut(), Ordering::Release);
        chunk.next.store(std::ptr::null_mut(), Ordering::Relaxed);
        self.free_chunks
            .put(chunk.class as usize, chunk.size() as usize, chunk);
    }
}

/// Numbered things that are never moved, read without a lock. The list has room for all that there
/// can be; the system gives memory only for the part that is used.
struct Table<T: 'static, const MOST: usize> {
    places: &'static [Forever<T>],
    count: AtomicUsize,
}

impl<T: Sync, const MOST: usize> Table<T, MOST> {
    fn new() -> Option<Self> {
        Some(Self {
            places: zeroed_places(MOST)?,
            count: AtomicUsize::new(0),
        })
    }

    #[inline(always)]
    fn get(&self, number: u32) -> Option<&'static T> {
        self.places.get(number as usize)?.get()
    }

    fn iter(&self) -> impl Iterator<Item = &'static T> {
        let count = self.count.load(Ordering::Acquire).min(MOST) as u32;
        (0..count).filter_map(|number| self.get(number))
    }

    fn add(&self, make: impl FnOnce(u32) -> Option<&'static T>) -> Option<&'static T> {
        let next = |count: usize| (count < MOST).then_some(count + 1);
        let number = self
            .count
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, next)
            .ok()?;
        let thing = make(number as u32)?;
        self.places.get(number)?.replace(thing);
        Some(thing)
    }
}

/// Empty places, in memory that nobody has touched yet.
fn zeroed_places<T>(count: usize) -> Option<&'static [Forever<T>]> {
    let layout = Layout::array::<Forever<T>>(count).ok()?;
    // SAFETY: the layout's size is not zero.
    let memory = unsafe { alloc_zeroed(layout) }.cast::<Forever<T>>();
    if memory.is_null() {
        return None;
    }
    // SAFETY: fresh memory for so many, never freed; a place of zeroes is a null pointer, which is
    // what an empty one is.
    Some(unsafe { std::slice::from_raw_parts(memory, count) })
}

/// Piles of things that many threads take from and put to, without ever waiting for one another:
/// there are several shards, and each thread takes the first that is free. What is out of the piles
/// is added up by a weight, with plain stores: only who has locked a shard changes its sum.
struct Pool<T, const KINDS: usize, const SHARDS: usize> {
    shards: [Shard<T, KINDS>; SHARDS],
    /// What was counted when no shard could be locked.
    beside: AtomicUsize,
}

/// A cache line or more each.
#[repr(align(64))]
struct Shard<T, const KINDS: usize> {
    piles: TryLock<[VecDeque<T>; KINDS]>,
    /// Weight taken less weight put back, wrapping: what is taken here may be put back elsewhere.
    out: AtomicUsize,
}

/// A shard is held for some nanoseconds, or while its holder is not running.
const ATTEMPTS: u32 = 256;

fn pause(attempt: u32) {
    if attempt < 64 {
        std::hint::spin_loop();
    } else {
        std::thread::yield_now();
    }
}

impl<T, const KINDS: usize> Shard<T, KINDS> {
    /// Only while `piles` is locked.
    fn add(&self, weight: usize) {
        let out = self.out.load(Ordering::Relaxed).wrapping_add(weight);
        self.out.store(out, Ordering::Relaxed);
    }

    #[inline(always)]
    fn take(&self, kind: usize, weight: usize) -> Option<T> {
        let mut piles = self.piles.try_lock()?;
        let thing = piles.get_mut(kind)?.pop_back()?;
        self.add(weight);
        Some(thing)
    }

    /// Whether there is none: not, where that cannot be seen now.
    fn is_empty_of(&self, kind: usize) -> bool {
        let piles = self.piles.try_lock();
        piles.is_some_and(|piles| piles.get(kind).is_none_or(VecDeque::is_empty))
    }

    /// Gives the thing back where the shard is locked.
    #[inline(always)]
    fn put(&self, kind: usize, weight: usize, thing: T) -> Result<(), T> {
        let Some(mut piles) = self.piles.try_lock() else {
            return Err(thing);
        };
        if let Some(pile) = piles.get_mut(kind) {
            pile.push_back(thing);
        }
        self.add(0_usize.wrapping_sub(weight));
        Ok(())
    }
}

impl<T, const KINDS: usize, const SHARDS: usize> Pool<T, KINDS, SHARDS> {
    const fn new() -> Self {
        Self {
            shards: [const {
                Shard {
                    piles: TryLock::new([const { VecDeque::new() }; KINDS]),
                    out: AtomicUsize::new(0),
                }
            }; SHARDS],
            beside: AtomicUsize::new(0),
        }
    }

    /// This thread's shard.
    #[inline(always)]
    fn own(&self) -> &Shard<T, KINDS> {
        const { assert!(SHARDS.is_power_of_two()) };
        let own = super::context::shard() & (SHARDS - 1);
        #[expect(
            clippy::indexing_slicing,
            reason = "a number below a power of two, masked"
        )]
        &self.shards[own]
    }

    #[inline(always)]
    fn take(&self, kind: usize, weight: usize) -> Option<T> {
        match self.own().take(kind, weight) {
            Some(thing) => Some(thing),
            None => self.take_elsewhere(kind, weight),
        }
    }

    /// `None` only where there is none: whoever took a locked shard for an empty one would make new
    /// things for ever, one for each time that two threads meet there.
    #[cold]
    #[inline(never)]
    fn take_elsewhere(&self, kind: usize, weight: usize) -> Option<T> {
        for attempt in 0..ATTEMPTS {
            let mut is_empty = true;
            for shard in &self.shards {
                match shard.take(kind, weight) {
                    Some(thing) => return Some(thing),
                    None => is_empty &= shard.is_empty_of(kind),
                }
            }
            if is_empty {
                return None;
            }
            pause(attempt);
        }
        None
    }

    /// What was put there first, without a weight.
    fn take_oldest(&self) -> Option<T> {
        let oldest = |shard: &Shard<T, KINDS>| shard.piles.try_lock()?.first_mut()?.pop_front();
        self.shards.iter().find_map(oldest)
    }

    #[inline(always)]
    fn put(&self, kind: usize, weight: usize, thing: T) {
        if let Err(thing) = self.own().put(kind, weight, thing) {
            self.put_elsewhere(kind, weight, thing);
        }
    }

    /// That all shards are held for so long is next to impossible; the thing is then forgotten, which
    /// costs its memory and nothing else.
    #[cold]
    #[inline(never)]
    fn put_elsewhere(&self, kind: usize, weight: usize, mut thing: T) {
        for attempt in 0..ATTEMPTS {
            for shard in &self.shards {
                match shard.put(kind, weight, thing) {
                    Ok(()) => return,
                    Err(back) => thing = back,
                }
            }
            pause(attempt);
        }
    }

    /// Adds the weight of a thing that came from elsewhere.
    #[cold]
    fn count(&self, weight: usize) {
        self.beside.fetch_add(weight, Ordering::Relaxed);
    }

    /// The weight that is out.
    #[inline]
    fn sum(&self) -> usize {
        let beside = self.beside.load(Ordering::Relaxed);
        let sum = self.shards.iter().fold(beside, |sum, shard| {
            sum.wrapping_add(shard.out.load(Ordering::Relaxed))
        });
        // The parts are read one after the other: what moved meanwhile can make it less than none.
        if sum > usize::MAX / 2 { 0 } else { sum }
    }
}
