//! Flags in children of a fork: a kill switch reaches them, whatever their parent was doing. Each
//! case runs alone in a process of its own, and each child must be done before its alarm rings.
#![cfg(target_os = "linux")]

use ioprofiler::{Facts, Profiler};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const ON: &str = "[flags.search]\nenabled = \"on\"\n";
const OFF: &str = "[flags.search]\nenabled = \"off\"\n";

fn many() -> u32 {
    if std::env::var_os("IOPROF_LONG").is_some() {
        2_000
    } else {
        100
    }
}

fn alone(name: &str, case: fn(&Path)) {
    if let Some(folder) = std::env::var_os("IOPROF_FORK_CASE") {
        return case(Path::new(&folder));
    }
    let folder: PathBuf =
        std::env::temp_dir().join(format!("ioprofiler-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let ran = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env("IOPROF_FORK_CASE", &folder)
        .output()
        .unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(
        ran.status.success() && said.contains("1 passed"),
        "{name}: {}\n{said}\n{}",
        ran.status,
        String::from_utf8_lossy(&ran.stderr)
    );
}

/// Runs `work` in a child, and waits for it.
fn in_child(what: &str, work: impl FnOnce()) {
    // SAFETY: the child runs `work` only, and `_exit` ends it.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
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
    assert_eq!((waited, status), (pid, 0), "{what}");
}

fn write(folder: &Path, text: &str) {
    let fresh = folder.join("fresh");
    std::fs::write(&fresh, text).unwrap();
    std::fs::rename(fresh, folder.join("flags.toml")).unwrap();
}

fn builder(folder: &Path) -> ioprofiler::ProfilerBuilder {
    write(folder, ON);
    Profiler::builder().flags([folder.join("flags.toml")])
}

fn is_on(profiler: &Profiler) -> bool {
    profiler.begin(&Facts::web("GET", "/")).flag("search")
}

fn wait_for(profiler: &Profiler, wanted: bool) {
    while is_on(profiler) != wanted {
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_child_follows_its_files_without_a_thread_and_with_one() {
    alone(
        "a_child_follows_its_files_without_a_thread_and_with_one",
        |folder| {
            for threadless in [true, false] {
                let profiler = builder(folder).threadless(threadless).build().unwrap();
                // The parent works too, and has its thread.
                profiler.begin(&Facts::web("GET", "/")).finish(200, 0);
                in_child("a child that serves", || {
                    assert!(is_on(&profiler));
                    write(folder, OFF);
                    wait_for(&profiler, false);
                    // With a thread of its own, from its first finished request on.
                    profiler.begin(&Facts::web("GET", "/")).finish(200, 0);
                    write(folder, ON);
                    wait_for(&profiler, true);
                    write(folder, "[flags.search");
                    while profiler.stats().flags.errors == 0 {
                        assert!(is_on(&profiler), "the parent's last good form");
                        std::thread::sleep(Duration::from_millis(5));
                    }
                    write(folder, OFF);
                    wait_for(&profiler, false);
                });
                wait_for(&profiler, false);
            }
        },
    );
}

#[test]
fn children_follow_while_their_parent_reloads() {
    alone("children_follow_while_their_parent_reloads", |folder| {
        let profiler = builder(folder).build().unwrap();
        profiler.begin(&Facts::web("GET", "/")).finish(200, 0);
        let stop = &AtomicBool::new(false);
        std::thread::scope(|scope| {
            // Also where a child fails, or this would wait for the threads for ever.
            let _stopped = StopOnDrop(stop);
            for _ in 0..2 {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        profiler.reload_flags();
                        let _ = is_on(&profiler);
                    }
                });
            }
            for child in 0..many() {
                let wanted = child % 2 == 0;
                write(folder, if wanted { ON } else { OFF });
                in_child("a child of a busy parent", || wait_for(&profiler, wanted));
            }
        });
    });
}

struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
