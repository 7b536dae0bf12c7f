"""Hooked libraries: what is not a plain statement, and hooks that come late, go, or are chosen."""

import asyncio
import contextlib
import io
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

import ioprofiler
import servers
from ioprofiler import hooks
from servers import DATABASE, PASSWORD, USER, hooked

HERE = str(Path(__file__).parent)


def run(program, *arguments, **environment):
    env = {**os.environ, "PYTHONPATH": HERE, **environment}
    command = [sys.executable, "-c", program, *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, env=env)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def listed(request, *categories):
    return [
        (call.category, call.detail)
        for call in request.snapshot().spans
        if not categories or call.category in categories
    ]


@pytest.fixture(scope="module")
def dsn():
    port = servers.postgresql()
    return {"host": "127.0.0.1", "port": port, "user": USER, "password": PASSWORD, "dbname": DATABASE}


# ---- hooks that are chosen, late, and taken back


def test_by_name_later_and_taken_back():
    profiler = ioprofiler.Profiler(instrument=False)
    profiler.instrument("sqlite3")
    try:
        connection = sqlite3.connect(":memory:")
        with profiler.job("j") as request:
            connection.execute("SELECT 1")
            text = request.snapshot().text()
        assert "[sqlite]" in text
        assert "hooked: sqlite3" in text
    finally:
        profiler.uninstrument(["sqlite3"])
    with profiler.job("j") as request:
        # A connection that was made meanwhile is as it would have been.
        connection.execute("SELECT 2")
        with connection:
            connection.cursor().execute("SELECT 3")
        sqlite3.connect(":memory:").execute("SELECT 4")
        text = request.snapshot().text()
        assert listed(request) == []
    assert "seen, not hooked: sqlite3 (hooked no more)" in text
    for wrong in (profiler.instrument, profiler.uninstrument):
        with pytest.raises(ioprofiler.OptionError, match=r"'sqlite4' is not one of .*sqlite3"):
            wrong("sqlite4")


def test_what_is_imported_and_was_not_asked_for_is_said():
    program = """
import ioprofiler, jinja2
profiler = ioprofiler.Profiler(instrument=["sqlite3"])
import redis
with profiler.job("j") as request:
    print(request.snapshot().text())
profiler.instrument("redis")
with profiler.job("j") as request:
    print(request.snapshot().text())
"""
    before, _, after = run(program).partition("# job")[2].partition("# job")
    assert "hooked: " not in before.split("seen,")[0] or "redis" not in before.split("seen,")[0]
    for name in ("jinja2", "redis"):
        assert f"seen, not hooked: {name} (add it to the option instrument)" in before
    assert "hooked: redis" in after.replace("sqlite3, ", "")
    assert "seen, not hooked: redis" not in after


def test_names_that_were_imported_before_are_hooked_too():
    program = """
from sqlite3 import connect
from psycopg import connect as connect_to_postgresql
from psycopg2 import connect as connect_by_psycopg2
import jinja2
from asyncpg import connect as connect_by_asyncpg
before = connect, connect_to_postgresql, connect_by_psycopg2, connect_by_asyncpg
template = jinja2.Environment(loader=jinja2.DictLoader({"a.html": "A"})).get_template("a.html")
import ioprofiler
profiler = ioprofiler.Profiler()
for function in before:
    assert function not in (connect, connect_to_postgresql, connect_by_psycopg2, connect_by_asyncpg), function
with profiler.job("j") as request:
    connect(":memory:").execute("SELECT 1")
    assert template.render() == "A"
    print([call.detail for call in request.snapshot().spans])
profiler.uninstrument()
after = connect, connect_to_postgresql, connect_by_psycopg2, connect_by_asyncpg
assert after == before, (after, before)
with profiler.job("j") as request:
    assert template.render() == "A"
    assert request.snapshot().spans == []
"""
    assert run(program) == "['sqlite', 'SELECT 1', 'a.html']\n"


def test_servers_have_the_names_that_the_operator_gives_them():
    import requests
    from pymemcache.client.base import Client

    from serving import wsgi_server

    def hello(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"hello"]

    memcached, redis_port = servers.memcached(), servers.redis()
    with wsgi_server(hello) as port:
        categories = {
            f"127.0.0.1:{memcached}": "sessions",
            f"127.0.0.1:{port}": "payments",
            f"127.0.0.1:{redis_port}/2": "carts",
        }
        import redis

        try:
            with hooked("pymemcache", "urllib3", "redis", categories=categories) as profiler:
                with profiler.job("j") as request:
                    Client(("127.0.0.1", memcached)).get("nobody")
                    requests.get(f"http://127.0.0.1:{port}/a", timeout=30)
                    redis.Redis("127.0.0.1", redis_port, db=2).get("nobody")
                    redis.Redis("127.0.0.1", redis_port).get("nobody")
                    found = [category for category, _ in listed(request) if category != "db_connect"]
        finally:
            hooks._names.configured.clear()
    assert found == ["sessions_get", "payments", "carts", "redis"]


