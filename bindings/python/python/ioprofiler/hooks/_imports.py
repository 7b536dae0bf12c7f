"""Being told when a module has been imported, whoever imports it.

A finder at the front of `sys.meta_path`, which finds nothing itself: it asks the others, and runs
what waits for the module after the module's own code has run.
"""

from __future__ import annotations

import sys
from importlib.abc import Loader, MetaPathFinder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

#: Module -> what waits for it, by name.
_waiting: dict[str, dict[str, Callable[[str], None]]] = {}
_running: set[str] = set()


def when_imported(module: str, name: str, run: Callable[[str], None]) -> None:
    """Runs `run(name)` when the module has been imported; once."""
    _waiting.setdefault(module, {})[name] = run
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


def forget(module: str, name: str) -> None:
    """Does not run it after all."""
    waiting = _waiting.get(module)
    if waiting is not None:
        waiting.pop(name, None)
        if not waiting:
            _waiting.pop(module, None)


def is_running(module: str) -> bool:
    """Whether a module that is waited for is being imported right now, so that half of it is there."""
    return module in _running


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _waiting:
            return None
        for finder in sys.meta_path:
            if finder is self:
                continue
            find = getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = None if find is None else find(fullname, path, target)
            if spec is not None:
                if spec.loader is not None and hasattr(spec.loader, "exec_module"):
                    spec.loader = _Loader(spec.loader)
                return spec
        return None


class _Loader(Loader):
    """The module's own loader, and then what waits."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        made: ModuleType | None = self._loader.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        # The module shall see its own loader: some look for their files through it.
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        _running.add(module.__name__)
        try:
            self._loader.exec_module(module)
        finally:
            _running.discard(module.__name__)
        for name, run in _waiting.pop(module.__name__, {}).items():
            run(name)


_finder = _Finder()
