//! What of the collector is configured, and how.

use super::kept::Keep;
use super::sink::destination::Destination;
use super::{Log, SinkKind};
use crate::error::Error;
use crate::profiler::ProfilerBuilder;
use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

/// Options of the collector's part that counts, keeps and sends.
#[derive(Debug)]
pub(crate) struct MetricsOptions {
    /// Whether finished requests are added up, though nobody is sent anything.
    pub(crate) wanted: bool,
    pub(crate) keep: Option<Keep>,
    pub(crate) stuck_after: Duration,
    pub(crate) worker: Option<String>,
    pub(crate) destinations: Vec<Destination>,
    /// Of destinations, by their numbers: where in a file they stand, `FILE:LINE:COLUMN`.
    pub(crate) places: HashMap<usize, String>,
    #[cfg(feature = "prometheus")]
    pub(crate) prometheus: Option<super::sink::prometheus::Prometheus>,
    pub(crate) state_dir: Option<PathBuf>,
    pub(crate) build_id: Option<String>,
    /// What is wrong with the file that some of this was read from.
    pub(crate) config_error: Option<Error>,
}

impl Default for MetricsOptions {
    fn default() -> Self {
        Self {
            wanted: false,
            keep: None,
            stuck_after: Duration::from_secs(10),
            worker: None,
            destinations: Vec::new(),
            places: HashMap::new(),
            #[cfg(feature = "prometheus")]
            prometheus: None,
            state_dir: None,
            build_id: None,
            config_error: None,
        }
    }
}

impl MetricsOptions {
    /// Whether anything is counted at all.
    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted
            || self.is_scraped()
            || self.keep.is_some()
            || self.state_dir.is_some()
            || !self.destinations.is_empty()
    }

    fn is_scraped(&self) -> bool {
        #[cfg(feature = "prometheus")]
        return self.prometheus.is_some();
        #[cfg(not(feature = "prometheus"))]
        return false;
    }

    /// Which requests are kept: as it was said, or as usual where somebody shows or sends them.
    pub(crate) fn keep(&self) -> Option<Keep> {
        self.keep.or_else(|| {
            let mut configs = self.destinations.iter().flat_map(Destination::configs);
            let is_of_use = self.state_dir.is_some() || configs.any(|to| to.wants().kept);
            is_of_use.then(Keep::default)
        })
    }

    /// Whether a sink is told what is said to the operator.
    pub(crate) fn wants_notices(&self) -> bool {
        let mut configs = self.destinations.iter().flat_map(Destination::configs);
        configs.any(|config| config.wants_notices())
    }

    pub(crate) fn check(&self, threadless: bool) -> Result<(), Error> {
        if let Some(wrong) = &self.config_error {
            return Err(wrong.clone());
        }
        if let Some(keep) = &self.keep {
            keep.check()?;
        }
        #[cfg(feature = "prometheus")]
        if let Some(prometheus) = &self.prometheus {
            prometheus.check()?;
        }
        self.check_general()?;
        let mut destinations = self.destinations.iter().enumerate();
        destinations.try_for_each(|(number, destination)| {
            let checked = destination.check(threadless);
            checked.map_err(|wrong| match self.places.get(&number) {
                Some(place) => Error::new(format!("{place}: {wrong}")),
                None => wrong,
            })
        })
    }

    /// What belongs to no part of its own.
    pub(crate) fn check_general(&self) -> Result<(), Error> {
        let stuck_after = self.stuck_after.as_millis();
        if !(100..=86_400_000).contains(&stuck_after) {
            let why = format!("{:?} is not between 100ms and 1d", self.stuck_after);
            return Err(Error::of("stuck_after", why));
        }
        match &self.worker {
            Some(worker) if !(1..=64).contains(&worker.len()) => {
                let why = format!("{worker:?} has not between 1 and 64 bytes");
                Err(Error::of("worker", why))
            }
            _ => Ok(()),
        }
    }
}

/// Options of a collector.
pub(crate) struct CollectorOptions {
    pub(crate) sinks: Vec<SinkKind>,
    pub(crate) log: Option<Log>,
    pub(crate) threadless: bool,
    /// The thread also looks at the flags' files.
    pub(crate) looks: bool,
    pub(crate) metrics: MetricsOptions,
}

impl ProfilerBuilder {
    /// Adds finished requests up: by route, by category, by flag. What is counted is read with
    /// [`Profiler::series`](crate::Profiler::series) or
    /// [`Profiler::prometheus`](crate::Profiler::prometheus). Default: only where there is a
    /// `state_dir`, somewhere to send to, or an option of what needs it.
    #[must_use]
    pub fn metrics(mut self, wanted: bool) -> Self {
        self.metrics.wanted = wanted;
        self
    }

    /// One more place that series, events and kept requests are sent to.
    #[must_use]
    pub fn send_to(mut self, destination: impl Into<Destination>) -> Self {
        self.metrics.destinations.push(destination.into());
        self
    }

    /// Keeps the slowest requests of each route, and those that failed, as whole profiles:
    /// [`Profiler::kept`](crate::Profiler::kept). Default: only where there is a `state_dir`, or a
    /// sink that sends them.
    #[must_use]
    pub fn keep(mut self, keep: Keep) -> Self {
        self.metrics.keep = Some(keep);
        self
    }

    /// A request that is being served for longer than this is reported, with the call that it is
    /// in. Default 10 seconds.
    #[must_use]
    pub fn stuck_after(mut self, time: Duration) -> Self {
        self.metrics.stuck_after = time;
        self
    }

    /// What this process is called in its series, where it has no `state_dir` to share with the
    /// others of its application. Default: its number.
    #[must_use]
    pub fn worker(mut self, name: impl Into<String>) -> Self {
        self.metrics.worker = Some(name.into());
        self
    }
}
