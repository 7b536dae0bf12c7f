//! May an answer carry the panel, and the page with the panel in it.

use crate::gate::{IOPROF_FORM_JSON, IOPROF_FORM_PAGE, IOPROF_FORM_TEXT, IOPROF_FORM_TICKET};
use crate::guard::{count_invalid, guard};
use crate::profile::{
    IOPROF_DETAILS_FULL, ioprof_profile, ioprof_profile_json, ioprof_profile_text,
    ioprof_profile_ticket,
};
use crate::request::ioprof_header;
use crate::sized::{self, Growable, elements};
use crate::status::{
    IOPROF_ERR_ARGUMENT, IOPROF_ERR_NOT_SHOWN, IOPROF_ERR_PANIC, IOPROF_OK, ioprof_status,
};
use crate::text::{bytes, ioprof_text, text, write_bytes, write_out};
use ioprofiler_core::inject::{self, Answer, InlineCode, NotShown, Page};
use ioprofiler_core::render::html::PanelOptions;
use std::borrow::Cow;
use std::ffi::c_char;

/// The head of an answer that might carry the panel. Set `size` and what you know.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ioprof_answer {
    /// `sizeof(ioprof_answer)`.
    pub size: usize,
    /// The request's method.
    pub method: ioprof_text,
    /// The answer's headers, duplicates included.
    pub headers: *const ioprof_header,
    /// How many; at most 1,024 are looked at.
    pub header_count: usize,
    /// The body's length in bytes where it is known beforehand: that plus 1. 0 is unknown, and
    /// then not shown unless `buffer_streams`.
    pub length_plus_one: u64,
    /// The largest body that may be held back; 0 is 4 MiB.
    pub cap: u64,
    /// The answer's status.
    pub status: u32,
    /// 1 where a body of unknown length may be held back to its end.
    pub buffer_streams: u32,
}

// SAFETY: integers and pointers.
unsafe impl Growable for ioprof_answer {}

const MAX_HEADERS: usize = 1_024;

/// # Safety
/// The pointers are as the header demands.
unsafe fn may(host: *const ioprof_answer) -> Result<Result<Page, NotShown>, ioprof_status> {
    // SAFETY: the caller's promise, for all that the struct points to.
    unsafe {
        let host = sized::read(host)?;
        let method = host.method.text().unwrap_or(Cow::Borrowed("GET"));
        let Ok(status) = u16::try_from(host.status) else {
            count_invalid();
            return Err(IOPROF_ERR_ARGUMENT);
        };
        let mut answer = Answer::new(&method, status)
            .length(host.length_plus_one.checked_sub(1))
            .buffer_streams(host.buffer_streams != 0);
        if host.cap != 0 {
            answer = answer.cap(host.cap);
        }
        for header in elements(host.headers, host.header_count, MAX_HEADERS) {
            let name = header.name.text().unwrap_or_default();
            answer = answer.header(&name, header.value.bytes().unwrap_or_default());
        }
        Ok(inject::may_inject(&answer))
    }
}

/// The answer's headers; none where the answer is none.
///
/// # Safety
/// As [`may`].
unsafe fn answer_headers(host: *const ioprof_answer) -> Vec<ioprof_header> {
    // SAFETY: the caller's promise.
    unsafe {
        sized::read(host).map_or_else(
            |_| Vec::new(),
            |host| elements(host.headers, host.header_count, MAX_HEADERS).collect(),
        )
    }
}

/// The panel as the page's Content-Security-Policy lets it be.
///
/// # Safety
/// As [`may`].
unsafe fn allowed<'a>(headers: &[ioprof_header], options: PanelOptions<'a>) -> PanelOptions<'a> {
    // SAFETY: the caller's promise.
    let policies = headers.iter().filter_map(|header| unsafe {
        let name = header.name.bytes()?;
        let is_policy = name.eq_ignore_ascii_case(b"content-security-policy");
        is_policy.then(|| header.value.bytes().unwrap_or_default())
    });
    match inject::inline_code(policies) {
        InlineCode::Free => options,
        InlineCode::Nonce(nonce) => options.nonce(nonce),
        InlineCode::Blocked => options.plain(true),
    }
}

fn with_nonce<'a>(nonce: &'a str, options: PanelOptions<'a>) -> PanelOptions<'a> {
    match nonce {
        "" => options,
        nonce => options.nonce(nonce),
    }
}

/// Whether an answer may carry the panel, by its head alone. `IOPROF_OK`: hold its body back, and
/// call `ioprof_inject`. `IOPROF_ERR_NOT_SHOWN`: let it go, with the header
/// `X-Ioprofiler: not-shown; REASON` whose value is written into `reason`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_may_inject(
    answer: *const ioprof_answer,
    reason: *mut c_char,
    capacity: usize,
) -> ioprof_status {
    guard(IOPROF_ERR_PANIC, || {
        // SAFETY: the host's promise, as the header states it.
        unsafe {
            match may(answer) {
                Err(status) => status,
                Ok(Ok(_)) => IOPROF_OK,
                Ok(Err(why)) => {
                    write_out(why.header_value(), reason, capacity);
                    IOPROF_ERR_NOT_SHOWN
                }
            }
        }
    })
}

