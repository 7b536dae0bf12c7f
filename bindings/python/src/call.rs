//! Begin and end of one call: the hot path, shared by spans and hooked functions.

use crate::capi::context_identity;
use crate::current::{self, Current, Held, Inside, NOWHERE, Place};
use crate::names::Known;
use crate::raw::without_exception;
use crate::shade;
use crate::text::with_bytes;
use ioprofiler_core::Outcome;
use ioprofiler_core::category::{self, CategoryId, Dialect, Kind};
use ioprofiler_core::handle::{self, Site, SpanHandle};
use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;
use std::sync::atomic::{AtomicPtr, Ordering};

/// A call that was begun and is to be ended.
pub(crate) struct Open {
    pub(crate) span: SpanHandle,
    /// A reference to the `Current` it was begun in.
    current: *mut PyObject,
    place: Place,
}

impl Open {
    /// Begins a leaf in what this context is in; `None` where there is nothing, or nothing is
    /// recorded. `detail` may be null.
    ///
    /// # Safety
    /// The caller is attached, no exception is set, and the result is ended while attached.
    #[inline(always)]
    pub(crate) unsafe fn begin(category: CategoryId, detail: *mut PyObject) -> Option<Self> {
        // SAFETY: passed on.
        unsafe {
            let Some(held) = Held::now() else {
                handle::count_outside();
                return None;
            };
            Self::begin_in(held, category, detail)
        }
    }

    /// As [`Open::begin`], where what this context is in is known already.
    ///
    /// # Safety
    /// As [`Open::begin`].
    #[inline(always)]
    pub(crate) unsafe fn begin_in(
        held: Held,
        category: CategoryId,
        detail: *mut PyObject,
    ) -> Option<Self> {
        // SAFETY: passed on.
        unsafe {
            let now = held.get();
            let site = if now.asked { caller() } else { Site::NONE };
            let identity = context_identity();
            let inside = if identity == 0 {
                Inside::Nothing
            } else {
                now.inside_of(identity)
            };
            let parent = match inside {
                Inside::Nothing => now.parent,
                Inside::Leaf(outer) => outer,
                Inside::Opaque => return None,
                Inside::Shade if shade::takes_in(detail) => return None,
                Inside::Shade => now.parent,
            };
            let span = if detail.is_null() {
                now.request.span(category, b"", parent, site)
            } else {
                with_bytes(detail, |detail| {
                    now.request.span(category, detail, parent, site)
                })
            };
            if span == SpanHandle::NONE {
                return None;
            }
            let place = if identity == 0 || matches!(inside, Inside::Leaf(_)) {
                NOWHERE
            } else {
                now.push_leaf(identity, span)
            };
            Some(Self {
                span,
                current: held.into_ptr(),
                place,
            })
        }
    }

    /// Ends it.
    ///
    /// # Safety
    /// The caller is attached.
    #[inline(always)]
    pub(crate) unsafe fn end(self, outcome: Outcome) {
        self.span.end(outcome);
        // SAFETY: the reference is owned since `begin`.
        unsafe {
            current::of_pointer(self.current).pop_leaf(self.place);
            ffi::Py_DECREF(self.current);
        }
    }

    /// What begins inside it is not recorded.
    ///
    /// # Safety
    /// The caller is attached.
    pub(crate) unsafe fn make_opaque(&self) {
        // SAFETY: the reference is owned since `begin`.
        unsafe { current::of_pointer(self.current).make_leaf_opaque(self.place) };
    }

    pub(crate) const fn none() -> Self {
        Self {
            span: SpanHandle::NONE,
            current: std::ptr::null_mut(),
            place: NOWHERE,
        }
    }
}

/// Begins a scope in what this context is in, and makes it current.
///
/// # Safety
/// As [`Open::begin`].
pub(crate) unsafe fn begin_scope(
    category: CategoryId,
    detail: *mut PyObject,
) -> Option<(SpanHandle, Py<Current>)> {
    // SAFETY: passed on.
    unsafe {
        let Some(held) = Held::now() else {
            handle::count_outside();
            return None;
        };
        let now = held.get();
        let site = if now.asked { caller() } else { Site::NONE };
        let begin = |detail: &[u8]| now.request.span(category, detail, now.parent, site);
        let span = if detail.is_null() {
            begin(b"")
        } else {
            with_bytes(detail, begin)
        };
        if span == SpanHandle::NONE {
            return None;
        }
        let py = Python::assume_attached();
        let outer = held.into_py();
        let inside = outer.get().inside(span, outer.clone_ref(py));
        match current::enter(py, inside) {
            Ok(inside) => Some((span, inside)),
            Err(_) => {
                // No memory for it: the scope is over as it begins.
                span.end(Outcome::Cancelled);
                None
            }
        }
    }
}