# ---- databases: transactions, copies, rows


def test_sqlite3_as_a_context_manager():
    with hooked("sqlite3") as profiler, profiler.job("j") as request:
        with sqlite3.connect(":memory:") as connection:
            connection.execute("CREATE TABLE t (a)")
        with contextlib.suppress(KeyError), connection:
            connection.execute("INSERT INTO t VALUES (1)")
            raise KeyError
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (0,)
        found = [detail for _, detail in listed(request, "sqlite")]
    assert found == ["CREATE TABLE t (a)", "COMMIT", "INSERT INTO t VALUES (1)", "ROLLBACK", "SELECT count(*) FROM t"]


def test_psycopgs_transactions_and_copies(dsn):
    import psycopg

    with hooked("psycopg", "sqlite3") as profiler, profiler.job("j") as request:
        with psycopg.connect(**dsn, autocommit=True) as connection:
            connection.execute("CREATE TEMPORARY TABLE t (a integer)")
            with connection.transaction():
                connection.execute("INSERT INTO t VALUES (1)")
                with contextlib.suppress(KeyError), connection.transaction():
                    connection.execute("INSERT INTO t VALUES (2)")
                    raise KeyError
            with connection.cursor() as cursor:
                with cursor.copy("COPY t FROM STDIN") as copy:
                    sqlite3.connect(":memory:").execute("SELECT 'a call inside'")
                    copy.write_row((3,))
                    copy.write_row((4,))
                assert cursor.execute("SELECT count(*) FROM t").fetchone() == (3,)
                with pytest.raises(psycopg.Error), cursor.copy("COPY nowhere TO STDOUT") as copy:
                    copy.read()
        profile = request.snapshot()
    found = [(call.detail, call.outcome) for call in profile.spans if call.category == DATABASE]
    assert sorted(found) == sorted(
        [
            ("CREATE TEMPORARY TABLE t (a integer)", "ok"),
            ("BEGIN", "ok"),
            ("INSERT INTO t VALUES (1)", "ok"),
            ("SAVEPOINT", "ok"),
            ("INSERT INTO t VALUES (2)", "ok"),
            ("ROLLBACK TO SAVEPOINT", "ok"),
            ("COMMIT", "ok"),
            ("COPY t FROM STDIN", "ok"),
            ("SELECT count(*) FROM t", "ok"),
            ("COPY nowhere TO STDOUT", "error"),
            ("COMMIT", "ok"),
        ]
    )
    assert [call.detail for call in profile.spans if call.category == "sqlite"] == ["SELECT 'a call inside'"]


def test_psycopgs_transactions_asynchronous(dsn):
    import psycopg

    async def main():
        async with await psycopg.AsyncConnection.connect(**dsn, autocommit=True) as connection:
            async with connection.transaction():
                await connection.execute("CREATE TEMPORARY TABLE t (a integer)")
            async with connection.cursor() as cursor, cursor.copy("COPY t FROM STDIN") as copy:
                await copy.write_row((3,))

    with hooked("psycopg") as profiler, profiler.job("j") as request:
        asyncio.run(main())
        found = [detail for _, detail in listed(request, DATABASE)]
    assert found == ["BEGIN", "CREATE TEMPORARY TABLE t (a integer)", "COMMIT", "COPY t FROM STDIN", "COMMIT"]


def test_psycopg2s_copies(dsn):
    import psycopg2

    with hooked("psycopg2") as profiler, profiler.job("j") as request:
        connection = psycopg2.connect(**dsn)
        cursor = connection.cursor()
        cursor.execute("CREATE TEMPORARY TABLE t (a integer)")
        cursor.copy_from(io.StringIO("1\n2\n"), "t")
        cursor.copy_to(io.StringIO(), "t")
        cursor.copy_expert("COPY t TO STDOUT", io.StringIO())
        with pytest.raises(psycopg2.Error):
            cursor.copy_to(io.StringIO(), "nowhere")
        connection.close()
        found = [(call.detail, call.rows, call.outcome) for call in request.snapshot().spans[2:]]
    assert found == [
        ("COPY t FROM STDIN", 2, "ok"),
        ("COPY t TO STDOUT", 2, "ok"),
        ("COPY t TO STDOUT", 2, "ok"),
        ("COPY nowhere TO STDOUT", None, "error"),
    ]


