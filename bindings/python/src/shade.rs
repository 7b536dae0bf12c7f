//! Spans of another library's that are calls of ours: OpenTelemetry's client spans.
//!
//! Such a call is recorded when it is over, because only then it says what it was. Until then it is
//! a **shade** on the context that began it: what hooked libraries do inside it is part of it. A span
//! may also be open without anything being inside it (it was begun for later), which only its own
//! library knows: it is asked, each time that a call begins in the shade of one.

use crate::capi::context_identity;
use crate::current::{self, Current, Inside, NOWHERE, Place};
use crate::guard::guard;
use pyo3::ffi::PyObject;
use pyo3::prelude::*;
use std::sync::atomic::{AtomicPtr, Ordering};

static IS_INSIDE: AtomicPtr<PyObject> = AtomicPtr::new(std::ptr::null_mut());

/// One open span of another library's.
#[pyclass(frozen, module = "ioprofiler._native")]
pub(crate) struct Shade {
    current: Py<Current>,
    place: Place,
}

/// The function that says whether what begins now is inside an open span of the other library's; it
/// gets the detail.
#[pyfunction]
pub(crate) fn set_is_inside(is_inside: Bound<'_, PyAny>) {
    IS_INSIDE.store(is_inside.into_ptr(), Ordering::Relaxed);
}

/// Whether a call of ours that begins now is inside another library's span, which hears its detail.
///
/// # Safety
/// The caller is attached, and `detail` is null or an object.
#[cold]
pub(crate) unsafe fn takes_in(detail: *mut PyObject) -> bool {
    let is_inside = IS_INSIDE.load(Ordering::Relaxed);
    if is_inside.is_null() {
        return false;
    }
    // SAFETY: passed on; what was stored is an object that is never released.
    let (is_inside, detail) = unsafe {
        let py = Python::assume_attached();
        (
            Bound::from_borrowed_ptr(py, is_inside),
            Bound::from_borrowed_ptr_or_opt(py, detail),
        )
    };
    is_inside
        .call1((detail,))
        .and_then(|answer| answer.is_truthy())
        .unwrap_or(false)
}

/// Whether a call of ours is open in this context: what another library says of it now is a part of it.
#[pyfunction]
pub(crate) fn in_call(py: Python<'_>) -> bool {
    guard(false, || {
        // SAFETY: a `#[pyfunction]` runs attached.
        let identity = unsafe { context_identity() };
        let inside = |now: Py<Current>| now.get().inside_of(identity);
        identity != 0
            && matches!(
                current::now(py).map(inside),
                Some(Inside::Leaf(_) | Inside::Opaque)
            )
    })
}

/// Which task, greenlet or thread this is; 0 where that is not known.
#[pyfunction]
pub(crate) fn context_number() -> usize {
    // SAFETY: a `#[pyfunction]` runs attached.
    unsafe { context_identity() }
}

/// A span of another library's begins in this context; `None` where there is no request.
#[pyfunction]
pub(crate) fn begin_shade(py: Python<'_>) -> Option<Shade> {
    guard(None, || {
        let current = current::now(py)?;
        // SAFETY: as above.
        let identity = unsafe { context_identity() };
        let place = if identity == 0 {
            NOWHERE
        } else {
            current.get().push_shade(identity)
        };
        Some(Shade { current, place })
    })
}

/// It ends, in whatever context.
#[pyfunction]
pub(crate) fn end_shade(shade: &Shade) {
    guard((), || shade.current.get().pop_leaf(shade.place));
}
