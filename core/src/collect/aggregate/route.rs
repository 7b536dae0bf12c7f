//! Requests and their calls, by route.

use super::super::series::distribution::{Histograms, Timer};
use super::super::series::{
    CALL_CANCELLED, CALL_DURATION, CALL_ERRORS, CALL_HITS, CALL_MISSES, REQUEST_DURATION,
    REQUEST_IO, REQUEST_OTHER, Sample, Value,
};
use super::by_category::ByCategory;
use super::{CategoryInfo, outcome_label};
use crate::facts::StoredFacts;
use crate::lane::slot::Slot;
use crate::profile::{RequestKind, State};
use std::collections::HashMap;
use std::sync::Arc;

/// Routes of their own; what comes then is counted under `other`.
const MOST_ROUTES: usize = 500;
/// Series of calls, all routes together; what comes then is counted under the route `other`, and
/// there under as many categories as a process can have.
const MOST_CALLS: usize = 4_000;
/// Endings of one route: methods, statuses and outcomes. What comes then has no status.
const MOST_ENDINGS: usize = 64;

const OTHER: &str = "other";

/// How a request ended: what tells the series of one route apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    pub(crate) method: &'static str,
    /// 0 where there was none.
    pub(crate) status: u16,
    pub(crate) outcome: &'static str,
}

impl Ending {
    pub(super) fn of(slot: &Slot, facts: Option<&StoredFacts>) -> Self {
        let status = slot.status();
        let failed = facts.is_some_and(|facts| facts.ending().1);
        let is_web = facts.is_none_or(|facts| facts.kind() == RequestKind::Web);
        Self {
            method: match facts {
                Some(facts) if is_web => method(facts.method()),
                _ => "",
            },
            status: status.filter(|_| is_web).unwrap_or(0),
            outcome: outcome_label(
                slot.ended(),
                failed || status.is_some_and(|code| code >= 500),
            ),
        }
    }

    /// How a request ended whose facts nobody read.
    pub(crate) fn unknown(state: State, error: bool) -> Self {
        Self {
            method: "",
            status: 0,
            outcome: outcome_label(state, error),
        }
    }
}

/// A method as a label: clients may send any word.
pub(in crate::collect) fn method(method: &str) -> &'static str {
    const KNOWN: [&str; 10] = [
        "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY",
    ];
    let known = KNOWN.iter().find(|known| **known == method);
    known.copied().unwrap_or(OTHER)
}

/// The calls of one category on one route.
#[derive(Default)]
pub(crate) struct Calls {
    pub(crate) duration: Timer,
    pub(crate) errors: u64,
    pub(crate) cancelled: u64,
    pub(crate) hits: u64,
    pub(crate) misses: u64,
}

struct Route {
    kind: RequestKind,
    name: Arc<str>,
    endings: Vec<(Ending, Timer)>,
    io_ns: u64,
    other_ns: u64,
    calls: ByCategory<Calls>,
}

/// All routes.
#[derive(Default)]
pub(crate) struct Routes {
    routes: Vec<Route>,
    by_name: [HashMap<Box<str>, usize>; 3],
    call_series: usize,
    /// Requests and calls that were counted under `other`.
    pub(crate) overflowed: u64,
}

impl Routes {
    /// The place of a route; of one too many, that of `other`.
    pub(crate) fn of(&mut self, kind: RequestKind, name: &str) -> usize {
        let Some(names) = self.by_name.get(kind as usize) else {
            return self.other(kind);
        };
        if let Some(place) = names.get(name) {
            return *place;
        }
        if self.routes.len() >= MOST_ROUTES {
            self.overflowed += 1;
            return self.other(kind);
        }
        self.make(kind, name)
    }

    /// The route that stands for all that are not known.
    pub(crate) fn other(&mut self, kind: RequestKind) -> usize {
        let known = self.by_name.get(kind as usize);
        match known.and_then(|names| names.get(OTHER)) {
            Some(place) => *place,
            None => self.make(kind, OTHER),
        }
    }

    fn make(&mut self, kind: RequestKind, name: &str) -> usize {
        let place = self.routes.len();
        if let Some(names) = self.by_name.get_mut(kind as usize) {
            names.insert(Box::from(name), place);
        }
        self.routes.push(Route {
            kind,
            name: Arc::from(name),
            endings: Vec::new(),
            io_ns: 0,
            other_ns: 0,
            calls: ByCategory::default(),
        });
        place
    }

