"""Forks, threads and the end of the interpreter."""

import json
import os
import subprocess
import sys
import threading
import time

import pytest

import ioprofiler

LONG = bool(os.environ.get("IOPROF_LONG"))


def run(program, **options):
    return subprocess.run(
        [sys.executable, *options.pop("flags", ()), "-c", program],
        capture_output=True,
        text=True,
        timeout=120,
        **options,
    )


BUSY = """
import os, sys, threading, time, signal
import ioprofiler

profiler = ioprofiler.Profiler(instrument=False)
stop = False
def record():
    while not stop:
        with profiler.job("busy"):
            for number in range(20):
                with ioprofiler.span("a", "x" * number):
                    pass
            with ioprofiler.scope("b", "y"):
                pass
threads = [threading.Thread(target=record) for _ in range(3)]
for thread in threads: thread.start()
with profiler.job("of the parent") as parent:
    with ioprofiler.span("a", "of the parent"):
        for number in range(FORKS):
            pid = os.fork()
            if pid == 0:
                signal.alarm(10)
                # The parent's request is not the child's: what it records there goes nowhere.
                with ioprofiler.span("a", "in the child, in the parent's request"):
                    pass
                assert ioprofiler.current().snapshot().spans == []
                with profiler.job("of the child") as request:
                    with ioprofiler.span("a", "x"):
                        pass
                    assert [call.detail for call in request.snapshot().spans] == ["x"]
                assert profiler.stats()["finished"] == 1
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0, number
    assert [call.detail for call in parent.snapshot().spans] == ["of the parent"]
stop = True
for thread in threads: thread.join()
print("the end")
"""


def test_forks_while_other_threads_record():
    ran = run(BUSY.replace("FORKS", "2000" if LONG else "100"))
    assert ran.stdout == "the end\n", ran.stdout + ran.stderr


def test_no_thread_before_the_first_finished_request():
    program = (
        "import os, ioprofiler\n"
        "profiler = ioprofiler.Profiler()\n"
        "request = profiler.job('j')\n"
        "with request.enter(), ioprofiler.span('a', 'x'): pass\n"
        "assert len(os.listdir('/proc/self/task')) == 1\n"
        "pid = os.fork()\n"
        "os._exit(0) if pid == 0 else None\n"
        "assert os.waitpid(pid, 0)[1] == 0\n"
        "print('the end')\n"
    )
    ran = run(program, flags=["-W", "error"])
    assert ran.stdout == "the end\n", ran.stderr


@pytest.mark.parametrize(
    "way", ["sys.exit(3)", "os._exit(3)", "os.kill(os.getpid(), signal.SIGTERM)", "raise SystemExit(3)"]
)
def test_the_interpreter_ends_while_others_record(way):
    program = f"""
import os, signal, sys, threading, time
import ioprofiler
profiler = ioprofiler.Profiler(instrument=False)
def record():
    while True:
        with profiler.job("busy"), ioprofiler.span("a", "x"):
            pass
for _ in range(3):
    threading.Thread(target=record, daemon=True).start()
time.sleep(0.05)
open_request = profiler.job("never finished")
open_span = ioprofiler.span("a", "never ended")
with open_request.enter():
    open_span.__enter__()
{way}
"""
    begun = time.monotonic()
    ran = run(program)
    assert ran.returncode in (3, -15), ran.stderr
    assert "Fatal" not in ran.stderr
    assert time.monotonic() - begun < 30


def test_sixty_four_threads_keep_their_calls_apart():
    profiler = ioprofiler.Profiler(instrument=False)
    wrong = []

    def work(number):
        for turn in range(20):
            own = f"{number}/{turn}"
            with profiler.job(own) as request:
                with ioprofiler.scope("page", own):
                    for _ in range(5):
                        with ioprofiler.span("db", own), ioprofiler.span("driver", own):
                            pass
                profile = request.snapshot()
            if [(call.category, call.detail) for call in profile.spans] != [("page", own)] + [("db", own)] * 5:
                wrong.append(profile.text())

    threads = [threading.Thread(target=work, args=(number,)) for number in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert profiler.stats()["live"] == 0


def test_many_threads_in_one_request():
    profiler = ioprofiler.Profiler(instrument=False)
    with profiler.job("shared") as request:

        def work(number):
            with request.enter():
                for _ in range(20):
                    with ioprofiler.span("db", str(number)):
                        pass

        threads = [threading.Thread(target=work, args=(number,)) for number in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with ioprofiler.span("db", "after"):
            pass
        profile = request.snapshot()
    details = [call.detail for call in profile.spans]
    assert sorted(details) == sorted([str(number) for number in range(32)] * 20 + ["after"])


def test_greenlets_that_take_turns_keep_their_calls_apart():
    program = """
from gevent import monkey; monkey.patch_all()
import json, gevent, ioprofiler
profiler = ioprofiler.Profiler(instrument=False)
def inside(own):
    with ioprofiler.span("db", own):
        gevent.sleep(0.001)
        with ioprofiler.span("driver", own):
            gevent.sleep(0.001)
def work(number):
    own = str(number)
    with profiler.job(own) as request:
        with ioprofiler.scope("page", own):
            for _ in range(3):
                inside(own)
            # Greenlets of one request: gevent gives each a context of its own.
            gevent.joinall([gevent.spawn(ioprofiler.in_context(inside), own) for _ in range(3)], raise_error=True)
        return own, [(call.category, call.detail) for call in request.snapshot().spans]
greenlets = [gevent.spawn(work, number) for number in range(200)]
gevent.joinall(greenlets, raise_error=True)
print(json.dumps([greenlet.value for greenlet in greenlets]))
"""
    pytest.importorskip("gevent", reason="gevent: not installed")
    ran = run(program)
    assert ran.returncode == 0, ran.stderr
    for own, calls in json.loads(ran.stdout):
        mine = [tuple(call) for call in calls]
        assert mine[0] == ("page", own)
        assert mine[1:] == [("db", own)] * 6


def test_a_subinterpreter_gets_the_stand_in():
    try:
        import _xxsubinterpreters as interpreters
    except ImportError:
        try:
            import _interpreters as interpreters
        except ImportError:
            pytest.skip("subinterpreters: this Python has none")
    program = f"""
import {interpreters.__name__} as interpreters
import ioprofiler
assert ioprofiler.Profiler(instrument=False).stats()["live"] == 0
other = interpreters.create({"isolated=False" if sys.version_info < (3, 12) else ""})
interpreters.run_string(other, '''
import ioprofiler
with ioprofiler.span("a", "x"): pass
profiler = ioprofiler.Profiler(gate="everyone")
assert profiler.stats().get("live", 0) == 0
''')
print("the end")
"""
    ran = run(program)
    assert ran.stdout == "the end\n", ran.stderr
    assert "nothing is recorded" in ran.stderr
