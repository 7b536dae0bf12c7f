"""PyMySQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pymysql.connections
import pymysql.cursors

from ioprofiler.hooks import _dbapi, _names

if TYPE_CHECKING:
    from ioprofiler.hooks._patch import Patches

_DIALECT = "mysql"


def hook(patches: Patches) -> None:
    cursor, connection = pymysql.cursors.Cursor, pymysql.connections.Connection
    patches.add(cursor, "_ioprofiler", property(lambda self: _category(self.connection)))
    patches.add(connection, "_ioprofiler", property(_category))
    patches.replace(cursor, "execute", _dbapi.execute(_DIALECT))
    patches.replace(cursor, "executemany", _dbapi.executemany(_DIALECT))
    patches.replace(cursor, "callproc", _dbapi.callproc(_DIALECT))
    patches.replace(connection, "commit", _dbapi.always(_DIALECT, "COMMIT"))
    patches.replace(connection, "rollback", _dbapi.always(_DIALECT, "ROLLBACK"))
    patches.replace(connection, "begin", _dbapi.always(_DIALECT, "BEGIN"))
    patches.replace(connection, "connect", lambda original: _dbapi.connecting(original, _where))


def _category(connection: Any) -> str:
    known: str | None = getattr(connection, "_ioprofiler_category", None)
    if known is None:
        name = connection.db
        known = _names.database(_DIALECT, connection.host, connection.port, name)
        connection._ioprofiler_category = known
    return known


def _where(connection: Any, *_: Any) -> tuple[str, str]:
    return _category(connection), f"{connection.host}:{connection.port}"
