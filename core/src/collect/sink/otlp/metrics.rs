//! Series as OpenTelemetry's metrics.
//!
//! Points of one metric must differ in their attributes: what here has the same ones is added up.

use super::attributes::{SCHEMA, Who, number, scope, text};
use super::exponential::Exponential;
use super::proto::{
    CUMULATIVE, DELTA, Data, ExponentialHistogram, ExponentialPoint, Gauge, Histogram,
    HistogramPoint, KeyValue, Metric as Sent, MetricsRequest, Number, NumberPoint, ResourceMetrics,
    ScopeMetrics, Sum,
};
use super::{MAX_REQUEST, Otlp};
use crate::collect::series::{
    Distribution, Metric, Name, REQUEST_DURATION, Sample, Series, SeriesKind, Unit, Value,
};
use crate::collect::sink::parcel::Report;
use prost::Message as _;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

/// Points that go into one message of a metric; what has more is sent in several.
const MOST_POINTS: usize = 200;
/// A longer name of a metric is cut, as OpenTelemetry does.
const MAX_NAME: usize = 255;

/// A report as requests of bounded size, each with its number of points.
pub(super) fn requests(options: &Otlp, report: &Report) -> Vec<(MetricsRequest, u64)> {
    let mut packer = Packer::default();
    let all = if options.delta {
        &report.since
    } else {
        &report.total
    };
    for series in all {
        let who = Who {
            host: &report.origin.host,
            instance: report.origin.worker.as_deref().map(Cow::Borrowed),
            pid: None,
            version: series.version.as_deref(),
        };
        packer.begin_resource(ResourceMetrics {
            resource: Some(who.resource(options)),
            scope_metrics: Vec::new(),
            schema_url: SCHEMA.to_owned(),
        });
        let times = Times::of(options, report, series);
        let mut families = Families::default();
        for sample in &series.samples {
            if !options.delta || !is_nothing(&sample.value) {
                families.add(sample);
            }
        }
        for family in families.families {
            for points in family.points.chunks(MOST_POINTS) {
                let (sent, count) = family.sent(points, options, times);
                packer.add(family.own, sent, count);
            }
        }
    }
    packer.done()
}

/// Whether nothing was counted.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Counter(count) => *count == 0,
        Value::Distribution(durations) => durations.count == 0,
        Value::Gauge { .. } => false,
    }
}

/// From when until when was counted. Nanoseconds since 1970.
#[derive(Clone, Copy)]
struct Times {
    start: u64,
    end: u64,
}

impl Times {
    /// Intervals that are sent one by one begin where the one before ended. What ended with an
    /// earlier version is as it was, still now.
    fn of(options: &Otlp, report: &Report, series: &Series) -> Self {
        let end = match series.at {
            at if options.delta && at != 0 => at,
            _ => report.at,
        };
        Self {
            start: series.since.min(end),
            end,
        }
    }
}

/// Puts metrics into as many requests as are needed.
#[derive(Default)]
struct Packer {
    done: Vec<(MetricsRequest, u64)>,
    request: MetricsRequest,
    resource: ResourceMetrics,
    is_begun: bool,
    bytes: usize,
    points: u64,
}

impl Packer {
    fn begin_resource(&mut self, resource: ResourceMetrics) {
        self.resource = resource;
        self.is_begun = false;
    }

    fn add(&mut self, own: bool, metric: Sent, points: u64) {
        if points == 0 {
            return;
        }
        // With a few bytes for what is around it.
        let bytes = metric.encoded_len() + 16;
        if self.bytes + bytes > MAX_REQUEST {
            self.end_request();
        }
        if !self.is_begun {
            self.bytes += self.resource.encoded_len() + 16;
            self.request.resource_metrics.push(self.resource.clone());
            self.is_begun = true;
        }
        self.bytes += bytes;
        self.points += points;
        let Some(resource) = self.request.resource_metrics.last_mut() else {
            return;
        };
        let scope = Some(scope(own));
        match resource.scope_metrics.last_mut() {
            Some(last) if last.scope == scope => last.metrics.push(metric),
            _ => resource.scope_metrics.push(ScopeMetrics {
                scope,
                metrics: vec![metric],
            }),
        }
    }

