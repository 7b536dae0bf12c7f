"""Which of the application's own lines makes a call: asked only in requests that asked.

The innermost frame whose file is neither installed (site-packages), nor Python's own, nor ours.
"""

from __future__ import annotations

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_known: dict[str, str | None] = {}
_MAX_KNOWN = 4096
_SHOWN_PARTS = 3


def _foreign_folders() -> tuple[str, ...]:
    import sysconfig

    paths = sysconfig.get_paths()
    folders = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib") if name in paths}
    return tuple(folder + os.sep for folder in folders)


_foreign: tuple[str, ...] = ()


def _shown(file: str) -> str | None:
    """The file as the profile shows it; `None` where it is not the application's."""
    if file.startswith(("<", _HERE)):
        return None
    global _foreign
    if not _foreign:
        _foreign = _foreign_folders()
    path = os.path.abspath(file)
    parts = path.split(os.sep)
    if "site-packages" in parts or "dist-packages" in parts or path.startswith(_foreign):
        return None
    # Relative to where modules are searched or the program runs, as a traceback's reader knows it.
    best = ""
    for folder in (*sys.path, os.getcwd()):
        prefix = os.path.abspath(folder or os.getcwd()) + os.sep
        if path.startswith(prefix) and len(prefix) > len(best):
            best = prefix
    if best:
        return path[len(best) :]
    # A template elsewhere: enough of its path to know it.
    return os.sep.join(["…", *parts[-_SHOWN_PARTS:]]) if len(parts) > _SHOWN_PARTS + 1 else path


def find_caller() -> tuple[str, int] | None:
    """File and line of the application's innermost frame."""
    frame = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        try:
            shown = _known[file]
        except KeyError:
            if len(_known) >= _MAX_KNOWN:
                _known.clear()
            shown = _known[file] = _shown(file)
        if shown is not None:
            return shown, frame.f_lineno
        frame = frame.f_back  # type: ignore[assignment]
    return None
