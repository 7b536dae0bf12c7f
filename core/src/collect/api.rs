//! What a profiler counted and keeps, and what the application counts itself.

use super::Wanted;
use super::events::Event;
use super::kept::Kept;
use super::own::MetricId;
use super::series::Series;
use crate::profile::State;
use crate::profiler::{Profiler, Shared};
use crate::request::Request;
use std::path::Path;
use std::time::{Duration, Instant};

/// Who asks waits no longer than this for the thread, which holds its lock for milliseconds.
const WAIT: Duration = Duration::from_secs(1);

impl Profiler {
    /// Adds to a counter of the application's own, from any thread: `registrations`, or with labels
    /// `registrations;plan=pro`. It needs no registration; its name, labels included, has at most
    /// 128 bytes, and a process has at most [`MAX_METRICS`](super::own::MAX_METRICS) of them.
    ///
    /// ```
    /// # fn main() -> Result<(), ioprofiler::Error> {
    /// let profiler = ioprofiler::Profiler::builder().metrics(true).threadless(true).build()?;
    /// profiler.count("registrations", 1);
    /// profiler.count("registrations;plan=pro", 1);
    /// profiler.gauge("queue.length", 17.0);
    /// profiler.timing("mail.sent", std::time::Duration::from_millis(120));
    /// let own = profiler.series();
    /// assert!(own[0].samples.iter().any(|sample| sample.name.as_str() == "queue.length"));
    /// assert!(profiler.series_json().contains(r#"{"name":"registrations","labels":{"plan":"pro"},"count":1}"#));
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn count(&self, name: &str, by: u64) {
        if let Some(here) = self.shared.collector.here(self.shared) {
            here.own().count(name, by, || self.shared.own_metric_made());
        }
    }

    /// Sets a gauge of the application's own. Of several processes, the value that was set last
    /// counts. See [`Profiler::count`].
    #[inline]
    pub fn gauge(&self, name: &str, value: f64) {
        if let Some(here) = self.shared.collector.here(self.shared) {
            here.own()
                .gauge(name, value, || self.shared.own_metric_made());
        }
    }

    /// Counts a duration of something of the application's own. See [`Profiler::count`].
    #[inline]
    pub fn timing(&self, name: &str, duration: Duration) {
        if let Some(here) = self.shared.collector.here(self.shared) {
            let duration = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
            here.own()
                .timing(name, duration, || self.shared.own_metric_made());
        }
    }

    /// As [`Profiler::count`], of a name that was looked up before.
    #[inline]
    pub fn count_by_id(&self, id: MetricId, by: u64) {
        if let Some(here) = self.shared.collector.here(self.shared) {
            here.own()
                .count_by_id(id, by, || self.shared.own_metric_made());
        }
    }

    /// As [`Profiler::gauge`], of a name that was looked up before.
    #[inline]
    pub fn gauge_by_id(&self, id: MetricId, value: f64) {
        if let Some(here) = self.shared.collector.here(self.shared) {
            here.own()
                .gauge_by_id(id, value, || self.shared.own_metric_made());
        }
    }

    /// As [`Profiler::timing`], of a name that was looked up before.
    #[inline]
    pub fn timing_by_id(&self, id: MetricId, duration: Duration) {
        if let Some(here) = self.shared.collector.here(self.shared) {
            let duration = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
            here.own()
                .timing_by_id(id, duration, || self.shared.own_metric_made());
        }
    }

