use super::super::testing::{
    AT, gauge, known, origin, own, own_by_chance, report, report_by_chance, timed, tries,
};
use super::*;
use crate::collect::EventKind;
use crate::collect::series::{SeriesKind, Value};
use proptest::prelude::*;
use std::collections::{BTreeMap, HashSet};

fn bytes(graphite: &Graphite, parcel: &Parcel) -> String {
    let packets = graphite.encode(parcel);
    let all: Vec<u8> = packets
        .into_iter()
        .flat_map(|packet| packet.bytes)
        .collect();
    String::from_utf8(all).unwrap()
}

fn shop() -> Report {
    let ok = ["web", "/listing/{id}", "GET", "200", "ok"];
    report(
        None,
        vec![
            known("request.duration", &ok, timed(&[(10, 3), (20, 1)])),
            known("process.memory", &[], gauge(91_234_304.0)),
            known("profiler.dropped", &["queue"], Value::Counter(0)),
            own("registrations", &[("plan", "pro")], Value::Counter(3)),
            own("queue.length", &[], gauge(-2.5)),
        ],
    )
}

fn graphite() -> Graphite {
    Graphite::to("127.0.0.1:2003").buckets(false)
}

#[test]
fn names_are_written_as_carbon_reads_them() {
    let report = shop();
    let wanted = "\
        ioprofiler.web0022.process.memory 91234304 1774321920\n\
        ioprofiler.web0022.profiler.dropped.queue.count 0 1774321920\n\
        ioprofiler.web0022.queue.length -2.5 1774321920\n\
        ioprofiler.web0022.registrations.pro.count 3 1774321920\n\
        ioprofiler.web0022.request.all.aborted 0 1774321920\n\
        ioprofiler.web0022.request.all.count 4 1774321920\n\
        ioprofiler.web0022.request.all.errors 0 1774321920\n\
        ioprofiler.web0022.request.all.max 20 1774321920\n\
        ioprofiler.web0022.request.all.mean 12.5 1774321920\n\
        ioprofiler.web0022.request.all.p50 10 1774321920\n\
        ioprofiler.web0022.request.all.p95 20 1774321920\n\
        ioprofiler.web0022.request.all.p99 20 1774321920\n\
        ioprofiler.web0022.request.listing_id.aborted 0 1774321920\n\
        ioprofiler.web0022.request.listing_id.count 4 1774321920\n\
        ioprofiler.web0022.request.listing_id.errors 0 1774321920\n\
        ioprofiler.web0022.request.listing_id.max 20 1774321920\n\
        ioprofiler.web0022.request.listing_id.mean 12.5 1774321920\n\
        ioprofiler.web0022.request.listing_id.p50 10 1774321920\n\
        ioprofiler.web0022.request.listing_id.p95 20 1774321920\n\
        ioprofiler.web0022.request.listing_id.p99 20 1774321920\n";
    assert_eq!(
        bytes(&graphite(), &Parcel::Report(Arc::new(report))),
        wanted
    );
}

#[test]
fn workers_and_buckets_are_parts_of_names() {
    let mut report = shop();
    report.origin = origin(Some("worker 1"));
    let text = bytes(
        &Graphite::to("127.0.0.1:2003").prefix("shop.web"),
        &Parcel::Report(Arc::new(report)),
    );
    let line = "shop.web.web0022.worker_1.request.listing_id.le.10ms 3 1774321920\n";
    assert!(text.contains(line), "{text}");
    assert!(text.contains("request.all.le.25ms 4 "), "{text}");
    assert!(text.contains("request.all.le.10000ms 4 "), "{text}");
}

