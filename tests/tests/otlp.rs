//! What is sent to OpenTelemetry collectors, taken apart by its own definitions: every value is what
//! the requests come to when they are counted one by one.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

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

/// A small generator, so that a failure can be repeated.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % sides
    }
}

fn serve(profiler: &Profiler, dice: &mut Dice, requests: u64) {
    for _ in 0..requests {
        let method = ["GET", "POST", "BREW"][dice.roll(3) as usize];
        let request = profiler.begin(&Facts::web(method, "/listing/5773453"));
        if dice.roll(4) != 0 {
            request.set_route(["/", "/listing/{id}"][dice.roll(2) as usize]);
        }
        for _ in 0..dice.roll(5) {
            let took = Duration::from_micros(1 + dice.roll(2_000_000));
            let category = [&DBSHARD01, &DBSHARD02][dice.roll(2) as usize];
            request.add_span(category, "SELECT 1", Duration::ZERO, took);
        }
        let mut call = request.span(&MEMCACHE, "listing:5773453");
        call.hits(dice.roll(3) as u32).misses(1);
        call.end([Outcome::Ok, Outcome::Error][dice.roll(2) as usize]);
        if dice.roll(5) == 0 {
            request.set_error("it broke");
        }
        match dice.roll(8) {
            0 => drop(request.abort(None, 0)),
            1 => drop(request),
            _ => drop(request.finish([200, 404, 503][dice.roll(3) as usize], 10)),
        }
    }
}

type Attributes = BTreeMap<String, String>;
/// By metric and attributes: how long each took, in nanoseconds.
type Durations = BTreeMap<(String, Attributes), Vec<u64>>;

fn pairs(pairs: &[(&str, &str)]) -> Attributes {
    let text = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    pairs.iter().map(text).collect()
}

/// What the profiles come to, one by one.
fn durations(profiles: &[ProfileData]) -> Durations {
    let mut all = Durations::new();
    for data in profiles {
        let facts = &data.facts;
        let mut about = Attributes::new();
        let method = if facts.method == "BREW" {
            "_OTHER"
        } else {
            &facts.method
        };
        about.insert("http.request.method".to_owned(), method.to_owned());
        let route = facts.route.as_deref();
        about.extend(route.map(|route| ("http.route".to_owned(), route.to_owned())));
        let status = facts.status.map(|status| status.to_string());
        about.extend(status.map(|status| ("http.response.status_code".to_owned(), status)));
        let ending = match (data.state, facts.status) {
            (ioprofiler::State::Aborted, _) => Some(("ioprofiler.outcome", "aborted")),
            (ioprofiler::State::Abandoned, _) => Some(("error.type", "abandoned")),
            (_, Some(503)) => Some(("error.type", "503")),
            _ if facts.error.is_some() => Some(("error.type", "_OTHER")),
            _ => None,
        };
        about.extend(ending.map(|(key, value)| (key.to_owned(), value.to_owned())));
        let name = "http.server.request.duration".to_owned();
        all.entry((name, about)).or_default().push(data.page_ns);
        for call in &data.spans {
            let route = route.unwrap_or("unknown");
            let about = [
                ("kind", "web"),
                ("route", route),
                ("category", call.category),
            ];
            let name = "ioprofiler.call.duration".to_owned();
            all.entry((name, pairs(&about)))
                .or_default()
                .push(call.duration_ns);
        }
    }
    all
}

/// All points of the last report, and the metrics that they belong to.
fn points(reports: &[Value]) -> Vec<(Value, Value)> {
    let mut points = Vec::new();
    for resource in reports
        .iter()
        .flat_map(|report| list(report, "resourceMetrics"))
    {
        for metric in list(resource, "scopeMetrics")
            .iter()
            .flat_map(|scope| list(scope, "metrics"))
        {
            let kinds = ["sum", "gauge", "histogram", "exponentialHistogram"];
            for data in kinds.iter().filter_map(|kind| metric.get(kind)) {
                let each = list(data, "dataPoints").iter();
                points.extend(each.map(|point| (metric.clone(), point.clone())));
            }
        }
    }
    points
}

