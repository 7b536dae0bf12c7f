"""Django's ORM and templates: the same queries that Django itself counts, page by page."""

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.db import connection, connections
from django.db.utils import load_backend
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext

import django_shop
import ioprofiler
import servers
from servers import hooked
from serving import get, wsgi_server


@pytest.fixture(scope="module", autouse=True)
def database():
    django_shop.migrate()


@pytest.mark.parametrize("names", [("django.db",), ("django.db", "sqlite3")])
def test_as_many_queries_as_django_counts(names):
    connection.close()
    with hooked(*names) as profiler, override_settings(IOPROFILER=profiler):
        client = Client()
        for log_in in (False, True):
            if log_in:
                assert client.login(username="staff", password="staff")
            for path in ("/users/", "/ausers/", "/listing/5/", "/cached/"):
                with CaptureQueriesContext(connection) as counted, ioprofiler.record() as profile:
                    client.get(path)
                if path != "/ausers/":  # there Django counts on another thread's connection
                    assert profile.calls_of("sqlite") == len(counted), (path, profile.text())
        with ioprofiler.record() as profile:
            client.get("/ausers/")
        profile.assert_calls("sqlite", 2)
        with ioprofiler.record() as profile:
            client.get("/users/")
        details = [call.detail for call in profile.spans if call.category == "sqlite"]
    assert sum(detail.startswith("SELECT") for detail in details) == 3
    assert {"BEGIN", "COMMIT"} <= set(details)
    update = next(call for call in profile.spans if call.detail.startswith("UPDATE"))
    assert update.rows == 0
    assert update.caller.startswith("django_shop.py:")


def test_what_django_asks_for_its_own_log_is_no_call(tmp_path):
    """In development Django has SQLite quote each statement's parameters."""
    settings = {**connections.settings["default"], "NAME": f"{tmp_path}/shop.sqlite3"}
    with hooked("django.db", "sqlite3") as profiler:
        shard = load_backend(settings["ENGINE"]).DatabaseWrapper(settings, alias="default")
        with profiler.job("j", asked=True) as request:
            with CaptureQueriesContext(shard) as counted, shard.cursor() as cursor:
                cursor.execute("SELECT %s", [5])
                cursor.execute(f"SELECT {', '.join(['%s'] * 1_200)}", list(range(1_200)))
                cursor.execute("SELECT %(a)s", {"a": 7})
            profile = request.snapshot()
        shard.close()
    assert [query["sql"] for query in counted][::2] == ["SELECT 5", "SELECT 7"]
    assert counted[1]["sql"].endswith(" 1199")
    assert profile.calls == {"db_connect": 1, "sqlite": 3}, profile.text()
    assert profile.spans[0].detail == "sqlite"


def test_aliases_are_categories_and_default_is_the_servers_kind():
    connection.close()
    with hooked("django.db", categories={"default": "dbshard01"}) as profiler, profiler.job("j") as request:
        connections["default"].__dict__.pop("_ioprofiler", None)
        with connection.cursor() as cursor:
            cursor.execute("SELECT 5")
        assert request.snapshot().calls["dbshard01"] == 1
        ioprofiler.hooks._names.configured.clear()
        connections["default"].__dict__.pop("_ioprofiler", None)


def test_procedures_of_a_real_server():
    port = servers.postgresql()
    settings = {
        **connections.settings["default"],
        "ENGINE": "django.db.backends.postgresql",
        "NAME": servers.DATABASE,
        "USER": servers.USER,
        "PASSWORD": servers.PASSWORD,
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "OPTIONS": {},
    }
    with hooked("django.db", "psycopg") as profiler, profiler.job("j") as request:
        shard = load_backend(settings["ENGINE"]).DatabaseWrapper(settings, alias="dbshard02")
        with shard.cursor() as cursor:
            cursor.execute("SELECT %s", [5])
            cursor.callproc("abs", [-5])
        shard.set_autocommit(False)
        with shard.cursor() as cursor:
            cursor.execute("SELECT 6")
        shard.rollback()
        shard.close()
        profile = request.snapshot()
    details = [call.detail for call in profile.spans if call.category == "dbshard02"]
    assert [one for one in details if one in ("SELECT %s", "SELECT $1", "CALL abs", "SELECT 6", "ROLLBACK")] == [
        "SELECT %s",
        "CALL abs",
        "SELECT 6",
        "ROLLBACK",
    ]
    assert profile.calls["db_connect"] == 1


def test_templates_contain_each_other_and_their_queries():
    with hooked("django.template", "django.db") as profiler:
        profiler = ioprofiler.Profiler(instrument=["django.template", "django.db"], gate="everyone")
        with override_settings(IOPROFILER=profiler), wsgi_server(WSGIHandler()) as port:
            text = get(port, "/users/?ioprofiler=text")[2].decode()
    lines = [line.partition(" @")[0] for line in text.splitlines() if "[template]" in line]
    assert [line.split("]")[0] + "] " + line.split(" ms ")[1].strip() for line in lines] == [
        "[template] page.html",
        "  [template] base.html",
        "    [template] user.html",
        "    [template] user.html",
    ]
