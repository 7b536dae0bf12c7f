//! How much memory this process has.

use crate::clock;
use std::sync::atomic::{AtomicU64, Ordering};

/// What was last read, in bytes, and in which second. Two words that may not belong together for a
/// moment: a figure of the second before is as good.
static BYTES: AtomicU64 = AtomicU64::new(0);
static READ_AT: AtomicU64 = AtomicU64::new(u64::MAX);

/// Resident memory in bytes, looked up once a second; nothing where the system does not tell.
pub(crate) fn resident() -> Option<u64> {
    let now = clock::coarse_seconds();
    if READ_AT.swap(now, Ordering::Relaxed) != now {
        BYTES.store(read().unwrap_or(0), Ordering::Relaxed);
    }
    Some(BYTES.load(Ordering::Relaxed)).filter(|bytes| *bytes != 0)
}

#[cfg(target_os = "linux")]
fn read() -> Option<u64> {
    let sizes = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = sizes.split_ascii_whitespace().nth(1)?.parse().ok()?;
    pages.checked_mul(rustix::param::page_size() as u64)
}

#[cfg(not(target_os = "linux"))]
fn read() -> Option<u64> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn a_process_has_memory() {
        let bytes = super::resident().unwrap();
        assert!((100 << 10..1 << 40).contains(&bytes), "{bytes}");
    }
}
