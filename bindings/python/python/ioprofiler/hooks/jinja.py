"""Jinja2: pages, the templates they extend, and includes, each once and inside each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jinja2 import Template

from ioprofiler import _native

if TYPE_CHECKING:
    from ioprofiler.hooks._patch import Patches


def hook(patches: Patches) -> None:
    patches.replace(Template, "_from_namespace", _making)


def _making(original: Any) -> Any:
    def from_namespace(cls: Any, environment: Any, namespace: Any, globals: Any) -> Any:
        template = original(cls, environment, namespace, globals)
        try:
            render = _async_rendering if environment.is_async else _rendering
            template.root_render_func = render(template.root_render_func, template.name or "(a string)")
        except Exception:
            pass
        return template

    return from_namespace


def _rendering(render: Any, name: str) -> Any:
    # A generator: what the page does between two of its pieces is not in it.
    def root(context: Any) -> Any:
        if not _native.in_request():
            yield from render(context)
            return
        pieces = iter(render(context))
        with _native.scope("template", name) as call:
            for piece in pieces:
                call._pause()
                yield piece
                call._resume()

    return root


def _async_rendering(render: Any, name: str) -> Any:
    async def root(context: Any) -> Any:
        if not _native.in_request():
            async for piece in render(context):
                yield piece
            return
        with _native.scope("template", name) as call:
            async for piece in render(context):
                call._pause()
                yield piece
                call._resume()

    return root
