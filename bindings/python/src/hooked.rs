//! A function whose calls are recorded: what libraries' functions are replaced by, and what a
//! decorated function becomes.
//!
//! It is called without a tuple or a frame of its own, and binds as a method like a function does.
//! In a library's hooks category, detail and rows may come from the arguments: a driver's connection
//! knows its category, and its second argument is the SQL.

use crate::call::{self, Open, outcome_of_raised};
use crate::capi::{
    HAVE_VECTORCALL, Vectorcall, bound_method, positional, vectorcall, vectorcall_call,
};
use crate::current::Held;
use crate::guard::guard;
use crate::raw::{again, make_type, no_arguments, offset_member, slot};
use crate::reading::Reading;
use ioprofiler_core::Outcome;
use ioprofiler_core::category::{CategoryId, Kind};
use ioprofiler_core::handle::{self, SpanHandle};
use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};
use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicPtr, Ordering};

#[repr(C)]
pub(crate) struct Object {
    head: PyObject,
    vectorcall: Vectorcall,
    dictionary: *mut PyObject,
    weak_references: *mut PyObject,
    pub(crate) function: *mut PyObject,
    pub(crate) category: CategoryId,
    /// The attribute of the first argument, or the attribute's attribute, that says the category
    /// instead: a tuple of names; null is none.
    category_of: *mut PyObject,
    /// The argument that is the detail; `usize::MAX` is none.
    detail_at: usize,
    /// Its name, where it is given by name; null is none.
    detail_name: *mut PyObject,
    /// The detail, where it is always the same; null is none.
    detail: *mut PyObject,
    /// Makes the detail out of all positional arguments: called in requests that asked, and where
    /// there is no text that could be the detail. Null is none.
    describe: *mut PyObject,
    /// Likewise, that says how many rows there are.
    rows_of: *mut PyObject,
    /// What it calls itself is not recorded, not even as its detail.
    opaque: bool,
    /// Of a function that looks for a key.
    pub(crate) reading: Reading,
}

// As `HAVE_VECTORCALL`. CPython learns by heart which method a line of code calls only where the
// method's own type is immutable.
const METHOD_DESCRIPTOR: std::ffi::c_ulong = 1 << 17;
const IMMUTABLE_TYPE: std::ffi::c_ulong = 1 << 8;

static TYPE: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(std::ptr::null_mut());

pub(crate) fn initialise(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let members = vec![
        offset_member(
            c"__vectorcalloffset__",
            std::mem::offset_of!(Object, vectorcall),
        ),
        offset_member(c"__dictoffset__", std::mem::offset_of!(Object, dictionary)),
        offset_member(
            c"__weaklistoffset__",
            std::mem::offset_of!(Object, weak_references),
        ),
    ];
    let mut slots = vec![
        slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
        slot(ffi::Py_tp_traverse, traverse as *mut c_void),
        slot(ffi::Py_tp_clear, clear as *mut c_void),
        slot(ffi::Py_tp_call, vectorcall_call()?),
        slot(ffi::Py_tp_descr_get, bind as *mut c_void),
        slot(ffi::Py_tp_repr, represent as *mut c_void),
    ];
    let attributes = ffi::PyGetSetDef {
        name: c"__dict__".as_ptr(),
        get: Some(ffi::PyObject_GenericGetDict),
        set: Some(ffi::PyObject_GenericSetDict),
        doc: std::ptr::null(),
        closure: std::ptr::null_mut(),
    };
    let attributes = Box::leak(Box::new([attributes, ffi::PyGetSetDef::default()]));
    slots.push(slot(ffi::Py_tp_getset, attributes.as_mut_ptr().cast()));
    let flags = ffi::Py_TPFLAGS_HAVE_GC
        | HAVE_VECTORCALL
        | METHOD_DESCRIPTOR
        | IMMUTABLE_TYPE
        | ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION;
    let reduce_doc = c"As a function: pickled by its name.";
    let methods = vec![no_arguments(c"__reduce__", reduce, reduce_doc)];
    let name = c"ioprofiler._native.Hooked";
    let kind = make_type(
        module.py(),
        name,
        size_of::<Object>(),
        flags,
        methods,
        members,
        slots,
    )?;
    TYPE.store(kind.as_ptr().cast(), Ordering::Relaxed);
    module.add("Hooked", &kind)?;
    std::mem::forget(kind);
    Ok(())
}

