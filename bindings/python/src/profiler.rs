//! The instance, for Python: options in, requests out.

use crate::flags::Who;
use crate::guard::{self, guard};
use crate::live::Live;
use crate::metrics;
use crate::notes::Logs;
use crate::profile::{Kept, Profile};
use crate::request::{Request, facts_of_kind, seconds};
use crate::text;
use crate::visit::{Visit, now};
use ioprofiler_core::gate::SecretFile;
use ioprofiler_core::profile::Hook;
use ioprofiler_core::{Clock, Gate, LogEvent, ProfilerBuilder, Record};
use pyo3::create_exception;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

create_exception!(
    ioprofiler,
    OptionError,
    PyValueError,
    "A wrong option: which one, what was given, what is allowed."
);

/// More events than this do not wait for somebody to fetch them.
const MAX_EVENTS: usize = 64;

/// What went wrong, until Python fetches it: the collector's thread never calls Python.
#[derive(Default)]
struct Events {
    any: AtomicBool,
    waiting: Mutex<Vec<(String, String)>>,
}

impl Events {
    fn push(&self, kind: &str, message: &str) {
        // Not waited for: whoever fetches holds it for a moment.
        if let Ok(mut waiting) = self.waiting.try_lock()
            && waiting.len() < MAX_EVENTS
        {
            waiting.push((kind.to_owned(), message.to_owned()));
            self.any.store(true, Ordering::Release);
        }
    }

    fn take(&self) -> Vec<(String, String)> {
        if !self.any.swap(false, Ordering::AcqRel) {
            return Vec::new();
        }
        self.waiting
            .try_lock()
            .map(|mut waiting| std::mem::take(&mut *waiting))
            .unwrap_or_default()
    }
}

/// The profiler behind `ioprofiler.Profiler`.
#[pyclass(frozen, module = "ioprofiler._native")]
pub(crate) struct Profiler {
    pub(crate) core: ioprofiler_core::Profiler,
    events: Arc<Events>,
}

fn wrong(error: impl std::fmt::Display) -> PyErr {
    OptionError::new_err(error.to_string())
}

