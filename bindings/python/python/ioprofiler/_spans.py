"""The current request: what calls that name no request belong to."""

from __future__ import annotations

from ioprofiler import _native
from ioprofiler._caller import find_caller

# Not from typing, and other modules further down: importing ioprofiler shall cost nothing.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor
    from datetime import timedelta
    from typing import Any, TypeVar

    _E = TypeVar("_E", bound=Executor)


def add_span(
    category: str,
    detail: object = "",
    *,
    duration: float | timedelta,
    ended_ago: float | timedelta = 0.0,
    failed: bool = False,
) -> None:
    """Records a call that is over, in the current request.

    It took `duration` (seconds, or a timedelta) and ended `ended_ago` before now. What is neither is counted, and
    no call.
    """
    _native.current_request().add_span(category, detail, duration=duration, ended_ago=ended_ago, failed=failed)


def current() -> _native.Request:
    """The request that this thread, task or greenlet is in.

    Where there is none, one that is false and does nothing.
    """
    return _native.current_request()


def in_context(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that runs in the request and scope that are current now, on whatever thread."""
    outer = _native.context()
    if outer is None:
        return function

    from functools import wraps

    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        entered = _native.enter_context(outer)
        try:
            return function(*args, **kwargs)
        finally:
            _native.leave_context(entered)

    return run


def wrap_executor(executor: _E) -> _E:
    """An executor whose work belongs to the request that submits it.

    `ThreadPoolExecutor.submit` and `loop.run_in_executor` do not carry the context by themselves
    (`asyncio.to_thread` does). The executor is changed in place, and given back. One that runs in
    other processes is left alone: their calls are none of this process's.
    """
    from concurrent.futures import ProcessPoolExecutor
    from functools import wraps

    if isinstance(executor, ProcessPoolExecutor) or getattr(executor, "_ioprofiler_wrapped", False):
        return executor
    submit: Any = executor.submit

    @wraps(submit)
    def submit_in_context(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        return submit(in_context(function), *args, **kwargs)

    executor.submit = submit_in_context  # type: ignore[method-assign]
    executor._ioprofiler_wrapped = True  # type: ignore[attr-defined]
    return executor


def _decorate(function: Any, *about: Any) -> Any:
    from ioprofiler._decorate import decorate

    return decorate(function, *about)


_native.set_decorate(_decorate)
_native.set_find_caller(find_caller)
