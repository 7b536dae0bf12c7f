//! How long things took: counts by duration, exact to about a hundredth, whatever the span.
//!
//! The collector's thread counts into a histogram of fixed bounds (1 µs to 100 s, two digits; what
//! is longer counts as 100 s, but in sums), which
//! a series has only while something is counted; what was counted is kept as a short list of the
//! buckets that are not empty. Lists can be added up and subtracted exactly, which percentiles
//! cannot, so percentiles are only made by whoever shows them, over all processes of a machine.

use super::buckets::{LONGEST_US, shortest_beside};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

const DIGITS: u8 = 2;
/// Empty histograms that wait to be used again.
const SPARE: usize = 64;

/// Counts by duration, since some beginning.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Distribution {
    /// How many.
    #[serde(rename = "n")]
    pub count: u64,
    /// The sum of all durations, exact. Nanoseconds.
    #[serde(rename = "s")]
    pub sum_ns: u64,
    /// The longest duration of each bucket in microseconds, and how many are in it; ascending.
    #[serde(rename = "b")]
    pub buckets: Vec<(u32, u64)>,
}

impl Distribution {
    /// The mean; `None` where nothing was counted. Nanoseconds.
    #[must_use]
    pub fn mean_ns(&self) -> Option<u64> {
        self.sum_ns.checked_div(self.count)
    }

    /// The duration that so many (0 to 1) did not exceed; `None` where nothing was counted.
    /// Nanoseconds.
    #[must_use]
    pub fn quantile_ns(&self, share: f64) -> Option<u64> {
        let rank = ((share * self.bucketed() as f64).ceil() as u64).max(1);
        let mut seen = 0_u64;
        let bucket = self.buckets.iter().find(|(_, count)| {
            seen = seen.saturating_add(*count);
            seen >= rank
        });
        bucket.or(self.buckets.last()).map(in_ns)
    }

    /// The longest; `None` where nothing was counted. Nanoseconds.
    #[must_use]
    pub fn max_ns(&self) -> Option<u64> {
        self.buckets.last().map(in_ns)
    }

    /// How many took at most so long: those in buckets that begin there or before, so that a
    /// duration less than a hundredth above the bound may count as within it.
    #[must_use]
    pub fn at_most(&self, bound_ns: u64) -> u64 {
        let within = |(longest_us, _): &&(u32, u64)| {
            shortest_beside(u64::from(*longest_us)).saturating_mul(1_000) <= bound_ns
        };
        let counts = self.buckets.iter().take_while(within);
        counts.fold(0, |sum: u64, (_, count)| sum.saturating_add(*count))
    }

    /// As [`at_most`](Self::at_most), for bounds that ascend; never more than `count`.
    #[must_use]
    pub fn at_most_each(&self, bounds_ns: &[u64]) -> Vec<u64> {
        let mut buckets = self.buckets.iter().peekable();
        let mut sum = 0_u64;
        let counted = bounds_ns.iter().map(|bound_ns| {
            let within = |(longest_us, _): &&(u32, u64)| {
                shortest_beside(u64::from(*longest_us)).saturating_mul(1_000) <= *bound_ns
            };
            while let Some((_, count)) = buckets.next_if(within) {
                sum = sum.saturating_add(*count);
            }
            sum.min(self.count)
        });
        counted.collect()
    }

    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        self.sum_ns = self.sum_ns.saturating_add(other.sum_ns);
        if self.buckets.is_empty() {
            self.buckets.clone_from(&other.buckets);
        } else if !other.buckets.is_empty() {
            self.buckets = merged(&self.buckets, &other.buckets, u64::saturating_add);
        }
    }

    /// What was counted since an earlier moment of the same series. A series that began anew in
    /// between counts from its beginning.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        if earlier.count > self.count || earlier.sum_ns > self.sum_ns {
            return self.clone();
        }
        Self {
            count: self.count - earlier.count,
            sum_ns: self.sum_ns - earlier.sum_ns,
            buckets: merged(&self.buckets, &earlier.buckets, u64::saturating_sub),
        }
    }

    /// As many as the buckets hold: where another program's list is read, not always `count`.
    fn bucketed(&self) -> u64 {
        let counts = self.buckets.iter().map(|(_, count)| *count);
        counts.fold(0, u64::saturating_add)
    }
}

