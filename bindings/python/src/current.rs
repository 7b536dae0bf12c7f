//! What the current context is in: a request, and the open scope of it.
//!
//! The one context variable holds a [`Current`]. Calls only read it; a scope or a request replaces
//! it, and puts back what was there. Tasks, threads and callbacks that copy the context share the
//! object, so which *leaf* is open is kept by context identity: two tasks of one request that wait
//! for the database at once are two calls, and an ORM over a driver is one.

use crate::capi;
use crate::live::Live;
use ioprofiler_core::handle::{RequestHandle, SpanHandle};
use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

/// So many tasks of one request can have a leaf open that may contain another layer's; what begins
/// inside the leaf of a further one is a call of its own.
const LEAVES: usize = 8;

/// What a context is in. Private to this module: users see [`crate::request::Request`].
#[pyclass(frozen, module = "ioprofiler._native")]
pub(crate) struct Current {
    pub(crate) request: RequestHandle,
    /// The open scope that new calls happen in.
    pub(crate) parent: SpanHandle,
    /// The request asked for its profile: calls get their callers.
    pub(crate) asked: bool,
    pub(crate) live: Arc<Live>,
    /// What was current before.
    previous: Option<Py<Current>>,
    /// Its scope or request has ended, so it must not become current again.
    over: AtomicBool,
    leaves: Leaves,
}

/// The open leaves of the tasks that share a [`Current`].
struct Leaves([Cell<(usize, u64)>; LEAVES]);

// SAFETY: touched only by threads that hold the GIL, which this module requires (`gil_used`), and
// never across a call that could release it.
unsafe impl Sync for Leaves {}

static TYPE: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(std::ptr::null_mut());

pub(crate) fn initialise(py: Python<'_>) {
    TYPE.store(py.get_type::<Current>().as_type_ptr(), Ordering::Relaxed);
}

/// Where a leaf was entered; [`Leaves::NOWHERE`] where it is not kept.
pub(crate) type Place = u32;
pub(crate) const NOWHERE: Place = u32::MAX;

impl Current {
    pub(crate) fn of_request(live: &Arc<Live>, previous: Option<Py<Current>>) -> Self {
        Self::new(live, SpanHandle::NONE, previous)
    }

    /// A scope of what is current.
    pub(crate) fn inside(&self, scope: SpanHandle, previous: Py<Current>) -> Self {
        Self::new(&self.live, scope, Some(previous))
    }

    /// The same request and scope, for another context.
    pub(crate) fn at_the_same_place(&self, previous: Option<Py<Current>>) -> Self {
        Self::new(&self.live, self.parent, previous)
    }

    fn new(live: &Arc<Live>, parent: SpanHandle, previous: Option<Py<Current>>) -> Self {
        Self {
            request: live.handle,
            parent,
            asked: live.asked,
            live: Arc::clone(live),
            previous,
            over: AtomicBool::new(false),
            leaves: Leaves([const { Cell::new((0, 0)) }; LEAVES]),
        }
    }

    /// Whether an open leaf of this context takes in all that is called inside it.
    ///
    /// # Safety
    /// The caller is attached.
    #[inline(always)]
    pub(crate) unsafe fn is_opaque(&self) -> bool {
        // SAFETY: passed on.
        let identity = unsafe { capi::context_identity() };
        identity != 0 && self.open_leaf(identity) == Some(SpanHandle::NONE)
    }

    /// The leaf that was put there takes in all that is called inside it.
    pub(crate) fn make_leaf_opaque(&self, place: Place) {
        if let Some(kept) = self.leaves.0.get(place as usize) {
            kept.set((kept.get().0, SpanHandle::NONE.to_bits()));
        }
    }

    /// The leaf that is open in this context, if any: what begins now is part of it; no span is one
    /// that takes in everything.
    #[inline(always)]
    pub(crate) fn open_leaf(&self, identity: usize) -> Option<SpanHandle> {
        let leaf = self.leaves.0.iter().find(|leaf| leaf.get().0 == identity)?;
        Some(SpanHandle::from_bits(leaf.get().1))
    }

