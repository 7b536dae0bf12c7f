//! Is it well? What all processes say, as of one moment, and what of it is not as it should be.

use ioprofiler::collect::state::{
    LiveProcess, ProcessStatus, SinkStatus, live_processes, processes,
};
use ioprofiler::collect::{Event, EventKind, events_since, last_deploy};
use ioprofiler::flags::source::{Status, statuses};

use super::folder::Folder;
use super::rows::{many, total};
use super::table::shown;
use super::when::{Now, age};
use crate::options::Wrong;
use crate::time::roughly;

pub(super) const NS_PER_S: u64 = 1_000_000_000;
/// Requests are counted by so many seconds.
const STEP_NS: u64 = 10 * NS_PER_S;
const MINUTE_NS: u64 = 60 * NS_PER_S;
/// What happened within this time is news.
pub(super) const LATELY_NS: u64 = 900 * NS_PER_S;
/// Who is in something says so each second …
pub(super) const BUSY_SILENT_NS: u64 = 5 * NS_PER_S;
/// … and who has a thread says how it is every ten seconds.
const SILENT_NS: u64 = 20 * NS_PER_S;
/// Flags are looked at once a second.
const FLAGS_OLD_S: u64 = 60;
/// Programs follow a change of the flags within two seconds, and say so within five.
const FLAGS_SETTLE_S: u64 = 15;
const DAY_NS: u64 = 86_400 * NS_PER_S;
/// A larger share of failed requests is not well, of at least so many.
const MOST_FAILED: f64 = 0.05;
const LEAST_FAILED: u64 = 5;

/// All that is known of all processes.
pub(super) struct Condition {
    pub(super) now: Now,
    pub(super) processes: Vec<ProcessStatus>,
    pub(super) live: Vec<LiveProcess>,
    pub(super) flags: Vec<Status>,
    pub(super) deploy: Option<Event>,
    /// The last change of what is shed, of the last days.
    pub(super) shed: Option<Event>,
}

impl Condition {
    pub(super) fn of(folder: &mut Folder) -> Result<Self, Wrong> {
        let processes = folder.read(processes)?;
        let live = folder.read(live_processes)?;
        let events = folder.read(|path| events_since(path, 0))?;
        Ok(Self {
            processes,
            live,
            flags: statuses(&folder.path).unwrap_or_default(),
            deploy: last_deploy(&folder.path),
            shed: events
                .into_iter()
                .rev()
                .find(|event| event.kind == EventKind::Shed),
            now: Now::new(),
        })
    }

    pub(super) fn running(&self) -> impl Iterator<Item = &ProcessStatus> {
        self.processes.iter().filter(|process| process.running)
    }

    /// Processes that were killed in a request lately.
    pub(super) fn killed(&self) -> Vec<&LiveProcess> {
        let gone = self.live.iter().filter(|process| {
            let is_killed = !process.running && !process.ended && process.live > 0;
            is_killed && self.now.since(process.at) <= LATELY_NS
        });
        gone.collect()
    }

    /// Requests in flight, and the age of the oldest.
    pub(super) fn in_flight(&self) -> (u64, Option<u64>) {
        let live = self.live.iter().filter(|process| process.running);
        let count = total(live.map(|process| process.live));
        (count, self.ages().map(|(_, age)| age).max())
    }

    /// The age of each request in flight, as of now, and whose it is.
    fn ages(&self) -> impl Iterator<Item = (u32, u64)> {
        let running = self.live.iter().filter(|process| process.running);
        running.flat_map(|process| {
            let more = self.now.since(process.at);
            let requests = process.requests.iter();
            requests.map(move |request| (process.pid, request.age_ns.saturating_add(more)))
        })
    }

    fn stuck(&self) -> usize {
        let after = |pid: u32| {
            let process = self.running().find(|process| process.pid == pid);
            process.map_or(u64::MAX, |process| process.stuck_after_ns)
        };
        self.ages().filter(|(pid, age)| *age >= after(*pid)).count()
    }

