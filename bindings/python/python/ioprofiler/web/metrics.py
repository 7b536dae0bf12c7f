"""`/metrics`: what a scrape of Prometheus reads, as a WSGI and as an ASGI application.

    app = profiler.wsgi(app, metrics="/metrics")  # answered before the application is asked
    app = profiler.asgi(app, metrics="/metrics")
    routes = [Route("/metrics", ioprofiler.web.metrics.AsgiMetrics(profiler))]  # of Starlette, by hand

They answer GET and HEAD, in OpenMetrics or the text format by the `Accept` header, and 503 with the
reason where nothing is counted or too many scrapes come at once. Nothing of a request's details is in
it, so it needs no gate; who may read numbers is up to the server in front.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from ioprofiler import _native

if TYPE_CHECKING:
    from ioprofiler._profiler import Profiler
    from ioprofiler.web.asgi import Message, Receive, Send
    from ioprofiler.web.wsgi import StartResponse

#: Status, headers and body.
Answer = tuple[int, list[tuple[str, str]], bytes]

_PLAIN = "text/plain; charset=utf-8"
#: Scrapes that threads are made for, in a process; what comes then is told to come again.
_MOST = 4


def answer(method: str, scrape: tuple[int, str, bytes]) -> Answer:
    """What a scrape is answered with."""
    status, content_type, body = scrape
    headers = [("Content-Type", content_type), ("Content-Length", str(len(body)))]
    return status, headers, b"" if method == "HEAD" else body


def wrong_method(method: str) -> Answer | None:
    """The answer to what is neither GET nor HEAD."""
    if method in ("GET", "HEAD"):
        return None
    status, headers, body = answer(method, (405, _PLAIN, b"GET or HEAD\n"))
    return status, [*headers, ("Allow", "GET, HEAD")], body


def read(profiler: Profiler, accept: str) -> tuple[int, str, bytes]:
    """The scrape, on this thread: but on another one where this one has greenlets to run."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None and monkey.is_module_patched("threading"):
        from gevent import get_hub

        scrape: tuple[int, str, bytes] = get_hub().threadpool.apply(profiler.prometheus, (accept,))
        return scrape
    return profiler.prometheus(accept)


def path_or_none(path: Any) -> str | None:
    """The option `metrics` of a middleware: a path, or none."""
    if path is None or (isinstance(path, str) and path.startswith("/")):
        return path
    raise _native.OptionError(f'metrics: {path!r} is not a path that begins with "/"')


class WsgiMetrics:
    """See the module."""

    def __init__(self, profiler: Profiler) -> None:
        self._profiler = profiler

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        method = environ.get("REQUEST_METHOD", "GET")
        status, headers, body = wrong_method(method) or answer(
            method, read(self._profiler, environ.get("HTTP_ACCEPT", ""))
        )
        start_response(f"{status} {HTTPStatus(status).phrase}", headers)
        return [body] if body else []


class AsgiMetrics:
    """See the module. The scrape is made on a thread of its own: the loop goes on."""

    def __init__(self, profiler: Profiler) -> None:
        self._profiler = profiler

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close"})
            return
        method = scope["method"]
        refused = wrong_method(method)
        if refused is None:
            accept = b",".join(value for name, value in scope["headers"] if name.lower() == b"accept")
            scrape = await elsewhere(self._profiler, accept.decode("latin-1"))
        status, headers, body = refused or answer(method, scrape)
        wire = [(name.lower().encode(), value.encode()) for name, value in headers]
        await send({"type": "http.response.start", "status": status, "headers": wire})
        await send({"type": "http.response.body", "body": body, "more_body": False})


async def _live(receive: Receive, send: Send) -> None:
    """Nothing is to be begun or ended."""
    while True:
        message: Message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


class _Working:
    """How many scrapes are worked on, in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0

    def begin(self) -> bool:
        with self._lock:
            may = self._count < _MOST
            self._count += may
            return may

    def end(self) -> None:
        with self._lock:
            self._count -= 1


_working = _Working()


def _forget() -> None:
    global _working
    _working = _Working()  # the threads of the parent are none of this process's


os.register_at_fork(after_in_child=_forget)


async def elsewhere(profiler: Profiler, accept: str) -> tuple[int, str, bytes]:
    """The scrape, made on another thread."""
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_run():
        made: tuple[int, str, bytes] = await trio.to_thread.run_sync(profiler.prometheus, accept)
        return made
    import asyncio

    # Not the loop's executor: what the application does there may take all of its threads.
    loop = asyncio.get_running_loop()
    future: asyncio.Future[tuple[int, str, bytes]] = loop.create_future()

    def hand_over(scrape: tuple[int, str, bytes]) -> None:
        if not future.done():  # who waited may have been cancelled
            future.set_result(scrape)

    def work() -> None:
        scrape = (503, _PLAIN, b"the scrape failed\n")
        try:
            scrape = profiler.prometheus(accept)
        finally:
            working.end()
            try:
                loop.call_soon_threadsafe(hand_over, scrape)
            except RuntimeError:
                pass  # the loop was closed meanwhile

    working = _working
    if not working.begin():
        return 503, _PLAIN, b"too many scrapes at once\n"
    try:
        threading.Thread(target=work, name="ioprofiler-metrics").start()
    except RuntimeError:
        working.end()
        return 503, _PLAIN, b"no thread to be had\n"
    return await future
