//! Flags for Python: decided by name in the request that is current.
//!
//! A name is looked up by the address of its text, as categories are, so that a literal costs no
//! hashing; what was decided once in a request is read back from it.

use crate::current::{self, Held};
use crate::guard::guard;
use crate::live::Live;
use crate::names::Known;
use crate::raw::{again, make_function, positional};
use crate::text::{self, with_bytes};
use ioprofiler_core::Request;
use ioprofiler_core::flags::{DarkEnd, Decision, FlagId, State, Subject};
use ioprofiler_core::handle::{RequestHandle, Site, SpanHandle};
use pyo3::ffi::{self, Py_ssize_t, PyObject};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use std::sync::atomic::{AtomicPtr, Ordering};

static KNOWN: Known = Known::new();

/// Texts of variants, by their number; made once.
static VARIANTS: [AtomicPtr<PyObject>; 256] = [const { AtomicPtr::new(std::ptr::null_mut()) }; 256];

pub(crate) fn initialise(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let functions = [
        (
            "flag",
            positional(
                c"flag",
                flag,
                c"flag(name, default=False, /)\n--\n\nWhether a flag is on for the current request.",
            ),
        ),
        (
            "variant",
            positional(
                c"variant",
                variant,
                c"variant(name, default=False, /)\n--\n\nThe variant of a flag for the current request: on, off, dark or its own.",
            ),
        ),
    ];
    for (name, definition) in functions {
        module.add(name, make_function(module.py(), definition, "ioprofiler")?)?;
    }
    Ok(())
}

/// The flag of a name.
///
/// # Safety
/// The caller is attached, `name` is an object, and no exception is set.
#[inline(always)]
unsafe fn id(name: *mut PyObject) -> FlagId {
    match KNOWN.find(name) {
        Some(number) => FlagId::from_number(u32::from(number)),
        // SAFETY: passed on.
        None => unsafe { new_id(name) },
    }
}

#[cold]
unsafe fn new_id(name: *mut PyObject) -> FlagId {
    // SAFETY: passed on.
    unsafe {
        let found = with_bytes(name, |name| FlagId::intern(&String::from_utf8_lossy(name)));
        if let Ok(number) = u16::try_from(found.number()) {
            KNOWN.keep(name, number);
        }
        found
    }
}

/// What a flag is for what is current; outside a request the default.
///
/// # Safety
/// The caller is attached, and no exception is set.
#[inline(always)]
unsafe fn decide(flag: FlagId, default: bool) -> Decision {
    // SAFETY: passed on.
    unsafe {
        let Some(held) = Held::now() else {
            return RequestHandle::NONE.decide(flag, default);
        };
        let now = held.get();
        if now.live.has_context() {
            take_context(&now.live);
        }
        now.request.decide(flag, default)
    }
}

/// The arguments `name, default`; `None`, with an exception, where they are others.
///
/// # Safety
/// The arguments are those of a METH_FASTCALL function.
#[inline(always)]
unsafe fn arguments(
    arguments: *mut *mut PyObject,
    count: Py_ssize_t,
) -> Option<(*mut PyObject, bool)> {
    // SAFETY: `arguments` has `count` objects.
    unsafe {
        match count {
            1 => Some((*arguments, false)),
            2 => Some((*arguments, ffi::PyObject_IsTrue(*arguments.add(1)) == 1)),
            _ => {
                let message = c"takes a flag's name and a default";
                ffi::PyErr_SetString(ffi::PyExc_TypeError, message.as_ptr());
                None
            }
        }
    }
}

unsafe extern "C" fn flag(
    _: *mut PyObject,
    given: *mut *mut PyObject,
    count: Py_ssize_t,
) -> *mut PyObject {
    // SAFETY: called by CPython as METH_FASTCALL.
    unsafe {
        let Some((name, default)) = arguments(given, count) else {
            return std::ptr::null_mut();
        };
        let on = guard(default, || decide(id(name), default).is_on());
        let answer = if on { ffi::Py_True() } else { ffi::Py_False() };
        again(answer)
    }
}

