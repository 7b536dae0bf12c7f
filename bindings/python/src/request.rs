//! A request, for Python: facts, snapshot, end, and being current.

use crate::current::{self, Current};
use crate::guard::guard;
use crate::live::Live;
use crate::metrics;
use crate::profile::Profile;
use crate::ready::Ready;
use crate::text;
use ioprofiler_core::category::{self, Dialect, Kind};
use ioprofiler_core::handle::{PastCall, Site, SpanHandle};
use ioprofiler_core::{Facts, Outcome};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// One unit of work under observation.
#[pyclass(frozen, module = "ioprofiler")]
pub(crate) struct Request {
    pub(crate) live: Arc<Live>,
    /// What `with request:` has made current.
    entered: Mutex<Vec<Py<Current>>>,
}

impl Request {
    pub(crate) fn new(live: Arc<Live>) -> Self {
        Self {
            live,
            entered: Mutex::new(Vec::new()),
        }
    }

    fn entered(&self) -> std::sync::MutexGuard<'_, Vec<Py<Current>>> {
        self.entered
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn push(&self, py: Python<'_>) -> PyResult<()> {
        if !self.live.is_open() {
            return Ok(());
        }
        let inside = Current::of_request(&self.live, current::now(py));
        let inside = current::enter(py, inside)?;
        self.entered().push(inside);
        Ok(())
    }

    fn pop(&self, py: Python<'_>) {
        let now = current::now(py);
        let mut entered = self.entered();
        // Several threads may have entered: this one leaves what it is in.
        let is_now = |known: &Py<Current>| now.as_ref().is_some_and(|now| now.is(known));
        let last = match entered.iter().rposition(is_now) {
            Some(place) => Some(entered.remove(place)),
            None => entered.pop(),
        };
        drop(entered);
        if let Some(last) = last {
            current::leave(last.bind(py));
        }
    }

    fn set(&self, fact: &Bound<'_, PyAny>, set: impl FnOnce(&ioprofiler_core::Request, &str)) {
        guard((), || set(&self.live.request(), &text::lossy(fact)));
    }
}

#[pymethods]
impl Request {
    /// The request's id; empty for no request.
    #[getter]
    fn id(&self) -> String {
        guard(String::new(), || self.live.request().id())
    }

    /// Whether calls are recorded.
    #[getter]
    fn is_recording(&self) -> bool {
        guard(false, || self.live.request().is_recording())
    }

    /// Whether it asked for its profile.
    #[getter]
    fn asked(&self) -> bool {
        self.live.asked
    }

    fn __bool__(&self) -> bool {
        guard(false, || self.live.is_open())
    }

    /// The route's template: `/listing/<id>`, never the raw path.
    fn set_route(&self, route: &Bound<'_, PyAny>) {
        self.set(route, ioprofiler_core::Request::set_route);
    }

    /// The user's id.
    fn set_user(&self, user: &Bound<'_, PyAny>) {
        self.set(user, ioprofiler_core::Request::set_user);
    }

    /// The browser's id.
    fn set_visitor(&self, visitor: &Bound<'_, PyAny>) {
        self.set(visitor, ioprofiler_core::Request::set_visitor);
    }

    /// One more group of the user.
    fn add_group(&self, group: &Bound<'_, PyAny>) {
        self.set(group, ioprofiler_core::Request::add_group);
    }

    /// Named values for its line in the log; the last value of a name wins.
    #[pyo3(signature = (**notes))]
    fn note(&self, notes: Option<&Bound<'_, PyDict>>) {
        guard((), || {
            let request = self.live.request();
            for (name, value) in notes.into_iter().flat_map(|notes| notes.iter()) {
                crate::notes::set(&request, &name, &value);
            }
        });
    }

    /// The compact note as it is now, for a server's own line; `None` where there is no format.
    fn compact_note(&self) -> Option<String> {
        guard(None, || self.live.request().compact_note())
    }

    /// Something else that flags may be bucketed by.
    fn set_attribute(&self, name: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) {
        let value = crate::flags::attribute(value);
        self.set(name, |request, name| request.set_attribute(name, &value));
    }

    /// Decides flags by the newest files from now on.
    fn refresh_flags(&self) {
        guard((), || self.live.request().refresh_flags());
    }

    /// Each step of a flag's decision, as text.
    fn explain(&self, flag: &str) -> String {
        guard(String::new(), || {
            self.live.request().explain(flag).to_string()
        })
    }

    /// A callable that says who the request is about, called before its first flag is decided.
    fn _defer_context(&self, context: Py<PyAny>) {
        guard((), || self.live.set_context(context));
    }

