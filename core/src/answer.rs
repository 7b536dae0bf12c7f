//! What an open gate does to an answer, for hosts that have it as a status and a list of headers:
//! WSGI, ASGI, Node.
//!
//! [`aim`] says what can be done once the head is known, [`Head::show`] does it once the body was
//! held back, and [`Head::not_shown`] tells why it was not. Names and values of headers are bytes
//! as they go over the wire; order and duplicates are kept.
//!
//! ```
//! use ioprofiler::answer::{Aim, Answering, Head, aim};
//! use ioprofiler::gate::Form;
//!
//! let profiler = ioprofiler::Profiler::builder().build()?;
//! let request = profiler.begin(&ioprofiler::Facts::web("GET", "/"));
//! let page = b"<html><body>Hello</body></html>";
//! let mut head = Head::new(200);
//! head.add(b"Content-Type", b"text/html");
//! head.add(b"Content-Length", page.len().to_string().as_bytes());
//!
//! let answering = Answering::new("GET");
//! let aim = aim(Form::Page, &head, &answering).expect("a page can carry the panel");
//! assert!(matches!(aim, Aim::Panel(_)));
//! let changed = head.show(aim, page, &request.id(), &request.snapshot());
//! assert!(changed.is_some());
//! # Ok::<(), ioprofiler::Error>(())
//! ```

use crate::gate::{Form, HeaderEdit, open_headers};
use crate::inject::{self, Answer, InlineCode, NotShown, Page};
use crate::profile::ProfileData;
use crate::render;
use crate::render::html::{PanelOptions, panel_with};

/// What is done with an answer in which a profile is shown.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
    /// The panel is put into the page.
    Panel(Page),
    /// The body is replaced by the profile in this form.
    Replace(Form),
}

/// How an answer is given: what is known of it besides its head.
#[derive(Clone, Copy, Debug)]
pub struct Answering<'a> {
    method: &'a str,
    length: Option<u64>,
    max_page: u64,
    buffer_streams: bool,
}

impl<'a> Answering<'a> {
    /// The answer to a request of this method.
    #[must_use]
    pub fn new(method: &'a str) -> Self {
        Self {
            method,
            length: None,
            max_page: inject::DEFAULT_CAP,
            buffer_streams: false,
        }
    }

    /// The body's length in bytes, where it is known beforehand and no `Content-Length` says it.
    #[must_use]
    pub fn length(mut self, length: Option<u64>) -> Self {
        self.length = length;
        self
    }

    /// The largest body that is held back.
    #[must_use]
    pub fn max_page(mut self, bytes: u64) -> Self {
        self.max_page = bytes;
        self
    }

    /// Whether a body of unknown length may be held back.
    #[must_use]
    pub fn buffer_streams(mut self, yes: bool) -> Self {
        self.buffer_streams = yes;
        self
    }
}

/// A status and headers, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The status.
    pub status: u16,
    /// Names and values, as they go over the wire.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What can be done with an answer for the form that was asked for.
///
/// # Errors
/// Why the profile cannot be shown: see [`Head::not_shown`].
pub fn aim(form: Form, head: &Head, answering: &Answering<'_>) -> Result<Aim, NotShown> {
    if form != Form::Page {
        return inject::may_replace(answering.method, head.status).map(|()| Aim::Replace(form));
    }
    let answer = Answer::new(answering.method, head.status)
        .length(answering.length.or_else(|| head.content_length()))
        .cap(answering.max_page)
        .buffer_streams(answering.buffer_streams);
    let answer =
        head.headers.iter().fold(answer, |answer, (name, value)| {
            match std::str::from_utf8(name) {
                Ok(name) => answer.header(name, value),
                Err(_) => answer,
            }
        });
    inject::may_inject(&answer).map(Aim::Panel)
}