    /// Says that something was done to the site: it goes to every sink that takes events.
    ///
    /// ```
    /// # fn main() -> Result<(), ioprofiler::Error> {
    /// use ioprofiler::{Event, EventKind};
    /// # let profiler = ioprofiler::Profiler::builder().build()?;
    /// profiler.event(Event::deploy("8c1f").who("erika").what("new search"));
    /// profiler.event(Event::new(EventKind::Own, "cache emptied").why("it was full of nonsense"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn event(&self, event: Event) {
        if let Some(here) = self.shared.collector.here(self.shared) {
            here.put_event(event);
            self.shared.own_metric_made();
        }
    }

    /// A version of the application went live: an event, and what is counted from now on is counted
    /// under it, where no [`build_id`](crate::ProfilerBuilder::build_id) says otherwise. Told twice,
    /// it is one event.
    pub fn deploy(&self, version: &str, who: &str, what: &str) {
        self.event(Event::deploy(version).who(who).what(what));
    }

    /// Everything counted so far: by this process, or with a `state_dir` by all that share it. One
    /// for each version of the application, the newest first; what belongs to none is in one without
    /// a version. Empty where nothing is counted, see
    /// [`metrics`](crate::ProfilerBuilder::metrics).
    #[must_use]
    pub fn series(&self) -> Vec<Series> {
        self.shared.series()
    }

    /// The folder that the processes of the application share: of the option or of the configuration.
    #[must_use]
    pub fn state_dir(&self) -> Option<&Path> {
        self.shared.collector.options.metrics.state_dir.as_deref()
    }

    /// [`Profiler::series`] as a JSON array, for programs and for hosts in other languages: what
    /// `ioprofiler series --json` prints.
    #[must_use]
    pub fn series_json(&self) -> String {
        serde_json::to_string(&self.series()).unwrap_or_default()
    }

    /// The requests of this process that are kept: by route the slowest first, then those that
    /// failed, the newest first. Those of all processes of a `state_dir` are read by
    /// [`kept_requests`](super::state::kept_requests).
    #[must_use]
    pub fn kept(&self) -> Vec<Kept> {
        let shared = self.shared;
        let kept = shared.with_metrics(|metrics, _| metrics.kept());
        kept.unwrap_or_default()
    }
}

impl Request {
    /// What would be read of this request, were it to end now: for hosts that keep calls on their
    /// own side until then (see [`handed`](crate::handed)).
    #[must_use]
    pub fn wanted(&self, how: State, status: Option<u16>) -> Wanted {
        self.with_profiler(|held, shared| shared.collector.wanted(shared, held, how, status))
            .unwrap_or(Wanted::Nothing)
    }
}

impl Shared {
    /// Tells what was switched to those who are sent events, if there are any.
    pub(crate) fn tell_switched(
        &'static self,
        switched: impl FnOnce() -> Vec<Event>,
        who: &str,
        why: &str,
    ) {
        if !self.collector.counts_requests() {
            return;
        }
        let switched = switched();
        if switched.is_empty() {
            return;
        }
        let Some(here) = self.collector.here(self) else {
            return;
        };
        for mut event in switched {
            if !who.is_empty() {
                event = event.who(who);
            }
            if !why.is_empty() {
                event = event.why(why);
            }
            here.put_event(event);
        }
        self.own_metric_made();
    }

    /// The first value of a metric, or an event: somebody must look.
    fn own_metric_made(&'static self) {
        self.collector.wake_later(self);
    }

    pub(crate) fn series(&'static self) -> Vec<Series> {
        let series = self.with_metrics(|metrics, here| metrics.series(self, here));
        series.unwrap_or_default()
    }

    /// What tells this process from others of its application, where each reports for itself.
    pub(crate) fn worker(&self) -> Option<String> {
        let options = &self.collector.options.metrics;
        let worker = || {
            let worker = options.worker.clone();
            worker.unwrap_or_else(|| self.pid().to_string())
        };
        options.state_dir.is_none().then(worker)
    }

    /// Runs something with what is counted and kept, all that has ended until now included.
    fn with_metrics<R>(
        &'static self,
        f: impl FnOnce(&mut super::metrics::Metrics, &'static super::here::Here) -> R,
    ) -> Option<R> {
        if !self.collector.counts_requests() {
            return None;
        }
        let here = self.collector.here(self)?;
        let mut work = here.lock_work(Instant::now() + WAIT)?;
        work.drain(&self.collector, self, here, None);
        Some(f(work.metrics.as_mut()?, here))
    }
}
