"""Libraries that are not hooked: through their OpenTelemetry instrumentation.

    from ioprofiler.otel import SpanProcessor, recording

    provider = TracerProvider(sampler=recording(ParentBased(TraceIdRatioBased(0.01))))
    provider.add_span_processor(SpanProcessor())

Each client span becomes a call of the request that it was started in. Spans of libraries that are
hooked here too are left out, so that nothing is counted twice. `recording` lets the processor see
spans that are sampled out; exporters still get only the sampled ones.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import SpanProcessor as OtelSpanProcessor
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import SpanKind, StatusCode

from ioprofiler import _native, hooks
from ioprofiler.hooks import _names

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span
    from opentelemetry.trace import Link, TraceState
    from opentelemetry.util.types import Attributes

#: Instrumentation scopes that say what our own hooks say -> the hook.
_SAME = {
    "asyncpg": "asyncpg",
    "celery": "celery",
    "django": "django.db",
    "httpx": "httpx",
    "jinja2": "jinja2",
    "mysqlclient": "mysqlclient",
    "psycopg": "psycopg",
    "psycopg2": "psycopg2",
    "pymemcache": "pymemcache",
    "pymysql": "pymysql",
    "redis": "redis",
    "requests": "urllib3",
    "sqlalchemy": "sqlalchemy",
    "sqlite3": "sqlite3",
    "urllib3": "urllib3",
}
_DIALECTS = {"mysql": "mysql", "mariadb": "mysql", "postgresql": "postgresql", "sqlite": "sqlite", "redis": "keys"}
_MAX_OPEN = 10_000


class SpanProcessor(OtelSpanProcessor):
    """Records client spans as calls. `kinds` are the kinds of spans that are calls."""

    def __init__(self, kinds: Iterable[SpanKind] = (SpanKind.CLIENT, SpanKind.PRODUCER)) -> None:
        self._kinds = frozenset(kinds)
        self._open: dict[int, _native.Request] = {}
        self._lock = threading.Lock()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        try:
            if span.kind not in self._kinds or not _native.in_request() or _is_hooked(span):
                return
            # Its end may come on another thread, in another context: whose it is is known now.
            context = span.get_span_context()
            if context is not None:
                with self._lock:
                    if len(self._open) < _MAX_OPEN:
                        self._open[context.span_id] = _native.current_request()
        except Exception:
            hooks._patch.count_error()

    def on_end(self, span: ReadableSpan) -> None:
        try:
            context = span.get_span_context()
            if context is None:
                return
            with self._lock:
                request = self._open.pop(context.span_id, None)
            if request is not None:
                _record(request, span)
        except Exception:
            hooks._patch.count_error()

    def shutdown(self) -> None:
        """Nothing is held back."""
        with self._lock:
            self._open.clear()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is held back."""
        return True


def _is_hooked(span: Any) -> bool:
    scope = span.instrumentation_scope
    name = scope.name.rpartition(".")[2] if scope is not None else ""
    return _SAME.get(name) in hooks.installed()


def _record(request: _native.Request, span: ReadableSpan) -> None:
    start, end = span.start_time, span.end_time
    if start is None or end is None:
        return
    category, detail = _call_of(span.name, span.attributes or {})
    failed = span.status.status_code is StatusCode.ERROR
    # Their clock may be set back meanwhile.
    request.add_span(category, detail, duration=max(0, end - start) / 1e9, ended_ago=0.0, failed=failed)


def _call_of(name: str, attributes: Any) -> tuple[str, str]:
    """Category and detail, by the old names of attributes and by the new."""

    def first(*names: str) -> Any:
        return next((attributes[one] for one in names if attributes.get(one) not in (None, "")), None)

    system = first("db.system.name", "db.system")
    if system is not None:
        host = first("server.address", "net.peer.name", "net.sock.peer.addr")
        port = first("server.port", "net.peer.port")
        database = first("db.namespace", "db.name")
        dialect = _DIALECTS.get(str(system), "")
        category = _names.database(dialect or str(system), host, port, database)
        return category, str(first("db.query.text", "db.statement") or name)
    method = first("http.request.method", "http.method")
    if method is not None:
        url = str(first("url.full", "http.url", "url.path", "http.target") or "")
        return _names.defined("http", "path"), f"{method} {url}"
    kind = first("rpc.system", "messaging.system")
    return (str(kind) if kind is not None else "otel"), name


class _Recording(Sampler):
    def __init__(self, inner: Sampler) -> None:
        self._inner = inner

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        result = self._inner.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)
        if result.decision is Decision.DROP and _native.in_request():
            # What is dropped loses its attributes already here.
            return SamplingResult(Decision.RECORD_ONLY, result.attributes or attributes, result.trace_state)
        return result

    def get_description(self) -> str:
        return f"ioprofiler.recording({self._inner.get_description()})"


def recording(sampler: Sampler) -> Sampler:
    """A sampler that records, inside requests, what the other one drops; nothing more is exported."""
    return _Recording(sampler)
