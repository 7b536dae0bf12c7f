//! What a request has decided so far: one word a flag, found in a load or two.
//!
//! The first decisions lie in the slot itself; further ones in tables that a slot is given when it
//! first needs them and keeps. Anybody may read at any time, without a lock: a word is written
//! whole. Who writes holds the lock of the slot's facts. Like lanes, tables are never freed, so a
//! reader that comes too late reads an old word and finds by the slot's generation that it did.

use super::decision::{FLAG_SHIFT, Packed};
use super::published::{self, Store};
use crate::fork::Forever;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// Decisions that lie in the slot.
const INLINE: usize = 32;
/// Sizes of the further tables.
const FURTHER: [usize; 3] = [64, 512, 4_096];
/// A decision lies in one of so many places from where its number says; in the slot in one of
/// half as many, which are one line of the processor's memory.
const WINDOW: usize = 8;
/// It was decided again since: no answer, but still an exposure.
const PAST: u64 = 1 << 63;
/// It is to be decided again whenever it is asked for: who asks may be known by then.
const OPEN: u64 = 1 << 62;
/// In every word, so that a free entry is no flag's.
const KEPT: u64 = 1 << 61;
/// The memory's own part of a word.
const MARKS: u64 = PAST | OPEN | KEPT;

/// What tells entries apart: marks and flag.
#[inline(always)]
const fn key_of(word: u64) -> u32 {
    (word >> FLAG_SHIFT) as u32
}

/// That of a flag's entry with these marks.
#[inline(always)]
const fn key(flag: u16, marks: u64) -> u32 {
    flag as u32 | key_of(marks)
}

/// One decision.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    /// A packed decision; 0 is free.
    word: AtomicU64,
    /// How often it was read.
    count: AtomicU32,
    /// The how-manyth of the request.
    order: AtomicU32,
}

impl Entry {
    /// One more read. Two threads of one request that read the same flag at the same instant may
    /// count one: a lock would cost ten times the read.
    #[inline(always)]
    pub(crate) fn count(&self) {
        let count = self.count.load(Ordering::Relaxed);
        self.count.store(count.wrapping_add(1), Ordering::Relaxed);
    }

    fn clear(&self) {
        self.word.store(0, Ordering::Relaxed);
    }
}

struct Table {
    entries: Box<[Entry]>,
    used: AtomicU32,
}

/// The decisions of one slot.
pub(crate) struct Memo {
    /// Which publication the request decides by.
    sequence: AtomicU64,
    /// [`published::changes`], when that was last found to be the newest one of its profiler.
    checked: AtomicU64,
    first: [Entry; INLINE],
    /// How many decisions there are, in all tables.
    used: AtomicU32,
    /// Whether any was put aside.
    any_past: AtomicBool,
    further: [Forever<Table>; FURTHER.len()],
}

/// An exposure as it is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) decided: Packed,
    pub(crate) count: u32,
    pub(crate) past: bool,
    order: u32,
}

impl Memo {
    pub(crate) fn new() -> Self {
        Self {
            sequence: AtomicU64::new(0),
            checked: AtomicU64::new(0),
            first: std::array::from_fn(|_| Entry::default()),
            used: AtomicU32::new(0),
            any_past: AtomicBool::new(false),
            further: [const { Forever::empty() }; FURTHER.len()],
        }
    }

    /// A request begins: it decides by what is published now.
    #[inline(always)]
    pub(crate) fn begin(&self, store: &Store) {
        // In this order, so that what is published in between is seen at the first read.
        self.set_checked(published::changes());
        self.set_sequence(store.sequence());
    }

    /// What was decided about a flag, counted once more: if it lies in its first place, and nothing
    /// was published since that could change it. This is what nearly all reads are, and all that is
    /// inlined of one.
    #[inline(always)]
    pub(crate) fn ask_first(&self, flag: u16) -> Option<Packed> {
        let entry = self.first.get(usize::from(flag) % INLINE)?;
        let word = entry.word.load(Ordering::Acquire);
        if key_of(word) != key(flag, KEPT) || !self.is_newest() {
            return None;
        }
        entry.count();
        Some(Packed(word & !MARKS))
    }

    /// As [`Self::ask_first`], wherever it lies.
    pub(crate) fn ask(&self, flag: u16) -> Option<Packed> {
        let (decided, entry) = self.remembered(flag)?;
        entry.count();
        Some(decided)
    }

    /// What was decided about a flag, if nothing was published since that could change it.
    #[inline(always)]
    pub(crate) fn remembered(&self, flag: u16) -> Option<(Packed, &Entry)> {
        let found = self.find(flag)?;
        self.is_newest().then_some(found)
    }

    #[inline(always)]
    fn is_newest(&self) -> bool {
        self.checked.load(Ordering::Relaxed) == published::changes()
    }

    /// At this count of changes, what the request decides by was the newest.
    #[inline(always)]
    pub(crate) fn set_checked(&self, changes: u64) {
        self.checked.store(changes, Ordering::Relaxed);
    }

