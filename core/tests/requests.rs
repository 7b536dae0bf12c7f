//! What one request records, seen from outside: spans, scopes, threads, futures, limits, ends.

use ioprofiler::{
    Category, Facts, Kind, MemorySink, NoteValue, Outcome, Profiler, Record, Request, SpanData,
    State,
};
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

static DB: Category = Category::leaf("dbshard01");
static TEMPLATE: Category = Category::scope("template");

fn profiler() -> Profiler {
    Profiler::builder()
        .build()
        .expect("default options are right")
}

fn begin(profiler: &Profiler) -> Request {
    profiler.begin(&Facts::web("GET", "/listing/5773453").query("ioprofiler=1"))
}

fn details(spans: &[SpanData]) -> Vec<&str> {
    spans.iter().map(|span| span.detail.as_str()).collect()
}

#[test]
fn calls_of_the_current_request_are_listed_in_order_with_their_scope() {
    let request = begin(&profiler());
    request.run(|| {
        ioprofiler::span(&DB, "SELECT 1").run(|| {});
        ioprofiler::scope(&TEMPLATE, "listing.html").run(|| {
            ioprofiler::scope(&TEMPLATE, "header.html").run(|| {
                let mut call = ioprofiler::span("memcache_get", "?").target("mc01:11211");
                call.detail("Cache HIT, keys: a").hits(1).misses(0);
            });
            ioprofiler::span(&DB, "SELECT 2").error();
        });
        ioprofiler::span(&DB, "SELECT 3").rows(7);
    });
    let profile = request.finish(200, 1_234);
    assert_eq!(
        details(&profile.spans),
        [
            "SELECT 1",
            "listing.html",
            "header.html",
            "Cache HIT, keys: a",
            "SELECT 2",
            "SELECT 3"
        ]
    );
    let parents: Vec<_> = profile.spans.iter().map(|span| span.parent).collect();
    assert_eq!(parents, [None, None, Some(1), Some(2), Some(1), None]);
    assert_eq!(profile.spans[3].target.as_deref(), Some("mc01:11211"));
    assert_eq!(profile.spans[3].counts.hits, Some(1));
    assert_eq!(profile.spans[3].counts.misses, Some(0));
    assert_eq!(profile.spans[4].outcome, Outcome::Error);
    assert_eq!(profile.spans[5].counts.rows, Some(7));
    assert!(
        profile.spans[0]
            .caller
            .is_some_and(|caller| caller.file.ends_with("requests.rs"))
    );
    assert_eq!(profile.state, State::Finished);
    assert_eq!(profile.facts.status, Some(200));
    assert_eq!(profile.facts.bytes_out, Some(1_234));
    assert_eq!(profile.facts.query.as_deref(), Some("ioprofiler=1"));
    let database = &profile.totals[0];
    assert_eq!(
        (database.category, database.calls, database.errors),
        ("dbshard01", 3, 1)
    );
    assert_eq!(database.kind, Kind::Leaf);
}

#[test]
fn a_call_of_a_future_says_what_it_found_once_it_is_ready() {
    let request = begin(&profiler());
    let found = |call: &mut ioprofiler::Span, rows: &Result<u32, ()>| {
        if let Ok(rows) = rows {
            call.rows(*rows).detail("known now");
        }
        Outcome::of(rows)
    };
    for output in [Ok(7), Err(())] {
        let call = request.span(&DB, "known before");
        let work = pin!(request.wrap(call.wrap_with(async move { output }, found)));
        assert!(
            work.poll(&mut Context::from_waker(Waker::noop()))
                .is_ready()
        );
    }
    let unheard = Request::none().span(&DB, "none");
    let work = pin!(unheard.wrap_with(async { 1 }, |_, _| panic!("nothing is recorded")));
    assert_eq!(
        work.poll(&mut Context::from_waker(Waker::noop())),
        Poll::Ready(1)
    );
    let profile = request.finish(200, 0);
    let ended: Vec<_> = profile
        .spans
        .iter()
        .map(|span| (span.detail.as_str(), span.counts.rows, span.outcome))
        .collect();
    assert_eq!(
        ended,
        [
            ("known now", Some(7), Outcome::Ok),
            ("known before", None, Outcome::Error)
        ]
    );
}