/// Makes a function whose calls are leaves. See [`Object`] for where things come from.
#[pyfunction]
#[pyo3(signature = (function, category, *, category_of=None, detail_at=None, detail_name=None, detail=None, describe=None, rows_of=None, opaque=false))]
#[expect(clippy::too_many_arguments, reason = "by name, from Python")]
pub(crate) fn hooked<'py>(
    py: Python<'py>,
    function: Bound<'py, PyAny>,
    category: Bound<'py, PyAny>,
    category_of: Option<&str>,
    detail_at: Option<usize>,
    detail_name: Option<Bound<'py, PyAny>>,
    detail: Option<Bound<'py, PyAny>>,
    describe: Option<Bound<'py, PyAny>>,
    rows_of: Option<&str>,
    opaque: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let (category_of, rows_of) = (path(category_of, py)?, path(rows_of, py)?);
    let made = make(function, &category, call_hooked)?;
    // SAFETY: attached. It is an object of this type, which nobody else has seen yet.
    unsafe {
        let this = made.as_ptr().cast::<Object>();
        (&raw mut (*this).category_of).write(category_of);
        (&raw mut (*this).detail_at).write(detail_at.unwrap_or(usize::MAX));
        (&raw mut (*this).detail_name).write(pointer(detail_name));
        (&raw mut (*this).detail).write(pointer(detail));
        (&raw mut (*this).describe).write(pointer(describe));
        (&raw mut (*this).rows_of).write(rows_of);
        (&raw mut (*this).opaque).write(opaque);
    }
    Ok(made)
}

pub(crate) fn pointer(object: Option<Bound<'_, PyAny>>) -> *mut PyObject {
    object.map_or(std::ptr::null_mut(), Bound::into_ptr)
}

/// An object that calls `function` by way of `vectorcall`; the rest of it is zeroes.
pub(crate) fn make<'py>(
    function: Bound<'py, PyAny>,
    category: &Bound<'py, PyAny>,
    vectorcall: Vectorcall,
) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: attached. The allocation is of this type's size, zeroed, and filled before anybody
    // else sees it; the collector cannot run in between.
    unsafe {
        let category = call::category(category.as_ptr(), Kind::Leaf);
        let object = ffi::PyType_GenericAlloc(TYPE.load(Ordering::Relaxed), 0);
        let made = Bound::from_owned_ptr_or_err(function.py(), object)?;
        let this = object.cast::<Object>();
        (&raw mut (*this).vectorcall).write(vectorcall);
        (&raw mut (*this).function).write(function.into_ptr());
        (&raw mut (*this).category).write(category);
        Ok(made)
    }
}

unsafe extern "C" fn call_hooked(
    callable: *mut PyObject,
    arguments: *const *mut PyObject,
    count_and_flag: usize,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython with an object of this type and the arguments of a vectorcall.
    unsafe {
        let this = &*callable.cast::<Object>();
        let count = positional(count_and_flag);
        // Two edges, so that no unwinding of ours ever meets the call between them.
        let open = guard(None, || this.begin(arguments, count, names));
        if this.opaque
            && let Some(open) = &open
        {
            open.make_opaque();
        }
        let result = vectorcall(this.function, arguments, count_and_flag, names);
        if let Some(open) = open {
            guard((), || {
                if result.is_null() {
                    open.end(outcome_of_raised());
                } else {
                    if !this.rows_of.is_null() && count > 0 {
                        set_rows(open.span, *arguments, this.rows_of);
                    }
                    open.end(Outcome::Ok);
                }
            });
        }
        result
    }
}

