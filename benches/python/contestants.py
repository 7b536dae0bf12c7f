"""What is measured: each contestant prepares itself and gives its operations, by name.

An operation is a function of a number: it does the thing so often. `in_request` wraps a batch.
"""

from __future__ import annotations

import contextlib

import flag_peers

SQL = "SELECT listing_id, title, price FROM listings WHERE shop_id = 5773453 AND active"  # 79 bytes
BATCH = 100


def nothing(a, b):
    return None


def pass_(n):
    for _ in range(n):
        pass


def plain_call(n):
    for _ in range(n):
        nothing(1, SQL)


class Nothing:
    """What a counter costs that counts nothing."""

    def count(self, name):
        return None

    def count_labelled(self, name, **labels):
        return None


EMPTY = Nothing()


def empty_method(n):
    for _ in range(n):
        EMPTY.count("registrations")


def empty_labelled(n):
    for _ in range(n):
        EMPTY.count_labelled("registrations", plan="pro", country="de")


def floor():
    from ioprofiler_floor import empty

    def with_empty(n):
        for _ in range(n):
            with empty("dbshard01", SQL):
                pass

    return {
        "empty PyO3 context manager, new each time": with_empty,
        "plain call": plain_call,
        "empty method call": empty_method,
        "empty method call, two keywords": empty_labelled,
    }, contextlib.nullcontext


def ours(flags_file=None):
    import ioprofiler
    from ioprofiler import _native, flag, note, span

    options = {"flags": [flags_file]} if flags_file else {}
    profiler = ioprofiler.Profiler(instrument=False, **options)
    hooked = _native.hooked(nothing, "dbshard01", detail_at=1)
    begin, end = _native.begin, _native.end

    def with_span(n):
        for _ in range(n):
            with span("dbshard01", SQL):
                pass

    def begin_end(n):
        for _ in range(n):
            end(begin("dbshard01", SQL))

    def hooked_call(n):
        for _ in range(n):
            hooked(1, SQL)

    @span("dbshard01")
    def decorated(a, b):
        return None

    def decorated_call(n):
        for _ in range(n):
            decorated(1, SQL)

    def noted(n):
        for _ in range(n):
            note(user_id=5020244)

    def flag_static(n):
        for _ in range(n):
            flag("static")

    def flag_percent(n):
        for _ in range(n):
            flag("percent")

    count = numbers(ioprofiler.Profiler(instrument=False, metrics=True), ioprofiler)
    operations = {
        "with span": with_span,
        "begin and end": begin_end,
        "hooked call": hooked_call,
        "decorated call": decorated_call,
        "note": noted,
        **count,
    }
    if flags_file:
        operations |= {"flag, static": flag_static, "flag, percent": flag_percent}

    @contextlib.contextmanager
    def in_request():
        with profiler.job("page") as request:
            request.set_visitor("6f1c3a90")
            yield

    return operations, in_request


def numbers(profiler, ioprofiler):
    def count(n):
        for _ in range(n):
            profiler.count("registrations")

    def count_labelled(n):
        for _ in range(n):
            profiler.count("registrations", plan="pro", country="de")

    def count_anywhere(n):
        for _ in range(n):
            ioprofiler.count("registrations")

    def gauge(n):
        for _ in range(n):
            profiler.gauge("queue.length", 17.0)

    def timing(n):
        for _ in range(n):
            profiler.timing("mail.sent", 0.12)

    return {
        "count": count,
        "count, two labels": count_labelled,
        "count, of the module": count_anywhere,
        "gauge": gauge,
        "timing": timing,
    }


def prometheus_client():
    from prometheus_client import CollectorRegistry, Counter, Histogram

    registry = CollectorRegistry()
    plain = Counter("registrations", "Registrations.", registry=registry)
    labelled = Counter("accounts", "Accounts.", ["plan", "country"], registry=registry)
    mails = Histogram("mail_sent_seconds", "Mails.", registry=registry)

    def count(n):
        for _ in range(n):
            plain.inc()

    def count_labelled(n):
        for _ in range(n):
            labelled.labels(plan="pro", country="de").inc()

    def timing(n):
        for _ in range(n):
            mails.observe(0.12)

    return {"count": count, "count, two labels": count_labelled, "timing": timing}, contextlib.nullcontext


def counters_of_opentelemetry():
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    meter = MeterProvider(metric_readers=[InMemoryMetricReader()]).get_meter("bench")
    counter, mails = meter.create_counter("registrations"), meter.create_histogram("mail.sent")

    def count(n):
        for _ in range(n):
            counter.add(1)

    def count_labelled(n):
        for _ in range(n):
            counter.add(1, {"plan": "pro", "country": "de"})

    def timing(n):
        for _ in range(n):
            mails.record(0.12)

    return {"count": count, "count, two labels": count_labelled, "timing": timing}


def opentelemetry():
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import (
        InMemorySpanExporter,
    )

    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("bench")

    def with_span(n):
        for _ in range(n):
            with tracer.start_as_current_span("SELECT", attributes={"db.query.text": SQL}):
                pass

    @contextlib.contextmanager
    def in_request():
        with tracer.start_as_current_span("page"):
            yield
        exporter.clear()

    return {"with span": with_span, **counters_of_opentelemetry()}, in_request


def sentry():
    import sentry_sdk
    from sentry_sdk.transport import Transport

    class Nowhere(Transport):
        def capture_envelope(self, envelope):
            pass

    sentry_sdk.init(
        dsn="http://a@127.0.0.1:1/1",
        traces_sample_rate=1.0,
        transport=Nowhere,
        default_integrations=False,
    )

    def with_span(n):
        for _ in range(n):
            with sentry_sdk.start_span(op="db", name=SQL):
                pass

    @contextlib.contextmanager
    def in_request():
        with sentry_sdk.start_transaction(name="page"):
            yield

    return {"with span": with_span}, in_request


def ddtrace():
    import os

    os.environ["DD_TRACE_ENABLED"] = "true"
    os.environ["DD_INSTRUMENTATION_TELEMETRY_ENABLED"] = "false"
    os.environ["DD_REMOTE_CONFIGURATION_ENABLED"] = "false"
    from ddtrace.trace import TraceFilter, tracer

    class Drop(TraceFilter):
        def process_trace(self, trace):
            return None

    tracer.configure(trace_processors=[Drop()])

    def with_span(n):
        for _ in range(n):
            with tracer.trace("dbshard01", resource=SQL):
                pass

    @contextlib.contextmanager
    def in_request():
        with tracer.trace("page"):
            yield

    return {"with span": with_span}, in_request


CONTESTANTS = {
    "floor": floor,
    "ioprofiler": ours,
    "opentelemetry-sdk": opentelemetry,
    "sentry-sdk": sentry,
    "ddtrace": ddtrace,
    "prometheus-client": prometheus_client,
    **flag_peers.NATIVE,
    **flag_peers.OTHERS,
}
