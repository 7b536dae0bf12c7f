//! What of the collector is configured, and how.

use super::kept::Keep;
use super::sink::destination::Destination;
use super::{Log, SinkKind};
use crate::error::Error;
use crate::profiler::ProfilerBuilder;
use std::path::PathBuf;
use std::time::Duration;

/// Options of the collector's part that counts, keeps and sends.
#[derive(Debug)]
pub(crate) struct MetricsOptions {
    /// Whether finished requests are added up, though nobody is sent anything.
    wanted: bool,
    keep: Option<Keep>,
    pub(crate) stuck_after: Duration,
    pub(crate) worker: Option<String>,
    pub(crate) destinations: Vec<Destination>,
    pub(crate) state_dir: Option<PathBuf>,
    pub(crate) build_id: Option<String>,
}

impl Default for MetricsOptions {
    fn default() -> Self {
        Self {
            wanted: false,
            keep: None,
            stuck_after: Duration::from_secs(10),
            worker: None,
            destinations: Vec::new(),
            state_dir: None,
            build_id: None,
        }
    }
}

impl MetricsOptions {
    /// Whether anything is counted at all.
    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted
            || self.keep.is_some()
            || self.state_dir.is_some()
            || !self.destinations.is_empty()
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
        if let Some(keep) = &self.keep {
            keep.check()?;
        }
        let stuck_after = self.stuck_after.as_millis();
        if !(100..=86_400_000).contains(&stuck_after) {
            return Err(Error::new(format!(
                "stuck_after (in ms): {stuck_after} is not between 100 and 86400000"
            )));
        }
        if let Some(worker) = &self.worker
            && !(1..=64).contains(&worker.len())
        {
            return Err(Error::new(format!(
                "worker: {worker:?} has not between 1 and 64 bytes"
            )));
        }
        let mut checks = self.destinations.iter();
        checks.try_for_each(|destination| destination.check(threadless))
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
    /// `state_dir` or somewhere to send to.
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
