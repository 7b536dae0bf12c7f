//! Finished requests, added up: by route, by category, by flag.
//!
//! The collector's thread reads each request as numbers (see [`brief`](crate::lane::brief)) and
//! counts them here. Nothing is looked up by text but the route; categories and flags are numbers.
//! How many series there can be is bounded: routes come from the application, and it may be wrong
//! about what a route is.

mod by_category;
mod flags;
mod route;

use super::series::distribution::Histograms;
use super::series::{PROFILER_DROPPED, PROFILER_TIME, Sample, Series, Value};
use crate::category::{self, Kind};
use crate::clock::{self, Scale};
use crate::facts::StoredFacts;
use crate::flags::DARK_PREFIX;
use crate::lane::brief::{Brief, briefs, mark_dark};
use crate::lane::slot::{Held, Slot};
use crate::profile::{Outcome, RequestKind, State};
use by_category::ByCategory;
use flags::ByFlag;
pub(crate) use route::Ending;
use route::Routes;
#[cfg(feature = "otlp")]
pub(super) use route::method as known_method;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What one request, or several, did in one category.
#[derive(Clone, Copy, Debug, Default)]
struct Done {
    calls: u64,
    time_ns: u64,
}

/// What a category is, looked up once.
#[derive(Clone)]
struct CategoryInfo {
    name: Arc<str>,
    /// The flag whose dark work it is.
    dark: Option<Arc<str>>,
}

/// All that was counted in this process, under one version of the application.
pub(crate) struct Aggregate {
    version: Option<Arc<str>>,
    since: u64,
    routes: Routes,
    by_flag: ByFlag,
    histograms: Histograms,
    own_ns: u64,
    categories: Vec<CategoryInfo>,
    /// The calls of the request that is being read, and what they come to.
    calls: Vec<Brief>,
    done: ByCategory<Done>,
}

impl Aggregate {
    pub(crate) fn new(version: Option<Arc<str>>) -> Self {
        Self {
            version,
            since: clock::wall(),
            routes: Routes::default(),
            by_flag: ByFlag::default(),
            histograms: Histograms::default(),
            own_ns: 0,
            categories: Vec::new(),
            calls: Vec::new(),
            done: ByCategory::default(),
        }
    }

    pub(crate) fn version(&self) -> Option<&Arc<str>> {
        self.version.as_ref()
    }

    /// Counts a request that ended.
    pub(crate) fn add(&mut self, held: &Held, scale: &Scale) {
        let slot = held.slot;
        let (begun_at, until) = (
            slot.begun_at.load(Ordering::Relaxed),
            slot.ended_at.load(Ordering::Relaxed),
        );
        let mut calls = std::mem::take(&mut self.calls);
        briefs(held, until, &mut calls);
        self.know_categories(&calls);
        if calls.iter().any(|call| self.dark_flag(call).is_some()) {
            let categories = &self.categories;
            let is_dark = |number: u16| {
                let info = categories.get(usize::from(number));
                info.is_some_and(|info| info.dark.is_some())
            };
            mark_dark(&mut calls, is_dark);
        }
        let page_ns = scale.between(begun_at, until);
        let io_ns = scale.nanoseconds(covered(&calls, until)).min(page_ns);
        // Without its facts, which nobody keeps from a finished request, it is counted all the same.
        let (route, ending) = match slot.facts() {
            Some(facts) => self.route_of(slot, &facts),
            None => (self.routes.other(RequestKind::Web), Ending::of(slot, None)),
        };
        self.routes
            .add_request(route, ending, page_ns, io_ns, &mut self.histograms);
        self.add_calls(route, slot, &calls, scale);
        self.add_flags(slot, page_ns);
        self.calls = calls;
    }

    fn route_of(&mut self, slot: &Slot, facts: &StoredFacts) -> (usize, Ending) {
        let (kind, _) = facts.ending();
        let route = self.routes.of(kind, facts.route_label());
        (route, Ending::of(slot, Some(facts)))
    }

    fn know_categories(&mut self, calls: &[Brief]) {
        let most = calls.iter().map(|call| call.category).max();
        if let Some(most) = most {
            self.know_category(most);
        }
    }

    fn know_category(&mut self, most: u16) {
        while self.categories.len() <= usize::from(most) {
            // Numbers are given in turn, so the next one is known to have a name by now.
            let info = category::info(self.categories.len() as u16);
            let dark = info.name.strip_prefix(DARK_PREFIX);
            self.categories.push(CategoryInfo {
                name: Arc::from(info.name),
                dark: dark.filter(|_| info.kind == Kind::Scope).map(Arc::from),
            });
        }
    }

    fn dark_flag(&self, call: &Brief) -> Option<&Arc<str>> {
        let info = self.categories.get(usize::from(call.category))?;
        info.dark.as_ref().filter(|_| call.is_scope)
    }

