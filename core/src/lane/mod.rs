//! The hot path: where calls are recorded.
//!
//! A request is recorded in **lanes**. A lane belongs to one thread at a time, which appends to its
//! [`chunk`]s without a lock; what is published can be read by anybody who holds the request. The
//! pieces, from the inside out: three [`word`]s that threads agree through, [`chunk`]s of records
//! and bytes, the lane, the [`slot`] of a request with its lanes and limits, and the [`process`]
//! that owns all of them until a fork. [`context`] says which lane this thread holds, [`span`] is
//! what users see, [`read`] turns records into plain data.
//!
//! Rules that make it sound:
//! - Slots, lanes and chunks are never freed, so a stale pointer or number always finds one; a
//!   generation tells whether it is still the same.
//! - A request is put away (its chunks given back, its generations raised) only when nobody holds
//!   it *and* none of its lanes is held. So whoever holds a lane may write to the request's records,
//!   and whoever holds the request may read its bytes.
//! - A record is published by the release store of its chunk's count, after its fields and bytes
//!   were written. Later changes are single atomic stores.

pub(crate) mod chunk;
pub(crate) mod context;
pub(crate) mod process;
pub(crate) mod read;
pub(crate) mod site;
pub(crate) mod slot;
pub(crate) mod span;
pub(crate) mod totals;
pub(crate) mod trylock;
pub(crate) mod unlisted;
pub(crate) mod word;

use crate::category::{CategoryId, Kind};
use crate::clock;
use crate::profile::Limit;
use crate::text;
use chunk::{About, CLASSES, Chunk, HEADER, INNER, LARGEST, NO_SPAN, RECORD, Record, SCOPE, Text};
use process::Process;
use slot::Slot;
use std::cell::Cell;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use word::LockWord;

/// One detail keeps at most so many bytes.
pub(crate) const MAX_DETAIL: usize = 8_192;
/// Spans that a lane takes from its request's allowance at a time.
const SPAN_LEASE: u32 = 32;
/// Bytes likewise.
const BYTE_LEASE: u32 = 4_096;

/// A span's number in its process: chunk and record.
#[inline(always)]
pub(crate) fn span_number(chunk: u32, record: u32) -> u32 {
    (chunk << 8) | record
}

/// Where one thread at a time records calls of one request.
pub(crate) struct Lane {
    pub(crate) word: LockWord,
    /// The request's next lane.
    pub(crate) next: AtomicPtr<Lane>,
    /// Its first chunk, for readers.
    pub(crate) first: AtomicPtr<Chunk>,
    pub(crate) number: AtomicU32,
    // Only the holder of `word` touches what follows.
    chunk: Cell<Option<&'static Chunk>>,
    count: Cell<u32>,
    back: Cell<u32>,
    spans_left: Cell<u32>,
    bytes_left: Cell<u32>,
}

// SAFETY: the cells are touched only by the thread that holds `word`; everything else is atomic.
unsafe impl Sync for Lane {}
// SAFETY: it holds references to things that live for ever and belong to no thread.
unsafe impl Send for Lane {}

/// A record that was just made.
#[derive(Clone, Copy)]
pub(crate) struct Begun {
    pub(crate) record: &'static Record,
    pub(crate) number: u32,
    /// Which generation may end it.
    pub(crate) generation: u32,
}

/// What is known of a call when it begins.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) category: CategoryId,
    pub(crate) detail: &'a [u8],
    pub(crate) caller: usize,
    pub(crate) parent: u32,
    /// The parent is a leaf: this call is part of it.
    pub(crate) inner: bool,
}

/// When a call that is recorded after the fact began and ended, in ticks.
pub(crate) type Past = Option<(u64, u64, u8)>;

impl Lane {
    pub(crate) fn new(generation: u32) -> Self {
        Self {
            word: LockWord::new(generation),
            next: AtomicPtr::new(std::ptr::null_mut()),
            first: AtomicPtr::new(std::ptr::null_mut()),
            number: AtomicU32::new(0),
            chunk: Cell::new(None),
            count: Cell::new(0),
            back: Cell::new(0),
            spans_left: Cell::new(0),
            bytes_left: Cell::new(0),
        }
    }

