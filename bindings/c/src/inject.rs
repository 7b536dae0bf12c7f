//! May an answer carry the panel, and the page with the panel in it.

use crate::guard::{count_invalid, guard};
use crate::profile::ioprof_profile;
use crate::request::ioprof_header;
use crate::sized::{self, Growable, elements};
use crate::status::{
    IOPROF_ERR_ARGUMENT, IOPROF_ERR_NOT_SHOWN, IOPROF_ERR_PANIC, IOPROF_OK, ioprof_status,
};
use crate::text::{bytes, ioprof_text, text, write_bytes, write_out};
use ioprofiler_core::inject::{self, Answer, NotShown, Page};
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
/// Content-Security-Policy, or NULL. The page goes into `buffer`, without a NUL, where it fits;
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
            let spliced = match may(answer) {
                Err(status) => return status,
                Ok(page) => page.and_then(|page| {
                    let panel = profile.panel(&text(nonce, nonce_length));
                    page.splice(bytes(body, body_length), panel)
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
