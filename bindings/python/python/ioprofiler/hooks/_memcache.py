"""What the memcache clients have in common: categories by what is done, keys, hits and misses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ioprofiler import _native
from ioprofiler.hooks import _names

if TYPE_CHECKING:
    from collections.abc import Callable

READ_ONE = ("get", "gets", "gat", "gats")
READ_MANY = ("get_many", "gets_many", "get_multi")
WRITE = ("set", "add", "replace", "append", "prepend", "cas", "incr", "decr", "touch")
WRITE_MANY = ("set_many", "set_multi", "add_multi")
DELETE = ("delete",)
DELETE_MANY = ("delete_many", "delete_multi")

_CATEGORY = {
    **dict.fromkeys(READ_ONE, "memcache_get"),
    **dict.fromkeys(READ_MANY, "memcache_get_multi"),
    **dict.fromkeys((*WRITE, *WRITE_MANY), "memcache_set"),
    **dict.fromkeys((*DELETE, *DELETE_MANY), "memcache_delete"),
}


def method(
    name: str, target: Callable[[Any], str], connect: Callable[[Any], None] | None = None
) -> Callable[[Any], Any]:
    """Makes a client's method a call; `connect` does what is no part of it, before it."""
    done = _CATEGORY[name].removeprefix("memcache")
    many = name in (*READ_MANY, *WRITE_MANY, *DELETE_MANY)
    reads = name in (*READ_ONE, *READ_MANY)

    def make(original: Any) -> Any:
        def call(self: Any, key: Any, *args: Any, **kwargs: Any) -> Any:
            if not _native.in_request():
                return original(self, key, *args, **kwargs)
            if many and not hasattr(key, "__len__"):
                key = list(key)  # what can be read once must still be there for the client
            keys = list(key) if many else [key]
            if connect is not None:
                connect(self)
            where = target(self)
            kind = _names.server("memcache", *where.rpartition(":")[::2])
            with _native.span(_names.defined(kind + done, "keys"), _keys(name, keys), target=where) as span:
                answer = original(self, key, *args, **kwargs)
                if reads:
                    _read(span, keys, answer, many, args, kwargs)
                return answer

        return call

    return make


def _keys(name: str, keys: list[Any]) -> str:
    done = name.removesuffix("_many").removesuffix("_multi").upper()
    return f"Cache {done}, keys: " + ", ".join(map(_names._text, keys))


def _read(span: _native.Span, keys: list[Any], answer: Any, many: bool, args: Any, kwargs: Any) -> None:
    if many:
        found = {_names._text(key) for key in answer or ()}
        missed = [key for key in keys if _names._text(key) not in found]
    else:
        default = args[0] if args else kwargs.get("default")
        value = answer[0] if isinstance(answer, tuple) and answer else answer
        missed = keys if value is None or (value is default and default is not None) else []
    span.detail(_names.cache(keys, missed)).hits(len(keys) - len(missed)).misses(len(missed))
