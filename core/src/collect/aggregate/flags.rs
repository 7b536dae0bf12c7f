//! Requests and their calls, by what a flag was in them; and dark work.

use super::super::series::distribution::{Histograms, Timer};
use super::super::series::{
    DARK_DURATION, DARK_ERRORS, FLAG_CALL_TIME, FLAG_CALLS, FLAG_REQUEST_DURATION, Sample, Value,
};
use super::by_category::ByCategory;
use super::{CategoryInfo, Done};
use crate::flags::{State, flag_name};
use std::collections::HashMap;
use std::sync::Arc;

/// Flags and variants; those that come then are not counted one by one.
const MOST_VARIANTS: usize = 1_000;
/// Of categories, all variants together.
const MOST_CALLS: usize = 8_000;
/// Flags with dark work.
const MOST_DARK: usize = 500;

/// A flag's name and what it was.
struct Variant {
    flag: Arc<str>,
    variant: Arc<str>,
    requests: Timer,
    calls: ByCategory<Done>,
}

struct Dark {
    flag: Arc<str>,
    duration: Timer,
    errors: u64,
}

/// What was counted by flag.
#[derive(Default)]
pub(super) struct ByFlag {
    variants: Vec<Variant>,
    /// By flag, variant and state.
    places: HashMap<(u16, u16, bool), usize>,
    call_series: usize,
    dark: Vec<Dark>,
    pub(super) overflowed: u64,
}

impl ByFlag {
    /// A request asked for a flag.
    pub(super) fn add(
        &mut self,
        decided: crate::flags::Packed,
        page_ns: u64,
        done: &ByCategory<Done>,
        histograms: &mut Histograms,
    ) {
        let is_dark = decided.state() == State::Dark;
        let key = (decided.flag(), decided.variant().0, is_dark);
        let place = match self.places.get(&key) {
            Some(place) => *place,
            None if self.variants.len() >= MOST_VARIANTS => {
                self.overflowed += 1;
                return;
            }
            None => {
                let variant = if is_dark {
                    "dark"
                } else {
                    decided.variant().text()
                };
                self.variants.push(Variant {
                    flag: Arc::from(flag_name(decided.flag())),
                    variant: Arc::from(variant),
                    requests: Timer::default(),
                    calls: ByCategory::default(),
                });
                self.places.insert(key, self.variants.len() - 1);
                self.variants.len() - 1
            }
        };
        let Some(variant) = self.variants.get_mut(place) else {
            return;
        };
        variant.requests.record(page_ns, histograms);
        for (category, one) in done.iter() {
            if !variant.calls.has(category) {
                if self.call_series >= MOST_CALLS {
                    self.overflowed += 1;
                    continue;
                }
                self.call_series += 1;
            }
            if let Some(sum) = variant.calls.get_or_make(category) {
                sum.calls += one.calls;
                sum.time_ns += one.time_ns;
            }
        }
    }

    /// Dark work of a flag.
    pub(super) fn add_dark(
        &mut self,
        flag: &Arc<str>,
        time_ns: u64,
        failed: bool,
        histograms: &mut Histograms,
    ) {
        let known = self.dark.iter().position(|dark| dark.flag == *flag);
        let place = match known {
            Some(place) => place,
            None if self.dark.len() >= MOST_DARK => {
                self.overflowed += 1;
                return;
            }
            None => {
                self.dark.push(Dark {
                    flag: Arc::clone(flag),
                    duration: Timer::default(),
                    errors: 0,
                });
                self.dark.len() - 1
            }
        };
        if let Some(dark) = self.dark.get_mut(place) {
            dark.duration.record(time_ns, histograms);
            dark.errors += u64::from(failed);
        }
    }

    /// Adds what was counted so far to a list.
    pub(super) fn samples(
        &mut self,
        categories: &[CategoryInfo],
        histograms: &mut Histograms,
        samples: &mut Vec<Sample>,
    ) {
        for counted in &mut self.variants {
            let variant = || [Arc::clone(&counted.flag), Arc::clone(&counted.variant)];
            let total = counted.requests.total(histograms).clone();
            samples.push(Sample::known(
                &FLAG_REQUEST_DURATION,
                variant(),
                Value::Distribution(total),
            ));
            for (category, calls) in counted.calls.iter() {
                let Some(category) = categories.get(usize::from(category)) else {
                    continue;
                };
                let labels = || variant().into_iter().chain([Arc::clone(&category.name)]);
                for (metric, value) in
                    [(&FLAG_CALLS, calls.calls), (&FLAG_CALL_TIME, calls.time_ns)]
                {
                    samples.push(Sample::known(metric, labels(), Value::Counter(value)));
                }
            }
        }
        for dark in &mut self.dark {
            let flag = || [Arc::clone(&dark.flag)];
            let total = dark.duration.total(histograms).clone();
            samples.push(Sample::known(
                &DARK_DURATION,
                flag(),
                Value::Distribution(total),
            ));
            if dark.errors != 0 {
                samples.push(Sample::known(
                    &DARK_ERRORS,
                    flag(),
                    Value::Counter(dark.errors),
                ));
            }
        }
    }
}
