"""FastAPI and Starlette: one line.

    app = FastAPI()
    ioprofiler.fastapi.init_app(app, profiler)

With `metrics="/metrics"` scrapes of Prometheus are answered there, before the application is asked.
The gate's callable gets Starlette's request, and may be asynchronous.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ioprofiler.web.asgi import AsgiMiddleware
from ioprofiler.web.metrics import path_or_none

if TYPE_CHECKING:
    from ioprofiler._profiler import Profiler


def init_app(app: Any, profiler: Profiler, *, metrics: str | None = None) -> None:
    """Observes the requests of an application: as its outermost middleware, whatever is added later."""
    profiler._native.hooked("FastAPI" if type(app).__module__.startswith("fastapi") else "Starlette")
    metrics = path_or_none(metrics)
    build = app.build_middleware_stack

    def build_observed() -> Any:
        return AsgiMiddleware(build(), profiler, metrics)

    app.build_middleware_stack = build_observed
