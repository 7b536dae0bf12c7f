//! Trace files: read back, and each track nests properly.

use std::collections::BTreeMap;

use ioprofiler::profile::ProfileData;
use ioprofiler::render::{Details, trace};
use proptest::prelude::*;
use serde_json::Value;

use crate::assert_golden;
use crate::profiles::{self, Page, any_profile, inside, leaf, on_lane, scope};

fn events(data: &ProfileData) -> Vec<Value> {
    let file: Value = serde_json::from_str(&trace(data, Details::Full)).expect("JSON");
    file["traceEvents"].as_array().expect("events").clone()
}

fn number(event: &Value, field: &str) -> f64 {
    event[field]
        .as_f64()
        .unwrap_or_else(|| panic!("{field} of {event}"))
}

/// What the trace event format demands of a file, and what Perfetto's importer asks of it: a value
/// of another type is dropped there without a word, and nesting that does not add up likewise.
fn assert_keeps_the_format(data: &ProfileData) {
    let text = trace(data, Details::Full);
    let file: Value = serde_json::from_str(&text).expect("JSON");
    let file = file.as_object().expect("the object form");
    assert!(
        file.keys()
            .all(|key| ["traceEvents", "displayTimeUnit"].contains(&key.as_str()))
    );
    assert_eq!(file["displayTimeUnit"], "ms", "\"ms\" or \"ns\"");
    // An importer that reads in pieces finds the list before it knows what else there is.
    assert!(text.starts_with(r#"{"traceEvents":["#));
    for event in file["traceEvents"].as_array().expect("a list") {
        let event = event.as_object().expect("an object");
        let text = |field: &str| {
            event[field]
                .as_str()
                .unwrap_or_else(|| panic!("{field}: {event:?}"))
        };
        for number in ["pid", "tid"] {
            let number = event[number].as_u64().expect("a whole number");
            assert!(u32::try_from(number).is_ok(), "of 32 bits");
        }
        assert!(event["args"].is_object());
        let allowed: &[&str] = match text("ph") {
            "M" => {
                let (argument, is_right) = match text("name") {
                    "process_name" | "thread_name" => ("name", event["args"]["name"].is_string()),
                    "thread_sort_index" => ("sort_index", event["args"]["sort_index"].is_u64()),
                    other => panic!("metadata {other} is in no documentation"),
                };
                let only = event["args"]
                    .as_object()
                    .is_some_and(|args| args.len() == 1);
                assert!(is_right && only, "{argument}: {event:?}");
                &["name", "ph", "pid", "tid", "args"]
            }
            "X" => {
                assert!(!text("name").is_empty() && !text("cat").is_empty());
                assert!(["request", "leaf", "scope"].contains(&text("cat")));
                for time in ["ts", "dur"] {
                    let time = event[time].as_f64().expect("microseconds");
                    assert!(time >= 0.0 && time.is_finite());
                    let ns = time * 1_000.0;
                    assert!(
                        ns.fract() == 0.0 && ns < 9e15,
                        "whole nanoseconds: {event:?}"
                    );
                }
                &["name", "cat", "ph", "pid", "tid", "ts", "dur", "args"]
            }
            other => panic!("an event of phase {other}"),
        };
        assert!(
            event.keys().all(|key| allowed.contains(&key.as_str())),
            "{event:?}"
        );
    }
}

#[test]
fn every_profile_keeps_the_format() {
    for (_, data) in profiles::all() {
        assert_keeps_the_format(&data);
    }
}

/// Complete events by track, in the order in which viewers draw them: by start, longer ones first.
fn tracks(events: &[Value]) -> BTreeMap<u64, Vec<Value>> {
    let mut tracks: BTreeMap<u64, Vec<Value>> = BTreeMap::new();
    for event in events.iter().filter(|event| event["ph"] == "X") {
        tracks
            .entry(event["tid"].as_u64().expect("a track"))
            .or_default()
            .push(event.clone());
    }
    for track in tracks.values_mut() {
        track.sort_by(|a, b| {
            number(a, "ts")
                .total_cmp(&number(b, "ts"))
                .then(number(b, "dur").total_cmp(&number(a, "dur")))
        });
    }
    tracks
}

/// Every event lies within the one that is open when it starts, in a viewer's own arithmetic.
fn assert_nested(events: &[Value]) {
    for (tid, track) in tracks(events) {
        let mut open: Vec<f64> = Vec::new();
        for event in &track {
            let start = number(event, "ts");
            let end = start + number(event, "dur");
            while open.pop_if(|until| *until <= start).is_some() {}
            assert!(end > start, "speedscope needs some duration: {event}");
            assert!(
                open.last().is_none_or(|until| end <= *until),
                "track {tid}: {event}"
            );
            open.push(end);
        }
    }
}

#[test]
fn golden_file() {
    let pretty = serde_json::to_string_pretty(
        &serde_json::from_str::<Value>(&trace(&profiles::nested(), Details::Full)).expect("JSON"),
    );
    assert_golden("nested.trace.json", &(pretty.expect("JSON") + "\n"));
}

#[test]
fn every_profile_nests() {
    for (name, data) in profiles::all() {
        let events = events(&data);
        let calls = events.iter().filter(|event| event["ph"] == "X").count();
        assert_eq!(calls, data.spans.len() + 1, "{name}");
        assert_nested(&events);
        let named: Vec<&Value> = events
            .iter()
            .filter(|event| event["name"] == "thread_name")
            .collect();
        assert_eq!(
            named.len(),
            tracks(&events).len(),
            "{name}: every track has a name"
        );
    }
}

#[test]
fn overlapping_calls_of_a_lane_get_tracks_of_their_own() {
    let mut page = Page::new("/", 1_000);
    let both = page.add(scope("function", "both", 0, 100));
    page.add(inside(leaf("dbshard01", "a", 10, 50), both));
    page.add(inside(leaf("dbshard02", "b", 20, 50), both));
    page.add(inside(
        leaf("dbshard02", "within b's time, but not in it", 30, 10),
        both,
    ));
    page.add(on_lane(
        inside(leaf("dbshard02", "other lane", 30, 10), both),
        1,
    ));
    page.add(inside(leaf("dbshard01", "afterwards", 80, 10), both));
    let events = events(&page.done());
    assert_nested(&events);
    let tids: Vec<u64> = events
        .iter()
        .filter(|event| event["ph"] == "X")
        .map(|event| event["tid"].as_u64().expect("a track"))
        .collect();
    assert_eq!(tids, [0, 0, 0, 1, 2, 3, 0]);
    let names: Vec<&str> = events
        .iter()
        .filter(|event| event["name"] == "thread_name")
        .filter_map(|event| event["args"]["name"].as_str())
        .collect();
    assert_eq!(names, ["lane 0", "lane 0 +1", "lane 0 +2", "lane 1"]);
}

#[test]
fn arguments_say_what_the_call_was() {
    let events = events(&profiles::outcomes());
    let cancelled = events
        .iter()
        .find(|event| event["args"]["outcome"] == "cancelled");
    let cancelled = cancelled.expect("a cancelled call");
    assert_eq!(cancelled["name"], "dbshard01 SELECT SLEEP(9)");
    assert_eq!(cancelled["args"]["category"], "dbshard01");
    assert_eq!(cancelled["args"]["caller"], "src/checkout.rs:99");
    assert_eq!(
        (number(cancelled, "ts"), number(cancelled, "dur")),
        (7_000.0, 2_000.0)
    );
    assert!(
        events
            .iter()
            .any(|event| event["args"]["after_answer"] == true)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_profile_nests(data in any_profile(), odd_ns in prop::collection::vec(0_u64..1_000, 40)) {
        let mut data = data;
        // Times between the grid's points, in order of start all the same.
        for (span, odd) in data.spans.iter_mut().zip(&odd_ns) {
            span.duration_ns += odd;
        }
        assert_nested(&events(&data));
        assert_keeps_the_format(&data);
    }

    /// What lies around a call on its track is its parent: nothing seems to be inside a stranger.
    #[test]
    fn a_call_lies_within_its_parent_only(data in any_profile()) {
        let events: Vec<Value> = events(&data).into_iter().filter(|event| event["ph"] == "X").skip(1).collect();
        prop_assert_eq!(events.len(), data.spans.len());
        for (index, event) in events.iter().enumerate() {
            let (start, end) = (number(event, "ts"), number(event, "ts") + number(event, "dur"));
            for (other, around) in events.iter().enumerate().filter(|(other, _)| *other != index) {
                let (other_start, other_end) = (number(around, "ts"), number(around, "ts") + number(around, "dur"));
                if around["tid"] != event["tid"] || other_start > start || other_end < end || other > index {
                    continue;
                }
                let mut ancestor = data.spans[index].parent;
                while let Some(next) = ancestor.filter(|ancestor| *ancestor as usize != other) {
                    ancestor = data.spans[next as usize].parent;
                }
                prop_assert_eq!(ancestor, Some(other as u32));
            }
        }
    }
}
