//! Requests and spans from many threads at once, by guards and by numbers: whatever they do, in
//! whatever order, nothing of one request shows in another.

use ioprofiler::handle::{PastCall, RequestHandle, Site, SpanHandle};
use ioprofiler::{Category, CategoryId, Facts, Kind, Outcome, ProfileData, Profiler};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

static DB: Category = Category::leaf("dbshard01");

fn profiler() -> Profiler {
    Profiler::builder()
        .build()
        .expect("default options are right")
}

fn many(times: u64) -> u64 {
    let long = std::env::var_os("IOPROF_LONG").is_some();
    if long { times * 10 } else { times }
}

/// Repeatable numbers: xorshift.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() >> 11) as usize % end
    }
}

/// A span, with the request that it was begun in; both words are written by many threads, so they
/// may not belong together, which `check` tells.
#[derive(Default)]
struct Place {
    request: AtomicU64,
    span: AtomicU64,
}

const PLACES: usize = 32;

/// What a request's details begin with. Finished ones are checked for others' tags.
fn tag(request: RequestHandle) -> String {
    format!("<{:x}>", request.to_bits())
}

fn check(request: RequestHandle, profile: &ProfileData) {
    let tag = tag(request);
    for span in &profile.spans {
        assert!(
            span.detail.starts_with(&tag),
            "request {tag} shows {:?}",
            span.detail
        );
        assert!(
            span.target
                .as_ref()
                .is_none_or(|target| target.starts_with(&tag)),
            "request {tag} shows the target {:?}",
            span.target
        );
        // Every span keeps the number of its own request's slot.
        let slot = (request.to_bits() as u32) >> 2;
        assert!(
            span.counts.rows.is_none_or(|rows| rows == slot),
            "request {tag} shows another's rows"
        );
    }
}

/// One thread of the storm: picks places at random, and does something with what is there.
struct Storm<'a> {
    profiler: &'a Profiler,
    places: &'a [Place],
    category: CategoryId,
    scope: CategoryId,
    random: Random,
}

