//! A hooked function that looks for a key in a cache: what pages do most.
//!
//! All of it is done here, since a frame of Python's and five calls of ours around each look would
//! cost five times as much as the rest of it.

use crate::call::{self, Open, outcome_of_raised};
use crate::capi::{positional, vectorcall};
use crate::current::Held;
use crate::guard::{count_misuse, guard};
use crate::hooked::{self, Object, named};
use crate::text::with_bytes;
use ioprofiler_core::Outcome;
use ioprofiler_core::category::{CategoryId, Kind};
use ioprofiler_core::handle::{self, SpanHandle};
use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;
use pyo3::types::PyString;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicPtr, Ordering};

/// Where the key is among the arguments, after the client, if it is not given by its name.
const KEY: usize = 1;
const HIT: &[u8] = b"Cache HIT, keys: ";
const MISS: &[u8] = b"Cache MISS, keys: ";
/// Keys of memcached have 250 bytes at most.
const SHORT: usize = 256;

/// Where a client's looks for keys go, and what they are called: worked out once for each client,
/// because a page makes hundreds of them.
#[pyclass(frozen, module = "ioprofiler._native")]
pub(crate) struct CacheServer {
    /// One for each hooked method, by its number.
    categories: Vec<CategoryId>,
    target: String,
}

#[pymethods]
impl CacheServer {
    #[new]
    fn new(categories: Vec<Bound<'_, PyAny>>, target: String) -> Self {
        // SAFETY: attached, objects, and no exception is set.
        let number = |name: &Bound<'_, PyAny>| unsafe { call::category(name.as_ptr(), Kind::Leaf) };
        let categories = categories.iter().map(number).collect();
        Self { categories, target }
    }
}

static SERVER: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(std::ptr::null_mut());

pub(crate) fn initialise(py: Python<'_>) {
    SERVER.store(
        py.get_type::<CacheServer>().as_type_ptr(),
        Ordering::Relaxed,
    );
}

/// What it needs besides. All of it is null for other functions, and once the collector has cleared it.
#[repr(C)]
pub(crate) struct Reading {
    /// The client's attribute that holds its [`CacheServer`], for as long as there is nothing to do
    /// before a call: one look-up tells both.
    of: *mut PyObject,
    /// Called with the client before the call where `of` holds none; gives one.
    prepare: *mut PyObject,
    /// Names the argument that is the key.
    key: *mut PyObject,
    /// Names the argument that is returned where there is no such key.
    default: *mut PyObject,
    /// Its place among the arguments; `usize::MAX` is none.
    default_at: usize,
    /// The method's number.
    method: usize,
}

impl Reading {
    /// Everything that it refers to.
    pub(crate) fn references(&mut self) -> [&mut *mut PyObject; 4] {
        [
            &mut self.of,
            &mut self.prepare,
            &mut self.key,
            &mut self.default,
        ]
    }
}

/// Makes a method `(client, key, …)` whose calls say whether the key was found: it was not where the
/// answer, or the first of a tuple, is `None` or the default. See [`Reading`] for where things come from.
#[pyfunction]
#[pyo3(signature = (function, category, method, *, of, prepare, default_at=None))]
pub(crate) fn hooked_reading<'py>(
    py: Python<'py>,
    function: Bound<'py, PyAny>,
    category: Bound<'py, PyAny>,
    method: usize,
    of: &str,
    prepare: Bound<'py, PyAny>,
    default_at: Option<usize>,
) -> PyResult<Bound<'py, PyAny>> {
    let interned = |name: &str| PyString::intern(py, name).into_any();
    let made = hooked::make(function, &category, call_reading)?;
    let reading = Reading {
        of: interned(of).into_ptr(),
        prepare: prepare.into_ptr(),
        key: interned("key").into_ptr(),
        default: interned("default").into_ptr(),
        default_at: default_at.unwrap_or(usize::MAX),
        method,
    };
    // SAFETY: it is an object of this type, which nobody else has seen yet.
    unsafe { (&raw mut (*made.as_ptr().cast::<Object>()).reading).write(reading) };
    Ok(made)
}

unsafe extern "C" fn call_reading(
    callable: *mut PyObject,
    arguments: *const *mut PyObject,
    count_and_flag: usize,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython with an object of this type and the arguments of a vectorcall, which
    // it keeps until this returns.
    unsafe {
        let this = &*callable.cast::<Object>();
        let count = positional(count_and_flag);
        let reading = &this.reading;
        let key = if count > KEY {
            *arguments.add(KEY)
        } else {
            by_name(reading.key, arguments, count, names)
        };
        if key.is_null() {
            // The client knows what to say.
            return vectorcall(this.function, arguments, count_and_flag, names);
        }
        // Two edges, as in `call_hooked`.
        let open = guard(None, || begin(this, *arguments, key));
        let result = vectorcall(this.function, arguments, count_and_flag, names);
        if let Some(open) = open {
            guard((), || {
                if result.is_null() {
                    open.end(outcome_of_raised());
                } else {
                    let default = if reading.default_at < count {
                        *arguments.add(reading.default_at)
                    } else {
                        by_name(reading.default, arguments, count, names)
                    };
                    tell(open.span, key, is_found(result, default));
                    open.end(Outcome::Ok);
                }
            });
        }
        result
    }
}

