//! Graphite: what is sent is what a real carbon keeps, by names and by tags, over TCP and UDP, also
//! when it was gone for a while.

use ioprofiler::collect::series::{Distribution, Series, Value};
use ioprofiler::sinks::Graphite;
use ioprofiler::{Event, EventKind, Facts, Profiler};
use ioprofiler_tests::metric_servers::{Carbon, carbon, skipped};
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(20);
const EACH_MINUTE: &str = "[all]\npattern = .*\nretentions = 60s:1h\n";

fn until(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is() {
        assert!(Instant::now() < deadline, "{what}: waited for in vain");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn serve(profiler: &Profiler, route: &str, status: u16) {
    let request = profiler.begin(&Facts::web("GET", "/x"));
    request.set_route(route);
    request.run(|| {
        let mut call = ioprofiler::span("memcache_get", "a");
        call.hits(3).misses(1);
    });
    request.finish(status, 0);
}

/// Forty requests of which four failed, and one of another route; a counter, a gauge, a timing.
fn work(profiler: &Profiler) {
    for number in 0..40 {
        serve(
            profiler,
            "/listing/{id}",
            if number % 10 == 0 { 500 } else { 200 },
        );
    }
    serve(profiler, "/", 200);
    profiler.count("registrations;plan=pro", 3);
    profiler.gauge("queue.length", -2.5);
    profiler.timing("mail", Duration::from_millis(40));
}

/// What a series came to over all its intervals.
fn sum(carbon: &Carbon, name: &str) -> f64 {
    carbon.values(name).values().sum()
}

fn last(carbon: &Carbon, name: &str) -> f64 {
    let values = carbon.values(name);
    let last = values.values().next_back().copied();
    last.unwrap_or_else(|| panic!("{name} is not there: {:?}", carbon.series()))
}

/// What all names of a machine begin with, by one that is among them.
fn beginning(carbon: &Carbon, name: &str) -> String {
    let mut found = None;
    until(name, || {
        let all = carbon.series();
        found = all
            .iter()
            .find_map(|series| series.strip_suffix(name).map(str::to_owned));
        found.is_some()
    });
    found.unwrap_or_default()
}

/// The durations of one route, or of all, as the profiler has them.
fn durations(series: &[Series], route: Option<&str>) -> Distribution {
    let mut all = Distribution::default();
    for sample in series.iter().flat_map(|series| &series.samples) {
        if let Value::Distribution(durations) = &sample.value
            && sample.name.as_str() == "request.duration"
            && route.is_none_or(|route| sample.label("route") == route)
        {
            all.add(durations);
        }
    }
    all
}

fn in_ms(nanoseconds: Option<u64>) -> f64 {
    nanoseconds.unwrap_or(0) as f64 / 1e6
}

/// What [`work`] came to, read back from carbon.
fn check(carbon: &Carbon, beginning: &str, profiled: &[Series]) {
    let name = |name: &str| format!("{beginning}{name}");
    for (series, wanted) in [
        ("request.listing_id.count", 40.0),
        ("request.listing_id.errors", 4.0),
        ("request.listing_id.aborted", 0.0),
        ("request.listing_id.le.10000ms", 40.0),
        ("request.root.count", 1.0),
        ("request.all.count", 41.0),
        ("call.all.memcache_get.count", 41.0),
        ("call.listing_id.memcache_get.hits", 120.0),
        ("call.root.memcache_get.misses", 1.0),
        ("registrations.pro.count", 3.0),
        ("mail.count", 1.0),
        ("profiler.dropped.queue.count", 0.0),
    ] {
        until(series, || !carbon.values(&name(series)).is_empty());
        assert_eq!(sum(carbon, &name(series)), wanted, "{series}");
    }
    for (series, wanted) in [
        ("queue.length", -2.5),
        ("process.live", 1.0),
        ("call.all.memcache_get.hit_ratio", 0.75),
    ] {
        assert_eq!(last(carbon, &name(series)), wanted, "{series}");
    }
    assert!((40.0..40.5).contains(&last(carbon, &name("mail.p95"))));
    let listing = durations(profiled, Some("/listing/{id}"));
    let all = durations(profiled, None);
    for (series, wanted) in [
        ("request.listing_id.p50", listing.quantile_ns(0.5)),
        ("request.listing_id.p99", listing.quantile_ns(0.99)),
        ("request.listing_id.mean", listing.mean_ns()),
        ("request.all.p95", all.quantile_ns(0.95)),
        ("request.all.max", all.max_ns()),
    ] {
        let off = last(carbon, &name(series)) - in_ms(wanted);
        assert!(off.abs() < 1e-9, "{series} is off by {off}");
    }
}

#[test]
fn what_is_counted_is_what_carbon_keeps() {
    let Some(carbon) = carbon(EACH_MINUTE, "", None) else {
        return skipped("carbon-cache", "it is not installed");
    };
    let to = Graphite::to(carbon.address()).prefix("shop.web");
    let profiler = Profiler::builder()
        .worker("w 1")
        .send_to(to)
        .build()
        .unwrap();
    work(&profiler);
    profiler.deploy("8c1f", "erika", "new search");
    profiler.event(Event::new(EventKind::Own, "cache emptied"));
    assert!(profiler.flush(SOON), "{:?}", profiler.stats());
    let beginning = beginning(&carbon, "registrations.pro.count");
    assert!(beginning.starts_with("shop.web.") && beginning.ends_with(".w_1."));
    // Sent again before the minute is over: it replaces what was sent before.
    assert!(profiler.flush(SOON));
    until("the events", || sum(&carbon, "shop.web.events.own") == 1.0);
    assert_eq!(sum(&carbon, "shop.web.events.deploy"), 1.0);
    check(&carbon, &beginning, &profiler.series());
    for _ in 0..10 {
        serve(&profiler, "/", 200);
    }
    assert!(profiler.flush(SOON));
    let all = format!("{beginning}request.all.count");
    until("what came later", || sum(&carbon, &all) == 51.0);
    let log = carbon.log();
    assert!(
        !log.contains("invalid line") && !log.contains("Traceback"),
        "{log}"
    );
}

#[test]
fn datagrams_are_kept_too_also_without_a_thread() {
    let Some(carbon) = carbon(EACH_MINUTE, "", None) else {
        return skipped("carbon-cache", "it is not installed");
    };
    for (worker, threadless) in [("threads", false), ("none", true)] {
        let to = Graphite::to(carbon.address()).udp(true);
        let builder = Profiler::builder().worker(worker).threadless(threadless);
        let profiler = builder.send_to(to).build().unwrap();
        work(&profiler);
        let profiled = profiler.series();
        assert!(profiler.shutdown(SOON), "{:?}", profiler.stats());
        let sink = &profiler.stats().sinks[0];
        assert_eq!((sink.sent, sink.dropped), (sink.produced, 0), "{sink:?}");
        let beginning = beginning(&carbon, &format!("{worker}.registrations.pro.count"));
        check(&carbon, &format!("{beginning}{worker}."), &profiled);
    }
}

/// A graphite-web that only remembers which tagged series carbon told it of.
fn graphite_web() -> (String, Arc<Mutex<BTreeSet<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let told = Arc::clone(&seen);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let told = Arc::clone(&told);
            std::thread::spawn(move || answer(stream, &told));
        }
    });
    (url, seen)
}

