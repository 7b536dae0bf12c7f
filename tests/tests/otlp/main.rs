//! What is sent to OpenTelemetry collectors, taken apart by its own definitions: every value is what
//! the requests come to when they are counted one by one.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod kept;
mod metrics;

use ioprofiler::flags::{Document, Enabled, FlagSpec, Share, compile};
use ioprofiler::sinks::Otlp;
use ioprofiler::{
    Category, Dialect, Event, EventKind, Facts, Keep, MemorySink, Outcome, ProfileData, Profiler,
    ProfilerBuilder, SinkStats,
};
use ioprofiler_tests::servers::{self, Folder, Server};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use kept::{one_request, records, spans, with_flags};
use metrics::{pairs, points};

const SOON: Duration = Duration::from_secs(20);

static DBSHARD01: Category = Category::leaf("dbshard01").dialect(Dialect::MySql);
static DBSHARD02: Category = Category::leaf("dbshard02").dialect(Dialect::PostgreSql);
static MEMCACHE: Category = Category::leaf("memcache_get").dialect(Dialect::Keys);
static TEMPLATE: Category = Category::scope("template").dialect(Dialect::Path);

/// What the collector took, in the order in which it came.
fn taken(collector: &Server) -> Vec<Value> {
    let text = std::fs::read_to_string(collector.path("taken")).unwrap();
    let entries: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for entry in &entries {
        assert!(entry.get("error").is_none(), "{entry}");
    }
    entries
}

fn messages(collector: &Server, path: &str) -> Vec<Value> {
    let entries = taken(collector).into_iter();
    entries
        .filter(|entry| entry["path"] == path)
        .map(|entry| entry["message"].clone())
        .collect()
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

/// Numbers of 64 bits are texts in protobuf's JSON.
fn number(value: &Value) -> u64 {
    match value {
        Value::String(text) => text.parse().unwrap(),
        Value::Null => 0,
        other => other.as_u64().unwrap(),
    }
}

fn attributes(of: &Value) -> BTreeMap<String, String> {
    let pairs = list(of, "attributes").iter().map(|pair| {
        let fields = pair["value"].as_object().unwrap();
        let value = fields.values().next().unwrap();
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        (pair["key"].as_str().unwrap().to_owned(), text)
    });
    pairs.collect()
}

fn otlp(collector: &Server) -> Otlp {
    Otlp::to(format!("http://{}", collector.address())).service_name("shop")
}

fn builder(to: Otlp) -> ProfilerBuilder {
    Profiler::builder()
        .build_id("8c1f")
        .worker("w1")
        .send_to(to)
}

fn sink_stats(profiler: &Profiler) -> SinkStats {
    profiler.stats().sinks[0].clone()
}

/// One flush gives the sinks a second.
fn flush(profiler: &Profiler) {
    let deadline = Instant::now() + SOON;
    while !profiler.flush(SOON) {
        assert!(Instant::now() < deadline, "{:?}", sink_stats(profiler));
    }
}

fn check_all_sent(profiler: &Profiler) {
    let stats = sink_stats(profiler);
    assert_eq!(
        (stats.produced, stats.dropped),
        (stats.sent, 0),
        "{stats:?}"
    );
    assert!(stats.sent > 0, "{stats:?}");
}

#[test]
fn what_was_done_is_a_record() {
    for json in [false, true] {
        let Some(collector) = servers::collector(&[]) else {
            return;
        };
        let profiler = builder(otlp(&collector).json(json).metrics(false))
            .build()
            .unwrap();
        profiler.event(Event::deploy("9d20").who("erika").what("new search"));
        profiler.event(Event::new(EventKind::Shed, "from 7").change("nothing", "7"));
        flush(&profiler);
        check_all_sent(&profiler);
        let records = records(&collector);
        let [deploy, shed] = &records[..] else {
            panic!("{records:?}")
        };
        assert_eq!(deploy["eventName"], "ioprofiler.deploy");
        let body = json!({ "stringValue": "deploy 9d20: new search, by erika" });
        assert_eq!(deploy["body"], body);
        let parts = [
            ("ioprofiler.event.what", "new search"),
            ("ioprofiler.event.who", "erika"),
        ];
        assert_eq!(attributes(deploy), pairs(&parts));
        assert_eq!(shed["eventName"], "ioprofiler.shed");
        assert_eq!(shed["severityNumber"], "SEVERITY_NUMBER_WARN");
        let message = &messages(&collector, "/v1/logs")[0];
        let resource = attributes(&list(message, "resourceLogs")[0]["resource"]);
        assert_eq!(resource["service.version"], "9d20");
    }
}

#[test]
fn what_a_collector_does_not_take_is_counted_and_not_sent_again() {
    for json in [false, true] {
        let Some(collector) = servers::collector(&["--reject", "2"]) else {
            return;
        };
        let profiler = builder(otlp(&collector).json(json).metrics(false).logs(false))
            .build()
            .unwrap();
        with_flags(&profiler);
        one_request(&profiler);
        flush(&profiler);
        let stats = sink_stats(&profiler);
        assert_eq!(
            (stats.produced, stats.sent, stats.dropped),
            (6, 4, 2),
            "{stats:?}"
        );
        assert!(stats.why.ends_with("2 not taken: too old"), "{stats:?}");
        flush(&profiler);
        assert_eq!(messages(&collector, "/v1/traces").len(), 1);
    }
}

#[test]
fn strange_names_and_values_are_taken() {
    let strange = [
        "line\nbreak",
        "a\"b\\c",
        "é ü 😀",
        "<b>&amp;",
        "nul\0",
        "\u{202e}",
        "x|y:z;k=v",
    ];
    let long = "x".repeat(10_000);
    for json in [false, true] {
        let Some(collector) = servers::collector(&[]) else {
            return;
        };
        let profiler = builder(otlp(&collector).json(json).resource("strange", strange[0]))
            .keep(Keep::default().slowest(100))
            .build()
            .unwrap();
        for text in strange.into_iter().chain([&*long]) {
            profiler.count(text, 1);
            profiler.count(&format!("labelled;{text}={text}"), 1);
            profiler.gauge(&format!("gauge {text}"), f64::MAX);
            profiler.gauge(&format!("not a number {text}"), f64::NAN);
            profiler.event(Event::deploy(text).who(text).what(text).why(text));
            let request = profiler.begin(&Facts::web(text, text).query(text).id(text).host(text));
            request.set_route(text);
            request.set_error(text);
            drop(request.span(text, text).target(text));
            request.finish(500, u64::MAX);
        }
        flush(&profiler);
        check_all_sent(&profiler);
        assert_eq!(spans(&collector).len(), 2 * (strange.len() + 1));
        assert!(points(&messages(&collector, "/v1/metrics")).len() > 50);
    }
}

#[expect(clippy::print_stdout, reason = "tests/run reads it")]
fn skipped(name: &str) {
    println!("skipped: {name}: it is not installed");
}

/// Of an authority, and of a server at 127.0.0.1 for which it speaks: files of an authority's
/// certificate, the server's, and the server's key.
fn certificates(folder: &Folder) -> Option<[String; 3]> {
    let openssl = servers::program("openssl")?;
    let path = |name: &str| folder.path(name).to_str().unwrap().to_owned();
    let make = |name: &str, more: &[&str]| {
        let made = Command::new(&openssl)
            .args(["req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"])
            .args(["-pkeyopt", "ec_paramgen_curve:prime256v1"])
            .args(["-subj", &format!("/CN={name}")])
            .args(["-out", &path(&format!("{name}.pem"))])
            .args(["-keyout", &path(&format!("{name}.key"))])
            .args(more)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "{said}");
    };
    make("authority", &[]);
    let (by, key) = (path("authority.pem"), path("authority.key"));
    let signed = ["-CA", &by, "-CAkey", &key];
    let about = [
        "basicConstraints=critical,CA:FALSE",
        "subjectAltName=IP:127.0.0.1",
    ];
    let about = about.iter().flat_map(|about| ["-addext", about]);
    let arguments: Vec<&str> = signed.into_iter().chain(about).collect();
    make("server", &arguments);
    Some([by, path("server.pem"), path("server.key")])
}

