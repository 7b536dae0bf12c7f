//! A distribution as an exponential histogram: buckets that grow by the same factor,
//! 2^(2^-scale), as fine as 160 of them allow.
//!
//! Our buckets are no wider than a hundredth of what is in them, and each goes, whole, where its
//! longest duration belongs.

use super::proto::Buckets;
use crate::collect::series::Distribution;

/// What OpenTelemetry's own libraries use.
const MOST_BUCKETS: i64 = 160;
/// Finer ones would tell apart what ours do not.
const FINEST: i32 = 7;
const COARSEST: i32 = -10;

pub(super) struct Exponential {
    pub(super) scale: i32,
    pub(super) zero_count: u64,
    pub(super) positive: Buckets,
}

/// The bucket of a duration: bucket `i` holds what is longer than `base^i` seconds and no longer
/// than `base^(i+1)`.
fn index(microseconds: u32, scale: i32) -> i64 {
    let doublings = (f64::from(microseconds) / 1e6).log2();
    (doublings * f64::from(scale).exp2()).ceil() as i64 - 1
}

impl Exponential {
    pub(super) fn of(distribution: &Distribution) -> Self {
        let buckets = &distribution.buckets;
        let zeros = buckets.iter().filter(|(longest, _)| *longest == 0);
        let zero_count = zeros.fold(0, |sum: u64, (_, count)| sum.saturating_add(*count));
        let above: Vec<(u32, u64)> = buckets
            .iter()
            .copied()
            .filter(|(longest, _)| *longest != 0)
            .collect();
        let shortest = above.iter().map(|(longest, _)| *longest).min();
        let longest = above.iter().map(|(longest, _)| *longest).max();
        let (Some(shortest), Some(longest)) = (shortest, longest) else {
            return Self {
                scale: 0,
                zero_count,
                positive: Buckets::default(),
            };
        };
        let fits = |scale: &i32| index(longest, *scale) - index(shortest, *scale) < MOST_BUCKETS;
        let scale = (COARSEST..=FINEST).rev().find(fits).unwrap_or(COARSEST);
        let offset = index(shortest, scale);
        let mut counts = Vec::new();
        for (longest, count) in above {
            let place = usize::try_from(index(longest, scale) - offset).unwrap_or(0);
            if counts.len() <= place {
                counts.resize(place + 1, 0_u64);
            }
            if let Some(there) = counts.get_mut(place) {
                *there = there.saturating_add(count);
            }
        }
        Self {
            scale,
            zero_count,
            positive: Buckets {
                offset: i32::try_from(offset).unwrap_or(0),
                bucket_counts: counts,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_duration_is_in_the_bucket_whose_bounds_hold_it(
            mut durations in prop::collection::vec((0_u32..100_000_000, 1_u64..1_000), 0..300)
        ) {
            durations.sort_unstable();
            durations.dedup_by_key(|(longest, _)| *longest);
            let count = durations.iter().map(|(_, count)| count).sum();
            let distribution = Distribution { count, sum_ns: 1, buckets: durations.clone() };
            let made = Exponential::of(&distribution);
            let counted: u64 = made.positive.bucket_counts.iter().sum();
            prop_assert_eq!(counted + made.zero_count, count);
            prop_assert!(made.positive.bucket_counts.len() as i64 <= MOST_BUCKETS);
            let base = f64::from(-made.scale).exp2().exp2();
            for (place, count) in made.positive.bucket_counts.iter().enumerate() {
                let index = f64::from(made.positive.offset) + place as f64;
                let (low, high) = (base.powf(index), base.powf(index + 1.0));
                // To the precision of the bounds themselves.
                let within = |(longest, _): &&(u32, u64)| {
                    let seconds = f64::from(*longest) / 1e6;
                    seconds > low * (1.0 + 1e-9) && seconds <= high * (1.0 - 1e-9)
                };
                let near = |(longest, _): &&(u32, u64)| {
                    let seconds = f64::from(*longest) / 1e6;
                    seconds > low * (1.0 - 1e-9) && seconds <= high * (1.0 + 1e-9)
                };
                let sum = |keep: &dyn Fn(&&(u32, u64)) -> bool| -> u64 {
                    durations.iter().filter(keep).map(|(_, count)| count).sum()
                };
                prop_assert!((sum(&within)..=sum(&near)).contains(count));
            }
        }
    }

    #[test]
    fn few_doublings_are_told_apart_finely_and_many_still_well() {
        let of = |durations: &[u32]| {
            let buckets = durations.iter().map(|longest| (*longest, 1)).collect();
            Exponential::of(&Distribution {
                count: 1,
                sum_ns: 1,
                buckets,
            })
        };
        assert_eq!(of(&[]).positive, Buckets::default());
        assert_eq!(of(&[1_000_000]).positive.offset, -1);
        assert_eq!(of(&[1_000, 1_900]).scale, FINEST);
        assert_eq!(of(&[1, 99_999_999]).scale, 2);
    }
}
