"""Django's database layer: what `CaptureQueriesContext` counts, and procedures, for each alias."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from django.db.backends import utils
from django.db.backends.base.base import BaseDatabaseWrapper

from ioprofiler.hooks import _dbapi, _imports, _names
from ioprofiler.hooks._patch import count_error

if TYPE_CHECKING:
    from ioprofiler.hooks._patch import Patches

_DIALECTS = {"mysql": "mysql", "postgresql": "postgresql", "sqlite": "sqlite", "oracle": ""}


def hook(patches: Patches) -> None:
    wrapper = utils.CursorWrapper
    patches.add(BaseDatabaseWrapper, "_ioprofiler", _Once())
    # Opaque: the driver below has the same statement. Past the wrapper's own look-up of attributes,
    # which takes longer than the call does of ours.
    own = {"category_of": "db._ioprofiler"}
    rows = {"rows_of": "cursor.rowcount"}
    patches.replace(wrapper, "execute", _dbapi.execute("sql", name="sql", opaque=True, **own, **rows))
    patches.replace(wrapper, "executemany", _dbapi.executemany("sql", name="sql", **own, **rows))
    patches.replace(wrapper, "callproc", _dbapi.callproc("sql", **own))
    patches.replace(BaseDatabaseWrapper, "_commit", _dbapi.always("sql", "COMMIT"))
    patches.replace(BaseDatabaseWrapper, "_rollback", _dbapi.always("sql", "ROLLBACK"))
    patches.replace(BaseDatabaseWrapper, "connect", lambda original: _dbapi.connecting(original, _where))
    _quote_unseen(patches)


#: Where Django has SQLite quote parameters, one statement more for each, to write its own log.
_OPERATIONS = "django.db.backends.sqlite3.operations"
_QUOTE = "_quote_params_for_last_executed_query"


def _quote_unseen(patches: Patches) -> None:
    """What Django does not count is no call here, once that backend is imported."""

    def replace(_: str = "") -> None:
        try:
            patches.replace(sys.modules[_OPERATIONS].DatabaseOperations, _QUOTE, _quoting)
        except Exception:
            count_error()

    if _OPERATIONS in sys.modules:
        replace()
        return
    _imports.when_imported(_OPERATIONS, _QUOTE, replace)
    patches.later(lambda: _imports.forget(_OPERATIONS, _QUOTE))


def _quoting(original: Any) -> Any:
    import sqlite3

    def quote(operations: Any, params: Any) -> Any:
        connection = operations.connection.connection
        if not isinstance(connection, sqlite3.Connection):
            return original(operations, params)
        # Its own `cursor()` may make an observed one. Django calls this again for parts of many.
        plain = SimpleNamespace(cursor=lambda: sqlite3.Connection.cursor(connection))
        stand_in = SimpleNamespace(connection=SimpleNamespace(connection=plain))
        setattr(stand_in, _QUOTE, lambda some: original(stand_in, some))
        return original(stand_in, params)

    return quote


class _Once:
    """A database's category, which then is an attribute of its own. Not by its `__dict__`: see `taken`."""

    def __get__(self, database: Any, _: Any = None) -> Any:
        database._ioprofiler = known = _category(database)
        return known


def _category(database: Any) -> str:
    settings = database.settings_dict
    dialect = _DIALECTS.get(database.vendor, "")
    return _names.database(
        dialect,
        settings.get("HOST"),
        settings.get("PORT"),
        settings.get("NAME"),
        alias=_alias(database.alias, settings, dialect),
    )


def _alias(alias: str, settings: dict[str, Any], dialect: str) -> str | None:
    # A project with one database calls it "default", which says nothing.
    if alias != "default":
        return alias
    return _names.configured.get("default", dialect or "default")


def _where(database: Any, *_: Any) -> tuple[str, str]:
    settings = database.settings_dict
    host, port = settings.get("HOST"), settings.get("PORT")
    return database._ioprofiler, f"{host}:{port}" if port else str(host or "")
