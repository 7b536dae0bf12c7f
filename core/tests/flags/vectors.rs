//! The vectors that every language runs: made by `tests/vectors/make_flags.py`, from the
//! specification alone.

use ioprofiler::flags::{
    self, BucketBy, Document, Enabled, FlagSpec, Share, Shed, Snapshot, Subject, compile,
};
use ioprofiler::{Facts, Profiler};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::collections::HashMap;
use std::marker::PhantomData;

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

/// Millionths of a percent, exactly, of `20.5` or `"33.333333%"`.
fn share(value: &Value) -> Share {
    let decimal = value.to_string();
    let decimal = decimal.trim_matches('"').trim_end_matches('%');
    let millionths = match decimal {
        "1e-6" => 1,
        decimal => {
            let (whole, part) = decimal.split_once('.').unwrap_or((decimal, ""));
            format!("{whole}{part:0<6}").parse().expect("a percentage")
        }
    };
    Share::millionths(millionths).expect("at most 100 %")
}

fn pairs(value: &Value) -> Vec<(String, String)> {
    let pair = |(name, value): (&String, &Value)| (name.clone(), text(value).to_owned());
    value
        .as_object()
        .map(|pairs| pairs.iter().map(pair).collect())
        .unwrap_or_default()
}

/// An object in the order written, which `Value` does not keep.
#[derive(Default)]
struct Ordered<V>(Vec<(String, V)>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Ordered<V> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Pairs<V>(PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for Pairs<V> {
            type Value = Ordered<V>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ordered<V>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Ordered(pairs))
            }
        }
        from.deserialize_map(Pairs(PhantomData))
    }
}

#[derive(Deserialize)]
struct File {
    shed: Option<FileShed>,
    flags: Ordered<FileFlag>,
}

#[derive(Deserialize)]
struct FileShed {
    from: u8,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct FileFlag {
    enabled: Option<FileEnabled>,
    users: Ordered<String>,
    groups: Ordered<String>,
    variants: Ordered<u32>,
    dark: Option<Value>,
    bucket_by: Option<String>,
    id: Option<u32>,
    priority: Option<u8>,
    salt: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum FileEnabled {
    Shares(Ordered<Value>),
    Word(Value),
}

fn enabled(value: Option<FileEnabled>) -> Enabled {
    match value {
        None => Enabled::default(),
        Some(FileEnabled::Shares(shares)) => {
            let one = |(variant, value): (String, Value)| (variant, share(&value));
            Enabled::Shares(shares.0.into_iter().map(one).collect())
        }
        Some(FileEnabled::Word(value)) => match &value {
            Value::Bool(true) => Enabled::on(),
            Value::Bool(false) => Enabled::Off,
            Value::String(word) if word == "off" => Enabled::Off,
            Value::String(word) if !word.ends_with('%') => Enabled::All(word.clone()),
            percentage => Enabled::share(share(percentage)),
        },
    }
}

fn flag((name, file): (String, FileFlag)) -> FlagSpec {
    let mut flag = FlagSpec::new(name);
    flag.enabled = enabled(file.enabled);
    flag.users = file.users.0;
    flag.groups = file.groups.0;
    flag.variants = file.variants.0;
    flag.dark = file.dark.as_ref().map(share);
    flag.id = file.id;
    flag.priority = file.priority;
    flag.salt = file.salt;
    flag.bucket_by = match file.bucket_by.as_deref() {
        None => BucketBy::Any,
        Some("visitor") => BucketBy::Visitor,
        Some("user") => BucketBy::User,
        Some("request") => BucketBy::Request,
        Some(attribute) => BucketBy::Attribute(attribute.to_owned()),
    };
    flag
}

fn documents() -> HashMap<String, Document> {
    #[derive(Deserialize)]
    struct Vectors {
        documents: HashMap<String, File>,
    }
    let vectors: Vectors = serde_json::from_str(&source()).expect("the documents");
    let document = |file: File| {
        let mut document = Document::default();
        document.shed = file.shed.map(|shed| Shed::from(shed.from));
        document.flags = file.flags.0.into_iter().map(flag).collect();
        document
    };
    vectors
        .documents
        .into_iter()
        .map(|(name, file)| (name, document(file)))
        .collect()
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