#[test]
fn a_panic_in_what_is_said_at_the_end_ends_the_call_as_failed() {
    let request = begin(&profiler());
    let work = std::panic::AssertUnwindSafe(|| {
        let call = request.span(&DB, "SELECT 1");
        let work = pin!(call.wrap_with(async {}, |_, ()| panic!("on purpose")));
        let _ = work.poll(&mut Context::from_waker(Waker::noop()));
    });
    assert!(std::panic::catch_unwind(work).is_err());
    let profile = request.finish(200, 0);
    assert_eq!(profile.spans[0].outcome, Outcome::Error);
}

#[test]
fn calls_that_end_out_of_order_leave_nothing_open() {
    let request = begin(&profiler());
    request.run(|| {
        let outer = ioprofiler::span(&DB, "orm");
        let inner = ioprofiler::span(&DB, "SELECT 1");
        drop(outer);
        drop(inner);
        ioprofiler::span(&DB, "SELECT 2").run(|| {});
        let page = ioprofiler::scope(&TEMPLATE, "page.html");
        let header = ioprofiler::scope(&TEMPLATE, "header.html");
        let logo = ioprofiler::scope(&TEMPLATE, "logo.html");
        drop(header);
        drop(page);
        drop(logo);
        ioprofiler::span(&DB, "SELECT 3").run(|| {});
    });
    let profile = request.finish(200, 0);
    let parents: Vec<_> = profile.spans.iter().map(|span| span.parent).collect();
    assert_eq!(
        details(&profile.spans),
        [
            "SELECT 1",
            "SELECT 2",
            "page.html",
            "header.html",
            "logo.html",
            "SELECT 3"
        ]
    );
    assert_eq!(parents, [None, None, None, Some(2), Some(3), None]);
}

#[test]
fn a_leaf_inside_a_leaf_is_one_call_with_the_inner_detail() {
    let request = begin(&profiler());
    request.run(|| {
        let orm = ioprofiler::span(&DB, "Listing.find(1)");
        ioprofiler::span("driver", "SELECT * FROM listings").rows(3);
        ioprofiler::span("driver", "SELECT * FROM images").rows(9);
        drop(orm);
        ioprofiler::span(&DB, "SELECT 2").run(|| {});
    });
    let profile = request.finish(200, 0);
    assert_eq!(
        details(&profile.spans),
        ["SELECT * FROM listings", "SELECT 2"]
    );
    assert_eq!(profile.spans[0].category, "dbshard01");
    assert_eq!(profile.spans[0].counts.rows, Some(3));
    assert_eq!(profile.totals.len(), 1);
    assert_eq!(profile.totals[0].calls, 2);
}

#[test]
fn nothing_is_recorded_outside_a_request_or_after_its_end() {
    let profiler = profiler();
    assert!(ioprofiler::span(&DB, "SELECT 1").is_none());
    let request = begin(&profiler);
    let guard = request.enter();
    let late = ioprofiler::span(&DB, "SELECT 1");
    assert_eq!(request.snapshot().spans.len(), 1);
    let profile = request.finish(200, 0);
    drop(late);
    assert_eq!(profile.spans[0].outcome, Outcome::Open);
    drop(ioprofiler::span(&DB, "SELECT 2"));
    assert_eq!(profile.spans.len(), 1);
    drop(guard);
    assert!(ioprofiler::span(&DB, "SELECT 3").is_none());
    assert!(request.span(&DB, "SELECT 4").is_none());
    assert_eq!(
        request.finish(500, 9).facts.status,
        Some(200),
        "the first end counts"
    );
}

#[test]
fn the_profile_of_no_request_says_why_it_is_empty() {
    // What bindings have once their request has ended, too.
    let text = Request::none().snapshot().text();
    assert!(text.contains("the request had ended before"), "{text}");
    assert!(!text.contains("record is off"), "{text}");
}

#[test]
fn eight_threads_record_into_one_request() {
    let request = begin(&Profiler::builder().max_spans(10_000).build().expect("fine"));
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let request = &request;
            scope.spawn(move || {
                for call in 0..500 {
                    if call % 2 == 0 {
                        request
                            .run(|| ioprofiler::span(&DB, format!("{thread}/{call}")).run(|| {}));
                    } else {
                        request.span(&DB, format!("{thread}/{call}")).run(|| {});
                    }
                }
            });
        }
        for _ in 0..50 {
            let seen = request.snapshot();
            assert!(seen.spans.iter().all(|span| span.detail.contains('/')));
        }
    });
    let profile = request.finish(200, 0);
    assert_eq!(profile.spans.len(), 4_000);
    let mut all: Vec<&str> = details(&profile.spans);
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 4_000);
}

