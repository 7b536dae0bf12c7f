"""What a call is shown as: its category, and its statement with parameters."""

from __future__ import annotations

import os
from typing import Any

from ioprofiler import _native

#: `types`, `values` or `none`: see `Profiler`.
params = "types"
#: The operator's names: `host:port/database`, `host:port`, `host`, `/database` or an alias -> category.
configured: dict[str, str] = {}

#: Categories of what is not a call of the server itself.
CONNECT = "db_connect"
POOL_WAIT = "pool_wait"

_MAX_PARAMS = 20
_MAX_VALUE = 60


def database(dialect: str, host: Any, port: Any, name: Any, *, alias: str | None = None) -> str:
    """The category of a database: as configured, else its alias, its name, or its kind."""
    host, port, name = _text(host), _text(port), _text(name)
    where = f"{host}:{port}" if port else host
    for key in (alias, f"{where}/{name}", where, host, f"/{name}"):
        if key and key in configured:
            return defined(configured[key], dialect)
    return defined(alias or name or dialect, dialect)


def sqlite(file: Any) -> str:
    """The category of an SQLite file: its own name. Here, so that who asks needs no sqlite3."""
    path = os.fsdecode(file) if isinstance(file, (str, bytes, os.PathLike)) else ""
    if path.startswith("file:"):
        path = path[5:].partition("?")[0]
    name = os.path.splitext(os.path.basename(path))[0]
    return database("sqlite", path, "", "" if name == ":memory:" else name)


def server(kind: str, host: Any, port: Any, name: Any = "") -> str:
    """The name of a server that is no database: as configured, else its kind."""
    host, port, name = _text(host), _text(port), _text(name)
    if configured:
        for key in (f"{host}:{port}/{name}", f"{host}:{port}", host):
            if key in configured:
                return configured[key]
    return kind


_defined: dict[str, str] = {}


def defined(category: str, dialect: str) -> str:
    """The category, always as the same object, whose details are written in this dialect."""
    known = _defined.get(category)
    if known is None:
        _native.define_category(category, "leaf", dialect)
        if len(_defined) < 4096:
            _defined[category] = category
        return category
    return known


def statement(text: str, given: Any = None, *, many: bool = False) -> str:
    """A statement, in a request that asked with its parameters as the option `params` says.

    They stand in a comment, which no fingerprint keeps.
    """
    if given is None or params == "none" or not _native.is_asked():
        return text
    try:
        if many:
            count = len(given) if hasattr(given, "__len__") else None
            shown = "many" if count is None else f"{count} times"
        else:
            shown = _shown(given)
    except Exception:
        return text
    return f"{text} -- [{shown}]" if shown else text


def _shown(given: Any) -> str:
    if isinstance(given, dict):
        pairs = list(given.items())
        texts = [f"{name}: {_one(value)}" for name, value in pairs[:_MAX_PARAMS]]
        rest = len(pairs) - len(texts)
    else:
        values = list(given)
        texts = [_one(value) for value in values[:_MAX_PARAMS]]
        rest = len(values) - len(texts)
    return ", ".join(texts) + (f", {rest} more" if rest > 0 else "")


def _one(value: Any) -> str:
    if params != "values":
        return type(value).__name__
    text = repr(value)
    return text if len(text) <= _MAX_VALUE else text[: _MAX_VALUE - 1] + "…"


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def waiting(original: Any, pool: str) -> Any:
    """A function that waits for a pool's connection: a scope, because it may have to connect."""

    def wait(*args: Any, **kwargs: Any) -> Any:
        if not _native.in_request():
            return original(*args, **kwargs)
        with _native.scope(POOL_WAIT, pool):
            return original(*args, **kwargs)

    return wait


def cache(keys: Any, missed: Any) -> str:
    """What a cache answered, in the words of the original."""
    keys, missed = list(map(_text, keys)), list(map(_text, missed))
    if not missed:
        return "Cache HIT, keys: " + ", ".join(keys)
    if len(missed) == len(keys):
        return "Cache MISS, keys: " + ", ".join(keys)
    return f"Cache {len(keys) - len(missed)}/{len(keys)} HIT, missed: " + ", ".join(missed)
