//! What one process counted and keeps, and whom it tells.
//!
//! With a `state_dir` each process says once a second what it counted, and one of them, who leads,
//! sends what all counted together. Without one each sends for itself, and says which it is.

use super::LogEvent;
use super::aggregate::Aggregate;
use super::events::{Event, EventKind};
use super::gauges::{self, Beside};
use super::here::Here;
use super::kept::{Keeper, Kept, has_failed};
use super::options::MetricsOptions;
use super::outlets::Outlets;
use super::own::Moved;
use super::series::Series;
use super::series::distribution::Histograms;
use super::series::sum::Sum;
use super::sink::outbox::Fate;
use super::sink::parcel::Origin;
use super::state::State;
use super::state::kept::KeptFolder;
use super::state::process::Pace;
use super::state::series::{KEPT_VERSIONS, MOST_VERSIONS};
use super::state::{Keeps, ProcessStatus, SinkStatus};
use super::stuck::Stuck;
use crate::clock::{self, Scale};
use crate::lane::slot::Held;
use crate::memory;
use crate::profiler::Shared;
use crate::request::Profile;
use crate::stats::Stats;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Other processes hear of this one so often …
const TELL: Duration = Duration::from_secs(1);
/// … and so often where nothing was counted.
const TELL_IDLE: Duration = Duration::from_secs(10);
/// Without a thread nobody tells later what is not told now, so it is told at once, as long as that
/// takes no more than one part in so many of the process's time.
const TELLING_AT_MOST: u32 = 20;

/// The part of one process.
pub(super) struct Metrics {
    aggregate: Aggregate,
    /// What was counted under earlier versions of the application.
    before: Vec<Series>,
    own: Moved,
    histograms: Histograms,
    since: u64,
    keeper: Option<Keeper>,
    stuck: Stuck,
    looked_at: Option<Instant>,
    /// The version that was deployed last, and when.
    deployed: Option<(Arc<str>, u64)>,
    state: Option<State>,
    outlets: Outlets,
    /// How many requests were counted; how many, and when, when a turn last told everything. That a
    /// scrape tells what was counted does not count: it does not say how this process is.
    counted: u64,
    told: (u64, Option<Instant>),
    threadless: bool,
    /// How long it took to tell the last time.
    telling_took: Duration,
    /// How many requests ended lately; those that ended since, and how many of them failed; how many
    /// the queue had dropped by then.
    pace: Pace,
    ended: (u64, u64),
    dropped: u64,
    /// Whether it was said that this process sends.
    said_to_lead: bool,
}

impl Metrics {
    pub(super) fn new(options: &MetricsOptions, shared: &'static Shared, threadless: bool) -> Self {
        let host = shared.host.clone();
        let state = options
            .state_dir
            .as_deref()
            .map(|path| State::new(path, shared.number, &host));
        let keep = options.keep();
        let folder = options.state_dir.as_deref().map(KeptFolder::of);
        let origin = Origin {
            host,
            worker: shared.worker(),
        };
        Self {
            aggregate: Aggregate::new(options.build_id.as_deref().map(Arc::from)),
            before: Vec::new(),
            own: Moved::default(),
            histograms: Histograms::default(),
            since: clock::wall(),
            keeper: keep.map(|keep| Keeper::new(keep, folder)),
            stuck: Stuck::default(),
            looked_at: None,
            deployed: None,
            state,
            outlets: Outlets::new(&options.destinations, origin, threadless),
            counted: 0,
            told: (0, None),
            threadless,
            telling_took: Duration::ZERO,
            pace: Pace::default(),
            ended: (0, 0),
            dropped: 0,
            said_to_lead: false,
        }
    }

    /// Counts a request that ended, and keeps it if it is to be kept.
    pub(super) fn add(&mut self, held: &Held, scale: &Scale, here: &Here, profile: &Profile) {
        self.aggregate.add(held, scale);
        self.counted += 1;
        self.ended.0 += 1;
        let Some(keeper) = &mut self.keeper else {
            return;
        };
        let slot = held.slot;
        let begun_at = slot.begun_at.load(Ordering::Relaxed);
        let page_ns = scale.between(begun_at, slot.ended_at.load(Ordering::Relaxed));
        let about = slot.facts().map(|facts| {
            let (kind, error) = facts.ending();
            let failed = has_failed(slot.ended(), slot.status(), error);
            self.ended.1 += u64::from(failed);
            let route = facts.route_label();
            // Most requests are neither slow nor failed, and their route is not copied.
            let slow = page_ns >= here.thresholds.of(kind, route);
            (slow || failed).then(|| (kind, route.to_owned(), failed))
        });
        let Some((kind, route, failed)) = about.flatten() else {
            return;
        };
        let kept = keeper.look(kind, &route, failed, page_ns, &here.thresholds, profile);
        if let Some(kept) = kept {
            self.outlets.send_kept(kept);
        }
    }

