"""ASGI middleware: observes each HTTP request, and shows its profile to those who ask and may see it.

Lifespan and websockets pass untouched. The request ends with the last message of its answer; what a
background task does afterwards is work of its own (`current().detach(name)` makes it a job).
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from ioprofiler import _native
from ioprofiler.web._asking import (
    HOLD,
    HOLD_TO_REPLACE,
    NOT_SHOWN,
    PASS,
    REPLACE_NOW,
    Asking,
    Ending,
)
from ioprofiler.web.metrics import AsgiMetrics, path_or_none

if TYPE_CHECKING:
    from ioprofiler._profiler import Profiler

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Any, Any, Any], Awaitable[None]]

#: Ways to send a body that nobody could hold back.
_SENT_BY_SERVER = ("http.response.pathsend", "http.response.zerocopysend")


class AsgiMiddleware:
    """See the module. Attributes that it does not have are the application's."""

    def __init__(self, app: AsgiApp, profiler: Profiler, metrics: str | None = None) -> None:
        self._app = app
        self._profiler = profiler
        self._metrics_path = path_or_none(metrics)
        self._metrics = AsgiMetrics(profiler)
        profiler._native.hooked("ASGI")

    def __getattr__(self, name: str) -> Any:
        if name == "_app":  # not yet made
            raise AttributeError(name)
        return getattr(self._app, name)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._metrics_path is not None and _path_of(scope) == self._metrics_path:
            await self._metrics(scope, receive, send)
            return
        if _native.in_request():
            # Another middleware has begun it: this one is a part of it.
            with _native.scope("asgi", scope.get("path", "")):
                await self._app(scope, receive, send)
            return
        profiler = self._profiler
        try:
            visit = profiler._native.visit_asgi(scope, bool(profiler._callables))
        except Exception:
            await self._app(scope, receive, send)
            return
        await Exchange(profiler, visit, scope, receive, send).run(self._app)