def test_asyncpgs_rows_and_copies(dsn):
    import asyncpg

    options = {**dsn, "database": dsn["dbname"]}
    del options["dbname"]

    async def main():
        connection = await asyncpg.connect(**options)
        async with connection.transaction():
            await connection.execute("CREATE TEMPORARY TABLE t (a integer)")
        await connection.copy_records_to_table("t", records=[(1,), (2,), (3,)])
        await connection.execute("UPDATE t SET a = a + 1")
        assert len(await connection.fetch("SELECT a FROM t WHERE a > $1", 2)) == 2
        await connection.copy_from_query("SELECT a FROM t", output=io.BytesIO())
        await connection.copy_to_table("t", source=io.BytesIO(b"7\n"))
        await connection.close()

    with hooked("asyncpg") as profiler, profiler.job("j") as request:
        asyncio.run(main())
        found = [(call.detail, call.rows) for call in request.snapshot().spans if call.category == DATABASE]
    assert [(detail.replace('"', "").strip(), rows) for detail, rows in found] == [
        ("BEGIN;", None),
        ("CREATE TEMPORARY TABLE t (a integer)", None),
        ("COMMIT;", None),
        ("COPY t FROM STDIN", 3),
        ("UPDATE t SET a = a + 1", 3),
        ("SELECT a FROM t WHERE a > $1", 2),
        ("COPY (SELECT a FROM t) TO STDOUT", 3),
        ("COPY t FROM STDIN", 1),
    ]


def test_sqlalchemy_connects_and_waits_are_calls_of_their_own(tmp_path):
    import sqlalchemy

    for names in (("sqlalchemy",), ("sqlalchemy", "sqlite3")):
        engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path}/dbshard01.sqlite", poolclass=sqlalchemy.QueuePool)
        with hooked(*names) as profiler:
            for wanted in (1, 0):
                with profiler.job("j") as request:
                    with engine.connect() as connection:
                        connection.execute(sqlalchemy.text("SELECT 5"))
                    profile = request.snapshot()
                assert profile.calls.get("db_connect", 0) == wanted, (names, profile.text())
                assert profile.calls["pool_wait"] == 1
                if wanted:
                    (connect,) = [call for call in profile.spans if call.category == "db_connect"]
                    assert connect.detail == "dbshard01"
                    assert profile.spans[connect.parent].category == "pool_wait"
        engine.dispose()


# ---- caches


def test_redis_connects_and_waits_are_calls_of_their_own():
    import redis
    import redis.asyncio

    port = servers.redis()

    async def main():
        pool = redis.asyncio.BlockingConnectionPool(port=port, max_connections=1)
        client = redis.asyncio.Redis(connection_pool=pool)
        await asyncio.gather(client.set("a", 1), client.set("a", 2))
        await client.aclose()
        await pool.disconnect()

    with hooked("redis") as profiler:
        with profiler.job("j") as request:
            client = redis.Redis(connection_pool=redis.BlockingConnectionPool(port=port, max_connections=1))
            client.set("a", 1)
            assert client.get("a") == b"1"
            found = listed(request)
        assert found == [
            ("pool_wait", "redis"),
            ("db_connect", "redis"),
            ("redis", "SET a"),
            ("pool_wait", "redis"),
            ("redis", "GET a"),
        ]
        with profiler.job("j") as request:
            asyncio.run(main())
            profile = request.snapshot()
        assert profile.calls == {"pool_wait": 2, "db_connect": 1, "redis": 2}
        with profiler.job("j") as request:
            with pytest.raises(redis.ConnectionError):
                redis.Redis(port=1).get("a")
            found = [(call.category, call.outcome) for call in request.snapshot().spans]
        assert found == [("db_connect", "error")]


def test_a_redis_cluster(tmp_path):
    import redis

    port = servers.redis_cluster()
    with hooked("redis") as profiler:
        client = redis.RedisCluster("127.0.0.1", port)
        with profiler.job("j") as request:
            client.set("a", 1)
            assert client.get("a") == b"1"
            assert client.get("nobody") is None
            with client.pipeline() as pipeline:
                pipeline.set("b", 2)
                pipeline.get("b")
                assert pipeline.execute() == [True, b"2"]
            found = [
                (call.detail, call.hits, call.misses) for call in request.snapshot().spans if call.category == "redis"
            ]

        async def main():
            client = redis.asyncio.RedisCluster("127.0.0.1", port)
            assert await client.get("a") == b"1"
            await client.aclose()

        with profiler.job("j") as request:
            asyncio.run(main())
            assert listed(request) == [("redis", "GET a")]
    assert found[:3] == [("SET a", None, None), ("GET a", 1, None), ("GET nobody", None, 1)]
    assert [detail for detail, _, _ in found[3:]] == ["PIPELINE SET b; GET b"]


