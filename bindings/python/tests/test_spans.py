"""Spans in all their forms: context manager, decorator, scope, after the fact; outside a request."""

import asyncio
import copy
import gc
import inspect
import pickle
import threading
import time
import weakref
from datetime import timedelta

import pytest

import ioprofiler
from ioprofiler import _native


def spans(profile):
    return [(call.category, call.detail, call.outcome) for call in profile.spans]


def test_a_span_is_a_call_of_the_current_request(profiler):
    with profiler.job("nightly") as request:
        with ioprofiler.span("dbshard01", "SELECT 1") as call:
            assert call
            call.rows(3).bytes(120).target("db1:5432")
        profile = request.snapshot()
    (only,) = profile.spans
    assert (only.category, only.detail, only.rows, only.bytes, only.target) == (
        "dbshard01",
        "SELECT 1",
        3,
        120,
        "db1:5432",
    )
    assert only.outcome == "ok"
    assert "[db1:5432]" in profile.text()


def test_outside_a_request_nothing_happens_and_is_counted(profiler):
    before = profiler.stats()["calls_outside"]
    for _ in range(64):
        with ioprofiler.span("dbshard01", "SELECT 1") as call:
            assert not call
            call.rows(3)
    assert profiler.stats()["calls_outside"] - before == 64
    assert not ioprofiler.current()
    assert ioprofiler.current().id == ""
    ioprofiler.current().set_user(5)
    ioprofiler.add_span("dbshard01", "x", duration=1)


def test_an_exception_is_an_error_and_passes(profiler):
    with profiler.job("j") as request:
        with pytest.raises(KeyError), ioprofiler.span("a", "fails"):
            raise KeyError(5)
        with pytest.raises(asyncio.CancelledError), ioprofiler.span("a", "cancelled"):
            raise asyncio.CancelledError
        profile = request.snapshot()
    assert [call.outcome for call in profile.spans] == ["error", "cancelled"]


def test_a_call_can_fail_without_an_exception(profiler):
    with profiler.job("j") as request:
        with ioprofiler.span("soap", "GetPrice") as call:
            assert call.error() is call
        with ioprofiler.scope("page", "x") as call:
            call.error().rows(3)
        with call:
            pass  # a call of its own again
        call.error()  # it is over
        profile = request.snapshot()
    assert [one.outcome for one in profile.spans] == ["error", "error", "ok"]
    assert profile.spans[1].rows == 3
    with ioprofiler.span("soap", "outside") as call:
        call.error()


def test_a_request_that_raises_is_finished_with_its_error(profiler):
    request = profiler.job("j")
    with pytest.raises(ZeroDivisionError), request:
        1 / 0  # noqa: B018
    assert not request
    assert profiler.stats()["live"] == 0


def test_scopes_contain_and_leaves_inside_leaves_are_one_call(profiler):
    with profiler.job("j") as request:
        with ioprofiler.scope("template", "page.html"):
            with ioprofiler.span("orm", "Listing.objects.get()"):
                with ioprofiler.span("driver", "SELECT 5"):
                    pass
            with ioprofiler.scope("template", "part.html"), ioprofiler.span("cache", "k"):
                pass
        with ioprofiler.span("cache", "after"):
            pass
        profile = request.snapshot()
    assert [(call.category, call.detail, call.parent) for call in profile.spans] == [
        ("template", "page.html", None),
        ("orm", "SELECT 5", 0),
        ("template", "part.html", 0),
        ("cache", "k", 2),
        ("cache", "after", None),
    ]


def test_any_text_will_do(profiler):
    details = ["k\ud800ey", "nul\x00", b"\xff\xfe", "größe €", 5020244, None, "x" * 100_000, "€" * 100_000]
    with profiler.job("j") as request:
        for detail in details:
            with ioprofiler.span("a", detail):
                pass
        profile = request.snapshot()
    kept = [call.detail for call in profile.spans]
    assert kept[:6] == ["k\ufffd\ufffd\ufffdey", "nul\x00", "\ufffd\ufffd", "größe €", "5020244", "None"]
    assert kept[6] == "x" * 8192
    assert set(kept[7]) == {"€"}


def test_a_detail_that_cannot_be_a_text_harms_nobody(profiler):
    class Bad:
        def __str__(self):
            raise RuntimeError("no")

    with profiler.job("j") as request:
        with ioprofiler.span(Bad(), Bad()) as call:
            call.detail(Bad()).rows("many").rows(-1).rows(1 << 70)
        assert request.snapshot().spans[0].rows is None
    assert profiler.stats()["misuses"] >= 2


