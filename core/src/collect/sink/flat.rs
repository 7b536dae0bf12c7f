//! Series for servers that know names and numbers, and no labels: Graphite, StatsD, Ganglia.
//!
//! | name | is |
//! | --- | --- |
//! | `request.ROUTE.…` | requests of a route; `request.all.…` those of all routes. `job.NAME.…`, `command.NAME.…` likewise |
//! | `….count`, `….errors`, `….aborted` | in the interval; `aborted` those that were abandoned, too |
//! | `….mean`, `….p50`, `….p95`, `….p99`, `….max` | milliseconds, of what ended in the interval; left out where nothing did |
//! | `….le.5ms` | how many took at most so long: what can be added up over machines. Percentiles cannot |
//! | `….io`, `….other` | milliseconds of a request, on average, in which calls were going on, and in which none was |
//! | `call.ROUTE.CATEGORY.…`, `call.all.CATEGORY.…` | calls: `count`, `errors`, `cancelled`, `time` (all together, in milliseconds), `mean` and so on, `hit_ratio` (0 to 1) |
//! | `flag.FLAG.VARIANT.…` | requests by what a flag was in them |
//! | `flag.FLAG.VARIANT.CATEGORY.calls`, `.time` | their calls |
//! | `dark.FLAG.…` | dark work: `count`, `errors`, `mean` and so on |
//! | other names of [`METRICS`](crate::collect::series::METRICS) | as they are, with their labels behind them |
//! | the application's own | as they are, with their labels behind them: a counter what was counted in the interval, a timing `count`, `mean` and so on |
//!
//! Of a route, a flag or any other label the characters that are no letter, digit, `-` or `_` become
//! `_`, several in a row one, at the ends none: `/listing/{id}` is `listing_id`, `/` is `root`. What
//! then has the same name is added up.

use crate::collect::series::{
    CALL_CANCELLED, CALL_DURATION, CALL_ERRORS, CALL_HITS, CALL_MISSES, DARK_DURATION, DARK_ERRORS,
    Distribution, FLAG_CALL_TIME, FLAG_CALLS, FLAG_REQUEST_DURATION, Metric, Name,
    REQUEST_DURATION, REQUEST_IO, REQUEST_OTHER, Sample, Series, Unit, Value,
};
use std::collections::BTreeMap;

/// A longer part of a name is cut.
const MAX_PART: usize = 64;
/// Requests and calls of all routes.
const ALL: &str = "all";

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FlatUnit {
    Count,
    Milliseconds,
    Seconds,
    Bytes,
    Ratio,
}

impl FlatUnit {
    /// As people write it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Milliseconds => "ms",
            Self::Seconds => "s",
            Self::Bytes => "bytes",
            Self::Ratio => "ratio",
        }
    }
}

/// One number.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Flat {
    /// Parts of letters, digits, `-` and `_`, with dots between.
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) unit: FlatUnit,
    /// Something that was counted in the interval; else something as it is, or was on average.
    pub(crate) is_count: bool,
}

/// One part of a name.
pub(crate) fn part(text: &str) -> String {
    let mut part = String::with_capacity(text.len().min(MAX_PART));
    for character in text.chars() {
        if part.len() >= MAX_PART {
            break;
        }
        if character.is_ascii_alphanumeric() || matches!(character, '-' | '_') {
            part.push(character);
        } else if !part.is_empty() && !part.ends_with('_') {
            part.push('_');
        }
    }
    part.truncate(part.trim_end_matches('_').len());
    if part.is_empty() { "root" } else { &part }.to_owned()
}

/// A name with dots: each part for itself. Empty parts are left out.
pub(crate) fn name(text: &str) -> String {
    let parts: Vec<String> = text
        .split('.')
        .filter(|text| !text.is_empty())
        .map(part)
        .collect();
    if parts.is_empty() {
        "root".to_owned()
    } else {
        parts.join(".")
    }
}

/// Everything of one interval as numbers, in order of name.
pub(crate) fn flatten(since: &Series, buckets: bool) -> Vec<Flat> {
    let mut groups = Groups::default();
    for sample in &since.samples {
        groups.add(sample);
    }
    groups.flats(buckets)
}

/// What the names of one family are made of.
#[derive(Default)]
struct Groups {
    /// Of requests, calls, flags, dark work and own timings: what stands before the last part.
    timed: BTreeMap<String, Timed>,
    plain: BTreeMap<String, Plain>,
}

#[derive(Default)]
struct Timed {
    duration: Distribution,
    bounds_ns: &'static [u64],
    /// The sum of all durations is of interest.
    with_time: bool,
    errors: Option<u64>,
    aborted: Option<u64>,
    cancelled: Option<u64>,
    hits: u64,
    misses: u64,
    io_ns: Option<u64>,
    other_ns: u64,
}

