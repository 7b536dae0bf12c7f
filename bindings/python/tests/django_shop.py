"""A small Django project: real sessions, real authentication, a database in a file."""

from __future__ import annotations

import os
import tempfile

import django
from django.conf import settings

FOLDER = tempfile.mkdtemp(prefix="ioprofiler-django-")
PAGE = "<html><body>Hello</body></html>"

settings.configure(
    SECRET_KEY="for tests",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF="django_shop",
    USE_TZ=True,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.path.join(FOLDER, "db.sqlite3")}},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
    MIDDLEWARE=[
        "ioprofiler.django.Middleware",
        "django.middleware.http.ConditionalGetMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "DIRS": [os.path.join(os.path.dirname(os.path.abspath(__file__)), "templates")],
        }
    ],
    CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    LOGGING_CONFIG=None,
)
django.setup()

from asgiref.sync import sync_to_async  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.core.cache import cache  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection, transaction  # noqa: E402
from django.http import FileResponse, HttpResponse, StreamingHttpResponse  # noqa: E402
from django.shortcuts import render  # noqa: E402
from django.urls import path  # noqa: E402

import ioprofiler.django  # noqa: E402


def migrate() -> None:
    if not os.path.exists(os.path.join(FOLDER, "migrated")):
        call_command("migrate", verbosity=0, interactive=False)
        User.objects.create_user("staff", password="staff", is_staff=True)
        User.objects.create_user("guest", password="guest")
        open(os.path.join(FOLDER, "migrated"), "w").close()


def listing(request, number):
    with ioprofiler.span("dbshard01", f"SELECT {number}"):
        return HttpResponse(PAGE)


async def alisting(request, number):
    async with ioprofiler.span("dbshard01", f"SELECT {number}"):
        return HttpResponse(PAGE)


def users(request):
    User.objects.count()
    with transaction.atomic():
        list(User.objects.filter(is_staff=True))
        User.objects.filter(username="nobody").update(first_name="x")
    return render(request, "page.html", {"users": User.objects.all()})


async def ausers(request):
    async for _ in User.objects.all():
        pass
    await User.objects.acount()
    return await sync_to_async(render)(request, "page.html", {"users": []})


def cached(request):
    cache.set("a", 1)
    cache.get("a")
    cache.get("missing")
    cache.get_many(["a", "missing"])
    return HttpResponse(PAGE)


def stream(request):
    def parts():
        yield PAGE[:10]
        with connection.cursor() as cursor:
            cursor.execute("SELECT 5")
        yield PAGE[10:]

    return StreamingHttpResponse(parts())


async def astream(request):
    async def parts():
        yield PAGE[:10].encode()
        async with ioprofiler.span("a", "in the stream"):
            pass
        yield PAGE[10:].encode()

    return StreamingHttpResponse(parts())


def file(request):
    return FileResponse(open(__file__, "rb"), content_type="text/plain")


def fails(request):
    raise ZeroDivisionError("no such page")


def strict(request):
    import test_browser

    test_browser.calls()
    return HttpResponse(test_browser.PAGE, headers={"Content-Security-Policy": test_browser.STRICT})


urlpatterns = [
    path("listing/<int:number>/", listing),
    path("alisting/<int:number>/", alisting),
    path("users/", users),
    path("ausers/", ausers),
    path("cached/", cached),
    path("stream/", stream),
    path("astream/", astream),
    path("file/", file),
    path("fails/", fails),
    path("strict/", strict),
    path("metrics", ioprofiler.django.metrics),
]
