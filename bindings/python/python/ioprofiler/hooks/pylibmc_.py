"""pylibmc: the methods are the C type's, so the Python class above it gets its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pylibmc

from ioprofiler.hooks import _memcache

if TYPE_CHECKING:
    from ioprofiler.hooks._patch import Patches


def hook(patches: Patches) -> None:
    client = pylibmc.Client
    for name in _memcache.METHODS:
        if name in client.__dict__:
            patches.replace(client, name, _memcache.method(name, _target))
        elif hasattr(client, name):
            patches.add(client, name, _memcache.method(name, _target)(getattr(client, name)))


def _target(client: Any) -> str:
    addresses = getattr(client, "addresses", None) or [""]
    return str(addresses[0]) if len(addresses) == 1 else f"{len(addresses)} servers"