    fn end_request(&mut self) {
        let request = std::mem::take(&mut self.request);
        if self.points != 0 {
            self.done.push((request, self.points));
        }
        (self.bytes, self.points, self.is_begun) = (0, 0, false);
    }

    fn done(mut self) -> Vec<(MetricsRequest, u64)> {
        self.end_request();
        self.done
    }
}

/// What tells points apart.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Attribute {
    Text(Arc<str>),
    Fixed(&'static str),
    Number(i64),
}

type Attributes = Vec<(Cow<'static, str>, Attribute)>;

/// All points of one metric.
struct Family<'a> {
    own: bool,
    name: Cow<'static, str>,
    description: &'static str,
    unit: &'static str,
    bounds_ns: &'static [u64],
    points: Vec<(Attributes, Cow<'a, Value>)>,
    places: HashMap<Attributes, usize>,
}

#[derive(Default)]
struct Families<'a> {
    families: Vec<Family<'a>>,
    places: HashMap<(bool, Cow<'static, str>, SeriesKind), usize>,
}

impl<'a> Families<'a> {
    fn add(&mut self, sample: &'a Sample) {
        if matches!(&sample.value, Value::Gauge { value, .. } if !value.is_finite()) {
            return;
        }
        let Some(family) = self.of(sample) else {
            return;
        };
        let attributes = attributes_of(sample);
        let next = family.points.len();
        let place = *family.places.entry(attributes.clone()).or_insert(next);
        match family.points.get_mut(place) {
            Some((_, there)) => add_up(there.to_mut(), &sample.value),
            None => family
                .points
                .push((attributes, Cow::Borrowed(&sample.value))),
        }
    }

    /// The family of a sample, made where there is none yet.
    fn of(&mut self, sample: &Sample) -> Option<&mut Family<'a>> {
        let metric = sample.name.metric();
        let name = match &sample.name {
            _ if is_web(sample) => Cow::Borrowed("http.server.request.duration"),
            Name::Known(metric) => Cow::Owned(format!("ioprofiler.{}", metric.name)),
            Name::Own(name) => Cow::Owned(own_name(name)),
        };
        let kind = match &sample.value {
            Value::Counter(_) => SeriesKind::Counter,
            Value::Gauge { .. } => SeriesKind::Gauge,
            Value::Distribution(_) => SeriesKind::Distribution,
        };
        let key = (metric.is_none(), name.clone(), kind);
        let next = self.families.len();
        let place = *self.places.entry(key).or_insert(next);
        if place == next {
            self.families.push(Family {
                own: metric.is_none(),
                name,
                description: metric.map_or("", |metric| metric.help),
                unit: unit(metric, sample.unit()),
                bounds_ns: sample.bounds_ns(),
                points: Vec::new(),
                places: HashMap::new(),
            });
        }
        self.families.get_mut(place)
    }
}

fn add_up(there: &mut Value, more: &Value) {
    match (there, more) {
        (Value::Counter(there), Value::Counter(more)) => *there = there.saturating_add(*more),
        (Value::Distribution(there), Value::Distribution(more)) => there.add(more),
        (there, more) => there.clone_from(more),
    }
}

fn is_web(sample: &Sample) -> bool {
    sample.name == Name::Known(&REQUEST_DURATION) && sample.label("kind") == "web"
}

fn attributes_of(sample: &Sample) -> Attributes {
    if is_web(sample) {
        return web_attributes(sample);
    }
    let mut attributes = Attributes::new();
    for (name, value) in &sample.labels {
        // Of an own metric: the first of a name holds.
        if !name.is_empty() && !attributes.iter().any(|(there, _)| there == name) {
            attributes.push((name.clone(), Attribute::Text(Arc::clone(value))));
        }
    }
    attributes
}

