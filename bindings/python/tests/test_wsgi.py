"""WSGI on real sockets: what nobody is shown is byte for byte as without us; what is shown is right."""

import gc
import os

import pytest

import ioprofiler
from ioprofiler.web import _asking
from serving import get, raw, without_date, wsgi_server

PAGE = b"<html><body>Hello</body></html>"


class Closing:
    """An iterable that says when it was closed."""

    closed = 0

    def __init__(self, parts):
        self.parts = iter(parts)

    def __iter__(self):
        return self

    def __next__(self):
        with ioprofiler.span("body", "part"):
            return next(self.parts)

    def close(self):
        with ioprofiler.span("body", "close"):
            type(self).closed += 1


def app(environ, start_response):
    path = environ["PATH_INFO"]
    with ioprofiler.span("dbshard01", f"SELECT {path}"):
        pass
    html = [("Content-Type", "text/html; charset=utf-8")]
    if path == "/page":
        start_response("200 OK", [*html, ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("ETag", '"5"')])
        return [PAGE]
    if path == "/length":
        start_response("200 OK", [*html, ("Content-Length", str(len(PAGE)))])
        return [PAGE[:10], PAGE[10:]]
    if path == "/generator":
        return generator(start_response, html)
    if path == "/stream":
        start_response("200 OK", html)
        return Closing([PAGE[:10], PAGE[10:]])
    if path == "/large":
        start_response("200 OK", [*html, ("Content-Length", str(len(PAGE) + 200_000))])
        return Closing([b"x" * 200_000, PAGE])
    if path == "/file":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return environ["wsgi.file_wrapper"](open(__file__, "rb"))
    if path == "/write":
        write = start_response("200 OK", html)
        write(PAGE[:10])
        return [PAGE[10:]]
    if path == "/exc_info":
        start_response("200 OK", html)
        try:
            raise KeyError(5)
        except KeyError as error:
            start_response("500 Oh", html, (type(error), error, error.__traceback__))
        return [b"sorry"]
    if path == "/fails":
        start_response("200 OK", html)
        return Closing(failing())
    if path == "/empty":
        start_response("204 No Content", [])
        return []
    if path == "/cached":
        status = "304 Not Modified" if "HTTP_IF_NONE_MATCH" in environ else "200 OK"
        start_response(status, html)
        return [PAGE] if status.startswith("200") else []
    if path == "/gzip":
        start_response("200 OK", [*html, ("Content-Encoding", "gzip")])
        return [PAGE]
    raise ZeroDivisionError("no such page")


def generator(start_response, headers):
    start_response("200 OK", headers)
    with ioprofiler.span("body", "in the generator"):
        yield PAGE[:10]
    yield PAGE[10:]


def failing():
    yield PAGE[:10]
    raise RuntimeError("half way")


PATHS = [
    "/page",
    "/length",
    "/generator",
    "/stream",
    "/large",
    "/file",
    "/write",
    "/exc_info",
    "/fails",
    "/empty",
    "/cached",
    "/gzip",
    "/raises",
]


@pytest.fixture(scope="module")
def plain():
    with wsgi_server(app) as port:
        yield port


@pytest.mark.parametrize("gate", ["everybody", ["token", 5], "callable", "token, everybody"])
def test_a_gate_that_is_none_says_what_is_one(gate):
    allowed = 'allowed: "token", "flag:NAME", "this-machine", "everyone", a callable, or a list of these'
    with pytest.raises(ioprofiler.OptionError, match=f"^gate: .* is not known; {allowed}$"):
        ioprofiler.Profiler(gate=gate, instrument=False)


def test_a_gate_that_fails_says_why_once(caplog):
    profiler = ioprofiler.Profiler(gate=lambda request: request.user.is_staff, instrument=False)
    with wsgi_server(profiler.wsgi(app)) as port:
        for _ in range(2):
            assert b"TOTAL CALLS" not in get(port, "/page?ioprofiler=text")[2]
    said = [record for record in caplog.records if "gate raised" in record.message]
    assert len(said) == 1
    assert "no attribute 'user'" in said[0].message
    assert said[0].exc_info


@pytest.mark.parametrize("gate", [(), lambda asking: False, lambda asking: 1 / 0, "token"])
def test_what_nobody_is_shown_is_byte_for_byte_the_same(plain, gate):
    secret = "a secret of 32 bytes, at the least"
    profiler = ioprofiler.Profiler(instrument=False, gate=gate, gate_secret=secret)
    before = profiler.stats()["abandoned"]
    with wsgi_server(profiler.wsgi(app)) as port:
        for path in PATHS:
            for query in ("", "?ioprofiler=1", "?ioprofiler=text", "?ioprofiler=nonsense"):
                for method in ("GET", "HEAD", "POST"):
                    request = (
                        f"{method} {path}{query} HTTP/1.0\r\nHost: shop.example\r\n"
                        'If-None-Match: "5"\r\nCookie: a=b; ioprofiler=iop1.x.y.z.a.b\r\n\r\n'
                    ).encode()
                    wanted, found = raw(plain, request), raw(port, request)
                    assert without_date(found) == without_date(wanted), (method, path, query)
    gc.collect()
    stats = profiler.stats()
    assert stats["live"] == 0
    assert stats["abandoned"] == before
    assert sum(stats["refused"].values()) > 0


