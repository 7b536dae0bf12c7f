//! Numbers, events, and what was counted and kept.

use crate::flags::ioprof_attribute;
use crate::guard::{count_invalid, guard};
use crate::profile::{details, ioprof_profile};
use crate::profiler::{find, ioprof_options, ioprof_profiler};
use crate::sized::{self, Growable, elements};
use crate::text::{ioprof_text, text, write_out};
use ioprofiler_core::sinks::Exposition;
use ioprofiler_core::{Event, EventKind, Kept, KeptFor, MetricName, Profiler, ProfilerBuilder};
use std::borrow::Cow;
use std::ffi::c_char;
use std::path::Path;
use std::time::Duration;

/// It was among the slowest of its route.
pub const IOPROF_KEPT_SLOW: u32 = 0;
/// It failed.
pub const IOPROF_KEPT_ERROR: u32 = 1;

/// What a scrape is answered with, but for the body. Set `size` to `sizeof(ioprof_exposition)`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ioprof_exposition {
    /// `sizeof(ioprof_exposition)`.
    pub size: usize,
    /// The answer's status: 200; or 503, where nothing is counted or nothing can be read now, and the
    /// body says why.
    pub status: u32,
    /// Bytes of `content_type`.
    pub content_type_length: u32,
    /// The value of the header `Content-Type`, ended by a NUL.
    pub content_type: [c_char; 128],
}

// SAFETY: integers.
unsafe impl Growable for ioprof_exposition {}

const MOST_LABELS: usize = 64;

/// What the options say about what is counted, kept and sent.
///
/// # Safety
/// The options' texts are as the header demands.
pub(crate) unsafe fn configure(
    mut builder: ProfilerBuilder,
    options: &ioprof_options,
) -> ProfilerBuilder {
    // SAFETY: the caller's promise.
    unsafe {
        if let Some(path) = whole(options.config_file) {
            builder = builder.config_file(Path::new(path.as_ref()));
        }
        if let Some(toml) = whole(options.config) {
            builder = builder.config_text(&toml);
        }
        if let Some(json) = whole(options.config_json) {
            builder = builder.config_json(&json);
        }
    }
    if options.metrics != 0 {
        builder = builder.metrics(true);
    }
    builder
}

/// A text however long it is: the core says where it is too long.
///
/// # Safety
/// As [`configure`].
unsafe fn whole<'a>(given: ioprof_text) -> Option<Cow<'a, str>> {
    // SAFETY: the caller's promise.
    unsafe { given.bytes() }.map(String::from_utf8_lossy)
}

/// Adds to a counter of the application's own: `registrations`, or with labels
/// `registrations;plan=pro` (see `ioprof_metric_name`). It needs no registration. A name is at most
/// 128 bytes of UTF-8, labels included, of which it has at most 8; a process has at most 2,000 names.
/// What cannot be taken (a name too many, or that was a gauge before) is counted: the series
/// `profiler.dropped` with the label `metrics`. A few nanoseconds, without a lock.
///
/// Counted only where `ioprof_options.metrics` is 1, or the configuration sends or keeps something.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_count(
    profiler: ioprof_profiler,
    name: *const c_char,
    name_length: usize,
    by: u64,
) {
    guard((), || {
        if let Some(profiler) = find(profiler) {
            // SAFETY: the host's promise, as the header states it.
            let name = unsafe { text(name, name_length) };
            profiler.count(&name, by);
        }
    });
}

/// Sets a gauge of the application's own: `queue.length`. Of several processes the value that was set
/// last counts. What is no finite number is counted as lost. See `ioprof_count`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_gauge(
    profiler: ioprof_profiler,
    name: *const c_char,
    name_length: usize,
    value: f64,
) {
    guard((), || {
        if let Some(profiler) = find(profiler) {
            // SAFETY: the host's promise, as the header states it.
            let name = unsafe { text(name, name_length) };
            profiler.gauge(&name, value);
        }
    });
}

