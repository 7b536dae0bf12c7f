//! Dark work: unseen, counted, never in the way.

use crate::make::{flag, shed, snapshot};
use ioprofiler::{Facts, Outcome, Profiler};
use std::panic::{catch_unwind, panic_any};
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};

fn profiler() -> Profiler {
    let profiler = Profiler::builder().build().expect("a profiler");
    profiler.set_flags(snapshot([
        flag("f").dark(100),
        flag("on").all("on"),
        flag("off"),
    ]));
    profiler
}

#[test]
fn its_calls_are_marked_and_its_time_is_a_row_of_its_own() {
    let profiler = profiler();
    let request = profiler.begin(&Facts::web("GET", "/"));
    let _entered = request.enter();
    drop(ioprofiler::span("solr", "old"));
    let ran = request.dark("f", || {
        let template = ioprofiler::scope("template", "t");
        drop(ioprofiler::span("solr4", "new"));
        drop(template);
    });
    assert!(ran);
    drop(ioprofiler::span("solr", "old again"));
    drop(_entered);
    let profile = request.finish(200, 0);
    let dark: Vec<(&str, bool)> = profile
        .spans
        .iter()
        .map(|span| (span.category, span.dark))
        .collect();
    assert_eq!(
        dark,
        [
            ("solr", false),
            ("dark:f", true),
            ("template", true),
            ("solr4", true),
            ("solr", false)
        ]
    );
    assert!(
        profile
            .totals
            .iter()
            .any(|total| total.category == "dark:f")
    );
    let text = profile.text();
    assert!(text.contains("flag f dark, dark\n"), "{text}");
    assert!(text.contains("[dark:f]"), "{text}");
    assert_eq!(profiler.stats().dark_runs, 1);
}

#[test]
fn it_runs_only_where_the_flag_is_dark() {
    let profiler = profiler();
    let runs = AtomicU32::new(0);
    let run = || {
        runs.fetch_add(1, Ordering::Relaxed);
    };
    let request = profiler.begin(&Facts::web("GET", "/"));
    for (name, wanted) in [("f", true), ("on", false), ("off", false), ("none", false)] {
        assert_eq!(request.dark(name, run), wanted, "{name}");
        assert_eq!(request.run(|| ioprofiler::flags::dark(name, run)), wanted);
    }
    assert_eq!(runs.load(Ordering::Relaxed), 2);
    profiler.set_flags(shed(9, [flag("f").dark(100).priority(1)]));
    let request = profiler.begin(&Facts::web("GET", "/"));
    assert!(!request.dark("f", run), "any shedding turns dark work off");
    assert!(!ioprofiler::Request::none().dark("nothing like it", run));
}

#[test]
fn errors_and_panics_stay_inside_and_are_counted() {
    let profiler = profiler();
    let request = profiler.begin(&Facts::web("GET", "/"));
    request.dark("f", || Err::<(), &str>("no such index"));
    request.dark("f", || -> () { panic_any("a panic on purpose") });
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic_any("a panic while dropping");
        }
    }
    request.dark("f", || Ok::<Bomb, ()>(Bomb));
    request.dark("f", || -> () { panic_any(Bomb) });
    request.dark("f", || Some(7));
    let stats = profiler.stats();
    assert_eq!(
        (stats.dark_runs, stats.dark_errors, stats.dark_panics),
        (5, 1, 3)
    );
    let profile = request.finish(200, 0);
    let outcomes: Vec<Outcome> = profile.spans.iter().map(|span| span.outcome).collect();
    assert_eq!(outcomes[..4], [Outcome::Error; 4]);
    assert_eq!(outcomes[4], Outcome::Ok);
    assert!(profile.facts.error.is_none(), "the request did not fail");
}

/// Ready at the second poll.
struct Later<T>(Option<Option<T>>, bool);

impl<T: Unpin> Future for Later<T> {
    type Output = T;

    fn poll(mut self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<T> {
        if !self.1 {
            self.1 = true;
            drop(ioprofiler::span("solr4", "first half"));
            return Poll::Pending;
        }
        drop(ioprofiler::span("solr4", "second half"));
        match self.0.take().flatten() {
            Some(result) => Poll::Ready(result),
            None => panic_any("a panic in a future"),
        }
    }
}

fn drive<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut waker = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut waker) {
            return output;
        }
    }
}

#[test]
fn futures_run_dark_too() {
    let profiler = profiler();
    let request = profiler.begin(&Facts::web("GET", "/"));
    let later = |result: Option<Result<(), ()>>| Later(Some(result), false);
    assert!(drive(request.dark_future("f", later(Some(Ok(()))))));
    assert!(drive(request.dark_future("f", later(Some(Err(()))))));
    assert!(drive(request.dark_future("f", later(None))));
    assert!(
        !drive(request.dark_future("on", later(None))),
        "never polled"
    );
    drop(request.dark_future("f", later(None)));
    let stats = profiler.stats();
    assert_eq!(
        (stats.dark_runs, stats.dark_errors, stats.dark_panics),
        (3, 1, 1)
    );
    let profile = request.finish(200, 0);
    let calls = profile.spans.iter().filter(|span| span.category == "solr4");
    assert!(calls.clone().all(|span| span.dark), "{:?}", profile.spans);
    assert_eq!(calls.count(), 6);
    let ends: Vec<Outcome> = profile
        .spans
        .iter()
        .filter(|span| span.category == "dark:f")
        .map(|span| span.outcome)
        .collect();
    assert_eq!(
        ends,
        [
            Outcome::Ok,
            Outcome::Error,
            Outcome::Error,
            Outcome::Cancelled
        ]
    );
}

#[test]
fn the_next_call_of_the_page_is_not_dark_after_a_panic() {
    let profiler = profiler();
    let request = profiler.begin(&Facts::web("GET", "/"));
    let outcome = catch_unwind(std::panic::AssertUnwindSafe(|| {
        request.run(|| {
            ioprofiler::flags::dark("f", || -> () {
                let _left_open = ioprofiler::span("solr4", "new");
                panic_any("a panic on purpose")
            });
            drop(ioprofiler::span("solr", "old"));
        });
    }));
    assert!(outcome.is_ok());
    let profile = request.finish(200, 0);
    let last = profile.spans.last().expect("a call");
    assert_eq!(
        (last.category, last.dark, last.parent),
        ("solr", false, None)
    );
}
