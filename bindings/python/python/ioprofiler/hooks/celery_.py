"""Celery: each task that a worker runs is a job; one that is run in place is a scope of its request."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from celery import signals

from ioprofiler import _native, hooks

if TYPE_CHECKING:
    from ioprofiler.hooks._patch import Patches

_jobs: dict[str, Any] = {}


def hook(patches: Patches) -> None:
    for signal, receiver in (
        (signals.task_prerun, _begin),
        (signals.task_failure, _failed),
        (signals.task_postrun, _end),
    ):
        signal.connect(receiver, weak=False)
        patches.later(partial(signal.disconnect, receiver))


def _begin(task_id: str, task: Any, **_: Any) -> None:
    if _native.in_request():
        # `apply()`, or the setting `task_always_eager`: a page that waits for it has its calls.
        scope = _native.scope("celery", task.name)
        scope.__enter__()
        _jobs[task_id] = (None, scope)
        return
    native = hooks.profiler_of_jobs()
    if native is None:
        return
    request = native.begin("job", task.name, False)
    entered = request.enter()
    entered.__enter__()
    _jobs[task_id] = (request, entered)


def _failed(task_id: str, exception: BaseException, **_: Any) -> None:
    request, entered = _jobs.get(task_id, (None, None))
    if request is not None:
        request.set_error(f"{type(exception).__name__}: {exception}")
    elif entered is not None:
        entered.error()


def _end(task_id: str, state: Any = None, **_: Any) -> None:
    request, entered = _jobs.pop(task_id, (None, None))
    if entered is not None:
        entered.__exit__(None, None, None)
    if request is not None:
        request.finish(500 if state == "FAILURE" else 200)
