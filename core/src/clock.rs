//! Ticks ↔ nanoseconds.
//!
//! On the hot path one read of the time stamp counter (10 ns against 45 for the system's clock),
//! unfenced: differences saturate instead. Ticks become nanoseconds only when a profile is read,
//! by the slope between two pairs of readings: one taken when the first profiler was made, one
//! now. There is no calibration loop. Where the counter is not invariant, or the kernel does not
//! trust it, ticks are `CLOCK_MONOTONIC` nanoseconds.

use crate::fork::Forever;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

/// Which clock a process measures with.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// The machine's.
    #[default]
    System,
    /// Stands still until [`Clock::advance`] moves it: for tests of what a page prints. It holds
    /// for the whole process, and the wall clock then starts at 2026-11-23T03:12:07.120Z.
    Manual,
}

const MONOTONIC: u8 = 0;
const COUNTER: u8 = 1;
const MANUAL: u8 = 2;

static MODE: AtomicU8 = AtomicU8::new(MONOTONIC);
static MANUAL_TICKS: AtomicU64 = AtomicU64::new(MANUAL_START);
/// The pair of readings that later ones are compared with; leaked, replaced when the machine slept.
static ANCHOR: Forever<Reading> = Forever::empty();
/// Requests that began before this tick ran across a sleep or a change of the clock's rate.
static SUSPECT_BEFORE: AtomicU64 = AtomicU64::new(0);

/// The last rate that was measured over more than a millisecond: nanoseconds a tick, as bits.
static SLOPE: AtomicU64 = AtomicU64::new(0);

/// 2026-11-23T03:12:07.120Z.
const MANUAL_WALL: u64 = 1_795_403_527_120_000_000;
const MANUAL_START: u64 = 1_000_000_000;
/// Ticks have this many bits: the two highest bits of a record's end are its outcome and mark.
pub(crate) const TICK_BITS: u32 = 61;
const TICK_MASK: u64 = (1 << TICK_BITS) - 1;

impl Clock {
    /// Moves the manual clock of this process. Does nothing to the machine's.
    pub fn advance(by: Duration) {
        let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        MANUAL_TICKS.fetch_add(by, Ordering::SeqCst);
    }

    /// Chooses the process's clock and takes the first reading. Later calls change nothing, but
    /// that a manual clock stays manual.
    pub(crate) fn start(self) {
        if self == Self::Manual {
            MODE.store(MANUAL, Ordering::SeqCst);
        } else if ANCHOR.get().is_none() && counter_is_trusted() {
            let _ = MODE.compare_exchange(MONOTONIC, COUNTER, Ordering::SeqCst, Ordering::SeqCst);
        }
        if ANCHOR.get().is_none() || self == Self::Manual {
            set_anchor(Reading::take());
        }
    }
}

/// Whether ticks are those of the processor's counter: [`counter`] may then be read directly.
#[inline(always)]
pub(crate) fn is_counter() -> bool {
    MODE.load(Ordering::Relaxed) == COUNTER
}

/// Now, in ticks.
#[inline(always)]
pub(crate) fn ticks() -> u64 {
    if is_counter() {
        counter()
    } else {
        slow_ticks()
    }
}

