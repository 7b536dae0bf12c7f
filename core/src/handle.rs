//! Requests and spans as 64-bit integers: for hosts that cannot hold a Rust value, C first.
//!
//! A handle is a number and a generation of 32 bits; 0 is "none", and everything accepts it and
//! does nothing. A handle that is stale, foreign or used twice is a counted no-op, on any thread,
//! in any order of calls: what it pointed to is never freed, and its generation tells.
//!
//! ```text
//! request  generation:32 | slot:30               | 0 | recording
//! span     generation:32 | chunk:22 | record:8   | 1 | 1
//! ```
//!
//! Bit 0 says whether calls are recorded, so that a host can leave out a call on its own side.

use crate::category::CategoryId;
use crate::lane::chunk::{NO_SPAN, SHORT};
use crate::lane::detail::Words;
use crate::lane::late::{Change, Count, Late};
use crate::lane::numbered;
use crate::lane::slot::Slot;
use crate::lane::{Begun, Call, Key, context, process, site};
use crate::profile::Outcome;
use crate::request::{self, Request};
use std::sync::atomic::Ordering;
use std::time::Duration;

const RECORDING: u64 = 1;
const SPAN: u64 = 2;

/// A request by number. It stays open until it is finished, or `request_ttl` is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RequestHandle(u64);

/// A span by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SpanHandle(u64);

/// The application's line that makes a call, interned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Site(pub(crate) usize);

impl Site {
    /// No caller.
    pub const NONE: Self = Self(site::NONE);

    /// A place in a source file. At most 8,192 a process, then none.
    #[must_use]
    pub fn intern(file: &str, line: u32) -> Self {
        Self::numbered(file, line).map_or(Self::NONE, Self::from_number)
    }

    /// As [`Site::intern`], as a number above 0 that a host can keep; `None` once 8,192 are known.
    #[must_use]
    pub fn numbered(file: &str, line: u32) -> Option<u32> {
        site::number(file, line)
    }

    /// The place of such a number. Any number is allowed: of an unknown one, no caller.
    #[inline(always)]
    #[must_use]
    pub fn from_number(number: u32) -> Self {
        Self(site::of_number(number))
    }
}

#[cold]
pub(crate) fn count_stale() {
    if let Some(process) = process::existing() {
        process
            .counters
            .stale_handles
            .fetch_add(1, Ordering::Relaxed);
    }
}

impl RequestHandle {
    /// No request.
    pub const NONE: Self = Self(0);

    /// The longest detail that [`RequestHandle::try_span`] takes, in bytes.
    pub const SHORT: usize = SHORT;

    /// Gives a request up for its number.
    #[must_use]
    pub fn new(request: Request) -> Self {
        request.into_number().map_or(Self::NONE, Self::of_number)
    }

    /// The number of a request that somebody goes on holding: unlike [`new`](Self::new), the
    /// request is abandoned when it is held no more.
    #[must_use]
    pub fn of(request: &Request) -> Self {
        request.number().map_or(Self::NONE, Self::of_number)
    }

    fn of_number(number: request::RequestNumber) -> Self {
        let place = u64::from(number.slot) << 2;
        let recording = if number.recording { RECORDING } else { 0 };
        Self((u64::from(number.generation) << 32) | place | recording)
    }

