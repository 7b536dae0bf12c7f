"""psycopg 3, synchronous and asynchronous."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

import psycopg

from ioprofiler import _native
from ioprofiler.hooks import _dbapi, _names
from ioprofiler.hooks._async import calls

if TYPE_CHECKING:
    from ioprofiler.hooks._patch import Patches

_DIALECT = "postgresql"


def hook(patches: Patches) -> None:
    connect = psycopg.connect
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
    for name, enter, leave in (
        ("Transaction", "__enter__", "__exit__"),
        ("AsyncTransaction", "__aenter__", "__aexit__"),
    ):
        transaction = getattr(psycopg, name)
        is_async = name.startswith("Async")
        patches.replace(transaction, enter, _async_beginning if is_async else _beginning)
        patches.replace(transaction, leave, _async_ending if is_async else _ending)
    for name in ("Cursor", "AsyncCursor"):
        patches.replace(getattr(psycopg, name), "copy", _copying)
    patches.replace_everywhere(connect, psycopg.Connection.connect)


def _category(cursor: Any) -> str:
    return _category_of_connection(cursor.connection)


def _category_of_connection(connection: Any) -> str:
    known: str | None = getattr(connection, "_ioprofiler_category", None)
    if known is None:
        info = connection.info
        known = _names.database(_DIALECT, info.host, info.port, info.dbname)
        connection._ioprofiler_category = known
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
        if not _native.in_request() or _native.in_call():
            return await original(*args, **kwargs)
        with _dbapi.connect_span(_where, *args, **kwargs):
            return await original(*args, **kwargs)

    return connect


def _begin_of(transaction: Any) -> tuple[str, str]:
    """Category, and what a transaction that is entered sends."""
    connection = transaction.connection
    outer = connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    return _category_of_connection(connection), "BEGIN" if outer else "SAVEPOINT"


def _end_of(transaction: Any, failed: bool) -> tuple[str, str]:
    """Likewise of one that is left."""
    inner = transaction.savepoint_name
    rollback = failed or transaction.force_rollback
    detail = ("ROLLBACK TO SAVEPOINT" if rollback else "RELEASE SAVEPOINT") if inner else None
    return _category_of_connection(transaction.connection), detail or ("ROLLBACK" if rollback else "COMMIT")


def _beginning(original: Any) -> Any:
    def enter(self: Any) -> Any:
        if not _native.in_request():
            return original(self)
        with _native.span(*_begin_of(self)):
            return original(self)

    return enter


def _ending(original: Any) -> Any:
    def leave(self: Any, kind: Any, *rest: Any) -> Any:
        if not _native.in_request():
            return original(self, kind, *rest)
        with _native.span(*_end_of(self, kind is not None)):
            return original(self, kind, *rest)

    return leave


def _async_beginning(original: Any) -> Any:
    async def enter(self: Any) -> Any:
        if not _native.in_request():
            return await original(self)
        with _native.span(*_begin_of(self)):
            return await original(self)

    return enter


def _async_ending(original: Any) -> Any:
    async def leave(self: Any, kind: Any, *rest: Any) -> Any:
        if not _native.in_request():
            return await original(self, kind, *rest)
        with _native.span(*_end_of(self, kind is not None)):
            return await original(self, kind, *rest)

    return leave


class _Copying:
    """A `COPY`, with the application's own code inside: recorded when it is over, so that the calls
    in between are calls of their own."""

    def __init__(self, inner: Any, cursor: Any, statement: Any) -> None:
        self._inner, self._cursor, self._statement = inner, cursor, statement
        self._request = _native.current_request()
        self._begun = perf_counter()

    def _over(self, failed: bool) -> None:
        category, text = _category(self._cursor), _dbapi.text_of(self._cursor, self._statement)
        self._request.add_span(category, text, duration=perf_counter() - self._begun, failed=failed)

    def __enter__(self) -> Any:
        try:
            return self._inner.__enter__()
        except BaseException:
            self._over(True)
            raise

    def __exit__(self, kind: Any, *rest: Any) -> Any:
        try:
            return self._inner.__exit__(kind, *rest)
        finally:
            self._over(kind is not None)

    async def __aenter__(self) -> Any:
        try:
            return await self._inner.__aenter__()
        except BaseException:
            self._over(True)
            raise

    async def __aexit__(self, kind: Any, *rest: Any) -> Any:
        try:
            return await self._inner.__aexit__(kind, *rest)
        finally:
            self._over(kind is not None)


def _copying(original: Any) -> Any:
    def copy(self: Any, statement: Any, *args: Any, **kwargs: Any) -> Any:
        inner = original(self, statement, *args, **kwargs)
        return _Copying(inner, self, statement) if _native.in_request() else inner

    return copy