#[pymethods]
impl Profiler {
    /// All options, checked and named in the public package.
    #[new]
    #[pyo3(signature = (*, record, gate, gate_secrets, gate_secret_files, gate_parameter, build_id,
        max_spans, max_detail_bytes, max_memory, max_live_requests, request_ttl, job_ttl,
        threadless, manual_clock, logs, flags, state_dir, flags_required,
        config_file, config, metrics))]
    #[expect(clippy::too_many_arguments, reason = "options, all by name")]
    fn new(
        record: &str,
        gate: &str,
        gate_secrets: Vec<Vec<u8>>,
        gate_secret_files: Vec<String>,
        gate_parameter: Option<&str>,
        build_id: Option<String>,
        max_spans: u32,
        max_detail_bytes: u32,
        max_memory: usize,
        max_live_requests: u32,
        request_ttl: f64,
        job_ttl: f64,
        threadless: bool,
        manual_clock: bool,
        logs: Logs,
        flags: Vec<PathBuf>,
        state_dir: Option<PathBuf>,
        flags_required: bool,
        config_file: Option<PathBuf>,
        config: Option<&str>,
        metrics: Option<bool>,
    ) -> PyResult<Self> {
        let events = Arc::new(Events::default());
        let heard = Arc::clone(&events);
        let gate = make_gate(
            gate,
            gate_secrets,
            &gate_secret_files,
            gate_parameter,
            &events,
        )?;
        let mut builder = ProfilerBuilder::default();
        // First: what is said in code is said more plainly.
        if let Some(path) = config_file {
            builder = builder.config_file(path);
        }
        if let Some(json) = config {
            builder = builder.config_json(json);
        }
        if let Some(wanted) = metrics {
            builder = builder.metrics(wanted);
        }
        let builder = logs.configure(builder).map_err(wrong)?;
        let build = || -> Result<_, ioprofiler_core::Error> {
            let mut builder = builder
                .record(Record::parse(record)?)
                .gate(gate)
                .max_spans(max_spans)
                .max_detail_bytes(max_detail_bytes)
                .max_memory(max_memory)
                .max_live_requests(max_live_requests)
                .request_ttl(seconds(request_ttl))
                .job_ttl(seconds(job_ttl))
                .threadless(threadless)
                .on_log(move |event: &LogEvent| heard.push(event.kind, &event.message));
            builder = builder.flags(flags).flags_required(flags_required);
            if let Some(folder) = state_dir {
                builder = builder.state_dir(folder);
            }
            if let Some(build_id) = build_id {
                builder = builder.build_id(build_id);
            }
            if manual_clock {
                builder = builder.clock(Clock::Manual);
            }
            builder.build()
        };
        let core = build().map_err(wrong)?;
        Ok(Self { core, events })
    }

    /// A job or a command, by its name.
    fn begin(&self, kind: &str, name: &Bound<'_, PyAny>, asked: bool) -> Request {
        let request = guard(ioprofiler_core::Request::none(), || {
            self.core
                .begin(&facts_of_kind(kind, &text::lossy(name)).asked(asked))
        });
        Request::new(Arc::new(Live::new(request, asked)))
    }

    /// A request of a WSGI server.
    fn visit_wsgi(&self, environ: &Bound<'_, PyDict>, has_callable: bool) -> PyResult<Visit> {
        Visit::of_wsgi(&self.core, environ, has_callable)
    }

    /// A request of an ASGI server.
    fn visit_asgi(&self, scope: &Bound<'_, PyDict>, has_callable: bool) -> PyResult<Visit> {
        Visit::of_asgi(&self.core, scope, has_callable)
    }

    /// State, variant, reason and group of a flag for somebody, outside any request.
    fn decide(
        &self,
        name: &str,
        default: bool,
        user: Option<&Bound<'_, PyAny>>,
        visitor: Option<&Bound<'_, PyAny>>,
        groups: Vec<Bound<'_, PyAny>>,
        attributes: Option<&Bound<'_, PyDict>>,
    ) -> (
        &'static str,
        &'static str,
        &'static str,
        Option<&'static str>,
    ) {
        Who::of(user, visitor, groups, attributes)
            .decide(|who| self.core.flags().decide(name, who, default))
    }

    /// The data of the variant that a flag has for somebody, outside any request, as JSON.
    fn flag_data(
        &self,
        name: &str,
        user: Option<&Bound<'_, PyAny>>,
        visitor: Option<&Bound<'_, PyAny>>,
        groups: Vec<Bound<'_, PyAny>>,
        attributes: Option<&Bound<'_, PyDict>>,
    ) -> Option<String> {
        let flags = self.core.flags();
        Who::of(user, visitor, groups, attributes)
            .ask(|who| flags.data(flags.decide(name, who, false)))
            .map(|data| data.to_string())
    }

    /// Says that a library is hooked.
    fn hooked(&self, name: &str) {
        guard((), || self.core.hook(Hook::hooked(name)));
    }

    /// Says that a library was seen and is not hooked, and what to do.
    fn seen(&self, name: &str, hint: &str) {
        guard((), || self.core.hook(Hook::seen(name, hint)));
    }

    /// The gate's ways in, as the option is written.
    #[getter]
    fn gate(&self) -> String {
        self.core.gate().to_string()
    }

    /// The query's parameter that asks.
    #[getter]
    fn parameter(&self) -> String {
        self.core.gate().parameter_name().to_owned()
    }

    /// `always`, `asked` or `off`.
    #[getter]
    fn record(&self) -> String {
        format!("{:?}", self.core.record()).to_lowercase()
    }

    fn set_record(&self, record: &str) -> PyResult<()> {
        self.core.set_record(Record::parse(record).map_err(wrong)?);
        Ok(())
    }

    fn disable(&self) {
        guard((), || self.core.disable());
    }

    fn enable(&self) {
        guard((), || self.core.enable());
    }

    /// A token for this person and host: itself, its `Set-Cookie` value, and its end.
    fn grant(
        &self,
        who: &str,
        host: &str,
        life: u64,
        https: bool,
    ) -> PyResult<(String, String, u64)> {
        let token = self
            .core
            .gate()
            .grant(who, host, life, now())
            .map_err(wrong)?;
        Ok((
            token.as_str().to_owned(),
            token.set_cookie(https),
            token.expires(),
        ))
    }

    /// Requests that live now; their calls are those that are open.
    fn in_flight(&self, py: Python<'_>) -> Vec<Profile> {
        py.detach(|| guard(Vec::new(), || self.core.in_flight()))
            .into_iter()
            .map(|data| Profile::of_data(Arc::new(data)))
            .collect()
    }

    /// Finished requests that are kept.
    fn kept(&self, py: Python<'_>) -> PyResult<Vec<Kept>> {
        py.detach(|| guard(Vec::new(), || self.core.kept()))
            .into_iter()
            .map(|kept| Kept::of(py, kept))
            .collect()
    }

    /// Everything that was counted, as JSON.
    fn series(&self, py: Python<'_>) -> String {
        let json = || serde_json::to_string(&self.core.series()).ok();
        let json = py.detach(|| guard(None, json));
        json.unwrap_or_else(|| "[]".to_owned())
    }

    /// Status, content type and body of a scrape.
    fn prometheus<'py>(
        &self,
        py: Python<'py>,
        accept: &str,
    ) -> (u16, &'static str, Bound<'py, PyBytes>) {
        let scrape = py.detach(|| guard(None, || Some(self.core.prometheus(accept))));
        let (status, content_type, body) = match &scrape {
            Some(scrape) => (scrape.status, scrape.content_type, scrape.body.as_str()),
            None => (503, "text/plain; charset=utf-8", "a panic of ioprofiler\n"),
        };
        (status, content_type, PyBytes::new(py, body.as_bytes()))
    }

    /// `count`, `gauge` and `timing` of this profiler, as functions.
    #[getter]
    fn meters<'py>(slf: &Bound<'py, Self>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        metrics::of_profiler(slf)
    }

    /// The functions of the package mean this profiler from now on.
    fn make_main(&self) {
        metrics::make_main(&self.core);
    }

    /// Says that something was done to the site.
    #[pyo3(signature = (what, who=None, why=None))]
    fn event(
        &self,
        what: &Bound<'_, PyAny>,
        who: Option<&Bound<'_, PyAny>>,
        why: Option<&Bound<'_, PyAny>>,
    ) {
        let event = metrics::own_event(what, who, why);
        guard((), || self.core.event(event));
    }

    /// Says that a version went live.
    #[pyo3(signature = (version, who=None, what=None))]
    fn deploy(
        &self,
        version: &Bound<'_, PyAny>,
        who: Option<&Bound<'_, PyAny>>,
        what: Option<&Bound<'_, PyAny>>,
    ) {
        let event = metrics::deploy_event(version, who, what);
        guard((), || self.core.event(event));
    }

    /// The folder that processes share, wherever it was said.
    #[getter]
    fn state_dir(&self) -> Option<PathBuf> {
        self.core.state_dir().map(Into::into)
    }

    /// Whether answers' headers are wanted for a log: `Visit.leaving`.
    #[getter]
    fn wants_answer_headers(&self) -> bool {
        !self.core.wanted_headers().answer.is_empty()
    }

    /// Whether there is a compact note.
    #[getter]
    fn has_note(&self) -> bool {
        self.core.note_format().is_some()
    }

    /// The line of a profile in the access log, for hosts that write it themselves.
    fn log_line(&self, profile: &Profile) -> Option<String> {
        guard(None, || self.core.log_line(profile.of_request_or_none()?))
    }

    /// Looks at the flags' files now; gives what is wrong with them.
    fn reload_flags(&self, py: Python<'_>) -> Vec<String> {
        py.detach(|| guard(Vec::new(), || self.core.reload_flags()))
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    /// Opens the files of access logs again.
    fn reopen_logs(&self) {
        guard((), || self.core.reopen_logs());
    }

    /// Counters, by name.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let stats = self.core.stats();
        let all = PyDict::new(py);
        for (name, value) in [
            ("begun", stats.begun),
            ("finished", stats.finished),
            ("aborted", stats.aborted),
            ("abandoned", stats.abandoned),
            ("live", stats.live),
            ("memory", stats.memory),
            ("refused_live", stats.refused_live),
            ("refused_memory", stats.refused_memory),
            ("unlisted", stats.unlisted),
            ("untimed", stats.untimed),
            ("calls_outside", stats.calls_outside),
            ("late_spans", stats.late_spans),
            ("stale_handles", stats.stale_handles),
            ("busy", stats.busy),
            ("lost_facts", stats.lost_facts),
            ("categories_overflowed", stats.categories_overflowed),
            ("queued", stats.queued),
            ("queue_dropped", stats.queue_dropped),
            ("panics", stats.panics + guard::panics()),
            ("misuses", guard::misuses()),
            ("lost_notes", stats.lost_notes),
            ("log_written", stats.log_written),
            ("log_dropped", stats.log_dropped),
            ("log_failed", stats.log_failed),
            ("log_cut", stats.log_cut),
            ("exposures_unlisted", stats.exposures_unlisted),
            ("dark_runs", stats.dark_runs),
            ("dark_errors", stats.dark_errors),
            ("flags_version", stats.flags.version),
            ("flags_looked_at", stats.flags.looked_at),
            ("flags_changed_at", stats.flags.changed_at),
            ("flags_reloads", stats.flags.reloads),
            ("flags_errors", stats.flags.errors),
        ] {
            all.set_item(name, value)?;
        }
        let refused = PyDict::new(py);
        for (reason, count) in &stats.refused {
            refused.set_item(reason.as_str(), count)?;
        }
        all.set_item("refused", refused)?;
        let sinks = PyList::empty(py);
        for sink in &stats.sinks {
            let one = PyDict::new(py);
            one.set_item("name", sink.name)?;
            one.set_item("produced", sink.produced)?;
            one.set_item("sent", sink.sent)?;
            one.set_item("dropped", sink.dropped)?;
            one.set_item("failures", sink.failures)?;
            one.set_item("why", &sink.why)?;
            sinks.append(one)?;
        }
        all.set_item("sinks", sinks)?;
        Ok(all)
    }

    /// What went wrong since the last look: kind and message.
    fn events(&self) -> Vec<(String, String)> {
        guard(Vec::new(), || self.events.take())
    }

    fn flush(&self, py: Python<'_>, within: f64) -> bool {
        py.detach(|| guard(false, || self.core.flush(seconds(within))))
    }

    fn shutdown(&self, py: Python<'_>, within: f64) -> bool {
        py.detach(|| guard(false, || self.core.shutdown(seconds(within))))
    }
}

fn make_gate(
    ways: &str,
    mut secrets: Vec<Vec<u8>>,
    files: &[String],
    parameter: Option<&str>,
    events: &Events,
) -> PyResult<Gate> {
    for file in files {
        let file = SecretFile::read(file).map_err(wrong)?;
        if let Some(warning) = file.warning() {
            events.push("gate", warning);
        }
        secrets.push(file.secret().to_vec());
    }
    let gate = Gate::parse(ways, &secrets).map_err(wrong)?;
    match parameter {
        Some(parameter) => gate.parameter(parameter).map_err(wrong),
        None => Ok(gate),
    }
}

/// Moves the clock of a profiler that was made with `manual_clock`: for tests.
#[pyfunction]
pub(crate) fn advance_clock(by: f64) {
    Clock::advance(Duration::try_from_secs_f64(by.max(0.0)).unwrap_or(Duration::ZERO));
}
