//! What the application counts itself: counters, gauges and timings, from any thread, without a
//! registration.
//!
//! A name is looked up without a lock and counted with one atomic addition. Names are the process's
//! and survive a fork; what was counted belongs to one process, and a child begins with nothing.
//!
//! A name may end with labels, as Graphite writes them: `registrations;plan=pro;country=de`.

use super::series::buckets::{BUCKETS, bucket_of, longest_of};
use super::series::distribution::{Histograms, Timer};
use super::series::{Labels, Name, Sample, Value};
use crate::clock;
use crate::fork::Forever;
use crate::lane::context;
use crate::names::Names;
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

/// A process has at most so many, names with other labels counted as others.
pub const MAX_METRICS: usize = 2_000;
/// A name has at most so many labels.
pub(super) const MAX_LABELS: usize = 8;

static NAMES: Names<MAX_METRICS, 4_096> = Names::new();

/// A metric's name as a number: for hosts to whom handing a text over costs more than counting.
///
/// ```
/// # fn main() -> Result<(), ioprofiler::Error> {
/// use ioprofiler::collect::own::MetricId;
/// let profiler = ioprofiler::Profiler::builder().metrics(true).threadless(true).build()?;
/// let id = MetricId::intern("registrations;plan=pro");
/// if let Some(id) = id {
///     profiler.count_by_id(id, 1);
/// }
/// profiler.count("registrations;plan=pro", 1);
/// let series = profiler.series();
/// let own = series[0].samples.iter().find(|sample| sample.name.as_str() == "registrations");
/// assert_eq!(own.unwrap().value, ioprofiler::collect::series::Value::Counter(2));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MetricId(u16);

impl MetricId {
    /// Of a name, as [`Profiler::count`](crate::Profiler::count) takes it: the same as long as the
    /// process lives, and in all its profilers. `None` where it can be no name, or there are too many.
    #[must_use]
    pub fn intern(name: &str) -> Option<Self> {
        let number = is_name(name).then(|| NAMES.intern(name))?;
        number.map(Self)
    }

    /// From a number that a host kept.
    #[must_use]
    pub const fn from_number(number: u16) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }
}

/// What a metric is, decided by its first use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    Counter = 1,
    Gauge = 2,
    Timing = 3,
}

/// Threads count in different places, so that they seldom meet: a cache line each.
const SHARDS: usize = 4;

#[repr(align(64))]
#[derive(Default)]
struct Shard(AtomicU64);

/// Durations by length, in atomics: the same buckets as the histogram that they are moved to.
struct Counts {
    by_length: [AtomicU32; BUCKETS],
    sum_ns: AtomicU64,
}

struct Metric {
    kind: AtomicU8,
    /// Of a counter.
    counted: [Shard; SHARDS],
    /// Of a gauge: a number's bits, and when it was set.
    gauge: AtomicU64,
    set_at: AtomicU64,
    timing: Forever<Counts>,
}

/// What one profiler's application counted in one process.
pub(crate) struct Own {
    metrics: Box<[Forever<Metric>]>,
    lost: AtomicU64,
}

impl Own {
    pub(crate) fn new() -> Self {
        Self {
            metrics: std::iter::repeat_with(Forever::empty)
                .take(MAX_METRICS)
                .collect(),
            lost: AtomicU64::new(0),
        }
    }

