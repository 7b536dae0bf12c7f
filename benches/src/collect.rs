//! The collector: what handing a finished request over costs its page, what adding it up costs the
//! collector's thread, and what the application's own counts cost, beside other libraries'.

use crate::contestants::floor;
use crate::contestants::ours::static_spans;
use crate::harness::{Contestant, Effort, Result, Samples, measure, thread_cpu_ns};
use crate::report::{self, Row, Unit, verdict};
use ioprofiler::{Facts, Profiler};
use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Duration;

const ALONE: &str = "begin + finish, nobody counts";
const HANDED: &str = "begin + finish, handed over, up to 100 wait";
const HANDED_COLD: &str = "begin + finish, handed over, up to 4,000 wait";
const SPILLED: &str = "begin + finish, the queue is full";
const SPILLED_100: &str = "begin + 100 spans + finish, the queue is full: a span";
const ADDED: &str = "a span added up (requests of 100, with 5 categories)";
const ADDED_EMPTY: &str = "a request without spans added up";
const SERIES: &str = "reading 1,000 series (each)";
const COUNT: &str = "count()";
const COUNT_LABELLED: &str = "count(), of a name with two labels";
const GAUGE: &str = "gauge()";
const TIMING: &str = "timing()";
const METRICS: &str = "metrics 0.24 + exporter-prometheus 0.18: counter!().increment()";
const METRICS_TIMING: &str = "the same: histogram!().record()";
const CLIENT: &str = "prometheus-client 0.26: a Counter that is kept at hand";
const CLIENT_FAMILY: &str = "the same: a Family looked up by label";
const OPENTELEMETRY: &str = "opentelemetry_sdk 0.33: Counter::add, with a label";

/// Requests that wait in the queue at once: what a server of 400 pages a second leaves there, and
/// nearly half of what it holds, which no cache does.
const FEW: u64 = 100;
const MANY: u64 = 4_000;
/// Requests that are added up at once.
const ADDED_AT_ONCE: u64 = 1_000;

fn profiler() -> Profiler {
    let built = Profiler::builder()
        .metrics(true)
        .threadless(true)
        .max_live_requests(20_000)
        .max_memory(512 << 20)
        .build();
    built.expect("these options are right")
}

fn page(profiler: &Profiler, calls: impl FnOnce()) {
    let request = profiler.begin(&Facts::web("GET", "/listing/5773453"));
    request.set_route("/listing/{id}");
    let entered = request.enter();
    calls();
    drop(entered);
    drop(black_box(request.finish(200, 5_120)));
}

/// Pages one after the other, of which only their own time is taken, not that of the collector.
fn pages(name: &str, waiting: u64, profiler: Profiler) -> Contestant {
    Contestant::timed(name, 1, move |batches| {
        let mut total = 0;
        let mut left = batches;
        while left > 0 {
            let now = left.min(waiting);
            let start = thread_cpu_ns();
            (0..now).for_each(|_| page(&profiler, nothing));
            total += thread_cpu_ns() - start;
            profiler.flush(Duration::from_secs(10));
            left -= now;
        }
        total
    })
}

/// Pages whose requests the queue does not take any more.
fn spilled(name: &str, operations: u64, calls: fn()) -> Contestant {
    let profiler = profiler();
    (0..9_000).for_each(|_| page(&profiler, || ()));
    Contestant::new(name, operations, move || page(&profiler, calls))
}

/// What the collector's thread does with finished requests.
fn added(name: &str, spans: u64, calls: fn()) -> Contestant {
    let profiler = profiler();
    Contestant::timed(name, ADDED_AT_ONCE * spans.max(1), move |batches| {
        let mut total = 0;
        for _ in 0..batches {
            (0..ADDED_AT_ONCE).for_each(|_| page(&profiler, calls));
            let start = thread_cpu_ns();
            profiler.flush(Duration::from_secs(60));
            total += thread_cpu_ns() - start;
        }
        total
    })
}

fn five_categories() {
    for _ in 0..20 {
        for category in ["dbshard01", "dbshard02", "memcache_get", "template", "http"] {
            drop(ioprofiler::span(category, "SELECT 1"));
        }
    }
}

fn nothing() {}

fn hundred() {
    static_spans(100);
}

/// Measures all of it in this process.
pub(crate) fn set() -> Vec<Contestant> {
    let alone = Profiler::builder()
        .build()
        .expect("these options are right");
    let mut set = vec![
        floor::floor(),
        pages(ALONE, FEW, alone),
        pages(HANDED, FEW, profiler()),
        pages(HANDED_COLD, MANY, profiler()),
        added(ADDED, 100, five_categories),
        added(ADDED_EMPTY, 1, nothing),
        // Last, because they fill what all of them look through.
        spilled(SPILLED, 1, nothing),
        spilled(SPILLED_100, 100, hundred),
        series(),
    ];
    set.extend(own());
    set.extend(peers());
    set
}

