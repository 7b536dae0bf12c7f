//! Numbers of the application's own, for Python: `count`, `gauge` and `timing`, as functions of one
//! profiler and as functions that mean the profiler of the process; and events likewise.
//!
//! The three are made by hand like spans: they stand in every page. A wrong value never raises; it is counted as
//! misuse. Only a call with wrong arguments is an error, as of any function.

use crate::guard::{count_misuse, guard};
use crate::profiler::Profiler;
use crate::raw::{keywords, make_function, make_method, none};
use crate::text;
use ioprofiler_core::{Event, EventKind, MetricName};
use pyo3::ffi::{self, Py_ssize_t, PyObject};
use pyo3::prelude::*;
use pyo3::types::PyString;
use std::borrow::Cow;
use std::ffi::CStr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::Duration;

type Core = ioprofiler_core::Profiler;

/// The profiler that the functions mean. Never freed: a profiler never is.
static MAIN: AtomicPtr<Core> = AtomicPtr::new(std::ptr::null_mut());

/// Makes a profiler the one that the functions of the package mean.
pub(crate) fn make_main(profiler: &Core) {
    MAIN.store(Box::into_raw(Box::new(profiler.clone())), Ordering::Release);
}

/// The profiler that the functions of the package mean.
pub(crate) fn main() -> Option<&'static Core> {
    // SAFETY: null, or a box that was leaked.
    unsafe { MAIN.load(Ordering::Acquire).as_ref() }
}

/// What the three have in common: name in Python, function, documentation.
fn definitions() -> [(&'static str, ffi::PyMethodDef); 3] {
    [
        (
            "count",
            keywords(
                c"count",
                count,
                c"count(name, /, by=1, **labels)\n--\n\nAdds to a counter of the application's own.",
            ),
        ),
        (
            "gauge",
            keywords(
                c"gauge",
                gauge,
                c"gauge(name, /, value, **labels)\n--\n\nSets a gauge of the application's own.",
            ),
        ),
        (
            "timing",
            keywords(
                c"timing",
                timing,
                c"timing(name, /, duration, **labels)\n--\n\nCounts a duration, in seconds or as a timedelta.",
            ),
        ),
    ]
}

pub(crate) fn initialise(module: &Bound<'_, PyModule>) -> PyResult<()> {
    for (name, definition) in definitions() {
        module.add(name, make_function(module.py(), definition, "ioprofiler")?)?;
    }
    Ok(())
}

/// The three as functions of one profiler.
pub(crate) fn of_profiler<'py>(
    profiler: &Bound<'py, Profiler>,
) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let bound = |(_, definition)| make_method(profiler.as_any(), definition);
    definitions().into_iter().map(bound).collect()
}

/// Arguments of one call.
struct Given {
    name: *mut PyObject,
    /// Null where it was left out.
    value: *mut PyObject,
    names: *mut PyObject,
    /// Those that stand by name.
    labels: *const *mut PyObject,
    /// The label that was the value's own name.
    not_a_label: Py_ssize_t,
}

impl Given {
    /// `None`, with an exception, where the arguments are others.
    ///
    /// # Safety
    /// They are those of a METH_FASTCALL | METH_KEYWORDS function.
    #[inline(always)]
    unsafe fn of(
        arguments: *const *mut PyObject,
        count: Py_ssize_t,
        names: *mut PyObject,
        value_name: &CStr,
    ) -> Option<Self> {
        // SAFETY: `arguments` has `count` objects, and one for each name.
        unsafe {
            if !(1..=2).contains(&count) {
                return refuse(c"takes a name and a value, and labels by name");
            }
            let mut given = Self {
                name: *arguments,
                value: if count == 2 {
                    *arguments.add(1)
                } else {
                    std::ptr::null_mut()
                },
                names,
                labels: arguments.offset(count),
                not_a_label: -1,
            };
            if !names.is_null() {
                given.find_value(value_name)?;
            }
            Some(given)
        }
    }

    /// The value may be given by its name.
    unsafe fn find_value(&mut self, value_name: &CStr) -> Option<()> {
        // SAFETY: attached, by the caller's promise; there is an argument for each name.
        unsafe {
            for index in 0..ffi::PyTuple_Size(self.names).max(0) {
                let name = ffi::PyTuple_GetItem(self.names, index);
                if ffi::PyUnicode_CompareWithASCIIString(name, value_name.as_ptr()) != 0 {
                    continue;
                }
                if !self.value.is_null() {
                    return refuse(c"the value is given twice");
                }
                self.value = *self.labels.offset(index);
                self.not_a_label = index;
            }
        }
        Some(())
    }

