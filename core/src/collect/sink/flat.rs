//! Series as names and numbers, for servers that know no distributions: Graphite, StatsD, Ganglia.
//!
//! | name | is |
//! | --- | --- |
//! | `request.ROUTE.…` | requests of a route; `request.all.…` those of all routes. `job.NAME.…`, `command.NAME.…` likewise |
//! | `….count`, `….errors`, `….aborted` | in the interval; `aborted` those that were abandoned, too |
//! | `….mean`, `….p50`, `….p95`, `….p99`, `….max` | milliseconds, of what ended in the interval; left out where nothing did |
//! | `….le.5ms` | how many took at most so long: what can be added up over machines. Percentiles cannot |
//! | `….io`, `….other` | milliseconds of a request, on average, in which calls were going on, and in which none was |
//! | `call.ROUTE.CATEGORY.…`, `call.all.CATEGORY.…` | calls, of jobs and commands too: `count`, `errors`, `cancelled`, `time` (all together, in milliseconds), `mean` and so on; of caches `hits`, `misses`, `hit_ratio` (0 to 1) |
//! | `flag.FLAG.VARIANT.…` | requests by what a flag was in them: `count`, `mean` and so on |
//! | `flag.FLAG.VARIANT.CATEGORY.calls`, `.time` | their calls; milliseconds |
//! | `dark.FLAG.…` | dark work: `count`, `errors`, `mean` and so on |
//! | other names of [`METRICS`] | as they are, with the values of their labels behind them; gauges of time in seconds |
//! | the application's own | as they are, with the values of their labels behind them: a counter what was counted in the interval, a timing `count`, `mean` and so on. `own.` stands before those that begin as one of the names above does |
//!
//! Of a route, a flag or any other label the characters that are no letter, digit, `-` or `_` become
//! `_`, several in a row one, at the ends none: `/listing/{id}` is `listing_id`, `/` is `root`; what
//! is called `all` itself is `all_`. A part longer than 64 bytes is cut, with eight digits of its hash
//! behind it. What then still has the same name is added up.
//!
//! For servers that know labels the names are `request.p95`, `call.count`, `flag.time` and so on, and
//! `ROUTE`, `CATEGORY` and the others are labels. `request.count` then has all labels of
//! `request.duration` (`kind`, `route`, `method`, `status`, `outcome`), so there are no `errors` and
//! `aborted`; `request.bucket` and `call.bucket` have the label `le`; and since percentiles of
//! all routes cannot be had from those of each, `request.all.p95` and its like have no `route`.

use crate::collect::series::{
    CALL_CANCELLED, CALL_DURATION, CALL_ERRORS, CALL_HITS, CALL_MISSES, DARK_DURATION, DARK_ERRORS,
    Distribution, FLAG_CALL_TIME, FLAG_CALLS, FLAG_REQUEST_DURATION, METRICS, Metric, Name,
    REQUEST_DURATION, REQUEST_IO, REQUEST_OTHER, Sample, Unit, Value,
};
use crate::error::Error;
use crate::flags;
use crate::text::cut_str;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A longer part of a name is cut.
const MAX_PART: usize = 64;
/// What names begin with may usually not be longer.
pub(crate) const MAX_PREFIX: usize = 128;
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

/// What stands behind a name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum FlatValue {
    /// Counted in the interval.
    Count(f64),
    /// As it is, or was on average.
    Level(f64),
    /// Durations that were counted in the interval.
    Durations(Distribution),
}

/// Names and values of labels, in the order of their names.
pub(crate) type Tags = Vec<(String, String)>;

/// One series.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Flat {
    /// Parts of letters, digits, `-` and `_`, with dots between.
    pub(crate) name: String,
    pub(crate) tags: Arc<Tags>,
    /// One more tag, `le`: how many took at most so many nanoseconds.
    pub(crate) le: Option<u64>,
    pub(crate) value: FlatValue,
    pub(crate) unit: FlatUnit,
}

