//! The series of several processes as one, by version of the application.

use super::Series;
use std::sync::Arc;

/// What several processes counted.
#[derive(Default)]
pub(crate) struct Sum {
    /// One for each version; what has the same labels is added up at the end, all at once.
    versions: Vec<Series>,
}

impl Sum {
    /// Adds what a process, or some of its time, counted: counts are added up, gauges by their metric's
    /// rule; of the application's own gauges the one that was set last stays.
    pub(crate) fn add(&mut self, mut more: Series) {
        let mut known = self.versions.iter_mut();
        let Some(known) = known.find(|known| known.version == more.version) else {
            self.versions.push(more);
            return;
        };
        known.at = known.at.max(more.at);
        known.since = match (known.since, more.since) {
            (0, since) | (since, 0) => since,
            (since, other) => since.min(other),
        };
        known.samples.append(&mut more.samples);
    }

    /// All, the newest version first. Of versions that nobody runs any more only the newest stay.
    pub(crate) fn newest(
        mut self,
        most: usize,
        runs: impl Fn(&Option<Arc<str>>) -> bool,
    ) -> Vec<Series> {
        self.versions
            .sort_by_key(|series| std::cmp::Reverse(series.at));
        let mut place = 0;
        self.versions.retain(|series| {
            place += 1;
            place <= most || runs(&series.version)
        });
        self.versions.iter_mut().for_each(Series::add_up);
        self.versions
    }
}