/// How a call ended that raised what is now set as exception: a task that was cancelled, or a
/// generator that nobody asks for more, has not failed.
///
/// # Safety
/// The caller is attached, and an exception is set.
#[cold]
pub(crate) unsafe fn outcome_of_raised() -> Outcome {
    // SAFETY: attached; borrowed, and kept by the thread while nobody clears it.
    let kind = unsafe { ffi::PyErr_Occurred() };
    // SAFETY: passed on.
    unsafe { outcome_of_kind(kind) }
}

/// As [`outcome_of_raised`], of the exception's class; `None` is no exception.
///
/// # Safety
/// The caller is attached, and `kind` is null or an object.
#[inline(always)]
pub(crate) unsafe fn outcome_of_kind(kind: *mut PyObject) -> Outcome {
    // SAFETY: attached.
    unsafe {
        if kind.is_null() || ffi::Py_IsNone(kind) != 0 {
            return Outcome::Ok;
        }
        outcome_of_error(kind)
    }
}

#[cold]
unsafe fn outcome_of_error(kind: *mut PyObject) -> Outcome {
    // SAFETY: attached, and a class. An exception that is set is put back.
    unsafe {
        if ffi::PyErr_GivenExceptionMatches(kind, ffi::PyExc_GeneratorExit) != 0 {
            return Outcome::Cancelled;
        }
        let py = Python::assume_attached();
        // Where nobody has imported asyncio, nothing of its can have been raised.
        let is_cancelled = without_exception(|| {
            let modules = Borrowed::from_ptr(py, ffi::PyImport_GetModuleDict());
            modules
                .get_item(pyo3::intern!(py, "asyncio.exceptions"))
                .and_then(|module| module.getattr(pyo3::intern!(py, "CancelledError")))
                .is_ok_and(|class| ffi::PyErr_GivenExceptionMatches(kind, class.as_ptr()) != 0)
        });
        if is_cancelled {
            Outcome::Cancelled
        } else {
            Outcome::Error
        }
    }
}

static FIND_CALLER: AtomicPtr<PyObject> = AtomicPtr::new(std::ptr::null_mut());

/// The function that finds the application's own frame: answers its file and line, or `None`.
#[pyfunction]
pub(crate) fn set_find_caller(find: Bound<'_, PyAny>) {
    FIND_CALLER.store(find.into_ptr(), Ordering::Relaxed);
}

/// The application's own line that makes this call; only of requests that asked.
#[cold]
fn caller() -> Site {
    let find = FIND_CALLER.load(Ordering::Relaxed);
    if find.is_null() {
        return Site::NONE;
    }
    // SAFETY: called attached only; what was stored is an object that is never released.
    let find = unsafe { Bound::from_borrowed_ptr(Python::assume_attached(), find) };
    match find
        .call0()
        .and_then(|found| found.extract::<(String, u32)>())
    {
        Ok((file, line)) => Site::intern(&file, line),
        Err(_) => Site::NONE,
    }
}

static LEAVES: Known = Known::new();
static SCOPES: Known = Known::new();

fn known(kind: Kind) -> &'static Known {
    match kind {
        Kind::Leaf => &LEAVES,
        Kind::Scope => &SCOPES,
    }
}

/// The category of a name, which may be any object; of a new name, of this kind.
///
/// # Safety
/// The caller is attached, `name` is an object, and no exception is set.
#[inline(always)]
pub(crate) unsafe fn category(name: *mut PyObject, kind: Kind) -> CategoryId {
    match known(kind).find(name) {
        Some(number) => CategoryId::from_number(u32::from(number)),
        // SAFETY: passed on.
        None => unsafe { new_category(name, kind) },
    }
}

#[cold]
unsafe fn new_category(name: *mut PyObject, kind: Kind) -> CategoryId {
    // SAFETY: passed on.
    unsafe {
        let found = with_bytes(name, |name| {
            let dialect = match kind {
                Kind::Scope => Dialect::Path,
                Kind::Leaf => Dialect::Generic,
            };
            category::intern(&String::from_utf8_lossy(name), kind, dialect)
        });
        known(kind).keep(name, found.number());
        found
    }
}