/// Ready after so many polls, with a call inside each.
async fn polls(times: usize, name: &str) {
    for turn in 0..times {
        ioprofiler::span("memcache_get", format!("{name} {turn}")).run(|| {});
        let mut first = true;
        std::future::poll_fn(|_| {
            if std::mem::take(&mut first) {
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        })
        .await;
    }
}

#[test]
fn a_future_keeps_its_request_and_scope_while_it_moves_between_threads() {
    let request = begin(&profiler());
    let other = begin(&profiler());
    let work = request.wrap(async {
        let page = ioprofiler::scope(&TEMPLATE, "page").wrap(polls(6, "mine"));
        page.await;
        ioprofiler::span(&DB, "after").wrap(polls(2, "inner")).await;
    });
    let mut work = Box::pin(work);
    for _ in 0..100 {
        let moved = std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    // Another request is current on the thread that polls.
                    let _entered = other.enter();
                    work.as_mut().poll(&mut Context::from_waker(Waker::noop()))
                })
                .join()
                .expect("no panic")
        });
        if moved.is_ready() {
            break;
        }
    }
    let profile = request.finish(200, 0);
    assert_eq!(profile.spans.len(), 8, "{:?}", details(&profile.spans));
    assert!(
        profile.spans[1..7]
            .iter()
            .all(|span| span.parent == Some(0))
    );
    assert_eq!(
        profile.spans[7].detail, "inner 0",
        "a leaf in a leaf is one call"
    );
    assert_eq!(profile.spans[7].outcome, Outcome::Ok);
    assert!(other.finish(200, 0).spans.is_empty());
}

#[test]
fn a_dropped_future_is_cancelled_and_an_err_is_an_error() {
    let request = begin(&profiler());
    {
        let mut work = pin!(request.wrap(async {
            ioprofiler::span(&DB, "never")
                .wrap(std::future::pending::<()>())
                .await;
        }));
        assert!(
            work.as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
                .is_pending()
        );
        assert_eq!(request.snapshot().spans[0].outcome, Outcome::Open);
    }
    let failed = pin!(request.wrap(async {
        ioprofiler::span(&DB, "fails")
            .wrap_result(async { Err::<(), ()>(()) })
            .await
    }));
    let _ = failed.poll(&mut Context::from_waker(Waker::noop()));
    let profile = request.finish(200, 0);
    assert_eq!(profile.spans[0].outcome, Outcome::Cancelled);
    assert_eq!(profile.spans[1].outcome, Outcome::Error);
    assert!(!profile.spans[0].after_answer);
    assert!(
        profile.spans[1].after_answer,
        "it began after the first snapshot"
    );
}

#[test]
fn totals_are_exact_past_every_limit() {
    let options = [
        Profiler::builder().max_spans(100),
        Profiler::builder().max_memory(1 << 20),
        Profiler::builder().max_detail_bytes(1_000),
    ];
    for (which, options) in options.into_iter().enumerate() {
        let request = begin(&options.build().expect("fine"));
        let mut open = Vec::new();
        request.run(|| {
            for call in 0..30_000 {
                let mut span = ioprofiler::span(&DB, format!("SELECT {call}"));
                span.rows(2);
                if call % 3 == 0 {
                    span.error()
                } else {
                    drop(span)
                }
            }
        });
        for _ in 0..40 {
            open.push(request.span("memcache_get", "open"));
        }
        let profile = request.finish(200, 0);
        let database = &profile.totals[0];
        assert_eq!(
            (database.calls, database.errors, database.rows),
            (30_000, 10_000, 60_000)
        );
        let memcache = &profile.totals[1];
        assert_eq!((memcache.calls, memcache.open), (40, 40));
        assert!(database.time_ns > 0);
        let limit = profile.limit.map(ioprofiler::profile::Limit::as_str);
        assert!(limit.is_some(), "case {which}");
        assert_eq!(profile.spans.len() as u64 + profile.unlisted, 30_040);
        if which == 0 {
            assert_eq!(profile.spans.len(), 100);
        }
    }
}

#[test]
fn details_are_cut_at_a_character_and_repaired() {
    let request = begin(&profiler());
    let long = "é".repeat(50_000_000);
    request.span(&DB, &long).run(|| {});
    request.span(&DB, [b'a', 0xff, 0, b'b']).run(|| {});
    let profile = request.finish(200, 0);
    assert_eq!(profile.spans[0].detail.len(), 8_192);
    assert_eq!(profile.spans[0].detail_cut_from, Some(100_000_000));
    assert_eq!(profile.spans[1].detail, "a\u{fffd}\0b");
    assert_eq!(profile.spans[1].detail_cut_from, None);
}

