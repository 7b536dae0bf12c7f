"""SQLAlchemy 2: its events, on all engines. Over a hooked driver a statement is one call: the driver's."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import sqlalchemy.event
import sqlalchemy.pool
from sqlalchemy.engine import Engine

from ioprofiler import _native
from ioprofiler.hooks import _names

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
        from sqlalchemy.engine.default import DefaultDialect

        detail = name.removeprefix("do_").upper()
        patches.replace(DefaultDialect, name, partial(_ending, detail))
    patches.replace(sqlalchemy.pool.QueuePool, "_do_get", _waiting)


def _category(engine: Any) -> str:
    known: str | None = engine.__dict__.get("_ioprofiler_category")
    if known is None:
        url = engine.url
        dialect = _DIALECTS.get(engine.dialect.name, "")
        name = url.database
        if dialect == "sqlite":
            from ioprofiler.hooks.sqlite import _category as of_file

            known = of_file(name or "")
        else:
            known = _names.database(dialect or engine.dialect.name, url.host, url.port, name)
        engine.__dict__["_ioprofiler_category"] = known
    return known


def _before(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool) -> None:
    if context is None or not _native.in_request():
        return
    text = _names.statement(statement, parameters or None, many=executemany)
    context._ioprofiler_call = _native.begin(_category(connection.engine), text)


def _after(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool) -> None:
    call = None if context is None else context.__dict__.pop("_ioprofiler_call", None)
    if call is not None:
        call.rows(cursor.rowcount)
        _native.end(call)


def _failed(error: Any) -> None:
    context = error.execution_context
    call = None if context is None else context.__dict__.pop("_ioprofiler_call", None)
    if call is not None:
        _native.end(call, True)


def _ending(detail: str, original: Any) -> Any:
    # Where the driver is hooked too, its own commit is inside, and this is one call with it.
    def end(self: Any, dbapi_connection: Any) -> Any:
        if not _native.in_request() or hasattr(dbapi_connection, "_ioprofiler"):
            return original(self, dbapi_connection)
        with _native.span(_names.defined(self.name, _DIALECTS.get(self.name, "")), detail):
            return original(self, dbapi_connection)

    return end


def _waiting(original: Any) -> Any:
    return _native.hooked(original, _names.POOL_WAIT, detail="sqlalchemy")