def _path_of(scope: Any) -> str:
    """The path below where the application is mounted."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", "").rstrip("/"))


def route_of(scope: Any) -> str | None:
    """The template of the route that Starlette or FastAPI chose."""
    route = scope.get("route")
    endpoint = scope.get("endpoint")
    if route is None and endpoint is not None:
        routes = getattr(scope.get("app"), "routes", ())
        route = next((one for one in routes if getattr(one, "endpoint", None) is endpoint), None)
    path = getattr(route, "path_format", None) or getattr(route, "path", None)
    if not isinstance(path, str):
        return None
    mounted: str = scope.get("root_path", "")[len(scope.get("app_root_path", "")) :]
    return path if not mounted or path.startswith(mounted) else mounted + path


class Exchange:
    """One request and its answer."""

    def __init__(self, profiler: Profiler, visit: _native.Visit, scope: Any, receive: Receive, send: Send) -> None:
        self._profiler = profiler
        self._visit = visit
        self._scope = scope
        self._server_receives = receive
        self._server_sends = send
        self.request = visit.request
        self.ending = Ending(self.request, profiler)
        self._client_left = False
        #: Of a request that asked: what is done with its body, and what was held back of it.
        self._aim = PASS
        self._start: Message | None = None
        self._held: list[bytes] = []
        self._size = 0
        self._replaced = False

    async def run(self, app: AsgiApp) -> None:
        scope = self._scope
        asked = self._visit.asked
        if asked:
            scope = self._prepared(scope)
        self._profiler._defer_context(self.request, self._asking)
        try:
            with self.request.enter():
                await app(scope, self._receive, self._send_asked if asked else self._send)
        except Exception as error:
            self.ending.fail(error)
            raise
        except BaseException:
            self.ending.abort()  # cancelled: the client has left, or the server stops
            raise
        if self._client_left:
            self.ending.abort()
        self.ending.finish()

    def _prepared(self, scope: Any) -> Any:
        unwanted = {name.encode() for name in self._visit.unwanted}
        scope = dict(scope)
        if unwanted:
            scope["headers"] = [pair for pair in scope["headers"] if pair[0].lower() not in unwanted]
        extensions = scope.get("extensions")
        if extensions:
            scope["extensions"] = {name: value for name, value in extensions.items() if name not in _SENT_BY_SERVER}
        self._scope = scope
        return scope

    async def _receive(self) -> Message:
        message = await self._server_receives()
        if message["type"] == "http.disconnect":
            self._client_left = True
        return message

    def _learn(self) -> None:
        """What routers and authentication inside have left in the scope."""
        try:
            route = route_of(self._scope)
            if route is not None:
                self.request.set_route(route)
            user = self._scope.get("user")
            if user is not None and getattr(user, "is_authenticated", False):
                self.request.set_user(user.identity)
        except Exception:
            return

    # ---- what nobody is shown

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            self.ending.answered(message["status"])
            self._learn()
            message = self._leaving(message)
            self.request.first_byte()
        elif kind == "http.response.body":
            self.ending.sent += len(message.get("body", b""))
        await self._server_sends(message)
        if (kind == "http.response.body" and not message.get("more_body", False)) or kind in _SENT_BY_SERVER:
            self.ending.finish()

    # ---- a request that asked

    async def _send_asked(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            await self._started(message)
        elif kind == "http.response.body" and self._start is not None:
            await self._hold(message)
        elif self._replaced:
            if kind == "http.response.body" and not message.get("more_body", False):
                self.ending.finish()
        else:
            await self._send(message)

    async def _started(self, message: Message) -> None:
        self.ending.answered(message["status"])
        self._learn()
        await self._decide()
        status, headers = message["status"], message.get("headers", [])
        self._aim = self._visit.aim(status, headers, None, self._profiler._max_page, self._profiler._buffer_streams)
        if self._aim in (HOLD, HOLD_TO_REPLACE, REPLACE_NOW):
            self._start = message
            if self._aim == REPLACE_NOW:
                await self._show()
            return
        if self._aim == NOT_SHOWN:
            message = {**message, "headers": self._visit.not_shown(status, headers)}
        await self._send(message)

    async def _decide(self) -> None:
        if not self._visit.undecided:
            return
        asking = self._asking()
        failed = False
        for callable_ in self._profiler._callables:
            try:
                answer = callable_(asking)
                if inspect.isawaitable(answer):
                    answer = await answer
                if answer:
                    self._visit.decide(True)
                    return
            except Exception as error:
                failed = True
                self._profiler._say_raised("the gate", error)
        self._visit.decide(None if failed else False)

    def _leaving(self, message: Message) -> Message:
        """What concerns logs, just before the head leaves."""
        profiler = self._profiler
        if not profiler._touches_headers:
            return message
        headers = message.get("headers", [])
        added = profiler._leaving(self._visit, [])
        if profiler._wants_answer_headers:
            self._visit.leaving(headers)
        if added:
            headers = [*headers, *((name.lower().encode(), value.encode()) for name, value in added)]
        return {**message, "headers": headers}

    def _asking(self) -> Any:
        """What the application's callables are asked with."""
        starlette = sys.modules.get("starlette.requests")
        return Asking(scope=self._scope) if starlette is None else starlette.Request(self._scope)

    async def _hold(self, message: Message) -> None:
        body = bytes(message.get("body", b""))
        self._held.append(body)
        self._size += len(body)
        last = not message.get("more_body", False)
        too_large = self._size > self._profiler._max_page
        if self._aim == HOLD and too_large:
            await self._let_go(last)
        elif last or too_large:
            await self._show()
            if last:
                self.ending.finish()

    async def _let_go(self, last: bool) -> None:
        """It is larger than may be held back: what was held, and then the rest, as they are."""
        start, self._start = self._start, None
        if start is None:
            return
        headers = self._visit.not_shown(start["status"], start.get("headers", []), "too-large")
        await self._send({**start, "headers": headers})
        await self._send({"type": "http.response.body", "body": b"".join(self._held), "more_body": not last})
        self._held = []

    async def _show(self) -> None:
        start, self._start = self._start, None
        if start is None:
            return
        self._replaced = True
        status, headers, body = self._visit.show(start["status"], start.get("headers", []), b"".join(self._held))
        self._held = []
        if not headers or isinstance(headers[0][0], str):
            headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        trailers = start.get("trailers", False) and self._aim == HOLD
        self._replaced = not trailers
        message = self._leaving({**start, "status": status, "headers": headers})
        if "trailers" in start:
            message["trailers"] = trailers
        await self._server_sends(message)
        self.ending.sent += len(body)
        await self._server_sends({"type": "http.response.body", "body": body, "more_body": False})
