//! Kept requests as traces: a span for the request, and one for each of its calls.
//!
//! A web request is a `SERVER` span by the conventions for HTTP; jobs and commands are `INTERNAL`. A
//! leaf is a `CLIENT` span, and where the category says which SQL it is written in, one by the
//! conventions for databases: `db.system.name`, `db.query.text` (a fingerprint, unless
//! [`details`](crate::Keep::details) are full), `db.query.summary`, which is its name. A scope is an
//! `INTERNAL` span. What has no name of OpenTelemetry's:
//!
//! | attribute | is |
//! | --- | --- |
//! | `ioprofiler.request.id` | the id by which `ioprofiler show` finds the request |
//! | `ioprofiler.request.parent_id` | the id of the request that detached this job |
//! | `ioprofiler.kind` | `job`, `command` |
//! | `ioprofiler.kept` | why it was kept: `slow`, `error` |
//! | `ioprofiler.outcome` | `aborted`, `abandoned`; of a call `cancelled`, `open` |
//! | `ioprofiler.calls.unlisted` | calls that are in no list, because a limit was reached |
//! | `ioprofiler.category`, `.target`, `.detail` | of a call |
//! | `ioprofiler.hits`, `.misses`, `.bytes`, `.rows` | what it brought |
//! | `ioprofiler.dark`, `ioprofiler.after_answer` | true of dark work, and of what began after the answer's first byte |
//!
//! The moment of the answer's first byte is an event of the request's span, `ioprofiler.answer`.

use super::Otlp;
use super::attributes::{SCHEMA, Who, mark, number, scope, text};
use super::database;
use super::ids::Ids;
use super::proto::{
    CLIENT, ERROR, HAS_IS_REMOTE, INTERNAL, IS_REMOTE, KeyValue, ResourceSpans, SAMPLED, SERVER,
    ScopeSpans, Span, SpanEvent, Status, TracesRequest,
};
use crate::category::{Dialect, Kind};
use crate::collect::kept::Kept;
use crate::fingerprint::fingerprint;
use crate::profile::{FactsData, Outcome, ProfileData, RequestKind, SpanData, State};
use crate::text::cut_str;

/// A longer name of a span is cut.
const MAX_NAME: usize = 128;

/// A kept request, and how many spans it has.
pub(super) fn request(options: &Otlp, kept: &Kept) -> (TracesRequest, u64) {
    let data = &*kept.profile;
    let ids = Ids::of(data);
    let mut spans = vec![request_span(data, &ids, kept.reason.as_str())];
    for (place, call) in data.spans.iter().enumerate() {
        spans.push(call_span(data, &ids, place, call));
    }
    let count = spans.len() as u64;
    let resource_spans = vec![ResourceSpans {
        resource: Some(who(data).resource(options)),
        scope_spans: vec![ScopeSpans {
            scope: Some(scope(false)),
            spans,
        }],
        schema_url: SCHEMA.to_owned(),
    }];
    (TracesRequest { resource_spans }, count)
}

/// The process that served it.
pub(super) fn who(data: &ProfileData) -> Who<'_> {
    Who {
        host: &data.host,
        instance: Some(data.pid.to_string().into()),
        pid: Some(data.pid),
        version: data.build.as_deref(),
    }
}