    #[inline(always)]
    pub(crate) fn sequence(&self) -> u64 {
        self.sequence.load(Ordering::Relaxed)
    }

    #[inline(always)]
    pub(crate) fn set_sequence(&self, sequence: u64) {
        self.sequence.store(sequence, Ordering::Relaxed);
    }

    /// What was decided about a flag, and holds.
    #[inline(always)]
    pub(crate) fn find(&self, flag: u16) -> Option<(Packed, &Entry)> {
        let key = key(flag, KEPT);
        let entry = self.first.get(usize::from(flag) % INLINE)?;
        let word = entry.word.load(Ordering::Acquire);
        if key_of(word) == key {
            return Some((Packed(word & !MARKS), entry));
        }
        self.find_further(key)
    }

    /// What was decided about a flag, and is to be decided again.
    pub(crate) fn find_open(&self, flag: u16) -> Option<(Packed, &Entry)> {
        self.find_further(key(flag, KEPT | OPEN))
    }

    #[inline(never)]
    fn find_further(&self, key: u32) -> Option<(Packed, &Entry)> {
        if let Ok(found) = look(&self.first, key) {
            return found;
        }
        for table in self.further.iter().map_while(Forever::get) {
            if let Ok(found) = look(&table.entries, key) {
                return found;
            }
        }
        None
    }

    fn tables(&self) -> impl Iterator<Item = &[Entry]> {
        let further = self.further.iter().map_while(Forever::get);
        std::iter::once(self.first.as_slice()).chain(further.map(|table| &*table.entries))
    }

    /// Keeps a decision, counted once: for good, or open. `false` where there is no room. The
    /// caller holds the lock of the slot's facts, and has not found the flag.
    pub(crate) fn insert(&self, decided: Packed, open: bool) -> bool {
        let word = decided.0 | KEPT | if open { OPEN } else { 0 };
        let key = key_of(word);
        if self.any_past.load(Ordering::Relaxed) && self.goes_on(word) {
            return true;
        }
        let free = |entries: &[Entry]| {
            let put = |entry: &Entry| {
                if entry.word.load(Ordering::Relaxed) != 0 {
                    return false;
                }
                let order = self.used.load(Ordering::Relaxed);
                self.used.store(order + 1, Ordering::Relaxed);
                entry.order.store(order, Ordering::Relaxed);
                entry.count.store(1, Ordering::Relaxed);
                entry.word.store(word, Ordering::Release);
                true
            };
            window(entries, key).any(put)
        };
        if free(&self.first) {
            return true;
        }
        for (place, size) in self.further.iter().zip(FURTHER) {
            let table = match place.get() {
                Some(table) => table,
                None => {
                    let entries = std::iter::repeat_with(Entry::default).take(size).collect();
                    let used = AtomicU32::new(0);
                    let table: &'static Table = Box::leak(Box::new(Table { entries, used }));
                    place.replace(table);
                    table
                }
            };
            if free(&table.entries) {
                let used = table.used.load(Ordering::Relaxed);
                table.used.store(used + 1, Ordering::Relaxed);
                return true;
            }
        }
        false
    }

    /// Where it is decided again as it was before it was put aside, the same exposure goes on.
    fn goes_on(&self, word: u64) -> bool {
        let before = self.tables().find_map(|entries| {
            let same = |entry: &&Entry| entry.word.load(Ordering::Relaxed) == word | PAST;
            window(entries, key_of(word)).find(same)
        });
        if let Some(entry) = before {
            entry.count();
            entry.word.store(word, Ordering::Release);
        }
        before.is_some()
    }

    /// Puts decisions aside, to be made again when they are next asked for. The caller holds the
    /// lock of the slot's facts.
    pub(crate) fn put_aside(&self, which: impl Fn(Packed) -> bool) {
        for entry in self.tables().flatten() {
            let word = entry.word.load(Ordering::Relaxed);
            if word != 0 && word & PAST == 0 && which(Packed(word & !MARKS)) {
                entry.word.store(word | PAST, Ordering::Release);
                self.any_past.store(true, Ordering::Relaxed);
            }
        }
    }

    /// All decisions, in the order in which they were made.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        if self.used.load(Ordering::Relaxed) == 0 {
            return Vec::new();
        }
        let read = |entry: &Entry| {
            let word = entry.word.load(Ordering::Acquire);
            (word != 0).then(|| Seen {
                decided: Packed(word & !MARKS),
                count: entry.count.load(Ordering::Relaxed),
                past: word & PAST != 0,
                order: entry.order.load(Ordering::Relaxed),
            })
        };
        let mut seen: Vec<Seen> = self.tables().flatten().filter_map(read).collect();
        seen.sort_by_key(|seen| seen.order);
        seen
    }

    /// Ready for the slot's next request.
    #[inline]
    pub(crate) fn clear(&self) {
        if self.used.load(Ordering::Relaxed) != 0 {
            self.clear_used();
        }
    }

    #[inline(never)]
    fn clear_used(&self) {
        self.used.store(0, Ordering::Relaxed);
        self.any_past.store(false, Ordering::Relaxed);
        self.first.iter().for_each(Entry::clear);
        for table in self.further.iter().map_while(Forever::get) {
            if table.used.swap(0, Ordering::Relaxed) != 0 {
                table.entries.iter().for_each(Entry::clear);
            }
        }
    }
}