#[test]
fn tags_are_written_as_carbon_reads_them() {
    let mut report = shop();
    report.since[0].version = Some(Arc::from("8c1f"));
    report.origin = origin(Some("1"));
    let ours = "host=web0022";
    let theirs = "version=8c1f;worker=1";
    let wanted = [
        format!("process.memory;{ours};{theirs} 91234304"),
        format!("profiler.dropped.count;{ours};reason=queue;{theirs} 0"),
        format!("queue.length;{ours};{theirs} -2.5"),
        format!("registrations.count;{ours};plan=pro;{theirs} 3"),
        format!("request.all.max;{ours};kind=web;{theirs} 20"),
        format!("request.all.mean;{ours};kind=web;{theirs} 12.5"),
        format!("request.all.p50;{ours};kind=web;{theirs} 10"),
        format!("request.all.p95;{ours};kind=web;{theirs} 20"),
        format!("request.all.p99;{ours};kind=web;{theirs} 20"),
        format!(
            "request.count;{ours};kind=web;method=GET;outcome=ok;route=/listing/{{id}};status=200;{theirs} 4"
        ),
        format!("request.max;{ours};kind=web;route=/listing/{{id}};{theirs} 20"),
        format!("request.mean;{ours};kind=web;route=/listing/{{id}};{theirs} 12.5"),
        format!("request.p50;{ours};kind=web;route=/listing/{{id}};{theirs} 10"),
        format!("request.p95;{ours};kind=web;route=/listing/{{id}};{theirs} 20"),
        format!("request.p99;{ours};kind=web;route=/listing/{{id}};{theirs} 20"),
    ];
    let wanted: String = wanted
        .iter()
        .map(|line| format!("ioprofiler.{line} 1774321920\n"))
        .collect();
    let graphite = graphite().tags(true);
    assert_eq!(bytes(&graphite, &Parcel::Report(Arc::new(report))), wanted);
}

#[test]
fn values_of_tags_are_what_carbon_takes() {
    for (text, made) in [
        ("/listing/{id}", "/listing/{id}"),
        ("~a;b", "_a_b"),
        ("a b\nc", "a_b_c"),
        ("x{y=\"z\"}", "x{y=_z_}"),
        ("é", "_"),
        ("", "_"),
    ] {
        assert_eq!(tag_value(text), made, "{text:?}");
    }
    let long = "x".repeat(10_000);
    assert_eq!(tag_value(&long).len(), MAX_TAG);
    assert_ne!(tag_value(&long), tag_value(&format!("{long}y")));
}

#[test]
fn events_are_points() {
    for (kind, name) in [
        (EventKind::Deploy, "deploy"),
        (EventKind::Flag, "flag"),
        (EventKind::Shed, "shed"),
        (EventKind::Own, "own"),
    ] {
        let mut event = Event::new(kind, "a\nb 1 2\n");
        event.at = AT;
        let text = bytes(&graphite(), &Parcel::Event(Arc::new(event)));
        assert_eq!(text, format!("ioprofiler.events.{name} 1 1774321920\n"));
    }
}

#[test]
fn wrong_options_are_told() {
    let told = |graphite: Graphite| graphite.check().unwrap_err().to_string();
    let to = || Graphite::to("carbon:2003");
    assert_eq!(to().check(), Ok(()));
    for (graphite, message) in [
        (
            Graphite::to("carbon"),
            "graphite.address: \"carbon\" is no HOST:PORT, as in \"carbon.example.com:2003\"",
        ),
        (
            to().prefix("my shop"),
            "graphite.prefix: \"my shop\" is not made of letters, digits, `-`, `_` and dots between",
        ),
        (
            to().prefix("x.".repeat(65)),
            "graphite.prefix: 130 bytes are more than 128",
        ),
        (
            to().interval(Duration::from_millis(10)),
            "graphite.interval: 10ms is not between 1s and 1h",
        ),
        (
            to().interval(Duration::from_millis(1_500)),
            "graphite.interval: 1500 ms is no whole number of seconds",
        ),
    ] {
        assert_eq!(told(graphite), message);
    }
}

#[test]
fn carbons_lines_are_those_of_the_documentation() {
    let to = || Graphite::to("carbon:2003");
    let schemas = include_str!("storage-schemas.conf");
    assert_eq!(to().storage_schemas(), schemas);
    let aggregation = include_str!("storage-aggregation.conf");
    assert_eq!(to().storage_aggregation(), aggregation);
    let shop = to().prefix("shop.web").interval(Duration::from_secs(10));
    assert!(shop.storage_schemas().contains("10s:7d,100s:90d,600s:2y"));
    let aggregation = shop.storage_aggregation();
    assert!(aggregation.contains("[shop.web_counts]\npattern = ^shop\\.web\\.("));
    assert!(!aggregation.contains("ioprofiler"));
}

