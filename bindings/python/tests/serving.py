"""Applications on real sockets, and raw requests to them."""

from __future__ import annotations

import contextlib
import re
import socket
import socketserver
import subprocess
import sys
import threading
import time
from wsgiref.simple_server import ServerHandler, WSGIRequestHandler, WSGIServer

PATIENCE = 30.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port: int, process: subprocess.Popen | None = None) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if process is not None and process.poll() is not None:
            raise RuntimeError(f"the server ended: {process.communicate()[0]}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"nothing listens on port {port}")


def raw(port: int, request: bytes) -> bytes:
    """All that the server sends until it closes."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
        connection.settimeout(PATIENCE)
        connection.sendall(request)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer


def get(port: int, path: str, *headers: str, method: str = "GET") -> tuple[int, list[tuple[str, str]], bytes]:
    """Status, headers (names in lower case) and body of an answer; not decoded."""
    lines = [f"{method} {path} HTTP/1.1", "Host: shop.example", "Connection: close", *headers, "", ""]
    head, _, body = raw(port, "\r\n".join(lines).encode("latin-1")).partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    fields = [tuple(line.split(": ", 1)) for line in rest]
    headers_found = [(name.lower(), value) for name, value in fields]
    if ("transfer-encoding", "chunked") in headers_found:
        body = unchunked(body)
    return int(first.split()[1]), headers_found, body


def unchunked(body: bytes) -> bytes:
    whole = b""
    while True:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        if length == 0:
            return whole
        whole, body = whole + body[:length], body[length + 2 :]


def without_date(answer: bytes) -> bytes:
    return re.sub(rb"(?i)\r\ndate: [^\r]*", b"", answer)


class _Quiet(WSGIRequestHandler):
    def log_message(self, *args):
        pass

    def handle(self):
        self.raw_requestline = self.rfile.readline(65537)
        if not self.parse_request():
            return
        handler = ServerHandler(self.rfile, self.wfile, self.get_stderr(), self.get_environ(), multithread=True)
        handler.request_handler = self
        handler.http_version = "1.0"  # so no client keeps the connection
        handler.run(self.server.get_app())

    def get_stderr(self):
        class Nowhere:
            def write(self, text):
                pass

            def flush(self):
                pass

        return Nowhere()


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True


@contextlib.contextmanager
def wsgi_server(app):
    """Python's own WSGI server, which makes a Content-Length where it can."""
    server = _Server(("127.0.0.1", 0), _Quiet)
    server.set_app(app)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def asgi_server(app, **options):
    """uvicorn, on a thread of its own."""
    import uvicorn

    port = free_port()
    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", **options)
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # not on this thread
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_for(port)
    try:
        yield port
    finally:
        server.should_exit = True
        thread.join(PATIENCE)


@contextlib.contextmanager
def program(*command: str, port: int, cwd=None, env=None):
    """A server as a program of its own; stopped at the end."""
    process = subprocess.Popen(command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        wait_for(port, process)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def python() -> str:
    return sys.executable