/// Counts a duration, in nanoseconds, of something of the application's own: `mail.sent`. See
/// `ioprof_count`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_timing(
    profiler: ioprof_profiler,
    name: *const c_char,
    name_length: usize,
    nanoseconds: u64,
) {
    guard((), || {
        if let Some(profiler) = find(profiler) {
            // SAFETY: the host's promise, as the header states it.
            let name = unsafe { text(name, name_length) };
            profiler.timing(&name, Duration::from_nanos(nanoseconds));
        }
    });
}

/// Puts a metric's name together of a name and labels: `registrations;country=de;plan=pro`, for
/// `ioprof_count` and its like. Labels come in any order; what would end one early becomes `_`; one
/// whose value is empty is left out. Gives the length it needs, at most 128; 0 where there can be no
/// such name, because it were longer, or has more than 8 labels.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_metric_name(
    name: *const c_char,
    name_length: usize,
    labels: *const ioprof_attribute,
    label_count: usize,
    buffer: *mut c_char,
    capacity: usize,
) -> usize {
    guard(0, || {
        // SAFETY: the host's promise, as the header states it.
        unsafe {
            let name = text(name, name_length);
            let labels: Vec<(Cow<'_, str>, Cow<'_, str>)> =
                elements(labels, label_count, MOST_LABELS)
                    .map(|label| {
                        let or_empty = |given: ioprof_text| given.text().unwrap_or_default();
                        (or_empty(label.name), or_empty(label.value))
                    })
                    .collect();
            let labels = labels.iter().map(|(name, value)| (&**name, &**value));
            let name = MetricName::new(&name, labels);
            write_out(name.as_str(), buffer, capacity)
        }
    })
}

/// Says that something was done to the site: `cache emptied`, by whom and why, which may be absent.
/// It goes, once, to every sink that takes events. Of a text 400 bytes are kept.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_event(
    profiler: ioprof_profiler,
    what: *const c_char,
    what_length: usize,
    who: *const c_char,
    who_length: usize,
    why: *const c_char,
    why_length: usize,
) {
    guard((), || {
        // SAFETY: the host's promise, as the header states it.
        let (what, who, why) = unsafe {
            (
                text(what, what_length),
                text(who, who_length),
                text(why, why_length),
            )
        };
        let mut event = Event::new(EventKind::Own, &what);
        if !who.is_empty() {
            event = event.who(&who);
        }
        if !why.is_empty() {
            event = event.why(&why);
        }
        if let Some(profiler) = find(profiler) {
            profiler.event(event);
        }
    });
}

/// A version of the application went live, by whom, and what is new in it; both may be absent. It is
/// an event, and what is counted from then on is counted under this version, where no
/// `ioprof_options.build_id` says otherwise. Told twice, it is one event.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_deploy(
    profiler: ioprof_profiler,
    version: *const c_char,
    version_length: usize,
    who: *const c_char,
    who_length: usize,
    what: *const c_char,
    what_length: usize,
) {
    guard((), || {
        // SAFETY: the host's promise, as the header states it.
        let (version, who, what) = unsafe {
            (
                text(version, version_length),
                text(who, who_length),
                text(what, what_length),
            )
        };
        let mut event = Event::deploy(&version).what(&what);
        if !who.is_empty() {
            event = event.who(&who);
        }
        if let Some(profiler) = find(profiler) {
            profiler.event(event);
        }
    });
}

/// What a scrape of Prometheus reads: mount it at `/metrics`. `accept` is the request's header of this
/// name: OpenMetrics 1.0 where it wants that, else the text format 0.0.4. `about` gets status and
/// content type; it may be NULL. The body, UTF-8, goes into `buffer`; gives the length it needs. Made
/// anew with each call, and longer each time something new was counted: give a buffer of 64 KiB or
/// more at once, and ask again where that was too small.
///
/// Nothing of a request's details is in it, so it needs no gate. It may wait for the library's thread,
/// for a second at most, and reads files where there is a `state_dir`: not for a thread that must not
/// wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_prometheus(
    profiler: ioprof_profiler,
    accept: *const c_char,
    accept_length: usize,
    about: *mut ioprof_exposition,
    buffer: *mut c_char,
    capacity: usize,
) -> usize {
    guard(0, || {
        // SAFETY: the host's promise, as the header states it.
        let accept = unsafe { text(accept, accept_length) };
        let made = find(profiler).map(|profiler| profiler.prometheus(&accept));
        // SAFETY: the host's promise, as the header states it; where `size` is wrong nothing is
        // written, which is counted.
        unsafe {
            if !about.is_null() && sized::write(&self::about(made.as_ref()), about).is_err() {
                count_invalid();
            }
            let body = made.map_or_else(String::new, |made| made.body);
            write_out(&body, buffer, capacity)
        }
    })
}

