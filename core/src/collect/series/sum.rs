//! The series of several processes as one, by version of the application.

use super::{Labels, Name, Series};
use std::collections::HashMap;
use std::sync::Arc;

/// What several processes counted.
#[derive(Default)]
pub(crate) struct Sum {
    versions: Vec<OfVersion>,
}

struct OfVersion {
    series: Series,
    /// Of samples.
    places: HashMap<(Name, Labels), usize>,
}

impl Sum {
    /// Adds what a process, or some of its time, counted: counts are added up, gauges by their metric's
    /// rule; of the application's own gauges the one that was set last stays.
    pub(crate) fn add(&mut self, more: Series) {
        let known = self.versions.iter_mut();
        let mut known = known.filter(|known| known.series.version == more.version);
        match known.next() {
            Some(known) => known.add(more),
            None => {
                let places = more.samples.iter().enumerate();
                let places = places.map(|(place, sample)| (sample.key(), place));
                self.versions.push(OfVersion {
                    places: places.collect(),
                    series: more,
                });
            }
        }
    }

    /// All, the newest version first. Of versions that nobody runs any more only the newest stay.
    pub(crate) fn newest(
        self,
        most: usize,
        runs: impl Fn(&Option<Arc<str>>) -> bool,
    ) -> Vec<Series> {
        let mut all: Vec<Series> = self.versions.into_iter().map(|of| of.series).collect();
        all.sort_by_key(|series| std::cmp::Reverse(series.at));
        let mut place = 0;
        all.retain(|series| {
            place += 1;
            place <= most || runs(&series.version)
        });
        for series in &mut all {
            series.sort();
        }
        all
    }
}

impl OfVersion {
    fn add(&mut self, more: Series) {
        let here = &mut self.series;
        here.at = here.at.max(more.at);
        here.since = match (here.since, more.since) {
            (0, since) | (since, 0) => since,
            (since, other) => since.min(other),
        };
        for sample in more.samples {
            let key = sample.key();
            let known = self.places.get(&key).copied();
            match known.and_then(|place| here.samples.get_mut(place)) {
                Some(known) => known.add(&sample),
                None => {
                    self.places.insert(key, here.samples.len());
                    here.samples.push(sample);
                }
            }
        }
    }
}
