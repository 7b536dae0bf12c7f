//! A hundred thousand requests offered a second: memory stays flat, and not one is lost, whether the
//! collector's thread keeps up or not, and though what they are sent to does not answer.
#![cfg(target_os = "linux")]

use ioprofiler::collect::series::Value;
use ioprofiler::sinks::Graphite;
use ioprofiler::{Facts, Keep, Profiler};
use std::net::TcpListener;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// For so long: a minute in a long run.
fn time() -> Duration {
    let long = std::env::var_os("IOPROF_LONG").is_some();
    Duration::from_secs(if long { 60 } else { 4 })
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = status.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4_096
}

fn page(profiler: &Profiler, number: u64) {
    let request = profiler.begin(&Facts::web("GET", "/listing/7"));
    request.set_route(["/", "/listing/{id}", "/search", "/cart"][number as usize % 4]);
    request.run(|| {
        drop(ioprofiler::span("dbshard01", "SELECT 7"));
        drop(ioprofiler::span("memcache_get", "Cache GET, keys: a"));
    });
    request.finish(if number % 1_000 == 0 { 500 } else { 200 }, 0);
}

#[test]
fn memory_is_flat_and_sums_are_exact() {
    // It takes connections and reads nothing.
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    let graphite = Graphite::to(deaf.local_addr().unwrap().to_string());
    let profiler = Profiler::builder()
        .send_to(graphite.interval(Duration::from_secs(1)))
        .keep(Keep::default())
        .max_live_requests(20_000)
        .build()
        .unwrap();
    let served = AtomicU64::new(0);
    let serve_for = |time: Duration| {
        let until = Instant::now() + time;
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let begun = Instant::now();
                    let mut here = 0_u64;
                    while Instant::now() < until {
                        for _ in 0..500 {
                            page(&profiler, served.fetch_add(1, Ordering::Relaxed));
                            profiler.count("pages", 1);
                        }
                        here += 500;
                        // 50,000 a second on each of two threads, where the machine can.
                        let due = Duration::from_micros(here * 20);
                        std::thread::sleep(due.saturating_sub(begun.elapsed()));
                    }
                });
            }
        });
    };
    serve_for(Duration::from_secs(2));
    let before = resident();
    serve_for(time());
    let after = resident();
    let grown = after.saturating_sub(before);
    let served = served.load(Ordering::Relaxed);
    let series = profiler.series();
    let sum = |name: &str| -> u64 {
        let samples = series.iter().flat_map(|series| &series.samples);
        let named = samples.filter(|sample| sample.name.as_str() == name);
        named
            .map(|sample| match &sample.value {
                Value::Distribution(counted) => counted.count,
                Value::Counter(count) => *count,
                _ => 0,
            })
            .sum()
    };
    println!(
        "{served} requests, {} not queued, memory {before} + {grown}",
        profiler.stats().queue_dropped
    );
    assert_eq!(sum("request.duration"), served);
    assert_eq!(sum("call.duration"), 2 * served);
    assert_eq!(sum("pages"), served);
    // The outbox of the sink that hears nothing fills up to 4 MiB.
    assert!(grown < 8 << 20, "{grown} bytes more");
    assert!(!profiler.kept().is_empty());
    drop(deaf);
}
