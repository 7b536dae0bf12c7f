//! One request of a web server: its facts, whether it asked, and what its answer becomes.

use crate::guard::guard;
use crate::live::Live;
use crate::request::Request;
use crate::text::{latin1, wire};
use ioprofiler_core::answer::{self, Aim, Answering, Head};
use ioprofiler_core::gate::{Answer, Asked, Inputs, conditional_headers};
use ioprofiler_core::inject::NotShown;
use ioprofiler_core::{Facts, Profiler};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};
use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Longest request id that is taken over from a header.
const MAX_REQUEST_ID: usize = 128;

/// A request that came in, until its answer has left.
#[pyclass(frozen, module = "ioprofiler._native")]
pub(crate) struct Visit {
    profiler: Profiler,
    live: Arc<Live>,
    method: String,
    /// The viewer chose flags, so the answer is theirs alone.
    private: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The request asked, and was not refused yet.
    asked: Option<Asked>,
    aim: Option<Result<Aim, NotShown>>,
}

/// What the answer's body is to be: see [`Visit::aim`].
const PASS: u8 = 0;
const HOLD: u8 = 1;
const REPLACE_NOW: u8 = 2;
const NOT_SHOWN: u8 = 3;
const HOLD_TO_REPLACE: u8 = 4;

/// What of a request the gate and the facts need; texts as they came over the wire.
#[derive(Default)]
struct Came<'a> {
    method: Cow<'a, str>,
    path: Cow<'a, str>,
    query: Cow<'a, str>,
    scheme: Cow<'a, str>,
    host: Option<Cow<'a, str>>,
    protocol: Cow<'a, str>,
    peer: Option<Cow<'a, str>>,
    headers: Vec<(&'static [u8], Cow<'a, [u8]>)>,
    /// Headers that a log's format names.
    wanted: Vec<(&'a str, Vec<u8>)>,
    id: Option<Cow<'a, str>>,
    traceparent: Option<Cow<'a, str>>,
}

impl Visit {
    fn begin(profiler: &Profiler, came: &Came<'_>, has_callable: bool) -> Self {
        let host = came.host.as_ref().map(|host| host.as_bytes());
        let mut inputs = Inputs::new(came.query.as_bytes(), host);
        for (name, value) in &came.headers {
            inputs.header(name, value);
        }
        let asked = profiler.gate().asked(&inputs, now());
        let asked = asked.and_then(|asked| keep(profiler, asked, has_callable));
        let overrides = flag_overrides(profiler, &inputs);
        let wanted: Vec<(&str, &[u8])> = came
            .wanted
            .iter()
            .map(|(name, value)| (*name, value.as_slice()))
            .collect();
        let mut facts = Facts::web(&came.method, &came.path)
            .raw_headers(&wanted)
            .scheme(&came.scheme)
            .protocol(&came.protocol)
            .asked(asked.is_some());
        if let Some(overrides) = &overrides {
            facts = facts.flag_overrides(overrides);
        }
        if !came.query.is_empty() {
            facts = facts.query(&came.query);
        }
        if let Some(host) = &came.host {
            facts = facts.host(host);
        }
        if let Some(peer) = &came.peer {
            facts = facts.peer(peer);
        }
        if let Some(id) = came.id.as_ref().filter(|id| is_modest(id)) {
            facts = facts.id(id);
        }
        if let Some(traceparent) = &came.traceparent {
            facts = facts.traceparent(traceparent);
        }
        let request = match asked.as_ref().and_then(|asked| asked.verdict.who()) {
            Some(who) => profiler.begin(&facts.viewer(who)),
            None => profiler.begin(&facts),
        };
        Self {
            profiler: profiler.clone(),
            live: Arc::new(Live::new(request, asked.is_some())),
            method: came.method.clone().into_owned(),
            private: overrides.is_some(),
            state: Mutex::new(State { asked, aim: None }),
        }
    }

