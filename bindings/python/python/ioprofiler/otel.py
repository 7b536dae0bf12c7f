"""Libraries that are not hooked: through their OpenTelemetry instrumentation.

    from ioprofiler.otel import SpanProcessor, recording

    provider = TracerProvider(sampler=recording(ParentBased(TraceIdRatioBased(0.01))))
    provider.add_span_processor(SpanProcessor())

Each client span becomes a call of the request that it was started in, when it ends. Nothing is counted
twice: spans of libraries that are hooked here too are left out, and so is what begins inside a call,
whichever of the two sees it (a client over urllib3, an ORM over a driver). `recording` lets the
processor see spans that are sampled out; exporters still get only the sampled ones.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import SpanProcessor as OtelSpanProcessor
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import SpanKind, StatusCode, get_current_span

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
_DIALECTS = {"mysql": "mysql", "mariadb": "mysql", "postgresql": "postgresql", "sqlite": "sqlite"}
_MAX_OPEN = 10_000


class _Open:
    """A client span that has not ended."""

    __slots__ = ("context", "inner", "request", "seen", "shade")

    def __init__(self) -> None:
        self.request = _native.current_request()
        self.shade = _native.begin_shade()
        self.context = _native.context_number()
        #: Detail of the first client span inside, if this one does not say what it did.
        self.inner: str | None = None
        #: What calls said that were made in its context while it was open, and not inside it: one may be
        #: the same call.
        self.seen: list[str] = []

    def is_seen(self, text: str | None) -> bool:
        """Whether a call of ours has said the same: with parameters, if it was asked for."""
        return text is not None and any(one == text or one.startswith(text + " -- [") for one in self.seen)


#: Of all processors, by the spans' ids: another one's span is none to begin a call in either.
_open: dict[int, _Open] = {}
#: Client spans inside a client span, and inside which.
_inner: dict[int, int] = {}
_lock = threading.Lock()


#: More details are not remembered of one span.
_MAX_SEEN = 16


def _is_inside(detail: object) -> bool:
    """Whether what begins now is inside an open client span, and not only while one is open."""
    current = get_current_span().get_span_context().span_id
    if current in _open or current in _inner:
        return True
    # SQLAlchemy's are not made current: whether it is the same call shows when they end.
    with _lock:
        _see(_native.context_number(), str(detail))
    return False


def _see(context: int, text: str) -> None:
    for opened in _open.values():
        if opened.context == context != 0 and len(opened.seen) < _MAX_SEEN:
            opened.seen.append(text)


class SpanProcessor(OtelSpanProcessor):
    """Records client spans as calls. `kinds` are the kinds of spans that are calls."""

    def __init__(self, kinds: Iterable[SpanKind] = (SpanKind.CLIENT, SpanKind.PRODUCER)) -> None:
        self._kinds = frozenset(kinds)
        _native.set_is_inside(_is_inside)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        try:
            if span.kind not in self._kinds or not _native.in_request() or _is_hooked(span) or _native.in_call():
                return
            context = span.get_span_context()
            if context is None:
                return
            parent = span.parent.span_id if span.parent is not None else 0
            with _lock:
                if len(_open) + len(_inner) >= _MAX_OPEN:
                    return
                outer = _inner.get(parent, parent)
                if outer in _open:
                    _inner[context.span_id] = outer
                    return
            # Its end may come on another thread, in another context: whose it is is known now.
            opened = _Open()
            with _lock:
                _open[context.span_id] = opened
        except Exception:
            hooks._patch.count_error()

    def on_end(self, span: ReadableSpan) -> None:
        try:
            context = span.get_span_context()
            if context is None:
                return
            with _lock:
                opened = _open.pop(context.span_id, None)
                outer = _open.get(_inner.pop(context.span_id, 0))
                text = _text_of(span.attributes or {})
                if opened is not None and text is not None:
                    _see(opened.context, text)
            if opened is not None:
                if opened.shade is not None:
                    _native.end_shade(opened.shade)
                _record(opened, span)
            elif outer is not None and outer.inner is None:
                outer.inner = text
        except Exception:
            hooks._patch.count_error()

    def shutdown(self) -> None:
        """Nothing is held back."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is held back."""
        return True


def _is_hooked(span: Any) -> bool:
    scope = span.instrumentation_scope
    name = scope.name.rpartition(".")[2] if scope is not None else ""
    return _SAME.get(name) in hooks.installed()


def _record(opened: _Open, span: ReadableSpan) -> None:
    start, end = span.start_time, span.end_time
    if start is None or end is None:
        return
    attributes = span.attributes or {}
    text = _text_of(attributes)
    if opened.is_seen(text):
        return
    category = _category_of(attributes)
    detail = text or opened.inner or span.name
    if detail == "connect":
        category, detail = _names.CONNECT, category
    failed = span.status.status_code is StatusCode.ERROR
    # Their clock may be set back meanwhile.
    took = max(0, end - start) / 1e9
    opened.request.add_span(category, detail, duration=took, ended_ago=0.0, failed=failed)


def _first(attributes: Any, *names: str) -> Any:
    return next((attributes[one] for one in names if attributes.get(one) not in (None, "")), None)


# By the old names of attributes and by the new.


def _text_of(attributes: Any) -> str | None:
    """What a call was, where its span says it."""
    statement = _first(attributes, "db.query.text", "db.statement")
    if statement is not None:
        return str(statement)
    method = _first(attributes, "http.request.method", "http.method")
    if method is None:
        return None
    return f"{method} {_first(attributes, 'url.full', 'http.url', 'url.path', 'http.target') or ''}"


def _category_of(attributes: Any) -> str:
    host = _first(attributes, "server.address", "net.peer.name", "net.sock.peer.addr")
    port = _first(attributes, "server.port", "net.peer.port")
    system = _first(attributes, "db.system.name", "db.system")
    if system == "redis":
        return _names.defined(_names.server("redis", host, port), "keys")
    if system is not None:
        dialect = _DIALECTS.get(str(system), "")
        name = _first(attributes, "db.namespace", "db.name")
        if dialect == "sqlite":
            return _names.sqlite(name or "")
        return _names.database(dialect or str(system), host, port, name)
    if _first(attributes, "http.request.method", "http.method") is not None:
        return _names.defined(_names.server("http", host, port), "path")
    kind = _first(attributes, "rpc.system", "messaging.system")
    return "otel" if kind is None else str(kind)


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
