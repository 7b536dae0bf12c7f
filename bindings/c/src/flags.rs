//! Flags: numbers in, small integers out.

use crate::gate::{self, ioprof_gate_decision, ioprof_gate_inputs};
use crate::guard::{count_invalid, guard};
use crate::profiler::{find, ioprof_options, ioprof_profiler};
use crate::request::ioprof_request;
use crate::sized::{self, Growable, elements};
use crate::span::ioprof_span;
use crate::status::{
    IOPROF_ERR_ARGUMENT, IOPROF_ERR_HANDLE, IOPROF_ERR_PANIC, IOPROF_OK, ioprof_status,
};
use crate::text::{bytes, ioprof_text, text, write_out};
use ioprofiler_core::ProfilerBuilder;
use ioprofiler_core::flags::{DarkEnd, Decision, FlagId, Reason, State, Subject};
use ioprofiler_core::handle::{RequestHandle, Site, SpanHandle};
use std::borrow::Cow;
use std::ffi::c_char;

/// A flag's number in this process, good in its children too: ask once by `ioprof_flag_of` and
/// keep it, or write `IOPROF_FLAG("new_search")`. 0 is a flag that is never found.
pub type ioprof_flag = u32;

/// What a flag resolved to, in one integer: take it apart with `IOPROF_DECISION_STATE`,
/// `IOPROF_DECISION_REASON` and `ioprof_flag_variant`. Good for ever.
pub type ioprof_decision = u32;

/// The old code.
pub const IOPROF_FLAG_OFF: u32 = 0;
/// The new code, in the decision's variant.
pub const IOPROF_FLAG_ON: u32 = 1;
/// The old code, and the new code besides, unseen: `ioprof_dark_begin`.
pub const IOPROF_FLAG_DARK: u32 = 2;

/// No file names the flag: the caller's default.
pub const IOPROF_REASON_NOT_FOUND: u32 = 0;
/// The flag is broken in its file: the caller's default.
pub const IOPROF_REASON_ERROR: u32 = 1;
/// `enabled = "off"`, which beats everything.
pub const IOPROF_REASON_KILLED: u32 = 2;
/// Its priority is shed now, or it would have been dark while anything is.
pub const IOPROF_REASON_SHED: u32 = 3;
/// The viewer chose it, past the gate.
pub const IOPROF_REASON_OVERRIDE: u32 = 4;
/// The user is listed.
pub const IOPROF_REASON_USER: u32 = 5;
/// A group of the user's is listed.
pub const IOPROF_REASON_GROUP: u32 = 6;
/// It is on for all.
pub const IOPROF_REASON_ON: u32 = 7;
/// The unit's bucket is within a percentage.
pub const IOPROF_REASON_PERCENT: u32 = 8;
/// The unit's bucket is within `dark`.
pub const IOPROF_REASON_DARK: u32 = 9;
/// None of its rules applied.
pub const IOPROF_REASON_OFF: u32 = 10;
/// A percentage would have decided, and there is nobody to hash.
pub const IOPROF_REASON_NO_UNIT: u32 = 11;

/// Dark work ended as it should.
pub const IOPROF_DARK_OK: u32 = 0;
/// With an error, which the host swallowed.
pub const IOPROF_DARK_ERROR: u32 = 1;
/// With an exception that nobody expected, which the host swallowed.
pub const IOPROF_DARK_EXCEPTION: u32 = 2;

/// A name and its value.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ioprof_attribute {
    /// `country`.
    pub name: ioprof_text,
    /// As text; a whole number without a point.
    pub value: ioprof_text,
}

/// About whom a flag is asked, where it is not about the request's own user and visitor. Set
/// `size` and what you have.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ioprof_subject {
    /// `sizeof(ioprof_subject)`.
    pub size: usize,
    /// The user's id.
    pub user: ioprof_text,
    /// The browser's id.
    pub visitor: ioprof_text,
    /// The request's id, for flags with `bucket_by = "request"`.
    pub request: ioprof_text,
    /// Groups that the user is in.
    pub groups: *const ioprof_text,
    /// How many; at most 64 are taken.
    pub group_count: usize,
    /// What else flags may be bucketed by.
    pub attributes: *const ioprof_attribute,
    /// How many; at most 64 are taken.
    pub attribute_count: usize,
}

// SAFETY: integers and pointers.
unsafe impl Growable for ioprof_subject {}

const MOST: usize = 64;
const MOST_FILES: usize = 16;

const REASON_SHIFT: u32 = 8;
const VARIANT_SHIFT: u32 = 16;