#[cold]
#[inline(never)]
fn slow_ticks() -> u64 {
    match MODE.load(Ordering::Relaxed) {
        MANUAL => MANUAL_TICKS.load(Ordering::Relaxed),
        _ => system(libc::CLOCK_MONOTONIC) & TICK_MASK,
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn counter() -> u64 {
    // SAFETY: every x86-64 processor has this instruction; it touches no memory.
    unsafe { core::arch::x86_64::_rdtsc() & TICK_MASK }
}

#[cfg(target_arch = "aarch64")]
#[inline(always)]
pub(crate) fn counter() -> u64 {
    let ticks: u64;
    // SAFETY: reads the virtual counter, which Linux and macOS let user space read.
    unsafe { core::arch::asm!("mrs {}, cntvct_el0", out(reg) ticks, options(nomem, nostack)) };
    ticks & TICK_MASK
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
#[inline(always)]
pub(crate) fn counter() -> u64 {
    system(libc::CLOCK_MONOTONIC) & TICK_MASK
}

/// Whether the counter ticks at one rate, on all cores, asleep or not.
#[cfg(target_arch = "x86_64")]
fn counter_is_trusted() -> bool {
    use core::arch::x86_64::__cpuid;
    #[allow(
        unused_unsafe,
        reason = "safe since Rust 1.94, unsafe at our oldest supported one"
    )]
    // SAFETY: `cpuid` exists on every x86-64 processor.
    let invariant = unsafe {
        __cpuid(0x8000_0000).eax >= 0x8000_0007 && __cpuid(0x8000_0007).edx & (1 << 8) != 0
    };
    // The kernel watches the counter against other clocks and leaves it when it is not to be had.
    let source = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    invariant && std::fs::read_to_string(source).is_ok_and(|name| name.trim() == "tsc")
}

#[cfg(target_arch = "aarch64")]
fn counter_is_trusted() -> bool {
    true
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn counter_is_trusted() -> bool {
    false
}

fn system(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid timespec for the call to fill; a failure leaves it zero.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds
        .saturating_mul(1_000_000_000)
        .saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}

/// Wall clock now, nanoseconds since the Unix epoch.
pub(crate) fn wall() -> u64 {
    if MODE.load(Ordering::Relaxed) == MANUAL {
        MANUAL_WALL
            + MANUAL_TICKS
                .load(Ordering::Relaxed)
                .saturating_sub(MANUAL_START)
    } else {
        system(libc::CLOCK_REALTIME)
    }
}

#[derive(Clone, Copy, Debug)]
struct Reading {
    ticks: u64,
    monotonic: u64,
    asleep: u64,
}

impl Reading {
    fn take() -> Self {
        let monotonic = system(libc::CLOCK_MONOTONIC);
        let ticks = ticks();
        #[cfg(target_os = "linux")]
        let asleep = system(libc::CLOCK_BOOTTIME).saturating_sub(monotonic);
        #[cfg(not(target_os = "linux"))]
        let asleep = 0;
        Self {
            ticks,
            monotonic,
            asleep,
        }
    }
}

fn set_anchor(reading: Reading) {
    // Leaked on purpose: readers hold no lock, and it happens once, and once a sleep.
    ANCHOR.replace(Box::leak(Box::new(reading)));
}

/// How to turn the ticks of one profile into times.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    now: Reading,
    wall: u64,
    nanoseconds_a_tick: f64,
}

impl Scale {
    /// Takes the second pair of readings.
    pub(crate) fn now() -> Self {
        let now = Reading::take();
        let wall = wall();
        if MODE.load(Ordering::Relaxed) != COUNTER {
            return Self {
                now,
                wall,
                nanoseconds_a_tick: 1.0,
            };
        }
        let anchor = ANCHOR.get().copied().unwrap_or(now);
        let slept = now.asleep.abs_diff(anchor.asleep) > 10_000_000;
        let ticks = now.ticks.saturating_sub(anchor.ticks);
        let elapsed = now.monotonic.saturating_sub(anchor.monotonic);
        let slope = if ticks == 0 {
            1.0
        } else {
            elapsed as f64 / ticks as f64
        };
        // A counter that runs at 100 MHz … 10 GHz; anything else was set back or stopped.
        let odd = elapsed > 1_000_000 && !(0.1..=20.0).contains(&slope);
        if slept || odd || now.ticks < anchor.ticks {
            SUSPECT_BEFORE.fetch_max(now.ticks, Ordering::Relaxed);
            set_anchor(now);
        }
        Self {
            now,
            wall,
            nanoseconds_a_tick: slope,
        }
    }

    /// Nanoseconds between two ticks by the last known rate, without reading any clock.
    pub(crate) fn rough(from: u64, to: u64) -> u64 {
        let slope = f64::from_bits(SLOPE.load(Ordering::Relaxed));
        if slope > 0.0 {
            return (to.saturating_sub(from) as f64 * slope) as u64;
        }
        Self::now().between(from, to)
    }

    /// The tick at which this scale was made.
    pub(crate) fn ticks(&self) -> u64 {
        self.now.ticks
    }

    /// Nanoseconds between two ticks, never negative.
    pub(crate) fn between(&self, from: u64, to: u64) -> u64 {
        (to.saturating_sub(from) as f64 * self.nanoseconds_a_tick) as u64
    }

    /// Nanoseconds of a sum of ticks.
    pub(crate) fn nanoseconds(&self, ticks: u64) -> u64 {
        (ticks as f64 * self.nanoseconds_a_tick) as u64
    }

    /// Ticks of a span of nanoseconds.
    pub(crate) fn ticks_of(&self, nanoseconds: u64) -> u64 {
        (nanoseconds as f64 / self.nanoseconds_a_tick) as u64
    }

    /// The wall clock at a past tick.
    pub(crate) fn wall_at(&self, tick: u64) -> u64 {
        self.wall.saturating_sub(self.between(tick, self.now.ticks))
    }

    /// Whether times since this tick may be wrong.
    pub(crate) fn suspect_since(&self, tick: u64) -> bool {
        tick < SUSPECT_BEFORE.load(Ordering::Relaxed)
    }
}

/// What one span costs, about: two readings and some stores. Measured at first use, in less than a
/// microsecond; 0 under a manual clock.
pub(crate) fn span_cost() -> u64 {
    static COST: AtomicU64 = AtomicU64::new(0);
    if MODE.load(Ordering::Relaxed) == MANUAL {
        return 0;
    }
    let known = COST.load(Ordering::Relaxed);
    if known != 0 {
        return known;
    }
    let before = system(libc::CLOCK_MONOTONIC);
    for _ in 0..64 {
        std::hint::black_box(ticks());
    }
    let readings = system(libc::CLOCK_MONOTONIC).saturating_sub(before) / 32;
    let cost = readings.saturating_add(5);
    COST.store(cost, Ordering::Relaxed);
    cost
}

/// Seconds of a clock that only moves forward.
pub(crate) fn coarse_seconds() -> u64 {
    system(libc::CLOCK_MONOTONIC) / 1_000_000_000
}

/// Whether this process's clock is the manual one.
pub(crate) fn is_manual() -> bool {
    MODE.load(Ordering::Relaxed) == MANUAL
}
