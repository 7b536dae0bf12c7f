//! What every call from C goes through: a panic stays inside, and errno stays as it was.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

static PANICS: AtomicU64 = AtomicU64::new(0);
static INVALID: AtomicU64 = AtomicU64::new(0);

/// Runs a call's body; where it panics, the call answers `instead`.
#[inline(always)]
pub(crate) fn guard<R>(instead: R, body: impl FnOnce() -> R) -> R {
    let errno = errno();
    // What a panic left half done is reached again only through atomics and generations.
    let answer = catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| {
        contained(payload);
        instead
    });
    set_errno(errno);
    answer
}

#[cold]
fn contained(payload: Box<dyn std::any::Any + Send>) {
    PANICS.fetch_add(1, Ordering::Relaxed);
    // Its drop could panic again; what that throws is not dropped any more.
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(again);
    }
}

/// An argument that cannot be meant: a length beyond memory, a number out of range.
#[cold]
pub(crate) fn count_invalid() {
    INVALID.fetch_add(1, Ordering::Relaxed);
}

pub(crate) fn panics() -> u64 {
    PANICS.load(Ordering::Relaxed)
}

pub(crate) fn invalid() -> u64 {
    INVALID.load(Ordering::Relaxed)
}

#[cfg(any(target_os = "linux", target_os = "macos"))]
#[inline(always)]
fn errno_place() -> *mut libc::c_int {
    #[cfg(target_os = "linux")]
    // SAFETY: always callable.
    unsafe {
        libc::__errno_location()
    }
    #[cfg(target_os = "macos")]
    // SAFETY: always callable.
    unsafe {
        libc::__error()
    }
}

#[inline(always)]
fn errno() -> libc::c_int {
    // SAFETY: this thread's errno, valid while the thread lives.
    unsafe { *errno_place() }
}

#[inline(always)]
fn set_errno(value: libc::c_int) {
    // SAFETY: as in `errno`.
    unsafe { *errno_place() = value }
}
