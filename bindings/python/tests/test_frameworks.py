"""Flask, FastAPI and Starlette: one line each."""

import json

import pytest

import ioprofiler
from serving import asgi_server, get, wsgi_server

PAGE = "<html><body>Hello</body></html>"


def flask_app(profiler):
    import flask

    import ioprofiler.flask

    app = flask.Flask(__name__)

    @app.before_request
    def log_in():
        flask.g.user = flask.request.args.get("user")

    @app.route("/listing/<int:number>")
    def listing(number):
        with ioprofiler.span("dbshard01", f"SELECT {number}"):
            return PAGE

    @app.route("/fails")
    def fails():
        raise ZeroDivisionError("no")

    ioprofiler.flask.init_app(app, profiler)
    return app


def test_flask():
    import flask

    asked = []

    def gate(request):
        asked.append(type(request).__name__)
        return flask.g.user == "staff"

    profiler = ioprofiler.Profiler(instrument=False, gate=gate)
    with wsgi_server(flask_app(profiler)) as port:
        assert get(port, "/listing/5?ioprofiler=1&user=guest")[2] == PAGE.encode()
        text = get(port, "/listing/5?ioprofiler=text&user=staff")[2].decode()
        assert text.startswith("# GET /listing/5?ioprofiler=text&user=staff 200")
        assert "[dbshard01]" in text
        profile = json.loads(get(port, "/listing/5?ioprofiler=json&user=staff")[2])
        assert profile["facts"]["route"] == "/listing/<int:number>"
        status, _, body = get(port, "/fails?ioprofiler=json&user=staff")
        assert status == 500
        assert b"ZeroDivisionError: no" in body
    assert set(asked) == {"Request"}
    assert profiler.stats()["live"] == 0


def fastapi_app(profiler):
    import fastapi
    from fastapi.responses import HTMLResponse

    import ioprofiler.fastapi

    app = fastapi.FastAPI()
    ioprofiler.fastapi.init_app(app, profiler)

    @app.middleware("http")
    async def log_in(request, call_next):
        request.state.user = request.query_params.get("user")
        return await call_next(request)

    @app.get("/listing/{number}", response_class=HTMLResponse)
    async def listing(number: int):
        with ioprofiler.span("dbshard01", f"SELECT {number}"):
            return PAGE

    @app.get("/sync/{number}", response_class=HTMLResponse)
    def sync(number: int):
        with ioprofiler.span("dbshard01", f"SELECT sync {number}"):
            return PAGE

    @app.get("/fails")
    async def fails():
        raise ZeroDivisionError("no")

    return app


def test_fastapi():
    async def gate(request):
        return request.state.user == "staff"

    profiler = ioprofiler.Profiler(instrument=False, gate=gate)
    with asgi_server(fastapi_app(profiler)) as port:
        assert get(port, "/listing/5?ioprofiler=1&user=guest")[2] == PAGE.encode()
        assert b"SELECT 5" in get(port, "/listing/5?ioprofiler=1&user=staff")[2]
        body = get(port, "/sync/7?ioprofiler=json&user=staff")[2]
        assert b"SELECT sync 7" in body  # a thread of the pool, in the request
        assert b'"/sync/{number}"' in body
        assert get(port, "/fails?user=staff")[0] == 500
    assert profiler.stats()["live"] == 0


def test_starlette():
    from starlette.applications import Starlette
    from starlette.responses import HTMLResponse
    from starlette.routing import Mount, Route

    import ioprofiler.fastapi

    async def listing(request):
        with ioprofiler.span("dbshard01", f"SELECT {request.path_params['number']}"):
            return HTMLResponse(PAGE)

    profiler = ioprofiler.Profiler(instrument=False, gate="everyone")
    inner = Starlette(routes=[Route("/{number}", listing)])
    app = Starlette(routes=[Route("/listing/{number}", listing), Mount("/shop", app=inner)])
    ioprofiler.fastapi.init_app(app, profiler)
    with asgi_server(app) as port:
        assert b"SELECT 5" in get(port, "/listing/5?ioprofiler=1")[2]
        assert b'"/listing/{number}"' in get(port, "/listing/5?ioprofiler=json")[2]
        assert b"SELECT 6" in get(port, "/shop/6?ioprofiler=text")[2]


@pytest.mark.parametrize("kind", ["flask", "fastapi"])
def test_closed_gates_change_nothing(kind):
    profiler = ioprofiler.Profiler(instrument=False)
    serve, make = {"flask": (wsgi_server, flask_app), "fastapi": (asgi_server, fastapi_app)}[kind]
    with serve(make(profiler)) as port:
        assert get(port, "/listing/5?ioprofiler=1")[2] == PAGE.encode()