    /// Records the begin of a call.
    ///
    /// # Safety
    /// The caller holds this lane, of this slot.
    #[inline(always)]
    pub(crate) unsafe fn begin(
        &'static self,
        slot: &'static Slot,
        call: Call<'_>,
        past: Past,
    ) -> Option<Begun> {
        let length = call.detail.len();
        let front = HEADER + (self.count.get() + 1) * RECORD;
        // Each of the three is zero where there is no chunk yet.
        if self.spans_left.get() == 0
            || length > self.bytes_left.get() as usize
            || front + length as u32 > self.back.get()
        {
            let Call {
                category,
                detail,
                caller,
                parent,
                inner,
            } = call;
            // SAFETY: passed on. The fields one by one, so that the call needs no place in memory
            // unless this happens.
            return unsafe { self.begin_slow(slot, category, detail, caller, parent, inner, past) };
        }
        // SAFETY: the caller holds the lane, and room was just checked.
        unsafe { self.append(call, past, call.detail, None) }
    }

    /// Appends a record for which there is room.
    ///
    /// # Safety
    /// The caller holds this lane, and `detail` and one record fit.
    #[inline(always)]
    unsafe fn append(
        &'static self,
        call: Call<'_>,
        past: Past,
        detail: &[u8],
        cut_from: Option<u64>,
    ) -> Option<Begun> {
        let chunk = self.chunk.get()?;
        let index = self.count.get();
        // SAFETY: a record fits, by the caller's promise.
        let record = unsafe { chunk.record_within(index) };
        let length = detail.len() as u32;
        let mut back = self.back.get();
        if let Some(whole) = cut_from {
            back -= 8;
            // SAFETY: passed on; the eight bytes behind a cut detail are counted in its room.
            unsafe { chunk.write(back, &whole.to_le_bytes()) };
        }
        back -= length;
        self.back.set(back);
        self.count.set(index + 1);
        self.spans_left.set(self.spans_left.get() - 1);
        self.bytes_left.set(self.bytes_left.get() - length);
        let generation = chunk.generation.load(Ordering::Relaxed);
        fill(
            record,
            call,
            Text::new(chunk.number, back, length, cut_from.is_some()),
        );
        // SAFETY: passed on.
        unsafe { chunk.write(back, detail) };
        match past {
            None => {
                record.end.set_open(generation);
                record.start.store(clock::ticks(), Ordering::Relaxed);
            }
            Some((start, end, outcome)) => {
                record.end.set_ended(outcome, end);
                record.start.store(start, Ordering::Relaxed);
            }
        }
        chunk.published.store(index + 1, Ordering::Release);
        Some(Begun {
            record,
            number: span_number(chunk.number, index),
            generation,
        })
    }

