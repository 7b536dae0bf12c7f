//! A request that Python code holds: by the handle that calls go through, and by the request itself
//! until it ends.

use ioprofiler_core::handle::RequestHandle;
use ioprofiler_core::{Profile, Request};
use pyo3::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

/// A request under observation, shared by everybody in Python who has to do with it.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) handle: RequestHandle,
    pub(crate) asked: bool,
    /// Until it ends: so that a context which outlives its request (a task that it started, and
    /// that runs for ever) keeps none of its memory. Locked only with the GIL held, and for a
    /// moment.
    request: Mutex<Option<Request>>,
    /// Who the request is about is asked of the application before the first flag is decided.
    context: Mutex<Option<Py<PyAny>>>,
    has_context: AtomicBool,
}

impl Live {
    pub(crate) fn new(request: Request, asked: bool) -> Self {
        Self {
            handle: RequestHandle::of(&request),
            asked,
            request: Mutex::new(Some(request).filter(|request| !request.is_none())),
            context: Mutex::new(None),
            has_context: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Request>> {
        self.request
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The request while it is open; else the one that does nothing.
    pub(crate) fn request(&self) -> Request {
        self.lock().clone().unwrap_or_default()
    }

    pub(crate) fn is_open(&self) -> bool {
        self.lock().is_some()
    }

    /// The application's callable that says who the request is about.
    pub(crate) fn set_context(&self, context: Py<PyAny>) {
        *self.lock_context() = Some(context);
        self.has_context.store(true, Ordering::Release);
    }

    fn lock_context(&self) -> MutexGuard<'_, Option<Py<PyAny>>> {
        self.context
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    #[inline(always)]
    pub(crate) fn has_context(&self) -> bool {
        self.has_context.load(Ordering::Relaxed)
    }

    /// The callable, once.
    pub(crate) fn take_context(&self) -> Option<Py<PyAny>> {
        self.has_context.store(false, Ordering::Release);
        self.lock_context().take()
    }

    /// Ends it, the first time; later there is nothing to be had.
    pub(crate) fn end(&self, how: impl FnOnce(&Request) -> Profile) -> Profile {
        let request = self.lock().take();
        drop(self.take_context());
        request.as_ref().map(how).unwrap_or_default()
    }
}
