"""Django: one line in `MIDDLEWARE`, before all others, and options in the settings.

    MIDDLEWARE = ["ioprofiler.django.Middleware", ...]
    IOPROFILER = {"gate": lambda request: request.user.is_staff}

and in the urls, for scrapes of Prometheus

    path("metrics", ioprofiler.django.metrics)

`IOPROFILER` holds the options of `ioprofiler.Profiler`, or a profiler that was made elsewhere.
Synchronous and asynchronous, without a thread hop in either.
"""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING, Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings
from django.core.signals import got_request_exception
from django.http import HttpResponse

from ioprofiler import _native
from ioprofiler._profiler import Profiler
from ioprofiler.web import metrics as _metrics
from ioprofiler.web._asking import HOLD, HOLD_TO_REPLACE, NOT_SHOWN, PASS, Ending, describe
from ioprofiler.web.wsgi import EXCHANGE, hand_over

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

_made: tuple[Any, Profiler] | None = None


def profiler() -> Profiler:
    """The profiler of this project's settings; the same at each call."""
    global _made
    wanted = getattr(settings, "IOPROFILER", None)
    if _made is None or _made[0] is not wanted:
        made = wanted if isinstance(wanted, Profiler) else Profiler(**_checked(wanted or {}))
        made._native.hooked("Django")
        _made = (wanted, made)
    return _made[1]


def _checked(options: Any) -> dict[str, Any]:
    """The setting, if its keys are options."""
    if not isinstance(options, dict):
        raise _native.OptionError(f"IOPROFILER: {options!r}; allowed: a dict of options, or an ioprofiler.Profiler")
    allowed = [name for name in inspect.signature(Profiler.__init__).parameters if name != "self"]
    for name in options:
        if name not in allowed:
            raise _native.OptionError(f"IOPROFILER: {name!r} is not one of {', '.join(allowed)}")
    return options


def metrics(request: Any) -> HttpResponse:
    """A view: what a scrape of Prometheus reads. See `ioprofiler.web.metrics`."""
    method = request.method
    refused = _metrics.wrong_method(method)
    if refused is None:
        scrape = _metrics.read(profiler(), request.META.get("HTTP_ACCEPT", ""))
    status, headers, body = refused or _metrics.answer(method, scrape)
    return HttpResponse(body, status=status, headers=dict(headers))


# Django 5.1 has a middleware that wants everybody to have logged in.
metrics.login_required = False  # type: ignore[attr-defined]


