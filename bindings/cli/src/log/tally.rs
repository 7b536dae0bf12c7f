//! What the lines of a log add up to: all together, and by group.

use std::collections::{BTreeMap, HashMap};

use super::histogram::Histogram;
use super::record::{Record, Tests};

/// More groups of one kind are one group, `other`.
const MOST_GROUPS: usize = 10_000;
const OTHER: &[u8] = b"other";
/// The reasons of those whom a percentage decided, by letter and by name: within it, or by no rule
/// at all.
const ASSIGNED: [&[u8]; 4] = [b"p", b"x", b"percent", b"off"];

/// By what lines are grouped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct By {
    pub(crate) minute: bool,
    pub(crate) route: bool,
    pub(crate) status: bool,
    pub(crate) tests: bool,
}

/// Lines of one group.
#[derive(Clone, Debug, Default)]
pub(crate) struct Group {
    pub(crate) lines: u64,
    /// In the order of the values that were asked for.
    pub(crate) values: Vec<Histogram>,
}

/// A line that could not be read.
#[derive(Clone, Debug)]
pub(crate) struct Example {
    pub(crate) file: String,
    /// From 1, where that is known.
    pub(crate) line: Option<u64>,
    /// Its beginning.
    pub(crate) text: Vec<u8>,
    pub(crate) why: String,
}

/// By A/B test and variant.
pub(crate) type TestGroups = BTreeMap<Vec<u8>, BTreeMap<Vec<u8>, Group>>;

#[derive(Debug, Default)]
pub(crate) struct Tally {
    by: By,
    values: usize,
    pub(crate) malformed: u64,
    pub(crate) example: Option<Example>,
    /// The first and the last second.
    pub(crate) from: Option<i64>,
    pub(crate) to: Option<i64>,
    pub(crate) all: Group,
    /// By the second that a minute begins with.
    pub(crate) minutes: BTreeMap<i64, Group>,
    /// Lines of further minutes.
    pub(crate) minutes_left_out: u64,
    pub(crate) routes: HashMap<Vec<u8>, Group>,
    pub(crate) statuses: BTreeMap<Vec<u8>, Group>,
    pub(crate) tests: TestGroups,
    /// Lines whose lists of tests and variants are not equally long.
    pub(crate) lists_differ: u64,
    /// Exposures of users whom no percentage decided.
    pub(crate) not_assigned: u64,
    /// Exposures whose reason was not logged.
    pub(crate) without_reason: u64,
}

impl Tally {
    pub(crate) fn new(by: By, values: usize) -> Self {
        Self {
            by,
            values,
            ..Self::default()
        }
    }

    pub(crate) fn malformed(&mut self, example: impl FnOnce() -> Example) {
        self.malformed += 1;
        self.example.get_or_insert_with(example);
    }

    pub(crate) fn add(&mut self, record: &Record<'_>) {
        let values = self.values;
        if let Some(second) = record.second {
            self.from = Some(self.from.map_or(second, |from| from.min(second)));
            self.to = Some(self.to.map_or(second, |to| to.max(second)));
            if self.by.minute {
                self.add_minute(record, minute(second));
            }
        }
        self.all.add(record, values);
        if self.by.route {
            let route = record.route.as_deref().unwrap_or(b"-");
            let full = self.routes.len() >= MOST_GROUPS;
            let group = match self.routes.get_mut(route) {
                Some(group) => group,
                None if full => self.routes.entry(OTHER.to_vec()).or_default(),
                None => self.routes.entry(route.to_vec()).or_default(),
            };
            group.add(record, values);
        }
        if self.by.status {
            let status = record.status.as_deref().unwrap_or(b"-");
            group(&mut self.statuses, status).add(record, values);
        }
        if self.by.tests {
            self.add_tests(record);
        }
    }

    fn add_minute(&mut self, record: &Record<'_>, minute: i64) {
        if self.minutes.len() >= MOST_GROUPS && !self.minutes.contains_key(&minute) {
            self.minutes_left_out += 1;
            return;
        }
        let group = self.minutes.entry(minute).or_default();
        group.add(record, self.values);
    }

    fn add_tests(&mut self, record: &Record<'_>) {
        match &record.tests {
            Tests::None => {}
            Tests::Named(flags) => {
                for (test, variant, reason) in flags {
                    let reason = Some(reason.as_bytes());
                    self.add_test(record, test.as_bytes(), variant.as_bytes(), reason);
                }
            }
            Tests::Lists(ids, variants, reasons) => {
                let (ids, variants, reasons) = (&**ids, &**variants, reasons.as_deref());
                if (ids, variants) == (b"-", b"-") && reasons.is_none_or(|reasons| reasons == b"-")
                {
                    return;
                }
                let count = |list: &[u8]| list.iter().filter(|byte| **byte == b';').count();
                let reasons_fit = reasons.is_none_or(|reasons| count(reasons) == count(ids));
                if count(ids) != count(variants) || !reasons_fit {
                    // Nobody knows which variant is whose.
                    self.lists_differ += 1;
                    return;
                }
                let items = |list: &'_ [u8]| -> Vec<Vec<u8>> {
                    list.split(|byte| *byte == b';')
                        .map(<[u8]>::to_vec)
                        .collect()
                };
                let mut reasons = reasons.map(|reasons| items(reasons).into_iter());
                for (test, variant) in items(ids).iter().zip(items(variants)) {
                    let reason = reasons.as_mut().and_then(Iterator::next);
                    self.add_test(record, test, &variant, reason.as_deref());
                }
            }
        }
    }

    fn add_test(
        &mut self,
        record: &Record<'_>,
        test: &[u8],
        variant: &[u8],
        reason: Option<&[u8]>,
    ) {
        match reason {
            Some(reason) if !ASSIGNED.contains(&reason) => {
                self.not_assigned += 1;
                return;
            }
            Some(_) => {}
            None => self.without_reason += 1,
        }
        let full = self.tests.len() >= MOST_GROUPS && !self.tests.contains_key(test);
        let test = if full { OTHER } else { test };
        let variants = self.tests.entry(test.to_vec()).or_default();
        group(variants, variant).add(record, self.values);
    }

    /// Seconds from the first line to the last, both included.
    pub(crate) fn seconds(&self) -> Option<f64> {
        Some((self.to? - self.from? + 1) as f64)
    }
}

impl Group {
    fn add(&mut self, record: &Record<'_>, values: usize) {
        self.lines += 1;
        self.values.resize(values, Histogram::default());
        for (histogram, value) in self.values.iter_mut().zip(&record.values) {
            if let Some(value) = value {
                histogram.add(*value);
            }
        }
    }
}

fn group<'g>(groups: &'g mut BTreeMap<Vec<u8>, Group>, key: &[u8]) -> &'g mut Group {
    let full = groups.len() >= MOST_GROUPS && !groups.contains_key(key);
    groups
        .entry(if full { OTHER } else { key }.to_vec())
        .or_default()
}

fn minute(second: i64) -> i64 {
    second - second.rem_euclid(60)
}
