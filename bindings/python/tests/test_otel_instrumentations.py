"""The OpenTelemetry instrumentations themselves, feeding the span processor: each call once."""

import asyncio
import contextlib
import importlib
import sqlite3

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from opentelemetry.trace import SpanKind

import servers
from ioprofiler.otel import SpanProcessor, recording
from servers import DATABASE, PASSWORD, USER, hooked
from serving import wsgi_server

INSTRUMENTORS = {
    "botocore": "BotocoreInstrumentor",
    "aiohttp_client": "AioHttpClientInstrumentor",
    "psycopg": "PsycopgInstrumentor",
    "redis": "RedisInstrumentor",
    "requests": "RequestsInstrumentor",
    "sqlalchemy": "SQLAlchemyInstrumentor",
    "sqlite3": "SQLite3Instrumentor",
    "urllib3": "URLLib3Instrumentor",
}


@contextlib.contextmanager
def instrumented(*names, sampler=ALWAYS_OFF):
    """With these instrumentations on, and a provider that our processor and an exporter listen to."""
    provider, exporter = TracerProvider(sampler=recording(ParentBased(sampler))), InMemorySpanExporter()
    provider.add_span_processor(SpanProcessor())
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    made = []
    for name in names:
        module = importlib.import_module(f"opentelemetry.instrumentation.{name}")
        made.append(getattr(module, INSTRUMENTORS[name])())
    for one in made:
        one.instrument(tracer_provider=provider, skip_dep_check=True)
    try:
        yield provider, exporter
    finally:
        for one in reversed(made):
            one.uninstrument()


def calls(request):
    around = ("db_connect", "pool_wait")
    return [
        (call.category, call.detail, call.outcome) for call in request.snapshot().spans if call.category not in around
    ]


@pytest.mark.parametrize("hooks", [(), ("sqlite3",), ("sqlite3", "sqlalchemy"), ("sqlalchemy",)])
@pytest.mark.parametrize("instruments", [("sqlite3",), ("sqlalchemy",), ("sqlalchemy", "sqlite3"), ()])
def test_an_orm_over_a_driver_is_one_call_whoever_sees_it(tmp_path, hooks, instruments):
    import sqlalchemy

    with hooked(*hooks) as profiler, instrumented(*instruments) as (_, exporter):
        engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path}/dbshard01.sqlite")
        if "sqlalchemy" in instruments:
            module = importlib.import_module("opentelemetry.instrumentation.sqlalchemy")
            module.SQLAlchemyInstrumentor().instrument(engine=engine, skip_dep_check=True)
        with profiler.job("j") as request:
            with engine.connect() as connection:
                connection.execute(sqlalchemy.text("SELECT 5"))
            found = [one for one in calls(request) if "PRAGMA" not in one[1] and one[1] != "ROLLBACK"]
        engine.dispose()
        seen = [one for one in found if one[1] == "SELECT 5"]
        assert len(seen) == (1 if hooks or instruments else 0), found
        assert exporter.get_finished_spans() == ()


@pytest.mark.parametrize("hook", [True, False])
def test_sqlite3(hook):
    with hooked(*(["sqlite3"] if hook else [])) as profiler, instrumented("sqlite3"), profiler.job("j") as request:
        connection = sqlite3.connect(":memory:")
        cursor = connection.cursor()
        cursor.execute("SELECT 5 WHERE 1 = ?", (1,))
        with contextlib.suppress(sqlite3.OperationalError):
            cursor.execute("SELECT nothing FROM nowhere")
        found = [(detail, outcome) for _, detail, outcome in calls(request)]
    assert found == [("SELECT 5 WHERE 1 = ?", "ok"), ("SELECT nothing FROM nowhere", "error")]


