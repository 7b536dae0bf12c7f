//! What the application counts itself.

use super::*;
use ioprofiler::{Event, EventKind, Profiler};
use std::sync::{Arc, Mutex};

#[test]
fn counters_gauges_and_timings_need_no_registration() {
    let profiler = Profiler::builder()
        .metrics(true)
        .threadless(true)
        .build()
        .unwrap();
    profiler.count("own.registrations", 1);
    profiler.count("own.registrations", 2);
    profiler.count("own.registrations;plan=pro", 5);
    profiler.gauge("own.queue", 3.0);
    profiler.gauge("own.queue", -1.5);
    profiler.timing("own.mail", Duration::from_millis(20));
    profiler.timing("own.mail", Duration::from_millis(40));
    let series = profiler.series();
    assert_eq!(counter(&series, "own.registrations", &[]), 3);
    assert_eq!(counter(&series, "own.registrations", &["pro"]), 5);
    assert_eq!(gauge(&series, "own.queue", &[]), -1.5);
    let mail = distribution(&series, "own.mail", &[]);
    assert_eq!((mail.count, mail.sum_ns), (2, 60_000_000));
    assert_eq!(mail.quantile_ns(0.5).unwrap() / 1_000_000, 20);
}

#[test]
fn what_cannot_be_taken_is_counted() {
    let said = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&said);
    let profiler = Profiler::builder()
        .metrics(true)
        .threadless(true)
        .on_log(move |event| log.lock().unwrap().push(event.message.clone()))
        .build()
        .unwrap();
    profiler.count("lost.kind", 1);
    profiler.gauge("lost.kind", 1.0);
    profiler.count("", 1);
    profiler.count("lost;label", 1);
    profiler.count(&"x".repeat(200), 1);
    profiler.gauge("lost.gauge", f64::INFINITY);
    let series = profiler.series();
    assert_eq!(counter(&series, "profiler.dropped", &["metrics"]), 5);
    assert_eq!(counter(&series, "lost.kind", &[]), 1);
    assert_eq!(profiler.stats().lost_metrics, 5);
    profiler.flush(Duration::from_secs(5));
    let said = said.lock().unwrap();
    let is_said = |line: &String| line.contains("values of metrics not taken");
    assert!(said.iter().any(is_said), "{said:?}");
}

#[test]
fn each_profiler_counts_for_itself() {
    let make = || {
        Profiler::builder()
            .metrics(true)
            .threadless(true)
            .build()
            .unwrap()
    };
    let (first, second) = (make(), make());
    first.count("each.profiler", 1);
    second.count("each.profiler", 10);
    assert_eq!(counter(&first.series(), "each.profiler", &[]), 1);
    assert_eq!(counter(&second.series(), "each.profiler", &[]), 10);
}

#[test]
fn a_deploy_is_the_version_of_what_follows() {
    let profiler = Profiler::builder()
        .metrics(true)
        .threadless(true)
        .build()
        .unwrap();
    let page = || {
        profiler
            .begin(&ioprofiler::Facts::web("GET", "/"))
            .finish(200, 0)
    };
    drop(page());
    profiler.flush(SOON);
    profiler.deploy("8c1f", "erika", "new search");
    profiler.event(Event::new(EventKind::Own, "cache emptied"));
    profiler.flush(SOON);
    drop((page(), page()));
    profiler.deploy("8c1f", "erika", "told twice");
    profiler.flush(SOON);
    let series = profiler.series();
    let of = |version: Option<&str>| {
        let found = series
            .iter()
            .find(|series| series.version.as_deref() == version);
        let labels = ["web", "unknown", "GET", "200", "ok"];
        found.map(|found| {
            distribution(std::slice::from_ref(found), "request.duration", &labels).count
        })
    };
    assert_eq!(of(Some("8c1f")), Some(2));
    assert_eq!(of(None), Some(1));
    assert_eq!(gauge(&series, "build.info", &["8c1f"]), 1.0);
    assert!(gauge(&series, "deploy.timestamp", &["8c1f"]) > 1.7e9);
}

#[test]
fn options_out_of_range_fail_at_start() {
    let wrong = |builder: ioprofiler::ProfilerBuilder| builder.build().unwrap_err().to_string();
    let builder = Profiler::builder;
    assert_eq!(
        wrong(builder().keep(ioprofiler::Keep::default().slowest(101))),
        "keep.slowest: 101 is more than 100"
    );
    assert_eq!(
        wrong(builder().stuck_after(Duration::from_millis(5))),
        "stuck_after: 5ms is not between 100ms and 1d"
    );
    assert_eq!(
        wrong(builder().worker("")),
        "worker: \"\" has not between 1 and 64 bytes"
    );
}

#[test]
fn flags_that_nobody_looked_at_yet_are_as_old_as_their_reading() {
    let folder = folder("flags");
    let file = folder.join("flags.toml");
    std::fs::write(&file, "[flags.new_search]\nenabled = \"on\"\n").unwrap();
    let profiler = Profiler::builder()
        .flags([file])
        .metrics(true)
        .threadless(true)
        .build()
        .unwrap();
    let series = profiler.series();
    for age in ["flags.checked.age", "flags.changed.age"] {
        let age = gauge(&series, age, &[]);
        assert!((0.0..60.0).contains(&age), "{age}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_process_that_is_only_scraped_looks_at_its_flags_too() {
    let folder = folder("scraped");
    let file = folder.join("flags.toml");
    std::fs::write(&file, "[flags.new_search]\nenabled = \"on\"\n").unwrap();
    let builder = Profiler::builder().flags([file]).metrics(true);
    let profiler = builder.build().unwrap();
    let looks = || profiler.stats().flags.looks;
    assert_eq!(profiler.prometheus("").status, 200);
    for _ in 0..1_000 {
        if looks() > 1 {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(looks() > 1);
    assert!(profiler.shutdown(SOON));
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_scrape_that_cannot_tell_what_all_have_counted_says_so() {
    let folder = folder("gone");
    let state = folder.join("state");
    let builder = Profiler::builder().state_dir(&state).threadless(true);
    let profiler = builder.build().unwrap();
    profiler.count("gone.registrations", 3);
    let counted = |scrape: &str| scrape.contains("\ngone_registrations_total 3\n");
    let scrape = profiler.prometheus("");
    assert!(scrape.status == 200 && counted(&scrape.body));
    std::fs::remove_dir_all(&state).unwrap();
    // Less than before would be taken for a new beginning.
    let scrape = profiler.prometheus("");
    assert_eq!(scrape.status, 503);
    assert_eq!(
        scrape.body,
        "nothing can be read now: the collector is busy, or state_dir cannot be read\n"
    );
    std::fs::create_dir_all(state.join("series")).unwrap();
    let scrape = profiler.prometheus("");
    assert!(scrape.status == 200 && counted(&scrape.body));
    std::fs::remove_dir_all(folder).unwrap();
}
