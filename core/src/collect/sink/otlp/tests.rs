//! What is made of anything that can be counted, kept or done: always messages, with everything in
//! them once. The official definitions decode them in `tests/tests/otlp.rs`.

use super::super::parcel::{Origin, Report};
use super::*;
use crate::category::{Dialect, Kind};
use crate::collect::kept::{Kept, KeptFor};
use crate::collect::series::{Distribution, METRICS, Name, Sample, Series, SeriesKind, Value};
use crate::collect::{Event, EventKind};
use crate::profile::{Outcome, ProfileData, RequestKind, SpanData, State};
use proptest::prelude::*;
use proto::{Data, LogsRequest, MetricsRequest, Number, TracesRequest};
use serde_json::Value as Json;
use std::collections::HashSet;

fn sink(options: &Otlp) -> Sender {
    Sender {
        client: Client::new(&options.http),
        options: options.clone(),
    }
}

fn plain() -> Otlp {
    Otlp::to("http://collector:4318").gzip(false)
}

fn report(series: Vec<Series>) -> Parcel {
    Parcel::Report(Arc::new(Report {
        at: 1_764_000_000_000_000_000,
        interval: Duration::from_secs(60),
        origin: Origin {
            host: "web0022".to_owned(),
            worker: Some("w1".to_owned()),
        },
        since: series.clone(),
        total: series,
    }))
}

/// All texts that anybody may put anywhere.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z_.]{0,12}",
        "\\PC{0,20}",
        proptest::collection::vec(any::<char>(), 0..8).prop_map(String::from_iter),
        Just("x".repeat(10_000)),
        Just(String::new()),
        Just("other".to_owned()),
        Just("unknown".to_owned()),
    ]
}

fn distribution() -> impl Strategy<Value = Distribution> {
    let buckets = proptest::collection::btree_map(any::<u32>(), 0..u64::MAX / 64, 0..30);
    (any::<u64>(), any::<u64>(), buckets).prop_map(|(count, sum_ns, buckets)| Distribution {
        count,
        sum_ns,
        buckets: buckets.into_iter().collect(),
    })
}

fn value() -> impl Strategy<Value = Value> {
    let gauge = prop_oneof![
        any::<f64>(),
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        Just(-0.0)
    ];
    prop_oneof![
        any::<u64>().prop_map(Value::Counter),
        (gauge, any::<u64>()).prop_map(|(value, set_at)| Value::Gauge { value, set_at }),
        distribution().prop_map(Value::Distribution),
    ]
}

fn sample() -> impl Strategy<Value = Sample> {
    let known = (
        0..METRICS.len(),
        proptest::collection::vec(text(), 6),
        value(),
        distribution(),
        any::<u64>(),
    )
        .prop_map(|(place, labels, value, counted, count)| {
            let metric = METRICS[place];
            // What it is, is fixed; its labels and its value are anything.
            let value = match (metric.kind, value) {
                (SeriesKind::Counter, _) => Value::Counter(count),
                (SeriesKind::Distribution, _) => Value::Distribution(counted),
                (_, gauge @ Value::Gauge { .. }) => gauge,
                _ => Value::Gauge {
                    value: 1.5,
                    set_at: 0,
                },
            };
            let mut labels: Vec<Arc<str>> = labels.into_iter().map(Arc::from).collect();
            if metric.labels.first() == Some(&"kind") && count % 2 == 0 {
                labels[0] = Arc::from("web");
            }
            Sample::known(metric, labels, value)
        });
    let labels = proptest::collection::vec((text(), text()), 0..5);
    let own = (text(), labels, value()).prop_map(|(name, labels, value)| Sample {
        name: Name::Own(Arc::from(name)),
        labels: labels
            .into_iter()
            .map(|(name, value)| (name.into(), Arc::from(value)))
            .collect(),
        value,
    });
    prop_oneof![known, own]
}

fn series() -> impl Strategy<Value = Series> {
    let samples = proptest::collection::vec(sample(), 0..40);
    (
        proptest::option::of(text()),
        any::<u64>(),
        any::<u64>(),
        samples,
    )
        .prop_map(|(version, since, at, samples)| Series {
            version: version.map(Arc::from),
            since,
            at,
            samples,
        })
}

fn options() -> impl Strategy<Value = Otlp> {
    (any::<bool>(), any::<bool>())
        .prop_map(|(delta, exponential)| plain().delta(delta).exponential(exponential))
}

