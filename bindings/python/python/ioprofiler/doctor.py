"""`python -m ioprofiler doctor`: what would be recorded here, and who could see it.

    python -m ioprofiler doctor                      of this Python
    python -m ioprofiler doctor shop.wsgi:profiler   of an application: its profiler, or a module that makes one
    python -m ioprofiler doctor mysite.wsgi          of a Django project, by its settings

Says whether the native module is there, what is hooked, what is installed or imported and is not,
the gate, the flags, the logs. Exits with 1 where something is wrong.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from typing import TYPE_CHECKING

import ioprofiler
from ioprofiler import _native, hooks

if TYPE_CHECKING:
    from pathlib import Path
    from typing import TextIO


class _Report:
    def __init__(self, out: TextIO) -> None:
        self._out = out
        self.wrong = 0

    def good(self, what: str) -> None:
        print(f"ok     {what}", file=self._out)

    def hint(self, what: str) -> None:
        print(f"hint   {what}", file=self._out)

    def bad(self, what: str) -> None:
        self.wrong += 1
        print(f"WRONG  {what}", file=self._out)


def main(arguments: list[str] | None = None, out: TextIO | None = None) -> int:
    """Writes the report; gives the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["doctor"]:
        arguments = arguments[1:]
    if len(arguments) > 1 or any(argument.startswith("-") for argument in arguments):
        print(__doc__, file=out or sys.stdout)
        return 2
    report = _Report(out or sys.stdout)
    _native_module(report)
    if not arguments:
        _would_be_hooked(report)
        return 1 if report.wrong else 0
    profiler = _profiler_of(report, arguments[0])
    _django(report)
    if profiler is not None:
        _hooks(report)
        _gate(report, profiler)
        _files(report, profiler)
        _numbers(report, profiler)
    return 1 if report.wrong else 0


def _native_module(report: _Report) -> None:
    file = getattr(_native, "__file__", None)
    if file is None:
        report.bad("the native module cannot be loaded: nothing is recorded (the log says why, at import)")
        return
    report.good(f"ioprofiler {ioprofiler.__version__}, Python {sys.version.split()[0]}, {file}")
    with ioprofiler.Profiler(instrument=False).command("doctor") as request:
        with ioprofiler.span("doctor", "a call"):
            pass
        calls = request.snapshot().calls
    if calls.get("doctor") == 1:
        report.good("a call of a request is recorded")
    else:
        report.bad("a call of a request is not recorded")


def _profiler_of(report: _Report, place: str) -> ioprofiler.Profiler | None:
    """The profiler at `module:name`, or the one that importing a module makes."""
    sys.path.insert(0, os.getcwd())
    module_name, _, name = place.partition(":")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        report.bad(f"{module_name} cannot be imported: {type(error).__name__}: {error}")
        return None
    if name:
        found = getattr(module, name, None)
        if isinstance(found, ioprofiler.Profiler):
            return found
        if found is None and not hasattr(module, name):
            report.bad(f"there is no {name} in {module_name}")
            return None
        report.bad(f"{place} is no ioprofiler.Profiler but {type(found).__name__}")
        return None
    from ioprofiler._profiler import _profilers

    made = list(_profilers)
    if len(made) != 1:
        report.bad(f"{module_name} makes {len(made)} profilers; say which: {module_name}:name")
        return None
    return made[0]


def _would_be_hooked(report: _Report) -> None:
    """Of no application: what is installed."""
    names = [name for name, (module, _) in sorted(hooks.LIBRARIES.items()) if _is_installed(module)]
    report.good(f"installed, and would be hooked: {', '.join(names) or 'nothing'}")
    _not_hooked(report)
    report.hint("of an application, its gate and its flags: python -m ioprofiler doctor MODULE:PROFILER")


def _hooks(report: _Report) -> None:
    if hooks.installed():
        report.good(f"hooked: {', '.join(hooks.installed())}")
    else:
        report.hint("hooked: nothing; only calls that the code itself marks are recorded")
    for name, (module, _) in sorted(hooks.LIBRARIES.items()):
        if name not in hooks.installed() and module in sys.modules:
            report.hint(f"{name} is imported and not hooked: add it to the option instrument")
    _not_hooked(report)
    if hooks.errors():
        report.bad(f"{hooks.errors()} errors in hooks: another version of a library than is known")


