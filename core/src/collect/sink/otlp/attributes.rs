//! Attributes, and the resource that everything of one process or machine belongs to.

use std::borrow::Cow;

use super::Otlp;
use super::proto::{Any, AnyValue, InstrumentationScope, KeyValue, Resource};

/// The conventions that names are taken from.
pub(super) const SCHEMA: &str = "https://opentelemetry.io/schemas/1.44.0";

fn attribute(key: impl Into<String>, value: Any) -> KeyValue {
    KeyValue {
        key: key.into(),
        value: Some(AnyValue { value: Some(value) }),
    }
}

pub(super) fn text(key: impl Into<String>, value: impl Into<String>) -> KeyValue {
    attribute(key, Any::StringValue(value.into()))
}

pub(super) fn number(key: impl Into<String>, value: impl TryInto<i64>) -> KeyValue {
    attribute(key, Any::IntValue(value.try_into().unwrap_or(i64::MAX)))
}

/// A mark: absent where it is not so.
pub(super) fn mark(key: &'static str) -> KeyValue {
    attribute(key, Any::BoolValue(true))
}

/// Who sends.
pub(super) struct Who<'a> {
    pub(super) host: &'a str,
    /// What tells it from others on the same machine.
    pub(super) instance: Option<Cow<'a, str>>,
    pub(super) pid: Option<u32>,
    pub(super) version: Option<&'a str>,
}

impl Who<'_> {
    pub(super) fn resource(&self, options: &Otlp) -> Resource {
        let host = self.host;
        let mut attributes = vec![text("service.name", &*options.service_name)];
        attributes.extend(self.version.map(|version| text("service.version", version)));
        attributes.push(text(
            "service.instance.id",
            self.instance
                .as_ref()
                .map_or_else(|| host.to_owned(), |instance| format!("{host}:{instance}")),
        ));
        attributes.push(text("host.name", host));
        attributes.extend(self.pid.map(|pid| number("process.pid", pid)));
        let more = options.resource.iter();
        attributes.extend(more.map(|(key, value)| text(&**key, &**value)));
        Resource { attributes }
    }
}

/// What it is said by: the profiler itself, or through it the application.
pub(super) fn scope(own: bool) -> InstrumentationScope {
    InstrumentationScope {
        name: if own { "ioprofiler.own" } else { "ioprofiler" }.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}
