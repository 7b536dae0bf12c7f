"""What the gate's callable is asked about, where no framework has a request of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ioprofiler import _native

if TYPE_CHECKING:
    from ioprofiler._profiler import Profiler

#: What is to be done with an answer's body: see `Visit.aim`.
PASS, HOLD, REPLACE_NOW, NOT_SHOWN, HOLD_TO_REPLACE = range(5)


class Asking:
    """A request that asks for its profile: WSGI's `environ` or ASGI's `scope`."""

    def __init__(self, *, environ: dict[str, Any] | None = None, scope: dict[str, Any] | None = None) -> None:
        self.environ = environ
        self.scope = scope
        #: The request under observation.
        self.live = _native.current_request()


def describe(error: BaseException) -> str:
    """An error in one line, for the profile."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:
        return type(error).__name__


class Ending:
    """The duty to end a request: once, whatever happens first."""

    __slots__ = ("_over", "_profiler", "request", "sent", "status")

    def __init__(self, request: _native.Request, profiler: Profiler) -> None:
        self.request = request
        self.status: int | None = None
        self.sent = 0
        self._over = False
        self._profiler = profiler

    @property
    def over(self) -> bool:
        return self._over

    def answered(self, status: int) -> None:
        """The application has said its status."""
        self.status = status
        self.request.set_status(status)

    def finish(self) -> None:
        """The whole answer was handed to the server."""
        if not self._over:
            self._over = True
            # Without an answer, this is what the server will most likely make of it.
            self._profiler._ended(self.request.finish(500 if self.status is None else self.status, self.sent))

    def fail(self, error: BaseException) -> None:
        """The application raised, with an answer or without."""
        if not self._over:
            self.request.set_error(describe(error))
            self.finish()

    def abort(self) -> None:
        """Nobody wants the rest."""
        if not self._over:
            self._over = True
            self._profiler._ended(self.request.abort(self.status, self.sent))
