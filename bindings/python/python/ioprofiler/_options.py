"""Options, checked: what is wrong is said with the option's name and what is allowed."""

from __future__ import annotations

import os

from ioprofiler._native import OptionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, TypeVar

    _T = TypeVar("_T")

#: What a header's name may consist of, beside letters and digits.
_TOKEN = frozenset("!#$%&'*+-.^_`|~")
_U32 = (1 << 32) - 1


def text(name: str, value: Any) -> str:
    """A text."""
    if not isinstance(value, str):
        raise OptionError(f"{name}: {value!r} is not a text")
    return value


def text_or_none(name: str, value: Any) -> str | None:
    """A text, or none."""
    return None if value is None else text(name, value)


def one_of(name: str, value: Any, allowed: tuple[str, ...]) -> str:
    """One of some words."""
    if value not in allowed:
        words = ", ".join(f'"{one}"' for one in allowed)
        raise OptionError(f"{name}: {value!r} is not one of {words}")
    return str(value)


def truth(name: str, value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise OptionError(f"{name}: {value!r} is not True or False")
    return value


def count(name: str, value: Any, most: int = _U32) -> int:
    """A number from 1 on."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise OptionError(f"{name}: {value!r} is not a number from 1 on, to {most}")
    return value


def seconds(name: str, value: Any) -> float:
    """A time in seconds."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        raise OptionError(f"{name}: {value!r} is not a number of seconds above 0")
    return float(value)


def function_or_none(name: str, value: Any) -> Callable[[Any], object] | None:
    """Something that can be called, or none."""
    if value is not None and not callable(value):
        raise OptionError(f"{name}: {value!r} cannot be called")
    function: Callable[[Any], object] | None = value
    return function


def path_or_none(name: str, value: Any) -> str | None:
    """A path, or none."""
    if value is None:
        return None
    if not isinstance(value, (str, os.PathLike)):
        raise OptionError(f"{name}: {value!r} is not a path")
    return os.fsdecode(value)


def config(value: Any) -> str | None:
    """What the configuration file would say, as JSON."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise OptionError(f"config: {value!r} is not a dict, with the keys of the configuration file")
    import json

    try:
        return json.dumps(value, default=_plain, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise OptionError(f"config: {error}") from None


def _plain(value: Any) -> Any:
    """Paths as texts, durations as seconds."""
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    if hasattr(value, "total_seconds"):
        return value.total_seconds()
    raise TypeError(f"{value!r} is no text, number, truth, list or dict")


def paths(name: str, value: Any) -> list[str]:
    """A path, or several."""
    if isinstance(value, (str, os.PathLike)):
        return [os.fsdecode(value)]
    several = _several(name, value, "a path, or a list of paths")
    return [path for one in several if (path := path_or_none(name, one)) is not None]


def secrets(name: str, value: Any) -> list[bytes]:
    """A secret, or two."""
    found = []
    for one in [value] if isinstance(value, (str, bytes)) else _several(name, value, "a text or bytes, or two of them"):
        if not isinstance(one, (str, bytes)):
            raise OptionError(f"{name}: {type(one).__name__} is not a text or bytes")
        found.append(one.encode() if isinstance(one, str) else one)
    return found


def _several(name: str, value: Any, allowed: str) -> Iterable[Any]:
    try:
        return list(value)
    except TypeError:
        raise OptionError(f"{name}: {value!r}; allowed: {allowed}") from None


def instrument(value: Any) -> bool | list[str]:
    """Whether libraries are hooked, or which."""
    if isinstance(value, bool):
        return value
    return [value] if isinstance(value, str) else list(_several("instrument", value, "True, False, or a list of names"))


def categories(value: Any) -> dict[str, str]:
    """Servers' names."""
    given = {} if value is None else value
    if not isinstance(given, dict) or not all(isinstance(one, str) for pair in given.items() for one in pair):
        raise OptionError(f'categories: {value!r}; allowed: texts by texts, as {{"127.0.0.1:5432/shop": "dbshard01"}}')
    return given


def header(name: str, value: Any, note_format: object) -> str | None:
    """A header's name, which needs something to carry."""
    if value is None:
        return None
    if not isinstance(value, str) or not value or not all(c.isascii() and (c.isalnum() or c in _TOKEN) for c in value):
        raise OptionError(f"{name}: {value!r} is not the name of a header")
    if note_format is None:
        raise OptionError(f"{name}: {value!r} carries the note that note_format makes; set note_format too")
    return value


def _is_way(word: str) -> bool:
    word = word.strip()
    return word in ("token", "this-machine", "everyone") or word.startswith("flag:")


def gate(value: Any) -> tuple[str, list[Callable[[Any], object]]]:
    """The ways in as the core knows them, and the callables."""
    several = isinstance(value, (list, tuple, set, frozenset))
    every = [] if value is None else list(value) if several else [value]
    ways: list[str] = []
    callables: list[Callable[[Any], object]] = []
    for way in every:
        if callable(way):
            callables.append(way)
            if "callable" not in ways:
                ways.append("callable")
        elif isinstance(way, str) and all(map(_is_way, way.split(","))):
            ways.append(way)
        else:
            shown = f'"{way}"' if isinstance(way, str) else repr(way)
            raise OptionError(
                f'gate: {shown} is not known; allowed: "token", "flag:NAME", "this-machine", "everyone", a callable,'
                " or a list of these"
            )
    return ", ".join(ways), callables
