use super::super::testing::{
    AT, gauge, known, own, own_by_chance, report, report_by_chance, timed, tries,
};
use super::*;
use crate::collect::series::{SeriesKind, Value};
use proptest::prelude::*;
use std::collections::HashSet;

fn ganglia() -> Ganglia {
    Ganglia::to("127.0.0.1:8649")
}

/// A message, read by `gm_protocol.x`.
#[derive(Debug, PartialEq)]
enum Read {
    Metadata {
        host: String,
        name: String,
        is_spoofed: bool,
        kind: String,
        units: String,
        slope: u32,
        tmax: u32,
        dmax: u32,
        extra: Vec<(String, String)>,
    },
    Value {
        host: String,
        name: String,
        is_spoofed: bool,
        value: f64,
    },
}

/// Reads XDR to its end.
struct Xdr<'a>(&'a [u8]);

impl Xdr<'_> {
    fn number(&mut self) -> u32 {
        let (number, rest) = self.0.split_first_chunk().expect("a number");
        self.0 = rest;
        u32::from_be_bytes(*number)
    }

    fn text(&mut self) -> String {
        let length = self.number() as usize;
        let (text, rest) = self.0.split_at(length);
        let (padding, rest) = rest.split_at(length.next_multiple_of(4) - length);
        assert!(padding.iter().all(|byte| *byte == 0));
        self.0 = rest;
        String::from_utf8(text.to_vec()).unwrap()
    }
}

fn read(packet: &Packet) -> Read {
    assert!(packet.bytes.len() <= MAX_MESSAGE);
    let mut xdr = Xdr(&packet.bytes);
    let kind = xdr.number();
    let (host, name, is_spoofed) = (xdr.text(), xdr.text(), xdr.number() == 1);
    let read = match kind {
        128 => {
            let kind = xdr.text();
            assert_eq!(xdr.text(), name);
            let units = xdr.text();
            let (slope, tmax, dmax) = (xdr.number(), xdr.number(), xdr.number());
            let extra = (0..xdr.number())
                .map(|_| (xdr.text(), xdr.text()))
                .collect();
            assert_eq!(packet.points, 0);
            Read::Metadata {
                host,
                name,
                is_spoofed,
                kind,
                units,
                slope,
                tmax,
                dmax,
                extra,
            }
        }
        133 => {
            assert_eq!(xdr.text(), "%s");
            assert_eq!(packet.points, 1);
            let value = xdr.text().parse().unwrap();
            Read::Value {
                host,
                name,
                is_spoofed,
                value,
            }
        }
        _ => panic!("{kind}"),
    };
    assert!(xdr.0.is_empty(), "something is left");
    read
}

/// Names, units and values.
fn values(packets: &[Packet]) -> Vec<(String, String, f64)> {
    let mut known: HashMap<String, String> = HashMap::new();
    let mut values = Vec::new();
    for packet in packets {
        match read(packet) {
            Read::Metadata { name, units, .. } => drop(known.insert(name, units)),
            Read::Value { name, value, .. } => {
                let units = known.get(&name).cloned().unwrap_or_default();
                values.push((name, units, value));
            }
        }
    }
    values
}

#[test]
fn messages_are_those_of_gmetric() {
    let mut encoder = Encoder::new(ganglia());
    let report = report(None, vec![known("request.live", &[], gauge(4.0))]);
    let packets = encoder.encode(&report);
    #[rustfmt::skip]
    let metadata: &[u8] = b"\0\0\0\x80\
        \0\0\0\x07web0022\0\
        \0\0\0\x17ioprofiler.request.live\0\
        \0\0\0\0\
        \0\0\0\x06double\0\0\
        \0\0\0\x17ioprofiler.request.live\0\
        \0\0\0\x05count\0\0\0\
        \0\0\0\x03\0\0\0\x3c\0\0\0\xf0\
        \0\0\0\x01\0\0\0\x05GROUP\0\0\0\0\0\0\x0aioprofiler\0\0";
    #[rustfmt::skip]
    let value: &[u8] = b"\0\0\0\x85\
        \0\0\0\x07web0022\0\
        \0\0\0\x17ioprofiler.request.live\0\
        \0\0\0\0\
        \0\0\0\x02%s\0\0\
        \0\0\0\x014\0\0\0";
    let bytes: Vec<&[u8]> = packets.iter().map(|packet| &*packet.bytes).collect();
    assert_eq!(bytes, [metadata, value]);
}

#[test]
fn counts_are_told_by_the_second_and_the_rest_as_it_is() {
    let labels = ["web", "/listing/{id}", "memcache"];
    let samples = vec![
        known("call.duration", &labels, timed(&[(10, 120)])),
        known("process.memory", &[], gauge(1e6)),
        known("flags.checked.age", &[], gauge(0.5)),
        own("registrations", &[], Value::Counter(30)),
    ];
    let told = values(&Encoder::new(ganglia()).encode(&report(None, samples)));
    let told: Vec<_> = told
        .iter()
        .map(|(name, units, value)| (&**name, &**units, *value))
        .collect();
    assert_eq!(
        told,
        [
            ("ioprofiler.call.all.memcache.count", "per second", 2.0),
            ("ioprofiler.call.all.memcache.errors", "per second", 0.0),
            ("ioprofiler.call.all.memcache.max", "ms", 10.0),
            ("ioprofiler.call.all.memcache.mean", "ms", 10.0),
            ("ioprofiler.call.all.memcache.p50", "ms", 10.0),
            ("ioprofiler.call.all.memcache.p95", "ms", 10.0),
            ("ioprofiler.call.all.memcache.p99", "ms", 10.0),
            ("ioprofiler.call.all.memcache.time", "ms per second", 20.0),
            ("ioprofiler.flags.checked.age", "s", 0.5),
            ("ioprofiler.process.memory", "bytes", 1e6),
            ("ioprofiler.registrations.count", "per second", 0.5),
        ]
    );
}

