//! Many numbers in little memory: count, mean and spread exactly, percentiles within 0.4 %.

/// Bits of a number's mantissa that tell buckets apart: 128 to a doubling.
const MANTISSA_BITS: u32 = 7;
const SHIFT: u32 = f64::MANTISSA_DIGITS - 1 - MANTISSA_BITS;
/// Smaller numbers, and all below zero, are in the first bucket; larger ones in the last, so that
/// no log can make us keep many.
const SMALLEST: f64 = 1e-6;
const LARGEST: f64 = 1e18;
/// What the bits of the smallest number begin with.
const BASE: u64 = SMALLEST.to_bits() >> SHIFT;

/// What was seen of one number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Histogram {
    count: u64,
    mean: f64,
    /// Sum of squared distances from the mean.
    spread: f64,
    least: f64,
    most: f64,
    /// Some number was not whole.
    broken: bool,
    /// The number of the first bucket that is kept.
    first: usize,
    buckets: Vec<u32>,
}

impl Histogram {
    pub(crate) fn add(&mut self, number: f64) {
        // Welford's: stable however large the numbers are.
        self.count += 1;
        let distance = number - self.mean;
        self.mean += distance / self.count as f64;
        self.spread += distance * (number - self.mean);
        if self.count == 1 {
            (self.least, self.most) = (number, number);
        } else {
            (self.least, self.most) = (self.least.min(number), self.most.max(number));
        }
        self.broken |= number.fract() != 0.0;
        let bucket = bucket(number);
        if let Some(count) = bucket
            .checked_sub(self.first)
            .and_then(|at| self.buckets.get_mut(at))
        {
            *count = count.saturating_add(1);
        } else {
            self.add_outside(bucket);
        }
    }