const _: () = {
    assert!(IOPROF_REASON_NO_UNIT == Reason::NoUnit as u32);
    assert!(IOPROF_REASON_OVERRIDE == Reason::Override as u32);
    assert!(IOPROF_FLAG_DARK == State::Dark as u32);
};

#[inline(always)]
fn pack(decision: Decision) -> ioprof_decision {
    let (state, reason) = (decision.state() as u32, decision.reason() as u32);
    state | reason << REASON_SHIFT | u32::from(decision.variant_number()) << VARIANT_SHIFT
}

#[inline(always)]
fn flag(number: ioprof_flag) -> FlagId {
    FlagId::from_number(number)
}

/// The number of a flag's name, given at its first use. 0 for a name over 128 bytes, and where a
/// process knows 16,384 names already, or 1,024 that no file does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_flag_of(name: *const c_char, length: usize) -> ioprof_flag {
    guard(0, || {
        // SAFETY: the host's promise, as the header states it.
        FlagId::intern(&unsafe { text(name, length) }).number()
    })
}

/// What a flag is for the request's own user and visitor. It is decided once; later calls in this
/// request give the same, and count. `on_by_default` (0 or 1) answers where the flag is not found
/// or broken. With no request, what is killed, shed or on for all is so too, and a percentage is
/// off.
#[unsafe(no_mangle)]
pub extern "C" fn ioprof_flag_decide(
    request: ioprof_request,
    flag: ioprof_flag,
    on_by_default: u32,
) -> ioprof_decision {
    let handle = RequestHandle::from_bits(request);
    // What was decided before needs no guard: it calls nothing that could panic or set errno.
    match handle.try_decide(self::flag(flag), on_by_default != 0) {
        Some(decision) => pack(decision),
        None => decide(handle, flag, on_by_default),
    }
}

#[inline(never)]
fn decide(handle: RequestHandle, flag: ioprof_flag, on_by_default: u32) -> ioprof_decision {
    guard(on_by_default.min(1), || {
        pack(handle.decide(self::flag(flag), on_by_default != 0))
    })
}

/// `ioprof_flag_decide` by name, which is looked up each time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_flag_decide_name(
    request: ioprof_request,
    name: *const c_char,
    length: usize,
    on_by_default: u32,
) -> ioprof_decision {
    let handle = RequestHandle::from_bits(request);
    // SAFETY: the host's promise, as the header states it.
    let before = FlagId::find(unsafe { bytes(name, length) })
        .and_then(|flag| handle.try_decide(flag, on_by_default != 0));
    match before {
        Some(decision) => pack(decision),
        // SAFETY: as above.
        None => unsafe { decide_name(handle, name, length, on_by_default) },
    }
}

/// # Safety
/// As [`ioprof_flag_decide_name`].
#[inline(never)]
unsafe fn decide_name(
    handle: RequestHandle,
    name: *const c_char,
    length: usize,
    on_by_default: u32,
) -> ioprof_decision {
    guard(on_by_default.min(1), || {
        // SAFETY: the caller's promise.
        let flag = FlagId::intern(&unsafe { text(name, length) });
        pack(handle.decide(flag, on_by_default != 0))
    })
}

/// What a flag is for somebody else. Of the request only its flags count. Without a request, the
/// newest decide.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_flag_decide_for(
    request: ioprof_request,
    flag: ioprof_flag,
    subject: *const ioprof_subject,
    on_by_default: u32,
) -> ioprof_decision {
    guard(on_by_default.min(1), || {
        let handle = RequestHandle::from_bits(request);
        let on = on_by_default != 0;
        // SAFETY: the host's promise, as the header states it.
        let decided =
            unsafe { with_subject(subject, |who| handle.decide_for(self::flag(flag), who, on)) };
        pack(decided)
    })
}