    /// Past a lease, a chunk or a limit.
    ///
    /// # Safety
    /// As [`Lane::begin`].
    #[cold]
    #[inline(never)]
    #[expect(
        clippy::too_many_arguments,
        reason = "a struct of them would cost the fast path"
    )]
    unsafe fn begin_slow(
        &'static self,
        slot: &'static Slot,
        category: CategoryId,
        detail: &[u8],
        caller: usize,
        parent: u32,
        inner: bool,
        past: Past,
    ) -> Option<Begun> {
        let call = Call {
            category,
            detail,
            caller,
            parent,
            inner,
        };
        let process = process::existing()?;
        if self.spans_left.get() == 0 {
            let lease = slot.lease_spans(SPAN_LEASE);
            if lease == 0 {
                slot.note_limit(Limit::Spans);
                return unlisted::begin(process, slot, call, past);
            }
            self.spans_left.set(lease);
        }
        let (detail, cut_from) = self.fit(slot, call.detail);
        let room = detail.len() as u32 + if cut_from.is_some() { 8 } else { 0 };
        if !self.ensure_room(process, slot, RECORD + room) {
            slot.note_limit(Limit::Memory);
            return unlisted::begin(process, slot, call, past);
        }
        // SAFETY: the caller holds the lane, and room was just made.
        unsafe { self.append(call, past, detail, cut_from) }
    }

    /// As much of a detail as may be kept, and its whole length where that is not all.
    fn fit<'a>(&self, slot: &Slot, detail: &'a [u8]) -> (&'a [u8], Option<u64>) {
        let mut kept = text::cut_bytes(detail, MAX_DETAIL);
        let wanted = kept.len() as u32;
        if wanted > self.bytes_left.get() {
            let missing = wanted - self.bytes_left.get();
            let lease = slot.lease_bytes(missing.max(BYTE_LEASE), missing);
            self.bytes_left.set(self.bytes_left.get() + lease);
            if wanted > self.bytes_left.get() {
                slot.note_limit(Limit::DetailBytes);
                kept = &[];
            }
        }
        let cut = kept.len() < detail.len();
        (kept, cut.then_some(detail.len() as u64))
    }

    /// Makes sure that a record and its bytes, or only bytes, fit into the current chunk.
    fn ensure_room(&'static self, process: &Process, slot: &'static Slot, needed: u32) -> bool {
        let used = HEADER + self.count.get() * RECORD;
        if self.chunk.get().is_some() && used + needed <= self.back.get() {
            return true;
        }
        let mut class = self
            .chunk
            .get()
            .map_or(0, |chunk| (chunk.class + 1).min(CLASSES as u32 - 1));
        while (chunk::SMALLEST << class) < needed + HEADER && (class as usize) < CLASSES - 1 {
            class += 1;
        }
        // A smaller one is better than none.
        let smallest = (0..CLASSES as u32)
            .find(|class| (chunk::SMALLEST << class) >= needed + HEADER)
            .unwrap_or(CLASSES as u32 - 1);
        let Some(new) = process
            .take_chunk(class, slot.max_memory())
            .or_else(|| process.take_chunk(smallest, slot.max_memory()))
        else {
            return false;
        };
        new.slot
            .store(std::ptr::from_ref(slot).cast_mut(), Ordering::Relaxed);
        new.lane
            .store(self.number.load(Ordering::Relaxed), Ordering::Relaxed);
        let pointer = std::ptr::from_ref(new).cast_mut();
        match self.chunk.get() {
            Some(chunk) => chunk.next.store(pointer, Ordering::Release),
            None => self.first.store(pointer, Ordering::Release),
        }
        self.chunk.set(Some(new));
        self.count.set(0);
        self.back.set(new.size());
        true
    }

    /// Keeps bytes for a record that is already there: a target, or a detail that was known late.
    ///
    /// # Safety
    /// The caller holds this lane, of this slot.
    pub(crate) unsafe fn keep(&'static self, slot: &'static Slot, bytes: &[u8]) -> Option<Text> {
        let process = process::existing()?;
        let (kept, cut_from) = self.fit(slot, bytes);
        let room = kept.len() as u32 + if cut_from.is_some() { 8 } else { 0 };
        if !self.ensure_room(process, slot, room) {
            return None;
        }
        let chunk = self.chunk.get()?;
        let mut back = self.back.get();
        if let Some(whole) = cut_from {
            back -= 8;
            // SAFETY: the caller holds the lane, and room was just made.
            unsafe { chunk.write(back, &whole.to_le_bytes()) };
        }
        back -= kept.len() as u32;
        // SAFETY: as above.
        unsafe { chunk.write(back, kept) };
        self.back.set(back);
        self.bytes_left
            .set(self.bytes_left.get().saturating_sub(kept.len() as u32));
        Some(Text::new(
            chunk.number,
            back,
            kept.len() as u32,
            cut_from.is_some(),
        ))
    }

    /// Gives the chunks back, once nobody can be in the lane any more.
    ///
    /// # Safety
    /// Nobody holds the slot or the lane, and nobody can take the lane: its generation has moved.
    pub(crate) unsafe fn empty(&'static self, process: &Process) {
        let mut next = self.first.swap(std::ptr::null_mut(), Ordering::AcqRel);
        // SAFETY: null or a chunk, and chunks live for ever.
        while let Some(chunk) = unsafe { next.as_ref() } {
            next = chunk.next.load(Ordering::Acquire);
            process.put_chunk(chunk);
        }
        self.chunk.set(None);
        self.count.set(0);
        self.back.set(0);
        self.spans_left.set(0);
        self.bytes_left.set(0);
    }
}

const _: () = assert!(MAX_DETAIL as u32 + 8 + RECORD + HEADER <= LARGEST);

/// Writes all of a record but its start and end.
#[inline(always)]
pub(crate) fn fill(record: &Record, call: Call<'_>, detail: Text) {
    let scope = if call.category.kind == Kind::Scope {
        SCOPE
    } else {
        0
    };
    let inner = if call.inner { INNER } else { 0 };
    record.caller.store(call.caller, Ordering::Relaxed);
    record.detail.store(detail.0, Ordering::Relaxed);
    record.target.store(Text::EMPTY.0, Ordering::Relaxed);
    let about = About::new(call.parent, call.category.number, scope | inner);
    record.about.store(about.0, Ordering::Relaxed);
}

/// A call without a parent.
pub(crate) const ROOT: u32 = NO_SPAN;