def test_wrong_arguments_are_type_errors():
    for wrong in (
        lambda: ioprofiler.span(),
        lambda: ioprofiler.span("a", "b", "c"),
        lambda: ioprofiler.span("a", detial="b"),
        lambda: ioprofiler.span("a", category="b"),
        lambda: ioprofiler.span("a")(5),
        lambda: ioprofiler.span("a")(staticmethod(len)),
    ):
        with pytest.raises(TypeError):
            wrong()


def test_a_decorated_function_is_as_it_was(profiler):
    @ioprofiler.span("function")
    def add(a, b=2, *, c=0):
        """Adds."""
        return a + b + c

    class Shop:
        @ioprofiler.span("method", "its detail")
        def name(self, suffix):
            return type(self).__name__ + suffix

        @classmethod
        @ioprofiler.span("method")
        def make(cls):
            return cls()

        @staticmethod
        @ioprofiler.span("method")
        def one():
            return 1

    assert add.__name__ == "add"
    assert add.__doc__ == "Adds."
    assert str(inspect.signature(add)) == "(a, b=2, *, c=0)"
    assert add(1) == 3  # outside a request
    with profiler.job("j") as request:
        assert add(1, b=5) == 6
        assert add(*[1], c=4) == 7
        assert Shop().name("!") == "Shop!"
        assert Shop.name(Shop(), "?") == "Shop?"
        assert isinstance(Shop.make(), Shop)
        assert Shop.one() == 1
        with pytest.raises(TypeError):
            add()
        profile = request.snapshot()
    where = "test_a_decorated_function_is_as_it_was.<locals>."
    assert spans(profile) == [
        ("function", where + "add", "ok"),
        ("function", where + "add", "ok"),
        ("method", "its detail", "ok"),
        ("method", "its detail", "ok"),
        ("method", where + "Shop.make", "ok"),
        ("method", where + "Shop.one", "ok"),
        ("function", where + "add", "error"),
    ]


@ioprofiler.span("function")
def module_level(x):
    return x


def test_a_decorated_function_can_be_pickled_copied_and_collected():
    assert pickle.loads(pickle.dumps(module_level)) is module_level
    assert copy.deepcopy(module_level) is module_level

    def make():
        @ioprofiler.span("function")
        def recursive(n):
            return recursive(n - 1) if n else 0

        assert recursive(3) == 0
        return weakref.ref(recursive)

    reference = make()
    gc.collect()
    assert reference() is None


def test_decorated_coroutines_generators_and_async_generators(profiler):
    @ioprofiler.span("co")
    async def co():
        await asyncio.sleep(0)
        return 5

    @ioprofiler.scope("gen")
    def gen():
        with ioprofiler.span("inside", "first"):
            pass
        got = yield 1
        with ioprofiler.span("inside", str(got)):
            pass
        try:
            yield 2
        except KeyError:
            yield 3
        return "end"

    @ioprofiler.scope("agen")
    async def agen():
        with ioprofiler.span("inside", "async"):
            await asyncio.sleep(0)
        yield 1
        yield 2

    assert inspect.iscoroutinefunction(co)
    assert inspect.isgeneratorfunction(gen)
    assert inspect.isasyncgenfunction(agen)

    async def main():
        assert await co() == 5
        async for item in agen():
            with ioprofiler.span("consumer", str(item)):
                pass

    with profiler.job("j") as request:
        generator = gen()
        assert next(generator) == 1
        with ioprofiler.span("consumer", "between"):
            pass
        assert generator.send("sent") == 2
        assert generator.throw(KeyError()) == 3
        with pytest.raises(StopIteration) as stop:
            next(generator)
        assert stop.value.value == "end"
        asyncio.run(main())
        profile = request.snapshot()
    assert [(call.category, call.detail, call.parent) for call in profile.spans if call.category != "gen"] == [
        ("inside", "first", 0),
        ("consumer", "between", None),
        ("inside", "sent", 0),
        ("co", co.__qualname__, None),
        ("agen", agen.__qualname__, None),
        ("inside", "async", 5),
        ("consumer", "1", None),
        ("consumer", "2", None),
    ]
    assert {call.outcome for call in profile.spans} == {"ok"}


def test_a_generator_that_is_dropped_ends_its_span(profiler):
    @ioprofiler.scope("gen")
    def gen():
        yield 1
        yield 2

    with profiler.job("j") as request:
        next(gen())
        gc.collect()
        with ioprofiler.span("a", "after"):
            pass
        profile = request.snapshot()
    assert [(call.category, call.outcome, call.parent) for call in profile.spans] == [
        ("gen", "cancelled", None),
        ("a", "ok", None),
    ]


