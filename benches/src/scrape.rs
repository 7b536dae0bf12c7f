//! What a scrape of Prometheus costs the process that answers it, beside other libraries' with as many
//! series of the same shape: a site of 20 routes, each with calls of 5 categories.

use crate::contestants::floor;
use crate::harness::{Contestant, Effort, Result, Samples, measure};
use crate::report::{self, Row, Unit};
use ioprofiler::{Facts, Profiler};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::fmt::Write as _;
use std::hint::black_box;
use std::path::PathBuf;
use std::time::Duration;

const ALONE: &str = "one process";
const SHARED: &str = "4 processes that share a state_dir";
const METRICS: &str = "metrics 0.24 + exporter-prometheus 0.18: render()";
const CLIENT: &str = "prometheus-client 0.26: encode()";

const ROUTES: usize = 20;
const CATEGORIES: [&str; 5] = [
    "dbshard01",
    "dbshard02",
    "memcache_get",
    "solr",
    "template_cache",
];
/// Requests of each route, so that buckets have something in them.
const REQUESTS: usize = 200;

/// Bounds of pages and of calls, in seconds, as ioprofiler has them.
const PAGE: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];
const CALL: [f64; 11] = [
    0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0,
];

fn route(number: usize) -> String {
    format!("/part{number}/{{id}}")
}

/// Durations that are spread over the buckets, the same at each run: nanoseconds.
fn durations() -> impl Iterator<Item = u64> {
    let mut dice = 7_u64;
    std::iter::from_fn(move || {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        Some(50_000 + (dice >> 40) * (dice >> 54))
    })
}

fn ours(state_dir: Option<&PathBuf>) -> Profiler {
    let builder = Profiler::builder()
        .metrics(true)
        .threadless(true)
        .build_id("8c1f");
    let built = match state_dir {
        Some(folder) => builder.state_dir(folder).build(),
        None => builder.build(),
    };
    let profiler = built.expect("these options are right");
    let mut durations = durations();
    for number in 0..ROUTES {
        let route = route(number);
        for _ in 0..REQUESTS {
            let request = profiler.begin(&Facts::web("GET", "/"));
            request.set_route(&route);
            for (category, duration) in CATEGORIES.into_iter().zip(&mut durations) {
                request.add_span(category, "", Duration::ZERO, Duration::from_nanos(duration));
            }
            request.finish(200, 0);
        }
        profiler.flush(Duration::from_secs(10));
    }
    profiler
}

/// The `metrics` crate, with its recorder for Prometheus.
fn metrics() -> impl FnMut() -> usize {
    use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
    let builder = PrometheusBuilder::new();
    let builder = builder.set_buckets_for_metric(Matcher::Prefix("request".to_owned()), &PAGE);
    let builder =
        builder.and_then(|b| b.set_buckets_for_metric(Matcher::Prefix("call".to_owned()), &CALL));
    let recorder = builder.expect("bounds").build_recorder();
    let handle = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        let mut durations = durations();
        for number in 0..ROUTES {
            let route = route(number);
            let labels = || {
                [
                    ("kind", "web".to_owned()),
                    ("route", route.clone()),
                    ("version", "8c1f".to_owned()),
                ]
            };
            for _ in 0..REQUESTS {
                let seconds = durations.next().unwrap_or(0) as f64 / 1e9;
                let ending = [("method", "GET"), ("status", "200"), ("outcome", "ok")]
                    .map(|(name, value)| (name, value.to_owned()));
                let all: Vec<(&str, String)> = labels().into_iter().chain(ending).collect();
                metrics::histogram!("request_duration_seconds", &all).record(seconds);
                for category in CATEGORIES {
                    let seconds = durations.next().unwrap_or(0) as f64 / 1e9;
                    let all: Vec<(&str, String)> = labels()
                        .into_iter()
                        .chain([("category", category.to_owned())])
                        .collect();
                    metrics::histogram!("call_duration_seconds", &all).record(seconds);
                }
            }
            for name in ["request_io_seconds_total", "request_other_seconds_total"] {
                let all: Vec<(&str, String)> = labels().into();
                metrics::counter!(name, &all).increment(7);
            }
        }
    });
    move || handle.render().len()
}

