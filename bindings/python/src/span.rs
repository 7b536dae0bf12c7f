//! The object that `span()` and `scope()` give.
//!
//! A `Span` is a context manager, a decorator and the place where counts of a call are set. It is an
//! object of its own each time, so spans may end in any order; the last few hundred that were thrown
//! away are used again.

use crate::call::{self, Open};
use crate::capi::{HAVE_VECTORCALL, Vectorcall, positional, vectorcall_call};
use crate::current::{self, Current};
use crate::guard::{count_misuse, guard};
use crate::raw::{
    again, make_type, no_arguments, none, offset_member, one_argument, slot, without_exception,
};
use crate::ready::Ready;
use crate::said;
use crate::spare;
use crate::text::with_bytes;
use crate::with_itself;
use ioprofiler_core::Outcome;
use ioprofiler_core::category::{CategoryId, Kind};
use ioprofiler_core::handle::SpanHandle;
use pyo3::ffi::{self, Py_ssize_t, PyObject};
use pyo3::prelude::*;
#[cfg(Py_GIL_DISABLED)]
use std::sync::atomic::AtomicBool;
use std::sync::atomic::{AtomicPtr, Ordering};

#[repr(C)]
struct Object {
    head: PyObject,
    vectorcall: Vectorcall,
    category: CategoryId,
    /// What the call is; null is nothing.
    detail: *mut PyObject,
    target: *mut PyObject,
    /// A thread is at the state: see [`own`].
    #[cfg(Py_GIL_DISABLED)]
    busy: AtomicBool,
    state: State,
}

/// What changes of a span.
struct State {
    open: Open,
    /// The scope that this opened.
    scope: Option<Py<Current>>,
    /// Entered once more while it was open: so many ends mean nothing.
    again: u32,
    /// It was said to have failed, whatever is raised.
    failed: bool,
}

impl State {
    const NEW: Self = Self {
        open: Open::none(),
        scope: None,
        again: 0,
        failed: false,
    };
}

static TYPE: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(std::ptr::null_mut());
static DECORATE: AtomicPtr<PyObject> = AtomicPtr::new(std::ptr::null_mut());

pub(crate) fn initialise(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let methods = vec![
        no_arguments(c"__aenter__", enter_async, c"Begins the call."),
        crate::raw::positional(c"__aexit__", exit_async, c"Ends the call."),
        one_argument(
            c"rows",
            said::rows,
            c"rows($self, count, /)\n--\n\nHow many rows were returned or changed.",
        ),
        one_argument(
            c"hits",
            said::hits,
            c"hits($self, count, /)\n--\n\nHow many keys were found.",
        ),
        one_argument(
            c"misses",
            said::misses,
            c"misses($self, count, /)\n--\n\nHow many keys were not found.",
        ),
        one_argument(
            c"bytes",
            said::bytes,
            c"bytes($self, count, /)\n--\n\nHow many bytes were read or written.",
        ),
        one_argument(
            c"detail",
            said::detail,
            c"detail($self, text, /)\n--\n\nReplaces the detail.",
        ),
        one_argument(
            c"target",
            said::target,
            c"target($self, text, /)\n--\n\nWhich server or file the call goes to.",
        ),
        no_arguments(
            c"_pause",
            pause,
            c"The generator that this scope is yields: what runs now is not in it.",
        ),
        no_arguments(c"_resume", resume, c"The generator runs on."),
        no_arguments(
            c"_copy",
            copy,
            c"Another one of the same category, detail and target.",
        ),
        no_arguments(
            c"error",
            said::error,
            c"error($self, /)\n--\n\nThe call has failed, though nothing is raised.",
        ),
    ];
    let slots = vec![
        slot(ffi::Py_tp_dealloc, dealloc as *mut _),
        slot(ffi::Py_tp_call, vectorcall_call()?),
        slot(ffi::Py_nb_bool, is_recording as *mut _),
        slot(
            ffi::Py_tp_doc,
            c"One timed call: a context manager and a decorator.".as_ptr() as *mut _,
        ),
    ];
    let kind = make_type(
        py,
        c"ioprofiler.Span",
        size_of::<Object>(),
        ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION | HAVE_VECTORCALL,
        methods,
        vec![offset_member(
            c"__vectorcalloffset__",
            std::mem::offset_of!(Object, vectorcall),
        )],
        slots,
    )?;
    let [enter, exit] = with_itself::make(py)?;
    kind.setattr("__enter__", enter)?;
    kind.setattr("__exit__", exit)?;
    TYPE.store(kind.as_ptr().cast(), Ordering::Relaxed);
    module.add("Span", &kind)?;
    std::mem::forget(kind);
    Ok(())
}