fn check_histogram(point: &Value, durations: &[u64]) {
    assert_eq!(number(&point["count"]), durations.len() as u64, "{point}");
    let sum_ns: u64 = durations.iter().sum();
    let sum = point["sum"].as_f64().unwrap() * 1e9;
    // Ticks are rounded to nanoseconds by each who reads them.
    let off = (sum - sum_ns as f64).abs();
    assert!(off <= durations.len() as f64, "{off} {point}");
    let bounds = list(point, "explicitBounds");
    let counts: Vec<u64> = list(point, "bucketCounts").iter().map(number).collect();
    let mut up_to = 0;
    for (bound, count) in bounds.iter().zip(&counts) {
        up_to += count;
        let bound_ns = bound.as_f64().unwrap() * 1e9;
        let within = |most: f64| durations.iter().filter(|it| **it as f64 <= most).count() as u64;
        // A bucket of ours is a hundredth wide.
        let range = within(bound_ns * 0.99 - 1e3)..=within(bound_ns * 1.01 + 1e3);
        assert!(range.contains(&up_to), "{up_to} {range:?} {point}");
    }
}

/// By the formula of the definition: bucket `i` ends at `base^(offset+i+1)`.
fn check_exponential(point: &Value, durations: &[u64]) {
    assert_eq!(number(&point["count"]), durations.len() as u64, "{point}");
    let scale = point["scale"].as_f64().unwrap_or(0.0);
    let base = (-scale).exp2().exp2();
    let positive = &point["positive"];
    let offset = positive["offset"].as_f64().unwrap_or(0.0);
    let mut up_to = 0;
    for (place, count) in list(positive, "bucketCounts").iter().enumerate() {
        up_to += number(count);
        let end_ns = base.powf(offset + place as f64 + 1.0) * 1e9;
        let within = |most: f64| durations.iter().filter(|it| **it as f64 <= most).count() as u64;
        let range = within(end_ns * 0.99 - 1e3)..=within(end_ns * 1.01 + 1e3);
        assert!(range.contains(&up_to), "{up_to} {range:?} {point}");
    }
}

fn check_durations(reports: &[Value], expected: &Durations) {
    let mut found = 0;
    for (metric, point) in points(reports) {
        let name = metric["name"].as_str().unwrap();
        if !name.ends_with(".duration") || name.contains("flag") || name.contains("dark") {
            continue;
        }
        found += 1;
        assert_eq!(metric["unit"], "s");
        let key = (name.to_owned(), attributes(&point));
        let durations = expected.get(&key).unwrap_or_else(|| panic!("{key:?}"));
        if metric.get("histogram").is_some() {
            check_histogram(&point, durations);
        } else {
            check_exponential(&point, durations);
        }
    }
    assert_eq!(found, expected.len());
}

/// What the last report says of a counter, all attributes together.
fn counted(reports: &[Value], name: &str) -> u64 {
    let of = |(metric, point): (Value, Value)| {
        let is = metric["name"] == name;
        is.then(|| number(&point["asInt"]))
    };
    points(reports).into_iter().filter_map(of).sum()
}

#[test]
fn metrics_are_what_the_requests_come_to() {
    for (json, exponential) in [(false, false), (true, false), (false, true), (true, true)] {
        let Some(collector) = servers::collector(&[]) else {
            return;
        };
        let memory = MemorySink::new(10_000);
        let keeps = memory.clone();
        let to = otlp(&collector)
            .json(json)
            .exponential(exponential)
            .traces(false)
            .logs(false)
            .resource("deployment.environment.name", "test")
            .header("X-Key", "sesame");
        let profiler = builder(to).sink(move || keeps.clone()).build().unwrap();
        let mut dice = Dice(7);
        profiler.count("registrations;plan=pro", 3);
        profiler.gauge("queue.length", 17.5);
        profiler.timing("mail.sent", Duration::from_millis(120));
        for _ in 0..3 {
            serve(&profiler, &mut dice, 100);
            flush(&profiler);
        }
        check_all_sent(&profiler);
        let entries = taken(&collector);
        let content_type = if json {
            "application/json"
        } else {
            "application/x-protobuf"
        };
        for entry in &entries {
            assert_eq!(entry["content_type"], content_type);
            assert_eq!(entry["headers"]["x-key"], "sesame");
            assert_eq!(entry["gzip"], true);
        }
        let last = messages(&collector, "/v1/metrics").pop().unwrap();
        let reports = [last];
        check_durations(&reports, &durations(&memory.profiles()));
        check_rest(&reports, &memory.profiles());
    }
}

