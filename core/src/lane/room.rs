//! Room for a lane to write in: chunks, and what the request's limits grant of them in advance.

use super::chunk::{self, CLASSES, Chunk, HEADER, LARGEST, RECORD, Text};
use super::process::{self, Process};
use super::slot::Slot;
use super::word::EndWord;
use super::{Lane, MAX_DETAIL, span_number};
use crate::clock;
use crate::profile::Limit;
use crate::text;
use std::sync::atomic::Ordering;

/// No room for a listed call.
pub(super) struct Full {
    /// `None` in the child of a fork, where the request is the parent's.
    pub(super) process: Option<&'static Process>,
    pub(super) limit: Limit,
}

/// Bytes that a call's detail and target usually have: a short first one must not leave too little
/// for those that follow.
const USUAL: u32 = 96;

const _: () = assert!(MAX_DETAIL as u32 + 8 + RECORD + HEADER <= LARGEST);

impl Lane {
    /// Past what was granted: renews that, or takes a chunk, or finds a limit. Gives as much of the
    /// detail as may be kept, and whether that is not all of it: it is the beginning of something
    /// `whole` bytes long, or all of it.
    ///
    /// # Safety
    /// The caller holds this lane, of this slot.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn make_room<'a>(
        &'static self,
        slot: &'static Slot,
        detail: &'a [u8],
        whole: u64,
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
        unsafe { self.make_room_for_bytes(process, slot, detail, whole, 1) }
            .ok_or(full(Limit::Memory))
    }

    /// As [`Lane::make_room`], for a text of an earlier record.
    ///
    /// # Safety
    /// The caller holds this lane, of this slot.
    #[cold]
    pub(super) unsafe fn make_room_to_keep<'a>(
        &'static self,
        slot: &'static Slot,
        bytes: &'a [u8],
        whole: u64,
    ) -> Option<(&'a [u8], bool)> {
        self.settle();
        // SAFETY: passed on.
        unsafe { self.make_room_for_bytes(process::of(slot), slot, bytes, whole, 0) }
    }

    /// As [`Lane::make_room`], for so many records: one, or none for a text of an earlier one.
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

    /// Grants what is needed, of which the caller has made sure: so many records, and bytes of this
    /// length. Beyond that, as many records as fit into the chunk with such details or usual ones,
    /// and the rest of its room for bytes; no more of either than was leased, and no more bytes than
    /// one detail may have, so that none gets through uncut. Under another clock than the counter,
    /// no more records than needed: a granted one is begun by reading the counter.
    fn grant(&self, length: u32, needed: u32) {
        let next = self.next_record.load(Ordering::Relaxed);
        let room = (self.back.get().addr() - next.addr()) as u32;
        let most = if clock::is_counter() {
            self.spare_spans.get()
        } else {
            needed
        };
        let fitting = room / (RECORD + length.max(USUAL));
        let spans = fitting.max(needed).min(most);
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