    fn add_calls(&mut self, route: usize, slot: &Slot, calls: &[Brief], scale: &Scale) {
        self.done.clear();
        for call in calls {
            let time_ns = scale.between(call.start, call.end);
            if call.dark {
                if let Some(flag) = self.dark_flag(call).cloned() {
                    let failed = call.outcome == Outcome::Error;
                    self.by_flag
                        .add_dark(&flag, time_ns, failed, &mut self.histograms);
                }
                continue;
            }
            let Some(counted) = self.routes.call(route, call.category) else {
                continue;
            };
            counted.duration.record(time_ns, &mut self.histograms);
            match call.outcome {
                Outcome::Error => counted.errors += 1,
                Outcome::Cancelled => counted.cancelled += 1,
                Outcome::Ok | Outcome::Open => {}
            }
            counted.hits += u64::from(call.hits);
            counted.misses += u64::from(call.misses);
            self.sum(call.category, 1, time_ns);
        }
        self.add_unlisted(route, slot, scale);
        let calls: u64 = self.done.iter().map(|(_, done)| done.calls).sum();
        self.own_ns += clock::span_cost().saturating_mul(calls);
    }

    /// Calls past a limit, of which only sums are known.
    fn add_unlisted(&mut self, route: usize, slot: &Slot, scale: &Scale) {
        for (category, sums) in slot.totals.iter() {
            self.know_category(category);
            let sum = |sum: &std::sync::atomic::AtomicU64| sum.load(Ordering::Relaxed);
            let (calls, time_ns) = (sum(&sums.calls), scale.nanoseconds(sum(&sums.ticks)));
            if let Some(counted) = self.routes.call(route, category) {
                counted
                    .duration
                    .record_sum(time_ns, calls, &mut self.histograms);
                counted.errors += sum(&sums.errors);
                counted.cancelled += sum(&sums.cancelled);
                counted.hits += sum(&sums.hits);
                counted.misses += sum(&sums.misses);
            }
            self.sum(category, calls, time_ns);
        }
    }

    fn sum(&mut self, category: u16, calls: u64, time_ns: u64) {
        if let Some(done) = self.done.get_or_make(category) {
            done.calls += calls;
            done.time_ns += time_ns;
        }
    }

    fn add_flags(&mut self, slot: &Slot, page_ns: u64) {
        for seen in slot.flags.seen() {
            if !seen.past {
                self.by_flag
                    .add(seen.decided, page_ns, &self.done, &mut self.histograms);
            }
        }
    }

    /// Counts what pages added up themselves because the queue was full: the sums, under no route
    /// of their own.
    pub(crate) fn add_spilled(&mut self, spilled: &super::spill::Spilled) {
        let route = self.routes.other(RequestKind::Web);
        for (ending, count, time_ns) in spilled.requests() {
            self.routes
                .add_requests(route, ending, time_ns, count, &mut self.histograms);
        }
        for calls in &spilled.calls {
            self.know_category(calls.category);
            if let Some(counted) = self.routes.call(route, calls.category) {
                counted
                    .duration
                    .record_sum(calls.time_ns, calls.calls, &mut self.histograms);
                counted.errors += calls.errors;
                counted.cancelled += calls.cancelled;
                counted.hits += calls.hits;
                counted.misses += calls.misses;
            }
        }
    }

    /// Everything counted so far.
    pub(crate) fn series(&mut self) -> Series {
        let mut samples = Vec::new();
        self.routes
            .samples(&self.categories, &mut self.histograms, &mut samples);
        self.by_flag
            .samples(&self.categories, &mut self.histograms, &mut samples);
        let counter = |metric, labels: &[&str], value| {
            let labels: Vec<Arc<str>> = labels.iter().map(|label| Arc::from(*label)).collect();
            Sample::known(metric, labels, Value::Counter(value))
        };
        samples.push(counter(&PROFILER_TIME, &[], self.own_ns));
        let overflowed = self.routes.overflowed + self.by_flag.overflowed;
        samples.push(counter(&PROFILER_DROPPED, &["series"], overflowed));
        let mut series = Series {
            version: self.version.clone(),
            since: self.since,
            at: clock::wall(),
            samples,
        };
        series.sort();
        series
    }
}

/// For how many ticks at least one leaf was going on, of calls in order of start.
fn covered(calls: &[Brief], until: u64) -> u64 {
    let (mut end, mut covered) = (0, 0);
    for call in calls.iter().filter(|call| !call.is_scope) {
        let start = call.start.max(end);
        let stop = call.end.min(until);
        if stop > start {
            covered += stop - start;
            end = stop;
        }
    }
    covered
}

/// How a request ended, as its series is labelled.
fn outcome_label(state: State, error: bool) -> &'static str {
    match state {
        State::Aborted => "aborted",
        State::Abandoned => "abandoned",
        State::Live | State::Finished if error => "error",
        State::Live | State::Finished => "ok",
    }
}