/// Whether a JSON text has the same things in it as a message: keys are found, numbers of 64 bits are
/// texts, and nothing is `null`.
fn check_json(json: &Json) -> Result<(), TestCaseError> {
    match json {
        Json::Null => Err(TestCaseError::fail("null")),
        Json::Array(list) => list.iter().try_for_each(check_json),
        Json::Object(fields) => fields.iter().try_for_each(|(key, value)| {
            prop_assert!(!key.contains('_') && !key.is_empty(), "{}", key);
            let is_long =
                key.ends_with("UnixNano") || key == "asInt" || key == "intValue" || key == "count";
            prop_assert!(!is_long || value.is_string(), "{}: {}", key, value);
            check_json(value)
        }),
        _ => Ok(()),
    }
}

fn check_metrics(request: &MetricsRequest) -> Result<u64, TestCaseError> {
    let mut points = 0;
    for resource in &request.resource_metrics {
        for scope in &resource.scope_metrics {
            for metric in &scope.metrics {
                prop_assert!(
                    metric
                        .name
                        .starts_with(|first: char| first.is_ascii_alphabetic())
                );
                let (attributes, times): (Vec<_>, Vec<_>) = match metric.data.as_ref().unwrap() {
                    Data::Gauge(gauge) => gauge
                        .data_points
                        .iter()
                        .map(|point| {
                            let Some(Number::AsDouble(value)) = point.value else {
                                panic!("{point:?}")
                            };
                            assert!(value.is_finite());
                            (&point.attributes, (0, point.time_unix_nano))
                        })
                        .unzip(),
                    Data::Sum(sum) => sum
                        .data_points
                        .iter()
                        .map(|point| {
                            (
                                &point.attributes,
                                (point.start_time_unix_nano, point.time_unix_nano),
                            )
                        })
                        .unzip(),
                    Data::Histogram(histogram) => histogram
                        .data_points
                        .iter()
                        .map(|point| {
                            assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
                            assert_eq!(point.bucket_counts.iter().sum::<u64>(), point.count);
                            assert!(point.explicit_bounds.is_sorted_by(|a, b| a < b));
                            (
                                &point.attributes,
                                (point.start_time_unix_nano, point.time_unix_nano),
                            )
                        })
                        .unzip(),
                    Data::ExponentialHistogram(histogram) => histogram
                        .data_points
                        .iter()
                        .map(|point| {
                            let positive = point.positive.as_ref().unwrap();
                            let counted: u64 = positive.bucket_counts.iter().sum();
                            assert_eq!(counted + point.zero_count, point.count);
                            assert!(positive.bucket_counts.len() <= 160);
                            (
                                &point.attributes,
                                (point.start_time_unix_nano, point.time_unix_nano),
                            )
                        })
                        .unzip(),
                };
                points += attributes.len() as u64;
                for (start, end) in times {
                    prop_assert!(start <= end);
                }
                let different: HashSet<String> =
                    attributes.iter().map(|it| format!("{it:?}")).collect();
                prop_assert_eq!(different.len(), attributes.len());
                for attributes in attributes {
                    let keys: HashSet<&str> = attributes.iter().map(|it| &*it.key).collect();
                    prop_assert_eq!(keys.len(), attributes.len());
                    prop_assert!(!keys.contains(""));
                }
            }
        }
    }
    Ok(points)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_was_counted_is_a_message(
        series in proptest::collection::vec(series(), 0..4),
        options in options(),
    ) {
        let report = report(series);
        let packets = sink(&options).encode(&report);
        let json_packets = sink(&options.json(true)).encode(&report);
        prop_assert_eq!(packets.len(), json_packets.len());
        for (packet, json) in packets.iter().zip(&json_packets) {
            let request = MetricsRequest::decode(&*packet.bytes).unwrap();
            prop_assert_eq!(check_metrics(&request)?, packet.points);
            prop_assert!(packet.points != 0);
            prop_assert_eq!(packet.points, json.points);
            check_json(&serde_json::from_slice(&json.bytes).unwrap())?;
        }
    }
}

fn call() -> impl Strategy<Value = SpanData> {
    let kind = prop_oneof![Just(Kind::Leaf), Just(Kind::Scope)];
    let dialect = prop_oneof![
        Just(Dialect::Generic),
        Just(Dialect::MySql),
        Just(Dialect::PostgreSql),
        Just(Dialect::Sqlite),
        Just(Dialect::Keys),
        Just(Dialect::Path),
    ];
    let outcome = prop_oneof![
        Just(Outcome::Ok),
        Just(Outcome::Error),
        Just(Outcome::Cancelled),
        Just(Outcome::Open)
    ];
    let times = (any::<u64>(), any::<u64>());
    let more = (
        proptest::option::of(any::<u32>()),
        proptest::option::of(text()),
        any::<bool>(),
    );
    (kind, dialect, outcome, text(), times, more).prop_map(
        |(kind, dialect, outcome, detail, (start_ns, duration_ns), (parent, target, dark))| {
            let mut call = SpanData {
                category: "dbshard01",
                kind,
                dialect,
                outcome,
                detail,
                start_ns,
                duration_ns,
                parent,
                target,
                dark,
                after_answer: dark,
                ..SpanData::default()
            };
            call.counts.rows = parent;
            call
        },
    )
}