    /// Counts what pages added up themselves.
    pub(super) fn add_spilled(&mut self, here: &Here, scale: &Scale) {
        if let Some(spilled) = here.spill.take(scale) {
            self.aggregate.add_spilled(&spilled);
            let (requests, failed) = spilled.counts();
            self.counted += 1;
            self.ended.0 += requests;
            self.ended.1 += failed;
        }
    }

    /// What this process counted so far: of each version of the application, and what belongs to
    /// none.
    fn own_series(&mut self, shared: &'static Shared, here: &Here, most: usize) -> Vec<Series> {
        let mut all = Sum::default();
        all.add(self.aggregate.series());
        all.add(self.series_of_process(shared, here));
        self.before
            .iter()
            .cloned()
            .for_each(|series| all.add(series));
        all.newest(most, |_| false)
    }

    /// What belongs to the process, and to no version.
    fn series_of_process(&mut self, shared: &'static Shared, here: &Here) -> Series {
        let mut samples = Vec::new();
        if let Some(own) = here.existing_own() {
            self.own.samples(own, &mut self.histograms, &mut samples);
        }
        let beside = Beside {
            stuck: self.stuck.count(),
            version: self.aggregate.version().map(|version| &**version),
            deployed: self.deployed.as_ref(),
        };
        gauges::add(shared, &beside, &mut samples);
        self.outlets.add_fates(&mut samples);
        let mut series = Series {
            version: None,
            since: self.since,
            at: clock::wall(),
            samples,
        };
        series.sort();
        series
    }

    /// What was counted so far: by this process, or with a `state_dir` by all.
    pub(super) fn series(&mut self, shared: &'static Shared, here: &Here) -> Vec<Series> {
        if self.state.is_none() {
            return self.own_series(shared, here, MOST_VERSIONS);
        }
        // Read back from its file like everybody else's part, so that no sum ever goes back.
        self.tell(shared, here);
        self.state.as_ref().map(State::merged).unwrap_or_default()
    }

    /// What is kept.
    pub(super) fn kept(&self) -> Vec<Kept> {
        self.keeper.as_ref().map(Keeper::all).unwrap_or_default()
    }

    /// A turn: tells the others, sends what is due; gives what the operator should know. `all`: what
    /// is not due yet as well.
    pub(super) fn turn(
        &mut self,
        shared: &'static Shared,
        here: &Here,
        all: bool,
    ) -> Vec<LogEvent> {
        let mut said = Vec::new();
        let due = self.looked_at.is_none_or(|at| at.elapsed() >= TELL);
        if due || all {
            self.looked_at = Some(Instant::now());
            said = self.look(shared);
            if let Some(keeper) = &mut self.keeper {
                keeper.sweep(&here.thresholds);
            }
        }
        let leads = self.state.as_mut().is_none_or(State::leads);
        self.take_events(shared, here, leads);
        for notice in here.take_notices() {
            self.outlets.send_notice(notice);
        }
        self.keep_pace(here);
        if self.state.is_some() && (all || self.is_telling_due(leads)) {
            self.tell(shared, here);
            self.tell_status(shared, leads);
            self.told = (self.counted, Some(Instant::now()));
        }
        self.send(shared, here, leads, all);
        said
    }

    fn keep_pace(&mut self, here: &Here) {
        let dropped = here.dropped.load(Ordering::Relaxed);
        let (requests, failed) = std::mem::take(&mut self.ended);
        let newly_dropped = dropped.saturating_sub(self.dropped);
        self.pace
            .add(clock::wall(), requests, failed, newly_dropped);
        self.dropped = dropped;
    }

    /// Says how this process is.
    fn tell_status(&mut self, shared: &'static Shared, leads: bool) {
        let options = &shared.collector.options;
        let stats = Stats::counted(shared);
        let drops = gauges::drops(&stats);
        let nanoseconds = options.metrics.stuck_after.as_nanos();
        let status = ProcessStatus {
            pid: shared.pid(),
            host: shared.host.clone(),
            since: self.since,
            at: clock::wall(),
            running: true,
            ended: false,
            by_thread: !options.threadless,
            leads,
            version: self.aggregate.version().map(|version| version.to_string()),
            memory: memory::resident(),
            stuck_after_ns: u64::try_from(nanoseconds).unwrap_or(u64::MAX),
            queued: stats.queued,
            dropped: drops
                .map(|(reason, count)| (reason.to_owned(), count))
                .to_vec(),
            recent: self.pace.recent(),
            sinks: stats.sinks.into_iter().map(SinkStatus::from).collect(),
            keeps: self
                .keeper
                .as_ref()
                .map(|keeper| Keeps::from(keeper.keep())),
        };
        if let Some(state) = &mut self.state {
            state.tell_status(status);
        }
        self.said_to_lead = leads;
    }

