//! What a flag resolved to, and why.

use super::names::{self, Word};

/// On, off, or run unseen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum State {
    /// The old code.
    #[default]
    Off = 0,
    /// The new code, in the decision's variant.
    On = 1,
    /// The old code, and the new code besides, unseen: [`Request::dark`](crate::Request::dark).
    Dark = 2,
}

impl State {
    /// `off`, `on` or `dark`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::On => "on",
            Self::Dark => "dark",
        }
    }

    fn of(code: u64) -> Self {
        match code & 3 {
            1 => Self::On,
            2 => Self::Dark,
            _ => Self::Off,
        }
    }
}

macro_rules! reasons {
    ($($name:ident = $code:literal, $letter:literal, $text:literal, $doc:literal;)*) => {
        /// Why a flag resolved to what it did: the first rule that applied.
        #[non_exhaustive]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Reason { $(#[doc = $doc] $name = $code,)* }

        impl Reason {
            /// All reasons.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// As it is written for people and in JSON: `no_unit`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// One letter, for logs.
            #[must_use]
            pub const fn letter(self) -> char {
                match self { $(Self::$name => $letter,)* }
            }

            fn of(code: u64) -> Self {
                match code as u8 & 15 { $($code => Self::$name,)* _ => Self::NotFound }
            }
        }
    };
}

reasons! {
    NotFound = 0, 'm', "not_found", "No file names the flag: the caller's default.";
    Error = 1, 'e', "error", "The flag is broken in its file: the caller's default.";
    Killed = 2, 'k', "killed", "`enabled = \"off\"`, which beats everything.";
    Shed = 3, 's', "shed", "Its priority is shed now, or it would have been dark while anything is.";
    Override = 4, 'o', "override", "`?ioflags=` of somebody whom the gate let through.";
    User = 5, 'u', "user", "The user is listed.";
    Group = 6, 'g', "group", "A group of the user's is listed.";
    On = 7, 'a', "on", "It is on for all.";
    Percent = 8, 'p', "percent", "The unit's bucket is within a percentage.";
    Dark = 9, 'd', "dark", "The unit's bucket is within `dark`.";
    Off = 10, 'x', "off", "None of its rules applied.";
    NoUnit = 11, 'n', "no_unit", "A percentage would have decided, and there is nobody to hash.";
}

#[expect(clippy::derivable_impls, reason = "a macro names the variants")]
impl Default for Reason {
    fn default() -> Self {
        Self::NotFound
    }
}

impl Reason {
    /// Whether the caller's default answers.
    #[must_use]
    pub const fn is_default(self) -> bool {
        matches!(self, Self::NotFound | Self::Error)
    }
}

/// What a flag resolved to: a copy, valid for ever.
///
/// ```
/// let decision = ioprofiler::flags::decide("a_flag_that_no_file_names", true);
/// assert!(decision.is_on(), "the default");
/// assert_eq!(decision.reason().as_str(), "not_found");
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Decision(Packed);

impl Decision {
    #[inline(always)]
    pub(crate) fn new(packed: Packed, default: bool) -> Self {
        if default && packed.reason().is_default() {
            let on = packed.with(State::On, Word::ON, packed.reason());
            return Self(on);
        }
        Self(packed)
    }

    /// On, off or dark; where the flag is not found or broken, the caller's default.
    #[must_use]
    #[inline]
    pub fn state(self) -> State {
        self.0.state()
    }

    /// Whether it is on. Dark is not on.
    #[must_use]
    #[inline]
    pub fn is_on(self) -> bool {
        self.0.state() == State::On
    }

    /// The variant: `on` or `off` where the flag has no others, `dark` where it is dark.
    #[must_use]
    pub fn variant(self) -> &'static str {
        self.0.variant().text()
    }

    /// A number of the variant in this process, for bindings that keep the text on their side.
    #[must_use]
    #[inline]
    pub fn variant_number(self) -> u16 {
        self.0.variant().0
    }

    /// The variant of such a number; empty for a number that none has.
    #[must_use]
    pub fn variant_of_number(number: u16) -> &'static str {
        Word(number).text()
    }

    /// Why.
    #[must_use]
    #[inline]
    pub fn reason(self) -> Reason {
        self.0.reason()
    }

    /// The group that decided, where one did.
    #[must_use]
    pub fn group(self) -> Option<&'static str> {
        (self.reason() == Reason::Group).then(|| self.0.group().text())
    }

    pub(crate) fn packed(self) -> Packed {
        self.0
    }

    /// The flag's name; empty where it is too long, or too many are known.
    #[must_use]
    pub fn flag(self) -> &'static str {
        names::flag_name(self.0.flag())
    }
}

