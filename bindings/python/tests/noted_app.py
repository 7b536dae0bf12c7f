"""What real servers serve in tests of logs: a page with notes, one of which a client would like to forge."""

import logging
import os
import sys

import ioprofiler
import ioprofiler.logging

profiler = ioprofiler.Profiler(instrument=False, note_format="%{user_id}n %{cart}n %{calls}n", note_max_bytes=200)


def app(environ, start_response):
    ioprofiler.note(user_id=5020244, cart='3 "things"\r\nforged')
    start_response("200 OK", [("Content-Type", "text/plain")])

    def parts():
        with ioprofiler.span("db", "SELECT 1"):
            yield b"hello"

    return parts()


application = profiler.wsgi(app)


async def asgi_app(scope, receive, send):
    ioprofiler.note(user_id=5020244, cart='3 "things"\r\nforged')
    with ioprofiler.span("db", "SELECT 1"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


asgi_application = profiler.asgi(asgi_app)

if os.environ.get("IOPROFILER_TEST_UVICORN"):
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("line %(message)s [%(ioprofiler)s]"))
    logging.getLogger("uvicorn.access").addFilter(ioprofiler.logging.Filter())
    logging.getLogger("uvicorn.access").handlers = [handler]
