"""Numbers: what is counted, what is kept, and where it goes."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

import ioprofiler
from serving import get, program
from test_servers import BIN, HERE, free_port


def own(profiler):
    """The application's own: name and labels -> value, of counters the count, of timings count and sum."""
    found = {}
    for series in profiler.series():
        for sample in series["samples"]:
            key = sample["name"], tuple(sorted(sample["labels"].items()))
            value = sample.get("value", sample.get("count"))
            found[key] = (value, sample["sum"]) if "sum" in sample else value
    return found


@pytest.fixture
def counting():
    return ioprofiler.Profiler(instrument=False, metrics=True)


# ---- count, gauge, timing


def test_what_threads_count_is_what_is_read(counting):
    expected = Counter()
    lock = threading.Lock()

    def work(number):
        mine = Counter()
        for turn in range(500):
            plan, by = ["free", "pro", "x;y=z"][(number + turn) % 3], turn % 5
            counting.count("registrations", by, plan=plan, country="de")
            counting.count("registrations", country="de", plan=plan)  # another order is no other series
            mine[plan] += by + 1
        with lock:
            expected.update(mine)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = own(counting)
    assert {
        plan: found["registrations", (("country", "de"), ("plan", plan.replace(";", "_")))] for plan in expected
    } == dict(expected)


def test_each_kind_of_value(counting):
    class Plan:
        def __str__(self):
            return "pro ü"

    misuses = counting.stats()["misuses"]
    counting.count("a")
    counting.count("a", by=2)
    counting.count("a;by=hand", 4, name="x", value=1.50, yes=True, none=None, plan=Plan())
    counting.gauge("queue.length", 17)
    counting.gauge("queue.length", value=0.5, queue="mail")
    counting.timing("mail.sent", 0.25)
    counting.timing("mail.sent", timedelta(milliseconds=250))
    counting.timing("mail.sent", duration=1, smtp="mx1")
    found = own(counting)
    labels = (("by", "hand"), ("name", "x"), ("plan", "pro ü"), ("value", "1.5"), ("yes", "true"))
    assert found["a", ()] == 3
    assert found["a", labels] == 4
    assert found["queue.length", ()] == 17
    assert found["queue.length", (("queue", "mail"),)] == 0.5
    assert found["mail.sent", ()] == (2, 500_000_000)
    assert found["mail.sent", (("smtp", "mx1"),)] == (1, 1_000_000_000)
    assert counting.stats()["misuses"] == misuses


def test_what_is_no_number_is_counted_and_raises_nothing(counting):
    class Malicious:
        def __index__(self):
            raise KeyError("no")

        __float__ = __index__
        total_seconds = __index__

    before = counting.stats()["misuses"]
    for wrong in (-1, 1.5, "3", None, 1 << 70, Malicious()):
        counting.count("a", wrong)
    for wrong in ("3", None, Malicious(), object()):
        counting.gauge("b", wrong)
    for wrong in (-1, -1.0, "3", None, Malicious(), float("nan"), float("inf"), timedelta(-1)):
        counting.timing("c", wrong)
    assert counting.stats()["misuses"] == before + 18
    # What the core refuses it counts as lost: no name, one that is too long, another kind, no number.
    for lost in ("", "x" * 200, "a;=b", "lone \ud800" * 40):
        counting.count(lost)
    counting.count("a", 1)
    counting.gauge("a", 1.0)
    counting.gauge("g", float("nan"))
    counting.count("a", **{f"label{number}": number for number in range(9)})
    found = own(counting)
    assert found["a", ()] == 1
    lost = [value for (name, labels), value in found.items() if "drop" in name and value]
    assert sum(lost) >= 7
    assert not any(name in ("b", "c") for name, _ in found)


def test_wrong_arguments_are_errors_as_of_any_function(counting):
    for wrong in (
        lambda: counting.count(),
        lambda: counting.count("a", 1, 2),
        lambda: counting.count("a", 1, by=2),
        lambda: counting.gauge("a"),
        lambda: counting.timing("a", label=1),
        lambda: ioprofiler.count(),
    ):
        with pytest.raises(TypeError):
            wrong()


