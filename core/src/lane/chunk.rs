//! Chunks: blocks of 2 … 16 KiB in which records grow from the front and bytes from the back.
//!
//! A chunk is never given back to the system and never changes its number or size, so that a
//! handle can be looked up at any time by anybody: what it finds is always a chunk, and the
//! generation in the record's [`EndWord`] tells whether it is still the one that was meant.
//! Everything in a record is an atomic; the bytes are written before the record that names them is
//! published, and are read only by those who hold the request.

use super::word::EndWord;
use std::alloc::{Layout, alloc_zeroed};
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// One call: a cache line.
#[repr(C, align(64))]
pub(crate) struct Record {
    pub(crate) start: AtomicU64,
    pub(crate) end: EndWord,
    /// 0, a `&'static Location`, or a `&'static Caller` of [`super::site`] with bit 0 set.
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

    #[inline(always)]
    pub(crate) fn parent(self) -> u32 {
        self.0 as u32
    }

    /// A leaf of its own, as nearly all calls are: neither scope nor inner.
    #[inline(always)]
    pub(crate) fn is_plain(self) -> bool {
        (self.0 >> 48) as u8 == 0
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
    #[inline(always)]
    pub(crate) fn about(&self) -> About {
        About(self.about.load(std::sync::atomic::Ordering::Relaxed))
    }
}

const _: () = assert!(size_of::<Record>() == 64);
const _: () = assert!(size_of::<Chunk>() == 64);

/// The record's category is a scope. The kind's own number, so that it needs no translation.
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
    size: u32,
    /// Raised each time the chunk is used again.
    pub(crate) generation: AtomicU32,
    /// How many records it has, once its lane goes on in another chunk.
    pub(crate) published: AtomicU32,
    /// The lane that fills it; null for scratch chunks.
    pub(crate) lane: AtomicPtr<super::Lane>,
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
            size: SMALLEST << class,
            generation: AtomicU32::new(generation),
            published: AtomicU32::new(0),
            lane: AtomicPtr::default(),
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
        self.size
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

    /// Where its first record may be, and the end of its bytes.
    pub(crate) fn ends(&'static self) -> (*mut Record, *mut u8) {
        let start = std::ptr::from_ref(self).cast::<u8>().cast_mut();
        // SAFETY: both lie in the chunk's memory, or at its end.
        unsafe {
            let front = start.add(HEADER as usize).cast();
            (front, start.add(self.size as usize))
        }
    }

    /// How many records of this chunk lie before a place in it.
    pub(crate) fn index(&'static self, place: *const Record) -> u32 {
        let front = self.ends().0.addr();
        (place.addr().wrapping_sub(front) / RECORD as usize) as u32
    }

    /// How many records readers may look at, and whether its lane still fills this chunk.
    pub(crate) fn readable(&'static self) -> (u32, bool) {
        // SAFETY: null or a lane, and lanes live for ever.
        let lane = unsafe { self.lane.load(Ordering::Acquire).as_ref() };
        let next = lane.map_or(std::ptr::null_mut(), |lane| {
            lane.next_record.load(Ordering::Acquire)
        });
        let (front, back) = self.ends();
        // A lane that has gone on stored `published` first.
        if (front.addr()..=back.addr()).contains(&next.addr()) {
            (self.index(next), true)
        } else {
            (self.published.load(Ordering::Acquire), false)
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

/// The longest bytes that [`copy_short`] copies.
pub(crate) const SHORT: usize = 128;

/// Copies bytes to a place of a chunk.
///
/// # Safety
/// So many bytes at `to` are the caller's, and not yet published.
#[inline(always)]
pub(crate) unsafe fn copy(to: *mut u8, bytes: &[u8]) {
    // SAFETY: passed on; the chunk's bytes are nobody else's.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
}

/// As [`copy`], of at most [`SHORT`] bytes, without calling a function: by blocks from both ends,
/// which overlap in the middle.
///
/// # Safety
/// As [`copy`], and there are no more than [`SHORT`].
#[inline(always)]
pub(crate) unsafe fn copy_short(to: *mut u8, bytes: &[u8]) {
    let (from, length) = (bytes.as_ptr(), bytes.len());
    // SAFETY: each branch moves whole blocks that begin or end where the bytes do, and knows that
    // there are at least as many bytes as the blocks from one end cover.
    unsafe {
        if length >= 64 {
            blocks::<u128, 4>(from, to);
            if length > 80 {
                blocks::<u128, 1>(from.add(64), to.add(64));
            }
            if length > 96 {
                blocks::<u128, 1>(from.add(80), to.add(80));
            }
            if length > 112 {
                blocks::<u128, 1>(from.add(96), to.add(96));
            }
            blocks::<u128, 1>(from.add(length - 16), to.add(length - 16));
        } else if length >= 32 {
            blocks::<u128, 2>(from, to);
            blocks::<u128, 2>(from.add(length - 32), to.add(length - 32));
        } else if length >= 16 {
            blocks::<u128, 1>(from, to);
            blocks::<u128, 1>(from.add(length - 16), to.add(length - 16));
        } else if length >= 8 {
            blocks::<u64, 1>(from, to);
            blocks::<u64, 1>(from.add(length - 8), to.add(length - 8));
        } else if length >= 4 {
            blocks::<u32, 1>(from, to);
            blocks::<u32, 1>(from.add(length - 4), to.add(length - 4));
        } else if length > 0 {
            *to = *from;
            *to.add(length / 2) = *from.add(length / 2);
            *to.add(length - 1) = *from.add(length - 1);
        }
    }
}

/// # Safety
/// Both places have `COUNT` blocks.
#[inline(always)]
unsafe fn blocks<B: Copy, const COUNT: usize>(from: *const u8, to: *mut u8) {
    for block in 0..COUNT {
        // SAFETY: in bounds by the caller's promise; unaligned on purpose.
        unsafe {
            let value = from.cast::<B>().add(block).read_unaligned();
            to.cast::<B>().add(block).write_unaligned(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{SHORT, copy_short};

    #[test]
    fn a_short_copy_is_a_copy_of_every_length() {
        let from: Vec<u8> = (1..=SHORT as u8).collect();
        for length in 0..=SHORT {
            let mut to = [0_u8; SHORT + 1];
            // SAFETY: `to` has room for all of it.
            unsafe { copy_short(to.as_mut_ptr(), &from[..length]) };
            assert_eq!(to[..length], from[..length]);
            assert!(to[length..].iter().all(|&byte| byte == 0));
        }
    }
}
