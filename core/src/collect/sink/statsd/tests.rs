use super::super::testing::{
    AT, gauge, known, origin, own, own_by_chance, report, report_by_chance, text, timed, tries,
};
use super::*;
use crate::collect::series::{SeriesKind, Value};
use crate::collect::{Event, EventKind};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn etsy() -> Statsd {
    Statsd::to("127.0.0.1:8125")
}

fn dog() -> Statsd {
    etsy().dialect(StatsdDialect::Dogstatsd)
}

fn lines(statsd: &Statsd, parcel: Parcel) -> Vec<String> {
    let packets = statsd.encode(&parcel);
    let all: Vec<u8> = packets
        .into_iter()
        .flat_map(|packet| packet.bytes)
        .collect();
    let text = String::from_utf8(all).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn shop(worker: Option<&str>) -> Parcel {
    let ok = ["web", "/listing/{id}", "GET", "200", "ok"];
    let mut report = report(
        Some("8c1f"),
        vec![
            known("request.duration", &ok, timed(&[(10, 3), (20, 1)])),
            known("request.io", &ok[..2], Value::Counter(25_000_000)),
            known("call.errors", &["web", "/", "dbshard01"], Value::Counter(1)),
            known(
                "call.errors",
                &["web", "/x", "dbshard01"],
                Value::Counter(2),
            ),
            known("process.memory", &[], gauge(91_234_304.0)),
            known("profiler.dropped", &["queue"], Value::Counter(0)),
            own("registrations", &[("plan", "pro")], Value::Counter(3)),
            own("queue-length", &[], gauge(-2.5)),
        ],
    );
    report.origin = origin(worker);
    Parcel::Report(Arc::new(report))
}

#[test]
fn etsys_server_gets_names_and_samples() {
    assert_eq!(
        lines(&etsy(), shop(None)),
        [
            "ioprofiler.call.all.dbshard01.errors:3|c",
            "ioprofiler.web0022.process.memory:91234304|g",
            "ioprofiler.web0022.queue-length:0|g",
            "ioprofiler.web0022.queue-length:-2.5|g",
            "ioprofiler.registrations.pro:3|c",
            "ioprofiler.request.all:10|ms",
            "ioprofiler.request.all:10|ms",
            "ioprofiler.request.all:10|ms",
            "ioprofiler.request.all:20|ms",
            "ioprofiler.web0022.request.all.io:6.25|g",
            "ioprofiler.web0022.request.all.other:0|g",
            "ioprofiler.request.listing_id:10|ms",
            "ioprofiler.request.listing_id:10|ms",
            "ioprofiler.request.listing_id:10|ms",
            "ioprofiler.request.listing_id:20|ms",
            "ioprofiler.web0022.request.listing_id.io:6.25|g",
            "ioprofiler.web0022.request.listing_id.other:0|g",
        ]
    );
}

#[test]
fn etsys_server_gets_percentiles_where_they_are_wanted() {
    let statsd = etsy().timings(StatsdTimings::Gauges).prefix("shop");
    let lines = lines(&statsd, shop(Some("1")));
    for line in [
        "shop.request.all.count:4|c",
        "shop.request.all.le.10ms:3|c",
        "shop.web0022.1.request.all.p95:20|g",
        "shop.web0022.1.process.memory:91234304|g",
        "shop.registrations.pro:3|c",
    ] {
        assert!(
            lines.iter().any(|there| there == line),
            "{line}: {lines:#?}"
        );
    }
    assert!(lines.iter().all(|line| !line.contains("|ms")));
}

#[test]
fn samples_of_many_stand_for_more() {
    let many = timed(&[(10, 900), (20, 90), (1_000, 10)]);
    let ok = ["web", "/", "GET", "200", "ok"];
    let report = || {
        let samples = vec![known("request.duration", &ok, many.clone())];
        Parcel::Report(Arc::new(report(None, samples)))
    };
    let etsys = lines(&etsy().samples(20), report());
    let of = |line: &str| etsys.iter().filter(|there| *there == line).count();
    assert_eq!(of("ioprofiler.request.root:10|ms|@0.02"), 18);
    assert_eq!(of("ioprofiler.request.root:20|ms|@0.02"), 1);
    // The mean of the slowest twentieth: forty of 20 ms, ten of a second.
    assert_eq!(of("ioprofiler.request.root:216|ms|@0.02"), 1);
    assert_eq!(etsys.len(), 40);
    let tags = "#kind:web,method:GET,outcome:ok,route:/,status:200";
    let dogs = lines(&dog().samples(11), report());
    assert_eq!(
        dogs,
        [
            format!("ioprofiler.request.duration:1000|d|{tags}"),
            format!("ioprofiler.request.duration:10|d|@{}|{tags}", rate_of(99)),
            format!("ioprofiler.request.duration:10:10:10:10:10:10:10:10:108.1|d|@0.01|{tags}"),
        ]
    );
}

fn rate_of(weight: u64) -> String {
    samples::rate(weight).unwrap()
}

#[test]
fn datadogs_agent_gets_tags_and_distributions() {
    let statsd = dog().tag("env", "production");
    let common = "env:production";
    assert_eq!(
        lines(&statsd, shop(Some("1"))),
        [
            format!(
                "ioprofiler.call.errors:3|c|#category:dbshard01,{common},kind:web,version:8c1f"
            ),
            format!(
                "ioprofiler.request.duration:10:10:10:20|d|#{common},kind:web,method:GET,outcome:ok,route:/listing/_id,status:200,version:8c1f"
            ),
            format!(
                "ioprofiler.request.io.time:25|c|#{common},kind:web,route:/listing/_id,version:8c1f"
            ),
            format!("ioprofiler.process.memory:91234304|g|#{common},version:8c1f,worker:1"),
            format!("ioprofiler.registrations:3|c|#{common},plan:pro,version:8c1f"),
            format!("ioprofiler.queue_length:-2.5|g|#{common},version:8c1f,worker:1"),
        ]
    );
    let by_route = lines(&statsd.calls_by_route(true), shop(None));
    let line = "ioprofiler.call.errors:2|c|#category:dbshard01,env:production,kind:web,route:/x,version:8c1f";
    assert!(by_route.iter().any(|there| there == line), "{by_route:#?}");
}

#[test]
fn datadogs_agent_gets_percentiles_where_they_are_wanted() {
    let lines = lines(&dog().timings(StatsdTimings::Gauges), shop(None));
    for line in [
        "ioprofiler.request.count:4|c|#kind:web,method:GET,outcome:ok,route:/listing/_id,status:200,version:8c1f",
        "ioprofiler.request.p95:20|g|#kind:web,route:/listing/_id,version:8c1f",
        "ioprofiler.request.all.p95:20|g|#kind:web,version:8c1f",
        "ioprofiler.request.bucket:3|c|#kind:web,le:10ms,route:/listing/_id,version:8c1f",
        "ioprofiler.call.errors:3|c|#category:dbshard01,kind:web,version:8c1f",
    ] {
        assert!(
            lines.iter().any(|there| there == line),
            "{line}: {lines:#?}"
        );
    }
}

#[test]
fn events_are_counted_or_told() {
    let event = || {
        let mut event = Event::deploy("8c1f")
            .who("erika")
            .what("new search\nfor é|#all");
        event.at = AT;
        Parcel::Event(Arc::new(event))
    };
    assert_eq!(lines(&etsy(), event()), ["ioprofiler.events.deploy:1|c"]);
    assert_eq!(
        lines(&dog().tag("env", "production"), event()),
        [
            "_e{11,46}:deploy 8c1f|deploy 8c1f: new search\\nfor é|#all, by erika|d:1774321920|t:info|#kind:deploy,version:8c1f,who:erika,env:production"
        ]
    );
}

#[test]
fn wrong_options_are_told() {
    let told = |statsd: Statsd| statsd.check().unwrap_err().to_string();
    assert_eq!(etsy().check(), Ok(()));
    assert_eq!(dog().tag("env", "eu/1").check(), Ok(()));
    for (statsd, message) in [
        (
            Statsd::to("[::1]"),
            "statsd.address: \"[::1]\" is no HOST:PORT, as in \"127.0.0.1:8125\"",
        ),
        (
            etsy().prefix(""),
            "statsd.prefix: \"\" is not made of letters, digits, `-`, `_` and dots between",
        ),
        (
            dog().prefix("my-shop"),
            "statsd.prefix: \"my-shop\" is no letter with letters, digits, `_` and dots behind",
        ),
        (
            etsy().interval(Duration::from_secs(4_000)),
            "statsd.interval: 4000s is not between 1s and 1h",
        ),
        (
            etsy().interval(Duration::ZERO),
            "statsd.interval: 0s is not between 1s and 1h",
        ),
        (
            etsy().samples(5),
            "statsd.samples: 5 is not between 10 and 1000",
        ),
        (
            etsy().max_datagram(100_000),
            "statsd.max_datagram: 100000 is not between 256 and 65507",
        ),
        (
            etsy().tag("env", "x"),
            "statsd.tags: only the dialect \"dogstatsd\" has tags",
        ),
        (
            dog().tag("1 env", "x"),
            "statsd.tags: \"1 env\" is no letter with letters, digits, `_` and `-` behind",
        ),
        (
            dog().tag("env", "a,b"),
            "statsd.tags: the value \"a,b\" is not made of letters, digits, `_`, `-`, `:`, `.` and `/`",
        ),
    ] {
        assert_eq!(told(statsd), message);
    }
    let told = "x".parse::<StatsdDialect>().unwrap_err().to_string();
    assert_eq!(
        told,
        "statsd.dialect: \"x\" is neither \"etsy\" nor \"dogstatsd\""
    );
    assert_eq!("gauges".parse(), Ok(StatsdTimings::Gauges));
    let told = "x".parse::<StatsdTimings>().unwrap_err().to_string();
    assert_eq!(
        told,
        "statsd.timings: \"x\" is neither \"samples\" nor \"gauges\""
    );
}

/// What a server read.
#[derive(Default)]
struct Read {
    counters: BTreeMap<String, f64>,
    gauges: BTreeMap<String, f64>,
    /// How many durations, each with its weight.
    timings: BTreeMap<String, u64>,
    /// Values in lines that are no events.
    values: u64,
    events: u64,
}

/// Lines as etsy's stats.js reads them, but that nothing is mended on the way.
fn read_etsy(packets: &[Packet], most: usize) -> Read {
    let mut read = Read::default();
    for packet in packets
        .iter()
        .filter(|packet| check_size(packet, most).is_ok())
    {
        let before = read.values;
        let text = std::str::from_utf8(&packet.bytes).unwrap();
        for line in text.strip_suffix('\n').unwrap().split('\n') {
            let (name, value) = line.split_once(':').unwrap();
            let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            assert!(!name.is_empty() && name.bytes().all(safe), "{line:?}");
            let fields: Vec<&str> = value.split('|').collect();
            let number: f64 = fields[0].parse().unwrap();
            assert!(number.is_finite());
            read.values += 1;
            match fields[1..] {
                ["c"] => *read.counters.entry(name.to_owned()).or_default() += number,
                ["ms"] => *read.timings.entry(name.to_owned()).or_default() += 1,
                ["ms", rate] => {
                    let rate = rate.strip_prefix('@').unwrap();
                    assert!(
                        rate.bytes()
                            .all(|byte| byte.is_ascii_digit() || byte == b'.')
                    );
                    let weight = 1.0 / rate.parse::<f64>().unwrap();
                    assert!(number >= 0.0 && weight > 1.0);
                    *read.timings.entry(name.to_owned()).or_default() += weight as u64;
                }
                ["g"] => {
                    let gauge = read.gauges.entry(name.to_owned()).or_insert(0.0);
                    let is_change = fields[0].starts_with(['+', '-']);
                    if is_change && *gauge != 0.0 {
                        panic!("{line:?} changes a gauge");
                    } else if is_change {
                        // The line that set it to zero is no value.
                        read.values -= 1;
                    }
                    *gauge = number;
                }
                _ => panic!("{line:?}"),
            }
        }
        assert_eq!(read.values - before, packet.points);
    }
    read
}

/// Lines by the grammar of Datadog's "Datagram Format", as its agent's parse.go reads them.
fn read_dog(packets: &[Packet], most: usize) -> Read {
    let mut read = Read::default();
    for packet in packets
        .iter()
        .filter(|packet| check_size(packet, most).is_ok())
    {
        let before = read.values + read.events;
        let text = std::str::from_utf8(&packet.bytes).unwrap();
        for line in text.strip_suffix('\n').unwrap().split('\n') {
            if line.starts_with("_e") {
                read_dog_event(line);
                read.events += 1;
            } else {
                read_dog_metric(line, &mut read);
            }
        }
        assert_eq!(read.values + read.events - before, packet.points);
    }
    read
}

fn read_dog_metric(line: &str, read: &mut Read) {
    let (name, rest) = line.split_once(':').unwrap();
    assert!(
        name.starts_with(|first: char| first.is_ascii_alphabetic()),
        "{line:?}"
    );
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"_.".contains(&byte);
    assert!(name.len() <= 200 && name.bytes().all(safe), "{line:?}");
    let mut fields = rest.split('|');
    let values = fields.next().unwrap().split(':');
    let values: Vec<f64> = values.map(|value| value.parse().unwrap()).collect();
    assert!(values.iter().all(|value| value.is_finite()), "{line:?}");
    read.values += values.len() as u64;
    let kind = fields.next().unwrap();
    let (mut weight, mut tags) = (1, "");
    for field in fields {
        if let Some(rate) = field.strip_prefix('@') {
            let rate: f64 = rate.parse().unwrap();
            assert!(rate > 0.0 && rate < 1.0 && tags.is_empty(), "{line:?}");
            weight = (1.0 / rate) as u64;
        } else {
            tags = field.strip_prefix('#').unwrap();
            check_dog_tags(tags);
        }
    }
    let series = format!("{name}|{tags}");
    match kind {
        "c" => *read.counters.entry(series).or_default() += values[0],
        "g" => drop(read.gauges.insert(series, values[0])),
        "d" => {
            assert!(values.is_sorted(), "{line:?}");
            *read.timings.entry(series).or_default() += weight * values.len() as u64;
        }
        _ => panic!("{line:?}"),
    }
    assert!(
        kind == "d" || (values.len() == 1 && weight == 1),
        "{line:?}"
    );
}

fn check_dog_tags(tags: &str) {
    for tag in tags.split(',') {
        let (name, value) = tag.split_once(':').unwrap();
        assert!(
            name.starts_with(|first: char| first.is_ascii_alphabetic()),
            "{tag:?}"
        );
        let safe = |c: char| c.is_alphanumeric() || "_-:./".contains(c);
        assert!(!value.is_empty() && value.chars().all(safe), "{tag:?}");
        assert!(tag.len() <= 200 && name.chars().all(safe), "{tag:?}");
    }
}

fn read_dog_event(line: &str) {
    let rest = line.strip_prefix("_e{").unwrap();
    let (lengths, rest) = rest.split_once("}:").unwrap();
    let (title, said) = lengths.split_once(',').unwrap();
    let (title, said): (usize, usize) = (title.parse().unwrap(), said.parse().unwrap());
    assert!(title > 0);
    // Indexing panics inside a character, too.
    assert_eq!(&rest[title..=title], "|");
    let fields = &rest[title + 1 + said..];
    let fields: Vec<&str> = fields.strip_prefix('|').unwrap().split('|').collect();
    let [at, kind, tags] = fields[..] else {
        panic!("{line:?}")
    };
    at.strip_prefix("d:").unwrap().parse::<u64>().unwrap();
    assert_eq!(kind, "t:info");
    check_dog_tags(tags.strip_prefix('#').unwrap());
    assert!(!line.chars().any(char::is_control), "{line:?}");
}

fn read(statsd: &Statsd, packets: &[Packet]) -> Read {
    match statsd.dialect {
        StatsdDialect::Etsy => read_etsy(packets, statsd.max_datagram),
        StatsdDialect::Dogstatsd => read_dog(packets, statsd.max_datagram),
    }
}

/// Values in packets that are refused: they are counted as dropped.
fn refused(statsd: &Statsd, packets: &[Packet]) -> u64 {
    let refused = packets
        .iter()
        .filter(|packet| check_size(packet, statsd.max_datagram).is_err());
    refused.map(|packet| packet.points).sum()
}

fn options() -> impl Strategy<Value = Statsd> {
    let dialects = [StatsdDialect::Etsy, StatsdDialect::Dogstatsd];
    let timings = [StatsdTimings::Samples, StatsdTimings::Gauges];
    (
        prop::sample::select(dialects.to_vec()),
        prop::sample::select(timings.to_vec()),
        (
            10_usize..200,
            256_usize..4_000,
            any::<bool>(),
            any::<bool>(),
        ),
    )
        .prop_map(
            |(dialect, timings, (samples, max_datagram, buckets, by_route))| {
                etsy()
                    .dialect(dialect)
                    .timings(timings)
                    .samples(samples)
                    .max_datagram(max_datagram)
                    .buckets(buckets)
                    .calls_by_route(by_route)
            },
        )
}

proptest! {
    #![proptest_config(tries())]

    #[test]
    fn whatever_is_counted_is_read(report in report_by_chance(), statsd in options()) {
        let packets = statsd.encode(&Parcel::Report(Arc::new(report)));
        let all = read(&statsd, &packets).values + refused(&statsd, &packets);
        prop_assert_eq!(all, packets.iter().map(|packet| packet.points).sum::<u64>());
    }

    #[test]
    fn no_value_of_the_application_is_lost(
        samples in prop::collection::vec(
            own_by_chance(&[SeriesKind::Counter, SeriesKind::Distribution]), 1..30),
        statsd in options(),
    ) {
        let statsd = statsd.timings(StatsdTimings::Samples).max_datagram(LONGEST_DATAGRAM);
        let (mut counted, mut timed) = (0_u64, 0);
        for sample in &samples {
            match &sample.value {
                Value::Counter(count) => counted += count,
                Value::Distribution(duration) => timed += duration.count,
                Value::Gauge { .. } => {}
            }
        }
        let keys = samples.iter().map(|sample| (sample.name.clone(), sample.labels.clone()));
        prop_assume!(keys.collect::<std::collections::HashSet<_>>().len() == samples.len());
        let packets = statsd.encode(&Parcel::Report(Arc::new(report(None, samples))));
        prop_assert_eq!(refused(&statsd, &packets), 0);
        let read = read(&statsd, &packets);
        let sum: f64 = read.counters.values().sum();
        prop_assert!((sum - counted as f64).abs() <= 1e-9 * counted as f64, "{sum} {counted}");
        prop_assert_eq!(read.timings.values().sum::<u64>(), timed);
    }

    #[test]
    fn whatever_happens_is_read(
        what in text(), who in text(), why in text(), version in text(), max in 256_usize..2_000,
    ) {
        let event = Event::new(EventKind::Flag, &what).who(&who).why(&why).change(&what, &who);
        let deploy = Event::deploy(&version).what(&what).who(&who).why(&why);
        for event in [event, deploy] {
            for statsd in [etsy(), dog()] {
                let statsd = statsd.max_datagram(max);
                let packets = statsd.encode(&Parcel::Event(Arc::new(event.clone())));
                let all = read(&statsd, &packets);
                let told = all.events + all.values + refused(&statsd, &packets);
                prop_assert_eq!(told, 1);
                // What fits into every network is told.
                prop_assert!(max < 1_000 || refused(&statsd, &packets) == 0);
            }
        }
    }
}