def test_the_functions_mean_the_profiler_that_was_made_last(counting):
    with ioprofiler.record() as recording:
        ioprofiler.count("a", 2)  # not of the profiler that records tests
        ioprofiler.gauge("b", 1)
        ioprofiler.timing("c", 1)
    assert recording.profile.spans == []
    ioprofiler.event("cache emptied", who="erika", why="it was full of nonsense")
    ioprofiler.event(5, who="\ud800", why=["no text"])
    ioprofiler.deploy("8c1f", what="new search")
    assert counting.flush(30)
    found = own(counting)
    assert (found["a", ()], found["b", ()], found["c", ()]) == (2, 1, (1, 1_000_000_000))
    assert found["build.info", (("version", "8c1f"),)] == 1
    other = ioprofiler.Profiler(instrument=False, metrics=True)
    ioprofiler.count("a")
    assert own(other)["a", ()] == 1
    assert own(counting)["a", ()] == 2


def test_without_a_profiler_nothing_happens():
    program = (
        "import ioprofiler\n"
        "ioprofiler.count('a'); ioprofiler.gauge('a', 1); ioprofiler.timing('a', 1, x=1)\n"
        "ioprofiler.event('x'); ioprofiler.deploy('1')\n"
        "profiler = ioprofiler.Profiler(instrument=False)\n"
        "ioprofiler.count('a')\n"
        "assert profiler.series() == []\n"
        "assert profiler.prometheus()[0] == 503, profiler.prometheus()\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


# ---- the configuration


def test_what_is_wrong_is_said_with_its_place_and_what_is_allowed(tmp_path):
    def said(**options):
        with pytest.raises(ioprofiler.OptionError) as raised:
            ioprofiler.Profiler(instrument=False, **options)
        return str(raised.value)

    file = tmp_path / "ioprofiler.toml"
    file.write_text('metrics = true\n[keep]\nduring = "5 minutes"\n[graphite]\nadress = "x"\n')
    message = said(config_file=file)
    assert f"{file}:3:10: keep.during: " in message
    assert f"{file}:5:1: graphite.adress: unknown; did you mean `address`?" in message
    assert "No such file" in said(config_file=tmp_path / "none.toml")
    assert said(config={"keep": {"slowset": 3}}).startswith("config: keep.slowset: unknown; did you mean `slowest`?")
    assert said(config={"keep": object()}).startswith("config: <object")
    assert said(config={"stuck_after": float("nan")}).startswith("config: ")
    assert said(config="[keep]").startswith("config: '[keep]' is not a dict")
    assert said(metrics=1) == "metrics: 1 is not True or False"
    assert "otlp" in said(config={"otlp": {"adress": "x"}})
    assert "webhook" in said(config={"webhook": [{"address": 3}]})


def test_a_dict_says_what_a_file_says_and_options_go_before_it(tmp_path):
    folder = tmp_path / "state"
    file = tmp_path / "ioprofiler.toml"
    file.write_text('worker = "of the file"\nmetrics = true\n')
    config = {"state_dir": folder, "stuck_after": timedelta(seconds=20), "keep": {"slowest": 1, "errors": 0}}
    profiler = ioprofiler.Profiler(instrument=False, config_file=file, config=config)
    for _ in range(3):
        with profiler.job("nightly"):
            pass
    profiler.flush()
    assert len(profiler.kept()) == 1
    assert folder.is_dir()
    elsewhere = ioprofiler.Profiler(instrument=False, config=config, state_dir=tmp_path / "elsewhere")
    elsewhere.count("a")
    assert own(elsewhere)["a", ()] == 1
    assert (tmp_path / "elsewhere").is_dir()
    worker = ioprofiler.Profiler(instrument=False, config_file=file, metrics=True)
    worker.count("a")
    assert b'worker="of the file"' in worker.prometheus()[2]
    assert ioprofiler.Profiler(instrument=False, config_file=file, metrics=False).prometheus()[0] == 503


# ---- kept requests


def test_kept_requests_are_whole_profiles_without_literals():
    profiler = ioprofiler.Profiler(instrument=False, config={"keep": {"slowest": 2, "errors": 1}})
    begun = time.time()
    for number in range(5):
        request = profiler.job("nightly")
        with request.enter(), ioprofiler.span("dbshard01", f"SELECT * FROM t WHERE id = {number}"):
            pass
        if number == 3:
            request.set_error("ValueError: no")
        request.finish(500 if number == 3 else 200)
    profiler.flush()
    kept = profiler.kept()
    assert sorted(one.reason for one in kept) == ["error", "slow", "slow"]
    for one in kept:
        assert [call.category for call in one.profile.spans] == ["dbshard01"]
        assert "SELECT * FROM t WHERE id = ?" in one.profile.text()
        assert begun - 1 < one.profile.started_at < time.time() + 1
        assert one.profile.id in repr(one)
    (failed,) = [one.profile for one in kept if one.reason == "error"]
    assert failed.status == 500
    with profiler.job("now") as request, ioprofiler.span("dbshard01", "SELECT 1"):
        (live,) = profiler.in_flight()
        assert (live.id, [call.detail for call in live.spans]) == (request.id, ["SELECT 1"])
    assert profiler.in_flight() == []


# ---- sinks


class Listener:
    """Takes lines, as carbon does."""

    def __init__(self):
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self.lines: list[str] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._read, args=(connection,), daemon=True).start()

    def _read(self, connection):
        with connection, connection.makefile() as lines:
            self.lines += [line.rstrip("\n") for line in lines]

    def values(self, word):
        """What came under names that have this word."""
        return [float(line.split()[1]) for line in self.lines if word in line]

    def close(self):
        self._socket.close()


