"""Notes, the profiler's own access log, and notes in the lines of gunicorn, uWSGI and uvicorn."""

import io
import json
import logging
import os
import shutil
import sys
import time
from pathlib import Path

import pytest

import ioprofiler
import ioprofiler.logging
from serving import asgi_server, free_port, get, program, raw, wsgi_server

HERE = str(Path(__file__).parent)
BIN = Path(sys.executable).parent
#: The note of noted_app: what could forge a line is written so that no server needs to escape it.
NOTE = "5020244 3%20%22things%22%0D%0Aforged 1"


def hello(environ, start_response):
    ioprofiler.note(user_id=5020244, ratio=0.5, vip=True, name="clay & pots")
    with ioprofiler.span("dbshard01", "SELECT 5"):
        pass
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Shop", "s5"), ("Content-Length", "5")])
    return [b"hello"]


def lines_of(path, count):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        lines = path.read_text().splitlines() if path.exists() else []
        if len(lines) >= count:
            return lines
        time.sleep(0.02)
    raise AssertionError(f"{path} has {lines}")


def test_notes_of_a_request():
    profiler = ioprofiler.Profiler(instrument=False, note_format="%{a}n %{b}n %{c}n %{d}n %{e}n %{nothing}n")
    ioprofiler.note(outside=1)
    before = profiler.stats()["lost_notes"]
    with profiler.job("j") as request:
        ioprofiler.note(a=5, b=0.5, c=True, d="two words")
        request.note(a=6, e=1 << 63)
        ioprofiler.note(**{"not allowed": 1}, f=None, g=[1, 2])
        assert request.compact_note() == "6 0.5 true two%20words 9223372036854775808 -"
        from ioprofiler import _native

        assert _native.current_notes() == {"a": 6, "b": 0.5, "c": True, "d": "two words", "e": 1 << 63, "g": "[1, 2]"}
    assert profiler.stats()["lost_notes"] == before + 1
    assert request.compact_note() is None
    with pytest.raises(TypeError):
        ioprofiler.note(5)


@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
def test_the_access_log(tmp_path, kind):
    log = tmp_path / "access.log"
    form = '%h "%r" %>s %b "%{Referer}i" %{X-Shop}o %{user_id}n %{name}n %{calls}n'
    profiler = ioprofiler.Profiler(instrument=False, access_log=str(log), access_log_format=form)

    async def ahello(scope, receive, send):
        started = {}
        hello({}, lambda status, headers: started.update(headers=headers))
        headers = [(name.lower().encode(), value.encode()) for name, value in started["headers"]]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"hello"})

    serve = wsgi_server(profiler.wsgi(hello)) if kind == "wsgi" else asgi_server(profiler.asgi(ahello))
    with serve as port:
        get(port, "/listing?a=5", 'Referer: http://x/"\\')
        lines = lines_of(log, 1)
        head = '127.0.0.1 "GET /listing?a=5 HTTP/1.1" 200 5 "http://x/\\"\\\\" s5 '
        assert lines[0] in (f"{head}5020244 clay%20&%20pots 1", f"{head}5020244 clay%20%26%20pots 1")
        # Moved away, as logrotate does.
        log.rename(tmp_path / "access.log.1")
        profiler.reopen_logs()
        get(port, "/again")
        assert '"GET /again HTTP/1.1"' in lines_of(log, 1)[0]


def test_json_lines_and_lines_that_the_host_writes(caplog):
    profiler = ioprofiler.Profiler(instrument=False, access_log="host", access_log_format="json")
    with caplog.at_level(logging.INFO, logger="ioprofiler.access"), wsgi_server(profiler.wsgi(hello)) as port:
        get(port, "/listing")
    (record,) = [record for record in caplog.records if record.name == "ioprofiler.access"]
    line = json.loads(record.getMessage())
    assert "5020244" in json.dumps(line)


def test_a_header_for_the_server_in_front():
    profiler = ioprofiler.Profiler(instrument=False, note_format="%{user_id}n", note_header="X-Note")
    with wsgi_server(profiler.wsgi(hello)) as port:
        assert dict(get(port, "/")[1])["x-note"] == "5020244"


