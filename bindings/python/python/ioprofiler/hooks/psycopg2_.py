"""psycopg2: its cursors are C types, so connections and cursors are made of subclasses, never proxies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg2
import psycopg2.extensions

from ioprofiler import _native
from ioprofiler.hooks import _dbapi, _names

if TYPE_CHECKING:
    from ioprofiler.hooks._patch import Patches

_DIALECT = "postgresql"
_connections: dict[type, type] = {}
_cursors: dict[type, type] = {}


def hook(patches: Patches) -> None:
    original = psycopg2.connect

    def connect(dsn: Any = None, connection_factory: Any = None, cursor_factory: Any = None, **kwargs: Any) -> Any:
        if patches.undone:
            return original(dsn, connection_factory, cursor_factory, **kwargs)
        asked = connection_factory or psycopg2.extensions.connection
        factory = _observed_connection(asked) if isinstance(asked, type) else asked
        observed = _dbapi.connecting(original, _where)
        connection = observed(dsn, connection_factory=factory, cursor_factory=cursor_factory, **kwargs)
        try:
            connection._ioprofiler = _category(connection.info)
        except Exception:
            pass
        return connection

    patches.replace_everywhere(original, connect)
    patches.later(lambda: _dbapi.strip(_connections, _cursors))


def _category(info: Any) -> str:
    return _names.database(_DIALECT, info.host, info.port, info.dbname)


def _where(dsn: Any = None, **kwargs: Any) -> tuple[str, str]:
    given = {name: kwargs[name] for name in ("host", "port", "dbname", "database") if kwargs.get(name)}
    if "database" in given:
        given["dbname"] = given.pop("database")
    info = psycopg2.extensions.parse_dsn(psycopg2.extensions.make_dsn(dsn, **given))
    host, port = info.get("host"), info.get("port")
    return _names.database(_DIALECT, host, port, info.get("dbname")), f"{host or 'local'}:{port or 5432}"


def _observed_connection(asked: type) -> type:
    observed = _connections.get(asked)
    if observed is None:

        def cursor(self: Any, name: Any = None, cursor_factory: Any = None, *args: Any, **kwargs: Any) -> Any:
            factory = cursor_factory or self.cursor_factory or psycopg2.extensions.cursor
            if isinstance(factory, type):
                factory = _observed_cursor(factory)
            if name is not None:
                args = (name, *args)
            made = asked.cursor(self, *args, cursor_factory=factory, **kwargs)  # type: ignore[attr-defined]
            try:
                made._ioprofiler = self._ioprofiler
            except Exception:
                pass
            return made

        observed = type(
            asked.__name__,
            (asked,),
            {
                "__module__": asked.__module__,
                "_ioprofiler": _DIALECT,
                "cursor": cursor,
                "commit": _dbapi.always(_DIALECT, "COMMIT")(asked.commit),  # type: ignore[attr-defined]
                "rollback": _dbapi.always(_DIALECT, "ROLLBACK")(asked.rollback),  # type: ignore[attr-defined]
            },
        )
        _connections[asked] = observed
    return observed


def _observed_cursor(asked: Any) -> type:
    observed = _cursors.get(asked)
    if observed is None:
        observed = type(
            asked.__name__,
            (asked,),
            {
                "__module__": asked.__module__,
                "_ioprofiler": _DIALECT,
                "execute": _dbapi.execute(_DIALECT)(asked.execute),
                "executemany": _dbapi.executemany(_DIALECT)(asked.executemany),
                "callproc": _dbapi.callproc(_DIALECT)(asked.callproc),
                "copy_expert": _dbapi.execute(_DIALECT, name="sql")(asked.copy_expert),
                "copy_from": _copying("FROM STDIN", asked.copy_from),
                "copy_to": _copying("TO STDOUT", asked.copy_to),
            },
        )
        _cursors[asked] = observed
    return observed


def _copying(way: str, original: Any) -> Any:
    """`copy_from(file, table)` and its like: their statement is made in C."""

    def copy(self: Any, file: Any, table: Any, *args: Any, **kwargs: Any) -> Any:
        call = _native.begin(self._ioprofiler, f"COPY {table} {way}", True)
        try:
            result = original(self, file, table, *args, **kwargs)
        except BaseException:
            _native.end(call, True)
            raise
        if call is not None:
            _native.end(call.rows(self.rowcount))
        return result

    return copy