/// A line as `MetricLineReceiver` of carbon's protocols.py and `TaggedSeries` of its util.py read it:
/// the series, its tags, the value.
fn read(line: &str) -> (String, BTreeMap<String, String>, f64) {
    assert!(line.len() < 16_384);
    let words: Vec<&str> = line.split_whitespace().collect();
    let [series, value, at] = words[..] else {
        panic!("{line:?} has not three words")
    };
    assert!(at.parse::<u64>().is_ok(), "{line:?}");
    let value: f64 = value.parse().unwrap();
    assert!(value.is_finite());
    assert!(
        !(series.ends_with("\"}") && series.contains('{')),
        "{line:?}"
    );
    let mut parts = series.split(';');
    let name = parts.next().unwrap();
    for part in name.split('.') {
        assert!((1..=251).contains(&part.len()), "{line:?}");
        let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        assert!(part.bytes().all(safe), "{line:?}");
    }
    let mut tags = BTreeMap::new();
    let mut written = Vec::new();
    for part in parts {
        let (tag, value) = part.split_once('=').unwrap();
        assert!(
            !tag.is_empty() && !tag.contains([';', '!', '^', '=']),
            "{line:?}"
        );
        assert!(!value.is_empty() && !value.starts_with('~'), "{line:?}");
        assert_ne!(tag, "name", "carbon's own");
        assert!(
            tags.insert(tag.to_owned(), value.to_owned()).is_none(),
            "{line:?}"
        );
        if tag != "le" {
            written.push(format!(";{part}"));
        }
    }
    assert!(written.is_sorted(), "{line:?}");
    (name.to_owned(), tags, value)
}

/// The lines of packets, whose sizes are right and whose values are counted.
fn read_all(packets: &[Packet], most: usize) -> Vec<(String, BTreeMap<String, String>, f64)> {
    let mut all = Vec::new();
    for packet in packets {
        assert!(packet.bytes.len() <= most);
        let text = std::str::from_utf8(&packet.bytes).unwrap();
        let lines: Vec<&str> = text.strip_suffix('\n').unwrap().split('\n').collect();
        assert_eq!(lines.len() as u64, packet.points);
        // A datagram's lines are parted wherever Unicode sees the end of one.
        assert!(text.is_ascii() && !text.contains(['\r', '\x0b', '\x0c']));
        all.extend(lines.into_iter().map(read));
    }
    all
}

proptest! {
    #![proptest_config(tries())]

    #[test]
    fn whatever_is_counted_is_read_by_carbon(
        report in report_by_chance(), tags: bool, udp: bool, buckets: bool, calls_by_route: bool,
    ) {
        let graphite = Graphite { tags, udp, buckets, calls_by_route, ..graphite() };
        let packets = graphite.encode(&Parcel::Report(Arc::new(report)));
        let all = read_all(&packets, if udp { DATAGRAM } else { MAX_PIECE });
        let series: HashSet<_> = all.iter().map(|(name, tags, _)| (name, tags)).collect();
        prop_assert_eq!(series.len(), all.len(), "two values of one series");
        prop_assert!(all.iter().all(|(_, read, _)| tags || read.is_empty()));
    }

    #[test]
    fn no_value_of_the_application_is_lost(
        samples in prop::collection::vec(own_by_chance(&[SeriesKind::Counter]), 1..30),
        tags: bool,
    ) {
        let counted: u64 = samples
            .iter()
            .map(|sample| match sample.value { Value::Counter(count) => count, _ => 0 })
            .sum();
        // The same series twice is none that a process has.
        let keys: HashSet<_> = samples.iter().map(|s| (s.name.clone(), s.labels.clone())).collect();
        prop_assume!(keys.len() == samples.len());
        let graphite = graphite().tags(tags);
        let packets = graphite.encode(&Parcel::Report(Arc::new(report(None, samples))));
        let all = read_all(&packets, MAX_PIECE);
        let sum: f64 = all.iter().map(|(_, _, value)| value).sum();
        prop_assert!((sum - counted as f64).abs() <= 1e-9 * counted as f64, "{sum} {counted}");
    }
}
