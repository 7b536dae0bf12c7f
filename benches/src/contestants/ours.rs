//! ioprofiler from Rust, set up as its page says: a profiler with default options.

use super::{SPANS, detail};
use crate::harness::{Contestant, thread_cpu_ns};
use ioprofiler::{Category, Facts, Profiler, Record, Request};
use std::hint::black_box;
use std::sync::{Arc, Barrier};

static SHARD: Category = Category::leaf("dbshard01");
static TEMPLATE: Category = Category::scope("template");

/// Rows of the table of spans.
pub(crate) const STATIC: &str = "Rust: current request, static category";
pub(crate) const NAMED: &str = "Rust: current request, category by &str";
pub(crate) const HANDLE: &str = "Rust: explicit request";
pub(crate) const SCOPES: &str = "Rust: scopes, 5 deep, each";
pub(crate) const OFF: &str = "Rust: record off";
pub(crate) const OUTSIDE: &str = "Rust: no request";
pub(crate) const POLL: &str = "Rust: enter and leave (a poll of a wrapped future)";

/// Rows of the table of requests.
pub(crate) const EMPTY: &str = "begin + finish, no span";
pub(crate) const EMPTY_FACTS: &str = "begin + finish, no span, with 11 facts";
pub(crate) const HUNDRED: &str = "begin + 100 spans + finish";
pub(crate) const HUNDRED_TWICE: &str = "begin + 100 spans + finish, on each of 2 threads";
pub(crate) const SHARED: &str = "one request, 2 threads, 1,000 spans each: a span";

/// A profiler with other options than the default ones where a measurement needs them.
pub(crate) fn profiler(record: Record) -> Profiler {
    Profiler::builder()
        .record(record)
        .build()
        .expect("these options are right")
}

/// One request around some calls.
#[inline(always)]
pub(crate) fn request(profiler: &Profiler, calls: impl FnOnce(&Request)) {
    let request = profiler.begin(&Facts::web("GET", "/listing/5773453"));
    calls(&request);
    black_box(request.finish(200, 5_120));
}

/// One request that is this thread's current one while the calls are made.
#[inline(always)]
pub(crate) fn entered(profiler: &Profiler, calls: impl FnOnce()) {
    request(profiler, |request| {
        let _entered = request.enter();
        calls();
    });
}

#[inline(always)]
pub(crate) fn static_spans(count: usize) {
    for _ in 0..count {
        let _span = ioprofiler::span(&SHARD, detail());
    }
}

fn named_spans() {
    for _ in 0..SPANS {
        let _span = ioprofiler::span(black_box("dbshard01"), detail());
    }
}

fn handle_spans(request: &Request) {
    for _ in 0..SPANS {
        let _span = request.span(&SHARD, detail());
    }
}

fn nested_scopes() {
    for _ in 0..SPANS / 5 {
        let _first = ioprofiler::scope(&TEMPLATE, detail());
        let _second = ioprofiler::scope(&TEMPLATE, detail());
        let _third = ioprofiler::scope(&TEMPLATE, detail());
        let _fourth = ioprofiler::scope(&TEMPLATE, detail());
        let _fifth = ioprofiler::scope(&TEMPLATE, detail());
    }
}

/// One call at a time, each way there is.
pub(crate) fn spans() -> Vec<Contestant> {
    let on = profiler(Record::Always);
    let (a, b, c, d) = (on.clone(), on.clone(), on.clone(), on.clone());
    let off = profiler(Record::Off);
    let silent = off.begin(&Facts::web("GET", "/listing/5773453"));
    let per_request = SPANS as u64;
    vec![
        Contestant::new(STATIC, per_request, move || {
            entered(&a, || static_spans(SPANS))
        }),
        Contestant::new(NAMED, per_request, move || entered(&b, named_spans)),
        Contestant::new(HANDLE, per_request, move || request(&c, handle_spans)),
        Contestant::new(SCOPES, per_request, move || entered(&d, nested_scopes)),
        // The request stays: what is measured here is a call, and nothing is recorded.
        Contestant::new(OFF, per_request, move || {
            let _entered = silent.enter();
            static_spans(SPANS);
        }),
        Contestant::new(OUTSIDE, per_request, || static_spans(SPANS)),
        Contestant::new(POLL, per_request, move || {
            request(&on, |request| {
                for _ in 0..SPANS {
                    black_box(request.enter());
                }
            });
        }),
    ]
}

/// Whole requests.
pub(crate) fn requests() -> Vec<Contestant> {
    let on = profiler(Record::Always);
    let (a, b, c, d) = (on.clone(), on.clone(), on.clone(), on.clone());
    vec![
        Contestant::new(EMPTY, 1, move || request(&a, |_| ())),
        Contestant::new(EMPTY_FACTS, 1, move || {
            let facts = Facts::web("GET", "/listing/5773453")
                .query("ref=home")
                .scheme("https")
                .host("www.example.com")
                .protocol("HTTP/1.1")
                .peer("192.0.2.17")
                .id("4bf92f3577b34da6a3ce929d0e0e4736")
                .traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
                .headers(&[
                    ("referer", "https://www.example.com/"),
                    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0)"),
                ]);
            let request = b.begin(&facts);
            black_box(request.finish(200, 5_120));
        }),
        Contestant::new(HUNDRED, 1, move || entered(&c, || static_spans(SPANS))),
        Contestant::timed(HUNDRED_TWICE, 1, move |batches| {
            let each = batches.div_ceil(2);
            let total = on_two_threads(|| {
                let on = d.clone();
                move |barrier: &Barrier| {
                    (0..50).for_each(|_| entered(&on, || static_spans(SPANS)));
                    barrier.wait();
                    let start = thread_cpu_ns();
                    (0..each).for_each(|_| entered(&on, || static_spans(SPANS)));
                    thread_cpu_ns() - start
                }
            });
            total * batches / (2 * each)
        }),
        Contestant::timed(SHARED, 2_000, move |batches| shared_requests(&on, batches)),
    ]
}

/// Requests that two threads record at once, within the limit of 2,000 calls. The two meet before
/// each; time is taken around the calls only, less what taking the time costs.
fn shared_requests(on: &Profiler, batches: u64) -> u64 {
    let requests: Arc<Vec<Request>> = Arc::new(
        (0..batches.min(200))
            .map(|_| on.begin(&Facts::web("GET", "/")))
            .collect(),
    );
    let total = on_two_threads(|| {
        let requests = Arc::clone(&requests);
        move |barrier: &Barrier| {
            let mut total = 0;
            for request in requests.iter() {
                barrier.wait();
                let start = thread_cpu_ns();
                let entered = request.enter();
                static_spans(1_000);
                drop(entered);
                let end = thread_cpu_ns();
                total += (end - start).saturating_sub(thread_cpu_ns() - end);
            }
            total
        }
    });
    for request in requests.iter() {
        black_box(request.finish(200, 5_120));
    }
    // More would not fit into the memory that live requests may use.
    total * batches / batches.min(200)
}

/// Runs the same on two threads and adds up what they return.
fn on_two_threads<F>(make: impl Fn() -> F) -> u64
where
    F: FnOnce(&Barrier) -> u64 + Send,
{
    let barrier = Barrier::new(2);
    std::thread::scope(|scope| {
        let (first, second) = (make(), make());
        let barrier = &barrier;
        let other = scope.spawn(move || second(barrier));
        let here = scope.spawn(move || first(barrier));
        here.join().unwrap_or_default() + other.join().unwrap_or_default()
    })
}
