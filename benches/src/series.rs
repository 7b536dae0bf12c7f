//! Memory of a series: what one more name, or one more route, costs the process for as long as it
//! lives.

use crate::harness::{Result, child};
use crate::memory::resident;
use ioprofiler::{Facts, Profiler};
use std::fmt::Write as _;
use std::time::Duration;

/// Kinds of series, each in a process of its own: what it is called by, what it says of itself, and
/// who makes them.
const KINDS: [(&str, &str, Fill); 6] = [
    ("series-counters", "count(), with a label", own_counters),
    ("series-timings", "timing(), with a label", own_timings),
    ("series-routes", "499 routes with 5 categories each", routes),
    (
        "series-metrics",
        "metrics 0.24 + exporter-prometheus 0.18: counter!, a label",
        metrics_counters,
    ),
    (
        "series-metrics-timings",
        "the same: histogram! (ten buckets)",
        metrics_timings,
    ),
    (
        "series-client",
        "prometheus-client 0.26: counters of a Family",
        client_counters,
    ),
];

type Fill = fn() -> Result<Grown>;

/// As many of one's own as the collector takes.
const OWN: usize = 2_000;
const CATEGORIES: [&str; 5] = ["dbshard01", "dbshard02", "memcache_get", "template", "http"];

/// By how much the process grew, for how many series.
struct Grown {
    bytes: u64,
    series: usize,
}

/// The table.
pub(crate) fn report(quick: bool) -> Result<String> {
    let mut text = String::new();
    writeln!(
        text,
        "\nMemory of a series (growth of the resident set; target none)"
    )?;
    for (part, name, _) in KINDS {
        writeln!(text, "{name:<58}{}", child(part, quick)?.trim_end())?;
    }
    Ok(text)
}

/// Whether a part is one of ours; if so it was run.
pub(crate) fn run(part: &str) -> Result<bool> {
    let Some((_, _, fill)) = KINDS.into_iter().find(|(name, ..)| *name == part) else {
        return Ok(false);
    };
    let Grown { bytes, series } = fill()?;
    println!("{:>12} bytes, of {series}", bytes / series.max(1) as u64);
    Ok(true)
}

fn own_counters() -> Result<Grown> {
    ours(|profiler| {
        (0..OWN).for_each(|number| profiler.count(&format!("registrations;plan={number}"), 1));
    })
}

fn own_timings() -> Result<Grown> {
    ours(|profiler| {
        for number in 0..OWN {
            let name = format!("mail.sent;server={number}");
            // From a tenth of a millisecond to a second, as those of servers do.
            (0..100_u64).for_each(|step| {
                profiler.timing(&name, Duration::from_micros(100 * (step * step).max(1)));
            });
        }
    })
}

fn routes() -> Result<Grown> {
    ours(|profiler| {
        for number in 0..499 {
            let route = format!("/listing/{number}/{{id}}");
            (0..20).for_each(|_| page(profiler, &route));
            profiler.flush(DEADLINE);
        }
    })
}

const DEADLINE: Duration = Duration::from_secs(60);

fn ours(fill: impl FnOnce(&Profiler)) -> Result<Grown> {
    let profiler = Profiler::builder().metrics(true).threadless(true).build()?;
    // What there is of once, however many series there are.
    page(&profiler, "/");
    profiler.count("pages", 1);
    profiler.timing("waited", Duration::from_millis(1));
    profiler.flush(DEADLINE);
    let already = count(&profiler);
    grown(|| {
        fill(&profiler);
        move || count(&profiler).saturating_sub(already)
    })
}

/// Counts what `fill` made only once the memory is known: reading takes some itself.
fn grown<C: FnOnce() -> usize>(fill: impl FnOnce() -> C) -> Result<Grown> {
    let before = resident()?;
    let count = fill();
    let bytes = resident()?.saturating_sub(before);
    Ok(Grown {
        bytes,
        series: count(),
    })
}

fn count(profiler: &Profiler) -> usize {
    let series = profiler.series();
    series.iter().map(|series| series.samples.len()).sum()
}

fn page(profiler: &Profiler, route: &str) {
    let request = profiler.begin(&Facts::web("GET", "/"));
    request.set_route(route);
    request.run(|| {
        for category in CATEGORIES {
            drop(ioprofiler::span(category, "SELECT 1"));
        }
    });
    drop(request.finish(200, 5_120));
}

fn metrics_counters() -> Result<Grown> {
    let exporter = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    metrics::set_global_recorder(exporter).map_err(|error| error.to_string())?;
    grown(|| {
        for number in 0..OWN {
            metrics::counter!("registrations", "plan" => number.to_string()).increment(1);
        }
        || OWN
    })
}

fn metrics_timings() -> Result<Grown> {
    let buckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
    let exporter = metrics_exporter_prometheus::PrometheusBuilder::new()
        .set_buckets(&buckets)?
        .build_recorder();
    let handle = exporter.handle();
    metrics::set_global_recorder(exporter).map_err(|error| error.to_string())?;
    grown(|| {
        for number in 0..OWN {
            let histogram = metrics::histogram!("mail.sent", "server" => number.to_string());
            (0..100_u32).for_each(|step| histogram.record(f64::from(step * step) / 1e4));
        }
        // Adds up what waits, as a scrape does: until then it holds each value.
        handle.run_upkeep();
        || OWN
    })
}

fn client_counters() -> Result<Grown> {
    use prometheus_client::metrics::counter::Counter;
    use prometheus_client::metrics::family::Family;
    let family: Family<Vec<(String, String)>, Counter> = Family::default();
    grown(|| {
        for number in 0..OWN {
            let plan = vec![("plan".to_owned(), number.to_string())];
            family.get_or_create(&plan).inc();
        }
        move || {
            drop(family);
            OWN
        }
    })
}
