"""RQ: each job a worker performs is a job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rq.job import Job

from ioprofiler import hooks

if TYPE_CHECKING:
    from ioprofiler.hooks._patch import Patches


def hook(patches: Patches) -> None:
    patches.replace(Job, "perform", _performing)


def _performing(original: Any) -> Any:
    def perform(self: Any) -> Any:
        native = hooks.profiler_of_jobs()
        if native is None:
            return original(self)
        with native.begin("job", self.func_name or "job", False):
            return original(self)

    return perform
