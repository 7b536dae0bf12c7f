"""Django on real sockets, synchronous and asynchronous, with its real authentication."""

import json
import re
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.test import Client, override_settings

import django_shop
import ioprofiler
from serving import asgi_server, get, raw, without_date, wsgi_server

PAGE = django_shop.PAGE.encode()
OWN = "ioprofiler.django.Middleware"


@pytest.fixture(scope="module", autouse=True)
def database():
    django_shop.migrate()


def log_in(name):
    client = Client()
    assert client.login(username=name, password=name)
    return f"Cookie: sessionid={client.cookies['sessionid'].value}"


@contextmanager
def served(kind, **options):
    profiler = ioprofiler.Profiler(instrument=False, **options)
    with override_settings(IOPROFILER=profiler):
        handler, serve = {"wsgi": (WSGIHandler, wsgi_server), "asgi": (ASGIHandler, asgi_server)}[kind]
        with serve(handler()) as port:
            yield port, profiler


README = (Path(__file__).resolve().parents[1] / "README.md").read_text()
of_settings: dict = {}
exec(re.search(r"```python\n(# settings\.py\n.*?)```", README, re.DOTALL)[1], of_settings)
#: The gate of the README's two lines.
of_readme = of_settings["IOPROFILER"]["gate"]


def test_the_middleware_is_named_as_the_readme_names_it():
    from django.conf import settings

    assert settings.MIDDLEWARE[0] == OWN == of_settings["MIDDLEWARE"][0]


@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
def test_the_gate_knows_djangos_staff(kind):
    staff, guest = log_in("staff"), log_in("guest")
    with served(kind, gate=of_readme) as (port, profiler):
        for page in ("/listing/5/", "/alisting/5/"):
            assert b"SELECT 5" in get(port, page + "?ioprofiler=1", staff)[2]
            for cookie in (guest, "X-Nobody: 1"):
                assert get(port, page + "?ioprofiler=1", cookie)[2] == PAGE
                assert get(port, page + "?ioprofiler=text", cookie)[2] == PAGE
        text = get(port, "/listing/5/?ioprofiler=text", staff)[2].decode()
        assert text.startswith("# GET /listing/5/")
        profile = json.loads(get(port, "/listing/5/?ioprofiler=json", staff)[2])
        assert profile["facts"]["route"] == "/listing/<int:number>/"
        assert profile["facts"]["user"]
        status, _, body = get(port, "/fails/?ioprofiler=json", staff)
        assert status == 500
        assert b"ZeroDivisionError: no such page" in body
        assert profiler.stats()["refused"] == {"the callable said no": 8}


@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
def test_what_nobody_is_shown_is_byte_for_byte_the_same(kind):
    from django.conf import settings

    without = [name for name in settings.MIDDLEWARE if name != OWN]
    handler, serve = {"wsgi": (WSGIHandler, wsgi_server), "asgi": (ASGIHandler, asgi_server)}[kind]
    with (
        override_settings(MIDDLEWARE=without),
        serve(handler()) as plain,
        served(kind, gate=of_readme) as (port, profiler),
    ):
        for path in ("/listing/5/", "/stream/", "/astream/", "/file/", "/users/", "/nothing/", "/fails/"):
            for query in ("", "?ioprofiler=1", "?ioprofiler=text"):
                request = (
                    f"GET {path}{query} HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n"
                    'If-None-Match: "5"\r\n\r\n'
                ).encode()
                wanted, found = raw(plain, request), raw(port, request)
                assert without_date(found) == without_date(wanted), (path, query)
        assert profiler.stats()["live"] == 0


@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
def test_streams_and_files(kind):
    with served(kind, gate="everyone") as (port, profiler):
        for path, reason in (
            ("/stream/", "streaming"),
            ("/astream/", "streaming"),
            ("/file/", "content-type"),
        ):
            _, headers, body = get(port, path + "?ioprofiler=1")
            assert dict(headers)["x-ioprofiler"] == f"not-shown; {reason}"
            assert body == get(port, path)[2]
            text = get(port, path + "?ioprofiler=text")[2]
            assert b"TOTAL CALLS" in text
        if kind == "asgi":
            assert b"in the stream" in get(port, "/astream/?ioprofiler=text")[2]
    with served(kind, gate="everyone", buffer_streams=True) as (port, _):
        for path in ("/stream/", "/astream/"):
            body = get(port, path + "?ioprofiler=1")[2]
            assert body.startswith(PAGE[:10])
            assert body.endswith(b"</body></html>")
            assert b"TOTAL CALLS" in body
    with served(kind, gate="everyone", buffer_streams=True, max_page=5) as (port, profiler):
        _, headers, body = get(port, "/stream/?ioprofiler=1")
        assert dict(headers)["x-ioprofiler"] == "not-shown; too-large"
        assert body == PAGE


def test_an_open_gate_sees_the_whole_page_and_keeps_cookies():
    with served("wsgi", gate="everyone") as (port, profiler):
        etag = dict(get(port, "/listing/5/")[1])["etag"]
        assert get(port, "/listing/5/", f"If-None-Match: {etag}")[0] == 304
        status, headers, body = get(port, "/listing/5/?ioprofiler=1", f"If-None-Match: {etag}")
        assert status == 200
        assert b"SELECT 5" in body
        assert "etag" not in dict(headers)
        assert dict(headers)["content-length"] == str(len(body))


def test_inside_the_wsgi_middleware_it_is_a_scope_with_the_same_gate():
    staff = log_in("staff")
    profiler = ioprofiler.Profiler(instrument=False, gate=of_readme)
    with override_settings(IOPROFILER=profiler), wsgi_server(profiler.wsgi(WSGIHandler())) as port:
        text = get(port, "/listing/5/?ioprofiler=text", staff)[2].decode()
        assert re.search(r"(?m)^\[django\].*\n  \[dbshard01\]", text)
        assert get(port, "/listing/5/?ioprofiler=text")[2] == PAGE


def test_options_come_from_the_settings():
    with (
        override_settings(IOPROFILER={"gate": "everyone", "instrument": False}),
        wsgi_server(WSGIHandler()) as port,
    ):
        assert b"TOTAL CALLS" in get(port, "/listing/5/?ioprofiler=text")[2]
    for wrong, message in (
        ({"gaet": "everyone"}, "IOPROFILER: 'gaet' is not one of gate, "),
        ({"gate": "friends"}, 'gate: "friends" is not known'),
        (["gate"], "IOPROFILER: .*a dict of options"),
    ):
        with override_settings(IOPROFILER=wrong), pytest.raises(ioprofiler.OptionError, match=message):
            WSGIHandler()


def test_the_test_client_ends_requests():
    profiler = ioprofiler.Profiler(instrument=False)
    with override_settings(IOPROFILER=profiler):
        assert Client().get("/listing/5/").content == PAGE
        with ioprofiler.record() as profile:
            Client().get("/listing/5/")
        profile.assert_calls("dbshard01", 1)
    assert profiler.stats()["live"] == 0
