"""Django's database layer: what `CaptureQueriesContext` counts, and procedures, for each alias."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.db.backends import utils
from django.db.backends.base.base import BaseDatabaseWrapper

from ioprofiler.hooks import _dbapi, _names

if TYPE_CHECKING:
    from ioprofiler.hooks._patch import Patches

_DIALECTS = {"mysql": "mysql", "postgresql": "postgresql", "sqlite": "sqlite", "oracle": ""}


def hook(patches: Patches) -> None:
    wrapper = utils.CursorWrapper
    category = cached_property(_category)
    category.__set_name__(BaseDatabaseWrapper, "_ioprofiler")
    patches.add(BaseDatabaseWrapper, "_ioprofiler", category)
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
