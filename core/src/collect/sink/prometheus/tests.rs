//! What is written, to the byte; and that it is what the formats allow, whatever is counted.

use super::*;
use crate::collect::series::{
    BUILD_INFO, CALL_HITS, Distribution, Name, PROFILER_DROPPED, REQUEST_DURATION, REQUEST_IO,
    Sample, Series, Value,
};
use proptest::prelude::*;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

const MS: u32 = 1_000;

fn own(name: &str, labels: &[(&str, &str)], value: Value) -> Sample {
    let labels = labels.iter();
    Sample {
        name: Name::Own(Arc::from(name)),
        labels: labels
            .map(|(name, value)| (Cow::Owned((*name).to_owned()), Arc::from(*value)))
            .collect(),
        value,
    }
}

fn gauge(value: f64) -> Value {
    Value::Gauge { value, set_at: 0 }
}

fn durations(buckets: &[(u32, u64)], sum_ns: u64) -> Value {
    let counts = buckets.iter().map(|(_, count)| count);
    Value::Distribution(Distribution {
        count: counts.sum(),
        sum_ns,
        buckets: buckets.to_vec(),
    })
}

fn labels<const N: usize>(values: [&str; N]) -> [Arc<str>; N] {
    values.map(Arc::from)
}

fn of(version: Option<&str>, samples: Vec<Sample>) -> Series {
    let mut series = Series {
        version: version.map(Arc::from),
        since: 1,
        at: 2,
        samples,
    };
    series.sort();
    series
}

fn written(series: &[Series], worker: Option<&str>, left_out: &[&str], format: Format) -> String {
    let left_out: Vec<String> = left_out.iter().map(|label| (*label).to_owned()).collect();
    write::body(&Families::of(series, worker, &left_out), format)
}

fn shop() -> Vec<Series> {
    let request =
        |method, status, outcome| labels(["web", "/listing/{id}", method, status, outcome]);
    let long = durations(&[(4 * MS, 2), (200 * MS, 1)], 207_000_000);
    vec![
        of(
            Some("8c1f"),
            vec![
                Sample::known(&REQUEST_DURATION, request("GET", "200", "ok"), long),
                Sample::known(
                    &REQUEST_IO,
                    labels(["web", "/listing/{id}"]),
                    Value::Counter(1_500_000_001),
                ),
            ],
        ),
        of(
            None,
            vec![
                Sample::known(&BUILD_INFO, labels(["8c1f"]), gauge(4.0)),
                Sample::known(&PROFILER_DROPPED, labels(["queue"]), Value::Counter(0)),
                own("registrations", &[], Value::Counter(3)),
                own(
                    "registrations",
                    &[("plan", "pro")],
                    Value::Counter(u64::MAX),
                ),
                own("queue.length", &[], gauge(-1.5)),
                own("mail.sent", &[], durations(&[(MS, 1)], 1_000_000)),
            ],
        ),
    ]
}

