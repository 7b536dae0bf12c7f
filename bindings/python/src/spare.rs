//! Spans that were thrown away, to be used again: half of what a new object costs is its memory.

#[cfg(not(Py_GIL_DISABLED))]
pub(crate) use with_gil::{keep, take};
#[cfg(Py_GIL_DISABLED)]
pub(crate) use without_gil::{keep, take};

#[cfg(not(Py_GIL_DISABLED))]
mod with_gil {
    use pyo3::ffi::PyObject;
    use std::cell::UnsafeCell;

    const MOST: usize = 256;

    struct Spares(UnsafeCell<Vec<*mut PyObject>>);
    // SAFETY: touched only with the GIL held, and for a push or a pop.
    unsafe impl Sync for Spares {}

    static SPARES: Spares = Spares(UnsafeCell::new(Vec::new()));

    /// The memory of a span.
    ///
    /// # Safety
    /// The caller holds the GIL.
    #[inline(always)]
    pub(crate) unsafe fn take() -> Option<*mut PyObject> {
        // SAFETY: with the GIL this is the only reference.
        unsafe { (*SPARES.0.get()).pop() }
    }

    /// Keeps the memory of a span; `false` where there is enough.
    ///
    /// # Safety
    /// The caller holds the GIL; the object is a span without references.
    #[inline(always)]
    pub(crate) unsafe fn keep(object: *mut PyObject) -> bool {
        // SAFETY: as in `take`.
        let spares = unsafe { &mut *SPARES.0.get() };
        let room = spares.len() < MOST;
        if room {
            spares.push(object);
        }
        room
    }
}

/// Memory goes back to the interpreter, whose allocator has some for each thread.
#[cfg(Py_GIL_DISABLED)]
mod without_gil {
    use pyo3::ffi::PyObject;

    pub(crate) unsafe fn take() -> Option<*mut PyObject> {
        None
    }

    pub(crate) unsafe fn keep(_: *mut PyObject) -> bool {
        false
    }
}
