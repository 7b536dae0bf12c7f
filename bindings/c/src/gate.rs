//! The gate: did a request ask, and may it see.

use crate::guard::{count_invalid, guard};
use crate::profiler::{find, ioprof_profiler};
use crate::request::ioprof_header;
use crate::sized::{self, Growable, elements};
use crate::status::{
    IOPROF_ERR_ARGUMENT, IOPROF_ERR_HANDLE, IOPROF_ERR_OPTION, IOPROF_ERR_PANIC, IOPROF_OK,
    ioprof_status,
};
use crate::text::{ioprof_text, text, write_out};
use ioprofiler_core::Profiler;
use ioprofiler_core::gate::{
    Answer, Asked, Form, HeaderEdit, Inputs, Refusal, Verdict, ask_cookie, conditional_headers,
    open_headers,
};
use std::ffi::c_char;
use std::time::{SystemTime, UNIX_EPOCH};

/// The request did not ask.
pub const IOPROF_FORM_NONE: u32 = 0;
/// It asked for the panel in the page: `?ioprofiler=1`.
pub const IOPROF_FORM_PAGE: u32 = 1;
/// It asked for text.
pub const IOPROF_FORM_TEXT: u32 = 2;
/// It asked for JSON.
pub const IOPROF_FORM_JSON: u32 = 3;
/// It asked for a ticket.
pub const IOPROF_FORM_TICKET: u32 = 4;

/// Show nothing, and change nothing in the answer.
pub const IOPROF_GATE_CLOSED: u32 = 0;
/// The profile may be shown.
pub const IOPROF_GATE_OPEN: u32 = 1;
/// Ask the gate's flag and the host's own rule after the handler and before headers leave:
/// `ioprof_gate_ask_flag`, then `ioprof_gate_answer`.
pub const IOPROF_GATE_UNDECIDED: u32 = 2;

/// This viewer may look.
pub const IOPROF_ANSWER_YES: u32 = 0;
/// Not this one.
pub const IOPROF_ANSWER_NO: u32 = 1;
/// The host's own rule failed: a no, with its own reason.
pub const IOPROF_ANSWER_FAILED: u32 = 2;

/// What of a request may concern the gate. Set `size` and what you have: either single values,
/// or all headers as they came.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ioprof_gate_inputs {
    /// `sizeof(ioprof_gate_inputs)`.
    pub size: usize,
    /// The raw query without `?`.
    pub query: ioprof_text,
    /// The Host header or authority.
    pub host: ioprof_text,
    /// The Cookie header.
    pub cookie: ioprof_text,
    /// The X-Ioprofiler header.
    pub ask_header: ioprof_text,
    /// The X-Ioprofiler-Token header.
    pub token_header: ioprof_text,
    /// All headers, instead of the three above; those that do not concern us are passed over.
    pub headers: *const ioprof_header,
    /// How many; at most 1,024 are looked at.
    pub header_count: usize,
    /// The wall clock in Unix seconds; 0 is now.
    pub now: u64,
}

// SAFETY: integers and pointers.
unsafe impl Growable for ioprof_gate_inputs {}

/// What the gate says. Set `size` before the call. It is yours, and holds no pointer.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ioprof_gate_decision {
    /// `sizeof(ioprof_gate_decision)`.
    pub size: usize,
    /// `IOPROF_FORM_…`: what was asked for.
    pub form: u32,
    /// `IOPROF_GATE_…`.
    pub verdict: u32,
    /// Why it is closed, or what was tried in vain before: for `ioprof_gate_reason` and
    /// `ioprof_gate_refused`. 0 is nothing. For your log, never for the client.
    pub reason: u32,
    /// Bytes of `viewer`.
    pub viewer_length: u32,
    /// Who looks, where a token said so: the fact `viewer`.
    pub viewer: [c_char; 384],
}

// SAFETY: integers.
unsafe impl Growable for ioprof_gate_decision {}

const MAX_HEADERS: usize = 1_024;

