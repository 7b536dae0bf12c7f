//! What the library counts of itself.

use crate::guard::{self, guard};
use crate::profiler::{find, ioprof_profiler};
use crate::sized::{self, Growable};
use crate::status::{IOPROF_ERR_HANDLE, IOPROF_ERR_PANIC, IOPROF_OK, ioprof_status};
use ioprofiler_core::Profiler;

/// Counters. Set `size` to `sizeof(ioprof_stats)` before the call. All but `calls_outside`,
/// `lost_facts`, `queue_dropped` and those of the log are the process's; a child of a fork starts from zero.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ioprof_stats {
    /// `sizeof(ioprof_stats)`.
    pub size: usize,
    /// Requests that began.
    pub begun: u64,
    /// Requests that were finished.
    pub finished: u64,
    /// Requests whose client left.
    pub aborted: u64,
    /// Requests that nobody finished.
    pub abandoned: u64,
    /// Requests that live now.
    pub live: u64,
    /// Bytes that live and queued requests keep now.
    pub memory: u64,
    /// Requests refused, because `max_live_requests` lived.
    pub refused_live: u64,
    /// Requests refused, because there was no memory for them.
    pub refused_memory: u64,
    /// Calls that were only counted, because a limit was reached.
    pub unlisted: u64,
    /// Of these, calls that were not even timed.
    pub untimed: u64,
    /// Calls outside any request.
    pub calls_outside: u64,
    /// Calls begun or ended after their request.
    pub late_spans: u64,
    /// Handles that were stale, foreign or used twice.
    pub stale_handles: u64,
    /// Calls dropped because 4,096 threads were in one request at once.
    pub busy: u64,
    /// Facts set after their request, or lost to another thread.
    pub lost_facts: u64,
    /// Names that became `other`, because a process has at most 1,024 categories.
    pub categories_overflowed: u64,
    /// Finished requests that wait for the library's thread.
    pub queued: u64,
    /// Finished requests that nothing saw, because the queue was full.
    pub queue_dropped: u64,
    /// Panics, all kept inside.
    pub panics: u64,
    /// Requests that asked for their profile and were refused.
    pub refused: u64,
    /// Arguments of this ABI that could not be meant: a length beyond memory, a number out of
    /// range.
    pub invalid_arguments: u64,
    /// Notes that were not taken: after their request, beyond 64 names, or under a name that is
    /// none.
    pub lost_notes: u64,
    /// Lines of the access log that were written.
    pub log_written: u64,
    /// Lines that were not, because the queue was full.
    pub log_dropped: u64,
    /// Lines that were not, because the file, the disk or the pipe would not take them.
    pub log_failed: u64,
    /// Lines to a pipe that were cut to 4,096 bytes.
    pub log_cut: u64,
    /// Flags that requests asked for and do not list, because they asked for thousands.
    pub exposures_unlisted: u64,
    /// How often dark work ran.
    pub dark_runs: u64,
    /// How often it ended with an error.
    pub dark_errors: u64,
    /// How often it ended with an exception or a panic.
    pub dark_panics: u64,
}

// SAFETY: integers.
unsafe impl Growable for ioprof_stats {}

/// Fills in the counters.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_profiler_stats(
    profiler: ioprof_profiler,
    stats: *mut ioprof_stats,
) -> ioprof_status {
    guard(IOPROF_ERR_PANIC, || {
        let Some(profiler) = find(profiler) else {
            return IOPROF_ERR_HANDLE;
        };
        let now = counters(profiler);
        // SAFETY: the host's promise, as the header states it.
        match unsafe { sized::write(&now, stats) } {
            Ok(()) => IOPROF_OK,
            Err(status) => status,
        }
    })
}

fn counters(profiler: &Profiler) -> ioprof_stats {
    let stats = profiler.stats();
    ioprof_stats {
        size: size_of::<ioprof_stats>(),
        begun: stats.begun,
        finished: stats.finished,
        aborted: stats.aborted,
        abandoned: stats.abandoned,
        live: stats.live,
        memory: stats.memory,
        refused_live: stats.refused_live,
        refused_memory: stats.refused_memory,
        unlisted: stats.unlisted,
        untimed: stats.untimed,
        calls_outside: stats.calls_outside,
        late_spans: stats.late_spans,
        stale_handles: stats.stale_handles,
        busy: stats.busy,
        lost_facts: stats.lost_facts,
        categories_overflowed: stats.categories_overflowed,
        queued: stats.queued,
        queue_dropped: stats.queue_dropped,
        panics: stats.panics + guard::panics(),
        refused: stats.refused.iter().map(|(_, count)| count).sum(),
        invalid_arguments: guard::invalid(),
        lost_notes: stats.lost_notes,
        log_written: stats.log_written,
        log_dropped: stats.log_dropped,
        log_failed: stats.log_failed,
        log_cut: stats.log_cut,
        exposures_unlisted: stats.exposures_unlisted,
        dark_runs: stats.dark_runs,
        dark_errors: stats.dark_errors,
        dark_panics: stats.dark_panics,
    }
}