    /// What went wrong.
    fn set_error(&self, error: &Bound<'_, PyAny>) {
        self.set(error, ioprofiler_core::Request::set_error);
    }

    /// The answer's status, where it is known before the end.
    fn set_status(&self, status: u16) {
        guard((), || self.live.request().set_status(status));
    }

    /// The answer's first byte leaves: later calls are marked as after the answer.
    fn first_byte(&self) {
        guard((), || self.live.request().first_byte());
    }

    /// What the request has done so far.
    fn snapshot(&self, py: Python<'_>) -> Profile {
        let request = self.live.request();
        py.detach(|| {
            guard(Profile::of_data(Default::default()), || {
                Profile::of_request(request.snapshot())
            })
        })
    }

    /// Ends the request, once. A later call gives an empty profile.
    #[pyo3(signature = (status=200, bytes_out=0))]
    fn finish(&self, status: u16, bytes_out: u64) -> Profile {
        guard(Profile::of_data(Default::default()), || {
            Profile::of_request(self.live.end(|request| request.finish(status, bytes_out)))
        })
    }

    /// Ends the request: the client left before the body had ended.
    #[pyo3(signature = (status=None, bytes_out=0))]
    fn abort(&self, status: Option<u16>, bytes_out: u64) -> Profile {
        guard(Profile::of_data(Default::default()), || {
            Profile::of_request(self.live.end(|request| request.abort(status, bytes_out)))
        })
    }

    /// Begins a job that knows this request as its parent, and outlives it.
    fn detach(&self, name: &Bound<'_, PyAny>) -> Self {
        let job = guard(ioprofiler_core::Request::none(), || {
            self.live.request().detach(&text::lossy(name))
        });
        Self::new(Arc::new(Live::new(job, self.live.asked)))
    }

    /// Makes it current. At the end of the `with` it is finished, with the exception as its error.
    fn __enter__(slf: Py<Self>, py: Python<'_>) -> PyResult<Py<Self>> {
        slf.get().push(py)?;
        Ok(slf)
    }

    #[pyo3(signature = (kind, error, _trace, /))]
    fn __exit__(
        &self,
        py: Python<'_>,
        kind: &Bound<'_, PyAny>,
        error: &Bound<'_, PyAny>,
        _trace: &Bound<'_, PyAny>,
    ) {
        guard((), || {
            self.pop(py);
            if kind.is_none() {
                self.live.end(|request| request.finish(200, 0));
                return;
            }
            let name = kind
                .getattr("__name__")
                .map_or_else(|_| String::new(), |name| text::lossy(&name));
            self.live.end(|request| {
                request.set_error(&format!("{name}: {}", text::lossy(error)));
                request.finish(500, 0)
            });
        });
    }

    fn __aenter__(slf: Py<Self>, py: Python<'_>) -> PyResult<Ready> {
        Ok(Ready::new(Self::__enter__(slf, py)?.into_any()))
    }

    #[pyo3(signature = (kind, error, trace, /))]
    fn __aexit__(
        &self,
        py: Python<'_>,
        kind: &Bound<'_, PyAny>,
        error: &Bound<'_, PyAny>,
        trace: &Bound<'_, PyAny>,
    ) -> Ready {
        self.__exit__(py, kind, error, trace);
        Ready::new(py.None())
    }

    /// A context manager in which it is current, which does not finish it: for another thread, or
    /// for a part of the work.
    fn enter(slf: Py<Self>) -> Entered {
        Entered { request: slf }
    }

    /// Makes it current without more ado; to be ended with `leave_context`. For middleware.
    fn _enter(&self, py: Python<'_>) -> PyResult<Py<Current>> {
        current::enter(py, Current::of_request(&self.live, current::now(py)))
    }

