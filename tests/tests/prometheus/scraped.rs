//! Scrapes, by hand: whoever answers shows what all have counted, and nothing ever goes back.

use super::shop::{carbon, folder, load};
use super::{OPEN, Scrape, scrape, start, sum};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Whether a series only grows.
fn is_cumulative(series: &str) -> bool {
    let name = series.split('{').next().unwrap();
    ["_total", "_count", "_sum", "_bucket"]
        .iter()
        .any(|ending| name.ends_with(ending))
}

/// Nothing that only grows is less than before; nothing that was there is missing.
fn compare(before: &Scrape, now: &Scrape) {
    for (series, value) in before.iter().filter(|(series, _)| is_cumulative(series)) {
        let now = now.get(series);
        assert!(
            now.is_some_and(|now| now >= value),
            "{series} was {value} and is {now:?}"
        );
    }
}

/// Scrapes as fast as it can until it is told to stop; counts how often.
fn keep_scraping(address: &str, headers: &str, stop: &AtomicBool, scrapes: &AtomicUsize) {
    let mut before = Scrape::new();
    while !stop.load(Ordering::Relaxed) {
        // One that a killed worker does not answer is no scrape; one too many is sent away.
        let answer = ioprofiler_tests::workers::get(address, "/metrics", headers);
        let Some(answer) = answer.filter(|answer| answer.status != 503) else {
            continue;
        };
        let now = scrape(&answer);
        compare(&before, &now);
        before = now;
        scrapes.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn no_counter_goes_back_whichever_process_answers_also_when_some_are_killed() {
    // `tests/run --long` does it more often.
    let long = std::env::var_os("IOPROF_LONG").is_some();
    let (turns, enough) = if long { (200, 1_000) } else { (6, 30) };
    let folder = folder(carbon());
    let mut workers = start(&folder, 4);
    let (stop, scrapes) = (AtomicBool::new(false), AtomicUsize::new(0));
    let address = workers.address();
    std::thread::scope(|scope| {
        for headers in ["", OPEN, ""] {
            let (address, stop, scrapes) = (&address, &stop, &scrapes);
            scope.spawn(move || {
                // Also where what it saw was wrong.
                let _stop = StopAtEnd(stop);
                keep_scraping(address, headers, stop, scrapes);
            });
        }
        let mut turn = 0;
        while !stop.load(Ordering::Relaxed)
            && (turn < turns || scrapes.load(Ordering::Relaxed) < enough)
        {
            assert!(load(&workers, 4, 100).listings() > 0);
            workers.kill_one();
            turn += 1;
        }
        stop.store(true, Ordering::Relaxed);
    });
}

/// Ends the test, whoever ends first.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_scrape_is_what_all_clients_of_all_processes_were_told() {
    let folder = folder(carbon());
    let workers = start(&folder, 4);
    let told = load(&workers, 8, 200);
    assert_eq!(told.lost, 0);
    let deadline = Instant::now() + Duration::from_secs(20);
    // What a process has counted it tells the others once a second.
    loop {
        let now = scrape(&workers.get("/metrics", OPEN).unwrap());
        let count = |name: &str, labels: &[&str]| sum(&now, name, labels) as u64;
        let requests = "ioprofiler_request_duration_seconds_count";
        let calls = "ioprofiler_call_duration_seconds_count";
        let flagged = "ioprofiler_flag_request_duration_seconds_count";
        let found = [
            count(
                requests,
                &[
                    "route=\"/listing/{id}\"",
                    "status=\"200\"",
                    "outcome=\"ok\"",
                    "version=\"8c1f\"",
                ],
            ),
            count(
                requests,
                &["route=\"/broken\"", "status=\"500\"", "outcome=\"error\""],
            ),
            count(requests, &["kind=\"job\"", "route=\"newsletter\""]),
            count(
                "ioprofiler_request_duration_seconds_bucket",
                &["kind=\"web\"", "le=\"+Inf\""],
            ),
            count(
                calls,
                &["route=\"/listing/{id}\"", "category=\"dbshard01\""],
            ),
            count(calls, &["category=\"solr\""]),
            count(
                "ioprofiler_call_errors_total",
                &["route=\"/broken\"", "category=\"dbshard01\""],
            ),
            count("ioprofiler_call_cancelled_total", &["route=\"/broken\""]),
            count("ioprofiler_call_hits_total", &["category=\"memcache_get\""]),
            count(
                "ioprofiler_call_misses_total",
                &["category=\"memcache_get\""],
            ),
            count(flagged, &["flag=\"new_search\"", "variant=\"on\""]),
            count(flagged, &["flag=\"new_search\"", "variant=\"off\""]),
            count(
                "ioprofiler_flag_calls_total",
                &["variant=\"on\"", "flag=\"new_search\"", "category=\"solr\""],
            ),
            count(
                "ioprofiler_dark_duration_seconds_count",
                &["flag=\"new_ranking\""],
            ),
            count("ioprofiler_dark_errors_total", &["flag=\"new_ranking\""]),
            count("registrations_total", &[]),
            count("registrations_by_plan_total", &["plan=\"pro\""]),
            count("mail_sent_seconds_count", &[]),
            count("mail_sent_seconds_bucket", &["le=\"0.01\""]),
            count("mail_sent_seconds_bucket", &["le=\"0.05\""]),
            count("ioprofiler_process_live", &[]),
            count("queue_length", &[]),
        ];
        let web = told.listings() + told.broken + told.registered + told.jobs;
        let expected = [
            told.listings(),
            told.broken,
            told.jobs,
            web,
            told.listings() * 2,
            told.new,
            told.broken,
            told.broken,
            told.listings() * 3,
            told.listings(),
            told.new,
            told.old,
            told.new,
            told.listings(),
            told.failed_dark,
            told.registered,
            told.pro,
            told.registered,
            0,
            told.registered,
            4,
            17,
        ];
        if found == expected {
            assert!(sum(&now, "mail_sent_seconds_sum", &[]) > 0.0);
            return;
        }
        assert!(
            Instant::now() < deadline,
            "found    {found:?}\nexpected {expected:?}"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}