fn answer(mut stream: TcpStream, told: &Mutex<BTreeSet<String>>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let (mut line, mut length) = (String::new(), 0);
        while reader.read_line(&mut line).ok()? > 2 {
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().ok()?;
            }
            line.clear();
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        if length == 0 {
            return None;
        }
        let body = String::from_utf8(body).ok()?;
        // A form in parts, each with its own head.
        let parts = body.split("name=\"path\"\r\n\r\n").skip(1);
        let paths = parts.filter_map(|part| part.split_once("\r\n--"));
        told.lock()
            .ok()?
            .extend(paths.map(|(path, _)| path.to_owned()));
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")
            .ok()?;
    }
}

#[test]
fn tags_are_what_carbon_keeps_and_tells() {
    let (web, seen) = graphite_web();
    let graphite = |address: String| Graphite::to(address).tags(true);
    let lines = graphite("carbon:2003".to_owned());
    let (schemas, aggregation) = (lines.storage_schemas(), lines.storage_aggregation());
    let Some(carbon) = carbon(&schemas, &aggregation, Some(&web)) else {
        return skipped("carbon-cache", "it is not installed");
    };
    let profiler = Profiler::builder()
        .worker("w1")
        .build_id("8c1f")
        .send_to(graphite(carbon.address()))
        .build()
        .unwrap();
    work(&profiler);
    profiler.count("hostile;route=/{x}=\"y\"}", 5);
    assert!(profiler.flush(SOON));
    let find = |start: &str, tags: &[&str]| {
        let mut found = None;
        until(start, || {
            let seen = seen.lock().unwrap();
            let has = |series: &&String| {
                let mut parts = series.split(';');
                parts.next() == Some(start)
                    && tags
                        .iter()
                        .all(|tag| parts.clone().any(|part| part == *tag))
            };
            found = seen.iter().find(has).cloned();
            found.is_some()
        });
        found.unwrap_or_default()
    };
    let mut sums = Vec::new();
    for (name, tags, wanted) in [
        (
            "ioprofiler.request.count",
            &[
                "route=/listing/{id}",
                "status=500",
                "outcome=error",
                "method=GET",
                "kind=web",
                "version=8c1f",
                "worker=w1",
            ][..],
            4.0,
        ),
        (
            "ioprofiler.request.count",
            &["route=/listing/{id}", "status=200", "outcome=ok"],
            36.0,
        ),
        (
            "ioprofiler.request.bucket",
            &["route=/listing/{id}", "le=10000ms"],
            40.0,
        ),
        (
            "ioprofiler.call.hits",
            &["route=/listing/{id}", "category=memcache_get"],
            120.0,
        ),
        (
            "ioprofiler.registrations.count",
            &["plan=pro", "worker=w1"],
            3.0,
        ),
        ("ioprofiler.hostile.count", &["route=/{x}=_y_}"], 5.0),
        ("ioprofiler.queue.length", &["worker=w1"], -2.5),
    ] {
        let series = find(name, tags);
        until(name, || !carbon.values(&series).is_empty());
        assert_eq!(sum(&carbon, &series), wanted, "{series}");
        sums.push(series);
    }
    // It was told how to keep what grows old.
    for series in &sums {
        let info = carbon.info(series);
        let method = if series.contains("queue.length") {
            "average"
        } else {
            "sum"
        };
        assert_eq!(info["aggregationMethod"], method, "{series} {info:?}");
    }
    let largest = find("ioprofiler.request.all.max", &["kind=web"]);
    let wanted = in_ms(durations(&profiler.series(), None).max_ns());
    until("max", || !carbon.values(&largest).is_empty());
    assert!((last(&carbon, &largest) - wanted).abs() < 1e-9);
    assert_eq!(carbon.info(&largest)["aggregationMethod"], "max");
}

