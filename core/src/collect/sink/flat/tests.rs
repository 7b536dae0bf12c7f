use super::super::testing::{durations, gauge, known, own, report_by_chance, timed, tries};
use super::*;
use proptest::prelude::*;

const SHAPE: Shape = Shape {
    style: Style::Names,
    buckets: false,
    whole: false,
    calls_by_route: true,
    says_count: true,
};

fn as_is(text: &str) -> String {
    text.to_owned()
}

const TAGS: Style = Style::Tags(as_is);

/// `NAME;TAG=VALUE NUMBER`, a line each.
fn lines(samples: Vec<Sample>, shape: &Shape) -> Vec<String> {
    let flats = flatten(&samples, shape);
    let line = |flat: Flat| {
        let tags = flat
            .tags
            .iter()
            .map(|(name, value)| format!(";{name}={value}"));
        let le = flat.le.map(|le| format!(";le={}", bound(le)));
        let tags: String = tags.chain(le).collect();
        let value = match flat.value {
            FlatValue::Count(count) => format!("{count} counted"),
            FlatValue::Level(level) => format!("{level}"),
            FlatValue::Durations(durations) => format!("{} durations", durations.count),
        };
        format!("{}{tags} {value}", flat.name)
    };
    flats.into_iter().map(line).collect()
}

fn requests() -> Vec<Sample> {
    let ok = ["web", "/listing/{id}", "GET", "200", "ok"];
    let failed = ["web", "/listing/{id}", "GET", "500", "error"];
    let left = ["web", "/all", "GET", "", "aborted"];
    vec![
        known("request.duration", &ok, timed(&[(10, 3), (20, 1)])),
        known("request.duration", &failed, timed(&[(30, 1)])),
        known("request.duration", &left, timed(&[(40, 1)])),
        known("request.io", &ok[..2], Value::Counter(25_000_000)),
        known("request.other", &ok[..2], Value::Counter(50_000_000)),
        known(
            "request.duration",
            &["job", "reindex", "", "", "ok"],
            timed(&[]),
        ),
    ]
}

fn calls() -> Vec<Sample> {
    let labels = ["web", "/listing/{id}", "memcache"];
    vec![
        known("call.duration", &labels, timed(&[(1, 4)])),
        known("call.hits", &labels, Value::Counter(2)),
        known("call.misses", &labels, Value::Counter(1)),
        known("call.errors", &labels, Value::Counter(1)),
        known("call.duration", &["web", "/", "memcache"], timed(&[(3, 1)])),
    ]
}

#[test]
fn parts_are_made_of_what_every_server_takes() {
    for (text, made) in [
        ("/listing/{id}", "listing_id"),
        ("/", "root"),
        ("", "root"),
        ("dbshard01", "dbshard01"),
        ("a.b", "a_b"),
        ("a\nb|c:d#e;f=g", "a_b_c_d_e_f_g"),
        ("ü", "root"),
        ("x-y_z", "x-y_z"),
        ("../..", "root"),
    ] {
        assert_eq!(part(text), made, "{text:?}");
    }
    assert_eq!(name("mail..sent.ü/x"), "mail.sent.x");
    assert_eq!(name("..."), "root");
}

#[test]
fn long_parts_stay_different() {
    let long = |last: &str| part(&format!("/{}{last}", "x".repeat(10_000)));
    assert_eq!(long("a").len(), MAX_PART);
    assert_ne!(long("a"), long("b"));
    // For ever the same: series go on under their names.
    assert_eq!(long("a"), format!("{}_{}", "x".repeat(55), "f9101416"));
}

#[test]
fn names_of_the_application_are_none_of_ours() {
    for (text, made) in [
        ("registrations", "registrations"),
        ("mail.sent", "mail.sent"),
        ("request.all.count", "own.request.all.count"),
        ("call/x.y", "call_x.y"),
        ("flags.x", "own.flags.x"),
        ("job", "own.job"),
        ("events.deploy", "own.events.deploy"),
        ("own.x", "own.own.x"),
    ] {
        assert_eq!(own_name(text), made, "{text:?}");
    }
}

#[test]
fn requests_are_told_by_route_and_of_all() {
    assert_eq!(
        lines(requests(), &SHAPE),
        [
            "job.all.aborted 0 counted",
            "job.all.count 0 counted",
            "job.all.errors 0 counted",
            "job.reindex.aborted 0 counted",
            "job.reindex.count 0 counted",
            "job.reindex.errors 0 counted",
            "request.all.aborted 1 counted",
            "request.all.count 6 counted",
            "request.all.errors 1 counted",
            "request.all.io 4.166666",
            "request.all.max 40",
            "request.all.mean 20",
            "request.all.other 8.333333",
            "request.all.p50 10",
            "request.all.p95 40",
            "request.all.p99 40",
            "request.all_.aborted 1 counted",
            "request.all_.count 1 counted",
            "request.all_.errors 0 counted",
            "request.all_.max 40",
            "request.all_.mean 40",
            "request.all_.p50 40",
            "request.all_.p95 40",
            "request.all_.p99 40",
            "request.listing_id.aborted 0 counted",
            "request.listing_id.count 5 counted",
            "request.listing_id.errors 1 counted",
            "request.listing_id.io 5",
            "request.listing_id.max 30",
            "request.listing_id.mean 16",
            "request.listing_id.other 10",
            "request.listing_id.p50 10",
            "request.listing_id.p95 30",
            "request.listing_id.p99 30",
        ]
    );
}

