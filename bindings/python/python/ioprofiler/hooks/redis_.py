"""redis-py: commands and pipelines, synchronous, asynchronous and of a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import redis
import redis.asyncio
import redis.asyncio.client
import redis.asyncio.cluster
import redis.asyncio.connection
import redis.client
import redis.cluster
import redis.connection

from ioprofiler import _native
from ioprofiler.hooks import _names
from ioprofiler.hooks._async import waits

if TYPE_CHECKING:
    from ioprofiler.hooks._patch import Patches

_MAX_SHOWN = 10
#: Commands whose further arguments are keys too.
_MANY_KEYS = frozenset({"MGET", "DEL", "UNLINK", "EXISTS", "TOUCH", "SINTER", "SUNION", "SDIFF"})
#: Commands that answer nothing where there is no such key.
_READS = frozenset({"GET", "GETEX", "GETDEL", "HGET", "LINDEX", "LPOP", "RPOP", "ZSCORE"})


def hook(patches: Patches) -> None:
    for module, command, pipeline, connecting, waiting in (
        (redis, _command, _pipeline, _connecting, _waiting),
        (redis.asyncio, _async_command, _async_pipeline, _async_connecting, _async_waiting),
    ):
        # Below `execute_command`, where the connection is there already: getting it is no part of the
        # command. What a pipeline only notes down does not come here.
        patches.replace(module.client.Redis, "_send_command_parse_response", command(at=1))
        patches.replace(module.client.Pipeline, "_execute_transaction", pipeline(True))
        patches.replace(module.client.Pipeline, "_execute_pipeline", pipeline(False))
        patches.replace(module.connection.AbstractConnection, "connect", connecting)
        patches.replace(module.connection.BlockingConnectionPool, "get_connection", waiting)
        if hasattr(module, "RedisCluster"):
            patches.replace(module.RedisCluster, "execute_command", command(at=0))
    patches.replace(redis.cluster.ClusterPipeline, "execute", _cluster_pipeline)
    patches.replace(redis.asyncio.cluster.ClusterPipeline, "execute", _async_cluster_pipeline)


def _where(client: Any) -> tuple[str, str]:
    """Category and target."""
    pool = getattr(client, "connection_pool", None)
    if pool is None:
        return _names.defined("redis", "keys"), "cluster"
    options = pool.connection_kwargs
    host, port = options.get("host") or options.get("path", ""), options.get("port", "")
    category = _names.defined(_names.server("redis", host, port, options.get("db") or 0), "keys")
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


def _command(at: int) -> Any:
    """Makes a method that sends a command a call; `at` is where the command is among the arguments."""

    def make(original: Any) -> Any:
        def send(self: Any, *args: Any, **options: Any) -> Any:
            if not _native.in_request():
                return original(self, *args, **options)
            words = args[2 * at :]
            with _span(self, words) as call:
                answer = original(self, *args, **options)
                _count(call, words, answer)
                return answer

        return send

    return make


def _async_command(at: int) -> Any:
    def make(original: Any) -> Any:
        async def send(self: Any, *args: Any, **options: Any) -> Any:
            if not _native.in_request():
                return await original(self, *args, **options)
            words = args[2 * at :]
            with _span(self, words) as call:
                answer = await original(self, *args, **options)
                _count(call, words, answer)
                return answer

        return send

    return make


def _shown_pipeline(commands: Any, is_transaction: bool) -> str:
    texts = [
        _shown(one[0] if isinstance(one, tuple) else getattr(one, "args", ())) for one in list(commands)[:_MAX_SHOWN]
    ]
    rest = len(commands) - len(texts)
    kind = "MULTI" if is_transaction else "PIPELINE"
    return f"{kind} {'; '.join(texts)}" + (f"; {rest} more" if rest > 0 else "")


def _pipeline(is_transaction: bool) -> Any:
    def make(original: Any) -> Any:
        def execute(self: Any, connection: Any, commands: Any, *args: Any) -> Any:
            if not _native.in_request():
                return original(self, connection, commands, *args)
            category, target = _where(self)
            with _native.span(category, _shown_pipeline(commands, is_transaction), target=target):
                return original(self, connection, commands, *args)

        return execute

    return make


def _async_pipeline(is_transaction: bool) -> Any:
    def make(original: Any) -> Any:
        async def execute(self: Any, connection: Any, commands: Any, *args: Any) -> Any:
            if not _native.in_request():
                return await original(self, connection, commands, *args)
            category, target = _where(self)
            with _native.span(category, _shown_pipeline(commands, is_transaction), target=target):
                return await original(self, connection, commands, *args)

        return execute

    return make


def _commands_of_cluster(pipeline: Any) -> Any:
    # Newer versions keep them in a strategy.
    strategy = getattr(pipeline, "_execution_strategy", None)
    return getattr(strategy, "_command_queue", None) or getattr(pipeline, "command_stack", ())


def _cluster_pipeline(original: Any) -> Any:
    def execute(self: Any, *args: Any, **kwargs: Any) -> Any:
        commands = _commands_of_cluster(self)
        if not _native.in_request() or not commands:
            return original(self, *args, **kwargs)
        with _native.span(_where(self)[0], _shown_pipeline(commands, False), target="cluster"):
            return original(self, *args, **kwargs)

    return execute


def _async_cluster_pipeline(original: Any) -> Any:
    async def execute(self: Any, *args: Any, **kwargs: Any) -> Any:
        commands = _commands_of_cluster(self)
        if not _native.in_request() or not commands:
            return await original(self, *args, **kwargs)
        with _native.span(_where(self)[0], _shown_pipeline(commands, False), target="cluster"):
            return await original(self, *args, **kwargs)

    return execute


def _connect_span(connection: Any) -> _native.Span:
    host, port = getattr(connection, "host", None) or getattr(connection, "path", ""), getattr(connection, "port", "")
    category = _names.server("redis", host, port, getattr(connection, "db", 0))
    return _native.span(_names.CONNECT, category, target=f"{host}:{port}" if port else str(host))


def _connecting(original: Any) -> Any:
    def connect(self: Any) -> Any:
        # It is called to be sure, too; and inside a command that connects again.
        if not _native.in_request() or _native.in_call() or getattr(self, "_sock", None) is not None:
            return original(self)
        with _connect_span(self):
            return original(self)

    return connect


def _async_connecting(original: Any) -> Any:
    async def connect(self: Any) -> Any:
        if not _native.in_request() or _native.in_call() or self.is_connected:
            return await original(self)
        with _connect_span(self):
            return await original(self)

    return connect


def _waiting(original: Any) -> Any:
    return _names.waiting(original, "redis")


_async_waiting = waits("redis")
