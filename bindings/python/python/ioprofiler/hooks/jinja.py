"""Jinja2: pages, the templates they extend, and includes, each once and inside each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jinja2 import Template

from ioprofiler import _native

if TYPE_CHECKING:
    from ioprofiler.hooks._patch import Patches


def hook(patches: Patches) -> None:
    # What a template renders with is an attribute of its own. A property of the class comes before it,
    # also for templates that were made earlier, and leaves nothing behind when it goes.
    patches.add(Template, "root_render_func", property(_render_of, _set_render))


def _set_render(template: Any, render: Any) -> None:
    template.__dict__["root_render_func"] = render


def _render_of(template: Any) -> Any:
    own = template.__dict__
    try:
        render = own["root_render_func"]
    except KeyError:
        raise AttributeError("root_render_func") from None
    known = own.get("_ioprofiler")
    if known is None or known[0] is not render:
        make = _async_rendering if template.environment.is_async else _rendering
        known = own["_ioprofiler"] = (render, make(render, template.name or "(a string)"))
    return known[1]


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