    /// A leaf was begun in this context.
    #[inline(always)]
    pub(crate) fn push_leaf(&self, identity: usize, leaf: SpanHandle) -> Place {
        for (place, kept) in self.leaves.0.iter().enumerate() {
            if kept.get().0 == 0 {
                kept.set((identity, leaf.to_bits()));
                return place as Place;
            }
        }
        NOWHERE
    }

    /// The leaf that was put there has ended.
    #[inline(always)]
    pub(crate) fn pop_leaf(&self, place: Place) {
        if let Some(kept) = self.leaves.0.get(place as usize) {
            kept.set((0, 0));
        }
    }
}

/// A [`Current`], held.
pub(crate) struct Held(*mut PyObject);

impl Held {
    /// What this context is in.
    ///
    /// # Safety
    /// The caller is attached, and drops this while attached.
    #[inline(always)]
    pub(crate) unsafe fn now() -> Option<Self> {
        // SAFETY: passed on; a value that is not ours is given back.
        unsafe {
            let value = capi::var_get();
            if value.is_null() {
                return None;
            }
            if ffi::Py_TYPE(value) != TYPE.load(Ordering::Relaxed) {
                ffi::Py_DECREF(value);
                return None;
            }
            Some(Self(value))
        }
    }

    #[inline(always)]
    pub(crate) fn get(&self) -> &Current {
        // SAFETY: the type was looked at, and the object is held; it is frozen, so it is only ever
        // read.
        unsafe { of_pointer(self.0) }
    }

    /// The reference, now the caller's.
    #[inline(always)]
    pub(crate) fn into_ptr(self) -> *mut PyObject {
        let pointer = self.0;
        std::mem::forget(self);
        pointer
    }

    /// # Safety
    /// As [`Held::now`].
    pub(crate) unsafe fn into_py(self) -> Py<Current> {
        // SAFETY: an owned reference of this type; attached.
        unsafe {
            Bound::from_owned_ptr(Python::assume_attached(), self.into_ptr())
                .cast_into_unchecked()
                .unbind()
        }
    }
}

impl Drop for Held {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: attached, by `now`'s promise; the reference is owned.
        unsafe { ffi::Py_DECREF(self.0) };
    }
}

/// # Safety
/// The pointer is to a `Current` that is kept alive for `'a`, and the caller is attached.
#[inline(always)]
pub(crate) unsafe fn of_pointer<'a>(pointer: *mut PyObject) -> &'a Current {
    // SAFETY: passed on.
    unsafe {
        let borrowed = Borrowed::from_ptr(Python::assume_attached(), pointer);
        let current: *const Current = borrowed.cast_unchecked::<Current>().get();
        &*current
    }
}

/// Makes it current, and gives it back to be ended with [`leave`].
pub(crate) fn enter(py: Python<'_>, current: Current) -> PyResult<Py<Current>> {
    let current = Py::new(py, current)?;
    // SAFETY: attached; an object.
    unsafe { capi::var_set(current.as_ptr()) };
    Ok(current)
}

/// A scope or request has ended. What was current before becomes so again, where this one still is:
/// a task that has left its scopes in another order keeps what it is in.
///
/// The saved value is set, never the token: a token is of one context, and a generator that is
/// closed by the garbage collector runs in another.
pub(crate) fn leave(current: &Bound<'_, Current>) {
    let py = current.py();
    current.get().over.store(true, Ordering::Relaxed);
    // SAFETY: attached, here and where it is dropped.
    let Some(now) = (unsafe { Held::now() }) else {
        return;
    };
    if !std::ptr::eq(now.get(), current.get()) {
        return;
    }
    let mut before = current.get().previous.as_ref();
    while let Some(outer) = before {
        if !outer.get().over.load(Ordering::Relaxed) {
            break;
        }
        before = outer.get().previous.as_ref();
    }
    // SAFETY: attached; both are objects.
    unsafe {
        match before {
            Some(outer) => capi::var_set(outer.as_ptr()),
            None => capi::var_set(py.None().as_ptr()),
        }
    }
}

/// What this context is in, as a reference to keep.
pub(crate) fn now(py: Python<'_>) -> Option<Py<Current>> {
    let _ = py;
    // SAFETY: attached.
    unsafe { Held::now().map(|held| held.into_py()) }
}
