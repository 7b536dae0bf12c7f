//! StatsD: what is sent is what a real server hands to its backends.

use ioprofiler::collect::series::{Distribution, Series, Value};
use ioprofiler::sinks::{Statsd, StatsdDialect, StatsdTimings};
use ioprofiler::{Facts, Profiler, ProfilerBuilder};
use ioprofiler_tests::metric_servers::{self, skipped, statsd};
use serde_json::Value as Json;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(20);
const EACH: Duration = Duration::from_millis(500);

fn until(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is() {
        assert!(Instant::now() < deadline, "{what}: waited for in vain");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn serve(profiler: &Profiler, route: &str) {
    let request = profiler.begin(&Facts::web("GET", "/x"));
    request.set_route(route);
    request.run(|| drop(ioprofiler::span("dbshard01", "SELECT 1")));
    request.finish(200, 0);
}

/// A counter over all that the server handed on.
fn counted(server: &metric_servers::Statsd, name: &str) -> f64 {
    let flushes = server.flushes();
    let counts = flushes.iter().map(|flush| flush["counters"][name].as_f64());
    counts.map(|count| count.unwrap_or(0.0)).sum()
}

fn gauge(server: &metric_servers::Statsd, name: &str) -> Option<f64> {
    let flushes = server.flushes();
    flushes.last()?["gauges"][name].as_f64()
}

/// What it made of a timer, when it was last used.
fn timer(server: &metric_servers::Statsd, name: &str) -> Option<Json> {
    let flushes = server.flushes();
    let of = |flush: &Json| Some(flush["timer_data"][name].clone()).filter(Json::is_object);
    flushes.iter().rev().find_map(of)
}

fn start(server: &metric_servers::Statsd, options: impl Fn(Statsd) -> Statsd) -> ProfilerBuilder {
    let to = Statsd::to(server.address()).interval(Duration::from_secs(3_600));
    Profiler::builder().send_to(options(to))
}

fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname");
    name.unwrap_or_default().trim().replace('.', "_")
}

fn durations(series: &[Series], name: &str) -> Distribution {
    let mut samples = series.iter().flat_map(|series| &series.samples);
    let is_it = |sample: &&ioprofiler::collect::series::Sample| sample.name.as_str() == name;
    match samples.find(is_it).map(|sample| &sample.value) {
        Some(Value::Distribution(durations)) => durations.clone(),
        other => panic!("{name} is {other:?}"),
    }
}

#[test]
fn what_is_counted_is_what_the_server_counts() {
    let Some(server) = statsd(EACH) else {
        return skipped("statsd", "it is not installed (npm install statsd)");
    };
    // The same with and without threads: what PHP does after its answer.
    for (worker, threadless) in [("a", false), ("b", true)] {
        let builder = start(&server, |statsd| statsd.prefix("shop")).worker(worker);
        let profiler = builder.threadless(threadless).build().unwrap();
        for _ in 0..30 {
            serve(&profiler, "/listing/{id}");
        }
        profiler.count("registrations;plan=pro", 3);
        profiler.gauge("queue.length", -2.5);
        profiler.deploy("8c1f", "erika", "new search");
        assert!(profiler.shutdown(SOON), "{:?}", profiler.stats());
        let sink = &profiler.stats().sinks[0];
        assert_eq!((sink.sent, sink.dropped), (sink.produced, 0), "{sink:?}");
        let name = format!("shop.{}.{worker}.queue.length", host());
        until("the gauge", || gauge(&server, &name) == Some(-2.5));
    }
    // Counters of both were added up by the server.
    until("counters", || {
        counted(&server, "shop.registrations.pro") == 6.0
    });
    assert_eq!(counted(&server, "shop.events.deploy"), 2.0);
    let flushes = server.flushes();
    let timers = |name: &str| -> f64 {
        let timers = flushes
            .iter()
            .map(|flush| flush["timer_data"][name]["count"].as_f64());
        timers.map(|count| count.unwrap_or(0.0)).sum()
    };
    assert_eq!(timers("shop.request.listing_id"), 60.0);
    assert_eq!(timers("shop.request.all"), 60.0);
    assert_eq!(timers("shop.call.all.dbshard01"), 60.0);
    assert_eq!(server.bad_lines(), 0);
}

#[test]
fn gauges_change_their_sign_and_are_what_was_set() {
    let Some(server) = statsd(EACH) else {
        return skipped("statsd", "it is not installed (npm install statsd)");
    };
    let profiler = start(&server, |statsd| statsd)
        .worker("w1")
        .build()
        .unwrap();
    let name = format!("ioprofiler.{}.w1.balance", host());
    for value in [5.0, -3.0, -4.5, 0.0, -1.0, 1e18, -1e-12, 7.0] {
        profiler.gauge("balance", value);
        assert!(profiler.flush(SOON));
        until("the gauge", || gauge(&server, &name) == Some(value));
    }
    assert_eq!(server.bad_lines(), 0);
}

#[test]
fn its_percentiles_are_ours() {
    let Some(server) = statsd(EACH) else {
        return skipped("statsd", "it is not installed (npm install statsd)");
    };
    let profiler = start(&server, |statsd| statsd).build().unwrap();
    // From 1 to 500 ms, the short ones more often; far more than are sent.
    let mut exact = Vec::new();
    for ms in 1..=500_u64 {
        for _ in 0..(500 / ms).max(1) {
            exact.push(ms as f64);
            profiler.timing("mail", Duration::from_millis(ms));
        }
    }
    for ms in [3, 1, 2] {
        profiler.timing("few", Duration::from_millis(ms));
    }
    let mail = durations(&profiler.series(), "mail");
    assert!(profiler.flush(SOON));
    until("timers", || timer(&server, "ioprofiler.few").is_some());
    let seen = timer(&server, "ioprofiler.mail").unwrap();
    let number = |name: &str| seen[name].as_f64().unwrap();
    assert_eq!(number("count"), exact.len() as f64);
    assert_eq!(number("count"), mail.count as f64);
    let mean = exact.iter().sum::<f64>() / exact.len() as f64;
    assert!((number("mean") / mean - 1.0).abs() < 0.01, "{seen} {mean}");
    exact.sort_by(f64::total_cmp);
    for (name, share) in [
        ("upper_50", 0.5),
        ("upper_90", 0.9),
        ("upper_95", 0.95),
        ("upper_99", 0.99),
    ] {
        // A hundredth of all is as near as samples of a hundredth come.
        let rank = |share: f64| exact[((share * exact.len() as f64) as usize).min(exact.len() - 1)];
        let within = rank(share - 0.011) * 0.99..=rank(share + 0.011) * 1.01 + 0.1;
        assert!(
            within.contains(&number(name)),
            "{name}: {} {within:?}",
            number(name)
        );
    }
    let few = timer(&server, "ioprofiler.few").unwrap();
    for (name, wanted) in [
        ("count", 3.0),
        ("lower", 1.0),
        ("median", 2.0),
        ("upper", 3.0),
        ("mean", 2.0),
    ] {
        let seen = few[name].as_f64().unwrap();
        assert!((seen / wanted - 1.0).abs() < 0.01, "{name}: {few}");
    }
    assert_eq!(server.bad_lines(), 0);
}

#[test]
fn percentiles_can_be_gauges_and_buckets_counters() {
    let Some(server) = statsd(EACH) else {
        return skipped("statsd", "it is not installed (npm install statsd)");
    };
    let gauges = |statsd: Statsd| statsd.timings(StatsdTimings::Gauges);
    let profiler = start(&server, gauges).worker("w1").build().unwrap();
    for _ in 0..30 {
        serve(&profiler, "/");
    }
    let profiled = durations(&profiler.series(), "request.duration");
    assert!(profiler.flush(SOON));
    let name = format!("ioprofiler.{}.w1.request.root.p95", host());
    until("p95", || gauge(&server, &name).is_some());
    let p95 = profiled.quantile_ns(0.95).unwrap() as f64 / 1e6;
    assert_eq!(gauge(&server, &name), Some(p95));
    until("counts", || {
        counted(&server, "ioprofiler.request.root.count") == 30.0
    });
    assert_eq!(counted(&server, "ioprofiler.request.root.le.10000ms"), 30.0);
    assert_eq!(server.bad_lines(), 0);
}

#[test]
fn hostile_names_leave_other_series_intact() {
    let Some(server) = statsd(EACH) else {
        return skipped("statsd", "it is not installed (npm install statsd)");
    };
    let profiler = start(&server, |statsd| statsd)
        .worker("w1")
        .build()
        .unwrap();
    let long = format!("/{}", "x".repeat(10_240));
    let hostile = [
        "a\nforged:1|c\n",
        "a|c:5|g",
        "../..",
        "é陶\u{1f3fa}",
        "\0@0.1|#a:b",
        "__proto__",
        "constructor",
        "all",
        &long,
    ];
    for name in hostile {
        serve(&profiler, name);
        profiler.count(name, 7);
    }
    profiler.count("registrations", 3);
    assert!(profiler.flush(SOON));
    until("counters", || {
        counted(&server, "ioprofiler.registrations") == 3.0
    });
    let requests = |name: &str| timer(&server, name).and_then(|timer| timer["count"].as_f64());
    let all = hostile.len() as f64;
    until("requests", || {
        requests("ioprofiler.request.all") == Some(all)
    });
    assert_eq!(requests("ioprofiler.request.all_"), Some(1.0));
    assert_eq!(counted(&server, "ioprofiler.all"), 7.0);
    assert_eq!(counted(&server, "forged"), 0.0);
    for flush in server.flushes() {
        let counters = flush["counters"].as_object().cloned().unwrap_or_default();
        for name in counters.keys() {
            let is_known = name.starts_with("ioprofiler.") || name.starts_with("statsd.");
            assert!(is_known, "{name}");
        }
    }
    assert_eq!(server.bad_lines(), 0);
}

#[test]
fn etsys_server_reads_datadogs_tags_too() {
    let Some(server) = statsd(EACH) else {
        return skipped("statsd", "it is not installed (npm install statsd)");
    };
    let dog = |statsd: Statsd| {
        let statsd = statsd.dialect(StatsdDialect::Dogstatsd);
        statsd.timings(StatsdTimings::Gauges).tag("env", "test")
    };
    let profiler = start(&server, dog).worker("w1").build().unwrap();
    profiler.count("registrations;plan=pro", 3);
    profiler.gauge("queue.length", -2.5);
    assert!(profiler.flush(SOON));
    let name = "ioprofiler.registrations;env=test;plan=pro";
    until("counters", || counted(&server, name) == 3.0);
    let name = "ioprofiler.queue.length;env=test;worker=w1";
    until("gauges", || gauge(&server, name) == Some(-2.5));
    assert_eq!(server.bad_lines(), 0);
}

/// Thousands of lines at once. All in one go, three of four are lost: a reader has room for some 90
/// datagrams. How many a busy machine loses all the same is not ours to say.
#[test]
fn many_series_arrive() {
    let Some(server) = statsd(EACH) else {
        return skipped("statsd", "it is not installed (npm install statsd)");
    };
    let profiler = start(&server, |statsd| statsd).build().unwrap();
    for number in 0..1_500 {
        profiler.count(&format!("many.{number}.a_name_of_a_usual_length_or_so"), 1);
        if number < 100 {
            for ms in 0..200 {
                profiler.timing(&format!("timed.{number}"), Duration::from_millis(ms));
            }
        }
    }
    assert!(profiler.flush(SOON));
    let sink = &profiler.stats().sinks[0];
    assert!(sink.sent > 11_500, "{sink:?}");
    let read = || {
        let flushes = server.flushes();
        let lines = flushes
            .iter()
            .map(|flush| flush["counters"]["statsd.metrics_received"].as_f64());
        lines.map(|count| count.unwrap_or(0.0)).sum::<f64>()
    };
    until("most", || read() >= sink.sent as f64 * 0.6);
    assert_eq!(server.bad_lines(), 0);
}
