//! Our flags: 500 of them, as a site has, in five kinds.

use super::flags_file;
use crate::harness::{Contestant, Effort, Result, thread_cpu_ns};
use ioprofiler::flags::{Document, Enabled, FlagSpec, Share, Snapshot, Subject, compile, hash};
use ioprofiler::handle::RequestHandle;
use ioprofiler::{Facts, Flag, Profiler, Request, flags};
use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Instant;

/// Rows: what nobody can do without.
pub(crate) const HASH: &str = "floor: XXH64 of 30 bytes";
pub(crate) const LOAD: &str = "floor: an atomic load";
pub(crate) const COUNT: &str = "floor: one and the same counter, one more";
/// Rows: a snapshot that is held, a user whose id is hashed.
pub(crate) const HANDLE_ON: &str = "by handle: on for all";
pub(crate) const HANDLE_PERCENT: &str = "by handle: 50 %";
pub(crate) const NAME_ON: &str = "by name: on for all";
pub(crate) const NAME_PERCENT: &str = "by name: 50 %";
pub(crate) const USERS: &str = "by handle: a list of 10,000 users";
pub(crate) const GROUPS: &str = "by handle: 3 groups, then 50 %";
pub(crate) const CURRENT: &str = "by handle: 50 %, by whatever decides now";
pub(crate) const EXPLAIN: &str = "explain: 3 groups, then 50 %";
/// Rows: in a request.
pub(crate) const SECOND: &str = "second read: explicit request, by handle";
pub(crate) const SECOND_EACH: &str = "second read: explicit request, each of 20 flags";
pub(crate) const SECOND_NAME: &str = "second read: explicit request, by name";
pub(crate) const SECOND_CURRENT: &str = "second read: current request, by handle";
pub(crate) const SECOND_CURRENT_EACH: &str = "second read: current request, each of 20 flags";
pub(crate) const SECOND_HANDLE: &str = "second read: request and flag by number";
pub(crate) const FIRST: &str = "first read: begin + 20 flags + finish, each flag";
pub(crate) const TWO_THREADS: &str = "first read, on each of 2 threads";
pub(crate) const TWO_PROCESSES: &str = "first read, while another process does the same";
pub(crate) const EMPTY_5: &str = "begin + finish, 5 flags set";
pub(crate) const EMPTY_5000: &str = "begin + finish, 5,000 flags set";
pub(crate) const TWENTY: &str = "begin + 20 flags read 5 times + finish";

static ON: Flag = Flag::new("flag100");
static PERCENT: Flag = Flag::new("flag101");
static LISTED: Flag = Flag::new("flag102");
static GROUPED: Flag = Flag::new("flag103");

const USER: &str = "5020244";

/// So many flags: on for all, 50 %, with 10,000 users (one of them), with groups, killed.
fn document(flags: usize) -> Document {
    let mut document = Document::default();
    for number in 0..flags {
        let mut flag = FlagSpec::new(format!("flag{number}"));
        let half = Enabled::share(Share::percent(50));
        flag.enabled = match number % 5 {
            0 => Enabled::on(),
            4 => Enabled::Off,
            _ => half,
        };
        if number == 102 {
            let users = (0..10_000).map(|user| (format!("{}", 5_015_000 + user), "on".to_owned()));
            flag.users = users.collect();
        }
        if number % 5 == 3 {
            flag.groups = ["staff", "beta", "partners"]
                .map(|group| (group.to_owned(), "on".to_owned()))
                .into();
        }
        flag.priority = Some((number % 9) as u8 + 1);
        document.flags.push(flag);
    }
    document
}

/// The same as a file, for C.
pub(crate) fn file() -> String {
    flags::file::native_json(&document(500).flags)
}

fn profiler(flags: usize) -> Profiler {
    let profiler = Profiler::builder().build().expect("the defaults are right");
    profiler.set_flags(compile(document(flags)));
    profiler
}

/// Decisions in a batch.
const EACH: u64 = 100;