def test_tasks_of_one_request_that_wait_at_once_are_calls_of_their_own(profiler):
    async def query(number):
        async with ioprofiler.span("pg", f"query {number}"):
            await asyncio.sleep(0.001 * (5 - number))
            with ioprofiler.span("driver", f"SELECT {number}"):
                await asyncio.sleep(0.001)

    async def main():
        await asyncio.gather(*(query(number) for number in range(5)))

    with profiler.job("j") as request:
        asyncio.run(main())
        profile = request.snapshot()
    # Five calls, each with its own inner detail: none was merged into another task's.
    assert sorted(spans(profile)) == [("pg", f"SELECT {number}", "ok") for number in range(5)]
    assert "parallel" in profile.text()


def test_scopes_that_end_out_of_order_leave_no_ended_scope_current(profiler):
    with profiler.job("j") as request:
        outer, inner = ioprofiler.scope("outer"), ioprofiler.scope("inner")
        outer.__enter__()
        inner.__enter__()
        outer.__exit__(None, None, None)
        with ioprofiler.span("a", "in inner"):
            pass
        inner.__exit__(None, None, None)
        with ioprofiler.span("a", "in none"):
            pass
        profile = request.snapshot()
    assert [(call.detail, call.parent) for call in profile.spans if call.category == "a"] == [
        ("in inner", 1),
        ("in none", None),
    ]


def test_a_span_entered_twice_is_counted_and_ends_once(profiler):
    before = profiler.stats()["misuses"]
    with profiler.job("j") as request:
        call = ioprofiler.span("a", "x")
        with call, call:
            pass
        with call:
            pass
        assert len(request.snapshot().spans) == 2
    assert profiler.stats()["misuses"] == before + 1


def test_threads_have_the_request_where_it_was_carried(profiler):
    from concurrent.futures import ThreadPoolExecutor

    def work(name):
        with ioprofiler.span("work", name):
            pass

    with profiler.job("j") as request:
        with ThreadPoolExecutor(2) as executor:
            executor.submit(work, "not carried").result()
        with ThreadPoolExecutor(2) as executor:
            assert ioprofiler.wrap_executor(executor) is executor
            assert ioprofiler.wrap_executor(executor).submit(work, "executor").result() is None
        carried = ioprofiler.in_context(work)
        thread = threading.Thread(target=carried, args=("in_context",))
        thread.start()
        thread.join()
        asyncio.run(asyncio.to_thread(work, "to_thread"))

        def explicit():
            with request.enter():
                work("explicit")

        thread = threading.Thread(target=explicit)
        thread.start()
        thread.join()
        profile = request.snapshot()
    assert [call.detail for call in profile.spans] == ["executor", "in_context", "to_thread", "explicit"]


def test_after_the_fact_and_detached(profiler):
    with profiler.job("parent") as request:
        time.sleep(0.005)  # else it would have begun before the request
        ioprofiler.add_span("soap", "GetPrice", duration=0.003, ended_ago=0.001, failed=True)
        (call,) = request.snapshot().spans
        job = request.detach("mail")
        parent = request.id
    assert call.outcome == "error"
    assert call.duration_ms == pytest.approx(3.0, abs=0.01)
    with job, ioprofiler.span("smtp", "RCPT TO"):
        child = job.snapshot()
    assert parent in child.text() + child.json()
    assert [call.category for call in child.spans] == ["smtp"]


def test_a_duration_that_is_none_is_counted_and_no_call(profiler):
    before = profiler.stats()["misuses"]
    with profiler.job("j") as request:
        ioprofiler.add_span("db", "text", duration="3")
        ioprofiler.add_span("db", "text", duration=1, ended_ago="now")
        ioprofiler.add_span("db", "timedelta", duration=timedelta(milliseconds=3), ended_ago=timedelta())
        ioprofiler.add_span("db", "backwards", duration=-1, ended_ago=-1)
        profile = request.snapshot()
    assert [call.detail for call in profile.spans] == ["timedelta", "backwards"]
    assert profiler.stats()["misuses"] == before + 2


def test_after_its_end_a_request_takes_nothing_more(profiler):
    with profiler.job("j") as request:
        call = ioprofiler.span("a", "ends late")
        call.__enter__()
    call.__exit__(None, None, None)
    assert request.finish().spans == []
    assert request.snapshot().spans == []
    with request, ioprofiler.span("a", "too late"):
        pass
    assert profiler.stats()["live"] == 0


def test_a_forgotten_request_is_abandoned(profiler):
    before = profiler.stats()["abandoned"]
    profiler.job("forgotten")
    gc.collect()
    assert profiler.stats()["abandoned"] == before + 1


def test_callers_are_the_applications_lines_and_only_of_requests_that_asked(profiler):
    with profiler.job("j") as request:
        with ioprofiler.span("a", "x"):
            pass
        assert request.snapshot().spans[0].caller is None
    with profiler.job("j", asked=True) as request:
        with ioprofiler.span("a", "x"):
            pass
        caller = request.snapshot().spans[0].caller
    file, line = caller.rsplit(":", 1)
    assert file.endswith("test_spans.py")
    assert int(line) > 300


