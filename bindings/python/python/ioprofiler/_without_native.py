"""What stands in where the native module cannot be loaded: everything is accepted, nothing is recorded.

On another platform, in a subinterpreter or with a damaged installation the application imports and
runs as always; the log says once why there are no profiles.
"""

from __future__ import annotations

import sys
import types
from typing import Any

version = "0.0.0"


class OptionError(ValueError):
    """A wrong option."""


class Span:
    """A span that does nothing."""

    def __enter__(self) -> Span:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    async def __aenter__(self) -> Span:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    def __call__(self, function: Any) -> Any:
        return function

    def __bool__(self) -> bool:
        return False

    def _same(self, *_: object) -> Span:
        return self

    rows = hits = misses = bytes = detail = target = error = _same
    _pause = _resume = _copy = _same


class Current:
    """Nothing is ever current."""


class Shade:
    """Nothing is ever in one."""


class CacheServer:
    """No cache is ever looked at."""


class Hooked:
    """No function is ever hooked."""


class Call:
    """No call is ever listed."""


class Kept:
    """No request is ever kept."""


class Profile:
    """A profile of nothing."""

    id = state = ""
    route = user = error = status = bytes_out = None
    started_at = page_ms = 0.0

    def __init__(self) -> None:
        self.spans: list[Call] = []
        self.calls: dict[str, int] = {}
        self.times: dict[str, float] = {}

    def _nothing(self) -> str:
        return ""

    text = ticket = html = json = trace = server_timing = _nothing


class Request:
    """A request that does nothing."""

    id = ""
    is_recording = asked = False

    def __bool__(self) -> bool:
        return False

    def _ignore(self, *_: object, **__: object) -> None:
        return None

    note = compact_note = set_attribute = refresh_flags = _defer_context = _ignore

    def explain(self, flag: str) -> str:
        return ""

    set_route = set_user = set_visitor = add_group = set_error = set_status = first_byte = add_span = _ignore

    def snapshot(self, *_: object, **__: object) -> Profile:
        return Profile()

    finish = abort = snapshot

    def detach(self, name: object) -> Request:
        return Request()

    def enter(self) -> Request:
        return self

    def _enter(self) -> Current:
        return Current()

    def __enter__(self) -> Request:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    async def __aenter__(self) -> Request:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None


Entered = Request


class Dark:
    """No work is ever dark."""


class Visit:
    """No request of a web server is ever observed."""


class Profiler:
    """Accepts all options."""

    gate = "closed"
    parameter = "ioprofiler"
    state_dir = None
    record = "off"

    def __init__(self, **_: object) -> None:
        pass

    def begin(self, *_: object) -> Request:
        return Request()

    def decide(self, name: str, default: bool, *_: object) -> tuple[str, str, str, str | None]:
        return decide_flag(name, default)

    def flag_data(self, name: str, *_: object) -> None:
        return None

    def visit_wsgi(self, *_: object) -> Visit:
        # The middleware then serves the request as if it were not there.
        raise RuntimeError("ioprofiler's native module is not loaded")

    visit_asgi = visit_wsgi

    def _ignore(self, *_: object) -> None:
        return None

    has_note = wants_answer_headers = False
    log_line = reopen_logs = _ignore
    hooked = seen = set_record = disable = enable = _ignore

    def grant(self, *_: object) -> tuple[str, str, int]:
        raise OptionError("grant: ioprofiler's native module is not loaded")

    def in_flight(self) -> list[Profile]:
        return []

    def kept(self) -> list[Kept]:
        return []

    def series(self) -> str:
        return "[]"

    def prometheus(self, accept: str) -> tuple[int, str, bytes]:
        return 503, "text/plain; charset=utf-8", b"nothing is counted: ioprofiler's native module is not loaded\n"

    @property
    def meters(self) -> list[Any]:
        return [count, gauge, timing]

    make_main = event = deploy = _ignore

    def stats(self) -> dict[str, Any]:
        return {}

    def reload_flags(self) -> list[str]:
        return []

    def events(self) -> list[tuple[str, str]]:
        return []

    def flush(self, within: float) -> bool:
        return True

    shutdown = flush