/// How labels are written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Style {
    /// Into names.
    Names,
    /// As they are, their values made safe by this.
    Tags(fn(&str) -> String),
}

/// What is made of series.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) style: Style,
    /// Counts by duration, too.
    pub(crate) buckets: bool,
    /// Durations as they are, instead of percentiles and buckets.
    pub(crate) whole: bool,
    /// Calls of each route, beside those of all.
    pub(crate) calls_by_route: bool,
    /// Whatever was counted has a name that says so at its end: `registrations.count`.
    pub(crate) says_count: bool,
}

/// A name that is too long, cut, so that it still differs from others that begin as it does.
pub(crate) fn cut_name(made: String, text: &str, most: usize) -> String {
    if made.len() <= most {
        return made;
    }
    let hash = flags::hash(text) >> 32;
    format!("{}_{hash:08x}", cut_str(&made, most.saturating_sub(9)))
}

/// One part of a name.
pub(crate) fn part(text: &str) -> String {
    let mut part = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_ascii_alphanumeric() || matches!(character, '-' | '_') {
            part.push(character);
        } else if !part.is_empty() && !part.ends_with('_') {
            part.push('_');
        }
    }
    part.truncate(part.trim_end_matches('_').len());
    if part.is_empty() {
        return "root".to_owned();
    }
    cut_name(part, text, MAX_PART)
}

/// The part that is a route.
fn route_part(text: &str) -> String {
    match part(text) {
        part if part == ALL => "all_".to_owned(),
        part => part,
    }
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

/// Whether names can begin with a text.
pub(crate) fn check_prefix(sink: &str, prefix: &str, most: usize) -> Result<(), Error> {
    let why = if prefix.len() > most {
        format!("{} bytes are more than {most}", prefix.len())
    } else if name(prefix) != prefix {
        format!("{prefix:?} is not made of letters, digits, `-`, `_` and dots between")
    } else {
        return Ok(());
    };
    Err(Error::of(format!("{sink}.prefix"), why))
}

/// A name of the application's, which is none of the profiler's.
pub(crate) fn own_name(text: &str) -> String {
    let name = name(text);
    let first = |name: &str| name.split('.').next().map(str::to_owned);
    let begins = first(&name).unwrap_or_default();
    let is_known = METRICS
        .iter()
        .any(|metric| first(metric.name).is_some_and(|known| known == begins));
    if is_known || matches!(&*begins, "job" | "command" | "events" | "own") {
        format!("own.{name}")
    } else {
        name
    }
}

/// Everything of one interval, in order of name.
pub(crate) fn flatten<'a>(
    samples: impl IntoIterator<Item = &'a Sample>,
    shape: &Shape,
) -> Vec<Flat> {
    let mut groups = Groups {
        shape: *shape,
        timed: BTreeMap::new(),
        numbers: Vec::new(),
        durations: Vec::new(),
    };
    for sample in samples {
        groups.add(sample);
    }
    groups.flats()
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    name: String,
    tags: Arc<Tags>,
    le: Option<u64>,
}

/// What has the same name together.
struct Groups {
    shape: Shape,
    /// Of requests, calls, flags, dark work and own timings: by what stands before the last part.
    timed: BTreeMap<Key, Timed>,
    numbers: Vec<(Key, Number)>,
    durations: Vec<(Key, Distribution)>,
}

struct Number {
    value: f64,
    is_count: bool,
    unit: FlatUnit,
}

/// What is told of something timed: what can be had by adding others up is not told twice.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Told {
    #[default]
    All,
    /// How many there were is told elsewhere, with more labels.
    AllButCounts,
    /// It is a sum, so only what cannot be added up.
    Levels,
}

