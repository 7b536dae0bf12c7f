"""Hooked libraries, with real servers: each call once, in its category, with its statement and rows."""

import asyncio
import gc
import os
import sqlite3
import subprocess
import sys

import pytest

import ioprofiler
import servers
from ioprofiler import hooks
from servers import DATABASE, PASSWORD, USER, hooked

#: Calls of their own around a library's statements and commands.
AROUND = ("db_connect", "pool_wait")


def statements_of(profile):
    return [call for call in profile.spans if call.category not in AROUND]


def calls(request):
    return [(call.category, call.detail, call.rows, call.outcome) for call in statements_of(request.snapshot())]


def details(request, category=None):
    profile = request.snapshot()
    found = statements_of(profile) if category is None else profile.spans
    return [call.detail for call in found if category in (None, call.category)]


# ---- the machinery


def test_sqlite3():
    with hooked("sqlite3") as profiler:
        connection = sqlite3.connect(":memory:")
        assert isinstance(connection, sqlite3.Connection)
        with profiler.job("j") as request:
            cursor = connection.cursor()
            cursor.execute("CREATE TABLE t (a)")
            cursor.executemany("INSERT INTO t VALUES (?)", [(1,), (2,)])
            connection.commit()
            assert connection.execute("SELECT a FROM t WHERE a > ?", (0,)).fetchall() == [(1,), (2,)]
            with pytest.raises(sqlite3.OperationalError):
                cursor.execute("SELECT nothing FROM nowhere")
            connection.rollback()
            found = calls(request)
        assert found == [
            ("sqlite", "CREATE TABLE t (a)", None, "ok"),
            ("sqlite", "INSERT INTO t VALUES (?)", 2, "ok"),
            ("sqlite", "COMMIT", None, "ok"),
            ("sqlite", "SELECT a FROM t WHERE a > ?", None, "ok"),
            ("sqlite", "SELECT nothing FROM nowhere", None, "error"),
            ("sqlite", "ROLLBACK", None, "ok"),
        ]


def test_hooks_are_undone_and_done_again():
    original = sqlite3.connect
    with hooked("sqlite3") as profiler:
        assert sqlite3.connect is not original
        assert "sqlite3" in hooks.installed()
    assert sqlite3.connect is original
    assert "sqlite3" not in hooks.installed()
    with profiler.job("j") as request:
        sqlite3.connect(":memory:").execute("SELECT 1")
        assert calls(request) == []
    with hooked("sqlite3"), profiler.job("j") as request:
        sqlite3.connect(":memory:").execute("SELECT 1")
        assert details(request) == ["SELECT 1"]


def test_own_factories_stay_what_they_are():
    class Connection(sqlite3.Connection):
        def hello(self):
            return "hello"

    class Cursor(sqlite3.Cursor):
        pass

    with hooked("sqlite3") as profiler, profiler.job("j") as request:
        connection = sqlite3.connect(":memory:", factory=Connection)
        assert connection.hello() == "hello"
        assert isinstance(connection.cursor(Cursor), Cursor)
        connection.cursor(Cursor).execute("SELECT 1")
        made = sqlite3.connect(":memory:", 5.0, 0, None, True, Connection)
        assert isinstance(made, Connection)
        made.execute("SELECT 2")
        assert details(request) == ["SELECT 1", "SELECT 2"]


def test_names_are_the_databases_own_or_configured(tmp_path):
    path = str(tmp_path / "dbshard01.sqlite")
    with hooked("sqlite3", categories={str(tmp_path / "other.sqlite"): "archive"}) as profiler:
        with profiler.job("j") as request:
            sqlite3.connect(path).execute("SELECT 1")
            sqlite3.connect(tmp_path / "other.sqlite").execute("SELECT 2")
            sqlite3.connect(f"file:{path}?mode=ro", uri=True).execute("SELECT 3")
            found = [(call.category, call.detail) for call in statements_of(request.snapshot())]
            assert details(request, "db_connect") == ["dbshard01", "archive", "dbshard01"]
    assert found == [("dbshard01", "SELECT 1"), ("archive", "SELECT 2"), ("dbshard01", "SELECT 3")]


