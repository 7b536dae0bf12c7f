"""Under real servers: gunicorn with each kind of worker, uWSGI, uvicorn; forked, threaded, greened."""

import json
import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from serving import free_port, get, program

HERE = str(Path(__file__).parent)
BIN = Path(sys.executable).parent

GUNICORN = {
    "sync": ["-w", "2"],
    "gthread": ["-w", "2", "-k", "gthread", "--threads", "8"],
    "gevent": ["-w", "2", "-k", "gevent"],
    "preloaded": ["-w", "4", "--preload"],
    "preloaded threads": ["-w", "4", "--preload", "-k", "gthread", "--threads", "8"],
}


def storm(port, number=60):
    """Requests at once, each with a name of its own; gives their profiles."""

    def one(index):
        status, headers, body = get(port, f"/page?ioprofiler=json&name{index}")
        assert status == 200, body
        return index, json.loads(body)

    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(one, range(number)))


def check(profiles):
    """No call in a wrong request; each name's own, all of them."""
    processes = set()
    for index, profile in profiles:
        name = f"name{index}"
        details = [(call["category"], call["detail"]) for call in profile["calls"]]
        assert details == [("page", name)] + [("db", name)] * 5, details
        processes.add(profile["pid"])
    return processes


def serve_gunicorn(kind, *more, environ=None):
    port = free_port()
    command = [str(BIN / "gunicorn"), "-b", f"127.0.0.1:{port}", "--log-level", "error", *GUNICORN[kind], *more]
    env = {**os.environ, "PYTHONPATH": HERE, **(environ or {})}
    if kind == "gevent":
        env["IOPROFILER_TEST_GEVENT"] = "1"
    return port, program(*command, "served_app:application", port=port, cwd=HERE, env=env)


@pytest.mark.parametrize("kind", GUNICORN)
def test_gunicorn(kind):
    port, server = serve_gunicorn(kind)
    with server as process:
        processes = check(storm(port))
        assert process.pid not in processes
        body = get(port, "/page?ioprofiler=1&x")[2]
        assert body.endswith(b"</body></html>")
        assert b"TOTAL CALLS" in body
        assert not get(port, "/page?x")[2].count(b"ioprofiler")
        assert get(port, "/file")[2] == Path(HERE, "served_app.py").read_bytes()


def test_uwsgi():
    uwsgi = shutil.which("uwsgi", path=str(BIN))
    if uwsgi is None:
        pytest.skip("uwsgi: it could not be built here")
    port = free_port()
    command = [uwsgi, "--http-socket", f"127.0.0.1:{port}", "--master", "--processes", "2", "--threads", "4"]
    options = ["--need-app", "--disable-logging", "--die-on-term", "--venv", str(BIN.parent)]
    env = {**os.environ, "PYTHONPATH": HERE}
    with program(*command, *options, "--wsgi-file", f"{HERE}/served_app.py", port=port, cwd=HERE, env=env) as process:
        processes = check(storm(port))
        assert process.pid not in processes
        assert get(port, "/file")[2] == Path(HERE, "served_app.py").read_bytes()
        assert b"TOTAL CALLS" in get(port, "/file?ioprofiler=text")[2]


def test_uvicorn_with_workers():
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "--host", "127.0.0.1", "--port", str(port), "--workers", "2"]
    env = {**os.environ, "PYTHONPATH": HERE}
    with program(
        *command, "--log-level", "error", "served_app:asgi_application", port=port, cwd=HERE, env=env
    ) as process:
        processes = check(storm(port))
        assert process.pid not in processes
