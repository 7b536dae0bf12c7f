//! From spans to a table: time per category, I/O wall, repeated calls.
//!
//! A pure function of [`ProfileData`]. Calls and times of a category come from the exact totals.
//! The rest needs the list of calls:
//!
//! - **Self** is a call's duration minus the union of its children, each clipped to it. A leaf has
//!   no children, so its self time is its time, exact even where calls are unlisted.
//! - **I/O wall** is the union of all leaves, clipped to the page; **other** is the page minus it.
//! - **Repeated** are calls of one category, fingerprint and caller, five or more.
//!
//! Where a limit left calls unlisted, the table is `partial`: what needs the list is a bound.
//! I/O wall and repeats are at least what is said, other at most. The self time of a scope is at
//! least its listed self time minus the time of *all* unlisted calls, since any of them may have
//! happened inside it; so a scope never seems to have done itself what its unlisted children did.

mod repeated;

use std::collections::HashMap;

use crate::category::Kind;
use crate::profile::{ProfileData, SpanData};

pub use repeated::{Repeated, repeated};

/// What one request did, by category.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// One row a category, in order of first use; the same order as [`ProfileData::totals`].
    pub rows: Vec<Row>,
    /// TOTAL CALLS: all calls, listed or not.
    pub total_calls: u64,
    /// TOTAL CALLS' time: the sum of the rows' self times. Nanoseconds.
    pub total_calls_self_ns: u64,
    /// That sum is a lower bound, because that of a row is.
    pub total_at_least: bool,
    /// How many times the page's time that sum is, where it exceeds it: calls ran in parallel.
    pub parallel: Option<f64>,
    /// TOTAL PAGE EXEC: wall time of the page. Nanoseconds.
    pub page_ns: u64,
    /// I/O WALL: during how much of the page at least one leaf was going on. Nanoseconds.
    pub io_wall_ns: u64,
    /// OTHER: the page minus I/O wall. Nanoseconds.
    pub other_ns: u64,
    /// Calls are unlisted: I/O wall and repeats are lower bounds (`≥`), other is an upper one.
    pub partial: bool,
    /// Repeated calls, the most expensive first.
    pub repeated: Vec<Repeated>,
}

/// One category in one request.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// The category's name.
    pub category: &'static str,
    /// Leaf or scope.
    pub kind: Kind,
    /// All calls, open ones included. Exact.
    pub calls: u64,
    /// Sum of their durations. Exact. Nanoseconds.
    pub time_ns: u64,
    /// Sum of their self times. Nanoseconds.
    pub self_ns: u64,
    /// The self time is a lower bound: calls are unlisted, and this is a scope.
    pub self_at_least: bool,
    /// Calls that failed.
    pub errors: u64,
    /// Calls whose future was dropped.
    pub cancelled: u64,
    /// Calls not ended yet.
    pub open: u64,
    /// Keys found.
    pub hits: u64,
    /// Keys not found.
    pub misses: u64,
}

/// The table of a profile, repeated calls included.
///
/// ```
/// use ioprofiler::profile::ProfileData;
/// use ioprofiler::table::table;
///
/// let empty = table(&ProfileData::default());
/// assert!(empty.rows.is_empty());
/// assert_eq!(empty.total_calls, 0);
/// ```
#[must_use]
pub fn table(data: &ProfileData) -> Table {
    Table {
        repeated: repeated(data),
        ..times(data)
    }
}

/// The table without repeated calls: no fingerprint is made.
#[must_use]
pub fn times(data: &ProfileData) -> Table {
    let partial = data.unlisted > 0;
    let rows = rows(data, partial);
    let total_calls_self_ns = sum(rows.iter().map(|row| row.self_ns));
    let io_wall_ns = io_wall_ns(data);
    Table {
        total_calls: sum(rows.iter().map(|row| row.calls)),
        total_calls_self_ns,
        total_at_least: rows.iter().any(|row| row.self_at_least),
        parallel: parallel(total_calls_self_ns, data.page_ns),
        page_ns: data.page_ns,
        io_wall_ns,
        other_ns: data.page_ns.saturating_sub(io_wall_ns),
        partial,
        repeated: Vec::new(),
        rows,
    }
}

/// During how much of the page at least one listed leaf was going on, in nanoseconds: the union of
/// the leaves' intervals, clipped to the page.
#[must_use]
pub fn io_wall_ns(data: &ProfileData) -> u64 {
    let mut wall = Union::default();
    for_each_by_start(data, |_, span| {
        if span.kind == Kind::Leaf {
            let (start, end) = interval(span);
            wall.add(start.min(data.page_ns), end.min(data.page_ns));
        }
    });
    wall.covered_ns
}