@pytest.mark.parametrize(
    ("params", "shown"), [("types", "-- [int, str]"), ("values", "-- [5773453, 'a secret']"), ("none", "")]
)
def test_parameters_as_the_option_says_and_only_when_asked(params, shown):
    sql = "SELECT ?, ?"
    with hooked("sqlite3", params=params) as profiler:
        connection = sqlite3.connect(":memory:")
        for asked in (False, True):
            with profiler.job("j", asked=asked) as request:
                connection.execute(sql, (5773453, "a secret"))
                profile = request.snapshot()
            wanted = f"{sql} {shown}".rstrip() if asked else sql
            assert [call.detail for call in profile.spans] == [wanted]
            assert "a secret" not in profile.ticket()
            assert "5773453" not in profile.ticket()


def test_hooks_wait_for_what_is_imported_later():
    program = """
import sys, ioprofiler
profiler = ioprofiler.Profiler()
assert "sqlite3" not in sys.modules
import sqlite3
import sqlite3.dbapi2 as dbapi2
assert dbapi2.__spec__.loader.get_filename().endswith("dbapi2.py")
with profiler.job("j") as request:
    dbapi2.connect(":memory:").execute("SELECT 1")
    print(request.snapshot().text())
import tornado_that_is_not_there
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert "[sqlite]" in ran.stdout, ran.stderr
    assert "hooked: sqlite3" in ran.stdout
    assert "ModuleNotFoundError: No module named 'tornado_that_is_not_there'" in ran.stderr


def test_what_is_not_hooked_is_said(tmp_path):
    (tmp_path / "kafka.py").write_text("answer = 42\n")
    (tmp_path / "redis.py").write_text("nothing = 'that we know'\n")
    program = """
import ioprofiler
profiler = ioprofiler.Profiler()
import kafka, redis
assert kafka.answer == 42 and redis.nothing
with profiler.job("j") as request:
    print(request.snapshot().text())