type Labels = Vec<(String, String)>;

fn client() -> impl FnMut() -> usize {
    let pages = Family::<Labels, Histogram, _>::new_with_constructor(|| Histogram::new(PAGE));
    let calls = Family::<Labels, Histogram, _>::new_with_constructor(|| Histogram::new(CALL));
    let (io, other) = (
        Family::<Labels, Counter<f64>>::default(),
        Family::<Labels, Counter<f64>>::default(),
    );
    let mut registry = Registry::default();
    registry.register(
        "request_duration_seconds",
        "Requests that ended",
        pages.clone(),
    );
    registry.register(
        "call_duration_seconds",
        "Calls that requests made",
        calls.clone(),
    );
    registry.register("request_io_seconds", "Time during calls", io.clone());
    registry.register(
        "request_other_seconds",
        "The rest of the time",
        other.clone(),
    );
    let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut durations = durations();
    for number in 0..ROUTES {
        let labels = || {
            vec![
                label("kind", "web"),
                label("route", &route(number)),
                label("version", "8c1f"),
            ]
        };
        let ending = [
            label("method", "GET"),
            label("status", "200"),
            label("outcome", "ok"),
        ];
        for _ in 0..REQUESTS {
            let all = labels().into_iter().chain(ending.clone()).collect();
            pages
                .get_or_create(&all)
                .observe(durations.next().unwrap_or(0) as f64 / 1e9);
            for category in CATEGORIES {
                let all = labels()
                    .into_iter()
                    .chain([label("category", category)])
                    .collect();
                calls
                    .get_or_create(&all)
                    .observe(durations.next().unwrap_or(0) as f64 / 1e9);
            }
        }
        io.get_or_create(&labels()).inc_by(7.0);
        other.get_or_create(&labels()).inc_by(7.0);
    }
    move || {
        let mut text = String::new();
        encode(&mut text, &registry).expect("text takes everything");
        text.len()
    }
}

fn folder() -> PathBuf {
    std::env::temp_dir().join(format!("ioprofiler-bench-scrape-{}", std::process::id()))
}

/// A name, and a scrape by it: its bytes.
type Scrape = (&'static str, Box<dyn FnMut() -> usize>);

/// What is measured.
fn scrapes(folder: &PathBuf) -> Vec<Scrape> {
    let alone = ours(None);
    // Each profiler has a part of its own in the folder, as a process would.
    let shared: Vec<Profiler> = (0..4).map(|_| ours(Some(folder))).collect();
    vec![
        (ALONE, Box::new(move || alone.prometheus("").body.len())),
        (
            SHARED,
            Box::new(move || shared[0].prometheus("").body.len()),
        ),
        (METRICS, Box::new(metrics())),
        (CLIENT, Box::new(client())),
    ]
}

/// Measures all of it in this process.
pub(crate) fn run(effort: Effort) -> Result<()> {
    let folder = folder();
    let mut set = vec![floor::floor()];
    for (name, mut scrape) in scrapes(&folder) {
        set.push(Contestant::new(name, 1, move || {
            black_box(scrape());
        }));
    }
    let measured = measure(set, effort);
    std::fs::remove_dir_all(folder)?;
    measured
}

/// The table, and how large a scrape is.
pub(crate) fn report(effort: Effort, quick: bool) -> Result<String> {
    let samples = Samples::collect("scrape", effort, quick)?;
    let rows: Vec<Row> = [ALONE, SHARED, METRICS, CLIENT].map(Row::new).into();
    let title = "A scrape of 20 routes with calls of 5 categories";
    let mut text = report::table(title, &samples, floor::FLOOR, Unit::Microseconds, &rows)?;
    let lines = ours(None)
        .prometheus("")
        .body
        .lines()
        .filter(|line| !line.starts_with('#'))
        .count();
    let _ = write!(text, "\n{lines} series");
    let folder = folder();
    for (name, mut scrape) in scrapes(&folder) {
        let _ = write!(text, "; {name}: {} bytes", scrape());
    }
    std::fs::remove_dir_all(folder)?;
    text.push('\n');
    Ok(text)
}
