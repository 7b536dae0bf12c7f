"""redis-py: commands and pipelines, synchronous, asynchronous and of a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import redis
import redis.asyncio
import redis.asyncio.client
import redis.client

from ioprofiler import _native
from ioprofiler.hooks import _names

if TYPE_CHECKING:
    from ioprofiler.hooks._patch import Patches

_MAX_SHOWN = 10
#: Commands whose further arguments are keys too.
_MANY_KEYS = frozenset({"MGET", "DEL", "UNLINK", "EXISTS", "TOUCH", "SINTER", "SUNION", "SDIFF"})
#: Commands that answer nothing where there is no such key.
_READS = frozenset({"GET", "GETEX", "GETDEL", "HGET", "LINDEX", "LPOP", "RPOP", "ZSCORE"})


def hook(patches: Patches) -> None:
    patches.replace(redis.client.Redis, "execute_command", _command)
    patches.replace(redis.client.Pipeline, "execute", _pipeline)
    patches.replace(redis.client.Pipeline, "immediate_execute_command", _command)
    patches.replace(redis.asyncio.client.Redis, "execute_command", _async_command)
    patches.replace(redis.asyncio.client.Pipeline, "execute", _async_pipeline)
    patches.replace(redis.asyncio.client.Pipeline, "immediate_execute_command", _async_command)
    if hasattr(redis, "RedisCluster"):
        patches.replace(redis.RedisCluster, "execute_command", _command)
    if hasattr(redis.asyncio, "RedisCluster"):
        patches.replace(redis.asyncio.RedisCluster, "execute_command", _async_command)


def _where(client: Any) -> tuple[str, str]:
    """Category and target."""
    pool = getattr(client, "connection_pool", None)
    if pool is None:
        return _names.defined("redis", "keys"), "cluster"
    options = pool.connection_kwargs
    host, port = options.get("host") or options.get("path", ""), options.get("port", "")
    category = _names.defined(_names.server("redis", host, port, options.get("db", 0)), "keys")
    return category, f"{host}:{port}" if port else str(host)


def _shown(args: Any) -> str:
    """A command with its keys, and without values."""
    name = _names._text(args[0]) if args else ""
    keys = list(args[1:] if name.upper() in _MANY_KEYS else args[1:2])
    texts = [_names._text(key) for key in keys[:_MAX_SHOWN]]
    more = f" … {len(keys) - _MAX_SHOWN} more" if len(keys) > _MAX_SHOWN else ""
    return " ".join([name, *texts]) + more


def _count(call: _native.Span, args: Any, answer: Any) -> None:
    name = _names._text(args[0]).upper() if args else ""
    if name in _READS:
        if answer is None:
            call.misses(1)
        else:
            call.hits(1)
    elif name == "MGET" and isinstance(answer, list):
        missed = sum(1 for one in answer if one is None)
        call.hits(len(answer) - missed).misses(missed)


def _span(client: Any, args: Any) -> _native.Span:
    category, target = _where(client)
    return _native.span(category, _shown(args), target=target)


def _command(original: Any) -> Any:
    def execute_command(self: Any, *args: Any, **options: Any) -> Any:
        # A pipeline only notes commands down: they are sent when it is executed.
        if not _native.in_request() or _is_noting(self, original):
            return original(self, *args, **options)
        with _span(self, args) as call:
            answer = original(self, *args, **options)
            _count(call, args, answer)
            return answer

    return execute_command


def _async_command(original: Any) -> Any:
    async def execute(self: Any, args: Any, options: Any) -> Any:
        with _span(self, args) as call:
            answer = await original(self, *args, **options)
            _count(call, args, answer)
            return answer

    # Not async itself: of a pipeline it answers the pipeline.
    def execute_command(self: Any, *args: Any, **options: Any) -> Any:
        if not _native.in_request() or _is_noting(self, original):
            return original(self, *args, **options)
        return execute(self, args, options)

    return execute_command


def _is_noting(client: Any, original: Any) -> bool:
    return hasattr(client, "command_stack") and original.__name__ == "execute_command"


def _shown_pipeline(pipeline: Any) -> str:
    commands = []
    for one in list(pipeline.command_stack)[:_MAX_SHOWN]:
        commands.append(_shown(one[0] if isinstance(one, tuple) else getattr(one, "args", ())))
    rest = len(pipeline.command_stack) - len(commands)
    kind = "MULTI" if getattr(pipeline, "transaction", None) is True else "PIPELINE"
    return f"{kind} {'; '.join(commands)}" + (f"; {rest} more" if rest > 0 else "")


def _pipeline(original: Any) -> Any:
    def execute(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not _native.in_request() or not self.command_stack:
            return original(self, *args, **kwargs)
        category, target = _where(self)
        with _native.span(category, _shown_pipeline(self), target=target):
            return original(self, *args, **kwargs)

    return execute


def _async_pipeline(original: Any) -> Any:
    async def execute(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not _native.in_request() or not self.command_stack:
            return await original(self, *args, **kwargs)
        category, target = _where(self)
        with _native.span(category, _shown_pipeline(self), target=target):
            return await original(self, *args, **kwargs)

    return execute
