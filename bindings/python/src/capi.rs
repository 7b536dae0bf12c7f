//! What the stable ABI leaves out, and what the hot path cannot do without.
//!
//! `PyContextVar_Get`, `PyContextVar_Set`, `PyMethod_New` and `PyObject_Vectorcall` are documented
//! functions that CPython exports (the last one from 3.11 on), but not part of the ABI that an abi3
//! wheel may link to: they are looked up by name when the module is imported. Where one is missing,
//! the same is done by calling Python objects, which is slower.
//!
//! [`context_identity`] tells apart the tasks and greenlets that take turns on one thread: the
//! address of the context that the thread is in. CPython keeps it in the thread's state, at a place
//! that differs by version; [`find_context_place`] finds the place by looking, with contexts whose
//! address it knows.

use pyo3::ffi::{self, Py_ssize_t, PyObject};
use pyo3::prelude::*;
use std::ffi::{CStr, c_int, c_void};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

type VarGet = unsafe extern "C" fn(*mut PyObject, *mut PyObject, *mut *mut PyObject) -> c_int;
type MethodNew = unsafe extern "C" fn(*mut PyObject, *mut PyObject) -> *mut PyObject;
type VarSet = unsafe extern "C" fn(*mut PyObject, *mut PyObject) -> *mut PyObject;
pub(crate) type Vectorcall = unsafe extern "C" fn(
    *mut PyObject,
    *const *mut PyObject,
    usize,
    *mut PyObject,
) -> *mut PyObject;

/// A type's objects say how they are called. CPython has had it since 3.8; the stable ABI names it only
/// from 3.12 on.
pub(crate) const HAVE_VECTORCALL: std::ffi::c_ulong = 1 << 11;

static VAR: AtomicPtr<PyObject> = AtomicPtr::new(std::ptr::null_mut());
static VAR_GET: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
static VAR_SET: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
static METHOD_NEW: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
static VECTORCALL: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
/// Where in a thread's state its context is, in words; 0 where that is not known.
static CONTEXT_PLACE: AtomicUsize = AtomicUsize::new(0);

/// The smallest thread state of the versions that we load into (3.10) has 33 words and more.
const WORDS_OF_A_THREAD_STATE: usize = 33;

pub(crate) fn initialise(py: Python<'_>) -> PyResult<()> {
    let variable = py
        .import("contextvars")?
        .getattr("ContextVar")?
        .call1(("ioprofiler",))?;
    VAR.store(variable.into_ptr(), Ordering::Relaxed);
    VAR_GET.store(symbol(c"PyContextVar_Get"), Ordering::Relaxed);
    VAR_SET.store(symbol(c"PyContextVar_Set"), Ordering::Relaxed);
    METHOD_NEW.store(symbol(c"PyMethod_New"), Ordering::Relaxed);
    VECTORCALL.store(symbol(c"PyObject_Vectorcall"), Ordering::Relaxed);
    find_context_place(py)
}

fn symbol(name: &CStr) -> *mut c_void {
    // SAFETY: the name ends in NUL; the handle is the whole process's.
    unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) }
}

/// What this thread's context holds for us: a new reference, or null.
///
/// # Safety
/// The caller is attached to the interpreter.
#[inline(always)]
pub(crate) unsafe fn var_get() -> *mut PyObject {
    let variable = VAR.load(Ordering::Relaxed);
    let get = VAR_GET.load(Ordering::Relaxed);
    if get.is_null() || variable.is_null() {
        // SAFETY: passed on.
        return unsafe { var_get_by_method(variable) };
    }
    let mut value = std::ptr::null_mut();
    // SAFETY: the symbol has had this type since CPython 3.7.1; the variable lives for ever.
    unsafe {
        let get: VarGet = std::mem::transmute(get);
        if get(variable, std::ptr::null_mut(), &raw mut value) < 0 {
            ffi::PyErr_Clear();
            return std::ptr::null_mut();
        }
    }
    value
}

