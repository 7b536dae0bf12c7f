//! What is written onto the head of an answer whose gate is open.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, response};
use ioprofiler::gate::{Form, HeaderEdit, open_headers};
use ioprofiler::inject::{self, Answer, InlineCode, NotShown, Page};
use ioprofiler::render::html::{PanelOptions, panel_with};
use ioprofiler::{Profile, Request};

use crate::facts::values_of;
use crate::layer::Options;

static SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
static NOT_SHOWN: HeaderName = HeaderName::from_static("x-ioprofiler");
static REQUEST_ID: HeaderName = HeaderName::from_static("x-ioprofiler-request");

/// The answer as the rules of [`inject`] see it. `length` is the body's own, if it knows it.
pub(crate) fn describe<'a>(
    method: &'a Method,
    head: &'a response::Parts,
    length: Option<u64>,
    options: &Options,
) -> Answer<'a> {
    let answer = Answer::new(method.as_str(), head.status.as_u16())
        .length(length.or_else(|| content_length(&head.headers)))
        .cap(options.max_page)
        .buffer_streams(options.buffer_streams);
    head.headers.iter().fold(answer, |answer, (name, value)| {
        answer.header(name.as_str(), value.as_bytes())
    })
}

pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// Keeps the answer out of every cache.
pub(crate) fn keep_private(headers: &mut HeaderMap) {
    for edit in open_headers() {
        match *edit {
            HeaderEdit::Set(name, value) => {
                headers.insert(
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                );
            }
            HeaderEdit::Remove(name) => {
                headers.remove(name);
            }
            HeaderEdit::Append(name, value) => {
                headers.append(
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                );
            }
        }
    }
}

/// Keeps the answer out of every cache, and tells what can be told in headers.
pub(crate) fn open(
    headers: &mut HeaderMap,
    live: &Request,
    profile: &Profile,
    not_shown: Option<NotShown>,
) {
    keep_private(headers);
    if let Some(reason) = not_shown {
        headers.insert(
            NOT_SHOWN.clone(),
            HeaderValue::from_static(reason.header_value()),
        );
    }
    if live.is_none() {
        return;
    }
    if let Some(id) = header_value(&live.id()) {
        headers.insert(REQUEST_ID.clone(), id);
    }
    if let Some(timing) = header_value(&profile.server_timing()) {
        headers.append(SERVER_TIMING.clone(), timing);
    }
}

/// A header's value, if there is one and it can be one.
fn header_value(text: &str) -> Option<HeaderValue> {
    if text.is_empty() {
        None
    } else {
        HeaderValue::from_str(text).ok()
    }
}

/// The panel for this page, such as its Content-Security-Policy lets it be.
pub(crate) fn panel(headers: &HeaderMap, page: Page, profile: &Profile) -> String {
    let policies = headers.get_all(header::CONTENT_SECURITY_POLICY).iter();
    let options = PanelOptions::default().open(page.is_framed());
    let options = match inject::inline_code(policies.map(HeaderValue::as_bytes)) {
        InlineCode::Free => options,
        InlineCode::Nonce(nonce) => options.nonce(nonce),
        InlineCode::Blocked => options.plain(true),
    };
    panel_with(profile, &options)
}

/// The body was changed to one of `length` bytes.
pub(crate) fn mend(headers: &mut HeaderMap, length: usize) {
    for name in inject::HEADERS_ABOUT_THE_BYTES {
        headers.remove(name);
    }
    if headers.contains_key(header::CONTENT_LENGTH) {
        headers.insert(header::CONTENT_LENGTH, length.into());
    }
}

/// The body was replaced by a profile in this form; answers the new one.
pub(crate) fn replace(head: &mut response::Parts, form: Form, profile: &Profile) -> String {
    let (text, content_type) = match form {
        Form::Json => (profile.json(), "application/json"),
        Form::Ticket => (profile.ticket(), "text/plain; charset=utf-8"),
        _ => (profile.text(), "text/plain; charset=utf-8"),
    };
    for name in inject::HEADERS_ABOUT_THE_BYTES
        .iter()
        .chain(&inject::HEADERS_ABOUT_THE_BODY)
    {
        head.headers.remove(*name);
    }
    head.headers
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    head.headers
        .insert(header::CONTENT_LENGTH, text.len().into());
    // A detail may look like HTML; the answer is none.
    head.headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    if let Ok(status) = StatusCode::from_u16(inject::replaced_status(head.status.as_u16())) {
        head.status = status;
    }
    text
}

/// What concerns the log, just before the head leaves: the note for a server in front, and the
/// headers that formats name.
pub(crate) fn leaving(headers: &mut HeaderMap, live: &Request, options: &Options) {
    if let Some(name) = &options.note_header
        && let Some(note) = live.compact_note()
        && let Some(value) = header_value(&note)
    {
        headers.insert(name.clone(), value);
    }
    for (name, value) in values_of(headers, &options.wanted_answer_headers) {
        live.answer_header(name, value);
    }
}
