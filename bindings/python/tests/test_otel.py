"""OpenTelemetry spans as calls: each in the request it was started in, and none twice."""

import threading

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind, Status, StatusCode

import ioprofiler
from ioprofiler.otel import SpanProcessor, recording
from servers import hooked


def details(request):
    return [call.detail for call in request.snapshot().spans if call.category != "db_connect"]


def provider_of(sampler):
    provider, exporter = TracerProvider(sampler=sampler), InMemorySpanExporter()
    provider.add_span_processor(SpanProcessor())
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider, exporter


def test_client_spans_are_calls_whatever_is_sampled(profiler):
    provider, exporter = provider_of(recording(ParentBased(TraceIdRatioBased(0.0))))
    tracer = provider.get_tracer("opentelemetry.instrumentation.pymongo")
    with profiler.job("j") as request:
        with tracer.start_as_current_span("page", kind=SpanKind.SERVER):
            attributes = {
                "db.system": "postgresql",
                "db.name": "shop",
                "db.statement": "SELECT 5",
                "net.peer.name": "db1",
            }
            with tracer.start_as_current_span("SELECT", kind=SpanKind.CLIENT, attributes=attributes):
                pass
            attributes = {"db.system.name": "mongodb", "db.namespace": "goods", "db.query.text": "find pots"}
            with tracer.start_as_current_span("find", kind=SpanKind.CLIENT, attributes=attributes) as span:
                span.set_status(Status(StatusCode.ERROR))
            attributes = {"http.request.method": "GET", "url.full": "http://shop/a"}
            with tracer.start_as_current_span("GET", kind=SpanKind.CLIENT, attributes=attributes):
                pass
            with tracer.start_as_current_span("send", kind=SpanKind.PRODUCER):
                pass
        found = [(call.category, call.detail, call.outcome) for call in request.snapshot().spans]
    assert found == [
        ("shop", "SELECT 5", "ok"),
        ("goods", "find pots", "error"),
        ("http", "GET http://shop/a", "ok"),
        ("otel", "send", "ok"),
    ]
    assert exporter.get_finished_spans() == ()


def test_outside_a_request_sampling_is_as_it_was():
    provider, _ = provider_of(recording(ALWAYS_OFF))
    with provider.get_tracer("x").start_as_current_span("a", kind=SpanKind.CLIENT) as span:
        assert not span.is_recording()


def test_a_span_that_ends_on_another_thread_is_its_requests(profiler):
    provider, _ = provider_of(recording(ALWAYS_OFF))
    tracer = provider.get_tracer("x")
    with profiler.job("j") as request:
        span = tracer.start_span("call", kind=SpanKind.CLIENT)
        thread = threading.Thread(target=span.end)
        thread.start()
        thread.join()
        assert [call.detail for call in request.snapshot().spans] == ["call"]


def test_what_is_hooked_here_is_not_counted_twice():
    import sqlite3

    provider, _ = provider_of(recording(ALWAYS_OFF))
    tracer = provider.get_tracer("opentelemetry.instrumentation.sqlite3")
    for hook, calls in (True, ["SELECT 1"]), (False, ["SELECT by otel"]):
        with hooked(*(["sqlite3"] if hook else [])) as profiler, profiler.job("j") as request:
            connection = sqlite3.connect(":memory:")
            attributes = {"db.system": "sqlite", "db.statement": "SELECT by otel"}
            with tracer.start_as_current_span("SELECT", kind=SpanKind.CLIENT, attributes=attributes):
                connection.execute("SELECT 1")
            assert details(request) == calls


def test_broken_attributes_harm_nobody(profiler):
    processor = SpanProcessor()
    processor.on_start(None)
    processor.on_end(None)
    processor.force_flush()
    processor.shutdown()
    assert profiler.stats()["hook_errors"] >= 1
    assert not ioprofiler.current()
