"""See every call that one web request made.

    import ioprofiler

    profiler = ioprofiler.Profiler(gate=lambda request: request.user.is_staff)
    app = profiler.wsgi(app)  # or profiler.asgi(app), or a line in Django's MIDDLEWARE

    with ioprofiler.span("dbshard01", sql): ...  # current request; nothing happens outside one
    ioprofiler.note(user_id=5020244)
    if ioprofiler.flag("new_search"): ...
    ioprofiler.count("registrations")

The constructor hooks the database drivers, caches, template engines and HTTP clients that are
installed. Nobody sees a profile unless the gate is opened.
"""

from __future__ import annotations

try:
    from ioprofiler import _native
except ImportError as error:  # another platform, a subinterpreter: the application runs all the same
    from ioprofiler import _without_native

    _native = _without_native.install(error)

from ioprofiler._flags import Decision, dark, decide, flag_data
from ioprofiler._native import (
    Call,
    Kept,
    OptionError,
    Profile,
    Request,
    Span,
    count,
    deploy,
    event,
    flag,
    gauge,
    note,
    scope,
    span,
    timing,
    variant,
)
from ioprofiler._native import version as __version__
from ioprofiler._profiler import Profiler
from ioprofiler._spans import add_span, current, in_context, wrap_executor
from ioprofiler.testing import record

__all__ = [
    "Call",
    "Decision",
    "Kept",
    "OptionError",
    "Profile",
    "Profiler",
    "Request",
    "Span",
    "__version__",
    "add_span",
    "count",
    "current",
    "dark",
    "decide",
    "deploy",
    "event",
    "flag",
    "flag_data",
    "gauge",
    "in_context",
    "note",
    "record",
    "scope",
    "span",
    "timing",
    "variant",
    "wrap_executor",
]
