"""psycopg2: its cursors are C types, so connections and cursors are made of subclasses, never proxies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg2
import psycopg2.extensions

from ioprofiler.hooks import _dbapi, _names

if TYPE_CHECKING:
    from ioprofiler.hooks._patch import Patches

_DIALECT = "postgresql"
_connections: dict[type, type] = {}
_cursors: dict[type, type] = {}


def hook(patches: Patches) -> None:
    original = psycopg2.connect

    def connect(dsn: Any = None, connection_factory: Any = None, cursor_factory: Any = None, **kwargs: Any) -> Any:
        asked = connection_factory or psycopg2.extensions.connection
        factory = _observed_connection(asked) if isinstance(asked, type) else asked
        observed = _dbapi.connecting(original, _where)
        connection = observed(dsn, connection_factory=factory, cursor_factory=cursor_factory, **kwargs)
        try:
            connection._ioprofiler = _category(connection.info)
        except Exception:
            pass
        return connection

    patches.replace(psycopg2, "connect", lambda _: connect)


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
            },
        )
        _cursors[asked] = observed
    return observed