    /// This process reports no more.
    pub(super) fn end(&mut self) {
        if let Some(state) = &mut self.state {
            state.end();
        }
    }

    /// Looks at what is going on now.
    fn look(&mut self, shared: &'static Shared) -> Vec<LogEvent> {
        let options = &shared.collector.options.metrics;
        let details = options.keep().unwrap_or_default().details;
        let (said, live) = self.stuck.look(shared, options.stuck_after, details);
        if let Some(state) = &mut self.state {
            state.tell_live(live);
        }
        said
    }

    fn is_telling_due(&self, leads: bool) -> bool {
        let (counted, told) = self.told;
        let is_idle = counted == self.counted && leads == self.said_to_lead;
        let pause = match (is_idle, self.threadless) {
            (true, _) => TELL_IDLE,
            (false, true) => TELL.min(self.telling_took * TELLING_AT_MOST),
            (false, false) => TELL,
        };
        told.is_none_or(|told| told.elapsed() >= pause)
    }

    fn tell(&mut self, shared: &'static Shared, here: &Here) {
        let begun = Instant::now();
        let own = self.own_series(shared, here, KEPT_VERSIONS);
        if let Some(state) = &mut self.state {
            state.tell(&own);
        }
        self.telling_took = begun.elapsed();
    }

    /// Takes what this process's application says; and, who leads, what anybody said.
    fn take_events(&mut self, shared: &'static Shared, here: &Here, leads: bool) {
        let mut events = here.take_events();
        let deployed = match &mut self.state {
            Some(state) => {
                state.write_down(&events);
                events = if leads {
                    state.next_events()
                } else {
                    Vec::new()
                };
                state.new_deploy()
            }
            None => {
                let known = self.deployed.as_ref().map(|(version, _)| &**version);
                keep_news(&mut events, known);
                let is_deploy =
                    |event: &&Event| event.kind == EventKind::Deploy && event.version.is_some();
                events.iter().rev().find(is_deploy).cloned()
            }
        };
        if let Some(deploy) = deployed
            && let Some(version) = deploy.version.as_deref()
        {
            self.deployed = Some((Arc::from(version), deploy.at));
            if shared.options.build_id.is_none() {
                self.set_version(Arc::from(version));
            }
        }
        events
            .into_iter()
            .for_each(|event| self.outlets.send_event(event));
    }

    /// From now on another version of the application is running.
    fn set_version(&mut self, version: Arc<str>) {
        if self.aggregate.version() != Some(&version) {
            let mut before = Sum::default();
            before.add(self.aggregate.series());
            std::mem::take(&mut self.before)
                .into_iter()
                .for_each(|series| before.add(series));
            self.before = before.newest(KEPT_VERSIONS, |_| false);
            self.aggregate = Aggregate::new(Some(version));
        }
    }

    /// Sends what is due, if this process is the one that sends.
    fn send(&mut self, shared: &'static Shared, here: &Here, leads: bool, all: bool) {
        if !leads {
            self.outlets.forget();
            return;
        }
        let now = clock::wall();
        if !self.outlets.any_due(now, all) {
            return;
        }
        let series = self.series(shared, here);
        self.outlets.send(&series, now, all, self.state.as_ref());
    }

    /// What became of what the metric sinks were given.
    pub(super) fn fates(&self) -> Vec<(&'static str, Arc<Fate>)> {
        self.outlets.fates()
    }

    /// Waits until what was handed over was sent.
    pub(super) fn flush(&self, deadline: Instant) -> bool {
        self.outlets.flush(deadline)
    }
}

/// Leaves out what is no news: a deploy of the version that was deployed last.
fn keep_news(events: &mut Vec<Event>, deployed: Option<&str>) {
    let mut deployed = deployed.map(str::to_owned);
    events.retain(|event| {
        if event.kind != EventKind::Deploy || event.version.is_none() {
            return true;
        }
        let is_news = event.version != deployed;
        deployed.clone_from(&event.version);
        is_news
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deploy_told_twice_is_one_event() {
        let told = ["1", "2", "2", "3", "2"].map(Event::deploy);
        let mut events: Vec<Event> = told.to_vec();
        events.insert(2, Event::new(EventKind::Own, "cache emptied"));
        events.push(Event::new(EventKind::Deploy, "").what("prices"));
        events.push(Event::new(EventKind::Deploy, "").what("prices"));
        keep_news(&mut events, Some("1"));
        let said: Vec<String> = events.iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "deploy 2",
                "own cache emptied",
                "deploy 3",
                "deploy 2",
                "deploy: prices",
                "deploy: prices"
            ]
        );
    }
}
