//! What a child of a fork may and may not see. Each case runs alone in a process of its own, which
//! this test binary starts from itself, and each child must be done before its alarm rings.
#![cfg(target_os = "linux")]

use ioprofiler::handle::{PastCall, RequestHandle, Site, SpanHandle};
use ioprofiler::{Category, Facts, Kind, Outcome, Profile, Profiler, Request, Sink, State};
use std::future::Future;
use std::pin::pin;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

static DB: Category = Category::leaf("dbshard01");
static TEMPLATE: Category = Category::scope("template");

const SOON: Duration = Duration::from_secs(5);

/// How often a case forks: 200 times, or 10,000 in a long run.
fn many() -> u32 {
    if std::env::var_os("IOPROF_LONG").is_some() {
        10_000
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

/// A way to fork: gives 0 in the child.
type Fork = fn() -> libc::pid_t;

fn ordinary() -> libc::pid_t {
    // SAFETY: the child runs `in_child` only, which ends it.
    unsafe { libc::fork() }
}

/// Runs no handlers.
fn without_handlers() -> libc::pid_t {
    unsafe extern "C" {
        fn _Fork() -> libc::pid_t;
    }
    // SAFETY: as above.
    unsafe { _Fork() }
}

/// Not even known to the C library.
fn by_system_call() -> libc::pid_t {
    let none = 0_usize;
    // SAFETY: as above; no flags but the signal for the parent, so it is a plain fork.
    let pid = unsafe {
        libc::syscall(
            libc::SYS_clone,
            libc::SIGCHLD as usize,
            none,
            none,
            none,
            none,
        )
    };
    pid as libc::pid_t
}

/// Runs `work` in a child, which is killed by its alarm if it hangs. Gives the child's pid.
fn begin_child(fork: Fork, work: impl FnOnce()) -> libc::pid_t {
    let pid = fork();
    assert!(pid >= 0, "fork: {}", std::io::Error::last_os_error());
    if pid != 0 {
        return pid;
    }
    // SAFETY: sets a timer whose signal ends this process.
    unsafe { libc::alarm(10) };
    let worked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    // SAFETY: ends the child without running what belongs to its parent.
    unsafe { libc::_exit(if worked.is_ok() { 0 } else { 101 }) }
}

fn end_child(pid: libc::pid_t, what: &str) {
    let mut status = 0;
    // SAFETY: `pid` is a child of ours, and the status is written to our own variable.
    let waited = unsafe { libc::waitpid(pid, &raw mut status, 0) };
    assert_eq!(waited, pid);
    if libc::WIFSIGNALED(status) {
        let signal = libc::WTERMSIG(status);
        let why = if signal == libc::SIGALRM {
            "it hung"
        } else {
            "it crashed"
        };
        panic!("{what}: ended by signal {signal}: {why}");
    }
    assert_eq!(libc::WEXITSTATUS(status), 0, "{what}: exit status");
}

fn in_child(fork: Fork, what: &str, work: impl FnOnce()) {
    end_child(begin_child(fork, work), what);
}

/// What sinks of this process took. In a child these go on from the parent's numbers.
static MADE: AtomicU64 = AtomicU64::new(0);
static TAKEN: AtomicU64 = AtomicU64::new(0);
static FOREIGN: AtomicU64 = AtomicU64::new(0);

/// Counts profiles, and those that another process began.
struct Counting {
    pid: u32,
}

impl Counting {
    fn make() -> Self {
        MADE.fetch_add(1, Ordering::SeqCst);
        Self {
            pid: std::process::id(),
        }
    }
}

impl Sink for Counting {
    fn take(&mut self, profile: &Profile) {
        let tag = format!("/{}/", std::process::id());
        let mine = self.pid == std::process::id()
            && profile.pid == self.pid
            && profile.spans.iter().all(|span| span.detail.contains(&tag));
        if !mine {
            FOREIGN.fetch_add(1, Ordering::SeqCst);
        }
        TAKEN.fetch_add(1, Ordering::SeqCst);
    }
}

fn profiler(threadless: bool) -> Profiler {
    Profiler::builder()
        .sink(Counting::make)
        .threadless(threadless)
        .build()
        .expect("default options are right")
}

fn begin(profiler: &Profiler) -> Request {
    profiler.begin(&Facts::web("GET", "/listing/5773453"))
}

/// A whole request, tagged by its process, in each way that calls are recorded.
fn serve(profiler: &Profiler, turn: u64) -> Profile {
    let pid = std::process::id();
    let request = begin(profiler);
    assert!(request.is_recording());
    request.run(|| {
        ioprofiler::scope(&TEMPLATE, format!("/{pid}/ page {turn}")).run(|| {
            for call in 0..20 {
                ioprofiler::span(&DB, format!("/{pid}/ SELECT {call}")).rows(call);
            }
            ioprofiler::span("memcache_get", "?").detail(format!("/{pid}/ HIT"));
        });
    });
    request.span(&DB, format!("/{pid}/ explicit")).error();
    request.finish(200, turn)
}

const SERVED: usize = 23;

/// Polled once, it is left open.
struct Never;

impl Future for Never {
    type Output = ();

    fn poll(self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

fn tasks() -> usize {
    std::fs::read_dir("/proc/self/task").expect("/proc").count()
}

/// The blocked signals of each of this process's threads of ours.
fn our_threads() -> Vec<u64> {
    std::fs::read_dir("/proc/self/task")
        .expect("/proc")
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("status")).ok())
        .filter(|status| status.starts_with("Name:\tioprofiler\n"))
        .filter_map(|status| {
            let line = status.lines().find(|line| line.starts_with("SigBlk:"))?;
            u64::from_str_radix(line.split_whitespace().nth(1)?, 16).ok()
        })
        .collect()
}

#[test]
fn children_record_while_four_threads_of_the_parent_do() {
    alone(
        "children_record_while_four_threads_of_the_parent_do",
        || {
            let threaded = profiler(false);
            let threadless = profiler(true);
            let stop = AtomicBool::new(false);
            std::thread::scope(|scope| {
                let shared = begin(&threadless);
                for thread in 0..4 {
                    let (stop, threaded, shared) = (&stop, &threaded, shared.clone());
                    scope.spawn(move || {
                        let mut turn = 0;
                        while !stop.load(Ordering::Relaxed) {
                            serve(threaded, turn);
                            shared.run(|| ioprofiler::span(&DB, format!("{thread}")).run(|| {}));
                            turn += 1;
                        }
                    });
                }
                let stopped = StopOnDrop(&stop);
                for turn in 0..many() {
                    fork_amid(&threaded, &threadless, &shared, turn);
                }
                drop(stopped);
            });
            assert!(threaded.flush(SOON));
            assert_eq!(FOREIGN.load(Ordering::SeqCst), 0);
            assert!(TAKEN.load(Ordering::SeqCst) > 0);
        },
    );
}

struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Forks in the middle of a request: the child inherits a guard, spans, a future and profiles, and
/// drops them all; the parent goes on as if nothing had happened.
fn fork_amid(threaded: &Profiler, threadless: &Profiler, shared: &Request, turn: u32) {
    let pid = std::process::id();
    let request = begin(threadless);
    let number = begin(threadless).into_number();
    let unread = serve(threadless, 0);
    let guard = request.enter();
    let scope = ioprofiler::scope(&TEMPLATE, format!("/{pid}/ listing.html"));
    let before = ioprofiler::span(&DB, format!("/{pid}/ before"));
    let explicit = request.span(&DB, format!("/{pid}/ explicit"));
    let mut waiting = pin!(request.span(&DB, format!("/{pid}/ waiting")).wrap(Never));
    let _ = waiting
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()));

    // The child takes its copy and drops it; the parent's is still there.
    let mut inherited = Some((before, explicit, scope, guard));
    let child = begin_child(ordinary, || {
        assert!(request.is_none() && shared.is_none());
        assert!(request.id().is_empty());
        assert!(ioprofiler::current().is_none());
        // It may write into the child's copy, which nobody reads.
        drop(ioprofiler::span(&DB, "nobody's"));
        assert!(request.span(&DB, "nobody's").is_none());
        request.run(|| drop(ioprofiler::span(&DB, "nobody's")));
        let (mut before, explicit, scope, guard) = inherited.take().expect("still there");
        before.detail("changed by a child").rows(7);
        drop((before, explicit));
        scope.error();
        drop(guard);
        request.set_route("/a/child's");
        assert!(request.finish(500, 1).spans.is_empty());
        drop(shared.clone());
        if let Some(number) = number {
            assert!(Request::from_number(number.slot, number.generation).is_none());
        }
        let _ = unread.spans.len();

        let made = MADE.load(Ordering::SeqCst);
        let (taken, foreign) = (TAKEN.load(Ordering::SeqCst), FOREIGN.load(Ordering::SeqCst));
        let used = if turn.is_multiple_of(8) {
            threaded
        } else {
            threadless
        };
        for turn in 0..3 {
            assert_eq!(serve(used, turn).spans.len(), SERVED);
        }
        assert!(used.flush(SOON), "the child's flush");
        assert_eq!(MADE.load(Ordering::SeqCst), made + 1, "sinks are made anew");
        assert_eq!(TAKEN.load(Ordering::SeqCst), taken + 3);
        assert_eq!(FOREIGN.load(Ordering::SeqCst), foreign);
        let stats = used.stats();
        assert_eq!((stats.begun, stats.finished, stats.live), (3, 3, 0));
        // Starts a thread, and leaves it running.
        serve(threaded, 9);
    });
    end_child(child, &format!("fork {turn}"));

    let (before, explicit, scope, guard) = inherited.take().expect("the child took its copy");
    drop((before, explicit));
    ioprofiler::span(&DB, format!("/{pid}/ inside")).run(|| {});
    drop((scope, guard));
    assert!(ioprofiler::span(&DB, "outside").is_none());
    let profile = request.finish(200, 5_120);
    assert_eq!(profile.spans.len(), 5, "{:?}", profile.spans);
    assert_eq!(profile.state, State::Finished);
    assert_eq!(profile.facts.status, Some(200));
    assert_eq!(profile.facts.route, None);
    assert_eq!(profile.spans[0].outcome, Outcome::Ok);
    assert_eq!(profile.spans[1].detail, format!("/{pid}/ before"));
    assert_eq!(profile.spans[1].counts.rows, None);
    assert_eq!(profile.spans[4].parent, Some(0));
    assert!(
        profile
            .spans
            .iter()
            .skip(1)
            .all(|span| span.category == "dbshard01")
    );
    assert_eq!(unread.spans.len(), SERVED);
    let numbered = number.map(|number| Request::from_number(number.slot, number.generation));
    let _ = numbered.expect("begun").finish(200, 0);
    assert!(threadless.flush(SOON));
}