unsafe extern "C" fn variant(
    _: *mut PyObject,
    given: *mut *mut PyObject,
    count: Py_ssize_t,
) -> *mut PyObject {
    // SAFETY: called by CPython as METH_FASTCALL.
    unsafe {
        let Some((name, default)) = arguments(given, count) else {
            return std::ptr::null_mut();
        };
        guard(std::ptr::null_mut(), || {
            let decision = decide(id(name), default);
            let place = VARIANTS.get(usize::from(decision.variant_number()));
            let known = place.map_or(std::ptr::null_mut(), |place| place.load(Ordering::Acquire));
            if !known.is_null() {
                return again(known);
            }
            let text = PyString::new(Python::assume_attached(), decision.variant()).into_ptr();
            if let Some(place) = place {
                let null = std::ptr::null_mut();
                // Another thread may have made it meanwhile: the reference is for whoever was first.
                if place
                    .compare_exchange(null, text, Ordering::AcqRel, Ordering::Relaxed)
                    .is_ok()
                {
                    again(text);
                }
            }
            text
        })
    }
}

/// Asks the application who this request is about, before its first flag is decided.
#[cold]
fn take_context(live: &Live) {
    let Some(context) = live.take_context() else {
        return;
    };
    // SAFETY: called attached only.
    let py = unsafe { Python::assume_attached() };
    let told = context.bind(py).call0();
    match told {
        Ok(told) => apply(live, &told),
        Err(_) => crate::guard::count_misuse(),
    }
}

fn apply(live: &Live, told: &Bound<'_, PyAny>) {
    let Ok(told) = told.cast::<PyDict>() else {
        return;
    };
    let request = live.request();
    for (name, value) in told.iter() {
        if value.is_none() {
            continue;
        }
        match text::lossy(&name).as_str() {
            "user" => request.set_user(&text::lossy(&value)),
            "visitor" => request.set_visitor(&text::lossy(&value)),
            // One alone is no list of characters.
            "groups" if value.is_instance_of::<PyString>() => {
                request.add_group(&text::lossy(&value));
            }
            "groups" => {
                let Ok(groups) = value.try_iter() else {
                    continue;
                };
                for group in groups.flatten() {
                    request.add_group(&text::lossy(&group));
                }
            }
            name => request.set_attribute(name, &attribute(&value)),
        }
    }
}

/// A value of the evaluation context as text: numbers as all languages write them.
pub(crate) fn attribute(value: &Bound<'_, PyAny>) -> String {
    use pyo3::types::{PyBool, PyFloat};
    if let Ok(truth) = value.cast::<PyBool>() {
        return truth.is_true().to_string();
    }
    match value.cast::<PyFloat>() {
        Ok(number) => ioprofiler_core::flags::number(number.value()),
        Err(_) => text::lossy(value),
    }
}

/// State, variant, reason and group of a decision.
type Told = (
    &'static str,
    &'static str,
    &'static str,
    Option<&'static str>,
);

fn told(decision: Decision) -> Told {
    (
        decision.state().as_str(),
        decision.variant(),
        decision.reason().as_str(),
        decision.group(),
    )
}

/// State, variant, reason and group of a flag for the current request.
#[pyfunction]
pub(crate) fn decide_flag(name: &Bound<'_, PyAny>, default: bool) -> Told {
    // SAFETY: attached, an object, and PyO3 leaves no exception set.
    told(unsafe { decide(id(name.as_ptr()), default) })
}

/// The data of the variant that a flag has for the current request, as JSON.
#[pyfunction]
pub(crate) fn flag_data(py: Python<'_>, name: &str) -> Option<String> {
    let now = current::now(py)?;
    guard(None, || {
        now.get()
            .live
            .request()
            .flag_data(name)
            .map(|data| data.to_string())
    })
}

/// The data of the variant that a flag has for somebody else, as JSON.
#[pyfunction]
pub(crate) fn flag_data_for(
    py: Python<'_>,
    name: &str,
    user: Option<&Bound<'_, PyAny>>,
    visitor: Option<&Bound<'_, PyAny>>,
    groups: Vec<Bound<'_, PyAny>>,
    attributes: Option<&Bound<'_, PyDict>>,
) -> Option<String> {
    let request = current::now(py).map_or_else(Request::none, |now| now.get().live.request());
    Who::of(user, visitor, groups, attributes).ask(|who| {
        request
            .flag_data_for(name, who)
            .map(|data| data.to_string())
    })
}

