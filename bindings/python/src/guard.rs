//! What every call from Python goes through: a panic stays inside.
//!
//! PyO3 turns a panic into an exception that no `except Exception` of a web server catches, so none
//! may get that far.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

static PANICS: AtomicU64 = AtomicU64::new(0);
static MISUSES: AtomicU64 = AtomicU64::new(0);

/// Runs a call's body; where it panics, the call answers `instead`.
#[inline(always)]
pub(crate) fn guard<R>(instead: R, body: impl FnOnce() -> R) -> R {
    // What a panic left half done is reached again only through atomics and generations.
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| {
        contained(payload);
        instead
    })
}

#[cold]
fn contained(payload: Box<dyn std::any::Any + Send>) {
    PANICS.fetch_add(1, Ordering::Relaxed);
    // Its drop could panic again; what that throws is not dropped any more.
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(again);
    }
}

/// A span entered twice, a text that cannot be one: counted, and otherwise nothing happens.
#[cold]
pub(crate) fn count_misuse() {
    MISUSES.fetch_add(1, Ordering::Relaxed);
}

pub(crate) fn panics() -> u64 {
    PANICS.load(Ordering::Relaxed)
}

pub(crate) fn misuses() -> u64 {
    MISUSES.load(Ordering::Relaxed)
}
