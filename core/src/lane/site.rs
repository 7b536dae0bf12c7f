//! Callers as one word of a record: a `&'static Location` of Rust, or a place that another
//! language named, interned.

use crate::fork::Forever;
use crate::profile::Caller;
use std::panic::Location;

const SITES: usize = 8_192;
const INTERNED: usize = 1;

/// No caller.
pub(crate) const NONE: usize = 0;

static BY_HASH: [Forever<Caller>; SITES] = [const { Forever::empty() }; SITES];

/// The word of a Rust caller.
#[inline(always)]
pub(crate) fn of(location: &'static Location<'static>) -> usize {
    std::ptr::from_ref(location).expose_provenance()
}

/// The number of a place that another language named, from 1 on; `None` once 8,192 are known.
pub(crate) fn number(file: &str, line: u32) -> Option<u32> {
    let mut hash = u64::from(line).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for byte in file.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    }
    let first = (hash ^ (hash >> 31)) as usize;
    let file = crate::text::cut_str(file, 1_024);
    for offset in 0..64 {
        let at = (first + offset) % SITES;
        let place = BY_HASH.get(at)?;
        let site = match place.get() {
            Some(site) => site,
            None => {
                let file = file.to_owned().leak();
                let new: &'static Caller = Box::leak(Box::new(Caller::new(file, line)));
                place.set(new).err().unwrap_or(new)
            }
        };
        if site.line == line && site.file == file {
            return u32::try_from(at + 1).ok();
        }
    }
    None
}

/// The word of a numbered place. Of a number that is no place's it says nothing, like [`NONE`].
#[inline(always)]
pub(crate) fn of_number(number: u32) -> usize {
    let place = BY_HASH.get((number as usize).wrapping_sub(1));
    let site = place
        .and_then(Forever::get)
        .map_or(std::ptr::null(), std::ptr::from_ref);
    site.expose_provenance() | INTERNED
}

/// What a record's word says.
///
/// # Safety
/// The word came from [`of`], [`of_number`] or is [`NONE`].
pub(crate) unsafe fn decode(word: usize) -> Option<Caller> {
    if word & !INTERNED == NONE {
        return None;
    }
    if word & INTERNED != 0 {
        // SAFETY: made by `of_number` from a reference that lives for ever.
        return Some(unsafe { *std::ptr::with_exposed_provenance::<Caller>(word & !INTERNED) });
    }
    // SAFETY: made by `of` from a reference that lives for ever.
    let location = unsafe { &*std::ptr::with_exposed_provenance::<Location<'static>>(word) };
    Some(Caller::new(location.file(), location.line()))
}

const _: () = assert!(align_of::<Location<'static>>() > INTERNED);
const _: () = assert!(align_of::<Caller>() > INTERNED);