def test_the_panel_is_in_the_page_and_nothing_keeps_it(open_profiler):
    with wsgi_server(open_profiler.wsgi(app)) as port:
        status, headers, body = get(port, "/page?ioprofiler=1")
        assert status == 200
        fields = dict(headers)
        assert fields["content-length"] == str(len(body))
        assert fields["cache-control"] == "private, no-store"
        assert "etag" not in fields
        assert "x-ioprofiler" not in fields
        assert fields["x-ioprofiler-request"]
        assert "dbshard01" in fields["server-timing"]
        assert [value for name, value in headers if name == "set-cookie"] == ["a=1", "b=2"]
        assert body.startswith(b"<html><body>Hello")
        assert body.endswith(b"</body></html>")
        assert b"SELECT /page" in body
        # Not asked: not a byte of ours.
        assert get(port, "/page")[2] == PAGE


@pytest.mark.parametrize("path", ["/length", "/write", "/cached"])
def test_ways_to_give_a_page(open_profiler, path):
    profiler = ioprofiler.Profiler(instrument=False, gate="everyone", buffer_streams=True)
    with wsgi_server(profiler.wsgi(app)) as port:
        status, _, body = get(port, f"{path}?ioprofiler=1", 'If-None-Match: "5"')
        assert status == 200
        assert f"SELECT {path}".encode() in body
        assert body.startswith(PAGE[:10])


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/generator", "streaming"),
        ("/stream", "streaming"),
        ("/gzip", "content-encoding"),
        ("/file", "content-type"),
        ("/empty", "status"),
    ],
)
def test_what_cannot_carry_the_panel_says_why(plain, open_profiler, path, reason):
    with wsgi_server(open_profiler.wsgi(app)) as port:
        status, headers, body = get(port, f"{path}?ioprofiler=1")
        assert dict(headers)["x-ioprofiler"] == f"not-shown; {reason}"
        assert dict(headers)["cache-control"] == "private, no-store"
        assert (status, body) == (get(plain, path)[0], get(plain, path)[2])


def test_a_stream_is_held_back_only_where_that_was_asked_for():
    profiler = ioprofiler.Profiler(instrument=False, gate="everyone", buffer_streams=True, max_page=100_000)
    with wsgi_server(profiler.wsgi(app)) as port:
        for path in ("/generator", "/stream"):
            body = get(port, f"{path}?ioprofiler=1")[2]
            assert b"SELECT" in body
        status, headers, body = get(port, "/large?ioprofiler=1")
        assert dict(headers)["x-ioprofiler"] == "not-shown; too-large"
        assert len(body) == len(PAGE) + 200_000


@pytest.mark.parametrize("path", [path for path in PATHS if path != "/raises"])
def test_text_takes_the_place_of_any_body(open_profiler, path):
    with wsgi_server(open_profiler.wsgi(app)) as port:
        status, headers, body = get(port, f"{path}?ioprofiler=text")
        assert status == (500 if path == "/exc_info" else 200)
        assert dict(headers)["content-type"] == "text/plain; charset=utf-8"
        assert dict(headers)["content-length"] == str(len(body))
        text = body.decode()
        assert "[dbshard01]" in text
        assert "TOTAL CALLS" in text
        if path in ("/stream", "/fails"):
            assert "[body]" in text


def test_json_and_ticket(open_profiler):
    import json

    with wsgi_server(open_profiler.wsgi(app)) as port:
        body = get(port, "/page?ioprofiler=json")[2]
        assert json.loads(body)["calls"]
        assert b"SELECT" in get(port, "/page?ioprofiler=ticket")[2]
        assert get(port, "/page", "X-Ioprofiler: text")[2].startswith(b"# GET /page 200")


def test_every_request_ends_once_and_its_body_is_closed(open_profiler):
    ended = []

    def observed(environ, start_response):
        ended.append(ioprofiler.current())
        return app(environ, start_response)

    Closing.closed = 0
    with wsgi_server(open_profiler.wsgi(observed)) as port:
        for path in ("/stream", "/fails", "/raises", "/file", "/page"):
            raw(port, f"GET {path} HTTP/1.0\r\n\r\n".encode())
    assert Closing.closed == 2
    stats = open_profiler.stats()
    assert stats["live"] == 0
    assert not any(ended)


