//! The list of all series that people are given, `examples/monitoring/SERIES.md`: made from
//! [`METRICS`] and by what each sink really writes.

use super::{
    DROPS, Distribution, METRICS, Metric, Name, OWN_BOUNDS_NS, Sample, Series, SeriesKind, Unit,
    Value,
};
use crate::collect::sink::flat::bound;
use crate::collect::sink::parcel::{Origin, Parcel, Report};
use crate::collect::sink::prometheus::family_of;
use crate::sinks::{Destination, Ganglia, Graphite, Otlp, Statsd, StatsdDialect};
use std::borrow::Cow;
use std::collections::BTreeSet;
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

/// What a sink makes of one sample of each metric, a packet each.
fn packets(to: impl Into<Destination>) -> Vec<Vec<u8>> {
    let series = vec![Series {
        version: Some(Arc::from("VERSION")),
        ..one_of_each()
    }];
    let report = Report {
        at: 0,
        interval: Duration::from_secs(60),
        origin: Origin {
            host: "HOST".to_owned(),
            worker: None,
        },
        total: series.clone(),
        since: series,
    };
    let mut sink = to.into().0.make();
    let packets = sink.encode(&Parcel::Report(Arc::new(report)));
    packets.into_iter().map(|packet| packet.bytes).collect()
}

fn lines(packets: Vec<Vec<u8>>) -> Vec<String> {
    let texts = packets.into_iter().map(String::from_utf8);
    let lines = texts.flat_map(|text| {
        let lines: Vec<String> = text.unwrap().lines().map(str::to_owned).collect();
        lines
    });
    lines.collect()
}

/// The series that Graphite is sent, without values and times.
fn sent(graphite: Graphite) -> Vec<String> {
    let lines = lines(packets(graphite.prefix("PREFIX"))).into_iter();
    lines
        .filter_map(|line| line.split(' ').next().map(str::to_owned))
        .collect()
}

/// One word for all bounds.
fn without_bound(name: &str) -> String {
    match name.split_once(".le.") {
        Some((before, _)) => format!("{before}.le.BOUND"),
        None => name.to_owned(),
    }
}

fn named(list: &mut String) {
    let mut before = String::new();
    for series in sent(Graphite::to("localhost:2003")) {
        let name = series.strip_prefix("PREFIX.HOST.").unwrap();
        let name = without_bound(name);
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

/// Names and types of StatsD's lines, with the names of tags where there are any.
fn of_statsd(list: &mut String, statsd: Statsd) {
    let mut rows = BTreeSet::new();
    for line in lines(packets(statsd.prefix("PREFIX"))) {
        let (name, rest) = line.split_once(':').unwrap();
        let mut parts = rest.split('|');
        let kind = match parts.nth(1).unwrap() {
            "c" => "counter",
            "g" => "gauge",
            "ms" => "timer",
            "d" => "distribution",
            other => panic!("{other}"),
        };
        let tags = parts.find_map(|part| part.strip_prefix('#')).map(|tags| {
            let tags = tags.split(',').filter_map(|tag| tag.split(':').next());
            tags.collect::<Vec<_>>().join(", ")
        });
        let name = name.strip_prefix("PREFIX.").unwrap();
        let name = without_bound(name.strip_prefix("HOST.").unwrap_or(name));
        rows.insert((name, kind, tags.unwrap_or_default()));
    }
    let has_tags = rows.iter().any(|(_, _, tags)| !tags.is_empty());
    for (name, kind, tags) in rows {
        let _ = match has_tags {
            true => writeln!(list, "| `{name}` | {kind} | {tags} |"),
            false => writeln!(list, "| `{name}` | {kind} |"),
        };
    }
}

/// Names and units of what gmond is told of series.
fn of_ganglia(list: &mut String) {
    fn text<'a>(bytes: &mut &'a [u8]) -> &'a str {
        let (length, rest) = bytes.split_first_chunk().unwrap();
        let length = u32::from_be_bytes(*length) as usize;
        let (text, rest) = rest.split_at(length);
        *bytes = &rest[length.next_multiple_of(4) - length..];
        std::str::from_utf8(text).unwrap()
    }
    let everything = Ganglia::to("localhost:8649").prefix("PREFIX");
    let mut rows = BTreeSet::new();
    for packet in packets(everything.buckets(true).calls_by_route(true)) {
        // A message of metadata: its number, the machine, the name, whether that is another's …
        let (number, mut rest) = packet.split_first_chunk().unwrap();
        if u32::from_be_bytes(*number) != 128 {
            continue;
        }
        text(&mut rest);
        let name = text(&mut rest).strip_prefix("PREFIX.").unwrap();
        rest = &rest[4..];
        let (_kind, _name, units) = (text(&mut rest), text(&mut rest), text(&mut rest));
        rows.insert((without_bound(name), units.to_owned()));
    }
    for (name, units) in rows {
        let _ = writeln!(list, "| `{name}` | {units} |");
    }
}