def test_switched_off_nothing_is_recorded(profiler):
    profiler.disable()
    with profiler.job("j") as request:
        with ioprofiler.span("a", "x") as call:
            assert not call
        with ioprofiler.scope("b", "x"):
            pass
        assert request.snapshot().spans == []
    profiler.enable()
    with profiler.job("j") as request:
        with ioprofiler.span("a", "x"):
            pass
        assert len(request.snapshot().spans) == 1


def test_begin_and_end_for_hooks(profiler):
    assert _native.begin("a", "x") is None
    _native.end(None)
    _native.end(5)
    with profiler.job("j") as request:
        _native.end(_native.begin("a", "x"))
        _native.end(_native.begin("a"), True)
        profile = request.snapshot()
    assert spans(profile) == [("a", "x", "ok"), ("a", "", "error")]


def test_a_panic_of_ours_stays_inside(profiler, capfd):
    before = profiler.stats()["panics"]
    assert _native.panic_inside() == before + 1
    assert profiler.stats()["panics"] == before + 1


def test_wrong_options_say_what_is_allowed():
    for options, message in [
        ({"record": "sometimes"}, 'record: \'sometimes\' is not one of "always", "asked", "off"'),
        ({"gate": "friends"}, "gate"),
        ({"gate": 5}, "gate"),
        ({"gate": ["callable"]}, "gate"),
        ({"gate": "token"}, "gate_secret"),
        ({"gate": "token", "gate_secret": "short"}, "32"),
        ({"params": "all"}, "params"),
        ({"max_spans": 0}, "max_spans"),
        ({"max_page": "big"}, "max_page"),
        ({"max_spans": 1 << 40}, "max_spans"),
        ({"max_memory": -1}, "max_memory"),
        ({"max_detail_bytes": 2.5}, "max_detail_bytes"),
        ({"request_ttl": 0}, "request_ttl"),
        ({"job_ttl": "x"}, "job_ttl"),
        ({"gate_parameter": "a b"}, "gate_parameter"),
        ({"gate_secret": 5}, "gate_secret"),
        ({"gate": "token", "gate_secret_files": "nowhere"}, "nowhere: No such file"),
        ({"instrument": 5}, "instrument: 5; allowed: True, False, or a list of names"),
        ({"instrument": "rdis"}, "instrument: 'rdis' is not one of .*redis"),
        ({"categories": {"a": 5}}, "categories: .*dbshard01"),
        ({"categories": ["a"]}, "categories"),
        ({"flags": 5}, "flags: 5; allowed: a path"),
        ({"state_dir": 5}, "state_dir: 5 is not a path"),
        ({"record": None}, "record: None is not one of"),
        ({"access_log": 5}, "access_log: 5 is not a path"),
        ({"access_log": "/nowhere/log"}, "access_log: /nowhere/log"),
        ({"note_header": "X-Note"}, "note_header: 'X-Note' carries the note that note_format makes"),
        ({"note_format": "%{a}n", "note_header": "bad header"}, "note_header: 'bad header' is not the name"),
        ({"buffer_streams": "yes"}, "buffer_streams: 'yes' is not True or False"),
        ({"build": 5}, "build: 5 is not a text"),
    ]:
        with pytest.raises(ioprofiler.OptionError, match=message) as wrong:
            ioprofiler.Profiler(**{"instrument": False, **options})
        assert "gate: gate:" not in str(wrong.value)


def test_budgets_fail_with_the_table():
    with ioprofiler.record() as profile:
        for number in range(3):
            with ioprofiler.span("dbshard01", f"SELECT {number}"):
                pass
        assert profile.calls_of("dbshard01") == 3
    profile.assert_calls("dbshard01", 3)
    profile.assert_calls("dbshard01", max=3, min=1)
    profile.assert_calls(max=3)
    with pytest.raises(AssertionError, match=r"(?s)3 calls of dbshard01, allowed: at most 2.*SELECT 2") as failed:
        profile.assert_calls("dbshard01", max=2)
    assert "TOTAL CALLS" in str(failed.value)
    with pytest.raises(TypeError):
        profile.assert_calls("dbshard01")


def test_the_fixture_records_the_test(ioprofile):
    with ioprofiler.span("a", "x"):
        pass
    ioprofile.assert_calls("a", 1)


def test_a_profile_that_is_asked_for_too_late_says_so():
    profiler = ioprofiler.Profiler(instrument=False)
    with profiler.job("j") as request:
        pass
    assert "the request had ended before" in request.snapshot().text()