@pytest.mark.parametrize("hook", [True, False])
def test_psycopg_and_redis_on_real_servers(hook):
    import psycopg
    import redis

    dsn = {"host": "127.0.0.1", "port": servers.postgresql(), "user": USER, "password": PASSWORD, "dbname": DATABASE}
    names = ["psycopg", "redis"] if hook else []
    with hooked(*names) as profiler, instrumented("psycopg", "redis"), profiler.job("j") as request:
        with psycopg.connect(**dsn, autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT 5")
        client = redis.Redis(port=servers.redis())
        client.set("listing:5", "a secret")
        found = [(category, detail) for category, detail, _ in calls(request) if detail != "COMMIT"]
    assert [category for category, _ in found] == [DATABASE, "redis"]
    assert found[0][1] == "SELECT 5"
    assert found[1][1].startswith("SET ")
    assert "secret" not in str(found)


@pytest.mark.parametrize("hooks", [(), ("urllib3",)])
@pytest.mark.parametrize("instruments", [("requests",), ("urllib3",), ("requests", "urllib3")])
def test_a_client_over_a_client_is_one_call(hooks, instruments):
    import requests

    with (
        wsgi_server(hello) as port,
        hooked(*hooks) as profiler,
        instrumented(*instruments),
        profiler.job("j") as request,
    ):
        assert requests.get(f"http://127.0.0.1:{port}/listing", timeout=30).text == "hello"
        found = calls(request)
    assert [(category, outcome) for category, _, outcome in found] == [("http", "ok")]
    assert found[0][1].startswith("GET ")
    assert found[0][1].endswith("/listing")


def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


def test_a_library_that_is_not_hooked_and_tasks_at_once():
    import aiohttp

    async def main(port):
        async with aiohttp.ClientSession() as session:

            async def get(number):
                async with session.get(f"http://127.0.0.1:{port}/{number}") as answer:
                    assert await answer.text() == "hello"

            await asyncio.gather(*(get(number) for number in range(5)))

    with wsgi_server(hello) as port, hooked() as profiler, instrumented("aiohttp_client"):
        with profiler.job("j") as request:
            asyncio.run(main(port))
            found = sorted(calls(request))
        assert found == [("http", f"GET http://127.0.0.1:{port}/{number}", "ok") for number in range(5)]


def buckets(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/xml")])
    return [b"<ListAllMyBucketsResult><Buckets></Buckets></ListAllMyBucketsResult>"]


@pytest.mark.parametrize("hooks", [(), ("urllib3",)])
def test_a_client_over_one_that_is_hooked(hooks):
    import boto3

    with wsgi_server(buckets) as port, hooked(*hooks) as profiler, instrumented("botocore"):
        keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "us-east-1"}
        client = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}", **keys)
        with profiler.job("j") as request:
            client.list_buckets()
            assert calls(request) == [("aws-api", "S3.ListBuckets", "ok")]


def test_a_span_that_nothing_is_inside_takes_nothing_in():
    """A call for later, of which the application only has the span: its own calls go on being its own."""
    with hooked("sqlite3") as profiler, instrumented() as (provider, _), profiler.job("j") as request:
        span = provider.get_tracer("grpc").start_span("Later", kind=SpanKind.CLIENT)
        connection = sqlite3.connect(":memory:")
        connection.execute("SELECT 1")
        with provider.get_tracer("grpc").start_as_current_span("Now", kind=SpanKind.CLIENT):
            connection.execute("SELECT 2")
        span.end()
        connection.execute("SELECT 3")
        found = [detail for _, detail, _ in calls(request)]
    assert sorted(found) == ["Later", "Now", "SELECT 1", "SELECT 3"]


def test_what_is_sampled_is_exported_and_recorded_once():
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON

    with (
        hooked() as profiler,
        instrumented("sqlite3", sampler=ALWAYS_ON) as (_, exporter),
        profiler.job("j") as request,
    ):
        sqlite3.connect(":memory:").cursor().execute("SELECT 5")
        assert [detail for _, detail, _ in calls(request)] == ["SELECT 5"]
        assert [span.name for span in exporter.get_finished_spans()] == ["SELECT"]
