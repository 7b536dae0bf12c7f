"""A Django page with 106 cache gets and 20 queries: CPU time of a page, plain and observed.

    python page.py plain|ioprofiler|djdt|otel PAGES [MEMCACHED]

Served by Django's own WSGI handler, as a server would call it. The cache is memcached, by pymemcache,
where its port is given; else one in this process, whose gets are no calls. Prints nanoseconds.
"""

from __future__ import annotations

import gc
import os
import sys
import time

#: Before anything is counted: what is made at first use.
WARM_UP = 20


def prepare(kind: str, memcached: str | None):
    """Django, configured; gives its WSGI handler."""
    import django
    from django.conf import settings

    middleware, apps, extra = [], [], {}
    if kind == "ioprofiler":
        middleware, extra = ["ioprofiler.django.Middleware"], {"IOPROFILER": {}}
    if kind == "djdt":
        middleware = ["debug_toolbar.middleware.DebugToolbarMiddleware"]
        apps = ["django.contrib.staticfiles", "debug_toolbar"]
        extra = {
            "DEBUG": True,
            "STATIC_URL": "/static/",
            "DEBUG_TOOLBAR_CONFIG": {"SHOW_TOOLBAR_CALLBACK": lambda request: True},
        }
    cache = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    if memcached:
        cache = {
            "BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache",
            "LOCATION": f"127.0.0.1:{memcached}",
        }
    templates = {"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}
    settings.configure(
        SECRET_KEY="bench",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        MIDDLEWARE=middleware,
        INSTALLED_APPS=apps,
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        CACHES={"default": cache},
        TEMPLATES=[templates],
        LOGGING_CONFIG=None,
        **extra,
    )
    django.setup()
    if kind == "otel":
        instrument()
    from django.core.wsgi import get_wsgi_application

    set_up_urls(kind)
    return get_wsgi_application()


def instrument() -> None:
    from opentelemetry import trace
    from opentelemetry.instrumentation.django import DjangoInstrumentor
    from opentelemetry.instrumentation.pymemcache import PymemcacheInstrumentor
    from opentelemetry.instrumentation.sqlite3 import SQLite3Instrumentor
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import (
        InMemorySpanExporter,
    )

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(InMemorySpanExporter()))
    trace.set_tracer_provider(provider)
    for instrumentor in (DjangoInstrumentor, PymemcacheInstrumentor, SQLite3Instrumentor):
        instrumentor().instrument()


def set_up_urls(kind: str) -> None:
    from django.core.cache import cache
    from django.db import connection
    from django.http import HttpResponse
    from django.template import engines
    from django.urls import include, path

    template = engines["django"].from_string(
        "<html><body>{% for row in rows %}<p>{{ row }}</p>{% endfor %}</body></html>"
    )
    cache.set_many({f"key:{number}": number for number in range(106)})

    def page(request):
        for number in range(106):
            cache.get(f"key:{number}")
        rows = []
        with connection.cursor() as cursor:
            for number in range(20):
                cursor.execute("SELECT %s, 'clay pot'", [number])
                rows.append(cursor.fetchone())
        return HttpResponse(template.render({"rows": rows}))

    globals()["urlpatterns"] = [path("", page)]
    if kind == "djdt":
        globals()["urlpatterns"].append(path("__debug__/", include("debug_toolbar.urls")))


def serve(handler) -> None:
    """One page, as a server has it made."""
    from wsgiref.util import setup_testing_defaults

    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "REMOTE_ADDR": "127.0.0.1"}
    setup_testing_defaults(environ)
    statuses = []
    body = handler(environ, lambda status, headers, exc_info=None: statuses.append(status))
    for _ in body:
        pass
    body.close()
    assert statuses == ["200 OK"]


def main(kind: str, pages: int, memcached: str | None = None) -> None:
    handler = prepare(kind, memcached)
    for _ in range(WARM_UP):
        serve(handler)
    if os.environ.get("IOPROFILER_PAGE_WITHOUT_GC"):
        # Where instructions are counted: whether a full collection falls into the pages is chance.
        gc.collect()
        gc.disable()
    times = []
    for _ in range(pages):
        begun = time.process_time_ns()
        serve(handler)
        times.append(time.process_time_ns() - begun)
    if times:
        times.sort()
        print(times[len(times) // 2])


if __name__ == "__main__":
    sys.modules["page"] = sys.modules["__main__"]
    __name__ = "page"
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:4])
