//! What `with` finds at a span: the span itself.
//!
//! `with` looks up `__enter__` and `__exit__`, binds both to the object, and calls them: two objects
//! that are made and thrown away, a third of what a span costs. Here binding gives the span itself,
//! which is called with nothing to enter and with three arguments to leave. At the class the two are
//! functions of a span, as `contextlib.ExitStack` wants them.

use crate::raw::{again, make_type, slot};
use crate::span;
use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;
use std::ffi::c_void;

#[repr(C)]
struct Object {
    head: PyObject,
    is_exit: bool,
}

/// Makes `__enter__` and `__exit__`.
pub(crate) fn make<'py>(py: Python<'py>) -> PyResult<[Bound<'py, PyAny>; 2]> {
    let slots = vec![
        slot(ffi::Py_tp_descr_get, bind as *mut c_void),
        slot(ffi::Py_tp_call, call as *mut c_void),
        slot(
            ffi::Py_tp_doc,
            c"How a span is entered and left.".as_ptr() as *mut _,
        ),
    ];
    let kind = make_type(
        py,
        c"ioprofiler._native.WithItself",
        size_of::<Object>(),
        ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION,
        Vec::new(),
        Vec::new(),
        slots,
    )?;
    let part = |is_exit: bool| {
        // SAFETY: attached; the memory is of this type's size and zeroed.
        unsafe {
            let object = ffi::PyType_GenericAlloc(kind.as_ptr().cast(), 0);
            let made = Bound::from_owned_ptr_or_err(py, object)?;
            (&raw mut (*object.cast::<Object>()).is_exit).write(is_exit);
            Ok::<_, PyErr>(made)
        }
    };
    Ok([part(false)?, part(true)?])
}

unsafe extern "C" fn bind(
    part: *mut PyObject,
    span: *mut PyObject,
    _: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython with an object of this type, and null or an object.
    unsafe { again(if span.is_null() { part } else { span }) }
}

/// `Span.__enter__(span)`, `Span.__exit__(span, …)`.
unsafe extern "C" fn call(
    part: *mut PyObject,
    arguments: *mut PyObject,
    _: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython with an object of this type and a tuple, whose references stay.
    unsafe {
        let is_exit = (*part.cast::<Object>()).is_exit;
        let count = ffi::PyTuple_Size(arguments).max(0);
        let first = (count > 0).then(|| ffi::PyTuple_GetItem(arguments, 0));
        let Some(object) = first.filter(|object| span::is_span(*object)) else {
            let message = c"needs a span";
            ffi::PyErr_SetString(ffi::PyExc_TypeError, message.as_ptr());
            return std::ptr::null_mut();
        };
        if !is_exit {
            return span::enter(object, std::ptr::null_mut());
        }
        let mut raised = if count > 1 {
            ffi::PyTuple_GetItem(arguments, 1)
        } else {
            std::ptr::null_mut()
        };
        let given = isize::from(!raised.is_null());
        span::exit(object, &raw mut raised, given)
    }
}