def test_a_memcache_is_connected_again_by_a_call_of_its_own():
    from pymemcache.client.base import Client

    with hooked("pymemcache") as profiler:
        for close in ("close", "disconnect_all"):
            client = Client(("127.0.0.1", servers.memcached()))
            client.get("a")  # outside any request
            with profiler.job("j") as request:
                client.get("a")
                getattr(client, close)()
                client.get("a")
                client.get("a")
                client.sock.close()
                with pytest.raises(OSError, match="Bad file descriptor"):
                    client.get("a")
                client.gets("a")
                found = [(call.category, call.outcome) for call in request.snapshot().spans]
            again, read = ("db_connect", "ok"), ("memcache_get", "ok")
            assert found == [read, again, read, read, ("memcache_get", "error"), again, read]
        profiler.uninstrument()
        client.close()
        assert client.get("nobody") is None


def test_a_memcache_that_is_not_there_fails_as_it_would():
    from pymemcache.client.base import Client

    with hooked("pymemcache") as profiler:
        for ignore in (True, False):
            client = Client(("127.0.0.1", 1), ignore_exc=ignore)
            with profiler.job("j") as request:
                if ignore:
                    assert client.get("a", default=5) == 5
                else:
                    with pytest.raises(ConnectionRefusedError):
                        client.get("a")
                found = [(call.category, call.outcome) for call in request.snapshot().spans]
            assert found == [("db_connect", "error"), ("memcache_get", "ok" if ignore else "error")]
        # A command that fails before it would connect leaves nothing behind for the next one.
        with profiler.job("j"), pytest.raises(Exception, match="Key"):
            client.get("a key with spaces")
        client.server = ("127.0.0.1", servers.memcached())
        assert client.get("nobody") is None


# ---- task queues, on a real broker


CELERY = """
import os, sys, sqlite3
import celery, ioprofiler
app = celery.Celery("shop", broker=f"redis://127.0.0.1:{os.environ['REDIS']}/5")
app.conf.update(broker_connection_retry_on_startup=True, worker_hijack_root_logger=False)
profiler = ioprofiler.Profiler(access_log=os.environ["LOG"], access_log_format="json")

@app.task(name="shop.mail")
def mail(number):
    sqlite3.connect(":memory:").execute("SELECT 1")
    ioprofiler.note(mail=number)
    if number == 3:
        raise ValueError("no address")
"""


@pytest.mark.parametrize("pool", ["prefork", "threads", "gevent"])
def test_a_worker_of_celery(tmp_path, pool):
    (tmp_path / "tasks.py").write_text(CELERY)
    log = tmp_path / "access.log"
    env = {**os.environ, "PYTHONPATH": str(tmp_path), "REDIS": str(servers.redis()), "LOG": str(log)}
    send = "import tasks\nfor number in range(6): tasks.mail.delay(number)"
    subprocess.run([sys.executable, "-c", send], env=env, check=True, timeout=60, cwd=tmp_path)
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "tasks",
        "worker",
        "--pool",
        pool,
        "-c",
        "2",
        "--loglevel",
        "ERROR",
    ]
    worker = subprocess.Popen(
        [*command, "--without-gossip", "--without-mingle"], env=env, cwd=tmp_path, stdout=-3, stderr=-3
    )
    try:
        lines = servers.wait_for_lines(log, 6)
    finally:
        worker.terminate()
        worker.wait(30)
    found = {line["notes"]["mail"]: line for line in lines}
    assert sorted(found) == [0, 1, 2, 3, 4, 5]
    assert {line["kind"] for line in lines} == {"job"}
    assert found[3]["error"]
    assert [bool(found[number].get("error")) for number in range(6)] == [False, False, False, True, False, False]


def test_a_task_that_is_run_in_place_is_a_part_of_its_request():
    import celery

    app = celery.Celery("shop", broker="memory://", task_always_eager=True)

    @app.task(name="shop.index")
    def index(fail):
        sqlite3.connect(":memory:").execute("SELECT 1")
        if fail:
            raise ValueError("no")

    with hooked("celery", "sqlite3") as profiler, profiler.job("page") as request:
        index.delay(False)
        index.delay(True)
        sqlite3.connect(":memory:").execute("SELECT 2")
        profile = request.snapshot()
    found = [(call.category, call.detail, call.parent, call.outcome) for call in profile.spans]
    assert [one for one in found if one[0] != "db_connect"] == [
        ("celery", "shop.index", None, "ok"),
        ("sqlite", "SELECT 1", 0, "ok"),
        ("celery", "shop.index", None, "error"),
        ("sqlite", "SELECT 1", 3, "ok"),
        ("sqlite", "SELECT 2", None, "ok"),
    ]


