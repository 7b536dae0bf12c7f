"""A Django page with 106 cache gets and 20 queries: CPU time of a page, plain and observed.

python page.py plain|ioprofiler|djdt|otel
"""

from __future__ import annotations

import sys
import time


def main(kind: str, pages: int) -> None:
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
            "INTERNAL_IPS": ["127.0.0.1"],
            "DEBUG_TOOLBAR_CONFIG": {"SHOW_TOOLBAR_CALLBACK": lambda request: True},
        }
    settings.configure(
        SECRET_KEY="bench",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        MIDDLEWARE=middleware,
        INSTALLED_APPS=apps,
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
            }
        ],
        LOGGING_CONFIG=None,
        **extra,
    )
    django.setup()
    if kind == "otel":
        from opentelemetry import trace
        from opentelemetry.instrumentation.django import DjangoInstrumentor
        from opentelemetry.instrumentation.sqlite3 import SQLite3Instrumentor
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import (
            InMemorySpanExporter,
        )

        provider = TracerProvider()
        provider.add_span_processor(BatchSpanProcessor(InMemorySpanExporter()))
        trace.set_tracer_provider(provider)
        DjangoInstrumentor().instrument()
        SQLite3Instrumentor().instrument()

    from django.core.cache import cache
    from django.db import connection
    from django.http import HttpResponse
    from django.template import engines
    from django.test import Client
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
    client = Client()
    for _ in range(20):
        assert client.get("/").status_code == 200
    times = []
    for _ in range(pages):
        begun = time.process_time_ns()
        client.get("/")
        times.append(time.process_time_ns() - begun)
    times.sort()
    print(times[len(times) // 2])


if __name__ == "__main__":
    sys.modules["__main__"].__name__ = "page"
    sys.modules["page"] = sys.modules["__main__"]
    __name__ = "page"
    main(sys.argv[1], int(sys.argv[2]))