#[test]
fn carbon_keeps_what_grows_old_as_it_was_told() {
    let lines = Graphite::to("carbon:2003").prefix("shop.web");
    let (schemas, aggregation) = (lines.storage_schemas(), lines.storage_aggregation());
    let Some(carbon) = carbon(&schemas, &aggregation, None) else {
        return skipped("carbon-cache", "it is not installed");
    };
    let to = Graphite::to(carbon.address()).prefix("shop.web");
    let profiler = Profiler::builder().send_to(to).build().unwrap();
    work(&profiler);
    profiler.deploy("8c1f", "erika", "new search");
    assert!(profiler.flush(SOON));
    let beginning = beginning(&carbon, "registrations.pro.count");
    until("the deploy", || {
        !carbon.values("shop.web.events.deploy").is_empty()
    });
    for (name, method) in [
        ("request.all.count", "sum"),
        ("request.listing_id.errors", "sum"),
        ("request.listing_id.le.25ms", "sum"),
        ("call.all.memcache_get.le.100us", "sum"),
        ("call.listing_id.memcache_get.time", "sum"),
        ("registrations.pro.count", "sum"),
        ("profiler.dropped.queue.count", "sum"),
        ("request.all.p95", "average"),
        ("request.all.mean", "average"),
        ("queue.length", "average"),
        ("process.memory", "average"),
        ("call.all.memcache_get.max", "max"),
    ] {
        let series = format!("{beginning}{name}");
        until(name, || !carbon.values(&series).is_empty());
        let info = carbon.info(&series);
        assert_eq!(info["aggregationMethod"], method, "{name} {info:?}");
        assert_eq!(info["xFilesFactor"], 0.0, "{name} {info:?}");
        let archives = info["archives"].as_array().unwrap();
        let each = archives.iter().map(|archive| &archive["secondsPerPoint"]);
        assert!(each.eq([60, 600, 3_600].iter()), "{name} {info:?}");
    }
    let info = carbon.info("shop.web.events.deploy");
    assert_eq!(info["aggregationMethod"], "sum", "{info:?}");
}