def _not_hooked(report: _Report) -> None:
    for module, hint in sorted(hooks.NOT_HOOKED.items()):
        if module in sys.modules or _is_installed(module):
            report.hint(f"{module} is installed and not hooked: {hint}")


def _django(report: _Report) -> None:
    """Whether the middleware of a Django project is where it should be."""
    conf = sys.modules.get("django.conf")
    if conf is None or not conf.settings.configured:
        return
    own, middleware = "ioprofiler.django.Middleware", list(conf.settings.MIDDLEWARE)
    if own not in middleware:
        report.bad(f'Django: "{own}" is not in MIDDLEWARE; put it before all others')
    elif middleware[0] != own:
        report.hint(f'Django: "{own}" comes after {middleware[0]}, whose work it does not see; put it first')
    else:
        report.good("Django: the middleware is the first")


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module.partition(".")[0]) is not None
    except (ImportError, ValueError):
        return False


def _gate(report: _Report, profiler: ioprofiler.Profiler) -> None:
    gate = profiler._native.gate
    parameter = profiler._native.parameter
    if gate == "closed":
        report.hint("gate: closed; nobody sees a profile. Set the option gate")
        return
    report.good(f"gate: {gate}; asked by ?{parameter}=1, the header X-Ioprofiler or a cookie")
    if "everyone" in gate:
        report.bad("gate: everyone who can reach the application can read its queries")
    if "this-machine" in gate:
        try:
            report.good(f"this machine's gate is open until {_clock(_native.check_this_machine())}")
        except _native.OptionError as closed:
            report.hint(f"this machine's gate is closed: {closed}")


def _clock(seconds: int) -> str:
    import time

    return time.strftime("%H:%M:%S", time.localtime(seconds))


def _files(report: _Report, profiler: ioprofiler.Profiler) -> None:
    """Flags, logs and the folder for what outlives the process."""
    files = profiler._flag_files
    if files:
        problems = profiler.reload_flags()
        for problem in problems:
            (report.bad if ": error: " in problem else report.hint)(f"flags: {problem}")
        if not problems:
            report.good(f"flags: {', '.join(files)}")
    else:
        report.hint("flags: no files; every flag is its caller's default")
    log = profiler._access_log
    report.good(f"access log: {log}") if log else report.hint("access log: none; your server writes its own")
    note = "the compact note is made" if profiler._has_note else "none; set the option note_format"
    (report.good if profiler._has_note else report.hint)(f"notes for the server's line: {note}")
    _state_dir(report, profiler._native.state_dir)


def _state_dir(report: _Report, folder: Path | None) -> None:
    if folder is None:
        report.hint("state_dir: none; each process speaks for itself")
    elif not os.path.isdir(folder):
        report.bad(f"state_dir: {folder} is not a folder, or is gone")
    elif not os.access(folder, os.W_OK | os.X_OK):
        report.bad(f"state_dir: this user cannot write into {folder}")
    else:
        report.good(f"state_dir: {folder}")


def _numbers(report: _Report, profiler: ioprofiler.Profiler) -> None:
    report.good(f"record: {profiler.record}")
    stats = profiler.stats()
    for name, what in (
        ("panics", "panics inside, all contained"),
        ("queue_dropped", "finished requests that no log saw"),
        ("lost_notes", "notes that were not taken"),
        ("log_failed", "lines that the access log's file would not take"),
        ("log_dropped", "lines of the access log that were dropped"),
    ):
        if stats.get(name):
            report.bad(f"{stats[name]} {what}")
    if not profiler.series():
        report.hint("numbers: nothing is counted; set metrics=True, or say in config_file where they go")
    for sink in stats.get("sinks", ()):
        lost, why = sink["dropped"], sink["why"]
        said = f"{sink['name']}: {sink['sent']} values and events sent, {lost} dropped"
        (report.bad if lost or why else report.good)(f"{said}; the last failure: {why}" if why else said)


if __name__ == "__main__":
    sys.exit(main())
