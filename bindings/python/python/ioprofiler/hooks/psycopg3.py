"""psycopg 3, synchronous and asynchronous."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg

from ioprofiler import _native
from ioprofiler.hooks import _dbapi, _names
from ioprofiler.hooks._async import calls

if TYPE_CHECKING:
    from ioprofiler.hooks._patch import Patches

_DIALECT = "postgresql"


def hook(patches: Patches) -> None:
    for name in ("Cursor", "ServerCursor", "AsyncCursor", "AsyncServerCursor"):
        cursor = getattr(psycopg, name, None)
        if cursor is None:
            continue
        if "_ioprofiler" not in cursor.__mro__[1].__dict__:
            patches.add(cursor, "_ioprofiler", property(_category))
        for method, many in (("execute", False), ("executemany", True)):
            if method not in cursor.__dict__:
                continue
            if name.startswith("Async"):
                patches.replace(cursor, method, _async_statement(many))
            elif many:
                patches.replace(cursor, method, _dbapi.executemany(_DIALECT))
            else:
                patches.replace(cursor, method, _dbapi.execute(_DIALECT))
    for name in ("Connection", "AsyncConnection"):
        connection = getattr(psycopg, name)
        patches.add(connection, "_ioprofiler", property(_category_of_connection))
        for method in ("commit", "rollback"):
            detail = method.upper()
            if name.startswith("Async"):
                patches.replace(connection, method, calls(_category_of_connection, detail))
            else:
                patches.replace(connection, method, _dbapi.always(_DIALECT, detail))
    patches.replace(psycopg.Connection, "connect", lambda original: _dbapi.connecting(original, _where))
    patches.replace(psycopg.AsyncConnection, "connect", _async_connecting)
    # The module's own names for it.
    connect = psycopg.connect
    psycopg.connect = psycopg.Connection.connect
    patches.later(lambda: setattr(psycopg, "connect", connect))


def _category(cursor: Any) -> str:
    return _category_of_connection(cursor.connection)


def _category_of_connection(connection: Any) -> str:
    known: str | None = connection.__dict__.get("_ioprofiler_category")
    if known is None:
        info = connection.info
        known = _names.database(_DIALECT, info.host, info.port, info.dbname)
        connection.__dict__["_ioprofiler_category"] = known
    return known


def _async_statement(many: bool) -> Any:
    def make(original: Any) -> Any:
        async def execute(self: Any, query: Any, params: Any = None, *args: Any, **kwargs: Any) -> Any:
            if not _native.in_request():
                return await original(self, query, params, *args, **kwargs)
            text = _names.statement(_dbapi.text_of(self, query), params, many=many)
            with _native.span(_category(self), text) as call:
                result = await original(self, query, params, *args, **kwargs)
                call.rows(self.rowcount)
                return result

        return execute

    return make


def _where(cls: Any, conninfo: str = "", **kwargs: Any) -> tuple[str, str]:
    from psycopg.conninfo import conninfo_to_dict

    info = conninfo_to_dict(conninfo, **{name: kwargs[name] for name in ("host", "port", "dbname") if name in kwargs})
    host, port, name = info.get("host"), info.get("port"), info.get("dbname")
    return _names.database(_DIALECT, host, port, name), f"{host or 'local'}:{port or 5432}"


def _async_connecting(original: Any) -> Any:
    async def connect(*args: Any, **kwargs: Any) -> Any:
        if not _native.in_request():
            return await original(*args, **kwargs)
        with _dbapi.connect_span(_where, *args, **kwargs):
            return await original(*args, **kwargs)

    return connect
