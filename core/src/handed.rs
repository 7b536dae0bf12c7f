//! Calls that a host recorded on its own side, handed over in one go.
//!
//! For hosts in which it costs more to cross over to us than to record a call (Node): they take
//! down ticks, and keep details in their own strings, until somebody will read them: the request
//! is shown, a sink [wants it](crate::Request::is_wanted), or its limits come near. What was handed
//! over counts to the request's limits as if it had been recorded here.
//!
//! ```
//! use ioprofiler::handed::{HandedSpan, Tick};
//! use ioprofiler::handle::RequestHandle;
//! use ioprofiler::{Facts, Kind, Outcome, Profiler, category};
//!
//! # fn main() -> Result<(), ioprofiler::Error> {
//! let profiler = Profiler::builder().build()?;
//! let request = RequestHandle::new(profiler.begin(&Facts::web("GET", "/")));
//! let category = category::intern("dbshard01", Kind::Leaf, category::Dialect::Generic);
//!
//! let start = Tick::now();
//! let end = Tick::now();
//! if let Some(desk) = request.hand_over() {
//!     let call = HandedSpan::new(category, b"SELECT 1", start).ended(end, Outcome::Ok);
//!     desk.append(&call);
//! }
//! assert_eq!(request.request().finish(200, 0).spans[0].detail, "SELECT 1");
//! # Ok(())
//! # }
//! ```

use crate::category::CategoryId;
use crate::clock;
use crate::handle::{RequestHandle, Site, SpanHandle, count_stale};
use crate::lane::handed::{Desk, Handed, end_at};
use crate::lane::slot::Held;
use crate::lane::{Call, ROOT, process};
use crate::profile::{Counts, Outcome};
use std::sync::atomic::Ordering;

/// A reading of the profiler's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tick(u64);

impl Tick {
    /// Now: about 10 ns.
    #[inline(always)]
    #[must_use]
    pub fn now() -> Self {
        Self(clock::ticks())
    }

    /// From an integer that a host kept.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The integer. Its unit is the machine's; it grows by at most 10 a nanosecond.
    #[inline(always)]
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        self.0
    }
}

/// A call that the host recorded.
#[derive(Clone, Copy, Debug)]
pub struct HandedSpan<'a> {
    category: CategoryId,
    detail: &'a [u8],
    cut_from: Option<u64>,
    target: &'a [u8],
    parent: SpanHandle,
    inner: bool,
    site: Site,
    counts: Counts,
    start: Tick,
    end: Option<(Tick, Outcome)>,
}

impl<'a> HandedSpan<'a> {
    /// An open call that began at a tick. The detail needs not be UTF-8; past 8 KiB it is cut.
    #[must_use]
    pub fn new(category: CategoryId, detail: &'a [u8], start: Tick) -> Self {
        Self {
            category,
            detail,
            cut_from: None,
            target: &[],
            parent: SpanHandle::NONE,
            inner: false,
            site: Site::NONE,
            counts: Counts::default(),
            start,
            end: None,
        }
    }

    /// It is over.
    #[must_use]
    pub fn ended(mut self, at: Tick, outcome: Outcome) -> Self {
        self.end = Some((at, outcome));
        self
    }

    /// The detail is only the beginning of a text of so many bytes.
    #[must_use]
    pub fn cut_from(mut self, bytes: u64) -> Self {
        self.cut_from = Some(bytes);
        self
    }

    /// Which server or file the call went to.
    #[must_use]
    pub fn target(mut self, target: &'a [u8]) -> Self {
        self.target = target;
        self
    }

    /// The scope it happened in.
    #[must_use]
    pub fn parent(mut self, scope: SpanHandle) -> Self {
        self.parent = scope;
        self
    }

    /// It is part of this leaf, which made it: one call, with this one's detail.
    #[must_use]
    pub fn part_of(mut self, leaf: SpanHandle) -> Self {
        self.parent = leaf;
        self.inner = true;
        self
    }

    /// The application's line that made it.
    #[must_use]
    pub fn site(mut self, site: Site) -> Self {
        self.site = site;
        self
    }

    /// What it brought.
    #[must_use]
    pub fn counts(mut self, counts: Counts) -> Self {
        self.counts = counts;
        self
    }
}

/// Counts calls that the host saw outside any request, and calls that it saw begin or end after
/// their request.
pub fn count_missed(outside: u64, late: u64) {
    if let Some(process) = process::existing() {
        let counters = &process.counters;
        counters.outside.fetch_add(outside, Ordering::Relaxed);
        counters.late_spans.fetch_add(late, Ordering::Relaxed);
    }
}

/// Takes recorded calls in, until it is dropped. In that time it keeps a lane of the request.
#[must_use = "it takes calls in until it is dropped"]
pub struct HandOver(Desk);

impl std::fmt::Debug for HandOver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HandOver").finish_non_exhaustive()
    }
}

impl HandOver {
    pub(crate) fn of(held: Held, generation: u32) -> Option<Self> {
        Desk::new(held, generation).map(Self)
    }

    /// Takes a call in, by the request's limits: past them it is counted exactly, and not listed.
    /// The handle is for its children, and for [`SpanHandle::end_at`] where it is still open.
    pub fn append(&self, span: &HandedSpan<'_>) -> SpanHandle {
        let (detail, site) = (span.detail, span.site.0);
        let parent = if span.parent == SpanHandle::NONE {
            ROOT
        } else {
            span.parent.number()
        };
        let call = if span.inner {
            Call::inner(span.category, parent, detail, site)
        } else {
            Call::new(span.category, parent, detail, site)
        };
        let handed = Handed {
            call,
            cut_from: span.cut_from.filter(|&whole| whole > detail.len() as u64),
            target: span.target,
            counts: span.counts,
            start: span.start.0,
            end: span.end.map(|(tick, outcome)| (tick.0, outcome)),
        };
        self.0
            .append(&handed)
            .map_or(SpanHandle::NONE, SpanHandle::of)
    }
}

impl RequestHandle {
    /// Lets calls be handed over that the host recorded. `None` where the request has ended, or
    /// its calls are not recorded.
    #[must_use]
    pub fn hand_over(self) -> Option<HandOver> {
        let process = process::existing()?;
        let slot = process.slot(self.slot())?;
        let generation = self.generation();
        if !slot.is_recording(generation) {
            return None;
        }
        HandOver::of(slot.hold(generation, process)?, generation)
    }
}

impl RequestHandle {
    /// As [`Request::first_byte`](crate::Request::first_byte), at a tick that the host took down.
    pub fn first_byte_at(self, at: Tick) {
        let held = process::existing().and_then(|process| {
            let slot = process.slot(self.slot())?;
            slot.hold(self.generation(), process)
        });
        match held {
            Some(held) => held.slot.answer(at.0),
            None => count_stale(),
        }
    }
}

impl SpanHandle {
    /// As [`SpanHandle::end`], at a tick that the host took down.
    pub fn end_at(self, at: Tick, outcome: Outcome) {
        if self != Self::NONE && !end_at(self.number(), self.generation(), outcome, at.0) {
            count_stale();
        }
    }
}
