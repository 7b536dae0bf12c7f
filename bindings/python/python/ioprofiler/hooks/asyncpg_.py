"""asyncpg: its protocol is C, so the methods above it are replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import asyncpg
import asyncpg.connection
import asyncpg.pool
import asyncpg.prepared_stmt

from ioprofiler import _native
from ioprofiler.hooks import _dbapi, _names
from ioprofiler.hooks._async import waits

if TYPE_CHECKING:
    from ioprofiler.hooks._patch import Patches

_DIALECT = "postgresql"


def hook(patches: Patches) -> None:
    connection = asyncpg.connection.Connection
    # Each of them reaches the protocol by another way; one inside another is one call.
    for name in ("execute", "executemany", "fetch", "fetchval", "fetchrow", "_copy_in", "_copy_out"):
        patches.replace(connection, name, _statement(name == "executemany", has_args=not name.startswith("_")))
    patches.replace(connection, "copy_records_to_table", _copying_records)
    statement = asyncpg.prepared_stmt.PreparedStatement
    for name in ("fetch", "fetchval", "fetchrow", "executemany"):
        patches.replace(statement, name, _prepared(name == "executemany"))
    patches.replace(connection, "prepare", _statement(False))
    patches.replace(asyncpg.pool.Pool, "_acquire", waits("asyncpg"))
    original = asyncpg.connect
    patches.replace_everywhere(original, _connecting(original))


def _category(connection: Any) -> str:
    try:
        host, port = connection._addr
        return _names.database(_DIALECT, host, port, connection._params.database)
    except Exception:
        return _names.defined(_DIALECT, _DIALECT)


def _count(span: _native.Span, result: Any) -> None:
    """Rows, as the result says: a list, a record, or a status like `UPDATE 3`."""
    if isinstance(result, list):
        span.rows(len(result))
    elif isinstance(result, str):
        last = result.rpartition(" ")[2]
        if last.isdigit():
            span.rows(int(last))


def _statement(many: bool, has_args: bool = True) -> Any:
    def make(original: Any) -> Any:
        async def call(self: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
            if not _native.in_request():
                return await original(self, query, *args, **kwargs)
            given = (args[0] if many and args else args) if has_args else None
            text = _names.statement(str(query), given or None, many=many)
            with _native.span(_category(self), text) as span:
                result = await original(self, query, *args, **kwargs)
                _count(span, result)
                return result

        return call

    return make


def _prepared(many: bool) -> Any:
    def make(original: Any) -> Any:
        async def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            if not _native.in_request():
                return await original(self, *args, **kwargs)
            given = args[0] if many and args else args
            text = _names.statement(self.get_query(), given or None, many=many)
            with _native.span(_category(self._connection), text) as span:
                result = await original(self, *args, **kwargs)
                _count(span, result)
                return result

        return call

    return make


def _copying_records(original: Any) -> Any:
    async def copy(self: Any, table_name: Any, *args: Any, **kwargs: Any) -> Any:
        if not _native.in_request():
            return await original(self, table_name, *args, **kwargs)
        with _native.span(_category(self), f"COPY {table_name} FROM STDIN") as span:
            result = await original(self, table_name, *args, **kwargs)
            _count(span, result)
            return result

    return copy


def _connecting(original: Any) -> Any:
    async def connect(*args: Any, **kwargs: Any) -> Any:
        if not _native.in_request() or _native.in_call():
            return await original(*args, **kwargs)
        with _dbapi.connect_span(_where, *args, **kwargs):
            return await original(*args, **kwargs)

    return connect


def _where(dsn: Any = None, *, host: Any = None, port: Any = None, database: Any = None, **_: Any) -> tuple[str, str]:
    if dsn is not None:
        from urllib.parse import urlsplit

        parts = urlsplit(dsn)
        host, port = host or parts.hostname, port or parts.port
        database = database or parts.path.lstrip("/")
    return _names.database(_DIALECT, host, port or 5432, database), f"{host or 'local'}:{port or 5432}"
