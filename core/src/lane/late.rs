//! What is said of a call after its begin: counts, a target, a detail that was known late.

use super::chunk::{BYTES, HITS, MISSES, ROWS, Record, Text};
use super::context::{self, ThreadContext};
use super::detail::Words;
use super::explicit::lane_of;
use super::numbered::change_numbered;
use super::slot::Slot;
use super::{Begun, Key, Lane};
use std::sync::atomic::{AtomicU32, Ordering};

/// What can be said of a call after its begin.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change<'a> {
    Count(Count, u32),
    Text(Late, Words<'a>),
    /// What a look for keys brought: a detail, hits and misses at once.
    Found(Words<'a>, u32, u32),
}

/// Which count of a call is set.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Count {
    Hits,
    Misses,
    Rows,
    Bytes,
}

impl Count {
    fn place(self, record: &Record) -> (&AtomicU32, u8) {
        match self {
            Self::Hits => (&record.hits, HITS),
            Self::Misses => (&record.misses, MISSES),
            Self::Rows => (&record.rows, ROWS),
            Self::Bytes => (&record.bytes, BYTES),
        }
    }
}

/// Which text of a call is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Late {
    Detail,
    Target,
}

impl Late {
    /// Text that was written before is published for whoever holds the request.
    #[inline(always)]
    fn set(self, record: &Record, text: Text) {
        let place = match self {
            Self::Detail => &record.detail,
            Self::Target => &record.target,
        };
        place.store(text.0, Ordering::Release);
    }
}

impl Begun {
    #[inline]
    pub(super) fn set_count(self, count: Count, value: u32) {
        if !context::with(|current| count_here(current, self.record, self.key, count, value)) {
            self.change_elsewhere(Change::Count(count, value));
        }
    }

    #[inline]
    pub(super) fn set_text(self, late: Late, words: Words<'_>) {
        let here =
            |current: &ThreadContext| text_here(current, self.record, self.key, late, words.bytes);
        if !(words.is_all() && context::with(here)) {
            self.change_elsewhere(Change::Text(late, words));
        }
    }

    /// A call of another chunk or lane, of a request that may have ended, or a text for which there
    /// is no room yet.
    #[cold]
    #[inline(never)]
    pub(super) fn change_elsewhere(self, change: Change<'_>) {
        let mine = context::with(|current| {
            let mine = current.owns(self.record, self.key);
            let slot = current.slot.get().filter(|_| mine);
            slot.map(|slot| (slot, current.generation.get()))
        });
        match mine {
            Some((slot, generation)) => apply(slot, generation, self.record, false, change),
            None => drop(change_numbered(
                self.key.number(),
                self.key.generation(),
                change,
            )),
        }
    }
}

/// The usual call: of the request that this thread is in. Not inlined, so that the caller's code
/// stays small, and without a frame.
#[inline(never)]
fn count_here(
    current: &ThreadContext,
    record: &Record,
    key: Key,
    count: Count,
    value: u32,
) -> bool {
    let owned = current.owns(record, key);
    if owned {
        set_count(record, count, value);
    }
    owned
}

/// As [`count_here`], where there is room for the text.
#[inline(never)]
fn text_here(current: &ThreadContext, record: &Record, key: Key, late: Late, bytes: &[u8]) -> bool {
    let Some(lane) = current.lane.get().filter(|_| current.owns(record, key)) else {
        return false;
    };
    // SAFETY: this thread's context holds the lane.
    let kept = unsafe { lane.keep_short(bytes) };
    if let Some(text) = kept {
        late.set(record, text);
    }
    kept.is_some()
}

#[inline(always)]
pub(super) fn set_count(record: &Record, count: Count, value: u32) {
    let (place, bit) = count.place(record);
    place.store(value, Ordering::Relaxed);
    // Only whoever owns the span says so, so nobody else changes it now.
    record
        .about
        .store(record.about().with_counted(bit).0, Ordering::Relaxed);
}

/// Says it of a call of a lane, where a text is short and there is room; else it is not said.
///
/// # Safety
/// The caller holds the lane, and the record is one of it.
#[inline(always)]
pub(super) unsafe fn apply_short(lane: &Lane, record: &Record, change: Change<'_>) -> bool {
    match change {
        Change::Count(count, value) => {
            set_count(record, count, value);
            true
        }
        Change::Text(late, words) => {
            // SAFETY: passed on.
            unsafe { text_short(lane, record, late, words) }
        }
        Change::Found(words, hits, misses) => {
            // SAFETY: passed on.
            let kept = unsafe { text_short(lane, record, Late::Detail, words) };
            if kept {
                set_found(record, hits, misses);
            }
            kept
        }
    }
}

/// # Safety
/// As [`apply_short`].
#[inline(always)]
unsafe fn text_short(lane: &Lane, record: &Record, late: Late, words: Words<'_>) -> bool {
    if !words.is_all() {
        return false;
    }
    // SAFETY: passed on.
    let kept = unsafe { lane.keep_short(words.bytes) };
    if let Some(text) = kept {
        late.set(record, text);
    }
    kept.is_some()
}

#[inline(always)]
fn set_found(record: &Record, hits: u32, misses: u32) {
    set_count(record, Count::Hits, hits);
    set_count(record, Count::Misses, misses);
}

/// Says it of a call whose request the caller holds, or is in.
pub(super) fn apply(
    slot: &'static Slot,
    generation: u32,
    record: &Record,
    unlisted: bool,
    change: Change<'_>,
) {
    match change {
        Change::Count(count, value) => set_count(record, count, value),
        Change::Found(words, hits, misses) => {
            set_found(record, hits, misses);
            let detail = Change::Text(Late::Detail, words);
            apply(slot, generation, record, unlisted, detail);
        }
        // An unlisted call has no text that anybody could read.
        Change::Text(..) if unlisted => {}
        Change::Text(late, words) => {
            let kept = lane_of(slot, generation).and_then(|lane| {
                // SAFETY: `lane_of` gives a lane of this slot that this thread holds.
                unsafe { lane.keep(slot, words.bytes, words.whole) }
            });
            if let Some(text) = kept {
                late.set(record, text);
            }
        }
    }
}
