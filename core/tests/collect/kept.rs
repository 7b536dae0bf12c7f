//! Kept requests: the slow and the failed ones.

use super::*;
use ioprofiler::{Clock, Facts, Keep, KeptFor, LogEvent, Profiler, render};
use std::sync::{Arc, Mutex};
use std::time::Instant;

fn page(profiler: &Profiler, route: &str, milliseconds: u64, status: u16) {
    let request = profiler.begin(&Facts::web("GET", "/listing/5773453").query("q=secret"));
    request.set_route(route);
    request.set_user("5020244");
    request.run(|| {
        drop(ioprofiler::span(
            "dbshard01",
            "SELECT 1 FROM t WHERE name = 'ann'",
        ))
    });
    Clock::advance(Duration::from_millis(milliseconds));
    request.finish(status, 0);
    profiler.flush(SOON);
}

fn builder() -> ioprofiler::ProfilerBuilder {
    Profiler::builder().clock(Clock::Manual).threadless(true)
}

#[test]
fn the_slowest_of_each_route_and_those_that_failed_are_kept() {
    let _clock = clock();
    let keep = Keep::default().slowest(2).errors(2);
    let profiler = builder().keep(keep).build().unwrap();
    for milliseconds in [5, 9, 1, 7, 3] {
        page(&profiler, "/listing/{id}", milliseconds, 200);
    }
    for milliseconds in [1, 2, 3] {
        page(&profiler, "/search", milliseconds, 503);
    }
    let kept = profiler.kept();
    let shown: Vec<(KeptFor, &str, u64)> = kept
        .iter()
        .map(|kept| {
            let route = kept.profile.facts.route.as_deref().unwrap_or_default();
            (kept.reason, route, kept.profile.page_ns / 1_000_000)
        })
        .collect();
    assert_eq!(
        shown,
        [
            (KeptFor::Slow, "/listing/{id}", 9),
            (KeptFor::Slow, "/listing/{id}", 7),
            (KeptFor::Error, "/search", 3),
            (KeptFor::Error, "/search", 2),
        ]
    );
    // Nothing of the person who asked.
    for kept in &kept {
        let text =
            render::text(&kept.profile) + &render::json(&kept.profile, render::Details::Full);
        for secret in ["ann", "5773453", "secret", "5020244"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
        assert!(text.contains("SELECT ? FROM t WHERE name = ?"), "{text}");
    }
}

#[test]
fn what_is_too_old_or_too_large_is_forgotten() {
    let _clock = clock();
    let keep = Keep::default().slowest(3).during(Duration::from_secs(60));
    let profiler = builder().keep(keep).build().unwrap();
    page(&profiler, "/", 500, 200);
    Clock::advance(Duration::from_secs(50));
    page(&profiler, "/", 10, 200);
    assert_eq!(profiler.kept().len(), 2);
    Clock::advance(Duration::from_secs(20));
    page(&profiler, "/", 5, 200);
    let times: Vec<u64> = profiler
        .kept()
        .iter()
        .map(|kept| kept.profile.page_ns / 1_000_000)
        .collect();
    assert_eq!(times, [10, 5]);

    let profiler = builder()
        .keep(Keep::default().slowest(100).max_bytes(20_000))
        .build()
        .unwrap();
    for number in 0..50 {
        page(&profiler, &format!("/{number}"), 1, 200);
    }
    let kept = profiler.kept().len();
    assert!((2..20).contains(&kept), "{kept}");
}

#[test]
fn full_details_are_kept_where_the_operator_says_so() {
    let _clock = clock();
    let keep = Keep::default().details(render::Details::Full);
    let profiler = builder().keep(keep).build().unwrap();
    page(&profiler, "/", 1, 200);
    let kept = profiler.kept();
    assert_eq!(
        kept[0].profile.spans[0].detail,
        "SELECT 1 FROM t WHERE name = 'ann'"
    );
}

#[test]
fn the_very_first_request_of_a_process_is_seen_to_hang() {
    let _clock = clock();
    let said: Arc<Mutex<Vec<LogEvent>>> = Arc::default();
    let log = Arc::clone(&said);
    let profiler = builder()
        .threadless(false)
        .metrics(true)
        .stuck_after(Duration::from_millis(100))
        .on_log(move |event| log.lock().unwrap().push(event.clone()))
        .build()
        .unwrap();
    let _request = profiler.begin(&Facts::web("GET", "/hangs"));
    Clock::advance(Duration::from_millis(150));
    let deadline = Instant::now() + SOON;
    while !said
        .lock()
        .unwrap()
        .iter()
        .any(|event| event.kind == "stuck")
    {
        assert!(Instant::now() < deadline, "nobody looked");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_request_that_is_stuck_is_said_once_with_its_open_call() {
    let _clock = clock();
    let said: Arc<Mutex<Vec<LogEvent>>> = Arc::default();
    let log = Arc::clone(&said);
    let profiler = builder()
        .metrics(true)
        .stuck_after(Duration::from_millis(100))
        .on_log(move |event| log.lock().unwrap().push(event.clone()))
        .build()
        .unwrap();
    let request = profiler.begin(&Facts::web("GET", "/x").id("4bf92f35"));
    request.set_route("/listing/{id}");
    let _entered = request.enter();
    let _call = ioprofiler::span("dbshard02", "SELECT * FROM t WHERE id = 7");
    Clock::advance(Duration::from_millis(150));
    for _ in 0..3 {
        profiler.flush(SOON);
        // Looked at once a second.
        std::thread::sleep(Duration::from_millis(550));
    }
    let said = said.lock().unwrap();
    let stuck: Vec<&String> = said
        .iter()
        .filter(|event| event.kind == "stuck")
        .map(|event| &event.message)
        .collect();
    assert_eq!(stuck.len(), 1, "{said:?}");
    assert!(
        stuck[0].starts_with("GET /listing/{id} for 0."),
        "{stuck:?}"
    );
    assert!(
        stuck[0].contains("request 4bf92f35: [dbshard02] 0."),
        "{stuck:?}"
    );
    assert!(
        stuck[0].ends_with(" s SELECT * FROM t WHERE id = ?"),
        "{stuck:?}"
    );
    assert_eq!(gauge(&profiler.series(), "request.stuck", &[]), 1.0);
}
