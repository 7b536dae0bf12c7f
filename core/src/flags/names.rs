//! Names ↔ numbers, process-wide: of flags, and of variants and groups.
//!
//! The tables only grow and nothing in them moves, so reading takes no lock, a child of a fork goes
//! on with what it inherited, and a request can keep a decision in one word and give its texts
//! back as `&'static str` whichever snapshot it came from.

use crate::names::Names;
use std::sync::atomic::{AtomicU32, Ordering};

/// A process knows at most so many flags, all snapshots of its life taken together.
pub const MAX_FLAGS: usize = 16_384;
/// Of them at most so many that code asked for and no file knows: a name that is made from what a
/// client sent must not use the numbers up.
const MAX_UNKNOWN: u32 = 1_024;
/// Variants and groups likewise.
const MAX_WORDS: usize = 16_384;
/// No longer name is interned.
pub const MAX_NAME: usize = crate::names::MAX_NAME;

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

#[cfg(test)]
mod tests {
    use super::Word;

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
}
