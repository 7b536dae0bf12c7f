"""WSGI middleware: observes each request, and shows its profile to those who ask and may see it.

An answer that is not shown goes to the server as the application gave it: the same calls of
`start_response`, an iterable of the same length, the server's own file wrapper untouched.
"""

from __future__ import annotations

import http.client
import itertools
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from ioprofiler import _native
from ioprofiler.web._asking import HOLD, NOT_SHOWN, PASS, REPLACE_NOW, Asking, Ending
from ioprofiler.web.metrics import WsgiMetrics, path_or_none

if TYPE_CHECKING:
    from ioprofiler._profiler import Profiler

StartResponse = Callable[..., Callable[[bytes], object]]
WsgiApp = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]

#: Where the exchange of a request is, for frameworks inside.
EXCHANGE = "ioprofiler.exchange"
#: Where the compact note is, for the server's own line: gunicorn's `%({ioprofiler}e)s`.
NOTE = "ioprofiler"
#: uWSGI keeps the length of a log variable in a byte.
UWSGI_MOST = 255


def hand_over(environ: dict[str, Any], note: str) -> None:
    """Hands the compact note to the server, in the ways of gunicorn and of uWSGI."""
    environ[NOTE] = note
    uwsgi = sys.modules.get("uwsgi")
    if uwsgi is not None:
        try:
            uwsgi.set_logvar(NOTE, note[:UWSGI_MOST])
        except Exception:
            pass  # imported outside uWSGI


class _FileWrapper:
    """A server's file wrapper that is a function, and what it gave: the server looks for that very object."""

    def __init__(self, original: Callable[..., Any]) -> None:
        self._original = original
        self.gave: Any = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.gave = self._original(*args, **kwargs)
        return self.gave


class WsgiMiddleware:
    """See the module. Attributes that it does not have are the application's."""

    def __init__(self, app: WsgiApp, profiler: Profiler, metrics: str | None = None) -> None:
        self._app = app
        self._profiler = profiler
        self._metrics_path = path_or_none(metrics)
        self._metrics = WsgiMetrics(profiler)
        profiler._native.hooked("WSGI")

    def __getattr__(self, name: str) -> Any:
        if name == "_app":  # not yet made
            raise AttributeError(name)
        return getattr(self._app, name)

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if environ.get("PATH_INFO") == self._metrics_path:
            return self._metrics(environ, start_response)
        if _native.in_request():
            # Another middleware has begun it: this one is a part of it.
            with _native.scope("wsgi", environ.get("PATH_INFO", "")):
                return self._app(environ, start_response)
        profiler = self._profiler
        try:
            visit = profiler._native.visit_wsgi(environ, bool(profiler._callables))
        except Exception:
            return self._app(environ, start_response)
        return Exchange(profiler, visit, environ, start_response).run(self._app)