impl Storm<'_> {
    fn step(&mut self) {
        let place = &self.places[self.random.below(PLACES)];
        let request = RequestHandle::from_bits(place.request.load(Ordering::Relaxed));
        match self.random.below(16) {
            0 => {
                let facts = Facts::web("GET", "/listing/1");
                let new = RequestHandle::new(self.profiler.begin(&facts));
                let old = place.request.swap(new.to_bits(), Ordering::Relaxed);
                // Others may have its number still, and use it.
                end(RequestHandle::from_bits(old));
            }
            1 => end(request),
            2..7 => self.begin_span(request, place),
            7 => self.past_call(request),
            8 => self.entered(request),
            9 => {
                let held = request.request();
                check(request, &held.snapshot());
            }
            10 => self.anything(),
            11..14 => self.change(),
            _ => SpanHandle::from_bits(place.span.load(Ordering::Relaxed)).end(Outcome::Error),
        }
    }

    fn begin_span(&mut self, request: RequestHandle, place: &Place) {
        let parent = match self.random.below(3) {
            0 => SpanHandle::from_bits(place.span.load(Ordering::Relaxed)),
            1 => SpanHandle::from_bits(self.random.next()),
            _ => SpanHandle::NONE,
        };
        // No leaf under a foreign leaf: what that means is another test's.
        let parent = if self.random.below(2) == 0 {
            SpanHandle::NONE
        } else {
            parent
        };
        let long = self.random.below(40) == 0;
        let rest = "x".repeat(if long { 9_000 } else { self.random.below(100) });
        let detail = format!("{} {rest}", tag(request));
        let span = request.span(self.scope, detail.as_bytes(), parent, Site::NONE);
        if span == SpanHandle::NONE {
            return;
        }
        span.rows((request.to_bits() as u32) >> 2);
        span.target(tag(request).as_bytes());
        if self.random.below(2) == 0 {
            span.end(Outcome::Ok);
        }
        place.span.store(span.to_bits(), Ordering::Relaxed);
    }

    fn past_call(&self, request: RequestHandle) {
        request.add_span(PastCall {
            category: self.category,
            detail: tag(request).as_bytes(),
            parent: SpanHandle::NONE,
            site: Site::NONE,
            ended_ago: Duration::from_micros(5),
            duration: Duration::from_micros(50),
            outcome: Outcome::Ok,
        });
    }

    /// By guard, while others may finish the request.
    fn entered(&mut self, request: RequestHandle) {
        let held = request.request();
        let guard = held.enter();
        for _ in 0..self.random.below(40) {
            // Tagged from the start: others look at it before it has its detail.
            let mut call = ioprofiler::span(&DB, tag(request));
            call.detail(tag(request));
        }
        if self.random.below(4) == 0 {
            // The guard outlives the request's end.
            end(request);
        }
        drop(ioprofiler::span(&DB, tag(request)));
        drop(guard);
    }

    /// Numbers that nobody was ever given.
    fn anything(&mut self) {
        let near = self.places[self.random.below(PLACES)]
            .span
            .load(Ordering::Relaxed);
        let bits = match self.random.below(3) {
            0 => self.random.next(),
            // Another record of a real chunk, ended or never begun.
            1 => near ^ (1 << (2 + self.random.below(8))),
            // An older or newer generation.
            _ => near ^ (1 << (32 + self.random.below(32))),
        };
        SpanHandle::from_bits(bits).end(Outcome::Cancelled);
        let wild = self.random.next();
        let request = RequestHandle::from_bits(wild);
        assert!(request.request().is_none(), "{wild:x} was never a request");
        let span = request.span(self.category, b"wild", SpanHandle::NONE, Site::NONE);
        assert_eq!(span, SpanHandle::NONE);
    }

    /// Late details and targets, of a span that may have ended long ago. Its request's tag is what
    /// its own detail must begin with; the pair is only known to belong together when it was
    /// made by this very thread, so it makes one, gives others time, and uses it when it is stale.
    fn change(&mut self) {
        let place = &self.places[self.random.below(PLACES)];
        let request = RequestHandle::from_bits(place.request.load(Ordering::Relaxed));
        let span = request.span(
            self.scope,
            tag(request).as_bytes(),
            SpanHandle::NONE,
            Site::NONE,
        );
        if self.random.below(2) == 0 {
            std::thread::yield_now();
        }
        if self.random.below(4) == 0 {
            end(request);
            self.begin_elsewhere();
        }
        span.detail(format!("{} late", tag(request)).as_bytes());
        span.target(tag(request).as_bytes());
        span.rows((request.to_bits() as u32) >> 2);
        span.end(Outcome::Ok);
    }

    /// Uses again what was just put away.
    fn begin_elsewhere(&self) {
        let facts = Facts::web("GET", "/listing/2");
        let new = RequestHandle::new(self.profiler.begin(&facts));
        for _ in 0..3 {
            let _ = new.span(
                self.category,
                tag(new).as_bytes(),
                SpanHandle::NONE,
                Site::NONE,
            );
        }
        end(new);
    }
}

fn end(request: RequestHandle) {
    let profile = request.request().finish(200, 0);
    check(request, &profile);
}

#[test]
fn no_request_shows_what_another_did_whatever_numbers_are_used() {
    let profiler = profiler();
    let places: Vec<Place> = (0..PLACES).map(|_| Place::default()).collect();
    let generic = ioprofiler::Dialect::Generic;
    let category = ioprofiler::category::intern("dbshard01", Kind::Leaf, generic);
    let scope = ioprofiler::category::intern("template", Kind::Scope, generic);
    std::thread::scope(|threads| {
        for thread in 0..8_u64 {
            let (profiler, places) = (&profiler, &places);
            threads.spawn(move || {
                let random = Random(0x9e37_79b9_7f4a_7c15 ^ (thread + 1));
                let mut storm = Storm {
                    profiler,
                    places,
                    category,
                    scope,
                    random,
                };
                for _ in 0..many(20_000) {
                    storm.step();
                }
            });
        }
    });
    for place in &places {
        end(RequestHandle::from_bits(
            place.request.load(Ordering::Relaxed),
        ));
    }
    assert!(profiler.stats().stale_handles > 0);
}

#[test]
fn a_hundred_thousand_requests_use_the_same_slots_again() {
    let profiler = profiler();
    let mut slots = std::collections::HashSet::new();
    for turn in 0..100_000_u32 {
        let request = profiler.begin(&Facts::web("GET", "/"));
        request.run(|| {
            ioprofiler::span(&DB, "SELECT 1").rows(turn);
        });
        if !turn.is_multiple_of(1_000) {
            let profile = request.finish(200, 0);
            drop(profile);
            continue;
        }
        let number = request.into_number().expect("begun");
        slots.insert(number.slot);
        let again = ioprofiler::Request::from_number(number.slot, number.generation);
        let profile = again.finish(200, 0);
        assert_eq!(profile.spans.len(), 1);
        assert_eq!(profile.spans[0].counts.rows, Some(turn));
    }
    // The other test of this binary may hold some slots meanwhile.
    assert!(slots.len() <= 64, "{} slots were used", slots.len());
}

