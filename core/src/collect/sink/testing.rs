//! Reports for tests of sinks: made by hand, and by chance.

use super::parcel::{Origin, Report};
use crate::collect::series::{
    self, Distribution, Labels, METRICS, Name, Sample, Series, SeriesKind, Value,
};
use proptest::prelude::*;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// When reports of tests are made: 2026-03-24 03:12:00.
pub(crate) const AT: u64 = 1_774_321_920_000_000_000;
const MS: u64 = 1_000_000;

pub(crate) fn origin(worker: Option<&str>) -> Origin {
    Origin {
        host: "web0022".to_owned(),
        worker: worker.map(str::to_owned),
    }
}

/// A report of a minute, of one version and of the process.
pub(crate) fn report(version: Option<&str>, samples: Vec<Sample>) -> Report {
    let process = Series {
        since: AT - 60_000 * MS,
        at: AT,
        samples,
        version: None,
    };
    let mut since = vec![process];
    if version.is_some() {
        since[0].version = version.map(Arc::from);
        since.push(Series {
            since: AT - 60_000 * MS,
            at: AT,
            ..Series::default()
        });
    }
    Report {
        at: AT,
        interval: Duration::from_secs(60),
        origin: origin(None),
        total: since.clone(),
        since,
    }
}

/// A series of one of the profiler's own metrics.
pub(crate) fn known(name: &str, labels: &[&str], value: Value) -> Sample {
    let metric = series::find(name).unwrap();
    assert_eq!(metric.labels.len(), labels.len());
    Sample::known(metric, labels.iter().map(|label| Arc::from(*label)), value)
}

/// A series of the application's own.
pub(crate) fn own(name: &str, labels: &[(&str, &str)], value: Value) -> Sample {
    let labels: Labels = labels
        .iter()
        .map(|(name, value)| (Cow::Owned((*name).to_owned()), Arc::from(*value)))
        .collect();
    Sample {
        name: Name::Own(Arc::from(name)),
        labels,
        value,
    }
}

/// So many durations of so many milliseconds.
pub(crate) fn durations(counts: &[(u64, u64)]) -> Distribution {
    let mut all = Distribution::default();
    for (ms, count) in counts {
        all.count += count;
        all.sum_ns += ms * MS * count;
        all.buckets
            .push((u32::try_from(ms * 1_000).unwrap(), *count));
    }
    all
}

pub(crate) fn timed(counts: &[(u64, u64)]) -> Value {
    Value::Distribution(durations(counts))
}

pub(crate) fn gauge(value: f64) -> Value {
    Value::Gauge { value, set_at: 0 }
}

/// How often properties are tried: `tests/run --long` tries more.
pub(crate) fn tries() -> ProptestConfig {
    let is_long = std::env::var_os("IOPROF_LONG").is_some();
    ProptestConfig::with_cases(if is_long { 2_000 } else { 64 })
}

/// Texts that try to break a line, a name, a folder or a document.
const HOSTILE: [&str; 26] = [
    "",
    "all",
    "/",
    "..",
    "../../etc/passwd",
    "/listing/{id}",
    "a\nb:1|c\nforged:1|c",
    "a|b:c#d@e,f;g=h",
    "a.b",
    "a b\tc",
    "~tilde",
    "{\"}",
    "x{y=\"z\"}",
    "<METRIC NAME=\"forged\"/>&amp;",
    "é陶\u{1f3fa}",
    "\u{85}\u{2028}\0\u{7f}",
    "name",
    "host",
    "version",
    "le",
    "request",
    "count",
    "-1",
    "__proto__",
    "%s%n",
    "*",
];

/// A text: hostile, long, or whatever.
pub(crate) fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(&HOSTILE[..]).prop_map(str::to_owned),
        2 => any::<String>(),
        2 => "[a-z]{1,8}",
        1 => (100_usize..10_240, prop::sample::select(&["x", "é", "a|b", "/"][..]))
            .prop_map(|(times, text)| text.repeat(times)),
    ]
}

/// A text that can be an own metric's name or part of one: those are short.
fn own_text() -> impl Strategy<Value = String> {
    text().prop_map(|text| match crate::text::cut_str(&text, 60) {
        "" => "x".to_owned(),
        text => text.replace([';', '='], "-"),
    })
}

fn distribution() -> impl Strategy<Value = Distribution> {
    prop::collection::btree_map(1_u32..=100_000_000, 1_u64..100_000, 0..40).prop_map(|buckets| {
        let buckets: Vec<(u32, u64)> = buckets.into_iter().collect();
        let sums = buckets
            .iter()
            .map(|(us, count)| u64::from(*us) * 900 * count);
        Distribution {
            count: buckets.iter().map(|(_, count)| count).sum(),
            sum_ns: sums.sum(),
            buckets,
        }
    })
}

fn value(kind: SeriesKind) -> BoxedStrategy<Value> {
    match kind {
        SeriesKind::Counter => (0_u64..1 << 50).prop_map(Value::Counter).boxed(),
        SeriesKind::Gauge => prop_oneof![-1e6..1e6_f64, any::<f64>()]
            .prop_map(gauge)
            .boxed(),
        SeriesKind::Distribution => distribution().prop_map(Value::Distribution).boxed(),
    }
}

fn known_by_chance() -> impl Strategy<Value = Sample> {
    prop::sample::select(METRICS).prop_flat_map(|metric| {
        let labels = prop::collection::vec(text(), metric.labels.len());
        let kind = prop::sample::select(&["web", "job", "command"][..]);
        (labels, kind, value(metric.kind)).prop_map(move |(mut labels, kind, value)| {
            if metric.labels.first() == Some(&"kind") {
                labels[0] = kind.to_owned();
            }
            let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
            known(metric.name, &labels, value)
        })
    })
}

/// One of the application's.
pub(crate) fn own_by_chance(kinds: &'static [SeriesKind]) -> impl Strategy<Value = Sample> {
    let labels = prop::collection::vec((own_text(), own_text()), 0..4);
    let value = prop::sample::select(kinds).prop_flat_map(value);
    (own_text(), labels, value).prop_map(|(name, labels, value)| {
        let labels: Vec<(&str, &str)> = labels.iter().map(|(a, b)| (&**a, &**b)).collect();
        own(&name, &labels, value)
    })
}

/// A report of anything, from anybody.
pub(crate) fn report_by_chance() -> impl Strategy<Value = Report> {
    const KINDS: [SeriesKind; 3] = [
        SeriesKind::Counter,
        SeriesKind::Gauge,
        SeriesKind::Distribution,
    ];
    let sample = prop_oneof![3 => known_by_chance(), 1 => own_by_chance(&KINDS)];
    let samples = prop::collection::vec(sample, 0..40);
    (
        samples,
        prop::option::of(text()),
        text(),
        prop::option::of(text()),
    )
        .prop_map(|(samples, version, host, worker)| {
            let mut report = report(version.as_deref(), samples);
            report.origin = Origin { host, worker };
            report
        })
}
