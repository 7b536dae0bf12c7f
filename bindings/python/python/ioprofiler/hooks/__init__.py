"""Libraries whose calls are recorded.

`install` replaces functions of the libraries that are imported already, and of the others when they
are imported; `uninstall` puts everything back. Patches are the process's: two profilers share them.
"""

from __future__ import annotations

import importlib
import sys

from ioprofiler.hooks import _imports
from ioprofiler.hooks._patch import Patches, count_error, errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from ioprofiler._profiler import Profiler

__all__ = ["configure", "errors", "install", "installed", "profiler_of_jobs", "report", "uninstall"]

#: Name -> module whose import says that the library is used, and our module that hooks it.
LIBRARIES: dict[str, tuple[str, str]] = {
    "sqlite3": ("sqlite3.dbapi2", "sqlite"),
    "psycopg": ("psycopg", "psycopg3"),
    "psycopg_pool": ("psycopg_pool", "psycopg_pool_"),
    "psycopg2": ("psycopg2", "psycopg2_"),
    "pymysql": ("pymysql", "pymysql_"),
    "mysqlclient": ("MySQLdb", "mysqlclient"),
    "asyncpg": ("asyncpg", "asyncpg_"),
    "sqlalchemy": ("sqlalchemy", "sqlalchemy_"),
    "django.db": ("django.db.backends.utils", "django_db"),
    "django.template": ("django.template.base", "django_template"),
    "redis": ("redis", "redis_"),
    "pymemcache": ("pymemcache.client.base", "pymemcache_"),
    "pylibmc": ("pylibmc", "pylibmc_"),
    "jinja2": ("jinja2", "jinja"),
    "urllib3": ("urllib3", "urllib3_"),
    "httpx": ("httpx", "httpx_"),
    "celery": ("celery", "celery_"),
    "rq": ("rq", "rq_"),
}

#: Modules that import the one above before what is hooked in them is there: whichever is done last tells.
_BEHIND = {"django.db": "django.db.backends.base.base"}

#: Libraries that do I/O and are not hooked: module -> what to do.
_BY_OTEL = "its OpenTelemetry instrumentation works with ioprofiler.otel"
_BY_HAND = "mark its calls with ioprofiler.span, or use SQLAlchemy over it"
NOT_HOOKED: dict[str, str] = {
    "aiohttp": _BY_OTEL,
    "aiomysql": _BY_HAND,
    "aiopg": _BY_OTEL,
    "aiosqlite": _BY_HAND,
    "asyncmy": _BY_HAND,
    "cassandra": _BY_OTEL,
    "grpc": _BY_OTEL,
    "kafka": _BY_OTEL,
    "mako": "mark templates with ioprofiler.scope",
    "motor": _BY_OTEL,
    "mysql.connector": _BY_OTEL,
    "oracledb": _BY_HAND,
    "pika": _BY_OTEL,
    "pymongo": _BY_OTEL,
    "pymssql": _BY_OTEL,
    "pyodbc": _BY_HAND,
    "tornado": _BY_OTEL,
}
#: Of a library that could be hooked.
_NOT_ASKED_FOR = "add it to the option instrument"

#: What waits for a library's import only to say that it is not hooked.
_SEEN = "seen "

_installed: dict[str, Patches] = {}
_hooking: set[str] = set()
_profilers: list[Any] = []
_flushes_children = False


def configure(*, params: str = "types", categories: dict[str, str] | None = None) -> None:
    """What all hooks share: see `Profiler`."""
    from ioprofiler.hooks import _names

    _names.params = params
    if categories:
        _names.configured.update(categories)


def install(names: str | Iterable[str] | None = None, profiler: Profiler | None = None) -> None:
    """Hooks these libraries, or all: those that are imported now, the others when they are.

    A name that is not known raises `OptionError`.
    """
    wanted = _known(names)
    if profiler is not None and profiler._native not in _profilers:
        _profilers.append(profiler._native)
    for name in wanted:
        module = LIBRARIES[name][0]
        _imports.forget(module, _SEEN + name)
        if name in _installed:
            report(name)
        else:
            _when_imported(module, name, _hook)
        if name in _BEHIND and name not in _installed:
            _when_imported(_BEHIND[name], name, _hook)
    for name, (module, _) in LIBRARIES.items():
        if name not in wanted and name not in _installed:
            _when_imported(module, _SEEN + name, _seen_library)
    for module in NOT_HOOKED:
        _when_imported(module, module, _seen)
    _when_imported("multiprocessing.util", "exit", _flush_at_exit_of_children)


def _when_imported(module: str, name: str, run: Callable[[str], None]) -> None:
    if module in sys.modules:
        run(name)
    else:
        _imports.when_imported(module, name, run)


def _known(names: str | Iterable[str] | None) -> list[str]:
    """All libraries, or those that are named."""
    if names is None:
        return list(LIBRARIES)
    known = [names] if isinstance(names, str) else list(names)
    for name in known:
        if name not in LIBRARIES:
            from ioprofiler._native import OptionError

            raise OptionError(f"instrument: {name!r} is not one of {', '.join(sorted(LIBRARIES))}")
    return known


def uninstall(names: str | Iterable[str] | None = None) -> None:
    """Puts back what `install` replaced, of these libraries or of all."""
    for name in _known(names):
        _imports.forget(LIBRARIES[name][0], name)
        _imports.forget(_BEHIND.get(name, ""), name)
        patches = _installed.pop(name, None)
        if patches is not None:
            patches.undo()
            for native in _profilers:
                native.seen(name, "hooked no more")


def installed() -> list[str]:
    """The libraries that are hooked now."""
    return sorted(_installed)


def report(name: str) -> None:
    """Tells the profilers that a library is hooked, for the last lines of a profile."""
    for native in _profilers:
        native.hooked(name)


def profiler_of_jobs() -> Any:
    """Whose the jobs of a task queue are: the profiler that was made last."""
    return _profilers[-1] if _profilers else None


def _seen(module: str) -> None:
    for native in _profilers:
        native.seen(module, NOT_HOOKED[module])


def _seen_library(name: str) -> None:
    name = name.removeprefix(_SEEN)
    if name not in _installed:
        for native in _profilers:
            native.seen(name, _NOT_ASKED_FOR)


def _flush_at_exit_of_children(_: str) -> None:
    """A process of `multiprocessing` ends without what is to run at exit: it has finalizers instead."""
    global _flushes_children
    if _flushes_children:
        return
    _flushes_children = True
    from multiprocessing import util

    from ioprofiler._profiler import _at_exit

    def in_child(_: Any) -> None:
        util.Finalize(None, _at_exit, exitpriority=0)

    util.register_after_fork(_at_exit, in_child)


def _hook(name: str) -> None:
    # What our own module imports may be what was waited for.
    if name in _installed or name in _hooking or _imports.is_running(_BEHIND.get(name, "")):
        return
    patches = Patches()
    _hooking.add(name)
    try:
        importlib.import_module("ioprofiler.hooks." + LIBRARIES[name][1]).hook(patches)
    except Exception as error:
        # Another version than we know: the library works as ever.
        patches.undo()
        count_error()
        for native in _profilers:
            native.seen(name, f"could not be hooked: {type(error).__name__}: {error}")
        return
    finally:
        _hooking.discard(name)
    _installed[name] = patches
    report(name)
