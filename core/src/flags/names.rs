//! Names ↔ numbers, process-wide: of flags, and of variants and groups.
//!
//! The tables only grow and nothing in them moves, so reading takes no lock, a child of a fork goes
//! on with what it inherited, and a request can keep a decision in one word and give its texts
//! back as `&'static str` whichever snapshot it came from.

use crate::fork::Forever;
use std::sync::atomic::{AtomicU32, Ordering};

/// A process knows at most so many flags, all snapshots of its life taken together.
pub const MAX_FLAGS: usize = 16_384;
/// Of them at most so many that code asked for and no file knows: a name that is made from what a
/// client sent must not use the numbers up.
const MAX_UNKNOWN: u32 = 1_024;
/// Variants and groups likewise.
const MAX_WORDS: usize = 16_384;
/// No longer name is interned.
pub const MAX_NAME: usize = 128;

#[derive(Debug)]
struct Named {
    hash: u64,
    name: &'static str,
    number: u16,
}

/// Numbers count from 1; 0 is no name.
struct Names<const MOST: usize, const PLACES: usize> {
    by_name: [Forever<Named>; PLACES],
    by_number: [Forever<Named>; MOST],
    count: AtomicU32,
}

impl<const MOST: usize, const PLACES: usize> Names<MOST, PLACES> {
    const fn new() -> Self {
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
    fn find(&self, name: &[u8]) -> Option<u16> {
        self.look(quick_hash(name), name).ok()
    }

    fn intern(&self, name: &str) -> Option<u16> {
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
    fn name(&self, number: u16) -> Option<&'static str> {
        Some(self.by_number.get(usize::from(number))?.get()?.name)
    }
}

static FLAGS: Names<MAX_FLAGS, { 2 * MAX_FLAGS }> = Names::new();
static WORDS: Names<MAX_WORDS, { 2 * MAX_WORDS }> = Names::new();
static UNKNOWN: AtomicU32 = AtomicU32::new(0);

/// The number of a flag that a file names.
pub(crate) fn intern_flag(name: &str) -> Option<u16> {
    FLAGS.intern(name)
}

/// The number of a flag that code names.
#[inline(always)]
pub(crate) fn flag_in_code(name: &str) -> Option<u16> {
    find_flag(name.as_bytes()).or_else(|| unknown_flag(name))
}

/// The number of a flag that has one. Bytes that are no text are no flag's name.
#[inline(always)]
pub(crate) fn find_flag(name: &[u8]) -> Option<u16> {
    FLAGS.find(name)
}

#[cold]
fn unknown_flag(name: &str) -> Option<u16> {
    // Threads that come here at once may go over it by as many as they are.
    if UNKNOWN.load(Ordering::Relaxed) >= MAX_UNKNOWN {
        return None;
    }
    let number = FLAGS.intern(name)?;
    UNKNOWN.fetch_add(1, Ordering::Relaxed);
    Some(number)
}

/// A flag's name; empty for a number that none has.
pub(crate) fn flag_name(number: u16) -> &'static str {
    FLAGS.name(number).unwrap_or_default()
}

/// A word's number in this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Word(pub(crate) u16);

impl Word {
    // Three words that every process has, numbered past the table's.
    pub(crate) const OFF: Self = Self(MAX_WORDS as u16);
    pub(crate) const ON: Self = Self(MAX_WORDS as u16 + 1);
    pub(crate) const DARK: Self = Self(MAX_WORDS as u16 + 2);

    /// The word's number, given at its first use.
    pub(crate) fn intern(word: &str) -> Option<Self> {
        Self::common(word).or_else(|| WORDS.intern(word).map(Self))
    }

    /// The word's number, if it has one.
    pub(crate) fn find(word: &str) -> Option<Self> {
        Self::common(word).or_else(|| WORDS.find(word.as_bytes()).map(Self))
    }

    fn common(word: &str) -> Option<Self> {
        match word {
            "off" => Some(Self::OFF),
            "on" => Some(Self::ON),
            "dark" => Some(Self::DARK),
            _ => None,
        }
    }

    /// Its text; empty for none.
    #[inline]
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::OFF => "off",
            Self::ON => "on",
            Self::DARK => "dark",
            word => WORDS.name(word.0).unwrap_or_default(),
        }
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
    use super::{MAX_NAME, Names, Word, is_same, quick_hash};

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
    fn words_that_every_process_has_are_the_same_by_any_way() {
        for (word, text) in [
            (Word::OFF, "off"),
            (Word::ON, "on"),
            (Word::DARK, "dark"),
            (Word::default(), ""),
        ] {
            assert_eq!(word.text(), text);
        }
        assert_eq!(Word::intern("on"), Some(Word::ON));
        let green = Word::intern("a green of its own");
        assert_eq!(green, Word::find("a green of its own"));
        assert_eq!(green.map(Word::text), Some("a green of its own"));
        assert_eq!(Word::find("a word that nobody interned"), None);
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
