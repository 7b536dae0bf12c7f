"""pymemcache: its plain client, through which the pooled, hashed and retrying ones call."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from pymemcache.client.base import Client

from ioprofiler.hooks import _memcache

if TYPE_CHECKING:
    from ioprofiler.hooks._patch import Patches


def hook(patches: Patches) -> None:
    for name in _memcache._CATEGORY:
        patches.replace(Client, name, _memcache.method(name, _target))
    # Under their old names.
    for name, same in (("get_multi", "get_many"), ("set_multi", "set_many"), ("delete_multi", "delete_many")):
        if name in Client.__dict__:
            patches.replace(Client, name, partial(_same_as, same))


def _target(client: Any) -> str:
    server = client.server
    return f"{server[0]}:{server[1]}" if isinstance(server, tuple) else str(server)


def _same_as(name: str, _: Any) -> Any:
    return getattr(Client, name)
