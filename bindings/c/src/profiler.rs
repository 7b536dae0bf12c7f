//! The instance: options in, counters out.

use crate::flags;
use crate::guard::{count_invalid, guard};
use crate::log;
use crate::messages::Messages;
use crate::metrics;
use crate::profile::details;
use crate::sized::{self, Growable, elements};
use crate::status::{
    IOPROF_ERR_ARGUMENT, IOPROF_ERR_DEADLINE, IOPROF_ERR_HANDLE, IOPROF_ERR_OPTION,
    IOPROF_ERR_PANIC, IOPROF_OK, ioprof_status,
};
use crate::text::{ioprof_text, text, write_out};
use ioprofiler_core::gate::SecretFile;
use ioprofiler_core::profile::Hook;
use ioprofiler_core::{Clock, Gate, LogEvent, Profiler, ProfilerBuilder, Record, render};
use std::borrow::Cow;
use std::ffi::{c_char, c_void};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The library's instance: an integer. 0 is none: every call accepts it and does nothing.
pub type ioprof_profiler = u64;

/// Record the calls of every request: a page cannot feel it, and the slow ones are there already.
pub const IOPROF_RECORD_ALWAYS: u32 = 0;
/// Record those of requests that asked for their profile (`ioprof_facts.asked`).
pub const IOPROF_RECORD_ASKED: u32 = 1;
/// Record none.
pub const IOPROF_RECORD_OFF: u32 = 2;

/// The machine's clock.
pub const IOPROF_CLOCK_SYSTEM: u32 = 0;
/// Stands still until `ioprof_clock_advance` moves it, for the whole process: for tests.
pub const IOPROF_CLOCK_MANUAL: u32 = 1;

/// Where the profiler says what went wrong, once a minute and kind: `kind` is `gate`, `limit`,
/// `misuse`, `queue`, `log` or `panic`, `message` one line. Neither ends in NUL. Called by a thread of
/// the library, or by whoever flushes; never by a page. It must not throw.
pub type ioprof_log_callback = Option<
    unsafe extern "C" fn(
        userdata: *mut c_void,
        kind: *const c_char,
        kind_length: usize,
        message: *const c_char,
        message_length: usize,
    ),
>;