    /// From an integer that a host kept. Any integer is allowed.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The integer.
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    #[inline(always)]
    pub(crate) fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }

    #[inline(always)]
    pub(crate) fn slot(self) -> u32 {
        (self.0 as u32) >> 2
    }

    /// The request's slot, not held, if it serves this request just now.
    #[inline(always)]
    pub(crate) fn same_slot(self) -> Option<&'static Slot> {
        if self.0 & SPAN != 0 {
            return None;
        }
        let slot = process::existing()?.slot(self.slot())?;
        (self != Self::NONE && slot.generation() == self.generation()).then_some(slot)
    }

    /// The request, held; [`Request::none`] where the handle is stale, which is counted.
    pub fn request(self) -> Request {
        if self == Self::NONE {
            return Request::none();
        }
        if self.0 & SPAN != 0 {
            count_stale();
            return Request::none();
        }
        let request = Request::from_number(self.slot(), self.generation());
        if request.is_none() {
            count_stale();
        }
        request
    }

    /// Begins a span. Its parent is a span of the same request, or none; a leaf begun inside a leaf
    /// is part of it.
    #[inline]
    #[must_use]
    pub fn span(
        self,
        category: CategoryId,
        detail: &[u8],
        parent: SpanHandle,
        site: Site,
    ) -> SpanHandle {
        if !self.is_recording() {
            return self.not_recording();
        }
        let (slot, generation) = (self.slot(), self.generation());
        match parent.key() {
            None => numbered::try_begin_numbered(slot, generation, category, detail, site.0),
            Some(parent) => {
                numbered::try_begin_inside(slot, generation, category, detail, site.0, parent)
            }
        }
        .map_or_else(
            || self.span_by_tables(category, detail, parent, site),
            SpanHandle::of,
        )
    }

    /// As [`RequestHandle::span`], where this thread recorded into this request just before and has
    /// a place for the call; `None` where the whole way is needed, as for a call with a parent. It
    /// calls nothing of the system: no memory, no lock, and errno stays. Category and site are the
    /// integers that a host keeps ([`CategoryId::to_bits`], [`Site::numbered`]).
    #[inline(always)]
    #[must_use]
    pub fn try_span(
        self,
        category: u32,
        detail: &[u8],
        parent: SpanHandle,
        site: u32,
    ) -> Option<SpanHandle> {
        if !self.is_recording() || parent.0 & SPAN != 0 {
            return None;
        }
        let (slot, generation) = (self.slot(), self.generation());
        numbered::try_begin_by_bits(slot, generation, category, detail, site).map(SpanHandle::of)
    }

    /// Whether its calls were recorded when it was begun, by the integer alone.
    #[inline(always)]
    #[must_use]
    pub const fn is_recording(self) -> bool {
        self.0 & (RECORDING | SPAN) == RECORDING
    }

    /// Whether it is none, or of a request that records no calls, by the integer alone.
    #[inline(always)]
    #[must_use]
    pub const fn is_off(self) -> bool {
        self.0 & (RECORDING | SPAN) == 0
    }

    #[inline(never)]
    fn span_by_tables(
        self,
        category: CategoryId,
        detail: &[u8],
        parent: SpanHandle,
        site: Site,
    ) -> SpanHandle {
        let slot = process::existing().and_then(|process| process.slot(self.slot()));
        let Some(slot) = slot.filter(|slot| slot.is_live(self.generation())) else {
            count_stale();
            return SpanHandle::NONE;
        };
        let parent = parent.number();
        numbered::begin_numbered(slot, self.generation(), category, detail, parent, site.0)
            .map_or(SpanHandle::NONE, SpanHandle::of)
    }

    #[cold]
    fn not_recording(self) -> SpanHandle {
        if self.0 & SPAN != 0 {
            count_stale();
        }
        SpanHandle::NONE
    }

    /// Records a call that is over: it ended `ended_ago` before now and took `duration`.
    pub fn add_span(self, call: PastCall<'_>) {
        if !self.is_recording() {
            return;
        }
        let slot = process::existing().and_then(|process| process.slot(self.slot()));
        let Some(slot) = slot.filter(|slot| slot.is_live(self.generation())) else {
            count_stale();
            return;
        };
        let PastCall {
            category,
            detail,
            parent,
            site,
            ended_ago,
            duration,
            outcome,
        } = call;
        let call = Call::new(category, parent.number(), detail, site.0);
        request::add(slot, self.generation(), call, ended_ago, duration, outcome);
    }
}