/// The page with the panel in it: `body` must be whole. `nonce` is the one of the page's
/// Content-Security-Policy; NULL means that the policy is to be read in the answer's headers: then
/// the panel has its nonce, or no style and script where the policy allows none. The page goes into `buffer`, without a NUL, where it fits;
/// `*length` is what it needs, so call it once with NULL and then with enough. On
/// `IOPROF_ERR_NOT_SHOWN` send the body as it is; the header's value (see `ioprof_may_inject`) is
/// in `buffer`, and `*length` its length.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_inject(
    answer: *const ioprof_answer,
    profile: *const ioprof_profile,
    nonce: *const c_char,
    nonce_length: usize,
    body: *const c_char,
    body_length: usize,
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
            let given = text(nonce, nonce_length);
            let spliced = match may(answer) {
                Err(status) => return status,
                Ok(page) => page.and_then(|page| {
                    let options = PanelOptions::default().open(page.is_framed());
                    let options = if nonce.is_null() {
                        allowed(&answer_headers(answer), options)
                    } else {
                        with_nonce(&given, options)
                    };
                    page.splice(bytes(body, body_length), profile.panel(&options))
                }),
            };
            match spliced {
                Ok(page) => {
                    write_bytes(&page, buffer, capacity);
                    length.write_unaligned(page.len());
                    IOPROF_OK
                }
                Err(why) => {
                    let needed = write_out(why.header_value(), buffer, capacity);
                    length.write_unaligned(needed);
                    IOPROF_ERR_NOT_SHOWN
                }
            }
        }
    })
}

/// The profile in place of the body of an answer: `form` is `IOPROF_FORM_TEXT`, `_JSON` or
/// `_TICKET`. It goes into `buffer` where it fits, ended by a NUL; `*length` is what it needs.
/// `*status` is the status that the answer then has. On `IOPROF_ERR_NOT_SHOWN` send the body as it
/// is; the header's value (see `ioprof_may_inject`) is in `buffer`, and `*length` its length. What
/// to change in the headers: `ioprof_shown_headers`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_replace(
    answer: *const ioprof_answer,
    form: u32,
    profile: *const ioprof_profile,
    status: *mut u32,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> ioprof_status {
    guard(IOPROF_ERR_PANIC, || {
        // SAFETY: the host's promise, as the header states it.
        unsafe {
            if profile.is_null() || length.is_null() || status.is_null() {
                return IOPROF_ERR_ARGUMENT;
            }
            let head = match sized::read(answer) {
                Ok(head) => head,
                Err(status) => return status,
            };
            let method = head.method.text().unwrap_or(Cow::Borrowed("GET"));
            let Ok(number) = u16::try_from(head.status) else {
                count_invalid();
                return IOPROF_ERR_ARGUMENT;
            };
            if let Err(why) = inject::may_replace(&method, number) {
                length.write_unaligned(write_out(why.header_value(), buffer, capacity));
                return IOPROF_ERR_NOT_SHOWN;
            }
            let needed = match form {
                IOPROF_FORM_TEXT => ioprof_profile_text(profile, buffer, capacity),
                IOPROF_FORM_TICKET => ioprof_profile_ticket(profile, buffer, capacity),
                IOPROF_FORM_JSON => {
                    ioprof_profile_json(profile, IOPROF_DETAILS_FULL, buffer, capacity)
                }
                _ => {
                    count_invalid();
                    return IOPROF_ERR_ARGUMENT;
                }
            };
            status.write_unaligned(inject::replaced_status(number).into());
            length.write_unaligned(needed);
            IOPROF_OK
        }
    })
}

/// What to change in the headers of an answer whose body was changed by `ioprof_inject`
/// (`IOPROF_FORM_PAGE`) or `ioprof_replace` (the other forms), besides what
/// `ioprof_gate_open_headers` says, and in its form. Where the answer says a Content-Length, set the
/// new one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_shown_headers(
    form: u32,
    buffer: *mut c_char,
    capacity: usize,
) -> usize {
    guard(0, || {
        let content_type = match form {
            IOPROF_FORM_PAGE => None,
            IOPROF_FORM_JSON => Some("application/json"),
            IOPROF_FORM_TEXT | IOPROF_FORM_TICKET => Some("text/plain; charset=utf-8"),
            _ => {
                count_invalid();
                return 0;
            }
        };
        let mut removed = inject::HEADERS_ABOUT_THE_BYTES.to_vec();
        if content_type.is_some() {
            removed.extend(inject::HEADERS_ABOUT_THE_BODY);
        }
        let mut lines: String = removed
            .iter()
            .map(|name| format!("remove {name}\n"))
            .collect();
        if let Some(content_type) = content_type {
            lines.push_str("set content-type: ");
            lines.push_str(content_type);
            // A detail may look like HTML; the answer is none.
            lines.push_str("\nset x-content-type-options: nosniff\n");
        }
        // SAFETY: the host's promise, as the header states it.
        unsafe { write_out(&lines, buffer, capacity) }
    })
}