impl Object {
    /// # Safety
    /// The arguments are those of a vectorcall; no exception is set.
    #[inline(always)]
    unsafe fn begin(
        &self,
        arguments: *const *mut PyObject,
        count: usize,
        names: *mut PyObject,
    ) -> Option<Open> {
        // SAFETY: `arguments` has `count` objects and one for each name.
        unsafe {
            let detail = if self.detail_at < count {
                *arguments.add(self.detail_at)
            } else if !names.is_null() && !self.detail_name.is_null() {
                named(self.detail_name, arguments, count, names).unwrap_or(self.detail)
            } else {
                self.detail
            };
            let Some(held) = Held::now() else {
                handle::count_outside();
                return None;
            };
            // Before anything is looked up: a driver below a layer that has said all is called as
            // often as that layer.
            if held.get().is_opaque() {
                return None;
            }
            let category = if self.category_of.is_null() || count == 0 {
                self.category
            } else {
                self.own_category(*arguments)
            };
            if !self.describe.is_null() && (held.get().asked || !is_text(detail)) {
                return self.begin_described(held, category, arguments, count, detail);
            }
            Open::begin_in(held, category, detail)
        }
    }

    /// # Safety
    /// Attached, an object, and no exception is set.
    unsafe fn own_category(&self, first: *mut PyObject) -> CategoryId {
        // SAFETY: passed on.
        unsafe {
            let own = attribute(first, self.category_of);
            if own.is_null() {
                return self.category;
            }
            let category = call::category(own, Kind::Leaf);
            ffi::Py_DECREF(own);
            category
        }
    }

    /// # Safety
    /// As [`Object::begin`].
    #[cold]
    unsafe fn begin_described(
        &self,
        held: Held,
        category: CategoryId,
        arguments: *const *mut PyObject,
        count: usize,
        detail: *mut PyObject,
    ) -> Option<Open> {
        // SAFETY: as in `begin`.
        unsafe {
            let described = vectorcall(self.describe, arguments, count, std::ptr::null_mut());
            if described.is_null() {
                ffi::PyErr_Clear();
                crate::guard::count_misuse();
                return Open::begin_in(held, category, detail);
            }
            let open = Open::begin_in(held, category, described);
            ffi::Py_DECREF(described);
            open
        }
    }

    /// Everything that it refers to.
    fn references(&mut self) -> [&mut *mut PyObject; 11] {
        let [of, prepare, key, default] = self.reading.references();
        [
            &mut self.dictionary,
            &mut self.function,
            &mut self.category_of,
            &mut self.detail_name,
            &mut self.detail,
            &mut self.describe,
            &mut self.rows_of,
            of,
            prepare,
            key,
            default,
        ]
    }
}

/// The argument that is given by this name.
///
/// # Safety
/// The arguments are those of a vectorcall, `names` the tuple of the names of some of them.
#[cold]
pub(crate) unsafe fn named(
    wanted: *mut PyObject,
    arguments: *const *mut PyObject,
    count: usize,
    names: *mut PyObject,
) -> Option<*mut PyObject> {
    // SAFETY: `arguments` has `count` objects and one for each name.
    unsafe {
        for index in 0..ffi::PyTuple_Size(names).max(0) {
            let name = ffi::PyTuple_GetItem(names, index);
            if ffi::PyUnicode_Compare(name, wanted) == 0 {
                return Some(*arguments.add(count + index as usize));
            }
        }
        None
    }
}

/// # Safety
/// Attached; null or an object.
#[inline(always)]
unsafe fn is_text(object: *mut PyObject) -> bool {
    // SAFETY: passed on.
    unsafe { !object.is_null() && ffi::PyUnicode_Check(object) != 0 }
}

/// The attribute at the end of a path, as a new reference; null where there is none.
///
/// # Safety
/// Attached, an object, a tuple of names, and no exception is set.
#[inline]
unsafe fn attribute(object: *mut PyObject, path: *mut PyObject) -> *mut PyObject {
    // SAFETY: passed on; each step's reference is let go of when the next one is there.
    unsafe {
        let mut found = again(object);
        for step in 0..ffi::PyTuple_Size(path).max(0) {
            let next = ffi::PyObject_GetAttr(found, ffi::PyTuple_GetItem(path, step));
            ffi::Py_DECREF(found);
            if next.is_null() {
                ffi::PyErr_Clear();
                return next;
            }
            found = next;
        }
        found
    }
}