pub(crate) fn run(effort: Effort) -> Result<()> {
    measure(set(), effort)
}

fn series() -> Contestant {
    let profiler = profiler();
    for number in 0..500 {
        let request = profiler.begin(&Facts::web("GET", "/"));
        request.set_route(&format!("/{number}"));
        request.finish(200, 0);
        profiler.count(&format!("own.{number}"), 1);
    }
    let series = profiler.series();
    let count: usize = series.iter().map(|series| series.samples.len()).sum();
    Contestant::new(SERIES, count as u64, move || {
        black_box(profiler.series());
    })
}

fn own() -> Vec<Contestant> {
    let (a, b, c, d) = (profiler(), profiler(), profiler(), profiler());
    vec![
        Contestant::new(COUNT, 1, move || a.count(black_box("registrations"), 1)),
        Contestant::new(COUNT_LABELLED, 1, move || {
            b.count(black_box("registrations;plan=pro;country=de"), 1);
        }),
        Contestant::new(GAUGE, 1, move || c.gauge(black_box("queue.length"), 17.0)),
        Contestant::new(TIMING, 1, move || {
            d.timing(black_box("mail.sent"), Duration::from_micros(12_345));
        }),
    ]
}

fn peers() -> Vec<Contestant> {
    use opentelemetry::KeyValue;
    use opentelemetry::metrics::MeterProvider as _;
    use prometheus_client::metrics::counter::Counter;
    use prometheus_client::metrics::family::Family;

    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    // A second one finds the first in its place; both are the same.
    let _ = metrics::set_global_recorder(recorder);
    let kept: Counter = Counter::default();
    let family: Family<Vec<(String, String)>, Counter> = Family::default();
    let plan = vec![("plan".to_owned(), "pro".to_owned())];
    let provider = opentelemetry_sdk::metrics::SdkMeterProvider::builder()
        .with_reader(opentelemetry_sdk::metrics::ManualReader::builder().build())
        .build();
    let counter = provider
        .meter("benches")
        .u64_counter("registrations")
        .build();
    vec![
        Contestant::new(METRICS, 1, || {
            metrics::counter!("registrations").increment(black_box(1));
        }),
        Contestant::new(METRICS_TIMING, 1, || {
            metrics::histogram!("mail.sent").record(black_box(0.012_345));
        }),
        Contestant::new(CLIENT, 1, move || {
            black_box(kept.inc());
        }),
        Contestant::new(CLIENT_FAMILY, 1, move || {
            black_box(family.get_or_create(black_box(&plan)).inc());
        }),
        Contestant::new(OPENTELEMETRY, 1, move || {
            let _keep = &provider;
            counter.add(black_box(1), &[KeyValue::new("plan", "pro")]);
        }),
    ]
}

/// The table.
pub(crate) fn report(effort: Effort, quick: bool) -> Result<String> {
    let samples = Samples::collect("collect", effort, quick)?;
    let rows = [
        Row::new(ALONE),
        Row::new(HANDED),
        Row::new(HANDED_COLD),
        Row::new(SPILLED),
        Row::new(SPILLED_100),
        Row::new(ADDED).at_most_ns(100.0),
        Row::new(ADDED_EMPTY),
        Row::new(SERIES),
        Row::new(COUNT).at_most_ns(15.0),
        Row::new(COUNT_LABELLED),
        Row::new(GAUGE),
        Row::new(TIMING),
        Row::new(METRICS),
        Row::new(METRICS_TIMING),
        Row::new(CLIENT),
        Row::new(CLIENT_FAMILY),
        Row::new(OPENTELEMETRY),
    ];
    let title = "The collector";
    let mut text = report::table(title, &samples, floor::FLOOR, Unit::Nanoseconds, &rows)?;
    if let (Some(alone), Some(handed)) = (samples.ns(ALONE), samples.ns(HANDED)) {
        let more = handed.median - alone.median;
        let verdict = verdict("≤ 100 ns", more <= 100.0);
        writeln!(
            text,
            "handing a finished request over: {more:.1} ns  {verdict}"
        )?;
    }
    if let Some(span) = samples.ns(ADDED) {
        let millions = 1e3 / span.median;
        let verdict = verdict("≥ 10 million", millions >= 10.0);
        writeln!(
            text,
            "spans added up a second, on one core: {millions:.1} million  {verdict}"
        )?;
    }
    Ok(text)
}
