//! The list of all series that people are given, `examples/monitoring/SERIES.md`: made from
//! [`METRICS`] and by what each sink really writes.

use super::{
    DROPS, Distribution, METRICS, Metric, Name, OWN_BOUNDS_NS, Sample, Series, SeriesKind, Unit,
    Value,
};
use crate::collect::sink::flat::bound;
use crate::collect::sink::parcel::{Origin, Parcel, Report};
use crate::collect::sink::prometheus::family_of;
use crate::sinks::{Destination, Graphite};
use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const MS: u64 = 1_000_000;

fn value(kind: SeriesKind) -> Value {
    match kind {
        SeriesKind::Counter => Value::Counter(MS),
        SeriesKind::Gauge => Value::Gauge {
            value: 1.0,
            set_at: 0,
        },
        SeriesKind::Distribution => Value::Distribution(Distribution {
            count: 1,
            sum_ns: MS,
            buckets: vec![(1_000, 1)],
        }),
    }
}

/// One sample of each metric; values of labels are the labels' names in capitals.
fn one_of_each() -> Series {
    let known = METRICS.iter().map(|metric| {
        let labels = metric.labels.iter().map(|label| match *label {
            "kind" => Arc::from("web"),
            label => Arc::from(label.to_uppercase()),
        });
        Sample::known(metric, labels, value(metric.kind))
    });
    let own = [
        ("COUNTER", SeriesKind::Counter),
        ("GAUGE", SeriesKind::Gauge),
        ("TIMING", SeriesKind::Distribution),
    ];
    let own = own.map(|(name, kind)| Sample {
        name: Name::Own(Arc::from(name)),
        labels: vec![(Cow::Borrowed("LABEL"), Arc::from("VALUE"))],
        value: value(kind),
    });
    Series {
        samples: known.chain(own).collect(),
        ..Series::default()
    }
}

fn bounds(list: &[u64]) -> String {
    let bounds: Vec<String> = list.iter().map(|ns| bound(*ns)).collect();
    bounds.join(", ")
}

/// What Prometheus is shown of a metric.
fn in_prometheus(metric: &Metric) -> String {
    let family = family_of(metric);
    match metric.kind {
        SeriesKind::Counter => format!("`{family}_total`"),
        SeriesKind::Gauge => format!("`{family}`"),
        SeriesKind::Distribution => format!("`{family}_bucket`, `_sum`, `_count`"),
    }
}

fn kind(kind: SeriesKind) -> &'static str {
    match kind {
        SeriesKind::Counter => "counter",
        SeriesKind::Gauge => "gauge",
        SeriesKind::Distribution => "distribution",
    }
}

fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Count => "count",
        Unit::Time => "time",
        Unit::Bytes => "bytes",
    }
}

fn known(list: &mut String) {
    let _ = writeln!(
        list,
        "| series | kind | unit | labels | in Prometheus | says |\n| --- | --- | --- | --- | --- | --- |"
    );
    for metric in METRICS {
        let _ = writeln!(
            list,
            "| `{}` | {} | {} | {} | {} | {} |",
            metric.name,
            kind(metric.kind),
            unit(metric.unit),
            metric.labels.join(", "),
            in_prometheus(metric),
            metric.help
        );
    }
}

/// The series that Graphite is sent, without values and times.
fn sent(graphite: Graphite) -> Vec<String> {
    let report = Report {
        at: 0,
        interval: Duration::from_secs(60),
        origin: Origin {
            host: "HOST".to_owned(),
            worker: None,
        },
        total: Vec::new(),
        since: vec![Series {
            version: Some(Arc::from("VERSION")),
            ..one_of_each()
        }],
    };
    let mut sink = Destination::from(graphite.prefix("PREFIX")).0.make();
    let packets = sink.encode(&Parcel::Report(Arc::new(report)));
    let bytes: Vec<u8> = packets
        .into_iter()
        .flat_map(|packet| packet.bytes)
        .collect();
    let text = String::from_utf8(bytes).unwrap();
    let series = text.lines().filter_map(|line| line.split(' ').next());
    series.map(str::to_owned).collect()
}

