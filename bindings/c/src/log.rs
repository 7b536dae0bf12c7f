//! Notes, the access log's line, and the compact note for a server's own line.

use crate::guard::guard;
use crate::profile::{details, ioprof_profile};
use crate::profiler::{find, ioprof_options, ioprof_profiler};
use crate::request::ioprof_request;
use crate::status::{
    IOPROF_ERR_ARGUMENT, IOPROF_ERR_OPTION, IOPROF_ERR_PANIC, IOPROF_OK, ioprof_status,
};
use crate::text::{bytes, text, write_out};
use ioprofiler_core::handle::RequestHandle;
use ioprofiler_core::{AccessLog, LogFormat, NoteFormat, NoteValue, ProfilerBuilder, Request};
use std::ffi::c_char;

/// What the options say about logs.
///
/// # Safety
/// The options' texts are as the header demands.
pub(crate) unsafe fn configure(
    mut builder: ProfilerBuilder,
    options: &ioprof_options,
) -> Result<ProfilerBuilder, String> {
    // SAFETY: the caller's promise.
    let (note, log) = unsafe { (options.note_format.text(), options.access_log.text()) };
    if let Some(note) = note {
        let mut format =
            NoteFormat::parse(&note).map_err(|error| format!("note_format: {error}"))?;
        if options.note_max_bytes != 0 {
            let most = options.note_max_bytes as usize;
            format = format.max_bytes(most).map_err(|error| error.to_string())?;
        }
        builder = builder.note_format(format);
    }
    if let Some(log) = log {
        // SAFETY: the caller's promise.
        let format = unsafe { log_format(options)? };
        builder = builder.access_log(match &*log {
            "host" => AccessLog::by_host(format),
            "stdout" => AccessLog::stdout(format),
            "stderr" => AccessLog::stderr(format),
            path => AccessLog::file(path, format),
        });
    }
    Ok(builder)
}

/// # Safety
/// As [`configure`].
unsafe fn log_format(options: &ioprof_options) -> Result<LogFormat, String> {
    // SAFETY: the caller's promise.
    let (format, zone, server) = unsafe {
        (
            options.access_log_format.text(),
            options.access_log_time_zone.text(),
            options.access_log_server_name.text(),
        )
    };
    let wrong = |error: ioprofiler_core::Error| format!("access_log_format: {error}");
    let mut format = LogFormat::parse(format.as_deref().unwrap_or("combined")).map_err(wrong)?;
    if let Some(zone) = zone {
        format = format
            .time_zone(&zone)
            .map_err(|error| format!("access_log_{error}"))?;
    }
    if let Some(server) = server {
        format = format.server_name(server);
    }
    Ok(format.details(details(options.access_log_details)))
}

/// # Safety
/// The name is as the header demands.
unsafe fn note(
    request: ioprof_request,
    name: *const c_char,
    name_length: usize,
    value: NoteValue<&str>,
) {
    // SAFETY: the caller's promise.
    let name = unsafe { text(name, name_length) };
    self::request(request).note(&name, value);
}

fn request(request: ioprof_request) -> Request {
    RequestHandle::from_bits(request).request()
}

/// Sets a note: a named value for the request's line in the log. The last value of a name wins. A
/// request keeps 64 notes; a name is 1 to 64 bytes of visible ASCII without `"`, `\`, `{`, `}`; of a
/// text 1,024 bytes are kept. What is not taken, because of that or because the request is
/// finished, is counted (`ioprof_stats.lost_notes`).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_request_note_text(
    request: ioprof_request,
    name: *const c_char,
    name_length: usize,
    value: *const c_char,
    value_length: usize,
) {
    guard((), || {
        // SAFETY: the host's promise, as the header states it.
        unsafe {
            let value = text(value, value_length);
            note(request, name, name_length, NoteValue::from(&*value));
        }
    });
}

/// As `ioprof_request_note_text`, for a whole number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_request_note_integer(
    request: ioprof_request,
    name: *const c_char,
    name_length: usize,
    value: i64,
) {
    // SAFETY: the host's promise, as the header states it.
    guard((), || unsafe {
        note(request, name, name_length, value.into())
    });
}

/// As `ioprof_request_note_text`, for any other number. One that is not finite is logged as absent.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_request_note_float(
    request: ioprof_request,
    name: *const c_char,
    name_length: usize,
    value: f64,
) {
    // SAFETY: the host's promise, as the header states it.
    guard((), || unsafe {
        note(request, name, name_length, value.into())
    });
}

