"""Django's templates: page, base and include, each once and inside each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.template.base import Template

from ioprofiler import _native

if TYPE_CHECKING:
    from ioprofiler.hooks._patch import Patches


def hook(patches: Patches) -> None:
    patches.replace(Template, "_render", _rendering)


def _rendering(original: Any) -> Any:
    def render(self: Any, context: Any) -> Any:
        if not _native.in_request():
            return original(self, context)
        with _native.scope("template", self.name or "(a string)"):
            return original(self, context)

    return render
