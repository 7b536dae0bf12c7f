"""SQLAlchemy 2: its events, on all engines. Over a hooked driver a statement is one call."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import sqlalchemy.event
import sqlalchemy.pool
from sqlalchemy.engine import Engine
from sqlalchemy.engine.default import DefaultDialect

from ioprofiler import _native
from ioprofiler.hooks import _dbapi, _names
from ioprofiler.hooks._patch import taken

if TYPE_CHECKING:
    from ioprofiler.hooks._patch import Patches

_DIALECTS = {"mysql": "mysql", "mariadb": "mysql", "postgresql": "postgresql", "sqlite": "sqlite"}


def hook(patches: Patches) -> None:
    for name, listener in (
        ("before_cursor_execute", _before),
        ("after_cursor_execute", _after),
        ("handle_error", _failed),
    ):
        sqlalchemy.event.listen(Engine, name, listener)
        patches.later(partial(sqlalchemy.event.remove, Engine, name, listener))
    for name in ("do_commit", "do_rollback"):
        detail = name.removeprefix("do_").upper()
        patches.replace(DefaultDialect, name, partial(_ending, detail))
    patches.replace(DefaultDialect, "connect", _connecting)
    patches.replace(sqlalchemy.pool.QueuePool, "_do_get", _waiting)


def _category(engine: Any) -> str:
    known: str | None = getattr(engine, "_ioprofiler_category", None)
    if known is None:
        url = engine.url
        dialect = _DIALECTS.get(engine.dialect.name, "")
        name = url.database
        if dialect == "sqlite":
            known = _names.sqlite(name or "")
        else:
            known = _names.database(dialect or engine.dialect.name, url.host, url.port, name)
        # Commits know their dialect only, which is the engine's own.
        engine.dialect._ioprofiler_category = engine._ioprofiler_category = known
    return known


def _before(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool) -> None:
    if context is None or not _native.in_request():
        return
    text = _names.statement(statement, parameters or None, many=executemany)
    # The driver's own calls are taken in: some prepare the statement first, or begin a transaction.
    context._ioprofiler_call = _native.begin(_category(connection.engine), text, True)


def _after(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool) -> None:
    call = None if context is None else taken(context, "_ioprofiler_call")
    if call is not None:
        call.rows(cursor.rowcount)
        _native.end(call)


def _failed(error: Any) -> None:
    context = error.execution_context
    call = None if context is None else taken(context, "_ioprofiler_call")
    if call is not None:
        _native.end(call, True)


def _ending(detail: str, original: Any) -> Any:
    # Where the driver is hooked too, its own commit is inside, and this is one call with it.
    def end(self: Any, dbapi_connection: Any) -> Any:
        if not _native.in_request() or hasattr(dbapi_connection, "_ioprofiler"):
            return original(self, dbapi_connection)
        category = getattr(self, "_ioprofiler_category", None) or _names.defined(
            self.name, _DIALECTS.get(self.name, "")
        )
        call = _native.begin(category, detail, True)
        try:
            result = original(self, dbapi_connection)
        except BaseException:
            _native.end(call, True)
            raise
        _native.end(call)
        return result

    return end


def _connecting(original: Any) -> Any:
    # Where the driver is hooked too, its own connect is inside, and this is one call with it.
    return _dbapi.connecting(original, _where)


def _where(dialect: Any, *args: Any, **kwargs: Any) -> tuple[str, str]:
    kind = _DIALECTS.get(dialect.name, "")
    host, port = kwargs.get("host"), kwargs.get("port")
    if kind == "sqlite":
        return _names.sqlite(args[0] if args else ""), ""
    name = kwargs.get("database") or kwargs.get("dbname") or kwargs.get("db")
    category = _names.database(kind or dialect.name, host, port, name)
    return category, f"{host}:{port}" if port else str(host or "")


def _waiting(original: Any) -> Any:
    return _names.waiting(original, "sqlalchemy")
