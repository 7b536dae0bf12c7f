//! The native module of the Python package `ioprofiler`: `ioprofiler._native`.
//!
//! Private: the package's own modules, written by hand and typed, are what users see. This crate
//! translates types and errors and keeps Python's idea of "current"; what is decided or rendered
//! comes from the core.
//!
//! The hot path ([`span`], [`hooked`], [`call`], [`current`], [`capi`]) talks to CPython by hand;
//! everything else through PyO3. It works with and without the GIL: what threads share is a word
//! each, or behind a lock that is held for a moment and never around a call of Python's.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::unreachable
    )
)]

#[cfg(not(panic = "unwind"))]
compile_error!("ioprofiler must be built with panic=unwind: else a panic of ours ends the host");

mod call;
mod capi;
mod current;
mod flags;
mod guard;
mod hooked;
mod live;
mod metrics;
mod names;
mod notes;
mod pair;
mod profile;
mod profiler;
mod raw;
mod reading;
mod ready;
mod request;
mod said;
mod shade;
mod span;
mod spanning;
mod spare;
mod text;
mod visit;
mod with_itself;

use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;

/// The native part of `ioprofiler`. Private.
#[pymodule(gil_used = false)]
mod _native {
    use super::*;

    #[pymodule_export]
    use crate::call::set_find_caller;
    #[pymodule_export]
    use crate::current::Current;
    #[pymodule_export]
    use crate::flags::{
        Dark, dark_begin, dark_end, decide_flag, decide_flag_for, flag_data, flag_data_for,
    };
    #[pymodule_export]
    use crate::hooked::hooked;
    #[pymodule_export]
    use crate::metrics::{deploy, event};
    #[pymodule_export]
    use crate::notes::current_notes;
    #[pymodule_export]
    use crate::profile::{Call, Kept, Profile};
    #[pymodule_export]
    use crate::profiler::{OptionError, Profiler, advance_clock};
    #[pymodule_export]
    use crate::reading::{CacheServer, hooked_reading};
    #[pymodule_export]
    use crate::request::{
        Entered, Request, context, current_request, define_category, enter_context, in_request,
        is_asked, leave_context, none_request,
    };
    #[pymodule_export]
    use crate::shade::{Shade, begin_shade, context_number, end_shade, in_call, set_is_inside};
    #[pymodule_export]
    use crate::span::set_decorate;
    #[pymodule_export]
    use crate::visit::{Visit, check_this_machine, set_now};

    /// Panics, inside: what the tests prove with that no panic of ours gets out of this very file.
    #[pyfunction]
    fn panic_inside() -> u64 {
        #[expect(clippy::panic, reason = "that is its purpose")]
        guard::guard((), || panic!("a panic for the tests"));
        guard::panics()
    }

    #[pymodule_init]
    fn initialise(module: &Bound<'_, PyModule>) -> PyResult<()> {
        if !request::is_main_interpreter() {
            return Err(PyImportError::new_err(
                "ioprofiler works in the main interpreter only (mod_wsgi: WSGIApplicationGroup %{GLOBAL})",
            ));
        }
        module.add("version", env!("CARGO_PKG_VERSION"))?;
        capi::initialise(module.py())?;
        current::initialise(module.py());
        reading::initialise(module.py());
        span::initialise(module)?;
        spanning::initialise(module)?;
        pair::initialise(module)?;
        crate::flags::initialise(module)?;
        crate::notes::initialise(module)?;
        crate::metrics::initialise(module)?;
        crate::hooked::initialise(module)
    }
}