/// The self time of each listed span, in the order of [`ProfileData::spans`], in nanoseconds.
#[must_use]
pub fn self_times(data: &ProfileData) -> Vec<u64> {
    let mut covered = vec![Union::default(); data.spans.len()];
    for_each_by_start(data, |_, span| {
        let Some(parent_index) = span.parent.map(|parent| parent as usize) else {
            return;
        };
        let Some(parent) = data.spans.get(parent_index) else {
            return;
        };
        let (parent_start, parent_end) = interval(parent);
        let (start, end) = interval(span);
        if let Some(union) = covered.get_mut(parent_index) {
            union.add(start.max(parent_start), end.min(parent_end));
        }
    });
    let own = |(span, union): (&SpanData, &Union)| match span.kind {
        Kind::Leaf => span.duration_ns,
        Kind::Scope => span.duration_ns.saturating_sub(union.covered_ns),
    };
    data.spans.iter().zip(&covered).map(own).collect()
}

fn rows(data: &ProfileData, partial: bool) -> Vec<Row> {
    let scope_self = scope_self_times(data);
    let listed_ns = sum(data.spans.iter().map(|span| span.duration_ns));
    let unlisted_ns = sum(data.totals.iter().map(|total| total.time_ns)).saturating_sub(listed_ns);
    let row = |total: &crate::profile::CategoryTotal| {
        let is_scope = total.kind == Kind::Scope;
        let listed_self = || scope_self.get(total.category).copied().unwrap_or(0);
        Row {
            category: total.category,
            kind: total.kind,
            calls: total.calls,
            time_ns: total.time_ns,
            self_ns: match (is_scope, partial) {
                (false, _) => total.time_ns,
                (true, false) => listed_self(),
                (true, true) => listed_self().saturating_sub(unlisted_ns),
            },
            self_at_least: is_scope && partial,
            errors: total.errors,
            cancelled: total.cancelled,
            open: total.open,
            hits: total.hits,
            misses: total.misses,
        }
    };
    data.totals.iter().map(row).collect()
}

/// The summed self time of the listed calls of each scope category.
fn scope_self_times(data: &ProfileData) -> HashMap<&'static str, u64> {
    let mut by_category = HashMap::new();
    if data.totals.iter().all(|total| total.kind == Kind::Leaf) {
        return by_category;
    }
    for (span, self_ns) in data.spans.iter().zip(self_times(data)) {
        if span.kind == Kind::Scope {
            let time: &mut u64 = by_category.entry(span.category).or_default();
            *time = time.saturating_add(self_ns);
        }
    }
    by_category
}

/// How many pages' time the calls took, where that is more than one.
fn parallel(calls_ns: u64, page_ns: u64) -> Option<f64> {
    // The loss of digits past 2^53 ns (104 days) does not show in a factor.
    (calls_ns > page_ns && page_ns > 0).then(|| calls_ns as f64 / page_ns as f64)
}

/// Intervals that come in order of start, and how much they cover together.
#[derive(Clone, Copy, Debug, Default)]
struct Union {
    until_ns: u64,
    covered_ns: u64,
}

impl Union {
    fn add(&mut self, start_ns: u64, end_ns: u64) {
        let start_ns = start_ns.max(self.until_ns);
        if end_ns > start_ns {
            self.covered_ns = self.covered_ns.saturating_add(end_ns - start_ns);
            self.until_ns = end_ns;
        }
    }
}

/// Visits the spans in order of start. They are kept so; where they are not, they are sorted.
fn for_each_by_start<'a>(data: &'a ProfileData, mut visit: impl FnMut(usize, &'a SpanData)) {
    if data.spans.is_sorted_by_key(|span| span.start_ns) {
        for (index, span) in data.spans.iter().enumerate() {
            visit(index, span);
        }
        return;
    }
    let mut sorted: Vec<(usize, &SpanData)> = data.spans.iter().enumerate().collect();
    sorted.sort_by_key(|(_, span)| span.start_ns);
    for (index, span) in sorted {
        visit(index, span);
    }
}

fn interval(span: &SpanData) -> (u64, u64) {
    (
        span.start_ns,
        span.start_ns.saturating_add(span.duration_ns),
    )
}

fn sum(values: impl Iterator<Item = u64>) -> u64 {
    values.fold(0, u64::saturating_add)
}