    pub(crate) fn add_request(
        &mut self,
        route: usize,
        ending: Ending,
        page_ns: u64,
        io_ns: u64,
        histograms: &mut Histograms,
    ) {
        let Some(route) = self.routes.get_mut(route) else {
            return;
        };
        route.io_ns = route.io_ns.saturating_add(io_ns);
        route.other_ns = route.other_ns.saturating_add(page_ns.saturating_sub(io_ns));
        if let Some(duration) = route.ending(ending) {
            duration.record(page_ns, histograms);
        }
    }

    /// Several, of which only the sum is known.
    pub(crate) fn add_requests(
        &mut self,
        route: usize,
        ending: Ending,
        sum_ns: u64,
        count: u64,
        histograms: &mut Histograms,
    ) {
        let route = self.routes.get_mut(route);
        if let Some(duration) = route.and_then(|route| route.ending(ending)) {
            duration.record_sum(sum_ns, count, histograms);
        }
    }

    /// The calls of a category, to be counted.
    #[inline]
    pub(crate) fn call(&mut self, route: usize, category: u16) -> Option<&mut Calls> {
        let known = self.routes.get(route)?.calls.has(category);
        let route = if known {
            route
        } else {
            self.place_for_calls(route, category)?
        };
        self.routes.get_mut(route)?.calls.get_or_make(category)
    }

    /// The route that a new series of calls may be made in.
    #[cold]
    fn place_for_calls(&mut self, route: usize, category: u16) -> Option<usize> {
        if self.call_series < MOST_CALLS {
            self.call_series += 1;
            return Some(route);
        }
        self.overflowed += 1;
        let kind = self.routes.get(route)?.kind;
        let other = self.other(kind);
        if !self.routes.get(other)?.calls.has(category) {
            self.call_series += 1;
        }
        Some(other)
    }

    /// Adds what was counted so far to a list.
    pub(crate) fn samples(
        &mut self,
        categories: &[CategoryInfo],
        histograms: &mut Histograms,
        samples: &mut Vec<Sample>,
    ) {
        for route in &mut self.routes {
            route.samples(categories, histograms, samples);
        }
    }
}

impl Route {
    fn ending(&mut self, ending: Ending) -> Option<&mut Timer> {
        let place = |endings: &[(Ending, Timer)], ending| {
            endings.iter().position(|(there, _)| *there == ending)
        };
        let is_full = self.endings.len() >= MOST_ENDINGS;
        let ending = match place(&self.endings, ending) {
            None if is_full => Ending {
                method: OTHER,
                status: 0,
                outcome: ending.outcome,
            },
            _ => ending,
        };
        let place = place(&self.endings, ending).unwrap_or_else(|| {
            self.endings.push((ending, Timer::default()));
            self.endings.len() - 1
        });
        self.endings.get_mut(place).map(|(_, duration)| duration)
    }

    fn samples(
        &mut self,
        categories: &[CategoryInfo],
        histograms: &mut Histograms,
        samples: &mut Vec<Sample>,
    ) {
        let kind: Arc<str> = Arc::from(self.kind.as_str());
        let route = || [Arc::clone(&kind), Arc::clone(&self.name)];
        for (ending, duration) in &mut self.endings {
            let status = match ending.status {
                0 => Arc::from(""),
                status => Arc::from(status.to_string()),
            };
            let ending = [Arc::from(ending.method), status, Arc::from(ending.outcome)];
            let total = duration.total(histograms).clone();
            samples.push(Sample::known(
                &REQUEST_DURATION,
                route().into_iter().chain(ending),
                Value::Distribution(total),
            ));
        }
        for (metric, time) in [(&REQUEST_IO, self.io_ns), (&REQUEST_OTHER, self.other_ns)] {
            samples.push(Sample::known(metric, route(), Value::Counter(time)));
        }
        for (category, calls) in self.calls.iter_mut() {
            let Some(category) = categories.get(usize::from(category)) else {
                continue;
            };
            let labels = || route().into_iter().chain([Arc::clone(&category.name)]);
            let total = calls.duration.total(histograms).clone();
            samples.push(Sample::known(
                &CALL_DURATION,
                labels(),
                Value::Distribution(total),
            ));
            for (metric, count) in [
                (&CALL_ERRORS, calls.errors),
                (&CALL_CANCELLED, calls.cancelled),
                (&CALL_HITS, calls.hits),
                (&CALL_MISSES, calls.misses),
            ] {
                if count != 0 {
                    samples.push(Sample::known(metric, labels(), Value::Counter(count)));
                }
            }
        }
    }
}