/// An argument that is given by its name; borrowed, null where it is not.
///
/// # Safety
/// The arguments are those of a vectorcall.
#[inline(always)]
unsafe fn by_name(
    wanted: *mut PyObject,
    arguments: *const *mut PyObject,
    count: usize,
    names: *mut PyObject,
) -> *mut PyObject {
    // Without a client there is nothing to begin, and without `wanted` the collector was here.
    if names.is_null() || wanted.is_null() || count == 0 {
        return std::ptr::null_mut();
    }
    // SAFETY: passed on.
    unsafe { named(wanted, arguments, count, names).unwrap_or(std::ptr::null_mut()) }
}

/// # Safety
/// Attached, two objects, and no exception is set.
#[inline(always)]
unsafe fn begin(this: &Object, client: *mut PyObject, key: *mut PyObject) -> Option<Open> {
    let reading = &this.reading;
    if reading.of.is_null() {
        return None;
    }
    // SAFETY: attached, by the caller's promise; each reference that is made here is let go of.
    unsafe {
        let Some(held) = Held::now() else {
            handle::count_outside();
            return None;
        };
        let of = reading.server_of(client);
        let Some(server) = server(&of) else {
            ffi::Py_XDECREF(of);
            return Open::begin_in(held, this.category, key);
        };
        let own = server.categories.get(reading.method);
        let open = Open::begin_in(held, own.copied().unwrap_or(this.category), key);
        if let Some(open) = &open {
            open.span.target(server.target.as_bytes());
        }
        ffi::Py_DECREF(of);
        open
    }
}

/// # Safety
/// Attached; null, or an object that is held for as long as its pointer is borrowed.
#[inline(always)]
unsafe fn server(of: &*mut PyObject) -> Option<&CacheServer> {
    // SAFETY: the type was looked at; the object is frozen, so it is only ever read.
    unsafe {
        if of.is_null() || ffi::Py_TYPE(*of) != SERVER.load(Ordering::Relaxed) {
            return None;
        }
        let borrowed = Borrowed::from_ptr(Python::assume_attached(), *of);
        let server: *const CacheServer = borrowed.cast_unchecked::<CacheServer>().get();
        Some(&*server)
    }
}

impl Reading {
    /// The client's [`CacheServer`], once it is ready: a new reference, or null.
    ///
    /// # Safety
    /// Attached, an object, and no exception is set.
    #[inline(always)]
    unsafe fn server_of(&self, client: *mut PyObject) -> *mut PyObject {
        // SAFETY: passed on.
        unsafe {
            let of = ffi::PyObject_GetAttr(client, self.of);
            if of.is_null() || ffi::Py_IsNone(of) != 0 {
                return self.prepared(client, of);
            }
            of
        }
    }

    /// # Safety
    /// Attached, an object, and null with its exception, or a reference to be let go of.
    #[cold]
    unsafe fn prepared(&self, client: *mut PyObject, missing: *mut PyObject) -> *mut PyObject {
        // SAFETY: passed on. What it raises is its own affair, as in every hook.
        unsafe {
            ffi::Py_XDECREF(missing);
            ffi::PyErr_Clear();
            let server = ffi::PyObject_CallFunctionObjArgs(
                self.prepare,
                client,
                std::ptr::null_mut::<PyObject>(),
            );
            if server.is_null() {
                ffi::PyErr_Clear();
                count_misuse();
            }
            server
        }
    }
}

/// Whether an answer, or what is first in a tuple of answers, is something else than the default.
///
/// # Safety
/// Attached; an object, and null or an object.
#[inline(always)]
unsafe fn is_found(answer: *mut PyObject, default: *mut PyObject) -> bool {
    // SAFETY: attached; what stands in the tuple lives as long as the tuple.
    unsafe {
        let is_tuple = std::ptr::eq(ffi::Py_TYPE(answer), &raw const ffi::PyTuple_Type);
        let value = if is_tuple && ffi::PyTuple_Size(answer) > 0 {
            ffi::PyTuple_GetItem(answer, 0)
        } else {
            answer
        };
        ffi::Py_IsNone(value) == 0 && !std::ptr::eq(value, default)
    }
}

/// Says what a look for a key brought, in the words of the original.
///
/// # Safety
/// Attached; an object.
#[inline(always)]
unsafe fn tell(span: SpanHandle, key: *mut PyObject, found: bool) {
    let words = if found { HIT } else { MISS };
    let (hits, misses) = (u32::from(found), u32::from(!found));
    // SAFETY: passed on; both parts fit, one behind the other, and only what they fill is read.
    unsafe {
        with_bytes(key, |key| {
            let length = words.len() + key.len();
            // Not zeroed first: that would take as long as all the rest of it.
            let mut short = [const { MaybeUninit::<u8>::uninit() }; MISS.len() + SHORT];
            if length > short.len() {
                return span.found(&[words, key].concat(), hits, misses);
            }
            let start = short.as_mut_ptr().cast::<u8>();
            start.copy_from_nonoverlapping(words.as_ptr(), words.len());
            start
                .add(words.len())
                .copy_from_nonoverlapping(key.as_ptr(), key.len());
            span.found(std::slice::from_raw_parts(start, length), hits, misses);
        });
    }
}