#[test]
fn forks_that_run_no_handlers_are_seen() {
    alone("forks_that_run_no_handlers_are_seen", || {
        let profiler = profiler(true);
        for (name, fork) in [
            ("fork", ordinary as Fork),
            ("_Fork", without_handlers),
            ("clone", by_system_call),
        ] {
            for _ in 0..20 {
                let request = begin(&profiler);
                let guard = request.enter();
                in_child(fork, name, || {
                    assert!(request.is_none());
                    assert!(ioprofiler::current().is_none());
                    assert_eq!(serve(&profiler, 1).spans.len(), SERVED);
                    assert!(profiler.flush(SOON));
                    assert_eq!(profiler.stats().begun, 1);
                    assert_eq!(FOREIGN.load(Ordering::SeqCst), 0);
                });
                drop(guard);
                assert!(request.is_recording());
                assert!(request.finish(200, 0).spans.is_empty());
            }
        }
    });
}

#[test]
fn a_grandchild_starts_afresh_too() {
    alone("a_grandchild_starts_afresh_too", || {
        let profiler = profiler(false);
        let mine = begin(&profiler);
        in_child(ordinary, "child", || {
            let childs = begin(&profiler);
            let guard = childs.enter();
            assert_eq!(serve(&profiler, 1).spans.len(), SERVED);
            in_child(ordinary, "grandchild", || {
                assert!(mine.is_none() && childs.is_none());
                assert_eq!(profiler.stats().begun, 0);
                assert_eq!(serve(&profiler, 1).spans.len(), SERVED);
                assert!(profiler.flush(SOON));
                assert_eq!(profiler.stats().begun, 1);
                in_child(ordinary, "great-grandchild", || {
                    assert_eq!(serve(&profiler, 1).spans.len(), SERVED);
                    assert!(profiler.shutdown(SOON));
                });
            });
            drop(guard);
            assert!(childs.is_recording() && mine.is_none());
            let _ = childs.finish(200, 0);
            assert!(profiler.flush(SOON));
        });
        // A sibling that builds nothing before it forks.
        in_child(ordinary, "idle child", || {
            in_child(ordinary, "grandchild of an idle child", || {
                assert!(mine.is_none());
                assert_eq!(serve(&profiler, 1).spans.len(), SERVED);
                assert!(profiler.flush(SOON));
            });
        });
        assert!(mine.finish(200, 0).spans.is_empty());
    });
}