/// Options of a profiler. Set `size` to `sizeof(ioprof_options)` and everything else to 0; then
/// what you need: 0 is the default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ioprof_options {
    /// `sizeof(ioprof_options)`.
    pub size: usize,
    /// `IOPROF_RECORD_…`.
    pub record: u32,
    /// `IOPROF_CLOCK_…`.
    pub clock: u32,
    /// 1: start no thread; finished requests are then worked on in `ioprof_profiler_flush`.
    pub threadless: u32,
    /// Calls that one request lists; further ones are only counted. Default 2,000.
    pub max_spans: u32,
    /// Bytes of details that one request keeps. Default 262,144.
    pub max_detail_bytes: u32,
    /// Requests that live at once. Default 10,000.
    pub max_live_requests: u32,
    /// Bytes that all live requests of the process keep. Default 67,108,864.
    pub max_memory: u64,
    /// After so many milliseconds an unfinished page is abandoned. Default 15 minutes.
    pub request_ttl_ms: u64,
    /// The same for jobs and commands. Default 24 hours.
    pub job_ttl_ms: u64,
    /// The application's build, shown in profiles.
    pub build_id: ioprof_text,
    /// Who may see a profile: `token`, `callable`, `flag:NAME`, `this-machine`, `everyone`, or
    /// several with commas between. Default: nobody. `callable` means that the host answers by
    /// `ioprof_gate_answer`; a flag is asked by `ioprof_gate_ask_flag`.
    pub gate: ioprof_text,
    /// The query's parameter that asks, instead of `ioprofiler`.
    pub gate_parameter: ioprof_text,
    /// The operator's secrets for `token`, the newer first: 32 bytes at least.
    pub gate_secrets: *const ioprof_text,
    /// How many; at most two.
    pub gate_secret_count: usize,
    /// Files to read further secrets from.
    pub gate_secret_files: *const ioprof_text,
    /// How many.
    pub gate_secret_file_count: usize,
    /// Where the profiler says what went wrong. Default: nowhere, only in the counters.
    pub log: ioprof_log_callback,
    /// Handed to `log`. It must be good until `ioprof_profiler_free` answered `IOPROF_OK`; where
    /// that answered anything else, as long as the process.
    pub log_userdata: *mut c_void,
    /// What stands in the compact note (`ioprof_request_compact_note`): fields in the language of
    /// Apache's LogFormat, as in `%{user_id}n %{app_us}n`. Default: there is none.
    pub note_format: ioprof_text,
    /// The access log: a file, `stdout`, `stderr`, or `host` where the host writes the lines itself
    /// (`ioprof_profile_log_line`). Default: none is written.
    pub access_log: ioprof_text,
    /// `common`, `combined`, `json`, or a format in the language of Apache's LogFormat. Default
    /// `combined`.
    pub access_log_format: ioprof_text,
    /// The time zone of `%t`: `UTC`, `local` or a name as `America/New_York`. Default `local`.
    pub access_log_time_zone: ioprof_text,
    /// What `%v` writes. Default: the name in the Host header.
    pub access_log_server_name: ioprof_text,
    /// `IOPROF_DETAILS_…`: whether JSON lines show the values of queries, and error messages.
    pub access_log_details: u32,
    /// The longest that a compact note may be, in bytes, at most 1,000. Default 255.
    pub note_max_bytes: u32,
    /// The files with the flags, TOML or JSON: later ones lie over earlier ones. They are looked at
    /// once a second. Default: none.
    pub flag_files: *const ioprof_text,
    /// How many; at most 16.
    pub flag_file_count: usize,
    /// A folder for what outlives the process: the last good flags, and what each process goes by.
    /// Made with mode 0700 where it is not there. Default: none.
    pub state_dir: ioprof_text,
    /// 1: fail where a flags file is missing or anything in it is wrong. Default 0: go on with
    /// what is good.
    pub flags_required: u32,
    /// 1: what the profiler says is kept for `ioprof_profiler_messages`, for languages that cannot
    /// be called back by another thread. `log` is called as well, where it is set.
    pub keep_messages: u32,
    /// The name under which `ioprof_profiler_find` finds it again: for languages whose programs
    /// begin anew with each request. Default: none.
    pub name: ioprof_text,
    /// A file in TOML that says what is counted, kept and sent where, as
    /// `examples/monitoring/ioprofiler.toml` shows: the same in every language. What is wrong in it
    /// fails the call, each line with its place, its key and what is allowed. Default: none.
    pub config_file: ioprof_text,
    /// The same as a text in TOML. What it sets replaces what `config_file` set; its sinks are added.
    pub config: ioprof_text,
    /// The same as an object in JSON, tables of the file being objects in it.
    pub config_json: ioprof_text,
    /// 1: finished requests are added up and `ioprof_count` counts, though nobody is sent anything:
    /// for `ioprof_prometheus` and `ioprof_profiler_series`. Default 0: only where there is a
    /// `state_dir`, or the configuration needs it.
    pub metrics: u32,
    /// 0.
    pub reserved: u32,
}

// SAFETY: integers, pointers, and an optional function.
unsafe impl Growable for ioprof_options {}

struct Place {
    profiler: OnceLock<Profiler>,
    freed: AtomicBool,
    /// The host's log callback is called no more.
    silent: Arc<AtomicBool>,
    name: Option<String>,
    messages: Arc<Messages>,
}

/// As many as a process can have. Filled by one thread each, in the order of `NEXT`.
static PLACES: [OnceLock<Place>; 1_024] = [const { OnceLock::new() }; 1_024];
static NEXT: AtomicU32 = AtomicU32::new(0);
/// In a handle's upper half, so that a small number, a request or a span is none.
const MARK: u64 = 0x696f_7072 << 32;

fn handle(number: u32) -> ioprof_profiler {
    MARK + 1 + u64::from(number)
}

fn place(profiler: ioprof_profiler) -> Option<&'static Place> {
    let number = profiler.checked_sub(MARK + 1)?;
    PLACES.get(usize::try_from(number).ok()?)?.get()
}

/// The profiler of a handle; what is none, freed or foreign is counted unless it is 0.
pub(crate) fn find(profiler: ioprof_profiler) -> Option<&'static Profiler> {
    let found = place(profiler)
        .filter(|place| !place.freed.load(Ordering::Acquire))
        .and_then(|place| place.profiler.get());
    if found.is_none() && profiler != 0 {
        count_invalid();
    }
    found
}

/// The host's callback. It may be called from any thread, as the header says.
struct Log {
    callback: unsafe extern "C" fn(*mut c_void, *const c_char, usize, *const c_char, usize),
    userdata: *mut c_void,
    silent: Arc<AtomicBool>,
}

