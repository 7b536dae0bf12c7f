//! Kept requests as traces, and how flags were decided in them as records.

use super::*;

/// One request that does a bit of everything.
pub(super) fn one_request(profiler: &Profiler) {
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

pub(super) fn with_flags(profiler: &Profiler) {
    let mut document = Document::default();
    let mut search = FlagSpec::new("new_search");
    search.enabled = Enabled::share(Share::percent(100));
    document.flags.push(search);
    profiler.set_flags(compile(document));
}

pub(super) fn spans(collector: &Server) -> Vec<Value> {
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

pub(super) fn records(collector: &Server) -> Vec<Value> {
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
