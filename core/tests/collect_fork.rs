//! What a fork does to what is counted: a child begins with nothing, its parent loses nothing, and
//! neither hangs, whatever the threads of the parent are doing at that moment.
#![cfg(target_os = "linux")]

use ioprofiler::collect::series::{Series, Value};
use ioprofiler::sinks::Graphite;
use ioprofiler::{Event, EventKind, Facts, Profiler};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

/// How often a case forks: 200 times, or 1,000 in a long run.
fn many() -> u32 {
    if std::env::var_os("IOPROF_LONG").is_some() {
        1_000
    } else {
        200
    }
}

/// Runs a case in a process of its own, with no other test's threads in it.
fn alone(name: &str, case: fn()) {
    if std::env::var_os("IOPROF_FORK_CASE").is_some() {
        return case();
    }
    let this = std::env::current_exe().expect("a test binary has a path");
    let ran = Command::new(this)
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env("IOPROF_FORK_CASE", "1")
        .output()
        .expect("the test binary starts");
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(
        ran.status.success() && said.contains("1 passed"),
        "{name}: {}\n{said}\n{}",
        ran.status,
        String::from_utf8_lossy(&ran.stderr)
    );
}

/// Runs `work` in a child, which is killed by its alarm if it hangs.
fn in_child(what: &str, work: impl FnOnce()) {
    // SAFETY: the child runs `work` only, and ends.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork: {}", std::io::Error::last_os_error());
    if pid == 0 {
        // SAFETY: sets a timer whose signal ends this process.
        unsafe { libc::alarm(20) };
        let worked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        // SAFETY: ends the child without running what belongs to its parent.
        unsafe { libc::_exit(if worked.is_ok() { 0 } else { 101 }) }
    }
    let mut status = 0;
    // SAFETY: `pid` is a child of ours, and the status is written to our own variable.
    let waited = unsafe { libc::waitpid(pid, &raw mut status, 0) };
    assert_eq!(waited, pid);
    assert!(
        !libc::WIFSIGNALED(status),
        "{what}: ended by signal {}",
        libc::WTERMSIG(status)
    );
    assert_eq!(libc::WEXITSTATUS(status), 0, "{what}: exit status");
}

/// Everything that a process does with what is counted.
fn serve(profiler: &Profiler) {
    let request = profiler.begin(&Facts::web("GET", "/listing/7"));
    request.set_route("/listing/{id}");
    request.run(|| {
        ioprofiler::scope("template", "listing.html").run(|| {
            drop(ioprofiler::span("dbshard01", "SELECT 7"));
        });
    });
    request.finish(200, 0);
    profiler.count("registrations", 1);
    profiler.gauge("queue.length", 1.0);
    profiler.timing("mail.sent", Duration::from_millis(1));
}

fn requests(series: &[Series]) -> u64 {
    let samples = series.iter().flat_map(|series| &series.samples);
    let counts = samples.filter_map(|sample| match &sample.value {
        Value::Distribution(counted) if sample.name.as_str() == "request.duration" => {
            Some(counted.count)
        }
        _ => None,
    });
    counts.sum()
}

fn registrations(series: &[Series]) -> u64 {
    let samples = series.iter().flat_map(|series| &series.samples);
    let counts = samples.filter_map(|sample| match &sample.value {
        Value::Counter(count) if sample.name.as_str() == "registrations" => Some(*count),
        _ => None,
    });
    counts.sum()
}

/// A sink that nobody listens to, so that its thread is always trying.
fn nowhere() -> Graphite {
    Graphite::to("127.0.0.1:1").interval(Duration::from_secs(1))
}

#[test]
fn a_child_counts_from_nothing_and_its_parent_goes_on() {
    alone("a_child_counts_from_nothing_and_its_parent_goes_on", || {
        let profiler = Profiler::builder()
            .metrics(true)
            .send_to(nowhere())
            .build()
            .unwrap();
        let stop = AtomicBool::new(false);
        let served = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        serve(&profiler);
                        served.fetch_add(1, Ordering::Relaxed);
                        if served.load(Ordering::Relaxed) % 64 == 0 {
                            profiler.event(Event::new(EventKind::Own, "x"));
                            drop(profiler.series());
                        }
                    }
                });
            }
            for turn in 0..many() {
                in_child(&format!("child {turn}"), || {
                    for _ in 0..10 {
                        serve(&profiler);
                    }
                    let series = profiler.series();
                    assert_eq!((requests(&series), registrations(&series)), (10, 10));
                    profiler.event(Event::new(EventKind::Own, "in the child"));
                    profiler.flush(Duration::from_millis(100));
                });
            }
            stop.store(true, Ordering::Relaxed);
        });
        let series = profiler.series();
        let served = served.load(Ordering::Relaxed);
        assert_eq!(
            (requests(&series), registrations(&series)),
            (served, served)
        );
    });
}

#[test]
fn children_with_a_state_dir_are_added_up() {
    alone("children_with_a_state_dir_are_added_up", || {
        let folder = std::env::temp_dir().join(format!("iop-collect-fork-{}", std::process::id()));
        let profiler = Profiler::builder().state_dir(&folder).build().unwrap();
        let stop = AtomicBool::new(false);
        let served = AtomicU64::new(0);
        let children = 40;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    serve(&profiler);
                    served.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(Duration::from_micros(200));
                }
            });
            for turn in 0..children {
                in_child(&format!("child {turn}"), || {
                    for _ in 0..5 {
                        serve(&profiler);
                    }
                    assert!(profiler.flush(SOON));
                });
            }
            stop.store(true, Ordering::Relaxed);
        });
        assert!(profiler.flush(SOON));
        let all = ioprofiler::collect::state::merged_series(&folder);
        let wanted = served.load(Ordering::Relaxed) + 5 * children;
        assert_eq!((requests(&all), registrations(&all)), (wanted, wanted));
        std::fs::remove_dir_all(folder).unwrap();
    });
}