class Exchange:
    """One request and its answer."""

    def __init__(
        self, profiler: Profiler, visit: _native.Visit, environ: dict[str, Any], start_response: StartResponse
    ) -> None:
        self._profiler = profiler
        self._visit = visit
        self._environ = environ
        self._server_starts = start_response
        self.request = visit.request
        self.ending = Ending(self.request, profiler)
        self._holding = visit.asked
        #: Gives what the application's callables are asked with: frameworks put their own request here.
        self.asking: Callable[[], Any] = lambda: Asking(environ=environ)
        #: What the application gave to `start_response`, while it is held back.
        self._head: tuple[str, list[tuple[str, str]], Any] | None = None
        #: What it wrote instead of returning it, while it is held back.
        self._written: list[bytes] = []
        self._content_length: int | None = None

    # ---- what the framework inside may call

    @property
    def is_undecided(self) -> bool:
        """Whether the gate's callable is to be asked."""
        return self._visit.undecided

    def decide(self, asking: Any) -> None:
        """Asks the gate's callables about this request, once."""
        if self._visit.undecided:
            self._visit.decide(self._profiler._is_allowed(asking))

    # ---- the application's side

    def run(self, app: WsgiApp) -> Iterable[bytes]:
        for name in self._visit.unwanted:
            self._environ.pop("HTTP_" + name.upper().replace("-", "_"), None)
        self._environ[EXCHANGE] = self
        wrapper = self._environ.get("wsgi.file_wrapper")
        if wrapper is not None and not isinstance(wrapper, type):
            self._environ["wsgi.file_wrapper"] = _FileWrapper(wrapper)
        if self._profiler._flag_context is not None:
            self._profiler._defer_context(self.request, lambda: self.asking())
        entered = self.request._enter()
        try:
            body = app(self._environ, self._start_response)
            if self._holding:
                return self._answer(body)
        except BaseException as error:
            self.ending.fail(error)
            raise
        finally:
            _native.leave_context(entered)
        return self._passing(body, body)

    def _start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], object]:
        try:
            self.ending.answered(int(status[:3]))
        except (ValueError, TypeError, OverflowError):
            pass  # the server will tell the application
        if self._holding:
            self._head = (status, headers, exc_info)
            return self._written.append
        self._note_length(headers)
        if self._profiler._touches_headers:
            headers = self._profiler._leaving(self._visit, headers)
        self.request.first_byte()
        return self._counting(self._server_starts(status, headers, *((exc_info,) if exc_info else ())))

    def _note_length(self, headers: list[tuple[str, str]]) -> None:
        for name, value in headers:
            if name.lower() == "content-length" and value.isdigit():
                self._content_length = int(value)

    def _counting(self, write: Callable[[bytes], object]) -> Callable[[bytes], object]:
        def write_counted(data: bytes) -> object:
            self.ending.sent += len(data)
            return write(data)

        return write_counted

    # ---- the server's side

    def _passing(self, body: Iterable[bytes], inner: Iterable[bytes]) -> Iterable[bytes]:
        """The body as it is, ended where it ends."""
        wrapper = self._environ.get("wsgi.file_wrapper")
        if isinstance(inner, wrapper) if isinstance(wrapper, type) else _gave(wrapper, inner):
            return self._passing_file(inner)
        iterator = iter(body)
        if hasattr(inner, "__len__"):
            return SizedBody(self, inner, iterator)
        return Body(self, inner, iterator)

    def _passing_file(self, file: Any) -> Iterable[bytes]:
        # The server looks at its class, and sends it by itself.
        self.publish()
        close = getattr(file, "close", None)

        def close_and_finish() -> None:
            try:
                if close is not None:
                    close()
            finally:
                self.ending.sent = self._content_length or 0
                self.ending.finish()

        try:
            file.close = close_and_finish
        except AttributeError:
            self.ending.sent = self._content_length or 0
            self._environ.pop(EXCHANGE, None)
            self.ending.finish()
        return file  # type: ignore[no-any-return]

    def _start(self, status: str, headers: list[tuple[str, str]], exc_info: Any) -> Callable[[bytes], object]:
        self._holding = False
        self._note_length(headers)
        headers = self._profiler._leaving(self._visit, headers)
        self.request.first_byte()
        write = self._server_starts(status, headers, *((exc_info,) if exc_info else ()))
        for data in self._written:
            self.ending.sent += len(data)
            write(data)
        return write

    def publish(self) -> None:
        """Hands the compact note to the server, as it is now: gunicorn logs before it closes the body."""
        if self._profiler._has_note:
            note = self.request.compact_note()
            if note is not None:
                hand_over(self._environ, note)

    # ---- a request that asked; in its context

    def _answer(self, body: Iterable[bytes]) -> Iterable[bytes]:
        iterator = iter(body) if self._head is None else None
        first: list[bytes] = []
        while self._head is None and iterator is not None:
            # A generator says its head when it is first asked.
            try:
                first.append(next(iterator))
            except StopIteration:
                break
        if self._head is None:
            self._holding = False  # no head at all: the server will say so
            return self._passing(itertools.chain(first, iterator or ()), body)
        status, headers, exc_info = self._head
        self.decide(self.asking())
        number = self.ending.status or 0
        length = None
        if isinstance(body, (list, tuple)):
            length = sum(map(len, self._written)) + sum(map(len, body))
        aim = self._visit.aim(number, headers, length, self._profiler._max_page, self._profiler._buffer_streams)
        if aim in (PASS, NOT_SHOWN):
            if aim == NOT_SHOWN:
                headers = self._visit.not_shown(number, headers)
            self._start(status, headers, exc_info)
            rest = body if iterator is None else itertools.chain(first, iterator)
            return self._passing(rest, body)
        parts = self._written + first
        self._written = []
        if aim != REPLACE_NOW:
            over = self._hold(parts, iter(body) if iterator is None else iterator, aim == HOLD)
            if over is not None:
                return self._not_held(parts, over, body)
        return self._show(number, status, headers, exc_info, parts, body)

    def _hold(
        self, parts: list[bytes], iterator: Iterator[bytes], for_panel: bool
    ) -> tuple[str, Iterator[bytes]] | None:
        """Collects the body. Where it cannot be held whole: the reason, and what follows."""
        size = sum(map(len, parts))
        try:
            for part in iterator:
                parts.append(part)
                size += len(part)
                if size > self._profiler._max_page:
                    return ("too-large", iterator) if for_panel else None
        except Exception as error:
            if not for_panel:
                self.request.set_error(f"{type(error).__name__}: {error}")
                return None
            return "body-error", _raising(error)
        return None

    def _not_held(
        self, parts: list[bytes], over: tuple[str, Iterator[bytes]], body: Iterable[bytes]
    ) -> Iterable[bytes]:
        reason, rest = over
        status, headers, exc_info = self._head or ("500", [], None)
        headers = self._visit.not_shown(self.ending.status or 0, headers, reason)
        self._start(status, headers, exc_info)
        return Body(self, body, itertools.chain(parts, rest))

    def _show(
        self,
        number: int,
        status: str,
        headers: list[tuple[str, str]],
        exc_info: Any,
        parts: list[bytes],
        body: Iterable[bytes],
    ) -> Iterable[bytes]:
        shown_status, shown_headers, page = self._visit.show(number, headers, b"".join(parts))
        if shown_status != number:
            status = f"{shown_status} {http.client.responses.get(shown_status, '')}".rstrip()
        self._start(status, shown_headers, exc_info)
        return SizedBody(self, _OneOf(body), iter((page,)))