fn request_span(data: &ProfileData, ids: &Ids, kept: &str) -> Span {
    let facts = &data.facts;
    let is_web = facts.kind == RequestKind::Web;
    let mut attributes = vec![
        text("ioprofiler.request.id", &*data.id),
        text("ioprofiler.kept", kept),
    ];
    let parent = data.parent_id.as_deref();
    attributes.extend(parent.map(|id| text("ioprofiler.request.parent_id", id)));
    if is_web {
        push_web(&mut attributes, facts);
    } else {
        attributes.push(text("ioprofiler.kind", facts.kind.as_str()));
    }
    attributes.extend(facts.user.as_deref().map(|user| text("user.id", user)));
    let error_type = error_type(data);
    attributes.extend(error_type.as_deref().map(|kind| text("error.type", kind)));
    if let State::Aborted | State::Abandoned = data.state {
        let outcome = if data.state == State::Aborted {
            "aborted"
        } else {
            "abandoned"
        };
        attributes.push(text("ioprofiler.outcome", outcome));
    }
    if data.unlisted != 0 {
        attributes.push(number("ioprofiler.calls.unlisted", data.unlisted));
    }
    let remote = if ids.parent.is_some() { IS_REMOTE } else { 0 };
    Span {
        trace_id: ids.trace.to_vec(),
        span_id: ids.request().to_vec(),
        parent_span_id: ids.parent.map(Vec::from).unwrap_or_default(),
        flags: SAMPLED | HAS_IS_REMOTE | remote,
        name: request_name(facts),
        kind: if is_web { SERVER } else { INTERNAL },
        start_time_unix_nano: data.started_at,
        end_time_unix_nano: data.started_at.saturating_add(data.page_ns),
        attributes,
        events: answer_event(data).into_iter().collect(),
        status: error_type.map(|_| Status {
            message: facts.error.clone().unwrap_or_default(),
            code: ERROR,
        }),
    }
}

/// `GET /listing/{id}`; without a route the method, since a path is another for each listing.
fn request_name(facts: &FactsData) -> String {
    let name = match (facts.kind, &facts.route) {
        (RequestKind::Web, Some(route)) => format!("{} {route}", known_method(facts)),
        (RequestKind::Web, None) => known_method(facts).to_owned(),
        _ => facts.route_label().to_owned(),
    };
    let name = cut_str(name.trim(), MAX_NAME);
    if name.is_empty() {
        facts.kind.as_str().to_owned()
    } else {
        name.to_owned()
    }
}

fn known_method(facts: &FactsData) -> &str {
    match crate::collect::aggregate::known_method(&facts.method) {
        // What OpenTelemetry writes in a name for `_OTHER`.
        "other" => "HTTP",
        known => known,
    }
}

fn push_web(attributes: &mut Vec<KeyValue>, facts: &FactsData) {
    if known_method(facts) == "HTTP" {
        attributes.push(text("http.request.method", "_OTHER"));
        attributes.push(text("http.request.method_original", &*facts.method));
    } else {
        attributes.push(text("http.request.method", &*facts.method));
    }
    attributes.push(text("url.path", &*facts.path));
    let mut push = |name: &'static str, value: Option<&str>| {
        attributes.extend(value.map(|value| text(name, value)));
    };
    push("url.query", facts.query.as_deref());
    push("url.scheme", facts.scheme.as_deref());
    push("http.route", facts.route.as_deref());
    push("client.address", facts.peer.as_deref());
    let protocol = facts.protocol.as_deref();
    push(
        "network.protocol.version",
        protocol.map(|protocol| protocol.strip_prefix("HTTP/").unwrap_or(protocol)),
    );
    let (address, port) = facts.host.as_deref().map_or((None, None), address_and_port);
    push("server.address", address);
    attributes.extend(port.map(|port| number("server.port", port)));
    let status = facts.status;
    attributes.extend(status.map(|status| number("http.response.status_code", status)));
    // 0 is nothing, or not known to the host.
    let bytes = facts.bytes_out.filter(|bytes| *bytes > 0);
    attributes.extend(bytes.map(|bytes| number("http.response.body.size", bytes)));
}

/// `shop.example:8080`, `[::1]`.
fn address_and_port(host: &str) -> (Option<&str>, Option<u16>) {
    let whole = (Some(host), None);
    match host.rsplit_once(':') {
        Some((address, port)) if !address.contains(':') || address.ends_with(']') => port
            .parse()
            .map_or(whole, |port| (Some(address), Some(port))),
        _ => whole,
    }
}

/// What kind of failure it was, as in `http.server.request.duration`.
fn error_type(data: &ProfileData) -> Option<String> {
    let status = data.facts.status.filter(|status| *status >= 500);
    match (data.state, status) {
        (State::Aborted, _) => None,
        (State::Abandoned, _) => Some("abandoned".to_owned()),
        (_, Some(status)) => Some(status.to_string()),
        (_, None) => data.facts.error.as_ref().map(|_| "_OTHER".to_owned()),
    }
}

