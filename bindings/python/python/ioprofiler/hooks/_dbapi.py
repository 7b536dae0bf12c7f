"""What the DB-API drivers have in common: execute, executemany, callproc, commit, rollback, connect.

A cursor tells its category by the attribute `_ioprofiler`. The functions themselves are native
wrappers: no frame of ours is on the stack while the driver works.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ioprofiler import _native
from ioprofiler.hooks import _names

if TYPE_CHECKING:
    from collections.abc import Callable

#: The attribute of cursors and connections that says their category.
CATEGORY = "_ioprofiler"


def text_of(cursor: Any, query: Any) -> str:
    """A statement as text: psycopg's drivers take objects too."""
    if isinstance(query, str):
        return query
    if isinstance(query, (bytes, bytearray)):
        return bytes(query).decode("utf-8", "replace")
    as_string = getattr(query, "as_string", None)
    if as_string is not None:
        return str(as_string(cursor))
    return str(query)


def _describe(cursor: Any, query: Any, params: Any = None, *_: Any) -> str:
    return _names.statement(text_of(cursor, query), params)


def _describe_many(cursor: Any, query: Any, params: Any = None, *_: Any) -> str:
    return _names.statement(text_of(cursor, query), params, many=True)


def _describe_call(cursor: Any, name: Any, params: Any = None, *_: Any) -> str:
    return _names.statement(f"CALL {text_of(cursor, name)}", params)


def execute(
    category: str,
    *,
    name: str = "query",
    category_of: str = CATEGORY,
    rows_of: str | None = "rowcount",
    opaque: bool = False,
) -> Callable[[Any], Any]:
    """Makes `execute(self, query, params)` a call; an opaque one takes in what it calls itself."""
    return _of(category, name, _describe, category_of, rows_of, opaque=opaque)


def executemany(
    category: str, *, name: str = "query", category_of: str = CATEGORY, rows_of: str | None = "rowcount"
) -> Callable[[Any], Any]:
    """Makes `executemany(self, query, list)` one call."""
    # Some drivers make one statement of it, with the values in its text, and execute that.
    return _of(category, name, _describe_many, category_of, rows_of, opaque=True)


def callproc(category: str, *, category_of: str = CATEGORY) -> Callable[[Any], Any]:
    """Makes `callproc(self, name, params)` a call."""
    return _of(category, None, _describe_call, category_of, None, opaque=True)


def _of(
    category: str,
    name: str | None,
    describe: Callable[..., str],
    category_of: str,
    rows_of: str | None,
    *,
    opaque: bool = False,
) -> Callable[[Any], Any]:
    def make(original: Any) -> Any:
        return _native.hooked(
            original,
            category,
            category_of=category_of,
            detail_at=None if name is None else 1,
            detail_name=name,
            describe=describe,
            rows_of=rows_of,
            opaque=opaque,
        )

    return make


def always(category: str, detail: str) -> Callable[[Any], Any]:
    """Makes a method a call with the same detail each time: `COMMIT`."""

    def make(original: Any) -> Any:
        return _native.hooked(original, category, category_of=CATEGORY, detail=detail)

    return make


def strip(*made: dict[type, type]) -> None:
    """Takes the hooks off classes that were made: connections that are open behave as their own class does."""
    for classes in made:
        for observed in classes.values():
            for name, value in list(vars(observed).items()):
                if callable(value):
                    delattr(observed, name)
        classes.clear()


def connecting(original: Any, where: Callable[..., tuple[str, str]]) -> Any:
    """Makes a function that connects a call of its own, where it is not a part of one: of a client
    that connects again, or of a layer above that has said so already. `where` gives category and target."""

    def connect(*args: Any, **kwargs: Any) -> Any:
        if not _native.in_request() or _native.in_call():
            return original(*args, **kwargs)
        category, target = _told(where, *args, **kwargs)
        # Opaque: what a new connection is told and asked first would name it.
        call = _native.begin(_names.CONNECT, category, True)
        if call is not None and target:
            call.target(target)
        try:
            made = original(*args, **kwargs)
        except BaseException:
            _native.end(call, True)
            raise
        _native.end(call)
        return made

    return connect


def connect_span(where: Callable[..., tuple[str, str]], *args: Any, **kwargs: Any) -> _native.Span:
    """The call of a function that connects, where it has to be waited for."""
    category, target = _told(where, *args, **kwargs)
    return _native.span(_names.CONNECT, category, target=target or None)


def _told(where: Callable[..., tuple[str, str]], *args: Any, **kwargs: Any) -> tuple[str, str]:
    try:
        return where(*args, **kwargs)
    except Exception:
        return "", ""