#[derive(Clone, Copy)]
struct Plain {
    value: f64,
    unit: FlatUnit,
    is_count: bool,
}

impl Groups {
    fn add(&mut self, sample: &Sample) {
        let Name::Known(known) = &sample.name else {
            return self.add_own(sample);
        };
        let is = |metric: &Metric| metric == *known;
        let by_route = [&REQUEST_DURATION, &REQUEST_IO, &REQUEST_OTHER];
        let by_call = [
            &CALL_DURATION,
            &CALL_ERRORS,
            &CALL_CANCELLED,
            &CALL_HITS,
            &CALL_MISSES,
        ];
        if by_route.into_iter().any(is) {
            let kind = match sample.label("kind") {
                "web" => "request",
                other => other,
            };
            for route in [part(sample.label("route")), ALL.to_owned()] {
                self.timed(format!("{kind}.{route}")).add_request(sample);
            }
        } else if by_call.into_iter().any(is) {
            let category = part(sample.label("category"));
            for route in [part(sample.label("route")), ALL.to_owned()] {
                self.timed(format!("call.{route}.{category}"))
                    .add_call(sample);
            }
        } else if is(&FLAG_REQUEST_DURATION) {
            let (flag, variant) = (part(sample.label("flag")), part(sample.label("variant")));
            self.timed(format!("flag.{flag}.{variant}"))
                .add_duration(sample, &FLAG_REQUEST_DURATION);
        } else if is(&DARK_DURATION) || is(&DARK_ERRORS) {
            let flag = part(sample.label("flag"));
            self.timed(format!("dark.{flag}")).add_dark(sample);
        } else {
            self.add_plain(sample);
        }
    }

    fn timed(&mut self, name: String) -> &mut Timed {
        self.timed.entry(name).or_default()
    }

    fn add_plain(&mut self, sample: &Sample) {
        let labels = sample.labels.iter().map(|(_, value)| part(value));
        let labels: Vec<String> = labels.collect();
        let name = match &sample.name {
            Name::Known(known) if **known == FLAG_CALLS => {
                format!("flag.{}.calls", labels.join("."))
            }
            Name::Known(known) if **known == FLAG_CALL_TIME => {
                format!("flag.{}.time", labels.join("."))
            }
            name => std::iter::once(name.as_str().to_owned())
                .chain(labels)
                .collect::<Vec<_>>()
                .join("."),
        };
        let unit = match (sample.unit(), &sample.value) {
            (Unit::Count, _) => FlatUnit::Count,
            (Unit::Bytes, _) => FlatUnit::Bytes,
            (Unit::Time, Value::Gauge { .. }) => FlatUnit::Seconds,
            (Unit::Time, _) => FlatUnit::Milliseconds,
        };
        let (value, is_count) = match &sample.value {
            Value::Counter(time_ns) if unit == FlatUnit::Milliseconds => (in_ms(*time_ns), true),
            Value::Counter(count) => (*count as f64, true),
            Value::Gauge { value, .. } => (*value, false),
            Value::Distribution(_) => return,
        };
        let new = Plain {
            value: 0.0,
            unit,
            is_count,
        };
        self.plain.entry(name).or_insert(new).value += value;
    }

    fn add_own(&mut self, sample: &Sample) {
        let labels = sample.labels.iter().map(|(_, value)| part(value));
        let name: Vec<String> = std::iter::once(name(sample.name.as_str()))
            .chain(labels)
            .collect();
        let name = name.join(".");
        let (value, is_count) = match &sample.value {
            Value::Distribution(duration) => {
                self.timed(name).duration.add(duration);
                return;
            }
            Value::Counter(count) => (*count as f64, true),
            Value::Gauge { value, .. } => (*value, false),
        };
        let new = Plain {
            value: 0.0,
            unit: FlatUnit::Count,
            is_count,
        };
        self.plain.entry(name).or_insert(new).value += value;
    }

    fn flats(self, buckets: bool) -> Vec<Flat> {
        let mut flats = Vec::new();
        for (name, timed) in &self.timed {
            timed.flats(name, buckets, &mut flats);
        }
        for (name, plain) in self.plain {
            flats.push(Flat {
                name,
                value: plain.value,
                unit: plain.unit,
                is_count: plain.is_count,
            });
        }
        flats.sort_by(|a, b| a.name.cmp(&b.name));
        flats
    }
}

impl Timed {
    fn add_duration(&mut self, sample: &Sample, metric: &'static Metric) {
        self.bounds_ns = metric.bounds_ns;
        if let Value::Distribution(duration) = &sample.value {
            self.duration.add(duration);
        }
    }

