"""Django's database layer: what `CaptureQueriesContext` counts, and procedures, for each alias."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db.backends import utils
from django.db.backends.base.base import BaseDatabaseWrapper

from ioprofiler.hooks import _dbapi, _names

if TYPE_CHECKING:
    from ioprofiler.hooks._patch import Patches

_DIALECTS = {"mysql": "mysql", "postgresql": "postgresql", "sqlite": "sqlite", "oracle": ""}


def hook(patches: Patches) -> None:
    wrapper = utils.CursorWrapper
    patches.add(wrapper, "_ioprofiler", property(lambda self: _category(self.db)))
    patches.add(BaseDatabaseWrapper, "_ioprofiler", property(_category))
    patches.replace(wrapper, "execute", _dbapi.execute("sql", name="sql"))
    patches.replace(wrapper, "executemany", _dbapi.executemany("sql", name="sql"))
    patches.replace(wrapper, "callproc", _dbapi.callproc("sql"))
    patches.replace(BaseDatabaseWrapper, "_commit", _dbapi.always("sql", "COMMIT"))
    patches.replace(BaseDatabaseWrapper, "_rollback", _dbapi.always("sql", "ROLLBACK"))
    patches.replace(BaseDatabaseWrapper, "connect", lambda original: _dbapi.connecting(original, _where))


def _category(database: Any) -> str:
    known: str | None = database.__dict__.get("_ioprofiler_category")
    if known is None:
        settings = database.settings_dict
        dialect = _DIALECTS.get(database.vendor, "")
        known = _names.database(
            dialect,
            settings.get("HOST"),
            settings.get("PORT"),
            settings.get("NAME"),
            alias=_alias(database.alias, settings, dialect),
        )
        database.__dict__["_ioprofiler_category"] = known
    return known


def _alias(alias: str, settings: dict[str, Any], dialect: str) -> str | None:
    # A project with one database calls it "default", which says nothing.
    if alias != "default":
        return alias
    return _names.configured.get("default", dialect or "default")


def _where(database: Any, *_: Any) -> tuple[str, str]:
    settings = database.settings_dict
    host, port = settings.get("HOST"), settings.get("PORT")
    return _category(database), f"{host}:{port}" if port else str(host or "")