/// The function that decorates what a span is called with.
#[pyfunction]
pub(crate) fn set_decorate(decorate: Bound<'_, PyAny>) {
    DECORATE.store(decorate.into_ptr(), Ordering::Relaxed);
}

/// A new, empty one; null and an exception where there is no memory.
///
/// # Safety
/// The caller is attached.
#[inline(always)]
unsafe fn make(category: CategoryId) -> *mut Object {
    let kind = TYPE.load(Ordering::Relaxed);
    // SAFETY: attached. A spare one was left without references by `dealloc`, and is made an object
    // again by `PyObject_Init`; a fresh one is zeroed memory of this type's size.
    unsafe {
        let object = match spare::take() {
            Some(spare) => ffi::PyObject_Init(spare, kind),
            None => ffi::PyType_GenericAlloc(kind, 0),
        }
        .cast::<Object>();
        if !object.is_null() {
            (&raw mut (*object).vectorcall).write(call_span);
            (&raw mut (*object).category).write(category);
            (&raw mut (*object).detail).write(std::ptr::null_mut());
            (&raw mut (*object).target).write(std::ptr::null_mut());
            #[cfg(Py_GIL_DISABLED)]
            (&raw mut (*object).busy).write(AtomicBool::new(false));
            (&raw mut (*object).state).write(State::NEW);
        }
        object
    }
}

unsafe extern "C" fn dealloc(object: *mut PyObject) {
    // SAFETY: called by CPython for an object of this type whose last reference is gone.
    unsafe {
        let this = &mut *object.cast::<Object>();
        let state = &mut this.state;
        if state.open.span != SpanHandle::NONE || state.scope.is_some() {
            // Thrown away while open: a generator that nobody asked for more. Whoever threw it
            // away may do so because of an exception.
            without_exception(|| guard((), || finish(state, Outcome::Cancelled)));
        }
        ffi::Py_XDECREF(std::mem::replace(&mut this.detail, std::ptr::null_mut()));
        ffi::Py_XDECREF(std::mem::replace(&mut this.target, std::ptr::null_mut()));
        let kind = ffi::Py_TYPE(object);
        if !spare::keep(object) {
            ffi::PyObject_Free(object.cast());
        }
        ffi::Py_DECREF(kind.cast());
    }
}

/// Runs with the state of a span as this thread's own. Without a GIL two threads may use one span at
/// once, which is misuse: the second one finds it busy, and nothing happens.
///
/// # Safety
/// The caller is attached, and `object` is a span. `body` does not use this span's state otherwise.
#[inline(always)]
unsafe fn own<R>(object: *mut PyObject, instead: R, body: impl FnOnce(&mut State) -> R) -> R {
    let object = object.cast::<Object>();
    #[cfg(Py_GIL_DISABLED)]
    {
        // SAFETY: the field is only ever used as an atomic.
        let busy = unsafe { AtomicBool::from_ptr((&raw mut (*object).busy).cast()) };
        if busy.swap(true, Ordering::Acquire) {
            count_misuse();
            return instead;
        }
        // SAFETY: whoever is not busy keeps away from it.
        let answer = body(unsafe { &mut (*object).state });
        busy.store(false, Ordering::Release);
        answer
    }
    #[cfg(not(Py_GIL_DISABLED))]
    {
        let _ = instead;
        // SAFETY: with the GIL this is the only reference, by the caller's promise.
        body(unsafe { &mut (*object).state })
    }
}

/// Begins the call.
///
/// # Safety
/// The caller is attached, and no exception is set; category, detail and target are this span's.
#[inline(always)]
unsafe fn start(
    state: &mut State,
    category: CategoryId,
    detail: *mut PyObject,
    target: *mut PyObject,
) {
    if state.open.span != SpanHandle::NONE {
        count_misuse();
        state.again += 1;
        return;
    }
    // SAFETY: passed on; detail and target are null or references of the span's.
    unsafe {
        if category.kind() == Kind::Scope {
            if let Some((span, scope)) = call::begin_scope(category, detail) {
                state.open.span = span;
                state.scope = Some(scope);
            }
        } else if let Some(open) = Open::begin(category, detail) {
            state.open = open;
        }
        if !target.is_null() && state.open.span != SpanHandle::NONE {
            with_bytes(target, |target| state.open.span.target(target));
        }
    }
}