#[test]
fn openmetrics_is_written_to_the_byte() {
    let expected = r#"# TYPE ioprofiler_request_duration_seconds histogram
# UNIT ioprofiler_request_duration_seconds seconds
# HELP ioprofiler_request_duration_seconds Requests that ended, by how long they took from begin to end.
ioprofiler_request_duration_seconds_bucket{kind="web",route="/listing/{id}",method="GET",status="200",outcome="ok",version="8c1f",le="0.005"} 2
ioprofiler_request_duration_seconds_bucket{kind="web",route="/listing/{id}",method="GET",status="200",outcome="ok",version="8c1f",le="0.01"} 2
ioprofiler_request_duration_seconds_bucket{kind="web",route="/listing/{id}",method="GET",status="200",outcome="ok",version="8c1f",le="0.025"} 2
ioprofiler_request_duration_seconds_bucket{kind="web",route="/listing/{id}",method="GET",status="200",outcome="ok",version="8c1f",le="0.05"} 2
ioprofiler_request_duration_seconds_bucket{kind="web",route="/listing/{id}",method="GET",status="200",outcome="ok",version="8c1f",le="0.075"} 2
ioprofiler_request_duration_seconds_bucket{kind="web",route="/listing/{id}",method="GET",status="200",outcome="ok",version="8c1f",le="0.1"} 2
ioprofiler_request_duration_seconds_bucket{kind="web",route="/listing/{id}",method="GET",status="200",outcome="ok",version="8c1f",le="0.25"} 3
ioprofiler_request_duration_seconds_bucket{kind="web",route="/listing/{id}",method="GET",status="200",outcome="ok",version="8c1f",le="0.5"} 3
ioprofiler_request_duration_seconds_bucket{kind="web",route="/listing/{id}",method="GET",status="200",outcome="ok",version="8c1f",le="0.75"} 3
ioprofiler_request_duration_seconds_bucket{kind="web",route="/listing/{id}",method="GET",status="200",outcome="ok",version="8c1f",le="1.0"} 3
ioprofiler_request_duration_seconds_bucket{kind="web",route="/listing/{id}",method="GET",status="200",outcome="ok",version="8c1f",le="2.5"} 3
ioprofiler_request_duration_seconds_bucket{kind="web",route="/listing/{id}",method="GET",status="200",outcome="ok",version="8c1f",le="5.0"} 3
ioprofiler_request_duration_seconds_bucket{kind="web",route="/listing/{id}",method="GET",status="200",outcome="ok",version="8c1f",le="7.5"} 3
ioprofiler_request_duration_seconds_bucket{kind="web",route="/listing/{id}",method="GET",status="200",outcome="ok",version="8c1f",le="10.0"} 3
ioprofiler_request_duration_seconds_bucket{kind="web",route="/listing/{id}",method="GET",status="200",outcome="ok",version="8c1f",le="+Inf"} 3
ioprofiler_request_duration_seconds_sum{kind="web",route="/listing/{id}",method="GET",status="200",outcome="ok",version="8c1f"} 0.207
ioprofiler_request_duration_seconds_count{kind="web",route="/listing/{id}",method="GET",status="200",outcome="ok",version="8c1f"} 3
# TYPE ioprofiler_request_io_seconds counter
# UNIT ioprofiler_request_io_seconds seconds
# HELP ioprofiler_request_io_seconds Time of requests during which at least one call of theirs was going on.
ioprofiler_request_io_seconds_total{kind="web",route="/listing/{id}",version="8c1f"} 1.500000001
# TYPE ioprofiler_build_info gauge
# HELP ioprofiler_build_info Processes that run this version of the application.
ioprofiler_build_info{version="8c1f"} 4
# TYPE ioprofiler_profiler_dropped counter
# HELP ioprofiler_profiler_dropped What the profiler did not keep, by reason: see `collect::series::DROPS`.
ioprofiler_profiler_dropped_total{reason="queue"} 0
# TYPE registrations counter
# HELP registrations A counter of the application's own: registrations.
registrations_total 3
registrations_total{plan="pro"} 18446744073709551615
# TYPE mail_sent_seconds histogram
# UNIT mail_sent_seconds seconds
# HELP mail_sent_seconds A timing of the application's own: mail.sent.
mail_sent_seconds_bucket{le="0.0001"} 0
mail_sent_seconds_bucket{le="0.0005"} 0
mail_sent_seconds_bucket{le="0.001"} 1
mail_sent_seconds_bucket{le="0.005"} 1
mail_sent_seconds_bucket{le="0.01"} 1
mail_sent_seconds_bucket{le="0.05"} 1
mail_sent_seconds_bucket{le="0.1"} 1
mail_sent_seconds_bucket{le="0.25"} 1
mail_sent_seconds_bucket{le="0.5"} 1
mail_sent_seconds_bucket{le="1.0"} 1
mail_sent_seconds_bucket{le="2.5"} 1
mail_sent_seconds_bucket{le="5.0"} 1
mail_sent_seconds_bucket{le="10.0"} 1
mail_sent_seconds_bucket{le="+Inf"} 1
mail_sent_seconds_sum 0.001
mail_sent_seconds_count 1
# TYPE queue_length gauge
# HELP queue_length A gauge of the application's own: queue.length.
queue_length -1.5
# EOF
"#;
    assert_eq!(written(&shop(), None, &[], Format::OpenMetrics), expected);
}