// SAFETY: the header demands that the callback can be called from any thread with this userdata.
unsafe impl Send for Log {}
// SAFETY: as above.
unsafe impl Sync for Log {}

impl Log {
    fn say(&self, event: &LogEvent) {
        if self.silent.load(Ordering::Acquire) {
            return;
        }
        let (kind, message) = (event.kind, &event.message);
        // SAFETY: the host's function, with its userdata, which are good until freed; texts good
        // for their lengths.
        unsafe {
            (self.callback)(
                self.userdata,
                kind.as_ptr().cast(),
                kind.len(),
                message.as_ptr().cast(),
                message.len(),
            );
        }
    }
}

fn record(number: u32) -> Option<Record> {
    match number {
        IOPROF_RECORD_ALWAYS => Some(Record::Always),
        IOPROF_RECORD_ASKED => Some(Record::Asked),
        IOPROF_RECORD_OFF => Some(Record::Off),
        _ => None,
    }
}

/// # Safety
/// The options' pointers are as the header demands.
unsafe fn gate(options: &ioprof_options) -> Result<Gate, String> {
    let mut secrets: Vec<Vec<u8>> = Vec::new();
    // SAFETY: the caller's promise.
    unsafe {
        for secret in elements(options.gate_secrets, options.gate_secret_count, 8) {
            secrets.push(secret.bytes().unwrap_or_default().to_vec());
        }
        for file in elements(options.gate_secret_files, options.gate_secret_file_count, 8) {
            let path = file.text().unwrap_or_default();
            let read = SecretFile::read(Path::new(path.as_ref()));
            let file = read.map_err(|error| format!("gate_secret_files: {error}"))?;
            secrets.push(file.secret().to_vec());
        }
        let ways = options.gate.text().unwrap_or_default();
        let gate = Gate::parse(&ways, &secrets).map_err(|error| error.to_string())?;
        match options.gate_parameter.text() {
            Some(name) => gate.parameter(&name).map_err(|error| error.to_string()),
            None => Ok(gate),
        }
    }
}

/// # Safety
/// As [`gate`].
unsafe fn builder(
    options: &ioprof_options,
    silent: &Arc<AtomicBool>,
    messages: &Arc<Messages>,
) -> Result<ProfilerBuilder, String> {
    let record = record(options.record).ok_or_else(|| {
        format!(
            "record: {} is not one of IOPROF_RECORD_ALWAYS, _ASKED, _OFF",
            options.record
        )
    })?;
    let clock = match options.clock {
        IOPROF_CLOCK_SYSTEM => Clock::System,
        IOPROF_CLOCK_MANUAL => Clock::Manual,
        other => {
            return Err(format!(
                "clock: {other} is not one of IOPROF_CLOCK_SYSTEM, _MANUAL"
            ));
        }
    };
    // SAFETY: the caller's promise.
    let (gate, build_id) = unsafe { (gate(options)?, options.build_id.text()) };
    let mut builder = Profiler::builder().record(record).clock(clock).gate(gate);
    builder = builder.threadless(options.threadless != 0);
    if let Some(build) = build_id {
        builder = builder.build_id(build);
    }
    if options.max_spans != 0 {
        builder = builder.max_spans(options.max_spans);
    }
    if options.max_detail_bytes != 0 {
        builder = builder.max_detail_bytes(options.max_detail_bytes);
    }
    if options.max_live_requests != 0 {
        builder = builder.max_live_requests(options.max_live_requests);
    }
    if options.max_memory != 0 {
        builder = builder.max_memory(usize::try_from(options.max_memory).unwrap_or(usize::MAX));
    }
    if options.request_ttl_ms != 0 {
        builder = builder.request_ttl(Duration::from_millis(options.request_ttl_ms));
    }
    if options.job_ttl_ms != 0 {
        builder = builder.job_ttl(Duration::from_millis(options.job_ttl_ms));
    }
    let log = options.log.map(|callback| Log {
        callback,
        userdata: options.log_userdata,
        silent: Arc::clone(silent),
    });
    let messages = (options.keep_messages != 0).then(|| Arc::clone(messages));
    if log.is_some() || messages.is_some() {
        builder = builder.on_log(move |event| {
            if let Some(log) = &log {
                log.say(event);
            }
            if let Some(messages) = &messages {
                messages.keep(event);
            }
        });
    }
    // SAFETY: the caller's promise.
    unsafe {
        let builder = metrics::configure(builder, options);
        log::configure(flags::configure(builder, options), options)
    }
}

