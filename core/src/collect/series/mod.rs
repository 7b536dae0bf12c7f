//! Everything that was counted, as series: a metric, labels, a value.
//!
//! Values are cumulative, from the beginning of what they count. So whoever wants them asks when it
//! likes, as often as it likes, and subtracts what it saw before; the series of several processes
//! are added up; and what a sink could not send is in its next report.

pub(crate) mod buckets;
mod catalog;
pub(crate) mod distribution;
pub(crate) mod json;
#[cfg(all(
    test,
    feature = "graphite",
    feature = "statsd",
    feature = "ganglia",
    feature = "prometheus",
    feature = "otlp"
))]
mod listing;
mod plain;
pub(crate) mod sum;

pub(crate) use catalog::Together;
pub(crate) use catalog::*;
pub use catalog::{DROPS, METRICS, Metric, OWN_BOUNDS_NS, SeriesKind, Unit, find};
pub use distribution::Distribution;
use std::borrow::Cow;
use std::sync::Arc;

/// Which metric a series belongs to.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Name {
    /// One of the profiler's own, in [`METRICS`].
    Known(&'static Metric),
    /// One of the application's.
    Own(Arc<str>),
}

impl Name {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(metric) => metric.name,
            Self::Own(name) => name,
        }
    }

    /// What is documented of it; `None` of the application's own.
    #[must_use]
    pub fn metric(&self) -> Option<&'static Metric> {
        match self {
            Self::Known(metric) => Some(metric),
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
            name: Name::Known(metric),
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
            (None, Value::Distribution(_)) => OWN_BOUNDS_NS,
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

    fn key(&self) -> (&Name, &Labels) {
        (&self.name, &self.labels)
    }
}

/// All series of one version of the application. It serializes as plain data: what
/// `ioprofiler series --json` prints.
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
        self.samples.sort_by(|a, b| a.key().cmp(&b.key()));
    }

    /// The same in order, with what has the same labels added up.
    fn add_up(&mut self) {
        self.sort();
        self.samples.dedup_by(|later, kept| {
            let same = later.key() == kept.key();
            if same {
                kept.add(later);
            }
            same
        });
    }

    /// What was counted since an earlier moment. Gauges stay as they are.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut before = earlier.samples.iter().peekable();
        let mut since = |sample: &Sample| {
            while before
                .next_if(|before| before.key() < sample.key())
                .is_some()
            {}
            let before = before.next_if(|before| before.key() == sample.key());
            Sample {
                value: sample.value.since(before.map(|before| &before.value)),
                ..sample.clone()
            }
        };
        Self {
            version: self.version.clone(),
            since: earlier.at.max(self.since),
            at: self.at,
            samples: self.samples.iter().map(&mut since).collect(),
        }
    }

    /// The same some time later: what says how long ago something was says so of that time.
    pub(crate) fn aged(mut self, now: u64) -> Self {
        let later = now.saturating_sub(self.at) as f64 / 1e9;
        for sample in &mut self.samples {
            let is_age = sample.name.metric().is_some_and(Metric::is_age);
            if let (Value::Gauge { value, .. }, true) = (&mut sample.value, is_age) {
                *value += later;
            }
        }
        self
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
        let mut fewer = self.clone();
        for sample in &mut fewer.samples {
            sample
                .labels
                .retain(|(name, _)| !left_out.contains(&&**name));
        }
        fewer.add_up();
        fewer
    }
}

impl Sample {
    /// Adds the same series of another process.
    pub(crate) fn add(&mut self, other: &Self) {
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