#[cold]
unsafe fn var_get_by_method(variable: *mut PyObject) -> *mut PyObject {
    if variable.is_null() {
        return std::ptr::null_mut();
    }
    // SAFETY: attached, by the caller's promise; every result is checked.
    unsafe {
        let get = ffi::PyObject_GetAttrString(variable, c"get".as_ptr());
        let value = if get.is_null() {
            std::ptr::null_mut()
        } else {
            ffi::PyObject_CallFunctionObjArgs(get, ffi::Py_None(), std::ptr::null_mut::<PyObject>())
        };
        ffi::Py_XDECREF(get);
        if value.is_null() {
            ffi::PyErr_Clear();
        } else if ffi::Py_IsNone(value) != 0 {
            ffi::Py_DECREF(value);
            return std::ptr::null_mut();
        }
        value
    }
}

/// Puts a value into this thread's context.
///
/// # Safety
/// The caller is attached to the interpreter; `value` is an object.
pub(crate) unsafe fn var_set(value: *mut PyObject) {
    let variable = VAR.load(Ordering::Relaxed);
    let set = VAR_SET.load(Ordering::Relaxed);
    // SAFETY: as in `var_get`.
    unsafe {
        let token = if set.is_null() || variable.is_null() {
            ffi::PyObject_CallMethodObjArgs(
                variable,
                pyo3::intern!(Python::assume_attached(), "set").as_ptr(),
                value,
                std::ptr::null_mut::<PyObject>(),
            )
        } else {
            let set: VarSet = std::mem::transmute(set);
            set(variable, value)
        };
        if token.is_null() {
            ffi::PyErr_Clear();
        } else {
            ffi::Py_DECREF(token);
        }
    }
}

/// Calls an object with the arguments of a vectorcall.
///
/// # Safety
/// As `PyObject_Vectorcall`.
#[inline(always)]
pub(crate) unsafe fn vectorcall(
    callable: *mut PyObject,
    arguments: *const *mut PyObject,
    count_and_flag: usize,
    names: *mut PyObject,
) -> *mut PyObject {
    let call = VECTORCALL.load(Ordering::Relaxed);
    if call.is_null() {
        // SAFETY: passed on.
        return unsafe { call_by_tuple(callable, arguments, count_and_flag, names) };
    }
    // SAFETY: the symbol has had this type since it is exported.
    unsafe {
        let call: Vectorcall = std::mem::transmute(call);
        call(callable, arguments, count_and_flag, names)
    }
}

/// A function as the method of an object: a new reference, or null with an exception.
///
/// # Safety
/// The caller is attached to the interpreter; both are objects.
pub(crate) unsafe fn bound_method(function: *mut PyObject, object: *mut PyObject) -> *mut PyObject {
    let new = METHOD_NEW.load(Ordering::Relaxed);
    if new.is_null() {
        // SAFETY: passed on.
        return unsafe { bound_method_by_type(function, object) };
    }
    // SAFETY: the symbol has had this type for all of CPython 3.
    unsafe {
        let new: MethodNew = std::mem::transmute(new);
        new(function, object)
    }
}

#[cold]
unsafe fn bound_method_by_type(function: *mut PyObject, object: *mut PyObject) -> *mut PyObject {
    // SAFETY: attached, by the caller's promise.
    let py = unsafe { Python::assume_attached() };
    match py
        .import("types")
        .and_then(|types| types.getattr("MethodType"))
    {
        // SAFETY: attached, and objects.
        Ok(method) => unsafe {
            ffi::PyObject_CallFunctionObjArgs(
                method.as_ptr(),
                function,
                object,
                std::ptr::null_mut::<PyObject>(),
            )
        },
        Err(error) => {
            error.restore(py);
            std::ptr::null_mut()
        }
    }
}

