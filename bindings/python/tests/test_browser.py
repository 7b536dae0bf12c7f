"""The panel in a real browser, under a policy that allows the page nothing."""

import pytest

import ioprofiler
from browser import browser
from serving import asgi_server, wsgi_server

STRICT = "default-src 'none'"
PAGE = "<!DOCTYPE html><html><head><title>shop</title></head><body><h1>Walnut bowl</h1></body></html>"

# As `tests/src/panel.rs` has it.
CALLS = """
    const root = document.querySelector('ioprofiler-panel').shadowRoot;
    return [...root.querySelectorAll('[data-row=call]')].map(row =>
        [row.dataset.category, row.querySelector('[data-detail]').textContent])"""
OPEN = "document.querySelector('ioprofiler-panel').shadowRoot.getElementById('panel').open = true"
VISIBLE = """
    const root = document.querySelector('ioprofiler-panel').shadowRoot;
    return [...root.querySelectorAll('[data-row]')].every(row => {
        const {width, height} = row.getBoundingClientRect();
        return width > 300 && height > 8 && height < 200
            && row.checkVisibility({opacityProperty: true, visibilityProperty: true});
    })"""
HEADLINE = "return [document.title, document.querySelector('h1').textContent]"


def calls():
    with ioprofiler.span("dbshard01", "SELECT 5"):
        pass
    with ioprofiler.scope("template", "listing.html"), ioprofiler.span("memcache_get", "Cache HIT, keys: a<b>&c"):
        pass


def django_app(profiler, kind):
    from django.core.handlers.asgi import ASGIHandler
    from django.core.handlers.wsgi import WSGIHandler

    import django_shop  # noqa: F401

    return (ASGIHandler if kind == "asgi" else WSGIHandler)()


def flask_app(profiler, _):
    import flask

    import ioprofiler.flask

    app = flask.Flask(__name__)

    @app.route("/strict/")
    def strict():
        calls()
        return PAGE, {"Content-Security-Policy": STRICT}

    ioprofiler.flask.init_app(app, profiler)
    return app


def fastapi_app(profiler, _):
    import fastapi
    from fastapi.responses import HTMLResponse

    import ioprofiler.fastapi

    app = fastapi.FastAPI()

    @app.get("/strict/")
    async def strict():
        calls()
        return HTMLResponse(PAGE, headers={"Content-Security-Policy": STRICT})

    ioprofiler.fastapi.init_app(app, profiler)
    return app


APPS = {
    "django": (wsgi_server, django_app, "wsgi"),
    "django on asgi": (asgi_server, django_app, "asgi"),
    "flask": (wsgi_server, flask_app, "wsgi"),
    "fastapi": (asgi_server, fastapi_app, "asgi"),
}


@pytest.fixture(scope="module")
def window():
    with browser() as window:
        yield window


@pytest.mark.parametrize("name", APPS)
def test_the_panel_is_seen_and_the_page_stays_as_it_is(window, name, request):
    serve, make, kind = APPS[name]
    profiler = ioprofiler.Profiler(instrument=False, gate="everyone")
    if make is django_app:
        from django.test import override_settings

        import django_shop

        django_shop.migrate()
        settings = override_settings(IOPROFILER=profiler)
        settings.enable()
        request.addfinalizer(settings.disable)
    with serve(make(profiler, kind)) as port:
        page = f"http://127.0.0.1:{port}/strict/"
        window.go(page)
        bare = window.run(HEADLINE)
        assert window.run("return document.querySelector('ioprofiler-panel')") is None
        window.go(page + "?ioprofiler=1")
        assert window.run(HEADLINE) == bare == ["shop", "Walnut bowl"]
        window.run(OPEN)
        assert window.run(CALLS) == [
            ["dbshard01", "SELECT 5"],
            ["template", "listing.html"],
            ["memcache_get", "Cache HIT, keys: a<b>&c"],
        ]
        assert window.run(VISIBLE) is True
        assert window.complaints() == []