    /// Requests of the last quarter of an hour by minute, the oldest first, the last one being the
    /// sixty seconds before now; and how many of these failed. Where a minute begins within ten
    /// seconds that were counted together, it has its share of them.
    pub(super) fn by_minute(&self) -> [(u64, u64); 15] {
        let mut minutes = [(0.0, 0.0); 15];
        for recent in self.processes.iter().flat_map(|process| &process.recent) {
            let begins = recent.at.saturating_mul(NS_PER_S);
            let ends = begins.saturating_add(STEP_NS).min(self.now.at);
            for (back, (requests, failed)) in (0..).zip(minutes.iter_mut().rev()) {
                let to = self.now.at.saturating_sub(back * MINUTE_NS);
                let from = to.saturating_sub(MINUTE_NS);
                let within = ends.min(to).saturating_sub(begins.max(from));
                let share = within as f64 / (ends.saturating_sub(begins) as f64).max(1.0);
                *requests += recent.requests as f64 * share;
                *failed += recent.failed as f64 * share;
            }
        }
        minutes.map(|(requests, failed)| (requests.round() as u64, failed.round() as u64))
    }

    /// Finished requests that the queue dropped lately.
    fn dropped_lately(&self) -> u64 {
        let recent = self.processes.iter().flat_map(|process| &process.recent);
        let is_news = |at: u64| self.now.since(at.saturating_mul(NS_PER_S)) <= LATELY_NS;
        let recent = recent.filter(|recent| is_news(recent.at));
        total(recent.map(|recent| recent.dropped))
    }

    /// Who sends.
    pub(super) fn leader(&self) -> Option<&ProcessStatus> {
        self.running().find(|process| process.leads)
    }

    /// What is not as it should be, the worst first; empty where all is well.
    pub(super) fn reasons(&self) -> Vec<String> {
        if self.running().next().is_none() {
            return vec!["no program with this state_dir runs".to_owned()];
        }
        let mut reasons = Vec::new();
        let killed = self.killed();
        if !killed.is_empty() {
            let verb = if killed.len() == 1 { "was" } else { "were" };
            reasons.push(format!(
                "{} {verb} killed in a request in the last 15 min: ioprofiler top",
                many(killed.len() as u64, "worker")
            ));
        }
        for (pid, silent) in self.silent() {
            let time = roughly(silent / NS_PER_S);
            reasons.push(format!(
                "pid {pid} has said nothing for {time}: stopped, starved, or its disk is full"
            ));
        }
        self.add_requests(&mut reasons);
        self.add_sinks(&mut reasons);
        self.add_flags(&mut reasons);
        reasons
    }

    /// Processes with a thread that say nothing, and for how long.
    fn silent(&self) -> Vec<(u32, u64)> {
        let mut silent = Vec::new();
        for process in self.running().filter(|process| process.by_thread) {
            let mut live = self.live.iter();
            let is_in = |live: &&LiveProcess| {
                live.running
                    && live.live > 0
                    && (live.pid, &live.host) == (process.pid, &process.host)
            };
            let busy_at = live.find(is_in).map(|live| live.at);
            let idle = self.now.since(process.at);
            let busy = busy_at.map_or(0, |at| self.now.since(at));
            if idle > SILENT_NS || busy > BUSY_SILENT_NS {
                silent.push((process.pid, idle.max(busy)));
            }
        }
        silent
    }

    fn add_requests(&self, reasons: &mut Vec<String>) {
        let stuck = self.stuck();
        if stuck > 0 {
            let oldest = age(self.in_flight().1.unwrap_or(0));
            let verb = if stuck == 1 { "is" } else { "are" };
            reasons.push(format!(
                "{} {verb} stuck, the oldest for {oldest}: ioprofiler top",
                many(stuck as u64, "request")
            ));
        }
        let [.., (requests, failed)] = self.by_minute();
        let share = failed as f64 / (requests as f64).max(1.0);
        if failed >= LEAST_FAILED && share >= MOST_FAILED {
            reasons.push(format!(
                "{:.1} % of requests fail: ioprofiler slow --errors",
                share * 100.0
            ));
        }
        let dropped = self.dropped_lately();
        if dropped > 0 {
            reasons.push(format!(
                "the queue was full: {} of the last 15 min were only counted",
                many(dropped, "request")
            ));
        }
    }