fn named(list: &mut String) {
    let mut before = String::new();
    for series in sent(Graphite::to("localhost:2003")) {
        let name = series.strip_prefix("PREFIX.HOST.").unwrap();
        // One word for all bounds.
        let name = match name.split_once(".le.") {
            Some((before, _)) => format!("{before}.le.BOUND"),
            None => name.to_owned(),
        };
        if name != before {
            let _ = writeln!(list, "- `{name}`");
            before = name;
        }
    }
}

fn tagged(list: &mut String) {
    let _ = writeln!(list, "| name | tags |\n| --- | --- |");
    let mut before = String::new();
    for series in sent(Graphite::to("localhost:2003").tags(true)) {
        let (name, tags) = series.split_once(';').unwrap_or((&series, ""));
        let tags: Vec<&str> = tags
            .split(';')
            .map(|tag| tag.split('=').next().unwrap_or_default())
            .collect();
        if name != before {
            let _ = writeln!(list, "| `{name}` | {} |", tags.join(", "));
            before = name.to_owned();
        }
    }
}

fn list() -> String {
    let mut list = String::from(
        "# Every series\n\n\
         Made from the source by a test; written anew by\n\
         `IOPROF_BLESS=1 cargo test -p ioprofiler --lib listing`. What a sink makes of names and labels is in the\n\
         documentation of `ioprofiler::sinks`.\n\n",
    );
    known(&mut list);
    let _ = write!(
        list,
        "\nIn Prometheus time is in seconds, and each series has `version` too, where a version of the application\n\
         is known, and without a `state_dir` `worker`. Distributions are histograms with these bounds:\n\n"
    );
    let mut before: &[u64] = &[];
    for metric in METRICS.iter().filter(|metric| !metric.bounds_ns.is_empty()) {
        if metric.bounds_ns != before {
            before = metric.bounds_ns;
            let like: Vec<String> = METRICS
                .iter()
                .filter(|other| other.bounds_ns == before)
                .map(|other| format!("`{}`", other.name))
                .collect();
            if like.first() == Some(&format!("`{}`", metric.name)) {
                let _ = writeln!(list, "- {}: {}", like.join(", "), bounds(before));
            }
        }
    }
    let _ = writeln!(
        list,
        "- the application's own timings: {}",
        bounds(OWN_BOUNDS_NS)
    );
    let _ = write!(
        list,
        "\n## What `profiler.dropped` counts\n\n| reason | is |\n| --- | --- |\n"
    );
    for (reason, is) in DROPS {
        let _ = writeln!(list, "| `{reason}` | {is} |");
    }
    let _ = write!(
        list,
        "\n## The application's own\n\n\
         `profiler.count(\"registrations\", 1)` is `registrations_total` in Prometheus, `gauge(\"queue.length\", 17)` is\n\
         `queue_length`, `timing(\"mail.sent\", …)` is `mail_sent_seconds_bucket`, `_sum`, `_count`. Below they are\n\
         `COUNTER`, `GAUGE` and `TIMING`, with a label `LABEL`.\n"
    );
    let _ = write!(
        list,
        "\n## Names and numbers: Graphite, StatsD, Ganglia\n\n\
         Behind the prefix and the machine's name, and without a `state_dir` the worker's:\n\
         `ioprofiler.web0022.request.listing_id.p95`. Words in capitals are the values of labels; `request.all.…` and\n\
         `call.all.…` are of all routes; jobs and commands are `job.NAME.…` and `command.NAME.…`. `le.BOUND` is how\n\
         many took at most so long. `mean`, `p50`, `p95`, `p99`, `max`, `io`, `other` and `time` are milliseconds, ages\n\
         and timestamps seconds, `memory` is bytes, `hit_ratio` between 0 and 1; all else counts.\n\n"
    );
    named(&mut list);
    let _ = write!(list, "\n## Graphite with tags\n\n");
    tagged(&mut list);
    list
}

#[test]
fn the_committed_list_is_what_the_source_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/monitoring/SERIES.md");
    let made = list();
    if std::env::var_os("IOPROF_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &made).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        made == committed,
        "examples/monitoring/SERIES.md differs from the source: make it anew with IOPROF_BLESS=1"
    );
}