#[test]
fn a_request_may_end_while_other_threads_are_in_it() {
    let profiler = profiler();
    for turn in 0..many(300) {
        let request = profiler.begin(&Facts::web("GET", "/"));
        std::thread::scope(|threads| {
            for thread in 0..3 {
                let request = &request;
                threads.spawn(move || {
                    request.run(|| {
                        for call in 0..30 {
                            ioprofiler::span(&DB, format!("{turn}/{thread}/{call}")).rows(call);
                        }
                    });
                });
            }
            let profile = request.finish(200, 0);
            let mine = format!("{turn}/");
            assert!(
                profile
                    .spans
                    .iter()
                    .all(|span| span.detail.starts_with(&mine))
            );
            // Exact, also where a call came after the profile's end.
            let listed = profile.spans.len() as u64;
            let counted: u64 = profile.totals.iter().map(|total| total.calls).sum();
            assert_eq!(listed, counted);
        });
    }
}

#[test]
fn counts_of_a_call_past_the_limit_are_added_up_by_number_too() {
    let category =
        ioprofiler::category::intern("dbshard02", Kind::Leaf, ioprofiler::Dialect::Generic);
    let profiler = Profiler::builder().max_spans(1).build().expect("fine");
    let request = RequestHandle::new(profiler.begin(&Facts::web("GET", "/")));
    for _ in 0..3 {
        let span = request.span(category, b"SELECT 1", SpanHandle::NONE, Site::NONE);
        span.rows(7);
        span.end(Outcome::Ok);
    }
    let profile = request.request().finish(200, 0);
    assert_eq!(profile.spans.len(), 1);
    let total = &profile.totals[0];
    assert_eq!((total.calls, total.rows), (3, 21));
}

/// Begins a request by number and records a call into it from a thread of its own.
fn recorded_elsewhere(profiler: &Profiler, category: ioprofiler::CategoryId) -> RequestHandle {
    let request = RequestHandle::new(profiler.begin(&Facts::web("GET", "/")));
    std::thread::scope(|threads| {
        threads.spawn(|| {
            let span = request.span(category, b"elsewhere", SpanHandle::NONE, Site::NONE);
            span.end(Outcome::Ok);
        });
    });
    request
}

#[test]
fn a_thread_that_ends_gives_back_what_it_recorded_in() {
    let profiler = profiler();
    let category =
        ioprofiler::category::intern("dbshard03", Kind::Leaf, ioprofiler::Dialect::Generic);
    let mut slots = std::collections::HashSet::new();
    for _ in 0..500 {
        let request = recorded_elsewhere(&profiler, category);
        slots.insert(request.to_bits() as u32);
        assert_eq!(request.request().finish(200, 0).spans.len(), 1);
    }
    // The other tests of this binary may hold some slots meanwhile.
    assert!(slots.len() <= 64, "{} slots were used", slots.len());
}

#[test]
fn one_thread_records_into_many_requests_in_turns() {
    let profiler = profiler();
    let category =
        ioprofiler::category::intern("dbshard04", Kind::Leaf, ioprofiler::Dialect::Generic);
    let begin = |_| RequestHandle::new(profiler.begin(&Facts::web("GET", "/")));
    let requests: Vec<RequestHandle> = (0..10).map(begin).collect();
    let mut open = Vec::new();
    for turn in 0..20 {
        for request in &requests {
            let detail = format!("{}{turn}", tag(*request));
            open.push(request.span(category, detail.as_bytes(), SpanHandle::NONE, Site::NONE));
        }
    }
    for span in open {
        span.hits(1);
        span.end(Outcome::Ok);
    }
    for request in requests {
        let profile = request.request().finish(200, 0);
        let tag = tag(request);
        assert!(
            profile
                .spans
                .iter()
                .all(|span| span.detail.starts_with(&tag))
        );
        assert_eq!(profile.spans.len(), 20);
        assert_eq!(profile.totals[0].hits, 20);
        assert!(profile.spans.iter().all(|span| span.lane == 0));
    }
}
