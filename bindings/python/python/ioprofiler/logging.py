"""Request id and notes in the application's own logs, and in uvicorn's access lines.

    handler.addFilter(ioprofiler.logging.Filter())  # %(request_id)s, %(ioprofiler)s, %(notes)s

    logging.getLogger("uvicorn.access").addFilter(ioprofiler.logging.Filter())

    structlog.configure(processors=[ioprofiler.logging.structlog_processor, ...])

gunicorn needs neither: `--access-logformat '… %({ioprofiler}e)s'`; uWSGI `--logformat '… %(ioprofiler)'`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ioprofiler import _native

if TYPE_CHECKING:
    from collections.abc import MutableMapping


class Filter(logging.Filter):
    """Adds to each record `request_id`, `notes` (a dict) and `ioprofiler` (the compact note).

    Outside a request they are `-`, empty and `-`. It lets every record pass.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        request = _native.current_request()
        record.request_id = request.id or "-"
        record.ioprofiler = request.compact_note() or "-"
        record.notes = _native.current_notes()
        return True


def structlog_processor(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Adds `request_id` and the notes to an event; what the event has already stays."""
    request = _native.current_request()
    if request:
        event.setdefault("request_id", request.id)
        for name, value in _native.current_notes().items():
            event.setdefault(name, value)
    return event