/// # Safety
/// As [`ioprof_profiler_new`].
unsafe fn new(
    options: *const ioprof_options,
    profiler: *mut ioprof_profiler,
) -> Result<(), (ioprof_status, String)> {
    if profiler.is_null() {
        return Err((IOPROF_ERR_ARGUMENT, "profiler: is NULL".to_owned()));
    }
    let silent = Arc::new(AtomicBool::new(false));
    let messages = Arc::new(Messages::default());
    let mut name = None;
    let wrong = |message: String| (IOPROF_ERR_OPTION, message);
    let builder = if options.is_null() {
        Profiler::builder()
    } else {
        let bad_size = "size: is not sizeof(ioprof_options)".to_owned();
        // SAFETY: the caller's promise.
        unsafe {
            if sized::asks_for_more(options) {
                let newer = "an option is set that this library does not know: it is older than \
                             the header";
                return Err(wrong(newer.to_owned()));
            }
            let options = sized::read(options).map_err(|status| (status, bad_size))?;
            if options.reserved != 0 {
                return Err(wrong("reserved: is not 0".to_owned()));
            }
            name = options.name.text().map(Cow::into_owned);
            if name.as_deref().is_some_and(|name| named(name).is_some()) {
                return Err(wrong("name: there is a profiler of this name".to_owned()));
            }
            self::builder(&options, &silent, &messages).map_err(wrong)?
        }
    };
    let made = builder.build().map_err(|error| wrong(error.to_string()))?;
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let full = || wrong("a process has at most 1024 profilers".to_owned());
    let place = PLACES.get(number as usize).ok_or_else(full)?;
    let _ = place.set(Place {
        profiler: OnceLock::from(made),
        freed: AtomicBool::new(false),
        silent,
        name,
        messages,
    });
    // SAFETY: not NULL, and the caller's to write to.
    unsafe { profiler.write_unaligned(handle(number)) };
    Ok(())
}

/// The handle of the first profiler of this name that is not freed.
fn named(name: &str) -> Option<ioprof_profiler> {
    (0..NEXT.load(Ordering::Relaxed))
        .zip(&PLACES)
        .find_map(|(number, place)| {
            let place = place.get()?;
            let lives = !place.freed.load(Ordering::Acquire);
            (lives && place.name.as_deref() == Some(name)).then(|| handle(number))
        })
}

/// Makes a profiler. `options` may be NULL: all defaults. Starts no thread, opens nothing. Make
/// one at start, not one a request: a process has at most 1,024, freed ones included.
///
/// `*profiler` is written only on `IOPROF_OK`. What is wrong is written into `message`, which may
/// be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_profiler_new(
    options: *const ioprof_options,
    profiler: *mut ioprof_profiler,
    message: *mut c_char,
    message_capacity: usize,
) -> ioprof_status {
    guard(IOPROF_ERR_PANIC, || {
        // SAFETY: the host's promise, as the header states it.
        match unsafe { new(options, profiler) } {
            Ok(()) => IOPROF_OK,
            Err((status, why)) => {
                // SAFETY: the host's promise, as the header states it.
                unsafe { write_out(&why, message, message_capacity) };
                status
            }
        }
    })
}

/// The profiler that was made under this name (`ioprof_options.name`) in this process or one that it
/// was forked from; 0 where there is none, or it was freed. For languages whose programs begin anew
/// with each request, as PHP's do: find it, and make it where there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_profiler_find(
    name: *const c_char,
    name_length: usize,
) -> ioprof_profiler {
    guard(0, || {
        // SAFETY: the host's promise, as the header states it.
        let name = unsafe { text(name, name_length) };
        named(&name).unwrap_or(0)
    })
}

/// What the profiler said since the last call, where `ioprof_options.keep_messages` is 1: at most
/// the last 64 messages, one a line, as `gate: asked, gate closed: token expired`. What was written
/// whole is forgotten; where the buffer is too small, nothing is. Gives the length it needs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_profiler_messages(
    profiler: ioprof_profiler,
    buffer: *mut c_char,
    capacity: usize,
) -> usize {
    guard(0, || {
        let mut needed = 0;
        if find(profiler).is_some()
            && let Some(place) = place(profiler)
        {
            place.messages.take(|lines| {
                // SAFETY: the host's promise, as the header states it.
                needed = unsafe { write_out(lines, buffer, capacity) };
                !buffer.is_null() && needed < capacity
            });
        }
        needed
    })
}