/// Without a profiler nothing is counted.
fn about(made: Option<&Exposition>) -> ioprof_exposition {
    let (status, kind) = made.map_or((503, "text/plain; charset=utf-8"), |made| {
        (made.status, made.content_type)
    });
    let mut about = ioprof_exposition {
        size: size_of::<ioprof_exposition>(),
        status: status.into(),
        content_type_length: 0,
        content_type: [0; 128],
    };
    // The last one stays NUL.
    let room = about.content_type.len() - 1;
    for (to, from) in about.content_type.iter_mut().take(room).zip(kind.bytes()) {
        *to = from as c_char;
        about.content_type_length += 1;
    }
    about
}

/// Everything counted so far, as a JSON array: of each version of the application
/// `{"version", "since", "at", "samples"}`, a sample being
/// `{"name", "labels", "count" | "value" | "count", "sum", "mean", "p50", "p95", "p99", "max"}`. Moments
/// and durations are nanoseconds, but gauges of time are seconds. For tests of an application, and
/// for what else reads numbers. Gives the length it needs; waits as `ioprof_prometheus`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_profiler_series(
    profiler: ioprof_profiler,
    buffer: *mut c_char,
    capacity: usize,
) -> usize {
    guard(0, || {
        let series = find(profiler).map_or_else(|| "[]".to_owned(), Profiler::series_json);
        // SAFETY: the host's promise, as the header states it.
        unsafe { write_out(&series, buffer, capacity) }
    })
}

fn kept(profiler: ioprof_profiler) -> Vec<Kept> {
    find(profiler).map(Profiler::kept).unwrap_or_default()
}

/// The requests of this process that are kept: by route the slowest first, then those that failed,
/// the newest first. Gives how many there are; writes at most `capacity` of them into `profiles`, each
/// yours (`ioprof_profile_free`), and why each was kept into `reasons` (`IOPROF_KEPT_…`). Either may be
/// NULL; NULL for `profiles` asks how many. They are kept where the configuration has `[keep]`, a
/// `state_dir`, or a sink that sends them. Waits as `ioprof_prometheus`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_profiler_kept(
    profiler: ioprof_profiler,
    profiles: *mut *mut ioprof_profile,
    reasons: *mut u32,
    capacity: usize,
) -> usize {
    guard(0, || {
        let kept = kept(profiler);
        for (at, kept) in kept.iter().take(capacity).enumerate() {
            let reason = match kept.reason {
                KeptFor::Error => IOPROF_KEPT_ERROR,
                _ => IOPROF_KEPT_SLOW,
            };
            // SAFETY: both are NULL or good for `capacity`, which is more than `at`.
            unsafe {
                if !reasons.is_null() {
                    reasons.add(at).write_unaligned(reason);
                }
                if !profiles.is_null() {
                    let profile = ioprof_profile::new(kept.to_profile());
                    profiles.add(at).write_unaligned(profile);
                }
            }
        }
        kept.len()
    })
}

/// The same as a JSON array of profiles (see `ioprof_profile_json`), each with an object `kept`, which
/// says `reason` (`slow` or `error`), `route`, `started_at` and `page_ns` (nanoseconds), and so on.
/// What was kept as a fingerprint stays one, whatever `details`. Gives the length it needs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_profiler_kept_json(
    profiler: ioprof_profiler,
    details: u32,
    buffer: *mut c_char,
    capacity: usize,
) -> usize {
    guard(0, || {
        let details = self::details(details);
        let each: Vec<String> = kept(profiler)
            .iter()
            .map(|kept| kept.json(details))
            .collect();
        let all = format!("[{}]", each.join(","));
        // SAFETY: the host's promise, as the header states it.
        unsafe { write_out(&all, buffer, capacity) }
    })
}