class Middleware:
    """See the module."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self._get_response = get_response
        self._profiler = profiler()
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)
        got_request_exception.connect(_raised, dispatch_uid="ioprofiler")

    def __call__(self, request: Any) -> Any:
        if self._is_async:
            return self._acall(request)
        if _native.in_request():
            _joining(request)
            with _native.scope("django", request.path):
                response = self._get_response(request)
            return _joined(request, response)
        exchange = _begun(self._profiler, request)
        if exchange is None:
            return self._get_response(request)
        entered = exchange.request._enter()
        try:
            response = self._get_response(request)
            if exchange.asked and exchange.visit.undecided:
                exchange.visit.decide(self._profiler._is_allowed(request))
            exchange.learn()
            return exchange.answer(response)
        except BaseException as error:
            exchange.ending.fail(error)
            raise
        finally:
            _native.leave_context(entered)

    async def _acall(self, request: Any) -> Any:
        if _native.in_request():
            _joining(request)
            with _native.scope("django", request.path):
                response = await self._get_response(request)
            return _joined(request, response)
        exchange = _begun(self._profiler, request)
        if exchange is None:
            return await self._get_response(request)
        try:
            with exchange.request.enter():
                response = await self._get_response(request)
                if exchange.visit.undecided:
                    # `request.user` may ask the database, which Django forbids on the loop.
                    allowed = sync_to_async(self._profiler._is_allowed)
                    exchange.visit.decide(await allowed(request))
                exchange.learn()
                return await exchange.aanswer(response)
        except BaseException as error:
            exchange.ending.fail(error)
            raise


def _raised(sender: Any, **_: Any) -> None:
    error = sys.exc_info()[1]
    if error is not None:
        _native.current_request().set_error(describe(error))


def _learn(request: Any, live: _native.Request) -> None:
    match = getattr(request, "resolver_match", None)
    if match is not None:
        live.set_route("/" + match.route.lstrip("/"))
    # Only where somebody has loaded the user: looking would ask the database.
    user = getattr(request, "_cached_user", None)
    if user is not None and user.pk is not None:
        live.set_user(user.pk)


def _joining(request: Any) -> None:
    exchange = request.META.get(EXCHANGE)
    if exchange is not None:
        exchange.asking = lambda: request


def _joined(request: Any, response: Any) -> Any:
    """Another middleware of ours has begun this request, and will show it."""
    try:
        _learn(request, _native.current_request())
        exchange = request.META.get(EXCHANGE)
        if exchange is not None and exchange.is_undecided:
            exchange.decide(request)
    except Exception:
        pass
    return response


def _begun(profiler: Profiler, request: Any) -> _Exchange | None:
    has_callable = bool(profiler._callables)
    try:
        scope = getattr(request, "scope", None)
        if scope is not None:
            visit = profiler._native.visit_asgi(scope, has_callable)
        else:
            visit = profiler._native.visit_wsgi(request.META, has_callable)
        if visit.asked:
            for name in visit.unwanted:
                request.META.pop("HTTP_" + name.upper().replace("-", "_"), None)
        if profiler._flag_context is not None:
            profiler._defer_context(visit.request, lambda: request)
        return _Exchange(profiler, visit, request)
    except Exception:
        return None


class _Exchange:
    """One request and its answer."""

    def __init__(self, profiler: Profiler, visit: _native.Visit, http_request: Any) -> None:
        self._profiler = profiler
        self._http_request = http_request
        self.visit = visit
        self.asked = visit.asked
        self.request = visit.request
        self.ending = Ending(self.request, profiler)

    def learn(self) -> None:
        try:
            _learn(self._http_request, self.request)
        except Exception:
            pass

    # ---- the answer, held back where it is to be shown

    def answer(self, response: Any) -> Any:
        aim, headers = self._aim(response)
        if aim in (PASS, NOT_SHOWN):
            return self._pass(response, aim, headers)
        held = response.content if not response.streaming else b""
        if response.streaming and aim in (HOLD, HOLD_TO_REPLACE):
            parts, size = [], 0
            # Of the response, not of its content: that may be the other kind of iterator.
            content = iter(response)
            for part in content:
                parts.append(part)
                size += len(part)
                if size > self._profiler._max_page:
                    break
            held = b"".join(parts)
            if aim == HOLD and size > self._profiler._max_page:
                return self._let_go(response, headers, _again(parts, content))
        return self._show(response, headers, held)

    async def aanswer(self, response: Any) -> Any:
        if not response.streaming:
            return self.answer(response)
        aim, headers = self._aim(response)
        if aim in (PASS, NOT_SHOWN):
            return self._pass(response, aim, headers)
        parts: list[bytes] = []
        size = 0
        if aim in (HOLD, HOLD_TO_REPLACE):
            content = aiter(response)
            async for part in content:
                parts.append(part)
                size += len(part)
                if size > self._profiler._max_page:
                    break
            if aim == HOLD and size > self._profiler._max_page:
                return self._let_go(response, headers, _aagain(parts, content))
        return self._show(response, headers, b"".join(parts))

    def _aim(self, response: Any) -> tuple[int, list[tuple[str, str]]]:
        self.ending.answered(response.status_code)
        if not self.asked:
            return PASS, []
        headers = [(name, str(value)) for name, value in response.items()]
        length = None if response.streaming else len(response.content)
        aim = self.visit.aim(
            response.status_code, headers, length, self._profiler._max_page, self._profiler._buffer_streams
        )
        return aim, headers

    def _pass(self, response: Any, aim: int, headers: list[tuple[str, str]]) -> Any:
        if aim == NOT_SHOWN:
            _set_headers(response, self.visit.not_shown(response.status_code, headers))
        self.request.first_byte()
        return self._ended_by(response)

    def _let_go(self, response: Any, headers: list[tuple[str, str]], content: Any) -> Any:
        _set_headers(response, self.visit.not_shown(response.status_code, headers, "too-large"))
        response.streaming_content = content
        return self._ended_by(response)

    def _show(self, response: Any, headers: list[tuple[str, str]], held: bytes) -> Any:
        status, headers, body = self.visit.show(response.status_code, headers, held)
        if response.streaming or status != response.status_code:
            shown = HttpResponse(status=status)
            shown.cookies = response.cookies
            shown._resource_closers.append(response.close)  # type: ignore[attr-defined]
            response = shown
        response.content = body
        _set_headers(response, headers)
        return self._ended_by(response)

    # ---- its end

    def _ended_by(self, response: Any) -> Any:
        """Ends the request when the server closes the response."""
        profiler = self._profiler
        if profiler._touches_headers:
            headers = [(name, str(value)) for name, value in response.items()]
            for name, value in profiler._leaving(self.visit, headers)[len(headers) :]:
                response[name] = value
        complete = True
        if not response.streaming:
            self.ending.sent = len(response.content)
        elif getattr(response, "file_to_stream", None) is not None:
            # The server may send it by itself, if the response stays as it is.
            length = response.headers.get("Content-Length", "0")
            self.ending.sent = int(length) if length.isdigit() else 0
        elif getattr(response, "is_async", False):
            complete = False
            response.streaming_content = self._acounted(response.streaming_content)
        else:
            complete = False
            response.streaming_content = self._counted(response.streaming_content)
        self._complete = complete
        self._publish()
        response._resource_closers.append(self._closed)
        return response

    def _publish(self) -> None:
        """Hands the compact note to the server: gunicorn logs before it closes the response."""
        environ = getattr(self._http_request, "environ", None)
        if self._profiler._has_note and environ is not None:
            note = self.request.compact_note()
            if note is not None:
                hand_over(environ, note)

    def _closed(self) -> None:
        self._publish()
        if self._complete:
            self.ending.finish()
        else:
            self.ending.abort()

    def _counted(self, content: Iterator[bytes]) -> Iterator[bytes]:
        iterator = iter(content)
        while True:
            try:
                with self.request.enter():
                    part = next(iterator)
            except StopIteration:
                self._complete = True
                return
            except BaseException as error:
                self.ending.fail(error)
                raise
            self.ending.sent += len(part)
            yield part

    async def _acounted(self, content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        iterator = aiter(content)
        while True:
            try:
                with self.request.enter():
                    part = await anext(iterator)
            except StopAsyncIteration:
                self._complete = True
                return
            except BaseException as error:
                self.ending.fail(error)
                raise
            self.ending.sent += len(part)
            yield part


def _set_headers(response: Any, headers: list[tuple[str, str]]) -> None:
    """Replaces the headers. Django keeps one of each name: what stands twice is a list."""
    joined: dict[str, tuple[str, str]] = {}
    for name, value in headers:
        key = name.lower()
        joined[key] = (name, f"{joined[key][1]}, {value}") if key in joined else (name, value)
    for name, _ in list(response.items()):
        del response[name]
    for name, value in joined.values():
        response[name] = value


def _again(parts: list[bytes], rest: Iterator[bytes]) -> Iterator[bytes]:
    yield from parts
    yield from rest


async def _aagain(parts: list[bytes], rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
    async for part in rest:
        yield part