    pub(crate) fn of_wsgi(
        profiler: &Profiler,
        environ: &Bound<'_, PyDict>,
        has_callable: bool,
    ) -> PyResult<Self> {
        let py = environ.py();
        let get = |name: &Bound<'_, PyString>| -> PyResult<Option<Cow<'static, str>>> {
            Ok(environ
                .get_item(name)?
                .map(|value| Cow::Owned(native(&value))))
        };
        let mut came = Came {
            method: get(intern!(py, "REQUEST_METHOD"))?.unwrap_or_default(),
            query: get(intern!(py, "QUERY_STRING"))?.unwrap_or_default(),
            scheme: get(intern!(py, "wsgi.url_scheme"))?.unwrap_or_default(),
            host: get(intern!(py, "HTTP_HOST"))?,
            protocol: get(intern!(py, "SERVER_PROTOCOL"))?.unwrap_or_default(),
            peer: get(intern!(py, "REMOTE_ADDR"))?.filter(|peer| !peer.is_empty()),
            id: get(intern!(py, "HTTP_X_REQUEST_ID"))?,
            traceparent: get(intern!(py, "HTTP_TRACEPARENT"))?,
            ..Came::default()
        };
        came.path = wsgi_path(environ)?;
        for (name, key) in [
            (&b"cookie"[..], intern!(py, "HTTP_COOKIE")),
            (b"x-ioprofiler", intern!(py, "HTTP_X_IOPROFILER")),
            (
                b"x-ioprofiler-token",
                intern!(py, "HTTP_X_IOPROFILER_TOKEN"),
            ),
        ] {
            if let Some(value) = environ.get_item(key)? {
                came.headers
                    .push((name, Cow::Owned(wire(&value).unwrap_or_default())));
            }
        }
        for name in &profiler.wanted_headers().request {
            let key = match name.as_str() {
                "content-type" => "CONTENT_TYPE".to_owned(),
                "content-length" => "CONTENT_LENGTH".to_owned(),
                other => format!("HTTP_{}", other.to_uppercase().replace('-', "_")),
            };
            if let Some(value) = environ.get_item(key)? {
                came.wanted.push((name, wire(&value).unwrap_or_default()));
            }
        }
        Ok(Self::begin(profiler, &came, has_callable))
    }

