//! Servers that misbehave: no page waits, memory stays as it is, and whatever becomes of a value is
//! counted. The same for each sink that sends by HTTP.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use ioprofiler::collect::sink::Sink;
use ioprofiler::sinks::{Destination, Otlp, Webhook};
use ioprofiler::{Event, EventKind, Facts, Keep, Profile, Profiler, SinkStats};
use ioprofiler_tests::endpoint::{Endpoint, Mood};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(30);
/// Fewer than wait for a sink's thread at most.
const EVENTS: u64 = 40;

/// One at a time: they look at the memory of the whole process.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn sinks(url: &str) -> [(&'static str, Destination); 3] {
    [
        ("otlp", Otlp::to(url).metrics(false).into()),
        (
            "otlp as JSON",
            Otlp::to(url).metrics(false).json(true).into(),
        ),
        ("webhook", Webhook::to(url).at_most(600).into()),
    ]
}

fn stats(profiler: &Profiler) -> SinkStats {
    profiler.stats().sinks[0].clone()
}

/// Counts finished requests: another sink, which nobody may hold up.
#[derive(Clone, Default)]
struct Counter(Arc<AtomicU64>);

impl Sink for Counter {
    fn take(&mut self, _: &Profile) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn tell(profiler: &Profiler) {
    for number in 0..EVENTS {
        profiler.event(Event::new(EventKind::Own, &number.to_string()));
    }
}

fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !done() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What became of the events by then, and of those that came when the server was well again.
fn check(mood: &Mood, expected: impl Fn(&str, &SinkStats)) {
    let _alone = alone();
    let endpoint = Endpoint::start(mood.clone());
    for (name, to) in sinks(&endpoint.url()) {
        endpoint.set(mood.clone());
        let counter = Counter::default();
        let (counts, seen) = (counter.clone(), counter.0);
        let profiler = Profiler::builder()
            .keep(Keep::default().slowest(0))
            .send_to(to)
            .sink(move || counts.clone())
            .build()
            .unwrap();
        tell(&profiler);
        for _ in 0..1_000 {
            profiler.begin(&Facts::web("GET", "/")).finish(200, 0);
        }
        // The other sink has all of them, whatever this one does.
        wait("a sink that hangs holds up another", || {
            seen.load(Ordering::Relaxed) == 1_000
        });
        wait("the server was never asked", || {
            let stats = stats(&profiler);
            stats.failures != 0 || stats.sent != 0
        });
        endpoint.set(Mood::good());
        // One flush gives it a second.
        wait(name, || profiler.flush(SOON));
        let stats = stats(&profiler);
        assert_eq!(
            stats.produced,
            stats.sent + stats.dropped,
            "{name}: {stats:?}"
        );
        expected(name, &stats);
    }
}

fn all_sent(name: &str, stats: &SinkStats) {
    assert_eq!(stats.dropped, 0, "{name}: {stats:?}");
    assert!(
        stats.failures > 0 && !stats.why.is_empty(),
        "{name}: {stats:?}"
    );
}

#[test]
fn a_server_that_never_answers() {
    check(&Mood::Silent, all_sent);
}

#[test]
fn a_server_that_answers_a_byte_at_a_time() {
    check(&Mood::Slow, all_sent);
}

#[test]
fn a_server_that_hangs_up() {
    check(&Mood::Resets, all_sent);
}

#[test]
fn a_server_that_is_overloaded_and_says_for_how_long() {
    for status in [429, 503] {
        check(
            &Mood::answer(status, "Retry-After: 1\r\n", "busy"),
            all_sent,
        );
    }
}

#[test]
fn a_server_that_fails() {
    check(
        &Mood::answer(500, "Retry-After: 1\r\n", "it broke"),
        |name, stats| {
            // Not tried again: what it was sent before it was well is lost, and said so.
            assert!(stats.dropped > 0, "{name}: {stats:?}");
            assert!(
                stats.why.ends_with("answered 500: it broke"),
                "{name}: {stats:?}"
            );
        },
    );
}

#[test]
fn a_server_that_answers_nonsense() {
    check(
        &Mood::answer(200, "", "<html>log in</html>"),
        |name, stats| {
            assert_eq!(stats.dropped, 0, "{name}: {stats:?}");
            let complains = stats.why.contains("no answer of a collector: <html>");
            assert_eq!(complains, name != "webhook", "{name}: {stats:?}");
        },
    );
}

#[test]
fn a_server_that_answers_with_100_mb() {
    check(&Mood::Floods, |name, stats| {
        assert_eq!(stats.dropped, 0, "{name}: {stats:?}");
    });
}

#[test]
fn a_server_that_is_not_there() {
    let _alone = alone();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    for (name, to) in sinks(&url) {
        let keep = Keep::default().slowest(0);
        let profiler = Profiler::builder().keep(keep).send_to(to).build().unwrap();
        tell(&profiler);
        assert!(!profiler.flush(Duration::from_millis(300)));
        profiler.shutdown(Duration::from_millis(300));
        // The last try is over soon, and what is left is given up.
        wait("not all is accounted for", || {
            let stats = stats(&profiler);
            stats.dropped == EVENTS && stats.produced == EVENTS
        });
        let stats = stats(&profiler);
        assert!(stats.why.contains("refused"), "{name}: {stats:?}");
    }
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let line = line.unwrap().trim().trim_end_matches(" kB");
    line.parse().unwrap()
}

/// Failed requests, each of which is kept and sent as a trace.
fn failures(profiler: &Profiler, requests: u64) {
    for number in 0..requests {
        let request = profiler.begin(&Facts::web("GET", "/"));
        request.run(|| {
            for _ in 0..10 {
                drop(ioprofiler::span(
                    "dbshard01",
                    "SELECT * FROM listings WHERE id = 5773453",
                ));
            }
        });
        request.finish(503, number);
    }
}

#[test]
fn memory_stays_as_it_is_while_a_server_hangs() {
    let _alone = alone();
    let endpoint = Endpoint::start(Mood::Silent);
    let profiler = Profiler::builder()
        .keep(Keep::default())
        .send_to(Otlp::to(endpoint.url()))
        .build()
        .unwrap();
    let served = |requests: u64| {
        for _ in 0..requests / 500 {
            failures(&profiler, 500);
            profiler.flush(Duration::from_millis(20));
        }
    };
    served(25_000);
    let before = resident_kib();
    served(25_000);
    let grown = resident_kib().saturating_sub(before);
    assert!(grown < 12 << 10, "{grown} KiB more");
    let stats = stats(&profiler);
    assert!(stats.dropped > 0 && stats.sent == 0, "{stats:?}");
    // What it has to send when the server is back is bounded, and all of it arrives.
    endpoint.set(Mood::good());
    wait("what waited is not sent", || profiler.flush(SOON));
    let stats = self::stats(&profiler);
    assert_eq!(stats.produced, stats.sent + stats.dropped, "{stats:?}");
    assert!(stats.sent > 0, "{stats:?}");
}