/// `new_search green, group:staff`
impl std::fmt::Display for Decision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}, ", self.flag(), self.variant())?;
        f.write_str(self.reason().as_str())?;
        match self.group() {
            Some(group) => write!(f, ":{group}"),
            None => Ok(()),
        }
    }
}

impl std::fmt::Debug for Decision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Decision({self})")
    }
}

const REASON_SHIFT: u32 = 4;
const VARIANT_SHIFT: u32 = 8;
const GROUP_SHIFT: u32 = 24;
/// The flag stands at the top, below the memory's own bits: one shift leaves what entries are told
/// apart by.
pub(super) const FLAG_SHIFT: u32 = 45;

/// A decision in one word, so that a request's memory of it is read in one load: state, reason,
/// variant, group, flag. The three highest bits are the memory's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packed(pub(crate) u64);

impl Packed {
    #[inline(always)]
    pub(crate) const fn new(flag: u16, state: State, variant: Word, reason: Reason) -> Self {
        Self(
            (flag as u64) << FLAG_SHIFT
                | (variant.0 as u64) << VARIANT_SHIFT
                | (reason as u64) << REASON_SHIFT
                | state as u64,
        )
    }

    pub(crate) const fn off(flag: u16, reason: Reason) -> Self {
        Self::new(flag, State::Off, Word::OFF, reason)
    }

    /// Another result of the same flag.
    pub(crate) fn with(self, state: State, variant: Word, reason: Reason) -> Self {
        Self::new(self.flag(), state, variant, reason)
    }

    pub(crate) fn with_group(self, group: Word) -> Self {
        Self(self.0 | u64::from(group.0) << GROUP_SHIFT)
    }

    #[inline(always)]
    pub(crate) fn flag(self) -> u16 {
        (self.0 >> FLAG_SHIFT) as u16
    }

    #[inline(always)]
    pub(crate) fn variant(self) -> Word {
        Word((self.0 >> VARIANT_SHIFT) as u16)
    }

    pub(crate) fn group(self) -> Word {
        Word((self.0 >> GROUP_SHIFT) as u16)
    }

    #[inline(always)]
    pub(crate) fn reason(self) -> Reason {
        Reason::of(self.0 >> REASON_SHIFT)
    }

    #[inline(always)]
    pub(crate) fn state(self) -> State {
        State::of(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{Decision, Packed, Reason, State, Word};

    #[test]
    fn every_part_of_a_decision_comes_back() {
        for &reason in Reason::ALL {
            for state in [State::Off, State::On, State::Dark] {
                let packed = Packed::new(u16::MAX, state, Word::DARK, reason).with_group(Word::ON);
                assert_eq!(packed.flag(), u16::MAX);
                assert_eq!(packed.state(), state);
                assert_eq!(packed.variant(), Word::DARK);
                assert_eq!(packed.reason(), reason);
                assert_eq!(packed.group(), Word::ON);
                assert_eq!(packed.0 >> 61, 0, "the highest bits are free");
            }
        }
    }

    #[test]
    fn letters_and_names_of_reasons_are_all_different() {
        let letters: std::collections::HashSet<char> =
            Reason::ALL.iter().map(|reason| reason.letter()).collect();
        assert_eq!(letters.len(), Reason::ALL.len());
    }

    #[test]
    fn the_default_answers_only_what_is_not_found_or_broken() {
        for &reason in Reason::ALL {
            let decision = Decision::new(Packed::off(1, reason), true);
            assert_eq!(decision.is_on(), reason.is_default(), "{reason:?}");
            assert_eq!(decision.reason(), reason);
        }
    }
}