/// What was timed, and what else is known of it.
#[derive(Default)]
struct Timed {
    duration: Distribution,
    bounds_ns: &'static [u64],
    told: Told,
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

impl Groups {
    fn add(&mut self, sample: &Sample) {
        let Name::Known(known) = sample.name else {
            return self.add_own(sample);
        };
        let by_call = [
            &CALL_DURATION,
            &CALL_ERRORS,
            &CALL_CANCELLED,
            &CALL_HITS,
            &CALL_MISSES,
        ];
        if [&REQUEST_DURATION, &REQUEST_IO, &REQUEST_OTHER].contains(&known) {
            self.add_request(sample);
        } else if by_call.contains(&known) {
            self.add_call(sample);
        } else if *known == FLAG_REQUEST_DURATION {
            let key = self.key("flag", sample, &["flag", "variant"]);
            let timed = self.timed.entry(key).or_default();
            timed.add_duration(sample, &FLAG_REQUEST_DURATION);
        } else if [&DARK_DURATION, &DARK_ERRORS].contains(&known) {
            let key = self.key("dark", sample, &["flag"]);
            self.timed.entry(key).or_default().add_dark(sample);
        } else {
            self.add_plain(known, sample);
        }
    }

    /// A name with some labels of a sample, in its style.
    fn key(&self, name: &str, sample: &Sample, labels: &[&str]) -> Key {
        let (mut name, mut tags) = (name.to_owned(), Tags::new());
        for label in labels {
            let value = sample.label(label);
            match self.shape.style {
                Style::Names => {
                    let part = if *label == "route" {
                        route_part(value)
                    } else {
                        part(value)
                    };
                    name.push('.');
                    name.push_str(&part);
                }
                Style::Tags(_) if value.is_empty() => {}
                Style::Tags(safe) => tags.push(((*label).to_owned(), safe(value))),
            }
        }
        Key::new(name, tags)
    }

    fn add_request(&mut self, sample: &Sample) {
        let keys = match self.shape.style {
            Style::Names => {
                let kind = match sample.label("kind") {
                    "web" => "request".to_owned(),
                    other => part(other),
                };
                let all = Key::new(format!("{kind}.{ALL}"), Tags::new());
                [self.key(&kind, sample, &["route"]), all]
            }
            Style::Tags(_) => [
                self.key("request", sample, &["kind", "route"]),
                self.key("request.all", sample, &["kind"]),
            ],
        };
        let told = match self.shape.style {
            Style::Names => [Told::All, Told::All],
            Style::Tags(_) => [Told::AllButCounts, Told::Levels],
        };
        for (key, told) in keys.into_iter().zip(told) {
            let timed = self.timed.entry(key).or_default();
            timed.told = told;
            timed.add_request(sample);
        }
        if let (Style::Tags(_), Value::Distribution(duration)) = (self.shape.style, &sample.value) {
            let key = self.key("request.count", sample, REQUEST_DURATION.labels);
            self.add_count(key, duration.count as f64, FlatUnit::Count);
        }
    }

    fn add_call(&mut self, sample: &Sample) {
        let (all, told) = match (self.shape.style, self.shape.calls_by_route) {
            (Style::Names, _) => (self.key("call.all", sample, &["category"]), Told::All),
            (Style::Tags(_), true) => {
                let key = self.key("call.all", sample, &["kind", "category"]);
                (key, Told::Levels)
            }
            (Style::Tags(_), false) => {
                let key = self.key("call", sample, &["kind", "category"]);
                (key, Told::All)
            }
        };
        let timed = self.timed.entry(all).or_default();
        timed.told = told;
        timed.add_call(sample);
        if self.shape.calls_by_route {
            let of_route = match self.shape.style {
                Style::Names => self.key("call", sample, &["route", "category"]),
                Style::Tags(_) => self.key("call", sample, &["kind", "route", "category"]),
            };
            self.timed.entry(of_route).or_default().add_call(sample);
        }
    }

