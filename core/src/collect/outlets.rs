//! All metric sinks of a process: what each was last given, and when it reports next.

use super::LogEvent;
use super::events::Event;
use super::gauges;
use super::kept::Kept;
use super::series::{Sample, Series};
use super::sink::destination::Destination;
use super::sink::outbox::{Fate, Outbox};
use super::sink::parcel::{Origin, Parcel, Report};
use super::state::State;
use std::sync::Arc;
use std::time::Instant;

pub(super) struct Outlets {
    outlets: Vec<Outlet>,
    origin: Origin,
}

struct Outlet {
    outbox: Outbox,
    /// What it was last given; unknown to a process that has only begun to send.
    given: Option<Vec<Series>>,
    /// When it reports next, nanoseconds since 1970; 0 before it was looked at.
    next: u64,
}

impl Outlet {
    fn interval_ns(&self) -> u64 {
        let interval = self.outbox.config().interval().as_nanos();
        u64::try_from(interval).unwrap_or(u64::MAX).max(1)
    }

    fn is_due(&self, now: u64, all: bool) -> bool {
        self.outbox.config().wants().series && (all || now >= self.next)
    }
}

impl Outlets {
    pub(super) fn new(destinations: &[Destination], origin: Origin, threadless: bool) -> Self {
        let configs = destinations.iter().flat_map(Destination::configs);
        let outlets = configs.map(|config| Outlet {
            outbox: Outbox::new(config, threadless),
            given: None,
            next: 0,
        });
        Self {
            outlets: outlets.collect(),
            origin,
        }
    }

    /// Another process sends: what was last given is not known here any more.
    pub(super) fn forget(&mut self) {
        for outlet in &mut self.outlets {
            outlet.given = None;
        }
    }

    /// Whether a sink reports now. Intervals end when the clock says a multiple of them, so that
    /// those of all machines do.
    pub(super) fn any_due(&mut self, now: u64, all: bool) -> bool {
        for outlet in &mut self.outlets {
            if outlet.next == 0 {
                outlet.next = next_end(now, outlet.interval_ns());
            }
        }
        self.outlets.iter().any(|outlet| outlet.is_due(now, all))
    }

    /// Gives each sink that is due what was counted since it was last given something.
    pub(super) fn send(&mut self, series: &[Series], now: u64, all: bool, state: Option<&State>) {
        for outlet in &mut self.outlets {
            if !outlet.is_due(now, all) {
                continue;
            }
            let name = outlet.outbox.config().name();
            let given = outlet
                .given
                .get_or_insert_with(|| state.map(|state| state.sent(name)).unwrap_or_default());
            let report = Report {
                at: now,
                interval: outlet.outbox.config().interval(),
                origin: self.origin.clone(),
                since: since(series, given),
                total: series.to_vec(),
            };
            // Where it has no room, this is in its next report.
            if outlet.outbox.put(Parcel::Report(Arc::new(report))) {
                outlet.given = Some(series.to_vec());
                if let Some(state) = state {
                    state.keep_sent(name, series);
                }
            }
            if now >= outlet.next {
                outlet.next = next_end(now, outlet.interval_ns());
            }
        }
    }

    pub(super) fn send_event(&mut self, event: Event) {
        let event = Arc::new(event);
        for outlet in &mut self.outlets {
            if outlet.outbox.config().wants().events {
                outlet.outbox.put_or_drop(Parcel::Event(Arc::clone(&event)));
            }
        }
    }

    pub(super) fn send_kept(&mut self, kept: Kept) {
        let kept = Arc::new(kept);
        for outlet in &mut self.outlets {
            if outlet.outbox.config().wants().kept {
                outlet.outbox.put_or_drop(Parcel::Kept(Arc::clone(&kept)));
            }
        }
    }

    pub(super) fn send_notice(&mut self, notice: LogEvent) {
        let notice = Arc::new(notice);
        for outlet in &mut self.outlets {
            if outlet.outbox.config().wants_notices() {
                let notice = Arc::clone(&notice);
                outlet.outbox.put_or_drop(Parcel::Notice(notice));
            }
        }
    }

    /// Adds what became of their values to a list.
    pub(super) fn add_fates(&self, samples: &mut Vec<Sample>) {
        for outlet in &self.outlets {
            let name = outlet.outbox.config().name();
            gauges::add_fate(name, &outlet.outbox.fate, samples);
        }
    }

    pub(super) fn fates(&self) -> Vec<(&'static str, Arc<Fate>)> {
        let outboxes = self.outlets.iter().map(|outlet| &outlet.outbox);
        outboxes
            .map(|outbox| (outbox.config().name(), Arc::clone(&outbox.fate)))
            .collect()
    }

    /// Waits until what was handed over was sent. `false` where the time is over first.
    pub(super) fn flush(&self, deadline: Instant) -> bool {
        let mut flushed = true;
        for outlet in &self.outlets {
            flushed &= outlet.outbox.flush(deadline);
        }
        flushed
    }
}

fn next_end(now: u64, interval_ns: u64) -> u64 {
    (now / interval_ns + 1).saturating_mul(interval_ns)
}

/// Of each version what was counted since.
fn since(series: &[Series], given: &[Series]) -> Vec<Series> {
    let since = |now: &Series| match given.iter().find(|before| before.version == now.version) {
        Some(before) => now.since(before),
        None => now.clone(),
    };
    series.iter().map(since).collect()
}
