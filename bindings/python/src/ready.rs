//! An awaitable that is done: what `async with` awaits.

use pyo3::exceptions::PyStopIteration;
use pyo3::prelude::*;

#[pyclass(frozen, module = "ioprofiler._native")]
pub(crate) struct Ready {
    value: Py<PyAny>,
}

impl Ready {
    pub(crate) fn new(value: Py<PyAny>) -> Self {
        Self { value }
    }

    /// One, for a function that CPython calls: null, and an exception, where there is no memory.
    pub(crate) fn pointer(value: Bound<'_, PyAny>) -> *mut pyo3::ffi::PyObject {
        let py = value.py();
        match Py::new(py, Self::new(value.unbind())) {
            Ok(ready) => ready.into_ptr(),
            Err(error) => {
                error.restore(py);
                std::ptr::null_mut()
            }
        }
    }
}

#[pymethods]
impl Ready {
    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<()> {
        Err(PyStopIteration::new_err((self.value.clone_ref(py),)))
    }
}
