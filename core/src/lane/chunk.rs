//! Chunks: blocks of 2 … 16 KiB in which records grow from the front and bytes from the back.
//!
//! A chunk is never given back to the system and never changes its number or size, so that a
//! handle can be looked up at any time by anybody: what it finds is always a chunk, and the
//! generation in the record's [`EndWord`] tells whether it is still the one that was meant.
//! Everything in a record is an atomic; the bytes are written before the record that names them is
//! published, and are read only by those who hold the request.

use super::word::EndWord;
use std::alloc::{Layout, alloc_zeroed};
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize};

/// One call: a cache line.
#[repr(C, align(64))]
pub(crate) struct Record {
    pub(crate) start: AtomicU64,
    pub(crate) end: EndWord,
    /// 0, a `&'static Location`, or a number from [`super::site`], shifted left, with bit 0 set.
    pub(crate) caller: AtomicUsize,
    pub(crate) detail: AtomicU64,
    pub(crate) target: AtomicU64,
    pub(crate) rows: AtomicU32,
    pub(crate) hits: AtomicU32,
    pub(crate) misses: AtomicU32,
    pub(crate) bytes: AtomicU32,
    /// Parent, category, flags, and which of the four counts were given: one store.
    pub(crate) about: AtomicU64,
}

/// What [`Record::about`] says.
#[derive(Clone, Copy)]
pub(crate) struct About(pub(crate) u64);

impl About {
    #[inline(always)]
    pub(crate) fn new(parent: u32, category: u16, flags: u8) -> Self {
        Self(u64::from(parent) | (u64::from(category) << 32) | (u64::from(flags) << 48))
    }

    pub(crate) fn parent(self) -> u32 {
        self.0 as u32
    }

    pub(crate) fn category(self) -> u16 {
        (self.0 >> 32) as u16
    }

    pub(crate) fn has(self, flag: u8) -> bool {
        (self.0 >> 48) as u8 & flag != 0
    }

    pub(crate) fn counted(self, bit: u8) -> bool {
        (self.0 >> 56) as u8 & bit != 0
    }

    pub(crate) fn with_counted(self, bit: u8) -> Self {
        Self(self.0 | (u64::from(bit) << 56))
    }
}

impl Record {
    pub(crate) fn about(&self) -> About {
        About(self.about.load(std::sync::atomic::Ordering::Relaxed))
    }
}

const _: () = assert!(size_of::<Record>() == 64);
const _: () = assert!(size_of::<Chunk>() == 64);

/// The record's category is a scope.
pub(crate) const SCOPE: u8 = 1;
/// A leaf begun inside a leaf: part of it.
pub(crate) const INNER: u8 = 2;

pub(crate) const HITS: u8 = 1;
pub(crate) const MISSES: u8 = 2;
pub(crate) const ROWS: u8 = 4;
pub(crate) const BYTES: u8 = 8;

/// No span: a root's parent.
pub(crate) const NO_SPAN: u32 = u32::MAX;

pub(crate) const RECORD: u32 = 64;
pub(crate) const HEADER: u32 = 64;
/// Bytes of the smallest chunk; each further one of a lane is twice as large, up to the largest.
pub(crate) const SMALLEST: u32 = 2_048;
pub(crate) const CLASSES: usize = 4;
pub(crate) const LARGEST: u32 = SMALLEST << (CLASSES - 1);

/// Where some bytes of a request are: chunk, offset, length, and whether they were cut.
#[derive(Clone, Copy)]
pub(crate) struct Text(pub(crate) u64);

impl Text {
    pub(crate) const EMPTY: Self = Self(0);

    /// Offset and length are those of a chunk, and so of 14 bits.
    #[inline(always)]
    pub(crate) fn new(chunk: u32, offset: u32, length: u32, cut: bool) -> Self {
        Self(
            (u64::from(chunk) << 32)
                | (u64::from(offset) << 16)
                | (u64::from(length) << 2)
                | u64::from(cut),
        )
    }

    pub(crate) fn chunk(self) -> u32 {
        (self.0 >> 32) as u32
    }

    pub(crate) fn offset(self) -> u32 {
        (self.0 >> 16) as u32 & 0x3fff
    }

