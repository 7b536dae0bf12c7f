//! May this answer carry the panel, and where: pure decisions about somebody else's answer.
//!
//! A host describes its answer with [`Answer`], header by header and in its own words; what a
//! header means is decided here, so that every language decides alike. [`may_inject`] says yes
//! with a [`Page`], which knows the page's syntax and character set, or no with a reason that is
//! stable text. [`Page::splice`] puts the panel into the whole body.
//!
//! Where in doubt the answer is no: a page without the panel is a small loss, a broken page is not.

use std::borrow::Cow;
use std::fmt::Write as _;

mod media_type;
mod place;
mod policy;

use media_type::Charset;
pub use place::TAIL;
pub use policy::{InlineCode, inline_code};

/// The largest body, in bytes, that is held back to carry a panel, unless the host says otherwise.
pub const DEFAULT_CAP: u64 = 4 << 20;

/// Answer headers that state something about the body's exact bytes: false once the body was
/// changed, so they are taken off an answer that carries a panel or was replaced by a profile.
pub const HEADERS_ABOUT_THE_BYTES: [&str; 6] = [
    "content-md5",
    "digest",
    "content-digest",
    "repr-digest",
    "signature",
    "signature-input",
];

/// Answer headers that describe the original body: taken off an answer whose body was replaced by
/// a profile, besides [`HEADERS_ABOUT_THE_BYTES`].
pub const HEADERS_ABOUT_THE_BODY: [&str; 9] = [
    "content-type",
    "content-length",
    "content-encoding",
    "content-disposition",
    "content-range",
    "content-language",
    "content-location",
    "transfer-encoding",
    "trailer",
];

/// Why a profile that was asked for, and may be seen, is not in the answer.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotShown {
    /// The answer to HEAD has no body.
    Head,
    /// CONNECT or an upgrade: the body is another protocol's.
    Upgrade,
    /// 1xx, 204, 205 and 304 have no body.
    Status,
    /// 206 or a `Content-Range`: part of a page.
    Partial,
    /// No `Content-Type`, or several.
    NoContentType,
    /// The content type is neither `text/html` nor `application/xhtml+xml`.
    ContentType,
    /// The charset is unknown, or one in which ASCII bytes do not mean ASCII characters.
    Charset,
    /// The body is compressed, or otherwise encoded.
    ContentEncoding,
    /// The browser saves the answer instead of showing it.
    Attachment,
    /// The body is larger than the cap.
    TooLarge,
    /// The body's length is not known beforehand, and buffering such bodies was not asked for.
    Streaming,
    /// The page has no `</body>` near its end that the browser would take for one.
    NoBodyEnd,
    /// The body failed before its end.
    BodyError,
    /// There was no memory for the changed page.
    Memory,
    /// The profiler observes no further request at the moment (`max_live_requests`).
    NotObserved,
}

impl NotShown {
    /// The reason as it stands in `X-Ioprofiler: not-shown; REASON`: stable, one word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Upgrade => "upgrade",
            Self::Status => "status",
            Self::Partial => "partial",
            Self::NoContentType => "no-content-type",
            Self::ContentType => "content-type",
            Self::Charset => "charset",
            Self::ContentEncoding => "content-encoding",
            Self::Attachment => "attachment",
            Self::TooLarge => "too-large",
            Self::Streaming => "streaming",
            Self::NoBodyEnd => "no-body-end",
            Self::BodyError => "body-error",
            Self::Memory => "memory",
            Self::NotObserved => "not-observed",
        }
    }

    /// The whole value of the header `X-Ioprofiler`.
    #[must_use]
    pub const fn header_value(self) -> &'static str {
        match self {
            Self::Head => "not-shown; head",
            Self::Upgrade => "not-shown; upgrade",
            Self::Status => "not-shown; status",
            Self::Partial => "not-shown; partial",
            Self::NoContentType => "not-shown; no-content-type",
            Self::ContentType => "not-shown; content-type",
            Self::Charset => "not-shown; charset",
            Self::ContentEncoding => "not-shown; content-encoding",
            Self::Attachment => "not-shown; attachment",
            Self::TooLarge => "not-shown; too-large",
            Self::Streaming => "not-shown; streaming",
            Self::NoBodyEnd => "not-shown; no-body-end",
            Self::BodyError => "not-shown; body-error",
            Self::Memory => "not-shown; memory",
            Self::NotObserved => "not-shown; not-observed",
        }
    }
}

