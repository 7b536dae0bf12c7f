//! Memory: bytes of a live request, and allocations on the hot path, counted.

use crate::allocations;
use crate::contestants::ours::{entered, profiler, request, static_spans};
use crate::harness::{Result, child};
use ioprofiler::{Facts, Profiler, Record};
use std::fmt::Write as _;

/// How many calls each live request has made, and how many requests are live.
const LIVE: [(&str, usize, usize); 3] = [
    ("live-0", 0, 9_000),
    ("live-20", 20, 9_000),
    ("live-2000", 2_000, 500),
];

/// Both tables.
pub(crate) fn report(quick: bool) -> Result<String> {
    let mut text = String::new();
    writeln!(
        text,
        "\nMemory of a live request (growth of the resident set; target none)"
    )?;
    for (part, spans, requests) in LIVE {
        let output = child(part, quick)?;
        writeln!(
            text,
            "{:<58}{:>12} bytes",
            format!("{spans} spans, {requests} requests live"),
            output.trim()
        )?;
    }
    writeln!(
        text,
        "\nAllocations and page faults after warm-up, in 10,000 requests (to reach: 0)"
    )?;
    text.push_str(&child("allocations", quick)?);
    Ok(text)
}

/// Whether a part is one of ours; if so it was run.
pub(crate) fn run(part: &str) -> Result<bool> {
    if part == "allocations" {
        count_allocations();
        return Ok(true);
    }
    let Some((_, spans, requests)) = LIVE.into_iter().find(|(name, ..)| *name == part) else {
        return Ok(false);
    };
    println!("{}", live_request(spans, requests)?);
    Ok(true)
}

/// Resident bytes that one live request adds.
fn live_request(spans: usize, requests: usize) -> Result<u64> {
    let on = Profiler::builder().max_memory(1 << 30).build()?;
    entered(&on, || static_spans(spans));
    let mut live = Vec::with_capacity(requests);
    let before = resident()?;
    for _ in 0..requests {
        let request = on.begin(&Facts::web("GET", "/listing/5773453"));
        let entered = request.enter();
        static_spans(spans);
        drop(entered);
        live.push(request);
    }
    let after = resident()?;
    let listed = live
        .last()
        .map_or(0, |request| request.snapshot().data().spans.len());
    if listed != spans {
        return Err(
            format!("{listed} of {spans} spans were kept: the figure would be wrong").into(),
        );
    }
    Ok(after.saturating_sub(before) / requests as u64)
}

/// Bytes of this process that are in memory.
pub(crate) fn resident() -> Result<u64> {
    let pages = std::fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = pages
        .split(' ')
        .nth(1)
        .ok_or("statm has no second field")?
        .parse()?;
    // SAFETY: asks for a constant.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    Ok(pages * u64::try_from(page)?)
}

/// Counts, for each way to record, what is allocated once everything is warm.
fn count_allocations() {
    let on = profiler(Record::Always);
    count("begin + finish, no span", || request(&on, |_| ()));
    count("begin + 100 spans + finish, current request", || {
        entered(&on, || static_spans(100))
    });
    count("begin + 100 spans + finish, explicit request", || {
        request(&on, |request| {
            (0..100).for_each(|_| drop(request.span("dbshard01", "SELECT 1")))
        });
    });
    count("begin + 100 nested scopes + finish", || {
        entered(&on, || {
            (0..100).for_each(|_| drop(ioprofiler::scope("template", "item.html")))
        });
    });
    count("begin + 3,000 spans + finish (past max_spans)", || {
        entered(&on, || static_spans(3_000))
    });
}

fn count(name: &str, mut batch: impl FnMut()) {
    let many = if name.contains("3,000") { 200 } else { 10_000 };
    (0..many).for_each(|_| batch());
    let (allocations, faults) = (allocations::count(), allocations::page_faults());
    (0..many).for_each(|_| batch());
    let allocations = allocations::count() - allocations;
    let faults = allocations::page_faults() - faults;
    println!("{name:<58}{allocations:>12} allocations {faults:>6} page faults");
}