    pub(crate) fn of_asgi(
        profiler: &Profiler,
        scope: &Bound<'_, PyDict>,
        has_callable: bool,
    ) -> PyResult<Self> {
        let py = scope.py();
        let get = |name: &Bound<'_, PyString>| -> PyResult<Option<Cow<'static, str>>> {
            let value = scope.get_item(name)?.filter(|value| !value.is_none());
            Ok(value.map(|value| Cow::Owned(native(&value))))
        };
        let version = get(intern!(py, "http_version"))?;
        let mut came = Came {
            method: get(intern!(py, "method"))?.unwrap_or_default(),
            query: get(intern!(py, "query_string"))?.unwrap_or_default(),
            scheme: get(intern!(py, "scheme"))?.unwrap_or_default(),
            protocol: version.map_or_else(Cow::default, |version| {
                Cow::Owned(format!("HTTP/{version}"))
            }),
            ..Came::default()
        };
        came.path = match get(intern!(py, "raw_path"))? {
            // Some servers leave the query in it.
            Some(raw) => Cow::Owned(raw.split('?').next().unwrap_or_default().to_owned()),
            None => get(intern!(py, "path"))?
                .map_or_else(Cow::default, |path| Cow::Owned(quote(path.as_bytes()))),
        };
        if let Some(client) = scope.get_item(intern!(py, "client"))?
            && let Ok(address) = client.get_item(0)
        {
            came.peer = Some(Cow::Owned(native(&address)));
        }
        if let Some(headers) = scope.get_item(intern!(py, "headers"))? {
            for header in headers.try_iter()? {
                came.take_header(&header?, &profiler.wanted_headers().request)?;
            }
        }
        Ok(Self::begin(profiler, &came, has_callable))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn id(&self) -> String {
        self.live.request().id()
    }
}

impl<'a> Came<'a> {
    fn take_header(&mut self, header: &Bound<'_, PyAny>, wanted: &'a [String]) -> PyResult<()> {
        let (name, value) = (header.get_item(0)?, header.get_item(1)?);
        let Ok(name) = name.cast::<PyBytes>() else {
            return Ok(());
        };
        let is = |known: &&String| known.as_bytes() == name.as_bytes();
        if let Some(name) = wanted.iter().find(is) {
            self.wanted.push((name, wire(&value)?));
        }
        let text = || Cow::Owned(native(&value));
        match name.as_bytes() {
            b"host" if self.host.is_none() => self.host = Some(text()),
            b"x-request-id" => self.id = Some(text()),
            b"traceparent" => self.traceparent = Some(text()),
            b"cookie" => self.headers.push((b"cookie", Cow::Owned(wire(&value)?))),
            b"x-ioprofiler" => self
                .headers
                .push((b"x-ioprofiler", Cow::Owned(wire(&value)?))),
            b"x-ioprofiler-token" => {
                self.headers
                    .push((b"x-ioprofiler-token", Cow::Owned(wire(&value)?)));
            }
            _ => {}
        }
        Ok(())
    }
}

/// A request that asked, unless it is refused already, which is counted.
fn keep(profiler: &Profiler, asked: Asked, has_callable: bool) -> Option<Asked> {
    match asked.verdict.refusal() {
        Some(refusal)
            if !(asked.verdict.is_undecided()
                && (has_callable || profiler.gate().wants_flag())) =>
        {
            profiler.refused(refusal);
            None
        }
        _ => Some(asked),
    }
}

/// What the viewer wants flags to be, where the gate is open at begin; elsewhere it is counted.
fn flag_overrides(profiler: &Profiler, inputs: &Inputs<'_>) -> Option<String> {
    match profiler.gate().flag_overrides(inputs, now())? {
        Ok(overrides) => Some(overrides),
        Err(refusal) => {
            profiler.refused(refusal);
            None
        }
    }
}

#[pymethods]
impl Visit {
    /// The request under observation.
    #[getter]
    fn request(&self) -> Request {
        Request::new(Arc::clone(&self.live))
    }

    /// Whether it asked and was not refused yet, or chose flags: its answer may be another one.
    #[getter]
    fn asked(&self) -> bool {
        self.private || self.state().asked.is_some()
    }

    /// Whether the callable is to be asked.
    #[getter]
    fn undecided(&self) -> bool {
        self.state()
            .asked
            .as_ref()
            .is_some_and(|asked| asked.verdict.is_undecided())
    }

    /// Headers to take off the request before the application sees it: those that could make of
    /// the page that was asked about a 304 or a part. Only where the gate is open already.
    #[getter]
    fn unwanted(&self) -> Vec<&'static str> {
        let open = self
            .state()
            .asked
            .as_ref()
            .is_some_and(|asked| asked.verdict.is_open());
        if open || self.private {
            conditional_headers(&self.method).to_vec()
        } else {
            Vec::new()
        }
    }

    /// The gate's flag is asked first; then what the callable answered counts: `None` is that it
    /// raised.
    fn decide(&self, answer: Option<bool>) {
        guard((), || {
            let mut state = self.state();
            let Some(mut asked) = state.asked.take() else {
                return;
            };
            let request = self.live.request();
            let verdict = self.profiler.gate().ask_flag(asked.verdict, &request);
            asked.verdict = verdict.decide(answer.map_or(Answer::Failed, Answer::from));
            match asked.verdict.refusal() {
                Some(refusal) => self.profiler.refused(refusal),
                None => state.asked = Some(asked),
            }
        });
    }