impl std::fmt::Display for NotShown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The head of an answer, as far as it matters here.
///
/// ```
/// use ioprofiler::inject::{Answer, may_inject};
///
/// let answer = Answer::new("GET", 200)
///     .header("Content-Type", b"text/html; charset=utf-8")
///     .length(Some(1_234));
/// assert!(may_inject(&answer).is_ok());
/// ```
#[derive(Clone, Debug)]
pub struct Answer<'a> {
    method: &'a str,
    status: u16,
    content_type: Option<&'a [u8]>,
    content_types: usize,
    encoded: bool,
    attachment: bool,
    partial: bool,
    length: Option<u64>,
    cap: u64,
    buffer_streams: bool,
}

impl<'a> Answer<'a> {
    /// An answer to a request of this method, without headers and of unknown length.
    #[must_use]
    pub fn new(method: &'a str, status: u16) -> Self {
        Self {
            method,
            status,
            content_type: None,
            content_types: 0,
            encoded: false,
            attachment: false,
            partial: false,
            length: None,
            cap: DEFAULT_CAP,
            buffer_streams: false,
        }
    }

    /// One header of the answer: call it for each, duplicates included; those that do not matter
    /// are ignored. Names in any case.
    #[must_use]
    pub fn header(mut self, name: &str, value: &'a [u8]) -> Self {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if is("content-type") {
            self.content_type = Some(value);
            self.content_types += 1;
        } else if is("content-encoding") {
            self.encoded |= media_type::names_other_than(value, &["identity"]);
        } else if is("transfer-encoding") {
            self.encoded |= media_type::names_other_than(value, &["identity", "chunked"]);
        } else if is("content-disposition") {
            self.attachment |= media_type::is_attachment(value);
        } else if is("content-range") {
            self.partial = true;
        }
        self
    }

    /// The body's exact length, where it is known beforehand.
    #[must_use]
    pub fn length(mut self, bytes: Option<u64>) -> Self {
        self.length = bytes;
        self
    }

    /// The largest body that may be held back; [`DEFAULT_CAP`] otherwise.
    #[must_use]
    pub fn cap(mut self, bytes: u64) -> Self {
        self.cap = bytes;
        self
    }

    /// Whether a body of unknown length may be held back to its end; no, otherwise.
    #[must_use]
    pub fn buffer_streams(mut self, yes: bool) -> Self {
        self.buffer_streams = yes;
        self
    }
}

/// A page that can carry the panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    xhtml: bool,
    utf8: bool,
}

/// Whether this answer may carry the panel, by its head alone.
///
/// # Errors
/// The first reason why not, the most basic first.
pub fn may_inject(answer: &Answer<'_>) -> Result<Page, NotShown> {
    may_replace(answer.method, answer.status)?;
    match answer.status {
        204 | 205 | 304 => return Err(NotShown::Status),
        206 => return Err(NotShown::Partial),
        _ if answer.partial => return Err(NotShown::Partial),
        _ => {}
    }
    let content_type = match (answer.content_type, answer.content_types) {
        (Some(value), 1) => value,
        _ => return Err(NotShown::NoContentType),
    };
    let parsed = media_type::parse(content_type);
    let xhtml = match parsed.essence {
        b if b.eq_ignore_ascii_case(b"text/html") => false,
        b if b.eq_ignore_ascii_case(b"application/xhtml+xml") => true,
        _ => return Err(NotShown::ContentType),
    };
    if answer.encoded {
        return Err(NotShown::ContentEncoding);
    }
    if answer.attachment {
        return Err(NotShown::Attachment);
    }
    let utf8 = match parsed.charset {
        Charset::Utf8 => true,
        Charset::Absent | Charset::OtherAscii => false,
        Charset::Refused => return Err(NotShown::Charset),
    };
    match answer.length {
        Some(length) if length > answer.cap => Err(NotShown::TooLarge),
        None if !answer.buffer_streams => Err(NotShown::Streaming),
        _ => Ok(Page { xhtml, utf8 }),
    }
}

/// Whether the body of this answer may be replaced by a profile as text or JSON: every answer that
/// can have a body at all. A status that has none (204, 205, 304), or that speaks of a part (206),
/// then becomes [`replaced_status`].
///
/// # Errors
/// The reason why not.
pub fn may_replace(method: &str, status: u16) -> Result<(), NotShown> {
    if method == "HEAD" {
        return Err(NotShown::Head);
    }
    if status == 101 || (method == "CONNECT" && (200..300).contains(&status)) {
        return Err(NotShown::Upgrade);
    }
    if status < 200 {
        Err(NotShown::Status)
    } else {
        Ok(())
    }
}

