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
pub(crate) mod chunk;
pub(crate) mod context;
pub(crate) mod future;
pub(crate) mod handed;
pub(crate) mod process;
pub(crate) mod read;
pub(crate) mod site;
pub(crate) mod slot;
pub(crate) mod span;
pub(crate) mod thread;
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
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use word::{EndWord, LockWord};

/// One detail keeps at most so many bytes.
pub(crate) const MAX_DETAIL: usize = 8_192;
/// A span's number in its process: chunk and record.
#[inline(always)]
pub(crate) fn span_number(chunk: u32, record: u32) -> u32 {
    (chunk << 8) | record
}

/// Where one thread at a time records calls of one request.
///
/// Records of its chunk grow up from the front, bytes down from the back. Up to `last`, and down to
/// `floor`, there is room and the request allows it, so that recording a call asks for two
/// comparisons; past one of the two, [`Lane::begin_slow`] makes room or finds the limit.
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

/// A span's number, and which generation may end it: one integer, which passes in a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key(u64);

impl Key {
    pub(crate) const NONE: Self = Self(0);

    #[inline(always)]
    pub(crate) fn new(number: u32, generation: u32) -> Self {
        Self((u64::from(generation) << 32) | u64::from(number))
    }

    #[inline(always)]
    pub(crate) fn number(self) -> u32 {
        self.0 as u32
    }

    #[inline(always)]
    pub(crate) fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// A record that was just made.
#[derive(Clone, Copy)]
pub(crate) struct Begun {
    pub(crate) record: &'static Record,
    pub(crate) key: Key,
}

/// What is known of a call when it begins: few enough words to pass in registers.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) about: About,
    pub(crate) detail: &'a [u8],
    pub(crate) caller: usize,
}

impl<'a> Call<'a> {
    /// A call inside `parent`, or [`ROOT`].
    #[inline(always)]
    pub(crate) fn new(category: CategoryId, parent: u32, detail: &'a [u8], caller: usize) -> Self {
        let about = About::new(parent, category.number, category.kind as u8);
        Self {
            about,
            detail,
            caller,
        }
    }

    /// As [`Call::new`], where the parent is a leaf: the call is part of it.
    #[inline(always)]
    pub(crate) fn inner(category: CategoryId, leaf: u32, detail: &'a [u8], caller: usize) -> Self {
        let about = About::new(leaf, category.number, category.kind as u8 | INNER);
        Self {
            about,
            detail,
            caller,
        }
    }
}

const _: () = assert!(Kind::Leaf as u8 == 0 && Kind::Scope as u8 == SCOPE);