def _gave(wrapper: Any, body: Any) -> bool:
    return isinstance(wrapper, _FileWrapper) and wrapper.gave is body


class _OneOf:
    """A body that was replaced by one part: as long as one, closed like the original."""

    def __init__(self, body: Iterable[bytes]) -> None:
        close = getattr(body, "close", None)
        if close is not None:
            self.close = close

    def __len__(self) -> int:
        return 1


def _raising(error: BaseException) -> Iterator[bytes]:
    raise error
    yield b""  # makes it a generator


class Body:
    """The answer's body: each part is made in the request's context, and its end is the request's."""

    def __init__(self, exchange: Exchange, inner: Any, iterator: Iterator[bytes]) -> None:
        self._exchange = exchange
        self._inner = inner
        self._iterator = iterator
        self._ended = False
        # No code runs while a list is gone through.
        self._is_ready = type(inner) is list or type(inner) is tuple

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        exchange = self._exchange
        entered = None if self._is_ready else exchange.request._enter()
        try:
            part = next(self._iterator)
        except StopIteration:
            self._ended = True
            exchange.publish()
            raise
        except BaseException as error:
            exchange.ending.fail(error)
            raise
        finally:
            if entered is not None:
                _native.leave_context(entered)
        exchange.ending.sent += len(part)
        return part

    def close(self) -> None:
        exchange = self._exchange
        ending = exchange.ending
        try:
            close = getattr(self._inner, "close", None)
            if close is not None:
                with exchange.request.enter():
                    close()
        except BaseException as error:
            ending.fail(error)
            raise
        exchange.publish()
        exchange._environ.pop(EXCHANGE, None)  # else the two would keep each other
        length = exchange._content_length
        if self._ended or (length is not None and ending.sent >= length):
            ending.finish()
        else:
            ending.abort()


class SizedBody(Body):
    """A body whose number of parts is known: servers make a Content-Length of one part."""

    def __len__(self) -> int:
        return len(self._inner)
