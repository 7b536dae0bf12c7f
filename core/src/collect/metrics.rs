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
use super::series::distribution::Histograms;
use super::series::{Series, add_to};
use super::sink::outbox::Fate;
use super::sink::parcel::Origin;
use super::state::State;
use super::state::kept::KeptFolder;
use super::state::series::MOST_VERSIONS;
use super::stuck::Stuck;
use crate::clock::{self, Scale};
use crate::lane::slot::Held;
use crate::profiler::Shared;
use crate::request::Profile;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Other processes hear of this one so often …
const TELL: Duration = Duration::from_secs(1);
/// … and so often where nothing was counted.
const TELL_IDLE: Duration = Duration::from_secs(10);

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
    /// How many requests were counted; how many, and when, when it was last told.
    counted: u64,
    told: (u64, Option<Instant>),
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
        let worker = || {
            let worker = options.worker.clone();
            worker.unwrap_or_else(|| shared.pid().to_string())
        };
        let origin = Origin {
            host,
            worker: state.is_none().then(worker),
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
        }
    }

    /// Counts a request that ended, and keeps it if it is to be kept.
    pub(super) fn add(&mut self, held: &Held, scale: &Scale, here: &Here, profile: &Profile) {
        self.aggregate.add(held, scale);
        self.counted += 1;
        let Some(keeper) = &mut self.keeper else {
            return;
        };
        let slot = held.slot;
        let begun_at = slot.begun_at.load(Ordering::Relaxed);
        let page_ns = scale.between(begun_at, slot.ended_at.load(Ordering::Relaxed));
        let about = slot.facts().map(|facts| {
            let (kind, error) = facts.ending();
            let failed = has_failed(slot.ended(), slot.status(), error);
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
            self.counted += 1;
        }
    }

    /// What this process counted so far: of each version of the application, and what belongs to
    /// none.
    fn own_series(&mut self, shared: &'static Shared, here: &Here) -> Vec<Series> {
        let mut series = vec![self.aggregate.series()];
        let of_process = self.series_of_process(shared, here);
        add_to(&mut series, &of_process, MOST_VERSIONS);
        for before in &self.before {
            add_to(&mut series, before, MOST_VERSIONS);
        }
        series
    }

    /// What belongs to the process, and to no version.
    fn series_of_process(&mut self, shared: &'static Shared, here: &Here) -> Series {
        let mut samples = Vec::new();
        let own = here.existing_own();
        if let Some(own) = own {
            self.own.samples(own, &mut self.histograms, &mut samples);
        }
        let beside = Beside {
            stuck: self.stuck.count(),
            lost_metrics: own.map_or(0, super::own::Own::lost),
            lost_events: here.events_lost.load(Ordering::Relaxed),
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
            return self.own_series(shared, here);
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
        let (counted, told) = self.told;
        let pause = if counted == self.counted {
            TELL_IDLE
        } else {
            TELL
        };
        if self.state.is_some() && (all || told.is_none_or(|told| told.elapsed() >= pause)) {
            self.tell(shared, here);
        }
        self.send(shared, here, leads, all);
        said
    }

    /// Looks at what is going on now.
    fn look(&mut self, shared: &'static Shared) -> Vec<LogEvent> {
        let options = &shared.collector.options.metrics;
        let details = options.keep().unwrap_or_default().details;
        let (said, live) = self.stuck.look(shared, options.stuck_after, details);
        if let Some(state) = &mut self.state {
            state.tell_live(&live);
        }
        said
    }

    fn tell(&mut self, shared: &'static Shared, here: &Here) {
        let own = self.own_series(shared, here);
        if let Some(state) = &mut self.state {
            state.tell(&own);
        }
        self.told = (self.counted, Some(Instant::now()));
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
                let known = self.deployed.as_ref().map(|(version, _)| version.clone());
                events.retain(|event| is_news(event, known.as_deref()));
                let is_deploy = |event: &&Event| event.kind == EventKind::Deploy;
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
            let ended = self.aggregate.series();
            add_to(&mut self.before, &ended, MOST_VERSIONS - 2);
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

/// Whether an event is new: a deploy of the version that was deployed last is not.
fn is_news(event: &Event, deployed: Option<&str>) -> bool {
    event.kind != EventKind::Deploy || event.version.as_deref() != deployed
}