/// Names, instruments, units and attributes of OpenTelemetry's metrics.
fn of_otlp(list: &mut String) {
    let otlp = Otlp::to("http://localhost:4318").json(true).gzip(false);
    let mut rows = BTreeSet::new();
    for packet in packets(otlp) {
        let request: serde_json::Value = serde_json::from_slice(&packet).unwrap();
        let scopes = request["resourceMetrics"][0]["scopeMetrics"].as_array();
        let metrics = scopes.into_iter().flatten();
        let metrics = metrics.flat_map(|scope| scope["metrics"].as_array().unwrap());
        for metric in metrics {
            let kinds = [
                ("sum", "counter"),
                ("gauge", "gauge"),
                ("histogram", "histogram"),
            ];
            let (key, kind) = kinds
                .into_iter()
                .find(|(key, _)| metric.get(key).is_some())
                .unwrap();
            let kind = match metric[key].get("isMonotonic") {
                Some(is) if is == false => "up-down counter",
                _ => kind,
            };
            let mut attributes: Vec<&str> = metric[key]["dataPoints"][0]["attributes"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|attribute| attribute["key"].as_str().unwrap())
                .collect();
            attributes.sort_unstable();
            rows.insert(format!(
                "| `{}` | {kind} | {} | {} |",
                metric["name"].as_str().unwrap(),
                metric["unit"].as_str().unwrap_or_default(),
                attributes.join(", "),
            ));
        }
    }
    for row in rows {
        let _ = writeln!(list, "{row}");
    }
}

fn list() -> String {
    let mut list = String::from(
        "# Every series\n\n\
         Made from the source by a test; written anew by\n\
         `IOPROF_BLESS=1 cargo test -p ioprofiler --all-features --lib listing`. What a sink makes of names and labels is in the\n\
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
        "\n## Names and numbers: Graphite\n\n\
         Behind the prefix and the machine's name, and without a `state_dir` the worker's:\n\
         `ioprofiler.web0022.request.listing_id.p95`. Words in capitals are the values of labels; `request.all.…` and\n\
         `call.all.…` are of all routes; jobs and commands are `job.NAME.…` and `command.NAME.…`. `le.BOUND` is how\n\
         many took at most so long. `mean`, `p50`, `p95`, `p99`, `max`, `io`, `other` and `time` are milliseconds, ages\n\
         and timestamps seconds, `memory` is bytes, `hit_ratio` between 0 and 1; all else counts.\n\n"
    );
    named(&mut list);
    let _ = write!(list, "\n## Graphite with tags\n\n");
    tagged(&mut list);
    let _ = write!(
        list,
        "\n## StatsD\n\n\
         Behind the prefix and the machine's name, as in Graphite. Timers are samples in milliseconds, of which the\n\
         server makes percentiles; with `timings = \"gauges\"` there stand Graphite's numbers instead. Shown is what is\n\
         sent with `calls_by_route`.\n\n| name | type |\n| --- | --- |\n"
    );
    of_statsd(&mut list, Statsd::to("localhost:8125").calls_by_route(true));
    let _ = write!(
        list,
        "\n## Datadog's agent: the dialect `dogstatsd`\n\n| name | type | tags |\n| --- | --- | --- |\n"
    );
    let datadog = Statsd::to("localhost:8125").dialect(StatsdDialect::Dogstatsd);
    of_statsd(&mut list, datadog.calls_by_route(true));
    let _ = write!(
        list,
        "\n## Ganglia\n\nWith `buckets` and `calls_by_route`.\n\n| name | units |\n| --- | --- |\n"
    );
    of_ganglia(&mut list);
    let _ = write!(
        list,
        "\n## OpenTelemetry\n\n\
         The resource says application, machine and version. Units are UCUM's.\n\n\
         | name | instrument | unit | attributes |\n| --- | --- | --- | --- |\n"
    );
    of_otlp(&mut list);
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