impl Head {
    /// A head without headers.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
        }
    }

    /// Adds a header, behind those that are there.
    pub fn add(&mut self, name: &[u8], value: &[u8]) {
        self.headers.push((name.to_vec(), value.to_vec()));
    }

    /// Removes every header of this name.
    pub fn remove(&mut self, name: &str) {
        self.headers
            .retain(|(known, _)| !known.eq_ignore_ascii_case(name.as_bytes()));
    }

    /// Replaces the header of this name where it first stands, or adds it.
    pub fn set(&mut self, name: &str, value: &[u8]) {
        let is = |known: &[u8]| known.eq_ignore_ascii_case(name.as_bytes());
        let place = self.headers.iter().position(|(known, _)| is(known));
        let Some(place) = place else {
            return self.add(name.as_bytes(), value);
        };
        let mut index = 0;
        self.headers.retain(|(known, _)| {
            let keep = index <= place || !is(known);
            index += 1;
            keep
        });
        if let Some((_, old)) = self.headers.get_mut(place) {
            *old = value.to_vec();
        }
    }

    /// All values of this name.
    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.headers
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value.as_slice())
    }

    /// What `Content-Length` says.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        let value = self.all("content-length").next()?;
        std::str::from_utf8(value).ok()?.trim().parse().ok()
    }

    /// Whether the body has no end by its nature, so that waiting for it is no use.
    #[must_use]
    pub fn is_endless(&self) -> bool {
        self.all("content-type")
            .next()
            .is_some_and(inject::is_endless)
    }

    /// Shows the profile in an answer with this head and body, whose gate is open: gives the new
    /// body, or `None` where the page has no place for the panel and stays as it is. The head is
    /// mended either way. `id` is the request's.
    #[must_use]
    pub fn show(
        &mut self,
        aim: Aim,
        body: &[u8],
        id: &str,
        profile: &ProfileData,
    ) -> Option<Vec<u8>> {
        match aim {
            Aim::Panel(page) => match page.splice(body, &self.panel(page, profile)) {
                Ok(changed) => {
                    self.mend(changed.len());
                    self.open(id, Some(profile));
                    Some(changed)
                }
                Err(reason) => {
                    self.not_shown(reason, id, Some(profile));
                    None
                }
            },
            Aim::Replace(form) => {
                let text = self.replace(form, profile);
                self.open(id, Some(profile));
                Some(text.into_bytes())
            }
        }
    }

    /// The gate is open, and the profile cannot be shown in this answer: says why in
    /// `X-Ioprofiler`, and what can be said in headers. `profile` is `None` where the request was
    /// not observed.
    pub fn not_shown(&mut self, reason: NotShown, id: &str, profile: Option<&ProfileData>) {
        self.open(id, profile);
        self.set("x-ioprofiler", reason.header_value().as_bytes());
    }

    /// Keeps the answer out of every cache: of somebody past the gate who chose flags, say.
    pub fn keep_private(&mut self) {
        for edit in open_headers() {
            match *edit {
                HeaderEdit::Set(name, value) => self.set(name, value.as_bytes()),
                HeaderEdit::Remove(name) => self.remove(name),
                HeaderEdit::Append(name, value) => self.add(name.as_bytes(), value.as_bytes()),
            }
        }
    }

    /// Keeps the answer out of every cache, and tells what can be told in headers.
    fn open(&mut self, id: &str, profile: Option<&ProfileData>) {
        self.keep_private();
        let is_value =
            |text: &str| !text.is_empty() && text.bytes().all(|b| (b' '..0x7f).contains(&b));
        if is_value(id) {
            self.set("x-ioprofiler-request", id.as_bytes());
        }
        let timing = profile.map(render::server_timing).unwrap_or_default();
        if is_value(&timing) {
            self.add(b"server-timing", timing.as_bytes());
        }
    }

    /// The panel for this page, such as its Content-Security-Policy lets it be.
    fn panel(&self, page: Page, profile: &ProfileData) -> String {
        let options = PanelOptions::default().open(page.is_framed());
        let options = match inject::inline_code(self.all("content-security-policy")) {
            InlineCode::Free => options,
            InlineCode::Nonce(nonce) => options.nonce(nonce),
            InlineCode::Blocked => options.plain(true),
        };
        panel_with(profile, &options)
    }

    /// The body was changed to one of `length` bytes.
    fn mend(&mut self, length: usize) {
        for name in inject::HEADERS_ABOUT_THE_BYTES {
            self.remove(name);
        }
        if self.all("content-length").next().is_some() {
            self.set("content-length", length.to_string().as_bytes());
        }
    }

    /// The body is replaced by a profile in this form; answers the new one.
    fn replace(&mut self, form: Form, profile: &ProfileData) -> String {
        let (text, content_type) = match form {
            Form::Json => (
                render::json(profile, render::Details::Full),
                "application/json",
            ),
            Form::Ticket => (render::ticket(profile), "text/plain; charset=utf-8"),
            _ => (render::text(profile), "text/plain; charset=utf-8"),
        };
        for name in inject::HEADERS_ABOUT_THE_BYTES
            .iter()
            .chain(&inject::HEADERS_ABOUT_THE_BODY)
        {
            self.remove(name);
        }
        self.add(b"content-type", content_type.as_bytes());
        self.add(b"content-length", text.len().to_string().as_bytes());
        // A detail may look like HTML; the answer is none.
        self.set("x-content-type-options", b"nosniff");
        self.status = inject::replaced_status(self.status);
        text
    }
}
