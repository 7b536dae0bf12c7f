//! Calls that a request made over and over (N+1): same category, fingerprint and caller. Leaves only:
//! a template that is rendered forty times stands here by what it reads.
//!
//! A fingerprint is the dear part, so one is made only where it can matter: for places that made
//! at least five calls, and once for calls whose details are equal. Hashing comes next: a loop makes
//! the same call from the same line again and again, so what came last is looked at first.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::category::Kind;
use crate::fingerprint::fingerprint_into;
use crate::profile::{Caller, ProfileData, SpanData};

/// As often must a call have been made to be one that repeats.
const LEAST: u64 = 5;
/// So many places are compared before one is looked up.
const PLACES_LOOKED_AT: usize = 12;

/// Calls that differ only in their values.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Repeated {
    /// What was done.
    pub category: &'static str,
    /// What they have in common: the detail without its values.
    pub fingerprint: String,
    /// The line that made them.
    pub caller: Option<Caller>,
    /// How many, at least five.
    pub count: u64,
    /// Sum of their durations. Nanoseconds.
    pub total_ns: u64,
    /// The first of them: an index in [`ProfileData::spans`].
    pub example: u32,
}

/// The repeated calls among the listed, the most expensive first.
#[must_use]
pub fn repeated(data: &ProfileData) -> Vec<Repeated> {
    let details = by_detail(data);
    let mut texts = String::new();
    let ends: Vec<usize> = details
        .iter()
        .map(|group| {
            let span = group.first;
            let cut = span.detail_cut_from.is_some();
            fingerprint_into(&mut texts, span.dialect, &span.detail, cut);
            texts.len()
        })
        .collect();
    let groups = by_fingerprint(&details, &texts, &ends);
    let mut repeated: Vec<Repeated> = groups
        .into_iter()
        .filter(|(_, group)| group.count >= LEAST)
        .map(|(text, group)| Repeated {
            category: group.first.category,
            fingerprint: text.to_owned(),
            caller: group.first.caller,
            count: group.count,
            total_ns: group.total_ns,
            example: group.example,
        })
        .collect();
    repeated.sort_by(|a, b| b.total_ns.cmp(&a.total_ns).then(a.example.cmp(&b.example)));
    repeated
}

/// Calls that are alike so far.
struct Group<'a> {
    place: u32,
    first: &'a SpanData,
    example: u32,
    count: u64,
    total_ns: u64,
}

impl<'a> Group<'a> {
    fn of(place: u32, example: u32, span: &'a SpanData) -> Self {
        Self {
            place,
            first: span,
            example,
            count: 1,
            total_ns: span.duration_ns,
        }
    }

    fn add(&mut self, count: u64, total_ns: u64) {
        self.count = self.count.saturating_add(count);
        self.total_ns = self.total_ns.saturating_add(total_ns);
    }
}

/// Calls of the same category, caller and detail, of places that made enough calls to repeat any.
fn by_detail(data: &ProfileData) -> Vec<Group<'_>> {
    let (places, calls) = places(data);
    let mut known: HashMap<(u32, &str, bool), usize> = HashMap::with_capacity(data.spans.len());
    let mut groups: Vec<Group<'_>> = Vec::with_capacity(data.spans.len());
    for ((index, span), place) in (0_u32..).zip(&data.spans).zip(places) {
        if calls.get(place as usize).is_none_or(|calls| *calls < LEAST) {
            continue;
        }
        match known.entry((place, span.detail.as_str(), span.detail_cut_from.is_some())) {
            Entry::Occupied(entry) => {
                if let Some(group) = groups.get_mut(*entry.get()) {
                    group.add(1, span.duration_ns);
                }
            }
            Entry::Vacant(entry) => {
                entry.insert(groups.len());
                groups.push(Group::of(place, index, span));
            }
        }
    }
    groups
}

/// Each span's place (its category and caller, as a number), and how many calls each place made.
fn places(data: &ProfileData) -> (Vec<u32>, Vec<u64>) {
    let mut numbers: HashMap<(&str, Option<Caller>), u32> = HashMap::new();
    let mut first: Vec<&SpanData> = Vec::new();
    let mut calls: Vec<u64> = Vec::new();
    let places = data.spans.iter().map(|span| {
        let near = first
            .iter()
            .take(PLACES_LOOKED_AT)
            .position(|other| is_same_place(other, span));
        let place = near
            .and_then(|place| u32::try_from(place).ok())
            .unwrap_or_else(|| {
                let next = u32::try_from(first.len()).unwrap_or(u32::MAX);
                *numbers.entry((span.category, span.caller)).or_insert(next)
            });
        if place as usize == first.len() {
            first.push(span);
            calls.push(0);
        }
        if span.kind == Kind::Leaf
            && let Some(calls) = calls.get_mut(place as usize)
        {
            *calls += 1;
        }
        place
    });
    (places.collect(), calls)
}

/// Surely the same category and caller: the same texts in memory.
fn is_same_place(a: &SpanData, b: &SpanData) -> bool {
    let same = |a: &'static str, b: &'static str| std::ptr::eq(a, b);
    same(a.category, b.category)
        && match (a.caller, b.caller) {
            (None, None) => true,
            (Some(a), Some(b)) => a.line == b.line && same(a.file, b.file),
            _ => false,
        }
}

/// Joins groups of the same place whose details have the same fingerprint.
fn by_fingerprint<'a, 't>(
    details: &[Group<'a>],
    texts: &'t str,
    ends: &[usize],
) -> Vec<(&'t str, Group<'a>)> {
    let mut known: HashMap<(u32, &str), usize> = HashMap::new();
    let mut groups: Vec<(&str, Group<'a>)> = Vec::new();
    // The group that each place came to last.
    let mut last: Vec<usize> = Vec::new();
    let mut start = 0;
    for (detail, end) in details.iter().zip(ends) {
        let text = texts.get(start..*end).unwrap_or("");
        start = *end;
        let place = detail.place as usize;
        let is_same = |at: &usize| {
            groups
                .get(*at)
                .is_some_and(|(other, group)| group.place == detail.place && *other == text)
        };
        let at = last.get(place).copied().filter(is_same).unwrap_or_else(|| {
            let next = groups.len();
            *known.entry((detail.place, text)).or_insert(next)
        });
        match groups.get_mut(at) {
            Some((_, group)) => group.add(detail.count, detail.total_ns),
            None => groups.push((text, Group { ..*detail })),
        }
        if last.len() <= place {
            last.resize(place + 1, usize::MAX);
        }
        if let Some(last) = last.get_mut(place) {
            *last = at;
        }
    }
    groups
}
