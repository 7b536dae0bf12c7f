//! `begin()` and `end()`: a call of a library's hook, without a `with`.

use crate::call::{self, Open};
use crate::guard::guard;
use crate::raw::{make_function, none, positional};
use crate::span;
use ioprofiler_core::Outcome;
use ioprofiler_core::category::Kind;
use pyo3::ffi::{self, Py_ssize_t, PyObject};
use pyo3::prelude::*;

pub(crate) fn initialise(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let begin_doc = c"begin(category, detail=None, opaque=False, /)\n--\n\nBegins a leaf; None outside a request.";
    let end_doc = c"end(span, failed=False, /)\n--\n\nEnds what begin gave.";
    for (name, definition) in [
        ("begin", positional(c"begin", begin, begin_doc)),
        ("end", positional(c"end", end, end_doc)),
    ] {
        module.add(name, make_function(module.py(), definition, "ioprofiler")?)?;
    }
    Ok(())
}

unsafe extern "C" fn begin(
    _: *mut PyObject,
    arguments: *mut *mut PyObject,
    count: Py_ssize_t,
) -> *mut PyObject {
    // SAFETY: called by CPython as METH_FASTCALL.
    guard(std::ptr::null_mut(), || unsafe {
        if !(1..=3).contains(&count) {
            let message =
                c"begin() takes a category, a detail, and whether it takes in what is inside";
            ffi::PyErr_SetString(ffi::PyExc_TypeError, message.as_ptr());
            return std::ptr::null_mut();
        }
        let mut detail = std::ptr::null_mut();
        if count >= 2 && ffi::Py_IsNone(*arguments.add(1)) == 0 {
            detail = *arguments.add(1);
        }
        let Some(open) = Open::begin(call::category(*arguments, Kind::Leaf), detail) else {
            return none();
        };
        if count == 3 && ffi::PyObject_IsTrue(*arguments.add(2)) == 1 {
            open.make_opaque();
        }
        span::of_open(open)
    })
}

unsafe extern "C" fn end(
    _: *mut PyObject,
    arguments: *mut *mut PyObject,
    count: Py_ssize_t,
) -> *mut PyObject {
    // SAFETY: called by CPython as METH_FASTCALL.
    unsafe {
        if count >= 1 {
            guard((), || {
                let failed = count >= 2 && ffi::PyObject_IsTrue(*arguments.add(1)) == 1;
                let outcome = if failed { Outcome::Error } else { Outcome::Ok };
                span::end_of(*arguments, outcome);
            });
        }
        none()
    }
}
