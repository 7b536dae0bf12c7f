//! `span()` and `scope()`: their arguments, which make a span.

use crate::call;
use crate::guard::guard;
use crate::raw::{keywords, make_function};
use ioprofiler_core::category::Kind;
use pyo3::ffi::{self, Py_ssize_t, PyObject};
use pyo3::prelude::*;

pub(crate) fn initialise(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let span_doc =
        c"span(category, detail='', *, target=None)\n--\n\nOne timed call of the current request.";
    let scope_doc = c"scope(category, detail='', *, target=None)\n--\n\nAs span, for what may contain other calls.";
    let functions = [
        ("span", keywords(c"span", span, span_doc)),
        ("scope", keywords(c"scope", scope, scope_doc)),
    ];
    for (name, definition) in functions {
        module.add(name, make_function(py, definition, "ioprofiler")?)?;
    }
    Ok(())
}

unsafe extern "C" fn span(
    _: *mut PyObject,
    arguments: *const *mut PyObject,
    count: Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython as METH_FASTCALL | METH_KEYWORDS.
    guard(std::ptr::null_mut(), || unsafe {
        make_of(arguments, count, names, Kind::Leaf)
    })
}

unsafe extern "C" fn scope(
    _: *mut PyObject,
    arguments: *const *mut PyObject,
    count: Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: as in `span`.
    guard(std::ptr::null_mut(), || unsafe {
        make_of(arguments, count, names, Kind::Scope)
    })
}

/// # Safety
/// The arguments are those of a METH_FASTCALL | METH_KEYWORDS function.
#[inline(always)]
unsafe fn make_of(
    arguments: *const *mut PyObject,
    count: Py_ssize_t,
    names: *mut PyObject,
    kind: Kind,
) -> *mut PyObject {
    // SAFETY: `arguments` has `count` objects.
    unsafe {
        let (mut name, mut detail, mut target) = (
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
        );
        if count >= 1 {
            name = *arguments;
        }
        if count >= 2 {
            detail = *arguments.add(1);
        }
        if (!names.is_null() || count > 2 || name.is_null())
            && !named(arguments, count, names, &mut name, &mut detail, &mut target)
        {
            return std::ptr::null_mut();
        }
        crate::span::new(call::category(name, kind), detail, target)
    }
}

/// Keyword arguments. `false`, with an exception, where they are not ours.
#[cold]
unsafe fn named(
    arguments: *const *mut PyObject,
    count: Py_ssize_t,
    names: *mut PyObject,
    name: &mut *mut PyObject,
    detail: &mut *mut PyObject,
    target: &mut *mut PyObject,
) -> bool {
    // SAFETY: `arguments` has `count` objects and one for each name; attached.
    unsafe {
        let fail = |message: &std::ffi::CStr| {
            ffi::PyErr_SetString(ffi::PyExc_TypeError, message.as_ptr());
            false
        };
        if count > 2 {
            return fail(c"takes at most 2 positional arguments: category, detail");
        }
        let named = if names.is_null() {
            0
        } else {
            ffi::PyTuple_Size(names)
        };
        for index in 0..named {
            let key = ffi::PyTuple_GetItem(names, index);
            let value = *arguments.offset(count + index);
            let is = |known: &std::ffi::CStr| {
                ffi::PyUnicode_CompareWithASCIIString(key, known.as_ptr()) == 0
            };
            if is(c"category") && name.is_null() {
                *name = value;
            } else if is(c"detail") && detail.is_null() {
                *detail = value;
            } else if is(c"target") {
                *target = value;
            } else {
                return fail(c"allowed arguments are category, detail and target, each once");
            }
        }
        if name.is_null() {
            return fail(c"missing argument: category");
        }
        true
    }
}
