"""Asynchronous functions whose calls are recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ioprofiler import _native
from ioprofiler.hooks import _names

if TYPE_CHECKING:
    from collections.abc import Callable


def calls(category: Callable[[Any], str], detail: str) -> Callable[[Any], Any]:
    """Makes an asynchronous method a call; its category comes from the object."""

    def make(original: Any) -> Any:
        async def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            if not _native.in_request():
                return await original(self, *args, **kwargs)
            with _native.span(category(self), detail):
                return await original(self, *args, **kwargs)

        return call

    return make


def waits(pool: str) -> Callable[[Any], Any]:
    """Makes an asynchronous method that waits for a pool's connection a scope: it may have to connect."""

    def make(original: Any) -> Any:
        async def wait(self: Any, *args: Any, **kwargs: Any) -> Any:
            if not _native.in_request():
                return await original(self, *args, **kwargs)
            with _native.scope(_names.POOL_WAIT, pool):
                return await original(self, *args, **kwargs)

        return wait

    return make
