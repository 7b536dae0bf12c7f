//! Types made by hand, for the two objects of the hot path: what PyO3's classes would add to each
//! call is a third of what the call costs.

use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;
use std::ffi::{CStr, c_int, c_void};

/// A slot of a type.
pub(crate) const fn slot(slot: c_int, function: *mut c_void) -> ffi::PyType_Slot {
    ffi::PyType_Slot {
        slot,
        pfunc: function,
    }
}

/// A method without arguments.
pub(crate) const fn no_arguments(
    name: &'static CStr,
    method: ffi::PyCFunction,
    doc: &'static CStr,
) -> ffi::PyMethodDef {
    ffi::PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth: ffi::PyMethodDefPointer {
            PyCFunction: method,
        },
        ml_flags: ffi::METH_NOARGS,
        ml_doc: doc.as_ptr(),
    }
}

/// A method with one argument.
pub(crate) const fn one_argument(
    name: &'static CStr,
    method: ffi::PyCFunction,
    doc: &'static CStr,
) -> ffi::PyMethodDef {
    ffi::PyMethodDef {
        ml_flags: ffi::METH_O,
        ..no_arguments(name, method, doc)
    }
}

/// A method with positional arguments, called without a tuple.
pub(crate) const fn positional(
    name: &'static CStr,
    method: ffi::PyCFunctionFast,
    doc: &'static CStr,
) -> ffi::PyMethodDef {
    ffi::PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth: ffi::PyMethodDefPointer {
            PyCFunctionFast: method,
        },
        ml_flags: ffi::METH_FASTCALL,
        ml_doc: doc.as_ptr(),
    }
}

/// A method with positional and keyword arguments, called without a tuple.
pub(crate) const fn keywords(
    name: &'static CStr,
    method: ffi::PyCFunctionFastWithKeywords,
    doc: &'static CStr,
) -> ffi::PyMethodDef {
    ffi::PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth: ffi::PyMethodDefPointer {
            PyCFunctionFastWithKeywords: method,
        },
        ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
        ml_doc: doc.as_ptr(),
    }
}

/// Where a type's objects keep something that CPython looks for.
pub(crate) const fn offset_member(name: &'static CStr, offset: usize) -> ffi::PyMemberDef {
    ffi::PyMemberDef {
        name: name.as_ptr(),
        type_code: ffi::Py_T_PYSSIZET,
        offset: offset as ffi::Py_ssize_t,
        flags: ffi::Py_READONLY,
        doc: std::ptr::null(),
    }
}

/// Makes a heap type. What it points to must live for ever: it is leaked.
pub(crate) fn make_type<'py>(
    py: Python<'py>,
    name: &'static CStr,
    size: usize,
    flags: std::ffi::c_ulong,
    methods: Vec<ffi::PyMethodDef>,
    members: Vec<ffi::PyMemberDef>,
    mut slots: Vec<ffi::PyType_Slot>,
) -> PyResult<Bound<'py, PyAny>> {
    let mut methods = methods;
    methods.push(ffi::PyMethodDef::zeroed());
    let mut members = members;
    members.push(ffi::PyMemberDef::default());
    slots.push(slot(ffi::Py_tp_methods, methods.leak().as_mut_ptr().cast()));
    slots.push(slot(ffi::Py_tp_members, members.leak().as_mut_ptr().cast()));
    slots.push(slot(0, std::ptr::null_mut()));
    let specification = Box::leak(Box::new(ffi::PyType_Spec {
        name: name.as_ptr(),
        basicsize: size as c_int,
        itemsize: 0,
        flags: (ffi::Py_TPFLAGS_DEFAULT | flags) as std::ffi::c_uint,
        slots: slots.leak().as_mut_ptr(),
    }));
    // SAFETY: attached; the specification and all that it points to was leaked just now, and each
    // table ends in zeroes.
    unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyType_FromSpec(specification)) }
}

/// Makes a function of a module. Its definition is leaked.
pub(crate) fn make_function<'py>(
    py: Python<'py>,
    definition: ffi::PyMethodDef,
    module: &str,
) -> PyResult<Bound<'py, PyAny>> {
    let definition = Box::leak(Box::new(definition));
    let module = pyo3::types::PyString::new(py, module);
    // SAFETY: attached; the definition was leaked just now, and its function has the type that its
    // flags say.
    unsafe {
        let function = ffi::PyCFunction_NewEx(definition, std::ptr::null_mut(), module.as_ptr());
        Bound::from_owned_ptr_or_err(py, function)
    }
}

/// Makes a function that is bound to an object, which it holds. Its definition is leaked.
pub(crate) fn make_method<'py>(
    object: &Bound<'py, PyAny>,
    definition: ffi::PyMethodDef,
) -> PyResult<Bound<'py, PyAny>> {
    let definition = Box::leak(Box::new(definition));
    let nowhere = std::ptr::null_mut();
    // SAFETY: as in `make_function`.
    unsafe {
        let function = ffi::PyCFunction_NewEx(definition, object.as_ptr(), nowhere);
        Bound::from_owned_ptr_or_err(object.py(), function)
    }
}

/// Runs something while the exception that may be set is set aside, and puts it back.
///
/// # Safety
/// The caller is attached.
#[cold]
pub(crate) unsafe fn without_exception<R>(body: impl FnOnce() -> R) -> R {
    let (mut kind, mut value, mut trace) = (
        std::ptr::null_mut(),
        std::ptr::null_mut(),
        std::ptr::null_mut(),
    );
    // What replaces the two is in no stable ABI before 3.12.
    #[allow(deprecated)]
    // SAFETY: attached; the references that are fetched are given back.
    unsafe {
        ffi::PyErr_Fetch(&raw mut kind, &raw mut value, &raw mut trace);
        let answer = body();
        ffi::PyErr_Restore(kind, value, trace);
        answer
    }
}

/// A new reference to `None`.
///
/// # Safety
/// The caller is attached.
#[inline(always)]
pub(crate) unsafe fn none() -> *mut PyObject {
    // SAFETY: attached.
    unsafe {
        let none = ffi::Py_None();
        ffi::Py_INCREF(none);
        none
    }
}

/// The same object once more.
///
/// # Safety
/// The caller is attached, and `object` is an object.
#[inline(always)]
pub(crate) unsafe fn again(object: *mut PyObject) -> *mut PyObject {
    // SAFETY: passed on.
    unsafe { ffi::Py_INCREF(object) };
    object
}