#[test]
fn https_is_spoken_with_whom_the_operator_believes() {
    let folder = Folder::new("tls");
    let Some([authority, certificate, key]) = certificates(&folder) else {
        return skipped("openssl");
    };
    let arguments = ["--certificate", &certificate, "--key", &key];
    let Some(collector) = servers::collector(&arguments) else {
        return;
    };
    let sent = |url: String, ca_file: Option<&Path>| {
        let mut to = Otlp::to(url).metrics(false);
        if let Some(file) = ca_file {
            to = to.ca_file(file);
        }
        let profiler = builder(to).build().unwrap();
        profiler.event(Event::deploy("1"));
        let sent = profiler.flush(Duration::from_secs(2));
        (sent, sink_stats(&profiler))
    };
    let url = format!("https://{}", collector.address());
    let (all, stats) = sent(url.clone(), Some(Path::new(&authority)));
    assert!(all && stats.sent == 1, "{stats:?}");
    // The machine's authorities do not know it, nor does it speak for another name.
    let elsewhere = format!("https://localhost:{}", collector.port());
    for (url, file) in [(url, None), (elsewhere, Some(Path::new(&authority)))] {
        let (all, stats) = sent(url, file);
        assert!(!all && stats.sent == 0, "{stats:?}");
        let why = stats.why.to_lowercase();
        assert!(
            why.contains("certificate") || why.contains("authorities"),
            "{stats:?}"
        );
    }
    assert_eq!(records(&collector).len(), 1);
}