fn now(given: u64) -> u64 {
    if given != 0 {
        return given;
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

fn number_of(reason: Option<Refusal>) -> u32 {
    reason.map_or(0, |reason| reason.index() as u32 + 1)
}

fn reason_of(number: u32) -> Option<Refusal> {
    let index = usize::try_from(number.checked_sub(1)?).ok()?;
    Refusal::ALL.get(index).copied()
}

/// # Safety
/// The pointers are as the header demands.
pub(crate) unsafe fn with_inputs<R>(
    profiler: ioprof_profiler,
    inputs: *const ioprof_gate_inputs,
    f: impl FnOnce(&Profiler, &Inputs<'_>, u64) -> R,
) -> Result<R, ioprof_status> {
    let profiler = find(profiler).ok_or(IOPROF_ERR_HANDLE)?;
    // SAFETY: the caller's promise, for all that the struct points to.
    unsafe {
        let host = sized::read(inputs)?;
        let query = host.query.bytes().unwrap_or_default();
        let mut inputs = Inputs::new(query, host.host.bytes());
        if let Some(cookie) = host.cookie.bytes() {
            inputs.cookie(cookie);
        }
        if let Some(ask) = host.ask_header.bytes() {
            inputs.ask_header(ask);
        }
        if let Some(token) = host.token_header.bytes() {
            inputs.token_header(token);
        }
        for header in elements(host.headers, host.header_count, MAX_HEADERS) {
            let name = header.name.bytes().unwrap_or_default();
            inputs.header(name, header.value.bytes().unwrap_or_default());
        }
        Ok(f(profiler, &inputs, now(host.now)))
    }
}

/// # Safety
/// The pointers are as the header demands.
unsafe fn asked(
    profiler: ioprof_profiler,
    inputs: *const ioprof_gate_inputs,
) -> Result<Option<Asked>, ioprof_status> {
    // SAFETY: passed on.
    unsafe {
        with_inputs(profiler, inputs, |profiler, inputs, now| {
            profiler.gate().asked(inputs, now)
        })
    }
}

/// Decides what is undecided.
///
/// # Safety
/// `decision` is as the header demands.
pub(crate) unsafe fn change(
    decision: *mut ioprof_gate_decision,
    decide: impl FnOnce(Verdict) -> Verdict,
) -> ioprof_status {
    // SAFETY: the caller's promise.
    unsafe {
        let mut now = match sized::read(decision) {
            Ok(now) => now,
            Err(status) => return status,
        };
        if now.verdict == IOPROF_GATE_UNDECIDED {
            let so_far = reason_of(now.reason);
            match decide(Verdict::Undecided { so_far }) {
                Verdict::Undecided { .. } => {}
                verdict => {
                    now.verdict = u32::from(verdict.is_open());
                    now.reason = number_of(verdict.refusal());
                }
            }
        }
        sized::write(&now, decision).err().unwrap_or(IOPROF_OK)
    }
}

fn decision(asked: Option<Asked>) -> ioprof_gate_decision {
    let mut decision = ioprof_gate_decision {
        size: size_of::<ioprof_gate_decision>(),
        form: IOPROF_FORM_NONE,
        verdict: IOPROF_GATE_CLOSED,
        reason: 0,
        viewer_length: 0,
        viewer: [0; 384],
    };
    let Some(asked) = asked else { return decision };
    decision.form = match asked.form {
        Form::Text => IOPROF_FORM_TEXT,
        Form::Json => IOPROF_FORM_JSON,
        Form::Ticket => IOPROF_FORM_TICKET,
        _ => IOPROF_FORM_PAGE,
    };
    match asked.verdict {
        Verdict::Open { who } => {
            decision.verdict = IOPROF_GATE_OPEN;
            let who = who.unwrap_or_default();
            // A token has at most 512 bytes, so who in it has less than there is room for.
            for (to, from) in decision.viewer.iter_mut().zip(who.bytes()) {
                *to = from as c_char;
            }
            decision.viewer_length = who.len().min(decision.viewer.len()) as u32;
        }
        Verdict::Undecided { so_far } => {
            decision.verdict = IOPROF_GATE_UNDECIDED;
            decision.reason = number_of(so_far);
        }
        closed => decision.reason = number_of(closed.refusal()),
    }
    decision
}

/// Says whether a request asked for its profile, and whether the gate lets it see. Call it before
/// `ioprof_request_begin`; nearly free where the request did not ask. `*decision` is written only
/// on `IOPROF_OK`. Anything else than `IOPROF_OK` and `IOPROF_GATE_OPEN` means: show nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_gate_decide(
    profiler: ioprof_profiler,
    inputs: *const ioprof_gate_inputs,
    decision: *mut ioprof_gate_decision,
) -> ioprof_status {
    guard(IOPROF_ERR_PANIC, || {
        // SAFETY: the host's promise, as the header states it.
        let written = unsafe {
            asked(profiler, inputs).and_then(|asked| sized::write(&self::decision(asked), decision))
        };
        written.err().unwrap_or(IOPROF_OK)
    })
}

/// What the host's own rule says (`IOPROF_ANSWER_…`), where the verdict is
/// `IOPROF_GATE_UNDECIDED`: changes `verdict` and `reason` of the decision. One that is decided
/// stays.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_gate_answer(
    decision: *mut ioprof_gate_decision,
    answer: u32,
) -> ioprof_status {
    guard(IOPROF_ERR_PANIC, || {
        let answer = match answer {
            IOPROF_ANSWER_YES => Answer::Yes,
            IOPROF_ANSWER_NO => Answer::No,
            IOPROF_ANSWER_FAILED => Answer::Failed,
            _ => {
                count_invalid();
                return IOPROF_ERR_ARGUMENT;
            }
        };
        // SAFETY: the host's promise, as the header states it.
        unsafe { change(decision, |verdict| verdict.decide(answer)) }
    })
}

/// A decision's reason in words, for your log. Gives the length it needs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_gate_reason(
    reason: u32,
    buffer: *mut c_char,
    capacity: usize,
) -> usize {
    guard(0, || {
        let words = reason_of(reason).map_or("", Refusal::as_str);
        // SAFETY: the host's promise, as the header states it.
        unsafe { write_out(words, buffer, capacity) }
    })
}

