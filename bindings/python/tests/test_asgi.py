"""ASGI on real sockets, under uvicorn: the same promises as WSGI, and contexts kept apart."""

import asyncio
import gc

import pytest

import ioprofiler
from serving import asgi_server, get, raw, without_date

PAGE = b"<html><body>Hello</body></html>"


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["type"] == "websocket":
        await websocket(receive, send)
        return
    path = scope["path"]
    html = [(b"content-type", b"text/html; charset=utf-8")]
    length = (b"content-length", str(len(PAGE)).encode())
    async with ioprofiler.span("dbshard01", f"SELECT {path}"):
        await asyncio.sleep(0)

    async def start(status, headers, **more):
        await send({"type": "http.response.start", "status": status, "headers": headers, **more})

    async def body(data, more=False):
        await send({"type": "http.response.body", "body": data, "more_body": more})

    if path == "/page":
        await start(200, [*html, length, (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"etag", b'"5"')])
        await body(PAGE)
    elif path == "/parts":
        await start(200, [*html, length])
        await body(PAGE[:10], True)
        await body(PAGE[10:], True)
        await body(b"")
    elif path == "/stream":
        await start(200, html)
        for part in (PAGE[:10], PAGE[10:]):
            with ioprofiler.span("body", "part"):
                await body(part, True)
        await body(b"")
    elif path == "/large":
        await start(200, [*html, (b"content-length", str(len(PAGE) + 200_000).encode())])
        await body(b"x" * 200_000, True)
        await body(PAGE)
    elif path == "/empty":
        await start(204, [])
        await body(b"")
    elif path == "/events":
        await start(200, [(b"content-type", b"text/event-stream")])
        await body(b"data: 1\n\n", True)
        await body(b"data: 2\n\n")
    elif path == "/fails":
        await start(200, html)
        await body(PAGE[:10], True)
        raise RuntimeError("half way")
    elif path == "/cached":
        status = 304 if any(name == b"if-none-match" for name, _ in scope["headers"]) else 200
        await start(status, [*html, length] if status == 200 else [])
        await body(PAGE if status == 200 else b"")
    else:
        raise ZeroDivisionError("no such page")


async def websocket(receive, send):
    assert not ioprofiler.current()
    await receive()
    await send({"type": "websocket.accept"})
    message = await receive()
    await send({"type": "websocket.send", "text": message.get("text", "")})
    await send({"type": "websocket.close"})


PATHS = ["/page", "/parts", "/stream", "/large", "/empty", "/events", "/fails", "/cached", "/raises"]


@pytest.fixture(scope="module")
def plain():
    with asgi_server(app) as port:
        yield port


async def refuses(request):
    await asyncio.sleep(0)
    return False


@pytest.mark.parametrize("gate", [(), refuses, lambda request: 1 / 0])
def test_what_nobody_is_shown_is_byte_for_byte_the_same(plain, gate):
    profiler = ioprofiler.Profiler(instrument=False, gate=gate)
    before = profiler.stats()["abandoned"]
    with asgi_server(profiler.asgi(app)) as port:
        for path in PATHS:
            for query in ("", "?ioprofiler=1", "?ioprofiler=text", "?ioprofiler=nonsense"):
                for method in ("GET", "HEAD"):
                    request = (
                        f"{method} {path}{query} HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n"
                        'If-None-Match: "5"\r\nCookie: ioprofiler=iop1.x.y.z.a.b\r\n\r\n'
                    ).encode()
                    wanted, found = raw(plain, request), raw(port, request)
                    assert without_date(found) == without_date(wanted), (method, path, query)
    gc.collect()
    stats = profiler.stats()
    assert (stats["live"], stats["abandoned"]) == (0, before)
    assert sum(stats["refused"].values()) > 0


@pytest.mark.parametrize("path", ["/page", "/parts", "/cached"])
def test_the_panel_is_in_the_page_and_nothing_keeps_it(open_profiler, path):
    with asgi_server(open_profiler.asgi(app)) as port:
        status, headers, body = get(port, f"{path}?ioprofiler=1", 'If-None-Match: "5"')
        assert status == 200
        fields = dict(headers)
        assert fields["content-length"] == str(len(body))
        assert fields["cache-control"] == "private, no-store"
        assert "etag" not in fields
        assert "dbshard01" in fields["server-timing"]
        assert f"SELECT {path}".encode() in body
        assert body.startswith(b"<html><body>Hello")
        assert body.endswith(b"</body></html>")
        if path == "/page":
            assert [value for name, value in headers if name == "set-cookie"] == ["a=1", "b=2"]