def span(category: str, detail: object = "", *, target: object | None = None) -> Span:
    """Does nothing."""
    return Span()


scope = span


def begin(category: str, detail: object | None = None, opaque: bool = False, /) -> None:
    """Does nothing."""


def end(span: object, failed: bool = False, /) -> None:
    """Does nothing."""


def note(**notes: object) -> None:
    """Does nothing."""


def count(name: str, /, by: int = 1, **labels: object) -> None:
    """Does nothing."""


def gauge(name: str, /, value: float, **labels: object) -> None:
    """Does nothing."""


def timing(name: str, /, duration: object, **labels: object) -> None:
    """Does nothing."""


def event(what: str, *, who: str | None = None, why: str | None = None) -> None:
    """Does nothing."""


def deploy(version: str, *, who: str | None = None, what: str | None = None) -> None:
    """Does nothing."""


def current_notes() -> dict[str, Any]:
    """There are none."""
    return {}


def flag(name: str, default: bool = False, /) -> bool:
    """The default."""
    return bool(default)


def variant(name: str, default: bool = False, /) -> str:
    """The default."""
    return "on" if default else "off"


def decide_flag(name: str, default: bool) -> tuple[str, str, str, str | None]:
    """The default."""
    return variant(name, default), variant(name, default), "not_found", None


def decide_flag_for(name: str, default: bool, *_: object) -> tuple[str, str, str, str | None]:
    """The default."""
    return decide_flag(name, default)


def flag_data(name: str) -> None:
    """There is none."""


dark_begin = flag_data


def flag_data_for(name: str, *_: object) -> None:
    """There is none."""


def dark_end(dark: Dark, failed: bool) -> None:
    """Does nothing."""


def hooked(function: Any, category: str, **_: object) -> Any:
    """The function as it is."""
    return function


def hooked_reading(function: Any, category: str, method: int, **_: object) -> Any:
    """The function as it is."""
    return function


def set_find_caller(find: object) -> None:
    """Does nothing."""


set_decorate = set_is_inside = set_find_caller


def current_request() -> Request:
    """The request that does nothing."""
    return Request()


none_request = current_request


def in_request() -> bool:
    """There is never a request."""
    return False


is_asked = in_call = in_request


def context_number() -> int:
    """It is not known."""
    return 0


def context() -> None:
    """There is never a context."""


begin_shade = context


def end_shade(shade: Shade) -> None:
    """Does nothing."""


def enter_context(outer: Current) -> Current:
    """Does nothing."""
    return outer


def leave_context(entered: Current) -> None:
    """Does nothing."""


def define_category(name: str, kind: str, dialect: str) -> None:
    """Does nothing."""


def advance_clock(by: float) -> None:
    """Does nothing."""


def check_this_machine() -> int:
    """The gate is closed."""
    raise OptionError("ioprofiler's native module is not loaded")


def set_now(now: int) -> None:
    """Does nothing."""


def panic_inside() -> int:
    """There is nothing that could."""
    return 0


def install(error: ImportError) -> types.ModuleType:
    """Takes the native module's place, and says so."""
    import logging

    why = _why(error)
    logging.getLogger("ioprofiler").warning("the native module cannot be loaded, so nothing is recorded: %s", why)
    module = types.ModuleType("ioprofiler._native", __doc__)
    module.__dict__.update({name: value for name, value in globals().items() if not name.startswith("__")})
    sys.modules["ioprofiler._native"] = module
    return module


def _why(error: ImportError) -> ImportError:
    """What is wrong with the module: `from ioprofiler import …` blames a circular import where it is missing."""
    import importlib

    try:
        importlib.import_module("ioprofiler._native")
    except ImportError as own:
        return own
    return error
