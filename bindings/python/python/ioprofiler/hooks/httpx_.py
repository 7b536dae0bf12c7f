"""httpx, synchronous and asynchronous; each request of a redirect is a call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx

from ioprofiler import _native
from ioprofiler.hooks import _names

if TYPE_CHECKING:
    from ioprofiler.hooks._patch import Patches


def hook(patches: Patches) -> None:
    patches.replace(httpx.Client, "_send_single_request", _sending)
    patches.replace(httpx.AsyncClient, "_send_single_request", _async_sending)


def _span(request: Any) -> _native.Span:
    url = request.url
    path = url.raw_path.decode("ascii", "replace")
    port = url.port or {"http": 80, "https": 443}.get(url.scheme, "")
    category = _names.defined(_names.server("http", url.host, port), "path")
    return _native.span(category, f"{request.method} {path}", target=f"{url.host}:{port}")


def _sending(original: Any) -> Any:
    def send(self: Any, request: Any) -> Any:
        if not _native.in_request():
            return original(self, request)
        with _span(request):
            return original(self, request)

    return send


def _async_sending(original: Any) -> Any:
    async def send(self: Any, request: Any) -> Any:
        if not _native.in_request():
            return await original(self, request)
        with _span(request):
            return await original(self, request)

    return send