/// What the profiles come to beside durations, the application's own metrics, and the resource.
fn check_rest(reports: &[Value], profiles: &[ProfileData]) {
    let calls = || profiles.iter().flat_map(|data| &data.spans);
    let errors = calls()
        .filter(|call| call.outcome == Outcome::Error)
        .count() as u64;
    assert_eq!(counted(reports, "ioprofiler.call.errors"), errors);
    let hits: u32 = calls().filter_map(|call| call.counts.hits).sum();
    assert_eq!(counted(reports, "ioprofiler.call.hits"), u64::from(hits));
    assert_eq!(counted(reports, "registrations"), 3);
    for (metric, point) in points(reports) {
        match metric["name"].as_str().unwrap() {
            "registrations" => assert_eq!(attributes(&point), pairs(&[("plan", "pro")])),
            "queue.length" => assert_eq!(point["asDouble"], 17.5),
            "mail.sent" => {
                assert_eq!((&metric["unit"], number(&point["count"])), (&json!("s"), 1));
                assert_eq!(point["sum"], 0.12);
            }
            "ioprofiler.process.memory" => {
                assert_eq!(metric["unit"], "By");
                assert!(point["asDouble"].as_f64().unwrap() > 1e6);
            }
            "ioprofiler.call.errors" => {
                assert_eq!(metric["unit"], "{call}");
                let sum = &metric["sum"];
                assert_eq!(sum["isMonotonic"], true);
                assert_eq!(
                    sum["aggregationTemporality"],
                    "AGGREGATION_TEMPORALITY_CUMULATIVE"
                );
            }
            _ => {}
        }
    }
    let resources = list(&reports[0], "resourceMetrics");
    let with_version = resources.iter().map(|it| attributes(&it["resource"]));
    let with_version: Vec<Attributes> = with_version
        .filter(|it| it.contains_key("service.version"))
        .collect();
    assert_eq!(with_version.len(), 1);
    let resource = &with_version[0];
    assert_eq!(resource["service.name"], "shop");
    assert_eq!(resource["service.version"], "8c1f");
    assert_eq!(resource["deployment.environment.name"], "test");
    let instance = format!("{}:w1", resource["host.name"]);
    assert_eq!(resource["service.instance.id"], instance);
}

#[test]
fn deltas_add_up_and_leave_no_time_out() {
    let Some(collector) = servers::collector(&[]) else {
        return;
    };
    let memory = MemorySink::new(10_000);
    let keeps = memory.clone();
    let to = otlp(&collector).delta(true).traces(false).logs(false);
    let profiler = builder(to).sink(move || keeps.clone()).build().unwrap();
    let mut dice = Dice(11);
    for _ in 0..4 {
        serve(&profiler, &mut dice, 50);
        profiler.count("registrations", 5);
        flush(&profiler);
    }
    let reports = messages(&collector, "/v1/metrics");
    assert_eq!(counted(&reports, "registrations"), 20);
    let mut counts: BTreeMap<(String, Attributes), u64> = BTreeMap::new();
    let mut ends: HashMap<(String, Attributes), u64> = HashMap::new();
    for (metric, point) in points(&reports) {
        let key = (
            metric["name"].as_str().unwrap().to_owned(),
            attributes(&point),
        );
        let is_counted = ["histogram", "sum"]
            .iter()
            .find_map(|kind| metric.get(kind));
        let Some(data) = is_counted else { continue };
        assert_eq!(
            data["aggregationTemporality"],
            "AGGREGATION_TEMPORALITY_DELTA"
        );
        let start = number(&point["startTimeUnixNano"]);
        let end = number(&point["timeUnixNano"]);
        let before = ends.insert(key.clone(), end);
        // Where nothing was counted nothing is sent: then there is a gap, and never an overlap.
        assert!(before.is_none_or(|before| start >= before), "{key:?}");
        if metric.get("histogram").is_some() {
            *counts.entry(key).or_default() += number(&point["count"]);
        }
    }
    let expected = durations(&memory.profiles());
    for (key, durations) in &expected {
        assert_eq!(counts.get(key), Some(&(durations.len() as u64)), "{key:?}");
    }
}