def test_a_file_wrapper_that_is_a_function_gives_the_server_its_own_object(open_profiler):
    """uWSGI's: it sends the file by itself where the very object comes back that the wrapper gave."""
    from wsgiref.util import setup_testing_defaults

    given = []

    def wrapper(file, size=8192):
        given.append(file)
        return file

    environ = {"PATH_INFO": "/file", "wsgi.file_wrapper": wrapper}
    setup_testing_defaults(environ)
    finished = open_profiler.stats()["finished"]
    with open_profiler.wsgi(app)(environ, lambda *_: None) as body:
        assert body is given[0]
    assert open_profiler.stats()["finished"] == finished + 1
    assert open_profiler.stats()["live"] == 0
    # Not what it gave: a body as any other.
    environ = {"PATH_INFO": "/page", "wsgi.file_wrapper": wrapper}
    setup_testing_defaults(environ)
    assert b"".join(open_profiler.wsgi(app)(environ, lambda *_: None)) == PAGE


def test_errors_status_and_bytes_are_facts(open_profiler, monkeypatch):
    profiles = []

    def keep(self):
        if not self.over:
            self._over = True
            profiles.append(self.request.finish(500 if self.status is None else self.status, self.sent))

    monkeypatch.setattr(_asking.Ending, "finish", keep)
    with wsgi_server(open_profiler.wsgi(app)) as port:
        for path in ("/page", "/raises", "/fails", "/write"):
            raw(port, f"GET {path} HTTP/1.0\r\n\r\n".encode())
    facts = [(profile.status, profile.bytes_out, profile.error) for profile in profiles]
    assert facts == [
        (200, len(PAGE), None),
        (500, 0, "ZeroDivisionError: no such page"),
        (200, 10, "RuntimeError: half way"),
        (200, len(PAGE), None),
    ]
    calls = [[call.detail for call in profile.spans if call.category == "body"] for profile in profiles]
    assert calls[2] == ["part", "part"]


def test_a_client_that_leaves_aborts_the_request(open_profiler):
    from wsgiref.util import setup_testing_defaults

    environ = {"PATH_INFO": "/stream"}
    setup_testing_defaults(environ)
    before = open_profiler.stats()["aborted"]
    body = open_profiler.wsgi(app)(environ, lambda *_: None)
    next(iter(body))
    body.close()
    assert open_profiler.stats()["aborted"] == before + 1
    assert not ioprofiler.current()


def test_a_second_middleware_joins_as_a_scope(open_profiler):
    with wsgi_server(open_profiler.wsgi(open_profiler.wsgi(app))) as port:
        text = get(port, "/page?ioprofiler=text")[2].decode()
        assert "[wsgi]" in text
        assert "  [dbshard01]" in text


def test_the_callable_is_asked_late_and_only_if_asked():
    seen = []

    def gate(asking):
        seen.append((asking.environ["PATH_INFO"], asking.environ.get("user")))
        return asking.environ.get("user") == "staff"

    def with_login(environ, start_response):
        environ["user"] = environ["QUERY_STRING"].rpartition("&")[2]
        return app(environ, start_response)

    profiler = ioprofiler.Profiler(instrument=False, gate=gate)
    with wsgi_server(profiler.wsgi(with_login)) as port:
        assert get(port, "/page?a=b&staff")[2] == PAGE
        assert seen == []
        assert get(port, "/page?ioprofiler=1&guest")[2] == PAGE
        assert b"SELECT /page" in get(port, "/page?ioprofiler=1&staff")[2]
        assert b"SELECT /generator" in get(port, "/generator?ioprofiler=text&staff")[2]
    assert seen == [("/page", "guest"), ("/page", "staff"), ("/generator", "staff")]
    assert profiler.stats()["refused"] == {"the callable said no": 1}


def test_a_token_opens_the_gate():
    secret = os.urandom(32)
    profiler = ioprofiler.Profiler(instrument=False, gate="token", gate_secret=secret)
    token, cookie = profiler.grant("alice", "shop.example")
    with wsgi_server(profiler.wsgi(app)) as port:
        assert b"SELECT" in get(port, "/page?ioprofiler=text", f"X-Ioprofiler-Token: {token}")[2]
        pair = cookie.partition(";")[0]
        assert b"SELECT" in get(port, "/page?ioprofiler=text", f"Cookie: x=y; {pair}")[2]
        assert get(port, "/page?ioprofiler=text", f"X-Ioprofiler-Token: {token[:-1]}")[2] == PAGE


def test_the_middleware_passes_attributes_through(open_profiler):
    class Application:
        name = "shop"

        def __call__(self, environ, start_response):
            return app(environ, start_response)

    assert open_profiler.wsgi(Application()).name == "shop"