#[test]
fn text_differs_in_heads_alone() {
    let open = written(&shop(), None, &[], Format::OpenMetrics);
    let text = written(&shop(), None, &[], Format::Text);
    let rows = |text: &str| -> Vec<String> {
        let rows = text.lines().filter(|line| !line.starts_with('#'));
        rows.map(str::to_owned).collect()
    };
    assert_eq!(rows(&text), rows(&open));
    let heads: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("_io_") && line.starts_with('#'))
        .collect();
    assert_eq!(
        heads,
        [
            "# TYPE ioprofiler_request_io_seconds_total counter",
            "# HELP ioprofiler_request_io_seconds_total Time of requests during which at least one call of theirs was going on.",
        ]
    );
    assert!(!text.contains("# UNIT") && !text.contains("# EOF"));
}

#[test]
fn who_reports_for_itself_says_who_it_is() {
    let text = written(&shop(), Some("web-1"), &[], Format::Text);
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        assert!(line.contains("worker=\"web-1\""), "{line}");
    }
    // A label of the application's own of the same name stays.
    let own = own(
        "jobs",
        &[("worker", "mailer"), ("version", "2")],
        Value::Counter(1),
    );
    let text = written(
        &[of(Some("8c1f"), vec![own])],
        Some("web-1"),
        &[],
        Format::Text,
    );
    assert!(
        text.ends_with("\njobs_total{worker=\"mailer\",version=\"2\"} 1\n"),
        "{text}"
    );
}

#[test]
fn what_has_the_same_name_and_labels_is_added_up() {
    let hits = |route, count| {
        Sample::known(
            &CALL_HITS,
            labels(["web", route, "memcache"]),
            Value::Counter(count),
        )
    };
    let series = [
        of(None, vec![hits("/a", 1), hits("/b", 2)]),
        of(Some(""), vec![hits("/a", 4)]),
    ];
    let text = written(&series, None, &[], Format::Text);
    let row = |route, count| {
        format!(
            "\nioprofiler_call_hits_total{{kind=\"web\",route=\"{route}\",category=\"memcache\"}} {count}\n"
        )
    };
    assert!(
        text.contains(&row("/a", 5)) && text.contains(&row("/b", 2)),
        "{text}"
    );
    let text = written(&series, None, &["route", "kind"], Format::Text);
    assert!(
        text.ends_with("\nioprofiler_call_hits_total{category=\"memcache\"} 7\n"),
        "{text}"
    );

    let timing = |name, at| {
        own(
            name,
            &[("a", "b")],
            durations(&[(at, 1)], u64::from(at) * 1_000),
        )
    };
    let both = of(
        None,
        vec![timing("mail.sent", MS), timing("mail sent", 2 * MS)],
    );
    let text = written(&[both], None, &[], Format::Text);
    assert!(
        text.contains(
            "\nmail_sent_seconds_sum{a=\"b\"} 0.003\nmail_sent_seconds_count{a=\"b\"} 2\n"
        ),
        "{text}"
    );
    // One of them holds more than it counts, as somebody else's file may say.
    let odd = Sample {
        value: Value::Distribution(Distribution {
            count: 1,
            sum_ns: 0,
            buckets: vec![(MS, 9)],
        }),
        ..timing("odd", MS)
    };
    let text = written(&[of(None, vec![odd])], None, &[], Format::Text);
    assert!(
        text.contains("le=\"0.001\"} 1\n") && text.contains("le=\"+Inf\"} 1\n"),
        "{text}"
    );
}

