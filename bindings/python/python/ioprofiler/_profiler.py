"""The instance: options in, requests out."""

from __future__ import annotations

import atexit
import os
import sys
import weakref

from ioprofiler import _native, _options
from ioprofiler._flags import Decision, listed

# Not from typing, and other modules further down: importing ioprofiler shall cost nothing.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterable
    from datetime import timedelta
    from typing import Any, Literal

    from ioprofiler.web.asgi import AsgiApp
    from ioprofiler.web.wsgi import WsgiApp

    Gate = str | Callable[[Any], object]

_profilers: weakref.WeakSet[Profiler] = weakref.WeakSet()

#: How long an exiting process waits for what it has not handed over yet, in seconds.
EXIT_DEADLINE = 0.2


class Profiler:
    """A profiler: what a process, or one application in it, records with. Make one at start.

    gate
        Who may see a profile: `"token"`, `"this-machine"`, `"everyone"`, a callable that gets the
        framework's request, or several of these in a list, any of which opens. Nobody, by default.
        A callable is asked only if the request asked, after the application has handled it; what it
        raises is a no.
    gate_secret, gate_secret_files
        For `"token"`: the operator's secret (32 bytes at least), or the files that hold it; two at
        most, for rotation.
    gate_parameter
        The query's parameter that asks, instead of `ioprofiler`.
    instrument
        True hooks the libraries that are installed, whether imported before or later; a list of
        names only those; False none.
    params
        Of statements in requests that asked: `"types"` of their parameters, their `"values"`, or
        `"none"`.
    categories
        Names for servers: `{"127.0.0.1:5432/shop": "dbshard01"}`; see `instrument` in the manual.
    flags, flags_required, state_dir
        The files with the flags, TOML or JSON, later ones over earlier ones; they are looked at once
        a second, and what was good stays in force. `flags_required` makes a missing or wrong file
        an error at start. In the folder `state_dir` (made with mode 0700) outlives the process what
        it went by.
    flag_context
        Says who a request is about, before its first flag is decided: gets the framework's request,
        answers `{"user": …, "visitor": …, "groups": […], "any_attribute": …}`.
    record
        `"always"`, `"asked"` (only requests that ask record their calls) or `"off"`.
    access_log, access_log_format, access_log_time_zone, access_log_server_name, access_log_details
        Where a line of each finished request goes: a file, `"stdout"`, `"stderr"`, or `"host"` for the
        logger `ioprofiler.access`; in the language of Apache's LogFormat, `common`, `combined` or
        `json`. JSON lines mask query values and errors, unless their details are `"full"`.
    note_format, note_max_bytes, note_header
        The compact note that a server puts into its own line (`"%{ab_ids}n %{user_id}n %{app_us}n"`),
        and the answer's header that carries it to a server in front, which should take it off.
    max_page, buffer_streams
        The largest page, in bytes, that is held back to carry the panel; whether one of unknown
        length may be.
    max_spans, max_detail_bytes, max_memory, max_live_requests, request_ttl, job_ttl
        Limits: calls that one request lists, bytes of details it keeps, bytes of all live requests,
        live requests, and after how many seconds an unfinished page or job is abandoned.
    build
        The application's build, shown in profiles, and the version of what is counted.
    config_file, config
        What is counted, kept and sent: the file in TOML, the same in every language; or as a dict with
        its keys, `{"graphite": {"address": "127.0.0.1:2003"}, "keep": {"slowest": 3}}`. Other options
        go before it.
    metrics
        True counts, though nobody is sent anything: for `prometheus` and `series`.

    A wrong option raises `OptionError`. The methods can be called from any thread.
    """

    #: Whether `ioprofiler.count` and its like mean this one, once it is made.
    _is_main = True

    def __init__(
        self,
        *,
        gate: Gate | Iterable[Gate] = (),
        gate_secret: str | bytes | Iterable[str | bytes] = (),
        gate_secret_files: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] = (),
        gate_parameter: str | None = None,
        instrument: bool | str | Iterable[str] = True,
        params: Literal["none", "types", "values"] = "types",
        categories: dict[str, str] | None = None,
        flags: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] = (),
        flags_required: bool = False,
        state_dir: str | os.PathLike[str] | None = None,
        flag_context: Callable[[Any], object] | None = None,
        record: Literal["always", "asked", "off"] = "always",
        access_log: str | os.PathLike[str] | None = None,
        access_log_format: str = "combined",
        access_log_time_zone: str | None = None,
        access_log_server_name: str | None = None,
        access_log_details: Literal["fingerprint", "full"] = "fingerprint",
        note_format: str | None = None,
        note_max_bytes: int | None = None,
        note_header: str | None = None,
        max_page: int = 4 << 20,
        buffer_streams: bool = False,
        build: str | None = None,
        config_file: str | os.PathLike[str] | None = None,
        config: dict[str, Any] | None = None,
        metrics: bool | None = None,
        max_spans: int = 2_000,
        max_detail_bytes: int = 256 << 10,
        max_memory: int = 64 << 20,
        max_live_requests: int = 10_000,
        request_ttl: float = 15 * 60,
        job_ttl: float = 24 * 60 * 60,
        threadless: bool = False,
        manual_clock: bool = False,
    ) -> None:
        ways, self._callables = _options.gate(gate)
        params = _options.one_of("params", params, ("none", "types", "values"))  # type: ignore[assignment]
        categories = _options.categories(categories)
        instrument = _options.instrument(instrument)
        self._flag_files = _options.paths("flags", flags)
        self._native = _native.Profiler(
            record=_options.one_of("record", record, ("always", "asked", "off")),
            gate=ways,
            gate_secrets=_options.secrets("gate_secret", gate_secret),
            gate_secret_files=_options.paths("gate_secret_files", gate_secret_files),
            gate_parameter=_options.text_or_none("gate_parameter", gate_parameter),
            build_id=_options.text_or_none("build", build),
            max_spans=_options.count("max_spans", max_spans),
            max_detail_bytes=_options.count("max_detail_bytes", max_detail_bytes),
            max_memory=_options.count("max_memory", max_memory, sys.maxsize),
            max_live_requests=_options.count("max_live_requests", max_live_requests),
            request_ttl=_options.seconds("request_ttl", request_ttl),
            job_ttl=_options.seconds("job_ttl", job_ttl),
            threadless=_options.truth("threadless", threadless),
            manual_clock=_options.truth("manual_clock", manual_clock),
            flags=self._flag_files,
            state_dir=_options.path_or_none("state_dir", state_dir),
            flags_required=_options.truth("flags_required", flags_required),
            config_file=_options.path_or_none("config_file", config_file),
            config=_options.config(config),
            metrics=None if metrics is None else _options.truth("metrics", metrics),
            logs={
                "access_log": _options.path_or_none("access_log", access_log),
                "access_log_format": _options.text("access_log_format", access_log_format),
                "access_log_time_zone": _options.text_or_none("access_log_time_zone", access_log_time_zone),
                "access_log_server_name": _options.text_or_none("access_log_server_name", access_log_server_name),
                "access_log_details": _options.one_of(
                    "access_log_details", access_log_details, ("fingerprint", "full")
                ),
                "note_format": _options.text_or_none("note_format", note_format),
                "note_max_bytes": None if note_max_bytes is None else _options.count("note_max_bytes", note_max_bytes),
            },
        )
        # The native functions themselves: a method that calls them would cost more than they do.
        for name, function in zip(("count", "gauge", "timing"), self._native.meters, strict=True):
            setattr(self, name, function)
        self._said: set[str] = set()
        self._flag_context = _options.function_or_none("flag_context", flag_context)
        self._has_note = self._native.has_note
        self._note_header = _options.header("note_header", note_header, note_format)
        self._wants_answer_headers = self._native.wants_answer_headers
        self._touches_headers = self._wants_answer_headers or self._note_header is not None
        self._logs_itself = access_log == "host"
        #: For the doctor.
        self._access_log = access_log
        self._max_page = _options.count("max_page", max_page, sys.maxsize)
        self._buffer_streams = _options.truth("buffer_streams", buffer_streams)
        if not _profilers:
            atexit.register(_at_exit)
        _profilers.add(self)
        if self._is_main:
            self._native.make_main()
        self._heard()
        if instrument is not False:
            from ioprofiler import hooks

            hooks.configure(params=params, categories=categories)
            self.instrument(instrument)

    # ---- libraries

    def instrument(self, what: bool | str | Iterable[str] = True) -> None:
        """Hooks libraries, as the option `instrument` does at once: all, or those that are named.

        Hooks are the process's: two profilers share them. A name that is not known raises `OptionError`.
        """
        from ioprofiler import hooks

        hooks.install(None if what is True else () if what is False else what, self)

    def uninstrument(self, what: bool | str | Iterable[str] = True) -> None:
        """Takes hooks back, of all libraries or of those that are named: their functions are their own again."""
        from ioprofiler import hooks

        hooks.uninstall(None if what is True else () if what is False else what)

    # ---- requests

    def job(self, name: str, *, asked: bool = False) -> _native.Request:
        """Begins work in the background: `with profiler.job("nightly"): …` finishes it too."""
        return self._native.begin("job", name, asked)

    def command(self, name: str, *, asked: bool = False) -> _native.Request:
        """As `job`, for a command on the command line."""
        return self._native.begin("command", name, asked)

    # ---- web servers

    def wsgi(self, app: WsgiApp, *, metrics: str | None = None) -> WsgiApp:
        """A WSGI application whose requests are observed.

        At the path `metrics` scrapes of Prometheus are answered, before the application is asked.
        """
        from ioprofiler.web.wsgi import WsgiMiddleware

        return WsgiMiddleware(app, self, metrics)

    def asgi(self, app: AsgiApp, *, metrics: str | None = None) -> AsgiApp:
        """An ASGI application whose requests are observed; lifespan and websockets pass.

        At the path `metrics` scrapes of Prometheus are answered, before the application is asked.
        """
        from ioprofiler.web.asgi import AsgiMiddleware

        return AsgiMiddleware(app, self, metrics)

    # ---- numbers of the application's own

    def count(self, name: str, /, by: int = 1, **labels: object) -> None:
        """Adds to a counter: `count("registrations")`, or with labels `count("registrations", plan="pro")`.

        No registration; `ioprofiler.count` does the same for the profiler that was made last. What is no
        number is counted as misuse. Labels that are called as an argument stand in the name:
        `"registrations;by=hand"`. Name and labels have at most 128 bytes, and labels are at most 8: each
        of their values makes a series of its own, so they are for a few values, not for ids of users.
        """
        self._native.meters[0](name, by, **labels)

    def gauge(self, name: str, /, value: float, **labels: object) -> None:
        """Sets a gauge: `gauge("queue.length", 17)`. Of several processes, what was set last counts."""
        self._native.meters[1](name, value, **labels)

    def timing(self, name: str, /, duration: float | timedelta, **labels: object) -> None:
        """Counts how long something took, in seconds or as a `timedelta`: `timing("mail.sent", 0.12)`."""
        self._native.meters[2](name, duration, **labels)

    def event(self, what: str, *, who: str | None = None, why: str | None = None) -> None:
        """Says that something was done to the site, to every sink that takes events: `event("cache emptied")`."""
        self._native.event(what, who, why)

    def deploy(self, version: str, *, who: str | None = None, what: str | None = None) -> None:
        """Says that a version went live. What is counted from now on is counted under it.

        Told twice, it is one event. Where the option `build` says a version, that is the one.
        """
        self._native.deploy(version, who, what)

    def series(self) -> list[dict[str, Any]]:
        """Everything that was counted so far, by all processes of the `state_dir`: for tests of applications.

        One for each version of the application, the newest first, as `ioprofiler series --json` has it:
        `{"version", "since", "at", "samples": [{"name", "labels", "count" or "value" …}]}`; times in
        nanoseconds.
        """
        import json

        series: list[dict[str, Any]] = json.loads(self._native.series())
        return series

    def prometheus(self, accept: str = "") -> tuple[int, str, bytes]:
        """A scrape of Prometheus: status, `Content-Type` and body, by the request's `Accept` header.

        503, with the reason, where nothing is counted. It may wait for a second, so not on an event
        loop: see `ioprofiler.web.metrics`.
        """
        return self._native.prometheus(accept)

    def kept(self) -> list[_native.Kept]:
        """The requests of this process that are kept: of each route the slowest first, then those that failed.

        Each has its `reason` (`slow` or `error`) and its whole `profile`.
        """
        return self._native.kept()

    # ---- switches and numbers

    @property
    def record(self) -> str:
        """`always`, `asked` or `off`."""
        return self._native.record

    @record.setter
    def record(self, record: str) -> None:
        self._native.set_record(record)

    def disable(self) -> None:
        """Records nothing until `enable`."""
        self._native.disable()

    def enable(self) -> None:
        """Records again, as it did before `disable`."""
        self._native.enable()

    def grant(self, who: str, host: str, *, life: int = 3600, https: bool = True) -> tuple[str, str]:
        """A token that opens the gate for `life` seconds, and its `Set-Cookie` value.

        For the application's own staff page. Needs `"token"` in the option `gate`.
        """
        token, cookie, _expires = self._native.grant(who, host, life, https)
        return token, cookie

    def decide(
        self,
        name: str,
        default: bool = False,
        *,
        user: object = None,
        visitor: object = None,
        groups: Iterable[object] = (),
        attributes: dict[str, object] | None = None,
    ) -> Decision:
        """State, variant and reason of a flag for somebody, outside any request."""
        return Decision(name, self._native.decide(name, default, user, visitor, listed(groups), attributes))

    def in_flight(self) -> list[_native.Profile]:
        """Requests that live now, with the calls that are open."""
        return self._native.in_flight()

    def stats(self) -> dict[str, Any]:
        """Counters of this process, by name."""
        stats = self._native.stats()
        hooks = sys.modules.get("ioprofiler.hooks._patch")
        stats["hook_errors"] = hooks.errors() if hooks is not None else 0
        return stats

    def flush(self, within: float = 1.0) -> bool:
        """Waits until what was finished before has been handed over; false if not within so many seconds."""
        done = self._native.flush(within)
        self._heard()
        return done

    def shutdown(self, within: float = EXIT_DEADLINE) -> bool:
        """Flushes, and ends the profiler's thread. An exiting process does this by itself."""
        done = self._native.shutdown(within)
        self._heard()
        return done

    def reload_flags(self) -> list[str]:
        """Looks at the flags' files now, on this thread; gives what is wrong with them."""
        return self._native.reload_flags()

    def reopen_logs(self) -> None:
        """Opens the files of access logs again, at the next line: after they were moved away.

        They notice that by themselves as well.
        """
        self._native.reopen_logs()

    # ---- for the package's own modules

    def _ended(self, profile: _native.Profile) -> None:
        """A request has ended: its line, where the host writes it, and what went wrong."""
        if self._logs_itself:
            line = self._native.log_line(profile)
            if line is not None:
                import logging

                logging.getLogger("ioprofiler.access").info("%s", line)
        self._heard()

    def _leaving(self, visit: _native.Visit, headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """What concerns logs, just before an answer's head leaves."""
        if self._wants_answer_headers:
            visit.leaving(headers)
        if self._note_header is not None:
            note = visit.request.compact_note()
            if note is not None:
                return [*headers, (self._note_header, note)]
        return headers

    def _heard(self) -> None:
        """Says through `logging` what went wrong since the last look."""
        for kind, message in self._native.events():
            try:
                _log().warning("%s: %s", kind, message)
            except Exception:
                return

    def _defer_context(self, request: _native.Request, asking: Callable[[], Any]) -> None:
        """Asks who a request is about when its first flag is decided; `asking` gives what to ask with."""
        context = self._flag_context
        if context is not None:
            request._defer_context(lambda: self._told_context(context, asking))

    def _told_context(self, context: Callable[[Any], object], asking: Callable[[], Any]) -> object:
        try:
            told = context(asking())
        except Exception as error:
            self._say_raised("flag_context", error)
            raise
        if not isinstance(told, dict):
            self._say_once("flag_context", f"flag_context gave {told!r}, which is no dict")
        return told

    def _say_raised(self, what: str, error: Exception) -> None:
        """Says what a callable of the application's raised: once, since any request may make it."""
        self._say_once(what, f"{what} raised {type(error).__name__}: {error}")

    def _say_once(self, what: str, message: str) -> None:
        try:
            if what in self._said:
                _log().debug("%s", message, exc_info=True)
                return
            self._said.add(what)
            _log().warning("%s (said once; at level DEBUG each time)", message, exc_info=True)
        except Exception:
            return

    def _is_allowed(self, request: Any) -> bool | None:
        """What the gate's callables say; `None` where one raised and none said yes."""
        failed = False
        for callable_ in self._callables:
            try:
                if callable_(request):
                    return True
            except Exception as error:
                failed = True
                self._say_raised("the gate", error)
        return None if failed else False


def _log() -> logging.Logger:
    import logging

    return logging.getLogger("ioprofiler")


def _at_exit() -> None:
    for profiler in list(_profilers):
        profiler._native.shutdown(EXIT_DEADLINE)
