//! What is said of a call after its begin: counts, target, another detail, that it failed.

use crate::guard::{count_misuse, guard};
use crate::raw::again;
use crate::span::{fail, open_call};
use crate::text::with_bytes;
use ioprofiler_core::handle::SpanHandle;
use pyo3::ffi::{self, PyObject};

/// Sets a count of an open call; what is no count changes nothing.
unsafe fn count(
    object: *mut PyObject,
    count: *mut PyObject,
    set: fn(SpanHandle, u32),
) -> *mut PyObject {
    // SAFETY: called with an object of this type and an object, attached.
    unsafe {
        guard((), || {
            let number = ffi::PyLong_AsLongLong(count);
            if number == -1 && !ffi::PyErr_Occurred().is_null() {
                ffi::PyErr_Clear();
                count_misuse();
                return;
            }
            // Drivers say -1 where they do not know.
            if let Ok(number) = u64::try_from(number) {
                let span = open_call(object);
                set(span, u32::try_from(number).unwrap_or(u32::MAX));
            }
        });
        again(object)
    }
}

pub(crate) unsafe extern "C" fn rows(
    object: *mut PyObject,
    number: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython as METH_O; likewise below.
    unsafe { count(object, number, SpanHandle::rows) }
}

pub(crate) unsafe extern "C" fn hits(
    object: *mut PyObject,
    number: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: as in `rows`.
    unsafe { count(object, number, SpanHandle::hits) }
}

pub(crate) unsafe extern "C" fn misses(
    object: *mut PyObject,
    number: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: as in `rows`.
    unsafe { count(object, number, SpanHandle::misses) }
}

pub(crate) unsafe extern "C" fn bytes(
    object: *mut PyObject,
    number: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: as in `rows`.
    unsafe { count(object, number, SpanHandle::bytes) }
}

pub(crate) unsafe extern "C" fn detail(
    object: *mut PyObject,
    text: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: as in `rows`.
    unsafe {
        guard((), || {
            let span = open_call(object);
            if span != SpanHandle::NONE {
                with_bytes(text, |text| span.detail(text));
            }
        });
        again(object)
    }
}

pub(crate) unsafe extern "C" fn target(
    object: *mut PyObject,
    text: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: as in `rows`.
    unsafe {
        guard((), || {
            let span = open_call(object);
            if span != SpanHandle::NONE {
                with_bytes(text, |text| span.target(text));
            }
        });
        again(object)
    }
}

pub(crate) unsafe extern "C" fn error(object: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with an object of this type, attached.
    unsafe {
        guard((), || fail(object));
        again(object)
    }
}
