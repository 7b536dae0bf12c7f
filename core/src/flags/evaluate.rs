//! The decision: the first rule that applies.
//!
//! `enabled = "off"` → shed → override → users → groups → `enabled` → `dark` → off. What needs
//! nothing of the request (killed, shed, on for all) was decided when the snapshot was compiled.

use super::bucket::bucket_of;
use super::decision::{Packed, Reason, State};
use super::names::{self, Word};
use super::subject::{Subject, Unit};

/// What most flags are, in one small place, found by the flag's number.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Head {
    /// No file names the flag.
    #[default]
    Absent,
    /// The same for all.
    Fixed(Packed),
    /// One share of all, nothing else.
    Share {
        seed: u64,
        below: u32,
        variant: Word,
        by: ById,
    },
    /// It has a rule.
    Rule,
}

/// Units that every request may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ById {
    Any,
    Visitor,
    User,
}

impl ById {
    #[inline(always)]
    fn of<'a>(self, who: &Subject<'a>) -> Option<Unit<'a>> {
        match self {
            Self::Any => who.visitor.or(who.user),
            Self::Visitor => who.visitor,
            Self::User => who.user,
        }
    }
}

/// What is hashed.
#[derive(Clone, Debug)]
pub(crate) enum By {
    Id(ById),
    Request,
    Attribute(Box<str>),
}

impl By {
    pub(crate) fn of<'a>(&self, who: &Subject<'a>) -> Option<Unit<'a>> {
        match self {
            Self::Id(id) => id.of(who),
            Self::Request => who.request,
            Self::Attribute(name) => who.attribute(name),
        }
    }
}

/// A flag of a snapshot.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) flag: u16,
    /// Which of the document's flags it was made from.
    pub(crate) spec: u32,
    /// Killed, shed or broken: no override changes that.
    pub(crate) locked: Option<Packed>,
    pub(crate) users: Users,
    pub(crate) groups: Box<[(Box<str>, Packed)]>,
    /// It is the same for all whom no list names.
    pub(crate) all: Option<Packed>,
    /// A unit whose bucket is below the first of these gets it.
    pub(crate) bounds: Box<[(u32, Packed)]>,
    pub(crate) seed: u64,
    pub(crate) by: By,
    /// What an override may choose.
    pub(crate) variants: Box<[Word]>,
    /// Dark work is shed.
    pub(crate) dark_is_shed: bool,
    /// Its number in the log, and its variants'.
    pub(crate) id: Option<u32>,
    pub(crate) numbers: Box<[(Word, u32)]>,
    pub(crate) data: Box<[(Word, std::sync::Arc<str>)]>,
}

impl Rule {
    pub(crate) fn off(&self, reason: Reason) -> Packed {
        Packed::off(self.flag, reason)
    }

    /// A variant as a decision: `off` and `dark` are states, every other is on.
    pub(crate) fn packed(flag: u16, variant: Word, reason: Reason, dark_is_shed: bool) -> Packed {
        match variant {
            Word::OFF => Packed::off(flag, reason),
            Word::DARK if dark_is_shed => Packed::off(flag, Reason::Shed),
            Word::DARK => Packed::new(flag, State::Dark, variant, reason),
            _ => Packed::new(flag, State::On, variant, reason),
        }
    }

    pub(crate) fn decide(&self, who: &Subject<'_>) -> Packed {
        if let Some(locked) = self.locked {
            return locked;
        }
        if let Some(chosen) = self.overridden(who) {
            return chosen;
        }
        if let Some(listed) = who.user.and_then(|user| self.users.find(user)) {
            return listed;
        }
        if let Some((_, listed)) = self.groups.iter().find(|(group, _)| who.is_in(group)) {
            return *listed;
        }
        self.all.unwrap_or_else(|| self.by_share(who))
    }

    pub(crate) fn overridden(&self, who: &Subject<'_>) -> Option<Packed> {
        if who.overrides.is_empty() {
            return None;
        }
        let variant = who.override_of(names::flag_name(self.flag))?;
        let variant = Word::find(variant).filter(|variant| self.variants.contains(variant))?;
        Some(Self::packed(
            self.flag,
            variant,
            Reason::Override,
            self.dark_is_shed,
        ))
    }

    pub(crate) fn by_share(&self, who: &Subject<'_>) -> Packed {
        if self.bounds.is_empty() {
            return self.off(Reason::Off);
        }
        let Some(unit) = self.by.of(who) else {
            return self.off(Reason::NoUnit);
        };
        let bucket = bucket_of(unit.hash, self.seed);
        let within = self.bounds.iter().find(|(below, _)| bucket < *below);
        within.map_or_else(|| self.off(Reason::Off), |(_, decided)| *decided)
    }
}

impl Head {
    /// `None` where its rule is to be looked at.
    #[inline(always)]
    pub(crate) fn decide(&self, flag: u16, who: &Subject<'_>) -> Option<Packed> {
        // One after the other: a jump by a table costs more than both comparisons.
        if let Self::Fixed(decided) = *self {
            return Some(decided);
        }
        let Self::Share {
            seed,
            below,
            variant,
            by,
        } = *self
        else {
            return None;
        };
        Some(match by.of(who) {
            Some(unit) if bucket_of(unit.hash, seed) < below => {
                Packed::new(flag, State::On, variant, Reason::Percent)
            }
            Some(_) => Packed::off(flag, Reason::Off),
            None => Packed::off(flag, Reason::NoUnit),
        })
    }
}

/// Users' ids → decisions. Found by the hash that the request has of its user's id anyway.
#[derive(Debug, Default)]
pub(crate) struct Users {
    /// A power of two, at most half full; the text's place plus one, 0 is free.
    places: Box<[(u64, u32)]>,
    texts: Box<[(Box<str>, Packed)]>,
}

impl Users {
    /// Where an id stands twice, the last one holds.
    pub(crate) fn new(texts: Box<[(Box<str>, Packed)]>) -> Self {
        if texts.is_empty() {
            return Self::default();
        }
        let size = (texts.len() * 2).next_power_of_two();
        let mut users = Self {
            places: vec![(0, 0); size].into(),
            texts,
        };
        for place in (0..users.texts.len()).rev() {
            users.put(place);
        }
        users
    }

    fn put(&mut self, place: usize) {
        let Some((text, _)) = self.texts.get(place) else {
            return;
        };
        let Some(unit) = Unit::of(text) else { return };
        if self.find(unit).is_some() {
            return;
        }
        let mask = self.places.len() - 1;
        let mut at = unit.hash as usize & mask;
        for _ in 0..self.places.len() {
            if let Some(free @ (_, 0)) = self.places.get_mut(at) {
                *free = (unit.hash, place as u32 + 1);
                return;
            }
            at = (at + 1) & mask;
        }
    }

    #[inline]
    pub(crate) fn find(&self, user: Unit<'_>) -> Option<Packed> {
        let mask = self.places.len().checked_sub(1)?;
        let mut at = user.hash as usize & mask;
        for _ in 0..self.places.len() {
            let (hash, place) = *self.places.get(at)?;
            let (text, decided) = self.texts.get(place.checked_sub(1)? as usize)?;
            if hash == user.hash && **text == *user.text {
                return Some(*decided);
            }
            at = (at + 1) & mask;
        }
        None
    }

    pub(crate) fn len(&self) -> usize {
        self.texts.len()
    }
}