/// As OpenTelemetry calls them.
fn web_attributes(sample: &Sample) -> Attributes {
    let mut attributes = Attributes::new();
    let mut put = |name, value| attributes.push((Cow::Borrowed(name), value));
    for (name, value) in &sample.labels {
        match (&**name, &**value) {
            (_, "") | ("route", "unknown") => {}
            ("method", "other") => put("http.request.method", Attribute::Fixed("_OTHER")),
            ("method", _) => put("http.request.method", Attribute::Text(Arc::clone(value))),
            ("route", _) => put("http.route", Attribute::Text(Arc::clone(value))),
            ("status", status) => {
                let status = status.parse().unwrap_or(0);
                put("http.response.status_code", Attribute::Number(status));
            }
            _ => {}
        }
    }
    match sample.label("outcome") {
        "error" => {
            let status = sample.labels.iter().find(|(name, _)| name == "status");
            let status = status.map(|(_, status)| status);
            let is_error = |status: &&Arc<str>| status.parse::<u16>().is_ok_and(|it| it >= 500);
            let kind = status.filter(is_error).map_or_else(
                || Attribute::Fixed("_OTHER"),
                |status| Attribute::Text(Arc::clone(status)),
            );
            put("error.type", kind);
        }
        "abandoned" => put("error.type", Attribute::Fixed("abandoned")),
        "aborted" => put("ioprofiler.outcome", Attribute::Fixed("aborted")),
        _ => {}
    }
    attributes
}

/// An instrument's name begins with a letter and has letters, digits and `_.-/`.
fn own_name(name: &str) -> String {
    let mut made = String::with_capacity(name.len() + 1);
    for character in name.chars() {
        match character {
            letter if letter.is_ascii_alphabetic() => made.push(letter),
            other if other.is_ascii_digit() || "_.-/".contains(other) => {
                if made.is_empty() {
                    made.push('x');
                }
                made.push(other);
            }
            _ if made.is_empty() => made.push('x'),
            _ => made.push('_'),
        }
    }
    made.truncate(MAX_NAME);
    if made.is_empty() {
        made.push('x');
    }
    made
}

/// In UCUM, as OpenTelemetry has it.
fn unit(metric: Option<&Metric>, counted: Unit) -> &'static str {
    match (counted, metric) {
        (Unit::Time, _) => "s",
        (Unit::Bytes, _) => "By",
        (Unit::Count, None) => "1",
        (Unit::Count, Some(metric)) => match metric.name {
            "request.live" | "request.stuck" => "{request}",
            "call.errors" | "call.cancelled" | "flag.calls" | "profiler.calls.outside" => "{call}",
            "call.hits" | "call.misses" => "{key}",
            "dark.errors" => "{run}",
            "flags.problems" => "{problem}",
            "flags.info" | "process.live" | "build.info" => "{process}",
            "profiler.dropped" => "{item}",
            "sink.points" => "{point}",
            _ => "1",
        },
    }
}

fn key_values(attributes: &Attributes) -> Vec<KeyValue> {
    let one = |(name, value): &(Cow<'static, str>, Attribute)| match value {
        Attribute::Text(value) => text(&**name, &**value),
        Attribute::Fixed(value) => text(&**name, *value),
        Attribute::Number(value) => number(&**name, *value),
    };
    attributes.iter().map(one).collect()
}

fn in_s(time_ns: u64) -> f64 {
    time_ns as f64 / 1e9
}