#[test]
fn record_can_be_changed_at_run_time() {
    let profiler = Profiler::builder()
        .record(Record::Asked)
        .build()
        .expect("fine");
    assert!(!begin(&profiler).is_recording());
    assert!(
        profiler
            .begin(&Facts::web("GET", "/").asked(true))
            .is_recording()
    );
    profiler.set_record(Record::Always);
    let before = begin(&profiler);
    profiler.disable();
    assert!(
        before.is_recording(),
        "only requests that begin from now on"
    );
    assert!(!begin(&profiler).is_recording());
    profiler.enable();
    assert_eq!(profiler.record(), Record::Always);
}

#[test]
fn forgotten_requests_are_abandoned() {
    let memory = MemorySink::new(10);
    let kept = memory.clone();
    let profiler = Profiler::builder()
        .request_ttl(Duration::from_millis(1))
        .sink(move || memory.clone())
        .threadless(true)
        .build()
        .expect("fine");
    let old = begin(&profiler);
    std::thread::sleep(Duration::from_millis(5));
    assert!(profiler.flush(Duration::from_secs(5)));
    assert!(!old.is_recording(), "past its time");
    drop(begin(&profiler));
    assert!(profiler.flush(Duration::from_secs(5)));
    let states: Vec<State> = kept
        .profiles()
        .iter()
        .map(|profile| profile.state)
        .collect();
    assert_eq!(states, [State::Abandoned; 2]);
}

#[test]
fn finished_profiles_reach_the_sink_by_the_thread() {
    let memory = MemorySink::new(1_000);
    let kept = memory.clone();
    let profiler = Profiler::builder()
        .sink(move || memory.clone())
        .build()
        .expect("fine");
    for status in 200..300 {
        let request = begin(&profiler);
        request.span(&DB, "SELECT 1").run(|| {});
        request.finish(status, 0);
    }
    assert!(profiler.flush(Duration::from_secs(10)));
    let statuses: Vec<_> = kept
        .profiles()
        .iter()
        .filter_map(|profile| profile.facts.status)
        .collect();
    assert_eq!(statuses, (200..300).collect::<Vec<u16>>());
    assert!(profiler.shutdown(Duration::from_secs(10)));
    begin(&profiler).finish(200, 0);
    assert_eq!(profiler.stats().queue_dropped, 1);
}

#[test]
fn requests_in_flight_show_their_open_calls() {
    let profiler = profiler();
    let request = begin(&profiler);
    request.set_route("/listing/{id}");
    let done = request.span(&DB, "done");
    drop(done);
    let _open = request.span(&DB, "SELECT sleep(28)");
    let live = profiler.in_flight();
    assert_eq!(live.len(), 1);
    assert_eq!(live[0].facts.route.as_deref(), Some("/listing/{id}"));
    assert_eq!(details(&live[0].spans), ["SELECT sleep(28)"]);
    request.finish(200, 0);
    assert!(profiler.in_flight().is_empty());
}

#[test]
fn calls_can_be_recorded_after_the_fact_and_jobs_detached() {
    let request = begin(&profiler());
    std::thread::sleep(Duration::from_millis(20));
    request.add_span(
        &DB,
        "SELECT 1",
        Duration::from_millis(5),
        Duration::from_millis(10),
    );
    let job = request.detach("send mail");
    let page = request.finish(200, 0);
    assert_eq!(page.spans[0].duration_ns / 1_000_000, 10);
    job.span("smtp", "RCPT").run(|| {});
    let job = job.finish(0, 0);
    assert_eq!(job.parent_id.as_deref(), Some(page.id.as_str()));
    assert_eq!(job.spans.len(), 1);
    assert_eq!(page.id.len(), 32);
}

