"""sqlite3: its classes are immutable, so connections are made of subclasses."""

from __future__ import annotations

import sqlite3
from sqlite3 import dbapi2
from typing import TYPE_CHECKING, Any

from ioprofiler.hooks import _dbapi, _names

if TYPE_CHECKING:
    from ioprofiler.hooks._patch import Patches

_connections: dict[type, type] = {}
_cursors: dict[type, type] = {}
_FACTORY = 5  # its place among the arguments of connect()


def hook(patches: Patches) -> None:
    original = dbapi2.connect
    observed = _dbapi.connecting(original, _where)

    def connect(*args: Any, **kwargs: Any) -> Any:
        if patches.undone:
            return original(*args, **kwargs)
        asked = args[_FACTORY] if len(args) > _FACTORY else kwargs.get("factory", sqlite3.Connection)
        factory = _observed_connection(asked)
        if factory is not None:
            if len(args) > _FACTORY:
                args = (*args[:_FACTORY], factory, *args[_FACTORY + 1 :])
            else:
                kwargs["factory"] = factory
        connection = observed(*args, **kwargs)
        try:
            connection._ioprofiler = _names.sqlite(args[0] if args else kwargs.get("database", ""))
        except Exception:
            pass
        return connection

    patches.replace_everywhere(original, connect)
    patches.later(lambda: _dbapi.strip(_connections, _cursors))


def _where(database: Any = "", *_: Any, **__: Any) -> tuple[str, str]:
    return _names.sqlite(database), ""


def _observed_connection(asked: Any) -> type | None:
    """A subclass whose cursors are observed; none of what is no class (a function that makes one)."""
    if not isinstance(asked, type) or not issubclass(asked, sqlite3.Connection):
        return None
    observed = _connections.get(asked)
    if observed is None:

        def cursor(self: Any, factory: Any = None, *args: Any, **kwargs: Any) -> Any:
            made = asked.cursor(self, _observed_cursor(factory or sqlite3.Cursor), *args, **kwargs)
            try:
                made._ioprofiler = self._ioprofiler
            except Exception:
                pass
            return made

        # The class's own ones make a cursor past `cursor()`.
        def execute(self: Any, sql: Any, *args: Any) -> Any:
            return self.cursor().execute(sql, *args)

        def executemany(self: Any, sql: Any, parameters: Any) -> Any:
            return self.cursor().executemany(sql, parameters)

        def executescript(self: Any, script: Any) -> Any:
            return self.cursor().executescript(script)

        # Its own one ends the transaction past `commit()` and `rollback()`.
        def __exit__(self: Any, kind: Any, *rest: Any) -> Any:
            return (committing if kind is None else rolling_back)(self, kind, *rest)

        committing = _dbapi.always("sqlite", "COMMIT")(asked.__exit__)
        rolling_back = _dbapi.always("sqlite", "ROLLBACK")(asked.__exit__)
        observed = type(
            asked.__name__,
            (asked,),
            {
                "__module__": asked.__module__,
                "__doc__": asked.__doc__,
                "__exit__": __exit__,
                "_ioprofiler": "sqlite",
                "cursor": cursor,
                "execute": execute,
                "executemany": executemany,
                "executescript": executescript,
                "commit": _dbapi.always("sqlite", "COMMIT")(asked.commit),
                "rollback": _dbapi.always("sqlite", "ROLLBACK")(asked.rollback),
            },
        )
        _connections[asked] = observed
    return observed


def _observed_cursor(asked: Any) -> Any:
    if not isinstance(asked, type) or not issubclass(asked, sqlite3.Cursor):
        return asked
    observed = _cursors.get(asked)
    if observed is None:
        observed = type(
            asked.__name__,
            (asked,),
            {
                "__module__": asked.__module__,
                "__doc__": asked.__doc__,
                "_ioprofiler": "sqlite",
                "execute": _dbapi.execute("sqlite", name="sql")(asked.execute),
                "executemany": _dbapi.executemany("sqlite", name="sql")(asked.executemany),
                "executescript": _dbapi.execute("sqlite", name="sql", rows_of=None)(asked.executescript),
            },
        )
        _cursors[asked] = observed
    return observed
