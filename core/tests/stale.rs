//! Numbers of spans that never ended, used after their request: in a process of its own, where no
//! other thread can hold a finished request a moment longer.

use ioprofiler::handle::{RequestHandle, Site, SpanHandle};
use ioprofiler::{Facts, Kind, Outcome, Profiler};

#[test]
fn a_number_of_an_earlier_request_changes_nothing_in_the_slots_next_one() {
    let category =
        ioprofiler::category::intern("template", Kind::Scope, ioprofiler::Dialect::Generic);
    let profiler = Profiler::builder()
        .build()
        .expect("default options are right");
    let begin = || RequestHandle::new(profiler.begin(&Facts::web("GET", "/")));
    // The slot and chunk of the first are used again by one of these.
    let never_ended: Vec<SpanHandle> = (0..100)
        .map(|_| {
            let request = begin();
            let span = request.span(category, b"first", SpanHandle::NONE, Site::NONE);
            let _ = request.request().finish(200, 0);
            span
        })
        .collect();
    let again: Vec<RequestHandle> = (0..100).map(|_| begin()).collect();
    let before = profiler.stats().stale_handles;
    for span in &never_ended {
        span.rows(7);
        span.detail(b"late");
        span.end(Outcome::Error);
    }
    assert_eq!(profiler.stats().stale_handles, before + 300);
    for request in again {
        let span = request.span(category, b"second", SpanHandle::NONE, Site::NONE);
        span.end(Outcome::Ok);
        let profile = request.request().finish(200, 0);
        assert_eq!(profile.spans.len(), 1);
        assert_eq!(profile.spans[0].detail, "second");
        assert_eq!(profile.spans[0].counts.rows, None);
    }
}