#[test]
fn numbers_of_the_parent_mean_nothing_in_the_child() {
    alone("numbers_of_the_parent_mean_nothing_in_the_child", || {
        let profiler = profiler(true);
        let category =
            ioprofiler::category::intern("dbshard01", Kind::Leaf, ioprofiler::Dialect::Generic);
        let begin_number = || RequestHandle::new(begin(&profiler));
        // Some slots that have been used before.
        for _ in 0..50 {
            serve(&profiler, 0);
        }
        let parents: Vec<_> = (0..100).map(|_| begin_number()).collect();
        let spans: Vec<_> = parents
            .iter()
            .map(|request| request.span(category, b"parent's", SpanHandle::NONE, Site::NONE))
            .collect();
        in_child(ordinary, "child", || {
            let children: Vec<_> = (0..100).map(|_| begin_number()).collect();
            for (child, parent) in children.iter().zip(&parents) {
                assert!(!parents.contains(child));
                assert!(parent.request().is_none());
                let span = parent.span(category, b"stray", SpanHandle::NONE, Site::NONE);
                assert_eq!(span, SpanHandle::NONE);
                parent.add_span(PastCall {
                    category,
                    detail: b"stray",
                    parent: SpanHandle::NONE,
                    site: Site::NONE,
                    ended_ago: Duration::ZERO,
                    duration: Duration::ZERO,
                    outcome: Outcome::Ok,
                });
                let span = child.span(category, b"child's", SpanHandle::NONE, Site::NONE);
                assert!(!spans.contains(&span));
            }
            for span in &spans {
                span.detail(b"stray");
                span.rows(7);
                span.end(Outcome::Error);
            }
            for child in &children {
                let profile = child.request().finish(200, 0);
                assert_eq!(profile.spans.len(), 1);
                assert_eq!(profile.spans[0].detail, "child's");
                assert_eq!(profile.spans[0].outcome, Outcome::Open);
                assert_eq!(profile.spans[0].counts.rows, None);
            }
            assert_eq!(profiler.stats().stale_handles, 600);
        });
        for (parent, span) in parents.iter().zip(&spans) {
            span.end(Outcome::Ok);
            let profile = parent.request().finish(200, 0);
            assert_eq!(profile.spans.len(), 1);
            assert_eq!(profile.spans[0].outcome, Outcome::Ok);
        }
        assert_eq!(profiler.stats().stale_handles, 0);
    });
}