/// The status of an answer whose body was replaced by a profile: its own, where that can have a
/// body of its own, else 200. The profile's first line always has the original.
#[must_use]
pub const fn replaced_status(status: u16) -> u16 {
    match status {
        204..=206 | 304 => 200,
        other => other,
    }
}

/// Whether a body of this content type has no end by its nature (`text/event-stream`,
/// `multipart/x-mixed-replace`), so that waiting for the end is no use.
#[must_use]
pub fn is_endless(content_type: &[u8]) -> bool {
    let essence = media_type::parse(content_type).essence;
    essence.eq_ignore_ascii_case(b"text/event-stream")
        || essence.eq_ignore_ascii_case(b"multipart/x-mixed-replace")
}

/// Where the panel goes in an HTML page: before the last `</body` that a browser would take for
/// the end of the body.
///
/// The page is read as a browser reads it, so that a `</body>` in a comment, a script, a style or
/// an attribute (`<iframe srcdoc="…">`) is not taken for one. Give it the whole body: read from
/// the middle, a script looks like a page. The place must lie within the last [`TAIL`] bytes.
#[must_use]
pub fn position(body: &[u8]) -> Option<usize> {
    place::in_html(body)
}

impl Page {
    /// Where the panel goes in this page: [`position`], or the same for XHTML.
    #[must_use]
    pub fn position(self, body: &[u8]) -> Option<usize> {
        if self.xhtml {
            place::in_xhtml(body)
        } else {
            position(body)
        }
    }

    /// Whether the panel stands in a frame of its own: it has room there, and may begin unfolded.
    #[must_use]
    pub fn is_framed(self) -> bool {
        self.xhtml
    }

    /// The panel as this page can bear it.
    ///
    /// A page that did not say that it is UTF-8 gets the panel in ASCII: every other character
    /// becomes a numeric reference, which means the same in text and attributes under any charset
    /// (scripts and styles of the panel must be ASCII for this reason). An XHTML page, which one
    /// unclosed tag would replace by an error message, gets it inside the `srcdoc` of a frame.
    #[must_use]
    pub fn panel(self, panel: &str) -> Cow<'_, str> {
        let framed = if self.xhtml {
            Cow::Owned(frame(panel))
        } else {
            Cow::Borrowed(panel)
        };
        if self.utf8 || framed.is_ascii() {
            framed
        } else {
            Cow::Owned(ascii_only(&framed))
        }
    }

    /// The whole page with the panel in it: what was before the place, the panel, what was behind.
    ///
    /// # Errors
    /// [`NotShown::NoBodyEnd`] where there is no place, [`NotShown::Memory`] where there is none.
    pub fn splice(self, body: &[u8], panel: &str) -> Result<Vec<u8>, NotShown> {
        let place = self.position(body).ok_or(NotShown::NoBodyEnd)?;
        let (before, behind) = body.split_at_checked(place).ok_or(NotShown::NoBodyEnd)?;
        let panel = self.panel(panel);
        let mut page = Vec::new();
        page.try_reserve_exact(body.len().saturating_add(panel.len()))
            .map_err(|_| NotShown::Memory)?;
        page.extend_from_slice(before);
        page.extend_from_slice(panel.as_bytes());
        page.extend_from_slice(behind);
        Ok(page)
    }
}

/// The panel as an XHTML fragment: an HTML document of its own in a frame.
fn frame(panel: &str) -> String {
    let mut fragment = String::with_capacity(panel.len() + panel.len() / 4 + 160);
    fragment.push_str(
        "<iframe xmlns=\"http://www.w3.org/1999/xhtml\" title=\"ioprofiler\" width=\"100%\" \
         height=\"600\" srcdoc=\"",
    );
    for c in panel.chars() {
        match c {
            '&' => fragment.push_str("&amp;"),
            '<' => fragment.push_str("&lt;"),
            '>' => fragment.push_str("&gt;"),
            '"' => fragment.push_str("&quot;"),
            // An XML reader folds these in attributes; as references they stay.
            '\t' => fragment.push_str("&#9;"),
            '\n' => fragment.push_str("&#10;"),
            '\r' => fragment.push_str("&#13;"),
            // Not allowed in XML, not even as references.
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => fragment.push('\u{fffd}'),
            other => fragment.push(other),
        }
    }
    fragment.push_str("\"></iframe>");
    fragment
}

fn ascii_only(text: &str) -> String {
    let mut ascii = String::with_capacity(text.len() + text.len() / 4);
    for c in text.chars() {
        if c.is_ascii() {
            ascii.push(c);
        } else {
            // Writing to a String cannot fail.
            let _ = write!(ascii, "&#x{:x};", u32::from(c));
        }
    }
    ascii
}