@pytest.fixture
def listener():
    listener = Listener()
    yield listener
    listener.close()


def graphite(listener, **more):
    return {"graphite": {"address": listener.address, "prefix": "shop", "interval": "1h", **more}, "worker": "w"}


def test_flush_and_shutdown_send_what_is_unsent(listener):
    profiler = ioprofiler.Profiler(instrument=False, config=graphite(listener))
    profiler.count("registrations", 3)
    assert profiler.flush(30)
    assert listener.values("registrations") == [3]
    (sink,) = profiler.stats()["sinks"]
    assert (sink["name"], sink["dropped"], sink["failures"], sink["why"]) == ("graphite", 0, 0, "")
    assert sink["sent"] == sink["produced"] > 0
    profiler.count("registrations", 4)
    assert profiler.shutdown(30)
    # Of the same interval: the later value takes the place of the earlier one.
    assert listener.values("registrations") == [3, 7]


def test_a_program_that_ends_sends_what_is_unsent(listener):
    program = (
        "import json, sys, ioprofiler\n"
        "profiler = ioprofiler.Profiler(instrument=False, config=json.loads(sys.argv[1]))\n"
        "ioprofiler.count('registrations', 5)\n"
        "with profiler.job('nightly'): pass\n"
    )
    subprocess.run([sys.executable, "-c", program, json.dumps(graphite(listener))], check=True, timeout=60)
    assert listener.values("registrations") == [5]


def test_a_sink_that_takes_nothing_is_given_up_at_the_deadline():
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf:
        fillers = []
        for _ in range(8):  # its queue of connections is full: who connects now waits
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(deaf.getsockname())
            fillers.append(filler)
        address = f"127.0.0.1:{deaf.getsockname()[1]}"
        profiler = ioprofiler.Profiler(instrument=False, config={"graphite": {"address": address}})
        profiler.count("a")
        assert profiler.flush(0.2) is False
        assert profiler.shutdown(0.2) is False
        for filler in fillers:
            filler.close()


