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
//! - A record is published by the release store of its lane's next record, after its fields and bytes
//!   were written; what a chunk has in all is stored in it before its lane goes on in another. Later
//!   changes are single atomic stores.

pub(crate) mod brief;
pub(crate) mod call;
pub(crate) mod chunk;
pub(crate) mod context;
pub(crate) mod detail;
pub(crate) mod explicit;
pub(crate) mod future;
pub(crate) mod handed;
pub(crate) mod late;
pub(crate) mod numbered;
pub(crate) mod open;
mod paper;
pub(crate) mod process;
pub(crate) mod read;
mod room;
pub(crate) mod site;
pub(crate) mod slot;
pub(crate) mod span;
pub(crate) mod thread;
pub(crate) mod totals;
pub(crate) mod trylock;
pub(crate) mod unlisted;
pub(crate) mod word;

pub(crate) use call::{Begun, Call, Key, Past, ROOT, span_number};

use crate::clock;
use call::fill;
use chunk::{Chunk, RECORD, Record, Text};
use room::Full;
use slot::Slot;
use std::cell::Cell;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use word::{EndWord, LockWord};

/// One detail keeps at most so many bytes.
pub(crate) const MAX_DETAIL: usize = 8_192;

/// Where one thread at a time records calls of one request.
///
/// Records of its chunk grow up from the front, bytes down from the back. Up to `last`, and down to
/// `floor`, there is room and the request allows it, so that recording a call asks for two
/// comparisons; past one of the two, [`Lane::begin_any`] makes room or finds the limit.
pub(crate) struct Lane {
    pub(crate) word: LockWord,
    /// The thread that has borrowed it ([`thread::this_thread`]), or 0.
    pub(crate) borrower: AtomicUsize,
    /// The next record. Those of its chunk before it are published.
    pub(crate) next_record: AtomicPtr<Record>,
    // Only the holder of `word` touches the cells.
    last: Cell<*mut Record>,
    back: Cell<*mut u8>,
    floor: Cell<*mut u8>,
    /// The end of a record that is open, in this chunk.
    open: Cell<u64>,
    /// Plus a record's address in cache lines: its number.
    number_base: Cell<u32>,
    /// Plus an address and a length: a [`Text`].
    text_base: Cell<u64>,
    chunk: Cell<Option<&'static Chunk>>,
    /// What its first chunk will be: as large as the last request needed here.
    first_class: Cell<u32>,
    /// Leased from the request, beyond what `last` and `floor` allow already.
    spare_spans: Cell<u32>,
    spare_bytes: Cell<u32>,
    /// Its first chunk, for readers.
    pub(crate) first: AtomicPtr<Chunk>,
    /// The request's next lane.
    pub(crate) next: AtomicPtr<Lane>,
    pub(crate) number: AtomicU32,
}

// SAFETY: the cells are touched only by the thread that holds `word`; everything else is atomic.
unsafe impl Sync for Lane {}
// SAFETY: it holds references to things that live for ever and belong to no thread.
unsafe impl Send for Lane {}

impl Lane {
    pub(crate) fn new(generation: u32) -> Self {
        Self {
            word: LockWord::new(generation),
            borrower: AtomicUsize::new(0),
            next_record: AtomicPtr::new(std::ptr::null_mut()),
            last: Cell::new(std::ptr::null_mut()),
            back: Cell::new(std::ptr::null_mut()),
            floor: Cell::new(std::ptr::null_mut()),
            open: Cell::new(0),
            number_base: Cell::new(0),
            text_base: Cell::new(0),
            chunk: Cell::new(None),
            first_class: Cell::new(0),
            spare_spans: Cell::new(0),
            spare_bytes: Cell::new(0),
            first: AtomicPtr::new(std::ptr::null_mut()),
            next: AtomicPtr::new(std::ptr::null_mut()),
            number: AtomicU32::new(0),
        }
    }

    /// Whether a record is one of the chunk that this lane fills just now. It then cannot be put to
    /// another use while the lane is held.
    ///
    /// # Safety
    /// The caller holds this lane.
    #[inline(always)]
    pub(crate) unsafe fn holds(&self, record: &Record) -> bool {
        let place = std::ptr::from_ref(record);
        let front = self
            .chunk
            .get()
            .map_or(std::ptr::null(), std::ptr::from_ref);
        place < self.next_record.load(Ordering::Relaxed).cast_const() && place.addr() > front.addr()
    }

