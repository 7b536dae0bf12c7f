//! Names ↔ numbers: a table that only grows and in which nothing moves, so reading takes no lock, and
//! a child of a fork goes on with what it inherited.

use crate::fork::Forever;
use std::sync::atomic::{AtomicU32, Ordering};

/// No longer name is taken.
pub(crate) const MAX_NAME: usize = 128;

#[derive(Debug)]
struct Named {
    hash: u64,
    name: &'static str,
    number: u16,
}

/// Numbers count from 1; 0 is no name.
pub(crate) struct Names<const MOST: usize, const PLACES: usize> {
    by_name: [Forever<Named>; PLACES],
    by_number: [Forever<Named>; MOST],
    count: AtomicU32,
}

impl<const MOST: usize, const PLACES: usize> Names<MOST, PLACES> {
    pub(crate) const fn new() -> Self {
        assert!(PLACES.is_power_of_two() && PLACES >= 2 * MOST && MOST <= 1 << 16);
        Self {
            by_name: [const { Forever::empty() }; PLACES],
            by_number: [const { Forever::empty() }; MOST],
            count: AtomicU32::new(1),
        }
    }

    /// The number of a name, or the free place where it would stand.
    #[inline(always)]
    fn look(&self, hash: u64, name: &[u8]) -> Result<u16, Option<&Forever<Named>>> {
        let mut at = hash as usize % PLACES;
        // The table is never more than half full, so a free place ends this.
        for _ in 0..PLACES {
            let Some(place) = self.by_name.get(at) else {
                break;
            };
            let Some(found) = place.get() else {
                return Err(Some(place));
            };
            if found.hash == hash && is_same(found.name.as_bytes(), name) {
                return Ok(found.number);
            }
            at = (at + 1) % PLACES;
        }
        Err(None)
    }

    #[inline(always)]
    pub(crate) fn find(&self, name: &[u8]) -> Option<u16> {
        self.look(quick_hash(name), name).ok()
    }

    pub(crate) fn intern(&self, name: &str) -> Option<u16> {
        if name.is_empty() || name.len() > MAX_NAME {
            return None;
        }
        let hash = quick_hash(name.as_bytes());
        let mut made: Option<&'static Named> = None;
        loop {
            let place = match self.look(hash, name.as_bytes()) {
                Ok(number) => return Some(number),
                Err(place) => place?,
            };
            let named = match made {
                Some(named) => named,
                None => self.make(hash, name)?,
            };
            made = Some(named);
            // Another thread may have put the same name there first, or another name: look again.
            if place.set(named).is_ok() {
                return Some(named.number);
            }
        }
    }

    /// The loser of a race wastes a number.
    fn make(&self, hash: u64, name: &str) -> Option<&'static Named> {
        let next = |count: u32| ((count as usize) < MOST).then_some(count + 1);
        let number = self
            .count
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next)
            .ok()?;
        let named: &'static Named = Box::leak(Box::new(Named {
            hash,
            name: Box::leak(name.to_owned().into_boxed_str()),
            number: u16::try_from(number).ok()?,
        }));
        self.by_number.get(number as usize)?.replace(named);
        Some(named)
    }

    #[inline]
    pub(crate) fn name(&self, number: u16) -> Option<&'static str> {
        Some(self.by_number.get(usize::from(number))?.get()?.name)
    }
}

/// Of names in memory only, never of units: this one may change from version to version.
#[inline(always)]
fn quick_hash(bytes: &[u8]) -> u64 {
    const FIRST: u64 = 0xa076_1d64_78bd_642f;
    const SECOND: u64 = 0xe703_7ed1_a0b4_28db;
    let length = (bytes.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let (mut state, mut rest) = (length ^ FIRST, bytes);
    while rest.len() > 16 {
        let Some((block, after)) = rest.split_first_chunk::<16>() else {
            break;
        };
        let (a, b) = ends(block);
        state = fold(a ^ state, b ^ SECOND);
        rest = after;
    }
    let (a, b) = ends(rest);
    fold(a ^ state, b ^ SECOND)
}

/// Equal texts. Short ones, as names are, without a call.
#[inline(always)]
fn is_same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    if a.len() <= 16 {
        return ends(a) == ends(b);
    }
    a == b
}

/// Up to 16 bytes as two numbers, which overlap where there are fewer.
#[inline(always)]
fn ends(bytes: &[u8]) -> (u64, u64) {
    if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        return (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        return (
            u32::from_le_bytes(*first).into(),
            u32::from_le_bytes(*last).into(),
        );
    }
    let byte = |at: usize| u64::from(bytes.get(at).copied().unwrap_or(0));
    (byte(0) | byte(1) << 8 | byte(2) << 16, 0)
}

#[inline(always)]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product >> 64) as u64 ^ product as u64
}

#[cfg(test)]
mod tests {
    use super::{MAX_NAME, Names, is_same, quick_hash};

    static SMALL: Names<8, 16> = Names::new();

    #[test]
    fn a_name_keeps_its_number_and_a_full_table_gives_none() {
        let numbers: Vec<Option<u16>> = (0..10)
            .map(|name| SMALL.intern(&format!("name{name}")))
            .collect();
        assert_eq!(numbers.iter().flatten().count(), 7, "{numbers:?}");
        for (place, number) in numbers.iter().enumerate().take(7) {
            let name = format!("name{place}");
            assert_eq!(SMALL.intern(&name), *number);
            assert_eq!(SMALL.find(name.as_bytes()), *number);
            assert_eq!(number.and_then(|n| SMALL.name(n)), Some(name.as_str()));
        }
        assert_eq!(SMALL.find(b"name8"), None);
        assert_eq!(SMALL.intern(""), None);
        assert_eq!(SMALL.intern(&"x".repeat(MAX_NAME + 1)), None);
        assert_eq!(SMALL.name(0), None);
    }

    #[test]
    fn texts_are_the_same_only_where_all_of_their_bytes_are() {
        for length in 0..40 {
            let plain = vec![b'a'; length];
            assert!(is_same(&plain, &plain.clone()));
            assert!(!is_same(&plain, &vec![b'a'; length + 1]));
            for at in 0..length {
                let mut other = plain.clone();
                other[at] = b'b';
                assert!(!is_same(&plain, &other), "{length} {at}");
            }
        }
    }

    #[test]
    fn names_that_differ_anywhere_hash_differently() {
        let mut seen = std::collections::HashSet::new();
        for length in 0..70 {
            let plain = vec![b'a'; length];
            assert!(seen.insert(quick_hash(&plain)), "{length}");
            for at in 0..length {
                let mut name = plain.clone();
                name[at] = b'b';
                assert!(seen.insert(quick_hash(&name)), "{length} {at}");
            }
        }
    }
}