def test_wrong_options_name_themselves(tmp_path):
    for options, message in [
        ({"access_log": "stdout", "access_log_format": "%{"}, "access_log_format"),
        ({"access_log": "stdout", "access_log_time_zone": "Atlantis"}, "access_log_time_zone"),
        ({"access_log": "stdout", "access_log_details": "some"}, "access_log_details"),
        ({"access_log": str(tmp_path / "nowhere" / "log")}, "access_log"),
        ({"note_format": "%{"}, "note_format"),
        ({"note_format": "%{a}n", "note_max_bytes": 0}, "note"),
    ]:
        with pytest.raises(ioprofiler.OptionError, match=message):
            ioprofiler.Profiler(instrument=False, **options)


def test_the_filter_and_structlog():
    structlog = pytest.importorskip("structlog", reason="structlog: not installed")
    profiler = ioprofiler.Profiler(instrument=False, note_format="%{user_id}n")
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.addFilter(ioprofiler.logging.Filter())
    handler.setFormatter(logging.Formatter("%(request_id)s %(ioprofiler)s %(notes)s %(message)s"))
    log = logging.Logger("shop")
    log.addHandler(handler)
    log.warning("outside")
    events = []
    structured = structlog.wrap_logger(
        structlog.PrintLogger(written),
        processors=[ioprofiler.logging.structlog_processor, lambda _, __, event: events.append(dict(event)) or ""],
    )
    with profiler.job("j") as request:
        ioprofiler.note(user_id=5)
        log.warning("inside")
        structured.info("hello", user_id="its own")
        number = request.id
    structured.info("outside")
    assert written.getvalue().splitlines()[:2] == ["- - {} outside", f"{number} 5 {{'user_id': 5}} inside"]
    assert events == [
        {"event": "hello", "user_id": "its own", "request_id": number},
        {"event": "outside"},
    ]


def ask(port):
    assert raw(port, b"GET /page HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").startswith(b"HTTP/1.")


@pytest.mark.parametrize("worker", ["sync", "gthread", "gevent"])
def test_gunicorns_own_line(tmp_path, worker):
    port, log = free_port(), tmp_path / "access.log"
    command = [str(BIN / "gunicorn"), "-b", f"127.0.0.1:{port}", "-k", worker, "--log-level", "error"]
    options = ["--access-logfile", str(log), "--access-logformat", "line %({ioprofiler}e)s"]
    env = {**os.environ, "PYTHONPATH": HERE}
    with program(*command, *options, "noted_app:application", port=port, cwd=HERE, env=env):
        ask(port)
        assert lines_of(log, 1)[0] == f"line {NOTE}"


def test_uwsgis_own_line(tmp_path):
    uwsgi = shutil.which("uwsgi", path=str(BIN))
    if uwsgi is None:
        pytest.skip("uwsgi: it could not be built here")
    port, log = free_port(), tmp_path / "access.log"
    command = [uwsgi, "--http-socket", f"127.0.0.1:{port}", "--master", "--need-app", "--die-on-term"]
    options = ["--venv", str(BIN.parent), "--req-logger", f"file:{log}", "--logformat", "line %(ioprofiler)"]
    env = {**os.environ, "PYTHONPATH": HERE}
    with program(*command, *options, "--wsgi-file", f"{HERE}/noted_app.py", port=port, cwd=HERE, env=env):
        ask(port)
        assert lines_of(log, 1)[0].split("] ")[-1] == f"line {NOTE}"


def test_uvicorns_own_line(tmp_path):
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "--host", "127.0.0.1", "--port", str(port)]
    env = {**os.environ, "PYTHONPATH": HERE, "IOPROFILER_TEST_UVICORN": "1", "PYTHONUNBUFFERED": "1"}
    with program(*command, "noted_app:asgi_application", port=port, cwd=HERE, env=env) as process:
        ask(port)
        for line in process.stdout:
            if line.startswith("line "):
                assert line.rstrip().endswith(f"[{NOTE}]")
                break
