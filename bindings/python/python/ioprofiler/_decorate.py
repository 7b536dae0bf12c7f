"""What a span does with a function that it decorates: plain, async, generator, async generator."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

from ioprofiler import _native


def decorate(function: Callable[..., Any], template: _native.Span, category: str, detail: Any, is_scope: bool) -> Any:
    """A function whose calls are spans like `template`; detail is the function's name, if none was given."""
    import inspect

    if not callable(function):
        raise TypeError(f"a span decorates functions, not {function!r}")
    if isinstance(function, (staticmethod, classmethod)):
        raise TypeError(f"put the span below @{type(function).__name__}, next to the function")
    name = detail if detail not in (None, "", b"") else getattr(function, "__qualname__", repr(function))
    make = _native.scope if is_scope else _native.span
    if detail not in (None, "", b""):
        fresh = template._copy
    else:
        fresh = functools.partial(make, category, name)

    if inspect.isasyncgenfunction(function):
        wrapper: Any = _async_generator(function, fresh)
    elif inspect.iscoroutinefunction(function):
        wrapper = _coroutine(function, fresh)
    elif inspect.isgeneratorfunction(function):
        wrapper = _generator(function, fresh)
    elif is_scope:
        wrapper = _plain(function, fresh)
    else:
        wrapper = _native.hooked(function, category, detail=name if isinstance(name, str) else str(name))
    return functools.update_wrapper(wrapper, function)


def _plain(function: Callable[..., Any], fresh: Callable[[], _native.Span]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        with fresh():
            return function(*args, **kwargs)

    return call


def _coroutine(function: Callable[..., Any], fresh: Callable[[], _native.Span]) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        with fresh():
            return await function(*args, **kwargs)

    return call


def _generator(function: Callable[..., Any], fresh: Callable[[], _native.Span]) -> Callable[..., Any]:
    # From its first step to its end. What runs while it waits to be asked again is not inside it.
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        generator = function(*args, **kwargs)
        with fresh() as span:
            step = generator.__next__
            while True:
                try:
                    item = step()
                except StopIteration as stop:
                    return stop.value
                span._pause()
                try:
                    sent = yield item
                except GeneratorExit:
                    span._resume()
                    generator.close()
                    raise
                except BaseException as error:
                    span._resume()
                    step = functools.partial(generator.throw, error)
                else:
                    span._resume()
                    step = functools.partial(generator.send, sent)

    return call


def _async_generator(function: Callable[..., Any], fresh: Callable[[], _native.Span]) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        generator = function(*args, **kwargs)
        with fresh() as span:
            step = generator.__anext__
            while True:
                try:
                    item = await step()
                except StopAsyncIteration:
                    return
                span._pause()
                try:
                    sent = yield item
                except GeneratorExit:
                    span._resume()
                    await generator.aclose()
                    raise
                except BaseException as error:
                    span._resume()
                    step = functools.partial(generator.athrow, error)
                else:
                    span._resume()
                    step = functools.partial(generator.asend, sent)

    return call