    /// What is to be done with the body: 0 passes, 1 is held back for the panel, 2 is thrown away
    /// now for the profile, 3 passes below a head from `not_shown`, 4 is held back to its end and
    /// then replaced.
    fn aim(
        &self,
        status: u16,
        headers: &Bound<'_, PyAny>,
        length: Option<u64>,
        max_page: u64,
        buffer_streams: bool,
    ) -> PyResult<u8> {
        let Some(form) = self.state().asked.as_ref().map(|asked| asked.form) else {
            return Ok(if self.private { NOT_SHOWN } else { PASS });
        };
        let head = head_of(status, headers)?;
        Ok(guard(PASS, || {
            let answering = Answering::new(&self.method)
                .length(length)
                .max_page(max_page)
                .buffer_streams(buffer_streams);
            let aim = if self.live.is_open() {
                answer::aim(form, &head, &answering)
            } else {
                Err(NotShown::NotObserved)
            };
            self.state().aim = Some(aim);
            match aim {
                Err(_) => NOT_SHOWN,
                Ok(Aim::Replace(_)) if head.is_endless() => REPLACE_NOW,
                Ok(Aim::Replace(_)) => HOLD_TO_REPLACE,
                Ok(_) => HOLD,
            }
        }))
    }

    /// The answer with the profile in it: status, headers and body. Where it has no place for the
    /// panel the body is as it was.
    fn show<'py>(
        &self,
        status: u16,
        headers: &Bound<'py, PyAny>,
        body: &Bound<'py, PyBytes>,
    ) -> PyResult<(u16, Bound<'py, PyList>, Bound<'py, PyBytes>)> {
        let py = headers.py();
        let mut head = head_of(status, headers)?;
        let as_text = is_text(headers)?;
        let before = body.as_bytes();
        let changed = py.detach(|| {
            guard(None, || {
                let Some(Ok(aim)) = self.state().aim else {
                    return None;
                };
                let request = self.live.request();
                let profile = request.snapshot();
                let changed = head.show(aim, before, &request.id(), &profile);
                request.first_byte();
                changed
            })
        });
        let body = changed.map_or_else(|| body.clone(), |changed| PyBytes::new(py, &changed));
        Ok((head.status, headers_of(py, &head, as_text)?, body))
    }

    /// The answer's head leaves: takes from it what a log's format names.
    fn leaving(&self, headers: &Bound<'_, PyAny>) -> PyResult<()> {
        let wanted = &self.profiler.wanted_headers().answer;
        let head = head_of(0, headers)?;
        let request = self.live.request();
        for (name, value) in &head.headers {
            let is = |known: &&String| name.eq_ignore_ascii_case(known.as_bytes());
            if let Some(name) = wanted.iter().find(is) {
                request.answer_header(name, value);
            }
        }
        Ok(())
    }

    /// The headers of an answer in which the profile cannot be shown: for the reason that `aim`
    /// found, or this one.
    #[pyo3(signature = (status, headers, reason=None))]
    fn not_shown<'py>(
        &self,
        status: u16,
        headers: &Bound<'py, PyAny>,
        reason: Option<&str>,
    ) -> PyResult<Bound<'py, PyList>> {
        let py = headers.py();
        let mut head = head_of(status, headers)?;
        let as_text = is_text(headers)?;
        guard((), || {
            if self.state().asked.is_none() {
                head.keep_private();
                self.live.request().first_byte();
                return;
            }
            let found = self.state().aim.and_then(Result::err);
            let reason = match reason {
                Some("body-error") => NotShown::BodyError,
                Some("too-large") => NotShown::TooLarge,
                _ => found.unwrap_or(NotShown::NotObserved),
            };
            let request = self.live.request();
            if request.is_none() {
                head.not_shown(reason, "", None);
            } else {
                head.not_shown(reason, &self.id(), Some(&request.snapshot()));
                request.first_byte();
            }
        });
        headers_of(py, &head, as_text)
    }
}

