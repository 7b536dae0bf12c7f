//! A distribution as a few durations that stand for all.

use crate::collect::series::Distribution;

/// A duration, and how many it stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    pub(super) ms: f64,
    pub(super) weight: u64,
}

/// At most so many samples, ascending: all durations in order, parted into groups whose sizes differ
/// by one at most, each as its mean. Up to that number, each duration.
pub(super) fn even(duration: &Distribution, most: usize) -> Vec<Sample> {
    let counts = duration.buckets.iter().map(|(_, count)| *count);
    let all = counts.fold(0, u64::saturating_add);
    let groups = all.min(most as u64);
    if groups == 0 {
        return Vec::new();
    }
    // Larger groups lie between smaller ones, so that a mean of all is none of the long or the short.
    let before = |number: u64| (u128::from(all) * u128::from(number) / u128::from(groups)) as u64;
    let mut buckets = duration.buckets.iter().copied();
    let (mut longest_us, mut left) = (0, 0);
    let group = |number: u64| {
        let weight = before(number + 1) - before(number);
        let (mut wanted, mut sum_us) = (weight, 0_u128);
        while wanted != 0 {
            if left == 0 {
                let Some(next) = buckets.next() else { break };
                (longest_us, left) = next;
            }
            let taken = left.min(wanted);
            left -= taken;
            wanted -= taken;
            sum_us += u128::from(taken) * u128::from(longest_us);
        }
        // To the microsecond: buckets tell no more.
        let mean_us = (sum_us as f64 / weight as f64).round();
        Sample {
            ms: mean_us / 1e3,
            weight,
        }
    };
    (0..groups).map(group).collect()
}

/// As [`even`], and where not each duration is sent the longest by itself.
pub(super) fn with_longest(duration: &Distribution, most: usize) -> Vec<Sample> {
    let samples = even(duration, most);
    let is_each = samples.iter().all(|sample| sample.weight == 1);
    if is_each {
        return samples;
    }
    let mut rest = duration.clone();
    let Some((longest_us, count)) = rest.buckets.last_mut() else {
        return samples;
    };
    let longest = Sample {
        ms: f64::from(*longest_us) / 1e3,
        weight: 1,
    };
    *count = count.saturating_sub(1);
    let mut samples = even(&rest, most.saturating_sub(1));
    samples.push(longest);
    samples
}

/// The rate of samples that each stand for so many: the server's `1 / rate`, cut to a whole number, is
/// that number again.
pub(super) fn rate(weight: u64) -> Option<String> {
    if weight <= 1 {
        return None;
    }
    let mut rate = 1.0 / weight as f64;
    while ((1.0 / rate) as u64) < weight {
        rate = rate.next_down();
    }
    Some(format!("{rate}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn distribution(mut buckets: Vec<(u32, u64)>) -> Distribution {
        buckets.sort_unstable();
        buckets.dedup_by_key(|(longest_us, _)| *longest_us);
        Distribution {
            count: buckets.iter().map(|(_, count)| count).sum(),
            sum_ns: 0,
            buckets,
        }
    }

    fn mean_ms(duration: &Distribution) -> f64 {
        let sums = duration
            .buckets
            .iter()
            .map(|(longest_us, count)| f64::from(*longest_us) * *count as f64 / 1e3);
        sums.sum::<f64>() / duration.count as f64
    }

    proptest! {
        #[test]
        fn samples_stand_for_all_and_lie_where_they_do(
            buckets in prop::collection::vec((1_u32..=100_000_000, 1_u64..5_000), 1..200),
            most in 10_usize..300,
        ) {
            let duration = distribution(buckets);
            for (samples, exact_longest) in
                [(even(&duration, most), false), (with_longest(&duration, most), true)]
            {
                prop_assert!(samples.len() <= most);
                prop_assert!(samples.is_sorted_by(|a, b| a.ms <= b.ms));
                let weights = samples.iter().map(|sample| sample.weight);
                prop_assert_eq!(weights.sum::<u64>(), duration.count);
                let sums = samples.iter().map(|sample| sample.ms * sample.weight as f64);
                let mean = sums.sum::<f64>() / duration.count as f64;
                prop_assert!((mean - mean_ms(&duration)).abs() <= 0.001);
                let longest = samples.last().unwrap().ms;
                let off = (longest - duration.max_ns().unwrap() as f64 / 1e6).abs();
                prop_assert!(off < 1e-6 || !exact_longest);
                // A sample lies between the shortest and the longest of those it stands for.
                let mut before = 0;
                for sample in &samples {
                    let share = |rank: u64| rank as f64 / duration.count as f64;
                    let first = duration.quantile_ns(share(before) + 1e-9).unwrap() as f64 / 1e6;
                    before += sample.weight;
                    let last = duration.quantile_ns(share(before)).unwrap() as f64 / 1e6;
                    prop_assert!(first - 0.001 <= sample.ms && sample.ms <= last + 0.001);
                }
            }
        }

        #[test]
        fn a_rate_leads_back_to_its_weight(weight in 2_u64..10_000_000_000) {
            let text = rate(weight).unwrap();
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'));
            let read: f64 = text.parse().unwrap();
            prop_assert_eq!((1.0 / read) as u64, weight);
            prop_assert!((1.0 / read - weight as f64).abs() < 1e-3);
        }
    }

    #[test]
    fn few_durations_are_sent_each() {
        let duration = distribution(vec![(1_000, 2), (2_500, 1)]);
        let ms: Vec<f64> = even(&duration, 100)
            .iter()
            .map(|sample| sample.ms)
            .collect();
        assert_eq!(ms, [1.0, 1.0, 2.5]);
        assert_eq!(even(&Distribution::default(), 100), []);
        assert_eq!(with_longest(&Distribution::default(), 100), []);
        assert_eq!(rate(1), None);
        assert_eq!(rate(10).unwrap(), "0.1");
    }
}