/// A call that is recorded after the fact.
#[derive(Clone, Copy, Debug)]
pub struct PastCall<'a> {
    /// What was done.
    pub category: CategoryId,
    /// What the call was.
    pub detail: &'a [u8],
    /// The scope it happened in.
    pub parent: SpanHandle,
    /// Who made it.
    pub site: Site,
    /// How long ago it ended.
    pub ended_ago: Duration,
    /// How long it took.
    pub duration: Duration,
    /// How it ended.
    pub outcome: Outcome,
}

impl SpanHandle {
    /// No span.
    pub const NONE: Self = Self(0);

    #[inline(always)]
    pub(crate) fn of(begun: Begun) -> Self {
        let key = begun.key;
        let place = u64::from(key.number()) << 2;
        Self((u64::from(key.generation()) << 32) | place | SPAN | RECORDING)
    }

    #[inline(always)]
    fn key(self) -> Option<Key> {
        let key = Key::new((self.0 as u32) >> 2, self.generation());
        (self.0 & SPAN != 0).then_some(key)
    }

    /// From an integer that a host kept. Any integer is allowed.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The integer.
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    #[inline(always)]
    pub(crate) fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Its number as a parent; none where this is no span's handle.
    #[inline(always)]
    pub(crate) fn number(self) -> u32 {
        if self.0 & SPAN == 0 {
            NO_SPAN
        } else {
            (self.0 as u32) >> 2
        }
    }

    /// Ends it, the first time.
    #[inline(always)]
    pub fn end(self, outcome: Outcome) {
        if self == Self::NONE || self.try_end(outcome) {
            return;
        }
        if self.0 & SPAN == 0 || !numbered::end_numbered(self.number(), self.generation(), outcome)
        {
            count_stale();
        }
    }

    /// As [`SpanHandle::end`], where [`RequestHandle::try_span`] would have begun it; `false` where
    /// the whole way is needed. It calls nothing of the system.
    #[inline(always)]
    #[must_use]
    pub fn try_end(self, outcome: Outcome) -> bool {
        self.key()
            .is_some_and(|key| numbered::try_end_numbered(key, outcome))
    }

    #[inline]
    fn change(self, change: Change<'_>) {
        if self == Self::NONE
            || self
                .key()
                .is_some_and(|key| numbered::try_change_numbered(key, change))
        {
            return;
        }
        self.change_by_tables(change);
    }

    #[inline(never)]
    fn change_by_tables(self, change: Change<'_>) {
        if self.0 & SPAN == 0
            || !numbered::change_numbered(self.number(), self.generation(), change)
        {
            count_stale();
        }
    }

    /// Replaces the detail.
    pub fn detail(self, detail: &[u8]) {
        self.change(Change::Text(Late::Detail, Words::all(detail)));
    }

    /// Says which server or file the call goes to.
    pub fn target(self, target: &[u8]) {
        self.change(Change::Text(Late::Target, Words::all(target)));
    }

    /// How many keys were found.
    pub fn hits(self, hits: u32) {
        self.change(Change::Count(Count::Hits, hits));
    }

    /// How many keys were not found.
    pub fn misses(self, misses: u32) {
        self.change(Change::Count(Count::Misses, misses));
    }

    /// What a look for keys brought: the detail that is known only now, hits and misses at once.
    pub fn found(self, detail: &[u8], hits: u32, misses: u32) {
        self.change(Change::Found(Words::all(detail), hits, misses));
    }

    /// How many rows were returned or changed.
    pub fn rows(self, rows: u32) {
        self.change(Change::Count(Count::Rows, rows));
    }

    /// How many bytes were read or written.
    pub fn bytes(self, bytes: u32) {
        self.change(Change::Count(Count::Bytes, bytes));
    }
}

/// Counts a call that belongs to no request, for hosts that keep the current request themselves.
#[inline]
pub fn count_outside() {
    context::with(context::ThreadContext::count_outside);
}

/// For hosts that fork in a way that neither the kernel's page wiping nor `pthread_atfork` sees:
/// call it in the child. The child then forgets what it inherited.
pub fn after_fork_child() {
    crate::fork::after_fork_child();
}