fn head_of(status: u16, headers: &Bound<'_, PyAny>) -> PyResult<Head> {
    let mut head = Head::new(status);
    for header in headers.try_iter()? {
        let header = header?;
        head.add(&wire(&header.get_item(0)?)?, &wire(&header.get_item(1)?)?);
    }
    Ok(head)
}

/// Whether headers are `str`s, as in WSGI, which an empty list says too.
fn is_text(headers: &Bound<'_, PyAny>) -> PyResult<bool> {
    match headers.try_iter()?.next() {
        Some(first) => Ok(first?.get_item(0)?.cast::<PyString>().is_ok()),
        None => Ok(true),
    }
}

fn headers_of<'py>(py: Python<'py>, head: &Head, as_text: bool) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for (name, value) in &head.headers {
        let pair = if as_text {
            PyTuple::new(py, [latin1(name), latin1(value)])?
        } else {
            PyTuple::new(py, [PyBytes::new(py, name), PyBytes::new(py, value)])?
        };
        list.append(pair)?;
    }
    Ok(list)
}

/// A text of the wire: bytes, or a `str` of Latin-1 characters that stand for bytes. Repaired where
/// it is no UTF-8.
fn native(value: &Bound<'_, PyAny>) -> String {
    match wire(value) {
        Ok(bytes) => String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
        // No Latin-1, so it stands for itself.
        Err(_) => crate::text::lossy(value),
    }
}

/// The path as the client sent it, where the server tells; else put together again.
fn wsgi_path(environ: &Bound<'_, PyDict>) -> PyResult<Cow<'static, str>> {
    let py = environ.py();
    for name in [intern!(py, "RAW_URI"), intern!(py, "REQUEST_URI")] {
        if let Some(raw) = environ.get_item(name)? {
            let raw = native(&raw);
            // A proxy's request names the whole URL.
            if raw.starts_with('/') {
                return Ok(Cow::Owned(
                    raw.split('?').next().unwrap_or_default().to_owned(),
                ));
            }
        }
    }
    let mut path = Vec::new();
    for name in [intern!(py, "SCRIPT_NAME"), intern!(py, "PATH_INFO")] {
        if let Some(part) = environ.get_item(name)? {
            path.extend(wire(&part).unwrap_or_default());
        }
    }
    Ok(Cow::Owned(quote(&path)))
}

fn quote(path: &[u8]) -> String {
    let mut quoted = String::with_capacity(path.len());
    for &byte in path {
        if byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&byte) {
            quoted.push(char::from(byte));
        } else {
            quoted.push_str(&format!("%{byte:02X}"));
        }
    }
    quoted
}

/// An id that a proxy gave. It goes into logs and answers, so only a modest one is taken.
fn is_modest(id: &str) -> bool {
    let modest = |b: u8| b.is_ascii_alphanumeric() || b"-_.:/+=@".contains(&b);
    (1..=MAX_REQUEST_ID).contains(&id.len()) && id.bytes().all(modest)
}

static NOW: AtomicU64 = AtomicU64::new(0);

/// What time it is for gates, in Unix seconds; 0 is the clock's own: for tests with tokens of long ago.
#[pyfunction]
pub(crate) fn set_now(now: u64) {
    NOW.store(now, Ordering::Relaxed);
}

/// The wall clock, in Unix seconds.
pub(crate) fn now() -> u64 {
    match NOW.load(Ordering::Relaxed) {
        0 => wall_clock(),
        now => now,
    }
}

fn wall_clock() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |elapsed| elapsed.as_secs())
}

/// For `doctor`: until when the gate of this machine is open, in Unix seconds; else why it is not.
#[pyfunction]
pub(crate) fn check_this_machine() -> Result<u64, pyo3::PyErr> {
    let file = ioprofiler_core::gate::GateFile::of_this_user();
    file.check(now())
        .map_err(|reason| crate::profiler::OptionError::new_err(reason.as_str()))
}