/// One request that does a bit of everything.
fn one_request(profiler: &Profiler) {
    let facts = Facts::web("GET", "/listing/5773453")
        .query("q=secret&page=2")
        .scheme("https")
        .host("shop.example:8443")
        .protocol("HTTP/1.1")
        .id("web-1")
        .traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    let request = profiler.begin(&facts);
    request.set_route("/listing/{id}");
    request.set_visitor("7");
    request.run(|| {
        assert!(request.flag("new_search"));
        assert!(request.flag("new_search"));
        assert!(!request.flag("nobody_knows"));
        let scope = ioprofiler::scope(&TEMPLATE, "listing/show.html");
        let mut call = ioprofiler::span(&DBSHARD01, "SELECT * FROM listings WHERE id = 5773453");
        call.rows(1);
        call.end(Outcome::Ok);
        let failed = ioprofiler::span(&DBSHARD02, "INSERT INTO views (id) VALUES (5773453)");
        failed.end(Outcome::Error);
        drop(scope);
        let mut get = ioprofiler::span(&MEMCACHE, "user:5020244:name");
        get.hits(1);
        get.end(Outcome::Ok);
        ioprofiler::span("search", "find 'secret words' 5773453").end(Outcome::Cancelled);
    });
    request.first_byte();
    request.set_error("no such user: ann");
    request.finish(503, 5_120);
}

fn with_flags(profiler: &Profiler) {
    let mut document = Document::default();
    let mut search = FlagSpec::new("new_search");
    search.enabled = Enabled::share(Share::percent(100));
    document.flags.push(search);
    profiler.set_flags(compile(document));
}

fn spans(collector: &Server) -> Vec<Value> {
    let messages = messages(collector, "/v1/traces");
    let resources = messages
        .iter()
        .flat_map(|message| list(message, "resourceSpans"));
    let scopes = resources.flat_map(|resource| list(resource, "scopeSpans"));
    scopes
        .flat_map(|scope| list(scope, "spans"))
        .cloned()
        .collect()
}

fn records(collector: &Server) -> Vec<Value> {
    let messages = messages(collector, "/v1/logs");
    let resources = messages
        .iter()
        .flat_map(|message| list(message, "resourceLogs"));
    let scopes = resources.flat_map(|resource| list(resource, "scopeLogs"));
    scopes
        .flat_map(|scope| list(scope, "logRecords"))
        .cloned()
        .collect()
}

/// Ids are bytes to protobuf, and so base64 in its JSON.
const TRACE: &str = "S/kvNXezTaajzpKdDg5HNg==";
const CALLER: &str = "APBnqgupArc=";

#[test]
fn kept_requests_are_traces_by_the_conventions() {
    for json in [false, true] {
        let Some(collector) = servers::collector(&[]) else {
            return;
        };
        let profiler = builder(otlp(&collector).json(json).metrics(false))
            .build()
            .unwrap();
        with_flags(&profiler);
        one_request(&profiler);
        flush(&profiler);
        check_all_sent(&profiler);
        let kept = &profiler.kept()[0];
        let data = &*kept.profile;
        let spans = spans(&collector);
        assert_eq!(spans.len(), 1 + data.spans.len());
        check_request(&spans[0], data);
        for (span, call) in spans[1..].iter().zip(&data.spans) {
            let parent = call.parent.map_or(0, |parent| parent as usize + 1);
            assert_eq!(span["parentSpanId"], spans[parent]["spanId"]);
            assert_eq!(span["traceId"], TRACE);
            assert_eq!(
                number(&span["startTimeUnixNano"]),
                data.started_at + call.start_ns
            );
            let took = number(&span["endTimeUnixNano"]) - number(&span["startTimeUnixNano"]);
            assert_eq!(took, call.duration_ns);
        }
        check_calls(&spans[1..]);
        let text = serde_json::to_string(&taken(&collector)).unwrap();
        for secret in ["5773453", "5020244", "secret", "ann"] {
            assert!(!text.contains(secret), "{secret}");
        }
        check_flags(&records(&collector), &spans[0]);
    }
}

