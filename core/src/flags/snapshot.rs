//! A snapshot: a compiled document, which decides. It never changes.

use super::decision::{Decision, Packed, Reason, State};
use super::evaluate::{By, Head, Rule};
use super::explain::{self, Explanation};
use super::flag::AsFlag;
use super::model::{Document, FlagSpec, Shed};
use super::names::Word;
use super::subject::Subject;
use std::collections::HashMap;
use std::sync::Arc;

/// What decides: a document, compiled by [`compile`](super::compile()).
#[derive(Debug)]
pub struct Snapshot {
    version: u64,
    document: Document,
    /// By the flags' numbers.
    heads: Box<[Head]>,
    rules: Box<[Rule]>,
    /// The flags' numbers → places in `rules`, plus one.
    places: Box<[u32]>,
    problems: Vec<String>,
}

impl Default for Snapshot {
    fn default() -> Self {
        super::compile(Document::default())
    }
}

impl Snapshot {
    pub(crate) fn new(
        version: u64,
        document: Document,
        heads: Vec<Head>,
        rules: Vec<Rule>,
        problems: Vec<String>,
    ) -> Self {
        let mut places = vec![0_u32; heads.len()];
        for (place, rule) in rules.iter().enumerate() {
            if let Some(at) = places.get_mut(usize::from(rule.flag)) {
                *at = place as u32 + 1;
            }
        }
        Self {
            version,
            document,
            heads: heads.into(),
            rules: rules.into(),
            places: places.into(),
            problems,
        }
    }

    /// A hash of everything that decides: equal numbers decide equally, in any process. Who wrote
    /// what where, and texts for people, are not part of it.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The version as it is shown and logged: 16 hex digits, of which people say the first four.
    #[must_use]
    pub fn version_text(&self) -> String {
        format!("{:016x}", self.version)
    }

    /// What it was compiled from.
    #[must_use]
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// What is shed now.
    #[must_use]
    pub fn shed(&self) -> Option<&Shed> {
        self.document.shed.as_ref()
    }

    /// What was left out, a line each; empty nearly always.
    #[must_use]
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// Decides about a subject. `default` answers where the flag is not found or broken.
    #[inline(always)]
    #[must_use]
    pub fn decide(&self, flag: impl AsFlag, who: &Subject<'_>, default: bool) -> Decision {
        let known = self.resolve_known(flag.known(), who);
        let decided = known.unwrap_or_else(|| self.by_rule(flag.as_flag(), who));
        Decision::new(decided, default)
    }

    /// Each step of a decision.
    #[must_use]
    pub fn explain(&self, flag: impl AsFlag, who: &Subject<'_>) -> Explanation {
        explain::explain(self, flag.as_flag(), who)
    }

    pub(crate) fn resolve(&self, flag: u16, who: &Subject<'_>) -> Packed {
        let known = self.resolve_known(flag, who);
        known.unwrap_or_else(|| self.by_rule(flag, who))
    }

    /// What needs no rule.
    #[inline(always)]
    fn resolve_known(&self, flag: u16, who: &Subject<'_>) -> Option<Packed> {
        let head = self.heads.get(usize::from(flag))?;
        if !who.overrides.is_empty() {
            return None;
        }
        head.decide(flag, who)
    }

    #[inline(never)]
    fn by_rule(&self, flag: u16, who: &Subject<'_>) -> Packed {
        let not_found = Packed::off(flag, Reason::NotFound);
        self.rule(flag).map_or(not_found, |rule| rule.decide(who))
    }

    pub(crate) fn rule(&self, flag: u16) -> Option<&Rule> {
        let place = self.places.get(usize::from(flag))?.checked_sub(1)?;
        self.rules.get(place as usize)
    }

    /// Whether deciding it takes the request's id, which is not there before somebody wants it.
    pub(crate) fn is_by_request(&self, flag: u16) -> bool {
        self.rule(flag)
            .is_some_and(|rule| matches!(rule.by, By::Request) && !rule.bounds.is_empty())
    }

    pub(crate) fn spec(&self, flag: u16) -> Option<&FlagSpec> {
        self.document.flags.get(self.rule(flag)?.spec as usize)
    }

    /// The flag's number in the log, and the variant's: `on` is 1 and `off` 0 where the file lists
    /// them not.
    pub(crate) fn logged(&self, decided: Packed) -> (Option<u32>, Option<u32>) {
        let Some(rule) = self.rule(decided.flag()) else {
            return (None, None);
        };
        let variant = decided.variant();
        let listed = rule.numbers.iter().find(|(word, _)| *word == variant);
        let number = match (listed, variant) {
            (Some((_, number)), _) => Some(*number),
            (None, Word::OFF) => Some(0),
            (None, Word::ON) => Some(1),
            _ => None,
        };
        (rule.id, number.filter(|_| decided.state() != State::Dark))
    }

    /// The data of a variant, as JSON.
    pub(crate) fn data(&self, decided: Packed) -> Option<Arc<str>> {
        let rule = self.rule(decided.flag())?;
        let (_, data) = rule
            .data
            .iter()
            .find(|(word, _)| *word == decided.variant())?;
        Some(Arc::clone(data))
    }

    /// What is different in a newer snapshot, by name.
    #[must_use]
    pub fn changes<'a>(&'a self, newer: &'a Self) -> Vec<Change<'a>> {
        Change::all(&self.document.flags, &newer.document.flags)
    }
}

/// One flag that is different in a newer snapshot.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// Its name.
    pub flag: &'a str,
    /// As it was; `None`: it is new.
    pub before: Option<&'a FlagSpec>,
    /// As it is; `None`: it is gone.
    pub after: Option<&'a FlagSpec>,
}

impl<'a> Change<'a> {
    /// What is different, by name.
    pub(super) fn all(before: &'a [FlagSpec], after: &'a [FlagSpec]) -> Vec<Self> {
        // Nearly all of them stand where they stood, and are what they were.
        let same = before.iter().zip(after);
        let same = same
            .take_while(|(one, other)| one.name == other.name)
            .count();
        let pairs = before.iter().zip(after).take(same);
        let mut changes: Vec<Self> = pairs
            .map(|(before, after)| Self::of(Some(before), Some(after)))
            .collect();
        let rest = |flags: &'a [FlagSpec]| flags.iter().skip(same);
        let mut gone: HashMap<&str, &FlagSpec> = rest(before)
            .map(|flag| (flag.name.as_str(), flag))
            .collect();
        changes.extend(rest(after).map(|flag| Self::of(gone.remove(&*flag.name), Some(flag))));
        changes.extend(gone.into_values().map(|flag| Self::of(Some(flag), None)));
        changes.retain(Self::is_one);
        changes.sort_unstable_by_key(|change| change.flag);
        changes
    }

    fn of(before: Option<&'a FlagSpec>, after: Option<&'a FlagSpec>) -> Self {
        Self {
            flag: before.or(after).map_or("", |flag| &flag.name),
            before,
            after,
        }
    }

    fn is_one(&self) -> bool {
        match (self.before, self.after) {
            (Some(before), Some(after)) => !before.says_the_same(after),
            _ => true,
        }
    }
}