fn in_ns((longest_us, _): &(u32, u64)) -> u64 {
    u64::from(*longest_us) * 1_000
}

/// Two ascending lists as one; buckets that come out empty are left out.
fn merged(
    left: &[(u32, u64)],
    right: &[(u32, u64)],
    combine: fn(u64, u64) -> u64,
) -> Vec<(u32, u64)> {
    let mut both = Vec::with_capacity(left.len().max(right.len()));
    let (mut left, mut right) = (left.iter().peekable(), right.iter().peekable());
    loop {
        let next = match (left.peek(), right.peek()) {
            (None, None) => return both,
            (Some(left), None) => left.0,
            (None, Some(right)) => right.0,
            (Some(left), Some(right)) => left.0.min(right.0),
        };
        let of = |(_, count): &(u32, u64)| *count;
        let here = left.next_if(|(at, _)| *at == next).map_or(0, of);
        let there = right.next_if(|(at, _)| *at == next).map_or(0, of);
        let count = combine(here, there);
        if count != 0 {
            both.push((next, count));
        }
    }
}

/// Histograms that are used again: a series needs one only while something is counted.
#[derive(Default)]
pub(crate) struct Histograms {
    spare: Vec<Histogram<u32>>,
}

impl Histograms {
    fn take(&mut self) -> Option<Histogram<u32>> {
        let spare = self.spare.pop();
        spare.or_else(|| Histogram::new_with_bounds(1, LONGEST_US, DIGITS).ok())
    }

    fn put(&mut self, mut histogram: Histogram<u32>) {
        if self.spare.len() < SPARE {
            histogram.reset();
            self.spare.push(histogram);
        }
    }
}

/// A distribution that is being counted.
#[derive(Default)]
pub(crate) struct Timer {
    counting: Option<Histogram<u32>>,
    total: Distribution,
}

impl Timer {
    /// Counts one duration.
    #[inline]
    pub(crate) fn record(&mut self, duration_ns: u64, histograms: &mut Histograms) {
        self.record_many(duration_ns, duration_ns, 1, histograms);
    }

    /// Counts several, of which only the sum is known: each as their mean.
    pub(crate) fn record_sum(&mut self, sum_ns: u64, count: u64, histograms: &mut Histograms) {
        match sum_ns.checked_div(count) {
            Some(mean) => self.record_many(mean, sum_ns, count, histograms),
            None => self.add_time(sum_ns),
        }
    }

    #[inline]
    fn record_many(&mut self, each_ns: u64, sum_ns: u64, count: u64, histograms: &mut Histograms) {
        self.total.count = self.total.count.saturating_add(count);
        self.total.sum_ns = self.total.sum_ns.saturating_add(sum_ns);
        if self.counting.is_none() {
            self.counting = histograms.take();
        }
        if let Some(counting) = &mut self.counting {
            // Rounded up: what a bucket says is never less than what it took.
            counting.saturating_record_n(
                each_ns.div_ceil(1_000).max(1),
                u32::try_from(count).unwrap_or(u32::MAX),
            );
        }
    }

    /// All that was counted so far. Gives the histogram back.
    pub(crate) fn total(&mut self, histograms: &mut Histograms) -> &Distribution {
        if let Some(counting) = self.counting.take() {
            let counted: Vec<(u32, u64)> = counting
                .iter_recorded()
                .map(|step| {
                    let longest = u32::try_from(step.value_iterated_to()).unwrap_or(u32::MAX);
                    (longest, step.count_since_last_iteration())
                })
                .collect();
            self.total.buckets = merged(&self.total.buckets, &counted, u64::saturating_add);
            histograms.put(counting);
        }
        &self.total
    }