#[test]
fn notes_are_set_from_any_thread_until_the_end() {
    let profiler = profiler();
    let request = begin(&profiler);
    let lost = profiler.stats().lost_notes;
    ioprofiler::note("outside", 1);
    request.note("user_id", 5_020_244);
    request.run(|| ioprofiler::note("cart", "3 things"));
    std::thread::scope(|threads| {
        for thread in 0..4_u32 {
            let request = &request;
            threads.spawn(move || {
                for round in 0..1_000_u32 {
                    request.note(&format!("thread{thread}"), round);
                }
            });
        }
    });
    request.note("user_id", 7);
    let names = |profile: &ioprofiler::Profile| {
        let mut names: Vec<String> = profile.notes.iter().map(|note| note.name.clone()).collect();
        names[2..].sort();
        names.join(" ")
    };
    let all = "user_id cart thread0 thread1 thread2 thread3";
    assert_eq!(names(&request.snapshot()), all);
    let profile = request.finish(200, 0);
    request.note("late", 1);
    assert_eq!(names(&profile), all);
    assert_eq!(profile.notes[0].value, NoteValue::Integer(7));
    for note in &profile.notes[2..] {
        assert_eq!(note.value, NoteValue::Integer(999), "{}", note.name);
    }
    assert!(profiler.stats().lost_notes > lost);
    drop(profile);
    let next = begin(&profiler).finish(200, 0);
    assert!(next.notes.is_empty(), "{:?}", next.notes);
}

#[test]
fn headers_are_kept_as_they_came() {
    let profiler = profiler();
    let raw: [(&str, &[u8]); 2] = [("user-agent", b"\xff\x00\"\\"), ("referer", b"")];
    let request = profiler.begin(&Facts::web("GET", "/").raw_headers(&raw));
    request.answer_header("content-type", "text/html");
    let profile = request.finish(200, 0);
    let read: Vec<(&str, &[u8])> = profile
        .facts
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_slice()))
        .collect();
    assert_eq!(read, raw);
    let answer = ("content-type".to_owned(), b"text/html".to_vec());
    assert_eq!(profile.facts.answer_headers, [answer]);
}

#[test]
fn a_handle_of_a_request_that_is_held_does_not_keep_it_open() {
    use ioprofiler::category::CategoryId;
    use ioprofiler::handle::{RequestHandle, Site, SpanHandle};

    let profiler = profiler();
    let request = begin(&profiler);
    let handle = RequestHandle::of(&request);
    let db = CategoryId::from_number(0);
    let call = handle.span(db, b"SELECT 1", SpanHandle::NONE, Site::NONE);
    call.end(Outcome::Ok);
    assert_eq!(details(&request.snapshot().spans), ["SELECT 1"]);
    drop(request);
    assert!(
        handle.request().is_none(),
        "it was abandoned with its last holder"
    );
    assert_eq!(RequestHandle::of(&Request::none()), RequestHandle::NONE);
}

#[test]
fn what_a_look_for_keys_brought_is_said_at_once_from_anywhere() {
    use ioprofiler::category::CategoryId;
    use ioprofiler::handle::{RequestHandle, Site, SpanHandle};

    let request = begin(&profiler());
    let handle = RequestHandle::of(&request);
    let look = |key: &[u8]| {
        handle.span(
            CategoryId::from_number(0),
            key,
            SpanHandle::NONE,
            Site::NONE,
        )
    };
    let long = format!("Cache MISS, keys: {}", "k".repeat(2_000));
    let (short, cut, elsewhere, ended) = (look(b"a"), look(b"k"), look(b"b"), look(b"c"));
    short.found(b"Cache HIT, keys: a", 1, 0);
    cut.found(long.as_bytes(), 0, 1);
    std::thread::spawn(move || elsewhere.found(b"Cache HIT, keys: b", 3, 2))
        .join()
        .expect("it does not panic");
    ended.end(Outcome::Ok);
    ended.found(b"Cache HIT, keys: c", 1, 0);
    for span in [short, cut, elsewhere] {
        span.end(Outcome::Ok);
    }
    let spans = request.snapshot().spans.clone();
    assert_eq!(
        details(&spans),
        ["Cache HIT, keys: a", &long, "Cache HIT, keys: b", "c"]
    );
    let found: Vec<_> = spans
        .iter()
        .map(|span| (span.counts.hits, span.counts.misses))
        .collect();
    let said = |hits, misses| (Some(hits), Some(misses));
    assert_eq!(found, [said(1, 0), said(0, 1), said(3, 2), (None, None)]);
}

#[test]
fn notes_so_far_can_be_read_while_the_request_lives() {
    let request = begin(&profiler());
    request.note("user_id", 5020244);
    request.note("cart", "3 things");
    request.note("user_id", 5);
    let notes = request.notes();
    let names: Vec<&str> = notes.iter().map(|note| note.name.as_str()).collect();
    assert_eq!(names, ["user_id", "cart"]);
    assert_eq!(notes[0].value, NoteValue::Integer(5));
    assert!(Request::none().notes().is_empty());
}