/// Ends the call, if it is open.
///
/// # Safety
/// The caller is attached.
#[inline(always)]
unsafe fn finish(state: &mut State, outcome: Outcome) {
    if state.again > 0 {
        state.again -= 1;
        return;
    }
    let open = std::mem::replace(&mut state.open, Open::none());
    if open.span == SpanHandle::NONE {
        return;
    }
    let failed = std::mem::replace(&mut state.failed, false);
    let outcome = if failed { Outcome::Error } else { outcome };
    // SAFETY: passed on.
    unsafe {
        if state.scope.is_some() {
            end_scope(state, open.span, outcome);
        } else {
            open.end(outcome);
        }
    }
}

#[inline(never)]
unsafe fn end_scope(state: &mut State, span: SpanHandle, outcome: Outcome) {
    span.end(outcome);
    if let Some(scope) = state.scope.take() {
        // SAFETY: attached, by the caller's promise. An exception may be set, and stays.
        let py = unsafe { Python::assume_attached() };
        current::leave(scope.bind(py));
    }
}

/// A new span of a category. `detail` and `target` may be null.
///
/// # Safety
/// The caller is attached, and they are null or objects.
#[inline(always)]
pub(crate) unsafe fn new(
    category: CategoryId,
    detail: *mut PyObject,
    target: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: passed on.
    unsafe {
        let object = make(category);
        if !object.is_null() {
            if !detail.is_null() {
                (*object).detail = again(detail);
            }
            if !target.is_null() && ffi::Py_IsNone(target) == 0 {
                (*object).target = again(target);
            }
        }
        object.cast()
    }
}

/// What calling a span is, by the number of arguments: it is entered with none and left with three
/// (see [`with_itself`]), and decorates one function.
unsafe extern "C" fn call_span(
    object: *mut PyObject,
    arguments: *const *mut PyObject,
    count_and_flag: usize,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by CPython with an object of this type and the arguments of a vectorcall.
    unsafe {
        match positional(count_and_flag) {
            _ if !names.is_null() => {}
            0 => return enter(object, std::ptr::null_mut()),
            1 => return decorate(object, *arguments),
            3 => return exit(object, arguments.cast_mut(), 3),
            _ => {}
        }
        let message = c"a span decorates one function: @span(\"category\")";
        ffi::PyErr_SetString(ffi::PyExc_TypeError, message.as_ptr());
        std::ptr::null_mut()
    }
}

pub(crate) unsafe extern "C" fn enter(object: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with an object of this type.
    unsafe {
        let this = object.cast::<Object>();
        let (category, detail, target) = ((*this).category, (*this).detail, (*this).target);
        guard((), || {
            own(object, (), |state| start(state, category, detail, target));
        });
        again(object)
    }
}

pub(crate) unsafe extern "C" fn exit(
    object: *mut PyObject,
    arguments: *mut *mut PyObject,
    count: Py_ssize_t,
) -> *mut PyObject {
    // SAFETY: called by CPython with an object of this type and `count` arguments.
    unsafe {
        guard((), || {
            let raised = if count > 0 {
                *arguments
            } else {
                std::ptr::null_mut()
            };
            own(object, (), |state| {
                finish(state, call::outcome_of_kind(raised));
            });
        });
        none()
    }
}

unsafe extern "C" fn enter_async(object: *mut PyObject, arguments: *mut PyObject) -> *mut PyObject {
    // SAFETY: as in `enter`.
    unsafe {
        let entered = enter(object, arguments);
        Ready::pointer(Bound::from_owned_ptr(Python::assume_attached(), entered))
    }
}

unsafe extern "C" fn exit_async(
    object: *mut PyObject,
    arguments: *mut *mut PyObject,
    count: Py_ssize_t,
) -> *mut PyObject {
    // SAFETY: as in `exit`.
    unsafe {
        let nothing = exit(object, arguments, count);
        Ready::pointer(Bound::from_owned_ptr(Python::assume_attached(), nothing))
    }
}