/// # Safety
/// The pointers are as the header demands.
unsafe fn with_subject<R>(host: *const ioprof_subject, f: impl FnOnce(&Subject<'_>) -> R) -> R {
    // SAFETY: the caller's promise, for all that the struct points to.
    unsafe {
        let Ok(host) = sized::read(host) else {
            count_invalid();
            return f(&Subject::NOBODY);
        };
        let text = |text: ioprof_text| text.text().unwrap_or_default();
        let (user, visitor, request) = (text(host.user), text(host.visitor), text(host.request));
        let groups: Vec<Cow<'_, str>> = elements(host.groups, host.group_count, MOST)
            .map(text)
            .collect();
        let groups: Vec<&str> = groups.iter().map(AsRef::as_ref).collect();
        let attributes: Vec<(Cow<'_, str>, Cow<'_, str>)> =
            elements(host.attributes, host.attribute_count, MOST)
                .map(|attribute| (text(attribute.name), text(attribute.value)))
                .collect();
        let attributes: Vec<(&str, &str)> = attributes
            .iter()
            .map(|(name, value)| (name.as_ref(), value.as_ref()))
            .collect();
        let subject = Subject::user(&user)
            .with_visitor(&visitor)
            .with_request(&request)
            .in_groups(&groups)
            .with_attributes(&attributes);
        f(&subject)
    }
}

/// The variant of a decision: `on`, `off`, `dark`, or the file's own. Gives the length it needs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_flag_variant(
    decision: ioprof_decision,
    buffer: *mut c_char,
    capacity: usize,
) -> usize {
    guard(0, || {
        let variant = Decision::variant_of_number((decision >> VARIANT_SHIFT) as u16);
        // SAFETY: the host's promise, as the header states it.
        unsafe { write_out(variant, buffer, capacity) }
    })
}

/// The data that the file gives the variant which the flag is in, as JSON. Gives the length it
/// needs; 0 where there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_flag_data(
    request: ioprof_request,
    flag: ioprof_flag,
    buffer: *mut c_char,
    capacity: usize,
) -> usize {
    guard(0, || {
        let request = RequestHandle::from_bits(request).request();
        let data = request.flag_data(self::flag(flag));
        // SAFETY: the host's promise, as the header states it.
        unsafe { write_out(data.as_deref().unwrap_or_default(), buffer, capacity) }
    })
}

/// Why a flag is what it is: each rule, and what it says, a line each. Gives the length it needs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_flag_explain(
    request: ioprof_request,
    flag: ioprof_flag,
    buffer: *mut c_char,
    capacity: usize,
) -> usize {
    guard(0, || {
        let request = RequestHandle::from_bits(request).request();
        let explanation = request.explain(self::flag(flag)).to_string();
        // SAFETY: the host's promise, as the header states it.
        unsafe { write_out(&explanation, buffer, capacity) }
    })
}

/// One more thing that flags may be bucketed by; at most 64, the last value of a name wins. Before
/// a flag is first asked for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_request_set_attribute(
    request: ioprof_request,
    name: *const c_char,
    name_length: usize,
    value: *const c_char,
    value_length: usize,
) {
    guard((), || {
        // SAFETY: the host's promise, as the header states it.
        let (name, value) = unsafe { (text(name, name_length), text(value, value_length)) };
        RequestHandle::from_bits(request)
            .request()
            .set_attribute(&name, &value);
    });
}

/// Decides by the newest flags from now on, instead of those that the request began with: for
/// jobs and websockets. Without it, a newer kill or shed reaches a request after a minute.
#[unsafe(no_mangle)]
pub extern "C" fn ioprof_request_refresh_flags(request: ioprof_request) {
    guard((), || {
        RequestHandle::from_bits(request).request().refresh_flags();
    });
}

/// Begins dark work: 1 where the flag is dark, and the host is to run the new code now, unseen; 0
/// where it is not to. `*span` is then the span to end by `ioprof_dark_end`, and to be the parent
/// of spans inside: they are marked as dark.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_dark_begin(
    request: ioprof_request,
    flag: ioprof_flag,
    parent: ioprof_span,
    site: u32,
    span: *mut ioprof_span,
) -> u32 {
    guard(0, || {
        if span.is_null() {
            count_invalid();
            return 0;
        }
        let handle = RequestHandle::from_bits(request);
        let parent = SpanHandle::from_bits(parent);
        let begun = handle.dark_begin(self::flag(flag), parent, Site::from_number(site));
        // SAFETY: not NULL, and the host's to write to.
        unsafe { span.write_unaligned(begun.map_or(0, SpanHandle::to_bits)) };
        u32::from(begun.is_some())
    })
}

/// Ends dark work (`IOPROF_DARK_…`), and counts how it ended.
#[unsafe(no_mangle)]
pub extern "C" fn ioprof_dark_end(request: ioprof_request, span: ioprof_span, how: u32) {
    guard((), || {
        let end = match how {
            IOPROF_DARK_OK => DarkEnd::Ok,
            IOPROF_DARK_ERROR => DarkEnd::Error,
            IOPROF_DARK_EXCEPTION => DarkEnd::Panic,
            _ => {
                count_invalid();
                DarkEnd::Error
            }
        };
        RequestHandle::from_bits(request).dark_end(SpanHandle::from_bits(span), end);
    });
}

