"""Where the native module cannot be loaded, the application runs all the same and hears of it once."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import ioprofiler
from ioprofiler import _native, _without_native

PROGRAM = """
import sys, logging
logging.basicConfig(format="%(name)s %(message)s", stream=sys.stdout)
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name == "ioprofiler._native":
            raise ImportError("not for this platform")
sys.meta_path.insert(0, Refuse())
import ioprofiler

profiler = ioprofiler.Profiler(gate=lambda request: True)
with ioprofiler.span("a", "x") as call:
    call.rows(3)

@ioprofiler.scope("function")
def add(a, b): return a + b
assert add(1, 2) == 3

with profiler.job("j") as request:
    assert request.snapshot().text() == ""
ioprofiler.add_span("a", duration=1)
ioprofiler.current().set_user(5)
with ioprofiler.record() as profile:
    pass
assert profiler.stats().get("live", 0) == 0
profiler.count("a", plan="pro")
ioprofiler.gauge("b", 1)
profiler.timing("c", duration=1)
ioprofiler.event("x", who="y")
profiler.deploy("1", what="z")
assert profiler.series() == profiler.kept() == []
assert profiler.prometheus()[0] == 503

import wsgiref.util
environ = {}
wsgiref.util.setup_testing_defaults(environ)
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"hello"]
assert profiler.wsgi(app)(environ, lambda *_: None) == [b"hello"]

async def aapp(scope, receive, send):
    await send(scope["type"])
import asyncio
sent = []
async def send(message): sent.append(message)
asyncio.run(profiler.asgi(aapp)({"type": "http"}, None, send))
assert sent == ["http"]
print("the end")
"""


def test_the_application_runs():
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("nothing is recorded: not for this platform") == 1
    assert ran.stdout.endswith("the end\n")


def test_everything_has_a_stand_in():
    public = [name for name in dir(_native) if not name.startswith("_")]
    missing = [name for name in public if not hasattr(_without_native, name)]
    assert missing == []
    for name in ("Span", "Request", "Profile", "Profiler"):
        real, stand_in = getattr(_native, name), getattr(_without_native, name)()
        members = [member for member in dir(real) if not member.startswith("__")]
        assert [member for member in members if not hasattr(stand_in, member)] == []


def test_importing_starts_nothing_and_reads_no_environment():
    program = (
        "import os, threading\n"
        "class Watched(type(os.environ)):\n"
        "    pass\n"
        "before = threading.active_count(), len(os.listdir('/proc/self/task'))\n"
        "seen = []\n"
        "get = type(os.environ).__getitem__\n"
        "type(os.environ).__getitem__ = lambda self, key: (seen.append(key), get(self, key))[1]\n"
        "import ioprofiler\n"
        "p = ioprofiler.Profiler(instrument=False)\n"
        "assert before == (threading.active_count(), len(os.listdir('/proc/self/task')))\n"
        "assert not seen, seen\n"
        "import sys\n"
        "assert not {'asyncio', 'logging', 'typing', 'inspect', 'socket'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-S", "-c", program], check=True, timeout=60, env={"PYTHONPATH": path()})


def path():
    return str(Path(inspect.getfile(ioprofiler)).parent.parent)


def test_the_version_is_the_crates():
    manifest = (Path(__file__).resolve().parents[3] / "Cargo.toml").read_text()
    assert re.search(r'(?m)^version = "(.*)"$', manifest)[1] == ioprofiler.__version__


def test_the_log_names_the_module_that_is_missing():
    program = """
import logging, sys
logging.basicConfig(format="%(message)s", stream=sys.stdout)
class Lose:
    def find_spec(self, name, path=None, target=None):
        if name == "ioprofiler._native":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Lose())
import ioprofiler
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60).stdout
    assert said == "the native module cannot be loaded, so nothing is recorded: No module named 'ioprofiler._native'\n"
