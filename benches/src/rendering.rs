//! The right half: reading and rendering a profile of 100 and of 2,000 calls.

use crate::contestants::floor;
use crate::contestants::ours::{profiler, request};
use crate::harness::{Contestant, Effort, Result, Samples, measure};
use crate::report::{self, Row, Unit};
use ioprofiler::{Category, Facts, Profile, Record, Request};
use std::hint::black_box;

const CALLS: [usize; 2] = [100, 2_000];

/// A name, and a rendering that returns the bytes it made.
type Rendering = (&'static str, fn(&Profile) -> usize);

const RENDERINGS: [Rendering; 5] = [
    ("HTML panel", |profile| profile.html().len()),
    ("text", |profile| profile.text().len()),
    ("ticket", |profile| profile.ticket().len()),
    ("JSON", |profile| profile.json().len()),
    ("Server-Timing", |profile| profile.server_timing().len()),
];
const READ: &str = "snapshot, first read";

/// Measures all of it in this process.
pub(crate) fn run(effort: Effort) -> Result<()> {
    let on = profiler(Record::Always);
    request(&on, |_| ());
    let mut set = vec![floor::floor()];
    for calls in CALLS {
        let live = on.begin(&Facts::web("GET", "/listing/5773453").query("ref=home"));
        record(&live, calls);
        for (what, render) in RENDERINGS {
            let profile = live.snapshot();
            black_box(profile.data());
            set.push(Contestant::new(name(what, calls), 1, move || {
                black_box(render(&profile));
            }));
        }
        set.push(Contestant::new(name(READ, calls), 1, move || {
            black_box(live.snapshot().data());
        }));
    }
    measure(set, effort)
}

/// The table.
pub(crate) fn report(effort: Effort, quick: bool) -> Result<String> {
    let samples = Samples::collect("rendering", effort, quick)?;
    let mut rows = Vec::new();
    for calls in CALLS {
        for what in [READ].into_iter().chain(RENDERINGS.map(|(what, _)| what)) {
            let row = Row::new(name(what, calls));
            let is_target = what == "HTML panel" && calls == 2_000;
            rows.push(if is_target {
                row.at_most_ns(2_000_000.0)
            } else {
                row
            });
        }
    }
    report::table(
        "Reading and rendering a profile",
        &samples,
        floor::FLOOR,
        Unit::Microseconds,
        &rows,
    )
}

fn name(what: &str, calls: usize) -> String {
    format!("{what}, {calls} calls")
}

/// Calls as a page makes them: details differ, some repeat, scopes hold leaves.
fn record(request: &Request, calls: usize) {
    static PAGE: Category = Category::scope("template");
    static SHARD: Category = Category::leaf("dbshard01").dialect(ioprofiler::Dialect::MySql);
    static CACHE: Category = Category::leaf("memcache_get").dialect(ioprofiler::Dialect::Keys);
    let _entered = request.enter();
    let mut open = None;
    for call in 0..calls {
        if call % 10 == 0 {
            // The one before ends first.
            drop(open.take());
            open = Some(ioprofiler::scope(
                &PAGE,
                format!("listing/{}.html", call % 7),
            ));
        } else if call % 3 == 0 {
            let sql =
                format!("SELECT * FROM Listing WHERE listing_id = {call} AND state = 'active'");
            drop(ioprofiler::span(&SHARD, sql));
        } else {
            let keys = format!("Cache HIT, keys: Etsy_Cache_Results:c812331f123321:{call}");
            drop(ioprofiler::span(&CACHE, keys));
        }
    }
}