/// Somebody whom a flag is asked about.
#[derive(Default)]
pub(crate) struct Who {
    user: Option<String>,
    visitor: Option<String>,
    groups: Vec<String>,
    attributes: Vec<(String, String)>,
}

impl Who {
    pub(crate) fn of(
        user: Option<&Bound<'_, PyAny>>,
        visitor: Option<&Bound<'_, PyAny>>,
        groups: Vec<Bound<'_, PyAny>>,
        attributes: Option<&Bound<'_, PyDict>>,
    ) -> Self {
        let pairs = attributes.into_iter().flat_map(|pairs| pairs.iter());
        Self {
            user: user.map(text::lossy),
            visitor: visitor.map(text::lossy),
            groups: groups.iter().map(text::lossy).collect(),
            attributes: pairs
                .map(|(name, value)| (text::lossy(&name), attribute(&value)))
                .collect(),
        }
    }

    /// What `decide` gives for them.
    pub(crate) fn decide(&self, decide: impl FnOnce(&Subject<'_>) -> Decision) -> Told {
        told(self.ask(decide))
    }

    /// What a question about them gives.
    pub(crate) fn ask<R>(&self, question: impl FnOnce(&Subject<'_>) -> R) -> R {
        let groups: Vec<&str> = self.groups.iter().map(String::as_str).collect();
        let attributes: Vec<(&str, &str)> = self
            .attributes
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let subject = Subject::NOBODY
            .with_user(self.user.as_deref().unwrap_or_default())
            .with_visitor(self.visitor.as_deref().unwrap_or_default())
            .in_groups(&groups)
            .with_attributes(&attributes);
        question(&subject)
    }
}

/// As `decide_flag`, about somebody else than the current request's own.
#[pyfunction]
pub(crate) fn decide_flag_for(
    py: Python<'_>,
    name: &str,
    default: bool,
    user: Option<&Bound<'_, PyAny>>,
    visitor: Option<&Bound<'_, PyAny>>,
    groups: Vec<Bound<'_, PyAny>>,
    attributes: Option<&Bound<'_, PyDict>>,
) -> Told {
    let request = current::now(py).map_or(RequestHandle::NONE, |now| now.get().request);
    Who::of(user, visitor, groups, attributes)
        .decide(|who| request.decide_for(FlagId::intern(name), who, default))
}

/// Dark work that was begun.
#[pyclass(frozen, module = "ioprofiler._native")]
pub(crate) struct Dark {
    request: RequestHandle,
    span: SpanHandle,
    scope: Option<Py<current::Current>>,
}

/// Begins a flag's dark work; `None` where it is not dark, and the work is not to be run.
#[pyfunction]
pub(crate) fn dark_begin(py: Python<'_>, name: &Bound<'_, PyAny>) -> PyResult<Option<Dark>> {
    // SAFETY: attached, an object, and PyO3 leaves no exception set.
    let flag = unsafe {
        let flag = id(name.as_ptr());
        if decide(flag, false).state() != State::Dark {
            return Ok(None);
        }
        flag
    };
    let Some(now) = current::now(py) else {
        return Ok(None);
    };
    let (request, parent) = (now.get().request, now.get().parent);
    let Some(span) = request.dark_begin(flag, parent, Site::NONE) else {
        return Ok(None);
    };
    let scope = if span == SpanHandle::NONE {
        None
    } else {
        let inside = now.get().inside(span, now.clone_ref(py));
        Some(current::enter(py, inside)?)
    };
    Ok(Some(Dark {
        request,
        span,
        scope,
    }))
}

/// Ends it: `ok`, or `error` where it raised.
#[pyfunction]
pub(crate) fn dark_end(py: Python<'_>, dark: &Bound<'_, Dark>, failed: bool) {
    let dark = dark.get();
    let end = if failed { DarkEnd::Error } else { DarkEnd::Ok };
    guard((), || dark.request.dark_end(dark.span, end));
    if let Some(scope) = &dark.scope {
        current::leave(scope.bind(py));
    }
}