#[test]
fn where_there_are_labels_nothing_is_told_twice() {
    let shape = Shape {
        style: TAGS,
        buckets: true,
        ..SHAPE
    };
    let all = lines(requests(), &shape);
    let plain: Vec<&String> = all.iter().filter(|line| !line.contains("bucket")).collect();
    assert_eq!(
        plain,
        [
            "request.all.io;kind=web 4.166666",
            "request.all.max;kind=web 40",
            "request.all.mean;kind=web 20",
            "request.all.other;kind=web 8.333333",
            "request.all.p50;kind=web 10",
            "request.all.p95;kind=web 40",
            "request.all.p99;kind=web 40",
            "request.count;kind=job;outcome=ok;route=reindex 0 counted",
            "request.count;kind=web;method=GET;outcome=aborted;route=/all 1 counted",
            "request.count;kind=web;method=GET;outcome=error;route=/listing/{id};status=500 1 counted",
            "request.count;kind=web;method=GET;outcome=ok;route=/listing/{id};status=200 4 counted",
            "request.io;kind=web;route=/listing/{id} 5",
            "request.max;kind=web;route=/all 40",
            "request.max;kind=web;route=/listing/{id} 30",
            "request.mean;kind=web;route=/all 40",
            "request.mean;kind=web;route=/listing/{id} 16",
            "request.other;kind=web;route=/listing/{id} 10",
            "request.p50;kind=web;route=/all 40",
            "request.p50;kind=web;route=/listing/{id} 10",
            "request.p95;kind=web;route=/all 40",
            "request.p95;kind=web;route=/listing/{id} 30",
            "request.p99;kind=web;route=/all 40",
            "request.p99;kind=web;route=/listing/{id} 30",
        ]
    );
    let bucket = "request.bucket;kind=web;route=/listing/{id};le=25ms 4 counted".to_owned();
    assert!(all.contains(&bucket), "{all:?}");
    assert!(
        all.iter()
            .all(|line| !line.starts_with("request.all.bucket"))
    );
}

#[test]
fn calls_are_told_of_all_routes_and_where_wanted_of_each() {
    let all = [
        "call.all.memcache.count 5 counted",
        "call.all.memcache.errors 1 counted",
        "call.all.memcache.hit_ratio 0.666667",
        "call.all.memcache.hits 2 counted",
        "call.all.memcache.max 3",
        "call.all.memcache.mean 1.4",
        "call.all.memcache.misses 1 counted",
        "call.all.memcache.p50 1",
        "call.all.memcache.p95 3",
        "call.all.memcache.p99 3",
        "call.all.memcache.time 7 counted",
    ];
    let shape = Shape {
        calls_by_route: false,
        ..SHAPE
    };
    assert_eq!(lines(calls(), &shape), all);
    let each = lines(calls(), &SHAPE);
    assert_eq!(each[..all.len()], all);
    assert!(each.contains(&"call.listing_id.memcache.count 4 counted".to_owned()));
    assert!(each.contains(&"call.root.memcache.time 3 counted".to_owned()));
    let tags = Shape {
        style: TAGS,
        ..shape
    };
    let tagged = lines(calls(), &tags);
    assert_eq!(tagged[0], "call.count;category=memcache;kind=web 5 counted");
    assert_eq!(tagged.len(), all.len());
}

#[test]
fn durations_can_be_left_as_they_are() {
    let shape = Shape {
        whole: true,
        calls_by_route: false,
        ..SHAPE
    };
    assert_eq!(
        lines(calls(), &shape),
        [
            "call.all.memcache 5 durations",
            "call.all.memcache.errors 1 counted",
            "call.all.memcache.hit_ratio 0.666667",
            "call.all.memcache.hits 2 counted",
            "call.all.memcache.misses 1 counted",
            "call.all.memcache.time 7 counted",
        ]
    );
}