    fn add_plain(&mut self, known: &'static Metric, sample: &Sample) {
        let is_of_flag = [&FLAG_CALLS, &FLAG_CALL_TIME].contains(&known);
        let name = if is_of_flag { "flag" } else { known.name };
        let mut key = self.key(name, sample, known.labels);
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
        if *known == FLAG_CALLS {
            key.name.push_str(".calls");
        } else if unit == FlatUnit::Milliseconds {
            key.name.push_str(".time");
        } else if is_count && self.shape.says_count {
            key.name.push_str(".count");
        }
        self.add_number(key, value, is_count, unit);
    }

    fn add_own(&mut self, sample: &Sample) {
        let (mut name, mut tags) = (own_name(sample.name.as_str()), Tags::new());
        for (label, value) in &sample.labels {
            match self.shape.style {
                Style::Names => {
                    name.push('.');
                    name.push_str(&part(value));
                }
                Style::Tags(safe) => tags.push((own_label(label, &tags), safe(value))),
            }
        }
        if self.shape.says_count && matches!(sample.value, Value::Counter(_)) {
            name.push_str(".count");
        }
        let key = Key::new(name, tags);
        match &sample.value {
            Value::Distribution(duration) => {
                self.timed.entry(key).or_default().duration.add(duration);
            }
            Value::Counter(count) => self.add_count(key, *count as f64, FlatUnit::Count),
            Value::Gauge { value, .. } => self.add_level(key, *value, FlatUnit::Count),
        }
    }

    fn add_count(&mut self, key: Key, count: f64, unit: FlatUnit) {
        self.add_number(key, count, true, unit);
    }

    fn add_level(&mut self, key: Key, level: f64, unit: FlatUnit) {
        self.add_number(key, level, false, unit);
    }

    fn add_number(&mut self, key: Key, value: f64, is_count: bool, unit: FlatUnit) {
        let number = Number {
            value,
            is_count,
            unit,
        };
        self.numbers.push((key, number));
    }

    fn flats(mut self) -> Vec<Flat> {
        for (key, timed) in std::mem::take(&mut self.timed) {
            timed.add_numbers(&key, &mut self);
        }
        self.numbers.sort_by(|a, b| a.0.cmp(&b.0));
        // What has the same name is added up.
        self.numbers.dedup_by(|(later, more), (kept, number)| {
            let same = later == kept;
            if same {
                number.value += more.value;
            }
            same
        });
        let numbers = self.numbers.into_iter().map(|(key, number)| {
            let value = if number.is_count {
                FlatValue::Count(number.value)
            } else {
                FlatValue::Level(number.value)
            };
            key.flat(value, number.unit)
        });
        let durations = self.durations.into_iter().map(|(key, durations)| {
            key.flat(FlatValue::Durations(durations), FlatUnit::Milliseconds)
        });
        let mut flats: Vec<Flat> = numbers.chain(durations).collect();
        if self.shape.whole {
            flats.sort_by(|a, b| (&a.name, &a.tags).cmp(&(&b.name, &b.tags)));
        }
        flats
    }
}

/// A label of the application's: none of those that say who reports, and none twice.
pub(crate) fn own_label(label: &str, there: &Tags) -> String {
    let mut made = part(label);
    let is_ours = |made: &str| matches!(made, "host" | "worker" | "version" | "name" | "le");
    while is_ours(&made) || there.iter().any(|(label, _)| *label == made) {
        made.push('_');
    }
    made
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
        match sample.name {
            Name::Known(known) if *known == CALL_ERRORS => *self.errors.get_or_insert(0) += count,
            Name::Known(known) if *known == CALL_CANCELLED => {
                *self.cancelled.get_or_insert(0) += count;
            }
            Name::Known(known) if *known == CALL_HITS => self.hits += count,
            _ => self.misses += count,
        }
    }

    fn add_dark(&mut self, sample: &Sample) {
        match sample.value {
            Value::Counter(count) => *self.errors.get_or_insert(0) += count,
            _ => self.add_duration(sample, &DARK_DURATION),
        }
    }