impl Family<'_> {
    /// Some of its points as one message, and how many these are.
    fn sent(
        &self,
        points: &[(Attributes, Cow<'_, Value>)],
        options: &Otlp,
        times: Times,
    ) -> (Sent, u64) {
        let aggregation_temporality = if options.delta { DELTA } else { CUMULATIVE };
        let mut numbers = Vec::new();
        let mut histograms = Vec::new();
        let mut exponentials = Vec::new();
        let mut is_gauge = false;
        for (attributes, value) in points {
            let attributes = key_values(attributes);
            match &**value {
                Value::Counter(count) => {
                    let value = self.counted(*count);
                    numbers.push(point(attributes, times, value));
                }
                Value::Gauge { value, .. } => {
                    is_gauge = true;
                    let since_when = Times { start: 0, ..times };
                    numbers.push(point(attributes, since_when, Number::AsDouble(*value)));
                }
                Value::Distribution(durations) if options.exponential => {
                    exponentials.push(exponential(attributes, times, durations));
                }
                Value::Distribution(durations) => {
                    histograms.push(self.histogram(attributes, times, durations));
                }
            }
        }
        let data = if !histograms.is_empty() {
            Data::Histogram(Histogram {
                data_points: histograms,
                aggregation_temporality,
            })
        } else if !exponentials.is_empty() {
            Data::ExponentialHistogram(ExponentialHistogram {
                data_points: exponentials,
                aggregation_temporality,
            })
        } else if is_gauge {
            Data::Gauge(Gauge {
                data_points: numbers,
            })
        } else {
            Data::Sum(Sum {
                data_points: numbers,
                aggregation_temporality,
                is_monotonic: true,
            })
        };
        let sent = Sent {
            name: self.name.clone().into_owned(),
            description: self.description.to_owned(),
            unit: self.unit.to_owned(),
            data: Some(data),
        };
        (sent, points.len() as u64)
    }

    fn counted(&self, count: u64) -> Number {
        if self.unit == "s" {
            Number::AsDouble(in_s(count))
        } else {
            Number::AsInt(i64::try_from(count).unwrap_or(i64::MAX))
        }
    }

    fn histogram(
        &self,
        attributes: Vec<KeyValue>,
        times: Times,
        durations: &Distribution,
    ) -> HistogramPoint {
        let mut counts = Vec::with_capacity(self.bounds_ns.len() + 1);
        let mut before = 0;
        let up_to = self.bounds_ns.iter().map(|bound| durations.at_most(*bound));
        for up_to in up_to.chain([durations.at_most(u64::MAX)]) {
            counts.push(up_to.saturating_sub(before));
            before = up_to;
        }
        HistogramPoint {
            attributes,
            start_time_unix_nano: times.start,
            time_unix_nano: times.end,
            // What the buckets hold together: a histogram whose count is another is refused.
            count: before,
            sum: Some(in_s(durations.sum_ns)),
            bucket_counts: counts,
            explicit_bounds: self.bounds_ns.iter().map(|bound| in_s(*bound)).collect(),
            max: durations.max_ns().map(in_s),
        }
    }
}

fn exponential(
    attributes: Vec<KeyValue>,
    times: Times,
    durations: &Distribution,
) -> ExponentialPoint {
    let made = Exponential::of(durations);
    ExponentialPoint {
        attributes,
        start_time_unix_nano: times.start,
        time_unix_nano: times.end,
        count: durations.at_most(u64::MAX),
        sum: Some(in_s(durations.sum_ns)),
        scale: made.scale,
        zero_count: made.zero_count,
        positive: Some(made.positive),
        max: durations.max_ns().map(in_s),
    }
}

fn point(attributes: Vec<KeyValue>, times: Times, value: Number) -> NumberPoint {
    NumberPoint {
        attributes,
        start_time_unix_nano: times.start,
        time_unix_nano: times.end,
        value: Some(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::series::METRICS;

    #[test]
    fn everything_that_is_counted_has_a_unit() {
        for metric in METRICS {
            let unit = unit(Some(metric), metric.unit);
            let is_number = metric.name == "flags.shed.from";
            assert_eq!(unit == "1", is_number, "{}", metric.name);
        }
    }

    #[test]
    fn names_of_the_application_become_those_of_instruments() {
        for (name, made) in [
            ("registrations", "registrations"),
            ("queue.length", "queue.length"),
            ("a b|c:d", "a_b_c_d"),
            ("7up", "x7up"),
            (".a", "x.a"),
            ("", "x"),
            ("ü", "x"),
            ("größe", "gr__e"),
        ] {
            assert_eq!(own_name(name), made);
        }
        assert_eq!(own_name(&"x".repeat(10_000)).len(), MAX_NAME);
    }
}
