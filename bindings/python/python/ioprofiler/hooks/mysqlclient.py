"""mysqlclient (MySQLdb)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import MySQLdb
import MySQLdb.connections
import MySQLdb.cursors

from ioprofiler.hooks import _dbapi, _names

if TYPE_CHECKING:
    from ioprofiler.hooks._patch import Patches

_DIALECT = "mysql"


def hook(patches: Patches) -> None:
    cursor, connection = MySQLdb.cursors.BaseCursor, MySQLdb.connections.Connection
    patches.add(cursor, "_ioprofiler", property(lambda self: self.connection._ioprofiler))
    patches.add(connection, "_ioprofiler", _DIALECT)
    patches.replace(cursor, "execute", _dbapi.execute(_DIALECT))
    patches.replace(cursor, "executemany", _dbapi.executemany(_DIALECT))
    patches.replace(cursor, "callproc", _dbapi.callproc(_DIALECT))
    # Its own are methods of a C type, which cannot be replaced there.
    for method, detail in (("commit", "COMMIT"), ("rollback", "ROLLBACK")):
        if method in connection.__dict__:
            patches.replace(connection, method, _dbapi.always(_DIALECT, detail))
        else:
            patches.add(connection, method, _dbapi.always(_DIALECT, detail)(getattr(connection, method)))
    patches.replace(connection, "__init__", _connecting)


def _connecting(original: Any) -> Any:
    observed = _dbapi.connecting(original, _where)

    def connect(self: Any, *args: Any, **kwargs: Any) -> None:
        observed(self, *args, **kwargs)
        try:
            self._ioprofiler = _where(self, *args, **kwargs)[0]
        except Exception:
            pass

    return connect


def _where(
    connection: Any, host: Any = None, user: Any = None, password: Any = None, database: Any = None, **more: Any
) -> tuple[str, str]:
    name, port = database or more.get("db"), more.get("port", 0)
    return _names.database(_DIALECT, host, port or "", name), f"{host or 'local'}:{port or 3306}"
