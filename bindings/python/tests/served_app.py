"""What real servers serve in tests: a page that says its process, and its calls with the request's name."""

import json
import os
import threading

import ioprofiler

GATE = os.environ.get("IOPROFILER_TEST_GATE", "everyone")
profiler = ioprofiler.Profiler(gate=GATE, instrument=False)

# Before any fork: a master that uses the profiler itself leaves nothing of it to its workers.
with profiler.job("in the master"):
    with ioprofiler.span("a", "in the master"):
        pass
MASTER = os.getpid()


def pause():
    if os.environ.get("IOPROFILER_TEST_GEVENT"):
        import gevent

        gevent.sleep(0.005)
    else:
        import time

        time.sleep(0.001)


def app(environ, start_response):
    if environ["PATH_INFO"] == "/file":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return environ["wsgi.file_wrapper"](open(__file__, "rb"))
    name = environ["QUERY_STRING"].rpartition("&")[2]
    with ioprofiler.scope("page", name):
        for _ in range(5):
            with ioprofiler.span("db", name):
                pause()
                with ioprofiler.span("driver", name):
                    pause()
    start_response("200 OK", [("Content-Type", "text/html")])
    facts = {
        "pid": os.getpid(),
        "master": MASTER,
        "threads": threading.active_count(),
        "live": bool(ioprofiler.current()),
    }
    return [b"<html><body>", json.dumps(facts).encode(), b"</body></html>"]


application = profiler.wsgi(app)


async def asgi_app(scope, receive, send):
    import asyncio

    assert scope["type"] == "http"
    name = scope["query_string"].decode().rpartition("&")[2]

    async def query():
        async with ioprofiler.span("db", name):
            await asyncio.sleep(0.002)

    with ioprofiler.scope("page", name):
        await asyncio.gather(*(query() for _ in range(5)))
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
    await send({"type": "http.response.body", "body": b"<html><body>hello</body></html>"})


asgi_application = profiler.asgi(asgi_app)
