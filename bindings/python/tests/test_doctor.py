"""`python -m ioprofiler doctor` says what is wrong, and only that."""

import os
import re
import subprocess
import sys


def doctor(*arguments, **files):
    return subprocess.run(
        [sys.executable, "-m", "ioprofiler", "doctor", *arguments], capture_output=True, text=True, timeout=60, **files
    )


def test_of_this_python():
    ran = doctor()
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "a call of a request is recorded" in ran.stdout
    assert re.search("installed, and would be hooked: .*sqlite3", ran.stdout)
    assert "gate" not in ran.stdout.partition("hint   of an application")[0]


def test_of_an_application(tmp_path):
    (tmp_path / "shop.py").write_text(
        "import sqlite3, ioprofiler\n"
        "profiler = ioprofiler.Profiler(instrument=['sqlite3'], gate=['this-machine', lambda request: False])\n"
        "import jinja2\n"
    )
    for place in ("shop:profiler", "shop"):
        ran = doctor(place, cwd=tmp_path)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert "hooked: sqlite3" in ran.stdout
        assert "jinja2 is imported and not hooked" in ran.stdout
        assert "gate: this-machine, callable; asked by ?ioprofiler=1" in ran.stdout
        assert "this machine's gate is closed" in ran.stdout


def test_of_a_profiler_that_is_not_there_and_a_folder_that_is_gone(tmp_path):
    (tmp_path / "shop.py").write_text(
        "import shutil, ioprofiler\n"
        "profiler = ioprofiler.Profiler(instrument=False, gate='token', gate_secret='a' * 32, state_dir='state')\n"
        "shutil.rmtree('state')\n"
    )
    ran = doctor("shop:profilr", cwd=tmp_path)
    assert ran.returncode == 1
    assert "WRONG  there is no profilr in shop" in ran.stdout
    ran = doctor("shop:profiler", cwd=tmp_path)
    assert ran.returncode == 1
    assert re.search("WRONG  state_dir: .*state is not a folder", ran.stdout)


DJANGO = """
from django.conf import settings
settings.configure(
    SECRET_KEY="a", ROOT_URLCONF=__name__, MIDDLEWARE=[MIDDLEWARE],
    IOPROFILER={"gate": lambda request: request.user.is_staff, "instrument": ["django.db"]},
)
import django
django.setup()
from django.core.wsgi import get_wsgi_application
urlpatterns = []
application = get_wsgi_application()
"""


def test_of_a_django_project(tmp_path):
    own, other = '"ioprofiler.django.Middleware"', '"django.middleware.common.CommonMiddleware"'
    for middleware, status, says in (
        (f"{own}, {other}", 0, "ok     Django: the middleware is the first"),
        (f"{other}, {own}", 0, "hint   Django: .*comes after django.middleware.common.CommonMiddleware"),
        (other, 1, "WRONG  Django: .*is not in MIDDLEWARE"),
    ):
        (tmp_path / "site_wsgi.py").write_text(DJANGO.replace("[MIDDLEWARE]", f"[{middleware}]"))
        ran = doctor("site_wsgi", cwd=tmp_path)
        assert ran.returncode == status, ran.stdout + ran.stderr
        assert re.search(says, ran.stdout), ran.stdout
        assert ("hooked: django.db" in ran.stdout) == (own in middleware)


def test_of_flags_logs_and_folders(tmp_path):
    (tmp_path / "flags.toml").write_text('[flags.static]\nenabled = "on"\n')
    (tmp_path / "shop.py").write_text(
        "import ioprofiler\n"
        "profiler = ioprofiler.Profiler(instrument=False, flags='flags.toml', state_dir='state',"
        " access_log='access.log', note_format='%{user_id}n')\n"
    )
    ran = doctor("shop", cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    for says in (
        "ok     flags: flags.toml",
        "ok     access log: access.log",
        "state_dir: state",
        "compact note is made",
    ):
        assert says in ran.stdout
    (tmp_path / "flags.toml").write_text('[flags.static]\nenabeld = "on"\n')
    ran = doctor("shop", cwd=tmp_path)
    assert ran.returncode == 1
    assert "enabeld" in ran.stdout


def test_of_numbers_and_where_they_go(tmp_path):
    (tmp_path / "ioprofiler.toml").write_text('state_dir = "state"\n[graphite]\naddress = "127.0.0.1:1"\n')
    (tmp_path / "shop.py").write_text(
        "import ioprofiler\n"
        "none = ioprofiler.Profiler(instrument=False)\n"
        "profiler = ioprofiler.Profiler(instrument=False, config_file='ioprofiler.toml')\n"
        "profiler.count('a')\n"
        "profiler.flush(5)\n"  # nobody takes it there
    )
    ran = doctor("shop:profiler", cwd=tmp_path)
    assert "ok     state_dir: state" in ran.stdout
    assert re.search(
        r"WRONG  graphite: 0 values and events sent, \d+ dropped; the last failure: .*127.0.0.1:1", ran.stdout
    )
    assert "nothing is counted" not in ran.stdout
    assert ran.returncode == 1
    assert "hint   numbers: nothing is counted" in doctor("shop:none", cwd=tmp_path).stdout


def test_of_what_is_wrong(tmp_path):
    (tmp_path / "shop.py").write_text(
        "import ioprofiler\nprofiler = ioprofiler.Profiler(gate='everyone', instrument=False)\nother = 5\n"
    )
    for arguments, says in [
        (["shop:profiler"], "WRONG  gate: everyone"),
        (["shop:other"], "shop:other is no ioprofiler.Profiler but int"),
        (["nowhere"], "nowhere cannot be imported: ModuleNotFoundError"),
    ]:
        ran = doctor(*arguments, cwd=tmp_path)
        assert ran.returncode == 1
        assert says in ran.stdout
    assert doctor("--help").returncode == 2
    ran = subprocess.run([sys.executable, "-m", "ioprofiler"], capture_output=True, text=True, env=dict(os.environ))
    assert (ran.returncode, ran.stderr[:6]) == (2, "usage:")
