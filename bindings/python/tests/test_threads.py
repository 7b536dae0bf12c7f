"""Threads at once, with a GIL and without: what they share is right, and nothing of it crashes."""

import contextvars
import sys
import sysconfig
import threading

import ioprofiler
from ioprofiler import _native

THREADS = 16
TURNS = 200


def at_once(work):
    """Runs `work(number)` on many threads at the same time; what they raise is raised here."""
    errors, barrier = [], threading.Barrier(THREADS)

    def run(number):
        try:
            barrier.wait()
            work(number)
        except BaseException as error:
            errors.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(interval)
    if errors:
        raise errors[0]


def test_the_module_does_not_switch_the_gil_on():
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        assert not sys._is_gil_enabled()


def test_one_request_of_many_threads_and_tasks(tmp_path):
    flags = tmp_path / "flags.toml"
    flags.write_text('[flags.static]\nenabled = "on"\n[flags.colour]\nenabled = { blue = 50, green = 50 }\n')
    profiler = ioprofiler.Profiler(instrument=False, flags=flags, max_spans=1_000_000, max_detail_bytes=1 << 30)
    before = profiler.stats()["misuses"]

    @ioprofiler.span("decorated")
    def decorated(text):
        return text

    def inside(own):
        with ioprofiler.span("orm", own) as call:
            call.rows(1).target(own)
            # Names that are made anew each time are other objects.
            with ioprofiler.span("dri" + "ver"[: len(own)], own):
                pass

    with profiler.job("j") as request:
        request.set_visitor("6f1c3a90")
        colour = ioprofiler.variant("colour")
        contexts = [contextvars.copy_context() for _ in range(THREADS)]

        def work(number):
            def all_turns():
                for turn in range(TURNS):
                    own = f"{number}/{turn}"
                    with ioprofiler.scope("page", own):
                        inside(own)
                        assert decorated(own) == own
                    assert ioprofiler.flag("static")
                    assert ioprofiler.variant("colour") == colour
                    ioprofiler.note(**{f"note{number}": turn})
                    _native.end(_native.begin("pair", own))
                    if turn % 50 == 0:
                        request.snapshot().text()
                        profiler.in_flight()

            contexts[number].run(all_turns)

        at_once(work)
        profile = request.snapshot()
    assert profile.calls == dict.fromkeys(("page", "orm", "decorated", "pair"), THREADS * TURNS)
    spans = profile.spans
    for call in spans:
        if call.category in ("orm", "decorated"):
            page = spans[call.parent]
            assert page.category == "page"
            assert call.category == "decorated" or page.detail == call.detail == call.target
    assert profiler.stats()["misuses"] == before


def test_one_span_that_threads_share_is_misuse_and_harms_nobody():
    profiler = ioprofiler.Profiler(instrument=False)
    with profiler.job("j") as request:
        call, scope = ioprofiler.span("a", "x"), ioprofiler.scope("b", "y")
        contexts = [contextvars.copy_context() for _ in range(THREADS)]

        def work(number):
            def all_turns():
                for _ in range(TURNS):
                    with call, scope:
                        call.detail("z").rows(1).error()
                        bool(call)
                    call.__exit__(None, None, None)

            contexts[number].run(all_turns)

        at_once(work)
        call.__exit__(None, None, None)
        with ioprofiler.span("after", "x"):
            pass
        assert request.snapshot().calls["after"] == 1
    assert profiler.stats()["live"] == 0


def test_requests_profiles_and_hooks_of_many_threads():
    profiler = ioprofiler.Profiler(instrument=False)
    begun = profiler.stats()["begun"]

    def work(number):
        for turn in range(TURNS):
            name = f"category{(number * TURNS + turn) % 300}"
            with profiler.job(name) as request, ioprofiler.span(name, name):
                hooked = _native.hooked(lambda a, b: b, name, detail_at=1)
                assert hooked(None, name) == name
                assert not request.snapshot().error
            request.set_user(number)  # after its end

    at_once(work)
    stats = profiler.stats()
    assert stats["begun"] - begun == THREADS * TURNS
    assert stats["live"] == 0