/// `cursor.rowcount` as a tuple of names.
fn path(attributes: Option<&str>, py: Python<'_>) -> PyResult<*mut PyObject> {
    let Some(attributes) = attributes else {
        return Ok(std::ptr::null_mut());
    };
    let names = attributes.split('.').map(|name| PyString::intern(py, name));
    Ok(PyTuple::new(py, names.collect::<Vec<_>>())?.into_ptr())
}

/// How many rows there are, where the first argument knows it.
///
/// # Safety
/// Attached, and both are objects; no exception is set.
#[inline]
unsafe fn set_rows(span: SpanHandle, first: *mut PyObject, rows_of: *mut PyObject) {
    // SAFETY: attached.
    unsafe {
        let rows = attribute(first, rows_of);
        if rows.is_null() {
            return;
        }
        let number = ffi::PyLong_AsLongLong(rows);
        ffi::Py_DECREF(rows);
        if number == -1 && !ffi::PyErr_Occurred().is_null() {
            ffi::PyErr_Clear();
        }
        if let Ok(number) = u64::try_from(number) {
            span.rows(u32::try_from(number).unwrap_or(u32::MAX));
        }
    }
}

/// As a function's: of an object it is a method.
unsafe extern "C" fn bind(
    function: *mut PyObject,
    object: *mut PyObject,
    _: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython with an object of this type, and null or an object.
    unsafe {
        if object.is_null() || ffi::Py_IsNone(object) != 0 {
            return again(function);
        }
        bound_method(function, object)
    }
}

unsafe extern "C" fn represent(object: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with an object of this type.
    unsafe {
        let wrapped = ffi::PyObject_Repr((*object.cast::<Object>()).function);
        if wrapped.is_null() {
            return wrapped;
        }
        let text = ffi::PyUnicode_FromFormat(c"<hooked %U>".as_ptr(), wrapped);
        ffi::Py_DECREF(wrapped);
        text
    }
}

unsafe extern "C" fn reduce(object: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with an object of this type.
    unsafe { ffi::PyObject_GetAttrString(object, c"__qualname__".as_ptr()) }
}

unsafe extern "C" fn traverse(
    object: *mut PyObject,
    visit: ffi::visitproc,
    argument: *mut c_void,
) -> c_int {
    // SAFETY: called by the collector with an object of this type; it releases nothing.
    unsafe {
        let kind = ffi::Py_TYPE(object).cast();
        let visited = visit(kind, argument);
        if visited != 0 {
            return visited;
        }
        for reference in (*object.cast::<Object>()).references() {
            if !reference.is_null() {
                let visited = visit(*reference, argument);
                if visited != 0 {
                    return visited;
                }
            }
        }
        0
    }
}

unsafe extern "C" fn clear(object: *mut PyObject) -> c_int {
    // SAFETY: called by the collector with an object of this type. Who calls it afterwards, in the
    // cycle that is being taken apart, calls `None`.
    unsafe {
        let this = &mut *object.cast::<Object>();
        let function = std::mem::replace(&mut this.function, crate::raw::none());
        ffi::Py_XDECREF(function);
        for reference in (*object.cast::<Object>()).references().into_iter().skip(2) {
            ffi::Py_XDECREF(std::mem::replace(reference, std::ptr::null_mut()));
        }
        ffi::Py_XDECREF(std::mem::replace(
            &mut (*object.cast::<Object>()).dictionary,
            std::ptr::null_mut(),
        ));
        0
    }
}

unsafe extern "C" fn dealloc(object: *mut PyObject) {
    // SAFETY: called by CPython for an object of this type whose last reference is gone.
    unsafe {
        let kind = ffi::Py_TYPE(object);
        ffi::PyObject_GC_UnTrack(object.cast());
        if !(*object.cast::<Object>()).weak_references.is_null() {
            ffi::PyObject_ClearWeakRefs(object);
        }
        for reference in (*object.cast::<Object>()).references() {
            ffi::Py_XDECREF(std::mem::replace(reference, std::ptr::null_mut()));
        }
        ffi::PyObject_GC_Del(object.cast());
        ffi::Py_DECREF(kind.cast());
    }
}
