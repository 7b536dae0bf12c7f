//! Notes for Python, and the logs that they are written into.

use crate::current::{self, Held};
use crate::guard::{count_misuse, guard};
use crate::raw::{keywords, make_function, none};
use crate::text;
use ioprofiler_core::{
    AccessLog, LogFormat, NoteFormat, NoteValue, ProfilerBuilder, Request, render,
};
use pyo3::ffi::{self, Py_ssize_t, PyObject};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyString};

pub(crate) fn initialise(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let doc = c"note(**notes)\n--\n\nNamed values of the current request, for its line in the log.";
    let function = make_function(module.py(), keywords(c"note", note, doc), "ioprofiler")?;
    module.add("note", function)
}

unsafe extern "C" fn note(
    _: *mut PyObject,
    arguments: *const *mut PyObject,
    count: Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython as METH_FASTCALL | METH_KEYWORDS.
    unsafe {
        if count != 0 {
            let message = c"note() takes notes by name: note(user_id=5020244)";
            ffi::PyErr_SetString(ffi::PyExc_TypeError, message.as_ptr());
            return std::ptr::null_mut();
        }
        guard((), || {
            if names.is_null() {
                return;
            }
            let Some(held) = Held::now() else { return };
            let request = held.get().live.request();
            let py = Python::assume_attached();
            for index in 0..ffi::PyTuple_Size(names).max(0) {
                let name = Borrowed::from_ptr(py, ffi::PyTuple_GetItem(names, index));
                let value = Borrowed::from_ptr(py, *arguments.add(index as usize));
                set(&request, &name, &value);
            }
        });
        none()
    }
}

/// Sets a note; what is neither text, number nor truth becomes the text that `str` makes of it.
pub(crate) fn set(request: &Request, name: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) {
    let name = text::lossy(name);
    if let Ok(truth) = value.cast::<PyBool>() {
        request.note(&name, truth.is_true());
    } else if value.cast::<PyInt>().is_ok() {
        match (value.extract::<i64>(), value.extract::<u64>()) {
            (Ok(number), _) => request.note(&name, number),
            (_, Ok(number)) => request.note(&name, number),
            _ => request.note(&name, text::lossy(value).as_str()),
        }
    } else if let Ok(number) = value.cast::<PyFloat>() {
        request.note(&name, number.value());
    } else if value.is_none() {
        // What is not known is not noted.
        count_misuse();
    } else {
        request.note(&name, text::lossy(value).as_str());
    }
}

/// The current request's notes so far, by name.
#[pyfunction]
pub(crate) fn current_notes<'py>(py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
    let notes = PyDict::new(py);
    let Some(now) = current::now(py) else {
        return Ok(notes);
    };
    for note in guard(Vec::new(), || now.get().live.request().notes()) {
        match note.value {
            NoteValue::Integer(number) => notes.set_item(note.name, number)?,
            NoteValue::Large(number) => notes.set_item(note.name, number)?,
            NoteValue::Float(number) => notes.set_item(note.name, number)?,
            NoteValue::Bool(truth) => notes.set_item(note.name, truth)?,
            NoteValue::Text(text) => notes.set_item(note.name, PyString::new(py, &text))?,
            _ => {}
        }
    }
    Ok(notes)
}

/// What the options say about logs, each already a text or absent.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Logs {
    access_log: Option<String>,
    access_log_format: String,
    access_log_time_zone: Option<String>,
    access_log_server_name: Option<String>,
    access_log_details: String,
    note_format: Option<String>,
    note_max_bytes: Option<usize>,
}

impl Logs {
    /// # Errors
    /// With the option's name and what is allowed.
    pub(crate) fn configure(self, mut builder: ProfilerBuilder) -> Result<ProfilerBuilder, String> {
        if let Some(note) = &self.note_format {
            let mut format =
                NoteFormat::parse(note).map_err(|error| format!("note_format: {error}"))?;
            if let Some(most) = self.note_max_bytes {
                format = format.max_bytes(most).map_err(|error| error.to_string())?;
            }
            builder = builder.note_format(format);
        }
        if let Some(log) = &self.access_log {
            let format = self.format()?;
            builder = builder.access_log(match log.as_str() {
                "host" => AccessLog::by_host(format),
                "stdout" => AccessLog::stdout(format),
                "stderr" => AccessLog::stderr(format),
                path => AccessLog::file(path, format),
            });
        }
        Ok(builder)
    }

    fn format(&self) -> Result<LogFormat, String> {
        let wrong = |error: ioprofiler_core::Error| format!("access_log_format: {error}");
        let mut format = LogFormat::parse(&self.access_log_format).map_err(wrong)?;
        if let Some(zone) = &self.access_log_time_zone {
            format = format
                .time_zone(zone)
                .map_err(|error| format!("access_log_{error}"))?;
        }
        if let Some(server) = &self.access_log_server_name {
            format = format.server_name(server);
        }
        match self.access_log_details.as_str() {
            "fingerprint" => Ok(format.details(render::Details::Fingerprint)),
            "full" => Ok(format.details(render::Details::Full)),
            other => Err(format!(
                "access_log_details: {other:?} is not one of \"fingerprint\", \"full\""
            )),
        }
    }
}
