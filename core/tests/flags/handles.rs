//! Flags for hosts that keep numbers.

use crate::make::{flag, snapshot};
use ioprofiler::flags::{DarkEnd, FlagId, Subject};
use ioprofiler::handle::{RequestHandle, Site, SpanHandle};
use ioprofiler::{Facts, Profiler};

fn profiler() -> Profiler {
    let profiler = Profiler::builder().build().expect("a profiler");
    profiler.set_flags(snapshot([
        flag("handles").all("green").user("ann", "blue"),
        flag("handles_dark").dark(100),
    ]));
    profiler
}

#[test]
fn a_number_decides_as_a_request_does_and_counts() {
    let profiler = profiler();
    let handle = RequestHandle::new(profiler.begin(&Facts::web("GET", "/")));
    let id = FlagId::intern("handles");
    for _ in 0..3 {
        assert_eq!(handle.decide(id, false).variant(), "green");
    }
    let number = handle.decide(id, false).variant_number();
    assert_eq!(
        ioprofiler::flags::Decision::variant_of_number(number),
        "green"
    );
    let ann = handle.decide_for(id, &Subject::user("ann"), false);
    assert_eq!(ann.variant(), "blue");
    let missing = FlagId::intern("handles_missing");
    assert!(handle.decide(missing, true).is_on());
    assert!(
        !handle.decide(missing, false).is_on(),
        "each caller's own default"
    );
    assert!(handle.decide(FlagId::default(), true).is_on());
    let profile = handle.request().finish(200, 0);
    let exposures = &profile.flags.as_ref().expect("flags").exposures;
    assert_eq!((exposures[0].flag, exposures[0].count), ("handles", 4));
}

#[test]
fn a_stale_number_decides_as_outside_and_is_counted() {
    let profiler = profiler();
    let id = FlagId::intern("handles");
    let handle = RequestHandle::new(profiler.begin(&Facts::web("GET", "/")));
    assert!(handle.decide(id, false).is_on());
    drop(handle.request().finish(200, 0));
    let before = profiler.stats().stale_handles;
    let next = RequestHandle::new(profiler.begin(&Facts::web("GET", "/")));
    // Outside, whichever profiler of this test's process has flags decides.
    let _ = handle.decide(id, false);
    let _ = RequestHandle::from_bits(u64::MAX).decide(id, true);
    assert!(profiler.stats().stale_handles >= before + 2);
    let _ = RequestHandle::NONE.decide(id, true);
    let profile = next.request().finish(200, 0);
    assert!(
        profile
            .flags
            .as_ref()
            .is_none_or(|flags| flags.exposures.is_empty())
    );
}

#[test]
fn dark_work_that_the_host_runs_is_recorded_and_counted() {
    let profiler = profiler();
    let handle = RequestHandle::new(profiler.begin(&Facts::web("GET", "/")));
    let id = FlagId::intern("handles_dark");
    for end in [DarkEnd::Ok, DarkEnd::Error, DarkEnd::Panic] {
        let span = handle.dark_begin(id, SpanHandle::NONE, Site::NONE);
        handle.dark_end(span.expect("it is dark"), end);
    }
    let not_dark = FlagId::intern("handles");
    assert!(
        handle
            .dark_begin(not_dark, SpanHandle::NONE, Site::NONE)
            .is_none()
    );
    let stats = profiler.stats();
    assert_eq!(
        (stats.dark_runs, stats.dark_errors, stats.dark_panics),
        (3, 1, 1)
    );
    let profile = handle.request().finish(200, 0);
    assert!(profile.spans.len() == 3 && profile.spans.iter().all(|span| span.dark));
}