fn contestant(name: &str, mut decide: impl FnMut() + 'static) -> Contestant {
    Contestant::new(name, EACH, move || {
        for _ in 0..EACH {
            decide();
        }
    })
}

pub(crate) fn floors() -> Vec<Contestant> {
    static WORD: AtomicU64 = AtomicU64::new(7);
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    vec![
        contestant(HASH, || {
            black_box(hash(black_box("6f1c3a90-58cc-4372-a567-0e02b2")));
        }),
        contestant(LOAD, || {
            black_box(black_box(&WORD).load(Ordering::Acquire));
        }),
        contestant(COUNT, || {
            let counter = black_box(&COUNTER);
            let count = counter.load(Ordering::Relaxed);
            counter.store(count.wrapping_add(1), Ordering::Relaxed);
        }),
    ]
}

/// One kind of decision on a snapshot that is held.
fn held(
    name: &str,
    snapshot: &Arc<Snapshot>,
    decide: impl Fn(&Snapshot, &Subject<'_>) -> bool + 'static,
) -> Contestant {
    let snapshot = Arc::clone(snapshot);
    let subject = Subject::user(USER);
    contestant(name, move || {
        black_box(decide(black_box(&snapshot), black_box(&subject)));
    })
}

pub(crate) fn decisions() -> Vec<Contestant> {
    let profiler = profiler(500);
    let now = profiler.flags().snapshot();
    let subject = Subject::user(USER);
    let flags = profiler.flags();
    vec![
        held(HANDLE_ON, &now, |now, who| {
            now.decide(&ON, who, false).is_on()
        }),
        held(HANDLE_PERCENT, &now, |now, who| {
            now.decide(&PERCENT, who, false).is_on()
        }),
        held(NAME_ON, &now, |now, who| {
            now.decide(black_box("flag100"), who, false).is_on()
        }),
        held(NAME_PERCENT, &now, |now, who| {
            now.decide(black_box("flag101"), who, false).is_on()
        }),
        held(USERS, &now, |now, who| {
            now.decide(&LISTED, who, false).is_on()
        }),
        held(GROUPS, &now, |now, who| {
            now.decide(&GROUPED, who, false).is_on()
        }),
        contestant(CURRENT, move || {
            black_box(flags.decide(&PERCENT, black_box(&subject), false).is_on());
        }),
        held(EXPLAIN, &now, |now, who| {
            black_box(now.explain(&GROUPED, who)).decision().is_on()
        }),
    ]
}

fn begin(profiler: &Profiler) -> Request {
    profiler.begin(&Facts::web("GET", "/listing/5773453"))
}

fn empty(name: &str, flags: usize) -> Contestant {
    let profiler = profiler(flags);
    Contestant::new(name, 1, move || {
        black_box(begin(&profiler).finish(200, 5_120));
    })
}

/// A request that asks for twenty flags, some times each.
fn twenty(profiler: &Profiler, times: usize) {
    let request = begin(profiler);
    request.set_visitor("6f1c3a90-58cc-4372-a567-0e02b2");
    for _ in 0..times {
        for flag in &TWENTY_FLAGS {
            black_box(request.flag(flag));
        }
    }
    black_box(request.finish(200, 5_120));
}

macro_rules! flags {
    ($($name:literal)*) => { [$(Flag::new($name)),*] };
}

static TWENTY_FLAGS: [Flag; 20] = flags!(
    "flag0" "flag1" "flag2" "flag3" "flag4" "flag5" "flag6" "flag7" "flag8" "flag9"
    "flag10" "flag11" "flag12" "flag13" "flag14" "flag15" "flag16" "flag17" "flag18" "flag19"
);

pub(crate) fn requests() -> Vec<Contestant> {
    let profiler = profiler(500);
    let request = begin(&profiler);
    request.set_user(USER);
    let by_name = request.clone();
    let (current, current_each, each) = (request.clone(), request.clone(), request.clone());
    let by_number = begin(&profiler);
    by_number.set_user(USER);
    let by_number = RequestHandle::new(by_number);
    let number = flags::FlagId::intern("flag101");
    let (first, both, beside) = (profiler.clone(), profiler.clone(), profiler.clone());
    vec![
        contestant(SECOND, move || {
            black_box(black_box(&request).flag(&PERCENT));
        }),
        Contestant::new(SECOND_EACH, EACH, move || {
            for _ in 0..EACH / 20 {
                for flag in &TWENTY_FLAGS {
                    black_box(black_box(&each).flag(flag));
                }
            }
        }),
        contestant(SECOND_NAME, move || {
            black_box(black_box(&by_name).flag(black_box("flag101")));
        }),
        Contestant::new(SECOND_CURRENT, EACH, move || {
            let _entered = current.enter();
            for _ in 0..EACH {
                black_box(ioprofiler::flag(&PERCENT));
            }
        }),
        Contestant::new(SECOND_CURRENT_EACH, EACH, move || {
            let _entered = current_each.enter();
            for _ in 0..EACH / 20 {
                for flag in &TWENTY_FLAGS {
                    black_box(ioprofiler::flag(flag));
                }
            }
        }),
        contestant(SECOND_HANDLE, move || {
            black_box(black_box(by_number).decide(black_box(number), false));
        }),
        Contestant::new(FIRST, 20, move || twenty(&first, 1)),
        two_threads(both),
        beside_a_process(beside),
        empty(EMPTY_5, 5),
        empty(EMPTY_5000, 5_000),
        Contestant::new(TWENTY, 1, move || twenty(&profiler, 5)),
    ]
}

/// The mean CPU time of two threads that both make requests, while both do.
fn two_threads(profiler: Profiler) -> Contestant {
    Contestant::timed(TWO_THREADS, 20, move |batches| {
        let start = Arc::new(Barrier::new(2));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (profiler, start) = (profiler.clone(), Arc::clone(&start));
                std::thread::spawn(move || {
                    start.wait();
                    twenties(&profiler, batches)
                })
            })
            .collect();
        let times = threads.into_iter().map(|thread| thread.join().unwrap_or(0));
        times.sum::<u64>() / 2
    })
}