/// As `ioprof_request_note_text`, for `true` (not 0) or `false` (0).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_request_note_bool(
    request: ioprof_request,
    name: *const c_char,
    name_length: usize,
    value: u32,
) {
    guard((), || {
        // SAFETY: the host's promise, as the header states it.
        unsafe { note(request, name, name_length, (value != 0).into()) };
    });
}

/// A header of the answer, where a configured format names it: `ioprof_profiler_wanted_headers`.
/// Once for each time that it is there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_request_answer_header(
    request: ioprof_request,
    name: *const c_char,
    name_length: usize,
    value: *const c_char,
    value_length: usize,
) {
    guard((), || {
        // SAFETY: the host's promise, as the header states it.
        let (name, value) = unsafe { (text(name, name_length), bytes(value, value_length)) };
        self::request(request).answer_header(&name, value);
    });
}

/// The compact note of the request as it is now, in the format of `ioprof_options.note_format`: for
/// a server's own line, and for a header. Printable ASCII without `"` and `\`. Gives the length it
/// needs; 0 where there is no format or no request.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_request_compact_note(
    request: ioprof_request,
    buffer: *mut c_char,
    capacity: usize,
) -> usize {
    guard(0, || {
        let note = self::request(request).compact_note().unwrap_or_default();
        // SAFETY: the host's promise, as the header states it.
        unsafe { write_out(&note, buffer, capacity) }
    })
}

/// The line of a request in the access log, without its end, for hosts that write it themselves
/// (`ioprof_options.access_log` is `host`). Gives the length it needs; 0 where there is no access
/// log.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_profile_log_line(
    profiler: ioprof_profiler,
    profile: *const ioprof_profile,
    buffer: *mut c_char,
    capacity: usize,
) -> usize {
    guard(0, || {
        // SAFETY: the host's promise, as the header states it.
        let profile = unsafe { profile.as_ref() };
        let line = profile.and_then(|profile| find(profiler)?.log_line(profile.profile()));
        // SAFETY: the host's promise, as the header states it.
        unsafe { write_out(&line.unwrap_or_default(), buffer, capacity) }
    })
}

/// A line about a request in any format: `common`, `combined`, `json`, or one in the language of
/// Apache's LogFormat, as `%{user_id}n\t%{app_us}n`. For notes that a server's own line takes one by
/// one: none has a tab in it. `*length` is what the line needs, without a NUL. On
/// `IOPROF_ERR_OPTION` what is wrong with the format is in `buffer`, and `*length` its length.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_profile_line(
    profile: *const ioprof_profile,
    format: *const c_char,
    format_length: usize,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> ioprof_status {
    guard(IOPROF_ERR_PANIC, || {
        // SAFETY: the host's promise, as the header states it.
        unsafe {
            let Some(profile) = profile.as_ref().filter(|_| !length.is_null()) else {
                return IOPROF_ERR_ARGUMENT;
            };
            let (status, text) = match LogFormat::parse(&text(format, format_length)) {
                Err(error) => (IOPROF_ERR_OPTION, error.to_string()),
                Ok(format) if format.needs_calls() => {
                    (IOPROF_OK, format.line(profile.profile().data()))
                }
                Ok(format) => (IOPROF_OK, format.line(profile.profile().about())),
            };
            length.write_unaligned(write_out(&text, buffer, capacity));
            status
        }
    })
}

/// The headers that configured formats name, in small letters, each ended by a newline: of requests
/// (`answer` 0, for `ioprof_facts.headers`) or of answers (`answer` 1, for
/// `ioprof_request_answer_header`). Gives the length it needs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_profiler_wanted_headers(
    profiler: ioprof_profiler,
    answer: u32,
    buffer: *mut c_char,
    capacity: usize,
) -> usize {
    guard(0, || {
        let wanted = find(profiler).map(|profiler| profiler.wanted_headers());
        let names = wanted.map(|wanted| match answer {
            0 => &wanted.request,
            _ => &wanted.answer,
        });
        let lines: String = names
            .into_iter()
            .flatten()
            .flat_map(|name| [name.as_str(), "\n"])
            .collect();
        // SAFETY: the host's promise, as the header states it.
        unsafe { write_out(&lines, buffer, capacity) }
    })
}

/// Opens the access log's file again at its next line: after it was moved away. The library notices
/// that by itself as well.
#[unsafe(no_mangle)]
pub extern "C" fn ioprof_profiler_reopen_logs(profiler: ioprof_profiler) {
    guard((), || {
        if let Some(profiler) = find(profiler) {
            profiler.reopen_logs();
        }
    });
}
