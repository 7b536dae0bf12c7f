//! Numbers in the log: each means one thing, for as long as there are logs.

use super::problem::{Problem, Severity, shown};
use crate::flags::model::{Document, FlagSpec, Place};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

/// A line of the layers, for a problem that is found in what they say together.
pub(super) struct Layers<'a> {
    pub(super) named: &'a [(PathBuf, Arc<str>)],
}

impl Layers<'_> {
    pub(super) fn problem(
        &self,
        severity: Severity,
        place: Place,
        flag: &FlagSpec,
        message: String,
    ) -> Option<Problem> {
        let (path, text) = self.named.get(place.file as usize)?;
        let at = (place.line as usize).checked_sub(1)?;
        let source = text.lines().nth(at).unwrap_or_default();
        let column = source.chars().take_while(|c| c.is_whitespace()).count() + 1;
        Some(Problem {
            severity,
            file: path.clone(),
            line: place.line,
            column: u32::try_from(column).unwrap_or(u32::MAX),
            flag: Some(flag.name.clone()),
            message,
            source: source.chars().take(200).collect(),
        })
    }
}

pub(super) fn place_of(flag: &FlagSpec, key: &str) -> Option<Place> {
    let mut keys = flag.keys.iter();
    keys.find(|(name, _)| *name == key).map(|(_, place)| *place)
}

/// Numbers in the log that two flags have. Neither is kept from being used.
pub(super) fn between_flags(document: &Document, named: &[(PathBuf, Arc<str>)]) -> Vec<Problem> {
    let layers = Layers { named };
    let mut used: HashMap<u32, &FlagSpec> = HashMap::new();
    let mut problems = Vec::new();
    for flag in &document.flags {
        let Some(id) = flag.id else { continue };
        match used.get(&id) {
            Some(first) => {
                let said = format!(
                    "id = {id} is {}'s; give this flag a number of its own, and never one that was used before",
                    first.name
                );
                let place = place_of(flag, "id").unwrap_or(flag.place);
                problems.extend(layers.problem(Severity::Error, place, flag, said));
            }
            None => {
                used.insert(id, flag);
            }
        }
    }
    problems
}

/// What a number was before and is no more: who reads logs of both times would take two things for
/// one.
#[must_use]
pub fn renumbered(
    document: &Document,
    named: &[(PathBuf, Arc<str>)],
    before: &Document,
) -> Vec<Problem> {
    let layers = Layers { named };
    let flags = document.flags.iter().filter(|flag| flag.broken.is_none());
    let problem = |flag: &FlagSpec, (key, severity, said): (&str, Severity, String)| {
        let place = place_of(flag, key).unwrap_or(flag.place);
        layers.problem(severity, place, flag, said)
    };
    let problems = flags.flat_map(|flag| {
        let mut found = Vec::new();
        of_flag(flag, before, &mut found);
        found
            .into_iter()
            .filter_map(move |found| problem(flag, found))
    });
    problems.collect()
}

type Found = (&'static str, Severity, String);

fn of_flag(flag: &FlagSpec, before: &Document, found: &mut Vec<Found>) {
    let mut flags = before.flags.iter();
    let was = flags.find(|was| was.name == flag.name);
    // Who is in stays in where a flag is renamed, and so does its number.
    let is_renamed = |was: &FlagSpec| {
        let salt = was.salt.as_ref().unwrap_or(&was.name);
        flag.salt.as_ref() == Some(salt)
    };
    if let Some(id) = flag.id {
        let mut others = before.flags.iter();
        let other = others.find(|was| was.id == Some(id) && was.name != flag.name);
        if let Some(other) = other.filter(|other| !is_renamed(other)) {
            found.push(given_away(
                "id",
                &format!("id = {id}"),
                &other.name,
                "this flag",
            ));
        } else if let Some(old) = was.and_then(|was| was.id).filter(|old| *old != id) {
            found.push(changed("id", &format!("id = {id}"), old));
        }
    }
    for (name, number) in &flag.variants {
        let known = was.map_or(&[][..], |was| &was.variants);
        if let Some((other, _)) = known.iter().find(|(was, old)| old == number && was != name) {
            let what = format!("the number {number}");
            found.push(given_away("variants", &what, other, &shown(name)));
        }
        if let Some((_, old)) = known.iter().find(|(was, old)| was == name && old != number) {
            found.push(changed(
                "variants",
                &format!("{} = {number}", shown(name)),
                *old,
            ));
        }
    }
}

fn given_away(key: &'static str, what: &str, whose: &str, to: &str) -> Found {
    let said = format!(
        "{what} was {}'s; give {to} a number of its own, and never one that was used before",
        shown(whose)
    );
    (key, Severity::Error, said)
}

fn changed(key: &'static str, what: &str, old: u32) -> Found {
    let said =
        format!("{what} was {old}: lines of the log from before and after that do not go together");
    (key, Severity::Warning, said)
}
