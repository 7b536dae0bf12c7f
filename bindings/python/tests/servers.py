"""Real servers for tests: PostgreSQL, MariaDB, memcached and Redis, each on a port of its own.

Where one is not installed the test is skipped; with `IOPROFILER_TEST_SERVERS=required` it fails.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from serving import free_port, wait_for

USER, PASSWORD, DATABASE = "shop", "in love with clay", "shop"
_PLACES = ["/usr/sbin", *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True))]


def find(program: str) -> str:
    path = os.pathsep.join([os.environ.get("PATH", ""), *_PLACES])
    found = shutil.which(program, path=path)
    if found is None:
        if os.environ.get("IOPROFILER_TEST_SERVERS") == "required":
            pytest.fail(f"{program} is not installed")
        pytest.skip(f"{program}: not installed")
    return _postgres(program, found) if program in ("initdb", "postgres", "createdb") else found


def _postgres(program: str, found: str) -> str:
    # A wrapper on the path may choose another version: the newest installed one's own programs.
    for place in _PLACES[1:]:
        if os.path.exists(f"{place}/{program}"):
            return f"{place}/{program}"
    return found


def _folder(name: str) -> str:
    folder = tempfile.mkdtemp(prefix=f"ioprofiler-{name}-")
    os.chmod(folder, 0o755)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _start(*command: str, port: int, stop: str = "TERM") -> int:
    process = subprocess.Popen(
        ["setpriv", "--pdeathsig", "INT", "--", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )

    def end() -> None:
        process.send_signal(__import__("signal").Signals[f"SIG{stop}"])
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    atexit.register(end)
    wait_for(port, process)
    return port


@functools.cache
def memcached() -> int:
    port = free_port()
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    return _start(find("memcached"), "-l", "127.0.0.1", "-p", str(port), "-U", "0", *user, port=port)


@functools.cache
def redis() -> int:
    port = free_port()
    folder = _folder("redis")
    command = [find("redis-server"), "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", folder]
    return _start(*command, port=port)


@functools.cache
def redis_cluster() -> int:
    """A cluster of one server, which has all slots."""
    port = free_port()
    folder = _folder("redis-cluster")
    options = ["--save", "", "--dir", folder, "--cluster-enabled", "yes", "--cluster-port", str(free_port())]
    command = [find("redis-server"), "--bind", "127.0.0.1", "--port", str(port), *options]
    _start(*command, port=port)
    import redis as client

    server = client.Redis(port=port)
    server.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
    for _ in range(200):
        if server.execute_command("CLUSTER INFO")["cluster_state"] == "ok":
            return port
        time.sleep(0.05)
    raise RuntimeError("the cluster does not come up")


def wait_for_lines(log: Path, count: int) -> list[dict[str, object]]:
    """A log's lines, each a JSON object, when there are so many."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        lines = log.read_text().splitlines() if log.exists() else []
        if len(lines) >= count:
            return [json.loads(line) for line in lines]
        time.sleep(0.1)
    raise RuntimeError(f"{len(lines)} of {count} lines")


@functools.cache
def postgresql() -> int:
    port, folder = free_port(), _folder("postgresql")
    data, word = f"{folder}/data", f"{folder}/password"
    Path(word).write_text(PASSWORD)
    initdb, postgres, createdb = find("initdb"), find("postgres"), find("createdb")
    as_user: list[str] = []
    if os.geteuid() == 0:  # it refuses to run as root
        subprocess.run(["chown", "-R", "postgres", folder], check=True)
        as_user = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups"]
    quiet = {"stdout": subprocess.DEVNULL, "check": True}
    init = [initdb, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"]
    subprocess.run([*as_user, *init, "--username", USER, "--pgdata", data, "--pwfile", word], **quiet)
    options = ["-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={folder}", "-c", "fsync=off"]
    _start(*as_user, postgres, "-D", data, "-p", str(port), *options, port=port, stop="INT")
    create = [createdb, "-h", "127.0.0.1", "-U", USER, "-p", str(port), DATABASE]
    for _ in range(100):
        if subprocess.run(create, env={**os.environ, "PGPASSWORD": PASSWORD}, capture_output=True).returncode == 0:
            return port
        time.sleep(0.1)
    raise RuntimeError("PostgreSQL does not answer")


@functools.cache
def mariadb() -> int:
    port, folder = free_port(), _folder("mariadb")
    server, install = find("mariadbd"), find("mariadb-install-db")
    as_root = ["--user=root"] if os.geteuid() == 0 else []
    first = Path(f"{folder}/first.sql")
    first.write_text(
        f"CREATE USER '{USER}'@'%' IDENTIFIED BY '{PASSWORD}';\nCREATE DATABASE {DATABASE} CHARACTER SET utf8mb4;\n"
        f"GRANT ALL ON {DATABASE}.* TO '{USER}'@'%';\nDELETE FROM mysql.global_priv WHERE User = '';\n"
        "FLUSH PRIVILEGES;\n"
    )
    data = f"--datadir={folder}/data"
    prepare = [install, "--no-defaults", "--skip-test-db", "--auth-root-authentication-method=normal", data]
    subprocess.run([*prepare, *as_root], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _start(
        server,
        "--no-defaults",
        "--bind-address=127.0.0.1",
        "--skip-name-resolve",
        "--innodb-flush-log-at-trx-commit=0",
        "--innodb-buffer-pool-size=32M",
        data,
        f"--socket={folder}/socket",
        f"--pid-file={folder}/pid",
        f"--init-file={first}",
        f"--port={port}",
        *as_root,
        port=port,
    )
    return port


@contextlib.contextmanager
def hooked(*names: str, **options):
    """A profiler with these hooks, taken back at the end."""
    import ioprofiler
    from ioprofiler import hooks

    profiler = ioprofiler.Profiler(instrument=names, **options)
    try:
        yield profiler
    finally:
        hooks.uninstall(names)
        hooks.configure(params="types")
