//! What a request has done, to be read: the one thing handed out by pointer.

use crate::guard::{count_invalid, guard};
use crate::text::{text, write_out};
use ioprofiler_core::render::html::{PanelOptions, panel_with};
use ioprofiler_core::render::{self, Details};
use ioprofiler_core::{Profile, ProfileData};
use std::ffi::c_char;
use std::sync::OnceLock;

/// Fingerprints for details, and nothing of the person who asked: what may be kept or sent.
pub const IOPROF_DETAILS_FINGERPRINT: u32 = 0;
/// Everything: only for those whom the gate let through.
pub const IOPROF_DETAILS_FULL: u32 = 1;

/// What a request had done at one moment. It never changes. You own it: give it to
/// `ioprof_profile_free`, once. Several threads may read it at once, but not while one frees it.
///
/// The first call for a form makes it, the next ones copy: asking for the length first costs
/// nothing twice.
pub struct ioprof_profile {
    profile: Profile,
    forms: [OnceLock<String>; FORMS],
}

const FORMS: usize = 8;
const PANEL: usize = 7;

impl ioprof_profile {
    pub(crate) fn new(profile: Profile) -> *mut Self {
        let forms = [const { OnceLock::new() }; FORMS];
        Box::into_raw(Box::new(Self { profile, forms }))
    }

    pub(crate) fn profile(&self) -> &Profile {
        &self.profile
    }

    /// The panel; the options of the first call hold.
    pub(crate) fn panel(&self, options: &PanelOptions) -> &str {
        let make = || panel_with(self.profile.data(), options);
        self.forms
            .get(PANEL)
            .map_or("", |made| made.get_or_init(make))
    }
}

fn panel(data: &ProfileData, nonce: &str) -> String {
    let options = match nonce {
        "" => PanelOptions::default(),
        nonce => PanelOptions::default().nonce(nonce),
    };
    panel_with(data, &options)
}

pub(crate) fn details(number: u32) -> Details {
    match number {
        IOPROF_DETAILS_FULL => Details::Full,
        IOPROF_DETAILS_FINGERPRINT => Details::Fingerprint,
        _ => {
            count_invalid();
            Details::Fingerprint
        }
    }
}

/// # Safety
/// The profile is NULL or not freed yet, the buffer NULL or good for `capacity` bytes.
unsafe fn written(
    profile: *const ioprof_profile,
    form: usize,
    render: impl FnOnce(&ProfileData) -> String,
    buffer: *mut c_char,
    capacity: usize,
) -> usize {
    guard(0, || {
        // SAFETY: the caller's promise.
        let profile = unsafe { profile.as_ref() };
        let text = profile
            .and_then(|profile| Some((profile, profile.forms.get(form)?)))
            .map_or("", |(profile, made)| {
                made.get_or_init(|| render(profile.profile.data()))
            });
        // SAFETY: the caller's promise.
        unsafe { write_out(text, buffer, capacity) }
    })
}

/// Frees a profile. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_profile_free(profile: *mut ioprof_profile) {
    guard((), || {
        if !profile.is_null() {
            // SAFETY: made by `ioprof_profile::new`, and freed once: the host's promise.
            drop(unsafe { Box::from_raw(profile) });
        }
    });
}

/// The profile as text: calls, table, repeated calls. Gives the length it needs without the NUL;
/// where that is below `capacity`, what was written is whole, and ends in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_profile_text(
    profile: *const ioprof_profile,
    buffer: *mut c_char,
    capacity: usize,
) -> usize {
    // SAFETY: the host's promise, as the header states it.
    unsafe { written(profile, 0, render::text, buffer, capacity) }
}

/// As `ioprof_profile_text`, with fingerprints for details: what may be pasted anywhere.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_profile_ticket(
    profile: *const ioprof_profile,
    buffer: *mut c_char,
    capacity: usize,
) -> usize {
    // SAFETY: the host's promise, as the header states it.
    unsafe { written(profile, 1, render::ticket, buffer, capacity) }
}

/// Everything, as JSON for scripts. `details` is `IOPROF_DETAILS_…`. Its `version` is 1, which is
/// stable: fields are only added, and what is there keeps its name, type and meaning.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_profile_json(
    profile: *const ioprof_profile,
    details: u32,
    buffer: *mut c_char,
    capacity: usize,
) -> usize {
    let details = self::details(details);
    let form = if details == Details::Full { 2 } else { 3 };
    let json = |data: &ProfileData| render::json(data, details);
    // SAFETY: the host's promise, as the header states it.
    unsafe { written(profile, form, json, buffer, capacity) }
}

/// A trace file that Perfetto and speedscope load. `details` is `IOPROF_DETAILS_…`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_profile_trace(
    profile: *const ioprof_profile,
    details: u32,
    buffer: *mut c_char,
    capacity: usize,
) -> usize {
    let details = self::details(details);
    let form = if details == Details::Full { 4 } else { 5 };
    let trace = |data: &ProfileData| render::trace(data, details);
    // SAFETY: the host's promise, as the header states it.
    unsafe { written(profile, form, trace, buffer, capacity) }
}

/// The value of a `Server-Timing` header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_profile_server_timing(
    profile: *const ioprof_profile,
    buffer: *mut c_char,
    capacity: usize,
) -> usize {
    // SAFETY: the host's promise, as the header states it.
    unsafe { written(profile, 6, render::server_timing, buffer, capacity) }
}

/// The panel: what `ioprof_inject` puts into a page, for hosts that place it themselves (after
/// `ioprof_may_inject`; in a page that says it is UTF-8). `nonce` is the one of the page's
/// Content-Security-Policy, or NULL; that of the first call for this profile holds.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_profile_html(
    profile: *const ioprof_profile,
    nonce: *const c_char,
    nonce_length: usize,
    buffer: *mut c_char,
    capacity: usize,
) -> usize {
    // SAFETY: the host's promise, as the header states it.
    let nonce = unsafe { text(nonce, nonce_length) };
    let make = |data: &ProfileData| panel(data, &nonce);
    // SAFETY: the host's promise, as the header states it.
    unsafe { written(profile, PANEL, make, buffer, capacity) }
}