/// What two threads are compared with: two processes, which share nothing but the machine.
fn beside_a_process(profiler: Profiler) -> Contestant {
    Contestant::timed(TWO_PROCESSES, 20, move |batches| {
        let _other = Spinner::start().expect("this program starts again");
        twenties(&profiler, batches)
    })
}

fn twenties(profiler: &Profiler, batches: u64) -> u64 {
    let begun = thread_cpu_ns();
    for _ in 0..batches {
        twenty(profiler, 1);
    }
    thread_cpu_ns().saturating_sub(begun)
}

/// A process that makes such requests until it is dropped.
struct Spinner(Child);

impl Spinner {
    fn start() -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--part", SPIN])
            .stdout(Stdio::piped())
            .spawn()?;
        let mut ready = [0];
        child
            .stdout
            .take()
            .ok_or("no standard output")?
            .read_exact(&mut ready)?;
        Ok(Self(child))
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The part of this program that a [`Spinner`] runs.
pub(crate) const SPIN: &str = "flag_spin";

/// Makes requests, and says when it has begun. It ends by itself if nobody ends it.
pub(crate) fn spin() {
    let profiler = profiler(500);
    twenties(&profiler, 100);
    print!(".");
    let _ = std::io::stdout().flush();
    let begun = Instant::now();
    while begun.elapsed().as_secs() < 60 {
        twenties(&profiler, 1_000);
    }
}

/// Reloads of 5,000 flags, and what reads take meanwhile. Prints its own lines.
pub(crate) fn reload(effort: Effort) -> Result<()> {
    let rounds = effort.rounds.max(3) * 5;
    println!("\nReload of 5,000 flags");
    reload_meanwhile(rounds)?;
    for (what, keys) in [
        ("6 keys each, as sites have them", 6),
        ("all 12 keys each", 12),
    ] {
        for name in ["flags.toml", "flags.json"] {
            reload_file(what, name, keys, effort.rounds.clamp(3, 11))?;
        }
    }
    Ok(())
}

/// Compiled and swapped, while another thread reads.
fn reload_meanwhile(rounds: usize) -> Result<()> {
    let profiler = profiler(5_000);
    let quiet = reads(&profiler, &AtomicBool::new(false), rounds * 20_000);
    let stop = Arc::new(AtomicBool::new(false));
    let reading = {
        let (profiler, stop) = (profiler.clone(), Arc::clone(&stop));
        std::thread::spawn(move || reads(&profiler, &stop, usize::MAX))
    };
    let mut compiled = Vec::new();
    for round in 0..rounds {
        let mut document = document(5_000);
        if let Some(flag) = document.flags.get_mut(round) {
            flag.enabled = Enabled::share(Share::percent(51));
        }
        let begun = thread_cpu_ns();
        profiler.set_flags(compile(document));
        compiled.push(thread_cpu_ns().saturating_sub(begun) as f64 / 1e6);
    }
    stop.store(true, Ordering::Relaxed);
    let meanwhile = reading.join().map_err(|_| "the reading thread panicked")?;
    say_reload("compile and swap", &compiled);
    for (what, mut nanoseconds) in [("quiet", quiet), ("while reloading", meanwhile)] {
        nanoseconds.sort_unstable();
        let at = |part: f64| {
            let place = (nanoseconds.len() as f64 * part) as usize;
            nanoseconds.get(place).copied().unwrap_or_default()
        };
        println!(
            "a first read, wall time, {what}: p50 {} ns, p99 {} ns, p99.99 {} ns of {}",
            at(0.5),
            at(0.99),
            at(0.9999),
            nanoseconds.len()
        );
    }
    Ok(())
}

fn say_reload(what: &str, milliseconds: &[f64]) {
    let times = crate::harness::Spread::of(milliseconds.to_vec());
    let reached = crate::report::verdict("≤ 20 ms", times.median <= 20.0);
    println!(
        "{what:<58}{:>26} ms of CPU time  {reached}",
        times.to_string()
    );
}

/// All of it: a file is replaced, looked at, read, laid over, compiled and swapped, and its last
/// good form kept.
fn reload_file(what: &str, name: &str, keys: usize, rounds: usize) -> Result<()> {
    let folder = std::env::temp_dir().join(format!("ioprofiler-benches-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let (path, fresh) = (folder.join(name), folder.join("fresh"));
    let put = |round: usize| -> Result<usize> {
        let text = flags_file::text(name, 5_000, keys, round);
        std::fs::write(&fresh, &text)?;
        std::fs::rename(&fresh, &path)?;
        Ok(text.len())
    };
    put(0)?;
    let files = [path.clone()];
    let profiler = Profiler::builder()
        .flags(files)
        .state_dir(folder.join("state"))
        .build()?;
    let mut times = Vec::new();
    let mut length = 0;
    for round in 1..=rounds {
        length = put(round)?;
        let before = profiler.flags().snapshot().version();
        let begun = thread_cpu_ns();
        let problems = profiler.reload_flags();
        times.push(thread_cpu_ns().saturating_sub(begun) as f64 / 1e6);
        if !problems.is_empty() || profiler.flags().snapshot().version() == before {
            return Err(format!("{name} was not taken: {problems:?}").into());
        }
    }
    std::fs::remove_dir_all(&folder)?;
    say_reload(&format!("{name} of {} KiB, {what}", length >> 10), &times);
    Ok(())
}

/// Wall times of first reads, each in a request of its own, until told to stop.
fn reads(profiler: &Profiler, stop: &AtomicBool, most: usize) -> Vec<u64> {
    let mut times = Vec::with_capacity(1 << 20);
    while times.len() < most.min(4 << 20) && !stop.load(Ordering::Relaxed) {
        let request = begin(profiler);
        request.set_user(USER);
        let begun = Instant::now();
        black_box(request.flag(&PERCENT));
        times.push(begun.elapsed().as_nanos() as u64);
        black_box(request.finish(200, 0));
    }
    times
}