    /// A record of a chunk, if that is the one that this lane fills just now, and the record was made.
    ///
    /// # Safety
    /// The caller holds this lane.
    #[inline(always)]
    pub(crate) unsafe fn record_in(
        &self,
        chunk: &'static Chunk,
        index: u32,
    ) -> Option<&'static Record> {
        if !self
            .chunk
            .get()
            .is_some_and(|mine| std::ptr::eq(mine, chunk))
        {
            return None;
        }
        let (front, _) = chunk.ends();
        let place = front.wrapping_add(index as usize);
        // SAFETY: before the next record, so in the chunk, and made.
        (place < self.next_record.load(Ordering::Relaxed)).then(|| unsafe { &*place })
    }

    /// Whether this thread has borrowed it. It then holds the lane.
    #[inline(always)]
    pub(crate) fn is_borrowed_here(&self) -> bool {
        self.borrower.load(Ordering::Relaxed) == thread::this_thread()
    }

    /// Whether [`Lane::begin_short`] can record a call with a detail of this length.
    #[inline(always)]
    pub(crate) fn is_ready_for(&self, length: usize) -> bool {
        length <= chunk::SHORT && self.has_room(length)
    }

    /// Records the begin of a call, where the detail is short and there is room; elsewhere
    /// [`Lane::begin_any`] has to do it. No function is called in here, so the caller needs no
    /// frame; that the clock is the counter was asked when the room was granted.
    ///
    /// # Safety
    /// The caller holds this lane, which [is ready](Lane::is_ready_for) for the detail.
    #[inline(always)]
    pub(crate) unsafe fn begin_short(&'static self, call: Call<'_>) -> Begun {
        // SAFETY: the caller's promise is all that these need.
        unsafe {
            let back = self.make_back(call.detail.len());
            chunk::copy_short(back, call.detail);
            let detail = self.text(back, call.detail.len(), false);
            self.append(call, detail, |open| (open, clock::counter()))
        }
    }

    /// Records a call, whose whole detail is `whole` bytes long.
    ///
    /// # Safety
    /// The caller holds this lane, of this slot.
    pub(crate) unsafe fn begin_any(
        &'static self,
        slot: &'static Slot,
        call: Call<'_>,
        whole: u64,
        past: Past,
    ) -> Option<Begun> {
        let (mut detail, mut cut) = (call.detail, false);
        if detail.len() > MAX_DETAIL || detail.len() as u64 != whole || !self.has_room(detail.len())
        {
            // SAFETY: passed on.
            match unsafe { self.make_room(slot, detail, whole) } {
                Ok((kept, is_cut)) => (detail, cut) = (kept, is_cut),
                Err(Full { process, limit }) => {
                    slot.note_limit(limit);
                    return unlisted::begin(process?, slot, call, past);
                }
            }
        }
        // SAFETY: the caller holds the lane, and room was just checked or made.
        unsafe {
            let back = self.make_back(detail.len());
            chunk::copy(back, detail);
            let detail = self.text(back, detail.len(), cut);
            Some(self.append(call, detail, |open| match past {
                None => (open, clock::ticks()),
                Some((start, end, outcome)) => (EndWord::ended(outcome, end), start),
            }))
        }
    }

    /// Whether a record and so many bytes were granted.
    #[inline(always)]
    fn has_room(&self, length: usize) -> bool {
        self.next_record.load(Ordering::Relaxed) != self.last.get()
            && self.has_room_for_bytes(length)
    }

    /// Whether so many bytes were granted.
    #[inline(always)]
    fn has_room_for_bytes(&self, length: usize) -> bool {
        length <= self.back.get().addr() - self.floor.get().addr()
    }

    /// Takes bytes from the back, for the caller to write.
    ///
    /// # Safety
    /// The caller holds this lane, and so many were granted.
    #[inline(always)]
    unsafe fn make_back(&self, length: usize) -> *mut u8 {
        // SAFETY: in the chunk, above `floor`, by the caller's promise.
        let back = unsafe { self.back.get().sub(length) };
        self.back.set(back);
        back
    }

    /// Where bytes of the current chunk are.
    #[inline(always)]
    fn text(&self, place: *mut u8, length: usize, cut: bool) -> Text {
        let place = ((place.addr() as u64) << 16).wrapping_add(self.text_base.get());
        Text(place + ((length as u64) << 2) + u64::from(cut))
    }

    /// Appends a record and publishes it. `times` gets the end of an open one, and gives end and
    /// start.
    ///
    /// # Safety
    /// The caller holds this lane, and a record was granted.
    #[inline(always)]
    unsafe fn append(
        &'static self,
        call: Call<'_>,
        detail: Text,
        times: impl FnOnce(u64) -> (u64, u64),
    ) -> Begun {
        let place = self.next_record.load(Ordering::Relaxed);
        // SAFETY: a place of the chunk below `last`, by the caller's promise.
        let record: &'static Record = unsafe { &*place };
        fill(record, call, detail);
        let open = self.open.get();
        let (end, start) = times(open);
        record.end.set(end);
        record.start.store(start, Ordering::Relaxed);
        // SAFETY: at most `last`.
        let next = unsafe { place.add(1) };
        self.next_record.store(next, Ordering::Release);
        let number = ((place.addr() / RECORD as usize) as u32).wrapping_add(self.number_base.get());
        Begun {
            record,
            key: Key::new(number, open as u32),
        }
    }

    /// Keeps bytes for a record that is already there (a target, or a detail that was known late),
    /// where they are few and there is room; else `None`, and [`Lane::keep`] has to do it. As
    /// [`Lane::begin_short`], it calls no function.
    ///
    /// # Safety
    /// The caller holds this lane.
    #[inline(always)]
    pub(crate) unsafe fn keep_short(&self, bytes: &[u8]) -> Option<Text> {
        if bytes.len() > chunk::SHORT || !self.has_room_for_bytes(bytes.len()) {
            return None;
        }
        // SAFETY: the caller holds the lane; room and length were just checked.
        unsafe {
            let back = self.make_back(bytes.len());
            chunk::copy_short(back, bytes);
            Some(self.text(back, bytes.len(), false))
        }
    }

    /// Keeps bytes for a record that is already there: all of something, or the beginning of
    /// something `whole` bytes long.
    ///
    /// # Safety
    /// The caller holds this lane, of this slot.
    pub(crate) unsafe fn keep(
        &'static self,
        slot: &'static Slot,
        bytes: &[u8],
        whole: u64,
    ) -> Option<Text> {
        let (mut kept, mut cut) = (bytes, false);
        if bytes.len() as u64 != whole || !self.has_room_for_bytes(bytes.len()) {
            // SAFETY: passed on.
            (kept, cut) = unsafe { self.make_room_to_keep(slot, bytes, whole) }?;
        }
        // SAFETY: the caller holds the lane, and room was just checked or made.
        unsafe {
            let back = self.make_back(kept.len());
            chunk::copy(back, kept);
            Some(self.text(back, kept.len(), cut))
        }
    }
}