fn answer_event(data: &ProfileData) -> Option<SpanEvent> {
    let has_answered = data.app_ns != 0 && data.app_ns < data.page_ns;
    has_answered.then(|| SpanEvent {
        time_unix_nano: data.started_at.saturating_add(data.app_ns),
        name: "ioprofiler.answer".to_owned(),
    })
}

fn call_span(data: &ProfileData, ids: &Ids, place: usize, call: &SpanData) -> Span {
    let parent = call.parent.map(|parent| parent as usize);
    // A parent stands before its children.
    let parent = parent.filter(|parent| *parent < place);
    let mut attributes = vec![text("ioprofiler.category", call.category)];
    let target = call.target.as_deref();
    attributes.extend(target.map(|target| text("ioprofiler.target", target)));
    let name = push_what(&mut attributes, call);
    push_brought(&mut attributes, call);
    if let Outcome::Cancelled | Outcome::Open = call.outcome {
        attributes.push(text("ioprofiler.outcome", call.outcome.as_str()));
    }
    let failed = call.outcome == Outcome::Error;
    if failed {
        attributes.push(text("error.type", "_OTHER"));
    }
    if let Some(caller) = call.caller {
        attributes.push(text("code.file.path", caller.file));
        attributes.push(number("code.line.number", caller.line));
    }
    attributes.extend(call.dark.then(|| mark("ioprofiler.dark")));
    let after = call.after_answer;
    attributes.extend(after.then(|| mark("ioprofiler.after_answer")));
    let start = data.started_at.saturating_add(call.start_ns);
    Span {
        trace_id: ids.trace.to_vec(),
        span_id: ids.call(place).to_vec(),
        parent_span_id: parent
            .map_or_else(|| ids.request(), |parent| ids.call(parent))
            .to_vec(),
        flags: SAMPLED | HAS_IS_REMOTE,
        name,
        kind: match call.kind {
            Kind::Leaf => CLIENT,
            Kind::Scope => INTERNAL,
        },
        start_time_unix_nano: start,
        end_time_unix_nano: start.saturating_add(call.duration_ns),
        attributes,
        events: Vec::new(),
        status: failed.then(|| Status {
            message: String::new(),
            code: ERROR,
        }),
    }
}

/// What the call was; gives the span's name.
fn push_what(attributes: &mut Vec<KeyValue>, call: &SpanData) -> String {
    let detail = &*call.detail;
    let plain = |call: &SpanData| fingerprint(call.dialect, detail, call.detail_cut_from.is_some());
    if let Some(system) = database::system(call) {
        attributes.push(text("db.system.name", system));
        attributes.push(text("db.query.text", detail));
        let Some(summary) = database::summary(&plain(call)) else {
            return system.to_owned();
        };
        attributes.push(text("db.query.summary", &*summary));
        return summary;
    }
    if detail.is_empty() {
        return call.category.to_owned();
    }
    attributes.push(text("ioprofiler.detail", detail));
    // A template's name is as good as a route; keys and other texts are too many.
    if call.dialect == Dialect::Path {
        let name = format!("{} {}", call.category, plain(call));
        return cut_str(&name, MAX_NAME).to_owned();
    }
    call.category.to_owned()
}

fn push_brought(attributes: &mut Vec<KeyValue>, call: &SpanData) {
    let rows = if database::system(call).is_some() {
        "db.response.returned_rows"
    } else {
        "ioprofiler.rows"
    };
    for (name, count) in [
        ("ioprofiler.hits", call.counts.hits),
        ("ioprofiler.misses", call.counts.misses),
        (rows, call.counts.rows),
        ("ioprofiler.bytes", call.counts.bytes),
    ] {
        attributes.extend(count.map(|count| number(name, count)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_taken_apart() {
        for (host, address, port) in [
            ("shop.example", "shop.example", None),
            ("shop.example:8080", "shop.example", Some(8_080)),
            ("[::1]:80", "[::1]", Some(80)),
            ("[::1]", "[::1]", None),
            ("::1", "::1", None),
            ("shop.example:", "shop.example:", None),
            ("shop.example:99999", "shop.example:99999", None),
        ] {
            assert_eq!(address_and_port(host), (Some(address), port), "{host}");
        }
    }
}