#[test]
fn the_rest_is_told_as_it_is_called() {
    let samples = || {
        vec![
            known(
                "flag.request.duration",
                &["new_search", "green"],
                timed(&[(5, 2)]),
            ),
            known(
                "flag.calls",
                &["new_search", "green", "db"],
                Value::Counter(7),
            ),
            known(
                "flag.call",
                &["new_search", "green", "db"],
                Value::Counter(1_500_000),
            ),
            known("dark.duration", &["unseen"], timed(&[(5, 1)])),
            known("dark.errors", &["unseen"], Value::Counter(1)),
            known("process.memory", &[], gauge(1e9)),
            known("flags.checked.age", &[], gauge(0.25)),
            known("build.info", &["1.2.3"], gauge(4.0)),
            known("profiler.dropped", &["queue"], Value::Counter(3)),
            known("profiler", &[], Value::Counter(2_000_000)),
            own("registrations", &[("plan", "pro")], Value::Counter(2)),
            own("request.x", &[], gauge(-1.0)),
            own("mail", &[], Value::Distribution(durations(&[(9, 1)]))),
        ]
    };
    let told = lines(samples(), &SHAPE);
    for line in [
        "build.info.1_2_3 4",
        "dark.unseen.errors 1 counted",
        "dark.unseen.p50 5",
        "flag.new_search.green.count 2 counted",
        "flag.new_search.green.db.calls 7 counted",
        "flag.new_search.green.db.time 1.5 counted",
        "flag.new_search.green.p95 5",
        "flags.checked.age 0.25",
        "mail.count 1 counted",
        "mail.max 9",
        "own.request.x -1",
        "process.memory 1000000000",
        "profiler.dropped.queue.count 3 counted",
        "profiler.time 2 counted",
        "registrations.pro.count 2 counted",
    ] {
        assert!(told.iter().any(|told| told == line), "{line}: {told:#?}");
    }
    let shape = Shape {
        says_count: false,
        style: TAGS,
        ..SHAPE
    };
    let told = lines(samples(), &shape);
    for line in [
        "flag.time;category=db;flag=new_search;variant=green 1.5 counted",
        "profiler.dropped;reason=queue 3 counted",
        "registrations;plan=pro 2 counted",
    ] {
        assert!(told.iter().any(|told| told == line), "{line}: {told:#?}");
    }
}

#[test]
fn what_has_the_same_name_is_added_up() {
    let samples = vec![
        own("a/b", &[], Value::Counter(1)),
        own("a b", &[], Value::Counter(2)),
        own("mail", &[], timed(&[(9, 4)])),
        own("mail.count", &[], gauge(3.0)),
    ];
    let told = lines(samples, &SHAPE);
    assert_eq!(told[0], "a_b.count 3 counted");
    assert!(told.contains(&"mail.count 7".to_owned()), "{told:?}");
}

#[test]
fn labels_of_the_application_are_none_of_ours() {
    let labels = [("host", "a"), ("a b", "c"), ("a_b", "d"), ("name", "e")];
    let shape = Shape {
        style: TAGS,
        ..SHAPE
    };
    assert_eq!(
        lines(vec![own("x", &labels, Value::Counter(1))], &shape),
        ["x.count;a_b=c;a_b_=d;host_=a;name_=e 1 counted"]
    );
}

#[test]
fn numbers_are_what_every_server_reads() {
    for (value, text) in [
        (0.0, "0"),
        (-0.0, "0"),
        (12.345, "12.345"),
        (-3.0, "-3"),
        (1e16, "10000000000000000"),
        (1e300, "1e300"),
        (-2.5e-12, "-2.5e-12"),
    ] {
        assert_eq!(number(value).unwrap(), text);
    }
    assert_eq!(number(f64::NAN), None);
    assert_eq!(number(f64::NEG_INFINITY), None);
}

proptest! {
    #![proptest_config(tries())]

    #[test]
    fn names_are_safe_and_none_comes_twice(
        report in report_by_chance(),
        buckets: bool, whole: bool, calls_by_route: bool, says_count: bool, tagged: bool,
    ) {
        let style = if tagged { Style::Tags(as_is) } else { Style::Names };
        let shape = Shape { style, buckets, whole: whole && !tagged, calls_by_route, says_count };
        let flats = flatten(report.since_of_all(), &shape);
        for flat in &flats {
            for part in flat.name.split('.') {
                prop_assert!((1..=MAX_PART).contains(&part.len()), "{flat:?}");
                let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
                prop_assert!(part.bytes().all(safe), "{flat:?}");
            }
            prop_assert!(tagged || flat.tags.is_empty());
            prop_assert!(flat.tags.is_sorted_by(|a, b| a.0 < b.0), "{flat:?}");
        }
        let keys: Vec<_> = flats.iter().map(|flat| (&flat.name, &flat.tags, flat.le)).collect();
        prop_assert!(keys.is_sorted_by(|a, b| a < b || shape.whole && a == b));
    }

    #[test]
    fn requests_of_all_routes_are_the_sum_of_those_of_each(report in report_by_chance()) {
        let wanted = report.since_of_all().filter(|sample| sample.name.as_str() == "request.duration");
        let wanted: u64 = wanted
            .map(|sample| match (&sample.value, sample.label("kind")) {
                (Value::Distribution(duration), "web") => duration.count,
                _ => 0,
            })
            .sum();
        let flats = flatten(report.since_of_all(), &SHAPE);
        let counts = |is: &dyn Fn(&str) -> bool| -> f64 {
            let flats = flats.iter().filter(|flat| is(&flat.name));
            flats.map(|flat| match flat.value { FlatValue::Count(count) => count, _ => 0.0 }).sum()
        };
        prop_assert_eq!(counts(&|name| name == "request.all.count"), wanted as f64);
        let of_routes = counts(&|name| {
            let parts: Vec<&str> = name.split('.').collect();
            matches!(parts[..], ["request", route, "count"] if route != "all")
        });
        prop_assert_eq!(of_routes, wanted as f64);
    }
}
