"""A Django application that was not written here, observed by its settings alone.

django-sql-explorer and Django's admin: each page's queries are as many as Django itself counts.
"""

import json
import subprocess
import sys

import pytest

PROGRAM = """
import json, os, sys, tempfile
import django
from django.conf import settings

folder = tempfile.mkdtemp()
settings.configure(
    SECRET_KEY="for tests", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, USE_TZ=True, STATIC_URL="/static/",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.path.join(folder, "db.sqlite3")}},
    INSTALLED_APPS=[
        "django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions",
        "django.contrib.messages", "django.contrib.staticfiles", "explorer",
    ],
    MIDDLEWARE=[
        "ioprofiler.django.Middleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    IOPROFILER={"gate": lambda request: request.user.is_staff},
    TEMPLATES=[{
        "BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True,
        "OPTIONS": {"context_processors": [
            "django.template.context_processors.request", "django.contrib.auth.context_processors.auth",
            "django.contrib.messages.context_processors.messages",
        ]},
    }],
    STORAGES={"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
              "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"}},
    EXPLORER_CONNECTIONS={"Default": "default"}, EXPLORER_DEFAULT_CONNECTION="default",
    EXPLORER_ENABLE_ANONYMOUS_STATS=False, EXPLORER_SCHEMA_BUILDER_ASYNC=False, LOGGING_CONFIG=None,
)
django.setup()
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import include, path

urlpatterns = [path("admin/", admin.site.urls), path("explorer/", include("explorer.urls"))]
call_command("migrate", verbosity=0, interactive=False)
User.objects.create_superuser("staff", password="staff")
from explorer.models import Query
for number in range(5):
    Query.objects.create(title=f"Query {number}", sql="SELECT 5")

client = Client(raise_request_exception=False)
client.login(username="staff", password="staff")
found = []
for page in ["/explorer/", "/explorer/new/", "/explorer/1/", "/explorer/play/", "/explorer/logs/",
             "/explorer/favorites/", "/admin/", "/admin/auth/user/", "/admin/auth/user/1/change/",
             "/admin/explorer/query/", "/nowhere/"]:
    for form in ("?", "?ioprofiler=1", "?ioprofiler=json"):
        with CaptureQueriesContext(connection) as counted:
            response = client.get(page + form)
        body = b"".join(response.streaming_content) if response.streaming else response.content
        entry = {"page": page, "form": form, "status": response.status_code, "counted": len(counted)}
        if form == "?ioprofiler=json":
            profile = json.loads(body)
            entry["calls"] = sum(t["calls"] for t in profile["categories"] if t["category"] == "sqlite")
            entry["templates"] = sum(t["calls"] for t in profile["categories"] if t["category"] == "template")
        elif form == "?ioprofiler=1":
            entry["shown"] = b"TOTAL CALLS" in body
        else:
            entry["ours"] = body.count(b"TOTAL CALLS")
        found.append(entry)
print(json.dumps(found))
"""


def test_as_many_queries_as_django_counts():
    pytest.importorskip("explorer", reason="django-sql-explorer: not installed")
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr[-3000:]
    found = json.loads(ran.stdout.splitlines()[-1])
    counted = [entry for entry in found if "calls" in entry]
    assert [entry["calls"] for entry in counted] == [entry["counted"] for entry in counted], counted
    assert sum(entry["calls"] for entry in counted) > 30
    assert sum(entry["templates"] for entry in counted) > 30
    assert all(entry["shown"] for entry in found if "shown" in entry and entry["status"] == 200)
    assert all(entry["ours"] == 0 for entry in found if "ours" in entry)