    /// The metric of a name, made at its first use. `made` is run then.
    #[inline]
    fn metric(&self, name: &str, kind: Kind, made: impl FnOnce()) -> Option<&'static Metric> {
        match NAMES.find(name.as_bytes()) {
            Some(number) => self.numbered(MetricId(number), kind, made),
            None => self.numbered(MetricId::intern(name)?, kind, made),
        }
    }

    #[inline]
    fn numbered(&self, id: MetricId, kind: Kind, made: impl FnOnce()) -> Option<&'static Metric> {
        let place = self.metrics.get(usize::from(id.0))?;
        match place.get() {
            Some(metric) if metric.kind.load(Ordering::Relaxed) == kind as u8 => Some(metric),
            Some(_) => None,
            None => Self::make(place, id, kind, made),
        }
    }

    #[cold]
    #[inline(never)]
    fn make(
        place: &Forever<Metric>,
        id: MetricId,
        kind: Kind,
        made: impl FnOnce(),
    ) -> Option<&'static Metric> {
        // A number that no name has is nobody's.
        NAMES.name(id.0)?;
        let new: &'static Metric = Box::leak(Box::new(Metric::new(kind)));
        // What lost a race is leaked: once a metric, at most.
        let metric = place.set(new).err().unwrap_or(new);
        made();
        (metric.kind.load(Ordering::Relaxed) == kind as u8).then_some(metric)
    }

    #[cold]
    fn lose(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn count(&self, name: &str, by: u64, made: impl FnOnce()) {
        self.use_if(self.metric(name, Kind::Counter, made), |metric| {
            metric.add(by);
        });
    }

    #[inline]
    pub(crate) fn count_by_id(&self, id: MetricId, by: u64, made: impl FnOnce()) {
        self.use_if(self.numbered(id, Kind::Counter, made), |metric| {
            metric.add(by);
        });
    }

    #[inline]
    pub(crate) fn gauge(&self, name: &str, value: f64, made: impl FnOnce()) {
        let metric = self.metric(name, Kind::Gauge, made);
        self.use_if(metric.filter(|_| value.is_finite()), |metric| {
            metric.set(value);
        });
    }

    #[inline]
    pub(crate) fn gauge_by_id(&self, id: MetricId, value: f64, made: impl FnOnce()) {
        let metric = self.numbered(id, Kind::Gauge, made);
        self.use_if(metric.filter(|_| value.is_finite()), |metric| {
            metric.set(value);
        });
    }

    #[inline]
    pub(crate) fn timing(&self, name: &str, duration_ns: u64, made: impl FnOnce()) {
        self.use_if(self.metric(name, Kind::Timing, made), |metric| {
            metric.time(duration_ns);
        });
    }

    #[inline]
    pub(crate) fn timing_by_id(&self, id: MetricId, duration_ns: u64, made: impl FnOnce()) {
        self.use_if(self.numbered(id, Kind::Timing, made), |metric| {
            metric.time(duration_ns);
        });
    }

    #[inline(always)]
    fn use_if(&self, metric: Option<&Metric>, take: impl FnOnce(&Metric)) {
        match metric {
            Some(metric) => take(metric),
            None => self.lose(),
        }
    }

    /// Values that were not taken: a name too many or none, another kind than before, no number.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// The metrics that were used, with their numbers.
    fn used(&self) -> impl Iterator<Item = (usize, &'static Metric)> {
        let metrics = self.metrics.iter().enumerate();
        metrics.filter_map(|(number, place)| Some((number, place.get()?)))
    }
}

impl Metric {
    fn new(kind: Kind) -> Self {
        Self {
            kind: AtomicU8::new(kind as u8),
            counted: Default::default(),
            gauge: AtomicU64::new(0),
            set_at: AtomicU64::new(0),
            timing: Forever::empty(),
        }
    }

    #[inline]
    fn add(&self, by: u64) {
        if let Some(shard) = self.counted.get(context::shard() % SHARDS) {
            shard.0.fetch_add(by, Ordering::Relaxed);
        }
    }

    fn set(&self, value: f64) {
        self.gauge.store(value.to_bits(), Ordering::Relaxed);
        self.set_at.store(clock::wall(), Ordering::Relaxed);
    }

    fn counted(&self) -> u64 {
        let counts = self
            .counted
            .iter()
            .map(|shard| shard.0.load(Ordering::Relaxed));
        counts.fold(0, u64::wrapping_add)
    }

