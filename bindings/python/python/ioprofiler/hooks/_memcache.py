"""What the memcache clients have in common: categories by what is done, keys, hits and misses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ioprofiler._native import CacheServer, begin, end, hooked_reading
from ioprofiler.hooks import _names
from ioprofiler.hooks._patch import taken

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
METHODS = tuple(_CATEGORY)


#: Where a client is given what stands for a missing key, after itself and the key.
_DEFAULT_AT = {"get": 2, "gets": 2, "gat": 3, "gats": 3}


class _Of:
    """How a client's calls are named: worked out once, because a page makes hundreds of them."""

    __slots__ = ("categories", "server", "target")

    def __init__(self, target: str) -> None:
        self.target = target
        kind = _names.server("memcache", *target.rpartition(":")[::2])
        self.categories = {
            name: _names.defined(kind + category.removeprefix("memcache"), "keys")
            for name, category in _CATEGORY.items()
        }
        self.server = CacheServer([self.categories[name] for name in READ_ONE], target)


def method(
    name: str, target: Callable[[Any], str], connect: Callable[[Any], bool] | None = None
) -> Callable[[Any], Any]:
    """Makes a client's method a call.

    `connect` does what is no part of it, before it. Where it answers that this is done, a read does not
    ask it again until `unready`.
    """
    if name in READ_ONE:
        return _reading(name, target, connect)
    many = name in (*READ_MANY, *WRITE_MANY, *DELETE_MANY)
    done = name.removesuffix("_many").removesuffix("_multi").upper()
    reads = name in READ_MANY

    def make(original: Any) -> Any:
        def call(self: Any, key: Any, *args: Any, **kwargs: Any) -> Any:
            if connect is not None:
                connect(self)
            of = getattr(self, "_ioprofiler", None) or _of(self, target)
            span = begin(of.categories[name])
            if span is None:
                return original(self, key, *args, **kwargs)
            if many and not hasattr(key, "__len__"):
                key = list(key)  # what can be read once must still be there for the client
            keys = _texts(key) if many else [_names._text(key)]
            span.target(of.target).detail(f"Cache {done}, keys: {', '.join(keys)}")
            try:
                answer = original(self, key, *args, **kwargs)
            except BaseException:
                end(span, True)
                raise
            if reads:
                found = {_names._text(one) for one in answer or ()}
                missed = [one for one in keys if one not in found]
                span.detail(_names.cache(keys, missed)).hits(len(keys) - len(missed)).misses(len(missed))
            end(span)
            return answer

        return call

    return make


#: A client's attribute: where its reads go, while they need no preparation.
_READY = "_ioprofiler_server"


def unready(client: Any) -> None:
    """From now on `connect` is asked before the client's next read."""
    taken(client, _READY)


def _reading(name: str, target: Callable[[Any], str], connect: Callable[[Any], bool] | None) -> Callable[[Any], Any]:
    """Of one key: what pages do most."""

    def prepare(client: Any) -> CacheServer:
        of = getattr(client, "_ioprofiler", None) or _of(client, target)
        if connect is None or connect(client):
            setattr(client, _READY, of.server)
        return of.server

    def make(original: Any) -> Any:
        return hooked_reading(
            original,
            _CATEGORY[name],
            READ_ONE.index(name),
            of=_READY,
            prepare=prepare,
            default_at=_DEFAULT_AT[name],
        )

    return make


def _texts(keys: Any) -> list[str]:
    try:
        return [_names._text(one) for one in keys]
    except Exception:
        return []  # no keys at all: the client will say so


def _of(client: Any, target: Callable[[Any], str]) -> _Of:
    of = client._ioprofiler = _Of(target(client))
    return of
