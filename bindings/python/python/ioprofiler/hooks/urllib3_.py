"""urllib3, and so requests, boto and others above it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from urllib3.connectionpool import HTTPConnectionPool

from ioprofiler import _native
from ioprofiler.hooks import _names

if TYPE_CHECKING:
    from ioprofiler.hooks._patch import Patches


def hook(patches: Patches) -> None:
    patches.replace(HTTPConnectionPool, "urlopen", _opening)


def _opening(original: Any) -> Any:
    # Redirects and retries call it again, inside itself: one call, as the application made one.
    def urlopen(self: Any, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        if not _native.in_request():
            return original(self, method, url, *args, **kwargs)
        category = _names.defined(_names.server("http", self.host, self.port), "path")
        with _native.span(category, f"{method} {url}", target=f"{self.host}:{self.port}"):
            return original(self, method, url, *args, **kwargs)

    return urlopen
