//! Requests: facts, begin, end.

use crate::guard::{count_invalid, guard};
use crate::profile::ioprof_profile;
use crate::profiler::{find, ioprof_profiler};
use crate::sized::{self, Growable, elements};
use crate::text::{ioprof_text, text, write_out};
use ioprofiler_core::handle::RequestHandle;
use ioprofiler_core::{Facts, Profile, Request};
use std::borrow::Cow;
use std::ffi::c_char;

/// One unit of work under observation: an integer. 0 is none: every call accepts it and does
/// nothing. One that is stale or foreign does nothing either, and is counted. From any thread.
///
/// Bit 0 says whether its calls are recorded.
pub type ioprof_request = u64;

/// A page or an API call.
pub const IOPROF_WEB: u32 = 0;
/// Work in the background; `path` is its name.
pub const IOPROF_JOB: u32 = 1;
/// A command; `path` is its name.
pub const IOPROF_COMMAND: u32 = 2;

/// A request's header.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ioprof_header {
    /// In any case.
    pub name: ioprof_text,
    /// As it came in.
    pub value: ioprof_text,
}

/// What a request is about. Set `size` to `sizeof(ioprof_facts)` and everything else to 0; then
/// what you know. Texts are copied, and cut at 8 KiB.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ioprof_facts {
    /// `sizeof(ioprof_facts)`.
    pub size: usize,
    /// `IOPROF_WEB`, `IOPROF_JOB`, `IOPROF_COMMAND`.
    pub kind: u32,
    /// 1 where the request asked for its profile: see `IOPROF_RECORD_ASKED`.
    pub asked: u32,
    /// `GET`.
    pub method: ioprof_text,
    /// The raw path without the query; of a job or a command its name.
    pub path: ioprof_text,
    /// The raw query without `?`.
    pub query: ioprof_text,
    /// `http` or `https`.
    pub scheme: ioprof_text,
    /// The Host header or authority.
    pub host: ioprof_text,
    /// `HTTP/1.1`.
    pub protocol: ioprof_text,
    /// The peer's address.
    pub peer: ioprof_text,
    /// The request's id, where the host has one; else one is made up.
    pub id: ioprof_text,
    /// The W3C `traceparent` header.
    pub traceparent: ioprof_text,
    /// Who looks, where a token said so: `ioprof_gate_decision.viewer`.
    pub viewer: ioprof_text,
    /// Those request headers that configured formats name: `ioprof_profiler_wanted_headers`.
    pub headers: *const ioprof_header,
    /// How many; at most 64 are taken.
    pub header_count: usize,
    /// What the viewer wants flags to be: only what `ioprof_gate_flag_overrides` gave.
    pub flag_overrides: ioprof_text,
}

// SAFETY: integers and pointers.
unsafe impl Growable for ioprof_facts {}

const MAX_HEADERS: usize = 64;

/// # Safety
/// The pointers are as the header demands.
unsafe fn begin(profiler: ioprof_profiler, host: *const ioprof_facts) -> Request {
    let Some(profiler) = find(profiler) else {
        return Request::none();
    };
    if host.is_null() {
        return profiler.begin(&Facts::web("", ""));
    }
    // SAFETY: the caller's promise, for all that the struct points to.
    unsafe {
        let Ok(host) = sized::read(host) else {
            count_invalid();
            return profiler.begin(&Facts::web("", ""));
        };
        let method = host.method.text().unwrap_or_default();
        let path = host.path.text().unwrap_or_default();
        let optional = [
            host.query.text(),
            host.scheme.text(),
            host.host.text(),
            host.protocol.text(),
            host.peer.text(),
            host.id.text(),
            host.traceparent.text(),
            host.viewer.text(),
            host.flag_overrides.text(),
        ];
        let headers = headers(&host);
        let headers: Vec<(&str, &[u8])> = headers
            .iter()
            .map(|(name, value)| (name.as_ref(), *value))
            .collect();
        let facts = match host.kind {
            IOPROF_JOB => Facts::job(&path),
            IOPROF_COMMAND => Facts::command(&path),
            kind => {
                if kind != IOPROF_WEB {
                    count_invalid();
                }
                Facts::web(&method, &path)
            }
        };
        let facts = facts.asked(host.asked != 0).raw_headers(&headers);
        profiler.begin(&with_optional(facts, &optional))
    }
}