#[test]
fn what_a_series_is_is_said_again_after_a_minute() {
    let mut encoder = Encoder::new(ganglia().interval(Duration::from_secs(20)));
    let told: Vec<usize> = [0, 20, 40, 60, 80, 30]
        .into_iter()
        .map(|seconds| {
            let mut report = report(None, vec![known("request.live", &[], gauge(4.0))]);
            report.at = AT + seconds * 1_000_000_000;
            encoder.encode(&report).len()
        })
        .collect();
    assert_eq!(told, [2, 1, 1, 2, 1, 2]);
    // What is told no more is not remembered for ever.
    let mut report = report(None, Vec::new());
    report.at = AT + 2 * FORGET_NS;
    encoder.encode(&report);
    assert!(encoder.told.is_empty());
}

#[test]
fn another_machine_and_a_worker_are_named() {
    let mut report = report(None, vec![known("request.live", &[], gauge(4.0))]);
    report.origin.worker = Some("a b".to_owned());
    let packets = Encoder::new(ganglia().spoof("10.1.2.3", "web0022")).encode(&report);
    for packet in &packets {
        match read(packet) {
            Read::Metadata {
                host,
                name,
                is_spoofed,
                ..
            }
            | Read::Value {
                host,
                name,
                is_spoofed,
                ..
            } => {
                assert_eq!(host, "10.1.2.3:web0022");
                assert_eq!(name, "ioprofiler.a_b.request.live");
                assert!(is_spoofed);
            }
        }
    }
    assert_eq!(packets.len(), 2);
}

#[test]
fn wrong_options_are_told() {
    let told = |ganglia: Ganglia| ganglia.check().unwrap_err().to_string();
    assert_eq!(ganglia().spoof("10.1.2.3", "web0022").check(), Ok(()));
    for (ganglia, message) in [
        (
            Ganglia::to(":8649"),
            "ganglia.address: \":8649\" is no HOST:PORT, as in \"239.2.11.71:8649\"",
        ),
        (
            ganglia().prefix("x".repeat(64) + ".y"),
            "ganglia.prefix: 66 bytes are more than 64",
        ),
        (
            ganglia().interval(Duration::ZERO),
            "ganglia.interval: 0s is not between 1s and 1h",
        ),
        (ganglia().ttl(0), "ganglia.ttl: 0 is not between 1 and 255"),
        (
            ganglia().spoof("10.1.2.3:8649", "web0022"),
            "ganglia.spoof: \"10.1.2.3:8649\" is no address, as in \"10.1.2.3\"",
        ),
        (
            ganglia().spoof("10.1.2.3", "<web>"),
            "ganglia.spoof: \"<web>\" is no name of a machine, as in \"web0022\"",
        ),
    ] {
        assert_eq!(told(ganglia), message);
    }
}

proptest! {
    #![proptest_config(tries())]

    #[test]
    fn whatever_is_counted_is_read(report in report_by_chance(), buckets: bool, by_route: bool) {
        let options = ganglia().buckets(buckets).calls_by_route(by_route);
        let packets = Encoder::new(options).encode(&report);
        let mut announced = HashSet::new();
        let mut told = HashSet::new();
        for packet in &packets {
            match read(packet) {
                Read::Metadata { name, kind, units, slope, tmax, dmax, extra, .. } => {
                    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
                    prop_assert!((1..=MAX_NAME).contains(&name.len()) && name.bytes().all(safe));
                    let safe = |byte: u8| byte.is_ascii_alphanumeric() || byte == b' ';
                    prop_assert!(units.bytes().all(safe));
                    prop_assert_eq!((&*kind, slope, tmax, dmax), ("double", 3, 60, 240));
                    prop_assert_eq!(extra, [("GROUP".to_owned(), "ioprofiler".to_owned())]);
                    announced.insert(name);
                }
                Read::Value { name, value, .. } => {
                    prop_assert!(value.is_finite());
                    prop_assert!(announced.contains(&name));
                    prop_assert!(told.insert(name), "told twice");
                }
            }
        }
        prop_assert_eq!(told.len(), announced.len());
    }

    #[test]
    fn no_value_of_the_application_is_lost(
        samples in prop::collection::vec(own_by_chance(&[SeriesKind::Counter]), 1..30),
    ) {
        let counts = samples.iter().map(|sample| match sample.value {
            Value::Counter(count) => count,
            _ => 0,
        });
        let counted: u64 = counts.sum();
        let keys: HashSet<_> = samples.iter().map(|s| (s.name.clone(), s.labels.clone())).collect();
        prop_assume!(keys.len() == samples.len());
        let packets = Encoder::new(ganglia()).encode(&report(None, samples));
        let rates = values(&packets).into_iter().map(|(_, _, value)| value * 60.0);
        let sum: f64 = rates.sum();
        let off = (sum - counted as f64).abs();
        prop_assert!(off <= 1e-9 * counted as f64 + 0.01, "{sum} {counted}");
    }
}
