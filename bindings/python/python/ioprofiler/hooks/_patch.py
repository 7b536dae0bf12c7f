"""Replacing a library's functions, so that it can be undone."""

from __future__ import annotations

import functools
import sys
from types import MethodType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_MISSING = object()
_errors = 0


def count_error() -> None:
    """Something in a hook went wrong; the library's own call goes on."""
    global _errors
    _errors += 1


def errors() -> int:
    """How often something in a hook went wrong."""
    return _errors


def taken(owner: Any, name: str) -> Any:
    """What a hook of ours has put on a library's object, which keeps it no longer.

    Never by the object's `__dict__`: once anybody has asked for that, CPython looks up all the object's
    attributes the slow way, and the library pays for it (3.11: 2,500 instructions a call of pymemcache).
    """
    found = getattr(owner, name, None)
    if found is not None:
        setattr(owner, name, None)
    return found


class Patches:
    """What was replaced of one library."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], None]] = []
        #: What others still hold of ours does nothing from then on.
        self.undone = False

    def replace(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        """Replaces an attribute by `make(original)`; where the owner has none, nothing happens."""
        if not hasattr(owner, name):
            return
        own = owner.__dict__.get(name, _MISSING)
        original = getattr(owner, name) if own is _MISSING else own
        inner = original.__func__ if isinstance(original, (staticmethod, classmethod)) else original
        made = make(inner)
        try:
            functools.update_wrapper(made, inner)
        except (AttributeError, TypeError):
            pass
        if isinstance(original, staticmethod):
            made = staticmethod(made)
        elif isinstance(original, classmethod):
            made = classmethod(made)
        setattr(owner, name, made)

        def undo() -> None:
            if owner.__dict__.get(name) is not made:
                return  # somebody else has replaced it since: theirs calls ours
            if own is _MISSING:
                delattr(owner, name)
            else:
                setattr(owner, name, own)

        self._undo.append(undo)

    def replace_everywhere(self, original: Any, made: Any) -> None:
        """Replaces a function under all names that modules have for it: `from sqlite3 import connect`."""
        if not isinstance(made, MethodType):
            functools.update_wrapper(made, original)
        self._rename(original, made)
        self._undo.append(functools.partial(self._rename, made, original))

    def _rename(self, before: Any, after: Any) -> None:
        for module in list(sys.modules.values()):
            names = getattr(module, "__dict__", None)
            if type(names) is dict:
                for name in [name for name, value in list(names.items()) if _is_same(value, before)]:
                    names[name] = after

    def add(self, owner: Any, name: str, value: Any) -> None:
        """Gives the owner an attribute that it has not."""
        setattr(owner, name, value)
        self._undo.append(functools.partial(_remove, owner, name, value))

    def later(self, undo: Callable[[], None]) -> None:
        """Something else to be undone."""
        self._undo.append(undo)

    def undo(self) -> None:
        """Puts everything back."""
        self.undone = True
        while self._undo:
            try:
                self._undo.pop()()
            except Exception:
                count_error()


def _is_same(value: Any, other: Any) -> bool:
    # A bound method is an object of its own each time.
    return value is other or (type(value) is MethodType and type(other) is MethodType and value == other)


def _remove(owner: Any, name: str, value: Any) -> None:
    if owner.__dict__.get(name) is value:
        delattr(owner, name)