/// `PyVectorcall_Call`: what a type does that is called with a tuple and has a vectorcall.
pub(crate) fn vectorcall_call() -> PyResult<*mut c_void> {
    let call = symbol(c"PyVectorcall_Call");
    if call.is_null() {
        let message = "this interpreter has no PyVectorcall_Call";
        return Err(pyo3::exceptions::PyImportError::new_err(message));
    }
    Ok(call)
}

/// How many positional arguments a vectorcall has.
#[inline(always)]
pub(crate) fn positional(count_and_flag: usize) -> usize {
    count_and_flag & (usize::MAX >> 1)
}

/// CPython 3.10, which has no such function to be looked up.
#[cold]
unsafe fn call_by_tuple(
    callable: *mut PyObject,
    arguments: *const *mut PyObject,
    count_and_flag: usize,
    names: *mut PyObject,
) -> *mut PyObject {
    let count = positional(count_and_flag);
    // SAFETY: `arguments` holds `count` objects and one for each name, by the caller's promise.
    unsafe {
        let tuple = ffi::PyTuple_New(count as Py_ssize_t);
        if tuple.is_null() {
            return tuple;
        }
        for index in 0..count {
            let argument = *arguments.add(index);
            ffi::Py_INCREF(argument);
            ffi::PyTuple_SetItem(tuple, index as Py_ssize_t, argument);
        }
        let mut keywords = std::ptr::null_mut();
        if !names.is_null() {
            keywords = ffi::PyDict_New();
            for index in 0..ffi::PyTuple_Size(names).max(0) {
                let name = ffi::PyTuple_GetItem(names, index);
                let value = *arguments.add(count + index as usize);
                if keywords.is_null() || ffi::PyDict_SetItem(keywords, name, value) < 0 {
                    ffi::Py_DECREF(tuple);
                    ffi::Py_XDECREF(keywords);
                    return std::ptr::null_mut();
                }
            }
        }
        let result = ffi::PyObject_Call(callable, tuple, keywords);
        ffi::Py_DECREF(tuple);
        ffi::Py_XDECREF(keywords);
        result
    }
}

/// Which task, greenlet or thread this is: the address of its context; 0 where that is not known.
///
/// # Safety
/// The caller is attached to the interpreter.
#[inline(always)]
pub(crate) unsafe fn context_identity() -> usize {
    let place = CONTEXT_PLACE.load(Ordering::Relaxed);
    if place == 0 {
        return 0;
    }
    // SAFETY: the state of an attached thread is there, and has at least so many words; this one
    // was seen to hold the context. It is only compared, never followed.
    unsafe { ffi::PyThreadState_Get().cast::<usize>().add(place).read() }
}

/// Looks where a thread's state keeps its context: the one word that holds the addresses of three
/// different contexts while the thread is in them.
fn find_context_place(py: Python<'_>) -> PyResult<()> {
    let mut candidates: u64 = u64::MAX;
    for _ in 0..3 {
        let context = py.import("contextvars")?.getattr("Context")?.call0()?;
        let look = pyo3::wrap_pyfunction!(words_that_hold, py)?;
        let seen = context.call_method1("run", (look, context.as_ptr() as usize))?;
        candidates &= seen.extract::<u64>()?;
    }
    if candidates.count_ones() == 1 {
        CONTEXT_PLACE.store(candidates.trailing_zeros() as usize, Ordering::Relaxed);
    }
    Ok(())
}

#[pyfunction]
fn words_that_hold(address: usize) -> u64 {
    // SAFETY: `#[pyfunction]` runs attached.
    let state = unsafe { ffi::PyThreadState_Get() }.cast::<usize>();
    let mut found = 0;
    for word in 1..WORDS_OF_A_THREAD_STATE {
        // SAFETY: within the thread's state, see `WORDS_OF_A_THREAD_STATE`; any bits are a `usize`.
        if unsafe { state.add(word).read() } == address {
            found |= 1 << word;
        }
    }
    found
}
