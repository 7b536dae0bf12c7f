"""`/metrics`, mounted by one line in each framework."""

import asyncio
import threading

import pytest

import ioprofiler
from ioprofiler.web.metrics import AsgiMetrics, WsgiMetrics
from serving import asgi_server, get, wsgi_server

OPENMETRICS = "Accept: application/openmetrics-text; version=1.0.0"
TEXT = "text/plain; version=0.0.4; charset=utf-8"


def page(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["PATH_INFO"].encode()]


async def async_page(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": scope["path"].encode()})


def flask_app(profiler):
    import flask

    import ioprofiler.flask

    app = flask.Flask(__name__)
    app.before_request(lambda: flask.abort(401) if flask.request.path != "/page" else None)
    app.add_url_rule("/page", view_func=lambda: flask.request.path)
    ioprofiler.flask.init_app(app, profiler, metrics="/metrics")
    return app


def fastapi_app(profiler):
    import fastapi
    from fastapi.responses import PlainTextResponse

    import ioprofiler.fastapi

    app = fastapi.FastAPI()
    ioprofiler.fastapi.init_app(app, profiler, metrics="/metrics")

    @app.get("/page", response_class=PlainTextResponse)
    async def read():
        return "/page"

    return app


def starlette_app(profiler):
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    routes = [Route("/metrics", AsgiMetrics(profiler)), Route("/page", lambda request: PlainTextResponse("/page"))]
    return profiler.asgi(Starlette(routes=routes))


def werkzeug_app(profiler):
    from werkzeug.middleware.dispatcher import DispatcherMiddleware

    return profiler.wsgi(DispatcherMiddleware(page, {"/metrics": WsgiMetrics(profiler)}))


def django_wsgi(profiler):
    from django.core.handlers.wsgi import WSGIHandler

    import django_shop  # noqa: F401

    return WSGIHandler()


def django_asgi(profiler):
    from django.core.handlers.asgi import ASGIHandler

    import django_shop  # noqa: F401

    return ASGIHandler()


APPS = {
    "wsgi": (wsgi_server, lambda profiler: profiler.wsgi(page, metrics="/metrics")),
    "asgi": (asgi_server, lambda profiler: profiler.asgi(async_page, metrics="/metrics")),
    "flask": (wsgi_server, flask_app),
    "fastapi": (asgi_server, fastapi_app),
    "starlette, as a route": (asgi_server, starlette_app),
    "werkzeug, mounted": (wsgi_server, werkzeug_app),
    "django": (wsgi_server, django_wsgi),
    "django on asgi": (asgi_server, django_asgi),
}


@pytest.fixture(params=APPS)
def mounted(request):
    """A function that serves the application with a profiler."""
    serve, make = APPS[request.param]
    if request.param.startswith("django"):
        from django.test import override_settings

        import django_shop

        django_shop.migrate()

    def mount(profiler):
        if request.param.startswith("django"):
            settings = override_settings(IOPROFILER=profiler)
            settings.enable()
            request.addfinalizer(settings.disable)
        return serve(make(profiler))

    return mount


def test_get_and_head_and_what_is_neither(mounted):
    profiler = ioprofiler.Profiler(instrument=False, metrics=True)
    profiler.count("registrations", 3)
    with mounted(profiler) as port:
        for header, content_type, end in (
            ("Accept: */*", TEXT, b"\n"),
            (OPENMETRICS, "application/openmetrics-text; version=1.0.0; charset=utf-8", b"# EOF\n"),
        ):
            status, headers, body = get(port, "/metrics", header)
            headers = dict(headers)
            assert (status, headers["content-type"]) == (200, content_type)
            assert int(headers["content-length"]) == len(body)
            assert b"\nregistrations_total{" in body
            assert body.endswith(end)
            status, headers, body = get(port, "/metrics", header, method="HEAD")
            headers = dict(headers)
            assert (status, headers["content-type"], body) == (200, content_type, b"")
            assert int(headers["content-length"]) > 100
        status, headers, body = get(port, "/metrics", "Content-Length: 0", method="POST")
        assert (status, dict(headers)["allow"]) == (405, "GET, HEAD")
        assert body == b"GET or HEAD\n"
        # The query asks for no profile there, and the rest of the site is as it was.
        assert b"registrations_total" in get(port, "/metrics?ioprofiler=1")[2]
        assert get(port, "/page")[0] in (200, 404)


def test_why_there_is_nothing(mounted):
    with mounted(ioprofiler.Profiler(instrument=False)) as port:
        status, headers, body = get(port, "/metrics")
        assert (status, dict(headers)["content-type"]) == (503, "text/plain; charset=utf-8")
        assert body.startswith(b"nothing is counted: ")


@pytest.mark.parametrize("name", ["wsgi", "asgi", "flask", "fastapi"])
def test_what_is_answered_by_the_middleware_is_no_request_of_the_site(name):
    serve, make = APPS[name]
    profiler = ioprofiler.Profiler(instrument=False, metrics=True)
    with serve(make(profiler)) as port:
        for _ in range(3):
            get(port, "/metrics")
        assert get(port, "/page")[2] == b"/page"
        scrape = get(port, "/metrics")[2].decode()
    counts = [line for line in scrape.splitlines() if line.startswith("ioprofiler_request_duration_seconds_count")]
    assert [line.rpartition(" ")[2] for line in counts] == ["1"], scrape


def test_below_where_an_application_is_mounted():
    from starlette.applications import Starlette
    from starlette.routing import Mount

    profiler = ioprofiler.Profiler(instrument=False, metrics=True)
    app = Starlette(routes=[Mount("/shop", app=profiler.asgi(async_page, metrics="/metrics"))])
    with asgi_server(app) as port:
        assert b"ioprofiler_" in get(port, "/shop/metrics")[2]
        assert get(port, "/metrics")[0] == 404
        assert get(port, "/shop/page")[2] == b"/shop/page"


def test_a_path_is_a_path():
    profiler = ioprofiler.Profiler(instrument=False)
    for mount in (profiler.wsgi, profiler.asgi):
        with pytest.raises(ioprofiler.OptionError, match="metrics: 'metrics' is not a path that begins with"):
            mount(page, metrics="metrics")


# ---- the event loop


class Slow:
    """A profiler whose scrape is made only when it is told to."""

    def __init__(self):
        self.go_on = threading.Event()
        self.threads = set()

    def prometheus(self, accept):
        self.threads.add(threading.current_thread())
        assert self.go_on.wait(60)
        return 200, TEXT, b"made\n"


async def scrape(metrics):
    """The answer's status and body."""
    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/metrics", "headers": []}
    await metrics(scope, None, send)
    return sent[0]["status"], sent[1]["body"]


def test_the_loop_goes_on_while_a_scrape_is_made():
    async def main():
        slow = Slow()
        metrics = AsgiMetrics(slow)
        waiting = [asyncio.create_task(scrape(metrics)) for _ in range(4)]
        await asyncio.sleep(0.1)
        assert not any(task.done() for task in waiting)
        assert await scrape(metrics) == (503, b"too many scrapes at once\n")
        waiting[0].cancel()  # the client has left
        slow.go_on.set()  # it could not be, were the loop waiting
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        assert answers[1:] == [(200, b"made\n")] * 3
        assert isinstance(answers[0], asyncio.CancelledError)
        assert threading.current_thread() not in slow.threads
        for thread in slow.threads:
            await asyncio.to_thread(thread.join, 60)
        assert await scrape(metrics) == (200, b"made\n")

    asyncio.run(main())


def test_a_loop_that_ends_before_its_scrape():
    slow = Slow()

    async def main():
        task = asyncio.create_task(scrape(AsgiMetrics(slow)))
        while not slow.threads:
            await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(main())
    slow.go_on.set()
    for thread in slow.threads:
        thread.join(60)
        assert not thread.is_alive()


def test_on_trio():
    import trio

    slow = Slow()

    async def main():
        async with trio.open_nursery() as nursery:

            async def one():
                assert await scrape(AsgiMetrics(slow)) == (200, b"made\n")

            nursery.start_soon(one)
            while not slow.threads:
                await trio.sleep(0.01)
            slow.go_on.set()

    trio.run(main)


def test_lifespan_and_websockets_have_an_answer():
    async def main():
        metrics = AsgiMetrics(ioprofiler.Profiler(instrument=False))
        sent = []
        coming = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

        async def receive():
            return coming.pop(0)

        async def send(message):
            sent.append(message["type"])

        await metrics({"type": "lifespan"}, receive, send)
        await metrics({"type": "websocket"}, receive, send)
        assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete", "websocket.close"]

    asyncio.run(main())


def test_a_scrape_need_not_log_in_to_django():
    from django.conf import settings
    from django.test import override_settings

    import django_shop

    django_shop.migrate()
    profiler = ioprofiler.Profiler(instrument=False, metrics=True)
    wants_login = [*settings.MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
    with override_settings(MIDDLEWARE=wants_login, IOPROFILER=profiler), wsgi_server(django_wsgi(profiler)) as port:
        assert get(port, "/metrics")[0] == 200
        assert get(port, "/users/")[0] == 302