#[test]
fn hostile_texts_are_escaped_or_replaced() {
    let route = format!("/a\"b\\c\nd\r\u{7f}ü{}", "x".repeat(10_000));
    let hits = Sample::known(
        &CALL_HITS,
        labels(["web", &route, "memcache"]),
        Value::Counter(1),
    );
    let own = own(
        "a\"b\\c\nd\r",
        &[("__name__", "evil"), ("le", "1")],
        durations(&[(MS, 1)], 0),
    );
    for format in [Format::Text, Format::OpenMetrics] {
        let text = written(
            &[of(None, vec![hits.clone(), own.clone()])],
            None,
            &[],
            format,
        );
        let route = format!(
            "/a\\\"b\\\\c\\nd\u{fffd}\u{fffd}ü{}…",
            "x".repeat(MAX_CHARS - 11)
        );
        let row = format!(
            "\nioprofiler_call_hits_total{{kind=\"web\",route=\"{route}\",category=\"memcache\"}} 1\n"
        );
        assert!(text.contains(&row), "{text}");
        assert!(
            text.contains("\na_b_c_d_seconds_sum{_name__=\"evil\",exported_le=\"1\"} 0.0\n"),
            "{text}"
        );
        let quote = if format == Format::OpenMetrics {
            "\\\""
        } else {
            "\""
        };
        let help = format!(" A timing of the application's own: a{quote}b\\\\c\\nd\u{fffd}.\n");
        assert!(text.contains(&help), "{text}");
        judge(&text, format);
    }
}

const MAX_CHARS: usize = 256;

/// Names and values of labels.
type Pairs = Vec<(String, String)>;

/// Takes a line apart: name, labels, value. Panics where it is none.
fn row(line: &str) -> (String, Pairs, f64) {
    let end = line.find(['{', ' ']).unwrap_or_else(|| panic!("{line}"));
    let is_name = |name: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        name.bytes().all(plain) && !name.is_empty() && !name.as_bytes()[0].is_ascii_digit()
    };
    let (name, mut rest) = line.split_at(end);
    assert!(is_name(name), "{line}");
    let mut labels = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (label, behind) = rest.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
            assert!(is_name(label) && !label.starts_with("__"), "{line}");
            let (mut value, mut characters) = (String::new(), behind.char_indices());
            let end = loop {
                match characters.next().unwrap_or_else(|| panic!("{line}")) {
                    (at, '"') => break at,
                    (_, '\\') => match characters.next() {
                        Some((_, 'n')) => value.push('\n'),
                        Some((_, other @ ('\\' | '"'))) => value.push(other),
                        other => panic!("{other:?} {line}"),
                    },
                    (_, character) => value.push(character),
                }
            };
            assert!(!labels.iter().any(|(there, _)| there == label), "{line}");
            labels.push((label.to_owned(), value));
            rest = &behind[end + 1..];
            rest = rest.strip_prefix(',').unwrap_or(rest);
        }
        rest = &rest[1..];
    }
    let value = rest.strip_prefix(' ').unwrap_or_else(|| panic!("{line}"));
    (
        name.to_owned(),
        labels,
        value.parse().unwrap_or_else(|_| panic!("{line}")),
    )
}

