"""RQ: each job a worker performs is a job."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from rq.job import Job

from ioprofiler import hooks

if TYPE_CHECKING:
    from ioprofiler.hooks._patch import Patches


#: How long a worker's child waits for what its job has done to be handed over, in seconds.
_DEADLINE = 0.2


def hook(patches: Patches) -> None:
    patches.replace(Job, "perform", _performing(os.getpid()))


def _performing(worker: int) -> Any:
    def make(original: Any) -> Any:
        def perform(self: Any) -> Any:
            native = hooks.profiler_of_jobs()
            if native is None:
                return original(self)
            try:
                with native.begin("job", self.func_name or "job", False):
                    return original(self)
            finally:
                # A process of its own for each job, which ends without running what is to run at exit.
                if os.getpid() != worker:
                    native.flush(_DEADLINE)

        return perform

    return make