/// Somebody asked and was refused: counts it, and has it logged once a minute and reason.
#[unsafe(no_mangle)]
pub extern "C" fn ioprof_gate_refused(profiler: ioprof_profiler, reason: u32) {
    guard((), || {
        if let (Some(profiler), Some(reason)) = (find(profiler), reason_of(reason)) {
            profiler.refused(reason);
        }
    });
}

/// What to change in the headers of an answer whose gate is open, whether or not the panel could
/// be put in: one line each, `set NAME: VALUE` (replace or add), `append NAME: VALUE` (one more),
/// `remove NAME` (all of that name), with a line feed after each. Always the same: ask once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_gate_open_headers(buffer: *mut c_char, capacity: usize) -> usize {
    guard(0, || {
        let lines: String = open_headers()
            .iter()
            .map(|edit| match edit {
                HeaderEdit::Set(name, value) => format!("set {name}: {value}\n"),
                HeaderEdit::Append(name, value) => format!("append {name}: {value}\n"),
                HeaderEdit::Remove(name) => format!("remove {name}\n"),
            })
            .collect();
        // SAFETY: the host's promise, as the header states it.
        unsafe { write_out(&lines, buffer, capacity) }
    })
}

/// The headers to take off a request whose gate is open at begin, before the handler sees it: one
/// name a line. None where the method is not GET or HEAD.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_gate_conditional_headers(
    method: *const c_char,
    method_length: usize,
    buffer: *mut c_char,
    capacity: usize,
) -> usize {
    guard(0, || {
        // SAFETY: the host's promise, as the header states it.
        unsafe {
            let method = text(method, method_length);
            let names: String = conditional_headers(&method)
                .iter()
                .map(|name| format!("{name}\n"))
                .collect();
            write_out(&names, buffer, capacity)
        }
    })
}

/// A token for the application's own staff page, as the value of a `Set-Cookie` header: `who` may
/// look at profiles of `host` for `seconds` (at most a day). `https` is 1 where the page is.
/// The value goes into `buffer`, or on any other status what is wrong; `*length` is what it needs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_gate_grant(
    profiler: ioprof_profiler,
    who: *const c_char,
    who_length: usize,
    host: *const c_char,
    host_length: usize,
    seconds: u64,
    https: u32,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> ioprof_status {
    guard(IOPROF_ERR_PANIC, || {
        let Some(profiler) = find(profiler) else {
            return IOPROF_ERR_HANDLE;
        };
        // SAFETY: the host's promise, as the header states it.
        unsafe {
            let (who, host) = (text(who, who_length), text(host, host_length));
            let token = profiler.gate().grant(&who, &host, seconds, now(0));
            let (status, text) = match token {
                Ok(token) => (IOPROF_OK, token.set_cookie(https != 0)),
                Err(error) => (IOPROF_ERR_OPTION, error.to_string()),
            };
            let needed = write_out(&text, buffer, capacity);
            if !length.is_null() {
                length.write_unaligned(needed);
            }
            status
        }
    })
}

/// The cookie that asks in this form (`IOPROF_FORM_…`) for the next 15 minutes, as the value of a
/// `Set-Cookie` header. It carries no right. Gives the length it needs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_gate_ask_cookie(
    form: u32,
    buffer: *mut c_char,
    capacity: usize,
) -> usize {
    guard(0, || {
        let form = match form {
            IOPROF_FORM_PAGE => Form::Page,
            IOPROF_FORM_TEXT => Form::Text,
            IOPROF_FORM_JSON => Form::Json,
            IOPROF_FORM_TICKET => Form::Ticket,
            _ => {
                count_invalid();
                return 0;
            }
        };
        // SAFETY: the host's promise, as the header states it.
        unsafe { write_out(&ask_cookie(form, now(0)), buffer, capacity) }
    })
}