def test_a_worker_of_rq_that_forks_for_each_job(tmp_path):
    """Its children end without what is to run at exit; their jobs are in the log all the same.

    These end as soon as their job is over, so that no thread has the time to hand anything over.
    """
    program = """
import os, sys, redis, rq, ioprofiler
profiler = ioprofiler.Profiler(access_log=sys.argv[1], access_log_format="json")
perform = rq.job.Job.perform
def perform_and_end(job):
    try:
        perform(job)
    finally:
        os._exit(0)
rq.job.Job.perform = perform_and_end
connection = redis.Redis(port=int(os.environ["REDIS"]), db=6)
queue = rq.Queue(connection=connection)
for number in range(4):
    queue.enqueue("test_hooks_more.job_of_rq", number)
rq.Worker([queue], connection=connection).work(burst=True, logging_level="CRITICAL")
"""
    log = tmp_path / "access.log"
    run(program, str(log), REDIS=str(servers.redis()))
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert sorted(line["notes"]["number"] for line in lines) == [0, 1, 2, 3]
    assert len({line["process.pid"] for line in lines}) == 4
    assert [bool(line.get("error")) for line in sorted(lines, key=lambda line: line["notes"]["number"])] == [
        False,
        False,
        True,
        False,
    ]


def job_of_rq(number):
    """Run by a worker of RQ."""
    ioprofiler.note(number=number)
    if number == 2:
        raise ValueError("no")


def test_processes_of_multiprocessing_hand_over_what_they_did(tmp_path):
    program = """
import multiprocessing, sys, ioprofiler
def work(number):
    with profiler.job("in a child"):
        ioprofiler.note(number=number)
    return number
profiler = ioprofiler.Profiler(access_log=sys.argv[1], access_log_format="json")
if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    process = context.Process(target=work, args=(1,))
    process.start()
    process.join()
    from concurrent.futures import ProcessPoolExecutor
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        assert pool.submit(work, 2).result() == 2
    work(3)
"""
    log = tmp_path / "access.log"
    run(program, str(log))
    assert sorted(json.loads(line)["notes"]["number"] for line in log.read_text().splitlines()) == [1, 2, 3]


# ---- whatever is imported first


@pytest.mark.parametrize(
    ("name", "imports"),
    [
        ("sqlite3", "ioprofiler.otel, sqlite3"),  # which needs no driver to be loaded
        ("django.db", "django.db.backends.base.base"),  # whose own imports come before its classes
    ],
)
def test_a_library_is_hooked_whoever_imports_it_first(name, imports):
    if imports.startswith("ioprofiler.otel"):
        pytest.importorskip("opentelemetry.sdk", reason="opentelemetry-sdk: not installed")
    program = f"""
import ioprofiler
profiler = ioprofiler.Profiler()
import {imports}
with profiler.job("j", asked=True) as request:
    print(ioprofiler.hooks.installed(), ioprofiler.hooks.errors(), request.snapshot().text())
"""
    said = run(program)
    assert f"'{name}'" in said.partition("]")[0], said
    assert "could not be hooked" not in said


def test_keys_by_name_and_answers_that_are_no_text():
    from pymemcache.client.base import Client
    from pymemcache.exceptions import MemcacheIllegalInputError

    with hooked("pymemcache") as profiler, profiler.job("j") as request:
        client = Client(("127.0.0.1", servers.memcached()))
        client.set(b"bytes", "1")
        with pytest.raises(TypeError):
            client.get()
        assert client.get(key="bytes") == client.get(b"bytes") == client.gets("bytes")[0] == b"1"
        assert client.get("none", default=b"") == b""
        assert client.gets("none", 5) == (5, None)
        assert client.get("n" * 250) is None
        with pytest.raises(MemcacheIllegalInputError):
            client.get("a b")
        with pytest.raises(MemcacheIllegalInputError):
            client.get("n" * 300)
        spans = request.snapshot().spans[2:]
    assert [(call.detail, call.hits, call.misses, call.outcome) for call in spans] == [
        *[("Cache HIT, keys: bytes", 1, 0, "ok")] * 3,
        *[("Cache MISS, keys: none", 0, 1, "ok")] * 2,
        (f"Cache MISS, keys: {'n' * 250}", 0, 1, "ok"),
        ("a b", None, None, "error"),
        ("n" * 300, None, None, "error"),
    ]