#[test]
fn a_child_may_be_told_by_hand() {
    alone("a_child_may_be_told_by_hand", || {
        let profiler = profiler(true);
        let request = begin(&profiler);
        in_child(ordinary, "child", || {
            ioprofiler::handle::after_fork_child();
            ioprofiler::handle::after_fork_child();
            assert!(request.is_none());
            assert_eq!(serve(&profiler, 1).spans.len(), SERVED);
            assert!(profiler.flush(SOON));
        });
        assert!(request.is_recording());
    });
}

#[test]
fn the_first_finished_request_starts_the_one_thread() {
    alone("the_first_finished_request_starts_the_one_thread", || {
        let at_start = tasks();
        let profiler = profiler(false);
        let no_sink = Profiler::builder().build().expect("fine");
        let threadless = Profiler::builder()
            .sink(Counting::make)
            .threadless(true)
            .build()
            .expect("fine");
        let request = begin(&profiler);
        request.run(|| ioprofiler::span(&DB, format!("/{}/", std::process::id())).run(|| {}));
        let _ = request.snapshot().text();
        let _ = (profiler.in_flight(), profiler.stats());
        serve(&no_sink, 0);
        serve(&threadless, 0);
        assert!(threadless.flush(SOON));
        assert_eq!(tasks(), at_start, "no thread before a request is finished");
        // As a pre-forking server does it: everything above ran in the master.
        in_child(ordinary, "worker", || {
            assert_eq!(tasks(), 1);
            serve(&profiler, 0);
            serve(&profiler, 1);
            assert!(profiler.flush(SOON));
            assert_eq!(tasks(), 2);
        });
        let _ = request.finish(200, 0);
        serve(&profiler, 1);
        assert!(profiler.flush(SOON));
        assert_eq!(tasks(), at_start + 1);
        in_child(ordinary, "child of a process with a thread", || {
            assert_eq!(tasks(), 1);
            serve(&profiler, 1);
            assert!(profiler.flush(SOON));
            assert_eq!(tasks(), 2);
        });
        assert!(profiler.shutdown(SOON));
        for _ in 0..1_000 {
            if tasks() == at_start {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(tasks(), at_start, "shutdown ends it");
    });
}

#[test]
fn the_thread_takes_no_signals() {
    alone("the_thread_takes_no_signals", || {
        let blocked = || {
            let status = std::fs::read_to_string("/proc/thread-self/status").expect("/proc");
            let line = status.lines().find(|line| line.starts_with("SigBlk:"));
            line.expect("Linux says so").to_owned()
        };
        let before = blocked();
        let profiler = profiler(false);
        serve(&profiler, 0);
        assert_eq!(blocked(), before, "the host's own mask stays");
        assert!(profiler.flush(SOON));
        let ours = our_threads();
        assert_eq!(ours.len(), 1);
        // KILL and STOP cannot be blocked; 32 and 33 are the C library's own.
        let unblockable = [9_u64, 19, 32, 33].map(|signal| 1 << (signal - 1));
        let wanted = !unblockable.iter().fold(0, |all, signal| all | signal);
        assert_eq!(ours[0] & wanted, wanted, "SigBlk {:x}", ours[0]);
    });
}
