//! The floor: what no recorder of a call can do without.
//!
//! Two readings of the time-stamp counter, one store of 16 bytes, one copy of the detail, into
//! memory that is there and warm. No look-up of a request, no limit, no parent, no reader.

use super::{SPANS, detail};
use crate::harness::Contestant;
use std::hint::black_box;

/// The name of the row that others are ratios to.
pub(crate) const FLOOR: &str = "floor: 2 TSC reads, 16-byte store, 79-byte copy";

/// The name of the row that says how much of it the clock is.
pub(crate) const CLOCK: &str = "  of it: 2 TSC reads";

/// The floor, in batches of as many calls as a request has.
pub(crate) fn floor() -> Contestant {
    let mut records = vec![(0_u64, 0_u64); SPANS];
    let mut details = vec![0_u8; SPANS * 128];
    Contestant::new(FLOOR, SPANS as u64, move || {
        let mut end = 0;
        for record in black_box(&mut *records) {
            let start = ticks();
            let detail = detail().as_bytes();
            if let Some(room) = details.get_mut(end..end + detail.len()) {
                room.copy_from_slice(detail);
            }
            end += detail.len();
            *record = (start, ticks());
        }
        black_box(&mut details);
    })
}

/// The clock alone, to see how much of the floor it is.
pub(crate) fn clock() -> Contestant {
    Contestant::new(CLOCK, SPANS as u64, || {
        for _ in 0..SPANS {
            black_box(ticks());
            black_box(ticks());
        }
    })
}

/// The time-stamp counter, unfenced, as the recorder reads it.
#[cfg(target_arch = "x86_64")]
fn ticks() -> u64 {
    // SAFETY: every x86-64 processor has the instruction.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// The virtual counter, as the recorder reads it.
#[cfg(target_arch = "aarch64")]
fn ticks() -> u64 {
    let ticks: u64;
    // SAFETY: the register is readable from user space and reading it has no effect.
    unsafe { core::arch::asm!("mrs {}, cntvct_el0", out(reg) ticks, options(nomem, nostack)) };
    ticks
}