fn kept() -> impl Strategy<Value = Kept> {
    let texts = proptest::collection::vec(text(), 10);
    let calls = proptest::collection::vec(call(), 0..20);
    let numbers = (
        any::<u64>(),
        any::<u64>(),
        any::<u64>(),
        proptest::option::of(any::<u16>()),
    );
    (texts, calls, numbers, 0..4_u8).prop_map(|(texts, spans, numbers, how)| {
        let (started_at, page_ns, app_ns, status) = numbers;
        let mut texts = texts.into_iter();
        let mut next = || texts.next().unwrap();
        let mut data = ProfileData {
            id: next(),
            host: next(),
            build: Some(next()),
            parent_id: (how == 1).then(&mut next),
            started_at,
            page_ns,
            app_ns,
            spans,
            ..ProfileData::default()
        };
        data.state = [
            State::Finished,
            State::Aborted,
            State::Abandoned,
            State::Live,
        ][usize::from(how)];
        data.facts.kind = [RequestKind::Web, RequestKind::Job][usize::from(how & 1)];
        data.facts.method = next();
        data.facts.path = next();
        data.facts.route = Some(next());
        data.facts.host = Some(next());
        data.facts.error = Some(next());
        data.facts.status = status;
        Kept {
            reason: KeptFor::Slow,
            profile: Arc::new(data),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_was_kept_is_a_trace(kept in kept()) {
        let parcel = Parcel::Kept(Arc::new(kept.clone()));
        let packets = sink(&plain()).encode(&parcel);
        prop_assert_eq!(packets.len(), 1);
        let request = TracesRequest::decode(&*packets[0].bytes).unwrap();
        let spans = &request.resource_spans[0].scope_spans[0].spans;
        prop_assert_eq!(spans.len(), kept.profile.spans.len() + 1);
        prop_assert_eq!(packets[0].points, spans.len() as u64);
        let ids: HashSet<&[u8]> = spans.iter().map(|span| &*span.span_id).collect();
        prop_assert_eq!(ids.len(), spans.len());
        for (place, span) in spans.iter().enumerate() {
            prop_assert_eq!((span.trace_id.len(), span.span_id.len()), (16, 8));
            prop_assert!(!span.name.is_empty());
            prop_assert!(span.start_time_unix_nano <= span.end_time_unix_nano);
            let parent = spans[..place].iter().any(|it| it.span_id == span.parent_span_id);
            prop_assert_eq!(parent, place != 0);
        }
        let json = sink(&plain().json(true)).encode(&parcel);
        check_json(&serde_json::from_slice(&json[0].bytes).unwrap())?;
    }

    #[test]
    fn whatever_was_done_is_a_record(
        texts in proptest::collection::vec(text(), 6), at in any::<u64>()
    ) {
        let mut event = Event::new(EventKind::Own, &texts[0])
            .who(&texts[1]).why(&texts[2]).change(&texts[3], &texts[4]);
        event.version = Some(texts[5].clone());
        event.at = at;
        let parcel = Parcel::Event(Arc::new(event));
        let packets = sink(&plain()).encode(&parcel);
        let request = LogsRequest::decode(&*packets[0].bytes).unwrap();
        prop_assert_eq!(request.resource_logs[0].scope_logs[0].log_records.len(), 1);
        let json = sink(&plain().json(true)).encode(&parcel);
        check_json(&serde_json::from_slice(&json[0].bytes).unwrap())?;
    }
}

fn numbered(count: u64) -> Series {
    let sample = |number: u64| Sample {
        name: Name::Own(Arc::from(format!("own.{}", number % 100))),
        labels: vec![("number".into(), Arc::from(number.to_string()))],
        value: Value::Counter(number),
    };
    Series {
        samples: (0..count).map(sample).collect(),
        ..Series::default()
    }
}

#[test]
fn what_is_too_much_for_one_request_is_sent_in_several() {
    let mut sink = sink(&plain());
    let packets = sink.encode(&report(vec![numbered(20_000), numbered(5)]));
    assert!(packets.len() > 1);
    assert_eq!(
        packets.iter().map(|packet| packet.points).sum::<u64>(),
        20_005
    );
    let mut values = Vec::new();
    for packet in &packets {
        assert!(packet.bytes.len() <= MAX_REQUEST);
        let request = MetricsRequest::decode(&*packet.bytes).unwrap();
        for resource in &request.resource_metrics {
            for metric in resource
                .scope_metrics
                .iter()
                .flat_map(|scope| &scope.metrics)
            {
                let Some(Data::Sum(sum)) = &metric.data else {
                    panic!()
                };
                values.extend(sum.data_points.iter().map(|point| point.value));
            }
        }
    }
    let mut values: Vec<i64> = values
        .into_iter()
        .map(|value| match value {
            Some(Number::AsInt(value)) => value,
            other => panic!("{other:?}"),
        })
        .collect();
    values.sort_unstable();
    let mut wanted: Vec<i64> = (0..20_000).chain(0..5).collect();
    wanted.sort_unstable();
    assert_eq!(values, wanted);
}

#[test]
fn what_has_the_same_attributes_is_added_up() {
    let own = |name: &str, count| Sample {
        name: Name::Own(Arc::from(name)),
        labels: Vec::new(),
        value: Value::Counter(count),
    };
    let samples = vec![own("a b", 1), own("a|b", 2), own("a_b", 4)];
    let series = Series {
        samples,
        ..Series::default()
    };
    let packets = sink(&plain()).encode(&report(vec![series]));
    assert_eq!((packets.len(), packets[0].points), (1, 1));
    let request = MetricsRequest::decode(&*packets[0].bytes).unwrap();
    let metric = &request.resource_metrics[0].scope_metrics[0].metrics[0];
    let Some(Data::Sum(sum)) = &metric.data else {
        panic!()
    };
    assert_eq!(sum.data_points[0].value, Some(Number::AsInt(7)));
}

#[test]
fn traces_that_wait_are_sent_in_one_request() {
    let kept = |id: &str| {
        let data = ProfileData {
            id: id.to_owned(),
            ..ProfileData::default()
        };
        Parcel::Kept(Arc::new(Kept {
            reason: KeptFor::Error,
            profile: Arc::new(data),
        }))
    };
    for json in [false, true] {
        let mut sink = sink(&plain().json(json));
        let packets: Vec<Packet> = (0..5)
            .flat_map(|number| sink.encode(&kept(&number.to_string())))
            .collect();
        let mut first = packets[0].clone();
        for next in &packets[1..] {
            assert!(sink.join(&mut first, next));
        }
        assert_eq!(first.points, 5);
        let count = if json {
            let read: Json = serde_json::from_slice(&first.bytes).unwrap();
            read["resourceSpans"].as_array().unwrap().len()
        } else {
            let read = TracesRequest::decode(&*first.bytes).unwrap();
            read.resource_spans.len()
        };
        assert_eq!(count, 5);
        let event = Parcel::Event(Arc::new(Event::deploy("1")));
        let log = &sink.encode(&event)[0];
        assert!(!sink.join(&mut first, log), "another place");
        first.bytes.resize(MAX_REQUEST, b' ');
        assert!(!sink.join(&mut first, &packets[0]), "too large");
    }
}

#[test]
fn reports_wait_compressed() {
    let report = report(vec![numbered(1_000)]);
    let zipped = sink(&plain().gzip(true)).encode(&report);
    let whole = sink(&plain()).encode(&report);
    assert!(zipped[0].bytes.starts_with(&GZIP));
    assert!(4 * zipped[0].bytes.len() < whole[0].bytes.len());
    let mut read = Vec::new();
    let mut decoder = flate2::read::GzDecoder::new(&*zipped[0].bytes);
    std::io::Read::read_to_end(&mut decoder, &mut read).unwrap();
    assert_eq!(read, whole[0].bytes);
}

#[test]
fn wrong_options_are_named() {
    let said = |otlp: Otlp| otlp.check().map_err(|error| error.to_string());
    assert_eq!(said(plain().resource("a", "b")), Ok(()));
    for (otlp, wanted) in [
        (Otlp::to("collector:4318"), "otlp.url: "),
        (plain().service_name(""), "otlp.service_name: "),
        (
            plain().resource("service.name", "x"),
            "otlp.resource: \"service.name\"",
        ),
        (plain().resource("", "x"), "otlp.resource: \"\""),
        (
            plain().resource("a", "x").resource("a", "y"),
            "otlp.resource: \"a\" is there twice",
        ),
        (plain().header("a b", "x"), "otlp.headers: "),
        (plain().interval(Duration::ZERO), "otlp.interval: "),
        (
            plain().metrics(false).traces(false).logs(false),
            "otlp.metrics: is off, as are traces and logs",
        ),
    ] {
        let error = said(otlp).unwrap_err();
        assert!(error.starts_with(wanted), "{error}");
    }
}