    pub(crate) fn length(self) -> u32 {
        (self.0 >> 2) as u32 & 0x3fff
    }

    pub(crate) fn is_cut(self) -> bool {
        self.0 & 1 != 0
    }
}

/// The head of a chunk.
#[repr(C, align(64))]
pub(crate) struct Chunk {
    /// The next chunk of the same lane.
    pub(crate) next: AtomicPtr<Chunk>,
    /// The slot whose request uses it.
    pub(crate) slot: AtomicPtr<super::slot::Slot>,
    /// For spans past a limit: which records are in use.
    pub(crate) taken: AtomicU64,
    pub(crate) number: u32,
    pub(crate) class: u32,
    /// Raised each time the chunk is used again.
    pub(crate) generation: AtomicU32,
    /// Records that readers may look at.
    pub(crate) published: AtomicU32,
    pub(crate) lane: AtomicU32,
}

impl Chunk {
    pub(crate) fn allocate(number: u32, class: u32, generation: u32) -> Option<&'static Self> {
        let size = (SMALLEST as usize) << class;
        let layout = Layout::from_size_align(size, 64).ok()?;
        // SAFETY: the layout's size is not zero.
        let memory = unsafe { alloc_zeroed(layout) }.cast::<Self>();
        if memory.is_null() {
            return None;
        }
        let head = Self {
            next: AtomicPtr::default(),
            slot: AtomicPtr::default(),
            taken: AtomicU64::new(0),
            number,
            class,
            generation: AtomicU32::new(generation),
            published: AtomicU32::new(0),
            lane: AtomicU32::new(0),
        };
        // SAFETY: fresh memory, aligned to 64 and larger than the head; never freed, so the
        // reference lives for ever. All records in it are zeroed atomics, which are valid.
        unsafe {
            memory.write(head);
            Some(&*memory)
        }
    }

    #[inline(always)]
    pub(crate) fn size(&self) -> u32 {
        SMALLEST << self.class
    }

    /// Record `index`, if the chunk has room for that many.
    #[inline(always)]
    pub(crate) fn record(&'static self, index: u32) -> Option<&'static Record> {
        if index >= (self.size() - HEADER) / RECORD {
            return None;
        }
        // SAFETY: the index was checked.
        Some(unsafe { self.record_within(index) })
    }

    /// As [`Chunk::record`].
    ///
    /// # Safety
    /// The chunk has room for more than `index` records.
    #[inline(always)]
    pub(crate) unsafe fn record_within(&'static self, index: u32) -> &'static Record {
        // SAFETY: the chunk's memory reaches over `size` bytes, the index lies in it, the memory
        // is aligned to 64 and lives for ever, and any bytes at all are a valid record, since bytes
        // of details that may lie there were written by a lane that nobody reads any more: records
        // are only looked up below `published`, or their generation is compared first.
        unsafe {
            &*std::ptr::from_ref(self)
                .cast::<u8>()
                .add((HEADER + index * RECORD) as usize)
                .cast::<Record>()
        }
    }

    /// Copies bytes to an offset.
    ///
    /// # Safety
    /// The caller owns the lane, and `offset..offset + bytes.len()` lies between the published
    /// records and the bytes that are in use already.
    #[inline(always)]
    pub(crate) unsafe fn write(&'static self, offset: u32, bytes: &[u8]) {
        // SAFETY: in bounds and exclusive, by the caller's promise.
        unsafe {
            std::ptr::copy_nonoverlapping(
                bytes.as_ptr(),
                std::ptr::from_ref(self)
                    .cast::<u8>()
                    .cast_mut()
                    .add(offset as usize),
                bytes.len(),
            );
        }
    }

    /// The bytes at a place.
    ///
    /// # Safety
    /// The caller holds the request that the chunk belongs to, and read the place from one of its
    /// published records (acquire).
    pub(crate) unsafe fn read(&'static self, offset: u32, length: u32) -> &'static [u8] {
        if offset.saturating_add(length) > self.size() {
            return &[];
        }
        // SAFETY: in bounds; written before the record was published and not again while the
        // request is held, by the caller's promise.
        unsafe {
            std::slice::from_raw_parts(
                std::ptr::from_ref(self).cast::<u8>().add(offset as usize),
                length as usize,
            )
        }
    }
}