    fn add_numbers(&self, key: &Key, groups: &mut Groups) {
        if self.told == Told::All {
            self.add_counts(key, groups);
        }
        if self.told != Told::Levels && groups.shape.buckets && !groups.shape.whole {
            self.add_buckets(key, groups);
        }
        let is_whole = groups.shape.whole;
        let mut level = |last: &str, value: f64, unit: FlatUnit| {
            groups.add_level(key.with(last), value, unit);
        };
        let requests = self.duration.count;
        if let (Some(io_ns), true) = (self.io_ns, requests != 0) {
            let each = |sum_ns: u64| in_ms(sum_ns / requests);
            level("io", each(io_ns), FlatUnit::Milliseconds);
            level("other", each(self.other_ns), FlatUnit::Milliseconds);
        }
        let asked = self.hits + self.misses;
        if asked != 0 {
            let ratio = (self.hits as f64 / asked as f64 * 1e6).round() / 1e6;
            level("hit_ratio", ratio, FlatUnit::Ratio);
        }
        if !is_whole {
            for (last, value_ns) in statistics(&self.duration) {
                level(last, in_ms(value_ns), FlatUnit::Milliseconds);
            }
        } else if requests != 0 {
            groups.durations.push((key.clone(), self.duration.clone()));
        }
    }

    fn add_counts(&self, key: &Key, groups: &mut Groups) {
        let shape = groups.shape;
        let mut count = |key: Key, count: u64| {
            groups.add_count(key, count as f64, FlatUnit::Count);
        };
        if !shape.whole {
            count(key.with("count"), self.duration.count);
        }
        for (last, known) in [
            ("errors", self.errors),
            ("aborted", self.aborted),
            ("cancelled", self.cancelled),
        ] {
            if let Some(known) = known {
                count(key.with(last), known);
            }
        }
        if self.hits + self.misses != 0 {
            count(key.with("hits"), self.hits);
            count(key.with("misses"), self.misses);
        }
        if self.with_time {
            let time = in_ms(self.duration.sum_ns);
            groups.add_count(key.with("time"), time, FlatUnit::Milliseconds);
        }
    }

    fn add_buckets(&self, key: &Key, groups: &mut Groups) {
        if self.duration.count == 0 {
            return;
        }
        for bound_ns in self.bounds_ns {
            let key = match groups.shape.style {
                Style::Names => key.with(&format!("le.{}", bound(*bound_ns))),
                Style::Tags(_) => Key {
                    le: Some(*bound_ns),
                    ..key.with("bucket")
                },
            };
            let count = self.duration.at_most(*bound_ns) as f64;
            groups.add_count(key, count, FlatUnit::Count);
        }
    }
}

impl Key {
    fn new(name: String, mut tags: Tags) -> Self {
        tags.sort();
        Self {
            name,
            tags: Arc::new(tags),
            le: None,
        }
    }

    fn with(&self, last: &str) -> Self {
        let mut name = String::with_capacity(self.name.len() + 1 + last.len());
        name.extend([self.name.as_str(), ".", last]);
        Self {
            name,
            tags: Arc::clone(&self.tags),
            le: None,
        }
    }

    fn flat(self, value: FlatValue, unit: FlatUnit) -> Flat {
        Flat {
            name: self.name,
            tags: self.tags,
            le: self.le,
            value,
            unit,
        }
    }
}

/// What is said of durations, beside how many there were: nothing where there were none.
fn statistics(duration: &Distribution) -> impl Iterator<Item = (&'static str, u64)> {
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

/// A number that every server reads: without an exponent, where it is not extreme; `None` where it
/// is none.
pub(crate) fn number(value: f64) -> Option<String> {
    let size = value.abs();
    if !value.is_finite() {
        None
    } else if size != 0.0 && !(1e-9..1e17).contains(&size) {
        Some(format!("{value:e}"))
    } else {
        // A zero has no sign.
        Some(format!("{}", value + 0.0))
    }
}

#[cfg(test)]
mod tests;
