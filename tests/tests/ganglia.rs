//! Ganglia: what is sent is what a real gmond tells of its cluster.

use ioprofiler::sinks::Ganglia;
use ioprofiler::{Facts, Profiler, ProfilerBuilder};
use ioprofiler_tests::metric_servers::{Gmond, gmond, skipped};
use ioprofiler_tests::servers::free_port;
use roxmltree::{Document, ParsingOptions};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(20);

fn until(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is() {
        assert!(Instant::now() < deadline, "{what}: waited for in vain");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What gmond knows of a series.
#[derive(Clone, Debug, PartialEq)]
struct Metric {
    value: f64,
    kind: String,
    units: String,
    slope: String,
    tmax: String,
    dmax: String,
    group: String,
    host: String,
    ip: String,
}

/// All series of its cluster by name. Its XML must be well-formed for that.
fn metrics(gmond: &Gmond) -> BTreeMap<String, Metric> {
    let xml = gmond.xml();
    let options = ParsingOptions {
        allow_dtd: true,
        ..ParsingOptions::default()
    };
    let document = Document::parse_with_options(&xml, options);
    let document = document.unwrap_or_else(|error| panic!("{error}: {xml}"));
    let of_kind = |name: &'static str| {
        let all = document.descendants();
        all.filter(move |node| node.has_tag_name(name))
    };
    let clusters: Vec<_> = of_kind("CLUSTER")
        .map(|cluster| cluster.attribute("NAME"))
        .collect();
    assert_eq!(clusters, [Some("shop")], "{xml}");
    let read = |metric: roxmltree::Node<'_, '_>| {
        let host = metric.parent().unwrap();
        let of = |node: roxmltree::Node<'_, '_>, name: &str| {
            node.attribute(name).unwrap_or_default().to_owned()
        };
        let groups = metric
            .descendants()
            .find(|node| node.attribute("NAME") == Some("GROUP"));
        let known = Metric {
            value: of(metric, "VAL").parse().unwrap(),
            kind: of(metric, "TYPE"),
            units: of(metric, "UNITS"),
            slope: of(metric, "SLOPE"),
            tmax: of(metric, "TMAX"),
            dmax: of(metric, "DMAX"),
            group: groups.map(|group| of(group, "VAL")).unwrap_or_default(),
            host: of(host, "NAME"),
            ip: of(host, "IP"),
        };
        (of(metric, "NAME"), known)
    };
    of_kind("METRIC").map(read).collect()
}

/// The series of a name, when gmond knows it.
fn metric(gmond: &Gmond, name: &str) -> Metric {
    let mut found = None;
    until(name, || {
        found = metrics(gmond).remove(name);
        found.is_some()
    });
    found.unwrap_or_else(|| panic!("{name}"))
}

fn serve(profiler: &Profiler, route: &str) {
    let request = profiler.begin(&Facts::web("GET", "/x"));
    request.set_route(route);
    request.run(|| drop(ioprofiler::span("dbshard01", "SELECT 1")));
    request.finish(200, 0);
}

fn start(options: Ganglia) -> ProfilerBuilder {
    let hourly = options.interval(Duration::from_secs(3_600));
    Profiler::builder().worker("w1").send_to(hourly)
}

#[test]
fn what_is_counted_is_what_gmond_tells() {
    let Some(gmond) = gmond(None) else {
        return skipped("gmond", "it is not installed");
    };
    // The same with and without threads.
    for (prefix, threadless) in [("shop", false), ("shop.later", true)] {
        let to = Ganglia::to(gmond.address()).prefix(prefix);
        let profiler = start(to).threadless(threadless).build().unwrap();
        for _ in 0..40 {
            serve(&profiler, "/listing/{id}");
        }
        serve(&profiler, "/");
        profiler.count("registrations;plan=pro", 82);
        profiler.gauge("queue.length", -2.5);
        profiler.timing("mail", Duration::from_millis(40));
        assert!(profiler.shutdown(SOON), "{:?}", profiler.stats());
        let sink = &profiler.stats().sinks[0];
        assert_eq!((sink.sent, sink.dropped), (sink.produced, 0), "{sink:?}");
        let metric = |name: &str| metric(&gmond, &format!("{prefix}.w1.{name}"));
        let queue = Metric {
            value: -2.5,
            kind: "double".to_owned(),
            units: "count".to_owned(),
            slope: "both".to_owned(),
            tmax: "3600".to_owned(),
            dmax: "14400".to_owned(),
            group: prefix.to_owned(),
            host: metric("queue.length").host,
            ip: "127.0.0.1".to_owned(),
        };
        assert_eq!(metric("queue.length"), queue);
        let mail = metric("mail.p95");
        assert!(
            (40.0..40.5).contains(&mail.value) && mail.units == "ms",
            "{mail:?}"
        );
        assert_eq!(metric("process.memory").units, "bytes");
        assert_eq!(metric("process.live").value, 1.0);
        // Whatever the interval was: twice as many registrations as requests, by the second.
        let rate = |name: &str| {
            let metric = metric(name);
            assert_eq!(metric.units, "per second", "{name}");
            metric.value
        };
        let all = rate("request.all.count");
        assert!(all > 0.0);
        for (name, share) in [
            ("registrations.pro.count", 2.0),
            ("request.listing_id.count", 40.0 / 41.0),
            ("request.root.count", 1.0 / 41.0),
            ("call.all.dbshard01.count", 1.0),
            ("request.all.errors", 0.0),
        ] {
            assert!(
                (rate(name) / all - share).abs() < 1e-3,
                "{name} {}",
                rate(name)
            );
        }
        assert_eq!(metric("call.all.dbshard01.time").units, "ms per second");
    }
}

#[test]
fn hostile_names_leave_the_cluster_well_formed() {
    let Some(gmond) = gmond(None) else {
        return skipped("gmond", "it is not installed");
    };
    let profiler = start(Ganglia::to(gmond.address())).build().unwrap();
    let long = format!("/{}", "x".repeat(10_240));
    let hostile = [
        "<METRIC NAME=\"forged\" VAL=\"1\"/>",
        "\"><!--",
        "&amp;&quot;]]>",
        "a\nb",
        "../..",
        "é陶\u{1f3fa}",
        "\0\u{7f}",
        "a:b",
        "all",
        &long,
    ];
    for name in hostile {
        serve(&profiler, name);
        profiler.gauge(name, 7.0);
    }
    profiler.gauge("queue.length", 3.0);
    assert!(profiler.flush(SOON));
    assert_eq!(metric(&gmond, "ioprofiler.w1.queue.length").value, 3.0);
    assert_eq!(metric(&gmond, "ioprofiler.w1.all").value, 7.0);
    let all = metric(&gmond, "ioprofiler.w1.request.all.count").value;
    let routes: f64 = metrics(&gmond)
        .iter()
        .filter(|(name, _)| name.contains(".request.") && name.ends_with(".count"))
        .map(|(_, metric)| metric.value)
        .sum();
    assert!((routes / all - 2.0).abs() < 1e-3, "{routes} {all}");
    for name in metrics(&gmond).keys() {
        let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        assert!(
            name.bytes().all(safe) && name.starts_with("ioprofiler.w1."),
            "{name}"
        );
    }
}

#[test]
fn a_group_of_machines_and_another_machines_name_are_reached() {
    let group = (Ipv4Addr::new(239, 2, 11, 71), free_port());
    let Some(gmond) = gmond(Some(group)) else {
        return skipped("gmond", "it is not installed");
    };
    let to = Ganglia::to(format!("{}:{}", group.0, group.1));
    let to = to
        .interface(Ipv4Addr::LOCALHOST)
        .spoof("10.1.2.3", "web0022");
    let profiler = start(to).build().unwrap();
    profiler.gauge("queue.length", 3.0);
    assert!(profiler.flush(SOON), "{:?}", profiler.stats());
    let queue = metric(&gmond, "ioprofiler.w1.queue.length");
    assert_eq!((&*queue.host, &*queue.ip), ("web0022", "10.1.2.3"));
    assert_eq!(queue.value, 3.0);
}

/// A message without the name of the machine, which stands behind its first four bytes.
fn without_host(message: &[u8]) -> Vec<u8> {
    let length: [u8; 4] = message[4..8].try_into().unwrap();
    let length = u32::from_be_bytes(length).next_multiple_of(4) as usize;
    [&message[..4], &message[8 + length..]].concat()
}

#[test]
fn messages_are_those_of_gmetric_byte_for_byte() {
    let Some(gmond) = gmond(None) else {
        return skipped("gmond", "it is not installed");
    };
    let receive = |send: &dyn Fn(&str)| -> Vec<Vec<u8>> {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(1)))
            .unwrap();
        send(&socket.local_addr().unwrap().to_string());
        let mut read = [0_u8; 2_000];
        let next = || {
            socket
                .recv(&mut read)
                .map(|length| read[..length].to_vec())
                .ok()
        };
        let all = std::iter::from_fn(next).map(|message| without_host(&message));
        all.collect()
    };
    let theirs = receive(&|address| {
        let metric = [
            "-n",
            "ioprofiler.w1.queue.length",
            "-v",
            "-2.5",
            "-t",
            "double",
        ];
        let shown = ["-u", "count", "-s", "both", "-x", "3600", "-d", "14400"];
        let group = ["-g", "ioprofiler"];
        let arguments: Vec<&str> = [&metric[..], &shown, &group].concat();
        assert!(gmond.gmetric(address, &arguments));
    });
    let ours = receive(&|address| {
        let profiler = start(Ganglia::to(address)).build().unwrap();
        profiler.gauge("queue.length", -2.5);
        assert!(profiler.shutdown(SOON));
    });
    assert_eq!(theirs.len(), 2);
    for message in theirs {
        assert!(
            ours.contains(&message),
            "{}",
            String::from_utf8_lossy(&message)
        );
    }
}
