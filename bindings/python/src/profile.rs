//! What a request has done, for Python: rendered by the core, and as plain values.

use crate::guard::guard;
use ioprofiler_core::profile::{ProfileData, SpanData};
use ioprofiler_core::render::{self, Details};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::sync::Arc;

/// What a request has done so far, or did. It never changes.
#[pyclass(frozen, module = "ioprofiler")]
pub(crate) struct Profile {
    kind: Of,
}

enum Of {
    /// Built when it is first read.
    Request(Box<ioprofiler_core::Profile>),
    Data(Arc<ProfileData>),
}

impl Profile {
    pub(crate) fn of_request(profile: ioprofiler_core::Profile) -> Self {
        Self {
            kind: Of::Request(Box::new(profile)),
        }
    }

    pub(crate) fn of_data(data: Arc<ProfileData>) -> Self {
        Self {
            kind: Of::Data(data),
        }
    }

    pub(crate) fn data(&self) -> &ProfileData {
        match &self.kind {
            Of::Request(profile) => profile.data(),
            Of::Data(data) => data,
        }
    }

    /// The core's own, where this is of a request that has ended or lives.
    pub(crate) fn of_request_or_none(&self) -> Option<&ioprofiler_core::Profile> {
        match &self.kind {
            Of::Request(profile) => Some(profile),
            Of::Data(_) => None,
        }
    }

    fn rendered(&self, py: Python<'_>, render: fn(&ProfileData) -> String) -> String {
        // Detached: a large profile takes milliseconds.
        py.detach(|| guard(String::new(), || render(self.data())))
    }
}

#[pymethods]
impl Profile {
    /// The call list and the table, as text for a terminal. Holds SQL and keys.
    fn text(&self, py: Python<'_>) -> String {
        self.rendered(py, render::text)
    }

    /// As text with fingerprints for details: what may be pasted anywhere.
    fn ticket(&self, py: Python<'_>) -> String {
        self.rendered(py, render::ticket)
    }

    /// The panel as a page of its own.
    fn html(&self, py: Python<'_>) -> String {
        self.rendered(py, render::html::page)
    }

    /// As JSON, with all details.
    fn json(&self, py: Python<'_>) -> String {
        self.rendered(py, |data| render::json(data, Details::Full))
    }

    /// A trace file for Perfetto and speedscope.
    fn trace(&self, py: Python<'_>) -> String {
        self.rendered(py, |data| render::trace(data, Details::Full))
    }

    /// The value of a `Server-Timing` header.
    fn server_timing(&self, py: Python<'_>) -> String {
        self.rendered(py, render::server_timing)
    }

    /// The request's id.
    #[getter]
    fn id(&self) -> String {
        guard(String::new(), || self.data().id.clone())
    }

    /// The route's template, if it is known.
    #[getter]
    fn route(&self) -> Option<String> {
        guard(None, || self.data().facts.route.clone())
    }

    /// The user's id, if it was said.
    #[getter]
    fn user(&self) -> Option<String> {
        guard(None, || self.data().facts.user.clone())
    }

    /// What went wrong, if anything did.
    #[getter]
    fn error(&self) -> Option<String> {
        guard(None, || self.data().facts.error.clone())
    }

    /// The answer's status, once known.
    #[getter]
    fn status(&self) -> Option<u16> {
        guard(None, || self.data().facts.status)
    }

    /// Bytes of the answer's body, once known.
    #[getter]
    fn bytes_out(&self) -> Option<u64> {
        guard(None, || self.data().facts.bytes_out)
    }

    /// `live`, `finished`, `aborted` or `abandoned`.
    #[getter]
    fn state(&self) -> String {
        guard(String::new(), || {
            format!("{:?}", self.data().state).to_lowercase()
        })
    }

    /// When it began, seconds since 1970.
    #[getter]
    fn started_at(&self) -> f64 {
        guard(0.0, || self.data().started_at as f64 / 1e9)
    }

    /// From begin to the end, or to the moment of this profile; milliseconds.
    #[getter]
    fn page_ms(&self) -> f64 {
        guard(0.0, || milliseconds(self.data().page_ns))
    }

    /// The calls that were listed, in order of start.
    #[getter]
    fn spans(&self) -> Vec<Call> {
        guard(Vec::new(), || {
            self.data().spans.iter().map(Call::of).collect()
        })
    }

    /// All calls, listed or not: category → number of calls, in order of first use.
    #[getter]
    fn calls<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let calls = PyDict::new(py);
        for total in &self.data().totals {
            calls.set_item(total.category, total.calls)?;
        }
        Ok(calls)
    }

    /// Time of all calls, listed or not: category → milliseconds, in order of first use.
    #[getter]
    fn times<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let times = PyDict::new(py);
        for total in &self.data().totals {
            times.set_item(total.category, milliseconds(total.time_ns))?;
        }
        Ok(times)
    }

    fn __str__(&self, py: Python<'_>) -> String {
        self.text(py)
    }

    fn __repr__(&self) -> String {
        guard(String::new(), || {
            let data = self.data();
            format!("<Profile {} {} calls>", data.id, data.spans.len())
        })
    }
}

/// A finished request that was kept.
#[pyclass(frozen, get_all, module = "ioprofiler")]
pub(crate) struct Kept {
    /// `slow` or `error`.
    reason: &'static str,
    profile: Py<Profile>,
}

impl Kept {
    pub(crate) fn of(py: Python<'_>, kept: ioprofiler_core::Kept) -> PyResult<Self> {
        Ok(Self {
            reason: kept.reason.as_str(),
            profile: Py::new(py, Profile::of_data(kept.profile))?,
        })
    }
}

#[pymethods]
impl Kept {
    fn __repr__(&self) -> String {
        format!("<Kept {} {}>", self.reason, self.profile.get().id())
    }
}

fn milliseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e6
}

/// One timed call of a profile.
#[pyclass(frozen, get_all, module = "ioprofiler")]
pub(crate) struct Call {
    category: &'static str,
    /// `leaf` or `scope`.
    kind: &'static str,
    target: Option<String>,
    detail: String,
    /// Milliseconds from the request's begin.
    start_ms: f64,
    duration_ms: f64,
    /// `ok`, `error`, `cancelled` or `open`.
    outcome: &'static str,
    rows: Option<u32>,
    hits: Option<u32>,
    misses: Option<u32>,
    bytes: Option<u32>,
    /// Its scope's place in the list.
    parent: Option<u32>,
    /// `file:line` of the application that made the call.
    caller: Option<String>,
    after_answer: bool,
}

impl Call {
    fn of(span: &SpanData) -> Self {
        Self {
            category: span.category,
            kind: match span.kind {
                ioprofiler_core::Kind::Leaf => "leaf",
                ioprofiler_core::Kind::Scope => "scope",
            },
            target: span.target.clone(),
            detail: span.detail.clone(),
            start_ms: milliseconds(span.start_ns),
            duration_ms: milliseconds(span.duration_ns),
            outcome: span.outcome.as_str(),
            rows: span.counts.rows,
            hits: span.counts.hits,
            misses: span.counts.misses,
            bytes: span.counts.bytes,
            parent: span.parent,
            caller: span.caller.map(|caller| caller.to_string()),
            after_answer: span.after_answer,
        }
    }
}

#[pymethods]
impl Call {
    fn __repr__(&self) -> String {
        format!(
            "<Call [{}] {:.3} ms {}>",
            self.category, self.duration_ms, self.detail
        )
    }
}