/// When a call that is recorded after the fact began and ended, in ticks.
pub(crate) type Past = Option<(u64, u64, u8)>;

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

    /// Whether this thread has borrowed it. It then holds the lane.
    #[inline(always)]
    pub(crate) fn is_borrowed_here(&self) -> bool {
        self.borrower.load(Ordering::Relaxed) == thread::this_thread()
    }

    /// Records the begin of a call, where the detail is short and there is room; else `None`, and
    /// [`Lane::begin_any`] has to do it. No function is called in here, so the caller needs no
    /// frame; that the clock is the counter was asked when the room was granted.
    ///
    /// # Safety
    /// The caller holds this lane.
    #[inline(always)]
    pub(crate) unsafe fn begin_short(&'static self, call: Call<'_>) -> Option<Begun> {
        if call.detail.len() > chunk::SHORT || !self.has_room(call.detail.len()) {
            return None;
        }
        // SAFETY: the caller holds the lane; room and length were just checked.
        unsafe {
            let back = self.make_back(call.detail.len());
            chunk::copy_short(back, call.detail);
            let detail = self.text(back, call.detail.len(), false);
            Some(self.append(call, detail, |open| (open, clock::counter())))
        }
    }

    /// Records a call.
    ///
    /// # Safety
    /// The caller holds this lane, of this slot.
    pub(crate) unsafe fn begin_any(
        &'static self,
        slot: &'static Slot,
        call: Call<'_>,
        past: Past,
    ) -> Option<Begun> {
        let mut detail = call.detail;
        let mut cut = false;
        if detail.len() > MAX_DETAIL || !self.has_room(detail.len()) {
            // SAFETY: passed on.
            match unsafe { self.make_room(slot, detail) } {
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
            && length <= self.back.get().addr() - self.floor.get().addr()
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

    /// Past what was granted: renews that, or takes a chunk, or finds a limit. Gives as much of the
    /// detail as may be kept, and whether that is not all of it.
    ///
    /// # Safety
    /// The caller holds this lane, of this slot.
    #[cold]
    #[inline(never)]
    unsafe fn make_room<'a>(
        &'static self,
        slot: &'static Slot,
        detail: &'a [u8],
    ) -> Result<(&'a [u8], bool), Full> {
        let process = process::of(slot);
        let full = |limit| Full { process, limit };
        self.settle();
        if self.spare_spans.get() == 0 {
            let length = detail.len().min(MAX_DETAIL) as u32;
            let most = (self.next_size() / (RECORD + length)).max(1);
            self.spare_spans.set(slot.lease_spans(most));
        }
        if self.spare_spans.get() == 0 {
            return Err(full(Limit::Spans));
        }
        // SAFETY: passed on.
        unsafe { self.make_room_for_bytes(process, slot, detail, detail.len() as u64, 1) }
            .ok_or(full(Limit::Memory))
    }

    /// As [`Lane::make_room`], for so many records: one, or none for a text of an earlier one. The
    /// bytes are the beginning of something `whole` bytes long, or all of it.
    ///
    /// # Safety
    /// The caller holds this lane, of this slot, and has settled.
    unsafe fn make_room_for_bytes<'a>(
        &'static self,
        process: Option<&'static Process>,
        slot: &'static Slot,
        bytes: &'a [u8],
        whole: u64,
        records: u32,
    ) -> Option<(&'a [u8], bool)> {
        let (kept, cut_from) = self.fit(slot, bytes, whole);
        let length = kept.len() as u32;
        let room = length + if cut_from.is_some() { 8 } else { 0 };
        // With room for a record, so that the chunk is good for the calls that follow.
        self.ensure_chunk(process?, slot, RECORD + room)?;
        if let Some(whole) = cut_from {
            let length = u64::to_le_bytes(whole);
            self.floor.set(self.floor.get().wrapping_sub(length.len()));
            // SAFETY: the caller holds the lane, and room was just made.
            unsafe { chunk::copy(self.make_back(length.len()), &length) };
        }
        self.grant(length, records);
        Some((kept, cut_from.is_some()))
    }

    /// Takes back what was granted and not used.
    fn settle(&self) {
        let next = self.next_record.load(Ordering::Relaxed);
        let spans = (self.last.replace(next).addr() - next.addr()) as u32 / RECORD;
        let back = self.back.get();
        let bytes = (back.addr() - self.floor.replace(back).addr()) as u32;
        self.spare_spans.set(self.spare_spans.get() + spans);
        self.spare_bytes.set(self.spare_bytes.get() + bytes);
    }

    /// Grants as many records as fit into the chunk with details of this length, and the rest of
    /// its room for bytes; no more of either than was leased, and no more bytes than one detail may
    /// have, so that none gets through uncut. Under another clock than the counter, no more records
    /// than needed: a granted one is begun by reading the counter.
    fn grant(&self, length: u32, needed: u32) {
        let next = self.next_record.load(Ordering::Relaxed);
        let room = (self.back.get().addr() - next.addr()) as u32;
        let most = if clock::is_counter() {
            self.spare_spans.get()
        } else {
            needed
        };
        let spans = (room / (RECORD + length)).min(most);
        let bytes = (room - spans * RECORD)
            .min(self.spare_bytes.get())
            .min(MAX_DETAIL as u32);
        self.spare_spans.set(self.spare_spans.get() - spans);
        self.spare_bytes.set(self.spare_bytes.get() - bytes);
        self.last.set(next.wrapping_add(spans as usize));
        self.floor.set(self.back.get().wrapping_sub(bytes as usize));
    }

    /// As much of a detail as may be kept, and its whole length where that is not all.
    fn fit<'a>(&self, slot: &Slot, detail: &'a [u8], whole: u64) -> (&'a [u8], Option<u64>) {
        let mut kept = text::cut_bytes(detail, MAX_DETAIL);
        let wanted = kept.len() as u32;
        let spare = self.spare_bytes.get();
        if wanted > spare {
            let missing = wanted - spare;
            let lease = slot.lease_bytes(missing.max(self.next_size()), missing);
            self.spare_bytes.set(spare + lease);
            if wanted > spare + lease {
                slot.note_limit(Limit::DetailBytes);
                kept = &[];
            }
        }
        let cut = (kept.len() as u64) < whole;
        (kept, cut.then_some(whole))
    }

    /// Makes sure that so many bytes, records among them, fit into the current chunk, or a new one.
    /// Only after `settle`.
    fn ensure_chunk(
        &'static self,
        process: &Process,
        slot: &'static Slot,
        needed: u32,
    ) -> Option<()> {
        let next = self.next_record.load(Ordering::Relaxed);
        if self.chunk.get().is_some() && self.back.get().addr() - next.addr() >= needed as usize {
            return Some(());
        }
        let fits = |class: &u32| (chunk::SMALLEST << class) >= needed + HEADER;
        // A smaller one is better than none.
        let smallest = (0..CLASSES as u32).find(fits)?;
        let class = self.next_class().max(smallest);
        let new = process
            .take_chunk(class, slot.max_memory())
            .or_else(|| process.take_chunk(smallest, slot.max_memory()))?;
        self.go_on_in(new, slot);
        Some(())
    }

    /// What the next chunk will be.
    fn next_class(&self) -> u32 {
        let larger = |chunk: &Chunk| (chunk.class + 1).min(CLASSES as u32 - 1);
        self.chunk.get().map_or(self.first_class.get(), larger)
    }

    /// How much it will hold.
    fn next_size(&self) -> u32 {
        (chunk::SMALLEST << self.next_class()) - HEADER
    }

    fn go_on_in(&'static self, new: &'static Chunk, slot: &'static Slot) {
        new.slot
            .store(std::ptr::from_ref(slot).cast_mut(), Ordering::Relaxed);
        new.lane
            .store(std::ptr::from_ref(self).cast_mut(), Ordering::Relaxed);
        let pointer = std::ptr::from_ref(new).cast_mut();
        match self.chunk.get() {
            Some(chunk) => {
                let next = self.next_record.load(Ordering::Relaxed);
                chunk.published.store(chunk.index(next), Ordering::Relaxed);
                chunk.next.store(pointer, Ordering::Release);
            }
            None => self.first.store(pointer, Ordering::Release),
        }
        let (front, back) = new.ends();
        self.chunk.set(Some(new));
        self.open
            .set(EndWord::open(new.generation.load(Ordering::Relaxed)));
        self.number_base
            .set(span_number(new.number, 0).wrapping_sub((front.addr() / RECORD as usize) as u32));
        self.text_base.set(
            Text::new(new.number, 0, 0, false)
                .0
                .wrapping_sub((pointer.addr() as u64) << 16),
        );
        self.last.set(front);
        self.back.set(back);
        self.floor.set(back);
        // Readers now look for its records in this chunk, and for all earlier ones by `published`.
        self.next_record.store(front, Ordering::Release);
    }

    /// Keeps bytes for a record that is already there: a target, or a detail that was known late.
    ///
    /// # Safety
    /// The caller holds this lane, of this slot.
    #[inline]
    pub(crate) unsafe fn keep(&'static self, slot: &'static Slot, bytes: &[u8]) -> Option<Text> {
        let (mut kept, mut cut) = (bytes, false);
        if bytes.len() > self.back.get().addr() - self.floor.get().addr() {
            // SAFETY: passed on.
            (kept, cut) = unsafe { self.make_room_to_keep(slot, bytes) }?;
        }
        // SAFETY: the caller holds the lane, and room was just checked or made.
        unsafe {
            let back = self.make_back(kept.len());
            chunk::copy(back, kept);
            Some(self.text(back, kept.len(), cut))
        }
    }

    /// # Safety
    /// As [`Lane::keep`].
    #[cold]
    unsafe fn make_room_to_keep<'a>(
        &'static self,
        slot: &'static Slot,
        bytes: &'a [u8],
    ) -> Option<(&'a [u8], bool)> {
        self.settle();
        // SAFETY: passed on.
        unsafe { self.make_room_for_bytes(process::of(slot), slot, bytes, bytes.len() as u64, 0) }
    }

    /// As [`Lane::keep`], of bytes that are only the beginning of something `whole` bytes long.
    ///
    /// # Safety
    /// As [`Lane::keep`].
    pub(crate) unsafe fn keep_beginning(
        &'static self,
        slot: &'static Slot,
        bytes: &[u8],
        whole: u64,
    ) -> Option<Text> {
        self.settle();
        // SAFETY: passed on; the room for what is kept was just made.
        unsafe {
            let (kept, cut) = self.make_room_for_bytes(process::of(slot), slot, bytes, whole, 0)?;
            let back = self.make_back(kept.len());
            chunk::copy(back, kept);
            Some(self.text(back, kept.len(), cut))
        }
    }

    /// Bytes that records and details take in the current chunk.
    fn used_of_chunk(&self) -> u32 {
        self.chunk.get().map_or(0, |chunk| {
            let (front, back) = chunk.ends();
            let records = self.next_record.load(Ordering::Relaxed).addr() - front.addr();
            (records + (back.addr() - self.back.get().addr())) as u32
        })
    }

    /// Gives the chunks back, once nobody can be in the lane any more.
    ///
    /// # Safety
    /// Nobody holds the slot or the lane, and nobody can take the lane: its generation has moved.
    pub(crate) unsafe fn empty(&'static self, process: &Process) {
        // Nobody else is here, so that needs no exchange.
        let mut next = self.first.load(Ordering::Acquire);
        self.first.store(std::ptr::null_mut(), Ordering::Relaxed);
        let mut used = self.used_of_chunk();
        // SAFETY: null or a chunk, and chunks live for ever.
        while let Some(chunk) = unsafe { next.as_ref() } {
            next = chunk.next.load(Ordering::Acquire);
            if !next.is_null() {
                used += chunk.size();
            }
            process.put_chunk(chunk);
        }
        let holds = |class: &u32| (chunk::SMALLEST << class) >= used + HEADER;
        let class = (0..CLASSES as u32).find(holds);
        self.first_class.set(class.unwrap_or(CLASSES as u32 - 1));
        self.next_record
            .store(std::ptr::null_mut(), Ordering::Relaxed);
        self.last.set(std::ptr::null_mut());
        self.back.set(std::ptr::null_mut());
        self.floor.set(std::ptr::null_mut());
        self.chunk.set(None);
        self.spare_spans.set(0);
        self.spare_bytes.set(0);
    }
}

/// No room for a listed call.
struct Full {
    /// `None` in the child of a fork, where the request is the parent's.
    process: Option<&'static Process>,
    limit: Limit,
}

const _: () = assert!(MAX_DETAIL as u32 + 8 + RECORD + HEADER <= LARGEST);

/// Writes all of a record but its start and end.
#[inline(always)]
pub(crate) fn fill(record: &Record, call: Call<'_>, detail: Text) {
    record.caller.store(call.caller, Ordering::Relaxed);
    record.detail.store(detail.0, Ordering::Relaxed);
    record.target.store(Text::EMPTY.0, Ordering::Relaxed);
    record.about.store(call.about.0, Ordering::Relaxed);
}

/// A call without a parent.
pub(crate) const ROOT: u32 = NO_SPAN;