    fn add_sinks(&self, reasons: &mut Vec<String>) {
        let Some(leader) = self.leader() else {
            let mut running = self.running();
            if running.any(|process| process.by_thread && !process.sinks.is_empty()) {
                reasons.push("nobody sends".to_owned());
            }
            return;
        };
        for sink in leader.sinks.iter().filter(|sink| is_failing(sink)) {
            reasons.push(format!(
                "{} cannot be sent to: {}",
                shown(&sink.name),
                shown(&sink.why)
            ));
        }
    }

    fn add_flags(&self, reasons: &mut Vec<String>) {
        let now = self.now.at / NS_PER_S;
        let errors = self.flags.iter().map(|status| status.errors).max();
        if let Some(errors @ 1..) = errors {
            reasons.push(format!(
                "{} in the files of the flags: ioprofiler flags status",
                many(errors as u64, "error")
            ));
        }
        for status in self.flags.iter().filter(|status| status.by_thread) {
            let old = now.saturating_sub(status.looked_at);
            if old > FLAGS_OLD_S {
                let time = roughly(old);
                reasons.push(format!(
                    "pid {} has not looked at the flags for {time}",
                    status.pid
                ));
            }
        }
        let is_settled = |status: &&Status| now.saturating_sub(status.changed_at) > FLAGS_SETTLE_S;
        let mut versions: Vec<&str> = self
            .flags
            .iter()
            .filter(is_settled)
            .map(|status| status.version.as_str())
            .collect();
        versions.sort_unstable();
        versions.dedup();
        if versions.len() > 1 {
            reasons.push("processes go by different flags: ioprofiler flags status".to_owned());
        }
        let is_shed = self.flags.iter().any(|status| status.shed.is_some());
        let shed = self.shed.as_ref().filter(|_| is_shed);
        if let Some(shed) = shed.filter(|shed| self.now.since(shed.at) > DAY_NS) {
            let time = roughly(self.now.since(shed.at) / NS_PER_S);
            reasons.push(format!(
                "features are shed for {time}: {}",
                shown(&shed.to_string())
            ));
        }
    }
}

/// Whether the last attempt failed, as far as is known.
pub(super) fn is_failing(sink: &SinkStatus) -> bool {
    sink.failed_at > 0 && sink.failed_at >= sink.sent_at
}

#[cfg(test)]
mod tests {
    use super::*;
    use ioprofiler::collect::state::Recent;

    const AT: u64 = 1_795_403_525;

    fn condition(counted: &[(u64, u64, u64)]) -> Condition {
        let recent = counted.iter().map(|(at, requests, failed)| {
            let mut recent = Recent::default();
            (recent.at, recent.requests, recent.failed) = (*at, *requests, *failed);
            recent
        });
        let mut process = ProcessStatus::default();
        process.recent = recent.collect();
        let mut now = Now::new();
        now.at = AT * NS_PER_S;
        Condition {
            now,
            processes: vec![process],
            live: Vec::new(),
            flags: Vec::new(),
            deploy: None,
            shed: None,
        }
    }

    #[test]
    fn the_last_minute_ends_now() {
        // Five seconds are over of the last ten; five seconds of the first ten are more than a
        // minute ago.
        let counted = [(AT - 65, 100, 10), (AT - 55, 20, 0), (AT - 5, 7, 7)];
        let minutes = condition(&counted).by_minute();
        assert_eq!(minutes[14], (77, 12));
        assert_eq!(minutes[13], (50, 5));
        assert!(minutes[..13].iter().all(|minute| *minute == (0, 0)));
        // Of a clock that was put back.
        let minutes = condition(&[(AT + 100, 5, 0)]).by_minute();
        assert!(minutes.iter().all(|minute| *minute == (0, 0)));
    }
}
