"""Flags beyond `flag()` and `variant()`: whole decisions, decisions about others, data, dark work."""

from __future__ import annotations

from ioprofiler import _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any


class Decision:
    """What a flag resolved to, and why."""

    __slots__ = ("group", "name", "reason", "state", "variant")

    def __init__(self, name: str, told: tuple[str, str, str, str | None]) -> None:
        self.name = name
        #: `on`, `off` or `dark`.
        self.state = told[0]
        #: Its own name, or `on`, `off`, `dark`.
        self.variant = told[1]
        #: `killed`, `shed`, `override`, `user`, `group`, `on`, `percent`, `dark`, `off`, `no_unit`,
        #: `not_found`, `error`.
        self.reason = told[2]
        #: The group that decided, where one did.
        self.group = told[3]

    def __bool__(self) -> bool:
        return self.state == "on"

    def __repr__(self) -> str:
        why = f"{self.reason}:{self.group}" if self.group else self.reason
        return f"<Decision {self.name} {self.variant}, {why}>"


def listed(groups: Iterable[object]) -> list[object]:
    """Groups as a list; one alone, as a text, is no list of characters."""
    return [groups] if isinstance(groups, (str, bytes)) else list(groups)


def decide(
    name: str,
    default: bool = False,
    *,
    user: object = None,
    visitor: object = None,
    groups: Iterable[object] = (),
    attributes: Mapping[str, object] | None = None,
) -> Decision:
    """State, variant and reason of a flag: for the current request, or for whom the arguments name."""
    groups = listed(groups)
    if user is None and visitor is None and not groups and not attributes:
        return Decision(name, _native.decide_flag(name, default))
    given = None if attributes is None else dict(attributes)
    return Decision(name, _native.decide_flag_for(name, default, user, visitor, groups, given))


def flag_data(name: str) -> Any:
    """The data that the flag's file gives the variant of the current request; `None` where it gives none."""
    data = _native.flag_data(name)
    if data is None:
        return None
    import json

    return json.loads(data)


def dark(name: str, function: Callable[..., object], /, *args: Any, **kwargs: Any) -> bool:
    """Runs new code beside the old, unseen, where its flag is dark for the current request.

    Its calls are marked, what it returns is dropped, what it raises is swallowed and counted. True
    where it ran.
    """
    work = _native.dark_begin(name)
    if work is None:
        return False
    failed = True
    try:
        function(*args, **kwargs)
        failed = False
    except Exception:
        pass
    finally:
        _native.dark_end(work, failed)
    return True
