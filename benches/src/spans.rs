//! One call, begin and end of a span, beside the floor and the peers; whole requests; and how the
//! cost of a call goes with the number of calls.

use crate::contestants::ours::{self, entered, profiler, static_spans};
use crate::contestants::{c_abi, floor, peers};
use crate::harness::{Contestant, Effort, Result, Samples, measure};
use crate::report::{self, Row, Unit, verdict};
use ioprofiler::{Profiler, Record};
use std::fmt::Write as _;

/// Calls in one request; the limit is 2,000 unless said otherwise.
const SIZES: [usize; 5] = [10, 100, 1_000, 10_000, 100_000];
const ALL_LISTED: &str = "100,000 spans a request, max_spans = 100,000";

/// Measures one set in this process; false if it is none of ours.
pub(crate) fn run(part: &str, effort: Effort) -> Result<bool> {
    let Some(set) = set(part)? else {
        return Ok(false);
    };
    measure(set, effort)?;
    Ok(true)
}

/// The contestants of a part.
pub(crate) fn set(part: &str) -> Result<Option<Vec<Contestant>>> {
    let mut set = vec![floor::floor()];
    match part {
        "spans" => {
            set.push(floor::clock());
            set.extend(ours::spans());
            set.extend(c_abi::spans()?);
            set.extend(peers::peers());
        }
        "requests" => set.extend(ours::requests()),
        "sizes" => set.extend(sizes()?),
        _ => return Ok(None),
    }
    Ok(Some(set))
}

/// One call.
pub(crate) fn spans_table(effort: Effort, quick: bool) -> Result<String> {
    if let Err(error) = c_abi::build() {
        eprintln!("C is not measured: {error}");
    }
    let samples = Samples::collect("spans", effort, quick)?;
    let rows = [
        Row::new(floor::FLOOR),
        Row::new(floor::CLOCK),
        Row::new(ours::STATIC).at_most_floors(1.3),
        Row::new(ours::NAMED).at_most_floors(1.3),
        Row::new(ours::HANDLE).at_most_floors(1.3),
        Row::new(ours::SCOPES),
        Row::new(ours::POLL),
        Row::new(ours::OFF).at_most_ns(1.0),
        Row::new(ours::OUTSIDE).at_most_ns(1.0),
        Row::new(c_abi::FLOOR),
        Row::new(c_abi::HANDLE).at_most_floors(1.6),
        Row::new(c_abi::OFF_INLINE).at_most_ns(1.0),
        Row::new(c_abi::OFF_CALL).at_most_ns(5.0),
        Row::new(peers::PUFFIN),
        Row::new(peers::FASTRACE),
        Row::new(peers::TRACING),
        Row::new(peers::OPENTELEMETRY),
    ];
    let title = "A span, begin and end, with a detail of 79 bytes";
    let mut text = report::table(title, &samples, floor::FLOOR, Unit::Nanoseconds, &rows)?;
    for (peer, least) in [(peers::PUFFIN, 2.5), (peers::FASTRACE, 5.0)] {
        if let Some(times) = samples.ratio(peer, ours::STATIC) {
            let verdict = verdict(&format!("≥ {least} ×"), times.median >= least);
            writeln!(text, "{peer} ÷ {}: {times}  {verdict}", ours::STATIC)?;
        }
    }
    Ok(text)
}

/// Whole requests.
pub(crate) fn requests_table(effort: Effort, quick: bool) -> Result<String> {
    let samples = Samples::collect("requests", effort, quick)?;
    let rows = [
        Row::new(ours::EMPTY).at_most_ns(100.0),
        Row::new(ours::EMPTY_FACTS),
        Row::new(ours::HUNDRED),
        Row::new(ours::HUNDRED_TWICE),
        Row::new(ours::SHARED),
    ];
    report::table(
        "A request",
        &samples,
        floor::FLOOR,
        Unit::Nanoseconds,
        &rows,
    )
}

/// By number of calls.
pub(crate) fn sizes_table(effort: Effort, quick: bool) -> Result<String> {
    let samples = Samples::collect("sizes", effort, quick)?;
    let mut rows: Vec<Row> = SIZES
        .into_iter()
        .map(|size| Row::new(size_name(size)))
        .collect();
    rows.push(Row::new(ALL_LISTED));
    let title = "A span, by how many its request makes (max_spans = 2,000: past it, totals only)";
    report::table(title, &samples, floor::FLOOR, Unit::Nanoseconds, &rows)
}

fn size_name(size: usize) -> String {
    format!("{size} spans a request")
}

fn sizes() -> Result<Vec<Contestant>> {
    let on = profiler(Record::Always);
    let sized = |size: usize| {
        let on = on.clone();
        Contestant::new(size_name(size), size as u64, move || {
            entered(&on, || static_spans(size))
        })
    };
    let mut set: Vec<Contestant> = SIZES.into_iter().map(sized).collect();
    let many = Profiler::builder()
        .max_spans(100_000)
        .max_detail_bytes(64 << 20)
        .build()?;
    set.push(Contestant::new(ALL_LISTED, 100_000, move || {
        entered(&many, || static_spans(100_000));
    }));
    Ok(set)
}