fn with_optional<'a>(mut facts: Facts<'a>, optional: &'a [Option<Cow<'a, str>>; 9]) -> Facts<'a> {
    let [
        query,
        scheme,
        host,
        protocol,
        peer,
        id,
        traceparent,
        viewer,
        overrides,
    ] = optional;
    type Setter<'a> = fn(Facts<'a>, &'a str) -> Facts<'a>;
    let setters: [(&Option<Cow<'a, str>>, Setter<'a>); 9] = [
        (query, Facts::query),
        (scheme, Facts::scheme),
        (host, Facts::host),
        (protocol, Facts::protocol),
        (peer, Facts::peer),
        (id, Facts::id),
        (traceparent, Facts::traceparent),
        (viewer, Facts::viewer),
        (overrides, Facts::flag_overrides),
    ];
    for (value, set) in setters {
        if let Some(value) = value {
            facts = set(facts, value);
        }
    }
    facts
}

/// # Safety
/// The pointers are as the header demands.
unsafe fn headers<'a>(host: &ioprof_facts) -> Vec<(Cow<'a, str>, &'a [u8])> {
    // SAFETY: the caller's promise.
    unsafe {
        elements(host.headers, host.header_count, MAX_HEADERS)
            .map(|header| {
                let name = header.name.text().unwrap_or_default();
                (name, header.value.bytes().unwrap_or_default())
            })
            .collect()
    }
}

fn request(request: ioprof_request) -> Request {
    RequestHandle::from_bits(request).request()
}

/// Begins a request. Never fails: gives 0 where none can be had, and counts. It lives until
/// `ioprof_request_finish` or `ioprof_request_abort`, or `request_ttl_ms`. `facts` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_request_begin(
    profiler: ioprof_profiler,
    facts: *const ioprof_facts,
) -> ioprof_request {
    guard(0, || {
        // SAFETY: the host's promise, as the header states it.
        RequestHandle::new(unsafe { begin(profiler, facts) }).to_bits()
    })
}

/// Begins a job that knows this request as its parent and outlives it; it is finished on its own.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_request_detach(
    request: ioprof_request,
    name: *const c_char,
    length: usize,
) -> ioprof_request {
    guard(0, || {
        // SAFETY: the host's promise, as the header states it.
        let name = unsafe { text(name, length) };
        RequestHandle::new(self::request(request).detach(&name)).to_bits()
    })
}

/// The request's id. Gives the length it needs; 0 for no request.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_request_id(
    request: ioprof_request,
    buffer: *mut c_char,
    capacity: usize,
) -> usize {
    guard(0, || {
        // SAFETY: the host's promise, as the header states it.
        unsafe { write_out(&self::request(request).id(), buffer, capacity) }
    })
}

/// The route's template: `/listing/{id}`, never the raw path.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_request_set_route(
    request: ioprof_request,
    route: *const c_char,
    length: usize,
) {
    guard((), || {
        // SAFETY: the host's promise, as the header states it.
        let route = unsafe { text(route, length) };
        self::request(request).set_route(&route);
    });
}

/// The user's id.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_request_set_user(
    request: ioprof_request,
    user: *const c_char,
    length: usize,
) {
    guard((), || {
        // SAFETY: the host's promise, as the header states it.
        let user = unsafe { text(user, length) };
        self::request(request).set_user(&user);
    });
}

