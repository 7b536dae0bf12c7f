//! The least that a context manager made with PyO3 can cost: a new, empty instance each time.

use pyo3::prelude::*;

/// A context manager that does nothing.
#[pyclass(frozen)]
struct Empty;

#[pymethods]
impl Empty {
    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (_kind, _error, _trace))]
    fn __exit__(
        &self,
        _kind: &Bound<'_, PyAny>,
        _error: &Bound<'_, PyAny>,
        _trace: &Bound<'_, PyAny>,
    ) {
    }
}

/// A new one, of arguments that it does not look at.
#[pyfunction]
fn empty(_category: &Bound<'_, PyAny>, _detail: &Bound<'_, PyAny>) -> Empty {
    Empty
}

/// A function that does nothing.
#[pyfunction]
fn nothing() {}

/// The least that things can cost.
#[pymodule(gil_used = true)]
mod ioprofiler_floor {
    #[pymodule_export]
    use super::{Empty, empty, nothing};
}
