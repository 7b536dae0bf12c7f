//! All metric sinks of a process: what each was last given, and when it reports next.

use super::LogEvent;
use super::events::Event;
use super::gauges;
use super::kept::Kept;
use super::series::{Sample, Series};
use super::sink::destination::{Destination, SinkConfig};
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
    /// What it is called where it is told from the others: `graphite`, `graphite-2`.
    key: String,
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

    /// The moment that a report of now is of, and whether the next one begins where it ends.
    fn moment(&self, now: u64) -> (u64, bool) {
        let interval_ns = self.interval_ns();
        let is_ended = now >= self.next;
        if !self.outbox.config().replaces() {
            return (now, true);
        }
        let begun = now - now % interval_ns;
        let at = if is_ended {
            begun.saturating_sub(interval_ns)
        } else {
            begun
        };
        (at, is_ended)
    }
}

impl Outlets {
    pub(super) fn new(destinations: &[Destination], origin: Origin, threadless: bool) -> Self {
        let configs: Vec<_> = destinations.iter().flat_map(Destination::configs).collect();
        let key = |place: usize, config: &Arc<dyn SinkConfig>| {
            let before = configs.iter().take(place);
            let name = config.name();
            match before.filter(|before| before.name() == name).count() {
                0 => name.to_owned(),
                before => format!("{name}-{}", before + 1),
            }
        };
        let outlets = configs.iter().enumerate().map(|(place, config)| Outlet {
            outbox: Outbox::new(Arc::clone(config), threadless),
            key: key(place, config),
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
            let key = &outlet.key;
            let (at, is_ended) = outlet.moment(now);
            let given = outlet
                .given
                .get_or_insert_with(|| state.map(|state| state.sent(key)).unwrap_or_default());
            let report = Report {
                at,
                interval: outlet.outbox.config().interval(),
                origin: self.origin.clone(),
                since: since(series, given),
                total: series.to_vec(),
            };
            // Where it has no room, this is in its next report.
            if outlet.outbox.put(Parcel::Report(Arc::new(report))) && is_ended {
                outlet.given = Some(series.to_vec());
                if let Some(state) = state {
                    state.keep_sent(&outlet.key, series);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::series::{CALL_HITS, Value};
    use crate::collect::sink::destination::Wants;
    use crate::collect::sink::parcel::{MetricSink, Packet, Unsent};
    use crate::error::Error;
    use parking_lot::Mutex;
    use std::time::Duration;

    const S: u64 = 1_000_000_000;

    /// What it was told: the moment, and how much was counted.
    #[derive(Clone, Debug, Default)]
    struct Fake {
        replaces: bool,
        got: Arc<Mutex<Vec<(u64, u64)>>>,
    }

    impl SinkConfig for Fake {
        fn name(&self) -> &'static str {
            "fake"
        }
        fn check(&self) -> Result<(), Error> {
            Ok(())
        }
        fn interval(&self) -> Duration {
            Duration::from_secs(60)
        }
        fn wants(&self) -> Wants {
            Wants {
                series: true,
                ..Wants::default()
            }
        }
        fn replaces(&self) -> bool {
            self.replaces
        }
        fn is_datagram(&self) -> bool {
            true
        }
        fn make(&self) -> Box<dyn MetricSink> {
            Box::new(self.clone())
        }
    }

    impl MetricSink for Fake {
        fn encode(&mut self, parcel: &Parcel) -> Vec<Packet> {
            if let Parcel::Report(report) = parcel {
                let hits = match report.since[0].samples[0].value {
                    Value::Counter(hits) => hits,
                    _ => 0,
                };
                self.got.lock().push((report.at / S, hits));
            }
            Vec::new()
        }
        fn send(&mut self, _: &Packet, _: Duration) -> Result<(), Unsent> {
            Ok(())
        }
    }

    fn counted(hits: u64) -> Vec<Series> {
        let labels = ["web", "/", "memcache"].map(Arc::from);
        vec![Series {
            samples: vec![Sample::known(&CALL_HITS, labels, Value::Counter(hits))],
            ..Series::default()
        }]
    }

    /// A process that is flushed in the middle of an interval.
    fn told(replaces: bool) -> Vec<(u64, u64)> {
        let fake = Fake {
            replaces,
            ..Fake::default()
        };
        let origin = Origin {
            host: "vm".to_owned(),
            worker: None,
        };
        let to = Destination(Arc::new(fake.clone()));
        let mut outlets = Outlets::new(&[to], origin, true);
        for (seconds, hits, all) in [
            (70, 0, false),
            (90, 3, true),
            (100, 5, false),
            (110, 7, true),
            (120, 10, false),
            (121, 11, false),
            (130, 12, true),
            (180, 20, false),
            // It did not run for a while.
            (430, 30, false),
        ] {
            if outlets.any_due(seconds * S, all) {
                outlets.send(&counted(hits), seconds * S, all, None);
            }
        }
        drop(outlets);
        let got = fake.got.lock();
        got.clone()
    }

    #[test]
    fn each_report_is_of_what_was_counted_since_the_one_before() {
        assert_eq!(
            told(false),
            [(90, 3), (110, 4), (120, 3), (130, 2), (180, 8), (430, 10)]
        );
    }

    #[test]
    fn where_later_reports_replace_earlier_ones_each_is_of_all_of_its_interval() {
        assert_eq!(
            told(true),
            [(60, 3), (60, 7), (60, 10), (120, 2), (120, 10), (360, 10)]
        );
    }

    #[test]
    fn two_sinks_of_a_kind_are_told_apart() {
        let to = || Destination(Arc::new(Fake::default()));
        let origin = Origin {
            host: "vm".to_owned(),
            worker: None,
        };
        let outlets = Outlets::new(&[to(), to()], origin, true);
        let keys: Vec<&str> = outlets.outlets.iter().map(|outlet| &*outlet.key).collect();
        assert_eq!(keys, ["fake", "fake-2"]);
    }
}
