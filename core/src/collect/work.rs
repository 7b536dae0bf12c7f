//! What is done with finished requests: by the collector's thread, or by whoever flushes.

use super::flushing::Wanted;
use super::here::Here;
use super::metrics::Metrics;
use super::report::Report;
use super::sink::Sink;
use super::{Collector, ended};
use crate::clock::Scale;
use crate::lane::slot::Held;
use crate::profiler::Shared;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::time::Instant;

/// The part of one process. Whoever works holds its lock.
pub(super) struct Work {
    pub(super) sinks: Vec<Box<dyn Sink>>,
    pub(super) report: Report,
    pub(super) metrics: Option<Metrics>,
    /// The last wish for everything to be sent for which what was not due was given out.
    flush: u64,
}

impl Work {
    pub(super) fn new(sinks: Vec<Box<dyn Sink>>, metrics: Option<Metrics>) -> Self {
        Self {
            sinks,
            report: Report::default(),
            metrics,
            flush: 0,
        }
    }

    /// Whether this wish for everything to be sent is a new one.
    pub(super) fn begin_flush(&mut self, wanted: Wanted) -> bool {
        std::mem::replace(&mut self.flush, wanted.number()) != wanted.number()
    }

    /// Works on all that has ended, or until it is too late. Whether that was all.
    pub(super) fn drain(
        &mut self,
        collector: &Collector,
        shared: &'static Shared,
        here: &'static Here,
        deadline: Option<Instant>,
    ) -> bool {
        let scale = Scale::now();
        let mut left = here.take_all().into_iter();
        for held in left.by_ref() {
            self.work_on(collector, shared, here, &scale, held);
            here.queued.fetch_sub(1, Ordering::Relaxed);
            here.drained.fetch_add(1, Ordering::Release);
            if deadline.is_some_and(|deadline| Instant::now() > deadline) {
                break;
            }
        }
        if let Some(metrics) = &mut self.metrics {
            metrics.add_spilled(here, &scale);
        }
        // Past the deadline: the rest goes back, and keeps its order.
        let rest: Vec<Held> = left.collect();
        let all = rest.is_empty();
        for held in rest {
            here.push_back(held);
        }
        all
    }

    fn work_on(
        &mut self,
        collector: &Collector,
        shared: &'static Shared,
        here: &'static Here,
        scale: &Scale,
        held: Held,
    ) {
        let how = held.slot.ended();
        let about = (!self.sinks.is_empty()).then(|| ended(&held, how));
        let profile = shared.profile(held.clone());
        if let Some(metrics) = &mut self.metrics {
            let add = || metrics.add(&held, scale, here, &profile);
            if catch_unwind(AssertUnwindSafe(add)).is_err() {
                here.panics.fetch_add(1, Ordering::Relaxed);
            }
        }
        let Some(about) = about else { return };
        for (sink, kind) in self.sinks.iter_mut().zip(collector.sink_kinds()) {
            let take = || {
                if kind.wants(&about) {
                    sink.take(&profile);
                }
            };
            if catch_unwind(AssertUnwindSafe(take)).is_err() {
                here.panics.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// What is done now and then. `all`: what is not due yet as well.
    pub(super) fn turn(
        &mut self,
        collector: &Collector,
        shared: &'static Shared,
        here: &'static Here,
        all: bool,
    ) {
        let Some(metrics) = &mut self.metrics else {
            return;
        };
        let turn = || metrics.turn(shared, here, all);
        match catch_unwind(AssertUnwindSafe(turn)) {
            Ok(events) => events.iter().for_each(|event| collector.say(here, event)),
            Err(_) => drop(here.panics.fetch_add(1, Ordering::Relaxed)),
        }
    }

    /// Lets the sinks send what they kept back.
    pub(super) fn flush(&mut self, here: &Here, deadline: Instant) -> bool {
        let mut flushed = true;
        for sink in &mut self.sinks {
            let left = deadline.saturating_duration_since(Instant::now());
            let sent = catch_unwind(AssertUnwindSafe(|| sink.flush(left)));
            if sent.is_err() {
                here.panics.fetch_add(1, Ordering::Relaxed);
            }
            flushed &= sent.unwrap_or(false);
        }
        if let Some(metrics) = &self.metrics {
            flushed &= metrics.flush(deadline);
        }
        flushed
    }

    /// Ends what the sinks have of their own.
    pub(super) fn end(&mut self) {
        self.sinks.clear();
        if let Some(mut metrics) = self.metrics.take() {
            metrics.end();
        }
    }
}
