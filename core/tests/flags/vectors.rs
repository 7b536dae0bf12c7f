//! The vectors that every language runs: made by `tests/vectors/make_flags.py`, from the
//! specification alone.

use ioprofiler::flags::file::{self, Layer};
use ioprofiler::flags::{self, Document, Snapshot, Subject, compile};
use ioprofiler::{Facts, Profiler};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::HashMap;

fn source() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/flags.json");
    std::fs::read_to_string(path).expect("the vectors")
}

fn vectors() -> Value {
    serde_json::from_str(&source()).expect("JSON")
}

fn cases(vectors: &Value, name: &str) -> Vec<Value> {
    vectors[name].as_array().expect("cases").clone()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

#[test]
fn hashes() {
    for case in cases(&vectors(), "hash") {
        let hash = format!("{:016x}", flags::hash(text(&case["text"])));
        assert_eq!(hash, text(&case["xxh64"]), "{case}");
    }
}

#[test]
fn buckets() {
    for case in cases(&vectors(), "bucket") {
        let hash = |key| flags::hash(text(&case[key]));
        let bucket = flags::bucket_of(hash("unit"), hash("flag"));
        assert_eq!(Some(u64::from(bucket)), case["bucket"].as_u64(), "{case}");
    }
}

#[test]
fn numbers() {
    for case in cases(&vectors(), "number") {
        let number = case["number"].as_f64().expect("a number");
        assert_eq!(flags::number(number), text(&case["text"]), "{case}");
    }
}

fn pairs(value: &Value) -> Vec<(String, String)> {
    let pair = |(name, value): (&String, &Value)| (name.clone(), text(value).to_owned());
    value
        .as_object()
        .map(|pairs| pairs.iter().map(pair).collect())
        .unwrap_or_default()
}

/// The vectors' documents, each as it stands there: the order of its keys counts.
fn documents() -> HashMap<String, Document> {
    #[derive(Deserialize)]
    struct Vectors<'a> {
        #[serde(borrow)]
        documents: HashMap<String, &'a RawValue>,
    }
    let source = source();
    let vectors: Vectors<'_> = serde_json::from_str(&source).expect("the documents");
    let read = |(name, text): (String, &RawValue)| {
        let layer = Layer::new(format!("{name}.json"), text.get());
        let reading = file::read(&[layer], None);
        assert_eq!(reading.problems, [], "{name}");
        (name, reading.document)
    };
    vectors.documents.into_iter().map(read).collect()
}

fn expected(case: &Value) -> (String, Option<String>, String) {
    (
        text(&case["state"]).to_owned(),
        case["variant"].as_str().map(str::to_owned),
        text(&case["reason"]).to_owned(),
    )
}

fn decided(decision: flags::Decision) -> (String, Option<String>, String) {
    let reason = match decision.group() {
        Some(group) => format!("group:{group}"),
        None => decision.reason().as_str().to_owned(),
    };
    if reason == "not_found" {
        return ("default".to_owned(), None, reason);
    }
    let state = decision.state().as_str().to_owned();
    (state, Some(decision.variant().to_owned()), reason)
}

/// Each case in a request of its own, with what it says set as a host would.
#[test]
fn decisions_in_requests() {
    let vectors = vectors();
    let profilers: HashMap<String, Profiler> = documents()
        .into_iter()
        .map(|(name, document)| {
            let profiler = Profiler::builder().build().expect("a profiler");
            profiler.set_flags(compile(document));
            (name, profiler)
        })
        .collect();
    for case in cases(&vectors, "decisions") {
        let who = &case["who"];
        let overrides: Vec<String> = pairs(&who["overrides"])
            .iter()
            .map(|(flag, variant)| format!("{flag}:{variant}"))
            .collect();
        let overrides = overrides.join(",");
        let mut facts = Facts::web("GET", "/").flag_overrides(&overrides);
        if let Some(id) = who["request"].as_str() {
            facts = facts.id(id);
        }
        let request = profilers[text(&case["document"])].begin(&facts);
        if let Some(user) = who["user"].as_str() {
            request.set_user(user);
        }
        if let Some(visitor) = who["visitor"].as_str() {
            request.set_visitor(visitor);
        }
        for group in who["groups"].as_array().into_iter().flatten() {
            request.add_group(text(group));
        }
        for (name, value) in pairs(&who["attributes"]) {
            request.set_attribute(&name, &value);
        }
        let flag = text(&case["flag"]);
        let by_request = flag == "by_request" && who["request"].is_null();
        let decision = request.decide(flag, false);
        if by_request {
            // Every request has an id, given or made up.
            assert!(
                ["percent", "off"].contains(&decision.reason().as_str()),
                "{case}"
            );
        } else {
            assert_eq!(decided(decision), expected(&case), "{case}");
        }
        assert_eq!(request.decide(flag, false), decision, "the second time");
        drop(request.finish(200, 0));
    }
}

/// And about subjects, without a request.
#[test]
fn decisions_about_subjects() {
    let vectors = vectors();
    let snapshots: HashMap<String, Snapshot> = documents()
        .into_iter()
        .map(|(name, document)| (name, compile(document)))
        .collect();
    for case in cases(&vectors, "decisions") {
        let who = &case["who"];
        if !who["overrides"].is_null() {
            continue;
        }
        let groups: Vec<&str> = who["groups"]
            .as_array()
            .into_iter()
            .flatten()
            .map(text)
            .collect();
        let attributes = pairs(&who["attributes"]);
        let attributes: Vec<(&str, &str)> = attributes
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let id = |key: &str| who[key].as_str().unwrap_or_default();
        let subject = Subject::user(id("user"))
            .with_visitor(id("visitor"))
            .with_request(id("request"))
            .in_groups(&groups)
            .with_attributes(&attributes);
        let snapshot = &snapshots[text(&case["document"])];
        let flag = text(&case["flag"]);
        let decision = snapshot.decide(flag, &subject, false);
        assert_eq!(decided(decision), expected(&case), "{case}");
        let explained = snapshot.explain(flag, &subject).decision();
        assert_eq!(explained, decision, "{case}");
    }
}
