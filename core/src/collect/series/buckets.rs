//! Durations in buckets, each as wide as a hundredth of what is in it: exact up to 255 µs, then 128
//! buckets for each doubling. The same as those of a histogram of two digits, in numbers, so that
//! counts can be moved between the two.

/// No longer duration is told apart, in microseconds.
pub(crate) const LONGEST_US: u64 = 100_000_000;
/// One more than the number of the last bucket.
pub(crate) const BUCKETS: usize = 2_688;
const EXACT: u64 = 256;
const HALF: u32 = 7;

/// The bucket of a duration, in microseconds.
pub(crate) fn bucket_of(microseconds: u64) -> usize {
    let microseconds = microseconds.min(LONGEST_US);
    if microseconds < EXACT {
        return microseconds as usize;
    }
    let doublings = microseconds.ilog2() - HALF;
    ((u64::from(doublings) << HALF) + (microseconds >> doublings)) as usize
}

/// The longest duration in a bucket, in microseconds.
pub(crate) fn longest_of(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < EXACT {
        return bucket;
    }
    let doublings = (bucket >> HALF) - 1;
    let within = bucket - (doublings << HALF);
    ((within + 1) << doublings) - 1
}

/// The shortest duration in the bucket of which this is the longest, in microseconds.
pub(crate) fn shortest_beside(longest: u64) -> u64 {
    if longest < EXACT {
        return longest;
    }
    let doublings = longest.ilog2() - HALF;
    (longest >> doublings) << doublings
}

#[cfg(test)]
mod tests {
    use super::*;
    use hdrhistogram::Histogram;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_bucket_holds_what_is_as_long_to_a_hundredth(microseconds in 1_u64..=LONGEST_US) {
            let bucket = bucket_of(microseconds);
            prop_assert!(bucket < BUCKETS);
            let longest = longest_of(bucket);
            let shortest = shortest_beside(longest);
            prop_assert!((shortest..=longest).contains(&microseconds));
            prop_assert!(longest as f64 <= shortest as f64 * 1.008 + 0.01);
            prop_assert_eq!(bucket_of(shortest), bucket);
            let histogram = Histogram::<u32>::new_with_bounds(1, LONGEST_US, 2).unwrap();
            prop_assert_eq!(histogram.highest_equivalent(microseconds), longest);
            prop_assert_eq!(histogram.lowest_equivalent(microseconds), shortest);
        }
    }
}