    fn time(&self, duration_ns: u64) {
        let counts = match self.timing.get() {
            Some(counts) => counts,
            None => {
                let new: &'static Counts = Box::leak(Box::new(Counts {
                    by_length: [const { AtomicU32::new(0) }; BUCKETS],
                    sum_ns: AtomicU64::new(0),
                }));
                self.timing.set(new).err().unwrap_or(new)
            }
        };
        let microseconds = duration_ns.div_ceil(1_000).max(1);
        counts.sum_ns.fetch_add(duration_ns, Ordering::Relaxed);
        if let Some(bucket) = counts.by_length.get(bucket_of(microseconds)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The collector's side: what it moved out of the atomics already.
#[derive(Default)]
pub(crate) struct Moved {
    timings: Vec<Timer>,
    labels: Vec<Option<(Arc<str>, Labels)>>,
}

impl Moved {
    /// Adds what was counted so far to a list.
    pub(crate) fn samples(
        &mut self,
        own: &Own,
        histograms: &mut Histograms,
        samples: &mut Vec<Sample>,
    ) {
        for (number, metric) in own.used() {
            if self.labels.len() <= number {
                self.labels.resize(number + 1, None);
                self.timings.resize_with(number + 1, Timer::default);
            }
            let (Some(known), Some(timer)) =
                (self.labels.get_mut(number), self.timings.get_mut(number))
            else {
                continue;
            };
            let name = u16::try_from(number).ok().and_then(|at| NAMES.name(at));
            let (name, labels) = known.get_or_insert_with(|| parts(name.unwrap_or_default()));
            let value = match metric.kind.load(Ordering::Relaxed) {
                kind if kind == Kind::Counter as u8 => Value::Counter(metric.counted()),
                kind if kind == Kind::Gauge as u8 => Value::Gauge {
                    value: f64::from_bits(metric.gauge.load(Ordering::Relaxed)),
                    set_at: metric.set_at.load(Ordering::Relaxed),
                },
                _ => {
                    move_counts(metric, timer, histograms);
                    Value::Distribution(timer.total(histograms).clone())
                }
            };
            samples.push(Sample {
                name: Name::Own(Arc::clone(name)),
                labels: labels.clone(),
                value,
            });
        }
    }
}

fn move_counts(metric: &Metric, timer: &mut Timer, histograms: &mut Histograms) {
    let Some(counts) = metric.timing.get() else {
        return;
    };
    for (place, bucket) in counts.by_length.iter().enumerate() {
        if bucket.load(Ordering::Relaxed) != 0 {
            let count = bucket.swap(0, Ordering::Relaxed);
            timer.record_counted(longest_of(place), count.into(), histograms);
        }
    }
    timer.add_time(counts.sum_ns.swap(0, Ordering::Relaxed));
}

/// Name and labels: `registrations;plan=pro`.
fn parts(text: &str) -> (Arc<str>, Labels) {
    let mut parts = text.split(';');
    let name = parts.next().unwrap_or_default();
    let mut labels: Labels = parts
        .filter_map(|part| part.split_once('='))
        .map(|(label, value)| (Cow::Owned(label.to_owned()), Arc::from(value)))
        .collect();
    labels.sort();
    (Arc::from(name), labels)
}

/// Whether a text is a name with labels, or without any. What its characters may be each sink says
/// for itself.
fn is_name(text: &str) -> bool {
    let mut parts = text.split(';');
    let name = parts.next().unwrap_or_default();
    let mut labels = 0;
    let labelled = parts.all(|part| {
        labels += 1;
        let pair = part.split_once('=');
        pair.is_some_and(|(label, value)| !label.is_empty() && !value.is_empty())
    });
    !name.is_empty() && labelled && labels <= MAX_LABELS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_labels_are_taken_apart() {
        let (name, labels) = parts("registrations;plan=pro;country=de");
        assert_eq!(&*name, "registrations");
        let labels: Vec<_> = labels
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        assert_eq!(labels, [("country", "de"), ("plan", "pro")]);
        for (text, is) in [
            ("a", true),
            ("a.b c\"d", true),
            ("a;b=c", true),
            ("a;b==", true),
            ("", false),
            (";b=c", false),
            ("a;", false),
            ("a;b", false),
            ("a;=c", false),
            ("a;b=", false),
            ("a;1=1;2=2;3=3;4=4;5=5;6=6;7=7;8=8;9=9", false),
        ] {
            assert_eq!(is_name(text), is, "{text}");
        }
    }

    #[test]
    fn what_is_counted_comes_out_once() {
        let own = Own::new();
        own.count("own.test.requests", 2, || {});
        let requests = MetricId::intern("own.test.requests").unwrap();
        own.count_by_id(requests, 3, || {});
        own.gauge("own.test.queue", 1.5, || {});
        own.timing("own.test.mail", 1_500_000, || {});
        let mail = MetricId::intern("own.test.mail").unwrap();
        own.timing_by_id(mail, 2_500_000, || {});
        own.count("own.test.queue", 1, || {});
        own.gauge("own.test.queue", f64::NAN, || {});
        own.count("", 1, || {});
        own.count_by_id(mail, 1, || {});
        own.timing_by_id(MetricId::from_number(u16::MAX), 1, || {});
        own.gauge_by_id(MetricId::from_number(1_999), 1.0, || {});
        assert_eq!((own.lost(), MetricId::intern("")), (6, None));
        let (mut moved, mut histograms) = (Moved::default(), Histograms::default());
        for _ in 0..2 {
            let mut samples = Vec::new();
            moved.samples(&own, &mut histograms, &mut samples);
            let values: Vec<&Value> = samples.iter().map(|sample| &sample.value).collect();
            let [
                Value::Counter(5),
                Value::Gauge { value: 1.5, .. },
                Value::Distribution(mail),
            ] = values[..]
            else {
                panic!("{values:?}")
            };
            assert_eq!((mail.count, mail.sum_ns), (2, 4_000_000));
            assert_eq!(mail.max_ns().unwrap() / 1_000_000, 2);
        }
    }
}