    fn add_request(&mut self, sample: &Sample) {
        match &sample.value {
            Value::Distribution(duration) => {
                self.add_duration(sample, &REQUEST_DURATION);
                let (errors, aborted) = match sample.label("outcome") {
                    "error" => (duration.count, 0),
                    "aborted" | "abandoned" => (0, duration.count),
                    _ => (0, 0),
                };
                *self.errors.get_or_insert(0) += errors;
                *self.aborted.get_or_insert(0) += aborted;
            }
            Value::Counter(time_ns) if sample.name == Name::Known(&REQUEST_IO) => {
                *self.io_ns.get_or_insert(0) += time_ns;
            }
            Value::Counter(time_ns) => self.other_ns += time_ns,
            Value::Gauge { .. } => {}
        }
    }

    fn add_call(&mut self, sample: &Sample) {
        let Value::Counter(count) = sample.value else {
            self.with_time = true;
            self.errors.get_or_insert(0);
            return self.add_duration(sample, &CALL_DURATION);
        };
        match sample.name.as_str() {
            name if name == CALL_ERRORS.name => *self.errors.get_or_insert(0) += count,
            name if name == CALL_CANCELLED.name => *self.cancelled.get_or_insert(0) += count,
            name if name == CALL_HITS.name => self.hits += count,
            _ => self.misses += count,
        }
    }

    fn add_dark(&mut self, sample: &Sample) {
        match sample.value {
            Value::Counter(count) => *self.errors.get_or_insert(0) += count,
            _ => self.add_duration(sample, &DARK_DURATION),
        }
    }

    fn flats(&self, name: &str, buckets: bool, flats: &mut Vec<Flat>) {
        let mut push = |last: &str, value: f64, unit: FlatUnit, is_count: bool| {
            flats.push(Flat {
                name: format!("{name}.{last}"),
                value,
                unit,
                is_count,
            });
        };
        let mut count = |last: &str, count: u64| push(last, count as f64, FlatUnit::Count, true);
        count("count", self.duration.count);
        for (last, known) in [
            ("errors", self.errors),
            ("aborted", self.aborted),
            ("cancelled", self.cancelled),
        ] {
            if let Some(known) = known {
                count(last, known);
            }
        }
        if buckets && self.duration.count != 0 {
            for bound_ns in self.bounds_ns {
                let last = format!("le.{}", bound(*bound_ns));
                count(&last, self.duration.at_most(*bound_ns));
            }
        }
        if self.with_time {
            let time = in_ms(self.duration.sum_ns);
            push("time", time, FlatUnit::Milliseconds, true);
        }
        for (last, value_ns) in statistics(&self.duration) {
            push(last, in_ms(value_ns), FlatUnit::Milliseconds, false);
        }
        let requests = self.duration.count;
        if let (Some(io_ns), true) = (self.io_ns, requests != 0) {
            let each = |sum_ns: u64| in_ms(sum_ns) / requests as f64;
            push("io", each(io_ns), FlatUnit::Milliseconds, false);
            push("other", each(self.other_ns), FlatUnit::Milliseconds, false);
        }
        let asked = self.hits + self.misses;
        if asked != 0 {
            let ratio = self.hits as f64 / asked as f64;
            push("hit_ratio", ratio, FlatUnit::Ratio, false);
        }
    }
}

/// What is said of durations, beside how many there were: nothing where there were none.
pub(crate) fn statistics(duration: &Distribution) -> Vec<(&'static str, u64)> {
    let quantile = |share| duration.quantile_ns(share);
    [
        ("mean", duration.mean_ns()),
        ("p50", quantile(0.5)),
        ("p95", quantile(0.95)),
        ("p99", quantile(0.99)),
        ("max", duration.max_ns()),
    ]
    .into_iter()
    .filter_map(|(last, value_ns)| Some((last, value_ns?)))
    .collect()
}

/// A bound as a part of a name: `5ms`, `2500ms`, `100us`.
pub(crate) fn bound(bound_ns: u64) -> String {
    if bound_ns.is_multiple_of(1_000_000) {
        format!("{}ms", bound_ns / 1_000_000)
    } else {
        format!("{}us", bound_ns / 1_000)
    }
}

pub(crate) fn in_ms(time_ns: u64) -> f64 {
    time_ns as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_made_of_what_every_server_takes() {
        for (text, made) in [
            ("/listing/{id}", "listing_id"),
            ("/", "root"),
            ("", "root"),
            ("dbshard01", "dbshard01"),
            ("a.b", "a_b"),
            ("a\nb|c:d#e;f=g", "a_b_c_d_e_f_g"),
            ("ü", "root"),
            ("x-y_z", "x-y_z"),
            ("../..", "root"),
        ] {
            assert_eq!(part(text), made, "{text:?}");
        }
        assert_eq!(part(&"x".repeat(10_000)).len(), MAX_PART);
        assert_eq!(name("mail..sent.ü/x"), "mail.sent.x");
        assert_eq!(name("..."), "root");
    }
}
