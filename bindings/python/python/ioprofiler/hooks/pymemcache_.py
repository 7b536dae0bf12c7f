"""pymemcache: its plain client, through which the pooled, hashed and retrying ones call."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from pymemcache.client.base import Client

from ioprofiler import _native
from ioprofiler.hooks import _memcache, _names
from ioprofiler.hooks._patch import count_error, taken

if TYPE_CHECKING:
    from ioprofiler.hooks._patch import Patches


def hook(patches: Patches) -> None:
    for name in _memcache.METHODS:
        patches.replace(Client, name, _memcache.method(name, _target, _connect))
    # Under their old names.
    for name, same in (("get_multi", "get_many"), ("set_multi", "set_many"), ("delete_multi", "delete_many")):
        if name in Client.__dict__:
            patches.replace(Client, name, partial(_same_as, same))

    patches.replace(Client, "_connect", _connecting)
    for name in ("close", "disconnect_all"):
        patches.replace(Client, name, _closing)


def _connecting(original: Any) -> Any:
    """A connection is made inside the first command that needs it; here it was tried before that."""

    def connect(self: Any) -> Any:
        failed = taken(self, "_ioprofiler_failed")
        # Of another command, that did not come so far.
        if failed is not None and _native.in_call():
            raise failed
        return original(self)

    return connect


def _closing(original: Any) -> Any:
    def close(self: Any) -> Any:
        try:
            _memcache.unready(self)
        except Exception:
            count_error()
        return original(self)

    return close


def _connect(client: Any) -> bool:
    """Connects a client that is about to send a command; what goes wrong waits for the command."""
    if client.sock is not None:
        return True
    if not _native.in_request():
        return False
    taken(client, "_ioprofiler_failed")
    try:
        with _native.span(_names.CONNECT, "memcache", target=_target(client)):
            client._connect()
    except Exception as error:
        client._ioprofiler_failed = error
    return client.sock is not None


def _target(client: Any) -> str:
    server = client.server
    return f"{server[0]}:{server[1]}" if isinstance(server, tuple) else str(server)


def _same_as(name: str, _: Any) -> Any:
    return getattr(Client, name)