@pytest.mark.parametrize(("path", "reason"), [("/stream", "streaming"), ("/empty", "status")])
def test_what_cannot_carry_the_panel_says_why(plain, open_profiler, path, reason):
    with asgi_server(open_profiler.asgi(app)) as port:
        status, headers, body = get(port, f"{path}?ioprofiler=1")
        assert dict(headers)["x-ioprofiler"] == f"not-shown; {reason}"
        assert (status, body) == (get(plain, path)[0], get(plain, path)[2])


@pytest.mark.parametrize("path", ["/page", "/parts", "/stream", "/large", "/empty", "/events", "/cached"])
def test_text_takes_the_place_of_any_body(open_profiler, path):
    with asgi_server(open_profiler.asgi(app)) as port:
        status, headers, body = get(port, f"{path}?ioprofiler=text")
        assert status == 200
        assert dict(headers)["content-length"] == str(len(body))
        assert b"[dbshard01]" in body
        assert b"TOTAL CALLS" in body


def test_a_page_that_is_too_large_is_let_go():
    profiler = ioprofiler.Profiler(instrument=False, gate="everyone", buffer_streams=True, max_page=100_000)
    with asgi_server(profiler.asgi(app)) as port:
        assert b"SELECT /stream" in get(port, "/stream?ioprofiler=1")[2]
        _, headers, body = get(port, "/large?ioprofiler=1")
        assert dict(headers)["x-ioprofiler"] == "not-shown; too-large"
        assert len(body) == len(PAGE) + 200_000


def test_websockets_and_lifespan_pass(open_profiler):
    async def talk():
        sent = []
        came = iter([{"type": "websocket.connect"}, {"type": "websocket.receive", "text": "hello"}])

        async def receive():
            return next(came)

        async def send(message):
            sent.append(message)

        await open_profiler.asgi(app)({"type": "websocket", "path": "/"}, receive, send)
        return sent

    assert [message["type"] for message in asyncio.run(talk())] == [
        "websocket.accept",
        "websocket.send",
        "websocket.close",
    ]
    assert open_profiler.stats()["live"] == 0


def call(application, path, query=b""):
    """Calls an application without a server; gives its messages."""

    async def run():
        sent = []

        async def receive():
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message):
            await asyncio.sleep(0)
            sent.append(message)

        scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query,
            "headers": [],
            "http_version": "1.1",
            "scheme": "http",
        }
        await application(scope, receive, send)
        return sent

    return run()


def test_ten_thousand_requests_at_once_keep_their_calls_apart():
    profiler = ioprofiler.Profiler(instrument=False, gate="everyone", max_live_requests=20_000)

    async def storm(scope, receive, send):
        own = scope["path"]
        with ioprofiler.scope("page", own):
            async with ioprofiler.span("a", own):
                await asyncio.sleep(0)
            await asyncio.gather(*(inner(own) for _ in range(3)))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x"})

    async def inner(own):
        async with ioprofiler.span("b", own):
            await asyncio.sleep(0)
        with ioprofiler.span("c", own):
            pass

    application = profiler.asgi(storm)

    async def main():
        paths = [f"/{number}" for number in range(10_000)]
        answers = await asyncio.gather(*(call(application, path, b"ioprofiler=json") for path in paths))
        return zip(paths, answers, strict=True)

    import json

    for path, sent in asyncio.run(main()):
        profile = json.loads(sent[1]["body"])
        calls = [(one["category"], one["detail"]) for one in profile["calls"]]
        assert sorted(calls) == sorted([("page", path), ("a", path), *[("b", path)] * 3, *[("c", path)] * 3])
    assert profiler.stats()["live"] == 0


def test_a_cancelled_request_is_aborted(open_profiler):
    before = open_profiler.stats()["aborted"]

    async def slow(scope, receive, send):
        with ioprofiler.span("a", "waits"):
            await asyncio.sleep(60)

    async def main():
        task = asyncio.ensure_future(call(open_profiler.asgi(slow), "/"))
        await asyncio.sleep(0.01)
        (live,) = open_profiler.in_flight()
        assert [one.outcome for one in live.spans] == ["open"]
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert open_profiler.stats()["aborted"] == before + 1


def test_a_gate_that_fails_says_why_once(caplog):
    async def gate(request):
        raise PermissionError("no session")

    profiler = ioprofiler.Profiler(instrument=False, gate=gate)
    with asgi_server(profiler.asgi(app)) as port:
        for _ in range(2):
            assert b"TOTAL CALLS" not in get(port, "/page?ioprofiler=text")[2]
    said = [record.message for record in caplog.records if "gate raised" in record.message]
    assert said == ["the gate raised PermissionError: no session (said once; at level DEBUG each time)"]
