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
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};

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
#[derive(Default)]
struct Leaves {
    /// How many places are taken: mostly none, and then there is nothing to look through.
    taken: AtomicUsize,
    places: [Leaf; LEAVES],
}

impl Leaves {
    #[inline(always)]
    fn count(&self, by: isize) {
        #[cfg(not(Py_GIL_DISABLED))]
        {
            let taken = self.taken.load(Ordering::Relaxed);
            self.taken
                .store(taken.wrapping_add_signed(by), Ordering::Relaxed);
        }
        #[cfg(Py_GIL_DISABLED)]
        self.taken.fetch_add(by as usize, Ordering::Relaxed);
    }
}

/// Which leaf is open in a context: only what runs in that context looks at `span`.
#[derive(Default)]
struct Leaf {
    context: AtomicUsize,
    span: AtomicU64,
}

impl Leaf {
    /// Takes the place for a context, where nobody has it.
    #[inline(always)]
    fn take(&self, context: usize) -> bool {
        #[cfg(not(Py_GIL_DISABLED))]
        {
            let free = self.context.load(Ordering::Relaxed) == 0;
            if free {
                self.context.store(context, Ordering::Relaxed);
            }
            free
        }
        #[cfg(Py_GIL_DISABLED)]
        self.context
            .compare_exchange(0, context, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }
}

/// What is open in a context, for a call that begins there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Inside {
    /// No other call.
    Nothing,
    /// A leaf: what begins is a part of it.
    Leaf(SpanHandle),
    /// A leaf that takes in all that is called inside it.
    Opaque,
    /// A span of another library, which takes in what begins inside it: see [`crate::shade`].
    Shade,
}

/// In the place of a leaf's handle: neither is one.
const OPAQUE: u64 = 0;
const SHADE: u64 = 1;

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
            leaves: Leaves::default(),
        }
    }

    /// Whether an open leaf of this context takes in all that is called inside it.
    ///
    /// # Safety
    /// The caller is attached.
    #[inline(always)]
    pub(crate) unsafe fn is_opaque(&self) -> bool {
        // Mostly: then it does not matter which context this is.
        if self.leaves.taken.load(Ordering::Relaxed) == 0 {
            return false;
        }
        // SAFETY: passed on.
        let identity = unsafe { capi::context_identity() };
        identity != 0 && self.inside_of(identity) == Inside::Opaque
    }

    /// The leaf that was put there takes in all that is called inside it.
    pub(crate) fn make_leaf_opaque(&self, place: Place) {
        if let Some(kept) = self.leaves.places.get(place as usize) {
            kept.span.store(OPAQUE, Ordering::Relaxed);
        }
    }

    /// What is open in this context: what begins now may be a part of it.
    #[inline(always)]
    pub(crate) fn inside_of(&self, identity: usize) -> Inside {
        if self.leaves.taken.load(Ordering::Relaxed) == 0 {
            return Inside::Nothing;
        }
        for leaf in &self.leaves.places {
            if leaf.context.load(Ordering::Relaxed) == identity {
                return match leaf.span.load(Ordering::Relaxed) {
                    OPAQUE => Inside::Opaque,
                    SHADE => self.below_a_shade(identity),
                    span => Inside::Leaf(SpanHandle::from_bits(span)),
                };
            }
        }
        Inside::Nothing
    }

    /// A leaf of ours that is open is nearer than any shade.
    #[cold]
    fn below_a_shade(&self, identity: usize) -> Inside {
        for leaf in &self.leaves.places {
            if leaf.context.load(Ordering::Relaxed) == identity {
                match leaf.span.load(Ordering::Relaxed) {
                    OPAQUE => return Inside::Opaque,
                    SHADE => {}
                    span => return Inside::Leaf(SpanHandle::from_bits(span)),
                }
            }
        }
        Inside::Shade
    }

    /// A leaf was begun in this context.
    #[inline(always)]
    pub(crate) fn push_leaf(&self, identity: usize, leaf: SpanHandle) -> Place {
        self.push(identity, leaf.to_bits())
    }

    /// A span of another library was.
    pub(crate) fn push_shade(&self, identity: usize) -> Place {
        self.push(identity, SHADE)
    }

    #[inline(always)]
    fn push(&self, identity: usize, span: u64) -> Place {
        for (place, kept) in self.leaves.places.iter().enumerate() {
            if kept.take(identity) {
                self.leaves.count(1);
                kept.span.store(span, Ordering::Relaxed);
                return place as Place;
            }
        }
        NOWHERE
    }

    /// The leaf that was put there has ended.
    #[inline(always)]
    pub(crate) fn pop_leaf(&self, place: Place) {
        if let Some(kept) = self.leaves.places.get(place as usize) {
            self.leaves.count(-1);
            kept.context.store(0, Ordering::Release);
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
