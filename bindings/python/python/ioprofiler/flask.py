"""Flask: one line.

    app = Flask(__name__)
    ioprofiler.flask.init_app(app, profiler)

With `metrics="/metrics"` scrapes of Prometheus are answered there, before the application is asked.
The gate's callable gets Flask's request, inside its context, so `current_user` works there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import flask

from ioprofiler import _native
from ioprofiler.web._asking import describe
from ioprofiler.web.wsgi import EXCHANGE

if TYPE_CHECKING:
    from ioprofiler._profiler import Profiler


def init_app(app: flask.Flask, profiler: Profiler, *, metrics: str | None = None) -> None:
    """Observes the requests of an application. Call it before the first request."""
    app.wsgi_app = profiler.wsgi(app.wsgi_app, metrics=metrics)  # type: ignore[method-assign]
    profiler._native.hooked("Flask")
    # First of what runs before a view, and last of what runs after one.
    app.before_request_funcs.setdefault(None, []).insert(0, _before)
    app.after_request_funcs.setdefault(None, []).insert(0, _after)
    flask.got_request_exception.connect(_raised, app)


def _before() -> None:
    exchange = flask.request.environ.get(EXCHANGE)
    if exchange is not None:
        exchange.asking = lambda: flask.request
    rule = flask.request.url_rule
    if rule is not None:
        _native.current_request().set_route(rule.rule)


def _after(response: Any) -> Any:
    exchange = flask.request.environ.get(EXCHANGE)
    if exchange is not None and exchange.is_undecided:
        exchange.decide(flask.request._get_current_object())  # type: ignore[attr-defined]
    return response


def _raised(sender: Any, exception: BaseException, **_: Any) -> None:
    _native.current_request().set_error(describe(exception))
