//! Events as log records.
//!
//! A flag that a kept request asked for is a `feature_flag.evaluation`, once a request, flag and
//! variant, in the request's trace; `ioprofiler.flag.count` says how often it was asked for,
//! `ioprofiler.flag.state` and `ioprofiler.flag.reason` what it was and why in our own words.
//!
//! What was done to the site is an event `ioprofiler.KIND`. Its body is the line that people read;
//! `ioprofiler.event.what`, `.who`, `.why`, `.from`, `.to` are its parts. A deploy's version is the
//! `service.version` of its resource.

use super::Otlp;
use super::attributes::{SCHEMA, Who, number, scope, text};
use super::ids::Ids;
use super::proto::{
    Any, AnyValue, INFO, KeyValue, LogRecord, LogsRequest, ResourceLogs, SAMPLED, ScopeLogs, WARN,
};
use super::traces::who;
use crate::collect::{Event, EventKind};
use crate::flags::{Exposure, Reason, State};
use crate::profile::ProfileData;

fn request(options: &Otlp, who: &Who<'_>, log_records: Vec<LogRecord>) -> LogsRequest {
    LogsRequest {
        resource_logs: vec![ResourceLogs {
            resource: Some(who.resource(options)),
            scope_logs: vec![ScopeLogs {
                scope: Some(scope(false)),
                log_records,
            }],
            schema_url: SCHEMA.to_owned(),
        }],
    }
}

/// The flags that a request asked for, and how many; none where it asked for none.
pub(super) fn exposures(options: &Otlp, data: &ProfileData) -> Option<(LogsRequest, u64)> {
    let flags = data.flags.as_ref()?;
    let ids = Ids::of(data);
    let record = |exposure: &Exposure| LogRecord {
        time_unix_nano: data.started_at,
        observed_time_unix_nano: data.started_at.saturating_add(data.page_ns),
        severity_number: INFO,
        severity_text: "INFO".to_owned(),
        body: None,
        attributes: evaluation(exposure, &flags.version),
        flags: SAMPLED,
        trace_id: ids.trace.to_vec(),
        span_id: ids.request().to_vec(),
        event_name: "feature_flag.evaluation".to_owned(),
    };
    let records: Vec<LogRecord> = flags.exposures.iter().map(record).collect();
    let count = records.len() as u64;
    (count != 0).then(|| (request(options, &who(data), records), count))
}

fn evaluation(exposure: &Exposure, version: &str) -> Vec<KeyValue> {
    let variant = match exposure.state {
        State::Dark => "dark",
        State::On | State::Off => exposure.variant,
    };
    let (reason, error) = reason(exposure.reason);
    let mut attributes = vec![
        text("feature_flag.key", exposure.flag),
        text("feature_flag.result.variant", variant),
        text("feature_flag.result.reason", reason),
        text("feature_flag.provider.name", "ioprofiler"),
        text("feature_flag.version", version),
        text("ioprofiler.flag.state", exposure.state.as_str()),
        text("ioprofiler.flag.reason", exposure.reason_text()),
        number("ioprofiler.flag.count", exposure.count),
    ];
    attributes.extend(error.map(|error| text("error.type", error)));
    attributes
}

/// The reason and the error, in OpenFeature's words.
fn reason(reason: Reason) -> (&'static str, Option<&'static str>) {
    match reason {
        Reason::Killed | Reason::Shed => ("disabled", None),
        Reason::Override | Reason::User | Reason::Group => ("targeting_match", None),
        Reason::Percent | Reason::Dark => ("split", None),
        Reason::On | Reason::Off => ("static", None),
        Reason::NoUnit => ("default", Some("targeting_key_missing")),
        Reason::NotFound => ("error", Some("flag_not_found")),
        Reason::Error => ("error", Some("parse_error")),
    }
}

/// What was done to the site.
pub(super) fn event(options: &Otlp, event: &Event) -> LogsRequest {
    let mut attributes = Vec::new();
    let what = Some(&event.what).filter(|what| !what.is_empty());
    for (name, value) in [
        ("ioprofiler.event.what", what),
        ("ioprofiler.event.who", event.who.as_ref()),
        ("ioprofiler.event.why", event.why.as_ref()),
        ("ioprofiler.event.from", event.from.as_ref()),
        ("ioprofiler.event.to", event.to.as_ref()),
    ] {
        attributes.extend(value.map(|value| text(name, &**value)));
    }
    // What is shed hurts somebody now.
    let (severity_number, severity) = match event.kind {
        EventKind::Shed => (WARN, "WARN"),
        _ => (INFO, "INFO"),
    };
    let record = LogRecord {
        time_unix_nano: event.at,
        observed_time_unix_nano: event.at,
        severity_number,
        severity_text: severity.to_owned(),
        body: Some(AnyValue {
            value: Some(Any::StringValue(event.to_string())),
        }),
        attributes,
        flags: 0,
        trace_id: Vec::new(),
        span_id: Vec::new(),
        event_name: format!("ioprofiler.{}", event.kind.as_str()),
    };
    let who = Who {
        host: &event.host,
        instance: None,
        pid: None,
        version: event.version.as_deref(),
    };
    request(options, &who, vec![record])
}
