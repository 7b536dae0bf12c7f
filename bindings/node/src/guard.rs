//! What every raw callback goes through: a panic stays inside.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};

static PANICS: AtomicU32 = AtomicU32::new(0);

/// Runs a callback's body; where it panics, the callback does nothing more, and it is counted.
#[inline(always)]
pub(crate) fn guard(body: impl FnOnce()) {
    // What a panic left half done is reached again only through atomics and generations.
    if let Err(payload) = catch_unwind(AssertUnwindSafe(body)) {
        contained(payload);
    }
}

#[cold]
fn contained(payload: Box<dyn std::any::Any + Send>) {
    PANICS.fetch_add(1, Ordering::Relaxed);
    // Its drop could panic again; what that throws is not dropped any more.
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(again);
    }
}

/// Panics that raw callbacks contained so far.
pub(crate) fn panics() -> u32 {
    PANICS.load(Ordering::Relaxed)
}
