//! Everything that was counted, as series: a metric, labels, a value.
//!
//! Values are cumulative, from the beginning of what they count. So whoever wants them asks when it
//! likes, as often as it likes, and subtracts what it saw before; the series of several processes
//! are added up; and what a sink could not send is in its next report.

pub(crate) mod buckets;
mod catalog;
pub(crate) mod distribution;
pub(crate) mod json;

pub(crate) use catalog::Together;
pub(crate) use catalog::*;
pub use catalog::{DROPS, METRICS, Metric, SeriesKind, Unit, find};
pub use distribution::Distribution;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

/// Which metric a series belongs to.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Name {
    /// One of the profiler's own, by its name in [`METRICS`].
    Known(&'static str),
    /// One of the application's.
    Own(Arc<str>),
}

impl Name {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(name) => name,
            Self::Own(name) => name,
        }
    }

    /// What is documented of it; `None` of the application's own.
    #[must_use]
    pub fn metric(&self) -> Option<&'static Metric> {
        match self {
            Self::Known(name) => find(name),
            Self::Own(_) => None,
        }
    }
}

/// What tells the series of one metric apart: names and values.
pub type Labels = Vec<(Cow<'static, str>, Arc<str>)>;

/// What a series holds.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Counted so far: things, bytes, or nanoseconds.
    Counter(u64),
    /// As it is.
    Gauge {
        /// Time is in seconds.
        value: f64,
        /// When it was set, nanoseconds since 1970; 0 where it is what it was when it was read.
        set_at: u64,
    },
    /// Durations.
    Distribution(Distribution),
}

/// One series.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Its metric.
    pub name: Name,
    /// What tells it from the others of its metric.
    pub labels: Labels,
    /// What was counted.
    pub value: Value,
}

impl Sample {
    pub(crate) fn known(
        metric: &'static Metric,
        labels: impl IntoIterator<Item = Arc<str>>,
        value: Value,
    ) -> Self {
        let names = metric.labels.iter().map(|name| Cow::Borrowed(*name));
        Self {
            name: Name::Known(metric.name),
            labels: names.zip(labels).collect(),
            value,
        }
    }

    /// What its values count; own counters and gauges count things, own timings time.
    #[must_use]
    pub fn unit(&self) -> Unit {
        match (self.name.metric(), &self.value) {
            (Some(metric), _) => metric.unit,
            (None, Value::Distribution(_)) => Unit::Time,
            (None, _) => Unit::Count,
        }
    }

    /// The bounds by which its counts are sent, in nanoseconds; none where it is no distribution.
    #[must_use]
    pub fn bounds_ns(&self) -> &'static [u64] {
        match (self.name.metric(), &self.value) {
            (Some(metric), _) => metric.bounds_ns,
            (None, Value::Distribution(_)) => OWN,
            (None, _) => &[],
        }
    }

    /// The value of a label, or nothing.
    #[must_use]
    pub fn label(&self, name: &str) -> &str {
        let found = self.labels.iter().find(|(label, _)| label == name);
        found.map_or("", |(_, value)| value)
    }

    fn together(&self) -> Together {
        self.name
            .metric()
            .map_or(Together::Newest, |metric| metric.together)
    }

    fn key(&self) -> (Name, Labels) {
        (self.name.clone(), self.labels.clone())
    }
}

/// All series of one version of the application.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// The version of the application that was running, where it is known.
    pub version: Option<Arc<str>>,
    /// When counting began, nanoseconds since 1970.
    pub since: u64,
    /// When they were read, nanoseconds since 1970.
    pub at: u64,
    /// In the order of [`METRICS`], the application's own at the end by name; each by its labels.
    pub samples: Vec<Sample>,
}

impl Series {
    /// Puts the samples in order: theirs is the same whichever process read them.
    pub(crate) fn sort(&mut self) {
        let place = |name: &Name| match name {
            Name::Known(name) => METRICS.iter().position(|metric| metric.name == *name),
            Name::Own(_) => None,
        };
        let places: HashMap<Name, usize> = self
            .samples
            .iter()
            .map(|sample| &sample.name)
            .map(|name| (name.clone(), place(name).unwrap_or(usize::MAX)))
            .collect();
        self.samples.sort_by(|a, b| {
            let of = |sample: &Sample| places.get(&sample.name).copied();
            (of(a), &a.name, &a.labels).cmp(&(of(b), &b.name, &b.labels))
        });
    }