    /// Runs something with the metric's name, its labels included.
    ///
    /// # Safety
    /// The caller is attached, and no exception is set.
    #[inline(always)]
    unsafe fn with_name(&self, then: impl FnOnce(&str)) {
        // SAFETY: passed on.
        unsafe {
            let name = utf8(self.name);
            if self.names.is_null() {
                then(&name);
            } else {
                then(self.labelled(&name).as_str());
            }
        }
    }

    unsafe fn labelled(&self, name: &str) -> MetricName {
        // SAFETY: as in `find_value`. Names and values live as long as this call.
        unsafe {
            let indexes = 0..ffi::PyTuple_Size(self.names).max(0);
            let labels: Vec<(Cow<'_, str>, Cow<'_, str>)> = indexes
                .filter(|index| *index != self.not_a_label)
                .map(|index| {
                    let label = ffi::PyTuple_GetItem(self.names, index);
                    (utf8(label), utf8(*self.labels.offset(index)))
                })
                .collect();
            let labels = labels.iter().map(|(label, value)| (&**label, &**value));
            MetricName::new(name, labels)
        }
    }
}

#[cold]
fn refuse<T>(why: &CStr) -> Option<T> {
    // SAFETY: called attached only.
    unsafe { ffi::PyErr_SetString(ffi::PyExc_TypeError, why.as_ptr()) };
    None
}

/// The text of a `str`; of anything else what `str` makes of it.
///
/// # Safety
/// The caller is attached, no exception is set, and the object lives as long as the text.
#[inline(always)]
unsafe fn utf8<'a>(object: *mut PyObject) -> Cow<'a, str> {
    // SAFETY: passed on. What CPython gives is UTF-8, and is kept as long as its text.
    unsafe {
        if ffi::PyUnicode_Check(object) != 0 {
            let mut length: Py_ssize_t = 0;
            let data = ffi::PyUnicode_AsUTF8AndSize(object, &raw mut length);
            if !data.is_null() {
                let bytes = std::slice::from_raw_parts(data.cast::<u8>(), length as usize);
                return Cow::Borrowed(std::str::from_utf8_unchecked(bytes));
            }
            ffi::PyErr_Clear();
        }
        let object = Bound::from_borrowed_ptr(Python::assume_attached(), object);
        Cow::Owned(label_text(&object))
    }
}

/// Truth as all languages write it.
#[cold]
fn label_text(object: &Bound<'_, PyAny>) -> String {
    if object.is_none() {
        return String::new();
    }
    if object.is_instance_of::<PyString>() {
        return text::lossy(object);
    }
    crate::flags::attribute(object)
}

/// Whose function this is: of one profiler, or of the process's.
///
/// # Safety
/// `bound` is null or a `Profiler`.
#[inline(always)]
unsafe fn profiler<'a>(bound: *mut PyObject) -> Option<&'a Core> {
    if bound.is_null() {
        return main();
    }
    // SAFETY: `of_profiler` binds to nothing else; the function holds it, and the class is frozen.
    unsafe {
        let bound = Bound::ref_from_ptr(Python::assume_attached(), &bound);
        Some(&*std::ptr::from_ref(
            &bound.cast_unchecked::<Profiler>().get().core,
        ))
    }
}

unsafe extern "C" fn count(
    bound: *mut PyObject,
    arguments: *const *mut PyObject,
    count: Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython as METH_FASTCALL | METH_KEYWORDS; likewise below.
    unsafe {
        let Some(given) = Given::of(arguments, count, names, c"by") else {
            return std::ptr::null_mut();
        };
        guard((), || {
            let by = if given.value.is_null() {
                1
            } else {
                ffi::PyLong_AsLongLong(given.value)
            };
            let (Ok(by), Some(profiler)) = (u64::try_from(by), profiler(bound)) else {
                return not_a_number();
            };
            given.with_name(|name| profiler.count(name, by));
        });
        none()
    }
}