assert profiler.stats()["hook_errors"] == 1
"""
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, env=env)
    assert ran.returncode == 0, ran.stderr
    assert "kafka" in ran.stdout
    assert "OpenTelemetry" in ran.stdout
    assert "redis" in ran.stdout
    assert "could not be hooked" in ran.stdout


def test_an_unknown_name_is_an_error_that_says_the_known_ones():
    with pytest.raises(ioprofiler.OptionError, match=r"'sqlite4' is not one of .*sqlite3"):
        ioprofiler.Profiler(instrument=["sqlite4"])


# ---- databases


@pytest.fixture(scope="module")
def dsn():
    port = servers.postgresql()
    return {"host": "127.0.0.1", "port": port, "user": USER, "password": PASSWORD, "dbname": DATABASE}


def statements(cursor, connection, paramstyle="%s"):
    cursor.execute("CREATE TEMPORARY TABLE t (a integer)")
    cursor.executemany(f"INSERT INTO t VALUES ({paramstyle})", [(1,), (2,), (3,)])
    connection.commit()
    cursor.execute(f"SELECT a FROM t WHERE a > {paramstyle}", (1,))
    assert sorted(cursor.fetchall()) == [(2,), (3,)]
    with pytest.raises(Exception, match="nowhere"):
        cursor.execute("SELECT nothing FROM nowhere")
    connection.rollback()


EXPECTED = [
    ("CREATE TEMPORARY TABLE t (a integer)", "ok"),
    ("INSERT INTO t VALUES (%s)", "ok"),
    ("COMMIT", "ok"),
    ("SELECT a FROM t WHERE a > %s", "ok"),
    ("SELECT nothing FROM nowhere", "error"),
    ("ROLLBACK", "ok"),
]


def of_database(request, category=DATABASE):
    return [(call.detail, call.outcome) for call in request.snapshot().spans if call.category == category]


def test_psycopg(dsn):
    import psycopg
    from psycopg import sql

    with hooked("psycopg") as profiler, profiler.job("j") as request:
        with psycopg.connect(**dsn) as connection:
            with connection.cursor() as cursor:
                statements(cursor, connection)
            assert of_database(request) == EXPECTED
            connection.execute(sql.SQL("SELECT {}").format(sql.Literal(5)))
            with connection.cursor("named") as cursor:
                cursor.execute("SELECT generate_series(1, 3)")
                assert len(cursor.fetchall()) == 3
        found = of_database(request)
        assert found[len(EXPECTED) :] == [
            ("SELECT 5", "ok"),
            ("SELECT generate_series(1, 3)", "ok"),
            ("COMMIT", "ok"),
        ]
        profile = request.snapshot()
    rows = {call.detail: call.rows for call in profile.spans}
    assert rows["SELECT a FROM t WHERE a > %s"] == 2
    assert rows["INSERT INTO t VALUES (%s)"] == 3
    (connect,) = [call for call in profile.spans if call.category == "db_connect"]
    assert (connect.detail, connect.target) == (DATABASE, f"127.0.0.1:{dsn['port']}")


def test_psycopg_asynchronous(dsn):
    import psycopg

    async def main():
        async with await psycopg.AsyncConnection.connect(**dsn) as connection:
            async with connection.cursor() as cursor:
                await cursor.execute("SELECT 5 WHERE 1 = %s", (1,))
                assert await cursor.fetchall() == [(5,)]
            await connection.rollback()

    with hooked("psycopg") as profiler, profiler.job("j") as request:
        asyncio.run(main())
        found = of_database(request)
        assert found == [("SELECT 5 WHERE 1 = %s", "ok"), ("ROLLBACK", "ok"), ("COMMIT", "ok")]
        assert details(request, "db_connect") == [DATABASE]


def test_psycopgs_pool(dsn):
    import psycopg_pool

    with hooked("psycopg_pool", "psycopg") as profiler, profiler.job("j") as request:
        with psycopg_pool.ConnectionPool(kwargs=dsn, min_size=1, max_size=1, open=True) as pool:
            with pool.connection() as connection:
                connection.execute("SELECT 5")
        profile = request.snapshot()
    assert profile.calls["pool_wait"] == 1
    assert profile.calls[DATABASE] == 2  # and its COMMIT


def test_psycopg2(dsn):
    import psycopg2
    import psycopg2.extensions
    import psycopg2.extras

    with hooked("psycopg2") as profiler, profiler.job("j") as request:
        connection = psycopg2.connect(**dsn)
        assert isinstance(connection, psycopg2.extensions.connection)
        statements(connection.cursor(), connection)
        assert of_database(request) == EXPECTED
        # What refuses proxies takes them: they are subclasses.
        psycopg2.extensions.register_type(psycopg2.extensions.UNICODE, connection)
        assert psycopg2.extensions.quote_ident("a", connection) == '"a"'
        with connection.cursor(cursor_factory=psycopg2.extras.DictCursor) as cursor:
            cursor.execute("SELECT 5 AS five")
            assert cursor.fetchone()["five"] == 5
        with connection.cursor("named") as cursor:
            cursor.execute("SELECT 6")
        connection.cursor().callproc("abs", (-5,))
        connection.close()
        further = [detail for detail, _ in of_database(request)[len(EXPECTED) :]]
        assert further == ["SELECT 5 AS five", "SELECT 6", "CALL abs"]
        assert details(request, "db_connect") == [DATABASE]


def mariadb_options(password="password", database="database"):
    return {"host": "127.0.0.1", "port": servers.mariadb(), "user": USER, password: PASSWORD, database: DATABASE}


def test_pymysql():
    import pymysql

    with hooked("pymysql") as profiler, profiler.job("j") as request:
        connection = pymysql.connect(**mariadb_options())
        statements(connection.cursor(), connection)
        connection.close()
        assert of_database(request) == EXPECTED
        assert details(request, "db_connect") == [DATABASE]


def test_mysqlclient():
    mysqldb = pytest.importorskip("MySQLdb", reason="mysqlclient: not built here")
    with hooked("mysqlclient") as profiler, profiler.job("j") as request:
        connection = mysqldb.connect(**mariadb_options())
        statements(connection.cursor(), connection)
        connection.close()
        assert of_database(request) == EXPECTED
        assert details(request, "db_connect") == [DATABASE]


def test_asyncpg(dsn):
    import asyncpg

    options = {**dsn, "database": dsn["dbname"]}
    del options["dbname"]

    async def main():
        connection = await asyncpg.connect(**options)
        await connection.execute("CREATE TEMPORARY TABLE t (a integer)")
        await connection.executemany("INSERT INTO t VALUES ($1)", [(1,), (2,)])
        assert await connection.fetchval("SELECT count(*) FROM t WHERE a > $1", 0) == 2
        assert len(await connection.fetch("SELECT a FROM t")) == 2
        statement = await connection.prepare("SELECT 5")
        assert await statement.fetchval() == 5
        with pytest.raises(asyncpg.UndefinedTableError):
            await connection.fetchrow("SELECT nothing FROM nowhere")
        await connection.close()
        async with asyncpg.create_pool(min_size=1, max_size=1, **options) as pool:

            async def use(number):
                async with pool.acquire() as connection:
                    await connection.fetchval(f"SELECT {number}")

            await asyncio.gather(use(1), use(2))

    with hooked("asyncpg") as profiler, profiler.job("j") as request:
        asyncio.run(main())
        profile = request.snapshot()
    found = [(call.detail, call.outcome) for call in profile.spans if call.category == DATABASE]
    assert [one for one in found if "generate" not in one[0] and one[0] not in ("SELECT 1", "SELECT 2")][:7] == [
        ("CREATE TEMPORARY TABLE t (a integer)", "ok"),
        ("INSERT INTO t VALUES ($1)", "ok"),
        ("SELECT count(*) FROM t WHERE a > $1", "ok"),
        ("SELECT a FROM t", "ok"),
        ("SELECT 5", "ok"),
        ("SELECT 5", "ok"),
        ("SELECT nothing FROM nowhere", "error"),
    ]
    assert sorted(one[0] for one in found if one[0] in ("SELECT 1", "SELECT 2")) == ["SELECT 1", "SELECT 2"]
    assert profile.calls["pool_wait"] == 2
    assert profile.calls["db_connect"] >= 2


def test_sqlalchemy_over_hooked_and_unhooked_drivers(tmp_path):
    import sqlalchemy
    from sqlalchemy import orm, text

    for names in (("sqlalchemy",), ("sqlalchemy", "sqlite3")):
        with hooked(*names) as profiler:
            engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path}/dbshard01.sqlite")
            with profiler.job("j") as request:
                with engine.begin() as connection:
                    connection.execute(text("CREATE TABLE IF NOT EXISTS t (a integer)"))
                    connection.execute(text("INSERT INTO t VALUES (:a)"), [{"a": 1}, {"a": 2}])
                with orm.Session(engine) as session:
                    assert session.scalar(text("SELECT count(*) FROM t WHERE a > :a"), {"a": 0}) >= 2
                with pytest.raises(sqlalchemy.exc.OperationalError), engine.connect() as connection:
                    connection.execute(text("SELECT nothing FROM nowhere"))
                profile = request.snapshot()
            engine.dispose()
            found = [(call.category, call.detail, call.outcome) for call in profile.spans]
            own = [one for one in found if one[0] == "dbshard01"]
            statements_found = [one for one in own if one[1] not in ("COMMIT", "ROLLBACK")]
            assert [(detail, outcome) for _, detail, outcome in statements_found if "PRAGMA" not in detail] == [
                ("CREATE TABLE IF NOT EXISTS t (a integer)", "ok"),
                ("INSERT INTO t VALUES (?)", "ok"),
                ("SELECT count(*) FROM t WHERE a > ?", "ok"),
                ("SELECT nothing FROM nowhere", "error"),
            ], names
            assert profile.calls["pool_wait"] >= 3


def test_sqlalchemy_asynchronous(dsn):
    from sqlalchemy import text
    from sqlalchemy.ext.asyncio import create_async_engine

    pytest.importorskip("greenlet", reason="greenlet: not installed")
    url = f"postgresql+asyncpg://{USER}:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{dsn['port']}/{DATABASE}"

    async def main():
        engine = create_async_engine(url)

        async def one(number):
            async with engine.connect() as connection:
                await connection.execute(text(f"SELECT {number}"))

        await asyncio.gather(one(1), one(2), one(3))
        await engine.dispose()

    with hooked("sqlalchemy", "asyncpg") as profiler, profiler.job("j") as request:
        asyncio.run(main())
        selects = sorted(detail for detail in details(request, DATABASE) if detail.startswith("SELECT "))
    assert [one for one in selects if one in ("SELECT 1", "SELECT 2", "SELECT 3")] == [
        "SELECT 1",
        "SELECT 2",
        "SELECT 3",
    ]


# ---- caches


def test_redis():
    import redis

    port = servers.redis()
    with hooked("redis") as profiler, profiler.job("j") as request:
        client = redis.Redis(port=port)
        client.set("listing:5", "clay pot")
        assert client.get("listing:5") == b"clay pot"
        assert client.get("listing:6") is None
        assert client.mget("listing:5", "listing:6") == [b"clay pot", None]
        with client.pipeline() as pipeline:
            pipeline.set("a", 1).get("a")
            assert pipeline.execute() == [True, b"1"]
        with pytest.raises(redis.ResponseError):
            client.lpush("listing:5", "x")
        profile = request.snapshot()
    found = [(call.category, call.detail, call.hits, call.misses, call.outcome) for call in profile.spans]
    assert found == [
        ("db_connect", "redis", None, None, "ok"),
        ("redis", "SET listing:5", None, None, "ok"),
        ("redis", "GET listing:5", 1, None, "ok"),
        ("redis", "GET listing:6", None, 1, "ok"),
        ("redis", "MGET listing:5 listing:6", 1, 1, "ok"),
        ("redis", "MULTI SET a; GET a", None, None, "ok"),
        ("redis", "LPUSH listing:5", None, None, "error"),
    ]
    assert {call.target for call in profile.spans} == {f"localhost:{port}"}
    assert "clay" not in profile.text()


def test_redis_asynchronous():
    import redis.asyncio

    async def main():
        client = redis.asyncio.Redis(port=servers.redis())
        await client.set("b", 2)
        assert await client.get("b") == b"2"
        async with client.pipeline(transaction=False) as pipeline:
            pipeline.get("b").get("c")
            assert await pipeline.execute() == [b"2", None]
        await client.aclose()

    with hooked("redis") as profiler, profiler.job("j") as request:
        asyncio.run(main())
        found = details(request)
    assert found == ["SET b", "GET b", "PIPELINE GET b; GET c"]


def memcache_calls(client):
    client.set("a", "1")
    assert client.get("a")
    assert client.get("b") is None


def test_pymemcache():
    from pymemcache.client.base import Client, PooledClient
    from pymemcache.client.hash import HashClient

    server = ("127.0.0.1", servers.memcached())
    with hooked("pymemcache") as profiler:
        with profiler.job("j") as request:
            client = Client(server)
            memcache_calls(client)
            assert client.get("b", default=5) == 5
            client.set_many({"a": 1, "c": 2})
            assert set(client.get_many(key for key in ["a", "b", "c"])) == {"a", "c"}
            client.delete("a")
            profile = request.snapshot()
        assert [(call.category, call.detail, call.hits, call.misses) for call in profile.spans] == [
            ("db_connect", "memcache", None, None),
            ("memcache_set", "Cache SET, keys: a", None, None),
            ("memcache_get", "Cache HIT, keys: a", 1, 0),
            ("memcache_get", "Cache MISS, keys: b", 0, 1),
            ("memcache_get", "Cache MISS, keys: b", 0, 1),
            ("memcache_set", "Cache SET, keys: a, c", None, None),
            ("memcache_get_multi", "Cache 2/3 HIT, missed: b", 2, 1),
            ("memcache_delete", "Cache DELETE, keys: a", None, None),
        ]
        assert {call.target for call in profile.spans} == {f"127.0.0.1:{server[1]}"}
        for make in (lambda: PooledClient(server), lambda: HashClient([server])):
            with profiler.job("j") as request:
                memcache_calls(make())
                assert len(details(request)) == 3


def test_a_librarys_objects_keep_their_fast_attributes(dsn):
    """CPython 3.11 gives an object a dict as soon as anybody asks for it, and is slow with it from then on."""
    import psycopg
    from pymemcache.client.base import Client

    with hooked("pymemcache", "psycopg") as profiler, profiler.job("j"):
        client = Client(("127.0.0.1", servers.memcached()))
        memcache_calls(client)
        with psycopg.connect(**dsn) as postgresql:
            postgresql.execute("SELECT 1")
        known = {thing: gc.get_referents(thing) for thing in (client, postgresql)}
    always_a_dict = sys.version_info < (3, 11)
    for thing, referents in known.items():
        assert any(one is vars(thing) for one in referents) == always_a_dict, type(thing)


def test_cpython_may_learn_a_hooked_method_by_heart():
    """It does so only where the method's type cannot change: else each call of the library's looks it up."""
    from pymemcache.client.base import Client

    with hooked("pymemcache"), pytest.raises(TypeError, match="immutable type"):
        type(vars(Client)["get"]).added = 1


def test_pylibmc():
    pylibmc = pytest.importorskip("pylibmc", reason="pylibmc: not built here")
    with hooked("pylibmc") as profiler, profiler.job("j") as request:
        client = pylibmc.Client([f"127.0.0.1:{servers.memcached()}"])
        client.delete("b")
        memcache_calls(client)
        client.set_multi({"a": 1, "c": 2})
        assert set(client.get_multi(["a", "b", "c"])) == {"a", "c"}
        assert details(request) == [
            "Cache DELETE, keys: b",
            "Cache SET, keys: a",
            "Cache HIT, keys: a",
            "Cache MISS, keys: b",
            "Cache SET, keys: a, c",
            "Cache 2/3 HIT, missed: b",
        ]


# ---- templates and HTTP


def test_jinja2():
    import jinja2

    with hooked("jinja2") as profiler:
        environment = jinja2.Environment(
            loader=jinja2.DictLoader(
                {
                    "base.html": "<body>{% block body %}{% endblock %}</body>",
                    "page.html": "{% extends 'base.html' %}{% block body %}{{ query() }}{% include 'part.html' %}"
                    "{% endblock %}",
                    "part.html": "{{ query() }}",
                }
            )
        )

        def query():
            with ioprofiler.span("db", "SELECT 1"):
                return "x"

        template = environment.get_template("page.html")
        assert template.render(query=query) == "<body>xx</body>"
        with profiler.job("j") as request:
            assert template.render(query=query) == "<body>xx</body>"
            found = [(call.category, call.detail, call.parent) for call in request.snapshot().spans]
    assert found == [
        ("template", "page.html", None),
        ("template", "base.html", 0),
        ("db", "SELECT 1", 1),
        ("template", "part.html", 1),
        ("db", "SELECT 1", 3),
    ]


def test_jinja2_asynchronous():
    import jinja2

    with hooked("jinja2") as profiler:
        environment = jinja2.Environment(
            enable_async=True,
            loader=jinja2.DictLoader({"page.html": "{% include 'part.html' %}", "part.html": "{{ query() }}"}),
        )

        async def query():
            async with ioprofiler.span("db", "SELECT 1"):
                await asyncio.sleep(0)
                return "x"

        with profiler.job("j") as request:
            template = environment.get_template("page.html")
            assert asyncio.run(template.render_async(query=query)) == "x"
            found = [(call.detail, call.parent) for call in request.snapshot().spans]
    assert found == [("page.html", None), ("part.html", 0), ("SELECT 1", 1)]


def hello(environ, start_response):
    if environ["PATH_INFO"] == "/from":
        start_response("302 Found", [("Location", "/to")])
        return [b""]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


def test_requests_and_urllib3():
    import requests

    from serving import wsgi_server

    with wsgi_server(hello) as port, hooked("urllib3") as profiler, profiler.job("j") as request:
        assert requests.get(f"http://127.0.0.1:{port}/listing?a=5", timeout=30).text == "hello"
        with pytest.raises(requests.ConnectionError):
            requests.get("http://127.0.0.1:1/", timeout=30)
        found = [(call.category, call.detail, call.target, call.outcome) for call in request.snapshot().spans]
    assert found == [
        ("http", "GET /listing?a=5", f"127.0.0.1:{port}", "ok"),
        ("http", "GET /", "127.0.0.1:1", "error"),
    ]


def test_httpx():
    import httpx

    from serving import wsgi_server

    async def main(port):
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"http://127.0.0.1:{port}/async")).text == "hello"

    with wsgi_server(hello) as port, hooked("httpx") as profiler, profiler.job("j") as request:
        assert httpx.get(f"http://127.0.0.1:{port}/from", follow_redirects=True).text == "hello"
        asyncio.run(main(port))
        assert details(request) == ["GET /from", "GET /to", "GET /async"]


# ---- task queues


def test_celery():
    import celery

    with hooked("celery", "sqlite3") as profiler:
        app = celery.Celery("shop", broker="memory://", backend="cache+memory://")

        @app.task(name="shop.mail")
        def mail(fail):
            request = ioprofiler.current()
            assert request
            sqlite3.connect(":memory:").execute("SELECT 1")
            seen.append(request.snapshot())
            if fail:
                raise ValueError("no address")

        seen = []
        before = profiler.stats()["finished"]
        mail.apply(args=(False,))
        mail.apply(args=(True,))
        assert profiler.stats()["finished"] == before + 2
        assert profiler.stats()["live"] == 0
    assert [profile.text().split("\n")[0].split(" ")[:3] for profile in seen] == [["#", "job", "shop.mail"]] * 2
    assert [profile.calls["sqlite"] for profile in seen] == [1, 1]


def task_of_rq(path):
    """Run by a worker of RQ."""
    sqlite3.connect(":memory:").execute("SELECT 1")
    with open(path, "w") as file:
        file.write(ioprofiler.current().snapshot().text())


def test_rq(tmp_path):
    import redis
    import rq

    with hooked("rq", "sqlite3") as profiler:
        connection = redis.Redis(port=servers.redis())
        queue = rq.Queue(connection=connection)
        queue.enqueue(task_of_rq, str(tmp_path / "seen"))
        before = profiler.stats()["finished"]
        rq.SimpleWorker([queue], connection=connection).work(burst=True, logging_level="ERROR")
        assert profiler.stats()["finished"] == before + 1
    text = (tmp_path / "seen").read_text()
    assert text.startswith("# job test_hooks.task_of_rq")
    assert "SELECT 1" in text
