//! Which library this is, and calls that concern the whole process.

use crate::guard::guard;
use crate::status::{IOPROF_ERR_PANIC, IOPROF_OK, ioprof_status};
use crate::text::write_out;
use ioprofiler_core::{Clock, handle};
use std::ffi::c_char;
use std::time::Duration;

/// The ABI that this header describes. Compare it with `ioprof_abi_version()` where the library
/// is loaded by hand.
pub const IOPROF_ABI_VERSION: u32 = 0;

/// The ABI that the loaded library has: `IOPROF_ABI_VERSION` of its own header.
#[unsafe(no_mangle)]
pub extern "C" fn ioprof_abi_version() -> u32 {
    guard(IOPROF_ABI_VERSION, || IOPROF_ABI_VERSION)
}

/// The library's version, `0.1.0`. Gives the length it needs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_version(buffer: *mut c_char, capacity: usize) -> usize {
    guard(0, || {
        // SAFETY: the host's promise, as the header states it.
        unsafe { write_out(env!("CARGO_PKG_VERSION"), buffer, capacity) }
    })
}

/// Call it in the child of a fork, where processes are made without libc (a raw `clone`). An
/// ordinary `fork` needs no call: the child notices by itself. It does no harm in either case.
#[unsafe(no_mangle)]
pub extern "C" fn ioprof_after_fork_child() {
    guard((), handle::after_fork_child);
}

/// Moves the manual clock (`IOPROF_CLOCK_MANUAL`) by so many nanoseconds. For tests.
#[unsafe(no_mangle)]
pub extern "C" fn ioprof_clock_advance(nanoseconds: u64) {
    guard((), || Clock::advance(Duration::from_nanos(nanoseconds)));
}

/// Panics inside the library, and answers as every call then does: `IOPROF_ERR_PANIC`. For tests
/// of a host, which is to go on after it.
#[unsafe(no_mangle)]
pub extern "C" fn ioprof_test_panic() -> ioprof_status {
    guard(IOPROF_ERR_PANIC, || {
        #[expect(clippy::panic, reason = "what the function is for")]
        if std::hint::black_box(true) {
            panic!("ioprof_test_panic");
        }
        IOPROF_OK
    })
}