unsafe extern "C" fn gauge(
    bound: *mut PyObject,
    arguments: *const *mut PyObject,
    count: Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: as in `count`.
    unsafe {
        let Some(given) = Given::of(arguments, count, names, c"value") else {
            return std::ptr::null_mut();
        };
        if given.value.is_null() {
            refuse::<()>(c"gauge() takes a value");
            return std::ptr::null_mut();
        }
        guard((), || {
            let value = ffi::PyFloat_AsDouble(given.value);
            let failed = value == -1.0 && !ffi::PyErr_Occurred().is_null();
            match profiler(bound) {
                Some(profiler) if !failed => {
                    given.with_name(|name| profiler.gauge(name, value));
                }
                _ => not_a_number(),
            }
        });
        none()
    }
}

unsafe extern "C" fn timing(
    bound: *mut PyObject,
    arguments: *const *mut PyObject,
    count: Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: as in `count`.
    unsafe {
        let Some(given) = Given::of(arguments, count, names, c"duration") else {
            return std::ptr::null_mut();
        };
        if given.value.is_null() {
            refuse::<()>(c"timing() takes a duration, in seconds or as a timedelta");
            return std::ptr::null_mut();
        }
        guard((), || match (duration(given.value), profiler(bound)) {
            (Some(duration), Some(profiler)) => {
                given.with_name(|name| profiler.timing(name, duration));
            }
            _ => not_a_number(),
        });
        none()
    }
}

/// Seconds, or a timedelta.
///
/// # Safety
/// The caller is attached, and no exception is set.
#[inline(always)]
unsafe fn duration(object: *mut PyObject) -> Option<Duration> {
    // SAFETY: passed on.
    let seconds = unsafe { seconds(object)? };
    Duration::try_from_secs_f64(seconds).ok()
}

/// The seconds of a number, or of a timedelta.
///
/// # Safety
/// As [`duration`].
#[inline(always)]
pub(crate) unsafe fn seconds(object: *mut PyObject) -> Option<f64> {
    // SAFETY: passed on.
    unsafe {
        let seconds = ffi::PyFloat_AsDouble(object);
        if seconds == -1.0 && !ffi::PyErr_Occurred().is_null() {
            ffi::PyErr_Clear();
            let object = Bound::from_borrowed_ptr(Python::assume_attached(), object);
            let told = object.call_method0("total_seconds").ok()?;
            return told.extract().ok();
        }
        Some(seconds)
    }
}

/// No number, or no profiler yet: nothing is counted but that.
#[cold]
pub(crate) fn not_a_number() {
    // SAFETY: called attached only. What the conversion raised is not the host's.
    unsafe { ffi::PyErr_Clear() };
    count_misuse();
}

pub(crate) fn own_event(
    what: &Bound<'_, PyAny>,
    who: Option<&Bound<'_, PyAny>>,
    why: Option<&Bound<'_, PyAny>>,
) -> Event {
    let mut event = Event::new(EventKind::Own, &text::lossy(what));
    if let Some(who) = who {
        event = event.who(&text::lossy(who));
    }
    if let Some(why) = why {
        event = event.why(&text::lossy(why));
    }
    event
}

pub(crate) fn deploy_event(
    version: &Bound<'_, PyAny>,
    who: Option<&Bound<'_, PyAny>>,
    what: Option<&Bound<'_, PyAny>>,
) -> Event {
    let mut event = Event::deploy(&text::lossy(version));
    if let Some(who) = who {
        event = event.who(&text::lossy(who));
    }
    if let Some(what) = what {
        event = event.what(&text::lossy(what));
    }
    event
}

fn tell_main(event: Event) {
    guard((), || match main() {
        Some(profiler) => profiler.event(event),
        None => count_misuse(),
    });
}

/// `event` of the profiler that the functions of the package mean.
#[pyfunction]
#[pyo3(signature = (what, *, who=None, why=None))]
pub(crate) fn event(
    what: &Bound<'_, PyAny>,
    who: Option<&Bound<'_, PyAny>>,
    why: Option<&Bound<'_, PyAny>>,
) {
    tell_main(own_event(what, who, why));
}

/// `deploy` of the profiler that the functions of the package mean.
#[pyfunction]
#[pyo3(signature = (version, *, who=None, what=None))]
pub(crate) fn deploy(
    version: &Bound<'_, PyAny>,
    who: Option<&Bound<'_, PyAny>>,
    what: Option<&Bound<'_, PyAny>>,
) {
    tell_main(deploy_event(version, who, what));
}