    /// Counts several of one length, in microseconds; their time is added by [`Self::add_time`].
    pub(crate) fn record_counted(
        &mut self,
        microseconds: u64,
        count: u64,
        histograms: &mut Histograms,
    ) {
        self.record_many(microseconds.saturating_mul(1_000), 0, count, histograms);
    }

    /// Adds to the sum of all durations.
    pub(crate) fn add_time(&mut self, time_ns: u64) {
        self.total.sum_ns = self.total.sum_ns.saturating_add(time_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn counted(durations: &[u64]) -> Distribution {
        let mut histograms = Histograms::default();
        let mut timer = Timer::default();
        // Asked for in between, which must change nothing.
        for (index, duration) in durations.iter().enumerate() {
            timer.record(*duration, &mut histograms);
            if index % 3 == 0 {
                let _ = timer.total(&mut histograms);
            }
        }
        timer.total(&mut histograms).clone()
    }

    proptest! {
        #[test]
        fn quantiles_are_those_of_the_sorted_list(
            mut durations in prop::collection::vec(1_000_u64..90_000_000_000, 1..200),
            share in 0.0..=1.0_f64,
        ) {
            let distribution = counted(&durations);
            durations.sort_unstable();
            let rank = ((share * durations.len() as f64).ceil() as usize).max(1);
            let exact = durations[rank - 1];
            let found = distribution.quantile_ns(share).unwrap();
            prop_assert!(found >= exact, "{found} < {exact}");
            prop_assert!(found as f64 <= exact as f64 * 1.01 + 1_000.0, "{found} > {exact}");
            prop_assert_eq!(distribution.count, durations.len() as u64);
            prop_assert_eq!(distribution.sum_ns, durations.iter().sum::<u64>());
        }

        #[test]
        fn counts_by_bound_are_those_of_each_bound(
            durations in prop::collection::vec(1_u64..200_000_000_000, 0..200),
            mut bounds in prop::collection::vec(0_u64..300_000_000_000, 0..20),
        ) {
            let distribution = counted(&durations);
            bounds.sort_unstable();
            let each: Vec<u64> = bounds.iter().map(|bound| distribution.at_most(*bound)).collect();
            prop_assert_eq!(distribution.at_most_each(&bounds), each);
        }

        #[test]
        fn adding_and_subtracting_are_inverse(
            first in prop::collection::vec(1_u64..200_000_000_000, 0..100),
            second in prop::collection::vec(1_u64..200_000_000_000, 0..100),
        ) {
            let (earlier, later) = (counted(&first), counted(&second));
            let mut both = earlier.clone();
            both.add(&later);
            prop_assert_eq!(both.since(&earlier), later);
            let all: Vec<u64> = first.iter().chain(&second).copied().collect();
            prop_assert_eq!(both, counted(&all));
        }
    }

    #[test]
    fn bounds_count_what_did_not_exceed_them() {
        let millisecond = 1_000_000;
        let distribution = counted(&[millisecond, 4 * millisecond, 5_500_000, 7_000_000_000_000]);
        assert_eq!(distribution.at_most(millisecond), 1);
        assert_eq!(distribution.at_most(millisecond - 1_000), 0);
        assert_eq!(distribution.at_most(5 * millisecond), 2);
        assert_eq!(distribution.at_most(u64::MAX), 4);
        // Longer than what is counted exactly: still in the sum.
        assert_eq!(distribution.sum_ns, 7_000_010_500_000);
        assert!(distribution.max_ns().unwrap() >= 100_000_000_000);
    }

    #[test]
    fn a_series_that_began_anew_counts_from_its_beginning() {
        let before = counted(&[1_000, 2_000, 3_000]);
        let anew = counted(&[5_000]);
        assert_eq!(anew.since(&before), anew);
        assert_eq!(Distribution::default().mean_ns(), None);
        assert_eq!(Distribution::default().quantile_ns(0.5), None);
    }
}