    /// Records a call that is over.
    #[pyo3(
        signature = (category, detail=None, *, duration, ended_ago=None, failed=false),
        text_signature = "($self, category, detail='', *, duration, ended_ago=0.0, failed=False)"
    )]
    fn add_span(
        &self,
        py: Python<'_>,
        category: &Bound<'_, PyAny>,
        detail: Option<&Bound<'_, PyAny>>,
        duration: &Bound<'_, PyAny>,
        ended_ago: Option<&Bound<'_, PyAny>>,
        failed: bool,
    ) {
        guard((), || {
            // SAFETY: attached, and no exception is set.
            let told = |given: &Bound<'_, PyAny>| unsafe { metrics::seconds(given.as_ptr()) };
            let (Some(duration), Some(ended_ago)) =
                (told(duration), ended_ago.map_or(Some(0.0), told))
            else {
                metrics::not_a_number();
                return;
            };
            let category = category::intern(&text::lossy(category), Kind::Leaf, Dialect::Generic);
            let parent = current::now(py)
                .filter(|now| Arc::ptr_eq(&now.get().live, &self.live))
                .map_or(SpanHandle::NONE, |now| now.get().parent);
            let outcome = if failed { Outcome::Error } else { Outcome::Ok };
            let detail = detail.map(text::lossy).unwrap_or_default();
            self.live.handle.add_span(PastCall {
                category,
                detail: detail.as_bytes(),
                parent,
                site: Site::NONE,
                ended_ago: seconds(ended_ago),
                duration: seconds(duration),
                outcome,
            });
        });
    }

    fn __repr__(&self) -> String {
        let request = self.live.request();
        if request.is_none() {
            return "<Request: none>".to_owned();
        }
        format!("<Request {}>", request.id())
    }
}

/// A part of the work of a request: see [`Request::enter`].
#[pyclass(frozen, module = "ioprofiler._native")]
pub(crate) struct Entered {
    request: Py<Request>,
}

#[pymethods]
impl Entered {
    fn __enter__(&self, py: Python<'_>) -> PyResult<Py<Request>> {
        self.request.get().push(py)?;
        Ok(self.request.clone_ref(py))
    }

    #[pyo3(signature = (_kind, _error, _trace, /))]
    fn __exit__(
        &self,
        py: Python<'_>,
        _kind: &Bound<'_, PyAny>,
        _error: &Bound<'_, PyAny>,
        _trace: &Bound<'_, PyAny>,
    ) {
        guard((), || self.request.get().pop(py));
    }
}

pub(crate) fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::ZERO)
}

/// The request that this context is in; one that does nothing where there is none.
#[pyfunction]
pub(crate) fn current_request(py: Python<'_>) -> Request {
    guard(None, || current::now(py)).map_or_else(none_request, |now| {
        Request::new(Arc::clone(&now.get().live))
    })
}

/// A request that does nothing.
#[pyfunction]
pub(crate) fn none_request() -> Request {
    Request::new(Arc::new(Live::new(ioprofiler_core::Request::none(), false)))
}

/// Whether this context is in a request.
#[pyfunction]
pub(crate) fn in_request(py: Python<'_>) -> bool {
    guard(false, || current::now(py).is_some())
}

/// Whether this context is in a request that asked for its profile, so that calls may tell more.
#[pyfunction]
pub(crate) fn is_asked() -> bool {
    // SAFETY: a `#[pyfunction]` runs attached, and drops this attached.
    guard(false, || unsafe {
        current::Held::now().is_some_and(|now| now.get().asked)
    })
}

/// What this context is in, to be given to `enter_context` on another thread; `None` outside.
#[pyfunction]
pub(crate) fn context(py: Python<'_>) -> Option<Py<Current>> {
    guard(None, || current::now(py))
}

/// Makes what another context is in current in this one; to be ended with `leave_context`.
#[pyfunction]
pub(crate) fn enter_context(py: Python<'_>, outer: &Bound<'_, Current>) -> PyResult<Py<Current>> {
    let outer = outer.get();
    current::enter(py, outer.at_the_same_place(current::now(py)))
}

/// Ends `enter_context`.
#[pyfunction]
pub(crate) fn leave_context(entered: &Bound<'_, Current>) {
    guard((), || current::leave(entered));
}

/// A category with a kind and a dialect of its own, where nobody has used the name before.
#[pyfunction]
pub(crate) fn define_category(name: &str, kind: &str, dialect: &str) {
    let kind = if kind == "scope" {
        Kind::Scope
    } else {
        Kind::Leaf
    };
    let dialect = match dialect {
        "mysql" => Dialect::MySql,
        "postgresql" => Dialect::PostgreSql,
        "sqlite" => Dialect::Sqlite,
        "keys" => Dialect::Keys,
        "path" => Dialect::Path,
        _ => Dialect::Generic,
    };
    let _ = guard(category::CategoryId::from_number(0), || {
        category::intern(name, kind, dialect)
    });
}

/// What a request without facts of the web is about.
pub(crate) fn facts_of_kind<'a>(kind: &str, name: &'a str) -> Facts<'a> {
    if kind == "command" {
        Facts::command(name)
    } else {
        Facts::job(name)
    }
}

/// Whether this interpreter is the main one: the module's types are made once a process.
pub(crate) fn is_main_interpreter() -> bool {
    // SAFETY: attached.
    unsafe { ffi::PyInterpreterState_GetID(ffi::PyInterpreterState_Get()) == 0 }
}