#[test]
fn hostile_names_leave_other_series_intact() {
    let Some(carbon) = carbon(EACH_MINUTE, "", None) else {
        return skipped("carbon-cache", "it is not installed");
    };
    let to = Graphite::to(carbon.address());
    let profiler = Profiler::builder()
        .worker("w1")
        .send_to(to)
        .build()
        .unwrap();
    let long = format!("/{}", "x".repeat(10_240));
    let hostile = [
        "a\nioprofiler.forged 1 1\n",
        "a|b:c",
        "../../../../etc/passwd",
        "/a/b/",
        "é陶\u{1f3fa}\u{2028}\u{85}",
        "\0\u{7f}",
        "*{}[]",
        "all",
        "..",
        "request.all.count",
        &long,
        &format!("{long}y"),
    ];
    for name in hostile {
        serve(&profiler, name, 200);
        profiler.count(name, 7);
        profiler.event(Event::new(EventKind::Own, name));
    }
    work(&profiler);
    assert!(profiler.flush(SOON));
    let beginning = beginning(&carbon, "w1.registrations.pro.count") + "w1.";
    let name = |name: &str| format!("{beginning}{name}");
    let wanted = 41.0 + hostile.len() as f64;
    until("requests", || {
        sum(&carbon, &name("request.all.count")) == wanted
    });
    for (series, wanted) in [
        ("request.all_.count", 1.0),
        ("own.request.all.count.count", 7.0),
        ("a_b_c.count", 7.0),
        ("registrations.pro.count", 3.0),
    ] {
        until(series, || !carbon.values(&name(series)).is_empty());
        assert_eq!(sum(&carbon, &name(series)), wanted, "{series}");
    }
    for series in carbon.series() {
        let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        assert!(series.bytes().all(safe), "{series:?}");
        assert!(series.starts_with("ioprofiler."), "{series:?}");
    }
    assert!(carbon.values("ioprofiler.forged").is_empty());
    // However many there were of the one that was too long.
    until("the long route", || {
        let all = carbon.series();
        let is_long = |name: &&String| name.contains(".request.xxxx") && name.ends_with(".count");
        let counts = all.iter().filter(is_long).map(|name| sum(&carbon, name));
        counts.sum::<f64>() == 2.0
    });
    let log = carbon.log();
    assert!(
        !log.contains("invalid line") && !log.contains("Traceback"),
        "{log}"
    );
}

#[test]
fn a_carbon_that_was_restarted_gets_everything() {
    let interval = Duration::from_secs(3);
    let schemas = "[all]\npattern = .*\nretentions = 3s:1h\n";
    let Some(mut carbon) = carbon(schemas, "", None) else {
        return skipped("carbon-cache", "it is not installed");
    };
    let to = Graphite::to(carbon.address()).interval(interval);
    let profiler = Profiler::builder()
        .worker("w1")
        .send_to(to)
        .build()
        .unwrap();
    let (stopped, counted) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        // The load goes on all the time.
        scope.spawn(|| {
            while !stopped.load(Ordering::Relaxed) {
                serve(&profiler, "/", 200);
                profiler.count("registrations", 1);
                counted.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_micros(200));
            }
        });
        let series = beginning(&carbon, "registrations.count") + "registrations.count";
        let before = carbon.values(&series).len();
        // It writes what it has once a second, and what it has not written when it ends is lost: so
        // it is stopped as soon as it has written a whole interval.
        until("a whole interval", || carbon.values(&series).len() > before);
        carbon.stop();
        let failures = || profiler.stats().sinks[0].failures;
        until("failures", || failures() > 0);
        std::thread::sleep(interval * 2);
        carbon.start();
        until("what waited", || {
            let sink = profiler.stats().sinks[0].clone();
            sink.sent == sink.produced
        });
        stopped.store(true, Ordering::Relaxed);
    });
    assert!(profiler.flush(SOON));
    let sink = &profiler.stats().sinks[0];
    assert_eq!((sink.sent, sink.dropped), (sink.produced, 0), "{sink:?}");
    let total = counted.load(Ordering::Relaxed) as f64;
    let beginning = beginning(&carbon, "registrations.count");
    for name in ["registrations.count", "request.root.count"] {
        let series = format!("{beginning}{name}");
        until(name, || sum(&carbon, &series) == total);
        // What waited has the times at which it was counted: it is not all in one place.
        let values = carbon.values(&series);
        assert!(values.len() >= 3, "{values:?}");
    }
}
