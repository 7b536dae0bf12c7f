//! What can name a flag.

use super::names;
use std::sync::atomic::{AtomicU16, Ordering};

/// A flag that knows its number after its first use: the cheapest to ask for.
///
/// ```
/// use ioprofiler::Flag;
/// static NEW_SEARCH: Flag = Flag::new("new_search");
///
/// if ioprofiler::flag(&NEW_SEARCH) {
///     // the new code
/// }
/// ```
#[derive(Debug)]
pub struct Flag {
    name: &'static str,
    number: AtomicU16,
}

impl Flag {
    /// A flag, by its name.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            number: AtomicU16::new(0),
        }
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    #[cold]
    #[inline(never)]
    fn look_up(&self) -> u16 {
        let number = names::flag_in_code(self.name).unwrap_or(0);
        self.number.store(number, Ordering::Relaxed);
        number
    }
}

/// A flag's number in this process, for bindings that keep it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FlagId(pub(crate) u16);

impl FlagId {
    /// The number of a name, given at its first use; 0, a flag that is never found, for a name
    /// over [`MAX_NAME`](super::MAX_NAME) bytes, and where too many names are known.
    #[must_use]
    pub fn intern(name: &str) -> Self {
        Self(names::flag_in_code(name).unwrap_or(0))
    }

    /// The number of a name that has one already. It calls nothing of the system. Bytes that are no
    /// UTF-8 name none.
    #[inline]
    #[must_use]
    pub fn find(name: impl AsRef<[u8]>) -> Option<Self> {
        names::find_flag(name.as_ref()).map(Self)
    }

    /// From a number that a binding kept. Any number is allowed.
    #[must_use]
    pub const fn from_number(number: u32) -> Self {
        Self(if number <= u16::MAX as u32 {
            number as u16
        } else {
            0
        })
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0 as u32
    }

    /// The flag's name; empty for a number that none has.
    #[must_use]
    pub fn name(self) -> &'static str {
        names::flag_name(self.0)
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for &super::Flag {}
    impl Sealed for super::FlagId {}
    impl Sealed for &str {}
    impl Sealed for &String {}
}

/// What can name a flag: a [`Flag`], a [`FlagId`], or a name, which is looked up at every call
/// (some nanoseconds more).
pub trait AsFlag: sealed::Sealed + Copy {
    /// Its number, given now if it has none yet.
    #[doc(hidden)]
    fn as_flag(&self) -> u16;

    /// Its number if it has one, else 0, which nothing was ever decided about.
    #[doc(hidden)]
    fn known(&self) -> u16;
}

impl AsFlag for &Flag {
    #[inline(always)]
    fn as_flag(&self) -> u16 {
        match self.number.load(Ordering::Relaxed) {
            0 => self.look_up(),
            number => number,
        }
    }

    #[inline(always)]
    fn known(&self) -> u16 {
        self.number.load(Ordering::Relaxed)
    }
}

impl AsFlag for FlagId {
    #[inline(always)]
    fn as_flag(&self) -> u16 {
        self.0
    }

    #[inline(always)]
    fn known(&self) -> u16 {
        self.0
    }
}

impl AsFlag for &str {
    #[inline]
    fn as_flag(&self) -> u16 {
        names::flag_in_code(self).unwrap_or(0)
    }

    #[inline]
    fn known(&self) -> u16 {
        names::find_flag(self.as_bytes()).unwrap_or(0)
    }
}

impl AsFlag for &String {
    #[inline]
    fn as_flag(&self) -> u16 {
        self.as_str().as_flag()
    }

    #[inline]
    fn known(&self) -> u16 {
        self.as_str().known()
    }
}