/// What the viewer wants flags to be (`?ioflags=` or the cookie `ioprofiler_flags`), where the gate
/// is open at begin: for `ioprof_facts.flag_overrides`. The answer is then to leave with the
/// headers of an open gate (`ioprof_gate_open_headers`), whether or not a profile was asked for.
/// Gives the length it needs; 0 where there is nothing, or the gate is not open, which is counted.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_gate_flag_overrides(
    profiler: ioprof_profiler,
    inputs: *const ioprof_gate_inputs,
    buffer: *mut c_char,
    capacity: usize,
) -> usize {
    guard(0, || {
        // SAFETY: the host's promise, as the header states it.
        let wanted = unsafe {
            gate::with_inputs(profiler, inputs, |profiler, inputs, now| {
                match profiler.gate().flag_overrides(inputs, now)? {
                    Ok(wanted) => Some(wanted),
                    Err(reason) => {
                        profiler.refused(reason);
                        None
                    }
                }
            })
        };
        let wanted = wanted.ok().flatten().unwrap_or_default();
        // SAFETY: as above.
        unsafe { write_out(&wanted, buffer, capacity) }
    })
}

/// Asks the gate's flag (`gate = "flag:NAME"`), where the verdict is `IOPROF_GATE_UNDECIDED`: after
/// the handler has set user and groups, before headers leave. Changes `verdict` and `reason` of the
/// decision; what is undecided then is the host's own rule's (`ioprof_gate_answer`).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_gate_ask_flag(
    profiler: ioprof_profiler,
    request: ioprof_request,
    decision: *mut ioprof_gate_decision,
) -> ioprof_status {
    guard(IOPROF_ERR_PANIC, || {
        let Some(profiler) = find(profiler) else {
            return IOPROF_ERR_HANDLE;
        };
        let request = RequestHandle::from_bits(request).request();
        // SAFETY: the host's promise, as the header states it.
        unsafe {
            gate::change(decision, |verdict| {
                profiler.gate().ask_flag(verdict, &request)
            })
        }
    })
}

/// The files' options.
///
/// # Safety
/// The pointers are as the header demands.
pub(crate) unsafe fn configure(
    builder: ProfilerBuilder,
    options: &ioprof_options,
) -> ProfilerBuilder {
    // SAFETY: the caller's promise.
    let (files, state_dir) = unsafe {
        let files = elements(options.flag_files, options.flag_file_count, MOST_FILES);
        let files: Vec<_> = files.filter_map(|file| file.text()).collect();
        (files, options.state_dir.text())
    };
    let builder = builder
        .flags(files.iter().map(|file| file.as_ref()))
        .flags_required(options.flags_required != 0);
    match state_dir {
        Some(folder) => builder.state_dir(folder.as_ref()),
        None => builder,
    }
}

/// Looks at the flags' files now, on this thread, however long they are. What is wrong with them or
/// doubtful goes into `problems`, a line each; gives the length that needs: 0 where all is well.
/// For programs without a thread of the library, and for tests.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_flags_reload(
    profiler: ioprof_profiler,
    problems: *mut c_char,
    capacity: usize,
) -> usize {
    guard(0, || {
        let found = find(profiler).map(ioprofiler_core::Profiler::reload_flags);
        let lines = found.unwrap_or_default();
        let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
        // SAFETY: the host's promise, as the header states it.
        unsafe { write_out(&lines.join("\n"), problems, capacity) }
    })
}

/// The version of the flags that decide now: 16 hex digits. Gives the length it needs; 0 where
/// there were never any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_flags_version(
    profiler: ioprof_profiler,
    buffer: *mut c_char,
    capacity: usize,
) -> usize {
    guard(0, || {
        let flags = find(profiler).map(|profiler| profiler.flags());
        let version = match flags {
            Some(flags) if flags.is_used() => flags.snapshot().version_text(),
            _ => String::new(),
        };
        // SAFETY: the host's promise, as the header states it.
        unsafe { write_out(&version, buffer, capacity) }
    })
}

/// How long ago the flags' source was last looked at, in nanoseconds: a kill switch that has not
/// arrived is seen. `IOPROF_ERR_ARGUMENT` where there were never any flags.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_flags_age(
    profiler: ioprof_profiler,
    nanoseconds: *mut u64,
) -> ioprof_status {
    guard(IOPROF_ERR_PANIC, || {
        let Some(profiler) = find(profiler) else {
            return IOPROF_ERR_HANDLE;
        };
        let flags = profiler.flags();
        if nanoseconds.is_null() || !flags.is_used() {
            return IOPROF_ERR_ARGUMENT;
        }
        // SAFETY: not NULL, and the host's to write to.
        unsafe { nanoseconds.write_unaligned(flags.age_ns()) };
        IOPROF_OK
    })
}