/// Looks in one table; `Err` where it may be in the next one.
#[inline(always)]
fn look(entries: &[Entry], key: u32) -> Result<Option<(Packed, &Entry)>, ()> {
    for entry in window(entries, key) {
        let word = entry.word.load(Ordering::Acquire);
        if key_of(word) == key {
            return Ok(Some((Packed(word & !MARKS), entry)));
        }
        if word == 0 {
            return Ok(None);
        }
    }
    Err(())
}

/// Where a flag's decision may lie in a table.
#[inline]
fn window(entries: &[Entry], key: u32) -> impl Iterator<Item = &Entry> {
    let mask = entries.len() - 1;
    let start = key as usize & 0xffff;
    let places = if entries.len() == INLINE {
        WINDOW / 2
    } else {
        WINDOW
    };
    (0..places).filter_map(move |offset| entries.get((start ^ offset) & mask))
}

#[cfg(test)]
mod tests {
    use super::Memo;
    use crate::flags::decision::{Packed, Reason, State};
    use crate::flags::names::Word;

    fn packed(flag: u16, reason: Reason) -> Packed {
        Packed::new(flag, State::On, Word::ON, reason)
    }

    fn found(memo: &Memo, flag: u16) -> Option<Packed> {
        memo.find(flag).map(|(decided, _)| decided)
    }

    #[test]
    fn what_was_kept_is_found_however_many_there_are() {
        let memo = Memo::new();
        let flags: Vec<u16> = (1..=2_000).map(|n| n * 7).collect();
        for &flag in &flags {
            assert_eq!(found(&memo, flag), None, "{flag}");
            assert!(memo.insert(packed(flag, Reason::On), false), "{flag}");
        }
        for &flag in &flags {
            assert_eq!(found(&memo, flag), Some(packed(flag, Reason::On)));
        }
        assert_eq!(found(&memo, 3), None);
        let order: Vec<u16> = memo.seen().iter().map(|seen| seen.decided.flag()).collect();
        assert_eq!(order, flags);
        memo.clear();
        assert!(memo.seen().is_empty());
        assert!(flags.iter().all(|&flag| found(&memo, flag).is_none()));
    }

    #[test]
    fn flags_that_fall_on_one_place_are_bounded_not_lost_silently() {
        let memo = Memo::new();
        let kept = (1..=15).filter(|n| memo.insert(packed(n * 4_096, Reason::On), false));
        assert_eq!(kept.count(), 15);
        for n in 1..=15_u16 {
            assert!(found(&memo, n * 4_096).is_some(), "{n}");
        }
    }

    #[test]
    fn an_open_decision_is_no_answer_but_an_exposure() {
        let memo = Memo::new();
        assert!(memo.insert(packed(5, Reason::NoUnit), true));
        assert_eq!(found(&memo, 5), None);
        let open = memo.find_open(5).map(|(decided, _)| decided);
        assert_eq!(open, Some(packed(5, Reason::NoUnit)));
        assert_eq!(memo.seen().len(), 1);
        assert!(memo.find(0).is_none() && memo.find_open(0).is_none());
    }

    #[test]
    fn a_full_memo_says_so() {
        let memo = Memo::new();
        let kept = (1..=u16::MAX).filter(|flag| memo.insert(packed(*flag, Reason::On), false));
        assert_eq!(kept.count(), 32 + 64 + 512 + 4_096);
    }

    #[test]
    fn what_is_decided_again_goes_on_or_is_another_exposure() {
        let memo = Memo::new();
        assert!(memo.insert(packed(5, Reason::Percent), false));
        memo.put_aside(|_| true);
        assert_eq!(found(&memo, 5), None);
        assert!(memo.insert(packed(5, Reason::Percent), false));
        let [only] = memo.seen()[..] else {
            panic!("{:?}", memo.seen())
        };
        assert_eq!((only.count, only.past), (2, false));
        memo.put_aside(|_| true);
        assert!(memo.insert(packed(5, Reason::User), false));
        let [first, second] = memo.seen()[..] else {
            panic!("{:?}", memo.seen())
        };
        assert_eq!(
            (first.decided.reason(), first.past),
            (Reason::Percent, true)
        );
        assert_eq!(
            (second.decided.reason(), second.past),
            (Reason::User, false)
        );
        assert_eq!(found(&memo, 5), Some(packed(5, Reason::User)));
    }
}