    #[cold]
    fn add_outside(&mut self, bucket: usize) {
        if self.buckets.is_empty() {
            self.first = bucket;
        }
        if let Some(missing) = self.first.checked_sub(bucket) {
            self.buckets.splice(0..0, std::iter::repeat_n(0, missing));
            self.first = bucket;
        }
        let at = bucket - self.first;
        if self.buckets.len() <= at {
            self.buckets.resize(at + 1, 0);
        }
        if let Some(count) = self.buckets.get_mut(at) {
            *count = count.saturating_add(1);
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Nothing where nothing was seen.
    pub(crate) fn mean(&self) -> Option<f64> {
        (self.count > 0).then_some(self.mean)
    }

    pub(crate) fn most(&self) -> Option<f64> {
        (self.count > 0).then_some(self.most)
    }

    /// The squared standard error of the mean; nothing for fewer than two.
    fn error(&self) -> Option<f64> {
        let freedom = self.count.checked_sub(1).filter(|freedom| *freedom > 0)? as f64;
        Some(self.spread / freedom / self.count as f64)
    }

    /// The number that so much of all are not above, from 0 to 1.
    pub(crate) fn percentile(&self, share: f64) -> Option<f64> {
        let wanted = (share * self.count as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        let found = self.buckets.iter().position(|count| {
            seen += u64::from(*count);
            seen >= wanted
        });
        let (low, middle) = low_and_middle(self.first + found?);
        let near = match self.broken {
            true => middle,
            // The only whole number of a narrow bucket, or one of a wide one.
            false => low.ceil().max(middle.floor()),
        };
        Some(near.clamp(self.least, self.most))
    }
}

/// The difference of two means, and what it lies between with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Difference {
    pub(crate) mean: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Difference {
    /// By Welch's test, which does not ask both to spread alike. Nothing for fewer than two
    /// numbers of either.
    pub(crate) fn of(base: &Histogram, other: &Histogram) -> Option<Self> {
        let (base_error, error) = (base.error()?, other.error()?);
        let both = base_error + error;
        let mean = other.mean()? - base.mean()?;
        let term = |error: f64, count: u64| error * error / (count as f64 - 1.0);
        let freedom = both * both / (term(base_error, base.count) + term(error, other.count));
        let margin = if both == 0.0 {
            0.0
        } else {
            student(freedom) * both.sqrt()
        };
        Some(Self {
            mean,
            low: mean - margin,
            high: mean + margin,
        })
    }
}

/// Between minus and plus so much lie 95 % of Student's distribution: its series by degrees of
/// freedom, within 1 % from 2 on.
fn student(freedom: f64) -> f64 {
    const NORMAL: f64 = 1.959_963_985;
    let z = NORMAL;
    if freedom < 1.5 {
        return 12.706;
    }
    if freedom < 2.5 {
        return 4.303;
    }
    let power = |exponent: i32| z.powi(exponent);
    let first = (power(3) + z) / 4.0;
    let second = (5.0 * power(5) + 16.0 * power(3) + 3.0 * z) / 96.0;
    let third = (3.0 * power(7) + 19.0 * power(5) + 17.0 * power(3) - 15.0 * z) / 384.0;
    z + first / freedom + second / freedom.powi(2) + third / freedom.powi(3)
}

fn bucket(number: f64) -> usize {
    if number < SMALLEST {
        return 0;
    }
    (1 + (number.min(LARGEST).to_bits() >> SHIFT) - BASE) as usize
}

fn low_and_middle(bucket: usize) -> (f64, f64) {
    if bucket == 0 {
        return (0.0, 0.0);
    }
    let bits = BASE + bucket as u64 - 1;
    let (low, high) = (
        f64::from_bits(bits << SHIFT),
        f64::from_bits((bits + 1) << SHIFT),
    );
    (low, low + (high - low) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(numbers: impl IntoIterator<Item = f64>) -> Histogram {
        let mut histogram = Histogram::default();
        numbers.into_iter().for_each(|number| histogram.add(number));
        histogram
    }

    #[test]
    fn percentiles_are_near_the_true_ones() {
        let numbers: Vec<f64> = (0..10_000_u64)
            .map(|n| (n * 7_919 % 10_000) as f64 * 13.7 + 0.5)
            .collect();
        let histogram = of(numbers.iter().copied());
        let mut sorted = numbers;
        sorted.sort_by(f64::total_cmp);
        for share in [0.01, 0.5, 0.95, 0.99, 1.0] {
            let exact = sorted[(share * 10_000.0) as usize - 1];
            let near = histogram.percentile(share).unwrap();
            assert!(
                (near / exact - 1.0).abs() < 0.004,
                "{share}: {near} {exact}"
            );
        }
        assert_eq!(histogram.most(), sorted.last().copied());
        let mean: f64 = sorted.iter().sum::<f64>() / 10_000.0;
        assert!((histogram.mean().unwrap() - mean).abs() < 1e-6);
    }

    #[test]
    fn whole_numbers_stay_whole() {
        let histogram = of((1..=128).map(f64::from));
        assert_eq!(histogram.percentile(0.5), Some(64.0));
        assert_eq!(of([60.0, 60.0, 70.0]).percentile(0.5), Some(60.0));
        let large = of([1_000_001.0, 1_000_003.0, 1_000_005.0]).percentile(0.5);
        assert_eq!(large.map(f64::fract), Some(0.0));
    }

    #[test]
    fn few_numbers_and_strange_ones() {
        let none = Histogram::default();
        assert_eq!(
            (none.mean(), none.most(), none.percentile(0.5)),
            (None, None, None)
        );
        let one = of([40.0]);
        assert_eq!(one.percentile(0.99), Some(40.0));
        let mixed = of([-5.0, 0.0, 1e300, 1e-300, 3.0]);
        assert_eq!(mixed.most(), Some(1e300));
        assert!(mixed.percentile(1.0) > Some(0.99e18));
        assert_eq!(mixed.percentile(0.2), Some(0.0));
        assert!(mixed.buckets.len() < 11_000);
    }

    /// As R says: t.test(c(12, 15, 11, 14, 13), c(10, 9, 12, 8, 11, 10)).
    #[test]
    fn the_interval_is_welchs() {
        let base = of([10.0, 9.0, 12.0, 8.0, 11.0, 10.0]);
        let other = of([12.0, 15.0, 11.0, 14.0, 13.0]);
        let difference = Difference::of(&base, &other).unwrap();
        assert!((difference.mean - 3.0).abs() < 1e-9);
        assert!((difference.low - 0.90).abs() < 0.01, "{difference:?}");
        assert!((difference.high - 5.10).abs() < 0.01, "{difference:?}");
        assert_eq!(Difference::of(&base, &of([1.0])), None);
        let same = Difference::of(&of([1.0, 1.0]), &of([1.0, 1.0])).unwrap();
        assert_eq!((same.low, same.high), (0.0, 0.0));
    }
}