    /// Adds the series of another process: counts are added up, gauges by their metric's rule;
    /// of the application's own gauges the one that was read last stays.
    pub(crate) fn add(&mut self, other: &Self) {
        let mut places: HashMap<(Name, Labels), usize> = HashMap::new();
        for (place, sample) in self.samples.iter().enumerate() {
            places.insert(sample.key(), place);
        }
        for sample in &other.samples {
            let here = places.get(&sample.key()).copied();
            match here.and_then(|place| self.samples.get_mut(place)) {
                Some(here) => here.add(sample),
                None => self.samples.push(sample.clone()),
            }
        }
        self.at = self.at.max(other.at);
        self.since = match (self.since, other.since) {
            (0, since) | (since, 0) => since,
            (here, there) => here.min(there),
        };
        self.sort();
    }

    /// What was counted since an earlier moment. Gauges stay as they are.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let before: HashMap<(Name, Labels), &Value> = earlier
            .samples
            .iter()
            .map(|sample| (sample.key(), &sample.value))
            .collect();
        let since = |sample: &Sample| Sample {
            value: sample.value.since(before.get(&sample.key()).copied()),
            ..sample.clone()
        };
        Self {
            version: self.version.clone(),
            since: earlier.at.max(self.since),
            at: self.at,
            samples: self.samples.iter().map(since).collect(),
        }
    }

    /// The same without what ended: gauges of a process that is gone say nothing any more.
    pub(crate) fn without_gauges(mut self) -> Self {
        self.samples
            .retain(|sample| !matches!(sample.value, Value::Gauge { .. }));
        self
    }

    /// The same with some labels left out, and what then has the same labels added up.
    #[must_use]
    pub fn without_labels(&self, left_out: &[&str]) -> Self {
        let mut fewer = Self {
            samples: Vec::new(),
            ..self.clone()
        };
        let mut places: HashMap<(Name, Labels), usize> = HashMap::new();
        for sample in &self.samples {
            let mut sample = sample.clone();
            sample
                .labels
                .retain(|(name, _)| !left_out.contains(&&**name));
            let place = *places.entry(sample.key()).or_insert(fewer.samples.len());
            match fewer.samples.get_mut(place) {
                Some(there) => there.add(&sample),
                None => fewer.samples.push(sample),
            }
        }
        fewer
    }
}

impl Sample {
    fn add(&mut self, other: &Self) {
        let together = self.together();
        match (&mut self.value, &other.value) {
            (Value::Counter(here), Value::Counter(there)) => *here = here.saturating_add(*there),
            (Value::Distribution(here), Value::Distribution(there)) => here.add(there),
            (
                Value::Gauge { value, set_at },
                Value::Gauge {
                    value: there,
                    set_at: then,
                },
            ) => match together {
                Together::Sum => *value += there,
                Together::Largest => *value = value.max(*there),
                Together::Newest if then >= set_at => (*value, *set_at) = (*there, *then),
                Together::Newest => {}
            },
            // The same name as a counter here and a gauge there: what was first stays.
            _ => {}
        }
    }
}

impl Value {
    fn since(&self, earlier: Option<&Self>) -> Self {
        match (self, earlier) {
            // One that began anew counts from its beginning.
            (Self::Counter(now), Some(Self::Counter(before))) => {
                Self::Counter(now.checked_sub(*before).unwrap_or(*now))
            }
            (Self::Distribution(now), Some(Self::Distribution(before))) => {
                Self::Distribution(now.since(before))
            }
            (now, _) => now.clone(),
        }
    }
}

/// Adds a process's series to those of its version, of which the newest are kept.
pub(crate) fn add_to(all: &mut Vec<Series>, more: &Series, most: usize) {
    match all.iter_mut().find(|there| there.version == more.version) {
        Some(there) => there.add(more),
        None => all.push(more.clone()),
    }
    while all.len() > most {
        let oldest = all.iter().enumerate().min_by_key(|(_, series)| series.at);
        let Some(place) = oldest.map(|(place, _)| place) else {
            break;
        };
        all.remove(place);
    }
}