/// The browser's id.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_request_set_visitor(
    request: ioprof_request,
    visitor: *const c_char,
    length: usize,
) {
    guard((), || {
        // SAFETY: the host's promise, as the header states it.
        let visitor = unsafe { text(visitor, length) };
        self::request(request).set_visitor(&visitor);
    });
}

/// One more group of the user; at most 64.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_request_add_group(
    request: ioprof_request,
    group: *const c_char,
    length: usize,
) {
    guard((), || {
        // SAFETY: the host's promise, as the header states it.
        let group = unsafe { text(group, length) };
        self::request(request).add_group(&group);
    });
}

/// Who looks at the profile, where the host learned it after begin.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_request_set_viewer(
    request: ioprof_request,
    viewer: *const c_char,
    length: usize,
) {
    guard((), || {
        // SAFETY: the host's promise, as the header states it.
        let viewer = unsafe { text(viewer, length) };
        self::request(request).set_viewer(&viewer);
    });
}

/// What went wrong.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_request_set_error(
    request: ioprof_request,
    error: *const c_char,
    length: usize,
) {
    guard((), || {
        // SAFETY: the host's promise, as the header states it.
        let error = unsafe { text(error, length) };
        self::request(request).set_error(&error);
    });
}

/// The answer's status, as soon as it is known: for what the answer itself shows, and for the compact
/// note. The end of the request says it again.
#[unsafe(no_mangle)]
pub extern "C" fn ioprof_request_set_status(request: ioprof_request, status: u16) {
    guard((), || self::request(request).set_status(status));
}

/// The answer's first byte leaves: later calls are marked "after answer". The first time counts.
#[unsafe(no_mangle)]
pub extern "C" fn ioprof_request_first_byte(request: ioprof_request) {
    guard((), || self::request(request).first_byte());
}

/// What the request has done so far: what an answer shows. Any number of times, while other
/// threads record. You own it (`ioprof_profile_free`); NULL for no request.
#[unsafe(no_mangle)]
pub extern "C" fn ioprof_request_snapshot(request: ioprof_request) -> *mut ioprof_profile {
    guard(std::ptr::null_mut(), || {
        let request = self::request(request);
        if request.is_none() {
            return std::ptr::null_mut();
        }
        ioprof_profile::new(request.snapshot())
    })
}

/// # Safety
/// `profile` is NULL, or the caller's to write to.
unsafe fn end(
    request: ioprof_request,
    profile: *mut *mut ioprof_profile,
    end: impl FnOnce(&Request) -> Profile,
) {
    let request = self::request(request);
    if request.is_none() {
        return;
    }
    let ended = end(&request);
    if !profile.is_null() {
        // SAFETY: the caller's promise.
        unsafe { profile.write_unaligned(ioprof_profile::new(ended)) };
    }
}

/// Ends the request, once: its body has ended. Where `profile` is not NULL, `*profile` becomes
/// what the request did, which you then own (`ioprof_profile_free`); it is NULL where the handle
/// is none or stale.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_request_finish(
    request: ioprof_request,
    status: u16,
    bytes_out: u64,
    profile: *mut *mut ioprof_profile,
) {
    guard((), || {
        // SAFETY: the host's promise, as the header states it.
        unsafe {
            if !profile.is_null() {
                profile.write_unaligned(std::ptr::null_mut());
            }
            end(request, profile, |request| {
                request.finish(status, bytes_out)
            });
        }
    });
}

/// As `ioprof_request_finish`, where the client left before the body had ended. `status` is 0
/// where there was none yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_request_abort(
    request: ioprof_request,
    status: u16,
    bytes_out: u64,
    profile: *mut *mut ioprof_profile,
) {
    guard((), || {
        let status = (status != 0).then_some(status);
        // SAFETY: the host's promise, as the header states it.
        unsafe {
            if !profile.is_null() {
                profile.write_unaligned(std::ptr::null_mut());
            }
            end(request, profile, |request| request.abort(status, bytes_out));
        }
    });
}