/// # Safety
/// The caller is attached, and it is an object.
#[inline(always)]
pub(crate) unsafe fn is_span(object: *mut PyObject) -> bool {
    // SAFETY: passed on.
    unsafe { ffi::Py_TYPE(object) == TYPE.load(Ordering::Relaxed) }
}

/// The open call of a span; none where it is not open.
///
/// # Safety
/// The caller is attached, and `object` is a span.
pub(crate) unsafe fn open_call(object: *mut PyObject) -> SpanHandle {
    // SAFETY: passed on.
    unsafe { own(object, SpanHandle::NONE, |state| state.open.span) }
}

/// The call has failed, if it is open.
///
/// # Safety
/// The caller is attached, and `object` is a span.
pub(crate) unsafe fn fail(object: *mut PyObject) {
    // SAFETY: passed on.
    unsafe {
        own(object, (), |state| {
            state.failed = state.open.span != SpanHandle::NONE;
        });
    }
}

unsafe extern "C" fn is_recording(object: *mut PyObject) -> std::ffi::c_int {
    // SAFETY: called by CPython with an object of this type.
    unsafe { (open_call(object) != SpanHandle::NONE).into() }
}

unsafe extern "C" fn copy(object: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with an object of this type; its references are its own.
    unsafe {
        let this = object.cast::<Object>();
        let new = make((*this).category);
        if !new.is_null() {
            for (from, to) in [
                ((*this).detail, &raw mut (*new).detail),
                ((*this).target, &raw mut (*new).target),
            ] {
                if !from.is_null() {
                    to.write(again(from));
                }
            }
        }
        new.cast()
    }
}

unsafe extern "C" fn pause(object: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by CPython with an object of this type, attached.
    unsafe {
        guard((), || {
            if let Some(scope) = own(object, None, |state| state.scope.take()) {
                current::leave(scope.bind(Python::assume_attached()));
            }
        });
        none()
    }
}

unsafe extern "C" fn resume(object: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: as in `pause`.
    unsafe {
        guard((), || {
            let py = Python::assume_attached();
            own(object, (), |state| {
                if state.open.span == SpanHandle::NONE || state.scope.is_some() {
                    return;
                }
                if let Some(outer) = current::now(py) {
                    let inside = outer.get().inside(state.open.span, outer.clone_ref(py));
                    state.scope = current::enter(py, inside).ok();
                }
            });
        });
        none()
    }
}

/// # Safety
/// The caller is attached, and both are objects, the first a span.
unsafe fn decorate(object: *mut PyObject, function: *mut PyObject) -> *mut PyObject {
    // SAFETY: passed on; what was stored in `DECORATE` is never released.
    unsafe {
        let decorate = DECORATE.load(Ordering::Relaxed);
        if decorate.is_null() {
            return again(function);
        }
        let this = object.cast::<Object>();
        let or_none = |object: *mut PyObject| {
            if object.is_null() {
                ffi::Py_None()
            } else {
                object
            }
        };
        let py = Python::assume_attached();
        let name = pyo3::types::PyString::new(py, (*this).category.name());
        let is_scope = pyo3::types::PyBool::new(py, (*this).category.kind() == Kind::Scope);
        ffi::PyObject_CallFunctionObjArgs(
            decorate,
            function,
            object,
            name.as_ptr(),
            or_none((*this).detail),
            is_scope.as_ptr(),
            std::ptr::null_mut::<PyObject>(),
        )
    }
}

/// The span of a call that was begun without one; null, and an exception, where there is no memory.
///
/// # Safety
/// The caller is attached.
#[inline(always)]
pub(crate) unsafe fn of_open(open: Open) -> *mut PyObject {
    // SAFETY: passed on; nobody else has the new object yet.
    unsafe {
        let object = make(CategoryId::from_number(0));
        if object.is_null() {
            open.end(Outcome::Cancelled);
        } else {
            (*object).state.open = open;
        }
        object.cast()
    }
}

/// Ends the call of a span, if the object is one and open.
///
/// # Safety
/// The caller is attached, and it is an object.
#[inline(always)]
pub(crate) unsafe fn end_of(object: *mut PyObject, outcome: Outcome) {
    // SAFETY: passed on; the type is looked at.
    unsafe {
        if is_span(object) {
            own(object, (), |state| finish(state, outcome));
        }
    }
}