/// Whether it is what the formats allow; `tests/` has the parsers of others.
fn judge(text: &str, format: Format) {
    assert!(text.is_empty() || text.ends_with('\n'));
    assert_eq!(text.ends_with("# EOF\n"), format == Format::OpenMetrics);
    let mut seen = HashSet::new();
    let mut families = HashMap::new();
    let mut family: Option<(String, String)> = None;
    let mut bucket: Option<(Pairs, f64, f64)> = None;
    let mut counts = HashMap::new();
    for line in text.lines().filter(|line| *line != "# EOF") {
        if let Some(head) = line.strip_prefix("# TYPE ") {
            let (name, kind) = head.split_once(' ').unwrap();
            let before = families.insert(name.to_owned(), kind.to_owned());
            assert_eq!(before, None, "twice: {line}");
            family = Some((name.to_owned(), kind.to_owned()));
            bucket = None;
            continue;
        }
        let (family, kind) = family.as_ref().unwrap();
        if line.starts_with("# ") {
            assert!(line.contains(&format!(" {family} ")), "{line}");
            continue;
        }
        let (name, labels, value) = row(line);
        let endings: &[&str] = match (&**kind, format) {
            ("counter", Format::OpenMetrics) => &["_total"],
            ("histogram", _) => &["_bucket", "_sum", "_count"],
            _ => &[""],
        };
        let ending = name.strip_prefix(&**family).unwrap_or("?");
        assert!(endings.contains(&ending), "{family}: {line}");
        assert!(seen.insert((name.clone(), labels.clone())), "twice: {line}");
        if ending == "_bucket" {
            let (le, others): (Vec<_>, Vec<_>) =
                labels.into_iter().partition(|(label, _)| label == "le");
            let le: f64 = le[0].1.parse().unwrap();
            if let Some((before, bound, count)) = &bucket
                && *before == others
            {
                assert!(le > *bound && value >= *count, "{line}");
            }
            if le.is_infinite() {
                counts.insert((family.clone(), others.clone()), value);
            }
            bucket = Some((others, le, value));
        } else if ending == "_count" {
            assert_eq!(
                counts.get(&(family.clone(), labels)),
                Some(&value),
                "{line}"
            );
        }
    }
    // No family's name is that of a series of another one.
    for (name, kind) in &families {
        let endings: &[&str] = match (&**kind, format) {
            ("counter", Format::OpenMetrics) => &["_total", "_created"],
            ("histogram", _) => &["_bucket", "_sum", "_count", "_created"],
            _ => &[],
        };
        for ending in endings {
            let other = format!("{name}{ending}");
            assert!(!families.contains_key(&other), "{name} and {other}");
        }
    }
}

fn word() -> impl Strategy<Value = String> {
    let near = prop::sample::select(vec![
        "a",
        "a.b",
        "a_b",
        "a-b",
        "a_total",
        "a_seconds",
        "a_seconds_count",
        "a_bucket",
        "a_created",
        "le",
        "__name__",
        "version",
        "worker",
        "up",
        "ioprofiler_request_live",
        "ioprofiler.request",
        "7",
        "ü",
        "\n",
        "\"}",
        "\\",
    ]);
    prop_oneof![near.prop_map(str::to_owned), "\\PC{1,6}", any::<String>()]
}

fn sample() -> impl Strategy<Value = Sample> {
    let value = prop_oneof![
        any::<u64>().prop_map(Value::Counter),
        any::<f64>().prop_map(gauge),
        (
            prop::collection::vec((1_u32..200_000, 0_u64..9), 0..5),
            any::<u64>()
        )
            .prop_map(|(mut buckets, sum)| {
                buckets.sort_unstable();
                buckets.dedup_by_key(|bucket| bucket.0);
                durations(&buckets, sum)
            }),
    ];
    let labels = prop::collection::vec((word(), word()), 0..4);
    let is_own = prop::bool::weighted(0.7);
    (word(), labels, value, is_own).prop_map(|(name, labels, value, is_own)| {
        let pairs: Vec<(&str, &str)> = labels
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        let mut sample = own(&name, &pairs, value);
        if !is_own {
            let mut values = labels.iter().map(|(_, value)| Arc::from(&**value));
            let values = [values.next(), values.next(), values.next()];
            let values = values.map(|value| value.unwrap_or_else(|| Arc::from("x")));
            sample = Sample::known(&CALL_HITS, values, sample.value);
        }
        sample
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_is_counted_the_text_is_valid(
        first in prop::collection::vec(sample(), 0..30),
        second in prop::collection::vec(sample(), 0..30),
        worker in prop::option::of(word()),
    ) {
        let series = [of(None, first), of(Some("8c1f"), second)];
        for format in [Format::Text, Format::OpenMetrics] {
            judge(&written(&series, worker.as_deref(), &[], format), format);
            judge(&written(&series, worker.as_deref(), &["route"], format), format);
        }
    }
}