def test_a_child_counts_for_itself(counting):
    counting.count("a", 5)
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        counting.count("a")
        os._exit(0 if own(counting)["a", ()] == 1 else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert own(counting)["a", ()] == 5


# ---- a scrape


def parsed(content_type, body):
    """Name of a sample and its labels -> value, by the parser of prometheus_client; no sample twice."""
    parse = parse_openmetrics if content_type.startswith("application/openmetrics-text") else parse_text
    found = {}
    for family in parse(body.decode()):
        for sample in family.samples:
            key = sample.name, frozenset(sample.labels.items())
            assert key not in found, key
            found[key] = sample.value
    return found


def value(scrape, name, **labels):
    """The sum of what has these labels."""
    wanted = labels.items()
    return sum(one for (found, its), one in scrape.items() if found == name and its >= wanted)


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text; version=1.0.0"])
def test_a_scrape_is_read_by_prometheus_own_parser(counting, accept):
    for number in range(7):
        request = counting.job("nightly")
        with request.enter(), ioprofiler.span("dbshard01", "SELECT 1"):
            pass
        request.finish(200)
        counting.count("registrations", number, plan='a "quoted"\nlabel \\ ü')
        counting.timing("mail.sent", 0.5)
    counting.gauge("queue.length", 2.5)
    status, content_type, body = counting.prometheus(accept)
    assert status == 200
    assert content_type.startswith("application/openmetrics-text" if accept else "text/plain; version=0.0.4")
    scrape = parsed(content_type, body)
    assert value(scrape, "registrations_total", plan='a "quoted"\nlabel \\ ü') == 21
    assert value(scrape, "queue_length") == 2.5
    assert value(scrape, "mail_sent_seconds_count") == 7
    assert value(scrape, "mail_sent_seconds_sum") == 3.5
    assert value(scrape, "ioprofiler_request_duration_seconds_count", route="nightly") == 7
    assert value(scrape, "ioprofiler_call_duration_seconds_count", category="dbshard01") == 7


PREFORKED = [
    ["-w", "4", "--preload"],
    ["-w", "4", "--preload", "-k", "gevent"],
]


@pytest.mark.parametrize("workers", PREFORKED, ids=["sync", "gevent"])
def test_four_preloaded_workers_are_scraped_as_one(tmp_path, workers):
    """A scrape of any of them shows all, and is what a client that counts for itself has counted."""
    config = tmp_path / "ioprofiler.toml"
    config.write_text(f'state_dir = "{tmp_path}/state"\n[prometheus]\n')
    port = free_port()
    command = [str(BIN / "gunicorn"), "-b", f"127.0.0.1:{port}", "--log-level", "error", *workers]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([HERE, *sys.path[1:]]), "IOPROFILER_TEST_CONFIG": str(config)}
    with program(*command, "metrics_app:application", port=port, cwd=HERE, env=env):
        client = CountingClient(port)
        client.load_all_four()
        client.wait_until_equal()
        killed = next(iter(client.processes))
        os.kill(killed, signal.SIGKILL)
        client.processes.clear()
        client.wait_until_equal()
        client.load_all_four()
        assert killed not in client.processes
        client.wait_until_equal()


class CountingClient:
    """Asks for pages from many threads, and counts by itself what they come to."""

    def __init__(self, port):
        self._port = port
        self._numbers = iter(range(1 << 30))
        self._lock = threading.Lock()
        self.expected = Counter({("registrations_total", "plan", "of the master"): 1})
        self.processes = set()
        self._last = Counter()

    def load(self, count):
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(self._ask, [next(self._numbers) for _ in range(count)]))

    def load_all_four(self):
        """Until each of the workers has served a page."""
        deadline = time.monotonic() + 60
        while len(self.processes) < 4:
            assert time.monotonic() < deadline, self.processes
            self.load(200)

    def _ask(self, number):
        page = "fails" if number % 10 == 0 else "listing"
        status, _, body = get(self._port, f"/{page}/{number}")
        assert status == (500 if page == "fails" else 200)
        duration = "ioprofiler_request_duration_seconds_count"
        with self._lock:
            self.processes.add(int(body))
            self.expected["registrations_total", "plan", "free" if number % 3 else "pro"] += 1
            self.expected["items_total", "", ""] += number
            self.expected["mail_sent_seconds_count", "", ""] += 1
            self.expected[duration, "route", f"/{page}/{{number}}"] += 1
            self.expected[duration, "status", str(status)] += 1
            self.expected["ioprofiler_call_duration_seconds_count", "category", "dbshard01"] += number % 4

    def scrape(self):
        status, headers, body = get(self._port, "/metrics", "Accept: application/openmetrics-text; version=1.0.0")
        assert status == 200, body
        scrape = parsed(dict(headers)["content-type"], body)
        found = Counter({key: value(scrape, key[0], **({key[1]: key[2]} if key[1] else {})) for key in self.expected})
        for key, count in self._last.items():
            assert found[key] >= count, f"{key} went back"
        self._last = found
        return found

    def wait_until_equal(self):
        """Within a second or two, since each process tells the others once a second; and then it stays."""
        deadline = time.monotonic() + 60
        while (found := self.scrape()) != self.expected:
            assert all(found[key] <= self.expected[key] for key in found), (found, self.expected)
            assert time.monotonic() < deadline, (found, self.expected)
            time.sleep(0.1)
        # Whichever of them answers.
        for _ in range(12):
            assert self.scrape() == self.expected