/// Ends a profiler: waits up to `within_ms` milliseconds until what was finished is worked on and
/// what was counted is sent, ends the library's threads, and forgets the handle. Requests that live are left to themselves.
/// `IOPROF_ERR_DEADLINE` where the time was over first; the handle is gone all the same.
#[unsafe(no_mangle)]
pub extern "C" fn ioprof_profiler_free(profiler: ioprof_profiler, within_ms: u32) -> ioprof_status {
    guard(IOPROF_ERR_PANIC, || {
        if profiler == 0 {
            return IOPROF_OK;
        }
        let Some(place) = place(profiler) else {
            count_invalid();
            return IOPROF_ERR_HANDLE;
        };
        if place.freed.swap(true, Ordering::AcqRel) {
            count_invalid();
            return IOPROF_ERR_HANDLE;
        }
        let ended = place
            .profiler
            .get()
            .is_none_or(|profiler| profiler.shutdown(Duration::from_millis(within_ms.into())));
        place.silent.store(true, Ordering::Release);
        if ended {
            IOPROF_OK
        } else {
            IOPROF_ERR_DEADLINE
        }
    })
}

/// Waits up to `within_ms` milliseconds until everything that was finished before is worked on, and
/// everything that was counted before is sent. Without threads (`ioprof_options.threadless`) this is
/// when it is done: sinks send what is due, others wait for their interval to end.
#[unsafe(no_mangle)]
pub extern "C" fn ioprof_profiler_flush(
    profiler: ioprof_profiler,
    within_ms: u32,
) -> ioprof_status {
    guard(IOPROF_ERR_PANIC, || match find(profiler) {
        None => IOPROF_ERR_HANDLE,
        Some(profiler) if profiler.flush(Duration::from_millis(within_ms.into())) => IOPROF_OK,
        Some(_) => IOPROF_ERR_DEADLINE,
    })
}

/// Changes what is recorded (`IOPROF_RECORD_…`), for requests that begin from now on.
#[unsafe(no_mangle)]
pub extern "C" fn ioprof_profiler_set_record(
    profiler: ioprof_profiler,
    record: u32,
) -> ioprof_status {
    guard(IOPROF_ERR_PANIC, || {
        let Some(record) = self::record(record) else {
            count_invalid();
            return IOPROF_ERR_ARGUMENT;
        };
        find(profiler).map_or(IOPROF_ERR_HANDLE, |profiler| {
            profiler.set_record(record);
            IOPROF_OK
        })
    })
}

/// Records nothing from now on, until `ioprof_profiler_enable`.
#[unsafe(no_mangle)]
pub extern "C" fn ioprof_profiler_disable(profiler: ioprof_profiler) {
    guard((), || {
        if let Some(profiler) = find(profiler) {
            profiler.disable();
        }
    });
}

/// Records again as before `ioprof_profiler_disable`.
#[unsafe(no_mangle)]
pub extern "C" fn ioprof_profiler_enable(profiler: ioprof_profiler) {
    guard((), || {
        if let Some(profiler) = find(profiler) {
            profiler.enable();
        }
    });
}

/// Says that a library's calls are recorded (`hooked` 1), or were seen and are not (0), with what
/// to do about it. Profiles show it, so that a poor table explains itself.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_profiler_hook(
    profiler: ioprof_profiler,
    name: *const c_char,
    name_length: usize,
    hooked: u32,
    hint: *const c_char,
    hint_length: usize,
) {
    guard((), || {
        let Some(profiler) = find(profiler) else {
            return;
        };
        // SAFETY: the host's promise, as the header states it.
        let (name, hint) = unsafe { (text(name, name_length), text(hint, hint_length)) };
        profiler.hook(if hooked == 0 {
            Hook::seen(name, hint)
        } else {
            Hook::hooked(name)
        });
    });
}

/// The requests that live now, oldest first, each with its open calls, as a JSON array of
/// profiles (see `ioprof_profile_json`). Gives the length it needs; what was written is whole
/// where that is below `capacity`. Not cheap: for an operator's page.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_profiler_in_flight(
    profiler: ioprof_profiler,
    details: u32,
    buffer: *mut c_char,
    capacity: usize,
) -> usize {
    guard(0, || {
        let live = find(profiler).map(Profiler::in_flight).unwrap_or_default();
        let details = self::details(details);
        let each: Vec<String> = live
            .iter()
            .map(|data| render::json(data, details))
            .collect();
        let all = format!("[{}]", each.join(","));
        // SAFETY: the host's promise, as the header states it.
        unsafe { write_out(&all, buffer, capacity) }
    })
}