fn check_request(span: &Value, data: &ProfileData) {
    assert_eq!(
        (&span["traceId"], &span["parentSpanId"]),
        (&json!(TRACE), &json!(CALLER))
    );
    assert_eq!(
        (&span["name"], &span["kind"]),
        (&json!("GET /listing/{id}"), &json!("SPAN_KIND_SERVER"))
    );
    assert_eq!(span["flags"], 0x301);
    let status = json!({ "code": "STATUS_CODE_ERROR", "message": "<not shown, 17 bytes>" });
    assert_eq!(span["status"], status);
    assert_eq!(number(&span["startTimeUnixNano"]), data.started_at);
    assert_eq!(
        number(&span["endTimeUnixNano"]),
        data.started_at + data.page_ns
    );
    let event = &list(span, "events")[0];
    assert_eq!(event["name"], "ioprofiler.answer");
    assert_eq!(
        number(&event["timeUnixNano"]),
        data.started_at + data.app_ns
    );
    let wanted = pairs(&[
        ("error.type", "503"),
        ("http.request.method", "GET"),
        ("http.response.body.size", "5120"),
        ("http.response.status_code", "503"),
        ("http.route", "/listing/{id}"),
        ("ioprofiler.kept", "error"),
        ("ioprofiler.request.id", "web-1"),
        ("network.protocol.version", "1.1"),
        ("server.address", "shop.example"),
        ("server.port", "8443"),
        ("url.path", "/listing/{id}"),
        ("url.query", "q=?&page=?"),
        ("url.scheme", "https"),
    ]);
    assert_eq!(attributes(span), wanted);
}

fn check_calls(spans: &[Value]) {
    let (client, internal) = ("SPAN_KIND_CLIENT", "SPAN_KIND_INTERNAL");
    let wanted = [
        (
            "template listing/show.html",
            internal,
            pairs(&[
                ("ioprofiler.category", "template"),
                ("ioprofiler.detail", "listing/show.html"),
            ]),
        ),
        (
            "SELECT listings",
            client,
            pairs(&[
                ("db.query.summary", "SELECT listings"),
                ("db.query.text", "SELECT * FROM listings WHERE id = ?"),
                ("db.response.returned_rows", "1"),
                ("db.system.name", "mysql"),
                ("ioprofiler.category", "dbshard01"),
            ]),
        ),
        (
            "INSERT views",
            client,
            pairs(&[
                ("db.query.summary", "INSERT views"),
                ("db.query.text", "INSERT INTO views (id) VALUES (?)"),
                ("db.system.name", "postgresql"),
                ("error.type", "_OTHER"),
                ("ioprofiler.category", "dbshard02"),
            ]),
        ),
        (
            "memcache_get",
            client,
            pairs(&[
                ("ioprofiler.category", "memcache_get"),
                ("ioprofiler.detail", "user:?:name"),
                ("ioprofiler.hits", "1"),
            ]),
        ),
        (
            "search",
            client,
            pairs(&[
                ("ioprofiler.category", "search"),
                ("ioprofiler.detail", "find ? ?"),
                ("ioprofiler.outcome", "cancelled"),
            ]),
        ),
    ];
    assert_eq!(spans.len(), wanted.len());
    for (span, (name, kind, wanted)) in spans.iter().zip(wanted) {
        let mut found = attributes(span);
        // Where this test calls is its own affair.
        found.retain(|key, _| !key.starts_with("code."));
        assert_eq!((&span["name"], &span["kind"]), (&json!(name), &json!(kind)));
        assert_eq!(found, wanted);
        let failed = wanted.contains_key("error.type");
        assert_eq!(span["status"]["code"] == "STATUS_CODE_ERROR", failed);
    }
}

fn check_flags(records: &[Value], request: &Value) {
    assert_eq!(records.len(), 2);
    for record in records {
        assert_eq!(record["eventName"], "feature_flag.evaluation");
        assert_eq!(record["traceId"], request["traceId"]);
        assert_eq!(record["spanId"], request["spanId"]);
        assert_eq!(record["severityNumber"], "SEVERITY_NUMBER_INFO");
    }
    let mut known = attributes(&records[0]);
    assert_eq!(known.remove("feature_flag.version").unwrap().len(), 16);
    let wanted = pairs(&[
        ("feature_flag.key", "new_search"),
        ("feature_flag.provider.name", "ioprofiler"),
        ("feature_flag.result.reason", "split"),
        ("feature_flag.result.variant", "on"),
        ("ioprofiler.flag.count", "2"),
        ("ioprofiler.flag.reason", "percent"),
        ("ioprofiler.flag.state", "on"),
    ]);
    assert_eq!(known, wanted);
    let unknown = attributes(&records[1]);
    assert_eq!(unknown["feature_flag.key"], "nobody_knows");
    assert_eq!(unknown["feature_flag.result.reason"], "error");
    assert_eq!(unknown["error.type"], "flag_not_found");
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
